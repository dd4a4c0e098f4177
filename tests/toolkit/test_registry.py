"""The registry: the file name is the name, whoever ships it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from toolkit import registry
from toolkit.errors import RegistryError

COLLECTOR = '''
"""A tiny collector of another distribution."""
from toolkit.model import Key, Target
from toolkit.terms import KeyType

class {name}:
    """Reads nothing but itself."""
    name, reads, parallel = "{file}", ("nothing",), 1
    def targets(self):
        yield Target(collector="{file}", locator="{file}:here")
    def collect(self, target):
        yield Key(key_uid="keeper:1", collector="{file}", target=target.locator, locator="{file}:here#1",
                  key_type=KeyType.SECRET_KEY)
'''


@pytest.fixture
def shipped(tmp_path):
    """Ships a distribution with a collector, a pack and a notebook, as an installer would lay it out."""

    def ship(distribution: str, package: str, file: str, text: str | None = None) -> Path:
        site = tmp_path / distribution
        folder = site / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        name = "".join(part.capitalize() for part in file.split("_"))
        (folder / f"{file}.py").write_text(text or COLLECTOR.format(name=name, file=file))
        (folder / f"{file}.toml").write_text("")
        (folder / f"{file}.ipynb").write_text("{}")
        info = site / f"{distribution}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
        groups = ("collectors", "policies", "notebooks")
        (info / "entry_points.txt").write_text("".join(f"[toolkit.{g}]\n{package} = {package}\n" for g in groups))
        return site

    return ship


def in_python(code: str, *sites: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that has the distributions on its path."""
    env = {"PYTHONPATH": ":".join(map(str, sites)), "PATH": "/usr/bin:/bin"}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=env)


def test_ours_are_found_by_their_file_names():
    """Dropping the file in is all it takes."""
    assert {"code", "keyfiles", "pkcs11"} <= set(registry.entries("collectors"))
    assert "nist_sp800_57" in registry.entries("policies")
    assert "risk_assessment" in registry.entries("notebooks")


def test_listing_imports_no_collector():
    """A broken or heavy collector costs nothing until it is used."""
    code = """
        import sys
        from toolkit import registry
        registry.entries("collectors")
        sys.exit(any(name.startswith("collectors.") for name in sys.modules))
    """
    assert 0 == in_python(code).returncode


def test_a_second_distribution_brings_its_own(shipped):
    """A third party ships a package and an entry point; its collector runs like ours."""
    site = shipped("acme-keys", "acme_keys", "acme_vault")
    code = """
        import toolkit as tk
        from toolkit import registry
        print(*[kind for kind in ("collectors", "policies", "notebooks") if "acme_vault" in registry.entries(kind)])
        print(tk.collect("acme_vault", show_progress=False))
    """
    ran = in_python(code, site)
    assert "collectors policies notebooks" == ran.stdout.splitlines()[0], ran.stderr
    assert "1 keys" in ran.stdout


def test_two_of_one_name_is_an_error_that_names_both(shipped):
    """Nothing is chosen silently."""
    sites = shipped("acme-keys", "acme_keys", "vault"), shipped("other-keys", "other_keys", "vault")
    ran = in_python("from toolkit import registry; registry.entries('collectors')", *sites)
    assert 0 != ran.returncode
    assert "acme-keys" in ran.stderr
    assert "other-keys" in ran.stderr


def test_an_entry_point_to_nothing_names_its_distribution(shipped):
    """A broken install says what to reinstall."""
    site = shipped("acme-keys", "acme_keys", "vault")
    for path in (site / "acme_keys").iterdir():
        path.unlink()
    (site / "acme_keys").rmdir()
    ran = in_python("from toolkit import registry; registry.entries('collectors')", site)
    assert "reinstall acme-keys" in ran.stderr


def test_a_missing_dependency_names_the_extra(shipped):
    """The error is the command that cures it."""
    site = shipped("acme-keys", "acme_keys", "vault_kv", "import hvac_that_is_not_there\n")
    ran = in_python("from toolkit import registry; registry.collector_class('vault_kv')", site)
    assert "pip install 'acme-keys[vault]'" in ran.stderr


def test_an_unknown_name_lists_those_there_are():
    """A typing error is one look away from its cure."""
    with pytest.raises(RegistryError, match="keyfiles"):
        registry.entry("collectors", "keyfile")


def test_a_foreign_package_called_collectors_is_refused(tmp_path):
    """Another distribution's `collectors` must not be run in place of ours."""
    (tmp_path / "collectors").mkdir()
    (tmp_path / "collectors" / "__init__.py").write_text("")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from toolkit import registry; registry.entries('collectors')"
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "not keyatlas's" in ran.stderr
