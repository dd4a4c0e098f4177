"""One log file read to its end, wherever its bytes come from, in batches that are small enough to hand on.

Refuses to: follow a link, wait on a pipe, or let what one file holds end the reading of the others.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from collectors.aws_usage._events import Fields, Odd, fields
from collectors.aws_usage._names import is_wanted
from collectors.aws_usage._stream import Torn, events, unpacked
from toolkit.terms import GapStatus

BATCH: Final = 4_000
_PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class File:
    """A log file by the name it is told by, and its path or, of one that was fetched, its bytes."""

    name: str
    size: int
    path: str | None = None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What every file is read with."""

    max_bytes: int
    since: datetime | None = None


@dataclass(slots=True)
class Batch:
    """Rows of one file; the last batch of a file says so, and why it could not be read whole."""

    name: str
    rows: list[Fields] = field(default_factory=list)
    is_last: bool = False
    reason: str | None = None
    status: GapStatus = GapStatus.MALFORMED


def batches(file: File, setup: Setup) -> Iterator[Batch]:
    """All that is kept of a file. What came before it broke off is kept too."""
    batch, odd = Batch(file.name), 0
    seen: dict[Any, Any] = {}
    try:
        for event in events(unpacked(_pieces(file), max_bytes=setup.max_bytes), is_wanted):
            try:
                row = fields(event)
            except Odd:
                odd += 1
                continue
            if row is None or (setup.since and row[6] < setup.since):
                continue
            batch.rows.append(_shared(row, seen))
            if len(batch.rows) >= BATCH:
                yield batch
                batch, seen = Batch(file.name), {}
        if odd:
            batch.reason = f"{odd:,} events lack a name, a source or a time"
    except Torn as torn:
        batch.reason, batch.status = torn.reason, torn.status
    except PermissionError:
        batch.reason, batch.status = "may not be read", GapStatus.DENIED
    except OSError as failure:
        batch.reason, batch.status = os.strerror(failure.errno or 0), GapStatus.ERROR
    batch.is_last = True
    yield batch


def _shared(row: Fields, seen: dict[Any, Any]) -> Fields:
    """The row with equal values made one object: they travel once, and take memory once."""
    return tuple([value if value is None else seen.setdefault(value, value) for value in row])


def _pieces(file: File) -> Iterable[bytes]:
    if file.content is not None:
        yield file.content
        return
    handle = os.open(Path(file.path or ""), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Torn("is no file any more")
        while piece := stream.read(_PIECE):
            yield piece
