"""IAM's server certificates: what load balancers had before Certificate Manager, and still have.

One question a certificate gives its body, its chain and its tags. IAM does not tell what it is in use by.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from collectors._aws.place import Place, attempt, whole
from collectors._aws.tags import Tagging, plain
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_certificates import _parsed
from toolkit.identity import keeper_uid
from toolkit.model import Certificate, Row
from toolkit.terms import GapStatus

Fact = dict[str, Any]
_NO_USE: Final = Trouble(GapStatus.NOT_APPLICABLE, "IAM does not tell what a server certificate is in use by")


def rows(place: Place, tagging: Tagging) -> Iterator[Row]:
    """The server certificates of an account."""
    asked: deque[tuple[Fact, Future[Fact | Trouble]]] = deque()
    failure: CallFailed | None = None
    try:
        found = place.pages(
            "iam", "ListServerCertificates", "ServerCertificateMetadataList", {"MaxItems": 1000}, keep=whole,
            region=place.home,
        )  # fmt: skip
        for one in found:
            asked.append((one, place.fast(_body, place, one)))
    except CallFailed as failed:
        failure = failed
    if asked:
        yield _NO_USE.gap(place.target, locator=place.target.locator, field="in_use_by")
    while asked:
        told, answer = asked.popleft()
        yield from _told(place, told, answer.result(), tagging)
    if failure is not None:
        raise failure


def _body(place: Place, told: Fact) -> Fact | Trouble:
    asked = {"ServerCertificateName": told["ServerCertificateName"]}
    return attempt(place.ask, "iam", "GetServerCertificate", asked, keep=_kept, region=place.home)


def _kept(answer: Fact) -> Fact:
    found = answer["ServerCertificate"]
    return {name: found.get(name) for name in ("CertificateBody", "CertificateChain", "Tags")}


def _told(place: Place, told: Fact, answer: Fact | Trouble, tagging: Tagging) -> Iterator[Row]:
    arn = told["Arn"]
    if isinstance(answer, Trouble) and answer.is_gone:
        gone = answer.but(reason="it was listed, and then it was gone", advice="collect again")
        yield gone.gap(place.target, locator=arn)
        return
    parsed: Certificate | None = None
    others: _parsed.Rows = []
    whose: Fact = {}
    if isinstance(answer, dict):
        parsed, others = _parsed.leaf(place, answer["CertificateBody"] or "", arn)
        whose = tagging.facts(plain(answer["Tags"]))
    unread = Certificate(
        certificate_uid=keeper_uid(arn), key_uid=keeper_uid(f"{arn}#key"), collector=place.target.collector,
        target=place.target.locator, locator=arn, not_after=_utc(told.get("Expiration")), account=place.account,
        region=place.region,
    )  # fmt: skip
    uploaded = _utc(told.get("UploadDate"))
    facts = {"ServerCertificateId": told.get("ServerCertificateId"), "Path": told.get("Path"),
             "UploadDate": uploaded.isoformat() if uploaded else None}  # fmt: skip
    detail = json.dumps(facts, sort_keys=True)
    # ACM renews, IAM never does.
    yield replace(
        parsed or unread, label=told["ServerCertificateName"], has_renewal=False, detail=detail, **whose
    )  # fmt: skip
    yield from others
    if isinstance(answer, dict):
        yield from _parsed.chain(place, answer["CertificateChain"], arn)
    else:
        yield answer.gap(place.target, locator=arn, field="certificate_uid")


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
