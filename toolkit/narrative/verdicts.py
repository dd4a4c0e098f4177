"""Verdicts in a cell, each with how far its clause may be relied on.

A draft binds nobody yet, and a clause that nobody read in the document itself may be wrong: an auditor has to see that
where the verdict stands, not in a footnote.
"""

from __future__ import annotations

import pandas as pd

from toolkit.narrative.display import NOTHING, Safe, chip, is_unknown, lines, spaced, text
from toolkit.narrative.words import records, standing


def standing_chips(mark: object, is_draft: object) -> Safe:
    """`draft`, `second hand` and `unverified` as chips; nothing for a clause in force that was checked."""
    return spaced([chip(word) for word in standing(mark, is_draft)])


def clause(clause: object, mark: object, is_draft: object) -> Safe:
    """A clause, small, and its standing after it."""
    return spaced([Safe(f'<span class="quiet">{text(clause, most=120)}</span>'), standing_chips(mark, is_draft)])


def verdict_lines(hard: pd.DataFrame, *, most: int) -> Safe:
    """Findings one below the other, what fails and is in force first; those beyond `most` are counted."""
    ranked = hard.assign(_fails=hard["verdict"] == "FAIL", _final=~hard["is_draft"].astype(bool))
    order = ["_fails", "_final", "severity"]
    ranked = ranked.sort_values([*order, "pack", "rule"], ascending=[False] * len(order) + [True, True])
    told = [
        spaced(
            [
                chip(row.verdict),
                text(f"{row.pack}: {row.rule}", most=60),
                standing_chips(row.mark, row.is_draft),
                NOTHING if is_unknown(row.excepted) else chip("excepted"),
            ]
        )
        for row in records(ranked.head(most))
    ]
    more = len(ranked) - len(told)
    return lines([*told, text(f"and {more:,} more") if more > 0 else NOTHING])
