"""Which events bear on keys and secrets, and which of them LookupEvents is asked for.

Refuses to: take an event for another because of what its parameters hold: the source is read again once it is parsed.

>>> is_wanted(b'{"eventSource":"kms.amazonaws.com"'), is_wanted(b'{"eventSource": "ec2.amazonaws.com"')
(True, False)
"""

from __future__ import annotations

from typing import Final

KMS: Final = "kms.amazonaws.com"
SECRETS: Final = "secretsmanager.amazonaws.com"
PARAMETERS: Final = "ssm.amazonaws.com"
TRAIL: Final = "cloudtrail.amazonaws.com"
IAM: Final = "iam.amazonaws.com"

# CloudTrail user guide: what changes how much is logged, or for how long.
LOGGING: Final = frozenset(
    {
        "StopLogging", "StartLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors", "PutInsightSelectors",
        "DeleteEventDataStore", "UpdateEventDataStore", "StopEventDataStoreIngestion", "CreateTrail",
    }
)  # fmt: skip
_CREDENTIALS: Final = frozenset(
    {"CreateAccessKey", "UpdateAccessKey", "DeleteAccessKey", "UploadSSHPublicKey", "DeleteSSHPublicKey",
     "UploadSigningCertificate", "DeleteSigningCertificate", "CreateServiceSpecificCredential"}
)  # fmt: skip
_PARAMETER_CALLS: Final = frozenset(
    {"GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory", "PutParameter", "DeleteParameter",
     "DeleteParameters"}
)  # fmt: skip
_NAMES: Final[dict[str, frozenset[str] | None]] = {
    KMS: None,
    SECRETS: None,
    TRAIL: LOGGING,
    IAM: _CREDENTIALS,
    PARAMETERS: _PARAMETER_CALLS,
}
# A word that the text of every wanted event of a source has: these services log much else.
_NEEDLES: Final = {
    source.encode(): needles
    for source, needles in {
        KMS: (b"",),
        SECRETS: (b"",),
        TRAIL: tuple(name.encode() for name in sorted(LOGGING)),
        IAM: tuple(name.encode() for name in sorted(_CREDENTIALS)),
        PARAMETERS: (b"Parameter",),
    }.items()
}
_KEY: Final = b'"eventSource"'

LOOKED_UP: Final[dict[str, tuple[str, ...]]] = {
    KMS: (
        "PutKeyPolicy", "CreateGrant", "RetireGrant", "RevokeGrant", "ScheduleKeyDeletion", "CancelKeyDeletion",
        "DisableKey", "EnableKey", "DisableKeyRotation", "EnableKeyRotation", "RotateKeyOnDemand", "ImportKeyMaterial",
        "DeleteImportedKeyMaterial", "CreateKey", "CreateAlias", "UpdateAlias", "DeleteAlias", "ReplicateKey",
    ),
    SECRETS: ("PutResourcePolicy", "DeleteSecret", "RestoreSecret", "CancelRotateSecret", "RotateSecret"),
    TRAIL: tuple(sorted(LOGGING)),
    IAM: tuple(sorted(_CREDENTIALS)),
}  # fmt: skip
"""What LookupEvents is asked for by name when no operations are given: few events, and the ones that change much.

Uses of keys (Decrypt, GenerateDataKey) are too many for its two calls a second: read the log files for those.
"""


def is_wanted(text: bytes) -> bool:
    """Whether the text of an event may be of those that `is_about_keys`; told without parsing it."""
    at = text.find(_KEY)
    while at >= 0:
        rest = text[at + len(_KEY) : at + 80].lstrip(b' :\t\n\r"')
        source = rest[: rest.find(b'"')]
        if source in _NEEDLES:
            if any(needle in text for needle in _NEEDLES[source]):
                return True
        elif b"\\" in rest:
            return True
        at = text.find(_KEY, at + 1)
    # JSON may write any character as an escape; CloudTrail does not, but what was written by others may.
    return b"\\u00" in text


def is_about_keys(source: object, name: object) -> bool:
    """Whether an event of this source and name bears on a key, a secret, or on what is logged of them."""
    if not isinstance(source, str) or not isinstance(name, str) or source not in _NAMES:
        return False
    names = _NAMES[source]
    return names is None or name in names
