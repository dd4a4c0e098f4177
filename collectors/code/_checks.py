"""Checks that are computed: what a value must fit, beyond its form, to be what a rule takes it for.

Each takes the value and gives None (it is refused), "" (it passes) or words (it passes, and they make it nearly
certain). Pure functions, named in the `checks` of `toolkit/patterns/*.toml`.
Refuses to: know where a value stands, or raise for any bytes whatever.

>>> CHECKS["basic-auth"](base64.b64encode(b"deploy:" + b"Kq8-vT2n" * 2))
'decodes to a user and a password'
>>> CHECKS["basic-auth"](base64.b64encode(b"deploy:password")) is None
True
>>> CHECKS["base58check"](_base58(b"\\x80" + bytes(range(1, 33))))
'its checksum fits'
>>> CHECKS["bip39"](b"twelve words of which each is long enough but some are no nouns") is None
True
>>> CHECKS["aws-key-id"](b"AKIA" + base64.b32encode(((1 << 79) + (123456789012 << 39)).to_bytes(10, "big")))
'names AWS account 123456789012'
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from typing import Final

from collectors.code import _values as values
from collectors.code._examples import checksum

_BITCOIN: Final = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE: Final = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_SECP256K1: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_FITS: Final = "its checksum fits"
# What stands where a password will come, and what everybody takes for one.
_COMMON: Final = re.compile(
    rb"(?i)[\W_\d]*(?:(?:pass(?:w(?:or)?d|wort|phrase|code)?|pwd|pw|mot\s?de\s?passe|contrase.a|secret|token|api|key|auth|"
    rb"cred(?:ential)?s?|admin(?:istrator)?|root|user|login|guest|default|test(?:ing|er)?|demo|local|"
    rb"dev(?:elopment|eloper)?|prod(?:uction)?|staging|temp|none|null|nil|true|false|undefined|change(?:it|me)|"
    rb"hello|world|foo|bar|baz|qux|quux|qwert[yz]|letmein|welcome|hunter|abc|asdf|xxx|secure|strong|good|bad|wrong|right|"
    rb"valid|correct|new|old|my|your|our|the|some|this|that|not|here|goes|is|a|an|and|or|of|for|in|to|"
    rb"value|string|text|empty|missing|removed|hidden|masked|any|thing|random|generated|unset|optional|required|"
    rb"postgres(?:ql)?|pg|mysql|maria|mongo|redis|rabbit(?:mq)?|elastic(?:search)?|oracle|neo4j|sa|db|"
    rb"database|app(?:lication)?|service|server|client|account|name|host|android|cisco|public|private|vagrant|ubuntu|super|master|manager|monitor|airflow|keycloak|minio|nats|kafka|influx|"
    rb"grafana|jenkins|tiger|scott|docker|django|rails|laravel|spring|wordpress|joe|alice|bob|john|jane|me)[\W_\d]*)+"
)
_REFERENCE: Final = re.compile(
    rb"\$[A-Za-z_][A-Za-z0-9_]*|\$\$?[({\[].*|%[A-Za-z_][A-Za-z0-9_]*%|%[(<sdvrq].*|@[A-Za-z0-9_.\-]{1,60}@|:[A-Za-z_]+|"
    rb"#[{(].*|[<\[{].*|.*[>\]}]|\(.*\)|[A-Za-z_$][\w.$]*\(.*|\*+|[.\-_x#?*]+|&[a-z]{2,8};.*|!(?:vault|secret|ref|sub|env).*|ENC[(\[].*|\$(?:[0-9][a-z]?|y|gy|argon2[a-z]{1,2}|scrypt|pbkdf2[a-z0-9\-]{0,12})\$.*|__[A-Za-z0-9_]+__|"
    rb"[a-z]{2,12}://.*|(?:vault|op|ref|arn|aws|gcp|azure|ssm|env|secret|file|keyvault|secretsmanager)[:+].*|\\[\"'].*|"
    rb"(?:process|os|sys|self|this|settings|config|req|env|ctx|args|params|opts?|options|props|conf|cfg|vars?|secrets?|"
    rb"environ|values|data|local|each|input|output|module|resource|random_password)(?:\.|->|::|\[).*|.*\$\{.*|.*\{\{.*|"
    rb".*[\[({]|[A-Za-z_$][A-Za-z_]*(?:\.[A-Za-z_]+)+\W{0,3}|.*\\u[0-9a-f]{4}.*|[A-Za-z]+[.,:!?]|.*\b(?:getenv|environ|env|getpass|lookup|get_secret|base64decode)\b\s?[(\[.].*|[\"'`+,;)\]}].*",
    re.IGNORECASE | re.DOTALL,
)
_LEET: Final = bytes.maketrans(b"@013457$", b"aoleasts")
_TAIL: Final = b"0123456789!@#$%&*.,?_-"
# DB_PASSWORD, dbPassword: what code calls it.
_NAMED: Final = re.compile(
    rb"(?=.*(?:PASS|PWD|SECRET|TOKEN|KEY))[A-Z][A-Z0-9_]*|(?=.*(?:Pass|Pwd|Pw|Secret|Token|Key))[A-Za-z][a-z]+(?:[A-Z][a-z]+)+|"
    rb"(?i:(?=.*(?:pass|pwd|secret|token|key))[a-z]+(?:[.\-][a-z]+)+)|[a-z]+(?:_[a-z]+)+"
)
_RFC_USERS: Final = {b"Aladdin", b"s6BhdRkqt3"}
# What RFC 5849, 6749 and 6750 show as tokens, by the begin of its SHA-256: documents without number repeat it.
_PUBLISHED: Final = frozenset(
    [
        "00cf4c781dc3",
        "293257ab6495",
        "4c20e6f5cc11",
        "53f5da0aaa93",
        "649e1f5c769e",
        "6aa14267d949",
        "6c96130f130a",
        "9e309cccd311",
        "a35b81a7d792",
        "ad71fb416553",
        "b8e148545b13",
        "bb9b1163338b",
        "cb87c87e4a13",
        "e9974c507d2a",
    ]
)
# Words of prose that are in no word list of BIP-39.
_PROSE: Final = frozenset(
    b"the and for are was were but from has had its not did does than been being which would could"
    b" into also whose his her him she their them these those our let get set use using per via".split()
)


def _crc32(value: bytes) -> str | None:
    """GitHub's and npm's tokens end in a checksum of what comes before it."""
    body = value.rpartition(b"_")[2]
    return _FITS if checksum(body[:-6]) == body[-6:] else None


def _crc32_if(value: bytes) -> str:
    """As `crc32`, where older tokens have none."""
    return _crc32(value) or ""


def _jwt(value: bytes) -> str | None:
    """The header is JSON and names an algorithm that signs."""
    head = value.split(b".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return "" if isinstance(told, dict) and str(told.get("alg", "none")).lower() != "none" else None


def _mixed(value: bytes) -> str | None:
    """Lower case, upper case and digits, and no path."""
    kinds = (rb"[a-z]", rb"[A-Z]", rb"[0-9]")
    return "" if all(re.search(kind, value) for kind in kinds) and value.count(b"/") < 6 else None


def _password(value: bytes) -> str | None:
    """Somebody's password, not what stands for one: a variable, a template, the word itself.

    >>> [_password(text) for text in (b"$DB_PASSWORD", b"%s", b"postgres123", b"{{ db_pass }}", b"P@ssw0rd1")]
    [None, None, None, None, None]
    >>> _password(b"Blau-" + b"zahn77")
    ''
    """
    if len(value) < 4 or len(set(value)) < 4 or not value.isascii():
        return None
    if values.is_placeholder(value) or values.is_alphabet(value):
        return None
    if any(form.fullmatch(value[:64]) for form in (_REFERENCE, _COMMON, _NAMED)):
        return None
    if value.isalpha() and (value[1:].islower() or value.isupper()) and (len(value) < 12 or values.is_wordy(value)):
        return None
    return None if _COMMON.fullmatch(value[:64].rstrip(_TAIL).translate(_LEET)) else ""


def _random(value: bytes) -> str | None:
    """Chance made it: no words, no sequence.

    >>> _random(b"customerAccountName1"), _random(hashlib.sha256(b"x").hexdigest().encode())
    (None, '')
    """
    is_published = hashlib.sha256(value).hexdigest()[:12] in _PUBLISHED
    return "" if values.is_random(value) and not is_published else None


def _decoded(value: bytes) -> bytes | None:
    """What base64 of either alphabet stands for, padded or not."""
    plain = value.strip().translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_text(data: bytes) -> bool:
    try:
        return bool(data) and all(c.isprintable() or c in "\r\n\t" for c in data.decode())
    except UnicodeDecodeError:
        return False


def _basic_auth(value: bytes) -> str | None:
    """RFC 7617: base64 of user:password."""
    user, colon, password = (_decoded(value) or b"").partition(b":")
    if not colon or not _is_text(user + b":") or not _is_text(password) or b"\n" in password.strip():
        return None
    if password.strip() == user or user in _RFC_USERS or _password(password) is None:
        return None
    return "decodes to a user and a password" if len(password) >= 8 else ""


def _base64_text(value: bytes) -> str | None:
    """Base64 of a line of text that may be a secret.

    >>> _base64_text(base64.b64encode(b"Zq3!" * 4)), _base64_text(base64.b64encode(bytes(16)))
    ('decodes to text', None)
    """
    text = (_decoded(value) or b"").strip()
    return "decodes to text" if len(text) >= 6 and _is_text(text) and _password(text) is not None else None


def _base64_32_bytes(value: bytes) -> str | None:
    """A key of 256 bits: WireGuard's, Fernet's.

    >>> _base64_32_bytes(base64.b64encode(bytes(range(32)))), _base64_32_bytes(base64.b64encode(b"short"))
    ('', None)
    """
    key = _decoded(value)
    return "" if key is not None and len(key) == 32 and len(set(key)) > 8 else None


def _azure_storage_key(value: bytes) -> str | None:
    """88 characters of base64: a key of 512 bits."""
    key = _decoded(value)
    return "" if len(value) == 88 and key is not None and len(key) == 64 and len(set(key)) > 16 else None


def _hex_even(value: bytes) -> str | None:
    """Whole bytes in hexadecimal."""
    return "" if re.fullmatch(rb"(?:[0-9A-Fa-f]{2})+", value) else None


def _cisco_7(value: bytes) -> str | None:
    """Cisco's type 7: where in the vendor's fixed text it begins (0..52, in decimal), then bytes in hexadecimal."""
    is_formed = re.fullmatch(rb"(?:[0-4]\d|5[0-2])(?:[0-9A-Fa-f]{2}){4,}", value)
    return "" if is_formed else None


def _from_base58(text: bytes, alphabet: bytes) -> bytes | None:
    number = 0
    for letter in text:
        place = alphabet.find(letter)
        if place < 0 or len(text) > 200:
            return None
        number = number * 58 + place
    zeros = len(text) - len(text.lstrip(alphabet[:1]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base58(payload: bytes, alphabet: bytes = _BITCOIN) -> bytes:
    """Base58 with its checksum: for the examples above, and for those of the rules."""
    data = payload + hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), b""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit : digit + 1] + text
    return alphabet[:1] * (len(data) - len(data.lstrip(b"\0"))) + text


def _base58check(value: bytes, alphabet: bytes = _BITCOIN) -> str | None:
    """Bitcoin's base58: the last four bytes are a checksum of the others."""
    data = _from_base58(value, alphabet)
    if data is None or len(data) < 8:
        return None
    return _FITS if hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:] else None


