"""The page on one key: what it is, where it lies, who may use it, what hangs on it, and what to do first.

Refuses to: judge or look for anything; the frames come in, the page puts them under each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import pandas as pd

from toolkit.narrative.display import Safe, Table, chip, day, lines, place, strong, text, with_leave, word
from toolkit.narrative.plain import blocks, folded
from toolkit.narrative.verdicts import standing_chips
from toolkit.narrative.words import how_many, is_are, kind_of, listed, records

_MOST: Final = 30
_INDENT: Final = "  "


@dataclass(frozen=True, slots=True)
class Page:
    """Sections under a title. `frames` are the tables they were made of, by section, for whoever computes on."""

    title: str
    says: str
    sections: tuple[Table, ...]
    frames: Mapping[str, pd.DataFrame]

    def _repr_html_(self) -> str:
        sections = "".join(section._repr_html_() for section in self.sections)
        return f"<h2>{escape(self.title)}</h2><p>{escape(self.says)}</p>{sections}"

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """The page as plain text, folded to `width` characters; None: no line is folded."""
        told = [*_headed(self.title, "=", width), *folded(self.says, width)]
        for section in self.sections:
            told += ["", *_headed(section.title, "-", width), *folded(section.says, width)]
            told += [f"{_INDENT}{line}" for line in _plain(self.frames.get(section.title), width)]
        return "\n".join(told)


def _headed(title: str, rule: str, width: int | None) -> list[str]:
    lines = folded(title, width)
    return [*lines, rule * max(map(len, lines))]


def _plain(frame: pd.DataFrame | None, width: int | None) -> list[str]:
    room = None if width is None else width - len(_INDENT)
    return [] if frame is None else [line for block in blocks(frame.head(_MOST), width=room) for line in block]


def key_page(
    key: pd.Series[Any], score: pd.Series[Any] | None, frames: Mapping[str, pd.DataFrame], *, todo: pd.DataFrame
) -> Page:
    """The page on the key that a row of `tk.keys` is.

    `frames`: `places`, `certificates`, `findings`, `access`, `relations`, `secrets`, `usages`, `history`, `gaps`, each
    of this key only. `todo`: its repairs, worth most first.
    """
    told = {"reasons": _reasons(score), "todo": todo.head(5), **frames}
    sections, shown = [], {}
    for name, section in _SECTIONS.items():
        frame = told.get(name, pd.DataFrame())
        if len(frame) or section.nothing:
            sections.append(section.table(frame))
            shown[section.title] = frame.reindex(columns=list(section.plain))
    label = "" if pd.isna(key["label"]) else f" “{key['label']}”"
    return Page(f"{kind_of(key)}{label}", _sentence(key, score), tuple(sections), shown)


def _reasons(score: pd.Series[Any] | None) -> pd.DataFrame:
    return pd.DataFrame({"reason": [] if score is None else list(score["reasons"])})


def _sentence(key: pd.Series[Any], score: pd.Series[Any] | None) -> str:
    told = [f"It was seen at {how_many(int(key['places']), 'place')}"]
    if key["holds_secret"]:
        told.append(f"its secret half at {int(key['copies'])} of them")
    since = key["in_use_since"]
    used = "since when it is in use is not known" if pd.isna(since) else f"in use since {since:%-d %B %Y}"
    opening = f"{listed(told)}; {used}."
    if score is None:
        return opening
    now = "" if pd.isna(score["gate"]) else " It needs action now."
    return (
        f"{opening} Its risk is {score['score']:.0f} of 100 ({str(score['band']).replace('-', ' ')}; likelihood "
        f"{score['likelihood']:.2f}, impact {score['impact']:.2f}, {score['confidence']:.0%} of the likelihood is from "
        f"what was seen).{now}"
    )


@dataclass(frozen=True, slots=True)
class _Section:
    """How one frame is shown: its cells by heading, the sentence with its number of rows, the one for none."""

    title: str
    cells: Mapping[str, Callable[[Any], Safe]]
    some: Callable[[pd.DataFrame], str]
    plain: tuple[str, ...]
    """The columns that a terminal shows."""
    nothing: str = ""
    """What is said of no rows; empty: the section is left out."""

    def table(self, frame: pd.DataFrame) -> Table:
        rows = tuple(tuple(cell(row) for cell in self.cells.values()) for row in records(frame.head(_MOST)))
        says = self.some(frame) if len(frame) else self.nothing
        more = f" The first {_MOST} are shown." if len(frame) > _MOST else ""
        return Table(self.title, says + more, tuple(self.cells), rows)


def _yes(flag: object) -> Safe:
    return text(None) if pd.isna(flag) else word("yes" if flag else "no")  # type: ignore[call-overload]  # a scalar


def _several(values: Any) -> str:
    return "" if pd.api.types.is_scalar(values) else ", ".join(str(value) for value in values)


def _says(sentence: str) -> Callable[[pd.DataFrame], str]:
    return lambda _: sentence


def _rule(row: Any) -> Safe:
    return lines([text(f"{row.pack}: {row.rule}"), text(row.says, most=180), with_leave(row.excepted)])


def _clause(row: Any) -> Safe:
    return lines([text(row.clause, most=100), standing_chips(row.mark, row.is_draft)])


def _broken(frame: pd.DataFrame) -> str:
    fails = int((frame["verdict"] == "FAIL").sum())
    return f"{how_many(len(frame), 'rule')} {'applies' if len(frame) == 1 else 'apply'}; it breaks {fails:,}."


_SECTIONS: Final = {
    "reasons": _Section(
        "Reasons of its risk",
        {"Reason": lambda row: text(row.reason, most=160)},
        _says("The share before each is its exact part in the likelihood; together they are all of it."),
        ("reason",),
    ),
    "todo": _Section(
        "What to do first",
        {
            "Repair": lambda row: text(row.says, most=160),
            "Risk": lambda row: strong(f"{row.before:.0f} → {row.after:.0f}"),
            "Work": lambda row: word(f"{row.hours:.1f} h"),
            "Verb": lambda row: word(row.verb),
        },
        _says("Worth most per hour of work first; hours are a calibration of this tool."),
        ("says", "before", "after", "hours"),
        "No repair that is known here would lower its risk.",
    ),
    "places": _Section(
        "Where it lies",
        {
            "Place": lambda row: place(row.locator, most=90),
            "Source": lambda row: word(row.collector),
            "Half": lambda row: text(row.key_type),
            "Protection": lambda row: text(row.protection),
            "Readable by others": lambda row: _yes(row.is_exposed),
        },
        _says("Least protected first; the weakest copy counts."),
        ("collector", "key_type", "protection", "is_exposed", "locator"),
    ),
    "certificates": _Section(
        "Certificates on it",
        {
            "Subject": lambda row: text(row.subject),
            "Issuer": lambda row: text(row.issuer),
            "From": lambda row: day(row.not_before),
            "Until": lambda row: day(row.not_after),
            "Place": lambda row: place(row.locator),
        },
        lambda frame: f"{how_many(len(frame), 'certificate')} would have to be re-issued with it.",
        ("subject", "issuer", "not_after", "locator"),
        "No certificate was seen on it.",
    ),
    "findings": _Section(
        "What the standards say of it",
        {
            "Verdict": lambda row: chip(row.verdict),
            "Severity": lambda row: chip(row.severity),
            "Rule": _rule,
            "Clause": _clause,
            "Saw": lambda row: text(row.saw, most=120),
        },
        _broken,
        ("verdict", "severity", "pack", "rule", "clause", "mark", "excepted"),
        "No rule of the packs applies to it.",
    ),
    "access": _Section(
        "Who may use it",
        {
            "Principal": lambda row: text(row.principal),
            "Function": lambda row: word(row.function),
            "Through": lambda row: word(row.via),
            "Conditions": lambda row: text(_several(row.conditions), most=120),
        },
        lambda frame: f"{how_many(frame['principal'].nunique(), 'principal')} may, as far as policies were read.",
        ("principal", "function", "via", "conditions"),
        "Nothing is known of who may use it beyond the rights on its places.",
    ),
    "relations": _Section(
        "What hangs on it",
        {
            "How": lambda row: word(row.kind),
            "What": lambda row: text(row.object_kind),
            "Which": lambda row: text(row.object),
        },
        lambda frame: f"{how_many(len(frame), 'thing')} would be lost, or stop, with it.",
        ("kind", "object_kind", "object"),
        "Nothing was seen to hang on it.",
    ),
    "secrets": _Section(
        "In code",
        {
            "What": lambda row: text(row.title),
            "Where": lambda row: place(row.path),
            "Brought by": lambda row: text(row.first_author),
            "Since": lambda row: day(row.first_seen_at),
            "Still there": lambda row: _yes(row.is_current),
        },
        _says("Everyone with a clone has it."),
        ("title", "path", "first_seen_at", "is_current"),
    ),
    "usages": _Section(
        "What was done with it",
        {
            "When": lambda row: day(row.occurred_at),
            "Who": lambda row: text(row.principal),
            "What": lambda row: word(row.operation),
            "Result": lambda row: text(row.result),
            "From": lambda row: text(row.source),
        },
        lambda frame: f"{how_many(len(frame), 'event')} {is_are(len(frame))} known, the newest first.",
        ("occurred_at", "principal", "operation", "result"),
    ),
    "history": _Section(
        "What changed from run to run",
        {
            "Seen": lambda row: day(row.at),
            "Change": lambda row: word(row.change),
            "Place": lambda row: place(row.locator),
            "Fields": lambda row: text(_several(row.fields)),
        },
        _says("What the runs of this workspace saw change."),
        ("at", "change", "locator", "fields"),
    ),
    "gaps": _Section(
        "What could not be seen of it",
        {
            "Field": lambda row: word(row.field),
            "Why": lambda row: chip(row.status),
            "What happened": lambda row: text(row.reason, most=140),
            "Permission": lambda row: text(row.permission),
            "Place": lambda row: place(row.locator),
        },
        _says("These facts are missing from all of the above."),
        ("field", "status", "reason", "permission"),
        "No gap was met at its places.",
    ),
}
