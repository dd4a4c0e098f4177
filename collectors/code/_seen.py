"""What earlier runs found in a repository's blobs, so that only blobs that came since are read.

One file a repository in the user's cache folder, good for one edition of the patterns and one fingerprinter. Blobs
with key material, and those that could not be read whole, are not in it: they are read each time.
Refuses to: keep a value, or trust a file that somebody else could have written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from collectors.code._book import keep, kept
from collectors.code._git import Git, Layout
from collectors.code._history import Commit, Story
from collectors.code._hits import Hit
from toolkit.identity import cache_folder

_FORM: Final = 2
_FIELDS: Final = tuple(field.name for field in fields(Hit))
_NAME: Final = _FIELDS.index("name")
_values: Final = attrgetter(*_FIELDS)


@dataclass(slots=True)
class Seen:
    """What is known of a repository."""

    path: Path
    stamp: str = ""
    ids: set[bytes] = field(default_factory=set)
    """Blobs that need not be read again, by raw id."""
    again: list[bytes] = field(default_factory=list)
    """Blobs to be read each time, by hex id."""
    hits: list[Hit] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    """Stories, by the refs they were read at."""
    kept: tuple[Any, ...] = ()
    """What tells whether anything is new since it was loaded."""

    @property
    def state(self) -> tuple[Any, ...]:
        """Changes with all that is kept."""
        return self.stamp, len(self.ids), len(self.hits), tuple(self.again), self.told.get("question")

    def keep_only(self, ids: Sequence[bytes]) -> None:
        """Forget blobs that are no longer there, and what was found in them."""
        if self.ids or self.hits:
            there = {bytes.fromhex(name.decode()) for name in ids}
            self.ids &= there
            self.hits = [hit for hit in self.hits if bytes.fromhex(hit.name.decode()) in there]

    def save(self) -> None:
        """Write it, whole or not at all, where anything is new."""
        if self.state == self.kept:
            return
        head = {
            "form": _FORM,
            "stamp": self.stamp,
            "size": len(next(iter(self.ids), b"")),
            "again": [name.decode() for name in self.again],
            "hits": [
                [value.decode() if isinstance(value, bytes) else value for value in _values(hit)] for hit in self.hits
            ],
            "told": self.told,
        }
        keep(self.path, json.dumps(head).encode() + b"\n" + b"".join(self.ids))


def load(name: str) -> Seen:
    """What is known under a name; nothing, where there is no file or not a good one."""
    seen = Seen(cache_folder() / f"seen-{name}")
    content = kept(seen.path)
    if content is None:
        return seen
    try:
        text, _, raw = content.partition(b"\n")
        head = json.loads(text)
        if head["form"] != _FORM:
            return seen
        size = head["size"]
        hits = [_hit([*told[:_NAME], told[_NAME].encode(), *told[_NAME + 1 :]]) for told in head["hits"]]
        ids = {raw[at : at + size] for at in range(0, len(raw), size)} if size else set()
        found = Seen(seen.path, head["stamp"], ids, [n.encode() for n in head["again"]], hits, head["told"])
        found.kept = found.state
        return found
    except (ValueError, KeyError, TypeError):
        return seen


def _hit(told: list[Any]) -> Hit:
    values: list[Any] = [tuple(value) if isinstance(value, list) else value for value in told]
    return Hit(*values)


def stamp(layout: Layout) -> str:
    """Changes whenever an object may have come: names and sizes of packs, names of loose objects, alternates too."""
    parts: list[str] = []
    waiting = [layout.common / "objects"]
    done: set[str] = set()
    while waiting:
        folder = waiting.pop()
        if str(folder) in done or len(done) > 20:
            continue
        done.add(str(folder))
        for place in (folder, folder / "pack", *sorted(folder.glob("[0-9a-f][0-9a-f]"))):
            parts.append(str(place))
            try:
                with os.scandir(place) as entries:
                    parts += sorted(f"{e.name} {e.stat(follow_symlinks=False).st_size}" for e in entries if e.is_file())
            except OSError:
                parts.append("?")
        alternates = folder / "info" / "alternates"
        if alternates.is_file():
            lines = alternates.read_text("utf-8", "replace").splitlines()
            waiting += [folder / line for line in lines if line and not line.startswith("#")]
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def refs(git: Git, blobs: set[bytes]) -> str:
    """Names the question that stories answer: these tips, this HEAD, these blobs."""
    return hashlib.sha256(repr((sorted(git.tips), git.head, sorted(blobs))).encode()).hexdigest()


def packed(stories: dict[bytes, Story]) -> dict[str, Any]:
    """Stories as JSON."""
    return {
        blob.decode(): {
            "first": _packed(story.first),
            "last": _packed(story.last),
            "paths": story.paths,
            "current": story.current,
            "commits": sorted(story.commits),
        }
        for blob, story in stories.items()
    }


def unpacked(told: dict[str, Any]) -> dict[bytes, Story]:
    """Stories out of JSON."""
    return {
        blob.encode(): Story(
            first=_commit(table["first"]),
            last=_commit(table["last"]),
            paths=table["paths"],
            current=table["current"],
            commits=set(table["commits"]),
        )
        for blob, table in told.items()
    }


def _packed(commit: Commit | None) -> list[Any] | None:
    return None if commit is None else [commit.id, int(commit.at.timestamp()), commit.author, commit.subject]


def _commit(table: list[Any] | None) -> Commit | None:
    return None if table is None else Commit(table[0], datetime.fromtimestamp(table[1], UTC), table[2], table[3])
