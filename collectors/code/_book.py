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
_MONTH: Final = 30 * 86_400


class Book:
    """The rules, their regexes (compiled when first used), and the automaton of their candidates."""

    def __init__(self, rules: Sequence[Rule], digest: str, plan: Plan) -> None:
        self.rules = tuple(rules)
        self.digest = digest
        self._wide = frozenset(plan.wide)
        self._patterns: dict[int, re.Pattern[bytes]] = {}
        self._nearby: dict[int, re.Pattern[bytes]] = {}
        self._beside: dict[int, re.Pattern[bytes]] = {}
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

    def called(self, text: bytes) -> tuple[int, ...]:
        """The rules whose words of `near`, or whose own expressions, occur in the surroundings of a run."""
        import hyperscan

        if self._lookup is None:
            database = _database(self._in_runs)
            self._lookup = database, hyperscan.Scratch(database)
        found: set[int] = set()
        database, scratch = self._lookup

        def note(word: int, _start: int, _end: int, _flags: int, _context: object) -> None:
            found.update(self._called[word])

        database.scan(text, match_event_handler=note, scratch=scratch)
        return tuple(sorted(found))

    def beside(self, number: int) -> re.Pattern[bytes]:
        """The words of `near` right before a value, with nothing but a blank between."""
        if number not in self._beside:
            words = self.rules[number].nearby().pattern
            self._beside[number] = re.compile(b"(?:" + words + rb")[\"')]?[ \t]{1,3}\Z", re.IGNORECASE)
        return self._beside[number]

    def nearby(self, number: int) -> re.Pattern[bytes]:
        """The words that must stand near a rule's value."""
        if number not in self._nearby:
            self._nearby[number] = self.rules[number].nearby()
        return self._nearby[number]

    @property
    def databases(self) -> tuple[hyperscan.Database, hyperscan.Database, hyperscan.Database]:
        """The automaton of what is at most `SPAN` long, that of what is looked for around runs, and that of the rest.

        Ids are places in `calls`.
        """
        kinds = [2 if expression in self._wide else int(at in self._around) for at, expression in enumerate(self._expressions)]  # noqa: E501  # fmt: skip
        narrow, around, wide = (
            _database(tuple(each if kinds[at] == kind else "" for at, each in enumerate(self._expressions)))
            for kind in range(3)
        )
        return narrow, around, wide


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
            made = [Rule(**{**table, "severity": Severity(table["severity"])}) for table in map(_tuples, told["rules"])]
            return Book(made, digest(), Plan(**told["plan"]))
    plan = planned(standard())
    keep(path, json.dumps({"rules": [asdict(rule) for rule in standard()], "plan": asdict(plan)}).encode())
    return Book(standard(), digest(), plan)


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _edition() -> str:
    """Names this edition of the planning: its own text, and the expressions that are not of a rule."""
    modules = [inspect.getsource(module) for module in (_plan, _runs, _literals)]
    return repr((modules, [marker.expression for marker in _decode.MARKERS], list(Rule.__dataclass_fields__)))


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
