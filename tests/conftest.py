"""What all tests share: a skip of a real component is visible, and in CI it is a failure."""

from __future__ import annotations

import os

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI every real component has to be there, so a skip fails."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"


@pytest.fixture
def aws():
    """KMS and its companions over HTTP on loopback: `tests/simulators/kms`, beside moto, which is unfaithful there."""
    from simulators.kms.simulator import KmsSimulator

    with KmsSimulator(checks_shapes=True) as simulator:
        yield simulator
    assert [] == simulator.problems, "the simulator answers what botocore's model does not know"
