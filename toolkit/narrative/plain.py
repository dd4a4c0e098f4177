"""Tables as plain text: in columns where there is room, one row under the other where there is not.

What steers a terminal is spelled out: names come from outside.
Refuses to: cut a name; a long line can be copied, half a name cannot.

>>> import pandas as pd
>>> frame = pd.DataFrame({"key": ["pay", "mail"], "bits": [2048, 256], "note": [None, None]})
>>> print("\\n".join(line for block in blocks(frame) for line in block))
key   bits
pay   2048
mail   256
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from toolkit.visible import spelled

_GAP: Final = "  "
# Narrower, a column of sentences is a column of syllables.
_LEAST: Final = 24

Block = list[str]


def cell(value: Any) -> str:
    """A value as people read it; nothing for what is not known."""
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return ", ".join(cell(item) for item in value)
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if (value.hour, value.minute) == (0, 0) else f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return spelled(str(value))


def folded(text: str, width: int | None) -> list[str]:
    """A sentence as the lines it takes; a name that is longer than a line stays whole. None: one line.

    >>> folded("one of two", 6), folded("one of two", None)
    (['one of', 'two'], ['one of two'])
    """
    if width is None:
        return [spelled(text)]
    return textwrap.wrap(spelled(text), width, break_long_words=False, break_on_hyphens=False) or [""]


def blocks(frame: pd.DataFrame, *, width: int | None = None) -> list[Block]:
    """The lines of each row; in columns, those of the heading come first. `width` in characters; None: any."""
    rows = [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    said = [n for n in range(len(frame.columns)) if any(row[n] for row in rows)]
    heads = [str(frame.columns[n]) for n in said]
    rows = [[row[n] for n in said] for row in rows]
    if not rows or not said:
        return []
    natural = [max(len(head), *(len(row[n]) for row in rows)) for n, head in enumerate(heads)]
    fitting = _fit(natural, width)
    if fitting is None or _cuts(rows, natural, fitting):
        return [_stacked(heads, row, width or 80) for row in rows]
    types = [frame.dtypes.iloc[n] for n in said]
    is_right = [is_numeric_dtype(kind) and not is_bool_dtype(kind) for kind in types]
    return [_line(row, fitting, is_right) for row in (heads, *rows)]


def _fit(natural: Sequence[int], width: int | None) -> list[int] | None:
    """Widths of the columns; None if a column of sentences would be too narrow to read."""
    room = None if width is None else width - len(_GAP) * (len(natural) - 1)
    if room is None or sum(natural) <= room:
        return list(natural)
    long = [wide for wide in natural if wide > _LEAST]
    share = (room - sum(wide for wide in natural if wide <= _LEAST)) // max(len(long), 1)
    if share < _LEAST:
        return None
    # What a column does not need is left to the longest.
    spare = sum(max(0, share - wide) for wide in long)
    most = max(natural)
    return [wide if wide <= _LEAST else min(wide, share + (spare if wide == most else 0)) for wide in natural]


def _cuts(rows: Sequence[Sequence[str]], natural: Sequence[int], widths: Sequence[int]) -> bool:
    """Whether a name in a column that is folded is longer than its line."""
    tight = [n for n, width in enumerate(widths) if width < natural[n]]
    hang = {0: len(_GAP)}
    return any(len(name) > widths[n] - hang.get(n, 0) for n in tight for row in rows for name in row[n].split())


def _line(row: Sequence[str], widths: Sequence[int], is_right: Sequence[bool]) -> Block:
    # Rows are told apart by their first cells: what goes on there hangs back.
    hangs = [_GAP, *[""] * (len(row) - 1)]
    cells = [
        textwrap.wrap(text, width, subsequent_indent=hang, break_on_hyphens=False) or [""]
        for text, width, hang in zip(row, widths, hangs, strict=True)
    ]
    told = []
    for n in range(max(map(len, cells))):
        parts = [lines[n] if n < len(lines) else "" for lines in cells]
        texts = zip(parts, widths, is_right, strict=True)
        told.append(_GAP.join(part.rjust(w) if right else part.ljust(w) for part, w, right in texts).rstrip())
    return told


def _stacked(heads: Sequence[str], row: Sequence[str], width: int) -> Block:
    """A row as a small record: its first two values, then what else is known of it by name."""
    indent = " " * 4
    fold = partial(textwrap.wrap, width=width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    first = fold(_GAP.join(filter(None, row[:2]))) or [""]
    facts = " · ".join(
        f"{head.replace('_', ' ')}: {text}" for head, text in zip(heads[2:], row[2:], strict=True) if text
    )
    return [*first, *fold(facts, initial_indent=indent)]
