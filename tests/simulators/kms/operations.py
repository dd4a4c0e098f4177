"""All operations: importing this module registers them."""

from __future__ import annotations

from simulators.kms import aliases, grants, keys, policies, public_keys, rotation
from simulators.kms.calls import OPERATIONS

__all__ = ["OPERATIONS", "aliases", "grants", "keys", "policies", "public_keys", "rotation"]
