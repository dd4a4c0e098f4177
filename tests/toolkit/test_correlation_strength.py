"""Strength down the chain, and who may do what with a key."""

from __future__ import annotations

import pytest

from toolkit import correlation, terms
from toolkit.model import Access, Credential, Key, Relation
from toolkit.tables import Builder, Inventory

AT = {"collector": "test", "target": "test:"}


def key(uid, **facts):
    """A secret key, AES unless said otherwise."""
    facts = {"algorithm": "AES", "size_bits": 256, **facts}
    return Key(key_uid=uid, locator=f"test:{uid}", key_type=terms.KeyType.SECRET_KEY, **AT, **facts)


def wraps(outer, inner):
    """A relation: one key is kept under another."""
    kind = terms.RelationKind.PROTECTS
    return Relation(subject_uid=outer, locator=f"test:{outer}", kind=kind, object=inner, **AT)


def may(principal, function, **facts):
    """What one principal may do with key `a`."""
    facts = {"principal_kind": terms.PrincipalKind.ROLE, "via": terms.AccessVia.GRANT, **facts}
    return Access(subject_uid="a", locator="test:a", principal=principal, function=function, **AT, **facts)


def keys(*rows):
    """The subjects, by uid."""
    builder = Builder()
    for row in rows:
        builder.add(row)
    return correlation.subjects(Inventory.of(builder))["key"].set_index("subject_uid")


@pytest.mark.parametrize("name", ["a", "test:a"])
def test_a_key_is_as_strong_as_the_weakest_that_wraps_it(name):
    """AES-256 under AES-128 counts 128, also at second hand (SP 800-57pt1 r6 draft, 4.6.2, P)."""
    found = keys(key("a"), key("b", size_bits=128), key("c"), wraps("b", "c"), wraps("c", name))
    assert [128, 128, 128] == found["effective_strength_bits"].tolist()
    assert ["c"] == list(found["wrapped_by"]["a"])
    assert 256 == found["security_strength_bits"]["a"]


def test_a_wrapping_key_of_unknown_strength_leaves_it_unknown():
    """Neither strong nor weak; so does one that was not seen. A ring of keys ends."""
    found = keys(key("a"), key("b", algorithm="Frobnicate"), key("c"), key("d"), key("e"), wraps("b", "a"),
                 wraps("nowhere", "c"), wraps("d", "e"), wraps("e", "d"))  # fmt: skip
    assert found["effective_strength_bits"].isna().loc[["a", "b", "c"]].all()
    assert [256, 256] == found["effective_strength_bits"].loc[["d", "e"]].tolist()


def test_a_secret_is_as_strong_as_the_chain_it_is_kept_under():
    """By its `encrypted_by`: the key's own strength and that of what wraps it; a key that was not seen tells nothing."""
    builder = Builder()
    for row in (key("a"), key("b", size_bits=128), wraps("b", "a")):
        builder.add(row)
    for name, under in (("1", "a"), ("2", "b"), ("3", "nowhere"), ("4", None)):
        facts = {"kind": terms.CredentialKind.SECRET, "encrypted_by": under}
        builder.add(Credential(credential_uid=name, locator=f"test:{name}", **facts, **AT))
    found = correlation.subjects(Inventory.of(builder))["credential"]
    assert [128, 128, None, None] == found["effective_strength_bits"].astype(object).where(
        lambda v: v.notna(), None
    ).tolist()


def test_a_key_under_ml_kem_counts_as_its_category():
    """ML-KEM-512-established AES-256 counts 128 (r6 draft, 4.6.2)."""
    found = keys(key("a"), key("b", algorithm="ML-KEM", parameter="ML-KEM-512", size_bits=None), wraps("b", "a"))
    assert 128 == found["effective_strength_bits"]["a"]


def test_access_is_added_up_for_the_key():
    """Who uses and rules the same key mixes duties; one unknown leaves open whether it is public."""
    found = keys(key("a"), key("b"), may("x", terms.AccessFunction.USE, is_public=False),
                 may("x", terms.AccessFunction.GRANT, is_cross_account=True), may("y", terms.AccessFunction.READ))  # fmt: skip
    row = found.loc["a"]
    assert (2, 1, True, True) == tuple(row[["principals", "administrators", "mixes_duties", "is_cross_account"]])
    assert found["is_public"].isna().all()
    assert found.loc["b", ["principals", "administrators", "mixes_duties"]].isna().all()
