"""Changes to keys, their policies and what is logged of them: each is told, whatever the habit is.

Refuses to: judge a policy whose text CloudTrail left out, or hold a widening for harmless because it was made before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from toolkit.habits._history import SUCCESS, History

_ACCOUNT: Final = re.compile(r"(?:arn:[\w-]+:(?:iam|sts)::)?(\d{12})(?::|$)")
_SESSION: Final = re.compile(r"arn:([\w-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")
_REFUSED: Final = 0.5
"""An attempt that was refused is worth this share of the change itself."""


@dataclass(frozen=True, slots=True)
class Change:
    """One event that changes something: its row, its kind, how much of the kind's score, and why."""

    row: int
    kind: str
    share: float
    reasons: list[str]


def changes(past: History, kinds: Mapping[str, str], planned: Collection[tuple[str, str]]) -> Iterator[Change]:
    """What was changed after the cut. `kinds`: by operation; `planned`: pairs of key and operation not to be told."""
    names = [*kinds, "PutKeyPolicy", "CreateKey"]
    found = past.events[past.events["operation"].isin(names)]
    policies: dict[str, frozenset[str]] = {}
    grantees: dict[str, set[str]] = {}
    plans = set(planned)
    for row, event in zip(found.index.tolist(), found.itertuples(index=False), strict=True):
        key, operation = str(event.key_uid), str(event.operation)
        detail = read(event.detail)
        is_done = event.result == SUCCESS
        widened = _widened(detail, policies.get(key), str(event.locator))
        grantee = _role(str(detail["grantee"])) if detail.get("grantee") else None
        is_known_grantee = grantee in grantees.get(key, ())
        if is_done and detail.get("is_policy_known"):
            policies[key] = frozenset(detail.get("principals") or ())
        if is_done and grantee:
            grantees.setdefault(key, set()).add(grantee)
        kind = kinds.get(operation)
        if not past.is_new[row] or kind is None or (key, operation) in plans:
            continue
        if kind == "policy-widened" and not widened:
            continue
        if kind == "grant-to-new-grantee":
            if is_known_grantee:
                continue
            widened = _grant(grantee, detail, str(event.locator))
        if kind == "logging-narrowed" and not (detail.get("left_out") or detail.get("switched_off")):
            continue
        share, more = widened or (1.0, _facts(operation, detail))
        said = f"{operation} by {_who(event.principal)}" + ("" if is_done else f", refused with {event.result}")
        yield Change(row, kind, share * (1.0 if is_done else _REFUSED), [said, *more])


def read(detail: Any) -> dict[str, Any]:
    """What a collector kept of the request; nothing where it is no object."""
    if not isinstance(detail, str):
        return {}
    try:
        kept = json.loads(detail)
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def _widened(detail: Mapping[str, Any], before: frozenset[str] | None, locator: str) -> tuple[float, list[str]] | None:
    """How much wider a policy lets in, and whom; None if it lets in nobody new."""
    if "is_policy_known" not in detail:
        return 0.6, ["the event does not hold the policy, so whom it lets in cannot be told"]
    if not detail["is_policy_known"]:
        return 0.6, ["the policy is not in the event, or is no JSON: whom it lets in cannot be told"]
    now = frozenset(detail.get("principals") or ())
    if detail.get("is_public"):
        return 1.35, ["it lets everybody in, without a condition"]
    new = sorted(now - before) if before is not None else sorted(now)
    owner = locator.split(":")[4] if locator.count(":") >= 5 else ""
    others = [one for one in new if _account(one) not in (None, owner)]
    if others:
        return 1.2, [f"it lets in {len(others)} of other accounts: {_listed(others)}"]
    if before is None:
        return (0.6, [f"it lets in {_listed(new)}; what it let in before is not in the log"]) if new else None
    return (1.0, [f"it lets in {len(new)} more: {_listed(new)}"]) if new else None


def _grant(grantee: str | None, detail: Mapping[str, Any], locator: str) -> tuple[float, list[str]]:
    allowed = ", ".join(detail.get("operations") or ()) or "operations that the event does not name"
    who = grantee or "somebody whom the event does not name"
    owner = locator.split(":")[4] if locator.count(":") >= 5 else ""
    is_other = grantee is not None and _account(grantee) not in (None, owner)
    return 1.3 if is_other else 1.0, [f"{who} may now {allowed}"] + ["that is another account"] * is_other


def _facts(operation: str, detail: Mapping[str, Any]) -> list[str]:
    told = []
    if "pending_window_days" in detail:
        told.append(f"it will be destroyed in {detail['pending_window_days']} days")
    elif operation == "ScheduleKeyDeletion":
        told.append("it will be destroyed after the default of 30 days")
    if detail.get("is_forced"):
        told.append("without any time to recover it")
    if detail.get("left_out"):
        told.append(f"left out: {_listed(detail['left_out'])}")
    if detail.get("switched_off"):
        told.append(f"switched off: {_listed(detail['switched_off'])}")
    if detail.get("expires"):
        told.append(f"the material expires at {detail['expires']}")
    return told


def _account(principal: str) -> str | None:
    found = _ACCOUNT.match(principal)
    return found[1] if found else None


def _role(principal: str) -> str:
    """A role for its session, since services give each grant to a session of its own."""
    found = _SESSION.fullmatch(principal)
    return f"arn:{found[1]}:iam::{found[2]}:role/{found[3]}" if found else principal


def _who(principal: Any) -> str:
    return "somebody unknown" if pd.isna(principal) else str(principal)


def _listed(names: Collection[str]) -> str:
    some = list(names)[:5]
    return ", ".join(some) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
