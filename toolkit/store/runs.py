"""A run on disk: one Parquet file a table, and a manifest with the SHA-256 of each.

Refuses to: change a run, or read a file of one before its digest is found right. What is hashed is what is parsed.

>>> moment = began(new_run_id(now=datetime(2026, 11, 23, 20, 30, tzinfo=UTC)))
>>> moment.isoformat()
'2026-11-23T20:30:00+00:00'
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import ConfigError, RunTampered, StoreError
from toolkit.store import folder
from toolkit.tables import RUN_TABLES, schema, to_parquet

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
_RUN_ID: Final = re.compile(r"(\d{8}T\d{6}\.\d{6})Z-[0-9a-f]{6}")
_STAMP: Final = "%Y%m%dT%H%M%S.%f"
_MAKERS: Final = ("keyatlas", "pandas", "pyarrow", "cryptography")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is registered of a run. `is_missing`: it was registered, and its folder is gone."""

    run_id: str
    started_at: datetime
    finished_at: datetime
    collectors: tuple[str, ...]
    targets: int
    gaps: int
    manifest_sha256: str
    is_missing: bool = False


def new_run_id(*, now: datetime | None = None) -> str:
    """A name that sorts by time and that no other process makes: `20261123T203000.123456Z-8f3a2c`."""
    return f"{(now or datetime.now(UTC)).astimezone(UTC).strftime(_STAMP)}Z-{secrets.token_hex(3)}"


def began(run_id: str) -> datetime:
    """When a run began, as its id says.

    Raises:
        ConfigError: it is no run id. It becomes a folder's name, so nothing else may pass.
    """
    match = _RUN_ID.fullmatch(run_id)
    if match is None:
        raise ConfigError(f"no run id: {run_id!r}", advice="take one from Workspace.runs()")
    try:
        return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError as failure:
        raise ConfigError(f"no run id: {run_id!r}", advice="take one from Workspace.runs()") from failure


def is_run_id(name: str) -> bool:
    """Whether a folder of this name holds a run."""
    return _RUN_ID.fullmatch(name) is not None


def versions() -> dict[str, str | None]:
    """The versions of what reads, shapes and writes; None where it is not installed as a package."""
    told: dict[str, str | None] = {"python": platform.python_version()}
    for name in _MAKERS:
        try:
            told[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            told[name] = None
    return told


def write(draft: Path, head: Mapping[str, Any], data: Mapping[str, pa.Table]) -> bytes:
    """Write the files of a run into an unfinished folder, the manifest last; the manifest."""
    files = {}
    for table in RUN_TABLES:
        content = to_parquet(table, data[table])
        folder.write_new(draft / _file(table), content)
        files[_file(table)] = {"sha256": _sha256(content), "bytes": len(content), "rows": data[table].num_rows}
    counts = {"targets": data["readings"].num_rows, "gaps": data["gaps"].num_rows}
    manifest = json.dumps({"format": FORMAT, **head, **counts, "files": files}, indent=2, sort_keys=True) + "\n"
    folder.write_new(draft / MANIFEST, manifest.encode())
    folder.sync(draft)
    return manifest.encode()


def run_of(run_id: str, manifest: bytes) -> Run:
    """What a manifest says of its run.

    Raises:
        RunTampered: it is no manifest, or another run's.
        StoreError: its format is newer than this version.
    """
    try:
        told = json.loads(manifest)
        if told["format"] > FORMAT:
            raise StoreError(f"run {run_id} has format {told['format']}", advice="update keyatlas")
        run = Run(
            run_id=told["run_id"],
            started_at=datetime.fromisoformat(told["started_at"]),
            finished_at=datetime.fromisoformat(told["finished_at"]),
            collectors=tuple(told["collectors"]),
            targets=int(told["targets"]),
            gaps=int(told["gaps"]),
            manifest_sha256=_sha256(manifest),
        )
    except (ValueError, KeyError, TypeError) as failure:
        raise _tampered(run_id, [MANIFEST]) from failure
    if run.run_id != run_id:
        raise _tampered(run_id, [MANIFEST])
    return run


def manifest_of(place: Path) -> bytes:
    """The manifest of the run in a folder, as it stands.

    Raises:
        RunTampered: there is none.
    """
    try:
        return (place / MANIFEST).read_bytes()
    except FileNotFoundError as failure:
        raise _tampered(place.name, [MANIFEST]) from failure


def read(place: Path, run: Run, tables: Iterable[str] = RUN_TABLES) -> dict[str, pa.Table]:
    """Tables of a run, verified: its manifest against the register, its files against the manifest.

    What an older version had no table or column for is unknown in its runs: the table is empty, the column null.

    Raises:
        RunTampered: a file is changed, missing or one too many; all such files are named.
        StoreError: the tables have columns that this version does not know.
    """
    manifest = manifest_of(place)
    if _sha256(manifest) != run.manifest_sha256:
        raise _tampered(run.run_id, [MANIFEST])
    promised = {name: facts["sha256"] for name, facts in json.loads(manifest)["files"].items()}
    there = set(os.listdir(place)) - {MANIFEST}  # noqa: PTH208  # names are all that is needed
    wanted = {_file(table): table for table in tables}
    content = {name: (place / name).read_bytes() for name in wanted if name in there}
    odd = there ^ set(promised)
    odd |= {name for name, found in content.items() if _sha256(found) != promised.get(name)}
    if odd:
        raise _tampered(run.run_id, odd)
    return {
        table: _arrow(table, content[name]) if name in content else schema(table).empty_table()
        for name, table in wanted.items()
    }


def _arrow(table: str, content: bytes) -> pa.Table:
    data = pq.read_table(pa.BufferReader(content))
    names = schema(table).names
    if unknown := ", ".join(sorted(set(data.column_names) - set(names))):
        raise StoreError(f"table {table} has columns that this version does not know: {unknown}", advice="update keyatlas")  # noqa: E501  # fmt: skip
    for field in schema(table):
        if field.name not in data.column_names:
            data = data.append_column(field, pa.nulls(data.num_rows, field.type))
    # Parquet renames a list's inner field and widens dictionary codes.
    return data.select(names).cast(schema(table))


def _tampered(run_id: str, files: Iterable[str]) -> RunTampered:
    named = ", ".join(sorted(files))
    return RunTampered(f"run {run_id} is not as it was written: {named}", advice="restore the run from a backup")


def _file(table: str) -> str:
    return f"{table}.parquet"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
