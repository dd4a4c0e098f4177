"""The data contract of an inventory, checked with great-expectations before the inventory counts.

It says whether the tables can be relied on: their columns and types, closed vocabularies, uids and places, unique
sightings, a reading for every row, fresh readings, enough targets read whole. Never whether a key is good.

Refuses to: call a check passed that had nothing to look at (it is NOT_APPLICABLE, and `note` says why); show a value
(examples are places and uids, and only such as have the form of one); use the network or the disk; or load
great-expectations, which takes about 9 s, before `validate` is called.

>>> from datetime import UTC, datetime
>>> from toolkit.tables import Builder
>>> told = validate(Inventory.of(Builder()), as_of=datetime(2026, 1, 1, tzinfo=UTC))
>>> told[told["verdict"] == "FAIL"][["table", "check"]].values.tolist()
[['readings', 'has at least one row']]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from toolkit import correlation
from toolkit import scopes as mapping
from toolkit.errors import ConfigError
from toolkit.policies import Pack
from toolkit.quality import controls
from toolkit.quality.border import FILE, Expected, border, expected_of, reasons
from toolkit.quality.contract import BETWEEN_WORDS, URI, Check, checks
from toolkit.quality.engine import Engine
from toolkit.store import Workspace
from toolkit.tables import COLUMNS, RUN_TABLES, TEXTS, Column, Inventory
from toolkit.terms import GapScope, GapStatus, Verdict

__all__ = ["controls", "expected_in", "guard", "reasons", "validate", "validate_controls"]

_EXAMPLES: Final = 5
_UID: Final = re.compile(r"[a-z0-9]+:[0-9a-f]{64}")
_STRING: Final = pd.StringDtype("pyarrow")
_DTYPES: Final = {
    "table": _STRING,
    "check": _STRING,
    "column": _STRING,
    "severity": pd.CategoricalDtype(["warning", "critical"], ordered=True),
    "verdict": pd.CategoricalDtype([Verdict.PASS.value, Verdict.FAIL.value, Verdict.NOT_APPLICABLE.value]),
    "seen": pd.Int64Dtype(),
    "unexpected": pd.Int64Dtype(),
    "examples": pd.ArrowDtype(TEXTS),
    "note": _STRING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What came of one check; `positions` are some of the rows that break it."""

    verdict: Verdict
    seen: int | None = None
    unexpected: int | None = None
    note: str | None = None
    positions: tuple[int, ...] = ()


def validate(
    inv: Inventory,
    *,
    as_of: datetime,
    max_age_days: float = 30,
    min_coverage: float = 0.9,
    expected: str | Path | Mapping[str, Any] | Expected | None = None,
    previous: Inventory | None = None,
) -> pd.DataFrame:
    """One row a check of the contract: what was asked of which column, and whether the inventory keeps it.

    With `expected`, also whether the sources gave what was expected of them; with `previous`, their last run, how far
    they drifted (`toolkit.quality.border`).

    Columns: table, check, column, severity (critical: what rests on it is wrong; warning: odd, yet usable), verdict
    (PASS FAIL NOT_APPLICABLE), seen (rows looked at; unknown values are not), unexpected (rows that break it),
    examples (up to five of them), note (why it is not applicable, or what was found).

    Raises:
        ConfigError: great-expectations is not installed, or `as_of` has no time zone.
    """
    if as_of.tzinfo is None:
        raise ConfigError("as_of has no time zone", advice="pass an aware time: datetime.now(UTC)")
    wanted = expected_of(expected)
    asked = checks(as_of, max_age_days=max_age_days, min_coverage=min_coverage)
    rows = []
    with closing(Engine()) as engine:
        for batch in dict.fromkeys(check.batch for check in asked):
            mine = [check for check in asked if check.batch == batch]
            source, frame = _frames(inv, batch, set().union(*(check.needs for check in mine)))
            answers = _ask(engine, mine, frame)
            rows += [_row(check, answer, source) for check, answer in zip(mine, answers, strict=True)]
    return _table([*rows, *border(inv, as_of=as_of, previous=previous, expected=wanted)])


