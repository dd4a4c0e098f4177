"""The wildcards of policies: `*` is any run of characters, `?` is one; everything else is itself.

Compiled once, and without backtracking over what was matched, so that a hostile pattern of many stars costs no more
than an honest one.

Source: IAM user guide, "IAM JSON policy elements: Resource" and "… Action".

>>> matcher("kms:*Crypt", ignore_case=True)("KMS:Decrypt")
True
>>> matcher("arn:aws:kms:*:key/?1", ignore_case=False)("arn:aws:kms:eu-west-1:111122223333:key/x1")
True
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

# `${*}`, `${?}` and the values of variables are literal; these two stand for the signs until a pattern is compiled.
LITERAL_STAR: Final = "\ue000"
LITERAL_MARK: Final = "\ue001"

Matcher = Callable[[str], bool]


def literal(text: str) -> str:
    """A text whose signs are no wildcards any more."""
    return text.replace("*", LITERAL_STAR).replace("?", LITERAL_MARK)


def plain(text: str) -> str:
    """The text that `literal` was made of."""
    return text.replace(LITERAL_STAR, "*").replace(LITERAL_MARK, "?")


def is_wild(text: str) -> bool:
    """Whether there is a wildcard in it."""
    return "*" in text or "?" in text


@lru_cache(maxsize=65_536)
def matcher(pattern: str, *, ignore_case: bool) -> Matcher:
    """What says whether a text fits the pattern, whole."""
    if pattern and not pattern.strip("*"):
        return _anything
    if not is_wild(pattern):
        return _equal(plain(pattern), ignore_case)
    fits = re.compile(_expression(pattern), re.DOTALL | (re.IGNORECASE if ignore_case else 0)).fullmatch
    return lambda text: fits(text) is not None


def _anything(_: str) -> bool:
    return True


def _equal(wanted: str, ignore_case: bool) -> Matcher:
    if not ignore_case:
        return wanted.__eq__
    folded = wanted.lower()
    return lambda text: text.lower() == folded


def _expression(pattern: str) -> str:
    # The leftmost place of each piece is as good as any later one, so each may be atomic: no backtracking.
    first, *middle, last = pattern.split("*") if "*" in pattern else (pattern, "")
    if "*" not in pattern:
        return _piece(first)
    inner = "".join(f"(?>.*?{_piece(piece)})" for piece in middle if piece)
    return f"{_piece(first)}{inner}.*{_piece(last)}"


def _piece(text: str) -> str:
    return "".join("." if sign == "?" else re.escape(plain(sign)) for sign in text)
