"""What the KMS simulator keeps to beside key states: paging, names, aliases, grants, policies, tags, validation."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from simulators.kms.calls import ACROSS_ACCOUNTS
from simulators.kms.validation import service

ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"


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


def test_lists_are_paged_as_documented(region, kms):
    """100 keys, 50 aliases, 50 grants and 50 tags a page by default; every item is told once."""
    keys = region.add_keys(230, aliased=1.0, tagged=0.0)
    for number in range(120):
        region.grant(keys[0], Name=f"n{number}")
    keys[0].tags = {f"t{number}": "v" for number in range(50)}

    pages = list(kms.get_paginator("list_keys").paginate())
    assert [100, 100, 30] == [len(page["Keys"]) for page in pages]
    assert {key.key_id for key in keys} == {one["KeyId"] for page in pages for one in page["Keys"]}
    aliases = list(kms.get_paginator("list_aliases").paginate())
    assert [50, 50, 50, 50, 30] == [len(page["Aliases"]) for page in aliases]
    grants = list(kms.get_paginator("list_grants").paginate(KeyId=keys[0].key_id))
    assert [50, 50, 20] == [len(page["Grants"]) for page in grants]
    assert 120 == len({one["GrantId"] for page in grants for one in page["Grants"]})
    tags = list(
        kms.get_paginator("list_resource_tags").paginate(KeyId=keys[0].key_id, PaginationConfig={"PageSize": 30})
    )
    assert [30, 20] == [len(page["Tags"]) for page in tags]
    assert 230 == len(kms.list_keys(Limit=1000)["Keys"])


@pytest.mark.parametrize(
    ("verb", "most", "words"),
    [
        ("list_keys", 1000, {}),
        ("list_aliases", 100, {}),
        ("list_grants", 100, {"KeyId": "key"}),
        ("list_resource_tags", 50, {"KeyId": "key"}),
        ("list_key_policies", 1000, {"KeyId": "key"}),
        ("list_key_rotations", 1000, {"KeyId": "key"}),
        ("list_retirable_grants", 100, {"RetiringPrincipal": ROLE}),
        ("describe_custom_key_stores", 1000, {}),
    ],
)
def test_a_page_has_a_documented_maximum(region, kms, verb, most, words):
    """One more than the maximum is refused."""
    key = region.key()
    words = {name: key.key_id if value == "key" else value for name, value in words.items()}

    getattr(kms, verb)(Limit=most, **words)
    assert "ValidationException" == code(getattr(kms, verb), Limit=most + 1, **words)


def test_a_false_marker_is_refused(kms):
    """InvalidMarkerException."""
    assert "InvalidMarkerException" == code(kms.list_keys, Marker="!")


def test_no_key_is_skipped_when_others_vanish_between_pages(region, kms):
    """A marker says after which key to go on, so deletion of earlier ones moves nothing."""
    keys = region.add_keys(150)
    first = kms.list_keys()
    gone = {one["KeyId"] for one in first["Keys"][:40]}
    for key in keys:
        if key.key_id in gone:
            region.facts.drop(key)

    second = kms.list_keys(Marker=first["NextMarker"])

    assert {key.key_id for key in keys} == {one["KeyId"] for page in (first, second) for one in page["Keys"]}


def test_a_key_is_found_by_id_arn_alias_and_alias_arn(aws, region, kms):
    """Where the page says so; elsewhere an alias is no key. A wrong region, a wrong ARN, an unknown key say which."""
    key = region.key(alias="app")
    alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/app"

    for name in (key.key_id, key.arn, "alias/app", alias):
        assert key.arn == kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"]
    assert "NotFoundException" == code(kms.get_key_policy, KeyId="alias/app")
    assert "NotFoundException" == code(aws.client("kms", "us-east-1").describe_key, KeyId=key.arn)
    assert "NotFoundException" == code(kms.describe_key, KeyId="alias/none")
    assert "InvalidArnException" == code(kms.describe_key, KeyId="arn:aws:s3:::bucket")


def test_aliases_follow_their_rules(region, kms):
    """Made once, moved between keys of a kind, deleted; aws/ is reserved, the prefix needed, 50 a key at most."""
    key, other, rsa = region.key(), region.key(), region.key("RSA_2048", usage="SIGN_VERIFY")
    kms.create_alias(AliasName="alias/a", TargetKeyId=key.key_id)

    assert "AlreadyExistsException" == code(kms.create_alias, AliasName="alias/a", TargetKeyId=other.key_id)
    assert "InvalidAliasNameException" == code(kms.create_alias, AliasName="a", TargetKeyId=key.key_id)
    assert "NotAuthorizedException" == code(kms.create_alias, AliasName="alias/aws/x", TargetKeyId=key.key_id)
    assert "ValidationException" == code(kms.update_alias, AliasName="alias/a", TargetKeyId=rsa.key_id)
    kms.update_alias(AliasName="alias/a", TargetKeyId=other.key_id)
    assert [other.key_id] == [one["TargetKeyId"] for one in kms.list_aliases(KeyId=other.key_id)["Aliases"]]
    kms.delete_alias(AliasName="alias/a")
    assert "NotFoundException" == code(kms.delete_alias, AliasName="alias/a")
    for number in range(50):
        region.alias(f"n{number}", key)
    assert "LimitExceededException" == code(kms.create_alias, AliasName="alias/b", TargetKeyId=key.key_id)


def test_a_predefined_alias_has_no_target(region, kms):
    """AWS lists aliases of its services before their keys exist."""
    region.predefined_alias("ebs")

    assert [{"AliasName", "AliasArn"}] == [set(one) for one in kms.list_aliases()["Aliases"]]


def test_a_dry_run_changes_nothing(region, kms):
    """DryRunOperationException where it would have worked, the real error where not."""
    key = region.key()
    grant = region.grant(key, RetiringPrincipal=ROLE)
    words = {"KeyId": key.arn, "GrantId": grant.grant_id, "DryRun": True}

    given = {"KeyId": key.arn, "GranteePrincipal": ROLE, "Operations": ["Decrypt"], "DryRun": True}
    assert {"DryRunOperationException"} == {
        code(kms.create_grant, **given), code(kms.revoke_grant, **words), code(kms.retire_grant, **words),
        code(kms.encrypt, KeyId=key.key_id, Plaintext=b"x", DryRun=True),
    }  # fmt: skip
    assert [grant.grant_id] == [one["GrantId"] for one in kms.list_grants(KeyId=key.key_id)["Grants"]]
    assert "NotFoundException" == code(kms.revoke_grant, KeyId=key.arn, GrantId="none", DryRun=True)
    assert {} == kms.get_key_last_usage(KeyId=key.key_id)["KeyLastUsage"]


def test_grants_are_given_and_taken(region, kms):
    """The same named grant twice is one; revoked by id, retired by token; only operations that the key supports."""
    key, rsa = region.key(), region.key("RSA_2048", usage="SIGN_VERIFY")
    words = {"KeyId": key.key_id, "GranteePrincipal": ROLE, "Operations": ["Decrypt"], "RetiringPrincipal": ROLE}
    first, again = kms.create_grant(Name="n", **words), kms.create_grant(Name="n", **words)
    second = kms.create_grant(**words)

    assert first["GrantId"] == again["GrantId"]
    retirable = kms.list_retirable_grants(RetiringPrincipal=ROLE)["Grants"]
    assert {first["GrantId"], second["GrantId"]} == {one["GrantId"] for one in retirable}
    kms.revoke_grant(KeyId=key.key_id, GrantId=first["GrantId"])
    kms.retire_grant(GrantToken=second["GrantToken"])
    assert [] == kms.list_grants(KeyId=key.key_id)["Grants"]
    assert "ValidationException" == code(
        kms.create_grant, KeyId=rsa.key_id, GranteePrincipal=ROLE, Operations=["Encrypt"]
    )
    assert "InvalidGrantTokenException" == code(kms.retire_grant, GrantToken="none")
    given = {"KeyId": key.key_id, "GranteeServicePrincipal": "s3.amazonaws.com", "Operations": ["Decrypt"]}
    assert "ValidationException" == code(kms.create_grant, **given)
    bound = {"SourceArn": "arn:aws:s3:eu-west-1:111122223333:bucket"}
    kms.create_grant(Constraints=bound, RetiringPrincipal=ROLE, **given)


def test_a_policy_is_kept_as_it_was_put(region, kms):
    """And refused when it is no policy, or would lock its author out."""
    key = region.key()
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "kms:*",
        "Resource": "*",
    }
    text = json.dumps({"Version": "2012-10-17", "Statement": allow}, indent=3)
    kms.put_key_policy(KeyId=key.key_id, Policy=text)

    assert text == kms.get_key_policy(KeyId=key.key_id)["Policy"]
    assert ["default"] == kms.list_key_policies(KeyId=key.key_id)["PolicyNames"]
    assert "NotFoundException" == code(kms.get_key_policy, KeyId=key.key_id, PolicyName="other")
    assert "MalformedPolicyDocumentException" == code(kms.put_key_policy, KeyId=key.key_id, Policy="{}")
    foreign = text.replace(ACCOUNT, OTHER)
    assert "MalformedPolicyDocumentException" == code(kms.put_key_policy, KeyId=key.key_id, Policy=foreign)
    kms.put_key_policy(KeyId=key.key_id, Policy=foreign, BypassPolicyLockoutSafetyCheck=True)


def test_tags_are_checked(region, kms):
    """Changed, taken away; not twice, not aws:, at most 50."""
    key = region.key(tags={"a": "1"})
    tag = lambda name: [{"TagKey": name, "TagValue": "2"}]  # noqa: E731
    kms.tag_resource(KeyId=key.key_id, Tags=tag("a") + tag("b"))
    kms.untag_resource(KeyId=key.key_id, TagKeys=["b", "none"])

    assert tag("a") == kms.list_resource_tags(KeyId=key.key_id)["Tags"]
    assert "TagException" == code(kms.tag_resource, KeyId=key.key_id, Tags=tag("x") * 2)
    assert "TagException" == code(kms.tag_resource, KeyId=key.key_id, Tags=tag("aws:x"))
    key.tags = {f"t{number}": "v" for number in range(50)}
    assert "LimitExceededException" == code(kms.tag_resource, KeyId=key.key_id, Tags=tag("more"))


def test_another_accounts_key_needs_its_policy(aws, region):
    """By ARN, if the key's policy names the account; and never for operations that stay in an account."""
    key = region.key()
    there = aws.client("kms", REGION, account=OTHER)
    assert "AccessDeniedException" == code(there.describe_key, KeyId=key.arn)

    key.policy = key.policy_text().replace(ACCOUNT, OTHER)

    assert ACCOUNT == there.describe_key(KeyId=key.arn)["KeyMetadata"]["AWSAccountId"]
    assert "AccessDeniedException" == code(there.get_key_policy, KeyId=key.arn)
    assert "NotFoundException" == code(there.describe_key, KeyId=key.key_id)


