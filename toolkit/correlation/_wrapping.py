"""What wraps a key, and how strong the chain is."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from toolkit import terms
from toolkit.correlation._numbers import STRING, lists, numbers
from toolkit.tables import Inventory

_CATEGORY_BITS: Final = {1: 128, 2: 128, 3: 192, 4: 192, 5: 256}


def with_wrapping(inv: Inventory, keys: pd.DataFrame, uids: pd.Index[Any]) -> pd.DataFrame:
    """Which keys each is wrapped by, and its strength counted down the chain: the least of its own and theirs.

    Unknown where any of them is. A post-quantum key counts as its category does (ML-KEM-512 as 128 bits): SP 800-57
    part 1 r6 draft, 4.6.2.
    """
    own = keys["security_strength_bits"].fillna(keys["nist_quantum_category"].map(_CATEGORY_BITS))
    bits = own.to_numpy(dtype=np.float64, na_value=np.nan)
    wraps = inv.relations[(inv.relations["kind"] == terms.RelationKind.PROTECTS.value).to_numpy(dtype=bool)]
    by_place = inv.keys[inv.keys["locator"].isin(wraps["object"])].drop_duplicates("locator")
    objects = wraps["object"].map(by_place.set_index("locator")["key_uid"]).astype(STRING).fillna(wraps["object"])
    edges = pd.DataFrame({"outer": numbers(wraps["subject_uid"], uids), "inner": numbers(objects, uids)})
    edges = edges[(edges["inner"] >= 0) & (edges["inner"] != edges["outer"])].drop_duplicates()
    unseen = edges["outer"].to_numpy() < 0
    outer, inner = edges["outer"].to_numpy(), edges["inner"].to_numpy()
    while len(edges):
        less = bits.copy()
        with np.errstate(invalid="ignore"):
            np.minimum.at(less, inner, np.where(unseen, np.nan, bits[outer]))  # NaN, unknown, wins
        if np.array_equal(less, bits, equal_nan=True):
            break
        bits = less
    names = edges[~unseen].assign(uid=uids.take(outer[~unseen]).array).sort_values("uid")
    return keys.assign(
        effective_strength_bits=pd.array(bits, dtype="Float64").astype("Int64"),
        wrapped_by=lists(names["inner"].to_numpy(), names["uid"], len(keys)),
    )
