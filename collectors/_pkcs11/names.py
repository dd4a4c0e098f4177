"""Which attributes are asked for, and the names of PKCS#11's numbers: `CKK_RSA`, or the number where it has no name.

A number that no list knows stays a number, a vendor's `CKK_VENDOR_DEFINED+0x00000001`, any other `CKK_0x0000007F`:
never dropped. The lists are python-pkcs11's; what PKCS#11 v3.1 and v3.2 have beside them stands here (from knowledge).

Refuses to: name an attribute that holds a private or secret key's material. CKA_VALUE is asked for of certificates and
public keys only.

>>> numbered("CKK", 0x80000001, KEY_TYPES), numbered("CKK", 0x4B, KEY_TYPES)
('CKK_VENDOR_DEFINED+0x00000001', 'CKK_SLH_DSA')
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from pkcs11 import KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error

_VENDOR: Final = 0x80000000


def _names(known: type[IntEnum], more: Mapping[int, str]) -> dict[int, str]:
    # Names that python-pkcs11 does not support begin with an underscore.
    return {**{member.value: name.lstrip("_") for name, member in known.__members__.items()}, **more}


CLASSES: Final = _names(ObjectClass, {0x0A: "VALIDATION", 0x0B: "TRUST"})
KEY_TYPES: Final = _names(
    KeyType,
    {
        0x33: "CHACHA20", 0x34: "POLY1305", 0x35: "AES_XTS", 0x3E: "SALSA20", 0x3F: "X2RATCHET", 0x41: "EC_MONTGOMERY",
        0x42: "HKDF", 0x46: "HSS", 0x47: "XMSS", 0x48: "XMSSMT", 0x4B: "SLH_DSA",
    },
)  # fmt: skip
MECHANISMS: Final = _names(Mechanism, {0x2D: "SLH_DSA_KEY_PAIR_GEN", 0x2E: "SLH_DSA"})


def numbered(kind: str, number: int, names: Mapping[int, str]) -> str:
    """The name of a number of a kind: CKO, CKK, CKM."""
    name = names.get(number)
    if name is not None and number != _VENDOR:
        return f"{kind}_{name}"
    if number >= _VENDOR:
        return f"{kind}_VENDOR_DEFINED+0x{number - _VENDOR:08X}"
    return f"{kind}_0x{number:08X}"


def error_code(failure: PKCS11Error) -> str:
    """PKCS#11's name of an error: `DeviceRemoved` is CKR_DEVICE_REMOVED. Its message is never told."""
    name = type(failure).__name__
    return "CKR_" + "".join(f"_{c}" if c.isupper() and n else c for n, c in enumerate(name)).upper()


# PKCS#11 v3.2, 4.x: asked for of every object at once, since a token's answer to one call costs what a file or a
# message costs, and one attribute more costs next to nothing. None of them is material of a private or secret key.
ASKED: Final[dict[str, int]] = {
    "CLASS": 0x000, "PRIVATE": 0x002, "LABEL": 0x003, "UNIQUE_ID": 0x004, "CERTIFICATE_TYPE": 0x080, "TRUSTED": 0x086,
    "CHECK_VALUE": 0x090, "KEY_TYPE": 0x100, "ID": 0x102, "SENSITIVE": 0x103, "ENCRYPT": 0x104, "DECRYPT": 0x105,
    "WRAP": 0x106, "UNWRAP": 0x107, "SIGN": 0x108, "SIGN_RECOVER": 0x109, "VERIFY": 0x10A, "VERIFY_RECOVER": 0x10B,
    "DERIVE": 0x10C, "START_DATE": 0x110, "END_DATE": 0x111, "MODULUS": 0x120, "PUBLIC_EXPONENT": 0x122,
    "PUBLIC_KEY_INFO": 0x129, "VALUE_LEN": 0x161, "EXTRACTABLE": 0x162, "LOCAL": 0x163, "NEVER_EXTRACTABLE": 0x164,
    "ALWAYS_SENSITIVE": 0x165, "KEY_GEN_MECHANISM": 0x166, "MODIFIABLE": 0x170, "COPYABLE": 0x171,
    "DESTROYABLE": 0x172, "EC_PARAMS": 0x180, "EC_POINT": 0x181, "ALWAYS_AUTHENTICATE": 0x202,
    "WRAP_WITH_TRUSTED": 0x210, "PARAMETER_SET": 0x61D, "ENCAPSULATE": 0x633, "DECAPSULATE": 0x634,
    "ALLOWED_MECHANISMS": 0x40000600,
}  # fmt: skip
DATES: Final = ("START_DATE", "END_DATE")

_PUBLIC_NUMBERS: Final = {"PRIME": 0x130, "SUBPRIME": 0x131, "BASE": 0x132, "VALUE": 0x011}
# A second question, to few objects: what they are, where the first answer does not tell. All of it is public.
MORE: Final[dict[tuple[str, str | None], dict[str, int]]] = {
    ("CKO_CERTIFICATE", None): {"VALUE": 0x011},
    ("CKO_PUBLIC_KEY", "CKK_DSA"): _PUBLIC_NUMBERS,
    ("CKO_PUBLIC_KEY", "CKK_DH"): _PUBLIC_NUMBERS,
    ("CKO_PUBLIC_KEY", "CKK_X9_42_DH"): _PUBLIC_NUMBERS,
    ("CKO_PUBLIC_KEY", "CKK_ML_KEM"): {"VALUE": 0x011},
    ("CKO_PUBLIC_KEY", "CKK_ML_DSA"): {"VALUE": 0x011},
    ("CKO_PUBLIC_KEY", "CKK_SLH_DSA"): {"VALUE": 0x011},
}

# What every key of a class has (PKCS#11 v3.1, tables 30, 34 and 40): that a module does not give it is a gap.
_OF_KEYS: Final = ("KEY_TYPE", "LOCAL", "START_DATE", "END_DATE")
_HELD: Final = ("SENSITIVE", "EXTRACTABLE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE")
OWED: Final[dict[str, tuple[str, ...]]] = {
    # An object that does not even tell its class.
    "": ("CLASS",),
    "CKO_PUBLIC_KEY": _OF_KEYS,
    "CKO_PRIVATE_KEY": (*_OF_KEYS, *_HELD),
    "CKO_SECRET_KEY": (*_OF_KEYS, *_HELD),
}
