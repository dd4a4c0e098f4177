"""Cryptographic operations, done for real: what one call encrypts, signs or derives, another checks.

Not simulated, and said so with UnsupportedOperationException: SM2 ciphers and signatures, Ed25519ph, ML-KEM-512, and
answers sealed for a Nitro enclave (Recipient).
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from simulators.kms import material
from simulators.kms.calls import Call, operation
from simulators.kms.catalog import CAPSULE, CRYPT, MAC
from simulators.kms.errors import ServiceError, invalid, unsupported
from simulators.kms.importing import SIZES
from simulators.kms.public_keys import pair_of
from simulators.kms.world import Key

MOST_PLAIN = 4096
_MARK = b"KMSSIM1"


def usable(call: Call, usage: str, *, field: str = "KeyId", as_operation: str | None = None) -> Key:
    """The key, if it is of that usage; the use is remembered for GetKeyLastUsage when the call succeeds."""
    if "Recipient" in call.params:
        raise unsupported("Recipient is not simulated")
    action = f"kms:{as_operation}" if as_operation else None
    key = call.find(field, action=action)
    if key.usage != usage:
        message = f"{key.arn} key usage is {key.usage} which is not valid for {call.operation}."
        raise ServiceError("InvalidKeyUsageException", message)
    call.notes.setdefault("uses", []).append((key, call.operation))
    return key


def algorithm(key: Key, asked: str | None) -> str:
    """The algorithm that was asked for, if the key has it; the default is the symmetric one."""
    name = asked or "SYMMETRIC_DEFAULT"
    if name not in key.spec.algorithms[key.usage]:
        message = f"Algorithm {name} is incompatible with key spec {key.spec.name}."
        raise ServiceError("InvalidKeyUsageException", message)
    if name.startswith("SM2") or name == "ED25519_PH_SHA_512":
        raise unsupported(f"{name} is not simulated")
    return name


def secret_of(call: Call, key: Key, number: str) -> bytes:
    """The secret of one generation."""
    if key.origin == "EXTERNAL":
        imported = (key.imported or {}).get(number)
        if imported is None:
            raise ServiceError("KMSInvalidStateException", f"{key.arn} is pending import.")
        return imported.secret
    return material.derive(call.aws.secret, number, SIZES[key.spec.name])


def _bound(context: dict[str, str] | None) -> bytes:
    return json.dumps(context or {}, sort_keys=True).encode()


def seal(call: Call, key: Key, plain: bytes, context: dict[str, str] | None) -> bytes:
    """Encrypt under the current material; the blob names key and material, as KMS's own do."""
    number, nonce = key.backing.current_id, secrets.token_bytes(12)
    head = _MARK + bytes((len(key.arn),)) + key.arn.encode() + bytes.fromhex(number) + nonce
    return head + AESGCM(secret_of(call, key, number)).encrypt(nonce, plain, _bound(context))


def _named(blob: bytes) -> tuple[str, str, bytes, bytes]:
    """ARN, material, nonce and rest of a blob of `seal`."""
    start = len(_MARK) + 1
    if not blob.startswith(_MARK) or len(blob) < start + 60:
        raise ServiceError("InvalidCiphertextException", "")
    end = start + blob[len(_MARK)]
    return blob[start:end].decode(), blob[end : end + 32].hex(), blob[end + 32 : end + 44], blob[end + 44 :]


def unseal(
    call: Call, field: str, context: dict[str, str] | None, *, blob: bytes, action: str
) -> tuple[Key, bytes, str]:
    """Decrypt a symmetric blob, with the key it names; KeyId, if given, must name the same one."""
    arn, number, nonce, rest = _named(blob)
    is_given = field in call.params
    if not is_given:
        # A related multi-Region key of this region serves as well as the one that encrypted.
        name = arn.rpartition("/")[2]
        here = call.region.keys.get(name) if name.startswith("mrk-") else None
        call.params[field] = here.arn if here is not None else arn
    key = usable(call, CRYPT, field=field, as_operation=action)
    if key.key_id != arn.rpartition("/")[2]:
        raise ServiceError(
            "IncorrectKeyException", "The key ID in the request does not identify the key that was used."
        )
    call.check_dry_run()
    try:
        return key, AESGCM(secret_of(call, key, number)).decrypt(nonce, rest, _bound(context)), number
    except InvalidTag as error:
        raise ServiceError("InvalidCiphertextException", "") from error


def _oaep(name: str) -> padding.OAEP:
    hashing = hashes.SHA1 if name.endswith("SHA_1") else hashes.SHA256
    return padding.OAEP(padding.MGF1(hashing()), hashing(), None)


