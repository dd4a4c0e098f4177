"""All rules of a scan in one automaton, and which rules each of its expressions calls up.

The automaton takes seconds to build and milliseconds to load, so it is kept in the user's cache folder under the
digest of its expressions.
Refuses to: load an automaton that somebody else could have written.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collectors.code import _decode, _literals, _plan, _runs
from collectors.code._plan import Plan, planned
from collectors.code._rules import Rule, digest, own, standard
from collectors.code._runs import FIRES
from toolkit.errors import ConfigError
from toolkit.identity import cache_folder
from toolkit.terms import Severity

if TYPE_CHECKING:
    import hyperscan

_LOG: Final = logging.getLogger(__name__)
_FIELDS: Final = tuple(Rule.__dataclass_fields__)
_values: Final = attrgetter(*_FIELDS)
_PLAIN: Final = re.compile(r"\(\?i\)(?:[A-Za-z0-9_]|\\.)+")
_FORM: Final = 2
_MONTH: Final = 30 * 86_400


Called = dict[int, tuple[int, tuple[int, ...]]]
"""By the number of a rule: where the first thing that calls it may begin, and the ids of all that do."""


class Book:
    """The rules, their regexes (compiled when first used), and the automaton of their candidates."""

    def __init__(self, rules: Sequence[Rule], digest: str, plan: Plan) -> None:
        self.rules = tuple(rules)
        self.digest = digest
        self.reach = max(_runs.REACH, plan.width)
        """What is found at a place depends on no byte further before it."""
        self._patterns: dict[int, re.Pattern[bytes]] = {}
        self._near: dict[tuple[int, tuple[int, ...], bytes], re.Pattern[bytes]] = {}
        self._lookup: tuple[hyperscan.Database, hyperscan.Scratch] | None = None
        self._around = range(len(plan.everywhere), len(plan.everywhere) + len(plan.around))
        self._expressions = [expression for expression, _ in (*plan.everywhere, *plan.around)]
        self.calls = [tuple(numbers) for _, numbers in (*plan.everywhere, *plan.around)]
        """Expression id -> the rules to try; none for a run, where what is in and before it says which."""
        self.markers = len(self._expressions)
        """Expressions from this id on say that something is encoded or enclosed: `_decode.MARKERS`."""
        self._expressions += [marker.expression for marker in _decode.MARKERS]
        self._in_runs = tuple(expression for expression, _ in plan.in_runs)
        self._called = [tuple(numbers) for _, numbers in plan.in_runs]

    def pattern(self, number: int) -> re.Pattern[bytes]:
        """The confirming regex of a rule."""
        if number not in self._patterns:
            self._patterns[number] = self.rules[number].compiled()
        return self._patterns[number]

    def called(self, text: bytes) -> Called:
        """The rules whose words of `near`, or whose own expressions, occur in the surroundings of a run."""
        import hyperscan

        if self._lookup is None:
            database = _database(self._in_runs)
            self._lookup = database, hyperscan.Scratch(database)
        ends: dict[int, int] = {}
        database, scratch = self._lookup

        def note(word: int, _start: int, end: int, _flags: int, _context: object) -> None:
            ends.setdefault(word, end)

        database.scan(text, match_event_handler=note, scratch=scratch)
        found: dict[int, tuple[int, tuple[int, ...]]] = {}
        for word, end in sorted(ends.items()):
            for number in self._called[word]:
                first, words = found.get(number, (end, ()))
                found[number] = min(first, max(0, end - self._length(word))), (*words, word)
        return found

    def _length(self, word: int) -> int:
        """The most bytes that what calls a rule may match."""
        expression = self._in_runs[word]
        return len(expression) - 4 if _PLAIN.fullmatch(expression) else _runs.REACH

    def nearby(self, number: int, words: tuple[int, ...]) -> re.Pattern[bytes]:
        """The words that must stand near a rule's value; only those that were found, where that is known."""
        return self._words(number, words, b"%b")

    def beside(self, number: int, words: tuple[int, ...]) -> re.Pattern[bytes]:
        """The same right before a value, with nothing but a blank between."""
        return self._words(number, words, rb"(?:%b)[\"')]?[ \t]{1,3}\Z")

    def _words(self, number: int, words: tuple[int, ...], form: bytes) -> re.Pattern[bytes]:
        key = number, words, form
        if key not in self._near:
            text = "|".join(self._in_runs[word].removeprefix("(?i)") for word in words).encode()
            self._near[key] = re.compile(form % (text or self.rules[number].nearby().pattern), re.IGNORECASE)
        return self._near[key]

    @property
    def databases(self) -> tuple[hyperscan.Database, hyperscan.Database]:
        """The automaton of what is looked for everywhere, and that of what is looked for around runs.

        Ids are places in `calls`.
        """
        everywhere, around = (
            _database(tuple(each if (at in self._around) is kind else "" for at, each in enumerate(self._expressions)))
            for kind in (False, True)
        )
        return everywhere, around


