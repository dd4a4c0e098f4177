"""Formats: whatever the tools of the field write, read without a passphrase."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors._material import rows
from toolkit.model import Certificate, Gap, Key
from toolkit.terms import GapStatus, KeyType, Protection


def read(path):
    """The rows of one file."""
    return list(rows(path.read_bytes(), collector="c", target="t", locator="file:///x", name=path.name))


def keys(path, kind=KeyType.PRIVATE_KEY):
    """Its keys of a kind."""
    return [row for row in read(path) if isinstance(row, Key) and row.key_type is kind]


ALGORITHMS = [
    (("RSA", "-pkeyopt", "rsa_keygen_bits:2048"), "RSA", None, 2048),
    (("EC", "-pkeyopt", "ec_paramgen_curve:P-384"), "EC", "secp384r1", 384),
    (("ED25519",), "Ed25519", None, 256),
    (("X25519",), "X25519", None, 256),
    (("ED448",), "Ed448", None, 456),
]


@pytest.mark.parametrize(("kind", "algorithm", "parameter", "size_bits"), ALGORITHMS)
def test_one_key_in_every_spelling_is_one_key(tool, tmp_path, kind, algorithm, parameter, size_bits):
    """PEM and DER, private and public, PKCS#8 and its sealed twin's neighbour: one uid."""
    tool("openssl", "genpkey", "-algorithm", *kind, "-out", "a.pem")
    tool("openssl", "pkey", "-in", "a.pem", "-outform", "DER", "-out", "a.der")
    tool("openssl", "pkey", "-in", "a.pem", "-pubout", "-out", "pub.pem")
    tool("openssl", "pkey", "-in", "a.pem", "-pubout", "-outform", "DER", "-out", "pub.der")
    found = [keys(tmp_path / name)[0] for name in ("a.pem", "a.der")]
    found += [keys(tmp_path / name, KeyType.PUBLIC_KEY)[0] for name in ("pub.pem", "pub.der")]
    assert {(algorithm, parameter, size_bits)} == {(k.algorithm, k.parameter, k.size_bits) for k in found}
    assert 1 == len({k.key_uid for k in found})
    assert [(False, Protection.NONE)] * 2 == [(k.protected, k.protection) for k in found[:2]]


def test_traditional_and_ssh_spellings_are_the_same_key(tool, tmp_path):
    """PKCS#1, RSA PUBLIC KEY, OpenSSH, SSH2 and PKCS#8 of one RSA key."""
    tool("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-m", "PEM", "-f", "k")
    tool("openssl", "rsa", "-in", "k", "-RSAPublicKey_out", "-out", "p1.pem")
    (tmp_path / "ssh2.pub").write_bytes(tool("ssh-keygen", "-e", "-m", "RFC4716", "-f", "k.pub").stdout)
    tool("openssl", "rsa", "-in", "k", "-pubout", "-out", "spki.pem")
    uids = {
        keys(tmp_path / name, KeyType.PUBLIC_KEY)[0].key_uid for name in ("k.pub", "p1.pem", "ssh2.pub", "spki.pem")
    }
    assert uids == {keys(tmp_path / "k")[0].key_uid}
    tool("ssh-keygen", "-q", "-p", "-N", "", "-f", "k")
    assert uids == {keys(tmp_path / "k")[0].key_uid}
    assert "OpenSSH private key" == keys(tmp_path / "k")[0].format


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_a_sealed_openssh_key_is_known_without_its_passphrase(tool, tmp_path, kind):
    """Its public half lies in clear (PROTOCOL.key)."""
    tool("ssh-keygen", "-q", "-t", kind, "-N", "a passphrase", "-f", "k")
    sealed, public = keys(tmp_path / "k")[0], keys(tmp_path / "k.pub", KeyType.PUBLIC_KEY)[0]
    assert public.key_uid == sealed.key_uid
    assert (True, Protection.PASSPHRASE) == (sealed.protected, sealed.protection)


