"""What repairs would do: never worse, counted once, worth most first, and only as far as is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import risk
from toolkit.conditions import FIELDS, frame_of
from toolkit.errors import ConfigError, PolicyError

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
BAD = {
    "subject_uid": "spki:1", "locator": "file:///srv/a.pem", "key_type": "private-key", "holds_secret": True,
    "algorithm": "RSA", "size_bits": 1024, "security_strength_bits": 80, "quantum": "broken", "state": "active",
    "protected": False, "protection": "none", "is_exposed": True, "is_in_code": True, "is_in_head": True, "copies": 5,
    "places": 5, "certificates": 0, "protects": 0, "in_use_since": datetime(2014, 1, 1, tzinfo=UTC),
}  # fmt: skip
SECRET = {
    "subject_uid": "hmac:2", "locator": "git:a#3", "title": "a token", "severity": "very-high", "confidence": 1.0,
    "is_current": True, "occurrences": 2,
}  # fmt: skip
_VALUES = {
    "state": ["active", "compromised", None], "protected": [True, False, None], "is_exposed": [True, False, None],
    "protection": ["hardware", "token", "passphrase", "none", None], "is_in_code": [True, False, None],
    "is_in_head": [True, False, None], "copies": [1, 5, None], "security_strength_bits": [56, 80, 112, 128, 256, None],
    "quantum": ["broken", "resistant", "weakened", None], "extractable": [True, False, None],
    "in_use_since": [datetime(2010, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC), None],
    "manager": ["customer", "provider", None], "access_flags": [[], ["public-access"], ["user-is-administrator"], None],
    "expires_at": [datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC), None],
}  # fmt: skip
keys = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in _VALUES.items()})


def frames(*rows, secrets=()):
    """Subjects as `correlation.subjects` gives them."""
    told = [{**BAD, "subject_uid": f"spki:{n}", "locator": f"file:///{n}", **row} for n, row in enumerate(rows)]
    return {"key": frame_of("key", told), "secret": frame_of("secret", list(secrets))}


@settings(max_examples=25, deadline=None)
@given(st.lists(keys, min_size=4, max_size=12))
def test_no_repair_raises_the_risk_of_what_it_repairs(rows):
    """Whatever is known of a key, a repair that makes sense for it never makes its score worse."""
    told = risk.what_if(frames(*rows), [repair.id for repair in risk.catalogue()], as_of=AS_OF)
    assert (told.subjects["risk_taken"] >= -1e-9).all()
    each = [risk.what_if(frames(*rows), [repair.id], as_of=AS_OF).subjects for repair in risk.catalogue()]
    assert all((some["risk_taken"] >= -1e-9).all() for some in each)


@settings(max_examples=20, deadline=None)
@given(st.lists(keys, min_size=2, max_size=6))
def test_priorities_do_not_depend_on_the_order_of_the_keys(rows):
    """A permutation gives the same worth to each key."""
    one, other = frames(*rows), frames(*rows)
    other["key"] = other["key"].iloc[::-1].reset_index(drop=True)
    told = [
        risk.priorities(some, as_of=AS_OF, every=True).set_index(["subject_uid", "repair"]) for some in (one, other)
    ]
    assert dict(told[0]["risk_per_hour"].round(9)) == dict(told[1]["risk_per_hour"].round(9))


def test_doing_what_the_priorities_say_takes_the_risk_they_say():
    """The list and the what-if are one calculation: the sums agree, row by row."""
    some = frames({}, {"is_in_code": False, "is_in_head": False, "security_strength_bits": 128}, secrets=[SECRET])
    best = risk.priorities(some, as_of=AS_OF)

    told = risk.what_if(some, best, as_of=AS_OF)

    said = dict(zip(best["subject_uid"], best["risk_taken"].round(9), strict=True))
    assert said == dict(zip(told.subjects["subject_uid"], told.subjects["risk_taken"].round(9), strict=True))
    total = told.summary.set_index("measure").loc["risk, all scores added up"]
    assert total["before"] - total["after"] == pytest.approx(best["risk_taken"].sum())


def test_the_cheapest_great_gain_comes_first():
    """Closing a file's permissions is minutes and takes much; a move to ML-KEM is days."""
    some = frames({"is_in_code": False, "is_in_head": False, "security_strength_bits": 128, "copies": 1, "places": 1})
    told = risk.priorities(some, as_of=AS_OF, every=True)
    assert "close-permissions" == told["repair"].iloc[0]
    assert {"migrate-to-pqc", "move-into-hardware", "seal"} <= set(told["repair"])
    assert (told["risk_per_hour"].diff().dropna() <= 1e-9).all()


def test_a_replaced_secret_is_no_risk_any_more_and_needs_no_action():
    """What was revoked opens nothing."""
    told = risk.what_if({"secret": frame_of("secret", [SECRET])}, ["replace"], as_of=AS_OF).summary.set_index("measure")
    assert (1, 0) == tuple(told.loc["need action now", ["before", "after"]])
    assert 0 == told.loc["risk, all scores added up", "after"]


def test_a_repair_is_done_only_where_it_is_asked_for():
    """By uid or by condition; the others keep their score."""
    some = frames({}, {"data_class": "secret"}, {})
    by_uid = risk.what_if(some, [{"repair": "close-permissions", "where": ["spki:2"]}], as_of=AS_OF)
    where = {"field": "data_class", "op": "==", "value": "secret"}
    by_condition = risk.what_if(some, [{"repair": "close-permissions", "where": where}], as_of=AS_OF)
    assert ["spki:2"] == list(by_uid.subjects["subject_uid"])
    assert ["spki:1"] == list(by_condition.subjects["subject_uid"])


def test_where_a_repair_cannot_be_told_to_make_sense_it_is_not_counted():
    """Unknown permissions are not closed on paper."""
    told = risk.what_if(frames({"is_exposed": None}), ["close-permissions"], as_of=AS_OF)
    assert told.subjects.empty


def test_an_unknown_repair_names_those_there_are():
    """A typing error is told before anything is counted."""
    with pytest.raises(ConfigError, match="close-permissions"):
        risk.what_if(frames({}), ["close-permission"], as_of=AS_OF)
    with pytest.raises(PolicyError, match="no field"):
        risk.what_if(frames({}), [{"repair": "replace", "where": {"field": "x", "op": "known"}}], as_of=AS_OF)


def test_every_repair_sets_fields_that_its_subject_has_and_costs_something():
    """The data is of the form that the code reads."""
    for repair in risk.catalogue():
        assert set(repair.sets) <= set(FIELDS[repair.subject]), repair.id
        assert repair.hours > 0, repair.id
        assert repair.ends or repair.sets, repair.id
