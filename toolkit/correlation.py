"""One key, many places: sightings folded into the subjects that rules and risk are about.

Of several copies the weakest counts: a key in an HSM that also lies in a git history is a key in a git history.
Age goes by key, not by certificate: re-issuing on the same key extends the key's life (SP 800-57 part 1 r6 draft, 6.1).

Refuses to: join on anything but `key_uid`. A label, a subject key identifier or a file name is no identity. What a
keeper records of a key's use is joined by the keeper's own name of it (`usages`), which is one.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit import scopes, terms
from toolkit.algorithms import canonical, strength
from toolkit.tables import TEXTS, Inventory

STRING: Final = pd.StringDtype("pyarrow")
_HELD: Final = (terms.KeyType.PRIVATE_KEY, terms.KeyType.SECRET_KEY, terms.KeyType.UNKNOWN)
# Which half stands for the key when several were seen, most telling first.
_RANK: Final = {"private-key": 0, "secret-key": 1, "key": 2, "public-key": 3}


def places(inv: Inventory, key_uid: str) -> pd.DataFrame:
    """Every place one key was seen at: the rows of `inv.keys` with this uid, weakest protection first.

    Raises:
        KeyError: no sighting has this uid.
    """
    found = inv.keys[inv.keys["key_uid"] == key_uid]
    if found.empty:
        raise KeyError(key_uid)
    order = found["key_type"].astype(STRING).map(_RANK)
    columns = ["locator", "collector", "key_type", "format", "protection", "is_exposed", "is_current", "label", "owner"]
    return found.assign(_rank=order).sort_values(["_rank", "protection", "locator"])[columns].reset_index(drop=True)


def subjects(inv: Inventory, mapping: scopes.Scopes = scopes.NOTHING) -> dict[str, pd.DataFrame]:
    """The frames that rules judge: a row per uid of each subject, and one for the inventory as a whole."""
    keys = _keys(inv)
    frames = {
        "key": keys,
        "certificate": _certificates(inv, keys),
        "token": _tokens(inv.tokens),
        "credential": _with_access(inv, _credentials(inv.credentials)),
        "secret": _secrets(inv.secrets),
        "inventory": _inventory(inv, keys),
    }
    return {name: frame.assign(scopes=scopes.tell(name, frame, mapping)) for name, frame in frames.items()}


def usages(inv: Inventory) -> pd.DataFrame:
    """The uses, each with the uid of the key or credential that was seen at its locator.

    Who records uses knows a key by its keeper's name only. A key with a public half has another uid where it was read,
    and an alias or a secret's bare name is known to the list of them only; what was not read keeps the uid it has.
    """
    known = {**_by_name(inv.credentials, "credential_uid"), **_by_name(inv.keys, "key_uid")}
    names = inv.usages["locator"]
    found = names.map({name: known[name] for name in names.dropna().unique() if name in known})
    return inv.usages.assign(key_uid=found.astype(STRING).fillna(inv.usages["key_uid"]))


def _by_name(rows: pd.DataFrame, uid: str) -> dict[str, str]:
    """By locator; and by what else the keeper, in that place, calls the same thing."""
    rows = rows[rows["locator"].str.startswith("arn:").fillna(False)]
    known: dict[str, str] = {}
    if "aliases" in rows:
        named = rows[rows["aliases"].notna()]
        for locator, name, aliases in zip(named["locator"], named[uid], named["aliases"], strict=True):
            place = locator.rpartition(":")[0]
            known |= {alias if alias.startswith("arn:") else f"{place}:{alias}": name for alias in aliases}
    else:
        # The keeper of secrets puts a hyphen and six characters behind a secret's name.
        known |= {
            where[:-7]: name for where, name in zip(rows["locator"], rows[uid], strict=True) if ":secret:" in where
        }
    return known | dict(zip(rows["locator"], rows[uid], strict=True))


def unknown_algorithms(inv: Inventory) -> pd.DataFrame:
    """Names that keys bear and `algorithms.toml` does not know, most frequent first; a key without a name is no row."""
    named = inv.keys[inv.keys["algorithm"].notna()].drop_duplicates(["key_uid", "algorithm", "parameter"])
    odd = named[~named["algorithm"].map(lambda name: canonical(name) is not None).astype(bool)]
    counts = odd.groupby(["algorithm", "parameter"], dropna=False, observed=True)
    told = counts.agg(keys=("key_uid", "nunique"), locator=("locator", "min")).reset_index()
    return told.sort_values(["keys", "algorithm"], ascending=[False, True], ignore_index=True)


def _keys(inv: Inventory) -> pd.DataFrame:
    rows = _weakest_first(inv.keys)
    groups = rows.groupby("key_uid", sort=False, observed=True)
    first = groups[_FIRST].first()
    out = first.assign(**{name: getattr(groups[source], how)() for name, (source, how) in _FOLDS.items()})
    out = out.join(_held_facts(rows)).join(_certificate_facts(inv.certificates))
    out["holds_secret"] = out["copies"].notna().astype("boolean")
    out["places"] = groups["locator"].nunique()
    out["protects"] = _objects(inv, terms.RelationKind.PROTECTS)
    for name in ("places", "copies", "keepers", "certificates", "protects"):
        out[name] = out[name].fillna(0).astype("Int64")
    for name in ("is_ca_key", "is_trust_anchor", "is_in_code"):
        out[name] = out[name].fillna(False).astype("boolean")
    out["in_use_since"] = out[["_created", "_activated", "_seen", "_not_before"]].min(axis=1)
    out["collectors"] = _distinct(rows, "key_uid", "collector").reindex(out.index)
    out["held_by"] = _distinct(rows[rows["_held"]], "key_uid", "collector").reindex(out.index)
    out["environments"] = _distinct(rows, "key_uid", "environment").reindex(out.index)
    out = _with_strength(out.rename_axis("subject_uid").reset_index())
    out = _with_access(inv, _with_wrapping(inv, out))
    return out[_KEY_COLUMNS]


def _weakest_first(keys: pd.DataFrame) -> pd.DataFrame:
    """Sightings with the secret-holding ones first, the least protected of them on top."""
    held = keys["key_type"].isin([kind.value for kind in _HELD])
    rows = keys.assign(_held=held, _rank=keys["key_type"].astype(STRING).map(_RANK).astype("int8"))
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
_OF_ACCESS: Final[dict[str, Any]] = {
    "principals": "Int64",
    "administrators": "Int64",
    "is_public": "boolean",
    "is_cross_account": "boolean",
    "mixes_duties": "boolean",
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
    "wrapped_by", *_OF_ACCESS,
]  # fmt: skip


def _held_facts(rows: pd.DataFrame) -> pd.DataFrame:
    """What is true of the places where the secret half lies, worst answer first."""
    held = rows[rows["_held"]]
    groups = held.groupby("key_uid", sort=False, observed=True)
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
    facts["is_in_code"] = in_code.groupby(held["key_uid"], sort=False).max()
    facts["is_in_head"] = held[in_code].groupby("key_uid", sort=False)["is_current"].max()
    return facts


def _certificate_facts(certificates: pd.DataFrame) -> pd.DataFrame:
    groups = certificates.groupby("key_uid", sort=False, observed=True)
    return pd.DataFrame(
        {
            "certificates": groups["certificate_uid"].nunique(),
            "is_ca_key": groups["is_ca"].max(),
            "is_trust_anchor": groups["is_trust_anchor"].max(),
            "_not_before": groups["not_before"].min(),
            "certified_until": groups["not_after"].max(),
        }
    )


def _distinct(rows: pd.DataFrame, by: str, name: str) -> pd.Series[Any]:
    """By subject: the distinct values of a column over its sightings, sorted; a subject with none is missing."""
    pairs = rows[[by, name]].dropna().drop_duplicates().sort_values(name)
    # Arrow gathers a million short lists in a fraction of a second; pandas' agg(list) takes tens.
    pairs_table = pa.table({column: pa.array(pairs[column], pa.string()) for column in pairs.columns})
    lists = pairs_table.group_by(by, use_threads=False).aggregate([(name, "list")])
    values = pd.arrays.ArrowExtensionArray(lists[f"{name}_list"].cast(TEXTS))
    return pd.Series(values, index=lists[by].to_pandas())


def _with_strength(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with strength columns, looked up once per distinct algorithm, parameter and size."""
    names = ["algorithm", "parameter", "size_bits"]
    kinds = frame[names].drop_duplicates().reset_index(drop=True)
    known = [strength(*(None if pd.isna(value) else value for value in kind)) for kind in kinds.itertuples(index=False)]
    kinds["security_strength_bits"] = pd.array([k.security_strength_bits for k in known], dtype="Int64")
    kinds["nist_quantum_category"] = pd.array([k.nist_quantum_category for k in known], dtype="Int64")
    kinds["quantum"] = pd.array([k.quantum for k in known], dtype=STRING)
    return frame.merge(kinds, on=names, how="left")


