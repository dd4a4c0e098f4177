"""pkcs11 against modules that lie, fail and die: a shim of our own between us and a real SoftHSM."""

from __future__ import annotations

import os
import secrets
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import toolkit as tk
from toolkit.errors import SourceBroken
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


# Where a fault may strike, in the order of a reading. What comes before C_GetMechanismList is the listing's.
LISTING = ("C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo")
WITHIN = (
    "C_GetMechanismList", "C_OpenSession", "C_Login", "C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue",
    "C_FindObjectsFinal", "C_CloseSession",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "told"),
    [("segv", "signal 11"), ("abort", "signal 6"), ("exit", "exit code 3"), ("hang", "did not answer in 3 s")],
)
def test_a_module_that_dies_anywhere_takes_its_child_only(shim, fault, told):
    """Thirteen modules in one run, each struck at another call: a Gap each, and the healthy one beside them is read."""
    sick = {shim.another(f"{fault}{n}", fault=f"{fault}:{call}:1"): call for n, call in enumerate(LISTING + WITHIN)}
    silence = 3 if fault == "hang" else 60
    inv = tk.collect("pkcs11", modules=list(sick), pin=shim.pin, silence_seconds=silence, show_progress=False)
    gaps = inv.gaps[inv.gaps["reason"].str.contains(told)]
    assert set(sick) == {module for module in sick if gaps["reason"].str.contains(module, regex=False).any()}
    assert len(sick) == len(inv.readings)
    assert {"failed", "partial"} >= set(inv.readings["status"])


def test_an_error_anywhere_is_told_and_the_others_are_read(shim):
    """CKR_GENERAL_ERROR from each call: what it cost is a Gap. Where all was seen before it, nothing is missing."""
    sick = {f"fail{n}": call for n, call in enumerate(LISTING + WITHIN)}
    modules = [shim.another(name, fault=f"fail:{call}:1:5") for name, call in sick.items()]
    inv = tk.collect("pkcs11", modules=[shim.module, *modules], pin=shim.pin, silence_seconds=60, show_progress=False)
    status = {
        call: next(
            row.status for row in inv.readings.itertuples() if f"{name}.so" in row.target or f"={name};" in row.target
        )
        for name, call in sick.items()
    }
    assert {"failed"} == {status[call] for call in LISTING}
    harmless = {"C_GetMechanismList", "C_FindObjectsFinal", "C_CloseSession"}
    assert {"read"} == {status[call] for call in harmless}
    assert {"failed", "partial"} >= {status[call] for call in WITHIN if call not in harmless}
    assert "mechanisms" in set(inv.gaps["field"].dropna())
    assert "read" in [row.status for row in inv.readings.itertuples() if "=fail" not in row.target]


def test_a_sick_module_beside_a_healthy_one_costs_it_nothing(shim, shim_made, tmp_path):
    """The real module, with one that crashes and one that is no library."""
    nothing = tmp_path / "none.so"
    nothing.write_text("no library")
    sick = [shim.another("s", fault="segv:C_OpenSession:1"), str(nothing)]
    modules = [*sick, str(shim_made[0].module)]
    inv = tk.collect("pkcs11", modules=modules, pin=shim.pin, silence_seconds=60, show_progress=False)
    assert ["failed", "failed", "read"] == sorted(inv.readings["status"])
    assert OBJECTS == len(inv.keys)


def test_several_modules_that_hang_are_waited_for_side_by_side(shim):
    """All are asked before the first is waited for, and none is read after its silence."""
    modules = [shim.another(f"h{n}", fault="hang:C_Initialize:1") for n in range(4)]
    inv = tk.collect("pkcs11", modules=modules, silence_seconds=2, show_progress=False)
    assert ["failed"] * 4 == list(inv.readings["status"])
    started = [call for call in shim.calls() if call[0] == "C_Initialize"]
    assert 4 == len(started)


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
    """CKR_FUNCTION_FAILED to a list of many is no reason to lose the object, or an attribute of it."""
    whole = {(key.locator, key.key_uid, key.extractable, key.functions) for key in keys(shim.read())}
    shim.tell(fault="lists:C_GetAttributeValue:1:6")
    assert whole == {(key.locator, key.key_uid, key.extractable, key.functions) for key in keys(shim.read())}


def test_an_object_that_tells_nothing_is_a_gap(shim):
    """Refused whole and one by one: not even its class is known, and that is said."""
    shim.tell(fault="fail:C_GetAttributeValue:1:6")
    rows = shim.read()
    (gap,) = [row for row in rows if isinstance(row, Gap)]
    assert ("CKA_CLASS", "CKR_FUNCTION_FAILED") == (gap.field, gap.code)
    assert f"{OBJECTS} objects" in gap.reason


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


def asked_for_login(shim):
    """What the pack says of the token's login: its verdict and evidence, None where the rule does not apply."""
    inv = tk.collect("pkcs11", modules=[shim.module], pin=shim.pin, silence_seconds=60, show_progress=False)
    found = tk.assess(inv, "pkcs11_custody")
    found = found[(found["rule"] == "asks-for-login") & (found["verdict"] != "NOT_APPLICABLE")]
    assert set(inv.tokens["token_uid"]) >= set(found["subject_uid"])
    return [str(verdict) for verdict in found["verdict"]]


def test_a_token_with_keys_that_asks_for_no_login_is_found(shim):
    """Without CKF_LOGIN_REQUIRED whoever reaches the module uses its keys; the same token with the flag is well."""
    assert ["PASS"] == asked_for_login(shim)
    shim.tell(clear="4")
    assert ["FAIL"] == asked_for_login(shim)


def test_a_token_without_keys_need_not_ask_for_a_login(shim, tool, tmp_path, monkeypatch):
    """There is nothing to use: the rule is quiet."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "empty.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "empty.conf"))
    pins = ["--so-pin", secrets.token_hex(6), "--pin", secrets.token_hex(6)]
    tool("softhsm2-util", "--init-token", "--free", "--label", "empty", *pins)
    shim.pin = None
    shim.tell(clear="4")
    assert [] == asked_for_login(shim)


def test_two_modules_that_show_a_token_read_it_once(shim, shim_made):
    """The real module and the shim over it: one target, one login."""
    reader = shim.reader(modules=(str(shim_made[0].module), shim.module))
    rows = [row for target in reader.targets() for row in reader.collect(target)]
    assert OBJECTS == len(keys(rows))
    assert "C_Login" not in {name for name, _ in shim.calls()}


def test_no_child_is_left(shim):
    """With the collector goes its process."""
    import psutil

    shim.read()
    mine = psutil.Process(os.getpid()).children()
    assert [] == [child for child in mine if "collectors._pkcs11" in " ".join(child.cmdline())]
