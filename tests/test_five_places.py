"""The main job, end to end: one key in five places is one key, and what is done about it is told."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

import toolkit as tk
from toolkit import softhsm

pytestmark = pytest.mark.hsm


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    """One EC key in a PEM file, a certificate, an SSH file, a git history (deleted since) and an HSM."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    home = tmp_path_factory.mktemp("estate")
    files, repository = home / "files", home / "repository"
    files.mkdir()
    repository.mkdir()

    def run(*words: object, cwd: Path = files) -> bytes:
        identity = {
            f"GIT_{who}_{what}": "dev@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        return subprocess.run(
            [*map(str, words)], cwd=cwd, check=True, capture_output=True, env={**os.environ, **identity}
        ).stdout

    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "site.key")
    run("openssl", "req", "-x509", "-new", "-key", "site.key", "-subj", "/CN=site", "-days", "90", "-out", "site.crt")
    (files / "site.key").chmod(0o600)
    (files / "id_site.pub").write_bytes(run("ssh-keygen", "-y", "-f", "site.key"))
    run("git", "init", "-q", "-b", "main", cwd=repository)
    (repository / "deploy.pem").write_bytes((files / "site.key").read_bytes())
    run("git", "add", ".", cwd=repository)
    run("git", "commit", "-qm", "deploy", cwd=repository)
    run("git", "rm", "-q", "deploy.pem", cwd=repository)
    run("git", "commit", "-qm", "oops", cwd=repository)
    token = softhsm.make_token(home / "token", key_pem=files / "site.key")
    os.environ.update(token.environment())
    for name, options in {
        "keyfiles": {"paths": [files]},
        "code": {"paths": [repository]},
        "pkcs11": {"modules": [token.module], "pin": token.pin},
    }.items():
        tk.collect(name, into=home / "workspace", show_progress=False, **options)
    yield home
    os.environ.pop("SOFTHSM2_CONF", None)


@pytest.fixture(scope="module")
def inv(estate):
    """What the workspace knows after three runs."""
    return tk.load(estate / "workspace")


@pytest.fixture(scope="module")
def uid(estate, inv):
    """The key's uid, taken from its own file."""
    here = inv.keys["locator"].str.contains("site.key", regex=False)
    return inv.keys[here]["key_uid"].iloc[0]


def test_one_key_in_five_places_is_one_key(inv, uid):
    """A file, a certificate, an SSH file, a git history and an HSM."""
    told = tk.places(inv, uid)
    assert {"keyfiles", "code", "pkcs11"} == set(told["collector"])
    forms = set(told["format"])
    assert {"PKCS#8", "X.509 certificate", "OpenSSH public key", "PKCS#11 object"} <= forms
    assert any(place.startswith("git:") for place in told["locator"])
    assert 1 == (tk.keys(inv)["subject_uid"] == uid).sum()


def test_the_weakest_copy_counts(inv, uid):
    """That the HSM keeps it well is no comfort: it lies in clear in a file and in a history."""
    key = tk.keys(inv).set_index("subject_uid").loc[uid]
    assert ("none", True, False) == (key["protection"], key["is_in_code"], key["is_in_head"])
    assert 3 == key["copies"]
    assert ["code", "keyfiles", "pkcs11"] == list(key["collectors"])


def test_the_standards_say_so(inv, uid):
    """NIST: a private key in clear, and one in code, fail; each verdict tells what it saw."""
    findings = tk.assess(inv)
    mine = findings[(findings["subject_uid"] == uid) & (findings["verdict"] == "FAIL")]
    assert {"not-in-clear", "not-in-code"} <= set(mine["rule"])
    assert all(mine["saw"].str.len() > 2)


def test_it_is_the_worst_of_all(inv, uid):
    """The score puts it above the token's RSA-1024, with reasons and what to do."""
    worst = tk.score(inv).iloc[0]
    assert uid == worst["subject_uid"]
    assert len(worst["reasons"]) > 0
    assert worst["todo"]


def test_yesterday_knew_nothing_and_says_so(estate):
    """`as_of` before the first run is an empty inventory, not today's."""
    assert 0 == len(tk.load(estate / "workspace", as_of=datetime(2020, 1, 1, tzinfo=UTC)).keys)


def test_reading_again_changes_nothing(estate, inv):
    """Two runs over the same files compare as equal."""
    tk.collect("keyfiles", paths=[estate / "files"], into=estate / "workspace", show_progress=False)
    assert [] == list(tk.compare(inv, tk.load(estate / "workspace"))["change"])


def test_no_material_is_in_the_workspace(estate):
    """Not a line of the private key in any file of it, the demo token's own folder apart."""
    line = (estate / "files" / "site.key").read_bytes().splitlines()[1][:32]
    files = [path for path in (estate / "workspace").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [] == [path for path in files if line in path.read_bytes()]


def test_the_report_shows_it(estate, uid):
    """The page names the key among the worst, and all three sources."""
    page = tk.report("risk_assessment", workspace=estate / "workspace", out=estate / "out").read_text()
    assert uid.split(":")[1][:8] in page
    assert "deploy.pem" in page
