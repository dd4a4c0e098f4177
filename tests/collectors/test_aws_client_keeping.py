"""What the AWS client keeps on disk, and how it keeps its pace."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime

import pytest

from collectors._aws.estate import READS, Estate
from collectors._aws.journal import Journal
from collectors._aws.pace import Bucket, Pace
from collectors._aws.place import attempt, whole
from collectors._aws.resuming import Resuming
from collectors._aws.scope import Scope
from collectors._aws.wire import signed, signing_key
from toolkit.terms import GapStatus

OWN = "111122223333"
ASKED = (*READS, "kms:ListKeys", "kms:DescribeKey")


@pytest.fixture
def path(tmp_path):
    """Where a journal lies."""
    return tmp_path / "folder" / "a.jsonl"


def test_what_was_answered_is_there_again(path):
    """Times and bytes included, in a file that is its owner's alone."""
    answer = {"CreationDate": datetime(2026, 1, 2, tzinfo=UTC), "PublicKey": b"\x00\xff", "Keys": [1, None]}
    journal = Journal(path, valid_seconds=60)
    journal.put("q", answer)
    journal.close()

    assert answer == Journal(path, valid_seconds=60).get("q")
    assert 0o600 == path.stat().st_mode & 0o777
    assert 0o700 == path.parent.stat().st_mode & 0o777


def test_the_line_that_was_cut_off_costs_only_itself(path):
    """A kill comes in the middle of a write; what is appended after it is whole."""
    journal = Journal(path, valid_seconds=60)
    journal.put("before", 1)
    journal.close()
    with path.open("ab") as file:
        file.write(b'["cut",1')

    again = Journal(path, valid_seconds=60)
    again.put("after", 2)
    again.close()

    read = Journal(path, valid_seconds=60)
    assert [1, None, 2] == [read.get(name) for name in ("before", "cut", "after")]


def test_an_old_answer_does_not_count(path, monkeypatch):
    """Facts of an hour ago are not shown as of now."""
    journal = Journal(path, valid_seconds=3600)
    monkeypatch.setattr("collectors._aws.journal.time.time", lambda: 1_000_000.0)
    journal.put("q", 1)
    monkeypatch.setattr("collectors._aws.journal.time.time", lambda: 1_003_601.0)

    assert Journal(path, valid_seconds=3600).get("q") is None
    assert 1 == Journal(path, valid_seconds=None).get("q")


def test_a_file_that_others_can_write_or_a_link_is_not_used(path, tmp_path):
    """What another put there would become facts about keys."""
    journal = Journal(path, valid_seconds=60)
    journal.put("q", "theirs")
    journal.close()
    path.chmod(0o666)
    assert Journal(path, valid_seconds=60).get("q") is None

    path.chmod(0o600)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    assert Journal(link, valid_seconds=60).get("q") is None


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_read(tmp_path):
    """The run just cannot be taken up again."""
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "a.jsonl", valid_seconds=60)

    journal.put("q", 1)

    assert journal.get("q") is None


def keeping(tmp_path, **scope) -> Estate:
    """An estate that can be taken up again."""
    return Estate("aws_kms", "kms", reads=ASKED, scope=Scope(regions=("eu-west-1",), resume=str(tmp_path), **scope))


def half(estate: Estate, count: int) -> None:
    """Read some keys and be killed: nothing is closed, nothing is said."""
    target = next(iter(estate.targets()))
    place = estate._entered(target)
    for one in list(place.pages("kms", "ListKeys", "Keys", keep=whole))[:count]:
        place.ask("kms", "DescribeKey", {"KeyId": one["KeyId"]}, keep=whole)
    estate._resuming._lock and os.close(estate._resuming._lock)


def all_of(place):
    """Read all keys."""
    for one in place.pages("kms", "ListKeys", "Keys", keep=whole):
        place.ask("kms", "DescribeKey", {"KeyId": one["KeyId"]}, keep=whole)
    yield from ()


