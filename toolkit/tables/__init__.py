"""Rows to tables and back: the one place that knows the dtype, unit and meaning of every column.

A table is a pandas DataFrame with the columns of one row class, in order: Arrow-backed strings and lists, nullable
integers and booleans, categoricals over the closed vocabularies, aware UTC timestamps in microseconds. An empty
table has the same columns and dtypes. Tables go through Parquet without loss.

Refuses to: guess a type, drop a column it does not know, or hold anything that `toolkit.model` has no field for.

>>> frame = to_frame("gaps", [])
>>> str(frame["status"].dtype), len(frame)
('category', 0)
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit import model
from toolkit.errors import StoreError
from toolkit.tables.columns import (
    COLUMNS,
    FLAG,
    INT,
    REAL,
    ROW_TABLES,
    ROWS,
    RUN_TABLES,
    TEXT,
    TEXTS,
    TIME,
    Column,
    reference,
)

__all__ = [
    "COLUMNS", "FLAG", "INT", "REAL", "ROW_TABLES", "RUN_TABLES", "TEXT", "TEXTS", "TIME", "Builder", "Column",
    "Inventory", "arrow_of", "frame_of", "from_parquet", "reference", "rows_of", "schema", "to_arrow", "to_frame",
    "to_parquet",
]  # fmt: skip


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table, as it stands in a Parquet file."""
    return pa.schema([(column.name, column.arrow) for column in COLUMNS[table]])


class Builder:
    """Gathers rows into Arrow chunks, so that a million rows never lie about as a million objects."""

    __slots__ = ("_chunks", "_flush_at", "_rows")

    def __init__(self, flush_at: int = 20_000) -> None:
        self._rows: dict[str, list[Any]] = {table: [] for table in COLUMNS}
        self._chunks: dict[str, list[pa.Table]] = {table: [] for table in COLUMNS}
        self._flush_at = flush_at

    def add(self, row: model.Row | model.Reading) -> None:
        """Take a row.

        Raises:
            KeyError: the row is of no known class.
        """
        table = ROW_TABLES[type(row)]
        rows = self._rows[table]
        rows.append(row)
        if len(rows) >= self._flush_at:
            self._flush(table)

    def extend(self, other: Builder) -> None:
        """Take all that another builder holds, leaving it empty."""
        for table in COLUMNS:
            other._flush(table)
            self._chunks[table] += other._chunks[table]
            other._chunks[table] = []

    def arrow(self, table: str) -> pa.Table:
        """The table so far."""
        self._flush(table)
        chunks = self._chunks[table]
        return pa.concat_tables(chunks) if chunks else schema(table).empty_table()

    def _flush(self, table: str) -> None:
        rows = self._rows[table]
        if rows:
            self._chunks[table].append(_to_arrow(table, rows))
            self._rows[table] = []


def to_arrow(table: str, rows: Iterable[object]) -> pa.Table:
    """Rows of one class as an Arrow table."""
    return _to_arrow(table, list(rows))


def _to_arrow(table: str, rows: list[Any]) -> pa.Table:
    arrays = [
        pa.array([getattr(row, column.name) for row in rows], TEXT).dictionary_encode()
        if isinstance(column.kind, type)
        else pa.array([getattr(row, column.name) for row in rows], column.kind)
        for column in COLUMNS[table]
    ]
    names = [column.name for column in COLUMNS[table]]
    # dictionary_encode gives int32 indices; the file's schema says int8, and a vocabulary is small enough.
    return pa.table(arrays, names=names).cast(schema(table))


def to_frame(table: str, rows: Iterable[object]) -> pd.DataFrame:
    """Rows of one class as a DataFrame with the table's dtypes."""
    return frame_of(table, to_arrow(table, rows))


def frame_of(table: str, data: pa.Table) -> pd.DataFrame:
    """An Arrow table as a DataFrame with the table's dtypes.

    Raises:
        StoreError: a column is missing or unknown.
    """
    columns = COLUMNS[table]
    if data.column_names != [column.name for column in columns]:
        odd = sorted({column.name for column in columns} ^ set(data.column_names))
        raise StoreError(f"table {table} has other columns than this version: {', '.join(odd)}", advice="collect again")
    data = data.cast(schema(table))  # Parquet renames a list's inner field and widens dictionary codes
    return pd.DataFrame({column.name: _series(column, data[column.name]) for column in columns})


