"""Secrets Manager and SecureString parameters: how each is kept, and never a value."""

from __future__ import annotations

import json
import pickle
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from simulators.aws_breadth import ACCOUNT, REGION

from collectors._aws.corridor import CallForbidden
from collectors._aws.names import key_uid
from collectors.aws_secrets import AwsSecrets
from toolkit.model import Access, Credential, Gap
from toolkit.terms import CredentialKind, GapScope, GapStatus, KeyManager
from toolkit.testing import CollectorContract

CANARY = f"canary{secrets.token_hex(12)}"


def collector(**more) -> AwsSecrets:
    """One region, and nothing is taken up."""
    return AwsSecrets(regions=(REGION,), **{"resume_minutes": 0, **more})


def read(found: AwsSecrets) -> list:
    """All rows of all targets."""
    return [row for target in found.targets() for row in found.collect(target)]


def only(rows, kind):
    """The rows of a kind."""
    return [row for row in rows if isinstance(row, kind)]


@pytest.fixture
def estate(moto):
    """A key, and secrets of every kind that moto can make, each with the canary for its value."""
    manager, kms, ssm = moto.client("secretsmanager"), moto.client("kms"), moto.client("ssm")
    moto.key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=moto.key)
    tags = [{"Key": "Owner", "Value": "payments"}, {"Key": "env", "Value": "prod"}]
    moto.app = manager.create_secret(
        Name="app", Description=CANARY, SecretString=CANARY, KmsKeyId="alias/app", Tags=tags,
        AddReplicaRegions=[{"Region": "us-east-1"}],
    )["ARN"]  # fmt: skip
    moto.plain = manager.create_secret(Name="plain", SecretString=CANARY)["ARN"]
    moto.doomed = manager.create_secret(Name="doomed", SecretBinary=CANARY.encode())["ARN"]
    manager.delete_secret(SecretId="doomed", RecoveryWindowInDays=9)
    ssm.put_parameter(Name="/app/db", Value=CANARY, Type="SecureString", KeyId="alias/app", Tags=tags)
    ssm.put_parameter(Name="token", Value=CANARY, Type="SecureString", AllowedPattern=CANARY)
    ssm.put_parameter(Name="public", Value="x", Type="String")
    moto.calls.clear()
    return moto


class TestAwsSecrets(CollectorContract):
    """The contract, over moto."""

    @pytest.fixture(autouse=True)
    def _made(self, estate):
        """Something to read."""

    def collector(self, tmp_path):
        """One region of one account."""
        return collector()


