"""Reading a table strictly: what is not known there is refused, with the names that are; every value has its type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Never, TypeVar

from toolkit.conditions import FIELDS, All, Condition, Test, leaves, moment
from toolkit.conditions import parse as parse_condition
from toolkit.errors import ConfigError, PolicyError

Member = TypeVar("Member", bound=StrEnum)

SELECTORS: Final = {
    "keeper": "held_by", "tag": "tags", "usage": "functions", "scope": "scopes",
    **{name: name for name in (
        "subject_uid", "label", "locator", "owner", "application", "environment", "data_class", "account", "region",
        "manager", "purpose", "key_type", "algorithm", "protection", "origin",
    )},
}  # fmt: skip
"""What `match` may name, and the field of a key that it asks."""


class Table:
    """A table of the file, and where it is."""

    def __init__(self, data: object, where: str, *, needed: str = "", may: str = "") -> None:
        self.where = where
        if not isinstance(data, Mapping):
            self.refuse(f"a table is needed, not {data!r}")
        self._data: Mapping[str, Any] = data
        known = [*needed.split(), *may.split()]
        if odd := [name for name in data if name not in known]:
            self.refuse(f"unknown {', '.join(sorted(odd))}", advice=f"known are: {', '.join(sorted(known))}")
        if lacking := [name for name in needed.split() if name not in data]:
            self.refuse(f"it lacks {', '.join(lacking)}", advice="say it; `keyatlas house example` shows a whole file")

    def __contains__(self, name: str) -> bool:
        return name in self._data

    def refuse(self, wrong: str, *, advice: str = "") -> Never:
        """Say what is wrong here.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.where}: {wrong}", advice=advice or "correct it, then: keyatlas house check FILE")

    def raw(self, name: str, default: Any = None) -> Any:
        """A value as it stands."""
        return self._data.get(name, default)

    def text(self, name: str, default: str | None = None) -> str:
        """A text that says something."""
        value = self._data.get(name, default)
        if not isinstance(value, str) or not value.strip():
            self.refuse(f"{name} is a text, not {value!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text is a list of it."""
        value = self._data.get(name, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) and one.strip() for one in values):
            self.refuse(f"{name} is a list of texts, not {value!r}")
        if name in self._data and not values:
            self.refuse(f"{name} is empty: nothing would be allowed", advice="name what is, or leave it out")
        return tuple(values)

    def number(self, name: str, default: int = 0, *, least: int = 0) -> int:
        """A whole number."""
        value = self._data.get(name, default)
        if type(value) is not int or value < least:
            self.refuse(f"{name} is a whole number from {least}, not {value!r}")
        return value

    def tables(self, name: str) -> list[Any]:
        """A list of tables."""
        value = self._data.get(name, [])
        if not isinstance(value, list):
            self.refuse(f"{name} is a list of tables: write [[{name}]]")
        return value

    def day(self, name: str) -> date:
        """A day."""
        value = self._data.get(name)
        if not isinstance(value, date) or isinstance(value, datetime):
            self.refuse(f"{name} is a day, like 2027-01-31, not {value!r}")
        return value

    def moment(self, name: str) -> datetime | None:
        """A time, if it is said; a naive one is UTC."""
        value = self._data.get(name)
        if value is not None and not isinstance(value, date):
            self.refuse(f"{name} is a time, like 2027-01-31T09:00:00Z, not {value!r}")
        return None if value is None else moment(value)

    def member(self, kind: type[Member], name: str, default: str | None = None) -> Member:
        """A word of a closed vocabulary."""
        return self.member_of(kind, self._data.get(name, default), name)

    def member_of(self, kind: type[Member], value: object, name: str) -> Member:
        """The same, of a value that is had already."""
        try:
            return kind(value)  # type: ignore[arg-type]  # what is no text is no member
        except ValueError:
            known = ", ".join(one.value for one in kind)
            self.refuse(f"{name}: {value!r} is no {kind.__name__}", advice=f"use one of: {known}")

    def selected(self) -> Condition:
        """What `match` and `when` say together; all of it must hold."""
        asked: list[Condition] = []
        match = Table(self._data.get("match", {}), f"{self.where}, match", may=" ".join(SELECTORS))
        for name, field in SELECTORS.items():
            if name in match:
                asked.append(_matching(field, match.texts(name)))
        try:
            asked += [
                parse_condition(one, subject="key", where=f"{self.where}, when") for one in self._data.get("when", [])
            ]
        except PolicyError as wrong:
            raise ConfigError(wrong.message, advice=wrong.advice) from None
        found = All(tuple(asked))
        if any(test.op in ("known", "unknown") for test in leaves(found)):
            # Else a key could change its class by less being known of it.
            self.refuse("what is known or not known of a key does not tell its class", advice="ask for a value")
        return found


def _matching(field: str, patterns: tuple[str, ...]) -> Test:
    values = tuple(pattern.casefold() for pattern in patterns)
    return Test(field, "within" if FIELDS["key"][field] == "scopes" else "like", values)
