"""People's signatures: OpenSSH's, made and checked by `ssh-keygen -Y`, so that anybody can check them without us.

Who may sign is an `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS); a hardware-backed key (`sk-…`) counts like
any other there. The namespace keeps a signature made for one purpose from being used for another.

Refuses to: hold a private key or its passphrase; ssh-keygen and the agent do.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from toolkit.errors import ConfigError, StoreError

_SECONDS: Final = 60


def digest(document: str) -> str:
    """A document's SHA-256, in hex: what a record is called by."""
    return hashlib.sha256(document.encode()).hexdigest()


def sign(document: str, *, key: Path, namespace: str) -> str:
    """An armoured SSH signature over the document (PROTOCOL.sshsig), by a key file or a public key whose agent is here.

    Raises:
        ConfigError: ssh-keygen is not there, or cannot sign with this key.
    """
    if not key.is_file():
        raise ConfigError(f"no such key: {key}", advice="name an SSH private key, or the .pub of one in the agent")
    # In a folder of its own: ssh-keygen writes the signature beside the file that it signs.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "document"
        place.write_text(document, encoding="utf-8")
        done = _run(["-Y", "sign", "-f", str(key.resolve()), "-n", namespace, str(place)])
        made = place.with_suffix(".sig")
        if done.returncode or not made.is_file():
            raise ConfigError(f"ssh-keygen cannot sign with {key}", advice="load the key into ssh-agent, try again")
        return made.read_text(encoding="ascii")


def is_signed(document: str, signature: str, *, signer: str, allowed: Path, namespace: str) -> bool:
    """Whether the signature is that signer's over exactly this document, as the allowed signers say.

    Raises:
        ConfigError: ssh-keygen is not there.
        StoreError: the file of allowed signers can be written by others than its owner.
    """
    if not allowed.is_file():
        return False
    if allowed.stat().st_mode & 0o022:
        raise StoreError(f"others may write {allowed}", advice=f"chmod 600 {allowed}")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "signature"
        made.write_text(signature, encoding="utf-8")
        asked = ["-Y", "verify", "-f", str(allowed.resolve()), "-I", signer, "-n", namespace, "-s", str(made)]
        return _run(asked, document).returncode == 0


def _run(arguments: list[str], document: str = "") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=document.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise ConfigError("ssh-keygen is not installed", advice="install openssh-client") from None
    except subprocess.TimeoutExpired:
        raise ConfigError("ssh-keygen gave no answer", advice="load the key into ssh-agent, try again") from None