def test_a_secret_is_told_in_full(estate):
    """Owner by tag, key by alias, versions, replicas and manager; the key's uid is the one that aws_kms makes."""
    told = {row.label: row for row in only(read(collector()), Credential)}

    app = told["app"]
    assert (CredentialKind.SECRET, key_uid(estate.key), ACCOUNT, REGION) == (
        app.kind, app.encrypted_by, app.account, app.region,
    )  # fmt: skip
    assert ("payments", "prod", ("us-east-1",), 1) == (app.owner, app.environment, app.replicas, app.versions)
    assert (False, True, KeyManager.CUSTOMER, ()) == (app.has_rotation, app.is_active, app.manager, app.access_flags)
    assert ["AWSCURRENT"] == list(json.loads(app.detail)["VersionByStage"])
    assert "alias/aws/secretsmanager" == json.loads(told["plain"].detail)["EncryptionKey"]
    aliases = estate.client("kms").list_aliases()["Aliases"]
    (default,) = (one["TargetKeyId"] for one in aliases if one["AliasName"] == "alias/aws/secretsmanager")
    assert key_uid(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{default}") == told["plain"].encrypted_by


def test_a_secret_that_waits_for_its_deletion_is_listed(estate):
    """With the date; its policy is not asked for, and that is said."""
    rows = read(collector())
    (doomed,) = [row for row in only(rows, Credential) if row.label == "doomed"]

    assert doomed.is_active is False
    assert timedelta(days=8) < doomed.destruction_at - datetime.now(UTC) <= timedelta(days=9)
    gaps = [row for row in only(rows, Gap) if row.locator == estate.doomed]
    assert ("access_flags", GapStatus.NOT_APPLICABLE) in [(gap.field, gap.status) for gap in gaps]
    assert doomed.access_flags is None


def test_rotation_owner_and_use_come_from_the_list_alone(estate):
    """What moto does not tell (rotation without a Lambda, owning service, last access) is told by AWS's own shape."""
    day = datetime(2026, 10, 1, tzinfo=UTC)
    arn = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1"
    rules = {"ScheduleExpression": "rate(10 days)"}
    one = {
        "ARN": arn, "Name": "rds!db-1", "RotationEnabled": True, "RotationRules": rules, "OwningService": "rds",
        "LastRotatedDate": day, "LastAccessedDate": day, "NextRotationDate": day + timedelta(days=10),
        "SecretVersionsToStages": {"2" * 32: ["AWSCURRENT"], "1" * 32: ["AWSPREVIOUS"]}, "KmsKeyId": estate.key,
        "ExternalSecretRotationMetadata": [{"Key": "k", "Value": CANARY}],
    }  # fmt: skip
    cron = {**one, "ARN": f"{arn}b", "RotationRules": {"ScheduleExpression": "cron(0 8 1 * ? *)"}}
    estate.answer("secretsmanager", "ListSecrets", {"SecretList": [one, cron]})
    estate.answer("secretsmanager", "DescribeSecret", {})
    estate.answer("secretsmanager", "GetResourcePolicy", {})

    rows = read(collector())
    first, second = (row for row in only(rows, Credential) if row.kind is CredentialKind.SECRET)

    assert (True, 10, day, day, day + timedelta(days=10), 2, KeyManager.PROVIDER) == (
        first.has_rotation, first.rotation_period_days, first.last_rotated_at, first.last_used_at,
        first.next_rotation_at, first.versions, first.manager,
    )  # fmt: skip
    assert {"AWSCURRENT": "2" * 32, "AWSPREVIOUS": "1" * 32} == json.loads(first.detail)["VersionByStage"]
    assert second.rotation_period_days is None
    assert [f"{arn}b"] == [row.locator for row in only(rows, Gap) if row.field == "rotation_period_days"]
    assert CANARY not in repr(rows)


def test_who_a_policy_lets_in_is_told_and_flagged(estate):
    """A policy for another account and one for everyone, through the resolver."""
    manager = estate.client("secretsmanager")
    for name, principal in (("app", {"AWS": "arn:aws:iam::444455556666:root"}), ("plain", "*")):
        statement = {"Sid": "lend", "Effect": "Allow", "Principal": principal, "Resource": "*",
                     "Action": "secretsmanager:GetSecretValue"}  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        manager.put_resource_policy(SecretId=name, ResourcePolicy=policy)

    rows = read(collector())

    flags = {row.label: row.access_flags for row in only(rows, Credential)}
    assert "cross-account-access" in flags["app"]
    assert "public-access" in flags["plain"]
    access = {row.locator: row for row in only(rows, Access)}
    assert ("arn:aws:iam::444455556666:root", True, "lend") == (
        access[estate.app].principal, access[estate.app].is_cross_account, access[estate.app].source,
    )  # fmt: skip
    uids = {row.credential_uid for row in only(rows, Credential)}
    assert {row.subject_uid for row in access.values()} <= uids


def test_a_policy_that_is_none_is_a_gap_and_no_clean_bill(estate):
    """Nothing can be called clean that was not understood."""
    estate.answer("secretsmanager", "GetResourcePolicy", {"ResourcePolicy": "{"})

    rows = read(collector())

    assert {None} == {row.access_flags for row in only(rows, Credential) if row.kind is CredentialKind.SECRET}
    assert GapStatus.MALFORMED in {gap.status for gap in only(rows, Gap) if gap.field == "access_flags"}


def test_parameters_are_told_without_their_values(estate):
    """SecureString only: key, tier, version, tags, and when it was last written."""
    told = {row.label: row for row in only(read(collector()), Credential) if row.kind is CredentialKind.PARAMETER}

    assert {"/app/db", "token"} == set(told)
    db = told["/app/db"]
    assert (key_uid(estate.key), "payments", "prod") == (db.encrypted_by, db.owner, db.environment)
    assert f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/app/db" == db.locator
    assert db.created_at == db.last_rotated_at is not None
    assert (1, "Standard") == tuple(json.loads(db.detail)[name] for name in ("Version", "Tier"))


def test_a_parameter_that_expires_says_when(estate):
    """By its policy, which moto writes as no JSON; a policy that cannot be read is a gap."""
    text = json.dumps({"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2030-12-02T21:34:33.000Z"}})
    policies = [{"PolicyText": text, "PolicyType": "Expiration", "PolicyStatus": "Pending"}]
    one = {"Name": "/a", "Type": "SecureString", "KeyId": estate.key, "Version": 7, "Tier": "Advanced"}
    broken = {**one, "Name": "/b", "Policies": [{"PolicyText": "{", "PolicyType": "Expiration"}]}
    estate.answer("ssm", "DescribeParameters", {"Parameters": [{**one, "Policies": policies}, broken]})

    rows = read(collector())

    ends = {row.label: row.expires_at for row in only(rows, Credential) if row.kind is CredentialKind.PARAMETER}
    assert {"/a": datetime(2030, 12, 2, 21, 34, 33, tzinfo=UTC), "/b": None} == ends
    assert ["expires_at"] == [gap.field for gap in only(rows, Gap) if gap.locator.endswith("parameter/b")]


