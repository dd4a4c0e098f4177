"""A workspace in which every name was written by an enemy."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from toolkit.model import Certificate, Gap, Key, Reading, Secret, Token
from toolkit.store import Workspace
from toolkit.tables import Builder

HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = (
    HOSTILE,
    "</style><script>fetch('https://evil.example/')</script>",
    "[a](javascript:alert(1)) ![i](https://evil.example/i.png)",
    "$\\frac{",
    "{{ 7*7 }}{% raw %}",
    "\u202egnp.exe\x1b[31m",
    "=HYPERLINK(\"https://evil.example\")",
    '"><svg/onload=alert(1)>',
    "鍵 🔑",
)  # fmt: skip
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
KINDS = (
    ("RSA", None, 1024), ("RSA", None, 2048), ("RSA", None, 4096), ("EC", "secp256r1", 256), ("EC", "secp384r1", 384),
    ("Ed25519", None, 256), ("DSA", None, 1024), ("AES", None, 256), ("ML-DSA", "ML-DSA-65", None),
    (HOSTILE, None, None),
)  # fmt: skip
PLACES = (
    ("keyfiles", "none"),
    ("keyfiles", "passphrase"),
    ("code", "none"),
    ("pkcs11", "token"),
    ("pkcs11", "hardware"),
)


def uid(*parts: object) -> str:
    """A stable uid."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def rows(count: int):
    """Keys of many kinds at many places, some of them twice; certificates, tokens, secrets, gaps with hostile names."""
    for number in range(count):
        algorithm, parameter, size_bits = KINDS[number % len(KINDS)]
        name, born = NAMES[number % len(NAMES)], AS_OF - timedelta(days=(number * 37) % 2200)
        symmetric, holds = algorithm == "AES", number % 3 == 0
        key_uid = ("keeper:" if symmetric else "spki:") + uid("key", number)
        held = "secret-key" if symmetric else "private-key" if holds else "public-key"
        for copy in range(2 if number % 11 == 0 else 1):
            collector, protection = PLACES[(number // 3 + copy * 2) % len(PLACES)]
            target = f"{collector}://estate/{(number + copy) % 4}"
            yield Key(
                key_uid=key_uid, collector=collector, target=target, key_type=held, label=name, algorithm=algorithm,
                locator=f"file:///srv/{collector}/a/rather/long/path/to/the/place/{number}/{name}/{copy}.pem",
                parameter=parameter, size_bits=size_bits, protection=None if held == "public-key" else protection,
                protected=protection != "none", is_exposed=number % 7 == 0, owner=name, created_at=born,
                is_current=True, functions=("sign",), state="compromised" if number == 33 else "active",
            )  # fmt: skip
        if number % 2 and not symmetric:
            yield Certificate(
                certificate_uid=uid("certificate", number), key_uid=key_uid, collector="keyfiles",
                target="keyfiles://estate/0", locator=f"file:///etc/ssl/{number}.pem", subject=f"CN={name}",
                issuer=f"CN={name}", not_before=born, not_after=born + timedelta(days=825),
                signature_algorithm="sha1WithRSA", signature_hash="SHA-1", is_ca=number % 5 == 0, names=(name,),
            )  # fmt: skip
    for number in range(4):
        name, target = NAMES[number], f"pkcs11://estate/{number}"
        yield Token(
            token_uid="keeper:" + uid("token", number), collector="pkcs11", target=target, locator=target, label=name,
            manufacturer=name, model=name, serial_number=name, firmware_version=name, module=f"/usr/lib/{name}.so",
            is_fips=number == 1 or None, fips_reason=name, needs_login=bool(number), keys=number + 1,
            flags=("CKF_TOKEN_INITIALIZED", "CKF_USER_PIN_INITIALIZED", "CKF_USER_PIN_LOCKED") if number else None,
        )  # fmt: skip
    for number, name in enumerate(NAMES):
        yield Secret(
            secret_uid="hmac:" + uid("secret", number), collector="code", target="code://estate/1", confidence=0.9,
            rule="aws-access-key", locator=f"git:///srv/repo@{number}#{name}", title=f"Access key of {name}",
            severity="high", line=number + 1, preview="AKIA… (20 characters)", path=f"src/{name}.py", first_author=name,
            first_commit=uid("c", number)[:40], first_seen_at=AS_OF - timedelta(days=300),
            last_seen_at=AS_OF, is_current=number % 2 == 0, occurrences=1,
        )  # fmt: skip
        yield Gap(
            collector="keyfiles", target="keyfiles://estate/3", locator=f"file:///root/{name}", scope="object",
            status="denied", reason=f"cannot read {name}", advice=f"run as {name}",
        )  # fmt: skip


def readings(run_id: str):
    """Four targets a collector; one of them was not read whole."""
    for collector in ("keyfiles", "code", "pkcs11"):
        for number in range(4):
            partial = (collector, number) == ("keyfiles", 3)
            yield Reading(
                collector=collector, target=f"{collector}://estate/{number}", run_id=run_id, seconds=0.1,
                status="partial" if partial else "read", rows=1, gaps=int(partial),
                started_at=AS_OF - timedelta(days=1), label=f"{HOSTILE} {number}",
            )  # fmt: skip


def make_workspace(path, count: int = 60) -> Workspace:
    """A workspace with one run of that many keys."""
    workspace, builder = Workspace(path), Builder()
    run_id = "20261031T000000000000Z-" + "0" * 8
    for row in (*rows(count), *readings(run_id)):
        builder.add(row)
    workspace.write_run(builder, started_at=AS_OF - timedelta(days=1), finished_at=AS_OF)
    return workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """Sixty keys with hostile names, read in October 2026."""
    return make_workspace(tmp_path_factory.mktemp("estate") / "workspace").path
