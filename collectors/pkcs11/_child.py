"""The parent's end of a module's child process: a request, answers as they come, and an end to one that is silent.

Refuses to: wait for a module that has said nothing for its `silence`, or to let its own words out: what a module prints
may hold anything, so its output is thrown away.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from toolkit.errors import SourceBroken, SourceError, SourceUnreachable

Fact = dict[str, Any]
_HOUSE: Final = str(Path(__file__).resolve().parents[2])
_GOODBYE: Final = 2
# Of what a child says at a time: one that never ends its line must not fill our memory.
_LONGEST: Final = 1 << 28


class Child:
    """One process, one module, requests in turn."""

    def __init__(
        self, module: str, request: Fact, *, silence: float, parameters: str | None = None, hidden: Container[str] = ()
    ) -> None:
        """Start it with a request; of our environment it gets all but the `hidden` names, which hold PINs."""
        self.module = module
        self._always: Fact = {"module": module} | ({} if parameters is None else {"parameters": parameters})
        # -P: no folder of ours comes first on the path, where `pkcs11` would be the collector.
        command = [sys.executable, "-P", "-c", "from collectors._pkcs11.start import start; start()"]
        path = os.pathsep.join(filter(None, [_HOUSE, os.environ.get("PYTHONPATH")]))
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        # A session of its own: what a module starts beside itself goes with it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**environment, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip
        self.ask(request, silence=silence)

    def ask(self, request: Fact, *, silence: float) -> None:
        """Hand it a request; its answers are waited for `silence` seconds each."""
        self._silence, self._heard = silence, time.monotonic()
        assert self._process.stdin is not None
        # If it has ended, `answers` says how.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({**request, **self._always}).encode() + b"\n")
            self._process.stdin.flush()

    def answers(self) -> Iterator[Fact]:
        """The answers to the request, each as it comes.

        Raises:
            SourceBroken: the module took its process down, or what came is no answer.
            SourceUnreachable: it said nothing for so long.
        """
        for line in self._lines():
            try:
                facts: object = json.loads(line)
            except (ValueError, RecursionError):
                facts = None
            if not isinstance(facts, list):
                raise self._garbled()
            for fact in facts:
                if not isinstance(fact, dict):
                    raise self._garbled()
                if "end" in fact:
                    return
                yield fact

    def _lines(self) -> Iterator[bytes]:
        assert self._process.stdout is not None
        pipe, parts, length = self._process.stdout.fileno(), [b""], 0
        while True:
            # Counted from when it was asked, so that children which hang side by side cost the silence of one.
            left = self._heard + self._silence - time.monotonic()
            if not select.select([pipe], [], [], max(0, left))[0]:
                self.end(at_once=True)
                raise self._silent()
            piece, self._heard = os.read(pipe, 1 << 16), time.monotonic()
            if not piece:
                # A crash may have cut the last line short: it is not parsed.
                raise self._ended()
            length += len(piece)
            if b"\n" not in piece and length <= _LONGEST:
                parts.append(piece)
                continue
            *lines, rest = b"".join([*parts, piece]).split(b"\n")
            parts, length = [rest], len(rest)
            if length > _LONGEST:
                raise self._garbled()
            yield from lines

    def _garbled(self) -> SourceError:
        return SourceBroken(f"{self.module} garbled its process", advice="check the module")

    def _silent(self) -> SourceError:
        advice = "check the device; for a slow one raise silence_seconds"
        return SourceUnreachable(f"{self.module} did not answer in {self._silence:g} s", advice=advice)

    def _ended(self) -> SourceError:
        # Not reaped yet: `end` still has to take with it what it started.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self.end()
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return SourceBroken(f"{self.module} took its process down ({how})", advice="check that it is a PKCS#11 module")

    def end(self, *, at_once: bool = False) -> None:
        """Let it finalise its module and go; kill what will not, and what it started."""
        process = self._process
        if process.returncode is not None:
            return
        for pipe in (process.stdin, process.stdout):
            # A request may be in it that nobody will read.
            with suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()
        deadline = time.monotonic() + (0 if at_once else _GOODBYE)
        peek = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, peek) is None and time.monotonic() < deadline:
            time.sleep(0.005)
        # Its number is ours until it is waited for, so the group is no stranger's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.end()
