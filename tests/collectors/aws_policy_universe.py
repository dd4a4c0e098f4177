"""A small universe of AWS policies: strategies that draw documents, and a judge that reads them by another route.

The judge is the guide's flow chart as a procedure over one whole context, with its own reading of the JSON: it shares no
code with `collectors._aws.policy`. What AWS does not document it answers with "?".
"""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

OWN, OTHER = "111122223333", "444455556666"
ANN, BOB = f"arn:aws:iam::{OWN}:user/ann", f"arn:aws:iam::{OTHER}:user/bob"
APP = f"arn:aws:iam::{OWN}:role/app"
ROOT, FAR = f"arn:aws:iam::{OWN}:root", f"arn:aws:iam::{OTHER}:root"
KEY = f"arn:aws:kms:eu-west-1:{OWN}:key/one"
PEOPLE = (ANN, APP, BOB, ROOT, FAR)
ACTIONS = ("kms:Decrypt", "kms:Encrypt", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:CreateGrant")
ABROAD = {"kms:Decrypt", "kms:Encrypt", "kms:CreateGrant"}
MFA, VIA, ORG = "aws:MultiFactorAuthPresent", "kms:ViaService", "aws:PrincipalOrgID"
UNIVERSE = {MFA: ((), ("true",), ("false",)), VIA: ((), ("s3.x",), ("ebs.x",)), ORG: (("o-1",), ("o-2",))}
CONDITIONS = (
    ("Bool", MFA, "true"), ("BoolIfExists", MFA, "false"), ("StringEquals", VIA, "s3.x"), ("StringNotEquals", ORG, "o-1"),
    ("StringLike", VIA, ["e*", "q*"]), ("StringLike", "aws:PrincipalArn", "arn:aws:iam::*:user/*"), ("Null", MFA, "true"),
    ("StringEquals", "kms:CallerAccount", OWN), ("ForAllValues:StringEquals", VIA, "s3.x"),
    ("ForAnyValue:StringNotLike", VIA, "s*"), ("StringNotEqualsIfExists", VIA, ["s3.x"]),
)  # fmt: skip

_actions = st.lists(
    st.sampled_from(["kms:*"] * 4 + [*ACTIONS, "*", "KMS:*crypt", "kms:Sche?uleKey*", "s3:*"]), min_size=1, max_size=2
)
_resources = st.lists(
    st.sampled_from(["*"] * 4 + [KEY, "arn:aws:kms:*:*:key/*", KEY + "x", "arn:aws:kms:??-west-1:*:KEY/one"]), min_size=1, max_size=2
)  # fmt: skip
_conditions = (st.just([]) | st.lists(st.sampled_from(CONDITIONS), max_size=2, unique_by=lambda one: one[0])).map(
    lambda found: {operator: {key: value} for operator, key, value in found}
)


@st.composite
def statements(draw: Any, *, has_principal: bool, effect: str | None = None, is_plain: bool = False) -> dict[str, Any]:
    """A statement; a plain one has no condition and names what it means."""
    told: dict[str, Any] = {"Effect": effect or draw(st.sampled_from(["Allow"] * 4 + ["Deny"]))}
    told[draw(st.sampled_from(["Action"] * 7 + ["NotAction"]))] = draw(_actions)
    told[draw(st.sampled_from(["Resource"] * 6 + ["NotResource"]))] = draw(st.just("*") if is_plain else _resources)
    if has_principal:
        named = draw(st.lists(st.sampled_from([*PEOPLE, OWN]), min_size=1, max_size=3))
        whom = draw(st.sampled_from(["*", {"AWS": "*"}, *[{"AWS": named}] * 6]))
        names = ["Principal", "Principal", "NotPrincipal"] if told["Effect"] == "Deny" else ["Principal"]
        told[draw(st.sampled_from(names))] = whom
    if not is_plain and (found := draw(_conditions)):
        told["Condition"] = found
    return told


def documents(*, has_principal: bool, is_plain: bool = False, longest: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """A policy document."""
    one = statements(has_principal=has_principal, is_plain=is_plain)
    return st.lists(one, min_size=1, max_size=longest).map(lambda found: {"Version": "2012-10-17", "Statement": found})


def contexts() -> list[dict[str, tuple[str, ...]]]:
    """Every context of the universe."""
    return [dict(zip(UNIVERSE, values, strict=True)) for values in itertools.product(*UNIVERSE.values())]


# The judge


def fits(pattern: str, text: str) -> bool:
    """Whether a wildcard pattern fits, by a table of prefixes."""
    row = [True] + [False] * len(text)
    for sign in pattern:
        if sign == "*":
            row = list(itertools.accumulate(row, lambda one, other: one or other))
        else:
            row = [False] + [row[n] and sign in ("?", text[n]) for n in range(len(text))]
    return row[-1]


def _many(told: Any) -> list[str]:
    return told if isinstance(told, list) else [told]


def _meets(operator: str, values: tuple[str, ...], wanted: list[str]) -> bool:
    if operator == "Null":
        return (not values) == (wanted == ["true"])
    for_all, for_any = operator.startswith("ForAllValues:"), operator.startswith("ForAnyValue:")
    base = operator.split(":")[-1]
    optional, base = base.endswith("IfExists"), base.removesuffix("IfExists")
    if not values:
        return for_all or (not for_any and (optional or "Not" in base))
    one = {
        "Bool": lambda value: value in wanted,
        "StringEquals": lambda value: value in wanted,
        "StringNotEquals": lambda value: value not in wanted,
        "StringLike": lambda value: any(fits(word, value) for word in wanted),
        "StringNotLike": lambda value: not any(fits(word, value) for word in wanted),
    }[base]
    return any(map(one, values)) if for_any else all(map(one, values))


def _applies(told: dict[str, Any], action: str, context: dict[str, tuple[str, ...]]) -> bool:
    words = _many(told.get("Action", told.get("NotAction")))
    if any(fits(word.lower(), action.lower()) for word in words) != ("Action" in told):
        return False
    words = _many(told.get("Resource", told.get("NotResource")))
    if any(fits(word, KEY) for word in words) != ("Resource" in told):
        return False
    for operator, tests in told.get("Condition", {}).items():
        for key, wanted in tests.items():
            if not _meets(operator, context[key], _many(wanted)):
                return False
    return True


def _named(told: dict[str, Any], who: str, has_boundary: bool) -> set[str]:
    """By which of "self", "account", "all" a statement means someone; "?" where it is not documented."""
    whom = told.get("Principal", told.get("NotPrincipal"))
    words = ["*"] if whom == "*" else _many(whom["AWS"])
    root = who.rsplit(":", 1)[0] + ":root"
    is_account = bool({root, root.split(":")[4]} & set(words))
    found = {
        name
        for name, is_it in (("all", "*" in words), ("account", is_account), ("self", who in words and who != root))
        if is_it
    }
    if "Principal" in told:
        return found
    if "all" in found:
        return set()
    if has_boundary:
        return {"all"}
    needed = {"account"} if who == root else {"account", "self"}
    return {"?"} if found and found != needed else set() if found else {"all"}


def judge(who: str, action: str, given: dict[str, tuple[str, ...]], key_policy: dict, own: list[dict], boundary: dict | None, scps: list[dict]) -> str:  # fmt: skip
    """ALLOW, DENY or "?" for one whole context; `given` has every key but those that follow from the caller."""
    account = who.split(":")[4]
    context = {**given, "aws:PrincipalArn": (who,), "kms:CallerAccount": (account,)}

    def those(policy: dict, effect: str) -> list[dict]:
        return [one for one in policy["Statement"] if one["Effect"] == effect and _applies(one, action, context)]

    everywhere = [*own, *([boundary] if boundary else []), *scps]
    if any(those(policy, "Deny") for policy in everywhere):
        return "DENY"
    denying = [_named(one, who, boundary is not None) for one in those(key_policy, "Deny")]
    if any(found and found != {"?"} for found in denying):
        return "DENY"
    found = _flow(who, account, action, those, key_policy, own, boundary, scps)
    return "?" if found != "DENY" and {"?"} in denying else found


def _flow(who: str, account: str, action: str, those: Any, key_policy: dict, own: list[dict], boundary: dict | None, scps: list[dict]) -> str:  # fmt: skip
    if not all(those(level, "Allow") for level in scps):
        return "DENY"
    is_root = who.endswith(":root")
    names = set().union(*(_named(one, who, False) for one in those(key_policy, "Allow")))
    is_inside = boundary is None or bool(those(boundary, "Allow"))
    has_iam = any(those(policy, "Allow") for policy in own)
    if account != OWN:
        return "ALLOW" if names and action in ABROAD and (is_root or (has_iam and is_inside)) else "DENY"
    if is_root:
        return "ALLOW" if names else "DENY"
    if "self" in names and (":user/" in who or is_inside):
        return "ALLOW"
    if "account" in names and has_iam and is_inside:
        return "ALLOW"
    if "all" in names:
        return "ALLOW" if is_inside else "?"
    return "DENY"