def _inventory(inv: Inventory, keys: pd.DataFrame) -> pd.DataFrame:
    """What can be counted of the whole: one row."""
    counts = {
        "keys": len(keys),
        **{name: len(inv.table(name)) for name in ("certificates", "tokens", "credentials", "secrets", "gaps")},
        "targets": len(inv.readings),
        "unread_targets": int((inv.readings["status"] != "read").sum()),
        "unowned_keys": int(keys["owner"].isna().sum()),
        "unclassified_keys": int(keys["data_class"].isna().sum()),
        "unknown_algorithm_keys": int(keys["security_strength_bits"].isna().sum()),
        "single_copy_keys": int((keys["copies"] == 1).sum()),
    }
    row = {"subject_uid": ["inventory"], "locator": [None], **{name: [value] for name, value in counts.items()}}
    frame = pd.DataFrame(row).astype(dict.fromkeys(counts, "Int64") | {"subject_uid": STRING, "locator": STRING})
    return frame.assign(read_at=pd.Series([inv.readings["started_at"].min()], dtype=pd.DatetimeTZDtype("us", "UTC")))


def _with_access(inv: Inventory, frame: pd.DataFrame) -> pd.DataFrame:
    """What a subject's access rows say together; a subject without any was not read, and all is unknown."""
    rows = inv.access
    rules = rows["function"].astype(STRING).isin(["administer", "grant", "delete"]).astype(bool)
    uses = rows["function"].astype(STRING).isin(["use", "read"]).astype(bool)
    groups = rows.groupby("subject_uid", observed=True)
    facts = pd.DataFrame({"principals": groups["principal"].nunique()})
    facts["administrators"] = rows[rules].groupby("subject_uid", observed=True)["principal"].nunique()
    facts["administrators"] = facts["administrators"].fillna(0)
    for name in ("is_public", "is_cross_account"):
        # One "yes" decides; without it, one unknown leaves it open.
        some = groups[name].max()
        is_open = rows[name].isna().groupby(rows["subject_uid"], observed=True).any()
        facts[name] = some.mask(is_open & ~some.fillna(False).astype(bool))
    pairs = rows.assign(_rules=rules, _uses=uses).groupby(["subject_uid", "principal"], observed=True)
    both = pairs[["_rules", "_uses"]].any().all(axis=1)
    facts["mixes_duties"] = both.groupby("subject_uid").any()
    facts = facts.astype(_OF_ACCESS).reindex(frame["subject_uid"]).set_axis(frame.index)
    return frame.assign(**{str(name): facts[name] for name in facts.columns})


