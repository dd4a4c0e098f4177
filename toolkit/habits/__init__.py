"""What is out of habit in the uses of keys: each key's and principal's own past is the measure, and reasons are given.

Habits are counts, medians and quantiles by hour and day, learnt before a cut; after it, first times, odd hours and
bursts are told with the numbers that make them odd, and changes to keys, policies and logging whatever the habit is.
What `kinds` there are stands in `habits.toml`. Where the past is too short to know, that is told, once for each.
Refuses to: learn from what it judges, call a score a probability, or take an anomaly for an attack.

>>> kinds()["deletion-scheduled"]["technique"]
'T1485'
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from toolkit.habits import _bursts, _changes, _firsts, _marked
from toolkit.habits._history import (
    DECRYPTS,
    HOUR,
    LEAST_DAYS,
    LEAST_EVENTS,
    SUCCESS,
    USES,
    Entity,
    History,
    entity,
    history,
    networks,
)
from toolkit.tables import TEXTS
from toolkit.terms import Severity

COLUMNS: Final = [
    "kind", "severity", "score", "at", "key_uid", "locator", "principal", "account", "region", "reasons", "events",
    "technique", "mark",
]  # fmt: skip
_EVIDENCE: Final = 20
"""Event ids that an anomaly names at most, the first ones."""
_BANDS: Final = ((20, Severity.VERY_LOW), (40, Severity.LOW), (60, Severity.MODERATE), (80, Severity.HIGH))


@cache
def kinds() -> dict[str, dict[str, Any]]:
    """What may be told: its meaning, score, ATT&CK technique and the operations that are told as it."""
    path = Path(__file__).resolve().parent.parent / "habits.toml"
    found: dict[str, dict[str, Any]] = tomllib.loads(path.read_text())["kind"]
    return found


def anomalies(
    usages: pd.DataFrame,
    *,
    since: datetime | None = None,
    planned: Collection[tuple[str, str]] = (),
    keys: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What is out of habit at and after `since` (the last day, if none is given), worst first.

    Args:
        usages: the table of that name. Rows of one event id count once, and their order does not matter.
        since: what is before it is the past that habits are learnt from.
        planned: pairs of key uid and operation that were planned, and are not told.
        keys: subjects, to know which are disabled or marked for destruction now.
    """
    past = history(usages, since or _last_day(usages))
    found = [*_statistics(past), *_certain(past, planned, keys), *_short(past), *_undated(past)]
    frame = pd.DataFrame(found, columns=COLUMNS)
    frame = frame.sort_values(["score", "at", "kind", "key_uid", "principal"], ascending=[False] + [True] * 4)
    frame["severity"] = pd.Categorical(frame["severity"], categories=[s.value for s in Severity], ordered=True)
    for name in ("reasons", "events"):
        frame[name] = frame[name].astype(pd.ArrowDtype(TEXTS))
    frame["at"] = pd.to_datetime(frame["at"], utc=True).astype("datetime64[us, UTC]")
    return frame.reset_index(drop=True)


def _last_day(usages: pd.DataFrame) -> datetime:
    last = usages["occurred_at"].max()
    end: datetime = datetime.now(UTC) if pd.isna(last) else last.to_pydatetime()
    return end - timedelta(days=1)


def _statistics(past: History) -> Iterator[tuple[Any, ...]]:
    key, who = entity(past, "key_uid"), entity(past, "principal")
    operation = past.events["operation"]
    is_decrypt, is_use = operation.isin(DECRYPTS).to_numpy(bool), operation.isin(USES).to_numpy(bool)
    is_refused = (past.events["result"].notna() & (past.events["result"] != SUCCESS)).to_numpy(bool)
    data, every = is_decrypt | is_use, np.ones(len(past.at), dtype=bool)
    for one in (key, who):
        yield from _told_bursts(past, one, is_decrypt & ~is_refused, "decrypt-burst", "decrypts or reads")
        yield from _told_bursts(past, one, is_use & ~is_refused, "use-burst", "other uses")
        yield from _told_bursts(past, one, is_refused, "error-burst", "refusals")
        yield from _told_hours(past, one, data)
    yield from _told_firsts(past, key, past.events["principal"], data & ~is_refused, "new-principal", "principals")
    yield from _told_firsts(past, key, past.events["service"], data & ~is_refused, "new-service", "services")
    yield from _told_firsts(past, who, networks(past.events["source"]), every, "new-network", "networks")
    yield from _told_firsts(past, who, operation, ~is_refused, "new-operation", "operations")


