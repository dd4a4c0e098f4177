"""The register of runs: its schema, its errors, and the same code on PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from toolkit.errors import ConfigError, StoreError
from toolkit.store import Run, Workspace
from toolkit.store import database as module
from toolkit.store.database import Database
from toolkit.tables import Builder

RUN = Run(
    run_id="20261123T203000.123456Z-8f3a2c",
    started_at=datetime(2026, 11, 23, 20, 30, 0, 123456, tzinfo=UTC),
    finished_at=datetime(2026, 11, 23, 20, 31, tzinfo=UTC),
    collectors=("code", "keyfiles"),
    targets=3,
    gaps=1,
    manifest_sha256="0" * 64,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a b%?#.db"


def test_a_run_comes_back_from_the_register(file: Path) -> None:
    """Times stay aware and exact to the microsecond, in a file of any name."""
    Database.in_file(file).register(RUN)

    assert [RUN] == Database.in_file(file).runs()


def test_registering_the_same_run_twice_changes_nothing(file: Path) -> None:
    """A reader may have registered a run just before its writer does."""
    database = Database.in_file(file)
    database.register(RUN)
    database.register(RUN)

    assert [RUN] == database.runs()


def test_an_id_is_never_given_to_other_content(file: Path) -> None:
    """A second manifest under a registered id is refused."""
    database = Database.in_file(file)
    database.register(RUN)

    with pytest.raises(StoreError, match="other content"):
        database.register(replace(RUN, manifest_sha256="1" * 64))


def test_the_newest_migration_is_head() -> None:
    """`HEAD`, which saves loading alembic, is what alembic would say."""
    assert module.HEAD == ScriptDirectory(str(module._MIGRATIONS)).get_current_head()


def test_migrations_make_the_tables_that_the_code_declares(file: Path) -> None:
    """alembic's own comparison finds no difference."""
    Database.in_file(file).upgrade()

    with sa.create_engine(sa.URL.create("sqlite", database=str(file))).connect() as connection:
        assert [] == compare_metadata(MigrationContext.configure(connection), module.metadata)


def test_a_newer_workspace_is_refused(file: Path) -> None:
    """An older version neither reads nor changes what it does not know."""
    Database.in_file(file).upgrade()
    with sa.create_engine(sa.URL.create("sqlite", database=str(file))).begin() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))

    with pytest.raises(StoreError, match="newer version"):
        Database.in_file(file).runs()


def test_a_file_that_is_no_database_is_a_store_error(file: Path) -> None:
    """What SQLite refuses is told as ours, with the next thing to do."""
    file.write_bytes(b"no database at all, but long enough to be looked at" * 40)

    with pytest.raises(StoreError, match="DatabaseError"):
        Database.in_file(file).runs()


def test_an_error_never_shows_the_password_of_a_url(tmp_path: Path) -> None:
    """A database URL carries a password; no message does."""
    canary = "canary" + os.urandom(8).hex()
    with pytest.raises(ConfigError) as failure:
        Database(f"nosuch://user:{canary}@host/keyatlas")

    assert canary not in f"{failure.value!r} {failure.value}"
    assert canary not in repr(Workspace(tmp_path, database_url=f"nosuch://user:{canary}@host/keyatlas"))


@pytest.fixture
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own on a socket, never on a port."""
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not bins or find_spec("psycopg") is None:
        pytest.skip("needs PostgreSQL's server binaries and the psycopg driver")
    place = Path(tmp_path_factory.mktemp("pg"))
    for folder in place.parents:
        # Under xdist there is one more of them.
        folder.chmod(0o755)
        if folder.name.startswith("pytest-of-"):
            break
    # PostgreSQL refuses to run as root.
    user = {"user": "postgres", "cwd": "/"} if os.geteuid() == 0 else {"cwd": "/"}
    if os.geteuid() == 0:
        shutil.chown(place, "postgres")
    control = [str(bins[-1].with_name("pg_ctl")), "-D", str(place / "data"), "-w", "-s"]
    subprocess.run(
        [str(bins[-1]), "-D", str(place / "data"), "-A", "trust", "-N", "-U", "keyatlas"], check=True, **user
    )  # type: ignore[call-overload]
    listen = f"-c listen_addresses='' -c unix_socket_directories={place}"
    subprocess.run([*control, "-o", listen, "-l", str(place / "log"), "start"], check=True, **user)  # type: ignore[call-overload]
    yield f"postgresql+psycopg://keyatlas@/postgres?host={place}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=True, **user)  # type: ignore[call-overload]


@pytest.mark.slow
def test_the_register_may_be_postgresql(postgresql: str, tmp_path: Path) -> None:
    """By URL only: the same code migrates, registers and reads on PostgreSQL."""
    run = Workspace(tmp_path / "w", database_url=postgresql).write_run(Builder())

    assert [run] == Workspace(tmp_path / "w", database_url=postgresql).runs()
    assert not (tmp_path / "w" / "keyatlas.db").exists()
