"""Runs of letters and digits that may be tokens, and what stands around them: the little of a text that must be
looked at closely.

One small automaton, four times as fast as that of all formats, fires a little behind a run's first digit, or what else
words seldom have. The formats that have no long word of their own are looked for around such places only.
Refuses to: look further than `REACH` from any place, so that what is found depends on what lies near it alone.

>>> text = b'an ordinary line\\nkey = "ab1cdefgh"\\nand another'
>>> [text[start:end] for start, end in regions(text, [28])]
[b'an ordinary line\\nkey = "ab1cdefgh"\\n']
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

FIRES: Final = r"[^A-Za-z0-9_\-][A-Za-z_\-]*(?:[0-9]|[A-Z][a-z][A-Z])[A-Za-z0-9_\-]{6}"
"""Behind a run's first digit, or small letter between capitals; few enough states for hyperscan's fastest engine."""
BEFORE: Final = 160
"""Bytes before a place that belong to it."""
AFTER: Final = 330
"""Bytes behind a place that belong to it, up to the end of its line."""
WIDTH: Final = 300
"""The greatest length of a format that is looked for here."""
REACH: Final = BEFORE + 2 * AFTER
"""What is found at a place depends on no byte further before it, nor on one `BEFORE` behind it."""
_RUN: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
GAP: Final = b"\n\x01" * 40
"""Stands between two regions; no format that is looked for here can match across it."""


def regions(window: bytes, places: Iterable[int]) -> list[tuple[int, int]]:
    """The surroundings of the places (ascending), as stretches of the window that do not touch."""
    found: list[tuple[int, int]] = []
    begin = end = -1
    for place in places:
        if place < end and window[end - 1] == 10:
            continue  # of a line that is in already
        left = max(0, place - BEFORE)
        piece = window[left : place + AFTER]
        within = place - left
        if left and not piece[:within].rstrip(_RUN):
            continue  # the run began too far off
        line = piece.find(b"\n", within)
        right = left + (len(piece) if line < 0 else line + 1)
        if left > end:
            if end >= 0:
                found.append((begin, end))
            begin = left
        end = max(end, right)
    return [*found, (begin, end)] if end >= 0 else found


class Gathered:
    """Some regions of a window as one text, and the way back from a place in it."""

    def __init__(self, window: bytes, parts: Sequence[tuple[int, int]]) -> None:
        self.text = GAP.join([window[start:end] for start, end in parts])
        self._shifts: list[int] = []
        self._starts: list[int] = []
        at = 0
        for start, end in parts:
            self._starts.append(at)
            self._shifts.append(start - at)
            at += end - start + len(GAP)

    def place(self, at: int) -> int:
        """Where the end of a match in the text lies in the window."""
        return at + self._shifts[bisect_right(self._starts, at - 1) - 1]
