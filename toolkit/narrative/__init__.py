"""The tables and sentences of the reports, computed: a report never says what was not counted.

Each function gives one thing to show, a `Table` or a `Summary`, whose last sentence says what it means. Names from
outside are escaped there (`narrative.display`).

Refuses to: judge. Risk, verdicts and coverage come in as frames; here they are only put into words.

>>> moment("2026-11-23").isoformat()
'2026-11-23T00:00:00+00:00'
"""

from __future__ import annotations

from toolkit.narrative.display import Summary, Table
from toolkit.narrative.evidence import Evidence, evidence, moment
from toolkit.narrative.inventory import gaps, hard_coded, in_several_places
from toolkit.narrative.page import Page, key_page
from toolkit.narrative.quantum import mandates, moves
from toolkit.narrative.risk import standards, summary, worst
from toolkit.narrative.tokens import keepers, tokens

__all__ = [
    "Evidence", "Page", "Summary", "Table", "evidence", "gaps", "hard_coded", "in_several_places", "keepers",
    "key_page", "mandates", "moment", "moves", "standards", "summary", "tokens", "worst",
]  # fmt: skip
