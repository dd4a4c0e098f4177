"""Conditions as values, and how a TOML table becomes one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

from toolkit.conditions._fields import ALWAYS_OPS, FIELDS, OPS
from toolkit.errors import PolicyError

Scalar = str | int | float | datetime | tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Test:
    """One field against one value. `known` and `unknown` alone are decided whatever the field holds."""

    field: str
    op: str
    value: Scalar = None


@dataclass(frozen=True, slots=True)
class All:
    """True if every member is; true of nothing."""

    members: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801  # `Any` is taken by typing
    """True if a member is; false of nothing."""

    members: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """True if the member is false, unknown if it is unknown."""

    member: Condition


@dataclass(frozen=True, slots=True)
class Sure:
    """True if the member is true, else false: where it is unknown, somebody else says so (`toolkit.house`).

    No TOML says it: a rule that asked in this way would take "unknown" for "does not apply".
    """

    member: Condition


Condition = Test | All | Any_ | Not | Sure
ALWAYS: Final = All()


def parse(table: object, *, subject: str, where: str = "condition") -> Condition:
    """The condition that a TOML table or list of tables says; `where` names pack and rule in errors.

    Raises:
        PolicyError: an unknown form, field or operator, or a value of another type than the field has.
    """
    if subject not in FIELDS:
        raise PolicyError(f"{where}: there is no subject {subject!r}", advice=f"use one of: {', '.join(FIELDS)}")
    if isinstance(table, list):
        return All(tuple(parse(member, subject=subject, where=where) for member in table))
    if not isinstance(table, Mapping):
        raise PolicyError(f"{where}: a condition is a table, not {type(table).__name__}")
    if len(table) == 1:
        (form, inner), *_ = table.items()
        if form in ("all", "any") and isinstance(inner, list):
            members = tuple(parse(member, subject=subject, where=where) for member in inner)
            return All(members) if form == "all" else Any_(members)
        if form == "not":
            return Not(parse(inner, subject=subject, where=where))
    return _test(table, subject, where)


def _test(table: Mapping[str, object], subject: str, where: str) -> Test:
    if not {"field", "op"} <= set(table) <= {"field", "op", "value"}:
        raise PolicyError(
            f"{where}: not a condition: {', '.join(sorted(table)) or 'an empty table'}",
            advice="write {field=…, op=…, value=…}, {all=[…]}, {any=[…]} or {not={…}}",
        )
    field, op = table["field"], table["op"]
    known = FIELDS[subject]
    if not isinstance(field, str) or field not in known:
        raise PolicyError(f"{where}: a {subject} has no field {field!r}", advice=f"use one of: {', '.join(known)}")
    ops = {**OPS[known[field]], **ALWAYS_OPS}
    if not isinstance(op, str) or op not in ops:
        raise PolicyError(f"{where}: {field} has no operator {op!r}", advice=f"use one of: {', '.join(ops)}")
    return Test(field, op, _value(table.get("value"), ops[op], f"{where}: {field} {op}"))


def _value(value: object, wanted: str, where: str) -> Scalar:
    if wanted == "nothing" and value is None:
        return None
    if wanted == "text" and isinstance(value, str):
        return value.casefold()
    if wanted == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if wanted == "time" and isinstance(value, date):
        return moment(value)
    if wanted in ("texts", "numbers") and isinstance(value, list) and value:
        return tuple(_value(member, wanted[:-1], where) for member in value)
    raise PolicyError(f"{where} takes {wanted}, not {value!r}")


def moment(value: date) -> datetime:
    """A date, or a time, as an aware UTC time; a date is its first moment."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.combine(value, time(), UTC)


def fields_of(condition: Condition) -> tuple[str, ...]:
    """The fields a condition asks for, in order, each once."""
    return tuple(dict.fromkeys(test.field for test in leaves(condition)))


def leaves(condition: Condition) -> Iterator[Test]:
    """Every test in a condition."""
    if isinstance(condition, Test):
        yield condition
    else:
        for member in (condition.member,) if isinstance(condition, Not | Sure) else condition.members:
            yield from leaves(member)
