"""Findings: every verdict with what was seen, nothing passed that is unknown."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from toolkit import assessment, policies
from toolkit.conditions import frame_of
from toolkit.tables import COLUMNS, arrow_of
from toolkit.tables import frame_of as table_of
from toolkit.terms import Verdict

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
PACK = {
    "pack": {
        "title": "House", "issuer": "us", "edition": "House rules 1", "status": "in-force", "binding": "house",
        "url": "https://example.com",
    },
    "rules": [
        {
            "id": "long", "clause": "1", "mark": "P", "says": "RSA keys are long.",
            "subject": "key", "severity": "high",
            "remediation": "Make it longer.", "when": {"field": "algorithm", "op": "==", "value": "RSA"},
            "require": {"all": [{"field": "size_bits", "op": ">=", "value": 3000},
                                {"field": "functions", "op": "contains", "value": ["sign"]},
                                {"field": "in_use_since", "op": "older_than_days", "value": 1}]},
            "met": [{}], "not_met": [{}], "cannot_tell": [{}],
        },
        {
            "id": "asked", "clause": "2", "mark": "K", "says": "There is a plan.", "subject": "inventory",
            "severity": "moderate", "remediation": "Write it.", "attestation": True,
        },
    ],
}  # fmt: skip
KEYS = [
    {"subject_uid": "a", "locator": "file:///a", "algorithm": "RSA", "size_bits": 4096, "functions": ["sign"],
     "in_use_since": datetime(2020, 1, 2, 3, tzinfo=UTC)},
    {"subject_uid": "b", "locator": "file:///b", "algorithm": "RSA", "size_bits": 2048, "functions": ["sign"]},
    {"subject_uid": "c", "locator": "file:///c", "algorithm": "RSA", "size_bits": 4096},
    {"subject_uid": "d", "locator": "file:///d", "algorithm": "EC"},
    {"subject_uid": "e", "size_bits": 1},
]  # fmt: skip


@pytest.fixture
def pack():
    """A pack of one rule and one attestation."""
    return policies.parse(PACK, name="house")


def judged(pack, rows=KEYS, **more):
    """The findings on rows."""
    return assessment.assess({"key": frame_of("key", rows)}, [pack], as_of=AS_OF, **more)


def test_each_subject_gets_its_verdict(pack):
    """Pass, fail, cannot tell; what does not apply is left out; the attestation stands once."""
    found = judged(pack)
    assert list(
        zip(found["subject_uid"], found["verdict"], strict=True)
    ) == [("a", "PASS"), ("b", "FAIL"), ("c", "INDETERMINATE"), ("e", "INDETERMINATE"),
            ("inventory", "ATTESTATION_REQUIRED")]  # fmt: skip
    assert "d" in set(judged(pack, include_not_applicable=True)["subject_uid"])


def test_a_finding_shows_what_the_rule_saw_and_what_it_missed(pack):
    """`saw` is JSON with null for unknown; `missing` names the fields that left it undecided."""
    found = judged(pack).set_index("subject_uid")
    saw = json.loads(found.loc["a", "saw"])
    assert saw == {"algorithm": "RSA", "size_bits": 4096, "functions": ["sign"], "in_use_since": "2020-01-02"}
    assert json.loads(found.loc["c", "saw"])["functions"] is None
    assert list(found.loc["c", "missing"]) == ["functions", "in_use_since"]
    assert list(found.loc["e", "missing"]) == ["algorithm"]
    assert list(found.loc["b", "missing"]) == []
    assert pd.isna(found.loc["e", "locator"])


def test_the_findings_are_the_table_findings(pack):
    """Same columns in order; through Arrow they take the table's dtypes without loss."""
    found = judged(pack)
    assert [column.name for column in COLUMNS["findings"]] == list(found.columns)
    again = table_of("findings", arrow_of("findings", found))
    assert found["saw"].astype(str).tolist() == again["saw"].tolist()
    assert (again["severity"] >= "high").sum() == 4


def test_only_the_verdicts_asked_for_are_given(pack):
    """A filter keeps a big table small."""
    assert list(judged(pack, verdicts=[Verdict.FAIL])["subject_uid"]) == ["b"]
    assert list(judged(pack, verdicts=[Verdict.NOT_APPLICABLE])["subject_uid"]) == ["d"]


