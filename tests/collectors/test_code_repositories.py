"""Repositories of every shape that git makes: what lies elsewhere, under two names, or only as a pointer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

import pytest

from collectors.code import Code
from collectors.code._examples import example
from toolkit.identity import Fingerprinter
from toolkit.model import Gap, Secret

PEPPER = Fingerprinter(b"p" * 32)
WHO = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always")  # fmt: skip


def git(root: Path, *words: str, given: bytes | None = None) -> str:
    """What real git says."""
    return subprocess.run(["git", *WHO, *words], cwd=root, check=True, capture_output=True, input=given).stdout.decode()


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def uid(seed: int) -> str:
    """By which a row names it."""
    return PEPPER.uid(token(seed).encode())


def read(folder: Path, **options: bool) -> list:
    """Every row."""
    collector = Code(paths=(str(folder),), fingerprinter=PEPPER, cache=False, **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def secrets(folder: Path, **options: bool) -> dict[str, Secret]:
    """Its secrets, by uid."""
    return {row.secret_uid: row for row in read(folder, **options) if isinstance(row, Secret)}


def committed(root: Path, files: dict[str, str]) -> Path:
    """One commit more, which brings these files."""
    if not root.exists():
        root.mkdir()
        git(root, "init", "-q")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", ".")
    git(root, "commit", "-qm", "more")
    return root


@pytest.fixture
def origin(tmp_path):
    """Two commits, packed; the token is in the first only."""
    root = committed(tmp_path / "origin", {"a": f"x={token(1)}\n"})
    committed(root, {"a": "gone\n"})
    git(root, "repack", "-adq")
    return root


@pytest.mark.parametrize("deep", [1, 2])
def test_objects_that_are_borrowed_from_another_repository_are_read(origin, tmp_path, deep):
    """`git clone --shared` copies no object; what it borrows from may borrow in turn."""
    for number in range(deep):
        git(tmp_path, "clone", "-q", "--shared", "--bare", str(origin), f"shared{number}")
        origin = tmp_path / f"shared{number}"

    assert [] == [*(origin / "objects" / "pack").iterdir()]
    assert {uid(1)} == set(secrets(origin))
    assert secrets(origin)[uid(1)].first_commit is not None


def test_a_borrowed_folder_with_a_quoted_name_is_found_by_git(origin, tmp_path):
    """A form of `alternates` that is not read here is left to git, and nothing is lost."""
    bare = tmp_path / "bare"
    git(tmp_path, "clone", "-q", "--shared", "--bare", str(origin), str(bare))
    alternates = bare / "objects" / "info" / "alternates"
    alternates.write_text(f'"{origin / ".git" / "objects"}"\n')

    assert {uid(1)} == set(secrets(bare))


def test_borrowed_objects_that_are_gone_are_a_gap(origin, tmp_path):
    """The refs name what is not there."""
    git(tmp_path, "clone", "-q", "--shared", "--bare", str(origin), "shared")
    origin.rename(tmp_path / "moved")

    rows = read(tmp_path / "shared")

    assert [] == [row for row in rows if isinstance(row, Secret)]
    assert any("it is not there" in row.reason for row in rows if isinstance(row, Gap))


def test_what_is_loose_and_what_is_packed_is_read_once(origin):
    """A blob may lie in two packs and in a file of its own."""
    committed(origin, {"b": f"y={token(2)}\n"})
    git(origin, "repack", "-q")
    git(origin, "unpack-objects", "-q", given=next((origin / ".git/objects/pack").glob("*.pack")).read_bytes())
    git(origin, "repack", "-q", "-a")
    committed(origin, {"c": f"z={token(3)}\n"})

    found = secrets(origin, history=True)

    assert {uid(1), uid(2), uid(3)} == set(found)
    assert {1} == {secret.occurrences for secret in found.values()}


def test_a_submodule_is_told_and_its_commit_is_no_blob(origin, tmp_path):
    """The inner repository is another target; the outer one says where it lies."""
    outer = committed(tmp_path / "outer", {"own": f"x={token(7)}\n"})
    git(outer, "submodule", "add", "-q", str(origin), "inner")
    git(outer, "commit", "-qm", "with a submodule")

    rows = read(outer)

    assert {uid(7)} == {row.secret_uid for row in rows if isinstance(row, Secret)}
    (gap,) = [row for row in rows if isinstance(row, Gap)]
    assert "another repository lies here" in gap.reason
    assert gap.locator.endswith("inner/")


def test_a_pointer_of_large_file_storage_is_no_secret(tmp_path):
    """It names a digest and a size; the content is not in the repository."""
    digest = "".join(Random(3).choices("0123456789abcdef", k=64))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 12345\n"

    assert {} == secrets(committed(tmp_path / "r", {"model.bin": pointer, "key.pem": pointer}))


def test_paths_that_differ_in_case_only_are_both_told(tmp_path):
    """On some systems one hides the other in a work tree; the history has both."""
    bare = tmp_path / "r.git"
    git(tmp_path, "init", "-q", "--bare", str(bare))
    text = f"x={token(4)}\n"
    feed = "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 1\nx\n"
    feed += "".join(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n" for name in ("Readme", "README", "readme"))
    git(bare, "fast-import", "--quiet", given=feed.encode())
    git(bare, "symbolic-ref", "HEAD", "refs/heads/main")

    (secret,) = secrets(bare).values()

    assert {"Readme", "README", "readme"} == set(secret.paths)
    assert secret.is_current


def test_a_blob_that_is_itself_a_pack_is_read_as_bytes(origin, tmp_path):
    """Packs in packs are nothing special; what git packed inside is compressed, and no bomb goes off."""
    pack = next((origin / ".git/objects/pack").glob("*.pack"))
    root = tmp_path / "r"
    committed(root, {"x": f"t={token(5)}\n"})
    (root / "inner.pack").write_bytes(pack.read_bytes())
    (root / "inner.idx").write_bytes(pack.with_suffix(".idx").read_bytes())
    git(root, "add", ".")
    git(root, "commit", "-qm", "packs")
    git(root, "repack", "-adq")

    assert {uid(5)} == set(secrets(root))


def test_the_index_of_another_pack_is_not_believed(origin, tmp_path):
    """Places that do not fit are damage, which git is asked about."""
    other = committed(tmp_path / "other", {str(n): f"{n}\n" for n in range(20)})
    git(other, "repack", "-adq")
    index = next((origin / ".git/objects/pack").glob("*.idx"))
    os.chmod(index, 0o644)  # noqa: PTH101
    index.write_bytes(next((other / ".git/objects/pack").glob("*.idx")).read_bytes())

    rows = read(origin)

    assert [row for row in rows if isinstance(row, Gap)]


def test_of_a_bare_repository_without_its_history_the_files_of_its_head_are_read(tmp_path):
    """A server's repository has no work tree; to find nothing there would be false safety."""
    source = committed(tmp_path / "r", {"sub/a.py": token(1), "b.py": token(2)})
    committed(source, {"b.py": "gone\n"})
    git(tmp_path, "clone", "-q", "--bare", "r", "bare.git")

    (found,) = secrets(tmp_path / "bare.git", history=False).values()

    assert ("sub/a.py", True, uid(1)) == (found.path, found.is_current, found.secret_uid)


def test_a_bare_repository_whose_head_names_nothing_is_a_gap_without_its_history(tmp_path):
    """It may hold a thousand branches, of which none is the one that HEAD names."""
    committed(tmp_path / "r", {"a.py": token(1)})
    git(tmp_path, "clone", "-q", "--bare", "r", "bare.git")
    (tmp_path / "bare.git" / "HEAD").write_text("ref: refs/heads/none\n")

    (gap,) = read(tmp_path / "bare.git", history=False)

    assert isinstance(gap, Gap)
    assert "HEAD names no commit" in gap.reason
