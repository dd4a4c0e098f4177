"""Canary secrets of many kinds: found, and then nowhere to be seen, whatever keyatlas prints, writes or starts."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

from collectors.code._examples import example

KEYATLAS = Path(sys.executable).with_name("keyatlas")
TEMPLATES = {
    "github": "ghp_{base62:30}{crc32}",
    "gitlab": "glpat-{base62:20}",
    "stripe": "sk_live_{base62:24}",
    "aws": "{base62:40}",
    "url": "Kz4-{base62:16}",
    "assigned": "kV7#{base62:12}!",
    "json-web-token": "pw{base62:24}",
}
TOKENS = ("zip-in-tar", "gzip", "base64", "utf16", "history", "suppressed", "dangling")


def needles(value: bytes) -> Iterator[bytes]:
    """What would give a value away: it, either half of it, or its plain digest; as text, in hex, base64 or UTF-16."""
    yield from (hashlib.new(name, value).hexdigest().encode() for name in ("md5", "sha1", "sha256"))
    core = value[8:] if len(value) > 24 else value
    for part in (core, core[: len(core) // 2], core[len(core) // 2 :]):
        yield part
        yield from (part.hex().encode(), part.hex().upper().encode())
        yield part.decode("latin-1").encode("utf-16-le")
        for shift in range(3):
            # What base64 makes of it, wherever in its groups of three it begins.
            coded = base64.b64encode(bytes(shift) + part)[(0, 2, 3)[shift] : (shift + len(part)) * 8 // 6]
            yield from (coded, coded.translate(bytes.maketrans(b"+/", b"-_")))


def git(root: Path, *words: str, given: bytes = b"") -> None:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, input=given)


def keys(root: Path) -> dict[str, bytes]:
    """Private keys made by real tools, and the secret number in each."""
    tools = [["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "pem"],
             ["openssl", "genpkey", "-algorithm", "ED25519", "-outform", "DER", "-out", "der"],
             ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", "ssh"]]  # fmt: skip
    for words in tools:
        subprocess.run(words, cwd=root, check=True, capture_output=True)
    (root / "ssh.pub").unlink()
    pem = load_pem_private_key((root / "pem").read_bytes(), None)
    ssh = load_ssh_private_key((root / "ssh").read_bytes(), None)
    number = pem.private_numbers().private_value.to_bytes(32, "big")
    return {"pem": number, "der": (root / "der").read_bytes()[-32:], "ssh": ssh.private_bytes_raw()}


def jwt(claims: dict[str, str], random: Random) -> str:
    """A token signed by nobody."""
    parts = [b'{"alg":"HS256","typ":"JWT"}', json.dumps(claims).encode(), random.randbytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def enclosed(name: str, value: str) -> bytes:
    """A zip with the value, in a tar."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conf/app.ini", f"{name} = {value}\n" * 2)
    with tarfile.open(fileobj=outer, mode="w") as archive:
        member = tarfile.TarInfo("inner.zip")
        member.size = len(inner.getvalue())
        archive.addfile(member, io.BytesIO(inner.getvalue()))
    return outer.getvalue()


