"""Conditions asked of whole columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import translate
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.conditions._fields import ALWAYS_OPS, FIELDS, FLAG, NUMBER, SCOPES, TEXT, TEXTS, TIME
from toolkit.conditions._form import All, Condition, Not, Sure, Test, moment
from toolkit.errors import PolicyError

_FEW: Final = 6
"""So many comparisons with a column of codes are quicker than looking each code up."""

Flags = NDArray[np.bool_]
Bits = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A truth value a row: yes, no, or neither.

    Kept as bits: a rule over a million rows is then some hundred operations on 125 kB each. Bits behind the last row
    mean nothing.
    """

    yes_bits: Bits
    no_bits: Bits
    rows: int

    @property
    def yes(self) -> Flags:
        """Rows for which it is true."""
        return flags_of(self.yes_bits, self.rows)

    @property
    def no(self) -> Flags:
        """Rows for which it is false."""
        return flags_of(self.no_bits, self.rows)

    @property
    def unknown(self) -> Flags:
        """Rows that are neither."""
        return flags_of(self.unknown_bits, self.rows)

    @property
    def unknown_bits(self) -> Bits:
        """Rows that are neither, as bits."""
        unknown: Bits = ~(self.yes_bits | self.no_bits)
        if self.rows % 8:
            unknown[-1] &= 0xFF << 8 - self.rows % 8 & 0xFF
        return unknown


def flags_of(bits: Bits, rows: int) -> Flags:
    """Bits as one boolean a row."""
    return np.unpackbits(bits, count=rows).view(np.bool_)


