"""What could not be seen, and what changed between two inventories.

Refuses to: call a key gone because it was not looked at. A row that is missing where its target was not read whole is
`unseen`, with the reason in `coverage`.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pandas as pd

from toolkit.tables import COLUMNS, TEXTS, Inventory
from toolkit.terms import ReadingStatus

STRING: Final = pd.StringDtype("pyarrow")
# What makes two rows of two runs the same sighting.
_SIGHTING: Final = {
    "keys": ["collector", "target", "locator", "key_type"],
    "certificates": ["collector", "target", "locator"],
    "credentials": ["collector", "target", "credential_uid"],
    "access": ["collector", "target", "subject_uid", "principal", "function", "via", "source"],
    "secrets": ["collector", "target", "rule", "secret_uid"],
}
_UID: Final = {
    "keys": "key_uid",
    "certificates": "certificate_uid",
    "credentials": "credential_uid",
    "access": "subject_uid",
    "secrets": "secret_uid",
}
CHANGES: Final = pd.CategoricalDtype(["appeared", "changed", "gone", "unseen"])
_COLUMNS: Final = ["change", "table", "uid", "collector", "target", "locator", "fields", "before", "after"]


def coverage(inv: Inventory) -> pd.DataFrame:
    """One row a target: how its reading ended, and why what is missing is missing.

    Columns: collector, target, label, status, rows, gaps, seconds, why (counts by status), advice (first one).
    """
    gaps = inv.gaps.assign(_status=inv.gaps["status"].astype(STRING))
    rows = []
    for key, some in gaps.groupby(["collector", "target"], sort=False):
        counts = some["_status"].value_counts()
        why = ", ".join(f"{count} {status}" for status, count in counts.items())
        advice = some["advice"].dropna()
        rows.append((*key, why, advice.iloc[0] if len(advice) else None))
    told = pd.DataFrame(rows, columns=["collector", "target", "why", "advice"]).astype(STRING)
    out = inv.readings.merge(told, on=["collector", "target"], how="left")
    names = ["collector", "target", "label", "status", "rows", "gaps", "seconds", "why", "advice"]
    return out[names].sort_values(["gaps", "collector", "target"], ascending=[False, True, True], ignore_index=True)


def is_complete(inv: Inventory) -> bool:
    """Whether every target was read whole."""
    return bool((inv.readings["status"] == ReadingStatus.READ.value).all())


def compare(old: Inventory, new: Inventory) -> pd.DataFrame:
    """What appeared, changed (which fields), is gone, or could not be seen again.

    Columns: change, table, uid, collector, target, locator, fields (list), before and after (JSON of those fields).
    """
    parts = [_compare_table(old, new, table) for table in _SIGHTING]
    return pd.concat(parts, ignore_index=True).astype({"change": CHANGES})[_COLUMNS]


def _compare_table(old: Inventory, new: Inventory, table: str) -> pd.DataFrame:
    sighting = _SIGHTING[table]
    before, after = (inv.table(table).drop_duplicates(sighting) for inv in (old, new))
    # Joined by number: pandas' merge fails on Arrow text where one side is empty.
    names = pd.concat([before[sighting], after[sighting]], ignore_index=True)
    number = names.groupby(sighting, sort=False, observed=True, dropna=False).ngroup().to_numpy()
    before, after = before.assign(_n=number[: len(before)]), after.assign(_n=number[len(before) :])
    both = before.merge(after, on="_n", how="outer", suffixes=("_old", "_new"), indicator=True)
    appeared = _rows(both[both["_merge"] == "right_only"], table, "_new").assign(change="appeared")
    missing = _rows(both[both["_merge"] == "left_only"], table, "_old")
    missing = missing.assign(change=_gone_or_unseen(missing, new))
    changed = _changed(both[both["_merge"] == "both"], table)
    return pd.concat([appeared, changed, missing], ignore_index=True)


def _rows(both: pd.DataFrame, table: str, side: str) -> pd.DataFrame:
    out = pd.DataFrame({"table": pd.Series(table, index=both.index, dtype=STRING)})
    for name, source in (("uid", _UID[table]), *((name, name) for name in ("collector", "target", "locator"))):
        out[name] = both[source + side].astype(STRING)
    empty: pd.Series[Any] = pd.Series([[]] * len(out), index=out.index, dtype=pd.ArrowDtype(TEXTS))
    untold = pd.Series(pd.NA, index=out.index, dtype=STRING)
    return out.assign(fields=empty, before=untold, after=untold)


def _gone_or_unseen(missing: pd.DataFrame, new: Inventory) -> pd.Series[Any]:
    read = new.readings[new.readings["status"] == ReadingStatus.READ.value]
    whole = pd.MultiIndex.from_frame(read[["collector", "target"]])
    seen = pd.MultiIndex.from_frame(missing[["collector", "target"]]).isin(whole)
    return pd.Series(seen, index=missing.index).map({True: "gone", False: "unseen"})


def _changed(both: pd.DataFrame, table: str) -> pd.DataFrame:
    names = [column.name for column in COLUMNS[table] if column.name not in _SIGHTING[table]]
    differs = pd.DataFrame({name: _differs(both[f"{name}_old"], both[f"{name}_new"]) for name in names})
    touched = both[differs.any(axis=1)]
    out = _rows(touched, table, "_new").assign(change="changed")
    which = [[name for name in names if differs.at[index, name]] for index in touched.index]
    sides = {"before": "_old", "after": "_new"}
    told = {
        column: [_told(touched.loc[index], fields, side) for index, fields in zip(touched.index, which, strict=True)]
        for column, side in sides.items()
    }
    fields = pd.Series(which, index=out.index, dtype=pd.ArrowDtype(TEXTS))
    return out.assign(fields=fields, **{c: pd.Series(v, index=out.index, dtype=STRING) for c, v in told.items()})


def _differs(old: pd.Series[Any], new: pd.Series[Any]) -> pd.Series[Any]:
    # Categoricals and lists compare as text; NA equals NA here, which == does not say.
    if not (pd.api.types.is_numeric_dtype(old) or pd.api.types.is_datetime64_any_dtype(old)):
        old, new = old.map(_text, na_action="ignore"), new.map(_text, na_action="ignore")
    same = (old == new).fillna(False).astype(bool)
    return ~(same | (old.isna() & new.isna()))


def _text(value: Any) -> str:
    return str(list(value)) if hasattr(value, "__iter__") and not isinstance(value, str) else str(value)


def _told(row: pd.Series[Any], fields: list[str], side: str) -> str:
    return json.dumps({name: row[name + side] for name in fields}, default=str, ensure_ascii=False)
