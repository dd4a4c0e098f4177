"""The workspace keeps runs as they were written, and says so when they are not."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.errors import ConfigError, RunTampered, StoreError
from toolkit.model import Gap, Key, Reading
from toolkit.store import Run, Workspace, new_run_id, runs
from toolkit.tables import RUN_TABLES, Builder, Inventory
from toolkit.terms import GapScope, GapStatus, KeyType, ReadingStatus

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILES = [*(f"{table}.parquet" for table in RUN_TABLES), "manifest.json"]


def hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def gathered(at: datetime, seen: dict[str, list[str]], collector: str = "keyfiles") -> Builder:
    """A builder in which each target has keys of these uids and one gap."""
    builder = Builder()
    for target, uids in seen.items():
        for uid in uids:
            place = f"{target}/{uid}"
            builder.add(
                Key(key_uid=uid, collector=collector, target=target, locator=place, key_type=KeyType.PRIVATE_KEY)
            )
        builder.add(
            Gap(
                collector=collector,
                target=target,
                locator=target,
                scope=GapScope.OBJECT,
                status=GapStatus.DENIED,
                reason="no",
            )
        )
        builder.add(
            Reading(
                collector=collector,
                target=target,
                status=ReadingStatus.READ,
                rows=len(uids) + 1,
                gaps=1,
                seconds=0.1,
                started_at=at,
                run_id="r",
            )
        )
    return builder


def write(workspace: Workspace, at: datetime, seen: dict[str, list[str]], collector: str = "keyfiles") -> Run:
    return workspace.write_run(gathered(at, seen, collector), run_id=new_run_id(now=at))


def uids(inventory: Inventory) -> list[str]:
    return sorted(inventory.keys["key_uid"])


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


def test_a_run_comes_back_as_it_was_written(workspace: Workspace) -> None:
    """Every table of a run is read back equal, dtypes and all, under the digest that was registered."""
    rows = gathered(NOON, {"file:///a": ["1", "2"], "file:///b": ["3"]})

    run = workspace.write_run(rows)
    back = workspace.read_run(run.run_id)

    for table in RUN_TABLES:
        pd.testing.assert_frame_equal(Inventory.of(rows).table(table), back.table(table))
    assert {run.run_id: run.manifest_sha256} == back.runs


def test_a_run_of_an_older_version_is_read_with_what_it_knew(workspace: Workspace, monkeypatch) -> None:
    """A table or column that came later is unknown in it, and no tampering; a column nobody knows is refused."""
    plain = runs.to_parquet

    def older(table: str, data: pa.Table) -> bytes:
        return plain(table, data) if table != "keys" else _parquet(data.drop_columns(["purpose", "reasons"]))

    def newer(table: str, data: pa.Table) -> bytes:
        return plain(table, data) if table != "keys" else _parquet(data.append_column("x", data["key_uid"]))

    with monkeypatch.context() as patch:
        patch.setattr(runs, "to_parquet", older)
        patch.setattr(runs, "RUN_TABLES", tuple(table for table in RUN_TABLES if table != "tokens"))
        run = write(workspace, NOON, {"file:///a": ["1"]})
    back = workspace.read_run(run.run_id)

    assert (["1"], 0) == (uids(back), len(back.tokens))
    assert back.keys["purpose"].isna().all()
    monkeypatch.setattr(runs, "to_parquet", newer)
    later = write(workspace, NOON + timedelta(hours=1), {"file:///a": ["1"]})
    with pytest.raises(StoreError, match="does not know: x"):
        workspace.read_run(later.run_id)


def _parquet(data: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(data, out)
    return out.getvalue().to_pybytes()


def test_a_run_is_registered_with_what_its_manifest_says(workspace: Workspace) -> None:
    """Times, collectors and counts of a run are known without reading its tables."""
    written = write(workspace, NOON, {"file:///a": ["1"], "file:///b": []})

    assert [written] == Workspace(workspace.path).runs()
    assert (NOON, ("keyfiles",), 2, 2) == (written.started_at, written.collectors, written.targets, written.gaps)


def test_reading_a_missing_workspace_says_how_to_make_one(workspace: Workspace) -> None:
    """Nothing is made by reading, and the advice is the next command."""
    with pytest.raises(StoreError, match="keyatlas collect"):
        workspace.load()

    assert not workspace.path.exists()


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o077])
def test_everything_is_for_its_owner_only(workspace: Workspace, umask: int) -> None:
    """Whatever the umask, folders are 0700 and files 0600."""
    before = os.umask(umask)
    try:
        workspace.fingerprinter()
        write(workspace, NOON, {"file:///a": ["1"]})
    finally:
        os.umask(before)

    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in [workspace.path, *workspace.path.rglob("*")]}
    assert {p: 0o700 if p.is_dir() else 0o600 for p in modes} == modes


def test_a_workspace_that_others_may_write_is_refused(workspace: Workspace) -> None:
    """Who may rename our files may swap a run."""
    workspace.path.mkdir()
    workspace.path.chmod(0o777)

    with pytest.raises(StoreError, match="chmod 700"):
        workspace.fingerprinter()


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_in_any_file_is_told(workspace: Workspace, name: str) -> None:
    """One changed bit anywhere, even in the manifest's digits, is RunTampered and names the file."""
    run = write(workspace, NOON, {"file:///a": ["1"]})
    place = workspace.path / "runs" / run.run_id / name
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)

    with pytest.raises(RunTampered, match=name):
        workspace.read_run(run.run_id)
    with pytest.raises(RunTampered, match=name):
        workspace.load()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_told(workspace: Workspace, name: str) -> None:
    """A file that is gone is RunTampered, not an empty table."""
    run = write(workspace, NOON, {"file:///a": ["1"]})
    (workspace.path / "runs" / run.run_id / name).unlink()

    with pytest.raises(RunTampered, match=name):
        workspace.load()


