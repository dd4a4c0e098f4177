"""Who may do what with a key: its policy, its grants and the account's IAM policies, as rows and flags.

The resolving is `collectors._aws.policy`'s; here documents become its input and its answers become rows.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from collectors._aws.place import Place, attempt, whole
from collectors._aws.policy import access as resolving
from collectors._aws.policy.entries import Access as Entry
from collectors._aws.policy.flags import FlagId, flags
from collectors._aws.policy.grammar import Malformed, Policy, parse
from collectors._aws.policy.grants import Grant
from collectors._aws.policy.identities import Account
from collectors._aws.troubles import Trouble
from collectors.aws_kms._asking import Seen
from toolkit.model import Access, Gap, Key
from toolkit.terms import AccessVia, GapStatus

_ALL: Final = ["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"]


class Identities:
    """The users and roles of accounts, read once an account, whichever of its regions comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, Account | Trouble] = {}

    def of(self, place: Place) -> Account | Trouble:
        """Those of a place's account."""
        with self._lock:
            lock = self._locks.setdefault(place.account, threading.Lock())
        with lock:
            if place.account not in self._known:
                self._known[place.account] = attempt(_read, place)
            return self._known[place.account]


def _read(place: Place) -> Account:
    asked = {"Filter": _ALL, "MaxItems": 1000}
    pages = place.pages("iam", "GetAccountAuthorizationDetails", "[@]", asked, keep=whole, region=place.home)
    return Account.read(*pages, account_id=place.account)


class Accesses:
    """Resolves the keys of one place."""

    def __init__(self, place: Place, people: Account | Trouble | None, *, now: datetime) -> None:
        self._place, self._now = place, now
        self._people = people if isinstance(people, Account) else None
        self._resolver = resolving.Resolver(place.account, account=self._people)
        self._known = self._people.names if self._people is not None else None

    def entries(self, seen: Seen) -> tuple[tuple[Entry, ...], tuple[str, ...] | None]:
        """Who may, and the flags; no flags where the policy was not read: nothing could be called clean."""
        if not isinstance(seen.policy, str):
            grants = _grants(seen)
            return (self._resolved(seen, Malformed("was not read"), grants) if grants else ()), None
        policy, grants = parse(seen.policy), _grants(seen)
        entries = self._resolved(seen, policy, grants)
        told = flags(
            entries, policy=policy, account_id=self._place.account, grants=grants, known=self._known, as_of=self._now
        )
        return entries, tuple(dict.fromkeys(str(one.flag) for one in told if one.flag is not FlagId.DELEGATES_TO_IAM))

    def _resolved(self, seen: Seen, policy: Policy, grants: tuple[Grant, ...]) -> tuple[Entry, ...]:
        found = self._resolver.who_may(seen.arn, policy=policy, grants=grants)
        if isinstance(policy, Malformed):
            # What IAM gives depends on the policy that was not read; only what grants give is told.
            return tuple(one for one in found if one.via is AccessVia.GRANT)
        return found

    def rows(self, key: Key, seen: Seen, entries: tuple[Entry, ...]) -> Iterator[Access | Gap]:
        """One row an entry; a policy that is none is a Gap."""
        since = {one.grant_id: one.created_at for one in _grants(seen)}
        for one in entries:
            yield Access(
                subject_uid=key.key_uid, collector=key.collector, target=key.target, locator=key.locator,
                principal=one.principal, principal_kind=one.principal_kind,
                function=one.function, via=one.via, source=one.source or None,
                actions=one.actions, conditions=one.conditions, is_cross_account=one.is_cross_account,
                is_public=one.is_public, is_wildcard=one.is_wildcard, needs_mfa=one.needs_mfa,
                is_certain=one.is_certain,
                granted_at=_utc(since.get(one.source)) if one.via is AccessVia.GRANT else None,
            )  # fmt: skip
        if isinstance(seen.policy, str) and isinstance(read := parse(seen.policy), Malformed):
            told = Trouble(GapStatus.MALFORMED, f"its policy is not of the policy language: {read.reason}")
            yield told.gap(self._place.target, locator=key.locator, field="access_flags")


def _utc(when: datetime | None) -> datetime | None:
    return when.astimezone(UTC) if when is not None else None


def _grants(seen: Seen) -> tuple[Grant, ...]:
    return tuple(Grant.read(one) for one in seen.grants) if isinstance(seen.grants, list) else ()