_CATEGORY_BITS: Final = {1: 128, 2: 128, 3: 192, 4: 192, 5: 256}


def _with_wrapping(inv: Inventory, keys: pd.DataFrame) -> pd.DataFrame:
    """Which keys each is wrapped by, and its strength counted down the chain: the least of its own and theirs.

    Unknown where any of them is. A post-quantum key counts as its category does (ML-KEM-512 as 128 bits): SP 800-57
    part 1 r6 draft, 4.6.2.
    """
    own = keys["security_strength_bits"].fillna(keys["nist_quantum_category"].map(_CATEGORY_BITS))
    bits = own.to_numpy(dtype=np.float64, na_value=np.nan)
    wraps = inv.relations[(inv.relations["kind"] == terms.RelationKind.PROTECTS.value).to_numpy(dtype=bool)]
    index = pd.Index(keys["subject_uid"])
    by_place = inv.keys.drop_duplicates("locator").set_index("locator")["key_uid"]
    inner = index.get_indexer(wraps["object"].map(by_place).astype(STRING).fillna(wraps["object"]))
    edges = pd.DataFrame({"outer": index.get_indexer(wraps["subject_uid"]), "inner": inner})
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
    names = edges[~unseen].assign(uid=keys["subject_uid"].to_numpy()[outer[~unseen]])
    lists = names.sort_values("uid").groupby("inner")["uid"].agg(list).reindex(range(len(keys)))
    told = pa.array([value if isinstance(value, list) else None for value in lists], TEXTS)
    return keys.assign(
        effective_strength_bits=pd.array(bits, dtype="Float64").astype("Int64"),
        wrapped_by=pd.Series(pd.arrays.ArrowExtensionArray(told), index=keys.index),
    )


