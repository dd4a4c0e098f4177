"""What is told of each kind of key in AWS KMS, read from a simulator that speaks the real protocol."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from collectors._aws.names import key_uid
from collectors.aws_kms import AwsKms
from collectors.aws_kms._meaning import shape
from toolkit.errors import ConfigError
from toolkit.identity import public_facts
from toolkit.model import Access, Gap, Key, Usage
from toolkit.terms import (
    AccessVia,
    GapScope,
    GapStatus,
    KeyFunction,
    KeyManager,
    KeyPurpose,
    KeyState,
    KeyType,
    Origin,
    Protection,
)
from toolkit.testing import CollectorContract

OWN, OTHER, REGION = "111122223333", "444455556666", "eu-west-1"
DAY = 86_400


@pytest.fixture
def region(aws, signed_in):
    """A region to furnish, of the account that is signed in."""
    return aws.account(OWN).region(REGION)


def collect(**options) -> list:
    """All rows of one region, unless more is asked for; what services protect is another test's business."""
    chosen = {"regions": (REGION,), "protects": False, "identities": False, "resume_minutes": 0, **options}
    collector = AwsKms(**chosen)
    return [row for target in collector.targets() for row in collector.collect(target)]


def only(rows: list, kind: type) -> list:
    """The rows of a kind."""
    return [row for row in rows if isinstance(row, kind)]


def one_key(rows: list) -> Key:
    """The key, if there is one only."""
    (key,) = only(rows, Key)
    return key


def fields(rows: list) -> dict[str, GapStatus]:
    """The gaps by field."""
    return {gap.field: gap.status for gap in only(rows, Gap)}


class TestAwsKms(CollectorContract):
    """It is a collector like any other."""

    @pytest.fixture(autouse=True)
    def _estate(self, aws, signed_in):
        region = aws.account(OWN).region(REGION)
        region.add_keys(12, specs=("SYMMETRIC_DEFAULT", "RSA_2048", "ECC_NIST_P256", "HMAC_256"), granted=0.5)
        region.managed_key("ebs")
        primary = region.key(is_multi_region=True)
        aws.account(OWN).region("us-east-1").replica(primary)

    def collector(self, tmp_path):
        """Two regions of one account."""
        return AwsKms(regions=(REGION, "us-east-1"), protects=False, identities=False, resume=str(tmp_path / "resume"))


def test_a_symmetric_key_is_told_whole(aws, region):
    """Every fact that KMS has of it, in its column."""
    made = aws.now() - 900 * DAY
    key = region.key(alias="app", created_at=made, rotated_every_days=365, tags={"Team": "payments", "Env": "prod"})
    region.rotated(key, [made + 365 * DAY, made + 730 * DAY])
    region.used(key, "Decrypt", aws.now() - 3 * DAY)

    rows = collect()
    told = one_key(rows)

    assert (key_uid(key.arn), key.arn, "alias/app") == (told.key_uid, told.locator, told.label)
    assert (KeyType.SECRET_KEY, "AES", 256) == (told.key_type, told.algorithm, told.size_bits)
    assert (KeyState.ACTIVE, "Enabled") == (told.state, told.native_state)
    assert KeyPurpose.KEY_WRAPPING is told.purpose
    assert (Protection.HARDWARE, Origin.GENERATED) == (told.protection, told.origin)
    assert (False, True, True) == (told.extractable, told.never_extractable, told.sensitive)
    assert (OWN, REGION, KeyManager.CUSTOMER) == (told.account, told.region, told.manager)
    assert (("alias/app",), ("Env=prod", "Team=payments")) == (told.aliases, told.tags)
    assert ("payments", "prod", None) == (told.owner, told.environment, told.application)
    assert (True, 365) == (told.has_rotation, told.rotation_period_days)
    assert told.next_rotation_at > datetime.now(UTC)
    assert timedelta(days=1) > abs(told.last_rotated_at - datetime.fromtimestamp(made + 730 * DAY, UTC))
    assert timedelta(days=3) <= datetime.now(UTC) - told.last_used_at < timedelta(days=4)
    assert told.created_at == told.activated_at == datetime.fromtimestamp(made, UTC)
    assert told.access_flags is not None
    assert "FIPS 140-3 level 3" in " ".join(told.reasons)
    assert {} == fields(rows)


