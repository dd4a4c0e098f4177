"""Where packs disagree: on one subject and one topic, one passes what another does not.

PCI DSS lists triple DES as strong, NIST disallows it: both verdicts stand, side by side, and a person decides.

Findings come in runs of one pack, topic and verdict, and each run is a handful of operations on whole columns; texts
stay codes, so that a million conflicts are not twenty million strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.terms import Verdict

_HARSHNESS: Final = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
_UNTOLD: Final = 3
_BY: Final = ("topic", "subject", "pack", "verdict", "rule")  # within one rule a subject stands once
_SAME: Final = ("subject", "subject_uid", "locator", "topic")
_SHOWN: Final = ("pack", "rule", "clause", "verdict", "binding", "status", "says")

Run = tuple[int, NDArray[np.int32]]
"""A harshness, and the rows that have it."""


def conflicts(findings: pd.DataFrame) -> pd.DataFrame:
    """One row a subject and topic on which packs differ: the strictest verdict beside the mildest.

    What a pack says of a topic is the worst that its rules say; what is undecided or not applicable says nothing.
    """
    uids = findings["subject_uid"].cat.codes.to_numpy()
    count = len(findings["subject_uid"].cat.categories)
    pairs = [_differing(packs, uids, count) for packs in _groups(findings)]
    none = np.zeros(0, np.int32)
    strict, mild = (np.concatenate([none, *(pair[side] for pair in pairs)]) for side in (0, 1))
    return _beside(findings, strict, mild)


def _groups(findings: pd.DataFrame) -> Iterator[list[list[Run]]]:
    """For each topic and kind of subject, and for each pack that speaks of it, the runs of its verdicts."""
    codes = [findings[name].cat.codes.to_numpy() for name in _BY]
    starts = _starts(codes)
    if len(starts) > max(10_000, len(findings) // 100):
        # Somebody sorted the findings otherwise: bring what belongs together together again.
        order = np.lexsort([*codes[::-1]]).astype(np.int32)
        codes = [values[order] for values in codes]
        starts = _starts(codes)
    else:
        order = np.arange(len(findings), dtype=np.int32)
    harshness = np.array([_HARSHNESS.get(verdict, -1) for verdict in Verdict] + [-1], np.int8)
    found: dict[tuple[int, int], dict[int, list[Run]]] = {}
    for start, stop in zip(starts, np.append(starts[1:], len(findings)), strict=False):
        topic, subject, pack, verdict = (int(values[start]) for values in codes[:4])
        if harshness[verdict] >= 0:
            packs = found.setdefault((topic, subject), {})
            packs.setdefault(pack, []).append((int(harshness[verdict]), order[start:stop]))
    return iter([list(packs.values()) for packs in found.values() if len(packs) > 1])


def _starts(codes: list[NDArray[Any]]) -> NDArray[np.intp]:
    changes = np.zeros(len(codes[0]), bool)
    changes[:1] = True
    for values in codes:
        changes[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(changes)


def _differing(
    packs: Iterable[list[Run]], uids: NDArray[Any], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The findings of the strictest and of the mildest pack, for each subject on which they differ."""
    strictest, mildest = np.full(count, -1, np.int8), np.full(count, _UNTOLD, np.int8)
    strict, mild = np.zeros(count, np.int32), np.zeros(count, np.int32)
    for runs in packs:
        worst, where = np.full(count, -1, np.int8), np.zeros(count, np.int32)
        for rank, rows in runs:
            whose = uids[rows]
            is_worse = (worst[whose] < rank) | ((worst[whose] == rank) & (where[whose] > rows))
            worst[whose[is_worse]], where[whose[is_worse]] = rank, rows[is_worse]
        is_strict = (worst > strictest) | ((worst == strictest) & (where > strict))
        strictest[is_strict], strict[is_strict] = worst[is_strict], where[is_strict]
        is_mild = (worst >= 0) & ((worst < mildest) | ((worst == mildest) & (where < mild)))
        mildest[is_mild], mild[is_mild] = worst[is_mild], where[is_mild]
    differ = (mildest < _UNTOLD) & (mildest != strictest)
    return strict[differ], mild[differ]


def _beside(findings: pd.DataFrame, strict: NDArray[np.int32], mild: NDArray[np.int32]) -> pd.DataFrame:
    order = np.lexsort([_alphabetical(findings[name], strict) for name in ("subject_uid", "topic")])
    strict, mild = strict[order], mild[order]
    told = {name: findings[name].array.take(strict) for name in _SAME}
    told |= {f"strict_{name}": findings[name].array.take(strict) for name in _SHOWN}
    told |= {f"mild_{name}": findings[name].array.take(mild) for name in _SHOWN}
    return pd.DataFrame(told, copy=False)


def _alphabetical(column: pd.Series[Any], rows: NDArray[np.int32]) -> NDArray[np.intp]:
    """Where each row's text stands in the alphabet."""
    codes, texts = column.cat.codes.to_numpy()[rows], column.cat.categories
    used, places = np.unique(codes, return_inverse=True)
    ranks = np.empty(len(used), np.intp)
    ranks[texts.take(used).argsort()] = np.arange(len(used))
    return ranks[places]
