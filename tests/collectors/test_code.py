"""Secrets and keys in code: real git repositories, honest, damaged and hostile."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from collectors.code import Code
from collectors.code._examples import example
from toolkit.errors import ConfigError, SourceBroken
from toolkit.identity import Fingerprinter
from toolkit.model import Certificate, Gap, Key, Secret
from toolkit.terms import GapScope, GapStatus, KeyType, Severity
from toolkit.testing import CollectorContract

PEPPER = Fingerprinter(b"p" * 32)


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


class Repo:
    """A real repository, one second a commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_700_000_000
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str, **more) -> str:
        """git with a user and a clock of the test's."""
        when = {"GIT_AUTHOR_DATE": f"{self.now} +0000", "GIT_COMMITTER_DATE": f"{self.now} +0000"}
        who = {f"GIT_{role}_{part}": "ann" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **when, **who}
        ran = subprocess.run(["git", *words], cwd=self.folder, env=env, check=True, capture_output=True, **more)
        return ran.stdout.decode().strip()

    def commit(self, **files: str) -> str:
        """Write the files (`a__py` is `a.py`), commit them, and say the commit's id."""
        self.now += 60
        for name, text in files.items():
            (self.folder / name.replace("__", ".")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path) -> Repo:
    return Repo(tmp_path / "repo")


def read(*paths: Path, **options) -> list:
    """Every row of the paths."""
    collector = Code(paths=tuple(map(str, paths)), fingerprinter=PEPPER, **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def of(kind: type, rows: list) -> list:
    return [row for row in rows if isinstance(row, kind)]


def new_key(folder: Path, *, passphrase: str = "") -> str:
    """An Ed25519 key made by ssh-keygen."""
    path = folder / "made_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", path], check=True)
    text = path.read_text()
    path.unlink()
    path.with_suffix(".pub").unlink()
    return text


class TestContract(CollectorContract):
    """What every collector keeps."""

    def collector(self, tmp_path):
        folder = tmp_path / "repo"
        if not folder.exists():
            repo = Repo(folder)
            repo.commit(a__py=f"T = '{token(1)}'\n", key=new_key(tmp_path), sealed=new_key(tmp_path, passphrase="pw"))
            repo.commit(a__py="T = None\n")
        return Code(paths=(str(folder),), fingerprinter=PEPPER)


def test_a_removed_secret_says_who_brought_it_and_which_commit_last_held_it(repo):
    """History is attributed to commits: first, last, author, place."""
    first = repo.commit(a__py=f"# hi\nT = '{token(1)}'\n")
    last = repo.commit(b__py="b\n")
    repo.commit(a__py="T = None\n")

    (row,) = of(Secret, read(repo.folder))

    assert (first, last, "ann <ann>") == (row.first_commit, row.last_commit, row.first_author)
    assert datetime.fromtimestamp(1_700_000_060, UTC) == row.first_seen_at
    assert datetime.fromtimestamp(1_700_000_120, UTC) == row.last_seen_at
    assert ("a.py", 2, 6, False) == (row.path, row.line, row.column, row.is_current)
    assert f"{row.target}?commit={first}#a.py:2" == row.locator
    assert PEPPER.uid(token(1).encode()) == row.secret_uid


def test_the_same_secret_in_many_places_is_one_row(repo):
    """Occurrences are counted, not repeated."""
    repo.commit(a__py=token(1), b__py=f"x {token(1)}")
    head = repo.commit(a__py=f"{token(1)}\nmore\n")

    (row,) = of(Secret, read(repo.folder))

    assert (3, True, head) == (row.occurrences, row.is_current, row.last_commit)


