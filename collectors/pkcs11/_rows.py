"""One token's answers, made rows as they come; what needs all of them (the other half, a shared CKA_ID) at the end.

Refuses to: say that a half is missing where not all was seen.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from collectors._material import rows as material_rows
from collectors._pkcs11.flags import FLAGS
from collectors.pkcs11._public import PARAMETER_SETS, Found, curve_name, curve_of, facts_of, parameter_number
from collectors.pkcs11._purpose import USAGE, purpose, state
from collectors.pkcs11._token import is_hardware, token_row
from toolkit.errors import SourceBroken, SourceError
from toolkit.identity import PublicFacts, keeper_uid
from toolkit.model import Certificate, Gap, Key, Row, Target
from toolkit.terms import GapScope, GapStatus, KeyFunction, KeyType, Origin, Protection

_KINDS: Final = {
    "CKO_PRIVATE_KEY": (KeyType.PRIVATE_KEY, "private"),
    "CKO_PUBLIC_KEY": (KeyType.PUBLIC_KEY, "public"),
    "CKO_SECRET_KEY": (KeyType.SECRET_KEY, "secret-key"),
    "CKO_OTP_KEY": (KeyType.SECRET_KEY, "otp-key"),
}
# They bear a key type, and are no key.
_NO_KEYS: Final = frozenset({"CKO_DOMAIN_PARAMETERS", "CKO_DATA", "CKO_PROFILE", "CKO_MECHANISM"})
# A label may be as long as its maker likes; a row need not.
_LONGEST: Final = 500
# PKCS#11 key types to canonical algorithm, parameter and size in bits.
_SYMMETRIC: Final[dict[str, tuple[str, str | None, int | None]]] = {
    "CKK_AES": ("AES", None, None), "CKK_AES_XTS": ("AES", None, None), "CKK_DES3": ("TDEA", "3TDEA", 168),
    "CKK_DES2": ("TDEA", "2TDEA", 112), "CKK_DES": ("DES", None, 56), "CKK_CHACHA20": ("ChaCha20", None, 256),
    "CKK_GENERIC_SECRET": ("generic-secret", None, None), "CKK_CAMELLIA": ("Camellia", None, None),
    "CKK_RC4": ("RC4", None, None),
}  # fmt: skip
_ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "CKK_RSA": ("RSA",), "CKK_DSA": ("DSA",), "CKK_DH": ("DH",), "CKK_X9_42_DH": ("DH",), "CKK_EC": ("EC",),
    "CKK_EC_EDWARDS": ("Ed25519", "Ed448"), "CKK_EC_MONTGOMERY": ("X25519", "X448"), "CKK_ML_KEM": ("ML-KEM",),
    "CKK_ML_DSA": ("ML-DSA",), "CKK_SLH_DSA": ("SLH-DSA",),
}  # fmt: skip
# Boolean attributes: those with a column of their own, and those that are told in `detail`.
_TOLD: Final = (
    "PRIVATE", "TRUSTED", "WRAP_WITH_TRUSTED", "ALWAYS_AUTHENTICATE", "MODIFIABLE", "COPYABLE", "DESTROYABLE",
    "ENCAPSULATE", "DECAPSULATE", "SIGN_RECOVER", "VERIFY_RECOVER",
)  # fmt: skip

_UNTOLD: Final = "-" * len(FLAGS)


@dataclass(slots=True)
class _Seen:
    """A key object: its row's fields so far, and what finds its other half."""

    fields: dict[str, Any]
    key_type: KeyType
    id: str | None
    names: tuple[str, ...]
    is_known: bool


