"""Sets of actions, and what keeps them from being done: the pieces that `access` puts together.

A `Term` is what one Allow statement gives a principal; a `Limit` is what a Deny, a boundary or a service control policy
takes away: always, where it has no text, or under its text's conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from collectors._aws.policy.actions import Table
from collectors._aws.policy.conditions import Context, Known, all_of, any_of, holds, negated, operator, resolved
from collectors._aws.policy.grammar import Condition, Document, Policy, Statement
from collectors._aws.policy.patterns import matcher

Conditions = tuple[Condition, ...]
Group = tuple[int, tuple["Limit", ...]]


@dataclass(frozen=True, slots=True)
class Masked:
    """A statement of a source, with the actions that it means on resources of the service."""

    source: str
    statement: Statement
    actions: int


@dataclass(frozen=True, slots=True)
class Term:
    """Actions that a statement allows, under conditions."""

    source: str
    actions: int
    conditions: Conditions
    is_certain: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """Actions that are taken away: always (`text` is empty), or where the text says."""

    actions: int
    text: str = ""
    conditions: Conditions = ()
    is_certain: bool = True
    is_deny: bool = False
    spares_some: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """A statement that reaches a principal; `is_open` where it depends on the request whether it applies."""

    source: str
    statement: Statement
    actions: int
    is_open: bool
    is_certain: bool


def masked(policy: Policy | None, source: str, table: Table) -> list[Masked]:
    """The statements of a policy that mean actions of the service; none of what is no policy."""
    if not isinstance(policy, Document):
        return []
    found = []
    for one in policy.statements:
        if actions := table.mask(one.actions, is_not=one.is_not_action) & table.on_resource:
            found.append(Masked(source or one.name, one, actions))
    return found


def effects(
    statements: Iterable[Masked],
    arn: str,
    context: Context,
    meant: Callable[[Statement], Known],
    *,
    allows: bool,
) -> Iterator[Effect]:
    """The statements of one effect that apply to a resource, or may."""
    for one in statements:
        statement = one.statement
        if statement.allows is not allows:
            continue
        sides = (meant(statement), _is_on(statement, arn, context))
        if False in sides:
            continue
        answers = [holds(test, context, has_variables=statement.has_variables) for test in statement.conditions]
        answer = all_of((*sides, *answers))
        if answer is False:
            continue
        is_clear = None not in sides and all(
            told is not None or _is_of_request(test, context)
            for test, told in zip(statement.conditions, answers, strict=True)
        )
        yield Effect(one.source, statement, one.actions, answer is None, is_clear)


def _is_on(statement: Statement, arn: str, context: Context) -> Known:
    words: Iterable[str | None] = statement.resources
    if statement.has_variables:
        words = [resolved(word, context) for word in statement.resources]
    found = any_of(None if word is None else matcher(word, ignore_case=False)(arn) for word in words)
    return negated(found) if statement.is_not_resource else found


def _is_of_request(test: Condition, context: Context) -> bool:
    # Unknown only for want of the request: the operator is known, and the key is not.
    return operator(test.operator) is not None and test.key.lower() not in context


def terms(found: Iterable[Effect]) -> list[Term]:
    """What Allow statements give."""
    return [Term(one.source, one.actions, one.statement.conditions, one.is_certain) for one in found]


def denials(found: Iterable[Effect]) -> list[Limit]:
    """What Deny statements take away."""
    return [
        Limit(
            one.actions,
            f"not ({told(one.statement)})" if one.is_open else "",
            one.statement.conditions,
            one.is_certain,
            is_deny=True,
            spares_some=one.statement.is_not_principal,
        )
        for one in found
    ]


def ceiling(name: str, found: Sequence[Effect], everything: int) -> list[Limit]:
    """What a boundary or a level of service control policies leaves out, and what it gives only under conditions."""
    always = _union(one.actions for one in found if not one.is_open)
    at_times = [one for one in found if one.is_open and one.actions & ~always]
    limits = [Limit(everything & ~(always | _union(one.actions for one in at_times)))]
    # Of two that give one action either is enough; both are told, so that is not certain.
    for one in at_times:
        text, is_certain = f"{name} ({told(one.statement)})", one.is_certain and len(at_times) == 1
        limits.append(Limit(one.actions & ~always, text, one.statement.conditions, is_certain))
    return limits


def split(actions: int, limits: Iterable[Limit]) -> list[Group]:
    """The actions that are left, in groups that have the same limits."""
    groups: list[Group] = [(actions, ())]
    for limit in limits:
        if not limit.text:
            groups = [(left, why) for mask, why in groups if (left := mask & ~limit.actions)]
            continue
        inside = [(left, (*why, limit)) for mask, why in groups if (left := mask & limit.actions)]
        groups = [*((left, why) for mask, why in groups if (left := mask & ~limit.actions)), *inside]
    return [group for group in groups if group[0]]


def told(statement: Statement) -> str:
    """A statement's conditions in one line, or its name if it has none."""
    words = [str(test) for test in statement.conditions]
    if statement.is_not_principal:
        words.insert(0, f"NotPrincipal {statement.principals}")
    return "; ".join(words) or statement.name


def _union(masks: Iterable[int]) -> int:
    return reduce(or_, masks, 0)
