"""Real tools that make real keys, and a reader of what a collector says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


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
