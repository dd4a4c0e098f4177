"""aws_usage: log files as CloudTrail writes them, packed by gzip itself; who did what with which key."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from simulators.trail import OTHER, OWN, REGION, START, event, key_arn, log_file, role, stranger, written

from collectors._aws.names import key_uid
from collectors.aws_usage import AwsUsage
from toolkit.errors import ConfigError
from toolkit.model import Gap, Usage
from toolkit.testing import CollectorContract

KEY = key_arn(1)


def read(*paths, **options):
    """All rows below the paths."""
    collector = AwsUsage(paths=tuple(map(str, paths)), **{"processes": 1, **options})
    return [row for target in collector.targets() for row in collector.collect(target)]


def one(tmp_path, made):
    """The row of one event."""
    (tmp_path / "log.json").write_bytes(written([made]))
    (row,) = read(tmp_path)
    return row


class TestContract(CollectorContract):
    """The contract of every collector, over two days of an organisation's trail and a file that is torn."""

    def collector(self, tmp_path):
        """A small real folder; two processes."""
        if (tmp_path / "torn.json").exists():
            return AwsUsage(paths=(str(tmp_path),), processes=2)
        for day in range(2):
            log_file(tmp_path, [event(key=KEY), stranger(), event("ListKeys")], day=day, organization="o-abcdefghij")
        (tmp_path / "torn.json").write_bytes(written([event(key=KEY)])[:-40])
        return AwsUsage(paths=(str(tmp_path),), processes=2)


def test_an_event_says_who_did_what_with_which_key_from_where(tmp_path):
    """The role is the principal whatever its session is called; the key has the uid that `aws_kms` gives it."""
    made = event(
        key=KEY, who=role("payments", "pod-17"), requestParameters={"keyId": KEY, "encryptionContext": {"n": "v"}}
    )
    row = one(tmp_path, made)
    assert isinstance(row, Usage)
    assert (key_uid(KEY), KEY) == (row.key_uid, row.locator)
    assert (f"arn:aws:iam::{OWN}:role/apps/payments", "pod-17") == (row.principal, row.session)
    assert ("Decrypt", "198.51.100.7", "Success", START) == (row.operation, row.source, row.result, row.occurred_at)
    assert (OWN, REGION, made["eventID"]) == (row.account, row.region, row.event_id)


@pytest.mark.parametrize("name", [KEY, KEY.rpartition("/")[2], "alias/app", f"arn:aws:kms:{REGION}:{OWN}:alias/app"])
def test_a_key_named_in_any_way_is_an_arn(tmp_path, name):
    """A refused call has no resources: id, ARN, alias and alias ARN are told apart from what was asked."""
    made = event(requestParameters={"keyId": name}, errorCode="AccessDenied", errorMessage="no")
    expected = f"arn:aws:kms:{REGION}:{OWN}:alias/app" if "alias" in name else KEY
    row = one(tmp_path, made)
    assert (expected, "AccessDenied") == (row.locator, row.result)


def test_a_multi_region_key_is_one_key_in_all_regions(tmp_path):
    """Its replicas have one id and one material."""
    arns = [f"arn:aws:kms:{region}:{OWN}:key/mrk-1234" for region in ("eu-west-1", "us-east-1")]
    (tmp_path / "log.json").write_bytes(written([event(key=arn) for arn in arns]))
    assert 1 == len({row.key_uid for row in read(tmp_path)})


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ({"type": "Root", "accountId": OWN, "principalId": OWN, "arn": f"arn:aws:iam::{OWN}:root"}, f"arn:aws:iam::{OWN}:root"),
        ({"type": "AWSService", "invokedBy": "logs.amazonaws.com"}, "logs.amazonaws.com"),
        ({"type": "AWSAccount", "accountId": OTHER, "principalId": "AROAEXAMPLE:me"}, "AROAEXAMPLE"),
        ({"type": "AWSAccount", "accountId": OTHER, "principalId": OTHER}, f"arn:aws:iam::{OTHER}:root"),
        ({"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL", "principalId": ""}, "anonymous"),
        ({"type": "AssumedRole", "arn": f"arn:aws:sts::{OTHER}:assumed-role/R/s"}, f"arn:aws:iam::{OTHER}:role/R"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}, "u-1"),
        ("not an object", None),
    ],
)  # fmt: skip
def test_every_kind_of_principal_has_one_name(tmp_path, who, expected):
    """Users, root, services, other accounts, sessions without their issuer, nobody known."""
    assert expected == one(tmp_path, event(key=KEY, who=who)).principal


def test_one_action_seen_from_two_accounts_has_one_id(tmp_path):
    """CloudTrail logs it in both, with two event ids and one shared id."""
    made = [event(key=key_arn(1, OTHER), sharedEventID="shared", recipientAccountId=who) for who in (OWN, OTHER)]
    (tmp_path / "log.json").write_bytes(written(made))
    rows = read(tmp_path)
    assert ({"shared"}, {OTHER}) == ({row.event_id for row in rows}, {row.account for row in rows})


@pytest.mark.parametrize(
    "form",
    [
        lambda events: written(events),
        lambda events: json.dumps({"Records": events}, indent=2).encode(),
        lambda events: b"\xef\xbb\xbf" + json.dumps({"Records": events}, sort_keys=True).encode(),
        lambda events: "\n".join(map(json.dumps, events)).encode(),
        lambda events: "\n".join(json.dumps({"eventJson": json.dumps(one)}) for one in events).encode(),
        lambda events: json.dumps(events).encode(),
        lambda events: json.dumps({"Events": [{"CloudTrailEvent": json.dumps(e)} for e in events]}).encode(),
        lambda events: written(events[:1]) + b"\n",
    ],
    ids=["log file", "indented", "sorted", "lines", "lake", "array", "LookupEvents", "one"],
)
def test_events_are_the_same_however_they_are_written(tmp_path, form):
    """CloudTrail's own form, and what jq, Athena, Lake and the command line make of it."""
    events = [event(key=key_arn(number)) for number in range(40)]
    (tmp_path / "log.json").write_bytes(form(events))
    found = [row.event_id for row in read(tmp_path)]
    assert found == [one["eventID"] for one in events][: len(found)]
    assert len(found) in (1, 40)
    assert (1 == len(found)) == (b"\n" == form(events)[-1:])


