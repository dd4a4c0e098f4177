"""What the place of a finding says about it: tests and documents hold made-up secrets, lock files hold digests.

Refuses to: silence anything. It lowers confidence, says why, and leaves the threshold to whoever reads.
"""

from __future__ import annotations

import re
from typing import Final

from collectors.code._rules import MATERIAL, Rule

_ASIDE: Final = re.compile(
    r"(?:^|[/_.\-])(?:tests?|testing|testdata|test_data|specs?|__tests__|fixtures?|examples?|samples?|docs?|mocks?|"
    r"cassettes?|snapshots?|__snapshots__|e2e|demos?|tutorials?|changelogs?|changes|readme|locales?|translations?|"
    r"stories|benchmarks?)(?:[/_.\-]|$)|Tests?[./]|Spec[./]|\.(?:md|rst|adoc|po|pot)$",
    re.IGNORECASE,
)
_MADE: Final = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|uv\.lock|Pipfile\.lock|"
    r"Cargo\.lock|composer\.lock|Gemfile\.lock|go\.sum|mix\.lock|pubspec\.lock|Podfile\.lock|flake\.lock|"
    r"requirements[^/]*\.txt|RECORD|SHA\d+SUMS?|checksums?\.txt)$|\.min\.(?:js|css)$|\.(?:map|svg|css|lock|sum|woff2?|ttf|snap|geojson|csv|tsv|log|"
    r"patch|diff|pdf)$|(?:^|/)(?:vendor|node_modules|third_party|bower_components|dist|site-packages)/",
    re.IGNORECASE,
)


_PLAIN: Final = 0.6
"""From this confidence on, a rule's format is of one vendor."""


def weighed(rule: Rule, confidence: float, path: str | None, siblings: int) -> tuple[float, tuple[str, ...]]:
    """Confidence in view of the file it lies in, and why. `siblings`: findings of its rule in the same blob."""
    reasons: list[str] = []
    is_unmistakable = bool(MATERIAL.intersection(rule.checks)) or not (
        rule.near or "assigned" in rule.checks or rule.sure < _PLAIN
    )
    if path is not None and _ASIDE.search(path):
        confidence *= 0.6
        reasons.append("lies among tests, examples or documents")
    if not is_unmistakable and path is not None and _MADE.search(path):
        confidence *= 0.5
        reasons.append("lies in a file that a program made, or that came from elsewhere")
    if not is_unmistakable and siblings > 20:
        confidence *= 0.6
        reasons.append(f"one of {siblings} of its kind in the file")
    return round(confidence, 2), tuple(reasons)