def test_operations_across_accounts_are_those_of_the_reference():
    """Each operation's text in botocore's model says whether it may be used across accounts."""
    model = service()
    says_yes = {
        name
        for name in model.operation_names
        if re.search(r"Cross-account use</b>\s*:\s*Yes", model.operation_model(name).documentation)
    }

    assert says_yes == set(ACROSS_ACCOUNTS)


def test_keys_shared_through_ram_are_listed_when_asked_for(aws, region, kms):
    """ResourceOwners is SELF unless said otherwise."""
    own, foreign = region.key(), aws.account(OTHER).region(REGION).key()
    region.share(foreign)

    assert [own.arn] == [one["KeyArn"] for one in kms.list_keys()["Keys"]]
    both = kms.list_keys(ResourceOwners=["SELF", "OTHER_ACCOUNTS_VIA_RAM"])["Keys"]
    assert {own.arn, foreign.arn} == {one["KeyArn"] for one in both}
    there = aws.client("kms", REGION, account=OTHER)
    assert ["AWS_RAM", "default"] == there.list_key_policies(KeyId=foreign.key_id)["PolicyNames"]
    assert ACCOUNT in there.get_key_policy(KeyId=foreign.key_id, PolicyName="AWS_RAM")["Policy"]
    assert "NotFoundException" == code(kms.get_key_policy, KeyId=own.key_id, PolicyName="AWS_RAM")


