"""Which words every match of an expression must hold, so that a fast search for words can stand before a slow one.

Refuses to: guess. What it cannot tell is None, and the expression is then looked for as it is.

>>> [word.text for word in required(r"sk_(?:live|test)_[0-9a-z]{24}")]
['sk_live_', 'sk_test_']
>>> required(r"[0-9a-f]{32}") is None
True
"""

from __future__ import annotations

import re
import re._constants as codes  # type: ignore[import-not-found]  # not public, and the only ones that know a regex
import re._parser as sre  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Final, NamedTuple

_MANY: Final = 64
"""More words than these are not worth looking for."""
_ENOUGH: Final = 8
"""Characters from which on a longer word is found no faster."""


class Word(NamedTuple):
    """A word as it stands, or in any case."""

    text: str
    is_caseless: bool

    @property
    def expression(self) -> str:
        """As hyperscan wants it."""
        return f"(?i){re.escape(self.text)}" if self.is_caseless else re.escape(self.text)


Words = frozenset[Word]


def required(expression: str) -> tuple[Word, ...] | None:
    """Words of which each match holds at least one, the longest there are; None where there are none, or too many."""
    try:
        parsed = sre.parse(expression)
    except re.error:
        return None
    best = _best(_sets(parsed, bool(parsed.state.flags & re.IGNORECASE)))
    return tuple(sorted(best)) if best else None


def _best(sets: Iterable[Words]) -> Words | None:
    def worth(words: Words) -> tuple[int, int]:
        return min(_ENOUGH, min(len(word.text) for word in words)), -len(words)

    return max((words for words in sets if words and all(word.text for word in words)), key=worth, default=None)


def _sets(parsed: Any, is_caseless: bool) -> Iterator[Words]:
    """For each stretch of a sequence that is made of words alone, the words it may be."""
    stretch: Words = frozenset({Word("", False)})
    for item in parsed:
        options = _options(item, is_caseless)
        longer = _joined(stretch, options) if options is not None else None
        if longer is not None:
            stretch = longer
            continue
        yield stretch
        stretch = options if options is not None else frozenset({Word("", False)})
        if options is None:
            yield from _within(item, is_caseless)
    yield stretch


def _joined(left: Words, right: Words) -> Words | None:
    if len(left) * len(right) > _MANY:
        return None
    return frozenset(Word(a.text + b.text, a.is_caseless or b.is_caseless) for a, b in product(left, right))


def _options(item: tuple[Any, Any], is_caseless: bool) -> Words | None:
    """All strings that one part of a sequence may be; None where they are many."""
    kind, said = item
    if kind is codes.LITERAL:
        letter = chr(said)
        return frozenset({Word(letter, is_caseless and letter.isalpha())})
    if kind is codes.IN:
        letters = [chr(each) for code, each in said if code is codes.LITERAL]
        is_small = len(letters) == len(said) <= 6
        return frozenset(Word(letter, is_caseless and letter.isalpha()) for letter in letters) if is_small else None
    if kind is codes.SUBPATTERN:
        return _sequence(said[3], (is_caseless or bool(said[1] & re.IGNORECASE)) and not said[2] & re.IGNORECASE)
    if kind is codes.BRANCH:
        branches = [_sequence(branch, is_caseless) for branch in said[1]]
        known = [branch for branch in branches if branch is not None]
        words = frozenset[Word]().union(*known)
        return words if len(known) == len(branches) and len(words) <= _MANY else None
    if kind is codes.MAX_REPEAT and said[1] == 1:
        once = _sequence(said[2], is_caseless)
        return None if once is None else once | {Word("", False)} if said[0] == 0 else once
    return None


def _sequence(parsed: Any, is_caseless: bool) -> Words | None:
    words: Words | None = frozenset({Word("", False)})
    for item in parsed:
        options = _options(item, is_caseless)
        words = None if words is None or options is None else _joined(words, options)
    return words


def _within(item: tuple[Any, Any], is_caseless: bool) -> Iterator[Words]:
    """The sets of a part that is not words alone."""
    kind, said = item
    if kind is codes.SUBPATTERN:
        yield from _sets(said[3], (is_caseless or bool(said[1] & re.IGNORECASE)) and not said[2] & re.IGNORECASE)
    elif kind is codes.MAX_REPEAT and said[0] > 0:
        yield from _sets(said[2], is_caseless)
    elif kind is codes.BRANCH:
        best = [_best(_sets(branch, is_caseless)) for branch in said[1]]
        if all(best):
            words = frozenset[Word]().union(*(each for each in best if each))
            if len(words) <= _MANY:
                yield words
