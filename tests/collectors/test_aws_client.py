"""The client that all AWS collectors read through: where it goes, what it may ask, what becomes of a refusal."""

from __future__ import annotations

import pickle

import boto3
import pytest

from collectors._aws import troubles
from collectors._aws.corridor import CallForbidden, Corridor
from collectors._aws.estate import READS, Estate
from collectors._aws.place import Place
from collectors._aws.scope import Scope
from collectors._aws.troubles import CallFailed
from toolkit.errors import ConfigError
from toolkit.model import Gap
from toolkit.terms import GapScope, GapStatus

OWN, DEV, OPS = "111122223333", "222233334444", "333344445555"
ASKED = (*READS, "kms:ListKeys", "kms:DescribeKey", "kms:ListAliases", "kms:GetKeyLastUsage")


def estate(**scope) -> Estate:
    """An estate as a collector of KMS keys makes it; nothing is taken up unless the test says so."""
    return Estate("aws_kms", "kms", reads=ASKED, scope=Scope(**{"resume_minutes": 0, **scope}))


def listed(place: Place):
    """The rows of a collector that only lists keys; it has none, but can be refused."""
    seen.extend((place.account, place.region, one["KeyArn"]) for one in place.pages("kms", "ListKeys", "Keys"))
    yield from ()


seen: list[tuple[str, str, str]] = []


def read(estate: Estate) -> list[Gap]:
    """Everything there is, read; the gaps."""
    seen.clear()
    return [gap for target in estate.targets() for gap in estate.read(target, listed)]


def place_of(estate: Estate) -> Place:
    """The first place of an estate, entered."""
    caught = []

    def entered(place):
        caught.append(place)
        yield from ()

    target = next(iter(estate.targets()))
    place = estate._entered(target)
    assert target == place.target
    return place


def test_an_account_and_its_regions_are_targets_that_travel(aws, signed_in):
    """One a region, in a stable order, and each a value that a worker elsewhere can be given, like the estate."""
    aws.account(OWN).region("eu-west-1").key()
    found = estate()

    named = list(found.targets())

    assert [f"aws://{OWN}/{region}/kms" for region in sorted(aws.regions)] == [one.locator for one in named]
    assert named == list(found.targets()) == pickle.loads(pickle.dumps(named))
    assert [] == read(pickle.loads(pickle.dumps(found)))
    assert [(OWN, "eu-west-1")] == [place[:2] for place in seen]


def test_all_accounts_of_an_organisation_are_read_by_a_role_in_each(aws, signed_in):
    """The account that asks is read as it is; the others through the role, whose session is of their account."""
    aws.management_account = OWN
    keys = {number: aws.account(number).region("eu-west-1").key().arn for number in (OWN, DEV, OPS)}

    assert [] == read(estate(organization=True, roles=("Audit",), regions=("eu-west-1",)))

    assert [(number, "eu-west-1", keys[number]) for number in (OWN, DEV, OPS)] == seen
    who = {call.account: call.principal for call in aws.calls if call.operation == "ListKeys"}
    assert f"arn:aws:sts::{DEV}:assumed-role/Audit/keyatlas" == who[DEV]
    assert who[OWN].endswith("user/auditor")


def test_a_chain_of_roles_is_followed(aws, signed_in):
    """First the hub by its ARN, then, from there, the role in each account."""
    aws.account(OPS), aws.account(DEV).region("eu-west-1").key()

    gaps = read(estate(accounts=(DEV,), roles=(f"arn:aws:iam::{OPS}:role/hub", "Audit"), regions=("eu-west-1",)))

    assert [] == gaps
    assert [DEV] == [account for account, _, _ in seen]
    asked = [call.principal for call in aws.calls if call.operation == "AssumeRole"]
    assert [f"arn:aws:iam::{OWN}:user/auditor", f"arn:aws:sts::{OPS}:assumed-role/hub/keyatlas"] == asked


def test_an_account_that_cannot_be_entered_is_a_gap_and_the_rest_is_read(aws, signed_in):
    """Each of its regions is told, so that its old keys are not called gone."""
    aws.management_account = OWN
    for number in (OWN, DEV, OPS):
        aws.account(number).region("eu-west-1").key()
    aws.closed_to_roles.add(DEV)

    gaps = read(estate(organization=True, roles=("Audit",), regions=("eu-west-1",)))

    assert [(f"aws://{DEV}/eu-west-1/kms", GapScope.TARGET, GapStatus.DENIED, "sts:AssumeRole")] == [
        (gap.locator, gap.scope, gap.status, gap.permission) for gap in gaps
    ]
    assert [OWN, OPS] == [account for account, _, _ in seen]


