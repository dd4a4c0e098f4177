"""Handles by which a test furnishes accounts and regions, without a call over HTTP."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from simulators.kms import grants, importing, rotation, states
from simulators.kms.catalog import SPECS
from simulators.kms.world import DAY, Account, Alias, Grant, Imported, Key, Region, Store, hex_id, new_key_id

if TYPE_CHECKING:
    from simulators.kms.simulator import KmsSimulator

READER = "arn:aws:iam::{account}:role/reader"


class AccountHandle:
    """One account."""

    def __init__(self, aws: KmsSimulator, account: Account) -> None:
        self._aws = aws
        self.facts = account
        self.account_id = account.account_id

    @property
    def credentials(self) -> dict[str, str]:
        """Arguments of a boto3 client or session."""
        return {"aws_access_key_id": self.facts.access_key, "aws_secret_access_key": self.facts.secret}

    def environment(self, region: str) -> dict[str, str]:
        """Variables for a program that speaks to AWS."""
        return {
            "AWS_ACCESS_KEY_ID": self.facts.access_key, "AWS_SECRET_ACCESS_KEY": self.facts.secret,
            "AWS_ENDPOINT_URL": self._aws.url, "AWS_DEFAULT_REGION": region, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PAGER": "",
        }  # fmt: skip

    def region(self, name: str) -> RegionHandle:
        """One of its regions."""
        with self._aws.lock:
            return RegionHandle(self._aws, self.facts.region(name))

    def disable_region(self, name: str) -> None:
        """Opt out of a region."""
        self.facts.disabled_regions.add(name)


class RegionHandle:
    """One region of an account."""

    def __init__(self, aws: KmsSimulator, region: Region) -> None:
        self._aws = aws
        self.facts = region
        self.name = region.name

    def key(self, spec: str = "SYMMETRIC_DEFAULT", *, alias: str | None = None, grants: int = 0, **facts: Any) -> Key:
        """A key, of any members of `world.Key`: usage, origin, state, tags, policy, created_at, rotated_every_days …"""
        aws, known = self._aws, SPECS[spec]
        days = facts.pop("rotated_every_days", None)
        is_multi_region = facts.pop("is_multi_region", False)
        origin = facts.get("origin", "AWS_KMS")
        with aws.lock:
            now = aws.now()
            facts = {"created_at": now, "usage": next(iter(known.algorithms))} | facts
            name = facts.pop("key_id", None) or new_key_id(is_multi_region=is_multi_region)
            key = Key(name, self.facts, known, replica="PRIMARY" if is_multi_region else None, **facts)
            self.facts.add(key)
            if origin == "EXTERNAL":
                self._settle_imported(key, has_state="state" in facts)
            if key.state == states.PENDING_DELETION:
                self.facts.die(key, now=now)
            if days is not None:
                key.backing.period_days = days
                rotation.next_automatic(
                    key, key.created_at + (int((now - key.created_at) // (days * DAY)) + 1) * days * DAY
                )
            if alias is not None:
                self.alias(alias, key)
            for number in range(grants):
                self.grant(key, Name=f"grant-{number}")
        return key

    def _settle_imported(self, key: Key, *, has_state: bool) -> None:
        key.backing.materials = []
        if not has_state:
            key.state = states.PENDING_IMPORT
        key.resumes = key.state

    def import_material(self, key: Key, *, valid_to: float | None = None, description: str | None = None) -> str:
        """Give an EXTERNAL key its first material, or further material that waits for a rotation; its id."""
        secret = self._aws.canary()
        with self._aws.lock:
            number = hex_id(key.key_id, hex_id(secret.hex()))
            importing.place(key, number)
            importing.bring(key, number, Imported(secret, valid_to, description))
        return number

    def replica(self, primary: Key, **facts: Any) -> Key:
        """A replica of a multi-Region key in this region."""
        whole = {"created_at": self._aws.now(), "usage": primary.usage, "origin": primary.origin} | facts
        key = Key(primary.key_id, self.facts, primary.spec, replica="REPLICA", backing=primary.backing, **whole)
        with self._aws.lock:
            return self.facts.add(key)

    def share(self, key: Key) -> None:
        """Share another account's key with this one, through RAM."""
        allow = {"Effect": "Allow", "Principal": {"AWS": self.facts.account.account_id}, "Action": "kms:Encrypt"}
        key.ram_policy = json.dumps({"Version": "2012-10-17", "Statement": [allow | {"Resource": "*"}]})
        self.facts.shared.append(key)

    def managed_key(self, service: str, **facts: Any) -> Key:
        """The AWS managed key of a service, with its alias."""
        return self.key(manager="AWS", alias=f"aws/{service}", **facts)

    def predefined_alias(self, service: str) -> None:
        """An alias that AWS lists before its key exists: it has no target."""
        self.facts.aliases[f"alias/aws/{service}"] = Alias(f"alias/aws/{service}", None, 0.0, 0.0, 0.0)

    def alias(self, name: str, key: Key, **facts: Any) -> Alias:
        """A name for a key, without the prefix alias/."""
        now = self._aws.now()
        alias = Alias(f"alias/{name}", key.key_id, now, now, 0.0)
        for member, value in facts.items():
            setattr(alias, member, value)
        self.facts.aliases[alias.name] = alias
        return alias

    def grant(self, key: Key, *, created_at: float | None = None, **facts: Any) -> Grant:
        """A grant on a key, of any members of CreateGrant."""
        account = self.facts.account.account_id
        whole = {"GranteePrincipal": READER.format(account=account), "Operations": ["Decrypt"], "KeyId": key.arn,
                 "IssuingAccount": f"arn:aws:iam::{account}:root"} | facts  # fmt: skip
        return grants.add_grant(key, whole, now=self._aws.now() if created_at is None else created_at)

    def rotated(self, key: Key, dates: Iterable[float], kind: str = "AUTOMATIC") -> None:
        """Rotations that lie in the past."""
        for when in dates:
            rotation.generation(key, kind, when)

    def used(self, key: Key, operation: str, at: float) -> None:
        """A use that lies in the past."""
        key.last_use = (operation, at, hex_id(key.arn, at)[:32], hex_id(at, key.arn)[:32])

    def store(
        self, kind: str = "AWS_CLOUDHSM", *, name: str | None = None, state: str = "CONNECTED", **facts: Any
    ) -> Store:
        """A custom key store."""
        store_id = f"cks-{secrets.token_hex(8)}"
        whole: dict[str, Any] = {"CustomKeyStoreName": name or store_id, "CustomKeyStoreType": kind,
                                 "CreationDate": self._aws.now()}  # fmt: skip
        if kind == "AWS_CLOUDHSM":
            whole["CloudHsmClusterId"] = "cluster-" + "".join(
                secrets.choice("abcdefghijklmnop234567") for _ in range(11)
            )
        store = self.facts.stores[store_id] = Store(store_id, whole | facts, state)
        return store

    def add_keys(
        self, count: int, *, specs: Sequence[str] = ("SYMMETRIC_DEFAULT",), rotated: float = 0.5, tagged: float = 0.5,
        aliased: float = 0.5, granted: float = 0.0, pairs: int = 8, seed: int = 0, created_at: float | None = None,
    ) -> list[Key]:  # fmt: skip
        """Many keys at once: each of `specs` in turn; shares of them rotate, have tags, an alias, a grant.

        Asymmetric keys share `pairs` real key pairs a spec, as making a pair for each would take longer than any test.
        """
        draw = random.Random(f"{self.facts.account.account_id}:{self.name}:{seed}")
        made = []
        with self._aws.lock:
            for number in range(count):
                spec = SPECS[specs[number % len(specs)]]
                facts: dict[str, Any] = {"created_at": created_at} if created_at is not None else {}
                if draw.random() < tagged:
                    facts["tags"] = {"owner": f"team-{number % 20}", "application": f"app-{number % 50}"}
                if spec.is_symmetric and draw.random() < rotated:
                    facts["rotated_every_days"] = 365
                alias = f"app/{seed}-{number}" if draw.random() < aliased else None
                key = self.key(spec.name, alias=alias, grants=int(draw.random() < granted), **facts)
                if spec.is_pair and pairs:
                    key.backing.pair = self._aws.pair_from_pool(spec.name, number % pairs)
                made.append(key)
        return made
