"""aws_kms over moto's server: what keys protect, which calls it takes, and whether the real command line agrees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import jmespath
import pytest
from botocore.session import get_session

from collectors._aws.corridor import ASSUME_ROLE
from collectors._aws.names import key_uid
from collectors._aws.permissions import permission
from collectors.aws_kms import AwsKms
from collectors.aws_kms._protects import calls
from toolkit.model import Gap, Key, Relation
from toolkit.terms import GapStatus

REGION = "eu-west-1"
SCRIPTS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    """moto's server in a process of its own; its URL."""
    told = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with told.open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        for _ in range(600):
            found = re.search(r"http://127\.0\.0\.1:\d+", told.read_text())
            if found:
                break
            time.sleep(0.1)
        yield found[0]
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def estate(moto, monkeypatch, tmp_path):
    """An account of moto's, signed in, empty."""
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).close()
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    given = {
        "AWS_ENDPOINT_URL": moto, "AWS_ACCESS_KEY_ID": "AKIA" + "2" * 16, "AWS_SECRET_ACCESS_KEY": os.urandom(20).hex(),
        "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_PAGER": "", "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return lambda service: boto3.client(service, REGION)


def collect(**options) -> list:
    """All rows of the region."""
    collector = AwsKms(**{"regions": (REGION,), "resume_minutes": 0, **options})
    return [row for target in collector.targets() for row in collector.collect(target)]


def furnish(client) -> dict[str, str]:
    """Things of many services, each under one key, that is named in each of the four ways; the key by thing."""
    kms = client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=key["KeyId"])
    arn, alias_arn = key["Arn"], key["Arn"].replace(f"key/{key['KeyId']}", "alias/app")
    ec2 = client("ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1, Encrypted=True, KmsKeyId=arn)["VolumeId"]
    ec2.create_snapshot(VolumeId=volume)
    client("s3").create_bucket(Bucket="papers", CreateBucketConfiguration={"LocationConstraint": REGION})
    sse = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["KeyId"]}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": sse}]}
    client("s3").put_bucket_encryption(Bucket="papers", ServerSideEncryptionConfiguration=rules)
    client("secretsmanager").create_secret(Name="s", SecretString=os.urandom(8).hex(), KmsKeyId="alias/app")
    client("ssm").put_parameter(Name="/p", Value=os.urandom(8).hex(), Type="SecureString", KeyId=alias_arn)
    client("sns").create_topic(Name="t", Attributes={"KmsMasterKeyId": "alias/app"})
    client("sqs").create_queue(QueueName="q", Attributes={"KmsMasterKeyId": key["KeyId"]})
    client("logs").create_log_group(logGroupName="g", kmsKeyId=arn)
    client("dynamodb").create_table(
        TableName="d", KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": arn},
    )  # fmt: skip
    client("efs").create_file_system(CreationToken="f", Encrypted=True, KmsKeyId=arn)
    client("kinesis").create_stream(StreamName="k", ShardCount=1)
    client("kinesis").start_stream_encryption(StreamName="k", EncryptionType="KMS", KeyId=arn)
    client("backup").create_backup_vault(BackupVaultName="v", EncryptionKeyArn=arn)
    return key


@pytest.mark.slow
def test_what_a_key_protects_is_found_however_it_is_named(estate):
    """By id, ARN, alias and alias ARN: volumes, buckets, secrets, queues and the rest, all under the one key."""
    key = furnish(estate)

    relations = [row for row in collect() if isinstance(row, Relation)]

    found = {row.object_kind.split("::")[1] for row in relations if row.locator == key["Arn"]}
    named = {"EC2", "S3", "SecretsManager", "SSM", "SNS", "SQS", "Logs", "DynamoDB", "EFS", "Kinesis", "Backup"}
    assert set() == named - found
    assert {key_uid(key["Arn"])} == {row.subject_uid for row in relations if row.locator == key["Arn"]}
    assert all(row.object.startswith("arn:aws:") for row in relations)
    assert "arn:aws:s3:::papers" in {row.object for row in relations}


def test_a_bucket_that_names_no_key_is_under_the_service_s_own():
    """aws:kms without a key means alias/aws/s3; AES256 means none that is anybody's."""
    (call,) = [call for call in calls() if call.service == "s3"]
    rules = [
        {"SSEAlgorithm": "aws:kms"},
        {"SSEAlgorithm": "AES256"},
        {"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": "x"},
    ]
    answer = {
        "ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": one} for one in rules]}
    }

    assert ["alias/aws/s3", "x"] == jmespath.search(call.found, answer)