def _base58check_xrp(value: bytes) -> str | None:
    """The same in the alphabet of the XRP ledger.

    >>> _base58check_xrp(_base58(b"\\x21" + bytes(range(16)), _RIPPLE))
    'its checksum fits'
    """
    return _base58check(value, _RIPPLE)


def _bip39(value: bytes) -> str | None:
    """As many words as BIP-39 allows, of letters and lengths that its list has. The list itself is not at hand."""
    words = re.findall(rb"[^\s,\"']+", value)
    is_formed = len(words) in (12, 15, 18, 21, 24) and all(re.fullmatch(rb"[a-z]{3,8}", word) for word in words)
    return "" if is_formed and len({*words}) > len(words) * 2 // 3 and not _PROSE & {*words} else None


def _crc16(value: bytes) -> str | None:
    """Base32 that ends in a CRC-16 (XMODEM, low byte first): Stellar's seeds, the nkeys of NATS.

    >>> _crc16(base64.b32encode(bytes(35))), _crc16(base64.b32encode(bytes(34) + b"x"))
    ('its checksum fits', None)
    """
    try:
        data = base64.b32decode(value + b"=" * (-len(value) % 8))
    except (binascii.Error, ValueError):
        return None
    fits = len(data) > 2 and binascii.crc_hqx(data[:-2], 0).to_bytes(2, "little") == data[-2:]
    return _FITS if fits else None


