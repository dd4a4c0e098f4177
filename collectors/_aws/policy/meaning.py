"""What conditions say of the one who may: whether MFA is asked for, and whether everyone is still everyone.

Source: IAM user guide, "Configuring MFA-protected API access" (long-term keys do not have the MFA keys at all, so Bool
with …IfExists lets them by); S3 user guide, "Blocking public access", the meaning of public (fixed values of the keys
of origin make a policy non-public).

>>> needs_mfa((Condition("Bool", "aws:MultiFactorAuthPresent", ("true",)),), ())
True
>>> needs_mfa((Condition("BoolIfExists", "aws:MultiFactorAuthPresent", ("true",)),), ())
False
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from collectors._aws.policy.conditions import Known, operator
from collectors._aws.policy.grammar import Condition

Conditions = tuple[Condition, ...]

_PRESENT, _AGE = "aws:multifactorauthpresent", "aws:multifactorauthage"
_ORGANISATION: Final = frozenset(
    {"aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"}
)
_ACCOUNT: Final = frozenset({"aws:principalaccount", "kms:calleraccount", "aws:sourceaccount"})
_ARN: Final = frozenset({"aws:principalarn", "aws:sourcearn"})
_PLACE: Final = frozenset({"aws:sourcevpc", "aws:sourcevpce"})
_EQUAL: Final = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})


def needs_mfa(allowing: Conditions, denying: Iterable[Conditions]) -> Known:
    """Whether MFA is asked for: by the conditions under which it is allowed, or those under which it is denied."""
    found: Known = False
    for test in allowing:
        if _is_mfa(test) and operator(test.operator) is None:
            found = None
        elif _asks(test):
            return True
    for tests in denying:
        touching = [test for test in tests if _is_mfa(test)]
        if touching and (len(tests) > 1 or operator(touching[0].operator) is None):
            # It also asks something else, so it may let by.
            found = None
        elif touching and _refuses(touching[0]):
            return True
    return found


def _is_mfa(test: Condition) -> bool:
    return test.key.lower() in {_PRESENT, _AGE}


def _says(test: Condition, word: str) -> bool:
    return {value.lower() for value in test.values} == {word}


def _asks(test: Condition) -> bool:
    how = operator(test.operator)
    if how is None or how.is_optional or how.quantifier:
        return False
    if how.base == "Null":
        return _is_mfa(test) and _says(test, "false")
    if test.key.lower() == _PRESENT:
        return how.base == "Bool" and _says(test, "true")
    return test.key.lower() == _AGE and how.base in {"NumericLessThan", "NumericLessThanEquals"}


def _refuses(test: Condition) -> bool:
    how = operator(test.operator)
    if how is None or how.quantifier:
        return False
    if how.base == "Null":
        return _says(test, "true")
    if not how.is_optional:
        return False
    if test.key.lower() == _PRESENT:
        return how.base == "Bool" and _says(test, "false")
    return how.base in {"NumericGreaterThan", "NumericGreaterThanEquals"}


def accounts_of(allowing: Conditions) -> frozenset[str] | None:
    """The accounts that conditions limit the callers to; None if they do not."""
    found: frozenset[str] | None = None
    for test in allowing:
        if not _is_limit(test):
            continue
        key, named = test.key.lower(), None
        if key in _ACCOUNT:
            named = frozenset(test.values)
        elif key in _ARN:
            named = frozenset(value.split(":", 5)[4] for value in test.values)
        if named is not None:
            found = named if found is None else found & named
    return found


def is_within_organisation(allowing: Conditions, denying: Iterable[Conditions]) -> bool:
    """Whether conditions keep the callers inside an organisation."""
    if any(test.key.lower() in _ORGANISATION and _is_limit(test) for test in allowing):
        return True
    alone = [tests[0] for tests in denying if len(tests) == 1]
    return any(test.key.lower() in _ORGANISATION and _is_limit(test, is_negated=True) for test in alone)


def is_limited(allowing: Conditions, denying: Iterable[Conditions]) -> bool:
    """Whether "everyone" is kept to accounts, an organisation, named principals, networks or endpoints."""
    if any(_is_limit(test) for test in allowing):
        return True
    return any(len(tests) == 1 and _is_limit(tests[0], is_negated=True) for tests in denying)


def _is_limit(test: Condition, *, is_negated: bool = False) -> bool:
    how = operator(test.operator)
    if how is None or how.is_negated is not is_negated or not test.values:
        return False
    # A key that is absent passes ForAllValues and …IfExists, so neither limits an Allow; in a Deny of "not equal" an
    # absent key is denied with …IfExists and without.
    if how.quantifier == "ForAllValues" or (how.is_optional and not is_negated):
        return False
    key = test.key.lower()
    if key == "aws:sourceip":
        return how.base == "IpAddress" and all(_is_narrow(value) for value in test.values)
    if how.base not in _EQUAL:
        return False
    if key in _ARN:
        return all(_is_fixed((value.split(":", 5) + [""] * 5)[4]) for value in test.values)
    if key.endswith("orgpaths"):
        return all(_is_fixed(value.split("/")[0]) for value in test.values)
    return key in _ORGANISATION | _ACCOUNT | _PLACE and all(map(_is_fixed, test.values))


def _is_fixed(value: str) -> bool:
    return bool(value) and "*" not in value and "?" not in value and "${" not in value


def _is_narrow(value: str) -> bool:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return network.prefixlen >= (8 if network.version == 4 else 32)
