"""False alarms on quiet estates, detections of planted attacks, seconds. `python tests/benchmarks/habits_estates.py 10 60`.

Estates, keys in each. One day is judged after 40; an alarm is a row of at least moderate severity.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulators.habit import ACCOUNT, BASE, estate, table, uses

from toolkit import habits

CUT = BASE + pd.Timedelta(days=40)
NEW = f"arn:aws:iam::{ACCOUNT}:user/mallory"
ATTACKS = {
    "new-principal": {"principal": NEW, "count": 1},
    "new-network": {"source": "203.0.113.9", "count": 1},
    "new-operation": {"operation": "Sign", "count": 1},
    "unusual-hour": {"hour": 3, "count": 1},
    "error-burst": {"result": "AccessDenied", "count": 60},
    "decrypt-burst": {},
}


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """The alarms of the day after the cut."""
    found = habits.anomalies(table(rows), since=CUT.to_pydatetime())
    return found[found["severity"] >= "moderate"]


def main() -> None:
    """Print the alarms by kind, then each attack's share of keys on which it is told."""
    estates, keys = int(sys.argv[1]), int(sys.argv[2])
    alarms: Counter[str] = Counter()
    events, seconds = 0, 0.0
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for seed in range(estates):
        rows = estate(seed, keys=keys, days=41)
        ready = table(rows)
        clock = time.perf_counter()
        found = habits.anomalies(ready, since=CUT.to_pydatetime())
        seconds, events = seconds + time.perf_counter() - clock, events + len(rows)
        alarms.update(found[found["severity"] >= "moderate"]["kind"])
        for factor in (3, 10):
            _attacked(rows, keys, factor, caught, tried)
    print(f"{events:,} events, {estates * keys} key-days judged, {events / seconds:,.0f} events/s, "
          f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")  # fmt: skip
    print(f"false alarms: {sum(alarms.values())} in {estates * keys} key-days {dict(alarms)}")
    for name in sorted(tried):
        print(f"{name:24} told on {caught[name]} of {tried[name]} keys")


def _attacked(rows: pd.DataFrame, keys: int, factor: int, caught: Counter[str], tried: Counter[str]) -> None:
    """Every attack on every fifth key; the burst is so many times the key's busiest hour (at least 10)."""
    busiest = rows.assign(hour=rows["second"] // 3600).groupby(["key", "hour"]).size().groupby("key").max()
    parts = [rows]
    chosen = [key for key in range(0, keys, 5) if key in busiest.index]
    for key in chosen:
        for facts in ATTACKS.values():
            more = dict(facts)
            at = CUT + pd.Timedelta(hours=int(more.pop("hour", 11)))
            more.setdefault("count", max(10, factor * int(busiest[key])))
            parts.append(uses(key=key, at=at, **more))
    found = judged(pd.concat(parts, ignore_index=True))
    for key in chosen:
        uid = f"keeper:{key}"
        told = set(
            found[(found["key_uid"] == uid) | found["principal"].eq(f"arn:aws:iam::{ACCOUNT}:role/app-{key}-0")]["kind"]
        )
        for name in ATTACKS:
            label = f"{name} x{factor}" if name == "decrypt-burst" else name
            tried[label] += 1
            caught[label] += name in told


if __name__ == "__main__":
    main()
