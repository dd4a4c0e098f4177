"""The entries that say who may: `Access`, and how they are written from terms and limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from collectors._aws.policy.actions import Table
from collectors._aws.policy.conditions import Known
from collectors._aws.policy.limits import Conditions, Limit, Term, split
from collectors._aws.policy.meaning import accounts_of, is_limited, is_within_organisation, needs_mfa
from collectors._aws.policy.principals import Caller, Kind
from toolkit.terms import AccessFunction, AccessVia, PrincipalKind

# A session acts as its role; a name that is no principal's is not known to be anyone's.
_KINDS: Final = {Kind.SESSION: PrincipalKind.ROLE, Kind.UNCLEAR: PrincipalKind.UNKNOWN}
PEOPLE: Final = (Kind.USER, Kind.ROLE, Kind.SESSION, Kind.ACCOUNT)


@dataclass(frozen=True, slots=True)
class Access:
    """One way in which a principal may do something with a key.

    `conditions` are as the documents write them (`Bool aws:SecureTransport=true`); `not (…)` would be denied,
    `boundary (…)` and `scp (…)` must hold too. `needs_mfa` is None where MFA has no meaning or it cannot be told.
    """

    principal: str
    principal_kind: PrincipalKind
    function: AccessFunction
    actions: tuple[str, ...]
    via: AccessVia
    source: str
    conditions: tuple[str, ...] = ()
    is_cross_account: bool = False
    is_public: bool = False
    is_wildcard: bool = False
    is_in_organisation: bool = False
    needs_mfa: bool | None = None
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class Writer:
    """What every entry of a key's account has in common."""

    table: Table
    account_id: str

    def written(
        self,
        caller: Caller,
        via: AccessVia,
        given: Iterable[Term],
        limits: Sequence[Limit],
        *,
        is_certain: bool = True,
        extra: tuple[str, ...] = (),
    ) -> list[Access]:
        """The entries of one principal: equal ones of a source are one, and each has one function."""
        merged: dict[Access, int] = {}
        for term in given:
            actions = term.actions if self._is_own(caller) else term.actions & self.table.cross_account
            for mask, why in split(actions, limits):
                is_sure = is_certain and term.is_certain and all(limit.is_certain for limit in why)
                draft = self._draft(caller, via, term, why, is_certain=is_sure, extra=extra)
                merged[draft] = merged.get(draft, 0) | mask
        return [entry for draft, mask in merged.items() for entry in self._by_function(draft, mask)]

    def _is_own(self, caller: Caller) -> bool:
        return caller.account == self.account_id or caller.kind not in PEOPLE

    def _draft(
        self,
        caller: Caller,
        via: AccessVia,
        term: Term,
        why: tuple[Limit, ...],
        *,
        is_certain: bool,
        extra: tuple[str, ...],
    ) -> Access:
        texts = (*extra, *(str(test) for test in term.conditions), *(limit.text for limit in why))
        positive: Conditions = (*term.conditions, *(t for limit in why if not limit.is_deny for t in limit.conditions))
        denying = [limit.conditions for limit in why if limit.is_deny]
        is_everyone = caller.kind is Kind.PUBLIC
        is_kept = any(limit.spares_some for limit in why) or is_limited(positive, denying)
        return Access(
            principal=name_of(caller),
            principal_kind=_KINDS.get(caller.kind) or PrincipalKind(caller.kind.value),
            function=AccessFunction.READ,
            actions=(),
            via=via,
            source=term.source,
            conditions=tuple(dict.fromkeys(texts)),
            is_cross_account=self._is_across(caller, positive),
            is_public=is_everyone and not is_kept,
            is_wildcard=is_everyone or caller.kind is Kind.UNCLEAR,
            is_in_organisation=is_within_organisation(positive, denying),
            needs_mfa=_mfa(caller, positive, denying),
            is_certain=is_certain and caller.kind is not Kind.UNCLEAR,
        )

    def _is_across(self, caller: Caller, positive: Conditions) -> bool:
        if caller.kind is Kind.PUBLIC:
            named = accounts_of(positive)
            return named is None or bool(named - {self.account_id})
        return caller.account is not None and caller.account != self.account_id

    def _by_function(self, draft: Access, mask: int) -> Iterator[Access]:
        for function, actions in self.table.functions.items():
            if names := self.table.names(mask & actions):
                yield _filled(draft, function, names)


def _filled(draft: Access, function: AccessFunction, names: tuple[str, ...]) -> Access:
    return Access(
        draft.principal, draft.principal_kind, function, names, draft.via, draft.source, draft.conditions,
        draft.is_cross_account, draft.is_public, draft.is_wildcard, draft.is_in_organisation, draft.needs_mfa,
        draft.is_certain,
    )  # fmt: skip


def _mfa(caller: Caller, positive: Conditions, denying: Sequence[Conditions]) -> Known:
    if caller.kind in {Kind.SERVICE, Kind.UNCLEAR}:
        return None
    return needs_mfa(positive, denying)


def name_of(caller: Caller) -> str:
    """A principal's one name: an account's id is written as its ARN."""
    return f"arn:aws:iam::{caller.account}:root" if caller.arn == caller.account else caller.arn
