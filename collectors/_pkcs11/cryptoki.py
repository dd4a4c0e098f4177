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
from typing import Any, Final

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
# NSS gives a number only into room of just its size: CKA_CLASS, _CERTIFICATE_TYPE, _KEY_TYPE, _VALUE_LEN,
# _KEY_GEN_MECHANISM and _PARAMETER_SET.
_NUMBER_ROOM: Final = dict.fromkeys((0x000, 0x080, 0x100, 0x161, 0x166, 0x61D), ctypes.sizeof(_ULONG))
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

    def __init__(self, module: str) -> None:
        table = _table(module)
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
        """All objects of a session.

        Raises:
            Failed: the module could not go on; what came before stands.
        """
        self._check("C_FindObjectsInit", session, None, 0)
        found, count = (_ULONG * _BATCH)(), _ULONG()
        try:
            while True:
                self._check("C_FindObjects", session, found, _BATCH, ctypes.addressof(count))
                if not count.value:
                    return
                yield from found[: min(count.value, _BATCH)]
        finally:
            self._call["C_FindObjectsFinal"](session)

    def _check(self, name: str, *words: Any) -> None:
        if code := self._call[name](*words):
            raise Failed(code)

    def question(self, session: int, attributes: Mapping[str, int]) -> Question:
        """Many attributes, to be asked of many objects."""
        return Question(self._call["C_GetAttributeValue"], session, attributes)


class Question:
    """A template of CK_ATTRIBUTE with room for every value, made once and asked of each object."""

    def __init__(self, call: Any, session: int, attributes: Mapping[str, int]) -> None:
        self._call, self._session, self._attributes = call, session, dict(attributes)
        self._names = tuple(attributes)
        self._starts = tuple(range(0, _ROOM * len(self._names), _ROOM))
        self._room = ctypes.create_string_buffer(_ROOM * len(self._names))
        base = ctypes.addressof(self._room)
        numbers = zip(self._starts, attributes.values(), strict=True)
        words = [word for at, number in numbers for word in (number, base + at, _NUMBER_ROOM.get(number, _ROOM))]
        self._fresh, self._asked = (_ULONG * len(words))(*words), (_ULONG * len(words))()
        self._lengths = memoryview(self._asked).cast("B").cast("L")[2::3]
        self._values = memoryview(self._room).cast("B")
        self._to, self._from, self._size = (
            ctypes.addressof(self._asked), ctypes.addressof(self._fresh), ctypes.sizeof(self._fresh),
        )  # fmt: skip

    def ask(self, handle: int) -> dict[str, bytes]:
        """The values that the module gives, by name.

        Raises:
            Failed: it refuses the list as a whole.
        """
        ctypes.memmove(self._to, self._from, self._size)
        code = self._call(self._session, handle, self._to, len(self._names))
        if code not in ANSWERED:
            raise Failed(code)
        found, values = {}, self._values
        for name, start, length in zip(self._names, self._starts, self._lengths.tolist(), strict=True):
            if length <= _ROOM:
                found[name] = bytes(values[start : start + length])
        if code == BUFFER_TOO_SMALL:
            found |= {name: value for name in self._names if name not in found and (value := self._large(handle, name))}
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
