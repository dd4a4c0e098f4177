"""Units read by several processes at once, each with a git of its own.

The children are given their work over a pipe, so no path, id or fingerprint stands in a process list. A child that
dies takes its unit's halves to the next one, until the object it dies of is alone and becomes a gap.
Refuses to: start a child for work that one process does sooner.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from collectors._frames import receive, send
from collectors.code._work import BlobUnit, FileUnit, Outcome, Setup, Unit

if TYPE_CHECKING:
    from collectors.code._units import Reader

_LEAST: Final = 400
"""Objects in the smallest share: below it, the work of asking is worth more than even shares."""


def shares(total: int, processes: int) -> Iterator[slice]:
    """Runs of the work in order, long ones first, so that all processes end at about the same time."""
    at = 0
    while at < total:
        size = max(_LEAST, (total - at) // (2 * processes))
        yield slice(at, at + size)
        at += size


class Pool:
    """Processes that read units of one target; started when there is work for several, and kept until it is left."""

    def __init__(self, setup: Setup, processes: int) -> None:
        self._setup = setup
        self._processes = processes
        self._waiting: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome | tuple[Unit, ...]] = queue.SimpleQueue()
        self._children: list[_Child] = []
        self._reader: Reader | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        for child in self._children:
            child.end()

    def start(self) -> None:
        """Start them before their work is known: loading what scans takes as long as finding out what is to be read."""
        if self._processes > 1 and not self._children:
            self._children = [_Child(self._setup, self._waiting, self._done) for _ in range(self._processes)]

    def outcomes(self, units: Sequence[Unit]) -> Iterator[Outcome]:
        """What each unit gave, in no order."""
        if self._processes < 2 or len(units) < 2:
            if units and self._reader is None:
                self._reader = _reader(self._setup)
            yield from (self._reader.read(unit) for unit in units if self._reader is not None)
            return
        self.start()
        open_units = len(units)
        for unit in units:
            self._waiting.put(unit)
        while open_units:
            said = self._done.get()
            open_units -= 1
            if isinstance(said, Outcome):
                yield said
                continue
            open_units += len(said)
            for unit in said:
                self._waiting.put(unit)


def _reader(setup: Setup) -> Reader:
    """Loading what scans takes longer than a second run that has nothing to scan."""
    from collectors.code._units import Reader

    return Reader(setup)


class _Child(threading.Thread):
    """A thread that hands units to a process of its own, and starts another when that one dies."""

    def __init__(
        self, setup: Setup, waiting: queue.SimpleQueue[Unit | None], done: queue.SimpleQueue[Outcome | tuple[Unit, ...]]
    ) -> None:
        super().__init__(daemon=True)
        self._setup, self._waiting, self._done = setup, waiting, done
        self._process = self._launched()
        self._is_over = False
        self.start()

    def run(self) -> None:
        while (unit := self._waiting.get()) is not None:
            try:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                send(self._process.stdin, unit)
                self._done.put(receive(self._process.stdout))
            except (OSError, EOFError, ValueError, pickle.UnpicklingError):
                if self._is_over:
                    return
                self._process.kill()
                self._process.communicate()
                self._process = self._launched()
                self._done.put(unit.halves() or _lost(unit))

    def end(self) -> None:
        self._is_over = True
        self._waiting.put(None)
        self._process.kill()
        self._process.communicate()

    def _launched(self) -> subprocess.Popen[bytes]:
        house = str(Path(__file__).resolve().parents[2])
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [house, os.environ.get("PYTHONPATH")]))}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "collectors.code._pool"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        send(process.stdin, self._setup)
        return process


def _lost(unit: Unit) -> Outcome:
    outcome = Outcome(unit)
    why = "the reader died of it"
    if isinstance(unit, BlobUnit):
        outcome.unopened = [(name, why) for name in unit.ids]
    elif isinstance(unit, FileUnit):
        outcome.denied = [(name, why) for name in unit.names]
    return outcome


def _end_with_parent() -> None:
    """Let the system end this child when its parent is gone, however that went (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _serve() -> None:
    _end_with_parent()
    given, out = sys.stdin.buffer, sys.stdout.buffer
    try:
        # What is printed by mistake must not fall among the frames.
        sys.stdout = sys.stderr
        reader = _reader(receive(given))
        gc.freeze()  # the rules stay, and need not be gone through with each collection
        while True:
            send(out, reader.read(receive(given)))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    _serve()
