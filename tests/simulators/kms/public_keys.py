"""GetPublicKey: the public half of a real key pair."""

from __future__ import annotations

from typing import Any

from simulators.kms import material
from simulators.kms.calls import Call, operation
from simulators.kms.catalog import MEMBER_OF_USAGE, ONLY_NEW_MEMBER
from simulators.kms.errors import unsupported
from simulators.kms.world import Key


def pair_of(key: Key) -> Any:
    """The key pair; RSA takes its time, so none is made before it is needed."""
    if key.backing.pair is None:
        key.backing.pair = material.generate(key.spec.name)
    return key.backing.pair


@operation("GetPublicKey")
def get_public_key(call: Call) -> dict[str, Any]:
    """Only of asymmetric keys, and only while they may be used."""
    key = call.look_up(call.params["KeyId"])
    call.key = key
    call.permit(key, call.action)
    if not key.spec.is_pair:
        raise unsupported(f"{key.arn} key spec is {key.spec.name} which is not valid for this operation.")
    call.find()
    facts = {
        "KeyId": key.arn, "PublicKey": material.spki(pair_of(key)), "KeySpec": key.spec.name, "KeyUsage": key.usage,
        MEMBER_OF_USAGE[key.usage]: list(key.spec.algorithms[key.usage]),
    }  # fmt: skip
    if not key.spec.name.startswith(ONLY_NEW_MEMBER):
        facts["CustomerMasterKeySpec"] = key.spec.name
    return facts
