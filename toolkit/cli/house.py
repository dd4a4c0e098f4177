"""`keyatlas house`: an organisation's own policy; checked, shown, and asked who may do what."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import shown
from toolkit.cli.options import CODES, FOUND, TIMES, as_json, as_of, workspace

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.house import Decision, House


@click.group()
def house() -> None:
    """Work with your own key management policy. It is house.toml in the workspace, or a FILE.

    It judges keys (`keyatlas assess`) and says who may make, rotate, revoke and destroy them.
    """


@house.command()
def example() -> None:
    """Print a whole policy to start from."""
    from toolkit.house import EXAMPLE

    click.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)


@house.command()
@click.argument("file", required=False)
@workspace
@as_of
@as_json
def check(file: str | None, workspace: str, as_of: Any, as_json: bool) -> None:
    """Check a policy and its examples. Show its classes, what it permits, and its exceptions."""
    from datetime import UTC, datetime

    from toolkit import house as policy

    told = policy.governing(file, workspace)
    tables = {
        "classes": _classes(told), "permits": _permits(told),
        "exceptions": _exceptions(told, as_of or datetime.now(UTC)),
    }  # fmt: skip
    if as_json:
        head = {"organisation": told.organisation, "title": told.title, "edition": told.edition, "status": told.status}
        rows = {name: json.loads(shown.as_text(table)) for name, table in tables.items()}
        click.echo(json.dumps({**head, **rows, "examples": len(told.examples)}))
        return
    click.echo(f"{told.organisation}: {told.title}, {told.edition} ({told.status})")
    for table in tables.values():
        if len(table):
            shown.table(table, as_json=False)
    click.echo(f"It keeps its {len(told.examples)} examples.")
    if told.status != "in-force":
        said = "it judges when it is named, and only warns. Take that line out to put it in force."
        click.echo(f"Its status is {told.status}: {said}", err=True)


def _classes(told: House) -> pd.DataFrame:
    import pandas as pd

    rows = [(one.id, one.clause, one.says, [d.id.partition("/")[2] for d in one.demands]) for one in told.classes]
    return pd.DataFrame(rows, columns=["class", "clause", "says", "rules"])


def _permits(told: House) -> pd.DataFrame:
    import pandas as pd

    from toolkit.house import spell

    rows = [
        (
            one.id, verb.value, list(permit.roles), permit.approvals, list(permit.approvers),
            [str(state) for state in permit.states], permit.wait_days, permit.unused_days,
            list(spell(permit.windows)),
        )
        for one in told.classes
        for verb, permit in one.permits.items()
    ]  # fmt: skip
    names = ["class", "verb", "roles", "approvals", "approvers", "states", "wait_days", "unused_days", "windows"]
    return pd.DataFrame(rows, columns=names)


def _exceptions(told: House, moment: Any) -> pd.DataFrame:
    import pandas as pd

    rows = [
        (one.id, one.rule, "in force" if one.holds(moment) else "not yet" if moment < one.starts else "over",
         one.granted.isoformat(), one.until.isoformat(), one.is_too_long, one.approver, one.reason)
        for one in told.exemptions
    ]  # fmt: skip
    return pd.DataFrame(
        rows, columns=["id", "rule", "state", "granted", "until", "is_too_long", "approver", "reason"]
    )  # fmt: skip


def _valued(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """`FIELD=VALUE`; a value that is JSON is one, any other is a text."""
    told: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text} is not FIELD=VALUE")
        try:
            told[name] = json.loads(value)
        except json.JSONDecodeError:
            told[name] = value
    return told


@house.command(epilog=CODES)
@click.argument("verb")
@click.option("--key", "uid", default=None, metavar="UID", help="A key of the workspace: its uid, or the beginning.")
@click.option("--set", "fields", multiple=True, callback=_valued, metavar="FIELD=VALUE", help="Of a key that is to be.")
@click.option("--by", required=True, help="Who asks.")
@click.option("--role", "roles", multiple=True, help="A role that person has, where the policy names nobody for it.")
@click.option("--approved-by", multiple=True, metavar="NAME[:ROLE,...]", help="Who has agreed.")
@click.option("--requested", type=TIMES, default=None, help="When it was asked for (UTC).")
@click.option("--house", "file", default=None, metavar="FILE", help="The workspace's house.toml if not given.")
@workspace
@as_of
@as_json
def permits(verb: str, uid: str | None, fields: dict[str, Any], by: str, roles: tuple[str, ...], approved_by: tuple[str, ...], requested: Any, file: str | None, workspace: str, as_of: Any, as_json: bool) -> None:  # noqa: E501  # fmt: skip
    """Say whether VERB may be done to a key, or why and until when not. Exit code 1 unless it is allowed.

    Names are taken as they are given here; who signs what is the lifecycle engine's to prove.
    """
    from datetime import UTC, datetime

    import toolkit as tk
    from toolkit.house import Approval

    if uid is None and not fields:
        raise click.UsageError("say which key: --key UID, or --set FIELD=VALUE of one that is to be made")
    moment = as_of or datetime.now(UTC)
    names = [name.partition(":") for name in approved_by]
    given = [Approval(name, moment, frozenset(filter(None, said.split(",")))) for name, _, said in names]
    told = tk.permits(
        verb, {**_key(uid, workspace, as_of), **fields}, by=by, roles=roles, approvals=given, as_of=moment,
        requested_at=requested, house=file, workspace=workspace,
    )  # fmt: skip
    click.echo(json.dumps(_document(told)) if as_json else _lines(told))
    if not told.is_allowed:
        sys.exit(FOUND)


def _key(uid: str | None, workspace: str, as_of: Any) -> dict[str, Any]:
    """The key's row, in the scopes that the workspace tells."""
    if uid is None:
        return {}
    import toolkit as tk
    from toolkit import correlation, scopes
    from toolkit.errors import ConfigError

    mapping = scopes.of(scopes.in_workspace(Path(workspace)))
    keys = correlation.subjects(tk.load(workspace, as_of=as_of), mapping)["key"]
    found = keys[keys["subject_uid"].str.startswith(uid)]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} keys of {workspace} have a uid that begins {uid}", advice="take one from: keyatlas score"
        )
    return {str(name): value for name, value in found.iloc[0].items()}


def _document(told: Decision) -> dict[str, Any]:
    return {
        "outcome": told.outcome, "status": told.status, "verb": told.verb, "key_uid": told.key_uid,
        "class": told.key_class, "by": told.by, "as_of": told.as_of.isoformat(),
        "earliest": told.earliest and told.earliest.isoformat(),
        "approvals_needed": told.approvals_needed, "approved_by": told.approved_by,
        "checks": [
            {"about": one.about, "holds": one.holds, "clause": one.clause, "says": one.says, "missing": one.missing}
            for one in told.checks
        ],
    }  # fmt: skip


def _lines(told: Decision) -> str:
    when = (
        "" if told.is_allowed or told.earliest is None else f"; at the earliest {told.earliest:%Y-%m-%d %H:%M:%S} UTC"
    )
    checks = [f"  {'yes' if one.holds else 'NO '}  {one.says} [{one.clause}]" for one in told.checks]
    binds = "" if told.status == "in-force" else f" (the policy is not in force: {told.status})"
    return "\n".join([f"{told.outcome}: {told.verb} by {told.by}{when}{binds}", *checks])
