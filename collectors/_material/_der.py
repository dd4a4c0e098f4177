"""One DER object: certificate, request, private or public key, PKCS#7, PKCS#12."""

from __future__ import annotations

from asn1crypto import cms, core, keys
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from collectors._material._build import MALFORMED, Place, Rows, certificate_rows
from collectors._material._pkcs12 import ASN1, is_pkcs12, pkcs12_rows
from collectors._material._public import pkcs1_public, public_of_spki
from toolkit.errors import SourceBroken
from toolkit.terms import KeyType


def der_rows(place: Place, der: bytes) -> Rows:
    """Whatever one DER object is, tried from the commonest on; nothing if it is none of them."""
    if is_pkcs12(der):
        yield from pkcs12_rows(place, der)
    elif _is_certificate(der):
        yield from certificate_rows(place, der)
    elif (private := private_of(der)) is not None:
        yield from private_rows(place, private, "PKCS#8" if _is_pkcs8(der) else "DER private key")
    elif (public := public_of_spki(der) or pkcs1_public(der)) is not None:
        yield place.key(KeyType.PUBLIC_KEY, "DER public key", public)
    elif is_encrypted_pkcs8(der):
        yield place.private("PKCS#8 encrypted", None, sealed=True)
    elif _is_request(der):
        yield from request_rows(place, der)
    elif _is_pkcs7(der):
        yield from pkcs7_rows(place, der)


def private_of(der: bytes) -> PrivateKeyTypes | None:
    """The private key in PKCS#8, PKCS#1, SEC1 or DSA DER; None if it is none, or sealed."""
    try:
        return load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    except MALFORMED:
        return None


def private_rows(place: Place, private: PrivateKeyTypes, form: str) -> Rows:
    """A private key in clear."""
    try:
        yield place.private(form, private.public_key(), sealed=False)
    except (SourceBroken, ValueError):
        yield place.gap("a private key of a kind this version does not know")


def request_rows(place: Place, der: bytes) -> Rows:
    """The public key of a PKCS#10 request (RFC 2986)."""
    try:
        request = x509.load_der_x509_csr(der)
        name = request.subject.rfc4514_string() or None
        yield place.key(KeyType.PUBLIC_KEY, "PKCS#10 request", request.public_key(), label=name)
    except (*MALFORMED, SourceBroken):
        yield place.gap("not a certificate request that parses (RFC 2986)")


def pkcs7_rows(place: Place, der: bytes) -> Rows:
    """The certificates of a PKCS#7 bundle (RFC 5652)."""
    try:
        bundle = cms.ContentInfo.load(der)["content"]["certificates"]
        certificates = [choice.chosen.dump() for choice in bundle if choice.name == "certificate"]
    except ASN1:
        yield place.gap("not a PKCS#7 bundle that parses (RFC 5652)")
        return
    for number, certificate in enumerate(certificates, 1):
        yield from certificate_rows(place.at(f"certificate={number}"), certificate)


def is_encrypted_pkcs8(der: bytes) -> bool:
    """Whether it is an EncryptedPrivateKeyInfo (RFC 5958, section 3)."""
    try:
        sealed = keys.EncryptedPrivateKeyInfo.load(der, strict=True)
        return bool(sealed["encrypted_data"].native) and sealed["encryption_algorithm"]["algorithm"].native is not None
    except ASN1:
        return False


def _is_pkcs8(der: bytes) -> bool:
    try:
        return keys.PrivateKeyInfo.load(der)["private_key_algorithm"]["algorithm"].native is not None
    except ASN1:
        return False


def _is_certificate(der: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(der)
    except MALFORMED:
        return False
    return True


def _is_request(der: bytes) -> bool:
    try:
        x509.load_der_x509_csr(der)
    except MALFORMED:
        return False
    return True


def _is_pkcs7(der: bytes) -> bool:
    try:
        outer = core.Sequence.load(der)
        return bool(outer[0].native == "1.2.840.113549.1.7.2")
    except ASN1:
        return False
