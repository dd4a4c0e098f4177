"""Multi-Region keys: replicas, and the primary that moves."""

from __future__ import annotations

from typing import Any

from simulators.kms import states
from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError, invalid, unsupported
from simulators.kms.keys import metadata
from simulators.kms.policies import check_policy, tags_of
from simulators.kms.world import Key


def _primary(call: Call) -> Key:
    key = call.look_up(call.params["KeyId"])
    call.key = key
    call.permit(key, call.action)
    if key.replica != "PRIMARY":
        raise unsupported(f"{key.arn} is not a multi-Region primary key, which this operation needs.")
    return call.find()


@operation("ReplicateKey")
def replicate_key(call: Call) -> dict[str, Any]:
    """A replica with the same id and material, which is Creating for a while; policy, tags and alias are its own."""
    primary = _primary(call)
    name = call.params["ReplicaRegion"]
    if name == primary.region.name or name in primary.region.account.disabled_regions:
        raise invalid("Member must be another Region that is enabled", at="ReplicaRegion", value=name)
    if name.startswith("cn-") != primary.region.name.startswith("cn-"):
        raise unsupported("A replica stays in the partition of its primary key")
    region = primary.region.account.region(name)
    if primary.key_id in region.keys:
        raise ServiceError("AlreadyExistsException", f"{region.keys[primary.key_id].arn} already exists")
    if "Policy" in call.params:
        check_policy(call.params["Policy"])
    replica = Key(
        primary.key_id, region, primary.spec, primary.usage, primary.origin, description=call.params.get("Description", ""),
        created_at=call.now, replica="REPLICA", policy=call.params.get("Policy"), backing=primary.backing,
        tags=tags_of(call.params.get("Tags")), state=states.CREATING,
    )  # fmt: skip
    region.add(replica)
    # Read before the transient ends: the answer of the call always says Creating.
    answer = {"ReplicaKeyMetadata": metadata(replica), "ReplicaPolicy": replica.policy_text(),
              "ReplicaTags": [{"TagKey": k, "TagValue": v} for k, v in (replica.tags or {}).items()]}  # fmt: skip
    region.at(call.now + call.aws.transient_seconds, lambda: _end(replica, replica.settled()))
    return answer


def _end(key: Key, state: str) -> None:
    if key.state in (states.CREATING, states.UPDATING):
        key.move(state)


@operation("UpdatePrimaryRegion")
def update_primary_region(call: Call) -> None:
    """The replica there becomes the primary; both are Updating for a while, and may be used meanwhile."""
    old = _primary(call)
    name = call.params["PrimaryRegion"]
    new = next((key for key in old.backing.members if key.region.name == name), None)
    if new is None:
        raise ServiceError("NotFoundException", f"{old.key_id} has no replica key in {name}")
    if new is old:
        raise unsupported(f"{old.arn} is the primary key already")
    states.check(call.operation, new.state, new.arn)
    old.replica, new.replica = "REPLICA", "PRIMARY"
    for key in (old, new):
        before, key.state = key.state, states.UPDATING
        key.region.at(call.now + call.aws.transient_seconds, lambda key=key, before=before: _end(key, before))
