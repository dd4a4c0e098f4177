"""The engine: what is carried over, shared out and remembered is what a plain reading would have found."""

from __future__ import annotations

import os
import re
import subprocess
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import example as example_of
from hypothesis import strategies as st

from collectors.code import Code, _units
from collectors.code._book import book
from collectors.code._changed import carry, find
from collectors.code._confirm import MARGIN
from collectors.code._examples import example
from collectors.code._pool import shares
from collectors.code._scan import Scanner
from collectors.code._stream import BlobStream, Joined
from collectors.code._versions import Stretch, Version
from toolkit.identity import Fingerprinter
from toolkit.model import Gap, Secret

PEPPER = Fingerprinter(b"p" * 32)
REACH = 40


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch, request):
    """What is seen is kept in a folder of the test's own; the automaton, which takes seconds to build, is shared."""
    assert book().databases
    if "own_cache" in request.keywords:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def matches(text: bytes) -> list[tuple[int, int]]:
    """A scanner of one expression, whose matches are at most ten bytes long."""
    return [(found.start() + len(found[1]), 0) for found in re.finditer(rb"(?=(k[a-c]{0,8}z))", text)]


LETTERS = b"abckz \n"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), total=st.integers(2, 7), cut=st.integers(1, 7))
def test_what_versions_share_is_not_scanned_again_and_nothing_is_lost(seed, total, cut):
    """Candidates of a version are the same whether shared parts are carried over or scanned, in one batch or several."""
    random = Random(seed)
    versions = [Version(b"0", bytes(random.choices(LETTERS, k=random.randint(1, 9000))), None, ())]
    for number in range(1, total):
        base = random.choice(versions)
        versions.append(_changed_from(base, random, b"%d" % number))

    for batch in (versions[:cut], versions[cut:]):
        find(batch, matches, REACH)
        for version in batch:
            carry(version, REACH)

    for version in versions:
        # What ends with the blob is found at the line end behind it.
        assert matches(version.data + b"\n") == version.candidates


def _changed_from(base, random, name):
    """A version made as git's changes are: of copies from anywhere in the base, and of what is new."""
    parts, stretches, size = [], [], 0
    for _ in range(random.randint(1, 6)):
        new = bytes(random.choices(LETTERS, k=random.choice([0, 1, 5, 300])))
        old = random.choice([0, random.randrange(len(base.data) + 1)])
        taken = base.data[old : old + random.choice([3, 500, 4000, 10**6])]
        if random.random() < 0.5:
            new, before = b"", new
            parts.append(before)
            size += len(before)
        if taken and random.random() < 0.9:
            stretches.append(Stretch(old, size, len(taken)))
        parts += [taken, new]
        size += len(taken) + len(new)
    return Version(name, b"".join(parts), base if stretches else None, stretches)


