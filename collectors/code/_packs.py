"""git's pack files, read as data (gitformat-pack(5)): which blobs they hold, and of which each is stored as a change.

All entries of a pack are looked at in one sweep over its bytes, with arrays: naming a million blobs takes a second.
Refuses to: open what is no plain file, follow a link, or believe an index that does not fit its pack; what is refused
here, git is asked for.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_MAGIC: Final = b"\xfftOc\x00\x00\x00\x02"
_FANOUT: Final = 8 + 256 * 4
_HEAD: Final = 64
"""Bytes of an entry in which all is said that is asked: its kind, its size, and of which it is a change."""
_SWEEP: Final = 32 << 20
_FAR: Final = 1 << 14
"""Bytes from one entry to the next from which on their heads are read one by one: a file with holes costs no more."""
_MOST: Final = 1 << 25
"""Entries of a pack, of which each takes some 90 bytes of memory; an index with holes says more at no cost."""
_OPEN: Final = 200
"""Packs that are kept open at once; git cares for more (it repacks from 50 on), and files are left for its pipes."""
_SIZE_BYTES: Final = 8
"""Bytes behind the first that a number may have: git too refuses more, which would not fit its own numbers."""
_BLOB, _BY_PLACE, _BY_NAME = 3, 6, 7


class Damaged(Exception):
    """The pack is not what its format asks; the entry is for git to read, or to complain of."""


class Pack:
    """One pack; its entries are numbered by their place in it.

    Raises:
        Damaged: the index does not fit the pack, or is of another edition.
        OSError: a file cannot be read.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._width = width
        self._handle = _opened(path)
        try:
            self._size = os.fstat(self._handle).st_size
            head = os.pread(self._handle, 12, 0)
            if head[:4] != b"PACK":
                raise Damaged("it is no pack")
            names, places = _index(path.with_suffix(".idx"), width, int.from_bytes(head[8:], "big"))
            by_place = np.argsort(places, kind="stable")
            self._names = names
            self._first = _first(names)
            """The first eight bytes of each name; the index keeps names in their order."""
            self._entry_of = np.empty_like(by_place)
            self._entry_of[by_place] = np.arange(len(places))
            self._by_name = by_place
            self.start = places[by_place]
            end = self._size - width
            if len(places) and (self.start[0] < 12 or self.start[-1] >= end or (np.diff(self.start) <= 0).any()):
                raise Damaged("the index names places that are not in the pack")
            self.end = np.append(self.start[1:], end)
            self._swept()
        except BaseException:
            os.close(self._handle)
            raise

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._handle)

    def _swept(self) -> None:
        """What the heads of all entries say: `kind`, `size` (of what is packed), `body` (where that begins), `base`."""
        total = len(self.start)
        self.kind = np.zeros(total, np.uint8)
        self.size, self.body = np.zeros(total, np.int64), np.zeros(total, np.int64)
        self.base = np.arange(total)
        """The entry that this one is a change of; itself where it is none, and where nobody can tell."""
        at = 0
        while at < total:
            begin = int(self.start[at])
            upto = int(np.searchsorted(self.start, begin + _SWEEP, "right"))
            entries = np.arange(at, upto)
            starts = self.start[at:upto]
            place = starts - begin
            if place[-1] > len(place) * _FAR:
                data = b"".join(os.pread(self._handle, _HEAD, start).ljust(_HEAD, b"\0") for start in starts)
                place = _HEAD * np.arange(upto - at)
            else:
                data = os.pread(self._handle, int(place[-1]) + _HEAD, begin)
                if len(data) <= place[-1]:
                    raise Damaged("the pack ended early")
            self._heads(np.frombuffer(data + bytes(_HEAD), np.uint8), place, entries)
            at = upto
        self.kind = self._root_kinds()

    def _heads(self, window: Bytes, place: Ints, entries: Ints) -> None:
        shift_of = self.start[entries] - place
        byte = window[place]
        kind = (byte >> 4) & 7
        size = (byte & 15).astype(np.int64)
        place = place + 1
        more, shift = np.flatnonzero(byte & 128), 4
        while len(more) and shift < 4 + 7 * _SIZE_BYTES:
            byte = window[place[more]]
            size[more] |= (byte & 127).astype(np.int64) << shift
            place[more] += 1
            more, shift = more[byte >= 128], shift + 7
        kind[more] = 0
        by_place = np.flatnonzero(kind == _BY_PLACE)
        self._bases_by_place(window, place, entries, by_place)
        by_name = np.flatnonzero(kind == _BY_NAME)
        if len(by_name):
            names = window[place[by_name][:, None] + np.arange(self._width)]
            self.base[entries[by_name]] = np.maximum(self._entries(names), -1)
            place[by_name] += self._width
        self.kind[entries], self.size[entries], self.body[entries] = kind, size, place + shift_of

    def _bases_by_place(self, window: Bytes, place: Ints, entries: Ints, which: Ints) -> None:
        byte = window[place[which]]
        back = (byte & 127).astype(np.int64)
        place[which] += 1
        more = np.flatnonzero(byte & 128)
        for _ in range(_SIZE_BYTES):
            if not len(more):
                break
            byte = window[place[which[more]]]
            back[more] = ((back[more] + 1) << 7) | (byte & 127)
            place[which[more]] += 1
            more = more[byte >= 128]
        back[more] = 0
        there = self.start[entries[which]] - back
        found = np.minimum(np.searchsorted(self.start, there), len(self.start) - 1)
        # A number that is too large has become negative: what git refuses must not lead forward here.
        self.base[entries[which]] = np.where((self.start[found] == there) & (back > 0), found, -1)

    def _root_kinds(self) -> Bytes:
        """The kind of what each entry is at last a change of; 0 where nobody can tell."""
        base = root = np.where(self.base < 0, np.arange(len(self.base)), self.base)
        for _ in range(len(base).bit_length()):  # as often as the longest chain that can be takes to double up
            further = root[root]
            if (further == root).all():
                break
            root = further
        self._is_round = base[root] != root
        kind = self.kind[root]
        kind[kind >= _BY_PLACE] = 0
        return kind

    def _entries(self, names: Bytes) -> Ints:
        """The entries of some names; -1 for one that is not here."""
        if not len(self._names):
            return np.full(len(names), -1)
        found = np.minimum(np.searchsorted(self._first, _first(names)), len(self._first) - 1)
        for _ in range(8):  # names with the same first eight bytes are made on purpose, and few
            wrong = (self._names[found] != names).any(1) & (self._first[found] == _first(names))
            found = np.where(wrong, np.minimum(found + 1, len(self._first) - 1), found)
        return np.where((self._names[found] == names).all(1), self._entry_of[found], -1)

    def find(self, names: Sequence[bytes]) -> Ints:
        """The entries of some ids (hex); -1 for one that is not a blob of this pack."""
        raw = np.frombuffer(bytes.fromhex(b"".join(names).decode()), np.uint8).reshape(len(names), self._width)
        found = self._entries(raw)
        return np.where((found >= 0) & (self.kind[found] == _BLOB), found, -1)

    def packed(self, start: int, end: int) -> bytes:
        """The bytes of an entry, as they are packed."""
        return os.pread(self._handle, max(end - start, 0), start)

    def families(self) -> list[bytes]:
        """Ids (hex) of all blobs, each behind the one that it is stored as a change of."""
        blobs = np.flatnonzero(self.kind == _BLOB)
        base = self.base[blobs]
        # Changes by their bases: those of one base lie beside each other, and `bounds` says where.
        is_change = (base >= 0) & (base != blobs) & (self.kind[base] == _BLOB)
        changes = blobs[is_change]
        changes = changes[np.argsort(self.base[changes], kind="stable")]
        bounds = np.searchsorted(self.base[changes], np.arange(len(self.base) + 1))
        return self._named(_descended(blobs[~is_change], changes, bounds))

    def _named(self, entries: Ints) -> list[bytes]:
        names = self._names[self._by_name[entries]].tobytes().hex().encode()
        width = 2 * self._width
        return [names[at : at + width] for at in range(0, len(names), width)]

    def untold(self) -> list[bytes]:
        """Ids (hex) of entries of which nobody can tell what they are; git has the last word."""
        return self._named(np.flatnonzero(((self.kind < 1) | (self.kind > 4)) & ~self._is_round))

    def circular(self) -> list[bytes]:
        """Ids (hex) of entries that are changes of each other: git, asked for one, runs till memory ends."""
        return self._named(np.flatnonzero(self._is_round))


