"""What people put their name to, as the store keeps it.

Refuses to: believe a signature; `toolkit.signing` checks them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Record:
    """What people put their name to: a document by its digest, and who signed it. The store believes nobody."""

    record_id: str
    kind: str
    document: str
    kept_at: datetime
    signatures: tuple[tuple[str, str], ...] = ()
