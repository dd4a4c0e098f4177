"""Conditions asked of whole columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.conditions._fields import ALWAYS_OPS, FIELDS, FLAG, NUMBER, SCOPES, TEXT, TEXTS, TIME
from toolkit.conditions._form import All, Condition, Not, Scalar, Test, moment
from toolkit.errors import PolicyError

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A truth value a row: `yes`, `no`, or neither."""

    yes: Flags
    no: Flags

    @property
    def unknown(self) -> Flags:
        """Rows that are neither."""
        unknown: Flags = ~(self.yes | self.no)
        return unknown


class Columns:
    """A subject's frame, made ready to be asked many conditions: each test is evaluated once."""

    def __init__(self, subject: str, frame: pd.DataFrame, *, as_of: datetime) -> None:
        self.subject, self.frame, self.as_of = subject, frame, as_of
        self._answers: dict[Test, Answer] = {}
        self._codes: dict[str, tuple[NDArray[Any], pd.Index[Any]]] = {}

    def __len__(self) -> int:
        return len(self.frame)

    def answer(self, condition: Condition) -> Answer:
        """The condition's truth value for each row (Kleene's strong three-valued logic)."""
        if isinstance(condition, Test):
            if condition not in self._answers:
                self._answers[condition] = self._ask(condition)
            return self._answers[condition]
        if isinstance(condition, Not):
            inner = self.answer(condition.member)
            return Answer(inner.no, inner.yes)
        is_all = isinstance(condition, All)
        yes, no = np.full(len(self), is_all), np.full(len(self), not is_all)
        for member in condition.members:
            told = self.answer(member)
            yes, no = (yes & told.yes, no | told.no) if is_all else (yes | told.yes, no & told.no)
        return Answer(yes, no)

    def missing(self, condition: Condition) -> dict[str, Flags]:
        """For each field, the rows in which its being unknown leaves the condition undecided."""
        found: dict[str, Flags] = {}
        self._gather(condition, self.answer(condition).unknown, found)
        return found

    def _gather(self, condition: Condition, rows: Flags, found: dict[str, Flags]) -> None:
        rows = rows & self.answer(condition).unknown
        if isinstance(condition, Test):
            if rows.any():
                found[condition.field] = found.get(condition.field, False) | rows
            return
        for member in (condition.member,) if isinstance(condition, Not) else condition.members:
            self._gather(member, rows, found)

    def codes(self, field: str) -> tuple[NDArray[Any], pd.Index[Any]]:
        """A text column as codes into its distinct values; -1 where unknown."""
        if field not in self._codes:
            column = self.frame[field]
            if isinstance(column.dtype, pd.CategoricalDtype):
                self._codes[field] = column.cat.codes.to_numpy(), column.cat.categories
            else:
                codes, values = pd.factorize(column)
                self._codes[field] = codes.astype(np.int32), pd.Index(values)
        return self._codes[field]

    def _ask(self, test: Test) -> Answer:
        if test.op in ALWAYS_OPS:
            known = self.frame[test.field].notna().to_numpy(dtype=bool)
            return Answer(known, ~known) if test.op == "known" else Answer(~known, known)
        return _ASK[FIELDS[self.subject][test.field]](self, test)

    def _ask_text(self, test: Test) -> Answer:
        codes, values = self.codes(test.field)
        wanted = {test.value} if isinstance(test.value, str) else set(test.value)  # type: ignore[arg-type]
        # One more slot at the end, so that code -1 lands on it.
        is_among = np.array([str(value).casefold() in wanted for value in values] + [False])
        if test.op in ("!=", "not_in"):
            is_among = ~is_among
        return _decided(is_among[codes], codes >= 0)

    def _ask_number(self, test: Test) -> Answer:
        column = self.frame[test.field]
        known = column.notna().to_numpy(dtype=bool)
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _decided(_COMPARE[test.op](numbers, test.value), known)

    def _ask_flag(self, test: Test) -> Answer:
        column = self.frame[test.field]
        known = column.notna().to_numpy(dtype=bool)
        flags = column.to_numpy(dtype=bool, na_value=False)
        return _decided(flags if test.op == "is_true" else ~flags, known)

    def _ask_time(self, test: Test) -> Answer:
        column = self.frame[test.field]
        known = column.notna().to_numpy(dtype=bool)
        times = column.to_numpy(dtype="datetime64[us]")
        if isinstance(test.value, datetime):
            edge = _stamp(test.value)
            return _decided(times < edge if test.op == "before" else times >= edge, known)
        now, span = _stamp(self.as_of), timedelta(days=float(test.value))  # type: ignore[arg-type]
        if test.op == "older_than_days":
            return _decided(times < now - np.timedelta64(span), known)
        return _decided((times >= now) & (times <= now + np.timedelta64(span)), known)

    def _ask_texts(self, test: Test) -> Answer:
        lists = self._lists(test.field)
        known = lists.is_valid().to_numpy(zero_copy_only=False)
        if test.op == "is_empty":
            return _decided(pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False) == 0, known)
        return _decided(self._has(lists, test.value), known)

    def _ask_scopes(self, test: Test) -> Answer:
        lists, words = self._lists(test.field), test.value
        assert isinstance(words, tuple)
        yes, out = self._has(lists, words), self._has(lists, (f"not:{words[0]}", "not:*"))
        for word in words[1:]:
            out = out & self._has(lists, (f"not:{word}", "not:*"))
        return Answer(yes, out & ~yes)

    def _lists(self, field: str) -> pa.ListArray:
        lists = pa.array(self.frame[field], from_pandas=True)
        return lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists

    def _has(self, lists: pa.ListArray, wanted: Scalar) -> Flags:
        """Rows whose list has one of the texts."""
        has = np.zeros(len(self), bool)
        if lists.null_count < len(lists):
            is_among = pc.is_in(pc.utf8_lower(lists.flatten().cast(pa.string())), pa.array(wanted, pa.string()))
            parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
            has[parents[is_among.to_numpy(zero_copy_only=False)]] = True
        return has