class TokenRows:
    """The answers of one token, made rows."""

    def __init__(self, target: Target, *, now: datetime | None = None) -> None:
        self._target, self._now = target, now or datetime.now(UTC)
        self._where = {"collector": "pkcs11", "target": target.locator}
        self._token: dict[str, Any] = {}
        self._keys: list[_Seen] = []
        self._certificates: list[Row] = []
        self._publics: dict[tuple[str, str], dict[str, PublicFacts]] = {}
        self._places: Counter[str] = Counter()
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
                yield from self._taken(fact)
        except SourceError as ended:
            failure = ended
        self._is_whole = failure is None and logged_in
        yield from self._all()
        if failure is not None:
            raise failure

    def _taken(self, fact: dict[str, Any]) -> Iterator[Row]:
        if "object" in fact:
            yield from self._object(fact["object"])
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

    def _object(self, found: Found) -> Iterator[Row]:
        kind = found.get("CLASS")
        if kind == "CKO_CERTIFICATE":
            yield from self._certificate(found)
        elif kind in _KINDS or (found.get("KEY_TYPE") and kind not in _NO_KEYS):
            yield from self._key(found)
        else:
            self._others[kind or "no class"] += 1
            if kind == "CKO_DATA":
                reason = "a data object: it is there, its value is never read"
                locator = self._locator(found, "data")
                yield self._gap(GapScope.OBJECT, GapStatus.NOT_APPLICABLE, reason, locator=locator)

    def _locator(self, found: Found, kind: str) -> str:
        label, id_ = _text(found.get("LABEL")), (found.get("ID") or "")[: 2 * _LONGEST]
        parts = ["id=%" + bytes.fromhex(id_).hex("%").upper()] if id_ else []
        parts += [f"object={quote(label)}"] if label else []
        locator = ";".join([self._target.locator, *parts, f"type={kind}"])
        self._places[locator] += 1
        # Two objects may share id and label; the token lists them in a stable order.
        return locator if self._places[locator] == 1 else f"{locator}#{self._places[locator]}"

    def _key(self, found: Found) -> Iterator[Gap]:
        key_type, kind = _KINDS.get(found["CLASS"] or "", (KeyType.UNKNOWN, "key"))
        locator = self._locator(found, kind)
        days = {name: _day(found.get(name)) for name in ("START_DATE", "END_DATE")}
        for name, day in days.items():
            if found.get(name) and day is None and bytes.fromhex(found[name]).strip(b"\0 "):
                reason = "it is not a date"
                yield self._gap(GapScope.FIELD, GapStatus.MALFORMED, reason, locator=locator, field=f"CKA_{name}")
        pattern = found.get("FLAGS") or _UNTOLD
        flags, functions = _flags(pattern)
        told_purpose, why = purpose(key_type, functions)
        told_state, why_state = state(key_type, functions, days["START_DATE"], days["END_DATE"], now=self._now)
        identity, names, is_known = self._identity(found, key_type, locator)
        fields = {
            **self._where, **identity, "locator": locator, "key_type": key_type, "label": _text(found.get("LABEL")),
            "format": "PKCS#11 object", "functions": functions, "purpose": told_purpose, "state": told_state,
            "origin": {True: Origin.GENERATED, False: Origin.IMPORTED, None: None}[flags["LOCAL"]],
            "activated_at": days["START_DATE"], "expires_at": days["END_DATE"], "detail": _detail(found, pattern),
            "reasons": [why, why_state],
        }  # fmt: skip
        if key_type is not KeyType.PUBLIC_KEY:
            fields |= self._custody(flags)
        self._keys.append(_Seen(fields, key_type, found.get("ID") or None, names, is_known))

    def _custody(self, flags: dict[str, bool | None]) -> dict[str, Any]:
        return {
            "protected": True,
            "protection": Protection.HARDWARE if is_hardware(self._token) else Protection.TOKEN,
            "is_exposed": False,  # who reads it has the PIN; that it may leave is another question
            "extractable": flags["EXTRACTABLE"],
            "sensitive": flags["SENSITIVE"],
            "never_extractable": flags["NEVER_EXTRACTABLE"],
            "always_sensitive": flags["ALWAYS_SENSITIVE"],
            "needs_login": flags["PRIVATE"],
        }

    def _identity(self, found: Found, key_type: KeyType, locator: str) -> tuple[dict[str, Any], tuple[str, ...], bool]:
        """The key's uid and algorithm; the algorithms its other half may have; whether the uid is final."""
        kind = found.get("KEY_TYPE")
        uid = keeper_uid(locator)
        if key_type not in (KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY):
            # SHA_1_HMAC, SHA256_HMAC …: one algorithm, the hash is in the mechanism.
            name, parameter, size_bits = _SYMMETRIC.get(kind or "", (kind, None, None))
            name = "HMAC" if kind and kind.endswith("_HMAC") else name
            length = int.from_bytes(bytes.fromhex(found.get("VALUE_LEN") or ""), "little")
            size_bits = size_bits or 8 * length or None
            return {"key_uid": uid, "algorithm": name, "parameter": parameter, "size_bits": size_bits}, (), True
        facts = facts_of(found)
        if facts is not None:
            if found.get("ID") and key_type is KeyType.PUBLIC_KEY:
                self._publics.setdefault((found["ID"], facts.algorithm), {})[facts.key_uid] = facts
            return _of_facts(facts), (facts.algorithm,), True
        # Without its public half an Edwards or Montgomery key does not tell which of two it is: PKCS#11's word stays.
        names = _ALGORITHMS.get(kind or "", ())
        parameter, size = _shape(kind, found)
        algorithm = names[0] if len(names) == 1 else kind
        told = {"key_uid": uid, "algorithm": algorithm, "parameter": parameter, "size_bits": size}
        return told, names, key_type is KeyType.PUBLIC_KEY

    def _certificate(self, found: Found) -> Iterator[Row]:
        facts = facts_of(found)
        if facts is not None and found.get("ID"):
            self._publics.setdefault((found["ID"], facts.algorithm), {})[facts.key_uid] = facts
        der = bytes.fromhex(found.get("VALUE") or "")
        for row in material_rows(der, **self._where, locator=self._locator(found, "cert"), name="object.der"):
            if isinstance(row, Gap):
                yield row
            else:
                self._certificates.append(replace(row, label=_text(found.get("LABEL"))))

    def _all(self) -> Iterator[Row]:
        """Token, keys and certificates, each now told of the others."""
        if self._token:
            certificates = sum(isinstance(row, Certificate) for row in self._certificates)
            yield token_row(self._target, self._token, len(self._keys), certificates, self._others)
        for seen in self._keys:
            if not seen.is_known:
                self._meet(seen)
        held = {seen.fields["key_uid"] for seen in self._keys if seen.key_type is KeyType.PRIVATE_KEY}
        held_ids = {(seen.id, n) for seen in self._keys if seen.key_type is KeyType.PRIVATE_KEY for n in seen.names}
        ids = Counter((seen.key_type, seen.id) for seen in self._keys if seen.id)
        for seen in self._keys:
            shared = ids[seen.key_type, seen.id] > 1 if seen.id else None
            orphan = None
            if seen.key_type is KeyType.PUBLIC_KEY:
                beside = seen.fields["key_uid"] in held or any((seen.id, name) in held_ids for name in seen.names)
                orphan = False if beside else (True if self._is_whole else None)
            reasons = tuple(seen.fields.pop("reasons"))
            yield Key(**seen.fields, shares_id=shared, is_orphan=orphan, reasons=reasons)
        for row in self._certificates:
            if isinstance(row, Certificate):
                row = replace(row, is_orphan=False if row.key_uid in held else (True if self._is_whole else None))
            yield row

    def _meet(self, seen: _Seen) -> None:
        """Give a private key the identity of the one public key or certificate that bears its CKA_ID."""
        beside = [facts for name in seen.names for facts in self._publics.get((seen.id or "", name), {}).values()]
        if len(beside) == 1:
            seen.fields |= _of_facts(beside[0])
            seen.fields["reasons"].append("identity: from the public key or certificate of the same CKA_ID")
        else:
            # CKA_ID need not be unique: where two keys claim one, a private key has no identity from it.
            why = "several public keys bear its CKA_ID" if beside else "nothing on the token tells its public half"
            seen.fields["reasons"].append(f"identity: the token's name for it, as {why}")


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


