"""What is asked of an inventory, as data: one `Check` a sentence, made from the column spec.

A column's checks follow from its place in `toolkit.model` (can it be None?), its vocabulary, unit, name and type, so
that a new column is under the contract at once. Only what holds between columns, rows and tables is written down here.

Refuses to: load great-expectations (an expectation is named, not made), or hold a condition that is program text.

>>> words = "holds only sign, verify, encrypt, decrypt, wrap, unwrap, derive"
>>> [check.column for check in checks(datetime(2026, 1, 1, tzinfo=UTC)) if check.says == words]
['functions']
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta  # noqa: F401  # UTC: for the example above
from enum import StrEnum
from typing import Any, Final, get_args, get_type_hints

from toolkit.tables import COLUMNS, ROW_TABLES, RUN_TABLES, TEXT, TEXTS, Column
from toolkit.terms import GapScope, ReadingStatus

CRITICAL: Final = "critical"
WARNING: Final = "warning"
BETWEEN_WORDS: Final = "\x1f"
"""What stands between the words of a list that is looked at as one text."""

# What makes a row the one sighting of its kind; `compare` joins two runs on the same columns.
SIGHTING: Final = {
    "keys": ("collector", "target", "locator", "key_type"),
    "certificates": ("collector", "target", "locator"),
    "credentials": ("collector", "target", "credential_uid"),
    "access": ("collector", "target", "subject_uid", "principal", "function", "via", "source"),
    "secrets": ("collector", "target", "rule", "secret_uid"),
    "readings": ("collector", "target"),
}
# RFC 3986 3.1, and `_` besides, since the runner makes a scheme of a collector's name. What may not stand in it: a
# password (3.2.1), and the PIN of a PKCS#11 URI (RFC 7512 2.4).
URI: Final = r"\A[A-Za-z][A-Za-z0-9+._-]*:(?!//[^/?#\s]*:[^/?#\s]*@)(?!\S*pin-value=)\S*\Z"
_URIS: Final = ("target", "locator")
_UIDS: Final = {"key_uid": "spki|hmac|keeper|place", "certificate_uid": "sha256", "secret_uid": "hmac"}
_ANY_TEXT: Final = r"(?s)\A."
# By unit: export-grade RC4 had 40 bits, and no module that we know makes keys above 64 Kibit.
_RANGES: Final[dict[str, tuple[float, float | None]]] = {
    "days": (1, 36_525),
    "bits": (40, 65_536),
    "0 to 1": (0, 1),
    "rows": (0, None),
    "seconds": (0, None),
    "places": (1, None),
}
# A certificate's serial number may be negative (RFC 5280 4.1.2.2).
_FORMS: Final = {"hex": ("is hexadecimal", r"\A-?[0-9a-f]+\Z"), "octal": ("is octal", r"\A[0-7]{3,6}\Z")}
_IN_ORDER: Final = (("not_before", "not_after"), ("first_seen_at", "last_seen_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One sentence of the contract, and the expectation that stands for it.

    `batch` is the frame it looks at, if not the table itself: its `structure` (a row a column) or the `accounts` (a row
    a target). `when` (column, word) narrows it to some rows; a condition that is text would be run as a program.
    """

    table: str
    says: str
    column: str | None
    severity: str
    expectation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    when: tuple[str, str] | None = None
    batch: str

    @property
    def needs(self) -> set[str]:
        """The columns of its frame without which it cannot be looked at."""
        named = [self.arguments.get(name) for name in ("column", "column_A", "column_B")]
        return {name for name in (*named, *self.arguments.get("column_list", ()), *(self.when or ())[:1]) if name}


_Maker = Callable[[str, str, Mapping[str, Any]], Check]


def _of(
    table: str, column: str | None, severity: str, *, batch: str = "", when: tuple[str, str] | None = None
) -> _Maker:
    def make(says: str, expectation: str, arguments: Mapping[str, Any]) -> Check:
        return Check(
            table=table, column=column, severity=severity, batch=batch or table, when=when,
            says=says, expectation=expectation, arguments=arguments,
        )  # fmt: skip

    return make


def checks(as_of: datetime, *, max_age_days: float = 30, min_coverage: float = 0.9) -> tuple[Check, ...]:
    """The checks of all tables of a run."""
    found: list[Check] = []
    for table in RUN_TABLES:
        found += _structure(table)
        hints = get_type_hints(next(row for row, name in ROW_TABLES.items() if name == table))
        for column in COLUMNS[table]:
            found += _column(table, column, hints[column.name])
        found += _across(table)
    return (*found, *_gaps(), *_accounts(), *_readings(as_of, timedelta(days=max_age_days), min_coverage))


def _structure(table: str) -> Iterator[Check]:
    make = _of(table, None, CRITICAL, batch=f"{table} structure")
    yield make("has every column of the contract", "ExpectColumnValuesToNotBeNull", {"column": "found"})
    yield make("has no other column", "ExpectColumnValuesToNotBeNull", {"column": "expected"})
    yield make("has the type of every column", *_equal("expected", "found"))


def _equal(one: str, other: str) -> tuple[str, dict[str, Any]]:
    pair = {"column_A": one, "column_B": other, "ignore_row_if": "either_value_is_missing"}
    return "ExpectColumnPairValuesToBeEqual", pair


