"""Secrets and keys in source code: the whole history of git repositories, and files as they lie there.

Every blob of the object store is read once, in git's own order, reachable or not. A repository is never trusted: its
config, hooks and filters are not read, so nothing in it runs. What is ignored by its `.gitignore` is not read either.
Refuses to: ask a vendor whether a token still works, follow links, or tell a secret's value.

>>> collector = Code(paths=("/nowhere",))
>>> [target.locator for target in collector.targets()]
['file:///nowhere/']
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, unquote_to_bytes, urlsplit

from collectors.code._confirm import MARGIN
from collectors.code._git import Git, Layout, borrowed, locate
from collectors.code._history import Story, stories
from collectors.code._rows import Findings
from collectors.code._rules import needed
from collectors.code._sources import Blobs, Files, names_of_folder, names_of_worktree
from collectors.code._stream import CHUNK
from toolkit.errors import SourceBroken
from toolkit.identity import Fingerprinter
from toolkit.model import Gap, Row, Target
from toolkit.terms import GapScope, GapStatus

_UNREADABLE: Final = "run `git fsck` in the repository, and fetch what is broken again"


class Code:
    """Hard-coded secrets and key material in repositories and folders.

    Args:
        paths: repositories (plain, bare, linked worktrees) or folders; the repository around the current folder when
            none is given, or else that folder.
        history: read every blob that the repository ever held, not only the files that lie there now.
        fingerprinter: names the values; without one, names hold within this object only.
    """

    name: ClassVar[str] = "code"
    reads: ClassVar[tuple[str, ...]] = ("file:read",)
    parallel: ClassVar[int] = 2

    def __init__(
        self, *, paths: tuple[str, ...] = (), history: bool = True, fingerprinter: Fingerprinter | None = None
    ) -> None:
        needed()
        self._paths = tuple(paths)
        self._history = history
        self._fingerprinter = fingerprinter or Fingerprinter(os.urandom(32))
        self._chunk = CHUNK

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
            raise SourceBroken(f"{_shown(str(root))} is not there", advice="correct `paths`")
        findings = Findings(collector=self.name, target=target.locator, fingerprinter=self._fingerprinter)
        reading = _Reading(target, findings, self._fingerprinter, self._chunk)
        if target.locator.startswith("file:"):
            yield from reading.folder(root)
            return
        layout = locate(root)
        if layout is None:
            raise SourceBroken(f"{_shown(str(root))} is a git repository no more", advice="collect again")
        yield from reading.repository(layout, history=self._history)


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


class _Reading:
    """The reading of one target."""

    def __init__(self, target: Target, findings: Findings, fingerprinter: Fingerprinter, chunk: int) -> None:
        from collectors.code._scan import Scanner

        self._target = target
        self._findings = findings
        self._scanner = Scanner(fingerprinter, findings.parse)
        self._chunk = chunk

    def folder(self, root: Path) -> Iterator[Row]:
        """A plain folder, or one file."""
        nested: list[str] = []
        denied: list[str] = []
        top = root if root.is_dir() else root.parent
        names = names_of_folder(root, nested, denied) if root.is_dir() else iter([root.name])
        yield from self._files(top, names)
        for path in denied:
            yield self._gap(f"{path}/", "the folder cannot be listed", GapStatus.DENIED)
        yield from self._nested(nested)
        yield from self._findings.rows(top, {}, is_git=False)

    def repository(self, layout: Layout, *, history: bool) -> Iterator[Row]:
        """A repository: its blobs, its files, then whose they are."""
        with borrowed(layout) as git:
            if history:
                yield from self._blobs(git)
                yield from self._history_gaps(layout)
            if layout.has_worktree:
                nested: list[str] = []
                try:
                    yield from self._files(layout.root, names_of_worktree(git, nested))
                except SourceBroken as broken:
                    yield self._gap(None, f"files of the work tree: {broken.message}", GapStatus.ERROR)
                yield from self._nested(nested)
            told: dict[bytes, Story] = {}
            if blobs := self._findings.blobs:
                try:
                    stories(git, blobs, told)
                except SourceBroken as broken:
                    yield self._gap(None, f"commits: {broken.message}", GapStatus.ERROR, field="first_commit")
            yield from self._findings.rows(layout.root, told, is_git=True)

    def _blobs(self, git: Git) -> Iterator[Row]:
        blobs = Blobs(git, chunk=self._chunk, margin=MARGIN)
        try:
            for stream in blobs.streams():
                for hit in self._scanner.hits(stream):
                    self._findings.add_blob(hit)
        except SourceBroken as broken:
            yield self._gap("?objects", f"objects: {broken.message}", GapStatus.ERROR, advice=broken.advice)
        for name in git.absent:
            yield self._gap(
                f"?commit={name}", "a ref names it, but it is not there", GapStatus.MALFORMED, advice=_UNREADABLE
            )
        for name in dict.fromkeys(blobs.damaged):
            yield self._gap(f"?blob={name}", "git cannot read this object", GapStatus.MALFORMED, advice=_UNREADABLE)
        if not blobs.is_listed:
            yield self._gap("?objects", "git could not list all objects", GapStatus.ERROR, advice=_UNREADABLE)

    def _files(self, root: Path, names: Iterator[str]) -> Iterator[Row]:
        files = Files(root, names)
        for hit in self._scanner.hits(files.stream(chunk=self._chunk, margin=MARGIN)):
            self._findings.add_file(files.paths[int(hit.name)], hit)
        for path, reason in files.failed:
            yield self._gap(path, reason.lower(), GapStatus.DENIED)

    def _history_gaps(self, layout: Layout) -> Iterator[Gap]:
        if layout.is_shallow:
            reason = "a shallow clone: older commits are not here, so first sightings may be earlier"
            yield self._gap(None, reason, GapStatus.NOT_ASKED, field="first_seen_at", advice="git fetch --unshallow")
        if layout.is_partial:
            reason = "a partial clone: blobs that were not fetched are not here"
            yield self._gap("?objects", reason, GapStatus.NOT_ASKED, advice="git fetch --refetch --no-filter")
        if (layout.common / "reftable").is_dir():
            reason = "refs lie in a reftable, which is not read: commits are not known"
            yield self._gap(None, reason, GapStatus.NOT_ASKED, field="first_commit")

    def _nested(self, folders: list[str]) -> Iterator[Gap]:
        for folder in folders:
            reason = "another repository lies here"
            yield self._gap(folder, reason, GapStatus.NOT_ASKED, advice="name it in `paths` too")

    def _gap(
        self, place: str | None, reason: str, status: GapStatus, *, field: str | None = None, advice: str | None = None
    ) -> Gap:
        locator = self._target.locator
        if place is not None:
            name = place if place.startswith("?") else quote(os.fsencode(place))
            locator += name if name.startswith("?") or locator.endswith("/") else f"#{name}"
        return Gap(
            collector=self._target.collector,
            target=self._target.locator,
            locator=locator,
            scope=GapScope.OBJECT if field is None else GapScope.FIELD,
            status=status,
            reason=reason,
            field=field,
            advice=advice,
        )
