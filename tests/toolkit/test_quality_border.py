"""The border of a run: what was expected of its sources, drift against their last run, and quarantine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import toolkit as tk
from toolkit import comparison, quality
from toolkit.errors import ConfigError, StoreError
from toolkit.model import Key, Reading
from toolkit.quality.border import border, expected_of
from toolkit.store import Workspace, new_run_id
from toolkit.tables import Builder, Inventory
from toolkit.terms import KeyType, ReadingStatus

NOW = datetime(2026, 11, 1, tzinfo=UTC)
A, B = "file:///a/", "file:///b/"


def gathered(counts, *, at=NOW, status=ReadingStatus.READ, **facts):
    """A builder with so many keys at each target."""
    builder = Builder()
    for target, count in counts.items():
        for number in range(count):
            builder.add(Key(key_uid=f"spki:{number:064x}", collector="keyfiles", target=target, locator=f"{target}{number}.pem",
                            key_type=KeyType.PRIVATE_KEY, **facts))  # fmt: skip
        builder.add(Reading(collector="keyfiles", target=target, status=status, rows=count, gaps=0, seconds=1.0,
                            started_at=at, run_id="r"))  # fmt: skip
    return builder


def inventory(counts, **facts):
    return Inventory.of(gathered(counts, **facts))


def told(inv, **options):
    return quality._table(border(inv, as_of=NOW, **options))


def failed(frame):
    return [*frame.loc[frame["verdict"] == "FAIL", "check"]]


EXPECTED = {"source": [{"collector": "keyfiles", "targets": [A, B], "minimum": {"keys": 12}, "max_age_days": 7}]}


def test_a_run_that_gives_what_was_expected_passes():
    """Targets, counts and age."""
    frame = told(inventory({A: 8, B: 8}), expected=expected_of(EXPECTED))
    assert {"PASS"} == set(frame["verdict"])
    assert 4 == len(frame)


def test_each_thing_expected_is_missed_by_its_own_check():
    """A target that is not there, one that was not read whole, too few rows, a reading that is old."""
    expected = expected_of(EXPECTED)
    assert ["has every target expected of keyfiles"] == failed(told(inventory({A: 16}), expected=expected))
    part = told(inventory({A: 8, B: 8}, status=ReadingStatus.PARTIAL), expected=expected)
    assert ["is `read` for every target expected of keyfiles"] == failed(part)
    assert ["has at least 12 rows of keyfiles"] == failed(told(inventory({A: 8, B: 3}), expected=expected))
    old = told(inventory({A: 8, B: 8}, at=NOW - timedelta(days=7, microseconds=1)), expected=expected)
    assert ["of every target of keyfiles is at most 7 days before as_of"] == failed(old)
    assert [] == quality.reasons(old)
    assert {"PASS"} == set(told(inventory({A: 8, B: 8}, at=NOW - timedelta(days=7)), expected=expected)["verdict"])


@pytest.mark.parametrize(("now", "fails"), [(20, False), (10, False), (9, True), (0, True)])
def test_rows_may_fall_by_the_share_that_is_stated_and_no_more(now, fails):
    """Half, if nothing else is said; exactly half is not more than half."""
    frame = told(inventory({A: now}), previous=inventory({A: 20}))
    assert fails == ("has not lost more than 50% of its rows of keyfiles" in failed(frame))
    assert not fails or "20 in the last run" in quality.reasons(frame)[0]


def test_a_small_source_may_come_and_go():
    """Below ten rows nothing is told of drift, and that is not a pass."""
    frame = told(inventory({A: 0}), previous=inventory({A: 9}))
    assert {"NOT_APPLICABLE"} == set(frame["verdict"])


def test_what_was_not_read_whole_is_no_drift():
    """It is a gap already, in either run; and another target is not the same source's."""
    assert [] == failed(told(inventory({A: 0}, status=ReadingStatus.FAILED), previous=inventory({A: 20})))
    assert [] == failed(told(inventory({A: 0}), previous=inventory({A: 20}, status=ReadingStatus.PARTIAL)))
    assert [] == failed(told(inventory({A: 0}), previous=inventory({B: 20})))


