"""Log files of CloudTrail to Usage rows. `python tests/benchmarks/usage_events.py 400000 0.05 [PYTHON_WITH_TRAILSCRAPER]`.

Events, the share of them that is about keys. Beside it, on the same files: `zcat`, and `jq` and trailscraper on a tenth.
"""

from __future__ import annotations

import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from simulators.trail import OWN, event, key_arn, role, stranger, written

from collectors.aws_usage import AwsUsage

EACH = 10_000
PEER = """import sys, trailscraper.record_sources.local_directory_record_source as source, datetime as d
day = d.timedelta(days=9999); now = d.datetime.now(d.timezone.utc)
print(sum(1 for _ in source.LocalDirectoryRecordSource(sys.argv[1]).load_from_dir(now - day, now + day)))"""


def main() -> None:
    """Print a row a reader."""
    total, share = int(sys.argv[1]), float(sys.argv[2])
    files = max(10, total // EACH)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "all"
        tenth = Path(folder) / "tenth"
        size = sum(_filled(root, share, files))
        list(_filled(tenth, share, files // 10))
        print(
            f"{files * EACH:,} events in {files} files, {share:.0%} about keys, {size / files / EACH:,.0f} bytes each"
        )
        floor = timed("zcat", files, ["sh", "-c", f"zcat {root}/*.gz | wc -c"])
        for processes in (1, len(os.sched_getaffinity(0))):
            clock, rows = time.perf_counter(), 0
            collector = AwsUsage(paths=(str(root),), processes=processes)
            for target in collector.targets():
                rows += sum(1 for _ in collector.collect(target))
            seconds = time.perf_counter() - clock
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            say(
                f"aws_usage, {processes} processes",
                files,
                seconds,
                f"{rows:,} rows, {seconds / floor:.1f} x zcat, peak {peak:,.0f} MB",
            )
        timed(
            "jq",
            files // 10,
            ["sh", "-c", f"zcat {tenth}/*.gz | jq -c '.Records[]|select(.eventSource==\"kms.amazonaws.com\")' | wc -l"],
        )
        if len(sys.argv) > 3:
            timed("trailscraper", files // 10, [sys.argv[3], "-c", PEER, str(tenth)])


def _filled(root: Path, share: float, files: int):
    root.mkdir()
    every = round(1 / share)
    made = [
        event(key=key_arn(n % 40), who=role(f"app{n % 9}"), requestParameters={"keyId": key_arn(n % 40), "encryptionContext": {"a": str(n)}})
        if n % every == 0 else stranger(n)
        for n in range(EACH)
    ]  # fmt: skip
    text = written(made)
    packed = gzip.compress(text, 6)
    for number in range(files):
        name = f"{OWN}_CloudTrail_eu-west-1_20261001T{number // 60 % 24:02}{number % 60:02}Z_{number:016}.json.gz"
        (root / name).write_bytes(packed)
        yield len(text)


def timed(name: str, files: int, words: list[str]) -> float:
    """Run a command over the files and say how fast it was."""
    clock = time.perf_counter()
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    seconds = time.perf_counter() - clock
    say(name, files, seconds, f"said {told}")
    return seconds


def say(name: str, files: int, seconds: float, more: str) -> None:
    """One line."""
    print(f"{name:24} {seconds:7.1f} s  {files * EACH / seconds:10,.0f} events/s  {more}", flush=True)


if __name__ == "__main__":
    main()
