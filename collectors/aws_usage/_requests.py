"""What is kept of a request: names and numbers that tell what was changed. Never a value of the customer's.

An encryption context is kept by its names, a policy by the principals that it allows, a selection of events by what it
leaves out. Ciphertexts, plaintexts, messages and secrets are not in CloudTrail, and would not be looked at here.

>>> facts({}, {"pendingWindowInDays": 7}, "ScheduleKeyDeletion")
{'pending_window_days': 7}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Event = Mapping[str, Any]
Kept = dict[str, Any]

_MOST: Final = 50
"""Of any list: what is beyond is not kept."""
_PENDING: Final = re.compile(r"pending\s+(?:replica\s+)?deletion", re.IGNORECASE)


def facts(event: Event, request: Mapping[str, Any], name: str) -> Kept:
    """What is kept of one event, by our names; empty where there is nothing to keep."""
    kept: Kept = {}
    context = request.get("encryptionContext")
    if isinstance(context, dict) and context:
        kept["context"] = _texts(sorted(context))
    if event.get("errorCode") and _PENDING.search(str(event.get("errorMessage") or "")):
        kept["state"] = "PendingDeletion"
    if endpoint := _short(event.get("vpcEndpointId")):
        kept["vpc_endpoint"] = endpoint
    reader = _READERS.get(name)
    if reader is not None:
        kept |= reader(request)
    if name == "ScheduleKeyDeletion" and isinstance(answered := event.get("responseElements"), dict):
        kept |= _some({"deletion_at": _short(answered.get("deletionDate"))})
    return kept


def _policy(request: Mapping[str, Any]) -> Kept:
    for name in ("policy", "resourcePolicy"):
        if isinstance(text := request.get(name), str):
            return allowed(text)
    # CloudTrail leaves out what is too large: then nothing can be told of it.
    return {"is_policy_known": False}


def allowed(text: str) -> Kept:
    """The principals that a policy's Allow statements name, and whether one of them lets everybody in.

    A Deny, a condition and the actions are not weighed: `aws_kms` reads the policy as it stands.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {"is_policy_known": False}
    principals: set[str] = set()
    is_public = False
    for statement in _statements(document):
        if statement.get("Effect") != "Allow":
            continue
        named = set(_principals(statement))
        principals |= named
        is_public |= ("*" in named or "NotPrincipal" in statement) and not statement.get("Condition")
    return {"is_policy_known": True, "principals": _texts(sorted(principals)), "is_public": is_public}


def _statements(document: object) -> Iterator[dict[str, Any]]:
    found = document.get("Statement") if isinstance(document, dict) else None
    for statement in found if isinstance(found, list) else [found]:
        if isinstance(statement, dict):
            yield statement


def _principals(statement: Mapping[str, Any]) -> Iterator[str]:
    named = statement.get("Principal")
    for group in named.values() if isinstance(named, dict) else [named]:
        for one in group if isinstance(group, list) else [group]:
            if isinstance(one, str):
                yield one


def _grant(request: Mapping[str, Any]) -> Kept:
    constraints = request.get("constraints")
    return _some(
        {
            "grantee": _short(request.get("granteePrincipal")),
            "retiring": _short(request.get("retiringPrincipal")),
            "operations": _texts(request.get("operations")),
            "constraints": _texts(sorted(constraints) if isinstance(constraints, dict) else None),
        }
    )


def _selectors(request: Mapping[str, Any]) -> Kept:
    left_out: set[str] = set()
    for selector in _dicts(request.get("eventSelectors")):
        if selector.get("includeManagementEvents") is False:
            left_out.add("management events")
        if (kind := _short(selector.get("readWriteType"))) not in (None, "All"):
            left_out.add(f"all but {kind}")
        left_out |= set(_texts(selector.get("excludeManagementEventSources")) or ())
    for selector in _dicts(request.get("advancedEventSelectors")):
        for one in _dicts(selector.get("fieldSelectors")):
            for word in ("notEquals", "notStartsWith", "notEndsWith"):
                left_out |= set(_texts(one.get(word)) or ())
    kinds = {
        value
        for selector in _dicts(request.get("advancedEventSelectors"))
        for one in _dicts(selector.get("fieldSelectors"))
        if one.get("field") == "eventCategory"
        for value in _texts(one.get("equals")) or ()
    }
    if request.get("advancedEventSelectors") is not None and "Management" not in kinds:
        left_out.add("management events")
    return {"left_out": sorted(left_out)[:_MOST]}


def _trail(request: Mapping[str, Any]) -> Kept:
    off = ("isMultiRegionTrail", "includeGlobalServiceEvents", "enableLogFileValidation", "multiRegionEnabled")
    return _some({"switched_off": [name for name in off if request.get(name) is False] or None})


def _deletion(request: Mapping[str, Any]) -> Kept:
    days = request.get("pendingWindowInDays", request.get("recoveryWindowInDays"))
    kept = {"pending_window_days": days if isinstance(days, int) and not isinstance(days, bool) else None}
    return _some({**kept, "is_forced": request.get("forceDeleteWithoutRecovery") is True or None})


def _import(request: Mapping[str, Any]) -> Kept:
    return _some({"expires": _short(request.get("validTo")), "model": _short(request.get("expirationModel"))})


def _alias(request: Mapping[str, Any]) -> Kept:
    return _some({"alias": _short(request.get("aliasName")), "key": _short(request.get("targetKeyId"))})


def _creation(request: Mapping[str, Any]) -> Kept:
    kept = _policy(request) if "policy" in request else {}
    return kept | _some({"origin": _short(request.get("origin")), "region": _short(request.get("replicaRegion"))})


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Kept]]] = {
    "PutKeyPolicy": _policy,
    "PutResourcePolicy": _policy,
    "CreateKey": _creation,
    "ReplicateKey": _creation,
    "CreateGrant": _grant,
    "PutEventSelectors": _selectors,
    "UpdateTrail": _trail,
    "ScheduleKeyDeletion": _deletion,
    "DeleteSecret": _deletion,
    "ImportKeyMaterial": _import,
    "CreateAlias": _alias,
    "UpdateAlias": _alias,
}


def _dicts(value: object) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict):
            yield one


def _texts(value: object) -> list[str] | None:
    if not isinstance(value, list):
        return None
    return [text for text in (_short(one) for one in value[:_MOST]) if text]


def _short(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value[:256].encode("utf-8", "replace").decode()


def _some(kept: Kept) -> Kept:
    return {name: value for name, value in kept.items() if value is not None}
