"""Hostile bytes against the decoders and the confirm stage of the code collector, with atheris.

    pip install atheris && python tests/fuzz/fuzz_code.py -max_total_time=600

The laws: nothing raises but what is documented, no input takes more than a few seconds, and where a stream is cut
changes no finding. Seeds are made when it runs.
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from random import Random

try:
    import atheris
except ImportError:
    sys.exit("atheris is not installed: pip install atheris")

with atheris.instrument_imports(include=["collectors.code"]):
    from collectors.code import _decode, _facts, _gitleaks, _material, _suppression
    from collectors.code._assigned import assigned
    from collectors.code._book import book
    from collectors.code._checks import CHECKS
    from collectors.code._confirm import MARGIN
    from collectors.code._examples import example
    from collectors.code._scan import Scanner
    from collectors.code._stream import BlobStream, Joined
    from toolkit.errors import ConfigError, SourceBroken
    from toolkit.identity import Fingerprinter

_decode._TOTAL, _decode.MEMBER = 4 << 20, 1 << 20
PEPPER = Fingerprinter(bytes(32))
SCANNERS = [Scanner(book(), PEPPER, lambda _uid, _value: ()) for _ in range(2)]
JUDGED = [n for n, rule in enumerate(book().rules) if "assigned" in rule.checks]


def _hits(scanner: Scanner, blobs: list[bytes], chunk: int) -> set[tuple[str, bytes, int, str]]:
    frames = b"".join(b"%d blob %d\n%b\n" % (n, len(blob), blob) for n, blob in enumerate(blobs))
    scanner._told.clear()
    scanner._counts.clear()
    stream = BlobStream(Joined([frames]).readinto, chunk=chunk, margin=MARGIN)
    return {(hit.rule, hit.name, hit.offset, hit.uid) for hit in scanner.hits(stream)}


def check(data: bytes) -> None:
    """One input, shown to everything that reads hostile bytes."""
    kind, body = (data[0] % 6, data[1:]) if data else (0, b"")
    if kind == 0:
        for _ in SCANNERS[0].open(b"0", body):
            pass
    elif kind == 1:
        cut = len(body) // 2
        blobs = [body, body[:cut] + b"\ntoken = x\n" + body[cut:], body[cut:]]
        assert _hits(SCANNERS[0], blobs, 1 << 12) == _hits(SCANNERS[1], blobs, 1 << 20)
    elif kind == 2:
        for said in CHECKS.values():
            said(body[:4096])
        _facts.about_jwt(body[:4096])
        _facts.about_aws(body[:64])
        _facts.is_private_jwk(body)
    elif kind == 3:
        try:
            _gitleaks.rules_of("x", body.decode("utf-8", "replace"))
        except (ConfigError, ValueError):
            return
    elif kind == 4:
        _material.block_of(body)
        _suppression.told(body)
        for number in JUDGED:
            for found in book().pattern(number).finditer(body[:1024]):
                assigned(found)
    else:
        try:
            _hits(SCANNERS[0], [body], 1 << 14)
        except SourceBroken:
            return


def seeds(folder: Path) -> None:
    """One file for each kind of thing that is read."""
    random = Random(1)
    text = b"".join(f"{rule.id}_key = '{example(rule.example, random)}'\n".encode() for rule in book().rules[::40] if rule.example and not re.search(r"none:", rule.example))  # fmt: skip
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/b.ini", text)
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        info = tarfile.TarInfo("x")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    bodies = [text[:3000], packed.getvalue(), tarred.getvalue(), gzip.compress(text), base64.b64encode(b"password " + text[:900]), text[:500].decode("utf-8", "replace").encode("utf-16")]  # fmt: skip
    toml = b"[[rules]]\nid='a'\nregex='(?i)a[[:alnum:]]{3,9}(b)'\nsecretGroup=1\nkeywords=['aab']\n[rules.allowlist]\nstopwords=['x']\n"
    for number, body in enumerate([*bodies, toml]):
        for kind in range(6):
            (folder / f"{number}-{kind}").write_bytes(bytes([kind]) + body)


if __name__ == "__main__":
    corpus = Path(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else Path("/tmp/fuzz-code")
    corpus.mkdir(exist_ok=True, parents=True)
    seeds(corpus)
    atheris.Setup(
        [sys.argv[0], str(corpus), "-timeout=10", "-rss_limit_mb=2000", "-max_len=20000", *sys.argv[1:]], check
    )
    atheris.Fuzz()
