"""Key states, and what each lets an operation do: the developer guide's key state table as data.

https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html (the numbers are its footnotes). The columns for
Creating and Updating are read from API_ReplicateKey and API_UpdatePrimaryRegion: such a key can be managed but not
used while Creating, and used but not changed while Updating.
"""

from __future__ import annotations

from simulators.kms.errors import ServiceError

ENABLED, DISABLED, PENDING_DELETION, PENDING_IMPORT = "Enabled", "Disabled", "PendingDeletion", "PendingImport"
PENDING_REPLICA_DELETION, UNAVAILABLE = "PendingReplicaDeletion", "Unavailable"
CREATING, UPDATING = "Creating", "Updating"
DYING = (PENDING_DELETION, PENDING_REPLICA_DELETION)

USES = frozenset(
    [
        "Decrypt",
        "Encrypt",
        "ReEncrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "Sign",
        "Verify",
        "GenerateMac",
        "VerifyMac",
        "DeriveSharedSecret",
        "Encapsulate",
        "Decapsulate",
    ]
)
READS = frozenset(
    [
        "DescribeKey",
        "GetKeyPolicy",
        "GetKeyLastUsage",
        "ListAliases",
        "ListGrants",
        "ListKeyPolicies",
        "ListKeyRotations",
        "ListResourceTags",
        "ListRetirableGrants",
        "GetKeyRotationStatus",
    ]
)
# Changes that the table allows in every state, PendingDeletion too.
ALWAYS = READS | {"DeleteAlias", "PutKeyPolicy", "RetireGrant", "RevokeGrant"}

_DISABLED = ("DisabledException", "is disabled.")
_DYING = ("KMSInvalidStateException", "is pending deletion.")
_REPLICAS = ("KMSInvalidStateException", "is pending replica deletion.")
_NOT_DYING = ("KMSInvalidStateException", "is not pending deletion.")
_IMPORT = ("KMSInvalidStateException", "is pending import.")
_UNAVAILABLE = ("KMSInvalidStateException", "is unavailable.")
_CREATING = ("KMSInvalidStateException", "is creating.")
_UPDATING = ("KMSInvalidStateException", "is updating.")

_GONE = {PENDING_DELETION: _DYING, PENDING_REPLICA_DELETION: _REPLICAS}
_MOVING = {CREATING: _CREATING, UPDATING: _UPDATING}
_USE = {DISABLED: _DISABLED, PENDING_IMPORT: _IMPORT, UNAVAILABLE: _UNAVAILABLE, CREATING: _CREATING, **_GONE}
_SWITCH = {PENDING_IMPORT: _IMPORT, **_GONE, **_MOVING}
_ROTATE = {DISABLED: _DISABLED, PENDING_IMPORT: _IMPORT, UNAVAILABLE: _UNAVAILABLE, **_GONE, **_MOVING}
_ALL = (ENABLED, DISABLED, PENDING_IMPORT, UNAVAILABLE, CREATING, UPDATING)

REFUSALS: dict[str, dict[str, tuple[str, str]]] = {
    **dict.fromkeys(USES, _USE),
    "GetPublicKey": _USE,
    "CreateGrant": {DISABLED: _DISABLED, PENDING_IMPORT: _IMPORT, CREATING: _CREATING, **_GONE},
    "CancelKeyDeletion": dict.fromkeys(_ALL, _NOT_DYING),
    "ScheduleKeyDeletion": {**_GONE, **_MOVING},
    "EnableKey": _SWITCH,
    "DisableKey": _SWITCH,
    "EnableKeyRotation": _ROTATE,
    "DisableKeyRotation": _ROTATE,
    "RotateKeyOnDemand": _ROTATE,
    "CreateAlias": _GONE,
    "UpdateAlias": _GONE,
    "TagResource": _GONE,
    "UntagResource": _GONE,
    "UpdateKeyDescription": _GONE,
    "GetParametersForImport": {**_GONE, **_MOVING},
    "ImportKeyMaterial": {**_GONE, **_MOVING},
    "DeleteImportedKeyMaterial": {**_GONE, **_MOVING},
    "ReplicateKey": {DISABLED: _DISABLED, **_GONE, **_MOVING},
    "UpdatePrimaryRegion": {DISABLED: _DISABLED, **_GONE, **_MOVING},
}


def check(operation: str, state: str, arn: str) -> None:
    """Refuse what the table refuses; anything else may go on."""
    if operation in ALWAYS:
        return
    refusal = REFUSALS[operation].get(state)
    if refusal is not None:
        raise ServiceError(refusal[0], f"{arn} {refusal[1]}")