def validate_controls(
    inv: Inventory,
    packs: Sequence[Pack],
    *,
    as_of: datetime,
    scopes: str | Path | None = None,
    out: str | Path | None = None,
) -> pd.DataFrame:
    """What great-expectations counts of the rules of packs (`toolkit.quality.controls`), the evidence kept in `out`."""
    subjects = correlation.subjects(inv, mapping.of(scopes))
    told = controls.validate(subjects, packs, as_of=as_of)
    if out is not None:
        controls.write(told, subjects, packs, Path(out), as_of=as_of)
    return told


def expected_in(workspace: Workspace, given: str | Path | None = None) -> Expected:
    """What is expected of the runs of a workspace: of its `expected.toml`, if no other file is given.

    Raises:
        ConfigError: the file cannot be read, or says something that is not known.
    """
    file = workspace.path / FILE
    return expected_of(given or (file if file.exists() else None))


def guard(workspace: Workspace, run_id: str, expected: Expected) -> list[str]:
    """Why a run just collected is quarantined, if it is: the checks of the border, which load no engine."""
    inv, last = workspace.read_run(run_id), workspace.before(run_id)
    as_of = next(run.finished_at for run in workspace.runs() if run.run_id == run_id)
    wanted = expected.of_run(inv)
    why = reasons(_table(border(inv, as_of=as_of, previous=last, expected=wanted)))
    if why:
        workspace.quarantine(run_id, why)
    return why


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)


def _row(check: Check, answer: _Answer, source: pd.DataFrame) -> dict[str, Any]:
    said = {"table": check.table, "check": check.says, "column": check.column, "severity": check.severity}
    examples = [_example(check, source, position) for position in answer.positions]
    return {**said, **{name: getattr(answer, name) for name in ("seen", "unexpected", "note")},
            "verdict": answer.verdict.value, "examples": examples}  # fmt: skip


def _example(check: Check, source: pd.DataFrame, position: int) -> str:
    """A row by its place or uid; by its number if neither has the form of one, since it may be anything then."""
    if check.batch.endswith("structure"):
        return str(source["column"].iloc[position])
    uids = [name for name in source.columns if name.endswith("_uid")]
    for name in ("locator", "target", *uids):
        # A value that breaks its own check is not shown: nobody knows what it is.
        if name not in source.columns or name == check.column:
            continue
        told = str(source[name].iloc[position])
        if re.match(URI, told) or _UID.fullmatch(told):
            return told
    return f"row {position}"