def test_a_sealed_pkcs8_or_traditional_key_is_a_sealed_key_and_not_a_failure(tool, tmp_path):
    """Its identity is its place: nothing is guessed."""
    tool("openssl", "genrsa", "-out", "k.pem", "2048")
    tool("openssl", "pkcs8", "-topk8", "-in", "k.pem", "-passout", "pass:x", "-out", "p8.pem")
    tool("openssl", "pkcs8", "-topk8", "-in", "k.pem", "-passout", "pass:x", "-outform", "DER", "-out", "p8.der")
    tool("openssl", "rsa", "-in", "k.pem", "-aes128", "-passout", "pass:x", "-traditional", "-out", "old.pem")
    found = [keys(tmp_path / name)[0] for name in ("p8.pem", "p8.der", "old.pem")]
    assert [True] * 3 == [k.protected for k in found]
    assert all(k.key_uid.startswith("place:") for k in found)
    assert "RSA" == found[2].algorithm


def test_known_hosts_and_authorized_keys_are_read_line_by_line(tool, tmp_path):
    """Options, hashed hosts, markers, comments and a broken line."""
    for name in ("a", "b"):
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@host", "-f", name)
    one, other = ((tmp_path / f"{name}.pub").read_text() for name in ("a", "b"))
    (tmp_path / "authorized_keys").write_text(f'# people\ncommand="run \\"x y\\"",no-pty {one}ssh-rsa {"A" * 60}\n')
    (tmp_path / "known_hosts").write_text(f"@revoked *.example.org {one}|1|c2FsdA==|aGFzaA== {other}")
    people = read(tmp_path / "authorized_keys")
    assert ["me@host", GapStatus.MALFORMED] == [getattr(row, "label", None) or row.status for row in people]
    assert ["file:///x#line=2", "file:///x#line=3"] == [row.locator for row in people]
    hosts = keys(tmp_path / "known_hosts", KeyType.PUBLIC_KEY)
    assert [("*.example.org", "@revoked"), ("|1|c2FsdA==|aGFzaA==", None)] == [(k.label, k.native_state) for k in hosts]
    assert keys(tmp_path / "a")[0].key_uid == hosts[0].key_uid


def test_an_ssh_certificate_binds_its_key_to_principals(tool, tmp_path):
    """Names and dates of a certificate that ssh-keygen signed."""
    for name in ("ca", "u"):
        tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name)
    tool("ssh-keygen", "-q", "-s", "ca", "-I", "alice", "-n", "root,ops", "-V", "20260101:20260201", "u.pub")
    key, certificate = read(tmp_path / "u-cert.pub")
    assert keys(tmp_path / "u")[0].key_uid == key.key_uid == certificate.key_uid
    assert ("alice", ("root", "ops")) == (certificate.subject, certificate.names)
    assert 2026 == certificate.not_after.year


def test_a_certificate_gives_its_key_and_its_facts(self_signed, tmp_path):
    """The same key as the private one beside it."""
    self_signed("site")
    key, certificate = read(tmp_path / "site.crt")
    assert keys(tmp_path / "site.key")[0].key_uid == key.key_uid == certificate.key_uid
    assert ("CN=site", True, ("example.org",), "SHA256") == (
        certificate.subject, certificate.is_self_signed, certificate.names, certificate.signature_hash,
    )  # fmt: skip


def test_bundles_and_requests_are_read(tool, self_signed, tmp_path):
    """PEM bundle, PKCS#7 in both forms, trusted certificate, PKCS#10."""
    for name in ("a", "b"):
        self_signed(name)
    tool("openssl", "crl2pkcs7", "-nocrl", "-certfile", "a.crt", "-certfile", "b.crt", "-out", "p7.pem")
    tool("openssl", "crl2pkcs7", "-nocrl", "-certfile", "a.crt", "-outform", "DER", "-out", "p7.p7b")
    tool("openssl", "x509", "-in", "a.crt", "-trustout", "-addtrust", "serverAuth", "-out", "trusted.pem")
    tool("openssl", "req", "-new", "-key", "a.key", "-subj", "/CN=a", "-out", "a.csr")
    (tmp_path / "bundle.pem").write_bytes((tmp_path / "a.crt").read_bytes() + (tmp_path / "b.crt").read_bytes())
    count = {
        name: sum(isinstance(row, Certificate) for row in read(tmp_path / name))
        for name in ("bundle.pem", "p7.pem", "p7.p7b", "trusted.pem")
    }
    assert {"bundle.pem": 2, "p7.pem": 2, "p7.p7b": 1, "trusted.pem": 1} == count
    assert keys(tmp_path / "a.key")[0].key_uid == keys(tmp_path / "a.csr", KeyType.PUBLIC_KEY)[0].key_uid


