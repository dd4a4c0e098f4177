"""What exists: accounts, their regions, and in them keys, aliases, grants and key stores.

Nothing here speaks a protocol or checks a permission. Time is the simulator's clock, in seconds of the epoch; what
happens by itself (deletion, expiry, the end of a transient state, automatic rotation) waits in its account's heap and
is done by the account's first call after its time.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
import heapq
import itertools
import json
import secrets
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from simulators.kms import states
from simulators.kms.catalog import SPECS, Spec

DAY = 86_400.0
_numbers = itertools.count()


def hex_id(*words: object) -> str:
    """A stable 64-digit id, such as KMS gives to key material and grants."""
    return hashlib.sha256(":".join(map(str, words)).encode()).hexdigest()


def default_policy(account: str) -> str:
    """The policy of a key made by the API without one: IAM of the account decides."""
    root = {"AWS": f"arn:aws:iam::{account}:root"}
    allow = {
        "Sid": "Enable IAM User Permissions",
        "Effect": "Allow",
        "Principal": root,
        "Action": "kms:*",
        "Resource": "*",
    }
    return json.dumps({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [allow]})


@dataclass(slots=True)
class Material:
    """One generation of a symmetric key."""

    material_id: str
    state: str = "CURRENT"
    rotated_at: float | None = None
    rotation_type: str | None = None


@dataclass(slots=True)
class Imported:
    """Material that the customer brought, in one region."""

    secret: bytes = field(repr=False)
    valid_to: float | None = None
    description: str | None = None


@dataclass(slots=True)
class Backing:
    """What related multi-Region keys share: material, key pair, rotation."""

    key_id: str
    period_days: int | None = None
    next_rotation_at: float | None = None
    on_demand: int = 0
    on_demand_at: float | None = None
    materials: list[Material] | None = None
    pair: object = field(default=None, repr=False)
    members: list[Key] = field(default_factory=list, repr=False)

    def generations(self) -> list[Material]:
        """All material, the newest last; made when first asked for, as most keys never rotate."""
        if self.materials is None:
            self.materials = [Material(hex_id(self.key_id, 0))]
        return self.materials

    @property
    def current_id(self) -> str:
        """The id of the material that encrypts now."""
        if self.materials is None:
            return hex_id(self.key_id, 0)
        return next(one.material_id for one in self.materials if one.state == "CURRENT")


@dataclass(slots=True)
class Grant:
    """Who may do what with a key, beside its policy."""

    grant_id: str
    token: str
    created_at: float
    visible_at: float
    facts: dict[str, object]


@dataclass(slots=True, eq=False)
class Key:
    """A KMS key in one region."""

    key_id: str
    region: Region = field(repr=False)
    spec: Spec = SPECS["SYMMETRIC_DEFAULT"]
    usage: str = "ENCRYPT_DECRYPT"
    origin: str = "AWS_KMS"
    manager: str = "CUSTOMER"
    description: str = ""
    created_at: float = 0.0
    visible_at: float = 0.0
    state: str = states.ENABLED
    resumes: str = states.ENABLED
    deletion_at: float | None = None
    window_days: int | None = None
    replica: str | None = None
    store_id: str | None = None
    xks_id: str | None = None
    policy: str | None = None
    tags: dict[str, str] | None = None
    grants: dict[str, Grant] | None = None
    imported: dict[str, Imported] | None = field(default=None, repr=False)
    last_use: tuple[str, float, str, str] | None = None
    backing: Backing = field(default=None, repr=False)  # type: ignore[assignment]
    ram_policy: str | None = None
    is_vanished: bool = False

    @property
    def arn(self) -> str:
        """The key's name in the whole of AWS."""
        return f"arn:{self.region.partition}:kms:{self.region.name}:{self.region.account.account_id}:key/{self.key_id}"

    @property
    def primary(self) -> Key:
        """The primary of a multi-Region set; of any other key, itself."""
        return next((key for key in self.backing.members if key.replica == "PRIMARY"), self)

    def policy_text(self) -> str:
        """The key policy, the default one where none was put."""
        return self.policy or default_policy(self.region.account.account_id)

    def move(self, state: str) -> None:
        """Into another state; a key in a disconnected store keeps saying Unavailable and remembers the move."""
        self.resumes = state if state in (states.ENABLED, states.DISABLED, states.PENDING_IMPORT) else self.resumes
        store = self.region.stores.get(self.store_id or "")
        unplugged = store is not None and store.state != "CONNECTED" and state not in states.DYING
        self.state = states.UNAVAILABLE if unplugged else state

    def settled(self) -> str:
        """The state that a key of its origin rests in when nothing else is said."""
        if self.origin != "EXTERNAL":
            return states.ENABLED
        needed = [one.material_id for one in self.backing.materials or () if "PENDING" not in one.state]
        return states.ENABLED if needed and set(needed) <= set(self.imported or ()) else states.PENDING_IMPORT


