"""A key's answers, made rows: the key, its rotations and its last use, and a Gap for each fact that is not there.

Refuses to: call a fact false or absent that was not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from collectors._aws.names import account_of, key_uid
from collectors._aws.place import Place
from collectors._aws.tags import Tagging
from collectors._aws.troubles import Trouble
from collectors.aws_kms import _meaning as meaning
from collectors.aws_kms._asking import Fact, Lists, Seen, Wanted
from toolkit.errors import SourceBroken
from toolkit.identity import observed_spki_sha256, public_facts, spki_uid
from toolkit.model import Gap, Key, Row, Usage
from toolkit.terms import GapStatus, KeyManager, KeyType

_MANAGERS: Final = {"AWS": KeyManager.PROVIDER, "CUSTOMER": KeyManager.CUSTOMER}
# KMS rotates its own keys every year, and nobody can change that ("Rotate AWS KMS keys").
_OF_PROVIDER: Final = {"has_rotation": True, "rotation_period_days": 365}
_NOT_MADE: Final = "automatic rotation is for symmetric keys whose material KMS made"
_EXTERNAL: Final = "the external key manager knows; AWS does not"
_ITS_OWN: Final = "not asked of keys that AWS manages: only AWS can change who may, and destroy them"
_NOT_TRACKED: Final = "KMS tracks uses since {since:%Y-%m-%d} only, and the key is older; none was seen since"
_LEFT_OUT: Final = "left out, as asked"
_CLOUDTRAIL: Final = "read CloudTrail: keyatlas collect aws_usage"
_TOLD: Final = (
    "KeySpec", "KeyUsage", "Origin", "KeyManager", "Description", "EncryptionAlgorithms", "SigningAlgorithms",
    "MacAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms", "ExpirationModel", "CustomKeyStoreId",
    "CloudHsmClusterId", "PendingDeletionWindowInDays", "CurrentKeyMaterialId",
)  # fmt: skip


# What a key that cannot be described lacks, and one whose rotation status cannot be read.
_FROM_METADATA: Final = (
    "state", "native_state", "algorithm", "size_bits", "functions", "purpose", "protection", "origin", "manager",
    "replicas", "created_at",
)  # fmt: skip
_FROM_ROTATION: Final = ("has_rotation", "rotation_period_days", "next_rotation_at")


class KeyRows:
    """Makes the rows of one place's keys."""

    def __init__(self, place: Place, wanted: Wanted, lists: Lists, tagging: Tagging) -> None:
        self._place, self._wanted, self._lists, self._tagging = place, wanted, lists, tagging
        self._where: Fact = {"collector": place.target.collector, "target": place.target.locator}

    def rows(self, seen: Seen, *, flags: tuple[str, ...] | None, store: Fact | None) -> Iterator[Row]:
        """The key, then its Usage rows, then what is missing. A key that is gone is told by its Gap alone."""
        if isinstance(seen.metadata, Trouble) and seen.metadata.is_gone:
            told = seen.metadata.but(reason="it was listed, and then it was gone", advice="collect again")
            yield told.gap(self._place.target, locator=self.locator(seen))
            return
        key = self._key(seen, flags, store)
        yield key
        yield from self._usages(seen, key)
        yield from self._gaps(seen, key)

    def locator(self, seen: Seen) -> str:
        """The ARN; with the account that it was seen from, where that is not its own."""
        return f"{seen.arn}?shared-with={self._place.account}" if seen.is_shared else seen.arn

    def identity(self, seen: Seen) -> Fact:
        """Which key it is, and what it is made of."""
        spec = seen.told.get("KeySpec") or seen.told.get("CustomerMasterKeySpec")
        shape = meaning.shape(spec, self._place.partition)
        fields = {"key_uid": key_uid(seen.arn), **shape._asdict()}
        if isinstance(seen.public_key, bytes):
            fields |= {"key_type": KeyType.PRIVATE_KEY, **_of_public(seen.public_key)}
        return fields

    def _key(self, seen: Seen, flags: tuple[str, ...] | None, store: Fact | None) -> Key:
        told, identity = seen.told, self.identity(seen)
        functions, purpose, why_purpose = meaning.use(told.get("KeyUsage"), identity["key_type"])
        state, why_state = meaning.state(told.get("KeyState"))
        custody = meaning.custody(told.get("Origin"), self._place.partition)
        names = self._names(seen)
        last_use, why_use = _last_use(seen)
        reasons = (why_purpose, why_state, custody.why, why_use) if told else (why_use,)
        return Key(
            **self._where, **identity, **self._whose(seen), **_rotation(seen),
            locator=self.locator(seen),
            label=names[0] if names else None,
            format="AWS KMS key",
            state=state, native_state=told.get("KeyState"),
            functions=functions, purpose=purpose,
            protected=True if told else None, protection=custody.protection,
            extractable=custody.extractable, sensitive=None if custody.extractable is None else True,
            never_extractable=None if custody.was_outside is None else not custody.was_outside,
            always_sensitive=None if custody.was_outside is None else not custody.was_outside,
            is_exposed=False if told else None,
            origin=custody.origin,
            account=account_of(seen.arn), region=self._place.region,
            manager=_MANAGERS.get(told.get("KeyManager", "")),
            aliases=names, replicas=_replicas(seen), access_flags=flags,
            destruction_at=_utc(told.get("DeletionDate")),
            created_at=_utc(told.get("CreationDate")),
            # A key is enabled when it is made, but for one that waits for its material.
            activated_at=None if custody.was_outside is not False else _utc(told.get("CreationDate")),
            expires_at=_utc(told.get("ValidTo")),
            last_rotated_at=_last_rotated(seen), last_used_at=last_use,
            reasons=tuple(why for why in reasons if why),
            detail=_detail(told, store),
        )  # fmt: skip

    def _names(self, seen: Seen) -> tuple[str, ...] | None:
        if isinstance(self._lists.aliases, Trouble) or seen.is_shared:
            return None
        return tuple(sorted(self._lists.aliases.get(seen.arn.rpartition("/")[2], ())))

    def _whose(self, seen: Seen) -> Fact:
        if isinstance(self._lists.tags, Trouble) or seen.is_shared:
            return {}
        return self._tagging.facts(self._lists.tags.get(seen.arn, {}))

    def _usages(self, seen: Seen, key: Key) -> Iterator[Usage]:
        where: Fact = {**self._where, "key_uid": key.key_uid, "locator": key.locator, "account": key.account,
                 "region": key.region}  # fmt: skip
        for one in _rotations(seen):
            how = {"AUTOMATIC": "automatic", "ON_DEMAND": "on demand"}.get(str(one.get("RotationType")))
            yield Usage(**where, operation="RotateKey", result=how, occurred_at=_utc(one["RotationDate"]))
        used = _used(seen)
        if used:
            yield Usage(
                **where, operation=used.get("Operation"), occurred_at=_utc(used.get("Timestamp")), result="last use",
                event_id=used.get("CloudTrailEventId"),
            )  # fmt: skip

    def _gaps(self, seen: Seen, key: Key) -> Iterator[Gap]:
        for field, trouble in self._missing(seen, key):
            yield trouble.gap(self._place.target, locator=key.locator, field=field)

    def _missing(self, seen: Seen, key: Key) -> Iterator[tuple[str, Trouble]]:
        if isinstance(seen.metadata, Trouble):
            yield from ((name, seen.metadata) for name in _FROM_METADATA if getattr(key, name) is None)
        elif key.protection is None:
            why = meaning.custody(seen.told.get("Origin"), self._place.partition).why
            yield "protection", Trouble(GapStatus.NOT_ASKED, why, advice=_EXTERNAL)
        # That it has none is an answer, of a key that could not be described.
        if isinstance(seen.public_key, Trouble) and not (_is_inapplicable(seen.public_key) and not seen.told):
            yield "spki_sha256", seen.public_key
        if seen.is_provided:
            yield "access_flags", Trouble(GapStatus.NOT_ASKED, _ITS_OWN)
            yield "last_used_at", Trouble(GapStatus.NOT_ASKED, _ITS_OWN)
            return
        yield from self._of_rotation(seen)
        yield from self._of_access(seen)
        yield from self._of_use(seen)

    def _of_rotation(self, seen: Seen) -> Iterator[tuple[str, Trouble]]:
        if isinstance(seen.rotation, Trouble):
            named = _FROM_ROTATION[:1] if _is_inapplicable(seen.rotation) else _FROM_ROTATION
            yield from ((name, seen.rotation) for name in named)
        elif seen.rotation is None:
            is_asked_for = seen.told and not meaning.rotates_by_itself(seen.told)
            yield "has_rotation", _not_applicable(_NOT_MADE) if is_asked_for else _left_out()
        if isinstance(seen.history, Trouble):
            yield "last_rotated_at", seen.history
        elif seen.history is None and meaning.has_history(seen.told):
            yield "last_rotated_at", _another_account("kms:ListKeyRotations") if seen.is_shared else _left_out()

    def _of_access(self, seen: Seen) -> Iterator[tuple[str, Trouble]]:
        if isinstance(seen.policy, Trouble):
            yield "access_flags", seen.policy
        elif seen.policy is None:
            yield "access_flags", _another_account("kms:GetKeyPolicy") if seen.is_shared else _left_out()
        if isinstance(seen.grants, Trouble):
            yield "grants", seen.grants
        elif seen.grants is None:
            yield "grants", _left_out()

    def _of_use(self, seen: Seen) -> Iterator[tuple[str, Trouble]]:
        if isinstance(seen.last_use, Trouble):
            yield (
                "last_used_at",
                seen.last_use.but(advice=f"{seen.last_use.advice or ''}; or {_CLOUDTRAIL}".strip("; ")),
            )
        elif seen.last_use is None:
            yield "last_used_at", _another_account("kms:GetKeyLastUsage") if seen.is_shared else _left_out()
        elif (since := _unknown_since(seen.last_use)) is not None:
            yield (
                "last_used_at",
                Trouble(GapStatus.NOT_APPLICABLE, _NOT_TRACKED.format(since=since), advice=_CLOUDTRAIL),
            )