def test_explicit_ec_parameters_are_the_named_curve(tool, tmp_path):
    """RFC 5480 forbids them and people write them: the key is the same."""
    tool("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k.pem")
    tool("openssl", "ec", "-in", "k.pem", "-pubout", "-param_enc", "explicit", "-out", "explicit.pem")
    tool("openssl", "ec", "-in", "k.pem", "-pubout", "-conv_form", "compressed", "-out", "compressed.pem")
    uid = keys(tmp_path / "k.pem")[0].key_uid
    assert {uid} == {
        keys(tmp_path / name, KeyType.PUBLIC_KEY)[0].key_uid for name in ("explicit.pem", "compressed.pem")
    }


def test_a_point_off_the_curve_is_a_finding(tmp_path):
    """A public key that is no key is malformed, not a crash and not a row."""
    import base64

    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + b"\x01" * 64
    text = base64.encodebytes(spki).decode()
    (tmp_path / "off.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n")
    assert [GapStatus.MALFORMED] == [row.status for row in read(tmp_path / "off.pem")]


def test_pkcs12_shows_every_key_and_loses_none(tool, self_signed, tmp_path):
    """Two keys and an AES secret (keytool): cryptography's loader gives one; here are three, sealed."""
    base = ("-keystore", "s.p12", "-storetype", "PKCS12", "-storepass", "canary-pass")
    for alias in ("one", "two"):
        tool("keytool", "-genkeypair", "-alias", alias, "-keyalg", "EC", "-dname", f"CN={alias}", *base)
    tool("keytool", "-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "256", *base)
    found = [row for row in read(tmp_path / "s.p12") if isinstance(row, Key)]
    assert 2 == sum(k.key_type is KeyType.PRIVATE_KEY and k.protected for k in found)
    assert {"one", "two"} <= {k.label for k in found}
    assert any(isinstance(row, Gap) and row.status is GapStatus.NOT_ASKED for row in read(tmp_path / "s.p12"))
    assert "canary" not in repr(found)


def test_pkcs12_without_a_password_opens(tool, self_signed, tmp_path):
    """Files written with an empty password are in clear for everybody, so they are for us."""
    self_signed("a")
    tool("openssl", "pkcs12", "-export", "-inkey", "a.key", "-in", "a.crt", "-passout", "pass:", "-out", "a.p12")
    key = keys(tmp_path / "a.p12")[0]
    assert (keys(tmp_path / "a.key")[0].key_uid, False) == (key.key_uid, key.protected)
    assert 1 == sum(isinstance(row, Certificate) for row in read(tmp_path / "a.p12"))


@pytest.mark.parametrize("form", ["JKS", "JCEKS"])
def test_a_java_key_store_is_read_without_its_password(tool, tmp_path, form):
    """Aliases, dates, chains; the sealed key is known by its certificate; a secret between two keys loses neither."""
    base = ("-keystore", "s.jks", "-storetype", form, "-storepass", "canary-pass", "-keypass", "canary-pass")
    tool("keytool", "-genkeypair", "-alias", "one", "-keyalg", "RSA", "-dname", "CN=one", *base)
    if form == "JCEKS":
        tool("keytool", "-genseckey", "-alias", "aes", "-keyalg", "AES", "-keysize", "128", *base)
    tool("keytool", "-genkeypair", "-alias", "two", "-keyalg", "EC", "-dname", "CN=two", *base)
    found = read(tmp_path / "s.jks")
    assert {"one", "two"} == {k.label for k in keys(tmp_path / "s.jks")}
    assert (1 if form == "JCEKS" else 0) == len(keys(tmp_path / "s.jks", KeyType.SECRET_KEY))
    bound = {row.key_uid for row in found if isinstance(row, Certificate)}
    assert bound == {k.key_uid for k in keys(tmp_path / "s.jks")}
    assert all(k.created_at is not None and k.protected for k in keys(tmp_path / "s.jks"))
    assert [] == [row for row in found if isinstance(row, Gap)]


@pytest.mark.parametrize("phrase", ["", "canary"])
def test_a_putty_key_is_known_by_its_public_lines(tool, tmp_path, phrase):
    """Written as PuTTY documents it: version 3, sealed or not."""
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "k")
    blob = (tmp_path / "k.pub").read_text().split()[1]
    sealed = "aes256-cbc" if phrase else "none"
    (tmp_path / "k.ppk").write_text(
        f"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: {sealed}\nComment: me\nPublic-Lines: 1\n{blob}\n"
    )
    key = keys(tmp_path / "k.ppk")[0]
    assert (keys(tmp_path / "k")[0].key_uid, bool(phrase), "me") == (key.key_uid, key.protected, key.label)


