"""Rotation: automatic and on demand, its status and its history."""

from __future__ import annotations

from typing import Any

from simulators.kms import states
from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError, unsupported
from simulators.kms.world import DAY, Key, Material, hex_id

DEFAULT_PERIOD = 365
MOST_ON_DEMAND = 25


def _check_rotates(key: Key, *, by_itself: bool) -> None:
    """Only symmetric encryption keys of KMS rotate; imported ones on demand, never by themselves."""
    if not key.spec.is_symmetric:
        raise unsupported(f"{key.arn} key spec is {key.spec.name} which is not valid for this operation.")
    if key.origin not in (("AWS_KMS",) if by_itself else ("AWS_KMS", "EXTERNAL")):
        raise unsupported(f"{key.arn} origin is {key.origin} which is not valid for this operation.")


def _to_change(call: Call, *, by_itself: bool) -> Key:
    key = call.look_up(call.params["KeyId"])
    call.key = key
    call.permit(key, call.action)
    # The kind of key first: the state table says Unsupported ([6], [7]) where both refusals would fit.
    _check_rotates(key, by_itself=by_itself)
    call.find()
    call.not_of_aws(key)
    if key.replica == "REPLICA":
        raise unsupported(f"{key.arn} is a multi-Region replica key; rotation is set on its primary key.")
    return key


def next_automatic(key: Key, when: float) -> None:
    """Plan the automatic rotation of that time; a key that is disabled or dying then is not rotated (yet)."""
    backing = key.backing
    backing.next_rotation_at = when

    def rotate() -> None:
        if backing.next_rotation_at != when or backing.period_days is None:
            return
        if key.state == states.ENABLED:
            generation(key, "AUTOMATIC", when)
        next_automatic(key, when + backing.period_days * DAY)

    key.region.at(when, rotate)


def generation(key: Key, kind: str, when: float) -> None:
    """New material; what was current goes on to decrypt."""
    materials = key.backing.generations()
    waiting = next((one for one in materials if one.state == "PENDING_ROTATION"), None)
    for one in materials:
        if one.state == "CURRENT":
            one.state = "NON_CURRENT"
    if waiting is None:
        waiting = Material(hex_id(key.key_id, len(materials)))
        materials.append(waiting)
    waiting.state, waiting.rotated_at, waiting.rotation_type = "CURRENT", when, kind


@operation("EnableKeyRotation")
def enable_key_rotation(call: Call) -> None:
    """From now on, every so many days; a new period counts from now."""
    key = _to_change(call, by_itself=True)
    key.backing.period_days = call.params.get("RotationPeriodInDays", DEFAULT_PERIOD)
    next_automatic(key, call.now + key.backing.period_days * DAY)


@operation("DisableKeyRotation")
def disable_key_rotation(call: Call) -> None:
    """No longer by itself."""
    key = _to_change(call, by_itself=True)
    key.backing.period_days = key.backing.next_rotation_at = None


@operation("GetKeyRotationStatus")
def get_key_rotation_status(call: Call) -> dict[str, Any]:
    """Whether, how often and when next; false while a deletion is pending, and true again after it is cancelled."""
    key = call.find()
    _check_rotates(key, by_itself=False)
    backing = key.backing
    if key.manager == "AWS":
        # Always on, every year; the page gives AWS managed keys no period of their own to set.
        return {"KeyId": key.arn, "KeyRotationEnabled": True, "RotationPeriodInDays": DEFAULT_PERIOD,
                "NextRotationDate": _anniversary(key, call.now)}  # fmt: skip
    facts: dict[str, Any] = {"KeyId": key.arn, "KeyRotationEnabled": False}
    if backing.period_days is not None and key.state not in states.DYING:
        facts["KeyRotationEnabled"] = True
        facts["RotationPeriodInDays"] = backing.period_days
        facts["NextRotationDate"] = backing.next_rotation_at
    if backing.on_demand_at is not None:
        facts["OnDemandRotationStartDate"] = backing.on_demand_at
    return facts


def _anniversary(key: Key, now: float) -> float:
    year = DEFAULT_PERIOD * DAY
    return key.created_at + (int(max(0.0, now - key.created_at) // year) + 1) * year


@operation("RotateKeyOnDemand")
def rotate_key_on_demand(call: Call) -> dict[str, Any]:
    """Now, in the background; at most 25 times in a key's life."""
    key = _to_change(call, by_itself=False)
    backing = key.backing
    if backing.on_demand_at is not None:
        raise ServiceError("ConflictException", f"An on-demand rotation of {key.arn} is in progress.")
    if backing.on_demand >= MOST_ON_DEMAND:
        raise ServiceError("LimitExceededException", f"{key.arn} was rotated on demand {MOST_ON_DEMAND} times.")
    if key.origin == "EXTERNAL" and not any(one.state == "PENDING_ROTATION" for one in backing.generations()):
        message = f"{key.arn} has no key material pending rotation."
        raise ServiceError("KMSInvalidStateException", message)
    backing.on_demand += 1
    backing.on_demand_at = call.now
    done = call.now + call.aws.rotation_seconds

    def finish() -> None:
        backing.on_demand_at = None
        generation(key, "ON_DEMAND", done)

    key.region.at(done, finish)
    return {"KeyId": key.arn}


@operation("ListKeyRotations")
def list_key_rotations(call: Call) -> dict[str, Any]:
    """Completed rotations; with ALL_KEY_MATERIAL the first material and those that wait, too."""
    key = call.find()
    _check_rotates(key, by_itself=False)
    everything = call.params.get("IncludeKeyMaterial") == "ALL_KEY_MATERIAL"
    shown = {}
    for number, one in enumerate(key.backing.generations()):
        if everything or one.rotated_at is not None:
            shown[f"{number:06d}"] = one
    some, more = call.page(sorted(shown), 100)
    return {"Rotations": [_entry(key, shown[name]) for name in some], **more}


def _entry(key: Key, one: Material) -> dict[str, Any]:
    entry: dict[str, Any] = {"KeyId": key.arn, "KeyMaterialId": one.material_id, "KeyMaterialState": one.state}
    if one.rotated_at is not None:
        entry |= {"RotationDate": one.rotated_at, "RotationType": one.rotation_type}
    if key.origin == "EXTERNAL":
        imported = (key.imported or {}).get(one.material_id)
        entry["ImportState"] = "IMPORTED" if imported else "PENDING_IMPORT"
        if imported is not None:
            entry["ExpirationModel"] = "KEY_MATERIAL_EXPIRES" if imported.valid_to else "KEY_MATERIAL_DOES_NOT_EXPIRE"
            entry |= {"ValidTo": imported.valid_to} if imported.valid_to else {}
            entry |= {"KeyMaterialDescription": imported.description} if imported.description else {}
    return entry
