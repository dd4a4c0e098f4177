"""What a value looks like: chance, a word, a placeholder, a reference to something else.

Pure: bytes in, facts out. Refuses to: know what a value is called or where it stands.

>>> is_random(b"zX81kQw0mPe47Tj2Lr9b"), is_random(b"customerAccountName1")
(True, False)
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import Final

# Short words only as people write them: in any mix of cases they would strike one random token in a thousand.
_PLACEHOLDER: Final = re.compile(
    rb"(?i:example|placeholder|changeme|change_me|change-me|redacted|dummy|sample|insert|replace_|replace-|todo|"
    rb"notreal|not-real|not_a_real|foobar|lorem|\bfoo\b|\bbar\b|test_?key|test_?token|test_?secret|my_?secret|"
    rb"my_?token|some_?token|some_?secret|super_?secret|top_?secret)|your[_\-A-Z]|YOUR|<your|fake|FAKE|xxxx|XXXX|"
    rb"\*\*\*|\.\.\.|<[a-zA-Z_]|\$\{|\$\(|"
    rb"\{\{|\}\}|%\(|%s|\{[a-z_][a-z_0-9]*(?::\d+)?\}|deadbeef|DEADBEEF|cafebabe|-----|"
    rb"\[\^|\[A-Z|\[a-z|\[0-9|\\[sdwSDW]|\{\d+,\d*\}"
)
_SAME: Final = re.compile(rb"(.)\1{7,}")
# What hands type for a key: somebody's weak one, or one that was made up; nobody can tell by its look.
_ROW: Final = re.compile(
    rb"(?i:0123456789|1234567890|123456789a|12345678(?:9|[a-z])|abcdefg|bcdefgh|a1b2c3d4|1a2b3c4d|zyxwvut|fedcba98|"
    rb"98765432|abcdef(?:\d|abcdef)|abc123def|ab12cd34|abcd1234|abcde12345)"
)
_ALPHABET: Final = re.compile(rb"0123456789abc|123456789012345|1234567890abc|abcdefgh|ABCDEFGH")
_HEX: Final = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WORD: Final = re.compile(r"[A-Za-z0-9_+/=.~$%&*#!\-]{10,}")
_SMALL: Final = re.compile(rb"[a-z]{3,}")
_MARKS: Final = re.compile(rb"[_\-.:/|]")
_CLASSES: Final = (re.compile(rb"[a-z]"), re.compile(rb"[A-Z]"), re.compile(rb"[0-9]"), re.compile(rb"[^A-Za-z0-9]"))
_RESTLESS: Final = 0.5
"""Words change between capitals, small letters and digits less often than this, chance more often (0.62)."""
# The 190 commonest pairs of letters in the identifiers of large Python projects: nine of ten pairs of a word are here,
# one of four pairs of random letters.
_PAIRS: Final = frozenset(
    re.findall(
        "..",
        "abacadagaialamanaparasatauaybabebiblbobsbucacccechcickclcocrctcudadedidodsdueaecedeeefegelemeneperes"
        "etevexfafefffifogagegigrhahehihoiaibicidieifigiliminioipirisitivizkelaldlelilllolsltlulymamemimompna"
        "ncndnenfngninonsntocodogolomonoooporosotouovowpapepiplpoppprpsptpuqurarcrdrergrirmrnrorrrsrtrurysasc"
        "seshsisospssstsutatctethtitltotrtstttutyuaubucueuiulumunupurusutvaveviwawewiypze",
    )
)


def classes(value: bytes) -> int:
    """How many of lower case, upper case, digits and others occur."""
    return sum(bool(kind.search(value)) for kind in _CLASSES)


def entropy(value: bytes) -> float:
    """Shannon entropy of the characters as they occur, in bits a character."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0


def floor(value: bytes) -> float:
    """The entropy that a random value of this length and alphabet all but always has."""
    size = max(len(value), 2)
    hexadecimal = sum(c in b"0123456789abcdefABCDEF" for c in value)
    letters = 16 if hexadecimal >= 0.8 * size else (36 if classes(value) < 3 else 62)
    if value.isdigit():
        letters = 10
    return (0.74 if size > 20 else 0.68) * min(math.log2(size), math.log2(letters))