def _frames(inv: Inventory, batch: str, needed: set[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frame that examples are taken from, and what the engine is shown of it."""
    if batch == "accounts":
        accounts = _accounts(inv)
        return accounts, accounts
    table = batch.removesuffix(" structure")
    frame = inv.table(table)
    if batch != table:
        structure = _structure(COLUMNS[table], frame)
        return structure, structure
    sound = [column for column in COLUMNS[table] if column.name in needed and _is_sound(column, frame)]
    return frame, pd.DataFrame({column.name: _plain(frame[column.name]) for column in sound}, index=range(len(frame)))


def _structure(columns: Sequence[Column], frame: pd.DataFrame) -> pd.DataFrame:
    expected = {column.name: str(column.dtype) for column in columns}
    found = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
    names = list(dict.fromkeys([*expected, *found]))
    rows = [(name, expected.get(name), found.get(name)) for name in names]
    return pd.DataFrame(rows, columns=["column", "expected", "found"], dtype=object)


def _is_sound(column: Column, frame: pd.DataFrame) -> bool:
    """Whether its values can be looked at; that they cannot is told by the structure."""
    return column.name in frame.columns and str(frame[column.name].dtype) == str(column.dtype)


def _plain(values: pd.Series[Any]) -> Any:
    """The values as great-expectations takes them: it trips over Arrow lists, and over NA in a comparison."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.array
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values.to_numpy(dtype="float64", na_value=np.nan)
    if str(values.dtype) == str(pd.ArrowDtype(TEXTS)):
        values = pd.Series(pc.binary_join(pa.array(values, TEXTS), BETWEEN_WORDS).to_pandas())
    plain = values.to_numpy(dtype=object, copy=True)
    plain[values.isna().to_numpy()] = None
    return plain


_PLACE: Final = ("collector", "target")
_ACCOUNTED: Final = {"gaps": ("scope", "status"), "readings": ("rows", "gaps", "status")}


def _accounts(inv: Inventory) -> pd.DataFrame:
    """A row a target: the rows and gaps that there are, and those that its reading tells of."""
    parts = []
    for table in RUN_TABLES:
        frame, names = inv.table(table), (*_PLACE, *_ACCOUNTED.get(table, ()))
        if not all(_is_sound(column, frame) for column in COLUMNS[table] if column.name in names):
            return pd.DataFrame()
        places = pd.DataFrame({name: _plain(frame[name]) for name in _PLACE})
        parts.append(places.assign(**_counts(table, frame)))
    targets = pd.concat(parts, ignore_index=True).groupby(list(_PLACE), sort=False)
    numbers = ["found_rows", "found_gaps", "hiding_gaps", "told_rows", "told_gaps"]
    sums = targets[numbers].sum(min_count=1)
    return sums.assign(status=targets["status"].first()).reset_index()


def _counts(table: str, frame: pd.DataFrame) -> dict[str, Any]:
    nothing: dict[str, Any] = {"found_rows": 0.0, "found_gaps": 0.0, "hiding_gaps": 0.0}
    untold = {"told_rows": np.nan, "told_gaps": np.nan, "status": None}
    if table == "readings":
        told = {"told_rows": _plain(frame["rows"]), "told_gaps": _plain(frame["gaps"])}
        return {**nothing, **told, "status": _plain(frame["status"])}
    if table == "gaps":
        # The runner's own words for a gap that hides no key: a field's, or one of what was never there.
        hiding = (frame["scope"] != GapScope.FIELD.value) & (frame["status"] != GapStatus.NOT_APPLICABLE.value)
        nothing = {"found_gaps": 1.0, "hiding_gaps": hiding.to_numpy(dtype="float64")}
    return {**nothing, **untold, "found_rows": 1.0}


def _ask(engine: Engine, asked: Sequence[Check], frame: pd.DataFrame) -> list[_Answer]:
    """The answers, in order; the rows that break a check are looked for only where it failed."""
    why_not = {number: _why_not(check, frame) for number, check in enumerate(asked)}
    askable = {number: asked[number] for number, why in why_not.items() if why is None}
    if not askable:
        return [_nothing(why) for why in why_not.values() if why is not None]
    batch = engine.show(frame)
    told = batch.ask(_expectations(engine, askable), "BASIC")
    failed = {n: askable[n] for n, result in told.items() if not result.success and _unexpected(result)}
    broken = {n: result.result for n, result in batch.ask(_expectations(engine, failed), "SUMMARY").items()}
    return [
        _answer(told[n], len(frame), broken.get(n, {})) if why is None else _nothing(why) for n, why in why_not.items()
    ]


def _expectations(engine: Engine, asked: Mapping[int, Check]) -> list[Any]:
    return [_expectation(engine, number, check) for number, check in asked.items()]


def _expectation(engine: Engine, number: int, check: Check) -> Any:
    make = getattr(engine.makers, check.expectation)
    where = {"row_condition": engine.column(check.when[0]) == check.when[1]} if check.when else {}
    return make(**check.arguments, **where, meta={"number": number})


def _why_not(check: Check, frame: pd.DataFrame) -> str | None:
    """Why a check cannot be asked at all. great-expectations would say success of an empty table."""
    if not check.needs <= set(frame.columns):
        return "a column it needs is missing or of another type"
    return "no rows" if check.needs and frame.empty else None


def _nothing(why: str) -> _Answer:
    return _Answer(verdict=Verdict.NOT_APPLICABLE, seen=0, note=why)


def _answer(told: Any, rows: int, broken: Mapping[str, Any]) -> _Answer:
    result, verdict = told.result, Verdict.PASS if told.success else Verdict.FAIL
    if "observed_value" in result:  # of the table or column as a whole: there is no row to point at
        found = result["observed_value"]
        known = _Answer(verdict=verdict, seen=rows, note=f"found {found}")
        return _nothing("no value is known") if pd.isna(found) else known
    if "element_count" not in result:  # it raised, and its message may quote a value
        return _Answer(verdict=Verdict.FAIL, note="could not be looked at")
    seen = result["element_count"] - result.get("missing_count", 0)
    if not seen:  # again a success that says nothing
        return _nothing("no row of that kind" if not result["element_count"] else "no value is known")
    positions = tuple(broken.get("partial_unexpected_index_list", ())[:_EXAMPLES])
    return _Answer(verdict=verdict, seen=seen, unexpected=_unexpected(told), positions=positions)


def _unexpected(told: Any) -> int:
    return int(told.result.get("unexpected_count", 0))
