"""Writes tables in the forms that others read: `csv`, `jsonl`, `parquet`; one file a table, in a folder of its own.

In CSV a cell that a spreadsheet would run (=, +, -, @, tab and their wide forms first) gets an apostrophe before it,
lists are joined with "; ", times are ISO 8601 in UTC; unknown is an empty cell without quotes.

Refuses to: write into a folder that holds anything. It is there whole, for its owner only, or not at all.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from toolkit.errors import ConfigError
from toolkit.store import folder
from toolkit.tables import RUN_TABLES, Inventory

# OWASP "CSV Injection": these start a formula in Excel, LibreOffice or Google Sheets, some after blanks.
_FORMULA: Final = r"^[\s\x00]*[=+\-@\t\r\n＝＋－＠|%]"


def export(tables: Inventory | Mapping[str, pd.DataFrame], form: str, path: Path) -> Path:
    """Write the tables; the folder they are in.

    Raises:
        ConfigError: there is no such form, or the folder is there and not empty.
        StoreError: it cannot be written.
    """
    if form not in _FORMS:
        raise ConfigError(f"no form is called {form}", advice=f"use one of: {', '.join(_FORMS)}")
    frames = {name: tables.table(name) for name in RUN_TABLES} if isinstance(tables, Inventory) else tables
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise ConfigError(f"{path} is there already", advice="name a new folder")
    with folder.refusing(f"write {path}"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=folder.UNFINISHED, ignore_cleanup_errors=True) as made:
            whole = Path(made) / "whole"
            whole.mkdir(mode=0o700)
            for name, frame in frames.items():
                folder.write_new(whole / f"{name}.{form}", _FORMS[form](frame))
            folder.sync(whole)
            whole.rename(path)
        folder.sync(path.parent)
    return path


def _csv(frame: pd.DataFrame) -> bytes:
    data = _arrow(frame)
    plain = pa.table([_told(column) for column in data.columns], names=data.column_names)
    sink = io.BytesIO()
    pacsv.write_csv(plain, sink)
    return sink.getvalue()


def _told(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as a spreadsheet takes it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_timestamp(kind):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        column, kind = pc.binary_join(column.cast(pa.list_(pa.string())), "; "), pa.string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = column.cast(pa.string())
        harmful = pc.match_substring_regex(column, _FORMULA)
        return pc.if_else(harmful, pc.binary_join_element_wise("'", column, ""), column)
    return column


def _jsonl(frame: pd.DataFrame) -> bytes:
    told: Any = frame.to_json(orient="records", lines=True, date_format="iso", date_unit="us", force_ascii=False)
    return str(told).encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    pq.write_table(_arrow(frame), sink, compression="zstd")
    return sink.getvalue()


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


_FORMS: Final[dict[str, Callable[[pd.DataFrame], bytes]]] = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
