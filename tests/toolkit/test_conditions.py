"""Conditions: three-valued logic over columns, and nothing outside the closed set."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import correlation
from toolkit.conditions import FIELDS, All, Any_, Columns, Not, Sure, Test, fields_of, frame_of, moment, parse
from toolkit.errors import PolicyError
from toolkit.tables import Builder, Inventory

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
VALUES = {
    "size_bits": [1024, 2048, 4096],
    "algorithm": ["RSA", "EC", "rsa"],
    "holds_secret": [True, False],
    "in_use_since": [date(2020, 1, 1), date(2026, 5, 31), date(2026, 6, 20)],
    "functions": [[], ["sign"], ["encrypt", "Decrypt"]],
}
OPS = {
    "size_bits": [(op, 2048) for op in ("==", "!=", "<", "<=", ">", ">=")]
    + [("in", (1024, 4096)), ("not_in", (2048,))],
    "algorithm": [("==", "rsa"), ("!=", "rsa"), ("in", ("ec", "rsa")), ("not_in", ("ec",)), ("like", ("r*", "?x"))],
    "holds_secret": [("is_true", None), ("is_false", None)],
    "in_use_since": [
        ("older_than_days", 0),
        ("within_days", 30),
        ("before", moment(date(2026, 1, 1))),
        ("after", AS_OF),
    ],
    "functions": [("contains", ("sign", "decrypt")), ("only", ("encrypt", "decrypt")), ("like", ("*crypt",))],
}
Test.__test__ = False  # a name that pytest would collect

tests = st.sampled_from([Test(field, op, value) for field, ops in OPS.items() for op, value in ops])
conditions = st.recursive(
    tests,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(All, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Any_, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
rows = st.fixed_dictionaries({field: st.none() | st.sampled_from(values) for field, values in VALUES.items()})
frames = st.lists(rows, min_size=1, max_size=8)


def truth(condition, data, as_of=AS_OF):
    """The condition over frames, as True, False or None a row."""
    answer = Columns("key", frame_of("key", data), as_of=as_of).answer(condition)
    assert not (answer.yes & answer.no).any()
    return [True if yes else False if no else None for yes, no in zip(answer.yes, answer.no, strict=True)]


def naive(condition, row):
    """The same, a row at a time, written down as Kleene did."""
    if isinstance(condition, Not):
        inner = naive(condition.member, row)
        return None if inner is None else not inner
    if isinstance(condition, All | Any_):
        decisive = isinstance(condition, Any_)
        told = [naive(member, row) for member in condition.members]
        return decisive if decisive in told else None if None in told else not decisive
    value = row[condition.field]
    return None if value is None else naive_test(condition.op, value, condition.value)


def naive_test(op, value, wanted):
    """One operator on one known value."""
    fold = value.casefold() if isinstance(value, str) else value
    members = value if isinstance(value, list) else [value]
    since = AS_OF - moment(value) if isinstance(value, date) else None
    return {
        "==": lambda: fold == wanted,
        "!=": lambda: fold != wanted,
        "<": lambda: value < wanted,
        "<=": lambda: value <= wanted,
        ">": lambda: value > wanted,
        ">=": lambda: value >= wanted,
        "in": lambda: fold in wanted,
        "not_in": lambda: fold not in wanted,
        "is_true": lambda: value,
        "is_false": lambda: not value,
        "older_than_days": lambda: since > timedelta(days=wanted),
        "within_days": lambda: timedelta() <= -since <= timedelta(days=wanted),
        "before": lambda: moment(value) < wanted,
        "after": lambda: moment(value) >= wanted,
        "contains": lambda: any(member.casefold() in wanted for member in value),
        "only": lambda: all(member.casefold() in wanted for member in value),
        "like": lambda: any(fnmatchcase(one.casefold(), glob) for one in members for glob in wanted),
    }[op]()


@settings(max_examples=50, deadline=None)
@given(conditions, frames)
def test_columns_and_rows_agree(condition, data):
    """The vectorised evaluator says what a naive one says of each row."""
    assert [naive(condition, row) for row in data] == truth(condition, data)


@settings(max_examples=25, deadline=None)
@given(conditions, conditions, frames)
def test_de_morgan_holds(left, right, data):
    """not (a and b) is (not a) or (not b), unknowns included."""
    assert truth(Not(All((left, right))), data) == truth(Any_((Not(left), Not(right))), data)


@settings(max_examples=50, deadline=None)
@given(conditions, rows, st.sampled_from(list(VALUES)), st.data())
def test_learning_a_value_never_flips_a_decided_answer(condition, row, field, data):
    """Kleene's logic is monotone in information."""
    (before,) = truth(condition, [{**row, field: None}])
    (after,) = truth(condition, [{**row, field: data.draw(st.sampled_from(VALUES[field]))}])
    assert before is None or before == after


