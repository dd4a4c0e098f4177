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
    tk.anomalies(inv)                        # what is out of habit in the uses of keys

Everything is a plain pandas DataFrame. Nothing heavy is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from concurrent.futures import Executor
    from datetime import date, datetime
    from pathlib import Path

    import pandas as pd

    from toolkit.house import Approval, Decision
    from toolkit.narrative import Page
    from toolkit.risk import WhatIf
    from toolkit.tables import Inventory

__all__ = [
    "anomalies", "assess", "attest", "attestations", "burn_down", "collect", "collectors", "compare", "conflicts",
    "coverage", "demo", "explain", "explain_rules", "export", "keys", "load", "permissions", "permits", "places",
    "priorities", "quantum_mandates", "quantum_readiness", "report", "score", "summary", "unknown_algorithms",
    "validate", "what_if",
]  # fmt: skip
__version__ = "0.1.0"
WORKSPACE = ".keyatlas"


def collectors() -> dict[str, str]:
    """The collectors there are, with the first line of what each says of itself."""
    from toolkit import registry

    return registry.described()


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
    Without `into` nothing is written, and keyed fingerprints are comparable within this inventory only. With it, a run
    that is not as expected (`toolkit.quality.border`) is kept, and quarantined.

    Raises:
        RegistryError: no such collector, or its extra is not installed.
        ConfigError: an option that none of the collectors knows.
        StoreError: the workspace cannot be written.
    """
    import os

    from toolkit import config, inventory, quality, registry, store
    from toolkit.identity import Fingerprinter
    from toolkit.tables import Inventory

    classes = [registry.collector_class(name) for name in names or registry.entries("collectors")]
    config.refuse_unknown(classes, options)
    workspace = None if into is None else store.Workspace(into)
    expected = None if workspace is None else quality.expected_in(workspace)
    fingerprinter = Fingerprinter(os.urandom(32)) if workspace is None else workspace.fingerprinter()
    built = [config.build(cls, options, fingerprinter) for cls in classes]
    run_id = store.new_run_id()
    gathered = inventory.collect(built, run_id=run_id, executor=executor, show_progress=show_progress)
    if workspace is None or expected is None:
        return Inventory.of(gathered)
    quality.guard(workspace, workspace.write_run(gathered, run_id=run_id).run_id, expected)
    return workspace.read_run(run_id)


def load(workspace: str | Path = WORKSPACE, *, as_of: datetime | None = None, **options: bool) -> Inventory:
    """What the workspace knew at a time (now, if none is given), verified; quarantined runs only if asked for."""
    from toolkit import store

    return store.Workspace(workspace).load(as_of, **options)


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
    inv: Inventory,
    *packs: str,
    as_of: datetime | None = None,
    scopes: str | Path | None = None,
    attested: pd.DataFrame | None = None,
    house: str | Path | None = None,
    workspace: str | Path | None = None,
) -> pd.DataFrame:
    """What the standards say: one row per subject and rule that applies. All packs in force, unless some are named.

    `scopes` is a mapping file that says what is in scope of what (`toolkit.scopes`); `attested` is what people put a
    name to, as `attestations` gives it: a control that a valid record speaks of is a PASS that names the record.
    `house` is your own policy (`toolkit.house`): the pack `house`. All three are taken from a `workspace` (its
    `scopes.toml` and `house.toml`), if one is given.
    """
    from toolkit import assessment, attesting, correlation
    from toolkit import scopes as mapping

    if workspace is not None:
        attested = attestations(workspace, as_of=as_of) if attested is None else attested
        scopes = mapping.in_workspace(workspace) if scopes is None else scopes
    subjects = correlation.subjects(inv, mapping.of(scopes))
    findings = assessment.assess(subjects, _packs(packs, house, workspace), as_of=_moment(as_of))
    return findings if attested is None else attesting.settle(findings, attested)


def permits(
    verb: str,
    key: Mapping[str, Any] | pd.Series[Any],
    *,
    by: str,
    roles: Collection[str] = (),
    approvals: Sequence[Approval] = (),
    requested_at: datetime | None = None,
    as_of: datetime | None = None,
    house: str | Path | None = None,
    workspace: str | Path = WORKSPACE,
) -> Decision:
    """Whether the house's own policy lets somebody do `verb` to a key, a row of `keys`; if not, why and from when."""
    from toolkit import house as policy

    return policy.permits(
        policy.governing(house, workspace), verb, dict(key), by=by, roles=roles, approvals=approvals,
        requested_at=requested_at, as_of=_moment(as_of),
    )  # fmt: skip


