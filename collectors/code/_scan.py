"""One pass of hyperscan over a stream of blobs, headers and all; candidates are mapped back to their blobs.

Refuses to: hold a value longer than it takes to name it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

import hyperscan

from collectors.code._confirm import Hit, Lines, confirm
from collectors.code._rules import database, rules
from collectors.code._stream import BlobStream, Piece
from toolkit.identity import Fingerprinter


class Scanner:
    """Finds secrets in streams; not shared between threads (hyperscan's scratch is not)."""

    def __init__(self, fingerprinter: Fingerprinter, parse: Callable[[Hit, bytes], None]) -> None:
        self._fingerprinter = fingerprinter
        self._parse = parse
        self._told: set[tuple[int, bytes, int]] = set()
        self._scratch = hyperscan.Scratch(database())

    def hits(self, stream: BlobStream) -> Iterator[Hit]:
        """Every finding, by place in the stream."""
        for window, pieces in stream.windows():
            candidates: list[tuple[int, int]] = []

            def note(rule: int, _start: int, end: int, _flags: int, _context: object) -> None:
                candidates.append((end, rule))  # noqa: B023  # called before the next window

            database().scan(window, match_event_handler=note, scratch=self._scratch)  # type: ignore[type-var]  # any buffer will do
            if candidates:
                yield from self._confirmed(window, pieces, sorted(set(candidates)))

    def _confirmed(self, window: memoryview, pieces: list[Piece], candidates: list[tuple[int, int]]) -> Iterator[Hit]:
        starts = [piece.start for piece in pieces]
        # A large blob's finding may have candidates on both sides of a cut; the rest is forgotten.
        self._told = {told for told in self._told if told[1] == pieces[0].name}
        lines = Lines(window)
        for end, number in candidates:
            # A match ends behind its last byte, so a piece's own ends lie in (after, upto].
            at = bisect_right(starts, end - 1) - 1
            if at < 0 or not pieces[at].after < end <= pieces[at].upto:
                continue
            piece = pieces[at]
            made = confirm(number, rules()[number], window, piece, end, lines, self._fingerprinter)
            if made is None:
                continue
            hit, value = made
            if (number, piece.name, hit.offset) not in self._told:
                self._told.add((number, piece.name, hit.offset))
                self._parse(hit, value)
                yield hit
