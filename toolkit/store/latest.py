"""Which reading of each target counts at a time, and the rows that came with it.

Pure: no files, no clock. It decides from the small `readings` tables, so that only the runs that are needed are read.
A target's newest reading counts even if it failed: its Gap is then what is known, and what an older reading saw is
for `compare` to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc


def newest(readings: Mapping[str, pa.Table], as_of: datetime | None) -> dict[str, pa.Array]:
    """Run id -> the targets whose newest reading, at or before `as_of`, is that run's; runs without any are left out.

    Of two readings that began in the same microsecond the one of the later run id counts.
    """
    if not readings:
        return {}
    seen = pd.concat(
        [
            pd.DataFrame({"run": run_id, "target": one_name(data).to_pandas(), "at": data["started_at"].to_pandas()})
            for run_id, data in readings.items()
        ]
    )
    if as_of is not None:
        seen = seen[seen["at"] <= as_of]
    chosen = seen.sort_values(["at", "run"]).drop_duplicates("target", keep="last")
    return {str(run_id): pa.array(part["target"], pa.string()) for run_id, part in chosen.groupby("run")}


def only(data: pa.Table, targets: pa.Array) -> pa.Table:
    """The rows that were read from these targets."""
    return data.filter(pc.is_in(one_name(data), value_set=targets))


def one_name(data: pa.Table) -> pa.ChunkedArray:
    """Collector and target of each row as one text; two collectors may read the same place."""
    return pc.binary_join_element_wise(data["collector"], data["target"], " ")
