"""Key policies and tags."""

from __future__ import annotations

import json
from typing import Any

from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError

MOST_BYTES = 32 * 1024
MOST_TAGS = 50


def tags_of(pairs: list[dict[str, str]] | None) -> dict[str, str] | None:
    """Tags as a table, checked."""
    if not pairs:
        return None
    names = [pair["TagKey"] for pair in pairs]
    if len(set(names)) != len(names):
        raise ServiceError("TagException", "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in names):
        raise ServiceError("TagException", "Tag keys that begin with aws: are reserved")
    if len(names) > MOST_TAGS:
        raise ServiceError("LimitExceededException", f"A key may have at most {MOST_TAGS} tags")
    return {pair["TagKey"]: pair["TagValue"] for pair in pairs}


def check_policy(text: str) -> None:
    """A policy must be JSON with statements, and no longer than 32 KiB."""
    if len(text.encode()) > MOST_BYTES:
        raise ServiceError("LimitExceededException", "The key policy is too long")
    try:
        statements = json.loads(text)["Statement"]
        statements = statements if isinstance(statements, list) else [statements]
        whole = all(one["Effect"] in ("Allow", "Deny") for one in statements)
    except (ValueError, KeyError, TypeError) as error:
        raise ServiceError("MalformedPolicyDocumentException", "The key policy is not valid") from error
    if not whole:
        raise ServiceError("MalformedPolicyDocumentException", "The key policy is not valid")


@operation("GetKeyPolicy")
def get_key_policy(call: Call) -> dict[str, Any]:
    """The policy as it was put; AWS_RAM is the one that a key shared through RAM has beside it."""
    key = call.find()
    name = call.params.get("PolicyName", "default")
    text = {"default": key.policy_text(), "AWS_RAM": key.ram_policy}.get(name)
    if text is None:
        raise ServiceError("NotFoundException", "No such policy exists")
    return {"Policy": text, "PolicyName": name}


@operation("PutKeyPolicy")
def put_key_policy(call: Call) -> None:
    """Another one; one that locks its caller out needs the bypass."""
    key = call.find()
    call.not_of_aws(key)
    if call.params.get("PolicyName", "default") != "default":
        raise ServiceError("NotFoundException", "No such policy exists")
    text = call.params["Policy"]
    check_policy(text)
    if not call.params.get("BypassPolicyLockoutSafetyCheck") and call.account.account_id not in text:
        message = "The new key policy will not allow you to update the key policy in the future."
        raise ServiceError("MalformedPolicyDocumentException", message)
    key.policy = text


@operation("ListKeyPolicies")
def list_key_policies(call: Call) -> dict[str, Any]:
    """There is one, called default; a key shared through RAM has another."""
    key = call.find()
    some, more = call.page(["AWS_RAM", "default"] if key.ram_policy else ["default"], 100)
    return {"PolicyNames": list(some), **more}


@operation("TagResource")
def tag_resource(call: Call) -> None:
    """Add tags, or give tags other values."""
    key = call.find()
    call.not_of_aws(key)
    tags = (key.tags or {}) | (tags_of(call.params["Tags"]) or {})
    if len(tags) > MOST_TAGS:
        raise ServiceError("LimitExceededException", f"A key may have at most {MOST_TAGS} tags")
    key.tags = tags


@operation("UntagResource")
def untag_resource(call: Call) -> None:
    """Take tags away; those it has not are no error."""
    key = call.find()
    call.not_of_aws(key)
    key.tags = {name: value for name, value in (key.tags or {}).items() if name not in call.params["TagKeys"]}


@operation("ListResourceTags")
def list_resource_tags(call: Call) -> dict[str, Any]:
    """The tags of a key."""
    tags = call.find().tags or {}
    some, more = call.page(sorted(tags), 50)
    return {"Tags": [{"TagKey": name, "TagValue": tags[name]} for name in some], **more}