def _secp256k1(value: bytes) -> str | None:
    """64 hexadecimal digits that are a private key of the curve, and not a small number."""
    try:
        number = int(value.removeprefix(b"0x"), 16)
    except ValueError:
        return None
    return "" if 1 << 200 < number < _SECP256K1 else None


def _ed25519_pair(value: bytes) -> str | None:
    """64 bytes, in a list of numbers or in base58: a private key, and the public key that belongs to it."""
    if b"," in value:
        numbers = [int(n) for n in re.findall(rb"\d{1,3}", value)]
        pair = bytes(numbers) if len(numbers) == 64 and max(numbers) < 256 else b""
    else:
        pair = _from_base58(value, _BITCOIN) or b""
    if len(pair) != 64:
        return None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(pair[:32]).public_key().public_bytes_raw()
    return "its two halves are one pair of keys" if public == pair[32:] else None


def _aws_key_id(value: bytes) -> str | None:
    """AWS documents no more than the prefix; in newer keys the first bit is set, and the next 40 are the account."""
    try:
        number = int.from_bytes(base64.b32decode(value[4:20]), "big")
    except (binascii.Error, ValueError):
        return None
    if len(value) != 20:
        return None
    account = number >> 39 & (1 << 40) - 1
    return f"names AWS account {account:012d}" if number >> 79 and account < 10**12 else ""


