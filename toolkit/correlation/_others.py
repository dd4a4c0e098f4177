"""Subjects that are no keys: certificates, tokens, credentials, secrets, and the inventory as a whole."""

from __future__ import annotations

from typing import Final

import pandas as pd

from toolkit import terms
from toolkit.correlation._numbers import STRING, UID, distinct, numbered, numbers, objects
from toolkit.tables import Inventory


def certificates(inv: Inventory, keys: pd.DataFrame) -> pd.DataFrame:
    """A row a certificate, with what is known of its key."""
    rows, uids = numbered(inv.certificates, "certificate_uid")
    groups = rows.groupby(UID)
    out = groups.first().assign(
        places=groups["locator"].nunique().astype("Int64"),
        is_trust_anchor=groups["is_trust_anchor"].max(),
        is_orphan=groups["is_orphan"].max(),
    )
    out["serves"] = objects(inv, terms.RelationKind.SERVES, uids)
    out["serves"] = out["serves"].fillna(0).astype("Int64")
    out["collectors"] = distinct(rows, "collector", len(uids))
    out["subject_uid"] = uids.array
    out = out.rename_axis(None)
    validity = (out["not_after"] - out["not_before"]).dt.total_seconds() / 86_400
    out["validity_days"] = validity.astype("Float64")
    whose = numbers(out["key_uid"], pd.Index(keys["subject_uid"], dtype=STRING))
    facts = keys[["holds_secret", *_OF_THE_KEY]].rename(columns=_OF_THE_KEY)
    return out.join(facts.reindex(whose).set_axis(out.index))[_CERTIFICATE_COLUMNS]


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


def tokens(tokens: pd.DataFrame) -> pd.DataFrame:
    """A row a token."""
    once = tokens.drop_duplicates("token_uid").rename(columns={"token_uid": "subject_uid"})
    return once[["subject_uid", *_TOKEN_COLUMNS]].reset_index(drop=True)


_CREDENTIAL_COLUMNS: Final = [
    "collector", "locator", "kind", "label", "holder", "key_uid", "encrypted_by", "account", "region", "manager",
    "native_state", "is_active", "has_mfa", "tags", "access_flags", "owner", "application", "environment", "data_class",
    "replicas", "versions", "has_rotation", "rotation_period_days", "next_rotation_at", "destruction_at", "created_at",
    "last_rotated_at", "last_used_at", "last_used_service", "expires_at",
]  # fmt: skip


def credentials(credentials: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    """A row a credential. It is as strong as the key that it is kept under, and what wraps that: unknown if unseen."""
    once = credentials.drop_duplicates("credential_uid").rename(columns={"credential_uid": "subject_uid"})
    once = once[["subject_uid", *_CREDENTIAL_COLUMNS]].reset_index(drop=True)
    whose = numbers(once["encrypted_by"], pd.Index(keys["subject_uid"], dtype=STRING))
    return once.assign(effective_strength_bits=keys["effective_strength_bits"].reindex(whose).array)


def secrets(secrets: pd.DataFrame) -> pd.DataFrame:
    """A row a secret, with the worst that was seen of it."""
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


def inventory(inv: Inventory, keys: pd.DataFrame) -> pd.DataFrame:
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
