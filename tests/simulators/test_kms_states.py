"""The key state machine of the KMS simulator, walked by boto3 along the developer guide's key state table."""

from __future__ import annotations

import secrets
from contextlib import nullcontext

import pytest
from botocore.exceptions import ClientError
from simulators.kms.customer import import_material

REGION, OTHER = "eu-west-1", "us-east-1"
OK, INVALID, DISABLED = "OK", "KMSInvalidStateException", "DisabledException"
STATES = ("Enabled", "Disabled", "PendingDeletion", "PendingReplicaDeletion", "PendingImport", "Unavailable", "Creating",
          "Updating")  # fmt: skip


def row(*outcomes: str) -> dict[str, str]:
    """What an operation answers, state by state in the order of STATES."""
    return dict(zip(STATES, outcomes, strict=True))


USE = row(OK, DISABLED, INVALID, INVALID, INVALID, INVALID, INVALID, OK)
SWITCH = row(OK, OK, INVALID, INVALID, INVALID, OK, INVALID, INVALID)
MANAGE = row(OK, OK, INVALID, INVALID, OK, OK, OK, OK)
READ = row(*[OK] * 8)
# Written down here a second time, from the page and not from the simulator: the two must agree.
TABLE: dict[str, dict[str, str]] = {
    "Encrypt": USE,
    "GenerateDataKey": USE,
    "EnableKey": SWITCH,
    "DisableKey": SWITCH,
    "ScheduleKeyDeletion": row(OK, OK, INVALID, INVALID, OK, OK, INVALID, INVALID),
    "CancelKeyDeletion": row(INVALID, INVALID, OK, OK, INVALID, INVALID, INVALID, INVALID),
    "CreateAlias": MANAGE,
    "TagResource": MANAGE,
    "UntagResource": MANAGE,
    "UpdateKeyDescription": MANAGE,
    "CreateGrant": row(OK, DISABLED, INVALID, INVALID, INVALID, OK, INVALID, OK),
    "DescribeKey": READ,
    "GetKeyPolicy": READ,
    "PutKeyPolicy": READ,
    "ListGrants": READ,
    "ListKeyPolicies": READ,
    "ListResourceTags": READ,
    "GetKeyLastUsage": READ,
}
WORDS = {
    "Encrypt": {"Plaintext": b"x"},
    "GenerateDataKey": {"KeySpec": "AES_256"},
    "CreateAlias": {"AliasName": "alias/new"},
    "TagResource": {"Tags": [{"TagKey": "a", "TagValue": "b"}]},
    "UntagResource": {"TagKeys": ["a"]},
    "UpdateKeyDescription": {"Description": "new"},
    "CreateGrant": {"GranteePrincipal": "arn:aws:iam::111122223333:role/r", "Operations": ["Decrypt"]},
    "GetKeyPolicy": {"PolicyName": "default"},
}


def state_of(kms, key_id: str) -> str:
    """The state that DescribeKey tells."""
    return kms.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


def outcome(kms, operation: str, key_id: str) -> str:
    """OK, or the code of the error."""
    words = {"KeyId": key_id} | WORDS.get(operation, {})
    if operation == "CreateAlias":
        words["TargetKeyId"] = words.pop("KeyId")
    if operation == "PutKeyPolicy":
        words["Policy"] = kms.get_key_policy(KeyId=key_id)["Policy"]
    name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in operation).lstrip("_")
    try:
        getattr(kms, name)(**words)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return OK


