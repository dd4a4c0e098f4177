"""Findings as they are written down: codes only, texts once, each rule's where its place in the table is.

Ten million findings are some tens of bytes each: what repeats with the rule has one array of codes for all columns
that repeat alike, verdicts are runs, and values that were seen are codes into their texts. How many findings there
will be is counted first, so that every array is made once, at its full size, and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.assessment._saw import Saw
from toolkit.conditions import Bits, flags_of
from toolkit.policies import Pack, Rule
from toolkit.tables import COLUMNS, TEXTS
from toolkit.terms import Verdict

INVENTORY: Final = "inventory"
_CODES: Final = {verdict: code for code, verdict in enumerate(Verdict)}
_TEXT: Final = pd.StringDtype("pyarrow")
_KINDS: Final[dict[str, Any]] = {column.name: column.dtype for column in COLUMNS["findings"]}

Told = Sequence[tuple[Verdict, Bits]]
"""The rows of each verdict that is wanted; a bit behind the last row is not set."""


@dataclass(slots=True)
class Part:
    """What one rule found: how many rows of each verdict, and where in the table they begin."""

    rule: int
    subject: str
    fields: tuple[str, ...]
    runs: list[tuple[Verdict, int]]
    start: int = 0

    @property
    def count(self) -> int:
        """How many findings."""
        return sum(count for _, count in self.runs)


class Found:
    """The table `findings`, made of parts in the order of the rules."""

    def __init__(self, parts: list[Part], frames: Mapping[str, pd.DataFrame]) -> None:
        self._parts = sorted(parts, key=lambda part: part.rule)
        size = 0
        for part in self._parts:
            part.start, size = size, size + part.count
        none = pd.DataFrame({"subject_uid": [INVENTORY], "locator": [None]}, dtype=_TEXT)
        self._named = _Named({INVENTORY: none, **frames}, size)
        self._saw = np.empty(size, np.int32)
        self._missing = np.zeros(size, np.int16)
        self._lists: dict[tuple[str, ...], int] = {(): 0}
        self._texts: dict[tuple[str, ...], list[tuple[int, pa.Array]]] = {}
        self._text_count = 0
        self._exceptions: dict[str, list[NDArray[np.intp]]] = {}

    def write(
        self, saw: Saw, parts: Sequence[tuple[Part, Told, Mapping[str, Bits], Mapping[str, Bits]]], rows: int
    ) -> None:
        """Put down what rules of one subject that look at the same fields say."""
        codes = self._coded(saw, parts[0][0].fields, [bits for _, told, _, _ in parts for _, bits in told], rows)
        for part, told, missing, excepted in parts:
            at = part.start
            for verdict, bits in told:
                found = np.flatnonzero(flags_of(bits, rows))
                span = slice(at, at := at + len(found))
                self._named.write(part.subject, found, span)
                np.take(codes, found, out=self._saw[span], mode="clip")
                if verdict is Verdict.INDETERMINATE and missing:
                    self._missing[span] = self._missed(missing, found, rows)
                for one, covered in excepted.items():
                    places = span.start + np.flatnonzero(flags_of(covered, rows)[found])
                    self._exceptions.setdefault(one, []).append(places)

    def _coded(self, saw: Saw, fields: tuple[str, ...], bits: Sequence[Bits], rows: int) -> NDArray[np.int32]:
        """For each row the code of its text; only texts that a finding shows are written."""
        any_bits = np.bitwise_or.reduce(bits) if bits else np.zeros(0, np.uint8)
        is_used = np.zeros(saw.count, bool)
        is_used[saw.codes[flags_of(any_bits, rows)]] = True
        used = np.flatnonzero(is_used)
        places = np.zeros(saw.count, np.int32)
        places[used] = self._text_codes(fields, saw.texts(used))
        coded: NDArray[np.int32] = places[saw.codes]
        return coded

    def _text_codes(self, fields: tuple[str, ...], texts: pa.Array) -> NDArray[np.int32]:
        """Codes of texts, new ones for those that no other subject's rules with these fields have shown."""
        known = self._texts.setdefault(fields, [])
        codes = np.full(len(texts), -1, np.int32)
        for start, others in known:
            found = pc.index_in(texts, others).fill_null(-1).to_numpy()
            codes[found >= 0] = found[found >= 0] + start
        new = codes < 0
        codes[new] = np.arange(self._text_count, self._text_count + new.sum(), dtype=np.int32)
        known.append((self._text_count, texts.filter(pa.array(new))))
        self._text_count += int(new.sum())
        return codes

    def _missed(self, missing: Mapping[str, Bits], found: NDArray[Any], rows: int) -> NDArray[np.int16]:
        mask = np.zeros(len(found), np.int32)
        for bit, bits in enumerate(missing.values()):
            mask |= flags_of(bits, rows)[found].astype(np.int32) << bit
        codes, masks = pd.factorize(mask)
        lists = [tuple(name for bit, name in enumerate(missing) if value >> bit & 1) for value in masks]
        return np.array([self._lists.setdefault(names, len(self._lists)) for names in lists], np.int16)[codes]

    def frame(self, rules: list[tuple[Pack, Rule]]) -> pd.DataFrame:
        """The findings as the table `findings`, in the order of the rules."""
        repeat = _Repeat([part.rule for part in self._parts], [part.count for part in self._parts])
        told: dict[str, Any] = {
            name: repeat.of([tell(pack, rule) for pack, rule in rules], _KINDS[name]) for name, tell in _OF_RULE.items()
        }
        told["is_draft"] = repeat.flags([rule.is_draft for _, rule in rules])
        told["verdict"] = self._verdicts()
        told |= self._named.columns()
        texts = sorted((pair for known in self._texts.values() for pair in known), key=itemgetter(0))
        chunks = pa.chunked_array([part for _, part in texts], pa.large_string())
        told["saw"] = _categorical(self._saw, pd.arrays.ArrowStringArray(chunks))
        told["missing"] = _dictionary(self._missing, pa.array([list(names) for names in self._lists], TEXTS))
        told["excepted"] = self._excepted()
        return pd.DataFrame({name: told[name] for name in _KINDS}, copy=False)

    def _excepted(self) -> pd.Categorical[Any]:
        """Which exception covers each; hardly any has one."""
        codes = np.full(len(self._saw), -1, np.int8 if len(self._exceptions) < 127 else np.int16)
        for code, places in enumerate(self._exceptions.values()):
            codes[np.concatenate(places)] = code
        return _categorical(codes, list(self._exceptions))

    def _verdicts(self) -> pd.Categorical[Any]:
        runs = [(_CODES[verdict], count) for part in self._parts for verdict, count in part.runs]
        codes = _repeated([code for code, _ in runs], [count for _, count in runs], np.int8)
        return pd.Categorical.from_codes(codes, dtype=_KINDS["verdict"], validate=False)


