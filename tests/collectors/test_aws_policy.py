"""AWS policy documents: the grammar, the wildcards, the condition operators, and the table of actions."""

from __future__ import annotations

import json
import re
from functools import cache
from urllib.parse import quote

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors._aws.policy import Document, Malformed, parse, services, table
from collectors._aws.policy.conditions import holds, operator
from collectors._aws.policy.grammar import Condition
from collectors._aws.policy.patterns import matcher
from toolkit.terms import AccessFunction

ONE = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}


def document(*statements, **more) -> str:
    """A policy document's text."""
    return json.dumps({"Version": "2012-10-17", **more, "Statement": list(statements)})


# The grammar


def test_a_statement_alone_and_texts_alone_are_lists_of_one():
    """`Statement` may be an object, and every list a text."""
    told = parse(json.dumps({"Statement": ONE}))
    assert "2008-10-17" == told.version
    assert (("kms:Decrypt",), ("*",)) == (told.statements[0].actions, told.statements[0].resources)


@pytest.mark.parametrize(
    ("principal", "everyone", "aws", "services_", "federated", "canonical"),
    [
        ("*", True, (), (), (), ()),
        ({"AWS": "*"}, True, (), (), (), ()),
        ({"AWS": ["111122223333", "AIDAEXAMPLEEXAMPLE1"]}, False, ("111122223333", "AIDAEXAMPLEEXAMPLE1"), (), (), ()),
        ({"Service": "rds.amazonaws.com"}, False, (), ("rds.amazonaws.com",), (), ()),
        (
            {"Federated": "accounts.google.com", "CanonicalUser": "79a5"},
            False,
            (),
            (),
            ("accounts.google.com",),
            ("79a5",),
        ),
    ],
)
def test_every_form_of_principal_is_read(principal, everyone, aws, services_, federated, canonical):
    """IAM user guide, "AWS JSON policy elements: Principal"."""
    for name, is_not in (("Principal", False), ("NotPrincipal", True)):
        told = parse(document({**ONE, name: principal})).statements[0]
        named = told.principals
        assert is_not == told.is_not_principal
        assert (everyone, aws, services_, federated, canonical) == (
            named.is_everyone, named.aws, named.services, named.federated, named.canonical,
        )  # fmt: skip


def test_conditions_keep_the_documents_words_and_turn_values_into_texts():
    """Booleans and numbers may stand without quotes; unknown operators are kept."""
    told = parse(document({**ONE, "Condition": {"Bool": {"a:B": True}, "Fuzzy": {"c": [1, "x"]}}})).statements[0]
    assert ("Bool a:B=true", "Fuzzy c=1,x") == tuple(map(str, told.conditions))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("NaN", "not JSON"),
        ("[]", "not an object"),
        ("{}", "no Statement"),
        ('{"Statement": [], "Version": "2030-01-01"}', "a Version that is not of the grammar"),
        ('{"Statement": [], "statement": []}', "an element that is not of the grammar"),
        ('{"Statement": ["x"]}', "not an object"),
        (document({**ONE, "Effect": "allow"}), "Effect is neither Allow nor Deny"),
        (document({**ONE, "NotAction": "x"}), "Action and NotAction at once"),
        (document({"Effect": "Deny", "Resource": "*"}), "neither Action nor NotAction"),
        (document({**ONE, "Principal": "*", "NotPrincipal": "*"}), "Principal and NotPrincipal at once"),
        (document({**ONE, "Principal": "ann"}), "a principal that is not of the grammar"),
        (document({**ONE, "Principal": {"aws": "x"}}), "a principal that is not of the grammar"),
        (document({**ONE, "Action": [1]}), "neither a text nor a list of texts"),
        (document({**ONE, "Condition": {"Bool": "x"}}), "not an object"),
        (document({**ONE, "Condition": {"Bool": {"x": None}}}), "a value that is no text, number or boolean"),
        ('{"Statement": {"Effect": "Allow", "Effect": "Deny"}}', "an element stands there twice"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 500_000, "longer than any policy may be"),
        (b"\xff\xfe", "not UTF-8"),
        ("\ud800", "not UTF-8"),
    ],
)
def test_a_malformed_document_is_a_value_that_says_why(text, reason):
    """Never an exception, so that the caller can make it a Gap."""
    told = parse(text)
    assert isinstance(told, Malformed)
    assert reason == told.reason


def test_what_is_malformed_is_told_without_the_documents_text():
    """A policy's text may hold names that do not belong in a log."""
    for block in ({**ONE, "Effect": "canary"}, {**ONE, "canary": 1}, {**ONE, "Principal": "canary"}):
        assert "canary" not in repr(parse(document(block)))


