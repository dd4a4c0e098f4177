"""A lean way for the questions that are put per key: JSON over kept connections, a third of what botocore's way costs.

botocore learns the endpoint, and does all that is not plain: whatever is not an answer, or a clear refusal, is asked
again by it, with its retries. So a proxy, a client certificate, a lost connection or a throttled call is its business.
The corridor and the pace hold here as there.

Source: IAM user guide, "Create a signed AWS API request" (Signature Version 4); Smithy, "AWS JSON 1.1 protocol".
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.parsers import ResponseParserError, ResponseParserFactory
from botocore.utils import get_environ_proxies, parse_timestamp

from collectors._aws import troubles
from toolkit.terms import GapStatus

_SECONDS: Final = 20
_IDLE: Final = 64


class NotPlain(Exception):
    """Let botocore do it."""


def signed(
    secret: str, access_key: str, scope: tuple[str, str, str], headers: Mapping[str, str], body: bytes,
    key: Callable[[str, tuple[str, str, str]], bytes],
) -> str:  # fmt: skip
    """The Authorization header of a POST to the root; `scope` is date, region, service, `headers` are in lower case."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    where = f"{'/'.join(scope)}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{where}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key(secret, scope), text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={access_key}/{where}, SignedHeaders={names}, Signature={signature}"


def signing_key(secret: str, scope: tuple[str, str, str]) -> bytes:
    """The key of a day, region and service."""
    key = f"AWS4{secret}".encode()
    for word in (*scope, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key


class Wire:
    """The lean way beside one client."""

    def __init__(self, client: Any, credentials: Any, *, ca_bundle: str | None) -> None:
        self._model, self._credentials = client.meta.service_model, credentials
        self._region, self._ca_bundle = client.meta.region_name, ca_bundle
        told = self._model.metadata
        self._is_json = "json" in told.get("protocols", [told.get("protocol")]) and bool(told.get("targetPrefix"))
        self._host, self._port, self._tls = "", 0, True
        self._idle: deque[http.client.HTTPConnection] = deque(maxlen=_IDLE)
        self._key: tuple[tuple[str, tuple[str, str, str]], bytes] | None = None
        self._context: ssl.SSLContext | None = None
        factory = ResponseParserFactory()
        factory.set_parser_defaults(timestamp_parser=_moment)
        self._parser = factory.create_parser("json")
        if self._is_json:
            client.meta.events.register_last("before-call", self._learn)

    def _learn(self, params: Mapping[str, Any], **_: Any) -> None:
        url = urlsplit(params["url"])
        if self._host or url.path not in ("", "/") or get_environ_proxies(params["url"]):
            return
        self._tls = url.scheme == "https"
        if self._tls:
            self._context = ssl.create_default_context(cafile=self._ca_bundle or get_cert_path(True))
        self._port = url.port or (443 if self._tls else 80)
        self._host = str(url.hostname)

    @property
    def is_open(self) -> bool:
        """Whether the endpoint is known by now, and reached without a proxy."""
        return bool(self._host)

    def ask(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The answer.

        Raises:
            ClientError: a clear refusal.
            NotPlain: anything else; nothing was changed, for only reading goes this way.
        """
        model = self._model.operation_model(operation)
        body = json.dumps(params).encode()
        status, data = self._sent(self._headers(operation, body), body)
        try:
            parsed: dict[str, Any] = self._parser.parse(
                {"status_code": status, "headers": {}, "body": data}, model.output_shape
            )
        except ResponseParserError:
            raise NotPlain from None
        if status != 200:
            self._refused(operation, status, parsed)
        return parsed

    def _headers(self, operation: str, body: bytes) -> dict[str, str]:
        told, now = self._model.metadata, datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        held = self._credentials.get_frozen_credentials()
        is_usual = self._port == (443 if self._tls else 80)
        headers = {
            "content-type": f"application/x-amz-json-{told['jsonVersion']}",
            "host": self._host if is_usual else f"{self._host}:{self._port}",
            "x-amz-date": now,
            "x-amz-target": f"{told['targetPrefix']}.{operation}",
        }
        if held.token:
            headers["x-amz-security-token"] = held.token
        scope = (now[:8], self._region, self._model.signing_name)
        headers["authorization"] = signed(held.secret_key, held.access_key, scope, headers, body, self._cached)
        headers["user-agent"] = "keyatlas"
        return headers

    def _cached(self, secret: str, scope: tuple[str, str, str]) -> bytes:
        known = self._key
        if known is None or known[0] != (secret, scope):
            known = self._key = ((secret, scope), signing_key(secret, scope))
        return known[1]

    def _sent(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connection()
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            status, data = response.status, response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise NotPlain from None
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return status, data

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self._host, self._port, timeout=_SECONDS, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=_SECONDS)

    def _refused(self, operation: str, status: int, parsed: dict[str, Any]) -> None:
        error = parsed.get("Error", {})
        trouble = troubles.of_answer(
            self._model.service_name, operation, str(error.get("Code", "")), str(error.get("Message", "")), status
        )
        is_clear = trouble.status is GapStatus.NOT_APPLICABLE or trouble.is_gone or trouble.permission is not None
        if not is_clear:
            raise NotPlain
        raise ClientError(parsed, operation)  # type: ignore[arg-type]  # what the parser made


def _moment(told: Any) -> datetime:
    return datetime.fromtimestamp(told, UTC) if isinstance(told, int | float) else parse_timestamp(told)
