"""The rows: frozen facts that collectors yield and every table is made of.

Unknown is None, never "" or 0. Times are aware UTC. No row has a field for key material, a PIN or a secret value.
What each column means, its dtype and its unit stand in `toolkit.tables`.

>>> Gap(collector="keyfiles", target="file:///etc", locator="file:///etc/a.pem", scope=GapScope.OBJECT,
...     status=GapStatus.MALFORMED, reason="not a certificate").advice is None
True
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from toolkit.terms import (
    AccessFunction,
    AccessVia,
    Binding,
    CredentialKind,
    GapScope,
    GapStatus,
    KeyFunction,
    KeyManager,
    KeyPurpose,
    KeyState,
    KeyType,
    Liveness,
    Origin,
    PackStatus,
    PrincipalKind,
    Protection,
    ReadingStatus,
    RelationKind,
    Severity,
    Topic,
    Verb,
    Verdict,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cheap, picklable unit of work: a folder, a repository, a token.

    `locator` names it in every row and from run to run, so it must be stable; `options` is what the collector
    needs to find it again, never a credential.
    """

    collector: str
    locator: str
    label: str | None = None
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A sighting of a key at one place, by one collector, in one run."""

    key_uid: str
    collector: str
    target: str
    locator: str
    key_type: KeyType
    label: str | None = None
    format: str | None = None
    algorithm: str | None = None
    parameter: str | None = None
    size_bits: int | None = None
    spki_sha256: str | None = None
    state: KeyState | None = None
    native_state: str | None = None
    functions: tuple[KeyFunction, ...] | None = None
    purpose: KeyPurpose | None = None
    protected: bool | None = None
    protection: Protection | None = None
    extractable: bool | None = None
    sensitive: bool | None = None
    never_extractable: bool | None = None
    always_sensitive: bool | None = None
    needs_login: bool | None = None
    shares_id: bool | None = None
    is_orphan: bool | None = None
    origin: Origin | None = None
    file_mode: str | None = None
    is_exposed: bool | None = None
    account: str | None = None
    region: str | None = None
    manager: KeyManager | None = None
    aliases: tuple[str, ...] | None = None
    replicas: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    access_flags: tuple[str, ...] | None = None
    owner: str | None = None
    application: str | None = None
    environment: str | None = None
    data_class: str | None = None
    has_rotation: bool | None = None
    rotation_period_days: int | None = None
    next_rotation_at: datetime | None = None
    destruction_at: datetime | None = None
    created_at: datetime | None = None
    activated_at: datetime | None = None
    expires_at: datetime | None = None
    last_rotated_at: datetime | None = None
    last_used_at: datetime | None = None
    modified_at: datetime | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    is_current: bool | None = None
    reasons: tuple[str, ...] | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Binds a public key to names and dates (X.509: RFC 5280; OpenSSH: PROTOCOL.certkeys)."""

    certificate_uid: str
    key_uid: str
    collector: str
    target: str
    locator: str
    label: str | None = None
    format: str | None = None
    subject: str | None = None
    issuer: str | None = None
    serial_number: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    signature_algorithm: str | None = None
    signature_hash: str | None = None
    is_ca: bool | None = None
    is_self_signed: bool | None = None
    is_trust_anchor: bool | None = None
    is_orphan: bool | None = None
    names: tuple[str, ...] | None = None
    key_usage: tuple[str, ...] | None = None
    extended_key_usage: tuple[str, ...] | None = None
    subject_key_id: str | None = None
    authority_key_id: str | None = None
    account: str | None = None
    region: str | None = None
    native_state: str | None = None
    validation: str | None = None
    has_renewal: bool | None = None
    renewal_state: str | None = None
    has_transparency: bool | None = None
    revoked_at: datetime | None = None
    tags: tuple[str, ...] | None = None
    owner: str | None = None
    application: str | None = None
    environment: str | None = None
    data_class: str | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None
    is_current: bool | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A managed secret, access key or login, by its keeper; one found in the open is a `Secret`. Never its value."""

    credential_uid: str
    collector: str
    target: str
    locator: str
    kind: CredentialKind
    label: str | None = None
    holder: str | None = None
    key_uid: str | None = None
    encrypted_by: str | None = None
    account: str | None = None
    region: str | None = None
    manager: KeyManager | None = None
    native_state: str | None = None
    is_active: bool | None = None
    has_mfa: bool | None = None
    tags: tuple[str, ...] | None = None
    access_flags: tuple[str, ...] | None = None
    owner: str | None = None
    application: str | None = None
    environment: str | None = None
    data_class: str | None = None
    replicas: tuple[str, ...] | None = None
    versions: int | None = None
    has_rotation: bool | None = None
    rotation_period_days: int | None = None
    next_rotation_at: datetime | None = None
    destruction_at: datetime | None = None
    created_at: datetime | None = None
    last_rotated_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_service: str | None = None
    expires_at: datetime | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A principal that may do something with a key or a credential, and what lets it."""

    subject_uid: str
    collector: str
    target: str
    locator: str
    principal: str
    principal_kind: PrincipalKind
    function: AccessFunction
    via: AccessVia
    source: str | None = None
    actions: tuple[str, ...] | None = None
    conditions: tuple[str, ...] | None = None
    is_cross_account: bool | None = None
    is_public: bool | None = None
    is_wildcard: bool | None = None
    needs_mfa: bool | None = None
    is_certain: bool | None = None
    granted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """How a key, certificate or credential bears on another thing: what it protects, what it serves."""

    subject_uid: str
    collector: str
    target: str
    locator: str
    kind: RelationKind
    object: str
    object_kind: str | None = None
    account: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What keeps keys and says so of itself: a PKCS#11 token, its slot and its module."""

    token_uid: str
    collector: str
    target: str
    locator: str
    label: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    hardware_version: str | None = None
    firmware_version: str | None = None
    slot: str | None = None
    slot_description: str | None = None
    module: str | None = None
    module_description: str | None = None
    module_version: str | None = None
    cryptoki_version: str | None = None
    is_hardware: bool | None = None
    is_fips: bool | None = None
    fips_reason: str | None = None
    needs_login: bool | None = None
    is_write_protected: bool | None = None
    flags: tuple[str, ...] | None = None
    sessions: int | None = None
    max_sessions: int | None = None
    mechanisms: tuple[str, ...] | None = None
    keys: int | None = None
    certificates: int | None = None
    data_objects: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A hard-coded credential: which kind, where, since when. Never the value."""

    secret_uid: str
    collector: str
    target: str
    locator: str
    rule: str
    title: str
    severity: Severity
    preview: str
    gives: str | None = None
    documented: str | None = None
    facts: tuple[str, ...] | None = None
    key_uid: str | None = None
    credential_uid: str | None = None
    path: str | None = None
    line: int | None = None
    column: int | None = None
    end_column: int | None = None
    wrapped: tuple[str, ...] | None = None
    first_commit: str | None = None
    first_author: str | None = None
    first_subject: str | None = None
    first_seen_at: datetime | None = None
    last_commit: str | None = None
    last_seen_at: datetime | None = None
    is_current: bool | None = None
    occurrences: int | None = None
    paths: tuple[str, ...] | None = None
    commits: int | None = None
    confidence: float | None = None
    reasons: tuple[str, ...] | None = None
    liveness: Liveness | None = None
    checked_at: datetime | None = None
    suppression: str | None = None
    suppressed_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """An event: who did what with which key, when, from where, with what result."""

    key_uid: str
    collector: str
    target: str
    locator: str
    principal: str | None = None
    operation: str | None = None
    source: str | None = None
    result: str | None = None
    occurred_at: datetime | None = None
    account: str | None = None
    region: str | None = None
    service: str | None = None
    agent: str | None = None
    event_id: str | None = None
    session: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What could not be seen, and why. A failed read is this row, never a missing one."""

    collector: str
    target: str
    locator: str
    scope: GapScope
    status: GapStatus
    reason: str
    field: str | None = None
    code: str | None = None
    permission: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the reading of one target went. The runner writes it; collectors never do."""

    collector: str
    target: str
    status: ReadingStatus
    rows: int
    gaps: int
    seconds: float
    started_at: datetime
    run_id: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rule says of one subject, with the values it saw."""

    subject: str
    subject_uid: str
    locator: str | None
    pack: str
    rule: str
    clause: str
    verdict: Verdict
    severity: Severity
    says: str
    remediation: str | None
    verb: Verb | None
    topic: Topic
    evidence: str | None
    cwe: str | None
    attack: str | None
    scope: str | None
    edition: str
    url: str
    status: PackStatus
    binding: Binding
    mark: str
    is_draft: bool
    saw: str
    missing: tuple[str, ...]
    excepted: str | None


Row = Key | Certificate | Token | Credential | Secret | Access | Relation | Usage | Gap
"""What `Collector.collect` may yield."""
