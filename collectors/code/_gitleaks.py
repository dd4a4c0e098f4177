"""Rule files of gitleaks, loaded as they are; and a report of what in them has no counterpart here.

Their regexes are Go's (RE2), which both of our engines understand but for a few spellings.
Refuses to: pass over in silence what it cannot carry over.

>>> rules, lost = rules_of("x", '[[rules]]\\nid = "a"\\nregex = "(?i)abc_[0-9]{8}"\\ntags = ["t"]\\n')
>>> rules[0].regex, lost
('(?i:abc_[0-9]{8})', ('rule a: `tags` has no counterpart',))
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from collectors.code._rules import Rule
from toolkit.errors import ConfigError
from toolkit.terms import Severity

_KNOWN: Final = {"id", "description", "regex", "entropy", "keywords", "secretGroup", "path", "allowlist", "allowlists"}
_LISTS: Final = {"regexes", "stopwords", "paths", "description", "regexTarget", "condition"}
_POSIX: Final = {
    "[:alnum:]": "A-Za-z0-9", "[:alpha:]": "A-Za-z", "[:digit:]": "0-9", "[:xdigit:]": "0-9A-Fa-f",
    "[:lower:]": "a-z", "[:upper:]": "A-Z", "[:space:]": r"\s", "[:word:]": r"\w", "[:punct:]": r"!-/:-@\[-`{-~",
}  # fmt: skip
_FLAG: Final = re.compile(r"\(\?([ims]+)\)")
_MARKS: Final = ("keywords", "secretGroup", "description", "allowlist", "allowlists", "entropy", "tags")


def is_gitleaks(text: str) -> bool:
    """Whether a TOML text is a rule file of gitleaks: its rules have keys that ours have not."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    listed = tables.get("rules", [])
    rules = [rule for rule in listed if isinstance(rule, dict)] if isinstance(listed, list) else []
    is_ours = any("documented" in rule for rule in rules)
    return not is_ours and any(mark in tables or any(mark in rule for rule in rules) for mark in _MARKS)


def rules_of(name: str, text: str) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """The rules of a file, and a line for each thing that could not be carried over."""
    try:
        return _carried(name, tomllib.loads(text))
    except (AttributeError, TypeError, ValueError, KeyError) as failure:
        # Tables where texts belong, and the like; TOML that is none is a ValueError too.
        raise ConfigError(f"{name}: not a rule file of gitleaks", advice="correct its tables") from failure


def _carried(name: str, tables: dict[str, Any]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    lost: list[str] = [f"`{key}` has no counterpart" for key in sorted(set(tables) - {"rules", "title", "allowlist", "allowlists", "minVersion"})]  # noqa: E501  # fmt: skip
    everywhere = _allowed(tables, "all rules", lost)
    made: list[Rule] = []
    for table in tables.get("rules", []):
        rule = _rule(name, table, everywhere, lost)
        if rule is not None:
            made.append(rule)
    return tuple(made), tuple(lost)


def _rule(name: str, table: dict[str, Any], everywhere: dict[str, tuple[str, ...]], lost: list[str]) -> Rule | None:
    place = f"rule {table.get('id', '?')}"
    lost += [f"{place}: `{key}` has no counterpart" for key in sorted(set(table) - _KNOWN)]
    if "regex" not in table or "id" not in table:
        lost.append(f"{place}: it has no regex, or no id")
        return None
    try:
        regex = _grouped(translated(table["regex"]), int(table.get("secretGroup", 0)))
        re.compile(regex.encode())
    except (re.error, ValueError) as failure:
        lost.append(f"{place}: its regex is not understood ({failure})")
        return None
    mine = _allowed(table, place, lost)
    candidate = regex if _compiles(regex) else _of_keywords(table)
    if not candidate:
        lost.append(f"{place}: its regex is too much for the automaton, and it has no keywords")
        return None
    title = str(table.get("description") or table["id"])
    return Rule(
        id=str(table["id"]),
        title=title,
        gives="what the rule's author had in mind",
        regex=regex,
        candidate=candidate.replace("(?P<value>", "("),
        documented=f"file:{name}",
        severity=Severity.HIGH,
        min_entropy=_number(table.get("entropy", 0), place),
        confidence=0.7,
        bounded=False,
        ahead=2048,
        paths=(translated(table["path"]),) if "path" in table else (),
        refused=mine["refused"] + everywhere["refused"],
        other_paths=mine["other_paths"] + everywhere["other_paths"],
    )


def _number(value: Any, place: str) -> float:
    if not isinstance(value, int | float):
        raise ConfigError(f"{place}: its entropy is no number", advice="correct it")
    return float(value)


def _allowed(table: dict[str, Any], place: str, lost: list[str]) -> dict[str, tuple[str, ...]]:
    refused: list[str] = []
    paths: list[str] = []
    lists = [table["allowlist"]] if isinstance(table.get("allowlist"), dict) else list(table.get("allowlist") or [])
    for each in [*lists, *table.get("allowlists", [])]:
        lost += [f"{place}: `{key}` of its allowlist has no counterpart" for key in sorted(set(each) - _LISTS)]
        if each.get("condition", "OR").upper() == "AND" or each.get("regexTarget", "secret") == "line":
            lost.append(f"{place}: an allowlist that needs more than the value or the path is left out")
            continue
        refused += [translated(form) for form in each.get("regexes", [])]
        refused += [f"(?i:{re.escape(word)})" for word in each.get("stopwords", [])]
        paths += [translated(form) for form in each.get("paths", [])]
    return {"refused": tuple(refused), "other_paths": tuple(paths)}


def translated(regex: str) -> str:
    """Go's spelling of a regex in Python's: a flag in the midst holds to the end of its group."""
    for name, members in _POSIX.items():
        regex = regex.replace(name, members)
    regex = regex.replace(r"\z", r"\Z")
    while found := _FLAG.search(regex):
        end = _end_of_group(regex, found.end())
        regex = f"{regex[: found.start()]}(?{found[1]}:{regex[found.end() : end]}){regex[end:]}"
    return regex


def _end_of_group(regex: str, at: int) -> int:
    depth, in_class = 0, False
    while at < len(regex):
        character = regex[at]
        if character == "\\":
            at += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
            at += regex[at + 1 : at + 2] in ("]", "^")
        elif character == "(":
            depth += 1
        elif character == ")":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return at


def _grouped(regex: str, number: int) -> str:
    """The regex with its `number`th group called `value`; 0 leaves the first group, if there is one, to be it."""
    if number == 0:
        return regex
    at = seen = 0
    while at < len(regex):
        if regex[at] == "\\":
            at += 1
        elif regex[at] == "[":
            at += 1 + (regex[at + 1 : at + 2] in ("]", "^"))
            while at < len(regex) and regex[at] != "]":
                at += 2 if regex[at] == "\\" else 1
        elif regex[at] == "(" and (regex[at + 1] != "?" or regex[at + 1 : at + 4] == "?P<"):
            seen += 1
            if seen == number:
                inside = regex.index(">", at) + 1 if regex[at + 1] == "?" else at + 1
                return f"{regex[:at]}(?P<value>{regex[inside:]}"
        at += 1
    raise ValueError(f"there is no group {number}")


def _compiles(expression: str) -> bool:
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        database.compile(expressions=[expression.replace("(?P<value>", "(").encode()], ids=[0], elements=1, flags=0)
    except hyperscan.HyperscanError:
        return False
    return True


def _of_keywords(table: dict[str, Any]) -> str:
    words = [re.escape(word) for word in table.get("keywords", []) if len(word) > 2]
    return f"(?i:{'|'.join(words)})" if words else ""
