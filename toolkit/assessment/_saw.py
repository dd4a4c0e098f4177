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


Shown = dict[tuple[str, str], pa.Array]
"""The JSON of all values, by subject and field: a label of each of a million keys is written once, whoever asks."""


class Saw:
    """One set of fields over all rows of a subject.

    A combination is a number whose digits are the values' codes, the last field's least; 0 is unknown. Where it would
    grow past `_TABLE`, the combinations that occur are numbered anew, and `_tuples` keeps the digits of each.
    """

    def __init__(self, columns: Columns, fields: Sequence[str], shown: Shown) -> None:
        self._columns, self._fields, self._shown = columns, fields, shown
        self._tuples: list[NDArray[Any]] = []
        self._open: list[int] = []  # sizes of the digits that are not in `_tuples` yet
        self.count = 1
        self.codes = self._combined()

    def _combined(self) -> NDArray[np.int32]:
        """Which combination each row has."""
        combined = np.zeros(len(self._columns), np.int32)
        for name in self._fields:
            codes, values = self._columns.codes(name)
            size = len(values) + 1
            if self.count * size > _TABLE and self.count > 1:
                combined = self._renumber(combined)
            if self.count * size >= 1 << 31:
                combined = self._renumber(combined.astype(np.int64) * size + codes + 1, size)
                continue
            combined *= np.int32(size)
            combined += codes
            combined += np.int32(1)
            self._open.append(size)
            self.count *= size
        return combined

    def _renumber(self, wide: NDArray[Any], size: int = 1) -> NDArray[np.int32]:
        """Combinations without holes."""
        if size > 1:
            self._open.append(size)
        combined, used = _dense(wide, self.count * size)
        self._tuples, self._open, self.count = self._digits(used), [], len(used)
        return combined

    def _digits(self, used: NDArray[Any]) -> list[NDArray[Any]]:
        """The codes of each field, plus one, in some combinations."""
        last = []
        for size in reversed(self._open):
            last.append(used % size)
            used = used // size
        return [digit[used] for digit in self._tuples] + last[::-1]

    def texts(self, used: NDArray[Any]) -> pa.Array:
        """The JSON of some combinations."""
        if not self._fields:
            return pa.array(["{}"] * len(used), pa.large_string())
        parts: list[Any] = []
        for number, (name, digits) in enumerate(zip(self._fields, self._digits(used), strict=True)):
            lead = ", " if number else "{"
            parts += (pa.scalar(f'{lead}"{name}": '), self._values(name).take(pa.array(digits)))
        return pc.binary_join_element_wise(
            *(part.cast(pa.large_string()) for part in parts),
            pa.scalar("}", pa.large_string()),
            pa.scalar("", pa.large_string()),
        )

    def _values(self, field: str) -> pa.Array:
        """The JSON of each value of a field, that of the unknown first."""
        key = self._columns.subject, field
        if key not in self._shown:
            _, values = self._columns.codes(field)
            self._shown[key] = pa.array(["null", *map(_show, values)], pa.large_string())
        return self._shown[key]


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


_encoded: Final = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder for each value


def _show(value: object) -> str:
    return f'"{value}"' if isinstance(value, np.datetime64) else _encoded(value)