@given(st.recursive(st.none() | st.booleans() | st.text(max_size=8) | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Principal", "AWS", "Condition", "Allow"]), inner, max_size=4), max_leaves=12))  # fmt: skip
def test_no_json_whatever_raises(told):
    """What is read is hostile."""
    assert isinstance(parse(json.dumps(told)), Document | Malformed)


def test_equal_texts_are_one_object_in_every_encoding_iam_sends():
    """Thousands of keys share a policy: it is parsed once. boto3 decodes IAM's, the API sends it URL-encoded."""
    text = document(ONE)
    assert parse(text) is parse(text.encode())
    assert isinstance(parse(quote(text)), Document)
    assert parse(json.loads(text)) is parse(json.loads(text))


# Wildcards


def naive(pattern: str, text: str) -> bool:
    """The meaning of the wildcards, by the letter."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[n:]) for n in range(len(text) + 1))
    return bool(text) and pattern[0] in {"?", text[0]} and naive(pattern[1:], text[1:])


@settings(max_examples=600)
@given(st.text("aAb:/.[*?", max_size=7), st.text("aAb:/.[\n", max_size=8))
def test_wildcards_mean_what_a_reader_would_say(pattern, text):
    """`*` is any run and `?` one character, in whole texts; nothing else is special; case counts only if asked."""
    assert naive(pattern, text) == matcher(pattern, ignore_case=False)(text)
    assert naive(pattern.lower(), text.lower()) == matcher(pattern, ignore_case=True)(text)


def test_a_hostile_pattern_does_not_backtrack():
    """A pattern of a thousand stars over a long text answers; a backtracking one would not in a lifetime."""
    assert not matcher("a*" * 1000 + "b", ignore_case=False)("a" * 5000)


# Conditions

WHEN = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("name", "wanted", "value", "answer"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a*", "ab", False),
        ("StringNotEquals", "a", "A", True),
        ("StringEqualsIgnoreCase", "aB", "Ab", True),
        ("StringNotEqualsIgnoreCase", "aB", "Ab", False),
        ("StringLike", "a?*", "abc", True),
        ("StringNotLike", "a*", "abc", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericNotEquals", "10", "9", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "11", True),
        ("NumericEquals", "ten", "10", None),
        ("DateEquals", WHEN, "2026-01-31T13:00:00+01:00", True),
        ("DateNotEquals", WHEN, "2026-01-31", True),
        ("DateLessThan", WHEN, "2026-01-31", True),
        ("DateLessThanEquals", "1769860800", WHEN, True),
        ("DateGreaterThan", WHEN, "2026-02-01", True),
        ("DateGreaterThanEquals", "soon", WHEN, None),
        ("Bool", "TRUE", "true", True),
        ("Bool", "false", "true", False),
        ("Bool", "yes", "true", None),
        ("BinaryEquals", "QmluYXJ5", "QmluYXJ5", True),
        ("BinaryEquals", "Qm", "QmluYXJ5", None),
        ("IpAddress", "203.0.113.0/24", "203.0.113.9", True),
        ("NotIpAddress", "203.0.113.0/24", "203.0.113.9", False),
        ("IpAddress", "2001:DB8::/32", "2001:db8::1", True),
        ("IpAddress", "everywhere", "203.0.113.9", None),
        ("ArnEquals", "arn:aws:iam::1111*:role/a", "arn:aws:iam::11112222:role/a", True),
        ("ArnLike", "arn:aws:iam::*:role/a", "arn:aws:iam::1:x:role/a", False),
        ("ArnLike", "arn:aws:s3:::b/*", "arn:aws:s3:::b/c:d", True),
        ("ArnNotLike", "arn:aws:iam::*:role/*", "arn:aws:iam::1:user/a", True),
        ("ArnNotEquals", "*", "arn:aws:iam::1:user/a", False),
        ("StringFuzzy", "a", "a", None),
        ("ForSomeValues:StringEquals", "a", "a", None),
        ("NullIfExists", "true", "a", None),
    ],
)
def test_every_operator_compares_by_its_type(name, wanted, value, answer):
    """IAM user guide, "Condition operators". A value not of the type, and an unknown operator, cannot be told."""
    assert answer is holds(Condition(name, "K:ey", (wanted,)), {"k:ey": (value,)})


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("StringEquals", False), ("StringNotEquals", True), ("StringEqualsIfExists", True), ("Bool", False),
        ("StringNotLikeIfExists", True), ("ForAllValues:StringEquals", True), ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False), ("ArnNotLike", True), ("NotIpAddress", True),
        ("ForAnyValue:StringEqualsIfExists", None),
    ],
)  # fmt: skip
def test_a_key_the_request_has_not_is_decided_by_the_operator(name, answer):
    """Not matching is false, not-matching true, …IfExists true, all of none true, any of none false."""
    assert answer is holds(Condition(name, "k", ("a",)), {"k": ()})


def test_null_asks_whether_the_key_is_there():
    """ "true" is: there is none."""
    for wanted, values, answer in (
        ("true", (), True),
        ("true", ("x",), False),
        ("false", ("x",), True),
        ("no", (), None),
    ):
        assert answer is holds(Condition("Null", "k", (wanted,)), {"k": values})


def test_several_values_are_or_and_for_negated_ones_nor():
    """IAM user guide, "Conditions with multiple context keys or values"."""
    assert holds(Condition("StringEquals", "k", ("a", "b")), {"k": ("b",)}) is True
    assert holds(Condition("StringNotEquals", "k", ("a", "b")), {"k": ("b",)}) is False


def test_set_operators_ask_all_or_any_of_the_requests_values():
    """IAM user guide, "Single-valued vs. multivalued context keys"; without one, only agreement is an answer."""
    both = {"k": ("a", "b")}
    assert holds(Condition("ForAllValues:StringEquals", "k", ("a",)), both) is False
    assert holds(Condition("ForAllValues:StringEquals", "k", ("a", "b", "c")), both) is True
    assert holds(Condition("ForAnyValue:StringEquals", "k", ("a",)), both) is True
    assert holds(Condition("ForAnyValue:StringNotEquals", "k", ("a", "b")), both) is False
    assert holds(Condition("StringEquals", "k", ("a",)), both) is None


def test_a_key_nobody_gave_is_unknown_for_every_operator():
    """Absent is `()`; unknown is not there. No operator turns unknown into an answer."""
    bases = ["StringEquals", "StringNotLike", "Bool", "Null", "NumericLessThan", "DateEquals", "IpAddress", "ArnLike"]
    names = [
        f"{word}{base}{tail}"
        for base in bases
        for word in ("", "ForAllValues:", "ForAnyValue:")
        for tail in ("", "IfExists")
    ]
    assert [None] * len(names) == [holds(Condition(name, "k", ("true",)), {}) for name in names]
    assert operator("StringEqualsIfExists").is_optional


def test_policy_variables_are_filled_in_and_their_wildcards_are_literal():
    """IAM user guide, "Variables and tags": only in version 2012-10-17; `${*}` is a star."""
    test = Condition("StringLike", "k", ("${aws:username}/*", "${*}", "${no:such, 'x'}"))
    known = {"aws:username": ("a*n",), "no:such": ()}
    told = [holds(test, {**known, "k": (value,)}, has_variables=True) for value in ("a*n/1", "ann/1", "*", "b", "x")]
    assert [True, False, True, False, True] == told
    assert holds(test, {"k": ("ann/1",)}, has_variables=True) is None
    assert not parse(json.dumps({"Statement": {**ONE, "Resource": "${aws:username}"}})).statements[0].has_variables


# The table of actions, against botocore's service models


@cache
def model(service: str):
    """A service's model."""
    return botocore.session.get_session().get_service_model(service)


@pytest.mark.parametrize("service", ["kms", "secretsmanager", "acm", "acm-pca"])
def test_every_operation_of_the_service_has_a_function(service):
    """A new operation must be placed before anything is said of it; nothing is in the table that there is not."""
    told = table(service)
    names = {action.split(":")[1] for action in told.actions}
    wanted = {right for name in model(service).operation_names for right in told.operations.get(name, (name,))}
    assert wanted | set(told.only_permissions) == names


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("iam", r"AccessKey|SSHPublicKey|SigningCert|ServerCert|ServiceSpecificCred|MFADevice|CredentialReport"),
        ("ssm", r"Parameter(?!.*Inventory)|TagsToResource|TagsFromResource|TagsForResource|ResourcePolic"),
    ],
)
def test_of_larger_services_what_concerns_keys_has_a_function(service, words):
    """Every operation on keys, credentials and parameters, and no name that is no operation."""
    names = {action.split(":")[1] for action in table(service).actions}
    assert {name for name in model(service).operation_names if re.search(words, name)} == names


