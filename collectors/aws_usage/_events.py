"""An event of CloudTrail as a Usage row: who, with which key, doing what, from where, with what result.

A key named by id, ARN, alias or alias ARN becomes an ARN, which is the row's `locator`; an alias stays one, since only
the list of aliases knows its key. Of the request only names and numbers are kept (see `_requests`).
Refuses to: keep a session's name as the principal, a message of an error, or what a user agent says at length.

>>> principal({"type": "Root", "accountId": "111122223333", "arn": "arn:aws:iam::111122223333:root"})
('arn:aws:iam::111122223333:root', None)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from collectors._aws.names import key_uid
from collectors.aws_usage._names import IAM, KMS, PARAMETERS, SECRETS, is_about_keys
from collectors.aws_usage._requests import facts
from toolkit.identity import keeper_uid
from toolkit.model import Usage

Event = Mapping[str, Any]
Fields = tuple[Any, ...]
"""A row without its collector and target, as it travels between processes; `usage` makes the row."""

_ROLE_SESSION: Final = re.compile(r"arn:([\w-]+):sts::(\d{12}):assumed-role/([^/]+)/(.+)")
_LONGEST: Final = 256
_KEY_TYPES: Final = ("AWS::KMS::Key", "AWS::KMS::Alias", "AWS::SecretsManager::Secret")
_SAFE: Final = ":/@+=,._-$~()[]*"


class Odd(Exception):
    """An event lacks what every event has: its name, source or time."""


def fields(event: Event) -> Fields | None:
    """What is kept of an event; None if it is about no key, secret or trail.

    Raises:
        Odd: it lacks what every event has.
    """
    source, name = event.get("eventSource"), event.get("eventName")
    if source is None or name is None:
        raise Odd
    if not is_about_keys(source, name) or event.get("eventCategory") == "Insight":
        return None
    who, session = principal(event.get("userIdentity"))
    request = event.get("requestParameters")
    request = request if isinstance(request, dict) else {}
    region, account = _text(event.get("awsRegion")), _text(event.get("recipientAccountId"))
    locator = subject(event, request, source, region, account)
    whose = locator.split(":")
    return (
        _uid(locator), locator, who, name, _text(event.get("sourceIPAddress")),
        _text(event.get("errorCode")) or "Success", _moment(event.get("eventTime")),
        whose[4] if len(whose) > 5 and whose[4] else account, region, _service(event),
        # One action seen from two accounts is two events with one shared id.
        _text(event.get("userAgent")), _text(event.get("sharedEventID") or event.get("eventID")),
        session, _detail(event, request, name),
    )  # fmt: skip


def usage(kept: Fields, *, collector: str, target: str) -> Usage:
    """The row."""
    return Usage(
        key_uid=kept[0], collector=collector, target=target, locator=kept[1], principal=kept[2], operation=kept[3],
        source=kept[4], result=kept[5], occurred_at=kept[6], account=kept[7], region=kept[8], service=kept[9],
        agent=kept[10], event_id=kept[11], session=kept[12], detail=kept[13],
    )  # fmt: skip


@lru_cache(maxsize=1 << 16)
def _uid(locator: str) -> str:
    # As `aws_kms` names a key of whose public half it knows nothing.
    return key_uid(locator) if ":kms:" in locator else keeper_uid(locator)


def principal(identity: object) -> tuple[str | None, str | None]:
    """Who acted, in a form that is the same in every session, and the session.

    A role's session is the role; a service its name; a principal of another account, of which CloudTrail tells the
    unique id only, that id (as deleted principals show in policies); `anonymous` is nobody known.
    Source: CloudTrail user guide, userIdentity element (K).
    """
    if not isinstance(identity, dict):
        return None, None
    kind, arn = identity.get("type"), _text(identity.get("arn"))
    account, unique = _text(identity.get("accountId")), _text(identity.get("principalId"))
    if "ANONYMOUS" in (account or "").upper() or "ANONYMOUS" in (unique or "").upper():
        return "anonymous", None
    if kind in ("AssumedRole", "FederatedUser"):
        issuer = _inside(identity, "sessionContext", "sessionIssuer", "arn")
        return _of_session(arn, _text(issuer), unique)
    if kind == "AWSService" or (arn is None and unique is None and identity.get("invokedBy")):
        return _text(identity.get("invokedBy")), None
    if kind == "IdentityCenterUser":
        return _text(_inside(identity, "onBehalfOf", "userId")) or unique, None
    if arn is None and unique and unique != account:
        known, _, session = unique.partition(":")
        return known, session or None
    if arn is None and account and account.isdigit():
        return f"arn:aws:iam::{account}:root", None
    return arn or unique, None


def _of_session(arn: str | None, issuer: str | None, unique: str | None) -> tuple[str | None, str | None]:
    session = (arn or unique or "").replace("/", ":").rsplit(":", 1)[-1] or None
    if issuer:
        return issuer, session
    found = _ROLE_SESSION.fullmatch(arn or "")
    if found:
        # The path of the role is told by its session issuer only.
        return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}", found[4]
    return arn or unique, None


def subject(event: Event, request: Mapping[str, Any], source: str, region: str | None, account: str | None) -> str:
    """The ARN of what the event is about: the key, alias, secret, parameter, access key or trail.

    Where none is named (ListKeys, a refused CreateKey) it is the service itself in that account and region.
    """
    arns = [arn for arn in map(_arn_of, event.get("resources") or ()) if arn]
    if arns:
        # Both a key and its alias may be named: the key is the subject.
        return _uri(min(arns, key=lambda arn: (":alias/" in arn, arn)))
    part = _partition(region)
    service = source.removesuffix(".amazonaws.com")
    named = _named(request, event, source)
    if named is None:
        return _uri(f"arn:{part}:{service}:{region or ''}:{account or ''}:")
    if named.startswith("arn:"):
        return _uri(named)
    kind = {SECRETS: "secret:", PARAMETERS: "parameter/", IAM: "access-key/"}.get(source, "trail/")
    if source == KMS:
        kind = "" if named.startswith(("alias/", "key/")) else "key/"
    where = "" if source == IAM else region or ""
    return _uri(f"arn:{part}:{service}:{where}:{account or ''}:{kind}{named.lstrip('/')}")


def _arn_of(resource: object) -> str | None:
    if not isinstance(resource, dict):
        return None
    arn = resource.get("ARN") or resource.get("arn")
    kind = resource.get("type")
    return arn if isinstance(arn, str) and arn.startswith("arn:") and kind in (None, *_KEY_TYPES) else None


_BY_REQUEST: Final[dict[str, tuple[str, ...]]] = {
    KMS: ("keyId", "sourceKeyId", "sourceKeyArn", "destinationKeyId", "targetKeyId", "aliasName"),
    SECRETS: ("secretId", "name"),
    PARAMETERS: ("name", "path"),
    IAM: ("accessKeyId", "sSHPublicKeyId", "certificateId", "serviceSpecificCredentialId"),
}


def _named(request: Mapping[str, Any], event: Event, source: str) -> str | None:
    for name in _BY_REQUEST.get(source, ("name", "trailName", "eventDataStore")):
        if named := _text(request.get(name)):
            return named
    answered = event.get("responseElements")
    for path in (("keyMetadata", "arn"), ("keyId",), ("aRN",), ("arn",), ("accessKey", "accessKeyId")):
        if isinstance(answered, dict) and (named := _text(_inside(answered, *path))):
            return named
    return None


def _service(event: Event) -> str | None:
    by = _text(_inside(event, "userIdentity", "invokedBy"))
    source = _text(event.get("sourceIPAddress"))
    return by or (source if source and source.endswith(".amazonaws.com") else None)


def _detail(event: Event, request: Mapping[str, Any], name: str) -> str | None:
    kept = facts(event, request, name)
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), default=str) if kept else None


@lru_cache(maxsize=1 << 12)
def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text).replace(" UTC", "+00:00"))
    except ValueError:
        raise Odd from None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _partition(region: str | None) -> str:
    region = region or ""
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def _text(value: object) -> str | None:
    """Text that a table takes, or None; lone surrogates and what is beyond all measure are cut."""
    if not isinstance(value, str) or not value:
        return None
    value = value[:_LONGEST]
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _uri(arn: str) -> str:
    return arn if arn.isascii() and arn.isprintable() and " " not in arn else quote(arn[:2048], safe=_SAFE)


def _inside(value: object, *names: str) -> object:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
