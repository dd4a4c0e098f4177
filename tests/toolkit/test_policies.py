"""Policy packs: strict to parse, and true to their own examples."""

from __future__ import annotations

import copy
import re
import tomllib
from datetime import date, timedelta, timezone
from pathlib import Path

import pytest

from toolkit import policies
from toolkit.conditions import Columns, fields_of, frame_of, moment
from toolkit.errors import PolicyError
from toolkit.terms import Verdict

FOLDER = Path(policies.__file__).parent
PACKS = sorted(FOLDER.glob("*.toml"))
HOUSE = {
    "pack": {
        "title": "House", "issuer": "us", "edition": "House rules 1", "status": "in-force", "binding": "house",
        "url": "https://example.com",
    },
    "rules": [
        {
            "id": "long", "clause": "1", "mark": "P", "says": "Keys are long.", "subject": "key", "severity": "high",
            "remediation": "Make it longer.", "require": {"field": "size_bits", "op": ">=", "value": 3000},
            "met": [{"size_bits": 3072}], "not_met": [{"size_bits": 2048}], "cannot_tell": [{}],
        }
    ],
}  # fmt: skip


def house(**changes):
    """The house pack with changes: `pack__binding`, or fields of its rule."""
    data = copy.deepcopy(HOUSE)
    for name, value in changes.items():
        table, key = (data["pack"], name[6:]) if name.startswith("pack__") else (data["rules"][0], name)
        table[key] = value
    return data


def verdict_of(pack, rule_id, row, day):
    """One rule's verdict on one row on one day."""
    (rule,) = [rule for rule in pack.rules if rule.id == rule_id]
    frame = frame_of(rule.subject, [row])
    judged = policies.judge(rule, Columns(rule.subject, frame, as_of=moment(day)))
    return tuple(Verdict)[judged.verdicts[0]]


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_rule_keeps_its_examples(path):
    """`load` runs all of them; each rule with a condition has one of every kind."""
    pack = policies.load(path)
    assert path.stem == pack.name
    for rule in pack.rules:
        assert (
            rule.attestation
            or is_told(pack, rule)
            or {Verdict.PASS, Verdict.INDETERMINATE} < {e.expected for e in rule.examples}
        )


def is_told(pack, rule):
    """Rules of the house that always have an answer: on its own register, and on what told a key's class already."""
    fields = set(fields_of(rule.require)) if pack.name == policies.HOUSE else {"asked of what may not be known"}
    return fields <= set(fields_of(rule.when)) and (not fields or len({e.expected for e in rule.examples}) == 2)


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_draft_is_marked_and_never_fails(path):
    """A clause that says `draft` is marked so, and its worst is a WARN."""
    for rule in policies.load(path).rules:
        assert ("draft" in rule.clause) == rule.is_draft, rule.id
        assert not (rule.is_draft and rule.otherwise is Verdict.FAIL)


def test_cryptoperiods_only_warn():
    """SP 800-57pt1 r5 5.3.6, table 1: suggestions of a rough magnitude (S)."""
    pack = policies.load(FOLDER / "nist_sp800_57.toml")
    periods = [rule for rule in pack.rules if rule.id.startswith("cryptoperiod-")]
    assert len(periods) == 10
    assert {Verdict.WARN} == {rule.otherwise for rule in periods}


@pytest.mark.parametrize(
    ("rule", "row", "day", "expected"),
    [
        # SP 800-131A r2: 112 bits through 2030 (K).
        ("112-bits-after-2030", {"security_strength_bits": 112, "quantum": "broken"}, "2030-12-31", "NOT_APPLICABLE"),
        ("112-bits-after-2030", {"security_strength_bits": 112, "quantum": "broken"}, "2031-01-01", "FAIL"),
        # SP 800-131A r2: 3TDEA encrypts until the end of 2023 (K).
        ("tdea", {"algorithm": "TDEA"}, "2023-12-31", "NOT_APPLICABLE"),
        ("tdea", {"algorithm": "TDEA"}, "2024-01-01", "FAIL"),
        ("rsa-size", {"algorithm": "RSA", "size_bits": 2047}, "2026-01-01", "FAIL"),
        ("rsa-size", {"algorithm": "RSA", "size_bits": 2048}, "2026-01-01", "PASS"),
        ("ec-size", {"algorithm": "EC", "size_bits": 223}, "2026-01-01", "FAIL"),
        ("ec-size", {"algorithm": "EC", "size_bits": 224}, "2026-01-01", "PASS"),
        ("hmac-size", {"algorithm": "HMAC", "size_bits": 111}, "2026-01-01", "FAIL"),
        # Not approved is not weak.
        ("not-approved", {"algorithm": "X25519"}, "2026-01-01", "WARN"),
        ("other-strength", {"algorithm": "ML-DSA", "quantum": "resistant"}, "2026-01-01", "NOT_APPLICABLE"),
        ("other-strength", {"algorithm": "Serpent"}, "2026-01-01", "INDETERMINATE"),
    ],
)
def test_131a_says_what_the_clause_says_on_that_day(rule, row, day, expected):
    """The numbers and dates of facts/standards.md 1.1 and 1.2."""
    pack = policies.load(FOLDER / "nist_sp800_131a.toml")
    day = moment(tomllib.loads(f"d = {day}")["d"])
    assert expected == verdict_of(pack, rule, {"holds_secret": True, **row}, day)


def test_the_signature_of_a_root_is_not_relied_upon():
    """A self-signed trust anchor over SHA-1 is no finding; one that it issued is."""
    pack = policies.load(FOLDER / "nist_sp800_131a.toml")
    root = {"holds_secret": False, "signature_hash": "SHA1", "is_self_signed": True, "is_trust_anchor": True}
    rule, day = "certificate-signature-of-others", moment(tomllib.loads("d = 2026-01-01")["d"])
    assert verdict_of(pack, rule, root, day) == "NOT_APPLICABLE"
    assert verdict_of(pack, rule, {**root, "is_self_signed": False}, day) == "WARN"


