"""AWS secrets: those of Secrets Manager and the SecureString parameters of Systems Manager, and never a value.

What is told is how a secret is kept: rotation, versions and stages, when it was last read, the key that encrypts it,
replicas, who its policy lets in, when it is destroyed or expires.

Refuses to: read a value. No call that gives one out can be made (`collectors._aws.corridor`), and what people write
beside a secret, its description, is not kept.

>>> AwsSecrets(accounts=("prod",))
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: an account is not named by its number. Next: give twelve digits
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from collectors._aws import estate
from collectors._aws.place import Place
from collectors._aws.scope import Scope, Scoped
from collectors._aws.services import Services
from collectors._aws.tags import Tagging
from toolkit.model import Row, Target


class AwsSecrets(Scoped):
    """Secrets of Secrets Manager and SecureString parameters, in all accounts and regions: how each is kept.

    Without options: all regions of the account that your credentials are of.

    Args:
        policies: read who each secret's own policy lets in, at a call a secret.
        replicas: read where each secret is replicated, at a call a secret.
    """

    name: ClassVar[str] = "aws_secrets"
    reads: ClassVar[tuple[str, ...]] = (
        *estate.READS, "secretsmanager:ListSecrets", "secretsmanager:DescribeSecret",
        "secretsmanager:GetResourcePolicy", "ssm:DescribeParameters", "tag:GetResources", "kms:ListAliases",
    )  # fmt: skip
    parallel: ClassVar[int] = estate.PARALLEL

    def __init__(
        self,
        *,
        profiles: tuple[str, ...] = (),
        regions: tuple[str, ...] = (),
        accounts: tuple[str, ...] = (),
        roles: tuple[str, ...] = (),
        organization: bool = False,
        policies: bool = True,
        replicas: bool = True,
        tag_names: tuple[str, ...] = (),
        quota_share: float = 0.5,
        threads: int = 32,
        resume: str = "",
        resume_minutes: int = 60,
    ) -> None:
        scope = Scope(
            profiles=profiles, regions=regions, accounts=accounts, roles=roles, organization=organization,
            quota_share=quota_share, threads=threads, resume=resume, resume_minutes=resume_minutes,
        )  # fmt: skip
        named = {"secretsmanager": False, "ssm": False}
        self._services = Services(self.name, named, reads=self.reads, scope=scope)
        self._policies, self._replicas, self._tagging = policies, replicas, Tagging(tag_names)

    def targets(self) -> Iterator[Target]:
        """One an account, region and service."""
        return self._services.targets()

    def collect(self, target: Target) -> Iterator[Row]:
        """The secrets there, and who their policies let in; each missing fact is a Gap."""
        return self._services.read(target, {"secretsmanager": self._secrets, "ssm": self._parameters})

    def _secrets(self, place: Place) -> Iterator[Row]:
        from collectors.aws_secrets import _secrets

        wanted = _secrets.Wanted(policies=self._policies, replicas=self._replicas)
        yield from _secrets.rows(place, wanted, self._tagging)

    def _parameters(self, place: Place) -> Iterator[Row]:
        from collectors.aws_secrets import _parameters

        yield from _parameters.rows(place, self._tagging)
