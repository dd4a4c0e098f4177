"""What a test can make go wrong in the KMS simulator, seen by boto3."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture
def region(aws):
    """A region to furnish."""
    return aws.account(ACCOUNT).region(REGION)


@pytest.fixture
def kms(aws, region):
    """A client that tries once."""
    return aws.client("kms", REGION)


def refusal(call, **words) -> tuple[str, str]:
    """The code and the sentence of the error that a call raises."""
    with pytest.raises(ClientError) as caught:
        call(**words)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def refusal_or_ok(call) -> str:
    """The code of the error that a call raises, if any."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "OK"


@pytest.mark.parametrize(
    ("why", "ending"),
    [
        ("identity", "because no identity-based policy allows the kms:GetKeyPolicy action"),
        ("resource", "because no resource-based policy allows the kms:GetKeyPolicy action"),
        ("scp", "with an explicit deny in a service control policy"),
    ],
)
def test_one_key_can_be_denied(aws, region, kms, why, ending):
    """Only the key and the action that were named, in AWS's words."""
    closed, other = region.key(), region.key()
    aws.deny("kms:GetKeyPolicy", key=closed, why=why)

    code, message = refusal(kms.get_key_policy, KeyId=closed.key_id)

    assert "AccessDeniedException" == code
    assert f"{closed.arn} {ending}" in message
    assert "default" == kms.get_key_policy(KeyId=other.key_id)["PolicyName"]
    assert closed.key_id == kms.describe_key(KeyId=closed.key_id)["KeyMetadata"]["KeyId"]


def test_an_account_and_a_region_can_be_denied(aws):
    """A rule holds where it says, and nowhere else."""
    aws.deny("kms:ListKeys", account=ACCOUNT, region=REGION, why="scp")

    assert "AccessDeniedException" == refusal(aws.client("kms", REGION).list_keys)[0]
    assert [] == aws.client("kms", "us-east-1").list_keys()["Keys"]
    assert [] == aws.client("kms", REGION, account="444455556666").list_keys()["Keys"]


def test_a_denial_can_be_taken_back(aws, region, kms):
    """So that a test can show a cure."""
    rule = aws.deny("kms:*")
    assert "AccessDeniedException" == refusal(kms.list_keys)[0]

    aws.allow(rule)

    assert [] == kms.list_keys()["Keys"]


def test_expired_credentials_are_refused(aws, kms):
    """ExpiredTokenException, whatever was asked."""
    aws.expire(aws.account(ACCOUNT).credentials["aws_access_key_id"])

    assert "ExpiredTokenException" == refusal(kms.list_keys)[0]


def test_a_disabled_region_knows_no_credentials(aws, kms):
    """A region that was not opted into answers as if the token were wrong."""
    aws.account(ACCOUNT).disable_region("ap-east-1")

    assert "UnrecognizedClientException" == refusal(aws.client("kms", "ap-east-1").list_keys)[0]
    assert [] == kms.list_keys()["Keys"]


def test_quotas_throttle_and_recover(aws, region):
    """The fifth CreateKey of a second is the last; another operation has its own quota."""
    aws.throttle(ListGrants=3)
    kms, key = aws.client("kms", REGION), region.key()

    outcomes = []
    for _ in range(10):
        try:
            kms.list_grants(KeyId=key.key_id)
            outcomes.append("OK")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    assert 3 <= outcomes.count("OK") < 10
    assert {"OK", "ThrottlingException"} == set(outcomes)
    assert key.key_id == kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyId"]


def test_the_same_calls_fail_for_the_same_seed(aws, region, kms):
    """A share of calls, chosen by seed and call and not by the order of arrival; a retry has its own fate."""
    keys = [region.key() for _ in range(60)]
    aws.fail(share=0.2, seed=7)

    def failing(some) -> set[str]:
        failed = set()
        for key in some:
            try:
                kms.describe_key(KeyId=key.key_id)
            except ClientError:
                failed.add(key.key_id)
        return failed

    first = failing(keys)
    assert len(first) == aws.counts["DescribeKey", "KMSInternalException"]
    aws.heal()
    aws.fail(share=0.2, seed=7)

    assert 0 < len(first) < 60
    assert first == failing(reversed(keys))