def _told_bursts(past: History, who: Entity, chosen: Any, kind: str, words: str) -> Iterator[tuple[Any, ...]]:
    days: dict[tuple[int, int], list[_bursts.Burst]] = {}
    for burst in _bursts.bursts(past, who, chosen):
        days.setdefault((burst.entity, burst.start // (24 * HOUR)), []).append(burst)
    for (code, _), found in sorted(days.items()):
        worst = max(found, key=lambda burst: (burst.unlikely, -burst.start))
        # The widest burst and the worst hour say the same of one day: one row, with a sentence each.
        hours = max((b for b in found if b.width == HOUR), key=lambda b: (b.unlikely, -b.start), default=None)
        told = [burst for burst in (hours, next((b for b in found if b.width != HOUR), None)) if burst is not None]
        reasons = [_burst_words(burst, words) for burst in told]
        inside = chosen & past.is_new & (who.codes == code) & (past.at // worst.width == worst.start // worst.width)
        score = kinds()[kind]["score"] + 2 * (worst.unlikely - _bursts.UNLIKELY)
        yield _row(past, kind, score, list(np.flatnonzero(inside)), reasons, by=who.column)


def _burst_words(burst: _bursts.Burst, words: str) -> str:
    low, high = burst.usual
    usual = f"{low}" if low == high else f"{low} to {high}"
    span = "in an hour; usually" if burst.width == HOUR else "in a day; usually"
    when = " at that time of day" if burst.width == HOUR else ""
    return f"{burst.count:,} {words} {span} {usual}{when}, over {burst.days} days"


def _told_firsts(
    past: History, who: Entity, feature: pd.Series[Any], chosen: Any, kind: str, words: str
) -> Iterator[tuple[Any, ...]]:
    for first in _firsts.firsts(past, who, feature, chosen):
        often = f"about {first.expected:.1f} new ones were to be expected" if first.expected >= 0.05 else "none was new"
        some = ", ".join(first.values[:5]) + (f" and {len(first.values) - 5} more" if len(first.values) > 5 else "")
        reason = f"never seen in {first.days} days with {first.known} {words}: {some}; going by the past, {often}"
        score = 20 + (kinds()[kind]["score"] - 20) * float(np.exp(-first.expected))
        yield _row(past, kind, score, first.rows, [reason], by=who.column)


def _told_hours(past: History, who: Entity, chosen: Any) -> Iterator[tuple[Any, ...]]:
    for odd in _firsts.hours(past, who, chosen):
        if odd.hour is None:
            reason = (
                f"used {len(odd.rows):,} times on a weekend; never in {odd.days} days, in use on {odd.busy} of them"
            )
        else:
            band = f"{(odd.hour - 1) % 24:02}:00 and {(odd.hour + 2) % 24:02}:00"
            reason = (
                f"used {len(odd.rows):,} times at {odd.hour:02}h UTC; in {odd.days} days never between {band}, "
                f"while in use in {odd.busy:,} other hours"
            )
        yield _row(past, "unusual-hour", kinds()["unusual-hour"]["score"], odd.rows, [reason], by=who.column)


def _certain(
    past: History, planned: Collection[tuple[str, str]], keys: pd.DataFrame | None
) -> Iterator[tuple[Any, ...]]:
    by_operation = {name: kind for kind, said in kinds().items() for name in said.get("operations", ())}
    for change in _changes.changes(past, by_operation, planned):
        score = kinds()[change.kind]["score"] * change.share
        yield _row(past, change.kind, score, [change.row], change.reasons, by="both")
    for one in _marked.marked(past, _states(keys)):
        reason = f"asked for {len(one.rows):,} times while {one.state}; it served {one.served:,} of them"
        score = kinds()["use-of-marked-key"]["score"] + 20 * bool(one.served)
        yield _row(past, "use-of-marked-key", score, one.rows, [reason], by="key_uid")


def _states(keys: pd.DataFrame | None) -> pd.Series[Any] | None:
    if keys is None or keys.empty:
        return None
    said = pd.Series(None, index=keys["subject_uid"], dtype=object)
    said[(keys["state"] == "suspended").fillna(False).to_numpy(bool)] = "disabled"
    said[keys["destruction_at"].notna().to_numpy(bool)] = "marked for destruction"
    return said


def _short(past: History) -> Iterator[tuple[Any, ...]]:
    """Each key and principal seen after the cut whose past is too short."""
    for column in ("key_uid", "principal"):
        who = entity(past, column)
        rows = np.flatnonzero(past.is_new & (who.codes >= 0))
        rows = rows[~who.is_known[who.codes[rows]]]
        _, first = np.unique(who.codes[rows], return_index=True)
        for row in rows[np.sort(first)]:
            code = who.codes[row]
            reason = (
                f"{int(who.before[code]):,} events in {who.days[code]:.0f} days before; "
                f"a habit takes {LEAST_EVENTS} in {LEAST_DAYS}"
            )
            yield _row(past, "too-little-history", 5, [int(row)], [reason], by=column)


def _undated(past: History) -> Iterator[tuple[Any, ...]]:
    if len(past.undated):
        names = sorted(past.undated["event_id"].dropna().unique())[:_EVIDENCE]
        reason = f"{len(past.undated):,} events say no time"
        yield ("undated", Severity.VERY_LOW.value, 5.0, None, *[None] * 5, [reason], names, None, None)


def _row(past: History, kind: str, score: float, rows: list[int], reasons: list[str], *, by: str) -> tuple[Any, ...]:
    said, events = kinds()[kind], past.events.iloc[rows]
    first = events.iloc[0]
    score = round(min(100.0, max(0.0, float(score))), 1)
    severity = next((band for limit, band in _BANDS if score < limit), Severity.VERY_HIGH)
    principals = events["principal"].dropna().unique()
    of_key = by in ("key_uid", "both")
    return (
        kind, severity.value, score, first["occurred_at"],
        first["key_uid"] if of_key else None, first["locator"] if of_key else None,
        # Who it was is told of a key's anomaly, too, if it was one.
        principals[0] if len(principals) == 1 else None, _known(first["account"]), _known(first["region"]),
        reasons, [str(one) for one in events["event_id"].dropna()[:_EVIDENCE]], said.get("technique"), said.get("mark"),
    )  # fmt: skip


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value
