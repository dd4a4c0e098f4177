"""The policies that `keyatlas permissions --as` prints, parsed again and held against botocore's models."""

from __future__ import annotations

import json
import re
from functools import cache

import botocore.session
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import toolkit as tk
from collectors._aws.policy import Attached, Caller, Policies, Request, decide, parse, table
from toolkit import leastprivilege
from toolkit.cli import main
from toolkit.errors import ConfigError

READS = ("kms:ListKeys", "kms:DescribeKey", "secretsmanager:ListSecrets", "acm-pca:ListTags", "kms:ListKeys")
WHO = Caller.of("arn:aws:iam::111122223333:role/keyatlas-reader")
TRUST = parse(
    '{"Statement": {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "*", "Resource": "*"}}'
)


def inside(text: str, form: str) -> dict:
    """The policy in what was printed."""
    if form == "terraform":
        return json.JSONDecoder().raw_decode(text.split("jsonencode(")[1])[0]
    told = json.loads(text)
    return told if form == "iam" else told["Resources"]["ReadPolicy"]["Properties"]["PolicyDocument"]


@cache
def known(service: str) -> frozenset[str]:
    """Every action of a service: botocore's operations, and the permissions of our table."""
    names = botocore.session.get_session().get_service_model(service).operation_names
    return frozenset([*table(service).actions, *(f"{service}:{name}" for name in names)])


def allowed(policy: dict) -> set[str]:
    """What the policy allows our principal, of all actions of the services that it names."""
    document, found = parse(json.dumps(policy)), set()
    services = {action.split(":")[0] for one in policy["Statement"] for action in one["Action"]} | {"kms", "ssm", "acm"}
    for service in services:
        for action in known(service):
            policies = Policies(resource=TRUST, identity=(Attached("p", document),))
            request = Request(WHO, action, f"arn:aws:{service}:eu-west-1:111122223333:key/x")
            if "DENY" != decide(request, policies).outcome:
                found.add(action)
    return found


@pytest.mark.parametrize("form", leastprivilege.FORMS)
def test_each_form_allows_exactly_the_reads(form):
    """Of every operation that botocore knows of these services, and every permission of our tables."""
    assert set(READS) == allowed(inside(leastprivilege.document(READS, form=form), form))


@settings(max_examples=15, deadline=None)
@given(st.sets(st.sampled_from(table("kms").actions + table("secretsmanager").actions), min_size=1, max_size=20))
def test_whatever_is_declared_is_what_is_allowed_in_whatever_order(reads):
    """Nothing fewer, nothing more; and the bytes do not depend on the order."""
    text = leastprivilege.document(sorted(reads), form="terraform")
    assert text == leastprivilege.document(sorted(reads, reverse=True), form="terraform")
    assert reads == allowed(inside(text, "terraform"))


@pytest.mark.parametrize(
    "wrong", [("kms:*",), ("*",), ("kms:Desc?ibe",), ("file:read",), ("kms:${x}",), (), ("C_GetAttributeValue",)]
)
def test_what_is_no_single_action_of_iam_is_refused(wrong):
    """A wildcard would be more than is read; files and HSMs have no IAM policy."""
    with pytest.raises(ConfigError):
        leastprivilege.policy(wrong)


def test_more_than_a_managed_policy_may_hold_is_refused():
    """IAM would refuse it, later and elsewhere."""
    with pytest.raises(ConfigError):
        leastprivilege.policy(f"kms:A{'b' * 20}{n}" for n in range(300))


def test_an_unknown_form_is_refused_and_says_which_there_are():
    """The three forms are named."""
    with pytest.raises(ConfigError, match="cloudformation"):
        leastprivilege.document(READS, form="pulumi")


def test_the_template_makes_a_role_that_one_principal_may_assume():
    """The role has the policy; the principal is a parameter; the external id is asked for where one is given."""
    told = json.loads(leastprivilege.document(READS, form="cloudformation"))
    role = told["Resources"]["ReadRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert ({"AWS": {"Ref": "PrincipalArn"}}, "sts:AssumeRole") == (trust["Principal"], trust["Action"])
    assert [{"Ref": "ReadPolicy"}] == role["ManagedPolicyArns"]
    references = set(re.findall(r'"Ref": "(\w+)"', json.dumps(told)))
    assert references <= {*told["Parameters"], *told["Resources"]}


def test_the_terraform_text_is_balanced_and_names_what_it_refers_to():
    """Every reference has its block, and brackets close."""
    text = leastprivilege.document(READS, form="terraform")
    assert all(text.count(one) == text.count(other) for one, other in ("{}", "()", "[]"))
    assert not re.search(r"[$%]\{", text)
    blocks = {f"{kind}.{name}" for kind, name in re.findall(r'^(?:resource|data) "(\w+)" "(\w+)"', text, re.MULTILINE)}
    variables = {f"var.{name}" for name in re.findall(r'^variable "(\w+)"', text, re.MULTILINE)}
    used = {one.removeprefix("data.") for one in re.findall(r"\b(?:data\.)?aws_\w+\.\w+", text)}
    assert (blocks, variables) == (
        used | {"aws_iam_role_policy_attachment.keyatlas"},
        set(re.findall(r"var\.\w+", text)),
    )


class Reader:
    """A collector of AWS, as far as permissions go."""

    reads = READS


@pytest.fixture
def run(monkeypatch):
    """The command, over a collector of AWS and one of files."""
    from toolkit import registry

    real = registry.collector_class
    monkeypatch.setattr(registry, "collector_class", lambda name: Reader if name == "aws_reader" else real(name))
    return lambda *words: CliRunner().invoke(main, ["permissions", *words])


def test_the_command_prints_today_plain_lines_and_each_form(run):
    """One collector as before; several are told together; `--as` prints the policy."""
    assert list(READS[:4]) == run("aws_reader").output.splitlines()
    assert [*READS[:4], "file:read"] == run("aws_reader", "keyfiles").output.splitlines()
    assert {"collector": "keyfiles", "reads": ["file:read"]} == json.loads(run("keyfiles", "--json").output)
    assert ["aws_reader", "keyfiles"] == json.loads(run("aws_reader", "keyfiles", "--json").output)["collectors"]
    for form in leastprivilege.FORMS:
        assert set(READS) == allowed(inside(run("aws_reader", "--as", form).output, form))


def test_the_command_says_so_where_a_collector_has_no_iam_policy(run):
    """It is an error with what to do, no empty policy; the verb gives the tuple as ever."""
    assert isinstance(run("keyfiles", "--as", "iam").exception, ConfigError)
    assert 2 == run("aws_reader", "--as", "pulumi").exit_code
    assert ("file:read",) == tk.permissions("keyfiles")


def test_what_is_read_on_this_machine_is_no_matter_of_iam():
    """CloudTrail's files may lie in a folder or a bucket: the policy is for the bucket. Files alone have no policy."""
    told = leastprivilege.policy(("file:read", "s3:GetObject"))
    assert [["s3:GetObject"]] == [statement["Action"] for statement in told["Statement"]]
    with pytest.raises(ConfigError, match="file:read"):
        leastprivilege.policy(("file:read",))
