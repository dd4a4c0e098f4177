"""The packs agree with the standards' tables, which `tests/data/standards` transcribes a second time from the facts.

The tables name no rule: a pack's word on a key is read from all its rules on algorithms, as an auditor would.
"""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from functools import cache
from math import ceil
from pathlib import Path

import pytest

from toolkit import policies
from toolkit.algorithms import canonical, strength
from toolkit.conditions import Columns, fields_of, frame_of, moment
from toolkit.terms import Binding, PackStatus, Severity, Topic, Verdict

POLICIES = Path(policies.__file__).parent
DATA = Path(__file__).resolve().parent.parent / "data" / "standards"
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
FIXED = (datetime(2026, 6, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))


def table(name):
    """One transcribed table."""
    return tomllib.loads((DATA / f"{name}.toml").read_text())


KEYS, STATUSES, PERIODS = table("keys"), table("statuses"), table("cryptoperiods")["types"]
CERTIFICATES, CLOUDS = table("certificates"), table("clouds")


@cache
def pack(name):
    """A pack of ours, loaded once."""
    return policies.load(POLICIES / f"{name}.toml")


def verdicts(rules, subject, rows, as_of):
    """For each row: the rules that say something of it, with what they say."""
    columns = Columns(subject, frame_of(subject, rows), as_of=as_of)
    said = [[] for _ in rows]
    for rule in rules:
        if rule.subject == subject and not rule.attestation:
            for row, code in enumerate(policies.judge(rule, columns).verdicts):
                said[row].append((rule, tuple(Verdict)[code]))
    return said


# ---- strengths and statuses ---------------------------------------------------------------------------------------

_SIGNS = {"RSA", "DSA", "EC", "Ed25519", "Ed448", "HMAC", "ML-DSA", "SLH-DSA", "LMS", "HSS", "XMSS", "XMSS^MT", "FN-DSA"}  # fmt: skip
_AGREES = {"DH", "X25519", "X448"}
_SECRET = {"AES", "TDEA", "DES", "RC4", "Blowfish", "IDEA", "CAST5", "SEED", "Skipjack", "ChaCha20", "Camellia", "HMAC"}


def key_row(name, scope):
    """A private or secret key in use, kept well: only what it is made of can be wrong with it."""
    facts = KEYS[name]
    algorithm = facts["algorithm"]
    does = ["sign"] if algorithm in _SIGNS else ["derive"] if algorithm in _AGREES else ["encrypt", "decrypt"]
    row = {
        "holds_secret": True, "key_type": "secret-key" if algorithm in _SECRET else "private-key", "state": "active",
        "protection": "hardware", "protected": True, "sensitive": True, "extractable": False, "origin": "generated",
        "certificates": 0, "copies": 1, "in_use_since": date(2024, 1, 1), "scopes": list(scope), "algorithm": algorithm,
        "functions": facts.get("functions", does), "parameter": facts.get("parameter", "none"),
        "quantum": facts["quantum"], "size_bits": facts.get("size_bits"),
        "security_strength_bits": facts.get("strength_bits"), "nist_quantum_category": facts.get("category"),
    }  # fmt: skip
    return {field: value for field, value in row.items() if value is not None}


def word(judged, rules_of):
    """What a pack says of a key in the tables' words: the worst that its rules on algorithms say."""
    said = [(rule, verdict) for rule, verdict in judged if rule.topic in (Topic.ALGORITHM, Topic.QUANTUM)]
    if any(verdict is Verdict.FAIL for _, verdict in said):
        return {"disallowed"}
    warned = [list(Severity).index(rule.severity) for rule, verdict in said if verdict is Verdict.WARN]
    if not warned:
        return {"undecided" if any(verdict is Verdict.INDETERMINATE for _, verdict in said) else "acceptable"}
    # A draft and a guideline only warn: how severely tells apart what they would not have at all.
    grave = Severity.MODERATE if rules_of.binding is Binding.GUIDELINE else Severity.HIGH
    never_fails = rules_of.binding is Binding.GUIDELINE or rules_of.status is PackStatus.DRAFT
    if never_fails and max(warned) >= list(Severity).index(grave):
        return {"disallowed", "discouraged"}
    return {"deprecated", "unlisted"}


