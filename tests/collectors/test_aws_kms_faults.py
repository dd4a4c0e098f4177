"""An estate where things go wrong: refusals, failures, throttling, keys that vanish, a run that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from collectors.aws_kms import AwsKms
from toolkit.model import Gap, Key
from toolkit.terms import GapScope, GapStatus

OWN, REGION = "111122223333", "eu-west-1"
HOUSE = Path(__file__).resolve().parents[2]
CORE = ("DescribeKey", "GetKeyPolicy", "GetKeyRotationStatus")
SLOW = ("ListGrants", "ListKeyRotations", "GetKeyLastUsage")
# The columns that KMS's answers fill for a symmetric key of the simulator.
FILLED = ("state", "native_state", "algorithm", "size_bits", "functions", "purpose", "protection", "origin", "manager",
          "replicas", "created_at", "has_rotation", "access_flags")  # fmt: skip


@pytest.fixture
def region(aws, signed_in):
    """A region to furnish, of the account that is signed in."""
    return aws.account(OWN).region(REGION)


def collect(**options) -> list:
    """All rows of one region, unless more is asked for."""
    chosen = {"regions": (REGION,), "protects": False, "identities": False, "resume_minutes": 0, **options}
    collector = AwsKms(**chosen)
    return [row for target in collector.targets() for row in collector.collect(target)]


def keys(rows: list) -> dict[str, Key]:
    """The keys by ARN."""
    return {row.locator: row for row in rows if isinstance(row, Key)}


def gaps(rows: list) -> dict[str, dict[str, Gap]]:
    """The gaps by place and field."""
    found: dict[str, dict[str, Gap]] = {}
    for row in rows:
        if isinstance(row, Gap):
            found.setdefault(row.locator, {})[row.field or ""] = row
    return found


@pytest.mark.parametrize("action", ["kms:*", "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus"])
def test_denied_keys_are_listed_and_each_missing_fact_has_its_reason(aws, region, action):
    """A tenth of the keys closed to us: all keys are told, and where a column is empty a gap says which permission."""
    region.add_keys(100, rotated=1.0)
    closed = {key.arn for key in aws.deny_share(action, share=0.1)}

    rows = collect()
    told, missing = keys(rows), gaps(rows)

    assert {key.arn for key in region.facts.keys.values()} == set(told)
    assert 10 == len(closed)
    for arn, key in told.items():
        empty = {name for name in FILLED if getattr(key, name) is None}
        assert (arn in closed) == bool(empty), arn
        assert empty <= set(missing.get(arn, {})), arn
    denied = [gap for arn in closed for gap in missing[arn].values()]
    assert {GapStatus.DENIED} == {gap.status for gap in denied}
    assert all(gap.permission and gap.permission.startswith("kms:") and gap.scope is GapScope.FIELD for gap in denied)
    assert all("no resource-based policy allows" in gap.reason for gap in denied)


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ("kms:ListAliases", "aliases"),
        ("tag:GetResources", "tags"),
        ("iam:GetAccountAuthorizationDetails", "identities"),
    ],
)
def test_a_denied_list_is_one_gap_and_costs_no_key(aws, region, action, field):
    """What one list tells of all keys is missing once, and never shown as none."""
    region.add_keys(5)
    aws.deny(action)

    rows = collect(identities=True)
    told, gap = keys(rows), gaps(rows)[f"aws://{OWN}/{REGION}/kms"][field]

    assert (5, GapScope.FIELD) == (len(told), gap.scope)
    assert field == "identities" or (GapStatus.DENIED, action) == (gap.status, gap.permission)
    assert {None} == {getattr(key, field, None) for key in told.values()}


@pytest.mark.parametrize("broken", ["KMSInternalException", "ThrottlingException", "lost reply"])
def test_failing_calls_lose_no_key(aws, region, broken):
    """One call in twenty fails, whichever way: every key is told whole, and there is no gap."""
    region.add_keys(150, rotated=1.0)
    if broken == "lost reply":
        aws.lose_replies(share=0.05, seed=1)
    else:
        aws.fail(share=0.05, seed=1, error=broken)

    rows = collect()

    assert {key.arn for key in region.facts.keys.values()} == set(keys(rows))
    assert {} == gaps(rows)
    assert sum(count for (_, outcome), count in aws.counts.items() if outcome == broken) > 20


def test_a_key_that_vanishes_after_it_was_listed_is_told(aws, region):
    """Gone between two calls: an object that could not be seen, so it is not called gone for good; the rest is read."""
    gone, stays = region.key(), region.key()
    aws.vanish(gone)

    rows = collect()

    assert {stays.arn} == set(keys(rows))
    gap = gaps(rows)[gone.arn][""]
    assert (GapScope.OBJECT, "NotFoundException") == (gap.scope, gap.code)


def test_credentials_that_expire_while_reading_lose_no_key(aws, region, monkeypatch):
    """The keys that were listed are told, with the advice to renew."""
    from collectors.aws_kms import _asking as asking

    region.add_keys(10)
    core = asking.Questions.core

    def expiring(self, arn):
        aws.expire(aws.account(OWN).credentials["aws_access_key_id"])
        return core(self, arn)

    monkeypatch.setattr(asking.Questions, "core", expiring)

    rows = collect()

    assert 10 == len(keys(rows))
    states = [gap for fields in gaps(rows).values() for name, gap in fields.items() if name == "state"]
    assert 10 == len(states)
    assert all("aws sso login" in gap.advice for gap in states)


def test_a_region_that_cannot_be_listed_leaves_the_others(aws, region):
    """The region is a gap of a whole target, by its name."""
    region.key()
    key = aws.account(OWN).region("us-east-1").key()
    aws.deny("kms:ListKeys", region=REGION, why="scp")

    rows = collect(regions=(REGION, "us-east-1"))

    assert {key.arn} == set(keys(rows))
    assert GapScope.TARGET is gaps(rows)[f"aws://{OWN}/{REGION}/kms"][""].scope


def test_a_symmetric_key_costs_three_questions(aws, region):
    """Core facts: at most 3.05 calls a key, lists included; the slow ones add three, and none applies in vain."""
    region.add_keys(1000, granted=0.0)

    collect(grants=False, history=False, last_use=False)

    calls = sum(aws.counts.values()) - aws.counts["GetCallerIdentity", "OK"]
    assert 3.05 >= calls / 1000
    assert dict.fromkeys(CORE, 1000) == {name: aws.counts[name, "OK"] for name in CORE}
    assert 0 == sum(aws.counts[name, "OK"] for name in SLOW)


def test_calls_per_key_by_kind(aws, region):
    """Nothing is asked that cannot apply: six for a symmetric key, five for a pair the first time, four for HMAC."""
    kinds = {"SYMMETRIC_DEFAULT": 6, "RSA_2048": 5, "HMAC_256": 4}
    made = {region.key(spec).key_id: spec for spec in kinds}
    managed = region.managed_key("ebs").key_id

    collect()

    asked = Counter(call.key for call in aws.calls if call.key)
    assert {**{name: kinds[spec] for name, spec in made.items()}, managed: 1} == asked


def test_nothing_is_throttled_at_the_documented_quotas(aws, region):
    """Grants asked for, at a quarter of everything so that the test is short; and core facts are there long before."""
    region.add_keys(60, granted=1.0)
    aws.throttle(scale=0.25)

    rows = collect(quota_share=0.125)

    assert 60 == len(keys(rows))
    assert [] == [name for name, outcome in aws.counts if outcome == "ThrottlingException"]
    at = {name: [call.at for call in aws.calls if call.operation == name] for name in (*CORE, *SLOW)}
    began, ended = min(min(times) for times in at.values()), max(max(times) for times in at.values())
    # A share of one run's own time, not seconds; the promise is 30 %.
    assert 0.3 >= (max(max(at[name]) for name in CORE) - began) / (ended - began)


KILLED = """
import os, sys
from collectors.aws_kms import AwsKms
from toolkit.executor import completed, pool
accounts = sys.argv[2].split(",")
collector = AwsKms(accounts=tuple(accounts), roles=("Audit",), regions=("eu-west-1",), protects=False,
                   identities=False, resume=sys.argv[1], quota_share=1.0, threads=8)
