"""Scores with their reasons, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from toolkit.conditions import Columns
from toolkit.risk._model import model
from toolkit.risk._quantum import Reals
from toolkit.risk._weigh import Weighed, band, gate, noisy_or, shares, weigh
from toolkit.tables import TEXTS

Codes = NDArray[np.int64]

_STRING: Final = pd.StringDtype("pyarrow")


def score(subjects: Mapping[str, pd.DataFrame], *, as_of: datetime) -> pd.DataFrame:
    """Risk of each key, and of each secret that is no key of the frame: what is urgent first, then band and score."""
    parts = []
    if "key" in subjects:
        parts.append(_score("key", subjects["key"], as_of))
    if "secret" in subjects:
        parts.append(_score("secret", no_keys(subjects), as_of))
    told = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    told["_calm"] = told["gate"].isna()
    order = told.sort_values(["_calm", "band", "score", "locator"], ascending=[True, False, False, True])
    return order.drop(columns="_calm").reset_index(drop=True)


def no_keys(subjects: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The secrets that are no key of the key frame: those are judged as keys."""
    secrets = subjects["secret"]
    if "key" not in subjects:
        return secrets
    keys = subjects["key"]["subject_uid"]
    # The few are looked for among the many: the other way round, pandas makes a list of a million texts.
    known = keys[keys.isin(secrets["key_uid"].dropna().unique())]
    return secrets[~secrets["key_uid"].isin(known).fillna(False)].reset_index(drop=True)


def _score(subject: str, frame: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    columns = Columns(subject, frame, as_of=as_of)
    weak, harm = weigh(columns)
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
            "gate": gate(weak),
            "confidence": 1 - np.where(weak.guessed, share, 0.0).sum(axis=1),
            "reasons": reasons,
            "todo": todo,
        }
    )


def _reasons(weak: Weighed, share: Reals, columns: Columns) -> tuple[pd.Series[Any], pd.Series[Any]]:
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
    term = model().quantum
    told = [(one.says, one.todo, one.says_unknown, one.todo_unknown) for one in model().weaknesses]
    told.append((term["says"], term["todo"], term["says_unknown"], term["todo_unknown"]))
    says = [text for saying, _, feared, _ in told for text in (saying, feared or f"unknown whether {saying}")]
    return says, [text for saying, todo, _, ask in told for text in (todo, ask or f"Establish whether {saying}")]


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
