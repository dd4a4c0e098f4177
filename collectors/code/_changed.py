"""Candidates in versions: what a version has from its base is not scanned again, and what was found there is carried
over.

A candidate depends on the bytes near it only (`reach` before its end, `AHEAD` behind it), so one that lies within a
stretch by that much is the same candidate. What is new is scanned with what is around it, many versions in one text.
Refuses to: carry anything over from a version whose own candidates are not known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from collectors.code._engine import Candidates
from collectors.code._runs import BEFORE, GAP
from collectors.code._versions import Stretch, Version

AHEAD: Final = BEFORE
_APART: Final = GAP * 2
"""Longer than `BEFORE`, or what is found at the end of a part would depend on which part stands behind it."""
_BEGIN: Final = _APART + b" blob 0\n"
"""As in a stream of blobs: a blob's beginning is a place that expressions can name."""


def find(versions: Sequence[Version], scan: Callable[[bytes], Candidates], reach: int) -> None:
    """Fill in the candidates of versions that are not those of their bases."""
    text = _Text(reach)
    for version in versions:
        at = 0
        for stretch in version.stretches:
            after, upto = _carried(version, stretch, reach)
            if upto - after > reach + AHEAD:
                text.add(version, at, after)
                at = upto
        text.add(version, at, len(version.data) + 1)
    text.scanned(scan)


def carry(version: Version, reach: int) -> None:
    """Add those of its base that are in what it has from it; to be asked for when those of the base are known."""
    if version.base is None or not version.base.candidates:
        return
    before = version.base.candidates
    carried: Candidates = []
    for stretch in version.stretches:
        after, upto = _carried(version, stretch, reach)
        shift = stretch.new - stretch.old
        within = slice(bisect_left(before, (after - shift + 1, 0)), bisect_left(before, (upto - shift + 1, 0)))
        carried += [(end + shift, number) for end, number in before[within]]
    if carried:
        version.candidates = sorted({*version.candidates, *carried})


def _carried(version: Version, stretch: Stretch, reach: int) -> tuple[int, int]:
    """The ends of matches in the version, from behind one place up to another, that are those of its base."""
    old, new, size = stretch
    assert version.base is not None
    is_last = new + size == len(version.data) and old + size == len(version.base.data)
    # What ends with the blob may be found at the line end behind it.
    return new + reach if old or new else 0, new + size + 1 if is_last else new + size - AHEAD


class _Text:
    """Parts of versions, one behind the other."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._parts: list[bytes] = []
        self._starts: list[int] = []
        self._owners: list[tuple[Version, int, int, int]] = []
        self._size = 0

    def add(self, version: Version, after: int, upto: int) -> None:
        """What is needed to know the candidates that end in (after, upto]."""
        if upto <= after:
            return
        left = max(0, after - self._reach)
        before = _APART if left else _BEGIN
        part = version.data[left : upto + AHEAD]
        start = self._size + len(before)
        self._parts += (before, part)
        self._starts.append(start)
        self._owners.append((version, left - start, after, upto))
        self._size = start + len(part)

    def scanned(self, scan: Callable[[bytes], Candidates]) -> None:
        """Gives each version the candidates that are its own."""
        if not self._owners:
            return
        self._parts.append(GAP)
        for end, number in scan(b"".join(self._parts)):
            at = bisect_right(self._starts, end - 1) - 1
            version, shift, after, upto = self._owners[at]
            if at >= 0 and after < end + shift <= upto:
                version.candidates.append((end + shift, number))
