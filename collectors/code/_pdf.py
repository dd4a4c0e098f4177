"""The text of PDF files, read in a child process that may hang or swell without harm.

Refuses to: wait longer than `PATIENCE` for a file, or to let the reader take more than a gigabyte.
"""

from __future__ import annotations

import io
import logging
import os
import select
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

PATIENCE: Final = 20.0
_PAGES: Final = 2_000
_TEXT: Final = 32 << 20
_SIZE: Final = struct.Struct(">q")


class _Child:
    """The child, started when first asked and again after each one that had to be ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, data: bytes) -> bytes | None:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(_SIZE.pack(len(data)) + data)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError
            size = _SIZE.unpack(_exactly(process.stdout, _SIZE.size))[0]
            return None if size < 0 else _exactly(process.stdout, size)
        except (OSError, EOFError, struct.error):
            self.end()
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            house = str(Path(__file__).resolve().parents[2])
            env = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": house}
            self._owner = os.getpid()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "collectors.code._pdf"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
            )  # fmt: skip
        return self._process

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


_CHILD: Final = _Child()


def text(data: bytes) -> bytes | None:
    """The text of all pages; None where it cannot be read in time."""
    return _CHILD.ask(data)


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    got = pipe.read(size)
    if len(got) < size:
        raise EOFError
    return got


def _pages(data: bytes) -> bytes:
    from pypdf import PdfReader

    parts: list[bytes] = []
    size = 0
    for number, page in enumerate(PdfReader(io.BytesIO(data)).pages):
        if number >= _PAGES or size > _TEXT:
            break
        parts.append(page.extract_text().encode("utf-8", "replace"))
        size += len(parts[-1])
    return b"\n".join(parts)


def _serve() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    logging.disable(logging.CRITICAL)
    given, out = sys.stdin.buffer, sys.stdout.buffer
    while head := given.read(_SIZE.size):
        data = _exactly(given, _SIZE.unpack(head)[0])
        try:
            said = _pages(data)
        except Exception:  # noqa: BLE001  # whatever a hostile file does to the library, the answer is: unreadable
            out.write(_SIZE.pack(-1))
        else:
            out.write(_SIZE.pack(len(said)) + said)
        out.flush()


if __name__ == "__main__":
    _serve()