def timeline(cells):
    """The moments to ask at, each with the word that holds then: a second before and at each boundary."""
    words, edges = cells[::2], [moment(edge) for edge in cells[1::2]]
    asked = [(edge - SECOND, words[place]) for place, edge in enumerate(edges)]
    asked += [(edge, words[place + 1]) for place, edge in enumerate(edges)]
    return asked + [(day, words[sum(edge <= day for edge in edges)]) for day in FIXED]


def expected_cells(name):
    """Every cell of a document's table: key, moment, word."""
    told = STATUSES[name]
    for key in KEYS:
        if key not in told.get("unstated", ()):
            yield from ((key, when, said) for when, said in timeline(told.get(key, told["other"])))


@pytest.mark.parametrize("name", STATUSES)
def test_a_pack_says_of_every_key_what_the_table_says(name):
    """Facts 1.1 to 1.6: strengths, statuses and dates; a second before each boundary, and at it."""
    rules_of, wrong = pack(name), []
    cells = list(expected_cells(name))
    for when in sorted({when for _, when, _ in cells}):
        keys = [(key, said) for key, at, said in cells if at == when]
        rows = [key_row(key, rules_of.scope) for key, _ in keys]
        for (key, said), judged in zip(keys, verdicts(rules_of.rules, "key", rows, when), strict=True):
            if said not in word(judged, rules_of):
                wrong.append(f"{key} at {when}: table {said}, pack {word(judged, rules_of)}")
    assert wrong == []


def test_the_strengths_of_the_toolkit_are_those_of_the_table():
    """Facts 1.1: classical bits, NIST category and what a quantum computer does; for every name that is known."""
    known = {key: facts for key, facts in KEYS.items() if canonical(facts["algorithm"])}
    assert len(known) > 40
    for key, facts in known.items():
        told = strength(facts["algorithm"], facts.get("parameter"), facts.get("size_bits"))
        assert facts["quantum"] == told.quantum, key
        if "strength_bits" in facts:
            assert facts["strength_bits"] == told.security_strength_bits, key
        if "category" in facts and told.nist_quantum_category is not None:
            assert facts["category"] == told.nist_quantum_category, key


def test_an_algorithm_of_an_unknown_name_is_not_told_to_be_approved():
    """A name that no list has is neither approved nor disapproved by FIPS 140-3's closed list."""
    row = {"holds_secret": True, "algorithm": "Serpent", "size_bits": 256, "scopes": ["federal"]}
    judged = verdicts(pack("fips_140_3").rules, "key", [row], FIXED[0])[0]
    assert Verdict.INDETERMINATE in {verdict for rule, verdict in judged if rule.id == "approved-algorithm"}


# ---- cryptoperiods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PERIODS, ids=lambda kind: kind["name"])
def test_a_cryptoperiod_ends_after_the_years_of_table_1(kind):
    """Facts 2.1: at the last second nothing is said, a second later it is a warning, and never a failure."""
    as_of, span = datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=ceil(365.25 * kind["years"]))
    subject = "certificate" if "certificate" in kind else "key"
    rules = [rule for rule in pack("nist_sp800_57").rules if rule.topic is Topic.CRYPTOPERIOD]
    field = "key_in_use_since" if subject == "certificate" else "in_use_since"
    common = {"holds_secret": True, "state": "active", "certificates": 0, "is_ca_key": False}
    if subject == "certificate":
        common = {"holds_secret": True, "is_ca": False}
    rows = [{**common, **kind[subject], field: as_of - age} for age in (span, span + SECOND)]
    in_time, too_late = verdicts(rules, subject, rows, as_of)
    assert {Verdict.PASS} == {verdict for _, verdict in in_time} - {Verdict.NOT_APPLICABLE}
    assert {Verdict.WARN} == {verdict for _, verdict in too_late} - {Verdict.NOT_APPLICABLE}


