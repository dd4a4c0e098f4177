"""What is wrong, or worth knowing, about who may use a key: a flag, why, and whom it concerns.

Source: KMS developer guide, "Key policies in AWS KMS" (a star lets every account in), "Best practices for AWS KMS
grants" (grants do not expire; retire what is not needed); IAM user guide, "AWS JSON policy elements: Principal" (an id
in place of an ARN is a deleted principal); SP 800-53 r5, AC-5 (separation of duties).

>>> from collectors._aws.policy.grammar import Malformed
>>> [str(one.flag) for one in flags((), policy=Malformed("not JSON"), account_id="111122223333")]
['policy-not-read']
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from collectors._aws.policy.entries import Access
from collectors._aws.policy.grammar import Document, Policy
from collectors._aws.policy.grants import Grant
from collectors._aws.policy.principals import Caller, Kind
from toolkit.terms import AccessFunction, PrincipalKind


class FlagId(StrEnum):
    """The flags there are; `DELEGATES_TO_IAM` is information, the others ask for a look."""

    PUBLIC = "public-access"
    WILDCARD = "wildcard-principal"
    CROSS_ACCOUNT = "cross-account-access"
    WHOLE_ACCOUNT = "foreign-account-trusted-whole"
    DUTIES = "user-is-administrator"
    NO_MFA = "destructive-without-mfa"
    STALE_GRANT = "stale-grant"
    OLD_GRANT = "old-grant"
    DELETED = "deleted-principal"
    DELEGATES_TO_IAM = "delegates-to-iam"
    UNCERTAIN = "uncertain-access"
    NOT_READ = "policy-not-read"


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing to look at."""

    flag: FlagId
    reason: str
    principals: tuple[str, ...] = ()


_HUMAN: Final = (PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.ACCOUNT, PrincipalKind.PUBLIC)


def flags(
    access: Sequence[Access],
    *,
    policy: Policy | None,
    account_id: str,
    grants: Sequence[Grant] = (),
    known: Collection[str] | None = None,
    trusted_accounts: Collection[str] = (),
    as_of: datetime | None = None,
    grant_days: int = 365,
) -> tuple[Flag, ...]:
    """The flags of one key, in the order of `FlagId`.

    `known` are the ARNs and ids of the account's principals that there are (None: not known, so no grant is stale),
    `trusted_accounts` those of the same organisation; grants are old by `as_of`, or not told.
    """
    found = [
        *_of_access(access, account_id, frozenset(trusted_accounts)),
        *_of_grants(grants, account_id, known, as_of, grant_days),
        *_of_policy(policy, account_id, known or ()),
    ]
    return tuple(sorted(found, key=lambda one: list(FlagId).index(one.flag)))


def _of_access(access: Sequence[Access], account_id: str, trusted: frozenset[str]) -> Iterator[Flag]:
    root = f"arn:aws:iam::{account_id}:root"

    def foreign(one: Access) -> bool:
        if not one.is_cross_account or one.is_public or one.is_in_organisation:
            return False
        return Caller.of(one.principal).account not in trusted

    yield from _if_any(
        FlagId.PUBLIC, access, lambda one: one.is_public,
        "anyone in any account may, who has IAM permissions of their own: no condition keeps it to an account or an"
        " organisation",
    )  # fmt: skip
    yield from _if_any(FlagId.WILDCARD, access, lambda one: one.is_wildcard, "a statement names everyone")
    yield from _if_any(FlagId.CROSS_ACCOUNT, access, foreign, "principals of other accounts may")
    yield from _if_any(
        FlagId.WHOLE_ACCOUNT, access, lambda one: foreign(one) and one.principal_kind is PrincipalKind.ACCOUNT,
        "the administrators of another account decide who may",
    )  # fmt: skip
    users = _principals(access, lambda one: one.function is AccessFunction.USE)
    both = users & _principals(access, lambda one: one.function is AccessFunction.ADMINISTER)
    # The root user may everything the policy gives its account, in every key with the default policy.
    if told := sorted(name for name in both - {root, "*"} if Caller.of(name).kind is not Kind.SERVICE):
        yield Flag(FlagId.DUTIES, "the same principal may use the key and administer it", tuple(told))
    yield from _if_any(
        FlagId.NO_MFA, access,
        lambda one: one.function is AccessFunction.DELETE and one.needs_mfa is False and one.principal_kind in _HUMAN,
        "key material may be destroyed without multi-factor authentication",
    )  # fmt: skip
    yield from _if_any(
        FlagId.UNCERTAIN, access, lambda one: not one.is_certain,
        "whether they may cannot be told: a policy, an operator or a principal is not understood or was not read",
    )  # fmt: skip


def _principals(access: Iterable[Access], wanted: Callable[[Access], bool]) -> set[str]:
    return {one.principal for one in access if wanted(one)}


def _if_any(flag: FlagId, access: Sequence[Access], wanted: Callable[[Access], bool], reason: str) -> Iterator[Flag]:
    if told := sorted(_principals(access, wanted)):
        yield Flag(flag, reason, tuple(told))


def _of_grants(
    grants: Sequence[Grant], account_id: str, known: Collection[str] | None, as_of: datetime | None, days: int
) -> Iterator[Flag]:
    for grant in grants:
        named = [word for word in (grant.grantee, grant.retiring) if word]
        gone = [word for word in named if _is_gone(word, account_id, known)]
        if gone:
            yield Flag(FlagId.STALE_GRANT, f"grant {grant.grant_id} names a principal that is not there", tuple(gone))
        if as_of is not None and grant.created_at is not None and as_of - grant.created_at > timedelta(days=days):
            age = (as_of - grant.created_at).days
            yield Flag(FlagId.OLD_GRANT, f"grant {grant.grant_id} is {age} days old", (grant.grantee,))


def _is_gone(word: str, account_id: str, known: Collection[str] | None) -> bool:
    caller = Caller.of(word)
    if caller.kind is Kind.DELETED:
        return known is None or word not in known
    if known is None or caller.account != account_id:
        return False
    if caller.kind is Kind.SESSION:
        roles = {one.name for one in map(Caller.of, known) if one.kind is Kind.ROLE}
        return ":assumed-role/" in word and caller.name not in roles
    return caller.kind in {Kind.USER, Kind.ROLE} and word not in known


def _of_policy(policy: Policy | None, account_id: str, known: Collection[str]) -> Iterator[Flag]:
    if not isinstance(policy, Document):
        why = "was not read" if policy is None else policy.reason
        yield Flag(FlagId.NOT_READ, f"the key's policy: {why}")
        return
    named = [(word, one) for one in policy.statements if one.principals for word in one.principals.aws]
    deleted = {word for word, _ in named if Caller.of(word).kind is Kind.DELETED and word not in known}
    if deleted:
        yield Flag(FlagId.DELETED, "the policy names principals that were deleted", tuple(sorted(deleted)))
    names = {account_id, f"arn:aws:iam::{account_id}:root"}
    entrusting = [one.name for word, one in named if word in names and one.allows and not one.is_not_principal]
    if entrusting:
        reason = f"the account's IAM policies decide too (statements: {', '.join(dict.fromkeys(entrusting))})"
        yield Flag(FlagId.DELEGATES_TO_IAM, reason, (f"arn:aws:iam::{account_id}:root",))