def test_a_suspended_account_is_a_gap(aws, signed_in):
    """It is still the organisation's, and nobody can enter it."""
    aws.management_account = OWN
    aws.account(DEV).facts.status = "SUSPENDED"

    gaps = read(estate(organization=True, roles=("Audit",), regions=("eu-west-1",)))

    assert [("SUSPENDED", GapStatus.DENIED)] == [(gap.code, gap.status) for gap in gaps]
    assert "AssumeRole" not in [call.operation for call in aws.calls]


def test_an_organisation_that_may_not_be_listed_is_a_gap(aws, signed_in):
    """The own account is read all the same."""
    aws.account(OWN).region("eu-west-1").key()

    gaps = read(estate(organization=True, regions=("eu-west-1",)))

    assert [f"aws://{OWN}/organization/kms"] == [gap.locator for gap in gaps]
    assert [OWN] == [account for account, _, _ in seen]


def test_a_region_that_is_switched_off_does_not_apply(aws, signed_in):
    """Nothing is asked of it, and what it says is that there is nothing to see; so it is when the region was named."""
    aws.account(OWN).disable_region("eu-central-1")

    for found in (estate(), estate(regions=("eu-central-1",))):
        gaps = read(found)

        assert [("OptInRequired", GapStatus.NOT_APPLICABLE)] == [(gap.code, gap.status) for gap in gaps]


def test_regions_that_may_not_be_listed_are_taken_from_botocore(aws, signed_in):
    """And that is told, for a region that is newer would not be read."""
    aws.account(OWN).region("eu-west-1").key()
    aws.deny("ec2:DescribeRegions")

    gaps = read(estate())

    assert [f"aws://{OWN}/regions/kms"] == [gap.locator for gap in gaps]
    assert [GapStatus.DENIED] == [gap.status for gap in gaps]
    assert [(OWN, "eu-west-1")] == [place[:2] for place in seen]


def test_a_refusal_names_the_permission_and_who_refuses(aws, signed_in):
    """A service control policy is another's business than a missing permission, so the advice differs."""
    aws.deny("kms:ListKeys", why="scp")

    (gap,) = read(estate(regions=("eu-west-1",)))

    assert (GapScope.TARGET, GapStatus.DENIED, "kms:ListKeys") == (gap.scope, gap.status, gap.permission)
    assert "kms:ListKeys is refused: explicit deny in a service control policy" == gap.reason
    assert "allow kms:ListKeys in the organisation's service control policies" == gap.advice


def test_expired_credentials_are_a_gap_that_says_how_to_renew(aws, signed_in):
    """Whenever they run out: nothing crashes."""
    aws.expire(aws.account(OWN).credentials["aws_access_key_id"])

    (gap,) = read(estate(regions=("eu-west-1",)))

    assert (GapStatus.DENIED, "sts:GetCallerIdentity: the credentials have expired") == (gap.status, gap.reason)
    assert "aws sso login" in gap.advice


def test_a_profile_that_does_not_exist_is_a_gap_of_its_name(aws, signed_in):
    """The other profiles are read."""
    (gap,) = read(estate(profiles=("nobody",), regions=("eu-west-1",)))

    assert ("aws://profile/nobody/kms", "ProfileNotFound") == (gap.locator, gap.code)