def test_a_guideline_and_a_draft_never_fail():
    """FAIL becomes WARN by binding and by status."""
    assert policies.parse(house(), name="house").rules[0].otherwise == "FAIL"
    for change in ({"pack__binding": "guideline"}, {"pack__status": "draft"}, {"is_draft": True}):
        assert policies.parse(house(**change), name="house").rules[0].otherwise == "WARN"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colour": "red"}, "rule long: unknown colour"),
        ({"mark": "Q"}, "'Q' is no TrustMark"),
        ({"severity": "dire"}, "'dire' is no Severity"),
        ({"otherwise": "PASS"}, "otherwise is FAIL or WARN"),
        ({"subject": "gap"}, "rule long: it needs"),
        ({"met": []}, "no example `met`"),
        ({"attestation": True}, "an attestation has"),
        ({"attester": "the owner"}, "attester is said of an attestation only"),
        ({"effective_from": "2031"}, "effective_from is a date"),
        ({"require": {"field": "size", "op": ">", "value": 1}}, "rule long, require: a key has no field 'size'"),
        ({"scope": "moon"}, "'moon' is no Scope"),
        ({"verb": "delete"}, "'delete' is no Verb"),
        ({"topic": "weather"}, "'weather' is no Topic"),
        ({"cwe": "326"}, "'326' is no cwe id"),
        ({"attack": ["CWE-1"]}, "'CWE-1' is no attack id"),
        ({"evidence": "a record"}, "evidence is a list of texts"),
        ({"pack__name": "home"}, "it calls itself home"),
        ({"pack__binding": "law"}, "'law' is no Binding"),
    ],
)
def test_a_pack_that_is_not_of_the_form_is_refused(change, says):
    """The error names pack, rule and field."""
    with pytest.raises(PolicyError, match=re.escape(says)):
        policies.parse(house(**change), name="house")


@pytest.mark.parametrize(
    "change", [{"met": [{"size_bits": 2048}]}, {"met": [{"size": 1}]}, {"met": [{"size_bits": "x"}]}]
)
def test_a_pack_that_breaks_its_own_examples_is_refused(change):
    """A wrong example, one with an unknown field, one with a wrong type."""
    with pytest.raises(PolicyError, match="pack house, rule long"):
        policies.check_examples(policies.parse(house(**change), name="house"))


def test_a_rule_takes_from_its_pack_what_it_does_not_say():
    """Scope, mark, dates and address stand once in `[pack]`; a rule may have its own, and an empty scope is everyone."""
    pack = policies.parse(house(pack__scope="ephi", pack__effective_from=date(2027, 1, 1)), name="house")
    assert (("ephi",), moment(date(2027, 1, 1))) == (pack.rules[0].scope, pack.rules[0].effective_from)
    own = policies.parse(house(pack__scope="ephi", scope=[], url="https://example.com/1"), name="house").rules[0]
    assert ((), "https://example.com/1") == (own.scope, own.url)


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [(["ephi"], "FAIL"), (["not:ephi"], "NOT_APPLICABLE"), (["not:*"], "NOT_APPLICABLE"), (["nss"], "INDETERMINATE")],
)
def test_a_rule_with_a_scope_is_asked_of_what_is_told_to_be_in_it(scopes, expected):
    """In: judged. Out: not applicable. Not told: indeterminate, for want of `scopes`."""
    pack = policies.parse(house(pack__scope="ephi"), name="house")
    row = {"size_bits": 1024, "scopes": scopes}
    assert expected == verdict_of(pack, "long", row, date(2026, 1, 1))
    columns = Columns("key", frame_of("key", [{"size_bits": 1024}]), as_of=moment(date(2026, 1, 1)))
    assert ["scopes"] == list(policies.judge(pack.rules[0], columns).missing)


@pytest.mark.parametrize(
    ("field", "topic"), [("size_bits", "algorithm"), ("in_use_since", "cryptoperiod"), ("owner", "records")]
)
def test_a_rule_is_about_the_first_thing_it_asks_for(field, topic):
    """Without it, packs that disagree could not be shown side by side."""
    assert topic == policies.parse(house(require={"field": field, "op": "known"}), name="house").rules[0].topic


def test_a_file_that_is_no_pack_is_refused(tmp_path):
    """The error names the file."""
    path = tmp_path / "odd.toml"
    path.write_text("[pack")
    with pytest.raises(PolicyError, match=r"odd\.toml"):
        policies.load(path)


def edges():
    """Every effective date of every pack: the rule, and the instants beside it with whether it holds then."""
    second = timedelta(seconds=1)
    for path in PACKS:
        for rule in policies.load(path).rules:
            if rule.effective_from is not None:
                yield pytest.param(rule, rule.effective_from, True, id=f"{path.stem}-{rule.id}-first")
                yield pytest.param(rule, rule.effective_from - second, False, id=f"{path.stem}-{rule.id}-before")
            if rule.effective_to is not None:
                end = rule.effective_to + timedelta(days=1)
                yield pytest.param(rule, end - second, True, id=f"{path.stem}-{rule.id}-last")
                yield pytest.param(rule, end, False, id=f"{path.stem}-{rule.id}-after")


@pytest.mark.parametrize(("rule", "at", "holds"), list(edges()))
def test_a_rule_holds_from_the_first_second_of_its_time_to_the_last(rule, at, holds):
    """Days are days of UTC, whatever the zone that the question is asked in."""
    assert holds == rule.is_effective(at) == rule.is_effective(at.astimezone(timezone(timedelta(hours=9))))
