"""What a house policy says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final

from toolkit.conditions import All, Condition, Not, Test, moment
from toolkit.terms import KeyState, PackStatus, Severity, Topic, Verb


class Kind(StrEnum):
    """What a demand is about; a verb asks for those that bear on it."""

    ALGORITHM = "algorithm"
    STRENGTH = "strength"
    PROTECTION = "protection"
    FLAG = "flag"
    STORE = "store"
    REGION = "region"
    ORIGIN = "origin"
    FUNCTIONS = "functions"
    OWNER = "owner"
    ORIGINATOR = "originator-period"
    RECIPIENT = "recipient-period"
    CUSTODIANS = "custodians"


def person(name: str) -> str:
    """A name, so that two spellings of it are not two people."""
    return " ".join(name.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One thing that a class asks of its keys. Without `require`, only a person can answer it."""

    id: str
    kind: Kind
    clause: str
    says: str
    when: Condition
    require: Condition | None
    severity: Severity
    remediation: str
    verb: Verb
    topic: Topic
    attester: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Hours of days of the week (Monday is 0), in UTC; `ends` is no longer in it."""

    days: frozenset[int]
    starts: time
    ends: time | None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Days, the last included, on which some verbs rest."""

    starts: date
    ends: date
    verbs: frozenset[Verb]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Who may do one thing to keys of a class, and when. `approvals` of `approvers`, the requester never among them."""

    verb: Verb
    roles: tuple[str, ...]
    approvals: int
    approvers: tuple[str, ...]
    states: tuple[KeyState, ...]
    wait_days: int
    unused_days: int
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyClass:
    """A class of keys: which they are, what is asked of them, who may do what."""

    id: str
    clause: str
    says: str
    match: Condition
    demands: tuple[Demand, ...]
    permits: Mapping[Verb, Permit]
    facts: Mapping[str, Any]
    """What the file says of it, for showing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A recorded exception: some keys break one rule with leave, for a reason, until a day (which is included).

    `ends` is when it stops: the day after `until`, or after the longest time that the house allows, if that is sooner.
    """

    id: str
    rule: str
    reason: str
    owner: str
    approver: str
    granted: date
    until: date
    most_days: int
    covers: Condition

    @property
    def starts(self) -> datetime:
        """Its first moment."""
        return moment(self.granted)

    @property
    def ends(self) -> datetime:
        """The first moment at which it no longer holds."""
        return moment(min(self.until, self.granted + timedelta(days=self.most_days))) + timedelta(days=1)

    @property
    def is_too_long(self) -> bool:
        """Whether it was granted for longer than the house allows."""
        return (self.until - self.granted).days > self.most_days

    def holds(self, as_of: datetime) -> bool:
        """Whether it is in force at that time."""
        return self.starts <= as_of < self.ends

    def __str__(self) -> str:
        return f"{self.id} until {self.ends - timedelta(days=1):%Y-%m-%d}, approved by {self.approver}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A key and what the policy must say of it, or of a request; run whenever the file is read."""

    says: str
    key: Mapping[str, Any]
    as_of: datetime
    key_class: str | None
    breaks: tuple[str, ...]
    cannot_tell: tuple[str, ...]
    excepted: tuple[str, ...]
    ask: Mapping[str, Any] | None
    decision: str | None
    earliest: datetime | None

    @property
    def row(self) -> Mapping[str, Any]:
        """The key; one that we hold, unless it says otherwise."""
        return {"holds_secret": True, **self.key}


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """An organisation's own key management policy."""

    organisation: str
    title: str
    edition: str
    url: str
    status: PackStatus
    roles: Mapping[str, frozenset[str]]
    """Who holds each role, casefolded; nobody named means that the caller says who does."""
    freezes: tuple[Freeze, ...]
    classes: tuple[KeyClass, ...]
    exemptions: tuple[Exemption, ...]
    examples: tuple[Example, ...]

    @property
    def demands(self) -> tuple[Demand, ...]:
        """What all classes ask."""
        return tuple(demand for one in self.classes for demand in one.demands)

    def membership(self) -> tuple[Condition, ...]:
        """For each class, what makes a key one of it: we hold it, the class matches, and none before it does."""
        matches = [one.match for one in self.classes]
        return tuple(All((_HELD, *map(Not, matches[:number]), match)) for number, match in enumerate(matches))

    def holds_role(self, role: str, person: str, claimed: frozenset[str]) -> bool:
        """Whether a person has a role: named in the file, or, where it names nobody, told by the caller."""
        named = self.roles[role]
        return person in named if named else role in claimed


_HELD: Final = Test("holds_secret", "is_true")
