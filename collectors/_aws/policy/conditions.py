"""Whether a condition holds: yes, no, or it cannot be told (None), in Kleene's three-valued logic.

A context gives a key's values: one or more, or none (`()`) where the request is known not to have the key. A key that
the context does not name is unknown, and so is every answer that depends on it. An operator nobody knows, a value that
is not of its operator's type, and a case that AWS does not document give None too.

Source: IAM user guide, "IAM JSON policy elements: Condition operators" (a missing key fails, but for negated
operators, …IfExists and Null), "Conditions with multiple context keys or values" (or; nor for negated ones), "Single-
valued vs. multivalued context keys" (ForAllValues is true of no values, ForAnyValue false), "IAM policy elements:
Variables and tags".

>>> test = Condition("Bool", "aws:MultiFactorAuthPresent", ("true",))
>>> holds(test, {"aws:multifactorauthpresent": ("true",)}), holds(test, {"aws:multifactorauthpresent": ()})
(True, False)
>>> print(holds(test, {}))
None
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from collectors._aws.policy.grammar import Condition
from collectors._aws.policy.patterns import literal, matcher, plain

Known = bool | None
"""Yes, no, or it cannot be told."""
Context = Mapping[str, tuple[str, ...]]
"""Key names in lower case, for names of keys are not case-sensitive."""

_Test = Callable[[str, str], Known]
_SETS: Final = ("ForAllValues", "ForAnyValue")
_VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")


def any_of(answers: Iterable[Known]) -> Known:
    """Or: yes if one is, no if all are not."""
    found: Known = False
    for answer in answers:
        if answer is True:
            return True
        found = None if answer is None else found
    return found


def all_of(answers: Iterable[Known]) -> Known:
    """And: no if one is not, yes if all are."""
    found: Known = True
    for answer in answers:
        if answer is False:
            return False
        found = None if answer is None else found
    return found


def negated(answer: Known) -> Known:
    """Not; what cannot be told stays so."""
    return None if answer is None else not answer


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator's name says. `base` is as in the table of operators, without "Not"."""

    base: str
    is_negated: bool
    quantifier: str | None
    is_optional: bool


@lru_cache(maxsize=1024)
def operator(name: str) -> Operator | None:
    """The operator of that name; None if nobody knows it."""
    quantifier, colon, rest = name.partition(":")
    if not colon:
        quantifier, rest = "", name
    elif quantifier not in _SETS:
        return None
    is_optional = rest.endswith("IfExists")
    base = rest.removesuffix("IfExists")
    if base == "Null":
        # Neither set words nor IfExists are defined for it.
        return None if quantifier or is_optional else Operator("Null", False, None, False)
    if base in _NEGATED:
        return Operator(_NEGATED[base], True, quantifier or None, is_optional)
    return Operator(base, False, quantifier or None, is_optional) if base in _TESTS else None


def holds(condition: Condition, context: Context, *, has_variables: bool = False) -> Known:
    """Whether a condition holds in a context."""
    how = operator(condition.operator)
    values = context.get(condition.key.lower())
    if how is None:
        return None
    if how.base == "Null":
        return _null(condition, values)
    if values is None:
        # Nothing that the key could hold would make these false.
        return None
    if not values:
        return _missing(how)
    wanted: list[str | None] = list(condition.values)
    if has_variables:
        wanted = [resolved(value, context) for value in condition.values]
    answers = [_one(how, value, wanted) for value in values]
    if how.quantifier == "ForAllValues":
        return all_of(answers)
    if how.quantifier == "ForAnyValue":
        return any_of(answers)
    # One operator for one value: what AWS does with several is not documented, so only agreement counts.
    return answers[0] if len(set(answers)) == 1 else None


def _null(condition: Condition, values: tuple[str, ...] | None) -> Known:
    if values is None:
        return None
    said = {value.lower() for value in condition.values}
    if not said or said - {"true", "false"}:
        return None
    return any_of((value == "true") == (not values) for value in said)


