"""Secrets under encodings and in files that hold files: found, bounded, and said where they were."""

from __future__ import annotations

import base64
import bz2
import gzip
import http.server
import io
import lzma
import subprocess
import tarfile
import threading
import zipfile
import zlib
from random import Random

import pytest

from collectors.code import Code
from collectors.code import _liveness as liveness
from collectors.code._examples import example
from collectors.code._gitleaks import rules_of
from toolkit.errors import ConfigError
from toolkit.identity import Fingerprinter
from toolkit.model import Gap, Key, Secret
from toolkit.terms import KeyType, Liveness

PEPPER = Fingerprinter(b"p" * 32)
TOKEN = example("ghp_{base62:30}{crc32}", Random(1)).encode()
TEXT = b"# conf\ntoken = " + TOKEN + b"\n"


def read(folder, **options) -> list:
    """Every row of the files as they lie there."""
    collector = Code(paths=(str(folder),), history=False, fingerprinter=PEPPER, **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def secrets(folder, **options) -> list[Secret]:
    """The secrets among them."""
    return [row for row in read(folder, **options) if isinstance(row, Secret)]


def zipped(content: bytes, name: str = "in/app.ini") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("layer/x")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def pdf(text: bytes) -> bytes:
    """The smallest PDF that shows a line, its page compressed."""
    page = zlib.compress(b"BT /F1 12 Tf 20 100 Td (" + text + b") Tj ET")
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 900 200]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n%b\nendstream" % (len(page), page),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    body = b"%PDF-1.4\n"
    places = []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += b"%d 0 obj%b\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return body + b"xref\n0 6\n0000000000 65535 f \n%btrailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(body),
    )


CASES = {
    "zip": zipped(TEXT),
    "tar": tarred(TEXT),
    "gzip": gzip.compress(TEXT),
    "bzip2": bz2.compress(TEXT * 20),
    "xz": lzma.compress(TEXT),
    "zip in tar in gzip": gzip.compress(tarred(zipped(TEXT))),
    "UTF-16 with mark": TEXT.decode().encode("utf-16"),
    "UTF-16 without": TEXT.decode().encode("utf-16-le"),
    "UTF-16BE": TEXT.decode().encode("utf-16-be"),
    "UTF-32": TEXT.decode().encode("utf-32"),
    "base64": b"data: " + base64.b64encode(b"some words before, password and token: " + TEXT) + b"\n",
    "wrapped base64": b"k:\n" + base64.encodebytes(b"x" * 70 + b" password=1 " + TEXT + b"y" * 90),
    "hex": b"x = '" + (b"password is " + TEXT).hex().encode() + b"'\n",
    "URL encoding": b"https://h.test/?next=token%3D" + TOKEN + b"%26x%3D1\n",
    "pdf": pdf(b"token " + TOKEN),
}


@pytest.mark.parametrize("name", CASES)
def test_a_token_is_found_wherever_it_is_wrapped(tmp_path, name):
    """The row says what it was unwrapped from."""
    (tmp_path / "file").write_bytes(CASES[name])

    (row,) = secrets(tmp_path)

    assert ("github-personal-access-token", "file") == (row.rule, row.path)
    assert row.wrapped or TOKEN in CASES[name]


def test_names_inside_an_archive_are_told(tmp_path):
    """Archive, member and line."""
    (tmp_path / "a.zip").write_bytes(zipped(TEXT))

    (row,) = secrets(tmp_path)

    assert (("zip:in/app.ini",), 2) == (row.wrapped, row.line)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(100 << 20)),
        zipped(bytes(80 << 20)),
        bz2.compress(bytes(70 << 20)),
        zipped(zipped(zipped(zipped(zipped(zipped(TEXT)))))),
        zipped(TEXT)[:-30],
        b"PK\x03\x04" + bytes(500),
        b"\x1f\x8b\x08" + bytes(500),
        b"%PDF-1.4\n" + b"<<" * 5000,
    ],
    ids=["gzip bomb", "zip bomb", "bzip2 bomb", "too deep", "cut", "no zip", "no gzip", "bad pdf"],
)
def test_what_cannot_be_opened_whole_is_a_gap(tmp_path, content):
    """Bombs and damage cost themselves; what lies beside them is read."""
    (tmp_path / "bad").write_bytes(content)
    (tmp_path / "good").write_bytes(TEXT)

    rows = read(tmp_path)

    assert ["good"] == [row.path for row in rows if isinstance(row, Secret)]
    (gap,) = [row for row in rows if isinstance(row, Gap)]
    assert gap.locator.endswith("/bad")


