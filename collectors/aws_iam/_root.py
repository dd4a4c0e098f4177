"""The root user: whether it has a password, keys and a second factor, and when they were last used.

The account's summary says what there is; the credential report says when it was used. IAM tells the id of no root key.

Source: IAM API reference, GetAccountSummary and GenerateCredentialReport; IAM user guide, "Getting credential reports".
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from collectors._aws.place import Place, attempt
from collectors._aws.troubles import CallFailed, Trouble
from toolkit.identity import keeper_uid
from toolkit.model import Credential, Row
from toolkit.terms import CredentialKind, GapStatus, KeyManager

Fact = dict[str, Any]

_ROOT: Final = "<root_account>"
_TRIES, _WAIT_SECONDS = 20, 1.0
_NOT_MADE: Final = Trouble(GapStatus.ERROR, "the credential report was not ready in time", advice="collect again")
_NO_ROOT: Final = Trouble(GapStatus.MALFORMED, "the credential report does not tell of the root user")
_LEFT_OUT: Final = Trouble(GapStatus.NOT_ASKED, "the credential report was left out, as asked")


def rows(place: Place, *, with_report: bool) -> Iterator[Row]:
    """The root user's credentials, and a Gap for what neither source tells."""
    report = place.fast(attempt, _report, place) if with_report else None
    summary = attempt(place.ask, "iam", "GetAccountSummary", keep=_summary, region=place.home)
    told = _LEFT_OUT if report is None else report.result()
    root = Root(place, {} if isinstance(summary, Trouble) else summary, {} if isinstance(told, Trouble) else told)
    yield from root.credentials()
    if isinstance(summary, Trouble):
        yield summary.gap(place.target, locator=root.arn, field="root")
    if isinstance(told, Trouble):
        yield told.gap(place.target, locator=root.arn, field="last_used_at")


def _summary(answer: Fact) -> Fact:
    return {name: value for name, value in answer["SummaryMap"].items() if name.startswith("Account")}


def _report(place: Place) -> Fact:
    """The root user's line of the report; nobody else's is kept.

    Raises:
        CallFailed: it was refused, is not ready, or does not tell of the root user.
    """
    for _ in range(_TRIES):
        if place.ask("iam", "GenerateCredentialReport", region=place.home).get("State") == "COMPLETE":
            found: Fact = place.ask("iam", "GetCredentialReport", keep=_root_line, region=place.home)
            return found
        time.sleep(_WAIT_SECONDS)
    raise CallFailed(_NOT_MADE)


def _root_line(answer: Fact) -> Fact:
    lines = csv.DictReader(io.StringIO(bytes(answer.get("Content") or b"").decode("utf-8", "replace")))
    found = next((line for line in lines if line.get("user") == _ROOT), None)
    if found is None:
        raise CallFailed(_NO_ROOT)
    return {**found, "as_of": answer.get("GeneratedTime")}


class Root:
    """Makes the rows of the root user; what the report tells comes before the summary, which is of now."""

    def __init__(self, place: Place, summary: Fact, report: Fact) -> None:
        self._place, self._summary, self._report = place, summary, report
        self.arn = f"arn:{place.partition}:iam::{place.account}:root"

    def credentials(self) -> Iterator[Credential]:
        """Its password, its keys and its signing certificates, as far as they are known to be there."""
        has_mfa = self._flag("AccountMFAEnabled", "mfa_active")
        has_password = self._flag("AccountPasswordPresent", "password_enabled")
        if has_password is not False and (self._summary or self._report):
            yield self._credential(
                CredentialKind.PASSWORD, "", has_mfa, "password_last_used", "password_last_changed",
                is_active=has_password,
            )  # fmt: skip
        for number in ("1", "2"):
            key = f"access_key_{number}"
            if self._is_there(key, number, "AccountAccessKeysPresent"):
                yield self._credential(
                    CredentialKind.ACCESS_KEY, number, has_mfa, f"{key}_last_used_date", f"{key}_last_rotated",
                    is_active=_is(self._report.get(f"{key}_active")),
                    last_used_service=_said(self._report.get(f"{key}_last_used_service")),
                )  # fmt: skip
        for number in ("1", "2"):
            certificate = f"cert_{number}"
            if self._is_there(certificate, number, "AccountSigningCertificatesPresent"):
                yield self._credential(
                    CredentialKind.SIGNING_CERTIFICATE, number, has_mfa, "", f"{certificate}_last_rotated",
                    is_active=_is(self._report.get(f"{certificate}_active")),
                )  # fmt: skip

    def _is_there(self, name: str, number: str, counted: str) -> bool:
        # The summary says that there are some, and not how many: then there is one at least.
        rotated, active = (self._report.get(f"{name}_{what}") for what in ("last_rotated", "active"))
        if _said(rotated) or _is(active):
            return True
        return number == "1" and bool(self._summary.get(counted))

    def _credential(
        self, kind: CredentialKind, number: str, has_mfa: bool | None, used: str, made: str, **more: Any
    ) -> Credential:
        locator = f"{self.arn}#{kind}={number}" if number else f"{self.arn}#{kind}"
        as_of = self._report.get("as_of")
        return Credential(**{
            "credential_uid": keeper_uid(locator), "collector": self._place.target.collector,
            "target": self._place.target.locator, "locator": locator, "kind": kind, "holder": self.arn,
            "account": self._place.account, "manager": KeyManager.CUSTOMER, "has_mfa": has_mfa,
            "created_at": _when(self._report.get(made)), "last_used_at": _when(self._report.get(used)),
            "detail": json.dumps({"IsRoot": True, "ReportAsOf": as_of.astimezone(UTC).isoformat() if as_of else None}),
            **more,
        })  # fmt: skip

    def _flag(self, counted: str, column: str) -> bool | None:
        if counted in self._summary:
            return bool(self._summary[counted])
        return _is(self._report.get(column))


def _said(told: str | None) -> str | None:
    return None if told in (None, "", "N/A", "not_supported", "no_information") else told


def _is(told: str | None) -> bool | None:
    return {"true": True, "false": False}.get((told or "").lower())


def _when(told: str | None) -> datetime | None:
    if (said := _said(told)) is None:
        return None
    try:
        return datetime.fromisoformat(said).astimezone(UTC)
    except ValueError:
        return None
