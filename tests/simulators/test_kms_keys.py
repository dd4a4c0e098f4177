"""Kinds of keys in the KMS simulator: specs, public keys, rotation, imported material, stores, and what keys do."""

from __future__ import annotations

import hashlib
import secrets

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from simulators.kms import material
from simulators.kms.catalog import MEMBER_OF_USAGE, SPECS
from simulators.kms.validation import service

ACCOUNT, REGION = "111122223333", "eu-west-1"
PAIRS = [name for name, spec in SPECS.items() if spec.is_pair]
QUICK = [name for name in PAIRS if name not in ("RSA_3072", "RSA_4096")]


@pytest.fixture
def region(aws):
    """A region to furnish."""
    return aws.account(ACCOUNT).region(REGION)


@pytest.fixture
def kms(aws, region):
    """A client that tries once."""
    return aws.client("kms", REGION)


def code(call, **words) -> str:
    """The code of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(**words)
    return caught.value.response["Error"]["Code"]


def home_of(aws, spec: str):
    """A client where keys of a spec can be made: SM2 is of China's regions."""
    return aws.client("kms", "cn-north-1" if spec == "SM2" else REGION)


def test_the_catalogue_has_every_spec_usage_and_algorithm_of_the_model():
    """A spec that botocore learns is missed here before a collector misses it."""
    model = service().shape_for("KeyMetadata").members
    algorithms = {usage: set() for usage in MEMBER_OF_USAGE}
    for spec in SPECS.values():
        for usage, names in spec.algorithms.items():
            algorithms[usage] |= set(names)

    assert set(model["KeySpec"].enum) == set(SPECS)
    assert set(model["KeyUsage"].enum) == set(MEMBER_OF_USAGE)
    for usage, member in MEMBER_OF_USAGE.items():
        assert set(model[member].member.enum) == algorithms[usage]


@pytest.mark.parametrize(
    ("spec", "usage"), [(spec.name, usage) for spec in SPECS.values() for usage in spec.algorithms]
)
def test_every_spec_can_be_made_for_each_of_its_usages(aws, spec, usage):
    """And tells its algorithms in the member of its usage; the older spec member only for the specs it knows."""
    told = home_of(aws, spec).create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]

    old = service().shape_for("KeyMetadata").members["CustomerMasterKeySpec"].enum
    assert ("Enabled", spec, usage) == (told["KeyState"], told["KeySpec"], told["KeyUsage"])
    assert list(SPECS[spec].algorithms[usage]) == told[MEMBER_OF_USAGE[usage]]
    assert (spec in old) == ("CustomerMasterKeySpec" in told)
    assert (spec == "SYMMETRIC_DEFAULT") == ("CurrentKeyMaterialId" in told)


def test_a_usage_must_fit_the_spec(aws, kms):
    """And has no default but for symmetric encryption keys; SM2 and ML-KEM have their regions."""
    assert "ValidationException" == code(kms.create_key, KeySpec="HMAC_256")
    assert "ValidationException" == code(kms.create_key, KeySpec="ECC_SECG_P256K1", KeyUsage="KEY_AGREEMENT")
    assert "UnsupportedOperationException" == code(kms.create_key, KeySpec="SM2", KeyUsage="SIGN_VERIFY")
    china = aws.client("kms", "cn-north-1")
    assert "UnsupportedOperationException" == code(
        china.create_key, KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE"
    )


