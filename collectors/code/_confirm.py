"""From candidate to finding: what says that this is a secret, and how sure we are.

Refuses to: look further than `MARGIN` around a candidate's end (so that what is found does not depend on where the
stream was cut), or to keep a value: what leaves here is a fingerprint, a preview and a place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from collectors.code import _values as values
from collectors.code._assigned import assigned, is_about
from collectors.code._book import Book, Called
from collectors.code._checks import CHECKS
from collectors.code._facts import facts_of, is_private_jwk
from collectors.code._rules import PEM, REACH, Rule
from collectors.code._runs import BEFORE
from collectors.code._suppression import Suppression, check, told
from toolkit.identity import Fingerprinter

BEHIND: Final = 512
_FAR: Final = 8 << 10
AHEAD: Final = 32 << 10  # the PEM of a 16,384 bit RSA key has 13 kB
MARGIN: Final = AHEAD + _FAR
_REMEMBERED: Final = 1 << 14
_COMMENTS: Final = (b"#", b"//", b"/*", b"*", b"--", b"<!--", b";", b"%", b"REM ", b"rem ", b"'")
_CUT: Final = (b"***", b"...", b"\xe2\x80\xa6", b"xxx", b"XXX", b"${", b"{{", b"<your", b"<YOUR")
"""What follows a value that somebody has cut or masked, or that is made of parts."""
_DIGEST: Final = re.compile(
    rb"(?i)(?:sha[-_]?(?:1|224|256|384|512)|md5|integrity|checksum|digest|commit|rev|revision|fingerprint|etag|blake2[bs]?)"
    rb"[\"']?[ \t]{0,4}[-=:,(\s][ \t]{0,4}[\"'(]{0,2}\Z"
)
"""What stands before a digest."""
_CALL: Final = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]{0,60}\(")
"""Code that makes the value, where the value itself would stand."""
_NEAR: Final = REACH + 40
_TEXT: Final = re.compile(rb"[A-Za-z0-9][ \t]{1,3}\Z")
_SAYS: Final = re.compile(rb"(?i)bearer|basic|token|key|secret|passw|credential|auth|[=:]")
_FAR_WORD: Final = 60
_RUN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./+:|~!@#$%^&*"
_RUN_BEHIND: Final = 800
_RUN_AHEAD: Final = 1200
_NUMBERS: Final = re.compile(rb"[0-9]+")
_ROW: Final = 0.5
"""Confidence in a value that is no chance but has all that its vendor asks for."""
_MIXED: Final = 20
"""Characters from which on words are doubted where digits and capitals stand between them."""
_SMALL: Final = 2 * BEHIND + 1024


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A finding, by its place in the window it was found in."""

    number: int
    start: int
    end: int
    uid: str
    preview: str
    confidence: float
    reasons: tuple[str, ...]
    facts: tuple[str, ...]
    value: bytes
    """For the caller to parse and forget; never shown."""
    mark: str
    """By which a baseline knows the value, where there is one."""
    wish: Suppression | None

    def __repr__(self) -> str:
        return f"Confirmed({self.number}, {self.start}, {self.end})"


