"""What only a person can answer: asked for, recorded, signed by one or two, and over when its time is.

A record says who attests to which control, in which role, on which day, until when, on what evidence (files by their
SHA-256). Its signatures are OpenSSH's over the document as it is kept (`toolkit.signing`); `allowed_signers` in the
workspace says whose count. A record is never changed: it ends by its date, or by a record that withdraws it.

Refuses to: count a record without a valid signature of who made it, or of a second person where it asks for one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from toolkit import signing
from toolkit.errors import ConfigError
from toolkit.store import Record, Workspace
from toolkit.terms import AttestationKind, Verdict

NAMESPACE: Final = "attestation@keyatlas"
SIGNERS: Final = "allowed_signers"
"""The file in a workspace that says whose signatures count."""
_ATTESTED, _WITHDRAWN = "attestation", "withdrawal"
_COLUMNS: Final = [
    "attestation_id", "control", "kind", "says", "by", "role", "on", "valid_until", "state", "reason", "signers",
    "evidence", "days_left",
]  # fmt: skip


def record(
    workspace: Workspace,
    *,
    control: str,
    says: str,
    by: str,
    role: str,
    valid_until: date,
    key: Path,
    kind: AttestationKind = AttestationKind.OTHER,
    evidence: Sequence[Path] = (),
    needs_second: bool = False,
    now: datetime,
) -> str:
    """Keep what `by` attests to a control (`pack/rule`), signed with that person's SSH key; the record's id.

    Raises:
        ConfigError: a text is empty, the end is not after today, the evidence cannot be read, or it cannot be signed.
        StoreError: the workspace cannot be written.
    """
    for name, text in (("control", control), ("says", says), ("by", by), ("role", role)):
        if not text.strip():
            raise ConfigError(f"an attestation needs its {name}", advice="say it")
    if valid_until <= now.date():
        raise ConfigError(f"an attestation until {valid_until} is over already", advice="give a later end")
    document = _canonical(
        {
            "control": control, "kind": kind.value, "says": says, "by": by, "role": role,
            "on": now.astimezone(UTC).isoformat(timespec="seconds"), "valid_until": valid_until.isoformat(),
            "needs_second": needs_second, "evidence": {path.name: _sha256(path) for path in evidence},
        }
    )  # fmt: skip
    return _keep(workspace, _ATTESTED, document, by, key, now)


def countersign(workspace: Workspace, attestation_id: str, *, by: str, key: Path, now: datetime) -> None:
    """Put a second person's signature under a record.

    Raises:
        ConfigError: there is no such record, it is that person's own, or it cannot be signed.
    """
    found = _found(workspace, attestation_id)
    if json.loads(found.document)["by"] == by:
        raise ConfigError(f"{by} made this attestation", advice="let another person sign it")
    _keep(workspace, _ATTESTED, found.document, by, key, now)


def withdraw(workspace: Workspace, attestation_id: str, *, by: str, reason: str, key: Path, now: datetime) -> str:
    """End a record before its time, with a reason; the id of the record that says so.

    Raises:
        ConfigError: there is no such record, or it cannot be signed.
    """
    found = _found(workspace, attestation_id)
    told = {"withdraws": found.record_id, "by": by, "reason": reason, "on": now.astimezone(UTC).isoformat()}
    return _keep(workspace, _WITHDRAWN, _canonical(told), by, key, now)


def _found(workspace: Workspace, attestation_id: str) -> Record:
    found = [one for one in workspace.records(_ATTESTED) if one.record_id.startswith(attestation_id)]
    if len(found) != 1:
        told = "no attestation" if not found else f"{len(found)} attestations"
        raise ConfigError(f"{told} with an id that begins {attestation_id}", advice="see: keyatlas attest list")
    return found[0]


def _keep(workspace: Workspace, kind: str, document: str, by: str, key: Path, now: datetime) -> str:
    signature = signing.sign(document, key=key, namespace=NAMESPACE)
    record_id = signing.digest(document)
    workspace.keep_record(Record(record_id, kind, document, now, ((by, signature),)))
    return record_id


def _canonical(told: Mapping[str, Any]) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as wrong:
        raise ConfigError(f"the evidence cannot be read: {path}", advice="check its path and rights") from wrong


def listing(workspace: Workspace, *, as_of: datetime) -> pd.DataFrame:
    """One row a record, what ends first first; `state` is valid, expired, withdrawn, unsigned or needs-second.

    Columns: attestation_id, control, kind, says, by, role, on, valid_until, state, reason, signers (those whose
    signature is valid), evidence (name=SHA-256), days_left.
    """
    allowed = workspace.path / SIGNERS
    ended = _withdrawals(workspace, allowed)
    rows = [_row(one, ended, allowed, as_of) for one in workspace.records(_ATTESTED) if one.kept_at <= as_of]
    told = pd.DataFrame(rows, columns=_COLUMNS)
    return told.sort_values(["valid_until", "control"], kind="stable", ignore_index=True)


def _withdrawals(workspace: Workspace, allowed: Path) -> dict[str, tuple[datetime, str]]:
    told = {}
    for one in workspace.records(_WITHDRAWN):
        facts = json.loads(one.document)
        if facts["by"] in _signers(one, allowed):
            told[facts["withdraws"]] = (one.kept_at, f"withdrawn by {facts['by']}: {facts['reason']}")
    return told


def _signers(one: Record, allowed: Path) -> list[str]:
    """Whose signature under the record is valid; none if its document is not the one it is called by."""
    if signing.digest(one.document) != one.record_id:
        return []
    return [
        signer
        for signer, made in one.signatures
        if signing.is_signed(one.document, made, signer=signer, allowed=allowed, namespace=NAMESPACE)
    ]


def _row(one: Record, ended: Mapping[str, tuple[datetime, str]], allowed: Path, as_of: datetime) -> tuple[Any, ...]:
    facts, signers = json.loads(one.document), _signers(one, allowed)
    until = date.fromisoformat(facts["valid_until"])
    state, reason = _state(one, facts, signers, ended, until, as_of)
    evidence = [f"{name}={digest}" for name, digest in facts["evidence"].items()]
    on = pd.Timestamp(facts["on"])
    return (
        one.record_id, facts["control"], facts["kind"], facts["says"], facts["by"], facts["role"], on, until, state,
        reason, signers, evidence, (until - as_of.date()).days,
    )  # fmt: skip


def _state(
    one: Record,
    facts: Mapping[str, Any],
    signers: list[str],
    ended: Mapping[str, tuple[datetime, str]],
    until: date,
    as_of: datetime,
) -> tuple[str, str]:
    if facts["by"] not in signers:
        return "unsigned", f"no valid signature of {facts['by']}: is that key in {SIGNERS}?"
    if one.record_id in ended and ended[one.record_id][0] <= as_of:
        return "withdrawn", ended[one.record_id][1]
    if as_of.date() > until:
        return "expired", f"it was valid until {until}"
    if facts["needs_second"] and set(signers) <= {facts["by"]}:
        return "needs-second", "a second person has to sign it"
    return "valid", f"signed by {' and '.join(signers)}"


def settle(findings: pd.DataFrame, attested: pd.DataFrame) -> pd.DataFrame:
    """The findings, each control that a valid record attests to a PASS that names the record.

    What no valid record speaks of stays ATTESTATION_REQUIRED, and nothing but that verdict is ever changed.
    """
    valid = attested[attested["state"] == "valid"].drop_duplicates("control", keep="last").set_index("control")
    asked = (findings["verdict"] == Verdict.ATTESTATION_REQUIRED.value).to_numpy(dtype=bool)
    controls = findings["pack"].astype(str) + "/" + findings["rule"].astype(str)
    rows = asked & controls.isin(valid.index).to_numpy(dtype=bool)
    if not rows.any():
        return findings
    saw = findings["saw"].astype(object).to_numpy(copy=True)
    for row in np.flatnonzero(rows):
        told = valid.loc[controls.iloc[row]]
        until = told["valid_until"].isoformat()
        saw[row] = _canonical({"attestation": told["attestation_id"], "by": told["by"], "until": until})
    verdicts = findings["verdict"].mask(rows, Verdict.PASS.value)
    return findings.assign(verdict=verdicts, saw=pd.Categorical(saw))


def missing(findings: pd.DataFrame) -> pd.DataFrame:
    """The controls that ask for a person's word and have none: control, severity, says, remediation, evidence."""
    some = findings[findings["verdict"] == Verdict.ATTESTATION_REQUIRED.value]
    told = some.assign(control=some["pack"].astype(str) + "/" + some["rule"].astype(str))
    names = ["control", "severity", "says", "remediation", "evidence", "clause"]
    order = told[[name for name in names if name in told]].drop_duplicates("control")
    return order.sort_values(["severity", "control"], ascending=[False, True], ignore_index=True)


