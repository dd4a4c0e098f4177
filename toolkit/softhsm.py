"""A SoftHSM2 token with a realistic mix of keys, for the demo and the tests: real PKCS#11, no hardware.

The module is only ever loaded by OpenSC's and SoftHSM's own tools, never into this process. PINs are random and lie
in a file that only the owner can read.

Refuses to: touch a token that it did not make.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from toolkit.errors import ConfigError, SourceBroken

_PLACES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_LABEL: Final = "keyatlas-demo"
# Filled through python-pkcs11 in a child process: dates and flags that pkcs11-tool cannot set. The dates are on the
# public halves because SoftHSM 2.6 cannot give those of private objects back.
_FILL: Final = """
import sys, datetime, pkcs11
from pkcs11 import Attribute as A, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters
module, label, pin, certificate = sys.stdin.read().split("\\n")[:4]
token = pkcs11.lib(module).get_token(token_label=label)
day = lambda year: datetime.date(year, 1, 15)
dates = {A.START_DATE: day(2025), A.END_DATE: day(2028)}
old = {A.START_DATE: day(2018), A.END_DATE: day(2021)}
inside = {A.EXTRACTABLE: False, A.SENSITIVE: True}
leaky = {A.EXTRACTABLE: True, A.SENSITIVE: False}
named = lambda number, label, private, public: {
    "id": bytes([number]), "label": label, "store": True, "private_template": private, "public_template": public}
with token.open(rw=True, user_pin=pin) as s:
    s.generate_keypair(KeyType.RSA, 2048, **named(1, "tls-frontend", inside, dates))
    s.generate_keypair(KeyType.RSA, 1024, **named(2, "legacy-partner", leaky, old))
    p256 = {A.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    curve = s.create_domain_parameters(KeyType.EC, p256, local=True)
    curve.generate_keypair(**named(3, "code-signing", inside, dates))
    s.generate_key(KeyType.AES, 256, id=b"\\x04", label="backup-master", store=True, template=inside)
    s.generate_key(KeyType.AES, 128, id=b"\\x05", label="exportable-dek", store=True, template=leaky)
    s.generate_key(KeyType.DES3, id=b"\\x06", label="payment-terminal", store=True, template=inside)
    if certificate:
        from pkcs11.util.x509 import decode_x509_certificate
        told = decode_x509_certificate(bytes.fromhex(certificate))
        s.create_object({**told, A.TOKEN: True, A.ID: b"\\x07", A.LABEL: "imported"})
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was made: its module, its configuration, its label, and the handle of its PIN."""

    module: Path
    configuration: Path
    label: str
    pin: str

    def environment(self) -> dict[str, str]:
        """What the module needs to find its token."""
        return {"SOFTHSM2_CONF": str(self.configuration)}


def find() -> Path | None:
    """SoftHSM2's module, if it is installed."""
    return next((Path(place) for place in _PLACES if Path(place).exists()), None)


def offered(workspace: str | Path) -> dict[str, Any]:
    """A token in a workspace as the options of the `pkcs11` collector; none where SoftHSM2 is not installed."""
    if find() is None or not shutil.which("softhsm2-util"):
        return {}
    token = make_token(Path(workspace).resolve() / "demo-token")
    os.environ.update(token.environment())
    return {"modules": [token.module], "pin": token.pin}


def make_token(folder: Path, *, key_pem: Path | None = None, certificate_der: bytes | None = None) -> Token:
    """A filled token in the folder; a second call finds it again.

    `key_pem` is a PKCS#8 file to import as `imported`, `certificate_der` its certificate.

    Raises:
        ConfigError: SoftHSM2 is not installed.
        SourceBroken: its tool failed.
    """
    module = find()
    if module is None or shutil.which("softhsm2-util") is None:
        raise ConfigError("SoftHSM2 is not installed", advice="apt-get install softhsm2")
    token = Token(module, folder / "softhsm2.conf", _LABEL, f"file:{folder / 'user.pin'}")
    if (folder / "filled").exists():
        return token
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tokens").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    token.configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    pin = secrets.token_hex(8)
    handle = os.open(folder / "user.pin", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(pin)
    # A PIN on a command line is seen by every user of the machine for a moment: this one guards made-up keys only.
    words = ["--init-token", "--free", "--label", _LABEL, "--so-pin", secrets.token_hex(8), "--pin", pin]
    _run(token, ["softhsm2-util", *words])
    _run(
        token,
        [sys.executable, "-P", "-c", _FILL],
        stdin=f"{module}\n{_LABEL}\n{pin}\n{(certificate_der or b'').hex()}\n",
    )
    if key_pem is not None:
        words = ["--import", str(key_pem), "--token", _LABEL, "--label", "imported", "--id", "07", "--pin", pin]
        _run(token, ["softhsm2-util", *words])
    (folder / "filled").touch(mode=0o600)
    return token


def _run(token: Token, command: list[str], stdin: str = "") -> None:
    ran = subprocess.run(
        command, input=stdin, text=True, capture_output=True, env={**os.environ, **token.environment()}
    )
    if ran.returncode != 0:
        # Its output is not told: it may quote the PIN.
        raise SourceBroken(f"{Path(command[0]).name} could not fill the demo token", advice="check SoftHSM2")
