"""The real AWS command line as the simulator's other client: it brings a botocore of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ACCOUNT, REGION = "111122223333", "eu-west-1"


@pytest.fixture
def run(aws):
    """Runs `aws` with an account's credentials; the test is skipped, visibly, where it is not installed."""
    beside = Path(sys.executable).parent / "aws"
    program = str(beside) if beside.exists() else shutil.which("aws")
    if program is None:
        pytest.skip("the AWS command line is not installed")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | aws.account(ACCOUNT).environment(REGION)
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True)

    return call


def test_the_command_line_reads_and_is_refused(aws, run):
    """Paged lists, facts by alias, and an error in AWS's words."""
    region = aws.account(ACCOUNT).region(REGION)
    key = region.key(alias="app", rotated_every_days=200)
    region.add_keys(120)

    listed = json.loads(run("kms", "list-keys", "--output", "json").stdout)
    told = json.loads(run("kms", "describe-key", "--key-id", "alias/app", "--output", "json").stdout)
    refused = run("kms", "schedule-key-deletion", "--key-id", key.key_id, "--pending-window-in-days", "3")

    assert set(region.facts.keys) == {one["KeyId"] for one in listed["Keys"]}
    assert key.arn == told["KeyMetadata"]["Arn"]
    assert "(ValidationException) when calling the ScheduleKeyDeletion operation" in refused.stderr
    assert "Enabled" == key.state


def test_the_command_line_speaks_to_the_companions(aws, run):
    """The query protocol and JSON or CBOR, whatever its botocore chooses."""
    aws.account(ACCOUNT).region(REGION).add_keys(30, tagged=1.0)

    who = json.loads(run("sts", "get-caller-identity", "--output", "json").stdout)
    tagged = run("resourcegroupstaggingapi", "get-resources", "--query", "length(ResourceTagMappingList)")

    assert ACCOUNT == who["Account"]
    assert "30" == tagged.stdout.strip()
