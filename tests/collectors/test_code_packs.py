"""git's packs, read without git: what git's own program packed is unpacked to the same blobs, and damage is told."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tracemalloc
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.code import Code, _scan, _versions
from collectors.code._examples import example
from collectors.code._packs import Damaged, Pack, loose, packs
from collectors.code._versions import Versions
from toolkit.identity import Fingerprinter
from toolkit.model import Gap, Secret

PEPPER = Fingerprinter(b"p" * 32)
BLOBS = 240


def git(root: Path, *words: str, given: bytes | None = None) -> bytes:
    """What real git says."""
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, input=given).stdout


def token(seed: int) -> bytes:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed)).encode()


def stream(versions: int, files: int = 4) -> bytes:
    """Some files changed again and again; every twentieth commit brings a token, which stays for a while."""
    random = Random(5)
    texts = [[b"value_%d = line(%d)\n" % (random.randrange(10**6), n) for n in range(900)] for _ in range(files)]
    fed = []
    for number in range(versions):
        text = texts[number % files]
        at = random.randrange(len(text))
        text[at : at + random.randint(0, 3)] = [b"changed_%d = %d\n" % (number, random.randrange(10**6))]
        if number % 20 == 10:
            text[random.randrange(len(text))] = b"token = '%b'\n" % token(number)
        body = b"".join(text)
        fed.append(b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 1\nx\n" % (1_700_000_000 + number))
        fed.append(b"M 100644 inline f%d\ndata %d\n%b\n" % (number % files, len(body), body))
    return b"".join(fed)


def made(folder: Path, form: str = "sha1") -> Path:
    """A bare repository in one pack, with chains of changes."""
    subprocess.run(["git", "init", "-q", "--bare", f"--object-format={form}", folder], check=True)
    git(folder, "fast-import", "--quiet", given=stream(BLOBS))
    git(folder, "repack", "-adfq")
    return folder


@pytest.fixture(scope="module", params=["sha1", "sha256"])
def repo(request, tmp_path_factory):
    """With each kind of ids."""
    return made(tmp_path_factory.mktemp(request.param) / "r.git", request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """With ids of 20 bytes."""
    return made(tmp_path_factory.mktemp("plain") / "r.git")


def width(folder: Path) -> int:
    return 32 if "sha256" in (folder / "config").read_text() else 20


def told_by_git(folder: Path) -> set[bytes]:
    """Ids of all blobs, as git lists them."""
    words = ("cat-file", "--batch-all-objects", "--batch-check=%(objecttype) %(objectname)")
    return {line[5:] for line in git(folder, *words).splitlines() if line.startswith(b"blob ")}


def all_versions(folder: Path) -> list[_versions.Version]:
    found = [*packs([folder / "objects"], width(folder))]
    reader = Versions(found)
    read = [*reader.read([name for pack in found for name in pack.families()])]
    assert [] == reader.left
    return read


def test_every_blob_that_git_lists_is_unpacked_to_the_bytes_its_id_names(repo):
    """The id is the digest of the content, so nothing but the true content passes."""
    digest = hashlib.sha256 if width(repo) == 32 else hashlib.sha1

    read = {
        one.name: digest(b"blob %d\0" % len(one.data) + one.data).hexdigest().encode() for one in all_versions(repo)
    }

    assert told_by_git(repo) == set(read)
    assert all(name == value for name, value in read.items())


def test_stretches_are_bytes_of_the_base_which_stands_before(repo):
    """Most versions have most of their bytes from another, and say which."""
    seen: set[bytes] = set()
    shared = total = 0
    for version in all_versions(repo):
        for old, new, size in version.stretches:
            assert version.base.name in seen
            assert version.base.data[old : old + size] == version.data[new : new + size]
            shared += size
        total += len(version.data)
        seen.add(version.name)

    assert shared > 0.9 * total


def test_a_base_that_is_not_among_the_wanted_is_unpacked_for_its_children(plain):
    """A share of the work may begin in the middle of a family."""
    (pack,) = packs([plain / "objects"], 20)
    names = pack.families()
    for part in (names[1::2], names[::-1][:50]):
        reader = Versions([pack])
        read = {version.name: version.data for version in reader.read(part)}
        assert [] == reader.left
        assert set(part) == set(read)
        assert all(hashlib.sha1(b"blob %d\0" % len(d) + d).hexdigest().encode() == n for n, d in read.items())


def test_little_is_held_and_still_all_is_read(plain, monkeypatch):
    """Where more versions would be held than may be, they are unpacked again."""
    monkeypatch.setattr(_versions, "HELD", 1)

    assert told_by_git(plain) == {version.name for version in all_versions(plain)}


def test_what_is_large_is_left_to_git(plain, monkeypatch):
    """An object that says it is larger than what is unpacked here is not unpacked, and not lost."""
    monkeypatch.setattr(_versions, "LARGEST", 1000)
    (pack,) = packs([plain / "objects"], 20)
    reader = Versions([pack])

    assert [] == [*reader.read(pack.families())]
    assert told_by_git(plain) == set(reader.left)


def test_changes_that_name_their_base_by_its_id_are_read(plain, tmp_path):
    """git stores such ones where a fetch completed a thin pack (OBJ_REF_DELTA)."""
    target = tmp_path / "r.git"
    subprocess.run(["git", "init", "-q", "--bare", target], check=True)
    names = b"\n".join(told_by_git(plain)) + b"\n"
    packed = git(plain, "-c", "repack.useDeltaBaseOffset=false", "pack-objects", "--stdout", "-q", given=names)
    git(target, "index-pack", "--stdin", given=packed)
    (pack,) = packs([target / "objects"], 20)

    assert (pack.base != range(len(pack.base))).any()
    assert told_by_git(plain) == {version.name for version in all_versions(target)}


def read(folder: Path, **options: object) -> list:
    """Every row of the collector, in one process."""
    collector = Code(paths=(str(folder),), fingerprinter=PEPPER, cache=False, processes=1, **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def facts(rows: list) -> list[tuple]:
    """What is said of each secret."""
    return sorted((r.secret_uid, r.first_commit, r.last_commit, r.occurrences, r.paths, r.line, r.column) for r in rows if isinstance(r, Secret))  # fmt: skip


def test_packs_give_what_git_itself_gives(repo, monkeypatch):
    """The same rows as when every blob is read from `git cat-file`."""
    ours = read(repo)
    monkeypatch.setattr("collectors.code._listing.packs", _refusing)
    monkeypatch.setattr("collectors.code._units.packs", _refusing)

    assert BLOBS // 20 == len(facts(ours))
    assert sorted(map(repr, ours)) == sorted(map(repr, read(repo)))


def _refusing(*_given: object) -> None:
    raise Damaged("not today")


def copied(source: Path, folder: Path) -> tuple[Path, Path, Path]:
    """A copy with files that can be written, its pack and its index."""
    subprocess.run(["cp", "-r", source, folder], check=True)
    (pack,) = (folder / "objects" / "pack").glob("*.pack")
    for path in (pack, pack.with_suffix(".idx")):
        path.chmod(0o644)
    for other in pack.parent.glob("*.rev"):
        other.unlink()
    return folder, pack, pack.with_suffix(".idx")


def change(before: int, after: int, body: bytes) -> bytes:
    """A change that says what it begins and ends with."""
    numbers = b""
    for value in (before, after):
        while value > 127:
            numbers += bytes([128 | value & 127])
            value >>= 7
        numbers += bytes([value])
    return numbers + body


@settings(max_examples=300, deadline=None)
@given(old=st.binary(max_size=40) | st.just(b"abc" * 3000), after=st.integers(0, 9000), body=st.binary(max_size=40))
def test_any_bytes_as_a_change_are_applied_or_refused(old, after, body):
    """No bytes crash, or give stretches that are not those of the base."""
    for given_change in (body, change(len(old), after, body), change(len(old), len(old), b"\xb0" + len(old).to_bytes(2, "little") + body)):  # fmt: skip
        try:
            made_of_it = _versions._applied(old, given_change)
            stretches = _versions._stretches(given_change, len(old), len(made_of_it))
        except Damaged:
            continue
        for stretch in stretches:
            part = made_of_it[stretch.new : stretch.new + stretch.size]
            assert stretch.size == len(part)
            assert old[stretch.old : stretch.old + stretch.size] == part


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9), flips=st.integers(1, 6), of_index=st.booleans())
def test_a_damaged_pack_loses_nothing_that_git_can_read_and_says_so(plain, tmp_path_factory, seed, flips, of_index):
    """Whatever bytes are turned: each blob is read as its id says, or left to git, which reads it or cannot."""
    random = Random(seed)
    _, pack, index = copied(plain, tmp_path_factory.mktemp("damaged") / "r.git")
    path = index if of_index else pack
    content = bytearray(path.read_bytes())
    for _ in range(flips):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)

    try:
        found = [Pack(pack, 20)]
    except Damaged:
        return
    reader = Versions(found)
    names = found[0].families()
    good = {v.name for v in reader.read(names) if hashlib.sha1(b"blob %d\0" % len(v.data) + v.data).hexdigest() == v.name.decode()}  # fmt: skip
    wrong = set(names) - good - set(reader.left)

    # A turned bit in the index may be one in an id, which git does not look at either (git fsck does).
    assert len(wrong) <= (flips if of_index else 0)


def test_a_damaged_object_is_a_gap_and_the_rest_is_scanned(plain, tmp_path):
    """The blob and what is stored as a change of it are told as gaps; all others are read."""
    folder, path, _ = copied(plain, tmp_path / "r.git")
    pack = Pack(path, 20)
    entry = int((pack.kind == 3).nonzero()[0][-1])
    content = bytearray(path.read_bytes())
    content[int(pack.body[entry]) + 4] ^= 0xFF
    path.write_bytes(content)

    rows = read(folder)

    damaged = [row for row in rows if isinstance(row, Gap) and "git cannot read this object" in row.reason]
    assert 1 <= len(damaged) < BLOBS / 2
    assert len(facts(rows)) >= BLOBS // 20 - len(damaged)


@pytest.mark.parametrize("name", ["pack", "idx"])
def test_a_pack_that_is_a_link_or_a_fifo_is_left_to_git(plain, tmp_path, name):
    """It is not followed, and not waited for."""
    folder, pack, _ = copied(plain, tmp_path / "r.git")
    path = pack.with_suffix(f".{name}")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Pack(pack, 20)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises((Damaged, OSError)):
        Pack(pack, 20)
    assert [] == loose([folder / "objects"])


def test_many_small_blobs_take_little_more_memory_than_their_names(tmp_path):
    """A million files of a line each are no gigabyte of objects: ids stay in arrays, and few versions are held at once."""
    total = 20_000
    blobs = b"".join(b"blob\ndata %d\n%d\n\n" % (len(str(n)) + 1, n) for n in range(total))
    git(tmp_path, "init", "-q", "--bare")
    git(tmp_path, "fast-import", "--quiet", given=blobs)
    found = [*packs([tmp_path / "objects"], 20)]

    tracemalloc.start()
    try:
        names = [name for pack in found for name in pack.families()]
        for _ in Versions(found).read(names):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(names) == total
    assert peak / total < 300


def test_versions_that_are_scanned_together_are_bounded_in_number_as_in_bytes():
    """Each is an object, which is larger than most lines."""
    small = (_versions.Version(b"%d" % n, b"", None, ()) for n in range(100_000))

    assert max(map(len, _scan._batches(small))) < 30_000
