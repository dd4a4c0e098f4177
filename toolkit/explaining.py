"""One key, whole: everything that the inventory, the standards and the risk model say of it, gathered for a page.

Refuses to: take a label for a key; a page is about one `key_uid`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import pandas as pd

from toolkit import assessment, comparison, correlation, narrative, risk
from toolkit.errors import ConfigError
from toolkit.policies import Pack
from toolkit.tables import Inventory


def explain(
    inv: Inventory,
    key_uid: str,
    packs: Sequence[Pack],
    *,
    as_of: datetime,
    runs: Iterable[tuple[datetime, Inventory]] = (),
) -> narrative.Page:
    """The page on the key whose uid this is, or begins with this.

    Raises:
        ConfigError: no key has this uid, or several begin so.
    """
    subjects = correlation.subjects(inv)
    key_uid = _whole(key_uid, subjects["key"]["subject_uid"])
    certified = subjects["certificate"]["key_uid"] == key_uid
    mine = {
        "key": subjects["key"][subjects["key"]["subject_uid"] == key_uid].reset_index(drop=True),
        "certificate": subjects["certificate"][certified].reset_index(drop=True),
    }
    scores = risk.score({"key": mine["key"]}, as_of=as_of)
    findings = assessment.assess(mine, packs, as_of=as_of)
    frames = {
        "places": correlation.places(inv, key_uid),
        "certificates": inv.certificates[inv.certificates["key_uid"] == key_uid],
        "findings": _worst_first(findings[findings["subject"] != "inventory"]),
        "secrets": inv.secrets[inv.secrets["key_uid"] == key_uid],
        "usages": inv.usages[inv.usages["key_uid"] == key_uid].sort_values("occurred_at", ascending=False),
        "gaps": inv.gaps[inv.gaps["locator"].isin(inv.keys.loc[inv.keys["key_uid"] == key_uid, "locator"])],
        "history": _history(key_uid, runs),
        **{name: _about(inv.table(name), key_uid) for name in ("access", "relations")},
    }
    todo = risk.priorities({"key": mine["key"]}, as_of=as_of, every=True)
    return narrative.key_page(mine["key"].iloc[0], scores.iloc[0], frames, todo=todo)


def _whole(uid: str, known: pd.Series[str]) -> str:
    named = known[known.str.startswith(uid)].tolist()
    if uid in named:
        return uid
    if len(named) != 1:
        told = "no key's uid begins" if not named else f"{len(named):,} keys' uids begin"
        raise ConfigError(f"{told} with {uid}", advice="take one from `keyatlas score`, or of tk.keys(inv)")
    return str(named[0])


# What is broken first: a page shows the first rows only.
_ORDER: Final = {name: n for n, name in enumerate(("FAIL", "WARN", "INDETERMINATE", "ATTESTATION_REQUIRED", "PASS"))}


def _worst_first(findings: pd.DataFrame) -> pd.DataFrame:
    rank = findings["verdict"].astype(object).map(_ORDER).fillna(len(_ORDER))
    order = findings.assign(_rank=rank).sort_values(["_rank", "severity"], ascending=[True, False], kind="stable")
    return order.drop(columns="_rank")


def _about(frame: pd.DataFrame, uid: str) -> pd.DataFrame:
    return frame[frame["subject_uid"] == uid]


def _history(uid: str, runs: Iterable[tuple[datetime, Inventory]]) -> pd.DataFrame:
    """What the runs saw change at this key's places, newest first."""
    told = []
    for (_, before), (moment, after) in pairwise(_of_the_key(uid, runs)):
        changes = comparison.compare(before, after)
        told.append(changes[changes["table"] == "keys"].assign(at=moment))
    if not told:
        return pd.DataFrame()
    return pd.concat(told, ignore_index=True).sort_values("at", ascending=False, kind="stable")


_OTHERS: Final = ("certificates", "credentials", "secrets", "access")


def _of_the_key(uid: str, runs: Iterable[tuple[datetime, Inventory]]) -> Iterable[tuple[datetime, Inventory]]:
    """The inventories cut down to what is compared, so that a page costs no comparison of whole estates."""
    for moment, inv in runs:
        cut: dict[str, Any] = {name: inv.table(name).head(0) for name in _OTHERS}
        yield moment, dataclasses.replace(inv, keys=inv.keys[inv.keys["key_uid"] == uid], **cut)
