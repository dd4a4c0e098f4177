"""One token's answers, made rows as they come; what needs all of them (the other half, a shared CKA_ID) at the end.

Refuses to: say that a half is missing where not all was seen.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from collectors._material import rows as material_rows
from collectors.pkcs11._kinds import Kind
from collectors.pkcs11._public import PARAMETER_SETS, Found, curve_name, curve_of, facts_of, parameter_number
from collectors.pkcs11._token import is_hardware, token_row
from toolkit.errors import SourceBroken, SourceError
from toolkit.identity import PublicFacts, keeper_uid
from toolkit.model import Certificate, Gap, Key, Row, Target
from toolkit.terms import GapScope, GapStatus, KeyType

# A label may be as long as its maker likes; a row need not.
_LONGEST: Final = 500
# What needs no escape in a URI (RFC 3986, 2.3), as most labels do: seen faster than escaped.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


@dataclass(slots=True)
class _Seen:
    """A key object, and what finds its other half.

    Its row is made at once, while the module is busy with the next, as it will be if nothing else on the token changes
    it. That of a private key which does not tell its public half is made from `fields` when the half is seen.
    """

    row: Key | None
    id: str | None
    names: tuple[str, ...]
    fields: dict[str, Any]
    beside: PublicFacts | None = None


class TokenRows:
    """The answers of one token, made rows."""

    def __init__(self, target: Target, *, now: datetime | None = None) -> None:
        self._target, self._now = target, now or datetime.now(UTC)
        self._where = {"collector": "pkcs11", "target": target.locator}
        self._token: dict[str, Any] = {}
        self._kinds: list[Kind] = []
        self._keys: list[_Seen] = []
        self._privates: list[_Seen] = []
        self._waiting: dict[tuple[str | None, str], list[_Seen]] = {}
        self._ids: set[tuple[KeyType, str]] = set()
        self._shared: set[tuple[KeyType, str | None]] = set()
        self._certificates: list[Row] = []
        self._publics: dict[tuple[str, str], dict[str, PublicFacts]] = {}
        self._places: dict[str, int] = {}
        self._others: Counter[str] = Counter()
        self._is_whole = False

    def rows(self, facts: Iterable[dict[str, Any]]) -> Iterator[Row]:
        """Gaps as they come, then token, keys and certificates; last, what ended the reading."""
        failure: SourceError | None = None
        logged_in = False
        try:
            for fact in facts:
                if "failed" in fact:
                    advice = "check the module and its token"
                    raise SourceBroken(f"the module answered {fact['failed']}: the rest is not seen", advice=advice)
                logged_in |= fact.get("login") in ("made", "not-needed")
                yield from self._object(fact) if "object" in fact else self._taken(fact)
        except SourceError as ended:
            failure = ended
        self._is_whole = failure is None and logged_in
        yield from self._all()
        if failure is not None:
            raise failure

    def _taken(self, fact: dict[str, Any]) -> Iterator[Row]:
        if "kind" in fact:
            self._kinds.append(self._kind(fact["kind"]))
        elif "token" in fact:
            self._token = fact["token"]
        elif "mechanisms" in fact:
            self._token["mechanisms"] = fact["mechanisms"]
        elif fact.get("login") == "not-asked":
            reason = "no PIN was given: private objects are not seen"
            yield self._gap(GapScope.OBJECT, GapStatus.NOT_ASKED, reason, advice="give --pin env:NAME or file:PATH")
        elif fact.get("login") == "refused":
            yield self._gap(GapScope.OBJECT, GapStatus.DENIED, f"{fact['why']}: private objects are not seen",
                            advice="check the PIN before the next run; it was tried once at the most")  # fmt: skip
        elif "refused" in fact:
            count, name, code = fact["objects"], fact["refused"], fact["code"]
            reason = f"the module refuses {name} ({count} object{'s'[: count > 1]})"
            # What does not tell its class may be a key.
            scope = GapScope.OBJECT if name == "CKA_CLASS" else GapScope.FIELD
            yield self._gap(scope, GapStatus.DENIED, reason, field=name, code=code)

    def _gap(self, scope: GapScope, status: GapStatus, reason: str, *, locator: str | None = None, **more: Any) -> Gap:
        locator = locator or self._target.locator
        return Gap(**self._where, locator=locator, scope=scope, status=status, reason=reason, **more)

    def _kind(self, found: Found) -> Kind:
        return Kind(found, where=self._where, is_hardware=is_hardware(self._token), now=self._now)

    def _object(self, fact: dict[str, Any]) -> Iterable[Row]:
        own: Found = fact["object"]
        kind = self._kinds[fact["kind"]] if "kind" in fact else self._kind(own)
        found = {**kind.found, **own}
        if kind.is_key:
            return self._key(kind, found)
        if kind.object_class == "CKO_CERTIFICATE":
            return self._certificate(found)
        self._others[kind.object_class or "no class"] += 1
        if kind.object_class != "CKO_DATA":
            return ()
        reason = "a data object: it is there, its value is never read"
        locator = self._locator(found, _text(found.get("LABEL")), "data")
        return (self._gap(GapScope.OBJECT, GapStatus.NOT_APPLICABLE, reason, locator=locator),)

    def _locator(self, found: Found, label: str | None, kind: str) -> str:
        locator = self._target.locator
        if id_ := found.get("ID"):
            locator += ";id=%" + bytes.fromhex(id_[: 2 * _LONGEST]).hex("%").upper()
        if label:
            locator += ";object=" + (label if _PLAIN(label) else quote(label))
        locator += ";type=" + kind
        # Two objects may share id and label; the token lists them in a stable order.
        count = self._places[locator] = self._places.get(locator, 0) + 1
        return locator if count == 1 else f"{locator}#{count}"

    def _key(self, kind: Kind, found: Found) -> Iterable[Gap]:
        label, id_ = _text(found.get("LABEL")), found.get("ID") or None
        locator = self._locator(found, label, kind.name)
        identity, names, is_known = self._identity(kind, found, locator)
        fields = {**kind.fields, **identity, "locator": locator, "label": label, "detail": _detail(found, kind)}
        gaps: Iterable[Gap] = ()
        if found.get("START_DATE") or found.get("END_DATE"):
            dates, gaps = self._dates(kind, found, locator)
            fields |= dates
        if id_ is not None:
            fields["shares_id"] = False
            bears = kind.key_type, id_
            (self._shared if bears in self._ids else self._ids).add(bears)
        if kind.key_type is KeyType.PUBLIC_KEY:
            fields["is_orphan"] = False
        seen = _Seen(Key(**fields) if is_known else None, id_, names, {} if is_known else fields)
        self._keys.append(seen)
        if kind.key_type is KeyType.PRIVATE_KEY:
            self._privates.append(seen)
        if not is_known and any((id_, name) in self._publics for name in names):
            self._meet(seen)
        elif not is_known:
            for name in names:
                self._waiting.setdefault((id_, name), []).append(seen)
        return gaps

    def _dates(self, kind: Kind, found: Found, locator: str) -> tuple[dict[str, Any], list[Gap]]:
        days = {name: _day(found.get(name)) for name in ("START_DATE", "END_DATE")}
        told_state, reasons = kind.state(days["START_DATE"], days["END_DATE"])
        fields = {
            "activated_at": days["START_DATE"], "expires_at": days["END_DATE"], "state": told_state, "reasons": reasons,
        }  # fmt: skip
        wrong = [name for name, day in days.items() if day is None and _bytes(found.get(name)).strip(b"\0 ")]
        gap = {"locator": locator, "reason": "it is not a date"}
        return fields, [self._gap(GapScope.FIELD, GapStatus.MALFORMED, **gap, field=f"CKA_{name}") for name in wrong]

    def _identity(self, kind: Kind, found: Found, locator: str) -> tuple[dict[str, Any], tuple[str, ...], bool]:
        """The key's uid and algorithm; the algorithms its other half may have; whether the uid is final."""
        if kind.is_symmetric:
            return {"key_uid": keeper_uid(locator)}, (), True
        facts = facts_of(found)
        if facts is not None:
            if kind.key_type is KeyType.PUBLIC_KEY:
                self._public_half(found.get("ID"), facts)
            return _of_facts(facts), (facts.algorithm,), True
        # Without its public half an Edwards or Montgomery key does not tell which of two it is: PKCS#11's word stays.
        names = kind.algorithms
        parameter, size = _shape(found.get("KEY_TYPE"), found)
        algorithm = names[0] if len(names) == 1 else found.get("KEY_TYPE")
        told = {"key_uid": keeper_uid(locator), "algorithm": algorithm, "parameter": parameter, "size_bits": size}
        return told, names, kind.key_type is KeyType.PUBLIC_KEY

    def _public_half(self, id_: str | None, facts: PublicFacts) -> None:
        if id_:
            self._publics.setdefault((id_, facts.algorithm), {})[facts.key_uid] = facts
            # Once only: were a thousand keys to claim one id, the end would be soon enough.
            for seen in self._waiting.pop((id_, facts.algorithm), ()):
                if seen.row is None:
                    self._meet(seen)

    def _certificate(self, found: Found) -> Iterator[Row]:
        facts = facts_of(found)
        if facts is not None:
            self._public_half(found.get("ID"), facts)
        der, label = bytes.fromhex(found.get("VALUE") or ""), _text(found.get("LABEL"))
        locator = self._locator(found, label, "cert")
        for row in material_rows(der, **self._where, locator=locator, name="object.der"):
            if isinstance(row, Gap):
                yield row
            else:
                self._certificates.append(replace(row, label=label))

    def _all(self) -> Iterator[Row]:
        """Token, keys and certificates, each now told of the others."""
        if self._token:
            certificates = sum(isinstance(row, Certificate) for row in self._certificates)
            # Of a token that was not logged in to, none that can be seen is not none.
            keys = len(self._keys) if self._keys or self._is_whole else None
            yield token_row(self._target, self._token, keys, certificates, self._others)
        for seen in self._privates:
            if seen.fields:
                self._meet(seen)
        held = {seen.row.key_uid for seen in self._privates if seen.row}
        held_ids = {(seen.id, name) for seen in self._privates for name in seen.names}
        for seen in self._keys:
            row = seen.row
            assert row is not None
            if self._shared and (row.key_type, seen.id) in self._shared:
                row = replace(row, shares_id=True)
            is_alone = row.is_orphan is False and row.key_uid not in held
            if is_alone and not any((seen.id, name) in held_ids for name in seen.names):
                row = replace(row, is_orphan=True if self._is_whole else None)
            yield row
        for other in self._certificates:
            if isinstance(other, Certificate):
                is_orphan = False if other.key_uid in held else (True if self._is_whole else None)
                other = replace(other, is_orphan=is_orphan)
            yield other

    def _meet(self, seen: _Seen) -> None:
        """Give a private key the identity of the one public key or certificate that bears its CKA_ID."""
        beside = [facts for name in seen.names for facts in self._publics.get((seen.id or "", name), {}).values()]
        only = beside[0] if len(beside) == 1 else None
        if only is not None and only == seen.beside:
            return
        # CKA_ID need not be unique: where two keys claim one, a private key has no identity from it.
        why = "several public keys bear its CKA_ID" if beside else "nothing on the token tells its public half"
        told, why = {}, f"identity: the token's name for it, as {why}"
        if only is not None:
            told, why = _of_facts(only), "identity: from the public key or certificate of the same CKA_ID"
        seen.row = Key(**{**seen.fields, **told, "reasons": (*seen.fields["reasons"], why)})
        seen.beside = only


