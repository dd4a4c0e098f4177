"""The token formats: read from `toolkit/patterns/*.toml` and from files of the user's own.

A rule is found by its *candidate*, cheap and free of look-around, which hyperscan looks for; then the rule's *regex*
is tried by Python around the candidate's end. A format that is not unmistakable names the words that must stand
`near` it: then each word is the candidate, followed closely by a run that may be a token.
Refuses to: guess a default for a misspelt key.

>>> next(rule.shown for rule in standard() if rule.id == "github-personal-access-token")
4
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from collectors.code._services import EVERY, names
from toolkit.errors import ConfigError
from toolkit.terms import Severity

PEM: Final = "pem"
"""The check that marks the rules whose value is a PEM block."""
MATERIAL: Final = frozenset({PEM, "jwk", "key-file"})
"""The checks that mark the rules whose value is key material, to be parsed."""
REACH: Final = 60
"""How many bytes may lie between a word of `near` and the value."""
# A token does not begin inside a word; but a word may end in the escape of a line end, or in that of an URL.
_BEFORE: Final = rb"(?:(?<![A-Za-z0-9_])|(?<=\\[nrt])|(?<=%[0-9A-F]{2}))"
_AFTER: Final = rb"(?![A-Za-z0-9_])"
_UPPER_BOUND: Final = re.compile(r"\{([1-9]\d*),\d*\}$")
_FINGERPRINT: Final = 16


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
    near: tuple[str, ...] = ()
    """Words of which one stands at most `REACH` bytes before the value; a blank is any separator, or none."""
    example: str = ""
    """A template of `collectors.code._examples`, where a random string of the regex would not do."""
    counter_examples: tuple[str, ...] = ()
    candidate: str = ""
    checks: tuple[str, ...] = ()
    min_entropy: float | None = None
    """Bits a character; None takes the floor of the value's alphabet and length."""
    confidence: float | None = None
    shown: int = 0
    """How many leading characters are the vendor's public prefix."""
    is_secret: bool = True
    """False where only the key rows matter: public halves."""
    behind: int = 512
    """How many bytes before a candidate's end its token may begin."""
    ahead: int = 512
    """How many bytes behind a candidate's end its token may reach."""
    bounded: bool = True
    caseless: bool = False
    refused: tuple[str, ...] = ()
    """Regexes of which none may match the value."""
    paths: tuple[str, ...] = ()
    """Regexes of which one must match the path, if there are any."""
    other_paths: tuple[str, ...] = ()
    """Regexes of which none may match the path."""
    mark: str = "K"
    """How the format was checked: V in the vendor's document, K from knowledge."""

    @property
    def sure(self) -> float:
        """Confidence in a value of this form, before anything else is known."""
        if self.confidence is not None:
            return self.confidence
        return 0.7 if self.near else 0.9

    def compiled(self) -> re.Pattern[bytes]:
        """The regex that confirms; group 1, where there is one, is the value."""
        core = b"(?:" + self.regex.encode() + b")"
        flags = re.IGNORECASE if self.caseless else re.NOFLAG
        return re.compile(_BEFORE + core + _AFTER if self.bounded else core, flags)

    def nearby(self) -> re.Pattern[bytes]:
        """The words of `near`, in any case."""
        forms = (re.escape(written) for word in self.near for written in writings(word))
        return re.compile("|".join(forms).encode(), re.IGNORECASE)

    def wanted(self) -> str:
        """The expression for hyperscan: it tells every end, so only the shortest form is asked for."""
        core = self.candidate or _UPPER_BOUND.sub(r"{\1}", self.regex)
        return f"(?i){core}" if self.caseless else core


def writings(word: str) -> list[str]:
    """The ways to write a word of `near`: `new relic` is newrelic, new_relic, New-Relic."""
    return [word.replace(" ", mark) for mark in ("", " ", "_", "-", ".")] if " " in word else [word]


def read(name: str, text: str) -> tuple[Rule, ...]:
    """The rules of one file.

    Raises:
        ConfigError: the file is not TOML, a key is unknown or missing, or a regex does not compile.
    """
    try:
        tables = tomllib.loads(text).get("rules", [])
    except tomllib.TOMLDecodeError as failure:
        raise ConfigError(f"{name}: {failure}", advice="correct the TOML") from failure
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{name}: `rules` is no list of tables", advice="begin each rule with [[rules]]")
    return tuple(_rule(table, name) for table in tables)