def test_branches_merges_and_dangling_blobs_are_read(repo):
    """What no commit holds is still in the object store, and is told without a commit."""
    repo.commit(a__py="a\n")
    repo.git("checkout", "-q", "-b", "side")
    side = repo.commit(s__py=token(1))
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--no-ff", "--no-commit", "side")
    merge = repo.commit(evil__py=token(2))
    repo.git("hash-object", "-w", "--stdin", input=token(3).encode())

    rows = {row.secret_uid: row for row in of(Secret, read(repo.folder))}

    firsts = [rows[PEPPER.uid(token(seed).encode())].first_commit for seed in (1, 2, 3)]
    assert [side, merge, None] == firsts


def test_uncommitted_files_are_read_and_ignored_ones_only_pass_when_asked(repo):
    """Local secrets often lie just where `.gitignore` points; who wants them left out says so."""
    repo.commit(__gitignore="local\n", a__py="a\n")
    (repo.folder / "new.py").write_text(token(1))
    (repo.folder / "local").write_text(token(2))

    both, (row,) = of(Secret, read(repo.folder)), of(Secret, read(repo.folder, gitignore=True))

    assert {"new.py", "local"} == {each.path for each in both}
    assert ("new.py", None, True, 1) == (row.path, row.first_commit, row.is_current, row.occurrences)


def test_history_false_reads_the_files_only(repo):
    """Without history, what lies there now is still told."""
    repo.commit(a__py=token(1), b__py=token(2))
    repo.commit(a__py="gone\n")

    assert ["b.py"] == [row.path for row in of(Secret, read(repo.folder, history=False))]


def test_private_keys_become_keys_with_their_history(repo, tmp_path):
    """A PEM block is a Key row by its public half, and a Secret that points at it."""
    repo.commit(id=new_key(tmp_path))
    repo.commit(id="gone\n")

    rows = read(repo.folder)

    (secret,) = of(Secret, rows)
    (key,) = [row for row in of(Key, rows) if row.key_type is KeyType.PRIVATE_KEY]
    assert key.key_uid.startswith("spki:")
    assert (key.key_uid, "private-key") == (secret.key_uid, secret.rule)
    assert (True, False, "id", secret.first_seen_at) == (key.is_exposed, key.is_current, key.label, key.first_seen_at)


def test_a_sealed_private_key_matters_less_and_says_so(repo, tmp_path):
    """A passphrase stands between the thief and the key."""
    repo.commit(id=new_key(tmp_path, passphrase="pw"))

    (secret,) = of(Secret, read(repo.folder))

    assert Severity.MODERATE == secret.severity
    assert "encrypted" in secret.reasons


def test_certificates_and_keys_in_source_strings_are_read(repo, tmp_path):
    """Escaped line ends and quotes around the lines do not hide a key."""
    subject = ("-subj", "/CN=x", "-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c"))
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run(words, check=True, capture_output=True)
    escaped = (tmp_path / "k").read_text().replace("\n", "\\n")
    repo.commit(k__py=f'KEY = "{escaped}"\n', c__pem=(tmp_path / "c").read_text())

    rows = read(repo.folder)

    (certificate,) = of(Certificate, rows)
    assert "CN=x" == certificate.subject
    assert {certificate.key_uid} == {row.key_uid for row in of(Key, rows)}
    assert ["private-key"] == [row.rule for row in of(Secret, rows)]


def test_plain_folders_and_single_files_are_read(tmp_path):
    """No repository, no history; a repository inside is named, not read."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text(f"\n{token(1)}")
    Repo(tmp_path / "inner").commit(a__py=token(2))
    (tmp_path / "link").symlink_to("/etc")

    rows = read(tmp_path)

    (row,) = of(Secret, rows)
    (gap,) = of(Gap, rows)
    assert ((tmp_path / "sub" / "a.txt").as_uri() + "#2", "sub/a.txt") == (row.locator, row.path)
    assert (f"{tmp_path.as_uri()}/inner", GapStatus.NOT_ASKED) == (gap.locator, gap.status)
    assert 1 == len(of(Secret, read(tmp_path / "sub" / "a.txt")))


def test_links_in_a_work_tree_lead_nowhere(repo, tmp_path):
    """A planted link to a file or folder outside is not followed."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.py").write_text(token(1))
    repo.commit(a__py="a\n")
    (repo.folder / "d").mkdir()
    (repo.folder / "d" / "a.py").write_text("x")
    repo.commit()
    (repo.folder / "d" / "a.py").unlink()
    (repo.folder / "d").rmdir()
    (repo.folder / "d").symlink_to(tmp_path / "outside")
    (repo.folder / "f").symlink_to(tmp_path / "outside" / "a.py")

    assert [] == of(Secret, read(repo.folder))


