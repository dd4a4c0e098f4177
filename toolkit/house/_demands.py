"""What a class asks of its keys, as conditions of the language that policy packs are written in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from toolkit.algorithms import canonical, strength
from toolkit.conditions import FIELDS, All, Any_, Condition, Not, Test
from toolkit.house._form import Demand, Kind, person
from toolkit.house._read import Table
from toolkit.terms import KeyFunction, Origin, Protection, Severity, Topic, Verb

FORM: Final = (
    "algorithms strength_bits protection is is_not stores regions origins functions owners originator_days"
    " recipient_days custodians"
)
"""What of a class's table is told here."""
ORIGINATES: Final = ("sign", "encrypt", "wrap", "derive")
"""Functions that apply protection: their time is the originator-usage period (SP 800-57 part 1 r5, 5.3.5)."""
_LIVES: Final = Any_((Test("state", "unknown"), Test("state", "!=", "destroyed")))
_IN_USE: Final = Any_(
    (Test("state", "unknown"), Test("state", "in", ("pre-activation", "active", "suspended")))
)  # fmt: skip
_CURVES: Final = (
    ("secp256r1", "p-256", "prime256v1", "nistp256"),
    ("secp384r1", "p-384", "nistp384"),
    ("secp521r1", "p-521", "nistp521"),
)
"""Names of one curve (SP 800-186, RFC 5656 section 10.1)."""
_FLAGS: Final = tuple(name for name, kind in FIELDS["key"].items() if kind == "flag" and name != "holds_secret")


def demands(table: Table, class_id: str, clause: str, severity: Severity | None) -> tuple[Demand, ...]:
    """All that a class's table asks, in a fixed order."""
    found = []
    for name, read in _READ.items():
        if name in table:
            for demand in read(table):
                named = replace(demand, id=f"{class_id}/{demand.id}", clause=f"{clause}, {name}")
                found.append(named if severity is None else replace(named, severity=severity))
    return tuple(found)


def younger_than(days: float) -> Condition:
    """A key that has been in use for so many days at most; material that was rotated is as old as its rotation.

    A rotation that nobody recorded is none: else an old key whose keeper does not rotate could never be told.
    """
    rotated = All((Test("last_rotated_at", "known"), Not(Test("last_rotated_at", "older_than_days", days))))
    return Any_((Not(Test("in_use_since", "older_than_days", days)), rotated))


def _demand(kind: Kind, says: str, require: Condition | None, *, id_: str = "", **more: Any) -> Demand:
    told: dict[str, Any] = {"when": _LIVES, "severity": Severity.HIGH, "topic": Topic.CUSTODY, **more}
    return Demand(id=id_ or kind.value, kind=kind, clause="", says=says, require=require, **told)


def _algorithms(table: Table) -> Iterator[Demand]:
    entries = [_entry(one, table) for one in table.tables("algorithms")]
    if not entries:
        table.refuse("algorithms is empty: no key would be allowed", advice="name those that are, or leave it out")
    told = "; ".join(said for said, _ in entries)
    yield _demand(
        Kind.ALGORITHM, f"The key is one of: {told}.", Any_(tuple(asked for _, asked in entries)), when=_IN_USE,
        remediation=f"Replace it by a new key of an allowed kind: {told}.", verb=Verb.MIGRATE, topic=Topic.ALGORITHM,
    )  # fmt: skip


def _entry(data: object, table: Table) -> tuple[str, Condition]:
    """One allowed algorithm: how it is said, and what it asks."""
    entry = Table(data, f"{table.where}, algorithms", needed="algorithm", may="parameter least_bits")
    names, parameters, bits = entry.texts("algorithm"), entry.texts("parameter"), entry.number("least_bits")
    if odd := [name for name in names if canonical(name) is None]:
        entry.refuse(f"no algorithm is called {', '.join(odd)}", advice="names are those of toolkit/algorithms.toml")
    spelt = tuple(dict.fromkeys(s.casefold() for name in names for s in (name, canonical(name) or name)))
    asked: list[Condition] = [Test("algorithm", "in", spelt)]
    if parameters:
        asked.append(Test("parameter", "in", _spellings(parameters)))
    if bits:
        asked.append(Test("size_bits", ">=", bits))
    least = f" from {bits} bits" if bits else ""
    among = f" with {' or '.join(parameters)}" if parameters else ""
    return f"{' or '.join(names)}{among}{least}", All(tuple(asked))


