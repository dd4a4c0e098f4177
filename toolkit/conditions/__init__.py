"""The condition language of policy packs and risk weaknesses: a closed set, in three-valued logic, by column.

A condition is a TOML table: `{field="size_bits", op=">=", value=2048}`, `{all=[…]}`, `{any=[…]}`, `{not={…}}`; a list
means all of its members. `like` takes patterns with `*` and `?`; `only` is true of a list all of whose members are
among the given ones. An unknown value (NA) makes a test neither true nor false, and Kleene's strong logic carries
that upward, so what is unknown never passes and never fails by accident. Text compares without regard to case.

Refuses to: evaluate code, guess a type, or take a field or an operator it does not know.

>>> from datetime import UTC, datetime
>>> rule = parse({"field": "size_bits", "op": ">=", "value": 2048}, subject="key")
>>> frame = frame_of("key", [{"size_bits": 1024}, {"size_bits": 2048}, {}])
>>> answer = Columns("key", frame, as_of=datetime(2026, 1, 1, tzinfo=UTC)).answer(rule)
>>> [bool(v) for v in answer.yes], [bool(v) for v in answer.no]
([False, True, False], [True, False, False])

What a subject is in scope of (`scopes`) is asked with `within`: a subject that is told to be in has the word, one told
to be out has `not:WORD` or `not:*` (none but those named), and for every other word it is not told.

>>> rule = parse({"field": "scopes", "op": "within", "value": ["ephi"]}, subject="key")
>>> frame = frame_of("key", [{"scopes": ["ephi"]}, {"scopes": ["not:*"]}, {"scopes": ["nss"]}, {}])
>>> answer = Columns("key", frame, as_of=datetime(2026, 1, 1, tzinfo=UTC)).answer(rule)
>>> [bool(v) for v in answer.yes], [bool(v) for v in answer.no]
([True, False, False, False], [False, True, False, False])
"""

from __future__ import annotations

from toolkit.conditions._columns import Answer, Bits, Columns, Flags, flags_of, frame_of
from toolkit.conditions._fields import FIELDS
from toolkit.conditions._form import (
    ALWAYS,
    All,
    Any_,
    Condition,
    Not,
    Scalar,
    Sure,
    Test,
    fields_of,
    leaves,
    moment,
    parse,
)

__all__ = [
    "ALWAYS", "FIELDS", "All", "Answer", "Any_", "Bits", "Columns", "Condition", "Flags", "Not", "Scalar", "Sure",
    "Test", "fields_of", "flags_of", "frame_of", "leaves", "moment", "parse",
]  # fmt: skip