def _decided(true: Flags, known: Flags) -> Answer:
    return Answer(true & known, ~true & known)


def _stamp(value: datetime) -> np.datetime64:
    return np.datetime64(value.astimezone(UTC).replace(tzinfo=None), "us")


_COMPARE: Final[dict[str, Callable[[Any, Any], Flags]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "in": lambda numbers, wanted: np.isin(numbers, wanted),
    "not_in": lambda numbers, wanted: ~np.isin(numbers, wanted),
}
_ASK: Final[dict[str, Callable[[Columns, Test], Answer]]] = {
    TEXT: Columns._ask_text,
    NUMBER: Columns._ask_number,
    FLAG: Columns._ask_flag,
    TIME: Columns._ask_time,
    TEXTS: Columns._ask_texts,
    SCOPES: Columns._ask_scopes,
}
_DTYPES: Final[dict[str, Any]] = {
    TEXT: pd.StringDtype("pyarrow"),
    NUMBER: pd.Float64Dtype(),
    FLAG: pd.BooleanDtype(),
    TIME: pd.DatetimeTZDtype("us", "UTC"),
    TEXTS: pd.ArrowDtype(pa.list_(pa.string())),
    SCOPES: pd.ArrowDtype(pa.list_(pa.string())),
}


def frame_of(subject: str, rows: Sequence[Mapping[str, object]], *, where: str = "example") -> pd.DataFrame:
    """Plain rows as a subject's frame; a field that a row does not name is unknown.

    Raises:
        PolicyError: a row names a field that the subject does not have, or gives it a value of another type.
    """
    known = FIELDS[subject]
    for row in rows:
        for field in row.keys() - known.keys():
            raise PolicyError(f"{where}: a {subject} has no field {field!r}", advice=f"use one of: {', '.join(known)}")
    columns = {}
    for field, kind in known.items():
        values = [row.get(field) for row in rows]
        if kind == TIME:
            values = [moment(value) if isinstance(value, date) else value for value in values]
        try:
            columns[field] = pd.Series(pd.array(values, dtype=_DTYPES[kind]))
        except (TypeError, ValueError, pa.ArrowException) as wrong:
            raise PolicyError(f"{where}: {field} takes {kind}") from wrong
    return pd.DataFrame(columns)
