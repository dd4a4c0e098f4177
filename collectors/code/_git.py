"""git's own plumbing over a repository that nobody trusts.

A git directory of ours borrows the repository's objects (`objects/info/alternates`) and gets a copy of its refs, read
as text. The repository's own config, hooks, filters and attributes are never seen by git, so nothing in it can run.
Refuses to: read the repository's config, follow links among its refs, fetch, lock or write anything there.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import select
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from toolkit.errors import ConfigError, SourceBroken

_ID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
_SHA256: Final = re.compile(r"(?:^|\])\s*objectformat\s*=\s*\"?sha256", re.IGNORECASE | re.MULTILINE)
_REVISION: Final = re.compile(r"([^\s~^:?*\[\\\-][^\s~^:?*\[\\]*)((?:[~^]\d{0,6})*)")
_SMALL: Final = 4096
_BORROWED: Final = 20
_MEMORY: Final = 4 << 30
"""Bytes that a git may take beside the files it maps. Of histories of ten million objects it is not measured."""
PATIENCE: Final = 300.0
"""Seconds of silence after which git is taken to hang: a planted FIFO among its files would hold it for ever."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a repository lie; a linked worktree has a HEAD of its own and shares the rest."""

    root: Path
    head: Path
    common: Path
    has_worktree: bool

    @property
    def objects(self) -> tuple[Path, ...]:
        """The folders that objects lie in: its own, and those it borrows from (gitrepository-layout(5)).

        Empty where what it borrows is told in a way that only git understands.
        """
        found: list[Path] = []
        waiting = [self.common / "objects"]
        while waiting:
            folder = waiting.pop()
            if folder in found:
                continue
            found.append(folder)
            told = _small(folder / "info" / "alternates")
            lines = [line for line in told.splitlines() if line and not line.startswith("#")]
            if len(told) >= _SMALL or len(found) > _BORROWED or any(line.startswith('"') for line in lines):
                return ()
            waiting += [folder / line for line in lines]
        return tuple(found)

    @property
    def width(self) -> int:
        """Bytes of an object's name."""
        config = self.common / "config"
        return 32 if config.is_file() and _SHA256.search(config.read_text("utf-8", "replace")) else 20

    @property
    def is_shallow(self) -> bool:
        """The oldest commits were not fetched."""
        return (self.common / "shallow").is_file()

    @property
    def is_partial(self) -> bool:
        """Some blobs were not fetched (a promisor pack)."""
        return any((self.common / "objects" / "pack").glob("*.promisor"))


def locate(root: Path) -> Layout | None:
    """The repository whose top is `root`, plain, bare or linked; None where there is none."""
    dot = root / ".git"
    if dot.is_dir():
        return Layout(root, dot, dot, True) if (dot / "objects").is_dir() else None
    if dot.is_file():
        words = _small(dot)
        if not words.startswith("gitdir: "):
            return None
        head = (root / words[8:].strip()).resolve()
        shared = _small(head / "commondir").strip()
        common = (head / shared).resolve() if shared else head
        return Layout(root, head, common, True) if (common / "objects").is_dir() else None
    if (root / "HEAD").is_file() and (root / "objects").is_dir() and (root / "refs").is_dir():
        return Layout(root, root, root, False)
    return None


def _small(path: Path) -> str:
    try:
        # Opening a FIFO would wait for ever; O_NONBLOCK opens it, and its kind gives it away.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            is_plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(_SMALL).decode("utf-8", "replace") if is_plain else ""
    except OSError:
        return ""


# Both are caches of what the objects say; a forged or broken one would hide commits or objects from us.
_OURS: Final = "\tcommitGraph = false\n\tmultiPackIndex = false\n"


