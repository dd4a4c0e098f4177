"""Which accounts and regions are read, and by which way they are reached: what all AWS collectors can be told.

>>> Scope(roles=("arn:aws:iam::111122223333:role/hub", "Audit")).hops()
(('arn:aws:iam::111122223333:role/hub',), 'Audit')
>>> Scope(accounts=("prod",))
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: an account is not named by its number. Next: give twelve digits
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from toolkit.errors import ConfigError

_ACCOUNT: Final = re.compile(r"\d{12}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d{1,2}")
_ROLE: Final = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+|[\w+=,.@/-]+")


class Scoped:
    """What a collector that is told its `Scope` says of it, so that all say the same. Not all have all of these.

    Args:
        profiles: names in your AWS configuration; without any, the credentials that AWS's own tools would find
            (AWS_PROFILE, environment, SSO, the machine's role).
        regions: only these, as eu-west-1; without any, all.
        accounts: only these, by their twelve digits; without any, the one that the credentials are of,
            or all with --organization.
        roles: what to assume, one after the other: ARNs, then the name of a role that is assumed in each account, as
            in `--role arn:aws:iam::111122223333:role/hub --role Audit`.
        organization: read all accounts of the organisation; a role that is named is assumed in each.
        tag_names: which tag of yours means what: FIELD=TAG, FIELD one of owner, application, environment, data_class.
        quota_share: how much of AWS's quotas may be used: more than 0, and 1 at most.
        threads: how many questions are under way at the same time.
        resume: the folder for the answers that a killed run leaves to the next; in your cache, if not given.
        resume_minutes: for how long a run that was killed can be taken up again; 0 is never.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The options; each collector's constructor has them under the same names."""

    profiles: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    organization: bool = False
    quota_share: float = 0.5
    threads: int = 32
    resume: str = ""
    resume_minutes: int = 60

    def __post_init__(self) -> None:
        if not all(map(_ACCOUNT.fullmatch, self.accounts)):
            raise ConfigError("an account is not named by its number", advice="give twelve digits")
        if not all(map(_REGION.fullmatch, self.regions)):
            raise ConfigError("a region is not named as AWS names it", advice="give one like eu-west-1")
        if not all(map(_ROLE.fullmatch, self.roles)):
            raise ConfigError("a role is neither an ARN nor a role's name", advice="give arn:aws:iam::…:role/… or NAME")
        if [role for role in self.roles[:-1] if not role.startswith("arn:")]:
            advice = "give ARNs first, in the order of the chain, then one name"
            raise ConfigError("only the last role can be a name, to be assumed in each account", advice=advice)
        if not 0 < self.quota_share <= 1:
            raise ConfigError("quota_share is no share", advice="give more than 0, and 1 at most")
        if self.threads < 1 or self.resume_minutes < 0:
            raise ConfigError("threads and resume_minutes cannot be that few", advice="leave them out")

    def hops(self) -> tuple[tuple[str, ...], str | None]:
        """The roles to assume one after the other, and the name of the one to assume in each account."""
        if self.roles and not self.roles[-1].startswith("arn:"):
            return self.roles[:-1], self.roles[-1]
        return self.roles, None
