"""What a customer does on their side of KMS: wrap key material and import it."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_der_public_key


def import_material(kms: Any, key_id: str, material: bytes, **words: Any) -> str:
    """Import symmetric material over the API, wrapped with the key that KMS hands out; its id."""
    given = kms.get_parameters_for_import(
        KeyId=key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    wrapped = load_der_public_key(given["PublicKey"]).encrypt(material, oaep)
    words = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"} | words
    return kms.import_key_material(
        KeyId=key_id, ImportToken=given["ImportToken"], EncryptedKeyMaterial=wrapped, **words
    )["KeyMaterialId"]
