"""Who may do what to a key, and when: by the policy that ships, and by small ones made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pandas as pd
import pytest

import toolkit as tk
from toolkit import house
from toolkit.errors import ConfigError
from toolkit.house import About, Approval, Outcome

POLICY = house.load(house.EXAMPLE)
MONDAY = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PAY = {"holds_secret": True, "held_by": ["pkcs11"], "label": "pay-cards-1", "state": "deactivated"}
NEW = {**PAY, "algorithm": "AES", "size_bits": 256, "protection": "hardware", "sensitive": True, "extractable": False}
CLOUD = {"holds_secret": True, "held_by": ["aws_kms"], "manager": "customer", "state": "suspended"}
ENGINEER = {"by": "Ida", "roles": ["platform-engineer"]}


def yes(*names, at=MONDAY - timedelta(days=1)):
    """Approvals of people."""
    return [Approval(name, at) for name in names]


ask = partial(house.permits, POLICY)
destroy = partial(ask, "destroy", PAY, by="Ana", requested_at=MONDAY - timedelta(days=30), approvals=yes("Bo", "Eve"))


def against(told):
    """What stands in the way."""
    return [check.about for check in told.against]


def test_the_waiting_period_ends_to_the_second():
    """Thirty days after the request it is allowed; a second before it is not, and says from when it will be."""
    early, due = destroy(as_of=MONDAY - SECOND), destroy(as_of=MONDAY)

    assert (Outcome.REFUSED, [About.WAIT], MONDAY) == (early.outcome, against(early), early.earliest)
    assert Outcome.ALLOWED == due.outcome
    assert due.is_allowed


def test_without_a_request_the_waiting_has_not_begun():
    """Who only asks what would be is told when, counted from now."""
    told = destroy(as_of=MONDAY, requested_at=None)

    assert MONDAY + timedelta(days=30) == told.earliest


@pytest.mark.parametrize(
    "given",
    [
        yes("Bo"), yes("Bo", "Bo"), yes("Bo", " bo"), yes("Bo", "ANA"), yes("Bo", "Dora"), yes("Bo", ""),
        [*yes("Bo"), *yes("Eve", at=MONDAY + SECOND)],
    ],
    ids=["one of two", "twice", "twice, spelt otherwise", "the requester", "no approver", "nobody", "tomorrow"],
)  # fmt: skip
def test_a_quorum_is_of_different_people_who_may_and_never_the_requester(given):
    """Two of the approvers' roles, each once, none of them who asks, before it is done."""
    told = destroy(as_of=MONDAY, approvals=given)

    assert Outcome.NEEDS_APPROVAL == told.outcome
    assert (2, ("bo",)) == (told.approvals_needed, told.approved_by)


def test_a_role_that_the_file_fills_cannot_be_claimed():
    """Key custodians are named; platform engineers are told by who asks."""
    assert [About.ROLE] == against(destroy(as_of=MONDAY, by="Mallory", roles=["key-custodian"]))
    assert [] == against(ask("rotate", CLOUD, as_of=MONDAY, **ENGINEER))
    assert [About.ROLE] == against(ask("rotate", CLOUD, as_of=MONDAY, by="Ida"))


def test_what_the_file_does_not_permit_is_for_nobody():
    """A verb without a line, a class that has none, a key that is in no class."""
    assert [About.VERB] == against(ask("suspend", PAY, by="Ana", as_of=MONDAY))
    assert [About.VERB] == against(ask("destroy", {**CLOUD, "manager": "provider"}, by="Ana", as_of=MONDAY))
    none = ask("destroy", {**PAY, "label": "misc"}, by="Ana", as_of=MONDAY)
    assert [About.CLASS] == against(none)
    assert none.key_class is None


@pytest.mark.parametrize(
    ("field", "about"), [("held_by", About.CLASS), ("label", About.CLASS), ("holds_secret", About.CLASS), ("state", About.STATE)]
)  # fmt: skip
def test_what_is_not_known_of_a_key_never_allows(field, about):
    """Each field taken away is a refusal that names it."""
    told = destroy(as_of=MONDAY)
    less = house.permits(
        POLICY, "destroy", {name: value for name, value in PAY.items() if name != field}, by="Ana", as_of=MONDAY,
        requested_at=MONDAY - timedelta(days=30), approvals=yes("Bo", "Eve"),
    )  # fmt: skip

    assert told.is_allowed
    assert Outcome.REFUSED == less.outcome
    assert [(about, (field,))] == [(check.about, check.missing) for check in less.against]
    assert less.earliest is None


def test_a_key_in_use_is_not_destroyed_and_time_does_not_help():
    """A refusal that no waiting cures has no earliest time."""
    told = house.permits(POLICY, "destroy", {**PAY, "state": "active"}, by="Ana", as_of=MONDAY)

    assert {About.STATE, About.WAIT, About.APPROVALS} == set(against(told))
    assert told.earliest is None


def test_recent_use_holds_a_destruction_off_to_the_second():
    """Ninety days from the last use; a last use that nobody knows is no proof that there was none."""
    used = MONDAY - timedelta(days=90)
    asked = {"as_of": MONDAY, "requested_at": MONDAY - timedelta(days=40), "approvals": yes("Eve"), **ENGINEER}

    due = ask("destroy", {**CLOUD, "last_used_at": used}, **asked)
    early = ask("destroy", {**CLOUD, "last_used_at": used + SECOND}, **asked)
    unknown = ask("destroy", CLOUD, **asked)

    assert due.is_allowed
    assert ([About.UNUSED], MONDAY + SECOND) == (against(early), early.earliest)
    assert ([About.UNUSED], None) == (against(unknown), unknown.earliest)