def test_a_killed_run_goes_on_where_it_was(aws, signed_in, tmp_path):
    """What was answered is not asked again; once all is read, nothing of it stays."""
    aws.account(OWN).region("eu-west-1").add_keys(10)
    half(keeping(tmp_path), 7)
    aws.forget()

    estate = keeping(tmp_path)
    gaps = [gap for target in estate.targets() for gap in estate.read(target, all_of)]

    assert [] == gaps
    assert (3, 0) == (aws.counts["DescribeKey", "OK"], aws.counts["ListKeys", "OK"])
    assert [] == list(tmp_path.rglob("*.jsonl"))


def test_a_finished_run_is_not_taken_up(aws, signed_in, tmp_path):
    """Who collects again wants to know how it is now."""
    aws.account(OWN).region("eu-west-1").add_keys(3)
    for _ in range(2):
        estate = keeping(tmp_path)
        [gap for target in estate.targets() for gap in estate.read(target, all_of)]

    assert 6 == aws.counts["DescribeKey", "OK"]


def test_another_question_takes_up_nothing(aws, signed_in, tmp_path):
    """Another person's, another scope's, another endpoint's answers are not ours."""
    aws.account(OWN).region("eu-west-1").add_keys(3)
    half(keeping(tmp_path), 3)

    estate = keeping(tmp_path, roles=("Audit",))
    [gap for target in estate.targets() for gap in estate.read(target, all_of)]

    assert 6 == aws.counts["DescribeKey", "OK"]


def test_two_runs_at_once_do_not_share_a_folder(tmp_path):
    """The second is not resumable; and one that is alive is not swept away, however old."""
    first, second = (Resuming(tmp_path / "run", valid_seconds=60) for _ in range(2))

    assert first.start()
    assert not second.start()
    os.utime(tmp_path / "run", (0, 0))
    assert Resuming(tmp_path / "other", valid_seconds=60).start()
    assert (tmp_path / "run" / "lock").exists()


def test_what_nobody_took_up_in_time_is_swept_away(tmp_path):
    """Nothing of a killed run stays for ever."""
    old = Resuming(tmp_path / "old", valid_seconds=60)
    old.start()
    old.journal("t").put("q", 1)
    os.close(old._lock)
    for path in [*(tmp_path / "old").iterdir(), tmp_path / "old"]:
        os.utime(path, (0, 0))

    Resuming(tmp_path / "new", valid_seconds=60).start()

    assert not (tmp_path / "old").exists()


def test_a_failure_is_never_kept(aws, signed_in, tmp_path):
    """The permission that was missing may be there now."""
    aws.account(OWN).region("eu-west-1").key()
    rule = aws.deny("kms:ListKeys")
    estate = keeping(tmp_path)
    targets = list(estate.targets())
    refused = list(estate.read(targets[0], all_of))
    aws.allow(rule)

    estate = keeping(tmp_path)
    assert [GapStatus.DENIED] == [gap.status for gap in refused]
    assert [] == [gap for target in estate.targets() for gap in estate.read(target, all_of)]
    assert 1 == aws.counts["DescribeKey", "OK"]


def test_a_bucket_lets_its_rate_through():
    """A short burst, then one each tenth of a second."""
    now = [100.0]
    bucket = Bucket(10, clock=lambda: now[0])
    now[0] += 60

    waits = [bucket.reserve() for _ in range(12)]

    assert [0.0, 0.0] == waits[:2]
    assert [pytest.approx(0.1 * n) for n in range(1, 11)] == waits[2:]


def test_a_throttled_bucket_slows_down_and_recovers():
    """Half the rate at once; all of it again after less than a minute."""
    now = [100.0]
    bucket = Bucket(10, clock=lambda: now[0])

    bucket.slow_down()
    bucket.reserve(), bucket.reserve()
    slow = bucket.reserve() - bucket.reserve()
    now[0] += 60
    bucket.reserve(), bucket.reserve()
    usual = bucket.reserve() - bucket.reserve()

    assert (pytest.approx(-0.2), pytest.approx(-0.1)) == (slow, usual)


