"""From a condition of a policy pack to alternatives of plain comparisons, which great-expectations can ask.

What makes a condition true, and what makes it false, are two such lists, for unknown values make it neither: a value
that is not there meets no comparison, and where a comparison would be met by it (`!=`), being known is asked besides.

Refuses to: make anything of a word or a column that could be read as program text (great-expectations pastes both into
an expression that it evaluates), or of a condition that takes more comparisons than it allows.

>>> from toolkit.conditions import parse
>>> rule = parse({"field": "size_bits", "op": ">=", "value": 2048}, subject="key")
>>> false_of(rule, "key")
(frozenset({('size_bits', '<', 2048)}),)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from toolkit.conditions import FIELDS, All, Condition, Not, Sure, Test

Atom = tuple[str, str, Any]
"""A column, an operator (`known` and `null` besides the comparisons), and a value or a tuple of them."""
Terms = tuple[frozenset[Atom], ...]
"""Alternatives, of which each asks for all of its atoms; none is never met, and an empty one always."""

MOST: Final = 100
"""How many comparisons a row condition may have (great-expectations' MAX_CONDITIONS)."""
COLUMN: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
# No quotes, backslashes, backticks, braces, or @: all of them mean something to the parser of pandas' `query`.
WORD: Final = re.compile(r"[A-Za-z0-9 .,:;/()+*=#%&_~^<>!|\[\]-]{0,200}")
NEVER: Final[Terms] = ()
ALWAYS: Final[Terms] = (frozenset(),)
YES, NO = "yes", "no"
_OPPOSITE: Final = {"<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_LISTS: Final = ("texts", "scopes")


class Inexpressible(Exception):
    """A rule that great-expectations cannot be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The columns that stand for questions about lists: name -> the test that each answers with yes or no."""

    tests: dict[str, Test] = field(default_factory=dict)

    def column(self, test: Test) -> str:
        """The name of the column for a test, such as `functions_contains_sign_decrypt`."""
        for name, known in self.tests.items():
            if known == test:
                return name
        words = test.value if isinstance(test.value, tuple) else ()
        said = re.sub(r"[^a-z0-9]+", "_", "_".join((test.field, test.op, *map(str, words))).lower()).strip("_")
        name = said[:60]
        while name in self.tests:
            name = f"{said[:60]}_{len(self.tests)}"
        self.tests[name] = test
        return name


def true_of(condition: Condition, subject: str, *, as_of: datetime | None = None, lists: Lists | None = None) -> Terms:
    """When it is true."""
    return _of(condition, True, _Asked(subject, as_of, Lists() if lists is None else lists))


def false_of(condition: Condition, subject: str, *, as_of: datetime | None = None, lists: Lists | None = None) -> Terms:
    """When it is false, which is not the same as when it is not true."""
    return _of(condition, False, _Asked(subject, as_of, Lists() if lists is None else lists))


def both(one: Terms, other: Terms) -> Terms:
    """When both hold."""
    return _absorb(a | b for a in one for b in other if not _contradicts(a | b))


@dataclass(frozen=True, slots=True)
class _Asked:
    subject: str
    as_of: datetime | None
    lists: Lists


def _of(condition: Condition, wanted: bool, asked: _Asked) -> Terms:
    if isinstance(condition, Test):
        return _OF_KIND[_kind(condition, asked)](condition, wanted, asked)
    if isinstance(condition, Not):
        return _of(condition.member, not wanted, asked)
    if isinstance(condition, Sure):
        if not wanted:
            raise Inexpressible("it tells what is not known from what is not so")
        return _of(condition.member, True, asked)
    parts = [_of(member, wanted, asked) for member in condition.members]
    if isinstance(condition, All) is wanted:
        found = ALWAYS
        for part in parts:
            found = both(found, part)
    else:
        found = _absorb(term for part in parts for term in part)
    if sum(map(len, found)) > MOST:
        raise Inexpressible(f"it takes more than {MOST} comparisons")
    return found


def _kind(test: Test, asked: _Asked) -> str:
    return "known" if test.op in ("known", "unknown") else FIELDS[asked.subject][test.field]


def _term(*atoms: Atom) -> Terms:
    for column, _, value in atoms:
        if not COLUMN.fullmatch(column):
            raise Inexpressible("it asks of a column whose name could be read as program text")
        for word in value if isinstance(value, tuple) else (value,):
            if isinstance(word, str) and not WORD.fullmatch(word):
                raise Inexpressible(f"{column} is compared with a word that could be read as program text")
    return (frozenset(atoms),)


def _known(test: Test, wanted: bool, asked: _Asked) -> Terms:
    column = test.field
    if FIELDS[asked.subject][test.field] in _LISTS:
        # A list is known where the answer to any question about it is.
        column = asked.lists.column(Test(test.field, "is_empty"))
    return _term((column, "known" if (test.op == "known") is wanted else "null", None))


def _word(test: Test, wanted: bool, asked: _Asked) -> Terms:  # noqa: ARG001  # one signature for all kinds
    if test.op == "like":
        raise Inexpressible("it compares with a pattern")
    words = test.value if isinstance(test.value, tuple) else (test.value,)
    if (test.op in ("==", "in")) is wanted:
        return _term(_among(test.field, words))
    # An unknown value differs from every word: that it is known must be asked.
    op, value = ("!=", words[0]) if len(words) == 1 else ("NOT_IN", words)
    return _term((test.field, "known", None), (test.field, op, value))


def _among(column: str, words: tuple[Any, ...]) -> Atom:
    return (column, "==", words[0]) if len(words) == 1 else (column, "IN", words)


def _number(test: Test, wanted: bool, asked: _Asked) -> Terms:
    if test.op not in _OPPOSITE:
        return _word(test, wanted, asked)
    return _term((test.field, test.op if wanted else _OPPOSITE[test.op], test.value))


def _flag(test: Test, wanted: bool, asked: _Asked) -> Terms:  # noqa: ARG001
    return _term((test.field, "==", YES if (test.op == "is_true") is wanted else NO))


def _list(test: Test, wanted: bool, asked: _Asked) -> Terms:
    return _term((asked.lists.column(test), "==", YES if wanted else NO))


def _time(test: Test, wanted: bool, asked: _Asked) -> Terms:
    if isinstance(test.value, datetime):
        op = "<" if test.op == "before" else ">="
        return _term((test.field, op if wanted else _OPPOSITE[op], stamp(test.value)))
    if asked.as_of is None:
        raise Inexpressible("it asks for an age, and no time is given")
    span = timedelta(days=float(test.value))  # type: ignore[arg-type]  # the parser takes a number here
    if test.op == "older_than_days":
        return _term((test.field, "<" if wanted else ">=", stamp(asked.as_of - span)))
    first, last = stamp(asked.as_of), stamp(asked.as_of + span)
    if wanted:
        return _term((test.field, ">=", first), (test.field, "<=", last))
    return (*_term((test.field, "<", first)), *_term((test.field, ">", last)))


def stamp(moment: datetime) -> str:
    """A moment as it stands in a condition: to the microsecond, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


_OF_KIND: Final[dict[str, Callable[[Test, bool, _Asked], Terms]]] = {
    "known": _known,
    "text": _word,
    "number": _number,
    "flag": _flag,
    "time": _time,
    "texts": _list,
    "scopes": _list,
}


def _contradicts(term: frozenset[Atom]) -> bool:
    """Whether a term asks a column to be null and something else, or two words at once: it is never met."""
    null = {column for column, op, _ in term if op == "null"}
    if any(column in null and op != "null" for column, op, _ in term):
        return True
    equal = [(column, value) for column, op, value in term if op == "=="]
    return len({column for column, _ in equal}) < len(equal)


def _absorb(terms: Iterable[frozenset[Atom]]) -> Terms:
    """Without terms that ask for all that another one asks for, and more."""
    kept: list[frozenset[Atom]] = []
    for term in sorted(set(terms), key=lambda term: (len(term), sorted(map(repr, term)))):
        if not any(less <= term for less in kept):
            kept.append(term)
            if len(kept) > MOST:
                raise Inexpressible(f"it takes more than {MOST} comparisons")
    return tuple(kept)
