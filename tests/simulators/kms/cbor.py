"""As much CBOR (RFC 8949) as the tagging API's protocol uses: maps, lists, text, bytes, integers, booleans, floats.

botocore 1.44 speaks smithy-rpc-v2-cbor to resourcegroupstaggingapi where older ones spoke JSON.
"""

from __future__ import annotations

import struct
from typing import Any

_SIMPLE = {20: False, 21: True, 22: None}


def dumps(value: object) -> bytes:
    """Encode, with definite lengths only."""
    if value is None or isinstance(value, bool):
        return bytes((0xE0 | {False: 20, True: 21, None: 22}[value],))
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return _head(3, len(text)) + text
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(dumps(name) + dumps(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return _head(4, len(value)) + b"".join(map(dumps, value))
    raise TypeError(type(value).__name__)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes((major << 5 | number,))
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes((major << 5 | code,)) + number.to_bytes(size, "big")
    raise OverflowError(number)


def loads(data: bytes) -> Any:
    """Decode one value."""
    return _Reader(data).value()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        some = self.data[self.at : self.at + size]
        if len(some) != size:
            raise ValueError("CBOR ends too early")
        self.at += size
        return some

    def value(self) -> Any:
        first = self.take(1)[0]
        major, low = first >> 5, first & 31
        if major == 7:
            return self.simple(low)
        number = low if low < 24 else None if low == 31 else int.from_bytes(self.take(1 << (low - 24)), "big")
        if major in (0, 1):
            return number if major == 0 else -1 - number
        if major in (2, 3):
            data = self.take(number) if number is not None else b"".join(self.until_break())
            return data if major == 2 else data.decode()
        if major == 4:
            return list(self.items(number))
        if major == 5:
            flat = list(self.items(None if number is None else 2 * number))
            return dict(zip(flat[::2], flat[1::2], strict=True))
        return self.value()  # a tag: botocore marks timestamps with one

    def simple(self, low: int) -> Any:
        if low in (26, 27):
            return struct.unpack(">f" if low == 26 else ">d", self.take(4 if low == 26 else 8))[0]
        return _SIMPLE[low]

    def items(self, number: int | None) -> Any:
        if number is not None:
            yield from (self.value() for _ in range(number))
            return
        yield from self.until_break()

    def until_break(self) -> Any:
        while self.data[self.at] != 0xFF:
            yield self.value()
        self.at += 1