def test_what_is_about_no_key_is_passed_over(tmp_path):
    """Digests, insights and other services' events give no row, and no gap either."""
    log_file(tmp_path, [stranger(number) for number in range(100)])
    (tmp_path / "CloudTrail-Digest").mkdir()
    (tmp_path / "CloudTrail-Digest" / "a.json").write_text("{not json")
    (tmp_path / "digest.json").write_text(json.dumps({"awsAccountId": OWN, "digestStartTime": "x", "logFiles": []}))
    assert [] == read(tmp_path)


def test_what_is_kept_of_a_request_is_names_and_numbers(tmp_path):
    """Values of encryption contexts, messages of errors, and whatever a stranger puts beside them stay out."""
    hidden = "canary" + "-of-a-customer"
    made = event(
        key=KEY, errorCode="KMSInvalidStateException", errorMessage=f"{hidden} is pending deletion.",
        requestParameters={"keyId": KEY, "encryptionContext": {"patient": hidden}, "ciphertextBlob": hidden},
        additionalEventData={"x": hidden}, responseElements={"plaintext": hidden},
    )  # fmt: skip
    row = one(tmp_path, made)
    assert hidden not in repr(row)
    assert {"context": ["patient"], "state": "PendingDeletion"} == json.loads(row.detail)


def test_a_policy_is_kept_by_the_principals_that_it_lets_in(tmp_path):
    """Allow only; everybody without a condition is public, with one it is not."""
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}
    some = {"Effect": "Allow", "Principal": {"AWS": [f"arn:aws:iam::{OTHER}:root"]}, "Action": "kms:Decrypt"}
    never = {"Effect": "Deny", "Principal": {"AWS": "arn:aws:iam::999988887777:root"}, "Action": "*"}

    def told(*statements):
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        return json.loads(one(tmp_path, event("PutKeyPolicy", KEY, requestParameters={"policy": text})).detail)

    assert {"is_policy_known": True, "is_public": True, "principals": ["*"]} == told(everybody)
    assert not told({**everybody, "Condition": {"StringEquals": {"kms:CallerAccount": OWN}}})["is_public"]
    assert [f"arn:aws:iam::{OTHER}:root"] == told(some, never)["principals"]
    assert {"is_policy_known": False} == json.loads(one(tmp_path, event("PutKeyPolicy", KEY)).detail)


def test_secrets_parameters_credentials_and_trails_are_subjects_too(tmp_path):
    """Each by its ARN, made of its name where only that is told."""
    made = [
        event("GetSecretValue", eventSource="secretsmanager.amazonaws.com", requestParameters={"secretId": "shop/db"}),
        event("GetParameter", eventSource="ssm.amazonaws.com", requestParameters={"name": "/shop/key"}),
        event(
            "CreateAccessKey", eventSource="iam.amazonaws.com", responseElements={"accessKey": {"accessKeyId": "AKIAX"}}
        ),
        event("StopLogging", eventSource="cloudtrail.amazonaws.com", requestParameters={"name": "main"}),
        event("DescribeInstanceInformation", eventSource="ssm.amazonaws.com"),
        event("GetUser", eventSource="iam.amazonaws.com"),
    ]
    (tmp_path / "log.json").write_bytes(written(made))
    assert [
        f"arn:aws:secretsmanager:{REGION}:{OWN}:secret:shop/db", f"arn:aws:ssm:{REGION}:{OWN}:parameter/shop/key",
        f"arn:aws:iam::{OWN}:access-key/AKIAX", f"arn:aws:cloudtrail:{REGION}:{OWN}:trail/main",
    ] == [row.locator for row in read(tmp_path)]  # fmt: skip


def test_since_leaves_out_days_and_events_before(tmp_path):
    """Whole days by their folder, without opening a file; within the day by the event's time."""
    for day in range(3):
        log_file(tmp_path, [event(key=KEY, at=START.replace(day=1 + day))], day=day)
    rows = read(tmp_path, since="2026-10-02T13:00")
    assert [datetime(2026, 10, 3, 12, tzinfo=UTC)] == [row.occurred_at for row in rows]
    assert 2 == len(list(AwsUsage(paths=(str(tmp_path),), since="2026-10-02").targets()))
    with pytest.raises(ConfigError):
        AwsUsage(since="yesterday")


def test_many_files_are_read_by_several_processes_and_give_the_same(tmp_path):
    """Nothing is lost, doubled or told apart by who read it."""
    for number in range(60):
        events = [event(key=key_arn(number), requestID="x" * 2_000) for _ in range(150)]
        path = tmp_path / f"{number}.json"
        path.write_bytes(written(events))
    alone, together = read(tmp_path), read(tmp_path, processes=2)
    assert 60 * 150 == len(alone)
    assert sorted(map(repr, alone)) == sorted(map(repr, together))


def test_a_path_that_is_not_there_is_told(tmp_path):
    """It is a target, and its reading fails."""
    with pytest.raises(Exception, match="is not there"):
        read(tmp_path / "nowhere")
    assert [] == [row for row in read(tmp_path) if isinstance(row, Gap)]
