"""SecureString parameters of Systems Manager: one list tells all that can be told without a value.

Source: Systems Manager API reference, ParameterMetadata and ParameterInlinePolicy; Systems Manager user guide,
"Assigning parameter policies in Parameter Store".

>>> text = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-12-02T21:34:33.000Z"}}'
>>> expires_at([{"PolicyText": text}])
datetime.datetime(2030, 12, 2, 21, 34, 33, tzinfo=datetime.timezone.utc)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from collectors._aws.place import Place, attempt
from collectors._aws.tags import Tagging, tags_by_arn
from collectors._aws.troubles import Trouble
from collectors.aws_secrets._encryption import Encryption
from toolkit.identity import keeper_uid
from toolkit.model import Credential, Row
from toolkit.terms import CredentialKind, GapStatus, KeyManager

Fact = dict[str, Any]

_SECURE: Final = {
    "ParameterFilters": [{"Key": "Type", "Option": "Equals", "Values": ["SecureString"]}],
    "MaxResults": 50,
}
_DEFAULT_KEY: Final = "alias/aws/ssm"
# The pattern that values must match narrows them down, and a description is what people write: neither is kept.
_KEPT: Final = (
    "Name", "ARN", "KeyId", "LastModifiedDate", "LastModifiedUser", "Version", "Tier", "DataType", "Policies",
)  # fmt: skip
_NOT_TOLD: Final = (
    ("last_used_at", "Systems Manager does not tell when a parameter was read", "keyatlas collect aws_usage"),
    ("created_at", "Systems Manager tells when a parameter was made of its first version only", None),
)
_NO_POLICY: Final = Trouble(GapStatus.MALFORMED, "a policy of the parameter is not of its language")


def rows(place: Place, tagging: Tagging) -> Iterator[Row]:
    """The SecureString parameters of a place."""
    tagged = place.fast(attempt, tags_by_arn, place, "ssm:parameter")
    encryption, found = Encryption(place), False
    for told in place.pages("ssm", "DescribeParameters", "Parameters", _SECURE, keep=_entry):
        if not found:
            found = True
            yield from _once(place, tagged.result())
        tags = tagged.result()
        whose = {} if isinstance(tags, Trouble) else tagging.facts(tags.get(_arn(place, told), {}))
        yield from _told(place, told, encryption, whose)


def _entry(listed: Fact) -> Fact:
    return {name: listed[name] for name in _KEPT if listed.get(name) is not None}


def _once(place: Place, tags: Any) -> Iterator[Row]:
    """What is the same of all: a Gap of the target's field, not one a parameter."""
    for field, why, advice in _NOT_TOLD:
        told = Trouble(GapStatus.NOT_APPLICABLE, why, advice=advice)
        yield told.gap(place.target, locator=place.target.locator, field=field)
    if isinstance(tags, Trouble):
        yield tags.gap(place.target, locator=place.target.locator, field="tags")


def _arn(place: Place, told: Fact) -> str:
    name = told["Name"]
    if name.startswith("arn:"):
        return str(name)
    made = f"arn:{place.partition}:ssm:{place.region}:{place.account}:parameter/{name.removeprefix('/')}"
    return str(told.get("ARN") or made)


def _told(place: Place, told: Fact, encryption: Encryption, whose: Fact) -> Iterator[Row]:
    arn, key_name = _arn(place, told), told.get("KeyId") or _DEFAULT_KEY
    key, ends = encryption.uid(key_name), expires_at(told.get("Policies") or ())
    changed = _utc(told.get("LastModifiedDate"))
    yield Credential(
        credential_uid=keeper_uid(arn), collector=place.target.collector, target=place.target.locator, locator=arn,
        kind=CredentialKind.PARAMETER, label=told["Name"],
        encrypted_by=key if isinstance(key, str) else None,
        account=place.account, region=place.region, manager=KeyManager.CUSTOMER, is_active=True,
        # A parameter rotates only by somebody who writes it anew: each writing is a version.
        has_rotation=False, created_at=changed if told.get("Version") == 1 else None, last_rotated_at=changed,
        expires_at=ends if isinstance(ends, datetime) else None,
        detail=_detail(told, key_name), **whose,
    )  # fmt: skip
    for field, answer in (("encrypted_by", key), ("expires_at", ends)):
        if isinstance(answer, Trouble):
            yield answer.gap(place.target, locator=arn, field=field)


def expires_at(policies: Any) -> datetime | Trouble | None:
    """When the first expiration policy ends it; None: none does."""
    for one in policies:
        try:
            policy = json.loads(one.get("PolicyText") or "")
            if policy["Type"] == "Expiration":
                return datetime.fromisoformat(policy["Attributes"]["Timestamp"]).astimezone(UTC)
        except (ValueError, TypeError, KeyError):
            return _NO_POLICY
    return None


def _detail(told: Fact, key_name: str) -> str:
    facts = {name: told[name] for name in ("Version", "Tier", "DataType", "LastModifiedUser") if told.get(name)}
    kinds = sorted(filter(None, (_kind(one) for one in told.get("Policies") or ())))
    return json.dumps({"EncryptionKey": key_name, "Policies": kinds, **facts}, sort_keys=True)


def _kind(policy: Fact) -> str | None:
    kind = policy.get("PolicyType")
    return kind if isinstance(kind, str) and kind.isalpha() else None


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