@pytest.mark.parametrize(
    ("as_of", "earliest"),
    [
        (datetime(2026, 11, 2, 7, 59, 59, tzinfo=UTC), datetime(2026, 11, 2, 8, tzinfo=UTC)),
        (datetime(2026, 11, 2, 8, tzinfo=UTC), None),
        (datetime(2026, 11, 2, 17, 59, 59, tzinfo=UTC), None),
        (datetime(2026, 11, 2, 18, tzinfo=UTC), datetime(2026, 11, 3, 8, tzinfo=UTC)),
        (datetime(2026, 11, 6, 18, tzinfo=UTC), datetime(2026, 11, 9, 8, tzinfo=UTC)),
        (datetime(2026, 12, 17, 18, tzinfo=UTC), datetime(2027, 1, 5, 8, tzinfo=UTC)),
        (datetime(2027, 1, 4, 9, tzinfo=UTC), datetime(2027, 1, 5, 8, tzinfo=UTC)),
    ],
)
def test_windows_and_freezes_open_and_close_to_the_second(as_of, earliest):
    """Office hours of working days, none of them between the years; the next opening is told."""
    told = ask("generate", NEW, by="Cy", as_of=as_of, approvals=yes("Finn", at=as_of))

    assert earliest is None if told.is_allowed else earliest == told.earliest
    assert told.is_allowed == (earliest is None)


def test_a_freeze_leaves_emergencies_alone():
    """A key is revoked between the years, too."""
    told = ask("revoke", {**PAY, "state": "active"}, by="Eve", as_of=datetime(2026, 12, 25, tzinfo=UTC))

    assert told.is_allowed


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"size_bits": 128}, "payment/algorithm"),
        ({"algorithm": "TDEA", "size_bits": 168}, "payment/algorithm"),
        ({"protection": "passphrase"}, "payment/protection"),
        ({"extractable": True}, "payment/is-not-extractable"),
        ({"held_by": ["pkcs11", "keyfiles"]}, "payment/store"),
        ({"sensitive": None}, "payment/is-sensitive"),
    ],
)
def test_a_key_that_breaks_a_rule_of_its_class_is_not_made(change, rule):
    """What assess would fail tomorrow is not permitted today; nor is what nobody can tell."""
    told = ask("generate", {**NEW, **change}, by="Cy", as_of=MONDAY, approvals=yes("Finn"))

    assert Outcome.REFUSED == told.outcome
    assert rule in [check.says.partition(":")[0] for check in told.against]


def test_a_broken_key_may_be_repaired():
    """Rotation, revocation and destruction are never barred by what they repair."""
    weak = {**PAY, "algorithm": "RSA", "size_bits": 1024, "state": "active", "extractable": True}

    assert ask("revoke", weak, by="Ana", as_of=MONDAY).is_allowed
    assert ask("deactivate", weak, by="Ana", as_of=MONDAY).is_allowed
    assert not ask("activate", weak, by="Ana", as_of=MONDAY).is_allowed


def test_every_check_names_its_clause_in_the_organisations_own_document():
    """Also of what is allowed: an auditor retraces a yes, too."""
    told = destroy(as_of=MONDAY)

    assert [About.CLASS, About.ROLE, About.STATE, About.WAIT, About.APPROVALS] == [c.about for c in told.checks]
    assert all(check.clause.startswith("KMP 4.1 (2026-10), 4.3") for check in told.checks)
    assert "4.3, may.destroy" in told.checks[1].clause


def test_an_exception_permits_what_it_excepts_until_it_ends():
    """A settlement key may still be activated past its period, on the last day, and no longer."""
    key = {
        **NEW,
        "label": "pay-settlement-1",
        "state": "suspended",
        "is_exposed": False,
        "effective_strength_bits": 256,
    }
    last = datetime(2027, 5, 31, 23, 59, 59, tzinfo=UTC)
    old = {**key, "in_use_since": last - timedelta(days=700)}

    assert ask("activate", old, by="Ana", as_of=last).is_allowed
    assert "payment/originator-period" in ask("activate", old, by="Ana", as_of=last + SECOND).against[0].says
    assert not ask("activate", {**old, "label": "pay-cards-1"}, by="Ana", as_of=last).is_allowed


def test_a_row_of_the_keys_table_is_a_key():
    """Pandas' unknowns are unknowns, its lists lists, its times times."""
    row = pd.Series(
        {**PAY, "held_by": pd.array(["pkcs11"]), "algorithm": pd.NA, "last_used_at": pd.NaT, "places": 1, "subject_uid": "keeper:1"}
    )  # fmt: skip
    told = tk.permits("revoke", row, by="Ana", as_of=MONDAY, house=house.EXAMPLE)

    assert told.is_allowed
    assert ("payment", "keeper:1") == (told.key_class, told.key_uid)


def test_what_is_no_question_is_refused():
    """A verb that there is not, nobody who asks, a field of another type."""
    for wrong, verb, by, key in [
        ("no verb is called delete", "delete", "Ana", PAY),
        ("nobody asks", "destroy", " ", PAY),
        ("size_bits takes number", "destroy", "Ana", {**PAY, "size_bits": "many"}),
    ]:
        with pytest.raises(ConfigError, match=wrong):
            ask(verb, key, by=by, as_of=MONDAY)
