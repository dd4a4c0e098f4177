"""AWS policies: who may do what with a key, and the flags on it; held against `decide`, request by request."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors._aws.policy import (
    Account,
    Caller,
    FlagId,
    Grant,
    Malformed,
    Outcome,
    Policies,
    Request,
    Resolver,
    decide,
    flags,
    parse,
)  # fmt: skip

sys.path.insert(0, str(Path(__file__).parent))
import aws_policy_universe as universe  # a helper of tests lies beside them, and tests are no package
from aws_policy_universe import ACTIONS, ANN, APP, BOB, FAR, KEY, OWN, ROOT

OPS = f"arn:aws:iam::{OWN}:user/ops"


def policy(*statements) -> str:
    """A document's text."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, whom=None, **more):
    """A statement that allows."""
    named = {} if whom is None else {"Principal": whom}
    return {"Effect": "Allow", **named, "Action": actions, "Resource": "*", **more}


TRUST = allow("kms:*", {"AWS": ROOT}, Sid="IAM")


def details(**own):
    """GetAccountAuthorizationDetails of ann (user), ops (user) and app (role), by their inline policies."""

    def inline(name):
        return [{"PolicyName": "inline", "PolicyDocument": json.loads(own[name])}] if name in own else []

    users = [
        {
            "Arn": ANN,
            "UserId": "AIDAEXAMPLEEXAMPLE1",
            "UserPolicyList": inline("ann"),
            "GroupList": own.get("groups", []),
        },
        {"Arn": OPS, "UserId": "AIDAEXAMPLEEXAMPLE2", "UserPolicyList": inline("ops")},
    ]
    role = {"Arn": APP, "RoleId": "AROAEXAMPLEEXAMPLE1", "RolePolicyList": inline("app"), **own.get("role", {})}
    groups = [
        {
            "GroupName": "crew",
            "Arn": f"arn:aws:iam::{OWN}:group/crew",
            "GroupPolicyList": [{"PolicyName": "g", "PolicyDocument": own.get("crew")}],
        }
    ]
    return {"UserDetailList": users, "RoleDetailList": [role], "GroupDetailList": groups if "crew" in own else [], "Policies": own.get("managed", [])}  # fmt: skip


def told(text, grants=(), **own):
    """Who may, as (principal, function, via, source)."""
    resolver = Resolver(OWN, account=Account.read(details(**own)))
    return resolver.who_may(KEY, policy=parse(text), grants=grants)


def ways(entries, principal):
    """How one principal may."""
    return {(str(one.function), one.via, one.source) for one in entries if one.principal == principal}


def test_iam_gives_what_the_key_policy_entrusts_and_nothing_without():
    """The default key policy: the account's IAM decides; without it a policy of everything gives nothing."""
    mine = policy(allow("*"))
    entries = told(policy(TRUST), ann=mine)
    assert {(function, "identity-policy", f"{ANN}#inline") for function in ("use", "administer", "grant", "delete", "read")} == ways(entries, ANN)  # fmt: skip
    assert set() == ways(entries, APP)
    assert () == told(policy(allow("kms:*", {"AWS": FAR}, Resource=[])), ann=mine)
    part = told(policy(allow("kms:Decrypt", {"AWS": OWN})), ann=mine)
    assert [("kms:Decrypt",)] == [one.actions for one in part if one.principal == ANN]


