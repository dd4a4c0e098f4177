"""The names of services: every word that a rule asks for near its value, but those that are words of any text.

Vendors change the form of their keys, and a value of chance right beside a service's name is worth a look in any form.
Refuses to: take a word of less than five letters, or one that says secret rather than whose.

>>> names(["stripe", "key", "front app", "canvas", "algolia"], ["canvas"])
('algolia', 'stripe')
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

EVERY: Final = "any service"
"""Stands in a rule's `near` for all of them."""
# What says what a value is, not whose.
_SAYS: Final = re.compile(r"key|secret|token|pass|auth|cred|hash|seed|wallet|mnemonic|salt|sign|hmac|bearer|login|user")


def names(words: Iterable[str], ordinary: Iterable[str] = (), services: Iterable[str] = ()) -> tuple[str, ...]:
    """The words that name a service and little else, sorted; `ordinary` are those that name other things too.

    `services` are known to be names, whatever they say: `userstack`, `loginradius`.
    """
    found = {word.lower() for word in words if len(word) >= 5 and word.isalnum()}
    return tuple(sorted({word for word in found - {*ordinary} if not _SAYS.search(word)} | {*services}))
