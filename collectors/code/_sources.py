"""Where the bytes come from: git's object store, or files of a folder, framed alike.

Refuses to: follow a link, open what is not a regular file, or pass over a damaged object in silence.
"""

from __future__ import annotations

import io
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from collectors.code._git import Git
from collectors.code._stream import BlobStream, Joined

_BATCH: Final = ("cat-file", "--batch", "--buffer")
_LIST: Final = (
    "cat-file",
    "--batch-all-objects",
    "--unordered",
    "--buffer",
    "--batch-check=%(objecttype) %(objectname)",
)


class Blobs:
    """Every blob of a repository, reachable or not, in pack order: that keeps git's delta bases warm."""

    def __init__(self, git: Git, *, chunk: int, margin: int) -> None:
        self._git = git
        self._chunk = chunk
        self._margin = margin
        self.damaged: list[str] = []
        """Ids of objects that git could not read."""
        self.is_listed = True
        """Whether git could list all objects."""

    def streams(self) -> Iterator[BlobStream]:
        """Streams that together hold all blobs; a new one starts behind each damaged blob."""
        ids = self._ids()
        start = 0
        while start < len(ids):
            with self._git.running(*_BATCH, stdin=subprocess.PIPE) as process:
                assert process.stdout is not None
                threading.Thread(target=_feed, args=(process, ids[start:]), daemon=True).start()
                stream = BlobStream(self._readinto(process.stdout), chunk=self._chunk, margin=self._margin)
                yield stream
                process.wait()
            self.damaged += [name.decode() for name in stream.missing]
            start += stream.finished
            if start < len(ids):
                self.damaged.append(ids[start].decode())
                start += 1

    def _readinto(self, pipe: IO[bytes]) -> Callable[[memoryview], int]:
        def read(view: memoryview) -> int:
            self._git.wait(pipe)
            return int(pipe.readinto(view))  # type: ignore[attr-defined]  # bufsize=0 gives a FileIO

        return read

    def _ids(self) -> list[bytes]:
        ids: list[bytes] = []
        with self._git.running(*_LIST) as process:
            assert process.stdout is not None
            rest = b""
            while chunk := self._git.read(process.stdout):
                *lines, rest = (rest + chunk).split(b"\n")
                ids += [line[5:] for line in lines if line.startswith(b"blob ")]
                self.damaged += [line.split()[0].decode() for line in lines if line.endswith(b" missing")]
            self.is_listed = process.wait() == 0
        return ids


def _feed(process: subprocess.Popen[bytes], ids: list[bytes]) -> None:
    assert process.stdin is not None
    try:
        for at in range(0, len(ids), 4096):
            process.stdin.write(b"\n".join(ids[at : at + 4096]) + b"\n")
        process.stdin.close()
    except (BrokenPipeError, ValueError, OSError):
        return  # git died, or the caller went away; what was not read is told by the stream


class Files:
    """Regular files under `root`, framed as git frames blobs; a frame's name is the file's place in `paths`."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self._root = root
        self._names = names
        self.paths: list[str] = []
        self.failed: list[tuple[str, str]] = []
        """Path and why it could not be read."""
        self._folders: dict[str, bool] = {}

    def stream(self, *, chunk: int, margin: int) -> BlobStream:
        """All of them in one stream."""
        return BlobStream(Joined(self._frames()).readinto, chunk=chunk, margin=margin)

    def _frames(self) -> Iterator[bytes]:
        for name in self._names:
            if not self._is_inside(os.path.dirname(name)):  # noqa: PTH120  # on every file
                continue
            path = self._root / name
            try:
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            except OSError as failure:
                if not path.is_symlink():
                    self.failed.append((name, failure.strerror or "cannot be opened"))
                continue
            with io.FileIO(handle, "rb") as file:
                facts = os.fstat(handle)
                if stat.S_ISREG(facts.st_mode):
                    self.paths.append(name)
                    yield b"%d blob %d\n" % (len(self.paths) - 1, facts.st_size)
                    yield from _exactly(file, facts.st_size)
                    yield b"\n"

    def _is_inside(self, folder: str) -> bool:
        """No part of the folder's path is a link, so that a planted one leads nowhere."""
        if folder not in self._folders:
            here = Path(os.path.realpath(self._root)) / folder
            self._folders[folder] = os.path.realpath(here) == str(here)
        return self._folders[folder]


def _exactly(file: io.FileIO, size: int) -> Iterator[bytes]:
    """`size` bytes, whatever happens to the file meanwhile: a frame that lies would lose all that follow."""
    left = size
    while left:
        try:
            chunk = file.read(min(left, 1 << 20))
        except OSError:
            chunk = b""
        if not chunk:
            chunk = bytes(min(left, 1 << 20))
        left -= len(chunk)
        yield chunk


def names_of_worktree(git: Git, nested: list[str]) -> Iterator[str]:
    """Files that HEAD holds, and those that are not ignored; other repositories inside go to `nested`."""
    told: set[bytes] = set()
    for entry in git.tokens("ls-files", "-z", "--others", "--exclude-standard"):
        if entry.endswith(b"/"):
            nested.append(os.fsdecode(entry))
        else:
            told.add(entry)
            yield os.fsdecode(entry)
    if git.head is not None:
        for entry in git.tokens("ls-tree", "-r", "-z", "--full-tree", "--name-only", git.head):
            if entry not in told:
                yield os.fsdecode(entry)


def names_of_folder(root: Path, nested: list[str], failed: list[str]) -> Iterator[str]:
    """Every file under a plain folder; repositories inside go to `nested`, unreadable folders to `failed`."""

    def denied(failure: OSError) -> None:
        failed.append(os.path.relpath(failure.filename or root, root))

    for folder, folders, files in os.walk(root, onerror=denied, followlinks=False):
        here = os.path.relpath(folder, root)
        if here != "." and (".git" in folders or ".git" in files):
            nested.append(here)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name != ".git")
        yield from (os.path.normpath(os.path.join(here, name)) for name in sorted(files))  # noqa: PTH118
