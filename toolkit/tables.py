"""Rows to tables and back: the one place that knows the dtype, unit and meaning of every column.

A table is a pandas DataFrame with the columns of one row class, in order: Arrow-backed strings and lists, nullable
integers and booleans, categoricals over the closed vocabularies, aware UTC timestamps in microseconds. An empty
table has the same columns and dtypes. Tables go through Parquet without loss.

Refuses to: guess a type, drop a column it does not know, or hold anything that `toolkit.model` has no field for.

>>> frame = to_frame("gaps", [])
>>> str(frame["status"].dtype), len(frame)
('category', 0)
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit import model, terms
from toolkit.errors import StoreError

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
    def arrow(self) -> pa.DataType:
        """The Arrow type in a Parquet file; a vocabulary is dictionary-encoded text."""
        return pa.dictionary(pa.int8(), pa.string()) if isinstance(self.kind, type) else self.kind

    @property
    def dtype(self) -> ExtensionDtype:
        """The pandas dtype."""
        if isinstance(self.kind, EnumType):
            return pd.CategoricalDtype([member.value for member in self.kind], ordered=True)
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
        Column("protected", FLAG, "Whether the material there is sealed (passphrase, token, module)"),
        Column("protection", terms.Protection, "What seals it"),
        Column("extractable", FLAG, "Whether the material can leave the place (PKCS#11 CKA_EXTRACTABLE)"),
        Column("sensitive", FLAG, "Whether the keeper refuses to show it in clear (PKCS#11 CKA_SENSITIVE)"),
        Column("origin", terms.Origin, "Where the material came into being"),
        Column("file_mode", TEXT, "Permission bits of the file", "octal"),
        Column("is_exposed", FLAG, "Whether others than its owner can read the material there"),
        Column("owner", TEXT, "Who owns it, as its keeper says"),
        Column("application", TEXT, "What it serves"),
        Column("environment", TEXT, "Production, test and so on"),
        Column("data_class", TEXT, "Class of the data it protects"),
        Column("created_at", TIME, "When the material was generated, if its keeper records it"),
        Column("activated_at", TIME, "When its use began or may begin"),
        Column("expires_at", TIME, "When its use must end, as its keeper records it"),
        Column("last_rotated_at", TIME, "When the material was last replaced under the same name"),
        Column("last_used_at", TIME, "When its keeper last saw it used"),
        Column("modified_at", TIME, "When the file was last written; not the age of the key"),
        *_SEEN,
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
        Column("names", TEXTS, "Subject alternative names, or OpenSSH principals"),
        Column("key_usage", TEXTS, "X.509 key usage"),
        Column("extended_key_usage", TEXTS, "X.509 extended key usage"),
        Column("subject_key_id", TEXT, "Subject key identifier; never an identity", "hex"),
        Column("authority_key_id", TEXT, "Authority key identifier", "hex"),
        *_SEEN,
    ),
    "secrets": (
        Column("secret_uid", TEXT, "Keyed fingerprint of the value; comparable inside one workspace only"),
        *_PLACE,
        Column("rule", TEXT, "The pattern that found it"),
        Column("title", TEXT, "What kind of credential it is"),
        Column("severity", terms.Severity, "How much such a credential gives away"),
        Column("preview", TEXT, "A vendor's public prefix and a length; never the value"),
        Column("key_uid", TEXT, "The key it is, if it is one"),
        Column("path", TEXT, "File in the repository or folder"),
        Column("line", INT, "Line, from 1"),
        Column("column", INT, "Column in bytes, from 1"),
        Column("first_commit", TEXT, "The commit that brought it", "hex"),
        Column("first_author", TEXT, "Author of that commit"),
        Column("first_seen_at", TIME, "Author time of that commit"),
        Column("last_commit", TEXT, "The last commit that held it", "hex"),
        Column("last_seen_at", TIME, "Time of that commit"),
        Column("is_current", FLAG, "Whether HEAD or the work tree holds it now"),
        Column("occurrences", INT, "Places folded into this row", "places"),
        Column("confidence", REAL, "How sure the finding is", "0 to 1"),
        Column("reasons", TEXTS, "What raised or lowered the confidence"),
    ),
    "usages": (
        Column("key_uid", TEXT, "The key that was used"),
        *_PLACE,
        Column("principal", TEXT, "Who used it"),
        Column("operation", TEXT, "What was done"),
        Column("source", TEXT, "From where"),
        Column("result", TEXT, "How it ended"),
        Column("occurred_at", TIME, "When"),
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
        Column("subject", TEXT, "What is judged: key, certificate or secret"),
        Column("subject_uid", TEXT, "Which one"),
        Column("locator", TEXT, "Its place; the weakest of several"),
        Column("pack", TEXT, "Policy pack"),
        Column("rule", TEXT, "Rule of the pack"),
        Column("clause", TEXT, "Document, edition and clause"),
        Column("verdict", terms.Verdict, "What the rule says of it"),
        Column("severity", terms.Severity, "How much a failure matters"),
        Column("says", TEXT, "The rule in our words"),
        Column("remediation", TEXT, "What to do"),
        Column("mark", TEXT, "How the clause was checked: P primary, S secondary, K from knowledge"),
        Column("is_draft", FLAG, "The clause is a draft's"),
        Column("saw", TEXT, "The values the rule saw", "JSON"),
        Column("missing", TEXTS, "The fields that were unknown"),
    ),
}

ROW_TABLES: Final[dict[type, str]] = {
    model.Key: "keys",
    model.Certificate: "certificates",
    model.Secret: "secrets",
    model.Usage: "usages",
    model.Gap: "gaps",
    model.Reading: "readings",
    model.Finding: "findings",
}
RUN_TABLES: Final = ("keys", "certificates", "secrets", "usages", "gaps", "readings")
_ROWS: Final = {table: row for row, table in ROW_TABLES.items()}


def schema(table: str) -> pa.Schema:
    """The Arrow schema of a table, as it stands in a Parquet file."""
    return pa.schema([(column.name, column.arrow) for column in COLUMNS[table]])


class Builder:
    """Gathers rows into Arrow chunks, so that a million rows never lie about as a million objects."""

    __slots__ = ("_chunks", "_flush_at", "_rows")

    def __init__(self, flush_at: int = 20_000) -> None:
        self._rows: dict[str, list[Any]] = {table: [] for table in COLUMNS}
        self._chunks: dict[str, list[pa.Table]] = {table: [] for table in COLUMNS}
        self._flush_at = flush_at

    def add(self, row: model.Row | model.Reading) -> None:
        """Take a row.

        Raises:
            KeyError: the row is of no known class.
        """
        table = ROW_TABLES[type(row)]
        rows = self._rows[table]
        rows.append(row)
        if len(rows) >= self._flush_at:
            self._flush(table)

    def extend(self, other: Builder) -> None:
        """Take all that another builder holds, leaving it empty."""
        for table in COLUMNS:
            other._flush(table)
            self._chunks[table] += other._chunks[table]
            other._chunks[table] = []

    def arrow(self, table: str) -> pa.Table:
        """The table so far."""
        self._flush(table)
        chunks = self._chunks[table]
        return pa.concat_tables(chunks) if chunks else schema(table).empty_table()

    def _flush(self, table: str) -> None:
        rows = self._rows[table]
        if rows:
            self._chunks[table].append(_to_arrow(table, rows))
            self._rows[table] = []


def to_arrow(table: str, rows: Iterable[object]) -> pa.Table:
    """Rows of one class as an Arrow table."""
    return _to_arrow(table, list(rows))


def _to_arrow(table: str, rows: list[Any]) -> pa.Table:
    arrays = [
        pa.array([getattr(row, column.name) for row in rows], TEXT).dictionary_encode()
        if isinstance(column.kind, type)
        else pa.array([getattr(row, column.name) for row in rows], column.kind)
        for column in COLUMNS[table]
    ]
    names = [column.name for column in COLUMNS[table]]
    # dictionary_encode gives int32 indices; the file's schema says int8, and a vocabulary is small enough.
    return pa.table(arrays, names=names).cast(schema(table))


def to_frame(table: str, rows: Iterable[object]) -> pd.DataFrame:
    """Rows of one class as a DataFrame with the table's dtypes."""
    return frame_of(table, to_arrow(table, rows))


