"""Prints the column reference: `python -m toolkit.tables > toolkit/COLUMNS.md`."""

from toolkit.tables import reference

print(reference(), end="")  # noqa: T201  # a command's output
