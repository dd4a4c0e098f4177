"""From candidate to finding: what says that this is a secret, and how sure we are.

Refuses to: look further than `MARGIN` around a candidate's end (so that what is found does not depend on where the
stream was cut), or to keep a value: what leaves here is a fingerprint, a preview and a place.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from collectors.code._examples import checksum
from collectors.code._rules import PEM, Rule, patterns
from collectors.code._stream import Piece
from toolkit.identity import Fingerprinter

BEHIND: Final = 512
AHEAD: Final = 32 << 10  # the PEM of a 16,384 bit RSA key has 13 kB
MARGIN: Final = AHEAD + BEHIND
# Short words only as people write them: in any mix of cases they would strike one random token in a thousand.
_PLACEHOLDER: Final = re.compile(
    rb"(?i:example|placeholder|changeme|change_me|redacted|dummy|sample|insert|replace)|your|YOUR|fake|FAKE|xxxx|XXXX|"
    rb"\*\*\*|\.\.\.|0123456789abc|123456789012345|abcdefgh|(.)\1{7}|<[a-z]|\$\{|\{\{|%\(|deadbeefdeadbeef"
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A confirmed finding at one place of one blob."""

    rule: Rule
    uid: str
    name: bytes
    offset: int
    line: int
    column: int | None
    preview: str
    confidence: float
    reasons: tuple[str, ...]


class Lines:
    """Counts line ends from the last place asked for, so that a blob full of findings is read once."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._piece: Piece | None = None
        self._place = self._count = 0

    def before(self, piece: Piece, place: int) -> int:
        """Line ends of the blob before `place`."""
        if piece is not self._piece or place < self._place:
            self._piece, self._place, self._count = piece, piece.start, piece.lines
        self._count += bytes(self._data[self._place : place]).count(b"\n")
        self._place = place
        return self._count


def confirm(
    number: int, rule: Rule, data: memoryview, piece: Piece, end: int, lines: Lines, fingerprinter: Fingerprinter
) -> tuple[Hit, bytes] | None:
    """The finding that covers the byte before `end`, with its value for the caller to parse and forget."""
    is_pem = PEM in rule.checks
    left, right = max(piece.start, end - BEHIND), min(piece.end, end + (AHEAD if is_pem else min(rule.ahead, AHEAD)))
    window = bytes(data[left:right])
    within = end - left
    if is_pem:
        # A block ends at the next boundary or not at all: without this, headers alone cost 32 kB of search each.
        boundary = window.find(b"-----", within)
        if not window.startswith(b"-----END", boundary):
            return None
        window = window[: boundary + 128]
    found = next((m for m in patterns()[number].finditer(window) if m.end() >= within), None)
    if found is None or found.start() >= within:
        return None
    group = 1 if found.re.groups else 0
    value = found[group]
    judged = judge(rule, value)
    if judged is None:
        return None
    start = left + found.start(group)
    line_start = window.rfind(b"\n", 0, found.start(group)) + 1
    # Where the line began further away than we look, the column is not told.
    is_column_known = line_start > 0 or (left == piece.start and piece.offset == 0)
    column = start - (left + line_start) + 1 if is_column_known else None
    line = lines.before(piece, start) + 1
    shown = value[: rule.shown].decode("ascii", "replace")
    preview = f"{shown}… ({len(value)} characters)"
    offset = piece.offset + start - piece.start
    return Hit(rule, fingerprinter.uid(value), piece.name, offset, line, column, preview, *judged), value


def judge(rule: Rule, value: bytes) -> tuple[float, tuple[str, ...]] | None:
    """Confidence (0..1) and its reasons; None where the value is not a secret."""
    secret = value[rule.shown :]
    if PEM in rule.checks:
        return rule.confidence, ("a complete PEM block",)
    if _PLACEHOLDER.search(secret):
        return None
    confidence, reasons = rule.confidence, [f"has the form of: {rule.title}"]
    entropy = bits_a_character(secret)
    if entropy < rule.min_entropy:
        return None
    reasons.append(f"entropy {entropy:.1f} bits a character")
    for check in rule.checks:
        said = CHECKS[check](value)
        if said is None:
            return None
        if said:
            reasons.append(said)
            confidence = 0.99
    return round(confidence, 2), tuple(reasons)


def bits_a_character(text: bytes) -> float:
    """Shannon entropy of the characters as they occur."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values()) if size else 0.0


def _crc32(value: bytes) -> str | None:
    body = value.rpartition(b"_")[2]
    return "its checksum fits" if checksum(body[:-6]) == body[-6:] else None


def _crc32_if(value: bytes) -> str:
    return _crc32(value) or ""


def _jwt(value: bytes) -> str | None:
    head = value.split(b".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return None
    return "" if isinstance(told, dict) and str(told.get("alg", "none")).lower() != "none" else None


def _mixed(value: bytes) -> str | None:
    """Neither a word, nor a number, nor a path: letters of both cases and digits."""
    kinds = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")
    return "" if all(re.search(kind, value) for kind in kinds) and value.count(b"/") < 6 else None


CHECKS: Final[dict[str, Callable[[bytes], str | None]]] = {
    "crc32": _crc32,
    "crc32-if": _crc32_if,
    "jwt": _jwt,
    "mixed": _mixed,
}
"""Name of a check -> what it says of the value: None refuses it, "" lets it pass, words make it nearly certain."""
