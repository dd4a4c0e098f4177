"""Which accounts and regions there are: one target each, cheap to name, the same from run to run.

What fails here is a target of its own, whose reading is the Gap: a profile that has expired, an organisation that may
not be listed, regions that may not be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from collectors._aws.entrance import Entrance
from collectors._aws.place import attempt
from collectors._aws.scope import Scope
from collectors._aws.troubles import CallFailed, Trouble
from toolkit.model import Target
from toolkit.terms import GapStatus

GLOBAL: Final = "global"
# An organisation's account in one of these states cannot be entered by anybody (Organizations API, Account.State).
_CLOSED: Final = ("SUSPENDED", "PENDING_CLOSURE", "CLOSED")
_NOTICE: Final = "the organisation's account is {state}: nobody can enter it"


@dataclass(frozen=True, slots=True)
class Naming:
    """What is asked for, and by whom: one round of naming targets."""

    collector: str
    service: str
    scope: Scope
    entrance: Entrance
    is_global: bool
    on_identity: Callable[[str], None]

    def targets(self) -> Iterator[Target]:
        """Each account and region once, however many profiles lead there."""
        seen = set()
        for profile in self.scope.profiles or ("",):
            for target in self._of_profile(profile):
                if target.locator not in seen:
                    seen.add(target.locator)
                    yield target

    def _of_profile(self, profile: str) -> Iterator[Target]:
        whole = self._bare(f"aws://profile/{profile or 'default'}/{self.service}")
        try:
            home = self.entrance.home(profile, whole)
            who = home.ask("sts", "GetCallerIdentity")
        except CallFailed as failed:
            yield _failed(whole, failed.trouble)
            return
        partition, own = who["Arn"].split(":")[1], who["Account"]
        self.on_identity(who["Arn"])
        listed, refused = self._listed(home, own)
        yield from refused
        regions, refused = self._regions(home, own, partition)
        yield from refused
        for number in self.scope.accounts or tuple(listed) or (own,):
            for region in regions:
                yield self._target(profile, number, region, partition, own, listed.get(number) or {})

    def _listed(self, home: Any, own: str) -> tuple[dict[str, dict[str, Any]], list[Target]]:
        """The organisation's accounts by number; and the target that tells why not."""
        if not self.scope.organization:
            return {}, []
        found = attempt(lambda: list(home.pages("organizations", "ListAccounts", "Accounts", {"MaxResults": 20})))
        if isinstance(found, Trouble):
            advice = "ask in the management account or a delegated administrator's, or name --account"
            bare = self._bare(f"aws://{own}/organization/{self.service}")
            return {}, [_failed(bare, found.but(advice=advice))]
        return {one["Id"]: one for one in sorted(found, key=lambda one: str(one["Id"]))}, []

    def _regions(self, home: Any, own: str, partition: str) -> tuple[list[str], list[Target]]:
        if self.is_global:
            return [GLOBAL], []
        if self.scope.regions:
            return list(self.scope.regions), []
        told = attempt(home.ask, "ec2", "DescribeRegions", {"AllRegions": True})
        if isinstance(told, Trouble):
            # The regions that botocore knows are read; a newer one would not be, so that is said.
            advice = f"allow {told.permission or 'ec2:DescribeRegions'}, or name each --region"
            bare = self._bare(f"aws://{own}/regions/{self.service}")
            return home.known_regions(partition, self.service), [_failed(bare, told.but(advice=advice))]
        return sorted(one["RegionName"] for one in told["Regions"]), []

    def _target(self, profile: str, number: str, region: str, partition: str, own: str, told: dict[str, Any]) -> Target:
        role = self.scope.hops()[1]
        is_only_own = not self.scope.organization and not self.scope.accounts
        options = {"profile": profile, "account": number, "region": region, "partition": partition}
        if role and (number != own or is_only_own):
            options["role"] = role
        state = told.get("State") or told.get("Status")
        if state in _CLOSED:
            options |= _as_options(Trouble(GapStatus.DENIED, _NOTICE.format(state=state), code=state))
        name = told.get("Name")
        return Target(
            collector=self.collector,
            locator=f"aws://{number}/{region}/{self.service}",
            label=f"{name} ({number}), {region}" if name else f"{number}, {region}",
            options=tuple(options.items()),
        )

    def _bare(self, locator: str) -> Target:
        return Target(collector=self.collector, locator=locator)


def _failed(target: Target, trouble: Trouble) -> Target:
    return Target(collector=target.collector, locator=target.locator, options=tuple(_as_options(trouble).items()))


def _as_options(trouble: Trouble) -> dict[str, str]:
    told = {name: value for name, value in asdict(trouble).items() if isinstance(value, str)}
    return {f"trouble_{name}": str(value) for name, value in told.items()}


def trouble_in(target: Target) -> Trouble | None:
    """The trouble that a target was named for."""
    told = {name[8:]: value for name, value in target.options if name.startswith("trouble_")}
    if "status" not in told:
        return None
    return Trouble(GapStatus(told.pop("status")), told.pop("reason"), **told)  # type: ignore[arg-type]  # texts only
