"""Text from outside, as people are shown it (Trojan Source, CVE-2021-42574).

Refuses to: let a name steer what shows it, or look like another.

>>> print(spelled("shop\\x1b[2J"))
shop\\x1b[2J
"""

from __future__ import annotations


def spelled(text: str) -> str:
    """The text, with all that cannot be seen spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
