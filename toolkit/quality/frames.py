"""A subject's frame as great-expectations is shown it: what its rules ask about, in types that it compares rightly.

Texts are in lower case, since rules compare without regard to case; a flag is `yes` or `no`; a list is one column a
question about it. What is unknown stays unknown. None of it is worked out by the engine that the answers are
compared with.

>>> from toolkit.conditions import frame_of
>>> plain(frame_of("key", [{"subject_uid": "spki:1", "algorithm": "RSA"}]), "key", ["algorithm"], {}).iloc[0].tolist()
['spki:1', 'rsa']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from toolkit.conditions import FIELDS, Test
from toolkit.quality.logic import NO, YES

UID: Final = "subject_uid"
_ANSWERS: Final = [YES, NO]


def plain(frame: pd.DataFrame, subject: str, fields: Iterable[str], lists: Mapping[str, Test]) -> pd.DataFrame:
    """The columns of these fields, and those that stand for questions about lists; one that is not there is left out.

    It is not filled with unknowns: a column that is missing must not look like one that was read.
    """
    kinds = FIELDS[subject]
    columns: dict[str, Any] = {UID: _uids(frame[UID])} if UID in frame else {}
    for field in fields:
        if field in frame and field != UID:
            columns[field] = _PLAIN[kinds[field]](frame[field])
    for field in dict.fromkeys(test.field for test in lists.values() if test.field in frame):
        codes, distinct = _lists(frame[field])
        for name, test in lists.items():
            if test.field == field:
                columns[name] = _answers(codes, distinct, test)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)), copy=False)


def _uids(values: pd.Series[Any]) -> Any:
    uids = values.to_numpy(dtype=object, copy=True)
    uids[values.isna().to_numpy(dtype=bool)] = None
    return uids


def _text(values: pd.Series[Any]) -> pd.Categorical[Any]:
    codes, words = pd.factorize(values)
    folded, names = pd.factorize(np.array([str(word).casefold() for word in words], dtype=object))
    return _categorical(np.append(folded, -1)[codes], list(names))


def _flag(values: pd.Series[Any]) -> pd.Categorical[Any]:
    is_known = values.notna().to_numpy(dtype=bool)
    is_true = values.to_numpy(dtype=bool, na_value=False)
    return _categorical(np.where(is_known, np.where(is_true, 0, 1), -1), _ANSWERS)


def _number(values: pd.Series[Any]) -> Any:
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _time(values: pd.Series[Any]) -> Any:
    return values.astype(pd.DatetimeTZDtype("us", "UTC")).array


def _categorical(codes: Any, words: list[str]) -> pd.Categorical[Any]:
    return pd.Categorical.from_codes(codes, categories=pd.Index(words, dtype=object))


def _lists(values: pd.Series[Any]) -> tuple[Any, list[tuple[str, ...]]]:
    """Lists as codes into those that differ; -1 where unknown, or where a word in it is."""
    lists = pa.array(values, from_pandas=True)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    texts = [None if words is None or None in words else tuple(words) for words in lists.to_pylist()]
    codes, distinct = pd.factorize(pd.Series(texts, dtype=object))
    return codes, list(distinct)


def _answers(codes: Any, distinct: list[tuple[str, ...]], test: Test) -> pd.Categorical[Any]:
    told = [{True: 0, False: 1, None: -1}[_answer(words, test)] for words in distinct]
    return _categorical(np.array([*told, -1])[codes], _ANSWERS)


def _answer(words: tuple[str, ...], test: Test) -> bool | None:
    if test.op == "is_empty":
        return not words
    assert isinstance(test.value, tuple)
    if test.op == "contains":
        return any(word.casefold() in test.value for word in words)
    # What a subject is in scope of: in, told to be out, or not told (`toolkit.conditions`).
    if any(word in words for word in test.value):
        return True
    is_out = "not:*" in words or all(f"not:{word}" in words for word in test.value)
    return False if is_out else None


_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {"text": _text, "flag": _flag, "number": _number, "time": _time}
