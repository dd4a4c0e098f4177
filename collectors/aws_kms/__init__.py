"""AWS KMS: every key of an organisation, what state it is in, who may use it, when it was used and what it protects.

Accounts and regions are read side by side, keys of each on threads that all share, at a share of the quotas that AWS
documents; core facts first, what has a small quota (grants, last use, rotations) on a lane of its own.

Refuses to: change anything (see `collectors._aws.corridor`), and to lose a key: what was refused is a Gap.

>>> AwsKms(regions=("europe",))
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: a region is not named as AWS names it. Next: give one like eu-west-1
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from collectors._aws import estate
from collectors._aws.place import Place, attempt
from collectors._aws.scope import Scope, Scoped
from collectors._aws.tags import Tagging
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_kms import _asking as asking
from collectors.aws_kms._asking import Fact, Lists, Questions, Seen, Wanted
from collectors.aws_kms._protects import PROTECTS_READS, protected
from toolkit.model import Key, Row, Target

if TYPE_CHECKING:
    from collectors.aws_kms._access import Identities


class AwsKms(Scoped):
    """Keys of AWS KMS in all accounts and regions: facts, state, who may use them, last use, and what they protect.

    Without options: all regions of the account that your credentials are of.

    Args:
        policies: read key policies: without them, only what grants give is known of who may use a key.
        identities: read the policies of each account's users and roles, which may let them use its keys;
            not without `policies`.
        grants: read the grants of each key.
        history: read when each key was rotated.
        last_use: read when each key was last used.
        protects: read which volumes, buckets, databases, queues and secrets each key protects.
        shared: read keys, too, that other accounts share.
    """

    name: ClassVar[str] = "aws_kms"
    reads: ClassVar[tuple[str, ...]] = (
        *estate.READS, "kms:ListKeys", "kms:ListAliases", "tag:GetResources", "kms:DescribeCustomKeyStores",
        "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:GetPublicKey", "kms:ListKeyRotations",
        "kms:GetKeyLastUsage", "kms:ListGrants", "iam:GetAccountAuthorizationDetails", *PROTECTS_READS,
    )  # fmt: skip
    parallel: ClassVar[int] = estate.PARALLEL

    def __init__(
        self,
        *,
        profiles: tuple[str, ...] = (),
        regions: tuple[str, ...] = (),
        accounts: tuple[str, ...] = (),
        roles: tuple[str, ...] = (),
        organization: bool = False,
        policies: bool = True,
        identities: bool = True,
        grants: bool = True,
        history: bool = True,
        last_use: bool = True,
        protects: bool = True,
        shared: bool = True,
        tag_names: tuple[str, ...] = (),
        quota_share: float = 0.5,
        threads: int = 32,
        resume: str = "",
        resume_minutes: int = 60,
    ) -> None:
        scope = Scope(
            profiles=profiles, regions=regions, accounts=accounts, roles=roles, organization=organization,
            quota_share=quota_share, threads=threads, resume=resume, resume_minutes=resume_minutes,
        )  # fmt: skip
        self._estate = estate.Estate(self.name, "kms", reads=self.reads, scope=scope)
        self._wanted = Wanted(policies=policies, history=history, last_use=last_use, grants=grants)
        self._identities = _nobody_yet() if policies and identities else None
        self._protects, self._shared, self._tagging = protects, shared, Tagging(tag_names)

    def __getstate__(self) -> dict[str, Any]:
        """What was read of accounts does not travel; a worker elsewhere reads its own."""
        return {**self.__dict__, "_identities": None if self._identities is None else ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _identities=None if state["_identities"] is None else _nobody_yet())

    def targets(self) -> Iterator[Target]:
        """One an account and region."""
        return self._estate.targets()

    def collect(self, target: Target) -> Iterator[Row]:
        """The keys there, their uses, who may use them and what they protect; each missing fact is a Gap."""
        return self._estate.read(target, self._rows)

    def _rows(self, place: Place) -> Iterator[Row]:
        named, tagged = place.fast(attempt, asking.aliases, place), place.fast(attempt, asking.tags, place)
        questions = Questions(place, self._wanted, self._estate.facts(place))
        asked: deque[Future[Seen]] = deque()
        failure: Trouble | None = None
        try:
            for one in place.pages("kms", "ListKeys", "Keys", asking.listing(shared=self._shared), keep=_arn):
                asked.append(place.fast(questions.core, one))
        except CallFailed as failed:
            # What was listed before is read all the same.
            failure = failed.trouble
        lists, missing = _lists(named.result(), tagged.result())
        if asked:
            for field, trouble in missing:
                yield trouble.gap(place.target, locator=place.target.locator, field=field)
        yield from self._keys(place, asked, lists)
        if self._protects and (asked or failure is None):
            yield from protected(place, lists.targets)
        if failure is not None:
            raise CallFailed(failure)

    def _keys(self, place: Place, asked: deque[Future[Seen]], lists: Lists) -> Iterator[Row]:
        if not asked:
            return
        from collectors.aws_kms._access import Accesses
        from collectors.aws_kms._rows import KeyRows

        people = self._identities.of(place) if self._identities is not None else None
        if isinstance(people, Trouble):
            yield people.gap(place.target, locator=place.target.locator, field="identities")
        rows = KeyRows(place, self._wanted, lists, self._tagging)
        accesses = Accesses(place, people, now=datetime.now(UTC))
        stores = _Stores(place)
        while asked:
            seen = asked.popleft().result()
            if seen.later is not None:
                seen.later.result()
            store = stores.of(seen)
            entries, flags = accesses.entries(seen)
            for row in rows.rows(seen, flags=flags, store=store if isinstance(store, dict) else None):
                yield row
                if isinstance(row, Key):
                    yield from accesses.rows(row, seen, entries)
        yield from stores.gaps()


def _nobody_yet() -> Identities:
    # What resolves policies takes long to load: a collector that is only asked for its options does without.
    from collectors.aws_kms._access import Identities

    return Identities()


def _arn(listed: Fact) -> str:
    return str(listed["KeyArn"])


def _lists(named: Any, tagged: Any) -> tuple[Lists, list[tuple[str, Trouble]]]:
    missing = [(field, told) for field, told in (("aliases", named), ("tags", tagged)) if isinstance(told, Trouble)]
    by_key, targets = (named, {}) if isinstance(named, Trouble) else named
    return Lists(by_key, targets, tagged), missing


class _Stores:
    """The custom key stores of a place, listed when the first key of one is met."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[str, Fact] | Trouble | None = None

    def of(self, seen: Seen) -> Fact | Trouble | None:
        name = seen.told.get("CustomKeyStoreId")
        if not name:
            return None
        if self._known is None:
            self._known = attempt(asking.stores, self._place)
        return self._known if isinstance(self._known, Trouble) else self._known.get(name)

    def gaps(self) -> Iterator[Row]:
        if isinstance(self._known, Trouble):
            yield self._known.gap(self._place.target, locator=self._place.target.locator, field="custom_key_store")
