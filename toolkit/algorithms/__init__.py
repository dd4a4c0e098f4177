"""Algorithm names, and how strong a key of one is: classical bits, NIST category, what a quantum computer does to it.

Numbers and names are data. `families.toml` has what is true of an algorithm, `curves.toml` the elliptic curves, and
`spellings/` what each world calls them: X.509, PKCS#11, SSH, TLS, OpenPGP, KMIP, JOSE and COSE, Java and Windows, the
key specs of clouds. A row of names may say more than the family: its `kind` (what it is done with), a parameter set,
a size, `strength_bits` of a hybrid's classical part; `is_draft` if its document is; `mark` and `source` always.
Numbers of registries are written with their registry: `tls:0x001d`, `openpgp:22`, `cose:-7`, `kmip:0x00000004`.

A name that the data does not know has no strength: unknown, never zero and never enough.

>>> strength("RSA", None, 2048)
Strength(security_strength_bits=112, nist_quantum_category=0, quantum='broken')
>>> strength("ssh-rsa", None, 4096).security_strength_bits
128
>>> strength("EC", "P-384", None).security_strength_bits, strength("ECC_NIST_P521", None, None).security_strength_bits
(192, 256)
>>> strength("2.16.840.1.101.3.4.4.2", None, None).nist_quantum_category, meaning("mldsa65").kind
(3, 'signature')
>>> curve("1.2.840.10045.3.1.7").name
'secp256r1'
>>> strength("Serpent", None, 256).security_strength_bits is None
True
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

Known = TypeVar("Known", "Spelling", "Curve")


@dataclass(frozen=True, slots=True)
class Strength:
    """Classical bits (SP 800-57 part 1, 5.6.1), and the NIST category, 0 to 6, 0 none met (CycloneDX 1.7)."""

    security_strength_bits: int | None = None
    nist_quantum_category: int | None = None
    quantum: str | None = None


@dataclass(frozen=True, slots=True)
class Spelling:
    """What a name means: the family, and whatever else it says; `kind` is what the algorithm is done with."""

    family: str
    kind: str | None = None
    parameter: str | None = None
    size_bits: int | None = None
    strength_bits: int | None = None
    is_draft: bool = False
    mark: str = "K"
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """An elliptic curve; `strength_bits` only where it does not go by size."""

    name: str
    size_bits: int
    strength_bits: int | None = None
    mark: str = "K"
    source: str | None = None


_PREFIX: Final = re.compile(r"^(urn:oid:|oid[.:]|(secg|nist|x962|x963|ansix9|brainpool|other)/)", re.IGNORECASE)
"""What is written before an object identifier, or before a curve's name in a CycloneDX registry."""
_REGISTERED: Final = re.compile(r"^[a-z-]+:|^[0-9.]+$")
"""An object identifier or a number of a registry: punctuation means something there."""


def canonical(name: str | None) -> str | None:
    """The canonical name of any spelling the data knows; None for the rest."""
    told = meaning(name)
    return None if told is None else told.family


def meaning(name: str | None) -> Spelling | None:
    """All that a spelling says; None if the data does not know it. Case and punctuation are no difference.

    A curve stands for the keys on it: `nistp256` is EC.
    """
    told = None if name is None else _look_up(name, *_spellings())
    if told is None and (on := curve(name)):
        family = "GOST-R-34.10" if on.name.startswith("id-") else "EC"
        return Spelling(family, "key-agreement", on.name, on.size_bits, mark=on.mark, source=on.source)
    return told


def curve(name: str | None) -> Curve | None:
    """The curve of any spelling; None if the data does not know it."""
    return None if name is None else _look_up(name, *_curves())


@cache
def strength(algorithm: str | None, parameter: str | None, size_bits: int | None) -> Strength:
    """How strong a key of this algorithm, parameter set and size is; fields are None where that cannot be told."""
    told = meaning(algorithm)
    if told is None:
        return Strength()
    facts = _families()[told.family]
    bits = _classical_bits(facts, told, parameter, size_bits)
    return Strength(bits, _category(facts, told, parameter, size_bits), facts["quantum"])


