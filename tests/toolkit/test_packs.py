"""The packs as a library: which standards there are, and what each rule of ours owes its reader."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

import toolkit as tk
from toolkit import policies
from toolkit.assessment import assess
from toolkit.conditions import frame_of
from toolkit.terms import Binding, PackStatus, TrustMark, Verdict

FOLDER = Path(policies.__file__).parent
# Issue: one pack a standard; drafts and withdrawn documents are packs of their own.
STANDARDS = (
    "anssi", "aws_fsbp", "bsi_tr_02102", "cabf_code_signing", "cabf_tls", "cis_aws", "cis_azure", "cis_gcp", "cnsa_2_0",
    "cnsa_2022_chart", "dora", "fips_140_3", "gdpr", "hipaa", "iso_27001", "nis2", "nist_ir8547", "nist_sp800_131a",
    "nist_sp800_131a_r3", "nist_sp800_53", "nist_sp800_57", "omb_m26_15", "owasp", "pci_dss_4_0_1", "soc2",
    "uk_ncsc_pqc",
)  # fmt: skip
PACKS = {name: policies.load(FOLDER / f"{name}.toml") for name in STANDARDS}
SCOPES = {
    "cabf_code_signing": "public-trust", "cabf_tls": "public-trust", "cnsa_2_0": "nss", "cnsa_2022_chart": "nss",
    "dora": "financial-entity", "fips_140_3": "federal", "gdpr": "personal-data", "hipaa": "ephi", "iso_27001": "isms",
    "nis2": "essential-entity", "omb_m26_15": "high-value-asset", "pci_dss_4_0_1": "cardholder-data",
    "soc2": "trust-services",
}  # fmt: skip
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
each_pack = pytest.mark.parametrize("pack", PACKS.values(), ids=lambda pack: pack.name)


@each_pack
def test_every_rule_says_where_it_is_from_and_how_that_was_checked(pack):
    """Clause with edition, address, trust mark, what shows it; a decidable one its repair and its examples."""
    assert pack.url.startswith("https://")
    for rule in pack.rules:
        assert rule.clause.startswith(f"{rule.edition}, "), rule.id
        assert rule.mark in TrustMark, rule.id
        assert rule.evidence, rule.id
        if not rule.attestation:
            assert rule.verb, rule.id
            told = Counter(example.expected for example in rule.examples)
            assert told[Verdict.PASS], rule.id
            assert told[rule.otherwise], rule.id
            assert told[Verdict.INDETERMINATE], rule.id


@each_pack
def test_every_attestation_says_who_attests_and_for_how_long(pack):
    """What an inventory cannot decide is asked of a named role, and lapses."""
    for rule in pack.rules:
        if rule.attestation:
            assert rule.attester, rule.id
            assert rule.every_days in range(1, 367), rule.id


@each_pack
def test_nothing_that_is_no_duty_fails(pack):
    """Guidelines, drafts and withdrawn documents only warn; a rule of a draft is marked, whatever its pack."""
    is_idle = pack.binding is Binding.GUIDELINE or pack.status in (PackStatus.DRAFT, PackStatus.WITHDRAWN)
    for rule in pack.rules:
        assert not (is_idle or rule.is_draft) or rule.otherwise is Verdict.WARN, rule.id
        assert ("draft" in rule.edition) == rule.is_draft, rule.id
        assert (pack.status is PackStatus.DRAFT) <= rule.is_draft, rule.id


def test_a_standard_binds_only_whom_it_binds():
    """The scope of each pack; what names none holds for everyone who chooses it."""
    assert SCOPES == {name: pack.scope[0] for name, pack in PACKS.items() if pack.scope}


def test_what_is_not_in_force_judges_only_when_it_is_named():
    """Drafts and the withdrawn chart are never a default."""
    rules = tk.explain_rules()
    idle = {name for name, pack in PACKS.items() if pack.status is not PackStatus.IN_FORCE}
    assert {"nist_sp800_131a_r3", "nist_ir8547", "cnsa_2022_chart"} == idle
    assert idle & set(rules["pack"]) == set()
    assert set(PACKS) - idle <= set(rules["pack"])
    assert {"nist_ir8547"} == set(tk.explain_rules("nist_ir8547")["pack"])


# Fields that say which subject it is, not what is known of it.
_NAMES = {"key": "spki:1", "certificate": "cert:1", "token": "token:1", "credential": "aws:1", "secret": "secret:1"}


@each_pack
def test_every_rule_shows_its_mark_in_the_findings(pack):
    """Judged over its own examples, each rule gives rows that carry its mark, clause, draft flag and status."""
    shown = {}
    for rule in pack.rules:
        rows = [{"subject_uid": f"{rule.id}:{n}", **example.row} for n, example in enumerate(rule.examples)]
        subjects = {rule.subject: frame_of(rule.subject, rows)} if rows else {}
        day = max([AS_OF, *(example.as_of for example in rule.examples), rule.effective_from or AS_OF])
        if rule.effective_to and day > rule.effective_to:
            day = rule.effective_to
        found = assess(subjects, [pack], as_of=day)
        ours = found[found["rule"] == rule.id]
        assert len(ours), rule.id
        shown[rule.id] = set(zip(ours["mark"], ours["clause"], ours["is_draft"], ours["status"], strict=True))
    assert {r.id: {(r.mark.value, r.clause, r.is_draft, pack.status.value)} for r in pack.rules} == shown


@each_pack
def test_a_rule_that_is_told_nothing_decides_nothing(pack):
    """A subject of which nothing is known neither passes nor fails, whatever the rule."""
    for subject, uid in _NAMES.items():
        bare = {subject: frame_of(subject, [{"subject_uid": uid}])}
        found = assess(bare, [pack], as_of=AS_OF)
        assert set(found.loc[found["subject"] == subject, "verdict"]) <= {"INDETERMINATE"}


def test_the_text_of_a_pack_is_ours_and_names_no_place():
    """No control characters, no paths of a machine, a comment that says what was read."""
    for name in STANDARDS:
        text = (FOLDER / f"{name}.toml").read_text()
        assert text.startswith("# "), name
        assert text.isprintable() or set(re.findall(r"[^\x20-\x7e\n]", text)) <= set("éèâôûîç–"), name
