"""The quantum term: Mosca's inequality as a chance, from an arrival curve that is data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.conditions import Columns, parse
from toolkit.risk._model import model

Reals = NDArray[np.float64]


def arrival(years: Reals, curve: Mapping[int, float] | None = None) -> Reals:
    """The chance that a quantum computer that breaks RSA-2048 exists by then (data, a calibration; or `curve`)."""
    known = curve or dict(zip(model().quantum["years"], model().quantum["chance"], strict=True))
    told: Reals = np.interp(years, sorted(known), [known[year] for year in sorted(known)])
    return told


def quantum(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    """Mosca's inequality as a chance: does what it protects have to hold longer than until the machine arrives?"""
    data, now = model().quantum, year_of(columns.as_of)
    shelf, shelf_known = shelf_life(columns)
    validity, validity_known = _validity(columns)
    later = now + data["migration_years"]
    opened = data["weight_encrypt"] * arrival(later + shelf)
    forged = data["weight_sign"] * arrival(later + validity)
    encrypts = columns.answer(model().encrypts)
    chance = np.where(encrypts.yes, opened, np.where(encrypts.no, forged, np.maximum(opened, forged)))
    certain = (encrypts.yes & shelf_known) | (encrypts.no & validity_known)
    broken = columns.answer(_BROKEN)
    return chance * np.where(broken.yes, 1.0, np.where(broken.no, 0.0, data["unknown_share"])), ~(certain & broken.yes)


def horizon(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    """Mosca's X + Y as a year: until when what a key does must hold, once it has been moved; and whether X is known.

    X is the shelf life of what it encrypts, or what is left of the validity of what it signs; the longer of both where
    its function is not told. Y is the time a migration takes.
    """
    shelf, shelf_known = shelf_life(columns)
    validity, validity_known = _validity(columns)
    encrypts = columns.answer(model().encrypts)
    longer = np.where(encrypts.yes, shelf, np.where(encrypts.no, validity, np.maximum(shelf, validity)))
    known = (encrypts.yes & shelf_known) | (encrypts.no & validity_known)
    return year_of(columns.as_of) + model().quantum["migration_years"] + longer, known


_BROKEN: Final = parse({"field": "quantum", "op": "==", "value": "broken"}, subject="key")


def shelf_life(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    """Years that what a key protects must stay secret, by its data class, and whether the class is known."""
    data = model().quantum
    codes, values = columns.codes("data_class")
    known = [data["shelf_life_years"].get(str(value).casefold(), np.nan) for value in values]
    years = np.array([*known, np.nan], float)[codes]
    return np.where(np.isnan(years), data["unknown_shelf_life_years"], years), ~np.isnan(years)


def _validity(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    ends = columns.frame["certified_until"].fillna(columns.frame["expires_at"])
    years = ((ends - columns.as_of).dt.total_seconds() / (365.2425 * 86400)).to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(years)
    return np.where(known, np.maximum(years, 0.0), model().quantum["unknown_validity_years"]), known


def year_of(moment: datetime) -> float:
    """A moment as a year with its fraction."""
    start = datetime(moment.year, 1, 1, tzinfo=UTC)
    return moment.year + (moment - start).days / 365.2425
