"""moto's server over HTTP on loopback, with a front that counts calls, refuses, and answers where moto cannot.

What moto lacks or gets wrong (facts/cloud.md, 3) is answered by the test, in the protocol of the question, after the
answer was held against botocore's model of the service: a field that AWS does not have cannot be told here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from base64 import b64encode
from collections import Counter
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

import boto3
import botocore.session
from botocore.serialize import CBORSerializer, JSONSerializer
from botocore.validate import ParamValidator
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from simulators.kms import cbor
from werkzeug.serving import WSGIRequestHandler, make_server

ACCOUNT, REGION = "123456789012", "eu-west-1"
_SCOPE = re.compile(r"Credential=[^/]+/\d+/[\w-]+/([\w.-]+)/aws4_request")
_AGENT = "keyatlas"


class Quiet(WSGIRequestHandler):
    """No line a request; HTTP/1.1 keeps connections."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Say nothing."""


class Breadth:
    """One server a test session; `reset` before each test."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._front, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.reset()

    def stop(self) -> None:
        """No more answers."""
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """As nobody had been here."""
        self.calls.clear()
        self.answers: dict[tuple[str, str], object] = {}
        self.refusals: list[tuple[str, str, str, str]] = []
        with urlopen(Request(f"{self.url}/moto-api/reset", method="POST")):
            pass
        # moto answers these with HTTP 500; AWS, of an account without any, with an empty list.
        self.answer("iam", "ListServiceSpecificCredentials", {"ServiceSpecificCredentials": [], "IsTruncated": False})
        self.answer("acm-pca", "ListPermissions", {"Permissions": []})

    @property
    def actions(self) -> set[str]:
        """The IAM actions behind the calls that were counted."""
        return {call.replace("resourcegroupstaggingapi:", "tag:") for call in self.calls}

    def client(self, service: str, region: str = REGION, *, account: str = ACCOUNT):
        """Somebody else's way in: boto3, not counted; into another account by a role in it."""
        words = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        if account != ACCOUNT:
            sts = boto3.client("sts", region, endpoint_url=self.url, **words)
            role = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/Maker", RoleSessionName="maker")["Credentials"]
            words = {"aws_access_key_id": role["AccessKeyId"], "aws_secret_access_key": role["SecretAccessKey"],
                     "aws_session_token": role["SessionToken"]}  # fmt: skip
        return boto3.client(service, region, endpoint_url=self.url, **words)

    def organised(self) -> str:
        """Make the account the head of an organisation with one more account in it, whose number it is."""
        organizations = self.client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        made = organizations.create_account(Email="dev@example.org", AccountName="dev")
        return str(made["CreateAccountStatus"]["AccountId"])

    def command(self, *words: str):
        """The real AWS command line, as another client; what it says, parsed."""
        program = Path(sys.executable).with_name("aws")
        environment = {**os.environ, "AWS_ENDPOINT_URL": self.url, "AWS_PAGER": ""}
        run = subprocess.run(
            [program, *words, "--output", "json"], check=True, capture_output=True, env=environment, text=True
        )
        return json.loads(run.stdout) if run.stdout.strip() else None

    def answer(self, service: str, operation: str, told: object) -> None:
        """Answer it so: a value, or a function of the question's parameters; checked against botocore's model."""
        self.answers[service, operation] = told

    def refuse(self, service: str, operation: str, about: str = "", code: str = "AccessDeniedException") -> None:
        """Refuse an operation, or only questions whose body has `about` in it."""
        self.refusals.append((service, operation, about, code))

    def _front(self, environ, start):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        service, operation, form, params = _asked(environ, body)
        is_ours = _AGENT in environ.get("HTTP_USER_AGENT", "")
        if operation and is_ours:
            with self._lock:
                self.calls[f"{service}:{operation}"] += 1
            for of, what, about, code in self.refusals:
                if (of, what) == (service, operation) and about.encode() in body:
                    return _send(start, 400, *_refusal(form, code))
        told = self.answers.get((service, operation))
        if told is None:
            return self._app(environ, start)
        answer = told(params) if callable(told) else told
        return _send(start, 200, *_written(service, operation, form, answer))


@cache
def model(service: str):
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


_TARGETS = {
    model(name).metadata["targetPrefix"]: name
    for name in ("secretsmanager", "ssm", "acm", "acm-pca", "kms", "organizations", "resourcegroupstaggingapi")
}


def _asked(environ, body: bytes):
    target, path = environ.get("HTTP_X_AMZ_TARGET", ""), environ.get("PATH_INFO", "")
    if target:
        prefix, _, operation = target.rpartition(".")
        return _TARGETS[prefix], operation, "json", json.loads(body or b"{}")
    if path.startswith("/service/"):
        _, _, prefix, _, operation = path.split("/")
        return _TARGETS[prefix], operation, "cbor", cbor.loads(body) if body else {}
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    form = {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    return (scope[1] if scope else ""), form.get("Action", ""), "query", form


def _refusal(form: str, code: str):
    told = {"__type": code, "message": "User is not authorized", "Message": "User is not authorized"}
    if form == "cbor":
        return cbor.dumps(told), "application/cbor"
    if form == "json":
        return json.dumps(told).encode(), "application/x-amz-json-1.1"
    text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    return text.encode(), "text/xml"


def _written(service: str, operation: str, form: str, answer):
    told = model(service).operation_model(operation)
    report = ParamValidator().validate(answer, told.output_shape)
    assert not report.has_errors(), report.generate_report()
    if form == "cbor":
        data = bytearray()
        CBORSerializer()._serialize_data_item(data, answer, told.output_shape)
        return bytes(data), "application/cbor"
    if form == "json":
        data = {}
        JSONSerializer()._serialize(data, answer, told.output_shape)
        return json.dumps(data).encode(), "application/x-amz-json-1.1"
    data = _xml(answer, told.output_shape)
    if service != "ec2":
        data = f"<{operation}Result>{data}</{operation}Result>"
    return f"<{operation}Response>{data}</{operation}Response>".encode(), "text/xml"


def _xml(value, shape) -> str:
    """A value in the query protocols' XML, by its shape in botocore's model."""
    if shape.type_name == "structure":
        return "".join(_element(member, shape.members[name], name) for name, member in value.items())
    if shape.type_name == "list":
        name = shape.member.serialization.get("name", "member")
        return "".join(f"<{name}>{_xml(one, shape.member)}</{name}>" for one in value)
    if shape.type_name == "map":
        return "".join(f"<entry><key>{name}</key><value>{one}</value></entry>" for name, one in value.items())
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    return escape(value.isoformat() if isinstance(value, datetime) else str(value))


def _element(value, shape, name: str) -> str:
    name = shape.serialization.get("name", name)
    return f"<{name}>{_xml(value, shape)}</{name}>"


def _send(start, status: int, data: bytes, kind: str):
    headers = [("Content-Type", kind), ("Content-Length", str(len(data)))]
    if kind == "application/cbor":
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    start(f"{status} X", headers)
    return [data]
