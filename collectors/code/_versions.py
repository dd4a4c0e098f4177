"""Blobs out of packs, each with what it has in common with the version it is stored as a change of.

git keeps most versions of a file as what to copy from another version and what to insert; so what is new in each is
told by the pack itself, and need not be looked for.
Refuses to: hold more than `HELD` bytes of versions that others are changes of, or unpack what says it is larger than
`LARGEST`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Final, NamedTuple

import numpy as np
from dulwich.errors import ApplyDeltaError

from collectors.code._packs import Damaged, Ints, Pack

try:
    # Only what is compiled: all of dulwich.pack takes longer to load than a small repository to read.
    from dulwich._pack import apply_delta
except ImportError:
    from dulwich.pack import apply_delta

LARGEST: Final = 8 << 20
"""Bytes of a blob that is unpacked here; git shows larger ones piece by piece."""
HELD: Final = 96 << 20
_SLACK: Final = 1024
"""Bytes that what is packed may have beyond twice its size."""
_ROWS: Final = 1 << 14
"""Entries of which all is known as numbers at a time."""
_WORTH: Final = 1500
"""Bytes that a stretch has at least: shorter ones are scanned with what is around them."""
_PRICE: Final = 24
"""Bytes that are scanned in the time that one byte of a change takes to be understood."""
_SHIFTS: Final = [([8 * bit for bit in range(4) if code >> bit & 1], [8 * bit for bit in range(3) if code >> bit & 16]) for code in range(128)]  # noqa: E501  # fmt: skip
_WHOLE: Final = 0x10000


class Stretch(NamedTuple):
    """Bytes that a version has from its base: where they begin in each, and how many."""

    old: int
    new: int
    size: int


class Version:
    """One blob."""

    __slots__ = ("base", "candidates", "data", "name", "stretches")

    def __init__(self, name: bytes, data: bytes, base: Version | None, stretches: Sequence[Stretch]) -> None:
        self.name = name
        self.data = data
        self.base = base
        """The version that it was stored as a change of, where it has something in common with that."""
        self.stretches = stretches
        self.candidates: list[tuple[int, int]] = []
        """Ends of matches and their expressions, once they are known."""


class Versions:
    """Reads blobs of some packs, in the order given, which should be that of their families."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._packs = packs
        self.left: list[bytes] = []
        """Ids that are for git: not in these packs, too large, or damaged."""

    def read(self, names: Sequence[bytes]) -> Iterator[Version]:
        """Every blob that can be unpacked here."""
        waiting = names
        for pack in self._packs:
            if not waiting:
                break
            entries = pack.find(waiting)
            is_here = entries >= 0
            here = waiting if is_here.all() else [*compress(waiting, is_here)]
            waiting = [*compress(waiting, ~is_here)]
            yield from self._of_pack(pack, here, entries[is_here])
        self.left += waiting

    def _of_pack(self, pack: Pack, names: Sequence[bytes], entries: Ints) -> Iterator[Version]:
        bases = pack.base[entries]
        children = np.bincount(bases[(bases >= 0) & (bases != entries)], minlength=len(pack.base)).tolist()
        held = _Held()
        for name, entry, body, end, length, base in _rows(pack, names, entries):
            try:
                packed = _inflated(pack, body, end, length)
                if base == entry:
                    version = Version(name, packed, None, ())
                else:
                    if base < 0:
                        raise Damaged("its base is not in the pack")
                    before = held.get(base) or Version(b"", _content(pack, base, held), None, ())
                    children[base] -= 1
                    # Its other children are near, and making it may have been a walk along thousands of changes.
                    held.put(base, before if children[base] else None)
                    data = _applied(before.data, packed)
                    # What nobody wanted to read has no candidates that could be carried over.
                    stretches = _stretches(packed, len(before.data), len(data)) if before.name else ()
                    version = Version(name, data, before if stretches else None, stretches)
            except Damaged:
                self.left.append(name)
                continue
            if children[entry]:
                held.put(entry, version)
            yield version


