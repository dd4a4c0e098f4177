"""Shares of the work: some blobs of a repository, or some files of a folder; each read on its own, in any process.

Refuses to: share anything between units but the rules, or load what scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.code._git import Git
from collectors.code._hits import Hit
from collectors.code._stream import CHUNK
from toolkit.identity import Fingerprinter
from toolkit.model import Row

if TYPE_CHECKING:
    from collectors.code._liveness import Endpoint
    from collectors.code._seen import Seen


@dataclass(frozen=True, slots=True)
class Setup:
    """What all units of one target have in common; picklable."""

    collector: str
    target: str
    patterns: tuple[str, ...]
    fingerprinter: Fingerprinter
    salt: bytes | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    git: Git | None = None
    objects: tuple[Path, ...] = ()
    """The folders that its objects lie in."""
    width: int = 20
    """Bytes of an object's name."""
    chunk: int = CHUNK


@dataclass(frozen=True, slots=True)
class BlobUnit:
    """Blobs of the repository, by hex id."""

    ids: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.ids)

    def halves(self) -> tuple[BlobUnit, ...]:
        """Two smaller units; none where there is but one blob."""
        middle = len(self.ids) // 2
        return (BlobUnit(self.ids[:middle]), BlobUnit(self.ids[middle:])) if middle else ()


@dataclass(frozen=True, slots=True)
class FileUnit:
    """Files under a folder, by relative path."""

    root: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def halves(self) -> tuple[FileUnit, ...]:
        """Two smaller units; none where there is but one file."""
        middle = len(self.names) // 2
        return (FileUnit(self.root, self.names[:middle]), FileUnit(self.root, self.names[middle:])) if middle else ()


Unit = BlobUnit | FileUnit


@dataclass(slots=True)
class Outcome:
    """What a unit gave."""

    unit: Unit
    hits: list[Hit] = field(default_factory=list)
    material: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    damaged: list[bytes] = field(default_factory=list)
    """Blobs that git could not read."""
    denied: list[tuple[str, str]] = field(default_factory=list)
    """Files that could not be read, and why."""
    unopened: list[tuple[bytes, str]] = field(default_factory=list)
    """Blobs or files (by name in their frames) of which not everything was read, and why."""
    liveness: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What their services said of values, and when, by uid."""
    broken: str | None = None
    """Why the unit could not be read to its end."""

    def place(self, name: bytes) -> bytes | str:
        """The blob's id or the file's path that a hit's name means."""
        return name if isinstance(self.unit, BlobUnit) else self.unit.names[int(name)]

    def remember(self, seen: Seen) -> None:
        """Add what was found, but for blobs that must be read again: what they hold is not kept."""
        if not isinstance(self.unit, BlobUnit) or self.broken is not None:
            return
        material = {hit.name for hit in self.hits if hit.uid in self.material}
        again = material.union(self.damaged, (name for name, _ in self.unopened))
        seen.again += again
        seen.hits += [hit for hit in self.hits if hit.name not in again]
        seen.ids.update(bytes.fromhex(name.decode()) for name in self.unit.ids if name not in again)
