"""Quantum readiness in words: which keys move first, and what each mandate asks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from toolkit.narrative.display import NOTHING, Safe, Table, count, day, lines, place, quiet, text, uid, word
from toolkit.narrative.verdicts import clause
from toolkit.narrative.words import how_many, records


def moves(keys: pd.DataFrame, *, top: int = 15) -> Table:
    """The keys that must move first, as `tk.quantum_readiness` has them."""
    rows = [
        (
            lines(
                [
                    text(" ".join(str(part) for part in (row.algorithm, row.parameter) if not pd.isna(part))),
                    uid(row.subject_uid),
                ]
            ),
            lines([place(row.locator), quiet("held here" if row.holds_secret else "held by others")]),
            word(row.function),
            lines(
                [word(f"{row.must_hold_until:.0f}"), NOTHING if row.is_horizon_known else quiet("not told, assumed")]
            ),
            word(f"{row.chance:.0%}"),
            _dated(row),
        )
        for row in records(keys.head(top))
    ]
    columns = ("Key", "Weakest place", "Does", "Must hold until", "Chance of the machine by then", "Must move by")
    return Table("What moves first", _moves_sentence(keys, top), columns, tuple(rows))


def _kind(row: Any) -> str:
    return " ".join(str(part) for part in (row.algorithm, row.parameter) if not pd.isna(part))


def _dated(row: Any) -> Safe:
    told = [
        lines([day(when), quiet(f"{prefix}{name}")])
        for when, name, prefix in (
            (row.until, row.mandate, ""),
            (row.may_be_until, row.may_be, "if in scope: "),
        )
        if not pd.isna(when)
    ]
    return lines(told) if told else text(None)


def _moves_sentence(keys: pd.DataFrame, top: int) -> str:
    if keys.empty:
        return "No key was seen that a quantum computer breaks."
    held = int(keys["holds_secret"].fillna(False).sum())
    guessed = int((~keys["is_horizon_known"]).sum())
    more = f" The first {top:,} are shown." if len(keys) > top else ""
    return (
        f"{how_many(len(keys), 'key')} would fall, {held:,} of them held here; for {guessed:,} it is not told how long "
        f"they must hold (say it as data class), so a default stands in. The chance is of an arrival curve, which is a "
        f"calibration (K).{more}"
    )


def mandates(told: pd.DataFrame) -> Table:
    """Who asks for the move, by when, and how many keys that binds or may bind."""
    rows = [
        (
            word(row.mandate),
            lines([text(row.says, most=160), clause(row.document, row.mark, row.is_draft)]),
            word(row.binding),
            text("everyone" if pd.isna(row.scope) else row.scope),
            day(row.until),
            count(row.keys),
        )
        for row in records(told)
    ]
    columns = ("Mandate", "Says", "Binding", "Whom", "Until", "Keys")
    says = (
        "Keys that it binds, and those it may bind because nothing tells whether they are in its scope (scopes.toml). "
        "A guideline or a draft asks, it does not oblige."
    )
    return Table("Who asks for it", says, columns, tuple(rows), frozenset({"Keys"}))
