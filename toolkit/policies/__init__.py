"""Policy packs: what a standard asks of keys, certificates and secrets, as data with clause, edition and examples.

A pack is a TOML file, `<name>.toml`: a `[pack]` table and `[[rules]]`. Each rule says when it applies (`when`), what
must hold (`require`) and what it means if it does not (`otherwise`: FAIL or WARN), in the language of
`toolkit.conditions`; its own examples (`met`, `not_met`, `cannot_tell`) are its tests.

    [pack]
    title, issuer, edition, url          # texts
    status                               # in-force | draft | withdrawn | example; only what is in force is a default
    binding                              # terms.Binding; a guideline never FAILs
    scope                                # optional, a word or a list of terms.Scope (any of them); default: everyone
    mark, effective_from, effective_to   # optional: what rules have that do not say otherwise

    [[rules]]
    id, clause, says, subject, severity, remediation, require, met, not_met, cannot_tell       # needed
    mark                                 # needed here or in [pack]: P primary, S secondary, K from knowledge
    when, otherwise, is_draft            # `[]`, FAIL, false if not said
    edition, url, scope, effective_from, effective_to     # instead of the pack's; `scope = []` is everyone
    evidence = ["…"]                     # what it takes to show it to an auditor
    verb                                 # terms.Verb: the move of a key's life that repairs it
    topic                                # terms.Topic; else from the first field of `require`
    cwe = "CWE-326"
    attack = ["T1552.004"]               # MITRE ATT&CK techniques
    conflicts = "…"                      # where it is known to disagree with another pack
    attestation = true                   # only a person can answer it: subject "inventory", no condition, no examples
    attester, every_days                 # of an attestation: whose it is, and for how many days it holds

A rule with a scope is judged for subjects told to be in it, NOT_APPLICABLE for those told to be out, and INDETERMINATE
(missing: scopes) for the rest (`toolkit.scopes`). Its examples are in scope unless they name `scopes` themselves. Dates
are days of UTC: a rule holds from the first moment of `effective_from` to the last of `effective_to`. An example may
say on which day it is judged (`as_of = 2031-01-01`; else 2026-06-01).

A file with a `[house]` table is an organisation's own policy, in the form of `toolkit.house`, and is the pack `house`.

Refuses to: load a pack with an unknown field, operator or key, or one that breaks its own examples. A guideline and
a draft never FAIL: what they would fail is a WARN.

>>> pack = load(Path(__file__).with_name("nist_sp800_131a.toml"))
>>> pack.name, pack.binding.value
('nist_sp800_131a', 'agency')
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from toolkit import house
from toolkit.errors import PolicyError
from toolkit.policies._house import NAME as HOUSE
from toolkit.policies._house import pack_of
from toolkit.policies._parse import Example, Pack, Rule, parse
from toolkit.policies._verdict import Judged, check_examples, judge
from toolkit.terms import PackStatus

__all__ = [
    "HOUSE",
    "Example",
    "Judged",
    "Pack",
    "Rule",
    "check_examples",
    "choose",
    "judge",
    "load",
    "pack_of",
    "parse",
]


def load(path: Path) -> Pack:
    """The pack in a file, validated, its examples run.

    Raises:
        PolicyError: it cannot be read, breaks the pack format, or breaks one of its own examples.
        ConfigError: the same, of an organisation's own policy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise PolicyError(f"cannot read the policy pack {path}: {wrong}") from wrong
    return _checked(text, path)


def choose(paths: Mapping[str, Path], *, named: bool, own: Path | None = None, asked: bool = False) -> list[Pack]:
    """The packs to judge by: those that are `named`, else of all those in force, as nothing else is ever a default.

    `own` is an organisation's own policy, which stands in for the pack `house`. It is among the named ones if it is
    called for there, or `asked` for itself.
    """
    chosen = dict(paths)
    if own is not None and (asked or not named or HOUSE in chosen):
        chosen[HOUSE] = own
    packs = {name: load(path) for name, path in chosen.items()}
    return [
        pack for name, pack in packs.items() if named or pack.status is PackStatus.IN_FORCE or (asked and name == HOUSE)
    ]


@lru_cache(maxsize=256)
def _checked(text: str, path: Path) -> Pack:
    """The same text is checked once a process."""
    try:
        data = tomllib.loads(text)
        is_house = "house" in data
        pack = pack_of(house.loads(text, where=path.name)) if is_house else parse(data, name=path.stem)
    except tomllib.TOMLDecodeError as wrong:
        raise PolicyError(f"cannot read the policy pack {path}: {wrong}") from wrong
    check_examples(pack)
    return pack
