"""The simulator as tests see it: an estate of accounts and keys, the faults in force, and every call that came.

>>> with KmsSimulator() as aws:
...     key = aws.account("111122223333").region("eu-west-1").key(alias="payments")
...     kms = aws.client("kms", "eu-west-1", account="111122223333")
...     kms.describe_key(KeyId="alias/payments")["KeyMetadata"]["KeyState"]
'Enabled'
"""

from __future__ import annotations

import base64
import random
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

from simulators.kms import front, material, operations, quotas
from simulators.kms.calls import Call, Logged
from simulators.kms.estate import AccountHandle, RegionHandle
from simulators.kms.faults import FAILURES, REASONS, Denial, Failure, Faults
from simulators.kms.importing import Ticket
from simulators.kms.server import Server
from simulators.kms.world import Account, Key, access_key_id

__all__ = ["AccountHandle", "KmsSimulator", "RegionHandle"]
assert operations.OPERATIONS, "importing `operations` registers them"

REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "ap-northeast-1")


class KmsSimulator:
    """Start it with `with`; what is set on it holds from the next call on.

    With `checks_shapes` every answer is held against botocore's model, and what is wrong is kept in `problems`.
    """

    def __init__(self, *, port: int = 0, seed: int | None = None, checks_shapes: bool = False) -> None:
        self.checks_shapes = checks_shapes
        self.problems: list[str] = []
        self.accounts: dict[str, Account] = {}
        self.credentials: dict[str, tuple[Account, str]] = {}
        self.expired: set[str] = set()
        self.faults = Faults()
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.secret = secrets.token_bytes(32)
        self.canaries: set[bytes] = set()
        self.tickets: dict[bytes, Ticket] = {}
        self.calls: list[Logged] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.keeps_calls = True
        self.consistency_delay = 0.0
        self.transient_seconds = 0.0
        self.rotation_seconds = 0.0
        self.tracking_since = 0.0
        self.management_account: str | None = None
        self.closed_to_roles: set[str] = set()
        self.regions: tuple[str, ...] = REGIONS
        self._offset = 0.0
        self._pool: dict[tuple[str, int], object] = {}
        self._server = Server(lambda request: front.answer(self, request), port)
        self.url = ""

    def __enter__(self) -> KmsSimulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> str:
        """Listen; the URL for `endpoint_url` or AWS_ENDPOINT_URL."""
        self.url = f"http://127.0.0.1:{self._server.start()}"
        return self.url

    def stop(self) -> None:
        """Stop listening."""
        self._server.stop()

    def now(self) -> float:
        """The simulator's clock."""
        return time.time() + self._offset

    def advance(self, *, days: float = 0.0, seconds: float = 0.0) -> None:
        """Let time pass; what was due happens at each account's next call."""
        self._offset += days * 86_400 + seconds

    def account(self, account_id: str) -> AccountHandle:
        """An account, made when first named."""
        with self.lock:
            found = self.accounts.get(account_id)
            if found is None:
                found = self.accounts[account_id] = Account(account_id, self.now)
                self.credentials[found.access_key] = (found, f"arn:aws:iam::{account_id}:user/auditor")
            return AccountHandle(self, found)

    def client(self, service: str, region: str, *, account: str = "111122223333", **more: Any) -> Any:
        """A boto3 client of an account's credentials."""
        import boto3
        from botocore.config import Config

        keys = self.account(account).credentials
        config = more.pop("config", Config(retries={"total_max_attempts": 1}))
        return boto3.client(service, region_name=region, endpoint_url=self.url, config=config, **keys, **more)

    def assume(self, account: Account, role: str, session: str) -> tuple[str, str, str]:
        """Temporary credentials: access key, secret, token."""
        access_key = access_key_id(account.account_id, "ASIA")
        self.credentials[access_key] = (account, f"arn:aws:sts::{account.account_id}:assumed-role/{role}/{session}")
        return access_key, secrets.token_urlsafe(30), secrets.token_urlsafe(60)

    def deny(
        self, action: str, *, key: Key | None = None, account: str | None = None, region: str | None = None,
        why: str = "identity",
    ) -> Denial:  # fmt: skip
        """Refuse an action ("kms:GetKeyPolicy", "kms:*"), for one key, account or region or for all of them."""
        assert why in REASONS, f"one of {sorted(REASONS)}"
        rule = Denial(action, key.arn if key is not None else None, account, region, why)
        with self.lock:
            self.faults.deny(rule)
        return rule

    def deny_share(self, action: str, *, share: float, seed: int = 0, why: str = "resource") -> list[Key]:
        """Refuse an action on a share of all keys; those keys."""
        everything = [key for account in self.accounts.values() for key in account.all_keys()]
        chosen = random.Random(seed).sample(everything, round(share * len(everything)))
        for key in chosen:
            self.deny(action, key=key, why=why)
        return chosen

    def allow(self, rule: Denial) -> None:
        """Take a denial back."""
        with self.lock:
            self.faults.allow(rule)

    def fail(
        self,
        *,
        share: float,
        seed: int = 0,
        error: str = "KMSInternalException",
        operations: Iterable[str] | None = None,
    ) -> None:
        """Let a share of calls fail before their work is done; which ones depends on the seed and the call alone."""
        assert error in FAILURES, f"one of {sorted(FAILURES)}"
        self._fail(share, seed, error, operations)

    def lose_replies(self, *, share: float, seed: int = 0, operations: Iterable[str] | None = None) -> None:
        """Let the connection of a share of calls break after their work was done."""
        self._fail(share, seed, "lost reply", operations)

    def _fail(self, share: float, seed: int, error: str, operations: Iterable[str] | None) -> None:
        chosen = None if operations is None else frozenset(operations)
        self.faults.failures = [*self.faults.failures, Failure(share, seed, error, chosen)]

    def heal(self) -> None:
        """No denial, failure, latency or quota any more."""
        self.faults = Faults()
        self.expired = set()

    @property
    def latency(self) -> float:
        """Seconds that every answer takes; `latencies` has those of single operations."""
        return self.faults.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        self.faults.latency = seconds

    @property
    def latencies(self) -> dict[str, float]:
        """Seconds an answer takes, by operation."""
        return self.faults.latencies

    def throttle(self, scale: float = 1.0, **rates: float) -> None:
        """Keep to the documented request quotas, times `scale`; single rates by operation."""
        self.faults.quotas = quotas.PER_SECOND | rates
        self.faults.shared_quotas = quotas.SHARED
        self.faults.quota_scale = scale
        self.faults.forget_buckets()

    def expire(self, access_key: str) -> None:
        """Let credentials run out."""
        self.expired.add(access_key)

    def vanish(self, key: Key) -> None:
        """Delete a key between a listing and the next call: it is listed, and no call finds it."""
        key.is_vanished = True

    def pair_from_pool(self, spec: str, number: int) -> object:
        """A key pair that several keys of an estate share; made once."""
        if (spec, number) not in self._pool:
            self._pool[spec, number] = material.generate(spec)
        return self._pool[spec, number]

    def canary(self, size: int = 32) -> bytes:
        """Random bytes that must never surface in what is tested."""
        planted = secrets.token_bytes(size)
        self.canaries.add(planted)
        return planted

    def leaks(self, text: str | bytes) -> int:
        """How many planted secrets a text shows, raw, in hexadecimal or in base64."""
        data = text.encode() if isinstance(text, str) else text
        planted = self.canaries | {account.secret.encode() for account in self.accounts.values()}
        forms = ((one, one.hex().encode(), base64.b64encode(one)) for one in planted if len(one) >= 8)
        return sum(any(form in data for form in several) for several in forms)

    def log(self, entry: Logged) -> None:
        """Remember a call."""
        self.counts[entry.operation, entry.outcome] += 1
        if self.keeps_calls:
            self.calls.append(entry)

    def note(self, call: Call) -> None:
        """Remember what a successful call used."""
        for key, name in call.notes.get("uses", ()):
            key.last_use = (name, call.now, str(uuid.UUID(int=self.random.getrandbits(128))), call.request_id)

    def forget(self) -> None:
        """Start the log anew."""
        self.calls.clear()
        self.counts.clear()
