"""What the scanner says of one finding; light to load, for a second run that scans nothing.

Refuses to: hold the value.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hit:
    """A confirmed finding at one place of one blob."""

    rule: str
    uid: str
    name: bytes
    offset: int
    line: int
    column: int | None
    end_column: int | None
    preview: str
    confidence: float
    reasons: tuple[str, ...]
    facts: tuple[str, ...] = ()
    wrapped: tuple[str, ...] = ()
    """What it was unwrapped from, outermost first: `zip:conf/app.ini`, `base64`."""
    mark: str = ""
    """By which a baseline knows the value."""
    wish: tuple[str | None, str | None] | None = None
    """Reason and date of a suppression beside it."""
