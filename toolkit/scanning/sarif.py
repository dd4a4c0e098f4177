"""A scan in SARIF 2.1.0 (OASIS), as code hosts and editors read it.

Refuses to: put a value, or a part of one, into a message.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from toolkit.model import Secret
from toolkit.scanning import Scan
from toolkit.terms import Severity
from toolkit.visible import spelled

_LEVELS: Final = {
    Severity.VERY_HIGH: "error",
    Severity.HIGH: "error",
    Severity.MODERATE: "warning",
    Severity.LOW: "note",
    Severity.VERY_LOW: "note",
}


def document(told: Scan) -> dict[str, Any]:
    """The scan as a SARIF log of one run."""
    rows = [*told.findings, *told.suppressed]
    rules = {row.rule: row for row in rows}
    # A path says where a file lies in its target; of several targets, only a whole address does.
    is_one = len({row.target for row in rows}) < 2
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "keyatlas",
                        "version": version("keyatlas"),
                        "rules": [*map(_rule, rules.values())],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(row, is_one=is_one) for row in rows],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notice(g.locator, g.reason) for g in told.gaps],
                    }
                ],
            }
        ],
    }


def _rule(row: Secret) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": row.rule,
        "name": row.title,
        "shortDescription": {"text": row.title},
        "fullDescription": {"text": f"Whoever has it gets: {row.gives or 'unknown'}."},
        "defaultConfiguration": {"level": _LEVELS[row.severity]},
        "properties": {"tags": ["security", "CWE-798"]},
    }
    if row.documented and row.documented.startswith("https://"):
        rule["helpUri"] = row.documented
    return rule


def _result(row: Secret, *, is_one: bool) -> dict[str, Any]:
    region = {"startLine": max(row.line or 1, 1)}
    if row.column is not None:
        region["startColumn"] = row.column
        if row.end_column is not None:
            region["endColumn"] = row.end_column
    uri = quote((row.path or row.locator).encode("utf-8", "replace"), safe="/")
    if not is_one:
        uri = f"file{row.target.rstrip('/').removeprefix('file').removeprefix('git')}/{uri}"
    result: dict[str, Any] = {
        "ruleId": row.rule,
        "level": _LEVELS[row.severity],
        "message": {"text": _unlinked(f"{row.title}: {'; '.join(row.reasons or ())}")},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}],
        "rank": round(100 * (row.confidence or 0), 1),
        "properties": {"confidence": row.confidence, "occurrences": row.occurrences, "isCurrent": row.is_current},
    }
    if row.first_commit:
        result["properties"]["firstCommit"] = row.first_commit
    if row.suppression:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": row.suppression}]
    return result


def _unlinked(text: str) -> str:
    """Text in which brackets make no link and braces no placeholder (3.11.5, 3.11.6)."""
    return re.sub(r"([\\\[\]{}])", r"\\\1", spelled(text))


def _notice(place: str, reason: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": _unlinked(f"not seen: {place}: {reason}")}}
