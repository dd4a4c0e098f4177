"""An organisation's own policy as a pack: verdicts, exceptions that stay visible, and where the policy is found."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

import pytest

import toolkit as tk
from toolkit import assessment, house, narrative, policies
from toolkit.conditions import frame_of
from toolkit.errors import ConfigError
from toolkit.model import Key, Reading
from toolkit.store import Workspace, new_run_id
from toolkit.tables import Builder
from toolkit.terms import KeyType, Protection, ReadingStatus

SECOND = timedelta(seconds=1)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
POLICY = """
[house]
organisation = "Ours"
title = "Keys"
edition = "K1"
url = "https://ours.example/keys"
exception_days = 100
{status}

[[classes]]
id = "files"
clause = "7.1"
match = {{ keeper = "keyfiles" }}
algorithms = [{{ algorithm = "AES", least_bits = 256 }}]
protection = "passphrase"
originator_days = 365
custodians = {{ least = 1, names = ["Ana"] }}

[[exceptions]]
id = "EX-1"
rule = "files/algorithm"
match = {{ label = "old-*" }}
reason = "the partner moves in winter"
owner = "Partners"
approver = "Dora"
granted = 2026-10-01
until = {until}
"""
KEY = {"holds_secret": True, "held_by": ["keyfiles"], "label": "old-1", "algorithm": "AES", "size_bits": 128,
       "protection": "passphrase", "state": "active", "in_use_since": datetime(2026, 1, 1, tzinfo=UTC)}  # fmt: skip


def text(until=date(2026, 12, 31), status=""):
    """The policy, its exception until a day."""
    return POLICY.format(until=until, status=status)


def judged(*keys, as_of=NOON, **told):
    """The findings on some keys."""
    rows = [{"subject_uid": f"keeper:{number}", **KEY, **key} for number, key in enumerate(keys, 1)]
    pack = policies.pack_of(house.loads(text(**told)))
    nothing = frame_of("inventory", [{"subject_uid": "inventory"}])
    return assessment.assess({"key": frame_of("key", rows), "inventory": nothing}, [pack], as_of=as_of)


def verdicts(found, rule):
    """What a rule says of each subject."""
    return found.loc[found["rule"] == rule, "verdict"].astype(str).tolist()


def test_a_rule_of_the_house_reads_like_one_of_a_standard():
    """Clause, edition, binding, repair, evidence and the values it saw."""
    row = judged({"label": "new"}).set_index("rule").loc["files/algorithm"]

    assert ("house", "K1, 7.1, algorithms", "house", "P") == (row["pack"], row["clause"], row["binding"], row["mark"])
    assert ("FAIL", "migrate", "algorithm", "inventory: keys") == (
        row["verdict"],
        row["verb"],
        row["topic"],
        row["evidence"],
    )
    assert '"size_bits": 128' in row["saw"]


def test_a_key_whose_class_is_not_known_has_one_finding_that_says_what_would_tell():
    """Not one a rule: the estate would drown in them."""
    found = judged({"held_by": None})
    ours = found[found["subject"] == "key"]

    assert [("class", "INDETERMINATE", ["held_by"])] == [
        (r.rule, r.verdict, list(r.missing)) for r in ours.itertuples()
    ]


def test_a_key_in_no_class_is_a_finding_and_others_public_keys_are_none():
    """What the policy forgot is told; what is not ours to keep is not asked about."""
    found = judged({"held_by": ["code"]}, {"holds_secret": False, "held_by": None})

    assert [("keeper:1", "class", "FAIL")] == [
        (r.subject_uid, r.rule, r.verdict) for r in found[found["subject"] == "key"].itertuples()
    ]


@pytest.mark.parametrize(
    ("as_of", "holds"),
    [
        (datetime(2026, 9, 30, 23, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 10, 1, tzinfo=UTC), True),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 1, tzinfo=UTC), False),
    ],
)
def test_an_exception_holds_from_its_first_second_to_its_last(as_of, holds):
    """What it speaks of is a FAIL all the while: with the exception beside it, or without."""
    found = judged({}, {"label": "new-1"}, as_of=as_of)
    ours = found[found["rule"] == "files/algorithm"]

    assert ["FAIL", "FAIL"] == ours["verdict"].tolist()
    assert [holds, False] == ours["excepted"].notna().tolist()
    assert (
        not holds or "EX-1 until 2026-12-31, approved by Dora: the partner moves in winter" == ours["excepted"].iloc[0]
    )


def test_an_exception_that_is_over_is_a_finding_from_that_second_on():
    """Somebody has to repair the keys, or ask again."""
    last = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)

    assert [] == verdicts(judged({}, as_of=last), "exception/EX-1/over")
    assert ["FAIL"] == verdicts(judged({}, as_of=last + SECOND), "exception/EX-1/over")


def test_an_exception_that_is_too_long_is_a_finding_and_holds_no_longer_than_allowed():
    """A hundred days from 1 October 2026 end with 9 January 2027, whatever was written."""
    just, over = judged({}, until=date(2027, 1, 9)), judged({}, until=date(2027, 1, 10))
    assert ([], ["FAIL"]) == (verdicts(just, "exception/EX-1/too-long"), verdicts(over, "exception/EX-1/too-long"))

    for as_of, holds in (
        (datetime(2027, 1, 9, 23, 59, 59, tzinfo=UTC), True),
        (datetime(2027, 1, 10, tzinfo=UTC), False),
    ):
        found = judged({}, as_of=as_of, until=date(2028, 1, 1))
        assert [holds] == found.loc[found["rule"] == "files/algorithm", "excepted"].notna().tolist()


@pytest.mark.parametrize(
    ("label", "size", "excepted"), [("old-1", 256, False), ("old-1", None, False), ("old-1", 128, True)]
)
def test_only_what_is_broken_is_excepted(label, size, excepted):
    """A pass needs no leave, and what cannot be told gets none."""
    found = judged({"label": label, "size_bits": size})

    assert [excepted] == found.loc[found["rule"] == "files/algorithm", "excepted"].notna().tolist()


def test_a_cryptoperiod_ends_to_the_second():
    """365 days to the second pass; one second more fails; new material begins anew; an unknown beginning is unknown."""
    due = NOON - timedelta(days=365)
    found = judged(
        {"in_use_since": due}, {"in_use_since": due - SECOND}, {"in_use_since": due - SECOND, "last_rotated_at": due},
        {"in_use_since": None}, {"in_use_since": None, "last_rotated_at": due}, {"in_use_since": due - SECOND, "functions": ["decrypt"]},
    )  # fmt: skip

    assert ["PASS", "PASS", "PASS", "FAIL", "INDETERMINATE"] == verdicts(found, "files/originator-period")
    ours = found[found["rule"] == "files/originator-period"].astype({"subject_uid": str, "verdict": str})
    assert {
        "keeper:1": "PASS",
        "keeper:2": "FAIL",
        "keeper:3": "PASS",
        "keeper:4": "INDETERMINATE",
        "keeper:5": "PASS",
    } == dict(zip(ours["subject_uid"], ours["verdict"], strict=True))


def test_custodians_are_asked_for_their_word():
    """What no keeper knows is attested to."""
    assert ["ATTESTATION_REQUIRED"] == verdicts(judged({}), "files/custodians")


def test_a_draft_policy_only_warns():
    """It is not in force yet."""
    found = judged({}, status='status = "draft"')

    assert ["WARN"] == verdicts(found, "files/algorithm")
    assert "FAIL" not in set(found["verdict"])
    assert found.loc[found["rule"] == "files/algorithm", "excepted"].notna().all()


def test_the_summary_counts_what_is_excepted():
    """Beside the FAILs, not instead of them."""
    told = assessment.summary(judged({}, {"label": "new"})).set_index("rule")

    assert (2, 1) == (told.loc["files/algorithm", "FAIL"], told.loc["files/algorithm", "excepted"])
    assert 0 == told.loc["files/protection", "excepted"]


@pytest.fixture
def workspace(tmp_path):
    """A run with one short key."""
    opened = Workspace(tmp_path / "w")
    builder = Builder()
    where = {"collector": "keyfiles", "target": "file:///k", "locator": "file:///k/a"}
    builder.add(
        Key(key_uid="hmac:1", key_type=KeyType.SECRET_KEY, algorithm="AES", size_bits=128, label="old-1",
            protection=Protection.NONE, created_at=datetime(2026, 10, 1, tzinfo=UTC), **where)
    )  # fmt: skip
    run_id = new_run_id()
    builder.add(
        Reading(collector="keyfiles", target="file:///k", status=ReadingStatus.READ, rows=1, gaps=0, seconds=0.1,
                started_at=datetime(2026, 11, 1, tzinfo=UTC), run_id=run_id)
    )  # fmt: skip
    opened.write_run(builder, run_id=run_id)
    return tmp_path / "w"


def test_the_policy_in_the_workspace_judges_beside_the_standards(workspace, tmp_path):
    """Without being asked for; named, it alone; a file that is given stands in for it."""
    inv = tk.load(workspace)
    packs = lambda found: set(found["pack"])  # noqa: E731
    assert "house" not in packs(tk.assess(inv, workspace=workspace, as_of=NOON))

    (workspace / "house.toml").write_text(text())
    assert {"house", "nist_sp800_131a"} <= packs(tk.assess(inv, workspace=workspace, as_of=NOON))
    assert "house" not in packs(tk.assess(inv, "owasp", workspace=workspace, as_of=NOON))
    mine = tk.assess(inv, "house", workspace=workspace, as_of=NOON)
    assert {"K1"} == set(mine["edition"])

    other = tmp_path / "other.toml"
    other.write_text(text(status='status = "draft"').replace("K1", "K2"))
    given = tk.assess(inv, "owasp", house=other, workspace=workspace, as_of=NOON)
    assert {"owasp", "house"} == packs(given)
    assert "K2" in set(given["edition"])


def test_the_example_judges_only_when_it_is_named(workspace):
    """Nobody is judged by the policy of a bank that there is not."""
    assert "house" not in set(tk.explain_rules()["pack"])
    assert {"example"} == set(tk.assess(tk.load(workspace), "house", as_of=NOON)["status"])


def test_a_policy_that_is_not_there_is_an_error(workspace):
    """A file that was named and is missing is not a clean result."""
    with pytest.raises(ConfigError, match="house example"):
        tk.assess(tk.load(workspace), house=workspace / "none.toml")


def test_reports_show_what_is_excepted_and_by_which_policy(workspace):
    """The rule in the table of broken rules, the key's page, and the digest of the file in the evidence."""
    (workspace / "house.toml").write_text(text())
    inv = tk.load(workspace)
    found = tk.assess(inv, workspace=workspace, as_of=NOON)

    page = narrative.standards(found, top=500)._repr_html_()
    assert "1 by EX-1 until 2026-12-31, approved by Dora" in page
    told = str(tk.explain(inv, "hmac:1", "house", workspace=workspace, as_of=NOON))
    assert "files/protection" in told
    assert "EX-1 until 2026-12-31" in told
    packs = {pack["name"]: pack for pack in narrative.evidence(inv, as_of=NOON, workspace=workspace).facts["packs"]}
    assert hashlib.sha256((workspace / "house.toml").read_bytes()).hexdigest() == packs["house"]["sha256"]
    assert "cnsa_2022_chart" not in packs
