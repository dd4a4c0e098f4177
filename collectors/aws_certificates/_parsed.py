"""A certificate and its chain as their keeper gives them out, read as `keyfiles` reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from collectors import _material
from collectors._aws.place import Place
from toolkit.model import Certificate, Gap, Key

Fact = dict[str, Any]
Rows = list[Certificate | Key | Gap]
_END = "-----END CERTIFICATE-----"


def leaf(place: Place, pem: str, locator: str) -> tuple[Certificate | None, Rows]:
    """The certificate, and the other rows of it: its public key, at the keeper's own name, and what does not parse."""
    found = [_at(row, place, locator) for row in _rows(place, _first(pem), locator)]
    certificate = next((row for row in found if isinstance(row, Certificate)), None)
    return certificate, [row for row in found if row is not certificate]


def chain(place: Place, pem: str | None, locator: str) -> Iterator[Certificate | Key | Gap]:
    """Those that vouch for it, each at a place of its own."""
    if pem:
        for row in _rows(place, pem, f"{locator}#chain"):
            yield row if isinstance(row, Gap) else _owned(row, place)


def _first(pem: str) -> str:
    return pem.partition(_END)[0] + _END + "\n"


def _rows(place: Place, pem: str, locator: str) -> Iterator[Certificate | Key | Gap]:
    where = {"collector": place.target.collector, "target": place.target.locator, "locator": locator}
    return _material.rows(pem.encode(), name="certificate.pem", **where)


def _at(row: Certificate | Key | Gap, place: Place, locator: str) -> Certificate | Key | Gap:
    return replace(row, locator=locator) if isinstance(row, Gap) else replace(_owned(row, place), locator=locator)


def _owned(row: Certificate | Key, place: Place) -> Certificate | Key:
    return replace(row, account=place.account, region=place.region)
