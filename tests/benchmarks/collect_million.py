"""The whole way on synthetic rows: collect, keep, load, fold, assess, score. `python tests/benchmarks/collect_million.py 100000`.

One process, one run; seconds of wall time and the peak of resident memory after each step.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta

from toolkit import assessment, correlation, inventory, policies, registry, risk, store
from toolkit.model import Key, Target
from toolkit.terms import KeyFunction, KeyType, Protection

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ALGORITHMS = (
    ("RSA", None, 2048),
    ("RSA", None, 1024),
    ("EC", "secp256r1", 256),
    ("AES", None, 256),
    ("TDEA", "3TDEA", 168),
)
TARGETS = 50


class Synthetic:
    """Keys of every kind, two places a key."""

    name, reads, parallel = "synthetic", ("nothing",), 2

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def targets(self):
        """Fifty folders."""
        for number in range(TARGETS):
            yield Target(collector=self.name, locator=f"file:///synthetic/{number}/")

    def collect(self, target):
        """Its share of the keys."""
        for number in range(self.rows // TARGETS):
            uid = f"{target.locator}{number // 2}"
            algorithm, parameter, size_bits = ALGORITHMS[number // 2 % len(ALGORITHMS)]
            yield Key(
                key_uid=f"keeper:{uid}", collector=self.name, target=target.locator, locator=f"{target.locator}{number}",
                key_type=KeyType.SECRET_KEY if algorithm in ("AES", "TDEA") else KeyType.PRIVATE_KEY,
                algorithm=algorithm, parameter=parameter, size_bits=size_bits,
                functions=(KeyFunction.SIGN,) if number % 3 else None, protected=bool(number % 4),
                protection=list(Protection)[number % 4], extractable=bool(number % 2), is_exposed=number % 9 == 0,
                created_at=NOW - timedelta(days=number % 3000),
            )  # fmt: skip


def main() -> None:
    """Print a row a step."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    packs = [policies.load(entry.path) for entry in registry.entries("policies").values()]
    with tempfile.TemporaryDirectory() as folder:
        workspace, run_id = store.Workspace(folder + "/ws"), store.new_run_id()
        collected = step("collect", lambda: inventory.collect([Synthetic(rows)], run_id=run_id, show_progress=False))
        step("keep", lambda: workspace.write_run(collected, run_id=run_id))
        inv = step("load", workspace.load)
        subjects = step("fold", lambda: correlation.subjects(inv))
        findings = step("assess", lambda: assessment.assess(subjects, packs, as_of=NOW))
        step("score", lambda: risk.score(subjects, as_of=NOW))
        print(f"{len(inv.keys):,} rows, {len(subjects['key']):,} keys, {len(findings):,} findings")


def step(name, do):
    """Run one step and say what it cost."""
    clock = time.perf_counter()
    result = do()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:8} {time.perf_counter() - clock:7.1f} s   peak {peak:7,.0f} MB", flush=True)
    return result


if __name__ == "__main__":
    main()