class _Named:
    """Uid and place of each finding's subject: codes into those of all subjects, one behind the other."""

    def __init__(self, frames: Mapping[str, pd.DataFrame], size: int) -> None:
        self._starts = dict(zip(frames, np.cumsum([0, *map(len, frames.values())]), strict=False))
        self._names: dict[str, pd.Index[Any]] = {}
        self._own: dict[str, NDArray[np.int32]] = {}
        for name in ("subject_uid", "locator"):
            column = pa.chunked_array([pa.array(frame[name], pa.large_string()) for frame in frames.values()])
            once = column.combine_chunks().dictionary_encode()
            if len(once.dictionary) < len(column):
                self._own[name] = once.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            self._names[name] = pd.Index(pd.arrays.ArrowStringArray(pa.chunked_array([once.dictionary])))
        # Distinct uids are their own codes; the array is shared by all columns for which that holds.
        self._places = np.empty(size if len(self._own) < len(self._names) else 0, np.int32)
        self._codes = {name: np.empty(size, np.int32) for name in self._own}

    def write(self, subject: str, found: NDArray[np.intp], span: slice) -> None:
        start = self._starts[subject]
        if len(self._places):
            np.add(found, start, out=self._places[span], casting="unsafe")
        for name, codes in self._own.items():
            np.take(codes[start:], found, out=self._codes[name][span], mode="clip")

    def columns(self) -> dict[str, pd.Categorical[Any]]:
        return {name: _categorical(self._codes.get(name, self._places), names) for name, names in self._names.items()}


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
        flags = self._codes(np.array(values, np.int8)).view(bool)
        return pd.arrays.BooleanArray(flags, np.zeros(len(flags), bool))

    def _codes(self, places: NDArray[Any]) -> NDArray[Any]:
        small = np.int8 if not len(places) or places.max() < 127 else np.int16
        once = places.astype(small)[self._rules]
        key = once.tobytes()
        if key not in self._shared:
            self._shared[key] = _repeated(once.tolist(), self._lengths, small)
        return self._shared[key]


def _repeated(values: Sequence[int], lengths: Sequence[int], kind: Any) -> NDArray[Any]:
    """`np.repeat`, which is several times slower where runs are long."""
    out = np.empty(sum(lengths), kind)
    at = 0
    for value, length in zip(values, lengths, strict=True):
        out[at : at + length] = value
        at += length
    return out


def _dictionary(codes: NDArray[Any], values: pa.Array) -> pd.Series[Any]:
    """Codes and what they mean, as Arrow holds them: pandas has no categories that are lists."""
    array = pa.DictionaryArray.from_arrays(pa.array(codes), values)
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))


def _categorical(codes: NDArray[Any], values: Any) -> pd.Categorical[Any]:
    categories = values if isinstance(values, pd.Index) else pd.Index(values, dtype=_TEXT)
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
