"""What rules say, a row at a time, as plainly as it can be written: what the engine over columns is measured against.

Shares nothing with the engine but the parsed rules.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from toolkit.conditions import All, Any_, Condition, Not, Sure, Test
from toolkit.policies import Rule
from toolkit.terms import Verdict


def rows_of(frame: pd.DataFrame) -> list[dict[str, object]]:
    """A subject's frame as plain dictionaries; unknown is None."""
    columns = {name: [_plain(value) for value in frame[name].tolist()] for name in frame}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: object) -> object:
    if isinstance(value, list | np.ndarray):
        return tuple(value)
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def verdict(rule: Rule, row: dict[str, object], as_of: datetime) -> Verdict:
    """The rule's verdict on one row."""
    if rule.require is None or not rule.is_effective(as_of):
        return Verdict.NOT_APPLICABLE
    applies = holds(rule.applies, row, as_of)
    if applies is False:
        return Verdict.NOT_APPLICABLE
    required = None if applies is None else holds(rule.require, row, as_of)
    return Verdict.INDETERMINATE if required is None else Verdict.PASS if required else rule.otherwise


def holds(condition: Condition, row: dict[str, object], as_of: datetime) -> bool | None:
    """True, False or None, as Kleene wrote it down."""
    if isinstance(condition, Not):
        inner = holds(condition.member, row, as_of)
        return None if inner is None else not inner
    if isinstance(condition, Sure):
        return holds(condition.member, row, as_of) is True
    if isinstance(condition, All | Any_):
        decisive, is_open = isinstance(condition, Any_), False
        for member in condition.members:
            told = holds(member, row, as_of)
            if told is decisive:
                return decisive
            is_open = is_open or told is None
        return None if is_open else not decisive
    return _test(condition, row[condition.field], as_of)


def _test(test: Test, value, as_of: datetime) -> bool | None:  # whatever the field holds
    op, wanted = test.op, test.value
    if op in ("known", "unknown"):
        return (value is None) is (op == "unknown")
    if value is None:
        return None
    if op == "within":
        outs = {f"not:{word}" for word in wanted}
        return True if set(wanted) & set(value) else False if "not:*" in value or outs <= set(value) else None
    return _OPS[op](value.casefold() if isinstance(value, str) else value, wanted, as_of)


_OPS = {
    "==": lambda value, wanted, _: value == wanted,
    "!=": lambda value, wanted, _: value != wanted,
    "<": lambda value, wanted, _: value < wanted,
    "<=": lambda value, wanted, _: value <= wanted,
    ">": lambda value, wanted, _: value > wanted,
    ">=": lambda value, wanted, _: value >= wanted,
    "in": lambda value, wanted, _: value in wanted,
    "not_in": lambda value, wanted, _: value not in wanted,
    "is_true": lambda value, _, __: bool(value),
    "is_false": lambda value, _, __: not value,
    "only": lambda value, wanted, _: {member.casefold() for member in value} <= set(wanted),
    "like": lambda value, wanted, _: any(
        fnmatchcase(text.casefold(), glob) for text in ([value] if isinstance(value, str) else value) for glob in wanted
    ),
    "contains": lambda value, wanted, _: any(member.casefold() in wanted for member in value),
    "is_empty": lambda value, _, __: not value,
    "before": lambda value, wanted, _: value < wanted,
    "after": lambda value, wanted, _: value >= wanted,
    "older_than_days": lambda value, wanted, as_of: value < as_of - timedelta(days=wanted),
    "within_days": lambda value, wanted, as_of: as_of <= value <= as_of + timedelta(days=wanted),
}
