"""PEM blocks (RFC 7468) of every label that names a key or a certificate."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from collectors._material._build import Place, Rows, certificate_rows
from collectors._material._der import (
    is_encrypted_pkcs8,
    pkcs7_rows,
    private_of,
    private_rows,
    request_rows,
)
from collectors._material._public import odd_curve, pkcs1_public, public_of_spki
from collectors._material._ssh import openssh_private_rows
from toolkit.terms import KeyType

BEGIN: Final = b"-----BEGIN "
# One mark at a time: a pattern over whole blocks would go over the file again for each block that does not end.
_MARK: Final = re.compile(rb"-----(BEGIN|END) ([A-Z0-9][A-Z0-9 ]{2,40})-----")
_NAMES_A_KEY: Final = re.compile(r"PRIVATE KEY|CERTIFICATE|PUBLIC KEY")
_CERTIFICATES: Final = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}
_REQUESTS: Final = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"}
_ALGORITHMS: Final = {"RSA PRIVATE KEY": "RSA", "EC PRIVATE KEY": "EC", "DSA PRIVATE KEY": "DSA"}
_FORMS: Final = {"PRIVATE KEY": "PKCS#8", "RSA PRIVATE KEY": "PKCS#1", "EC PRIVATE KEY": "SEC1"}


def pem_rows(place: Place, data: bytes) -> Rows:
    """Every block of the file, numbered from 1; a block that begins and does not end is told."""
    number, opened = 0, None
    for mark in _MARK.finditer(data):
        begins, label = mark[1] == b"BEGIN", mark[2].decode()
        if opened and not begins and opened[0] == label:
            yield from _block(place.at(f"pem={number}"), label, data[opened[1] : mark.start()])
            opened = None
        elif begins:
            if opened:
                yield from _unended(place.at(f"pem={number}"), opened[0])
            number, opened = number + 1, (label, mark.end())
    if opened:
        yield from _unended(place.at(f"pem={number}"), opened[0])


def _unended(place: Place, label: str) -> Rows:
    if _NAMES_A_KEY.search(label):
        yield place.gap("a PEM block begins here and does not end")


def _block(place: Place, label: str, text: bytes) -> Rows:
    if label.startswith("PGP "):
        yield from _pgp(place, label)
        return
    sealed = b"Proc-Type: 4,ENCRYPTED" in text
    body = _decoded(text)
    is_key = label in _CERTIFICATES | _REQUESTS or label.endswith(("PRIVATE KEY", "PUBLIC KEY"))
    if body is None or not body:
        if is_key:
            yield place.gap(f"the {label} block is not base64")
    elif label in _CERTIFICATES:
        yield from certificate_rows(place, _first_der(body))
    elif label in _REQUESTS:
        yield from request_rows(place, body)
    elif label in {"PKCS7", "CMS"}:
        yield from pkcs7_rows(place, body)
    elif label == "OPENSSH PRIVATE KEY":
        yield from openssh_private_rows(place, body)
    elif label.endswith("PRIVATE KEY"):
        yield from _private(place, label, body, sealed=sealed)
    elif label.endswith("PUBLIC KEY"):
        yield from _public(place, label, body)


def _private(place: Place, label: str, body: bytes, *, sealed: bool) -> Rows:
    if sealed:
        # Traditional encryption (RFC 1421): the label alone tells the algorithm.
        algorithm = _ALGORITHMS.get(label)
        yield place.private(f"{_FORMS.get(label, label)} encrypted", None, sealed=True, algorithm=algorithm)
    elif label == "ENCRYPTED PRIVATE KEY":
        if is_encrypted_pkcs8(body):
            yield place.private("PKCS#8 encrypted", None, sealed=True)
        else:
            yield place.gap("an encrypted private key that does not parse (RFC 5958)")
    elif (private := private_of(body)) is not None:
        yield from private_rows(place, private, _FORMS.get(label, "PEM private key"))
    elif (odd := odd_curve(body)) is not None:
        yield place.private(_FORMS.get(label, "PEM private key"), None, sealed=False, **odd)
    else:
        yield place.gap(f"a {label} block that does not parse")


def _public(place: Place, label: str, body: bytes) -> Rows:
    is_spki = label == "PUBLIC KEY"
    public = public_of_spki(body) or pkcs1_public(body)
    if public is None and (odd := odd_curve(body)) is not None:
        yield place.key(KeyType.PUBLIC_KEY, "SubjectPublicKeyInfo", None, spki=None, **odd)
    elif public is None:
        yield place.gap(f"a {label} block that does not parse, or a point that is not on its curve")
    else:
        form = "SubjectPublicKeyInfo" if is_spki else "PKCS#1 public key"
        yield place.key(KeyType.PUBLIC_KEY, form, public, spki=body if is_spki else None)


def _pgp(place: Place, label: str) -> Rows:
    # OpenPGP packets (RFC 9580) are not read yet: the key is known by its place, and whether it is sealed is not.
    if label == "PGP PRIVATE KEY BLOCK":
        yield place.key(KeyType.PRIVATE_KEY, "OpenPGP", None)
    elif label == "PGP PUBLIC KEY BLOCK":
        yield place.key(KeyType.PUBLIC_KEY, "OpenPGP", None)


def _decoded(text: bytes) -> bytes | None:
    lines = [line.strip() for line in text.replace(b"\\n", b"\n").splitlines()]
    try:
        return base64.b64decode(b"".join(line for line in lines if b":" not in line), validate=True)
    except (binascii.Error, ValueError):
        return None


def _first_der(body: bytes) -> bytes:
    """The first DER object: a TRUSTED CERTIFICATE carries OpenSSL's trust settings behind the certificate."""
    if len(body) > 4 and body[0] == 0x30 and body[1] == 0x82:
        return body[: 4 + int.from_bytes(body[2:4], "big")]
    return body
