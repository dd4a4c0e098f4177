"""From an HTTP request to an operation and back: who calls, where, what; and what is wrong with that."""

from __future__ import annotations

import base64
import json
import re
import traceback
import uuid
from typing import TYPE_CHECKING, Any

from simulators.kms import cbor, companions, shapes, validation
from simulators.kms.calls import OPERATIONS, Call, Logged
from simulators.kms.errors import LostReply, ServiceError
from simulators.kms.server import Answer, Request

if TYPE_CHECKING:
    from simulators.kms.simulator import KmsSimulator

_SCOPE = re.compile(r"Credential=([^/,]+)/\d+/([^/]+)/([^/]+)/aws4_request")
_RPC = re.compile(r"/service/([^/]+)/operation/([^/?]+)")
QUERY = "text/xml"


def _bytes(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)


_encode = json.JSONEncoder(default=_bytes).encode


def answer(aws: KmsSimulator, request: Request) -> Answer:
    """One request, whole."""
    request_id = str(uuid.UUID(int=aws.random.getrandbits(128)))
    kind = _protocol(request)
    with aws.lock:
        try:
            call = _call(aws, request, request_id, kind)
        except ServiceError as error:
            return _refusal(error, request_id, kind, _service(request))
        try:
            given = _perform(aws, call, kind)
        except LostReply:
            raise
        except BaseException:
            # A fault of the simulator itself: the client sees a broken connection, the test the reason.
            aws.problems.append(traceback.format_exc())
            raise
        if aws.checks_shapes:
            aws.problems += shapes.problems(call.service, call.operation, given.status, given.body, given.kind)
        return given


def _protocol(request: Request) -> str:
    if request.target:
        return companions.JSON
    return companions.CBOR if request.path.startswith("/service/") else QUERY


def _service(request: Request) -> str:
    scope = _SCOPE.search(request.authorization)
    return scope.group(3) if scope else ""


def _perform(aws: KmsSimulator, call: Call, kind: str) -> Answer:
    outcome = "OK"
    try:
        call.account.settle(call.now)
        _check_credentials(aws, call)
        aws.faults.check_quota(call)
        aws.faults.check_failure(call, is_done=False)
        body, kind = (_kms(call), kind) if call.service == "kms" else companions.answer(call, kind)
        aws.note(call)
        aws.faults.check_failure(call, is_done=True)
        return Answer(200, body, call.request_id, aws.faults.delay(call.operation), kind)
    except ServiceError as error:
        outcome = error.code
        return _refusal(error, call.request_id, kind, call.service, aws.faults.delay(call.operation))
    except LostReply:
        outcome = "lost reply"
        raise
    finally:
        key = call.key.key_id if call.key is not None else None
        place = (call.account.account_id, call.region.name)
        aws.log(Logged(call.operation, *place, key, call.now, outcome, call.principal))


def _kms(call: Call) -> bytes:
    name = call.operation
    work = OPERATIONS.get(name)
    if work is None:
        raise ServiceError("UnknownOperationException", f"{name} is not an operation of KMS here")
    validation.check(name, call.params)
    call.aws.faults.check_denied(call, call.action)
    found = work(call)
    return b"" if found is None else _encode(found).encode()


def _call(aws: KmsSimulator, request: Request, request_id: str, kind: str) -> Call:
    scope = _SCOPE.search(request.authorization)
    if scope is None:
        raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token")
    access_key, region, service = scope.groups()
    known = aws.credentials.get(access_key)
    if known is None:
        raise ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")
    account, principal = known
    name, params = _question(request, kind)
    call = Call(aws, name, params, account, account.region(region), principal, aws.now(), request_id, service)
    call.notes["access_key"] = access_key
    return call


def _question(request: Request, kind: str) -> tuple[str, dict[str, Any]]:
    try:
        if kind == companions.JSON:
            return request.target.rpartition(".")[2], json.loads(request.body or b"{}")
        if kind == companions.CBOR:
            named = _RPC.match(request.path)
            return (named.group(2) if named else ""), cbor.loads(request.body) if request.body else {}
        params = companions.form(request.body)
        return params.get("Action", ""), params
    except ValueError as error:
        raise ServiceError("SerializationException", "The request cannot be read") from error


def _check_credentials(aws: KmsSimulator, call: Call) -> None:
    if call.notes["access_key"] in aws.expired:
        raise ServiceError("ExpiredTokenException", "The security token included in the request is expired")
    # A region that the account has not opted into does not know the account's credentials.
    if call.region.name in call.account.disabled_regions:
        raise ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")


def _refusal(error: ServiceError, request_id: str, kind: str, service: str, delay: float = 0.0) -> Answer:
    body: dict[str, Any] = {"__type": error.code, "message": error.message}
    if kind == QUERY:
        return Answer(error.status, companions.query_error(error, request_id, service), request_id, delay, QUERY)
    data = cbor.dumps(body) if kind == companions.CBOR else json.dumps(body).encode()
    return Answer(error.status, data, request_id, delay, kind)
