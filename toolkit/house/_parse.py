"""From the tables of the file to values, strictly; and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from typing import Any, Final

from toolkit.conditions import All, Condition
from toolkit.house._demands import FORM, demands, younger_than
from toolkit.house._form import Demand, Example, Exemption, Freeze, House, KeyClass, Kind, Permit, Window, person
from toolkit.house._read import Table
from toolkit.terms import KeyState, PackStatus, Severity, Verb

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NO_CLASSES: Final = ("none", "unknown")
"""What an example's class is, where its key is in none, or nobody can tell."""
EXAMPLES_AS_OF: Final = datetime(2026, 11, 2, 9, tzinfo=UTC)
"""When examples are judged that do not say otherwise: a Monday morning."""
_DESTROYABLE: Final = ("deactivated", "compromised")
_CLASS: Final = "severity match when may says"
_PERMIT: Final = "approvals approvers states wait_days unused_days windows"
_PERIODS: Final = {Kind.ORIGINATOR: "originator_days", Kind.RECIPIENT: "recipient_days"}


def parse(data: Mapping[str, Any], *, where: str) -> House:
    """The policy that parsed TOML says.

    Raises:
        ConfigError: naming the place, what is wrong there, and what to do.
    """
    top = Table(data, where, needed="house classes", may="roles freezes exceptions examples")
    facts = Table(
        top.raw("house"), f"{where}, house", needed="organisation title edition url",
        may="status exception_days exception_approvers",
    )  # fmt: skip
    roles = _roles(top)
    classes = tuple(_class(one, roles, where) for one in top.tables("classes"))
    _once([one.id for one in classes], "classes", top)
    _reachable(classes, top)
    exemptions = tuple(_exemption(one, facts, classes, roles, where) for one in top.tables("exceptions"))
    _once([one.id for one in exemptions], "exceptions", top)
    return House(
        organisation=facts.text("organisation"),
        title=facts.text("title"),
        edition=facts.text("edition"),
        url=facts.text("url"),
        status=facts.member(PackStatus, "status", "in-force"),
        roles=roles,
        freezes=tuple(_freeze(one, where) for one in top.tables("freezes")),
        classes=classes,
        exemptions=exemptions,
        examples=tuple(_example(one, where) for one in top.tables("examples")),
    )


def _roles(top: Table) -> dict[str, frozenset[str]]:
    data = top.raw("roles", {})
    if not isinstance(data, Mapping):
        top.refuse("roles is a table: role = [people]")
    roles = Table(data, f"{top.where}, roles", may=" ".join(data))
    # A role of nobody is one that a directory gives: the caller says who has it.
    return {name: frozenset(map(person, roles.texts(name) if data[name] != [] else ())) for name in data}


def _class(data: object, roles: Mapping[str, frozenset[str]], where: str) -> KeyClass:
    table = Table(data, f"{where}, class {_called(data)}", needed="id clause", may=f"{_CLASS} {FORM}")
    class_id = table.text("id")
    if not set(class_id) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
        table.refuse("an id is of small letters, digits, - and _")
    if class_id in NO_CLASSES:
        table.refuse(f"no class is called {class_id}: examples say so of keys that are in none")
    severity = table.member(Severity, "severity") if "severity" in table else None
    may = Table(table.raw("may", {}), f"{table.where}, may", may=" ".join(Verb))
    permits = {verb: _permit(verb, may.raw(verb.value), may.where, roles) for verb in Verb if verb.value in may}
    clause = table.text("clause")
    return KeyClass(
        id=class_id,
        clause=clause,
        says=table.text("says", class_id),
        match=table.selected(),
        demands=demands(table, class_id, clause, severity),
        permits=permits,
        facts={name: table.raw(name) for name in FORM.split() if name in table},
    )


def _called(data: object) -> object:
    """What a table calls itself, as errors name it."""
    return data.get("id", "without id") if isinstance(data, Mapping) else "of another form"