def test_a_column_that_was_filled_and_is_null_now_is_named():
    """A collector that lost a permission, or a parser that broke, shows so."""
    frame = told(inventory({A: 20}), previous=inventory({A: 20}, owner="ops", algorithm="RSA"))
    assert ["has values in every column that had some of keyfiles"] == failed(frame)
    assert [
        "not kept: keys has values in every column that had some of keyfiles (algorithm, owner)"
    ] == quality.reasons(frame)


def test_new_words_are_a_warning_and_a_word_of_odd_form_is_not_shown():
    """A source that speaks otherwise is told of, and not set apart."""
    frame = told(
        inventory({A: 20}, algorithm="<canary>", format="PKCS#8"),
        previous=inventory({A: 20}, algorithm="RSA", format="PKCS#8"),
    )
    row = frame[frame["verdict"] == "FAIL"].iloc[0]
    assert ("uses the words that it used of keyfiles", "warning") == (row["check"], row["severity"])
    assert ["algorithm: new a word of odd form", "algorithm: no more RSA"] == [*row["examples"]]
    assert [] == quality.reasons(frame)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_fall": 2}, {"max_fall": "half"}, {"sources": []}, {"source": {}}, {"source": [{}]},
        {"source": [{"collector": "c", "minimum": {"gaps": 1}}]}, {"source": [{"collector": "c", "minimum": {"keys": "1"}}]},
        {"source": [{"collector": "c", "target": [A]}]}, {"source": [{"collector": "c", "targets": A}]},
        {"source": [{"collector": "c", "max_age_days": "7"}]},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(wrong):
    """A misspelt expectation would expect nothing."""
    with pytest.raises(ConfigError):
        expected_of(wrong)


def test_a_file_that_is_no_toml_is_refused(tmp_path):
    """With its name."""
    (tmp_path / "expected.toml").write_text("[[source]")
    with pytest.raises(ConfigError, match=r"expected\.toml"):
        expected_of(tmp_path / "expected.toml")
    with pytest.raises(ConfigError, match=r"none\.toml"):
        expected_of(tmp_path / "none.toml")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "w")


def write(workspace, counts, hours, **facts):
    at = NOW + timedelta(hours=hours)
    return workspace.write_run(gathered(counts, at=at, **facts), run_id=new_run_id(now=at)).run_id


def test_a_quarantined_run_is_left_out_and_a_gap_says_so(workspace):
    """The run before counts, no longer as read whole; nothing is lost, and nothing is called gone."""
    write(workspace, {A: 3, B: 1}, 0)
    bad = write(workspace, {A: 1}, 1)
    before = workspace.load(include_quarantined=True)
    workspace.quarantine(bad, ["keys fell"])

    inv = workspace.load()

    assert {A: 3, B: 1} == inv.keys["target"].value_counts().to_dict()
    assert [(A, "target", "not-asked", f"its run {bad} is quarantined: keys fell")] == list(
        inv.gaps[["target", "scope", "status", "reason"]].itertuples(index=False, name=None)
    )
    assert {A: "partial", B: "read"} == dict(zip(inv.readings["target"], inv.readings["status"], strict=True))
    assert bad not in inv.runs
    gone = comparison.compare(workspace.load(as_of=NOW), inv)
    assert [] == list(gone["change"])
    again = workspace.load(include_quarantined=True)
    assert before.runs == again.runs
    pd.testing.assert_frame_equal(before.keys, again.keys)
    assert 1 == len(tk.load(workspace.path, include_quarantined=True).keys[lambda keys: keys["target"] == A])


def test_a_first_run_that_is_quarantined_leaves_its_gap(workspace):
    """Absent is not read and empty."""
    bad = write(workspace, {A: 3}, 0)
    workspace.quarantine(bad, ["odd"])
    inv = workspace.load()
    assert (0, 1) == (len(inv.keys), len(inv.gaps))
    assert [("failed", 1, 1)] == list(inv.readings[["status", "rows", "gaps"]].itertuples(index=False, name=None))


def test_an_inventory_with_a_quarantined_run_adds_up(workspace):
    """Its rows and its readings still agree, as the data contract asks."""
    write(workspace, {A: 3, B: 1}, 0)
    workspace.quarantine(write(workspace, {A: 1, "file:///c/": 2}, 1), ["odd"])
    frame = quality.validate(workspace.load(), as_of=NOW + timedelta(days=1))
    assert ["is `read` for at least 90% of the targets"] == failed(frame)


