"""The sockets: what a collector must offer to be run.

They hold no behaviour. `toolkit.testing.CollectorContract` is the same contract as executable checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol, runtime_checkable

from toolkit.model import Row, Target


@runtime_checkable
class Collector(Protocol):
    """Reads one kind of source. The constructor is its configuration: keyword-only, every argument with a default.

    Credentials are handles (`env:NAME`, `file:PATH`), never values. A constructor that asks for a `fingerprinter`
    gets the workspace's (`toolkit.identity.Fingerprinter`).
    """

    name: ClassVar[str]
    """The module's file name."""
    reads: ClassVar[tuple[str, ...]]
    """The permissions it needs, from which least-privilege advice is generated."""
    parallel: ClassVar[int]
    """How many of its targets may be read at the same time."""

    def targets(self) -> Iterator[Target]:
        """Name the units of work; cheap, no reading of keys. A root that is not there is still a Target."""
        ...

    def collect(self, target: Target) -> Iterator[Row]:
        """Yield what is at `target`. An object that failed is a Gap row; a target that failed raises SourceError."""
        ...
