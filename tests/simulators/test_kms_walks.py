"""Whatever a client does in whatever order, a simulated key never moves where the documentation knows no way."""

from __future__ import annotations

import itertools
from typing import ClassVar

from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from simulators.kms.simulator import KmsSimulator

HOME, AWAY = "eu-west-1", "us-east-1"
DYING = {"PendingDeletion", "PendingReplicaDeletion"}
# From the developer guide's page on key states and the operations' own pages: verb, from, to. None is "gone".
MOVES: set[tuple[str, str, str | None]] = {
    ("disable_key", "Enabled", "Disabled"),
    ("enable_key", "Disabled", "Enabled"),
    *(
        ("schedule_key_deletion", state, "PendingDeletion")
        for state in ("Enabled", "Disabled", "PendingImport", "Unavailable")
    ),
    *(("schedule_key_deletion", state, "PendingReplicaDeletion") for state in ("Enabled", "Disabled", "PendingImport")),
    *(("cancel_key_deletion", state, to) for state in DYING for to in ("Disabled", "PendingImport", "Unavailable")),
    *(("update_primary_region", state, "Updating") for state in ("Enabled", "PendingImport")),
    ("disconnect", "Enabled", "Unavailable"),
    ("disconnect", "Disabled", "Unavailable"),
    ("connect", "Unavailable", "Enabled"),
    ("connect", "Unavailable", "Disabled"),
    ("import", "PendingImport", "Enabled"),
    ("delete_imported_key_material", "Enabled", "PendingImport"),
    ("delete_imported_key_material", "Disabled", "PendingImport"),
    # What happens by itself, in the order in which it may happen within one wait.
    ("wait", "PendingDeletion", None),
    ("wait", "PendingReplicaDeletion", "PendingDeletion"),
    ("wait", "PendingReplicaDeletion", None),
    ("wait", "Creating", "Enabled"),
    ("wait", "Updating", "Enabled"),
    ("wait", "Updating", "PendingImport"),
    ("wait", "Enabled", "PendingImport"),
    ("wait", "Disabled", "PendingImport"),
}
KINDS = ("plain", "multi-region", "external", "stored")


class Walk(RuleBasedStateMachine):
    """A few keys, every verb on any of them, and after each the states of all are looked at."""

    aws: ClassVar[KmsSimulator]
    accounts = itertools.count(111122220000)

    def __init__(self) -> None:
        super().__init__()
        self.account = self.aws.account(str(next(self.accounts)))
        self.region = self.account.region(HOME)
        self.clients = {name: self.aws.client("kms", name, account=self.account.account_id) for name in (HOME, AWAY)}
        self.store = self.region.store().store_id
        self.verb = ""
        self.seen: dict[tuple[str, str], str | None] = {}

    @initialize()
    def furnish(self) -> None:
        """A key of each kind."""
        self.region.key()
        self.region.key(is_multi_region=True)
        self.region.key(origin="EXTERNAL")
        self.region.key(origin="AWS_CLOUDHSM", store_id=self.store)
        self.names = sorted(self.region.facts.keys)
        self.seen = self.states()

    def states(self) -> dict[tuple[str, str], str | None]:
        """Every key's state as it is now, without a call; None for one that is gone."""
        told: dict[tuple[str, str], str | None] = {}
        with self.aws.lock:
            self.account.facts.settle(self.aws.now())
            for place in self.clients:
                keys = self.account.facts.region(place).keys
                told |= {(place, name): keys[name].state if name in keys else None for name in self.names}
        return told

    def do(self, verb: str, place: str, number: int, **words: object) -> None:
        """A call that may be refused."""
        self.verb, status = verb, 200
        try:
            getattr(self.clients[place], verb)(KeyId=self.names[number], **words)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        assert status in (200, 400)

    places, numbers = st.sampled_from([HOME, AWAY]), st.integers(0, len(KINDS) - 1)

    @rule(verb=st.sampled_from(["enable_key", "disable_key", "cancel_key_deletion"]), place=places, number=numbers)
    def switch(self, verb: str, place: str, number: int) -> None:
        """On, off, and back from deletion."""
        self.do(verb, place, number)

    @rule(place=places, number=numbers, days=st.integers(7, 30))
    def destroy(self, place: str, number: int, days: int) -> None:
        """Plan a deletion."""
        self.do("schedule_key_deletion", place, number, PendingWindowInDays=days)

    @rule(place=places, number=numbers)
    def replicate(self, place: str, number: int) -> None:
        """Into the other region."""
        self.do("replicate_key", place, number, ReplicaRegion=AWAY if place == HOME else HOME)

    @rule(place=places, number=numbers)
    def change_primary(self, place: str, number: int) -> None:
        """To the other region."""
        self.do("update_primary_region", place, number, PrimaryRegion=AWAY if place == HOME else HOME)

    @rule(number=numbers, days=st.sampled_from([None, 5]))
    def bring(self, number: int, days: int | None) -> None:
        """First material, which may expire; as an import would, where an import may be."""
        self.verb = "import"
        key = self.region.facts.keys.get(self.names[number])
        if key is not None and key.origin == "EXTERNAL" and key.state == "PendingImport" and not key.backing.materials:
            self.region.import_material(key, valid_to=days and self.aws.now() + days * 86_400)

    @rule(number=numbers)
    def take(self, number: int) -> None:
        """Delete imported material."""
        self.do("delete_imported_key_material", HOME, number)

    @rule(is_on=st.booleans())
    def plug(self, is_on: bool) -> None:
        """Connect or disconnect the store."""
        self.verb = "connect" if is_on else "disconnect"
        client = self.clients[HOME]
        verb = client.connect_custom_key_store if is_on else client.disconnect_custom_key_store
        try:
            verb(CustomKeyStoreId=self.store)
        except client.exceptions.CustomKeyStoreInvalidStateException:
            self.verb = "nothing"

    @rule(days=st.sampled_from([0.001, 6, 31]))
    def wait(self, days: float) -> None:
        """Let time pass."""
        self.verb = "wait"
        self.aws.advance(days=days)

    @invariant()
    def only_documented_moves(self) -> None:
        """Every change of a state is one of MOVES for the verb that was just done."""
        if not self.seen:
            return
        now = self.states()
        for where, before in self.seen.items():
            after = now[where]
            if before == after or (before is None and self.verb == "replicate_key" and after == "Creating"):
                continue
            assert (self.verb, before, after) in MOVES, where
        self.seen = now


def test_any_walk_keeps_to_the_documented_moves(aws):
    """Hypothesis looks for a walk that the simulator allows and the documentation does not."""
    aws.transient_seconds = 60.0
    Walk.aws = aws
    # Shrinking a walk over HTTP takes minutes; a walk of 25 steps can be read as it is.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    checks = list(HealthCheck)
    walks = settings(
        max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=checks, phases=phases
    )
    run_state_machine_as_test(Walk, settings=walks)

    # A walk that is refused everywhere would prove nothing.
    assert {"OK", "KMSInvalidStateException"} <= {outcome for _, outcome in aws.counts}
