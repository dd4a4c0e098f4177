"""The form of an organisation's own policy: what it takes, what it refuses, and that its examples are kept."""

from __future__ import annotations

import copy
import tomllib
from datetime import date, time

import pytest

from toolkit import house
from toolkit.errors import ConfigError

EXAMPLE = tomllib.loads(house.EXAMPLE.read_text())
SMALL = {
    "house": {"organisation": "o", "title": "t", "edition": "e1", "url": "https://o.example"},
    "roles": {"custodian": ["Ana", "Bo"], "officer": ["Eve"], "engineer": []},
    "classes": [
        {
            "id": "pay",
            "clause": "4.3",
            "match": {"keeper": "pkcs11"},
            "algorithms": [{"algorithm": "RSA", "least_bits": 3072}],
            "originator_days": 365,
            "may": {"destroy": {"roles": ["custodian"], "approvals": 1, "approvers": ["officer"]}},
        }
    ],
}
LEAVE = {
    "id": "EX", "rule": "pay/algorithm", "reason": "r", "owner": "Ana", "approver": "Eve", "match": {"label": "old"},
    "granted": date(2026, 1, 1), "until": date(2026, 6, 30),
}  # fmt: skip


def changed(path, value):
    """The small policy with one place set otherwise; `...` takes it away."""
    data = copy.deepcopy(SMALL)
    place = data
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return data


PAY = ("classes", 0)
DESTROY = (*PAY, "may", "destroy")
WRONG = {
    "an unknown table": (("clases",), [], "unknown clases"),
    "an unknown field of the policy": (("house", "organization"), "o", "unknown organization"),
    "no edition": (("house", "edition"), ..., "lacks edition"),
    "a text that is a number": (("house", "title"), 7, "title is a text"),
    "an unknown field of a class": ((*PAY, "algorithm"), [], "class pay.*unknown algorithm"),
    "an id that is no word": ((*PAY, "id"), "Pay keys", "small letters"),
    "an unknown selector": ((*PAY, "match"), {"team": "x"}, "match.*unknown team"),
    "an unknown field of a condition": ((*PAY, "when"), [{"field": "x", "op": "=="}], "no field 'x'"),
    "a class told by what is not known": ((*PAY, "when"), [{"field": "owner", "op": "unknown"}], "not known"),
    "an algorithm that nobody knows": ((*PAY, "algorithms"), [{"algorithm": "ROT13"}], "no algorithm is called ROT13"),
    "no algorithm at all": ((*PAY, "algorithms"), [], "algorithms is empty"),
    "a length that is no number": ((*PAY, "algorithms"), [{"algorithm": "RSA", "least_bits": "long"}], "whole number"),
    "a protection that is none": ((*PAY, "protection"), "steel", "no Protection"),
    "a flag that keys do not have": ((*PAY, "is"), ["shiny"], "no flag of a key is called shiny"),
    "an empty list of stores": ((*PAY, "stores"), [], "stores is empty"),
    "a verb that there is not": ((*PAY, "may", "delete"), {"roles": ["custodian"]}, "unknown delete"),
    "a role that there is not": ((*DESTROY, "roles"), ["king"], "no role is called king"),
    "a state that there is not": ((*DESTROY, "states"), ["dead"], "no KeyState"),
    "days that there are not": ((*DESTROY, "windows"), [{"days": "fri-mon"}], "are no days"),
    "a role that is a text of nothing": (("roles", "custodian"), "", "list of texts"),
    "a day that is a text": (("freezes",), [{"from": "x", "to": "x", "verbs": ["rotate"], "why": "w"}], "is a day"),
}
CONTRADICTIONS = {
    "the same flag must be and must not be": ((*PAY,), {**SMALL["classes"][0], "is": ["sensitive"], "is_not": ["sensitive"]}, "both name sensitive"),
    "an algorithm is weaker than the strength asked": ((*PAY, "strength_bits"), 192, r"RSA 3072 \(128\)"),
    "it must be gone before it may stop protecting": ((*PAY, "recipient_days"), 100, "fewer than originator_days"),
    "fewer custodians than asked for": ((*PAY, "custodians"), {"least": 2, "names": ["Ana", "ANA "]}, "2 custodians"),
    "approvals of nobody": ((*DESTROY, "approvers"), ..., "go together"),
    "a quorum that never comes together": ((*DESTROY, "approvals"), 2, "2 approvals are needed, and 1 people"),
    "nobody but the requester may approve": (("roles", "custodian"), ["Eve"], "1 approvals are needed, and 0"),
    "a window that ends before it begins": ((*DESTROY, "windows"), [{"days": "mon", "from": time(18), "to": time(8)}], "before it begins"),
    "a freeze that ends before it begins": (("freezes",), [{"from": date(2027, 1, 2), "to": date(2027, 1, 1), "verbs": ["rotate"], "why": "w"}], "before it begins"),
    "a class behind one that takes the same": (("classes",), [SMALL["classes"][0], {"id": "b", "clause": "5", "match": {"keeper": "pkcs11"}}], "class b can have no key"),
    "a class behind one that takes all": (("classes",), [{"id": "all", "clause": "1"}, SMALL["classes"][0]], "class pay can have no key"),
    "two classes of one name": (("classes",), [SMALL["classes"][0]] * 2, "two classes are called pay"),
}  # fmt: skip
LEAVES = {
    "to a rule that there is not": ({"rule": "pay/strength"}, "no rule is called pay/strength"),
    "approved by the one who owns the risk": ({"approver": " ANA"}, "both owns the risk and approves it"),
    "over before it begins": ({"until": date(2025, 1, 1)}, "before it was granted"),
    "of no keys": ({"match": {}}, "names no keys"),
    "with days, to a rule that is no period": ({"days": 700}, "takes no `days`"),
    "to a period, without days": ({"rule": "pay/originator-period"}, "needs `days`"),
    "to a period, and no longer": ({"rule": "pay/originator-period", "days": 365}, "no longer than the 365"),
    "without a reason": ({"reason": " "}, "reason is a text"),
    "told by what is not known": ({"when": [{"field": "owner", "op": "unknown"}]}, "not known"),
}


