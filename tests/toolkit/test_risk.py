"""Risk: monotone, explained to the last percent, and calm about what is only public."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import risk
from toolkit.algorithms import strength
from toolkit.conditions import frame_of, leaves
from toolkit.terms import Severity

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = {
    "subject_uid": "k", "locator": "pkcs11:k", "key_type": "private-key", "holds_secret": True, "algorithm": "EC",
    "parameter": "secp384r1", "size_bits": 384, "security_strength_bits": 192, "quantum": "resistant",
    "state": "active",
    "functions": ["sign"], "protection": "hardware", "protected": True, "extractable": False, "is_exposed": False,
    "is_in_code": False, "is_in_head": False, "data_class": "internal", "environment": "test", "places": 1, "copies": 1,
    "manager": "customer", "access_flags": [], "protects": 0, "certificates": 0, "is_ca_key": False, "is_trust_anchor": False, "in_use_since": datetime(2026, 1, 1, tzinfo=UTC),
    "expires_at": datetime(2027, 1, 1, tzinfo=UTC), "certified_until": datetime(2027, 1, 1, tzinfo=UTC),
}  # fmt: skip
# For each field its values, best first: a later one never lowers the likelihood.
WORSE = {
    "security_strength_bits": [256, 128, 112, 80, 56],
    "state": ["active", "compromised"],
    "protected": [True, False],
    "protection": ["hardware", "passphrase", "none"],
    "extractable": [False, True],
    "is_exposed": [False, True],
    "is_in_code": [False, True],
    "is_in_head": [False, True],
    "copies": [1, 4],
    "in_use_since": [datetime(y, 1, 1, tzinfo=UTC) for y in (2026, 2021, 2010)],
    "expires_at": [datetime(y, 1, 1, tzinfo=UTC) for y in (2027, 2020)],
    "quantum": ["resistant", "broken"],
    "data_class": ["public", "internal", "confidential", "secret"],
    "access_flags": [[], ["user-is-administrator"], ["cross-account-access"], ["public-access"]],
    "functions": [["sign"], ["decrypt"]],
}
any_key = st.fixed_dictionaries({field: st.none() | st.sampled_from(values) for field, values in WORSE.items()})


def scored(*rows, as_of=AS_OF):
    """Scores in the order of the rows."""
    named = [{**GOOD, **row, "subject_uid": f"k{n}"} for n, row in enumerate(rows)]
    told = risk.score({"key": frame_of("key", named)}, as_of=as_of).set_index("subject_uid")
    return told.loc[[f"k{n}" for n in range(len(rows))]]


@settings(max_examples=30, deadline=None)
@given(
    any_key,
    st.sampled_from(sorted(set(WORSE) - {"quantum", "protection", "security_strength_bits", "expires_at"})),
    st.data(),
)
def test_a_worse_value_never_lowers_the_likelihood(row, field, data):
    """Monotone in every weakness, whatever else is known or not."""
    low, high = sorted(data.draw(st.lists(st.integers(0, len(WORSE[field]) - 1), min_size=2, max_size=2)))
    told = scored({**row, field: WORSE[field][low]}, {**row, field: WORSE[field][high]})["likelihood"]
    assert told.iloc[0] <= told.iloc[1] + 1e-12


@settings(max_examples=15, deadline=None)
@given(any_key, st.data())
def test_a_weaker_algorithm_never_lowers_the_likelihood(row, data):
    """Monotone in strength, among what a quantum computer does not spare."""
    row = {**row, "quantum": "broken"}
    told = scored(*({**row, "security_strength_bits": bits} for bits in WORSE["security_strength_bits"]))["likelihood"]
    assert (np.diff(told.to_numpy()) >= -1e-12).all()


@settings(max_examples=30, deadline=None)
@given(any_key, st.sampled_from(sorted(WORSE)))
def test_the_unknown_lies_between_known_good_and_known_worst(row, field):
    """Not knowing is never better than good news nor worse than the worst."""
    told = scored({**row, field: None}, *({**row, field: value} for value in WORSE[field]))
    for measure in ("likelihood", "impact"):
        unknown, known = told[measure].iloc[0], told[measure].iloc[1:]
        assert known.min() - 1e-12 <= unknown <= known.max() + 1e-12


@settings(max_examples=25, deadline=None)
@given(any_key)
def test_the_reasons_sum_to_a_hundred(row):
    """Whole percents, largest first, by exact shares."""
    (reasons,) = scored(row)["reasons"]
    percents = [int(reason.split("%")[0]) for reason in reasons]
    assert sum(percents) == 100
    assert sorted(percents, reverse=True) == percents


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 0.99), min_size=1, max_size=6))
def test_shares_are_exact(chances):
    """-ln(1-p) over its sum: they sum to 1 wherever there is a likelihood."""
    told = risk.shares(np.array([chances])).sum()
    assert told == pytest.approx(1 if any(-np.log1p(-p) > 0 for p in chances) else 0)


def test_the_order_of_the_keys_changes_nothing():
    """A permutation gives the same table."""
    rows = [{**GOOD, "subject_uid": str(n), "locator": str(n), "copies": n} for n in range(8)]
    tables = [risk.score({"key": frame_of("key", data)}, as_of=AS_OF) for data in (rows, rows[::-1])]
    assert tables[0].astype(str).values.tolist() == tables[1].astype(str).values.tolist()


def test_first_epss_worked_example():
    """.10, .20 and .15 combine to .388 (riskbasedprioritization.github.io)."""
    assert pytest.approx(risk.noisy_or(np.array([0.10, 0.20, 0.15]))) == 0.388


def test_the_matrix_is_monotone_and_of_table_i_2():
    """SP 800-30 r1, table I-2 (K): more likelihood or more impact is never less risk."""
    place = {level: n for n, level in enumerate(Severity)}
    matrix = np.array([[place[level] for level in row] for row in risk.model().matrix])
    assert matrix.shape == (5, 5)
    assert (np.diff(matrix, axis=0) >= 0).all()
    assert (np.diff(matrix, axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("likelihood", "impact", "expected"),
    [(0.02, 0.8, "low"), (0.375, 0.8, "moderate"), (0.99, 0.8, "high"), (0.99, 0.1, "low"), (1.0, 1.0, "very-high"),
     (0.0, 0.0, "very-low")],
)  # fmt: skip
def test_bands_of_the_worked_examples(likelihood, impact, expected):
    """The examples of facts/standards.md 4.2."""
    assert [expected] == list(risk.band(np.array([likelihood]), np.array([impact])))


def test_every_guess_lies_between_nothing_and_the_worst():
    """0 <= unknown <= p <= 0.99; and no condition asks whether something is known, which would break the law above."""
    for factor in (*risk.model().weaknesses, *risk.model().impacts):
        assert 0 <= factor.unknown <= factor.p <= 0.99, factor.id
        asked = [test for when in (factor.when, *(when for when, _ in factor.mitigated)) for test in leaves(when)]
        assert not {"known", "unknown"} & {test.op for test in asked}, factor.id
        assert all(0 < times <= 1 for _, times in factor.mitigated), factor.id


def test_the_quantum_term_has_no_cliff():
    """The arrival curve rises with the years and stays a chance."""
    chances = risk.arrival(np.arange(2020, 2100, 0.5))
    assert (np.diff(chances) >= 0).all()
    assert np.diff(chances).max() < 0.05
    assert 0 <= chances.min() <= chances.max() < 1


def test_longer_lived_data_raise_the_quantum_term():
    """Mosca: the longer it must hold, the likelier it falls."""
    told = scored(
        *(
            {"quantum": "broken", "functions": ["decrypt"], "data_class": c}
            for c in ("public", "confidential", "secret")
        )
    )
    assert (np.diff(told["likelihood"].to_numpy()) > 0).all()


@pytest.mark.parametrize(
    "row", [{"state": "compromised"}, {"is_in_code": True, "is_in_head": True, "protected": False}]
)
def test_a_gate_asks_for_action_at_once(row):
    """Outside the number: also for a test key of little impact."""
    told = scored(row, {}).iloc[0]
    assert told["gate"] == "immediate"
    assert told["likelihood"] >= 0.99
    assert "today" in told["todo"]


def test_a_gate_does_not_open_on_what_is_only_feared():
    """Unknown state, unknown seal: no call for action at once."""
    assert scored({"state": None, "is_in_head": True, "is_in_code": True, "protected": None})["gate"].isna().all()


def test_what_is_unknown_is_said_and_lowers_the_confidence():
    """A reason that is a guess says so."""
    told = scored({}, {"protected": None, "is_exposed": None})
    assert told["confidence"].iloc[0] == pytest.approx(1)
    assert told["confidence"].iloc[1] < 0.5
    assert any("unknown whether" in reason for reason in told["reasons"].iloc[1])


def test_public_keys_of_others_do_not_crowd_out_our_own():
    """A weak trust anchor matters somewhat, a good one hardly, a weak key of ours more than both."""
    anchor = {"subject_uid": "a", "key_type": "public-key", "holds_secret": False, "is_trust_anchor": True,
              "is_ca_key": True,
              "places": 1, "copies": 0, "certificates": 1, "algorithm": "RSA", "size_bits": 1024}  # fmt: skip
    told = {}
    for name, size in (("weak", 1024), ("good", 4096)):
        known = strength("RSA", None, size)
        facts = {"size_bits": size, "security_strength_bits": known.security_strength_bits, "quantum": known.quantum}
        told[name] = risk.score({"key": frame_of("key", [{**anchor, **facts}])}, as_of=AS_OF).iloc[0]
    ours = scored(
        {"security_strength_bits": 80, "quantum": "broken", "algorithm": "RSA", "parameter": None, "size_bits": 1024}
    )
    assert told["good"]["score"] < 5 < told["weak"]["score"] < ours["score"].iloc[0]
    assert any("RSA-1024 is too weak" in reason for reason in told["weak"]["reasons"])


def test_a_secret_that_is_a_key_is_scored_once():
    """It counts as the key; a credential counts as itself."""
    secrets = [
        {"subject_uid": "s1", "key_uid": "k", "locator": "repo:a", "severity": "high", "confidence": 0.9},
        {"subject_uid": "s2", "locator": "repo:b", "title": "cloud key", "severity": "very-high", "confidence": 0.95,
         "is_current": True},
        {"subject_uid": "s3", "locator": "repo:c", "severity": "moderate", "confidence": 0.3, "is_current": False},
    ]  # fmt: skip
    told = risk.score({"key": frame_of("key", [GOOD]), "secret": frame_of("secret", secrets)}, as_of=AS_OF)
    assert list(told["subject_uid"]) == ["s2", "s3", "k"] or list(told["subject_uid"]) == ["s2", "k", "s3"]
    assert told["gate"].iloc[0] == "immediate"


def test_nothing_to_score_is_an_empty_table():
    """The columns are there."""
    told = risk.score({"key": frame_of("key", []), "secret": frame_of("secret", [])}, as_of=AS_OF)
    assert told.shape == (0, 12)


def test_a_quantum_term_that_is_a_guess_asks_for_what_would_settle_it():
    """A key that is surely breakable, of unknown use and data: the advice names what to record, not the physics."""
    told = scored({"quantum": "broken", "functions": None, "data_class": None, "certified_until": None}).iloc[0]
    assert any("undetermined whether EC secp384r1 must hold" in reason for reason in told["reasons"])
    assert "data class" in told["todo"]
