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
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from toolkit.assessment._conflicts import conflicts
from toolkit.assessment._found import INVENTORY, Found, Part
from toolkit.assessment._saw import Saw
from toolkit.conditions import ALWAYS, Bits, Columns, fields_of, flags_of
from toolkit.policies import Judged, Pack, Rule, judge
from toolkit.terms import Severity, Topic, TrustMark, Verb, Verdict

__all__ = ["SCOPE", "assess", "conflicts", "rules", "summary"]

SCOPE: Final = "scope"
"""The rule of findings that say that nobody told whether a pack applies."""


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
    keys = ["pack", "rule", "severity", "is_draft", "says"]
    shown = [verdict.value for verdict in Verdict if verdict is not Verdict.NOT_APPLICABLE]
    counts = findings.groupby([*keys, "verdict"], observed=True, sort=False).size().unstack("verdict", fill_value=0)
    told = counts.reindex(columns=shown, fill_value=0).astype("Int64").rename_axis(columns=None).reset_index()
    order = ["FAIL", "WARN", "INDETERMINATE"]
    told["excepted"] = _excepted_by_rule(findings, told)
    told["_failing"] = told["FAIL"] > 0
    told = told.sort_values(["_failing", "severity", *order], ascending=False, kind="stable")
    return told[["pack", "rule", "severity", *shown, "excepted", "is_draft", "says"]].reset_index(drop=True)


def _excepted_by_rule(findings: pd.DataFrame, told: pd.DataFrame) -> pd.Series[int]:
    """How many of a rule's verdicts are excepted."""
    some = findings.loc[findings["excepted"].notna(), ["pack", "rule"]].astype(str)
    counts = some.value_counts()
    numbers = [int(counts.get(key, 0)) for key in zip(told["pack"].astype(str), told["rule"].astype(str), strict=True)]
    return pd.Series(numbers, index=told.index, dtype="Int64")


