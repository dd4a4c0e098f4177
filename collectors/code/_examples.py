"""Examples made when they are needed: a template of a token's format, and random characters.

`{base62:30}` is thirty characters of an alphabet, `{crc32}` GitHub's checksum of the field before it, `{jwt}` a token
signed by nobody. So no scanner finds anything in this repository.
Refuses to: be used for anything but tests and benchmarks.

>>> from random import Random
>>> len(example("ghp_{base62:30}{crc32}", Random(1)))
40
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import string
import zlib
from collections.abc import Callable
from random import Random
from typing import Final

BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ALPHABETS: Final = {
    "base62": BASE62,
    "hex": "0123456789abcdef",
    "digits": string.digits,
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "lownum": string.ascii_lowercase + string.digits,
    "upnum": string.ascii_uppercase + string.digits,
    "base32": string.ascii_uppercase + "234567",
    "bech32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "base64": string.ascii_letters + string.digits + "+/",
    "base64url": string.ascii_letters + string.digits + "-_",
}
_BITCOIN: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE: Final = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_FIELD: Final = re.compile(r"\{(\w+)(?::(\d+))?\}")


def checksum(text: bytes) -> bytes:
    """CRC-32 in base62, six characters: the tail of GitHub's tokens (github.blog, 2021-04-05)."""
    number, digits = zlib.crc32(text), ""
    while number:
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits.rjust(6, "0").encode()


def example(template: str, random: Random) -> str:
    """The template with its fields filled."""
    last = ""

    def field(found: re.Match[str]) -> str:
        nonlocal last
        name, size = found[1], int(found[2] or 0)
        if name == "crc32":
            return checksum(last.encode()).decode()
        if name == "jwt":
            return _jwt(random)
        if name == "pem":
            return _pem(random)
        if name in _MADE:
            return _MADE[name](random, size)
        last = "".join(random.choices(_ALPHABETS[name], k=size))
        return last

    return _FIELD.sub(field, template)


def _jwt(random: Random) -> str:
    parts = [b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"%d"}' % random.getrandbits(60), random.randbytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _jwk(random: Random, _size: int) -> str:
    pair = _pair(random)
    d, x = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (pair[:32], pair[32:]))
    return f'{{"kty":"OKP","crv":"Ed25519","x":"{x}","d":"{d}"}}'


def _pair(random: Random) -> bytes:
    """Seed and public half of an Ed25519 key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = random.randbytes(32)
    return seed + Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _letters(random: Random, size: int) -> bytes:
    return "".join(random.choices(BASE62, k=size)).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _base58(content: bytes, alphabet: str = _BITCOIN) -> str:
    number, digits = int.from_bytes(content, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = alphabet[digit] + digits
    return alphabet[0] * (len(content) - len(content.lstrip(b"\0"))) + digits


def _checked58(content: bytes, alphabet: str = _BITCOIN) -> str:
    """Base58Check: four bytes of a double SHA-256 behind the content."""
    return _base58(content + hashlib.sha256(hashlib.sha256(content).digest()).digest()[:4], alphabet)


def _checked32(head: bytes, random: Random) -> str:
    """Base32 with a CRC-16/XMODEM behind the content, as Stellar and NATS write seeds."""
    content = head + random.randbytes(32)
    return base64.b32encode(content + binascii.crc_hqx(content, 0).to_bytes(2, "little")).decode().rstrip("=")


def _words(random: Random, size: int) -> str:
    return " ".join(
        "".join(random.choices(string.ascii_lowercase, k=random.randrange(4, 9))) for _ in range(size or 12)
    )


_MADE: Final[dict[str, Callable[[Random, int], str]]] = {
    "jwk": _jwk,
    "basic": lambda r, _: _base64(b"deploy:" + _letters(r, 16)),
    "text64": lambda r, size: _base64(_letters(r, size or 24)),
    "key32": lambda r, _: _base64(r.randbytes(32)),
    "wif": lambda r, _: _checked58(b"\x80" + r.randbytes(32)),
    "wifc": lambda r, _: _checked58(b"\x80" + r.randbytes(32) + b"\x01"),
    "wift": lambda r, _: _checked58(b"\xb0" + r.randbytes(32) + b"\x01"),
    "xprv": lambda r, _: _checked58(bytes.fromhex("0488ade4") + r.randbytes(74)),
    "tprv": lambda r, _: _checked58(bytes.fromhex("04358394") + r.randbytes(74)),
    "dgpv": lambda r, _: _checked58(bytes.fromhex("02fac398") + r.randbytes(74)),
    "bip38": lambda r, _: _checked58(bytes.fromhex("0142c0") + r.randbytes(36)),
    "edsk": lambda r, _: _checked58(bytes([13, 15, 58, 7]) + r.randbytes(32)),
    "xrp": lambda r, _: _checked58(b"\x21" + r.randbytes(16), _RIPPLE),
    "stellar": lambda r, _: _checked32(b"\x90", r),
    "nkey": lambda r, _: _checked32(bytes([0x90 | 20 >> 2 & 7, 20 << 3 & 255]), r),
    "words": _words,
    "solana": lambda r, _: "[" + ",".join(map(str, _pair(r))) + "]",
    "solana58": lambda r, _: _base58(_pair(r)),
}
"""Fields whose value must be computed."""


def _pem(random: Random) -> str:
    body = base64.b64encode(random.randbytes(1200)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    label = "PRIVATE" + " KEY-----"
    return "\\n".join(["-----BEGIN " + label, *lines, "-----END " + label])
