"""Keys: every sighting of one folded to a row, the weakest copy counting."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from toolkit import terms
from toolkit.algorithms import strength
from toolkit.correlation._access import OF_ACCESS, with_access
from toolkit.correlation._numbers import STRING, UID, distinct, known, numbered, objects
from toolkit.correlation._wrapping import with_wrapping
from toolkit.tables import Inventory

_HELD: Final = (terms.KeyType.PRIVATE_KEY, terms.KeyType.SECRET_KEY, terms.KeyType.UNKNOWN)
# Which half stands for the key when several were seen, most telling first.
RANK: Final = {"private-key": 0, "secret-key": 1, "key": 2, "public-key": 3}


def keys_of(inv: Inventory) -> pd.DataFrame:
    """A row a key."""
    rows, uids = numbered(_weakest_first(inv.keys), "key_uid")
    groups = rows.groupby(UID)
    first = groups[_FIRST].first()
    out = first.assign(**{name: getattr(groups[source], how)() for name, (source, how) in _FOLDS.items()})
    out = out.join(_held_facts(rows)).join(_certificate_facts(inv.certificates, uids))
    out["holds_secret"] = out["copies"].notna().astype("boolean")
    out["places"] = groups["locator"].nunique()
    out["protects"] = objects(inv, terms.RelationKind.PROTECTS, uids)
    for name in ("places", "copies", "keepers", "certificates", "protects"):
        out[name] = out[name].fillna(0).astype("Int64")
    for name in ("is_ca_key", "is_trust_anchor", "is_in_code"):
        out[name] = out[name].fillna(False).astype("boolean")
    out["in_use_since"] = out[["_created", "_activated", "_seen", "_not_before"]].min(axis=1)
    out["collectors"] = distinct(rows, "collector", len(uids))
    out["held_by"] = distinct(rows[rows["_held"]], "collector", len(uids))
    out["environments"] = distinct(rows, "environment", len(uids))
    out.insert(0, "subject_uid", uids.array)
    out = _with_strength(out.rename_axis(None))
    out = with_access(inv, with_wrapping(inv, out, uids), uids)
    return out[_KEY_COLUMNS]


def _weakest_first(keys: pd.DataFrame) -> pd.DataFrame:
    """Sightings with the secret-holding ones first, the least protected of them on top."""
    held = keys["key_type"].isin([kind.value for kind in _HELD])
    rows = keys.assign(_held=held, _rank=keys["key_type"].astype(STRING).map(RANK).astype("int8"))
    return rows.sort_values(["_held", "protection", "_rank", "locator"], ascending=[False, True, True, True])


# Taken from the first sighting that has the field, weakest place first.
_FIRST: Final = [
    "locator", "label", "key_type", "algorithm", "parameter", "size_bits", "state", "functions", "purpose", "origin",
    "owner", "application", "environment", "data_class", "account", "region", "manager", "aliases", "replicas", "tags",
    "access_flags", "has_rotation", "rotation_period_days", "next_rotation_at",
]  # fmt: skip
_FOLDS: Final = {
    "_created": ("created_at", "min"),
    "_activated": ("activated_at", "min"),
    "_seen": ("first_seen_at", "min"),
    "is_orphan": ("is_orphan", "max"),
    "expires_at": ("expires_at", "min"),
    "last_rotated_at": ("last_rotated_at", "max"),
    "last_used_at": ("last_used_at", "max"),
    "destruction_at": ("destruction_at", "min"),
}


_KEY_COLUMNS: Final = [
    "subject_uid", "locator", "label", "key_type", "holds_secret", "algorithm", "parameter", "size_bits",
    "security_strength_bits", "nist_quantum_category", "quantum", "state", "functions", "protection", "protected",
    "extractable", "sensitive", "never_extractable", "always_sensitive", "needs_login", "shares_id", "is_orphan",
    "origin", "purpose", "is_exposed", "is_in_code", "is_in_head", "owner", "application",
    "environment", "data_class", "account", "region", "manager", "aliases", "replicas", "tags", "access_flags",
    "places", "copies", "keepers", "protects", "collectors", "held_by", "environments", "certificates", "is_ca_key",
    "is_trust_anchor", "has_rotation", "rotation_period_days", "next_rotation_at", "destruction_at", "in_use_since",
    "expires_at", "certified_until", "last_rotated_at", "last_used_at", "effective_strength_bits",
    "wrapped_by", *OF_ACCESS,
]  # fmt: skip


def _held_facts(rows: pd.DataFrame) -> pd.DataFrame:
    """What is true of the places where the secret half lies, worst answer first."""
    held = rows[rows["_held"]]
    groups = held.groupby(UID)
    in_code = held["collector"] == "code"
    facts = groups[["protection"]].first()
    facts["protected"] = groups["protected"].min()
    facts["extractable"] = groups["extractable"].max()
    facts["sensitive"] = groups["sensitive"].min()
    facts["never_extractable"] = groups["never_extractable"].min()
    facts["always_sensitive"] = groups["always_sensitive"].min()
    facts["needs_login"] = groups["needs_login"].min()
    facts["shares_id"] = groups["shares_id"].max()
    facts["is_exposed"] = groups["is_exposed"].max()
    facts["copies"] = groups["locator"].nunique()
    # Two objects on one token are two copies and one keeper: what breaks takes both.
    facts["keepers"] = groups["target"].nunique()
    facts["is_in_code"] = in_code.groupby(held[UID]).max()
    facts["is_in_head"] = held[in_code].groupby(UID)["is_current"].max()
    return facts


def _certificate_facts(certificates: pd.DataFrame, uids: pd.Index[Any]) -> pd.DataFrame:
    groups = known(certificates, "key_uid", uids).groupby(UID)
    return pd.DataFrame(
        {
            "certificates": groups["certificate_uid"].nunique(),
            "is_ca_key": groups["is_ca"].max(),
            "is_trust_anchor": groups["is_trust_anchor"].max(),
            "_not_before": groups["not_before"].min(),
            "certified_until": groups["not_after"].max(),
        }
    )


def _with_strength(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with strength columns, looked up once per distinct algorithm, parameter and size."""
    names = ["algorithm", "parameter", "size_bits"]
    codes = np.zeros(len(frame), np.int64)
    for name in names:
        values, distinct = pd.factorize(frame[name])
        codes, _ = pd.factorize(codes * (len(distinct) + 1) + values + 1)
    _, firsts = np.unique(codes, return_index=True)
    kinds = frame[names].iloc[firsts].itertuples(index=False)
    known = [strength(*(None if pd.isna(value) else value for value in kind)) for kind in kinds]
    return frame.assign(
        security_strength_bits=pd.array([k.security_strength_bits for k in known], dtype="Int64").take(codes),
        nist_quantum_category=pd.array([k.nist_quantum_category for k in known], dtype="Int64").take(codes),
        quantum=pd.array([k.quantum for k in known], dtype=STRING).take(codes),
    )
