"""Loads a module and calls its C_Initialize, before python-pkcs11 is there: a module may take long to begin.

Refuses to: take a function pointer that could change a token.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

ULONG: Final = ctypes.c_ulong
POINTER: Final = ctypes.c_void_p
# Places in CK_FUNCTION_LIST (PKCS#11 v2.40 and later, pkcs11f.h), from C_Initialize = 0.
FUNCTIONS: Final[dict[str, tuple[int, tuple[Any, ...]]]] = {
    "C_Initialize": (0, (POINTER,)),
    "C_Finalize": (1, (POINTER,)),
    "C_GetTokenInfo": (6, (ULONG, POINTER)),
    "C_GetMechanismList": (7, (ULONG, POINTER, POINTER)),
    "C_GetAttributeValue": (24, (ULONG, ULONG, POINTER, ULONG)),
    "C_FindObjectsInit": (26, (ULONG, POINTER, ULONG)),
    "C_FindObjects": (27, (ULONG, POINTER, ULONG, POINTER)),
    "C_FindObjectsFinal": (28, (ULONG,)),
}


class Failed(Exception):
    """A call's return value that is not CKR_OK."""

    def __init__(self, code: int) -> None:
        super().__init__(f"CKR 0x{code:08X}")
        self.code = code


def function(table: Any, name: str) -> Any:
    """A function of a module's list."""
    place, kinds = FUNCTIONS[name]
    # CK_FUNCTION_LIST begins with a version, padded to a pointer's width.
    return ctypes.CFUNCTYPE(ULONG, *kinds)(table[1 + place])


def table_of(library: Any) -> Any:
    """A module's list of functions.

    Raises:
        Failed: it gives none.
    """
    table = ctypes.POINTER(POINTER)()
    if code := library.C_GetFunctionList(ctypes.byref(table)):
        raise Failed(code)
    return table


def begin(module: str, parameters: str | None) -> bool:
    """Load and initialise it; False where python-pkcs11 must do it, because the module makes a list for whoever asks.

    With `parameters` it gets the text that some modules need (NSS: `configdir='sql:…'`); python-pkcs11 gives none.

    Raises:
        Failed: the module refuses.
        OSError: it is no library.
        AttributeError: it is no PKCS#11 module.
    """
    library = ctypes.CDLL(module)
    table = table_of(library)
    if parameters is None and ctypes.addressof(table.contents) != ctypes.addressof(table_of(library).contents):
        return False
    if code := function(table, "C_Initialize")(
        None if parameters is None else ctypes.addressof(_arguments(parameters))
    ):
        raise Failed(code)
    return True


_kept: list[Any] = []


def _arguments(parameters: str) -> Any:
    """CK_C_INITIALIZE_ARGS. NSS reads the text where PKCS#11 has `pReserved`, its structure being a pointer longer."""
    text, os_locking_ok = ctypes.create_string_buffer(parameters.encode()), 2
    words = (ULONG * 7)(0, 0, 0, 0, os_locking_ok, ctypes.addressof(text), 0)
    _kept.extend((text, words))
    return words
