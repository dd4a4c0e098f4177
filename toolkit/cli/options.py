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
    return click.option("--as-of", type=TIMES, default=None, help=said)(command)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """A date or time in ISO 8601; UTC where it names no offset."""

    name = "DATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The moment, as UTC."""
        from datetime import UTC, datetime

        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is no date or time: write 2026-11-30 or 2026-11-30T14:00:00Z (UTC)", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


TIMES: Final = Moment()


def fail_on(default: str) -> Callable[[Command], Command]:
    """`--fail-on`."""
    said = f"Exit with 1 on findings of this severity or a greater one: {', '.join(SEVERITIES)}."
    kinds = click.Choice(SEVERITIES)
    return click.option("--fail-on", type=kinds, default=default, show_default=True, metavar="SEVERITY", help=said)
