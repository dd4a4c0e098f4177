"""Policy packs: what a standard asks of keys, certificates and secrets, as data with clause, edition and examples.

A pack is a TOML file, `<name>.toml`: a `[pack]` table and `[[rules]]`. Each rule says when it applies (`when`), what
must hold (`require`) and what it means if it does not (`otherwise`: FAIL or WARN), in the language of
`toolkit.conditions`; its own examples (`met`, `not_met`, `cannot_tell`) are its tests.

Refuses to: load a pack with an unknown field, operator or key, or one that breaks its own examples. A guideline and
a draft never FAIL: what they would fail is a WARN.

>>> pack = load(Path(__file__).with_name("nist_sp800_131a.toml"))
>>> pack.name, pack.binding.value
('nist_sp800_131a', 'agency')
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from toolkit.errors import PolicyError
from toolkit.policies._parse import Example, Pack, Rule, parse
from toolkit.policies._verdict import Judged, check_examples, judge

__all__ = ["Example", "Judged", "Pack", "Rule", "check_examples", "judge", "load", "parse"]


def load(path: Path) -> Pack:
    """The pack in a file, validated, its examples run.

    Raises:
        PolicyError: it cannot be read, breaks the pack format, or breaks one of its own examples.
    """
    try:
        pack = parse(tomllib.loads(path.read_text(encoding="utf-8")), name=path.stem)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise PolicyError(f"cannot read the policy pack {path}: {wrong}") from wrong
    check_examples(pack)
    return pack
