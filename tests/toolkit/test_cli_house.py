"""`keyatlas house` and `assess --house` in a real process, over a SoftHSM token and key files made for the test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit import softhsm

pytestmark = pytest.mark.hsm
KEYATLAS = str(Path(sys.executable).parent / "keyatlas")
POLICY = """
[house]
organisation = "Ours"
title = "Keys"
edition = "K1"
url = "https://ours.example/keys"

[roles]
custodian = ["Ana", "Bo"]
engineer = []

[[classes]]
id = "hsm"
clause = "7.1"
match = { keeper = "pkcs11" }
algorithms = [{ algorithm = "RSA", least_bits = 2048 }, { algorithm = "EC" }, { algorithm = "AES", least_bits = 256 }]
is_not = ["extractable"]
[classes.may]
generate = { roles = ["custodian"], approvals = 1, approvers = ["custodian"] }
destroy = { roles = ["custodian"], states = ["active", "deactivated", "compromised"], approvals = 1, approvers = ["custodian"], wait_days = 7 }

[[classes]]
id = "files"
clause = "7.2"
match = { keeper = "keyfiles" }
protection = "passphrase"
[classes.may]
revoke = { roles = ["engineer"] }

[[exceptions]]
id = "EX-1"
rule = "hsm/algorithm"
match = { label = ["legacy-*", "exportable-*", "payment-*"] }
reason = "moved with the new terminals"
owner = "Terminals"
approver = "Dora"
granted = 2026-06-01
until = 2027-05-31
"""


def keyatlas(*words, cwd, code=0, **env):
    """What the command prints, after it ended with that code."""
    ran = subprocess.run([KEYATLAS, *words], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env})
    assert code == ran.returncode, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr if code == 2 else ran.stdout


@pytest.fixture(scope="module")
def estate(tmp_path_factory):
    """A token and a folder, both collected, and the house's policy in the workspace."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    home = tmp_path_factory.mktemp("house")
    (home / "keys").mkdir()
    subprocess.run(["openssl", "genrsa", "-out", home / "keys/a.pem", "2048"], check=True, capture_output=True)
    token = softhsm.make_token(home / "token")
    keyatlas("collect", "keyfiles", "--path", str(home / "keys"), cwd=home)
    collect = ["collect", "pkcs11", "--module", str(token.module), "--pin", token.pin]
    keyatlas(*collect, cwd=home, **token.environment())
    (home / ".keyatlas/house.toml").write_text(POLICY)
    return home


@pytest.fixture(scope="module")
def verdicts(estate):
    """What the house says, by label and rule."""
    told = json.loads(keyatlas("assess", "house", "--all", "--json", "--fail-on", "never", cwd=estate))
    rows = keyatlas("export", "jsonl", "out", "--json", cwd=estate)
    keys = [json.loads(line) for line in (estate / json.loads(rows)["folder"] / "keys.jsonl").read_text().splitlines()]
    labels = {key["key_uid"]: key["label"] or "a.pem" for key in keys}
    return {(labels.get(row["subject_uid"]), row["rule"]): row for row in told if row["subject"] == "key"}


def uid_of(verdicts, label):
    """The uid of a key by its label."""
    return next(row["subject_uid"] for (name, _), row in verdicts.items() if name == label)


def test_the_house_judges_what_lies_on_the_token_and_in_files(verdicts):
    """Good and bad keys of a real module, each by its own class."""
    told = {key: row["verdict"] for key, row in verdicts.items()}

    assert "PASS" == told["tls-frontend", "hsm/algorithm"]
    assert "FAIL" == told["legacy-partner", "hsm/algorithm"]
    assert "FAIL" == told["exportable-dek", "hsm/is-not-extractable"]
    assert "PASS" == told["backup-master", "hsm/is-not-extractable"]
    assert "FAIL" == told["a.pem", "files/protection"]
    assert ("a.pem", "hsm/algorithm") not in told


