"""The PKCS#11 calls that are made directly: C_FindObjects and C_GetAttributeValue, which are made once an object.

python-pkcs11 loads the module, logs in and holds the session; but it asks four times an object (two calls to make the
Python object, two to size and fetch), and a module answers each with file or network traffic. Here it is one call with
room for every value; `tests/benchmarks/pkcs11_token.py` has all three ways side by side. python-pkcs11 also lacks the
session counts of CK_TOKEN_INFO, and believes that a list of mechanisms is as long as announced. A wrong answer of the
module can harm this child process only.

Refuses to: call anything but reading calls; no other function pointer is taken from a module.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

from pkcs11 import _pkcs11

from collectors._pkcs11.beginning import FUNCTIONS, POINTER, ULONG, Failed, function, table_of
from collectors._pkcs11.flags import FLAGS
from collectors._pkcs11.names import ASKED, DATES

_UNAVAILABLE: Final = ULONG(-1).value
_VALUE: Final = 0x011
# Room that most values fit in, and not more: it is wiped for each object. What is larger is asked for on its own.
_ROOM: Final = 136
_ROOMS: Final = {
    ASKED["LABEL"]: 264, ASKED["EC_POINT"]: 264, ASKED["MODULUS"]: 1040, ASKED["PUBLIC_KEY_INFO"]: 1040,
    ASKED["PUBLIC_EXPONENT"]: 16, ASKED["CHECK_VALUE"]: 16, _VALUE: 4096,
}  # fmt: skip
_SMALL: Final = 16
_FLAGS: Final = frozenset(ASKED[name] for name in FLAGS)
_DATES: Final = frozenset(ASKED[name] for name in DATES)
# NSS gives a number only into room of just its size.
_NUMBERS: Final = frozenset(
    ASKED[name] for name in ("CLASS", "CERTIFICATE_TYPE", "KEY_TYPE", "VALUE_LEN", "KEY_GEN_MECHANISM", "PARAMETER_SET")
)
_NUMBER: Final = ctypes.sizeof(ULONG)
_MOST: Final = 1 << 20
_BATCH: Final = 1000
_MECHANISMS: Final = 1 << 16
# How many sorts of objects are kept in mind at once.
REMEMBERED: Final = 4096
# Objects asked before the first answer is looked at, and for how long at the most.
_TOGETHER: Final = 64
MOMENT: Final = 0.02
OK: Final = 0x000
SENSITIVE: Final = 0x011
TYPE_INVALID: Final = 0x012
BUFFER_TOO_SMALL: Final = 0x150
# With these, each attribute of the list that could be given was given (PKCS#11 v3.1, 5.7.5).
ANSWERED: Final = frozenset({OK, SENSITIVE, TYPE_INVALID, BUFFER_TOO_SMALL})


class TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO, of which python-pkcs11 does not give the counts."""

    _fields_ = (
        ("texts", ctypes.c_char * 96), ("flags", ULONG), ("max_sessions", ULONG), ("sessions", ULONG),
        ("max_rw_sessions", ULONG), ("rw_sessions", ULONG), ("max_pin", ULONG), ("min_pin", ULONG),
        ("public_total", ULONG), ("public_free", ULONG), ("private_total", ULONG), ("private_free", ULONG),
        ("versions", ctypes.c_ubyte * 4), ("time", ctypes.c_char * 16),
    )  # fmt: skip


class Begun(_pkcs11.lib):
    """A library that was loaded and initialised before python-pkcs11 came to it."""

    def initialize(self) -> None:
        """Nothing: a second C_Initialize is an error."""

    def finalize(self) -> None:
        """C_Finalize, which python-pkcs11 calls only after its own C_Initialize."""
        function(_table_of(self), "C_Finalize")(None)


