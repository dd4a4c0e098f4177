"""Uses of keys and secrets at AWS, and changes to them, as CloudTrail records them: log files and LookupEvents.

Log files are read as a stream by every core: events that are about no key are passed over without being parsed.
Refuses to: keep anything of a request but names and numbers, follow links, or unpack a file without end.

>>> [target.locator for target in AwsUsage(paths=("/nowhere",)).targets()]
['file:///nowhere/']
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from collectors.aws_usage import _folder
from collectors.aws_usage._events import usage
from collectors.aws_usage._reader import Batch, Setup
from collectors.aws_usage._workers import Workers
from toolkit.errors import ConfigError, SourceBroken, SourceDenied, SourceUnreachable
from toolkit.model import Gap, Row, Target
from toolkit.terms import GapScope, GapStatus

_ADVICE: Final = {
    GapStatus.MALFORMED: "fetch the file from its bucket again, and check it: aws cloudtrail validate-logs",
    GapStatus.NOT_ASKED: "keyatlas collect aws_usage --max-bytes …",
    GapStatus.DENIED: "read it as its owner or as root",
}


class AwsUsage:
    """Usage rows from CloudTrail.

    Args:
        paths: folders of log files, in CloudTrail's own layout or any other, or single files.
        since: an ISO date; what happened before it is left out.
        max_bytes: a file that unpacks to more than this is read up to there, and is then a Gap.
        processes: how many read log files at once; 0 takes as many as there are cores.
    """

    name: ClassVar[str] = "aws_usage"
    reads: ClassVar[tuple[str, ...]] = ("file:read",)
    parallel: ClassVar[int] = 2

    def __init__(
        self, *, paths: tuple[str, ...] = (), since: str = "", max_bytes: int = 2 << 30, processes: int = 0
    ) -> None:
        self._paths, self._since = tuple(paths), _date(since)
        processes = processes or len(os.sched_getaffinity(0))
        self._workers = Workers(Setup(max_bytes, self._since), processes)

    def targets(self) -> Iterator[Target]:
        """One for each folder that holds log files."""
        roots = dict.fromkeys(Path(path).expanduser().absolute().resolve() for path in self._paths)
        for folder in dict.fromkeys(folder for root in roots for folder in _folder.folders(root, self._since)):
            ending = "" if folder.is_file() else "/"
            options = (("path", str(folder)),)
            yield Target(collector=self.name, locator=folder.as_uri() + ending, label=folder.name, options=options)

    def collect(self, target: Target) -> Iterator[Row]:
        """Every event about a key or secret at the target.

        Raises:
            SourceError: the target cannot be read at all.
        """
        folder = Path(dict(target.options)["path"])
        try:
            found = list(_folder.files(folder))
        except FileNotFoundError:
            raise SourceBroken(f"{folder} is not there", advice="correct `paths`") from None
        except PermissionError:
            raise SourceDenied(f"{folder} may not be read", advice=_ADVICE[GapStatus.DENIED]) from None
        except OSError as failure:
            raise SourceUnreachable(f"{folder}: {os.strerror(failure.errno or 0)}") from None
        for batch in self._workers.read(found):
            yield from _rows(batch, target)


def _rows(batch: Batch, target: Target) -> Iterator[Row]:
    for kept in batch.rows:
        yield usage(kept, collector=target.collector, target=target.locator)
    if batch.reason is not None:
        yield Gap(
            collector=target.collector, target=target.locator, locator=batch.name, scope=GapScope.OBJECT,
            status=batch.status, reason=batch.reason, advice=_ADVICE.get(batch.status),
            permission="file:read" if batch.status is GapStatus.DENIED else None,
        )  # fmt: skip


def _date(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError("option since takes an ISO date, such as 2026-11-01") from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