def test_a_gigabyte_line_and_odd_text_are_read(tmp_path):
    """A line without end, NULs, bytes that are no UTF-8."""
    with (tmp_path / "line").open("wb") as file:
        file.seek(1 << 30)
        file.write(b" " + TOKEN + b" ")
    (tmp_path / "odd").write_bytes(
        b"\xff\xfe\xfa\x00" * 9 + b"\n" + example("ghp_{base62:30}{crc32}", Random(2)).encode()
    )

    assert {"line", "odd"} == {row.path for row in secrets(tmp_path)}


def test_key_files_and_web_keys_are_keys(tmp_path):
    """The same key in DER, in a PKCS#12 without a password and as a JWK is one key."""
    run = lambda *words: subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)  # noqa: E731
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", "k.pem")
    run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "k.pem", "-outform", "DER", "-out", "k.der")
    raw = (tmp_path / "k.der").read_bytes()[-32:]
    public = subprocess.run(["openssl", "pkey", "-in", tmp_path / "k.pem", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-32:]  # fmt: skip
    x, d = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (public, raw))
    (tmp_path / "k.json").write_text(f'{{"kty": "OKP", "crv": "Ed25519", "x": "{x}", "d": "{d}"}}')

    rows = read(tmp_path)

    keys = {row.key_uid for row in rows if isinstance(row, Key) and row.key_type is KeyType.PRIVATE_KEY}
    assert 1 == len(keys)
    assert {"private-key", "key-file", "json-web-key"} == {row.rule for row in rows if isinstance(row, Secret)}
    assert keys == {row.key_uid for row in rows if isinstance(row, Secret)}


class Service(http.server.BaseHTTPRequestHandler):
    """Takes one token, forbids another, sends a third away."""

    seen: list[str]

    def do_GET(self) -> None:
        told = self.headers["Authorization"].removeprefix("Bearer ")
        self.server.seen.append(told)
        self.send_response({TOKEN.decode(): 200}.get(told, 401 if not told.endswith(MOVED[-6:]) else 302))
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


MOVED = example("ghp_{base62:30}{crc32}", Random(3))


def test_a_service_is_asked_only_when_told_to_and_once_a_value(tmp_path):
    """Alive, dead, and unknown where it sends us elsewhere; nothing is asked by default."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    server.seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path / "code"
    folder.mkdir()
    dead = example("ghp_{base62:30}{crc32}", Random(2))
    (folder / "a").write_text(f"{TOKEN.decode()}\n{dead}\n{MOVED}\n{TOKEN.decode()}\n")
    (folder / "b").write_text(f"{TOKEN.decode()}\n")
    table = tmp_path / "table.toml"
    table.write_text(
        f'[[endpoints]]\nrule = "github-personal-access-token"\nurl = "http://127.0.0.1:{server.server_port}/me"\n'
        'headers = { Authorization = "Bearer {secret}" }\nalive = [200]\ndead = [401]\n'
    )

    assert {None} == {row.liveness for row in secrets(folder)}
    assert [] == server.seen
    rows = secrets(folder, check_liveness=str(table))

    assert [Liveness.ALIVE, Liveness.DEAD, Liveness.UNKNOWN] == [row.liveness for row in sorted(rows, key=lambda row: row.line)]  # fmt: skip
    assert 3 == len(server.seen)
    server.shutdown()


def test_values_are_shown_over_https_only():
    """Plain HTTP is for this machine."""
    with pytest.raises(ConfigError, match="https only"):
        liveness.endpoints_of('[[endpoints]]\nrule = "a"\nurl = "http://api.test/"\nalive = [200]\ndead = [401]\n')


def test_the_endpoints_that_ship_are_of_rules_that_exist():
    """A table of addresses for nothing would ask nothing."""
    from collectors.code._rules import standard

    assert set(liveness.load(liveness.STANDARD)) <= {rule.id for rule in standard()}


def test_rules_of_gitleaks_are_carried_over_and_the_rest_is_told():
    """Flags in the midst, the group that is the secret, allow lists; what has no counterpart is named."""
    text = """
    title = "ours"
    [[rules]]
    id = "acme"
    description = "Acme key"
    regex = '''acme[_-](?i)key\\s*=\\s*"(acm_[[:alnum:]]{20})"'''
    secretGroup = 1
    entropy = 3
    keywords = ["acme"]
    tags = ["x"]
    [rules.allowlist]
    stopwords = ["dummy"]
    [[rules]]
    id = "odd"
    regex = '(?<=x)['
    """

    (rule,), lost = rules_of("file", text)

    assert ("acme", 3.0, ("(?i:dummy)",)) == (rule.id, rule.min_entropy, rule.refused)
    assert rule.compiled().search(b'acme_KEY = "acm_' + b"a1" * 10 + b'"')["value"] == b"acm_" + b"a1" * 10
    assert ["rule acme: `tags`", "rule odd: its regex"] == [" ".join(line.split(" ")[:3 + line.startswith("rule odd")]) for line in lost]  # fmt: skip
