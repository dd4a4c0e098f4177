"""Reading one share of the work: its blobs out of packs or from git, or its files, with one scanner.

Refuses to: know what else is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from collectors.code._book import book
from collectors.code._confirm import MARGIN
from collectors.code._hits import Hit
from collectors.code._packs import Damaged, Pack, packs
from collectors.code._scan import Scanner
from collectors.code._sources import Blobs, Files
from collectors.code._versions import Versions
from collectors.code._work import BlobUnit, FileUnit, Outcome, Setup, Unit
from toolkit.errors import SourceBroken
from toolkit.model import Row

if TYPE_CHECKING:
    from collectors.code._liveness import Asker

_MANY: Final = 100
"""Blobs from which on it is worth looking through whole packs; fewer (what is staged, what is new) git finds sooner."""
_TOO_LARGE: Final = "it is too large to be opened"


def _packs(setup: Setup) -> list[Pack]:
    """The repository's packs; none where only git can read them."""
    try:
        return [*packs(setup.objects, setup.width)]
    except (Damaged, OSError):
        return []


def _asker(setup: Setup) -> Asker | None:
    if not setup.endpoints:
        return None
    from collectors.code._liveness import Asker

    return Asker(setup.endpoints)


class Reader:
    """Reads units, one after the other, with the same scanner."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._asker = _asker(setup)
        self._packs: list[Pack] | None = None
        self._scanner = Scanner(book(setup.patterns), setup.fingerprinter, self._parse, salt=setup.salt)

    def read(self, unit: Unit) -> Outcome:
        """Everything that the unit holds."""
        outcome = Outcome(unit)
        self._scanner.values = {} if self._asker is not None else None
        scanner = self._scanner
        scanner.material, scanner.enclosures, scanner.failed = {}, {}, []
        try:
            outcome.hits.extend(
                self._blobs(unit, outcome) if isinstance(unit, BlobUnit) else self._files(unit, outcome)
            )
        except SourceBroken as broken:
            outcome.broken = broken.message
        if self._asker is not None:
            for uid, (rule, value) in (scanner.values or {}).items():
                if rule in self._asker.endpoints:
                    outcome.liveness[uid] = self._asker.ask(rule, uid, value)
        scanner.values = None
        outcome.material = scanner.material
        outcome.unopened += scanner.failed
        return outcome

    def _blobs(self, unit: BlobUnit, outcome: Outcome) -> Iterator[Hit]:
        assert self._setup.git is not None
        left: Sequence[bytes] = unit.ids
        if len(left) >= _MANY:
            if self._packs is None:
                self._packs = _packs(self._setup)
            versions = Versions(self._packs)
            yield from self._scanner.versions(versions.read(unit.ids))
            left = versions.left
        blobs = Blobs(self._setup.git, left, chunk=self._setup.chunk, margin=MARGIN)
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
        # What parses keys takes as long to load as a small repository to scan, and most hold none.
        from collectors._material import rows as material_rows
        from collectors.code._material import block_of

        setup = self._setup
        # Sealed keys are known by their place; naming the content makes that the same in every run.
        locator = f"{setup.target}?content={uid}"
        return tuple(material_rows(block_of(value), collector=setup.collector, target=setup.target, locator=locator))
