"""Which parts of a window are new: the versions of a file lie beside each other in a pack, and differ by a few lines.

What a blob shares with the one before it, at its beginning and at its end, is not scanned again: the candidates found
there are carried over. The automaton's matches have a greatest length (`reach`), so a match that lies within the shared
part by that much is the same match; expressions without such a length have an automaton of their own, which sees all.
Refuses to: carry anything over from a blob that is not shown whole.

>>> shared(np.frombuffer(b"aaaa-bbbb", np.uint8), np.frombuffer(b"aaaa+++bbbb", np.uint8))
(4, 4)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collectors.code._stream import Piece

Bytes = NDArray[np.uint8]
Candidates = list[tuple[int, int]]
Scan = Callable[[memoryview, int, Candidates], None]
"""End of the match and number of its expression."""
_LEAST: Final = 4096
_MOST: Final = 1 << 18
_KEPT: Final = 8 << 20


def shared(old: Bytes, new: Bytes) -> tuple[int, int]:
    """How many bytes two blobs share at their beginning, and how many of the rest at their end."""
    size = min(len(old), len(new))
    head = _equal(old[:size], new[:size])
    rest = size - head
    return head, _equal(old[len(old) - rest :][::-1], new[len(new) - rest :][::-1]) if rest else 0


def _equal(old: Bytes, new: Bytes) -> int:
    at, step = 0, _LEAST
    while at < len(old):
        differs = old[at : at + step] != new[at : at + step]
        first = int(differs.argmax())
        if differs[first]:
            return at + first
        at += step
        step = min(step * 4, _MOST)
    return len(old)


class Changed:
    """Scans windows, one after the other, but for what a blob shares with the one before it."""

    def __init__(self, narrow: Scan, wide: Scan, reach: int) -> None:
        self._narrow = narrow
        self._wide = wide
        self._reach = reach
        self._last: tuple[Bytes, Candidates] | None = None
        self.skipped = 0
        """Bytes that were not scanned."""

    def candidates(self, window: memoryview, pieces: Sequence[Piece]) -> Candidates:
        """All matches in the window, by their end."""
        found: Candidates = []
        data: Bytes = np.frombuffer(window, np.uint8)
        parts, segments = self._planned(data, pieces, self._reach)
        for start, end in segments:
            self._narrow(window[start:end], start, found)
        found = sorted(set(found))
        if any(part is not None for part in parts):
            found = self._carried(pieces, parts, found, self._reach)
        self._keep(data, pieces, found)
        long: Candidates = []
        self._wide(window, 0, long)
        return sorted({*found, *long}) if long else found

    def _planned(
        self, data: Bytes, pieces: Sequence[Piece], reach: int
    ) -> tuple[list[tuple[int, int] | None], list[tuple[int, int]]]:
        """For each piece what it shares with the one before, and the runs of the window that are to be scanned."""
        parts: list[tuple[int, int] | None] = []
        segments: list[tuple[int, int]] = []
        old = self._last[0] if self._last is not None else None
        at = 0
        for piece in pieces:
            new = data[piece.start : piece.end] if _is_whole(piece) else None
            part = shared(old, new) if old is not None and new is not None and _is_alike(old, new) else None
            if part is not None and sum(part) < len(new if new is not None else ()) // 2 + 2 * reach:
                part = None
            parts.append(part)
            if part is not None:
                head, tail = part
                if head > reach:
                    segments.append((at, piece.start))
                    at = piece.start + head - reach
                    self.skipped += head - reach
                if tail > reach:
                    segments.append((at, piece.end - tail + reach))
                    at = piece.end
                    self.skipped += tail - reach
            old = new if new is not None and len(new) >= _LEAST else None
        segments.append((at, len(data)))
        return parts, [segment for segment in segments if segment[0] < segment[1]]

    def _carried(
        self, pieces: Sequence[Piece], parts: Sequence[tuple[int, int] | None], found: Candidates, reach: int
    ) -> Candidates:
        out: Candidates = []
        before = self._last[1] if self._last is not None else []
        size = len(self._last[0]) if self._last is not None else 0
        for piece, part in zip(pieces, parts, strict=True):
            mine = _of(piece, found)
            if part is not None and before:
                head, tail = part
                shift = piece.end - piece.start - size
                mine = sorted(
                    {*mine}
                    | {pair for pair in before if pair[0] <= head}
                    | {(end + shift, number) for end, number in before if end > size - tail + reach}
                )
            out += [(piece.start + end, number) for end, number in mine]
            before, size = mine, piece.end - piece.start
        return out

    def _keep(self, data: Bytes, pieces: Sequence[Piece], found: Candidates) -> None:
        last = pieces[-1]
        is_kept = _is_whole(last) and _LEAST <= last.end - last.start <= _KEPT
        self._last = (data[last.start : last.end].copy(), _of(last, found)) if is_kept else None


def _is_whole(piece: Piece) -> bool:
    return piece.offset == 0 and piece.upto == piece.end


def _is_alike(old: Bytes, new: Bytes) -> bool:
    small, large = sorted((len(old), len(new)))
    return small >= _LEAST and large < 2 * small and bool((old[:16] == new[:16]).all() or (old[-16:] == new[-16:]).all())  # noqa: E501  # fmt: skip


def _of(piece: Piece, found: Candidates) -> Candidates:
    """The candidates of a piece, by their place in it."""
    first: Any = bisect_right(found, (piece.after, 1 << 62))
    last = bisect_left(found, (piece.last, 1 << 62))
    return [(end - piece.start, number) for end, number in found[first:last]]
