"""Uses of keys that are switched off or wait for their destruction.

Refuses to: take a key for marked at a time before it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from toolkit.habits._history import DECRYPTS, SUCCESS, USES, History

_STATES: Final = {
    "ScheduleKeyDeletion": "marked for destruction",
    "DeleteSecret": "marked for destruction",
    "DisableKey": "disabled",
    "CancelKeyDeletion": "disabled",
    "EnableKey": "",
    "RestoreSecret": "",
}
_REFUSALS: Final = {"DisabledException": "disabled", "KMSInvalidStateException": "not in a state to be used"}


@dataclass(frozen=True, slots=True)
class Marked:
    """A marked key that was asked for: the rows, what it was, and how many of them it served."""

    key_uid: str
    rows: list[int]
    state: str
    served: int


def marked(past: History, states: pd.Series[Any] | None) -> Iterator[Marked]:
    """By key: the uses after the cut while it was marked, by its own events, its refusals, or its keeper's state.

    `states`: by key uid, `marked for destruction` or `disabled`, as they were when the keys were read.
    """
    events = past.events
    is_use = events["operation"].isin(DECRYPTS | USES).to_numpy(bool) & past.is_new
    said = _by_events(events)
    refused = events["result"].map(_REFUSALS).astype(object).where(events["result"] != SUCCESS)
    pending = events["detail"].str.contains('"state":"PendingDeletion"', regex=False).fillna(False).to_numpy(bool)
    refused = refused.mask(pending, "marked for destruction")
    now = events["key_uid"].map(states) if states is not None else pd.Series(None, index=events.index, dtype=object)
    # What the key's own events say of that moment is more than what was read of it later.
    state = refused.where(refused.notna(), said.where(said.notna(), now.astype(object)))
    told = is_use & (state.notna() & (state != "")).to_numpy(bool)
    yield from _grouped(events, state, told)


def _by_events(events: pd.DataFrame) -> pd.Series[Any]:
    changed = events["operation"].map(_STATES).astype(object).where(events["result"] == SUCCESS)
    return changed.groupby(events["key_uid"], sort=False).ffill()


def _grouped(events: pd.DataFrame, state: pd.Series[Any], told: npt.NDArray[np.bool_]) -> Iterator[Marked]:
    some = events[told].assign(state=state[told])
    for (key, what), group in some.groupby(["key_uid", "state"], sort=True):
        served = int((group["result"] == SUCCESS).sum())
        yield Marked(str(key), [int(row) for row in group.index], str(what), served)
