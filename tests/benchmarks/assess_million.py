"""How long all packs take, and how much memory: `python tests/benchmarks/assess_million.py [100000 1000000]`.

Each size runs in a process of its own, so that its peak memory is its own. The inventory is synthetic and seeded:
one sighting a key, half of them with a certificate, a fifth to a third of most values unknown. A verdict is one rule
asked of one subject of its kind.
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
import row_by_row

from toolkit import assessment, correlation, policies, registry, risk
from toolkit.conditions import Columns
from toolkit.policies import judge
from toolkit.tables import RUN_TABLES, TEXTS, Builder, Inventory, frame_of, schema
from toolkit.terms import Verdict

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
SAMPLE = 2_000
ORDER = tuple(Verdict)
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
    """Print what one size costs, a line a step."""
    inv = inventory(count)
    packs = [policies.load(entry.path) for entry in registry.entries("policies").values()]
    rules = [rule for pack in packs for rule in pack.rules if rule.require is not None]
    subjects = step("subjects", lambda: correlation.subjects(inv))
    findings = step("assess", lambda: assessment.assess(subjects, packs, as_of=AS_OF))
    asked = sum(len(subjects[rule.subject]) for rule in rules)
    print(
        f"{count:,} keys, {len(packs)} packs, {sum(len(pack.rules) for pack in packs)} rules: {asked:,} verdicts, "
        f"{asked / step.seconds:,.0f} a second; {len(findings):,} findings in "
        f"{findings.memory_usage(index=False).sum() / 2**20:,.0f} MB (shared codes counted as often as used)"
    )
    step("summary", lambda: assessment.summary(findings))
    step("conflicts", lambda: assessment.conflicts(findings))
    step("score", lambda: risk.score(subjects, as_of=AS_OF))
    compare(subjects, rules, step.cpu_of["assess"] / asked)


def step(name: str, do):
    """Run one step and say what it cost: wall time, time on processors, and the most memory so far."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    result = do()
    after = resource.getrusage(resource.RUSAGE_SELF)
    step.seconds = time.perf_counter() - wall
    step.cpu_of[name] = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(
        f"{name:10} {step.seconds:6.1f} s  user {after.ru_utime - before.ru_utime:6.1f} s  "
        f"system {after.ru_stime - before.ru_stime:6.1f} s  peak {after.ru_maxrss / 1024:7,.0f} MB",
        flush=True,
    )
    return result


step.cpu_of = {}


def compare(subjects, rules, engine_seconds: float) -> None:
    """The same rules row by row on a sample: the verdicts must be the engine's, processor time on both sides."""
    wall, count, wrong = 0.0, 0, 0
    for subject, frame in subjects.items():
        sample = frame.iloc[:: max(1, len(frame) // SAMPLE)][:SAMPLE].reset_index(drop=True)
        columns, rows = Columns(subject, sample, as_of=AS_OF), row_by_row.rows_of(sample)
        for rule in (rule for rule in rules if rule.subject == subject):
            start = time.process_time()
            told = [row_by_row.verdict(rule, row, AS_OF) for row in rows]
            wall, count = wall + time.process_time() - start, count + len(rows)
            wrong += told != [ORDER[code] for code in judge(rule, columns).verdicts]
    print(
        f"row by row: {count:,} verdicts at {wall / count * 1e6:.2f} µs each, {wrong} rules differ; the engine, findings "
        f"written down: {engine_seconds * 1e6:.4f} µs each; ratio {wall / count / engine_seconds:,.0f}"
    )
    assert not wrong


if __name__ == "__main__":
    sizes = sys.argv[1:] or ["100000", "1000000"]
    if len(sizes) == 1:
        measure(int(sizes[0]))
    else:
        for size in sizes:
            subprocess.run([sys.executable, __file__, size], check=True)
