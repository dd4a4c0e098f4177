"""What each subject is in scope of: cardholder data, national security systems, production …; told, never guessed.

Three sources, the later having the last word: the columns of the inventory (`scopes.toml` beside this module says how
they are read), tags (`scope=pci`, `scope=none`), and a mapping file of the user's:

    default = "unknown"                  # or a list: what nothing names is in these and in no other
    [inventory]                          # what the organisation as a whole is, for what only a person can attest
    scopes = ["financial-entity"]
    not = ["nss"]
    [[map]]
    match = { locator = "file:///srv/pay/*", tag = "team=payments" }   # all must match; a list means any of them
    scopes = ["cardholder-data", "production"]
    not = ["ephi"]

A subject told to be in has the word, one told to be out `not:WORD`; `not:*` is out of all that is not named. No list
at all is not told.

Refuses to: take a word that is no scope (one's own begin with `x-`), or a match on a field that no subject has.

>>> from toolkit.conditions import frame_of
>>> frame = frame_of("key", [{"environment": "prod"}, {"tags": ["scope=PCI"]}, {"environment": "test"}, {}])
>>> tell("key", frame, NOTHING).tolist()
[['production'], ['cardholder-data'], ['not:production'], <NA>]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.errors import PolicyError
from toolkit.terms import Scope

FILE: Final = "scopes.toml"
"""The name of a workspace's own mapping file."""
_TEXTS: Final = pa.list_(pa.string())
_IN, _OUT = 1, 2
_FIELDS: Final = frozenset(
    {"locator", "label", "owner", "account", "application", "environment", "data_class", "region", "holder", "path"}
    | {"tag", "extended_key_usage"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a mapping: which subjects, and what it tells of them."""

    match: tuple[tuple[str, re.Pattern[str]], ...]
    subjects: tuple[str, ...]
    told: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Scopes:
    """A mapping: its rows in order, and what holds for what they do not name (None: not told)."""

    entries: tuple[Entry, ...] = ()
    default: tuple[str, ...] | None = None
    inventory: tuple[tuple[str, int], ...] = ()


NOTHING: Final = Scopes()


def load(path: Path) -> Scopes:
    """The mapping in a file.

    Raises:
        PolicyError: it cannot be read or is not of the form.
    """
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")), where=str(path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise PolicyError(f"cannot read the scopes in {path}: {wrong}") from wrong


def parse(data: Mapping[str, Any], *, where: str = FILE) -> Scopes:
    """The mapping that parsed TOML says."""
    _only(data, {"default", "inventory", "map"}, where)
    default = data.get("default", "unknown")
    whole = data.get("inventory", {})
    _only(whole, {"scopes", "not"}, f"{where}, inventory")
    return Scopes(
        entries=tuple(_entry(row, f"{where}, map {number}") for number, row in enumerate(data.get("map", []), 1)),
        default=None if default == "unknown" else _words(default, f"{where}, default"),
        inventory=_told(whole, f"{where}, inventory"),
    )


def _entry(row: Mapping[str, Any], where: str) -> Entry:
    _only(row, {"match", "subject", "scopes", "not", "why"}, where)
    match = row.get("match", {})
    _only(match, _FIELDS, f"{where}, match")
    told = _told(row, where)
    if not match or not told:
        raise PolicyError(f"{where}: it needs `match`, and `scopes` or `not`")
    patterns = tuple((field, _pattern(globs, f"{where}, {field}")) for field, globs in match.items())
    return Entry(patterns, tuple(_list(row.get("subject", []), where)), told)


def _told(row: Mapping[str, Any], where: str) -> tuple[tuple[str, int], ...]:
    both = (("scopes", _IN), ("not", _OUT))
    return tuple((word, sign) for key, sign in both for word in _words(row.get(key, []), f"{where}, {key}"))


def _words(value: object, where: str) -> tuple[str, ...]:
    words = tuple(word.casefold() for word in _list(value, where))
    if odd := [word for word in words if word not in _KNOWN and not word.startswith("x-")]:
        known = ", ".join(sorted(_KNOWN))
        raise PolicyError(f"{where}: no scope is called {', '.join(odd)}", advice=f"use x-… or one of: {known}")
    return words


_KNOWN: Final = frozenset(scope.value for scope in Scope)


def _list(value: object, where: str) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(member, str) for member in values):
        raise PolicyError(f"{where}: a text or a list of texts is needed, not {value!r}")
    return values


def _pattern(globs: object, where: str) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob.casefold()) for glob in _list(globs, where)))


def _only(table: object, known: AbstractSet[str], where: str) -> None:
    if not isinstance(table, Mapping):
        raise PolicyError(f"{where}: a table is needed")
    if odd := table.keys() - known:
        raise PolicyError(f"{where}: unknown {', '.join(sorted(odd))}", advice=f"known are: {', '.join(sorted(known))}")


@cache
def _own() -> tuple[Scopes, dict[str, Any]]:
    data = tomllib.loads(files("toolkit").joinpath("scopes.toml").read_text(encoding="utf-8"))
    tags = data.pop("tags")
    return parse(data, where="toolkit/scopes.toml"), tags


_NO_WORDS: Final[list[tuple[str, ...]]] = [()]


class _Told:
    """What is told of each row, word by word."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.words: dict[str, NDArray[np.int8]] = {}

    def say(self, told: Sequence[tuple[str, int]], rows: NDArray[np.bool_]) -> None:
        for word, sign in told:
            if word not in self.words:
                self.words[word] = np.zeros(self.rows, np.int8)
            self.words[word][rows] = sign

    def lists(self, *, is_closed: bool) -> pd.Series[Any]:
        """The words of each row as a list; null where nothing is told."""
        combined, tuples = np.zeros(self.rows, np.int64), _NO_WORDS[: self.rows]
        for word, signs in self.words.items():
            combined, distinct = pd.factorize(combined * 3 + signs)
            shown = ((), (word,), (f"not:{word}",))
            tuples = [tuples[code // 3] + shown[code % 3] for code in distinct]
        rest = ["not:*"] if is_closed else []
        values = pa.array([[*words, *rest] or None for words in tuples] or [None], _TEXTS)
        return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([values.take(pa.array(combined))])))


def tell(
    subject: str, frame: pd.DataFrame, mapping: Scopes, *, given: Mapping[str, Any] | None = None
) -> pd.Series[Any]:
    """The column `scopes` of a subject's frame; `given` has flags by word that the caller worked out (NA: not told)."""
    own, tags = _own()
    told = _Told(len(frame))
    for entry in own.entries:
        _apply(entry, subject, frame, told)
    for word, flags in (given or {}).items():
        told.say([(word, _IN)], flags.fillna(False).to_numpy(dtype=bool))
        told.say([(word, _OUT)], (~flags.fillna(True)).to_numpy(dtype=bool))
    is_closed = _apply_tags(tags, frame, told)
    for entry in mapping.entries:
        _apply(entry, subject, frame, told)
    if subject == "inventory":
        told.say(mapping.inventory, np.ones(len(frame), bool))
    for word in mapping.default or ():
        signs = told.words.get(word, np.zeros(len(frame), np.int8))
        told.say([(word, _IN)], signs == 0)
    told.say([("*", _OUT)], is_closed)
    return told.lists(is_closed=mapping.default is not None).set_axis(frame.index)


def _apply(entry: Entry, subject: str, frame: pd.DataFrame, told: _Told) -> None:
    if entry.subjects and subject not in entry.subjects:
        return
    rows = np.ones(len(frame), bool)
    for field, pattern in entry.match:
        column = "tags" if field == "tag" else field
        if column not in frame:
            return
        rows &= _matches(frame[column], pattern)
    told.say(entry.told, rows)


def _matches(column: pd.Series[Any], pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    values = pa.array(column.array, from_pandas=True)
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_list(values.type):
        has = np.zeros(len(column), bool)
        parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
        has[parents[_matching(values.flatten(), pattern)]] = True
        return has
    return _matching(values, pattern)


def _matching(values: pa.Array, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
    # Each distinct text is asked once; a column of a million places has as many, most columns have few.
    once = values.cast(pa.string()).dictionary_encode()
    is_match = np.array([bool(pattern.match(str(text).casefold())) for text in once.dictionary.to_pylist()] + [False])
    found: NDArray[np.bool_] = is_match[once.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return found


def _apply_tags(tags: Mapping[str, Any], frame: pd.DataFrame, told: _Told) -> NDArray[np.bool_]:
    """What the tags tell; the rows whose tag says that they are in no other scope."""
    closed = np.zeros(len(frame), bool)
    if "tags" not in frame:
        return closed
    lists = pa.array(frame["tags"].array, from_pandas=True)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    once = lists.flatten().cast(pa.string()).dictionary_encode()
    codes = once.indices.to_numpy(zero_copy_only=False)
    for code, tag in enumerate(once.dictionary.to_pylist()):
        name, _, value = (tag or "").casefold().partition("=")
        if name.strip() in tags["names"]:
            rows = np.zeros(len(frame), bool)
            rows[parents[codes == code]] = True
            words = [word for word in re.split(r"[\s,;+/]+", value) if word]
            meant = [tags["words"].get(word, word) for word in words]
            told.say([(word, _IN) for word in meant if word in _KNOWN or word.startswith("x-")], rows)
            if words and set(words) <= set(tags["none"]):
                closed |= rows
    return closed


def of(source: Scopes | str | Path | None) -> Scopes:
    """A mapping from what a caller gives: one already, a file, or nothing."""
    if isinstance(source, Scopes):
        return source
    return NOTHING if source is None else load(Path(source))


def in_workspace(folder: str | Path) -> Path | None:
    """A workspace's own mapping file, if it has one."""
    place = Path(folder) / FILE
    return place if place.is_file() else None
