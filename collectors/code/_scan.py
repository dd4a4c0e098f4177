"""One pass of hyperscan over a stream of blobs, headers and all; candidates are mapped back to their blobs.

What lies in a blob under an encoding is decoded and scanned at once; files that enclose others are noted, and opened
afterwards with `open`, whole.
Refuses to: hold a value longer than it takes to name it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from collectors.code import _decode
from collectors.code._book import Book
from collectors.code._changed import carry, find
from collectors.code._confirm import MARGIN, Confirmed, Confirmer
from collectors.code._decode import Budget, Enclosure, Marker
from collectors.code._engine import Candidates, Engine
from collectors.code._hits import Hit
from collectors.code._rules import MATERIAL
from collectors.code._stream import BlobStream, Piece
from collectors.code._versions import Version
from toolkit.identity import Fingerprinter
from toolkit.model import Key, Row
from toolkit.terms import KeyType

MOST: Final = 2_000
"""Findings of one rule that are told of one blob: a list of a million tokens is one fact."""
BATCH: Final = 24 << 20
"""Bytes of versions whose new parts are scanned as one text."""
_EACH: Final = 1000
"""Bytes that a version takes beyond its own: most blobs of some repositories are smaller than that."""
Parse = Callable[[str, bytes], tuple[Row, ...]]


@dataclass(frozen=True, slots=True)
class _Inside:
    """Where text that was unwrapped came from: a place of its own in a member, that of its run in an encoding."""

    name: bytes
    wrapped: tuple[str, ...]
    depth: int
    budget: Budget
    at: tuple[int, int, int | None] | None = None


class Lines:
    """Counts line ends from the last place asked for, so that a blob full of findings is read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._piece: Piece | None = None
        self._place = self._count = 0

    def before(self, piece: Piece, place: int) -> int:
        """Line ends of the blob before `place`."""
        if piece is not self._piece or place < self._place:
            self._piece, self._place, self._count = piece, piece.start, piece.lines
        self._count += self._data.count(b"\n", self._place, place)
        self._place = place
        return self._count


