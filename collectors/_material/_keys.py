"""DER values to rows: private keys, public keys, and what else the shape of a value shows it to be.

A value is told by its shape, not by the label on its PEM block: labels are often wrong, and DER files have none.

Refuses to: open an encrypted key, or build a private RSA key, of which the public numbers are all that is wanted.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from collectors._material import _certificates, _der, _pkcs12
from collectors._material._der import BITS, INTEGER, OCTETS, OID, SEQUENCE, Item, Malformed
from collectors._material._place import Place, Rows
from collectors._material._public import (
    EC_PUBLIC_KEY,
    REFUSED,
    RSA_KEYS,
    Sighted,
    algorithm_of,
    curve_name,
    named_curve,
    of_key,
    of_spki,
)
from toolkit.terms import Protection

_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")  # PKCS#7, RFC 5652 5.1


def rows_of(data: bytes, place: Place) -> Rows | None:
    """The rows of the DER value that `data` begins with; None if it has the shape of nothing we know."""
    if data[:2] == b"\x30\x80":  # BER's indefinite length: old PKCS#12 and PKCS#7 writers
        if _SIGNED_DATA in data[:24]:
            return _certificates.bundle(data, place)
        return _pkcs12.store(data, place) if data[2:5] == b"\x02\x01\x03" else None
    whole = _der.first(data)
    items = _der.children(whole.whole)
    tags = [item.tag for item in items]
    if tags == [SEQUENCE, SEQUENCE, BITS]:
        return _signed(whole.whole, items, place)
    if tags == [SEQUENCE, BITS]:
        return iter([place.public(of_spki(whole.whole), "SubjectPublicKeyInfo")])
    if tags == [INTEGER, INTEGER]:
        return iter([place.public(_rsa(items[0].number, items[1].number), "PKCS#1")])
    if tags == [SEQUENCE, OCTETS] and items[0].body[:1] == bytes([OID]):
        return iter([place.private(None, "PKCS#8", Protection.PASSPHRASE)])
    if tags[:2] == [OID, 0xA0] and items[0].whole == _SIGNED_DATA:
        return _certificates.bundle(whole.whole, place)
    if tags[:1] == [INTEGER]:
        return _versioned(whole.whole, items, tags, place)
    return None


def _versioned(whole: bytes, items: list[Item], tags: list[int], place: Place) -> Rows | None:
    """What begins with a version: private keys, and PKCS#12."""
    version = items[0].number
    if tags[:3] == [INTEGER, SEQUENCE, OCTETS] and version in (0, 1):
        return iter([_plain(_pkcs8(whole, items), "PKCS#8", place)])
    if tags[:2] == [INTEGER, OCTETS] and version == 1:
        return iter([_plain(_elliptic(whole, items, b""), "SEC1", place)])
    if len(tags) >= 9 and tags[:9] == [INTEGER] * 9 and version in (0, 1):
        return iter([_plain(_rsa(items[1].number, items[2].number), "PKCS#1", place)])
    if tags == [INTEGER] * 6 and version == 0:
        return iter([_plain(_dsa(*(item.number for item in items[1:5])), "DSA", place)])
    if tags[:2] == [INTEGER, SEQUENCE] and version == 3 and items[1].body[:1] == bytes([OID]):
        return _pkcs12.store(whole, place)
    return None


def _signed(whole: bytes, items: list[Item], place: Place) -> Rows | None:
    """A certificate, a request, or something else that is signed (a revocation list: no key in it)."""
    inner = _der.members(items[0].body)
    tags = [item.tag for item in inner]
    if tags[:1] == [0xA0]:
        inner, tags = inner[1:], tags[1:]
    if tags[:6] == [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE]:
        return _certificates.certificate(whole, inner, place)
    if tags[:3] == [INTEGER, SEQUENCE, SEQUENCE] and len(tags) <= 4:
        return iter([place.public(of_spki(inner[2].whole), "PKCS#10 request")])
    return None


def _plain(sighted: Sighted | tuple[str, str | None], kind: str, place: Place):  # type: ignore[no-untyped-def]
    raise NotImplementedError
