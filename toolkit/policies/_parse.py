"""From TOML tables to frozen packs and rules, strictly: what is not known is refused, with the names that are.

>>> parse({"pack": {}, "rules": []}, name="house")
Traceback (most recent call last):
toolkit.errors.PolicyError: pack house: it lacks binding, edition, issuer, status, title, url
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar

from toolkit.conditions import FIELDS, All, Condition, Test, moment
from toolkit.conditions import parse as parse_condition
from toolkit.errors import PolicyError
from toolkit.house import Exemption
from toolkit.policies._topics import topic_of
from toolkit.terms import Binding, PackStatus, Scope, Severity, Topic, TrustMark, Verb, Verdict

Member = TypeVar("Member", bound=StrEnum)

EXAMPLES_AS_OF: Final = datetime(2026, 6, 1, tzinfo=UTC)
"""The day on which examples are judged, unless one names its own (`as_of`)."""
_CWE: Final = re.compile(r"CWE-[0-9]+")
_ATTACK: Final = re.compile(r"T[0-9]{4}(\.[0-9]{3})?")
_EXAMPLES: Final = {"met": Verdict.PASS, "not_met": Verdict.FAIL, "cannot_tell": Verdict.INDETERMINATE}


@dataclass(frozen=True, slots=True)
class Example:
    """A row a rule must judge so."""

    row: Mapping[str, object]
    as_of: datetime
    expected: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One demand of one clause. `mark` says how the clause was checked (P primary, S secondary, K from knowledge).

    `scope`: it is asked only of what is in one of these; empty: of everything.
    """

    id: str
    clause: str
    edition: str
    url: str
    mark: TrustMark
    says: str
    subject: str
    scope: tuple[str, ...]
    when: Condition
    require: Condition | None
    otherwise: Verdict
    severity: Severity
    remediation: str
    verb: Verb | None
    topic: Topic
    evidence: tuple[str, ...]
    cwe: str | None
    attack: tuple[str, ...]
    conflicts: str | None
    attester: str | None
    every_days: int | None
    is_draft: bool
    effective_from: datetime | None
    effective_to: datetime | None
    examples: tuple[Example, ...]

    @property
    def attestation(self) -> bool:
        """Whether only a named person can answer it."""
        return self.require is None

    @property
    def scoped(self) -> Condition | None:
        """What its scope asks of a subject."""
        return Test("scopes", "within", self.scope) if self.scope else None

    @property
    def applies(self) -> Condition:
        """When it applies: within its scope, and as `when` says."""
        scoped = self.scoped
        return self.when if scoped is None else All((self.when, scoped))

    def is_effective(self, as_of: datetime) -> bool:
        """Whether it holds at that time: from the first moment of `effective_from` to the last of `effective_to`."""
        starts, ends = self.effective_from, self.effective_to
        return (starts is None or starts <= as_of) and (ends is None or as_of < ends + timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A standard's demands: who issued them, which edition, what gives them force."""

    name: str
    title: str
    issuer: str
    edition: str
    status: PackStatus
    binding: Binding
    url: str
    scope: tuple[str, ...]
    rules: tuple[Rule, ...]
    exemptions: tuple[Exemption, ...] = ()
    """Which subjects break a rule with leave, until when; only a house has them."""


_PACK: Final = {"title", "issuer", "edition", "status", "binding", "url"}
_PACK_MAY: Final = {"name", "scope", "mark", "effective_from", "effective_to"}
_NEEDED: Final = {"id", "clause", "says", "subject", "severity", "remediation"}
_MAY: Final = {
    "edition", "url", "mark", "scope", "is_draft", "when", "require", "otherwise", "effective_from", "effective_to",
    "verb", "topic", "evidence", "cwe", "attack", "conflicts", "attestation", "attester",
    "every_days", *_EXAMPLES,
}  # fmt: skip
_HANDED_DOWN: Final = ("edition", "url", "mark", "scope", "effective_from", "effective_to")


def parse(data: Mapping[str, Any], *, name: str) -> Pack:
    """The pack that parsed TOML says.

    Raises:
        PolicyError: naming pack, rule and field, and what is known there.
    """
    where = f"pack {name}"
    _keys(data, {"pack", "rules"}, set(), where)
    facts = data["pack"]
    _keys(facts, _PACK, _PACK_MAY, where)
    if facts.get("name", name) != name:
        raise PolicyError(f"{where}: it calls itself {facts['name']}", advice="name the pack after its file")
    status, binding = _member(PackStatus, facts["status"], where), _member(Binding, facts["binding"], where)
    never_fails = binding is Binding.GUIDELINE or status in (PackStatus.DRAFT, PackStatus.WITHDRAWN)
    texts = {key: _text(facts, key, where) for key in ("title", "issuer", "edition", "url")}
    handed_down = {key: facts[key] for key in _HANDED_DOWN if key in facts}
    rules = tuple(_rule({**handed_down, **table}, where, status, never_fails) for table in data["rules"])
    _unique([rule.id for rule in rules], where)
    scope = _scope(facts, where)
    return Pack(name=name, status=status, binding=binding, scope=scope, rules=rules, exemptions=(), **texts)


def _rule(table: Mapping[str, Any], where: str, status: PackStatus, never_fails: bool) -> Rule:
    where = f"{where}, rule {table.get('id', '?')}"
    _keys(table, _NEEDED | {"mark"}, _MAY, where)
    is_draft = bool(table.get("is_draft", False)) or status is PackStatus.DRAFT
    otherwise = Verdict.WARN if never_fails or is_draft else _otherwise(table, where)
    conditions, scope = _conditions(table, where), _scope(table, where)
    edition = _text(table, "edition", where)
    return Rule(
        id=_text(table, "id", where),
        says=_text(table, "says", where),
        remediation=_text(table, "remediation", where),
        clause=f"{edition}, {_text(table, 'clause', where)}",
        edition=edition,
        url=_text(table, "url", where),
        mark=_member(TrustMark, table["mark"], where),
        severity=_member(Severity, table["severity"], where),
        scope=scope,
        otherwise=otherwise,
        is_draft=is_draft,
        verb=_member(Verb, table["verb"], where) if "verb" in table else None,
        topic=_member(Topic, table["topic"], where) if "topic" in table else topic_of(conditions["require"]),
        evidence=_texts(table, "evidence", where),
        cwe=_coded(table, "cwe", _CWE, where),
        attack=tuple(_coded({"attack": id_}, "attack", _ATTACK, where) or "" for id_ in _texts(table, "attack", where)),
        conflicts=_text(table, "conflicts", where) if "conflicts" in table else None,
        **_attested(table, where),
        effective_from=_day(table, "effective_from", where),
        effective_to=_day(table, "effective_to", where),
        **conditions,
        examples=_examples(table, where, otherwise, scope),
    )


def _conditions(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    subject = table["subject"]
    if table.get("attestation"):
        if subject != "inventory" or {"when", "require", *_EXAMPLES} & table.keys():
            raise PolicyError(f"{where}: an attestation has the subject inventory, no condition and no examples")
        return {"subject": subject, "when": parse_condition([], subject="key"), "require": None}
    if subject not in FIELDS or "require" not in table:
        raise PolicyError(
            f"{where}: it needs `require` and a subject, one of {', '.join(FIELDS)}", advice="or attestation = true"
        )
    return {
        "subject": subject,
        "when": parse_condition(table.get("when", []), subject=subject, where=f"{where}, when"),
        "require": parse_condition(table["require"], subject=subject, where=f"{where}, require"),
    }


def _attested(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Who attests, and for how many days it holds; told of attestations only."""
    if not table.get("attestation"):
        if odd := {"attester", "every_days"} & table.keys():
            raise PolicyError(f"{where}: {', '.join(sorted(odd))} is said of an attestation only")
        return {"attester": None, "every_days": None}
    days = table.get("every_days")
    if days is not None and (type(days) is not int or days < 1):
        raise PolicyError(f"{where}: every_days is a number of days, not {days!r}")
    return {"attester": _text(table, "attester", where) if "attester" in table else None, "every_days": days}


def _examples(table: Mapping[str, Any], where: str, otherwise: Verdict, scope: tuple[str, ...]) -> tuple[Example, ...]:
    if table.get("attestation"):
        return ()
    found = []
    for name, verdict in _EXAMPLES.items():
        if not table.get(name):
            raise PolicyError(f"{where}: it has no example `{name}`", advice="every rule shows one of each kind")
        for row in table[name]:
            # An example is in scope unless it says otherwise: what it shows is the rule, not the scope.
            in_scope = {"scopes": [scope[0]]} if scope else {}
            values = {**in_scope, **{key: value for key, value in row.items() if key != "as_of"}}
            as_of = moment(row["as_of"]) if "as_of" in row else EXAMPLES_AS_OF
            found.append(Example(values, as_of, otherwise if verdict is Verdict.FAIL else verdict))
    return tuple(found)


def _otherwise(table: Mapping[str, Any], where: str) -> Verdict:
    verdict = table.get("otherwise", "FAIL")
    if verdict not in ("FAIL", "WARN"):
        raise PolicyError(f"{where}: otherwise is FAIL or WARN, not {verdict!r}")
    return Verdict(verdict)


def _keys(table: Mapping[str, Any], needed: set[str], may: set[str], where: str) -> None:
    if lacking := needed - table.keys():
        raise PolicyError(f"{where}: it lacks {', '.join(sorted(lacking))}")
    if odd := table.keys() - needed - may:
        known = ", ".join(sorted(needed | may))
        raise PolicyError(f"{where}: unknown {', '.join(sorted(odd))}", advice=f"known are: {known}")


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table[key]
    if not isinstance(value, str) or not value:
        raise PolicyError(f"{where}: {key} is a text")
    return value


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise PolicyError(f"{where}: {key} is a list of texts")
    return tuple(values)


def _scope(table: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The words of a scope, casefolded: those of `terms.Scope`, or a house's own that begin with `x-`."""
    words = table.get("scope", [])
    found = _texts({"scope": [words] if isinstance(words, str) else words}, "scope", where)
    return tuple(word if word.startswith("x-") else _member(Scope, word, where).value for word in found)


def _coded(table: Mapping[str, Any], key: str, form: re.Pattern[str], where: str) -> str | None:
    value = table.get(key)
    if value is not None and not (isinstance(value, str) and form.fullmatch(value)):
        raise PolicyError(f"{where}: {value!r} is no {key} id", advice="like CWE-326, or T1552.004")
    return value


def _day(table: Mapping[str, Any], key: str, where: str) -> datetime | None:
    value = table.get(key)
    if value is not None and not isinstance(value, date):
        raise PolicyError(f"{where}: {key} is a date, like 2031-01-01")
    return None if value is None else moment(value)


def _member(kind: type[Member], value: Any, where: str) -> Member:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(member.value for member in kind)
        raise PolicyError(f"{where}: {value!r} is no {kind.__name__}", advice=f"use one of: {known}") from None


def _unique(ids: list[str], where: str) -> None:
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise PolicyError(f"{where}: two rules are called {', '.join(twice)}")
