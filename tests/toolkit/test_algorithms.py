"""Strengths: each number beside the table it is from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("name", ["ML_KEM_768", "ml-kem-768", "MLKEM768"])
def test_a_name_that_says_its_parameter_set_is_enough(name):
    """Providers give one word where others give two."""
    assert 3 == strength(name, None, None).nist_quantum_category


@pytest.mark.parametrize(
    ("algorithm", "parameter", "bits"),
    [
        ("EC", "P-256", 128),
        ("EC", "1.3.132.0.34", 192),
        ("ECDSA", "x962/prime256v1", 128),
        ("ECC_NIST_P521", None, 256),
        ("EC", "brainpoolP320t1", 128),
        ("EC", "B-233", 112),
        ("EdDSA", "Ed448", 224),
        ("openpgp:22", "1.3.6.1.4.1.11591.15.1", 128),
        ("EC", "Curve25519", 128),
        ("RSA_SIGN_PSS_3072_SHA256", None, 128),
        ("nistp384", None, 192),
        ("MLDSA65-ECDSA-P384-SHA512", None, 192),
    ],
)
def test_what_a_name_says_of_curve_and_size_is_heard(algorithm, parameter, bits):
    """SP 800-57 part 1 r5 table 2, by any spelling and without a size; a field of 320 bits counts as 256 do."""
    assert bits == strength(algorithm, parameter, None).security_strength_bits


def test_the_size_of_the_key_has_the_word_over_its_name():
    """A keeper's word for a key does not lengthen it."""
    assert 80 == strength("RSA_2048", None, 1024).security_strength_bits
    assert 192 == strength("ES256", "secp384r1", None).security_strength_bits


@pytest.mark.parametrize("name", ["EdDSA", "OKP", "openpgp:22"])
def test_a_name_of_two_curves_has_no_strength_without_its_curve(name):
    """Falls to Shor either way; how strong it is until then is not told."""
    assert Strength(None, 0, "broken") == strength(name, None, None)


@given(st.sampled_from(["RSA", "DSA", "DH", "EC", "AES", "HMAC"]), st.integers(0, 20000), st.integers(0, 5000))
def test_a_longer_key_is_never_weaker(algorithm, size_bits, more):
    """Strength does not fall with size."""
    less = strength(algorithm, None, size_bits).security_strength_bits
    bits = strength(algorithm, None, size_bits + more).security_strength_bits
    assert less is not None
    assert bits is not None
    assert less <= bits
