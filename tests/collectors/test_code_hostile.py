"""Repositories made to hang, blind or lose the reader: each keeps its findings, or says in a Gap what it took away."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from random import Random

import pytest

from collectors.code import Code, _git
from collectors.code._examples import example
from toolkit.model import Gap, Row, Secret


def git(root: Path, *words: str, given: bytes | None = None) -> str:
    """What real git says."""
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, input=given).stdout.decode()


def token(seed: int = 1) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def read(path: str | os.PathLike[str], **options: bool) -> list[Row]:
    """Every row of the path."""
    collector = Code(paths=(os.fspath(path),), **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def secrets(rows: list[Row]) -> list[Secret]:
    """The secrets among the rows."""
    return [row for row in rows if isinstance(row, Secret)]


@pytest.fixture
def repo(tmp_path):
    """One commit that holds one token."""
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q")
    (root / "a.txt").write_text(f"x={token()}\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "1")
    return root


@pytest.mark.parametrize("name", ["HEAD", "refs/heads/pipe"])
def test_a_fifo_among_the_refs_does_not_hold_the_reader(repo, name):
    """Opening a FIFO waits for a writer that never comes."""
    (repo / ".git" / name).unlink(missing_ok=True)
    os.mkfifo(repo / ".git" / name)

    assert [token()[:4]] == [row.preview[:4] for row in secrets(read(repo))]


@pytest.mark.parametrize("name", [".gitignore", ".git/objects/aa/" + "b" * 38])
def test_where_git_hangs_it_is_ended_and_a_gap_says_so(repo, name, monkeypatch):
    """git opens what it finds; a FIFO there would hold a nightly job for ever."""
    monkeypatch.setattr(_git, "PATIENCE", 0.5)
    (repo / name).parent.mkdir(exist_ok=True)
    os.mkfifo(repo / name)

    rows = read(repo, gitignore=True)

    assert 1 == len(secrets(rows))
    assert any("git hangs" in row.reason for row in rows if isinstance(row, Gap))


def test_a_ref_to_nothing_takes_no_commit_away(repo):
    """One broken ref is a Gap; the others still say who brought what."""
    (repo / ".git/refs/heads/broken").write_text("1" * 40 + "\n")

    rows = read(repo)

    assert git(repo, "rev-parse", "HEAD").strip() == secrets(rows)[0].first_commit
    assert ["a ref names it, but it is not there"] == [row.reason for row in rows if isinstance(row, Gap)]


@pytest.mark.parametrize("what", ["HEAD:a.txt", "HEAD^{tree}"])
def test_a_head_that_is_no_commit_is_no_head(repo, what):
    """Then nothing is checked out, and the rest is read."""
    named = git(repo, "rev-parse", what)
    (repo / ".git/HEAD").write_text(named)

    assert [True] == [row.is_current for row in secrets(read(repo))]


@pytest.mark.parametrize("committer", ["", "committer n <a@b> soon\n", "committer n <a@b> -5 +0000\n"])
def test_a_commit_without_a_date_keeps_its_findings(repo, committer):
    """Whoever makes a commit may write anything as its date; what cannot be read is unknown."""
    tree = git(repo, "rev-parse", "HEAD^{tree}").strip()
    body = f"tree {tree}\nauthor n <a@b> 1700000000 +0000\n{committer}\nm\n".encode()
    made = git(repo, "hash-object", "-t", "commit", "-w", "--literally", "--stdin", given=body)
    (repo / ".git/refs/heads/main").write_text(made)

    (found,) = secrets(read(repo))

    assert (made.strip(), None) == (found.first_commit, found.first_seen_at)


@pytest.mark.parametrize("command", [("commit-graph", "write", "--reachable"), ("multi-pack-index", "write")])
def test_a_forged_cache_hides_nothing(repo, command):
    """git's own caches of commits and packs are not believed."""
    git(repo, "repack", "-adq")
    git(repo, *command)
    places = [*(repo / ".git/objects").rglob("commit-graph*"), *(repo / ".git/objects").rglob("multi-pack-index")]
    cache = next(path for path in places if path.is_file())
    cache.chmod(0o600)
    data = cache.read_bytes()
    cache.write_bytes(data[:200] + bytes(byte ^ 0x5A for byte in data[200:-24]) + data[-24:])

    (found,) = secrets(read(repo))

    assert git(
        repo, "-c", "core.commitGraph=false", "-c", "core.multiPackIndex=false", "rev-parse", "HEAD"
    ).strip() == (found.first_commit)


def test_a_program_called_git_in_the_repository_is_not_run(repo, tmp_path, monkeypatch):
    """With `.` on the PATH, `git` would be the repository's own."""
    planted = repo / "git"
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    planted.chmod(0o700)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    monkeypatch.chdir(repo)

    rows = read(repo)

    assert (1, False) == (len(secrets(rows)), (tmp_path / "ran").exists())


def test_names_that_are_not_utf8_are_read_and_told_in_text(tmp_path):
    """Folders and files are bytes; rows are text."""
    root = os.fsdecode(os.fsencode(tmp_path) + b"/r\xff")
    Path(root).mkdir()
    git(Path(root), "init", "-q")
    Path(root, os.fsdecode(b"\xe9\n.txt")).write_text(token())
    Path(root, os.fsdecode(b"locked\xe9")).mkdir()

    rows = read(root)

    assert 1 == len(secrets(rows))
    assert repr(rows).encode()


@pytest.mark.parametrize(
    "text", ["xAKIA" + "Z2B7C3D4E5F6G7H2 ", "-----BEGIN " + "PRIVATE KEY-----\n", "a://b:cccccccc@ "]
)
def test_a_storm_of_false_candidates_costs_no_more_than_seconds(tmp_path, text):
    """A megabyte that is all candidates and no secret once cost up to 49 s."""
    (tmp_path / "storm").write_text(text * ((1 << 18) // len(text)))
    started = time.perf_counter()

    rows = read(tmp_path)

    assert [] == secrets(rows)
    assert time.perf_counter() - started < 5