def _uuid(value: bytes) -> str | None:
    """A UUID of RFC 9562, neither nil nor all ones."""
    form = rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    return "" if re.fullmatch(form, value) and len({*value.lower()}) > 6 else None


def _luhn_free(value: bytes) -> str | None:
    """No card or device number: their digits fit Luhn's sum (ISO/IEC 7812-1).

    >>> _luhn_free(b"4111" + b"1" * 12), _luhn_free(b"4111" + b"1" * 11 + b"2")
    (None, '')
    """
    if not value.isdigit():
        return ""
    doubled = [digit * 2 - 9 * (digit > 4) if at % 2 else digit for at, digit in enumerate(c - 48 for c in value[::-1])]
    return None if sum(doubled) % 10 == 0 else ""


CHECKS: Final[dict[str, Callable[[bytes], str | None]]] = {
    "aws-key-id": _aws_key_id,
    "azure-storage-key": _azure_storage_key,
    "base58check": _base58check,
    "base58check-xrp": _base58check_xrp,
    "base64-32-bytes": _base64_32_bytes,
    "base64-text": _base64_text,
    "basic-auth": _basic_auth,
    "bip39": _bip39,
    "cisco-7": _cisco_7,
    "crc32": _crc32,
    "crc32-if": _crc32_if,
    "ed25519-pair": _ed25519_pair,
    "hex-even": _hex_even,
    "jwt": _jwt,
    "luhn-free": _luhn_free,
    "mixed": _mixed,
    "password": _password,
    "random": _random,
    "secp256k1": _secp256k1,
    "stellar-crc16": _crc16,
    "uuid": _uuid,
}
"""The name in a rule -> the check."""
