"""The calls beside KMS that the simulator answers for the same accounts."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from simulators.kms import cbor
from simulators.kms.process import KmsProcess

MANAGER, MEMBER, REGION = "111122223333", "444455556666", "eu-west-1"


@pytest.fixture
def organisation(aws):
    """A management account with thirty members."""
    aws.management_account = MANAGER
    aws.account(MANAGER)
    aws.account(MEMBER)
    for number in range(29):
        aws.account(f"{555500000000 + number}")
    return aws


def test_an_organisation_is_listed_page_by_page(organisation):
    """20 accounts a page, for the management account only."""
    client = organisation.client("organizations", "us-east-1", account=MANAGER)
    pages = list(client.get_paginator("list_accounts").paginate())

    assert [20, 11] == [len(page["Accounts"]) for page in pages]
    assert set(organisation.accounts) == {one["Id"] for page in pages for one in page["Accounts"]}
    assert MANAGER == client.describe_organization()["Organization"]["MasterAccountId"]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        organisation.client("organizations", "us-east-1", account=MEMBER).list_accounts()


def test_an_account_without_an_organisation_says_so(aws):
    """AWSOrganizationsNotInUseException."""
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        aws.client("organizations", "us-east-1").list_accounts()


def test_a_role_leads_into_another_account(organisation):
    """AssumeRole gives credentials that are that account's; a closed one is denied."""
    sts = organisation.client("sts", "us-east-1", account=MANAGER)
    key = organisation.account(MEMBER).region(REGION).key()

    given = sts.assume_role(RoleArn=f"arn:aws:iam::{MEMBER}:role/reader", RoleSessionName="audit")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], REGION)
    there = session.client("kms", endpoint_url=organisation.url)

    assert [key.arn] == [one["KeyArn"] for one in there.list_keys()["Keys"]]
    who = session.client("sts", endpoint_url=organisation.url).get_caller_identity()
    assert (MEMBER, f"arn:aws:sts::{MEMBER}:assumed-role/reader/audit") == (who["Account"], who["Arn"])
    organisation.closed_to_roles.add(MEMBER)
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=f"arn:aws:iam::{MEMBER}:role/reader", RoleSessionName="audit")


def test_regions_tell_whether_they_are_on(aws):
    """A region not opted into is listed only when all are asked for."""
    aws.account(MANAGER).disable_region("ap-east-1")
    ec2 = aws.client("ec2", "us-east-1")

    assert "ap-east-1" not in {one["RegionName"] for one in ec2.describe_regions()["Regions"]}
    every = {one["RegionName"]: one["OptInStatus"] for one in ec2.describe_regions(AllRegions=True)["Regions"]}
    assert ("not-opted-in", "opt-in-not-required") == (every["ap-east-1"], every["us-east-1"])


def test_the_tagging_api_tells_tagged_keys_only(aws):
    """100 a page, filtered by tags; a key that never had a tag is not there."""
    region = aws.account(MANAGER).region(REGION)
    tagged = region.add_keys(130, tagged=1.0)
    region.add_keys(20, tagged=0.0, seed=1)
    client = aws.client("resourcegroupstaggingapi", REGION)
    paginator = client.get_paginator("get_resources")

    pages = list(paginator.paginate(ResourceTypeFilters=["kms:key"]))
    assert [100, 30] == [len(page["ResourceTagMappingList"]) for page in pages]
    assert {key.arn for key in tagged} == {
        one["ResourceARN"] for page in pages for one in page["ResourceTagMappingList"]
    }
    some = client.get_resources(TagFilters=[{"Key": "owner", "Values": ["team-3"]}])["ResourceTagMappingList"]
    assert {key.arn for key in tagged if key.tags["owner"] == "team-3"} == {one["ResourceARN"] for one in some}
    assert [] == client.get_resources(ResourceTypeFilters=["s3:bucket"])["ResourceTagMappingList"]


def test_calls_are_told_by_cloudtrail(aws):
    """The newest first, one attribute at most, refused calls with their error; other accounts' calls are not told."""
    region = aws.account(MANAGER).region(REGION)
    key = region.key()
    kms, trail = aws.client("kms", REGION), aws.client("cloudtrail", REGION)
    kms.disable_key(KeyId=key.key_id)
    with pytest.raises(ClientError):
        kms.encrypt(KeyId=key.key_id, Plaintext=b"x")
    aws.client("kms", REGION, account=MEMBER).list_keys()

    told = trail.lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": key.arn}])["Events"]
    assert ["Encrypt", "DisableKey"] == [one["EventName"] for one in told]
    assert "DisabledException" == json.loads(told[0]["CloudTrailEvent"])["errorCode"]
    assert "ListKeys" not in {one["EventName"] for one in trail.lookup_events()["Events"]}
    two = [{"AttributeKey": "EventName", "AttributeValue": name} for name in ("Encrypt", "Decrypt")]
    with pytest.raises(ClientError, match="InvalidLookupAttributesException"):
        trail.lookup_events(LookupAttributes=two)


def test_companions_are_denied_and_expire_too(aws):
    """In the words and codes of their own protocols."""
    aws.deny("ec2:DescribeRegions", why="scp")
    aws.deny("tag:GetResources")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        aws.client("ec2", REGION).describe_regions()
    with pytest.raises(ClientError, match="AccessDeniedException"):
        aws.client("resourcegroupstaggingapi", REGION).get_resources()
    aws.expire(aws.account(MANAGER).credentials["aws_access_key_id"])
    with pytest.raises(ClientError, match="ExpiredToken"):
        aws.client("sts", REGION).get_caller_identity()


@pytest.mark.parametrize(
    "value",
    [{"a": [1, -1, 23, 24, 256, 70_000, 2**40], "b": "text", "c": b"bytes", "d": [True, False, None, 1.5]}, {}, []],
)
def test_cbor_goes_round(value):
    """What is written is read again."""
    assert value == cbor.loads(cbor.dumps(value))


def test_a_simulator_runs_in_a_process_of_its_own():
    """Furnished and asked over its input and output, called over HTTP, gone afterwards."""
    with KmsProcess() as process:
        assert 30 == process.ask("add_keys", account=MANAGER, region=REGION, count=30)
        process.ask("set", latency=0.001)
        denied = process.ask("deny_share", action="kms:DescribeKey", share=0.1, seed=1)
        keys = process.ask("credentials", account=MANAGER)
        kms = boto3.client("kms", REGION, endpoint_url=process.url, **keys)

        listed = [one["KeyArn"] for one in kms.list_keys()["Keys"]]
        with pytest.raises(ClientError, match="AccessDeniedException"):
            kms.describe_key(KeyId=denied[0])

        assert sorted(listed) == sorted(process.ask("keys"))
        assert 3 == len(denied)
        assert [["ListKeys", "OK", 1], ["DescribeKey", "AccessDeniedException", 1]] == process.ask("counts")
    assert process.is_gone
