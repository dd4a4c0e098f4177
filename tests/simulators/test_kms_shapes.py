"""Every answer of the simulator is one that botocore's service model knows."""

from __future__ import annotations

import json
import secrets

import pytest
from simulators.kms import shapes
from simulators.kms.customer import import_material
from simulators.kms.validation import service

ACCOUNT, REGION, AWAY = "111122223333", "eu-west-1", "us-east-1"


def test_every_operation_answers_in_the_models_shapes(aws):
    """Each of the 54 succeeds at least once here; the fixture holds every answer against the model."""
    kms, region = aws.client("kms", REGION), aws.account(ACCOUNT).region(REGION)
    _manage(kms, region)
    _stores_and_replicas(kms, region)
    _imports(kms, region)
    _use(kms, region)

    answered = {operation for operation, outcome in aws.counts if outcome == "OK"}
    assert set() == set(service().operation_names) - answered
    assert [] == aws.problems


def _manage(kms, region) -> None:
    key = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]["KeyId"]
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    words = {"KeyId": key}
    kms.create_alias(AliasName="alias/a", TargetKeyId=key)
    kms.update_alias(AliasName="alias/a", TargetKeyId=key)
    kms.list_aliases()
    kms.delete_alias(AliasName="alias/a")
    kms.tag_resource(Tags=[{"TagKey": "c", "TagValue": ""}], **words)
    kms.list_resource_tags(**words)
    kms.untag_resource(TagKeys=["c"], **words)
    kms.put_key_policy(Policy=kms.get_key_policy(**words)["Policy"], **words)
    kms.list_key_policies(**words)
    first, second = (
        kms.create_grant(GranteePrincipal=role, RetiringPrincipal=role, Operations=["Decrypt"], **words)
        for _ in range(2)
    )
    kms.list_grants(**words)
    kms.list_retirable_grants(RetiringPrincipal=role)
    kms.revoke_grant(GrantId=first["GrantId"], **words)
    kms.retire_grant(GrantToken=second["GrantToken"])
    kms.enable_key_rotation(RotationPeriodInDays=100, **words)
    kms.rotate_key_on_demand(**words)
    kms.get_key_rotation_status(**words)
    kms.list_key_rotations(IncludeKeyMaterial="ALL_KEY_MATERIAL", **words)
    kms.disable_key_rotation(**words)
    kms.update_key_description(Description="d", **words)
    kms.disable_key(**words)
    kms.enable_key(**words)
    kms.schedule_key_deletion(**words)
    kms.describe_key(**words)
    kms.cancel_key_deletion(**words)
    kms.list_keys()
    kms.get_key_last_usage(**words)


def _stores_and_replicas(kms, region) -> None:
    made = kms.create_custom_key_store(
        CustomKeyStoreName="xks", CustomKeyStoreType="EXTERNAL_KEY_STORE", XksProxyConnectivity="PUBLIC_ENDPOINT",
        XksProxyUriEndpoint="https://xks.example.org", XksProxyUriPath="/kms/xks/v1",
        XksProxyAuthenticationCredential={"AccessKeyId": "A" * 20, "RawSecretAccessKey": "b" * 43},
    )  # fmt: skip
    store = {"CustomKeyStoreId": made["CustomKeyStoreId"]}
    kms.connect_custom_key_store(**store)
    kms.describe_key(
        KeyId=region.key(origin="EXTERNAL_KEY_STORE", store_id=store["CustomKeyStoreId"], xks_id="k").key_id
    )
    kms.describe_key(KeyId=region.key(origin="AWS_CLOUDHSM", store_id=region.store().store_id).key_id)
    kms.describe_custom_key_stores()
    kms.update_custom_key_store(NewCustomKeyStoreName="other", **store)
    empty = region.store().store_id
    kms.disconnect_custom_key_store(CustomKeyStoreId=empty)
    kms.delete_custom_key_store(CustomKeyStoreId=empty)
    key = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    kms.replicate_key(KeyId=key, ReplicaRegion=AWAY)
    kms.update_primary_region(KeyId=key, PrimaryRegion=AWAY)
    kms.describe_key(KeyId=key)


def _imports(kms, region) -> None:
    key = region.key(origin="EXTERNAL").key_id
    import_material(kms, key, secrets.token_bytes(32))
    kms.describe_key(KeyId=key)
    kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")
    kms.delete_imported_key_material(KeyId=key)


def _use(kms, region) -> None:
    key, signs, macs = (
        region.key().key_id,
        region.key("ECC_NIST_P256", usage="SIGN_VERIFY").key_id,
        region.key("HMAC_256").key_id,
    )
    agrees, wraps = region.key("ECC_NIST_P256", usage="KEY_AGREEMENT").key_id, region.key("ML_KEM_768").key_id
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.decrypt(CiphertextBlob=sealed)
    kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=key)
    kms.generate_data_key(KeyId=key, KeySpec="AES_128")
    kms.generate_data_key_without_plaintext(KeyId=key, KeySpec="AES_128")
    kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    kms.generate_random(NumberOfBytes=8)
    words = {"KeyId": signs, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
    kms.verify(Signature=kms.sign(**words)["Signature"], **words)
    words = {"KeyId": macs, "Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}
    kms.verify_mac(Mac=kms.generate_mac(**words)["Mac"], **words)
    public = kms.get_public_key(KeyId=agrees)["PublicKey"]
    kms.derive_shared_secret(KeyId=agrees, KeyAgreementAlgorithm="ECDH", PublicKey=public)
    words = {"KeyId": wraps, "EncapsulationAlgorithm": "ML_KEM"}
    made = kms.encapsulate(**words)
    kms.decapsulate(SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"], **words)
    kms.get_key_last_usage(KeyId=key)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"KeyMetadata": {"KeyId": "a", "Colour": "red"}}, "Colour is not in the model"),
        ({"KeyMetadata": {}}, "KeyId is required"),
        ({"KeyMetadata": {"KeyId": "a", "KeyState": "Asleep"}}, "none of"),
        ({"KeyMetadata": {"KeyId": "a", "Enabled": "yes"}}, "should be a boolean"),
        ({"KeyMetadata": {"KeyId": "a", "PendingDeletionWindowInDays": 400}}, "out of"),
    ],
)
def test_a_false_shape_is_noticed(body, complaint):
    """The check itself can fail."""
    found = shapes.problems("kms", "DescribeKey", 200, json.dumps(body).encode(), "application/x-amz-json-1.1")

    assert [True] == [complaint in one for one in found]


def test_an_error_that_an_operation_does_not_know_is_noticed():
    """DescribeKey has no DisabledException."""
    body = json.dumps({"__type": "DisabledException", "message": ""}).encode()

    assert 1 == len(shapes.problems("kms", "DescribeKey", 400, body, "application/x-amz-json-1.1"))
    assert [] == shapes.problems("kms", "Encrypt", 400, body, "application/x-amz-json-1.1")
