"""The questions about keys: first what makes a key's core facts, then, on a lane of its own, what has a small quota.

As few as can be: lists first (keys, aliases, tags), then of each key only what no list gives and what can apply to it.
A symmetric key costs three questions, one that AWS manages one, an asymmetric one three the first time: its public key
never changes and is asked for once.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

from collectors._aws.journal import Journal
from collectors._aws.names import account_of
from collectors._aws.place import Place, attempt, whole
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_kms._meaning import has_history, rotates_by_itself, shape
from toolkit.terms import GapStatus, KeyType

Fact = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for beside the core."""

    policies: bool = True
    rotation: bool = True
    history: bool = True
    last_use: bool = True
    grants: bool = True


@dataclass(slots=True)
class Seen:
    """One key: each answer, or the trouble in its place; None where it was not asked."""

    arn: str
    metadata: Fact | Trouble
    policy: str | Trouble | None = None
    rotation: Fact | Trouble | None = None
    public_key: bytes | Trouble | None = None
    history: list[Fact] | Trouble | None = None
    last_use: Fact | Trouble | None = None
    grants: list[Fact] | Trouble | None = None
    is_shared: bool = False
    later: Future[None] | None = None

    @property
    def told(self) -> Fact:
        """The metadata; empty where they could not be read."""
        return {} if isinstance(self.metadata, Trouble) else self.metadata

    @property
    def is_provided(self) -> bool:
        """Whether AWS manages it."""
        return self.told.get("KeyManager") == "AWS"


class Questions:
    """Asks about the keys of one place."""

    def __init__(self, place: Place, wanted: Wanted, public_keys: Journal) -> None:
        self._place, self._wanted, self._public_keys = place, wanted, public_keys

    def core(self, arn: str) -> Seen:
        """What a key is; then its slow questions are put on their lane."""
        place = self._place
        seen = Seen(arn, attempt(place.ask, "kms", "DescribeKey", {"KeyId": arn}, keep=_metadata))
        seen.is_shared = account_of(arn) != place.account
        if isinstance(seen.metadata, Trouble):
            if seen.metadata.is_gone:
                return seen
        elif seen.is_provided:
            return seen
        if self._wanted.policies and not seen.is_shared:
            seen.policy = attempt(
                place.ask, "kms", "GetKeyPolicy", {"KeyId": arn, "PolicyName": "default"}, keep=_policy
            )
        # Of a key that cannot be described, each question is put: what does not apply says so itself.
        if self._wanted.rotation and (not seen.told or rotates_by_itself(seen.told)):
            seen.rotation = attempt(place.ask, "kms", "GetKeyRotationStatus", {"KeyId": arn}, keep=whole)
        if not seen.told or shape(seen.told.get("KeySpec"), place.partition).key_type is not KeyType.SECRET_KEY:
            seen.public_key = self._public_key(arn)
        if self._wanted.history or self._wanted.last_use or self._wanted.grants:
            seen.later = place.slow(self._slow, seen)
        return seen

    def _public_key(self, arn: str) -> bytes | Trouble:
        known = self._public_keys.get(arn)
        if isinstance(known, bytes):
            return known
        found = attempt(self._place.ask, "kms", "GetPublicKey", {"KeyId": arn}, keep=_public)
        if isinstance(found, bytes):
            self._public_keys.put(arn, found)
        return found

    def _slow(self, seen: Seen) -> None:
        place, arn = self._place, {"KeyId": seen.arn}
        if self._wanted.history and not seen.is_shared and (not seen.told or has_history(seen.told)):
            asked = {**arn, "IncludeKeyMaterial": "ALL_KEY_MATERIAL", "Limit": 1000}
            seen.history = _listed(place, "ListKeyRotations", "Rotations", asked)
        if self._wanted.last_use and not seen.is_shared:
            seen.last_use = attempt(place.ask, "kms", "GetKeyLastUsage", arn, keep=whole)
        if self._wanted.grants:
            seen.grants = _listed(place, "ListGrants", "Grants", {**arn, "Limit": 100})


def _listed(place: Place, operation: str, items: str, asked: Fact) -> list[Fact] | Trouble:
    return attempt(lambda: list(place.pages("kms", operation, items, asked, keep=whole)))


def _member(answer: Fact, name: str, kind: type) -> Any:
    found = answer.get(name)
    if not isinstance(found, kind):
        raise CallFailed(Trouble(GapStatus.MALFORMED, f"the answer has no {name}"))
    return found


def _metadata(answer: Fact) -> Any:
    return _member(answer, "KeyMetadata", dict)


def _policy(answer: Fact) -> Any:
    return _member(answer, "Policy", str)


def _public(answer: Fact) -> Any:
    return _member(answer, "PublicKey", bytes)


_OWNERS: Final = ["SELF", "OTHER_ACCOUNTS_VIA_RAM"]


def listing(*, shared: bool) -> Fact:
    """The parameters of ListKeys: a thousand a page, and those that others share only if asked for."""
    return {"Limit": 1000, "ResourceOwners": _OWNERS} if shared else {"Limit": 1000}


@dataclass(slots=True)
class Lists:
    """What one list a region tells of all keys: names by key id, ids by name, tags by ARN; or why not."""

    aliases: dict[str, list[str]] | Trouble
    targets: dict[str, str]
    tags: dict[str, dict[str, str]] | Trouble


def aliases(place: Place) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Alias names by key id, and the other way round. A predefined alias has no key until its service needs one."""
    by_key: dict[str, list[str]] = defaultdict(list)
    targets = {}
    for one in place.pages("kms", "ListAliases", "Aliases", {"Limit": 100}, keep=whole):
        if one.get("TargetKeyId"):
            by_key[one["TargetKeyId"]].append(one["AliasName"])
            targets[one["AliasName"]] = one["TargetKeyId"]
    return dict(by_key), targets


def tags(place: Place) -> dict[str, dict[str, str]]:
    """Tags by ARN. What was never tagged is not in the list, and so has none."""
    asked = {"ResourceTypeFilters": ["kms:key"], "ResourcesPerPage": 100}
    found = place.pages("resourcegroupstaggingapi", "GetResources", "ResourceTagMappingList", asked, keep=whole)
    return {one["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())} for one in found}


def stores(place: Place) -> dict[str, Fact]:
    """Custom key stores by id, without what identifies their proxy's credentials."""
    found = place.pages("kms", "DescribeCustomKeyStores", "CustomKeyStores", {"Limit": 1000}, keep=_store)
    return {one["CustomKeyStoreId"]: one for one in found}


def _store(told: Fact) -> Fact:
    names = ("CustomKeyStoreId", "CustomKeyStoreName", "CustomKeyStoreType", "CloudHsmClusterId", "ConnectionState",
             "ConnectionErrorCode")  # fmt: skip
    return {name: told[name] for name in names if name in told}
