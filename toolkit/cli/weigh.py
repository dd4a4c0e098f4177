"""`explain`, `priorities`, `what-if` and `readiness`: what a key is worth looking at, and what repairs would do."""

from __future__ import annotations

import json
from typing import Any

import click

from toolkit.cli import shown
from toolkit.cli.options import as_json, as_of, workspace


@click.command()
@click.argument("key_uid")
@click.argument("packs", nargs=-1)
@workspace
@as_of
@as_json
def explain(key_uid: str, packs: tuple[str, ...], workspace: str, as_of: Any, as_json: bool) -> None:
    """Show all that is known of one key. KEY_UID may be a beginning; judged by PACKS, or all that are in force."""
    import toolkit as tk

    inv = tk.load(workspace, as_of=as_of)
    page = tk.explain(inv, key_uid, *packs, as_of=as_of, workspace=workspace)
    if as_json:
        told = {
            title: json.loads(frame.to_json(orient="records", date_format="iso"))
            for title, frame in page.frames.items()
        }
        click.echo(json.dumps({"title": page.title, "says": page.says, "sections": told}))
        return
    click.echo(page.text(shown.width()))


@click.command()
@click.option("--top", default=20, show_default=True, help="How many to show; --json has all.")
@workspace
@as_of
@as_json
def score(top: int, workspace: str, as_of: Any, as_json: bool) -> None:
    """Show keys and secrets by risk, worst first, with reasons. What to do first stands beside."""
    import toolkit as tk

    told = tk.score(tk.load(workspace, as_of=as_of), as_of=as_of)
    if as_json or told.empty:
        shown.table(told, as_json, nothing="No key and no secret is known here.")
    else:
        shown.worst(told.head(top))


@click.command()
@click.option("--every", is_flag=True, help="Every repair of each key, not only its best.")
@click.option("--top", default=20, show_default=True, help="How many to show; --json has all.")
@workspace
@as_of
@as_json
def priorities(every: bool, top: int, workspace: str, as_of: Any, as_json: bool) -> None:
    """Show repairs by the risk they take away per hour, best first."""
    import toolkit as tk

    told = tk.priorities(tk.load(workspace, as_of=as_of), as_of=as_of, every=every)
    names = ["key", "repair", "before", "after", "hours", "risk_per_hour", "says", "uid"]
    nothing = "No repair that is known here would lower a risk."
    shown.table(told if as_json else shown.named(told.head(top))[names], as_json, nothing=nothing)


@click.command("what-if")
@click.argument("repairs", nargs=-1, required=True)
@click.option("--uid", "uids", multiple=True, help="Only of these keys; of all for which it makes sense if not given.")
@workspace
@as_of
@as_json
def what_if(repairs: tuple[str, ...], uids: tuple[str, ...], workspace: str, as_of: Any, as_json: bool) -> None:
    """Show how far REPAIRS would lower the risk. They are ids as in `keyatlas priorities`."""
    import toolkit as tk

    fixes: list[Any] = [{"repair": name, "where": list(uids)} if uids else name for name in repairs]
    told = tk.what_if(tk.load(workspace, as_of=as_of), fixes, as_of=as_of)
    shown.table(told.summary, as_json)


@click.command()
@click.option(
    "--arrives", type=int, default=None, metavar="YEAR", help="A year in which the machine is there for certain."
)
@click.option("--mandates", is_flag=True, help="Who asks for the move by when, and of how many keys.")
@click.option("--burn-down", is_flag=True, help="How the estate moved, run by run.")
@workspace
@as_of
@as_json
def readiness(arrives: int | None, mandates: bool, burn_down: bool, workspace: str, as_of: Any, as_json: bool) -> None:
    """Show keys that must move to post-quantum algorithms, by when."""
    import toolkit as tk

    if burn_down:
        shown.table(tk.burn_down(workspace, as_of=as_of), as_json)
        return
    curve = {arrives - 1: 0.0, arrives: 1.0} if arrives else None
    keys = tk.quantum_readiness(tk.load(workspace, as_of=as_of), as_of=as_of, curve=curve)
    if mandates:
        shown.table(tk.quantum_mandates(keys, as_of=as_of), as_json)
        return
    names = ["key", "algorithm", "parameter", "function", "chance", "until", "mandate", "may_be_until", "may_be", "uid"]
    nothing = "No key was seen that a quantum computer breaks."
    shown.table(keys if as_json else shown.named(keys)[names], as_json, nothing=nothing)