class Git:
    """Runs git in the borrowed directory, with an environment that holds nothing but what is set here."""

    def __init__(self, program: str, folder: Path, worktree: Path | None, index: Path | None = None) -> None:
        self.head: str | None = None
        """The id of the commit that is checked out."""
        self.tips: list[str] = []
        """What the refs and HEAD name, where it is there."""
        self.absent: list[str] = []
        """What they name and is not there."""
        self.named: dict[str, str] = {}
        """The refs by name."""
        self.patience = PATIENCE
        self._program = program
        self._folder = folder
        self._env = {
            "PATH": _absolute_path(),
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_DIR": str(folder / "git"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_FLUSH": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": "",
        }
        if worktree is not None:
            self._env["GIT_WORK_TREE"] = str(worktree)
        if index is not None:
            self._env["GIT_INDEX_FILE"] = str(index)
        self._where = worktree or folder

    @contextmanager
    def running(self, *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
        """A git process with unbuffered pipes; ended, whatever happens."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [self._program, "--no-pager", *words], cwd=self._where, env=self._env, bufsize=0,
                stdin=stdin, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
            try:
                _bounded(process.pid)
                _widened(process.stdout)
                yield process
            finally:
                process.kill()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        pipe.close()
                process.wait()

    def read(self, pipe: IO[bytes]) -> bytes:
        """What git says next; nothing at its end.

        Raises:
            SourceBroken: git hangs.
        """
        self.wait(pipe)
        return pipe.read(1 << 20)

    def wait(self, pipe: IO[bytes]) -> None:
        """Return when git says something or ends; raise SourceBroken when it hangs."""
        if not select.select([pipe], [], [], self.patience)[0]:
            raise SourceBroken("git hangs", advice="look for FIFOs in the repository: find . -type p")

    def look(self, refs: dict[str, str], head: str | None) -> None:
        """Keep of the refs and HEAD what is there, so that a broken one takes nothing else away."""
        named = sorted({*refs.values(), *([head] if head else [])})
        if not named:
            return
        asked = "".join(f"{name}\n" for name in named).encode()
        told = b"".join(self.tokens("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked))
        kinds = dict(line.decode().split(" ", 1) for line in told.splitlines())
        self.tips = [name for name in named if kinds.get(name, "missing") in ("commit", "tag")]
        self.absent = [name for name in named if kinds.get(name, "missing") == "missing"]
        self.head = head if kinds.get(head or "") == "commit" else None

    @property
    def empty_tree(self) -> str:
        """The id of a tree that holds nothing."""
        return b"".join(self.tokens("hash-object", "-t", "tree", "--stdin", stdin=b"")).decode().strip()

    def revision(self, text: str) -> str:
        """A revision as people write it (gitrevisions), with the ref in it resolved; refs are not git's to see here.

        Raises:
            ConfigError: it names nothing.
        """
        found = _REVISION.fullmatch(text)
        base, steps = (found[1], found[2]) if found else ("", "")
        forms = (base, f"refs/{base}", f"refs/tags/{base}", f"refs/heads/{base}", f"refs/remotes/{base}")
        name = self.head if base == "HEAD" else next((self.named[f] for f in forms if f in self.named), None)
        if name is None and re.fullmatch(r"[0-9a-f]{7,64}", base):
            name = base
        told = b"".join(self.tokens("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=f"{name}{steps}^{{commit}}\n".encode()))  # noqa: E501  # fmt: skip
        if name is None or not told.strip().endswith(b" commit"):
            raise ConfigError(f"{text!r} names no commit of the repository", advice="give a branch, tag or commit id")
        return told.split()[0].decode()

    def tokens(self, *words: str, stdin: bytes | None = None) -> Iterator[bytes]:
        """The NUL-ended pieces that git prints, as they come.

        Raises:
            SourceBroken: git did not end well; what it had printed was told before.
        """
        with tempfile.TemporaryFile() as given:
            given.write(stdin or b"")
            given.seek(0)
            with self.running(*words, stdin=given) as process:
                assert process.stdout is not None
                rest = b""
                while chunk := self.read(process.stdout):
                    *whole, rest = (rest + chunk).split(b"\0")
                    yield from whole
                if rest:
                    yield rest
                if process.wait() != 0:
                    raise SourceBroken(f"git {words[0]} did not end well", advice="run `git fsck` in the repository")


@contextmanager
def borrowed(layout: Layout, *, with_index: bool = False) -> Iterator[Git]:
    """A `Git` over the objects and refs of `layout`, and over its index where that is asked for.

    Raises:
        SourceBroken: git is not installed, or the path cannot be borrowed from.
    """
    program = shutil.which("git", path=_absolute_path())
    if program is None:
        raise SourceBroken("git is not installed", advice="install git, or leave repositories out")
    objects = str((layout.common / "objects").resolve())
    if "\n" in objects or objects.startswith(('"', "#")):
        raise SourceBroken("the repository's path has a line end", advice="move it")
    with tempfile.TemporaryDirectory(prefix="keyatlas-git-") as name:
        folder = Path(name)
        made = folder / "git"
        (made / "objects" / "info").mkdir(parents=True)
        (made / "refs").mkdir()
        (made / "objects" / "info" / "alternates").write_bytes(os.fsencode(objects) + b"\n")
        version, extension = (1, "[extensions]\n\tobjectFormat = sha256\n") if layout.width == 32 else (0, "")
        (made / "config").write_text(
            f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{_OURS}{extension}"
        )
        (made / "HEAD").write_text("ref: refs/heads/none\n")
        if layout.is_shallow:
            (made / "shallow").write_text(_ids((layout.common / "shallow").read_text("utf-8", "replace")))
        index = _index(layout) if with_index else None
        git = Git(program, folder, layout.root if layout.has_worktree else None, index)
        refs = _refs(layout.common)
        git.look(refs, _resolved(layout.head, refs))
        git.named = refs
        yield git


def _index(layout: Layout) -> Path:
    """The index that a commit is being made of: git names another one to its hooks for `git commit PATH`."""
    named = os.environ.get("GIT_INDEX_FILE")
    path = Path(named).absolute() if named else layout.head / "index"
    return path if path.parent.resolve() == layout.head.resolve() else layout.head / "index"


def _absolute_path() -> str:
    """PATH without `.` and the like: in a repository's own folder, `./git` is the repository's."""
    return os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder).is_absolute())


def _bounded(process: int) -> None:
    """git holds what it was given, and more, of a hostile repository: a circle of changes fills any memory."""
    if hasattr(resource, "prlimit"):
        with suppress(OSError, ValueError):
            resource.prlimit(process, resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


def _widened(pipe: IO[bytes] | None) -> None:
    """A wide pipe lets git run on while a chunk is scanned; where the system refuses, a narrow one does too."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)


def _ids(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if _ID.fullmatch(line))


def _refs(common: Path) -> dict[str, str]:
    """Every ref that names an object; loose ones win over packed ones (gitrepository-layout)."""
    refs: dict[str, str] = {}
    packed = common / "packed-refs"
    lines = packed.read_text("utf-8", "replace").splitlines() if packed.is_file() and not packed.is_symlink() else []
    told = [line.split(" ", 1) for line in lines if line.count(" ") == 1]
    for folder, _, names in os.walk(common / "refs", followlinks=False):
        loose = [Path(folder) / name for name in names]
        told += [[_small(path).strip(), str(path.relative_to(common))] for path in loose if not path.is_symlink()]
    for value, ref in told:
        is_plain = _REF.fullmatch(ref) and ".." not in ref and "@{" not in ref and not ref.endswith((".lock", "/", "."))
        if is_plain and _ID.fullmatch(value):
            refs[ref] = value
    return refs


def _resolved(head: Path, refs: dict[str, str]) -> str | None:
    words = _small(head / "HEAD").strip()
    if words.startswith("ref: "):
        return refs.get(words[5:].strip())
    return words if _ID.fullmatch(words) else None
