"""Secrets in a folder, a history or what is staged: no workspace, no tables, an answer in a second.

It runs the `code` collector and sorts what it yields. What is suppressed is told apart, never left out.
Refuses to: keep rows, or show a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from toolkit import config, registry
from toolkit.errors import ConfigError, SourceError
from toolkit.identity import local_fingerprinter
from toolkit.model import Gap, Secret
from toolkit.progress import counting
from toolkit.terms import GapScope, GapStatus, Severity

_RANK = {severity: place for place, severity in enumerate(Severity)}


@dataclass(slots=True)
class Scan:
    """What a scan gave."""

    findings: list[Secret] = field(default_factory=list)
    suppressed: list[Secret] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Nothing was left unread."""
        return not any(map(_is_unread, self.gaps))

    def worst(self) -> Severity | None:
        """The greatest severity among the findings."""
        return max((finding.severity for finding in self.findings), key=_RANK.__getitem__, default=None)


def _is_unread(gap: Gap) -> bool:
    """Something that may hold secrets was not read: a file, or what an archive encloses."""
    is_content = gap.scope is not GapScope.FIELD or gap.field == "members"
    return is_content and gap.status is not GapStatus.NOT_APPLICABLE


def scan(paths: tuple[str, ...], options: Mapping[str, Any]) -> Scan:
    """Scan with the options of the `code` collector.

    Raises:
        ConfigError: a path is not there, or an option cannot be used.
        SourceError: a target cannot be read at all.
    """
    return _sorted(_collector(paths, options))


def write_baseline(paths: tuple[str, ...], options: Mapping[str, Any], file: Path, *, reason: str, until: date) -> Scan:
    """Accept all present findings until a date: writes the file, and gives what is in it.

    Raises:
        ConfigError: as `scan`, or no reason is given, or the date is over.
    """
    if until < datetime.now(UTC).date():
        raise ConfigError(f"{until} is over: the baseline would accept nothing", advice="give --until a later day")
    if not reason.strip():
        raise ConfigError("a baseline needs a reason", advice='add --reason "why these are accepted for now"')
    collector: Any = _collector(paths, options)
    collector.mark()
    told = _sorted(collector)
    try:
        file.write_text(collector.baseline_text(told.findings, reason=reason, until=until), "utf-8")
    except OSError as failure:
        raise ConfigError(f"{file} cannot be written: {failure.strerror}", advice="name another file") from failure
    return told


def _collector(paths: tuple[str, ...], options: Mapping[str, Any]) -> Any:
    for path in paths:
        if not _is_there(path):
            raise ConfigError(f"{path} is not there", advice="give a folder, a file or a repository")
    kind = registry.collector_class("code")
    return config.build(kind, {**options, "paths": paths}, local_fingerprinter())


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError):
        return False


def _sorted(collector: Any) -> Scan:
    told = Scan()
    failure: SourceError | None = None
    for target in collector.targets():
        try:
            with counting(target.label or target.locator) as collector.told:
                for row in collector.collect(target):
                    if isinstance(row, Secret):
                        (told.suppressed if row.suppression else told.findings).append(row)
                    elif isinstance(row, Gap):
                        told.gaps.append(row)
        except SourceError as broken:
            failure = broken
            told.gaps.append(
                Gap(
                    collector=target.collector,
                    target=target.locator,
                    locator=target.locator,
                    scope=GapScope.TARGET,
                    status=GapStatus.ERROR,
                    reason=broken.message,
                    advice=broken.advice or None,
                )
            )
    if failure is not None and not told.findings and len(told.gaps) == 1:
        raise failure
    order = {severity: -rank for severity, rank in _RANK.items()}
    told.findings.sort(key=lambda row: (order[row.severity], -(row.confidence or 0), row.path or "", row.line or 0))
    return told