def test_a_later_good_run_takes_the_place_of_a_quarantined_one(workspace):
    """What is newest and good is what is known: there is no gap any more."""
    workspace.quarantine(write(workspace, {A: 1}, 0), ["odd"])
    write(workspace, {A: 5}, 1)
    inv = workspace.load()
    assert (5, 0) == (len(inv.keys), len(inv.gaps))
    assert 1 == len(workspace.load(as_of=NOW).gaps)


def test_a_run_is_released_by_somebody_for_a_reason_and_both_are_kept(workspace):
    """It counts again, and the whole story can be read."""
    bad = write(workspace, {A: 1}, 0)
    workspace.quarantine(bad, ["keys fell"], now=NOW)
    assert {bad: ("keys fell",)} == {name: told.reasons for name, told in workspace.quarantined().items()}
    for reason, who in (("", "alice"), ("moved", " ")):
        with pytest.raises(ConfigError):
            workspace.release(bad, reason=reason, who=who)

    workspace.release(bad, reason="the keys were moved", who="alice", now=NOW + timedelta(days=1))

    assert {} == Workspace(workspace.path).quarantined()
    assert (1, 0) == (len(workspace.load().keys), len(workspace.load().gaps))
    story = [(told.reasons, told.released_by) for told in workspace.quarantine_history()]
    assert [(("keys fell",), None), (("the keys were moved",), "alice")] == story
    with pytest.raises(ConfigError, match="not quarantined"):
        workspace.release(bad, reason="again", who="bob")


def test_only_a_run_that_is_there_can_be_quarantined(workspace):
    """A misspelt id would quarantine nothing."""
    write(workspace, {A: 1}, 0)
    with pytest.raises(StoreError, match="no run"):
        workspace.quarantine("20260101T000000.000000Z-000000", ["odd"])


def test_the_run_before_is_that_of_the_same_targets_and_not_a_quarantined_one(workspace):
    """Drift is told against what was last good."""
    write(workspace, {A: 20, B: 7}, 0)
    workspace.quarantine(write(workspace, {A: 2}, 1), ["keys fell"])
    last = write(workspace, {A: 3}, 2)
    assert {A: 20} == workspace.before(last).keys["target"].value_counts().to_dict()
    assert ["20 in the last run, 3 now"] == [
        reason.split("(")[1].rstrip(")") for reason in quality.guard(workspace, last, expected_of(None))
    ]
    assert last in workspace.quarantined()


def test_what_a_workspace_expects_is_asked_of_every_run(workspace):
    """`expected.toml` lies in it."""
    first = write(workspace, {A: 2}, 0)
    assert [] == quality.guard(workspace, first, quality.expected_in(workspace))
    (workspace.path / "expected.toml").write_text('[[source]]\ncollector = "keyfiles"\nminimum = {keys = 5}\n')
    assert ["not kept: keys has at least 5 rows of keyfiles (found 2)"] == quality.guard(
        workspace, first, quality.expected_in(workspace)
    )
    assert len(workspace.load().gaps)


def test_a_run_is_not_asked_for_a_source_that_it_did_not_read(workspace):
    """`collect keyfiles` is no failure of what is expected of tokens; of the whole workspace it is asked."""
    expected = expected_of({"source": [{"collector": "pkcs11", "minimum": {"keys": 1}}]})
    run = write(workspace, {A: 2}, 0)
    assert [] == quality.guard(workspace, run, expected)
    assert ["has at least 1 rows of pkcs11"] == failed(told(workspace.load(), expected=expected))


def test_an_expectation_that_is_not_understood_stops_a_collection_before_it_reads(tmp_path):
    """Not after an hour of reading."""
    (tmp_path / "expected.toml").write_text("minimum = 3")
    with pytest.raises(ConfigError, match=r"expected\.toml"):
        tk.collect("keyfiles", paths=[tmp_path], into=tmp_path, show_progress=False)
    assert ["expected.toml"] == [path.name for path in tmp_path.iterdir()]
