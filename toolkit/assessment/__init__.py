"""What the standards say of an inventory: one row per subject and rule that applies to it, as of a date.

Whole columns at a time: a million keys is a matter of seconds. Texts that repeat (uid, locator, rule, `saw` …) are
categorical columns, so that ten million rows are not ten million strings; `toolkit.tables` turns them into text again.

A subject of which nobody told whether it is in a pack's scope gets one finding of that pack, rule `scope`, in place of
one a rule: it is INDETERMINATE until `scopes.toml` or a tag says so, and does not drown what is decided.

Refuses to: pass what it cannot tell. An unknown value makes a verdict INDETERMINATE and `missing` names its field;
what only a person can answer is ATTESTATION_REQUIRED, once an inventory. A rule broken with leave, by an exception that
a house recorded, stays a FAIL: `excepted` says which, until when and who approved it.

>>> from datetime import UTC
>>> from toolkit import registry
>>> from toolkit.conditions import frame_of
>>> from toolkit.policies import load
>>> pack = load(registry.entry("policies", "nist_sp800_131a").path)
>>> keys = frame_of("key", [{"subject_uid": "spki:1", "holds_secret": True, "algorithm": "RSA", "size_bits": 1024}])
>>> found = assess({"key": keys}, [pack], as_of=datetime(2026, 6, 1, tzinfo=UTC))
>>> found.loc[found["verdict"] == "FAIL", ["rule", "saw"]].values.tolist()
[['rsa-size', '{"holds_secret": true, "algorithm": "RSA", "size_bits": 1024}']]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd

from toolkit.assessment._conflicts import conflicts
from toolkit.assessment._found import INVENTORY, Found, Part
from toolkit.assessment._saw import Saw, Shown
from toolkit.conditions import ALWAYS, Bits, Columns, fields_of
from toolkit.policies import Judged, Pack, Rule, judge
from toolkit.terms import Severity, Topic, TrustMark, Verb, Verdict

__all__ = ["SCOPE", "assess", "conflicts", "rules", "summary"]

SCOPE: Final = "scope"
"""The rule of findings that say that nobody told whether a pack applies."""
_SCOPES: Final = "scopes"


def assess(
    subjects: Mapping[str, pd.DataFrame],
    packs: Sequence[Pack],
    *,
    as_of: datetime,
    verdicts: Iterable[Verdict] | None = None,
    include_not_applicable: bool = False,
    each_rule: bool = False,
) -> pd.DataFrame:
    """The findings: each rule's verdict on each subject of its kind that it applies to, rule by rule.

    `verdicts` keeps only those; without it all but NOT_APPLICABLE are given. `each_rule` gives what is out of scope for
    want of being told rule by rule, too.
    """
    wanted = set(Verdict) if verdicts is None else set(verdicts)
    if verdicts is None and not include_not_applicable:
        wanted.discard(Verdict.NOT_APPLICABLE)
    return _Assessment(subjects, packs, as_of, wanted, each_rule).findings()


def rules(packs: Sequence[Pack]) -> pd.DataFrame:
    """One row a rule of the packs: where it is from, how that was checked, what it says."""
    told = [(p.name, r.id, r.clause, r.mark, r.says, r.severity) for p in packs for r in p.rules]
    return pd.DataFrame(told, columns=["pack", "rule", "clause", "mark", "says", "severity"])


def summary(findings: pd.DataFrame) -> pd.DataFrame:
    """One row a rule: how many subjects it gave each verdict, how many broke it with leave; worst failures first."""
    keys = ["pack", "rule", "severity", "mark", "is_draft", "says"]
    shown = [verdict.value for verdict in Verdict if verdict is not Verdict.NOT_APPLICABLE]
    runs = _runs(findings[[*keys, "verdict"]])
    groups = runs.groupby([*keys, "verdict"], observed=True, sort=False)["count"]
    counts = groups.sum().unstack("verdict", fill_value=0)
    told = counts.reindex(columns=shown, fill_value=0).astype("Int64").rename_axis(columns=None).reset_index()
    order = ["FAIL", "WARN", "INDETERMINATE"]
    told["excepted"] = _excepted_by_rule(findings, told)
    told["_failing"] = told["FAIL"] > 0
    told = told.sort_values(["_failing", "severity", *order], ascending=False, kind="stable")
    return told[["pack", "rule", "severity", *shown, "excepted", "mark", "is_draft", "says"]].reset_index(drop=True)


def _excepted_by_rule(findings: pd.DataFrame, told: pd.DataFrame) -> pd.Series[int]:
    """How many of a rule's verdicts are excepted."""
    some = findings.loc[findings["excepted"].notna(), ["pack", "rule"]].astype(str)
    counts = some.value_counts()
    numbers = [int(counts.get(key, 0)) for key in zip(told["pack"].astype(str), told["rule"].astype(str), strict=True)]
    return pd.Series(numbers, index=told.index, dtype="Int64")


