"""Where an object lies, and the rows that are said of it: the only place in this package that builds Key and Gap rows.

A place is the file's locator and a fragment that names the object inside it, quoted as RFC 3986 wants. The code
collector's locators carry a fragment already; ours is then added with `&`.

Refuses to: take material. It is given identities, formats and names only.

>>> Place("keyfiles", "file:///etc", "file:///etc/a.jks").at(alias="my key").at(cert=1).locator
'file:///etc/a.jks#alias=my%20key&cert=1'
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict, Unpack
from urllib.parse import quote

from collectors._material._public import Sighted
from toolkit.identity import place_uid
from toolkit.model import Certificate, Gap, Key
from toolkit.terms import GapScope, GapStatus, KeyType, Protection

Found = Key | Certificate | Gap
"""What this package yields."""
Rows = Iterator[Found]


class KeyFacts(TypedDict, total=False):
    """The columns of a Key that some formats know beyond identity and protection."""

    label: str | None
    algorithm: str | None
    parameter: str | None
    size_bits: int | None
    native_state: str | None
    created_at: datetime | None
    expires_at: datetime | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """One object's place: who looks, in which target, at which locator."""

    collector: str
    target: str
    locator: str

    def at(self, **fragment: str | bytes | int) -> Place:
        """The place of an object inside this one."""
        place = self
        for name, value in fragment.items():
            text = quote(value if isinstance(value, bytes) else str(value), safe="")
            sign = "&" if "#" in place.locator else "#"
            place = replace(place, locator=f"{place.locator}{sign}{name}={text}")
        return place

    def public(self, sighted: Sighted, kind: str, **facts: Unpack[KeyFacts]) -> Key:
        """A public half."""
        return self._key(sighted, kind, KeyType.PUBLIC_KEY, None, **facts)

    def private(self, sighted: Sighted | None, kind: str, protection: Protection, **facts: Unpack[KeyFacts]) -> Key:
        """A private half; None when nothing tells which key it is."""
        return self._key(sighted, kind, KeyType.PRIVATE_KEY, protection, **facts)

    def secret(self, kind: str, protection: Protection, **facts: Unpack[KeyFacts]) -> Key:
        """A symmetric key. Without the workspace's pepper only its place can name it."""
        return self._key(None, kind, KeyType.SECRET_KEY, protection, **facts)

    def sealed(self, kind: str, **facts: Unpack[KeyFacts]) -> Key:
        """A container that does not tell, without its password, what keys it holds."""
        return self._key(None, kind, KeyType.UNKNOWN, Protection.PASSPHRASE, **facts)

    def _key(
        self,
        sighted: Sighted | None,
        kind: str,
        key_type: KeyType,
        protection: Protection | None,
        **facts: Unpack[KeyFacts],
    ) -> Key:
        row = Key(
            key_uid=place_uid(self.locator) if sighted is None else sighted.facts.key_uid,
            collector=self.collector,
            target=self.target,
            locator=self.locator,
            key_type=key_type,
            format=kind,
            algorithm=sighted.facts.algorithm if sighted else None,
            parameter=sighted.facts.parameter if sighted else None,
            size_bits=sighted.facts.size_bits if sighted else None,
            spki_sha256=sighted.spki_sha256 if sighted else None,
            protection=protection,
            protected=None if protection is None else protection is not Protection.NONE,
            # What a passphrase seals can still be copied whole; only hardware keeps the material in.
            extractable=None if protection is None else protection is not Protection.HARDWARE,
        )
        return replace(row, **facts) if facts else row

    def gap(
        self,
        reason: str,
        *,
        status: GapStatus = GapStatus.MALFORMED,
        scope: GapScope = GapScope.OBJECT,
        field: str | None = None,
        advice: str | None = None,
    ) -> Gap:
        """What could not be read here."""
        return Gap(
            collector=self.collector,
            target=self.target,
            locator=self.locator,
            scope=scope,
            status=status,
            reason=reason,
            field=field,
            advice=advice,
        )


def detail(**facts: object) -> str | None:
    """The remaining facts as JSON; those that are unknown are left out."""
    known = {name: value for name, value in facts.items() if value not in (None, "", [], ())}
    return json.dumps(known, sort_keys=True) if known else None


def text(raw: bytes) -> str | None:
    """A name as its file spells it; None when it is empty."""
    return raw.decode("utf-8", "replace").replace("\0", "").strip() or None