def runs() -> hyperscan.Database:
    """The automaton that fires where a run may be a token."""
    return _database((FIRES,))


@cache
def book(patterns: tuple[str, ...] = ()) -> Book:
    """The standard rules and those of the user's own files, theirs first in rank where both find something.

    Raises:
        ConfigError: a file of rules cannot be used.
    """
    if patterns:
        mine = own(patterns)
        taken = {rule.id for rule in mine}
        rules = [*mine, *(rule for rule in standard() if rule.id not in taken)]
        return Book(rules, hashlib.sha256(repr((digest(), rules)).encode()).hexdigest()[:16], planned(rules))
    path = cache_folder() / f"rules-{hashlib.sha256(f'{digest()} {_edition()}'.encode()).hexdigest()[:32]}.json"
    if (found := kept(path)) is not None:
        with suppress(ValueError, TypeError, KeyError):
            told = json.loads(found)
            return Book([*map(_rule, told["rules"])], digest(), Plan(**told["plan"]))
    plan = planned(standard())
    keep(path, json.dumps({"rules": [*map(_values, standard())], "plan": asdict(plan)}).encode())
    return Book(standard(), digest(), plan)


def _rule(told: list[Any]) -> Rule:
    plain = [tuple(value) if isinstance(value, list) else value for value in told]
    values: dict[str, Any] = dict(zip(_FIELDS, plain, strict=True))
    values["severity"] = Severity(values["severity"])
    return Rule(**values)


def _edition() -> str:
    """Names this edition of the planning: its own text, and the expressions that are not of a rule."""
    modules = [inspect.getsource(module) for module in (_plan, _runs, _literals)]
    return repr((_FORM, modules, [marker.expression for marker in _decode.MARKERS], list(Rule.__dataclass_fields__)))


@cache
def _database(expressions: tuple[str, ...]) -> hyperscan.Database:
    """One automaton; an expression's id is its place, and an empty one is left out."""
    import hyperscan

    name = hashlib.sha256(repr((version("hyperscan"), expressions)).encode()).hexdigest()[:32]
    path = cache_folder() / f"automaton-{name}.bin"
    if (found := kept(path)) is not None:
        # Written for another processor, or by a fault: build it again.
        with suppress(hyperscan.HyperscanError):
            return hyperscan.loadb(found, hyperscan.HS_MODE_BLOCK)
    made = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    ids = [number for number, expression in enumerate(expressions) if expression] or [0]
    try:
        wanted = [(expressions[number] or "(?:never){9}").encode() for number in ids]
        made.compile(expressions=wanted, ids=ids, elements=len(ids), flags=0)
    except hyperscan.HyperscanError as failure:
        raise ConfigError(f"a pattern cannot be compiled: {_culprit(expressions)}", advice="correct its regex, or give it a `candidate`") from failure  # fmt: skip  # noqa: E501
    keep(path, hyperscan.dumpb(made))
    _forget_old(path.parent)
    return made


def _forget_old(folder: Path) -> None:
    """Each edition of the patterns leaves an automaton; those of a month ago are of no use."""
    with suppress(OSError):
        for old in folder.glob("automaton-*.bin"):
            if old.stat().st_mtime < time.time() - _MONTH:
                old.unlink()


def _culprit(expressions: tuple[str, ...]) -> str:
    import hyperscan

    for expression in filter(None, expressions):
        single = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        try:
            single.compile(expressions=[expression.encode()], ids=[0], elements=1, flags=0)
        except hyperscan.HyperscanError:
            return expression
    return "all together are too large"


def kept(path: Path) -> bytes | None:
    """What an earlier run of this user has kept there; None where there is nothing, or somebody else could write it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            is_ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o022
            return file.read() if is_ours else None
    except OSError:
        return None


def keep(path: Path, content: bytes) -> None:
    """Keep it for later runs, whole or not at all; that it cannot be kept is no failure."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError as failure:
        _LOG.debug("the automaton is not kept: %s", failure.strerror)
