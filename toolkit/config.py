"""A collector's constructor is its configuration: here its signature is read, filled and checked.

Refuses to: take a credential as a value; constructors take handles (`env:NAME`, `file:PATH`) and resolve them late.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from toolkit.errors import ConfigError
from toolkit.protocols import Collector

if TYPE_CHECKING:
    from toolkit.identity import Fingerprinter

_INJECTED: Final = "fingerprinter"


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword of a constructor: its name, type, default, and what the class or its base says of it (`Args:`)."""

    name: str
    type: Any
    default: Any
    says: str = ""

    @property
    def is_many(self) -> bool:
        """Whether it takes several values."""
        return "tuple" in str(self.type)


def options_of(collector: type[Collector]) -> dict[str, Option]:
    """What a collector's constructor can be told, by name."""
    hints = get_type_hints(collector.__init__)
    parameters = inspect.signature(collector.__init__).parameters.values()
    keywords = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name != _INJECTED]
    says: dict[str, str] = {}
    # What a family of collectors can all be told is said once, by their base.
    for kind in reversed(collector.__mro__):
        says |= _explained(inspect.cleandoc(kind.__doc__ or ""))
    return {p.name: Option(p.name, hints[p.name], p.default, says.get(p.name, "")) for p in keywords}


def _explained(doc: str) -> dict[str, str]:
    """What the `Args:` of a docstring say, by name, as sentences.

    >>> _explained("Reads.\\n\\nArgs:\\n    paths: where to\\n        look.\\n\\nThe end.")
    {'paths': 'Where to look.'}
    """
    told: dict[str, str] = {}
    section = re.split(r"\n(?=\S)", doc.partition("Args:\n")[2])[0]
    for name, said in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        plain = " ".join(said.replace("`", "").split())
        told[name] = plain[:1].upper() + plain[1:]
    return told


def build(collector: type[Collector], options: Mapping[str, Any], fingerprinter: Fingerprinter) -> Collector:
    """The collector, constructed with those of `options` that it knows.

    Raises:
        ConfigError: a value is not of the kind that the constructor asks for.
    """
    known = options_of(collector)
    given = {name: _fit(known[name], value) for name, value in options.items() if name in known}
    if _INJECTED in inspect.signature(collector.__init__).parameters:
        given[_INJECTED] = fingerprinter
    return collector(**given)


def refuse_unknown(collectors: list[type[Collector]], options: Mapping[str, Any]) -> None:
    """Raise ConfigError if no collector of the list knows one of the options."""
    known = {name for collector in collectors for name in options_of(collector)}
    odd = sorted(set(options) - known)
    if odd:
        names = ", ".join(collector.name for collector in collectors)
        raise ConfigError(f"{names}: no option {', '.join(odd)}", advice=f"use {', '.join(sorted(known))}")


def _fit(option: Option, value: Any) -> Any:
    if option.is_many:
        values = (value,) if isinstance(value, str | os.PathLike) else tuple(value)
        return tuple(os.fspath(item) for item in values)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    expected = option.type if isinstance(option.type, type) else object
    if not isinstance(value, expected):
        # The value itself stays out of the message: it may be a PIN put where a handle belongs.
        raise ConfigError(f"option {option.name} takes {expected.__name__}, not {type(value).__name__}")
    return value
