"""Where log files lie: a folder tree, as CloudTrail lays it out or any other.

`AWSLogs/[o-…/]ACCOUNT/CloudTrail/REGION/YEAR/MONTH/DAY/`: a folder that holds log files is a target, so a day of an
account and region is one.
Refuses to: follow links, or read digests and insights, which are no events.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from collectors.aws_usage._reader import File

_ENDINGS: Final = (".json.gz", ".json", ".gz", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
NOT_EVENTS: Final = ("CloudTrail-Digest", "CloudTrail-Insight")
_DAY: Final = re.compile(r"(?:^|/)(\d{4})/(\d\d)/(\d\d)/?$")


def folders(root: Path, since: datetime | None) -> Iterator[Path]:
    """The folders that hold log files, or cannot be looked into; the root itself when there are none."""
    found = False
    for folder in _below(root, since):
        found = True
        yield folder
    if not found:
        yield root


def _below(folder: Path, since: datetime | None) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        # It is a target all the same: reading it says why it cannot be read.
        yield folder
        return
    if any(is_log(entry.name) and entry.is_file(follow_symlinks=False) for entry in inside):
        yield folder
    for entry in inside:
        if entry.is_dir(follow_symlinks=False) and entry.name not in NOT_EVENTS:
            below = folder / entry.name
            if not is_before(below.as_posix(), since):
                yield from _below(below, since)


def is_log(name: str) -> bool:
    """Whether a file of this name may hold events."""
    return name.endswith(_ENDINGS) and not any(word in name for word in NOT_EVENTS)


def is_before(path: str, since: datetime | None) -> bool:
    """Whether the path is that of a day that was over at `since`; delivery may lag into the next day."""
    day = _DAY.search(path)
    if since is None or day is None:
        return False
    try:
        return datetime(int(day[1]), int(day[2]), int(day[3]), tzinfo=UTC).date() < since.date()
    except ValueError:
        return False


def files(folder: Path) -> Iterator[File]:
    """The log files that lie in the folder itself, by name.

    Raises:
        OSError: it cannot be looked into.
    """
    if folder.is_file():
        yield File(folder.as_uri(), folder.stat().st_size, path=str(folder))
        return
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry) for entry in entries if is_log(entry.name))
    for name, entry in found:
        if entry.is_file(follow_symlinks=False):
            path = folder / name
            yield File(path.as_uri(), entry.stat(follow_symlinks=False).st_size, path=str(path))
