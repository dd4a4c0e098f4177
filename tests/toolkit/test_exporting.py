"""Tables in other forms: nothing lost, nothing a spreadsheet would run, whole or not at all."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import exporting, tables
from toolkit.errors import ConfigError, StoreError
from toolkit.model import Key
from toolkit.tables import RUN_TABLES, Builder, Inventory
from toolkit.terms import KeyFunction, KeyType


@pytest.fixture
def inventory():
    builder = Builder()
    place = {"collector": "keyfiles", "target": "file:///srv", "locator": "file:///srv/a.pem"}
    builder.add(
        Key(
            key_uid="spki:1", key_type=KeyType.PRIVATE_KEY, label="=cmd|' /C calc'!A0", size_bits=2048,
            functions=(KeyFunction.SIGN, KeyFunction.DECRYPT), created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            **place,
        )
    )  # fmt: skip
    builder.add(Key(key_uid="spki:2", key_type=KeyType.PUBLIC_KEY, label="two\nlines, and a comma", **place))
    return Inventory.of(builder)


def test_every_table_becomes_a_private_file(inventory, tmp_path):
    """An export is one file a table, for its owner only."""
    made = exporting.export(inventory, "csv", tmp_path / "out")

    assert sorted(f"{table}.csv" for table in RUN_TABLES) == sorted(file.name for file in made.iterdir())
    assert {0o600} == {file.stat().st_mode & 0o777 for file in made.iterdir()}
    assert made.stat().st_mode & 0o777 == 0o700
    assert [made] == list(tmp_path.iterdir())


def test_csv_reads_back_with_lists_times_and_unknowns(inventory, tmp_path):
    """Lists are joined, times end in Z, unknown is empty, and a line break stays in its cell."""
    made = exporting.export(inventory, "csv", tmp_path / "out")

    first, second = csv.DictReader((made / "keys.csv").read_text().splitlines(keepends=True))

    assert first["functions"] == "sign; decrypt"
    assert first["created_at"][:19] == "2026-01-02T03:04:05"
    assert first["created_at"].endswith("Z")
    assert (second["functions"], second["created_at"], second["size_bits"]) == ("", "", "")
    assert second["label"] == "two\nlines, and a comma"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_no_cell_begins_a_formula(text):
    """Whatever a label is, a spreadsheet takes its CSV cell for text."""
    written = exporting._csv(pd.DataFrame({"label": pd.array([text], dtype="string[pyarrow]")})).decode()

    [cell] = next(iter(list(csv.reader([written.split("\n", 1)[1]])) or [[""]]))[:1] or [""]

    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))


def test_negative_numbers_stay_numbers():
    """Only text can be a formula."""
    assert exporting._csv(pd.DataFrame({"x": [-5]})) == b'"x"\n-5\n'


def test_jsonl_and_parquet_keep_types(inventory, tmp_path):
    """Lists stay lists and unknown stays null where the form can say so."""
    lines = (exporting.export(inventory, "jsonl", tmp_path / "j") / "keys.jsonl").read_text().splitlines()
    kept = exporting.export(inventory, "parquet", tmp_path / "p") / "keys.parquet"

    assert json.loads(lines[0])["functions"] == ["sign", "decrypt"]
    assert json.loads(lines[1])["size_bits"] is None
    pd.testing.assert_frame_equal(inventory.keys, tables.frame_of("keys", pq.read_table(kept)))


def test_a_folder_that_holds_something_is_refused(inventory, tmp_path):
    """Nobody's files are overwritten."""
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(ConfigError, match="there already"):
        exporting.export(inventory, "csv", tmp_path)

    assert (tmp_path / "mine").read_text() == "mine"


def test_a_failed_export_leaves_nothing(inventory, tmp_path, monkeypatch):
    """Half an export is none."""
    written = exporting.folder.write_new

    def full(path, content):
        if path.name == "secrets.csv":
            raise OSError(28, "No space left on device")
        written(path, content)

    monkeypatch.setattr(exporting.folder, "write_new", full)

    with pytest.raises(StoreError, match="No space left"):
        exporting.export(inventory, "csv", tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_form_names_those_there_are(inventory, tmp_path):
    """The error says what to use."""
    with pytest.raises(ConfigError, match="csv, jsonl, parquet"):
        exporting.export(inventory, "xlsx", tmp_path / "out")
