"""The users and roles of an account with all that is attached to them, from `iam:GetAccountAuthorizationDetails`.

A policy that is named but was not in the answer (AWS managed ones come only when asked for), or is no policy, is a
`Malformed` in its place: what its identity may do is then not certain, and `problems` says so for the caller's Gaps.

Source: IAM API reference, "GetAccountAuthorizationDetails".

>>> account = Account.read({"RoleDetailList": [{"Arn": "arn:aws:iam::111122223333:role/app", "RoleId": "AROAEXAMPLE",
...     "AttachedManagedPolicies": [{"PolicyName": "p", "PolicyArn": "arn:aws:iam::aws:policy/p"}]}]})
>>> account.problems
(('arn:aws:iam::aws:policy/p', Malformed(reason='was not in the answer', where='document')),)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from collectors._aws.policy.evaluation import Attached
from collectors._aws.policy.grammar import Malformed, Policy, parse
from collectors._aws.policy.principals import Caller, Kind

_ABSENT: Final = Malformed("was not in the answer")
_LISTS: Final = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
Told = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """A user or a role: its policies (a user's groups' among them) and its boundary."""

    caller: Caller
    policies: tuple[Attached, ...]
    boundary: Policy | None = None

    @property
    def is_service_linked(self) -> bool:
        """Whether a service made the role for itself: no service control policy limits it."""
        return self.caller.kind is Kind.ROLE and ":role/aws-service-role/" in self.caller.arn


@dataclass(frozen=True, slots=True)
class Account:
    """All identities of an account."""

    account_id: str | None
    identities: tuple[Identity, ...]
    problems: tuple[tuple[str, Malformed], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The ARNs and the unique ids of those there are."""
        callers = [identity.caller for identity in self.identities]
        return frozenset([*(one.arn for one in callers), *(one.unique_id for one in callers if one.unique_id)])

    @classmethod
    def read(cls, *pages: Told, account_id: str | None = None) -> Account:
        """The account that the pages of the answer tell of."""
        users, groups, roles, managed = ([one for page in pages for one in page.get(name, ())] for name in _LISTS)
        library = {told["Arn"]: _default(told) for told in managed if "Arn" in told}
        of_group = {told["GroupName"]: _attached(told, "GroupPolicyList", library) for told in groups}
        identities = [*(_user(told, library, of_group) for told in users), *(_role(told, library) for told in roles)]
        found = {
            (one.source, one.policy) for who in identities for one in who.policies if isinstance(one.policy, Malformed)
        }
        found |= {
            (f"{who.caller.arn}#boundary", who.boundary) for who in identities if isinstance(who.boundary, Malformed)
        }
        owner = account_id or next((who.caller.account for who in identities), None)
        ordered = sorted(identities, key=lambda who: who.caller.arn)
        return cls(owner, tuple(ordered), tuple(sorted(found, key=lambda one: one[0])))


def _user(told: Told, library: Mapping[str, Policy], of_group: Mapping[str, list[Attached]]) -> Identity:
    policies = _attached(told, "UserPolicyList", library)
    for group in told.get("GroupList", ()):
        policies += of_group.get(group, [Attached(f"group {group}", _ABSENT)])
    return _identity(told, "UserId", policies, library)


def _role(told: Told, library: Mapping[str, Policy]) -> Identity:
    return _identity(told, "RoleId", _attached(told, "RolePolicyList", library), library)


def _identity(told: Told, id_name: str, policies: Iterable[Attached], library: Mapping[str, Policy]) -> Identity:
    arn = told.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    boundary = None if arn is None else library.get(arn, _ABSENT)
    caller = Caller.of(told["Arn"], unique_id=told.get(id_name), has_boundary=boundary is not None)
    return Identity(caller, tuple(policies), boundary)


def _attached(told: Told, inline: str, library: Mapping[str, Policy]) -> list[Attached]:
    owner = told.get("Arn", "?")
    own = [Attached(f"{owner}#{one.get('PolicyName')}", _parsed(one)) for one in told.get(inline, ())]
    named = [one["PolicyArn"] for one in told.get("AttachedManagedPolicies", ())]
    return [*own, *(Attached(arn, library.get(arn, _ABSENT)) for arn in named)]


def _parsed(told: Told) -> Policy:
    document = told.get("PolicyDocument")
    return _ABSENT if document is None else parse(document)


def _default(told: Told) -> Policy:
    for version in told.get("PolicyVersionList", ()):
        if version.get("IsDefaultVersion") and version.get("Document") is not None:
            return parse(version["Document"])
    return _ABSENT
