"""Who may use a subject, told in its row."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from toolkit.correlation._numbers import STRING, UID, known
from toolkit.tables import Inventory

OF_ACCESS: Final[dict[str, Any]] = {
    "principals": "Int64",
    "administrators": "Int64",
    "is_public": "boolean",
    "is_cross_account": "boolean",
    "mixes_duties": "boolean",
}


def with_access(inv: Inventory, frame: pd.DataFrame, uids: pd.Index[Any]) -> pd.DataFrame:
    """What a subject's access rows say together; a subject without any was not read, and all is unknown."""
    rows = known(inv.access, "subject_uid", uids)
    rules = rows["function"].astype(STRING).isin(["administer", "grant", "delete"]).astype(bool)
    uses = rows["function"].astype(STRING).isin(["use", "read"]).astype(bool)
    groups = rows.groupby(UID)
    facts = pd.DataFrame({"principals": groups["principal"].nunique()})
    facts["administrators"] = rows[rules].groupby(UID)["principal"].nunique()
    facts["administrators"] = facts["administrators"].fillna(0)
    for name in ("is_public", "is_cross_account"):
        # One "yes" decides; without it, one unknown leaves it open.
        some = groups[name].max()
        is_open = rows[name].isna().groupby(rows[UID]).any()
        facts[name] = some.mask(is_open & ~some.fillna(False).astype(bool))
    pairs = rows.assign(_rules=rules, _uses=uses).groupby([UID, "principal"], observed=True)
    both = pairs[["_rules", "_uses"]].any().all(axis=1)
    facts["mixes_duties"] = both.groupby(UID).any()
    facts = facts.astype(OF_ACCESS).reindex(range(len(frame))).set_axis(frame.index)
    return frame.assign(**{str(name): facts[name] for name in facts.columns})
