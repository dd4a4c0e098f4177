"""A stream of framed blobs, cut into windows that a block-mode scanner can read whole.

The frame is that of `git cat-file --batch`: `<name> blob <size>\\n<bytes>\\n`. A blob that fits the buffer is only ever
shown whole; a larger one is shown in pieces that overlap by `margin` on both sides, and each piece says which offsets
are its own. So what is found depends on the blobs alone, never on where the chunks were cut.
Refuses to: hold more than the buffer, or trust a frame that is not one.

>>> stream = BlobStream(Joined([b"a blob 3\\nabc\\n", b"b missing\\n"]).readinto, chunk=64, margin=8)
>>> [(bytes(data[p.start:p.end]), p.name) for data, pieces in stream.windows() for p in pieces], stream.missing
([(b'abc', b'a')], [b'b'])
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple, Self

from toolkit.errors import SourceBroken

CHUNK: Final = 4 << 20  # where the time per byte stopped falling when measured
_HEADER_LIMIT: Final = 1 << 15  # a file's percent-encoded path is a name too


class Piece(NamedTuple):  # a tuple, since there is one for every blob of a history
    """A run of one blob inside a window: where it lies, and the ends of matches (buffer offsets) it answers for."""

    name: bytes
    start: int
    end: int
    offset: int
    """Place of `start` in the blob."""
    lines: int
    """Line ends in the blob before `start`."""
    after: int
    upto: int

    @property
    def last(self) -> int:
        """The last end it answers for; what ends with the blob may be found at the line end of the frame behind it."""
        return self.upto + (self.upto == self.end)


class Joined(io.RawIOBase):
    """Many pieces of bytes, read as one stream."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, view: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no len()
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class Ahead:
    """Reads a pipe in a thread of its own, so that the writer goes on while a window is scanned."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(maxsize=8)
        self._rest = memoryview(b"")
        self._is_over = False
        self._is_left = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._is_left.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._queue.get(timeout=0.05)

    def _run(self) -> None:
        said: bytes | BaseException = b"."
        while said and not isinstance(said, BaseException) and not self._is_left.is_set():
            try:
                said = self._read()
            except (OSError, ValueError, SourceBroken) as failure:
                said = failure
            self._queue.put(said)

    def readinto(self, view: memoryview) -> int:
        """Bytes into `view`; 0 at the end. What the thread met is raised here."""
        if not self._rest and not self._is_over:
            said = self._queue.get()
            if isinstance(said, BaseException):
                raise said
            self._rest, self._is_over = memoryview(said), not said
        size = min(len(view), len(self._rest))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class BlobStream:
    """Reads frames from `readinto` into one buffer."""

    def __init__(self, readinto: Callable[[memoryview], int], *, chunk: int = CHUNK, margin: int) -> None:
        self._readinto = readinto
        self._margin = margin
        self._buffer = bytearray(chunk + 2 * margin + _HEADER_LIMIT)
        self._fill = 0
        self._big: tuple[bytes, int, int] | None = None  # name, blob offset of buffer[0], bytes of it not yet let go
        self._own_from = 0
        self._lines = 0
        self.finished = 0
        """Frames read to their end, missing ones included: after a cut, the next one is the culprit."""
        self.missing: list[bytes] = []

    def windows(self) -> Iterator[tuple[memoryview, list[Piece]]]:
        """Each window and the pieces in it; a window is valid until the next is asked for."""
        view = memoryview(self._buffer)
        while self._more(view):
            pieces: list[Piece] = []
            scanned, keep = self._cut(pieces)
            if pieces:
                yield view[:scanned], pieces
            rest = self._fill - keep
            if keep:
                view[:rest] = view[keep : self._fill]
            self._fill = rest

    def _more(self, view: memoryview) -> bool:
        before = self._fill
        while self._fill < len(view):
            size = self._readinto(view[self._fill :])
            if not size:
                break
            self._fill += size
        return self._fill > before

    def _cut(self, pieces: list[Piece]) -> tuple[int, int]:
        """Frames of the filled buffer into `pieces`; where the window ends, and from where the buffer is kept."""
        position = 0
        if self._big is not None:
            name, offset, size = self._big
            if size + 1 > self._fill:
                return self._large(name, 0, offset, size, pieces)
            pieces.append(Piece(name, 0, size, offset, self._lines, self._own_from, size))
            position, self._big = size + 1, None
            self.finished += 1
        return self._whole(position, pieces)

    def _whole(self, position: int, pieces: list[Piece]) -> tuple[int, int]:
        buffer, fill = self._buffer, self._fill
        find, add = buffer.find, pieces.append
        while True:
            newline = find(b"\n", position, fill)
            if newline < 0:
                if fill - position > _HEADER_LIMIT:
                    raise SourceBroken(
                        "the stream of blobs is not framed as git frames it", advice="check git's version"
                    )
                return position, position
            name, size = _header(buffer[position:newline])
            start = newline + 1
            end = start + size
            if size < 0:
                self.missing.append(name)
                self.finished += 1
                position = start
            elif end < fill:
                add(Piece(name, start, end, 0, 0, newline, end))
                self.finished += 1
                position = end + 1
            elif end + 1 - position <= len(buffer):
                return position, position
            elif fill - start <= 2 * self._margin:
                # Too little of it yet to make a piece with margins: move it to the front and read on.
                return position, position
            else:
                self._own_from, self._lines = newline, 0
                return self._large(name, start, 0, size, pieces)

    def _large(self, name: bytes, start: int, offset: int, size: int, pieces: list[Piece]) -> tuple[int, int]:
        """What is here of a blob that does not fit: its last `margin` bytes are context only, and are kept."""
        end = min(self._fill, start + size)
        own_to = end - self._margin
        pieces.append(Piece(name, start, end, offset, self._lines, self._own_from, own_to))
        keep = own_to - self._margin
        self._lines += self._buffer.count(b"\n", start, keep)
        self._own_from = self._margin
        self._big = (name, offset + keep - start, size - (keep - start))
        return end, keep


def _header(line: bytearray) -> tuple[bytes, int]:
    name, _, rest = bytes(line).partition(b" ")
    if rest == b"missing":
        return name, -1
    kind, _, size = rest.partition(b" ")
    if not kind or not size.isdigit():
        raise SourceBroken("the stream of blobs is not framed as git frames it", advice="check git's version")
    return name, int(size)