def test_throttling_is_waited_out_and_then_told(aws, signed_in, monkeypatch):
    """Retries come first; a service that goes on throttling is a gap with that status."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    aws.account(OWN).region("eu-west-1").key()
    aws.fail(share=1.0, error="ThrottlingException", operations=["ListKeys"])

    (gap,) = read(estate(regions=("eu-west-1",)))

    assert (GapStatus.THROTTLED, "ThrottlingException") == (gap.status, gap.code)
    assert 6 == aws.counts["ListKeys", "ThrottlingException"]


@pytest.mark.parametrize("broken", ["lost reply", "InternalFailure"])
def test_a_failing_service_is_asked_again(aws, signed_in, broken):
    """A lost reply and a failure inside cost a retry, and no key."""
    keys = aws.account(OWN).region("eu-west-1").add_keys(40)
    wrong = aws.lose_replies if broken == "lost reply" else aws.fail
    wrong(share=0.4, seed=4, operations=["ListKeys"])
    place = place_of(estate(regions=("eu-west-1",)))

    found = list(place.pages("kms", "ListKeys", "Keys", {"Limit": 5}))

    assert {key.arn for key in keys} == {one["KeyArn"] for one in found}
    assert any(outcome != "OK" for _, outcome in aws.counts)


def test_a_page_that_fails_takes_nothing_away_from_those_before(aws, signed_in):
    """What was listed has been yielded; the rest is the failure."""
    aws.account(OWN).region("eu-west-1").add_keys(10)
    pages = place_of(estate(regions=("eu-west-1",))).pages("kms", "ListKeys", "Keys", {"Limit": 4})
    first = [next(pages) for _ in range(4)]
    aws.deny("kms:ListKeys")

    with pytest.raises(CallFailed):
        list(pages)

    assert 4 == len(first)


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("kms", "Decrypt", {"CiphertextBlob": b"x"}),
        ("kms", "DisableKey", {"KeyId": "x"}),
        ("kms", "GenerateDataKey", {"KeyId": "x"}),
        ("kms", "GetParametersForImport", {"KeyId": "x"}),
        ("secretsmanager", "GetSecretValue", {"SecretId": "x"}),
        ("ssm", "GetParameter", {"Name": "x", "WithDecryption": True}),
        ("kms", "GetKeyPolicy", {"KeyId": "x"}),
    ],
)
def test_no_call_is_made_that_was_not_declared(aws, signed_in, service, operation, params):
    """Nothing is sent: neither what changes or gives out a secret, nor reading that was not declared."""
    place = place_of(estate(regions=("eu-west-1",)))
    aws.forget()

    with pytest.raises(CallForbidden):
        place.ask(service, operation, params)

    assert [] == aws.calls


@pytest.mark.parametrize(
    "action",
    ["kms:Decrypt", "kms:PutKeyPolicy", "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue",
     "ssm:GetParameter", "ssm:GetParametersByPath", "kms:GetParametersForImport", "sts:GetSessionToken",
     "iam:CreateAccessKey", "s3:PutObject", "lambda:GetFunction", "ecr:GetAuthorizationToken", "sts:AssumeRoleX"],
)  # fmt: skip
def test_nothing_but_reading_can_be_declared(action):
    """The corridor is no wider than its name, whatever a collector's `reads` say."""
    with pytest.raises(ConfigError):
        Corridor((action,))


def test_no_operation_that_changes_kms_passes_for_reading():
    """All of KMS's operations, by botocore's model: those that pass are those that list and describe."""
    operations = boto3.client("kms", "eu-west-1").meta.service_model.operation_names
    passing = {name for name in operations if _passes(f"kms:{name}")}

    expected = {name for name in operations if name.startswith(("List", "Get", "Describe"))} - {
        "GetParametersForImport"
    }
    assert expected == passing


def _passes(action: str) -> bool:
    try:
        Corridor((action,))
    except ConfigError:
        return False
    return True


def test_a_message_of_the_service_is_never_passed_on():
    """It may quote what was signed, the session token included."""
    canary = "IQoJ" + "canary" * 8
    told = f"The Canonical String for this request should have been x-amz-security-token:{canary} explicit deny"

    for code in ("SignatureDoesNotMatch", "AccessDenied", "ThrottlingException", "Whatever", "NotFoundException"):
        trouble = troubles.of_answer("kms", "DescribeKey", code, told, 403)
        assert canary not in repr(trouble)
        assert canary not in repr(CallFailed(trouble))


def test_a_failure_travels_with_its_trouble():
    """A worker in another process hands it over whole."""
    failed = CallFailed(troubles.of_answer("kms", "DescribeKey", "AccessDenied", "", 400))

    assert failed.trouble == pickle.loads(pickle.dumps(failed)).trouble


@pytest.mark.parametrize(
    "scope",
    [{"accounts": ("prod",)}, {"regions": ("europe",)}, {"roles": ("a", "b")}, {"quota_share": 0.0},
     {"roles": ("arn:aws:iam::1:role/x",)}, {"threads": 0}],
)  # fmt: skip
def test_a_scope_that_makes_no_sense_is_refused(scope):
    """Before anything is asked."""
    with pytest.raises(ConfigError):
        Scope(**scope)
