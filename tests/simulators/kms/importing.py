"""Key material that customers bring: wrapping parameters, import, deletion, expiry.

The wrapping is real: the token names an RSA key made for it, and what arrives must unwrap with it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from simulators.kms import states
from simulators.kms.calls import Call, operation
from simulators.kms.errors import ServiceError, invalid, unsupported
from simulators.kms.world import DAY, Imported, Key, Material, hex_id

TOKEN_DAYS = 1
SIZES = {"SYMMETRIC_DEFAULT": 32, "HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an import token stands for."""

    key: Key
    private: rsa.RSAPrivateKey
    algorithm: str
    valid_to: float


def _external(call: Call) -> Key:
    key = call.look_up(call.params["KeyId"])
    call.key = key
    call.permit(key, call.action)
    if key.origin != "EXTERNAL":
        raise unsupported(f"{key.arn} origin is {key.origin} which is not valid for this operation.")
    return call.find()


@operation("GetParametersForImport")
def get_parameters_for_import(call: Call) -> dict[str, Any]:
    """A public key to wrap with and a token, both for 24 hours."""
    key = _external(call)
    spec, algorithm = call.params["WrappingKeySpec"], call.params["WrappingAlgorithm"]
    if spec == "SM2" or algorithm == "SM2PKE":
        raise unsupported("SM2 wrapping is supported in China Regions only")
    if algorithm == "RSAES_PKCS1_V1_5":
        raise unsupported("RSAES_PKCS1_V1_5 is no longer supported")
    private = rsa.generate_private_key(65537, int(spec[4:]))
    token = secrets.token_bytes(64)
    ticket = call.aws.tickets[token] = Ticket(key, private, algorithm, call.now + TOKEN_DAYS * DAY)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"KeyId": key.arn, "ImportToken": token, "PublicKey": public, "ParametersValidTo": ticket.valid_to}


@operation("ImportKeyMaterial")
def import_key_material(call: Call) -> dict[str, Any]:
    """Bring material; a key that waited for it is enabled."""
    key = _external(call)
    expires = call.params.get("ExpirationModel", "KEY_MATERIAL_EXPIRES") == "KEY_MATERIAL_EXPIRES"
    valid_to = call.params.get("ValidTo")
    if expires != (valid_to is not None):
        raise ServiceError("ValidationException", "ValidTo goes with KEY_MATERIAL_EXPIRES, and with nothing else")
    if valid_to is not None and not call.now < float(valid_to) <= call.now + 365 * DAY:
        raise invalid("Member must be within a year from now", at="ValidTo", value=valid_to)
    secret = _unwrap(call, key)
    call.aws.canaries.add(secret)
    number = _place(call, key, secret)
    imported = Imported(
        secret, None if valid_to is None else float(valid_to), call.params.get("KeyMaterialDescription")
    )
    bring(key, number, imported)
    facts = {"KeyId": key.arn}
    return facts | ({"KeyMaterialId": number} if key.spec.is_symmetric else {})


def bring(key: Key, number: str, imported: Imported) -> None:
    """Put material in its place, until it expires."""
    key.imported = (key.imported or {}) | {number: imported}
    settle_replicas(key)
    if key.state == states.PENDING_IMPORT and key.settled() == states.ENABLED:
        key.move(states.ENABLED)
    if imported.valid_to is not None:
        key.region.at(imported.valid_to, lambda: _expire(key, number, imported))


def _unwrap(call: Call, key: Key) -> bytes:
    ticket = call.aws.tickets.get(call.blob("ImportToken"))
    if ticket is None or ticket.key.key_id != key.key_id:
        raise ServiceError("InvalidImportTokenException", "The import token is invalid or of another key.")
    if ticket.valid_to < call.now:
        raise ServiceError("ExpiredImportTokenException", "The import token is expired.")
    hashing: Callable[[], hashes.HashAlgorithm] = hashes.SHA1 if ticket.algorithm.endswith("SHA_1") else hashes.SHA256
    oaep = padding.OAEP(padding.MGF1(hashing()), hashing(), None)
    wrapped = call.blob("EncryptedKeyMaterial")
    try:
        if ticket.algorithm.startswith("RSAES_OAEP"):
            return ticket.private.decrypt(wrapped, oaep)
        size = ticket.private.key_size // 8
        inner = ticket.private.decrypt(wrapped[:size], oaep)
        return keywrap.aes_key_unwrap_with_padding(inner, wrapped[size:])
    except (ValueError, keywrap.InvalidUnwrap) as error:
        raise ServiceError("InvalidCiphertextException", "The key material cannot be unwrapped.") from error