def test_each_operation_of_each_place_has_its_own_bucket():
    """A slow operation, and another account's calls, hold up nothing."""
    pace = Pace(0.5)

    one = pace.bucket(OWN, "eu-west-1", "kms", "ListGrants")

    assert one is pace.bucket(OWN, "eu-west-1", "kms", "ListGrants")
    others = [
        (OWN, "us-east-1", "ListGrants"),
        ("2" * 12, "eu-west-1", "ListGrants"),
        (OWN, "eu-west-1", "DescribeKey"),
    ]
    assert one not in [pace.bucket(account, region, "kms", name) for account, region, name in others]


def test_no_call_is_throttled_at_the_documented_quota(aws, signed_in):
    """Sixteen threads that ask as fast as they can stay under it; the bucket counts every attempt."""
    key = aws.account(OWN).region("eu-west-1").key()
    aws.throttle(DescribeKey=2000, scale=0.04)
    estate = Estate(
        "aws_kms", "kms", reads=ASKED, scope=Scope(regions=("eu-west-1",), resume_minutes=0, quota_share=0.02)
    )
    place = estate._entered(next(iter(estate.targets())))

    def ask():
        for _ in range(5):
            place.ask("kms", "DescribeKey", {"KeyId": key.key_id})

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {("DescribeKey", "OK"): 80} == {
        name: count for name, count in aws.counts.items() if name[0] == "DescribeKey"
    }


@pytest.mark.parametrize("token", [None, "".join("tok" for _ in range(9))])
def test_the_lean_way_signs_as_botocore_does(token, monkeypatch):
    """The very same Authorization, with and without a session token."""
    import datetime as clock

    from botocore import auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body, moment = b'{"KeyId": "x"}', clock.datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "TrentService.DescribeKey"}
    request = AWSRequest("POST", "https://kms.eu-west-1.amazonaws.com/", headers, body)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: moment.replace(tzinfo=None))
    secret = os.urandom(20).hex()
    auth.SigV4Auth(Credentials("AKIDX", secret, token), "kms", "eu-west-1").add_auth(request)

    ours = {**headers, "host": "kms.eu-west-1.amazonaws.com", "x-amz-date": "20261127T100000Z"}
    ours |= {"x-amz-security-token": token} if token else {}
    made = signed(secret, "AKIDX", ("20261127", "eu-west-1", "kms"), ours, body, signing_key)

    assert request.headers["Authorization"] == made


def test_the_lean_way_answers_as_botocore_does(aws, signed_in):
    """The same members of the same types, for an answer and for a refusal."""
    region = aws.account(OWN).region("eu-west-1")
    key, closed = region.key("RSA_2048"), region.key()
    aws.deny("kms:DescribeKey", key=closed)
    estate = Estate(
        "aws_kms", "kms", reads=(*ASKED, "kms:GetPublicKey"), scope=Scope(regions=("eu-west-1",), resume_minutes=0)
    )
    place = estate._entered(next(iter(estate.targets())))
    questions = [("DescribeKey", key), ("GetPublicKey", key), ("DescribeKey", closed)]

    botocore_s = aws.client("kms", "eu-west-1")
    first = [attempt(place.ask, "kms", name, {"KeyId": one.arn}) for name, one in questions]
    lean = [attempt(place.ask, "kms", name, {"KeyId": one.arn}) for name, one in questions]

    assert place._account.wire("kms", account=OWN, region="eu-west-1").is_open
    assert first == lean
    described = botocore_s.describe_key(KeyId=key.arn)["KeyMetadata"]
    assert described == lean[0]["KeyMetadata"]
    assert lean[2].permission == "kms:DescribeKey"


def test_a_proxy_is_botocore_s_business(aws, signed_in, monkeypatch):
    """The lean way knows none, so it stays shut."""
    monkeypatch.setattr("collectors._aws.wire.get_environ_proxies", lambda url: {"http": "http://proxy"})
    aws.account(OWN).region("eu-west-1").key()
    estate = Estate("aws_kms", "kms", reads=ASKED, scope=Scope(regions=("eu-west-1",), resume_minutes=0))
    place = estate._entered(next(iter(estate.targets())))

    for _ in range(2):
        list(place.pages("kms", "ListKeys", "Keys"))

    assert not place._account.wire("kms", account=OWN, region="eu-west-1").is_open
