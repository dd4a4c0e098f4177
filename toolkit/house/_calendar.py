"""When a verb may be done: not in a freeze, and in a window if there are windows. All in UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from typing import Final

from toolkit.conditions import moment
from toolkit.house._form import Freeze, Window
from toolkit.terms import Verb

_STEPS: Final = 200


def freeze_at(freezes: Iterable[Freeze], verb: Verb, at: datetime) -> Freeze | None:
    """The freeze that a time lies in."""
    at = at.astimezone(UTC)
    return next((one for one in freezes if verb in one.verbs and one.starts <= at.date() <= one.ends), None)


def is_open(windows: Iterable[Window], at: datetime) -> bool:
    """Whether a time lies in a window."""
    at = at.astimezone(UTC)
    return any(
        at.weekday() in one.days and one.starts <= at.time() and (one.ends is None or at.time() < one.ends)
        for one in windows
    )


def first_open(windows: tuple[Window, ...], freezes: tuple[Freeze, ...], verb: Verb, at: datetime) -> datetime | None:
    """The first time from `at` on that lies in a window and in no freeze; None if none is found."""
    at = at.astimezone(UTC)
    for _ in range(_STEPS):
        frozen = freeze_at(freezes, verb, at)
        if frozen is not None:
            at = moment(frozen.ends) + timedelta(days=1)
        elif windows and not is_open(windows, at):
            at = _next_start(windows, at)
        else:
            return at
    return None


def _next_start(windows: tuple[Window, ...], at: datetime) -> datetime:
    starts = []
    for ahead in range(8):
        day = at.date() + timedelta(days=ahead)
        starts += [datetime.combine(day, one.starts or time(), UTC) for one in windows if day.weekday() in one.days]
    return min(start for start in starts if start > at)