def test_keys_that_aws_manages_are_not_changed(region, kms):
    """They can be read, and always rotate; whatever would change them is refused."""
    key = region.managed_key("s3")

    assert "AWS" == kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["KeyManager"]
    assert kms.get_key_rotation_status(KeyId=key.key_id)["KeyRotationEnabled"]
    assert {"AccessDeniedException"} == {
        code(kms.disable_key, KeyId=key.key_id), code(kms.schedule_key_deletion, KeyId=key.key_id),
        code(kms.disable_key_rotation, KeyId=key.key_id), code(kms.update_key_description, KeyId=key.key_id, Description="x"),
    }  # fmt: skip


def test_wrong_words_are_refused_in_awss_own(aws):
    """Required members, enums and bounds, as the service validates them."""
    loose = aws.client("kms", REGION, config=Config(parameter_validation=False))

    with pytest.raises(ClientError, match="'keySpec' failed to satisfy constraint: Member must satisfy enum value set"):
        loose.create_key(KeySpec="ROT_13")
    with pytest.raises(ClientError, match="Value '1001' at 'limit' failed to satisfy constraint"):
        loose.list_keys(Limit=1001)
    with pytest.raises(
        ClientError, match="Value null at 'keyId' failed to satisfy constraint: Member must not be null"
    ):
        loose.describe_key()


def test_the_last_use_is_told(aws, region, kms):
    """Empty when never used; then the operation, its time and the ids of event and request; only successful uses count."""
    key = region.key()
    told = kms.get_key_last_usage(KeyId=key.key_id)
    assert {} == told["KeyLastUsage"]
    assert told["KeyCreationDate"] == told["TrackingStartDate"]

    request = kms.encrypt(KeyId=key.key_id, Plaintext=b"x")["ResponseMetadata"]["RequestId"]
    code(kms.decrypt, KeyId=key.key_id, CiphertextBlob=b"x")

    used = kms.get_key_last_usage(KeyId=key.key_id)["KeyLastUsage"]
    assert ("Encrypt", request) == (used["Operation"], used["KmsRequestId"])
    aws.tracking_since = aws.now()
    old = region.key(created_at=aws.now() - 1e6)
    told = kms.get_key_last_usage(KeyId=old.key_id)
    assert told["KeyCreationDate"] < told["TrackingStartDate"]


def test_many_threads_see_one_estate(region, kms):
    """A hundred keys made by eight threads are a hundred keys."""
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: kms.create_key()["KeyMetadata"]["KeyId"], range(100)))

    assert made == {one["KeyId"] for one in kms.list_keys()["Keys"]}
