"""The token formats: read from `toolkit/patterns/*.toml`, compiled for both engines.

A rule has two faces: a *candidate*, cheap and free of look-around, which hyperscan looks for; and the *regex* that
Python tries around each candidate's end. A shorter candidate is made from the regex when the rule gives none.
Refuses to: guess a default for a misspelt key.

>>> next(rule.shown for rule in rules() if rule.id == "github-personal-access-token")
4
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from toolkit.errors import ConfigError
from toolkit.terms import Severity

if TYPE_CHECKING:
    import hyperscan

PEM: Final = "pem"
"""The check that marks the rules whose value is a PEM block."""
# A token does not begin inside a word; but a word may end in the escape of a line end.
_BEFORE: Final = rb"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt]))"
_AFTER: Final = rb"(?![A-Za-z0-9_])"
_UPPER_BOUND: Final = re.compile(r"\{(\d+),\d*\}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One token format, as its vendor documents it."""

    id: str
    title: str
    gives: str
    """What the thief can do with it."""
    regex: str
    documented: str
    severity: Severity
    example: str
    """A template of `collectors.code._examples`: no token lies in the repository."""
    candidate: str = ""
    counter_examples: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    min_entropy: float = 0.0
    """Bits a character; a format with little variety is told from a placeholder by this."""
    confidence: float = 0.9
    shown: int = 0
    """How many leading characters are the vendor's public prefix."""
    is_secret: bool = True
    """False where only the key rows matter: public halves."""
    ahead: int = 512
    """How many bytes behind a candidate's end its token may reach."""
    bounded: bool = True
    caseless: bool = False

    def compiled(self) -> re.Pattern[bytes]:
        """The regex that confirms; group 1, where there is one, is the value."""
        core = b"(?:" + self.regex.encode() + b")"
        flags = re.IGNORECASE if self.caseless else re.NOFLAG
        return re.compile(_BEFORE + core + _AFTER if self.bounded else core, flags)

    def wanted(self) -> str:
        """The expression for hyperscan: it tells every end, so only the shortest form is asked for."""
        core = self.candidate or _UPPER_BOUND.sub(r"{\1}", self.regex)
        return f"(?i){core}" if self.caseless else core


def _rule(table: dict[str, Any], file: str) -> Rule:
    known = Rule.__dataclass_fields__
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"patterns/{file}: unknown key {unknown[0]!r}", advice=f"use one of {', '.join(known)}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    return Rule(**{**values, "severity": Severity(table["severity"])})


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule, by file name and then as written."""
    folder = resources.files("toolkit") / "patterns"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return tuple(_rule(t, file.name) for file in files for t in tomllib.loads(file.read_text("utf-8"))["rules"])


@cache
def patterns() -> tuple[re.Pattern[bytes], ...]:
    """The confirming regex of each rule, in the order of `rules()`."""
    return tuple(rule.compiled() for rule in rules())


def needed() -> None:
    """Raise ConfigError where the engine is not installed."""
    try:
        import hyperscan  # noqa: F401
    except ImportError as missing:
        advice = "pip install 'keyatlas[code]'"
        raise ConfigError("the code collector needs hyperscan, which is not installed", advice=advice) from missing


@cache
def database() -> hyperscan.Database:
    """All candidates in one automaton; the id of an expression is its rule's place in `rules()`."""
    import hyperscan

    wanted = [rule.wanted().encode() for rule in rules()]
    made = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    made.compile(expressions=wanted, ids=list(range(len(wanted))), elements=len(wanted), flags=0)
    return made
