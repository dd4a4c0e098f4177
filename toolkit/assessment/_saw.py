"""The values that rules looked at, as JSON: codes a row, each distinct combination written once.

Rules that look at the same fields share one coding, so that a field set costs one pass over the rows however many
rules ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.conditions import Columns

_TABLE: Final = 1 << 22
"""Up to so many possible combinations a table of them is quicker than a hash of those that there are."""


class Saw:
    """One set of fields over all rows of a subject."""

    def __init__(self, columns: Columns, fields: Sequence[str]) -> None:
        self._columns, self._fields = columns, fields
        self._codes: NDArray[np.int32] | None = None
        self._tuples: list[NDArray[np.int32]] = []

    def codes(self) -> NDArray[np.int32]:
        """Which combination each row has."""
        if self._codes is None:
            self._codes = self._combined()
        return self._codes

    def _combined(self) -> NDArray[np.int32]:
        combined, count = np.zeros(len(self._columns), np.int32), 1
        self._tuples = []
        for name in self._fields:
            codes, values = self._columns.codes(name)
            size = len(values) + 1
            # Code -1, unknown, takes the last place.
            digit = np.where(codes < 0, np.int32(size - 1), codes).astype(np.int32, copy=False)
            wide = combined.astype(np.int64) * size + digit if count * size >= 1 << 31 else combined * size + digit
            combined, used = _dense(wide, count * size)
            self._tuples = [part[used // size] for part in self._tuples] + [(used % size).astype(np.int32)]
            count = len(used)
        return combined

    def texts(self, used: NDArray[Any]) -> pa.Array:
        """The JSON of some combinations."""
        if not self._fields:
            return pa.array(["{}"] * len(used), pa.string())
        parts: list[Any] = []
        for number, (name, places) in enumerate(zip(self._fields, self._tuples, strict=True)):
            _, values = self._columns.codes(name)
            lead = ", " if number else "{"
            shown = pa.array([f'{lead}"{name}": {_show(value)}' for value in values] + [f'{lead}"{name}": null'])
            parts.append(shown.take(pa.array(places[used])))
        return pc.binary_join_element_wise(*parts, pa.scalar("}"), "")


def _dense(wide: NDArray[Any], size: int) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Codes without holes, and what each stands for."""
    if size <= _TABLE:
        seen = np.zeros(size, bool)
        seen[wide] = True
        used = np.flatnonzero(seen)
        places = np.empty(size, np.int32)
        places[used] = np.arange(len(used), dtype=np.int32)
        return places[wide], used
    codes, used = pd.factorize(wide)
    return codes.astype(np.int32), used


def _show(value: object) -> str:
    return f'"{value}"' if isinstance(value, np.datetime64) else json.dumps(value, ensure_ascii=False)