def attest(
    control: str,
    *,
    workspace: str | Path = WORKSPACE,
    says: str,
    by: str,
    role: str,
    valid_until: date,
    key: str | Path,
    kind: str = "other",
    evidence: Sequence[str | Path] = (),
    needs_second: bool = False,
    now: datetime | None = None,
) -> str:
    """Record what a person attests to a control (`pack/rule`), signed with that person's SSH key; the record's id.

    Raises:
        ConfigError: a text is empty, the end is past, the evidence cannot be read, or it cannot be signed.
    """
    from pathlib import Path

    from toolkit import attesting
    from toolkit.store import Workspace
    from toolkit.terms import AttestationKind

    return attesting.record(
        Workspace(workspace), control=control, says=says, by=by, role=role, valid_until=valid_until, key=Path(key),
        kind=AttestationKind(kind), evidence=[Path(file) for file in evidence], needs_second=needs_second,
        now=_moment(now),
    )  # fmt: skip


def attestations(workspace: str | Path = WORKSPACE, *, as_of: datetime | None = None) -> pd.DataFrame:
    """What people put their names to, and whether it counts: valid, expired, withdrawn, unsigned or needs-second."""
    from toolkit import attesting
    from toolkit.store import Workspace

    return attesting.listing(Workspace(workspace), as_of=_moment(as_of))


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
    from toolkit import assessment

    return assessment.rules(_packs(packs))


def validate(
    inv: Inventory, *packs: str, as_of: datetime | None = None, scopes: Any = None, out: Any = None, **border: Any
) -> pd.DataFrame:
    """Whether the inventory keeps its data contract; of `packs`, what great-expectations counts of their rules.

    Of the contract: `expected` (`toolkit.quality.border`) and `previous`, the last run; of packs: `scopes` as `assess`
    takes them, and `out`, a folder for the evidence: a page, the suites and the tables they were asked of.
    """
    from toolkit import quality

    if packs:
        return quality.validate_controls(inv, _packs(packs), as_of=_moment(as_of), scopes=scopes, out=out)
    return quality.validate(inv, as_of=_moment(as_of), **border)


def score(inv: Inventory, *, as_of: datetime | None = None) -> pd.DataFrame:
    """Risk of each key and secret, worst first, with the reasons and the first thing to do."""
    from toolkit import correlation, risk

    return risk.score(correlation.subjects(inv), as_of=_moment(as_of))


def what_if(inv: Inventory, fixes: Any, *, as_of: datetime | None = None) -> WhatIf:
    """How far a set of repairs lowers the risk: ids of repairs, `{repair, where}`, or rows of `priorities`."""
    from toolkit import correlation, risk

    return risk.what_if(correlation.subjects(inv), fixes, as_of=_moment(as_of))


def priorities(inv: Inventory, *, as_of: datetime | None = None, every: bool = False) -> pd.DataFrame:
    """Repairs by the risk they take away per hour of work, best first: each subject's best, or `every` one."""
    from toolkit import correlation, risk

    return risk.priorities(correlation.subjects(inv), as_of=_moment(as_of), every=every)


def explain(
    inv: Inventory, key_uid: str, *packs: str, as_of: datetime | None = None, workspace: str | Path | None = None
) -> Page:
    """A page on one key: places, certificates, principals, verdicts, score, history, blast radius, what to do first.

    With a `workspace`, what its runs saw change too. A uid may be cut to its beginning, if that tells it from others.

    Raises:
        ConfigError: no key has this uid, or several begin so.
    """
    from toolkit import explaining, store

    runs = () if workspace is None else store.Workspace(workspace).history()
    return explaining.explain(inv, key_uid, _packs(packs, None, workspace), as_of=_moment(as_of), runs=runs)