class _Assessment:
    """One call: rules that look at the same fields of a subject are judged together."""

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
        self.found = Found()

    def findings(self) -> pd.DataFrame:
        groups: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        for number, (_, rule) in enumerate(self.rules):
            if rule.require is None:
                self._ask_person(number, rule)
            elif rule.subject in self.columns:
                fields = dict.fromkeys((*fields_of(rule.applies), *fields_of(rule.require)))
                groups.setdefault((rule.subject, tuple(fields)), []).append(number)
        for (subject, names), numbers in groups.items():
            saw = Saw(self.columns[subject], names)
            self._gather(saw, [part for number in numbers if (part := self._part(number, saw)) is not None])
        for (pack, subject, scope), (number, rows) in self.unscoped.items():
            self._untold(pack, subject, scope, number, rows)
        return self.found.frame(self.rules, self.frames)

    def _part(self, number: int, saw: Saw) -> Part | None:
        pack, rule = self.rules[number]
        columns = self.columns[rule.subject]
        judged = judge(rule, columns, scope_apart=not self.each_rule)
        if judged.unscoped is not None and not self.each_rule:
            self._remember(pack, rule, number, judged.unscoped)
        told = [(verdict, _rows(bits, len(columns))) for verdict, bits in judged.told() if verdict in self.wanted]
        if Verdict.NOT_APPLICABLE in self.wanted:
            told.append((Verdict.NOT_APPLICABLE, _not_applicable(judged)))
        rows = np.concatenate([rows for _, rows in told]) if told else np.zeros(0, np.int32)
        if not rows.size:
            return None
        missing = np.concatenate([self._missing(judged, rows, verdict) for verdict, rows in told])
        runs = [(verdict, len(rows)) for verdict, rows in told]
        return Part(
            number, rule.subject, rows, runs, saw.codes()[rows], missing, self._excepted(pack, rule, rows, runs)
        )

    def _excepted(
        self, pack: Pack, rule: Rule, rows: NDArray[np.int32], runs: list[tuple[Verdict, int]]
    ) -> NDArray[np.int16] | None:
        """Which exception covers each row that breaks the rule; of several, the one that is recorded first."""
        ours = [one for one in pack.exemptions if one.rule == rule.id and one.holds(self.as_of)]
        if not ours:
            return None
        is_broken = np.repeat([verdict is rule.otherwise for verdict, _ in runs], [count for _, count in runs])
        codes = np.full(len(rows), -1, np.int16)
        for one in reversed(ours):
            covered = self.columns[rule.subject].answer(one.covers).yes[rows] & is_broken
            codes[covered] = self.found.excepted_code(str(one))
        return codes

    def _gather(self, saw: Saw, parts: list[Part]) -> None:
        if parts:
            self.found.add_texts(parts, int(saw.codes().max()) + 1, saw.texts)

    def _missing(self, judged: Judged, rows: NDArray[np.int32], verdict: Verdict) -> NDArray[np.int16]:
        if verdict is not Verdict.INDETERMINATE or not rows.size:
            return np.zeros(len(rows), np.int16)
        mask = np.zeros(len(rows), np.int32)
        for bit, bits in enumerate(judged.missing.values()):
            mask |= flags_of(bits, judged.rows)[rows].astype(np.int32) << bit
        codes, masks = pd.factorize(mask)
        names = list(judged.missing)
        lists = [[name for bit, name in enumerate(names) if value >> bit & 1] for value in masks]
        return np.array([self.found.missing_code(names) for names in lists], np.int16)[codes]

    def _remember(self, pack: Pack, rule: Rule, number: int, rows: Bits) -> None:
        key = (pack.name, rule.subject, rule.scope)
        first, others = self.unscoped.get(key, (number, None))
        self.unscoped[key] = first, rows if others is None else others | rows

    def _untold(self, pack: str, subject: str, scope: tuple[str, ...], number: int, rows: Bits) -> None:
        """One finding a subject and pack in place of one a rule, for those of which no scope is told."""
        columns = self.columns[subject]
        found = _rows(rows, len(columns))
        if found.size and Verdict.INDETERMINATE in self.wanted:
            self.rules.append((self.rules[number][0], _scope_rule(self.rules[number][1], pack, scope)))
            saw = Saw(columns, ["scopes"])
            missing = np.full(len(found), self.found.missing_code(["scopes"]), np.int16)
            runs = [(Verdict.INDETERMINATE, len(found))]
            self._gather(saw, [Part(len(self.rules) - 1, subject, found, runs, saw.codes()[found], missing)])

    def _ask_person(self, number: int, rule: Rule) -> None:
        """An attestation stands once an inventory, unless that is told to be out of its scope."""
        verdict, missing = Verdict.ATTESTATION_REQUIRED, 0
        if not rule.is_effective(self.as_of):
            return
        if rule.scoped is not None:
            within = self._in_scope(rule)
            if within is not True:
                verdict = Verdict.NOT_APPLICABLE if within is False else Verdict.INDETERMINATE
                missing = self.found.missing_code(["scopes"] if within is None else [])
        if verdict in self.wanted:
            once = np.zeros(1, np.int32)
            part = Part(number, INVENTORY, once, [(verdict, 1)], once, np.array([missing], np.int16))
            self.found.add_texts([part], 1, Saw(Columns(INVENTORY, _NO_ROWS, as_of=self.as_of), []).texts)

    def _in_scope(self, rule: Rule) -> bool | None:
        """Whether the organisation is in the scope: it is if it, or anything it has, is told to be."""
        assert rule.scoped is not None
        answers = [columns.answer(rule.scoped) for columns in self.columns.values()]
        if any(answer.yes.any() for answer in answers):
            return True
        whole = self.columns.get(INVENTORY)
        return False if whole is not None and whole.answer(rule.scoped).no.any() else None


_NO_ROWS: Final = pd.DataFrame()


def _rows(bits: Bits, count: int) -> NDArray[np.int32]:
    return np.flatnonzero(flags_of(bits, count)).astype(np.int32)


def _not_applicable(judged: Judged) -> NDArray[np.int32]:
    others = judged.passed | judged.failed | judged.undecided
    return _rows(~others if judged.unscoped is None else ~(others | judged.unscoped), judged.rows)


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
