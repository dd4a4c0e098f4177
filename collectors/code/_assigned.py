"""A literal given to a name that says secret: `db_password = "..."`, `apiKey: ...`, `setToken("...")`.

No vendor's format helps here, so the name, the way it is written and the look of the value must say it together.
Refuses to: be sure. Whatever is found here has at most a moderate confidence.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.code import _values as values

_ROW: Final = 0.5
"""Confidence in what is no chance."""
_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Judgement = tuple[float, tuple[str, ...]]

_PASSWORD: Final = re.compile(
    rb"passw|passphrase|passcode|pwd|[_.\-]pw$|psk$|(?-i:[a-z]Pass$)|"
    rb"(?:^|[_.\-\d]|db|sql|ftp|mail|smtp|ldap|ssh|sudo|user|admin|root|login|auth|bind|store|key)pass$",
    re.IGNORECASE,
)
_STRONG: Final = re.compile(
    rb"secret|token|api.?key|access.?key|private.?key|priv.?key|auth|credential|signing|signature.?key|encrypt|"
    rb"master.?key|account.?key|shared.?key|service.?key|session.?key|hmac|bearer|webhook|"
    rb"(?:app|client|consumer|admin|server|storage|license|secret|user|customer)[_\-]?key|[_.\-]pat$",
    re.IGNORECASE,
)
# `shop_key`, `ShopKey`, `SHOP_KEY`: a key of something, where `key` alone is often that of a table.
_COMPOUND: Final = re.compile(rb"[A-Za-z0-9]{3}[_.\-]?key$", re.IGNORECASE)
# What such a name may also name: not a secret, but something about one.
_ABOUT: Final = re.compile(
    rb"public|(?:^|[_.\-])pub(?:[_.\-]|$)|pubkey|(?:[_.\-]|[a-z](?=I))ids?$|names?$|path|file|dir$|url|uri|endpoint|"
    rb"host|hash|digest|checksum|sha\d|md5|version|length|size|count|limit|(?<!access.)types?$|kind$|format|field|"
    rb"label|title|prefix|suffix|regex|pattern|param|header|hint|expir|ttl|timeout|(?:^|_)m(?:ax|in)(?:_|$)|policy|"
    rb"strategy|provider|algorithm|alg$|scheme|class$|method|function|handler|helper|manager|arn$|alias|reset|"
    rb"tokeniz|csrf|xsrf|primary.?key|foreign.?key|sort.?key|partition.?key|cache.?key|index.?key|group.?key|"
    rb"object.?key|row.?key|row_?token|keyword|key_?code|message|error|description|comment|text$|template|example|"
    rb"placeholder|selector|author(?!i)|icon|image|color|style|font|node|page.?token|next.?token|continuation|etag|"
    rb"audience|issuer|integrity|thumbprint|fingerprint|commit|revision|(?:^|[_.\-])ref$|track|pass(?:ed|es|ing|port|ive|age)|"
    rb"bypass|compass|encompass|surpass|site.?key|websocket|nonce|cursor|locale|i18n|lang|translation",
    re.IGNORECASE,
)
_OWNED: Final = re.compile(rb"(?:api|access|auth|secret|private)[_\-.]?(?:key|token|secret)$", re.IGNORECASE)
_OPEN: Final = re.compile(
    rb"public|(?:^|[_.\-])pub(?:[_.\-]|$)|csrf|xsrf|example|placeholder|template|cache", re.IGNORECASE
)
# What a value refers to, where it stands for something else: variables, calls, addresses, numbers, dates.
_REFERENCE: Final = re.compile(
    rb"\$(?:[0-9][a-z]?|y|gy|argon2[a-z]{1,2}|scrypt)\$.*|ENC[(\[].*|[$%&@*!#](?:[{(\[<$%&@*!#].*|[A-Za-z_][\w.]*%?)|[{\[<(].*|[A-Za-z_][A-Za-z0-9_]{2,40}=[^=].*|[./~].*|[A-Za-z]:[\\/].*|[a-z][a-z0-9+.\-]*://.*|arn:.*|sha(?:1|256|384|512)[-:].*|"
    rb"0x[0-9a-f]{40}|--?[a-z][a-z\-]*|"
    rb"(?:process|os|sys|self|this|settings|config|request|req|env|ctx|args|params|options|props|data|vault|secrets?)"
    rb"[.\[(].*|.*\((?:.*\))?|.*[\])}]|[\w.]+(?:\|[\w.]+)+|.*/aws4_request.*|true|false|null|none|nil|undefined|"
    rb"\d{4}-\d\d-\d\d.*|v?\d+(?:\.\d+){1,3}.*|[\d.,:+\-]+|.*\.(?:py|js|ts|go|rb|java|json|ya?ml|txt|pem|key|crt|"
    rb"cert|html?|css|md|xml|cfg|conf|ini|sh|php|c|h|png|svg|jpg|test|com|org|net|io|local)",
    re.IGNORECASE | re.DOTALL,
)
# A name of two parts; base64 has slashes too.
_PATH: Final = re.compile(rb"[\w\-]+/[\w\-+.]+(?:/.*)?", re.DOTALL)
# AWS4-HMAC-SHA256, dotted.names, kebab-words, CONSTANT_NAMES, camelCase: what code calls things, not what it hides.
_IDENTIFIER: Final = re.compile(
    rb"[A-Z]{2,}\d{0,3}(?:[_\-][A-Z]{2,}\d{0,4})+|(?=.*[A-Z]{3})[A-Z][A-Z0-9]{1,9}(?:_[A-Z0-9]{1,9}){2,}|"
    rb"[A-Za-z_$][a-z]*(?:[A-Z][a-z]+)*\d{0,2}|(?:[A-Z][a-z]+){3,}\d{0,4}|[a-z]+(?:[_.\-](?:[a-z]+|\d{1,3})){3,}|(?:[a-z]+[_.:\-])+[a-z]*\d{0,3}|(?:[A-Z]+[_.:\-])*[A-Z]+\d{0,3}|"
    rb"[a-z]+(?:[_.:\-][a-zA-Z]+\d{0,3})+|[A-Z][a-z]+(?:[_.:\-][A-Za-z]+\d{0,3})+"
)
_LEFT: Final = re.compile(rb"[A-Za-z0-9_.\-]{0,40}\Z")
_GIVEN: Final = re.compile(rb"([A-Za-z0-9_.\-]{1,60})[\"'`\])]{0,2}\s{0,4}(?:[=:]|=>|:=)\s{0,4}[\"'`(\[{]{0,2}\Z")
_WEAK: Final = re.compile(
    rb"(?i)^(?:pass(?:w(?:or)?d)?|pwd|secret|token|admin|root|user|test|demo|default|guest|foo|bar|baz|hello|world|abc|"
    rb"qwerty|letmein|temp|none|my|some|the|an?|new|old|bad|good|wrong|invalid|valid|correct|incorrect|hunter|"
    rb"[\W_\d])+$"
)


def assigned(found: re.Match[bytes]) -> Judgement | None:
    """Confidence and reasons for a literal assigned to a name; None where it is no secret."""
    name, value = _LEFT.search(found.string, 0, found.start())[0] + found["name"], found["value"]  # type: ignore[index]  # it matches nothing at least
    if _is_about(name) or values.is_placeholder(value) or not value.isascii():
        return None
    if _PATH.fullmatch(value) and not (values.is_random(value) and len(value) >= 20 and values.is_mixed(value)):
        return None
    if _REFERENCE.fullmatch(value) or value.lower() in name.lower() or name.lower() in value.lower():
        return None
    is_quoted = bool(found["quote"])
    says = f"assigned to a name that says secret{'' if is_quoted else ', unquoted'}"
    says_it = 2 if _STRONG.search(name) else 1 if _COMPOUND.search(name) else 0
    if _PASSWORD.search(name):
        judged = None if values.is_alphabet(value) else _password(value, is_quoted=is_quoted)
    elif says_it and _is_typed(value):
        return _ROW, (says, "typed by hand: weak, or made up")
    elif len(value) < 10 or _IDENTIFIER.fullmatch(value):
        judged = None
    else:
        judged = _token(value, says_it)
    if judged is None:
        return None
    confidence, reason = judged
    is_plain = is_quoted or (len(value) >= 32 and values.is_mixed(value))
    return confidence if is_plain else round(confidence - 0.05, 2), (says, reason)


def is_about(before: bytes) -> bool:
    """Whether what stands there is given to a name that says something about a secret: its id, a digest, an address.

    >>> is_about(b'clientId: "'), is_about(b'client = new Shop("')
    (True, False)
    """
    name = _GIVEN.search(before[-80:])
    return name is not None and _is_about(name[1])


def _is_about(name: bytes) -> bool:
    """Before `api_key` stands whose it is: `URLSCAN_API_KEY`, `HOST_AUTH_TOKEN`."""
    end = _OWNED.search(name)
    return bool(_OPEN.search(name, 0, end.start()) if end else _ABOUT.search(name))


def _password(value: bytes, *, is_quoted: bool) -> tuple[float, str] | None:
    if len(value) < 6 or _WEAK.match(value):
        return None
    if _IDENTIFIER.fullmatch(value):
        return (0.25, "a single word") if is_quoted else None
    if len(value) >= 10 and values.is_random(value):
        return 0.65, "looks random"
    kinds = values.classes(value)
    if kinds >= 3 and len(value) >= 8:
        return 0.55, "mixes letters, digits and signs as a password does"
    if kinds >= 2 and len(value) >= 8 and any(48 <= c <= 57 for c in value):
        return 0.4, "letters and digits"
    return 0.25, "a literal"


def _is_typed(value: bytes) -> bool:
    """A key that somebody typed; an alphabet, which has each letter once, is none.

    >>> _is_typed(b"abcdef" + b"1234567890" * 2), _is_typed(b"abcdefghijklmnopqrstuvwxyz" + b"0123456789")
    (True, False)
    """
    is_key = len(value) >= 20 and any(48 <= c <= 57 for c in value) and value.upper().translate(None, _LETTERS) != value
    return is_key and values.is_in_a_row(value) and not 30 <= len({*value}) == len(value)


def _token(value: bytes, says_it: int) -> tuple[float, str] | None:
    """`says_it`: 2 where the name says secret, 1 where it names a key of something, 0 where it says `key` alone."""
    if values.is_uuid(value):
        return (0.55, "a UUID") if says_it else None
    if not values.is_random(value):
        return None
    if values.is_hex(value) and len(value) in (40, 64, 96, 128) and says_it < 2:
        return (0.55 if says_it else 0.3), "may be a digest"
    size = len(value)
    least = (24, 20, 16)[says_it]
    sure = (0.5, 0.55, 0.65)[says_it]
    if size < least:
        # Short ones are told where they mix what chance mixes.
        sure = (
            0.55 if says_it and values.is_mixed(value) and size >= (0, 16, 12)[says_it] else (0.3, 0.4, 0.45)[says_it]
        )
    return sure, f"looks random ({size} characters)"
