"""Usage rows made ready to be counted: each event once, in order, with what habits are made of as numbers.

Refuses to: guess a time; an event without one is set apart.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Codes = npt.NDArray[np.int64]
HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
LEAST_DAYS: Final = 14
"""Two of every weekday."""
LEAST_EVENTS: Final = 10
SUCCESS: Final = "Success"

# What gives plaintext away, and what else a key is used for; by CloudTrail's event names.
DECRYPTS: Final = frozenset(
    {"Decrypt", "ReEncrypt", "ReEncryptFrom", "DeriveSharedSecret", "Decapsulate", "GetSecretValue",
     "BatchGetSecretValue", "GetParameter", "GetParameters", "GetParametersByPath"}
)  # fmt: skip
USES: Final = frozenset(
    {"Encrypt", "ReEncryptTo", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair",
     "GenerateDataKeyPairWithoutPlaintext", "Sign", "Verify", "GenerateMac", "VerifyMac", "Encapsulate"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """The events, oldest first. `at` is in microseconds since 1970; `is_new` marks those at and after the cut."""

    events: pd.DataFrame
    at: Codes
    is_new: npt.NDArray[np.bool_]
    cut: int
    end: int
    undated: pd.DataFrame

    @property
    def new_days(self) -> float:
        """How long the time after the cut is, as far as events tell; a day at least."""
        return max(1.0, (self.end - self.cut) / DAY)


@dataclass(frozen=True, slots=True)
class Entity:
    """Keys, or principals, as numbers: which one each event belongs to (-1: none), and how long each is known."""

    column: str
    codes: Codes
    names: npt.NDArray[np.object_]
    first: Codes
    days: npt.NDArray[np.float64]
    before: Codes

    @property
    def is_known(self) -> npt.NDArray[np.bool_]:
        """Which have enough history to have a habit."""
        return (self.days >= LEAST_DAYS) & (self.before >= LEAST_EVENTS)


def history(usages: pd.DataFrame, cut: datetime) -> History:
    """The events in an order that does not depend on that of the rows, each event id once."""
    columns = ["occurred_at", "event_id", "key_uid", "principal", "operation", "source", "result", "service", "locator",
               "detail", "account", "region"]  # fmt: skip
    # What a keeper sums up (its last use, its rotations) names nobody who acted: it is no event of a habit.
    frame = usages.loc[usages["principal"].notna() | usages["source"].notna(), columns]
    undated = frame[frame["occurred_at"].isna()]
    frame = frame[frame["occurred_at"].notna()]
    # Arrow sorts a million rows by many columns in a fraction of the time that pandas takes.
    keys = [(name, "ascending") for name in columns]
    frame = frame.iloc[pc.sort_indices(pa.Table.from_pandas(frame, preserve_index=False), keys).to_numpy()]
    again = frame["event_id"].notna() & frame["event_id"].duplicated()
    frame = frame[~again].reset_index(drop=True)
    at = frame["occurred_at"].dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]")
    times = at.to_numpy().astype("int64")
    moment = int(pd.Timestamp(cut).timestamp() * 1_000_000)
    end = int(times[-1]) if len(times) else moment
    return History(frame, times, times >= moment, moment, max(end, moment), undated)


def entity(past: History, column: str) -> Entity:
    """Each one's history before the cut."""
    codes, names = pd.factorize(past.events[column], sort=True)
    codes = codes.astype("int64")
    held, size = codes >= 0, len(names)
    first = np.full(size, past.end, dtype="int64")
    np.minimum.at(first, codes[held], past.at[held])
    old = held & ~past.is_new
    before = np.bincount(codes[old], minlength=size)
    days = np.maximum(0.0, (past.cut - first) / DAY)
    return Entity(column, codes, np.asarray(names, dtype=object), first, days, before)


def networks(sources: pd.Series[Any]) -> pd.Series[Any]:
    """Each source's network; a service, and what is no address, has none."""
    known = {text: _network(text) for text in sources.dropna().unique()}
    return sources.map(known)


@lru_cache(maxsize=1 << 16)
def _network(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A /24 is the smallest IPv4 network that is routed, a /48 what a site is given (RFC 6177).
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