def _encrypt(call: Call, key: Key, name: str, plain: bytes, context: dict[str, str] | None) -> bytes:
    if name == "SYMMETRIC_DEFAULT":
        return seal(call, key, plain, context)
    if len(plain) > pair_of(key).key_size // 8 - 2 - 2 * (20 if name.endswith("SHA_1") else 32):
        raise invalid("Member is too long for the key", at="Plaintext", value="[blob]")
    return pair_of(key).public_key().encrypt(plain, _oaep(name))


def _decrypt(call: Call, field: str, asked: str | None, context: dict[str, str] | None, *, blob: bytes,
             action: str) -> tuple[Key, bytes, str | None]:  # fmt: skip
    if asked in (None, "SYMMETRIC_DEFAULT"):
        return unseal(call, field, context, blob=blob, action=action)
    if field not in call.params:
        raise invalid("Member must not be null", at=field, value=None)
    key = usable(call, CRYPT, field=field, as_operation=action)
    name = algorithm(key, asked)
    call.check_dry_run()
    try:
        return key, pair_of(key).decrypt(blob, _oaep(name)), None
    except ValueError as error:
        raise ServiceError("InvalidCiphertextException", "") from error


@operation("Encrypt")
def encrypt(call: Call) -> dict[str, Any]:
    """Up to 4,096 bytes."""
    key = usable(call, CRYPT)
    name = algorithm(key, call.params.get("EncryptionAlgorithm"))
    plain = call.blob("Plaintext", MOST_PLAIN)
    call.check_dry_run()
    blob = _encrypt(call, key, name, plain, call.params.get("EncryptionContext"))
    return {"CiphertextBlob": blob, "KeyId": key.arn, "EncryptionAlgorithm": name}


@operation("Decrypt")
def decrypt(call: Call) -> dict[str, Any]:
    """The plaintext; for symmetric blobs the key need not be named."""
    asked = call.params.get("EncryptionAlgorithm")
    context = call.params.get("EncryptionContext")
    blob = _blob(call)
    key, plain, number = _decrypt(call, "KeyId", asked, context, blob=blob, action="Decrypt")
    facts = {"KeyId": key.arn, "Plaintext": plain, "EncryptionAlgorithm": asked or "SYMMETRIC_DEFAULT"}
    return facts | ({"KeyMaterialId": number} if number else {})


def _blob(call: Call) -> bytes:
    if "CiphertextBlob" not in call.params:
        raise invalid("Member must not be null", at="CiphertextBlob", value=None)
    return call.blob("CiphertextBlob", 6144)


@operation("ReEncrypt")
def re_encrypt(call: Call) -> dict[str, Any]:
    """From one key to another, without showing the plaintext."""
    asked = call.params
    was, becomes = asked.get("SourceEncryptionAlgorithm"), asked.get("DestinationEncryptionAlgorithm")
    is_dry = asked.pop("DryRun", False)
    blob, context = _blob(call), asked.get("SourceEncryptionContext")
    source, plain, number = _decrypt(call, "SourceKeyId", was, context, blob=blob, action="ReEncryptFrom")
    target = usable(call, CRYPT, field="DestinationKeyId", as_operation="ReEncryptTo")
    name = algorithm(target, becomes)
    asked["DryRun"] = is_dry
    call.check_dry_run()
    facts = {
        "CiphertextBlob": _encrypt(call, target, name, plain, asked.get("DestinationEncryptionContext")),
        "SourceKeyId": source.arn, "KeyId": target.arn, "SourceEncryptionAlgorithm": was or "SYMMETRIC_DEFAULT",
        "DestinationEncryptionAlgorithm": name,
    }  # fmt: skip
    facts |= {"SourceKeyMaterialId": number} if number else {}
    return facts | ({"DestinationKeyMaterialId": target.backing.current_id} if target.spec.is_symmetric else {})


def _data_key(call: Call, key: Key, plain: bytes) -> dict[str, Any]:
    call.aws.canaries.add(plain)
    blob = seal(call, key, plain, call.params.get("EncryptionContext"))
    facts: dict[str, Any] = {"KeyId": key.arn, "CiphertextBlob": blob}
    has_number = key.origin in ("AWS_KMS", "EXTERNAL")
    return facts | ({"KeyMaterialId": key.backing.current_id} if has_number else {})


def _symmetric(call: Call) -> Key:
    key = usable(call, CRYPT)
    if not key.spec.is_symmetric:
        raise ServiceError("InvalidKeyUsageException", f"{key.arn} key spec is {key.spec.name}.")
    return key