def _table_of(library: Any) -> Any:
    """The function list by which python-pkcs11 opened its sessions, the first field of its object.

    A module may make a new list for whoever asks (p11-kit-client does), and a session is known to its own only.
    """
    place, fields = object.__basicsize__, 3
    if _pkcs11.HasFuncList.__basicsize__ != place + fields * ctypes.sizeof(POINTER):  # type: ignore[attr-defined]  # Cython
        return table_of(ctypes.CDLL(library.so))
    return ctypes.POINTER(POINTER).from_address(id(library) + place)


class Reader:
    """The reading calls of a module that python-pkcs11 has loaded and initialised."""

    def __init__(self, library: Any) -> None:
        table = _table_of(library)
        self._call = {name: function(table, name) for name in FUNCTIONS}

    def session_counts(self, slot: int) -> dict[str, int | None]:
        """Sessions open now, and at most; None where the token does not tell (CK_EFFECTIVELY_INFINITE is 0)."""
        info = TokenInfo()
        if self._call["C_GetTokenInfo"](slot, ctypes.addressof(info)):
            return {"sessions": None, "max_sessions": None}
        counts = {"sessions": info.sessions, "max_sessions": info.max_sessions or _UNAVAILABLE}
        # CK_UNAVAILABLE_INFORMATION is the largest number; opencryptoki also gives the one below it.
        return {name: count if count < 1 << 63 else None for name, count in counts.items()}

    def mechanisms(self, slot: int) -> list[int]:
        """The numbers of a slot's mechanisms.

        python-pkcs11 takes as many as the module named first, though it may give fewer (p11-kit does): the rest would
        be what lay in this process's memory.

        Raises:
            Failed: the module does not tell.
        """
        count = ULONG()
        self._check("C_GetMechanismList", slot, None, ctypes.addressof(count))
        most = min(count.value, _MECHANISMS)
        found = (ULONG * (most or 1))()
        count.value = most
        self._check("C_GetMechanismList", slot, found, ctypes.addressof(count))
        return found[: min(count.value, most)]

    def handles(self, session: int) -> Iterator[int]:
        """All objects of a session, each once: a listing that gives nothing new has ended, whatever it says.

        Raises:
            Failed: the module could not go on; what came before stands.
        """
        self._check("C_FindObjectsInit", session, None, 0)
        found, count = (ULONG * _BATCH)(), ULONG()
        seen: set[int] = set()
        try:
            while True:
                self._check("C_FindObjects", session, found, _BATCH, ctypes.addressof(count))
                new = [handle for handle in found[: min(count.value, _BATCH)] if handle not in seen]
                if not new:
                    return
                seen.update(new)
                yield from dict.fromkeys(new)
        finally:
            self._call["C_FindObjectsFinal"](session)

    def _check(self, name: str, *words: Any) -> None:
        if code := self._call[name](*words):
            raise Failed(code)

    def question(self, session: int, attributes: Mapping[str, int]) -> Question:
        """Many attributes, to be asked of many objects."""
        return Question(self._call["C_GetAttributeValue"], session, attributes)


def _room(number: int) -> int:
    if number in _NUMBERS:
        return _NUMBER
    return _SMALL if number in _FLAGS or number in _DATES else _ROOMS.get(number, _ROOM)


_OWN: Final = 2


def _turn(number: int) -> int:
    """What many objects of a token have alike comes first in a template, then dates, then what is an object's own."""
    if number in _NUMBERS or number in _FLAGS:
        return 0
    return 1 if number in _DATES else _OWN


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """What many objects of a token have alike, worked out once: numbers, flags, and how long each other value is.

    A date that is given has an empty value here; which it is, is the object's own.
    """

    values: dict[str, bytes]
    # What is an object's own: name, start and end.
    places: tuple[tuple[str, int, int], ...] = ()
    # Neither given nor refused in a way we can take: asked for again, object by object.
    odd: tuple[str, ...] = ()


# And the object's own values, hexadecimal.
Answer = tuple[Alike, dict[str, str]]


