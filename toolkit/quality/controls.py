"""Controls of a standard, counted by great-expectations and compared with what our own engine says.

Two ways that share no code but the conditions themselves: ours in three-valued logic over bits, theirs in pandas'
`query` over plain columns. Where they differ, `agrees` is False, and that is a defect of one of them.

Refuses to: take a success for a pass. great-expectations says success of an empty table, of a condition that nothing
meets, and of unknown values; here a control is a PASS only if subjects were counted that meet it, none breaks it and
none is left that could not be told.

>>> verdict(Counts(rows=3, met=2, broken=0, not_applicable=1), Verdict.FAIL).value
'PASS'
>>> [verdict(Counts(rows=n, met=0, broken=0, not_applicable=0), Verdict.FAIL).value for n in (0, 3)]
['NOT_APPLICABLE', 'INDETERMINATE']
>>> verdict(Counts(rows=3, met=None, broken=0, not_applicable=0), Verdict.FAIL).value
'INDETERMINATE'
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.conditions import Columns, flags_of
from toolkit.policies import Pack, Rule, judge
from toolkit.quality.engine import Batch, Engine
from toolkit.quality.frames import UID, plain
from toolkit.quality.page import page
from toolkit.quality.suites import BROKEN, MET, NOT_APPLICABLE, ROWS, UIDS, Suite, export
from toolkit.store import folder
from toolkit.terms import Severity, Verdict

_STRING: Final = pd.StringDtype("pyarrow")
_COUNT: Final = pd.Int64Dtype()
DTYPES: Final = {
    "pack": _STRING,
    "rule": _STRING,
    "clause": _STRING,
    "subject": _STRING,
    "severity": pd.CategoricalDtype([member.value for member in Severity], ordered=True),
    "verdict": pd.CategoricalDtype([member.value for member in Verdict]),
    "rows": _COUNT,
    "met": _COUNT,
    "broken": _COUNT,
    "undecided": _COUNT,
    "not_applicable": _COUNT,
    "agrees": pd.BooleanDtype(),
    "says": _STRING,
    "note": _STRING,
}
"""The columns of what `validate` gives."""
_LISTING: Final = {"result_format": "COMPLETE", "return_unexpected_index_query": False}
_LISTED: Final = "expect_column_values_to_be_null"
_MOST_LISTED: Final = 2_000_000
_NO_ROWS: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many rows there are, and of how many a rule is met, broken or not asked; None where it was not counted."""

    rows: int | None = None
    met: int | None = None
    broken: int | None = None
    not_applicable: int | None = None

    @property
    def undecided(self) -> int | None:
        """The rows that are left: nobody can tell."""
        if self.rows is None or self.met is None or self.broken is None or self.not_applicable is None:
            return None
        return self.rows - self.met - self.broken - self.not_applicable


def verdict(counts: Counts, otherwise: Verdict) -> Verdict:
    """What the counts of one rule say of the control: never a pass of what was not looked at."""
    if counts.broken:
        return otherwise
    if counts.undecided is None or counts.undecided != 0:
        return Verdict.INDETERMINATE
    return Verdict.PASS if counts.met else Verdict.NOT_APPLICABLE


Rows = NDArray[np.int64]
_NOTHING: Final = (Counts(rows=0, met=0, broken=0, not_applicable=0), _NO_ROWS, "there is no such subject")
Told = dict[str, tuple[Counts, Rows, str | None]]


def validate(subjects: Mapping[str, pd.DataFrame], packs: Sequence[Pack], *, as_of: datetime) -> pd.DataFrame:
    """One row a rule: what great-expectations counts, the control's verdict, and whether our engine agrees.

    Columns: pack, rule, clause, subject, severity, verdict (of the control, over all subjects), rows, met, broken,
    undecided, not_applicable (counts of subjects; unknown where it could not be counted), agrees (the counts, and
    the subjects that break it, are those of our engine; unknown where it was not asked), says, note (why it was not).

    Raises:
        ConfigError: great-expectations is not installed.
    """
    rows: list[dict[str, Any]] = []
    with closing(Engine()) as engine:
        for pack in packs:
            rules = {rule.id: rule for rule in pack.rules}
            for suite in export(pack, as_of=as_of):
                frame = subjects.get(suite.subject, pd.DataFrame())
                told = count(engine, suite, frame) if len(frame) else dict.fromkeys(suite.rules, _NOTHING)
                ours = Columns(suite.subject, frame, as_of=as_of)
                rows += [_row(pack, rules[name], *answer, ours) for name, answer in told.items()]
                rows += [_left_out(pack, rules[name], why) for name, why in suite.left_out.items()]
    return pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)


def write(told: pd.DataFrame, subjects: Mapping[str, pd.DataFrame], packs: Sequence[Pack], out: Path, *, as_of: datetime) -> Path:  # noqa: E501  # fmt: skip
    """Keep the evidence in a folder: the page, and each suite with the frame that it was asked of; the page's path.

    Raises:
        StoreError: it cannot be written.
    """
    with folder.refusing(f"write {out}"):
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = []
        for suite in (suite for pack in packs for suite in export(pack, as_of=as_of)):
            frame = subjects.get(suite.subject, pd.DataFrame())
            if not len(frame) or not suite.rules:
                continue
            content = io.BytesIO()
            plain(frame, suite.subject, suite.fields, suite.lists).to_parquet(content)
            name = f"{suite.pack}.{suite.subject}"
            _replace(out / f"{name}.json", json.dumps(suite.document(), indent=1).encode())
            made += [out / f"{name}.json", out / f"{name}.parquet"]
            _replace(out / f"{name}.parquet", content.getvalue())
        _replace(out / "index.html", page(told, as_of=as_of, made=made).encode())
    return out / "index.html"


