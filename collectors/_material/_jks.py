"""JKS and JCEKS key stores: aliases, dates and certificate chains lie in clear; only the keys are sealed.

The format is Sun's `JavaKeyStore`: magic, version, count, entries, SHA-1 trailer. A JCEKS secret entry is a serialized
Java object without a length, so the next entry is found by its shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from collectors._material._build import Place, Rows, certificate_rows
from toolkit.model import Key
from toolkit.terms import KeyType, Protection

MAGICS: Final = {b"\xfe\xed\xfe\xed": "JKS", b"\xce\xce\xce\xce": "JCEKS"}
_PRIVATE, _TRUSTED, _SECRET = 1, 2, 3
# Dates that a key store can hold: Java 1.2 is of 1998.
_EARLIEST, _LATEST = 852_076_800_000, 7_258_118_400_000


@dataclass(slots=True)
class _Reader:
    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise ValueError("runs past the end")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> str:
        return self.take(self.number(2)).decode()


def jks_rows(place: Place, data: bytes) -> Rows:
    """Every entry of a key store, without its password."""
    form = MAGICS[data[:4]]
    reader = _Reader(data, 8)
    try:
        count = reader.number()
        for _ in range(count):
            yield from _entry_rows(place, form, reader)
    except (ValueError, UnicodeDecodeError):
        yield place.gap(f"the {form} key store breaks off or is malformed; entries after this point are not seen")


def _entry_rows(place: Place, form: str, reader: _Reader) -> Rows:
    tag, alias = reader.number(), reader.text()
    created = datetime.fromtimestamp(reader.number(8) / 1000, UTC)
    here = place.at(f"alias={alias}")
    if tag == _PRIVATE:
        reader.take(reader.number())  # the sealed key
        chain = [_certificate(reader) for _ in range(reader.number())]
        yield from _private_entry(here, form, alias, created, chain)
    elif tag == _TRUSTED:
        yield from certificate_rows(here, _certificate(reader), label=alias, form=f"{form} certificate")
    elif tag == _SECRET:
        _skip_object(reader)
        seal: dict[str, Any] = {"protected": True, "protection": Protection.PASSPHRASE, "extractable": True}
        yield here.key(KeyType.SECRET_KEY, form, None, label=alias, created_at=created, **seal)
    else:
        raise ValueError("an entry of unknown kind")


def _private_entry(place: Place, form: str, alias: str, created: datetime, chain: list[bytes]) -> Rows:
    rows = [
        list(certificate_rows(place.at(f"chain={number}"), der, label=alias, form=f"{form} certificate"))
        for number, der in enumerate(chain, 1)
    ]
    # The first certificate of the chain is the key's own: it says which key is sealed here.
    leaf = next((row for row in (rows[0] if rows else []) if isinstance(row, Key)), None)
    private = place.private(form, None, sealed=True, label=alias, created_at=created)
    if leaf is not None and leaf.spki_sha256 is not None:
        names = ("key_uid", "algorithm", "parameter", "size_bits", "spki_sha256")
        private = replace(private, **{name: getattr(leaf, name) for name in names})
    yield private
    for some in rows:
        yield from some


def _certificate(reader: _Reader) -> bytes:
    reader.text()  # its type, "X.509"
    return reader.take(reader.number())


def _skip_object(reader: _Reader) -> None:
    for at in range(reader.at, len(reader.data) - 19):
        if at == len(reader.data) - 20 or _looks_like_entry(reader.data, at):
            reader.at = at
            return
    raise ValueError("the end of a secret entry was not found")


def _looks_like_entry(data: bytes, at: int) -> bool:
    probe = _Reader(data, at)
    try:
        known = probe.number() in (_PRIVATE, _TRUSTED, _SECRET) and probe.text().isprintable()
        return known and _EARLIEST <= probe.number(8) <= _LATEST
    except (ValueError, UnicodeDecodeError):
        return False
