"""Grants of a KMS key: who got what, by ListGrants.

Source: KMS developer guide, "Grants in AWS KMS" and "Creating grants" (constraints: the encryption context equals, or
holds, the pairs; the operations without an encryption context do not look at them).

>>> grant = Grant.read({"GrantId": "g", "GranteePrincipal": "rds.amazonaws.com", "Operations": ["Decrypt"]})
>>> grant.allows("kms:Decrypt", {}), grant.allows("kms:Encrypt", {})
(True, False)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from collectors._aws.policy.conditions import Context, Known, all_of

_WITHOUT_CONTEXT: Final = frozenset({"describekey", "retiregrant", "getpublickey", "creategrant"})
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One grant. `equals` and `holds` are the constraints on the encryption context; others are in `more`, by name."""

    grant_id: str
    grantee: str
    operations: tuple[str, ...]
    retiring: str | None = None
    issuing_account: str | None = None
    created_at: datetime | None = None
    equals: Pairs | None = None
    holds: Pairs | None = None
    more: tuple[str, ...] = ()

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Grant:
        """A grant of ListGrants' answer, as boto3 gives it."""
        constraints = told.get("Constraints") or {}
        equals, subset = constraints.get("EncryptionContextEquals"), constraints.get("EncryptionContextSubset")
        known = {"EncryptionContextEquals", "EncryptionContextSubset"}
        return cls(
            grant_id=told["GrantId"],
            grantee=told.get("GranteePrincipal") or told.get("GranteeServicePrincipal") or "",
            operations=tuple(told.get("Operations", ())),
            retiring=told.get("RetiringPrincipal") or told.get("RetiringServicePrincipal"),
            issuing_account=told.get("IssuingAccount"),
            created_at=told.get("CreationDate"),
            equals=None if equals is None else tuple(sorted(equals.items())),
            holds=None if subset is None else tuple(sorted(subset.items())),
            more=tuple(sorted(constraints.keys() - known)),
        )

    @property
    def conditions(self) -> tuple[str, ...]:
        """The constraints as short texts."""
        told = [f"EncryptionContextEquals {key}={value}" for key, value in self.equals or ()]
        told += [f"EncryptionContextSubset {key}={value}" for key, value in self.holds or ()]
        return (*told, *self.more)

    def allows(self, action: str, context: Context) -> Known:
        """Whether the grant allows an action; not to whom."""
        if action.lower() not in {f"kms:{name}".lower() for name in self.operations}:
            return False
        if action.lower().removeprefix("kms:") in _WITHOUT_CONTEXT:
            return True
        return all_of((self._pairs(context), self._keys(context), None if self.more else True))

    def _pairs(self, context: Context) -> Known:
        answers: list[Known] = []
        for key, value in (*(self.equals or ()), *(self.holds or ())):
            given = context.get(f"kms:encryptioncontext:{key}".lower())
            answers.append(None if given is None else given == (value,))
        return all_of(answers)

    def _keys(self, context: Context) -> Known:
        if self.equals is None:
            return True
        given = context.get("kms:encryptioncontextkeys")
        return None if given is None else sorted(given) == [key for key, _ in self.equals]
