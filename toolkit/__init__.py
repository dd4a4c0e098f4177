"""keyatlas: find every cryptographic key, say which break which standard and how much that matters, and prove it.

The verbs, in the order in which they are used:

    import toolkit as tk
    inv = tk.collect("keyfiles", "code")     # read; nothing is changed, ever
    tk.coverage(inv)                         # what could not be seen, and why
    tk.keys(inv)                             # one row a key, however many places it has
    tk.places(inv, key_uid)                  # where one key lies
    tk.assess(inv)                           # verdicts of the standards
    tk.score(inv)                            # the worst first, with reasons
    tk.report("risk_assessment")             # one HTML file for the auditor
    tk.compare(old, new)                     # what appeared, changed, is gone

Everything is a plain pandas DataFrame. Nothing heavy is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import datetime
    from pathlib import Path

    import pandas as pd

    from toolkit.tables import Inventory

__all__ = [
    "assess", "collect", "collectors", "compare", "conflicts", "coverage", "demo", "explain_rules", "export", "keys",
    "load", "permissions", "places", "report", "score", "summary", "unknown_algorithms", "validate",
]  # fmt: skip
__version__ = "0.1.0"

WORKSPACE = ".keyatlas"


def collectors() -> dict[str, str]:
    """The collectors there are, with the first line of what each says of itself."""
    from toolkit import registry

    told = {}
    for name in registry.entries("collectors"):
        said = (import_module(f"{registry.entry('collectors', name).package}.{name}").__doc__ or "").strip()
        told[name] = said.split("\n")[0]
    return told


def permissions(name: str) -> tuple[str, ...]:
    """What a collector must be allowed to do, and nothing more."""
    from toolkit import registry

    return registry.collector_class(name).reads


def collect(
    *names: str,
    into: str | Path | None = None,
    executor: Executor | None = None,
    show_progress: bool = True,
    **options: Any,
) -> Inventory:
    """Read sources into an inventory; with `into`, keep it as a run of that workspace.

    `options` go to the constructors of the collectors that know them (`tk.collect("keyfiles", paths=["/etc/ssl"])`).
    Without `into` nothing is written, and keyed fingerprints are comparable within this inventory only.

    Raises:
        RegistryError: no such collector, or its extra is not installed.
        ConfigError: an option that none of the collectors knows.
        StoreError: the workspace cannot be written.
    """
    import os

    from toolkit import config, inventory, registry, store
    from toolkit.identity import Fingerprinter
    from toolkit.tables import Inventory

    classes = [registry.collector_class(name) for name in names or registry.entries("collectors")]
    config.refuse_unknown(classes, options)
    workspace = None if into is None else store.Workspace(into)
    fingerprinter = Fingerprinter(os.urandom(32)) if workspace is None else workspace.fingerprinter()
    built = [config.build(cls, options, fingerprinter) for cls in classes]
    run_id = store.new_run_id()
    gathered = inventory.collect(built, run_id=run_id, executor=executor, show_progress=show_progress)
    if workspace is None:
        return Inventory.of(gathered)
    run = workspace.write_run(gathered, run_id=run_id)
    return workspace.read_run(run.run_id)


def load(workspace: str | Path = WORKSPACE, *, as_of: datetime | None = None) -> Inventory:
    """What the workspace knew at a time (now, if none is given): each target's newest reading, verified."""
    from toolkit import store

    return store.Workspace(workspace).load(as_of)


def coverage(inv: Inventory) -> pd.DataFrame:
    """One row a target: how its reading ended, and why what is missing is missing."""
    from toolkit import comparison

    return comparison.coverage(inv)


def compare(old: Inventory, new: Inventory) -> pd.DataFrame:
    """What appeared, changed (which fields), is gone, or could not be seen again."""
    from toolkit import comparison

    return comparison.compare(old, new)


def keys(inv: Inventory) -> pd.DataFrame:
    """One row a key, folded from all its places; of several copies the weakest counts."""
    from toolkit import correlation

    return correlation.subjects(inv)["key"]


def places(inv: Inventory, key_uid: str) -> pd.DataFrame:
    """Every place where one key was seen, least protected first."""
    from toolkit import correlation

    return correlation.places(inv, key_uid)


def unknown_algorithms(inv: Inventory) -> pd.DataFrame:
    """Names of algorithms whose strength we do not know, and of how many keys: what is INDETERMINATE because of it."""
    from toolkit import correlation

    return correlation.unknown_algorithms(inv)


