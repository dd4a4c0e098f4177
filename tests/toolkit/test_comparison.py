"""Comparing two inventories: absence is not gone."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

import toolkit as tk
from toolkit.model import Certificate, Gap, Key, Reading, Secret
from toolkit.tables import Builder, Inventory
from toolkit.terms import GapScope, GapStatus, KeyType, ReadingStatus, Severity

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def key(place: str, **more) -> Key:
    """A key at a place."""
    return Key(**{"key_uid": f"spki:{place}", "collector": "c", "target": "t", "locator": place, "key_type": KeyType.PRIVATE_KEY, **more})  # fmt: skip


def inventory(*rows, status=ReadingStatus.READ) -> Inventory:
    """An inventory of one target."""
    builder = Builder()
    for row in rows:
        builder.add(row)
    builder.add(Reading(collector="c", target="t", status=status, rows=1, gaps=0, seconds=0, started_at=NOW, run_id="r"))  # fmt: skip
    return Inventory.of(builder)


def changes(old, new) -> list[tuple[str, str]]:
    """Which change befell which place."""
    told = tk.compare(old, new)
    return list(zip(told["change"].astype(str), told["locator"], strict=True))


def test_nothing_changed_is_an_empty_table():
    """The same inventory twice."""
    inv = inventory(key("a"), key("b", size_bits=2048, created_at=NOW, functions=("sign",)))
    assert [] == changes(inv, inv)


def test_what_appeared_is_told():
    """A new place is a change, also of a known key."""
    assert [("appeared", "b")] == changes(inventory(key("a")), inventory(key("a"), key("b")))


def test_what_is_missing_where_all_was_read_is_gone():
    """Only a target read without a Gap lets a key be gone."""
    assert [("gone", "b")] == changes(inventory(key("a"), key("b")), inventory(key("a")))


@pytest.mark.parametrize("status", [ReadingStatus.PARTIAL, ReadingStatus.FAILED, ReadingStatus.INTERRUPTED])
def test_what_is_missing_where_not_all_was_read_is_unseen(status):
    """A locked token's keys are not gone."""
    assert [("unseen", "b")] == changes(inventory(key("a"), key("b")), inventory(key("a"), status=status))


def test_what_is_missing_where_nobody_looked_is_unseen():
    """A target that is not in the new inventory says nothing."""
    new = inventory(key("a"))
    new = dataclasses.replace(new, readings=new.readings[:0])
    assert [("unseen", "b")] == changes(inventory(key("a"), key("b")), new)


def test_what_changed_names_its_fields_and_values():
    """Unknown to known, known to other, and lists count; unknown to unknown does not."""
    old = inventory(key("a", size_bits=1024, owner=None, functions=("sign",)))
    new = inventory(key("a", size_bits=2048, owner="ops", functions=("sign", "verify")))
    told = tk.compare(old, new).iloc[0]
    assert {"size_bits", "owner", "functions"} == set(told["fields"])
    assert "1024" in told["before"]
    assert "2048" in told["after"]


def test_a_substituted_key_is_a_change_of_its_uid():
    """PCI DSS 3.7.7: another key under the old name does not pass unseen."""
    told = tk.compare(inventory(key("a")), inventory(key("a", key_uid="spki:other")))
    assert [["key_uid"]] == [list(fields) for fields in told["fields"]]


def test_certificates_and_secrets_are_compared_too():
    """Every table that holds sightings."""
    at = {"collector": "c", "target": "t"}
    one = Certificate(certificate_uid="sha256:1", key_uid="k", locator="p", not_after=NOW, **at)
    renewed = dataclasses.replace(one, certificate_uid="sha256:2")
    leak = Secret(secret_uid="hmac:1", locator="s", rule="r", title="t", severity=Severity.HIGH, preview="x", **at)
    assert [("changed", "p"), ("appeared", "s")] == changes(inventory(one), inventory(renewed, leak))


def test_coverage_says_why():
    """One line a target, with the counts by reason and the first advice."""
    at = {"collector": "c", "target": "t", "scope": GapScope.OBJECT, "status": GapStatus.DENIED, "reason": "no"}
    inv = inventory(Gap(locator="a", advice="be root", **at), Gap(locator="b", **at), status=ReadingStatus.PARTIAL)
    told = tk.coverage(inv).iloc[0]
    assert ("2 denied", "be root", "partial") == (told["why"], told["advice"], told["status"])
