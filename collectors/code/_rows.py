"""From findings to rows: one Secret a value and repository, one Key a key, with their stories.

Refuses to: name a value, or say that a finding is one of several when it is the same secret again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from collectors._material import rows as material_rows
from collectors.code._confirm import Hit
from collectors.code._history import Story
from collectors.code._rules import PEM
from toolkit.identity import Fingerprinter
from toolkit.model import Certificate, Gap, Key, Row, Secret
from toolkit.terms import KeyType, Protection, Severity

_ASIDE: Final = re.compile(
    r"(^|[/_.-])(tests?|testdata|specs?|fixtures?|examples?|samples?|docs?|mocks?)([/_.-]|$)", re.I
)
# PEM inside source code: escaped line ends, quotes, commas and comment marks around the lines.
_AROUND: Final = b" \t\r\"'`,;>|#*\\"


@dataclass(slots=True)
class Found:
    """One value: its best rule, and every place that holds it."""

    hit: Hit
    blobs: dict[bytes, Hit] = field(default_factory=dict)
    files: dict[str, Hit] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """The place that stands for a finding: the earliest that is known."""

    hit: Hit
    locator: str
    path: str | None
    facts: dict[str, Any]


class Findings:
    """Gathers the findings of one target."""

    def __init__(self, *, collector: str, target: str, fingerprinter: Fingerprinter) -> None:
        self._collector = collector
        self._target = target
        self._fingerprinter = fingerprinter
        self._found: dict[str, Found] = {}

    def parse(self, hit: Hit, value: bytes) -> None:
        """Take note of a value while it is there: key rows are made now, and the value let go."""
        if hit.uid in self._found or PEM not in hit.rule.checks:
            self._found.setdefault(hit.uid, Found(hit))
            return
        block = b"\n".join(line.strip(_AROUND) for line in re.split(rb"\r?\n|\\r\\n|\\n", value))
        # Sealed keys are known by their place; naming the content makes that the same in every run.
        locator = f"{self._target}?content={self._fingerprinter.uid(value)}"
        made = material_rows(block, collector=self._collector, target=self._target, locator=locator)
        self._found[hit.uid] = Found(hit, rows=tuple(made))

    def add_blob(self, hit: Hit) -> None:
        """A finding in a blob of the object store."""
        self._best(hit).blobs.setdefault(hit.name, hit)

    def add_file(self, path: str, hit: Hit) -> None:
        """A finding in a file as it lies there now."""
        self._best(hit).files.setdefault(path, hit)

    def _best(self, hit: Hit) -> Found:
        found = self._found[hit.uid]
        if hit.confidence > found.hit.confidence:
            found.hit = hit
        return found

    @property
    def blobs(self) -> set[bytes]:
        """Ids of the blobs that hold findings."""
        return {blob for found in self._found.values() for blob in found.blobs}

    def rows(self, root: Path, stories: dict[bytes, Story], *, is_git: bool) -> Iterator[Row]:
        """Each finding once, in the order of the values' places."""
        keys: set[tuple[str, str]] = set()
        sighted = [(found, self._sighting(found, root, stories, is_git=is_git)) for found in self._found.values()]
        for found, seen in sorted(sighted, key=lambda pair: (pair[1].locator, pair[0].hit.uid)):
            if found.hit.rule.is_secret:
                yield self._secret(found, seen)
            for row in found.rows:
                kind = row.key_type.value if isinstance(row, Key) else type(row).__name__
                name = row.key_uid if isinstance(row, Key) else getattr(row, "certificate_uid", row.locator)
                if (name, kind) not in keys:
                    keys.add((name, kind))
                    yield _placed(row, seen)

    def _sighting(self, found: Found, root: Path, stories: dict[bytes, Story], *, is_git: bool) -> Sighting:
        told = [(stories.get(blob) or Story(), blob, hit) for blob, hit in found.blobs.items()]
        known = sorted(
            ((s.first, s, hit) for s, _, hit in told if s.first is not None), key=lambda e: (e[0].at, e[2].name)
        )
        lasts = [story.last for story, _, _ in told if story.last is not None]
        last = max(lasts, key=lambda commit: commit.at, default=None)
        current = {path for story, _, _ in told for path in story.current}
        facts: dict[str, Any] = {
            "last_commit": last.id if last else None,
            "last_seen_at": last.told_at if last else None,
            "is_current": bool(current or found.files),
            "occurrences": sum(max(1, len(s.paths)) for s, _, _ in told) + len(set(found.files) - current),
        }
        if known:
            first, story, hit = known[0]
            facts |= {"first_commit": first.id, "first_author": first.author, "first_seen_at": first.told_at}
            path = story.paths[0]
            return Sighting(hit, f"{self._target}?commit={first.id}#{quote(path)}:{hit.line}", path, facts)
        if found.files:
            path, hit = min(found.files.items())
            uri = f"{self._target}#{quote(os.fsencode(path))}" if is_git else f"{(root / path).as_uri()}#"
            shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            return Sighting(hit, f"{uri}:{hit.line}" if is_git else f"{uri}{hit.line}", shown, facts)
        blob, hit = min(found.blobs.items())
        return Sighting(hit, f"{self._target}?blob={blob.decode()}#:{hit.line}", None, facts)

    def _secret(self, found: Found, seen: Sighting) -> Secret:
        rule = found.hit.rule
        confidence, reasons, severity = found.hit.confidence, list(found.hit.reasons), rule.severity
        if seen.path is not None and _ASIDE.search(seen.path):
            confidence = round(confidence * 0.6, 2)
            reasons.append("lies among tests, examples or documents")
        if not seen.facts["is_current"]:
            reasons.append("only in the history")
        private = next((r for r in found.rows if isinstance(r, Key) and r.key_type is KeyType.PRIVATE_KEY), None)
        if private is not None and private.protection is Protection.PASSPHRASE:
            severity = Severity.MODERATE
            reasons.append("encrypted")
        if PEM in rule.checks and private is None:
            confidence = min(confidence, 0.3)
            reasons.append("the block does not parse as a key")
        return Secret(
            secret_uid=found.hit.uid,
            collector=self._collector,
            target=self._target,
            locator=seen.locator,
            rule=rule.id,
            title=rule.title,
            severity=severity,
            preview=found.hit.preview,
            key_uid=private.key_uid if private else None,
            path=seen.path,
            line=seen.hit.line,
            column=seen.hit.column,
            confidence=confidence,
            reasons=tuple(reasons),
            **seen.facts,
        )


def _placed(row: Row, seen: Sighting) -> Row:
    """The row of the material, with the place and the times of the finding."""
    locator = f"{seen.locator}:{seen.hit.column or f'+{seen.hit.offset}'}"
    times = {name: seen.facts.get(name) for name in ("first_seen_at", "last_seen_at", "is_current")}
    if isinstance(row, Key):
        is_private = row.key_type is not KeyType.PUBLIC_KEY
        label = row.label or seen.path
        return replace(row, locator=locator, label=label, is_exposed=True if is_private else None, **_typed(times))
    if isinstance(row, Certificate):
        return replace(row, locator=locator, label=row.label or seen.path, **_typed(times))
    assert isinstance(row, Gap)
    return replace(row, locator=locator)


def _typed(times: dict[str, datetime | bool | None]) -> dict[str, Any]:
    return dict(times)
