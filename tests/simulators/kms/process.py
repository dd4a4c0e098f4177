"""A simulator in a process of its own, for benchmarks: its work then costs the measured process nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]


class KmsProcess:
    """Start it with `with`; `ask` calls a verb of `control.Control`.

    with KmsProcess() as kms:
        kms.ask("add_keys", account="111122223333", region="eu-west-1", count=1000)
        kms.ask("set", latency=0.02)
        boto3.client("kms", endpoint_url=kms.url, **kms.ask("credentials", account="111122223333"), …)
    """

    def __enter__(self) -> KmsProcess:
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulators.kms"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self.url = self._read().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def is_gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def ask(self, verb: str, **words: Any) -> Any:
        """Call a verb of the control; its answer."""
        self._process.stdin.write(json.dumps({"do": verb, "with": words}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._read())

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the simulator's process ended; what it printed is above")
        return line