def assess(
    inv: Inventory, *packs: str, as_of: datetime | None = None, scopes: str | Path | None = None
) -> pd.DataFrame:
    """What the standards say: one row per subject and rule that applies. All packs in force, unless some are named.

    `scopes` is a mapping file that says what is in scope of what (`toolkit.scopes`).
    """
    from toolkit import assessment, correlation
    from toolkit import scopes as mapping

    subjects = correlation.subjects(inv, mapping.of(scopes))
    return assessment.assess(subjects, _packs(packs), as_of=_moment(as_of))


def summary(findings: pd.DataFrame) -> pd.DataFrame:
    """Verdict counts, one row a rule."""
    from toolkit import assessment

    return assessment.summary(findings)


def conflicts(findings: pd.DataFrame) -> pd.DataFrame:
    """Where packs disagree on a subject: the strictest verdict beside the mildest."""
    from toolkit import assessment

    return assessment.conflicts(findings)


def explain_rules(*packs: str) -> pd.DataFrame:
    """The rules themselves: clause, edition, mark, what they say and ask."""
    import pandas as pd

    rows = [(p.name, r.id, r.clause, r.mark, r.says, r.severity) for p in _packs(packs) for r in p.rules]
    return pd.DataFrame(rows, columns=["pack", "rule", "clause", "mark", "says", "severity"])


def validate(inv: Inventory, *, as_of: datetime | None = None) -> pd.DataFrame:
    """Whether the inventory keeps its data contract: schema, domains, uniqueness, freshness, coverage."""
    from toolkit import quality

    return quality.validate(inv, as_of=_moment(as_of))


def score(inv: Inventory, *, as_of: datetime | None = None) -> pd.DataFrame:
    """Risk of each key and secret, worst first, with the reasons and the first thing to do."""
    from toolkit import correlation, risk

    return risk.score(correlation.subjects(inv), as_of=_moment(as_of))


def report(
    name: str = "risk_assessment",
    *,
    workspace: str | Path = WORKSPACE,
    out: str | Path = "reports",
    parameters: Mapping[str, object] | None = None,
) -> Path:
    """Run a notebook over a workspace and render it as one self-contained HTML file; its path.

    Raises:
        RegistryError: no such notebook.
        ConfigError: a parameter the notebook does not have.
        ReportError: a cell failed; the failed notebook is kept beside where the report would be.
    """
    from pathlib import Path

    from toolkit import registry, reporting

    given = {"workspace": str(Path(workspace).resolve()), **(parameters or {})}
    return reporting.report(registry.entry("notebooks", name).path, out=Path(out), parameters=given).html


def export(inv: Inventory, form: str, path: str | Path) -> Path:
    """Write the tables in another form: `csv`, `jsonl` or `parquet`; the folder they are in."""
    from pathlib import Path

    from toolkit import exporting

    return exporting.export(inv, form, Path(path))


def demo(workspace: str | Path = WORKSPACE, *, out: str | Path = "reports") -> tuple[Inventory, Path]:
    """Inventory this machine (trust store, SSH folders, this repository, a SoftHSM token) and report on it."""
    import os
    import shutil
    from pathlib import Path

    from toolkit import softhsm

    names = ["keyfiles", "code"]
    # What lies ignored beside this repository is its own virtual environment: others' code, and much of it.
    options: dict[str, Any] = {"gitignore": True}
    if softhsm.find() is not None and shutil.which("softhsm2-util"):
        token = softhsm.make_token(Path(workspace).resolve() / "demo-token")
        os.environ.update(token.environment())
        names, options = [*names, "pkcs11"], {**options, "modules": [token.module], "pin": token.pin}
    inv = collect(*names, into=workspace, **options)
    return inv, report("risk_assessment", workspace=workspace, out=out)


def _packs(names: Sequence[str]) -> list[Any]:
    from toolkit import policies, registry

    known = registry.entries("policies")
    chosen = [policies.load(registry.entry("policies", name).path) for name in (names or known)]
    # What is not in force is never the default: it counts only when it is asked for by name.
    return [pack for pack in chosen if names or pack.status == "in-force"]


def _moment(as_of: datetime | None) -> datetime:
    from datetime import UTC, datetime

    return as_of or datetime.now(UTC)


def __getattr__(name: str) -> Any:
    """`tk.charts`, `tk.narrative`: modules a notebook uses, loaded when first named."""
    if name in {"charts", "narrative"}:
        return import_module(f"toolkit.{name}")
    raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
