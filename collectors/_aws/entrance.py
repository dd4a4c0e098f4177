"""The ways into accounts: by profile, by a chain of roles, by one role in each account of an organisation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError

from collectors._aws import troubles
from collectors._aws.corridor import Corridor
from collectors._aws.pace import Pace
from collectors._aws.place import Place
from collectors._aws.scope import Scope
from collectors._aws.troubles import CallFailed, Trouble
from toolkit.model import Target

if TYPE_CHECKING:
    from collectors._aws.sessions import Account

# Beside the threads that all places share: those of the slow lanes.
_MORE_CONNECTIONS: Final = 16


class Entrance:
    """Opens sessions, each once; several threads may ask."""

    def __init__(self, scope: Scope, reads: tuple[str, ...]) -> None:
        self._scope, self._lock = scope, threading.RLock()
        self._corridor, self._pace = Corridor(reads), Pace(scope.quota_share)
        self._bases: dict[str, Account | Trouble] = {}
        self._homes: dict[str, Place] = {}
        self._members: dict[tuple[str, str], Account] = {}
        self._enabled: dict[tuple[str, str], frozenset[str] | Trouble] = {}
        self._lanes: ThreadPoolExecutor | None = None

    def lanes(self) -> ThreadPoolExecutor:
        """The threads that all places share."""
        with self._lock:
            if self._lanes is None:
                self._lanes = ThreadPoolExecutor(self._scope.threads, thread_name_prefix="keyatlas-aws")
            return self._lanes

    def base(self, profile: str) -> Account:
        """The session of a profile, behind all roles of the chain that are named by ARN.

        Raises:
            CallFailed: there is no such profile, or it has no credentials.
        """
        with self._lock:
            if profile not in self._bases:
                self._bases[profile] = self._opened(profile)
            found = self._bases[profile]
        if isinstance(found, Trouble):
            raise CallFailed(found)
        return found

    def _opened(self, profile: str) -> Account | Trouble:
        from collectors._aws.sessions import Account

        connections = self._scope.threads + _MORE_CONNECTIONS
        try:
            account = Account.of_profile(profile, corridor=self._corridor, pace=self._pace, connections=connections)
            for arn in self._scope.hops()[0]:
                account = account.assumed(arn)
        except BotoCoreError as failure:
            return troubles.of("sts", "GetCallerIdentity", failure)
        return account

    def home(self, profile: str, target: Target) -> Place:
        """The account of a profile, to ask who we are and what there is."""
        base = self.base(profile)
        with self._lock:
            if profile not in self._homes:
                options = (("account", ""), ("region", base.home()), ("partition", "aws"))
                at_home = Target(collector=target.collector, locator=target.locator, options=options)
                self._homes[profile] = Place(at_home, base, lanes=self.lanes(), journal=None)
            return self._homes[profile]

    def into(self, options: dict[str, str]) -> Account:
        """The account that a target's options name."""
        profile, number, role = options["profile"], options["account"], options.get("role")
        base = self.base(profile)
        if not role:
            return base
        with self._lock:
            if (profile, number) not in self._members:
                arn = f"arn:{options['partition']}:iam::{number}:role/{role}"
                self._members[profile, number] = base.assumed(arn)
            return self._members[profile, number]

    def enabled(self, place: Place) -> frozenset[str] | Trouble:
        """The regions that are switched on in a place's account; asked once an account."""
        key = (str(dict(place.target.options).get("profile")), place.account)
        with self._lock:
            if key not in self._enabled:
                try:
                    told: Any = place.ask("ec2", "DescribeRegions", {"AllRegions": True}, region=place.home)
                except CallFailed as failed:
                    self._enabled[key] = failed.trouble
                else:
                    on = [one["RegionName"] for one in told["Regions"] if one.get("OptInStatus") != "not-opted-in"]
                    self._enabled[key] = frozenset(on)
            return self._enabled[key]
