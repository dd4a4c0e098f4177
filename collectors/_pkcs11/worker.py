"""Answers one PKCS#11 module's facts, a request at a time: JSON lines in, JSON lines out, never material.

It runs as a child process, because a module may hang, crash or corrupt. One thread, so a module that is not safe
between threads is safe here. Sessions are read-only.

Refuses to: log in twice, or to a token that says its PIN count is low; to leave a core dump, which would hold the PIN.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
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

from collectors._pkcs11.cryptoki import FATAL, Failed, Question, Reader, initialise, named
from collectors._pkcs11.flags import FLAGS
from collectors._pkcs11.names import (
    ASKED,
    CLASSES,
    DATES,
    KEY_TYPES,
    MECHANISMS,
    MORE,
    OWED,
    error_code,
    numbered,
)

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
_GONE: Final = 0x082  # CKR_OBJECT_HANDLE_INVALID: destroyed by somebody since it was listed
_NUMBERS: Final = {
    "CLASS": ("CKO", CLASSES), "KEY_TYPE": ("CKK", KEY_TYPES), "KEY_GEN_MECHANISM": ("CKM", MECHANISMS),
}  # fmt: skip
# CK_BBOOL: any byte but zero is true, however many a module gives; an empty value tells nothing.
_LETTERS: Final = {b"": "-", b"\0": "0", b"\1": "1", **{bytes(n): "0" for n in range(2, 16)}}
_FLAGS: Final = frozenset(FLAGS)
_SEQUENCE: Final = b"\x30"
# SoftHSM2 cannot tell of a token while another process logs in to it: a second look, a moment later.
_AGAIN: Final = (0, 0.3)
_TOGETHER: Final = 64
_MOMENT: Final = 0.02
_ULONG: Final = struct.Struct("@L")


class _Answers:
    """Facts on their way out, some at a time: what a crash takes with it is what the last moments gave."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._since = pipe, time.monotonic()
        self._waiting: list[bytes] = []

    def give(self, fact: Fact) -> None:
        """Send it, at the latest with the next that comes after a moment."""
        self._waiting.append(json.dumps(fact).encode())
        if len(self._waiting) > _TOGETHER or time.monotonic() - self._since > _MOMENT:
            self.flush()

    def flush(self) -> None:
        """Send all."""
        whole = memoryview(b"\n".join([*self._waiting, b""]))
        while whole:
            whole = whole[os.write(self._pipe, whole) :]
        self._waiting, self._since = [], time.monotonic()


def main() -> None:
    """Answer requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a module prints must not be taken for an answer: facts go out on a private copy of standard output.
    answers = _Answers(os.dup(1))
    os.dup2(2, 1)
    library = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            library = library or _loaded(request)
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


def _loaded(request: Fact) -> Any:
    if "parameters" not in request:
        return pkcs11.lib(request["module"])
    initialise(request["module"], request["parameters"])
    from pkcs11 import _pkcs11

    # Without its constructor, which would initialise the module once more.
    return _pkcs11.lib.__new__(_pkcs11.lib, request["module"])  # type: ignore[call-arg]  # a Cython class takes it there


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


def _objects(library: Any, request: Fact) -> Iterator[Fact]:
    for pause in _AGAIN:
        time.sleep(pause)
        for slot, token, facts in _present(library):
            if all(request[name] in (None, facts[name]) for name in ("label", "serial", "slot")):
                reader = Reader(library, request["module"])
                yield {"token": {**facts, **_of_library(library), **reader.session_counts(slot.slot_id)}}
                yield from _mechanisms(slot)
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


def _mechanisms(slot: Any) -> Iterator[Fact]:
    try:
        yield {"mechanisms": sorted(numbered("CKM", int(number), MECHANISMS) for number in slot.get_mechanisms())}
    except PKCS11Error as failure:
        yield {"refused": "mechanisms", "code": error_code(failure), "objects": 1}


def _read(reader: Reader, token: Any, request: Fact) -> Iterator[Fact]:
    told, session = _session(token, request)
    if told is not None:
        yield told
    refused: Counter[tuple[str, str]] = Counter()
    asking = _Asking(reader, session.handle, refused)
    for handle in reader.handles(session.handle):
        found = asking.object(handle)
        if found is not None:
            yield {"object": found}
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


class _Asking:
    """One session's objects, each asked with as few calls as the module allows."""

    def __init__(self, reader: Reader, session: int, refused: Counter[tuple[str, str]]) -> None:
        self._reader, self._session, self._refused = reader, session, refused
        self._all = self._question(ASKED)
        self._undated = self._question({name: n for name, n in ASKED.items() if name not in DATES})
        self._more = {kind: self._question(names) for kind, names in MORE.items()}
        self._why: dict[tuple[str, str], str] = {}

    def _question(self, names: dict[str, int]) -> Question:
        return self._reader.question(self._session, names)

    def object(self, handle: int) -> Fact | None:
        """What the module tells of an object; None where it is gone since it was listed."""
        values = self._answer(handle)
        if values is None:
            return None
        found: Fact = {name: value.hex() for name, value in values.items() if name not in _FLAGS}
        found["FLAGS"] = "".join([_LETTERS.get(values.get(name, b""), "1") for name in FLAGS])
        for name, (kind, names) in _NUMBERS.items():
            found[name] = _number(kind, values.get(name), names)
        if "ALLOWED_MECHANISMS" in found:
            found["ALLOWED_MECHANISMS"] = _mechanism_names(values["ALLOWED_MECHANISMS"])
        kind_of = found["CLASS"] or "", found["KEY_TYPE"]
        more = self._more.get(kind_of) or self._more.get((kind_of[0], None))
        if more is not None:
            rest = self._rest(more, handle)
            # A module that calls a secret key a certificate does not get its value out with us.
            is_fit = kind_of[0] != "CKO_CERTIFICATE" or rest.get("VALUE", b"")[:1] == _SEQUENCE
            found |= {name: value.hex() for name, value in rest.items() if is_fit}
        self._owed(handle, kind_of[0], values if found["CLASS"] else {})
        return found

    def _answer(self, handle: int) -> dict[str, bytes] | None:
        """All attributes in one call; SoftHSM 2.6 answers CKR_GENERAL_ERROR where a private object has dates."""
        for question in (self._all, self._undated):
            try:
                return question.ask(handle)
            except Failed as failure:
                if failure.code == _GONE:
                    return None
                if failure.code in FATAL:
                    raise
        return self._one_by_one(handle)

    def _one_by_one(self, handle: int) -> dict[str, bytes]:
        values = {}
        for name in ASKED:
            try:
                values[name] = self._all.one(handle, name)
            except Failed as failure:
                if failure.code in FATAL:
                    raise
        return values

    def _rest(self, question: Question, handle: int) -> dict[str, bytes]:
        try:
            return question.ask(handle)
        except Failed as failure:
            if failure.code in FATAL:
                raise
            self._refused["VALUE", named(failure.code)] += 1
            return {}

    def _owed(self, handle: int, kind: str, values: dict[str, bytes]) -> None:
        """Count what the class has and the module does not give; why, is asked once a class."""
        for name in OWED.get(kind, ()):
            if name not in values:
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
