"""Where packs disagree: on one subject and one topic, one passes what another does not.

PCI DSS lists triple DES as strong, NIST disallows it: both verdicts stand, side by side, and a person decides.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from toolkit.terms import Verdict

_HARSHNESS: Final = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
_SHOWN: Final = ["pack", "rule", "clause", "verdict", "binding", "status", "says"]
_COLUMNS: Final = [
    "subject", "subject_uid", "locator", "topic", *(f"strict_{name}" for name in _SHOWN),
    *(f"mild_{name}" for name in _SHOWN),
]  # fmt: skip


def conflicts(findings: pd.DataFrame) -> pd.DataFrame:
    """One row a subject and topic on which packs differ: the strictest verdict beside the mildest.

    What a pack says of a topic is the worst that its rules say; what is undecided or not applicable says nothing.
    """
    rank = findings["verdict"].cat.codes.to_numpy()
    ranks = np.array([_HARSHNESS.get(verdict, -1) for verdict in Verdict] + [-1], np.int8)[rank]
    rows = np.flatnonzero(ranks >= 0)
    keys = _keys(findings, rows)
    table = pd.DataFrame({"key": keys, "pack": findings["pack"].cat.codes.to_numpy()[rows], "rank": ranks[rows]})
    table["row"] = rows
    # The worst of each pack, then the worst and the best of these.
    worst = table.sort_values(["key", "pack", "rank", "row"], ascending=[True, True, False, True], kind="stable")
    worst = worst.drop_duplicates(["key", "pack"]).sort_values(["key", "rank", "row"], kind="stable")
    mild, strict = worst.drop_duplicates("key"), worst.drop_duplicates("key", keep="last")
    differ = mild["rank"].to_numpy() != strict["rank"].to_numpy()
    return _beside(findings, strict["row"].to_numpy()[differ], mild["row"].to_numpy()[differ])


def _keys(findings: pd.DataFrame, rows: Any) -> Any:
    parts = [findings[name].cat.codes.to_numpy()[rows].astype(np.int64) for name in ("subject_uid", "subject", "topic")]
    return (parts[0] * 64 + parts[1]) * 64 + parts[2]


def _beside(findings: pd.DataFrame, strict: Any, mild: Any) -> pd.DataFrame:
    harsh, soft = findings.iloc[strict], findings.iloc[mild]
    told = {name: harsh[name].to_numpy() for name in ("subject", "subject_uid", "locator", "topic")}
    told |= {f"strict_{name}": harsh[name].to_numpy() for name in _SHOWN}
    told |= {f"mild_{name}": soft[name].to_numpy() for name in _SHOWN}
    return pd.DataFrame(told, columns=_COLUMNS).sort_values(["topic", "subject_uid"], kind="stable", ignore_index=True)