def _place(call: Call, key: Key, secret: bytes) -> str:
    """The id of the material, after checking that it may be brought here now."""
    _check_form(key, secret)
    number = hex_id(key.key_id, hashlib.sha256(secret).hexdigest())
    known = [one.material_id for one in key.backing.materials or ()]
    asked = call.params.get("KeyMaterialId", number)
    is_new = call.params.get("ImportType") == "NEW_KEY_MATERIAL"
    if is_new and "KeyMaterialId" in call.params:
        raise ServiceError("ValidationException", "KeyMaterialId does not go with NEW_KEY_MATERIAL")
    if asked != number or (is_new and number in known):
        raise ServiceError("IncorrectKeyMaterialException", "The key material is not the one that was expected.")
    if number in known:
        return number
    if known and (not is_new or not key.spec.is_symmetric):
        raise ServiceError("IncorrectKeyMaterialException", "The key material is not the one imported before.")
    if key.replica == "REPLICA":
        raise ServiceError("KMSInvalidStateException", f"{key.arn} takes new key material from its primary key first.")
    place(key, number)
    return number


def place(key: Key, number: str) -> None:
    """Give new material its place: the first is current, any other waits for a rotation."""
    waiting = [one for one in key.backing.materials if "PENDING" in one.state]
    if waiting:
        raise ServiceError("KMSInvalidStateException", f"{key.arn} has key material pending rotation already.")
    alone = len(key.backing.members) == 1
    state = "PENDING_ROTATION" if alone else "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
    key.backing.materials.append(Material(number, state if key.backing.materials else "CURRENT"))


def settle_replicas(key: Key) -> None:
    """New material that has reached every region of a multi-Region set may be rotated to."""
    for one in key.backing.materials or ():
        everywhere = all(one.material_id in (member.imported or {}) for member in key.backing.members)
        if one.state == "PENDING_MULTI_REGION_IMPORT_AND_ROTATION" and everywhere:
            one.state = "PENDING_ROTATION"


def _check_form(key: Key, secret: bytes) -> None:
    """Symmetric material has a size; a private key is PKCS #8 of the key's own kind."""
    size = SIZES.get(key.spec.name)
    if size is not None:
        if len(secret) != size:
            raise ServiceError("IncorrectKeyMaterialException", f"The key material must be {size} bytes long.")
        return
    try:
        pair = load_der_private_key(secret, None)
    except (ValueError, TypeError) as error:
        raise ServiceError("IncorrectKeyMaterialException", "The key material is no PKCS #8 private key.") from error
    if not _is_of(key.spec.name, pair):
        raise ServiceError("IncorrectKeyMaterialException", f"The key material is no {key.spec.name} key.")
    key.backing.pair = pair


def _is_of(spec: str, pair: Any) -> bool:
    curve = {"ECC_NIST_P256": "secp256r1", "ECC_NIST_P384": "secp384r1", "ECC_NIST_P521": "secp521r1",
             "ECC_SECG_P256K1": "secp256k1"}.get(spec)  # fmt: skip
    if spec.startswith("RSA_"):
        return getattr(pair, "key_size", 0) == int(spec[4:]) and isinstance(pair, rsa.RSAPrivateKey)
    if curve is not None:
        return getattr(getattr(pair, "curve", None), "name", "") == curve
    words = spec.replace("ECC_NIST_EDWARDS", "ED").replace("_", "").lower()
    return type(pair).__name__.lower().startswith(words)


def _expire(key: Key, number: str, imported: Imported) -> None:
    if (key.imported or {}).get(number) is imported:
        _forget(key, number)


def _forget(key: Key, number: str) -> None:
    del key.imported[number]
    if key.state in (states.ENABLED, states.DISABLED) and key.settled() == states.PENDING_IMPORT:
        key.move(states.PENDING_IMPORT)


@operation("DeleteImportedKeyMaterial")
def delete_imported_key_material(call: Call) -> dict[str, Any]:
    """Gone at once; the key waits for the same material again."""
    key = _external(call)
    known = {one.material_id: one for one in key.backing.materials or ()}
    current = key.backing.current_id if any(one.state == "CURRENT" for one in known.values()) else None
    number = call.params.get("KeyMaterialId", current)
    if call.params.get("KeyMaterialId") and number not in known:
        raise ServiceError("NotFoundException", f"Key material {number} does not exist")
    if number is not None and number in (key.imported or {}):
        _forget(key, number)
        if "PENDING" in known[number].state:  # not yet bound to the key: other material may take its place
            key.backing.materials.remove(known[number])
            for member in key.backing.members:
                (member.imported or {}).pop(number, None)
    facts = {"KeyId": key.arn}
    return facts | ({"KeyMaterialId": number} if key.spec.is_symmetric and number else {})
