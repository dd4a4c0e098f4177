"""What repairs would do to the risk: each is what it changes of what is known, and what it costs (`repairs.toml`).

Refuses to: promise. A repair counts as done well, and nothing else changes meanwhile; efforts are a calibration.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.conditions import Columns, Condition, parse
from toolkit.errors import ConfigError
from toolkit.risk._quantum import Reals
from toolkit.risk._score import no_keys
from toolkit.risk._weigh import band, gate, noisy_or, weigh
from toolkit.terms import Severity

Flags = NDArray[np.bool_]

_STRING: Final = pd.StringDtype("pyarrow")
_NOW, _LATER = "now", "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One kind of repair; `hours` once, `hours_a_place` for each place of the subject. Hours are a calibration (K)."""

    subject: str
    id: str
    verb: str
    says: str
    when: Condition
    sets: Mapping[str, object]
    ends: bool
    hours: float
    hours_a_place: float


@cache
def catalogue() -> tuple[Repair, ...]:
    """The repairs there are."""
    data = tomllib.loads(files("toolkit").joinpath("repairs.toml").read_text(encoding="utf-8"))
    return tuple(_repair(table) for table in data["repairs"])


def _repair(table: Mapping[str, Any]) -> Repair:
    when = parse(table["when"], subject=table["subject"], where=f"repairs.toml, {table['id']}")
    return Repair(**{"sets": {}, "ends": False, **table, "when": when})


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a set of repairs would do.

    `summary`: a measure a row, before and after. `subjects`: a repaired subject a row, what it is worth most first.
    """

    summary: pd.DataFrame
    subjects: pd.DataFrame

    def _repr_html_(self) -> str:
        return self.summary.to_html(index=False)

    def __str__(self) -> str:
        return self.summary.to_string(index=False)


def what_if(subjects: Mapping[str, pd.DataFrame], fixes: Sequence[Any] | pd.DataFrame, *, as_of: datetime) -> WhatIf:
    """How far the repairs lower the risk.

    A fix is the id of a repair (done wherever it makes sense), a mapping `{repair, where}` with a condition or a list
    of uids as `where`, or a row of `priorities` (a frame with `subject`, `subject_uid` and `repair`).

    Raises:
        ConfigError: no such repair, or a fix of another form.
        PolicyError: the condition is not one.
    """
    told = [_what_if(kind, frame, _fixes(fixes, kind), as_of) for kind, frame in _judged(subjects).items()]
    rows = pd.concat(told, ignore_index=True)
    repaired = rows[rows["repairs"].str.len() > 0].assign(risk_taken=lambda frame: frame["before"] - frame["after"])
    order = repaired.sort_values(["risk_taken", "locator"], ascending=[False, True], ignore_index=True)
    names = ["subject", "subject_uid", "locator", "repairs", "before", "after", "risk_taken", "hours"]
    return WhatIf(_summary(rows), order[names])


def priorities(subjects: Mapping[str, pd.DataFrame], *, as_of: datetime, every: bool = False) -> pd.DataFrame:
    """Repairs by the risk they take away per hour of work, best first; each subject's best one, or `every` one.

    Columns: subject, subject_uid, locator, label, repair, verb, says, gate, before, after, risk_taken, hours,
    risk_per_hour. Risk is the score of `score`; hours are a calibration.
    """
    parts = []
    for kind, frame in _judged(subjects).items():
        base = _Measured(kind, frame, as_of)
        parts += [_worth(repair, base) for repair in catalogue() if repair.subject == kind]
    told = pd.concat(parts, ignore_index=True)
    told = told[told["risk_taken"] > 1e-9].sort_values(
        ["risk_per_hour", "risk_taken", "locator"], ascending=[False, False, True], kind="stable"
    )
    return (told if every else told.drop_duplicates("subject_uid")).reset_index(drop=True)


def _judged(subjects: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The subjects that bear a score: keys, and secrets that are none."""
    told = {"key": subjects["key"]} if "key" in subjects else {}
    return told | ({"secret": no_keys(subjects)} if "secret" in subjects else {})


class _Measured:
    """A frame with its numbers."""

    def __init__(self, subject: str, frame: pd.DataFrame, as_of: datetime) -> None:
        self.columns = Columns(subject, frame, as_of=as_of)
        weak, harm = weigh(self.columns)
        self.likelihood, self.impact = noisy_or(weak.chances), noisy_or(harm.chances)
        self.gate = gate(weak)

    @property
    def risk(self) -> Reals:
        risk: Reals = 100 * self.likelihood * self.impact
        return risk


def _worth(repair: Repair, base: _Measured) -> pd.DataFrame:
    columns = base.columns
    rows = np.flatnonzero(columns.answer(repair.when).yes)
    frame = columns.frame.iloc[rows].reset_index(drop=True)
    before = base.risk[rows]
    after = np.zeros(len(rows)) if repair.ends else _repaired(repair, frame, columns).risk
    hours = _hours(repair, frame)
    return pd.DataFrame(
        {
            "subject": pd.array([repair.subject] * len(rows), dtype=_STRING),
            **{name: frame[name].astype(_STRING) for name in ("subject_uid", "locator")},
            "label": frame["label" if repair.subject == "key" else "title"].astype(_STRING),
            **{n: pd.array([getattr(repair, a)] * len(rows), dtype=_STRING) for n, a in _NAMED.items()},
            "gate": base.gate[rows],
            "before": before,
            "after": after,
            "risk_taken": before - after,
            "hours": hours,
            "risk_per_hour": (before - after) / hours,
        }
    )