def frame_of(table: str, data: pa.Table) -> pd.DataFrame:
    """An Arrow table as a DataFrame with the table's dtypes.

    Raises:
        StoreError: a column is missing or unknown.
    """
    columns = COLUMNS[table]
    if data.column_names != [column.name for column in columns]:
        odd = sorted({column.name for column in columns} ^ set(data.column_names))
        raise StoreError(f"table {table} has other columns than this version: {', '.join(odd)}", advice="collect again")
    data = data.cast(schema(table))  # Parquet renames a list's inner field and widens dictionary codes
    return pd.DataFrame({column.name: _series(column, data[column.name]) for column in columns})


def _series(column: Column, data: pa.ChunkedArray) -> pd.Series[Any]:
    if isinstance(column.kind, type):
        # Codes are taken over, not text: the chunks' dictionaries are tiny and the rows are many.
        data = data.unify_dictionaries().combine_chunks()
        if isinstance(data, pa.ChunkedArray):
            data = pa.concat_arrays(data.chunks) if data.num_chunks else pa.array([], column.arrow)
        known = column.dtype.categories  # type: ignore[attr-defined]  # a CategoricalDtype here
        position = known.get_indexer(data.dictionary.to_pandas())
        codes = data.indices.to_pandas()
        values = codes.map(dict(enumerate(position))).fillna(-1).astype("int8")
        return pd.Series(pd.Categorical.from_codes(values, dtype=pd.CategoricalDtype(known, ordered=True)))
    # pandas' merge fails on an Arrow column that has no chunk at all.
    data = data if data.num_chunks else pa.chunked_array([pa.array([], column.arrow)])
    mapper = None if column.kind == TIME else {column.kind: column.dtype}.get
    series: pd.Series[Any] = data.to_pandas(types_mapper=mapper)
    return series.astype(column.dtype) if column.kind == TIME else series


