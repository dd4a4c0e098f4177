"""The command line, run as a person runs it: a real process, a real folder."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

KEYATLAS = str(Path(sys.executable).parent / "keyatlas")


def keyatlas(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    return subprocess.run([KEYATLAS, *words], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env})


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    """A folder with a weak key in clear, a sealed key and a broken certificate, collected once."""
    home = tmp_path_factory.mktemp("estate")
    keys = home / "keys"
    keys.mkdir()
    subprocess.run(["openssl", "genrsa", "-out", keys / "weak.pem", "1024"], check=True, capture_output=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "canary-phrase", "-f", keys / "id"], check=True)
    (keys / "broken.crt").write_text("-----BEGIN CERT" + "IFICATE-----\nAAAA\n-----END CERT" + "IFICATE-----\n")
    ran = keyatlas("collect", "keyfiles", "--path", str(keys), "--json", cwd=home)
    assert 0 == ran.returncode, ran.stderr
    return home


def test_collect_reports_what_it_read_and_keeps_progress_off_standard_output(estate):
    """The result is one JSON document; the line per target goes to standard error."""
    ran = keyatlas("collect", "keyfiles", "--path", str(estate / "keys"), "--json", cwd=estate)
    told = json.loads(ran.stdout)
    assert 3 <= told["keys"]
    assert 1 == told["gaps"]
    assert "keyfiles: file://" in ran.stderr


def test_assess_exits_with_1_when_something_is_found(estate):
    """A scheduled job fails on an RSA-1024 key, and does not when told to look away."""
    assert 1 == keyatlas("assess", cwd=estate).returncode
    assert 0 == keyatlas("assess", "--fail-on", "never", cwd=estate).returncode


def test_coverage_exits_with_3_when_strict_and_incomplete(estate):
    """The broken certificate is a gap, and a strict job says so."""
    assert 0 == keyatlas("coverage", cwd=estate).returncode
    ran = keyatlas("coverage", "--strict", "--json", cwd=estate)
    assert 3 == ran.returncode
    assert "malformed" in json.loads(ran.stdout)[0]["why"]


@pytest.mark.parametrize(
    "words",
    [
        ["assess", "no_such_pack"],
        ["collect", "keyfiles", "--no-such-option"],
        ["report", "no_such_notebook"],
        ["permissions", "no_such_collector"],
        ["compare", "yesterday"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(estate, words):
    """No traceback, and the names there are."""
    ran = keyatlas(*words, cwd=estate)
    assert 2 == ran.returncode
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr) > 20


def test_a_workspace_that_is_not_there_exits_with_4_and_says_how_to_make_it(tmp_path):
    """A failure is not a clean result."""
    ran = keyatlas("assess", cwd=tmp_path)
    assert 4 == ran.returncode
    assert "keyatlas collect" in ran.stderr


def test_every_listing_speaks_json(estate):
    """Machines read the same results as people."""
    for words in (
        ["collectors"],
        ["permissions", "keyfiles"],
        ["coverage"],
        ["assess", "--fail-on", "never"],
        ["assess", "--all", "--fail-on", "never"],
        ["compare", "2020-01-01"],
        ["export", "csv", "out"],
    ):
        ran = keyatlas(*words, "--json", cwd=estate)
        assert 0 == ran.returncode, (words, ran.stderr)
        json.loads(ran.stdout)


def test_export_writes_the_tables(estate):
    """One file a table."""
    assert 0 == keyatlas("export", "csv", "tables", cwd=estate).returncode
    assert {"keys.csv", "certificates.csv", "gaps.csv"} <= {path.name for path in (estate / "tables").iterdir()}


def test_no_passphrase_surfaces_anywhere_in_the_workspace(estate):
    """The canary is in no file of the workspace and in no output."""
    told = keyatlas("assess", "--all", "--json", cwd=estate).stdout.encode()
    files = [path.read_bytes() for path in (estate / ".keyatlas").rglob("*") if path.is_file()]
    assert not any(b"canary-phrase" in data for data in [told, *files])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_an_output_that_cannot_be_written_exits_with_4(estate):
    """A full disk is neither a finding nor a clean result."""
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run([KEYATLAS, "coverage", "--json"], cwd=estate, stdout=full, stderr=subprocess.PIPE)

    assert (4, True) == (ran.returncode, ran.stderr.startswith(b"keyatlas: the output could not be written"))


def test_help_takes_less_than_four_tenths_of_a_second_of_cpu(tmp_path):
    """People ask for help often."""

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(3):
        before = cpu()
        assert 0 == keyatlas("--help", cwd=tmp_path).returncode
        took.append(cpu() - before)
    assert min(took) < 0.4
