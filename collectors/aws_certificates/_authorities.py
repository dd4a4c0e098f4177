"""Private certificate authorities: the key of each, its certificate, and who may issue in its name.

One list tells the authority; its certificate, its tags, its policy and its permissions are asked for one by one: an
account has few. Of an authority that has no certificate yet, the request tells the key.

Source: AWS Private CA API reference, CertificateAuthority, CertificateAuthorityConfiguration, Permission; SP 800-57
part 1 r5, 7.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from collectors import _material
from collectors._aws.admission import Admission, Policies
from collectors._aws.place import Place, attempt, whole
from collectors._aws.services import is_offered
from collectors._aws.tags import Tagging, plain
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_certificates import _parsed
from toolkit.identity import keeper_uid
from toolkit.model import Access, Certificate, Gap, Key, Row
from toolkit.terms import (
    AccessFunction,
    AccessVia,
    GapStatus,
    KeyFunction,
    KeyManager,
    KeyPurpose,
    KeyState,
    KeyType,
    Origin,
    PrincipalKind,
    Protection,
)

Fact = dict[str, Any]

_SHAPES: Final[dict[str, tuple[str, str | None, int | None]]] = {
    **{f"RSA_{bits}": ("RSA", None, bits) for bits in (2048, 3072, 4096)},
    "EC_prime256v1": ("EC", "secp256r1", 256),
    "EC_secp384r1": ("EC", "secp384r1", 384),
    "EC_secp521r1": ("EC", "secp521r1", 521),
    "SM2": ("SM2", "sm2p256v1", 256),
    **{f"ML_DSA_{level}": ("ML-DSA", f"ML-DSA-{level}", None) for level in (44, 65, 87)},
}
_STATES: Final = {
    "CREATING": KeyState.PRE_ACTIVATION, "PENDING_CERTIFICATE": KeyState.PRE_ACTIVATION, "ACTIVE": KeyState.ACTIVE,
    "DISABLED": KeyState.SUSPENDED, "EXPIRED": KeyState.DEACTIVATED, "DELETED": KeyState.DEACTIVATED,
}  # fmt: skip
_HAS_NO_CERTIFICATE: Final = ("CREATING", "PENDING_CERTIFICATE", "FAILED")
_LEFT_OUT: Final = Trouble(GapStatus.NOT_ASKED, "left out, as asked")
_NO_CERTIFICATE: Final = Trouble(GapStatus.NOT_APPLICABLE, "the authority has no certificate yet")
_SAID: Final = (
    "Type", "Status", "Serial", "FailureReason", "RevocationConfiguration", "KeyStorageSecurityStandard", "UsageMode",
    "LastStateChangeAt", "RestorableUntil", "OwnerAccount",
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """One authority: the list's entry, and each answer or the trouble in its place."""

    told: Fact
    pem: Fact | Trouble
    csr: Fact | Trouble | None
    tags: list[Fact] | Trouble
    policy: Fact | Trouble
    permissions: list[Fact] | Trouble


def rows(place: Place, tagging: Tagging, *, with_policies: bool) -> Iterator[Row]:
    """The authorities of a place, those that were deleted and can be restored among them."""
    if not is_offered(place, "acm-pca"):
        return
    asked: deque[Future[Seen]] = deque()
    failure: CallFailed | None = None
    try:
        listing = {"MaxResults": 1000}
        for one in place.pages("acm-pca", "ListCertificateAuthorities", "CertificateAuthorities", listing, keep=whole):
            asked.append(place.fast(_seen, place, one, with_policies))
    except CallFailed as failed:
        failure = failed
    policies = Policies(place, "acm-pca")
    while asked:
        yield from _told(place, asked.popleft().result(), policies, tagging)
    if failure is not None:
        raise failure


def _seen(place: Place, told: Fact, with_policies: bool) -> Seen:
    authority = {"CertificateAuthorityArn": told["Arn"]}
    seen = Seen(told, _NO_CERTIFICATE, None, _LEFT_OUT, _LEFT_OUT, _LEFT_OUT)
    if told.get("Status") not in _HAS_NO_CERTIFICATE:
        seen.pem = attempt(place.ask, "acm-pca", "GetCertificateAuthorityCertificate", authority, keep=whole)
    elif told.get("Status") == "PENDING_CERTIFICATE":
        seen.csr = attempt(place.ask, "acm-pca", "GetCertificateAuthorityCsr", authority, keep=whole)
    seen.tags = attempt(lambda: list(place.pages("acm-pca", "ListTags", "Tags", authority, keep=whole)))
    if with_policies:
        found = attempt(place.ask, "acm-pca", "GetPolicy", {"ResourceArn": told["Arn"]}, keep=_policy)
        # ResourceNotFoundException: no policy is attached.
        seen.policy = {"text": None} if isinstance(found, Trouble) and found.is_gone else found
        asked = {**authority, "MaxResults": 100}
        seen.permissions = attempt(
            lambda: list(place.pages("acm-pca", "ListPermissions", "Permissions", asked, keep=whole))
        )
    return seen


def _policy(answer: Fact) -> Fact:
    return {"text": answer.get("Policy") or None}


