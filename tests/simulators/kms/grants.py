"""Grants: permission for one principal to use one key, given and taken without touching its policy."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from simulators.kms.calls import NO_ALLOWANCE, Call, operation
from simulators.kms.catalog import AGREE, CAPSULE, CRYPT, MAC, SIGN
from simulators.kms.errors import ServiceError, denied
from simulators.kms.world import Grant, Key, hex_id

_PAIRS = {"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"}
_SYMMETRIC = {"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} | _PAIRS
_USAGE_OF = {
    "Encrypt": CRYPT, "Decrypt": CRYPT, "ReEncryptFrom": CRYPT, "ReEncryptTo": CRYPT, "Sign": SIGN, "Verify": SIGN,
    "GenerateMac": MAC, "VerifyMac": MAC, "DeriveSharedSecret": AGREE, "Encapsulate": CAPSULE, "Decapsulate": CAPSULE,
}  # fmt: skip
_FACTS = ("Name", "GranteePrincipal", "RetiringPrincipal", "GranteeServicePrincipal", "RetiringServicePrincipal",
          "Constraints")  # fmt: skip


@operation("CreateGrant")
def create_grant(call: Call) -> dict[str, Any]:
    """Give; the same grant with the same name given twice is one."""
    key = call.find()
    call.not_of_aws(key)
    if not call.params.get("GranteePrincipal") and not call.params.get("GranteeServicePrincipal"):
        raise ServiceError("ValidationException", "A grant needs a grantee principal.")
    _check_service_grantee(call.params)
    _check_operations(key, call.params["Operations"], call.params.get("Constraints"))
    call.check_dry_run()
    facts = {name: call.params[name] for name in _FACTS if name in call.params}
    facts |= {"Operations": call.params["Operations"], "KeyId": key.arn}
    facts["IssuingAccount"] = f"arn:{call.region.partition}:iam::{call.account.account_id}:root"
    same = next((one for one in (key.grants or {}).values() if "Name" in facts and one.facts == facts), None)
    if same is None:
        same = add_grant(key, facts, now=call.now, delay=call.aws.consistency_delay)
    return {"GrantId": same.grant_id, "GrantToken": same.token}


def _check_service_grantee(asked: dict[str, Any]) -> None:
    """A grant to a service says for which resource, and who may retire it."""
    if "GranteeServicePrincipal" not in asked:
        return
    retires = "RetiringPrincipal" in asked or "RetiringServicePrincipal" in asked
    if not retires or "SourceArn" not in asked.get("Constraints", {}):
        raise ServiceError("ValidationException", "A grant to a service needs SourceArn and a retiring principal.")


def add_grant(key: Key, facts: dict[str, object], *, now: float, delay: float = 0.0) -> Grant:
    """Put a grant on a key."""
    grant = Grant(hex_id(key.arn, secrets.token_hex(8)), secrets.token_urlsafe(48), now, now + delay, facts)
    if key.grants is None:
        key.grants = {}
    key.grants[grant.grant_id] = grant
    return grant


def _check_operations(key: Key, operations: list[str], constraints: dict[str, object] | None) -> None:
    """API_CreateGrant: only operations the key supports, context constraints only on symmetric keys."""
    wrong = [
        name
        for name in operations
        if _USAGE_OF.get(name, key.usage) != key.usage
        or (name in _SYMMETRIC and not key.spec.is_symmetric)
        or (name == "GetPublicKey" and not key.spec.is_pair)
    ]
    if wrong or (constraints and not key.spec.is_symmetric and set(constraints) - {"SourceArn"}):
        message = (
            f"Grant operations {wrong} are not supported by {key.arn}" if wrong else "Constraints are not supported"
        )
        raise ServiceError("ValidationException", message)


def _entry(grant: Grant) -> dict[str, Any]:
    return {"GrantId": grant.grant_id, "CreationDate": grant.created_at, **grant.facts}


def _page(call: Call, grants: dict[str, Grant]) -> dict[str, Any]:
    seen = sorted(name for name, grant in grants.items() if grant.visible_at <= call.now)
    some, more = call.page(seen, 50)
    return {"Grants": [_entry(grants[name]) for name in some], **more}


@operation("ListGrants")
def list_grants(call: Call) -> dict[str, Any]:
    """Those of a key, perhaps of one grantee."""
    key = call.find()
    asked = call.params
    grants = key.grants or {}
    if "GrantId" in asked and asked["GrantId"] not in grants:
        raise ServiceError("InvalidGrantIdException", f"Grant id {asked['GrantId']} is invalid")
    for name in ("GranteePrincipal", "GranteeServicePrincipal"):
        if name in asked:
            grants = {one: grant for one, grant in grants.items() if grant.facts.get(name) == asked[name]}
    if "GrantId" in asked:
        grants = {one: grant for one, grant in grants.items() if one == asked["GrantId"]}
    return _page(call, grants)


@operation("ListRetirableGrants")
def list_retirable_grants(call: Call) -> dict[str, Any]:
    """Those that a principal may retire, of all keys of the account and region."""
    asked = call.params
    names = [name for name in ("RetiringPrincipal", "RetiringServicePrincipal") if name in asked]
    if len(names) != 1:
        raise ServiceError("ValidationException", "Name one retiring principal.")
    grants = {grant.grant_id: grant for _, grant in _all(call) if grant.facts.get(names[0]) == asked[names[0]]}
    return _page(call, grants)


def _all(call: Call) -> Iterator[tuple[Key, Grant]]:
    for key in call.region.keys.values():
        for grant in (key.grants or {}).values():
            yield key, grant


@operation("RevokeGrant")
def revoke_grant(call: Call) -> None:
    """Take it back; with DryRun nothing changes."""
    key = call.find()
    call.not_of_aws(key)
    _remove(call, key, call.params["GrantId"])


@operation("RetireGrant")
def retire_grant(call: Call) -> None:
    """Give it up, by its token, or by key and id."""
    asked = call.params
    if "GrantToken" in asked:
        found = next(((key, one) for key, one in _all(call) if one.token == asked["GrantToken"]), None)
        if found is None:
            raise ServiceError("InvalidGrantTokenException", "The grant token is not valid.")
        key, grant = found
        call.key = key
        call.permit(key, call.action)
    elif "KeyId" in asked and "GrantId" in asked:
        if not asked["KeyId"].startswith("arn:"):
            raise ServiceError("InvalidArnException", "RetireGrant needs the key's ARN.")
        key = call.find()
        grant = _given(key, asked["GrantId"])
    else:
        raise ServiceError("ValidationException", "Name a grant token, or a key and a grant id.")
    _check_retires(call, key, grant)
    _remove(call, key, grant.grant_id)


def _check_retires(call: Call, key: Key, grant: Grant) -> None:
    """Only its account, its retiring principal, or a grantee who was given RetireGrant."""
    if call.account is key.region.account:
        return
    facts = grant.facts
    grantee = facts.get("GranteePrincipal") if "RetireGrant" in facts["Operations"] else None
    if call.principal not in (facts.get("RetiringPrincipal"), grantee):
        raise denied(call.principal, call.action, key.arn, NO_ALLOWANCE.format(call.action))


def _given(key: Key, grant_id: str) -> Grant:
    grant = (key.grants or {}).get(grant_id)
    if grant is None:
        raise ServiceError("NotFoundException", f"Grant {grant_id} not found")
    return grant


def _remove(call: Call, key: Key, grant_id: str) -> None:
    _given(key, grant_id)
    call.check_dry_run()
    del key.grants[grant_id]
