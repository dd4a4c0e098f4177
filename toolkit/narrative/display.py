"""What a notebook shows: tables and paragraphs whose every cell is escaped.

A name, a path or a reason was written by whoever made the key, so it is data: markup is escaped, characters that
cannot be seen or that turn the writing direction are spelled out, and what is long is cut in the middle with the
whole text in `title`.

Refuses to: take markup from a caller. Only `Safe` text gets into a cell, and only this module makes it.

>>> text("<b>\\u202e")
'&lt;b&gt;\\\\u202e'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, NewType

import pandas as pd

from toolkit.narrative.words import place_of
from toolkit.visible import spelled

Safe = NewType("Safe", str)
"""Text that is escaped already."""

UNKNOWN: Final = Safe('<span class="unknown">unknown</span>')
NOTHING: Final = Safe("")
_IMMEDIATE: Final = Safe('<span class="chip now">now</span>')


def visible(value: object) -> str:
    """A value as text in which nothing is hidden."""
    return spelled(str(value))


def is_unknown(value: object) -> bool:
    """Whether a cell of a frame holds nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)


def text(value: object, *, most: int = 90) -> Safe:
    """A value; long ones are cut in the middle."""
    if is_unknown(value):
        return UNKNOWN
    whole = visible(value)
    if len(whole) <= most:
        return Safe(escape(whole))
    head = (most - 1) // 3
    cut = f"{whole[:head]}…{whole[-(most - 1 - head) :]}"
    return Safe(f'<span title="{escape(whole)}">{escape(cut)}</span>')


def place(locator: object, *, most: int = 58) -> Safe:
    """A place: its end says more than its beginning, so more of the end stays."""
    if is_unknown(locator):
        return UNKNOWN
    named = place_of(locator)
    cut = text(named, most=most)
    # A long path breaks after a slash; a slash inside a tag or a `title` must stay as it is.
    tag, opens, shown = cut.rpartition('">') if cut.startswith("<span title=") else ("", "", cut)
    shown = shown.removesuffix("</span>").replace("/", "/<wbr>") + ("</span>" if opens else "")
    # What is named in other words than its own has its own in `title`.
    is_own = str(locator).endswith(named)
    title = "" if is_own else f' title="{escape(visible(locator))}"'
    return Safe(f'<span class="code"{title}>{tag}{opens}{shown}</span>')


def uid(value: object) -> Safe:
    """A key's uid, cut to what tells it from others; the whole of it in `title`."""
    if is_unknown(value):
        return UNKNOWN
    whole = visible(value)
    kind, _, digits = whole.rpartition(":")
    return Safe(f'<span class="code" title="{escape(whole)}">{escape(f"{kind}:{digits[:8]}")}</span>')


def count(value: object) -> Safe:
    """A number with its thousands parted; nothing for zero, so that what is there stands out."""
    return NOTHING if is_unknown(value) or not value else Safe(f"{int(str(value)):,}")


def chip(word: object, *, kind: str = "") -> Safe:
    """A level or verdict as a coloured word; the colour only repeats it. `kind` is the class if the word is none."""
    if is_unknown(word):
        return UNKNOWN
    name = "".join(c for c in (kind or str(word)).lower() if c.isalnum() or c in "-_")
    return Safe(f'<span class="chip {name}">{escape(visible(word).replace("-", " ").replace("_", " "))}</span>')


def word(value: object) -> Safe:
    """A short name that stays in one piece."""
    return UNKNOWN if is_unknown(value) else Safe(f'<span class="word">{text(value, most=28)}</span>')


def day(moment: object) -> Safe:
    """A date."""
    return UNKNOWN if is_unknown(moment) else word(f"{pd.Timestamp(str(moment)):%Y-%m-%d}")


def lines(parts: Sequence[Safe]) -> Safe:
    """Several cells in one, one below the other."""
    return Safe("<br>".join(part for part in parts if part))


def with_leave(excepted: object) -> Safe:
    """The exception by which a rule is broken, if there is one: marked, so that nobody takes it for a pass."""
    return NOTHING if is_unknown(excepted) else spaced([chip("excepted"), text(excepted, most=220)])


def quiet(value: object, *, most: int = 110) -> Safe:
    """A value that matters less than those beside it."""
    return Safe(f'<span class="quiet">{text(value, most=most)}</span>')


def spaced(parts: Sequence[Safe]) -> Safe:
    """Several cells in one, side by side."""
    return Safe(" ".join(part for part in parts if part))


def immediate() -> Safe:
    """The sign of what cannot wait."""
    return _IMMEDIATE


def strong(value: object) -> Safe:
    """A value that matters."""
    return Safe(f"<strong>{text(value)}</strong>")


@dataclass(frozen=True, slots=True)
class Table:
    """A heading, a short table and the sentence that says what it means."""

    title: str
    says: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Safe, ...], ...]
    numbers: frozenset[str] = field(default_factory=frozenset)

    def _repr_html_(self) -> str:
        heading, says = f"<h2>{escape(self.title)}</h2>", f'<p class="says">{escape(visible(self.says))}</p>'
        if not self.rows:
            return heading + says
        head = "".join(f'<th scope="col"{self._kind(name)}>{escape(name)}</th>' for name in self.columns)
        body = "".join(f"<tr>{self._row(row)}</tr>" for row in self.rows)
        table = f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        return heading + table + says

    def _row(self, row: tuple[Safe, ...]) -> str:
        return "".join(f"<td{self._kind(name)}>{cell}</td>" for name, cell in zip(self.columns, row, strict=True))

    def _kind(self, name: str) -> str:
        return ' class="number"' if name in self.numbers else ""

    def __repr__(self) -> str:
        return f"{self.title}: {len(self.rows)} rows. {self.says}"


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures in large type, and the paragraph that puts them together."""

    tiles: tuple[tuple[str, str, str], ...]
    """Number, what it counts, and a class: `alarm`, `warning` or nothing."""
    sentences: tuple[str, ...]

    def _repr_html_(self) -> str:
        tiles = "".join(
            f'<li class="{escape(kind or "plain")}"><strong>{escape(number)}</strong> <span>{escape(what)}</span></li>'
            for number, what, kind in self.tiles
        )
        told = " ".join(escape(visible(sentence)) for sentence in self.sentences)
        return f'<ul class="tiles">{tiles}</ul><p class="summary">{told}</p>'

    def __repr__(self) -> str:
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True)
class Sections:
    """Tables one below the other."""

    tables: tuple[Table, ...]

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self.tables)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.tables))
