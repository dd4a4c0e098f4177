"""How bad it is and what to do first: the summary, the worst of all, and what the standards say."""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from toolkit.narrative.display import (
    NOTHING,
    Safe,
    Sections,
    Summary,
    Table,
    chip,
    count,
    immediate,
    lines,
    place,
    quiet,
    spaced,
    strong,
    text,
    uid,
    with_leave,
    word,
)
from toolkit.narrative.verdicts import clause, verdict_lines
from toolkit.narrative.words import how_many, is_are, kind_of, listed, place_of, records, standing
from toolkit.tables import Inventory
from toolkit.terms import Verdict

_HIGH: Final = ("high", "very-high")
_HARD: Final = (Verdict.FAIL.value, Verdict.WARN.value)
_SHORT: Final = {
    "FAIL": "fail", "WARN": "warn", "INDETERMINATE": "cannot tell", "ATTESTATION_REQUIRED": "attest", "PASS": "pass",
}  # fmt: skip


def summary(inv: Inventory, keys: pd.DataFrame, scores: pd.DataFrame, *, as_of: pd.Timestamp | Any) -> Summary:
    """One paragraph for who decides: how much there is, what cannot wait, what is worst, what was not seen."""
    now, high = _urgent(scores), scores["band"].isin(_HIGH)
    broken = inv.readings[inv.readings["status"] != "read"]
    held, secrets = int(keys["holds_secret"].sum()), int((scores["subject"] != "key").sum())
    tiles = (
        (f"{len(keys):,}", "keys", ""),
        (f"{held:,}", "with a private or secret half at one of our places", ""),
        (f"{secrets:,}", "hard-coded secrets", "warning" if secrets else ""),
        (f"{int(now.sum()):,}", "need action now", "alarm" if now.any() else ""),
        (
            f"{len(broken):,}",
            f"of {how_many(len(inv.readings), 'target')} not read whole",
            "warning" if len(broken) else "",
        ),
    )
    return Summary(
        tiles,
        (
            _counted(inv, keys, as_of),
            _action(now, high & ~now),
            _worst_sentence(scores, keys),
            _unseen(broken),
        ),
    )


def _urgent(scores: pd.DataFrame) -> pd.Series[Any]:
    """What cannot wait: behind a gate (compromised, leaked), or of very high risk."""
    return scores["gate"].notna() | (scores["band"] == "very-high")


def _counted(inv: Inventory, keys: pd.DataFrame, as_of: Any) -> str:
    readings = inv.readings.groupby("collector", observed=True)["target"].nunique().sort_values(ascending=False)
    sources = listed([f"{name} ({number:,})" for name, number in readings.items()]) or "nothing"
    return (
        f"As of {as_of:%-d %B %Y, %H:%M} UTC, {how_many(len(keys), 'key')} and "
        f"{how_many(inv.certificates['certificate_uid'].nunique(), 'certificate')} are known, seen at "
        f"{how_many(inv.keys['locator'].nunique(), 'place')} in {how_many(len(inv.readings), 'target')} of {sources}."
    )


def _action(now: pd.Series[Any], soon: pd.Series[Any]) -> str:
    first, then = int(now.sum()), int(soon.sum())
    if not first and not then:
        return "Nothing of what was seen needs action now."
    told = f"{first:,} {'needs' if first == 1 else 'need'} action now" if first else "None needs action now"
    return f"{told}; {then:,} more {is_are(then)} of high risk." if then else f"{told}."


def _worst_sentence(scores: pd.DataFrame, keys: pd.DataFrame) -> str:
    if scores.empty:
        return ""
    first = scores.iloc[0]
    reasons = listed(list(first["reasons"])[:2])
    opening = "Most urgent" if _urgent(scores).any() else "The highest risk"
    where, todo = _short(first["locator"]), _ended(first["todo"])
    return f"{opening}: {_called(first, keys)} at {where} ({reasons}). First: {todo}"


def _called(row: Any, keys: pd.DataFrame) -> str:
    found = keys[keys["subject_uid"] == row["subject_uid"]]
    if row["subject"] == "key" and len(found):
        return kind_of(found.iloc[0])
    return "hard-coded secret" if pd.isna(row["label"]) else f"{row['label']} (hard-coded)"