def test_standard_retries_get_over_failures(aws, region):
    """With retries a client sees every key."""
    keys = [region.key() for _ in range(40)]
    aws.fail(share=0.2, seed=3, error="ServiceUnavailable")
    config = Config(retries={"mode": "standard", "total_max_attempts": 8})
    kms = aws.client("kms", REGION, config=config)

    assert {key.key_id for key in keys} == {kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyId"] for key in keys}
    assert 0 < aws.counts["DescribeKey", "ServiceUnavailable"]


def test_a_lost_reply_has_done_its_work(aws, region, kms):
    """The connection breaks, and yet the key is disabled."""
    key = region.key()
    aws.lose_replies(share=1.0, operations=["DisableKey"])

    with pytest.raises(ConnectionClosedError):
        kms.disable_key(KeyId=key.key_id)

    assert "Disabled" == kms.describe_key(KeyId=key.key_id)["KeyMetadata"]["KeyState"]
    assert 1 == aws.counts["DisableKey", "lost reply"]


def test_a_vanished_key_is_listed_and_not_found(aws, region, kms):
    """As when it is deleted between the list and the call."""
    key = region.key()
    aws.vanish(key)

    assert [key.key_id] == [one["KeyId"] for one in kms.list_keys()["Keys"]]
    assert ("NotFoundException", f"Key '{key.arn}' does not exist") == refusal(kms.describe_key, KeyId=key.arn)


def test_new_things_are_seen_after_a_while(aws, kms):
    """Eventual consistency: a new key, alias and grant are there later."""
    aws.consistency_delay = 60.0
    key = kms.create_key()["KeyMetadata"]

    assert [] == kms.list_keys()["Keys"]
    assert "NotFoundException" == refusal(kms.describe_key, KeyId=key["KeyId"])[0]

    aws.advance(seconds=61)
    kms.create_alias(AliasName="alias/late", TargetKeyId=key["KeyId"])
    kms.create_grant(KeyId=key["KeyId"], GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:role/r", Operations=["Decrypt"])
    assert [] == kms.list_aliases()["Aliases"]
    assert [] == kms.list_grants(KeyId=key["KeyId"])["Grants"]

    aws.advance(seconds=61)
    assert [key["KeyId"]] == [one["TargetKeyId"] for one in kms.list_aliases()["Aliases"]]
    assert 1 == len(kms.list_grants(KeyId=key["KeyId"])["Grants"])


def test_latency_is_waited_for_outside_of_the_server(aws, region):
    """Answers that take long do not hold up one another: all calls have come before the first is answered."""
    key = region.key()
    kms = aws.client("kms", REGION, config=Config(max_pool_connections=8))
    kms.describe_key(KeyId=key.key_id)
    aws.latency = 1.5

    def came_before_the_answer(_) -> int:
        kms.describe_key(KeyId=key.key_id)
        return len(aws.calls)

    with ThreadPoolExecutor(8) as pool:
        assert {9} == set(pool.map(came_before_the_answer, range(8)))


def test_companions_fail_and_are_throttled_with_their_own_errors(aws):
    """A failure of KMS's is InternalFailure elsewhere; the tagging API calls throttling ThrottledException."""
    tagging = aws.client("resourcegroupstaggingapi", REGION)
    aws.throttle(GetResources=1)
    assert "ThrottledException" in {refusal_or_ok(tagging.get_resources) for _ in range(5)}
    aws.heal()
    aws.fail(share=1.0)
    assert "InternalFailure" == refusal(tagging.get_resources)[0]


def test_planted_secrets_are_found_where_they_surface(aws, region, kms):
    """Data keys, imported material, credentials: raw, in hexadecimal and in base64; and the log shows none."""
    key = region.key()
    plain = kms.generate_data_key(KeyId=key.key_id, KeySpec="AES_256")["Plaintext"]
    secret = aws.account(ACCOUNT).credentials["aws_secret_access_key"]

    for text in (plain, plain.hex(), base64.b64encode(plain), f"secret={secret}"):
        assert 1 == aws.leaks(text)
    assert 0 == aws.leaks(f"{aws.calls} {key} {key.arn}")


def test_every_call_is_remembered(aws, region, kms):
    """Operation, account, region, key and outcome."""
    key = region.key()
    kms.describe_key(KeyId=key.arn)
    refusal(kms.describe_key, KeyId="1234abcd-12ab-34cd-56ef-1234567890ab")

    assert [
        ("DescribeKey", ACCOUNT, REGION, key.key_id, "OK"),
        ("DescribeKey", ACCOUNT, REGION, None, "NotFoundException"),
    ] == [(one.operation, one.account, one.region, one.key, one.outcome) for one in aws.calls]


def test_accounts_and_regions_are_apart(aws):
    """One server, told apart by access key and credential scope."""
    places = [(account, region) for account in (ACCOUNT, "444455556666") for region in (REGION, "us-east-1")]
    made = {place: aws.account(place[0]).region(place[1]).key().arn for place in places}

    for account, region in places:
        listed = aws.client("kms", region, account=account).list_keys()["Keys"]
        assert [made[account, region]] == [one["KeyArn"] for one in listed]
