"""How results are shown: one JSON document, or tables and lines for people.

Refuses to: decide anything, or write to standard output what is not the result.
"""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.scanning import Scan
    from toolkit.tables import Inventory


_MOST: Final = 200
_GAPS: Final = 5
# After the prefix; they tell keys apart as a short commit id does commits.
_DIGITS: Final = 8
_COUNTS: Final = ("PASS", "FAIL", "WARN", "INDETERMINATE", "ATTESTATION_REQUIRED", "excepted")


def lines(told: dict[str, str]) -> str:
    """Names and what is said of each, one a line."""
    width = max(map(len, told), default=0)
    return "\n".join(f"{name:<{width}}  {said}" for name, said in told.items())


def as_text(frame: pd.DataFrame) -> str:
    """A table as one JSON document: a list of its rows."""
    return str(frame.to_json(orient="records", date_format="iso"))


def table(frame: pd.DataFrame, as_json: bool, *, nothing: str = "Nothing to show.") -> None:
    """A table: as one JSON document, or as people read it; `nothing` is said of an empty one."""
    if as_json:
        click.echo(as_text(frame))
        return
    if frame.empty:
        click.echo(nothing, err=True)
        return
    _rows(frame.head(_MOST))
    if len(frame) > _MOST:
        click.echo(f"… and {len(frame) - _MOST:,} more rows; --json prints all", err=True)


def width() -> int | None:
    """That of the terminal. A pipe has none: folding its lines would break what a script looks for."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _rows(frame: pd.DataFrame) -> None:
    from toolkit.narrative import plain

    for number, block in enumerate(plain.blocks(frame, width=width())):
        for line in block:
            click.secho(line, bold=number == 0 or None, dim=(number % 2 == 0 and number > 0) or None)


def judged(frame: pd.DataFrame, as_json: bool) -> None:
    """Findings, or their summary: for people, drafts and clauses that nobody checked in the primary say so in words."""
    if as_json:
        table(frame, as_json)
        return
    from toolkit.narrative.words import standing

    words = [", ".join(standing(*told)) for told in zip(frame["mark"], frame["is_draft"], strict=True)]
    told = frame.assign(mark=words).drop(columns="is_draft").rename(columns={"mark": "standing"})
    counts = [name for name in _COUNTS if name in told]
    # No count is no number: what is broken must stand out.
    told[counts] = told[counts].astype("Int64").mask(told[counts] == 0)
    table(told, as_json, nothing="No rule applies to anything that was found.")


def collected(inv: Inventory, workspace: str, as_json: bool) -> None:
    """What a run brought."""
    counts = {name: len(inv.table(name)) for name in ("keys", "certificates", "secrets", "gaps")}
    seconds = float(inv.readings["seconds"].sum())
    if as_json:
        click.echo(json.dumps({"runs": inv.runs, **counts, "targets": len(inv.readings), "seconds": seconds}))
        return
    from toolkit.narrative.words import how_many

    told = ", ".join(how_many(count, name.removesuffix("s")) for name, count in counts.items())
    unseen(inv.gaps)
    click.echo(f"{told}. Kept in {workspace}.")


def scan(told: Scan, form: str | None, *, show_suppressed: bool) -> None:
    """What a scan found."""
    from toolkit.scanning import sarif, shown

    if form is not None:
        click.echo(json.dumps(sarif.document(told) if form == "sarif" else shown.document(told), indent=2))
        return
    for line, colour in shown.lines(told, show_suppressed=show_suppressed):
        click.secho(line, fg=colour)
    click.echo(shown.summary(told), err=True)


def worst(scores: pd.DataFrame) -> None:
    """The worst keys, with reasons and what to do."""
    why = ["; ".join(list(reasons)[:2]) for reasons in scores["reasons"]]
    told = named(scores).assign(risk=scores["score"].round().astype(int), why=why)
    _rows(told[["risk", "band", "key", "why", "todo", "uid"]])


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows about keys, with the name that a person knows each by, and as much of its uid as `explain` needs."""
    from toolkit.narrative.words import called

    labels = frame["label"] if "label" in frame else [None] * len(frame)
    names = [called(label, locator) for label, locator in zip(labels, frame["locator"], strict=True)]
    uids = [str(uid)[: str(uid).find(":") + 1 + _DIGITS] for uid in frame["subject_uid"]]
    return frame.assign(key=names, uid=uids)


def covered(told: pd.DataFrame, gaps: pd.DataFrame, as_json: bool) -> None:
    """One row a target; for people, why it is not whole in words, where the table counts by status."""
    if not as_json:
        said = {target: "; ".join(some.drop_duplicates()[:3]) for target, some in gaps.groupby("target")["reason"]}
        why = [said.get(target, "") for target in told["target"]]
        told = told.assign(why=why, seconds=told["seconds"].round(1))
        told = told[["collector", "target", "status", "rows", "gaps", "seconds", "why", "advice"]]
    table(told, as_json)


def unseen(gaps: pd.DataFrame) -> None:
    """What could not be seen, and why, for people; on standard error."""
    from toolkit.narrative.plain import cell
    from toolkit.narrative.words import place_of

    for gap in gaps.head(_GAPS).to_dict("records"):
        advice = f". Next: {cell(gap['advice'])}" if cell(gap["advice"]) else ""
        click.secho(f"Not seen: {cell(place_of(gap['locator']))}: {cell(gap['reason'])}{advice}", fg="yellow", err=True)
    if len(gaps) > _GAPS:
        click.echo(f"… and {len(gaps) - _GAPS:,} more gaps; keyatlas coverage counts them by target", err=True)
