"""Where each rule is looked for: everywhere, around runs, or where the words of its service are named.

What is looked for everywhere costs time on every byte; so only what has a long word of its own, or may be no run of
letters and digits, is.
Refuses to: read rules, or build automata.

>>> is_around_runs("ghp_[0-9a-zA-Z]{36}"), is_around_runs("-----BEGIN [A-Z ]{0,20}KEY-----")
(True, False)
"""

from __future__ import annotations

import re
import re._compiler as compiler  # type: ignore[import-not-found]  # not public, and the only ones that know a regex
import re._parser as sre  # type: ignore[import-not-found]
import string
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final

from collectors.code._literals import required
from collectors.code._rules import Rule, writings
from collectors.code._runs import FIRES, GAP, WIDTH, Gathered, regions

_PART: Final = r"[A-Za-z_\-]{0,32}(?:[0-9]|[A-Z][a-z][A-Z])[A-Za-z0-9_\-]{6,300}[^A-Za-z0-9_\-]"
_VALUE: Final = r"(?:[A-Za-z0-9_\-]{0,40}[./+:|~!@#$%^&*]){0,8}" + _PART
RUNS: Final = (
    # A run that may be a token where a value stands: six characters behind a digit, or a small letter between
    # capitals, that is among the first 33, and at most eight parts before it. It ends with the run, so that a run
    # is one candidate.
    rf"(?:[\"'`=:][ ]?|>){_VALUE}",
    # Elsewhere, behind a word that says secret.
    rf"(?i:bearer|basic|token|key|secret|passw(?:or)?d|credential|auth)[^\n]{{0,40}}[ \t>{{(,\[/|]{_VALUE}",
    # Behind a word and a blank: the confirm stage asks that the word be the name of a service.
    rf"[A-Za-z0-9]{{2}}[ \t]{{1,2}}{_PART}",
    # A line that is nothing else: files of one token, what was pasted. More parts than this would halve the speed.
    r"\n[A-Za-z0-9_\-.!]{20,160}[\r\n]",
)
_ANCHOR: Final = 4
"""Characters in a row that an expression must ask for to be looked for at all; others are tried on runs only."""
_LONG: Final = 8
"""Characters from which on words cost next to nothing, however many they are."""
SPAN: Final = 8192
"""The greatest length in bytes of a candidate that is told from its bytes alone, wherever it lies in a text."""
_SAMPLES: Final = 120
_MISSED: Final = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Which expressions are looked for, and the numbers of the rules that each calls up; plain data, quick to load."""

    everywhere: list[tuple[str, list[int]]]
    around: list[tuple[str, list[int]]]
    """Looked for around runs."""
    in_runs: list[tuple[str, list[int]]]
    """Looked for where a run stands as a value: its service's name, or what has no word of its own."""
    width: int
    """The greatest length of a match of any of `everywhere`, in bytes; at most `SPAN`."""


def planned(rules: Sequence[Rule]) -> Plan:
    """Where each rule is looked for."""
    everywhere: dict[str, list[int]] = defaultdict(list)
    in_runs: dict[str, list[int]] = defaultdict(list)
    for number, rule in enumerate(rules):
        if rule.candidate or not rule.near:
            wanted = rule.wanted()
            is_cheap = not rule.bounded or _longest(wanted) >= _ANCHOR
            (everywhere if is_cheap else in_runs)[wanted].append(number)
        for word in rule.near:
            for written in writings(word):
                in_runs[f"(?i){re.escape(written)}"].append(number)
    around: list[tuple[str, list[int]]] = [(run, []) for run in RUNS]
    around += [(wanted, everywhere.pop(wanted)) for wanted in list(everywhere) if is_around_runs(wanted)]
    width = max((_width(expression) for expression in everywhere), default=0)
    return Plan([*everywhere.items()], around, [*in_runs.items()], min(width, SPAN))