PARTS = st.sampled_from([b"token = ", b"'", b'"', b"\n", b" ", b"/", b"x" * 170, b"-" * 200, b"a1b2c3d4e5", b"for line in lines: pass\n" * 40, b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0."])  # fmt: skip


@example_of(parts=[b"x" * 170, 0], cuts=[0])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    parts=st.lists(PARTS | st.integers(0, 3), min_size=5, max_size=60), cuts=st.lists(st.integers(0, 59), max_size=4)
)
def test_versions_beside_each_other_hold_what_each_holds_alone(parts, cuts):
    """What is found around runs depends on the blob alone, not on the version that lies before it."""
    filler = b"".join(b"    value_%d = self.line(%d)\n" % (n, n) for n in range(400))
    made = [token(part).encode() if isinstance(part, int) else part for part in parts]
    blobs = [filler + b"".join(made) + filler, filler + b"".join(part for n, part in enumerate(made) if n not in cuts) + filler]  # fmt: skip

    size = len(filler)
    stretches = [Stretch(0, 0, size), Stretch(len(blobs[0]) - size, len(blobs[1]) - size, size)]
    first = Version(b"0", blobs[0], None, ())
    found = [*_scanner().versions([first, Version(b"1", blobs[1], first, stretches)])]

    for number, blob in enumerate(blobs):
        assert _alone(blob) == sorted(_told(hit) for hit in found if hit.name == b"%d" % number)


def _scanner():
    return Scanner(book(), PEPPER, lambda _uid, _value: ())


def _alone(blob):
    stream = BlobStream(Joined([b"0 blob %d\n%b\n" % (len(blob), blob)]).readinto, chunk=400_000, margin=MARGIN)
    return sorted(map(_told, _scanner().hits(stream)))


def _told(hit):
    return hit.rule, hit.offset, hit.line, hit.column or 0, hit.uid, hit.confidence


def test_shares_cover_everything_once():
    """No blob is left out, none is read twice."""
    for total in (0, 1, 399, 400, 401, 12_345):
        found = [number for share in shares(total, 3) for number in range(total)[share]]
        assert list(range(total)) == found


@pytest.fixture
def large(tmp_path):
    """A repository with more blobs than one process reads alone."""
    folder = tmp_path / "large"
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    feed = [b"commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\n"]
    for number in range(3000):
        text = f"{number}\nT = '{token(number)}'\n" if number % 100 == 0 else f"{number}\n"
        feed.append(b"M 100644 inline f%d\ndata %d\n%b\n" % (number, len(text), text.encode()))
    subprocess.run(["git", "-C", folder, "fast-import", "--quiet"], input=b"".join(feed), check=True)
    return folder


def read(folder, **options) -> list:
    """Every row."""
    collector = Code(paths=(str(folder),), fingerprinter=PEPPER, **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def test_two_processes_find_what_one_finds(large):
    """Sharing the work out changes no row."""
    one = read(large, processes=1, cache=False)

    assert 30 == len([row for row in one if isinstance(row, Secret)])
    assert sorted(map(repr, one)) == sorted(map(repr, read(large, processes=2, cache=False)))


@pytest.mark.own_cache
def test_a_second_run_reads_no_blob_and_says_the_same(large, monkeypatch):
    """What was read is remembered; only what came since is read."""
    first = read(large)
    ids: list[bytes] = []
    reader = _units.Reader.read
    monkeypatch.setattr(_units.Reader, "read", lambda self, unit: ids.extend(getattr(unit, "ids", ())) or reader(self, unit))  # fmt: skip

    again = read(large, processes=1)

    assert sorted(map(repr, first)) == sorted(map(repr, again))
    assert [] == ids
    (large / "new").write_text(token(7777))
    env = {
        **os.environ,
        **{f"GIT_{role}_{part}": "a" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
    }
    subprocess.run(["git", "add", "new"], cwd=large, check=True)
    subprocess.run(["git", "commit", "-qm", "new"], cwd=large, check=True, env=env)
    more = read(large, processes=1)
    assert 1 == len(ids)
    assert 31 == len([row for row in more if isinstance(row, Secret)])


@pytest.mark.own_cache
def test_a_cache_that_somebody_else_could_write_is_not_used(large, tmp_path):
    """A forged memory would hide secrets."""
    first = read(large)
    for file in (tmp_path / "cache" / "keyatlas").glob("seen-*"):
        file.write_bytes(b'{"form": 1, "stamp": "", "size": 20, "again": [], "hits": [], "told": {}}\n' + bytes(20))
        file.chmod(0o666)

    assert sorted(map(repr, first)) == sorted(map(repr, read(large)))


def test_a_partial_clone_says_what_is_not_here(tmp_path, large):
    """Blobs that were not fetched are a gap, and nothing is fetched."""
    subprocess.run(["git", "-C", large, "config", "uploadpack.allowFilter", "true"], check=True)
    clone = ["git", "clone", "-q", "--bare", "--filter=blob:none", large.as_uri(), str(tmp_path / "partial")]
    subprocess.run(clone, check=True)

    rows = read(tmp_path / "partial", cache=False)

    assert any("partial clone" in row.reason for row in rows if isinstance(row, Gap))


def test_a_sha256_repository_is_read(tmp_path):
    """Ids of 64 digits are ids."""
    folder = tmp_path / "r"
    subprocess.run(["git", "init", "-q", "--object-format=sha256", folder], check=True)
    (folder / "a").write_text(token(1))
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *who, "add", "a"], cwd=folder, check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x"], cwd=folder, check=True)

    (row,) = [row for row in read(folder) if isinstance(row, Secret)]

    assert 64 == len(row.first_commit)


def test_margin_holds_the_longest_key():
    """A PEM block of 16,384 bits fits what is looked at."""
    assert MARGIN > 13_000
