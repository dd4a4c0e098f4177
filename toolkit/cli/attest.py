"""`keyatlas attest`: what only a person can answer; asked for, recorded, signed, withdrawn, listed, in a calendar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from toolkit.cli import shown
from toolkit.cli.options import as_json, as_of, workspace

_KINDS: Final = (
    "policy-review", "training", "key-ceremony", "custodian-acknowledgement", "restore-drill", "penetration-test",
    "tabletop-exercise", "other",
)  # fmt: skip


def _signing(command: Any) -> Any:
    command = click.option("--by", required=True, help="Who signs, as allowed_signers names them.")(command)
    key = click.option("--key", required=True, type=click.Path(path_type=Path), help="That person's SSH key.")
    return key(command)


@click.group()
def attest() -> None:
    """Record what only a person can answer: signed and dated. It is over when its time is.

    Whose signatures count stands in the workspace's allowed_signers file (ssh-keygen(1)).
    """


@attest.command()
@click.argument("packs", nargs=-1)
@workspace
@as_of
@as_json
def ask(packs: tuple[str, ...], workspace: str, as_of: Any, as_json: bool) -> None:
    """Show the controls that need a person's word and have none."""
    import toolkit as tk
    from toolkit import attesting

    inv = tk.load(workspace, as_of=as_of)
    told = attesting.missing(tk.assess(inv, *packs, as_of=as_of, workspace=workspace))
    shown.table(told if as_json else told[["control", "severity", "says", "evidence"]], as_json,
                nothing="No control waits for a person's word.")  # fmt: skip


@attest.command()
@click.argument("control", metavar="PACK/RULE")
@click.option("--says", required=True, help="What is attested, in a sentence.")
@click.option("--role", required=True, help="In which role.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", required=True, help="The last day it holds."
)
@click.option("--kind", type=click.Choice(_KINDS), default="other", show_default=True, help="What was done.")
@click.option("--evidence", multiple=True, type=click.Path(), help="A file; its SHA-256 is kept, not the file.")
@click.option("--needs-second", is_flag=True, help="It counts once a second person has signed it.")
@_signing
@workspace
@as_json
def record(control: str, says: str, role: str, until: Any, kind: str, evidence: tuple[str, ...], needs_second: bool, by: str, key: Path, workspace: str, as_json: bool) -> None:  # noqa: E501  # fmt: skip
    """Record what a person attests to a control."""
    import toolkit as tk

    made = tk.attest(control, workspace=workspace, says=says, by=by, role=role, valid_until=until.date(), key=key,
                     kind=kind, evidence=evidence, needs_second=needs_second)  # fmt: skip
    click.echo(json.dumps({"attestation_id": made}) if as_json else made)


@attest.command()
@click.argument("attestation_id")
@_signing
@workspace
def sign(attestation_id: str, by: str, key: Path, workspace: str) -> None:
    """Put a second person's signature under a record."""
    from datetime import UTC, datetime

    from toolkit import attesting, store

    attesting.countersign(store.Workspace(workspace), attestation_id, by=by, key=key, now=datetime.now(UTC))


@attest.command()
@click.argument("attestation_id")
@click.option("--reason", required=True, help="Why it holds no longer.")
@_signing
@workspace
def withdraw(attestation_id: str, reason: str, by: str, key: Path, workspace: str) -> None:
    """End a record before its time. It stays, and so does the reason."""
    from datetime import UTC, datetime

    from toolkit import attesting, store

    opened = store.Workspace(workspace)
    attesting.withdraw(opened, attestation_id, by=by, reason=reason, key=key, now=datetime.now(UTC))


@attest.command("list")
@workspace
@as_of
@as_json
def list_(workspace: str, as_of: Any, as_json: bool) -> None:
    """Show what people attested, and whether it counts. What ends first comes first."""
    import toolkit as tk

    told = tk.attestations(workspace, as_of=as_of)
    names = ["control", "state", "reason", "by", "role", "valid_until", "days_left", "attestation_id"]
    shown.table(
        told if as_json else told[names],
        as_json,
        nothing="Nobody has attested anything here. Next: keyatlas attest ask",
    )


@attest.command()
@workspace
def calendar(workspace: str) -> None:
    """Print the ends of what is attested as an iCalendar file."""
    from datetime import UTC, datetime

    import toolkit as tk
    from toolkit import attesting

    now = datetime.now(UTC)
    click.echo(attesting.calendar(tk.attestations(workspace, as_of=now), now=now), nl=False)
