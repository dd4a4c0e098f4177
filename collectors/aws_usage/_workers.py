"""Log files read by as many processes as there are cores; each is started once and serves all targets.

A child that dies takes nothing with it but the file that it died of, which becomes a gap. It ends when its parent's end
of the pipe closes, however that went.
Refuses to: start children for files that are read before one of them would be ready.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from collectors._frames import receive, send
from collectors.aws_usage._reader import Batch, File, Setup, batches
from toolkit.terms import GapStatus

_SHARE: Final = 2 << 20
"""Compressed bytes that a child is given at a time."""
_ALONE: Final = 1 << 20
"""Compressed bytes up to which one process is done sooner than another has started."""


class Workers:
    """The children of one collector."""

    def __init__(self, setup: Setup, processes: int) -> None:
        self._setup, self._processes = setup, processes
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        for _ in range(processes):
            self._idle.put(None)
        self._children: list[subprocess.Popen[bytes]] = []
        self.end = weakref.finalize(self, _end, self._children)

    def read(self, files: Iterable[File]) -> Iterator[Batch]:
        """The batches of all files, in no order; those of one file are in order."""
        waiting = list(_shares(files)) if not isinstance(files, Iterator) else _shares(files)
        if self._processes < 2 or (isinstance(waiting, list) and sum(f.size for s in waiting for f in s) <= _ALONE):
            for share in waiting:
                for file in share:
                    yield from batches(file, self._setup)
            return
        yield from _Round(iter(waiting), self)

    def borrow(self) -> subprocess.Popen[bytes]:
        """A child that waits for work; there may be none for a while."""
        child = self._idle.get()
        if child is not None and child.poll() is None:
            return child
        return self._launched()

    def give_back(self, child: subprocess.Popen[bytes] | None) -> None:
        """Let others have it; None in place of one that is no more."""
        self._idle.put(child)

    @property
    def size(self) -> int:
        """How many there are at most."""
        return self._processes

    def _launched(self) -> subprocess.Popen[bytes]:
        house = str(Path(__file__).resolve().parents[2])
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [house, os.environ.get("PYTHONPATH")]))}
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "collectors.aws_usage._child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True,
        )  # fmt: skip
        self._children.append(child)
        assert child.stdin is not None
        send(child.stdin, self._setup)
        return child


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.kill()
        child.communicate()


def _shares(files: Iterable[File]) -> Iterator[list[File]]:
    share: list[File] = []
    size = 0
    for file in files:
        share.append(file)
        size += file.size
        if size >= _SHARE:
            yield share
            share, size = [], 0
    if share:
        yield share


class _Round:
    """One target's shares, handed to the children by a thread each."""

    def __init__(self, shares: Iterator[list[File]], workers: Workers) -> None:
        self._shares, self._workers, self._lock = shares, workers, threading.Lock()
        # Children wait when their batches are not taken: memory stays bounded however large the logs are.
        self._out: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=2 * workers.size)
        self._is_over = threading.Event()

    def __iter__(self) -> Iterator[Batch]:
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self._workers.size)]
        for thread in threads:
            thread.start()
        try:
            for _ in threads:
                while (said := self._out.get()) is not None:
                    if isinstance(said, BaseException):
                        raise said
                    yield said
        finally:
            self._is_over.set()

    def _serve(self) -> None:
        try:
            while (share := self._next()) is not None:
                self._read(share)
            self._put(None)
        except Exception as failure:  # noqa: BLE001  # it is raised again where the rows are taken
            self._put(failure)

    def _next(self) -> list[File] | None:
        with self._lock:
            return None if self._is_over.is_set() else next(self._shares, None)

    def _put(self, said: Batch | BaseException | None) -> None:
        while not self._is_over.is_set():
            try:
                self._out.put(said, timeout=0.2)
            except queue.Full:
                continue
            return

    def _read(self, share: list[File]) -> None:
        """Have a child read the share; when it dies of a file, another reads those behind it."""
        while share:
            child, done = self._workers.borrow(), 0
            try:
                done = self._received(child, share)
            finally:
                is_whole = done == len(share)
                if not is_whole:
                    child.kill()
                self._workers.give_back(child if is_whole else None)
            if not is_whole and not self._is_over.is_set():
                name = share[done].name
                self._put(Batch(name, is_last=True, reason="the reader died of it", status=GapStatus.ERROR))
            share = [] if self._is_over.is_set() else share[done + 1 :]

    def _received(self, child: subprocess.Popen[bytes], share: list[File]) -> int:
        """How many files of the share were read to their end."""
        assert child.stdin is not None
        assert child.stdout is not None
        done = 0
        try:
            send(child.stdin, share)
            while done < len(share) and not self._is_over.is_set():
                batch = receive(child.stdout)
                self._put(batch)
                done += batch.is_last
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            pass
        return done