def test_an_alias_that_is_not_here_is_a_gap(estate):
    """It may be another account's key: what it protects is then not known."""
    estate("sns").create_topic(Name="t", Attributes={"KmsMasterKeyId": "alias/elsewhere"})

    (gap,) = [row for row in collect() if isinstance(row, Gap) and ":t" in row.locator[-2:]]

    assert ("protects", GapStatus.ERROR) == (gap.field, gap.status)


def test_every_call_of_the_table_is_in_botocore_s_model():
    """Operations, parameters and members are spelled as the service spells them."""
    session = get_session()
    for call in calls():
        model = session.get_service_model(call.service)
        listing = model.operation_model(call.operation)
        assert set(call.params) <= set(listing.input_shape.members), call.operation
        head = re.match(r"\w+", call.items)[0]
        assert head in listing.output_shape.members, call.operation
        words = re.findall(r"\b[A-Za-z]\w*(?:\.\w+)*", re.sub(r"'[^']*'", "", call.items[len(head) :]))
        for word in words:
            assert _has(listing.output_shape.members[head].member, word.split(".")), (call.operation, word)
        if call.each:
            asked = model.operation_model(call.each)
            assert {call.parameter, *call.each_params} <= set(asked.input_shape.members)
            assert call.found.split(".")[0] in asked.output_shape.members


def _has(shape, path: list[str]) -> bool:
    for word in path:
        if shape.type_name != "structure" or word not in shape.members:
            return False
        shape = shape.members[word]
    return True


@pytest.mark.slow
def test_the_calls_made_are_those_declared(estate, monkeypatch):
    """Neither fewer nor more: what is declared is what a least-privilege policy is made of."""
    from collectors._aws import sessions

    furnish(estate)
    kms = estate("kms")
    kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    organizations = boto3.client("organizations", "us-east-1")
    organizations.create_organization(FeatureSet="ALL")
    organizations.create_account(Email="dev@example.org", AccountName="dev")
    made = set()
    ask, create = sessions.Account.ask, sessions.AssumeRoleCredentialFetcher

    def noting(self, service, operation, params, **where):
        made.add(permission(service, operation))
        return ask(self, service, operation, params, **where)

    def fetching(*words, **more):
        made.add(ASSUME_ROLE)
        return create(*words, **more)

    monkeypatch.setattr(sessions.Account, "ask", noting)
    monkeypatch.setattr(sessions, "AssumeRoleCredentialFetcher", fetching)
    from collectors.aws_kms import _asking as asking

    # moto has no custom key stores: a key says that it is in one.
    shown = asking._metadata
    monkeypatch.setattr(asking, "_metadata", lambda answer: {**shown(answer), "CustomKeyStoreId": "cks-1"})
    collector = AwsKms(organization=True, roles=("Audit",), resume_minutes=0)
    for target in collector.targets():
        if f"/{REGION}/" in target.locator:
            list(collector.collect(target))

    assert set() == made - set(AwsKms.reads)
    assert set() == set(AwsKms.reads) - made


@pytest.mark.slow
def test_the_real_command_line_agrees(aws, signed_in):
    """`aws kms` and we read the same simulator, and say the same of each key."""
    region = aws.account("111122223333").region(REGION)
    rotating = region.key(alias="one", rotated_every_days=200)
    made = {key.arn for key in (rotating, region.key(state="Disabled"), region.key("ECC_NIST_P256"))}

    told = {row.locator: row for row in collect(protects=False, identities=False) if isinstance(row, Key)}

    assert made == set(told) == {one["KeyArn"] for one in command_line("list-keys")["Keys"]}
    for arn, key in told.items():
        theirs = command_line("describe-key", "--key-id", arn)["KeyMetadata"]
        assert (theirs["KeyState"], theirs["KeySpec"]) == (key.native_state, json.loads(key.detail)["KeySpec"])
        names = command_line("list-aliases", "--key-id", arn)["Aliases"]
        assert tuple(one["AliasName"] for one in names) == key.aliases
    status = command_line("get-key-rotation-status", "--key-id", rotating.arn)
    assert (status["KeyRotationEnabled"], status["RotationPeriodInDays"]) == (
        told[rotating.arn].has_rotation, told[rotating.arn].rotation_period_days,
    )  # fmt: skip


def command_line(*words: str) -> dict:
    """What the real command line is told."""
    ran = subprocess.run([SCRIPTS / "aws", "kms", *words, "--output", "json"], capture_output=True, check=True)
    return json.loads(ran.stdout)
