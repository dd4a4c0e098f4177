"""A run that was killed is taken up again: its answers lie in a folder of their own until the run is through.

The folder's name is the digest of who asks for what, so nobody takes up another's run. It is removed when all targets
were read to their end; a folder whose run is older than what counts is removed when the next one starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from collectors._aws.journal import Journal, key_of

_TARGETS: Final = "targets"


class Resuming:
    """The folder of one run, and whether it is ours to use. Picklable: a worker on this machine writes into it, too."""

    def __init__(self, folder: Path, *, valid_seconds: float) -> None:
        self.folder, self._valid = folder, valid_seconds
        self._lock: int | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None}

    def start(self) -> bool:
        """Take the folder; False if a run that is alive has it, or none can be made."""
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._sweep()
            self.folder.mkdir(exist_ok=True, mode=0o700)
            if self._lock is None:
                self._lock = _locked(self.folder / "lock")
            for mark in [*self.folder.glob("*.done"), self.folder / _TARGETS]:
                mark.unlink(missing_ok=True)
        except OSError:
            return False
        return self._lock is not None

    def _sweep(self) -> None:
        for old in self.folder.parent.iterdir():
            newest = max((path.stat().st_mtime for path in old.glob("*.jsonl")), default=old.stat().st_mtime)
            if newest < time.time() - self._valid and (lock := _locked(old / "lock")) is not None:
                shutil.rmtree(old, ignore_errors=True)
                os.close(lock)

    def journal(self, target: str) -> Journal:
        """What was answered about a target."""
        return Journal(self.folder / f"{key_of(target)}.jsonl", valid_seconds=self._valid)

    def named(self, targets: Iterable[str]) -> None:
        """All targets are known now: when each is done, so is the run."""
        with contextlib.suppress(OSError):
            (self.folder / _TARGETS).write_text("\n".join(key_of(target) for target in targets))
            self._end_if_through()

    def done(self, target: str) -> None:
        """A target was read to its end."""
        with contextlib.suppress(OSError):
            (self.folder / f"{key_of(target)}.done").touch(mode=0o600)
            self._end_if_through()

    def _end_if_through(self) -> None:
        wanted = self.folder / _TARGETS
        if wanted.exists() and set(wanted.read_text().split()) <= {path.stem for path in self.folder.glob("*.done")}:
            shutil.rmtree(self.folder, ignore_errors=True)


def _locked(path: Path) -> int | None:
    if not path.parent.is_dir():
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