def redacted(text: str) -> str:
    """Text of people (a commit's subject, a user's name) without what looks like chance: it may be a credential too."""
    return _WORD.sub(lambda word: "…" if _may_be_secret(word[0].encode()) else word[0], text)


def _may_be_secret(word: bytes) -> bool:
    digits = any(48 <= c <= 57 for c in word)
    return is_random(word) or (digits and classes(word) >= 3 and not is_wordy(word)) or len(word) > 60


def is_placeholder(value: bytes) -> bool:
    """It says itself that it stands for something else."""
    if _PLACEHOLDER.search(value) or len(set(value)) <= min(8, max(3, len(value) // 12)):
        return True
    # Encoded structures have zeros in them: thirteen `A` are in each token of Azure DevOps.
    return any(len(same[0]) > max(7, min(20, len(value) // 5)) for same in _SAME.finditer(value))


def is_in_a_row(value: bytes) -> bool:
    """Hands typed it as the alphabet or the keyboard has it: a weak secret, or one that was made up.

    >>> is_in_a_row(b"abcdef" + b"1234567890"), is_in_a_row(b"zX81kQw0mPe47Tj2Lr9b")
    (True, False)
    """
    return bool(_ROW.search(value)) or is_sequence(value.lower())


def is_alphabet(value: bytes) -> bool:
    """It lists letters and digits, as no password does."""
    return bool(_ALPHABET.search(value))


def is_uuid(value: bytes) -> bool:
    """RFC 9562's form: often an id, seldom a secret."""
    return bool(_UUID.fullmatch(value))


def is_mixed(value: bytes) -> bool:
    """It has small letters, capitals and digits."""
    return all(kind.search(value) for kind in _CLASSES[:3])


def is_hex(value: bytes) -> bool:
    """Digits of one hexadecimal number, in one case."""
    return bool(_HEX.fullmatch(value))


def is_sequence(value: bytes) -> bool:
    """Many characters follow their neighbour: abcdef, 654321."""
    steps = [b - a for a, b in pairwise(value)]
    return len(steps) > 6 and sum(abs(step) == 1 for step in steps) > len(steps) * 0.6


def core(value: bytes) -> bytes:
    """The longest of its parts, where that is most of it: `live_6f1e...` without what the vendor put before it."""
    longest = max(_MARKS.split(value), key=len)
    return longest if len(longest) >= 0.6 * len(value) else value


def is_wordy(value: bytes) -> bool:
    """Most of its letters come in the pairs that words are made of; of hexadecimal digits, nobody can tell."""
    value = core(value)
    if is_hex(value):
        return False
    digits = sum(48 <= c <= 57 for c in value)
    # CamelCase: chance that mixes capitals in has digits, too, and seldom three small letters in a row.
    is_camel = value[1:].lower() != value[1:] and 8 * digits < len(value)
    pairs = [value[at : at + 2].lower().decode() for at in range(len(value) - 1) if value[at : at + 2].isalpha()]
    common = sum(pair in _PAIRS for pair in pairs)
    if is_camel and sum(map(len, _SMALL.findall(value))) > 0.4 * len(value) and common > 0.45 * len(pairs):
        return True
    if changes(value) > _RESTLESS or len(pairs) < 5:
        return False
    return common > (0.62 if len(pairs) >= 12 else 0.7) * len(pairs)


def changes(value: bytes) -> float:
    """How often lower case, upper case, digit and other follow one another; random text changes at every other step."""
    kinds = [0 if 97 <= c <= 122 else 1 if 65 <= c <= 90 else 2 if 48 <= c <= 57 else 3 for c in value]
    return sum(a != b for a, b in pairwise(kinds)) / max(1, len(kinds) - 1)


def is_random(value: bytes) -> bool:
    """It looks like chance: entropy as high as its alphabet allows, and no words."""
    if entropy(value) < floor(value) or is_sequence(value.lower()):
        return False
    if is_hex(value) or is_uuid(value):
        return len(value) >= 16 and any(48 <= c <= 57 for c in value) and not value.isdigit()
    return classes(value) >= 2 and not is_wordy(value) and changes(value) >= 0.12
