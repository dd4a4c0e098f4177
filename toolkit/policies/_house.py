"""An organisation's own policy (`toolkit.house`) as a pack, so that all that shows packs shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from toolkit.conditions import ALWAYS, All, Any_, Condition, Sure, Test
from toolkit.house import Demand, Exemption, Facts, House, facts_of
from toolkit.policies._parse import Example, Pack, Rule
from toolkit.terms import Binding, PackStatus, Severity, Topic, TrustMark, Verb, Verdict

NAME: Final = "house"
_HELD: Final = Test("holds_secret", "is_true")
_NEVER: Final = Any_()


def pack_of(house: House) -> Pack:
    """The pack: which class each key is in, what each class asks, and which exceptions are over or too long.

    A class's rules are asked of the keys that are told to be in it. A key of which that is not known has one finding,
    `class`, in place of one a rule.
    """
    members = house.membership()
    rules, examples = [_class_told(house)], facts_of(house)
    for one, member in zip(house.classes, members, strict=True):
        rules += [_rule(house, demand, member, examples) for demand in one.demands]
    for exemption in house.exemptions:
        rules += _of_exemption(house, exemption)
    return Pack(
        name=NAME,
        title=house.title,
        issuer=house.organisation,
        edition=house.edition,
        status=house.status,
        binding=Binding.HOUSE,
        url=house.url,
        scope=(),
        rules=tuple(rules),
        exemptions=house.exemptions,
    )


def _made(house: House, **told: Any) -> Rule:
    """A rule with what all of them share; the file itself is the document, so each is marked as read there."""
    clause, is_draft = told.pop("clause"), house.status is PackStatus.DRAFT
    shared: dict[str, Any] = {
        "edition": house.edition, "url": house.url, "mark": TrustMark.PRIMARY, "scope": (), "cwe": None, "attack": (),
        "conflicts": None, "attester": None, "every_days": None, "effective_from": None, "effective_to": None,
        "examples": (), "otherwise": _worst(house), "is_draft": is_draft,
        "subject": "key", "when": ALWAYS,
    }  # fmt: skip
    return Rule(**{**shared, "clause": f"{house.edition}, {clause}", **told})


def _class_told(house: House) -> Rule:
    return _made(
        house,
        id="class",
        clause="classes",
        says="Every key that we hold is in a class of the policy.",
        when=_HELD,
        require=Any_(house.membership()),
        severity=Severity.MODERATE,
        remediation="Record what tells its class (tags, scopes.toml), or write a class for it.",
        verb=Verb.REGISTER,
        topic=Topic.RECORDS,
        evidence=("inventory: keys",),
        examples=tuple(_class_examples(house)),
    )


def _class_examples(house: House) -> Iterator[Example]:
    """What the file's examples say of the rule on classes."""
    told = {"none": _worst(house), "unknown": Verdict.INDETERMINATE}
    for one in house.examples:
        if one.key_class is not None:
            yield Example(one.row, one.as_of, told.get(one.key_class, Verdict.PASS))


def _examples(house: House, demand: Demand, told: list[tuple[Any, Facts]]) -> Iterator[Example]:
    """What the file's examples say of a rule; so the engine that judges inventories is held to them, too."""
    for one, facts in told:
        if one.key_class == demand.id.partition("/")[0]:
            if demand.id in one.breaks:
                yield Example(one.row, one.as_of, _worst(house))
            elif demand.id in one.cannot_tell:
                yield Example(one.row, one.as_of, Verdict.INDETERMINATE)
            elif facts.answer(demand.when)[0]:
                yield Example(one.row, one.as_of, Verdict.PASS)


def _worst(house: House) -> Verdict:
    """What a broken rule is: only a policy in force fails anything."""
    return Verdict.FAIL if house.status is PackStatus.IN_FORCE else Verdict.WARN


def _rule(house: House, demand: Demand, member: Condition, examples: list[tuple[Any, Facts]]) -> Rule:
    told: dict[str, Any] = {
        "id": demand.id, "clause": demand.clause, "says": demand.says, "require": demand.require,
        "severity": demand.severity, "remediation": demand.remediation, "verb": demand.verb, "topic": demand.topic,
        "evidence": ("inventory: keys",),
    }  # fmt: skip
    if demand.require is None:
        evidence = ("signed acknowledgement of each custodian",)
        asked = {"subject": "inventory", "attester": demand.attester, "every_days": 365, "evidence": evidence}
        return _made(house, **{**told, **asked})
    told["examples"] = tuple(_examples(house, demand, examples))
    return _made(house, **told, when=All((Sure(member), demand.when)))


def _of_exemption(house: House, exemption: Exemption) -> list[Rule]:
    """What is wrong with an exception itself: judged of the inventory, once."""
    told: dict[str, Any] = {
        "clause": f"exceptions, {exemption.id}", "subject": "inventory", "require": _NEVER,
        "severity": Severity.MODERATE, "verb": Verb.REGISTER, "topic": Topic.GOVERNANCE,
        "evidence": ("the policy's register of exceptions",),
    }  # fmt: skip
    over = _made(
        house,
        **told,
        id=f"exception/{exemption.id}/over",
        says=f"The exception {exemption.id} to {exemption.rule} is over: {exemption.reason}",
        remediation="Repair the keys and take it out, or have it approved anew.",
        effective_from=exemption.ends,
    )
    if not exemption.is_too_long:
        return [over]
    long = _made(
        house,
        **told,
        id=f"exception/{exemption.id}/too-long",
        says=f"The exception {exemption.id} to {exemption.rule} runs longer than {exemption.most_days} days.",
        remediation=f"Have it approved for a shorter time; it counts until {_last_day(exemption.ends)}.",
        effective_from=exemption.starts,
    )
    return [over, long]


def _last_day(ends: datetime) -> str:
    return f"{ends - timedelta(days=1):%Y-%m-%d}"
