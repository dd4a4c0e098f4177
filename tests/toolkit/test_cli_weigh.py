"""`explain`, `priorities`, `what-if`, `readiness` and `attest`, as a person calls them, over a real key."""

from __future__ import annotations

import json
import subprocess

import pytest
from click.testing import CliRunner

import toolkit as tk
from toolkit.cli import main


@pytest.fixture
def workspace(tmp_path):
    """A weak key that everybody can read, in a run; and Alice, who may sign."""
    place = tmp_path / "shop"
    place.mkdir()
    subprocess.run(
        ["openssl", "genrsa", "-traditional", "-out", place / "a.pem", "1024"], check=True, capture_output=True
    )
    (place / "a.pem").chmod(0o644)
    tk.collect("keyfiles", paths=[str(place)], into=tmp_path / "w", show_progress=False)
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "alice"]
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "w/allowed_signers").write_text(f"alice {(tmp_path / 'alice.pub').read_text()}")
    (tmp_path / "w/allowed_signers").chmod(0o600)
    return tmp_path / "w"


def said(workspace, *words, code=0):
    """What a command prints, after it ended with that code."""
    done = CliRunner().invoke(main, [*map(str, words), "-w", str(workspace)], catch_exceptions=False)
    assert code == done.exit_code, done.output
    return done.output


def asked(workspace):
    """The controls that need a person's word."""
    return {row["control"] for row in json.loads(said(workspace, "attest", "ask", "resilience", "--json"))}


def test_a_key_is_explained_by_the_beginning_of_its_uid(workspace):
    """For people as text, for machines as one document."""
    uid = tk.keys(tk.load(workspace))["subject_uid"].iloc[0]
    assert "RSA-1024 is too weak" in said(workspace, "explain", uid[:16])
    assert "Where it lies" in json.loads(said(workspace, "explain", uid, "--json"))["sections"]


def test_priorities_and_what_if_speak_of_the_same_repairs(workspace):
    """The first of the list lowers the total by what the list says."""
    first = json.loads(said(workspace, "priorities", "--json"))[0]
    told = {row["measure"]: row for row in json.loads(said(workspace, "what-if", first["repair"], "--json"))}
    assert round(first["risk_taken"], 6) == round(-told["risk, all scores added up"]["change"], 6)
    assert "close-permissions" in said(workspace, "priorities", "--every")


def test_readiness_names_keys_mandates_and_runs(workspace):
    """Three views of one question."""
    assert 1.0 == json.loads(said(workspace, "readiness", "--arrives", "2027", "--json"))[0]["chance"]
    assert "cnsa-2-0" in said(workspace, "readiness", "--mandates")
    assert 1 == json.loads(said(workspace, "readiness", "--burn-down", "--json"))[0]["broken"]


def test_a_control_is_asked_for_until_somebody_signs_for_it(workspace, tmp_path):
    """ask, record, list, calendar, and the control is gone from what is asked."""
    control = "resilience/recovery-tested"
    assert control in asked(workspace)
    given = [
        "--says",
        "drilled",
        "--role",
        "CISO",
        "--until",
        "2099-01-01",
        "--by",
        "alice",
        "--key",
        tmp_path / "alice",
    ]
    said(workspace, "attest", "record", control, *given)
    assert control not in asked(workspace)
    assert "valid" in said(workspace, "attest", "list")
    assert "DTSTART;VALUE=DATE:20990101" in said(workspace, "attest", "calendar")
    assert '"verdict":"PASS"' in said(workspace, "assess", "resilience", "--all", "--json")


def test_what_is_in_scope_is_read_from_the_workspace(workspace):
    """A scopes.toml there counts without being named."""
    (workspace / "scopes.toml").write_text('default = ["nss"]\n')
    uid = tk.keys(tk.load(workspace))["subject_uid"].iloc[0]
    told = tk.assess(tk.load(workspace), workspace=workspace)
    assert uid in set(told["subject_uid"])


def test_drafts_and_clauses_that_nobody_read_say_so_in_words(workspace):
    """People see `draft` and `unverified` beside the rule; programs get `mark` and `is_draft` as they are."""
    told = said(workspace, "assess", "nist_sp800_131a_r3", "aws_fsbp", "nist_sp800_57", "--fail-on", "never")
    assert "standing" in told
    assert {"draft", "second hand"} <= {
        word for line in told.splitlines() for word in ("draft", "second hand") if word in line
    }
    rows = json.loads(said(workspace, "assess", "nist_sp800_131a_r3", "--json", "--fail-on", "never"))
    assert rows
    assert all(row["is_draft"] and row["mark"] in "PSK" for row in rows)
