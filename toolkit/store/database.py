"""The register of runs and what people sign, in SQLite or, by URL, PostgreSQL.

The files hold the facts; this holds which files they are.

The schema is alembic's from its first table on. Opening brings it up to date; alembic is only loaded if it is not.
SQLite keeps its rollback journal: unlike WAL it can be read where nothing may be written.

Refuses to: open a database of a newer version, or show a URL with its password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.types import TypeDecorator

from toolkit.errors import ConfigError, StoreError
from toolkit.store.record import Record
from toolkit.store.runs import Run

HEAD: Final = "0002"
"""The newest revision in `migrations/versions`."""
_BUSY_SECONDS: Final = 60
_UPGRADE_LOCK: Final = 0x6B657961746C6173  # "keyatlas"; the number of a PostgreSQL advisory lock
_MIGRATIONS: Final = Path(__file__).with_name("migrations")


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC moment; SQLite forgets the zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """To UTC, before SQLite drops the zone."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData()
run_table = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", sa.String(32), primary_key=True),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("finished_at", UtcTime, nullable=False),
    sa.Column("collectors", sa.JSON, nullable=False),
    sa.Column("targets", sa.Integer, nullable=False),
    sa.Column("gaps", sa.Integer, nullable=False),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
)
record_table = sa.Table(
    "record",
    metadata,
    sa.Column("record_id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("kept_at", UtcTime, nullable=False),
)
signature_table = sa.Table(
    "signature",
    metadata,
    sa.Column("record_id", sa.String(64), sa.ForeignKey("record.record_id"), primary_key=True),
    sa.Column("signer", sa.String(255), primary_key=True),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("kept_at", UtcTime, nullable=False),
)


class Database:
    """Runs and records by id. Safe with many processes; each call is one transaction."""

    def __init__(self, url: str | sa.URL) -> None:
        self._engine = _engine(url)
        self._is_current = False

    @classmethod
    def in_file(cls, path: Path) -> Database:
        """The SQLite database in a file, whatever signs its path has."""
        return cls(sa.URL.create("sqlite", database=str(path.resolve())))

    def upgrade(self) -> None:
        """Bring the schema to `HEAD`; of several processes that try at once one does it and the others wait."""
        if self._is_current:
            return
        with self._begin() as connection:
            self._is_current = _revision(connection) == HEAD
        if not self._is_current:
            with self._begin(writes=True) as connection:
                _migrate(connection)
            self._is_current = True

    def runs(self) -> list[Run]:
        """All registered runs, in order of their ids."""
        self.upgrade()
        with self._begin() as connection:
            rows = connection.execute(sa.select(run_table).order_by(run_table.c.run_id)).mappings().all()
        return [Run(**{**row, "collectors": tuple(row["collectors"])}) for row in rows]

    def register(self, run: Run) -> None:
        """Enter a run; entering the same one again, as a reader and its writer may, changes nothing.

        Raises:
            StoreError: the id is taken by a run of other content, or the database fails.
        """
        self.upgrade()
        known = sa.select(run_table.c.manifest_sha256).where(run_table.c.run_id == run.run_id)
        values = {column.name: getattr(run, column.name) for column in run_table.columns}
        try:
            with self._begin(writes=True) as connection:
                connection.execute(run_table.insert().values(values | {"collectors": list(run.collectors)}))
        except exc.IntegrityError as failure:
            with self._begin() as connection:
                if connection.execute(known).scalar_one_or_none() != run.manifest_sha256:
                    raise StoreError(f"run {run.run_id} is registered with other content") from failure

    def records(self, kind: str) -> list[Record]:
        """All records of a kind with their signatures, oldest first."""
        self.upgrade()
        chosen = sa.select(record_table).where(record_table.c.kind == kind)
        signed = sa.select(signature_table).order_by(signature_table.c.kept_at, signature_table.c.signer)
        with self._begin() as connection:
            order = record_table.c.kept_at, record_table.c.record_id
            rows = connection.execute(chosen.order_by(*order)).mappings().all()
            signatures = connection.execute(signed).mappings().all()
        by_record: dict[str, list[tuple[str, str]]] = {}
        for row in signatures:
            by_record.setdefault(row["record_id"], []).append((row["signer"], row["signature"]))
        return [Record(**row, signatures=tuple(by_record.get(row["record_id"], ()))) for row in rows]

    def keep_record(self, record: Record) -> None:
        """Keep a record and its signatures, all or nothing; one that is kept already gains those that are new."""
        self.upgrade()
        known = sa.select(record_table.c.record_id).where(record_table.c.record_id == record.record_id)
        values = {name: getattr(record, name) for name in ("record_id", "kind", "document", "kept_at")}
        theirs = sa.select(signature_table.c.signer).where(signature_table.c.record_id == record.record_id)
        with self._begin(writes=True) as connection:
            if connection.execute(known).first() is None:
                connection.execute(record_table.insert().values(values))
            there = set(connection.execute(theirs).scalars())
            for signer, signature in record.signatures:
                if signer not in there:
                    row = {"record_id": record.record_id, "signer": signer, "signature": signature}
                    connection.execute(signature_table.insert().values({**row, "kept_at": record.kept_at}))

    @contextmanager
    def _begin(self, *, writes: bool = False) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(keyatlas_writes=writes) as connection, connection.begin():
                yield connection
        except exc.IntegrityError:
            raise
        except exc.SQLAlchemyError as failure:
            # Its text quotes statements and values, and a driver's may quote the URL: only its kind is told.
            place = self._engine.url.render_as_string(hide_password=True)
            kind = type(getattr(failure, "orig", None) or failure).__name__
            raise StoreError(
                f"database {place} failed ({kind})", advice="check that it is there and writable"
            ) from None


def _engine(url: str | sa.URL) -> sa.Engine:
    try:
        asked = sa.make_url(url)
        is_sqlite = asked.get_backend_name() == "sqlite"
        # No pool: a handle that is kept would outlive a fork, and SQLite's locks do not survive one.
        engine = sa.create_engine(
            asked, poolclass=sa.NullPool, connect_args={"timeout": _BUSY_SECONDS} if is_sqlite else {}
        )
    except (exc.ArgumentError, ModuleNotFoundError) as failure:
        kind = type(failure).__name__
        raise ConfigError(f"no such database ({kind})", advice="check its URL and install its driver") from None
    if is_sqlite:
        # Python's driver begins transactions late and never for DDL; ours begin when they say so, and a writer
        # takes its lock first, so that two upgrades cannot both read "no table yet".
        sa.event.listen(engine, "connect", _driver_begins_nothing)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _driver_begins_nothing(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("keyatlas_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("select version_num from alembic_version")).scalar_one_or_none()


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_UPGRADE_LOCK)))
    config = Config()
    # A percent sign would be read as ConfigParser's interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as failure:
        raise StoreError("the workspace was written by a newer version", advice="update keyatlas") from failure
