"""habits: estates with rhythms, attacks planted in them, and what no order of rows may change."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulators.habit import ACCOUNT, BASE, estate, table, uses

from toolkit import habits

CUT = BASE + pd.Timedelta(days=40)
SOON = CUT + pd.Timedelta(hours=10)
MODERATE = "moderate"


def told(rows: pd.DataFrame, **more) -> pd.DataFrame:
    """What is out of habit after the cut, at least moderately."""
    found = habits.anomalies(table(rows), since=CUT.to_pydatetime(), **more)
    return found[found["severity"] >= MODERATE]


def kinds(rows: pd.DataFrame, **more) -> set[str]:
    """The kinds of it."""
    return set(told(rows, **more)["kind"])


@pytest.fixture(scope="module")
def quiet():
    """Twelve keys for 41 days, the last of them after the cut; nothing happens."""
    return estate(7, keys=12, days=41, per_hour=3.0)


@pytest.fixture(scope="module")
def steady():
    """One key that its one principal uses twice an hour in working hours, for forty days."""
    hours = [h for h in range(41 * 24) if 8 <= h % 24 < 18]
    return pd.concat([uses(at=BASE + pd.Timedelta(hours=h), count=2) for h in hours], ignore_index=True)


def planted(rows: pd.DataFrame, *attack: pd.DataFrame) -> pd.DataFrame:
    """The estate with an attack in it."""
    return pd.concat([rows, *attack], ignore_index=True)


def test_steady_habits_give_no_alarm(quiet, steady):
    """Rhythms of day and week, noise and a few refusals are nothing to tell."""
    assert [] == told(quiet)["reasons"].tolist()
    assert [] == habits.anomalies(table(steady), since=CUT.to_pydatetime())["reasons"].tolist()


@pytest.mark.parametrize(
    ("kind", "attack"),
    [
        ("new-principal", {"principal": f"arn:aws:iam::{ACCOUNT}:user/mallory", "count": 1}),
        ("new-network", {"source": "203.0.113.9", "count": 1}),
        ("new-service", {"service": "lambda.amazonaws.com", "count": 1}),
        ("new-operation", {"operation": "Sign", "count": 1}),
        ("unusual-hour", {"at": CUT + pd.Timedelta(hours=3), "count": 1}),
        ("decrypt-burst", {"count": 40}),
        ("use-burst", {"operation": "Encrypt", "count": 40}),
        ("error-burst", {"result": "AccessDenied", "count": 30}),
    ],
)
def test_what_is_out_of_habit_is_told(steady, kind, attack):
    """Each kind, planted in a steady estate; the reasons have the numbers."""
    if kind == "new-service":
        steady = steady.assign(service="s3.amazonaws.com")
    found = told(planted(steady, uses(**{"at": SOON, **attack})))
    assert kind in set(found["kind"])
    mine = found[found["kind"] == kind].iloc[0]
    assert any(any(letter.isdigit() for letter in reason) for reason in mine["reasons"])
    assert len(mine["events"]) > 0
    assert CUT <= mine["at"]


def test_a_burst_is_told_with_what_is_usual(steady):
    """In plain words: how many, in what time, and how many it usually is."""
    found = told(planted(steady, uses(at=SOON, count=40)))
    reasons = found[found["kind"] == "decrypt-burst"].iloc[0]["reasons"]
    assert "42 decrypts or reads in an hour; usually 2 at that time of day, over 39 days" == reasons[0]


def test_a_weekend_is_told_where_there_is_none():
    """A key of working days, asked for on a Saturday."""
    days = [d for d in range(45) if (BASE + pd.Timedelta(days=d)).day_of_week < 5]
    rows = pd.concat([uses(at=BASE + pd.Timedelta(days=d, hours=9), count=5) for d in days], ignore_index=True)
    saturday = BASE + pd.Timedelta(days=46, hours=9)
    while saturday.day_of_week != 5:
        saturday += pd.Timedelta(days=1)
    found = habits.anomalies(table(planted(rows, uses(at=saturday, count=1))), since=(saturday - pd.Timedelta(hours=9)))
    assert any("on a weekend" in reason for row in found["reasons"] for reason in row)


def test_a_short_past_is_told_and_never_silence(steady):
    """A new key used by a new principal: no habit is known, and that is said of both."""
    new = uses(key=99, at=SOON, count=3, principal=f"arn:aws:iam::{ACCOUNT}:role/new")
    found = habits.anomalies(table(planted(steady, new)), since=CUT.to_pydatetime())
    short = found[found["kind"] == "too-little-history"]
    assert {"keeper:99", f"arn:aws:iam::{ACCOUNT}:role/new"} <= {
        *short["key_uid"].dropna(),
        *short["principal"].dropna(),
    }
    assert all("a habit takes" in row[0] for row in short["reasons"])


def test_where_something_new_comes_every_day_it_means_little(steady):
    """Sessions from changing networks are that principal's habit."""
    every = [uses(at=BASE + pd.Timedelta(days=d, hours=9), count=1, source=f"203.0.{d}.9") for d in range(41)]
    found = habits.anomalies(table(planted(steady, *every)), since=CUT.to_pydatetime())
    assert {"very-low", "low"} >= set(found[found["kind"] == "new-network"]["severity"])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed):
    """Files are read in any order."""
    rows = planted(estate(3, keys=3, days=41, per_hour=1.0), uses(at=SOON, count=40, source="203.0.113.9"))
    mixed = rows.iloc[np.random.default_rng(seed).permutation(len(rows))]
    pd.testing.assert_frame_equal(
        habits.anomalies(table(rows), since=CUT.to_pydatetime()),
        habits.anomalies(table(mixed), since=CUT.to_pydatetime()),
    )