def _objects(inv: Inventory, kind: terms.RelationKind) -> pd.Series[Any]:
    """By subject: how many things it bears on in that way."""
    some = inv.relations[inv.relations["kind"] == kind.value]
    return some.groupby("subject_uid", observed=True)["object"].nunique()


def _certificates(inv: Inventory, keys: pd.DataFrame) -> pd.DataFrame:
    groups = inv.certificates.groupby("certificate_uid", sort=False, observed=True)
    out = groups.first().assign(
        places=groups["locator"].nunique().astype("Int64"),
        is_trust_anchor=groups["is_trust_anchor"].max(),
        is_orphan=groups["is_orphan"].max(),
    )
    out["serves"] = _objects(inv, terms.RelationKind.SERVES)
    out["serves"] = out["serves"].fillna(0).astype("Int64")
    out["collectors"] = _distinct(inv.certificates, "certificate_uid", "collector").reindex(out.index)
    out = out.rename_axis("subject_uid").reset_index()
    validity = (out["not_after"] - out["not_before"]).dt.total_seconds() / 86_400
    out["validity_days"] = validity.astype("Float64")
    facts = keys.set_index("subject_uid")[["holds_secret", *_OF_THE_KEY]].rename(columns=_OF_THE_KEY)
    return out.join(facts, on="key_uid")[_CERTIFICATE_COLUMNS]


_OF_THE_KEY: Final = {
    "algorithm": "key_algorithm",
    "parameter": "key_parameter",
    "size_bits": "key_size_bits",
    "security_strength_bits": "key_security_strength_bits",
    "quantum": "key_quantum",
    "in_use_since": "key_in_use_since",
    "protection": "key_protection",
    "state": "key_state",
    "is_in_code": "key_is_in_code",
    "is_exposed": "key_is_exposed",
}
_CERTIFICATE_COLUMNS: Final = [
    "subject_uid", "key_uid", "locator", "label", "subject", "issuer", "serial_number", "not_before", "not_after",
    "validity_days", "signature_algorithm", "signature_hash", "is_ca", "is_self_signed", "is_trust_anchor", "is_orphan",
    "names", "key_usage", "extended_key_usage", "account", "region", "native_state", "validation", "has_renewal",
    "renewal_state", "has_transparency", "revoked_at", "tags", "owner", "application", "environment", "data_class",
    "places", "serves", "collectors", "holds_secret", *_OF_THE_KEY.values(),
]  # fmt: skip


_TOKEN_COLUMNS: Final = [
    "locator", "label", "manufacturer", "model", "serial_number", "firmware_version", "module", "is_hardware",
    "is_fips", "needs_login", "is_write_protected", "flags", "sessions", "max_sessions", "mechanisms", "keys",
    "certificates",
]  # fmt: skip


def _tokens(tokens: pd.DataFrame) -> pd.DataFrame:
    once = tokens.drop_duplicates("token_uid").rename(columns={"token_uid": "subject_uid"})
    return once[["subject_uid", *_TOKEN_COLUMNS]].reset_index(drop=True)


_CREDENTIAL_COLUMNS: Final = [
    "collector", "locator", "kind", "label", "holder", "key_uid", "encrypted_by", "account", "region", "manager",
    "native_state", "is_active", "has_mfa", "tags", "access_flags", "owner", "application", "environment", "data_class",
    "replicas", "versions", "has_rotation", "rotation_period_days", "next_rotation_at", "destruction_at", "created_at",
    "last_rotated_at", "last_used_at", "last_used_service", "expires_at",
]  # fmt: skip


def _credentials(credentials: pd.DataFrame) -> pd.DataFrame:
    once = credentials.drop_duplicates("credential_uid").rename(columns={"credential_uid": "subject_uid"})
    return once[["subject_uid", *_CREDENTIAL_COLUMNS]].reset_index(drop=True)


def _secrets(secrets: pd.DataFrame) -> pd.DataFrame:
    groups = secrets.sort_values("severity", ascending=False).groupby("secret_uid", sort=False, observed=True)
    out = groups[["key_uid", "locator", "rule", "title", "severity", "path", "gives", "liveness"]].first()
    out = out.assign(
        first_seen_at=groups["first_seen_at"].min(),
        last_seen_at=groups["last_seen_at"].max(),
        is_current=groups["is_current"].max(),
        occurrences=groups["occurrences"].sum(min_count=1),
        confidence=groups["confidence"].max(),
    )
    return out.rename_axis("subject_uid").reset_index()
