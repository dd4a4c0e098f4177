"""What was found and what was not: hard-coded secrets, keys in several places, gaps."""

from __future__ import annotations

from typing import Any

import pandas as pd

from toolkit.narrative.display import Safe, Table, chip, count, day, lines, place, text, uid, word
from toolkit.narrative.words import how_many, is_are, kind_of, listed, records
from toolkit.tables import Inventory
from toolkit.terms import GapStatus

# A gap of these kinds hides nothing.
_HARMLESS = (GapStatus.NOT_APPLICABLE.value,)


def hard_coded(inv: Inventory, *, top: int = 15) -> Table:
    """Hard-coded secrets, the worst that are still there first. Previews hold no part of a value."""
    found = inv.secrets.sort_values(
        ["is_current", "severity", "confidence"], ascending=[False, False, False], na_position="last"
    )
    rows = [
        (
            chip(row.severity),
            lines([text(row.title), _code(row.preview)]),
            lines([place(row.path if not pd.isna(row.path) else row.locator), _line(row)]),
            text(row.first_author, most=40),
            day(row.first_seen_at),
            _still_there(row.is_current),
        )
        for row in records(found.head(top))
    ]
    columns = ("Severity", "What", "Where", "Brought by", "Since", "Now")
    return Table("Hard-coded secrets", _secrets_sentence(found, top), columns, tuple(rows))


def _secrets_sentence(found: pd.DataFrame, top: int) -> str:
    if found.empty:
        return "No hard-coded secret was found in what was read."
    there = int(found["is_current"].fillna(False).sum())
    return (
        f"{how_many(found['secret_uid'].nunique(), 'distinct secret')} in {how_many(len(found), 'finding')}: {there:,} "
        f"{is_are(there)} in the present files, the rest only in history, from which anyone with a clone can read "
        f"them; each has to be replaced where it is accepted, removing it from a file is not enough"
        f"{_shown(len(found), top)}."
    )


def _code(value: object) -> Safe:
    return Safe(f'<span class="code">{text(value, most=40)}</span>')


def _line(row: Any) -> Safe:
    known = [] if pd.isna(row.line) else [f"line {row.line}"]
    known += [] if pd.isna(row.first_commit) else [f"commit {str(row.first_commit)[:10]}"]
    return Safe(f'<span class="quiet">{text(", ".join(known))}</span>') if known else Safe("")


def _still_there(is_current: object) -> Safe:
    if pd.isna(is_current):  # type: ignore[call-overload]  # a scalar of a frame
        return text(None)
    return word("still there") if is_current else word("in history only")


def in_several_places(keys: pd.DataFrame, *, top: int = 15) -> Table:
    """Keys that more than one kind of source holds: one key, so one incident and one replacement."""
    several = keys[keys["collectors"].list.len() > 1]
    several = several.sort_values(["copies", "places", "subject_uid"], ascending=[False, False, True])
    rows = [
        (
            lines([text(kind_of(row)), uid(row.subject_uid)]),
            text(", ".join(row.collectors)),
            count(row.places),
            count(row.copies),
            text(row.protection if row.holds_secret else "public half only"),
            place(row.locator),
        )
        for row in records(several.head(top))
    ]
    columns = ("Key", "Sources", "Places", "Secret copies", "Weakest protection", "Weakest place")
    numbers = frozenset({"Places", "Secret copies"})
    return Table("One key, several sources", _several_sentence(several, top), columns, tuple(rows), numbers)


def _several_sentence(several: pd.DataFrame, top: int) -> str:
    if several.empty:
        return "No key was found in more than one kind of source."
    copied = int((several["copies"] > 1).sum())
    return (
        f"{how_many(len(several), 'key')} {is_are(len(several))} known to more than one kind of source; of {copied:,} "
        f"the private or secret half lies in more than one place, and the weakest of them counts"
        f"{_shown(len(several), top)}."
    )


def gaps(inv: Inventory, *, top: int = 15) -> Table:
    """What could not be seen, and why; alike gaps are counted together."""
    found = inv.gaps[~inv.gaps["status"].isin(_HARMLESS)]
    names = ["collector", "scope", "status", "reason", "advice"]
    alike = found.assign(**{name: found[name].astype(object).fillna("") for name in names}).groupby(names, sort=False)
    folded = alike.agg(places=("locator", "size"), locator=("locator", "first")).reset_index()
    folded = folded.sort_values(["places", "collector", "reason"], ascending=[False, True, True])
    rows = [
        (
            word(row.collector),
            chip(row.status),
            lines([text(row.reason, most=160), _advice(row.advice)]),
            word({"target": "a whole source", "object": "an object", "field": "a field"}.get(row.scope, row.scope)),
            count(row.places),
            place(row.locator),
        )
        for row in records(folded.head(top))
    ]
    columns = ("Source", "Why", "What happened", "Hides", "Times", "For example")
    sentence = _gaps_sentence(inv, found, len(folded), top)
    return Table("What could not be seen", sentence, columns, tuple(rows), frozenset({"Times"}))


def _advice(advice: str) -> Safe:
    return Safe(f'<span class="quiet">{text(advice, most=160)}</span>') if advice else Safe("")


def _gaps_sentence(inv: Inventory, found: pd.DataFrame, kinds: int, top: int) -> str:
    readings = inv.readings
    whole = int((readings["status"] == "read").sum())
    told = f"{whole:,} of {how_many(len(readings), 'target')} {is_are(whole)} read whole"
    if found.empty:
        return f"{told}; no gap was met."
    broken = readings[readings["status"] != "read"]
    names = listed(list(broken["label"].fillna(broken["target"]).astype(str))[:4])
    rest = f"; not read whole: {names}{' and others' if len(broken) > 4 else ''}" if len(broken) else ""
    more = f" ({kinds:,} kinds of gap, the {top:,} most frequent are shown)" if kinds > top else ""
    return (
        f"{told}{rest}. {how_many(len(found), 'gap')}{more}: what they hide is in no figure of this report, and "
        f"nothing is called absent because of them."
    )


def _shown(there: int, top: int) -> str:
    return f" (the first {top:,} are shown)" if there > top else ""