class Question:
    """A template of CK_ATTRIBUTE with room for every value, made once and asked of each object."""

    def __init__(self, call: Any, session: int, attributes: Mapping[str, int]) -> None:
        self._call, self._session = call, session
        self._attributes = dict(sorted(attributes.items(), key=lambda pair: _turn(pair[1])))
        numbers = list(self._attributes.values())
        rooms, head = [_room(number) for number in numbers], 3 * _NUMBER * len(numbers)
        starts = [*accumulate(rooms, initial=head)]
        self._buffer = ctypes.create_string_buffer(starts[-1])
        self._base = ctypes.addressof(self._buffer)
        parts = zip(numbers, starts, rooms, strict=False)
        words = [word for number, start, room in parts for word in (number, self._base + start, room)]
        # Each value's room is wiped, so that a module which names a length and writes nothing does not tell of the
        # object before.
        self._fresh = bytes((ULONG * len(words))(*words)) + b"\xff" * sum(rooms)
        self._view, self._head = memoryview(self._buffer).cast("B"), head
        # Only a number may fill its room: elsewhere a length that is the room's is one that nobody touched.
        most = [room - (room != _NUMBER) for room in rooms]
        self._places = tuple(zip(self._attributes, map(_turn, numbers), starts, most, strict=False))
        # Template, numbers and flags lie side by side: two objects are alike where these bytes are.
        self._alike = starts[sum(_turn(number) == 0 for number in numbers)]
        self._known: tuple[dict[bytes, Alike], dict[bytes, Alike]] = {}, {}

    def ask(self, handle: int) -> Answer:
        """What the object has alike with others, and its own values by name, as far as the module gives them.

        Raises:
            Failed: it refuses the list as a whole.
        """
        self._view[:] = self._fresh
        code = self._call(self._session, handle, self._base, len(self._attributes))
        answer = self._answer(handle, code, self._view.tobytes())
        if isinstance(answer, Failed):
            raise answer
        return answer

    def ask_all(self, handles: Iterable[int]) -> Iterator[tuple[int, Answer | Failed]]:
        """The same of each object. A fatal failure is the last.

        Some objects are asked before the first answer is looked at, a moment's worth: the module's code and ours would
        push each other out of the processor's caches, which costs a tenth of the time.
        """
        view, fresh, call, session = self._view, self._fresh, self._call, self._session
        base, count = self._base, len(self._attributes)
        given: list[tuple[int, int, bytes]] = []
        ended: Failed | None = None
        try:
            since = time.monotonic()
            for handle in handles:
                view[:] = fresh
                code = call(session, handle, base, count)
                given.append((handle, code, view.tobytes()))
                if len(given) >= _TOGETHER or time.monotonic() - since > MOMENT or code in FATAL:
                    yield from [(handle, self._answer(handle, code, seen)) for handle, code, seen in given]
                    if code in FATAL:
                        return
                    given, since = [], time.monotonic()
        except Failed as failure:
            ended = failure
        yield from [(handle, self._answer(handle, code, seen)) for handle, code, seen in given]
        if ended is not None:
            raise ended

    def _answer(self, handle: int, code: int, seen: bytes) -> Answer | Failed:
        if code not in ANSWERED:
            return Failed(code)
        known = self._known[code == BUFFER_TOO_SMALL]
        alike = known.get(seen[: self._alike]) or self._worked_out(seen, known)
        own = {name: seen[start:end].hex() for name, start, end in alike.places}
        return self._again(handle, alike, own) if alike.odd else (alike, own)

    def _worked_out(self, seen: bytes, known: dict[bytes, Alike]) -> Alike:
        values: dict[str, bytes] = {}
        places, odd = [], []
        lengths = memoryview(seen)[: self._head].cast("L")[2::3].tolist()
        for (name, turn, start, most), length in zip(self._places, lengths, strict=True):
            if length <= most:
                if turn < _OWN:
                    values[name] = b"" if turn else seen[start : start + length]
                if turn and length:
                    places.append((name, start, start + length))
            elif length != _UNAVAILABLE or known is self._known[True]:
                odd.append(name)
        # What a module leaves behind its values may differ from object to object.
        if len(known) >= REMEMBERED:
            known.clear()
        known[seen[: self._alike]] = alike = Alike(values, tuple(places), tuple(odd))
        return alike

    def _again(self, handle: int, alike: Alike, own: dict[str, str]) -> Answer:
        given = {name: value for name in alike.odd if (value := self._large(handle, name)) is not None}
        again, more = self.parted(given)
        return (Alike(alike.values | again.values) if again.values else alike), own | more

    def parted(self, values: dict[str, bytes]) -> Answer:
        """Values that were asked for one by one, as an answer to all."""
        turns = {name: _turn(self._attributes[name]) for name in values}
        alike = {name: b"" if turns[name] else value for name, value in values.items() if turns[name] < _OWN}
        return Alike(alike), {name: value.hex() for name, value in values.items() if turns[name] and value}

    def _large(self, handle: int, name: str) -> bytes | None:
        try:
            return self.one(handle, name)
        except Failed:
            return None

    def one(self, handle: int, name: str) -> bytes:
        """One value, whatever its length; two calls.

        Raises:
            Failed: the module does not give it.
        """
        asked = (ULONG * 3)(self._attributes[name], 0, 0)
        self._single(handle, asked)
        if asked[2] > _MOST:
            raise Failed(TYPE_INVALID)
        room = ctypes.create_string_buffer(asked[2] or 1)
        length = asked[2]
        asked[1], asked[2] = ctypes.addressof(room), length
        self._single(handle, asked)
        return room.raw[: min(asked[2], length)]

    def _single(self, handle: int, asked: Any) -> None:
        code = self._call(self._session, handle, ctypes.addressof(asked), 1)
        # Some modules say CKR_OK and give nothing.
        if code or asked[2] == _UNAVAILABLE:
            raise Failed(code or TYPE_INVALID)


