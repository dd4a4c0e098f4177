"""Private files that are there whole or not at all: the few moves everything on disk is made of.

Refuses to: overwrite. A file is written once, under a name that nobody reads yet, and brought to the disk before
anything says that it is there.

>>> import tempfile
>>> made = Path(tempfile.mkdtemp()) / "a"
>>> write_new(made, b"text")
>>> oct(made.stat().st_mode & 0o777)
'0o600'
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolkit.errors import StoreError

UNFINISHED: Final = ".tmp-"
"""Begins the name of a folder that is not whole yet."""


@contextmanager
def refusing(doing: str) -> Iterator[None]:
    """Turn what the system refuses into a StoreError that says what could not be done."""
    try:
        yield
    except OSError as failure:
        # Of a file in the way there is no more to say than its name: no space and no permission would help.
        is_taken = isinstance(failure, FileExistsError | NotADirectoryError)
        advice = "name a folder: --workspace FOLDER" if is_taken else "check its space and permissions"
        raise StoreError(f"cannot {doing}: {failure.strerror}", advice=advice) from failure


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, for its owner only, and bring it to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def sync(folder: Path) -> None:
    """Bring a folder's own entries to the disk; without it a rename may be lost with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder against all other processes; the system lets go of it when we die."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        # Closing is not enough: a child forked meanwhile holds the same lock.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def begin(runs: Path, name: str) -> tuple[Path, int]:
    """Make an unfinished folder, held by the handle that comes with it. The caller is alone in the workspace."""
    draft = runs / f"{UNFINISHED}{name}"
    draft.mkdir(mode=0o700)
    handle = os.open(draft, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return draft, handle


def sweep(runs: Path) -> None:
    """Remove unfinished folders that nobody holds. The caller is alone in the workspace.

    A lock tells a dead writer from a live one where a process id would not: ids are used again, and mean
    something else in another container.
    """
    for left in runs.glob(f"{UNFINISHED}*"):
        try:
            handle = os.open(left, os.O_RDONLY)
        except FileNotFoundError:  # its writer renamed it just now
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(handle)
