"""How much each key matters: likelihood times impact, with the exact share of each reason, worst first.

Weaknesses raise the likelihood L, impacts the impact I; inside a group of one cause the largest counts, across groups
they combine by noisy-OR, 1 - prod(1 - p). The score is 100·L·I, the band SP 800-30's table I-2, a reason's share
-ln(1-p) over the sum of them. What is unknown takes a value between known-good and known-worst, says so, and lowers
the confidence. A gate asks for action at once, whatever the number. All values are data: `toolkit/risk.toml`.

Refuses to: be a compliance verdict, or to be more than this tool's own calibration; see `calibration` in the data.

>>> from datetime import UTC, datetime
>>> from toolkit.conditions import frame_of
>>> keys = frame_of("key", [{"subject_uid": "spki:1", "locator": "file:///a", "holds_secret": True,
...                          "algorithm": "RSA", "size_bits": 2048, "state": "compromised"}])
>>> score({"key": keys}, as_of=datetime(2026, 6, 1, tzinfo=UTC))["gate"].to_list()
['immediate']
"""

from __future__ import annotations

from toolkit.risk._model import Factor, Model, model
from toolkit.risk._quantum import arrival, horizon
from toolkit.risk._repairs import Repair, WhatIf, catalogue, priorities, what_if
from toolkit.risk._score import score
from toolkit.risk._weigh import band, noisy_or, shares

__all__ = [
    "Factor", "Model", "Repair", "WhatIf", "arrival", "band", "catalogue", "horizon", "model", "noisy_or", "priorities",
    "score", "shares", "what_if",
]  # fmt: skip
