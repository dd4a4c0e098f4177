"""Requests a second that an account has in a region, by operation: the documented defaults.

https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html. The page's older source
(awsdocs/aws-kms-developer-guide, 2021) names each row; today's higher numbers for reads were seen in the page without
their labels and matched by order, so they are probable. Operations that no copy lists have 100, which is a guess.
"""

from __future__ import annotations

from simulators.kms.states import USES

PER_SECOND: dict[str, float] = {
    "CancelKeyDeletion": 5, "ConnectCustomKeyStore": 5, "CreateAlias": 5, "CreateCustomKeyStore": 5, "CreateGrant": 50,
    "CreateKey": 5, "DeleteAlias": 15, "DeleteCustomKeyStore": 5, "DeleteImportedKeyMaterial": 15,
    "DescribeCustomKeyStores": 5, "DescribeKey": 2000, "DisableKey": 5, "DisableKeyRotation": 5,
    "DisconnectCustomKeyStore": 5, "EnableKey": 5, "EnableKeyRotation": 15, "GetKeyLastUsage": 100, "GetKeyPolicy": 1000,
    "GetKeyRotationStatus": 1000, "GetParametersForImport": 0.25, "GetPublicKey": 2000, "ImportKeyMaterial": 15,
    "ListAliases": 500, "ListGrants": 100, "ListKeyPolicies": 100, "ListKeyRotations": 100, "ListKeys": 500,
    "ListResourceTags": 2000, "ListRetirableGrants": 100, "PutKeyPolicy": 15, "ReplicateKey": 5, "RetireGrant": 30,
    "RevokeGrant": 30, "RotateKeyOnDemand": 5, "ScheduleKeyDeletion": 15, "TagResource": 10, "UntagResource": 5,
    "UpdateAlias": 5, "UpdateCustomKeyStore": 5, "UpdateKeyDescription": 5, "UpdatePrimaryRegion": 5,
    "cryptographic operations": 10_000, "LookupEvents": 2, "GetResources": 15,
}  # fmt: skip
SHARED: dict[str, str] = dict.fromkeys([*USES, "GenerateRandom"], "cryptographic operations")
