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
from collectors.code._changed import Changed, shared
from collectors.code._confirm import MARGIN
from collectors.code._examples import example
from collectors.code._pool import shares
from collectors.code._scan import Scanner
from collectors.code._sources import _by_family
from collectors.code._stream import BlobStream, Joined
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


def matches(window: bytes, base: int, found: list[tuple[int, int]]) -> None:
    """A scanner of one expression, whose matches are at most ten bytes long."""
    found.extend((base + match.end(), 0) for match in re.finditer(rb"(?=(k[a-c]{0,8}z))", bytes(window)) for match in [re.compile(rb"k[a-c]{0,8}z").match(bytes(window), match.start())] if match)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), versions=st.integers(2, 6), chunk=st.sampled_from([20_000, 60_000, 400_000]))
def test_what_versions_share_is_not_scanned_again_and_nothing_is_lost(seed, versions, chunk):
    """Candidates of a window are the same whether shared parts are carried over or scanned."""
    random = Random(seed)
    text = bytearray(random.choices(b"abckz \n", k=random.randint(9_000, 40_000)))
    blobs = []
    for _ in range(versions):
        for _ in range(random.randint(0, 2)):
            at = random.randrange(len(text))
            text[at : at + random.randint(0, 30)] = bytes(random.choices(b"abckz \n", k=random.randint(0, 30)))
        blobs.append(bytes(text))
    frames = [b"%d blob %d\n%b\n" % (n, len(blob), blob) for n, blob in enumerate(blobs)]
    plain, carried = Changed(matches, lambda *_: None, 10**9), Changed(matches, lambda *_: None, REACH)
    for one, other in zip(_windows(frames, chunk), _windows(frames, chunk), strict=True):
        assert _inside(*one, plain) == _inside(*other, carried)


def _windows(frames, chunk):
    stream = BlobStream(Joined(frames).readinto, chunk=chunk, margin=64)
    return ((bytes(window), list(pieces)) for window, pieces in stream.windows())


def _inside(window, pieces, changed):
    found = changed.candidates(memoryview(window), pieces)
    return [pair for pair in found for piece in pieces if piece.start < pair[0] <= piece.end]


@given(old=st.binary(max_size=60), new=st.binary(max_size=60), size=st.sampled_from([1, 400, 5000]))
def test_stretches_that_are_shared_are_the_same_bytes(old, new, size):
    """Each lies behind the one before in both blobs, and holds the same bytes in both."""
    filler = bytes(Random(size).choices(b"abc\n", k=size))
    old, new = filler + old + filler[::-1] + b"1" + filler, filler + new + filler[::-1] + b"2" + filler
    at = 0, 0
    for stretch in shared(old, new):
        assert old[stretch.old : stretch.old + stretch.size] == new[stretch.new : stretch.new + stretch.size]
        assert stretch.old >= at[0]
        assert stretch.new >= at[1]
        at = stretch.old + stretch.size, stretch.new + stretch.size


def test_several_changes_leave_what_lies_between_them_shared():
    """A file changed at its beginning, its end and twice between is compared on, not given up at the first change."""
    lines = [b"line %d of a long file\n" % number for number in range(4000)]
    old = b"".join(lines)
    lines[1500] = lines[2500] = b"changed\n"
    lines[3900] = b""
    new = b"".join(lines)

    assert sum(stretch.size for stretch in shared(old, new)) > 0.99 * len(new)


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

    assert [_found([blob]) for blob in blobs] == _each(_found(blobs), len(blobs))


def _found(blobs):
    frames = [b"%d blob %d\n%b\n" % (n, len(blob), blob) for n, blob in enumerate(blobs)]
    stream = BlobStream(Joined(frames).readinto, chunk=400_000, margin=MARGIN)
    scanner = Scanner(book(), PEPPER, lambda _uid, _value: ())
    found = [(int(hit.name), hit.rule, hit.offset, hit.uid) for hit in scanner.hits(stream)]
    return sorted(found) if len(blobs) > 1 else sorted(hit[1:] for hit in found)


def _each(found, total):
    return [sorted(hit[1:] for hit in found if hit[0] == number) for number in range(total)]


def test_shares_cover_everything_once():
    """No blob is left out, none is read twice."""
    for total in (0, 1, 399, 400, 401, 12_345):
        found = [number for share in shares(total, 3) for number in range(total)[share]]
        assert list(range(total)) == found


def test_blobs_stand_behind_what_they_are_stored_as_a_change_of():
    """Families stay together; a circle of bases, which only damage makes, loses no blob."""
    ids = [(b"a", b"0"), (b"b", b"d"), (b"c", b"0"), (b"d", b"a"), (b"x", b"y"), (b"y", b"x")]

    order = _by_family(ids)

    assert [b"a", b"d", b"b", b"c"] == order[:4]
    assert {b"x", b"y"} == set(order[4:])


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
    blobs = _units.Blobs
    monkeypatch.setattr(_units, "Blobs", lambda git, names, **more: ids.extend(names) or blobs(git, names, **more))

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
