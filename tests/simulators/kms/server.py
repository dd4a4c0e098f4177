"""HTTP/1.1 with keep-alive on loopback, as little of it as AWS clients speak.

One thread, one event loop; a hand-written parser, because the standard library's server spends more on headers than
KMS calls cost here. Signatures are read for the access key and the region, and not verified.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import NamedTuple

from simulators.kms.errors import LostReply


class Request(NamedTuple):
    """What the front of the simulator needs of a request."""

    target: str
    authorization: str
    token: str
    host: str
    path: str
    body: bytes


class Answer(NamedTuple):
    """What goes back, after `delay` seconds."""

    status: int
    body: bytes
    request_id: str
    delay: float = 0.0
    kind: str = "application/x-amz-json-1.1"


REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 412: "Precondition Failed", 500: "Internal Server Error",
           503: "Service Unavailable"}  # fmt: skip
MOST_BYTES = 16 << 20


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, front: Callable[[Request], Answer], loop: asyncio.AbstractEventLoop) -> None:
        self.front = front
        self.loop = loop
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole requests off the buffer."""
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            head = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = dict(line.split(":", 1) for line in head[1:])
            headers = {name.lower(): value.strip() for name, value in headers.items()}
            size = int(headers.get("content-length", 0))
            if size > MOST_BYTES:
                self.transport.abort()
                return
            if len(self.buffer) < end + 4 + size:
                break
            body = self.buffer[end + 4 : end + 4 + size]
            self.buffer = self.buffer[end + 4 + size :]
            self._answer(head[0].split(" ")[1], headers, body)

    def _answer(self, path: str, headers: dict[str, str], body: bytes) -> None:
        get = headers.get
        request = Request(get("x-amz-target", ""), get("authorization", ""), get("x-amz-security-token", ""),
                          get("host", ""), path, body)  # fmt: skip
        try:
            answer = self.front(request)
        except LostReply:
            self.transport.abort()
            return
        head = (
            f"HTTP/1.1 {answer.status} {REASONS[answer.status]}\r\nx-amzn-RequestId: {answer.request_id}\r\n"
            f"Content-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n"
        )
        if answer.kind == "application/cbor":
            head += "smithy-protocol: rpc-v2-cbor\r\n"
        data = head.encode() + b"\r\n" + answer.body
        if answer.delay:
            self.loop.call_later(answer.delay, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


class Server:
    """The listening thread."""

    def __init__(self, front: Callable[[Request], Answer], port: int = 0) -> None:
        self._front = front
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kms-simulator", daemon=True)

    def start(self) -> int:
        """Listen; the port, when it can be connected to."""
        self._thread.start()
        self._ready.wait(10)
        return self._port

    def stop(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop = asyncio.new_event_loop()

        def connection() -> Connection:
            return Connection(self._front, self._loop)

        listening = self._loop.run_until_complete(
            self._loop.create_server(connection, "127.0.0.1", self._port, backlog=1024)
        )
        self._port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            listening.close()
            self._loop.close()
