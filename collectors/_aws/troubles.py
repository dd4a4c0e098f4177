"""What went wrong with a call, told without quoting the service: status, code, the permission that would cure it.

A service's message may carry what was signed, the session token included, so none is ever passed on: it is looked at
for the few facts that this module knows, and the rest is dropped.

>>> told = "User: x is not authorized to perform: kms:GetKeyPolicy with an explicit deny in a service control policy"
>>> of_answer("kms", "GetKeyPolicy", "AccessDeniedException", told, 400).reason
'kms:GetKeyPolicy is refused: explicit deny in a service control policy'
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from botocore import exceptions as aws

from collectors._aws.permissions import permission
from toolkit.errors import SourceBroken, SourceDenied, SourceError, SourceUnreachable
from toolkit.model import Gap, Target
from toolkit.terms import GapScope, GapStatus

# botocore's own list of throttling codes (retries/standard.py), and what KMS and Organizations say.
_THROTTLED: Final = frozenset({
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown",
    "BandwidthLimitExceeded", "PriorRequestNotComplete", "EC2ThrottledException", "TransactionInProgressException",
})  # fmt: skip
_DENIED: Final = frozenset({
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden",
    "AuthorizationErrorException", "AccessDeniedForDependencyException", "UnauthorizedException", "403",
})  # fmt: skip
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_UNRECOGNISED: Final = frozenset({
    "UnrecognizedClientException", "InvalidClientTokenId", "OptInRequired", "AuthFailure", "InvalidAccessKeyId",
    "RegionDisabledException",
})  # fmt: skip
_BAD_SIGNATURE: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"})
_GONE: Final = re.compile(r"NotFound|NoSuch|DoesNotExist|NonExistent", re.IGNORECASE)
_UNSUPPORTED: Final = frozenset({"UnsupportedOperationException", "UnsupportedOperation"})
_WRONG_STATE: Final = frozenset({"KMSInvalidStateException", "InvalidStateException", "DisabledException"})
_UNKNOWN_CALL: Final = frozenset({"UnknownOperationException", "InvalidAction", "UnknownOperation", "NotImplemented"})
_STALE_PAGE: Final = re.compile(r"(Invalid|Expired)\w*(Marker|Token|Pagination)|InvalidMarker")
_WHO_SAYS_SO: Final = re.compile(
    r"(?:explicit deny in an? |no )"
    r"(?:(?:service control|resource control|resource-based|identity-based|session|VPC endpoint) policy"
    r"|permissions boundary)(?: allows)?|explicit deny"
)
_ACTION: Final = re.compile(r"not authorized to perform:? ([a-z0-9-]+:[A-Za-z0-9]+)")
_RENEW: Final = "renew the credentials (aws sso login, or ask for new ones), collect again"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call gave no answer. `is_gone`: what was asked about is not there; `may_be_disabled`: the region may be."""

    status: GapStatus
    reason: str
    code: str | None = None
    permission: str | None = None
    advice: str | None = None
    is_gone: bool = False
    may_be_disabled: bool = False
    is_stale_page: bool = False
    is_expired: bool = False

    def gap(self, target: Target, *, locator: str | None = None, field: str | None = None) -> Gap:
        """Of a whole target; of an object, if its locator is given; of one field of either."""
        scope = GapScope.TARGET if locator is None else GapScope.OBJECT
        return Gap(
            collector=target.collector,
            target=target.locator,
            locator=locator or target.locator,
            scope=scope if field is None else GapScope.FIELD,
            status=self.status,
            reason=self.reason,
            field=field,
            code=self.code,
            permission=self.permission,
            advice=self.advice,
        )

    def but(self, **more: object) -> Trouble:
        """The same, with something known better."""
        return replace(self, **more)  # type: ignore[arg-type]  # the fields' own types