def _descended(roots: Ints, changes: Ints, bounds: Ints) -> Ints:
    """Roots, each before what it is the base of: changes[bounds[base]:bounds[base + 1]]."""
    waiting, order = array("q", roots[::-1].tobytes()), array("q")
    left, right, changed = (array("q", column.tobytes()) for column in (bounds[:-1], bounds[1:], changes))
    while waiting:
        entry = waiting.pop()
        order.append(entry)
        if left[entry] < right[entry]:
            waiting.extend(reversed(changed[left[entry] : right[entry]]))
    return np.frombuffer(order, np.int64)


def packs(objects: Sequence[Path], width: int) -> Iterator[Pack]:
    """Every pack of some object folders (gitrepository-layout(5)), the largest first.

    Raises:
        Damaged: one cannot be read so.
        OSError: one cannot be read.
    """
    found = [path for folder in objects for path in (folder / "pack").glob("*.pack")]
    if len(found) > _OPEN:
        raise Damaged("there are too many packs to keep them open")
    for path in sorted(found, key=lambda path: (-path.lstat().st_size, path.name)):
        yield Pack(path, width)


def loose(objects: Sequence[Path]) -> list[bytes]:
    """Ids (hex) of objects that lie in files of their own, whatever they are."""
    found: list[bytes] = []
    for folder in objects:
        for part in folder.glob("[0-9a-f][0-9a-f]"):
            names = os.listdir(part)  # noqa: PTH208  # names are all that is asked
            found += [(part.name + name).encode() for name in names if len(name) in (38, 62)]
    return found


