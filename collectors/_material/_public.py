"""Public keys out of the encodings that libraries refuse or lose: explicit EC parameters, OpenSSH wire format."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from asn1crypto import core, keys
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier

# SEC 2 v2 curves by field prime: explicit parameters that equal a named curve are that curve (RFC 5480 2.1.1).
_PRIMES: Final[dict[int, ec.EllipticCurve]] = {
    2**192 - 2**64 - 1: ec.SECP192R1(),
    2**224 - 2**96 + 1: ec.SECP224R1(),
    2**256 - 2**224 + 2**192 + 2**96 - 1: ec.SECP256R1(),
    2**256 - 2**32 - 977: ec.SECP256K1(),
    2**384 - 2**128 - 2**96 + 2**32 - 1: ec.SECP384R1(),
    2**521 - 1: ec.SECP521R1(),
}
_SSH_CURVES: Final[dict[bytes, ec.EllipticCurve]] = {
    b"nistp256": ec.SECP256R1(),
    b"nistp384": ec.SECP384R1(),
    b"nistp521": ec.SECP521R1(),
}


def public_of_spki(der: bytes) -> PublicKeyTypes | None:
    """The key in a DER SubjectPublicKeyInfo; None if it is no key that can be used."""
    try:
        return load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _explicit_curve(der)


def _explicit_curve(der: bytes) -> PublicKeyTypes | None:
    try:
        info = keys.PublicKeyInfo.load(der)
        if info.algorithm != "ec" or info["algorithm"]["parameters"].name != "specified":
            return None
        domain = info["algorithm"]["parameters"].chosen
        prime = domain["field_id"]["parameters"].native
        curve = _PRIMES.get(prime) if isinstance(prime, int) else None
        if curve is None or not _is_curve(curve, prime, domain):
            return None
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, bytes(info["public_key"]))
    except (ValueError, TypeError, KeyError):
        return None


def _is_curve(curve: ec.EllipticCurve, prime: int, domain: Any) -> bool:
    """Same prime, coefficient a and base point: b follows from them (the trick of CVE-2020-0601 changes the base)."""
    generator = ec.derive_private_key(1, curve).public_key().public_numbers()
    width = (curve.key_size + 7) // 8
    base, x = domain["base"].contents, generator.x.to_bytes(width, "big")
    is_base = base in (b"\x04" + x + generator.y.to_bytes(width, "big"), bytes([2 + generator.y % 2]) + x)
    a = int.from_bytes(domain["curve"]["a"].native, "big")
    return is_base and a == (0 if isinstance(curve, ec.SECP256K1) else prime - 3)


def ssh_blob(text: bytes) -> bytes | None:
    """The wire bytes of a base64 field; None if it is not base64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def ssh_fields(blob: bytes) -> list[bytes]:
    """The length-prefixed strings of RFC 4251, section 5.

    Raises:
        ValueError: a length runs past the end.
    """
    fields, at = [], 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            raise ValueError("a field runs past the end")
        fields.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return fields


def public_of_ssh(blob: bytes) -> PublicKeyTypes | None:
    """The key in an OpenSSH public key blob (RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4); None if it is none."""
    try:
        name, *fields = ssh_fields(blob)
        numbers = [int.from_bytes(field, "big") for field in fields]
        if name == b"ssh-rsa":
            return rsa.RSAPublicNumbers(numbers[0], numbers[1]).public_key()
        if name == b"ssh-dss":
            p, q, g, y = numbers
            return dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key()
        if name in (b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"):
            return ed25519.Ed25519PublicKey.from_public_bytes(fields[0])
        if name.startswith((b"ecdsa-sha2-", b"sk-ecdsa-sha2-")):
            return ec.EllipticCurvePublicKey.from_encoded_point(_SSH_CURVES[fields[0]], fields[1])
    except (ValueError, TypeError, KeyError, IndexError, UnsupportedAlgorithm):
        return None
    return None


def pkcs1_public(der: bytes) -> PublicKeyTypes | None:
    """The key in a bare RSAPublicKey (RFC 8017 A.1.1)."""
    try:
        modulus, exponent = (int(part.native) for part in core.SequenceOf.load(der, spec=core.Integer))
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, TypeError):
        return None


def odd_curve(der: bytes) -> dict[str, str] | None:
    """Algorithm and curve of an EC key, public or private, on a curve that the library cannot compute with.

    It is a key all the same, and often a weak one (secp112r1): known by its place, its curve by name or OID.
    """
    for read in (_spki_curve, _pkcs8_curve, _sec1_curve):
        try:
            curve = read(der)
            kind = curve.name
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        if kind == "specified":
            return {"algorithm": "EC", "parameter": "explicit parameters"}
        is_odd = kind == "named" and not _is_known(curve.chosen.dotted)
        return {"algorithm": "EC", "parameter": str(curve.native)} if is_odd else None
    return None


def _spki_curve(der: bytes) -> Any:
    return keys.PublicKeyInfo.load(der, strict=True)["algorithm"]["parameters"]


def _pkcs8_curve(der: bytes) -> Any:
    return keys.PrivateKeyInfo.load(der, strict=True)["private_key_algorithm"]["parameters"]


def _sec1_curve(der: bytes) -> Any:
    return keys.ECPrivateKey.load(der, strict=True)["parameters"]


def _is_known(dotted: str) -> bool:
    try:
        ec.get_curve_for_oid(ObjectIdentifier(dotted))
    except LookupError:
        return False
    return True
