"""`validate`: whether runs can be relied on, and what great-expectations says of a standard's rules."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import shown
from toolkit.cli.options import CODES, FOUND, INCOMPLETE, as_json, as_of, workspace

if TYPE_CHECKING:
    import pandas as pd


@click.command(epilog=CODES)
@click.argument("run", required=False)
@click.option("--expected", default=None, metavar="FILE", help="What is expected of the sources; TOML.")
@click.option("--controls", multiple=True, metavar="PACK", help="Count the rules of this pack with great-expectations.")
@click.option("--scopes", default=None, metavar="FILE", help="With --controls: what is in scope of what.")
@click.option("--out", default=None, metavar="FOLDER", help="With --controls: where to keep suites, tables and page.")
@click.option("--quarantined", is_flag=True, help="Show the runs that are quarantined, and why.")
@click.option("--release", default=None, metavar="RUN", help="Let a quarantined run count again: needs --reason.")
@click.option("--reason", default="", help="Why the run of --release may count.")
@click.option("--by", default=None, metavar="WHO", help="Who releases it; the user who is logged in, if not given.")
@click.option("--strict", is_flag=True, help="Exit with 3 on warnings, or controls that cannot be told.")
@workspace
@as_of
@as_json
def validate(run: str | None, workspace: str, as_of: Any, as_json: bool, strict: bool, **options: Any) -> None:
    """Check that RUN, or the newest, keeps its data contract. If it does not, quarantine it."""
    if options["release"] is not None:
        _release(workspace, options["release"], options["reason"], options["by"], as_json)
    elif options["quarantined"]:
        _quarantined(workspace, as_json)
    elif options["controls"]:
        _controls(workspace, as_of, as_json, strict, **options)
    else:
        _contract(workspace, run, as_of, as_json, strict, options["expected"])


def _contract(workspace: str, run: str | None, as_of: Any, as_json: bool, strict: bool, expected: str | None) -> None:
    import toolkit as tk
    from toolkit.errors import StoreError
    from toolkit.quality import expected_in, reasons
    from toolkit.store import Workspace

    opened = Workspace(workspace)
    known = {known.run_id: known for known in opened.runs() if not known.is_missing}
    if not known:
        raise StoreError(f"no runs in {workspace}", advice="make one: keyatlas collect keyfiles")
    run_id = run or max(known)
    inv = opened.read_run(run_id)
    # An old run is asked how fresh it was when it ended, the newest how fresh it is.
    moment = as_of or (known[run_id].finished_at if run else None)
    wanted = expected_in(opened, expected).of_run(inv)
    told = tk.validate(inv, as_of=moment, expected=wanted, previous=opened.before(run_id))
    shown.table(told if as_json else told[told["verdict"] == "FAIL"].drop(columns="verdict"), as_json,
                nothing=f"Run {run_id} keeps its data contract.")  # fmt: skip
    if (why := reasons(told)) and run_id not in opened.quarantined():
        opened.quarantine(run_id, why)
    tell_quarantine(workspace, {run_id})
    _exit_for(told, told["severity"].eq("critical"), strict)


def _controls(
    workspace: str, as_of: Any, as_json: bool, strict: bool, *, controls: tuple[str, ...], scopes: str | None,
    out: str | None, **others: Any,  # noqa: ARG001  # what the other forms of the command take
) -> None:  # fmt: skip
    import toolkit as tk
    from toolkit.scopes import in_workspace

    inv = tk.load(workspace, as_of=as_of)
    told = tk.validate(inv, *controls, as_of=as_of, scopes=scopes or in_workspace(workspace), out=out)
    names = ["pack", "rule", "verdict", "met", "broken", "undecided", "not_applicable", "agrees", "note"]
    shown.table(told if as_json else told[names], as_json)
    differs = told["agrees"].eq(False).fillna(False)
    if differs.any():
        click.echo(f"Two engines differ on {int(differs.sum())} rules: that is a defect, please report it.", err=True)
        sys.exit(FOUND)
    if told["verdict"].eq("FAIL").any():
        sys.exit(FOUND)
    if strict and told["verdict"].isin(["INDETERMINATE", "ATTESTATION_REQUIRED"]).any():
        sys.exit(INCOMPLETE)


def _release(workspace: str, run: str, reason: str, by: str | None, as_json: bool) -> None:
    import getpass

    from toolkit.store import Workspace

    told = Workspace(workspace).release(run, reason=reason, who=by or getpass.getuser())
    said = {"run": run, "released_by": told.released_by, "reason": reason, "at": told.at.isoformat()}
    click.echo(json.dumps(said) if as_json else f"Run {run} counts again, released by {told.released_by}.")


def _quarantined(workspace: str, as_json: bool) -> None:
    from toolkit.store import Workspace

    apart = Workspace(workspace).quarantined()
    told = [{"run": name, "at": why.at.isoformat(), "reasons": list(why.reasons)} for name, why in apart.items()]
    if as_json or told:
        click.echo(json.dumps(told) if as_json else "\n".join(_line(row["run"], row["reasons"]) for row in told))
    else:
        click.echo("No run is quarantined.", err=True)
    if apart:
        sys.exit(FOUND)


def tell_quarantine(workspace: str, runs: Collection[str]) -> bool:
    """Say which of these runs are quarantined, and why; whether there is one."""
    from toolkit.store import Workspace

    apart = {name: why for name, why in Workspace(workspace).quarantined().items() if name in runs}
    for name, why in apart.items():
        click.echo(f"Quarantined: {_line(name, why.reasons)}", err=True)
        click.echo(f"It is kept, and left out. If it is right: keyatlas validate --release {name} --reason …", err=True)
    return bool(apart)


def _line(run: Any, reasons: Any) -> str:
    return f"{run}: {'; '.join(reasons)}"


def _exit_for(told: pd.DataFrame, is_critical: pd.Series[Any], strict: bool) -> None:
    failed = told["verdict"].eq("FAIL")
    if (failed & is_critical).any():
        sys.exit(FOUND)
    if strict and failed.any():
        sys.exit(INCOMPLETE)
