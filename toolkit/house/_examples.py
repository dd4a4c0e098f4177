"""The file's own examples, run whenever it is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from toolkit.errors import ConfigError
from toolkit.house._form import Example, House
from toolkit.house._permits import Approval, Facts, permits
from toolkit.house._read import Table


def check(house: House, *, where: str) -> None:
    """Run the examples.

    Raises:
        ConfigError: naming every example of which the policy says something else.
    """
    wrong = [told for example, facts in facts_of(house) for told in _wrong(house, example, facts, where)]
    if wrong:
        raise ConfigError("; ".join(wrong), advice="correct the policy or its example")


def facts_of(house: House) -> list[tuple[Example, Facts]]:
    """The examples with what is known of their keys; those of one time are asked together."""
    found: list[tuple[Example, Facts]] = []
    for as_of in dict.fromkeys(example.as_of for example in house.examples):
        together = [example for example in house.examples if example.as_of == as_of]
        found += zip(together, Facts.of_many([one.row for one in together], as_of), strict=True)
    return found


def _wrong(house: House, example: Example, facts: Facts, where: str) -> Iterator[str]:
    place = f"{where}, example {example.says!r}"
    if example.key_class is not None:
        name = class_name(house, facts)
        if name != example.key_class:
            yield f"{place}: the class is {name}, not {example.key_class}"
        breaks, cannot_tell, excepted = judged(house, facts)
        told = {"breaks": (breaks, example.breaks), "cannot_tell": (cannot_tell, example.cannot_tell)}
        for what, (is_so, expected) in {**told, "excepted": (excepted, example.excepted)}.items():
            if sorted(is_so) != sorted(expected):
                yield f"{place}: {what} is {sorted(is_so)}, not {sorted(expected)}"
    if example.ask is not None:
        yield from _wrong_decision(house, example, place)


def class_name(house: House, facts: Facts) -> str:
    """The id of a key's class, `none`, or `unknown`."""
    found, missing = facts.class_in(house)
    return found.id if found else "unknown" if missing else "none"


def judged(house: House, facts: Facts) -> tuple[list[str], list[str], list[str]]:
    """Of a key: the rules of its class that it breaks, those that cannot be told, and those broken with leave."""
    found, _ = facts.class_in(house)
    breaks, cannot_tell = [], []
    for demand in found.demands if found else ():
        if demand.require is None or (applies := facts.answer(demand.when)[0]) is False:
            continue
        keeps = facts.answer(demand.require)[0]
        if applies is None or keeps is None:
            cannot_tell.append(demand.id)
        elif not keeps:
            breaks.append(demand.id)
    valid = [one for one in house.exemptions if one.rule in breaks and one.holds(facts.as_of)]
    return breaks, cannot_tell, sorted({one.rule for one in valid if facts.answer(one.covers)[0]})


def _wrong_decision(house: House, example: Example, place: str) -> Iterator[str]:
    ask = Table(example.ask, f"{place}, ask", needed="verb by", may="roles approved_by requested_at")
    given = [Approval(name, example.as_of) for name in ask.texts("approved_by")]
    told = permits(
        house, ask.text("verb"), example.row, by=ask.text("by"), roles=ask.texts("roles"), approvals=given,
        requested_at=ask.moment("requested_at"), as_of=example.as_of,
    )  # fmt: skip
    if told.outcome != example.decision:
        why = " ".join(check.says for check in told.against)
        yield f"{place}: the decision is {told.outcome}, not {example.decision}. {why}"
    elif example.earliest is not None and not _is(told.earliest, example.earliest):
        yield f"{place}: the earliest time is {told.earliest}, not {example.earliest}"


def _is(one: datetime | None, other: datetime) -> bool:
    return one is not None and one == other
