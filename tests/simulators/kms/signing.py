"""Signatures and key agreement, by real asymmetric keys."""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from simulators.kms.calls import Call, operation
from simulators.kms.catalog import AGREE, SIGN
from simulators.kms.errors import ServiceError, unsupported
from simulators.kms.public_keys import pair_of
from simulators.kms.using import algorithm, usable
from simulators.kms.world import Key

HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}


def _asked(call: Call) -> tuple[Key, str, bytes, tuple[Any, ...]]:
    """Key, algorithm, message, and the further arguments of cryptography's sign and verify."""
    key = usable(call, SIGN)
    name = algorithm(key, call.params["SigningAlgorithm"])
    message = call.blob("Message", 4096)
    how = _how(name, call.params.get("MessageType", "RAW"), message)
    call.check_dry_run()
    return key, name, message, how


def _how(name: str, kind: str, message: bytes) -> tuple[Any, ...]:
    if name.startswith(("ED25519", "ML_DSA")):
        if kind != "RAW":
            raise unsupported(f"MessageType {kind} is not simulated for {name}")
        return ()
    if kind == "EXTERNAL_MU":
        raise ServiceError("ValidationException", "EXTERNAL_MU is for ML-DSA only")
    hashing: Any = HASHES[name[-3:]]()
    if kind == "DIGEST":
        if len(message) != hashing.digest_size:
            raise ServiceError("ValidationException", f"Digest is invalid length for algorithm {name}")
        hashing = Prehashed(hashing)
    if name.startswith("ECDSA"):
        return (ec.ECDSA(hashing),)
    scheme = padding.PSS(padding.MGF1(HASHES[name[-3:]]()), padding.PSS.DIGEST_LENGTH)
    return (scheme if "PSS" in name else padding.PKCS1v15(), hashing)


@operation("Sign")
def sign(call: Call) -> dict[str, Any]:
    """Sign a message or its digest."""
    key, name, message, how = _asked(call)
    return {"KeyId": key.arn, "Signature": pair_of(key).sign(message, *how), "SigningAlgorithm": name}


@operation("Verify")
def verify(call: Call) -> dict[str, Any]:
    """True, or an error; never False."""
    key, name, message, how = _asked(call)
    try:
        pair_of(key).public_key().verify(call.blob("Signature", 6144), message, *how)
    except InvalidSignature as error:
        raise ServiceError("KMSInvalidSignatureException", "") from error
    return {"KeyId": key.arn, "SignatureValid": True, "SigningAlgorithm": name}


@operation("DeriveSharedSecret")
def derive_shared_secret(call: Call) -> dict[str, Any]:
    """ECDH with a public key of the other side, which must be of the same curve."""
    key = usable(call, AGREE)
    if key.spec.name == "SM2":
        raise unsupported("SM2 is not simulated beyond its public key")
    call.check_dry_run()
    try:
        peer = load_der_public_key(call.blob("PublicKey", 8192))
        shared = pair_of(key).exchange(ec.ECDH(), peer)
    except (ValueError, TypeError) as error:
        raise ServiceError("ValidationException", "The public key is not valid for this key") from error
    call.aws.canaries.add(shared)
    return {"KeyId": key.arn, "SharedSecret": shared, "KeyAgreementAlgorithm": "ECDH", "KeyOrigin": key.origin}
