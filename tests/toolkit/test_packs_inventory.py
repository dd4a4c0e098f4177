"""All packs over a real inventory: this machine's trust store, a SoftHSM token, and bad keys made for the purpose."""

from __future__ import annotations

import os
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import toolkit as tk
from toolkit import policies, softhsm
from toolkit.terms import Scope

pytestmark = pytest.mark.hsm

FOLDER = Path(policies.__file__).parent
AS_OF = datetime(2026, 11, 27, tzinfo=UTC)
DECIDED = {"PASS", "FAIL", "WARN"}
# Benchmarks of clouds have nothing to say of files and tokens; their attestations are asked for all the same.
CLOUDS = {"cis_aws", "cis_azure", "cis_gcp", "aws_fsbp"}


def made(folder):
    """Bad keys and certificates: a short RSA key that others can read, an odd curve, SHA-1, long lives, a key in a file."""

    def run(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def certify(name, days, *words):
        usage = f"extendedKeyUsage={'codeSigning' if name == 'code' else 'serverAuth,clientAuth'}"
        run("req", "-x509", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}.example", "-days", days, "-out",
            f"{name}.crt", "-addext", "basicConstraints=critical,CA:FALSE", "-addext", usage,
            "-addext", f"subjectAltName=DNS:{name}.example", *words)  # fmt: skip

    run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "short.key")
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", "odd.key")
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "code.key")
    run("genpkey", "-algorithm", "ED25519", "-out", "edwards.key")
    run("genpkey", "-algorithm", "X25519", "-out", "agree.key")
    certify("short", "900", "-sha1")
    certify("odd", "90", "-sha256")
    certify("code", "900", "-sha256")
    certify("edwards", "47")
    (folder / "short.key").chmod(0o644)
    (folder / "odd.key").chmod(0o600)


@pytest.fixture(scope="module")
def inv(tmp_path_factory):
    """One inventory of all of it."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    home = tmp_path_factory.mktemp("estate")
    files = home / "files"
    files.mkdir()
    made(files)
    token = softhsm.make_token(home / "token")
    os.environ.update(token.environment())
    store = ssl.get_default_verify_paths().openssl_capath
    yield tk.collect("keyfiles", "pkcs11", paths=[files, store], modules=[token.module], pin=token.pin,
                     show_progress=False)  # fmt: skip
    os.environ.pop("SOFTHSM2_CONF", None)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """A mapping file by which everything is in every scope."""
    path = tmp_path_factory.mktemp("scopes") / "scopes.toml"
    path.write_text(f"default = {[scope.value for scope in Scope]}\n".replace("'", '"'))
    return path


@pytest.fixture(scope="module")
def found(inv, everywhere):
    """What every pack there is says of it, drafts and the withdrawn chart included."""
    names = [path.stem for path in sorted(FOLDER.glob("*.toml"))]
    return tk.assess(inv, *names, as_of=AS_OF, scopes=everywhere)


def test_the_estate_is_what_it_should_be(inv):
    """A trust store, a token with triple DES, and the bad keys: else the tests below prove nothing."""
    assert len(inv.certificates) > 100
    assert {"RSA", "EC", "AES", "TDEA", "Ed25519", "X25519"} <= set(tk.keys(inv)["algorithm"])


def test_every_pack_has_its_say(found):
    """Each decides something of this estate; those on clouds ask for what people must attest."""
    decided = set(found.loc[found["verdict"].isin(DECIDED), "pack"])
    packs = {path.stem for path in FOLDER.glob("*.toml")}
    in_force = {name for name in packs if policies.load(FOLDER / f"{name}.toml").status == "in-force"}
    # Who may use a key is asked of keepers that have policies: tests/collectors/test_aws_key_access.py.
    assert in_force - CLOUDS - {"key_access"} <= decided
    assert CLOUDS <= set(found.loc[found["verdict"] == "ATTESTATION_REQUIRED", "pack"])


def test_what_is_bad_is_found_by_who_forbids_it(found):
    """The short key, SHA-1, the long life, the odd curve, Ed25519 in public TLS, a code-signing key in a file."""
    fails = found[found["verdict"] == "FAIL"]
    told = set(zip(fails["pack"], fails["rule"], strict=True))
    assert {
        ("nist_sp800_131a", "rsa-size"), ("nist_sp800_131a", "certificate-signature"), ("pci_dss_4_0_1", "strong-rsa"),
        ("pci_dss_4_0_1", "fewest-readers"), ("cabf_tls", "key-algorithm"), ("cabf_tls", "validity-200"),
        ("cabf_tls", "rsa-size"), ("cabf_tls", "no-sha1"), ("cabf_code_signing", "in-hardware"),
        ("cabf_code_signing", "validity-460"), ("cnsa_2_0", "p-384"), ("fips_140_3", "approved-algorithm"),
    } <= told  # fmt: skip


def test_no_guideline_and_no_draft_fails(found):
    """Whatever lies in an estate."""
    idle = found["binding"].eq("guideline") | found["is_draft"] | found["status"].ne("in-force")
    assert not (found.loc[idle, "verdict"] == "FAIL").any()
    assert (found.loc[idle, "verdict"] == "WARN").any()


def test_pci_and_nist_disagree_on_triple_des_and_both_are_shown(found):
    """PCI's glossary lists triple-length TDES, NIST disallows it since 2024: one key, a WARN and a FAIL, each with its clause."""
    fails = found[(found["pack"] == "nist_sp800_131a") & (found["rule"] == "tdea") & (found["verdict"] == "FAIL")]
    uid = fails["subject_uid"].iloc[0]
    pci = found[(found["pack"] == "pci_dss_4_0_1") & (found["subject_uid"] == uid) & (found["topic"] == "algorithm")]
    said = dict(zip(pci["rule"], pci["verdict"], strict=True))
    assert "WARN" == said["tdes-conflict"]
    assert "FAIL" not in said.values()
    assert "glossary" in pci.loc[pci["rule"] == "tdes-conflict", "clause"].iloc[0]


def test_without_a_mapping_nothing_is_guessed_to_be_in_scope(inv):
    """Nobody said what holds account data: PCI DSS can pass and fail nothing."""
    found = tk.assess(inv, "pci_dss_4_0_1", "hipaa", "cnsa_2_0", as_of=AS_OF)
    judged = found[found["subject"] != "inventory"]
    assert {"INDETERMINATE"} == set(judged["verdict"])
    assert judged["missing"].map(lambda names: "scopes" in list(names)).all()