def _spellings(parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Parameters as keepers spell them, too: a curve of NIST has several names."""
    named = [one.casefold() for one in parameters]
    return tuple(dict.fromkeys(name for one in named for name in next((c for c in _CURVES if one in c), (one,))))


def _strength(table: Table) -> Iterator[Demand]:
    bits = table.number("strength_bits", least=1)
    if weak := [told for told, most in _weakest(table) if most < bits]:
        table.refuse(
            f"it allows {', '.join(weak)}, and asks for {bits} bits of strength",
            advice="raise least_bits there, or lower strength_bits",
        )
    yield _demand(
        Kind.STRENGTH, f"The key, and every key that wraps it, has {bits} bits of strength or more.",
        Test("effective_strength_bits", ">=", bits), when=_IN_USE, verb=Verb.MIGRATE, topic=Topic.ALGORITHM,
        remediation="Replace it, or the key that wraps it, by a stronger one.",
    )  # fmt: skip


def _weakest(table: Table) -> Iterator[tuple[str, int]]:
    """The least strength that each allowed algorithm with a least length may have."""
    for data in table.tables("algorithms"):
        entry = Table(data, table.where, needed="algorithm", may="parameter least_bits")
        bits = entry.number("least_bits")
        for name in entry.texts("algorithm"):
            for parameter in entry.texts("parameter") or (None,):
                known = strength(name, parameter, bits or None).security_strength_bits
                if known is not None:
                    yield f"{name} {parameter or bits} ({known})", known


def _protection(table: Table) -> Iterator[Demand]:
    least = table.member(Protection, "protection")
    enough = tuple(one.value for one in tuple(Protection)[tuple(Protection).index(least) :])
    yield _demand(
        Kind.PROTECTION, f"Every copy of the key is protected by: {' or '.join(enough)}.",
        Test("protection", "in", enough), verb=Verb.MIGRATE,
        remediation=f"Make a new key there ({' or '.join(enough)}), re-encrypt, and destroy the weaker copies.",
    )  # fmt: skip


def _wanted(table: Table) -> Iterator[Demand]:
    if both := set(table.texts("is")) & set(table.texts("is_not")):
        table.refuse(f"is and is_not both name {', '.join(sorted(both))}", advice="keep one of them")
    return _flags(table, table.texts("is"), "is_true", "is")


def _unwanted(table: Table) -> Iterator[Demand]:
    return _flags(table, table.texts("is_not"), "is_false", "is-not")


def _flags(table: Table, names: tuple[str, ...], op: str, sense: str) -> Iterator[Demand]:
    if odd := [name for name in names if name not in _FLAGS]:
        table.refuse(f"no flag of a key is called {', '.join(odd)}", advice=f"use one of: {', '.join(_FLAGS)}")
    for name in names:
        plain = name.removeprefix("is_")
        yield _demand(
            Kind.FLAG, f"The key {sense.replace('-', ' ')} {plain.replace('_', ' ')}.", Test(name, op),
            id_=f"{sense}-{plain.replace('_', '-')}", verb=Verb.MIGRATE,
            remediation="Where its keeper cannot set it, make a new key that is so, re-encrypt, and destroy this one.",
        )  # fmt: skip


def _stores(table: Table) -> Iterator[Demand]:
    names = table.texts("stores")
    yield _demand(
        Kind.STORE, f"The key is held by {' or '.join(names)} and nowhere else.",
        Test("held_by", "only", tuple(one.casefold() for one in names)), verb=Verb.MIGRATE,
        remediation="Destroy the copies that lie elsewhere; they count as compromised if others could read them.",
    )  # fmt: skip


def _regions(table: Table) -> Iterator[Demand]:
    names = table.texts("regions")
    yield _demand(
        Kind.REGION, f"The key is in {' or '.join(names)}.", Test("region", "like", tuple(n.casefold() for n in names)),
        remediation="Make a new key in an allowed region and re-encrypt.", verb=Verb.MIGRATE,
    )  # fmt: skip


def _origins(table: Table) -> Iterator[Demand]:
    names = tuple(table.member_of(Origin, one, "origins").value for one in table.texts("origins"))
    yield _demand(
        Kind.ORIGIN, f"The material was {' or '.join(names)}.", Test("origin", "in", names), verb=Verb.ROTATE,
        remediation="Rotate it: new material, made where it is kept.",
    )  # fmt: skip


def _functions(table: Table) -> Iterator[Demand]:
    names = tuple(table.member_of(KeyFunction, one, "functions").value for one in table.texts("functions"))
    yield _demand(
        Kind.FUNCTIONS, f"The key can {', '.join(names)} and nothing else.", Test("functions", "only", names),
        when=_IN_USE, verb=Verb.RESTRICT, topic=Topic.USE,
        remediation="Take the other functions away, or make a key for each purpose.",
    )  # fmt: skip


def _owners(table: Table) -> Iterator[Demand]:
    names = table.texts("owners")
    # A keeper whose tags were read and name nobody has no owner for it; where nobody could look, that is not known.
    unread = Not(Any_((Test("tags", "like", ("*",)), Test("tags", "is_empty"))))
    named = Test("owner", "like", tuple(one.casefold() for one in names))
    asked = All((named, Any_((Test("owner", "known"), unread))))
    yield _demand(
        Kind.OWNER, f"The key has an owner: {' or '.join(names)}.", asked, verb=Verb.REGISTER, topic=Topic.RECORDS,
        remediation="Name its owner in its keeper's tags.", severity=Severity.MODERATE,
    )  # fmt: skip


def _originator(table: Table) -> Iterator[Demand]:
    days = table.number("originator_days", least=1)
    if table.number("recipient_days", days, least=1) < days:
        table.refuse(
            f"recipient_days are fewer than originator_days ({days}): what was protected last could not be read",
            advice="the recipient-usage period ends later (SP 800-57 part 1 r5, 5.3.5)",
        )
    when = All((_IN_USE, Any_((Test("functions", "unknown"), Test("functions", "contains", ORIGINATES)))))
    yield _demand(
        Kind.ORIGINATOR, f"The key protects for {days} days at most from its first use or its last rotation.",
        younger_than(days), when=when, verb=Verb.ROTATE, topic=Topic.CRYPTOPERIOD, severity=Severity.MODERATE,
        remediation="Rotate it, or record an exception with reason, approver and end.",
    )  # fmt: skip


def _recipient(table: Table) -> Iterator[Demand]:
    days = table.number("recipient_days", least=1)
    yield _demand(
        Kind.RECIPIENT, f"The key is there for {days} days at most from its first use or its last rotation.",
        younger_than(days), verb=Verb.RE_ENCRYPT, topic=Topic.CRYPTOPERIOD, severity=Severity.MODERATE,
        remediation="Re-encrypt what it protects, then archive or destroy it; or record an exception.",
    )  # fmt: skip


def _custodians(table: Table) -> Iterator[Demand]:
    told = Table(table.raw("custodians"), f"{table.where}, custodians", needed="least names", may="attester")
    names, least = told.texts("names"), told.number("least", least=1)
    if len(set(map(person, names))) < least:
        told.refuse(f"{least} custodians are asked for, and {len(names)} named", advice="name more, or ask for fewer")
    yield _demand(
        Kind.CUSTODIANS, f"At least {least} custodians hold these keys and acknowledged it: {', '.join(names)}.", None,
        verb=Verb.ATTEST, topic=Topic.GOVERNANCE, severity=Severity.MODERATE,
        attester=told.text("attester", "policy owner"),
        remediation="Have each custodian acknowledge it, and record that: keyatlas attest record house/….",
    )  # fmt: skip


_READ: Final[dict[str, Callable[[Table], Iterator[Demand]]]] = {
    "algorithms": _algorithms,
    "strength_bits": _strength,
    "protection": _protection,
    "is": _wanted,
    "is_not": _unwanted,
    "stores": _stores,
    "regions": _regions,
    "origins": _origins,
    "functions": _functions,
    "owners": _owners,
    "originator_days": _originator,
    "recipient_days": _recipient,
    "custodians": _custodians,
}
