"""What can be asked of a simulator in a process of its own: only JSON goes in and comes out."""

from __future__ import annotations

import resource
from typing import Any

from simulators.kms.simulator import KmsSimulator

SETTINGS = {
    "latency",
    "consistency_delay",
    "transient_seconds",
    "rotation_seconds",
    "keeps_calls",
    "management_account",
}


class Control:
    """The simulator's own verbs, with names of accounts and regions in place of objects."""

    def __init__(self, aws: KmsSimulator) -> None:
        self._aws = aws

    def add_keys(self, *, account: str, region: str, count: int, **facts: Any) -> int:
        """Furnish a region."""
        return len(self._aws.account(account).region(region).add_keys(count, **facts))

    def credentials(self, *, account: str) -> dict[str, str]:
        """Arguments of a boto3 client or session."""
        return self._aws.account(account).credentials

    def set(self, **settings: Any) -> None:
        """Settings of the simulator, by name."""
        assert set(settings) <= SETTINGS, f"of {sorted(SETTINGS)}"
        for name, value in settings.items():
            setattr(self._aws, name, value)

    def throttle(self, *, scale: float = 1.0, **rates: float) -> None:
        """Keep to the documented quotas."""
        self._aws.throttle(scale, **rates)

    def deny(
        self, *, action: str, account: str | None = None, region: str | None = None, why: str = "identity"
    ) -> None:
        """Refuse an action."""
        self._aws.deny(action, account=account, region=region, why=why)

    def deny_share(self, *, action: str, share: float, seed: int = 0, why: str = "resource") -> list[str]:
        """Refuse an action on a share of the keys; their ARNs."""
        return [key.arn for key in self._aws.deny_share(action, share=share, seed=seed, why=why)]

    def fail(self, **rule: Any) -> None:
        """Let a share of calls fail."""
        self._aws.fail(**rule)

    def lose_replies(self, **rule: Any) -> None:
        """Let a share of answers be lost."""
        self._aws.lose_replies(**rule)

    def advance(self, *, days: float = 0.0, seconds: float = 0.0) -> None:
        """Let time pass."""
        self._aws.advance(days=days, seconds=seconds)

    def vanish(self, *, key: str) -> None:
        """Delete a key, by its ARN, between a listing and the next call."""
        _, _, _, region, account, name = key.split(":")
        self._aws.vanish(self._aws.account(account).region(region).facts.keys[name.removeprefix("key/")])

    def heal(self) -> None:
        """No fault any more."""
        self._aws.heal()

    def counts(self) -> list[tuple[str, str, int]]:
        """How many calls there were: operation, outcome, number."""
        return [(*name, number) for name, number in self._aws.counts.items()]

    def calls(self) -> list[tuple[Any, ...]]:
        """Every call that is remembered."""
        return [tuple(one) for one in self._aws.calls]

    def forget(self) -> None:
        """Start the log anew."""
        self._aws.forget()

    def keys(self) -> list[str]:
        """The ARNs of all keys."""
        return [key.arn for account in self._aws.accounts.values() for key in account.all_keys()]

    def peak_mb(self) -> float:
        """The most memory it had."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