def _classical_bits(
    facts: Mapping[str, Any], told: Spelling, parameter: str | None, size_bits: int | None
) -> int | None:
    if told.strength_bits is not None:
        return told.strength_bits
    # The key's own parameter has the word; without one, what its algorithm's name says.
    named = parameter or told.parameter
    on = curve(named) if facts["quantum"] == "broken" else None
    if on is not None and on.strength_bits is not None:
        return on.strength_bits
    known: int | None = facts.get("parameters", {}).get(named, facts.get("strength"))
    sizes = (size_bits, None if on is None else on.size_bits, told.size_bits)
    size = next((size for size in sizes if size is not None), None)
    if known is not None or size is None:
        return known
    return min(size, 256) if facts.get("bits") == "size" else _at_least(facts.get("bits", ()), size)


def _category(facts: Mapping[str, Any], told: Spelling, parameter: str | None, size_bits: int | None) -> int | None:
    if facts["quantum"] == "broken":
        return 0
    if "parameter_categories" not in facts:
        return _at_least(facts.get("categories", ()), size_bits or told.size_bits or 0)
    found = {_bare(name): category for name, category in facts["parameter_categories"].items()}
    meant = meaning(parameter)
    names = (parameter, meant and meant.parameter) if parameter else (told.parameter,)
    return next((found[_bare(name)] for name in names if name and _bare(name) in found), None)


@cache
def _families() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("toolkit.algorithms").joinpath("families.toml").read_text(encoding="utf-8"))


def _rows() -> Iterator[tuple[str, Spelling]]:
    for name, facts in _families().items():
        plain = Spelling(name, mark=facts["mark"])
        yield from ((spelling, plain) for spelling in (name, *facts.get("aliases", ())))
        # A parameter set that names its family is a name, too.
        sets = {} if facts.get("is_hybrid") else facts.get("parameter_categories", {})
        yield from ((spelling, Spelling(name, parameter=spelling, mark=facts["mark"])) for spelling in sets)
    for file in sorted(files("toolkit.algorithms").joinpath("spellings").iterdir(), key=lambda file: file.name):
        for row in tomllib.loads(file.read_text(encoding="utf-8"))["names"]:
            told = Spelling(**{key: value for key, value in row.items() if key != "names"})
            yield from ((spelling, told) for spelling in row["names"])


@cache
def _spellings() -> tuple[dict[str, Spelling], dict[str, Spelling]]:
    return _by_name(_rows())


@cache
def _curves() -> tuple[dict[str, Curve], dict[str, Curve]]:
    data = tomllib.loads(files("toolkit.algorithms").joinpath("curves.toml").read_text(encoding="utf-8"))
    facts = ("size_bits", "strength_bits", "mark", "source")
    rows = {name: Curve(name, **{key: row[key] for key in facts if key in row}) for name, row in data.items()}
    return _by_name((spelling, rows[name]) for name, row in data.items() for spelling in (name, *row["names"]))


def _by_name(rows: Iterator[tuple[str, Known]]) -> tuple[dict[str, Known], dict[str, Known]]:
    """By name whatever its case, and by its letters and digits alone."""
    exact: dict[str, Known] = {}
    bare: dict[str, Known] = {}
    for name, known in rows:
        exact[name.casefold()] = known
        if not _REGISTERED.match(name.casefold()):
            bare.setdefault(_bare(name), known)
    return exact, bare


def _look_up(name: str, exact: Mapping[str, Known], bare: Mapping[str, Known]) -> Known | None:
    plain = _PREFIX.sub("", name.strip()).casefold()
    return exact.get(plain) or (None if _REGISTERED.match(plain) else bare.get(_bare(plain)))


def _bare(name: str) -> str:
    """A name without case and punctuation: SLH_DSA_SHA2_128S and SLH-DSA-SHA2-128s are one."""
    return "".join(filter(str.isalnum, name)).casefold()


def _at_least(steps: list[list[int]], size_bits: int) -> int | None:
    return next((value for least, value in steps if size_bits >= least), None)