class Walker:
    """Brings a new key into a state, by calls alone."""

    def __init__(self, aws) -> None:
        self.aws = aws
        self.kms = aws.client("kms", REGION)
        aws.transient_seconds = 60.0

    def key_in(self, state: str) -> str:
        return getattr(self, f"_{state.lower()}")()

    def new(self, **words) -> str:
        return self.kms.create_key(**words)["KeyMetadata"]["KeyId"]

    def _enabled(self) -> str:
        return self.new()

    def _disabled(self) -> str:
        key = self.new()
        self.kms.disable_key(KeyId=key)
        return key

    def _pendingdeletion(self) -> str:
        key = self.new()
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        return key

    def _pendingreplicadeletion(self) -> str:
        key = self.new(MultiRegion=True)
        self.kms.replicate_key(KeyId=key, ReplicaRegion=OTHER)
        self.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
        return key

    def _pendingimport(self) -> str:
        return self.new(Origin="EXTERNAL")

    def _unavailable(self) -> str:
        store = self.aws.account("111122223333").region(REGION).store()
        key = self.new(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store.store_id)
        self.kms.disconnect_custom_key_store(CustomKeyStoreId=store.store_id)
        return key

    def _creating(self) -> str:
        primary = self.aws.client("kms", OTHER).create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
        self.aws.client("kms", OTHER).replicate_key(KeyId=primary, ReplicaRegion=REGION)
        return primary

    def _updating(self) -> str:
        key = self.new(MultiRegion=True)
        self.kms.replicate_key(KeyId=key, ReplicaRegion=OTHER)
        self.aws.advance(seconds=61)
        self.kms.update_primary_region(KeyId=key, PrimaryRegion=OTHER)
        return key


@pytest.fixture
def walker(aws):
    """Of one simulator."""
    return Walker(aws)


@pytest.mark.parametrize("state", STATES)
def test_every_state_answers_as_the_table_says(walker, state):
    """Each operation in each state: allowed, or refused with the documented error."""
    told = {}
    for operation in TABLE:
        key = walker.key_in(state)
        assert state == state_of(walker.kms, key)
        told[operation] = outcome(walker.kms, operation, key)
        if told[operation] != OK:
            assert state == state_of(walker.kms, key)
        if operation == "CreateAlias" and told[operation] == OK:
            walker.kms.delete_alias(AliasName="alias/new")

    assert {operation: outcomes[state] for operation, outcomes in TABLE.items()} == told


def test_a_key_is_switched_off_and_on(walker):
    """Enabled, Disabled, Enabled; both are idempotent."""
    key = walker.key_in("Enabled")
    walked = []
    for verb in (walker.kms.disable_key, walker.kms.disable_key, walker.kms.enable_key, walker.kms.enable_key):
        verb(KeyId=key)
        walked.append(state_of(walker.kms, key))

    assert ["Disabled", "Disabled", "Enabled", "Enabled"] == walked


def test_a_cancelled_deletion_leaves_the_key_disabled(walker):
    """CancelKeyDeletion lands in Disabled, though the key was enabled before."""
    key = walker.key_in("PendingDeletion")
    walker.kms.cancel_key_deletion(KeyId=key)

    told = walker.kms.describe_key(KeyId=key)["KeyMetadata"]
    assert "Disabled" == told["KeyState"]
    assert "DeletionDate" not in told


def test_a_key_is_gone_after_its_waiting_period(walker):
    """With its aliases; and a deletion that was cancelled does not fire at its first date."""
    kms, key, other = walker.kms, walker.new(), walker.new()
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=key)
    planned = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=other)
    kms.schedule_key_deletion(KeyId=other, PendingWindowInDays=30)
    assert ("PendingDeletion", 7) == (planned["KeyState"], planned["PendingWindowInDays"])

    walker.aws.advance(days=6.9)
    assert "PendingDeletion" == state_of(kms, key)
    walker.aws.advance(days=0.2)

    assert "NotFoundException" == outcome(kms, "DescribeKey", key)
    assert [] == kms.list_aliases()["Aliases"]
    assert [other] == [one["KeyId"] for one in kms.list_keys()["Keys"]]
    assert "PendingDeletion" == state_of(kms, other)


@pytest.mark.parametrize(("days", "allowed"), [(6, False), (7, True), (30, True), (31, False)])
def test_a_waiting_period_is_7_to_30_days(walker, days, allowed):
    """botocore's model lets 3 and 300 through; the service does not."""
    key = walker.new()
    with nullcontext() if allowed else pytest.raises(ClientError, match="ValidationException"):
        walker.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=days)

    assert ("PendingDeletion" if allowed else "Enabled") == state_of(walker.kms, key)


