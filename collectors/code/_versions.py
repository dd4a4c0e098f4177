"""Blobs out of packs, each with what it has in common with the version it is stored as a change of.

git keeps most versions of a file as what to copy from another version and what to insert; so what is new in each is
told by the pack itself, and need not be looked for.
Refuses to: hold more than `HELD` bytes of versions that others are changes of, or unpack what says it is larger than
`LARGEST`.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from dulwich.errors import ApplyDeltaError

from collectors.code._packs import Damaged, Pack

try:
    # Only what is compiled: all of dulwich.pack takes longer to load than a small repository to read.
    from dulwich._pack import apply_delta
except ImportError:
    from dulwich.pack import apply_delta

LARGEST: Final = 8 << 20
"""Bytes of a blob that is unpacked here; git shows larger ones piece by piece."""
HELD: Final = 96 << 20
_SLACK: Final = 1024
_ROWS: Final = 4096
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
            yield from self._of_pack(pack, [(n, e) for n, e in zip(waiting, entries, strict=True) if e >= 0])
            waiting = [name for name, entry in zip(waiting, entries, strict=True) if entry < 0]
        self.left += waiting

    def _of_pack(self, pack: Pack, wanted: list[tuple[bytes, int]]) -> Iterator[Version]:
        entries = np.array([entry for _, entry in wanted], np.int64)
        bases = pack.base[entries]
        children = Counter(bases[bases != entries].tolist())
        held: dict[int, Version] = {}
        size = 0
        for name, entry, body, end, length, base in _rows(pack, wanted):
            try:
                packed = _inflated(pack, body, end, length)
                if base == entry:
                    version = Version(name, packed, None, ())
                else:
                    if base < 0:
                        raise Damaged("its base is not in the pack")
                    before = held.get(base)
                    old = before.data if before is not None else _content(pack, base, held)
                    data = _applied(old, packed)
                    stretches = _stretches(packed, len(old), len(data)) if before is not None else ()
                    version = Version(name, data, before if stretches else None, stretches)
                    children[base] -= 1
                    if not children[base] and before is not None:
                        del held[base]
                        size -= len(old)
            except Damaged:
                self.left.append(name)
                continue
            if children[entry]:
                held[entry] = version
                size += len(version.data)
                while size > HELD and len(held) > 1:
                    size -= len(held.pop(next(iter(held))).data)
            yield version


def _rows(pack: Pack, wanted: list[tuple[bytes, int]]) -> Iterator[tuple[bytes, int, int, int, int, int]]:
    """What is known of each entry; not of all at once, which would take more memory than they do."""
    columns = (pack.body, pack.end, pack.size, pack.base)
    for at in range(0, len(wanted), _ROWS):
        names, entries = zip(*wanted[at : at + _ROWS], strict=True)
        yield from zip(names, entries, *(column[[*entries]].tolist() for column in columns), strict=True)


def _content(pack: Pack, entry: int, held: dict[int, Version]) -> bytes:
    """A version that is not at hand, made from the nearest that is."""
    changes: list[bytes] = []
    seen: set[int] = set()
    while entry not in held:
        if entry < 0 or entry in seen:
            raise Damaged("its base is not in the pack")
        seen.add(entry)
        data = _inflated(pack, int(pack.body[entry]), int(pack.end[entry]), int(pack.size[entry]))
        base = int(pack.base[entry])
        if base == entry:
            break
        changes.append(data)
        entry = base
    else:
        data = held[entry].data
    for change in reversed(changes):
        data = _applied(data, change)
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
