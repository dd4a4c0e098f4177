"""How results are shown: one JSON document, or tables and lines for people.

Refuses to: decide anything, or write to standard output what is not the result.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.scanning import Scan
    from toolkit.tables import Inventory


def lines(told: dict[str, str]) -> str:
    """Names and what is said of each, one a line."""
    width = max(map(len, told), default=0)
    return "\n".join(f"{name:<{width}}  {said}" for name, said in told.items())


def as_text(frame: pd.DataFrame) -> str:
    """A table as one JSON document: a list of its rows."""
    return str(frame.to_json(orient="records", date_format="iso"))


def table(frame: pd.DataFrame, as_json: bool) -> None:
    """A table: as one JSON document, or as people read it."""
    if as_json:
        click.echo(as_text(frame))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*frame.columns, row_styles=["", "dim"])
    for row in frame.head(200).itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    # A pipe has no width; cutting its columns to 80 would hide what a script looks for.
    console = Console() if sys.stdout.isatty() else Console(width=250)
    console.print(table)
    if len(frame) > 200:
        console.print(f"… and {len(frame) - 200:,} more rows; --json prints all")


def judged(frame: pd.DataFrame, as_json: bool) -> None:
    """Findings, or their summary: for people, drafts and clauses that nobody checked in the primary say so in words."""
    if as_json:
        table(frame, as_json)
        return
    from toolkit.narrative.words import standing

    words = [", ".join(standing(*told)) for told in zip(frame["mark"], frame["is_draft"], strict=True)]
    table(frame.assign(mark=words).drop(columns="is_draft").rename(columns={"mark": "standing"}), as_json)


def _cell(value: Any) -> str:
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if str(value) in {"<NA>", "nan", "None", "NaT"} else str(value)


def collected(inv: Inventory, workspace: str, as_json: bool) -> None:
    """What a run brought."""
    counts = {name: len(inv.table(name)) for name in ("keys", "certificates", "secrets", "gaps")}
    seconds = float(inv.readings["seconds"].sum())
    if as_json:
        click.echo(json.dumps({"runs": inv.runs, **counts, "targets": len(inv.readings), "seconds": seconds}))
        return
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
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
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("risk", "band", "what and where", "why", "first thing to do", title="The worst of what was found")
    for row in scores.to_dict("records"):
        why, where = "; ".join(list(row["reasons"])[:2]), Text(str(row["locator"]))
        table.add_row(f"{row['score']:.0f}", str(row["band"]), where, Text(why), Text(str(row["todo"])))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