def test_groups_managed_policies_and_boundaries_count():
    """A user has what its groups have; a boundary takes away; the default version of a managed policy is the one."""
    arn = f"arn:aws:iam::{OWN}:policy/keys"
    versions = [
        {"IsDefaultVersion": n == 1, "Document": json.loads(policy(allow(what)))}
        for n, what in enumerate(["*", "kms:Sign"])
    ]
    limit = {"Arn": f"{arn}-limit", "PolicyVersionList": [{"IsDefaultVersion": True, "Document": json.loads(policy(allow(["kms:Decrypt", "s3:*"])))}]}  # fmt: skip
    role = {"AttachedManagedPolicies": [{"PolicyName": "keys", "PolicyArn": arn}]}
    managed = [{"Arn": arn, "PolicyVersionList": versions}, limit]
    entries = told(policy(TRUST), groups=["crew"], crew=policy(allow("kms:Decrypt")), role=role, managed=managed)
    assert {("use", "identity-policy", f"arn:aws:iam::{OWN}:group/crew#g")} == ways(entries, ANN)
    assert [(("kms:Sign",), arn)] == [(one.actions, one.source) for one in entries if one.principal == APP]
    bounded = {**role, "PermissionsBoundary": {"PermissionsBoundaryArn": f"{arn}-limit"}}
    both = told(policy(TRUST, allow(["kms:Sign", "kms:Decrypt"], {"AWS": APP})), role=bounded, managed=managed)
    assert [(("kms:Decrypt",), "resource-policy")] == [(one.actions, one.via) for one in both if one.principal == APP]


def test_a_policy_that_was_not_in_the_answer_makes_its_identity_uncertain():
    """It may give more, and it may deny: nothing about that identity is certain, and the account says why."""
    role = {"AttachedManagedPolicies": [{"PolicyName": "x", "PolicyArn": "arn:aws:iam::aws:policy/x"}]}
    entries = told(policy(TRUST, allow("kms:Sign", {"AWS": APP})), role=role, app=policy(allow("kms:Decrypt")))
    assert [False, False] == [one.is_certain for one in entries if one.principal == APP]
    assert all(one.is_certain for one in entries if one.principal != APP)
    assert "arn:aws:iam::aws:policy/x" == Account.read(details(role=role)).problems[0][0]


