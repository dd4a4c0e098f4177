"""The custody pack over a real SoftHSM2 token that breaks each of its rules once, beside a key that keeps them all."""

from __future__ import annotations

import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import toolkit as tk
from toolkit import policies, softhsm

pytestmark = pytest.mark.hsm
# python-pkcs11's own defaults are its user's: what each key breaks stands here.
FILL = """
import sys, datetime, pkcs11
from pkcs11 import Attribute as A, KeyType, MechanismFlag as M, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters
from pkcs11.util.x509 import decode_x509_certificate
module, label, pin, certificate = sys.stdin.read().split()
day = lambda year: datetime.date(year, 1, 15)
dates = {A.START_DATE: day(2026), A.END_DATE: day(2099)}
inside = {A.EXTRACTABLE: False, A.SENSITIVE: True}
with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=pin) as s:
    def pair(n, name, template=None, dates=None, uses=M.SIGN | M.VERIFY):
        return s.generate_keypair(KeyType.RSA, 2048, id=bytes([n]), label=name, store=True, capabilities=uses,
                                  private_template={**inside, **(template or {})}, public_template=dates or {})
    pair(1, "payments-signing", dates=dates)
    pair(2, "leaks", {A.EXTRACTABLE: True, A.SENSITIVE: False})
    pair(3, "open-to-all", {A.PRIVATE: False})
    pair(4, "does-everything", uses=M.SIGN | M.VERIFY | M.ENCRYPT | M.DECRYPT | M.WRAP | M.UNWRAP)
    pair(5, "Test")
    pair(6, "twin-a")
    pair(6, "twin-b")
    public, private = pair(7, "widow")
    private.destroy()
    s.generate_key(KeyType.AES, 256, id=b"8", label="wraps-and-decrypts", store=True, template=inside,
                   capabilities=M.ENCRYPT | M.DECRYPT | M.WRAP | M.UNWRAP)
    s.create_object({A.CLASS: ObjectClass.SECRET_KEY, A.KEY_TYPE: KeyType.AES, A.TOKEN: True, A.PRIVATE: True,
                     A.SENSITIVE: True, A.EXTRACTABLE: False, A.LABEL: "brought-in", A.ID: b"9", A.VALUE: bytes(32)})
    told = decode_x509_certificate(bytes.fromhex(certificate))
    s.create_object({**told, A.TOKEN: True, A.ID: b"C", A.LABEL: "keyless"})
"""


def certificate():
    """A certificate whose key lies nowhere, DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keyless")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, datetime(2026, 1, 1, tzinfo=UTC),
                                   datetime(2027, 1, 1, tzinfo=UTC))  # fmt: skip
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """The token's module, its PIN's handle and its folder; its label is a placeholder."""
    module = softhsm.find()
    if module is None:
        pytest.skip("SoftHSM2 is not installed")
    folder, pin = tmp_path_factory.mktemp("bad"), secrets.token_hex(6)
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    (folder / "pin").write_text(pin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        words = ["softhsm2-util", "--init-token", "--free", "--label", "test", "--so-pin", secrets.token_hex(6)]
        subprocess.run([*words, "--pin", pin], check=True, capture_output=True)
        given = f"{module}\ntest\n{pin}\n{certificate().hex()}"
        subprocess.run([sys.executable, "-P", "-c", FILL], input=given, text=True, check=True)
        yield module, f"file:{folder / 'pin'}"


@pytest.fixture(scope="module")
def verdicts(bad):
    """What the pack says: rule and subject to verdict; a key's subject is its label."""
    module, pin = bad
    inv = tk.collect("pkcs11", modules=[module], pin=pin, silence_seconds=60, show_progress=False)
    labels = {row.key_uid: row.label for row in inv.keys.itertuples() if isinstance(row.label, str)}
    labels |= {row.certificate_uid: row.label for row in inv.certificates.itertuples()}
    labels |= {row.token_uid: "the token" for row in inv.tokens.itertuples()}
    found = tk.assess(inv, "pkcs11_custody")
    return {(row.rule, labels[row.subject_uid]): str(row.verdict) for row in found.itertuples()}


