"""AWS policies: what becomes of a request, against a judge of another make and against the guides' own words."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors._aws.policy import Attached, Caller, Grant, Malformed, Outcome, Policies, Request, decide, parse

sys.path.insert(0, str(Path(__file__).parent))
import aws_policy_universe as universe  # a helper of tests lies beside them, and tests are no package
from aws_policy_universe import ACTIONS, ANN, APP, BOB, FAR, KEY, OWN, PEOPLE, ROOT

many = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def asked(who, action, context, key_policy, own=(), boundary=None, scps=(), **more):
    """What `decide` says."""
    caller = Caller.of(who, has_boundary=boundary is not None)
    policies = Policies(
        resource=parse(json.dumps(key_policy)),
        identity=tuple(Attached(f"p{n}", parse(json.dumps(one))) for n, one in enumerate(own)),
        boundary=None if boundary is None else parse(json.dumps(boundary)),
        scps=tuple((parse(json.dumps(one)),) for one in scps),
        **more,
    )
    return decide(Request(caller, action, KEY, {key.lower(): value for key, value in context.items()}), policies)


situations = {
    "who": st.sampled_from(PEOPLE),
    "action": st.sampled_from(ACTIONS),
    "key_policy": universe.documents(has_principal=True),
    "own": st.lists(universe.documents(has_principal=False), max_size=2),
    "boundary": st.none() | universe.documents(has_principal=False),
    "scps": st.lists(universe.documents(has_principal=False), max_size=1),
}
WORDS = {"?": Outcome.UNKNOWN, "ALLOW": Outcome.ALLOW, "DENY": Outcome.DENY}


def fair(who, boundary):
    """An account's root has no boundary."""
    return None if who in (ROOT, FAR) else boundary


@many
@given(context=st.sampled_from(universe.contexts()), **situations)
def test_with_the_whole_context_known_the_answer_is_the_judges(context, who, boundary, **rest):
    """The flow chart as a procedure and the formula agree on every request."""
    boundary = fair(who, boundary)
    assert WORDS[universe.judge(who, given=context, boundary=boundary, **rest)] == asked(who, context=context, boundary=boundary, **rest).outcome  # fmt: skip


@many
@given(hidden=st.sets(st.sampled_from(sorted(universe.UNIVERSE)), min_size=1), **situations)
def test_a_certain_answer_is_right_for_every_value_of_what_is_unknown(hidden, who, boundary, **rest):
    """An unknown key may make ALLOW or DENY unknown, but what is certain holds whatever the key turns out to be."""
    boundary = fair(who, boundary)
    base = universe.contexts()[0]
    known = {key: value for key, value in base.items() if key not in hidden}
    told = asked(who, context=known, boundary=boundary, **rest).outcome
    wholes = [one for one in universe.contexts() if all(one[key] == value for key, value in known.items())]
    could = {WORDS[universe.judge(who, given=one, boundary=boundary, **rest)] for one in wholes}
    assert told is Outcome.UNKNOWN or could == {told}


@many
@given(more=universe.statements(has_principal=True, effect="Deny"), **situations)
def test_one_more_deny_never_widens(more, who, key_policy, boundary, **rest):
    """What was not allowed is not allowed after it, and what was denied is not even unknown."""
    boundary = fair(who, boundary)
    wider = {**key_policy, "Statement": [*key_policy["Statement"], more]}
    before = asked(who, context={}, key_policy=key_policy, boundary=boundary, **rest).outcome
    after = asked(who, context={}, key_policy=wider, boundary=boundary, **rest).outcome
    order = [Outcome.DENY, Outcome.UNKNOWN, Outcome.ALLOW]
    assert order.index(after) <= order.index(before)


@many
@given(more=universe.statements(has_principal=True, effect="Allow"), **situations)
def test_one_more_allow_never_narrows(more, who, key_policy, boundary, **rest):
    """And an explicit Deny stays one."""
    boundary = fair(who, boundary)
    wider = {**key_policy, "Statement": [*key_policy["Statement"], more]}
    before = asked(who, context={}, key_policy=key_policy, boundary=boundary, **rest)
    after = asked(who, context={}, key_policy=wider, boundary=boundary, **rest)
    order = [Outcome.DENY, Outcome.UNKNOWN, Outcome.ALLOW]
    assert order.index(after.outcome) >= order.index(before.outcome)
    assert before.is_explicit == after.is_explicit


@many
@given(seed=st.integers(), **situations)
def test_the_order_of_statements_means_nothing(seed, who, key_policy, own, boundary, **rest):
    """Nor does that of policies."""
    boundary, mixed = fair(who, boundary), random.Random(seed)
    others = [{**one, "Statement": mixed.sample(one["Statement"], len(one["Statement"]))} for one in (key_policy, *own)]
    told = asked(who, context={}, key_policy=key_policy, own=own, boundary=boundary, **rest)
    again = asked(who, context={}, key_policy=others[0], own=others[:0:-1], boundary=boundary, **rest)
    assert (told.outcome, told.is_explicit) == (again.outcome, again.is_explicit)


