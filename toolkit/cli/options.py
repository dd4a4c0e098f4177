"""Options that several commands share, and the exit codes.

Refuses to: import a verb; what is loaded for `--help` is click alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click

FOUND, INCOMPLETE, FAILED, STOPPED = 1, 3, 4, 130
SEVERITIES: Final = ("very-low", "low", "moderate", "high", "very-high", "never")
CODES: Final = (
    "Exit codes: 0 clean; 1 findings at or above --fail-on, or a run quarantined; 2 wrong usage; "
    "3 incomplete coverage with --strict; 4 failed; 130 stopped by Ctrl-C."
)

Command = Callable[..., Any]


def workspace(command: Command) -> Command:
    """`--workspace`."""
    said = "The folder that runs are kept in."
    return click.option("-w", "--workspace", default=".keyatlas", show_default=True, help=said)(command)


def as_json(command: Command) -> Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def as_of(command: Command) -> Command:
    """`--as-of`."""
    said = "Judge as of this date or time (ISO 8601, UTC); now if not given."
    return click.option("--as-of", type=click.DateTime(TIMES), default=None, help=said)(command)


TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]


def utc(moment: Any) -> Any:
    """A time from the command line, which is UTC; None stays None."""
    from datetime import UTC

    return moment if moment is None else moment.replace(tzinfo=UTC)
