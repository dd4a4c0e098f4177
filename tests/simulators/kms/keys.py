"""Keys themselves: made, described, listed, switched on and off, destroyed."""

from __future__ import annotations

from typing import Any

from simulators.kms import states
from simulators.kms.calls import Call, operation
from simulators.kms.catalog import CRYPT, MEMBER_OF_USAGE, ONLY_NEW_MEMBER, SPECS, Spec
from simulators.kms.errors import ServiceError, denied, invalid, unsupported
from simulators.kms.policies import check_policy, tags_of
from simulators.kms.world import Key, new_key_id


def metadata(key: Key) -> dict[str, Any]:
    """The KeyMetadata of a key; members that do not apply are absent, as the API reference says of each."""
    spec = key.spec
    facts: dict[str, Any] = {
        "AWSAccountId": key.region.account.account_id, "KeyId": key.key_id, "Arn": key.arn,
        "CreationDate": key.created_at, "Enabled": key.state == states.ENABLED, "Description": key.description,
        "KeyUsage": key.usage, "KeyState": key.state, "Origin": key.origin, "KeyManager": key.manager,
        "KeySpec": spec.name, "MultiRegion": key.replica is not None,
        MEMBER_OF_USAGE[key.usage]: list(spec.algorithms[key.usage]),
    }  # fmt: skip
    if not spec.name.startswith(ONLY_NEW_MEMBER):
        facts["CustomerMasterKeySpec"] = spec.name
    if key.state == states.PENDING_DELETION:
        facts["DeletionDate"] = key.deletion_at
    if key.state == states.PENDING_REPLICA_DELETION:
        facts["PendingDeletionWindowInDays"] = key.window_days
    if spec.is_symmetric and key.origin in ("AWS_KMS", "EXTERNAL") and key.settled() == states.ENABLED:
        facts["CurrentKeyMaterialId"] = key.backing.current_id
    return facts | _of_origin(key) | (_relatives(key) if key.replica else {})


def _of_origin(key: Key) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if key.store_id:
        facts["CustomKeyStoreId"] = key.store_id
        cluster = key.region.stores[key.store_id].facts.get("CloudHsmClusterId")
        facts |= {"CloudHsmClusterId": cluster} if cluster else {}
    if key.xks_id:
        facts["XksKeyConfiguration"] = {"Id": key.xks_id}
    if key.origin == "EXTERNAL" and key.imported:
        imported = key.imported.get(key.backing.current_id)
        if imported is not None:
            facts["ExpirationModel"] = "KEY_MATERIAL_EXPIRES" if imported.valid_to else "KEY_MATERIAL_DOES_NOT_EXPIRE"
            facts |= {"ValidTo": imported.valid_to} if imported.valid_to else {}
    return facts


def _relatives(key: Key) -> dict[str, Any]:
    primary = key.primary
    replicas = [one for one in key.backing.members if one is not primary]
    place = lambda one: {"Arn": one.arn, "Region": one.region.name}  # noqa: E731
    return {
        "MultiRegionConfiguration": {
            "MultiRegionKeyType": key.replica,
            "PrimaryKey": place(primary),
            "ReplicaKeys": [place(one) for one in replicas],
        }
    }


