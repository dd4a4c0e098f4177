"""Answers one PKCS#11 module's facts, a request at a time: JSON lines in, lists of JSON out, never material.

It runs as a child process, because a module may hang, crash or corrupt. One thread, so a module that is not safe
between threads is safe here. Sessions are read-only.

Refuses to: log in twice, or to a token that says its PIN count is low.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, Final

import pkcs11
from pkcs11 import PROTECTED_AUTH, SlotFlag, TokenFlag
from pkcs11.exceptions import (
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    UserAlreadyLoggedIn,
    UserPinNotInitialized,
)

from collectors._pkcs11.asking import Asking
from collectors._pkcs11.beginning import Failed
from collectors._pkcs11.cryptoki import MOMENT, Begun, Reader, named
from collectors._pkcs11.names import MECHANISMS, error_code, numbered

Fact = dict[str, Any]
_RISKY: Final = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
_PIN_REFUSED: Final[dict[type[Exception], str]] = {
    PinIncorrect: "the PIN is wrong",
    PinInvalid: "the PIN is wrong",
    PinLenRange: "the PIN is wrong",
    PinLocked: "the PIN is locked",
    PinExpired: "the PIN has expired",
    UserPinNotInitialized: "the token has no user PIN yet",
}
# SoftHSM2 cannot tell of a token while another process logs in to it: a second look, a moment later.
_AGAIN: Final = (0, 0.3)
_TOGETHER: Final = 64


class _Answers:
    """Facts on their way out, some at a time: what a crash takes with it is what the last moments gave."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._since = pipe, time.monotonic()
        self._waiting: list[str] = []

    def give(self, fact: Fact | str) -> None:
        """Send it, which may be JSON already, at the latest with the next that comes after a moment."""
        self._waiting.append(fact if isinstance(fact, str) else json.dumps(fact))
        if len(self._waiting) > _TOGETHER or time.monotonic() - self._since > MOMENT:
            self.flush()

    def flush(self) -> None:
        """Send all."""
        whole = memoryview(f"[{','.join(self._waiting)}]\n".encode())
        while whole:
            whole = whole[os.write(self._pipe, whole) :]
        self._waiting, self._since = [], time.monotonic()


def main(first: str, pipe: int, begun: bool | Failed) -> None:
    """Answer the first request and all others, until standard input ends; `begun` is what came of beginning."""
    answers = _Answers(pipe)
    library = None
    for line in chain([first], sys.stdin):
        request = json.loads(line)
        try:
            library = library or _loaded(request["module"], begun)
            for fact in _tokens(library) if request["ask"] == "tokens" else _objects(library, request):
                answers.give(fact)
        except Failed as failure:
            answers.give({"failed": named(failure.code)})
        except PKCS11Error as failure:
            # A library that cannot be loaded is the class itself, and its message holds a path.
            code = "it cannot be loaded" if type(failure) is PKCS11Error else error_code(failure)
            answers.give({"failed": code})
        except (RuntimeError, OSError):
            answers.give({"failed": "it cannot be loaded"})
        answers.give({"end": True})
        answers.flush()
    # Nothing is left to be told.
    with suppress(PKCS11Error):
        if library is not None:
            library.finalize()
    os._exit(0)


def _loaded(module: str, begun: bool | Failed) -> Any:
    if isinstance(begun, Failed):
        raise begun
    return Begun(module) if begun else pkcs11.lib(module)


def _tokens(library: Any) -> Iterator[Fact]:
    for slot in library.get_slots(token_present=True):
        try:
            token = slot.get_token()
        except PKCS11Error as failure:
            yield {"failed": error_code(failure)}
            continue
        if TokenFlag.TOKEN_INITIALIZED in token.flags:
            yield {"token": _token(slot, token)}


