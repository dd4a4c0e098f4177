"""Small words: plurals, lists, the name of a kind of key, and of a place, the standing of a clause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

import pandas as pd


def how_many(number: int, noun: str, plural: str = "") -> str:
    """A number and its noun.

    >>> how_many(1, "key"), how_many(2_000, "key")
    ('1 key', '2,000 keys')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def is_are(number: int) -> str:
    """The verb that goes with a number."""
    return "is" if number == 1 else "are"


def listed(names: Sequence[str]) -> str:
    """Names in a row.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


_MARKS: Final = {"S": "second hand", "K": "unverified"}


def standing(mark: object, is_draft: object) -> tuple[str, ...]:
    """How far a clause may be relied on, beyond being in force and read in the document itself, which is no word.

    >>> standing("K", True), standing("P", False)
    (('draft', 'unverified'), ())
    """
    # A flag that is unknown (pd.NA) has no truth of its own.
    draft = ("draft",) if not pd.isna(is_draft) and is_draft else ()  # type: ignore[call-overload]  # a scalar
    return (*draft, *((_MARKS[str(mark)],) if str(mark) in _MARKS else ()))


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows of a short frame, their cells as attributes."""
    yield from frame.itertuples()


def kind_of(row: Any) -> str:
    """What kind of key a row of `tk.keys` is: algorithm with its size or parameter, then the half that is there."""
    algorithm = "unknown algorithm" if pd.isna(row.algorithm) else str(row.algorithm)
    more = row.parameter if not pd.isna(row.parameter) else row.size_bits
    name = algorithm if pd.isna(more) or str(more) in algorithm else f"{algorithm} {more}"
    # ML-KEM's parameter set, "ML-KEM-768", says the algorithm itself.
    name = str(more) if isinstance(more, str) and more.startswith(algorithm) else name
    return f"{name}, {str(row.key_type).replace('-', ' ')}"


def called(label: object, locator: object) -> str:
    """What a person knows a key by: its label where it has one, and its place.

    >>> called("pay", "file:///etc/a.pem"), called("pay", "file:///etc/pay.pem")
    ('pay, /etc/a.pem', '/etc/pay.pem')
    """
    place = "" if pd.isna(locator) else place_of(locator)  # type: ignore[call-overload]  # a scalar
    # A token's object, and many a file, is named so already.
    is_told = pd.isna(label) or str(label) in place  # type: ignore[call-overload]  # a scalar
    return place if is_told else ", ".join(filter(None, (str(label), place)))


def place_of(locator: object) -> str:
    """A place as people name it: a file by its path, an object on a token by the two names (RFC 7512).

    >>> place_of("file:///etc/a.pem")
    '/etc/a.pem'
    >>> place_of("pkcs11:token=code%20signing;serial=1;manufacturer=X;id=%02;object=release;type=private")
    'token code signing, private release'
    """
    whole = str(locator)
    if not whole.startswith("pkcs11:token="):
        return whole.removeprefix("file://")
    parts = {name: unquote(value) for name, _, value in (part.partition("=") for part in whole[7:].split(";"))}
    # Without a label the id, in its escaped form: it may be any bytes.
    escaped = next((part for part in whole.split(";") if part.startswith("id=")), "")
    name = " ".join(filter(None, [parts.get("type"), parts.get("object") or escaped]))
    return f"token {parts['token']}" + (f", {name}" if name else "")
