"""What each action is for: use, administer, grant, delete or read. The table is data: `actions.toml`.

A set of a service's actions is an integer, one bit an action, so a statement is matched against the table once and
thousands of keys are judged with `&` and `|`.

>>> kms = table("kms")
>>> kms.names(kms.mask(("kms:re*from", "KMS:Decrypt")))
('kms:Decrypt', 'kms:ReEncryptFrom')
>>> str(kms.function("kms:ScheduleKeyDeletion"))
'delete'
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from collectors._aws.policy.patterns import matcher
from toolkit.terms import AccessFunction


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The actions of one service, sorted; masks are sets of them."""

    service: str
    actions: tuple[str, ...]
    functions: dict[AccessFunction, int]
    on_resource: int
    cross_account: int
    needs_resource_policy: bool
    operations: dict[str, tuple[str, ...]]
    only_permissions: tuple[str, ...]
    _masks: dict[tuple[tuple[str, ...], bool], int] = field(default_factory=dict)
    _names: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def everything(self) -> int:
        """All actions."""
        return (1 << len(self.actions)) - 1

    def mask(self, patterns: tuple[str, ...], *, is_not: bool = False) -> int:
        """The actions that patterns mean, or those that they do not (NotAction is the complement of Action)."""
        found = self._masks.get((patterns, is_not))
        if found is None:
            fits = [matcher(pattern, ignore_case=True) for pattern in patterns]
            found = sum(1 << n for n, action in enumerate(self.actions) if any(fit(action) for fit in fits))
            found = self.everything & ~found if is_not else found
            self._masks[(patterns, is_not)] = found
        return found

    def names(self, mask: int) -> tuple[str, ...]:
        """The actions of a mask, sorted."""
        found = self._names.get(mask)
        if found is None:
            found = self._names[mask] = tuple(action for n, action in enumerate(self.actions) if mask >> n & 1)
        return found

    def function(self, action: str) -> AccessFunction | None:
        """What an action is for; None if the table does not know it."""
        bit = self.mask((action,))
        return next((function for function, mask in self.functions.items() if bit and mask & bit == bit), None)


@cache
def table(service: str) -> Table:
    """A service's table; the name is the prefix of its actions."""
    data = _data()[service]
    actions = tuple(sorted(f"{service}:{name}" for function in AccessFunction for name in data.get(function.value, ())))
    bits = {action: 1 << n for n, action in enumerate(actions)}

    def mask(name: str) -> int:
        return sum(bits[f"{service}:{action}"] for action in data.get(name, ()))

    everything = (1 << len(actions)) - 1
    return Table(
        service=service,
        actions=actions,
        functions={function: mask(function.value) for function in AccessFunction},
        on_resource=everything & ~mask("not_on_resource"),
        cross_account=mask("cross_account") if "cross_account" in data else everything,
        needs_resource_policy=data.get("needs_resource_policy", False),
        operations={name: tuple(told) for name, told in data.get("operations", {}).items()},
        only_permissions=tuple(data.get("only_permissions", ())),
    )


def services() -> tuple[str, ...]:
    """The services that have a table."""
    return tuple(_data())


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("actions.toml").read_text(encoding="utf-8"))
