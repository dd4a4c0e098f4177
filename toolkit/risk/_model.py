"""`risk.toml`, parsed: weaknesses, impacts, the arrival curve and the matrix."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from toolkit.conditions import Condition, parse
from toolkit.terms import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A weakness or an impact: how much it adds when it holds, and when that cannot be told."""

    subject: str
    id: str
    group: str
    says: str
    when: Condition
    p: float
    unknown: float
    todo: str = ""
    says_unknown: str = ""
    todo_unknown: str = ""
    gate: str | None = None
    source: str = ""
    mitigated: tuple[tuple[Condition, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """`risk.toml`, parsed."""

    weaknesses: tuple[Factor, ...]
    impacts: tuple[Factor, ...]
    quantum: Mapping[str, Any]
    encrypts: Condition
    least: tuple[float, ...]
    matrix: tuple[tuple[Severity, ...], ...]


@cache
def model() -> Model:
    """The tool's own priors, impacts, arrival curve and matrix."""
    data = tomllib.loads(files("toolkit").joinpath("risk.toml").read_text(encoding="utf-8"))
    return Model(
        weaknesses=tuple(_factor(table) for table in data["weaknesses"]),
        impacts=tuple(_factor(table) for table in data["impacts"]),
        quantum=data["quantum"],
        encrypts=parse(data["quantum"]["encrypts"], subject="key", where="risk.toml, quantum"),
        least=tuple(data["bands"]["least"]),
        matrix=tuple(tuple(Severity(level) for level in row) for row in data["bands"]["matrix"]),
    )


def _factor(table: Mapping[str, Any]) -> Factor:
    subject, where = table["subject"], f"risk.toml, {table['id']}"
    mitigated = tuple((parse(m["when"], subject=subject, where=where), m["times"]) for m in table.get("mitigated", []))
    return Factor(**{**table, "when": parse(table["when"], subject=subject, where=where), "mitigated": mitigated})
