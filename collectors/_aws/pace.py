"""How fast: a bucket of tokens per account, region and operation, at a share of the quota that AWS documents.

botocore's adaptive mode has one limiter for all operations of a client, so a slow one holds up the others (measured:
slower than none). Every attempt takes a token, retries included; a service that throttles us all the same, because
the account's own workloads use the quota too, is asked at half the rate, which comes back by and by.

The quotas are data: `quotas.toml`.

>>> quota("kms", "ListGrants"), quota("kms", "DescribeKey")
(100.0, 2000.0)
"""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from collectors._aws import troubles
from toolkit.terms import GapStatus

_LEAST: Final = 0.02
# How much of its full rate a bucket gets back in a second after it was throttled.
_RECOVERY: Final = 0.02


@cache
def _quotas() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("collectors._aws").joinpath("quotas.toml").read_text())


@cache
def quota(service: str, operation: str) -> float:
    """Calls a second that AWS allows an account in a region; a cautious guess where none is documented."""
    told = _quotas()
    return float(told.get(service, {}).get("calls", {}).get(operation) or told["other"]["calls"])


class Bucket:
    """Lets `rate` through a second; up to a fifth of a second's worth at once."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._full = self._rate = max(rate, _LEAST)
        self._clock, self._lock = clock, threading.Lock()
        self._free_at = self._changed_at = clock()

    def reserve(self) -> float:
        """Take a token; how many seconds to wait for it."""
        with self._lock:
            now = self._clock()
            if self._rate < self._full:
                self._rate = min(self._full, self._rate + _RECOVERY * self._full * (now - self._changed_at))
            self._changed_at = now
            # Time saved up while idle counts for no more than the burst.
            self._free_at = max(self._free_at, now - 0.2) + 1 / self._rate
            return max(0.0, self._free_at - now)

    def slow_down(self) -> None:
        """Halve the rate: the service says that it is too much."""
        with self._lock:
            self._rate = max(self._rate / 2, self._full / 16)
            self._changed_at = self._clock()

    def take(self) -> None:
        """Wait for a token."""
        wait = self.reserve()
        if wait > 0:
            time.sleep(wait)


class Pace:
    """The buckets of one process. `share` is how much of a quota we may use: the account's workloads need it, too."""

    def __init__(self, share: float) -> None:
        self._share, self._lock = share, threading.Lock()
        self._buckets: dict[tuple[str, ...], Bucket] = {}

    def bucket(self, account: str, region: str, service: str, operation: str) -> Bucket:
        """The one for an operation in a place."""
        key = (account, region, service, operation)
        with self._lock:
            if key not in self._buckets:
                self._buckets[key] = Bucket(quota(service, operation) * self._share)
            return self._buckets[key]

    def keep(self, client: Any, account: str, region: str) -> None:
        """Make every attempt of this client wait its turn, and listen for throttling."""
        service = client.meta.service_model.service_name

        def wait(operation_name: str, **_: Any) -> None:
            self.bucket(account, region, service, operation_name).take()

        def listen(operation: Any, response: Any = None, **_: Any) -> None:
            error = response[1].get("Error") if response else None
            if error:
                status = response[0].status_code
                trouble = troubles.of_answer(service, operation.name, error.get("Code", ""), "", status)
                if trouble.status is GapStatus.THROTTLED:
                    self.bucket(account, region, service, operation.name).slow_down()

        # First: a request is signed in the same event, and its signature should not age while it waits.
        client.meta.events.register_first("request-created", wait)
        client.meta.events.register_first("needs-retry", listen)