@pytest.mark.parametrize(
    "config",
    [
        "[core]\n\tfsmonitor = {payload}\n",
        "[core]\n\thooksPath = {hooks}\n",
        "[core]\n\tpager = {payload}\n[pager]\n\tlog = {payload}\n",
        "[filter \"x\"]\n\tclean = {payload}\n\tsmudge = {payload}\n\tprocess = {payload}\n\trequired = true\n",
        "[diff \"x\"]\n\ttextconv = {payload}\n\tcommand = {payload}\n[diff]\n\texternal = {payload}\n",
        "[log]\n\tshowSignature = true\n[gpg]\n\tprogram = {payload}\n",
        "[include]\n\tpath = {included}\n",
        "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tpartialClone = o\n[core]\n\tsshCommand = {payload}\n",
        "[extensions]\n\tpartialClone = o\n[remote \"o\"]\n\turl = ext::{payload}\n\tpromisor = true\n[protocol \"ext\"]\n\tallow = always\n",
        "[alias]\n\tlog = !{payload}\n\tcat-file = !{payload}\n[uploadpack]\n\tpackObjectsHook = {payload}\n",
    ],
)  # fmt: skip
def test_a_hostile_repository_runs_nothing(repo, tmp_path, config):
    """Whatever the repository's config asks for, no program of it starts; and it is read all the same."""
    marker, payload, hooks = tmp_path / "ran", tmp_path / "payload", tmp_path / "hooks"
    payload.write_text(f"#!/bin/sh\ntouch {marker}\n")
    payload.chmod(0o755)
    hooks.mkdir()
    for hook in ("post-index-change", "reference-transaction", "fsmonitor-watchman", "post-checkout"):
        (hooks / hook).symlink_to(payload)
        (repo.folder / ".git" / "hooks" / hook).unlink(missing_ok=True)
    (tmp_path / "included").write_text(f"[core]\n\tfsmonitor = {payload}\n\tpager = {payload}\n")
    blob = repo.commit(__gitattributes="* filter=x diff=x\n", a__py=token(1)) and repo.git("hash-object", "a.py")
    other = repo.commit(a__py="missing\n") and repo.git("hash-object", "a.py")
    (repo.folder / ".git" / "objects" / other[:2] / other[2:]).unlink()
    for hook in hooks.iterdir():
        (repo.folder / ".git" / "hooks" / hook.name).symlink_to(payload)
    text = config.format(payload=payload, hooks=hooks, included=tmp_path / "included")
    with (repo.folder / ".git" / "config").open("a") as file:
        file.write(text)
    before = sorted(path for path in (repo.folder / ".git").rglob("*"))

    rows = read(repo.folder)

    assert not marker.exists()
    assert blob
    assert ["a.py"] == [row.path for row in of(Secret, rows)]
    assert before == sorted(path for path in (repo.folder / ".git").rglob("*"))


def test_the_payload_would_run_under_an_ordinary_git(repo, tmp_path):
    """The test above can fail: plain `git status` starts what the config names."""
    payload = tmp_path / "payload"
    payload.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    payload.chmod(0o755)
    repo.commit(a__py="a\n")
    repo.git("config", "core.fsmonitor", str(payload))

    repo.git("status")

    assert (tmp_path / "ran").exists()