BREAKS = {
    "not-extractable": ("leaks", "FAIL"),
    "never-extractable": ("leaks", "WARN"),
    "sensitive": ("leaks", "FAIL"),
    "always-sensitive": ("leaks", "WARN"),
    "generated-inside": ("brought-in", "WARN"),
    "start-date": ("leaks", "WARN"),
    "end-date": ("leaks", "WARN"),
    "single-purpose": ("does-everything", "WARN"),
    "wraps-or-encrypts": ("wraps-and-decrypts", "FAIL"),
    "needs-login": ("open-to-all", "FAIL"),
    "telling-label": ("Test", "WARN"),
    "own-id": ("twin-a", "WARN"),
    "public-has-private": ("widow", "WARN"),
    "certificate-has-key": ("keyless", "WARN"),
    "has-backup": ("does-everything", "WARN"),
    "no-forbidden-mechanism": ("the token", "WARN"),
    "telling-token-label": ("the token", "WARN"),
    "fips-validated": ("the token", "WARN"),
}
# What no SoftHSM2 token can be made to say; the shim tells these in test_pkcs11_faults.
OF_FLAGS = {"asks-for-login", "pin-healthy", "pin-changed"}


@pytest.mark.parametrize("rule", BREAKS)
def test_each_finding_fires_on_a_real_token_for_what_breaks_it(verdicts, rule):
    """The key, certificate or token that breaks the rule is found, and the key that keeps it is not."""
    subject, verdict = BREAKS[rule]
    assert verdict == verdicts[rule, subject]
    assert verdicts.get((rule, "payments-signing")) in ("PASS", "NOT_APPLICABLE", None)


def test_no_rule_of_the_pack_is_without_its_token():
    """A rule that comes has to show itself on a token."""
    pack = policies.load(Path(policies.__file__).with_name("pkcs11_custody.toml"))
    assert {rule.id for rule in pack.rules} == set(BREAKS) | OF_FLAGS


def test_a_wrong_pin_of_somebody_else_is_found(bad, tmp_path, monkeypatch):
    """SoftHSM2 says that its count is low, and the pack says so."""
    module, _ = bad
    inv = tk.collect("pkcs11", modules=[module], silence_seconds=60, show_progress=False)
    assert {"PASS"} == set(tk.assess(inv, "pkcs11_custody").set_index("rule").loc[["pin-healthy"], "verdict"])
    (tmp_path / "wrong").write_text(secrets.token_hex(6))
    wrong = {"modules": [module], "pin": f"file:{tmp_path / 'wrong'}", "silence_seconds": 60}
    tk.collect("pkcs11", **wrong, show_progress=False)
    again = tk.collect("pkcs11", modules=[module], silence_seconds=60, show_progress=False)
    assert {"WARN"} == set(tk.assess(again, "pkcs11_custody").set_index("rule").loc[["pin-healthy"], "verdict"])


def test_a_token_whose_keys_nobody_may_see_is_not_passed_over(tmp_path, monkeypatch):
    """After a wrong PIN we do not log in, and how many keys there are is unknown: that its count is low is still told."""
    module = softhsm.find()
    if module is None:
        pytest.skip("SoftHSM2 is not installed")
    pin, wrong = secrets.token_hex(6), tmp_path / "wrong"
    wrong.write_text(secrets.token_hex(6))
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    words = ["softhsm2-util", "--init-token", "--free", "--label", "hidden", "--so-pin", secrets.token_hex(6)]
    subprocess.run([*words, "--pin", pin], check=True, capture_output=True)
    words = [
        "pkcs11-tool",
        "--module",
        module,
        "--login",
        "--pin",
        pin,
        "--keygen",
        "--key-type",
        "AES:32",
        "--private",
    ]
    subprocess.run(words, check=True, capture_output=True)
    asked = {"modules": [module], "pin": f"file:{wrong}", "silence_seconds": 60, "show_progress": False}
    tk.collect("pkcs11", **asked)

    inv = tk.collect("pkcs11", **asked)

    assert inv.tokens["keys"].isna().all()
    verdicts = tk.assess(inv, "pkcs11_custody").set_index("rule")["verdict"]
    assert "WARN" == verdicts["pin-healthy"]
    assert "INDETERMINATE" == verdicts["pin-changed"]
