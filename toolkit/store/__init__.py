"""The workspace: what was read, kept whole, unchangeable and verifiable.

    .keyatlas/               0700, files 0600, made at the first write
      runs/<run id>/         one Parquet file a table, and manifest.json with their SHA-256
      keyatlas.db            which runs there are, and the SHA-256 of their manifests
      pepper                 32 random bytes that keyed fingerprints rest on; made once

A run that does not keep its contract is quarantined, not removed: `load` leaves it out, shows each target as the run
before saw it, and says so in a Gap. Who released it, and why, is kept with it.

A run is written whole or not at all: into an unfinished folder, to the disk, renamed, registered. A writer that dies
before the rename leaves nothing that is ever read, and the next writer sweeps it away; one that dies between rename
and registration leaves a whole run, which the next reader registers.

Digests tell a run that was altered from one that was not; they are no signature. Whoever can write both the folder
and the database can put another run in its place. A database serves one workspace.

Refuses to: change or remove a run, read one that is not as it was written, make a pepper anew once runs rest on it,
or work where other users may write.

>>> import tempfile
>>> from toolkit.tables import Builder
>>> workspace = Workspace(Path(tempfile.mkdtemp()) / ".keyatlas")
>>> run = workspace.write_run(Builder())
>>> workspace.load()
<Inventory: 0 keys>
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from toolkit.errors import ConfigError, RunTampered, StoreError
from toolkit.identity import Fingerprinter
from toolkit.store import folder, latest, quarantine, runs
from toolkit.store.quarantine import Quarantine
from toolkit.store.record import Record
from toolkit.store.runs import Run, new_run_id
from toolkit.tables import RUN_TABLES, Builder, Inventory, frame_of, schema

if TYPE_CHECKING:
    from toolkit.store.database import Database

__all__ = ["Quarantine", "Record", "Run", "Workspace", "new_run_id"]


class Workspace:
    """A folder of runs and the register of them. Any number of processes may read and write it at once."""

    def __init__(self, path: str | Path = ".keyatlas", *, database_url: str | None = None) -> None:
        self.path = Path(path)
        self._runs = self.path / "runs"
        self._url = database_url

    def __repr__(self) -> str:
        return f"Workspace({str(self.path)!r})"

    def fingerprinter(self) -> Fingerprinter:
        """What names secret material in this workspace; the same in every process and for good.

        Raises:
            StoreError: the workspace cannot be made, or its pepper is gone or damaged.
        """
        self._make()
        with folder.refusing(f"read {self.path / 'pepper'}"):
            pepper = (self.path / "pepper").read_bytes()
        if len(pepper) != 32:
            raise StoreError(f"{self.path / 'pepper'} is damaged", advice="restore it from a backup")
        return Fingerprinter(pepper)

    def write_run(
        self,
        gathered: Builder | Mapping[str, pa.Table],
        *,
        run_id: str | None = None,
        started_at: datetime | None = None,
        finished_at: datetime | None = None,
        collectors: Sequence[str] | None = None,
        versions: Mapping[str, str | None] | None = None,
    ) -> Run:
        """Keep what was gathered as a run. What is not given is taken from the run id, the clock and the readings.

        Raises:
            ConfigError: a naive time, a run id of another form, or a table is missing.
            StoreError: it could not be written; then nothing of it is there, unless the message says that it is whole.
        """
        run_id = run_id or new_run_id()
        began = runs.began(run_id)
        data = _tables(gathered)
        head = {
            "run_id": run_id,
            "started_at": _stamp(started_at or began),
            "finished_at": _stamp(finished_at or datetime.now(UTC)),
            "collectors": sorted(collectors or data["readings"]["collector"].unique().to_pylist()),
            "versions": dict(versions or runs.versions()),
        }
        self._make()
        self._database.upgrade()
        with folder.refusing(f"write run {run_id} in {self.path}"), self._draft(run_id) as draft:
            run = runs.run_of(run_id, runs.write(draft, head, data))
            # An empty folder of that name would be replaced, a run never: rename refuses it.
            draft.rename(self._runs / run_id)
            folder.sync(self._runs)
        self._register(run)
        return run

    def records(self, kind: str) -> list[Record]:
        """What people signed, of one kind, oldest first.

        Raises:
            StoreError: there is no workspace.
        """
        self._refuse_if_absent()
        return self._database.records(kind) if self._url is not None or self._file.exists() else []

    def keep_record(self, record: Record) -> None:
        """Keep a record and its signatures; one that is kept already gains those that are new.

        Raises:
            StoreError: it could not be written; then nothing of it is there.
        """
        self._make()
        self._database.keep_record(record)

    def runs(self) -> list[Run]:
        """All runs, oldest first; one whose folder is gone is still told, as `is_missing`.

        Raises:
            StoreError: there is no workspace, or its database is gone.
        """
        self._refuse_if_absent()
        if self._url is None and not self._file.exists():
            if self._folders():
                raise StoreError(f"{self._file} is gone, and runs are there", advice="restore it from a backup")
            return []
        # The register first: a run that is in it was renamed before, so it cannot seem to be missing.
        known = {run.run_id: run for run in self._database.runs()}
        there = self._folders()
        for run_id in there - known.keys():
            known[run_id] = runs.run_of(run_id, runs.manifest_of(self._runs / run_id))
            self._database.register(known[run_id])
        return [replace(known[run_id], is_missing=run_id not in there) for run_id in sorted(known)]

    def read_run(self, run_id: str) -> Inventory:
        """One run, every file verified.

        Raises:
            ConfigError: it is no run id.
            StoreError: there is no such run.
            RunTampered: its files are not those that were written.
        """
        runs.began(run_id)
        run = {run.run_id: run for run in self.runs()}.get(run_id)
        if run is None:
            raise StoreError(f"no run {run_id} in {self.path}", advice="take one from Workspace.runs()")
        return _inventory({run_id: self._read(run, RUN_TABLES)}, [run])

    def quarantine(self, run_id: str, reasons: Sequence[str], *, now: datetime | None = None) -> Quarantine:
        """Set a run apart, with reasons; it stays until somebody releases it.

        Raises:
            StoreError: there is no such run.
        """
        return self._seclude(run_id, reasons, None, now)

    def release(self, run_id: str, *, reason: str, who: str, now: datetime | None = None) -> Quarantine:
        """Let a quarantined run count again. Why, and who said so, are kept.

        Raises:
            ConfigError: it is not quarantined, or nobody says who and why.
        """
        if not (reason.strip() and who.strip()):
            raise ConfigError("a release says who and why", advice="give --reason, and --by")
        if run_id not in self.quarantined():
            raise ConfigError(f"run {run_id} is not quarantined", advice="keyatlas validate --quarantined")
        return self._seclude(run_id, (reason,), who, now)

    def quarantined(self) -> dict[str, Quarantine]:
        """The runs that are set apart now, by id, each with its reasons."""
        latest = {told.run_id: told for told in self.quarantine_history()}
        return {run_id: told for run_id, told in latest.items() if told.released_by is None}

    def quarantine_history(self) -> list[Quarantine]:
        """Every quarantine and release there was, oldest first."""
        return quarantine.history(self.records(quarantine.KIND))

    def before(self, run_id: str) -> Inventory:
        """What was known of a run's own targets before it: the newest readings of runs that are not quarantined."""
        known = self._known(include_quarantined=False)
        readings = {run_id: self._read(run, ["readings"])["readings"] for run_id, run in known.items()}
        mine = self.read_run(run_id).readings
        places = pa.array([f"{c} {t}" for c, t in zip(mine["collector"], mine["target"], strict=True)], pa.string())
        chosen = latest.newest({name: data for name, data in readings.items() if name < run_id}, None)
        ours = {name: pc.filter(targets, pc.is_in(targets, value_set=places)) for name, targets in chosen.items()}
        return self._inventory(known, readings, {name: targets for name, targets in ours.items() if len(targets)})

    def history(self) -> Iterator[tuple[datetime, Inventory]]:
        """What was known after each run, oldest first."""
        for run in sorted(self.runs(), key=lambda run: run.finished_at):
            yield run.finished_at, self.load(run.finished_at)

    def load(self, as_of: datetime | None = None, *, include_quarantined: bool = False) -> Inventory:
        """What is known at a time (of all, if none is given): each target as its newest reading saw it.

        Quarantined runs are left out, unless asked for: a target that such a run read last is shown as the run before
        saw it, its reading is `partial`, and a Gap says so. `Inventory.runs` names the runs that are in it. A run that
        was registered and is gone is an error, since nobody can say what it would have changed.

        Raises:
            ConfigError: `as_of` has no time zone.
            StoreError: there is no workspace.
            RunTampered: a file that is needed is not as it was written, or a run is gone.
        """
        if as_of is not None:
            _stamp(as_of)
        known = self._known(include_quarantined=True)
        apart = {} if include_quarantined else self.quarantined()
        readings = {run_id: self._read(run, ["readings"])["readings"] for run_id, run in known.items()}
        chosen = latest.newest({name: data for name, data in readings.items() if name not in apart}, as_of)
        found = self._inventory(known, readings, chosen)
        if not apart:
            return found
        hidden = {name: targets for name, targets in latest.newest(readings, as_of).items() if name in apart}
        return quarantine.told(found, apart, readings, hidden)

    def _known(self, *, include_quarantined: bool) -> dict[str, Run]:
        apart = {} if include_quarantined else self.quarantined()
        return {run.run_id: run for run in self.runs() if run.run_id not in apart}

    def _inventory(
        self, known: Mapping[str, Run], readings: Mapping[str, pa.Table], chosen: Mapping[str, pa.Array]
    ) -> Inventory:
        """The rows that came with these targets of these runs."""
        parts = {}
        for run_id, targets in chosen.items():
            data = {"readings": readings[run_id], **self._read(known[run_id], set(RUN_TABLES) - {"readings"})}
            # A run of which every target counts is taken as it is.
            is_whole = len(targets) == readings[run_id].num_rows
            parts[run_id] = data if is_whole else {name: latest.only(rows, targets) for name, rows in data.items()}
        return _inventory(parts, [known[run_id] for run_id in parts])

    def _seclude(self, run_id: str, reasons: Sequence[str], who: str | None, now: datetime | None) -> Quarantine:
        if run_id not in {run.run_id for run in self.runs()}:
            raise StoreError(f"no run {run_id} in {self.path}", advice="take one from Workspace.runs()")
        told = Quarantine(run_id, now or datetime.now(UTC), tuple(reasons), who)
        self.keep_record(quarantine.record_of(told))
        return told

    @cached_property
    def _database(self) -> Database:
        from toolkit.store.database import Database

        if self._url is not None:
            return Database(self._url)
        with folder.refusing(f"open {self._file}"):
            # SQLite would make it by the umask; its journal takes the rights of the file.
            os.close(os.open(self._file, os.O_RDONLY | os.O_CREAT, 0o600))
        return Database.in_file(self._file)

    @property
    def _file(self) -> Path:
        return self.path / "keyatlas.db"

    def _folders(self) -> set[str]:
        """Run folders that are whole; names that are no run id are not ours."""
        return {place.name for place in self._runs.iterdir() if runs.is_run_id(place.name)}

    def _refuse_if_absent(self) -> None:
        if self.path.is_file():
            raise StoreError(f"{self.path} is a file", advice="name the workspace's folder: --workspace FOLDER")
        if not self._runs.is_dir():
            raise StoreError(f"no workspace at {self.path}", advice="make one: keyatlas collect keyfiles")
        self._refuse_if_shared()

    def _refuse_if_shared(self) -> None:
        if self.path.stat().st_mode & 0o022:
            raise StoreError(f"others may write in {self.path}", advice=f"chmod 700 {self.path}")

    def _make(self) -> None:
        """Make what is not there yet; the folder of runs last, for it says that all the rest is there."""
        with folder.refusing(f"make {self.path}"):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._refuse_if_shared()
            with folder.alone(self.path):
                pepper = self.path / "pepper"
                if self._runs.is_dir() and not pepper.exists():
                    raise StoreError(f"{pepper} is gone, and runs rest on it", advice="restore it from a backup")
                if not pepper.exists():
                    unfinished = self.path / f"{folder.UNFINISHED}pepper"
                    unfinished.unlink(missing_ok=True)
                    folder.write_new(unfinished, os.urandom(32))
                    unfinished.rename(pepper)
                    folder.sync(self.path)
                self._runs.mkdir(mode=0o700, exist_ok=True)
                folder.sync(self.path)

    @contextmanager
    def _draft(self, run_id: str) -> Iterator[Path]:
        """An unfinished folder, held as long as it is; whatever is left of it at the end is removed."""
        with folder.alone(self.path):
            folder.sweep(self._runs)
            draft, handle = folder.begin(self._runs, f"{run_id}-{os.getpid()}")
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            os.close(handle)

    def _register(self, run: Run) -> None:
        try:
            self._database.register(run)
        except StoreError as failure:
            raise StoreError(
                f"run {run.run_id} is whole but not registered: {failure.message}",
                advice="nothing is lost: the next reading of the workspace registers it",
            ) from failure

    def _read(self, run: Run, tables: Iterable[str]) -> dict[str, pa.Table]:
        if run.is_missing:
            raise RunTampered(f"run {run.run_id} is registered and gone", advice="restore the run from a backup")
        with folder.refusing(f"read run {run.run_id} in {self.path}"):
            return runs.read(self._runs / run.run_id, run, tables)


def _tables(gathered: Builder | Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    if isinstance(gathered, Builder):
        return {table: gathered.arrow(table) for table in RUN_TABLES}
    absent = ", ".join(table for table in RUN_TABLES if table not in gathered)
    if absent:
        raise ConfigError(f"a run has all its tables, if need be empty; without {absent} it is none")
    return {table: gathered[table] for table in RUN_TABLES}


def _stamp(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise ConfigError(f"{moment.isoformat()} has no time zone", advice="use datetime(…, tzinfo=UTC)")
    return moment.astimezone(UTC).isoformat()


def _inventory(parts: Mapping[str, Mapping[str, pa.Table]], used: Sequence[Run]) -> Inventory:
    chunks = {table: [part[table] for part in parts.values()] for table in RUN_TABLES}
    whole = {table: pa.concat_tables(data) if data else schema(table).empty_table() for table, data in chunks.items()}
    digests = {run.run_id: run.manifest_sha256 for run in used}
    return Inventory(**{table: frame_of(table, data) for table, data in whole.items()}, runs=digests)