def test_an_event_that_was_read_twice_counts_once(quiet):
    """Two trails, or a bucket and LookupEvents, tell the same events."""
    rows = planted(quiet, uses(at=SOON, count=60))
    rows["event_id"] = [f"e{n}" for n in rows.index]
    twice = pd.concat([rows, rows, rows.tail(500)], ignore_index=True)
    pd.testing.assert_frame_equal(
        habits.anomalies(table(rows), since=CUT.to_pydatetime()),
        habits.anomalies(table(twice), since=CUT.to_pydatetime()),
    )


def test_each_of_many_alike_is_told_alike(steady):
    """Scaling: the same attack on ten keys with the same past gives the same row ten times."""
    rows = planted(steady, uses(at=SOON, count=40))
    many = pd.concat([rows.assign(key=n, principal=rows["principal"] + f"-{n}") for n in range(10)], ignore_index=True)
    one, ten = told(rows), told(many)
    assert 10 * len(one) == len(ten)
    assert set(one["score"]) == set(ten["score"])


def test_weeks_later_is_the_same(steady):
    """Shifting everything by whole weeks shifts the times, and nothing else."""
    rows = planted(steady, uses(at=SOON, count=40))
    weeks = pd.Timedelta(weeks=3)
    later = rows.assign(second=rows["second"] + int(weeks.total_seconds()))
    first = habits.anomalies(table(rows), since=CUT.to_pydatetime())
    second = habits.anomalies(table(later), since=(CUT + weeks).to_pydatetime())
    pd.testing.assert_frame_equal(first.assign(at=first["at"] + weeks), second)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_a_bigger_burst_never_scores_lower(one, other):
    """More is never less."""
    rows = estate(5, keys=1, days=41, per_hour=1.0)

    def score(count):
        found = habits.anomalies(table(planted(rows, uses(at=SOON, count=count))), since=CUT.to_pydatetime())
        return found[(found["kind"] == "decrypt-burst") & found["key_uid"].notna()]["score"].max()

    small, big = (np.nan_to_num(score(count)) for count in sorted((one, other)))
    assert small <= big


def change(operation: str, *, at: pd.Timestamp = SOON, **more) -> pd.DataFrame:
    """One change by an administrator, with what was kept of its request."""
    detail = more.pop("detail", None)
    who = f"arn:aws:iam::{ACCOUNT}:role/admin"
    return uses(
        at=at, count=1, operation=operation, principal=who, detail=json.dumps(detail) if detail else None, **more
    )


