"""Suites that are loaded: what great-expectations would run as a program is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from toolkit import policies, registry
from toolkit.errors import PolicyError
from toolkit.quality import suites

AS_OF = datetime(2026, 11, 27, tzinfo=UTC)


def document():
    return suites.export(policies.load(registry.entry("policies", "nist_sp800_131a").path), as_of=AS_OF)[0].document()


CODE = '@pd.io.common.os.system("touch canary")'
LEAF = {"type": "comparison", "column": {"name": "size_bits"}, "operator": "<", "parameter": 1}
BAD = {
    "text": CODE,
    "pass-through": {"type": "pass_through", "pass_through_filter": CODE},
    "pass-through inside": {"type": "and", "conditions": [LEAF, {"type": "pass_through", "pass_through_filter": CODE}]},
    "text inside": {"type": "or", "conditions": [LEAF, CODE]},
    "backtick in a column": {**LEAF, "column": {"name": "a` + `b"}},
    "call in a column": {**LEAF, "column": {"name": "a.b()"}},
    "keyword as a column": {**LEAF, "column": {"name": "lambda"}},
    "quote in a word": {**LEAF, "operator": "==", "parameter": "x' or @pd"},
    "at in a word": {**LEAF, "operator": "IN", "parameter": ["a", "@b"]},
    "another operator": {**LEAF, "operator": "< 1 or 1 <"},
    "a value that is no value": {**LEAF, "parameter": {"$PARAMETER": "x"}},
    "infinity": {**LEAF, "parameter": float("inf")},
    "no type": {"conditions": [LEAF]},
    "nothing": {"type": "and", "conditions": []},
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_condition_that_could_be_run_as_a_program_is_refused(case, tmp_path, monkeypatch):
    """great-expectations pastes conditions into an expression that pandas evaluates."""
    monkeypatch.chdir(tmp_path)
    told = document()
    told["expectations"][2]["kwargs"]["row_condition"] = BAD[case]
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(told))
    with pytest.raises(PolicyError, match=r"expectation 2: .*(program|form)"):
        suites.load(path)
    assert ["suite.json"] == [item.name for item in tmp_path.iterdir()]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "expect_column_values_to_be_in_set"},
        {"kwargs": {"value": 0, "condition_parser": "pandas"}},
        {"kwargs": {"value": {"$PARAMETER": "1 + 1"}}},
        {"kwargs": None},
        {"rendered_content": []},
        {"meta": "x"},
    ],
)
def test_an_expectation_of_another_form_is_refused(change):
    """Only what an export writes is taken, so nothing that nobody thought of is run."""
    told = document()
    told["expectations"][3] = {**told["expectations"][3], **change}
    with pytest.raises(PolicyError, match="expectation 3"):
        suites.parse(told)
    for other in (None, [], {}, {"expectations": []}, {"expectations": [], "meta": {"keyatlas": {}}}):
        with pytest.raises(PolicyError):
            suites.parse(other)
