"""Tokens of real PKCS#11 modules, made anew in a folder: what the tests and the count of attributes read.

Refuses to: touch what the machine has of its own. opencryptoki knows one place for all of its tokens, so it gets a mount
namespace in which that place is empty; `Made.prefix` is the way in.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from toolkit import softhsm

_PLACES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib64",
    "/usr/lib64/pkcs11",
    "/usr/lib",
)
PAIRS = {"rsa": "rsa:2048", "ec": "EC:prime256v1"}


class MissingError(Exception):
    """A part that is not installed here."""


class NotAllowedError(Exception):
    """What this machine does not let its users do."""


@dataclass(frozen=True)
class Made:
    """A token: its module, the handle of its PIN, and what a program that reads it needs."""

    module: str
    pin: str
    environment: dict[str, str] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()

    def run(self, *command: str) -> str:
        """Run a program that may read the token; what it printed."""
        env = {**os.environ, **self.environment}
        ran = subprocess.run([*self.prefix, *command], env=env, capture_output=True, text=True, timeout=120)
        assert 0 == ran.returncode, ran.stderr[-2000:]
        return ran.stdout


def library(name: str) -> str:
    """Where a module's library lies.

    Raises:
        MissingError: nowhere.
    """
    for place in _PLACES:
        if (Path(place) / name).exists():
            return str(Path(place) / name)
    raise MissingError(f"{name} is not installed")


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise MissingError(f"{program} is not installed")


def _pin(folder: Path) -> str:
    (folder / "pin").write_text(secrets.token_hex(4))
    return (folder / "pin").read_text()


def _until(there: Path) -> None:
    for _ in range(200):
        if there.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{there.name} did not come")


@contextmanager
def _beside(command: list[str], there: Path, **environment: str) -> Iterator[None]:
    """A server, from when its socket is there."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until(there)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def soft_hsm(folder: Path) -> Iterator[Made]:
    """SoftHSM2, filled as the demo's."""
    if softhsm.find() is None:
        raise MissingError("SoftHSM2 is not installed")
    token = softhsm.make_token(folder / "token")
    yield Made(str(token.module), token.pin, token.environment())


@contextmanager
def p11_kit(folder: Path) -> Iterator[Made]:
    """The same token, shown by p11-kit's server over a socket to its client: as GNOME and containers share tokens."""
    _need("p11-kit")
    client, socket = library("p11-kit-client.so"), folder / "p11"
    with soft_hsm(folder) as token:
        command = ["p11-kit", "server", "-f", "-n", str(socket), "--provider", token.module, "pkcs11:"]
        with _beside(command, socket, **token.environment):
            yield Made(client, token.pin, {"P11_KIT_SERVER_ADDRESS": f"unix:path={socket}"})


@contextmanager
def nss(folder: Path) -> Iterator[Made]:
    """NSS softoken, Firefox's own, with an EC key and its certificate."""
    _need("certutil")
    module = library("libsoftokn3.so")
    _pin(folder)
    (folder / "noise").write_bytes(secrets.token_bytes(64))
    words = ["-S", "-n", "mine", "-s", "CN=mine", "-x", "-t", ",,", "-z", "noise", "-k", "ec", "-q", "nistp256"]
    for command in (["-N"], words):
        subprocess.run(["certutil", *command, "-d", "sql:.", "-f", "pin"], cwd=folder, check=True, capture_output=True)
    told = f"{module}=configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=readOnly"
    yield Made(module, f"file:{folder / 'pin'}", parameters=(told,))


