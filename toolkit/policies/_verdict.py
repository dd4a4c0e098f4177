"""What one rule says of many rows, and whether a pack keeps its own examples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from toolkit.conditions import Columns, Flags, fields_of, frame_of
from toolkit.errors import PolicyError
from toolkit.policies._parse import Example, Pack, Rule
from toolkit.terms import Verdict

ORDER: Final = tuple(Verdict)
_CODE: Final = {verdict: code for code, verdict in enumerate(ORDER)}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A verdict a row, as a position in `tuple(Verdict)`; for undecided rows, the fields that were unknown."""

    verdicts: NDArray[np.int8]
    missing: dict[str, Flags]


def judge(rule: Rule, columns: Columns) -> Judged:
    """The rule's verdict for each row, at the columns' `as_of`."""
    if rule.require is None or not rule.is_effective(columns.as_of):
        return Judged(np.full(len(columns), _CODE[Verdict.NOT_APPLICABLE], np.int8), {})
    when, require = columns.answer(rule.applies), columns.answer(rule.require)
    undecided = when.unknown | (when.yes & require.unknown)
    verdicts = np.full(len(columns), _CODE[Verdict.NOT_APPLICABLE], np.int8)
    verdicts[when.yes & require.yes] = _CODE[Verdict.PASS]
    verdicts[when.yes & require.no] = _CODE[rule.otherwise]
    verdicts[undecided] = _CODE[Verdict.INDETERMINATE]
    return Judged(verdicts, _missing(rule, columns) if undecided.any() else {})


def _missing(rule: Rule, columns: Columns) -> dict[str, Flags]:
    assert rule.require is not None
    found = columns.missing(rule.applies)
    applies = columns.answer(rule.applies).yes
    for field, rows in columns.missing(rule.require).items():
        rows = rows & applies
        if rows.any():
            found[field] = found[field] | rows if field in found else rows
    return {field: found[field] for field in (*fields_of(rule.applies), *fields_of(rule.require)) if field in found}


def check_examples(pack: Pack) -> None:
    """Run every rule over its own examples.

    Raises:
        PolicyError: naming every example that is judged otherwise than the rule says.
    """
    wrong = [told for rule in pack.rules for told in _wrong_examples(pack, rule)]
    if wrong:
        raise PolicyError("; ".join(wrong), advice="correct the rule or its example")


def _wrong_examples(pack: Pack, rule: Rule) -> list[str]:
    wrong = []
    by_day: dict[datetime, list[Example]] = {}
    for example in rule.examples:
        by_day.setdefault(example.as_of, []).append(example)
    for as_of, examples in by_day.items():
        where = f"pack {pack.name}, rule {rule.id}"
        frame = frame_of(rule.subject, [example.row for example in examples], where=where)
        verdicts = judge(rule, Columns(rule.subject, frame, as_of=as_of)).verdicts
        for example, code in zip(examples, verdicts, strict=True):
            if ORDER[code] is not example.expected:
                told = f"{dict(example.row)} is {ORDER[code]}, not {example.expected}"
                wrong.append(f"{where}: the example {told}")
    return wrong
