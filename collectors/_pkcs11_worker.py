"""The child process that alone talks to a PKCS#11 module, because a module may hang, crash or corrupt.

One JSON request on standard input, JSON lines on standard output: plain facts, never material. A private or secret
key's CKA_VALUE, exponents and primes are not in the list of what is asked for. Sessions are opened read-only.

Refuses to: log in twice, or to a token that says its PIN count is low.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from datetime import date
from enum import Enum
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, ObjectClass, TokenFlag
from pkcs11.attributes import AttributeMapper
from pkcs11.exceptions import (
    AttributeSensitive,
    AttributeTypeInvalid,
    FunctionFailed,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserPinNotInitialized,
)

_COMMON: Final = (
    "CLASS", "LABEL", "ID", "PRIVATE", "MODIFIABLE", "TOKEN",
)  # fmt: skip
_USAGE: Final = ("SIGN", "VERIFY", "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "DERIVE")
_CUSTODY: Final = (
    "KEY_TYPE", "LOCAL", "KEY_GEN_MECHANISM", "START_DATE", "END_DATE", "SENSITIVE", "ALWAYS_SENSITIVE", "EXTRACTABLE",
    "NEVER_EXTRACTABLE", "WRAP_WITH_TRUSTED", "TRUSTED",
)  # fmt: skip
_ASKED: Final = {
    ObjectClass.PRIVATE_KEY: (*_COMMON, *_USAGE, *_CUSTODY, "MODULUS", "PUBLIC_EXPONENT", "EC_PARAMS"),
    ObjectClass.PUBLIC_KEY: (*_COMMON, *_USAGE, *_CUSTODY, "MODULUS", "PUBLIC_EXPONENT", "EC_PARAMS", "EC_POINT"),
    ObjectClass.SECRET_KEY: (*_COMMON, *_USAGE, *_CUSTODY, "VALUE_LEN"),
    ObjectClass.CERTIFICATE: (*_COMMON, "VALUE"),
}
_RISKY: Final = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
_PIN_REFUSED: Final[dict[type[Exception], str]] = {
    PinIncorrect: "the PIN is wrong",
    PinInvalid: "the PIN is wrong",
    PinLenRange: "the PIN is wrong",
    PinLocked: "the PIN is locked",
    PinExpired: "the PIN has expired",
    UserPinNotInitialized: "the token has no user PIN yet",
}
_BATCH: Final = 1000


class _Lenient(AttributeMapper):
    """A value that cannot be decoded is kept as a number or as nothing: it must not cost the object."""

    def unpack_attributes(self, key: Attribute, value: bytes) -> Any:
        try:
            return super().unpack_attributes(key, value)
        except (ValueError, NotImplementedError, TypeError, KeyError, struct.error):
            is_number = key in (Attribute.KEY_TYPE, Attribute.KEY_GEN_MECHANISM)
            return int.from_bytes(value, sys.byteorder) if is_number else None


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.readline())
    # What a module prints must not be taken for an answer: facts go out on a private copy of standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        library = pkcs11.lib(request["module"])
        for fact in _tokens(library) if request["ask"] == "tokens" else _objects(library, request):
            print(json.dumps(fact), file=answers, flush=True)
    except PKCS11Error as failure:
        print(json.dumps({"failed": type(failure).__name__}), file=answers, flush=True)
    except RuntimeError:
        print(json.dumps({"failed": "the library cannot be loaded"}), file=answers, flush=True)
    print(json.dumps({"end": True}), file=answers, flush=True)


def _tokens(library: Any) -> Any:
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except PKCS11Error as failure:
            yield {"failed": type(failure).__name__}
            continue
        if TokenFlag.TOKEN_INITIALIZED in token.flags:
            yield {"token": _token(slot, token)}


def _token(slot: Any, token: Any) -> dict[str, Any]:
    return {
        "label": token.label,
        "serial": token.serial.decode(errors="replace").strip(),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "firmware": ".".join(map(str, token.firmware_version)),
        "is_hardware": bool(slot.flags & pkcs11.SlotFlag.HW_SLOT) if hasattr(pkcs11, "SlotFlag") else False,
        "flags": int(token.flags),
    }


def _objects(library: Any, request: dict[str, Any]) -> Any:
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except PKCS11Error:
            continue  # another slot's failure was told by the listing
        facts = _token(slot, token)
        if (facts["label"], facts["serial"]) == (request["label"], request["serial"]):
            yield {"token": facts}
            yield from _read(token, request.get("pin"))
            return
    yield {"failed": "the token is not there any more"}


def _read(token: Any, pin: str | None) -> Any:
    if pin is not None and token.flags & _RISKY:
        yield {"login": "refused", "why": "the token says that few or no PIN tries are left"}
        pin = None
    elif pin is None and TokenFlag.LOGIN_REQUIRED in token.flags:
        yield {"login": "not-asked"}
    try:
        session = token.open(rw=False, user_pin=pin, attribute_mapper=_Lenient())
    except tuple(_PIN_REFUSED) as wrong:
        yield {"login": "refused", "why": _PIN_REFUSED[type(wrong)]}
        session = token.open(rw=False, attribute_mapper=_Lenient())
    refused: set[str] = set()
    with session:
        for found in session.get_objects(batch_size=_BATCH):
            fact = _object(found, refused)
            if fact is not None:
                yield {"object": fact}
    yield from ({"refused": name} for name in sorted(refused))


def _object(found: Any, refused: set[str]) -> dict[str, Any] | None:
    kind = found[Attribute.CLASS]
    if kind not in _ASKED:
        return None
    names = [name for name in _ASKED[kind] if hasattr(Attribute, name)]
    values = _all(found, names)
    if values is None:
        # SoftHSM 2.6 answers CKR_GENERAL_ERROR to the whole list where a private object has dates.
        rest = [name for name in names if not name.endswith("_DATE")]
        values = _all(found, rest)
        alone = names if values is None else [name for name in names if name not in rest]
        values = {**(values or {}), **{name: _one(found, name, refused) for name in alone}}
    return {name: _plain(values.get(name)) for name in names}


def _all(found: Any, names: list[str]) -> dict[str, Any] | None:
    """Many attributes in one call; None if the module refuses the list."""
    try:
        values = found.get_attributes([getattr(Attribute, name) for name in names])
    except PKCS11Error:
        return None
    return {name: values.get(getattr(Attribute, name)) for name in names}


def _one(found: Any, name: str, refused: set[str]) -> Any:
    try:
        return found[getattr(Attribute, name)]
    except (AttributeSensitive, AttributeTypeInvalid):
        return None
    except (FunctionFailed, PKCS11Error):
        refused.add(name)
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.name
    return value.isoformat() if isinstance(value, date) else value


if __name__ == "__main__":
    main()
