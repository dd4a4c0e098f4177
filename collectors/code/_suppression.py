"""What somebody wants passed over, why, and until when: by a comment beside it, or by an entry of a baseline file.

    token = "..."  # keyatlas:allow until=2027-06-30 reason="revoked; kept for the replay test"

A suppression without a reason or a date is none, and one whose date is past is none any more; the finding says so.
A baseline entry names rule, path and twenty bits of a salted hash: enough to tell one finding from another, too few
to try passwords on.
Refuses to: suppress for ever.

>>> told(b'x = "..."  # keyatlas:allow until=2027-06-30 reason="a test"')
Suppression(reason='a test', until=datetime.date(2027, 6, 30))
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from toolkit.errors import ConfigError
from toolkit.model import Secret

_COMMENT: Final = re.compile(rb"keyatlas:allow\b([^\n]{0,300})")
_UNTIL: Final = re.compile(rb"until=(\d{4}-\d\d-\d\d)")
_REASON: Final = re.compile(rb"reason=(?:\"([^\"\n]{1,200})\"|'([^'\n]{1,200})'|(\S{1,200}))")
_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Suppression:
    """A wish to pass over a finding; one that lacks its reason or date is kept to be told."""

    reason: str | None
    until: date | None

    def refusal(self, today: date) -> str | None:
        """Why it does not hold today; None where it does."""
        if self.reason is None:
            return "its suppression gives no reason"
        if self.until is None:
            return "its suppression gives no date (until=YYYY-MM-DD)"
        return f"its suppression ended on {self.until}" if self.until < today else None


def told(line: bytes) -> Suppression | None:
    """The suppression that a line's comment asks for."""
    found = _COMMENT.search(line)
    if found is None:
        return None
    until, reason = _UNTIL.search(found[1]), _REASON.search(found[1])
    words = next((word for word in reason.groups() if word), b"").decode("utf-8", "replace") if reason else None
    return Suppression(words, _date(until[1].decode()) if until else None)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def check(salt: bytes, value: bytes) -> str:
    """The twenty bits by which a baseline tells values apart."""
    return hmac.new(salt, value, hashlib.sha256).hexdigest()[:_DIGITS]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The entries of a baseline file."""

    salt: bytes
    entries: dict[tuple[str, str, str], Suppression]
    """By rule, path and check."""

    def of(self, rule: str, paths: Iterable[str], mark: str) -> Suppression | None:
        """The suppression of a finding; it must hold for every path that has the value."""
        found = [self.entries.get((rule, path, mark)) for path in [*paths] or [""]]
        return found[0] if found and all(found) else None


def load(path: Path) -> Baseline:
    """The baseline of a file.

    Raises:
        ConfigError: the file cannot be read, or is not a baseline.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        entries = {
            (entry["rule"], entry["path"], entry["check"]): Suppression(
                str(entry.get("reason") or "") or None, _until(entry)
            )
            for entry in table.get("accepted", [])
        }
        return Baseline(bytes.fromhex(table["salt"]), entries)
    except (OSError, ValueError, KeyError, TypeError) as failure:
        raise ConfigError(
            f"{path}: not a baseline", advice="make one: keyatlas scan --write-baseline FILE"
        ) from failure


def _quoted(text: str) -> str:
    """A basic string of TOML; JSON's escapes are TOML's, but for halves of characters."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _until(entry: dict[str, Any]) -> date | None:
    until = entry.get("until")
    return until if isinstance(until, date) and not isinstance(until, datetime) else None


def new_salt() -> bytes:
    """For a baseline that is to be written."""
    return os.urandom(16)


def written(salt: bytes, secrets: Iterable[tuple[Secret, str]], *, reason: str, until: date) -> str:
    """A baseline that accepts these findings (with their checks), as TOML; one entry for each path."""
    lines = [
        "# Findings that are accepted for now, made by `keyatlas scan --write-baseline`. An entry ends on its date.",
        f'salt = "{salt.hex()}"',
    ]
    for secret, mark in sorted(secrets, key=lambda pair: (pair[0].rule, pair[0].path or "", pair[1])):
        for path in secret.paths or (secret.path or "",):
            lines += [
                "",
                "[[accepted]]",
                f"rule = {_quoted(secret.rule)}",
                f"path = {_quoted(path)}",
                f'check = "{mark}"',
                f"reason = {_quoted(reason)}",
                f"until = {until.isoformat()}",
            ]
    return "\n".join(lines) + "\n"
