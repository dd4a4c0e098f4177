"""Secrets of Secrets Manager: one list tells nearly all; two questions a secret tell its replicas and its policy.

Source: Secrets Manager API reference, SecretListEntry, DescribeSecret and GetResourcePolicy.

>>> period({"ScheduleExpression": "rate(12 hours)"}), period({"ScheduleExpression": "rate(2 weeks)"})
(None, 14)
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from collectors._aws.admission import Admission, Policies
from collectors._aws.place import Place, attempt
from collectors._aws.tags import Tagging, plain
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_secrets._encryption import Encryption
from toolkit.identity import keeper_uid
from toolkit.model import Credential, Gap, Row
from toolkit.terms import CredentialKind, GapStatus, KeyManager

Fact = dict[str, Any]

_DEFAULT_KEY: Final = "alias/aws/secretsmanager"
# A description is what people write, passwords among it; external metadata is a partner's.
_KEPT: Final = (
    "ARN", "Name", "Type", "KmsKeyId", "RotationEnabled", "RotationLambdaARN", "RotationRules",
    "ExternalSecretRotationRoleArn", "LastRotatedDate", "LastChangedDate", "LastAccessedDate", "DeletedDate",
    "NextRotationDate", "Tags", "SecretVersionsToStages", "OwningService", "CreatedDate", "PrimaryRegion",
)  # fmt: skip
_REPLICA: Final = ("Region", "KmsKeyId", "Status", "LastAccessedDate")
_RATE: Final = re.compile(r"rate\((\d+) (day|week)s?\)")
_DAYS: Final = {"day": 1, "week": 7}
_LEFT_OUT: Final = Trouble(GapStatus.NOT_ASKED, "left out, as asked")
_PENDING: Final = Trouble(GapStatus.NOT_APPLICABLE, "the policy of a secret that waits for its deletion is not told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for beside the list."""

    policies: bool = True
    replicas: bool = True


@dataclass(slots=True)
class Seen:
    """One secret: the list's entry, and each answer or the trouble in its place."""

    told: Fact
    described: Fact | Trouble
    policy: Fact | Trouble


def rows(place: Place, wanted: Wanted, tagging: Tagging) -> Iterator[Row]:
    """The secrets of a place, those that wait for their deletion among them."""
    asked: deque[Future[Seen]] = deque()
    failure: CallFailed | None = None
    try:
        listing = {"IncludePlannedDeletion": True, "MaxResults": 100}
        for one in place.pages("secretsmanager", "ListSecrets", "SecretList", listing, keep=_entry):
            asked.append(place.fast(_seen, place, wanted, one))
    except CallFailed as failed:
        # What was listed before is told all the same.
        failure = failed
    encryption, policies = Encryption(place), Policies(place, "secretsmanager")
    while asked:
        seen = asked.popleft().result()
        if any(isinstance(one, Trouble) and one.is_gone for one in (seen.described, seen.policy)):
            gone = Trouble(GapStatus.ERROR, "it was listed, and then it was gone", advice="collect again")
            yield gone.gap(place.target, locator=seen.told["ARN"])
            continue
        yield from _told(place, seen, encryption, policies, tagging)
    if failure is not None:
        raise failure


def _entry(listed: Fact) -> Fact:
    return {name: listed[name] for name in _KEPT if listed.get(name) is not None}


def _seen(place: Place, wanted: Wanted, told: Fact) -> Seen:
    asked = {"SecretId": told["ARN"]}
    described: Fact | Trouble = _LEFT_OUT
    policy: Fact | Trouble = _LEFT_OUT
    if wanted.replicas:
        described = attempt(place.ask, "secretsmanager", "DescribeSecret", asked, keep=_replication)
    if "DeletedDate" in told:
        policy = _PENDING
    elif wanted.policies:
        policy = attempt(place.ask, "secretsmanager", "GetResourcePolicy", asked, keep=_policy)
    return Seen(told, described, policy)


def _replication(answer: Fact) -> Fact:
    status = [{name: one[name] for name in _REPLICA if name in one} for one in answer.get("ReplicationStatus") or ()]
    across = [one["ReplicaSecretARN"] for one in answer.get("CrossAccountReplicas") or ()]
    return {"regions": status, "across": across}


