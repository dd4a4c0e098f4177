"""How much each key matters: likelihood times impact, with the exact share of each reason, worst first.

Weaknesses raise the likelihood L, impacts the impact I; inside a group of one cause the largest counts, across groups
they combine by noisy-OR, 1 - prod(1 - p). The score is 100·L·I, the band SP 800-30's table I-2, a reason's share
-ln(1-p) over the sum of them. What is unknown takes a value between known-good and known-worst, says so, and lowers
the confidence. A gate asks for action at once, whatever the number. All values are data: `toolkit/risk.toml`.

Refuses to: be a compliance verdict, or to be more than this tool's own calibration; see `calibration` in the data.

>>> from datetime import UTC
>>> from toolkit.conditions import frame_of
>>> keys = frame_of("key", [{"subject_uid": "spki:1", "locator": "file:///a", "holds_secret": True,
...                          "algorithm": "RSA", "size_bits": 2048, "state": "compromised"}])
>>> score({"key": keys}, as_of=datetime(2026, 6, 1, tzinfo=UTC))["gate"].to_list()
['immediate']
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from toolkit.conditions import Columns, Condition, parse
from toolkit.tables import TEXTS
from toolkit.terms import Severity

Reals = NDArray[np.float64]
Codes = NDArray[np.int64]

_MOST: Final = 0.99
_STRING: Final = pd.StringDtype("pyarrow")


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


def noisy_or(chances: Reals) -> Reals:
    """The chance that at least one of independent things happens; the last axis is the things.

    Source: FIRST EPSS on combining scores.
    """
    combined: Reals = -np.expm1(np.log1p(-chances).sum(axis=-1))
    return combined


def shares(chances: Reals) -> Reals:
    """The exact share of each thing in `noisy_or`: -ln(1-p) over the sum; 0 where nothing happens."""
    weights = -np.log1p(-chances)
    total = weights.sum(axis=-1, keepdims=True)
    told: Reals = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return told


def score(subjects: Mapping[str, pd.DataFrame], *, as_of: datetime) -> pd.DataFrame:
    """Risk of each key, and of each secret that is no key of the frame: what is urgent first, then band and score."""
    parts = []
    if "key" in subjects:
        parts.append(_score("key", subjects["key"], as_of))
    if "secret" in subjects:
        parts.append(_score("secret", _no_keys(subjects), as_of))
    told = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    told["_calm"] = told["gate"].isna()
    order = told.sort_values(["_calm", "band", "score", "locator"], ascending=[True, False, False, True])
    return order.drop(columns="_calm").reset_index(drop=True)


def _no_keys(subjects: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    secrets = subjects["secret"]
    if "key" not in subjects:
        return secrets
    keys = subjects["key"]["subject_uid"]
    # The few are looked for among the many: the other way round, pandas makes a list of a million texts.
    known = keys[keys.isin(secrets["key_uid"].dropna().unique())]
    return secrets[~secrets["key_uid"].isin(known).fillna(False)].reset_index(drop=True)


@dataclass(slots=True)
class _Weighed:
    """By row and group: the largest chance, the factor it comes from (-1: none), and whether that is a guess."""

    chances: Reals
    factors: NDArray[np.int16]
    guessed: NDArray[np.bool_]


def _weigh(factors: tuple[Factor, ...], columns: Columns) -> _Weighed:
    groups = list(dict.fromkeys(factor.group for factor in factors if factor.subject == columns.subject))
    shape = (len(columns), len(groups))
    out = _Weighed(np.zeros(shape), np.full(shape, -1, np.int16), np.zeros(shape, bool))
    for number, factor in enumerate(factors):
        if factor.subject == columns.subject:
            _take(out, groups.index(factor.group), number, *_chance(factor, columns))
    return out


def _chance(factor: Factor, columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    answer = columns.answer(factor.when)
    chance = np.where(answer.yes, factor.p, np.where(answer.no, 0.0, factor.unknown))
    for when, times in factor.mitigated:
        chance[columns.answer(when).yes] *= times
    return np.minimum(chance, _MOST), answer.unknown


def _take(out: _Weighed, group: int, number: int, chance: Reals, guessed: NDArray[np.bool_]) -> None:
    larger = chance > out.chances[:, group]
    out.chances[larger, group] = chance[larger]
    out.factors[larger, group] = number
    out.guessed[larger, group] = guessed[larger]


def arrival(years: Reals) -> Reals:
    """The chance that a quantum computer that breaks RSA-2048 exists by then (facts: data, a calibration)."""
    told: Reals = np.interp(years, model().quantum["years"], model().quantum["chance"])
    return told


def _quantum(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    """Mosca's inequality as a chance: does what it protects have to hold longer than until the machine arrives?"""
    data, now = model().quantum, _year(columns.as_of)
    shelf, shelf_known = _shelf_life(columns)
    validity, validity_known = _validity(columns)
    later = now + data["migration_years"]
    opened = data["weight_encrypt"] * arrival(later + shelf)
    forged = data["weight_sign"] * arrival(later + validity)
    encrypts = columns.answer(model().encrypts)
    chance = np.where(encrypts.yes, opened, np.where(encrypts.no, forged, np.maximum(opened, forged)))
    certain = (encrypts.yes & shelf_known) | (encrypts.no & validity_known)
    broken = columns.answer(_BROKEN)
    return chance * np.where(broken.yes, 1.0, np.where(broken.no, 0.0, data["unknown_share"])), ~(certain & broken.yes)


