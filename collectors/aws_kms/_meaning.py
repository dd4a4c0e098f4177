"""What KMS's words mean: key spec, usage, state and origin, in the words of the standards, each with its reason.

A word that is not in these tables is kept as it is and called unclassified; nothing is guessed and nothing is dropped.

Source: KMS API reference, KeyMetadata; KMS developer guide, "Key spec reference" and "Key states of AWS KMS keys";
SP 800-57 part 1 r5, 5.1.1 and 7.

>>> shape("ECC_NIST_P256", "aws")
Shape(key_type=<KeyType.PRIVATE_KEY: 'private-key'>, algorithm='EC', parameter='secp256r1', size_bits=256)
>>> shape("RSA_8192_NEXT", "aws").algorithm is None
True
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from toolkit.terms import KeyFunction, KeyPurpose, KeyState, KeyType, Origin, Protection


class Shape(NamedTuple):
    """What a key spec says."""

    key_type: KeyType
    algorithm: str | None = None
    parameter: str | None = None
    size_bits: int | None = None


_PAIR, _SECRET = KeyType.PRIVATE_KEY, KeyType.SECRET_KEY
_SHAPES: Final[dict[str, Shape]] = {
    "SYMMETRIC_DEFAULT": Shape(_SECRET, "AES", None, 256),
    **{f"RSA_{bits}": Shape(_PAIR, "RSA", None, bits) for bits in (2048, 3072, 4096)},
    **{f"HMAC_{bits}": Shape(_SECRET, "HMAC", f"SHA-{bits}", bits) for bits in (224, 256, 384, 512)},
    "ECC_NIST_P256": Shape(_PAIR, "EC", "secp256r1", 256),
    "ECC_NIST_P384": Shape(_PAIR, "EC", "secp384r1", 384),
    "ECC_NIST_P521": Shape(_PAIR, "EC", "secp521r1", 521),
    "ECC_SECG_P256K1": Shape(_PAIR, "EC", "secp256k1", 256),
    "ECC_NIST_EDWARDS25519": Shape(_PAIR, "Ed25519", None, 256),
    "SM2": Shape(_PAIR, "SM2", "sm2p256v1", 256),
    **{f"ML_DSA_{level}": Shape(_PAIR, "ML-DSA", f"ML-DSA-{level}") for level in (44, 65, 87)},
    **{f"ML_KEM_{level}": Shape(_PAIR, "ML-KEM", f"ML-KEM-{level}") for level in (512, 768, 1024)},
}


@cache
def shape(spec: str | None, partition: str) -> Shape:
    """Kind, algorithm and size of a key spec."""
    if spec == "SYMMETRIC_DEFAULT" and partition == "aws-cn":
        # In China Regions it is a 128-bit SM4 key.
        return Shape(_SECRET, "SM4", None, 128)
    return _SHAPES.get(spec or "", Shape(KeyType.UNKNOWN))


# A data key is what a symmetric key mostly encrypts (GenerateDataKey); of data itself it takes 4,096 bytes at most.
_SYMMETRIC: Final = (KeyFunction.ENCRYPT, KeyFunction.DECRYPT, KeyFunction.WRAP, KeyFunction.UNWRAP)
_USES: Final[dict[tuple[str, KeyType], tuple[tuple[KeyFunction, ...], KeyPurpose]]] = {
    ("ENCRYPT_DECRYPT", _SECRET): (_SYMMETRIC, KeyPurpose.KEY_WRAPPING),
    ("ENCRYPT_DECRYPT", _PAIR): ((KeyFunction.DECRYPT,), KeyPurpose.PRIVATE_TRANSPORT),
    ("SIGN_VERIFY", _PAIR): ((KeyFunction.SIGN,), KeyPurpose.PRIVATE_SIGNATURE),
    ("GENERATE_VERIFY_MAC", _SECRET): ((KeyFunction.SIGN, KeyFunction.VERIFY), KeyPurpose.AUTHENTICATION),
    ("KEY_AGREEMENT", _PAIR): ((KeyFunction.DERIVE,), KeyPurpose.PRIVATE_AGREEMENT),
    ("ENCAPSULATE_DECAPSULATE", _PAIR): ((KeyFunction.UNWRAP,), KeyPurpose.PRIVATE_TRANSPORT),
}
Use = tuple[tuple[KeyFunction, ...] | None, KeyPurpose | None, str]


@cache
def use(usage: str | None, key_type: KeyType) -> Use:
    """What a key may do and what it is for, and why."""
    functions, told = _USES.get((usage or "", key_type), (None, None))
    if functions is None:
        return None, None, f"purpose: unclassified, KeyUsage is {usage}"
    return functions, told, f"purpose: KeyUsage is {usage}"


_STATES: Final[dict[str, tuple[KeyState, str]]] = {
    "Creating": (KeyState.PRE_ACTIVATION, "it is being made"),
    "Enabled": (KeyState.ACTIVE, "it is enabled"),
    "Updating": (KeyState.ACTIVE, "its primary Region is being changed; it can be used meanwhile"),
    "Disabled": (KeyState.SUSPENDED, "it is disabled, and can be enabled again"),
    "Unavailable": (KeyState.SUSPENDED, "its custom key store is not connected"),
    "PendingImport": (
        KeyState.PRE_ACTIVATION, "it has no material: none was imported yet, or it has expired or was deleted",
    ),
    "PendingDeletion": (KeyState.DEACTIVATED, "it waits for its destruction; nothing can be done with it"),
    "PendingReplicaDeletion": (
        KeyState.DEACTIVATED, "its replicas must be destroyed first, then it will be; nothing can be done with it",
    ),
}  # fmt: skip


@cache
def state(native: str | None) -> tuple[KeyState | None, str]:
    """The state of SP 800-57, and why."""
    found = _STATES.get(native or "")
    if found is None:
        return None, f"state: unclassified, KMS says {native}"
    return found[0], f"state: {found[1]}"


class Custody(NamedTuple):
    """Who made the material and what keeps it."""

    origin: Origin | None
    protection: Protection | None
    extractable: bool | None
    was_outside: bool | None
    why: str


# "The HSMs that KMS uses are FIPS 140-3 level 3 validated, except in the China Regions" (K: from knowledge).
_HSM: Final = "protection: an HSM of AWS KMS"
_CUSTODIES: Final[dict[str, Custody]] = {
    "AWS_KMS": Custody(Origin.GENERATED, Protection.HARDWARE, False, False, _HSM),
    "EXTERNAL": Custody(
        Origin.IMPORTED, Protection.HARDWARE, False, True, f"{_HSM}; who imported the material may hold it, too"
    ),
    "AWS_CLOUDHSM": Custody(
        Origin.GENERATED, Protection.HARDWARE, False, False, "protection: the CloudHSM cluster of its custom key store"
    ),
    "EXTERNAL_KEY_STORE": Custody(
        None, None, None, None, "protection: an external key manager keeps it, of which AWS knows nothing"
    ),
}


@cache
def custody(native: str | None, partition: str) -> Custody:
    """What its origin says of its keeping."""
    found = _CUSTODIES.get(native or "")
    if found is None:
        return Custody(None, None, None, None, f"protection: unclassified, Origin is {native}")
    validated = "FIPS 140-3 level 3" if partition != "aws-cn" else "certified by OSCCA"
    return found._replace(why=found.why.replace(_HSM, f"{_HSM} ({validated})"))


def rotates_by_itself(metadata: dict[str, object]) -> bool:
    """Whether automatic rotation can apply: to symmetric encryption keys whose material KMS made."""
    return metadata.get("KeySpec") == "SYMMETRIC_DEFAULT" and metadata.get("Origin") == "AWS_KMS"


def has_history(metadata: dict[str, object]) -> bool:
    """Whether rotations can be listed: imported material is rotated on demand, too."""
    return metadata.get("KeySpec") == "SYMMETRIC_DEFAULT" and metadata.get("Origin") in ("AWS_KMS", "EXTERNAL")
