"""Packs that lie: written byte by byte, since git's own program makes none such."""

from __future__ import annotations

import hashlib
import subprocess
import tracemalloc
import zlib
from random import Random

import pytest

from collectors.code import Code, _git, _packs, _versions
from collectors.code._book import book
from collectors.code._changed import find
from collectors.code._engine import Engine
from collectors.code._examples import example
from collectors.code._packs import Damaged, Pack, packs
from collectors.code._versions import Version, Versions
from toolkit.model import Gap, Secret

GOOD = 120
"""Blobs beside the lie: enough that packs are looked through."""


def number(value: int, first: int) -> bytes:
    """As heads of entries write sizes: `first` bits in the first byte."""
    told = bytearray([value & ((1 << first) - 1)])
    while value := value >> (first if len(told) == 1 else 7):
        told[-1] |= 128
        told.append(value & 127)
    return bytes(told)


def token() -> bytes:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(3)).encode()


def name_of(data: bytes) -> bytes:
    """A blob's raw id."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).digest()


class Liar:
    """Writes a repository of one pack; one blob has a token."""

    def __init__(self, folder) -> None:
        self.folder, self.rows = folder, []
        self.content = bytearray(b"PACK\0\0\0\2\0\0\0\0")
        for at in range(GOOD):
            text = b"x = '%b'\n" % token() if at == 60 else b"blob %d\n" % at
            self.add(name_of(text), 3, text)

    def add(self, name: bytes, kind: int, body: bytes, *, size: int | None = None, base: bytes | int = b"") -> int:
        """One entry, by its place."""
        at = len(self.content)
        head = bytearray(number(len(body) if size is None else size, 4))
        head[0] |= kind << 4
        if isinstance(base, int):
            back = at - base
            told = bytearray([back & 127])
            while back := back >> 7:
                back -= 1
                told.insert(0, 128 | back & 127)
            base = bytes(told)
        self.content += head + base + zlib.compress(body)
        self.rows.append((name, at))
        return at

    def save(self, *, behind: bytes = b"", far: bool = False) -> Pack:
        """The pack, read."""
        subprocess.run(["git", "init", "-q", "--bare", self.folder], check=True)
        path = self.folder / "objects" / "pack" / "pack-a.pack"
        self.content[8:12] = len(self.rows).to_bytes(4, "big")
        self.content += hashlib.sha1(self.content).digest()
        path.write_bytes(self.content)
        rows = sorted(self.rows)
        fanout = b"".join(sum(name[0] <= byte for name, _ in rows).to_bytes(4, "big") for byte in range(256))
        index = b"\xfftOc\0\0\0\2" + fanout + b"".join(name for name, _ in rows) + bytes(4 * len(rows))
        index += b"".join((0x80000000 | n if far else at).to_bytes(4, "big") for n, (_, at) in enumerate(rows))
        index += b"".join(at.to_bytes(8, "big") for _, at in rows) * far + behind + self.content[-20:]
        path.with_suffix(".idx").write_bytes(index + hashlib.sha1(index).digest())
        return Pack(path, 20)


@pytest.fixture
def liar(tmp_path):
    """With good blobs only, so far."""
    return Liar(tmp_path / "r.git")


def change(before: int, after: int, body: bytes) -> bytes:
    """A change that says what it begins and ends with."""
    return number(before, 7) + number(after, 7) + body


def read(folder) -> tuple[int, list[str]]:
    """How many secrets, and the reasons of the gaps."""
    collector = Code(paths=(str(folder),), cache=False, processes=1)
    rows = [row for target in collector.targets() for row in collector.collect(target)]
    return sum(isinstance(row, Secret) for row in rows), [row.reason for row in rows if isinstance(row, Gap)]


@pytest.mark.parametrize("size", [2**64 - 1, 2**64 - 5, 2**63, 2**68])
def test_a_size_that_fits_no_number_costs_one_object(liar, size):
    """One below zero took all limits from what is unpacked, or ended the target."""
    liar.add(name_of(b"lie"), 3, bytes(100), size=size)
    pack = liar.save()

    assert [name_of(b"lie").hex().encode()] == pack.untold()
    assert (1, ["git cannot read this object"]) == read(liar.folder)


def test_changes_that_go_round_in_a_circle_are_told_and_git_is_not_asked(liar, monkeypatch):
    """git follows them until memory ends; none of them hides the rest."""
    monkeypatch.setattr(_git, "PATIENCE", 5.0)
    names = [name_of(b"%d" % n) for n in range(3)]
    for name, base in zip(names, (names[1], names[2], names[1]), strict=True):
        liar.add(name, 7, change(5, 5, b"\x05abcde"), base=base)
    pack = liar.save()

    assert sorted(name.hex().encode() for name in names) == sorted(pack.circular())
    assert [] == pack.untold()
    assert (1, ["git cannot read this object"] * 3) == read(liar.folder)


def test_a_git_that_takes_all_memory_is_ended(liar, monkeypatch):
    """Where git must be asked all the same, its memory has a bound."""
    monkeypatch.setattr(_git, "_MEMORY", 64 << 20)
    name = name_of(b"me")
    liar.add(name, 7, change(5, 5, b"\x05abcde"), base=name_of(b"you"))
    liar.add(name_of(b"you"), 7, change(5, 5, b"\x05abcde"), base=name)
    liar.save()
    monkeypatch.setattr("collectors.code._listing.packs", _refusing)

    assert "git could not list all objects" in read(liar.folder)[1]


def _refusing(*_given: object) -> None:
    raise Damaged("not today")


def test_a_chain_longer_than_git_makes_is_read_to_its_end(liar):
    """Also where a share of the work begins at its end."""
    wanted = []
    at = liar.add(name_of(b"%05d" % 0), 3, b"%05d" % 0)
    for n in range(1, 9_000):
        at = liar.add(name_of(b"%05d" % n), 6, change(5, 5, b"\x05%05d" % n), base=at)
        wanted.append(name_of(b"%05d" % n).hex().encode())
    pack = liar.save()

    reader = Versions([pack])
    assert [b"08999"] == [version.data for version in reader.read(wanted[-1:])]
    assert [] == pack.untold() == reader.left


def test_a_base_that_nobody_wanted_is_made_once_for_all_its_changes(liar, monkeypatch):
    """Or a long chain with many changes of its last version would be walked along for each."""
    at = liar.add(name_of(b"00000"), 3, b"00000")
    for n in range(1, 50):
        at = liar.add(name_of(b"%05d" % n), 6, change(5, 5, b"\x05%05d" % n), base=at)
    wanted = [b"%05d" % n for n in range(100, 130)]
    for data in wanted:
        liar.add(name_of(data), 6, change(5, 5, b"\x05" + data), base=at)
    pack = liar.save()
    counted, real = [], _versions._inflated
    monkeypatch.setattr(_versions, "_inflated", lambda *given: counted.append(1) or real(*given))

    told = [*Versions([pack]).read([name_of(data).hex().encode() for data in wanted])]

    assert wanted == [version.data for version in told]
    assert all(version.base is None for version in told)
    assert 50 + len(wanted) == len(counted)


def test_a_broken_change_is_found_out_once_for_all_that_come_from_it(liar, monkeypatch):
    """The ids of all are left to git."""
    at = liar.add(name_of(b"00000"), 3, b"00000")
    for n in range(1, 50):
        at = liar.add(name_of(b"%05d" % n), 6, change(5 + (n == 40), 5, b"\x05%05d" % n), base=at)
    wanted = [b"%05d" % n for n in range(100, 130)]
    for data in wanted:
        liar.add(name_of(data), 6, change(5, 5, b"\x05" + data), base=at)
    reader = Versions([liar.save()])
    counted, real = [], _versions._inflated
    monkeypatch.setattr(_versions, "_inflated", lambda *given: counted.append(1) or real(*given))

    assert [] == [*reader.read([name_of(data).hex().encode() for data in wanted])]
    assert len(wanted) == len(reader.left)
    assert 41 + len(wanted) == len(counted)


def test_a_walk_along_a_chain_holds_one_change_at_a_time(liar):
    """Changes of a megabyte each are a few kilobytes as they are packed."""
    body = (b"\x7f" + b"a" * 127) * 8_000
    at, before = liar.add(name_of(b"0"), 3, b"0"), 1
    for n in range(1, 30):
        at = liar.add(name_of(b"%d" % n), 6, change(before, 127 * 8_000, body), base=at)
        before = 127 * 8_000
    liar.add(name_of(b"last"), 6, change(before, before, b"\xb0\xff\xff"), base=at)
    reader = Versions([liar.save()])

    tracemalloc.start()
    told = [*reader.read([name_of(b"29").hex().encode()])]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert 1 == len(told)
    assert peak < 10 << 20


def test_of_an_entry_no_more_is_read_than_its_size_can_need(liar):
    """A hole behind a small entry, or one that is too large to be unpacked, is not brought into memory."""
    liar.add(name_of(b"small"), 3, b"small")
    liar.content += bytes(40 << 20)
    pack = liar.save()

    tracemalloc.start()
    reader = Versions([pack])
    told = [version.data for version in reader.read([name_of(b"small").hex().encode()])]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [b"small"] == told
    assert peak < 1 << 20


def test_an_index_with_odd_bytes_behind_it_is_read(liar):
    """The table of far places has no length of its own."""
    assert GOOD == len(liar.save(behind=b"odd", far=True).families())


def test_an_index_that_says_more_than_memory_holds_is_refused(liar):
    """A file with holes is as long as it likes to be."""
    pack = liar.save()
    path = liar.folder / "objects" / "pack" / "pack-a.pack"
    total = (1 << 31).to_bytes(4, "big")
    path.write_bytes(b"PACK\0\0\0\2" + total)
    with path.with_suffix(".idx").open("r+b") as index:
        index.seek(8 + 255 * 4)
        index.write(total)
        index.truncate(60 << 30)

    with pytest.raises(Damaged):
        Pack(path, 20)
    assert len(pack.start) == GOOD


def test_so_many_packs_that_no_file_could_be_opened_are_left_to_git(liar, monkeypatch):
    """A process has files for a thousand packs, and none for a pipe then."""
    monkeypatch.setattr(_packs, "_OPEN", 0)
    liar.save()

    with pytest.raises(Damaged):
        [*packs([liar.folder / "objects"], 20)]
    assert (1, []) == read(liar.folder)


@pytest.mark.parametrize("config", ["# {}\n" * 2_000 + "[extensions]\nobjectformat = sha256\n", '[extensions] objectFormat = "sha256" # {}\n'])  # fmt: skip
def test_the_object_format_is_found_wherever_it_stands(tmp_path, config):
    """Ids of another width than the packs' ended the target."""
    folder = tmp_path / "r.git"
    subprocess.run(["git", "init", "-q", "--bare", "--object-format=sha256", folder], check=True)
    for at in range(GOOD):
        text = b"x = '%b'\n" % token() if at == 60 else b"blob %d\n" % at
        subprocess.run(["git", "hash-object", "-w", "--stdin"], cwd=folder, input=text, check=True, capture_output=True)
    (folder / "config").write_text("[core]\nrepositoryformatversion = 1\nbare = true\n" + config)

    assert 32 == _git.locate(folder).width
    assert (1, []) == read(folder)


def test_what_is_found_at_the_end_of_a_version_does_not_depend_on_the_next():
    """The surroundings of what a version begins with do not reach into the one before it."""
    run = b"Ab1cdEfg-" * 60 + b"sq0csp-" + b"SmhInmzqVy9a1EKZsjsXTK8n8bQkxaGUCQ8qZZ5uP7s"
    engine, reach = Engine(book()), book().reach
    found = []
    for behind in ([], [Version(b"b", b"k = x9abcdefgh\n", None, ())]):
        version = Version(b"a", run, None, ())
        find([version, *behind], engine.candidates, reach)
        found.append(version.candidates)

    assert found[0] == found[1]
