"""The schema: every column of every table, its kind, its unit and what it means in a sentence.

Refuses to: know how a table is made or stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import EnumType
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from toolkit import model, terms

if TYPE_CHECKING:
    from pandas.api.extensions import ExtensionDtype

TEXT: Final = pa.string()
INT: Final = pa.int64()
REAL: Final = pa.float64()
FLAG: Final = pa.bool_()
TIME: Final = pa.timestamp("us", tz="UTC")
TEXTS: Final = pa.list_(pa.string())


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its meaning in a sentence and its unit, and its `kind`: an Arrow type, or a `StrEnum` it is one of."""

    name: str
    kind: Any
    says: str
    unit: str = ""

    @property
    def words(self) -> list[str]:
        """The vocabulary of a categorical column, in its order."""
        members: list[Any] = list(self.kind)
        return [member.value for member in members]

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type in a Parquet file; a vocabulary is dictionary-encoded text."""
        return pa.dictionary(pa.int8(), pa.string()) if isinstance(self.kind, type) else self.kind

    @property
    def dtype(self) -> ExtensionDtype:
        """The pandas dtype."""
        if isinstance(self.kind, EnumType):
            return pd.CategoricalDtype(self.words, ordered=True)
        return _PANDAS[self.kind]


_PANDAS: Final[dict[pa.DataType, ExtensionDtype]] = {
    TEXT: pd.StringDtype("pyarrow"),
    INT: pd.Int64Dtype(),
    REAL: pd.Float64Dtype(),
    FLAG: pd.BooleanDtype(),
    TIME: pd.DatetimeTZDtype("us", "UTC"),
    TEXTS: pd.ArrowDtype(TEXTS),
}

_PLACE: Final = (
    Column("collector", TEXT, "The collector that saw it"),
    Column("target", TEXT, "The unit of work it was read from, as a URI"),
    Column("locator", TEXT, "The place, as a URI; the same from run to run"),
)
_SEEN: Final = (
    Column("first_seen_at", TIME, "Since when it has been there (a repository's first commit that has it)"),
    Column("last_seen_at", TIME, "Until when it was there"),
    Column("is_current", FLAG, "Whether it is there now; False: only in the history"),
)
_WHERE: Final = (
    Column("account", TEXT, "The provider's account it is in"),
    Column("region", TEXT, "The provider's region it is in"),
)
_WHOSE: Final = (
    Column("owner", TEXT, "Who owns it, as its keeper says"),
    Column("application", TEXT, "What it serves"),
    Column("environment", TEXT, "Production, test and so on"),
    Column("data_class", TEXT, "Class of the data it protects"),
)
_ROTATION: Final = (
    Column("has_rotation", FLAG, "Whether its keeper rotates it by itself"),
    Column("rotation_period_days", INT, "How often", "days"),
    Column("next_rotation_at", TIME, "When it will be rotated next"),
)

COLUMNS: Final[dict[str, tuple[Column, ...]]] = {
    "keys": (
        Column("key_uid", TEXT, "Which key it is; one uid however and wherever the key is written down"),
        *_PLACE,
        Column("key_type", terms.KeyType, "Which half or kind of key lies there (CycloneDX 1.7)"),
        Column("label", TEXT, "The keeper's own name for it"),
        Column("format", TEXT, "How it is written down"),
        Column("algorithm", TEXT, "Canonical algorithm name"),
        Column("parameter", TEXT, "Curve or parameter set"),
        Column("size_bits", INT, "Nominal size of the key", "bits"),
        Column(
            "spki_sha256", TEXT, "SHA-256 of the SubjectPublicKeyInfo as found, before canonical re-encoding", "hex"
        ),
        Column("state", terms.KeyState, "Key state (SP 800-57 part 1 r5, section 7)"),
        Column("native_state", TEXT, "The keeper's own word for the state"),
        Column("functions", TEXTS, "What the keeper lets it do (PKCS#11 usage attributes, KMIP usage mask)"),
        Column("purpose", terms.KeyPurpose, "Key type by use (SP 800-57 part 1 r5, 5.1.1)"),
        Column("protected", FLAG, "Whether the material there is sealed (passphrase, token, module)"),
        Column("protection", terms.Protection, "What seals it"),
        Column("extractable", FLAG, "Whether the material can leave the place (PKCS#11 CKA_EXTRACTABLE)"),
        Column("sensitive", FLAG, "Whether the keeper refuses to show it in clear (PKCS#11 CKA_SENSITIVE)"),
        Column("never_extractable", FLAG, "Whether it could never leave (PKCS#11 CKA_NEVER_EXTRACTABLE)"),
        Column("always_sensitive", FLAG, "Whether it was never shown in clear (PKCS#11 CKA_ALWAYS_SENSITIVE)"),
        Column("needs_login", FLAG, "Whether its keeper shows it only after a login (PKCS#11 CKA_PRIVATE)"),
        Column("shares_id", FLAG, "Whether another of its kind there bears the same identifier (PKCS#11 CKA_ID)"),
        Column("is_orphan", FLAG, "Of a public key on a token: whether its private half is not there"),
        Column("origin", terms.Origin, "Where the material came into being"),
        Column("file_mode", TEXT, "Permission bits of the file", "octal"),
        Column("is_exposed", FLAG, "Whether others than its owner can read the material there"),
        *_WHERE,
        Column("manager", terms.KeyManager, "Who decides over it: the customer, or the provider on its own"),
        Column("aliases", TEXTS, "Further names its keeper knows it by"),
        Column("replicas", TEXTS, "Where else its keeper holds the same material"),
        Column("tags", TEXTS, "Its keeper's tags, name=value"),
        Column("access_flags", TEXTS, "What is wrong with who may use it; empty: nothing seen; unknown: not read"),
        *_WHOSE,
        *_ROTATION,
        Column("destruction_at", TIME, "When its keeper will destroy it, if that is scheduled"),
        Column("created_at", TIME, "When the material was generated, if its keeper records it"),
        Column("activated_at", TIME, "When its use began or may begin"),
        Column("expires_at", TIME, "When its use must end, as its keeper records it"),
        Column("last_rotated_at", TIME, "When the material was last replaced under the same name"),
        Column("last_used_at", TIME, "When its keeper last saw it used"),
        Column("modified_at", TIME, "When the file was last written; not the age of the key"),
        *_SEEN,
        Column("reasons", TEXTS, "What identity, purpose and state were told from"),
        Column("detail", TEXT, "The keeper's remaining facts", "JSON"),
    ),
    "certificates": (
        Column("certificate_uid", TEXT, "SHA-256 fingerprint of the certificate"),
        Column("key_uid", TEXT, "The public key it binds"),
        *_PLACE,
        Column("label", TEXT, "The keeper's own name for it"),
        Column("format", TEXT, "X.509 or OpenSSH"),
        Column("subject", TEXT, "Subject name (RFC 4514), or OpenSSH key id"),
        Column("issuer", TEXT, "Issuer name (RFC 4514)"),
        Column("serial_number", TEXT, "Serial number", "hex"),
        Column("not_before", TIME, "Start of validity"),
        Column("not_after", TIME, "End of validity"),
        Column("signature_algorithm", TEXT, "Algorithm the issuer signed with"),
        Column("signature_hash", TEXT, "Hash the issuer signed with"),
        Column("is_ca", FLAG, "Basic constraints say CA"),
        Column("is_self_signed", FLAG, "Issuer and subject are the same"),
        Column("is_trust_anchor", FLAG, "It lies in a trust store"),
        Column("is_orphan", FLAG, "On a token: whether the private key it certifies is not there"),
        Column("names", TEXTS, "Subject alternative names, or OpenSSH principals"),
        Column("key_usage", TEXTS, "X.509 key usage"),
        Column("extended_key_usage", TEXTS, "X.509 extended key usage"),
        Column("subject_key_id", TEXT, "Subject key identifier; never an identity", "hex"),
        Column("authority_key_id", TEXT, "Authority key identifier", "hex"),
        *_WHERE,
        Column("native_state", TEXT, "The keeper's own word for its state"),
        Column("validation", TEXT, "How the authority checks control of its names, in the keeper's word"),
        Column("has_renewal", FLAG, "Whether its keeper renews it by itself"),
        Column("renewal_state", TEXT, "How the last renewal stands, in the keeper's word"),
        Column("has_transparency", FLAG, "Whether it is logged for certificate transparency"),
        Column("revoked_at", TIME, "When it was revoked"),
        Column("tags", TEXTS, "Its keeper's tags, name=value"),
        *_WHOSE,
        *_SEEN,
        Column("detail", TEXT, "The keeper's remaining facts", "JSON"),
    ),
    "tokens": (
        Column("token_uid", TEXT, "Which token it is, from its own names (RFC 7512)"),
        *_PLACE,
        Column("label", TEXT, "Its label"),
        Column("manufacturer", TEXT, "Who made it"),
        Column("model", TEXT, "Model"),
        Column("serial_number", TEXT, "Serial number, as the token writes it"),
        Column("hardware_version", TEXT, "Hardware version"),
        Column("firmware_version", TEXT, "Firmware version"),
        Column("slot", TEXT, "Slot number; may differ from run to run"),
        Column("slot_description", TEXT, "What the slot says of itself"),
        Column("module", TEXT, "The PKCS#11 library it was read through"),
        Column("module_description", TEXT, "What the library says of itself"),
        Column("module_version", TEXT, "Version of the library"),
        Column("cryptoki_version", TEXT, "PKCS#11 version it speaks"),
        Column("is_hardware", FLAG, "Whether it is a hardware device (CKF_HW_SLOT, known software apart)"),
        Column("is_fips", FLAG, "Whether it says that it is a FIPS 140 module; a claim, the CMVP list proves it"),
        Column("fips_reason", TEXT, "What that was told from"),
        Column("needs_login", FLAG, "Whether private objects need a login (CKF_LOGIN_REQUIRED)"),
        Column("is_write_protected", FLAG, "Whether it is write protected (CKF_WRITE_PROTECTED)"),
        Column("flags", TEXTS, "All its flags by name (CKF_…), those of the PINs among them"),
        Column("sessions", INT, "Sessions open at the reading, ours not counted"),
        Column("max_sessions", INT, "Most sessions at a time; unknown: no limit, or not told"),
        Column("mechanisms", TEXTS, "Mechanisms it offers (CKM_…); by number where no list has a name"),
        Column("keys", INT, "Key objects that were seen", "rows"),
        Column("certificates", INT, "Certificate objects that were seen", "rows"),
        Column("data_objects", INT, "Data objects that were seen; their values are never read", "rows"),
        Column("detail", TEXT, "Other objects, by class", "JSON"),
    ),
    "credentials": (
        Column("credential_uid", TEXT, "Which credential it is, by its keeper's own name for it"),
        *_PLACE,
        Column("kind", terms.CredentialKind, "What kind of credential it is"),
        Column("label", TEXT, "The keeper's own name for it"),
        Column("holder", TEXT, "The principal that it lets in"),
        Column("key_uid", TEXT, "The public key it is, if it is one"),
        Column("encrypted_by", TEXT, "The key that its keeper encrypts it under, as that key's uid"),
        *_WHERE,
        Column("manager", terms.KeyManager, "Who decides over it: the customer, or the provider on its own"),
        Column("native_state", TEXT, "The keeper's own word for its state"),
        Column("is_active", FLAG, "Whether it lets in now"),
        Column("has_mfa", FLAG, "Whether its holder has a second factor"),
        Column("tags", TEXTS, "Its keeper's tags, name=value"),
        Column("access_flags", TEXTS, "What is wrong with who may use it; empty: nothing seen; unknown: not read"),
        *_WHOSE,
        Column("replicas", TEXTS, "Where else its keeper holds it"),
        Column("versions", INT, "Versions that its keeper holds", "rows"),
        *_ROTATION,
        Column("destruction_at", TIME, "When its keeper will destroy it, if that is scheduled"),
        Column("created_at", TIME, "When it was made"),
        Column("last_rotated_at", TIME, "When its value was last replaced"),
        Column("last_used_at", TIME, "When its keeper last saw it used"),
        Column("last_used_service", TEXT, "The service it was last used with"),
        Column("expires_at", TIME, "When it ends by itself"),
        Column("detail", TEXT, "The keeper's remaining facts", "JSON"),
    ),
    "secrets": (
        Column("secret_uid", TEXT, "Keyed fingerprint of the value; comparable inside one workspace only"),
        *_PLACE,
        Column("rule", TEXT, "The pattern that found it"),
        Column("title", TEXT, "What kind of credential it is"),
        Column("severity", terms.Severity, "How much such a credential gives away"),
        Column("preview", TEXT, "A vendor's public prefix and a length; never the value"),
        Column("gives", TEXT, "What whoever has it can do"),
        Column("documented", TEXT, "The page that describes its format", "URL"),
        Column("facts", TEXTS, "What it says of itself that is no secret: account, host, user, issuer, expiry"),
        Column("key_uid", TEXT, "The key it is, if it is one"),
        Column("credential_uid", TEXT, "The keeper's own credential, if it names itself: an AWS access key"),
        Column("path", TEXT, "File in the repository or folder, the first that had it"),
        Column("line", INT, "Line, from 1"),
        Column("column", INT, "Column in characters, from 1"),
        Column("end_column", INT, "Column behind its last character, if it is on one line"),
        Column("wrapped", TEXTS, "What it was unwrapped from, outermost first"),
        Column("first_commit", TEXT, "The commit that brought it", "hex"),
        Column("first_author", TEXT, "Author of that commit"),
        Column("first_subject", TEXT, "Subject of that commit"),
        Column("first_seen_at", TIME, "Time of that commit"),
        Column("last_commit", TEXT, "The last commit that held it", "hex"),
        Column("last_seen_at", TIME, "Time of that commit"),
        Column("is_current", FLAG, "Whether HEAD or the work tree holds it now"),
        Column("occurrences", INT, "Places folded into this row", "places"),
        Column("paths", TEXTS, "All files that have or had it"),
        Column("commits", INT, "Commits that brought it, here or there", "commits"),
        Column("confidence", REAL, "How sure the finding is", "0 to 1"),
        Column("reasons", TEXTS, "What raised or lowered the confidence"),
        Column("liveness", terms.Liveness, "Whether its service still took it when it was asked"),
        Column("checked_at", TIME, "When it was asked"),
        Column("suppression", TEXT, "Why somebody wants it passed over"),
        Column("suppressed_until", TIME, "Until when it is passed over"),
    ),
    "access": (
        Column("subject_uid", TEXT, "The key or credential that it is about"),
        *_PLACE,
        Column("principal", TEXT, "Who may, in the provider's own form"),
        Column("principal_kind", terms.PrincipalKind, "What the principal is"),
        Column("function", terms.AccessFunction, "What it may do, by groups that separation of duties keeps apart"),
        Column("via", terms.AccessVia, "What gives it that"),
        Column("source", TEXT, "The policy, statement or grant that says so"),
        Column("actions", TEXTS, "The provider's own actions"),
        Column("conditions", TEXTS, "Under which conditions, as the policy says them"),
        Column("is_cross_account", FLAG, "Whether it belongs to another account than the key"),
        Column("is_public", FLAG, "Whether anybody is meant, and no condition narrows that"),
        Column("is_wildcard", FLAG, "Whether the principal is named by a wildcard"),
        Column("needs_mfa", FLAG, "Whether a condition asks for a second factor"),
        Column("is_certain", FLAG, "Whether the policies seen decide it; False: others may add or take away"),
        Column("granted_at", TIME, "Since when, where the source tells"),
    ),
    "relations": (
        Column("subject_uid", TEXT, "The key, certificate or credential"),
        *_PLACE,
        Column("kind", terms.RelationKind, "How it bears on the other thing"),
        Column("object", TEXT, "The other thing, as its keeper names it"),
        Column("object_kind", TEXT, "What the other thing is"),
        *_WHERE,
    ),
    "usages": (
        Column("key_uid", TEXT, "The key that was used"),
        *_PLACE,
        Column("principal", TEXT, "Who used it"),
        Column("operation", TEXT, "What was done"),
        Column("source", TEXT, "From where"),
        Column("result", TEXT, "How it ended"),
        Column("occurred_at", TIME, "When"),
        *_WHERE,
        Column("service", TEXT, "The service that asked for it on behalf of the principal"),
        Column("agent", TEXT, "The program that asked, as it calls itself"),
        Column("event_id", TEXT, "The event's own id"),
        Column("session", TEXT, "The principal's session, as whoever opened it named it"),
        Column("detail", TEXT, "What was changed, in names and numbers", "JSON"),
    ),
    "gaps": (
        *_PLACE,
        Column("scope", terms.GapScope, "How much of the picture is missing"),
        Column("status", terms.GapStatus, "Why it could not be seen"),
        Column("reason", TEXT, "What happened, in a sentence"),
        Column("field", TEXT, "The field that is unknown, if it is one field"),
        Column("code", TEXT, "The source's own error code"),
        Column("permission", TEXT, "The permission that would cure it"),
        Column("advice", TEXT, "What to do to see it"),
    ),
    "readings": (
        Column("collector", TEXT, "The collector"),
        Column("target", TEXT, "The unit of work, as a URI"),
        Column("status", terms.ReadingStatus, "How the reading ended; only `read` lets a missing key count as gone"),
        Column("rows", INT, "Rows it gave", "rows"),
        Column("gaps", INT, "Gaps among them", "rows"),
        Column("seconds", REAL, "How long it took", "seconds"),
        Column("started_at", TIME, "When it began"),
        Column("run_id", TEXT, "The run it belongs to"),
        Column("label", TEXT, "A name for people"),
    ),
    "findings": (
        Column("subject", TEXT, "What is judged: key, certificate, token, credential, secret or the inventory"),
        Column("subject_uid", TEXT, "Which one"),
        Column("locator", TEXT, "Its place; the weakest of several"),
        Column("pack", TEXT, "Policy pack"),
        Column("rule", TEXT, "Rule of the pack"),
        Column("clause", TEXT, "Document, edition and clause"),
        Column("verdict", terms.Verdict, "What the rule says of it"),
        Column("severity", terms.Severity, "How much a failure matters"),
        Column("says", TEXT, "The rule in our words"),
        Column("remediation", TEXT, "What to do"),
        Column("verb", terms.Verb, "Which move of a key's life does it"),
        Column("topic", terms.Topic, "What the rule is about; packs that disagree do so on a topic"),
        Column("evidence", TEXT, "What it takes to show it to an auditor"),
        Column("cwe", TEXT, "The weakness (CWE)"),
        Column("attack", TEXT, "The techniques that would use it (MITRE ATT&CK)"),
        Column("scope", TEXT, "What the rule is limited to; unknown: nothing"),
        Column("edition", TEXT, "Document and edition"),
        Column("url", TEXT, "Where the document is"),
        Column("status", terms.PackStatus, "Whether the pack's document is in force"),
        Column("binding", terms.Binding, "What gives the pack its force"),
        Column("mark", TEXT, "How the clause was checked: P primary, S secondary, K from knowledge"),
        Column("is_draft", FLAG, "The clause is a draft's"),
        Column("saw", TEXT, "The values the rule saw", "JSON"),
        Column("missing", TEXTS, "The fields that were unknown"),
        Column("excepted", TEXT, "By which recorded exception the rule is broken, until when, and who approved it"),
    ),
}

ROW_TABLES: Final[dict[type, str]] = {
    model.Key: "keys",
    model.Certificate: "certificates",
    model.Token: "tokens",
    model.Credential: "credentials",
    model.Secret: "secrets",
    model.Access: "access",
    model.Relation: "relations",
    model.Usage: "usages",
    model.Gap: "gaps",
    model.Reading: "readings",
    model.Finding: "findings",
}
RUN_TABLES: Final = (
    "keys", "certificates", "tokens", "credentials", "secrets", "access", "relations", "usages", "gaps", "readings",
)  # fmt: skip
ROWS: Final = {table: row for row, table in ROW_TABLES.items()}


def reference() -> str:
    """The column reference as Markdown, for `toolkit/COLUMNS.md`."""
    lines = ["# Columns", "", "Made by `python -m toolkit.tables`; do not edit.", ""]
    for table, columns in COLUMNS.items():
        lines += [f"## {table}", "", (ROWS[table].__doc__ or "").split("\n")[0], ""]
        lines += ["| column | dtype | unit | meaning |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {_dtype_words(c)} | {c.unit} | {c.says} |" for c in columns]
        lines.append("")
    return "\n".join(lines)


def _dtype_words(column: Column) -> str:
    if isinstance(column.kind, EnumType):
        return "category: " + ", ".join(f"`{word}`" for word in column.words)
    return f"`{column.dtype}`"
