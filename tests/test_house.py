"""The house: what import-linter cannot say of the tree, said here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for part in ("toolkit", "collectors") for path in (HOUSE / part).rglob("*.py"))
HEAVY = ["great_expectations", "papermill", "matplotlib", "boto3", "sqlalchemy", "cryptography", "hyperscan"]


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_floors_hold():
    """Lower floors know no higher one, and every module stands on a floor."""
    ran = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=HOUSE, capture_output=True, text=True)
    assert 0 == ran.returncode, ran.stdout


def test_collectors_do_not_know_each_other():
    """Each reads its own source; what two need lies in a `_` module."""
    for path in SOURCES:
        parts = path.relative_to(HOUSE).with_suffix("").parts
        if parts[0] != "collectors" or len(parts) < 2:
            continue
        others = {name.split(".")[1] for name in imports(path) if name.startswith("collectors.")}
        assert set() == {name for name in others if name != parts[1] and not name.startswith("_")}, path


def test_only_the_command_line_imports_the_facade():
    """The verbs compose the rooms; a room that used them would stand on its own roof."""
    for path in SOURCES:
        if path.is_relative_to(HOUSE / "toolkit" / "cli"):
            continue
        bare = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import)]
        assert "toolkit" not in [alias.name for node in bare for alias in node.names], path


def test_a_verb_of_the_facade_has_no_module_of_its_name():
    """Importing the module would replace the verb, and its second call would fail."""
    import toolkit

    modules = {path.stem for path in (HOUSE / "toolkit").iterdir()}
    assert set() == modules & {name for name in toolkit.__all__ if callable(getattr(toolkit, name))}


def test_tests_have_no_package_files():
    """`tests/collectors/__init__.py` would shadow the real collectors."""
    assert [] == sorted((HOUSE / "tests").rglob("__init__.py"))


def test_no_file_is_longer_than_400_lines():
    """A file that outgrows it does two things; make it a package of the same name."""
    files = [*SOURCES, *(HOUSE / "tests").rglob("*.py")]
    assert [] == [str(path.relative_to(HOUSE)) for path in files if len(path.read_text().splitlines()) > 400]


def test_every_module_says_what_it_is_for():
    """A module docstring, for the one who carries on."""
    assert [] == [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]


def test_every_collector_has_its_test_and_its_class():
    """The file name is the registry: collectors/x ⇄ tests/collectors/test_x.py."""
    from toolkit import registry

    names = list(registry.entries("collectors"))
    assert {"code", "keyfiles", "pkcs11"} <= set(names)
    assert [] == [name for name in names if not (HOUSE / "tests" / "collectors" / f"test_{name}.py").exists()]
    assert names == [registry.collector_class(name).name for name in names]


@pytest.mark.parametrize("name", HEAVY)
def test_import_toolkit_loads_nothing_heavy(name):
    """`import toolkit` and `--help` stay instant."""
    code = f"import sys, toolkit, toolkit.cli; sys.exit({name!r} in sys.modules or 'pandas' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code]).returncode


def test_nothing_committed_names_a_registry_or_this_machine():
    """Locks carry hashes, not addresses; no path of a developer's machine."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, check=True).stdout
    files = [HOUSE / name.decode() for name in tracked.split(b"\0") if name]
    words = [b"--index" + b"-url", b"files.python" + b"hosted", str(HOUSE).encode() + b"/"]
    assert [] == [(f.name, word) for f in files if f.is_file() for word in words if word in f.read_bytes()]
    assert [] == [f.name for f in files if f.name in {"uv.lock", "poetry.lock"}]
