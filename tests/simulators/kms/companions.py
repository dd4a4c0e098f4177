"""The few calls beside KMS that reading an organisation's keys needs; no more of each than that.

STS GetCallerIdentity and AssumeRole, EC2 DescribeRegions, Organizations DescribeOrganization and ListAccounts, the
tagging API's GetResources for kms:key, CloudTrail LookupEvents over the simulator's own log. IAM is not evaluated:
who holds credentials may do all that no rule of the test denies.
"""

from __future__ import annotations

import base64
import bisect
import json
import time
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from simulators.kms import cbor
from simulators.kms.calls import Call, Logged
from simulators.kms.errors import ServiceError, denied

JSON = "application/x-amz-json-1.1"
CBOR = "application/cbor"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
TAGGING = "ResourceGroupsTaggingAPI_20170126"


def form(body: bytes) -> dict[str, Any]:
    """The parameters of the query protocol, flat."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def answer(call: Call, body_kind: str) -> tuple[bytes, str]:
    """The answer of a companion, in the protocol it was asked in."""
    work = SERVICES.get((call.service, call.operation))
    if work is None:
        raise ServiceError("UnknownOperationException", f"{call.action} is not simulated")
    call.aws.faults.check_denied(call, {"tagging": "tag"}.get(call.service, call.service) + f":{call.operation}")
    found = work(call)
    if isinstance(found, str):
        return found.encode(), "text/xml"
    return (cbor.dumps(found), CBOR) if body_kind == CBOR else (json.dumps(found).encode(), JSON)


def query_error(error: ServiceError, request_id: str, service: str) -> bytes:
    """An error of the query protocol; EC2 has its own form."""
    code, message = escape(error.code), escape(error.message)
    code = {"AccessDeniedException": "AccessDenied", "ExpiredTokenException": "ExpiredToken",
            "UnrecognizedClientException": "InvalidClientTokenId"}.get(code, code)  # fmt: skip
    if service == "ec2":
        code = {"AccessDenied": "UnauthorizedOperation", "InvalidClientTokenId": "AuthFailure",
                "ExpiredToken": "RequestExpired"}.get(code, code)  # fmt: skip
        text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        return (text + f"<RequestID>{request_id}</RequestID></Response>").encode()
    text = f'<ErrorResponse xmlns="{STS}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>'
    return (text + f"<RequestId>{request_id}</RequestId></ErrorResponse>").encode()


def _xml(tag: str, value: object) -> str:
    if isinstance(value, dict):
        value = "".join(_xml(name, item) for name, item in value.items())
    elif isinstance(value, list):
        value = "".join(_xml("item", item) for item in value)
    else:
        value = escape(str(value))
    return f"<{tag}>{value}</{tag}>"


def _sts(call: Call, result: dict[str, Any]) -> str:
    name = call.operation
    inner = _xml(f"{name}Result", result) + _xml("ResponseMetadata", {"RequestId": call.request_id})
    return f'<{name}Response xmlns="{STS}">{inner}</{name}Response>'


def get_caller_identity(call: Call) -> str:
    """Who am I."""
    user = "AIDA" + call.notes["access_key"][4:]
    return _sts(call, {"Arn": call.principal, "UserId": user, "Account": call.account.account_id})


def assume_role(call: Call) -> str:
    """Credentials in another account; the role is taken to exist where the account does."""
    arn = call.params["RoleArn"]
    account = call.aws.accounts.get(arn.split(":")[4])
    if account is None or account.account_id in call.aws.closed_to_roles:
        raise denied(call.principal, "sts:AssumeRole", arn, "")
    session = call.params["RoleSessionName"]
    access_key, secret, token = call.aws.assume(account, arn.rpartition("/")[2], session)
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(call.now + int(call.params.get("DurationSeconds", 3600))))
    credentials = {"AccessKeyId": access_key, "SecretAccessKey": secret, "SessionToken": token, "Expiration": expires}
    who = {"AssumedRoleId": f"AROA{access_key[4:]}:{session}", "Arn": call.aws.credentials[access_key][1]}
    return _sts(call, {"Credentials": credentials, "AssumedRoleUser": who})


def describe_regions(call: Call) -> str:
    """The regions switched on; with AllRegions the others, too."""
    entries = []
    for name in sorted({*call.aws.regions, *call.account.regions, *call.account.disabled_regions}):
        is_off = name in call.account.disabled_regions
        status = "not-opted-in" if is_off else "opt-in-not-required"
        if not is_off or call.params.get("AllRegions") == "true":
            endpoint = f"ec2.{name}.amazonaws.com"
            entries.append({"regionName": name, "regionEndpoint": endpoint, "optInStatus": status})
    inner = _xml("requestId", call.request_id) + _xml("regionInfo", entries)
    return f'<DescribeRegionsResponse xmlns="{EC2}">{inner}</DescribeRegionsResponse>'


def _organization(call: Call) -> str:
    manager = call.aws.management_account
    if manager is None:
        raise ServiceError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    return manager


def describe_organization(call: Call) -> dict[str, Any]:
    """The organisation of the account."""
    manager = _organization(call)
    arn = f"arn:aws:organizations::{manager}"
    return {"Organization": {
        "Id": "o-simulated01", "Arn": f"{arn}:organization/o-simulated01", "FeatureSet": "ALL",
        "MasterAccountArn": f"{arn}:account/o-simulated01/{manager}", "MasterAccountId": manager,
        "MasterAccountEmail": f"{manager}@example.org",
    }}  # fmt: skip


def list_accounts(call: Call) -> dict[str, Any]:
    """All accounts, 20 a page; only the management account may ask."""
    manager = _organization(call)
    if call.account.account_id != manager:
        raise ServiceError("AccessDeniedException", "You don't have permissions to access this resource.")
    numbers = sorted(call.aws.accounts)
    some, more = _after(call, numbers, "MaxResults", 20)
    arn = f"arn:aws:organizations::{manager}:account/o-simulated01"
    return {"Accounts": [
        {"Id": number, "Arn": f"{arn}/{number}", "Email": f"{number}@example.org",
         "Name": call.aws.accounts[number].name, "Status": call.aws.accounts[number].status,
         "JoinedMethod": "CREATED", "JoinedTimestamp": 1_600_000_000.0}
        for number in some
    ], **more}  # fmt: skip


def get_resources(call: Call) -> dict[str, Any]:
    """Tagged keys, 100 a page; keys that never had tags are not in it."""
    kinds = call.params.get("ResourceTypeFilters") or ["kms:key"]
    keys = call.region.keys if {"kms", "kms:key"} & set(kinds) else {}
    wanted = call.params.get("TagFilters") or []
    names = [
        name
        for name in (call.region.order if keys else [])
        if keys[name].tags is not None and all(_has(keys[name].tags, one) for one in wanted)
    ]
    some, more = _after(call, names, "ResourcesPerPage", 100, token="PaginationToken", last="")
    return {"ResourceTagMappingList": [
        {"ResourceARN": keys[name].arn, "Tags": [{"Key": k, "Value": v} for k, v in keys[name].tags.items()]}
        for name in some
    ], **more}  # fmt: skip


def _has(tags: dict[str, str], wanted: dict[str, Any]) -> bool:
    return wanted["Key"] in tags and (not wanted.get("Values") or tags[wanted["Key"]] in wanted["Values"])


def _after(
    call: Call, names: list[str], size: str, most: int, *, token: str = "NextToken", last: str | None = None
) -> tuple[list[str], dict[str, Any]]:
    asked = call.params.get(token)
    start = bisect.bisect_right(names, base64.urlsafe_b64decode(asked.encode()).decode()) if asked else 0
    limit = min(most, int(call.params.get(size) or most))
    some = names[start : start + limit]
    if start + limit < len(names):
        return some, {token: base64.urlsafe_b64encode(some[-1].encode()).decode()}
    return some, {} if last is None else {token: last}


def lookup_events(call: Call) -> dict[str, Any]:
    """The calls of 90 days in this account and region, the newest first, 50 a page; one attribute at most."""
    attributes = call.params.get("LookupAttributes") or []
    if len(attributes) > 1:
        raise ServiceError("InvalidLookupAttributesException", "You can specify only one attribute")
    since = max(float(call.params.get("StartTime") or 0), call.now - 90 * 86_400)
    until = float(call.params.get("EndTime") or call.now)
    place = (call.account.account_id, call.region.name)
    events = [*call.region.events, *(_event(one) for one in call.aws.calls if (one.account, one.region) == place)]
    events = [one for one in events if since <= one["EventTime"] <= until]
    events = [one for one in events if all(_matches(one, wanted) for wanted in attributes)]
    events.sort(key=lambda one: (-one["EventTime"], one["EventId"]))
    start = int(call.params.get("NextToken") or 0)
    limit = min(50, call.params.get("MaxResults") or 50)
    more = {"NextToken": str(start + limit)} if start + limit < len(events) else {}
    return {"Events": events[start : start + limit], **more}


def _matches(event: dict[str, Any], wanted: dict[str, str]) -> bool:
    name, value = wanted["AttributeKey"], wanted["AttributeValue"]
    if name in ("ResourceName", "ResourceType"):
        return any(value == one.get(name) for one in event.get("Resources", ()))
    return value == event.get(name)


def _event(one: Logged) -> dict[str, Any]:
    """A logged call as CloudTrail has it. Calls of companions are logged as KMS's, which is not so in AWS."""
    event_id = str(uuid.uuid5(uuid.NAMESPACE_OID, repr(one)))
    arn = f"arn:aws:kms:{one.region}:{one.account}:key/{one.key}"
    whole = {
        "eventVersion": "1.11", "eventTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.at)),
        "eventSource": "kms.amazonaws.com", "eventName": one.operation, "awsRegion": one.region, "eventID": event_id,
        "userIdentity": {"type": "IAMUser", "arn": one.principal, "accountId": one.account},
        "readOnly": one.operation.startswith(("Describe", "Get", "List")), "recipientAccountId": one.account,
        "resources": [{"ARN": arn, "accountId": one.account, "type": "AWS::KMS::Key"}] if one.key else [],
        "sourceIPAddress": "127.0.0.1", "userAgent": "simulator",
    } | ({} if one.outcome == "OK" else {"errorCode": one.outcome})  # fmt: skip
    return {
        "EventId": event_id, "EventName": one.operation, "EventTime": one.at, "EventSource": "kms.amazonaws.com",
        "ReadOnly": str(whole["readOnly"]).lower(), "Username": one.principal.rpartition("/")[2],
        "Resources": [{"ResourceType": "AWS::KMS::Key", "ResourceName": arn}] if one.key else [],
        "CloudTrailEvent": json.dumps(whole),
    }  # fmt: skip


SERVICES: dict[tuple[str, str], Callable[[Call], dict[str, Any] | str]] = {
    ("sts", "GetCallerIdentity"): get_caller_identity,
    ("sts", "AssumeRole"): assume_role,
    ("ec2", "DescribeRegions"): describe_regions,
    ("organizations", "DescribeOrganization"): describe_organization,
    ("organizations", "ListAccounts"): list_accounts,
    ("tagging", "GetResources"): get_resources,
    ("cloudtrail", "LookupEvents"): lookup_events,
}
