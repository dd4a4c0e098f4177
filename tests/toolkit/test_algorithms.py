"""Strengths: each number beside the table it is from."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit import algorithms
from toolkit.algorithms import Strength, canonical, strength

# SP 800-57 part 1 r5 table 2 (and r6 draft tables 3 to 6): comparable strengths.
TABLE_2 = [
    ("RSA", None, 1024, 80),
    ("RSA", None, 2048, 112),
    ("RSA", None, 3072, 128),
    ("RSA", None, 7680, 192),
    ("RSA", None, 15360, 256),
    ("DSA", None, 2048, 112),
    ("DH", None, 3072, 128),
    ("EC", "secp224r1", 224, 112),
    ("EC", "secp256r1", 256, 128),
    ("EC", "secp384r1", 384, 192),
    ("EC", "secp521r1", 521, 256),
    ("TDEA", "3TDEA", 168, 112),
    ("TDEA", "2TDEA", 112, 80),
    ("AES", None, 128, 128),
    ("AES", None, 192, 192),
    ("AES", None, 256, 256),
    ("Ed25519", None, 256, 128),
]


@pytest.mark.parametrize(("algorithm", "parameter", "size_bits", "expected"), TABLE_2)
def test_classical_strength_is_that_of_the_table(algorithm, parameter, size_bits, expected):
    """SP 800-57 part 1 r5, 5.6.1.1, table 2."""
    assert expected == strength(algorithm, parameter, size_bits).security_strength_bits


@pytest.mark.parametrize(("size_bits", "category"), [(128, 1), (192, 3), (256, 5)])
def test_aes_gives_the_categories_their_meaning(size_bits, category):
    """The categories 1, 3 and 5 are defined by AES-128, -192 and -256 key search (r6 draft, table 5)."""
    assert category == strength("AES", None, size_bits).nist_quantum_category


@pytest.mark.parametrize(("name", "category"), [("ML-KEM-512", 1), ("ML-KEM-768", 3), ("ML-KEM-1024", 5)])
def test_ml_kem_categories(name, category):
    """FIPS 203, section 8."""
    assert Strength(None, category, "resistant") == strength("ML-KEM", name, None)


@pytest.mark.parametrize("name", ["ssh-rsa", "rsaEncryption", "RSASSA-PSS", "rsa", "CKK_RSA"])
def test_every_spelling_meets_one_name(name):
    """Collectors meet many spellings."""
    assert "RSA" == canonical(name)


def test_an_unknown_name_has_no_strength():
    """Unknown is neither weak nor strong."""
    assert Strength() == strength("Frobnicate", None, 4096)
    assert Strength() == strength(None, None, None)


def test_an_rsa_key_of_unknown_size_has_no_strength_but_falls_to_shor():
    """What is known is said, what is not is None."""
    assert Strength(None, 0, "broken") == strength("RSA", None, None)


def test_every_key_spec_of_kms_is_known():
    """botocore's own model names them; one that is added there is missed here until this fails."""
    model = pytest.importorskip("botocore.session").get_session().get_service_model("kms")
    shapes = ("KeySpec", "SigningAlgorithmSpec", "EncryptionAlgorithmSpec")
    assert [] == [name for shape in shapes for name in model.shape_for(shape).enum if canonical(name) is None]


def test_every_key_type_of_pkcs11_is_known():
    """python-pkcs11's enumeration, without those that are no cipher we rate."""
    names = {kind.name for kind in pytest.importorskip("pkcs11").KeyType}
    unrated = {name for name in names if canonical(name) is None}
    assert unrated <= {
        "_KEA", "_BATON", "_JUNIPER", "_CDMF", "SECURID", "HOTP", "ACTI", "_MD5_HMAC", "_RIPEMD128_HMAC",
        "_RIPEMD160_HMAC", "GOSTR3411", "EC_EDWARDS", "_VENDOR_DEFINED",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH")
@pytest.mark.parametrize("kind", ["key", "kex"])
def test_every_name_that_ssh_speaks_is_known(kind):
    """`ssh -Q` says which; newer ones say more."""
    told = subprocess.run(["ssh", "-Q", kind], capture_output=True, text=True, check=True).stdout.split()
    assert told
    assert [] == [name for name in told if canonical(name) is None]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs OpenSSL")
def test_every_key_algorithm_of_openssl_is_known():
    """All names and object identifiers that it lists for key management, without key derivation and bare MACs."""
    run = subprocess.run(["openssl", "list", "-public-key-algorithms"], capture_output=True, text=True, check=True)
    ids = [line.split("IDs:")[1].split("@")[0].strip(" {}") for line in run.stdout.splitlines() if "IDs:" in line]
    others = {"TLS1-PRF", "HKDF", "SCRYPT", "SIPHASH", "POLY1305", "CMAC"}
    lists = [[name.strip() for name in told.split(",")] for told in ids]
    rated = [name for names in lists if others.isdisjoint(names) for name in names]
    assert rated
    assert [] == [name for name in rated if canonical(name) is None]


@pytest.mark.parametrize("name", ["ML_KEM_768", "ml-kem-768", "MLKEM768"])
def test_a_name_that_says_its_parameter_set_is_enough(name):
    """Providers give one word where others give two."""
    assert 3 == strength(name, None, None).nist_quantum_category


def test_no_spelling_means_two_algorithms():
    """The file would answer by the order of its tables."""
    data = tomllib.loads(Path(algorithms.__file__).with_name("algorithms.toml").read_text())
    seen = {}
    for name, facts in data.items():
        for spelling in (name, *facts.get("aliases", ())):
            assert seen.setdefault(spelling.casefold(), name) == name, spelling


@given(st.sampled_from(["RSA", "DSA", "DH", "EC", "AES", "HMAC"]), st.integers(0, 20000), st.integers(0, 5000))
def test_a_longer_key_is_never_weaker(algorithm, size_bits, more):
    """Strength does not fall with size."""
    less = strength(algorithm, None, size_bits).security_strength_bits
    bits = strength(algorithm, None, size_bits + more).security_strength_bits
    assert less is not None
    assert bits is not None
    assert less <= bits
