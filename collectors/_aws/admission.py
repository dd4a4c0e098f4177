"""Who a resource's own policy lets in: its statements as Access rows, and what is wrong with them as flags.

Only the resource's side is told here: what IAM policies give is read by `aws_kms` with the keys. An entry of the
account's own users and roles is therefore not certain: their own policies may deny it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from collectors._aws.place import Place
from collectors._aws.policy import Access as Entry
from collectors._aws.policy import Document, FlagId, Malformed, Resolver, flags, parse
from collectors._aws.troubles import Trouble
from toolkit.model import Access, Gap
from toolkit.terms import AccessVia, GapStatus

_NONE: Final = Document("2012-10-17", (), "")


@dataclass(frozen=True, slots=True)
class Admission:
    """What a policy says of one resource; no flags where it was not read: nothing could be called clean."""

    entries: tuple[Entry, ...] = ()
    flags: tuple[str, ...] | None = None
    malformed: str | None = None

    def rows(self, subject_uid: str, place: Place, locator: str) -> Iterator[Access | Gap]:
        """One row an entry; a policy that is none is a Gap."""
        for one in self.entries:
            yield Access(
                subject_uid=subject_uid, collector=place.target.collector, target=place.target.locator,
                locator=locator, principal=one.principal, principal_kind=one.principal_kind, function=one.function,
                via=AccessVia.RESOURCE_POLICY, source=one.source or None, actions=one.actions,
                conditions=one.conditions, is_cross_account=one.is_cross_account, is_public=one.is_public,
                is_wildcard=one.is_wildcard, needs_mfa=one.needs_mfa, is_certain=one.is_certain,
            )  # fmt: skip
        if self.malformed is not None:
            told = Trouble(GapStatus.MALFORMED, f"its policy is not of the policy language: {self.malformed}")
            yield told.gap(place.target, locator=locator, field="access_flags")


class Policies:
    """Resolves the policies of one place's resources; equal ones are worked out once."""

    def __init__(self, place: Place, service: str) -> None:
        self._account, self._resolver = place.account, Resolver(place.account, service=service)

    def admission(self, arn: str, text: str | None) -> Admission:
        """What a policy says; None: it has none, and lets nobody in beside the account's own IAM."""
        policy = _NONE if text is None else parse(text)
        if isinstance(policy, Malformed):
            return Admission(malformed=policy.reason)
        entries = self._resolver.who_may(arn, policy=policy)
        told = flags(entries, policy=policy, account_id=self._account)
        named = dict.fromkeys(str(one.flag) for one in told if one.flag is not FlagId.DELEGATES_TO_IAM)
        return Admission(entries, tuple(named))