def _permit(verb: Verb, data: object, where: str, roles: Mapping[str, frozenset[str]]) -> Permit:
    table = Table(data, f"{where}.{verb}", needed="roles", may=_PERMIT)
    asking, approving, approvals = table.texts("roles"), table.texts("approvers"), table.number("approvals")
    if odd := [role for role in (*asking, *approving) if role not in roles]:
        table.refuse(f"no role is called {', '.join(odd)}", advice=f"name it in [roles], or use: {', '.join(roles)}")
    if bool(approvals) != bool(approving):
        table.refuse("approvals and approvers go together", advice="say how many approvals, and of which roles")
    _quorum(table, approvals, [roles[role] for role in approving], [roles[role] for role in asking])
    states = table.texts("states") or (_DESTROYABLE if verb is Verb.DESTROY else ())
    return Permit(
        verb=verb,
        roles=asking,
        approvals=approvals,
        approvers=approving,
        states=tuple(table.member_of(KeyState, one, "states") for one in states),
        wait_days=table.number("wait_days"),
        unused_days=table.number("unused_days"),
        windows=tuple(_window(one, table.where) for one in table.tables("windows")),
    )


def _quorum(table: Table, needed: int, approving: list[frozenset[str]], asking: list[frozenset[str]]) -> None:
    """Refuse a quorum that can never come together: nobody approves what they ask for themselves."""
    people = frozenset[str]().union(*approving)
    if not all(approving) or not needed:
        return
    # Where the file does not name who asks, it may be one who is in neither role.
    requesters = frozenset[str]().union(*asking) if all(asking) else frozenset({""})
    left = max(len(people - {person}) for person in requesters)
    if left < needed:
        table.refuse(
            f"{needed} approvals are needed, and {left} people may give one beside the requester",
            advice="name more people in these roles, or ask for fewer approvals",
        )


def _window(data: object, where: str) -> Window:
    table = Table(data, f"{where}, windows", needed="days", may="from to")
    days = frozenset(day for word in table.texts("days") for day in _days(word, table))
    starts, ends = table.raw("from", time()), table.raw("to")
    if not isinstance(starts, time) or not isinstance(ends, time | None):
        table.refuse("from and to are times of day, like 08:00:00 (UTC)")
    if ends is not None and ends <= starts:
        table.refuse(f"it ends at {ends}, before it begins", advice="write two windows for a night")
    return Window(days, starts, ends)


def _days(word: str, table: Table) -> range:
    """`mon`, or `mon-fri`."""
    first, _, last = word.casefold().partition("-")
    if first not in DAYS or (last or first) not in DAYS or DAYS.index(last or first) < DAYS.index(first):
        table.refuse(f"{word!r} are no days", advice='like "mon" or "mon-fri"')
    return range(DAYS.index(first), DAYS.index(last or first) + 1)


def _freeze(data: object, where: str) -> Freeze:
    table = Table(data, f"{where}, freezes", needed="from to verbs why")
    starts, ends = table.day("from"), table.day("to")
    if ends < starts:
        table.refuse(f"it ends on {ends}, before it begins")
    verbs = frozenset(table.member_of(Verb, one, "verbs") for one in table.texts("verbs"))
    return Freeze(starts, ends, verbs, table.text("why"))


def _exemption(
    data: object, facts: Table, classes: tuple[KeyClass, ...], roles: Mapping[str, frozenset[str]], where: str
) -> Exemption:
    table = Table(
        data, f"{where}, exception {_called(data)}", needed="id rule reason owner approver granted until",
        may="keys match when days",
    )  # fmt: skip
    granted, until, demand = table.day("granted"), table.day("until"), _ruled(table, classes)
    if until < granted:
        table.refuse(f"it ends on {until}, before it was granted")
    owner, approver = table.text("owner"), table.text("approver")
    if person(owner) == person(approver):
        table.refuse(f"{owner} both owns the risk and approves it", advice="have another person approve it")
    approving = facts.texts("exception_approvers")
    if odd := [role for role in approving if role not in roles]:
        facts.refuse(f"exception_approvers: no role is called {', '.join(odd)}", advice="name it in [roles]")
    people = [roles[role] for role in approving]
    if people and all(people) and person(approver) not in frozenset[str]().union(*people):
        table.refuse(f"{approver} may not approve exceptions", advice=f"these roles may: {', '.join(approving)}")
    return Exemption(
        id=table.text("id"),
        rule=demand.id,
        reason=table.text("reason"),
        owner=owner,
        approver=approver,
        granted=granted,
        until=until,
        most_days=facts.number("exception_days", 365, least=1),
        covers=_covers(table, demand, classes),
    )