def test_the_summary_counts_each_rule(pack):
    """One row a rule, what fails first, passes counted."""
    told = assessment.summary(judged(pack))
    assert list(told["rule"]) == ["long", "asked"]
    assert [told[name][0] for name in ("PASS", "FAIL", "WARN", "INDETERMINATE", "ATTESTATION_REQUIRED")] == [
        1,
        1,
        0,
        2,
        0,
    ]


def test_nothing_to_judge_is_an_empty_table(pack):
    """No keys, no packs: the columns are there, and the summary is empty."""
    empty = assessment.assess({"key": frame_of("key", [])}, [], as_of=AS_OF)
    assert [column.name for column in COLUMNS["findings"]] == list(empty.columns)
    assert 0 == len(empty) == len(assessment.summary(empty))
    assert len(judged(pack, rows=[])) == 1


def test_the_order_of_the_keys_changes_no_verdict(pack):
    """Findings are about subjects, not about rows."""
    forward, backward = judged(pack), judged(pack, rows=KEYS[::-1])
    columns = ["subject_uid", "verdict", "saw"]
    assert sorted(forward[columns].astype(str).values.tolist()) == sorted(backward[columns].astype(str).values.tolist())


def test_two_packs_may_disagree_visibly(pack):
    """Each gives its own row."""
    guideline = policies.parse({**PACK, "pack": {**PACK["pack"], "binding": "guideline"}}, name="mild")
    found = assessment.assess(
        {"key": frame_of("key", KEYS[1:2])}, [pack, guideline], as_of=AS_OF, verdicts=[Verdict.FAIL, Verdict.WARN]
    )
    assert list(zip(found["pack"], found["verdict"], strict=True)) == [("house", "FAIL"), ("mild", "WARN")]


def scoped(**changes):
    """The house pack, for health data only."""
    return policies.parse({**PACK, "pack": {**PACK["pack"], "scope": "ephi", **changes}}, name="house")


def test_a_scope_that_nobody_told_is_one_finding_and_not_one_a_rule():
    """In: judged. Out: nothing. Not told: one line that says what to say; rule by rule on request."""
    rows = [{**KEYS[1], "scopes": ["ephi"]}, {**KEYS[2], "scopes": ["not:ephi"]}, KEYS[0], KEYS[3]]
    found = judged(scoped(), rows)
    assert [("b", "long", "FAIL"), ("inventory", "asked", "ATTESTATION_REQUIRED"), ("a", "scope", "INDETERMINATE")] == (
        found[["subject_uid", "rule", "verdict"]].astype(str).apply(tuple, axis=1).tolist()
    )
    untold = found[found["rule"] == "scope"].iloc[0]
    assert (["scopes"], '{"scopes": null}') == (list(untold["missing"]), untold["saw"])
    assert "long" in set(judged(scoped(), rows[2:], each_rule=True)["rule"])


@pytest.mark.parametrize(
    ("told", "expected"),
    [(["ephi"], ["ATTESTATION_REQUIRED"]), (["not:*"], []), (["nss"], ["INDETERMINATE"]), (None, ["INDETERMINATE"])],
)
def test_nobody_is_asked_to_attest_for_what_does_not_bind_them(told, expected):
    """The scope of the inventory as a whole decides; a key in scope puts it in scope."""
    frames = {"inventory": frame_of("inventory", [{"scopes": told}]), "key": frame_of("key", [])}
    found = assessment.assess(frames, [scoped()], as_of=AS_OF)
    assert expected == found.loc[found["rule"] == "asked", "verdict"].tolist()


def test_packs_that_disagree_stand_side_by_side(pack):
    """PASS here and FAIL there on one subject and topic is a row; agreement is none."""
    short = policies.parse(
        {**PACK, "rules": [{**PACK["rules"][0], "require": {"field": "size_bits", "op": ">=", "value": 2048}}]},
        name="short",
    )
    found = assessment.assess({"key": frame_of("key", KEYS[:2])}, [pack, short], as_of=AS_OF)
    (row,) = assessment.conflicts(found).to_dict("records")
    assert ("b", "house", "FAIL", "short", "PASS") == tuple(
        row[name] for name in ("subject_uid", "strict_pack", "strict_verdict", "mild_pack", "mild_verdict")
    )


def test_nothing_judged_is_no_conflict():
    """An empty table has the same columns."""
    assert assessment.conflicts(assessment.assess({}, [], as_of=AS_OF)).empty
