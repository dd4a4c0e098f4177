"""Key material to rows: whatever the bytes of one file hold, told without keeping a byte of it.

Refuses to: open anything that a passphrase seals (only the empty one is tried, on PKCS#12), guess an identity, or let
a library's message into a row. Every object has a locator of its own: the file's, with a fragment that names it.

>>> [row.status.value for row in rows(bytes(64), collector="c", target="t", locator="file:///k.pem", name="k.pem")]
['malformed']
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any, Final

from collectors._material._build import Place
from collectors._material._der import der_rows
from collectors._material._jks import MAGICS, jks_rows
from collectors._material._jwk import jwk_rows
from collectors._material._pem import BEGIN, pem_rows
from collectors._material._ssh import LINE, RFC4716, line_rows, putty_rows, rfc4716_rows
from toolkit.model import Certificate, Gap, Key
from toolkit.terms import KeyType, Protection

# Weak and odd material is what we look for, not a surprise. A filter for this package once, not around each call:
# `catch_warnings` is not safe between threads.
warnings.filterwarnings("ignore", module=r"collectors\._material")

# Names that promise a key: a file so called that holds none is told, not passed over.
_PROMISING: Final = re.compile(
    r"(\.(pem|key|crt|cer|der|p8|pk8|p12|pfx|jks|jceks|keystore|ppk|p7b|p7c|csr)$)|(^ssh_host_\w+_key$)|(^id_[a-z0-9]+$)"
)
_AGE: Final = re.compile(rb"(?m)^AGE-SECRET-KEY-(PQ-)?1[A-Z0-9]{50,}\s*$")


def is_promising(name: str) -> bool:
    """Whether a file of this name should hold a key or a certificate."""
    return bool(_PROMISING.search(name.lower()))


def is_material(data: bytes) -> bool:
    """Whether the bytes have the marks of any format that is read here; cheap."""
    marks = (BEGIN, b'"kty"', b"PuTTY-User-Key-File-", b"AGE-SECRET-KEY-", b"---- BEGIN SSH2 PUBLIC KEY")
    return data[:4] in MAGICS or data[:1] == b"\x30" or any(mark in data for mark in marks) or bool(LINE.search(data))


def rows(
    data: bytes, *, collector: str, target: str, locator: str, name: str = ""
) -> Iterator[Key | Certificate | Gap]:
    """Everything that the bytes of one file hold, as rows.

    `name` is the file's name: a hint for what a line means (known_hosts), and a promise (`*.pem`) whose breach is
    a Gap.
    """
    place = Place(collector, target, locator)
    found = False
    for row in _rows(place, data, name):
        found = True
        yield row
    if not found and is_promising(name) and not _is_other_pem(data):
        yield place.gap("empty file" if not data else "named like a key or certificate, but holds none that parses")


def _rows(place: Place, data: bytes, name: str) -> Iterator[Key | Certificate | Gap]:
    if data[:4] in MAGICS:
        yield from jks_rows(place, data)
    elif data.startswith(b"PuTTY-User-Key-File-"):
        yield from putty_rows(place, data)
    elif data[:1] == b"\x30" and BEGIN not in data:
        yield from der_rows(place.at("der"), data)
    elif data.lstrip()[:1] == b"{" and b'"kty"' in data and BEGIN not in data:
        yield from jwk_rows(place, data)
    else:
        if BEGIN in data:
            yield from pem_rows(place, data)
        if RFC4716.search(data):
            yield from rfc4716_rows(place, data)
        yield from line_rows(place, data, name)
        for number, _ in enumerate(_AGE.finditer(data), 1):
            seal: dict[str, Any] = {"protected": False, "protection": Protection.NONE, "extractable": True}
            yield place.at(f"age={number}").key(KeyType.PRIVATE_KEY, "age", None, algorithm="X25519", **seal)


def _is_other_pem(data: bytes) -> bool:
    """Parameters and revocation lists are PEM too, and hold no key."""
    return any(mark in data for mark in (b"PARAMETERS-----", b"X509 CRL-----", b"ATTRIBUTE CERTIFICATE-----"))
