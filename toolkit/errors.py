"""The error tree: every error says what failed and where, and `advice` says the next thing to do.

No message here, or anywhere, carries key material, a PIN or a secret value.

>>> str(SourceDenied("cannot list /root/.ssh", advice="run as root, or leave the folder out"))
'cannot list /root/.ssh. Next: run as root, or leave the folder out'
"""

from __future__ import annotations


class KeyatlasError(Exception):
    """Anything keyatlas refuses or fails to do."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}. Next: {self.advice}" if self.advice else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors travel between processes; the default would lose the keyword.
        return (_rebuild, (type(self), self.message, self.advice))


def _rebuild(kind: type[KeyatlasError], message: str, advice: str) -> KeyatlasError:
    return kind(message, advice=advice)


class ConfigError(KeyatlasError):
    """The caller's options, or a config file, are not of the form that is needed."""


class RegistryError(KeyatlasError):
    """No such collector, policy pack or notebook; or two of one name; or its extra is not installed."""


class SourceError(KeyatlasError):
    """A source could not be read. The runner turns it into a Gap."""


class SourceDenied(SourceError):
    """The source answered: you may not."""


class SourceUnreachable(SourceError):
    """The source did not answer; a retry may help."""


class SourceBroken(SourceError):
    """The source answered with something that is not what its protocol or format says."""


class PolicyError(KeyatlasError):
    """A policy pack breaks the pack format, or one of its own examples."""


class StoreError(KeyatlasError):
    """The workspace cannot be read or written."""


class RunTampered(StoreError):
    """A file of a run is not the one whose digest its manifest records."""


class ReportError(KeyatlasError):
    """A notebook did not run to its end, or its report could not be rendered."""
