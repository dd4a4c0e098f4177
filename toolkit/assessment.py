"""What the standards say of an inventory: one row per subject and rule that applies to it, as of a date.

Whole columns at a time: a million keys is a matter of seconds. Texts that repeat (uid, locator, rule, `saw` …) are
categorical columns, so that ten million rows are not ten million strings; `toolkit.tables` turns them into text again.

Refuses to: pass what it cannot tell. An unknown value makes a verdict INDETERMINATE and `missing` names its field;
what only a person can answer is ATTESTATION_REQUIRED, once an inventory.

>>> from datetime import UTC
>>> from toolkit import registry
>>> from toolkit.conditions import frame_of
>>> from toolkit.policies import load
>>> pack = load(registry.entry("policies", "nist_sp800_131a").path)
>>> keys = frame_of("key", [{"subject_uid": "spki:1", "holds_secret": True, "algorithm": "RSA", "size_bits": 1024}])
>>> found = assess({"key": keys}, [pack], as_of=datetime(2026, 6, 1, tzinfo=UTC))
>>> found.loc[found["verdict"] == "FAIL", ["rule", "saw"]].values.tolist()
[['rsa-size', '{"holds_secret": true, "algorithm": "RSA", "size_bits": 1024}']]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from toolkit.conditions import FIELDS, Columns, fields_of
from toolkit.policies import Pack, Rule, judge
from toolkit.tables import COLUMNS, TEXTS
from toolkit.terms import Verdict

_NOT_APPLICABLE: Final = tuple(Verdict).index(Verdict.NOT_APPLICABLE)
_ATTESTATION: Final = tuple(Verdict).index(Verdict.ATTESTATION_REQUIRED)
_INVENTORY: Final = "inventory"


def assess(
    subjects: Mapping[str, pd.DataFrame],
    packs: Sequence[Pack],
    *,
    as_of: datetime,
    verdicts: Iterable[Verdict] | None = None,
    include_not_applicable: bool = False,
) -> pd.DataFrame:
    """The findings: each rule's verdict on each subject of its kind that it applies to, rule by rule.

    `verdicts` keeps only those; without it all but NOT_APPLICABLE are given.
    """
    wanted = np.ones(len(Verdict), bool) if verdicts is None else np.isin(list(Verdict), list(verdicts))
    wanted[_NOT_APPLICABLE] &= include_not_applicable or verdicts is not None
    asked = {name: _Subject(Columns(name, frame, as_of=as_of)) for name, frame in subjects.items()}
    found = _Found()
    rules = [(pack, rule) for pack in packs for rule in pack.rules]
    for number, (_, rule) in enumerate(rules):
        if rule.attestation:
            if rule.is_effective(as_of) and wanted[_ATTESTATION]:
                found.add_attestation(number)
        elif rule.subject in asked:
            _judge(rule, number, asked[rule.subject], wanted, found)
    return found.frame(rules, asked)


def summary(findings: pd.DataFrame) -> pd.DataFrame:
    """One row a rule: how many subjects it gave each verdict; what fails most severely first."""
    keys = ["pack", "rule", "severity", "is_draft", "says"]
    shown = [verdict.value for verdict in Verdict if verdict is not Verdict.NOT_APPLICABLE]
    counts = findings.groupby([*keys, "verdict"], observed=True, sort=False).size().unstack("verdict", fill_value=0)
    told = counts.reindex(columns=shown, fill_value=0).astype("Int64").rename_axis(columns=None).reset_index()
    order = ["FAIL", "WARN", "INDETERMINATE"]
    told["_failing"] = told["FAIL"] > 0
    told = told.sort_values(["_failing", "severity", *order], ascending=False, kind="stable")
    return told[["pack", "rule", "severity", *shown, "is_draft", "says"]].reset_index(drop=True)


class _Subject:
    """One kind of subject, with what findings repeat of it as codes."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._shown: dict[str, tuple[NDArray[Any], list[str]]] = {}

    def shown(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """A field as codes into JSON texts; the last text is `null`, so that code -1 means unknown."""
        if name not in self._shown:
            show = _SHOW[FIELDS[self.columns.subject][name]]
            codes, texts = show(self.columns, name)
            self._shown[name] = codes, [*texts, "null"]
        return self._shown[name]


def _show_text(columns: Columns, name: str) -> tuple[NDArray[Any], list[str]]:
    codes, values = columns.codes(name)
    return codes, [json.dumps(str(value), ensure_ascii=False) for value in values]


def _show_plain(columns: Columns, name: str) -> tuple[NDArray[Any], list[str]]:
    column = columns.frame[name]
    codes, values = pd.factorize(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if isinstance(column.dtype, pd.BooleanDtype):
        return codes, [json.dumps(bool(value)) for value in values]
    return codes, [json.dumps(int(value) if value == int(value) else float(value)) for value in values]


def _show_day(columns: Columns, name: str) -> tuple[NDArray[Any], list[str]]:
    # The day is what rules are about, and it keeps the distinct texts few.
    codes, days = pd.factorize(columns.frame[name].to_numpy(dtype="datetime64[us]").astype("datetime64[D]"))
    return codes, [f'"{day}"' for day in days.astype("datetime64[D]")]


def _show_list(columns: Columns, name: str) -> tuple[NDArray[Any], list[str]]:
    lists = pa.array(columns.frame[name], from_pandas=True)
    lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
    # A separator that no name holds makes lists into texts, and texts are counted fast.
    joined = pa.compute.binary_join(lists.cast(pa.list_(pa.string())), "\x1f").dictionary_encode()
    codes = joined.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    texts = joined.dictionary.to_pylist()
    return codes, [json.dumps(text.split("\x1f") if text else [], ensure_ascii=False) for text in texts]


_SHOW: Final[dict[str, Callable[[Columns, str], tuple[NDArray[Any], list[str]]]]] = {
    "text": _show_text,
    "number": _show_plain,
    "flag": _show_plain,
    "time": _show_day,
    "texts": _show_list,
    "scopes": _show_list,
}


def _judge(rule: Rule, number: int, subject: _Subject, wanted: NDArray[np.bool_], found: _Found) -> None:
    judged = judge(rule, subject.columns)
    rows = np.flatnonzero(wanted[judged.verdicts])
    if rows.size:
        saw, saw_texts = _saw(rule, subject, rows)
        missing, missing_lists = _missing(judged.missing, rows)
        found.add(number, rule.subject, rows, judged.verdicts[rows], (saw, saw_texts), (missing, missing_lists))


def _saw(rule: Rule, subject: _Subject, rows: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """The values that the rule looked at, as JSON, once per distinct combination."""
    assert rule.require is not None
    names = dict.fromkeys((*fields_of(rule.applies), *fields_of(rule.require)))
    parts = [(name, *subject.shown(name)) for name in names]
    combined, distinct = np.zeros(len(rows), np.int64), np.zeros(1, np.int64)
    tuples: list[tuple[str, ...]] = [()]
    for name, codes, texts in parts:
        # Factorised after each field: the codes stay small, whatever the number of fields.
        combined, distinct = pd.factorize(combined * len(texts) + codes[rows] % len(texts))
        told = [f'"{name}": {text}' for text in texts]
        tuples = [(*tuples[code // len(texts)], told[code % len(texts)]) for code in distinct]
    return combined.astype(np.int32), ["{" + ", ".join(values) + "}" for values in tuples]


def _missing(missing: dict[str, NDArray[np.bool_]], rows: NDArray[Any]) -> tuple[NDArray[Any], list[list[str]]]:
    mask = np.zeros(len(rows), np.int64)
    for bit, flags in enumerate(missing.values()):
        mask |= flags[rows].astype(np.int64) << bit
    codes, masks = pd.factorize(mask)
    names = list(missing)
    return codes.astype(np.int32), [[n for bit, n in enumerate(names) if value >> bit & 1] for value in masks]


@dataclass(slots=True)
class _Pool:
    """Distinct values met so far, and the codes of rows into them."""

    values: dict[Any, int] = field(default_factory=dict)
    codes: list[NDArray[np.int32]] = field(default_factory=list)

    def add(self, codes: NDArray[Any], values: Iterable[Any]) -> None:
        ours = np.array([self.values.setdefault(value, len(self.values)) for value in values], np.int32)
        self.codes.append(ours[codes])

    def all_codes(self) -> NDArray[np.int32]:
        return np.concatenate(self.codes) if self.codes else np.zeros(0, np.int32)


class _Found:
    """Findings as they are gathered: codes only, texts once."""

    def __init__(self) -> None:
        self._rules: list[NDArray[np.int16]] = []
        self._verdicts: list[NDArray[np.int8]] = []
        self._rows: list[tuple[str, NDArray[np.int32]]] = []
        self._saw, self._missing = _Pool(), _Pool()

    def add(
        self,
        rule: int,
        subject: str,
        rows: NDArray[Any],
        verdicts: NDArray[np.int8],
        saw: tuple[NDArray[Any], list[str]],
        missing: tuple[NDArray[Any], list[list[str]]],
    ) -> None:
        self._rules.append(np.full(len(rows), rule, np.int16))
        self._verdicts.append(verdicts)
        self._rows.append((subject, rows.astype(np.int32)))
        self._saw.add(*saw)
        self._missing.add(missing[0], map(tuple, missing[1]))

    def add_attestation(self, rule: int) -> None:
        once = np.zeros(1, np.int32)
        self.add(rule, _INVENTORY, once, np.array([_ATTESTATION], np.int8), (once, ["{}"]), (once, [[]]))

    def frame(self, rules: list[tuple[Pack, Rule]], asked: dict[str, _Subject]) -> pd.DataFrame:
        """The findings as the table `findings`."""
        rule = np.concatenate(self._rules) if self._rules else np.zeros(0, np.int16)
        verdicts = np.concatenate(self._verdicts) if self._verdicts else np.zeros(0, np.int8)
        kinds: dict[str, Any] = {column.name: column.dtype for column in COLUMNS["findings"]}
        of_rule = {
            name: _repeated([tell(pack, r) for pack, r in rules], rule, kinds[name]) for name, tell in _OF_RULE.items()
        }
        told = {
            **of_rule,
            "is_draft": pd.array(np.array([r.is_draft for _, r in rules], bool)[rule], dtype="boolean"),
            "verdict": pd.Categorical.from_codes(verdicts, dtype=kinds["verdict"]),
            "subject_uid": self._of_subjects(asked, "subject_uid"),
            "locator": self._of_subjects(asked, "locator"),
            "saw": _categorical(self._saw.all_codes(), list(self._saw.values)),
            "missing": self._missing_lists(),
        }
        return pd.DataFrame({column.name: told[column.name] for column in COLUMNS["findings"]}, copy=False)

    def _of_subjects(self, asked: dict[str, _Subject], name: str) -> pd.Categorical:
        """A text column of the subjects, repeated for their findings."""
        once = pd.Series([_INVENTORY if name == "subject_uid" else None], dtype=pd.StringDtype("pyarrow"))
        texts = {_INVENTORY: once} | {kind: subject.columns.frame[name] for kind, subject in asked.items()}
        codes, values = pd.factorize(pd.concat(texts.values(), ignore_index=True).astype(once.dtype))
        starts = dict(zip(texts, np.cumsum([0, *(len(text) for text in texts.values())]), strict=False))
        parts = [codes[starts[kind] + rows] for kind, rows in self._rows]
        return _categorical(
            np.concatenate(parts).astype(np.int32) if parts else np.zeros(0, np.int32), pd.Index(values)
        )

    def _missing_lists(self) -> pd.Series[Any]:
        values = pa.array([list(value) for value in self._missing.values], TEXTS)
        return pd.Series(pd.arrays.ArrowExtensionArray(values.take(pa.array(self._missing.all_codes()))))


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


def _repeated(values: list[str | None], codes: NDArray[np.int16], kind: Any) -> pd.Categorical[Any]:
    """One value a rule, repeated for that rule's findings; equal values share a category."""
    if isinstance(kind, pd.CategoricalDtype):
        places = kind.categories.get_indexer(pd.Index(values, dtype=object))
        return pd.Categorical.from_codes(places.astype(np.int8)[codes] if values else codes, dtype=kind)
    places, distinct = pd.factorize(np.array(values, dtype=object))
    return _categorical(places.astype(np.int16)[codes] if values else codes, list(distinct))


def _categorical(codes: NDArray[Any], values: list[str] | pd.Index[Any]) -> pd.Categorical:
    categories = pd.Index(values, dtype=pd.StringDtype("pyarrow"))
    return pd.Categorical.from_codes(codes, categories=categories, validate=False)