class CallFailed(SourceError):
    """A call gave no answer; `trouble` says why."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason, advice=trouble.advice or "")
        self.trouble = trouble

    def __reduce__(self) -> tuple[object, ...]:
        return (CallFailed, (self.trouble,))

    def plain(self) -> SourceError:
        """As the error that the runner knows the status of."""
        kinds = {GapStatus.DENIED: SourceDenied, GapStatus.MALFORMED: SourceBroken}
        return kinds.get(self.trouble.status, SourceUnreachable)(self.message, advice=self.advice)


def of(service: str, operation: str, failure: Exception) -> Trouble:
    """What any exception of botocore means."""
    if isinstance(failure, aws.ClientError):
        error = failure.response.get("Error", {})
        status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return of_answer(service, operation, error.get("Code", ""), error.get("Message", ""), status)
    return _of_client(permission(service, operation), failure)


def of_answer(service: str, operation: str, code: str, message: str, http: int) -> Trouble:
    """What an error that a service answered means. The message is looked at and dropped."""
    needed = permission(service, operation)
    code = code.rpartition("#")[2].partition(":")[0]
    if code in _THROTTLED or http == 429:
        told = f"{needed} was throttled, retries included"
        return Trouble(GapStatus.THROTTLED, told, code, advice="collect again, with a smaller quota_share")
    if code in _EXPIRED:
        return Trouble(
            GapStatus.DENIED, f"{needed}: the credentials have expired", code, advice=_RENEW, is_expired=True
        )
    if code in _UNRECOGNISED:
        told = f"{needed}: the credentials are not known in this region"
        advice = "enable the region in this account, or check the credentials"
        return Trouble(GapStatus.DENIED, told, code, advice=advice, may_be_disabled=True)
    if code in _BAD_SIGNATURE:
        advice = "check the secret key and this machine's clock"
        return Trouble(GapStatus.DENIED, f"{needed}: the signature is refused", code, advice=advice)
    if code in _DENIED:
        return _denied(needed, code, message)
    return _other(needed, code, http)


def _denied(needed: str, code: str, message: str) -> Trouble:
    acted, why = _ACTION.search(message), _WHO_SAYS_SO.search(message)
    needed = acted[1] if acted else needed
    told = f"{needed} is refused" + (f": {why[0]}" if why else "")
    advice = f"allow {needed}"
    if why and "service control" in why[0]:
        advice += " in the organisation's service control policies"
    elif why and "explicit" in why[0]:
        advice += ": take it out of the Deny"
    return Trouble(GapStatus.DENIED, told, code, needed, advice)


def _other(needed: str, code: str, http: int) -> Trouble:
    told = code or f"HTTP {http}"
    if code in _UNKNOWN_CALL:
        return Trouble(GapStatus.NOT_APPLICABLE, f"{needed} is not offered here", code)
    if _STALE_PAGE.search(code):
        return Trouble(GapStatus.ERROR, f"{needed}: the next page was not to be had", code, is_stale_page=True)
    if code in _UNSUPPORTED:
        return Trouble(GapStatus.NOT_APPLICABLE, f"{needed} does not apply to it", code)
    if code in _WRONG_STATE:
        return Trouble(GapStatus.NOT_APPLICABLE, f"{needed} cannot be asked in its state", code)
    if _GONE.search(code):
        return Trouble(GapStatus.ERROR, f"{needed}: it is not there (any more)", code, is_gone=True)
    if http >= 500 or code in {"DependencyTimeoutException", "KMSInternalException", "InternalFailure"}:
        advice = "collect again: the service failed, retries included"
        return Trouble(GapStatus.UNREACHABLE, f"{needed} failed at the service ({told})", code or None, advice=advice)
    return Trouble(GapStatus.ERROR, f"{needed} failed ({told})", code or None)


_NO_CREDENTIALS: Final = (
    aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError, aws.ProfileNotFound,
    aws.SSOError, aws.TokenRetrievalError, aws.NoAuthTokenError, aws.ConfigNotFound, aws.InvalidConfigError,
    aws.RefreshWithMFAUnsupportedError,
)  # fmt: skip


def _of_client(needed: str, failure: Exception) -> Trouble:
    code = type(failure).__name__
    if isinstance(failure, _NO_CREDENTIALS):
        # Their texts may quote what a credential process said.
        advice = "check the profile: aws sts get-caller-identity, aws sso login"
        return Trouble(GapStatus.DENIED, f"{needed}: no usable credentials ({code})", code, advice=advice)
    if isinstance(failure, aws.SSLError):
        advice = "check AWS_CA_BUNDLE and the proxy"
        return Trouble(GapStatus.UNREACHABLE, f"{needed}: no trusted TLS connection", code, advice=advice)
    if isinstance(failure, aws.HTTPClientError | aws.EndpointConnectionError | aws.ConnectionError):
        advice = "check the network, AWS_ENDPOINT_URL and the proxy; collect again"
        return Trouble(GapStatus.UNREACHABLE, f"{needed}: no answer, retries included ({code})", code, advice=advice)
    if isinstance(failure, aws.UnknownServiceError | aws.OperationNotPageableError):
        return Trouble(GapStatus.NOT_ASKED, f"{needed}: this botocore does not know it", code, advice="update botocore")
    if code == "ResponseParserError":
        return Trouble(GapStatus.MALFORMED, f"{needed}: the answer is not of its protocol", code)
    return Trouble(GapStatus.ERROR, f"{needed} could not be asked ({code})", code)


UNKNOWN_TO_BOTOCORE: Final = "update botocore"


def not_known(service: str, operation: str) -> Trouble:
    """An operation that the installed botocore has no model of."""
    told = f"{permission(service, operation)}: this botocore does not know it"
    return Trouble(GapStatus.NOT_ASKED, told, permission=permission(service, operation), advice=UNKNOWN_TO_BOTOCORE)