@settings(max_examples=15, deadline=None)
@given(conditions, frames, st.randoms())
def test_the_order_of_rows_changes_nothing(condition, data, random):
    """A permutation of the rows permutes the answers."""
    order = list(range(len(data)))
    random.shuffle(order)
    told = truth(condition, data)
    assert [told[i] for i in order] == truth(condition, [data[i] for i in order])


@settings(max_examples=25, deadline=None)
@given(conditions, frames)
def test_what_is_undecided_names_unknown_fields(condition, data):
    """Exactly the undecided rows have missing fields, and these are unknown there."""
    columns = Columns("key", frame_of("key", data), as_of=AS_OF)
    missing = columns.missing(condition)
    named = np.zeros(len(data), bool)
    for field, bits in missing.items():
        flags = np.unpackbits(bits, count=len(data)).astype(bool)
        assert field in fields_of(condition)
        assert all(data[i][field] is None for i in np.flatnonzero(flags))
        named |= flags
    assert columns.answer(condition).unknown.tolist() == named.tolist()


def test_known_and_unknown_are_always_decided():
    """They ask about the inventory, not about the key."""
    data = [{"owner": "ops"}, {}]
    assert truth(parse({"field": "owner", "op": "known"}, subject="key"), data) == [True, False]
    assert truth(parse({"field": "owner", "op": "unknown"}, subject="key"), data) == [False, True]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"field": "sizebits", "op": "==", "value": 1}, "no field 'sizebits'"),
        ({"field": "size_bits", "op": "=~", "value": 1}, "no operator '=~'"),
        ({"field": "size_bits", "op": ">=", "value": "2048"}, "takes number"),
        ({"field": "size_bits", "op": ">=", "value": True}, "takes number"),
        ({"field": "algorithm", "op": "in", "value": "RSA"}, "takes texts"),
        ({"field": "algorithm", "op": "in", "value": []}, "takes texts"),
        ({"field": "holds_secret", "op": "is_true", "value": True}, "takes nothing"),
        ({"field": "expires_at", "op": "before", "value": "2031-01-01"}, "takes time"),
        ({"any": [], "all": []}, "not a condition"),
        ({}, "an empty table"),
        ("size_bits > 3", "is a table"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused(table, says):
    """The error names the place, the field and what is known."""
    with pytest.raises(PolicyError, match=f"pack house, rule r.*{says}"):
        parse(table, subject="key", where="pack house, rule r")


def test_the_fields_are_the_columns_of_the_subjects():
    """A condition may ask for every column that correlation makes, and for no other."""
    for subject, frame in correlation.subjects(Inventory.of(Builder())).items():
        assert set(FIELDS[subject]) == set(frame.columns), subject


def test_an_empty_list_is_known_to_be_empty_and_an_unknown_one_is_not():
    """No replica is a fact; not having asked for replicas is none."""
    frame = frame_of("key", [{"replicas": []}, {"replicas": ["arn:x"]}, {}])
    answer = Columns("key", frame, as_of=AS_OF).answer(parse({"field": "replicas", "op": "is_empty"}, subject="key"))
    assert ([True, False, False], [False, True, False]) == (answer.yes.tolist(), answer.no.tolist())


@settings(max_examples=25, deadline=None)
@given(conditions, frames)
def test_sure_is_true_where_its_member_is_and_false_elsewhere(condition, data):
    """Never unknown, and it names no field as missing; no TOML says it."""
    assert [told is True for told in truth(condition, data)] == truth(Sure(condition), data)
    assert {} == Columns("key", frame_of("key", data), as_of=AS_OF).missing(Sure(condition))
    assert fields_of(condition) == fields_of(Sure(condition))
    with pytest.raises(PolicyError):
        parse({"sure": {"field": "size_bits", "op": "==", "value": 1}}, subject="key")