@many
@given(effect=st.sampled_from(["Allow", "Deny"]), **situations)
def test_an_unknown_operator_or_an_unreadable_policy_makes_nothing_certain_that_was_not(effect, who, key_policy, boundary, **rest):  # fmt: skip
    """A statement under an operator nobody knows neither allows nor denies: it can only make an answer unknown."""
    boundary = fair(who, boundary)
    odd = {"Effect": effect, "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"StringFuzzy": {"a": "b"}}}
    wider = {**key_policy, "Statement": [*key_policy["Statement"], odd]}
    before = asked(who, context={}, key_policy=key_policy, boundary=boundary, **rest).outcome
    assert asked(who, context={}, key_policy=wider, boundary=boundary, **rest).outcome in {before, Outcome.UNKNOWN}
    assert Outcome.ALLOW is not asked(who, context={}, key_policy=["no policy"], boundary=boundary, **rest).outcome


# The guides' own words


def allow(whom, actions="kms:*", **more):
    """A statement that allows."""
    return {"Effect": "Allow", "Principal": whom, "Action": actions, "Resource": "*", **more}


def policy(*statements):
    """A document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


EVERYTHING = policy({"Effect": "Allow", "Action": "*", "Resource": "*"})
NOTHING = policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})


def test_iam_policies_count_only_where_the_key_policy_lets_the_account_decide():
    """KMS developer guide, "Key policies in AWS KMS": without it they have no effect."""
    assert Outcome.DENY is asked(ANN, "kms:Decrypt", {}, policy(), [EVERYTHING]).outcome
    assert Outcome.DENY is asked(ANN, "kms:Decrypt", {}, policy(allow({"AWS": ROOT})), []).outcome
    assert Outcome.ALLOW is asked(ANN, "kms:Decrypt", {}, policy(allow({"AWS": OWN})), [EVERYTHING]).outcome
    told = asked(ANN, "kms:Decrypt", {}, policy(allow({"AWS": ROOT}, Sid="IAM")), [EVERYTHING])
    assert {("resource-policy", "IAM"), ("p0", "Statement[0]")} == {(one.source, one.name) for one in told.reasons}


def test_another_account_needs_both_sides_and_an_operation_that_works_across():
    """KMS developer guide, "Allowing users in other accounts to use a KMS key"."""
    lent = policy(allow({"AWS": FAR}))
    assert Outcome.ALLOW is asked(BOB, "kms:Decrypt", {}, lent, [EVERYTHING]).outcome
    assert Outcome.DENY is asked(BOB, "kms:Decrypt", {}, lent, []).outcome
    assert Outcome.DENY is asked(BOB, "kms:Decrypt", {}, policy(allow({"AWS": ROOT})), [EVERYTHING]).outcome
    assert Outcome.DENY is asked(BOB, "kms:ScheduleKeyDeletion", {}, lent, [EVERYTHING]).outcome
    caller, one = Caller.of(BOB), parse(json.dumps(lent))
    assert Outcome.UNKNOWN is decide(Request(caller, "kms:Decrypt", KEY), Policies(resource=one, identity=None)).outcome


def test_a_boundary_limits_what_a_role_gets_by_name_and_not_what_a_user_gets():
    """IAM user guide, "Policy evaluation logic": the principal in the policy decides what implicit denies count."""
    for who, outcome in ((ANN, Outcome.ALLOW), (APP, Outcome.DENY)):
        assert outcome is asked(who, "kms:Decrypt", {}, policy(allow({"AWS": who})), boundary=NOTHING).outcome
    session = f"arn:aws:sts::{OWN}:assumed-role/app/one"
    assert Outcome.ALLOW is asked(session, "kms:Decrypt", {}, policy(allow({"AWS": session})), boundary=NOTHING).outcome
    assert Outcome.DENY is asked(session, "kms:Decrypt", {}, policy(allow({"AWS": APP})), boundary=NOTHING).outcome
    assert Outcome.ALLOW is asked(session, "kms:Decrypt", {}, policy(allow({"AWS": APP}))).outcome


@pytest.mark.parametrize("who", [ANN, APP])
def test_a_boundary_a_session_and_each_level_of_scps_limit_what_iam_gives(who):
    """IAM user guide, "Policy evaluation logic": what IAM gives is what all of them allow."""
    trust, nothing, everything = policy(allow({"AWS": ROOT})), parse(json.dumps(NOTHING)), parse(json.dumps(EVERYTHING))
    for limits in ({"boundary": NOTHING}, {"scps": [EVERYTHING, NOTHING]}, {"session": (nothing,)}):
        assert Outcome.DENY is asked(who, "kms:Decrypt", {}, trust, [EVERYTHING], **limits).outcome
    whole = {"boundary": EVERYTHING, "scps": [EVERYTHING, EVERYTHING], "session": (everything,)}
    assert Outcome.ALLOW is asked(who, "kms:Decrypt", {}, trust, [EVERYTHING], **whole).outcome


def test_not_principal_with_deny_spares_only_who_is_listed_with_the_account():
    """IAM user guide, "NotPrincipal": the account too must be listed, and a boundary makes it deny always."""
    for listed, outcome in (([ANN, ROOT], Outcome.ALLOW), ([APP], Outcome.DENY), ([ANN], Outcome.UNKNOWN)):
        deny = {"Effect": "Deny", "NotPrincipal": {"AWS": listed}, "Action": "*", "Resource": "*"}
        both = policy(allow({"AWS": ANN}), deny)
        assert outcome is asked(ANN, "kms:Decrypt", {}, both).outcome
        assert Outcome.DENY is asked(ANN, "kms:Decrypt", {}, both, boundary=EVERYTHING).outcome


def test_a_key_policy_statement_without_resource_has_no_effect():
    """KMS developer guide, "Creating a key policy"."""
    told = {name: value for name, value in allow({"AWS": ANN}).items() if name != "Resource"}
    assert Outcome.DENY is asked(ANN, "kms:Decrypt", {}, policy(told)).outcome


def test_a_deleted_principals_id_means_only_who_has_it():
    """IAM user guide, "Principal": one made anew under the same name has another id."""
    told = parse(json.dumps(policy(allow({"AWS": "AIDAEXAMPLEEXAMPLE1"}))))
    for unique_id, outcome in (("AIDAEXAMPLEEXAMPLE1", "ALLOW"), ("AIDAEXAMPLEEXAMPLE2", "DENY"), (None, "UNKNOWN")):
        caller = Caller.of(ANN, unique_id=unique_id)
        assert outcome == decide(Request(caller, "kms:Decrypt", KEY), Policies(resource=told)).outcome


def test_a_grant_gives_its_operations_under_its_constraints_and_deny_wins():
    """KMS developer guide, "Grants in AWS KMS"."""
    grant = Grant(grant_id="g", grantee=APP, operations=("Decrypt",), equals=(("a", "b"),), retiring=ANN)
    right = {"kms:EncryptionContext:a": ("b",), "kms:EncryptionContextKeys": ("a",)}
    for context, outcome in ((right, "ALLOW"), ({}, "UNKNOWN"), ({**right, "kms:EncryptionContext:a": ("c",)}, "DENY")):
        assert outcome == asked(APP, "kms:Decrypt", context, policy(), grants=(grant,)).outcome
    assert "DENY" == asked(APP, "kms:Encrypt", right, policy(), grants=(grant,)).outcome
    assert "ALLOW" == asked(ANN, "kms:RetireGrant", {}, policy(), grants=(grant,)).outcome
    refused = policy({"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"})
    told = asked(APP, "kms:Decrypt", right, refused, grants=(grant,))
    assert ("DENY", True) == (told.outcome, told.is_explicit)


def test_a_service_gets_what_the_key_policy_gives_it_and_needs_no_iam():
    """With aws:SourceAccount unknown, whether it may is unknown."""
    guarded = allow({"Service": "logs.amazonaws.com"}, Condition={"StringEquals": {"aws:SourceAccount": OWN}})
    for context, outcome in (
        ({}, "UNKNOWN"),
        ({"aws:SourceAccount": (OWN,)}, "ALLOW"),
        ({"aws:SourceAccount": ("9",)}, "DENY"),
    ):
        assert outcome == asked("logs.amazonaws.com", "kms:Decrypt", context, policy(guarded)).outcome
    assert "DENY" == asked("s3.amazonaws.com", "kms:Decrypt", {}, policy(guarded)).outcome
    assert "DENY" == asked(ANN, "kms:Decrypt", {}, policy({**guarded, "Principal": "*"})).outcome


def test_other_services_trust_iam_without_a_resource_policy_and_buckets_need_an_owner():
    """Only KMS has the rule of the key policy; a bucket's ARN does not say whose it is."""
    own = Policies(identity=(Attached("p", parse(json.dumps(EVERYTHING))),))
    secret = f"arn:aws:secretsmanager:eu-west-1:{OWN}:secret:x"
    assert "ALLOW" == decide(Request(Caller.of(ANN), "secretsmanager:GetSecretValue", secret), own).outcome
    bucket = Request(Caller.of(ANN), "s3:GetObject", "arn:aws:s3:::b/x")
    assert "UNKNOWN" == decide(bucket, own).outcome
    owned = Request(Caller.of(ANN), "s3:GetObject", "arn:aws:s3:::b/x", owner=OWN)
    assert "ALLOW" == decide(owned, own).outcome


@pytest.mark.parametrize("place", ["resource", "identity", "boundary"])
def test_a_policy_that_was_not_read_leaves_the_answer_open(place):
    """It may deny, and it may allow."""
    good = {
        "resource": parse(json.dumps(policy(allow({"AWS": ROOT})))),
        "identity": (Attached("p", parse(json.dumps(EVERYTHING))),),
    }
    bad = Malformed("denied")
    policies = Policies(**{**good, place: (Attached("p", bad),) if place == "identity" else bad})
    assert "UNKNOWN" == decide(Request(Caller.of(ANN), "kms:Decrypt", KEY), policies).outcome
