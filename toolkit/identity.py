"""Which key is it: one uid for one key, however and wherever it is written down.

A key with a public half is the SHA-256 of its *canonical* SubjectPublicKeyInfo: re-encoded from the public numbers,
because the same RSA modulus under id-RSASSA-PSS and rsaEncryption, or an EC point compressed or with explicit
parameters, has different SPKI bytes (RFC 5280 4.1.2.7, RFC 5480 2.1.1, RFC 8017 A.1). The prefix tells what a uid
rests on:

- `spki:`    canonical SubjectPublicKeyInfo; the same wherever the key turns up
- `hmac:`    keyed fingerprint of secret material that was seen; comparable inside one workspace only
- `keeper:`  the keeper's own name for a key whose material never left it
- `place:`   nothing but the place is known (sealed material); never joins anything

Refuses to: keep, log or return material.

>>> from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
>>> public_facts(Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key()).algorithm
'Ed25519'
"""

from __future__ import annotations

import hashlib
import hmac
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolkit.errors import SourceBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes


@dataclass(frozen=True, slots=True)
class PublicFacts:
    """What a public key says of itself: uid, canonical algorithm name, parameter set or curve, size in bits."""

    key_uid: str
    algorithm: str
    parameter: str | None
    size_bits: int | None


class Fingerprinter:
    """Names secret material without keeping it: HMAC-SHA-256 (RFC 2104) under the workspace's pepper."""

    __slots__ = ("_pepper",)

    def __init__(self, pepper: bytes) -> None:
        if len(pepper) < 32:
            raise ValueError("a pepper has at least 32 bytes")
        self._pepper = pepper

    def __repr__(self) -> str:
        return "Fingerprinter(…)"

    def uid(self, material: bytes) -> str:
        """`hmac:` and 64 hex digits."""
        return "hmac:" + hmac.new(self._pepper, material, hashlib.sha256).hexdigest()


def cache_folder() -> Path:
    """The user's cache folder for keyatlas (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "keyatlas"


def local_fingerprinter() -> Fingerprinter:
    """Names material the same in every scan of this user on this machine; of one process, if no file can be kept."""
    path = cache_folder() / "pepper"
    pepper = os.urandom(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(pepper)
    except OSError:
        # The cache may be a folder that this user cannot even look into.
        with suppress(OSError):
            kept = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            pepper = kept if len(kept) == len(pepper) else pepper
    return Fingerprinter(pepper)


def keeper_uid(locator: str) -> str:
    """The uid of a key that never leaves its keeper, from the keeper's own stable name for it."""
    return "keeper:" + hashlib.sha256(locator.encode()).hexdigest()


def access_key_uid(access_key_id: str) -> str:
    """The uid of an AWS access key, from its id alone: whoever finds the id, in code or a log, names the same key."""
    return keeper_uid(f"aws:access-key/{access_key_id}")


def place_uid(locator: str) -> str:
    """The uid of sealed material of which only the place is known."""
    return "place:" + hashlib.sha256(locator.encode()).hexdigest()


def spki_uid(spki: bytes) -> str:
    """The uid of a DER SubjectPublicKeyInfo that is canonical already."""
    return "spki:" + hashlib.sha256(spki).hexdigest()


def observed_spki_sha256(spki: bytes) -> str:
    """Hex SHA-256 of the SubjectPublicKeyInfo bytes as they were found; kept beside the canonical uid."""
    return hashlib.sha256(spki).hexdigest()


def canonical_spki(key: PublicKeyTypes) -> bytes:
    """DER SubjectPublicKeyInfo re-encoded from the public numbers, so that every spelling of a key gives one."""
    # Here, for a uid that rests on a name needs no cryptography, whose import a `--help` would wait for.
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, rsa.RSAPublicKey):
        key = rsa.RSAPublicNumbers(key.public_numbers().e, key.public_numbers().n).public_key()
    elif isinstance(key, ec.EllipticCurvePublicKey):
        numbers = key.public_numbers()
        key = ec.EllipticCurvePublicNumbers(numbers.x, numbers.y, numbers.curve).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# cryptography's class name -> (our canonical algorithm name, parameter set, nominal bits of the key).
# Sizes: RFC 8032 5.1/5.2, RFC 7748; FIPS 203/204 name parameter sets, a bit size means nothing there.
_FIXED: Final[dict[str, tuple[str, str | None, int | None]]] = {
    "Ed25519PublicKey": ("Ed25519", None, 256),
    "Ed448PublicKey": ("Ed448", None, 456),
    "X25519PublicKey": ("X25519", None, 256),
    "X448PublicKey": ("X448", None, 448),
    "MLDSA44PublicKey": ("ML-DSA", "ML-DSA-44", None),
    "MLDSA65PublicKey": ("ML-DSA", "ML-DSA-65", None),
    "MLDSA87PublicKey": ("ML-DSA", "ML-DSA-87", None),
    "MLKEM512PublicKey": ("ML-KEM", "ML-KEM-512", None),
    "MLKEM768PublicKey": ("ML-KEM", "ML-KEM-768", None),
    "MLKEM1024PublicKey": ("ML-KEM", "ML-KEM-1024", None),
}


def public_facts(key: PublicKeyTypes) -> PublicFacts:
    """Uid, algorithm, parameter and size of a public key.

    Raises:
        SourceBroken: the key is of a kind this version does not know.
    """
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

    uid = spki_uid(canonical_spki(key))
    if isinstance(key, rsa.RSAPublicKey):
        return PublicFacts(uid, "RSA", None, key.key_size)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return PublicFacts(uid, "EC", key.curve.name, key.key_size)
    if isinstance(key, dsa.DSAPublicKey):
        return PublicFacts(uid, "DSA", None, key.key_size)
    # By name: naming `dh.DHPublicKey` warns, and the PQC classes come and go with cryptography's build.
    if type(key).__name__ == "DHPublicKey":
        return PublicFacts(uid, "DH", None, getattr(key, "key_size", None))
    for kind in type(key).__mro__:
        if kind.__name__ in _FIXED:
            algorithm, parameter, size_bits = _FIXED[kind.__name__]
            return PublicFacts(uid, algorithm, parameter, size_bits)
    raise SourceBroken(f"public key of unknown kind {type(key).__name__}", advice="update keyatlas")
