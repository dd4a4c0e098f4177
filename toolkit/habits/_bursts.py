"""Bursts: an hour, or a day, with far more of something than that key or principal usually has at that time.

Usual is learnt by hour of day (the hour before and after counted in, since jobs drift) and by day. Old bursts do not
become usual: counts beyond ten median deviations of the median are cut there. How unlikely a count is, is bounded by
Chernoff's inequality for a Poisson count, `exp(-(c ln(c/m) - c + m))`, divided by how much the counts vary more than a
Poisson count would. Both only fall when a count grows, so a bigger burst never scores lower.
Refuses to: call anything a burst that is within half again of what was seen before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from toolkit.habits._history import DAY, HOUR, Codes, Entity, History

Reals = npt.NDArray[np.float64]
LEAST: Final = 10
"""Events that a burst has at least."""
UNLIKELY: Final = 6.0
"""A burst is expected less than once in 10 to the power of this hours (or days)."""
_WIDER: Final = 1.5


@dataclass(frozen=True, slots=True)
class Burst:
    """One entity's worst hour or day of those in a day."""

    entity: int
    start: int
    width: int
    count: int
    unlikely: float
    usual: tuple[int, int]
    days: int


def bursts(past: History, who: Entity, chosen: npt.NDArray[np.bool_]) -> Iterator[Burst]:
    """The bursts of the chosen events after the cut, of those entities that have a habit."""
    for width in (HOUR, DAY):
        yield from _bursts(past, who, chosen & (who.codes >= 0), width)


def _bursts(past: History, who: Entity, chosen: npt.NDArray[np.bool_], width: int) -> Iterator[Burst]:
    # Of an hour that the cut goes through only the later part is counted, as new.
    chosen = chosen & (past.is_new | (past.at // width < past.cut // width))
    whose, when, counts = _counted(who.codes[chosen], past.at[chosen] // width)
    slots = DAY // width
    is_old = when < past.cut // width
    is_new = ~is_old & who.is_known[whose]
    if not is_new.any():
        return
    place, size = whose * slots + when % slots, len(who.names) * slots
    clipped = np.minimum(counts, _caps(place[is_old], counts[is_old], size)[place])
    total = _pooled(_summed(place[is_old], clipped[is_old], size), slots)
    square = _pooled(_summed(place[is_old], clipped[is_old] ** 2, size), slots)
    most = _most(place[is_old], clipped[is_old], size, slots)
    samples = np.repeat(np.maximum(1.0, np.floor(who.days)) * (3 if slots > 1 else 1), slots)
    mean = (total + 0.5) / samples
    spread = np.maximum(1.0, (square / samples - (total / samples) ** 2) / mean)
    count, at = counts[is_new].astype("float64"), place[is_new]
    unlikely = _unlikely(count, mean[at], spread[at])
    told = (count >= LEAST) & (unlikely >= UNLIKELY) & (count > _WIDER * most[at])
    for i in np.flatnonzero(told):
        code, moment = int(whose[is_new][i]), int(when[is_new][i])
        mine = is_old & (whose == code)
        around = _around(when[mine], counts[mine], moment, slots, int(samples[at[i]]))
        yield Burst(code, moment * width, width, int(count[i]), float(unlikely[i]), around, int(who.days[code]))


def _counted(codes: Codes, periods: Codes) -> tuple[Codes, Codes, Codes]:
    """Entity, period and count of each pair that there is."""
    low = int(periods.min()) if len(periods) else 0
    width = int(periods.max()) - low + 1 if len(periods) else 1
    pairs, counts = np.unique(codes * width + (periods - low), return_counts=True)
    return pairs // width, pairs % width + low, counts


def _caps(whose: Codes, counts: Codes, size: int) -> Reals:
    """By entity and hour of day: the median of the busy ones and ten median absolute deviations more."""
    middle = _medians(whose, counts.astype("float64"), size)
    deviation = _medians(whose, np.abs(counts - middle[whose]), size)
    caps: Reals = middle + 10 * np.maximum(deviation, np.maximum(1.0, 0.3 * middle))
    return caps


def _medians(whose: Codes, values: Reals, size: int) -> Reals:
    out = np.zeros(size)
    if not len(whose):
        return out
    order = np.lexsort((values, whose))
    groups, starts, lengths = np.unique(whose[order], return_index=True, return_counts=True)
    ordered = values[order]
    out[groups] = (ordered[starts + (lengths - 1) // 2] + ordered[starts + lengths // 2]) / 2
    return out


def _summed(place: Codes, values: Reals, size: int) -> Reals:
    return np.bincount(place, values, size).astype("float64")


def _pooled(by_slot: Reals, slots: int) -> Reals:
    if slots == 1:
        return by_slot
    table = by_slot.reshape(-1, slots)
    pooled: Reals = (table + np.roll(table, 1, axis=1) + np.roll(table, -1, axis=1)).ravel()
    return pooled


def _most(place: Codes, counts: Reals, size: int, slots: int) -> Reals:
    out = np.zeros(size)
    np.maximum.at(out, place, counts)
    if slots == 1:
        return out
    table = out.reshape(-1, slots)
    near: Reals = np.maximum(table, np.maximum(np.roll(table, 1, axis=1), np.roll(table, -1, axis=1))).ravel()
    return near


def _unlikely(count: Reals, mean: Reals, spread: Reals) -> Reals:
    above = np.maximum(count, mean)
    exponent = above * np.log(above / mean) - above + mean
    return np.asarray(exponent / spread / np.log(10))


def _around(when: Codes, counts: Codes, moment: int, slots: int, samples: int) -> tuple[int, int]:
    """Between what the count usually is at that time of day: the 5th and the 95th of a hundred, empty periods too."""
    near = (when - moment + 1) % slots <= 2 if slots > 1 else np.ones(len(when), dtype=bool)
    held = np.sort(counts[near])
    empty = max(0, samples - len(held))

    def at(share: float) -> int:
        rank = int(share * (empty + len(held) - 1))
        return 0 if rank < empty or not len(held) else int(held[min(len(held) - 1, rank - empty)])

    return at(0.05), at(0.95)
