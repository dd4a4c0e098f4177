"""The reading corridor: a client in it can make no call that was not declared, and none that changes anything.

It hangs on botocore's own events, before a request is even built. What may be declared is bounded too: nothing but
listing and describing, no secret's value, no decryption.

>>> Corridor(("kms:DescribeKey", "kms:Decrypt"))
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: kms:Decrypt does not only read. Next: leave it out of `reads`
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from collectors._aws.permissions import only_reads, permission
from toolkit.errors import ConfigError, KeyatlasError

ASSUME_ROLE: Final = "sts:AssumeRole"
"""The one call beside reading: it gives credentials, and changes nothing."""


class CallForbidden(KeyatlasError):
    """A call that the collector did not declare, or that does not only read. Nothing was sent."""


class Corridor:
    """Bound by a collector's `reads`."""

    def __init__(self, reads: Iterable[str]) -> None:
        self._reads = frozenset(reads)
        for action in sorted(self._reads - {ASSUME_ROLE}):
            if not only_reads(action):
                raise ConfigError(f"{action} does not only read", advice="leave it out of `reads`")

    def guard(self, client: Any) -> None:
        """Refuse everything else that this client is asked to do."""
        service = client.meta.service_model.service_name

        def refuse(model: Any, **_: Any) -> None:
            self.check(service, model.name)

        client.meta.events.register_first("before-parameter-build", refuse)
        client.meta.events.register_first("before-call", refuse)

    def check(self, service: str, operation: str) -> None:
        """Raise CallForbidden unless the call is one of those declared."""
        action = permission(service, operation)
        if action not in self._reads:
            raise CallForbidden(f"{action} is not among what the collector reads", advice="nothing was sent")
