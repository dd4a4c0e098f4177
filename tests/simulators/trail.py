"""Events as CloudTrail writes them, and its log files in its own layout. Source: CloudTrail user guide, record contents."""

from __future__ import annotations

import json
import subprocess
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

OWN, OTHER = "111122223333", "444455556666"
REGION = "eu-west-1"
START = datetime(2026, 10, 1, 12, tzinfo=UTC)


def key_arn(number: int, account: str = OWN) -> str:
    """The ARN of a made-up key."""
    return f"arn:aws:kms:{REGION}:{account}:key/{uuid.UUID(int=number)}"


def role(name: str, session: str = "job", account: str = OWN) -> dict[str, Any]:
    """The identity of a role's session."""
    return {
        "type": "AssumedRole",
        "principalId": f"AROA{name.upper():X<17}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        "accountId": account,
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{account}:role/apps/{name}"}},
    }


def event(name: str = "Decrypt", key: str | None = None, *, at: datetime = START, **more: Any) -> dict[str, Any]:
    """One event; `more` replaces its fields."""
    who = more.pop("who", None) or role("app")
    resources = [{"accountId": key.split(":")[4], "type": "AWS::KMS::Key", "ARN": key}] if key else None
    made = {
        "eventVersion": "1.11",
        "userIdentity": who,
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "kms.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-sdk-java/2.30",
        "requestParameters": {"keyId": key} if key else None,
        "responseElements": None,
        "requestID": str(uuid.uuid4()),
        "eventID": str(uuid.uuid4()),
        "readOnly": True,
        "resources": resources,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": OWN,
        "eventCategory": "Management",
        **more,
    }
    return {name: value for name, value in made.items() if value is not None}


def stranger(number: int = 0) -> dict[str, Any]:
    """An event that is about no key."""
    facts = {"instancesSet": {"items": [{"instanceId": f"i-{number:017x}"}]}}
    return event("DescribeInstances", eventSource="ec2.amazonaws.com", requestParameters=facts)


def written(events: list[dict[str, Any]]) -> bytes:
    """A log file's text, as CloudTrail writes it: one line, no blanks."""
    return json.dumps({"Records": events}, separators=(",", ":")).encode()


def log_file(
    root: Path, events: list[dict[str, Any]], *, day: int = 0, organization: str = "", number: int = 0
) -> Path:
    """A log file in CloudTrail's layout, packed by gzip itself."""
    at = START + timedelta(days=day)
    prefix = Path(root, "AWSLogs", organization, OWN, "CloudTrail", REGION, at.strftime("%Y/%m/%d"))
    prefix.mkdir(parents=True, exist_ok=True)
    path = prefix / f"{OWN}_CloudTrail_{REGION}_{at:%Y%m%dT%H%MZ}_{number:016d}.json"
    path.write_bytes(written(events))
    subprocess.run(["gzip", "-f", path], check=True)
    return path.with_name(path.name + ".gz")
