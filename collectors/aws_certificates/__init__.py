"""AWS certificates: those of Certificate Manager, the authorities of Private CA, and IAM's server certificates.

Each certificate is read as `keyfiles` reads one, so that it joins with the same certificate and key elsewhere; what its
keeper alone knows stands beside: validation, renewal, where it is in use, transparency, revocation.

Refuses to: export a private key; only what is public is asked for.

>>> AwsCertificates(quota_share=2.0)
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: quota_share is no share. Next: give more than 0, and 1 at most
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


class AwsCertificates(Scoped):
    """Certificates of ACM, authorities of Private CA, and IAM's server certificates, in all accounts and regions.

    Without options: all regions of the account that your credentials are of.

    Args:
        policies: read who each authority's policy lets in.
    """

    name: ClassVar[str] = "aws_certificates"
    reads: ClassVar[tuple[str, ...]] = (
        *estate.READS, "acm:ListCertificates", "acm:DescribeCertificate", "acm:GetCertificate", "tag:GetResources",
        "acm-pca:ListCertificateAuthorities", "acm-pca:GetCertificateAuthorityCertificate",
        "acm-pca:GetCertificateAuthorityCsr", "acm-pca:ListTags", "acm-pca:GetPolicy", "acm-pca:ListPermissions",
        "iam:ListServerCertificates", "iam:GetServerCertificate",
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
        named = {"acm": False, "acm-pca": False, "iam": True}
        self._services = Services(self.name, named, reads=self.reads, scope=scope)
        self._policies, self._tagging = policies, Tagging(tag_names)

    def targets(self) -> Iterator[Target]:
        """One an account, region and service; one an account for IAM."""
        return self._services.targets()

    def collect(self, target: Target) -> Iterator[Row]:
        """The certificates there, what they serve, and the public keys in them; each missing fact is a Gap."""
        rows = {"acm": self._managed, "acm-pca": self._authorities, "iam": self._server}
        return self._services.read(target, rows)

    def _managed(self, place: Place) -> Iterator[Row]:
        from collectors.aws_certificates import _acm

        yield from _acm.rows(place, self._tagging, self._services.facts("acm", place))

    def _authorities(self, place: Place) -> Iterator[Row]:
        from collectors.aws_certificates import _authorities

        yield from _authorities.rows(place, self._tagging, with_policies=self._policies)

    def _server(self, place: Place) -> Iterator[Row]:
        from collectors.aws_certificates import _server

        yield from _server.rows(place, self._tagging)
