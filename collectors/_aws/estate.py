"""The accounts and regions of one collector: named, entered and read.

    estate = Estate("aws_kms", "kms", reads=AwsKms.reads, scope=Scope(profiles=("audit",)))
    targets()             estate.targets()
    collect(target)       estate.read(target, self._rows)      # _rows(place) yields rows

An account that cannot be entered, and a list that fails, is a Gap of the target; so is a region that is switched off.
Picklable: a worker elsewhere opens sessions of its own.

Refuses to: make any call that the collector did not declare in `reads` (see `corridor`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from collectors._aws import troubles
from collectors._aws.corridor import ASSUME_ROLE
from collectors._aws.discovery import GLOBAL, Naming, trouble_in
from collectors._aws.entrance import Entrance
from collectors._aws.journal import Journal, key_of
from collectors._aws.place import Place
from collectors._aws.resuming import Resuming
from collectors._aws.scope import Scope
from collectors._aws.troubles import CallFailed, Trouble
from toolkit.identity import cache_folder
from toolkit.model import Row, Target
from toolkit.terms import GapStatus

READS: Final = ("sts:GetCallerIdentity", ASSUME_ROLE, "organizations:ListAccounts", "ec2:DescribeRegions")
"""What finding and entering accounts takes; the head of every AWS collector's `reads`."""
PARALLEL: Final = 8
"""How many places are read at the same time; their questions share the scope's threads."""


class Estate:
    """What a collector reads. One is made in the collector's constructor and kept."""

    def __init__(self, collector: str, service: str, *, reads: tuple[str, ...], scope: Scope) -> None:
        self.collector, self.service, self.scope = collector, service, scope
        self._reads = reads
        self._resuming: Resuming | None = None
        self._reset()

    def _reset(self) -> None:
        self._entrance, self._lock = Entrance(self.scope, self._reads), threading.Lock()
        self._known: dict[str, Journal] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_entrance", "_lock", "_known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def targets(self, *, is_global: bool = False) -> Iterator[Target]:
        """One an account and region; with `is_global` one an account. The same, in the same order, each time."""
        named = []
        naming = Naming(self.collector, self.service, self.scope, self._entrance, is_global, self._take_up)
        for target in naming.targets():
            named.append(target.locator)
            yield target
        if self._resuming is not None:
            self._resuming.named(named)

    def _take_up(self, identity: str) -> None:
        """Find the answers of a run of the same person and question that was killed, if there was one."""
        if self._resuming is not None or not self.scope.resume_minutes:
            return
        parent = Path(self.scope.resume).expanduser() if self.scope.resume else cache_folder() / "aws" / "resume"
        asked = key_of(self.collector, self.service, identity, repr(self.scope), sorted(self._reads), self._endpoint())
        resuming = Resuming(parent / asked, valid_seconds=60.0 * self.scope.resume_minutes)
        if resuming.start():
            self._resuming = resuming

    def _endpoint(self) -> str:
        profile = (*self.scope.profiles, "")[0]
        region = (*self.scope.regions, self._entrance.base(profile).home())[0]
        client = self._entrance.base(profile).client(self.service, account="", region=region)
        return str(client.meta.endpoint_url)

    def read(self, target: Target, rows: Callable[[Place], Iterator[Row]]) -> Iterator[Row]:
        """Enter a target and yield what `rows` says of it. A `CallFailed` that `rows` lets out is its target's Gap."""
        trouble = trouble_in(target)
        if trouble is not None:
            yield trouble.gap(target)
            return
        place: Place | None = None
        try:
            place = self._entered(target)
            yield from self._within(place, rows)
        except CallFailed as failed:
            yield self._explained(place, failed.trouble).gap(target)
        finally:
            if place is not None:
                place.close()
        # Not in `finally`: a reading that was given up is not done.
        if self._resuming is not None:
            self._resuming.done(target.locator)

    def _within(self, place: Place, rows: Callable[[Place], Iterator[Row]]) -> Iterator[Row]:
        if not self.scope.regions and place.region != GLOBAL:
            enabled = self._entrance.enabled(place)
            if isinstance(enabled, frozenset) and place.region not in enabled:
                yield _switched_off(place).gap(place.target)
                return
        yield from rows(place)

    def _entered(self, target: Target) -> Place:
        options = dict(target.options)
        try:
            account = self._entrance.into(options)
        except BotoCoreError as failure:
            raise CallFailed(troubles.of("sts", "AssumeRole", failure)) from None
        journal = self._resuming.journal(target.locator) if self._resuming is not None else None
        return Place(target, account, lanes=self._entrance.lanes(), journal=journal)

    def _explained(self, place: Place | None, trouble: Trouble) -> Trouble:
        """Credentials that a region does not know: is it the region that is switched off?"""
        if trouble.may_be_disabled and place is not None and place.region != GLOBAL:
            enabled = self._entrance.enabled(place)
            if isinstance(enabled, frozenset) and place.region not in enabled:
                return _switched_off(place)
        return trouble

    def facts(self, place: Place) -> Journal:
        """What never changes and was asked once, kept between runs: for public keys and the like, by ARN."""
        name = key_of(place.account, place.region, self.service, self._endpoint())
        with self._lock:
            if name not in self._known:
                folder = cache_folder() / "aws" / "facts"
                self._known[name] = Journal(folder / f"{name}.jsonl", valid_seconds=None)
            return self._known[name]


def _switched_off(place: Place) -> Trouble:
    told = f"{place.region} is not enabled in account {place.account}: what was made there before is not to be seen"
    return Trouble(GapStatus.NOT_APPLICABLE, told, code="OptInRequired")
