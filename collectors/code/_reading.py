"""The reading of one target: what is read, in which order, and what the gaps are.

Refuses to: know how a secret looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from collectors.code._book import book
from collectors.code._git import Git, Layout, borrowed
from collectors.code._history import Story, stories
from collectors.code._pool import Pool, shares
from collectors.code._rows import Findings
from collectors.code._rules import lost
from collectors.code._seen import Seen, packed, refs, stamp, unpacked
from collectors.code._seen import load as known
from collectors.code._sources import at_head, names_of_folder, names_of_worktree, since, staged
from collectors.code._work import BlobUnit, FileUnit, Outcome, Setup, Unit
from toolkit.errors import ConfigError, SourceBroken
from toolkit.model import Gap, Row, Target
from toolkit.terms import GapScope, GapStatus

if TYPE_CHECKING:
    from collectors.code import Code

_UNREADABLE: Final = "run `git fsck` in the repository, and fetch what is broken again"
_LARGE: Final = 8 << 20
"""Bytes of packs that several processes read sooner."""
_MOST: Final = 50_000
"""Objects that one process reads before it tells how far it is."""
_FEW: Final = 2_000
"""Objects that one process reads sooner than two could be started."""


class Reading:
    """The reading of one target."""

    def __init__(self, target: Target, code: Code) -> None:
        self._target = target
        self._code = code
        self._setup = Setup(
            collector=code.name,
            target=target.locator,
            patterns=code.patterns,
            fingerprinter=code.fingerprinter,
            salt=code.salt,
            endpoints=code.endpoints,
            chunk=code.chunk,
        )
        self._book = book(code.patterns)
        self._findings = Findings(
            collector=code.name,
            target=target.locator,
            rules=self._book.rules,
            threshold=code.confidence,
            baseline=code.baseline,
        )
        self._findings.marks = code.marks
        self._pool = Pool(self._setup, code.processes)

    def folder(self, root: Path) -> Iterator[Row]:
        """A plain folder, or one file."""
        nested: list[str] | None = [] if self._code.history else None
        denied: list[str] = []
        top = root if root.is_dir() else root.parent
        names = names_of_folder(root, nested, denied) if root.is_dir() else iter([root.name])
        if self._code.staged or self._code.since:
            raise ConfigError(
                f"{self._target.label} is no repository: nothing is staged there, and it has no revisions",
                advice="name the top folder of a repository",
            )
        yield from self._lost()
        with self._pool:
            yield from self._files(top, [*names])
        for path in denied:
            yield self._gap(f"{path}/", "the folder cannot be listed", GapStatus.DENIED)
        yield from self._nested(nested or [])
        yield from self._findings.rows(top, {}, is_git=False)

    def repository(self, layout: Layout) -> Iterator[Row]:
        """A repository: its blobs, its files, then whose they are."""
        yield from self._lost()
        with ExitStack() as stack:
            git = stack.enter_context(borrowed(layout, with_index=self._code.staged))
            setup = replace(self._setup, git=git, objects=layout.objects, width=layout.width)
            self._pool = stack.enter_context(Pool(setup, self._code.processes))
            told: dict[bytes, Story] = {}
            if self._code.staged or not (self._code.since or self._code.history or layout.has_worktree):
                yield from self._some(layout, git)
                return
            seen = None
            if self._code.since:
                ids = since(git, git.revision(self._code.since))
                yield from self._read([BlobUnit(ids[share]) for share in self._shares(len(ids))])
            elif self._code.history:
                seen = self._seen(layout)
                yield from self._blobs(layout, git, seen)
                yield from self._history_gaps(layout)
            if layout.has_worktree and not self._code.since:
                yield from self._worktree(layout, git)
            if self._findings.blobs:
                yield from self._stories(git, seen, told)
            if seen is not None:
                seen.save()
            yield from self._findings.rows(layout.root, told, is_git=True)

    def _some(self, layout: Layout, git: Git) -> Iterator[Row]:
        """What is staged; of a bare repository, what its HEAD holds, as if that were checked out."""
        if not self._code.staged and git.head is None and git.tips:
            reason = "HEAD names no commit, so there are no files to read"
            yield self._gap("?head", reason, GapStatus.NOT_ASKED, advice="read the whole history: --history")
        blobs: dict[bytes, list[str]] = staged(git) if self._code.staged else {}
        for name, path in () if self._code.staged else at_head(git):
            blobs.setdefault(name, []).append(path)
        told = {name: Story(paths=paths, current=paths) for name, paths in blobs.items()}
        names = [*blobs]
        yield from self._read([BlobUnit(names[share]) for share in self._shares(len(names))])
        yield from self._findings.rows(layout.root, told, is_git=True)

    def _stories(self, git: Git, seen: Seen | None, told: dict[bytes, Story]) -> Iterator[Gap]:
        question = refs(git, self._findings.blobs)
        if seen is not None and seen.told.get("question") == question:
            told.update(unpacked(seen.told["stories"]))
            return
        try:
            stories(git, self._findings.blobs, told)
        except SourceBroken as broken:
            yield self._gap(None, f"commits: {broken.message}", GapStatus.ERROR, field="first_commit")
            return
        if seen is not None:
            seen.told = {"question": question, "stories": packed(told)}

    def _seen(self, layout: Layout) -> Seen | None:
        """What earlier runs found, where it may be used: marks and answers need the values themselves."""
        if not self._code.cache or self._setup.salt is not None or self._setup.endpoints:
            return None
        question = f"{layout.common} {self._book.digest}".encode("utf-8", "surrogateescape")
        return known(self._code.fingerprinter.uid(question).removeprefix("hmac:")[:40])

    def _lost(self) -> Iterator[Gap]:
        """What the user's own files of rules ask for that cannot be had."""
        for line in lost(self._code.patterns):
            yield self._gap(None, line, GapStatus.NOT_APPLICABLE, field="rule")

    def _worktree(self, layout: Layout, git: Git) -> Iterator[Row]:
        nested: list[str] = []
        try:
            names = [*names_of_worktree(git, nested, gitignore=self._code.gitignore)]
            yield from self._files(layout.root, names)
        except SourceBroken as broken:
            yield self._gap(None, f"files of the work tree: {broken.message}", GapStatus.ERROR)
        yield from self._nested(nested)

    def _blobs(self, layout: Layout, git: Git, seen: Seen | None) -> Iterator[Row]:
        for name in git.absent:
            reason = "a ref names it, but it is not there"
            yield self._gap(f"?commit={name}", reason, GapStatus.MALFORMED, advice=_UNREADABLE)
        state = stamp(layout) if seen is not None else ""
        if seen is not None and seen.stamp == state:
            ids = seen.again
        else:
            from collectors.code._listing import listed  # loads numpy, which a second run with nothing new does without

            if (seen is None or not seen.ids) and _is_large(layout):
                self._pool.start()
            try:
                ids, missing, is_listed = listed(git, layout)
            except SourceBroken as broken:
                yield self._gap("?objects", f"objects: {broken.message}", GapStatus.ERROR, advice=broken.advice)
                return
            if not is_listed:
                yield self._gap("?objects", "git could not list all objects", GapStatus.ERROR, advice=_UNREADABLE)
            yield from self._damaged(missing)
            if seen is not None:
                seen.keep_only(ids)
                ids = [name for name in ids if bytes.fromhex(name.decode()) not in seen.ids]
                seen.stamp = state if is_listed and not missing else ""
        if seen is not None:
            self._findings.add(Outcome(BlobUnit(()), hits=seen.hits))
            seen.again = []
        yield from self._read([BlobUnit(ids[share]) for share in self._shares(len(ids))], seen)

    def _files(self, root: Path, names: list[str]) -> Iterator[Row]:
        yield from self._read([FileUnit(root, names[share]) for share in self._shares(len(names))])

    def _shares(self, total: int) -> Iterator[slice]:
        if self._code.processes > 1 and total > _FEW:
            yield from shares(total, self._code.processes)
        else:
            yield from (slice(at, at + _MOST) for at in range(0, total, _MOST))

    def _read(self, units: Sequence[Unit], seen: Seen | None = None) -> Iterator[Gap]:
        done, total = 0, sum(map(len, units))
        for outcome in self._pool.outcomes(units):
            done += len(outcome.unit)
            self._code.told(done, total)
            self._findings.add(outcome)
            if seen is not None:
                outcome.remember(seen)
            yield from self._damaged(outcome.damaged)
            for path, reason in outcome.denied:
                yield self._gap(path, reason.lower(), GapStatus.DENIED)
            for name, reason in outcome.unopened:
                place = outcome.place(name)
                yield self._gap(place if isinstance(place, str) else f"?blob={place.decode()}", reason, GapStatus.NOT_ASKED, field="members")  # noqa: E501  # fmt: skip
            if outcome.broken is not None:
                yield self._gap("?objects", f"objects: {outcome.broken}", GapStatus.ERROR, advice=_UNREADABLE)

    def _damaged(self, names: Iterable[bytes]) -> Iterator[Gap]:
        for name in dict.fromkeys(names):
            reason = "git cannot read this object"
            yield self._gap(f"?blob={name.decode()}", reason, GapStatus.MALFORMED, advice=_UNREADABLE)

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
            yield self._gap(folder, reason, GapStatus.NOT_ASKED, advice="name it too, to have it read")

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


def _is_large(layout: Layout) -> bool:
    """Whether several processes will surely be needed for its history."""
    with suppress(OSError):
        return sum(path.lstat().st_size for path in (layout.common / "objects" / "pack").glob("*.pack")) > _LARGE
    return False
