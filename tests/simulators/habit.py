"""Uses of keys in an estate with daily and weekly rhythms, as the table of usages, and attacks planted in it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit.tables import COLUMNS, frame_of

BASE = pd.Timestamp("2026-09-01", tz="UTC")
ACCOUNT = "111122223333"
HOURS = np.arange(24 * 400)
# Round the clock; office hours; day and night; a nightly job beside a trickle; each is a key's rhythm.
SHAPES = (
    np.ones(len(HOURS)),
    np.where((HOURS % 24 >= 8) & (HOURS % 24 < 18) & ((HOURS // 24 + 1) % 7 < 5), 3.0, 0.0),
    1 + 0.9 * np.sin((HOURS % 24 - 8) / 24 * 2 * np.pi),
    np.where(HOURS % 24 == 2, 20.0, 0.05),
)
FIELDS = ("key", "second", "principal", "operation", "result", "source")


def estate(seed: int, *, keys: int, days: int, per_hour: float = 6.0) -> pd.DataFrame:
    """One row a use: what each key's principals do, with counts that vary more than Poisson's and some refusals."""
    random = np.random.default_rng(seed)
    parts = []
    for key in range(keys):
        level = per_hour * random.gamma(1.0, 1.0) + 0.2
        mean = level * SHAPES[int(random.integers(4))][: days * 24]
        counts = random.poisson(mean * random.gamma(5, 1 / 5, len(mean)))
        hour = np.repeat(np.arange(days * 24), counts)
        size, principals = len(hour), int(random.integers(1, 5))
        parts.append(
            pd.DataFrame(
                {
                    "key": key,
                    "second": hour * 3600 + random.integers(0, 3600, size),
                    "principal": [
                        f"arn:aws:iam::{ACCOUNT}:role/app-{key}-{n}" for n in random.integers(0, principals, size)
                    ],
                    "operation": np.array(["Decrypt", "GenerateDataKey"])[random.integers(0, 2, size)],
                    "result": np.where(random.random(size) < 0.003, "AccessDenied", "Success"),
                    "source": [f"10.{key % 250}.{n}.7" for n in random.integers(0, 3, size)],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def uses(*, key: int = 0, at: pd.Timestamp, count: int, minutes: int = 50, **more: object) -> pd.DataFrame:
    """What somebody does with one key from a time on, spread over some minutes."""
    start = int((at - BASE).total_seconds())
    told = {
        "principal": f"arn:aws:iam::{ACCOUNT}:role/app-{key}-0", "operation": "Decrypt", "result": "Success",
        "source": f"10.{key % 250}.0.7", **more,
    }  # fmt: skip
    return pd.DataFrame({"key": key, "second": start + np.arange(count) * (minutes * 60 // max(1, count)), **told})


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as `inv.usages`; each is an event of its own unless the rows say which."""
    size = len(rows)
    columns = {column.name: pa.nulls(size, column.arrow) for column in COLUMNS["usages"]}
    at = BASE + pd.to_timedelta(rows["second"], unit="s")
    columns["occurred_at"] = pa.array(at).cast(pa.timestamp("us", "UTC"))
    columns["key_uid"] = pa.array("keeper:" + rows["key"].astype(str))
    columns["locator"] = pa.array(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/" + rows["key"].astype(str))
    columns["collector"] = columns["target"] = pa.array(["aws_usage"] * size)
    columns["event_id"] = (
        pa.array([f"e{n}" for n in rows.index]) if "event_id" not in rows else pa.array(rows["event_id"])
    )
    for name in ("principal", "operation", "result", "source", "service", "detail"):
        if name in rows:
            columns[name] = pa.array(rows[name], pa.string(), from_pandas=True)
    return frame_of("usages", pa.table(columns))