def _short(locator: object) -> str:
    whole = "a place unknown" if pd.isna(locator) else place_of(locator)  # type: ignore[call-overload]
    return whole if len(whole) <= 70 else f"{whole[:22]}…{whole[-47:]}"


def _ended(sentence: object) -> str:
    return str(sentence).rstrip(".") + "."


def _unseen(broken: pd.DataFrame) -> str:
    if broken.empty:
        return "Every target was read whole."
    names = broken["label"].fillna(broken["target"]).astype(str)
    told = listed([_short(name) for name in names[:3]]) + (" and others" if len(broken) > 3 else "")
    return f"Not read whole: {told}; what lies there is not in these figures."


def worst(keys: pd.DataFrame, scores: pd.DataFrame, findings: pd.DataFrame, *, top: int = 15) -> Table:
    """The worst first: what it is, where, why, what the standards say of it, and the first thing to do."""
    shown = _listed(scores).head(top)
    known = keys[keys["subject_uid"].isin(shown["subject_uid"])].set_index("subject_uid", drop=False)
    hard = findings[findings["subject_uid"].isin(shown["subject_uid"]) & findings["verdict"].isin(_HARD)]
    rows = [
        (
            lines([strong(f"{row.score:.0f}"), chip(row.band), NOTHING if pd.isna(row.gate) else immediate()]),
            lines([_what(row, known), place(row.locator), uid(row.subject_uid)]),
            lines([text(reason, most=120) for reason in list(row.reasons)[:3]]),
            verdict_lines(hard[hard["subject_uid"] == row.subject_uid], most=3),
            text(row.todo, most=200),
        )
        for row in records(shown)
    ]
    columns = ("Risk", "What and where", "Why", "Standards", "What to do first")
    return Table("What to do first", _first_sentence(scores, top), columns, tuple(rows))


def _listed(scores: pd.DataFrame) -> pd.DataFrame:
    """What is above low risk or urgent; all, if nothing is."""
    above = scores[scores["gate"].notna() | ~scores["band"].isin(["very-low", "low"])]
    return scores if above.empty else above


def _what(row: Any, known: pd.DataFrame) -> Safe:
    if row.subject_uid in known.index:
        label = "" if pd.isna(row.label) else f" “{row.label}”"
        return text(kind_of(known.loc[row.subject_uid]) + label, most=80)
    return text("hard-coded secret" if pd.isna(row.label) else row.label, most=80)


def _first_sentence(scores: pd.DataFrame, top: int) -> str:
    if scores.empty:
        return "There is no key and no secret to rank."
    above, now = _listed(scores), int(_urgent(scores).sum())
    what = how_many(len(scores), "key or secret", "keys and secrets")
    rest = "" if len(above) == len(scores) else f", {len(above):,} {is_are(len(above))} of more than low risk"
    shown = f"; the worst {top:,} are shown" if len(above) > top else ""
    return (
        f"Of {what}, {now:,} {is_are(now)} urgent{rest}{shown}. Risk is likelihood × impact on a scale of 100, a "
        f"calibration of this tool; the share before each reason is its part in the likelihood. Risk never replaces a "
        f"standard's verdict."
    )


def standards(findings: pd.DataFrame, *, top: int = 30) -> Sections:
    """The packs side by side, then the rules that are broken, worst first; drafts and marks are shown with each."""
    by_rule = _by_rule(findings)
    packs = Table("What the standards say", _standards_sentence(findings), *_packs(by_rule))
    broken = by_rule[(by_rule["FAIL"] > 0) | (by_rule["WARN"] > 0)]
    return Sections((packs, Table("Rules that are broken", _broken_sentence(broken, top), *_broken(broken.head(top)))))


def _by_rule(findings: pd.DataFrame) -> pd.DataFrame:
    """One row a rule with its counts, what fails most severely first."""
    facts = ["pack", "edition", "status", "binding", "rule", "clause", "says", "severity", "mark", "is_draft"]
    names = [findings["pack"].astype(str), findings["rule"].astype(str)]
    counts = pd.crosstab(names, findings["verdict"].astype(str)).reindex(columns=list(_SHORT), fill_value=0)
    told = findings[facts].drop_duplicates(["pack", "rule"]).set_index(["pack", "rule"]).join(counts).reset_index()
    told["excepted"] = _excepted(findings).reindex(pd.MultiIndex.from_frame(told[["pack", "rule"]])).to_numpy()
    told["_fails"] = told["FAIL"] > 0
    order = ["_fails", "severity", "FAIL", "WARN"]
    return told.sort_values([*order, "pack", "rule"], ascending=[False] * len(order) + [True, True])


