"""How fast a whole history is read, against git alone and against a peer: `python tests/benchmarks/code_history.py`.

Makes repositories with `git fast-import` (seeded) out of the standard library's sources: many files, and big files
changed often; each commit changes one to three places of one file, every 500th brings a secret. Then, in one run: `git cat-file --batch --buffer` to nowhere
over the same blobs in pack order, which is the floor; the collector in one process and in as many as there are cores,
without its cache, and once more with it; and kingfisher (package `kingfisher-bin`), where it is installed, without
validation. An existing repository is read instead when its path is given.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

SHAPES = {"many files": (20_000, 1500, 1), "big files changed often": (6_000, 24, 8)}
"""Commits, files, and how many modules of the standard library each file begins with."""


def _modules() -> list[list[bytes]]:
    """The standard library's own sources, as lines: text that people wrote, as long and as varied as code is."""
    folder = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    return [text.splitlines(keepends=True) for path in paths if 500 < len(text := path.read_bytes()) < 40_000]


def history(commits: int, files: int, modules: int) -> Iterator[bytes]:
    """A fast-import stream."""
    from collectors.code._examples import example

    random, sources = Random(7), _modules()
    texts = [[line for text in random.sample(sources, modules) for line in text] for _ in range(files)]
    for number in range(commits):
        # Half of the commits change one of the twenty files that are changed most.
        name = number if number < files else min(int(random.paretovariate(0.7)) - 1, random.randrange(files))
        text = texts[name]
        for _ in range(random.randint(1, 3)):
            at, source = random.randrange(len(text)), random.choice(sources)
            taken = random.randrange(len(source))
            text[at : at + random.randint(0, 5)] = source[taken : taken + random.randint(0, 5)] or [b"\n"]
        if number % 500 == 250:
            text[random.randrange(len(text))] = f'token = "{example("ghp_{base62:30}{crc32}", random)}"\n'.encode()
        body = b"".join(text)
        yield b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n" % (1_500_000_000 + 600 * number)
        yield b"M 100644 inline d%d/f%d.py\ndata %d\n%b\n" % (name % 50, name, len(body), body)


def made(folder: Path, commits: int, files: int, lines: int) -> None:
    """The repository, packed as a server packs it."""
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
    command = ["git", "-C", folder, "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for piece in history(commits, files, lines):
            process.stdin.write(piece)
        process.stdin.close()
    subprocess.run(["git", "-C", folder, "repack", "-adfq"], check=True)


def floor(folder: Path) -> tuple[float, int]:
    """Seconds of git alone over all blobs in pack order, and their bytes."""
    check = "cat-file --batch-all-objects --unordered --buffer --batch-check"
    with tempfile.NamedTemporaryFile() as ids:
        listing = (
            f"git -C {folder} {check}='%(objecttype) %(objectname) %(objectsize)' | sed -n 's/^blob //p' > {ids.name}"
        )
        subprocess.run(listing, shell=True, check=True)
        told = [line.split() for line in Path(ids.name).read_text().splitlines()]
        Path(ids.name).write_text("".join(f"{name}\n" for name, _ in told))
        started = time.perf_counter()
        read = f"git -C {folder} cat-file --batch --buffer < {ids.name} > /dev/null"
        subprocess.run(read, shell=True, check=True)
        return time.perf_counter() - started, sum(int(size) for _, size in told)


def ours(folder: str, processes: int, *, cache: bool) -> None:
    """One reading, in this process; its figures as JSON."""
    from collectors.code import Code
    from toolkit.identity import local_fingerprinter
    from toolkit.model import Gap, Secret

    collector = Code(paths=(folder,), processes=processes, cache=cache, fingerprinter=local_fingerprinter())
    started = time.perf_counter()
    rows = [row for target in collector.targets() for row in collector.collect(target)]
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    secrets = sum(isinstance(row, Secret) for row in rows)
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "secrets": secrets, "gaps": sum(isinstance(row, Gap) for row in rows)}))  # fmt: skip


def _best(folder: Path, processes: int, *, cache: bool, times: int = 2) -> dict[str, float]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, __file__, "--ours", str(folder), str(processes), str(int(cache))]
    told = [subprocess.run(command, check=True, capture_output=True, env=env).stdout for _ in range(times)]
    return min((json.loads(text) for text in told), key=lambda figures: figures["seconds"])


def _peer(folder: Path) -> float | None:
    program = os.environ.get("KINGFISHER") or shutil.which("kingfisher")
    if program is None:
        return None
    command = [program, "scan", str(folder), "--no-validate", "--no-update-check", "--format", "json"]
    times = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run(command, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def measured(folder: Path, title: str) -> None:
    """Floor, ours and the peer; the best of each counts."""
    git, size = min(floor(folder) for _ in range(3))
    mb = size / 1e6
    print(f"{title}: {mb:,.0f} MB of blobs\n  git cat-file alone      {git:6.2f} s  {mb / git:6.0f} MB/s")
    readings = [("one process", 1, False), (f"{os.cpu_count()} processes", 0, False), ("again, nothing new", 0, True)]
    for name, processes, cache in readings:
        best = _best(folder, processes, cache=cache)
        told = f"peak {best['peak_mb']:.0f} MB a process, {best['secrets']} secrets, {best['gaps']} gaps"
        print(f"  code, {name:<18}{best['seconds']:6.2f} s  {mb / best['seconds']:6.0f} MB/s  {best['seconds'] / git:5.2f} x  {told}")  # fmt: skip
    peer = _peer(folder)
    print(f"  kingfisher              {peer:6.2f} s  {mb / peer:6.0f} MB/s  {peer / git:5.2f} x" if peer else "  kingfisher is not here")  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(sys.argv[2], int(sys.argv[3]), cache=sys.argv[4] == "1")
    elif len(sys.argv) == 2:
        measured(Path(sys.argv[1]), sys.argv[1])
    else:
        for title, shape in SHAPES.items():
            with tempfile.TemporaryDirectory() as name:
                made(Path(name) / "r.git", *shape)
                measured(Path(name) / "r.git", title)
