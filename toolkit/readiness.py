"""Quantum readiness: which keys must move, by when, who says so, and how far the estate has come.

Mosca's inequality as a chance for each key (`toolkit.risk`): does what it protects have to hold longer than until the
machine arrives? Beside it the dates of those who demand the move (`mandates.toml`); whom a mandate binds is told by
the subject's scopes, and where they are not told it may be bound, never a guess.

Refuses to: be a forecast. The arrival curve is a calibration and a parameter; the dates are others' and carry marks.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit import correlation, risk
from toolkit.conditions import All, Answer, Columns, Condition, Not, parse
from toolkit.tables import Inventory

Flags = NDArray[np.bool_]

_STRING: Final = pd.StringDtype("pyarrow")
_NEVER: Final = np.datetime64("NaT", "s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """Somebody's date after which classical algorithms no longer do; `mark` says how it was checked (P, S, K)."""

    id: str
    document: str
    binding: str
    mark: str
    says: str
    function: str
    until: date
    demand: str
    scope: str | None = None
    strength_below: int | None = None
    is_draft: bool = False


@cache
def mandates() -> tuple[Mandate, ...]:
    """The mandates there are, earliest first."""
    data = tomllib.loads(files("toolkit").joinpath("mandates.toml").read_text(encoding="utf-8"))
    return tuple(sorted((Mandate(**table) for table in data["mandates"]), key=lambda mandate: mandate.until))


def readiness(
    subjects: Mapping[str, pd.DataFrame], *, as_of: datetime, curve: Mapping[int, float] | None = None
) -> pd.DataFrame:
    """One row a key that a quantum computer breaks; those we hold first, then the most pressing.

    `curve` gives chances of the machine's arrival by year, in place of the data's; `{2034: 0, 2035: 1}` is plain Mosca
    for 2035. Columns: subject_uid, locator, label, holds_secret, algorithm, parameter, size_bits, data_class, function
    (establishes, signs, unknown), must_hold_until (Mosca's X + Y, a year), is_horizon_known, chance (that the machine
    is there by then), until (date of the earliest mandate that binds it) and mandate, may_be_until and may_be (of those
    that may), mandates (all ids), days_left (to the earlier date).
    """
    columns = Columns("key", subjects["key"], as_of=as_of)
    rows = columns.answer(_BROKEN).yes
    columns = Columns("key", subjects["key"][rows].reset_index(drop=True), as_of=as_of)
    frame, establishes = columns.frame, columns.answer(risk.model().encrypts)
    must_hold_until, is_known = risk.horizon(columns)
    out = frame[_KEPT].assign(
        function=np.select([establishes.yes, establishes.no], ["establishes", "signs"], "unknown"),
        must_hold_until=must_hold_until,
        is_horizon_known=is_known,
        chance=risk.arrival(must_hold_until, curve),
    )
    out = out.assign(**_dated(columns))
    first = out[["until", "may_be_until"]].min(axis=1)
    out["days_left"] = (first - pd.Timestamp(as_of.date())).dt.days.astype("Int64")
    # What others hold is theirs to move; ours is told first.
    order = out.assign(_held=out["holds_secret"].fillna(False).astype(bool), _first=first)
    order = order.sort_values(["_held", "_first", "chance", "locator"], ascending=[False, True, False, True])
    return order.drop(columns=["_held", "_first"]).reset_index(drop=True)


_BROKEN: Final = parse({"field": "quantum", "op": "==", "value": "broken"}, subject="key")
_KEPT: Final = ["subject_uid", "locator", "label", "holds_secret", "algorithm", "parameter", "size_bits", "data_class"]


def _dated(columns: Columns) -> dict[str, Any]:
    """For each key the earliest date that binds it, the earliest that may, and all that do either."""
    size = len(columns)
    told: dict[str, Any] = {name: np.full(size, _NEVER) for name in ("until", "may_be_until")}
    told |= {name: np.full(size, None, dtype=object) for name in ("mandate", "may_be")}
    every: list[list[str]] = [[] for _ in range(size)]
    for mandate in mandates():
        bound = _bound(mandate, columns)
        for rows, when, which in ((bound.yes, "until", "mandate"), (bound.unknown, "may_be_until", "may_be")):
            fresh = rows & np.isnat(told[when])
            told[when][fresh] = np.datetime64(mandate.until)
            told[which][fresh] = mandate.id
        for row in np.flatnonzero(~bound.no):
            every[row].append(mandate.id)
    texts = {name: pd.array(told[name], dtype=_STRING) for name in ("mandate", "may_be")}
    return {**told, **texts, "mandates": every}


def _bound(mandate: Mandate, columns: Columns) -> Answer:
    """Whether the mandate binds each key: its function, its strength, its scope; unknown where one is not told."""
    asked: list[Condition] = []
    if mandate.strength_below is not None:
        below = {"field": "security_strength_bits", "op": "<", "value": mandate.strength_below}
        asked.append(parse(below, subject="key"))
    if mandate.scope is not None:
        asked.append(parse({"field": "scopes", "op": "within", "value": [mandate.scope]}, subject="key"))
    if mandate.function != "any":
        establishes = risk.model().encrypts
        asked.append(establishes if mandate.function == "establishes" else Not(establishes))
    return columns.answer(All(tuple(asked)))


def by_mandate(keys: pd.DataFrame, *, as_of: datetime) -> pd.DataFrame:
    """One row a mandate, earliest first: how many keys it binds, how many it may bind, and the days that are left.

    `keys` is what `readiness` gave.
    """
    sure = keys["mandates"].map(set)
    rows = []
    for mandate in mandates():
        named = sure.map(lambda ids, wanted=mandate.id: wanted in ids).to_numpy(dtype=bool)
        days = (mandate.until - as_of.date()).days
        rows.append(
            (mandate.id, mandate.document, mandate.binding, mandate.mark, mandate.is_draft, mandate.demand,
             mandate.scope, mandate.until, days, int(named.sum()), mandate.says)
        )  # fmt: skip
    names = [
        "mandate",
        "document",
        "binding",
        "mark",
        "is_draft",
        "demand",
        "scope",
        "until",
        "days_left",
        "keys",
        "says",
    ]
    return pd.DataFrame(rows, columns=names)


def burn_down(inventories: Iterable[tuple[datetime, Inventory]]) -> pd.DataFrame:
    """How the estate moved: a row a time, with keys held that a quantum computer breaks, weakens, spares, or not known.

    Only keys whose secret half is held count: what others must move is not ours to burn down.
    """
    rows = []
    for moment, inv in inventories:
        keys = correlation.subjects(inv)["key"]
        kinds = keys.loc[keys["holds_secret"].fillna(False).astype(bool), "quantum"].fillna("unknown").value_counts()
        rows.append((moment, *(int(kinds.get(kind, 0)) for kind in _KINDS)))
    return pd.DataFrame(rows, columns=["at", *_KINDS])


_KINDS: Final = ("broken", "weakened", "resistant", "unknown")