def named(code: int) -> str:
    """The name of a return value, as python-pkcs11 knows it: `CKR_DEVICE_REMOVED`."""
    known = _CODES.get(code)
    return known or (f"CKR_VENDOR_DEFINED+0x{code - 0x80000000:08X}" if code >= 0x80000000 else f"CKR_0x{code:08X}")


# pkcs11t.h; those a reader meets.
_CODES: Final = {
    0x002: "CKR_HOST_MEMORY", 0x003: "CKR_SLOT_ID_INVALID", 0x005: "CKR_GENERAL_ERROR", 0x006: "CKR_FUNCTION_FAILED",
    0x007: "CKR_ARGUMENTS_BAD", 0x011: "CKR_ATTRIBUTE_SENSITIVE", 0x012: "CKR_ATTRIBUTE_TYPE_INVALID",
    0x013: "CKR_ATTRIBUTE_VALUE_INVALID", 0x030: "CKR_DEVICE_ERROR", 0x031: "CKR_DEVICE_MEMORY",
    0x032: "CKR_DEVICE_REMOVED", 0x054: "CKR_FUNCTION_NOT_SUPPORTED", 0x082: "CKR_OBJECT_HANDLE_INVALID",
    0x090: "CKR_OPERATION_ACTIVE", 0x0B0: "CKR_SESSION_CLOSED", 0x0B3: "CKR_SESSION_HANDLE_INVALID",
    0x0E0: "CKR_TOKEN_NOT_PRESENT", 0x0E1: "CKR_TOKEN_NOT_RECOGNIZED", 0x101: "CKR_USER_NOT_LOGGED_IN",
    0x190: "CKR_CRYPTOKI_NOT_INITIALIZED",
}  # fmt: skip
# After these nothing more will come from the session.
FATAL: Final = frozenset({0x002, 0x030, 0x031, 0x032, 0x0B0, 0x0B3, 0x0E0, 0x0E1, 0x190})
