"""Chances by row and cause, and how they combine.

>>> float(round(noisy_or(np.array([0.10, 0.20, 0.15])), 3))
0.388
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.conditions import Columns
from toolkit.risk._model import Factor, model
from toolkit.risk._quantum import Reals, quantum
from toolkit.terms import Severity

_MOST: Final = 0.99
_STRING: Final = pd.StringDtype("pyarrow")


def noisy_or(chances: Reals) -> Reals:
    """The chance that at least one of independent things happens; the last axis is the things.

    Source: FIRST EPSS on combining scores.
    """
    combined: Reals = -np.expm1(np.log1p(-chances).sum(axis=-1))
    return combined


def shares(chances: Reals) -> Reals:
    """The exact share of each thing in `noisy_or`: -ln(1-p) over the sum; 0 where nothing happens."""
    weights = -np.log1p(-chances)
    total = weights.sum(axis=-1, keepdims=True)
    told: Reals = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return told


@dataclass(slots=True)
class Weighed:
    """By row and group: the largest chance, the factor it comes from (-1: none), and whether that is a guess."""

    chances: Reals
    factors: NDArray[np.int16]
    guessed: NDArray[np.bool_]


def weigh(columns: Columns) -> tuple[Weighed, Weighed]:
    """What makes each row likely to be abused, the quantum term last, and what that would harm."""
    weak, harm = _weigh(model().weaknesses, columns), _weigh(model().impacts, columns)
    return (_with_quantum(weak, columns) if columns.subject == "key" else weak), harm


def _weigh(factors: tuple[Factor, ...], columns: Columns) -> Weighed:
    groups = list(dict.fromkeys(factor.group for factor in factors if factor.subject == columns.subject))
    shape = (len(columns), len(groups))
    out = Weighed(np.zeros(shape), np.full(shape, -1, np.int16), np.zeros(shape, bool))
    for number, factor in enumerate(factors):
        if factor.subject == columns.subject:
            _take(out, groups.index(factor.group), number, *_chance(factor, columns))
    return out


def _chance(factor: Factor, columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    answer = columns.answer(factor.when)
    chance = np.where(answer.yes, factor.p, np.where(answer.no, 0.0, factor.unknown))
    for when, times in factor.mitigated:
        chance[columns.answer(when).yes] *= times
    return np.minimum(chance, _MOST), answer.unknown


def _take(out: Weighed, group: int, number: int, chance: Reals, guessed: NDArray[np.bool_]) -> None:
    larger = chance > out.chances[:, group]
    out.chances[larger, group] = chance[larger]
    out.factors[larger, group] = number
    out.guessed[larger, group] = guessed[larger]


def gate(weak: Weighed) -> pd.api.extensions.ExtensionArray:
    """Which rows ask for action at once. A gate counts when its condition holds, not when it is only feared."""
    gates = np.array([*(factor.gate is not None for factor in model().weaknesses), False, False])
    is_urgent = (gates[weak.factors] & ~weak.guessed).any(axis=1)
    return pd.array(np.where(is_urgent, "immediate", None), dtype=_STRING)  # type: ignore[call-overload]  # None is NA


def _with_quantum(weak: Weighed, columns: Columns) -> Weighed:
    chance, guessed = quantum(columns)
    number = np.where(chance > 0, len(model().weaknesses), -1).astype(np.int16)
    return Weighed(
        np.column_stack([weak.chances, chance]),
        np.column_stack([weak.factors, number]),
        np.column_stack([weak.guessed, guessed]),
    )


def band(likelihood: Reals, impact: Reals) -> pd.Categorical:
    """SP 800-30 r1, table I-2: the level of risk of two values from 0 to 1."""
    levels = list(Severity)
    place = {level: code for code, level in enumerate(levels)}
    matrix = np.array([[place[level] for level in row] for row in model().matrix], np.int8)
    # Rounding first: 0.8 that came out as 0.7999… is 80.
    cuts = [
        np.searchsorted(model().least, np.round(100 * value, 9), side="right") - 1 for value in (likelihood, impact)
    ]
    dtype = pd.CategoricalDtype([level.value for level in levels], ordered=True)
    return pd.Categorical.from_codes(matrix[cuts[0], cuts[1]], dtype=dtype)