@pytest.mark.parametrize("service", services())
def test_each_action_has_one_function(service):
    """The functions are a partition."""
    masks = [table(service).functions[function] for function in AccessFunction]
    assert table(service).everything == sum(masks)
    assert all(one & other == 0 for n, one in enumerate(masks) for other in masks[n + 1 :])


def test_what_works_across_accounts_is_what_the_operations_pages_say():
    """KMS API reference: each operation's "Cross-account use", and whether its permission is the key policy's."""
    told = table("kms")
    for name in model("kms").operation_names:
        text = re.sub(r"<[^>]+>", "", model("kms").operation_model(name).documentation)
        mask = told.mask(tuple(f"kms:{right}" for right in told.operations.get(name, (name,))))
        if name not in {"ListRetirableGrants", "GenerateRandom"}:
            says = re.search(r"Cross-account use\W+(Yes|No|You can retire)", text)
            assert (says[1] != "No") == bool(mask & told.cross_account), name
        rights = re.search(r"Required permissions\W+kms:\w+ \((key|IAM) policy\)", text)
        assert rights is None or (rights[1] == "key") == bool(mask & told.on_resource), name


@given(st.lists(st.sampled_from(["kms:*", "kms:De*", "KMS:decrypt", "kms:?ign", "s3:*", "*", "kms:Re*To"]), max_size=4))
def test_not_action_is_the_complement_of_action(patterns):
    """Of the service's actions: one of the two means each, never both."""
    told, words = table("kms"), tuple(patterns)
    assert told.everything == told.mask(words) ^ told.mask(words, is_not=True)
    assert set(told.names(told.mask(words))) == {
        a for a in told.actions if any(naive(w.lower(), a.lower()) for w in words)
    }
