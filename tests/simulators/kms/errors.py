"""What AWS answers when it refuses: a code, a sentence, a status.

The sentences are AWS's own where its documentation prints them (key-state page, throttling page, access-denied
troubleshooting page); the parity table says for each rule where it was read.
"""

from __future__ import annotations


class ServiceError(Exception):
    """An answer that is an error; the server turns it into the protocol's shape."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class LostReply(Exception):
    """The work was done, and the connection breaks before the answer."""


def no_key(name: str) -> ServiceError:
    """No key of this ARN or id."""
    if name.startswith(("arn:", "mrk-")) or len(name) == 36:
        return ServiceError("NotFoundException", f"Key '{name}' does not exist")
    return ServiceError("NotFoundException", f"Invalid keyId '{name}'")


def no_alias(arn: str) -> ServiceError:
    """No alias of this ARN."""
    return ServiceError("NotFoundException", f"Alias {arn} is not found.")


def unsupported(message: str) -> ServiceError:
    """The kind of key cannot do this, whatever its state."""
    return ServiceError("UnsupportedOperationException", message)


def invalid(constraint: str, *, at: str, value: object) -> ServiceError:
    """A parameter out of its bounds, in the words of AWS's validation."""
    shown = "null" if value is None else f"'{value}'"
    field = at[:1].lower() + at[1:]
    message = f"1 validation error detected: Value {shown} at '{field}' failed to satisfy constraint: {constraint}"
    return ServiceError("ValidationException", message)


def denied(caller: str, action: str, resource: str, why: str) -> ServiceError:
    """No permission; `why` is the last part of AWS's sentence."""
    message = f"User: {caller} is not authorized to perform: {action} on resource: {resource} {why}"
    return ServiceError("AccessDeniedException", message)


def dry_run() -> ServiceError:
    """DryRun was asked for, and the call would have succeeded."""
    message = "The request would have succeeded, but the DryRun option is set."
    return ServiceError("DryRunOperationException", message, status=412)
