"""A person's word: signed for real by ssh-keygen, counted while it holds, and never without its signatures."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

import toolkit as tk
from toolkit import attesting
from toolkit.errors import ConfigError, StoreError
from toolkit.store import Workspace
from toolkit.terms import AttestationKind

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
UNTIL = date(2027, 11, 27)
WORDS = {"control": "resilience/recovery-tested", "says": "we restored the CA from escrow", "role": "CISO"}


@pytest.fixture
def workspace(tmp_path):
    """A workspace in which Alice and Bob may sign, and Mallory has a key too."""
    opened = Workspace(tmp_path / "w")
    opened.fingerprinter()
    lines = []
    for name in ("alice", "bob", "mallory"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", tmp_path / name]
        subprocess.run(made, check=True, capture_output=True)
        lines.append(f"{name} {(tmp_path / f'{name}.pub').read_text()}")
    signers = opened.path / attesting.SIGNERS
    signers.write_text("".join(lines[:2]))
    signers.chmod(0o600)
    return opened


def attest(workspace, by="alice", **more):
    """One record of Alice's, or of whom is said, signed with that person's key."""
    given = {**WORDS, "by": by, "valid_until": UNTIL, "now": NOW, "key": workspace.path.parent / by, **more}
    return attesting.record(workspace, **given)


def states(workspace, as_of=NOW):
    return list(attesting.listing(workspace, as_of=as_of)["state"])


def findings():
    """Two controls that ask for a word, and one that failed."""
    rows = [("resilience", "recovery-tested", "ATTESTATION_REQUIRED"), ("resilience", "two-custodians", "ATTESTATION_REQUIRED"),
            ("resilience", "nobody-owns-it", "FAIL")]  # fmt: skip
    told = pd.DataFrame(rows, columns=["pack", "rule", "verdict"])
    facts = {"saw": "{}", "severity": "high", "says": "s", "remediation": "r", "clause": "c"}
    return told.assign(**facts)


def test_a_signed_record_settles_its_control_and_no_other(workspace):
    """ATTESTATION_REQUIRED until it has one; a FAIL stays a FAIL whatever anybody says."""
    attested_id = attest(workspace, kind=AttestationKind.RESTORE_DRILL)

    told = attesting.settle(findings(), attesting.listing(workspace, as_of=NOW))

    assert ["PASS", "ATTESTATION_REQUIRED", "FAIL"] == list(told["verdict"])
    assert attested_id in told["saw"].iloc[0]
    assert ["resilience/two-custodians"] == list(attesting.missing(told)["control"])
    assert "FAIL" == attesting.settle(findings().tail(1), attesting.listing(workspace, as_of=NOW))["verdict"].iloc[0]


def test_who_is_not_among_the_allowed_signers_attests_to_nothing(workspace):
    """Mallory's key signs well, and nobody says that it counts."""
    attest(workspace, by="mallory")
    assert ["unsigned"] == states(workspace)


def test_nobody_signs_in_anothers_name(workspace):
    """A record by Alice that Bob's key signed is not Alice's."""
    attest(workspace, key=workspace.path.parent / "bob")
    assert ["unsigned"] == states(workspace)