def _told(place: Place, seen: Seen, policies: Policies, tagging: Tagging) -> Iterator[Row]:
    arn = seen.told["Arn"]
    admission = policies.admission(arn, seen.policy["text"]) if isinstance(seen.policy, dict) else Admission()
    whose = {} if isinstance(seen.tags, Trouble) else tagging.facts(plain(seen.tags))
    certificate, others = _certificate(place, seen, arn)
    public = next((row for row in (*others, *_requested(place, seen, arn)) if isinstance(row, Key)), None)
    key = replace(_key(place, seen.told, public), access_flags=admission.flags, **whose)
    yield key
    if certificate is not None:
        yield replace(certificate, native_state=seen.told.get("Status"), label=_label(seen.told), **whose)
    yield from (row for row in others if isinstance(row, Gap))
    if isinstance(seen.pem, dict):
        yield from _parsed.chain(place, seen.pem.get("CertificateChain"), arn)
    yield from admission.rows(key.key_uid, place, arn)
    yield from _permitted(seen, key)
    yield from _gaps(place, seen, key)


def _certificate(place: Place, seen: Seen, arn: str) -> tuple[Certificate | None, _parsed.Rows]:
    if not isinstance(seen.pem, dict):
        return None, []
    return _parsed.leaf(place, str(seen.pem.get("Certificate") or ""), arn)


def _requested(place: Place, seen: Seen, arn: str) -> Iterator[Row]:
    """The key in the authority's certificate request."""
    if isinstance(seen.csr, dict) and seen.csr.get("Csr"):
        where = {"collector": place.target.collector, "target": place.target.locator, "locator": arn}
        yield from _material.rows(str(seen.csr["Csr"]).encode(), name="request.csr", **where)


def _key(place: Place, told: Fact, public: Key | None) -> Key:
    arn, configuration = told["Arn"], told.get("CertificateAuthorityConfiguration") or {}
    algorithm, parameter, size_bits = _SHAPES.get(configuration.get("KeyAlgorithm", ""), (None, None, None))
    protection, why = _protection(told.get("KeyStorageSecurityStandard"))
    key = Key(
        key_uid=keeper_uid(arn), collector=place.target.collector, target=place.target.locator, locator=arn,
        key_type=KeyType.PRIVATE_KEY, label=_label(told), format="AWS Private CA key", algorithm=algorithm,
        parameter=parameter, size_bits=size_bits, state=_STATES.get(told.get("Status", "")),
        native_state=told.get("Status"), functions=(KeyFunction.SIGN,), purpose=KeyPurpose.PRIVATE_SIGNATURE,
        protected=None if protection is None else True, protection=protection, extractable=False, sensitive=True,
        never_extractable=True, always_sensitive=True, is_exposed=False, origin=Origin.GENERATED,
        account=told.get("OwnerAccount") or place.account, region=place.region, manager=KeyManager.CUSTOMER,
        created_at=_utc(told.get("CreatedAt")), expires_at=_utc(told.get("NotAfter")),
        destruction_at=_utc(told.get("RestorableUntil")), reasons=(why, f"state: Private CA says {told.get('Status')}"),
        detail=_detail(told),
    )  # fmt: skip
    if public is None or public.spki_sha256 is None:
        return key
    return replace(
        key, key_uid=public.key_uid, spki_sha256=public.spki_sha256, algorithm=public.algorithm,
        parameter=public.parameter, size_bits=public.size_bits,
    )  # fmt: skip


def _protection(standard: str | None) -> tuple[Protection | None, str]:
    """Private CA keeps its keys in hardware modules validated to a standard, and says to which."""
    if standard and standard.startswith(("FIPS_140", "CCPC")):
        return Protection.HARDWARE, f"protection: a module of AWS Private CA, {standard}"
    return None, f"protection: unclassified, KeyStorageSecurityStandard is {standard}"


def _label(told: Fact) -> str | None:
    subject = (told.get("CertificateAuthorityConfiguration") or {}).get("Subject") or {}
    return subject.get("CommonName") or subject.get("Organization") or None


def _detail(told: Fact) -> str:
    configuration = told.get("CertificateAuthorityConfiguration") or {}
    facts = {name: configuration[name] for name in ("KeyAlgorithm", "SigningAlgorithm") if configuration.get(name)}
    facts |= {name: told[name] for name in _SAID if told.get(name)}
    return json.dumps(facts, sort_keys=True, default=lambda when: when.astimezone(UTC).isoformat())


def _permitted(seen: Seen, key: Key) -> Iterator[Access]:
    """What an AWS service was given, ACM above all."""
    for one in seen.permissions if isinstance(seen.permissions, list) else ():
        actions = tuple(sorted(f"acm-pca:{action}" for action in one.get("Actions") or ()))
        function = AccessFunction.USE if "acm-pca:IssueCertificate" in actions else AccessFunction.READ
        source = one.get("SourceAccount")
        yield Access(
            subject_uid=key.key_uid, collector=key.collector, target=key.target, locator=key.locator,
            principal=one["Principal"], principal_kind=PrincipalKind.SERVICE, function=function, via=AccessVia.GRANT,
            source="permission", actions=actions, conditions=(f"SourceAccount={source}",) if source else (),
            is_cross_account=bool(source) and source != key.account, is_public=False, is_wildcard=False,
            is_certain=True, granted_at=_utc(one.get("CreatedAt")),
        )  # fmt: skip


def _gaps(place: Place, seen: Seen, key: Key) -> Iterator[Gap]:
    answers = {
        "spki_sha256": seen.csr if seen.csr is not None else seen.pem, "tags": seen.tags, "access_flags": seen.policy,
        "permissions": seen.permissions,
    }  # fmt: skip
    for field, answer in answers.items():
        if isinstance(answer, Trouble):
            yield answer.gap(place.target, locator=key.locator, field=field)


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
