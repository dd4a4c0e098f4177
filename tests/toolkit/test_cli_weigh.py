"""`explain`, `priorities`, `what-if`, `readiness` and `attest`, as a person calls them, over a real key."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import toolkit as tk
from toolkit import config, registry
from toolkit.cli import main
from toolkit.errors import RegistryError, StoreError
from toolkit.identity import local_fingerprinter


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


def test_a_key_of_the_list_is_explained_by_the_uid_that_stands_there(workspace):
    """Worst first, with as much of the uid as `explain` needs."""
    told = said(workspace, "score")
    uid = next(word for word in told.split() if word.startswith("spki:"))

    assert 13 == len(uid)
    assert "RSA-1024 is too weak" in told
    assert "RSA-1024 is too weak" in said(workspace, "explain", uid)


def test_a_page_shows_what_is_broken_before_what_is_not(workspace):
    """The first rows are all that is shown of many verdicts."""
    uid = tk.keys(tk.load(workspace))["subject_uid"].iloc[0]
    rows = json.loads(said(workspace, "explain", uid, "--json"))["sections"]["What the standards say of it"]
    ranks = [("FAIL", "WARN", "INDETERMINATE", "ATTESTATION_REQUIRED", "PASS").index(row["verdict"]) for row in rows]

    assert 0 in ranks
    assert sorted(ranks) == ranks


@pytest.mark.parametrize("moment", ["2100-01-01", "2100-01-01T10:00", "2100-01-01T10:00:00Z", "2100-01-01T10:00+02:00"])
def test_a_moment_is_any_of_iso_8601(workspace, moment):
    """A day, a time, an offset; UTC where none is given."""
    assert "RSA-1024" in said(workspace, "score", "--as-of", moment)


def test_a_moment_that_is_none_says_how_to_write_one(workspace):
    """Wrong usage, and the next thing to type."""
    told = said(workspace, "compare", "yesterday", code=2)
    assert "yesterday is no date or time: write 2026-11-30" in told


def test_an_empty_answer_is_said_in_words(workspace):
    """An empty table looks like a fault."""
    assert "Nobody has attested anything here" in said(workspace, "attest", "list")
    assert "No run is quarantined" in said(workspace, "validate", "--quarantined")


def test_what_is_not_there_is_named_before_anything_runs(workspace, tmp_path):
    """A report of no workspace, a workspace that is a file, a report of another name: each says what to do."""
    (tmp_path / "file").touch()
    wrong = {"no workspace at": tmp_path / "nowhere", "is a file": tmp_path / "file"}
    for told, place in wrong.items():
        with pytest.raises(StoreError, match=told):
            tk.report(workspace=place, out=tmp_path / "reports")
    assert not (tmp_path / "reports").exists()
    with pytest.raises(RegistryError, match="there is no report nope"):
        tk.report("nope", workspace=workspace, out=tmp_path / "reports")


def test_a_cache_that_cannot_be_looked_into_does_not_stop_a_scan(tmp_path, monkeypatch):
    """Names of values then hold for one process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pathlib.Path.is_file", _refused)
    (tmp_path / "cache").touch()
    assert local_fingerprinter().uid(b"a") != local_fingerprinter().uid(b"a")


def _refused(path):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("name", registry.entries("collectors"))
def test_each_option_of_a_collector_is_explained(name):
    """By the class itself or its base, under `Args:`; `--help` shows it."""
    options = config.options_of(registry.collector_class(name))
    told = " ".join(CliRunner().invoke(main, ["collect", name, "--help"]).output.split())

    assert options
    for option in options.values():
        assert option.says, option.name
        assert option.says[:20] in told


def test_what_a_collector_of_aws_can_be_told_is_known_before_its_libraries_are_loaded():
    """`collect aws_kms --help` waits neither for botocore, nor for what parses keys, nor for pandas."""
    late = ["botocore.session", "urllib3", "asn1crypto", "cryptography", "pandas"]
    names = [name for name in registry.entries("collectors") if name.startswith("aws_")]
    asks = (
        "import sys; from toolkit import config, registry\n"
        f"for name in {names}: config.options_of(registry.collector_class(name))\n"
        f"print([name for name in {late} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", asks], check=True, capture_output=True, text=True).stdout

    assert names
    assert "[]" == told.strip()


def _commands(group):
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group) and command.commands:
            yield from _commands(command)


@pytest.mark.parametrize(
    "group", [c for c in (main, *_commands(main)) if getattr(c, "commands", None)], ids=lambda group: group.name
)
def test_the_summary_of_each_command_fits_eighty_columns(group):
    """A list of commands is read as it stands: no line ends in the middle of its sentence."""
    told = group.get_help(click.Context(group, terminal_width=80, max_content_width=80)).partition("Commands:\n")[2]

    assert set(group.commands) <= set(told.split())
    assert "..." not in told
    assert max(map(len, told.splitlines())) <= 80


def test_explain_folds_to_the_window_and_not_in_a_pipe(workspace, monkeypatch):
    """What a person reads has no line wider than the window but for names; what a script reads is whole."""
    uid = tk.keys(tk.load(workspace))["subject_uid"].iloc[0]
    piped = said(workspace, "explain", uid).splitlines()
    monkeypatch.setattr("toolkit.cli.shown.width", lambda: 80)
    told = said(workspace, "explain", uid).splitlines()

    assert max(map(len, piped)) > 80
    assert [] == [line for line in told if len(line) > 80 and len(line.split()) > 1]
