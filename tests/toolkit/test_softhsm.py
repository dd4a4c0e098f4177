"""The demo token: made once, kept private."""

from __future__ import annotations

import stat

import pytest

from toolkit import softhsm
from toolkit.errors import ConfigError

pytestmark = pytest.mark.hsm


@pytest.fixture
def token(tmp_path):
    """A token in a folder."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    return softhsm.make_token(tmp_path / "token")


def test_a_second_call_finds_the_token(token, tmp_path):
    """The demo run twice has one token, filled once."""
    before = sorted(path.name for path in (tmp_path / "token").rglob("*"))
    assert token == softhsm.make_token(tmp_path / "token")
    assert before == sorted(path.name for path in (tmp_path / "token").rglob("*"))


def test_nobody_else_can_read_it(token, tmp_path):
    """The folder is 0700 and the PIN's file 0600."""
    assert 0o700 == stat.S_IMODE((tmp_path / "token").stat().st_mode)
    assert 0o600 == stat.S_IMODE((tmp_path / "token" / "user.pin").stat().st_mode)
    assert token.pin == f"file:{tmp_path / 'token' / 'user.pin'}"


def test_without_softhsm_the_error_says_what_to_install(tmp_path, monkeypatch):
    """Never a traceback in the demo."""
    monkeypatch.setattr(softhsm, "_PLACES", ())
    with pytest.raises(ConfigError, match="apt-get install softhsm2"):
        softhsm.make_token(tmp_path / "token")
