"""What a report rests on, so that another can come to the same: runs, digests, versions, time, packs, notebook."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from toolkit import house as policy
from toolkit import policies, registry
from toolkit.errors import ConfigError
from toolkit.narrative.display import Safe, Table, chip, lines, spaced, text, word
from toolkit.narrative.words import how_many
from toolkit.tables import RUN_TABLES, Inventory

MIME: Final = "application/vnd.keyatlas.evidence+json"
"""What the last cell of a report shows; `toolkit.reporting` (its PROOF) calls a notebook without it unfinished."""
_VERSIONS: Final = ("keyatlas", "pandas", "pyarrow", "cryptography", "papermill", "nbconvert")


def moment(as_of: object = "") -> datetime:
    """The time to judge as of, aware UTC: an ISO date or time, a naive one taken as UTC; nothing means now.

    `SOURCE_DATE_EPOCH` stands in for now, as reproducible builds have it.

    Raises:
        ConfigError: it is no such time.
    """
    if as_of in ("", None):
        epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
        return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else datetime.now(UTC)
    try:
        # papermill's command line turns 20260102 into a number.
        told = datetime.fromisoformat(str(as_of))
    except ValueError:
        raise ConfigError(f"as_of is no ISO date or time: {str(as_of)[:40]!r}", advice="say 2026-01-31") from None
    return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The facts as a table for people and as JSON for machines."""

    facts: dict[str, object]
    table: Table

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        return {MIME: self.facts, "text/html": self.table._repr_html_(), "text/plain": repr(self.table)}


def evidence(
    inv: Inventory, *names: str, as_of: datetime, house: str | Path | None = None, workspace: str | Path | None = None
) -> Evidence:
    """What the report rests on; `names` are the packs that were asked for, none means all in force.

    `house` and `workspace` say whose own policy was judged by, as in `tk.assess`.
    """
    paths = {name: registry.entry("policies", name).path for name in names or registry.entries("policies")}
    chosen = policies.choose(
        paths, named=bool(names), own=policy.find(house, workspace), asked=house is not None
    )  # fmt: skip
    paths[policies.HOUSE] = policy.find(house, workspace) or policy.EXAMPLE
    facts: dict[str, object] = {
        "as_of": as_of.isoformat(),
        "runs": dict(inv.runs),
        "rows": {table: len(inv.table(table)) for table in RUN_TABLES},
        "packs": [_pack(pack, paths[pack.name]) for pack in chosen],
        "versions": {name: _version(name) for name in _VERSIONS},
        # Only who runs the notebook knows its bytes; a notebook cannot see its own file.
        "notebook_sha256": os.environ.get("KEYATLAS_NOTEBOOK_SHA256"),
    }
    return Evidence(facts, _table(inv, facts, as_of))


def _pack(pack: policies.Pack, path: Path) -> dict[str, object]:
    return {
        "name": pack.name,
        "issuer": pack.issuer,
        "edition": pack.edition,
        "status": pack.status.value,
        "binding": pack.binding.value,
        "rules": len(pack.rules),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _table(inv: Inventory, facts: dict[str, object], as_of: datetime) -> Table:
    runs = [(text("run"), _code(run), _code(f"manifest SHA-256 {digest}")) for run, digest in inv.runs.items()]
    packs = [
        (
            word("policy pack"),
            lines([word(pack["name"]), spaced([chip(pack["status"]), text(pack["binding"])])]),
            lines(
                [
                    text(f"{pack['issuer']}, {pack['edition']}, {pack['rules']} rules"),
                    _code(f"SHA-256 {pack['sha256']}"),
                ]
            ),
        )
        for pack in facts["packs"]  # type: ignore[attr-defined]  # a list, as it was made above
    ]
    versions = ", ".join(f"{name} {known}" for name, known in facts["versions"].items() if known)  # type: ignore[attr-defined]
    digest = facts["notebook_sha256"]
    counted = {table: len(inv.table(table)) for table in RUN_TABLES}
    rows = [
        (
            text("as of"),
            text(f"{as_of:%Y-%m-%d %H:%M:%S} UTC"),
            text("findings, risk and ages are judged at this time"),
        ),
        *runs,
        *packs,
        (text("notebook"), text("SHA-256"), _code(digest) if digest else text("not recorded: run by hand")),
        (text("versions"), text(""), text(versions, most=200)),
        (text("rows"), text(""), text(", ".join(f"{number:,} {table}" for table, number in counted.items()))),
    ]
    says = (
        f"{how_many(len(inv.runs), 'immutable run')}; whoever holds the workspace can hash their manifests "
        f"again and run this notebook with the same parameters to the same result."
        if inv.runs
        else "The inventory was never stored, so this report cannot be retraced."
    )
    json.dumps(facts)  # a fact that is no JSON would be lost later, where nobody looks
    return Table("Evidence", says, ("Kind", "Which", "What"), tuple(rows))


def _code(value: object) -> Safe:
    return Safe(f'<span class="code">{text(value, most=100)}</span>')
