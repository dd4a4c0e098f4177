"""What a person sees while keys are collected: a bar in a terminal, a plain line per target elsewhere.

Refuses to: write to standard output, which belongs to results.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from toolkit.model import Reading

if TYPE_CHECKING:
    from rich.progress import Progress


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


_PATIENCE: Final = 1.0
"""Seconds after which a person wonders whether anything happens."""


@contextmanager
def counting(name: str) -> Iterator[Callable[[int, int], None]]:
    """What is told how many of how many things are done; shown in a terminal only, and only if it takes longer."""
    done = [0, 0]

    def told(count: int, total: int) -> None:
        done[:] = count, total

    if not sys.stderr.isatty():
        yield told
        return
    end = threading.Event()
    shower = threading.Thread(target=_shown, args=(name, done, end), daemon=True)
    shower.start()
    try:
        yield told
    finally:
        end.set()
        shower.join()


def _shown(name: str, done: list[int], end: threading.Event) -> None:
    if end.wait(_PATIENCE):
        return
    with _progress(transient=True) as bar:
        task = bar.add_task(name, total=None, counts="")
        while not end.wait(0.2):
            count, total = done
            counts = f"{count:,} of {total:,} objects read" if total else ""
            bar.update(task, total=total or None, completed=count, counts=counts)


def summarise(targets: int, rows: int, gaps: int, seconds: float) -> None:
    """The last line: what all of it came to."""
    print(f"{targets:,} targets, {rows:,} rows, {gaps:,} gaps, {seconds:.1f} s", file=sys.stderr)  # noqa: T201


@contextmanager
def _bar(name: str) -> Iterator[Watcher]:
    with _progress() as bar:
        task = bar.add_task(name, total=None, counts="")
        seen = [0, 0, 0]

        def watcher(reading: Reading) -> None:
            for index, more in enumerate((1, reading.rows, reading.gaps)):
                seen[index] += more
            counts = f"{seen[0]:,} targets, {seen[1]:,} rows, {seen[2]:,} gaps"
            bar.update(task, description=f"{name}: {reading.label or reading.target}"[:60], counts=counts)

        yield watcher
        bar.update(task, total=1, completed=1)


def _progress(*, transient: bool = False) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    # A folder may be called `[red]`.
    texts = (TextColumn(form, markup=False) for form in ("{task.description}", "{task.fields[counts]}"))
    columns = (next(texts), BarColumn(), next(texts), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=transient)