def test_the_aws_command_line_says_the_same(estate):
    """Another client makes a secret and a parameter, and lists what we list."""
    estate.command("secretsmanager", "create-secret", "--name", "by-hand", "--secret-string", CANARY)
    listed = estate.command("secretsmanager", "list-secrets", "--include-planned-deletion")["SecretList"]
    parameters = estate.command(
        "ssm", "describe-parameters", "--parameter-filters", "Key=Type,Values=SecureString"
    )["Parameters"]  # fmt: skip

    rows = only(read(collector()), Credential)

    assert {one["ARN"] for one in listed} == {row.locator for row in rows if row.kind is CredentialKind.SECRET}
    assert {one["Name"] for one in parameters} == {row.label for row in rows if row.kind is CredentialKind.PARAMETER}
    assert "by-hand" in {row.label for row in rows}


def test_the_calls_made_are_those_declared(estate):
    """Neither fewer nor more; two questions a secret, none a parameter."""
    estate.organised()
    estate.answer("ec2", "DescribeRegions", {"Regions": [{"RegionName": REGION, "OptInStatus": "opted-in"}]})

    read(AwsSecrets(organization=True, roles=("Audit",), resume_minutes=0))

    assert set(AwsSecrets.reads) == estate.actions
    assert 3 == estate.calls["secretsmanager:DescribeSecret"]
    assert 2 == estate.calls["secretsmanager:GetResourcePolicy"]


def test_all_accounts_of_an_organisation_are_read(estate):
    """Each by the role in it; moto keeps their secrets apart."""
    dev = estate.organised()
    estate.client("secretsmanager", account=dev).create_secret(Name="theirs", SecretString=CANARY)

    rows = only(read(collector(organization=True, roles=("Audit",))), Credential)

    assert {(ACCOUNT, "app"), (dev, "theirs")} <= {(row.account, row.label) for row in rows}
    assert (ACCOUNT, "theirs") not in {(row.account, row.label) for row in rows}


