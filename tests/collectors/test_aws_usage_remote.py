"""aws_usage over the wire: LookupEvents at the KMS simulator, log files in a bucket at moto that the aws command filled."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from simulators.trail import OWN, START, event, key_arn, log_file, stranger

from collectors._aws.names import key_uid
from collectors.aws_usage import AwsUsage
from toolkit.model import Gap, Usage
from toolkit.terms import GapScope, GapStatus

KEY = key_arn(1)
BIN = Path(sys.executable).parent


def read(**options):
    """All rows; LookupEvents is asked as fast as its quota lets."""
    collector = AwsUsage(**{"processes": 1, "quota_share": 1.0, "resume_minutes": 0, **options})
    return [row for target in collector.targets() for row in collector.collect(target)]


def happened(aws, *events, region="eu-west-1"):
    """Have CloudTrail know of these events."""
    place = aws.account(OWN).region(region).facts
    for one in events:
        place.events.append({
            "EventId": one["eventID"], "EventName": one["eventName"], "EventSource": one["eventSource"],
            "EventTime": time.time() - 3600, "CloudTrailEvent": json.dumps(one), "Resources": [],
        })  # fmt: skip


def test_lookup_events_gives_what_changed(aws, signed_in):
    """Asked by name, page by page; what is not asked for by name does not come."""
    made = [event("PutKeyPolicy", KEY) for _ in range(120)]
    happened(aws, *made, event("Decrypt", KEY), event("DisableKey", KEY))
    rows = read(regions=("eu-west-1",), operations=("PutKeyPolicy", "DisableKey"))
    assert {one["eventID"] for one in made} == {row.event_id for row in rows if row.operation == "PutKeyPolicy"}
    assert 121 == len(rows)
    assert {key_uid(KEY)} == {row.key_uid for row in rows}
    assert {("LookupEvents")} == {one.operation for one in aws.calls} - {"GetCallerIdentity"}


def test_lookup_events_that_is_refused_is_a_gap_that_names_the_permission(aws, signed_in):
    """A region that may not be asked is no region without events."""
    aws.account(OWN).region("eu-west-1")
    aws.deny("cloudtrail:LookupEvents")
    (gap,) = read(regions=("eu-west-1",), operations=("PutKeyPolicy",))
    assert isinstance(gap, Gap)
    assert (GapStatus.DENIED, "cloudtrail:LookupEvents") == (gap.status, gap.permission)


def test_an_event_that_is_none_is_counted(aws, signed_in):
    """CloudTrail's text is somebody's data: what does not parse is told, the others are rows."""
    bad = event("DisableKey", KEY)
    happened(aws, bad, event("DisableKey", KEY))
    aws.account(OWN).region("eu-west-1").facts.events[0]["CloudTrailEvent"] = "{"
    rows = read(regions=("eu-west-1",), operations=("DisableKey",))
    assert ["1 events are not what CloudTrail writes"] == [row.reason for row in rows if isinstance(row, Gap)]
    assert 1 == sum(isinstance(row, Usage) for row in rows)


def test_a_killed_run_is_taken_up_without_asking_again(aws, signed_in, tmp_path):
    """Answers are kept as rows only: no value of a request is written down."""
    hidden = "canary" + "-of-a-customer"
    happened(aws, event("DisableKey", KEY, requestParameters={"keyId": KEY, "encryptionContext": {"a": hidden}}))
    options = {"regions": ("eu-west-1",), "operations": ("DisableKey",), "resume_minutes": 60, "quota_share": 1.0}
    code = (
        "import os, sys; from collectors.aws_usage import AwsUsage\n"
        f"c = AwsUsage(**{options!r}); next(c.collect(next(iter(c.targets())))); os.kill(os.getpid(), 9)"
    )
    assert -9 == subprocess.run([sys.executable, "-c", code]).returncode
    assert 1 == sum(isinstance(row, Usage) for row in read(**options))
    assert 1 == sum(one.operation == "LookupEvents" for one in aws.calls)
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert not [path for path in kept if hidden.encode() in path.read_bytes()]


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    """Moto's server over HTTP; the environment to reach it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.1)
    home = tmp_path_factory.mktemp("home")
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIA" + secrets.token_hex(8).upper(), "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_CONFIG_FILE": str(home / "config"), "XDG_CACHE_HOME": str(home),
    }  # fmt: skip
    server.terminate()
    server.wait()


@pytest.fixture
def bucket(moto, monkeypatch, tmp_path):
    """Two regions' days in a bucket, uploaded by the aws command."""
    for name, value in moto.items():
        monkeypatch.setenv(name, value)
    name = f"trail-{secrets.token_hex(4)}"
    root = tmp_path / "logs"
    for day in range(3):
        at = START + timedelta(days=day)
        made = [event(key=KEY, at=at), stranger(), event("GenerateDataKey", KEY, at=at)]
        log_file(root, made, day=day, organization="o-abcdefghij")
    (root / "AWSLogs" / "o-abcdefghij" / OWN / "CloudTrail-Digest" / "eu-west-1").mkdir(parents=True)
    (root / "AWSLogs" / "o-abcdefghij" / OWN / "CloudTrail-Digest" / "eu-west-1" / "d.json.gz").write_bytes(b"digest")
    (root / "AWSLogs" / "o-abcdefghij" / OWN / "CloudTrail" / "eu-west-1" / "torn.json.gz").write_bytes(b"\x1f\x8b\x08")

    def aws(*words):
        subprocess.run([BIN / "aws", "s3", *words], check=True, capture_output=True, env={**os.environ, **moto})

    aws("mb", f"s3://{name}")
    aws("cp", "--recursive", str(root), f"s3://{name}/audit/")
    return name


def test_a_bucket_is_read_as_a_folder_is(bucket):
    """A target is an account's region; digests are not fetched; a torn file is a gap with its address."""
    collector = AwsUsage(buckets=(f"s3://{bucket}/audit",), processes=1)
    (target,) = collector.targets()
    assert f"s3://{bucket}/audit/AWSLogs/o-abcdefghij/{OWN}/CloudTrail/eu-west-1/" == target.locator
    rows = list(collector.collect(target))
    assert 6 == sum(isinstance(row, Usage) for row in rows)
    gaps = [row for row in rows if isinstance(row, Gap)]
    assert [(GapScope.OBJECT, target.locator + "torn.json.gz")] == [(gap.scope, gap.locator) for gap in gaps]
    assert 4 == sum(isinstance(row, Usage) for row in read(buckets=(f"{bucket}/audit",), since="2026-10-02"))


def test_a_bucket_is_read_by_several_processes(bucket):
    """The objects are handed to the readers as bytes."""
    collector = AwsUsage(buckets=(bucket,), processes=2)
    rows = [row for target in collector.targets() for row in collector.collect(target)]
    assert 6 == sum(isinstance(row, Usage) for row in rows)


def test_a_bucket_that_is_not_there_is_told(bucket):
    """It is a target all the same, and its reading fails with what S3 said."""
    with pytest.raises(Exception, match="s3:ListBucket"):
        read(buckets=("no-such-bucket-here",))
