"""Asks one session's objects for what they are, with as few calls as the module allows.

Objects of a token are much alike: what many share, numbers and flags, is told once, as a *kind* with a number in the
order of telling, and each object names its kind. It saves both ends more than half of their work.

Refuses to: ask for a value that is a private or secret key's material.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from collectors._pkcs11.beginning import Failed
from collectors._pkcs11.cryptoki import FATAL, REMEMBERED, Alike, Answer, Question, Reader, named
from collectors._pkcs11.flags import FLAGS
from collectors._pkcs11.names import ASKED, CLASSES, DATES, KEY_TYPES, MECHANISMS, MORE, OWED, numbered

Fact = dict[str, Any]
_GONE: Final = 0x082  # CKR_OBJECT_HANDLE_INVALID: destroyed by somebody since it was listed
_NUMBERS: Final = {
    "CLASS": ("CKO", CLASSES), "KEY_TYPE": ("CKK", KEY_TYPES), "KEY_GEN_MECHANISM": ("CKM", MECHANISMS),
}  # fmt: skip
# CK_BBOOL: any byte but zero is true, however many a module gives; an empty value tells nothing.
_LETTERS: Final = {b"": "-", b"\0": "0", b"\1": "1", **{bytes(n): "0" for n in range(2, 16)}}
_FLAGS: Final = frozenset(FLAGS)
_SEQUENCE: Final = "30"
_ULONG: Final = struct.Struct("@L")


@dataclass(slots=True)
class _Kind:
    """What objects that are alike need once: their kind's number, their second question, what they do not tell.

    `form` is their fact as JSON, less their own values; None where more is to do for each.
    """

    number: int
    name: str
    more: Question | None
    missing: tuple[str, ...]
    form: str | None


class Asking:
    """One session's objects."""

    def __init__(self, reader: Reader, session: int, refused: Counter[tuple[str, str]]) -> None:
        self._reader, self._session, self._refused = reader, session, refused
        self._all = self._question(ASKED)
        self._undated = self._question({name: n for name, n in ASKED.items() if name not in DATES})
        self._more = {kind: self._question(names) for kind, names in MORE.items()}
        self._why: dict[tuple[str, str], str] = {}
        self._kinds: dict[Alike, _Kind] = {}
        self._told: dict[tuple[str | None, ...], int] = {}

    def _question(self, names: dict[str, int]) -> Question:
        return self._reader.question(self._session, names)

    def objects(self, handles: Iterable[int]) -> Iterator[Iterable[Fact | str]]:
        """What the module tells of each object, after its kind where that is new; nothing of one gone since listed.

        Raises:
            Failed: nothing more will come.
        """
        for handle, answer in self._all.ask_all(handles):
            found = self._otherwise(handle, answer) if isinstance(answer, Failed) else answer
            if found is not None:
                yield self._object(handle, *found)

    def _object(self, handle: int, alike: Alike, own: dict[str, str]) -> Iterable[Fact | str]:
        kind = self._kinds.get(alike)
        news: tuple[Fact, ...] = ()
        if kind is None:
            kind, news = self._kind(alike, tuple(own))
        if kind.form is not None:
            # Hexadecimal needs no escape.
            return (*news, kind.form % tuple(own.values()))
        found: Fact = dict(own)
        if "ALLOWED_MECHANISMS" in own:
            found["ALLOWED_MECHANISMS"] = _mechanism_names(bytes.fromhex(own["ALLOWED_MECHANISMS"]))
        if kind.more is not None:
            rest = self._rest(kind.more, handle)
            # A module that calls a secret key a certificate does not get its value out with us.
            if kind.name != "CKO_CERTIFICATE" or rest.get("VALUE", "").startswith(_SEQUENCE):
                found |= rest
        for name in kind.missing:
            self._owed(handle, kind.name, name)
        return (*news, {"object": found, "kind": kind.number})

    def _kind(self, alike: Alike, names: tuple[str, ...]) -> tuple[_Kind, tuple[Fact, ...]]:
        values = alike.values
        told: Fact = {name: value.hex() for name, value in values.items() if value and name not in _FLAGS}
        told["FLAGS"] = "".join([_LETTERS.get(values.get(name, b""), "1") for name in FLAGS])
        for name, (form, numbers) in _NUMBERS.items():
            told[name] = _number(form, values.get(name), numbers)
        known = tuple(f"{name}={value}" for name, value in told.items())
        news = () if known in self._told else ({"kind": told},)
        number = self._told.setdefault(known, len(self._told))
        name, key_type = told["CLASS"] or "", told["KEY_TYPE"]
        given = values if name else {}
        missing = tuple(owed for owed in OWED.get(name, ()) if owed not in given)
        more = self._more.get((name, key_type)) or self._more.get((name, None))
        kind = _Kind(number, name, more, missing, None)
        if not (more or missing or alike.odd or "ALLOWED_MECHANISMS" in names):
            own = ",".join([f'"{name}":"%s"' for name in names])
            kind.form = f'{{"object":{{{own}}},"kind":{number}}}'
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
        self._kinds[alike] = kind
        return kind, news

    def _otherwise(self, handle: int, failure: Failed) -> Answer | None:
        """An object that refused all in one call; so does SoftHSM 2.6 where a private one has dates."""
        try:
            if failure.code == _GONE or failure.code in FATAL:
                raise failure
            return self._undated.ask(handle)
        except Failed as again:
            if again.code == _GONE:
                return None
            if again.code in FATAL:
                raise
        return self._one_by_one(handle)

    def _one_by_one(self, handle: int) -> Answer:
        values = {}
        for name in ASKED:
            try:
                values[name] = self._all.one(handle, name)
            except Failed as failure:
                if failure.code in FATAL:
                    raise
        return self._all.parted(values)

    def _rest(self, question: Question, handle: int) -> dict[str, str]:
        try:
            _, own = question.ask(handle)
        except Failed as failure:
            if failure.code in FATAL:
                raise
            self._refused["VALUE", named(failure.code)] += 1
            return {}
        return own

    def _owed(self, handle: int, kind: str, name: str) -> None:
        """Count what the class has and the module does not give; why, is asked once a class."""
        if (kind, name) not in self._why:
            self._why[kind, name] = self._reason(handle, name)
        self._refused[name, self._why[kind, name]] += 1

    def _reason(self, handle: int, name: str) -> str:
        try:
            self._all.one(handle, name)
        except Failed as failure:
            return named(failure.code)
        return "given alone, not in a list"


def _number(kind: str, value: bytes | None, names: dict[int, str]) -> str | None:
    if value is None or len(value) != _ULONG.size:
        return None
    number: int = _ULONG.unpack(value)[0]
    # CK_UNAVAILABLE_INFORMATION: a key that was not generated there has no generation mechanism.
    return None if number == (1 << 8 * _ULONG.size) - 1 else numbered(kind, number, names)


def _mechanism_names(value: bytes) -> list[str]:
    whole = value[: len(value) - len(value) % _ULONG.size]
    return [numbered("CKM", number, MECHANISMS) for (number,) in _ULONG.iter_unpack(whole)]
