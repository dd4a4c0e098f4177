"""A user's answers, made rows: a credential each, and the public keys among them as keys of their own."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from collectors import _material
from collectors._aws.place import Place, attempt
from collectors._aws.tags import Tagging, plain
from collectors._aws.troubles import CallFailed, Trouble
from collectors.aws_iam import _asking as asking
from collectors.aws_iam._asking import Fact, Seen
from toolkit.identity import access_key_uid, keeper_uid
from toolkit.model import Certificate, Credential, Gap, Key, Row
from toolkit.terms import CredentialKind, GapStatus, KeyManager, KeyState

_STATES: Final = {"Active": KeyState.ACTIVE, "Inactive": KeyState.SUSPENDED, "Expired": KeyState.DEACTIVATED}
# What is missing when a list of a user's is: the field of a Gap, at the user.
_FIELDS: Final = {"tags": "tags", "mfa_devices": "has_mfa"}


def rows(place: Place, tagging: Tagging) -> Iterator[Row]:
    """The credentials of all users, and the virtual MFA devices that no user has."""
    devices = place.fast(attempt, asking.virtual_devices, place)
    asked: deque[Future[Seen]] = deque()
    failure: CallFailed | None = None
    try:
        for user in asking.users(place):
            asked.append(place.fast(asking.about, place, user))
    except CallFailed as failed:
        failure = failed
    told: set[str] = set()
    while asked:
        seen = asked.popleft().result()
        if seen.is_gone:
            gone = Trouble(GapStatus.ERROR, "it was listed, and then it was gone", advice="collect again")
            yield gone.gap(place.target, locator=seen.user["Arn"])
            continue
        told.update(one["SerialNumber"] for one in seen.of("mfa_devices"))
        yield from UserRows(place, seen, tagging).rows()
    yield from _devices(place, devices.result(), told)
    if failure is not None:
        raise failure


class UserRows:
    """Makes the rows of one user."""

    def __init__(self, place: Place, seen: Seen, tagging: Tagging) -> None:
        self._place, self._seen, self._arn = place, seen, str(seen.user["Arn"])
        self._where: Fact = {"collector": place.target.collector, "target": place.target.locator}
        devices = seen.lists.get("mfa_devices")
        self._has_mfa = bool(devices) if isinstance(devices, list) else None
        tags = seen.lists.get("tags")
        self._whose = tagging.facts(plain(tags)) if isinstance(tags, list) else {}

    def rows(self) -> Iterator[Row]:
        """Credentials first, then what is missing."""
        yield from self._password()
        yield from self._access_keys()
        for one in self._seen.of("mfa_devices"):
            yield device(self._place, one["SerialNumber"], self._arn, one.get("EnableDate"), self._whose)
        yield from self._ssh_keys()
        yield from self._certificates()
        yield from self._service_credentials()
        for name, answer in self._seen.lists.items():
            if isinstance(answer, Trouble):
                yield answer.gap(self._place.target, locator=self._arn, field=_FIELDS.get(name, name))
        if isinstance(self._seen.login, Trouble):
            yield self._seen.login.gap(self._place.target, locator=self._arn, field="password")

    def _credential(self, kind: CredentialKind, name: str, **more: Any) -> Credential:
        locator = f"{self._arn}#{kind}={name}" if name else f"{self._arn}#{kind}"
        facts: Fact = {"credential_uid": keeper_uid(locator), "label": name or None, "has_mfa": self._has_mfa}
        return Credential(**{
            **self._where, **self._whose, **facts, "locator": locator, "kind": kind, "holder": self._arn,
            "account": self._place.account, "manager": KeyManager.CUSTOMER, **more,
        })  # fmt: skip

    def _password(self) -> Iterator[Row]:
        login = self._seen.login
        if isinstance(login, dict):
            yield self._credential(
                CredentialKind.PASSWORD, "", is_active=True, created_at=_utc(login.get("CreateDate")),
                last_used_at=_utc(self._seen.user.get("PasswordLastUsed")),
                detail=json.dumps({"PasswordResetRequired": bool(login.get("PasswordResetRequired"))}),
            )  # fmt: skip

    def _access_keys(self) -> Iterator[Row]:
        for one in self._seen.of("access_keys"):
            used = self._seen.last_use[one["AccessKeyId"]]
            facts = used if isinstance(used, dict) else {}
            key = self._credential(
                CredentialKind.ACCESS_KEY, one["AccessKeyId"], credential_uid=access_key_uid(one["AccessKeyId"]),
                **_state(one), created_at=_utc(one.get("CreateDate")), last_used_at=_utc(facts.get("LastUsedDate")),
                last_used_service=_known(facts.get("ServiceName")),
                detail=json.dumps({"LastUsedRegion": _known(facts.get("Region"))}),
            )  # fmt: skip
            yield key
            if isinstance(used, Trouble):
                yield used.gap(self._place.target, locator=key.locator, field="last_used_at")

    def _ssh_keys(self) -> Iterator[Row]:
        for one in self._seen.of("ssh_keys"):
            body = self._seen.bodies[one["SSHPublicKeyId"]]
            locator = f"{self._arn}#{CredentialKind.SSH_PUBLIC_KEY}={one['SSHPublicKeyId']}"
            found = self._parsed(body, locator, "id.pub", one) if isinstance(body, str) else []
            yield self._credential(
                CredentialKind.SSH_PUBLIC_KEY, one["SSHPublicKeyId"], **_state(one), key_uid=_uid(found),
                created_at=_utc(one.get("UploadDate")),
            )  # fmt: skip
            yield from found
            if isinstance(body, Trouble):
                yield body.gap(self._place.target, locator=locator, field="key_uid")

    def _certificates(self) -> Iterator[Row]:
        for one in self._seen.of("certificates"):
            locator = f"{self._arn}#{CredentialKind.SIGNING_CERTIFICATE}={one['CertificateId']}"
            found = self._parsed(one.get("CertificateBody") or "", locator, "certificate.pem", one)
            ends = next((row.not_after for row in found if isinstance(row, Certificate)), None)
            yield self._credential(
                CredentialKind.SIGNING_CERTIFICATE, one["CertificateId"], **_state(one), key_uid=_uid(found),
                created_at=_utc(one.get("UploadDate")), expires_at=ends,
            )  # fmt: skip
            yield from found

    def _service_credentials(self) -> Iterator[Row]:
        for one in self._seen.of("service_credentials"):
            yield self._credential(
                CredentialKind.SERVICE_CREDENTIAL, one["ServiceSpecificCredentialId"], **_state(one),
                created_at=_utc(one.get("CreateDate")), expires_at=_utc(one.get("ExpirationDate")),
                detail=json.dumps({"ServiceName": one.get("ServiceName")}),
            )  # fmt: skip

    def _parsed(self, body: str, locator: str, name: str, told: Fact) -> list[Key | Certificate | Gap]:
        found: list[Key | Certificate | Gap] = []
        for row in _material.rows(body.encode(), name=name, locator=locator, **self._where):
            if isinstance(row, Gap):
                found.append(replace(row, locator=locator))
                continue
            facts = {"account": self._place.account, "native_state": told.get("Status"), **self._whose}
            if isinstance(row, Key):
                facts |= {"state": _STATES.get(told.get("Status", "")), "manager": KeyManager.CUSTOMER}
            found.append(replace(row, locator=locator, **facts))
        return found


def device(place: Place, serial: str, holder: str | None, since: Any, whose: Fact) -> Credential:
    """An MFA device; one that nobody has is not active."""
    locator = serial if serial.startswith("arn:") else f"{holder}#{CredentialKind.MFA_DEVICE}={serial}"
    kinds = {"mfa": "virtual", "u2f": "FIDO security key"}
    kind = kinds.get(serial.split(":", 5)[-1].split("/")[0], "unknown") if serial.startswith("arn:") else "hardware"
    return Credential(
        credential_uid=keeper_uid(locator), collector=place.target.collector, target=place.target.locator,
        locator=locator, kind=CredentialKind.MFA_DEVICE, label=serial, holder=holder, account=place.account,
        manager=KeyManager.CUSTOMER, is_active=holder is not None, has_mfa=holder is not None or None,
        created_at=_utc(since), detail=json.dumps({"DeviceKind": kind}), **whose,
    )  # fmt: skip


def _devices(place: Place, found: Any, told: set[str]) -> Iterator[Row]:
    if isinstance(found, Trouble):
        yield found.gap(place.target, locator=place.target.locator, field="virtual_mfa_devices")
        return
    for one in found:
        if one["SerialNumber"] not in told:
            yield device(place, one["SerialNumber"], one["UserArn"], one["EnableDate"], {})


def _state(told: Fact) -> Fact:
    status = told.get("Status")
    return {"native_state": status, "is_active": None if status is None else status == "Active"}


def _uid(found: list[Key | Certificate | Gap]) -> str | None:
    return next((row.key_uid for row in found if isinstance(row, Key)), None)


def _known(told: Any) -> str | None:
    # IAM writes N/A of a key that was not used since it tracks use.
    return told if told and told != "N/A" else None


def _utc(when: Any) -> datetime | None:
    return when.astimezone(UTC) if isinstance(when, datetime) else None