def test_a_primary_waits_for_its_replicas(walker):
    """PendingReplicaDeletion has no date; the waiting period begins when the last replica is gone."""
    kms, there = walker.kms, walker.aws.client("kms", OTHER)
    key = walker.new(MultiRegion=True)
    kms.replicate_key(KeyId=key, ReplicaRegion=OTHER)
    walker.aws.advance(seconds=61)

    planned = kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert "DeletionDate" not in planned
    told = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert ("PendingReplicaDeletion", 7) == (told["KeyState"], told["PendingDeletionWindowInDays"])

    walker.aws.advance(days=400)
    assert "PendingReplicaDeletion" == state_of(kms, key)

    there.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    walker.aws.advance(days=8)
    assert "NotFoundException" == outcome(there, "DescribeKey", key)
    told = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert "PendingDeletion" == told["KeyState"]
    assert "DeletionDate" in told


def test_a_replica_is_created_and_then_enabled(walker):
    """ReplicateKey answers Creating; the transient ends by itself; a second replica in a region is refused."""
    kms, there = walker.kms, walker.aws.client("kms", OTHER)
    key = walker.new(MultiRegion=True)
    made = kms.replicate_key(KeyId=key, ReplicaRegion=OTHER, Tags=[{"TagKey": "a", "TagValue": "b"}])

    assert "Creating" == made["ReplicaKeyMetadata"]["KeyState"]
    assert "REPLICA" == made["ReplicaKeyMetadata"]["MultiRegionConfiguration"]["MultiRegionKeyType"]
    walker.aws.advance(seconds=61)
    assert "Enabled" == state_of(there, key)
    with pytest.raises(kms.exceptions.AlreadyExistsException):
        kms.replicate_key(KeyId=key, ReplicaRegion=OTHER)
    sealed = kms.encrypt(KeyId=key, Plaintext=b"both")["CiphertextBlob"]
    assert b"both" == there.decrypt(CiphertextBlob=sealed)["Plaintext"]


def test_the_primary_moves(walker):
    """Both keys are Updating for a while, can be used meanwhile, and are then what they were before."""
    kms, there = walker.kms, walker.aws.client("kms", OTHER)
    key = walker.key_in("Updating")

    assert ["Updating", "Updating"] == [state_of(kms, key), state_of(there, key)]
    assert "OK" == outcome(there, "Encrypt", key)
    walker.aws.advance(seconds=61)
    assert ["Enabled", "Enabled"] == [state_of(kms, key), state_of(there, key)]
    relatives = kms.describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
    assert ("REPLICA", OTHER) == (relatives["MultiRegionKeyType"], relatives["PrimaryKey"]["Region"])
    with pytest.raises(kms.exceptions.UnsupportedOperationException):
        kms.replicate_key(KeyId=key, ReplicaRegion="eu-central-1")


def test_a_store_that_is_disconnected_makes_its_keys_unavailable(walker):
    """They can be switched, which shows when the store is back; a pending deletion stays pending."""
    kms, region = walker.kms, walker.aws.account("111122223333").region(REGION)
    store = region.store().store_id
    key = walker.new(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
    dying = walker.new(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
    kms.schedule_key_deletion(KeyId=dying)

    kms.disconnect_custom_key_store(CustomKeyStoreId=store)
    kms.disable_key(KeyId=key)
    assert ["Unavailable", "PendingDeletion"] == [state_of(kms, key), state_of(kms, dying)]
    kms.connect_custom_key_store(CustomKeyStoreId=store)

    assert "Disabled" == state_of(kms, key)


def test_imported_material_comes_and_goes(walker):
    """PendingImport, Enabled by an import, PendingImport by deletion, Enabled by the same material, gone at its expiry."""
    kms, material = walker.kms, secrets.token_bytes(32)
    key = walker.key_in("PendingImport")
    first = import_material(kms, key, material)
    walked = [state_of(kms, key)]
    kms.delete_imported_key_material(KeyId=key)
    walked.append(state_of(kms, key))
    again = import_material(
        kms, key, material, ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=walker.aws.now() + 86_400
    )
    walked.append(state_of(kms, key))
    walker.aws.advance(days=1.1)
    walked.append(state_of(kms, key))

    assert ["Enabled", "PendingImport", "Enabled", "PendingImport"] == walked
    assert first == again
    with pytest.raises(kms.exceptions.IncorrectKeyMaterialException):
        import_material(kms, key, secrets.token_bytes(32))
