"""A scan as text for people, and as plain data for machines.

Refuses to: colour what goes into a pipe, or let a name from a repository steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from toolkit.model import Gap, Secret
from toolkit.scanning import Scan
from toolkit.visible import spelled

_COLOURS: Final = {"very-high": "bright_red", "high": "red", "moderate": "yellow", "low": "cyan", "very-low": "white"}


def lines(told: Scan, *, show_suppressed: bool) -> Iterator[tuple[str, str | None]]:
    """Lines and the colour of each."""
    is_one = len({row.target for row in [*told.findings, *told.suppressed]}) < 2
    for finding in told.findings:
        yield (
            f"{'' if is_one else spelled(finding.target) + ' '}{_place(finding)}  {finding.title}",
            _COLOURS[finding.severity.value],
        )
        yield f"    {_facts(finding)}", None
        yield f"    why: {spelled('; '.join(_reasons(finding)))}", None
        if finding.first_commit:
            yield f"    {_story(finding)}", None
    if show_suppressed:
        for row in told.suppressed:
            until = f"{row.suppressed_until:%Y-%m-%d}" if row.suppressed_until else "?"
            yield f"{_place(row)}  {row.title}: passed over until {until} ({spelled(row.suppression or '')})", "white"
    for gap in told.gaps:
        yield f"not seen: {spelled(gap.locator)}: {spelled(gap.reason)}", "yellow"


def summary(told: Scan) -> str:
    """One line that ends the scan."""
    found = len(told.findings)
    parts = ["nothing found" if not found else f"{found:,} finding{'s' if found > 1 else ''}"]
    if told.suppressed:
        parts.append(f"{len(told.suppressed):,} passed over by suppression")
    if told.gaps:
        parts.append(f"{len(told.gaps):,} thing{'s' if len(told.gaps) > 1 else ''} not seen")
    return ", ".join(parts)


def document(told: Scan) -> dict[str, Any]:
    """The scan as plain data: every field of every row by its name (toolkit/COLUMNS.md)."""
    return {
        "findings": [_row(row) for row in told.findings],
        "suppressed": [_row(row) for row in told.suppressed],
        "gaps": [_row(row) for row in told.gaps],
    }


def _reasons(row: Secret) -> Sequence[str]:
    """Why it is a finding, but for what its title says already."""
    reasons = row.reasons or ()
    return [reason for reason in reasons if reason != f"has the form of: {row.title}"] or reasons


def _place(row: Secret) -> str:
    place = spelled(row.path) if row.path is not None else spelled(row.locator)
    column = f":{row.column}" if row.column is not None else ""
    return f"{place}:{row.line or 0}{column}"


def _facts(row: Secret) -> str:
    parts = [
        f"{row.severity.value}, confidence {row.confidence:.2f}",
        f"rule {row.rule}",
        f"value {spelled(row.preview)}",
    ]
    if row.gives:
        parts.append(f"gives {row.gives}")
    parts += [spelled(fact) for fact in row.facts or ()]
    if (row.occurrences or 1) > 1:
        parts.append(f"in {row.occurrences:,} places")
    if row.liveness is not None:
        parts.append(f"its service says: {row.liveness.value}")
    return " · ".join(parts)


def _story(row: Secret) -> str:
    when = f"{row.first_seen_at:%Y-%m-%d}" if row.first_seen_at else "?"
    now = "still there" if row.is_current else f"gone from HEAD, last in {(row.last_commit or '?')[:12]}"
    subject = f" “{spelled(row.first_subject)}”" if row.first_subject else ""
    return f"since {when}, {(row.first_commit or '')[:12]} by {spelled(row.first_author or '?')}{subject}; {now}"


def _row(row: Secret | Gap) -> dict[str, Any]:
    return {f.name: _value(getattr(row, f.name)) for f in fields(row)}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