# ---- certificates -------------------------------------------------------------------------------------------------

SERVER, CODE, STAMP = ("serverAuth",), ("codeSigning",), ("timeStamping",)


def length_verdict(name, usage, not_before, length):
    """What a pack says of a certificate's length: the worst of the rules that ask for it."""
    rules = [rule for rule in pack(name).rules if rule.require and "validity_days" in fields_of(rule.require)]
    row = {
        "is_ca": False, "extended_key_usage": list(usage), "scopes": ["public-trust"], "not_before": not_before,
        "not_after": not_before + length, "validity_days": length / DAY,
    }  # fmt: skip
    said = {verdict for _, verdict in verdicts(rules, "certificate", [row], not_before)[0]}
    return next(v for v in (Verdict.FAIL, Verdict.WARN, Verdict.PASS) if v in said)


@pytest.mark.parametrize("place", range(len(CERTIFICATES["tls"])))
def test_a_tls_certificate_may_be_as_long_as_its_day_of_issue_allows(place):
    """Facts 1.7: by notBefore, both ends counted; one second of length more fails, one of issue earlier is judged as then."""
    window, before = CERTIFICATES["tls"][place], CERTIFICATES["tls"][place - 1] if place else None
    issued, longest, advised = moment(window["from"]), window["days"] * DAY - SECOND, window["advised"] * DAY - SECOND
    last = moment(CERTIFICATES["tls"][place + 1]["from"]) - SECOND if place < 3 else issued + 4000 * DAY
    for at in (issued, last):
        said = [
            length_verdict("cabf_tls", SERVER, at, advised + more * SECOND) for more in (0, 1)
        ] + [length_verdict("cabf_tls", SERVER, at, longest + more * SECOND) for more in (0, 1)]  # fmt: skip
        assert [Verdict.PASS, Verdict.WARN, Verdict.WARN, Verdict.FAIL] == said
    if before:
        assert Verdict.WARN == length_verdict("cabf_tls", SERVER, issued - SECOND, before["days"] * DAY - SECOND)
        assert Verdict.FAIL == length_verdict("cabf_tls", SERVER, issued, before["days"] * DAY - SECOND)


def months_after(start, months):
    """The same day of the month, so many months later."""
    year, month = divmod(start.month - 1 + months, 12)
    return start.replace(year=start.year + year, month=month + 1)


def test_a_code_signing_certificate_may_be_as_long_as_its_day_of_issue_allows():
    """Facts 1.7: 39 months before 2026-03-01, 460 days from then on; timestamps 135 months."""
    old, new = CERTIFICATES["code_signing"]
    edge, name = moment(new["from"]), "cabf_code_signing"
    for issued in (moment(old["from"]), edge - 30 * DAY):
        assert Verdict.PASS == length_verdict(name, CODE, issued, months_after(issued, old["months"]) - issued)
        assert Verdict.FAIL == length_verdict(name, CODE, issued, months_after(issued, old["months"] + 1) - issued)
    longest = new["days"] * DAY
    said = [length_verdict(name, CODE, edge - over, longest - SECOND + over) for over in (0 * SECOND, SECOND)]
    assert [Verdict.PASS, Verdict.PASS] == said  # the second before, the older and longer limit holds
    assert Verdict.FAIL == length_verdict(name, CODE, edge, longest)
    stamp, issued = CERTIFICATES["timestamping"][0], datetime(2023, 1, 1, tzinfo=UTC)
    assert Verdict.PASS == length_verdict(name, STAMP, issued, months_after(issued, stamp["months"]) - issued)
    assert Verdict.FAIL == length_verdict(name, STAMP, issued, months_after(issued, stamp["months"] + 1) - issued)


