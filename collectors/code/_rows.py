"""From findings to rows: one Secret a value and repository, one Key a key, with their stories.

Refuses to: name a value, or say that a finding is one of several when it is the same secret again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from collectors.code._history import Story
from collectors.code._hits import Hit
from collectors.code._rules import MATERIAL, Rule
from collectors.code._suppression import Baseline, Suppression
from collectors.code._surroundings import weighed
from collectors.code._work import Outcome
from toolkit.identity import access_key_uid
from toolkit.model import Certificate, Gap, Key, Row, Secret
from toolkit.terms import KeyType, Liveness, Protection, Severity

_HOLDING: Final = (KeyType.PRIVATE_KEY, KeyType.SECRET_KEY)
_ACCESS_KEY: Final = "access_key_id="
_PATHS: Final = 200
"""Paths that are told of one secret; the count tells of the others."""


@dataclass(slots=True)
class Found:
    """One value: its best rule, and every place that holds it."""

    hit: Hit
    blobs: dict[bytes, Hit] = field(default_factory=dict)
    files: dict[str, Hit] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    liveness: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The place that stands for a finding: the earliest that is known."""

    hit: Hit
    locator: str
    path: str | None
    facts: dict[str, Any]


class Findings:
    """Gathers the findings of one target."""

    def __init__(
        self,
        *,
        collector: str,
        target: str,
        rules: tuple[Rule, ...],
        threshold: float,
        baseline: Baseline | None = None,
    ) -> None:
        self._baseline = baseline
        self.marks: dict[str, str] = {}
        """By which a baseline knows each value, by uid."""
        self._today = datetime.now(UTC).date()
        self._collector = collector
        self._target = target
        self._rules = {rule.id: rule for rule in rules}
        self._threshold = threshold
        self._found: dict[str, Found] = {}
        self._siblings: Counter[tuple[str, str | bytes]] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Take in what a unit gave."""
        for hit in outcome.hits:
            if hit.rule not in self._rules:
                continue
            found = self._found.setdefault(hit.uid, Found(hit))
            if hit.confidence > found.hit.confidence:
                found.hit = hit
            found.rows = found.rows or outcome.material.get(hit.uid, ())
            found.liveness = outcome.liveness.get(hit.uid, found.liveness)
            place = outcome.place(hit.name)
            there: dict[Any, Hit] = found.blobs if isinstance(place, bytes) else found.files
            kept = there.setdefault(place, hit)
            if kept.wish is not None and hit.wish is None:
                # Of two places in a file, the one that is not to be passed over counts.
                there[place] = hit
            self._siblings[hit.rule, place] += 1

    @property
    def blobs(self) -> set[bytes]:
        """Ids of the blobs that hold findings."""
        return {blob for found in self._found.values() for blob in found.blobs}

    def rows(self, root: Path, stories: dict[bytes, Story], *, is_git: bool) -> Iterator[Row]:
        """Each finding once, in the order of the values' places."""
        keys: set[tuple[str, str]] = set()
        sighted = [(found, self._sighting(found, root, stories, is_git=is_git)) for found in self._found.values()]
        for found, seen in sorted(sighted, key=lambda pair: (pair[1].locator, pair[0].hit.uid)):
            if self._rules[found.hit.rule].is_secret:
                secret = self._secret(found, seen)
                if (secret.confidence or 0) < self._threshold or not _is_place(self._rules[secret.rule], seen.path):
                    continue
                yield secret
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
            "paths": tuple(sorted({path for s, _, _ in told for path in s.paths} | {*map(_shown, found.files)})),
            "commits": len({commit for s, _, _ in told for commit in s.commits}) if told else None,
        }
        if known:
            first, story, hit = known[0]
            facts |= {"first_commit": first.id, "first_author": first.author, "first_seen_at": first.told_at}
            facts["first_subject"] = first.subject
            path = story.paths[0]
            return Sighting(hit, f"{self._target}?commit={first.id}#{quote(path)}:{hit.line}", path, facts)
        if found.files:
            path, hit = min(found.files.items())
            uri = f"{self._target}#{quote(os.fsencode(path))}" if is_git else f"{(root / path).as_uri()}#"
            return Sighting(hit, f"{uri}:{hit.line}" if is_git else f"{uri}{hit.line}", _shown(path), facts)
        blob, hit = min(found.blobs.items())
        if paths := (stories.get(blob) or Story()).paths:
            return Sighting(hit, f"{self._target}#{quote(paths[0])}:{hit.line}", paths[0], facts)
        return Sighting(hit, f"{self._target}?blob={blob.decode()}#:{hit.line}", None, facts)

    def _secret(self, found: Found, seen: Sighting) -> Secret:
        rule, hit = self._rules[found.hit.rule], found.hit
        place = seen.hit.name if found.blobs else next(iter(found.files))
        confidence, why = weighed(rule, hit.confidence, seen.path, self._siblings[rule.id, place])
        reasons, severity = [*hit.reasons, *why], rule.severity
        if not seen.facts["is_current"]:
            reasons.append("only in the history")
        private = next((r for r in found.rows if isinstance(r, Key) and r.key_type in _HOLDING), None)
        if private is not None and private.protection is Protection.PASSPHRASE:
            severity = Severity.MODERATE
            reasons.append("encrypted")
        if MATERIAL.intersection(rule.checks) and private is None:
            confidence = min(confidence, 0.3)
            reasons.append("it does not parse as a key")
        wish = self._wish(found, seen)
        refusal = wish.refusal(self._today) if wish is not None else None
        if refusal is not None:
            reasons.append(refusal)
        until = wish.until if wish is not None and refusal is None else None
        return Secret(
            liveness=Liveness(found.liveness[0]) if found.liveness else None,
            checked_at=datetime.fromisoformat(found.liveness[1]) if found.liveness else None,
            suppression=wish.reason if wish is not None and until is not None else None,
            suppressed_until=datetime(until.year, until.month, until.day, tzinfo=UTC) if until is not None else None,
            secret_uid=found.hit.uid,
            collector=self._collector,
            target=self._target,
            locator=seen.locator,
            rule=rule.id,
            title=rule.title,
            severity=severity,
            preview=found.hit.preview,
            key_uid=private.key_uid if private else None,
            credential_uid=_credential(seen.hit.facts),
            path=seen.path,
            line=seen.hit.line,
            column=seen.hit.column,
            end_column=seen.hit.end_column,
            gives=rule.gives,
            documented=rule.documented,
            facts=seen.hit.facts,
            wrapped=seen.hit.wrapped,
            confidence=confidence,
            reasons=tuple(reasons),
            **{**seen.facts, "paths": seen.facts["paths"][:_PATHS]},
        )

    def _wish(self, found: Found, seen: Sighting) -> Suppression | None:
        """The suppression of a finding: of the baseline, or beside each of its present places."""
        self.marks[found.hit.uid] = found.hit.mark
        if self._baseline is not None:
            accepted = self._baseline.of(found.hit.rule, seen.facts["paths"], found.hit.mark)
            if accepted is not None:
                return accepted
        hits = list(found.files.values()) or list(found.blobs.values())
        told = [hit.wish for hit in hits]
        if not told or any(wish is None for wish in told):
            return None
        reason, until = told[0] or (None, None)
        return Suppression(reason, date.fromisoformat(until) if until else None)


def _credential(facts: tuple[str, ...]) -> str | None:
    """By which a keeper's own inventory knows it."""
    named = (fact.removeprefix(_ACCESS_KEY) for fact in facts if fact.startswith(_ACCESS_KEY))
    return next(map(access_key_uid, named), None)


def _is_place(rule: Rule, path: str | None) -> bool:
    """Whether the rule is meant for files of this name."""
    if path is None or not (rule.paths or rule.other_paths):
        return True
    is_meant = not rule.paths or any(re.search(form, path) for form in rule.paths)
    return is_meant and not any(re.search(form, path) for form in rule.other_paths)


def _shown(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


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