@pytest.mark.parametrize(
    ("operation", "detail", "kind", "technique"),
    [
        ("StopLogging", None, "logging-disabled", "T1562.008"),
        ("DeleteTrail", None, "logging-disabled", "T1562.008"),
        ("PutEventSelectors", {"left_out": ["kms.amazonaws.com"]}, "logging-narrowed", "T1562.008"),
        ("ScheduleKeyDeletion", {"pending_window_days": 7}, "deletion-scheduled", "T1485"),
        ("DisableKey", None, "key-disabled", "T1489"),
        ("DeleteImportedKeyMaterial", None, "material-deleted", "T1485"),
        ("ImportKeyMaterial", None, "material-imported", "T1486"),
        ("CancelKeyDeletion", None, "deletion-cancelled", None),
        ("DisableKeyRotation", None, "rotation-switched-off", None),
        ("CreateGrant", {"grantee": "arn:aws:iam::444455556666:root"}, "grant-to-new-grantee", "T1098"),
        ("PutKeyPolicy", {"is_policy_known": True, "is_public": True, "principals": ["*"]}, "policy-widened", "T1098"),
        ("CreateAccessKey", None, "credential-made", "T1098.001"),
    ],
)
def test_a_change_is_told_whatever_the_habit_is(operation, detail, kind, technique):
    """Also without any history; the technique has its mark."""
    found = habits.anomalies(table(change(operation, detail=detail)), since=CUT.to_pydatetime())
    mine = found[found["kind"] == kind].iloc[0]
    assert (technique, None if technique is None else "K") == (mine["technique"], mine["mark"])
    refused = habits.anomalies(
        table(change(operation, detail=detail, result="AccessDenied")), since=CUT.to_pydatetime()
    )
    assert refused[refused["kind"] == kind].iloc[0]["score"] < mine["score"]


def test_what_was_planned_is_not_told():
    """A plan names the key and the operation; another key's destruction is told all the same."""
    rows = planted(change("ScheduleKeyDeletion"), change("ScheduleKeyDeletion", key=1))
    found = told(rows, planned=[("keeper:0", "ScheduleKeyDeletion")])
    assert ["keeper:1"] == found[found["kind"] == "deletion-scheduled"]["key_uid"].tolist()


def test_a_policy_that_lets_in_nobody_new_is_no_widening():
    """The policy before is the measure, where the log has it; another account weighs more."""
    before = {"is_policy_known": True, "principals": [f"arn:aws:iam::{ACCOUNT}:root", "a"], "is_public": False}
    first = change("PutKeyPolicy", at=CUT - pd.Timedelta(days=3), detail=before)
    less = {**before, "principals": before["principals"][:1]}
    other = {**before, "principals": ["arn:aws:iam::444455556666:root"]}
    more = {**before, "principals": ["a", "b"]}
    assert "policy-widened" not in kinds(planted(first, change("PutKeyPolicy", detail=less)))
    scores = [told(planted(first, change("PutKeyPolicy", detail=one)))["score"].max() for one in (more, other)]
    assert scores == sorted(scores)
    assert scores[0] < scores[1]


def test_a_grant_to_whom_it_was_given_before_is_no_news():
    """Services give each grant to a session of its own: the role behind it counts."""
    grants = [f"arn:aws:sts::{ACCOUNT}:assumed-role/ec2/i-{number}" for number in range(2)]
    first = change("CreateGrant", at=CUT - pd.Timedelta(days=3), detail={"grantee": grants[0]})
    assert "grant-to-new-grantee" not in kinds(planted(first, change("CreateGrant", detail={"grantee": grants[1]})))


def test_a_marked_key_that_is_asked_for_is_told():
    """By its own events, by its refusals, and not after it was enabled again."""
    after = SOON + pd.Timedelta(hours=1)
    asked = uses(at=after, count=3)
    assert "use-of-marked-key" in kinds(planted(change("DisableKey"), asked))
    assert "use-of-marked-key" in kinds(asked.assign(result="DisabledException"))
    back = change("EnableKey", at=SOON + pd.Timedelta(minutes=5))
    assert "use-of-marked-key" not in kinds(planted(change("DisableKey"), back, asked))
    before = uses(at=SOON - pd.Timedelta(hours=2), count=3)
    assert "use-of-marked-key" not in kinds(planted(change("DisableKey"), before))


def test_nothing_is_an_empty_table_with_the_same_columns():
    """No usages, and only usages before the cut."""
    empty = habits.anomalies(table(uses(at=SOON, count=1).head(0)))
    assert (0, habits.COLUMNS) == (len(empty), list(empty.columns))
    assert 0 == len(told(uses(at=BASE, count=3)))


def test_every_kind_says_what_it_is_and_every_technique_has_a_mark():
    """The table of kinds is whole; no operation is told as two kinds."""
    known = habits.kinds()
    assert all(said["says"] and 0 <= said["score"] <= 100 for said in known.values())
    assert all("mark" in said for said in known.values() if "technique" in said)
    names = [name for said in known.values() for name in said.get("operations", ())]
    assert len(names) == len(set(names))
