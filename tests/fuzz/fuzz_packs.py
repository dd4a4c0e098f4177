"""Hostile packs and indexes against what reads them without git, with atheris.

    pip install atheris && python tests/fuzz/fuzz_packs.py -max_total_time=600

The laws: nothing raises but `Damaged` and `OSError`; no input takes more than a few seconds; a blob that is read has
the bytes that its id names, or those that git itself gives for it; every id is read or left for git. Repositories are
made by git when it runs.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from random import Random
from typing import NamedTuple

from sizes import number

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris")

with atheris.instrument_imports(include=["collectors.code"]):
    from collectors.code._packs import Damaged, Pack
    from collectors.code._versions import Versions

HOUSE = Path(tempfile.mkdtemp(prefix="fuzz-packs-", dir="/dev/shm"))
DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}


class Entry(NamedTuple):
    """One entry of a pack; `base` is the number of another."""

    name: bytes
    kind: int
    base: int
    body: bytes


def git(folder: Path, *words: str, given: bytes = b"") -> bytes:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, input=given).stdout


def repository(form: str, *, way: str) -> list[Entry]:
    """The entries of the largest pack of a small repository with chains of changes."""
    folder, random = HOUSE / f"{form}-{way}", Random(3)
    for place in (folder, HOUSE / f"{form}-{way}-target"):
        subprocess.run(["git", "init", "-q", "--bare", f"--object-format={form}", place], check=True)
    lines = [b"line_%d = %d\n" % (n, random.randrange(10**6)) for n in range(60)]
    fed = []
    for _ in range(12):
        lines[random.randrange(60)] = b"key = '%b'\n" % random.randbytes(30).hex().encode()
        fed.append(b"commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\nM 644 inline f\ndata %d\n%b\n" % (len(text := b"".join(lines)), text))  # fmt: skip
    git(folder, "fast-import", "--quiet", given=b"".join(fed))
    if way == "thin":
        old = git(folder, "pack-objects", "--revs", "--stdout", "-q", given=b"main~6\n")
        new = git(folder, "pack-objects", "--revs", "--thin", "--stdout", "-q", given=b"main\n^main~6\n")
        folder = HOUSE / f"{form}-{way}-target"
        git(folder, "index-pack", "--stdin", given=old)
        git(folder, "index-pack", "--stdin", "--fix-thin", given=new)
    else:
        git(folder, "repack", "-adfq")
    path = max((folder / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_size)
    pack, data = Pack(path, DIGESTS[form]().digest_size), path.read_bytes()
    found = [Entry(bytes(pack._names[pack._by_name[n]]), data[start] >> 4 & 7, int(pack.base[n]), zlib.decompressobj().decompress(data[pack.body[n] :])) for n, start in enumerate(pack.start)]  # fmt: skip
    assert any(entry.kind == (7 if way == "thin" else 6) for entry in found)
    return found


def backwards(value: int) -> bytes:
    told = bytearray([value & 127])
    while value := value >> 7:
        value -= 1
        told.insert(0, 128 | value & 127)
    return bytes(told)


def written(found: list[Entry], form: str, fdp: atheris.FuzzedDataProvider) -> tuple[bytes, bytes]:
    """A pack and its index, of which entries, heads and sums may lie."""
    pack, places = bytearray(b"PACK\0\0\0\2" + len(found).to_bytes(4, "big")), []
    for _, kind, base, body in found:
        lie = fdp.ConsumeIntInRange(0, 120)
        size = fdp.ConsumeIntInRange(0, 1 << 68) if lie == 1 else len(body)
        head = bytearray(number(size, 4))
        head[0] |= (fdp.ConsumeIntInRange(0, 7) if lie == 2 else kind) << 4
        if kind == 6:
            back = len(pack) - (places[base] if base < len(places) else 0)
            head += backwards(fdp.ConsumeIntInRange(0, 1 << 68) if lie == 3 else back)
        elif kind == 7:
            head += fdp.PickValueInList(found).name if lie == 4 else found[base].name
        places.append(len(pack))
        pack += head + (fdp.ConsumeBytes(40) if lie == 5 else zlib.compress(body, 1))
    if fdp.ConsumeIntInRange(0, 15) == 1:
        places[fdp.ConsumeIntInRange(0, len(places) - 1)] = fdp.ConsumeIntInRange(0, 1 << 31)
    order = sorted(range(len(found)), key=lambda n: found[n].name)
    names = [found[n].name for n in order]
    fanout = b"".join(sum(name[0] <= byte for name in names).to_bytes(4, "big") for byte in range(256))
    at = b"".join(places[n].to_bytes(4, "big") for n in order)
    index = bytearray(b"\xfftOc\0\0\0\2" + fanout + b"".join(names) + bytes(4 * len(names)) + at)
    index += fdp.ConsumeBytes(fdp.ConsumeIntInRange(0, 24))
    for content in (pack, index):
        for _ in range(fdp.ConsumeIntInRange(0, 3)):
            content[fdp.ConsumeIntInRange(0, len(content) - 1)] = fdp.ConsumeIntInRange(0, 255)
        if fdp.ConsumeIntInRange(0, 30) == 1:
            del content[fdp.ConsumeIntInRange(0, len(content) - 1) :]
    if fdp.ConsumeIntInRange(0, 30) == 1:
        return bytes(pack), bytes(index)  # sums that are not there
    pack += DIGESTS[form](pack).digest()
    index += pack[-len(found[0].name) :]
    return bytes(pack), bytes(index + DIGESTS[form](index).digest())


def packs(fdp: atheris.FuzzedDataProvider) -> None:
    """What is read is what git reads, and nothing gets lost between them."""
    form, found = fdp.PickValueInList(MADE)
    width, found = (DIGESTS[form]().digest_size), list(found)
    for _ in range(fdp.ConsumeIntInRange(0, 3)):
        at = fdp.ConsumeIntInRange(0, len(found) - 1)
        body = bytearray(found[at].body)
        body[fdp.ConsumeIntInRange(0, len(body)) :][:1] = fdp.ConsumeBytes(8)
        other = fdp.ConsumeIntInRange(0, len(found) - 1) if fdp.ConsumeBool() else found[at].base
        found[at] = found[at]._replace(base=other, body=bytes(body), kind=fdp.PickValueInList([3, 6, 7, found[at].kind]))  # fmt: skip
        if fdp.ConsumeIntInRange(0, 9) == 1:
            del found[at]
            found = [entry._replace(base=min(entry.base, len(found) - 1)) for entry in found]
    folder = HOUSE / f"tried-{form}" / "objects" / "pack"
    for name, content in zip(("pack-a.pack", "pack-a.idx"), written(found, form, fdp), strict=True):
        (folder / name).write_bytes(content)
    try:
        read = [Pack(folder / "pack-a.pack", width)] * fdp.ConsumeIntInRange(1, 2)
    except (Damaged, OSError):
        return
    names, reader = [*read[0].families(), *read[0].untold()], Versions(read)
    assert len(names) + len(read[0].circular()) + sum(map(int, (read[0].kind > 0) & (read[0].kind < 5) & (read[0].kind != 3))) == len(read[0].start)  # fmt: skip
    asked = names[fdp.ConsumeIntInRange(0, len(names)) :] if fdp.ConsumeBool() else names
    told = [*reader.read(asked)]
    assert sorted(asked) == sorted([version.name for version in told] + reader.left)
    for version in told:
        for old, new, size in version.stretches:
            assert version.base.data[old : old + size] == version.data[new : new + size]
            assert 0 < size <= len(version.data) - new
        if DIGESTS[form](b"blob %d\0" % len(version.data) + version.data).hexdigest().encode() != version.name:
            said = git(folder, "cat-file", "--batch", given=version.name + b"\n")
            assert said.startswith(version.name + b" missing") or said[:1] == b"" or said == b"%b blob %d\n%b\n" % (version.name, len(version.data), version.data), (said, version.data)  # fmt: skip


def check(data: bytes) -> None:
    """One input."""
    packs(atheris.FuzzedDataProvider(data))


if __name__ == "__main__":
    corpus = Path(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else HOUSE / "corpus"
    corpus.mkdir(exist_ok=True, parents=True)
    for seed in range(40):
        (corpus / f"{seed}").write_bytes(Random(seed).randbytes(60 * seed))
    MADE = [(form, repository(form, way=way)) for form in DIGESTS for way in ("whole", "thin")]
    for form in DIGESTS:
        subprocess.run(["git", "init", "-q", "--bare", f"--object-format={form}", HOUSE / f"tried-{form}"], check=True)
    atheris.Setup([sys.argv[0], str(corpus), "-timeout=10", "-rss_limit_mb=2000", "-max_len=4000", *sys.argv[1:]], check)  # fmt: skip
    try:
        atheris.Fuzz()
    finally:
        shutil.rmtree(HOUSE, ignore_errors=True)
