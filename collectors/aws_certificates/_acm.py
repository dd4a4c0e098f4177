"""Certificates of Certificate Manager: all key types and origins, not only those that a list shows by itself.

Two questions a certificate: what ACM knows of it, and the certificate itself, once while its serial number stays.

Source: ACM API reference, ListCertificates ("Default filtering returns only RSA_1024 and RSA_2048"), CertificateDetail.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from collectors._aws.journal import Journal
from collectors._aws.place import Place, attempt
from collectors._aws.services import is_offered
from collectors._aws.tags import Tagging, tags_by_arn
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_certificates import _parsed
from toolkit.identity import keeper_uid
from toolkit.model import Certificate, Gap, Relation, Row
from toolkit.terms import GapStatus, RelationKind

Fact = dict[str, Any]

KEY_TYPES: Final = (
    "RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1",
)  # fmt: skip
ORIGINS: Final = ("AWS_MANAGED", "ACME", "CUSTOMER_PROVIDED")
LISTING: Final = {"Includes": {"keyTypes": [*KEY_TYPES]}, "CertificateKeyPairOrigins": [*ORIGINS], "MaxItems": 1000}
# Before these there is no certificate, and after a failure none will come.
_NONE_YET: Final = ("PENDING_VALIDATION", "VALIDATION_TIMED_OUT", "FAILED")
_NOT_ISSUED: Final = Trouble(GapStatus.NOT_APPLICABLE, "it was not issued: there is no certificate yet")
_NOT_PUBLIC: Final = Trouble(GapStatus.NOT_APPLICABLE, "ACM logs only the public certificates that it issues")
_GONE: Final = Trouble(GapStatus.ERROR, "it was listed, and then it was gone", advice="collect again")
_SAID: Final = (
    "Type", "KeyAlgorithm", "KeyPairOrigin", "CertificateKeyPairOrigin", "ManagedBy", "CertificateAuthorityArn",
    "FailureReason", "RevocationReason", "AcmeEndpointArn", "CreatedAt", "IssuedAt", "ImportedAt", "Exported",
    "ExportOption", "RenewalEligibility",
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """One certificate: the list's entry, and each answer or the trouble in its place."""

    listed: Fact
    detail: Fact | Trouble
    pem: Fact | Trouble

    @property
    def told(self) -> Fact:
        """What ACM says of it; of one that could not be described, the list alone."""
        return self.listed if isinstance(self.detail, Trouble) else {**self.listed, **self.detail}


def rows(place: Place, tagging: Tagging, known: Journal) -> Iterator[Row]:
    """The certificates of a place."""
    if not is_offered(place, "acm"):
        return
    tagged = place.fast(attempt, tags_by_arn, place, "acm:certificate")
    asked: deque[Future[Seen]] = deque()
    failure: CallFailed | None = None
    try:
        for one in place.pages("acm", "ListCertificates", "CertificateSummaryList", LISTING, keep=_entry):
            asked.append(place.fast(_seen, place, one, known))
    except CallFailed as failed:
        failure = failed
    tags = tagged.result()
    if asked and isinstance(tags, Trouble):
        yield tags.gap(place.target, locator=place.target.locator, field="tags")
    while asked:
        seen = asked.popleft().result()
        if isinstance(seen.detail, Trouble) and seen.detail.is_gone:
            yield _GONE.gap(place.target, locator=seen.listed["CertificateArn"])
            continue
        whose = {} if isinstance(tags, Trouble) else tagging.facts(tags.get(seen.listed["CertificateArn"], {}))
        yield from _told(place, seen, whose)
    if failure is not None:
        raise failure


def _entry(listed: Fact) -> Fact:
    return {name: value for name, value in listed.items() if value is not None}


def _seen(place: Place, listed: Fact, known: Journal) -> Seen:
    asked = {"CertificateArn": listed["CertificateArn"]}
    detail = attempt(place.ask, "acm", "DescribeCertificate", asked, keep=_described)
    seen = Seen(listed, detail, _NOT_ISSUED)
    if (isinstance(detail, Trouble) and detail.is_gone) or seen.told.get("Status") in _NONE_YET:
        return seen
    # A renewal keeps the ARN and changes the serial number; without that, nothing says that it is the same.
    serial = seen.told.get("Serial")
    question = f"{listed['CertificateArn']}#{serial}" if serial else ""
    seen.pem = known.get(question) or attempt(place.ask, "acm", "GetCertificate", asked, keep=_pem)
    if question and isinstance(seen.pem, dict):
        known.put(question, seen.pem)
    return seen


