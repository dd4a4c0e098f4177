"""Which parts of a window are new: the versions of a file lie beside each other in a pack, and differ by a few lines.

What a blob shares with the one before it is not scanned again: the candidates found there are carried over. A candidate
depends on the bytes near it only (`reach` before its end, `ahead` behind it), so one that lies within a shared stretch
by that much is the same candidate; expressions without such a bound have an automaton of their own, which sees all.
Refuses to: carry anything over from a blob that is not shown whole.

>>> shared(b"aaaa-bbbb", b"aaaa+++bbbb")
[Stretch(old=0, new=0, size=4), Stretch(old=5, new=7, size=4)]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from collectors.code._stream import Piece

Candidates = list[tuple[int, int]]
Scan = Callable[[memoryview, int, Candidates], None]
"""End of the match and number of its expression."""
_LEAST: Final = 8192
"""Bytes of a blob that are scanned faster than compared."""
_STEP: Final = 1 << 14
_KEPT: Final = 8 << 20
_WORTH: Final = 3072
"""Bytes between two changes that are looked through for more that is shared."""
_CHANGES: Final = 12
_PROBES: Final = (48, 200, 800, 2400)
"""How far behind a change the text is taken up again, in bytes."""
_PROBE: Final = 32
_FAR: Final = 1 << 15


class Stretch(NamedTuple):
    """Bytes that two blobs have in common: where they begin in each, and how many."""

    old: int
    new: int
    size: int


def shared(old: bytes | memoryview, new: bytes | memoryview) -> list[Stretch]:
    """What two blobs have in common: their beginning, their end, and the greater stretches between a few changes."""
    a, b = memoryview(old), memoryview(new)
    size = min(len(a), len(b))
    head = _alike(a[:size], b[:size])
    rest = size - head
    tail = _alike_behind(a[len(a) - rest :], b[len(b) - rest :])
    found = [Stretch(0, 0, head)] if head else []
    if rest - tail > _WORTH and 4 * (head + tail) > size:
        found += _between(a, b, head, (len(a) - tail, len(b) - tail))
    return [*found, Stretch(len(a) - tail, len(b) - tail, tail)] if tail else found


def _between(a: memoryview, b: memoryview, head: int, end: tuple[int, int]) -> list[Stretch]:
    found: list[Stretch] = []
    text = bytes(a[head : end[0]])
    i = j = head
    for _ in range(_CHANGES):
        for probe in _PROBES:
            at = j + probe
            if at + _PROBE > end[1]:
                return found
            place = text.find(b[at : at + _PROBE], i - head, i - head + _FAR)
            if place >= 0:
                break
        else:
            return found
        place += head
        back = min(probe, place - i)
        back = _alike_behind(a[place - back : place], b[at - back : at])
        size = min(end[0] - place, end[1] - at)
        size = _alike(a[place : place + size], b[at : at + size])
        found.append(Stretch(place - back, at - back, size + back))
        i, j = place + size, at + size
    return found


def _alike(a: memoryview, b: memoryview) -> int:
    """Bytes that two texts of one length have in common at their beginning."""
    at = 0
    # Comparing bytes is a copy and a memcmp, which is several times as fast as comparing arrays.
    while at < len(a) and bytes(a[at : at + _STEP]) == bytes(b[at : at + _STEP]):
        at += _STEP
    differs = np.frombuffer(a[at : at + _STEP], np.uint8) != np.frombuffer(b[at : at + _STEP], np.uint8)
    return at + int(differs.argmax()) if at < len(a) else len(a)


def _alike_behind(a: memoryview, b: memoryview) -> int:
    """Bytes that two texts of one length have in common at their end."""
    at = len(a)
    while at > 0 and bytes(a[max(0, at - _STEP) : at]) == bytes(b[max(0, at - _STEP) : at]):
        at -= _STEP
    if at <= 0:
        return len(a)
    part = slice(max(0, at - _STEP), at)
    differs = np.frombuffer(a[part], np.uint8) != np.frombuffer(b[part], np.uint8)
    return len(a) - at + int(differs[::-1].argmax())


class _Carry(NamedTuple):
    """Ends of matches, by their place in a blob, that are those of the blob before it, moved by `shift`."""

    after: int
    upto: int
    shift: int


class Changed:
    """Scans windows, one after the other, but for what a blob shares with the one before it."""

    def __init__(self, narrow: Scan, wide: Scan, reach: int, ahead: int = 0) -> None:
        self._narrow = narrow
        self._wide = wide
        self._reach = reach
        self._ahead = ahead
        self._last: tuple[bytes, Candidates] = b"", []
        self.skipped = 0
        """Bytes that were not scanned."""

    def candidates(self, window: memoryview, pieces: Sequence[Piece]) -> Candidates:
        """All matches in the window, by their end."""
        plan = self._planned(window, pieces)
        found: Candidates = []
        at = 0
        for number, carries in plan:
            piece = pieces[number]
            for carry in carries:
                # What begins in the header before the blob is that of any blob's header.
                upto = piece.start + carry.after + (self._ahead if carry.after else 0)
                self._narrow(window[at:upto], at, found)
                at = piece.start + carry.upto - (0 if carry.upto > piece.end - piece.start else self._reach)
                self.skipped += at - upto
        self._narrow(window[at:], at, found)
        found = sorted(set(found))
        if plan:
            found = self._carried(pieces, plan, found)
        self._keep(window, pieces, found)
        long: Candidates = []
        self._wide(window, 0, long)
        return sorted({*found, *long}) if long else found

    def _planned(self, window: memoryview, pieces: Sequence[Piece]) -> list[tuple[int, list[_Carry]]]:
        """Which pieces have something to carry over from the one before, and what."""
        plan: list[tuple[int, list[_Carry]]] = []
        old: bytes | memoryview = self._last[0]
        for number, piece in enumerate(pieces):
            size = piece.end - piece.start
            if size < _LEAST or not _is_whole(piece):
                old = b""
                continue
            new = window[piece.start : piece.end]
            if _is_alike(old, new) and (carries := self._carries(old, new)):
                plan.append((number, carries))
            old = new
        return plan

    def _carries(self, old: bytes | memoryview, new: memoryview) -> list[_Carry]:
        carries = []
        for stretch in shared(old, new):
            is_first = stretch.old == stretch.new == 0
            is_last = stretch.old + stretch.size == len(old) and stretch.new + stretch.size == len(new)
            after = 0 if is_first else stretch.new + self._reach
            # What ends with the blob may be found at the line end of the frame behind it.
            upto = len(new) + 1 if is_last else stretch.new + stretch.size - self._ahead
            if upto - after > self._reach + self._ahead + _WORTH:
                carries.append(_Carry(after, upto, stretch.new - stretch.old))
        return carries

    def _carried(
        self, pieces: Sequence[Piece], plan: Sequence[tuple[int, list[_Carry]]], found: Candidates
    ) -> Candidates:
        whole: dict[int, Candidates] = {-1: self._last[1]}
        more: Candidates = []
        for number, carries in plan:
            piece = pieces[number]
            before = whole[number - 1] if number - 1 in whole else _of(pieces[number - 1], found)
            carried = [
                (end + carry.shift, expression)
                for carry in carries
                for end, expression in _within(before, carry.after - carry.shift, carry.upto - carry.shift)
            ]
            whole[number] = sorted({*_of(piece, found), *carried}) if carried else _of(piece, found)
            more += [(piece.start + end, expression) for end, expression in carried]
        return sorted({*found, *more}) if more else found

    def _keep(self, window: memoryview, pieces: Sequence[Piece], found: Candidates) -> None:
        last = pieces[-1]
        is_kept = _is_whole(last) and _LEAST <= last.end - last.start <= _KEPT
        self._last = (bytes(window[last.start : last.end]), _of(last, found)) if is_kept else (b"", [])


def _is_whole(piece: Piece) -> bool:
    return piece.offset == 0 and piece.upto == piece.end


def _is_alike(old: bytes | memoryview, new: memoryview) -> bool:
    """Whether a look at two places says that the blobs may share a good part; comparing them costs much more."""
    small, large = sorted((len(old), len(new)))
    if small < _LEAST or large >= 2 * small:
        return False
    part = small // 4
    head, tail = slice(part, part + _PROBE), slice(-part - _PROBE, -part)
    return old[head] == new[head] or old[tail] == new[tail]


def _of(piece: Piece, found: Candidates) -> Candidates:
    """The candidates of a piece, by their place in it."""
    return [(end - piece.start, number) for end, number in _within(found, piece.after, piece.last)]


def _within(found: Candidates, after: int, upto: int) -> Candidates:
    return found[bisect_right(found, (after, 1 << 62)) : bisect_right(found, (upto, 1 << 62))]