def test_all_odd_files_are_told_at_once(workspace: Workspace) -> None:
    """A missing, a changed and an extra file are named in one error."""
    run = write(workspace, NOON, {"file:///a": ["1"]})
    place = workspace.path / "runs" / run.run_id
    (place / "gaps.parquet").unlink()
    (place / "keys.parquet").write_bytes(b"")
    (place / "more.parquet").write_bytes(b"")

    with pytest.raises(RunTampered, match=r"gaps\.parquet, keys\.parquet, more\.parquet"):
        workspace.read_run(run.run_id)


def test_a_consistent_forgery_of_files_and_manifest_is_told(workspace: Workspace) -> None:
    """Another whole run under the name of this one does not match the register."""
    run = write(workspace, NOON, {"file:///a": ["1"]})
    other = Workspace(workspace.path.with_name("other"))
    other.write_run(gathered(NOON, {"file:///a": []}), run_id=run.run_id)
    shutil.rmtree(workspace.path / "runs" / run.run_id)
    shutil.copytree(other.path / "runs" / run.run_id, workspace.path / "runs" / run.run_id)

    with pytest.raises(RunTampered, match=r"manifest\.json"):
        workspace.load()


def test_a_registered_run_that_is_gone_is_seen(workspace: Workspace) -> None:
    """A run that was taken away is listed as missing, and load refuses to answer without it."""
    gone = write(workspace, NOON, {"file:///a": ["1"]})
    write(workspace, hours(1), {"file:///a": ["2"]})
    shutil.rmtree(workspace.path / "runs" / gone.run_id)

    assert [True, False] == [run.is_missing for run in workspace.runs()]
    with pytest.raises(RunTampered, match=gone.run_id):
        workspace.load()


def test_a_lost_register_is_not_made_anew(workspace: Workspace) -> None:
    """Runs without their register cannot be verified, so they are not taken at their word."""
    write(workspace, NOON, {"file:///a": ["1"]})
    (workspace.path / "keyatlas.db").unlink()

    with pytest.raises(StoreError, match=r"keyatlas\.db is gone"):
        Workspace(workspace.path).load()


def test_load_takes_the_newest_reading_of_each_target(workspace: Workspace) -> None:
    """Targets of different runs stand side by side; of one target only the newest reading counts, its gaps too."""
    first = write(workspace, hours(0), {"file:///a": ["a1"], "file:///b": ["b1"]})
    second = write(workspace, hours(1), {"file:///a": ["a2", "a3"]})

    inventory = workspace.load()

    assert ["a2", "a3", "b1"] == uids(inventory)
    assert (2, 2) == (len(inventory.gaps), len(inventory.readings))
    assert {run.run_id: run.manifest_sha256 for run in (first, second)} == inventory.runs


def test_load_names_only_the_runs_that_it_used(workspace: Workspace) -> None:
    """A run that newer ones cover wholly is not read for its rows."""
    old = write(workspace, hours(0), {"file:///a": ["a1"]})
    new = write(workspace, hours(1), {"file:///a": ["a2"]})

    assert [new.run_id] == list(workspace.load().runs)
    (workspace.path / "runs" / old.run_id / "keys.parquet").write_bytes(b"not needed")
    assert ["a2"] == uids(workspace.load())


