"""Which public key is it: from SubjectPublicKeyInfo bytes, or from a key that is parsed already, to its identity.

`cryptography` reads the usual ones. What it refuses for being unusual is still named: EC parameters written out in
full are recognised as the named curve they equal, and an algorithm or curve it does not know keeps its identity by
the bytes found. What is broken (a point beside its curve, a cut-off value) is `Malformed`.

Refuses to: guess. A key that does not parse has no identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from asn1crypto.keys import ECDomainParameters, NamedCurve, SpecifiedECDomain
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from toolkit.errors import SourceBroken
from toolkit.identity import PublicFacts, observed_spki_sha256, public_facts, spki_uid

REFUSED: Final = (ValueError, TypeError, OverflowError, InternalError)
"""What `cryptography` and asn1crypto raise on bytes that are not what they claim to be."""

EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"
RSA_KEYS: Final = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10", "1.2.840.113549.1.1.7")  # RFC 8017, A.1, A.2
# FIPS 205 parameter sets, 2.16.840.1.101.3.4.3.20 onwards (RFC 9909): no library here reads them yet.
_SLH_DSA: Final = {
    f"2.16.840.1.101.3.4.3.{20 + number}": f"SLH-DSA-{name}"
    for number, name in enumerate(
        f"{digest}-{size}" for digest in ("SHA2", "SHAKE") for size in ("128s", "128f", "192s", "192f", "256s", "256f")
    )
}
CURVES: Final[tuple[ec.EllipticCurve, ...]] = (
    ec.SECP256R1(),
    ec.SECP384R1(),
    ec.SECP521R1(),
    ec.SECP256K1(),
    ec.SECP224R1(),
    ec.SECP192R1(),
    ec.BrainpoolP256R1(),
    ec.BrainpoolP384R1(),
    ec.BrainpoolP512R1(),
)


class Malformed(Exception):
    """Bytes that are not what they claim to be. The message is ours alone, so it never quotes them."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """A public key's facts, and the hash of its SubjectPublicKeyInfo as found."""

    facts: PublicFacts
    spki_sha256: str


def of_key(key: PublicKeyTypes, *, observed: bytes | None = None) -> Sighted:
    """The identity of a parsed key; `observed` are its SubjectPublicKeyInfo bytes, if there were any."""
    try:
        spki = observed or key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except REFUSED:
        raise Malformed("its public key cannot be encoded") from None
    try:
        return Sighted(public_facts(key), observed_spki_sha256(spki))
    except (SourceBroken, UnsupportedAlgorithm, *REFUSED):
        # Numbers that may be parsed but not built again, an RSA exponent of 1 for one: weak keys must not go unseen.
        return _by_bytes(spki)


def of_spki(spki: bytes) -> Sighted:
    """The identity of a SubjectPublicKeyInfo.

    Raises:
        Malformed: it is not one, or its point is not on its curve.
    """
    try:
        key = load_der_public_key(spki)
    except UnsupportedAlgorithm:
        return _by_bytes(spki)
    except REFUSED:
        raise Malformed(_why(spki)) from None
    return of_key(key, observed=spki)


def of_point(curve: ec.EllipticCurve, point: bytes, *, observed: bytes | None = None) -> Sighted:
    """The identity of an EC point (SEC 1, 2.3.4)."""
    try:
        return of_key(ec.EllipticCurvePublicKey.from_encoded_point(curve, point), observed=observed)
    except UnsupportedAlgorithm:
        raise Malformed(f"its curve {curve.name} cannot be read here") from None
    except REFUSED:
        raise Malformed(f"its EC point is not on the curve {curve.name}") from None


def algorithm_of(identifier: bytes) -> tuple[str, bytes]:
    """Dotted OID and parameters' DER of an AlgorithmIdentifier's contents."""
    from collectors._material import _der

    parts = _der.members(identifier)
    if not parts or parts[0].tag != _der.OID:
        raise Malformed("it names no algorithm")
    return dotted(parts[0].body), parts[1].whole if len(parts) > 1 else b""