def _ruled(table: Table, classes: tuple[KeyClass, ...]) -> Demand:
    known = {demand.id: demand for one in classes for demand in one.demands if demand.require is not None}
    rule = table.text("rule")
    if rule not in known:
        table.refuse(f"no rule is called {rule}", advice=f"use one of: {', '.join(known)}")
    return known[rule]


def _covers(table: Table, demand: Demand, classes: tuple[KeyClass, ...]) -> Condition:
    """Which keys it speaks of; of a cryptoperiod, only until they are as old as it allows."""
    selected = table.selected()
    asked: list[Condition] = [selected] if selected != All() else []
    if "keys" in table:
        asked.append(Table({"match": {"subject_uid": list(table.texts("keys"))}}, table.where, may="match").selected())
    if not asked:
        table.refuse("it names no keys", advice="name them: keys = [uids] (a * at the end cuts one), or match = {…}")
    facts = next(one.facts for one in classes if demand in one.demands)
    allowed = facts.get(_PERIODS.get(demand.kind, ""))
    if (allowed is None) == ("days" in table):
        need = "needs `days`: how long instead" if allowed else "takes no `days`: its rule is no period"
        table.refuse(f"an exception to {demand.id} {need}")
    if allowed is not None:
        if (days := table.number("days", least=1)) <= allowed:
            table.refuse(f"{days} days are no longer than the {allowed} that the class allows")
        asked.append(younger_than(days))
    return All(tuple(asked))


def _example(data: object, where: str) -> Example:
    table = Table(
        data, f"{where}, examples", needed="says key",
        may="as_of class breaks cannot_tell excepted ask decision earliest",
    )  # fmt: skip
    table.where = f"{table.where}, {table.text('says')!r}"
    if ("ask" in table) != ("decision" in table):
        table.refuse("ask and decision go together")
    if not isinstance(table.raw("key"), Mapping):
        table.refuse("key is a table of fields")
    return Example(
        says=table.text("says"),
        key=table.raw("key"),
        as_of=table.moment("as_of") or EXAMPLES_AS_OF,
        key_class=table.text("class") if "class" in table else None,
        breaks=tuple(table.raw("breaks", ())),
        cannot_tell=tuple(table.raw("cannot_tell", ())),
        excepted=tuple(table.raw("excepted", ())),
        ask=table.raw("ask"),
        decision=table.raw("decision"),
        earliest=table.moment("earliest"),
    )


def _once(ids: list[str], what: str, top: Table) -> None:
    if twice := sorted({one for one in ids if ids.count(one) > 1}):
        top.refuse(f"two {what} are called {', '.join(twice)}", advice="an id names one thing")


def _reachable(classes: tuple[KeyClass, ...], top: Table) -> None:
    """The first class that matches counts, so one behind a class that takes every key, or the same keys, is dead."""
    for number, one in enumerate(classes):
        for before in classes[:number]:
            if before.match in (one.match, All()):
                top.refuse(
                    f"class {one.id} can have no key: class {before.id}, before it, takes them all",
                    advice="put the narrower class first",
                )


def spell(windows: tuple[Window, ...]) -> Iterator[str]:
    """Windows as people write them."""
    for window in windows:
        days = " ".join(DAYS[day] for day in sorted(window.days))
        yield f"{days} {window.starts:%H:%M}-{'24:00' if window.ends is None else f'{window.ends:%H:%M}'} UTC"
