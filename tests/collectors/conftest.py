"""Real tools that make real keys, and a PKCS#11 module of our own that lies and fails as it is told."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from collectors.pkcs11 import Pkcs11
from toolkit import softhsm
from toolkit.errors import SourceBroken, SourceUnreachable


@pytest.fixture
def tool(tmp_path):
    """Runs a real program in the test's folder; the test is skipped, visibly, where it is missing."""

    def run(program: str, *words: object, **more: object) -> subprocess.CompletedProcess[bytes]:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        return subprocess.run([program, *map(str, words)], cwd=tmp_path, check=True, capture_output=True, **more)

    return run


@pytest.fixture
def self_signed(tool, tmp_path):
    """Makes a key and a certificate for it: `name.key` and `name.crt`."""

    def make(name: str, *algorithm: str) -> Path:
        kind = algorithm or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        tool("openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.crt",
             "-days", "30", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:example.org")  # fmt: skip
        return tmp_path / f"{name}.key"

    return make


@pytest.fixture
def signed_in(aws, monkeypatch, tmp_path):
    """The environment of somebody who has credentials of an account at the KMS simulator, and a cache of their own."""

    def sign_in(account: str = "111122223333", region: str = "eu-west-1") -> None:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ROLE_ARN"):
            monkeypatch.delenv(name, raising=False)
        for name, value in aws.account(account).environment(region).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    sign_in()
    return sign_in


@pytest.fixture(scope="session")
def moto_server():
    """moto's server on loopback, one a session: it takes a second to start."""
    from simulators.aws_breadth import Breadth

    server = Breadth()
    yield server
    server.stop()


@pytest.fixture
def moto(moto_server, monkeypatch, tmp_path):
    """An empty AWS of many services, and the environment of somebody who has credentials there."""
    from simulators.aws_breadth import REGION

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ROLE_ARN", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL": moto_server.url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    moto_server.reset()
    return moto_server


class Shim:
    """The shim's library, and what it is told and tells."""

    def __init__(self, module, log, pin, folder, monkeypatch):
        self.module, self.pin, self._log, self._folder, self._env = str(module), pin, log, folder, monkeypatch

    def tell(self, **words):
        """Set its environment: fault="segv:C_FindObjects:1"."""
        for name, word in words.items():
            self._env.setenv(f"SHIM_{name.upper()}", str(word))

    def another(self, name, **words):
        """A copy with a token of its own, told by a file beside it; its path."""
        module = self._folder / f"{name}.so"
        shutil.copy(self.module, module)
        words = {"serial": name, **words}
        lines = (f"SHIM_{word.upper()}={value}\n" for word, value in words.items())
        module.with_name(f"{name}.so.told").write_text("".join(lines))
        return str(module)

    def reader(self, **options):
        """A collector over it, with the PIN."""
        return Pkcs11(**{"modules": (self.module,), "pin": self.pin, "silence_seconds": 20, **options})

    def read(self, **options):
        """All rows."""
        reader = self.reader(**options)
        return [row for target in reader.targets() for row in reader.collect(target)]

    def until_failure(self):
        """The rows before the target failed, and the failure."""
        reader = self.reader()
        (target,) = reader.targets()
        rows = []
        reading = reader.collect(target)
        with pytest.raises((SourceBroken, SourceUnreachable)) as failure:
            rows.extend(iter(lambda: rows.append(next(reading)), object()))
        return rows, failure.value

    def calls(self):
        """Every call by name, with its number."""
        return [tuple(line.split()[1:]) for line in self._log.read_text().splitlines()]


@pytest.fixture(scope="module")
def shim_made(tmp_path_factory):
    """A filled token and the compiled shim."""
    if softhsm.find() is None or shutil.which("cc") is None:
        pytest.skip("SoftHSM2 or a C compiler is not installed")
    folder = tmp_path_factory.mktemp("shim")
    source = Path(__file__).with_name("pkcs11_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "shim.so", source, "-ldl"], check=True)
    return softhsm.make_token(folder / "token"), folder / "shim.so"


@pytest.fixture
def shim(shim_made, tmp_path, monkeypatch):
    """The shim before a filled SoftHSM token."""
    token, module = shim_made
    for name, value in token.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHIM_MODULE", str(token.module))
    monkeypatch.setenv("SHIM_LOG", str(tmp_path / "calls"))
    return Shim(module, tmp_path / "calls", token.pin, tmp_path, monkeypatch)


@pytest.fixture
def own_token(shim_made, shim, tmp_path, monkeypatch):
    """A copy of the shim's token, to spoil, before which the shim stands."""
    token, _ = shim_made
    copy = tmp_path / "copy"
    shutil.copytree(token.configuration.parent, copy)
    conf = copy / "softhsm2.conf"
    conf.write_text(conf.read_text().replace(str(token.configuration.parent), str(copy)))
    monkeypatch.setenv("SOFTHSM2_CONF", str(conf))
    return token