def test_conditions_are_kept_as_written_and_denials_are_told_as_not():
    """Encryption context, ViaService and MFA stand in the entry; a conditional Deny parts the actions it means."""
    condition = {"StringEquals": {"kms:EncryptionContext:App": "pay", "kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "kms:Sched*", "Resource": "*", "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}  # fmt: skip
    entries = told(policy(allow(["kms:Decrypt", "kms:Sched*", "kms:Delete*"], {"AWS": ANN}, Condition=condition), deny))
    written = ("StringEquals kms:EncryptionContext:App=pay", "StringEquals kms:ViaService=s3.eu-west-1.amazonaws.com")
    by_actions = {one.actions: one for one in entries}
    assert written == by_actions[("kms:Decrypt",)].conditions
    assert (*written, "not (BoolIfExists aws:MultiFactorAuthPresent=false)") == by_actions[
        ("kms:ScheduleKeyDeletion",)
    ].conditions
    assert {("kms:DeleteImportedKeyMaterial",): False, ("kms:ScheduleKeyDeletion",): True} == {actions: one.needs_mfa for actions, one in by_actions.items() if one.function == "delete"}  # fmt: skip


@pytest.mark.parametrize(
    ("whom", "condition", "public", "across"),
    [
        ("*", {}, True, True),
        ({"AWS": "*"}, {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}, True, True),
        ("*", {"StringEquals": {"kms:CallerAccount": OWN}}, False, False),
        ("*", {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, True, True),
        ("*", {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False, True),
        ("*", {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}, True, True),
        ("*", {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/*"}}, False, False),
        ("*", {"StringEquals": {"aws:SourceVpce": "vpce-1"}}, False, True),
        ("*", {"StringLike": {"aws:SourceVpce": "*"}}, True, True),
        ("*", {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True, True),
        ("*", {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, False, True),
        ({"AWS": BOB}, {}, False, True),
        ({"AWS": ANN}, {}, False, False),
        ({"Service": "rds.amazonaws.com"}, {}, False, False),
    ],
)
def test_everyone_is_public_unless_a_condition_keeps_it_to_someone(whom, condition, public, across):
    """ViaService alone does not, for any account may come by a service; …IfExists does not, for a key may be absent."""
    for one in told(policy(allow("kms:Decrypt", whom, Condition=condition))):
        assert (public, across) == (one.is_public, one.is_cross_account)
        assert one.is_wildcard == (whom == "*" or whom == {"AWS": "*"})


def test_a_deny_outside_the_organisation_makes_everyone_no_public():
    """The usual guard is a Deny of StringNotEquals aws:PrincipalOrgID."""
    guard = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}  # fmt: skip
    (one,) = told(policy(allow("kms:Decrypt", "*"), guard))
    assert (False, True, True) == (one.is_public, one.is_wildcard, one.is_in_organisation)


def test_another_accounts_entries_hold_only_what_works_across_accounts():
    """Giving ScheduleKeyDeletion to another account has no effect."""
    entries = told(policy(allow("kms:*", {"AWS": FAR})))
    assert "kms:ScheduleKeyDeletion" not in {action for one in entries for action in one.actions}
    assert {"use", "grant", "read"} == {str(one.function) for one in entries}


def test_grants_give_their_operations_to_the_grantee_and_retiring_to_the_retiring():
    """With their constraints; what the key policy denies is not given."""
    grant = Grant.read({"GrantId": "g1", "GranteePrincipal": APP, "RetiringPrincipal": ANN, "Operations": ["Decrypt", "Encrypt"], "Constraints": {"EncryptionContextSubset": {"a": "b"}}})  # fmt: skip
    refused = {"Effect": "Deny", "Principal": {"AWS": APP}, "Action": "kms:Encrypt", "Resource": "*"}
    entries = told(policy(refused), grants=[grant])
    assert [(APP, ("kms:Decrypt",), ("EncryptionContextSubset a=b",)), (ANN, ("kms:RetireGrant",), ("EncryptionContextSubset a=b",))] == [(one.principal, one.actions, one.conditions) for one in entries]  # fmt: skip


def test_equal_keys_share_their_entries_and_a_resource_pattern_parts_them():
    """What is shared is worked out once; a policy that names one key gives it alone."""
    mine = policy(allow("kms:Decrypt", Resource=KEY))
    resolver = Resolver(OWN, account=Account.read(details(ann=mine)))
    one, two, three = (resolver.who_may(arn, policy=parse(policy(TRUST))) for arn in (KEY, KEY + "2", KEY + "3"))
    assert two is three
    assert {ANN, ROOT} == {entry.principal for entry in one}
    assert {ROOT} == {entry.principal for entry in two}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    key_policy=universe.documents(has_principal=True),
    own=st.fixed_dictionaries({}, optional={name: universe.documents(has_principal=False) for name in ("ann", "app")}),
    context=st.sampled_from(universe.contexts()),
)
def test_the_entries_say_what_decide_says_of_each_request(key_policy, own, context):
    """What is allowed in any context stands in an entry; an entry that is certain and free of conditions is allowed."""
    account = Account.read(details(**{name: json.dumps(one) for name, one in own.items()}))
    entries = Resolver(OWN, account=account).who_may(KEY, policy=parse(json.dumps(key_policy)))
    given_ = {key.lower(): value for key, value in context.items()}
    for who in account.identities:
        policies = Policies(resource=parse(json.dumps(key_policy)), identity=who.policies)
        mine = [one for one in entries if one.principal in (who.caller.arn, "*")]
        for action in ACTIONS:
            listed = [one for one in mine if action in one.actions]
            now = decide(Request(who.caller, action, KEY, given_), policies).outcome
            ever = decide(Request(who.caller, action, KEY), policies).outcome
            assert now is not Outcome.ALLOW or listed
            own_ones = [one for one in listed if one.principal != "*"]
            if any(one.is_certain and not one.conditions for one in own_ones):
                assert Outcome.ALLOW is ever
            if ever is Outcome.DENY:
                assert [] == own_ones


# Flags


def flagged(text, grants=(), own=None, **more):
    """The flags of a key, by id, with their principals."""
    account = Account.read(details(**(own or {})))
    access = Resolver(OWN, account=account).who_may(KEY, policy=parse(text), grants=grants)
    found = flags(access, policy=parse(text), account_id=OWN, grants=grants, known=account.names, **more)
    assert all(one.reason for one in found)
    return {one.flag: one.principals for one in found}


def test_the_default_policy_is_information_not_a_finding_but_for_mfa():
    """Delegating to IAM is told; the root user may destroy without MFA, which is a finding."""
    assert {FlagId.DELEGATES_TO_IAM: (ROOT,), FlagId.NO_MFA: (ROOT,)} == flagged(policy(TRUST))


def test_foreign_accounts_everyone_and_both_duties_are_flagged():
    """Each flag names whom it concerns; accounts of the same organisation are no strangers."""
    text = policy(
        allow("kms:Decrypt", {"AWS": [FAR, BOB]}),
        allow(["kms:Encrypt", "kms:PutKeyPolicy"], {"AWS": ANN}),
        allow("kms:Sign", "*"),
    )
    found = flagged(text)
    assert {FlagId.PUBLIC: ("*",), FlagId.WILDCARD: ("*",), FlagId.CROSS_ACCOUNT: (FAR, BOB), FlagId.WHOLE_ACCOUNT: (FAR,), FlagId.DUTIES: (ANN,)} == found  # fmt: skip
    assert {FlagId.PUBLIC, FlagId.WILDCARD, FlagId.DUTIES} == set(flagged(text, trusted_accounts={FAR.split(":")[4]}))


def test_deletion_is_flagged_unless_mfa_is_asked_for():
    """Bool with …IfExists lets long-term keys by, so it is no MFA condition."""
    for operator, is_flagged in (("Bool", False), ("BoolIfExists", True)):
        text = policy(
            allow("kms:ScheduleKeyDeletion", {"AWS": ANN}, Condition={operator: {"aws:MultiFactorAuthPresent": "true"}})
        )
        assert is_flagged == (FlagId.NO_MFA in flagged(text))


def test_grants_of_principals_that_are_gone_and_old_grants_are_flagged():
    """Services and other accounts cannot be gone; without a time no grant is old."""
    made = datetime(2024, 1, 1, tzinfo=UTC)
    names = [APP, f"arn:aws:iam::{OWN}:role/gone", BOB, "rds.amazonaws.com", f"arn:aws:sts::{OWN}:assumed-role/app/s", f"arn:aws:sts::{OWN}:assumed-role/gone/s", "AROAEXAMPLEEXAMPLE9"]  # fmt: skip
    grants = [
        Grant(grant_id=f"g{n}", grantee=name, operations=("Decrypt",), created_at=made) for n, name in enumerate(names)
    ]
    found = flags((), policy=parse(policy(TRUST)), account_id=OWN, grants=grants, known=Account.read(details()).names)
    assert [names[1], names[5], names[6]] == [one.principals[0] for one in found if one.flag is FlagId.STALE_GRANT]
    assert FlagId.OLD_GRANT not in {one.flag for one in found}
    later = flagged(policy(TRUST), grants=grants[:1], as_of=datetime(2026, 1, 1, tzinfo=UTC))
    assert (APP,) == later[FlagId.OLD_GRANT]


def test_deleted_principals_unknown_operators_and_unread_policies_are_flagged():
    """An id in place of an ARN is a deleted principal, unless someone there has it."""
    found = flagged(policy(allow("kms:Sign", {"AWS": ["AIDAEXAMPLEEXAMPLE1", "AROAEXAMPLEEXAMPLE9"]})))
    assert {FlagId.DELETED: ("AROAEXAMPLEEXAMPLE9",)} == found
    odd = policy(allow("kms:Sign", {"AWS": ANN}, Condition={"StringFuzzy": {"a": "b"}}))
    assert {FlagId.UNCERTAIN: (ANN,)} == flagged(odd)
    assert [FlagId.NOT_READ] == [one.flag for one in flags((), policy=None, account_id=OWN)]
    unread = Resolver(OWN, account=Account.read(details(ann=policy(allow("*"))))).who_may(
        KEY, policy=Malformed("denied")
    )
    assert {(ANN, False)} == {(one.principal, one.is_certain) for one in unread}
    assert Caller.of(ANN).account == OWN