@pytest.mark.parametrize(("as_of", "expected"), [(-1, []), (0, ["1"]), (0.5, ["1"]), (1, ["2"]), (9, ["2"])])
def test_load_as_of_sees_what_was_known_then(workspace: Workspace, as_of: float, expected: list[str]) -> None:
    """A reading counts from the moment it began, and never before."""
    write(workspace, hours(0), {"file:///a": ["1"]})
    write(workspace, hours(1), {"file:///a": ["2"]})

    assert expected == uids(workspace.load(hours(as_of)))


def test_the_same_place_read_by_two_collectors_is_two_targets(workspace: Workspace) -> None:
    """A newer reading by one collector does not hide the other's."""
    write(workspace, hours(0), {"file:///a": ["1"]}, collector="keyfiles")
    write(workspace, hours(1), {"file:///a": ["2"]}, collector="code")

    assert ["1", "2"] == uids(workspace.load())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), unique=True)), max_size=4)
)
def test_load_equals_replaying_the_readings(tmp_path_factory: pytest.TempPathFactory, history: list) -> None:
    """The law of `load`: walk the runs in order, and let each reading replace its target's former one."""
    workspace = Workspace(tmp_path_factory.mktemp("law") / "w")
    workspace.fingerprinter()
    known: dict[str, list[str]] = {}
    for hour, seen in enumerate(history):
        write(workspace, hours(hour), seen)
        known |= seen

    expected = sorted(f"{target}/{uid}" for target, found in known.items() for uid in found)
    assert expected == sorted(workspace.load().keys["locator"])


def test_naive_times_are_refused(workspace: Workspace) -> None:
    """A time without a zone means another moment on another machine."""
    naive = datetime(2026, 11, 23)  # noqa: DTZ001
    with pytest.raises(ConfigError, match="no time zone"):
        workspace.load(naive)
    with pytest.raises(ConfigError, match="no time zone"):
        workspace.write_run(Builder(), started_at=naive)


@pytest.mark.parametrize(
    "run_id", ["../../etc", "", "20261123T203000.123456Z-8f3a2c/..", "99999999T999999.999999Z-000000"]
)
def test_a_run_id_of_another_form_is_refused(workspace: Workspace, run_id: str) -> None:
    """A run id becomes a folder's name, so nothing but a run id may."""
    with pytest.raises(ConfigError, match="no run id"):
        workspace.read_run(run_id)


def test_a_run_is_never_written_over(workspace: Workspace) -> None:
    """The second write under one id is refused, and the first stays."""
    run = write(workspace, NOON, {"file:///a": ["1"]})

    with pytest.raises(StoreError):
        workspace.write_run(gathered(NOON, {"file:///a": ["2"]}), run_id=run.run_id)

    assert ["1"] == uids(workspace.load())
    assert [run.run_id] == [place.name for place in (workspace.path / "runs").iterdir()]


def test_run_ids_sort_by_time_and_differ_at_one_moment() -> None:
    """Order of names is order of time, and a thousand of one moment are a thousand."""
    assert new_run_id(now=NOON) < new_run_id(now=NOON + timedelta(microseconds=1))
    assert 990 < len({new_run_id(now=NOON) for _ in range(1000)})


def test_the_pepper_is_one_for_good(workspace: Workspace) -> None:
    """Two openings give the same fingerprints; another workspace gives others."""
    first = workspace.fingerprinter().uid(b"x")

    assert first == Workspace(workspace.path).fingerprinter().uid(b"x")
    assert first != Workspace(workspace.path.with_name("other")).fingerprinter().uid(b"x")
    assert 32 == (workspace.path / "pepper").stat().st_size


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"short")])
def test_a_lost_or_damaged_pepper_is_not_replaced(workspace: Workspace, harm) -> None:
    """A new pepper would make every known secret look gone, so its loss is told instead."""
    write(workspace, NOON, {"file:///a": ["1"]})
    harm(workspace.path / "pepper")

    with pytest.raises(StoreError, match="pepper"):
        workspace.fingerprinter()


def test_a_full_disk_leaves_nothing_half(workspace: Workspace) -> None:
    """When a file cannot grow, the write is a StoreError, what was there stays, and the next write works."""
    write(workspace, NOON, {"file:///a": ["1"]})
    large = gathered(hours(1), {"file:///a": [os.urandom(16).hex() for _ in range(20_000)]})
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(StoreError, match="space"):
            workspace.write_run(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    assert ["1"] == uids(workspace.load())
    assert len([*(workspace.path / "runs").iterdir()]) == 1
    workspace.write_run(large)
    assert 20_000 == len(workspace.load().keys)


def test_importing_the_store_loads_no_database_library() -> None:
    """SQLAlchemy and alembic are loaded by the first use of a database, not by the import."""
    asked = "import sys, toolkit.store; print([m for m in ('sqlalchemy', 'alembic') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