@contextmanager
def tpm(folder: Path) -> Iterator[Made]:
    """tpm2-pkcs11 on a software TPM, with an RSA and an EC pair."""
    _need("swtpm", "tpm2_flushcontext", "pkcs11-tool")
    module, socket, pin, so_pin = library("libtpm2_pkcs11.so.1"), folder / "tpm", _pin(folder), secrets.token_hex(4)
    for name in ("state", "store"):
        (folder / name).mkdir()
    tcti = f"swtpm:path={socket}"
    told = {"TPM2_PKCS11_STORE": str(folder / "store"), "TPM2_PKCS11_TCTI": tcti, "TPM2TOOLS_TCTI": tcti}
    tool = ["pkcs11-tool", "--module", module]
    into = [*tool, "--token-label", "tpm", "--login"]
    commands = [
        [*tool, "--slot-index", "0", "--init-token", "--label", "tpm", "--so-pin", so_pin],
        [*into, "--login-type", "so", "--so-pin", so_pin, "--init-pin", "--pin", pin],
        *([*into, "--pin", pin, "--keypairgen", "--key-type", kind, "--label", name, "--id", f"0{n}"]
          for n, (name, kind) in enumerate(PAIRS.items(), 1)),
    ]  # fmt: skip
    words = ["--server", f"type=unixio,path={socket}", "--ctrl", f"type=unixio,path={socket}.ctrl"]
    start = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder / 'state'}", *words]
    with _beside([*start, "--flags", "not-need-init,startup-clear"], socket):
        for command in commands:
            # Three loaded objects fill a TPM, and nobody else unloads them here.
            for each in (command, ["tpm2_flushcontext", "-t"]):
                subprocess.run(each, env={**os.environ, **told}, check=True, capture_output=True)
        yield Made(module, f"file:{folder / 'pin'}", told)


_OPENCRYPTOKI = """
set -eu
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mount -t tmpfs none /var/lib/opencryptoki
mkdir -p /run/lock/opencryptoki/swtok /var/lib/opencryptoki/swtok/TOK_OBJ
printf 'version opencryptoki-3.1\\nslot 0\\n{\\nstdll = libpkcs11_sw.so\\n}\\n' > /run/conf
mount --bind /run/conf /etc/opencryptoki/opencryptoki.conf
# A user namespace has one group: it is the module's.
{ grep -v ^pkcs11: /etc/group; echo pkcs11:x:0:root; } > /run/group
mount --bind /run/group /etc/group
pkcsslotd >&2
tool="pkcs11-tool --module $OCK_MODULE --slot 0"
$tool --init-token --label ock --so-pin "$OCK_FIRST" >&2
$tool --init-pin --login --login-type so --so-pin "$OCK_FIRST" --pin "$OCK_PIN" >&2
$tool --login --pin "$OCK_PIN" --keypairgen --key-type rsa:2048 --label rsa --id 01 >&2
$tool --login --pin "$OCK_PIN" --keygen --key-type AES:32 --label aes --id 02 >&2
unset OCK_FIRST OCK_PIN
exec "$@"
"""


@contextmanager
def opencryptoki(folder: Path) -> Iterator[Made]:
    """opencryptoki's soft token behind its slot daemon, made in a namespace by each program that is run with it.

    Raises:
        NotAllowedError: no mount namespace may be made here.
    """
    _need("pkcsslotd", "pkcs11-tool", "unshare")
    module, pin = library("libopencryptoki.so"), _pin(folder)
    (folder / "inside.sh").write_text(_OPENCRYPTOKI)
    apart = ("--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
    for way in ((), ("--user", "--map-root-user")):
        if (
            subprocess.run(
                ["unshare", *way, *apart, "mount", "-t", "tmpfs", "none", "/run"], capture_output=True
            ).returncode
            == 0
        ):
            # The SO PIN of a token that nobody has initialised, which its manual gives.
            told = {"OCK_MODULE": module, "OCK_PIN": pin, "OCK_FIRST": "".join(map(str, range(8, 0, -1)))}
            prefix = ("unshare", *way, *apart, "bash", str(folder / "inside.sh"))
            yield Made(module, f"file:{folder / 'pin'}", told, prefix=(*prefix,))
            return
    raise NotAllowedError("no mount namespace may be made here, and opencryptoki has one place for all its tokens")
