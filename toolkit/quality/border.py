"""The border of a run: what was expected of its sources, and how it differs from their last run. Needs no engine.

What is expected stands in a TOML file; `expected.toml` in a workspace is taken for every run that is collected into it:

    max_fall = 0.5               # the share of a source's rows that may be missing since its last run
    [[source]]
    collector = "keyfiles"
    targets = ["file:///etc/ssl"]           # each must have been read
    minimum = { keys = 10, certificates = 100 }
    max_age_days = 7

A run is asked only of the collectors that it was read with; what is known of a whole workspace, of all of them.

Drift is told of targets that both runs read whole: what could not be read is a gap already. Ten rows are the least that
it is told of, so that a few keys of a small source may come and go. Words that are new or gone are a warning only.

Refuses to: show a value of an open column that has not the form of a name.

>>> expected_of({"source": [{"collector": "keyfiles", "minimum": {"keys": 1}}]}).sources[0].minimum
{'keys': 1}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from toolkit.errors import ConfigError
from toolkit.quality.contract import CRITICAL, WARNING
from toolkit.tables import COLUMNS, RUN_TABLES, Inventory
from toolkit.terms import ReadingStatus, Verdict

FILE: Final = "expected.toml"
FRESHNESS: Final = "started_at"
"""The column of checks that say how old a reading is: a stale run is told, but it is not a bad one."""
_LEAST: Final = 10
_FILLED: Final = 0.1
_TABLES: Final = tuple(table for table in RUN_TABLES if table not in ("readings", "gaps"))
# Open columns whose words are few and say how a source speaks; those of closed vocabularies are taken besides.
_WORDS: Final = {"algorithm", "format", "native_state", "signature_algorithm", "signature_hash", "operation", "rule"}
_NAME: Final = re.compile(r"[\w ./:+-]{1,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is expected of one collector."""

    collector: str
    targets: tuple[str, ...] = ()
    minimum: Mapping[str, int] = field(default_factory=dict)
    max_age_days: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected of a run."""

    sources: tuple[Source, ...] = ()
    max_fall: float = 0.5

    def of_run(self, inv: Inventory) -> Expected:
        """What may be asked of one run: a source that it was not to read is not missing in it."""
        read = set(inv.readings["collector"])
        return replace(self, sources=tuple(source for source in self.sources if source.collector in read))


def expected_of(given: str | Path | Mapping[str, Any] | Expected | None) -> Expected:
    """What a file, or what would stand in it, expects; nothing but the share of rows if nothing is given.

    Raises:
        ConfigError: it cannot be read, or says something that is not known.
    """
    if isinstance(given, Expected):
        return given
    where = "what is expected"
    if isinstance(given, str | Path):
        where = str(given)
        try:
            given = tomllib.loads(Path(given).read_text(encoding="utf-8"))
        except (OSError, ValueError) as wrong:
            raise ConfigError(f"cannot read {where}: {wrong}") from wrong
    told = {**(given or {})}
    sources = told.pop("source", [])
    share = told.pop("max_fall", 0.5)
    if told or not isinstance(sources, list) or type(share) not in (int, float) or not 0 <= share <= 1:
        advice = "it has max_fall (from 0 to 1) and [[source]]"
        raise ConfigError(f"{where}: not understood: {', '.join(told) or 'max_fall or source'}", advice=advice)
    return Expected(sources=tuple(_source(source, where) for source in sources), max_fall=share)


def _source(told: Any, where: str) -> Source:
    advice = f"a source has collector, targets, minimum (of {', '.join(_TABLES)}) and max_age_days"
    if not isinstance(told, Mapping) or not isinstance(told.get("collector"), str):
        raise ConfigError(f"{where}: a source has no collector", advice=advice)
    targets, minimum, days = told.get("targets", []), told.get("minimum", {}), told.get("max_age_days")
    is_known = told.keys() <= {"collector", "targets", "minimum", "max_age_days"}
    is_sound = (
        isinstance(targets, list)
        and all(isinstance(target, str) for target in targets)
        and isinstance(minimum, Mapping)
        and all(table in _TABLES and type(least) is int for table, least in minimum.items())
        and (days is None or type(days) in (int, float))
    )
    if not (is_known and is_sound):
        raise ConfigError(f"{where}: source {told['collector']} is not understood", advice=advice)
    return Source(collector=told["collector"], targets=tuple(targets), minimum=dict(minimum), max_age_days=days)


Row = dict[str, Any]


def border(
    inv: Inventory, *, as_of: datetime, previous: Inventory | None = None, expected: Expected | None = None
) -> list[Row]:
    """Rows as those of the data contract: coverage and freshness as expected, and drift against `previous`."""
    expected = expected or Expected()
    rows = [row for source in expected.sources for row in _of_source(inv, source, as_of)]
    return rows if previous is None else [*rows, *_drift(previous, inv, expected.max_fall)]


def _of_source(inv: Inventory, source: Source, as_of: datetime) -> Iterator[Row]:
    mine = inv.readings[inv.readings["collector"] == source.collector]
    there, wanted = set(mine["target"]), source.targets
    whole = set(mine.loc[mine["status"] == ReadingStatus.READ.value, "target"])
    if wanted:
        says = f"has every target expected of {source.collector}"
        yield _row("readings", says, "target", CRITICAL, len(wanted), [name for name in wanted if name not in there])
        says = f"is `read` for every target expected of {source.collector}"
        part = [name for name in wanted if name in there - whole]
        yield _row("readings", says, "status", WARNING, len(there & set(wanted)), part)
    for table, least in source.minimum.items():
        found = int((inv.table(table)["collector"] == source.collector).sum())
        row = _row(table, f"has at least {least:,} rows of {source.collector}", None, CRITICAL, max(found, 1), [])
        yield {**row, "verdict": _verdict(found >= least), "seen": found, "note": f"found {found:,}"}
    if source.max_age_days is not None:
        edge = as_of - timedelta(days=source.max_age_days)
        old = mine[mine["started_at"] < edge]
        says = f"of every target of {source.collector} is at most {source.max_age_days:g} days before as_of"
        yield _row("readings", says, FRESHNESS, CRITICAL, len(mine), list(old["target"]))


def _drift(old: Inventory, new: Inventory, max_fall: float) -> Iterator[Row]:
    """Of each source: rows that fell, columns that are empty now, words that are new or gone."""
    both = _whole(old) & _whole(new)
    for collector in sorted({name for name, _ in _whole(new)}):
        targets = {target for name, target in both if name == collector}
        for table in _TABLES:
            before, after = (_of(inv.table(table), collector, targets) for inv in (old, new))
            if len(before) or len(after):
                yield from _drifted(table, collector, before, after, max_fall)


def _whole(inv: Inventory) -> set[tuple[str, str]]:
    read = inv.readings[inv.readings["status"] == ReadingStatus.READ.value]
    return set(zip(read["collector"], read["target"], strict=True))


def _of(frame: pd.DataFrame, collector: str, targets: set[str]) -> pd.DataFrame:
    return frame[(frame["collector"] == collector).to_numpy(bool) & frame["target"].isin(targets).to_numpy(bool)]


def _drifted(table: str, collector: str, before: pd.DataFrame, after: pd.DataFrame, max_fall: float) -> Iterator[Row]:
    fell, has_fallen = len(before) - len(after), len(after) < len(before) * (1 - max_fall)
    enough = len(before) if len(before) >= _LEAST else 0
    row = _row(table, f"has not lost more than {max_fall:.0%} of its rows of {collector}", None, CRITICAL, enough, [])
    if enough:
        note = f"{len(before):,} in the last run, {len(after):,} now"
        row |= {"verdict": _verdict(not has_fallen), "unexpected": max(fell, 0), "note": note}
    yield row
    asked = len(before) if min(len(before), len(after)) >= _LEAST else 0
    emptied = [c.name for c in COLUMNS[table] if asked and _is_emptied(before[c.name], after[c.name])]
    yield _row(table, f"has values in every column that had some of {collector}", None, CRITICAL, asked, emptied)
    changed = [word for c in COLUMNS[table] if asked and _speaks(c) for word in _words(c.name, before, after)]
    yield _row(table, f"uses the words that it used of {collector}", None, WARNING, asked, changed)


def _is_emptied(before: pd.Series[Any], after: pd.Series[Any]) -> bool:
    filled = int(before.notna().sum())
    return filled >= max(_LEAST, _FILLED * len(before)) and not bool(after.notna().any())


def _speaks(column: Any) -> bool:
    return isinstance(column.kind, type) or column.name in _WORDS


def _words(name: str, before: pd.DataFrame, after: pd.DataFrame) -> Iterator[str]:
    old, new = (set(frame[name].dropna().astype(str).unique()) for frame in (before, after))
    if old and new:
        yield from (f"{name}: new {_shown(word)}" for word in sorted(new - old))
        yield from (f"{name}: no more {_shown(word)}" for word in sorted(old - new))


def _shown(word: str) -> str:
    return word if _NAME.fullmatch(word) else "a word of odd form"


def _row(table: str, says: str, column: str | None, severity: str, seen: int, wrong: list[str]) -> Row:
    verdict = _verdict(not wrong) if seen else Verdict.NOT_APPLICABLE.value
    return {
        "table": table, "check": says, "column": column, "severity": severity, "verdict": verdict, "seen": seen,
        "unexpected": len(wrong), "examples": [*map(str, wrong[:5])], "note": None if seen else "nothing to look at",
    }  # fmt: skip


def _verdict(is_kept: bool) -> str:
    return (Verdict.PASS if is_kept else Verdict.FAIL).value


def reasons(told: pd.DataFrame) -> list[str]:
    """Why a run is to be quarantined: the critical checks that it breaks. That it is old is no such reason."""
    broken = told[(told["verdict"] == Verdict.FAIL.value) & (told["severity"] == CRITICAL)]
    return [f"not kept: {_reason(row)}" for row in broken[broken["column"].fillna("") != FRESHNESS].itertuples()]


def _reason(row: Any) -> str:
    column = "" if pd.isna(row.column) else f".{row.column}"
    detail = ", ".join(row.examples) if pd.isna(row.note) else str(row.note)
    return f"{row.table}{column} {row.check}" + (f" ({detail})" if detail else "")
