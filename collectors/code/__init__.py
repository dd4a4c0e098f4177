"""Secrets and keys in source code: the whole history of git repositories, and files as they lie there.

Every blob of the object store is read once, reachable or not, each behind the one it is stored as a change of, by as
many processes as there are cores. A repository is never trusted: its config, hooks and filters are not read, so nothing
in it runs.
Refuses to: follow links, tell a secret's value, or ask a vendor whether a token still works unless told to.

>>> collector = Code(paths=("/nowhere",))
>>> [target.locator for target in collector.targets()]
['file:///nowhere/']
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote_to_bytes, urlsplit

from collectors.code._git import locate
from collectors.code._stream import CHUNK
from collectors.code._suppression import load, new_salt, written
from toolkit.errors import ConfigError, SourceBroken
from toolkit.identity import Fingerprinter
from toolkit.model import Row, Secret, Target

if TYPE_CHECKING:
    from collectors.code._liveness import Endpoint


class Code:
    """Hard-coded secrets and key material in repositories and folders.

    Args:
        paths: repositories (plain, bare, linked worktrees) or folders; the repository around the current folder when
            none is given, or else that folder.
        history: read every blob that the repository ever held, not only the files that lie there now.
        staged: read only what is staged to be committed.
        since: read only what HEAD has that this revision has not (a branch, tag or commit).
        gitignore: leave out what the repository's `.gitignore` names; local secrets often lie just there.
        patterns: files of rules of your own, in the form of `toolkit/patterns` or of gitleaks.
        baseline: a file of findings that are accepted for now; they are told as suppressed.
        check_liveness: ask the services themselves whether what was found still works: a table of endpoints (see
            `toolkit/liveness.toml`), or `standard`. The values are shown to those addresses.
        cache: keep what was found in blobs, and read only new ones the next time.
        confidence: findings that are less sure than this (0..1) are not told.
        processes: how many read at once; 0 takes as many as there are cores.
        fingerprinter: names the values; without one, names hold within this object only.
    """

    name: ClassVar[str] = "code"
    reads: ClassVar[tuple[str, ...]] = ("file:read", "https:the endpoints of check_liveness, only when it is given")
    parallel: ClassVar[int] = 1

    def __init__(
        self,
        *,
        paths: tuple[str, ...] = (),
        history: bool = True,
        staged: bool = False,
        since: str = "",
        gitignore: bool = False,
        patterns: tuple[str, ...] = (),
        baseline: str = "",
        check_liveness: str = "",
        cache: bool = True,
        confidence: float = 0.5,
        processes: int = 0,
        fingerprinter: Fingerprinter | None = None,
    ) -> None:
        _needed()
        self._paths = tuple(paths)
        self.history = history
        self.staged = staged
        self.since = since
        self.cache = cache
        self.baseline = load(Path(baseline)) if baseline else None
        self.salt = self.baseline.salt if self.baseline is not None else None
        """Under which the marks of findings are made, for a baseline."""
        self.marks: dict[str, str] = {}
        """By which a baseline knows each value, by uid; filled by `collect` where there is a salt."""
        self.told: Callable[[int, int], None] = lambda _done, _total: None
        """Is told how many of the objects that are read at a time are done, and how many those are."""
        self.gitignore = gitignore
        self.patterns = tuple(patterns)
        self.confidence = confidence
        self.endpoints: dict[str, Endpoint] = {}
        if check_liveness:
            from collectors.code._liveness import load as endpoints  # an HTTP client takes long to load

            self.endpoints = endpoints(check_liveness)
        # One asks slowly; two would ask twice as fast.
        self.processes = 1 if self.endpoints else processes or len(os.sched_getaffinity(0))
        self.fingerprinter = fingerprinter or Fingerprinter(os.urandom(32))
        self.chunk = CHUNK

    def mark(self) -> None:
        """From now on, make the marks that a new baseline needs."""
        self.salt = new_salt()

    def baseline_text(self, secrets: Iterable[Secret], *, reason: str, until: date) -> str:
        """A baseline file that accepts these findings of this object until a date."""
        pairs = [(secret, self.marks[secret.secret_uid]) for secret in secrets]
        return written(self.salt or b"", pairs, reason=reason, until=until)

    def targets(self) -> Iterator[Target]:
        """One for each repository or folder."""
        roots = [Path(path).expanduser() for path in self._paths] or [_around(Path.cwd())]
        for root in dict.fromkeys(root.absolute().resolve() for root in roots):
            uri = root.as_uri()
            locator = "git" + uri.removeprefix("file") if _is_repository(root) else uri.rstrip("/") + "/"
            yield Target(collector=self.name, locator=locator, label=_shown(root.name or str(root)))

    def collect(self, target: Target) -> Iterator[Row]:
        """Every secret, key and certificate of the target.

        Raises:
            SourceBroken: nothing is there, or git is not installed.
        """
        root = Path(os.fsdecode(unquote_to_bytes(urlsplit(target.locator).path)))
        if not root.exists():
            raise SourceBroken(f"{_shown(str(root))} is not there", advice="give a path that exists")
        # The engine is loaded when it is needed: naming the targets does not.
        from collectors.code._reading import Reading

        reading = Reading(target, self)
        if target.locator.startswith("file:"):
            yield from reading.folder(root)
            return
        layout = locate(root)
        if layout is None:
            raise SourceBroken(f"{_shown(str(root))} is a git repository no more", advice="collect again")
        yield from reading.repository(layout)


def _needed() -> None:
    """Asked before anything is read; that a package is there is asked without loading it, which takes longer."""
    for name in ("hyperscan", "pypdf", "numpy", "dulwich"):
        if importlib.util.find_spec(name) is None:
            advice = "pip install 'keyatlas[code]'"
            raise ConfigError(f"the code collector needs {name}, which is not installed", advice=advice)


def _shown(path: str) -> str:
    """A path as text that every table takes: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _is_repository(root: Path) -> bool:
    try:
        return locate(root) is not None
    except OSError:
        return False


def _around(here: Path) -> Path:
    return next((folder for folder in (here, *here.parents) if _is_repository(folder)), here)