def _token(slot: Any, token: Any) -> Fact:
    flags = int(token.flags)
    known = [flag for flag in TokenFlag if flags & flag]
    rest = flags & ~sum(known)
    return {
        "label": _text(token.label),
        "serial": _text(token.serial.decode(errors="replace")),
        "manufacturer": _text(token.manufacturer_id),
        "model": _text(token.model),
        "hardware": _version(token.hardware_version),
        "firmware": _version(token.firmware_version),
        "slot": str(slot.slot_id),
        "slot_description": _text(slot.slot_description),
        "is_hardware": bool(slot.flags & SlotFlag.HW_SLOT),
        "is_removable": bool(slot.flags & SlotFlag.REMOVABLE_DEVICE),
        "flags": [f"CKF_{flag.name}" for flag in known] + ([f"CKF_0x{rest:08X}"] if rest else []),
    }


def _text(padded: str) -> str:
    """Blanks pad it; what lies behind a zero is what the module forgot to wipe."""
    return padded.partition("\0")[0].strip()


def _version(parts: tuple[int, int]) -> str:
    return ".".join(map(str, parts))


def _objects(library: Any, request: Fact) -> Iterator[Fact | str]:
    for pause in _AGAIN:
        time.sleep(pause)
        for slot, token, facts in _present(library):
            if all(request[name] in (None, facts[name]) for name in ("label", "serial", "slot")):
                reader = Reader(library)
                yield {"token": {**facts, **_of_library(library), **reader.session_counts(slot.slot_id)}}
                yield from _mechanisms(reader, slot.slot_id)
                yield from _read(reader, token, request)
                return
    yield {"failed": "the token is not there any more"}


def _present(library: Any) -> Iterator[tuple[Any, Any, Fact]]:
    for slot in library.get_slots(token_present=True):
        # Another slot's failure was told by the listing.
        with suppress(PKCS11Error):
            token = slot.get_token()
            yield slot, token, _token(slot, token)


def _of_library(library: Any) -> Fact:
    return {
        "library": " ".join(filter(None, [library.manufacturer_id, library.library_description])),
        "library_version": _version(library.library_version),
        "cryptoki_version": _version(library.cryptoki_version),
    }


def _mechanisms(reader: Reader, slot: int) -> Iterator[Fact]:
    try:
        yield {"mechanisms": sorted({numbered("CKM", number, MECHANISMS) for number in reader.mechanisms(slot)})}
    except Failed as failure:
        yield {"refused": "mechanisms", "code": named(failure.code), "objects": 1}


def _read(reader: Reader, token: Any, request: Fact) -> Iterator[Fact | str]:
    told, session = _session(token, request)
    if told is not None:
        yield told
    refused: Counter[tuple[str, str]] = Counter()
    asking = Asking(reader, session.handle, refused)
    for facts in asking.objects(reader.handles(session.handle)):
        yield from facts
    for (name, code), count in sorted(refused.items()):
        yield {"refused": f"CKA_{name}", "code": code, "objects": count}
    # All was read: a session that will not close takes nothing from it.
    with suppress(PKCS11Error):
        session.close()


def _session(token: Any, request: Fact) -> tuple[Fact | None, Any]:
    """What the login was, and an open read-only session. C_Login is called once at the most."""
    pin: Any = request.get("pin")
    if TokenFlag.LOGIN_REQUIRED not in token.flags:
        return {"login": "not-needed"}, token.open()
    if request.get("is_protected"):
        pin = PROTECTED_AUTH
        if TokenFlag.PROTECTED_AUTHENTICATION_PATH not in token.flags:
            return {
                "login": "refused",
                "why": "the token has no keypad or other path of its own for a PIN",
            }, token.open()
    if pin is None:
        return {"login": "not-asked"}, token.open()
    if token.flags & _RISKY:
        return {"login": "refused", "why": "the token says that few or no PIN tries are left"}, token.open()
    try:
        return {"login": "made"}, token.open(user_pin=pin)
    except UserAlreadyLoggedIn:
        return {"login": "made"}, token.open()
    except PKCS11Error as wrong:
        why = _PIN_REFUSED.get(type(wrong), f"the login failed with {error_code(wrong)}")
        return {"login": "refused", "why": why}, token.open()