class Scanner:
    """Finds secrets in streams; not shared between threads (hyperscan's scratch is not)."""

    def __init__(self, book: Book, fingerprinter: Fingerprinter, parse: Parse, *, salt: bytes | None = None) -> None:
        self._book = book
        self._fingerprinter = fingerprinter
        self._confirmer = Confirmer(book, fingerprinter, salt)
        self._parse = parse
        self._told: set[tuple[str, bytes, int, str]] = set()
        self._counts: Counter[tuple[str, bytes]] = Counter()
        self._engine = Engine(book)
        self.material: dict[str, tuple[Row, ...]] = {}
        """Key and certificate rows of the values that are PEM blocks and the like, by uid."""
        self.enclosures: dict[bytes, Enclosure] = {}
        """Blobs to be opened."""
        self.values: dict[str, tuple[str, bytes]] | None = None
        """Where a dictionary is put here: rule and value of each finding, by uid, for the caller to show and forget."""
        self.failed: list[tuple[bytes, str]] = []
        """Blobs that could not be opened whole, and why."""

    def hits(self, stream: BlobStream) -> Iterator[Hit]:
        """Every finding, by place in the stream."""
        for window, pieces in stream.windows():
            text = bytes(window)
            if candidates := self._engine.candidates(text):
                # A large blob's finding may have candidates on both sides of a cut; the rest is forgotten.
                self._forget(pieces[0].name)
                yield from self._confirmed(text, pieces, candidates, None)

    def versions(self, versions: Iterable[Version]) -> Iterator[Hit]:
        """Every finding in versions, of which each stands behind its base."""
        for batch in _batches(versions):
            find(batch, self._engine.candidates, self._book.reach)
            self._forget(None)
            for version in batch:
                carry(version, self._book.reach)
                version.base = None  # or a version would keep all that it comes from
                if version.candidates:
                    size = len(version.data)
                    piece = Piece(version.name, 0, size, 0, 0, -1, size)
                    used: Candidates = []
                    yield from self._confirmed(version.data, [piece], version.candidates, None, used)
                    version.candidates = used

    def _forget(self, name: bytes | None) -> None:
        """What was told of blobs other than this one will not come again."""
        self._told = {told for told in self._told if told[1] == name}
        self._counts = Counter({key: n for key, n in self._counts.items() if key[1] == name})

    def open(self, name: bytes, data: bytes) -> Iterator[Hit]:
        """What is in an enclosure."""
        yield from self._opened(data, _Inside(name, (), 0, Budget()))

    def _confirmed(
        self,
        window: bytes,
        pieces: list[Piece],
        candidates: Candidates,
        inside: _Inside | None,
        used: Candidates | None = None,
    ) -> Iterator[Hit]:
        """Findings; candidates that may give one in a version that has them are added to `used`."""
        starts = [piece.start for piece in pieces]
        lines = Lines(window)
        found: dict[int, list[tuple[int, Confirmed]]] = {}
        runs: dict[int, int] = {}
        for end, expression in candidates:
            # A match ends behind its last byte, so a piece's own ends lie in (after, upto].
            at = bisect_right(starts, end - 1) - 1
            if at < 0 or not pieces[at].after < end <= pieces[at].last:
                continue
            piece = pieces[at]
            if expression < self._book.markers:
                left, made, is_spent = self._confirmer.confirm(expression, window, piece.start, piece.end, end)
                if made:
                    found.setdefault(at, []).extend((left, one) for one in made)
                if used is not None and not is_spent:
                    used.append((end, expression))
                continue
            if used is not None:
                used.append((end, expression))
            if end > runs.get(at, 0):
                marker = _decode.MARKERS[expression - self._book.markers]
                runs[at] = yield from self._marked(marker, window, piece, end, lines, inside)
        for at, those in found.items():
            yield from self._told_once(pieces[at], _best(those), window, lines, inside)

    def _told_once(
        self,
        piece: Piece,
        found: Iterable[tuple[int, Confirmed]],
        window: bytes,
        lines: Lines,
        inside: _Inside | None,
    ) -> Iterator[Hit]:
        for left, one in found:
            hit = self._hit(piece, left, one, window, lines, inside)
            told = (hit.rule, hit.name, hit.offset, hit.uid)
            self._counts[told[:2]] += 1
            if told in self._told or self._counts[told[:2]] > MOST:
                continue
            self._told.add(told)
            if MATERIAL.intersection(self._book.rules[one.number].checks) and one.uid not in self.material:
                self.material[one.uid] = self._parse(one.uid, one.value)
            if self.values is not None:
                self.values[one.uid] = hit.rule, one.value
            yield hit

    def _hit(self, piece: Piece, left: int, one: Confirmed, window: bytes, lines: Lines, inside: _Inside | None) -> Hit:
        rule = self._book.rules[one.number]
        start = left + one.start
        if inside is not None and inside.at is not None:
            offset, line, column = inside.at
            end_column = None
        else:
            offset, line = piece.offset + start - piece.start, lines.before(piece, start) + 1
            column = _column(window, piece, start)
            is_one_line = b"\n" not in one.value
            width = len(one.value.decode("utf-8", "replace"))
            end_column = column + width if column is not None and is_one_line else None
        wrapped = inside.wrapped if inside is not None else ()
        reasons = (*one.reasons, f"unwrapped from {' in '.join(reversed(wrapped))}") if wrapped else one.reasons
        name = piece.name
        wish = (one.wish.reason, one.wish.until.isoformat() if one.wish.until else None) if one.wish else None
        return Hit(
            rule.id, one.uid, name, offset, line, column, end_column, one.preview, one.confidence, reasons, one.facts,
            wrapped, one.mark, wish,
        )  # fmt: skip

    def _marked(
        self, marker: Marker, window: bytes, piece: Piece, end: int, lines: Lines, inside: _Inside | None
    ) -> Generator[Hit, None, int]:
        """Findings in what the marker stands for; the place up to which the window is dealt with is returned."""
        if isinstance(marker.kind, Enclosure):
            if inside is None and piece.offset == 0:
                self.enclosures.setdefault(piece.name, marker.kind)
            return 0
        left, right = max(piece.start, end - MARGIN // 2), min(piece.end, end + MARGIN)
        around = window[left:right]
        run = _decode.run_around(marker, around, end - left)
        depth = inside.depth if inside is not None else 0
        if run is None or depth >= _decode.DEPTH or len(run[1]) < 8:
            return 0
        start, decoded = left + run[0], run[1]
        place = (piece.offset + start - piece.start, lines.before(piece, start) + 1, _column(window, piece, start))
        wrapped = (*(inside.wrapped if inside is not None else ()), marker.kind.value)
        at = inside.at if inside is not None and inside.at is not None else place
        budget = inside.budget if inside is not None else Budget()
        yield from self._scanned(decoded, _Inside(piece.name, wrapped, depth + 1, budget, at))
        return end

    def _scanned(self, data: bytes, inside: _Inside) -> Iterator[Hit]:
        """Findings in unwrapped bytes, or in what they enclose in turn."""
        if _decode.sniffed(data[:512]) is not None:
            yield from self._opened(data, inside)
            return
        # A frame ends with a line end, and a run that ends with its blob is found by it.
        text = b"\n" + data + b"\n"
        if candidates := self._engine.candidates(text):
            piece = Piece(inside.name, 1, len(text), 0, 0, 0, len(text))
            yield from self._confirmed(text, [piece], candidates, inside)

    def _opened(self, data: bytes, inside: _Inside) -> Iterator[Hit]:
        kind = _decode.sniffed(data[:512])
        if kind is None:
            return
        if kind is Enclosure.KEYS:
            yield from self._key_file(data, inside)
            return
        if inside.depth >= _decode.DEPTH:
            self.failed.append((inside.name, f"enclosures lie deeper than {_decode.DEPTH} in each other"))
            return
        try:
            for name, content in _decode.members(kind, data, inside.budget):
                wrapped = (*inside.wrapped, f"{kind.value}:{name}" if name else kind.value)
                deeper = _Inside(inside.name, wrapped, inside.depth + 1, inside.budget, inside.at)
                yield from self._scanned(content, deeper)
        except _decode.TooMuch:
            self.failed.append((inside.name, f"the {kind.value} holds more than is read"))
        except _decode.Unreadable as failure:
            self.failed.append((inside.name, str(failure)))

    def _key_file(self, data: bytes, inside: _Inside) -> Iterator[Hit]:
        """A file that is a key as a whole: a key store, or a key in DER."""
        uid = self._fingerprinter.uid(data)
        rows = self.material.get(uid) or self._parse(uid, data)
        if any(isinstance(row, Key) and row.key_type is not KeyType.PUBLIC_KEY for row in rows):
            self.material[uid] = rows
            preview = f"… ({len(data)} bytes)"
            reasons = ("a file of key material", *((f"unwrapped from {inside.wrapped[-1]}",) if inside.wrapped else ()))
            yield Hit("key-file", uid, inside.name, 0, 1, None, None, preview, 0.9, reasons, (), inside.wrapped)


def _batches(versions: Iterable[Version]) -> Iterator[list[Version]]:
    batch: list[Version] = []
    size = 0
    for version in versions:
        batch.append(version)
        size += len(version.data) + _EACH
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _best(found: list[tuple[int, Confirmed]]) -> list[tuple[int, Confirmed]]:
    """By place; of findings that overlap, the surest."""
    kept: list[tuple[int, Confirmed]] = []
    for left, one in sorted(found, key=lambda pair: (pair[0] + pair[1].start, -pair[1].confidence)):
        if kept and left + one.start < kept[-1][0] + kept[-1][1].end:
            if one.confidence > kept[-1][1].confidence:
                kept[-1] = (left, one)
        else:
            kept.append((left, one))
    return kept


def _column(window: bytes, piece: Piece, start: int) -> int | None:
    """From 1, in characters; None where the line began further away than we look."""
    left = max(piece.start, start - MARGIN // 2)
    before = window[left:start]
    begin = before.rfind(b"\n") + 1
    is_known = begin > 0 or (left == piece.start and piece.offset == 0)
    return len(before[begin:].decode("utf-8", "replace")) + 1 if is_known else None
