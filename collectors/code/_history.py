"""Whose commit brought a blob, which was the last to hold it, and at which paths: from one `git log`.

Refuses to: keep anything of a blob that holds no finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from collectors.code._git import Git
from collectors.code._sources import at_head
from collectors.code._values import redacted

# First parents suffice for merges: what a merge adds beyond its parents differs from the first one too.
_LOG: Final = (
    "log", "--stdin", "--ignore-missing", "--raw", "--no-abbrev", "--no-renames", "--diff-merges=first-parent",
    "--root", "-z", "--no-mailmap", "--no-color", "--no-ext-diff", "--no-textconv",
    "--format=%x01%ct %H %P",
)  # fmt: skip


_LONGEST: Final = 200
_UNREAD: Final = datetime.fromtimestamp(0, UTC)  # as git itself shows a date that it cannot read


@dataclass(frozen=True, slots=True)
class Commit:
    """What is told of a commit."""

    id: str
    at: datetime
    author: str | None = None
    subject: str | None = None

    @property
    def told_at(self) -> datetime | None:
        """Its time; None where git cannot read the date that was written."""
        return None if self.at == _UNREAD else self.at


@dataclass(slots=True)
class Story:
    """Where one blob was, and when."""

    first: Commit | None = None
    last: Commit | None = None
    paths: list[str] = field(default_factory=list)
    """In the order of the first commit that had each."""
    current: list[str] = field(default_factory=list)
    """Paths at HEAD."""
    commits: set[str] = field(default_factory=set)
    """Those that brought it, at whatever path."""
    removed_at: datetime | None = None
    last_parent: str | None = None


def _time(seconds: bytes) -> datetime:
    """Committer's time; whoever makes a commit may write anything there."""
    return datetime.fromtimestamp(min(int(seconds), 253402300799), UTC) if seconds.isdigit() else _UNREAD


def stories(git: Git, blobs: set[bytes], into: dict[bytes, Story]) -> None:
    """Fill `into` for each of `blobs` (hex ids); one that no commit has keeps an empty story.

    Raises:
        SourceBroken: git could not walk all commits; what it told before is in `into`.
    """
    into.update((blob, Story()) for blob in blobs)
    try:
        for old, new, path, commit, parent in _changes(git, blobs):
            if new in blobs:
                _added(into[new], path, commit)
            if old in blobs:
                _removed(into[old], commit, parent)
    finally:
        _at_head(git, blobs, into)
        _parents(git, into)
        _authors(git, into)


def _changes(git: Git, blobs: set[bytes]) -> Iterator[tuple[bytes, bytes, bytes, Commit, str]]:
    if not git.tips:
        return
    tokens = git.tokens(*_LOG, stdin="".join(f"{tip}\n" for tip in git.tips).encode())
    header = b""
    commit: Commit | None = None
    parent = ""
    for token in tokens:
        if token.startswith((b":", b"\n:")):
            path = next(tokens, b"")
            _, _, old, new, _ = token.split(b" ", 4)
            if new in blobs or old in blobs:
                if commit is None:
                    at, name, *parents = header.split(b" ")
                    commit = Commit(name.decode(), _time(at))
                    parent = parents[0].decode() if parents else ""
                yield old, new, path, commit, parent
        elif (begin := token.find(b"\x01")) >= 0:
            header, commit = token[begin + 1 :], None


def _added(story: Story, path: bytes, commit: Commit) -> None:
    name = path.decode("utf-8", "backslashreplace")
    story.commits.add(commit.id)
    # The log tells the newest first: of two commits of one second, the later told is the elder.
    if story.first is None or commit.at <= story.first.at:
        story.first = commit
        story.paths = [name, *(other for other in story.paths if other != name)]
    elif name not in story.paths:
        story.paths.append(name)
    if story.last is None or commit.at > story.last.at:
        story.last = commit


def _removed(story: Story, commit: Commit, parent: str) -> None:
    if story.removed_at is None or commit.at > story.removed_at:
        story.removed_at, story.last_parent = commit.at, parent


def _at_head(git: Git, blobs: set[bytes], into: dict[bytes, Story]) -> None:
    if git.head is None:
        return
    told = next(git.tokens("log", "-1", "-z", "--no-mailmap", "--format=%ct", git.head), b"")
    commit = Commit(git.head, _time(told.strip()))
    for blob, path in at_head(git):
        if blob in blobs:
            into[blob].current.append(path)
            into[blob].last = commit


def _asked(git: Git, names: set[str], form: str) -> Iterator[bytes]:
    """What a format says of some commits."""
    words = ("log", "--no-walk=unsorted", "--stdin", "-z", "--no-mailmap", "--ignore-missing", f"--format={form}")
    return git.tokens(*words, stdin="".join(f"{name}\n" for name in sorted(names)).encode())


def _parents(git: Git, into: dict[bytes, Story]) -> None:
    """The last commit that held a blob is the parent of the one that took it away."""
    gone = [story for story in into.values() if story.last_parent and not story.current]
    if not gone:
        return
    told = (token.partition(b" ") for token in _asked(git, {story.last_parent or "" for story in gone}, "%H %ct"))
    times = {name.decode(): _time(at.strip()) for name, _, at in told}
    for story in gone:
        at = times.get(story.last_parent or "")
        if at is not None and (story.last is None or at >= story.last.at):
            story.last = Commit(story.last_parent or "", at)


def _authors(git: Git, into: dict[bytes, Story]) -> None:
    """Who wrote the first commit of each, and what about."""
    firsts = {story.first.id: story.first for story in into.values() if story.first is not None}
    if not firsts:
        return
    for token in _asked(git, {*firsts}, "%H%x02%an <%ae>%x02%s"):
        name, author, subject = token.strip().split(b"\x02", 2)
        if (first := firsts.get(name.decode())) is not None:
            firsts[first.id] = replace(first, author=_shown(author), subject=_shown(subject))
    for story in into.values():
        if story.first is not None:
            story.first = firsts[story.first.id]


def _shown(text: bytes) -> str | None:
    return redacted(text.decode("utf-8", "replace").strip()[:_LONGEST]) or None