def arrow_of(table: str, frame: pd.DataFrame) -> pa.Table:
    """A DataFrame as an Arrow table of the table's schema."""
    arrays = [pa.array(frame[c.name], from_pandas=True) for c in COLUMNS[table]]
    return pa.table(arrays, names=[c.name for c in COLUMNS[table]]).cast(schema(table))


def rows_of(table: str, frame: pd.DataFrame) -> Iterator[Any]:
    """The rows again, as they were."""
    row_class = _ROWS[table]
    kinds = {c.name: c.kind for c in COLUMNS[table]}
    enums = {f.name: _member(kinds[f.name]) for f in fields(row_class)}
    for record in arrow_of(table, frame).to_pylist():
        yield row_class(**{name: enums[name](value) for name, value in record.items()})


def _member(kind: Any) -> Any:
    if isinstance(kind, type):
        return lambda value: None if value is None else kind(value)
    if kind == TEXTS:
        return lambda value: None if value is None else tuple(value)
    return lambda value: value


def to_parquet(table: str, data: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file (zstd)."""
    sink = io.BytesIO()
    pq.write_table(data.cast(schema(table)), sink, compression="zstd")
    return sink.getvalue()


def from_parquet(table: str, source: Path | bytes) -> pd.DataFrame:
    """The DataFrame in a Parquet file.

    Raises:
        StoreError: it is no Parquet file, or has other columns.
    """
    try:
        data = pq.read_table(io.BytesIO(source) if isinstance(source, bytes) else source)
    except (pa.ArrowInvalid, OSError) as failure:
        raise StoreError(f"no Parquet table: {table}", advice="restore the file from a backup") from failure
    return frame_of(table, data)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The tables of one or several runs, as DataFrames.

    `runs` maps each run id to the digest of its manifest, so that what is said of the inventory can be retraced;
    it is empty for an inventory that was never stored.
    """

    keys: pd.DataFrame
    certificates: pd.DataFrame
    secrets: pd.DataFrame
    usages: pd.DataFrame
    gaps: pd.DataFrame
    readings: pd.DataFrame
    runs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, builder: Builder, runs: dict[str, str] | None = None) -> Inventory:
        """The inventory that a builder holds."""
        return cls(**{table: frame_of(table, builder.arrow(table)) for table in RUN_TABLES}, runs=runs or {})

    def table(self, name: str) -> pd.DataFrame:
        """One of the tables by its name."""
        frame: pd.DataFrame = getattr(self, name)
        return frame

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.table(name)):,} {name}" for name in RUN_TABLES)
        return f"<Inventory: {counts}>"


def reference() -> str:
    """The column reference as Markdown, for `toolkit/COLUMNS.md`."""
    lines = ["# Columns", "", "Made by `python -m toolkit.tables`; do not edit.", ""]
    for table, columns in COLUMNS.items():
        lines += [f"## {table}", "", (_ROWS[table].__doc__ or "").split("\n")[0], ""]
        lines += ["| column | dtype | unit | meaning |", "|---|---|---|---|"]
        lines += [f"| `{c.name}` | {_dtype_words(c)} | {c.unit} | {c.says} |" for c in columns]
        lines.append("")
    return "\n".join(lines)


def _dtype_words(column: Column) -> str:
    if isinstance(column.kind, EnumType):
        return "category: " + ", ".join(f"`{member.value}`" for member in column.kind)
    return f"`{column.dtype}`"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201  # a command's output
