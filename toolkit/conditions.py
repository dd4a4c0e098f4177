"""The condition language of policy packs and risk weaknesses: a closed set, in three-valued logic, by column.

A condition is a TOML table: `{field="size_bits", op=">=", value=2048}`, `{all=[…]}`, `{any=[…]}`, `{not={…}}`; a list
means all of its members. An unknown value (NA) makes a test neither true nor false, and Kleene's strong logic carries
that upward, so what is unknown never passes and never fails by accident. Text compares without regard to case.

Refuses to: evaluate code, guess a type, or take a field or an operator it does not know.

>>> rule = parse({"field": "size_bits", "op": ">=", "value": 2048}, subject="key")
>>> frame = frame_of("key", [{"size_bits": 1024}, {"size_bits": 2048}, {}])
>>> answer = Columns("key", frame, as_of=datetime(2026, 1, 1, tzinfo=UTC)).answer(rule)
>>> [bool(v) for v in answer.yes], [bool(v) for v in answer.no]
([False, True, False], [True, False, False])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.errors import PolicyError

Flags = NDArray[np.bool_]
Scalar = str | int | float | datetime | tuple[Any, ...] | None

_TEXT, _NUMBER, _FLAG, _TIME, _TEXTS = "text", "number", "flag", "time", "texts"


def _fields(**kinds: str) -> dict[str, str]:
    return {name: kind for kind, names in kinds.items() for name in names.split()}


FIELDS: Final[dict[str, dict[str, str]]] = {
    "key": _fields(
        text="subject_uid locator label key_type algorithm parameter quantum state protection origin purpose owner"
        " application environment data_class account region manager",
        number="size_bits security_strength_bits nist_quantum_category places copies keepers certificates"
        " rotation_period_days protects",
        flag="holds_secret protected extractable sensitive never_extractable always_sensitive needs_login shares_id"
        " has_rotation is_orphan is_exposed is_in_code is_in_head is_ca_key is_trust_anchor",
        time="in_use_since expires_at certified_until last_rotated_at last_used_at next_rotation_at destruction_at",
        texts="functions collectors aliases replicas tags access_flags",
    ),
    "certificate": _fields(
        text="subject_uid key_uid locator label subject issuer serial_number signature_algorithm signature_hash"
        " key_algorithm key_parameter key_quantum account region native_state validation renewal_state owner"
        " application environment data_class",
        number="serves validity_days places key_size_bits key_security_strength_bits",
        flag="is_ca is_self_signed is_trust_anchor is_orphan holds_secret has_renewal has_transparency",
        time="not_before not_after revoked_at",
        texts="names key_usage extended_key_usage tags",
    ),
    "token": _fields(
        text="subject_uid locator label manufacturer model serial_number firmware_version module",
        number="sessions max_sessions keys certificates",
        flag="is_hardware is_fips needs_login is_write_protected",
        texts="flags mechanisms",
    ),
    "credential": _fields(
        text="subject_uid locator kind label holder key_uid encrypted_by account region manager native_state owner"
        " application environment data_class last_used_service",
        number="versions rotation_period_days",
        flag="is_active has_mfa has_rotation",
        time="created_at last_rotated_at last_used_at next_rotation_at expires_at destruction_at",
        texts="tags replicas access_flags",
    ),
    "secret": _fields(
        text="subject_uid key_uid locator rule title severity path",
        number="occurrences confidence",
        flag="is_current",
        time="first_seen_at last_seen_at",
    ),
}
"""What a condition may ask of each subject: field name to kind; the columns of `toolkit.correlation.subjects`."""

# Operators by kind of field; the value each takes.
_OPS: Final[dict[str, dict[str, str]]] = {
    _TEXT: {"==": "text", "!=": "text", "in": "texts", "not_in": "texts"},
    _NUMBER: {**dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "number"), "in": "numbers", "not_in": "numbers"},
    _FLAG: {"is_true": "nothing", "is_false": "nothing"},
    _TIME: {"older_than_days": "number", "within_days": "number", "before": "time", "after": "time"},
    _TEXTS: {"contains": "texts"},
}
_ALWAYS: Final = {"known": "nothing", "unknown": "nothing"}


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


Condition = Test | All | Any_ | Not
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
    ops = {**_OPS[known[field]], **_ALWAYS}
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
        for member in (condition.member,) if isinstance(condition, Not) else condition.members:
            yield from leaves(member)


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
        if test.op in _ALWAYS:
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
        lists = pa.array(self.frame[test.field], from_pandas=True)
        lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
        known = lists.is_valid().to_numpy(zero_copy_only=False)
        if not known.any():
            return _decided(known, known)
        is_among = pc.is_in(pc.utf8_lower(lists.flatten().cast(pa.string())), pa.array(test.value, pa.string()))
        parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
        has = np.zeros(len(self), bool)
        has[parents[is_among.to_numpy(zero_copy_only=False)]] = True
        return _decided(has, known)


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
    _TEXT: Columns._ask_text,
    _NUMBER: Columns._ask_number,
    _FLAG: Columns._ask_flag,
    _TIME: Columns._ask_time,
    _TEXTS: Columns._ask_texts,
}
_DTYPES: Final[dict[str, Any]] = {
    _TEXT: pd.StringDtype("pyarrow"),
    _NUMBER: pd.Float64Dtype(),
    _FLAG: pd.BooleanDtype(),
    _TIME: pd.DatetimeTZDtype("us", "UTC"),
    _TEXTS: pd.ArrowDtype(pa.list_(pa.string())),
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
        if kind == _TIME:
            values = [moment(value) if isinstance(value, date) else value for value in values]
        try:
            columns[field] = pd.Series(pd.array(values, dtype=_DTYPES[kind]))
        except (TypeError, ValueError, pa.ArrowException) as wrong:
            raise PolicyError(f"{where}: {field} takes {kind}") from wrong
    return pd.DataFrame(columns)