def _column(table: str, column: Column, hint: object) -> Iterator[Check]:
    critical, warning = (_of(table, column.name, severity) for severity in (CRITICAL, WARNING))
    on = {"column": column.name}
    if type(None) not in get_args(hint):
        yield critical("is always known", "ExpectColumnValuesToNotBeNull", on)
    if words := _vocabulary(column, hint):
        yield critical(*_one_of(column, words))
    elif column.unit in _RANGES:
        low, high = _RANGES[column.unit]
        limits = f"at least {low:,}" if high is None else f"from {low:,} to {high:,}"
        yield warning(f"is {limits}", "ExpectColumnValuesToBeBetween", {**on, "min_value": low, "max_value": high})
    elif column.unit == "JSON":
        yield critical("is JSON", "ExpectColumnValuesToBeJsonParseable", on)
    elif column.kind == TEXT:
        says, form = _FORMS.get(column.unit) or _form(column.name)
        make = warning if form == _ANY_TEXT else critical
        yield make(says, "ExpectColumnValuesToMatchRegex", {**on, "regex": form})


def _form(name: str) -> tuple[str, str]:
    if name in _URIS:
        return "is a URI that carries no password or PIN", URI
    if name.endswith("_uid"):
        prefixes = _UIDS.get(name, "[a-z0-9]+")
        return f"is {prefixes.replace('|', ' or ')} and 64 hex digits", rf"\A(?:{prefixes}):[0-9a-f]{{64}}\Z"
    return "is never an empty text: unknown is None", _ANY_TEXT


def _vocabulary(column: Column, hint: object) -> tuple[str, ...]:
    """The words of the closed vocabulary that a column, or the lists in it, is made of; none if it is open."""
    inside = [inner for kind in get_args(hint) for inner in get_args(kind)]
    kinds = [kind for kind in (column.kind, hint, *get_args(hint), *inside) if isinstance(kind, type)]
    found = next((kind for kind in kinds if issubclass(kind, StrEnum)), None)
    return tuple(member.value for member in found) if found else ()


def _one_of(column: Column, words: tuple[str, ...]) -> tuple[str, str, dict[str, Any]]:
    if column.kind != TEXTS:
        arguments: dict[str, Any] = {"column": column.name, "value_set": list(words)}
        return f"is one of {', '.join(words)}", "ExpectColumnValuesToBeInSet", arguments
    word = f"(?:{'|'.join(map(re.escape, words))})"
    form = rf"\A(?:{word}(?:{BETWEEN_WORDS}{word})*)?\Z"
    return f"holds only {', '.join(words)}", "ExpectColumnValuesToMatchRegex", {"column": column.name, "regex": form}


def _across(table: str) -> Iterator[Check]:
    """What holds between the columns of one row, and between rows."""
    names = {column.name for column in COLUMNS[table]}
    for early, late in _IN_ORDER:
        if {early, late} <= names:
            # The issuer, or a commit's author, wrote these times: their clock is wrong then, not our reading.
            pair = {"column_A": late, "column_B": early, "or_equal": True, "ignore_row_if": "either_value_is_missing"}
            make = _of(table, late, WARNING)
            yield make(f"is not before {early}", "ExpectColumnPairValuesAToBeGreaterThanB", pair)
    if sighting := SIGHTING.get(table):
        make = _of(table, None, CRITICAL)
        arguments = {"column_list": list(sighting), "ignore_row_if": "any_value_is_missing"}
        yield make(f"has each {', '.join(sighting)} once", "ExpectCompoundColumnsToBeUnique", arguments)


def _gaps() -> Iterator[Check]:
    make = _of("gaps", "field", WARNING, when=("scope", GapScope.FIELD.value))
    yield make("names the field that is unknown", "ExpectColumnValuesToNotBeNull", {"column": "field"})


def _accounts() -> Iterator[Check]:
    """What must add up between the rows and the readings."""
    make = _of("readings", "target", CRITICAL, batch="accounts")
    yield make("has the target of every row", "ExpectColumnValuesToNotBeNull", {"column": "told_rows"})
    for name in ("rows", "gaps"):
        make = _of("readings", name, CRITICAL, batch="accounts")
        yield make(f"is the number of {name} that the target has", *_equal(f"found_{name}", f"told_{name}"))
    make = _of("readings", "status", CRITICAL, batch="accounts", when=("status", ReadingStatus.READ.value))
    none = {"column": "hiding_gaps", "max_value": 0}
    yield make("is not `read` where a gap may hide a key", "ExpectColumnValuesToBeBetween", none)


def _readings(as_of: datetime, max_age: timedelta, min_coverage: float) -> Iterator[Check]:
    make = _of("readings", None, CRITICAL)
    yield make("has at least one row", "ExpectTableRowCountToBeBetween", {"min_value": 1})
    days = f"{max_age / timedelta(days=1):g} days"
    on: dict[str, Any] = {"column": "started_at", "min_value": as_of - max_age}
    make = _of("readings", "started_at", CRITICAL)
    yield make(f"of the newest is within {days} before as_of", "ExpectColumnMaxToBeBetween", {**on, "max_value": as_of})
    make = _of("readings", "started_at", WARNING)
    yield make(f"of every target is at most {days} before as_of", "ExpectColumnValuesToBeBetween", on)
    whole = {"column": "status", "value_set": [ReadingStatus.READ.value], "mostly": min_coverage}
    make = _of("readings", "status", WARNING)
    yield make(f"is `read` for at least {min_coverage:.0%} of the targets", "ExpectColumnValuesToBeInSet", whole)
