"""Quantum readiness: who must move by when, told from whom it binds; and Mosca's inequality as a chance."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import readiness
from toolkit.conditions import frame_of
from toolkit.model import Key
from toolkit.readiness import burn_down, by_mandate
from toolkit.tables import Builder, Inventory
from toolkit.terms import KeyType

AS_OF = datetime(2026, 11, 27, tzinfo=UTC)
EC = {
    "subject_uid": "spki:1", "locator": "file:///a", "key_type": "private-key", "holds_secret": True,
    "algorithm": "EC", "parameter": "P-256", "size_bits": 256, "security_strength_bits": 128, "quantum": "broken",
    "functions": ["sign"], "scopes": ["not:*"],
}  # fmt: skip


def ready(*rows, curve=None):
    """The rows' readiness, by subject."""
    told = [{**EC, "subject_uid": f"k{n}", "locator": f"file:///{n}", **row} for n, row in enumerate(rows)]
    found = readiness.readiness({"key": frame_of("key", told)}, as_of=AS_OF, curve=curve)
    return found.set_index("subject_uid")


def test_only_what_a_quantum_computer_breaks_is_listed():
    """AES, ML-KEM and hybrids have nothing to move; unknown algorithms are not guessed to be vulnerable."""
    told = ready({}, {"quantum": "resistant"}, {"quantum": "weakened"}, {"quantum": None})
    assert ["k0"] == list(told.index)


def test_a_key_in_scope_is_bound_and_one_not_told_may_be():
    """EO 14412: signatures of high systems by the end of 2031; elsewhere IR 8547's draft says 2035."""
    told = ready({"scopes": ["high-value-asset"]}, {"scopes": ["not:*"]}, {"scopes": None})
    assert date(2031, 12, 31) == told.loc["k0", "until"].date()
    assert date(2035, 12, 31) == told.loc["k1", "until"].date()
    assert "omb-m-26-15-signature" in told.loc["k0", "mandates"]
    assert "omb-m-26-15-signature" not in told.loc["k1", "mandates"]
    assert told.loc["k2", "may_be"] in {m.id for m in readiness.mandates() if m.scope}
    assert "omb-m-26-15-signature" in told.loc["k2", "mandates"]


def test_establishment_moves_before_signatures():
    """The same order has an earlier date for what can be recorded today."""
    told = ready(
        {"functions": ["decrypt"], "algorithm": "RSA", "scopes": ["high-value-asset"]}, {"scopes": ["high-value-asset"]}
    )
    assert "omb-m-26-15-establishment" in told.loc["k0", "mandates"]
    assert "omb-m-26-15-establishment" not in told.loc["k1", "mandates"]


def test_112_bits_are_deprecated_five_years_before_the_rest():
    """IR 8547 ipd, tables 2 and 4."""
    told = ready({"security_strength_bits": 112}, {"security_strength_bits": 128}, {"security_strength_bits": None})
    assert "nist-ir-8547-112" in told.loc["k0", "mandates"]
    assert "nist-ir-8547-112" not in told.loc["k1", "mandates"]
    assert "nist-ir-8547-112" == told.loc["k2", "may_be"]


def test_plain_mosca_is_a_step():
    """X + Y > Z: with the machine in 2035, what must hold beyond it is certain to fall, the rest is safe."""
    step = {2034: 0.0, 2035: 1.0}
    encrypts = {"functions": ["decrypt"], "algorithm": "RSA"}
    told = ready({**encrypts, "data_class": "public"}, {**encrypts, "data_class": "secret"}, curve=step)
    assert [0.0, 1.0] == list(told.loc[["k0", "k1"], "chance"])
    assert told["is_horizon_known"].all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["public", "internal", "confidential", "secret", None]), min_size=2, max_size=5))
def test_data_that_must_hold_longer_is_never_less_at_risk(classes):
    """Monotone in X."""
    told = ready(*({"functions": ["decrypt"], "algorithm": "RSA", "data_class": name} for name in classes))
    order = told.sort_values("must_hold_until")
    assert (order["chance"].diff().dropna() >= -1e-12).all()


def test_the_mandates_are_counted_with_the_days_that_are_left():
    """A date that is past has negative days."""
    keys = ready({"scopes": ["nss"]}, {}).reset_index()
    told = by_mandate(keys, as_of=datetime(2032, 1, 2, tzinfo=UTC)).set_index("mandate")
    assert (1, -2) == (told.loc["cnsa-2-0", "keys"], told.loc["cnsa-2-0", "days_left"])
    assert told.loc["nist-ir-8547", "is_draft"]
    assert told["days_left"].is_monotonic_increasing


def test_the_burn_down_counts_what_is_held():
    """Two runs: an RSA key gives way to an ML-KEM key; a stranger's public key counts in neither."""
    pairs = []
    for day, algorithm, parameter in ((1, "RSA", None), (2, "ML-KEM", "ML-KEM-768")):
        builder = Builder()
        place = {"collector": "c", "target": "t:"}
        builder.add(Key(key_uid="spki:1", **place, locator="t:1", key_type=KeyType.PRIVATE_KEY, algorithm=algorithm,
                        parameter=parameter, size_bits=2048 if parameter is None else None))  # fmt: skip
        builder.add(Key(key_uid="spki:2", **place, locator="t:2", key_type=KeyType.PUBLIC_KEY, algorithm="RSA"))
        pairs.append((datetime(2026, 1, day, tzinfo=UTC), Inventory.of(builder)))

    told = burn_down(pairs)

    assert [(1, 0), (0, 1)] == list(zip(told["broken"], told["resistant"], strict=True))


def test_every_mandate_says_how_it_was_checked():
    """No date without a document and a mark."""
    for mandate in readiness.mandates():
        assert mandate.mark in {"P", "S", "K"}, mandate.id
        assert mandate.function in {"establishes", "signs", "any"}, mandate.id
        assert mandate.document, mandate.id


def test_an_inventory_without_keys_has_nothing_to_move():
    """No rows, no failure."""
    assert readiness.readiness({"key": frame_of("key", [])}, as_of=AS_OF).empty
    assert 0 == by_mandate(readiness.readiness({"key": frame_of("key", [])}, as_of=AS_OF), as_of=AS_OF)["keys"].sum()
    with pytest.raises(KeyError):
        readiness.readiness({}, as_of=AS_OF)