def test_a_small_policy_is_taken():
    """What the cases below change is right itself."""
    told = house.parse({**SMALL, "exceptions": [LEAVE]}, where="house.toml")

    assert ["pay/algorithm", "pay/originator-period"] == [demand.id for demand in told.demands]
    assert ["EX"] == [one.id for one in told.exemptions]


@pytest.mark.parametrize(("path", "value", "says"), [*WRONG.values(), *CONTRADICTIONS.values()], ids=[*WRONG, *CONTRADICTIONS])  # fmt: skip
def test_what_is_not_of_the_form_or_contradicts_itself_is_refused(path, value, says):
    """The error names the file, the place and what is wrong, and says what to do next."""
    with pytest.raises(ConfigError, match=f"house.toml.*{says}") as told:
        house.parse(changed(path, value), where="house.toml")
    assert told.value.advice


@pytest.mark.parametrize(("change", "says"), LEAVES.values(), ids=LEAVES)
def test_an_exception_must_be_one(change, says):
    """Reason, another's approval, an end, keys that it speaks of, and a rule that there is."""
    with pytest.raises(ConfigError, match=f"exception EX.*{says}"):
        house.parse({**SMALL, "exceptions": [{**LEAVE, **change}]}, where="house.toml")


def test_only_those_who_may_approve_exceptions_do():
    """The house names roles for it, and a person who has none of them has not approved anything."""
    data = changed(("house", "exception_approvers"), ["custodian"])

    with pytest.raises(ConfigError, match="Eve may not approve exceptions"):
        house.parse({**data, "exceptions": [LEAVE]}, where="house.toml")


def test_a_broken_file_says_where(tmp_path):
    """TOML that is none, a file that is not there, an example that the policy does not keep."""
    file = tmp_path / "house.toml"
    file.write_text("[house\n")
    with pytest.raises(ConfigError, match="is no TOML"):
        house.load(file)
    with pytest.raises(ConfigError, match="cannot read the policy"):
        house.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="house example"):
        house.governing(None, tmp_path / "empty")


def test_the_shipped_policy_keeps_its_examples_and_uses_every_part_of_the_form():
    """Whoever starts from it sees each thing once."""
    told = house.load(house.EXAMPLE)

    assert set(house.Kind) == {demand.kind for demand in told.demands}
    assert {"allowed", "refused", "needs-approval"} == {one.decision for one in told.examples if one.decision}
    assert told.exemptions
    assert told.freezes
    assert {"generate", "import", "activate", "deactivate", "rotate", "revoke", "archive", "recover", "destroy"} <= {
        verb.value for one in told.classes for verb in one.permits
    }


@pytest.mark.parametrize("number", range(len(EXAMPLE["examples"])))
def test_each_example_can_fail(number):
    """An example whose expectation is turned round is refused, by its name."""
    data = copy.deepcopy(EXAMPLE)
    example = data["examples"][number]
    if "decision" in example:
        example["decision"] = "allowed" if example["decision"] != "allowed" else "refused"
    else:
        example["breaks"] = [*example.get("breaks", []), "payment/no-such-rule"]
    told = house.parse(data, where="house.toml")

    with pytest.raises(ConfigError, match="example") as wrong:
        house.check(told, where="house.toml")
    assert repr(example["says"]) in str(wrong.value)


def test_a_curve_is_one_curve_however_it_is_spelt():
    """P-384 in the policy is secp384r1 in a certificate."""
    told = house.parse(changed((*PAY, "algorithms"), [{"algorithm": "EC", "parameter": ["P-384"]}]), where="h")

    def keeps(curve):
        key = {"algorithm": "EC", "parameter": curve}
        return house.Facts(key, house.load(house.EXAMPLE).examples[0].as_of).answer(told.demands[0].require)[0]

    assert [True, True, False] == [keeps(curve) for curve in ("secp384r1", "P-384", "secp256r1")]
