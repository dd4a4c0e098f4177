"""Tables: one schema, no loss, empty ones included."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import tables
from toolkit.errors import StoreError
from toolkit.tables import COLUMNS, ROW_TABLES, Builder, Inventory

HOUSE = Path(__file__).resolve().parents[2]
TIMES = st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TEXT = st.text(min_size=1, max_size=8)


def value_for(column: tables.Column, hint: str) -> st.SearchStrategy[object]:
    """Values a field may hold, unknown included where the model allows it."""
    if isinstance(column.kind, type):
        known: st.SearchStrategy[object] = st.sampled_from(list(column.kind))
    else:
        known = {
            tables.TEXT: TEXT,
            tables.INT: st.integers(-(2**40), 2**40),
            tables.REAL: st.floats(0, 1e9),
            tables.FLAG: st.booleans(),
            tables.TIME: TIMES,
            tables.TEXTS: st.lists(TEXT, max_size=3).map(tuple),
        }[column.kind]
    return known | st.none() if "None" in hint else known


def rows(table: str) -> st.SearchStrategy[list[object]]:
    """Lists of rows of one class."""
    row_class = {name: cls for cls, name in ROW_TABLES.items()}[table]
    hints = {field.name: str(field.type) for field in dataclasses.fields(row_class)}
    columns = {column.name: value_for(column, hints[column.name]) for column in COLUMNS[table]}
    return st.lists(st.builds(row_class, **columns), max_size=6)


@pytest.mark.parametrize("table", COLUMNS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rows_go_through_a_parquet_file_and_come_back_as_they_were(table, data):
    """Nothing is lost or changed between rows, table, file, table and rows."""
    given_rows = data.draw(rows(table))
    frame = tables.to_frame(table, given_rows)

    again = tables.from_parquet(table, tables.to_parquet(table, tables.arrow_of(table, frame)))

    pd.testing.assert_frame_equal(frame, again)
    assert given_rows == list(tables.rows_of(table, again))


@pytest.mark.parametrize("table", COLUMNS)
def test_an_empty_table_has_the_same_dtypes_as_a_full_one(table):
    """Code that works on a full table works on an empty one."""
    empty = tables.to_frame(table, [])
    again = tables.from_parquet(table, tables.to_parquet(table, tables.arrow_of(table, empty)))
    pd.testing.assert_frame_equal(empty, again)
    assert {c.name: c.dtype for c in COLUMNS[table]} == dict(empty.dtypes)


@pytest.mark.parametrize(("row_class", "table"), ROW_TABLES.items())
def test_columns_are_the_fields_of_the_row_in_any_order_of_definition(row_class, table):
    """The model and the schema cannot drift apart: same names, same kinds, same vocabulary."""
    hints = typing.get_type_hints(row_class)
    columns = {column.name: column for column in COLUMNS[table]}
    assert set(hints) == set(columns)
    for name, hint in hints.items():
        kinds = [part for part in typing.get_args(hint) or (hint,) if part is not type(None)]
        wanted = columns[name].kind
        if isinstance(wanted, type) and issubclass(wanted, StrEnum):
            assert wanted in kinds
        elif wanted == tables.TEXTS:
            assert "tuple" in str(hint)
        else:
            assert {tables.TEXT: str, tables.INT: int, tables.REAL: float, tables.FLAG: bool, tables.TIME: datetime}[
                wanted
            ] in kinds


def test_every_column_says_what_it_means():
    """The reference in the docs is made from these sentences."""
    assert [] == [c.name for columns in COLUMNS.values() for c in columns if len(c.says) < 3]


def test_the_column_reference_is_the_generated_one():
    """`toolkit/COLUMNS.md` is what `python -m toolkit.tables` prints."""
    assert tables.reference() == (HOUSE / "toolkit" / "COLUMNS.md").read_text()


def test_a_table_with_an_unknown_column_is_refused():
    """A column is never dropped in silence."""
    odd = tables.to_arrow("gaps", []).append_column("more", pa.array([], pa.string()))
    with pytest.raises(StoreError, match="more"):
        tables.frame_of("gaps", odd)


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    """Bad input gets a clear error."""
    (tmp_path / "keys.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(StoreError, match="keys"):
        tables.from_parquet("keys", tmp_path / "keys.parquet")


@settings(max_examples=20, deadline=None)
@given(data=st.data(), flush_at=st.integers(1, 4))
def test_a_builder_gives_the_same_table_whatever_its_chunks(data, flush_at):
    """Chunking is invisible."""
    given_rows = data.draw(rows("secrets"))
    builder = Builder(flush_at=flush_at)
    for row in given_rows:
        builder.add(row)
    other = Builder()
    other.extend(builder)
    pd.testing.assert_frame_equal(tables.to_frame("secrets", given_rows), Inventory.of(other).secrets)
