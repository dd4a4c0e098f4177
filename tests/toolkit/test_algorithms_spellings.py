"""Spellings: what others' libraries, tools and headers call algorithms is known, and means one thing."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from toolkit import algorithms
from toolkit.algorithms import canonical, curve, meaning, strength

DATA = Path(algorithms.__file__).parent
KINDS = {None, "signature", "encryption", "key-agreement", "kem", "mac", "cipher"}
NO_KEYS = re.compile(
    r"(SHA|MD2|MD5|RIPEMD|BLAKE2B)(_?\d+)*(_160|_256|_384|_512|_T|_224)*(_KEY_(GEN|DERIVATION|DERIVE))?$|FASTHASH|SHAKE"
    r"|GOSTR3411|PBE|PBA|PKCS5|PKCS12|SSL3|TLS|WTLS|HKDF|SP800_108|CONCATENATE|XOR_|EXTRACT_|KEY_WRAP|CMS_SIG|KIP|HOTP|ACTI"
    r"|SECURID|FORTEZZA|VENDOR|NSS|NETSCAPE|FAKE|INVALID|NULL|IKE|X2RATCHET|X3DH|XEDDSA|POLY1305|PUB_KEY_FROM|.*KEY_DERIVATION"
)
"""Mechanisms that are no key's: hashes, derivations, passwords, TLS, one-time passwords, vendors' own."""
UNRATED = re.compile(r"(CKM_)?_?(KEA|BATON|JUNIPER|CDMF)")
"""Ciphers of which no public source says how strong they are."""


def told_by(*command):
    """What a tool says, or a skipped test."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def unknown(names):
    """Those that mean nothing to us, of some."""
    names = list(names)
    assert names
    return [name for name in names if canonical(name) is None]


def rows():
    """Every row of names: its file, what it says, its names."""
    for file in sorted((DATA / "spellings").glob("*.toml")):
        yield from ((file.stem, row, row["names"]) for row in tomllib.loads(file.read_text())["names"])


def test_every_row_has_its_mark_its_source_and_a_known_family():
    """Nothing stands there that nobody could check."""
    families = tomllib.loads((DATA / "families.toml").read_text())
    for file, row, names in rows():
        assert names, (file, row)
        assert row["mark"] in "PSK", (file, names)
        assert row["source"], (file, names)
        assert row["family"] in families, (file, names)
        assert row.get("kind") in KINDS, (file, names)
    for name, facts in (families | tomllib.loads((DATA / "curves.toml").read_text())).items():
        assert facts["mark"] in "PSK", name


def test_a_parameter_set_that_a_row_names_is_one_of_its_family():
    """A misspelt one would lose its category or its size."""
    families = tomllib.loads((DATA / "families.toml").read_text())
    for _, row, names in rows():
        if "parameter" in row:
            facts = families[row["family"]]
            sets = {**facts.get("parameter_categories", {}), **facts.get("parameters", {})}
            assert row["parameter"] in sets or curve(row["parameter"]), names


def test_no_spelling_means_two_things():
    """Neither as it is written nor by its letters and digits; the answer would go by the order of files."""
    families = tomllib.loads((DATA / "families.toml").read_text())
    plain = [(alias, (name, None, None)) for name, facts in families.items() for alias in facts.get("aliases", ())]
    said = [
        (name, (row["family"], row.get("parameter"), row.get("size_bits")))
        for _, row, names in rows()
        for name in names
    ]
    own = [(name, (name, None, None)) for name in families if not meaning(name).parameter]  # else a row says more of it
    meant, bare = defaultdict(set), defaultdict(set)
    for name, told in [*plain, *said, *own]:
        meant[name.casefold()].add(told)
        if not algorithms._REGISTERED.match(name.casefold()):
            bare[algorithms._bare(name)].add(told[0])
    assert {} == {name: told for name, told in meant.items() if len(told) > 1}
    assert {} == {name: told for name, told in bare.items() if len(told) > 1}


def test_no_curve_has_the_name_of_another():
    """And each spelling finds its own."""
    data = tomllib.loads((DATA / "curves.toml").read_text())
    for name, facts in data.items():
        assert [] == [spelling for spelling in (name, *facts["names"]) if curve(spelling).name != name]