class _Held:
    """Versions that others are changes of; the one that was longest not asked for goes first."""

    def __init__(self) -> None:
        self._versions: dict[int, Version] = {}
        self._size = 0
        self.lost: set[int] = set()
        """Entries that cannot be made, or each of their changes would be found out by the same long walk."""

    def get(self, entry: int) -> Version | None:
        """It, where it is held."""
        return self._versions.get(entry)

    def put(self, entry: int, version: Version | None) -> None:
        """Hold it, as the last to go; or hold it no more."""
        if (old := self._versions.pop(entry, None)) is not None:
            self._size -= len(old.data)
        if version is not None:
            self._versions[entry] = version
            self._size += len(version.data)
            while self._size > HELD and len(self._versions) > 1:
                self._size -= len(self._versions.pop(next(iter(self._versions))).data)


def _rows(pack: Pack, names: Sequence[bytes], entries: Ints) -> Iterator[tuple[bytes, int, int, int, int, int]]:
    """What is known of each entry; not of all at once, which would take more memory than they do."""
    columns = (pack.body, pack.end, pack.size, pack.base)
    for at in range(0, len(names), _ROWS):
        part = entries[at : at + _ROWS]
        yield from zip(
            names[at : at + _ROWS], part.tolist(), *(column[part].tolist() for column in columns), strict=True
        )


def _content(pack: Pack, entry: int, held: _Held) -> bytes:
    """A version that is not at hand, made from the nearest that is."""
    way: list[int] = []
    while (near := held.get(entry)) is None:
        way.append(entry)
        base = int(pack.base[entry])
        if base < 0 or entry in held.lost or len(way) > len(pack.base):
            held.lost.update(way)
            raise Damaged("its base is not in the pack")
        if base == entry:
            break
        entry = base
    data = near.data if near is not None else b""
    while way:  # one change at a time: all of them at once would be gigabytes
        step = way[-1]
        try:
            packed = _inflated(pack, int(pack.body[step]), int(pack.end[step]), int(pack.size[step]))
            data = packed if pack.base[step] == step else _applied(data, packed)
        except Damaged:
            held.lost.update(way)
            raise
        way.pop()
    return data


def _inflated(pack: Pack, body: int, end: int, size: int) -> bytes:
    if size > LARGEST:
        raise Damaged("it is too large")
    # No packer makes twice of it; what lies behind, or in a hole of the file, would fill memory.
    end = min(end, body + 2 * size + _SLACK)
    machine = zlib.decompressobj()
    try:
        data = machine.decompress(pack.packed(body, end), size + 1)
    except (zlib.error, OSError) as failure:
        raise Damaged("it cannot be unpacked") from failure
    if len(data) != size or not machine.eof:
        raise Damaged("it is not as long as it says")
    return data


def _applied(old: bytes, change: bytes) -> bytes:
    try:
        before, at = _number(change, 0)
        after, _ = _number(change, at)
        if before != len(old) or after > LARGEST:
            raise Damaged("it is a change of something else, or too large")
        data = b"".join(apply_delta(old, change))
    except (ApplyDeltaError, IndexError, ValueError, AssertionError) as failure:
        raise Damaged("its change cannot be applied") from failure
    if len(data) != after:
        raise Damaged("it is not as long as it says")
    return data


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    return value, at


def _stretches(change: bytes, before: int, size: int) -> list[Stretch]:
    """The longer of the copies that a change of `before` bytes to `size` is made of; it was applied already."""
    if len(change) * _PRICE > size:
        return []  # so much is new that all is scanned sooner than this is understood
    found: list[Stretch] = []
    _, at = _number(change, 0)
    _, at = _number(change, at)
    new, end = 0, len(change)
    while at < end:
        code = change[at]
        at += 1
        if code < 128:
            at += code
            new += code
            continue
        old = count = 0
        places, counts = _SHIFTS[code & 127]
        for shift in places:
            old |= change[at] << shift
            at += 1
        for shift in counts:
            count |= change[at] << shift
            at += 1
        count = count or _WHOLE
        if old + count > before or new + count > size:
            raise Damaged("it copies what is not there")  # dulwich stops at such a copy, where git refuses the object
        if found and found[-1].new + found[-1].size == new and found[-1].old + found[-1].size == old:
            count += (last := found.pop()).size
            found.append(Stretch(last.old, last.new, count))
            new = last.new + count
            continue
        if count >= _WORTH:
            found.append(Stretch(old, new, count))
        new += count
    return found