def quantum_readiness(
    inv: Inventory, *, as_of: datetime | None = None, curve: Mapping[int, float] | None = None
) -> pd.DataFrame:
    """Which keys must move to post-quantum algorithms, by when, and who says so; the most pressing first."""
    from toolkit import correlation, readiness

    return readiness.readiness(correlation.subjects(inv), as_of=_moment(as_of), curve=curve)


def quantum_mandates(keys: pd.DataFrame, *, as_of: datetime | None = None) -> pd.DataFrame:
    """Who asks for post-quantum algorithms by when, and how many of the keys of `quantum_readiness` that is about."""
    from toolkit import readiness

    return readiness.by_mandate(keys, as_of=_moment(as_of))


def burn_down(workspace: str | Path = WORKSPACE, *, as_of: datetime | None = None) -> pd.DataFrame:
    """How the estate moved to post-quantum algorithms, run by run."""
    from toolkit import readiness, store

    last, past = _moment(as_of), store.Workspace(workspace).history()
    return readiness.burn_down((moment, inv) for moment, inv in past if moment <= last)


def anomalies(
    inv: Inventory, *, since: datetime | None = None, planned: Collection[tuple[str, str]] = ()
) -> pd.DataFrame:
    """What is out of habit in the uses of keys, or was changed outside any plan, worst first, with reasons.

    Habits are learnt from what was before `since` (one day before the newest use, if it is not given). `planned` are
    pairs of key uid and operation that are not told, such as `(uid, "ScheduleKeyDeletion")`.
    """
    from toolkit import correlation, habits

    uses = correlation.usages(inv)
    return habits.anomalies(uses, since=since, planned=planned, keys=correlation.subjects(inv)["key"])


def report(
    name: str = "risk_assessment",
    *,
    workspace: str | Path = WORKSPACE,
    out: str | Path = "reports",
    parameters: Mapping[str, object] | None = None,
) -> Path:
    """Run a notebook over a workspace and render it as one self-contained HTML file; its path.

    Raises:
        RegistryError, StoreError: no such notebook, or no such workspace.
        ConfigError: a parameter the notebook does not have.
        ReportError: a cell failed; the failed notebook is kept beside where the report would be.
    """
    from pathlib import Path

    from toolkit import registry, reporting, store

    given = {"workspace": str(Path(workspace).resolve()), **(parameters or {})}
    store.Workspace(str(given["workspace"])).runs()  # in the notebook, none there would be a cell that failed
    return reporting.report(registry.entry("notebooks", name).path, out=Path(out), parameters=given).html


def export(inv: Inventory, form: str, path: str | Path) -> Path:
    """Write the tables in another form: `csv`, `jsonl` or `parquet`; the folder they are in."""
    from pathlib import Path

    from toolkit import exporting

    return exporting.export(inv, form, Path(path))


def demo(workspace: str | Path = WORKSPACE, *, out: str | Path = "reports") -> tuple[Inventory, Path]:
    """Inventory this machine (trust store, SSH folders, this repository, a SoftHSM token) and report on it."""
    from toolkit import softhsm

    # What lies ignored beside this repository is its own virtual environment: others' code, and much of it.
    token = softhsm.offered(workspace)
    names = ["keyfiles", "code", *(["pkcs11"] if token else [])]
    inv = collect(*names, into=workspace, gitignore=True, **token)
    return inv, report("risk_assessment", workspace=workspace, out=out)


def _packs(names: Sequence[str], own: str | Path | None = None, workspace: str | Path | None = None) -> list[Any]:
    from toolkit import house, policies, registry

    paths = {name: registry.entry("policies", name).path for name in names or registry.entries("policies")}
    return policies.choose(paths, named=bool(names), own=house.find(own, workspace), asked=own is not None)


def _moment(as_of: datetime | None) -> datetime:
    from datetime import UTC, datetime

    return as_of or datetime.now(UTC)


def __getattr__(name: str) -> Any:
    """`tk.charts`, `tk.narrative`: modules a notebook uses, loaded when first named."""
    if name in {"charts", "narrative"}:
        return import_module(f"toolkit.{name}")
    raise AttributeError(f"module 'toolkit' has no attribute {name!r}")
