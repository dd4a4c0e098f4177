"""From TOML tables to frozen packs and rules, strictly: what is not known is refused, with the names that are.

>>> parse({"pack": {}, "rules": []}, name="house")
Traceback (most recent call last):
toolkit.errors.PolicyError: pack house: it lacks binding, edition, issuer, status, title, url
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from toolkit.conditions import FIELDS, Condition, moment
from toolkit.conditions import parse as parse_condition
from toolkit.errors import PolicyError
from toolkit.terms import Binding, PackStatus, Severity, TrustMark, Verdict

Member = TypeVar("Member", bound=StrEnum)

EXAMPLES_AS_OF: Final = datetime(2026, 6, 1, tzinfo=UTC)
"""The day on which examples are judged, unless one names its own (`as_of`)."""
_EXAMPLES: Final = {"met": Verdict.PASS, "not_met": Verdict.FAIL, "cannot_tell": Verdict.INDETERMINATE}


@dataclass(frozen=True, slots=True)
class Example:
    """A row a rule must judge so."""

    row: Mapping[str, object]
    as_of: datetime
    expected: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One demand of one clause. `mark` says how the clause was checked (P primary, S secondary, K from knowledge)."""

    id: str
    clause: str
    mark: TrustMark
    says: str
    subject: str
    when: Condition
    require: Condition | None
    otherwise: Verdict
    severity: Severity
    remediation: str
    is_draft: bool
    effective_from: datetime | None
    effective_to: datetime | None
    cwe: str | None
    examples: tuple[Example, ...]

    @property
    def attestation(self) -> bool:
        """Whether only a named person can answer it."""
        return self.require is None

    def is_effective(self, as_of: datetime) -> bool:
        """Whether it holds at that time: from the first moment of `effective_from` to the last of `effective_to`."""
        starts, ends = self.effective_from, self.effective_to
        return (starts is None or starts <= as_of) and (ends is None or as_of.date() <= ends.date())


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
    rules: tuple[Rule, ...]


_PACK: Final = {"title", "issuer", "edition", "status", "binding", "url"}
_NEEDED: Final = {"id", "clause", "mark", "says", "subject", "severity", "remediation"}
_MAY: Final = {
    "edition", "is_draft", "when", "require", "otherwise", "effective_from", "effective_to", "cwe", "attestation",
    *_EXAMPLES,
}  # fmt: skip


def parse(data: Mapping[str, Any], *, name: str) -> Pack:
    """The pack that parsed TOML says.

    Raises:
        PolicyError: naming pack, rule and field, and what is known there.
    """
    where = f"pack {name}"
    _keys(data, {"pack", "rules"}, set(), where)
    facts = data["pack"]
    _keys(facts, _PACK, {"name"}, where)
    if facts.get("name", name) != name:
        raise PolicyError(f"{where}: it calls itself {facts['name']}", advice="name the pack after its file")
    status, binding = _member(PackStatus, facts["status"], where), _member(Binding, facts["binding"], where)
    never_fails = binding is Binding.GUIDELINE or status is not PackStatus.IN_FORCE
    rules = tuple(_rule(table, where, facts["edition"], never_fails) for table in data["rules"])
    _unique([rule.id for rule in rules], where)
    texts = {key: _text(facts, key, where) for key in ("title", "issuer", "edition", "url")}
    return Pack(name=name, status=status, binding=binding, rules=rules, **texts)


def _rule(table: Mapping[str, Any], where: str, edition: str, never_fails: bool) -> Rule:
    where = f"{where}, rule {table.get('id', '?')}"
    _keys(table, _NEEDED, _MAY, where)
    is_draft = bool(table.get("is_draft", False))
    otherwise = _otherwise(table, where)
    if never_fails or is_draft:
        otherwise = Verdict.WARN
    return Rule(
        id=_text(table, "id", where),
        says=_text(table, "says", where),
        remediation=_text(table, "remediation", where),
        clause=f"{table.get('edition', edition)}, {_text(table, 'clause', where)}",
        mark=_member(TrustMark, table["mark"], where),
        severity=_member(Severity, table["severity"], where),
        otherwise=otherwise,
        is_draft=is_draft,
        effective_from=_day(table, "effective_from", where),
        effective_to=_day(table, "effective_to", where),
        cwe=table.get("cwe"),
        **_conditions(table, where),
        examples=_examples(table, where, otherwise),
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


def _examples(table: Mapping[str, Any], where: str, otherwise: Verdict) -> tuple[Example, ...]:
    if table.get("attestation"):
        return ()
    found = []
    for name, verdict in _EXAMPLES.items():
        if not table.get(name):
            raise PolicyError(f"{where}: it has no example `{name}`", advice="every rule shows one of each kind")
        for row in table[name]:
            values = {key: value for key, value in row.items() if key != "as_of"}
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
