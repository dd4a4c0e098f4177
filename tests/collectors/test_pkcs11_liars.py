"""pkcs11 against modules that lie about sizes, names and listings, that print and fork; and what must never surface."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import toolkit as tk
from toolkit.model import Gap, Key, Token
from toolkit.terms import KeyType

pytestmark = pytest.mark.hsm
OBJECTS = 9


def keys(rows):
    """Its keys."""
    return [row for row in rows if isinstance(row, Key)]


@pytest.mark.parametrize("lie", ["long", "unavailable", "none", "untouched", "stale"])
def test_an_object_whose_sizes_are_lies_tells_nothing_and_is_a_gap(shim, lie):
    """CKR_OK with impossible lengths, none, or no value written: never another object's value, never silence."""
    shim.tell(lie=lie)
    rows = shim.read()
    assert [] == keys(rows)
    assert ["CKA_CLASS"] == [row.field for row in rows if isinstance(row, Gap)]
    assert f"{OBJECTS} objects" in next(row.reason for row in rows if isinstance(row, Gap))


@pytest.mark.parametrize("lie", ["endless", "many"])
def test_a_listing_that_lies_about_its_count_ends(shim, lie):
    """Objects told again and again are told once; a count above the room is the room's."""
    whole = sorted(key.locator for key in keys(shim.read()))
    shim.tell(lie=lie)
    assert whole == sorted({key.locator for key in keys(shim.read())})


def test_mechanisms_that_were_announced_and_not_given_are_none(shim):
    """Fewer than the module said there were: what lies in the memory behind them is no mechanism."""
    (whole,) = [row for row in shim.read() if isinstance(row, Token)]
    shim.tell(lie="fewer")
    (token,) = [row for row in shim.read() if isinstance(row, Token)]
    assert whole.mechanisms == token.mechanisms


@pytest.mark.parametrize("text", [b"caf\xe9 \xff\xfe", b"label\0behind", "𝔘nicode <b>".encode(), b"x" * (1 << 20)])
def test_a_label_may_be_anything(shim, tmp_path, text):
    """Latin-1, a zero, HTML and a megabyte: a short text in a row each, and no object is lost."""
    (tmp_path / "label").write_bytes(text)
    shim.tell(text=tmp_path / "label")
    labels = {key.label for key in keys(shim.read())}
    assert OBJECTS == len(keys(shim.read()))
    assert all(label is None or ("behind" not in label and len(label) <= 501) for label in labels)


def test_a_tokens_label_may_be_anything(shim, tmp_path):
    """Bytes that are no UTF-8, and what a module forgot to wipe behind a zero."""
    (tmp_path / "label").write_bytes(b"m\xfcnz\0rest")
    shim.tell(label=tmp_path / "label")
    (token,) = [row for row in shim.read() if isinstance(row, Token)]
    assert "m�nz" == token.label


def test_two_slots_of_one_name_are_read_apart_and_one_wrong_pin_is_tried(shim, own_token, tmp_path):
    """Serial numbers that vendors leave at zero hide no token; the PIN is tried at the first only."""
    (tmp_path / "wrong").write_text(secrets.token_hex(4))
    shim.tell(twice=1)
    reader = shim.reader(pin=f"file:{tmp_path / 'wrong'}")
    targets = list(reader.targets())
    assert [False, True] == [";slot-id=" in target.locator for target in targets]
    tokens = [row for target in targets for row in reader.collect(target) if isinstance(row, Token)]
    assert 2 == len(tokens)
    assert 1 == [name for name, _ in shim.calls()].count("C_Login")


def children():
    """Our processes, and theirs."""
    return psutil.Process().children(recursive=True)


def test_what_a_module_prints_is_no_answer(shim):
    """Garbage, our own words and its PIN on standard output: the rows are as without it."""
    shim.tell(fault="noise:C_GetAttributeValue:1")
    assert OBJECTS == len(keys(shim.read()))


def test_what_a_module_starts_goes_with_it(shim):
    """A process it forked keeps neither us waiting nor itself alive."""
    before = {child.pid for child in children()}
    shim.tell(fault="fork:C_FindObjects:1")
    assert OBJECTS == len(keys(shim.read()))
    assert "FORKED" in {name for name, _ in shim.calls()}
    assert set() == {child.pid for child in children() if child.status() != psutil.STATUS_ZOMBIE} - before


SECRET = """
import sys, pkcs11
from pkcs11 import Attribute as A
module, label, pin, value = sys.stdin.read().split()
with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=pin) as s:
    s.create_object({A.CLASS: pkcs11.ObjectClass.SECRET_KEY, A.KEY_TYPE: pkcs11.KeyType.AES, A.TOKEN: True,
                     A.PRIVATE: True, A.SENSITIVE: False, A.EXTRACTABLE: True, A.LABEL: "planted", A.ID: b"P",
                     A.VALUE: bytes.fromhex(value)})
"""


@pytest.fixture
def planted(own_token):
    """A token with a secret key whose value we know and that anybody who logs in may read; its value."""
    value = secrets.token_bytes(32)
    pin = Path(own_token.pin.removeprefix("file:")).read_text()
    given = f"{own_token.module}\n{own_token.label}\n{pin}\n{value.hex()}"
    subprocess.run([sys.executable, "-P", "-c", SECRET], input=given, text=True, check=True)
    return value


@pytest.mark.parametrize("words", [{}, {"class": "4:1"}, {"class": "4:2", "key": "1f:4a"}, {"fault": "noise:C_Login:1"},
                                   {"fault": "segv:C_FindObjects:1"}, {"fault": "fail:C_Login:1:a0"}])  # fmt: skip
def test_neither_pin_nor_material_surfaces_anywhere(shim, planted, tmp_path, monkeypatch, capfd, caplog, words):
    """A PIN from the environment and an extractable key's value, also where the module calls the key a certificate or a
    public key, prints its PIN, dies, or refuses it: in no row, file, log or output, and the child's environment and
    arguments lack the PIN."""
    pin = Path(shim.pin.removeprefix("file:")).read_text()
    monkeypatch.setenv("CANARY_PIN", pin)
    shim.tell(peek=tmp_path / "peek", **words)
    work = tmp_path / "workspace"
    options = {"modules": [shim.module], "pin": "env:CANARY_PIN", "silence_seconds": 60}
    inv = tk.collect("pkcs11", **options, into=work, show_progress=False)
    tk.assess(inv, "pkcs11_custody").to_json(work / "findings.json")
    tk.export(inv, "jsonl", work / "out")
    assert b"SHIM_MODULE" in (tmp_path / "peek").read_bytes()
    held = [path.read_bytes() for path in work.rglob("*") if path.is_file()] + [(tmp_path / "peek").read_bytes()]
    out = capfd.readouterr()
    held += [out.out.encode(), out.err.encode(), caplog.text.encode(), inv.gaps.to_json().encode()]
    for canary in (pin.encode(), planted, planted.hex().encode(), planted.hex().upper().encode()):
        assert [] == [len(text) for text in held if canary in text]
    assert [] == list(Path.cwd().glob("core*")) + list(tmp_path.rglob("core*"))


def test_a_secret_key_called_something_else_keeps_its_kind_of_row(shim, planted):
    """It is a key by its number, or a malformed certificate: never lost."""
    shim.tell(**{"class": "4:80000009"})
    assert 4 == sum(key.key_type is KeyType.UNKNOWN for key in keys(shim.read()))
