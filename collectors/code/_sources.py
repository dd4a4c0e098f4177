"""Where the bytes come from: git's object store, or files of a folder, framed alike.

Refuses to: follow a link, open what is not a regular file, or pass over a damaged object in silence.
"""

from __future__ import annotations

import io
import os
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from collectors.code._decode import MEMBER
from collectors.code._git import Git
from collectors.code._stream import Ahead, BlobStream, Joined

_BATCH: Final = ("cat-file", "--batch", "--buffer")
KINDS: Final = "--batch-check=%(objecttype) %(objectname)"
_SIZES: Final = ("cat-file", "--batch-check=%(objectname) %(objectsize)", "--buffer")


class Blobs:
    """Some blobs of a repository, read in the order given: pack order keeps git's delta bases warm."""

    def __init__(self, git: Git, ids: Sequence[bytes], *, chunk: int, margin: int) -> None:
        self._git = git
        self._ids = ids
        self._chunk = chunk
        self._margin = margin
        self.damaged: list[bytes] = []
        """Ids of objects that git could not read."""

    def streams(self) -> Iterator[BlobStream]:
        """Streams that together hold all blobs; a new one starts behind each damaged blob."""
        start = 0
        while start < len(self._ids):
            with self._git.running(*_BATCH, stdin=subprocess.PIPE) as process:
                assert process.stdout is not None
                threading.Thread(target=_feed, args=(process, self._ids[start:]), daemon=True).start()
                with Ahead(_reading(self._git, process.stdout)) as ahead:
                    stream = BlobStream(ahead.readinto, chunk=self._chunk, margin=self._margin)
                    yield stream
                process.wait()
            self.damaged += stream.missing
            start += stream.finished
            if start < len(self._ids):
                self.damaged.append(self._ids[start])
                start += 1

    def each(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """Each blob whole, by id; None for one that is larger than what is opened, or cannot be read."""
        asked = b"\n".join(ids) + b"\n"
        told = b"".join(self._git.tokens(*_SIZES, stdin=asked)).split(b"\n")
        sizes = {line.split()[0]: line.split()[1] for line in told if line}
        fitting = [name for name in ids if sizes.get(name, b"").isdigit() and int(sizes[name]) <= MEMBER]
        yield from ((name, None) for name in ids if name not in set(fitting))
        for name in fitting:
            with self._git.running("cat-file", "blob", name.decode()) as process:
                assert process.stdout is not None
                data = b"".join(iter(_reading(self._git, process.stdout), b""))
                yield name, data if process.wait() == 0 else None


def _reading(git: Git, pipe: IO[bytes]) -> Callable[[], bytes]:
    return lambda: git.read(pipe)


def since(git: Git, revision: str) -> list[bytes]:
    """Ids of the blobs that HEAD's history has and that of the revision has not."""
    if git.head is None:
        return []
    words = ("rev-list", "--objects", "--no-object-names", "--stdin")
    names = b"".join(git.tokens(*words, stdin=f"{git.head}\n^{revision}\n".encode()))
    told = b"".join(git.tokens("cat-file", KINDS, "--buffer", stdin=names))
    return [line[5:] for line in told.split(b"\n") if line.startswith(b"blob ")]


def staged(git: Git) -> dict[bytes, list[str]]:
    """Ids of the blobs in the index that are not in HEAD at their path, with their paths."""
    against = git.head or git.empty_tree
    found: dict[bytes, list[str]] = {}
    tokens = git.tokens(
        "diff-index", "--cached", "--raw", "-z", "--no-renames", "--diff-filter=AMT", "--no-abbrev", against
    )
    for token in tokens:
        path = next(tokens, b"").decode("utf-8", "backslashreplace")
        facts = token.split(b" ")
        if facts[1] != b"160000":
            found.setdefault(facts[3], []).append(path)
    return found


def at_head(git: Git) -> Iterator[tuple[bytes, str]]:
    """Id and path of every file that HEAD's commit holds."""
    for entry in git.tokens("ls-tree", "-r", "-z", "--full-tree", git.head) if git.head is not None else ():
        facts, _, path = entry.partition(b"\t")
        _, kind, name = facts.split()
        if kind == b"blob":
            yield name, path.decode("utf-8", "backslashreplace")


def _feed(process: subprocess.Popen[bytes], ids: Sequence[bytes]) -> None:
    assert process.stdin is not None
    try:
        for at in range(0, len(ids), 4096):
            process.stdin.write(b"\n".join(ids[at : at + 4096]) + b"\n")
        process.stdin.close()
    except (BrokenPipeError, ValueError, OSError):
        return  # git died, or the caller went away; what was not read is told by the stream


class Files:
    """Regular files under `root`, framed as git frames blobs; a frame's name is the file's place in `names`."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root = root
        self._names = names
        self.failed: list[tuple[str, str]] = []
        """Path and why it could not be read."""
        self._folders: dict[str, bool] = {}

    def stream(self, *, chunk: int, margin: int) -> BlobStream:
        """All of them in one stream."""
        return BlobStream(Joined(self._frames()).readinto, chunk=chunk, margin=margin)

    def whole(self, number: int) -> bytes | None:
        """One file; None where it is larger than what is opened, or there no more."""
        file = self._opened(self._names[number])
        if file is None:
            return None
        with file:
            data = file.read(MEMBER + 1)
            return data if len(data) <= MEMBER else None

    def _frames(self) -> Iterator[bytes]:
        for number, name in enumerate(self._names):
            file = self._opened(name)
            if file is not None:
                with file:
                    size = os.fstat(file.fileno()).st_size
                    yield b"%d blob %d\n" % (number, size)
                    yield from _exactly(file, size)
                    yield b"\n"

    def _opened(self, name: str) -> io.FileIO | None:
        if not self._is_inside(os.path.dirname(name)):  # noqa: PTH120  # on every file
            return None
        path = self._root / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as failure:
            if not path.is_symlink():
                self.failed.append((name, failure.strerror or "cannot be opened"))
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            return None
        return io.FileIO(handle, "rb")

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


def names_of_worktree(git: Git, nested: list[str], *, gitignore: bool) -> Iterator[str]:
    """Files that HEAD holds, and all others, ignored ones only where asked; repositories inside go to `nested`."""
    told: set[bytes] = set()
    for entry in git.tokens("ls-files", "-z", "--others", *(["--exclude-standard"] if gitignore else [])):
        if entry.endswith(b"/"):
            nested.append(os.fsdecode(entry))
        else:
            told.add(entry)
            yield os.fsdecode(entry)
    if git.head is not None:
        for entry in git.tokens("ls-tree", "-r", "-z", "--full-tree", "--name-only", git.head):
            if entry not in told:
                yield os.fsdecode(entry)


def names_of_folder(root: Path, nested: list[str] | None, failed: list[str]) -> Iterator[str]:
    """Every file under a plain folder; unreadable folders go to `failed`, and repositories inside to `nested`.

    Without a `nested` to put them in, their files are files like others.
    """

    def denied(failure: OSError) -> None:
        failed.append(os.path.relpath(failure.filename or root, root))

    for folder, folders, files in os.walk(root, onerror=denied, followlinks=False):
        here = os.path.relpath(folder, root)
        if nested is not None and here != "." and (".git" in folders or ".git" in files):
            nested.append(here)
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if name != ".git")
        yield from (os.path.normpath(os.path.join(here, name)) for name in sorted(files))  # noqa: PTH118
