"""Log files in a bucket: found by their layout, fetched a few ahead of the reading.

`PREFIX/AWSLogs/[o-…/]ACCOUNT/CloudTrail/REGION/…`: a region of an account is a target. Any other layout is one target.
Refuses to: hold a file of hundreds of megabytes, or write one down.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from botocore.exceptions import BotoCoreError

from collectors._aws import troubles
from collectors._aws.place import Place
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_usage._folder import is_before, is_log
from collectors.aws_usage._reader import File
from toolkit.errors import ConfigError
from toolkit.terms import GapStatus

READS: Final = ("s3:ListBucket", "s3:GetObject")
LARGEST: Final = 256 << 20
"""Compressed bytes of the largest object that is fetched; CloudTrail's are 50 MB at most."""
_AHEAD: Final = 16
_TRIES: Final = 3
_ABOVE: Final = re.compile(r"AWSLogs/|o-[a-z0-9]{10,32}/|\d{12}/|CloudTrail/")
_BUCKET: Final = re.compile(r"(?:s3://)?([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)

Bucket = tuple[str, str]
"""Its name, and the prefix below which is read."""


def parsed(text: str) -> Bucket:
    """A bucket and prefix, given as `s3://BUCKET/PREFIX` or without the scheme.

    Raises:
        ConfigError: that is no bucket's name.
    """
    found = _BUCKET.fullmatch(text)
    if found is None:
        raise ConfigError("a bucket is not named as S3 names it", advice="give s3://BUCKET or s3://BUCKET/PREFIX")
    prefix = found[2] or ""
    return found[1], prefix if not prefix or prefix.endswith("/") else prefix + "/"


def locator(bucket: Bucket, key: str = "") -> str:
    """The URI of a prefix, or of an object."""
    return f"s3://{bucket[0]}/" + quote(key or bucket[1], safe="/!-_.*'()=")


def parts(place: Place, bucket: Bucket) -> Iterator[Bucket]:
    """The prefixes that are targets. What cannot be listed is one, too: reading it tells why."""
    name, prefix = bucket
    asked = {"Bucket": name, "Prefix": prefix, "Delimiter": "/"}
    try:
        below = list(place.pages("s3", "ListObjectsV2", "CommonPrefixes[].Prefix", asked))
    except CallFailed:
        yield bucket
        return
    if prefix.endswith("CloudTrail/") and below:
        yield from ((name, region) for region in below)
        return
    known = [one for one in below if _ABOVE.fullmatch(one[len(prefix) :])]
    if not known:
        # An account's other logs lie beside CloudTrail's; where those are the only ones there is nothing to read.
        yield bucket
    for one in known:
        yield from parts(place, (name, one))


class Objects:
    """The log files below a prefix, as an iterator; `missed` are those that could not be fetched, once it ends."""

    def __init__(self, place: Place, bucket: Bucket, since: datetime | None) -> None:
        self._place, self._bucket, self._since = place, bucket, since
        self.missed: list[tuple[str, Trouble]] = []

    def files(self) -> Iterator[File]:
        """Each file with its bytes, in the order of their keys.

        Raises:
            CallFailed: the prefix cannot be listed, or no further.
        """
        names = self._names()
        running: deque[tuple[str, Future[bytes]]] = deque()
        while True:
            for key in islice(names, _AHEAD - len(running)):
                running.append((key, self._place.fast(self._fetched, key)))
            if not running:
                return
            key, future = running.popleft()
            try:
                content = future.result()
            except CallFailed as failed:
                self.missed.append((locator(self._bucket, key), failed.trouble))
                continue
            yield File(locator(self._bucket, key), len(content), content=content)

    def _names(self) -> Iterator[str]:
        asked = {"Bucket": self._bucket[0], "Prefix": self._bucket[1]}
        for key, size in self._place.pages("s3", "ListObjectsV2", "Contents[].[Key, Size]", asked):
            if not is_log(key) or is_before(key.rpartition("/")[0], self._since):
                continue
            if size > LARGEST:
                reason = f"{size:,} bytes are more than is fetched of one object ({LARGEST:,})"
                advice = "fetch it (aws s3 cp) and collect from the folder"
                self.missed.append((locator(self._bucket, key), Trouble(GapStatus.NOT_ASKED, reason, advice=advice)))
                continue
            yield key

    def _fetched(self, key: str) -> bytes:
        # With it comes all of urllib3; whoever asks for `--help` need not wait for that.
        from urllib3.exceptions import HTTPError

        for attempt in range(1, _TRIES + 1):
            answer: Any = self._place.ask("s3", "GetObject", {"Bucket": self._bucket[0], "Key": key})
            try:
                content: bytes = answer["Body"].read(LARGEST + 1)
            except (BotoCoreError, HTTPError, OSError) as failure:
                # A body that breaks off is not among what botocore tries again.
                if attempt == _TRIES:
                    raise CallFailed(_broken_off(failure)) from None
            else:
                return content[:LARGEST]
        raise AssertionError("unreachable")


def _broken_off(failure: Exception) -> Trouble:
    if isinstance(failure, BotoCoreError):
        return troubles.of("s3", "GetObject", failure)
    return Trouble(GapStatus.UNREACHABLE, "s3:GetObject: the answer breaks off", type(failure).__name__)
