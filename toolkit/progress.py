"""What a person sees while keys are collected: a bar in a terminal, a plain line per target elsewhere.

Refuses to: write to standard output, which belongs to results.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from toolkit.model import Reading


class Watcher(Protocol):
    """Is told of each target as its reading ends."""

    def __call__(self, reading: Reading, /) -> None: ...


@contextmanager
def watching(name: str, *, shown: bool = True) -> Iterator[Watcher]:
    """A watcher for one collector's targets, on standard error."""
    if not shown:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(name) as watcher:
            yield watcher
    else:
        yield _line


def _line(reading: Reading) -> None:
    print(  # noqa: T201  # what a person watches
        f"{reading.collector}: {reading.target}: {reading.status}, {reading.rows:,} rows, {reading.gaps:,} gaps, "
        f"{reading.seconds:.1f} s",
        file=sys.stderr,
    )


def summarise(targets: int, rows: int, gaps: int, seconds: float) -> None:
    """The last line: what all of it came to."""
    print(f"{targets:,} targets, {rows:,} rows, {gaps:,} gaps, {seconds:.1f} s", file=sys.stderr)  # noqa: T201


@contextmanager
def _bar(name: str) -> Iterator[Watcher]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None, counts="")
        seen = [0, 0, 0]

        def watcher(reading: Reading) -> None:
            for index, more in enumerate((1, reading.rows, reading.gaps)):
                seen[index] += more
            counts = f"{seen[0]:,} targets, {seen[1]:,} rows, {seen[2]:,} gaps"
            bar.update(task, description=f"{name}: {reading.label or reading.target}"[:60], counts=counts)

        yield watcher
        bar.update(task, total=1, completed=1)