@pytest.mark.parametrize(
    ("service", "operation", "field"),
    [("secretsmanager", "DescribeSecret", "replicas"), ("secretsmanager", "GetResourcePolicy", "access_flags"),
     ("kms", "ListAliases", "encrypted_by"), ("resourcegroupstaggingapi", "GetResources", "tags")],
)  # fmt: skip
def test_a_refused_question_is_a_gap_of_its_field(estate, service, operation, field):
    """Every secret is listed all the same, the field is unknown, and the permission is named."""
    before = {row.locator for row in only(read(collector()), Credential)}
    estate.refuse(service, operation)

    rows = read(collector())

    assert before == {row.locator for row in only(rows, Credential)}
    gaps = [gap for gap in only(rows, Gap) if gap.field == field and gap.status is GapStatus.DENIED]
    assert gaps
    assert {f"{service.replace('resourcegroupstaggingapi', 'tag')}:{operation}"} == {gap.permission for gap in gaps}


def test_a_refused_list_is_a_gap_of_its_target_and_the_other_service_is_read(estate):
    """What one service refuses hides nothing of the other's."""
    estate.refuse("secretsmanager", "ListSecrets")

    rows = read(collector())

    assert [(f"aws://{ACCOUNT}/{REGION}/secretsmanager", GapScope.TARGET, "secretsmanager:ListSecrets")] == [
        (gap.target, gap.scope, gap.permission) for gap in only(rows, Gap) if gap.scope is GapScope.TARGET
    ]
    assert {"/app/db", "token"} == {row.label for row in only(rows, Credential)}


def test_throttling_is_told_as_such(estate, monkeypatch):
    """After botocore's retries."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    estate.refuse("ssm", "DescribeParameters", code="ThrottlingException")

    assert GapStatus.THROTTLED in {gap.status for gap in only(read(collector()), Gap)}


def test_a_secret_that_goes_between_list_and_question_is_told_by_its_gap(estate):
    """Not as a secret, and not as an error of the others."""
    estate.refuse("secretsmanager", "DescribeSecret", about="plain", code="ResourceNotFoundException")

    rows = read(collector())

    assert {"app", "doomed"} == {row.label for row in only(rows, Credential) if row.kind is CredentialKind.SECRET}
    assert [estate.plain] == [gap.locator for gap in only(rows, Gap) if gap.scope is GapScope.OBJECT]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("secretsmanager", "GetSecretValue"), ("secretsmanager", "BatchGetSecretValue"), ("ssm", "GetParameter"),
     ("ssm", "GetParameters"), ("ssm", "GetParameterHistory"), ("ssm", "GetParametersByPath"),
     ("secretsmanager", "PutSecretValue"), ("secretsmanager", "DeleteSecret"), ("kms", "Decrypt")],
)  # fmt: skip
def test_no_value_can_be_asked_for(estate, service, operation):
    """The corridor refuses before anything is sent."""
    found = collector()
    (target, *_) = found.targets()
    estate.calls.clear()

    def ask(place):
        place.ask(service, operation, {})
        yield

    with pytest.raises(CallForbidden):
        list(found._services.read(target, {"secretsmanager": ask, "ssm": ask}))

    assert f"{service}:{operation}" not in estate.calls


def test_no_value_surfaces_anywhere(estate, tmp_path, caplog):
    """Not in a row, not in a log, not in what a killed run leaves behind; nor does a description."""
    caplog.set_level("DEBUG", logger="collectors")
    found = collector(resume_minutes=60, resume=str(tmp_path / "resume"))
    target, *_ = found.targets()
    reading = found.collect(target)

    rows = [next(reading), *collector().collect(target)]

    assert CANARY not in repr(rows) + caplog.text
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"doomed" in path.read_bytes() for path in kept)
    assert [] == [path for path in kept if CANARY.encode() in path.read_bytes()]


def test_a_collector_travels_to_a_worker(estate):
    """It opens sessions of its own there."""
    assert {"app", "plain", "doomed"} <= {
        row.label for row in only(read(pickle.loads(pickle.dumps(collector()))), Credential)
    }