@operation("CreateKey")
def create_key(call: Call) -> dict[str, Any]:
    """A new key; an EXTERNAL one waits for its material."""
    asked = call.params
    spec = SPECS[asked.get("KeySpec") or asked.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"]
    usage, origin = _usage(spec, asked.get("KeyUsage")), asked.get("Origin", "AWS_KMS")
    is_multi_region = bool(asked.get("MultiRegion"))
    _check_kind(call, spec, origin, is_multi_region=is_multi_region)
    if "Policy" in asked:
        check_policy(asked["Policy"])
    key = Key(
        key_id=new_key_id(is_multi_region=is_multi_region), region=call.region, spec=spec, usage=usage, origin=origin,
        description=asked.get("Description", ""), created_at=call.now, visible_at=call.now + call.aws.consistency_delay,
        replica="PRIMARY" if is_multi_region else None, store_id=asked.get("CustomKeyStoreId"),
        xks_id=asked.get("XksKeyId"), policy=asked.get("Policy"), tags=tags_of(asked.get("Tags")),
    )  # fmt: skip
    call.region.add(key)
    if origin == "EXTERNAL":
        key.backing.materials = []
        key.state = key.resumes = states.PENDING_IMPORT
    call.key = key
    return {"KeyMetadata": metadata(key)}


def _usage(spec: Spec, asked: str | None) -> str:
    # API_CreateKey: optional for symmetric encryption keys, required for all other kinds.
    usage = asked or CRYPT
    if usage not in spec.algorithms:
        message = f"KeyUsage {usage} is not compatible with KeySpec {spec.name}"
        raise ServiceError("ValidationException", message)
    return usage


def _check_kind(call: Call, spec: Spec, origin: str, *, is_multi_region: bool) -> None:
    if (spec.name == "SM2") != call.region.name.startswith("cn-") and spec.name == "SM2":
        raise unsupported(f"KeySpec {spec.name} is supported in China Regions only")
    if spec.name.startswith("ML_KEM") and call.region.name.startswith("cn-"):
        raise unsupported(f"KeySpec {spec.name} is not supported in China Regions")
    store = call.params.get("CustomKeyStoreId")
    if origin in ("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"):
        if not spec.is_symmetric or is_multi_region:
            raise unsupported("A custom key store holds symmetric encryption keys of one Region only")
        if store is None:
            raise invalid("Member must not be null", at="CustomKeyStoreId", value=None)
        _check_store(call, store, origin)
    elif store is not None:
        raise ServiceError("ValidationException", f"Origin {origin} does not go with a custom key store")


def _check_store(call: Call, store_id: str, origin: str) -> None:
    store = call.region.stores.get(store_id)
    if store is None:
        raise ServiceError("CustomKeyStoreNotFoundException", f"Custom key store {store_id} is not found.")
    if store.state != "CONNECTED":
        raise ServiceError("CustomKeyStoreInvalidStateException", f"Custom key store {store_id} is not connected.")
    if store.facts["CustomKeyStoreType"] != origin:
        raise unsupported(f"Custom key store {store_id} is not of type {origin}")
    xks = call.params.get("XksKeyId")
    if origin == "EXTERNAL_KEY_STORE":
        if xks is None:
            raise invalid("Member must not be null", at="XksKeyId", value=None)
        if any(key.xks_id == xks and key.store_id == store_id for key in call.region.keys.values()):
            raise ServiceError("XksKeyAlreadyInUseException", f"{xks} is already associated with a KMS key")


@operation("DescribeKey")
def describe_key(call: Call) -> dict[str, Any]:
    """Everything about a key but policy, tags, grants, aliases, rotation."""
    return {"KeyMetadata": metadata(call.find())}


@operation("ListKeys")
def list_keys(call: Call) -> dict[str, Any]:
    """The keys of the account and region; those shared through RAM only when asked for."""
    region = call.region
    owners = call.params.get("ResourceOwners", ["SELF"])
    arns = {}
    names: list[str] = region.order if "SELF" in owners else []
    if "OTHER_ACCOUNTS_VIA_RAM" in owners:
        arns = {key.key_id: key.arn for key in region.shared}
        names = sorted([*names, *arns])
    if region.unsettled_until > call.now:
        names = [name for name in names if name in arns or region.keys[name].visible_at <= call.now]
    some, more = call.page(names, 100)
    front = f"arn:{region.partition}:kms:{region.name}:{region.account.account_id}:key/"
    return {"Keys": [{"KeyId": name, "KeyArn": arns.get(name, front + name)} for name in some], **more}


@operation("EnableKey")
def enable_key(call: Call) -> None:
    """On; a key of a disconnected store stays Unavailable until it is connected."""
    key = call.find()
    call.not_of_aws(key)
    key.move(states.ENABLED)


@operation("DisableKey")
def disable_key(call: Call) -> None:
    """Off, and back at any time."""
    key = call.find()
    call.not_of_aws(key)
    key.move(states.DISABLED)


@operation("ScheduleKeyDeletion")
def schedule_key_deletion(call: Call) -> dict[str, Any]:
    """Start the waiting period; a primary with replicas waits for the last of them first."""
    key = call.find()
    call.not_of_aws(key)
    key.window_days = call.params.get("PendingWindowInDays", 30)
    facts = {"KeyId": key.arn, "PendingWindowInDays": key.window_days}
    if key.replica == "PRIMARY" and len(key.backing.members) > 1:
        key.state = states.PENDING_REPLICA_DELETION
        return facts | {"KeyState": key.state}
    key.region.die(key, now=call.now)
    return facts | {"KeyState": key.state, "DeletionDate": key.deletion_at}


@operation("CancelKeyDeletion")
def cancel_key_deletion(call: Call) -> dict[str, Any]:
    """Undo it; the key comes back disabled, whatever it was before."""
    key = call.find()
    key.deletion_at = key.window_days = None
    key.move(states.DISABLED if key.settled() == states.ENABLED else states.PENDING_IMPORT)
    return {"KeyId": key.arn}


@operation("UpdateKeyDescription")
def update_key_description(call: Call) -> None:
    """Another description."""
    key = call.find()
    call.not_of_aws(key)
    key.description = call.params["Description"]


@operation("GetKeyLastUsage")
def get_key_last_usage(call: Call) -> dict[str, Any]:
    """The last successful use since tracking began; an empty structure where there was none."""
    key = call.find()
    if key.region.account is not call.account:
        raise denied(call.principal, call.action, key.arn, "")
    facts: dict[str, Any] = {}
    if key.last_use is not None:
        facts = dict(zip(("Operation", "Timestamp", "CloudTrailEventId", "KmsRequestId"), key.last_use, strict=True))
    since = max(key.created_at, call.aws.tracking_since)
    return {"KeyId": key.key_id, "KeyLastUsage": facts, "TrackingStartDate": since, "KeyCreationDate": key.created_at}
