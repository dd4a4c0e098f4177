"""All operations: importing this module registers them."""

from __future__ import annotations

from simulators.kms import (
    aliases,
    grants,
    importing,
    keys,
    policies,
    public_keys,
    replication,
    rotation,
    signing,
    stores,
    using,
)
from simulators.kms.calls import OPERATIONS

__all__ = [
    "OPERATIONS", "aliases", "grants", "importing", "keys", "policies", "public_keys", "replication", "rotation",
    "signing", "stores", "using",
]  # fmt: skip