def test_rotations_and_the_last_use_are_events(aws, region):
    """Automatic and on demand told apart; the last use with the id of its CloudTrail event."""
    key = region.key(created_at=aws.now() - 900 * DAY)
    region.rotated(key, [aws.now() - 500 * DAY])
    region.rotated(key, [aws.now() - 100 * DAY], "ON_DEMAND")
    region.used(key, "GenerateDataKey", aws.now() - DAY)

    uses = only(collect(), Usage)

    assert [("RotateKey", "automatic"), ("RotateKey", "on demand"), ("GenerateDataKey", "last use")] == [
        (use.operation, use.result) for use in sorted(uses, key=lambda use: use.occurred_at)
    ]
    assert [use.event_id is not None for use in uses if use.operation != "RotateKey"] == [True]
    assert {key_uid(key.arn)} == {use.key_uid for use in uses}


@pytest.mark.parametrize("spec", ["RSA_2048", "ECC_NIST_P256", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_DSA_65"])
def test_an_asymmetric_key_is_known_by_its_public_half(aws, region, spec):
    """Wherever else it turns up, it is the same key; its rotation does not apply, which is not a failure."""
    key = region.key(spec, usage="SIGN_VERIFY")
    public = aws.client("kms", REGION).get_public_key(KeyId=key.key_id)["PublicKey"]

    rows = collect()
    told = one_key(rows)

    facts = public_facts(load_der_public_key(public))
    assert facts.key_uid == told.key_uid
    assert (facts.algorithm, facts.parameter, facts.size_bits) == (told.algorithm, told.parameter, told.size_bits)
    assert (KeyType.PRIVATE_KEY, (KeyFunction.SIGN,)) == (told.key_type, told.functions)
    assert {"has_rotation": GapStatus.NOT_APPLICABLE} == fields(rows)
    assert 0 == aws.counts["GetKeyRotationStatus", "OK"]


def test_a_public_key_is_asked_for_once(aws, region):
    """It never changes: the next run has it."""
    region.add_keys(5, specs=("RSA_2048",))

    first, second = ([key.key_uid for key in only(collect(), Key)] for _ in range(2))

    assert first == second
    assert 5 == aws.counts["GetPublicKey", "OK"]


@pytest.mark.parametrize(
    ("spec", "usage", "functions", "purpose"),
    [
        ("HMAC_384", "GENERATE_VERIFY_MAC", ("sign", "verify"), KeyPurpose.AUTHENTICATION),
        ("RSA_3072", "ENCRYPT_DECRYPT", ("decrypt",), KeyPurpose.PRIVATE_TRANSPORT),
        ("ECC_NIST_P384", "KEY_AGREEMENT", ("derive",), KeyPurpose.PRIVATE_AGREEMENT),
        ("ML_KEM_768", "ENCAPSULATE_DECAPSULATE", ("unwrap",), KeyPurpose.PRIVATE_TRANSPORT),
    ],
)
def test_what_a_key_may_do_follows_from_its_usage(region, spec, usage, functions, purpose):
    """SP 800-57 part 1, 5.1.1, from KeyUsage."""
    region.key(spec, usage=usage)

    told = one_key(collect())

    assert (functions, purpose) == (told.functions, told.purpose)


def test_every_spec_of_botocore_s_model_is_known(aws):
    """A new one is noticed here before a user meets it; what is unknown is kept and called so, never guessed."""
    model = aws.client("kms", REGION).meta.service_model
    specs = model.shape_for("KeySpec").enum
    usages = model.shape_for("KeyUsageType").enum

    from collectors.aws_kms import _meaning as meaning

    assert [] == [spec for spec in specs if shape(spec, "aws").algorithm is None]
    assert [] == [state for state in model.shape_for("KeyState").enum if meaning.state(state)[0] is None]
    kinds = (KeyType.SECRET_KEY, KeyType.PRIVATE_KEY)
    assert [] == [usage for usage in usages if not any(meaning.use(usage, kind)[0] for kind in kinds)]
    origins = model.shape_for("OriginType").enum
    assert [] == [origin for origin in origins if "unclassified" in meaning.custody(origin, "aws").why]
    assert (None, "state: unclassified, KMS says Frozen") == meaning.state("Frozen")
    assert KeyType.UNKNOWN is shape("SLH_DSA_1", "aws").key_type
    assert "SM4" == shape("SYMMETRIC_DEFAULT", "aws-cn").algorithm


def test_a_key_that_aws_manages_costs_one_question(aws, region):
    """It is told apart, its rotation is a documented fact, and what only AWS can change is not asked."""
    region.managed_key("ebs")

    rows = collect()
    told = one_key(rows)

    assert (KeyManager.PROVIDER, ("alias/aws/ebs",)) == (told.manager, told.aliases)
    assert (True, 365) == (told.has_rotation, told.rotation_period_days)
    assert {"access_flags": GapStatus.NOT_ASKED, "last_used_at": GapStatus.NOT_ASKED} == fields(rows)
    asked = {name for name, _ in aws.counts} - {"GetCallerIdentity", "ListKeys", "ListAliases", "GetResources"}
    assert {"DescribeKey"} == asked


def test_a_key_that_waits_for_its_destruction(aws, region):
    """When, and why nothing can be done with it."""
    region.key(state="PendingDeletion", window_days=9)
    told = one_key(collect())

    assert (KeyState.DEACTIVATED, "PendingDeletion") == (told.state, told.native_state)
    assert timedelta(days=8) < told.destruction_at - datetime.now(UTC) <= timedelta(days=9)


def test_a_disabled_key_is_suspended(region):
    """It can be enabled again."""
    region.key(state="Disabled")

    told = one_key(collect())

    assert (KeyState.SUSPENDED, "Disabled") == (told.state, told.native_state)
    assert "state: it is disabled, and can be enabled again" in told.reasons


def test_imported_material_and_its_end(aws, region):
    """Who imported it may hold it too; when it expires, so does the key's use."""
    key = region.key(origin="EXTERNAL")
    region.import_material(key, valid_to=aws.now() + 30 * DAY)
    key.state = "Enabled"

    told = one_key(collect())

    assert (Origin.IMPORTED, False, False) == (told.origin, told.extractable, told.never_extractable)
    assert timedelta(days=29) < told.expires_at - datetime.now(UTC) <= timedelta(days=30)
    assert told.activated_at is None
    assert told.has_rotation is None


def test_a_key_without_material_is_not_active_yet(region):
    """PendingImport, with what that may mean."""
    region.key(origin="EXTERNAL")

    assert (KeyState.PRE_ACTIVATION, "PendingImport") == (lambda key: (key.state, key.native_state))(one_key(collect()))


def test_keys_of_custom_stores(region):
    """The store's name and cluster stand with the key; an external key manager's protection is not known to AWS."""
    store = region.store(name="hsms")
    region.key(origin="AWS_CLOUDHSM", store_id=store.store_id)
    outside = region.store("EXTERNAL_KEY_STORE", name="outside")
    region.key(origin="EXTERNAL_KEY_STORE", store_id=outside.store_id, xks_id="k1")

    rows = collect()
    details = {json.loads(key.detail)["Origin"]: (key, json.loads(key.detail)) for key in only(rows, Key)}

    inside, detail = details["AWS_CLOUDHSM"]
    assert (Protection.HARDWARE, "hsms") == (inside.protection, detail["CustomKeyStoreName"])
    assert detail["CloudHsmClusterId"].startswith("cluster-")
    external, detail = details["EXTERNAL_KEY_STORE"]
    assert (None, None, "k1", "outside") == (
        external.protection, external.extractable, detail["XksKeyId"], detail["CustomKeyStoreName"],
    )  # fmt: skip
    assert GapStatus.NOT_ASKED is {gap.locator: gap for gap in only(rows, Gap) if gap.field == "protection"}[external.locator].status  # fmt: skip


def test_a_multi_region_key_is_one_key_in_many_places(aws, region):
    """The same uid in each Region, each naming the others."""
    primary = region.key(is_multi_region=True)
    replica = aws.account(OWN).region("us-east-1").replica(primary)

    told = {key.region: key for key in only(collect(regions=(REGION, "us-east-1")), Key)}

    assert told[REGION].key_uid == told["us-east-1"].key_uid
    assert ((replica.arn,), (primary.arn,)) == (told[REGION].replicas, told["us-east-1"].replicas)
    assert "PRIMARY" == json.loads(told[REGION].detail)["MultiRegionKeyType"]


def test_a_key_that_another_account_shares(aws, region):
    """It is listed, under a place of its own; what only its own account may ask says so."""
    policy = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWN}:root"}, "Action": "kms:*", "Resource": "*"},
    ]}  # fmt: skip
    theirs = aws.account(OTHER).region(REGION).key(policy=json.dumps(policy))
    region.share(theirs)

    rows = collect()
    told = one_key(rows)

    assert (f"{theirs.arn}?shared-with={OWN}", OTHER, "AES") == (told.locator, told.account, told.algorithm)
    assert {gap.status for gap in only(rows, Gap)} == {GapStatus.NOT_APPLICABLE}


