"""Algorithm names, and how strong a key of one is: classical bits, NIST category, what a quantum computer does to it.

The numbers are data, `algorithms.toml`, each with its source. A name that the data does not know has no strength:
unknown, never zero and never enough.

>>> strength("RSA", None, 2048)
Strength(security_strength_bits=112, nist_quantum_category=0, quantum='broken')
>>> strength("ssh-rsa", None, 4096).security_strength_bits
128
>>> strength("Serpent", None, 256).security_strength_bits is None
True
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Strength:
    """Classical bits (SP 800-57 part 1, 5.6.1), and the NIST category, 0 to 6, 0 none met (CycloneDX 1.7)."""

    security_strength_bits: int | None = None
    nist_quantum_category: int | None = None
    quantum: str | None = None


@cache
def _data() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("toolkit").joinpath("algorithms.toml").read_text())


@cache
def _names() -> dict[str, str]:
    spellings = {}
    for name, facts in _data().items():
        for spelling in (name, *facts.get("aliases", ())):
            spellings[spelling.casefold()] = name
    return spellings


def canonical(name: str | None) -> str | None:
    """The canonical name of any spelling the data knows; None for the rest."""
    return None if name is None else _names().get(name.casefold())


@cache
def strength(algorithm: str | None, parameter: str | None, size_bits: int | None) -> Strength:
    """How strong a key of this algorithm, parameter set and size is; fields are None where that cannot be told."""
    name = canonical(algorithm)
    if name is None:
        return Strength()
    facts = _data()[name]
    bits = _classical_bits(facts, parameter, size_bits)
    # A name such as ML_KEM_768 says the parameter set, too.
    return Strength(bits, _category(facts, parameter or algorithm, size_bits), facts["quantum"])


def _classical_bits(facts: dict[str, Any], parameter: str | None, size_bits: int | None) -> int | None:
    named: int | None = facts.get("parameters", {}).get(parameter, facts.get("strength"))
    if named is not None or size_bits is None:
        return named
    if facts.get("bits") == "size":
        return min(size_bits, 256)
    return _at_least(facts.get("bits", ()), size_bits)


def _category(facts: dict[str, Any], parameter: str | None, size_bits: int | None) -> int | None:
    if facts["quantum"] == "broken":
        return 0
    if "parameter_categories" in facts:
        found: dict[str, int] = facts["parameter_categories"]
        return {_bare(name): category for name, category in found.items()}.get(_bare(parameter or ""))
    return _at_least(facts.get("categories", ()), size_bits or 0)


def _bare(name: str) -> str:
    """A name without case and punctuation: SLH_DSA_SHA2_128S and SLH-DSA-SHA2-128s are one."""
    return "".join(filter(str.isalnum, name)).casefold()


def _at_least(steps: list[list[int]], size_bits: int) -> int | None:
    return next((value for least, value in steps if size_bits >= least), None)
