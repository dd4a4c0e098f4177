"""All packs over frames that no rule was written for: what must hold whatever a key looks like."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from benchmarks.row_by_row import rows_of, verdict

from toolkit import assessment, policies, registry
from toolkit.conditions import FIELDS, Columns, frame_of, leaves
from toolkit.policies import judge
from toolkit.terms import Verdict

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
ORDER = tuple(Verdict)
GOOD = (Verdict.PASS, Verdict.NOT_APPLICABLE)
MAY_BECOME = {
    Verdict.PASS: {Verdict.PASS, Verdict.INDETERMINATE},
    Verdict.FAIL: {Verdict.FAIL, Verdict.INDETERMINATE},
    Verdict.WARN: {Verdict.WARN, Verdict.INDETERMINATE},
    Verdict.INDETERMINATE: {Verdict.INDETERMINATE},
    Verdict.NOT_APPLICABLE: {Verdict.NOT_APPLICABLE, Verdict.INDETERMINATE},
}
ABSENCE_SPEAKS = {
    ("aws_fsbp", "kms-3"): "a keeper that tells the state tells a pending destruction with it: no date is none",
    ("nist_sp800_57", "backup-where-loss-hurts"): "a key of which no keeper is told is kept by ourselves",
}
"""Rules that read the absence of a value as a fact of its own."""


@pytest.fixture(scope="module")
def packs():
    """Every pack there is."""
    return [policies.load(entry.path) for entry in registry.entries("policies").values()]


@pytest.fixture(scope="module")
def pool(packs):
    """By subject and field: the values that rules' own examples hold, so that conditions are met and missed."""
    found = {}
    for rule in (rule for pack in packs for rule in pack.rules):
        for example in rule.examples:
            for field, value in example.row.items():
                found.setdefault(rule.subject, {}).setdefault(field, []).append(value)
    return found


def rows_at_random(pool, subject, count, seed):
    """Rows of values that rules look for, three in ten unknown."""
    pick = random.Random(seed)
    return [
        {field: pick.choice(values) for field, values in pool.get(subject, {}).items() if pick.random() < 0.7}
        | {"subject_uid": f"{subject}:{number}", "locator": f"file:///{number // 2}"}
        for number in range(count)
    ]


def consistent(row):
    """Without what no key is: rotated or used before it was made, or signed over a hash by what takes none."""
    told = {
        name: date.fromisoformat(str(row[name])[:10]) for name in ("last_rotated_at", "last_used_at") if name in row
    }
    unhashed = str(row.get("signature_algorithm")).casefold().startswith(("ed", "ssh-ed", "ml-dsa"))
    is_early = "created_at" in row and min(told.values(), default=date.max) < date.fromisoformat(
        str(row["created_at"])[:10]
    )
    odd = {"created_at"} if is_early else {"signature_hash"} if unhashed else set()
    return {name: value for name, value in row.items() if name not in odd}


@pytest.mark.parametrize("subject", list(FIELDS))
def test_the_engine_over_columns_says_what_a_reader_of_rows_says(packs, pool, subject):
    """Every rule of every pack, on rows at random: the fast way and the plain way agree verdict by verdict."""
    frame = frame_of(subject, rows_at_random(pool, subject, 120, 3))
    columns, rows = Columns(subject, frame, as_of=AS_OF), rows_of(frame)
    for rule in (rule for pack in packs for rule in pack.rules if rule.subject == subject):
        told = [ORDER[code] for code in judge(rule, columns).verdicts]
        assert [verdict(rule, row, AS_OF) for row in rows] == told, rule.id


@pytest.mark.parametrize("subject", [name for name in FIELDS if name != "inventory"])
def test_knowing_less_passes_nothing_and_takes_nothing_back(packs, pool, subject):
    """A cell that becomes unknown makes a verdict INDETERMINATE or leaves it; only rules that ask what is known differ.

    Such a rule demands a record (`known`), or is stricter on what has none (`unknown`), so that a subject may come to
    fail. None passes for it, but for those in `ABSENCE_SPEAKS`, each with its reason.
    """
    pick = random.Random(11)
    rows = [consistent(row) for row in rows_at_random(pool, subject, 600, 5)]
    names = [name for name in FIELDS[subject] if name not in ("subject_uid", "locator")]
    hidden = [set(pick.sample(names, len(names) // 4)) for _ in rows]
    masked = [{name: row[name] for name in row if name not in hide} for row, hide in zip(rows, hidden, strict=True)]
    before, after = (Columns(subject, frame_of(subject, data), as_of=AS_OF) for data in (rows, masked))
    for name, rule in ((pack.name, rule) for pack in packs for rule in pack.rules if rule.subject == subject):
        pairs = set(zip(judge(rule, before).verdicts.tolist(), judge(rule, after).verdicts.tolist(), strict=True))
        moves = {(ORDER[was], ORDER[now]) for was, now in pairs}
        if not asks_what_is_known(rule):
            assert [] == [move for move in moves if move[1] not in MAY_BECOME[move[0]]], (name, rule.id)
        passing = [(was, now) for was, now in moves if now is Verdict.PASS and was not in GOOD]
        assert [] == passing or (name, rule.id) in ABSENCE_SPEAKS, (name, rule.id)


def asks_what_is_known(rule):
    """Whether a test of the rule is about the record and not about the key."""
    return any(
        test.op in ("known", "unknown") for part in (rule.applies, rule.require) if part for test in leaves(part)
    )


def test_the_order_of_findings_changes_neither_conflicts_nor_summary(packs, pool):
    """Both are quicker where findings come rule by rule, and right where they do not."""
    frames = {subject: frame_of(subject, rows_at_random(pool, subject, 60, 7)) for subject in ("key", "certificate")}
    findings = assessment.assess(frames, packs, as_of=AS_OF)
    shuffled = findings.sample(frac=1, random_state=1)

    for tell, by in ((assessment.conflicts, ["subject_uid", "topic"]), (assessment.summary, ["pack", "rule", "says"])):
        sides = [tell(table).astype(str).sort_values(by, ignore_index=True) for table in (findings, shuffled)]
        kept = [
            name
            for name in sides[0]
            if not name.endswith(("_rule", "_clause", "_says", "_pack", "_binding", "_status"))
        ]
        assert len(sides[0]) > 20
        pd.testing.assert_frame_equal(sides[0][kept], sides[1][kept])


def test_all_findings_hang_together(packs, pool):
    """Each finding's rule, place, verdict, values seen and fields missed are those of its own subject."""
    rows = rows_at_random(pool, "key", 50, 9)
    frame = frame_of("key", rows)
    found = assessment.assess({"key": frame}, packs, as_of=AS_OF, each_rule=True, include_not_applicable=True)
    rules = {(pack.name, rule.id): rule for pack in packs for rule in pack.rules}
    by_uid = {row["subject_uid"]: row for row in rows_of(frame)}
    judged = found[found["subject"] == "key"]
    told = judged[["subject_uid", "locator", "pack", "rule", "verdict"]].astype(str).to_numpy().tolist()
    for uid, locator, pack, rule, said in told:
        assert (by_uid[uid]["locator"], verdict(rules[pack, rule], by_uid[uid], AS_OF)) == (locator, said)
    assert len(told) == 50 * sum(rule.subject == "key" and rule.require is not None for rule in rules.values())
