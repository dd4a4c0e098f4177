"""Uses of keys and secrets at AWS, and changes to them, as CloudTrail records them: log files and LookupEvents.

Log files are read as a stream by every core: events that are about no key are passed over without being parsed.
Refuses to: keep anything of a request but names and numbers, follow links, or unpack a file without end.

>>> [target.locator for target in AwsUsage(paths=("/nowhere",)).targets()]
['file:///nowhere/']
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from collectors._aws.entrance import Entrance
from collectors._aws.estate import READS, Estate
from collectors._aws.place import Place
from collectors._aws.scope import Scope, Scoped
from collectors._aws.troubles import CallFailed
from collectors.aws_usage import _bucket, _folder, _lookup
from collectors.aws_usage._events import usage
from collectors.aws_usage._reader import Batch, File, Setup
from collectors.aws_usage._workers import Workers
from toolkit.errors import ConfigError, SourceBroken, SourceDenied, SourceUnreachable
from toolkit.model import Gap, Row, Target
from toolkit.terms import GapScope, GapStatus

_ADVICE: Final = {
    GapStatus.MALFORMED: "fetch the file from its bucket again, and check it: aws cloudtrail validate-logs",
    GapStatus.NOT_ASKED: "keyatlas collect aws_usage --max-bytes …",
    GapStatus.DENIED: "read it as its owner or as root",
}
_ASKED: Final = (*READS, *_lookup.READS, *_bucket.READS)


class AwsUsage(Scoped):
    """Usage rows from CloudTrail: from log files where they are given, else from LookupEvents.

    Args:
        paths: folders of log files, in CloudTrail's own layout or any other, or single files.
        buckets: the same in S3, as `s3://BUCKET/PREFIX`.
        operations: event names that LookupEvents is asked for, in place of those that change keys and logging.
        since: an ISO date; what happened before it is left out.
        max_bytes: a file that unpacks to more than this is read up to there, and is then a Gap.
        processes: how many read log files at once; 0 takes as many as there are cores.
    """

    name: ClassVar[str] = "aws_usage"
    reads: ClassVar[tuple[str, ...]] = ("file:read", *_ASKED)
    parallel: ClassVar[int] = 4

    def __init__(
        self,
        *,
        paths: tuple[str, ...] = (),
        buckets: tuple[str, ...] = (),
        operations: tuple[str, ...] = (),
        since: str = "",
        max_bytes: int = 2 << 30,
        processes: int = 0,
        profiles: tuple[str, ...] = (),
        regions: tuple[str, ...] = (),
        accounts: tuple[str, ...] = (),
        roles: tuple[str, ...] = (),
        organization: bool = False,
        quota_share: float = 0.5,
        threads: int = 32,
        resume: str = "",
        resume_minutes: int = 60,
    ) -> None:
        self._paths, self._buckets = tuple(paths), tuple(map(_bucket.parsed, buckets))
        self._operations, self._since = tuple(operations), _date(since)
        self._scope = Scope(
            profiles=profiles, regions=regions, accounts=accounts, roles=roles, organization=organization,
            quota_share=quota_share, threads=threads, resume=resume, resume_minutes=resume_minutes,
        )  # fmt: skip
        self._estate = Estate(self.name, "cloudtrail", reads=_ASKED, scope=self._scope)
        self._entrance = Entrance(self._scope, _ASKED)
        self._workers = Workers(Setup(max_bytes, self._since), processes or len(os.sched_getaffinity(0)))

    def targets(self) -> Iterator[Target]:
        """One for each folder that holds log files, each region of an account in a bucket, or each to be asked."""
        yield from self._folders()
        yield from self._prefixes()
        if not self._paths and not self._buckets:
            yield from self._estate.targets()

    def _folders(self) -> Iterator[Target]:
        roots = dict.fromkeys(Path(path).expanduser().absolute().resolve() for path in self._paths)
        for folder in dict.fromkeys(folder for root in roots for folder in _folder.folders(root, self._since)):
            ending = "" if folder.is_file() else "/"
            options = (("path", str(folder)),)
            yield Target(collector=self.name, locator=folder.as_uri() + ending, label=folder.name, options=options)

    def _prefixes(self) -> Iterator[Target]:
        for bucket in dict.fromkeys(self._buckets):
            whole = Target(collector=self.name, locator=_bucket.locator(bucket))
            try:
                found = list(_bucket.parts(self._home(whole), bucket))
            except CallFailed:
                found = [bucket]
            for name, prefix in found:
                options = (("bucket", name), ("prefix", prefix))
                place = _bucket.locator((name, prefix))
                yield Target(collector=self.name, locator=place, label=prefix or name, options=options)

    def _home(self, target: Target) -> Place:
        return self._entrance.home((*self._scope.profiles, "")[0], target)

    def collect(self, target: Target) -> Iterator[Row]:
        """Every event about a key or secret at the target.

        Raises:
            SourceError: the target cannot be read at all.
        """
        options = dict(target.options)
        if "path" in options:
            yield from self._read(_found(Path(options["path"])), target)
        elif "bucket" in options:
            yield from self._fetched((options["bucket"], options["prefix"]), target)
        else:
            yield from self._estate.read(target, lambda place: _lookup.rows(place, self._operations, self._since))

    def _fetched(self, bucket: _bucket.Bucket, target: Target) -> Iterator[Row]:
        try:
            objects = _bucket.Objects(self._home(target), bucket, self._since)
            yield from self._read(objects.files(), target)
        except CallFailed as failed:
            raise failed.plain() from None
        for locator, trouble in objects.missed:
            yield trouble.gap(target, locator=locator)

    def _read(self, files: Iterable[File], target: Target) -> Iterator[Row]:
        for batch in self._workers.read(files):
            yield from _rows(batch, target)


def _found(folder: Path) -> list[File]:
    try:
        return list(_folder.files(folder))
    except FileNotFoundError:
        raise SourceBroken(f"{folder} is not there", advice="give a path that exists") from None
    except PermissionError:
        raise SourceDenied(f"{folder} may not be read", advice=_ADVICE[GapStatus.DENIED]) from None
    except OSError as failure:
        raise SourceUnreachable(f"{folder}: {os.strerror(failure.errno or 0)}") from None


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