def planted(root: Path) -> dict[str, bytes]:
    """A repository with canaries, each in a file of its name; the values by name."""
    random = Random(7)
    root.mkdir()
    made = {name: example(form, random) for name, form in TEMPLATES.items()}
    made |= {name: example(TEMPLATES["github"], random) for name in TOKENS}
    jwk = example("{jwk}", random)
    texts = {
        **{name: f"T = '{made[name]}'\n" for name in ("github", "gitlab", "stripe", "history")},
        "aws": f"aws_access_key_id = {example('AKIA{base32:16}', random)}\naws_secret_access_key = {made['aws']}\n",
        "url": f"postgres://app:{made['url']}@db.intern.net/main\n",
        "assigned": f'db_password = "{made["assigned"]}"\n',
        "base64": f"data: {base64.b64encode(('token = ' + made['base64']).encode()).decode()}\n",
        "json-web-token": f"session: {jwt({'sub': '1', 'password': made['json-web-token']}, random)}\n",
        "json-web-key": jwk,
        "suppressed": f'T = "{made["suppressed"]}"  # keyatlas:allow until=2099-01-01 reason="replay test"\n',
    }
    contents = {name: text.encode() for name, text in texts.items()}
    contents["utf16"] = f"token={made['utf16']}\n".encode("utf-16")
    contents["gzip"] = gzip.compress(f"token={made['gzip']}\n".encode() * 2)
    contents["zip-in-tar"] = enclosed("token", made["zip-in-tar"])
    for name, content in contents.items():
        (root / name).write_bytes(content)
    values = {name: value.encode() for name, value in made.items()} | keys(root)
    values["json-web-key"] = json.loads(jwk)["d"].encode()
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "1")
    git(root, "rm", "-q", "history")
    git(root, "commit", "-qm", "2")
    git(root, "hash-object", "-w", "--stdin", given=made["dangling"].encode())
    return values