class Confirmer:
    """Tries the rules that an expression calls up.

    The same lines come again in thousands of versions of a file, so what was made of a window is remembered.
    """

    def __init__(self, book: Book, fingerprinter: Fingerprinter, salt: bytes | None) -> None:
        self._book = book
        self._fingerprinter = fingerprinter
        self._salt = salt
        self._told: dict[tuple[int, int, bytes], tuple[Confirmed, ...]] = {}
        self._extents = [self._extent(calls) for calls in book.calls]

    def confirm(
        self, expression: int, data: bytes, left: int, right: int, end: int
    ) -> tuple[int, tuple[Confirmed, ...], bool]:
        """Findings that cover the byte before `end`, within data[left:right].

        Where their window begins, they themselves, and whether there are none for reasons that lie near `end`.
        """
        calls, behind, ahead = self._extents[expression]
        left, right = max(left, end - behind), min(right, end + ahead)
        if not calls:
            return self._in_run(expression, data, left, right, end)
        window = data[left:right]
        if len(window) > _SMALL:
            return left, tuple(self._tried(calls, window, end - left)), False
        key = (expression, end - left, window)
        if (told := self._told.get(key)) is None:
            told = self._remembered(key, calls)
        return left, told, False

    def _in_run(
        self, expression: int, data: bytes, left: int, right: int, end: int
    ) -> tuple[int, tuple[Confirmed, ...], bool]:
        # What stands far off says nothing of a run, and would only make each window look new.
        start = left + len(data[left : end - 1].rstrip(_RUN))
        line = data.find(b"\n", end, right)
        right = right if line < 0 else line + 1
        cut = max(data.rfind(b"\n", left, max(left, start - _NEAR)) + 1, start - 2 * _NEAR, left)
        window = data[cut:right]
        key = (expression, end - cut, window)
        if (told := self._told.get(key)) is None:
            told = self._remembered(key, self._book.called(window))
        return cut, told, not told and right <= end + BEFORE

    def _remembered(self, key: tuple[int, int, bytes], called: Called) -> tuple[Confirmed, ...]:
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        told = self._told[key] = tuple(self._tried(called, key[2], key[1])) if called else ()
        return told

    def _extent(self, calls: tuple[int, ...]) -> tuple[Called, int, int]:
        if not calls:
            return {}, _RUN_BEHIND, _RUN_AHEAD
        rules = [self._book.rules[number] for number in calls]
        behind = min(_FAR, max(rule.behind for rule in rules))
        ahead = min(AHEAD, max(AHEAD if PEM in rule.checks else rule.ahead for rule in rules))
        return dict.fromkeys(calls, (0, ())), behind, ahead

    def _tried(self, called: Called, window: bytes, within: int) -> Iterator[Confirmed]:
        for number, (first, words) in sorted(called.items()):
            rule = self._book.rules[number]
            if PEM in rule.checks:
                # A block ends at the next boundary or not at all: without this, headers alone cost 32 kB of search.
                boundary = window.find(b"-----", within)
                if not window.startswith(b"-----END", boundary):
                    continue
                shown = window[: boundary + 128]
            else:
                shown = window[: within + rule.ahead]
            made = self._one(number, rule, shown, within, first, words)
            if made is not None:
                yield made

    def _one(
        self, number: int, rule: Rule, window: bytes, within: int, first: int, words: tuple[int, ...]
    ) -> Confirmed | None:
        for found in self._book.pattern(number).finditer(window, first):
            # The terminator that ends a run is no part of the value.
            if found.end() < within - 1:
                continue
            if found.start() >= within:
                return None
            group = "value" if "value" in found.re.groupindex else 1 if found.re.groups else 0
            if rule.near and not self._is_near(number, words, window, found.start(group)):
                continue
            value = found[group]
            if found.string.startswith(_CUT, found.end(group)) or found.string.startswith(_CUT, found.end()):
                continue
            if (rule.near or "random" in rule.checks) and _DIGEST.search(found.string, 0, found.start(group)):
                continue
            if any(re.search(refused.encode(), value) for refused in rule.refused):
                continue
            judged = judge(rule, value, found)
            if judged is None:
                continue
            preview = f"{value[: rule.shown].decode('ascii', 'replace')}… ({len(value)} characters)"
            uid, facts = self._fingerprinter.uid(value), facts_of(rule, value, found)
            mark = check(self._salt, value) if self._salt is not None else ""
            place = found.start(group), found.end(group)
            wish = told(_lines_around(found.string, *place))
            return Confirmed(number, *place, uid, preview, *judged, facts, value, mark, wish)
        return None

    def _is_near(self, number: int, words: tuple[int, ...], window: bytes, start: int) -> bool:
        before = window[max(0, start - _NEAR) : start]
        # In plain text, services are named without their tokens: there the name stands right before the value.
        is_text = _TEXT.search(before) and not _SAYS.search(before, max(0, len(before) - _FAR_WORD))
        found = (self._book.beside if is_text else self._book.nearby)(number, words).search(before)
        return found is not None


def _line_end(window: bytes, at: int) -> int:
    end = window.find(b"\n", at)
    return end + 1 if end >= 0 else len(window)


def _lines_around(window: bytes, start: int, end: int) -> bytes:
    """The line before the value's first, up to the end of its last; an end of the window ends a line too."""
    begin = window.rfind(b"\n", 0, start) + 1
    before = window[window.rfind(b"\n", 0, max(0, begin - 1)) + 1 : begin].strip()
    own = window[begin : _line_end(window, end)].replace(b"\n", b" ")
    # A line before it counts where it is a comment and nothing else; else it speaks of itself.
    return before + b" " + own if before.startswith(_COMMENTS) else own


def judge(rule: Rule, value: bytes, found: re.Match[bytes]) -> tuple[float, tuple[str, ...]] | None:
    """Confidence (0..1) and its reasons; None where the value is not a secret."""
    secret = value[rule.shown :]
    if "key-file" in rule.checks:
        return None
    if PEM in rule.checks:
        return rule.sure, ("a complete PEM block",)
    if "jwk" in rule.checks:
        return (rule.sure, ("a JSON web key with private members",)) if is_private_jwk(value) else None
    if "assigned" in rule.checks:
        return assigned(found)
    if "named" in rule.checks and is_about(found.string[: found.start(1 if found.re.groups else 0)]):
        return None
    if values.is_placeholder(secret) or _CALL.match(value):
        return None
    confidence, reasons = rule.sure, [f"has the form of: {rule.title}"]
    bits = values.entropy(secret)
    if bits < (values.floor(secret) if rule.min_entropy is None else rule.min_entropy):
        return None
    reasons.append(f"entropy {bits:.1f} bits a character")
    is_row = values.is_in_a_row(secret)
    if rule.near:
        if rule.min_entropy is None and not (is_row or rule.shown) and len(secret) > 9 and values.is_wordy(secret):
            if len(secret) < _MIXED or not values.is_mixed(secret) or len(_NUMBERS.findall(secret)) < 3:
                return None
            is_row = True
        reasons.append("beside the name of its service")
    if is_row:
        confidence = min(confidence, _ROW)
        reasons.append("as if typed by hand: weak, or made up")
    for name in rule.checks:
        if name == "named":
            continue
        said = CHECKS[name](value)
        if said is None:
            return None
        if said:
            reasons.append(said)
            confidence = max(confidence, 0.99)
    return round(confidence, 2), tuple(reasons)
