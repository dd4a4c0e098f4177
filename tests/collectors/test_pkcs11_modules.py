"""pkcs11 over modules of other makers: p11-kit's client, a TPM, and opencryptoki behind its daemon. All of them real."""

from __future__ import annotations

import pickle
import sys

import pytest
from simulators import pkcs11_tokens as tokens

from collectors.pkcs11 import Pkcs11
from toolkit.model import Gap, Key, Token
from toolkit.terms import KeyType, Origin

pytestmark = pytest.mark.hsm
READ = """
import pickle, sys
from collectors.pkcs11 import Pkcs11
to, module, pin = sys.argv[1:]
reader = Pkcs11(modules=(module,), pin=pin, silence_seconds=60)
with open(to, "wb") as file:
    pickle.dump([row for target in reader.targets() for row in reader.collect(target)], file)
"""


def rows(maker, folder):
    """The token that is made, read by a program of its own."""
    with maker(folder) as made:
        made.run(sys.executable, "-P", "-c", READ, str(folder / "rows"), made.module, made.pin)
    return pickle.loads((folder / "rows").read_bytes())


def keys(rows):
    """Its keys by label and type."""
    return {(row.label, row.key_type): row for row in rows if isinstance(row, Key)}


def token(rows):
    """Its token, the only one."""
    (found,) = [row for row in rows if isinstance(row, Token)]
    return found


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Makes a token and reads it, once a module; a part that is missing is a skip."""
    known = {}

    def reading(maker):
        if maker not in known:
            try:
                known[maker] = rows(maker, tmp_path_factory.mktemp(maker.__name__))
            except tokens.MissingError as missing:
                pytest.skip(str(missing))
            except tokens.NotAllowedError as refused:
                # No part is missing, and nothing that CI could install would help: told, and no failure.
                pytest.xfail(str(refused))
        return known[maker]

    return reading


def custody(rows):
    """What is known of each key but its name."""
    found = keys(rows).items()
    return {name: (row.algorithm, row.size_bits, row.extractable, row.sensitive, row.origin) for name, row in found}


def test_a_token_over_p11_kits_socket_is_read_as_its_own_module_gives_it(read):
    """p11-kit-client makes another list of functions for whoever asks: the session's own is used.

    It leaves out the mechanisms that it cannot carry (ECDSA among them).
    """
    there, direct = read(tokens.p11_kit), read(tokens.soft_hsm)
    assert 9 == len(keys(there))
    assert custody(direct) == custody(there)
    assert [] == [row for row in there if isinstance(row, Gap)]
    assert token(there).module.endswith("p11-kit-client.so")
    assert set(token(direct).mechanisms) > set(token(there).mechanisms) > {"CKM_AES_ECB"}


def test_a_token_is_one_whether_p11_kit_or_its_module_shows_it(tmp_path, monkeypatch):
    """Both at once: one target, and no key twice."""
    try:
        with tokens.p11_kit(tmp_path) as made:
            for name, value in {**made.environment, "SOFTHSM2_CONF": str(tmp_path / "token/softhsm2.conf")}.items():
                monkeypatch.setenv(name, value)
            modules = (made.module, tokens.library("softhsm/libsofthsm2.so"))
            assert 1 == len(list(Pkcs11(modules=modules, pin=made.pin, silence_seconds=60).targets()))
    except tokens.MissingError as missing:
        pytest.skip(str(missing))


def test_a_tpms_keys_are_known_by_their_public_halves_and_never_leave_it(read):
    """Both pairs, made inside, with the mechanisms that each may be used with."""
    found = keys(read(tokens.tpm))
    assert {(name, kind) for name in ("rsa", "ec") for kind in (KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY)} == set(found)
    for name, size in (("rsa", 2048), ("ec", 256)):
        private, public = found[name, KeyType.PRIVATE_KEY], found[name, KeyType.PUBLIC_KEY]
        assert (True, True, Origin.GENERATED) == (private.never_extractable, private.sensitive, private.origin)
        assert size == private.size_bits
        assert private.key_uid == public.key_uid
        assert public.key_uid.startswith("spki:")
    assert "CKM_ECDSA_SHA256" in found["ec", KeyType.PRIVATE_KEY].detail


def test_a_software_tpm_is_no_hardware(read):
    """It names itself; its serial number says nothing; nothing was refused."""
    found = read(tokens.tpm)
    assert (False, False, "0" * 16) == (token(found).is_hardware, token(found).is_fips, token(found).serial_number)
    assert [] == [row for row in found if isinstance(row, Gap)]


def test_opencryptokis_soft_token_is_read_whole(read):
    """Behind its daemon: a pair and a secret key, each with its custody."""
    found = read(tokens.opencryptoki)
    names = [("aes", KeyType.SECRET_KEY), ("rsa", KeyType.PRIVATE_KEY), ("rsa", KeyType.PUBLIC_KEY)]
    assert names == sorted(keys(found))
    secret, private, public = (keys(found)[name] for name in names)
    assert ("AES", 256, Origin.GENERATED) == (secret.algorithm, secret.size_bits, secret.origin)
    assert private.key_uid == public.key_uid
    assert (True, True) == (private.sensitive, private.extractable)
    assert [] == [row for row in found if isinstance(row, Gap)]
    assert ("IBM Corp.", False) == (token(found).manufacturer, token(found).is_hardware)
