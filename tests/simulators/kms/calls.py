"""One call: who asks what where, and how it finds its key. Operations register themselves here by name.

An operation is a function of a `Call` that returns the members of its output shape, or None where it has none. Finding
the key is also where permission and key state are checked, in AWS's order: permission first.
"""

from __future__ import annotations

import base64
import binascii
import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from simulators.kms import states
from simulators.kms.errors import ServiceError, denied, dry_run, invalid, no_alias, no_key
from simulators.kms.world import Account, Key, Region

if TYPE_CHECKING:
    from simulators.kms.simulator import KmsSimulator

Operation = Callable[["Call"], "dict[str, Any] | None"]
OPERATIONS: dict[str, Operation] = {}

# "Cross-account use: Yes" on each operation's page of the API reference.
ACROSS_ACCOUNTS = states.USES | {
    "CreateGrant", "DescribeKey", "GetKeyRotationStatus", "GetPublicKey", "ListGrants", "RetireGrant", "RevokeGrant",
}  # fmt: skip
# The pages of these say "alias name or alias ARN" for KeyId; for all others an alias is not a key.
BY_ALIAS = states.USES | {"DescribeKey", "GetPublicKey"}
NO_ALLOWANCE = "because no resource-based policy allows the {} action"


class Logged(NamedTuple):
    """A call as the simulator remembers it; `outcome` is OK or the error's code."""

    operation: str
    account: str
    region: str
    key: str | None
    at: float
    outcome: str
    principal: str = ""


def operation(name: str) -> Callable[[Operation], Operation]:
    """Register the function that answers an operation."""

    def register(function: Operation) -> Operation:
        OPERATIONS[name] = function
        return function

    return register


@dataclass(slots=True)
class Call:
    """A request on its way through the simulator."""

    aws: KmsSimulator
    operation: str
    params: dict[str, Any]
    account: Account
    region: Region
    principal: str
    now: float
    request_id: str
    service: str = "kms"
    key: Key | None = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """The IAM action."""
        return f"{self.service}:{self.operation}"

    def find(self, name: str = "KeyId", *, action: str | None = None) -> Key:
        """The key that a parameter names, if the caller may do this with it and its state allows it.

        Raises:
            ServiceError: NotFoundException, AccessDeniedException, or the refusal of the key state table.
        """
        key = self.look_up(self.params[name])
        self.key = key
        self.permit(key, action or self.action)
        self.notes.setdefault("keys", []).append(key)
        states.check(self.operation, key.state, key.arn)
        return key

    def look_up(self, name: str) -> Key:
        """The key of an id, ARN, alias name or alias ARN."""
        region, word = self.region, name
        if name.startswith("arn:"):
            region, word = self._place(name)
        if word.startswith("alias/"):
            if self.operation not in BY_ALIAS:
                raise no_key(word)
            word = self._target(region, word)
        key = region.keys.get(word.removeprefix("key/"))
        if key is None or key.is_vanished or key.visible_at > self.now:
            raise no_key(name)
        return key

    def _place(self, arn: str) -> tuple[Region, str]:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith(("key/", "alias/")):
            raise ServiceError("InvalidArnException", f"Invalid arn {arn}")
        if parts[3] != self.region.name:
            raise ServiceError("NotFoundException", f"Invalid arn {parts[3]}")
        owner = self.aws.accounts.get(parts[4])
        if owner is None:
            raise no_key(arn)
        return owner.region(parts[3]), parts[5]

    def _target(self, region: Region, name: str) -> str:
        alias = region.aliases.get(name)
        if alias is None or alias.target is None or alias.visible_at > self.now:
            raise no_alias(f"arn:{region.partition}:kms:{region.name}:{region.account.account_id}:{name}")
        return alias.target

    def permit(self, key: Key, action: str) -> None:
        """Refuse what a rule of the test denies, and what a key of another account does not give away."""
        self.aws.faults.check_denied(self, action, key)
        owner = key.region.account
        if owner is self.account:
            return
        policy = key.policy_text()
        gives = f":{self.account.account_id}:" in policy or '"*"' in policy.replace('"Resource": "*"', "")
        if self.operation not in ACROSS_ACCOUNTS or not gives:
            raise denied(self.principal, action, key.arn, NO_ALLOWANCE.format(action))

    def not_of_aws(self, key: Key) -> None:
        """Keys that AWS manages have a policy that gives no one in the account the right to change them."""
        if key.manager == "AWS":
            raise denied(self.principal, self.action, key.arn, NO_ALLOWANCE.format(self.action))

    def check_dry_run(self) -> None:
        """To be called when all checks are done and nothing has been changed."""
        if self.params.get("DryRun"):
            raise dry_run()

    def blob(self, name: str, most: int = 1 << 20) -> bytes:
        """A parameter of bytes."""
        try:
            data = base64.b64decode(self.params[name], validate=True)
        except (binascii.Error, TypeError) as error:
            raise ServiceError("SerializationException", f"{name} is not base64") from error
        if len(data) > most:
            raise invalid(f"Member must have length less than or equal to {most}", at=name, value="[blob]")
        return data

    def page(self, names: Sequence[str], default: int) -> tuple[Sequence[str], dict[str, Any]]:
        """The names after the marker, and the members that tell of further ones.

        `names` must be sorted: a marker says after which name to go on, so what vanishes between two pages cannot
        make the next one skip anything.
        """
        start = 0
        if "Marker" in self.params:
            try:
                last = base64.b64decode(self.params["Marker"], b"-_", validate=True).decode()
            except ValueError as error:
                raise ServiceError("InvalidMarkerException", "Could not deserialize marker") from error
            start = bisect.bisect_right(names, last)
        limit = self.params.get("Limit", default)
        some = names[start : start + limit]
        if start + limit >= len(names):
            return some, {"Truncated": False}
        return some, {"Truncated": True, "NextMarker": base64.urlsafe_b64encode(some[-1].encode()).decode()}
