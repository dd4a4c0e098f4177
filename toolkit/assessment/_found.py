"""Findings as they are gathered: codes only, texts once, rule by rule; the table at the end.

Ten million findings are some tens of bytes each: what repeats with the rule has one array of codes for all columns
that repeat alike, verdicts are runs, and values that were seen are codes into their texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from toolkit.policies import Pack, Rule
from toolkit.tables import COLUMNS, TEXTS
from toolkit.terms import Verdict

INVENTORY: Final = "inventory"
_CODES: Final = {verdict: code for code, verdict in enumerate(Verdict)}


@dataclass(slots=True)
class Part:
    """What one rule found: rows by verdict, and for each what was seen and what was missing."""

    rule: int
    subject: str
    rows: NDArray[np.int32]
    verdicts: list[tuple[Verdict, int]]
    saw: NDArray[np.int32]
    missing: NDArray[np.int16]
    excepted: NDArray[np.int16] | None = None
    """Codes of what is excepted, -1 for nothing; None if nothing is."""


@dataclass(slots=True)
class Found:
    """All parts, and the texts that their codes mean."""

    parts: list[Part] = field(default_factory=list)
    saw_texts: list[pa.Array] = field(default_factory=list)
    saw_count: int = 0
    missing: dict[tuple[str, ...], int] = field(default_factory=lambda: {(): 0})
    excepted: dict[str, int] = field(default_factory=dict)

    def add_texts(self, parts: Sequence[Part], count: int, texts: Callable[[NDArray[Any]], pa.Array]) -> None:
        """Take parts whose `saw` are codes of one set of `count` combinations; only those that occur are written."""
        is_used = np.zeros(count, bool)
        for part in parts:
            is_used[part.saw] = True
        used = np.flatnonzero(is_used)
        places = np.cumsum(is_used, dtype=np.int32) + np.int32(self.saw_count - 1)
        for part in parts:
            part.saw = places[part.saw]
        self.saw_texts.append(texts(used).cast(pa.large_string()))
        self.saw_count += len(used)
        self.parts += parts

    def missing_code(self, names: Iterable[str]) -> int:
        """The code of a list of missing fields."""
        return self.missing.setdefault(tuple(names), len(self.missing))

    def excepted_code(self, told: str) -> int:
        """The code of an exception."""
        return self.excepted.setdefault(told, len(self.excepted))

    def frame(self, rules: list[tuple[Pack, Rule]], frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The findings as the table `findings`, in the order of the rules."""
        self.parts.sort(key=lambda part: part.rule)
        kinds: dict[str, Any] = {column.name: column.dtype for column in COLUMNS["findings"]}
        lengths = [len(part.rows) for part in self.parts]
        repeat = _Repeat([part.rule for part in self.parts], lengths)
        told: dict[str, Any] = {
            name: repeat.of([tell(pack, rule) for pack, rule in rules], kinds[name]) for name, tell in _OF_RULE.items()
        }
        told["is_draft"] = repeat.flags([rule.is_draft for _, rule in rules])
        told["verdict"] = self._verdicts(kinds["verdict"])
        told |= self._of_subjects(frames)
        texts = pa.chunked_array(self.saw_texts, pa.large_string()).combine_chunks()
        saw = _joined([part.saw for part in self.parts], np.int32)
        # Two subjects may have the same fields, and then the same texts.
        once = texts.dictionary_encode()
        if len(once.dictionary) < len(texts):
            saw = once.indices.to_numpy()[saw]
        told["saw"] = _categorical(saw, pd.arrays.ArrowStringArray(pa.chunked_array([once.dictionary])))
        lists = pa.array([list(names) for names in self.missing], TEXTS)
        told["missing"] = _dictionary(_joined([part.missing for part in self.parts], np.int16), lists)
        told["excepted"] = _categorical(self._excepted(sum(lengths)), list(self.excepted))
        return pd.DataFrame({column.name: told[column.name] for column in COLUMNS["findings"]}, copy=False)

    def _excepted(self, count: int) -> NDArray[np.int16]:
        codes, start = np.full(count, -1, np.int16), 0
        for part in self.parts:
            if part.excepted is not None:
                codes[start : start + len(part.rows)] = part.excepted
            start += len(part.rows)
        return codes

    def _verdicts(self, kind: Any) -> pd.Categorical[Any]:
        runs = [(_CODES[verdict], count) for part in self.parts for verdict, count in part.verdicts]
        codes = np.repeat(np.array([code for code, _ in runs], np.int8), [count for _, count in runs])
        return pd.Categorical.from_codes(codes, dtype=kind, validate=False)

    def _of_subjects(self, frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.Categorical[Any]]:
        """Uid and place of each finding's subject."""
        kind = pd.StringDtype("pyarrow")
        none = pd.DataFrame({"subject_uid": [INVENTORY], "locator": [None]}, dtype=kind)
        all_frames = {INVENTORY: none, **frames}
        starts = dict(zip(all_frames, np.cumsum([0, *map(len, all_frames.values())]), strict=False))
        places = _joined([part.rows + np.int32(starts[part.subject]) for part in self.parts], np.int32)
        told = {}
        for name in ("subject_uid", "locator"):
            values = pd.concat([frame[name] for frame in all_frames.values()], ignore_index=True).astype(kind)
            codes, distinct = pd.factorize(values)
            # Distinct uids are their own codes; the array is shared by all columns for which that holds.
            is_own = len(distinct) == len(values)
            ours = places if is_own else codes.astype(np.int32)[places]
            told[name] = _categorical(ours, pd.Index(distinct))
        return told


