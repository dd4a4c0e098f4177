"""Identity: one key, one uid, however it is spelled."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_ssh_public_key,
)

from toolkit.identity import Fingerprinter, canonical_spki, keeper_uid, place_uid, public_facts


def pss_spelling(key: rsa.RSAPublicKey) -> bytes:
    """The same modulus under id-RSASSA-PSS, as its DER SubjectPublicKeyInfo."""
    from asn1crypto.keys import PublicKeyInfo

    info = PublicKeyInfo.load(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    info["algorithm"] = {"algorithm": "rsassa_pss"}
    return info.dump(force=True)


def test_an_rsa_key_is_the_same_under_pss_and_plain_rsa():
    """Two SubjectPublicKeyInfo spellings, two hashes, one uid."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    plain = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    other = load_der_public_key(pss_spelling(key))
    assert plain != pss_spelling(key)
    assert public_facts(key) == public_facts(other)


def test_a_compressed_point_is_the_same_key():
    """RFC 5480 allows both; the uid does not care."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    compressed = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), compressed)
    assert public_facts(key) == public_facts(other)
    assert ("EC", "secp384r1", 384) == (public_facts(key).algorithm, public_facts(key).parameter, 384)


def test_an_ssh_spelling_is_the_same_key():
    """The wire format of OpenSSH carries the same numbers."""
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert public_facts(key) == public_facts(load_ssh_public_key(line))


@pytest.mark.parametrize(
    ("make", "algorithm", "parameter"),
    [
        (lambda: dsa.generate_private_key(1024), "DSA", None),
        (lambda: mldsa.MLDSA65PrivateKey.generate(), "ML-DSA", "ML-DSA-65"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "EC", "secp256k1"),
    ],
)
def test_every_kind_of_key_has_a_name(make, algorithm, parameter):
    """Canonical names, so that rules meet one spelling."""
    facts = public_facts(make().public_key())
    assert (algorithm, parameter) == (facts.algorithm, facts.parameter)
    assert facts.key_uid.startswith("spki:")


def test_the_canonical_form_is_stable():
    """Re-encoding what was re-encoded changes nothing."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    once = canonical_spki(key)
    assert once == canonical_spki(load_der_public_key(once))


def test_a_fingerprint_depends_on_the_pepper_and_shows_nothing():
    """Without the workspace's pepper a fingerprint cannot be tried against guesses."""
    one, other = Fingerprinter(b"a" * 32), Fingerprinter(b"b" * 32)
    assert one.uid(b"canary") == Fingerprinter(b"a" * 32).uid(b"canary")
    assert one.uid(b"canary") != other.uid(b"canary")
    assert "aaaa" not in repr(one)
    assert "canary" not in one.uid(b"canary")


def test_a_short_pepper_is_refused():
    """A pepper that can be guessed protects nothing."""
    with pytest.raises(ValueError, match="32"):
        Fingerprinter(b"short")


def test_keepers_and_places_never_join():
    """The prefix says what a uid rests on."""
    assert keeper_uid("x").split(":")[1] == place_uid("x").split(":")[1]
    assert keeper_uid("x") != place_uid("x")