def _described(answer: Fact) -> Fact:
    told = dict(answer["Certificate"])
    # What proves control of a name is for whoever renews it, not for us.
    told["DomainValidationOptions"] = [_validation(one) for one in told.get("DomainValidationOptions") or ()]
    renewal = told.get("RenewalSummary") or {}
    told["RenewalSummary"] = {
        name: renewal[name] for name in ("RenewalStatus", "RenewalStatusReason", "UpdatedAt") if name in renewal
    }
    return told


def _validation(option: Fact) -> Fact:
    return {name: option.get(name) for name in ("DomainName", "ValidationMethod", "ValidationStatus")}


def _pem(answer: Fact) -> Fact:
    if not isinstance(answer.get("Certificate"), str):
        raise CallFailed(Trouble(GapStatus.MALFORMED, "the answer has no Certificate"))
    return {"Certificate": answer["Certificate"], "CertificateChain": answer.get("CertificateChain")}


def _told(place: Place, seen: Seen, whose: Fact) -> Iterator[Row]:
    arn = seen.listed["CertificateArn"]
    parsed: Certificate | None = None
    others: _parsed.Rows = []
    if isinstance(seen.pem, dict):
        parsed, others = _parsed.leaf(place, seen.pem["Certificate"], arn)
    certificate = replace(parsed or _unread(place, seen.told, arn), **_facts(seen), **whose)
    yield certificate
    yield from others
    if isinstance(seen.pem, dict):
        yield from _parsed.chain(place, seen.pem["CertificateChain"], arn)
    for thing in sorted(seen.told.get("InUseBy") or ()):
        yield Relation(
            subject_uid=certificate.certificate_uid, collector=certificate.collector, target=certificate.target,
            locator=arn, kind=RelationKind.SERVES, object=thing, object_kind=_kind(thing), account=place.account,
            region=place.region,
        )  # fmt: skip
    yield from _gaps(place, seen, certificate)


def _unread(place: Place, told: Fact, arn: str) -> Certificate:
    """A certificate known by its keeper's name alone: none was issued, or it could not be read."""
    return Certificate(
        certificate_uid=keeper_uid(arn), key_uid=keeper_uid(f"{arn}#key"), collector=place.target.collector,
        target=place.target.locator, locator=arn, format="X.509 certificate", subject=told.get("Subject") or None,
        issuer=told.get("Issuer") or None, not_before=_utc(told.get("NotBefore")), not_after=_utc(told.get("NotAfter")),
        names=tuple(told.get("SubjectAlternativeNames") or told.get("SubjectAlternativeNameSummaries") or ()) or None,
        account=place.account, region=place.region,
    )  # fmt: skip


def _facts(seen: Seen) -> Fact:
    told = seen.told
    facts: Fact = {
        "label": told.get("DomainName"), "native_state": told.get("Status"), "revoked_at": _utc(told.get("RevokedAt")),
        "detail": _detail(told),
    }  # fmt: skip
    if isinstance(seen.detail, Trouble):
        return facts
    methods = sorted({one["ValidationMethod"] for one in told["DomainValidationOptions"] if one["ValidationMethod"]})
    return facts | {
        "validation": "+".join(methods) or None,
        # Whoever imported a certificate renews it.
        "has_renewal": told.get("Type") != "IMPORTED" and told.get("RenewalEligibility") == "ELIGIBLE",
        "renewal_state": told["RenewalSummary"].get("RenewalStatus"),
        "has_transparency": _transparency(told),
    }


def _transparency(told: Fact) -> bool | None:
    preference = (told.get("Options") or {}).get("CertificateTransparencyLoggingPreference")
    return preference == "ENABLED" if preference and told.get("Type") == "AMAZON_ISSUED" else None


def _detail(told: Fact) -> str:
    facts = {name: told[name] for name in _SAID if told.get(name) is not None}
    facts |= {name: told[name] for name in ("DomainValidationOptions", "RenewalSummary", "Options") if told.get(name)}
    return json.dumps(facts, sort_keys=True, default=lambda when: when.astimezone(UTC).isoformat())


def _kind(arn: str) -> str | None:
    parts = arn.split(":", 5)
    return parts[2] if len(parts) == 6 else None


def _gaps(place: Place, seen: Seen, certificate: Certificate) -> Iterator[Gap]:
    if isinstance(seen.pem, Trouble):
        yield seen.pem.gap(place.target, locator=certificate.locator, field="certificate_uid")
    if isinstance(seen.detail, Trouble):
        for field in ("validation", "has_renewal", "renewal_state", "has_transparency", "in_use_by"):
            yield seen.detail.gap(place.target, locator=certificate.locator, field=field)
    elif seen.told.get("Type") != "AMAZON_ISSUED":
        yield _NOT_PUBLIC.gap(place.target, locator=certificate.locator, field="has_transparency")


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
