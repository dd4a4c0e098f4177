"""How long assess and score take, and how much memory: `python tests/benchmarks/assess_million.py [100000 1000000]`.

Each size runs in a process of its own, so that its peak memory is its own. The inventory is synthetic and seeded:
one sighting a key, half of them with a certificate, a tenth of all values unknown.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit import assessment, correlation, policies, registry, risk
from toolkit.tables import RUN_TABLES, TEXTS, Builder, Inventory, frame_of, schema

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
ALGORITHMS = ["RSA", "RSA", "RSA", "EC", "EC", "Ed25519", "AES", "AES", "HMAC", "TDEA"]
SIZES = [1024, 2048, 4096, 256, 384, 256, 128, 256, 256, 192]


def inventory(count: int) -> Inventory:
    """`count` keys and half as many certificates."""
    pick = np.random.default_rng(7)
    kind = pick.integers(0, len(ALGORITHMS), count)
    uids = np.char.add("spki:", np.arange(count).astype(str)).astype(object)
    places = np.char.add("file:///srv/keys/", np.arange(count).astype(str)).astype(object)
    since = np.datetime64("2010-01-01", "us") + pick.integers(0, 16 * 365, count) * np.timedelta64(1, "D")
    keys = {
        "key_uid": uids, "collector": "keyfiles", "target": "file:///srv", "locator": places,
        "key_type": pick.choice(["private-key", "public-key"], count, p=[0.8, 0.2]),
        "algorithm": np.array(ALGORITHMS, object)[kind], "size_bits": np.array(SIZES)[kind],
        "state": _some(pick, ["active", "deactivated", None], count),
        "protected": _some(pick, [True, False, None], count),
        "protection": _some(pick, ["none", "passphrase", "token", "hardware", None], count),
        "is_exposed": _some(pick, [True, False, False, None], count), "owner": _some(pick, ["ops", "web", None], count),
        "functions": _some(pick, [["sign"], ["sign", "decrypt"], ["encrypt", "decrypt"], None], count),
        "created_at": since,
    }  # fmt: skip
    half = count // 2
    starts = since[:half] + pick.integers(0, 1000, half) * np.timedelta64(1, "D")
    certificates = {
        "certificate_uid": uids[:half], "key_uid": uids[:half], "collector": "keyfiles", "target": "file:///srv",
        "locator": places[:half], "not_before": starts, "not_after": starts + np.timedelta64(3650, "D"),
        "signature_hash": _some(pick, ["SHA256", "SHA1", None], half), "is_ca": _some(pick, [True, False], half),
        "is_self_signed": _some(pick, [True, False], half), "is_trust_anchor": _some(pick, [True, False], half),
    }  # fmt: skip
    empty = Inventory.of(Builder())
    tables = {name: empty.table(name) for name in RUN_TABLES if name not in ("keys", "certificates")}
    return Inventory(
        keys=_frame("keys", keys, count), certificates=_frame("certificates", certificates, half), **tables
    )


def _some(pick: np.random.Generator, values: list[object], count: int) -> np.ndarray:
    pool = np.empty(len(values), object)
    pool[:] = values
    return pool[pick.integers(0, len(values), count)]


def _frame(table: str, values: dict[str, object], count: int) -> pd.DataFrame:
    arrays = []
    for field in schema(table):
        value = values.get(field.name)
        plain = pa.string() if pa.types.is_dictionary(field.type) else field.type
        if value is None or isinstance(value, str):
            arrays.append(pa.repeat(pa.scalar(value, plain), count) if plain != TEXTS else pa.nulls(count, TEXTS))
        else:
            array = pa.array(value, from_pandas=True)
            arrays.append(array.cast(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(plain) else array.cast(plain))
    return frame_of(table, pa.table(arrays, names=schema(table).names).cast(schema(table)))


def measure(count: int) -> None:
    """Print the line of one size."""
    clock = time.perf_counter
    inv, start = inventory(count), clock()
    subjects = correlation.subjects(inv)
    packs = [policies.load(entry.path) for entry in registry.entries("policies").values()]
    before, folded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, clock()
    findings = assessment.assess(subjects, packs, as_of=AS_OF)
    assessed, at_assess = clock(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assessment.summary(findings)
    summed = clock()
    held = findings.memory_usage(index=False).sum() / 2**20
    risk.score(subjects, as_of=AS_OF)
    done = clock()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rules = sum(len(pack.rules) for pack in packs)
    print(  # a command's output
        f"{count:>9,} keys: subjects {folded - start:.1f} s; assess by {rules} rules {assessed - folded:.1f} s, "
        f"{len(findings):,} findings in {held:,.0f} MB; summary {summed - assessed:.1f} s; "
        f"score {done - summed:.1f} s; "
        f"peak {before:,.0f} MB before, {at_assess:,.0f} MB after assess, {peak:,.0f} MB in the end",
        flush=True,
    )


if __name__ == "__main__":
    sizes = sys.argv[1:] or ["100000", "1000000"]
    if len(sizes) == 1:
        measure(int(sizes[0]))
    else:
        for size in sizes:
            subprocess.run([sys.executable, __file__, size], check=True)
