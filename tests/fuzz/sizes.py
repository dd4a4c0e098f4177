"""Sizes as git writes them (gitformat-pack(5)), for what makes packs and changes that lie."""

from __future__ import annotations


def number(value: int, first: int) -> bytes:
    """`first` bits in the first byte, seven in each that follows: 4 in heads of entries, 7 in changes."""
    told = bytearray([value & ((1 << first) - 1)])
    value >>= first
    while value:
        told[-1] |= 128
        told.append(value & 127)
        value >>= 7
    return bytes(told)
