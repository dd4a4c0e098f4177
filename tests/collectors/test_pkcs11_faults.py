"""pkcs11 against modules that lie, fail and die: a shim of our own between us and a real SoftHSM."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import toolkit as tk
from collectors.pkcs11 import Pkcs11
from toolkit import softhsm
from toolkit.errors import SourceBroken, SourceUnreachable
from toolkit.identity import public_facts
from toolkit.model import Gap, Key, Token
from toolkit.terms import GapScope, GapStatus, KeyType

pytestmark = pytest.mark.hsm
READING = {
    "C_Initialize", "C_Finalize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo", "C_GetMechanismList",
    "C_OpenSession", "C_CloseSession", "C_Login", "C_Logout", "C_FindObjectsInit", "C_FindObjects",
    "C_FindObjectsFinal", "C_GetAttributeValue",
}  # fmt: skip
FLAGS = {"low": 0x10000, "final": 0x20000, "locked": 0x40000, "changed": 0x80000, "keypad": 0x100}
OBJECTS = 9


class Shim:
    """The shim's library, and what it is told and tells."""

    def __init__(self, module, log, pin, monkeypatch):
        self.module, self.pin, self._log, self._env = str(module), pin, log, monkeypatch

    def tell(self, **words):
        """Set its environment: fault="segv:C_FindObjects:1"."""
        for name, word in words.items():
            self._env.setenv(f"SHIM_{name.upper()}", str(word))

    def reader(self, **options):
        """A collector over it, with the PIN."""
        return Pkcs11(**{"modules": (self.module,), "pin": self.pin, "silence_seconds": 5, **options})

    def read(self, **options):
        """All rows."""
        reader = self.reader(**options)
        return [row for target in reader.targets() for row in reader.collect(target)]

    def until_failure(self):
        """The rows before the target failed, and the failure."""
        reader = self.reader()
        (target,) = reader.targets()
        rows = []
        reading = reader.collect(target)
        with pytest.raises((SourceBroken, SourceUnreachable)) as failure:
            rows.extend(iter(lambda: rows.append(next(reading)), object()))
        return rows, failure.value

    def calls(self):
        """Every call by name, with its number."""
        return [tuple(line.split()[1:]) for line in self._log.read_text().splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A filled token and the compiled shim."""
    if softhsm.find() is None or shutil.which("cc") is None:
        pytest.skip("SoftHSM2 or a C compiler is not installed")
    folder = tmp_path_factory.mktemp("shim")
    source = Path(__file__).with_name("pkcs11_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "shim.so", source, "-ldl"], check=True)
    return softhsm.make_token(folder / "token"), folder / "shim.so"


@pytest.fixture
def shim(made, tmp_path, monkeypatch):
    """The shim before a filled SoftHSM token."""
    token, module = made
    for name, value in token.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHIM_MODULE", str(token.module))
    monkeypatch.setenv("SHIM_LOG", str(tmp_path / "calls"))
    return Shim(module, tmp_path / "calls", token.pin, monkeypatch)


def keys(rows):
    """Its keys."""
    return [row for row in rows if isinstance(row, Key)]


def test_nothing_but_reading_calls_and_one_login_reach_a_token(shim):
    """Each call is in the module's own log; sessions lack CKF_RW_SESSION; no two calls overlap."""
    assert OBJECTS == len(keys(shim.read()))
    calls = shim.calls()
    counted = Counter(name for name, _ in calls)
    assert set() == set(counted) - READING
    assert 1 == counted["C_Login"]
    assert {"4"} == {number for name, number in calls if name == "C_OpenSession"}


def test_an_object_costs_one_call(shim):
    """Private objects with dates apart, which SoftHSM refuses in a list; nothing is asked twice."""
    shim.read()
    assert OBJECTS == Counter(name for name, _ in shim.calls())["C_GetAttributeValue"]


@pytest.mark.parametrize("call", ["C_Initialize", "C_GetTokenInfo", "C_Login", "C_FindObjects"])
@pytest.mark.parametrize("fault", ["segv", "abort", "hang"])
def test_a_module_that_dies_anywhere_takes_its_child_only(shim, call, fault):
    """A segfault, an abort and a hang at each step are one Gap of one target, and cost the silence once."""
    shim.tell(fault=f"{fault}:{call}:1")
    clock = time.monotonic()
    inv = tk.collect("pkcs11", modules=[shim.module], pin=shim.pin, silence_seconds=1, show_progress=False)
    assert time.monotonic() - clock < 4
    assert set(inv.readings["status"]) <= {"failed", "partial"}
    wanted = {"segv": "signal 11", "abort": "signal 6", "hang": "did not answer in 1 s"}[fault]
    assert inv.gaps["reason"].str.contains(wanted).any()


def test_several_modules_that_hang_cost_the_silence_of_one(shim, tmp_path):
    """All are started before the first is waited for."""
    shim.tell(fault="hang:C_Initialize:1")
    modules = [tmp_path / f"hanging{n}.so" for n in range(4)]
    for module in modules:
        shutil.copy(shim.module, module)
    clock = time.monotonic()
    inv = tk.collect("pkcs11", modules=modules, silence_seconds=2, show_progress=False)
    assert time.monotonic() - clock < 6
    assert ["failed"] * 4 == list(inv.readings["status"])


@pytest.mark.parametrize("fault", ["segv:C_GetAttributeValue:6", "fail:C_GetAttributeValue:6:32", "fail:C_GetAttributeValue:6:e0"])  # fmt: skip
def test_a_token_pulled_out_is_a_gap_for_the_rest(shim, fault):
    """What was read before CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT or a crash is kept; no half is called missing."""
    shim.tell(fault=fault)
    rows, failure = shim.until_failure()
    assert (5 if fault.startswith("fail") else 0) <= len(keys(rows)) < OBJECTS
    assert {None, False} >= {key.is_orphan for key in keys(rows)}
    assert any(word in str(failure) for word in ("CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT", "signal 11"))


def test_a_crash_after_the_login_does_not_try_the_pin_again(shim):
    """Whether the PIN was right is unknown: it counts as tried."""
    shim.tell(fault="segv:C_Login:1")
    reader = shim.reader()
    for _ in range(2):
        for target in reader.targets():
            with pytest.raises(SourceBroken):
                list(reader.collect(target))
            break
        shim.tell(fault="segv:C_FindObjects:1")
    assert 1 == Counter(name for name, _ in shim.calls())["C_Login"]


@pytest.mark.parametrize("flag", ["low", "final", "locked"])
def test_a_pin_near_its_end_is_not_tried(shim, flag):
    """CKF_USER_PIN_COUNT_LOW, _FINAL_TRY and _LOCKED keep us off, and stand in the token's row."""
    shim.tell(flags=f"{FLAGS[flag]:x}")
    rows = shim.read()
    assert 0 == Counter(name for name, _ in shim.calls())["C_Login"]
    assert GapStatus.DENIED in {row.status for row in rows if isinstance(row, Gap)}
    (token,) = [row for row in rows if isinstance(row, Token)]
    assert any(name.startswith("CKF_USER_PIN_") and name != "CKF_USER_PIN_INITIALIZED" for name in token.flags)


def test_a_pin_to_be_changed_is_told_and_the_token_read(shim):
    """It is the auditor's finding, not a reason to stay away."""
    shim.tell(flags=f"{FLAGS['changed']:x}")
    inv = tk.collect("pkcs11", modules=[shim.module], pin=shim.pin, show_progress=False)
    found = tk.assess(inv, "pkcs11_custody").set_index("rule")
    assert OBJECTS == len(inv.keys)
    assert "FAIL" == found.loc["pin-changed", "verdict"]


@pytest.mark.parametrize(("keypad", "logins"), [(True, 1), (False, 0)])
def test_a_keypad_is_used_where_there_is_one(shim, keypad, logins):
    """`protected` logs in without a PIN from us, only where the token has a path of its own for it."""
    shim.tell(flags=f"{FLAGS['keypad'] if keypad else 0:x}")
    rows = shim.read(pin="protected")
    assert logins == Counter(name for name, _ in shim.calls())["C_Login"]
    assert [GapStatus.DENIED] == [row.status for row in rows if isinstance(row, Gap)]


@pytest.mark.parametrize(("code", "name"), [(0x11, "CKR_ATTRIBUTE_SENSITIVE"), (0x12, "CKR_ATTRIBUTE_TYPE_INVALID")])
def test_an_attribute_that_is_refused_is_none_with_a_gap(shim, code, name):
    """The field alone is unknown: the key stays, and the Gap says which attribute, why, of how many."""
    shim.tell(refuse=f"162:{code:x},110:{code:x}")
    rows = shim.read()
    assert {None} == {key.extractable for key in keys(rows)}
    found = {(row.field, row.code, row.scope) for row in rows if isinstance(row, Gap)}
    assert {("CKA_EXTRACTABLE", name, GapScope.FIELD), ("CKA_START_DATE", name, GapScope.FIELD)} <= found
    assert OBJECTS == len(keys(rows))


def test_a_module_that_refuses_lists_is_read_one_by_one(shim):
    """CKR_FUNCTION_FAILED to a list of many is no reason to lose the object."""
    shim.tell(fault="fail:C_GetAttributeValue:1:6")
    rows = shim.read()
    assert OBJECTS == len(keys(rows)) + sum(
        1 for row in rows if isinstance(row, Token) and row.detail for _ in range(9)
    )


@pytest.mark.parametrize(
    ("number", "name"),
    [("80000001", "CKK_VENDOR_DEFINED+0x00000001"), ("7f", "CKK_0x0000007F"), ("4b", "SLH-DSA"), ("49", "ML-KEM")],
)
def test_a_key_type_of_the_future_is_kept_by_its_number(shim, number, name):
    """A vendor's type, one that no list knows, and PKCS#11 v3.2's: never dropped."""
    shim.tell(key=f"3:{number}")
    found = [key for key in keys(shim.read()) if key.algorithm == name]
    assert {KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY} == {key.key_type for key in found}


def test_a_vendors_class_is_counted_by_its_number(shim):
    """A key of a class that nobody knows is a key; what has no key type is in the token's detail."""
    shim.tell(**{"class": "4:80000077"})
    rows = shim.read()
    assert OBJECTS == len(keys(rows))
    assert 3 == sum(key.key_type is KeyType.UNKNOWN for key in keys(rows))


def test_a_post_quantum_key_on_a_token_is_the_same_key_elsewhere(shim, tmp_path):
    """Its uid from CKA_VALUE and CKA_PARAMETER_SET is that of its SubjectPublicKeyInfo."""
    public = mldsa.MLDSA65PrivateKey.generate().public_key()
    (tmp_path / "raw").write_bytes(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
    shim.tell(key="3:4a", set="2", value=tmp_path / "raw")
    told = {key.key_type: key for key in keys(shim.read()) if key.algorithm == "ML-DSA"}
    assert public_facts(public).key_uid == told[KeyType.PUBLIC_KEY].key_uid == told[KeyType.PRIVATE_KEY].key_uid
    assert "ML-DSA-65" == told[KeyType.PUBLIC_KEY].parameter


def test_a_token_that_wants_no_login_gets_none(shim):
    """Without CKF_LOGIN_REQUIRED the PIN stays with us."""
    shim.tell(clear="4")
    shim.read()
    assert 0 == Counter(name for name, _ in shim.calls())["C_Login"]


def test_two_modules_that_show_a_token_read_it_once(shim, made):
    """The real module and the shim over it: one target, one login."""
    reader = shim.reader(modules=(str(made[0].module), shim.module))
    rows = [row for target in reader.targets() for row in reader.collect(target)]
    assert OBJECTS == len(keys(rows))
    assert "C_Login" not in {name for name, _ in shim.calls()}


def test_no_child_is_left(shim):
    """With the collector goes its process."""
    import psutil

    shim.read()
    mine = psutil.Process(os.getpid()).children()
    assert [] == [child for child in mine if "collectors._pkcs11.worker" in " ".join(child.cmdline())]