def _policy(answer: Fact) -> Fact:
    return {"text": answer.get("ResourcePolicy") or None}


def _told(place: Place, seen: Seen, encryption: Encryption, policies: Policies, tagging: Tagging) -> Iterator[Row]:
    told, arn = seen.told, seen.told["ARN"]
    key_name = told.get("KmsKeyId") or _DEFAULT_KEY
    key = encryption.uid(key_name)
    admission = Admission()
    if isinstance(seen.policy, dict):
        admission = policies.admission(arn, seen.policy["text"])
    credential = Credential(
        credential_uid=keeper_uid(arn), collector=place.target.collector, target=place.target.locator, locator=arn,
        kind=CredentialKind.SECRET, label=told.get("Name"),
        encrypted_by=key if isinstance(key, str) else None,
        account=place.account, region=place.region,
        manager=KeyManager.PROVIDER if told.get("OwningService") else KeyManager.CUSTOMER,
        is_active="DeletedDate" not in told,
        access_flags=admission.flags,
        replicas=_replicas(seen.described), versions=len(told.get("SecretVersionsToStages") or ()),
        destruction_at=_utc(told.get("DeletedDate")), created_at=_utc(told.get("CreatedDate")),
        last_used_at=_utc(told.get("LastAccessedDate")),
        detail=_detail(told, seen.described, key_name),
        **_rotation(told), **tagging.facts(plain(told.get("Tags"))),
    )  # fmt: skip
    yield credential
    yield from admission.rows(credential.credential_uid, place, arn)
    yield from _gaps(place, seen, credential, key)


def _rotation(told: Fact) -> Fact:
    # A secret that was never set up to rotate has no RotationEnabled.
    is_on = bool(told.get("RotationEnabled"))
    return {
        "has_rotation": is_on,
        "rotation_period_days": period(told.get("RotationRules") or {}) if is_on else None,
        "next_rotation_at": _utc(told.get("NextRotationDate")),
        "last_rotated_at": _utc(told.get("LastRotatedDate")),
    }


def period(rules: Fact) -> int | None:
    """Whole days between rotations; None where a schedule says it in another way."""
    if rules.get("AutomaticallyAfterDays"):
        return int(rules["AutomaticallyAfterDays"])
    found = _RATE.fullmatch(rules.get("ScheduleExpression") or "")
    return int(found[1]) * _DAYS[found[2]] if found else None


def _replicas(described: Fact | Trouble) -> tuple[str, ...] | None:
    if isinstance(described, Trouble):
        return None
    return tuple(sorted([*(one["Region"] for one in described["regions"]), *described["across"]]))


def _detail(told: Fact, described: Fact | Trouble, key_name: str) -> str:
    versions = (told.get("SecretVersionsToStages") or {}).items()
    stages = {stage: version for version, names in versions for stage in names}
    facts = {
        "EncryptionKey": key_name,
        "VersionByStage": stages,
        # LastAccessedDate is a day: the hour is cut off (Secrets Manager API reference).
        "LastAccessedPrecision": "day",
        **{name: told[name] for name in _SAID if told.get(name)},
    }
    if isinstance(described, dict) and described["regions"]:
        facts["ReplicationStatus"] = described["regions"]
    return json.dumps(facts, sort_keys=True, default=lambda when: when.astimezone(UTC).isoformat())


_SAID: Final = (
    "Type", "RotationLambdaARN", "RotationRules", "ExternalSecretRotationRoleArn", "LastChangedDate", "OwningService",
    "PrimaryRegion",
)  # fmt: skip


def _gaps(place: Place, seen: Seen, credential: Credential, key: str | Trouble) -> Iterator[Gap]:
    missing: list[tuple[str, str | Fact | Trouble]] = [
        ("encrypted_by", key), ("replicas", seen.described), ("access_flags", seen.policy),
    ]  # fmt: skip
    if credential.has_rotation and credential.rotation_period_days is None:
        told = "it rotates by a schedule that is no number of days"
        missing.append(("rotation_period_days", Trouble(GapStatus.NOT_APPLICABLE, told)))
    for field, answer in missing:
        if isinstance(answer, Trouble):
            yield answer.gap(place.target, locator=credential.locator, field=field)


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