@pytest.mark.parametrize("spec", QUICK)
def test_public_keys_are_real_and_stay(aws, spec):
    """A key's public half is its own kind, and the same each time; a second key has another."""
    kms = home_of(aws, spec)
    usage = next(iter(SPECS[spec].algorithms))
    one, two = (kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"] for _ in range(2))
    first, again, other = (kms.get_public_key(KeyId=key)["PublicKey"] for key in (one, one, two))

    assert first == again != other
    if spec == "SM2":
        assert material.is_on_sm2(int.from_bytes(first[-64:-32], "big"), int.from_bytes(first[-32:], "big"))
    elif spec != "ML_KEM_512":
        words = type(load_der_public_key(first)).__name__.lower()
        assert {"RSA": "rsa", "ECC": "e", "ML": spec.replace("_", "").lower()}[spec.split("_")[0]] in words


@pytest.mark.parametrize("spec", ["SYMMETRIC_DEFAULT", "HMAC_256"])
def test_a_key_without_a_public_half_has_no_public_key(region, kms, spec):
    """UnsupportedOperationException, as for keys that cannot rotate."""
    assert "UnsupportedOperationException" == code(kms.get_public_key, KeyId=region.key(spec).key_id)


@pytest.mark.parametrize(("days", "allowed"), [(89, False), (90, True), (2560, True), (2561, False)])
def test_a_rotation_period_is_90_to_2560_days(aws, region, kms, days, allowed):
    """Kept, and told with the next date; 365 when not given."""
    key = region.key()
    if not allowed:
        loose = aws.client("kms", REGION, config=Config(parameter_validation=False))
        assert "ValidationException" == code(loose.enable_key_rotation, KeyId=key.key_id, RotationPeriodInDays=days)
        return
    kms.enable_key_rotation(KeyId=key.key_id, RotationPeriodInDays=days)

    told = kms.get_key_rotation_status(KeyId=key.key_id)
    assert (True, days) == (told["KeyRotationEnabled"], told["RotationPeriodInDays"])
    assert days == round((told["NextRotationDate"].timestamp() - key.created_at) / 86_400)
    kms.enable_key_rotation(KeyId=key.key_id)
    assert 365 == kms.get_key_rotation_status(KeyId=key.key_id)["RotationPeriodInDays"]
    kms.disable_key_rotation(KeyId=key.key_id)
    assert not kms.get_key_rotation_status(KeyId=key.key_id)["KeyRotationEnabled"]


def test_keys_rotate_by_themselves(aws, region, kms):
    """As the clock goes on; what was sealed before can still be opened; a disabled key does not rotate."""
    key, off = region.key(rotated_every_days=100), region.key(rotated_every_days=100, state="Disabled")
    sealed = kms.encrypt(KeyId=key.key_id, Plaintext=b"old")
    first = kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    aws.advance(days=250)

    rotations = kms.list_key_rotations(KeyId=key.key_id)["Rotations"]
    assert ["AUTOMATIC"] * 2 == [one["RotationType"] for one in rotations]
    everything = kms.list_key_rotations(KeyId=key.key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert ["NON_CURRENT", "NON_CURRENT", "CURRENT"] == [one["KeyMaterialState"] for one in everything]
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert (b"old", first) == (opened["Plaintext"], opened["KeyMaterialId"])
    assert first != kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["CurrentKeyMaterialId"]
    assert [] == kms.list_key_rotations(KeyId=off.key_id)["Rotations"]


def test_a_pending_deletion_hides_the_rotation(region, kms):
    """False while it is pending, true again when it is cancelled."""
    key = region.key(rotated_every_days=365)
    kms.schedule_key_deletion(KeyId=key.key_id)
    assert not kms.get_key_rotation_status(KeyId=key.key_id)["KeyRotationEnabled"]

    kms.cancel_key_deletion(KeyId=key.key_id)
    assert kms.get_key_rotation_status(KeyId=key.key_id)["KeyRotationEnabled"]


def test_rotation_on_demand_has_an_end(aws, region, kms):
    """One at a time, seen while it goes on, 25 in a key's life."""
    aws.rotation_seconds = 30.0
    key = region.key()
    kms.rotate_key_on_demand(KeyId=key.key_id)
    assert "OnDemandRotationStartDate" in kms.get_key_rotation_status(KeyId=key.key_id)
    assert "ConflictException" == code(kms.rotate_key_on_demand, KeyId=key.key_id)
    for _ in range(24):
        aws.advance(seconds=31)
        kms.rotate_key_on_demand(KeyId=key.key_id)
    aws.advance(seconds=31)

    assert "OnDemandRotationStartDate" not in kms.get_key_rotation_status(KeyId=key.key_id)
    assert "LimitExceededException" == code(kms.rotate_key_on_demand, KeyId=key.key_id)
    assert 25 == len(kms.list_key_rotations(KeyId=key.key_id)["Rotations"])


@pytest.mark.parametrize("kind", ["RSA_2048", "HMAC_256", "store", "imported", "replica"])
def test_only_some_keys_rotate(aws, region, kms, kind):
    """Automatic rotation is of symmetric keys with AWS_KMS origin, and set on the primary."""
    if kind == "store":
        key = region.key(origin="AWS_CLOUDHSM", store_id=region.store().store_id)
    elif kind == "imported":
        key = region.key(origin="EXTERNAL")
        region.import_material(key)
    elif kind == "replica":
        key = region.replica(aws.account(ACCOUNT).region("us-east-1").key(is_multi_region=True))
    else:
        key = region.key(kind)

    assert "UnsupportedOperationException" == code(kms.enable_key_rotation, KeyId=key.key_id)
    status = "OK" if kind in ("imported", "replica") else "UnsupportedOperationException"
    if status == "OK":
        assert not kms.get_key_rotation_status(KeyId=key.key_id)["KeyRotationEnabled"]
    else:
        assert status == code(kms.get_key_rotation_status, KeyId=key.key_id)


def test_imported_material_rotates_on_demand(region, kms):
    """Only when new material waits; both have to stay for the key to stay enabled."""
    key = region.key(origin="EXTERNAL")
    first = region.import_material(key, description="2025")
    assert "KMSInvalidStateException" == code(kms.rotate_key_on_demand, KeyId=key.key_id)
    second = region.import_material(key, description="2026")
    kms.rotate_key_on_demand(KeyId=key.key_id)

    told = kms.list_key_rotations(KeyId=key.key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [(first, "NON_CURRENT", "2025"), (second, "CURRENT", "2026")] == [
        (one["KeyMaterialId"], one["KeyMaterialState"], one["KeyMaterialDescription"]) for one in told
    ]
    kms.delete_imported_key_material(KeyId=key.key_id, KeyMaterialId=first)
    assert "PendingImport" == kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyState"]


def test_an_asymmetric_key_can_be_imported(region, kms):
    """Wrapped in two steps, as its private key is too long for RSA; a key of another kind is refused."""
    key = region.key("ECC_NIST_P256", usage="SIGN_VERIFY", origin="EXTERNAL")
    given = kms.get_parameters_for_import(
        KeyId=key.key_id, WrappingAlgorithm="RSA_AES_KEY_WRAP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)

    def wrapped(pair) -> bytes:
        once = secrets.token_bytes(32)
        plain = pair.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        public = load_der_public_key(given["PublicKey"])
        return public.encrypt(once, oaep) + keywrap.aes_key_wrap_with_padding(once, plain)

    words = {
        "KeyId": key.key_id,
        "ImportToken": given["ImportToken"],
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
    }
    other = ec.generate_private_key(ec.SECP384R1())
    assert "IncorrectKeyMaterialException" == code(
        kms.import_key_material, EncryptedKeyMaterial=wrapped(other), **words
    )
    assert "InvalidCiphertextException" == code(kms.import_key_material, EncryptedKeyMaterial=b"x" * 300, **words)
    pair = ec.generate_private_key(ec.SECP256R1())
    kms.import_key_material(EncryptedKeyMaterial=wrapped(pair), **words)

    public = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert public == kms.get_public_key(KeyId=key.key_id)["PublicKey"]
    assert "UnsupportedOperationException" == code(
        kms.get_parameters_for_import, KeyId=region.key().key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256",
        WrappingKeySpec="RSA_2048",
    )  # fmt: skip


def test_an_import_token_is_of_one_key_and_one_day(aws, region, kms):
    """InvalidImportTokenException, ExpiredImportTokenException."""
    one, two = region.key(origin="EXTERNAL"), region.key(origin="EXTERNAL")
    given = kms.get_parameters_for_import(
        KeyId=one.key_id, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    words = {"ImportToken": given["ImportToken"], "EncryptedKeyMaterial": b"x" * 256,
             "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}  # fmt: skip

    assert "InvalidImportTokenException" == code(kms.import_key_material, KeyId=two.key_id, **words)
    aws.advance(days=1.1)
    assert "ExpiredImportTokenException" == code(kms.import_key_material, KeyId=one.key_id, **words)


def test_a_custom_key_store_is_made_connected_emptied_and_deleted(region, kms):
    """In that order only; its proxy's secret is never told."""
    cluster = region.store().facts["CloudHsmClusterId"]
    word = secrets.token_hex(8)
    store = kms.create_custom_key_store(
        CustomKeyStoreName="mine", CloudHsmClusterId=cluster, TrustAnchorCertificate="PEM", KeyStorePassword=word
    )["CustomKeyStoreId"]
    words = {"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store}
    assert "CustomKeyStoreInvalidStateException" == code(kms.create_key, **words)
    kms.connect_custom_key_store(CustomKeyStoreId=store)
    key = kms.create_key(**words)["KeyMetadata"]

    told = kms.describe_custom_key_stores(CustomKeyStoreName="mine")["CustomKeyStores"]
    assert [(store, "CONNECTED")] == [(one["CustomKeyStoreId"], one["ConnectionState"]) for one in told]
    assert (store, cluster) == (key["CustomKeyStoreId"], key["CloudHsmClusterId"])
    assert word not in str(told)
    assert "UnsupportedOperationException" == code(kms.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY", **words)
    assert "CustomKeyStoreHasCMKsException" == code(kms.delete_custom_key_store, CustomKeyStoreId=store)
    kms.disconnect_custom_key_store(CustomKeyStoreId=store)
    kms.update_custom_key_store(CustomKeyStoreId=store, NewCustomKeyStoreName="other")
    region.facts.drop(region.facts.keys[key["KeyId"]])
    kms.delete_custom_key_store(CustomKeyStoreId=store)
    assert "CustomKeyStoreNotFoundException" == code(kms.describe_custom_key_stores, CustomKeyStoreId=store)


def test_an_external_store_has_each_external_key_once(region, kms):
    """XksKeyAlreadyInUseException."""
    store = region.store("EXTERNAL_KEY_STORE").store_id
    words = {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": "key-1"}

    assert "key-1" == kms.create_key(**words)["KeyMetadata"]["XksKeyConfiguration"]["Id"]
    assert "XksKeyAlreadyInUseException" == code(kms.create_key, **words)


def test_ciphertext_is_bound_to_key_context_and_algorithm(region, kms):
    """IncorrectKeyException, InvalidCiphertextException, InvalidKeyUsageException."""
    key, other, rsa = region.key(), region.key(), region.key("RSA_2048", usage="ENCRYPT_DECRYPT")
    sealed = kms.encrypt(KeyId=key.key_id, Plaintext=b"x", EncryptionContext={"a": "b"})["CiphertextBlob"]

    assert b"x" == kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "b"})["Plaintext"]
    assert "InvalidCiphertextException" == code(kms.decrypt, CiphertextBlob=sealed)
    assert "IncorrectKeyException" == code(kms.decrypt, CiphertextBlob=sealed, KeyId=other.key_id)
    assert "InvalidKeyUsageException" == code(kms.encrypt, KeyId=rsa.key_id, Plaintext=b"x")
    assert "InvalidKeyUsageException" == code(
        kms.sign, KeyId=key.key_id, Message=b"x", SigningAlgorithm="ECDSA_SHA_256"
    )
    moved = kms.re_encrypt(
        CiphertextBlob=sealed, SourceEncryptionContext={"a": "b"}, DestinationKeyId=rsa.key_id,
        DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )["CiphertextBlob"]  # fmt: skip
    words = {"KeyId": rsa.key_id, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    assert b"x" == kms.decrypt(CiphertextBlob=moved, **words)["Plaintext"]


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P384", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_DSA_44"])
def test_signatures_are_real(aws, region, kms, spec):
    """Each algorithm of the spec; a false one is an error and never False."""
    key = region.key(spec, usage="SIGN_VERIFY")
    for name in SPECS[spec].algorithms["SIGN_VERIFY"]:
        if name == "ED25519_PH_SHA_512":
            continue
        words = {"KeyId": key.key_id, "Message": b"text", "SigningAlgorithm": name}
        signature = kms.sign(**words)["Signature"]
        assert kms.verify(Signature=signature, **words)["SignatureValid"]
        words["Message"] = b"other"
        assert "KMSInvalidSignatureException" == code(kms.verify, Signature=signature, **words)
        if spec in ("RSA_2048", "ECC_NIST_P384"):
            bits = name.rpartition("_")[2]
            digest = hashlib.new(f"sha{bits}", b"text").digest()
            assert kms.verify(Signature=signature, **words | {"Message": digest, "MessageType": "DIGEST"})


def test_other_uses_are_real(aws, region, kms):
    """MACs, agreement, encapsulation, data keys and random bytes; what is plain is a canary."""
    mac = region.key("HMAC_384")
    words = {"KeyId": mac.key_id, "Message": b"text", "MacAlgorithm": "HMAC_SHA_384"}
    assert kms.verify_mac(Mac=kms.generate_mac(**words)["Mac"], **words)["MacValid"]
    assert "KMSInvalidMacException" == code(kms.verify_mac, Mac=b"x", **words)

    agree, peer = region.key("ECC_NIST_P256", usage="KEY_AGREEMENT"), ec.generate_private_key(ec.SECP256R1())
    public = peer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    shared = kms.derive_shared_secret(KeyId=agree.key_id, KeyAgreementAlgorithm="ECDH", PublicKey=public)
    theirs = load_der_public_key(kms.get_public_key(KeyId=agree.key_id)["PublicKey"])
    assert peer.exchange(ec.ECDH(), theirs) == shared["SharedSecret"]

    capsule = region.key("ML_KEM_768")
    words = {"KeyId": capsule.key_id, "EncapsulationAlgorithm": "ML_KEM"}
    made = kms.encapsulate(**words)
    opened = kms.decapsulate(SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"], **words)
    assert made["SharedSecret"] == opened["SharedSecret"]

    key = region.key()
    data = kms.generate_data_key(KeyId=key.key_id, KeySpec="AES_256")
    assert data["Plaintext"] == kms.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"]
    assert "Plaintext" not in kms.generate_data_key_without_plaintext(KeyId=key.key_id, NumberOfBytes=16)
    pair = kms.generate_data_key_pair(KeyId=key.key_id, KeyPairSpec="ECC_NIST_P256")
    sealed = kms.generate_data_key_pair_without_plaintext(KeyId=key.key_id, KeyPairSpec="ECC_NIST_P256")
    assert "PrivateKeyPlaintext" not in sealed
    random = kms.generate_random(NumberOfBytes=32)["Plaintext"]
    plain = {data["Plaintext"], pair["PrivateKeyPlaintext"], random, shared["SharedSecret"], made["SharedSecret"]}
    assert plain <= aws.canaries
