"""What key objects that are alike have in common, worked out once: the fields of their rows that no name decides.

Refuses to: hold anything of one object; a label, an id or a public key is no matter of its kind.
"""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any, Final

from collectors._pkcs11.flags import FLAGS
from collectors.pkcs11._public import Found
from collectors.pkcs11._purpose import USAGE, Functions, purpose, state
from toolkit.terms import KeyFunction, KeyState, KeyType, Origin, Protection

_KINDS: Final = {
    "CKO_PRIVATE_KEY": (KeyType.PRIVATE_KEY, "private"),
    "CKO_PUBLIC_KEY": (KeyType.PUBLIC_KEY, "public"),
    "CKO_SECRET_KEY": (KeyType.SECRET_KEY, "secret-key"),
    "CKO_OTP_KEY": (KeyType.SECRET_KEY, "otp-key"),
}
# They bear a key type, and are no key.
_NO_KEYS: Final = frozenset({"CKO_CERTIFICATE", "CKO_DOMAIN_PARAMETERS", "CKO_DATA", "CKO_PROFILE", "CKO_MECHANISM"})
# PKCS#11 key types to canonical algorithm, parameter and size in bits.
_SYMMETRIC: Final[dict[str, tuple[str, str | None, int | None]]] = {
    "CKK_AES": ("AES", None, None), "CKK_AES_XTS": ("AES", None, None), "CKK_DES3": ("TDEA", "3TDEA", 168),
    "CKK_DES2": ("TDEA", "2TDEA", 112), "CKK_DES": ("DES", None, 56), "CKK_CHACHA20": ("ChaCha20", None, 256),
    "CKK_GENERIC_SECRET": ("generic-secret", None, None), "CKK_CAMELLIA": ("Camellia", None, None),
    "CKK_RC4": ("RC4", None, None),
}  # fmt: skip
_ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "CKK_RSA": ("RSA",), "CKK_DSA": ("DSA",), "CKK_DH": ("DH",), "CKK_X9_42_DH": ("DH",), "CKK_EC": ("EC",),
    "CKK_EC_EDWARDS": ("Ed25519", "Ed448"), "CKK_EC_MONTGOMERY": ("X25519", "X448"), "CKK_ML_KEM": ("ML-KEM",),
    "CKK_ML_DSA": ("ML-DSA",), "CKK_SLH_DSA": ("SLH-DSA",),
}  # fmt: skip
# Boolean attributes that have no column of their own: they are told in `detail`.
_TOLD: Final = (
    "PRIVATE", "TRUSTED", "WRAP_WITH_TRUSTED", "ALWAYS_AUTHENTICATE", "MODIFIABLE", "COPYABLE", "DESTROYABLE",
    "ENCAPSULATE", "DECAPSULATE", "SIGN_RECOVER", "VERIFY_RECOVER",
)  # fmt: skip
_UNTOLD: Final = "-" * len(FLAGS)


class Kind:
    """A kind of objects, as a child tells it."""

    def __init__(self, found: Found, *, where: dict[str, str], is_hardware: bool, now: datetime) -> None:
        self.found, self._now = found, now
        self.object_class: str | None = found.get("CLASS")
        key_type: str | None = found.get("KEY_TYPE")
        self.is_key = self.object_class in _KINDS or bool(key_type and self.object_class not in _NO_KEYS)
        self.key_type, self.name = _KINDS.get(self.object_class or "", (KeyType.UNKNOWN, "key"))
        self.is_symmetric = self.key_type not in (KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY)
        self.algorithms = () if self.is_symmetric else _ALGORITHMS.get(key_type or "", ())
        pattern = found.get("FLAGS") or _UNTOLD
        flags, self._functions = flags_of(pattern)
        told_purpose, self._why = purpose(self.key_type, self._functions)
        told_state, reasons = self.state(None, None)
        self.fields: dict[str, Any] = {
            **where, "key_type": self.key_type, "format": "PKCS#11 object", "functions": self._functions,
            "purpose": told_purpose, "state": told_state, "reasons": reasons,
            "origin": {True: Origin.GENERATED, False: Origin.IMPORTED, None: None}[flags["LOCAL"]],
        }  # fmt: skip
        if self.is_symmetric:
            self.fields |= _shape(key_type, found)
        if self.key_type is not KeyType.PUBLIC_KEY:
            self.fields |= _custody(flags, is_hardware=is_hardware)
        self.detail = _detail(flags, found)

    def state(self, starts: datetime | None, ends: datetime | None) -> tuple[KeyState | None, tuple[str, str]]:
        """The state of an object of this kind with such dates, and the reasons for its purpose and state."""
        told, why = state(self.key_type, self._functions, starts, ends, now=self._now)
        return told, (self._why, why)


def _shape(key_type: str | None, found: Found) -> dict[str, Any]:
    # SHA_1_HMAC, SHA256_HMAC …: one algorithm, the hash is in the mechanism.
    name, parameter, size_bits = _SYMMETRIC.get(key_type or "", (key_type, None, None))
    name = "HMAC" if key_type and key_type.endswith("_HMAC") else name
    length = int.from_bytes(bytes.fromhex(found.get("VALUE_LEN") or ""), "little")
    return {"algorithm": name, "parameter": parameter, "size_bits": size_bits or 8 * length or None}


def _custody(flags: dict[str, bool | None], *, is_hardware: bool) -> dict[str, Any]:
    return {
        "protected": True,
        "protection": Protection.HARDWARE if is_hardware else Protection.TOKEN,
        "is_exposed": False,  # who reads it has the PIN; that it may leave is another question
        "extractable": flags["EXTRACTABLE"],
        "sensitive": flags["SENSITIVE"],
        "never_extractable": flags["NEVER_EXTRACTABLE"],
        "always_sensitive": flags["ALWAYS_SENSITIVE"],
        "needs_login": flags["PRIVATE"],
    }


@cache
def flags_of(pattern: str) -> tuple[dict[str, bool | None], Functions]:
    """The boolean attributes, and what they let the key do."""
    flags = {name: {"1": True, "0": False}.get(letter) for name, letter in zip(FLAGS, pattern, strict=True)}
    if all(flags[name] is None for name in USAGE):
        return flags, None
    allowed = {function for name, function in USAGE.items() if flags[name]}
    return flags, tuple(function for function in KeyFunction if function in allowed)


def _detail(flags: dict[str, bool | None], found: Found) -> tuple[str, ...]:
    """What has no column of its own, as the members of a JSON object."""
    facts: dict[str, Any] = {name.lower(): flags[name] for name in _TOLD}
    facts |= {name.lower(): found.get(name) for name in ("KEY_GEN_MECHANISM", "KEY_TYPE")}
    return tuple(f"{json.dumps(name)}:{json.dumps(fact)}" for name, fact in sorted(facts.items()) if fact is not None)