def _is_inapplicable(trouble: Trouble) -> bool:
    return trouble.status is GapStatus.NOT_APPLICABLE


def _left_out() -> Trouble:
    return Trouble(GapStatus.NOT_ASKED, _LEFT_OUT)


def _not_applicable(why: str) -> Trouble:
    return Trouble(GapStatus.NOT_APPLICABLE, why)


def _another_account(action: str) -> Trouble:
    return Trouble(GapStatus.NOT_APPLICABLE, f"{action} is for the key's own account", advice="collect that account")


def _of_public(spki: bytes) -> Fact:
    fields: Fact = {"spki_sha256": observed_spki_sha256(spki), "key_uid": spki_uid(spki)}
    try:
        facts = public_facts(load_der_public_key(spki))
    except (ValueError, UnsupportedAlgorithm, SourceBroken):
        # SM2, or what this build of cryptography does not know: AWS writes it one way, so the bytes identify it.
        return fields
    return fields | {
        "key_uid": facts.key_uid, "algorithm": facts.algorithm, "parameter": facts.parameter,
        "size_bits": facts.size_bits,
    }  # fmt: skip


def _rotation(seen: Seen) -> Fact:
    if seen.is_provided:
        return _OF_PROVIDER
    if not isinstance(seen.rotation, dict):
        return {}
    told = seen.rotation
    return {
        "has_rotation": told.get("KeyRotationEnabled"), "rotation_period_days": told.get("RotationPeriodInDays"),
        "next_rotation_at": _utc(told.get("NextRotationDate")),
    }  # fmt: skip