def _runs(findings: pd.DataFrame) -> pd.DataFrame:
    """The first of each run of rows that are alike, and how many they are: findings come rule by rule."""
    changes = np.zeros(len(findings), bool)
    changes[:1] = True
    for name in findings.columns:
        column = findings[name]
        codes = column.cat.codes if isinstance(column.dtype, pd.CategoricalDtype) else pd.factorize(column)[0]
        values = np.asarray(codes)
        changes[1:] |= values[1:] != values[:-1]
    starts = np.flatnonzero(changes)
    return findings.iloc[starts].assign(count=np.diff(np.append(starts, len(findings))))


class _Assessment:
    """One call. Every rule is judged twice: to count its findings, and, beside the rules that look at the same fields,
    to write them down. Judging is cheap; keeping what was judged of a million rows is not.
    """

    def __init__(
        self,
        subjects: Mapping[str, pd.DataFrame],
        packs: Sequence[Pack],
        as_of: datetime,
        wanted: set[Verdict],
        each_rule: bool,
    ) -> None:
        self.frames, self.wanted, self.as_of, self.each_rule = subjects, wanted, as_of, each_rule
        self.columns = {name: Columns(name, frame, as_of=as_of) for name, frame in subjects.items()}
        self.rules = [(pack, rule) for pack in packs for rule in pack.rules]
        self.unscoped: dict[tuple[str, str, tuple[str, ...]], tuple[int, Bits]] = {}
        self.untold: dict[int, Bits] = {}

    def findings(self) -> pd.DataFrame:
        parts = [part for number in range(len(self.rules)) if (part := self._part(number)) is not None]
        for (pack, subject, scope), (number, rows) in self.unscoped.items():
            parts += self._untold(pack, subject, scope, number, rows)
        found = Found(parts, self.frames)
        groups: dict[tuple[str, tuple[str, ...]], list[Part]] = {}
        for part in parts:
            groups.setdefault((part.subject, part.fields), []).append(part)
        shown: Shown = {}
        for (subject, fields), alike in groups.items():
            columns = self.columns[subject] if fields or subject != INVENTORY else _ONCE
            found.write(Saw(columns, fields, shown), [(part, *self._told(part)) for part in alike], len(columns))
        self.columns.clear()  # answers and codes of a million rows are hundreds of megabytes
        return found.frame(self.rules)

    def _part(self, number: int) -> Part | None:
        _, rule = self.rules[number]
        if rule.require is None:
            return self._ask_person(number, rule)
        if rule.subject not in self.columns:
            return None
        judged = judge(rule, self.columns[rule.subject], scope_apart=not self.each_rule)
        if judged.unscoped is not None and not self.each_rule:
            self._remember(number, judged.unscoped)
        runs = [(verdict, int(np.bitwise_count(bits).sum())) for verdict, bits in self._wanted(judged)]
        fields = dict.fromkeys((*fields_of(rule.applies), *fields_of(rule.require)))
        return Part(number, rule.subject, tuple(fields), runs) if any(count for _, count in runs) else None

    def _wanted(self, judged: Judged) -> list[tuple[Verdict, Bits]]:
        told = [*judged.told(), (Verdict.NOT_APPLICABLE, _not_applicable(judged))]
        return [(verdict, _clipped(bits, judged.rows)) for verdict, bits in told if verdict in self.wanted]

    def _told(self, part: Part) -> tuple[list[tuple[Verdict, Bits]], Mapping[str, Bits], Mapping[str, Bits]]:
        """The rows of each verdict of a part, by field those that lack it, and those that an exception covers."""
        pack, rule = self.rules[part.rule]
        if part.rule in self.untold:
            rows = self.untold[part.rule]
            return [(Verdict.INDETERMINATE, rows)], {_SCOPES: rows}, {}
        if rule.require is None:
            return [(verdict, _ONE) for verdict, _ in part.runs], {_SCOPES: _ONE}, {}
        judged = judge(rule, self.columns[rule.subject], scope_apart=not self.each_rule)
        return self._wanted(judged), judged.missing, self._excepted(pack, rule, judged.failed)

    def _excepted(self, pack: Pack, rule: Rule, broken: Bits) -> Mapping[str, Bits]:
        """Which rows that break the rule each exception covers; of several, the one that is recorded first."""
        ours = [one for one in pack.exemptions if one.rule == rule.id and one.holds(self.as_of)]
        found: dict[str, Bits] = {}
        for one in ours:
            covered = self.columns[rule.subject].answer(one.covers).yes_bits & broken
            found[str(one)] = found.get(str(one), np.zeros_like(broken)) | covered
            broken = broken & ~covered
        return found

    def _remember(self, number: int, rows: Bits) -> None:
        pack, rule = self.rules[number]
        key = (pack.name, rule.subject, rule.scope)
        first, others = self.unscoped.get(key, (number, None))
        self.unscoped[key] = first, rows if others is None else others | rows

    def _untold(self, pack: str, subject: str, scope: tuple[str, ...], number: int, rows: Bits) -> list[Part]:
        """One finding a subject and pack in place of one a rule, for those of which no scope is told."""
        rows = _clipped(rows, len(self.columns[subject]))
        count = int(np.bitwise_count(rows).sum())
        if not count or Verdict.INDETERMINATE not in self.wanted:
            return []
        self.rules.append((self.rules[number][0], _scope_rule(self.rules[number][1], pack, scope)))
        self.untold[len(self.rules) - 1] = rows
        return [Part(len(self.rules) - 1, subject, (_SCOPES,), [(Verdict.INDETERMINATE, count)])]

    def _ask_person(self, number: int, rule: Rule) -> Part | None:
        """An attestation stands once an inventory, unless that is told to be out of its scope."""
        verdict = Verdict.ATTESTATION_REQUIRED
        if not rule.is_effective(self.as_of):
            return None
        if rule.scoped is not None:
            within = self._in_scope(rule)
            if within is not True:
                verdict = Verdict.NOT_APPLICABLE if within is False else Verdict.INDETERMINATE
        return Part(number, INVENTORY, (), [(verdict, 1)]) if verdict in self.wanted else None

    def _in_scope(self, rule: Rule) -> bool | None:
        """Whether the organisation is in the scope: it is if it, or anything it has, is told to be."""
        assert rule.scoped is not None
        answers = [columns.answer(rule.scoped) for columns in self.columns.values()]
        if any(answer.yes.any() for answer in answers):
            return True
        whole = self.columns.get(INVENTORY)
        return False if whole is not None and whole.answer(rule.scoped).no.any() else None


