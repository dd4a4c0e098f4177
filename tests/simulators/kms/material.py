"""Real key pairs, made when first asked for; and the SM2 curve and the symmetric secrets, which need a little help.

A simulator's symmetric secrets come from one random seed, so that a hundred thousand keys need no room for theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVES = {
    "ECC_NIST_P256": ec.SECP256R1, "ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}  # fmt: skip
POST_QUANTUM = {
    "ML_DSA_44": mldsa.MLDSA44PrivateKey, "ML_DSA_65": mldsa.MLDSA65PrivateKey, "ML_DSA_87": mldsa.MLDSA87PrivateKey,
    "ML_KEM_768": mlkem.MLKEM768PrivateKey, "ML_KEM_1024": mlkem.MLKEM1024PrivateKey,
}  # fmt: skip
# GB/T 32918.5 (the recommended curve), and its name in a SubjectPublicKeyInfo: id-ecPublicKey, 1.2.156.10197.1.301.
_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
_SM2_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
# NIST's arc 2.16.840.1.101.3.4.4.1 (id-alg-ml-kem-512), for which the cryptography package has no class.
_ML_KEM_512_SPKI = bytes.fromhex("30820332300b060960864801650304040103820321 00".replace(" ", ""))


def generate(spec: str) -> Any:
    """A private key of a spec, with `public_key()` as the cryptography package has it."""
    if spec.startswith("RSA_"):
        return rsa.generate_private_key(65537, int(spec[4:]))
    if spec in CURVES:
        return ec.generate_private_key(CURVES[spec]())
    if spec == "ECC_NIST_EDWARDS25519":
        return ed25519.Ed25519PrivateKey.generate()
    if spec == "SM2":
        return Sm2PrivateKey(secrets.randbelow(_N - 2) + 1)
    if spec == "ML_KEM_512":
        return OpaqueMlKem512()
    return POST_QUANTUM[spec].generate()


def spki(pair: Any) -> bytes:
    """The public half as DER of a SubjectPublicKeyInfo, which is what GetPublicKey answers."""
    if isinstance(pair, Sm2PrivateKey | OpaqueMlKem512):
        return pair.spki
    return pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def derive(seed: bytes, material_id: str, size: int = 32) -> bytes:
    """The secret of one generation of a symmetric or HMAC key."""
    return hmac.digest(seed, material_id.encode(), "sha512")[:size]


@dataclass(frozen=True)
class Sm2PrivateKey:
    """A key pair on the SM2 curve: enough for its public half, no signatures."""

    number: int

    @cached_property
    def spki(self) -> bytes:
        """The public point, uncompressed."""
        x, y = _multiply(self.number)
        return _SM2_SPKI + b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")

    def __repr__(self) -> str:
        return "Sm2PrivateKey()"


class OpaqueMlKem512:
    """An ML-KEM-512 public key of the right form: 768 bytes of packed coefficients below 3329, then a seed."""

    @cached_property
    def spki(self) -> bytes:
        """FIPS 203, ByteEncode12: two coefficients in three bytes."""
        packed = bytearray()
        for _ in range(256):
            a, b = secrets.randbelow(3329), secrets.randbelow(3329)
            packed += bytes((a & 0xFF, a >> 8 | (b & 0xF) << 4, b >> 4))
        return _ML_KEM_512_SPKI + bytes(packed) + secrets.token_bytes(32)


def _add(a: tuple[int, int] | None, b: tuple[int, int] | None) -> tuple[int, int] | None:
    """Points on y^2 = x^3 - 3x + b, affine; None is the point at infinity."""
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % _P == 0:
        return None
    if a == b:
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, _P) % _P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _P) % _P
    x = (slope * slope - a[0] - b[0]) % _P
    return x, (slope * (a[0] - x) - a[1]) % _P


def _multiply(number: int) -> tuple[int, int]:
    point, result = _G, None
    while number:
        if number & 1:
            result = _add(result, point)
        point, number = _add(point, point), number >> 1
    return result


def is_on_sm2(x: int, y: int) -> bool:
    """Whether a point is on the curve; the tests ask."""
    return (y * y - (x * x * x - 3 * x + _B)) % _P == 0


def digest(name: str, data: bytes) -> bytes:
    """SHA-2 of the bits that an AWS algorithm's name ends in."""
    return hashlib.new(f"sha{name.rsplit('_', 1)[1]}", data).digest()