@cache
def _flags(pattern: str) -> tuple[dict[str, bool | None], tuple[KeyFunction, ...] | None]:
    """The boolean attributes, and what they let the key do; a token's objects share a few patterns of them."""
    flags = {name: {"1": True, "0": False}.get(letter) for name, letter in zip(FLAGS, pattern, strict=True)}
    if all(flags[name] is None for name in USAGE):
        return flags, None
    allowed = {function for name, function in USAGE.items() if flags[name]}
    return flags, tuple(function for function in KeyFunction if function in allowed)


def _text(value: str | None) -> str | None:
    text = bytes.fromhex(value or "").partition(b"\0")[0].decode(errors="replace")
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…") or None


def _day(value: str | None) -> datetime | None:
    """CK_DATE: eight digits; empty, zeros or spaces where there is none."""
    if not value:
        return None
    try:
        return datetime.strptime(bytes.fromhex(value).decode("ascii"), "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None


def _detail(found: Found, pattern: str) -> str:
    """The remaining facts as JSON; what many objects share is written once, as hexadecimal needs no escape."""
    shared = _shared_detail(pattern, found.get("KEY_GEN_MECHANISM"), found.get("KEY_TYPE"),
                            tuple(found.get("ALLOWED_MECHANISMS") or ()))  # fmt: skip
    own = [f'"{name.lower()}":"{found[name]}"' for name in ("CHECK_VALUE", "ID") if found.get(name)]
    own += [f'"unique_id":{json.dumps(_text(found["UNIQUE_ID"]))}'] if found.get("UNIQUE_ID") else []
    return "{" + ",".join([*own, *shared]) + "}"


@cache
def _shared_detail(
    pattern: str, made_by: str | None, key_type: str | None, allowed: tuple[str, ...]
) -> tuple[str, ...]:
    flags, _ = _flags(pattern)
    facts: dict[str, Any] = {name.lower(): flags[name] for name in _TOLD if flags[name] is not None}
    facts |= {"key_gen_mechanism": made_by, "key_type": key_type, "allowed_mechanisms": allowed}
    return tuple(
        f"{json.dumps(name)}:{json.dumps(fact)}" for name, fact in sorted(facts.items()) if fact not in (None, ())
    )
