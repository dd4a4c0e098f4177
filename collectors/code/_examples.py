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
import re
import string
import zlib
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
        last = "".join(random.choices(_ALPHABETS[name], k=size))
        return last

    return _FIELD.sub(field, template)


def _jwt(random: Random) -> str:
    parts = [b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"%d"}' % random.getrandbits(60), random.randbytes(32)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _pem(random: Random) -> str:
    body = base64.b64encode(random.randbytes(1200)).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    label = "PRIVATE" + " KEY-----"
    return "\\n".join(["-----BEGIN " + label, *lines, "-----END " + label])
