"""What a rule is about, from the first field that it asks for, unless the rule says so itself."""

from __future__ import annotations

from typing import Final

from toolkit.conditions import Condition, fields_of
from toolkit.terms import Topic

_FIELDS: Final = {
    Topic.ALGORITHM: "algorithm parameter size_bits security_strength_bits effective_strength_bits signature_algorithm"
    " signature_hash key_algorithm key_parameter key_size_bits key_security_strength_bits mechanisms",
    Topic.QUANTUM: "quantum nist_quantum_category key_quantum",
    Topic.CRYPTOPERIOD: "in_use_since key_in_use_since",
    Topic.ROTATION: "has_rotation rotation_period_days last_rotated_at next_rotation_at versions",
    Topic.VALIDITY: "expires_at not_before not_after validity_days certified_until has_renewal renewal_state",
    Topic.CUSTODY: "protection protected extractable sensitive never_extractable always_sensitive needs_login origin"
    " shares_id is_hardware is_fips encrypted_by wrapped_by firmware_version is_write_protected flags",
    Topic.EXPOSURE: "is_exposed is_in_code is_in_head is_current liveness title rule",
    Topic.ACCESS: "access_flags principals administrators is_public is_cross_account mixes_duties has_mfa holder",
    Topic.STATE: "state native_state is_active revoked_at",
    Topic.USE: "functions purpose key_usage extended_key_usage last_used_at last_used_service is_ca is_trust_anchor",
    Topic.DESTRUCTION: "destruction_at",
    Topic.RESILIENCE: "places copies replicas region protects serves single_copy_keys",
}
_TOPICS: Final = {field: topic for topic, names in _FIELDS.items() for field in names.split()}


def topic_of(require: Condition | None) -> Topic:
    """The topic of a rule that does not name one: governance if only a person can answer it."""
    if require is None:
        return Topic.GOVERNANCE
    return next((_TOPICS[field] for field in fields_of(require) if field in _TOPICS), Topic.RECORDS)