def test_curves_and_object_identifiers_of_cryptography_are_known():
    """pyca/cryptography: every curve with its size, and every identifier of a key or a signature."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import PublicKeyAlgorithmOID, SignatureAlgorithmOID

    classes = [cls for cls in vars(ec).values() if isinstance(cls, type) and issubclass(cls, ec.EllipticCurve)]
    named = [cls() for cls in classes if not cls.__abstractmethods__]
    assert len(named) > 8
    assert [(c.name, c.key_size) for c in named] == [(c.name, curve(c.name).size_bits) for c in named]
    on = [(name, oid.dotted_string) for name, oid in vars(ec.EllipticCurveOID).items() if not name.startswith("_")]
    assert [curve(name).name for name, _ in on] == [curve(oid).name for _, oid in on]
    for listed in (PublicKeyAlgorithmOID, SignatureAlgorithmOID):
        told = {name: oid.dotted_string for name, oid in vars(listed).items() if not name.startswith("_")}
        told.pop("UNSIGNED", None)
        assert [] == unknown(told.values())


def test_names_of_asn1crypto_are_known():
    """Its maps from identifiers to names: both sides mean the same."""
    from asn1crypto.algos import SignedDigestAlgorithmId
    from asn1crypto.keys import NamedCurve, PublicKeyAlgorithmId

    assert [] == [
        pair for pair in NamedCurve._map.items() if len({getattr(curve(name), "name", name) for name in pair}) > 1
    ]
    pairs = [*SignedDigestAlgorithmId._map.items(), *PublicKeyAlgorithmId._map.items()]
    # It reads the identifier of X9.42 keys as `dh`, which is ours as well.
    assert [] == [pair for pair in pairs if len({canonical(name) or name for name in pair}) > 1]


def test_every_curve_of_openssl_is_known_with_its_size():
    """`openssl ecparam -list_curves`."""
    told = re.sub(r":\s*\n\s+", ": ", told_by("openssl", "ecparam", "-list_curves"))
    found = re.findall(r"^\s*(\S+?)\s*: .*?(\d+) bit", told, re.MULTILINE)
    assert len(found) > 50
    assert [] == [(name, size) for name, size in found if curve(name) is None or curve(name).size_bits != int(size)]


@pytest.mark.parametrize("kind", ["public-key", "signature", "kem", "key-exchange"])
def test_every_algorithm_of_openssl_is_known(kind):
    """All names and identifiers that it lists, without derivations and bare MACs."""
    told = told_by("openssl", "list", f"-{kind}-algorithms")
    lines = [line.partition(" @ ")[0].split("IDs:")[-1].strip(" {}") for line in told.splitlines() if " @ " in line]
    lists = [[name.strip() for name in line.split(",")] for line in lines]
    others = {"TLS1-PRF", "HKDF", "SCRYPT", "SIPHASH", "POLY1305", "CMAC"}
    assert [] == unknown(name for names in lists if others.isdisjoint(names) for name in names)


@pytest.mark.parametrize("kind", ["key", "sig", "kex", "cipher", "mac"])
def test_every_name_that_ssh_speaks_is_known(kind):
    """`ssh -Q` says which; newer ones say more. UMAC has no key of its own that is kept."""
    assert [] == unknown(name for name in told_by("ssh", "-Q", kind).split() if not name.startswith("umac"))


def test_newer_key_exchanges_of_openssh_are_known():
    """Written down from its release notes (9.9), for the machine may have an older one."""
    assert 3 == strength("mlkem768x25519-sha256", None, None).nist_quantum_category


def test_every_key_type_and_mechanism_of_python_pkcs11_is_known():
    """Its enumerations, without what is no key's."""
    pkcs11 = pytest.importorskip("pkcs11")
    types = {f"CKK_{kind.name.lstrip('_')}" for kind in pkcs11.KeyType}
    names = {f"CKM_{mechanism.name.lstrip('_')}" for mechanism in pkcs11.Mechanism}
    assert [] == unknown(n for n in sorted(types | names) if not NO_KEYS.match(n[4:]) and not UNRATED.match(n[4:]))


def test_every_key_type_and_mechanism_of_a_header_is_known():
    """The header that NSS ships, which follows the standard further than we can install a library for."""
    header = Path("/usr/include/nss/pkcs11t.h")
    if not header.exists():
        pytest.skip("needs NSS's headers")
    names = sorted(set(re.findall(r"#define\s+(CK[KM]_[A-Z0-9_]+)", header.read_text())))
    assert [] == unknown(name for name in names if not NO_KEYS.match(name[4:]) and not UNRATED.match(name[4:]))


@pytest.mark.parametrize(
    ("service", "shapes"),
    [
        ("kms", ("KeySpec", "SigningAlgorithmSpec", "EncryptionAlgorithmSpec", "MacAlgorithmSpec")),
        ("acm", ("KeyAlgorithm",)),
        ("acm-pca", ("KeyAlgorithm", "SigningAlgorithm")),
        ("payment-cryptography", ("KeyAlgorithm", "WrappingKeySpec")),
        ("ec2", ("KeyType", "EkPubKeyType")),
    ],
)
def test_every_key_spec_of_aws_is_known(service, shapes):
    """botocore's own model names them; one that is added there is missed here until this fails."""
    model = pytest.importorskip("botocore.session").get_session().get_service_model(service)
    assert [] == unknown(name for shape in shapes for name in model.shape_for(shape).enum)


def test_every_algorithm_of_joserfc_is_known():
    """All of its registries, without `none`, `dir` and what rests on a password."""
    jwe, jws = (pytest.importorskip(f"joserfc.{name}") for name in ("jwe", "jws"))
    names = [*jws.JWSRegistry.algorithms, *jwe.JWERegistry.algorithms["alg"], *jwe.JWERegistry.algorithms["enc"]]
    assert [] == unknown(name for name in names if name not in ("none", "dir") and not name.startswith("PBES2"))


def test_categories_by_object_identifier():
    """NIST's arcs 4.3 and 4.4: FIPS 203, 204 and 205 give each set its category."""
    arc = "2.16.840.1.101.3.4"
    expected = {f"{arc}.4.{n}": c for n, c in ((1, 1), (2, 3), (3, 5))}
    expected |= {f"{arc}.3.{n}": c for n, c in ((17, 2), (18, 3), (19, 5))}
    expected |= {f"{arc}.3.{20 + n}": (1, 3, 5)[n % 6 // 2] for n in range(12)}
    assert expected == {oid: strength(oid, None, None).nist_quantum_category for oid in expected}


def test_drafts_say_that_they_are():
    """Composites and what rests on a draft may change; what is final is no draft."""
    assert all(meaning(f"1.3.6.1.5.5.7.6.{number}").is_draft for number in range(37, 67))
    assert not meaning("2.16.840.1.101.3.4.3.18").is_draft
