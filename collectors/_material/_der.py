"""The first level of a DER value: enough to tell what a blob is, and to cut a public key out of it unread.

Distinguished encoding only (X.690, 10): indefinite lengths are left to asn1crypto.

>>> [item.tag for item in children(bytes.fromhex("3006020101020102"))]
[2, 2]
"""

from __future__ import annotations

from typing import Final, NamedTuple

from collectors._material._public import Malformed

INTEGER: Final = 0x02
BITS: Final = 0x03
OCTETS: Final = 0x04
OID: Final = 0x06
SEQUENCE: Final = 0x30


class Item(NamedTuple):
    """One value: its tag byte, its contents, and both with the length between."""

    tag: int
    body: bytes
    whole: bytes

    @property
    def number(self) -> int:
        """The contents as an INTEGER."""
        return int.from_bytes(self.body, "big", signed=True)


def first(data: bytes, start: int = 0) -> Item:
    """The value that begins at `start`."""
    head = data[start : start + 6]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        raise Malformed("its ASN.1 structure is cut off")
    length, begin = head[1], start + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or len(head) < 2 + count:
            raise Malformed("its ASN.1 structure is not DER")
        length, begin = int.from_bytes(head[2 : 2 + count], "big"), begin + count
    if begin + length > len(data):
        raise Malformed("its ASN.1 structure is cut off")
    return Item(head[0], data[begin : begin + length], data[start : begin + length])


def members(body: bytes) -> list[Item]:
    """The values one after the other in `body`."""
    found: list[Item] = []
    at = 0
    while at < len(body):
        found.append(first(body, at))
        at += len(found[-1].whole)
    return found


def children(data: bytes) -> list[Item]:
    """The values inside the SEQUENCE that `data` begins with."""
    outer = first(data)
    if outer.tag != SEQUENCE:
        raise Malformed("its ASN.1 structure is not a SEQUENCE")
    return members(outer.body)


def wrap(tag: int, *parts: bytes) -> bytes:
    """A value of `tag` that holds the parts."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body