def _rotations(seen: Seen) -> list[Fact]:
    """What has happened: the first material, and material that waits, have no date."""
    return [one for one in seen.history if one.get("RotationDate")] if isinstance(seen.history, list) else []


def _last_rotated(seen: Seen) -> datetime | None:
    return max((_utc(one["RotationDate"]) for one in _rotations(seen)), default=None)  # type: ignore[type-var]  # dates


def _used(seen: Seen) -> Fact:
    if not isinstance(seen.last_use, dict):
        return {}
    found = seen.last_use.get("KeyLastUsage") or {}
    return found if found.get("Timestamp") else {}


def _last_use(seen: Seen) -> tuple[datetime | None, str | None]:
    used = _used(seen)
    if used:
        return _utc(used["Timestamp"]), f"last use: {used.get('Operation')}"
    if isinstance(seen.last_use, dict) and _unknown_since(seen.last_use) is None:
        return None, "last use: none since it was made"
    return None, None


def _unknown_since(told: Fact) -> datetime | None:
    """When tracking began, if that was after the key was made and no use was seen since."""
    tracked, made = _utc(told.get("TrackingStartDate")), _utc(told.get("KeyCreationDate"))
    if (told.get("KeyLastUsage") or {}).get("Timestamp") or tracked is None or made is None:
        return None
    return tracked if made < tracked else None


def _replicas(seen: Seen) -> tuple[str, ...] | None:
    if not seen.told:
        return None
    found = seen.told.get("MultiRegionConfiguration") or {}
    all_of = [found.get("PrimaryKey") or {}, *(found.get("ReplicaKeys") or ())]
    return tuple(sorted(one["Arn"] for one in all_of if one.get("Arn") and one["Arn"] != seen.arn))


def _detail(told: Fact, store: Fact | None) -> str | None:
    facts = {name: told[name] for name in _TOLD if told.get(name)}
    if told.get("MultiRegionConfiguration"):
        facts["MultiRegionKeyType"] = told["MultiRegionConfiguration"].get("MultiRegionKeyType")
    if told.get("XksKeyConfiguration"):
        facts["XksKeyId"] = told["XksKeyConfiguration"].get("Id")
    facts |= {name: value for name, value in (store or {}).items() if name != "CustomKeyStoreId"}
    return json.dumps(facts, sort_keys=True) if facts else None


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