@pytest.mark.parametrize("key", CERTIFICATES["tls_keys"], ids=str)
def test_a_tls_certificate_has_a_key_that_the_requirements_name(key):
    """Facts 1.7: RSA of 2048 bits and more, P-256, P-384, P-521; nothing else."""
    facts = {field: value for field, value in key.items() if field != "is_allowed"}
    row = {"is_ca": False, "extended_key_usage": ["serverAuth"], "scopes": ["public-trust"], "signature_hash": "SHA256",
           "key_parameter": "none", **facts}  # fmt: skip
    rules = [rule for rule in pack("cabf_tls").rules if rule.topic is Topic.ALGORITHM]
    said = {verdict for _, verdict in verdicts(rules, "certificate", [row], FIXED[0])[0]}
    assert key["is_allowed"] is (Verdict.FAIL not in said)
    assert Verdict.INDETERMINATE not in said


@pytest.mark.parametrize("bits", [3071, 3072])
@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_code_signing_key_has_3072_bits_since_june_2021(bits, seconds):
    """Facts 1.7: RSA 3072 for what is issued from 2021-06-01."""
    told = CERTIFICATES["code_signing_keys"][0]
    row = {"is_ca": False, "extended_key_usage": ["codeSigning"], "scopes": ["public-trust"], "signature_hash": "SHA256",
           "key_algorithm": "RSA", "key_size_bits": bits, "not_before": moment(told["from"]) + seconds * SECOND}  # fmt: skip
    rules = [rule for rule in pack("cabf_code_signing").rules if rule.topic is Topic.ALGORITHM]
    said = {verdict for _, verdict in verdicts(rules, "certificate", [row], FIXED[0])[0]}
    assert (bits < told["least_bits"] and seconds == 0) is (Verdict.FAIL in said)


def test_sha_1_is_over_for_authorities_too_since_september_2026():
    """Facts 1.7: all remaining uses end on 2026-09-15."""
    row = {"is_ca": True, "is_self_signed": False, "signature_hash": "SHA1", "scopes": ["public-trust"]}
    edge = datetime(2026, 9, 15, tzinfo=UTC)
    before, after = (
        {verdict for _, verdict in verdicts(pack("cabf_tls").rules, "certificate", [row], when)[0]}
        for when in (edge - SECOND, edge)
    )
    assert Verdict.FAIL not in before
    assert Verdict.FAIL in after


# ---- clouds -------------------------------------------------------------------------------------------------------


def numbered(limit):
    """The rules of a benchmark that cite one number."""
    cited = re.compile(rf"(?<![\w.]){re.escape(limit['number'])}(?![\w.])")
    return [rule for rule in pack(limit["pack"]).rules if cited.search(rule.clause)]


@pytest.mark.parametrize("limit", CLOUDS["limits"], ids=lambda limit: f"{limit['pack']} {limit['number']}")
def test_a_threshold_in_days_is_kept_to_the_second(limit):
    """Facts 3.4: at the last moment it passes, a second later it does not."""
    as_of, scope = datetime(2026, 11, 1, tzinfo=UTC), {"scopes": list(pack(limit["pack"]).scope)}
    rows = [
        {**limit["credential"], limit["field"]: as_of - limit["days"] * DAY - over, **scope}
        for over in (0 * SECOND, SECOND)
    ]
    kept, broken = verdicts(numbered(limit), "credential", rows, as_of)
    assert {Verdict.PASS} == {verdict for _, verdict in kept}
    assert {verdict for _, verdict in broken} in ({Verdict.WARN}, {Verdict.FAIL})


@pytest.mark.parametrize("limit", CLOUDS["rotation_periods"], ids=lambda limit: limit["number"])
def test_a_rotation_period_in_days_is_kept(limit):
    """Facts 3.4: so many days pass, one more does not."""
    rows = [{**limit["key"], "rotation_period_days": limit["days"] + over} for over in (0, 1)]
    kept, broken = verdicts(numbered(limit), "key", rows, FIXED[0])
    assert [{Verdict.PASS}, {Verdict.WARN}] == [{verdict for _, verdict in said} for said in (kept, broken)]
