"""The parity table: each rule of the KMS simulator has a page that says so and a test that shows it."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from simulators.kms.calls import OPERATIONS
from simulators.kms.operations import OPERATIONS as REGISTERED
from simulators.kms.quotas import PER_SECOND, SHARED
from simulators.kms.states import ALWAYS, REFUSALS
from simulators.kms.validation import service

HERE = Path(__file__).parent
TABLE = tomllib.loads((HERE / "kms" / "parity.toml").read_text())
RULES = TABLE["rule"]
GUIDE = {"key-state", "requests-per-second", "resource-limits", "accessing-kms", "troubleshoot_access-denied"}


def functions() -> set[str]:
    """The names of all tests of the simulator that can fail."""
    return {
        node.name
        for path in HERE.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_operation_of_the_model_is_answered_and_named():
    """54 operations: none without a function, none without a rule."""
    names = set(service().operation_names)

    assert names == set(OPERATIONS) == set(REGISTERED)
    assert names == {name for rule in RULES for name in rule["operations"]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_every_rule_has_its_page_and_its_tests(rule):
    """A page of AWS's documentation, how it was read, and tests that exist."""
    model = set(service().operation_names) | set(service().shape_names)
    page = rule["page"]

    assert page in GUIDE or page in ("CommonErrors", "API_Operations") or page.removeprefix("API_") in model
    assert rule["trust"] in ("model", "guide", "seen", "knowledge")
    assert rule["tests"]
    assert set() == set(rule["tests"]) - functions()


def test_a_rule_is_told_once():
    """Ids are unique."""
    assert len(RULES) == len({rule["id"] for rule in RULES})


def test_the_state_table_and_the_quotas_forget_no_operation():
    """Whatever takes an existing key has its row; whatever is called has its rate."""
    takes_a_key = {
        name
        for name in OPERATIONS
        if {"KeyId", "TargetKeyId"} & set(service().operation_model(name).input_shape.members)
    }

    assert set() == takes_a_key - set(REFUSALS) - ALWAYS
    assert set() == set(OPERATIONS) - set(PER_SECOND) - set(SHARED)