def _missing(how: Operator) -> Known:
    if how.quantifier == "ForAllValues":
        return True
    if how.quantifier == "ForAnyValue":
        # Documented as false; with …IfExists two pages say two things.
        return None if how.is_optional else False
    return how.is_optional or how.is_negated


def _one(how: Operator, value: str, wanted: list[str | None]) -> Known:
    test = _TESTS[how.base]
    found = any_of(None if word is None else test(value, word) for word in wanted)
    return negated(found) if how.is_negated else found


def resolved(text: str, context: Context) -> str | None:
    """A text with its policy variables filled in, their wildcards literal; None if one of them is unknown."""
    if "${" not in text:
        return text
    unknown = False

    def fill(found: re.Match[str]) -> str:
        nonlocal unknown
        name, comma, default = found[1].partition(",")
        if name in {"*", "?", "$"}:
            return literal(name)
        values = context.get(name.strip().lower())
        if values is not None and len(values) == 1:
            return literal(values[0])
        if values == () and comma:
            return literal(default.strip().strip("'"))
        # A variable without a value makes the statement not apply, says the guide; of Deny it says so too, but for
        # negated operators nothing, so this cannot be told.
        unknown = True
        return ""

    told = _VARIABLE.sub(fill, text)
    return None if unknown else told


def _arn(value: str, pattern: str) -> Known:
    if pattern == "*":
        return True
    parts = pattern.split(":", 5)
    if len(parts) < 6:
        # Each of the six parts is checked by itself; what fewer mean is documented for a last star only.
        return matcher(pattern, ignore_case=False)(value) if pattern.endswith("*") else value == plain(pattern)
    given = value.split(":", 5)
    if len(given) < 6:
        return False
    return all(matcher(part, ignore_case=False)(text) for part, text in zip(parts, given, strict=True))


def _number(word: str) -> Decimal | None:
    try:
        number = Decimal(word)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _moment(word: str) -> datetime | None:
    try:
        if re.fullmatch(r"\d+(\.\d+)?", word) and len(word) > 4:
            return datetime.fromtimestamp(float(word), UTC)
        moment = datetime.fromisoformat(word)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _binary(word: str) -> bytes | None:
    try:
        return base64.b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return None


def _address(value: str, network: str) -> Known:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return None


def _bool(value: str, wanted: str) -> Known:
    value, wanted = value.lower(), wanted.lower()
    if {value, wanted} - {"true", "false"}:
        return None
    return value == wanted


def _compared(read: Callable[[str], object], compare: Callable[[object, object], bool]) -> _Test:
    def test(value: str, wanted: str) -> Known:
        one, other = read(value), read(plain(wanted))
        return None if one is None or other is None else compare(one, other)

    return test


def _orders(prefix: str, read: Callable[[str], object]) -> dict[str, _Test]:
    return {
        f"{prefix}Equals": _compared(read, lambda one, other: one == other),
        f"{prefix}LessThan": _compared(read, lambda one, other: one < other),  # type: ignore[operator]  # one type each
        f"{prefix}LessThanEquals": _compared(read, lambda one, other: one <= other),  # type: ignore[operator]  # as above
        f"{prefix}GreaterThan": _compared(read, lambda one, other: one > other),  # type: ignore[operator]  # as above
        f"{prefix}GreaterThanEquals": _compared(read, lambda one, other: one >= other),  # type: ignore[operator]  # as above
    }


_TESTS: Final[dict[str, _Test]] = {
    "StringEquals": lambda value, wanted: value == plain(wanted),
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == plain(wanted).lower(),
    "StringLike": lambda value, wanted: matcher(wanted, ignore_case=False)(value),
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _bool,
    "BinaryEquals": _compared(_binary, lambda one, other: one == other),
    "IpAddress": _address,
    **_orders("Numeric", _number),
    **_orders("Date", _moment),
}
_NEGATED: Final = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