def is_around_runs(expression: str) -> bool:
    """Whether what the expression matches is, but for one in a hundred, found around runs."""
    words = required(expression)
    if words is not None and min(len(word.text) for word in words) >= _LONG:
        return False
    if _width(expression) > WIDTH or _may_cross(expression):
        return False
    form, parsed = re.compile(expression.encode()), sre.parse(expression)
    random = Random(1)  # noqa: S311  # the same plan every time
    draw = _drawer(parsed)
    samples = (draw(random).encode() for _ in range(_SAMPLES))
    missed = (None for sample in samples if not _is_found(form, b'\nkey = "%b"\n' % sample))
    return len([*islice(missed, _MISSED + 1)]) <= _MISSED


Draw = Callable[[Random], str]


def _drawer(parsed: Any) -> Draw:
    """What makes random strings that the expression matches, near its shortest."""
    parts = [_part(parsed, kind, said) for kind, said in parsed]
    return lambda random: "".join([part(random) for part in parts])


def _part(parsed: Any, kind: Any, said: Any) -> Draw:
    if kind is sre.LITERAL:
        return lambda _random: chr(said)
    if kind is sre.SUBPATTERN:
        return _drawer(said[3])
    if kind is sre.BRANCH:
        ways = [_drawer(way) for way in said[1]]
        return lambda random: random.choice(ways)(random)
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        least, most = said[0], min(said[1], said[0] + 8)
        if len(said[2]) == 1 and said[2][0][0] in _CLASSES:
            letters = _letters(parsed, *said[2][0])
            return lambda random: "".join(random.choices(letters, k=random.randint(least, most)))
        draw = _drawer(said[2])
        return lambda random: "".join([draw(random) for _ in range(random.randint(least, most))])
    if kind in _CLASSES:
        letters = _letters(parsed, kind, said)
        return lambda random: random.choice(letters)
    return lambda _random: ""


_CLASSES: Final = (sre.ANY, sre.IN, sre.NOT_LITERAL)
_LETTERS: Final[dict[str, str]] = {}


def _letters(parsed: Any, kind: Any, said: Any) -> str:
    name = repr((kind, said))
    if name not in _LETTERS:
        form = _one(parsed, kind, said)
        _LETTERS[name] = "".join(letter for letter in string.printable if form.fullmatch(letter))
    return _LETTERS[name]


def _one(parsed: Any, kind: Any, said: Any) -> re.Pattern[str]:
    made: re.Pattern[str] = compiler.compile(sre.SubPattern(parsed.state, [(kind, said)]))
    return made


def _is_found(form: re.Pattern[bytes], text: bytes) -> bool:
    places = [found.end() for found in re.finditer(FIRES.encode(), text)]
    return form.search(Gathered(text, regions(text, places)).text) is not None


def _may_cross(expression: str) -> bool:
    """Whether the parts that match what stands between two regions are long enough to match all of it."""
    return _crossing(sre.parse(expression)) >= len(GAP)


def _crossing(parsed: Any) -> int:
    size = 0
    for kind, said in parsed:
        if kind is sre.SUBPATTERN:
            size += _crossing(said[3])
        elif kind is sre.BRANCH:
            size += max(map(_crossing, said[1]))
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            size += int(said[1]) * _crossing(said[2])
        elif kind in (sre.ANY, sre.IN, sre.NOT_LITERAL):
            form = _one(parsed, kind, said)
            size += any(form.fullmatch(chr(byte)) for byte in set(GAP))
    return size


def _longest(expression: str) -> int:
    """Characters of the word that every match has, at its shortest; much where nobody can tell."""
    words = required(expression)
    return _ANCHOR if words is None and not _is_known(expression) else min((len(word.text) for word in words or ()), default=0)  # noqa: E501  # fmt: skip


def _is_known(expression: str) -> bool:
    try:
        sre.parse(expression)
    except re.error:
        return False
    return True


def _width(expression: str) -> int:
    try:
        return int(sre.parse(expression).getwidth()[1])
    except re.error:
        return SPAN + 1