@dataclass
class Trace:
    """What a run left: what it printed, what lies under its folders, and what its processes showed while it ran."""

    code: int
    printed: bytes
    home: Path
    shown: set[bytes] = field(default_factory=set)

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Each thing with its place; the columns of Parquet files unpacked too."""
        yield "printed", self.printed
        yield from (("a process or a file while it ran", content) for content in self.shown)
        for path in self.home.rglob("*"):
            if path.is_file() and not path.name.startswith(("automaton-", "rules-")):
                yield str(path), path.read_bytes()
            if path.suffix == ".parquet":
                yield str(path), repr(pq.read_table(path).to_pylist()).encode()


def sampled(process: subprocess.Popen[bytes], temporary: Path, shown: set[bytes]) -> None:
    """Arguments, environments and open unlinked files of a process and its children, and its temporary files."""
    while process.poll() is None:
        parents = {}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parents[place.name] = place.joinpath("stat").read_text().rpartition(")")[2].split()[1]
        family = {str(process.pid)}
        while more := {child for child, parent in parents.items() if parent in family} - family:
            family |= more
        for number in family:
            with suppress(OSError):
                shown.update(Path("/proc", number, name).read_bytes() for name in ("cmdline", "environ"))
                links = [link for link in Path("/proc", number, "fd").iterdir() if "deleted" in str(link.readlink())]
                shown.update(link.read_bytes() for link in links)
        # Folders come and go while it runs.
        with suppress(OSError):
            for path in temporary.rglob("*"):
                with suppress(OSError):
                    shown.add(path.read_bytes())
        time.sleep(0.05)


def traced(home: Path, automata: Path | None, *words: object) -> Trace:
    """Runs keyatlas in folders of its own; the automaton is given where there is one, for it takes seconds to build."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "XDG_"))}
    env |= {"HOME": str(home), "TMPDIR": str(home / "tmp"), "XDG_CACHE_HOME": str(home / "cache")}
    (home / "tmp").mkdir(parents=True)
    (home / "cache" / "keyatlas").mkdir(parents=True, mode=0o700)
    for path in automata.glob("keyatlas/[ar]*-*") if automata is not None else ():
        shutil.copy(path, home / "cache" / "keyatlas")
    process = subprocess.Popen([KEYATLAS, *words], cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    trace = Trace(0, b"", home)
    with ThreadPoolExecutor(1) as thread:
        watching = thread.submit(sampled, process, home / "tmp", trace.shown)
        trace.printed = process.communicate()[0]
        watching.result()
    trace.code = process.returncode
    return trace


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where the other tests of this session keep the automaton."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    folder.mkdir(exist_ok=True)
    if not (folder / "keyatlas").exists():
        env = {**os.environ, "XDG_CACHE_HOME": str(folder)}
        subprocess.run([KEYATLAS, "scan", os.devnull], env=env, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    """The repository, and the values in it."""
    root = tmp_path_factory.mktemp("estate") / "repo"
    return root, planted(root)


@pytest.fixture(scope="module")
def traces(estate, cache, tmp_path_factory):
    """Every way to run it, by name."""
    top, (root, _) = tmp_path_factory.mktemp("runs"), estate
    many = shutil.copytree(root, top / "many", ignore=shutil.ignore_patterns(".git"))
    for number in range(2_100):
        (many / str(number)).write_text("x\n")
    accepted = ["--write-baseline", top / "baseline.toml", "--reason", "known", "--until", "2099-01-01"]
    ways = {
        "json": ["scan", "--history", "--json", root],
        "sarif": ["scan", "--history", "--sarif", root],
        "text": ["scan", "--history", "--show-suppressed", root],
        "several processes": ["scan", "--json", "--processes", "2", many],
        "write baseline": ["scan", "--history", *accepted, root],
        "workspace": ["collect", "code", "--path", root, "--workspace", top / "workspace" / "ws"],
    }
    with ThreadPoolExecutor(2) as threads:
        running = {name: threads.submit(traced, top / name, cache, *words) for name, words in ways.items()}
        told = {name: future.result() for name, future in running.items()}
    words = ["scan", "--history", "--json", "--baseline", top / "baseline.toml", root]
    told["baseline"] = traced(top / "baseline", cache, *words)
    told["write baseline"].shown.add((top / "baseline.toml").read_bytes())
    return told


WAYS = ("json", "sarif", "text", "several processes", "write baseline", "baseline", "workspace")


def test_every_canary_is_found(estate, traces):
    """The tests below would say nothing of secrets that were not seen."""
    _, values = estate
    told = json.loads(traces["json"].printed)

    paths = {row["path"] or "dangling" for row in told["findings"] + told["suppressed"]}

    assert set(values) == paths
    assert [] == told["gaps"]
    expected = {"json": 1, "sarif": 1, "text": 1, "several processes": 1, "write baseline": 0, "workspace": 0}
    assert expected == {name: traces[name].code for name in expected}


def test_processes_were_looked_at(traces):
    """Children and their environments are among what is searched."""
    assert any(b"collectors.code._pool" in content for content in traces["several processes"].shown)
    assert all(any(b"XDG_CACHE_HOME=" in content for content in traces[name].shown) for name in WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_no_canary_surfaces(estate, traces, way):
    """Not printed, not written, not shown to other users of the machine; not in part, and in no other spelling."""
    _, values = estate
    wanted = {needle: name for name, value in values.items() for needle in needles(value)}

    leaks = {
        (name, place)
        for place, content in traces[way].everything()
        for needle, name in wanted.items()
        if needle in content
    }

    assert set() == leaks


@pytest.fixture(scope="module")
def beside(cache, tmp_path_factory):
    """Values that stand where facts about a finding are read from: as a user's name, in a host, in a commit's subject."""
    root, random = tmp_path_factory.mktemp("beside") / "repo", Random(8)
    root.mkdir()
    names = ("user of a URL", "user beside it", "host", "subject")
    values = {name: example(TEMPLATES["github"], random) for name in names}
    values["host"] = example(TEMPLATES["url"], random)
    (root / "a").write_text(f"git clone https://{values['user of a URL']}:x-oauth-basic@github.com/a/b\n")
    (root / "b").write_text(f"protocol=https host=github.com username={values['user beside it']}\n")
    (root / "c").write_text(
        f'api_token = "{example("{base62:32}", random)}"; host=app:{values["host"]}@db.intern.net\n'
    )
    (root / "d").write_text(f"T = '{values['subject']}'\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", f"use {values['subject']}")
    return values, traced(root.parent / "home", cache, "scan", "--history", "--json", root)


@pytest.mark.parametrize("name", ["user of a URL", "user beside it", "host", "subject"])
def test_no_fact_about_a_finding_is_a_secret_itself(beside, name):
    """A token may be the user's name, and who commits one may write it into the message too."""
    values, trace = beside

    assert {"a", "b", "c", "d"} <= {row["path"] for row in json.loads(trace.printed)["findings"]}
    assert [] == [place for place, content in trace.everything() if values[name][8:].encode() in content]