def calendar(attested: pd.DataFrame, *, now: datetime, warn_days: int = 30) -> str:
    """The ends of what is valid as an iCalendar file (RFC 5545), each with an alarm before it."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//keyatlas//attestations//EN"]
    open_ = attested[attested["state"].isin(["valid", "needs-second"])]
    row: Any
    for row in open_.itertuples():
        lines += [
            "BEGIN:VEVENT",
            f"UID:{row.attestation_id}@keyatlas",
            f"DTSTAMP:{now.astimezone(UTC):%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{row.valid_until:%Y%m%d}",
            f"DTEND;VALUE=DATE:{row.valid_until + timedelta(days=1):%Y%m%d}",
            f"SUMMARY:{_ical(f'Attest again: {row.control}')}",
            f"DESCRIPTION:{_ical(f'{row.says} Last by {row.by}, {row.role}.')}",
            "BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER:-P{warn_days}D",
            f"DESCRIPTION:{_ical(f'Attest again: {row.control}')}",
            "END:VALARM", "END:VEVENT",
        ]  # fmt: skip
    return "\r\n".join(_folded([*lines, "END:VCALENDAR"])) + "\r\n"


def _ical(text: str) -> str:
    """RFC 5545 3.3.11; a control character is no text there."""
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return "".join(c for c in text if c.isprintable())


def _folded(lines: Iterable[str]) -> Iterable[str]:
    """RFC 5545 3.1: no line is longer than 75 octets; a character is never cut."""
    for line in lines:
        part, size = "", 0
        for character in line:
            octets = len(character.encode())
            if size + octets > 74:
                yield part
                part, size = " ", 1
            part, size = part + character, size + octets
        yield part
