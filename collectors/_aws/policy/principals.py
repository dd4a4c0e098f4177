"""Who calls, and whether a policy's Principal or NotPrincipal means them.

Source: IAM user guide, "AWS JSON policy elements: Principal" (an account means all in it; an id stands where the
principal was deleted) and "… NotPrincipal" (account, role and session are each looked at; a caller with a permissions
boundary is always denied); "AWS global condition context keys"; KMS developer guide, "AWS KMS condition keys".

>>> caller = Caller.of("arn:aws:iam::111122223333:role/path/app")
>>> str(caller.kind), caller.account, caller.name
('role', '111122223333', 'app')
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from collectors._aws.policy.conditions import Context, Known, all_of, any_of, negated
from collectors._aws.policy.grammar import Principals
from collectors._aws.policy.patterns import is_wild

ACCOUNT: Final = re.compile(r"\d{12}")
UNIQUE_ID: Final = re.compile(r"(?:AIDA|AROA|AGPA|ANPA|ANVA|AIPA|APKA|ASCA)[A-Z0-9]{12,}")
"""Prefixes of ids; AIDA is a user's and AROA a role's (IAM user guide, "IAM identifiers")."""


class Kind(StrEnum):
    """What a principal is."""

    USER = "user"
    ROLE = "role"
    SESSION = "session"
    ACCOUNT = "account"
    SERVICE = "service"
    FEDERATED = "federated"
    PUBLIC = "public"
    DELETED = "deleted"
    UNCLEAR = "unclear"


@lru_cache(maxsize=65_536)
def split(arn: str) -> tuple[Kind, str | None]:
    """What kind of principal a policy names, and its account where it tells one."""
    if arn == "*":
        return Kind.PUBLIC, None
    if ACCOUNT.fullmatch(arn):
        return Kind.ACCOUNT, arn
    if UNIQUE_ID.fullmatch(arn):
        return Kind.DELETED, None
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return (Kind.SERVICE if "." in arn and "/" not in arn else Kind.UNCLEAR), None
    account, rest = parts[4] or None, parts[5]
    if is_wild(arn):
        return Kind.UNCLEAR, account
    if rest == "root":
        return Kind.ACCOUNT, account
    kinds = {"user": Kind.USER, "role": Kind.ROLE, "assumed-role": Kind.SESSION, "federated-user": Kind.SESSION}
    federated = {"saml-provider": Kind.FEDERATED, "oidc-provider": Kind.FEDERATED}
    return {**kinds, **federated}.get(rest.split("/")[0], Kind.UNCLEAR), account


@dataclass(frozen=True, slots=True)
class Caller:
    """One who asks. `role` is a session's role, by ARN; a session's own ARN does not tell the path of it."""

    arn: str
    kind: Kind
    account: str | None
    unique_id: str | None = None
    role: str | None = None
    has_boundary: bool = False

    @classmethod
    def of(
        cls, arn: str, *, unique_id: str | None = None, role: str | None = None, has_boundary: bool = False
    ) -> Caller:
        """The caller of an ARN, of a service's name, or `"*"`: anyone at all."""
        kind, account = split(arn)
        return cls(arn, kind, account, unique_id, role, has_boundary)

    @property
    def name(self) -> str:
        """The user's or role's name, which is unique in its account whatever its path."""
        parts = self.arn.split("/")
        return parts[1] if self.kind is Kind.SESSION and len(parts) > 1 else parts[-1]

    def context(self) -> dict[str, tuple[str, ...]]:
        """What is known of any request of theirs."""
        if self.kind not in {Kind.USER, Kind.ROLE, Kind.SESSION, Kind.ACCOUNT} or self.account is None:
            return {}
        known = {
            "aws:principalaccount": (self.account,),
            "kms:calleraccount": (self.account,),
            "aws:principalisawsservice": ("false",),
            # A service's own call has these; a principal's has not.
            "aws:principalservicename": (),
            "aws:principalservicenameslist": (),
            "aws:sourcearn": (),
            "aws:sourceaccount": (),
            "aws:sourceorgid": (),
        }
        arn = self.role if self.kind is Kind.SESSION else self.arn
        if arn is not None:
            known["aws:principalarn"] = (arn,)
        if self.kind is Kind.USER:
            known["aws:username"] = (self.name,)
        return known


@dataclass(frozen=True, slots=True)
class Reach:
    """By which name a statement means a caller: the session, the user or role, the account, or everyone."""

    session: Known = False
    identity: Known = False
    account: Known = False
    everyone: Known = False

    @property
    def any(self) -> Known:
        """Whether it means them at all."""
        return any_of((self.session, self.identity, self.account, self.everyone))


def reach(named: Principals, caller: Caller) -> Reach:
    """How a list of principals means a caller."""
    if named.is_everyone:
        return Reach(everyone=True)
    if caller.kind is Kind.PUBLIC:
        return Reach()
    if caller.kind is Kind.SERVICE:
        return Reach(identity=caller.arn in named.services)
    if caller.kind is Kind.FEDERATED:
        return Reach(identity=caller.arn in named.federated)
    session, identity, account = [], [], []
    for word in named.aws:
        kind, owner = split(word)
        if kind is Kind.ACCOUNT:
            account.append(owner == caller.account)
        elif kind is Kind.DELETED:
            identity.append(_same_id(word, caller))
        elif kind is Kind.UNCLEAR:
            identity.append(None)
        elif kind is Kind.SESSION:
            # A role stands for all its sessions: of some of them it is true, so of the role it cannot be told.
            session.append(word == caller.arn or (None if _is_session_of(word, owner, caller) else False))
        elif caller.kind is Kind.SESSION:
            identity.append(kind is Kind.ROLE and owner == caller.account and _role_is(word, caller))
        else:
            identity.append(word == caller.arn)
    return Reach(any_of(session), any_of(identity), any_of(account))


def _same_id(word: str, caller: Caller) -> Known:
    if caller.kind is Kind.ACCOUNT:
        return False
    return None if caller.unique_id is None else word == caller.unique_id


def _is_session_of(word: str, owner: str | None, caller: Caller) -> bool:
    return caller.kind is Kind.ROLE and owner == caller.account and word.split("/")[1:2] == [caller.name]


def _role_is(word: str, caller: Caller) -> bool:
    return word == caller.role if caller.role is not None else word.split("/")[-1] == caller.name


def spared(named: Principals, caller: Caller) -> Known:
    """Whether NotPrincipal spares a caller: whether every name that they go by stands in the list."""
    if named.is_everyone:
        return True
    if caller.has_boundary:
        return False
    means = reach(named, caller)
    if caller.kind is Kind.USER or caller.kind is Kind.ROLE:
        names: tuple[Known, ...] = (means.account, means.identity)
    elif caller.kind is Kind.SESSION:
        names = (means.account, means.identity, means.session)
    else:
        return means.any
    if all_of(names) is True or any_of(names) is False:
        return names[0]
    # Some of the names and not others: the guide warns that AWS "might" deny.
    return None


def means(named: Principals | None, caller: Caller, *, is_not: bool, allows: bool) -> Reach:
    """How a statement means a caller. Without a Principal (an identity's own policy) it means whoever has it."""
    if named is None:
        return Reach(identity=True)
    if not is_not:
        return reach(named, caller)
    is_spared = spared(named, caller)
    if allows and is_spared is not True:
        # "Using it with Allow is not supported": what it does is not said.
        return Reach(everyone=None)
    return Reach(everyone=negated(is_spared))


def merged(caller: Caller, given: Context) -> Context:
    """The context of a request: what is given, and what follows from who calls."""
    return {**caller.context(), **given}