def _of_facts(facts: PublicFacts) -> dict[str, Any]:
    return {
        "key_uid": facts.key_uid, "algorithm": facts.algorithm, "parameter": facts.parameter,
        "size_bits": facts.size_bits,
    }  # fmt: skip


def _shape(kind: str | None, found: Found) -> tuple[str | None, int | None]:
    """Parameter and size of a key whose public half is not told."""
    if kind in PARAMETER_SETS:
        return PARAMETER_SETS[kind].get(parameter_number(found), (None, ""))[0], None
    if kind == "CKK_EC":
        curve = curve_of(found)
        return curve_name(found), curve.key_size if curve else None
    number = found.get("MODULUS") or found.get("PRIME")
    return None, int(number, 16).bit_length() if number else None


def _bytes(value: str | None) -> bytes:
    return bytes.fromhex(value or "")


def _text(value: str | None) -> str | None:
    text = _bytes(value).partition(b"\0")[0].decode(errors="replace")
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…") or None


def _day(value: str | None) -> datetime | None:
    """CK_DATE: eight digits; empty, zeros or spaces where there is none."""
    if not value:
        return None
    try:
        return datetime.strptime(bytes.fromhex(value).decode("ascii"), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _detail(found: Found, kind: Kind) -> str:
    """The remaining facts as JSON; hexadecimal needs no escape."""
    own = [f'"{name.lower()}":"{found[name]}"' for name in ("CHECK_VALUE", "ID") if found.get(name)]
    if found.get("UNIQUE_ID"):
        own.append(f'"unique_id":{json.dumps(_text(found["UNIQUE_ID"]))}')
    if found.get("ALLOWED_MECHANISMS"):
        own.append(f'"allowed_mechanisms":{json.dumps(found["ALLOWED_MECHANISMS"])}')
    return "{" + ",".join([*own, *kind.detail]) + "}"