def _excepted(findings: pd.DataFrame) -> pd.Series[str]:
    """By rule: how many verdicts are excepted, and by what."""
    some = findings[findings["excepted"].notna()].astype({"pack": str, "rule": str, "excepted": str})
    told = some.groupby(["pack", "rule"])["excepted"].agg(lambda texts: f"{len(texts):,} by {'; '.join(set(texts))}")
    return told.astype(object)


_Rows = tuple[tuple[str, ...], tuple[tuple[Safe, ...], ...], frozenset[str]]


def _packs(by_rule: pd.DataFrame) -> _Rows:
    """A row a pack: how many of its rules fail, warn, cannot be told, ask for a word, and pass whole."""
    rows = []
    for name, rules in by_rule.groupby("pack", sort=True):
        first = rules.iloc[0]
        worst = [next((verdict for verdict in _SHORT if row[verdict]), "") for row in rules.to_dict("records")]
        counts = pd.Series(worst).value_counts()
        rows.append(
            (
                lines([word(name), text(first["edition"], most=70), _standings(rules)]),
                spaced([word(first["binding"]), chip(first["status"]) if first["status"] != "in-force" else NOTHING]),
                *(count(int(counts.get(verdict, 0))) for verdict in _SHORT),
            )
        )
    return ("Pack", "Binding", *_SHORT.values()), tuple(rows), frozenset(_SHORT.values())


def _standings(rules: pd.DataFrame) -> Safe:
    """How many of a pack's rules rest on a clause that nobody read in the document itself, or on a draft's."""
    words = [said for row in records(rules) for said in standing(row.mark, row.is_draft)]
    told = [f"{words.count(said):,} {said}" for said in sorted(set(words))]
    return quiet(f"of {how_many(len(rules), 'rule')} that apply: {', '.join(told)}") if told else NOTHING


def _broken(rules: pd.DataFrame) -> _Rows:
    rows = [
        (
            word(row.pack),
            lines(
                [
                    text(row.rule),
                    text(row.says, most=180),
                    clause(row.clause, row.mark, row.is_draft),
                    with_leave(row.excepted),
                ]
            ),
            chip(row.severity),
            *(count(getattr(row, verdict)) for verdict in _SHORT),
        )
        for row in records(rules)
    ]
    return ("Pack", "Rule", "Severity", *_SHORT.values()), tuple(rows), frozenset(_SHORT.values())


def _broken_sentence(broken: pd.DataFrame, top: int) -> str:
    if broken.empty:
        return "No rule is broken by anything that was found."
    more = f" The first {top:,} are shown; `keyatlas assess` has all." if len(broken) > top else ""
    guesses, drafts = int((broken["mark"] == "K").sum()), int(broken["is_draft"].fillna(False).sum())
    fails = int((broken["FAIL"] > 0).sum())
    return (
        f"{how_many(fails, 'rule')} of {len(broken):,} fail, the others warn; the counts are of subjects. The clauses "
        f"of {guesses:,} of them are unverified, and {drafts:,} {is_are(drafts)} a draft's.{more}"
    )


def _standards_sentence(findings: pd.DataFrame) -> str:
    if findings.empty:
        return "No rule of the chosen packs applies to anything that was found."
    verdicts = findings["verdict"].value_counts()
    failed = findings[findings["verdict"] == "FAIL"]
    subjects = failed[["subject", "subject_uid"]].drop_duplicates().shape[0]
    return (
        f"{how_many(subjects, 'subject')} {'breaks' if subjects == 1 else 'break'} "
        f"{how_many(failed[['pack', 'rule']].drop_duplicates().shape[0], 'rule')}; of {verdicts['INDETERMINATE']:,} "
        f"verdicts nothing can be said because a field or a scope is unknown, which is no pass, and "
        f"{verdicts['ATTESTATION_REQUIRED']:,} need a person's word. Each rule counts once here, by its worst verdict. "
        f"A clause without a mark was checked in the document itself; second hand: in others that quote it; "
        f"unverified: written from knowledge; a draft binds nobody yet."
    )