class Columns:
    """A subject's frame, made ready to be asked many conditions: each test is evaluated once."""

    def __init__(self, subject: str, frame: pd.DataFrame, *, as_of: datetime) -> None:
        self.subject, self.frame, self.as_of = subject, frame, as_of
        self._answers: dict[Test | Sure, Answer] = {}
        self._codes: dict[str, tuple[NDArray[Any], list[Any]]] = {}
        self._known: dict[str, Bits] = {}

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
            return Answer(inner.no_bits, inner.yes_bits, len(self))
        if isinstance(condition, Sure):
            # All rules of a class ask for it.
            if condition not in self._answers:
                sure = self.answer(condition.member).yes_bits
                self._answers[condition] = Answer(sure, ~sure, len(self))
            return self._answers[condition]
        is_all = isinstance(condition, All)
        full, none = np.full(-(-len(self) // 8), 0xFF, np.uint8), np.zeros(-(-len(self) // 8), np.uint8)
        yes, no = (full, none) if is_all else (none, full)
        for member in condition.members:
            told = self.answer(member)
            if is_all:
                yes, no = yes & told.yes_bits, no | told.no_bits
            else:
                yes, no = yes | told.yes_bits, no & told.no_bits
        return Answer(yes, no, len(self))

    def missing(self, condition: Condition, rows: Bits | None = None) -> dict[str, Bits]:
        """For each field, the rows (of `rows`, as bits) in which its being unknown leaves the condition undecided."""
        found: dict[str, Bits] = {}
        unknown = self.answer(condition).unknown_bits
        self._gather(condition, unknown if rows is None else unknown & rows, found)
        return found

    def _gather(self, condition: Condition, rows: Bits, found: dict[str, Bits]) -> None:
        rows = rows & self.answer(condition).unknown_bits
        if isinstance(condition, Test):
            if rows.any():
                found[condition.field] = found[condition.field] | rows if condition.field in found else rows
            return
        for member in (condition.member,) if isinstance(condition, Not | Sure) else condition.members:
            self._gather(member, rows, found)

    def codes(self, field: str) -> tuple[NDArray[Any], list[Any]]:
        """A column as codes into its distinct values; -1 where unknown. Times are taken as days of UTC."""
        if field not in self._codes:
            codes, values = _CODED[FIELDS[self.subject][field]](self.frame[field])
            small = np.int8 if len(values) < 127 else np.int16 if len(values) < 32_767 else np.int32
            self._codes[field] = codes.astype(small, copy=False), values
        return self._codes[field]

    def known(self, field: str) -> Bits:
        """Rows in which the field is known, as bits."""
        if field not in self._known:
            self._known[field] = np.packbits(self.frame[field].notna().to_numpy(dtype=bool))
        return self._known[field]

    def _ask(self, test: Test) -> Answer:
        known = self.known(test.field)
        if test.op in ALWAYS_OPS:
            yes, no = (known, ~known) if test.op == "known" else (~known, known)
            return Answer(yes, no, len(self))
        kind = FIELDS[self.subject][test.field]
        if kind in _OF_VALUES:
            yes, no = _OF_VALUES[kind](self, test)
            return Answer(yes, no, len(self))
        true = np.packbits(_OF_ROWS[kind](self, test))
        return Answer(true & known, ~true & known, len(self))

    def _among(self, field: str, wanted: Callable[[Any], bool]) -> Bits:
        """Rows whose value is wanted; each distinct value is asked once."""
        codes, values = self.codes(field)
        # One more slot at the end, so that code -1 lands on it.
        is_wanted = np.array([*map(wanted, values), False])
        some = np.flatnonzero(is_wanted)
        if len(some) > _FEW:
            return np.packbits(is_wanted[codes])
        found = np.zeros(len(codes), bool)
        for code in some:
            found |= codes == codes.dtype.type(code)
        return np.packbits(found)

    def _ask_text(self, test: Test) -> tuple[Bits, Bits]:
        known = self.known(test.field)
        if test.op == "like":
            true = self._among(test.field, _globs(test.value))
            return true, ~true & known
        wanted = {test.value} if isinstance(test.value, str) else set(test.value)  # type: ignore[arg-type]
        true = self._among(test.field, lambda value: value.casefold() in wanted)
        return (~true & known, true) if test.op in ("!=", "not_in") else (true, ~true & known)

    def _ask_texts(self, test: Test) -> tuple[Bits, Bits]:
        if test.op == "is_empty":
            true = self._among(test.field, lambda value: not len(value))
            return true, ~true & self.known(test.field)
        wanted: set[Any] = set(test.value)  # type: ignore[arg-type]
        is_like = _globs(test.value)
        asked: dict[str, Callable[[Any], bool]] = {
            "contains": lambda value: not wanted.isdisjoint(map(str.casefold, value)),
            "only": lambda value: wanted.issuperset(map(str.casefold, value)),
            "like": lambda value: any(map(is_like, value)),
        }
        true = self._among(test.field, asked[test.op])
        return true, ~true & self.known(test.field)

    def _ask_scopes(self, test: Test) -> tuple[Bits, Bits]:
        words: set[Any] = set(test.value)  # type: ignore[arg-type]
        outs = {f"not:{word}" for word in words}
        yes = self._among(test.field, lambda told: not words.isdisjoint(told))
        out = self._among(test.field, lambda told: "not:*" in told or outs <= set(told))
        return yes, out & ~yes

    def _ask_number(self, test: Test) -> Flags:
        numbers = self.frame[test.field].to_numpy(dtype=np.float64, na_value=np.nan)
        return _COMPARE[test.op](numbers, test.value)

    def _ask_flag(self, test: Test) -> Flags:
        flags: Flags = self.frame[test.field].to_numpy(dtype=bool, na_value=False)
        return flags if test.op == "is_true" else ~flags

    def _ask_time(self, test: Test) -> Flags:
        times = self.frame[test.field].to_numpy(dtype="datetime64[us]")
        if isinstance(test.value, datetime):
            edge = _stamp(test.value)
            return times < edge if test.op == "before" else times >= edge
        now, span = _stamp(self.as_of), timedelta(days=float(test.value))  # type: ignore[arg-type]
        if test.op == "older_than_days":
            return times < now - np.timedelta64(span)
        return (times >= now) & (times <= now + np.timedelta64(span))


def _globs(patterns: Any) -> Callable[[str], bool]:
    """Whether a text is like one of some patterns with `*`, `?` and `[…]`, whatever its case."""
    matches = re.compile("|".join(map(translate, patterns))).match
    return lambda text: matches(text.casefold()) is not None


def _stamp(value: datetime) -> np.datetime64:
    return np.datetime64(value.astimezone(UTC).replace(tzinfo=None), "us")


def _coded_text(column: pd.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy(), [str(value) for value in column.cat.categories]
    codes, values = pd.factorize(column)
    return codes, [str(value) for value in values]


def _coded_plain(column: pd.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    codes, values = pd.factorize(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(column.dtype, pd.BooleanDtype):
        return codes, [bool(value) for value in values]
    return codes, [int(value) if value == int(value) else float(value) for value in values]


def _coded_day(column: pd.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    # The day is what rules are about, and it keeps the distinct values few.
    codes, days = pd.factorize(column.to_numpy(dtype="datetime64[us]").astype("datetime64[D]"))
    return codes, list(days.astype("datetime64[D]"))


def _coded_list(column: pd.Series[Any]) -> tuple[NDArray[Any], list[Any]]:
    lists = pa.array(column, from_pandas=True)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    # A separator that no name holds makes lists into texts, and texts are counted fast.
    joined = pc.binary_join(lists.cast(pa.list_(pa.string())), "\x1f").dictionary_encode()
    codes = joined.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes, [tuple(text.split("\x1f")) if text else () for text in joined.dictionary.to_pylist()]


_CODED: Final[dict[str, Callable[[Any], tuple[NDArray[Any], list[Any]]]]] = {
    TEXT: _coded_text,
    NUMBER: _coded_plain,
    FLAG: _coded_plain,
    TIME: _coded_day,
    TEXTS: _coded_list,
    SCOPES: _coded_list,
}
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
_OF_VALUES: Final[dict[str, Callable[[Columns, Test], tuple[Bits, Bits]]]] = {
    TEXT: Columns._ask_text,
    TEXTS: Columns._ask_texts,
    SCOPES: Columns._ask_scopes,
}
_OF_ROWS: Final[dict[str, Callable[[Columns, Test], Flags]]] = {
    NUMBER: Columns._ask_number,
    FLAG: Columns._ask_flag,
    TIME: Columns._ask_time,
}
_DTYPES: Final[dict[str, Any]] = {
    TEXT: pd.StringDtype("pyarrow"),
    NUMBER: pd.Float64Dtype(),
    FLAG: pd.BooleanDtype(),
    TIME: pd.DatetimeTZDtype("us", "UTC"),
    TEXTS: pd.ArrowDtype(pa.list_(pa.string())),
    SCOPES: pd.ArrowDtype(pa.list_(pa.string())),
}


def frame_of(
    subject: str, rows: Sequence[Mapping[str, object]], *, where: str | Sequence[str] = "example"
) -> pd.DataFrame:
    """Plain rows as a subject's frame; a field that a row does not name is unknown.

    `where` is told in errors: of all rows, or of each.

    Raises:
        PolicyError: a row names a field that the subject does not have, or gives it a value of another type.
    """
    known, places = FIELDS[subject], [where] * len(rows) if isinstance(where, str) else where
    for row, place in zip(rows, places, strict=True):
        for field in row.keys() - known.keys():
            raise PolicyError(f"{place}: a {subject} has no field {field!r}", advice=f"use one of: {', '.join(known)}")
    named = {field for row in rows for field in row}
    columns = {}
    for field, kind in known.items():
        if field not in named:
            columns[field] = _unknown(kind, len(rows)).copy()
            continue
        values = [row.get(field) for row in rows]
        if kind == TIME:
            values = [moment(value) if isinstance(value, date) else value for value in values]
        try:
            columns[field] = pd.array(values, dtype=_DTYPES[kind])
        except (TypeError, ValueError, pa.ArrowException) as wrong:
            raise PolicyError(f"{_first_wrong(field, kind, rows, places)}: {field} takes {kind}") from wrong
    return pd.DataFrame(columns, copy=False)


@lru_cache(maxsize=64)
def _unknown(kind: str, rows: int) -> Any:
    return pd.array([None] * rows, dtype=_DTYPES[kind])


def _first_wrong(field: str, kind: str, rows: Sequence[Mapping[str, object]], places: Sequence[str]) -> str:
    """Which row has the value that its column cannot take."""
    for row, place in zip(rows, places, strict=True):
        value = row.get(field)
        try:
            pd.array([moment(value) if kind == TIME and isinstance(value, date) else value], dtype=_DTYPES[kind])
        except (TypeError, ValueError, pa.ArrowException):
            return place
    return places[0] if places else "example"
