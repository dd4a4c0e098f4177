"""Runs that are set apart, and what an inventory says of that: nothing is lost, and nothing is hidden.

Quarantines and releases are records like any other that a workspace keeps: added, never changed, the newest counting.

>>> from datetime import UTC, datetime
>>> told = Quarantine("20261123T203000.123456Z-8f3a2c", datetime(2026, 11, 24, tzinfo=UTC), ("keys fell by half",))
>>> history([record_of(told)]) == [told]
True
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from toolkit.model import Gap, Reading
from toolkit.store.latest import only
from toolkit.store.record import Record
from toolkit.tables import Inventory, frame_of, rows_of, to_frame
from toolkit.terms import GapScope, GapStatus, ReadingStatus

KIND: Final = "quarantine"
"""The kind of the records."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A run set apart at a time, with reasons; or, with `released_by`, let go again, with the reason of that."""

    run_id: str
    at: datetime
    reasons: tuple[str, ...]
    released_by: str | None = None


def record_of(told: Quarantine) -> Record:
    """As the store keeps it."""
    document = json.dumps(
        {"run": told.run_id, "at": told.at.isoformat(), "reasons": told.reasons, "released_by": told.released_by},
        sort_keys=True,
    )
    return Record(hashlib.sha256(document.encode()).hexdigest(), KIND, document, told.at)


def history(records: Iterable[Record]) -> list[Quarantine]:
    """Quarantines and releases, oldest first."""
    told = []
    for record in records:
        said = json.loads(record.document)
        moment = datetime.fromisoformat(said["at"])
        told.append(Quarantine(said["run"], moment, tuple(said["reasons"]), said["released_by"]))
    return told


def told(
    inv: Inventory,
    apart: Mapping[str, Quarantine],
    readings: Mapping[str, pa.Table],
    hidden: Mapping[str, pa.Array],
) -> Inventory:
    """The inventory with a Gap for each target whose newest reading is in a quarantined run (`hidden`: its targets).

    A target that was read before is as that run saw it, and its reading no longer says that it was read whole; one that
    was not has the Gap alone.
    """
    left_out = [
        (apart[run_id], row)
        for run_id, targets in hidden.items()
        for row in rows_of("readings", frame_of("readings", only(readings[run_id], targets)))
    ]
    if not left_out:
        return inv
    gaps = to_frame("gaps", [_gap(row, why) for why, row in left_out])
    known = {(row.collector, row.target): row for row in _rows(inv.readings)}
    for _, row in left_out:
        earlier = known.get((row.collector, row.target))
        known[row.collector, row.target] = (
            replace(row, status=ReadingStatus.FAILED, rows=1, gaps=1)
            if earlier is None
            else replace(earlier, status=_not_whole(earlier.status), rows=earlier.rows + 1, gaps=earlier.gaps + 1)
        )
    return replace(
        inv,
        gaps=pd.concat([inv.gaps, gaps], ignore_index=True) if len(inv.gaps) else gaps,
        readings=to_frame("readings", known.values()),
    )


def _rows(readings: pd.DataFrame) -> Iterator[Any]:
    yield from rows_of("readings", readings)


def _gap(row: Reading, why: Quarantine) -> Gap:
    return Gap(
        collector=row.collector,
        target=row.target,
        locator=row.target,
        scope=GapScope.TARGET,
        status=GapStatus.NOT_ASKED,
        reason=f"its run {why.run_id} is quarantined: {'; '.join(why.reasons)}",
        code="Quarantined",
        advice=f"look at it (keyatlas validate {why.run_id}), then collect again or release it",
    )


def _not_whole(status: ReadingStatus) -> ReadingStatus:
    return ReadingStatus.PARTIAL if status is ReadingStatus.READ else status
