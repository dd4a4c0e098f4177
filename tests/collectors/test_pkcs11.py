"""pkcs11: a real SoftHSM token, a spy between it and us, and modules that crash."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from asn1crypto.core import OctetString
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

import toolkit as tk
from collectors.pkcs11 import Pkcs11
from collectors.pkcs11._public import unwrapped
from collectors.pkcs11._rows import TokenRows
from toolkit import softhsm
from toolkit.errors import ConfigError, SourceBroken
from toolkit.identity import public_facts
from toolkit.model import Certificate, Gap, Key, Target
from toolkit.terms import GapStatus, KeyType, Origin, Protection
from toolkit.testing import CollectorContract

pytestmark = pytest.mark.hsm
SPY = Path("/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so")


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A filled SoftHSM token with one imported key, its configuration in the environment."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    folder = tmp_path_factory.mktemp("hsm")
    pem = folder / "imported.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem],
                   check=True, capture_output=True)  # fmt: skip
    made = softhsm.make_token(folder / "token", key_pem=pem)
    os.environ.update(made.environment())
    yield made
    os.environ.pop("SOFTHSM2_CONF", None)


def collector(token, **options):
    """The collector over the token, with its PIN unless told otherwise."""
    return Pkcs11(**{"modules": (str(token.module),), "pin": token.pin, **options})


def read(reader):
    """All its rows."""
    return [row for target in reader.targets() for row in reader.collect(target)]


def gaps(rows):
    """Status and reason of each Gap."""
    return [(row.status, row.reason) for row in rows if isinstance(row, Gap)]


class TestContract(CollectorContract):
    """The contract of every collector, over the token."""

    @pytest.fixture(autouse=True)
    def _with(self, token):
        self.token = token

    def collector(self, tmp_path):
        """Over the token."""
        return collector(self.token)


def test_every_object_of_the_token_is_a_row(token):
    """As many keys as OpenSC's tool lists, with its labels."""
    pin = Path(token.pin.removeprefix("file:")).read_text()
    words = ["pkcs11-tool", "--module", str(token.module), "--login", "--pin", pin, "-O"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    labels = sorted(re.findall(r"(?m)^  label:\s+(.+)$", told))
    keys = [row for row in read(collector(token)) if isinstance(row, Key)]
    assert labels == sorted(key.label for key in keys)


def test_custody_is_told(token):
    """What may leave the token, where it was made, what seals it."""
    keys = {(row.label, row.key_type): row for row in read(collector(token)) if isinstance(row, Key)}
    inside = keys["tls-frontend", KeyType.PRIVATE_KEY]
    assert (False, True, Origin.GENERATED) == (inside.extractable, inside.sensitive, inside.origin)
    assert (True, Protection.TOKEN) == (inside.protected, inside.protection)
    leaky = keys["legacy-partner", KeyType.PRIVATE_KEY]
    assert (True, False, 1024) == (leaky.extractable, leaky.sensitive, leaky.size_bits)
    assert 2021 == keys["legacy-partner", KeyType.PUBLIC_KEY].expires_at.year
    assert Origin.IMPORTED is keys["imported", KeyType.PRIVATE_KEY].origin
    assert ("AES", 256) == (keys["backup-master", KeyType.SECRET_KEY].algorithm,
                            keys["backup-master", KeyType.SECRET_KEY].size_bits)  # fmt: skip
    assert ("TDEA", "3TDEA") == (keys["payment-terminal", KeyType.SECRET_KEY].algorithm,
                                 keys["payment-terminal", KeyType.SECRET_KEY].parameter)  # fmt: skip


def test_a_private_key_is_known_by_its_public_half(token):
    """The imported key has the uid of its file; both halves on the token have one uid."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = Path(token.configuration).parent.parent / "imported.pem"
    uid = public_facts(load_pem_private_key(pem.read_bytes(), None).public_key()).key_uid
    keys = [row for row in read(collector(token)) if isinstance(row, Key)]
    assert {uid} == {key.key_uid for key in keys if key.label == "imported"}
    assert all(len({k.key_uid for k in keys if k.label == label}) == 1 for label in {k.label for k in keys})


def test_a_certificate_on_the_token_is_read_and_names_its_key(token, tmp_path, monkeypatch, self_signed):
    """Its uid is that of the private key which was imported beside it, and its label the object's."""
    key = self_signed("imported")
    der = x509.load_pem_x509_certificate(key.with_suffix(".crt").read_bytes()).public_bytes(Encoding.DER)
    made = softhsm.make_token(tmp_path / "certified", key_pem=key, certificate_der=der)
    monkeypatch.setenv("SOFTHSM2_CONF", str(made.configuration))
    rows = read(collector(made))
    (certificate,) = [row for row in rows if isinstance(row, Certificate)]
    private = [row for row in rows if isinstance(row, Key) and row.label == "imported"]
    assert {certificate.key_uid} == {row.key_uid for row in private}
    assert ("imported", True) == (certificate.label, ";type=cert" in certificate.locator)


OBJECT = {"CLASS": "CKO_SECRET_KEY", "ID": "01", "LABEL": b"odd".hex(), "KEY_TYPE": None}
TARGET = Target(collector="pkcs11", locator="pkcs11:token=t;serial=1")


_CURVE = ec.generate_private_key(ec.SECP256R1()).public_key()
POINT = {
    "EC_PARAMS": "06082a8648ce3d030107",
    "EC_POINT": _CURVE.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex(),
}


def told(*objects):
    """The rows made of such answers of the child."""
    return list(TokenRows(TARGET).rows([{"login": "made"}, *({"object": {**OBJECT, **found}} for found in objects)]))


@pytest.mark.parametrize("kind", ["SECRET_KEY", "PRIVATE_KEY", "PUBLIC_KEY"])
def test_a_key_of_unknown_type_is_a_row_with_its_number(kind):
    """A vendor's key type is never dropped; what it may be used for is then unknown."""
    (row,) = told({"CLASS": f"CKO_{kind}", "KEY_TYPE": "CKK_VENDOR_DEFINED+0x00000001"})
    assert ("CKK_VENDOR_DEFINED+0x00000001", None) == (row.algorithm, row.functions)


def test_an_id_claimed_by_two_public_keys_identifies_no_private_key():
    """CKA_ID need not be unique: a wrong identity is worse than none."""
    numbers = [rsa.generate_private_key(65537, 2048).public_key().public_numbers().n for _ in range(2)]
    publics = [{"CLASS": "CKO_PUBLIC_KEY", "KEY_TYPE": "CKK_RSA", "MODULUS": f"{n:x}", "PUBLIC_EXPONENT": "010001"}
               for n in numbers]  # fmt: skip
    private = {"CLASS": "CKO_PRIVATE_KEY", "KEY_TYPE": "CKK_RSA"}
    one, both = told(publics[0], private), told(*publics, private)
    assert one[0].key_uid == one[1].key_uid
    assert both[-1].key_uid.startswith("keeper:")
    assert len(both) == len({row.locator for row in both})


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_id_that_a_second_public_key_claims_later_identifies_nothing(order):
    """Also where the private key's row was made with the first."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    second = {**POINT, "EC_POINT": other.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()}
    public = {"CLASS": "CKO_PUBLIC_KEY", "KEY_TYPE": "CKK_EC"}
    objects = [{**public, **POINT}, {**public, **second}, {"CLASS": "CKO_PRIVATE_KEY", "KEY_TYPE": "CKK_EC"}]
    (private,) = [row for row in told(*(objects[n] for n in order)) if row.key_type is KeyType.PRIVATE_KEY]
    assert private.key_uid.startswith("keeper:")
    assert "several public keys bear its CKA_ID" in private.reasons[-1]


@given(st.permutations(["public", "private", "its twin", "other id"]))
@settings(max_examples=24, deadline=None)
def test_the_order_in_which_a_token_lists_its_objects_changes_nothing(order):
    """Rows are made as objects come, and hold what the last of them says: identity, orphans, a shared CKA_ID."""
    objects = {
        "public": {"CLASS": "CKO_PUBLIC_KEY", "KEY_TYPE": "CKK_EC", **POINT},
        "private": {"CLASS": "CKO_PRIVATE_KEY", "KEY_TYPE": "CKK_EC"},
        "its twin": {"CLASS": "CKO_PRIVATE_KEY", "KEY_TYPE": "CKK_EC", "LABEL": b"twin".hex()},
        "other id": {"CLASS": "CKO_PUBLIC_KEY", "KEY_TYPE": "CKK_EC", "ID": "02", **POINT},
    }
    rows = {(row.key_type, row.locator): row for row in told(*(objects[name] for name in order))}
    assert 1 == len({row.key_uid for row in rows.values()})
    assert [True, True] == [row.shares_id for (kind, _), row in rows.items() if kind is KeyType.PRIVATE_KEY]
    assert {False} == {row.is_orphan for (kind, _), row in rows.items() if kind is KeyType.PUBLIC_KEY}


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2**255), st.sampled_from([ec.SECP256R1(), ec.SECP521R1()]))
def test_a_point_is_the_same_bare_or_wrapped(number, curve):
    """Modules give CKA_EC_POINT either way."""
    public = ec.derive_private_key(number, curve).public_key()
    bare = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert [bare, bare] == [unwrapped(bare), unwrapped(OctetString(bare).dump())]


def test_what_was_read_before_a_failure_is_kept():
    """Objects first, then the error: the runner makes it a Gap."""
    rows = TokenRows(TARGET).rows([{"object": {**OBJECT, "KEY_TYPE": "CKK_AES"}}, {"failed": "CKR_DEVICE_ERROR"}])
    assert "AES" == next(rows).algorithm
    with pytest.raises(SourceBroken, match="CKR_DEVICE_ERROR"):
        next(rows)


def test_without_a_pin_the_private_objects_are_a_gap(token):
    """Not asked is not absent: the token is not read whole."""
    rows = read(collector(token, pin=None))
    assert [GapStatus.NOT_ASKED] == [status for status, _ in gaps(rows)]
    assert {KeyType.PUBLIC_KEY} == {row.key_type for row in rows if isinstance(row, Key)}
    inv = tk.collect("pkcs11", modules=[token.module], show_progress=False)
    assert ["partial"] == list(inv.readings["status"])


def spied(token, tmp_path, monkeypatch, **options):
    """The rows, and every call that reached the module (OpenSC's spy writes them down)."""
    if not SPY.exists():
        pytest.skip("OpenSC's pkcs11-spy is not installed")
    log = tmp_path / "spy.log"
    monkeypatch.setenv("PKCS11SPY", str(token.module))
    monkeypatch.setenv("PKCS11SPY_OUTPUT", str(log))
    rows = read(collector(token, modules=(str(SPY),), **options))
    return rows, re.findall(r"(?m)^\d+: (C_\w+)", log.read_text())


@pytest.fixture
def own(token, tmp_path, monkeypatch):
    """A copy of the token, to spoil: a wrong PIN leaves its mark on a token."""
    copy = tmp_path / "copy"
    shutil.copytree(token.configuration.parent, copy)
    conf = copy / "softhsm2.conf"
    conf.write_text(conf.read_text().replace(str(token.configuration.parent), str(copy)))
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    return token


def test_a_wrong_pin_is_tried_once_and_never_again(own, tmp_path, monkeypatch):
    """Also when the same collector reads the token a second time."""
    wrong = tmp_path / "wrong"
    wrong.write_text("canary-wrong-pin")
    if not SPY.exists():
        pytest.skip("OpenSC's pkcs11-spy is not installed")
    monkeypatch.setenv("PKCS11SPY", str(own.module))
    monkeypatch.setenv("PKCS11SPY_OUTPUT", str(tmp_path / "spy.log"))
    reader = collector(own, modules=(str(SPY),), pin=f"file:{wrong}")
    first, second = read(reader), read(reader)
    calls = re.findall(r"(?m)^\d+: (C_\w+)", (tmp_path / "spy.log").read_text())
    assert 1 == calls.count("C_Login")
    assert any(status is GapStatus.DENIED for status, _ in gaps(first))
    assert [(GapStatus.DENIED, "the PIN was tried before in this run: private objects are not seen")] == gaps(second)
    assert "canary" not in repr(first + second)


def test_a_pin_is_not_tried_where_few_tries_are_left(own, tmp_path, monkeypatch):
    """After someone else's wrong PIN the token says its count is low; we keep off."""
    words = ["pkcs11-tool", "--module", str(own.module), "--login", "--pin", "0000", "-O"]
    subprocess.run(words, capture_output=True)
    rows, calls = spied(own, tmp_path, monkeypatch)
    assert 0 == calls.count("C_Login")
    assert [GapStatus.DENIED] == [status for status, _ in gaps(rows)]


def test_a_token_is_only_read(token, tmp_path, monkeypatch):
    """No call that could change it, in the module's own log."""
    rows, calls = spied(token, tmp_path, monkeypatch)
    changing = r"C_(Create|Copy|Destroy|Set|Generate|Init(Token|PIN)|Wrap|Unwrap|Derive|Sign|Encrypt|Decrypt|Seed)"
    assert [] == [call for call in calls if re.match(changing, call)]
    assert "C_FindObjects" in calls
    assert any(isinstance(row, Key) for row in rows)


def test_neither_pin_nor_material_surfaces(token):
    """The PIN is a canary; CKA_VALUE is never asked for of a key."""
    pin = Path(token.pin.removeprefix("file:")).read_text()
    assert pin not in repr(read(collector(token)))
    from collectors._pkcs11.names import ASKED, MORE

    # CKA_VALUE, and CKA_PRIVATE_EXPONENT to CKA_COEFFICIENT.
    assert set() == set(ASKED.values()) & {0x011, *range(0x123, 0x129)}
    assert {"CKO_CERTIFICATE", "CKO_PUBLIC_KEY"} == {kind for kind, _ in MORE}


def test_a_pin_given_by_value_is_refused_without_echo():
    """A handle, or nothing."""
    with pytest.raises(ConfigError) as refused:
        Pkcs11(pin="canary-1234")
    assert "canary" not in str(refused.value)


BAD = {
    "crash": "int C_GetFunctionList(void **l) { *(volatile int *)0 = 1; return 0; }",
    "hang": "#include <unistd.h>\nint C_GetFunctionList(void **l) { for (;;) sleep(1); }",
    "empty": "int nothing;",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_module_that_misbehaves_is_a_gap_and_the_others_are_read(kind, token, tmp_path, monkeypatch):
    """A segfault, a hang and a library that is no module: each takes down its own child only."""
    source, module = tmp_path / "bad.c", tmp_path / "bad.so"
    source.write_text(BAD[kind])
    subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", module, source], check=True)
    options = {"modules": [module, token.module], "pin": token.pin, "silence_seconds": 6}
    inv = tk.collect("pkcs11", **options, show_progress=False)
    assert ["failed", "read"] == sorted(inv.readings["status"])
    assert 11 == len(inv.keys)
    wanted = {"crash": "signal 11", "hang": "did not answer", "empty": "bad.so"}[kind]
    assert wanted in inv.gaps["reason"].iloc[0]


def test_a_module_that_was_named_and_shows_no_token_is_a_gap(token, tmp_path, monkeypatch):
    """A forgotten SOFTHSM2_CONF must not look like an empty estate."""
    (tmp_path / "none").mkdir()
    (tmp_path / "none.conf").write_text(f"directories.tokendir = {tmp_path / 'none'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "none.conf"))
    inv = tk.collect("pkcs11", modules=[token.module], show_progress=False)
    assert ["failed"] == list(inv.readings["status"])
    assert "listed no token" in inv.gaps["reason"].iloc[0]


def test_one_token_shown_by_two_modules_is_one_token(token, tmp_path):
    """A copy of the library under another name shows the same token."""
    again = tmp_path / "again.so"
    again.symlink_to(token.module)
    assert 1 == len(list(collector(token, modules=(str(token.module), str(again))).targets()))


def test_the_custody_pack_finds_what_is_wrong_with_a_token(token):
    """Each finding of its own on the real token: what leaks, what came from outside, what may do too much."""
    inv = tk.collect("pkcs11", modules=[token.module], pin=token.pin, show_progress=False)
    found = tk.assess(inv, "pkcs11_custody")
    bad = found[found["verdict"].isin(["FAIL", "WARN"])]
    assert {"not-extractable", "sensitive", "generated-inside", "end-date", "single-purpose", "has-backup",
            "no-forbidden-mechanism", "fips-validated"} <= set(bad["rule"])  # fmt: skip
    assert {"asks-for-login", "pin-healthy"} <= set(found[found["verdict"] == "PASS"]["rule"])


def test_purpose_and_state_are_told_with_their_reason(token):
    """SP 800-57's key type and state, or why not."""
    keys = [row for row in read(collector(token)) if isinstance(row, Key)]
    assert all(any(why.startswith("state: ") for why in key.reasons) for key in keys)
    assert all(key.purpose is not None or "span" in key.reasons[0] for key in keys)


ODD = """
import sys, datetime, pkcs11
from pkcs11 import Attribute as A, KeyType
module, label, pin = sys.stdin.read().split()
with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=pin) as s:
    day = datetime.date(2024, 1, 15)
    s.generate_key(KeyType.AES, 256, id=b"U", label="dated", store=True, template={A.START_DATE: day, A.END_DATE: day})
    s.generate_key(KeyType.AES, 256, id=b"U", label="twin", store=True)
    s.create_object({A.CLASS: pkcs11.ObjectClass.DATA, A.TOKEN: True, A.LABEL: "blob", A.VALUE: b"canary-value"})
"""


def test_dates_that_a_module_cannot_give_a_shared_id_and_data_objects_are_told(own):
    """SoftHSM 2.6 fails on the dates of private objects: a Gap of the field. A data object is there, and not read."""
    pin = Path(own.pin.removeprefix("file:")).read_text()
    given = f"{own.module}\n{own.label}\n{pin}"
    subprocess.run([sys.executable, "-P", "-c", ODD], input=given, text=True, check=True)
    rows = read(collector(own))
    keys = {row.label: row for row in rows if isinstance(row, Key)}
    assert (True, True, None) == (keys["dated"].shares_id, keys["twin"].shares_id, keys["dated"].expires_at)
    told = {(row.field, row.code) for row in rows if isinstance(row, Gap)}
    assert {("CKA_START_DATE", "CKR_GENERAL_ERROR"), ("CKA_END_DATE", "CKR_GENERAL_ERROR")} <= told
    assert [True] == [";type=data" in row.locator for row in rows if isinstance(row, Gap) and row.field is None]
    assert "canary" not in repr(rows)
