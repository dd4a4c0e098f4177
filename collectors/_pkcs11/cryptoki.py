"""The two PKCS#11 calls that are made once an object, made directly: C_FindObjects and C_GetAttributeValue.

python-pkcs11 loads the module, logs in and holds the session; but it asks four times an object (two calls to make the
Python object, two to size and fetch), and a module answers each with file or network traffic. Here it is one call with
room for every value; `tests/benchmarks/pkcs11_token.py` has all three ways side by side. python-pkcs11 also
lacks the session counts of CK_TOKEN_INFO. A wrong answer of the module can harm this child process only.

Refuses to: call anything but C_Initialize and reading calls; there is no other function pointer here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

from pkcs11 import _pkcs11

from collectors._pkcs11.flags import FLAGS
from collectors._pkcs11.names import ASKED, DATES

_ULONG: Final = ctypes.c_ulong
_POINTER: Final = ctypes.c_void_p
# Places in CK_FUNCTION_LIST (PKCS#11 v2.40 and later, pkcs11f.h), from C_Initialize = 0.
_FUNCTIONS: Final[dict[str, tuple[int, tuple[Any, ...]]]] = {
    "C_Initialize": (0, (_POINTER,)),
    "C_GetTokenInfo": (6, (_ULONG, _POINTER)),
    "C_GetAttributeValue": (24, (_ULONG, _ULONG, _POINTER, _ULONG)),
    "C_FindObjectsInit": (26, (_ULONG, _POINTER, _ULONG)),
    "C_FindObjects": (27, (_ULONG, _POINTER, _ULONG, _POINTER)),
    "C_FindObjectsFinal": (28, (_ULONG,)),
}
_UNAVAILABLE: Final = _ULONG(-1).value
_ROOM: Final = 1040
# Flags and dates need little; what is small is soon wiped.
_SMALL: Final = 16
_SMALL_ONES: Final = frozenset(number for name, number in ASKED.items() if name in FLAGS or name in DATES)
# NSS gives a number only into room of just its size.
_NUMBERS: Final = frozenset(
    ASKED[name] for name in ("CLASS", "CERTIFICATE_TYPE", "KEY_TYPE", "VALUE_LEN", "KEY_GEN_MECHANISM", "PARAMETER_SET")
)
_NUMBER: Final = ctypes.sizeof(_ULONG)
_MOST: Final = 1 << 20
_BATCH: Final = 1000
OK: Final = 0x000
SENSITIVE: Final = 0x011
TYPE_INVALID: Final = 0x012
BUFFER_TOO_SMALL: Final = 0x150
# With these, each attribute of the list that could be given was given (PKCS#11 v3.1, 5.7.5).
ANSWERED: Final = frozenset({OK, SENSITIVE, TYPE_INVALID, BUFFER_TOO_SMALL})


class Failed(Exception):
    """A call's return value that is not CKR_OK."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CKR 0x{code:08X}")
        self.code = code


class TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO, of which python-pkcs11 does not give the counts."""

    _fields_ = (
        ("texts", ctypes.c_char * 96), ("flags", _ULONG), ("max_sessions", _ULONG), ("sessions", _ULONG),
        ("max_rw_sessions", _ULONG), ("rw_sessions", _ULONG), ("max_pin", _ULONG), ("min_pin", _ULONG),
        ("public_total", _ULONG), ("public_free", _ULONG), ("private_total", _ULONG), ("private_free", _ULONG),
        ("versions", ctypes.c_ubyte * 4), ("time", ctypes.c_char * 16),
    )  # fmt: skip


def initialise(module: str, parameters: str) -> None:
    """C_Initialize with the text that some modules need (NSS: `configdir='sql:…'`); python-pkcs11 gives none.

    NSS reads it where PKCS#11 has `pReserved`, and its own structure is a pointer longer.

    Raises:
        Failed: the module refuses it.
    """
    text = ctypes.create_string_buffer(parameters.encode())
    os_locking_ok = 2
    words = (_ULONG * 7)(0, 0, 0, 0, os_locking_ok, ctypes.addressof(text), 0)
    if code := _function(_table(module), "C_Initialize")(ctypes.addressof(words)):
        raise Failed(code)


def _table_of(library: Any, module: str) -> Any:
    """The function list by which python-pkcs11 opened its sessions, the first field of its object.

    A module may make a new list for whoever asks (p11-kit-client does), and a session is known to its own only.
    """
    place, fields = object.__basicsize__, 3
    if _pkcs11.HasFuncList.__basicsize__ != place + fields * ctypes.sizeof(_POINTER):  # type: ignore[attr-defined]  # Cython
        return _table(module)
    return ctypes.POINTER(_POINTER).from_address(id(library) + place)


def _table(module: str) -> Any:
    table = ctypes.POINTER(_POINTER)()
    if code := ctypes.CDLL(module).C_GetFunctionList(ctypes.byref(table)):
        raise Failed(code)
    return table


def _function(table: Any, name: str) -> Any:
    place, kinds = _FUNCTIONS[name]
    # CK_FUNCTION_LIST begins with a version, padded to a pointer's width.
    return ctypes.CFUNCTYPE(_ULONG, *kinds)(table[1 + place])


class Reader:
    """The reading calls of a module that python-pkcs11 has loaded and initialised."""

    def __init__(self, library: Any, module: str) -> None:
        table = _table_of(library, module)
        self._call = {name: _function(table, name) for name in _FUNCTIONS}

    def session_counts(self, slot: int) -> dict[str, int | None]:
        """Sessions open now, and at most; None where the token does not tell (CK_EFFECTIVELY_INFINITE is 0)."""
        info = TokenInfo()
        if self._call["C_GetTokenInfo"](slot, ctypes.addressof(info)):
            return {"sessions": None, "max_sessions": None}
        counts = {"sessions": info.sessions, "max_sessions": info.max_sessions or _UNAVAILABLE}
        # CK_UNAVAILABLE_INFORMATION is the largest number; opencryptoki also gives the one below it.
        return {name: count if count < 1 << 63 else None for name, count in counts.items()}

    def handles(self, session: int) -> Iterator[int]:
        """All objects of a session, each once: a listing that gives nothing new has ended, whatever it says.

        Raises:
            Failed: the module could not go on; what came before stands.
        """
        self._check("C_FindObjectsInit", session, None, 0)
        found, count = (_ULONG * _BATCH)(), _ULONG()
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
    return _SMALL if number in _SMALL_ONES else _ROOM


class Question:
    """A template of CK_ATTRIBUTE with room for every value, made once and asked of each object."""

    def __init__(self, call: Any, session: int, attributes: Mapping[str, int]) -> None:
        self._call, self._session, self._attributes = call, session, dict(attributes)
        self._names = tuple(attributes)
        rooms = [_room(number) for number in attributes.values()]
        starts = [0, *accumulate(rooms)]
        self._room = ctypes.create_string_buffer(starts[-1])
        base = ctypes.addressof(self._room)
        parts = zip(attributes.values(), starts, rooms, strict=False)
        words = [word for number, start, room in parts for word in (number, base + start, room)]
        self._fresh, self._asked = (_ULONG * len(words))(*words), (_ULONG * len(words))()
        self._lengths = memoryview(self._asked).cast("B").cast("L")[2::3]
        self._values = memoryview(self._room).cast("B")
        # Only a number may fill its room: elsewhere a length that is the room's is one that nobody touched.
        most = [room - (room != _NUMBER) for room in rooms]
        self._places = tuple(zip(self._names, starts, most, strict=False))
        self._to, self._from, self._size = (
            ctypes.addressof(self._asked), ctypes.addressof(self._fresh), ctypes.sizeof(self._fresh),
        )  # fmt: skip
        self._base, self._whole = base, starts[-1]

    def ask(self, handle: int) -> dict[str, bytes]:
        """The values that the module gives, by name.

        Raises:
            Failed: it refuses the list as a whole.
        """
        # Wiped, so that a module which names a length and writes nothing does not tell of the object before.
        ctypes.memset(self._base, 0xFF, self._whole)
        ctypes.memmove(self._to, self._from, self._size)
        code = self._call(self._session, handle, self._to, len(self._names))
        if code not in ANSWERED:
            raise Failed(code)
        found, values, odd = {}, self._values, []
        for (name, start, most), length in zip(self._places, self._lengths.tolist(), strict=True):
            if length <= most:
                found[name] = bytes(values[start : start + length])
            elif length != _UNAVAILABLE or code == BUFFER_TOO_SMALL:
                odd.append(name)
        if odd:
            found |= {name: value for name in odd if (value := self._large(handle, name)) is not None}
        return found

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
        asked = (_ULONG * 3)(self._attributes[name], 0, 0)
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
