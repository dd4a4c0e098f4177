"""Whether a request is allowed: ALLOW, DENY, or UNKNOWN, with the statements that decided.

The answer is a formula in three-valued logic over statements, so what is unknown (a context key, an operator, a policy
that could not be read) can make a certain answer uncertain and never the reverse; an explicit Deny wins.

- KMS: the key policy is the root of trust. IAM policies count only where it lets the account decide.
- Another account's key: the key policy and the caller's own IAM policies must both allow, and the operation must be one
  that works across accounts.
- What a resource's policy gives a user or a session by name, no boundary takes away; what it gives a role, it does.
- Not documented, so UNKNOWN: a grant or `"Principal": "*"` to someone whose boundary does not allow it, and a grant
  across accounts to someone whose IAM policies do not.

Resource control policies and VPC endpoint policies are not looked at: an ALLOW is what these documents allow.

Source: IAM user guide, "Policy evaluation logic" and "Cross-account policy evaluation logic"; KMS developer guide,
"Key policies in AWS KMS", "Allowing users in other accounts to use a KMS key", "Grants in AWS KMS".

>>> from collectors._aws.policy.grammar import parse
>>> key = "arn:aws:kms:eu-west-1:111122223333:key/1"
>>> own = parse('{"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}}')
>>> request = Request(Caller.of("arn:aws:iam::111122223333:user/ann"), "kms:Decrypt", key)
>>> root = parse('{"Statement": {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:*",'
...              ' "Resource": "*"}}')
>>> str(decide(request, Policies(resource=root, identity=(Attached("ann", own),))).outcome)
'ALLOW'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from collectors._aws.policy.actions import services, table
from collectors._aws.policy.conditions import Context, Known, all_of, any_of, holds, negated, resolved
from collectors._aws.policy.grammar import Malformed, Policy, Principals, Statement
from collectors._aws.policy.grants import Grant
from collectors._aws.policy.patterns import matcher
from collectors._aws.policy.principals import Caller, Kind, Reach, means, merged, reach, split


class Outcome(StrEnum):
    """What became of a request."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Attached:
    """A policy, or what stood in its place, and where it comes from."""

    source: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks to do what with which resource. A context key that is not given is unknown; `()` is known absent.

    `owner` is the resource's account, where its ARN does not tell it (a bucket's).
    """

    caller: Caller
    action: str
    resource: str
    context: Context = field(default_factory=dict)
    owner: str | None = None

    @property
    def account(self) -> str | None:
        """Whose the resource is; None if neither its ARN nor the asker says."""
        return self.owner or (self.resource.split(":", 5) + [""] * 5)[4] or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All that decides. None is "there is none", but for `identity`, where it is "not known"; see also `Malformed`."""

    resource: Policy | None = None
    grants: tuple[Grant, ...] = ()
    identity: tuple[Attached, ...] | None = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None
    scps: tuple[tuple[Policy, ...], ...] = ()
    """A tuple a level, from the root down to the account: each level must allow."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A statement, or a grant, that decided."""

    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome; `is_explicit` where a Deny statement made it."""

    outcome: Outcome
    is_explicit: bool
    reasons: tuple[Reason, ...]


RESOURCE_POLICY: Final = "resource-policy"
NOT_READ: Final = Malformed("was not read")
_PEOPLE: Final = (Kind.USER, Kind.ROLE, Kind.SESSION, Kind.ACCOUNT)
_Found = tuple[Attached, Statement | None, Known, Reach]


def decide(request: Request, policies: Policies) -> Decision:
    """What becomes of a request."""
    context = merged(request.caller, request.context)
    if request.account is not None:
        context = {"aws:resourceaccount": (request.account,), **context}
    sides = _Sides(request, context, policies)
    denied = any_of(sides.denies)
    if denied is True:
        return Decision(Outcome.DENY, True, sides.reasons(True, allows=False))
    allowed = all_of((negated(denied), sides.allowed()))
    if allowed is True:
        return Decision(Outcome.ALLOW, False, sides.reasons(True, allows=True))
    if allowed is False:
        return Decision(Outcome.DENY, False, ())
    unclear = (*sides.reasons(None, allows=False), *sides.reasons(None, allows=True))
    return Decision(Outcome.UNKNOWN, False, unclear)


def applies(statement: Statement, request: Request, context: Context) -> Known:
    """Whether action, resource and conditions of a statement are those of a request; not whom it means."""
    named = any(matcher(word, ignore_case=True)(request.action) for word in statement.actions)
    if named == statement.is_not_action:
        return False
    on = any_of(_is_on(word, request.resource, statement, context) for word in statement.resources)
    on = negated(on) if statement.is_not_resource else on
    tests = (holds(test, context, has_variables=statement.has_variables) for test in statement.conditions)
    return on if on is False else all_of((on, *tests))


def _is_on(word: str, resource: str, statement: Statement, context: Context) -> Known:
    filled = resolved(word, context) if statement.has_variables else word
    return None if filled is None else matcher(filled, ignore_case=False)(resource)


class _Sides:
    """The statements of every side, each asked once."""

    def __init__(self, request: Request, context: Context, policies: Policies) -> None:
        self.request, self.context = request, context
        service = request.action.split(":")[0].lower()
        self.table = table(service) if service in services() else None
        is_trusted = self.table is not None and self.table.needs_resource_policy
        caller = request.caller
        self.is_own: Known = None if request.account is None else caller.account == request.account
        kept = policies.resource
        if kept is None and is_trusted and self._is_of_resource():
            kept = NOT_READ
        self.has_trust = is_trusted and self._is_of_resource()
        self.resource = self._ask([] if kept is None else [Attached(RESOURCE_POLICY, kept)])
        unknown = [Attached("iam-policy", NOT_READ)] if caller.kind in _PEOPLE else []
        self.identity = self._ask(unknown if policies.identity is None else policies.identity)
        self.boundary = self._limit("boundary", None if policies.boundary is None else (policies.boundary,))
        self.session = self._limit("session", policies.session)
        levels = policies.scps if caller.kind in _PEOPLE else ()
        self.scps = [self._ask([Attached("scp", policy) for policy in level]) for level in levels]
        self.grants = [(grant, self._granted(grant)) for grant in policies.grants]

    def _is_of_resource(self) -> bool:
        return self.table is None or bool(self.table.mask((self.request.action,)) & self.table.on_resource)

    def _limit(self, name: str, policies: Iterable[Policy] | None) -> list[_Found] | None:
        return None if policies is None else self._ask([Attached(name, policy) for policy in policies])

    def _ask(self, attached: Iterable[Attached]) -> list[_Found]:
        found: list[_Found] = []
        for one in attached:
            if isinstance(one.policy, Malformed):
                found.append((one, None, None, Reach(None, None, None, None)))
                continue
            for statement in one.policy.statements:
                answer = applies(statement, self.request, self.context)
                if answer is False:
                    continue
                said = statement.principals
                how = means(said, self.request.caller, is_not=statement.is_not_principal, allows=statement.allows)
                if how.any is not False:
                    found.append((one, statement, answer, how))
        return found

    def _granted(self, grant: Grant) -> Reach:
        action, context = self.request.action, self.context
        named = reach(_principals(grant.grantee), self.request.caller)
        holds_for = grant.allows(action, context)
        parts = (named.session, named.identity, named.account, named.everyone)
        if grant.retiring is not None and action.lower() == "kms:retiregrant":
            also = reach(_principals(grant.retiring), self.request.caller)
            second = (also.session, also.identity, also.account, also.everyone)
            return Reach(*(any_of((all_of((one, holds_for)), two)) for one, two in zip(parts, second, strict=True)))
        return Reach(*(all_of((one, holds_for)) for one in parts))

    def _all(self) -> Iterable[_Found]:
        yield from (*self.resource, *self.identity, *(self.boundary or ()), *(self.session or ()))
        yield from (found for level in self.scps for found in level)

    @property
    def denies(self) -> Iterable[Known]:
        """Of every Deny, or what may be one, whether it applies."""
        return (all_of((answer, how.any)) for _, said, answer, how in self._all() if said is None or not said.allows)

    def reasons(self, wanted: Known, *, allows: bool) -> tuple[Reason, ...]:
        """The statements of an effect that apply, or may."""
        told = [
            Reason(one.source, said.name if said else "the policy itself")
            for one, said, answer, how in self._all()
            if (said is None and wanted is None) or (said is not None and said.allows == allows)
            if all_of((answer, how.any)) is wanted
        ]
        if allows:
            told += [Reason("grant", grant.grant_id) for grant, how in self.grants if how.any is wanted]
        return tuple(dict.fromkeys(told))

    def allowed(self) -> Known:
        """The formula, but for Deny."""
        levels = [_allow(level) for level in self.scps]
        return all_of((self._given(), *levels))

    def _given(self) -> Known:
        by_name = _by_name(self.resource)
        granted = Reach(*(any_of(said) for said in _columns([how for _, how in self.grants])))
        caller, iam = self.request.caller, _allow(self.identity)
        limit = all_of((_allow(self.boundary), _allow(self.session)))
        if caller.kind not in _PEOPLE:
            return any_of((by_name.any, granted.any))
        if self.is_own is True or not self._is_of_resource():
            return self._within(by_name, granted, iam, limit)
        across = self._across(by_name, granted, iam, limit)
        if self.is_own is None and across is not self._within(by_name, granted, iam, limit):
            return None
        return across

    def _within(self, by_name: Reach, granted: Reach, iam: Known, limit: Known) -> Known:
        kind = self.request.caller.kind
        if kind is Kind.ACCOUNT:
            return any_of((not self.has_trust, by_name.any, granted.any))
        entrusted = by_name.account if self.has_trust else True
        return any_of(
            (
                by_name.session,
                by_name.identity if kind is Kind.USER else all_of((by_name.identity, limit)),
                all_of((by_name.everyone, _softly(limit))),
                all_of((entrusted, iam, limit)),
                all_of((any_of((granted.session, granted.identity)), _softly(limit))),
                all_of((granted.account, iam, limit)),
            )
        )

    def _across(self, by_name: Reach, granted: Reach, iam: Known, limit: Known) -> Known:
        works = self.table is None or bool(self.table.mask((self.request.action,)) & self.table.cross_account)
        own = True if self.request.caller.kind is Kind.ACCOUNT else all_of((iam, limit))
        return all_of((works, any_of((all_of((by_name.any, own)), all_of((granted.any, _softly(own)))))))


def _softly(limit: Known) -> Known:
    # Where it is not documented whether a limit counts, one that does not allow leaves the answer open.
    return True if limit is True else None


def _allow(found: list[_Found] | None) -> Known:
    if found is None:
        return True
    return any_of(all_of((answer, how.any)) for _, said, answer, how in found if said is None or said.allows)


def _by_name(found: list[_Found]) -> Reach:
    allowing = [(answer, how) for _, said, answer, how in found if said is None or said.allows]
    kept = [Reach(*(all_of((answer, one)) for one in _parts(how))) for answer, how in allowing]
    return Reach(*(any_of(said) for said in _columns(kept)))


def _parts(how: Reach) -> tuple[Known, Known, Known, Known]:
    return how.session, how.identity, how.account, how.everyone


def _columns(found: list[Reach]) -> Iterable[list[Known]]:
    return ([_parts(how)[n] for how in found] for n in range(4))


def _principals(word: str) -> Principals:
    return Principals(services=(word,)) if split(word)[0] is Kind.SERVICE else Principals(aws=(word,))
