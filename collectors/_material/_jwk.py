"""JSON Web Keys (RFC 7517, RFC 7518 6, RFC 8037): which key it is, from its public members alone.

Refuses to: read the private members for anything but whether they are there.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from collectors._material._build import Place, Rows
from toolkit.terms import KeyType, Protection

_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
}
_OCTETS: Final[dict[str, Any]] = {
    "Ed25519": ed25519.Ed25519PublicKey,
    "Ed448": ed448.Ed448PublicKey,
    "X25519": x25519.X25519PublicKey,
    "X448": x448.X448PublicKey,
}


def jwk_rows(place: Place, data: bytes) -> Rows:
    """The key of a JWK, or the keys of a JWK set; nothing where the bytes are neither."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return
    for number, jwk in enumerate(_keys(told), 1):
        yield from _row(place.at(f"jwk={number}"), jwk)


def _keys(told: Any) -> Iterator[dict[str, Any]]:
    found = told.get("keys", [told]) if isinstance(told, dict) else []
    yield from (jwk for jwk in found if isinstance(jwk, dict) and "kty" in jwk) if isinstance(found, list) else ()


def _row(place: Place, jwk: dict[str, Any]) -> Rows:
    label = str(jwk["kid"]) if isinstance(jwk.get("kid"), str) else None
    seal: dict[str, Any] = {"protected": False, "protection": Protection.NONE, "extractable": True, "label": label}
    if jwk["kty"] == "oct":
        if isinstance(jwk.get("k"), str):
            size = len(jwk["k"].rstrip("=")) * 6 // 8 * 8
            yield place.key(KeyType.SECRET_KEY, "JWK", None, size_bits=size, **seal)
        return
    try:
        public = _public(jwk)
    except (ValueError, TypeError, KeyError, binascii.Error, OverflowError):
        yield place.gap("a JWK whose public members do not make a key")
        return
    if "d" in jwk:
        yield place.key(KeyType.PRIVATE_KEY, "JWK", public, **seal)
    else:
        yield place.key(KeyType.PUBLIC_KEY, "JWK", public, label=label)


def _public(jwk: dict[str, Any]) -> PublicKeyTypes:
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
    if jwk["kty"] == "EC":
        return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), _CURVES[jwk["crv"]]()).public_key()
    key: PublicKeyTypes = _OCTETS[jwk["crv"]].from_public_bytes(_bytes(jwk["x"]))
    return key


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")
