"""What a condition may ask of each subject, and with which operators."""

from __future__ import annotations

from typing import Final

TEXT, NUMBER, FLAG, TIME, TEXTS, SCOPES = "text", "number", "flag", "time", "texts", "scopes"


def _fields(**kinds: str) -> dict[str, str]:
    return {name: kind for kind, names in kinds.items() for name in names.split()}


FIELDS: Final[dict[str, dict[str, str]]] = {
    "key": _fields(
        text="subject_uid locator label key_type algorithm parameter quantum state protection origin purpose owner"
        " application environment data_class account region manager",
        number="size_bits security_strength_bits effective_strength_bits nist_quantum_category places copies keepers"
        " certificates rotation_period_days protects principals administrators",
        flag="holds_secret protected extractable sensitive never_extractable always_sensitive needs_login shares_id"
        " has_rotation is_orphan is_exposed is_in_code is_in_head is_ca_key is_trust_anchor is_public"
        " is_cross_account mixes_duties",
        time="in_use_since expires_at certified_until last_rotated_at last_used_at next_rotation_at destruction_at",
        texts="functions collectors held_by environments aliases replicas tags access_flags wrapped_by",
        scopes="scopes",
    ),
    "certificate": _fields(
        text="subject_uid key_uid locator label subject issuer serial_number signature_algorithm signature_hash"
        " key_algorithm key_parameter key_quantum account region native_state validation renewal_state owner"
        " application environment data_class key_protection key_state",
        number="serves validity_days places key_size_bits key_security_strength_bits",
        flag="is_ca is_self_signed is_trust_anchor is_orphan holds_secret has_renewal has_transparency key_is_in_code"
        " key_is_exposed",
        time="not_before not_after revoked_at key_in_use_since",
        texts="names key_usage extended_key_usage tags collectors",
        scopes="scopes",
    ),
    "token": _fields(
        text="subject_uid locator label manufacturer model serial_number firmware_version module",
        number="sessions max_sessions keys certificates",
        flag="is_hardware is_fips needs_login is_write_protected",
        texts="flags mechanisms",
        scopes="scopes",
    ),
    "credential": _fields(
        text="subject_uid collector locator kind label holder key_uid encrypted_by account region manager native_state"
        " owner application environment data_class last_used_service",
        number="versions rotation_period_days principals administrators effective_strength_bits",
        flag="is_active has_mfa has_rotation is_public is_cross_account mixes_duties",
        time="created_at last_rotated_at last_used_at next_rotation_at expires_at destruction_at",
        texts="tags replicas access_flags",
        scopes="scopes",
    ),
    "secret": _fields(
        text="subject_uid key_uid locator rule title severity path gives liveness",
        number="occurrences confidence",
        flag="is_current",
        time="first_seen_at last_seen_at",
        scopes="scopes",
    ),
    "inventory": _fields(
        text="subject_uid locator",
        number="keys certificates tokens credentials secrets gaps targets unread_targets unowned_keys"
        " unclassified_keys unknown_algorithm_keys single_copy_keys",
        time="read_at",
        scopes="scopes",
    ),
}
"""What a condition may ask of each subject: field name to kind; the columns of `toolkit.correlation.subjects`."""

OPS: Final[dict[str, dict[str, str]]] = {
    TEXT: {"==": "text", "!=": "text", "in": "texts", "not_in": "texts", "like": "texts"},
    NUMBER: {**dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "number"), "in": "numbers", "not_in": "numbers"},
    FLAG: {"is_true": "nothing", "is_false": "nothing"},
    TIME: {"older_than_days": "number", "within_days": "number", "before": "time", "after": "time"},
    TEXTS: {"contains": "texts", "only": "texts", "like": "texts", "is_empty": "nothing"},
    SCOPES: {"within": "texts"},
}
"""Operators by kind of field, and the value that each takes."""
ALWAYS_OPS: Final = {"known": "nothing", "unknown": "nothing"}
