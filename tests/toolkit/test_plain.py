"""Tables as text: whole names, no line wider than the terminal if it can be helped, nothing that steers it."""

from __future__ import annotations

import pandas as pd
import pytest

from toolkit.narrative import plain

SENTENCE = "A key that wraps and decrypts shows in clear what it wrapped, so it does one of them."


@pytest.fixture
def rules():
    return pd.DataFrame(
        {
            "pack": ["pkcs11_custody", "nist_sp800_57"],
            "rule": ["wraps-or-encrypts", "signature-key-used-past-end"],
            "severity": ["very-high", "high"],
            "FAIL": pd.array([3, None], dtype="Int64"),
            "excepted": pd.array([None, None], dtype="Int64"),
            "says": [SENTENCE, SENTENCE],
        }
    )


def lines(frame, width=None):
    return [line for block in plain.blocks(frame, width=width) for line in block]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_table_fits_the_terminal_and_keeps_every_word(rules, width):
    """Folded or stacked, nothing is cut and no line is wider than the window."""
    told = lines(rules, width)

    assert max(map(len, told)) <= width
    words = " ".join(told).split()
    for name in ("pkcs11_custody", "wraps-or-encrypts", "signature-key-used-past-end", *SENTENCE.split()):
        assert name in words


def test_a_name_is_never_cut_where_its_column_is_narrower():
    """Half a locator cannot be copied: the row becomes a record, and the name has a line of its own."""
    name = "file:///srv/" + "a%20folder/" * 12 + "key.pem"
    told = lines(pd.DataFrame({"collector": ["keyfiles"], "says": [SENTENCE], "locator": [name]}), 80)

    assert name in " ".join(told).split()
    assert max(len(line) for line in told if name not in line) <= 80


def test_what_a_first_column_goes_on_with_hangs_back():
    """A folded line is not taken for the next row."""
    told = lines(pd.DataFrame({"says": [SENTENCE, SENTENCE]}), 60)

    assert 2 == sum(line.startswith("A key") for line in told)
    assert 2 == sum(line.startswith("  ") for line in told)


def test_a_pipe_has_a_row_a_line(rules):
    """What a script looks for stands on one line with its name."""
    told = lines(rules)

    assert 1 + len(rules) == len(told)
    assert SENTENCE in told[1]


def test_a_column_that_says_nothing_is_left_out(rules):
    """Nobody reads an empty column; it costs the room of one that says something."""
    assert "excepted" not in lines(rules)[0]


def test_what_steers_a_terminal_is_spelled_out():
    """A name from outside neither colours the window nor starts a line of its own."""
    told = lines(pd.DataFrame({"label": ["\x1b[2Jpay\nall is well\u202e"]}))

    assert ["label", "\\x1b[2Jpay\\nall is well\\u202e"] == told


def test_times_numbers_and_what_is_unknown_are_as_people_write_them():
    """A day without its midnight, no digits that mean nothing, nothing for nothing."""
    day, noon = pd.Timestamp("2030-12-31", tz="UTC"), pd.Timestamp("2026-11-27 12:00:01.5", tz="UTC")

    assert ["2030-12-31", "2026-11-27 12:00"] == [plain.cell(day), plain.cell(noon)]
    assert ["0", "51.15", "1,234.5", "3"] == [plain.cell(value) for value in (7.9e-05, 51.154, 1234.5, 3)]
    assert ["", "", "", ""] == [plain.cell(value) for value in (None, pd.NA, pd.NaT, float("nan"))]
    assert "a, b" == plain.cell(("a", "b"))