class _Repeat:
    """What is said once a rule, repeated for its findings; columns that repeat alike share their codes."""

    def __init__(self, rules: list[int], lengths: list[int]) -> None:
        self._rules, self._lengths = np.array(rules, np.intp), lengths
        self._shared: dict[bytes, NDArray[Any]] = {}

    def of(self, values: list[str | None], kind: Any) -> pd.Categorical[Any]:
        """A column; equal values share a category."""
        array = np.array(values, dtype=object)
        if isinstance(kind, pd.CategoricalDtype):
            codes = self._codes(kind.categories.get_indexer(pd.Index(array))) if values else np.zeros(0, np.int8)
            return pd.Categorical.from_codes(codes, dtype=kind, validate=False)
        places, distinct = pd.factorize(array)
        return _categorical(self._codes(places), list(distinct))

    def flags(self, values: list[bool]) -> pd.arrays.BooleanArray:
        """A column of flags."""
        flags = self._codes(np.array(values, np.int8)).astype(bool)
        return pd.arrays.BooleanArray(flags, np.zeros(len(flags), bool))

    def _codes(self, places: NDArray[Any]) -> NDArray[Any]:
        small = np.int8 if not len(places) or places.max() < 127 else np.int16
        once = places.astype(small)
        key = once.tobytes()
        if key not in self._shared:
            self._shared[key] = np.repeat(once[self._rules], self._lengths)
        return self._shared[key]


def _joined(arrays: list[NDArray[Any]], kind: Any) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, kind)


def _dictionary(codes: NDArray[Any], values: pa.Array) -> pd.Series[Any]:
    """Codes and what they mean, as Arrow holds them: pandas has no categories that are lists."""
    array = pa.DictionaryArray.from_arrays(pa.array(codes), values)
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))


def _categorical(codes: NDArray[Any], values: Any) -> pd.Categorical[Any]:
    categories = pd.Index(values, dtype=pd.StringDtype("pyarrow"))
    return pd.Categorical.from_codes(codes, categories=categories, validate=False)


_OF_RULE: Final[dict[str, Callable[[Pack, Rule], str | None]]] = {
    "subject": lambda _, rule: rule.subject,
    "pack": lambda pack, _: pack.name,
    "rule": lambda _, rule: rule.id,
    "clause": lambda _, rule: rule.clause,
    "severity": lambda _, rule: rule.severity.value,
    "says": lambda _, rule: rule.says,
    "remediation": lambda _, rule: rule.remediation,
    "verb": lambda _, rule: rule.verb and rule.verb.value,
    "topic": lambda _, rule: rule.topic.value,
    "evidence": lambda _, rule: "; ".join(rule.evidence) or None,
    "cwe": lambda _, rule: rule.cwe,
    "attack": lambda _, rule: ", ".join(rule.attack) or None,
    "scope": lambda _, rule: ", ".join(rule.scope) or None,
    "edition": lambda _, rule: rule.edition,
    "url": lambda _, rule: rule.url,
    "status": lambda pack, _: pack.status.value,
    "binding": lambda pack, _: pack.binding.value,
    "mark": lambda _, rule: rule.mark.value,
}