def test_a_record_that_was_changed_in_the_database_no_longer_counts(workspace):
    """Neither a changed document nor a changed document under its new digest passes."""
    attest(workspace)
    engine = sa.create_engine(f"sqlite:///{workspace.path / 'keyatlas.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("update record set document = replace(document, '2027-11-27', '2037-11-27')"))
    assert ["unsigned"] == states(workspace)


def test_a_second_person_has_to_be_another_person(workspace):
    """Two signatures of one person are one person's word."""
    attested_id = attest(workspace, needs_second=True)
    assert ["needs-second"] == states(workspace)
    with pytest.raises(ConfigError, match="alice made this"):
        attesting.countersign(workspace, attested_id, by="alice", key=workspace.path.parent / "alice", now=NOW)
    attesting.countersign(workspace, attested_id[:12], by="mallory", key=workspace.path.parent / "mallory", now=NOW)
    assert ["needs-second"] == states(workspace)
    attesting.countersign(workspace, attested_id, by="bob", key=workspace.path.parent / "bob", now=NOW)
    assert ["valid"] == states(workspace)


@pytest.mark.parametrize(("days", "state"), [(-1, []), (0, ["valid"]), (365, ["valid"]), (366, ["expired"])])
def test_a_record_holds_from_its_day_to_the_end_of_its_last(workspace, days, state):
    """As of a day before it was made it is not there; on its last day it holds."""
    attest(workspace)
    assert state == states(workspace, as_of=NOW + timedelta(days=days))


def test_what_is_withdrawn_counted_before_and_not_after(workspace):
    """History stays honest: as of yesterday it was valid. A withdrawal that nobody may sign ends nothing."""
    attested_id = attest(workspace)
    later = NOW + timedelta(days=2)
    forged = {"by": "mallory", "reason": "no", "key": workspace.path.parent / "mallory"}
    attesting.withdraw(workspace, attested_id, now=later, **forged)
    assert ["valid"] == states(workspace, as_of=later)
    attesting.withdraw(
        workspace, attested_id, by="bob", reason="wrong CA", key=workspace.path.parent / "bob", now=later
    )
    assert (["valid"], ["withdrawn"]) == (
        states(workspace, as_of=NOW + timedelta(days=1)),
        states(workspace, as_of=later),
    )


def test_evidence_is_kept_by_digest_and_what_cannot_be_read_is_told(workspace, tmp_path):
    """sha256sum says the same; a missing file is an error before anything is kept."""
    (tmp_path / "drill.pdf").write_bytes(b"restored")
    attest(workspace, evidence=[tmp_path / "drill.pdf"])
    summed = subprocess.run(["sha256sum", tmp_path / "drill.pdf"], check=True, capture_output=True, text=True).stdout[
        :64
    ]
    assert [f"drill.pdf={summed}"] == attesting.listing(workspace, as_of=NOW)["evidence"].iloc[0]
    with pytest.raises(ConfigError, match="cannot be read"):
        attest(workspace, evidence=[tmp_path / "gone.pdf"])
    assert 1 == len(states(workspace))


def test_anybody_can_check_a_signature_without_us(workspace, tmp_path):
    """ssh-keygen alone verifies the document as it is kept."""
    attest(workspace)
    [kept] = workspace.records("attestation")
    (tmp_path / "s.sig").write_text(kept.signatures[0][1])
    verify = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        workspace.path / "allowed_signers",
        "-I",
        "alice",
        "-n",
        "attestation@keyatlas",
    ]
    done = subprocess.run([*verify, "-s", tmp_path / "s.sig"], input=kept.document.encode(), capture_output=True)
    assert 0 == done.returncode, done.stderr


def test_signers_that_others_may_write_are_refused(workspace):
    """Whoever can add a signer can attest to everything."""
    attest(workspace)
    (workspace.path / attesting.SIGNERS).chmod(0o666)
    with pytest.raises(StoreError, match="others may write"):
        states(workspace)


@pytest.mark.parametrize("wrong", [{"says": " "}, {"valid_until": NOW.date()}, {"key": "no-such-key"}])
def test_a_record_that_says_nothing_or_is_over_is_refused(workspace, wrong):
    """What, who and until when are asked before anything is signed."""
    wrong = {name: workspace.path / value if name == "key" else value for name, value in wrong.items()}
    with pytest.raises(ConfigError):
        attest(workspace, **wrong)
    assert [] == states(workspace)


def test_the_calendar_has_an_entry_for_each_end(workspace):
    """RFC 5545: CRLF, no line over 75 octets, and text that is only text."""
    attest(workspace, says="drill; ok,\nEND:VCALENDAR " + "ä" * 90)
    told = attesting.calendar(attesting.listing(workspace, as_of=NOW), now=NOW)
    lines = told.split("\r\n")
    assert max(len(line.encode()) for line in lines) <= 75
    assert 1 == lines.count("END:VCALENDAR") == lines.count("BEGIN:VEVENT")
    assert "DTSTART;VALUE=DATE:20271127" in lines


def test_the_verbs_carry_a_word_from_ask_to_pass(workspace, tmp_path):
    """`attest`, `attestations` and `assess(attested=…)` are one way."""
    inv = tk.collect("keyfiles", paths=[str(tmp_path)], into=workspace.path, show_progress=False)
    control = "resilience/recovery-tested"
    tk.attest(control, workspace=workspace.path, says="done", by="alice", role="CISO", valid_until=UNTIL,
              key=tmp_path / "alice", now=NOW)  # fmt: skip
    told = tk.assess(
        inv, "resilience", as_of=NOW + timedelta(hours=1), attested=tk.attestations(workspace.path, as_of=NOW)
    )
    assert {"recovery-tested": "PASS", "two-custodians": "ATTESTATION_REQUIRED"} == dict(
        told.loc[told["subject"] == "inventory", ["rule", "verdict"]].astype(str).values.tolist()
    )