def dotted(body: bytes) -> str:
    """An OBJECT IDENTIFIER's contents as dotted text (X.690, 8.19)."""
    arcs, value = [], 0
    for byte in body[:64]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    if not arcs:
        raise Malformed("it names no algorithm")
    top = min(arcs[0] // 40, 2)
    return ".".join(map(str, (top, arcs[0] - 40 * top, *arcs[1:])))


def _parts(spki: bytes) -> tuple[str, bytes, bytes]:
    from collectors._material import _der

    items = _der.children(spki)
    if [item.tag for item in items[:2]] != [_der.SEQUENCE, _der.BITS]:
        raise Malformed("its public key is not a SubjectPublicKeyInfo")
    oid, parameters = algorithm_of(items[0].body)
    return oid, parameters, items[1].body[1:]


def _by_bytes(spki: bytes) -> Sighted:
    """Name a key that no library reads: by the curve its parameters equal, or else by its bytes."""
    oid, parameters, bits = _parts(spki)
    if oid == EC_PUBLIC_KEY:
        curve = named_curve(parameters)
        if curve is not None:
            return of_point(curve, bits, observed=spki)
        return _sighted(spki, "EC", curve_name(parameters), _field_bits(bits))
    if oid in RSA_KEYS:
        from collectors._material import _der

        return _sighted(spki, "RSA", None, _der.children(bits)[0].number.bit_length())
    if oid in _SLH_DSA:
        return _sighted(spki, "SLH-DSA", _SLH_DSA[oid], None)
    return _sighted(spki, oid, None, None)


def _sighted(spki: bytes, algorithm: str, parameter: str | None, size_bits: int | None) -> Sighted:
    return Sighted(PublicFacts(spki_uid(spki), algorithm, parameter, size_bits), observed_spki_sha256(spki))


def _field_bits(point: bytes) -> int | None:
    """Size of the field, from a point's length; rounded up to bytes, as the curve itself is unknown."""
    if not point:
        return None
    return 8 * ((len(point) - 1) // 2 if point[0] in (4, 6, 7) else len(point) - 1)


def _why(spki: bytes) -> str:
    oid, parameters, _ = _parts(spki)
    known = {curve.name for curve in CURVES}
    if oid == EC_PUBLIC_KEY and curve_name(parameters) in known:
        return f"its EC point is not on the curve {curve_name(parameters)}"
    return "its public key does not parse"


def curve_name(parameters: bytes) -> str | None:
    """What a key's EC parameters call their curve: a name, a dotted OID, or None when they are written out."""
    from collectors._material import _der

    if not parameters or parameters[0] != _der.OID:
        return None
    oid = dotted(_der.first(parameters).body)
    name: str = NamedCurve._map.get(oid, oid)  # the one public-domain table of curve OIDs at hand
    return name


def named_curve(parameters: bytes) -> ec.EllipticCurve | None:
    """The named curve that these EC parameters say, or equal when written out in full (X9.62; RFC 5480, 2.1.1)."""
    name = curve_name(parameters)
    if name is not None:
        return next((curve for curve in CURVES if curve.name == name), None)
    try:
        written = ECDomainParameters.load(parameters).chosen
        if not isinstance(written, SpecifiedECDomain):
            return None
        order = written["order"].native
        return next((c for c in CURVES if c.group_order == order and _equals(written, c)), None)
    except REFUSED:
        return None


def _equals(written: SpecifiedECDomain, curve: ec.EllipticCurve) -> bool:
    """Whether written-out parameters are `curve`'s.

    Same order, same generator, and five multiples of it that satisfy the written equation: two points fix a and b,
    the others fix the modulus. A generator of one's own choosing is what CVE-2020-0601 was made of.
    """
    modulus = written["field_id"]["parameters"].native
    if not isinstance(modulus, int) or modulus.bit_length() != curve.key_size:
        return False
    a, b = (int.from_bytes(written["curve"][name].native, "big") for name in "ab")
    points = _multiples(curve)
    x, y = points[0]
    base, size = written["base"].native, (curve.key_size + 7) // 8
    spelled = (b"\x04" + x.to_bytes(size, "big") + y.to_bytes(size, "big"), bytes([2 + y % 2]) + x.to_bytes(size, "big"))
    return base in spelled and all((y * y - x**3 - a * x - b) % modulus == 0 for x, y in points)


@cache
def _multiples(curve: ec.EllipticCurve) -> tuple[tuple[int, int], ...]:
    numbers = (ec.derive_private_key(k, curve).public_key().public_numbers() for k in range(1, 6))
    return tuple((number.x, number.y) for number in numbers)