_ONE: Final = np.packbits([True])
_ONCE: Final = Columns(INVENTORY, pd.DataFrame(index=[0]), as_of=datetime(1970, 1, 1, tzinfo=UTC))
"""What a person is asked stands once, whatever the inventory holds."""


def _clipped(bits: Bits, rows: int) -> Bits:
    """Bits, none of them set behind the last row."""
    if rows % 8 and bits[-1] & 0xFF >> rows % 8:
        bits = bits.copy()
        bits[-1] &= 0xFF << 8 - rows % 8 & 0xFF
    return bits


def _not_applicable(judged: Judged) -> Bits:
    others = judged.passed | judged.failed | judged.undecided
    return ~others if judged.unscoped is None else ~(others | judged.unscoped)


def _scope_rule(rule: Rule, pack: str, scope: tuple[str, ...]) -> Rule:
    words = " or ".join(scope)
    return replace(
        rule,
        id=SCOPE,
        clause=rule.edition,
        says=f"Whether {pack} applies is not told: it is for {words}.",
        remediation=f"Say in scopes.toml, or by a tag scope=…, what is in {words} and what is not.",
        when=ALWAYS,
        severity=Severity.MODERATE,
        mark=TrustMark.PRIMARY,
        verb=Verb.REGISTER,
        topic=Topic.GOVERNANCE,
        evidence=(),
        cwe=None,
        attack=(),
        conflicts=None,
    )
