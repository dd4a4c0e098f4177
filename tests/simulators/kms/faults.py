"""What goes wrong when a test says so: denial, throttling, latency, failures, lost replies.

All of it is repeatable: whether a call fails depends on the seed, the call and how often it was made before, and not
on the order in which threads happen to arrive.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulators.kms.errors import LostReply, ServiceError, denied

if TYPE_CHECKING:
    from simulators.kms.calls import Call
    from simulators.kms.world import Key

# The last part of AWS's sentence, by the policy that denies (IAM user guide, "Troubleshoot access denied").
REASONS = {
    "identity": "because no identity-based policy allows the {action} action",
    "resource": "because no resource-based policy allows the {action} action",
    "scp": "with an explicit deny in a service control policy",
    "boundary": "because no permissions boundary allows the {action} action",
    "session": "because no session policy allows the {action} action",
    "explicit": "with an explicit deny in an identity-based policy",
}
FAILURES: dict[str, tuple[int, str]] = {
    "KMSInternalException": (500, "The request was rejected because an internal exception occurred."),
    "DependencyTimeoutException": (503, "The system timed out while trying to fulfill the request."),
    "InternalFailure": (500, "We encountered an internal error. Please try again."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "ThrottlingException": (400, "Rate exceeded"),
    "KeyUnavailableException": (500, "The request was rejected because the specified KMS key was not available."),
}
SHARED = {"InternalFailure", "ServiceUnavailable", "ThrottlingException"}
# Each service's own error for it.
TOO_MANY = {
    "kms": (
        "ThrottlingException",
        "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
    ),
    "tagging": ("ThrottledException", "Rate exceeded"),
    "organizations": ("TooManyRequestsException", "AWS Organizations can't complete your request"),
    "cloudtrail": ("ThrottlingException", "Rate exceeded"),
}


@dataclass(frozen=True, slots=True)
class Denial:
    """A rule that denies; None means any."""

    action: str
    key: str | None
    account: str | None
    region: str | None
    why: str

    def hits(self, call: Call, action: str, key: Key | None) -> bool:
        """Whether it denies this."""
        if self.account not in (None, call.account.account_id) or self.region not in (None, call.region.name):
            return False
        if self.key is not None and (key is None or self.key != key.arn):
            return False
        service, _, word = self.action.partition(":")
        return service == action.partition(":")[0] and word in ("*", action.partition(":")[2])


@dataclass(frozen=True, slots=True)
class Failure:
    """A share of calls that fail: with an error before the work, or with the answer lost after it."""

    share: float
    seed: int
    error: str
    operations: frozenset[str] | None

    def hits(self, call: Call, nth: int) -> bool:
        """Whether the nth call of its kind fails."""
        if self.operations is not None and call.operation not in self.operations:
            return False
        marker = call.params.get("Marker") or call.params.get("PaginationToken") or ""
        what = (self.seed, self.error, call.account.account_id, call.region.name, call.operation,
                call.params.get("KeyId"), marker, nth)  # fmt: skip
        drawn = hashlib.blake2b(repr(what).encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < self.share * 2**64


class Bucket:
    """A token bucket of one second's worth."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.size = max(1.0, rate)
        self.tokens = self.size
        self.at = time.monotonic()

    def take(self) -> bool:
        """One token, if there is one."""
        now = time.monotonic()
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._denials: dict[str | None, list[Denial]] = {}
        self.failures: list[Failure] = []
        self.latency = 0.0
        self.latencies: dict[str, float] = {}
        self.quotas: dict[str, float] = {}
        self.shared_quotas: dict[str, str] = {}
        self.quota_scale = 1.0
        self._buckets: dict[tuple[str, str, str], Bucket] = {}
        self._made: Counter[tuple[Any, ...]] = Counter()

    def deny(self, rule: Denial) -> None:
        """Put a rule in force; rules are kept by key, as there may be one for each of ten thousand."""
        self._denials.setdefault(rule.key, []).append(rule)

    def allow(self, rule: Denial) -> None:
        """Take it back."""
        self._denials[rule.key].remove(rule)

    def check_denied(self, call: Call, action: str, key: Key | None = None, resource: str = "*") -> None:
        """Raise AccessDeniedException where a rule says so."""
        if not self._denials:
            return
        of_key = self._denials.get(key.arn, ()) if key is not None else ()
        for rule in (*self._denials.get(None, ()), *of_key):
            if rule.hits(call, action, key):
                where = key.arn if key is not None else resource
                raise denied(call.principal, action, where, REASONS[rule.why].format(action=action))

    def check_quota(self, call: Call) -> None:
        """Raise ThrottlingException when the account used up its second in this region."""
        group = self.shared_quotas.get(call.operation, call.operation)
        rate = self.quotas.get(group)
        if rate is None:
            return
        name = (call.account.account_id, call.region.name, group)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(rate * self.quota_scale)
        if not bucket.take():
            raise ServiceError(*TOO_MANY.get(call.service, TOO_MANY["kms"]))

    def forget_buckets(self) -> None:
        """Start counting anew, at the rates that are set now."""
        self._buckets.clear()

    def check_failure(self, call: Call, *, is_done: bool) -> None:
        """Raise the error before the work, or LostReply after it."""
        if not self.failures:
            return
        key = (
            call.account.account_id,
            call.region.name,
            call.operation,
            call.params.get("KeyId"),
            call.params.get("Marker"),
        )
        if not is_done:
            self._made[key] += 1
        for rule in self.failures:
            if (rule.error == "lost reply") == is_done and rule.hits(call, self._made[key]):
                if is_done:
                    raise LostReply
                # The companions have no errors of KMS's own.
                error = rule.error if call.service == "kms" or rule.error in SHARED else "InternalFailure"
                status, message = FAILURES[error]
                raise ServiceError(error, message, status=status)

    def delay(self, operation: str) -> float:
        """Seconds until the answer."""
        return self.latencies.get(operation, self.latency)
