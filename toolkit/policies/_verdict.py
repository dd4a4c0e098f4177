"""What one rule says of many rows, and whether a pack keeps its own examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.conditions import Bits, Columns, fields_of, flags_of, frame_of
from toolkit.errors import PolicyError
from toolkit.policies._parse import Example, Pack, Rule
from toolkit.terms import Verdict

ORDER: Final = tuple(Verdict)
_CODE: Final = {verdict: code for code, verdict in enumerate(ORDER)}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a rule says of each row, as bits; for undecided rows, the fields that were unknown.

    `unscoped`: rows that the rule would be asked of, if they were told to be in its scope; only if that was set apart.
    """

    passed: Bits
    failed: Bits
    undecided: Bits
    missing: dict[str, Bits]
    otherwise: Verdict
    rows: int
    unscoped: Bits | None = None

    @property
    def verdicts(self) -> NDArray[np.int8]:
        """A verdict a row, as a position in `tuple(Verdict)`."""
        verdicts = np.full(self.rows, _CODE[Verdict.NOT_APPLICABLE], np.int8)
        for verdict, bits in self.told():
            verdicts[flags_of(bits, self.rows)] = _CODE[verdict]
        return verdicts

    def told(self) -> tuple[tuple[Verdict, Bits], ...]:
        """The rows of each verdict it can give."""
        return (
            (Verdict.PASS, self.passed),
            (self.otherwise, self.failed),
            (Verdict.INDETERMINATE, self.undecided),
        )


def judge(rule: Rule, columns: Columns, *, scope_apart: bool = False) -> Judged:
    """The rule's verdict for each row, at the columns' `as_of`.

    `scope_apart` gives rows whose scope is not told in `unscoped`, and no verdict on them.
    """
    nothing = np.zeros(-(-len(columns) // 8), np.uint8)
    if rule.require is None or not rule.is_effective(columns.as_of):
        return Judged(nothing, nothing, nothing, {}, rule.otherwise, len(columns))
    when, unscoped = columns.answer(rule.when), None
    yes, unknown = when.yes_bits, when.unknown_bits
    if rule.scoped is not None:
        within = columns.answer(rule.scoped)
        unscoped = (yes | unknown) & within.unknown_bits
        # Kleene's "and", written out: undecided unless both hold, or one is false.
        unknown = unknown & within.yes_bits if scope_apart else (unknown & ~within.no_bits) | unscoped
        yes = yes & within.yes_bits
    if not (yes | unknown).any():
        return Judged(nothing, nothing, nothing, {}, rule.otherwise, len(columns), unscoped)
    require = columns.answer(rule.require)
    undecided = unknown | (yes & require.unknown_bits)
    missing = _missing(rule, columns, unknown, yes) if undecided.any() else {}
    return Judged(
        yes & require.yes_bits, yes & require.no_bits, undecided, missing, rule.otherwise, len(columns), unscoped
    )


def _missing(rule: Rule, columns: Columns, unknown: Bits, applies: Bits) -> dict[str, Bits]:
    assert rule.require is not None
    found = columns.missing(rule.applies, unknown)
    for field, rows in columns.missing(rule.require, applies).items():
        found[field] = found[field] | rows if field in found else rows
    return {field: found[field] for field in (*fields_of(rule.applies), *fields_of(rule.require)) if field in found}


def check_examples(pack: Pack) -> None:
    """Run every rule over its own examples.

    Raises:
        PolicyError: naming every example that is judged otherwise than the rule says.
    """
    asked: dict[tuple[str, datetime], list[tuple[Rule, Example]]] = {}
    for rule in pack.rules:
        for example in rule.examples:
            asked.setdefault((rule.subject, example.as_of), []).append((rule, example))
    wrong = [told for (subject, as_of), rows in asked.items() for told in _wrong_examples(pack, subject, as_of, rows)]
    if wrong:
        raise PolicyError("; ".join(wrong), advice="correct the rule or its example")


def _wrong_examples(pack: Pack, subject: str, as_of: datetime, rows: list[tuple[Rule, Example]]) -> Iterator[str]:
    # One frame for all: making one a rule took the greater part of loading a pack.
    where = [f"pack {pack.name}, rule {rule.id}" for rule, _ in rows]
    columns = Columns(subject, frame_of(subject, [example.row for _, example in rows], where=where), as_of=as_of)
    judged = {id_: judge(rule, columns).verdicts for id_, rule in {rule.id: rule for rule, _ in rows}.items()}
    for number, (rule, example) in enumerate(rows):
        verdict = ORDER[judged[rule.id][number]]
        if verdict is not example.expected:
            yield f"{where[number]}: the example {dict(example.row)} is {verdict}, not {example.expected}"