def _rule(table: dict[str, Any], file: str) -> Rule:
    known = Rule.__dataclass_fields__
    place = f"{file}: rule {table.get('id', '?')}"
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"{place}: unknown key {unknown[0]!r}", advice=f"use one of {', '.join(known)}")
    if missing := [key for key in ("id", "title", "gives", "regex", "documented", "severity") if key not in table]:
        raise ConfigError(f"{place}: no {missing[0]}", advice="every rule says it")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return Rule(**{**values, "severity": Severity(table["severity"])})
    except ValueError as failure:
        raise ConfigError(f"{place}: {failure}", advice=f"use one of {', '.join(Severity)}") from failure


def _texts() -> list[tuple[str, str]]:
    folder = resources.files("toolkit") / "patterns"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return [(f"patterns/{file.name}", file.read_text("utf-8")) for file in files]


@cache
def digest() -> str:
    """Names this edition of the patterns; a cache of what they found is good for no other."""
    return hashlib.sha256(repr(_texts()).encode()).hexdigest()[:_FINGERPRINT]


@cache
def standard() -> tuple[Rule, ...]:
    """Every rule that ships with keyatlas, by file name and then as written."""
    texts = _texts()
    rules = [rule for name, text in texts for rule in read(name, text)]
    told = [tomllib.loads(text)["names"] for _, text in texts if "\n[names]\n" in text]
    words = [word for rule in rules if rule.is_secret for word in rule.near]
    known = [word for table in told for word in table["services"]]
    services = names(words, [word for table in told for word in table["ordinary"]], known)
    return tuple(
        replace(rule, near=(*services, *(word for word in rule.near if word != EVERY))) if EVERY in rule.near else rule
        for rule in rules
    )


def own(paths: tuple[str, ...]) -> tuple[Rule, ...]:
    """The rules of the user's own files, ours or gitleaks' by form.

    Raises:
        ConfigError: a file cannot be read, or holds a rule that cannot be used.
    """
    from collectors.code._gitleaks import is_gitleaks, rules_of

    found: list[Rule] = []
    for path, text in zip(paths, map(_text, paths), strict=True):
        found += checked(rules_of(path, text)[0] if is_gitleaks(text) else read(path, text), path)
    return tuple(found)


def lost(paths: tuple[str, ...]) -> tuple[str, ...]:
    """What stands in the user's own files of rules and has no counterpart here, a line each."""
    from collectors.code._gitleaks import is_gitleaks, rules_of

    texts = [(path, text) for path, text in zip(paths, map(_text, paths), strict=True) if is_gitleaks(text)]
    return tuple(f"{path}: {line}" for path, text in texts for line in rules_of(path, text)[1])


def checked(rules: tuple[Rule, ...], name: str) -> tuple[Rule, ...]:
    """The rules of a user's file, when every value in them is of its kind; ours are checked by the tests.

    Raises:
        ConfigError: a value is not, a regex does not compile, or a check is not known.
    """
    from collectors.code._checks import CHECKS

    for rule in rules:
        place = f"{name}: rule {rule.id}"
        texts = (rule.id, rule.title, rule.gives, rule.regex, rule.documented, rule.candidate, rule.example, rule.mark)
        lists = (rule.near, rule.checks, rule.refused, rule.paths, rule.other_paths, rule.counter_examples)
        numbers = (rule.min_entropy, rule.confidence, rule.shown, rule.ahead, rule.behind)
        is_well = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(each, tuple) and all(isinstance(part, str) for part in each) for each in lists)
            and all(number is None or isinstance(number, int | float) for number in numbers)
        )
        if not is_well:
            raise ConfigError(f"{place}: a value is not of its kind", advice="see toolkit/patterns for the form")
        if unknown := sorted(set(rule.checks) - set(CHECKS) - MATERIAL - {"assigned", "named"}):
            raise ConfigError(f"{place}: no check {unknown[0]!r}", advice=f"use one of {', '.join(sorted(CHECKS))}")
        try:
            rule.compiled()
            for form in (*rule.refused, *rule.paths, *rule.other_paths):
                re.compile(form)
        except re.error as failure:
            raise ConfigError(f"{place}: {failure}", advice="correct its regex") from failure
    return rules


def _text(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failure:
        raise ConfigError(f"{path}: cannot be read as text", advice="give a TOML file of rules") from failure
