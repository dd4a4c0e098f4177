"""How long great-expectations takes over the contract and a standard's rules: `python tests/benchmarks/controls_million.py`.

Sizes may be named (10000 100000 1000000 if not), after them packs (`--packs NAME…`, nist_sp800_57 if not). Each size runs
in a process of its own, so that its peak memory is its own. `--agreement` runs every pack over rows at the edges of all
rules instead, and fails if the two engines differ on any rule.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "toolkit")]

from assess_million import AS_OF, inventory  # noqa: E402

from toolkit import assessment, correlation, policies, quality, registry  # noqa: E402
from toolkit.model import Reading  # noqa: E402
from toolkit.quality import controls  # noqa: E402
from toolkit.quality.border import border  # noqa: E402
from toolkit.tables import to_frame  # noqa: E402
from toolkit.terms import ReadingStatus  # noqa: E402


def peak() -> float:
    """The most memory this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int, names: list[str]) -> None:
    """Print the line of one size."""
    clock, inv = time.perf_counter, inventory(count)
    read = Reading(collector="keyfiles", target="file:///srv", status=ReadingStatus.READ, rows=count + count // 2, gaps=0,
                   seconds=1.0, started_at=AS_OF, run_id="r")  # fmt: skip
    inv = replace(inv, readings=to_frame("readings", [read]))
    subjects = correlation.subjects(inv)
    packs = [policies.load(registry.entry("policies", name).path) for name in names]
    start = clock()
    assessment.assess(subjects, packs, as_of=AS_OF)
    ours = clock() - start
    import_module("great_expectations")
    before, start = peak(), clock()
    told = controls.validate(subjects, packs, as_of=AS_OF)
    theirs, at_controls, start = clock() - start, peak(), clock()
    contract = quality.validate(inv, as_of=AS_OF + timedelta(days=1))
    checked, start = clock() - start, clock()
    border(inv, as_of=AS_OF, previous=inv)
    drifted = clock() - start
    counted = int(told["agrees"].notna().sum())
    print(
        f"{count:>9,} keys, {' '.join(names)}: {counted} rules in {theirs:.1f} s, all agree: "
        f"{told['agrees'].dropna().all()}; our engine {ours:.2f} s; {before:,.0f} MB before, {at_controls:,.0f} MB after; "
        f"contract of {len(contract)} checks {checked:.1f} s, {peak():,.0f} MB; drift without it {drifted:.2f} s",
        flush=True,
    )


def agreement() -> None:
    """All packs, by way of great-expectations from end to end."""
    edges = import_module("test_quality_controls")
    start, told = time.perf_counter(), controls.validate(edges.synthetic(300), edges.PACKS, as_of=edges.AS_OF)
    differ = list(controls.disagreements(told))
    counted = int(told["agrees"].notna().sum())
    print(
        f"{counted} rules of {len(edges.PACKS)} packs in {time.perf_counter() - start:.0f} s; differ: {differ or 'none'}"
    )
    sys.exit(bool(differ))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--packs", nargs="+", default=["nist_sp800_57"])
    parser.add_argument("--agreement", action="store_true")
    given = parser.parse_args()
    if given.agreement:
        agreement()
    elif len(given.sizes) == 1:
        measure(given.sizes[0], given.packs)
    else:
        for size in given.sizes:
            subprocess.run([sys.executable, __file__, str(size), "--packs", *given.packs], check=True)
