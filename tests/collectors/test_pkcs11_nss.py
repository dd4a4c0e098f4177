"""pkcs11 over NSS softoken, Firefox's own: it wants its folder said at the start, and keeps numbers in four bytes."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
from cryptography import x509

from collectors.pkcs11 import Pkcs11
from toolkit.identity import public_facts
from toolkit.model import Certificate, Gap, Key, Token
from toolkit.terms import KeyType

pytestmark = pytest.mark.hsm
PLACES = ("/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "/usr/lib64/libsoftokn3.so", "/usr/lib/libsoftokn3.so")


@pytest.fixture
def database(tool, tmp_path):
    """An NSS database with one EC key and its certificate; the rows of its tokens, by token label."""
    module = next((place for place in PLACES if Path(place).exists()), None)
    if module is None:
        pytest.skip("NSS softoken is not installed")
    (tmp_path / "pin").write_text(secrets.token_hex(8))
    (tmp_path / "noise").write_bytes(secrets.token_bytes(64))
    tool("certutil", "-N", "-d", "sql:.", "-f", "pin")
    tool("certutil", "-S", "-d", "sql:.", "-f", "pin", "-n", "mine", "-s", "CN=mine", "-x", "-t", ",,", "-z", "noise",
         "-k", "ec", "-q", "nistp256")  # fmt: skip
    told = f"{module}=configdir='sql:{tmp_path}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly"
    reader = Pkcs11(modules=(module,), pin=f"file:{tmp_path / 'pin'}", parameters=(told,))
    return {target.label: list(reader.collect(target)) for target in reader.targets()}


def test_nss_keys_and_certificate_are_one_key(database, tool):
    """Private half, public half and certificate have the uid of the certificate that certutil gives out."""
    pem = tool("certutil", "-L", "-d", "sql:.", "-n", "mine", "-a").stdout
    uid = public_facts(x509.load_pem_x509_certificate(pem).public_key()).key_uid
    rows = [row for row in database["NSS Certificate DB"] if isinstance(row, Key | Certificate)]
    assert {uid} == {row.key_uid for row in rows}
    assert {KeyType.PRIVATE_KEY, KeyType.PUBLIC_KEY} == {row.key_type for row in rows if isinstance(row, Key)}
    assert [False] == [row.is_orphan for row in rows if isinstance(row, Certificate)]


def test_nss_tokens_say_what_they_are(database):
    """Two tokens; mechanisms that no list knows stand there by number; nothing was refused."""
    rows = [row for found in database.values() for row in found]
    tokens = {row.label: row for row in rows if isinstance(row, Token)}
    assert {"NSS Certificate DB", "NSS Generic Crypto Services"} == set(tokens)
    assert any("CKM_0x" in name for name in tokens["NSS Certificate DB"].mechanisms)
    assert [] == [row for row in rows if isinstance(row, Gap)]
