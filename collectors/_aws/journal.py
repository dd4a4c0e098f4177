"""Answers kept on disk: so that a killed run goes on where it was, and what never changes is asked once.

A line an answer, appended as it comes, so that SIGKILL loses no more than the last line. Only what a collector asks to
be kept is kept, never a secret's value; files are 0600, and one that others could write is not used. An answer counts
no longer than `valid_seconds` after it was given: nobody is shown older facts than that as of now.

Refuses to: keep a failure. What was denied yesterday may be allowed now.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
import time
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

_TIME: Final = "$time"
_BYTES: Final = "$bytes"


def key_of(*words: object) -> str:
    """A short name for a question."""
    return blake2b(json.dumps(words, sort_keys=True, default=str).encode(), digest_size=12).hexdigest()


class Journal:
    """Questions and their answers in one file, for as long as they count."""

    def __init__(self, path: Path, *, valid_seconds: float | None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: dict[str, Any] = {}
        self._since = 0.0 if valid_seconds is None else time.time() - valid_seconds
        self._read()
        self._file = self._opened()

    def _read(self) -> None:
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                if not _is_ours(os.fstat(file.fileno())):
                    return
                for line in file:
                    self._take(line)
        except OSError:
            return

    def _take(self, line: bytes) -> None:
        try:
            question, at, answer = json.loads(line, object_hook=_decoded)
        except ValueError:
            # The line that was being written when the run was killed.
            return
        if at >= self._since:
            self._known[question] = answer

    def _opened(self) -> Any:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            file = os.fdopen(os.open(self._path, flags, 0o600), "ab", buffering=0)
        except OSError:
            # A read-only home is no reason not to collect.
            return None
        if not _is_ours(os.fstat(file.fileno())):
            file.close()
            return None
        if file.tell() or self._path.stat().st_size:
            # Behind half a line, the next would be lost with it.
            file.write(b"\n")
        return file

    def get(self, question: str) -> Any:
        """The answer, or None."""
        return self._known.get(question)

    def put(self, question: str, answer: Any) -> None:
        """Keep an answer."""
        line = json.dumps([question, time.time(), answer], default=_encoded, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._file is not None:
                try:
                    self._file.write(line)
                except OSError:
                    # A full disk: the run goes on, it just cannot be taken up again.
                    self._file.close()
                    self._file = None

    def forget(self, question: str) -> None:
        """Ask again."""
        self._known.pop(question, None)

    def close(self) -> None:
        """No more answers."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _is_ours(told: os.stat_result) -> bool:
    return stat.S_ISREG(told.st_mode) and told.st_uid == os.getuid() and not told.st_mode & 0o077


def _encoded(value: Any) -> Any:
    if isinstance(value, datetime):
        return {_TIME: value.astimezone(UTC).isoformat()}
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"an answer of {type(value).__name__} cannot be kept")


def _decoded(told: dict[str, Any]) -> Any:
    if told.keys() == {_TIME}:
        return datetime.fromisoformat(told[_TIME])
    if told.keys() == {_BYTES}:
        return base64.b64decode(told[_BYTES])
    return told
