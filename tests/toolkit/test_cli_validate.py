"""`keyatlas validate` over a real folder; its exit codes are what a scheduled job goes by.

In this process, since great-expectations takes ten seconds to load, but by the same entry point as the command.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from toolkit import cli


@dataclass
class Ran:
    """What a command gave."""

    returncode: int
    stdout: str
    stderr: str


def keyatlas(*words, cwd):
    """Run the command in a folder, as `keyatlas` runs it."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["keyatlas", *words])
        patch.chdir(cwd)
        with pytest.raises(SystemExit) as left:
            cli.run()
    return Ran(left.value.code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    """Twelve keys, collected; ten of them lost, collected again."""
    home = tmp_path_factory.mktemp("estate")
    (home / "keys").mkdir()
    for number in range(12):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "keys" / f"id{number}")]
        subprocess.run(words, check=True)
    assert 0 == keyatlas("collect", "keyfiles", "--path", "keys", cwd=home).returncode
    for number in range(10):
        for name in (f"id{number}", f"id{number}.pub"):
            (home / "keys" / name).unlink()
    return home


def test_a_run_that_lost_most_of_its_keys_is_quarantined_until_it_is_released(estate):
    """Collect says so and exits with 1; the keys of the run before are still shown, and coverage is incomplete."""
    ran = keyatlas("collect", "keyfiles", "--path", "keys", "--json", cwd=estate)
    (run,) = json.loads(ran.stdout)["runs"]
    assert 1 == ran.returncode
    assert "has not lost more than 50%" in ran.stderr
    assert f"keyatlas validate --release {run}" in ran.stderr

    told = keyatlas("coverage", "--strict", "--json", cwd=estate)
    assert 3 == told.returncode
    assert "1 not-asked" == json.loads(told.stdout)[0]["why"]
    listed = keyatlas("validate", "--quarantined", "--json", cwd=estate)
    assert (1, [run]) == (listed.returncode, [row["run"] for row in json.loads(listed.stdout)])

    assert 2 == keyatlas("validate", "--release", run, cwd=estate).returncode
    done = keyatlas("validate", "--release", run, "--reason", "moved to the HSM", "--by", "alice", "--json", cwd=estate)
    assert (0, "alice") == (done.returncode, json.loads(done.stdout)["released_by"])
    assert 0 == keyatlas("validate", "--quarantined", cwd=estate).returncode
    assert 0 == keyatlas("coverage", "--strict", cwd=estate).returncode


def test_validate_checks_the_whole_contract_and_quarantines_what_breaks_it(estate):
    """As expected: 0; not as expected: 1, and the run is set apart; a file that is not understood: 2."""
    first = sorted(path.name for path in (estate / ".keyatlas" / "runs").iterdir())[0]
    (estate / "low.toml").write_text('[[source]]\ncollector = "keyfiles"\nminimum = {keys = 3}\n')
    (estate / "high.toml").write_text('[[source]]\ncollector = "keyfiles"\nminimum = {keys = 300}\n')
    (estate / "odd.toml").write_text("minimum = 3\n")

    kept = keyatlas("validate", first, "--expected", "low.toml", "--json", cwd=estate)
    told = {(row["table"], row["column"], row["check"]): row["verdict"] for row in json.loads(kept.stdout)}
    assert (0, "") == (kept.returncode, kept.stderr)
    assert 150 < len(told)
    assert "PASS" == told["keys", None, "has at least 3 rows of keyfiles"]

    broken = keyatlas("validate", first, "--expected", "high.toml", cwd=estate)
    assert 1 == broken.returncode
    assert f"Quarantined: {first}: not kept: keys has at least 300 rows" in broken.stderr
    assert 2 == keyatlas("validate", first, "--expected", "odd.toml", cwd=estate).returncode
    assert 0 == keyatlas("validate", "--release", first, "--reason", "a test", cwd=estate).returncode


def test_validate_counts_the_rules_of_a_pack_and_keeps_the_evidence(estate):
    """A table, suites and their tables, and a page."""
    ran = keyatlas("validate", "--controls", "resilience", "--out", "evidence", "--json", cwd=estate)
    told = json.loads(ran.stdout)
    assert ran.returncode in (0, 1), ran.stderr
    assert {"resilience"} == {row["pack"] for row in told}
    assert {True, None} >= {row["agrees"] for row in told}
    assert {"index.html", "resilience.key.json", "resilience.key.parquet"} <= {
        p.name for p in (estate / "evidence").iterdir()
    }
