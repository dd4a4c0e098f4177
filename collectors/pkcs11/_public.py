"""Public halves: the key that a public object, a certificate or a private object's open attributes tell.

Refuses to: guess. What does not parse is None, and the key is then known by its keeper's name for it.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, Final

from asn1crypto import core, keys
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from collectors._material._public import public_of_spki
from toolkit.errors import SourceBroken
from toolkit.identity import PublicFacts, public_facts, spki_uid

warnings.filterwarnings("ignore", module=r"collectors\.pkcs11\._public")  # a weak key is what we look for

Found = dict[str, Any]
_EDWARDS: Final[dict[int, Any]] = {32: ed25519.Ed25519PublicKey, 57: ed448.Ed448PublicKey}
_MONTGOMERY: Final[dict[int, Any]] = {32: x25519.X25519PublicKey, 56: x448.X448PublicKey}
# CKA_PARAMETER_SET (PKCS#11 v3.2: CKP_…) to parameter set and the last arc of its OID under 2.16.840.1.101.3.4 (NIST
# CSOR: .4.x ML-KEM, .3.17 on ML-DSA, .3.20 on SLH-DSA). From knowledge.
_SLH: Final = ("SHA2-128s", "SHAKE-128s", "SHA2-128f", "SHAKE-128f", "SHA2-192s", "SHAKE-192s", "SHA2-192f",
               "SHAKE-192f", "SHA2-256s", "SHAKE-256s", "SHA2-256f", "SHAKE-256f")  # fmt: skip
_SLH_ARCS: Final = (20, 26, 21, 27, 22, 28, 23, 29, 24, 30, 25, 31)
PARAMETER_SETS: Final[dict[str, dict[int, tuple[str, str]]]] = {
    "CKK_ML_KEM": {n: (f"ML-KEM-{s}", f"4.{n}") for n, s in enumerate((512, 768, 1024), 1)},
    "CKK_ML_DSA": {n: (f"ML-DSA-{s}", f"3.{16 + n}") for n, s in enumerate((44, 65, 87), 1)},
    "CKK_SLH_DSA": {
        n: (f"SLH-DSA-{name}", f"3.{arc}") for n, (name, arc) in enumerate(zip(_SLH, _SLH_ARCS, strict=True), 1)
    },
}


@lru_cache(maxsize=4096)
def _rsa(exponent: str, modulus: str) -> PublicFacts:
    """Both halves of a pair tell the same numbers."""
    return public_facts(rsa.RSAPublicNumbers(int(exponent, 16), int(modulus, 16)).public_key())


def facts_of(found: Found) -> PublicFacts | None:
    """What the object says of its public key: from CKA_PUBLIC_KEY_INFO, from its numbers, or from a certificate."""
    kind = found.get("KEY_TYPE")
    try:
        if found["CLASS"] == "CKO_CERTIFICATE":
            return public_facts(x509.load_der_x509_certificate(_bytes(found, "VALUE")).public_key())
        if kind == "CKK_RSA" and found.get("MODULUS") and found.get("PUBLIC_EXPONENT"):
            return _rsa(found["PUBLIC_EXPONENT"], found["MODULUS"])
        if kind in PARAMETER_SETS:
            return _post_quantum(kind, found)
        key = _numbers(kind, found)
        if key is None and found.get("PUBLIC_KEY_INFO"):
            key = public_of_spki(_bytes(found, "PUBLIC_KEY_INFO"))
        return None if key is None else public_facts(key)
    except (ValueError, TypeError, KeyError, LookupError, UnsupportedAlgorithm, SourceBroken):
        return None


def _bytes(found: Found, name: str) -> bytes:
    return bytes.fromhex(found.get(name) or "")


def _number(found: Found, name: str) -> int:
    return int(found[name], 16)


def _numbers(kind: str | None, found: Found) -> PublicKeyTypes | None:
    if kind == "CKK_DSA" and found.get("BASE") and found.get("VALUE"):
        group = dsa.DSAParameterNumbers(*(_number(found, name) for name in ("PRIME", "SUBPRIME", "BASE")))
        return dsa.DSAPublicNumbers(_number(found, "VALUE"), group).public_key()
    if kind not in ("CKK_EC", "CKK_EC_EDWARDS", "CKK_EC_MONTGOMERY") or not found.get("EC_POINT"):
        return None
    point = unwrapped(_bytes(found, "EC_POINT"))
    if kind == "CKK_EC_EDWARDS":
        return _EDWARDS[len(point)].from_public_bytes(point)  # type: ignore[no-any-return]
    if kind == "CKK_EC_MONTGOMERY":
        return _MONTGOMERY[len(point)].from_public_bytes(point)  # type: ignore[no-any-return]
    curve = curve_of(found)
    return None if curve is None else ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def _post_quantum(kind: str, found: Found) -> PublicFacts | None:
    """Its SubjectPublicKeyInfo has one form only: OID, no parameters, raw key (RFC 9881, RFC 9935, RFC 9909)."""
    name, arc = PARAMETER_SETS[kind][parameter_number(found)]
    spki = _bytes(found, "PUBLIC_KEY_INFO") or _spki(arc, _bytes(found, "VALUE"))
    return PublicFacts(spki_uid(spki), name.rpartition("-")[0] if kind != "CKK_SLH_DSA" else "SLH-DSA", name, None)


def _spki(arc: str, raw: bytes) -> bytes:
    if not raw:
        raise ValueError("no public key")
    algorithm = core.Sequence(contents=core.ObjectIdentifier(f"2.16.840.1.101.3.4.{arc}").dump())
    bits = core.BitString(contents=b"\0" + raw)
    der: bytes = core.Sequence(contents=algorithm.dump() + bits.dump()).dump()
    return der


def parameter_number(found: Found) -> int:
    """CKA_PARAMETER_SET; 0 where it is not given."""
    return int.from_bytes(_bytes(found, "PARAMETER_SET"), "little")


def curve_of(found: Found) -> ec.EllipticCurve | None:
    """The named curve of CKA_EC_PARAMS, if cryptography knows it."""
    return _curve(_bytes(found, "EC_PARAMS"))


@lru_cache(maxsize=256)
def _curve(parameters: bytes) -> ec.EllipticCurve | None:
    try:
        oid = core.ObjectIdentifier.load(parameters).dotted
        return ec.get_curve_for_oid(x509.ObjectIdentifier(oid))()
    except (ValueError, TypeError, LookupError):
        return None


def curve_name(found: Found) -> str | None:
    """The name or OID of the curve, also of one that cryptography cannot compute with."""
    curve = curve_of(found)
    if curve is not None:
        return curve.name
    try:
        return str(keys.ECDomainParameters.load(_bytes(found, "EC_PARAMS")).chosen.native)
    except (ValueError, TypeError, AttributeError):
        return None


def unwrapped(raw: bytes) -> bytes:
    """v2.40 asks for the point inside an OCTET STRING; some modules give it bare, and a bare one starts alike."""
    try:
        inside = bytes(core.OctetString.load(raw, strict=True).native)
    except (ValueError, TypeError):
        return raw
    # One bare point in 256 parses as an OCTET STRING; what is inside is then no point.
    return inside if inside[:1] in (b"\x02", b"\x03", b"\x04") or len(inside) in (32, 56, 57) else raw