SEEDS: list[bytes] = []


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Real files to mutate."""
    folder = tmp_path_factory.mktemp("seeds")
    make = [
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout a.key -out a.crt -days 9 -subj /CN=a",
        "openssl x509 -in a.crt -outform DER -out a.der",
        "ssh-keygen -q -t ed25519 -N x -f k",
        "openssl pkcs12 -export -inkey a.key -in a.crt -passout pass: -out a.p12",
    ]
    for command in make:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_make_it_raise(seeds, data):
    """Arbitrary and mutated files give rows or nothing, never an exception."""
    seed = data.draw(st.sampled_from(seeds))
    at = data.draw(st.integers(0, len(seed)))
    more = data.draw(st.binary(max_size=12))
    cut = data.draw(st.integers(0, 12))
    mutated = seed[:at] + more + seed[at + cut :]
    name = data.draw(st.sampled_from(["a.pem", "known_hosts", "x"]))
    list(rows(mutated, collector="c", target="t", locator="file:///x", name=name))
    list(rows(more, collector="c", target="t", locator="file:///x", name=name))


def test_no_flipped_byte_makes_it_raise(seeds):
    """Every byte of a certificate, a key store and two keys, turned over one at a time."""
    for seed in seeds:
        for at in range(len(seed)):
            broken = seed[:at] + bytes([seed[at] ^ 0xFF]) + seed[at + 1 :]
            list(rows(broken, collector="c", target="t", locator="file:///x", name="x.pem"))


def test_sixty_thousand_marks_are_read_in_one_pass():
    """A block that does not end costs one look, not a walk to the end of the file."""
    data = (b"-----BEGIN PRIV" + b"ATE KEY-----\n") * 60_000
    assert 60_000 == sum(1 for _ in rows(data, collector="c", target="t", locator="file:///x"))


@pytest.mark.parametrize("curve", ["secp112r1", "sect283k1"])
def test_a_key_on_a_curve_that_nobody_computes_with_is_a_key(tool, tmp_path, curve):
    """It is often a weak one: known by its place and its curve, not passed over as malformed."""
    tool("openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", "sec1.pem")
    tool("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "p8.pem")
    tool("openssl", "ec", "-in", "sec1.pem", "-pubout", "-out", "pub.pem")
    found = [*keys(tmp_path / "sec1.pem"), *keys(tmp_path / "p8.pem"), *keys(tmp_path / "pub.pem", KeyType.PUBLIC_KEY)]
    assert ["EC"] * 3 == [key.algorithm for key in found]
    assert 1 == len({key.parameter for key in found})
    assert all(key.key_uid.startswith("place:") for key in found)