targets = list(collector.targets())
with pool(None, 2) as workers:
    work = completed(workers, lambda target: list(collector.collect(target)), targets, ahead=16)
    print(sum(type(row).__name__ == "Key" for _, future in work for row in future.result()))
"""


def test_a_killed_run_of_fifty_accounts_is_taken_up(aws, signed_in, tmp_path):
    """SIGKILL half-way: the next run tells every key, and repeats at most one call in a hundred of those answered."""
    # What is under way when the kill comes is at most what its threads ask: eight, and two slow lanes of eight.
    numbers = [f"{200000000000 + number}" for number in range(50)]
    for number in numbers:
        aws.account(number).region("eu-west-1").add_keys(8)
    environment = {**os.environ, "PYTHONPATH": str(HOUSE)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "resume"), ",".join(numbers)]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    while first.poll() is None and aws.counts["ListGrants", "OK"] < 200:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert -signal.SIGKILL == first.returncode
    time.sleep(0.3)
    answered = asked(aws)
    aws.forget()

    second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)

    assert 400 == int(second.stdout)
    repeated = asked(aws) & answered
    total = sum((answered | asked(aws)).values())
    assert 2400 + 50 * 3 <= total
    assert 0.01 >= sum(repeated.values()) / total, repeated
    assert [] == list((tmp_path / "resume").iterdir())


def asked(aws) -> Counter:
    """Which questions were answered; finding out who we are and entering an account is not reading."""
    entering = ("GetCallerIdentity", "AssumeRole")
    return Counter(
        (c.operation, c.account, c.key) for c in aws.calls if c.operation not in entering and c.outcome == "OK"
    )