_NAMED: Final = {"repair": "id", "verb": "verb", "says": "says"}


def _repaired(repair: Repair, frame: pd.DataFrame, columns: Columns) -> _Measured:
    everywhere = np.ones(len(frame), bool)
    return _Measured(repair.subject, _changed(frame, repair, everywhere, columns.as_of), columns.as_of)


def _changed(frame: pd.DataFrame, repair: Repair, rows: Flags, as_of: datetime) -> pd.DataFrame:
    if not rows.any():
        return frame
    changes = {}
    for name, value in repair.sets.items():
        told = {_NOW: as_of, _LATER: as_of + timedelta(days=365)}.get(str(value), value)
        if value == _LATER:
            changes[name] = frame[name].mask(rows & (frame[name] < as_of).fillna(False).to_numpy(dtype=bool), told)
        elif isinstance(value, list):
            # Pandas takes a list for a column of values, so lists are put in one by one.
            lists = [value if row else old for row, old in zip(rows, frame[name], strict=True)]
            changes[name] = pd.Series(lists, index=frame.index, dtype=frame[name].dtype)
        elif isinstance(frame[name].dtype, pd.CategoricalDtype) or not rows.all():
            changes[name] = frame[name].mask(rows, told)
        else:
            changes[name] = pd.Series([told] * len(frame), index=frame.index, dtype=frame[name].dtype)
    return frame.assign(**changes)


def _hours(repair: Repair, frame: pd.DataFrame) -> Reals:
    places = frame["places" if repair.subject == "key" else "occurrences"].fillna(1)
    hours: Reals = repair.hours + repair.hours_a_place * places.to_numpy(dtype=float)
    return hours


def _fixes(fixes: Sequence[Any] | pd.DataFrame, subject: str) -> list[tuple[Repair, Any]]:
    """The repairs of that subject, each with where it is done: a condition, or a set of uids."""
    if isinstance(fixes, pd.DataFrame):
        mine = fixes[fixes["subject"] == subject]
        fixes = [{"repair": name, "where": list(some)} for name, some in mine.groupby("repair")["subject_uid"]]
    asked = [{"repair": fix} if isinstance(fix, str) else fix for fix in fixes]
    told = []
    for fix in asked:
        if not isinstance(fix, Mapping) or not {"repair"} <= set(fix) <= {"repair", "where"}:
            raise ConfigError("a fix is a repair's id or {repair, where}", advice=f"use one of: {_known()}")
        named = [repair for repair in catalogue() if repair.id == fix["repair"]]
        if not named:
            raise ConfigError(f"there is no repair {fix['repair']!r}", advice=f"use one of: {_known()}")
        told += [(repair, _where(fix.get("where", []), subject)) for repair in named if repair.subject == subject]
    return told


def _known() -> str:
    return ", ".join(dict.fromkeys(repair.id for repair in catalogue()))


def _where(where: Any, subject: str) -> Condition | frozenset[str]:
    if isinstance(where, list) and where and all(isinstance(uid, str) for uid in where):
        return frozenset(where)
    return parse(where, subject=subject, where="what_if")


def _what_if(subject: str, frame: pd.DataFrame, fixes: list[tuple[Repair, Any]], as_of: datetime) -> pd.DataFrame:
    before = _Measured(subject, frame, as_of)
    ended, hours = np.zeros(len(frame), bool), np.zeros(len(frame))
    done: list[list[str]] = [[] for _ in range(len(frame))]
    after = frame
    for repair, where in fixes:
        rows = before.columns.answer(repair.when).yes & _chosen(before.columns, where)
        for row in np.flatnonzero(rows):
            done[row].append(repair.id)
        ended |= rows & repair.ends
        hours += np.where(rows, _hours(repair, frame), 0.0)
        after = _changed(after, repair, rows, as_of)
    then = _Measured(subject, after, as_of)
    still = ~ended
    return pd.DataFrame(
        {
            "subject": pd.array([subject] * len(frame), dtype=_STRING),
            **{name: frame[name].astype(_STRING) for name in ("subject_uid", "locator")},
            "repairs": pd.Series(done, index=frame.index, dtype=object),
            "before": before.risk,
            "after": np.where(still, then.risk, 0.0),
            "hours": hours,
            "band_before": band(before.likelihood, before.impact),
            "band_after": pd.Series(band(then.likelihood, then.impact)).where(still),
            "gate_before": ~pd.isna(before.gate),
            "gate_after": ~pd.isna(then.gate) & still,
        }
    )


def _chosen(columns: Columns, where: Any) -> Flags:
    if isinstance(where, frozenset):
        chosen: Flags = columns.frame["subject_uid"].isin(where).to_numpy(dtype=bool)
        return chosen
    return columns.answer(where).yes


def _summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Total risk, what needs action now, how many of each band, and the hours it takes."""
    told: list[tuple[str, float, float]] = [
        ("risk, all scores added up", rows["before"].sum(), rows["after"].sum()),
        ("need action now", int(rows["gate_before"].sum()), int(rows["gate_after"].sum())),
    ]
    for level in reversed(list(Severity)):
        before, after = (int((rows[f"band_{side}"] == level.value).sum()) for side in ("before", "after"))
        told.append((f"{level.value} risk", before, after))
    told.append(("hours of work", 0.0, rows["hours"].sum()))
    out = pd.DataFrame(told, columns=["measure", "before", "after"])
    out["change"] = out["after"] - out["before"]
    return out
