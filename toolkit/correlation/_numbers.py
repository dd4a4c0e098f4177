"""Uids as numbers: grouped and joined in a fraction of the time that texts take."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.tables import TEXTS, Inventory
from toolkit.terms import RelationKind

STRING: Final = pd.StringDtype("pyarrow")
UID: Final = "_uid"
"""The column that holds the number."""


def numbered(rows: pd.DataFrame, uid: str) -> tuple[pd.DataFrame, pd.Index[Any]]:
    """The rows with a number for each uid, and the uids by number, in the order in which they come.

    Numbers are grouped and joined in a fraction of the time that texts take.
    """
    once = pa.array(rows[uid], pa.large_string())
    once = (once.combine_chunks() if isinstance(once, pa.ChunkedArray) else once).dictionary_encode()
    uids = pd.Index(pd.arrays.ArrowStringArray(pa.chunked_array([once.dictionary])), dtype=STRING)
    return rows.assign(**{UID: once.indices.to_numpy()}), uids


def numbers(values: pd.Series[Any], uids: pd.Index[Any]) -> NDArray[np.int32]:
    """The number of each uid; -1 for one that is not among them."""
    if values.empty:
        return np.zeros(0, np.int32)
    texts, known = (pa.array(column, pa.large_string(), from_pandas=True) for column in (values, uids))
    found = pc.index_in(texts, known.combine_chunks() if isinstance(known, pa.ChunkedArray) else known)
    numbers: NDArray[np.int32] = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return numbers


def known(rows: pd.DataFrame, uid: str, uids: pd.Index[Any]) -> pd.DataFrame:
    """The rows whose uid is one of these, with its number."""
    numbered = rows.assign(**{UID: numbers(rows[uid], uids)})
    return numbered[numbered[UID] >= 0]


def distinct(rows: pd.DataFrame, name: str, count: int) -> pd.Series[Any]:
    """By number: the distinct values of a column over its sightings, sorted; a subject with none is missing."""
    pairs = rows[[UID, name]].dropna().drop_duplicates().sort_values(name)
    return lists(pairs[UID].to_numpy(), pairs[name], count)


def lists(numbers: NDArray[Any], values: pd.Series[Any], count: int) -> pd.Series[Any]:
    """The values of each number as a list, in their order."""
    # Arrow gathers a million short lists in a fraction of a second; pandas' agg(list) takes tens.
    table = pa.table({"number": pa.array(numbers), "value": pa.array(values, pa.string())})
    lists = table.group_by("number", use_threads=False).aggregate([("value", "list")])
    places = np.full(count, -1, np.int64)
    places[lists["number"].to_numpy()] = np.arange(len(lists))
    told = lists["value_list"].combine_chunks().cast(TEXTS).take(pa.array(places, mask=places < 0))
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([told], TEXTS)))


def objects(inv: Inventory, kind: RelationKind, uids: pd.Index[Any]) -> pd.Series[Any]:
    """By number: how many things a subject bears on in that way."""
    some = inv.relations[inv.relations["kind"] == kind.value]
    return known(some, "subject_uid", uids).groupby(UID)["object"].nunique()
