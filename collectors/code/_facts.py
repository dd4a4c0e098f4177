"""What a credential says about itself that is no secret: whose it is, for what, until when.

Refuses to: tell anything that helps to use the credential; user names, hosts, issuers and dates only.

>>> import re
>>> found = re.search(rb"://[^:]+:([^@]+)@", b"postgres://app:pw1234@db.internal:5432/x")
>>> about_url(b"postgres://app:pw1234@db.internal:5432/x", found)
('user=app', 'host=db.internal:5432')
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Final

from collectors.code._rules import Rule
from collectors.code._values import redacted

_URL: Final = re.compile(rb"://([A-Za-z0-9._%~\-]{0,64}):[^@\s]{1,200}@([A-Za-z0-9.\-\[\]:]{1,120})")
_FIELD: Final = re.compile(
    rb"(?i)\b(user ?id|uid|user(?:name)?|server|host|data source|endpoint|accountname|sharedaccesskeyname|database)"
    rb"\s*=\s*(?:sb://)?([A-Za-z0-9._@\-:]{1,100})"
)
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def facts_of(rule: Rule, value: bytes, found: re.Match[bytes]) -> tuple[str, ...]:
    """`name=value` pairs of what the finding names beside the secret."""
    if value.startswith(b"eyJ") and value.count(b".") >= 1:
        told = about_jwt(value)
    elif rule.id.startswith("aws-") and re.match(rb"A[KS]IA", value):
        return about_aws(value)
    else:
        told = about_url(found.string, found)
    # What stands where a user or a host should may be a credential itself: a token as the user of a URL.
    secret = value.decode("utf-8", "replace")
    return tuple(fact for fact in told if secret not in fact and "@" not in fact and redacted(fact.partition("=")[2]) == fact.partition("=")[2])  # noqa: E501  # fmt: skip


def about_jwt(value: bytes) -> tuple[str, ...]:
    """Algorithm, issuer and expiry of a JSON web token (RFC 7519 4.1)."""
    told: dict[str, object] = {}
    for part in value.split(b".")[:2]:
        try:
            said = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
        except (binascii.Error, ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            told |= said
    facts = [f"{name}={str(told[key])[:120]}" for key, name in (("alg", "algorithm"), ("iss", "issuer")) if key in told]
    expires = told.get("exp")
    if isinstance(expires, int | float) and 0 < expires < 253402300800:
        facts.append(f"expires={datetime.fromtimestamp(expires, UTC).isoformat(timespec='seconds')}")
    return tuple(facts)


def is_private_jwk(value: bytes) -> bool:
    """A JSON web key (RFC 7517) with what only its owner may know."""
    try:
        told = json.loads(value)
    except (ValueError, RecursionError):
        return False
    is_symmetric = isinstance(told, dict) and told.get("kty") == "oct"
    member = told.get("k" if is_symmetric else "d") if isinstance(told, dict) else None
    return isinstance(member, str) and len(member) > 20


def about_aws(value: bytes) -> tuple[str, ...]:
    """The account that an access key id names: 40 bits behind the prefix, from the second bit on."""
    try:
        number, key_id = int.from_bytes(base64.b32decode(value[4:20])[:6], "big"), value[:20].decode("ascii")
    except (binascii.Error, ValueError):
        return ()
    return (f"account={(number & 0x7FFFFFFFFF80) >> 7:012d}", f"access_key_id={key_id}")


def about_url(text: bytes, found: re.Match[bytes]) -> tuple[str, ...]:
    """User and host of the URL or connection string that the value lies in."""
    around = text[max(0, found.start() - 160) : found.end() + 160]
    for place in _URL.finditer(around):
        if place.start() < found.end() - max(0, found.start() - 160) and place.end() > found.start() - max(0, found.start() - 160):  # noqa: E501  # fmt: skip
            pairs = (("user", place[1]), ("host", place[2]))
            return tuple(f"{name}={said.decode('ascii', 'replace')}" for name, said in pairs if said)
    line = around[around.rfind(b"\n", 0, max(1, found.start() - max(0, found.start() - 160))) + 1 :].split(b"\n", 1)[0]
    if b";" not in line and b"=" not in line:
        return ()
    said = {name.lower().decode(): value.decode() for name, value in _FIELD.findall(line)}
    return tuple(f"{name.replace(' ', '')}={value}" for name, value in sorted(said.items()))