def _replace(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    folder.write_new(path, content)


def count(engine: Engine, suite: Suite, frame: pd.DataFrame) -> Told:
    """For each rule of a suite: its counts, the rows of the frame that break it, and why it could not be counted.

    The suite may be one that was loaded, and the frame any of its subject.
    """
    shown = plain(frame, suite.subject, suite.fields, suite.lists)
    if UID in shown:
        # Whether a uid is known is all that is asked of it, and a million texts take long to be picked from.
        shown[UID] = np.where(shown[UID].notna(), np.arange(len(shown), dtype=np.float64), np.nan)
    # great-expectations copies what it is given some forty times: it is given no texts.
    numbered = [{**asked, "meta": {"number": n}} for n, asked in enumerate(suite.expectations)]
    batch = engine.show(shown)
    answers = batch.ask(numbered, "BASIC")
    told = [(asked["meta"], answers[n]) for n, asked in enumerate(suite.expectations)]
    sound = {meta["asks"]: answer.success for meta, answer in told if meta["asks"] in (ROWS, UIDS)}
    rows = _counted(next((answer for meta, answer in told if meta["asks"] == ROWS), None))
    counts = {name: _counts(name, rows, told) for name in suite.rules}
    listed = _broken_rows(batch, suite, counts)
    why = {True: None, False: "a subject has no uid"}[not rows or sound.get(UIDS, False)]
    return {
        name: (found if why is None else Counts(), listed.get(name, _NO_ROWS), why or _why(found))
        for name, found in counts.items()
    }


def _counts(name: str, rows: int | None, told: Iterable[tuple[Mapping[str, Any], Any]]) -> Counts:
    found: dict[str, int | None] = {MET: 0, BROKEN: 0, NOT_APPLICABLE: 0}
    for meta, answer in told:
        if meta.get("rule") == name or name in meta.get("rules", ()):
            found[meta["asks"]] = _counted(answer)
    return Counts(rows=rows, met=found[MET], broken=found[BROKEN], not_applicable=found[NOT_APPLICABLE])


def _counted(answer: Any) -> int | None:
    """How many rows there were; None if it raised: a column is missing, or its values cannot be compared."""
    found = None if answer is None else answer.result.get("observed_value")
    return None if found is None or pd.isna(found) else int(found)


def _why(counts: Counts) -> str | None:
    if counts.rows == 0:
        return "there is no such subject"
    if counts.undecided is None:
        return "a column it needs is missing or of another type"
    return "its conditions overlap" if counts.undecided < 0 else None


def _broken_rows(batch: Batch, suite: Suite, counts: Mapping[str, Counts]) -> dict[str, Rows]:
    """The rows that break each rule: a second question, some rules at a time, since a list of a million is large.

    By position: of values, great-expectations lists the first 200 only.
    """
    broken = {asked["meta"]["rule"]: asked for asked in suite.expectations if asked["meta"]["asks"] == BROKEN}
    found: dict[str, Rows] = {}
    for names in _portions({name: counted.broken for name, counted in counts.items() if counted.broken}):
        asked = [
            {"type": _LISTED, "kwargs": {"column": UID, **_condition_of(broken[name])}, "meta": {"number": number}}
            for number, name in enumerate(names)
        ]
        answers = batch.ask(asked, _LISTING)
        for number, name in enumerate(names):
            listed = answers[number].result.get("unexpected_index_list")
            found[name] = np.array(listed or [], dtype=np.int64)
    return found


def _portions(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    names: list[str] = []
    for name, size in sizes.items():
        if names and sum(sizes[other] for other in names) + size > _MOST_LISTED:
            yield names
            names = []
        names.append(name)
    if names:
        yield names


def _condition_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked["kwargs"].items() if name == "row_condition"}


def _row(pack: Pack, rule: Rule, counts: Counts, listed: Rows, note: str | None, ours: Columns) -> dict[str, Any]:
    agrees = None if counts.undecided is None or not counts.rows else _agrees(rule, counts, listed, ours)
    numbers = {**asdict(counts), "undecided": counts.undecided}
    said = verdict(counts, rule.otherwise).value
    return {**_of_rule(pack, rule), **numbers, "verdict": said, "agrees": agrees, "note": note}


def _left_out(pack: Pack, rule: Rule, why: str) -> dict[str, Any]:
    idle = Verdict.ATTESTATION_REQUIRED if rule.attestation else Verdict.NOT_APPLICABLE
    told = Verdict.INDETERMINATE if "comparisons" in why or "program text" in why else idle
    return {**_of_rule(pack, rule), "verdict": told.value, "note": why}


def _of_rule(pack: Pack, rule: Rule) -> dict[str, Any]:
    return {
        "pack": pack.name, "rule": rule.id, "clause": rule.clause, "subject": rule.subject,
        "severity": rule.severity.value, "says": rule.says,
    }  # fmt: skip


def _agrees(rule: Rule, counts: Counts, listed: Rows, ours: Columns) -> bool:
    judged = judge(rule, ours)
    flags = [flags_of(bits, len(ours)) for bits in (judged.passed, judged.failed, judged.undecided)]
    passed, failed, undecided = (int(flag.sum()) for flag in flags)
    rest = len(ours) - passed - failed - undecided
    if (counts.met, counts.broken, counts.undecided, counts.not_applicable) != (passed, failed, undecided, rest):
        return False
    return np.array_equal(np.sort(listed), np.flatnonzero(flags[1]))


def disagreements(told: pd.DataFrame) -> Iterator[str]:
    """The rules on which the two engines differ."""
    for row in told[told["agrees"].eq(False).fillna(False)].itertuples():
        yield f"{row.pack}/{row.rule}"
