"""Whether somebody may do something to a key, by the house's own policy: every check, and when it would be allowed.

Pure: no clock, no workspace. What is not known of a key is a check that does not hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import pandas as pd

from toolkit.algorithms import strength
from toolkit.conditions import FIELDS, Columns, Condition, flags_of, frame_of
from toolkit.errors import ConfigError, PolicyError
from toolkit.house import _calendar
from toolkit.house._form import House, KeyClass, Kind, Permit, person
from toolkit.house._parse import spell
from toolkit.terms import PackStatus, Verb


class Outcome(StrEnum):
    """What the policy says to a request."""

    ALLOWED = "allowed"
    NEEDS_APPROVAL = "needs-approval"
    """Nothing else stands in its way."""
    REFUSED = "refused"


class About(StrEnum):
    """What a check looks at."""

    CLASS = "class"
    VERB = "verb"
    ROLE = "role"
    STATE = "state"
    RULE = "rule"
    WAIT = "wait"
    UNUSED = "unused"
    FREEZE = "freeze"
    WINDOW = "window"
    APPROVALS = "approvals"


_TIME: Final = frozenset({About.WAIT, About.UNUSED, About.FREEZE, About.WINDOW})
_MAKE: Final = frozenset(Kind) - {Kind.OWNER, Kind.ORIGINATOR, Kind.RECIPIENT, Kind.CUSTODIANS}
ASKED: Final[Mapping[Verb, frozenset[Kind]]] = {
    Verb.GENERATE: _MAKE | {Kind.OWNER},
    Verb.IMPORT: _MAKE | {Kind.OWNER},
    Verb.DISTRIBUTE: _MAKE,
    Verb.ACTIVATE: _MAKE | {Kind.OWNER, Kind.ORIGINATOR},
    Verb.RESUME: _MAKE | {Kind.OWNER, Kind.ORIGINATOR},
    Verb.RECOVER: _MAKE | {Kind.RECIPIENT},
}
"""What a key must keep for a verb that puts it to use. Other verbs repair: what is broken never stands in their way."""
# What is true of a key that is not there yet, whatever else is said of it.
_TO_BE: Final = {"holds_secret": True, "is_exposed": False, "is_in_code": False, "is_in_head": False}
_BORN: Final[Mapping[Verb, Mapping[str, object]]] = {
    Verb.GENERATE: {**_TO_BE, "origin": "generated", "state": "pre-activation"},
    Verb.IMPORT: {**_TO_BE, "origin": "imported", "state": "pre-activation"},
}


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to a request, at a time, in the roles that the caller knows that person to have."""

    by: str
    at: datetime
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: whether it holds, the clause that asks for it, and the fields that were not known."""

    about: About
    holds: bool
    clause: str
    says: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says to a request, with every check that was made.

    `earliest` is when it would be allowed, if nothing but time and approvals stands in its way.
    """

    outcome: Outcome
    status: PackStatus
    """Whether the policy is in force; what a draft or an example says binds nobody."""
    verb: Verb
    key_uid: str | None
    key_class: str | None
    by: str
    as_of: datetime
    checks: tuple[Check, ...]
    earliest: datetime | None
    approvals_needed: int
    approved_by: tuple[str, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether it may be done now."""
        return self.outcome is Outcome.ALLOWED

    @property
    def against(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    verb: Verb
    by: str
    roles: frozenset[str]
    approvals: Sequence[Approval]
    requested_at: datetime | None
    as_of: datetime


@dataclass(slots=True)
class _Checked:
    """Checks as they are made, and the time before which one of them does not hold."""

    house: House
    checks: list[Check] = field(default_factory=list)
    not_before: datetime | None = None

    def add(self, about: About, holds: bool, where: str, says: str, missing: Sequence[str] = ()) -> None:
        self.checks.append(Check(about, holds, f"{self.house.edition}, {where}", says, tuple(missing)))

    def later(self, moment: datetime) -> None:
        self.not_before = moment if self.not_before is None else max(self.not_before, moment)


class Facts:
    """What is known of one key, ready to be asked conditions."""

    def __init__(self, key: Mapping[str, Any], as_of: datetime, verb: Verb | None = None) -> None:
        self.row, self.as_of, self._index = _known(key, verb), as_of, 0
        self._columns = _asked_of([self.row], as_of)

    @classmethod
    def of_many(cls, keys: Sequence[Mapping[str, Any]], as_of: datetime) -> list[Facts]:
        """The same of several keys, which costs hardly more than of one."""
        rows = [_known(key, None) for key in keys]
        columns, found = _asked_of(rows, as_of), []
        for index, row in enumerate(rows):
            one = cls.__new__(cls)
            one.row, one.as_of, one._index, one._columns = row, as_of, index, columns
            found.append(one)
        return found

    def answer(self, condition: Condition) -> tuple[bool | None, tuple[str, ...]]:
        """Its truth, None where that is not known, and then the fields that would tell."""
        told = self._columns.answer(condition)
        if told.unknown[self._index]:
            missing = self._columns.missing(condition)
            return None, tuple(f for f, rows in missing.items() if flags_of(rows, told.rows)[self._index])
        return bool(told.yes[self._index]), ()

    def class_in(self, house: House) -> tuple[KeyClass | None, tuple[str, ...]]:
        """The class it is in; else None, with the fields that would tell, which are none if it is in no class."""
        for one, condition in zip(house.classes, house.membership(), strict=True):
            truth, missing = self.answer(condition)
            if truth:
                return one, ()
            if truth is None:
                return None, missing
        return None, ()


def _known(key: Mapping[str, Any], verb: Verb | None) -> dict[str, Any]:
    """The fields of a key that are known; of one that is to be made, also those that its making decides."""
    plain = {name: _plain(value) for name, value in dict(key).items() if name in FIELDS["key"]}
    row = {name: value for name, value in plain.items() if value is not None}
    if verb is not None and verb in _BORN:
        row.update(_BORN[verb])
        # It has the strength of its algorithm, and none of a wrapping key yet.
        known = strength(row.get("algorithm"), row.get("parameter"), row.get("size_bits"))
        row["effective_strength_bits"] = known.security_strength_bits
    return row


def _asked_of(rows: Sequence[Mapping[str, Any]], as_of: datetime) -> Columns:
    try:
        return Columns("key", frame_of("key", rows, where="the key"), as_of=as_of)
    except PolicyError as wrong:
        raise ConfigError(wrong.message, advice=wrong.advice) from None


def _plain(value: Any) -> Any:
    """A value as a condition takes it, from a row of `tk.keys` too; None for all that means unknown."""
    if not pd.api.types.is_scalar(value) and value is not None:
        return [str(one) for one in value]
    return None if value is None or pd.isna(value) else value.item() if hasattr(value, "item") else value


def permits(
    house: House,
    verb: Verb | str,
    key: Mapping[str, Any],
    *,
    by: str,
    as_of: datetime,
    roles: Collection[str] = (),
    approvals: Sequence[Approval] = (),
    requested_at: datetime | None = None,
) -> Decision:
    """Whether `by` may do `verb` to `key` at `as_of`, and if not, why and from when.

    `key` is a row of `tk.keys`, or the fields of one that is to be generated or imported. `roles` count only where the
    file does not name who holds them. `requested_at` begins the waiting period.

    Raises:
        ConfigError: there is no such verb, nobody asks, or a field of the key has a value of another type.
    """
    if not by.strip():
        raise ConfigError("nobody asks: `by` is empty", advice="say who")
    try:
        verb = Verb(verb)
    except ValueError:
        raise ConfigError(f"no verb is called {verb}", advice=f"use one of: {', '.join(Verb)}") from None
    asked = _Request(
        verb=verb, by=person(by), roles=frozenset(roles), approvals=approvals, as_of=as_of.astimezone(UTC),
        requested_at=None if requested_at is None else requested_at.astimezone(UTC),
    )  # fmt: skip
    facts, checked = Facts(key, asked.as_of, verb), _Checked(house)
    found, missing = facts.class_in(house)
    _check_class(checked, found, missing)
    permit = None if found is None else found.permits.get(verb)
    approved: tuple[str, ...] = ()
    if found is not None:
        _check_rules(checked, found, facts, verb)
        where = f"{found.clause}, may.{verb}"
        if permit is None:
            checked.add(About.VERB, False, where, f"The policy lets nobody {verb} keys of class {found.id}.")
        else:
            approved = _check_permit(checked, permit, where, facts, asked)
    return _decision(checked, asked, facts, found, permit, approved)


def _check_class(checked: _Checked, found: KeyClass | None, missing: tuple[str, ...]) -> None:
    if found is not None:
        checked.add(About.CLASS, True, found.clause, f"It is in class {found.id}.")
    elif missing:
        says = f"Which class it is in cannot be told: not known is {', '.join(missing)}."
        checked.add(About.CLASS, False, "classes", says, missing)
    else:
        checked.add(About.CLASS, False, "classes", "It is in no class of the policy.")


def _check_rules(checked: _Checked, found: KeyClass, facts: Facts, verb: Verb) -> None:
    for demand in found.demands:
        if demand.require is None or demand.kind not in ASKED.get(verb, ()):
            continue
        applies, open_ = facts.answer(demand.when)
        if applies is False:
            continue
        keeps, missing = facts.answer(demand.require)
        leave = None if keeps is not False else _leave(checked.house, demand.id, facts)
        holds = bool(applies and keeps) or (applies is True and leave is not None)
        said = f"{demand.id}: {demand.says}" if leave is None else f"{demand.id}: broken, by exception {leave}"
        checked.add(About.RULE, holds, demand.clause, said, () if holds else (*open_, *missing))


def _leave(house: House, rule: str, facts: Facts) -> str | None:
    """The exception by which a key breaks a rule with leave."""
    covering = (one for one in house.exemptions if one.rule == rule and one.holds(facts.as_of))
    return next((str(one) for one in covering if facts.answer(one.covers)[0]), None)


def _check_permit(
    checked: _Checked, permit: Permit, where: str, facts: Facts, asked: _Request
) -> tuple[str, ...]:  # fmt: skip
    house = checked.house
    mine = [role for role in permit.roles if house.holds_role(role, asked.by, asked.roles)]
    says = f"Only {' or '.join(permit.roles)} may; {asked.by} is {' and '.join(mine) or 'none of them'}."
    checked.add(About.ROLE, bool(mine), where, says)
    if permit.states:
        state = facts.row.get("state")
        says = f"Only a key that is {' or '.join(permit.states)}; it is {state or 'in a state that is not known'}."
        checked.add(About.STATE, state in permit.states, where, says, () if state else ("state",))
    _check_times(checked, permit, where, facts, asked)
    _check_calendar(checked, permit, where, asked)
    if not permit.approvals:
        return ()
    approved = tuple(dict.fromkeys(_counted(house, permit, asked)))
    says = (
        f"{permit.approvals} of {' or '.join(permit.approvers)} must approve it, {asked.by} not among them; "
        f"{len(approved)} did{': ' + ', '.join(approved) if approved else ''}."
    )
    checked.add(About.APPROVALS, len(approved) >= permit.approvals, where, says)
    return approved


def _counted(house: House, permit: Permit, asked: _Request) -> Iterator[str]:
    for one in asked.approvals:
        name = person(one.by)
        may = any(house.holds_role(role, name, one.roles) for role in permit.approvers)
        if name and name != asked.by and may and one.at <= asked.as_of:
            yield name


def _check_times(checked: _Checked, permit: Permit, where: str, facts: Facts, asked: _Request) -> None:
    if permit.wait_days:
        # Whoever asks what would be, without a request, waits from now.
        ends = (asked.requested_at or asked.as_of) + timedelta(days=permit.wait_days)
        since = "no request was made yet" if asked.requested_at is None else f"asked {asked.requested_at:%Y-%m-%d}"
        says = f"It waits for {permit.wait_days} days from the request ({since})."
        checked.add(About.WAIT, asked.as_of >= ends, where, says)
        checked.later(ends)
    if permit.unused_days:
        used = facts.row.get("last_used_at")
        said = "not known" if used is None else f"{used:%Y-%m-%d}"
        says = f"It has not been used for {permit.unused_days} days; its last use is {said}."
        if used is None:
            checked.add(About.UNUSED, False, where, says, ("last_used_at",))
            return
        ends = used + timedelta(days=permit.unused_days)
        checked.add(About.UNUSED, asked.as_of >= ends, where, says)
        checked.later(ends)


def _check_calendar(checked: _Checked, permit: Permit, where: str, asked: _Request) -> None:
    frozen = _calendar.freeze_at(checked.house.freezes, permit.verb, asked.as_of)
    if frozen is not None:
        checked.add(About.FREEZE, False, "freezes", f"It rests until {frozen.ends}: {frozen.why}.")
    if permit.windows:
        says = f"Only in these hours: {'; '.join(spell(permit.windows))}."
        checked.add(About.WINDOW, _calendar.is_open(permit.windows, asked.as_of), where, says)


def _decision(
    checked: _Checked,
    asked: _Request,
    facts: Facts,
    found: KeyClass | None,
    permit: Permit | None,
    approved: tuple[str, ...],
) -> Decision:
    against = [check for check in checked.checks if not check.holds]
    kinds = {check.about for check in against}
    lacks_approval = kinds == {About.APPROVALS}
    outcome = Outcome.NEEDS_APPROVAL if lacks_approval else Outcome.REFUSED if against else Outcome.ALLOWED
    curable = permit is not None and kinds <= _TIME | {About.APPROVALS} and not any(c.missing for c in against)
    earliest = None
    if permit is not None and curable:
        at = max(asked.as_of, checked.not_before or asked.as_of)
        earliest = _calendar.first_open(permit.windows, checked.house.freezes, asked.verb, at)
    return Decision(
        outcome=outcome,
        status=checked.house.status,
        verb=asked.verb,
        key_uid=facts.row.get("subject_uid"),
        key_class=None if found is None else found.id,
        by=asked.by,
        as_of=asked.as_of,
        checks=tuple(checked.checks),
        earliest=earliest,
        approvals_needed=0 if permit is None else permit.approvals,
        approved_by=approved,
    )