@dataclass(slots=True)
class Alias:
    """A name for a key; the predefined ones of AWS may have no key yet."""

    name: str
    target: str | None
    created_at: float
    updated_at: float
    visible_at: float


@dataclass(slots=True)
class Store:
    """A custom key store: of CloudHSM, or external behind a proxy."""

    store_id: str
    facts: dict[str, object]
    state: str = "CONNECTED"


class Region:
    """One region of one account."""

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self.partition = "aws-cn" if name.startswith("cn-") else "aws"
        self.keys: dict[str, Key] = {}
        self._order: list[str] = []
        self._is_sorted = True
        self.aliases: dict[str, Alias] = {}
        self.stores: dict[str, Store] = {}
        self.events: list[dict[str, object]] = []
        self.shared: list[Key] = []
        self.unsettled_until = 0.0

    @property
    def order(self) -> list[str]:
        """The ids of its keys, sorted as listings have them; sorted only when asked for, so that many can be added."""
        if not self._is_sorted:
            self._order.sort()
            self._is_sorted = True
        return self._order

    def add(self, key: Key) -> Key:
        """Put a key where listings find it."""
        self._order.append(key.key_id)
        self._is_sorted = False
        self.keys[key.key_id] = key
        if key.backing is None:
            key.backing = Backing(key.key_id)
        key.backing.members.append(key)
        self.unsettled_until = max(self.unsettled_until, key.visible_at)
        return key

    def drop(self, key: Key) -> None:
        """Delete a key and the aliases that name it; the last replica lets its primary go."""
        self.keys.pop(key.key_id, None)
        order = self.order
        order.pop(bisect.bisect_left(order, key.key_id))
        self.aliases = {name: alias for name, alias in self.aliases.items() if alias.target != key.key_id}
        key.backing.members.remove(key)
        primary = key.primary
        if primary.state == states.PENDING_REPLICA_DELETION and len(primary.backing.members) == 1:
            primary.region.die(primary, now=self.account.now())

    def die(self, key: Key, *, now: float) -> None:
        """Start the waiting period."""
        key.state = states.PENDING_DELETION
        when = key.deletion_at = now + (key.window_days or 30) * DAY
        # A deletion that was cancelled, and perhaps planned anew, must not fire at its first date.
        self.at(when, lambda: key.state == states.PENDING_DELETION and key.deletion_at == when and self.drop(key))

    def at(self, when: float, work: Callable[[], object]) -> None:
        """Do it then."""
        self.account.at(when, work)


class Account:
    """One account: its regions, its credentials, and which regions it switched off."""

    def __init__(self, account_id: str, now: Callable[[], float]) -> None:
        self.account_id = account_id
        self.now = now
        self.regions: dict[str, Region] = {}
        self.disabled_regions: set[str] = set()
        self.name = f"account-{account_id}"
        self.status = "ACTIVE"
        self.access_key = access_key_id(account_id)
        self.secret = secrets.token_urlsafe(30)
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, when: float, work: Callable[[], object]) -> None:
        """Do it then."""
        heapq.heappush(self._due, (when, next(_numbers), work))

    def settle(self, now: float) -> None:
        """Do what has come due."""
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()

    def region(self, name: str) -> Region:
        """The region, made when first named."""
        found = self.regions.get(name)
        if found is None:
            found = self.regions[name] = Region(self, name)
        return found

    def all_keys(self) -> Iterator[Key]:
        """All its keys."""
        for region in self.regions.values():
            yield from region.keys.values()


def access_key_id(account_id: str, prefix: str = "AKIA") -> str:
    """An access key id that carries its account, as the ids given since 2019 do."""
    word = (1 << 47) | (int(account_id) << 7)
    return prefix + base64.b32encode(word.to_bytes(6, "big") + secrets.token_bytes(4)).decode()


def new_key_id(*, is_multi_region: bool = False) -> str:
    """A random id; those of multi-Region keys say so."""
    return f"mrk-{uuid.uuid4().hex}" if is_multi_region else str(uuid.uuid4())
