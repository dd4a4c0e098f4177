"""Hostile changes, versions and frames against what reads them, with atheris.

    pip install atheris && python tests/fuzz/fuzz_versions.py -max_total_time=600

The laws: a change is applied as git applies it, or refused with `Damaged`, and what it is said to copy is in both
versions; what is found in a version through its base is what is found in it alone; a frame gives back what was put in,
and one that was cut is an end. Nothing takes more than a few seconds.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random

from sizes import number

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris")

with atheris.instrument_imports(include=["collectors.code", "collectors._frames"]):
    from collectors._frames import receive, send
    from collectors.code._book import book
    from collectors.code._changed import carry, find
    from collectors.code._confirm import MARGIN
    from collectors.code._engine import Engine
    from collectors.code._examples import example
    from collectors.code._hits import Hit
    from collectors.code._packs import Damaged
    from collectors.code._runs import GAP
    from collectors.code._scan import Scanner
    from collectors.code._stream import BlobStream, Joined
    from collectors.code._versions import Version, _applied, _stretches
    from toolkit.identity import Fingerprinter

SCANNERS = [Scanner(book(), Fingerprinter(bytes(32)), lambda _uid, _value: ()) for _ in range(2)]
ENGINE, REACH = Engine(book()), book().reach
TOKENS = [example(r.example, Random(n)).encode() for n, r in enumerate(book().rules) if r.example and "none:" not in r.example]  # fmt: skip


def applied(old: bytes, change: bytes) -> bytes | None:
    """A change as gitformat-pack(5) tells it; None for one that git refuses."""
    at, new, sizes = 0, bytearray(), []
    try:
        for _ in range(2):
            value = shift = 0
            while True:
                value |= (change[at] & 127) << shift
                shift, at = shift + 7, at + 1
                if change[at - 1] < 128:
                    break
            sizes.append(value)
        while at < len(change):
            code, at = change[at], at + 1
            if code & 128:
                told = [0] * 7
                for bit in range(7):
                    if code >> bit & 1:
                        told[bit], at = change[at], at + 1
                place, size = int.from_bytes(bytes(told[:4]), "little"), int.from_bytes(bytes(told[4:]), "little") or 0x10000  # fmt: skip
                if place + size > len(old):
                    return None
                new += old[place : place + size]
            elif not code or at + code > len(change):
                return None
            else:
                new, at = new + change[at : at + code], at + code
    except IndexError:
        return None
    return bytes(new) if sizes == [len(old), len(new)] else None


def changes(fdp: atheris.FuzzedDataProvider) -> None:
    """A change is applied as git applies it, or refused."""
    old = fdp.ConsumeBytes(fdp.ConsumeIntInRange(0, 200)) * fdp.PickValueInList([1, 1, 40, 1000])
    change = fdp.ConsumeBytes(1000)
    if fdp.ConsumeIntInRange(0, 3):
        change = number(len(old), 7) + number(fdp.ConsumeIntInRange(0, 300_000), 7) + change
    try:
        new = _applied(old, change)
        stretches = _stretches(change, len(old), len(new))
    except Damaged:
        return
    assert new == applied(old, change) or applied(old, change) is None
    assert all(old[was : was + size] == new[at : at + size] and size for was, at, size in stretches)


def edited(fdp: atheris.FuzzedDataProvider, old: bytes) -> tuple[bytes, bytes]:
    """A change of `old` by copies and insertions, and what it makes."""
    body, new = bytearray(), bytearray()
    for _ in range(fdp.ConsumeIntInRange(1, 6)):
        at = fdp.ConsumeIntInRange(0, max(0, len(old) - 1))
        if size := fdp.ConsumeIntInRange(0, min(0xFFFF, len(old) - at)):
            body += b"\xb7" + at.to_bytes(3, "little") + size.to_bytes(2, "little")
            new += old[at : at + size]
        if part := token(fdp)[:127]:
            body += bytes([len(part)]) + part
            new += part
    return number(len(old), 7) + number(len(new), 7) + bytes(body), bytes(new)


def token(fdp: atheris.FuzzedDataProvider) -> bytes:
    part = fdp.PickValueInList(TOKENS) if fdp.ConsumeBool() else fdp.ConsumeBytes(fdp.ConsumeIntInRange(0, 60))
    return part[fdp.ConsumeIntInRange(0, len(part)) :] if fdp.ConsumeIntInRange(0, 3) == 0 else part


def candidates(fdp: atheris.FuzzedDataProvider) -> None:
    """Those of a version are the same, whether its base is known or not."""
    unit = fdp.PickValueInList([b"an ordinary line of text\n", b"x = 1\n", b"ordinary words ", b"Ab1cdEfg-", b"\n", b"\0"])  # fmt: skip
    data = b"".join(token(fdp) + unit * fdp.ConsumeIntInRange(0, 400) for _ in range(fdp.ConsumeIntInRange(1, 8)))
    versions = [Version(b"0", data, None, ())]
    for step in range(fdp.ConsumeIntInRange(1, 4)):
        base = fdp.PickValueInList(versions)
        change, new = edited(fdp, base.data)
        assert new == _applied(base.data, change)
        stretches = _stretches(change, len(base.data), len(new))
        versions.append(Version(b"%d" % (step + 1), new, base if stretches else None, stretches))
    cut = fdp.ConsumeIntInRange(0, len(versions))
    bases = [version.base for version in versions]
    for batch in (versions[:cut], versions[cut:]):
        find(batch, ENGINE.candidates, REACH)
        for version in batch:
            carry(version, REACH)
    for version in versions:
        text, shift = GAP + b" blob 0\n" + version.data + GAP, len(GAP) + 8
        whole = [(end - shift, n) for end, n in ENGINE.candidates(text) if 0 < end - shift <= len(version.data) + 1]
        assert {*whole} <= {*version.candidates}, {*whole} - {*version.candidates}
    for version, base in zip(versions, bases, strict=True):
        version.base, version.candidates = base, []
    ours = told(SCANNERS[0].versions(versions))
    alone = [told(SCANNERS[1].hits(stream_of(version))) for version in versions]
    assert ours == set().union(*alone), ours ^ set().union(*alone)


def stream_of(version: Version) -> BlobStream:
    """It alone, as git would show it."""
    frame = b"%b blob %d\n%b\n" % (version.name, len(version.data), version.data)
    return BlobStream(Joined([frame]).readinto, chunk=1 << 20, margin=MARGIN)


def told(hits: Iterable[Hit]) -> set[tuple[str, bytes, int, str]]:
    found = {(hit.rule, hit.name, hit.offset, hit.uid) for hit in hits}
    for scanner in SCANNERS:
        scanner._forget(None)
    return found


def frames(fdp: atheris.FuzzedDataProvider) -> None:
    """Frames come out as they went in; a cut one is an end. What is in one is never a stranger's, so it is not turned."""  # fmt: skip
    things = [(fdp.ConsumeInt(9), fdp.ConsumeBytes(50), fdp.ConsumeUnicode(20)) for _ in range(fdp.ConsumeIntInRange(0, 4))]  # fmt: skip
    pipe, ends = io.BytesIO(), [0]
    for thing in things:
        send(pipe, thing)
        ends.append(pipe.tell())
    cut = fdp.ConsumeIntInRange(0, ends[-1])
    cut_pipe = io.BufferedReader(io.BytesIO(pipe.getvalue()[:cut]))
    got = []
    try:
        while True:
            got.append(receive(cut_pipe))
    except EOFError:
        assert got == [thing for thing, (_, end) in zip(things, pairwise(ends), strict=True) if end <= cut]


KINDS = (changes, candidates, candidates, frames)


def check(data: bytes) -> None:
    """One input, for one of the laws."""
    if data:
        KINDS[data[0] % len(KINDS)](atheris.FuzzedDataProvider(data[1:]))


if __name__ == "__main__":
    given = len(sys.argv) > 1 and not sys.argv[1].startswith("-")
    corpus = Path(sys.argv.pop(1) if given else tempfile.mkdtemp(prefix="fuzz-versions-"))
    corpus.mkdir(exist_ok=True, parents=True)
    for kind in range(len(KINDS)):
        for seed in range(20):
            (corpus / f"{kind}-{seed}").write_bytes(bytes([kind]) + Random(seed).randbytes(60 * seed))
    atheris.Setup([sys.argv[0], str(corpus), "-timeout=10", "-rss_limit_mb=2000", "-max_len=4000", *sys.argv[1:]], check)  # fmt: skip
    atheris.Fuzz()