@pytest.mark.parametrize(
    ("made_days_ago", "used", "field", "reason"),
    [
        (10, False, None, "last use: none since it was made"),
        (400, False, GapStatus.NOT_APPLICABLE, None),
        (400, True, None, "last use: Sign"),
    ],
)
def test_no_use_is_told_apart_from_no_record(aws, region, made_days_ago, used, field, reason):
    """Used; never used since it was made; or older than KMS's record: then nobody knows, and CloudTrail is named."""
    aws.tracking_since = aws.now() - 100 * DAY
    key = region.key(created_at=aws.now() - made_days_ago * DAY)
    if used:
        region.used(key, "Sign", aws.now() - DAY)

    rows = collect()
    told = one_key(rows)

    assert used == (told.last_used_at is not None)
    assert field == fields(rows).get("last_used_at")
    assert reason is None or reason in told.reasons


def test_an_alias_that_has_no_key_is_no_trouble(region):
    """AWS lists some before their key exists."""
    region.predefined_alias("s3")
    region.key(alias="b")

    assert ("alias/b",) == one_key(collect()).aliases


def test_who_may_stands_in_rows_and_flags(aws, region):
    """Key policy and grants, each with what it gives; a policy that lets everyone in is flagged."""
    policy = {"Version": "2012-10-17", "Statement": [
        {"Sid": "open", "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"},
        {"Sid": "own", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWN}:root"}, "Action": "kms:*", "Resource": "*"},
    ]}  # fmt: skip
    region.key(policy=json.dumps(policy), grants=1)

    rows = collect()
    told, entries = one_key(rows), only(rows, Access)

    assert {"public-access", "wildcard-principal"} <= set(told.access_flags)
    assert {AccessVia.RESOURCE_POLICY, AccessVia.GRANT} == {entry.via for entry in entries}
    assert {told.key_uid} == {entry.subject_uid for entry in entries}
    (open_,) = [entry for entry in entries if entry.is_public]
    assert ("open", ("kms:Decrypt",)) == (open_.source, open_.actions)
    (granted,) = [entry for entry in entries if entry.via is AccessVia.GRANT]
    assert granted.granted_at.utcoffset() == timedelta(0)
    assert f"arn:aws:iam::{OWN}:role/reader" == granted.principal