def _new_data_key(call: Call) -> tuple[Key, bytes]:
    key = _symmetric(call)
    spec, size = call.params.get("KeySpec"), call.params.get("NumberOfBytes")
    if (spec is None) == (size is None):
        raise ServiceError("ValidationException", "Please specify either number of bytes or key spec.")
    call.check_dry_run()
    return key, secrets.token_bytes(size or int(spec[4:]) // 8)


@operation("GenerateDataKey")
def generate_data_key(call: Call) -> dict[str, Any]:
    """A data key, plain and sealed; the plain one is a canary."""
    key, plain = _new_data_key(call)
    return _data_key(call, key, plain) | {"Plaintext": plain}


@operation("GenerateDataKeyWithoutPlaintext")
def generate_data_key_without_plaintext(call: Call) -> dict[str, Any]:
    """A data key, sealed only."""
    return _data_key(call, *_new_data_key(call))


def _data_key_pair(call: Call) -> tuple[dict[str, Any], bytes]:
    key, spec = _symmetric(call), call.params["KeyPairSpec"]
    if key.origin in ("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"):
        raise unsupported(f"{key.arn} is in a custom key store, which makes no key pairs.")
    if spec in ("SM2", "ML_KEM_512"):
        raise unsupported(f"{spec} is not simulated")
    call.check_dry_run()
    pair = material.generate(spec)
    plain = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    facts = _data_key(call, key, plain)
    facts["PrivateKeyCiphertextBlob"] = facts.pop("CiphertextBlob")
    return facts | {"PublicKey": material.spki(pair), "KeyPairSpec": spec}, plain


@operation("GenerateDataKeyPair")
def generate_data_key_pair(call: Call) -> dict[str, Any]:
    """A key pair; its private half plain and sealed."""
    facts, plain = _data_key_pair(call)
    return facts | {"PrivateKeyPlaintext": plain}


@operation("GenerateDataKeyPairWithoutPlaintext")
def generate_data_key_pair_without_plaintext(call: Call) -> dict[str, Any]:
    """A key pair; its private half sealed only."""
    return _data_key_pair(call)[0]


@operation("GenerateRandom")
def generate_random(call: Call) -> dict[str, Any]:
    """Random bytes; a canary, too."""
    if "NumberOfBytes" not in call.params:
        raise invalid("Member must not be null", at="NumberOfBytes", value=None)
    if "Recipient" in call.params:
        raise unsupported("Recipient is not simulated")
    return {"Plaintext": call.aws.canary(call.params["NumberOfBytes"])}


def _mac(call: Call) -> tuple[Key, bytes, str]:
    key = usable(call, MAC)
    name = algorithm(key, call.params["MacAlgorithm"])
    message = call.blob("Message", MOST_PLAIN)
    call.check_dry_run()
    hashing = {"224": hashes.SHA224, "256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[name[-3:]]
    code = hmac.HMAC(secret_of(call, key, key.backing.current_id), hashing())
    code.update(message)
    return key, code.finalize(), name


@operation("GenerateMac")
def generate_mac(call: Call) -> dict[str, Any]:
    """The code of a message."""
    key, code, name = _mac(call)
    return {"Mac": code, "MacAlgorithm": name, "KeyId": key.arn}


@operation("VerifyMac")
def verify_mac(call: Call) -> dict[str, Any]:
    """True, or an error; never False."""
    key, code, name = _mac(call)
    if not secrets.compare_digest(code, call.blob("Mac", 6144)):
        raise ServiceError("KMSInvalidMacException", "")
    return {"KeyId": key.arn, "MacValid": True, "MacAlgorithm": name}


@operation("Encapsulate")
def encapsulate(call: Call) -> dict[str, Any]:
    """A new shared secret and its wrapping."""
    key, pair, name = _capsule(call)
    shared, sealed = pair.public_key().encapsulate()
    call.aws.canaries.add(shared)
    return {
        "KeyId": key.arn,
        "SharedSecret": shared,
        "SharedSecretCiphertextBlob": sealed,
        "EncapsulationAlgorithm": name,
    }


@operation("Decapsulate")
def decapsulate(call: Call) -> dict[str, Any]:
    """The shared secret again."""
    key, pair, name = _capsule(call)
    try:
        shared = pair.decapsulate(call.blob("SharedSecretCiphertextBlob", 6144))
    except ValueError as error:
        raise ServiceError("InvalidCiphertextException", "") from error
    return {"KeyId": key.arn, "SharedSecret": shared, "EncapsulationAlgorithm": name}


def _capsule(call: Call) -> tuple[Key, Any, str]:
    key = usable(call, CAPSULE)
    name = algorithm(key, call.params["EncapsulationAlgorithm"])
    if key.spec.name == "ML_KEM_512":
        raise unsupported("ML_KEM_512 is not simulated beyond its public key")
    call.check_dry_run()
    return key, pair_of(key), name
