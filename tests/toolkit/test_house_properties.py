"""What must hold of every policy and key: less never allows more, and judging and permitting never disagree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit import house, policies
from toolkit.assessment import assess
from toolkit.conditions import frame_of
from toolkit.house import ASKED, About, Approval, Outcome
from toolkit.terms import Verb

POLICY = house.load(house.EXAMPLE)
# The same policy, put in force: what it breaks fails.
PACK = policies.pack_of(house.loads(house.EXAMPLE.read_text().replace('status = "example"', "")))
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
RANK = {Outcome.REFUSED: 0, Outcome.NEEDS_APPROVAL: 1, Outcome.ALLOWED: 2}
PEOPLE = ["Ana", "Bo", "Cy", "Dee", "Dora", "Eve", "Finn", "Gus", "Ida"]
ROLES = list(POLICY.roles)
a_time = st.integers(0, 1500).map(lambda days: NOW - timedelta(days=days))
# Values near what the shipped policy asks for, so that yes and no are both met often.
FIELDS = {
    "holds_secret": st.just(True),
    "held_by": st.sampled_from([["pkcs11"], ["pkcs11", "keyfiles"], ["aws_kms"], ["keyfiles"], ["code", "keyfiles"]]),
    "label": st.sampled_from(["pay-1", "pay-settlement-1", "ca-root", "misc"]),
    "locator": st.sampled_from(["file:///home/a/.ssh/id", "file:///srv/key.pem", "pkcs11:token=a"]),
    "algorithm": st.sampled_from(["AES", "RSA", "EC", "Ed25519", "TDEA"]),
    "parameter": st.sampled_from(["secp256r1", "secp384r1"]),
    "size_bits": st.sampled_from([128, 256, 2048, 3072, 4096]),
    "effective_strength_bits": st.sampled_from([80, 112, 128, 256]),
    "protection": st.sampled_from(["none", "passphrase", "token", "hardware"]),
    "sensitive": st.booleans(), "never_extractable": st.booleans(), "extractable": st.booleans(),
    "is_exposed": st.booleans(), "is_in_code": st.booleans(), "is_public": st.booleans(), "mixes_duties": st.booleans(),
    "functions": st.sampled_from([["sign"], ["encrypt", "decrypt"], ["decrypt"], []]),
    "origin": st.sampled_from(["generated", "imported"]),
    "state": st.sampled_from(["pre-activation", "active", "suspended", "deactivated", "compromised", "destroyed"]),
    "region": st.sampled_from(["eu-west-1", "us-east-1"]),
    "owner": st.just("payments"),
    "manager": st.sampled_from(["customer", "provider"]),
    "in_use_since": a_time, "last_rotated_at": a_time, "last_used_at": a_time,
}  # fmt: skip
a_key = st.fixed_dictionaries({}, optional=FIELDS)
# What is known of most keys: so that few are refused for want of a field alone.
a_known_key = st.fixed_dictionaries(FIELDS)
an_approval = st.builds(
    Approval, by=st.sampled_from(PEOPLE), at=st.sampled_from([NOW - timedelta(days=1), NOW + timedelta(days=1)]),
    roles=st.frozensets(st.sampled_from(ROLES), max_size=2),
)  # fmt: skip
a_request = st.fixed_dictionaries(
    {
        "by": st.sampled_from(PEOPLE),
        "roles": st.frozensets(st.sampled_from(ROLES)),
        "approvals": st.lists(an_approval, max_size=6),
        "requested_at": st.none() | st.integers(0, 100).map(lambda days: NOW - timedelta(days=days)),
        "as_of": st.just(NOW),
    }
)
a_verb = st.sampled_from([verb for one in POLICY.classes for verb in one.permits])
some_keys = st.lists(a_key | a_known_key, min_size=5, max_size=12)
thorough = settings(max_examples=60, deadline=None)
batched = settings(max_examples=12, deadline=None)


def rank(verb, key, request):
    """How far the policy goes with a request."""
    return RANK[house.permits(POLICY, verb, key, **request).outcome]


@thorough
@given(a_verb, a_known_key, a_request, st.data())
def test_knowing_less_of_a_key_never_allows_more(verb, key, request, data):
    """Any fields taken away."""
    kept = data.draw(st.sets(st.sampled_from(sorted(key))))

    assert rank(verb, {name: key[name] for name in kept}, request) <= rank(verb, key, request)


@thorough
@given(a_verb, a_known_key, a_request, st.data())
def test_fewer_approvals_and_fewer_roles_never_allow_more(verb, key, request, data):
    """Any of either taken away."""
    kept = data.draw(
        st.lists(st.sampled_from(request["approvals"]), unique_by=id) if request["approvals"] else st.just([])
    )
    roles = data.draw(st.frozensets(st.sampled_from(sorted(request["roles"])))) if request["roles"] else frozenset()

    assert rank(verb, key, {**request, "approvals": kept, "roles": roles}) <= rank(verb, key, request)


@thorough
@given(a_verb, a_key, a_request)
def test_the_order_of_approvals_and_fields_changes_nothing(verb, key, request):
    """A permutation is the same request."""
    turned = {**request, "approvals": request["approvals"][::-1]}

    assert rank(verb, dict(reversed(key.items())), turned) == rank(verb, key, request)


def judged(keys):
    """Of each key the findings of the house's pack; judged at once, since one costs as much as many."""
    rows = [{"subject_uid": f"keeper:{number}", **key} for number, key in enumerate(keys)]
    found = assess({"key": frame_of("key", rows)}, [PACK], as_of=NOW)
    found = found[found["subject"] == "key"].astype({"rule": str, "verdict": str, "subject_uid": str})
    return [found[found["subject_uid"] == row["subject_uid"]] for row in rows]


@batched
@given(some_keys)
def test_judging_and_permitting_agree_on_every_rule(keys):
    """`activate` asks for exactly the rules that `assess` gives, each with the same answer and the same unknowns."""
    kinds = {demand.id: demand.kind for demand in POLICY.demands}
    asked = [rule for rule, kind in kinds.items() if kind in ASKED[Verb.ACTIVATE]]
    for key, found in zip(keys, judged(keys), strict=True):
        told = house.permits(POLICY, Verb.ACTIVATE, key, by="Ana", as_of=NOW)
        ours = found[found["rule"].isin(asked)]
        verdicts = {
            row.rule: "yes" if row.verdict == "PASS" or isinstance(row.excepted, str) else (row.verdict, {*row.missing})
            for row in ours.itertuples()
        }
        permitted = {
            check.says.partition(":")[0]: "yes"
            if check.holds
            else ("INDETERMINATE" if check.missing else "FAIL", {*check.missing})
            for check in told.checks
            if check.about is About.RULE
        }
        assert verdicts == permitted


@batched
@given(some_keys)
def test_a_key_is_judged_in_one_class_or_in_none(keys):
    """The rules that apply are of one class; where that cannot be told, one finding says which fields would tell."""
    for found in judged(keys):
        classes = {rule.partition("/")[0] for rule in found["rule"] if "/" in rule}
        verdict = found.set_index("rule")["verdict"].get("class")

        assert len(classes) <= 1
        assert not classes or verdict == "PASS"
        if verdict == "INDETERMINATE":
            assert len(found.loc[found["rule"] == "class", "missing"].iloc[0])