def test_a_shallow_clone_says_that_older_commits_are_missing(repo, tmp_path):
    """First sightings of a shallow clone are upper bounds, and a Gap says so."""
    repo.commit(a__py=token(1))
    repo.commit(b__py="b\n")
    repo.git("clone", "-q", "--depth", "1", repo.folder.as_uri(), str(tmp_path / "clone"))

    rows = read(tmp_path / "clone")

    (gap,) = of(Gap, rows)
    assert (GapScope.FIELD, "first_seen_at") == (gap.scope, gap.field)
    assert ["a.py"] == [row.path for row in of(Secret, rows)]


def test_a_damaged_object_is_a_gap_and_the_rest_is_read(repo):
    """One broken blob takes away nothing but itself."""
    repo.commit(a__py=token(1), b__py="broken\n" * 99, c__py=token(2))
    broken = repo.git("hash-object", "b.py")
    path = repo.folder / ".git" / "objects" / broken[:2] / broken[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:20])
    for name in ("a.py", "b.py", "c.py"):
        (repo.folder / name).unlink()

    rows = read(repo.folder)

    assert [f"git://{repo.folder}?blob={broken}"] == [gap.locator for gap in of(Gap, rows)]
    assert {"a.py", "c.py"} == {row.path for row in of(Secret, rows)}


def test_bare_repositories_and_linked_worktrees_are_repositories(repo, tmp_path):
    """A `.git` file leads to the shared objects; a bare repository has no files."""
    repo.commit(a__py=token(1))
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
    repo.git("clone", "-q", "--bare", str(repo.folder), str(tmp_path / "bare"))

    for folder in ("linked", "bare"):
        (row,) = of(Secret, read(tmp_path / folder))
        assert (f"git://{tmp_path / folder}", True, "a.py") == (row.target, row.is_current, row.path)


def test_packed_repositories_give_what_loose_ones_give(repo):
    """Storage is no matter."""
    repo.commit(a__py=token(1), b__py="b\n" * 50)
    repo.commit(a__py=f"{token(1)}\n{token(2)}\n")
    loose = read(repo.folder)
    repo.git("gc", "-q")

    assert sorted(map(repr, loose)) == sorted(map(repr, read(repo.folder)))


def test_blobs_larger_than_the_buffer_give_the_same_rows(repo, tmp_path):
    """A blob read in pieces says the same lines, columns and keys as one read whole."""
    filler = "line\n" * 40_000
    repo.commit(a__py=f"{filler}T = '{token(1)}'\n{filler}{new_key(tmp_path)}{filler}", b__py=token(2))
    whole = Code(paths=(str(repo.folder),), fingerprinter=PEPPER)
    pieces = Code(paths=(str(repo.folder),), fingerprinter=PEPPER)
    pieces.chunk = 1024
    (target,) = whole.targets()

    rows = list(whole.collect(target))

    assert (40_001, 6) in {(row.line, row.column) for row in of(Secret, rows)}
    assert rows == list(pieces.collect(target))


def test_empty_repositories_are_read(repo):
    """No commit, no secret, no complaint."""
    assert [] == read(repo.folder)


def test_a_path_that_is_not_there_is_a_target_that_fails(tmp_path):
    """Absence is an error of that target, not of the run; the advice is true however the path was given."""
    with pytest.raises(SourceBroken, match="is not there") as failed:
        read(tmp_path / "nowhere")
    assert "give a path that exists" == failed.value.advice


def test_without_git_the_reading_fails_with_advice(repo, monkeypatch):
    """Installing git is the next thing to do."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SourceBroken, match="install git"):
        read(repo.folder)


def test_without_hyperscan_the_extra_is_named(monkeypatch):
    """The engine is an extra."""
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    with pytest.raises(ConfigError, match=r"pip install 'keyatlas\[code\]'"):
        Code()


def test_no_row_shows_a_value(repo, tmp_path):
    """Values leave as fingerprints only."""
    key = new_key(tmp_path)
    repo.commit(a__py=token(1), id=key)

    told = repr(read(repo.folder))

    assert token(1)[8:] not in told
    assert key.splitlines()[2] not in told