def test_what_is_excepted_is_a_fail_that_says_so(verdicts):
    """The old algorithms have leave; that material can be taken out has none."""
    assert "EX-1 until 2027-05-31" in verdicts["legacy-partner", "hsm/algorithm"]["excepted"]
    assert verdicts["exportable-dek", "hsm/is-not-extractable"]["excepted"] is None


def test_fail_on_counts_what_has_no_leave(estate, tmp_path):
    """A job fails on other keys, and not on what was approved."""
    keyatlas("assess", "house", cwd=estate, code=1)
    lone = tmp_path / "lone.toml"
    lone.write_text(POLICY.replace('is_not = ["extractable"]', "").replace('protection = "passphrase"', ""))
    ran = subprocess.run([KEYATLAS, "assess", "house", "--house", lone], cwd=estate, capture_output=True, text=True)
    assert 0 == ran.returncode, ran.stdout
    assert "3 findings are excepted" in ran.stderr


def test_a_key_of_the_token_is_destroyed_after_a_week_with_a_second_person(estate, verdicts):
    """Refused before, with the day; open for approval then; allowed with it. Exit code 0 is a yes."""
    asked = ["house", "permits", "destroy", "--key", uid_of(verdicts, "tls-frontend"), "--by", "Ana", "--json"]
    asked += ["--requested", "2027-01-01", "--as-of"]
    early = json.loads(keyatlas(*asked, "2027-01-07T23:59:59", "--approved-by", "Bo", cwd=estate, code=1))
    alone = json.loads(keyatlas(*asked, "2027-01-08", cwd=estate, code=1))
    due = json.loads(keyatlas(*asked, "2027-01-08", "--approved-by", "Bo", cwd=estate))

    assert ("refused", "2027-01-08T00:00:00+00:00") == (early["outcome"], early["earliest"])
    assert "needs-approval" == alone["outcome"]
    assert ("allowed", ["bo"], "hsm") == (due["outcome"], due["approved_by"], due["class"])


def test_a_key_that_is_to_be_made_is_described(estate):
    """A short one is refused with the rule and its clause; roles of a directory are given."""
    asked = ["house", "permits", "generate", "--by", "Ana", "--approved-by", "Bo", "--set", 'held_by=["pkcs11"]']
    asked += ["--set", "algorithm=AES", "--set", "extractable=false", "--set"]

    assert "hsm/algorithm" in keyatlas(*asked, "size_bits=128", cwd=estate, code=1)
    assert "allowed: generate by ana" in keyatlas(*asked, "size_bits=256", cwd=estate)


def test_a_policy_is_checked_and_shown(estate, tmp_path):
    """What it permits, as tables and as JSON; the example is one; a mistake says where, with exit code 2."""
    assert "K1" in keyatlas("house", "check", cwd=estate)
    example = tmp_path / "own.toml"
    example.write_text(keyatlas("house", "example", cwd=estate))
    told = json.loads(keyatlas("house", "check", str(example), "--as-of", "2026-11-02", "--json", cwd=estate))
    assert {"payment", "authority"} <= {one["class"] for one in told["classes"]}
    assert ["in force"] == [one["state"] for one in told["exceptions"]]
    example.write_text(example.read_text().replace('clause = "4.3"', 'clause = "4.3"\nowner = "x"'))
    assert "class payment: unknown owner" in keyatlas("house", "check", str(example), cwd=estate, code=2)


def test_wrong_questions_are_wrong_usage(estate):
    """No key, a key that there is not, a verb that there is not."""
    keyatlas("house", "permits", "destroy", "--by", "Ana", cwd=estate, code=2)
    assert "0 keys" in keyatlas("house", "permits", "destroy", "--key", "none:", "--by", "Ana", cwd=estate, code=2)
    asked = ["house", "permits", "delete", "--set", "label=x", "--by", "Ana"]
    assert "no verb is called delete" in keyatlas(*asked, cwd=estate, code=2)
