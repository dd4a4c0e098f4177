"""AWS IAM: the credentials of an account's users and of its root user, with age, last use and second factor.

Access keys, passwords, MFA devices, SSH public keys, signing certificates and service-specific credentials. Public keys
and certificates are read as `keyfiles` reads them, so that they join with the private half wherever it lies; an access
key's uid rests on its id alone (`toolkit.identity.access_key_uid`), so that it joins with one found in code.

Refuses to: change anything. GenerateCredentialReport makes IAM write a report, which is no change to the account; it
can be left out (`report=False`), and then the root user is told from the account's summary.

>>> AwsIam(roles=("a", "b"))
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: only the last role can be a name, to be assumed in each account. Next: give ARNs first, in \
the order of the chain, then one name
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from collectors._aws import estate
from collectors._aws.estate import Estate
from collectors._aws.place import Place
from collectors._aws.scope import Scope, Scoped
from collectors._aws.tags import Tagging
from toolkit.model import Row, Target


class AwsIam(Scoped):
    """Credentials of IAM users and of the root user, in all accounts: age, last use, second factor.

    Without options: the account that your credentials are of. IAM has no regions.

    Args:
        report: have IAM write its credential report, which alone tells when the root user's credentials were used.
    """

    name: ClassVar[str] = "aws_iam"
    reads: ClassVar[tuple[str, ...]] = (
        *(action for action in estate.READS if action != "ec2:DescribeRegions"), "iam:ListUsers", "iam:ListUserTags",
        "iam:ListAccessKeys", "iam:GetAccessKeyLastUsed", "iam:GetLoginProfile", "iam:ListMFADevices",
        "iam:ListVirtualMFADevices", "iam:ListSSHPublicKeys", "iam:GetSSHPublicKey", "iam:ListSigningCertificates",
        "iam:ListServiceSpecificCredentials", "iam:GetAccountSummary", "iam:GenerateCredentialReport",
        "iam:GetCredentialReport",
    )  # fmt: skip
    parallel: ClassVar[int] = estate.PARALLEL

    def __init__(
        self,
        *,
        profiles: tuple[str, ...] = (),
        accounts: tuple[str, ...] = (),
        roles: tuple[str, ...] = (),
        organization: bool = False,
        report: bool = True,
        tag_names: tuple[str, ...] = (),
        quota_share: float = 0.5,
        threads: int = 32,
        resume: str = "",
        resume_minutes: int = 60,
    ) -> None:
        scope = Scope(
            profiles=profiles, accounts=accounts, roles=roles, organization=organization, quota_share=quota_share,
            threads=threads, resume=resume, resume_minutes=resume_minutes,
        )  # fmt: skip
        self._estate = Estate(self.name, "iam", reads=self.reads, scope=scope)
        self._report, self._tagging = report, Tagging(tag_names)

    def targets(self) -> Iterator[Target]:
        """One an account."""
        return self._estate.targets(is_global=True)

    def collect(self, target: Target) -> Iterator[Row]:
        """The credentials there and the public keys among them; each missing fact is a Gap."""
        return self._estate.read(target, self._rows)

    def _rows(self, place: Place) -> Iterator[Row]:
        # What parses keys takes long to load, and is needed here only.
        from collectors.aws_iam import _root, _users

        yield from _root.rows(place, with_report=self._report)
        yield from _users.rows(place, self._tagging)
