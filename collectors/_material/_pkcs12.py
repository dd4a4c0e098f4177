"""PKCS#12 (RFC 7292), bag by bag: a library's "the key and its certificates" silently loses a second key and secrets.

Only the empty password is tried, once: files that were written without a real one open, the others are sealed rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from asn1crypto import pkcs12
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from collectors._material._build import Place, Rows, certificate_rows
from toolkit.terms import GapStatus, KeyType, Protection

# asn1crypto parses lazily: any touch of a malformed object may raise any of these.
ASN1: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def is_pkcs12(der: bytes) -> bool:
    """Whether it is a PFX."""
    try:
        pfx = pkcs12.Pfx.load(der)
        return bool(pfx["version"].native == "v3" and pfx["auth_safe"]["content_type"].native)
    except ASN1:
        return False


def pkcs12_rows(place: Place, der: bytes) -> Rows:
    """Every bag: keys in clear, sealed keys, secrets, certificates; what stays sealed is told."""
    try:
        safes = list(pkcs12.Pfx.load(der).authenticated_safe)
        bags = list(_bags(safes))
    except ASN1:
        yield place.gap("not a PKCS#12 file that parses (RFC 7292)")
        return
    opened, first = _opened(der)
    for number, bag in enumerate(bags, 1):
        public = None
        if opened is not None and bag["bag_id"].native == "pkcs8_shrouded_key_bag":
            # The library opens PKCS#12's own encryption for the first key only; a second may still open by itself.
            public, first = _shrouded(bag) or first, None
        here = place.at(f"bag={number}")
        try:
            yield from list(_bag_rows(here, bag, public))
        except ASN1:
            yield here.gap("a PKCS#12 bag that does not parse (RFC 7292)")
    for number, certificate in enumerate(opened or (), 1):
        yield from certificate_rows(place.at(f"certificate={number}"), certificate, form="PKCS#12 certificate")
    sealed = [safe for safe in safes if safe["content_type"].native != "data"]
    if sealed and opened is None:
        yield place.gap(
            f"{len(sealed)} part(s) are encrypted: the certificates in them are not seen",
            status=GapStatus.NOT_ASKED,
            # A field's: the file itself was read whole, and its sealed keys are rows.
            field="certificates",
            advice="its keys are listed as sealed; open it with its password to see the certificates",
        )
        if not bags:
            yield _sealed(place.at("sealed"), KeyType.UNKNOWN, None)


def _bags(safes: list[Any]) -> Iterator[Any]:
    for safe in safes:
        if safe["content_type"].native == "data":
            yield from pkcs12.SafeContents.load(safe["content"].native)


def _bag_rows(place: Place, bag: Any, opened: PublicKeyTypes | None) -> Rows:
    kind, label = bag["bag_id"].native, _label(bag)
    content = bag["bag_value"].dump() if kind != "cert_bag" else b""
    if kind == "pkcs8_shrouded_key_bag":
        yield place.private("PKCS#12", opened, sealed=opened is None, label=label)
    elif kind == "key_bag":
        public = _public(_inner(bag), None)
        yield place.private("PKCS#12", public, sealed=False, label=label)
    elif kind == "secret_bag":
        yield _sealed(place, KeyType.SECRET_KEY, label)
    elif kind == "cert_bag":
        yield from certificate_rows(
            place, bag["bag_value"]["cert_value"].parsed.dump(), label=label, form="PKCS#12 certificate"
        )
    elif kind not in {"crl_bag", "safe_contents"} and content:
        yield place.gap("a bag of a kind this version does not know")


def _sealed(place: Place, key_type: KeyType, label: str | None) -> Any:
    seal: dict[str, Any] = {"protected": True, "protection": Protection.PASSPHRASE, "extractable": True}
    return place.key(key_type, "PKCS#12", None, label=label, **seal)


def _inner(bag: Any) -> bytes:
    inner: bytes = bag["bag_value"].untag().dump() if bag["bag_value"].explicit is not None else bag["bag_value"].dump()
    return inner


def _shrouded(bag: Any) -> PublicKeyTypes | None:
    try:
        return _public(_inner(bag), b"")
    except ASN1:
        return None


def _public(der: bytes, password: bytes | None) -> PublicKeyTypes | None:
    try:
        return load_der_private_key(der, password, unsafe_skip_rsa_key_validation=True).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _opened(der: bytes) -> tuple[list[bytes] | None, PublicKeyTypes | None]:
    """If the empty password opens it: the certificates of its encrypted parts, and its first key's public half."""
    try:
        store = load_pkcs12(der, b"")
        public = store.key.public_key() if store.key else None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None, None
    found = [store.cert, *store.additional_certs]
    return [_der(entry.certificate) for entry in found if entry is not None], public


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _label(bag: Any) -> str | None:
    try:
        attributes = bag["bag_attributes"]
        names = [a["values"][0].native for a in attributes if a["type"].native == "friendly_name"]
    except ASN1:
        return None
    return str(names[0]) if names and names[0] else None