def test_a_policy_that_is_none_is_a_gap(region):
    """What cannot be understood is not called clean."""
    region.key(policy="{}")

    gaps = [gap for gap in only(collect(), Gap) if gap.field == "access_flags"]

    assert [GapStatus.MALFORMED] == [gap.status for gap in gaps]


def test_a_store_s_credentials_are_not_told(region):
    """The proxy's access key id stays where it is; nothing that the simulator planted surfaces."""
    planted = "PLANTED" + "A" * 15
    outside = region.store("EXTERNAL_KEY_STORE", name="outside", XksProxyConfiguration={"AccessKeyId": planted})
    region.key(origin="EXTERNAL_KEY_STORE", store_id=outside.store_id, xks_id="k1")

    assert planted not in repr(collect())


def test_tags_mean_what_the_organisation_says(region):
    """`tag_names` come before the usual ones."""
    region.key(tags={"squad": "a", "owner": "b", "confidentiality": "high"})

    told = one_key(collect(tag_names=("owner=squad",)))

    assert ("a", "high") == (told.owner, told.data_class)
    with pytest.raises(ConfigError):
        AwsKms(tag_names=("colour=red",))


def test_what_is_left_out_is_said(region):
    """Not asked is not the same as not there."""
    region.key()

    gaps = fields(collect(policies=False, grants=False, history=False, last_use=False))

    expected = {"access_flags", "grants", "last_rotated_at", "last_used_at"}
    assert dict.fromkeys(expected, GapStatus.NOT_ASKED) == gaps


def test_an_empty_region_has_no_rows(aws, region):
    """And costs its lists only."""
    assert [] == collect()
    assert GapScope.TARGET not in [gap.scope for gap in only(collect(), Gap)]