def _opened(path: Path) -> int:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Damaged("it is no plain file")
    return handle


def _index(path: Path, width: int, entries: int) -> tuple[Bytes, Ints]:
    """Names and places of so many entries, in the order of their names."""
    handle = _opened(path)
    try:
        size = os.fstat(handle).st_size
        head = os.pread(handle, _FANOUT, 0)
        if len(head) < _FANOUT or head[:8] != _MAGIC:
            raise Damaged("an index of another edition")
        total = int.from_bytes(head[-4:], "big")
        if total != entries or total > _MOST:
            raise Damaged("the index speaks of another pack, or of more than is held")
        if size < _FANOUT + total * (width + 8) + 2 * width:
            raise Damaged("the index ended early")
        names = np.frombuffer(_exactly(handle, total * width, _FANOUT), np.uint8).reshape(total, width)
        at = _FANOUT + total * (width + 4)
        places = np.frombuffer(_exactly(handle, 4 * total, at), ">u4").astype(np.int64)
        far = np.flatnonzero(places >> 31)
        if len(far):
            more = min(size - 2 * width - at - 4 * total, 8 * total) // 8 * 8
            wide = np.frombuffer(_exactly(handle, more, at + 4 * total), ">u8")
            which = places[far] & 0x7FFFFFFF
            if (which >= len(wide)).any():
                raise Damaged("the index ended early")
            places[far] = wide[which].astype(np.int64)
    finally:
        os.close(handle)
    first = _first(names)
    if (first[1:] < first[:-1]).any():
        raise Damaged("the index is not in order")
    return names, places


def _exactly(handle: int, size: int, at: int) -> bytes:
    data = os.pread(handle, size, at)
    if len(data) < size:
        raise Damaged("the index ended early")
    return data


def _first(names: Bytes) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.ascontiguousarray(names[:, :8]).view(">u8").ravel().astype(np.uint64)
