"""The data contract: a good inventory passes all of it, and each check fails for what it is there for, alone."""

from __future__ import annotations

import dataclasses
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from toolkit import comparison, quality
from toolkit.errors import ConfigError
from toolkit.model import Access, Certificate, Credential, Gap, Key, Reading, Relation, Secret, Token, Usage
from toolkit.quality import contract
from toolkit.quality.contract import Check
from toolkit.tables import COLUMNS, ROW_TABLES, RUN_TABLES, TEXT, TEXTS, Builder, Column, Inventory
from toolkit.tables.columns import FLAG, INT, REAL, TIME
from toolkit.terms import (
    AccessFunction,
    AccessVia,
    CredentialKind,
    GapScope,
    GapStatus,
    KeyFunction,
    KeyPurpose,
    KeyState,
    KeyType,
    Liveness,
    Origin,
    PrincipalKind,
    Protection,
    ReadingStatus,
    RelationKind,
    Severity,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
THEN = NOW - timedelta(days=3)
HEX = "0f" * 32
A, B = "file:///a/", "file:///b/"
TABLES = tuple(table for table in RUN_TABLES if table != "readings")
Mutation = Callable[[Inventory], Inventory]


@pytest.fixture(autouse=True, scope="module")
def offline():
    """Nothing may reach for the network, from the import of great-expectations on."""

    def refuse(*given: object) -> None:
        raise AssertionError("the network was used")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


def rows(target: str) -> dict[str, object]:
    """One row a table, of which every column is known and as it should be."""
    place = {"collector": "c", "target": target}
    seen = {"first_seen_at": THEN, "last_seen_at": NOW, "is_current": True}
    text = dict.fromkeys(("label", "format", "owner"), "x")
    key = Key(
        key_uid="spki:" + HEX, **place, locator=target + "k.pem", key_type=KeyType.PRIVATE_KEY, **text, **seen,
        algorithm="RSA", parameter="p", size_bits=2048, spki_sha256=HEX, state=KeyState.ACTIVE, native_state="Enabled",
        functions=(KeyFunction.SIGN, KeyFunction.VERIFY), protection=Protection.NONE, origin=Origin.IMPORTED,
        file_mode="0600", application="shop", environment="production", data_class="secret", detail='{"a": 1}',
        purpose=KeyPurpose.PRIVATE_SIGNATURE, reasons=("r",),
    )  # fmt: skip
    certificate = Certificate(
        certificate_uid="sha256:" + HEX, key_uid="spki:" + HEX, **place, locator=target + "c.pem", label="x",
        format="X.509", subject="CN=a", issuer="CN=b", serial_number="-1f", not_before=THEN, not_after=NOW,
        signature_algorithm="s", signature_hash="SHA256", subject_key_id=HEX, authority_key_id=HEX, **seen,
    )  # fmt: skip
    token = Token(
        token_uid="keeper:" + HEX, **place, locator="pkcs11:token=x", label="x", manufacturer="m", model="m",
        serial_number="1", hardware_version="1.0", firmware_version="1.0", slot="0", slot_description="s", module="/m",
        module_description="m", module_version="1.0", cryptoki_version="3.1", fips_reason="r", flags=("CKF_RNG",),
        sessions=0, max_sessions=9, mechanisms=("CKM_RSA_PKCS",), keys=1, certificates=1, data_objects=0,
        detail='{"CKO_PROFILE": 1}',
    )  # fmt: skip
    secret = Secret(
        secret_uid="hmac:" + HEX, **place, locator=target + "s.py#3", rule="r", title="t", severity=Severity.HIGH,
        preview="AKIA…", key_uid="hmac:" + HEX, credential_uid="keeper:" + HEX, path="s.py", line=3, column=1, first_commit=HEX, first_author="a",
        last_commit=HEX, occurrences=1, confidence=0.5, reasons=("x",), gives="g", documented="https://d.test/",
        facts=("user=u",), end_column=9, wrapped=("zip:a",), first_subject="s", paths=("s.py",), commits=1,
        liveness=Liveness.DEAD, checked_at=NOW, suppression="s", suppressed_until=NOW, **seen,
    )  # fmt: skip
    usage = Usage(
        key_uid="keeper:" + HEX, **place, locator="log:1", principal="p", operation="sign", source="s", result="ok"
    )
    gap = Gap(
        **place, locator=target + "k.pem", scope=GapScope.FIELD, status=GapStatus.DENIED, reason="refused",
        field="state", code="E1", permission="read", advice="ask",
    )  # fmt: skip
    credential = Credential(
        credential_uid="keeper:" + HEX, **place, locator="arn:x:c", kind=CredentialKind.SECRET, key_uid="spki:" + HEX,
        encrypted_by="keeper:" + HEX,
    )  # fmt: skip
    access = Access(
        subject_uid="keeper:" + HEX, **place, locator="arn:x:k", principal="arn:x:p", function=AccessFunction.USE,
        principal_kind=PrincipalKind.ROLE, via=AccessVia.GRANT,
    )  # fmt: skip
    relation = Relation(
        subject_uid="keeper:" + HEX, **place, locator="arn:x:k", kind=RelationKind.PROTECTS, object="arn:x:o"
    )
    made = (key, certificate, token, credential, secret, access, relation, usage, gap)
    return {table: complete(table, row) for table, row in zip(TABLES, made, strict=True)}


_FILLERS = {TEXT: "x", TEXTS: ("x",), INT: 9, FLAG: True, TIME: NOW, REAL: 0.5}


def complete(table: str, row: object) -> object:
    """The row with every column known: what it does not say is filled by the column's kind."""
    fill = {
        column.name: {"JSON": '{"a": 1}', "hex": HEX}.get(column.unit)
        or (next(iter(column.kind)) if isinstance(column.kind, type) else _FILLERS[column.kind])
        for column in COLUMNS[table]
        if getattr(row, column.name) is None
    }
    return dataclasses.replace(row, **fill)


def good(*tables: str) -> Inventory:
    """Two targets with a row in each of these tables, and their readings."""
    builder = Builder()
    for target in (A, B):
        for table in tables:
            builder.add(rows(target)[table])
        builder.add(
            Reading(
                collector="c", target=target, status=ReadingStatus.READ, rows=len(tables), gaps=int("gaps" in tables),
                seconds=1.0, started_at=THEN, run_id="r", label="x",
            )
        )  # fmt: skip
    return Inventory.of(builder)


def put(table: str, column: str, value: object, *, row: int = 0) -> Mutation:
    """A mutation: another value in one row."""

    def mutate(inv: Inventory) -> Inventory:
        frame = inv.table(table).copy()
        values = list(frame[column])
        values[row] = value
        dtype = frame[column].dtype
        if isinstance(dtype, pd.CategoricalDtype) and isinstance(value, str) and value not in dtype.categories:
            dtype = pd.CategoricalDtype([*dtype.categories, value])
        return dataclasses.replace(inv, **{table: frame.assign(**{column: pd.Series(values, dtype=dtype)})})

    return mutate


def change(table: str, how: Callable[[pd.DataFrame], pd.DataFrame]) -> Mutation:
    """A mutation of a whole frame."""
    return lambda inv: dataclasses.replace(inv, **{table: how(inv.table(table))})


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    """The first row once more, at the end."""
    return pd.concat([frame, frame.head(1)], ignore_index=True)


def verdicts(told: pd.DataFrame, verdict: str) -> list[tuple[str, str, str]]:
    """Table, column and sentence of the checks with that verdict."""
    of = told[told["verdict"] == verdict]
    return list(zip(of["table"], of["column"].fillna(""), of["check"], strict=True))


@pytest.fixture(scope="module")
def of_good() -> pd.DataFrame:
    """What the contract says of a good inventory."""
    return quality.validate(good(*TABLES), as_of=NOW)


def test_a_good_inventory_passes_every_check(of_good):
    """Every check had something to look at, and found nothing amiss."""
    assert {"PASS"} == set(of_good["verdict"])
    assert 0 == of_good["unexpected"].sum()
    assert 140 < len(of_good)


def test_every_check_is_told_once_and_table_by_table(of_good):
    """A row a check, under the name of its table."""
    assert not of_good.duplicated(["table", "check", "column"]).any()
    assert [*TABLES, "readings"] == list(of_good["table"].drop_duplicates())


BROKEN = {
    "a column is missing": ("keys", "", "has every column", [change("keys", lambda f: f.drop(columns="label"))]),
    "a column too many": ("keys", "", "has no other column", [change("keys", lambda f: f.assign(pin="1"))]),
    "another type": ("keys", "", "has the type", [change("keys", lambda f: f.astype({"size_bits": "string"}))]),
    "no uid": ("keys", "key_uid", "is always known", [put("keys", "key_uid", None)]),
    "an unknown word": ("keys", "state", "is one of", [put("keys", "state", "lost")]),
    "an unknown word in a list": ("keys", "functions", "holds only", [put("keys", "functions", ["sign", "fly"])]),
    "a short uid": ("keys", "key_uid", "is spki or hmac", [put("keys", "key_uid", "spki:0f")]),
    "a uid of another kind": ("certificates", "certificate_uid", "is sha256", [put("certificates", "certificate_uid", "spki:" + HEX)]),
    "a path for a URI": ("keys", "locator", "is a URI", [put("keys", "locator", "/a/k.pem")]),
    "a URI with a password": ("keys", "locator", "is a URI", [put("keys", "locator", "https://me:canary@host/k")]),
    "a URI with a PIN": ("keys", "locator", "is a URI", [put("keys", "locator", "pkcs11:token=t?pin-value=canary")]),
    "a URI and a line more": ("keys", "locator", "is a URI", [put("keys", "locator", "file:///a\ncanary")]),
    "an empty text": ("keys", "label", "is never an empty text", [put("keys", "label", "")]),
    "a tiny key": ("keys", "size_bits", "is from 40", [put("keys", "size_bits", 8)]),
    "no hex": ("keys", "spki_sha256", "is hexadecimal", [put("keys", "spki_sha256", "canary")]),
    "no octal": ("keys", "file_mode", "is octal", [put("keys", "file_mode", "rw-------")]),
    "no JSON": ("keys", "detail", "is JSON", [put("keys", "detail", "{canary")]),
    "too sure": ("secrets", "confidence", "is from 0 to 1", [put("secrets", "confidence", 1.5)]),
    "found nowhere": ("secrets", "occurrences", "is at least 1", [put("secrets", "occurrences", 0)]),
    "a sighting twice": ("keys", "", "has each", [change("keys", twice), put("readings", "rows", 2)]),
    "ends before it begins": ("certificates", "not_after", "is not before", [put("certificates", "not_after", THEN - timedelta(1))]),
    "last before first": ("secrets", "last_seen_at", "is not before", [put("secrets", "last_seen_at", THEN - timedelta(1))]),
    "a gap of no field": ("gaps", "field", "names the field", [put("gaps", "field", None, row=1)]),
    "read, with a gap": ("readings", "status", "is not `read`", [put("gaps", "scope", "object")]),
    "a target read twice": ("readings", "", "has each", [change("readings", twice), put("readings", "rows", 0, row=2), put("readings", "gaps", 0, row=2)]),
    "no reading": ("readings", "target", "has the target", [put("keys", "target", "file:///c/"), put("readings", "rows", 0)]),
    "rows that nobody counted": ("readings", "rows", "is the number of rows", [put("readings", "rows", 7)]),
    "gaps that nobody counted": ("readings", "gaps", "is the number of gaps", [put("readings", "gaps", 7)]),
    "later than as_of": ("readings", "started_at", "of the newest", [put("readings", "started_at", NOW + timedelta(1))]),
    "one target is stale": ("readings", "started_at", "of every target", [put("readings", "started_at", NOW - timedelta(31))]),
    "half was read": ("readings", "status", "is `read` for at least 90%", [put("readings", "status", "partial")]),
    "nothing was read": ("readings", "", "has at least one row", [change("readings", lambda f: f.head(0)), change("keys", lambda f: f.head(0))]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_fails_its_own_check_and_no_other(case):
    """One defect, one FAIL, and its value is not in what is told."""
    table, column, says, mutations = BROKEN[case]
    inv = good(table if table in TABLES else "gaps" if "gap" in case else "keys")
    for mutate in mutations:
        inv = mutate(inv)

    told = quality.validate(inv, as_of=NOW)

    assert [(table, column)] == [failed[:2] for failed in verdicts(told, "FAIL")], verdicts(told, "FAIL")
    assert verdicts(told, "FAIL")[0][2].startswith(says)
    assert "canary" not in told.to_csv()


def test_every_check_of_a_single_value_can_fail():
    """Nothing in the contract is there for show: each column's form, and each column that must be known."""
    wrong = {"uid": "x", "target": "x", "locator": "x", "hex": "x", "octal": "x", "JSON": "{", "text": ""}
    range_, word = -1, "no word"
    unknown = malformed = good(*TABLES)
    asked = [check for check in contract.checks(NOW) if check.batch == check.table and check.column and not check.when]
    asked = [check for check in asked if "MatchRegex" in check.expectation or check.says.startswith("is ")]
    asked = [check for check in asked if not check.says.startswith(("is `read`", "is not before"))]
    spec = {(table, column.name): column for table, columns in COLUMNS.items() for column in columns}
    for check in asked:
        column = spec[check.table, check.column]
        if check.says == "is always known":
            unknown = put(check.table, column.name, None)(unknown)
        elif column.kind is TEXT:
            kind = column.unit or ("uid" if column.name.endswith("_uid") else column.name)
            malformed = put(check.table, column.name, wrong.get(kind, wrong["text"]))(malformed)
        elif column.kind is TEXTS:
            malformed = put(check.table, column.name, [word])(malformed)
        else:
            malformed = put(check.table, column.name, word if isinstance(column.kind, type) else range_)(malformed)

    failed = {of for inv in (unknown, malformed) for of in verdicts(quality.validate(inv, as_of=NOW), "FAIL")}

    assert set() == {(check.table, check.column, check.says) for check in asked} - failed
    assert 100 < len(asked)


def test_what_had_nothing_to_look_at_is_not_a_pass():
    """great-expectations says success of an empty table, of unknown values and of a condition that no row meets."""
    inv = put("keys", "size_bits", None, row=1)(put("keys", "size_bits", None)(good("keys")))
    inv = dataclasses.replace(
        inv, gaps=good("gaps").gaps.assign(scope=good("gaps").gaps["scope"].where([False, False]))
    )

    told = quality.validate(inv, as_of=NOW).set_index(["table", "column", "check"])

    notes = {key: (row["verdict"], row["seen"], row["note"]) for key, row in told.iterrows()}
    assert ("NOT_APPLICABLE", 0, "no value is known") == notes["keys", "size_bits", "is from 40 to 65,536"]
    assert ("NOT_APPLICABLE", 0, "no rows") == notes["usages", "key_uid", "is always known"]
    assert ("NOT_APPLICABLE", 0, "no row of that kind") == notes["gaps", "field", "names the field that is unknown"]


def test_a_column_that_is_missing_is_told_once_and_its_checks_are_not_passed():
    """Its values cannot be looked at; nor can the accounts, which need it."""
    inv = change("keys", lambda frame: frame.drop(columns="target"))(good("keys"))
    told = quality.validate(inv, as_of=NOW)
    assert [("keys", "", "has every column of the contract")] == verdicts(told, "FAIL")
    assert ["target"] == list(told[told["verdict"] == "FAIL"]["examples"].iloc[0])
    unasked = told[told["note"] == "a column it needs is missing or of another type"]
    assert {"NOT_APPLICABLE"} == set(unasked["verdict"])
    assert "has the target of every row" in set(unasked["check"])


def test_a_broken_row_is_shown_by_its_place():
    """The row that breaks a conditional check too, and never more than five."""
    gaps = put("gaps", "field", None, row=1)(good("gaps"))
    many = Builder()
    for number in range(9):
        many.add(dataclasses.replace(rows(A)["keys"], locator=f"{A}{number}", file_mode="x"))
    shown = [quality.validate(inv, as_of=NOW) for inv in (gaps, Inventory.of(many))]
    of_gap, of_many = (
        told[(told["verdict"] == "FAIL") & told["column"].isin(["field", "file_mode"])] for told in shown
    )
    assert (1, [B + "k.pem"]) == (of_gap["unexpected"].iloc[0], list(of_gap["examples"].iloc[0]))
    assert (9, [f"{A}{n}" for n in range(5)]) == (of_many["unexpected"].iloc[0], list(of_many["examples"].iloc[0]))


def test_age_and_coverage_are_the_callers_to_set():
    """Both bounds are in the sentence, so that the verdict can be read without the call."""
    inv = put("readings", "status", "partial")(good("keys"))
    told = quality.validate(inv, as_of=NOW, max_age_days=2, min_coverage=0.5)
    sentences = [says for _, _, says in verdicts(told, "FAIL")]
    assert [
        "of the newest is within 2 days before as_of",
        "of every target is at most 2 days before as_of",
    ] == sentences


def test_a_check_that_breaks_is_a_failure_that_quotes_nothing(monkeypatch):
    """An expectation that raises has not been met, and its message may hold a value."""
    bad = Check(
        table="keys", says="x", column="label", severity="critical", batch="keys",
        expectation="ExpectColumnValuesToMatchRegex", arguments={"column": "label", "regex": "(canary"},
    )  # fmt: skip
    monkeypatch.setattr(quality, "checks", lambda as_of, **more: (bad,))
    told = quality.validate(good("keys"), as_of=NOW)
    assert [("FAIL", "could not be looked at")] == list(zip(told["verdict"], told["note"], strict=True))
    assert "canary" not in told.to_csv()


def test_a_new_column_is_under_the_contract_at_once(monkeypatch):
    """Its checks follow from the model, its unit, name and type; nothing here is edited."""

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Audited(Usage):
        ticket_uid: str
        digest: str | None = None

    more = (Column("ticket_uid", TEXT, "Its ticket"), Column("digest", TEXT, "Its digest", "hex"))
    monkeypatch.setattr(contract, "COLUMNS", {**COLUMNS, "usages": (*COLUMNS["usages"], *more)})
    known = {row: table for row, table in ROW_TABLES.items() if table != "usages"}
    monkeypatch.setattr(contract, "ROW_TABLES", {**known, Audited: "usages"})

    told = [(check.column, check.says) for check in contract.checks(NOW) if check.column in {"ticket_uid", "digest"}]

    uid = [("ticket_uid", "is always known"), ("ticket_uid", "is [a-z0-9]+ and 64 hex digits")]
    assert [*uid, ("digest", "is hexadecimal")] == told


def test_a_sighting_is_what_compare_takes_it_for():
    """Two rows that `compare` cannot tell apart are a defect here."""
    assert {
        table: list(names) for table, names in contract.SIGHTING.items() if table != "readings"
    } == comparison._SIGHTING


def test_a_time_without_a_zone_is_refused():
    """Freshness would be off by hours."""
    with pytest.raises(ConfigError, match="time zone"):
        quality.validate(good(), as_of=datetime(2026, 1, 1))  # noqa: DTZ001


def test_without_great_expectations_the_advice_says_what_to_install(monkeypatch):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    with pytest.raises(ConfigError, match=r"pip install 'keyatlas\[quality\]'"):
        quality.validate(good(), as_of=NOW)


def test_nothing_is_written_to_the_disk_or_left_in_memory(monkeypatch, tmp_path):
    """great-expectations keeps its last context; the tables are not in it."""
    import gc

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    quality.validate(good("keys"), as_of=NOW)
    gc.collect()
    held = [thing for thing in gc.get_objects() if isinstance(thing, pd.DataFrame) and "spki_sha256" in thing]
    assert ([], []) == (list(tmp_path.iterdir()), held)


def test_importing_the_module_does_not_load_great_expectations():
    """It takes nine seconds, which only `validate` may cost."""
    code = "import sys, toolkit.quality; sys.exit('great_expectations' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code]).returncode