def _series(column: Column, data: pa.ChunkedArray) -> pd.Series[Any]:
    if isinstance(column.kind, type):
        # Codes are taken over, not text: the chunks' dictionaries are tiny and the rows are many.
        data = data.unify_dictionaries().combine_chunks()
        if isinstance(data, pa.ChunkedArray):
            data = pa.concat_arrays(data.chunks) if data.num_chunks else pa.array([], column.arrow)
        known = column.dtype.categories  # type: ignore[attr-defined]  # a CategoricalDtype here
        position = known.get_indexer(data.dictionary.to_pandas())
        codes = data.indices.to_pandas()
        values = codes.map(dict(enumerate(position))).fillna(-1).astype("int8")
        return pd.Series(pd.Categorical.from_codes(values, dtype=pd.CategoricalDtype(known, ordered=True)))
    # pandas' merge fails on an Arrow column that has no chunk at all.
    data = data if data.num_chunks else pa.chunked_array([pa.array([], column.arrow)])
    mapper = None if column.kind == TIME else {column.kind: column.dtype}.get
    series: pd.Series[Any] = data.to_pandas(types_mapper=mapper)
    return series.astype(column.dtype) if column.kind == TIME else series


def arrow_of(table: str, frame: pd.DataFrame) -> pa.Table:
    """A DataFrame as an Arrow table of the table's schema."""
    arrays = [_plain(pa.array(frame[c.name], from_pandas=True)) for c in COLUMNS[table]]
    return pa.table(arrays, names=[c.name for c in COLUMNS[table]]).cast(schema(table))


def _plain(array: Any) -> Any:
    """Lists that a column holds as codes, as lists: Arrow casts texts from codes, but not lists."""
    if not (pa.types.is_dictionary(array.type) and pa.types.is_list(array.type.value_type)):
        return array
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return pa.chunked_array([chunk.dictionary_decode() for chunk in chunks], array.type.value_type)


def rows_of(table: str, frame: pd.DataFrame) -> Iterator[Any]:
    """The rows again, as they were."""
    row_class = ROWS[table]
    kinds = {c.name: c.kind for c in COLUMNS[table]}
    enums = {f.name: _member(kinds[f.name]) for f in fields(row_class)}
    for record in arrow_of(table, frame).to_pylist():
        yield row_class(**{name: enums[name](value) for name, value in record.items()})


def _member(kind: Any) -> Any:
    if isinstance(kind, type):
        return lambda value: None if value is None else kind(value)
    if kind == TEXTS:
        return lambda value: None if value is None else tuple(value)
    return lambda value: value


def to_parquet(table: str, data: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file (zstd)."""
    sink = io.BytesIO()
    pq.write_table(data.cast(schema(table)), sink, compression="zstd")
    return sink.getvalue()


def from_parquet(table: str, source: Path | bytes) -> pd.DataFrame:
    """The DataFrame in a Parquet file.

    Raises:
        StoreError: it is no Parquet file, or has other columns.
    """
    try:
        data = pq.read_table(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (pa.ArrowInvalid, OSError) as failure:
        raise StoreError(f"no Parquet table: {table}", advice="restore the file from a backup") from failure
    return frame_of(table, data)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The tables of one or several runs, as DataFrames.

    `runs` maps each run id to the digest of its manifest, so that what is said of the inventory can be retraced;
    it is empty for an inventory that was never stored.
    """

    keys: pd.DataFrame
    certificates: pd.DataFrame
    tokens: pd.DataFrame
    credentials: pd.DataFrame
    secrets: pd.DataFrame
    access: pd.DataFrame
    relations: pd.DataFrame
    usages: pd.DataFrame
    gaps: pd.DataFrame
    readings: pd.DataFrame
    runs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, builder: Builder, runs: dict[str, str] | None = None) -> Inventory:
        """The inventory that a builder holds."""
        return cls(**{table: frame_of(table, builder.arrow(table)) for table in RUN_TABLES}, runs=runs or {})

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables by its name."""
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def __repr__(self) -> str:
        held = [name for name in RUN_TABLES if name == "keys" or len(self.table(name))]
        counts = ", ".join(f"{len(self.table(name)):,} {name}" for name in held)
        return f"<Inventory: {counts}>"