_BROKEN: Final = parse({"field": "quantum", "op": "==", "value": "broken"}, subject="key")


def _shelf_life(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    data = model().quantum
    codes, values = columns.codes("data_class")
    known = [data["shelf_life_years"].get(str(value).casefold(), np.nan) for value in values]
    years = np.array([*known, np.nan], float)[codes]
    return np.where(np.isnan(years), data["unknown_shelf_life_years"], years), ~np.isnan(years)


def _validity(columns: Columns) -> tuple[Reals, NDArray[np.bool_]]:
    ends = columns.frame["certified_until"].fillna(columns.frame["expires_at"])
    years = ((ends - columns.as_of).dt.total_seconds() / (365.2425 * 86400)).to_numpy(dtype=float, na_value=np.nan)
    known = ~np.isnan(years)
    return np.where(known, np.maximum(years, 0.0), model().quantum["unknown_validity_years"]), known


def _year(moment: datetime) -> float:
    start = datetime(moment.year, 1, 1, tzinfo=UTC)
    return moment.year + (moment - start).days / 365.2425


def _score(subject: str, frame: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    columns = Columns(subject, frame, as_of=as_of)
    weak, harm = _weigh(model().weaknesses, columns), _weigh(model().impacts, columns)
    if subject == "key":
        weak = _with_quantum(weak, columns)
    likelihood, impact = noisy_or(weak.chances), noisy_or(harm.chances)
    share = shares(weak.chances)
    reasons, todo = _reasons(weak, share, columns)
    return pd.DataFrame(
        {
            "subject": pd.array([subject] * len(frame), dtype=_STRING),
            "subject_uid": frame["subject_uid"].astype(_STRING),
            "locator": frame["locator"].astype(_STRING),
            "label": frame["label" if subject == "key" else "title"].astype(_STRING),
            "likelihood": likelihood,
            "impact": impact,
            "score": 100 * likelihood * impact,
            "band": band(likelihood, impact),
            "gate": _gate(weak),
            "confidence": 1 - np.where(weak.guessed, share, 0.0).sum(axis=1),
            "reasons": reasons,
            "todo": todo,
        }
    )


def _gate(weak: _Weighed) -> pd.api.extensions.ExtensionArray:
    """Which rows ask for action at once. A gate counts when its condition holds, not when it is only feared."""
    gates = np.array([*(factor.gate is not None for factor in model().weaknesses), False, False])
    is_urgent = (gates[weak.factors] & ~weak.guessed).any(axis=1)
    return pd.array(np.where(is_urgent, "immediate", None), dtype=_STRING)  # type: ignore[call-overload]  # None is NA


def _with_quantum(weak: _Weighed, columns: Columns) -> _Weighed:
    chance, guessed = _quantum(columns)
    number = np.where(chance > 0, len(model().weaknesses), -1).astype(np.int16)
    return _Weighed(
        np.column_stack([weak.chances, chance]),
        np.column_stack([weak.factors, number]),
        np.column_stack([weak.guessed, guessed]),
    )


def band(likelihood: Reals, impact: Reals) -> pd.Categorical:
    """SP 800-30 r1, table I-2: the level of risk of two values from 0 to 1."""
    levels = list(Severity)
    place = {level: code for code, level in enumerate(levels)}
    matrix = np.array([[place[level] for level in row] for row in model().matrix], np.int8)
    # Rounding first: 0.8 that came out as 0.7999… is 80.
    cuts = [
        np.searchsorted(model().least, np.round(100 * value, 9), side="right") - 1 for value in (likelihood, impact)
    ]
    dtype = pd.CategoricalDtype([level.value for level in levels], ordered=True)
    return pd.Categorical.from_codes(matrix[cuts[0], cuts[1]], dtype=dtype)


def _reasons(weak: _Weighed, share: Reals, columns: Columns) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """By row: the reasons with their percents, largest first; and what to do about the first."""
    kinds, kind_names = _kinds(columns)
    says, todo = _texts()
    spoken = 2 * weak.factors.astype(np.int64) + weak.guessed
    percents = _percents(share)
    order = np.argsort(-share, axis=1, kind="stable")
    percents, spoken = np.take_along_axis(percents, order, 1), np.take_along_axis(spoken, order, 1)
    is_said = (percents > 0) & (spoken >= 0)
    keyed = (percents * len(says) + spoken) * len(kind_names) + kinds[:, None]
    codes, distinct = pd.factorize(keyed[is_said])
    texts = [_fill(f"{key // len(kind_names) // len(says)}% {says[key // len(kind_names) % len(says)]}",
                   kind_names[key % len(kind_names)]) for key in distinct]  # fmt: skip
    offsets = np.concatenate([[0], np.cumsum(is_said.sum(axis=1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(texts, pa.string()).take(pa.array(codes)))
    firsts, distinct = pd.factorize(np.maximum(spoken[:, 0], 0) * len(kind_names) + kinds)
    advice = [_fill(todo[key // len(kind_names)], kind_names[key % len(kind_names)]) for key in distinct]
    todos = pd.Series(
        pa.array(advice, pa.string()).take(pa.array(firsts)).to_pandas(types_mapper={pa.string(): _STRING}.get)
    )
    return pd.Series(pd.arrays.ArrowExtensionArray(lists.cast(TEXTS))), todos


def _texts() -> tuple[list[str], list[str]]:
    """What each weakness says and asks, sure at even places, feared at odd ones; the quantum term comes last."""
    told = [(factor.says, factor.todo) for factor in model().weaknesses]
    told.append((model().quantum["says"], model().quantum["todo"]))
    says = [text for saying, _ in told for text in (saying, f"unknown whether {saying}")]
    return says, [text for saying, todo in told for text in (todo, f"Find out whether {saying}")]


def _fill(text: str, kind: str) -> str:
    return text.replace("{kind}", kind)


def _percents(share: Reals) -> Codes:
    """Whole percents that sum to 100 (largest remainder)."""
    exact = np.round(100 * share, 9)
    whole = np.floor(exact).astype(np.int64)
    short = np.round(exact.sum(axis=1)).astype(np.int64) - whole.sum(axis=1)
    rank = np.argsort(np.argsort(whole - exact, axis=1, kind="stable"), axis=1, kind="stable")
    told: Codes = whole + (rank < short[:, None])
    return told


def _kinds(columns: Columns) -> tuple[Codes, list[str]]:
    """For people: `RSA-1024`, `EC secp256r1`; one name for all secrets."""
    if columns.subject != "key":
        return np.zeros(len(columns), np.int64), ["the credential"]
    frame = columns.frame[["algorithm", "parameter", "size_bits"]]
    codes, kinds = pd.factorize(pd.MultiIndex.from_frame(frame))
    return codes.astype(np.int64), [_kind(*kind) for kind in kinds] or [""]


def _kind(algorithm: Any, parameter: Any, size_bits: Any) -> str:
    if pd.isna(algorithm):
        return "its algorithm"
    if not pd.isna(parameter):
        return f"{algorithm} {parameter}"
    # Ed25519 and its like have their size in the name.
    return str(algorithm) if pd.isna(size_bits) or str(algorithm)[-1].isdigit() else f"{algorithm}-{int(size_bits)}"
