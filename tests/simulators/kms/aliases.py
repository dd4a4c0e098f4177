"""Aliases: names that point to keys of their own account and region."""

from __future__ import annotations

from typing import Any

from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError, no_alias
from simulators.kms.world import Alias, Key, Region

MOST_PER_KEY = 50


def alias_arn(region: Region, name: str) -> str:
    """The ARN of an alias."""
    return f"arn:{region.partition}:kms:{region.name}:{region.account.account_id}:{name}"


def _to_change(call: Call) -> str:
    name = call.params["AliasName"]
    if not name.startswith("alias/") or name == "alias/":
        raise ServiceError("InvalidAliasNameException", "Alias must start with the prefix alias/")
    # API_CreateAlias: the prefix alias/aws/ is reserved; the service refuses as if the key did not allow it.
    if name.startswith("alias/aws/"):
        raise ServiceError("NotAuthorizedException", "The prefix alias/aws/ is reserved")
    call.aws.faults.check_denied(call, call.action, resource=alias_arn(call.region, name))
    return name


def _target(call: Call) -> Key:
    key = call.find("TargetKeyId")
    call.not_of_aws(key)
    if sum(alias.target == key.key_id for alias in call.region.aliases.values()) >= MOST_PER_KEY:
        raise ServiceError("LimitExceededException", f"A key may have at most {MOST_PER_KEY} aliases")
    return key


@operation("CreateAlias")
def create_alias(call: Call) -> None:
    """A new name, seen by others after a while."""
    name = _to_change(call)
    if name in call.region.aliases:
        arn = alias_arn(call.region, name)
        raise ServiceError("AlreadyExistsException", f"An alias with the name {arn} already exists")
    key = _target(call)
    seen = call.now + call.aws.consistency_delay
    call.region.aliases[name] = Alias(name, key.key_id, call.now, call.now, seen)


@operation("UpdateAlias")
def update_alias(call: Call) -> None:
    """To another key of the same kind and usage."""
    name = _to_change(call)
    alias = call.region.aliases.get(name)
    if alias is None:
        raise no_alias(alias_arn(call.region, name))
    key = _target(call)
    old = call.region.keys.get(alias.target or "")
    if old is not None and (old.usage, old.spec.is_pair, old.spec.is_symmetric) != (
        key.usage,
        key.spec.is_pair,
        key.spec.is_symmetric,
    ):
        message = f"Alias {alias_arn(call.region, name)} cannot be changed from key usage {old.usage} to {key.usage}"
        raise ServiceError("ValidationException", message)
    alias.target, alias.updated_at = key.key_id, call.now


@operation("DeleteAlias")
def delete_alias(call: Call) -> None:
    """The name goes, the key stays."""
    name = _to_change(call)
    if call.region.aliases.pop(name, None) is None:
        raise no_alias(alias_arn(call.region, name))


@operation("ListAliases")
def list_aliases(call: Call) -> dict[str, Any]:
    """All of the region, or those of one key."""
    region, target = call.region, None
    if "KeyId" in call.params:
        target = call.find().key_id
    names = sorted(
        name
        for name, alias in region.aliases.items()
        if alias.visible_at <= call.now and (target is None or alias.target == target)
    )
    some, more = call.page(names, 50)
    return {"Aliases": [_entry(region, region.aliases[name]) for name in some], **more}


def _entry(region: Region, alias: Alias) -> dict[str, Any]:
    entry: dict[str, Any] = {"AliasName": alias.name, "AliasArn": alias_arn(region, alias.name)}
    if alias.target is None:  # predefined by AWS, and not yet used
        return entry
    return entry | {
        "TargetKeyId": alias.target,
        "CreationDate": alias.created_at,
        "LastUpdatedDate": alias.updated_at,
    }
