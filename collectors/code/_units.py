"""Shares of the work: some blobs of a repository, or some files of a folder; each read on its own, in any process.

Refuses to: share anything between units but the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collectors._material import rows as material_rows
from collectors.code._book import book
from collectors.code._confirm import MARGIN
from collectors.code._git import Git
from collectors.code._liveness import Asker, Endpoint
from collectors.code._material import block_of
from collectors.code._scan import Hit, Scanner
from collectors.code._seen import Seen
from collectors.code._sources import Blobs, Files
from collectors.code._stream import CHUNK
from toolkit.errors import SourceBroken
from toolkit.identity import Fingerprinter
from toolkit.model import Row

_TOO_LARGE: Final = "it is too large to be opened"


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
    chunk: int = CHUNK


@dataclass(frozen=True, slots=True)
class BlobUnit:
    """Blobs of the repository, by hex id."""

    ids: Sequence[bytes]

    def halves(self) -> tuple[BlobUnit, ...]:
        """Two smaller units; none where there is but one blob."""
        middle = len(self.ids) // 2
        return (BlobUnit(self.ids[:middle]), BlobUnit(self.ids[middle:])) if middle else ()


@dataclass(frozen=True, slots=True)
class FileUnit:
    """Files under a folder, by relative path."""

    root: Path
    names: Sequence[str]

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


class Reader:
    """Reads units, one after the other, with the same scanner."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._asker = Asker(setup.endpoints)
        self._scanner = Scanner(book(setup.patterns), setup.fingerprinter, self._parse, salt=setup.salt)

    def read(self, unit: Unit) -> Outcome:
        """Everything that the unit holds."""
        outcome = Outcome(unit)
        self._scanner.values = {} if self._asker.endpoints else None
        scanner = self._scanner
        scanner.material, scanner.enclosures, scanner.failed = {}, {}, []
        try:
            outcome.hits.extend(
                self._blobs(unit, outcome) if isinstance(unit, BlobUnit) else self._files(unit, outcome)
            )
        except SourceBroken as broken:
            outcome.broken = broken.message
        for uid, (rule, value) in (scanner.values or {}).items():
            if rule in self._asker.endpoints:
                outcome.liveness[uid] = self._asker.ask(rule, uid, value)
        scanner.values = None
        outcome.material = scanner.material
        outcome.unopened += scanner.failed
        return outcome

    def _blobs(self, unit: BlobUnit, outcome: Outcome) -> Iterator[Hit]:
        assert self._setup.git is not None
        blobs = Blobs(self._setup.git, unit.ids, chunk=self._setup.chunk, margin=MARGIN)
        try:
            for stream in blobs.streams():
                yield from self._scanner.hits(stream)
        finally:
            outcome.damaged += blobs.damaged
        for name, data in blobs.each([*self._scanner.enclosures]) if self._scanner.enclosures else ():
            yield from self._opened(name, data, outcome)

    def _files(self, unit: FileUnit, outcome: Outcome) -> Iterator[Hit]:
        files = Files(unit.root, unit.names)
        yield from self._scanner.hits(files.stream(chunk=self._setup.chunk, margin=MARGIN))
        outcome.denied += files.failed
        for name in self._scanner.enclosures:
            yield from self._opened(name, files.whole(int(name)), outcome)

    def _opened(self, name: bytes, data: bytes | None, outcome: Outcome) -> Iterator[Hit]:
        if data is None:
            outcome.unopened.append((name, _TOO_LARGE))
        else:
            yield from self._scanner.open(name, data)

    def _parse(self, uid: str, value: bytes) -> tuple[Row, ...]:
        setup = self._setup
        # Sealed keys are known by their place; naming the content makes that the same in every run.
        locator = f"{setup.target}?content={uid}"
        return tuple(material_rows(block_of(value), collector=setup.collector, target=setup.target, locator=locator))
