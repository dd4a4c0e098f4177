"""The last 90 days by LookupEvents: what was changed, one question an event name, at two calls a second at most.

Refuses to: ask for uses of keys, unless they are named: they are too many for it. Nor does it keep a request's values
for a run that is taken up again; what is kept is the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from collectors._aws.place import Place
from collectors.aws_usage._events import Fields, Odd, fields, usage
from collectors.aws_usage._names import IAM, LOOKED_UP
from toolkit.model import Gap, Row
from toolkit.terms import GapScope, GapStatus

READS: Final = ("cloudtrail:LookupEvents",)
# IAM is one for all regions; its events are in the region that its endpoint is in.
_HOMES: Final = ("us-east-1", "cn-north-1", "us-gov-west-1")
_AT: Final = 6
"""Where in `Fields` the time stands."""


def rows(place: Place, operations: Sequence[str], since: datetime | None) -> Iterator[Row]:
    """The events of these names, or of those that change keys, secrets and logging."""
    when: dict[str, Any] = {} if since is None else {"StartTime": since}
    bad = 0
    for name in operations or _names(place.region):
        wanted = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}], "MaxResults": 50, **when}
        for kept in place.pages("cloudtrail", "LookupEvents", "Events", wanted, keep=_kept):
            if kept == "bad":
                bad += 1
            elif kept is not None:
                yield usage(_again(kept), collector=place.target.collector, target=place.target.locator)
    if bad:
        yield Gap(
            collector=place.target.collector, target=place.target.locator, locator=place.target.locator + "#events",
            scope=GapScope.OBJECT, status=GapStatus.MALFORMED, reason=f"{bad:,} events are not what CloudTrail writes",
        )  # fmt: skip


def _names(region: str) -> Iterator[str]:
    for source, names in LOOKED_UP.items():
        if source != IAM or region in _HOMES:
            yield from names


def _kept(event: Any) -> Any:
    """The row of an event, as JSON can hold it: this may be written down."""
    try:
        whole = json.loads(event["CloudTrailEvent"])
        found = fields(whole) if isinstance(whole, dict) else None
    except (Odd, KeyError, TypeError, ValueError, RecursionError):
        return "bad"
    return None if found is None else [*found[:_AT], found[_AT].isoformat(), *found[_AT + 1 :]]


def _again(kept: list[Any]) -> Fields:
    return (*kept[:_AT], datetime.fromisoformat(kept[_AT]), *kept[_AT + 1 :])
