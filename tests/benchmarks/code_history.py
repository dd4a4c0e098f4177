"""How fast a whole history is read, against git alone: `python tests/benchmarks/code_history.py [commits] [files]`.

Makes a repository with `git fast-import` (seeded, with a planted secret every 500 commits), then times
`git cat-file --batch --buffer` to nowhere in pack order, which is the floor, and the collector in a process of its own.
An existing repository is read instead when its path is given: `code_history.py /path/to/repository`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

WORDS = [
    "key",
    "value",
    "return",
    "import",
    "self",
    "def",
    "class",
    "for",
    "range",
    "print",
    "open",
    "close",
    "read",
    "write",
    "list",
    "none",
    "true",
    "error",
]


def history(commits: int, files: int) -> Iterator[bytes]:
    """A fast-import stream: each commit changes one of `files` files, some 30 kB each, by a few lines."""
    from collectors.code._examples import example

    random = Random(7)
    texts = [[" ".join(random.choices(WORDS, k=9)) for _ in range(600)] for _ in range(files)]
    for number in range(commits):
        text = texts[number % files]
        for _ in range(8):
            text[random.randrange(len(text))] = " ".join(random.choices(WORDS, k=9)) + f" {random.getrandbits(64):x}"
        if number % 500 == 250:
            text[0] = "token = " + example("ghp_{base62:30}{crc32}", random)
        body = "\n".join(text).encode()
        yield b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n" % (1_600_000_000 + number)
        yield b"M 100644 inline d%d/f%d.py\ndata %d\n%b\n" % (number % files % 50, number % files, len(body), body)


def made(folder: Path, commits: int, files: int) -> None:
    """The repository, packed."""
    subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
    with subprocess.Popen(
        ["git", "-C", folder, "fast-import", "--quiet", "--depth=50"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        for piece in history(commits, files):
            process.stdin.write(piece)
        process.stdin.close()


def floor(folder: Path) -> tuple[float, int]:
    """Seconds of git alone, listing included, and the bytes of all blobs."""
    listing = "cat-file --batch-all-objects --unordered --buffer"
    sizes = f"git -C {folder} {listing} --batch-check='%(objecttype) %(objectsize)' | awk '$1==\"blob\"{{s+=$2}}END{{print s}}'"
    size = int(subprocess.run(sizes, shell=True, check=True, capture_output=True).stdout)
    read = f"git -C {folder} {listing} --batch-check='%(objecttype) %(objectname)' | sed -n 's/^blob //p' | git -C {folder} cat-file --batch --buffer > /dev/null"
    started = time.perf_counter()
    subprocess.run(read, shell=True, check=True)
    return time.perf_counter() - started, size


def ours(folder: str) -> None:
    """One reading, in this process; its figures as JSON."""
    from collectors.code import Code
    from toolkit.model import Gap, Secret

    collector = Code(paths=(folder,))
    started = time.perf_counter()
    rows = [row for target in collector.targets() for row in collector.collect(target)]
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    secrets = sum(isinstance(row, Secret) for row in rows)
    gaps = sum(isinstance(row, Gap) for row in rows)
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "secrets": secrets, "gaps": gaps}))


def measured(folder: Path) -> None:
    """Floor and ours, each twice; the better one counts."""
    git, size = min(floor(folder) for _ in range(2))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    told = [subprocess.run([sys.executable, __file__, "--ours", folder], check=True, capture_output=True, env=env).stdout for _ in range(2)]  # fmt: skip
    best = min((json.loads(text) for text in told), key=lambda figures: figures["seconds"])
    mb = size / 1e6
    print(f"{mb:,.0f} MB of blobs")
    print(f"git alone  {git:6.2f} s  {mb / git:6.0f} MB/s")
    print(f"code       {best['seconds']:6.2f} s  {mb / best['seconds']:6.0f} MB/s  ratio {best['seconds'] / git:.2f}")
    print(f"peak {best['peak_mb']:.0f} MB, {best['secrets']} secrets, {best['gaps']} gaps")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(sys.argv[2])
    elif len(sys.argv) == 2 and Path(sys.argv[1]).is_dir():
        measured(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            made(Path(name) / "r.git", *(int(word) for word in sys.argv[1:] or ("20000", "400")))
            measured(Path(name) / "r.git")
