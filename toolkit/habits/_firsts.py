"""First times: a principal, service, network or operation that was never seen with that key or principal, and hours
at which it is never used.

How often something new came before tells how much a new thing means: where one comes every day, it means little.
Refuses to: speak of those whose history is too short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from toolkit.habits._history import DAY, HOUR, Codes, Entity, History

_WARM_UP_DAYS: Final = 7
"""At the start of a history everything is new; it tells nothing of how often something new comes."""
_BY_CHANCE: Final = 1e-4
"""Hours count as never used only if uses spread evenly would have hit them but for one case in 10,000."""


@dataclass(frozen=True, slots=True)
class First:
    """What an entity was never seen with: the rows that show it first, how many such there were before."""

    entity: int
    values: list[str]
    rows: list[int]
    known: int
    expected: float
    days: int


@dataclass(frozen=True, slots=True)
class Hour:
    """An entity used at an hour, or on a weekend, at which it never was."""

    entity: int
    rows: list[int]
    hour: int | None
    busy: int
    days: int


def firsts(past: History, who: Entity, feature: pd.Series[Any], chosen: npt.NDArray[np.bool_]) -> Iterator[First]:
    """By entity with a habit: the values of the feature that the chosen events show after the cut, and never before."""
    codes, names = pd.factorize(feature, sort=True)
    held = chosen & (codes >= 0) & (who.codes >= 0)
    rows = np.flatnonzero(held)
    pairs = who.codes[rows] * max(1, len(names)) + codes[rows]
    # Rows are in order of time, so the first of each pair is its first time.
    _, first = np.unique(pairs, return_index=True)
    rows = np.sort(rows[first])
    whose = who.codes[rows]
    is_new = past.is_new[rows]
    warm = past.at[rows] >= who.first[whose] + _WARM_UP_DAYS * DAY
    known = np.bincount(whose[~is_new], minlength=len(who.names))
    late = np.bincount(whose[~is_new & warm], minlength=len(who.names))
    told = is_new & who.is_known[whose] & (known[whose] > 0)
    for mine, found in _grouped(rows[told], whose[told]):
        days = max(1.0, who.days[mine] - _WARM_UP_DAYS)
        values = [str(names[codes[row]]) for row in found]
        expected = float(late[mine]) / days * past.new_days
        yield First(mine, values, found, int(known[mine]), expected, int(who.days[mine]))


def hours(past: History, who: Entity, chosen: npt.NDArray[np.bool_]) -> Iterator[Hour]:
    """By entity with a habit: uses at hours of the day, or on weekends, at which there never was one."""
    held = chosen & (who.codes >= 0)
    yield from _by_hour(past, who, held)
    yield from _by_weekend(past, who, held)


def _by_hour(past: History, who: Entity, held: npt.NDArray[np.bool_]) -> Iterator[Hour]:
    size = len(who.names)
    old = held & ~past.is_new
    span = past.at // HOUR
    whose, when = _pairs(who.codes[old], span[old])
    table = np.bincount(whose * 24 + when % 24, minlength=size * 24).reshape(size, 24)
    near = table + np.roll(table, 1, axis=1) + np.roll(table, -1, axis=1)
    total = table.sum(axis=1)
    is_never = (near == 0) & ((1 - 3 / 24) ** total <= _BY_CHANCE)[:, None] & who.is_known[:, None]
    rows = np.flatnonzero(held & past.is_new)
    odd = rows[is_never[who.codes[rows], span[rows] % 24]]
    for place, found in _grouped(odd, who.codes[odd] * 24 + span[odd] % 24):
        code, hour = divmod(place, 24)
        yield Hour(code, found, hour, int(total[code]), int(who.days[code]))


def _by_weekend(past: History, who: Entity, held: npt.NDArray[np.bool_]) -> Iterator[Hour]:
    size = len(who.names)
    # 1970-01-01 was a Thursday: with that, Saturday and Sunday are 5 and 6.
    day = past.at // DAY
    is_weekend = (day + 3) % 7 >= 5
    old = held & ~past.is_new
    whose, when = _pairs(who.codes[old], day[old])
    on_weekends = np.bincount(whose[(when + 3) % 7 >= 5], minlength=size)
    total = np.bincount(whose, minlength=size)
    is_never = (on_weekends == 0) & ((5 / 7) ** total <= _BY_CHANCE) & who.is_known
    rows = np.flatnonzero(held & past.is_new & is_weekend)
    odd = rows[is_never[who.codes[rows]]]
    for code, found in _grouped(odd, who.codes[odd]):
        yield Hour(code, found, None, int(total[code]), int(who.days[code]))


def _grouped(rows: Codes, by: Codes) -> Iterator[tuple[int, list[int]]]:
    for one in np.unique(by):
        yield int(one), [int(row) for row in rows[by == one]]


def _pairs(codes: Codes, periods: Codes) -> tuple[Codes, Codes]:
    """Each entity with each period in which it was busy, once."""
    if not len(codes):
        return codes, periods
    low, width = periods.min(), periods.max() - periods.min() + 1
    pairs = np.unique(codes * width + (periods - low))
    return pairs // width, pairs % width + low
