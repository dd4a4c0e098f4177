"""Policy packs as expectation suites: JSON that anybody can keep and run again with great-expectations alone.

A rule becomes three counts: of subjects that meet it (success: at least one), that break it (success: none), and that
it does not apply to (always a success). What is left of all rows could not be told. A suite begins with what would
make all of it vacuous: that there are rows, and that each has its uid.

    import json, great_expectations as gx, pandas as pd
    suite = gx.ExpectationSuite(**json.load(open("pci_dss_4_0_1.key.json")))
    source = gx.get_context(mode="ephemeral").data_sources.add_pandas("run").add_dataframe_asset("subjects")
    batch = source.add_batch_definition_whole_dataframe("all")
    print(batch.get_batch({"dataframe": pd.read_parquet("pci_dss_4_0_1.key.parquet")}).validate(suite))

Refuses to: take a suite with a condition that is text (great-expectations runs it as a program), or with any
expectation, argument, column or word that is not of the form that this module writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final

from toolkit.conditions import FIELDS, Test, fields_of
from toolkit.errors import PolicyError
from toolkit.policies import Pack, Rule
from toolkit.quality.frames import UID
from toolkit.quality.logic import (
    ALWAYS,
    COLUMN,
    MOST,
    NEVER,
    WORD,
    Atom,
    Inexpressible,
    Lists,
    Terms,
    both,
    false_of,
    true_of,
)
from toolkit.terms import Severity

ROWS, UIDS, MET, BROKEN, NOT_APPLICABLE = "rows", "uids", "met", "broken", "not-applicable"
_BETWEEN, _EQUAL = "expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"
_KNOWN: Final = "expect_column_values_to_not_be_null"
_TYPES: Final = {
    _BETWEEN: {"min_value", "row_condition"},
    _EQUAL: {"value", "row_condition"},
    _KNOWN: {"column"},
}
_KEYS: Final = {"type", "kwargs", "meta", "severity", "id"}
_OPERATORS: Final = ("==", "!=", "<", "<=", ">", ">=", "IN", "NOT_IN")
_GRAVE: Final = {Severity.HIGH: "critical", Severity.VERY_HIGH: "critical", Severity.MODERATE: "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What great-expectations is asked of one subject for one pack.

    `expectations` are as they stand in the JSON; `rules` are those that are in it, `left_out` those that are not, each
    with the reason; `fields` and `lists` say which columns the frame needs.
    """

    pack: str
    edition: str
    subject: str
    as_of: datetime
    expectations: list[dict[str, Any]]
    rules: tuple[str, ...]
    left_out: dict[str, str]
    fields: tuple[str, ...]
    lists: dict[str, Test] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON: great-expectations' own form, with ours in `meta`."""
        lists = {
            name: {"field": test.field, "op": test.op, "value": test.value and list(test.value)}  # type: ignore[arg-type]
            for name, test in self.lists.items()
        }
        meta = {
            "pack": self.pack, "edition": self.edition, "subject": self.subject, "as_of": self.as_of.isoformat(),
            "rules": list(self.rules), "left_out": self.left_out, "fields": list(self.fields), "lists": lists,
        }  # fmt: skip
        name = f"{self.pack}.{self.subject}"
        return {"name": name, "expectations": self.expectations, "meta": {"keyatlas": meta}}


def export(pack: Pack, *, as_of: datetime) -> list[Suite]:
    """The suites of a pack, one a subject. Every rule is in one of them, or told in `left_out` of one with the reason.

    What only a person can answer is of the subject `inventory`.
    """
    subjects = dict.fromkeys(rule.subject for rule in pack.rules)
    return [_suite(pack, subject, as_of) for subject in subjects]


def _suite(pack: Pack, subject: str, as_of: datetime) -> Suite:
    lists, left_out, fields = Lists(), {}, dict[str, None]()
    made: list[dict[str, Any]] = [
        _expectation(_BETWEEN, {"min_value": 1}, {"asks": ROWS}, "critical"),
        _expectation(_KNOWN, {"column": UID}, {"asks": UIDS}, "critical"),
    ]
    elsewhere: dict[str, list[str]] = {}
    rules = []
    for rule in (rule for rule in pack.rules if rule.subject == subject):
        try:
            met, broken, not_applicable = _conditions(rule, as_of, lists)
            made += _of_rule(rule, met, broken)
        except Inexpressible as why:
            left_out[rule.id] = str(why)
            continue
        rules.append(rule.id)
        assert rule.require is not None
        asked = (*fields_of(rule.applies), *fields_of(rule.require))
        fields.update(dict.fromkeys(name for name in asked if FIELDS[subject][name] not in ("texts", "scopes")))
        # Many rules apply to the same subjects: whom they do not apply to is counted once for all of them.
        if not_applicable != NEVER:
            elsewhere.setdefault(json.dumps(_condition(not_applicable)), []).append(rule.id)
    for condition, names in elsewhere.items():
        arguments = {"min_value": 0, "row_condition": json.loads(condition)}
        made.append(_expectation(_BETWEEN, arguments, {"asks": NOT_APPLICABLE, "rules": names}, "info"))
    return Suite(
        pack=pack.name, edition=pack.edition, subject=subject, as_of=as_of, expectations=made, rules=tuple(rules),
        left_out=left_out, fields=tuple(fields), lists=lists.tests,
    )  # fmt: skip


def _conditions(rule: Rule, as_of: datetime, lists: Lists) -> tuple[Terms, Terms, Terms]:
    if rule.require is None:
        raise Inexpressible("only a person can answer it")
    if not rule.is_effective(as_of):
        raise Inexpressible("it is not in force on that day")
    applies = true_of(rule.applies, rule.subject, as_of=as_of, lists=lists)
    met = both(applies, true_of(rule.require, rule.subject, as_of=as_of, lists=lists))
    broken = both(applies, false_of(rule.require, rule.subject, as_of=as_of, lists=lists))
    return met, broken, false_of(rule.applies, rule.subject, as_of=as_of, lists=lists)


def _of_rule(rule: Rule, met: Terms, broken: Terms) -> Iterator[dict[str, Any]]:
    told = {"rule": rule.id, "clause": rule.clause, "says": rule.says, "otherwise": rule.otherwise.value}
    if met != NEVER:
        yield _expectation(_BETWEEN, {"min_value": 1, **_where(met)}, {"asks": MET, **told}, "info")
    if broken != NEVER:
        grave = _GRAVE.get(rule.severity, "info")
        yield _expectation(_EQUAL, {"value": 0, **_where(broken)}, {"asks": BROKEN, **told}, grave)


def _expectation(kind: str, arguments: dict[str, Any], meta: dict[str, Any], severity: str) -> dict[str, Any]:
    return {"type": kind, "kwargs": arguments, "meta": meta, "severity": severity}


def _where(terms: Terms) -> dict[str, Any]:
    return {} if terms == ALWAYS else {"row_condition": _condition(terms)}


def _condition(terms: Terms) -> dict[str, Any]:
    if terms == ALWAYS:
        return {"type": "nullity", "column": {"name": UID}, "is_null": False}
    if sum(map(len, terms)) > MOST:
        raise Inexpressible(f"it takes more than {MOST} comparisons")
    made = [_joined("and", [_comparison(atom) for atom in sorted(term, key=repr)]) for term in terms]
    return _joined("or", made)


def _joined(kind: str, conditions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return conditions[0] if len(conditions) == 1 else {"type": kind, "conditions": list(conditions)}


def _comparison(atom: Atom) -> dict[str, Any]:
    column, op, value = atom
    if op in ("known", "null"):
        return {"type": "nullity", "column": {"name": column}, "is_null": op == "null"}
    value = list(value) if isinstance(value, tuple) else value
    return {"type": "comparison", "column": {"name": column}, "operator": op, "parameter": value}


def load(path: Path) -> Suite:
    """The suite in a file, if every part of it is of the form that `export` writes.

    Raises:
        PolicyError: it cannot be read, or something in it is of another form; all such things are named.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise PolicyError(f"cannot read the suite {path}: {wrong}") from wrong
    return parse(document, where=str(path))


def parse(document: Any, *, where: str = "suite") -> Suite:
    """The suite that a JSON document says; as `load`."""
    if wrong := list(dict.fromkeys(_wrong(document))):
        advice = "export it again: keyatlas validate --controls PACK --out FOLDER"
        raise PolicyError(f"{where}: {'; '.join(wrong)}", advice=advice)
    told = document["meta"]["keyatlas"]
    try:
        lists = {
            name: Test(test["field"], test["op"], test["value"] and tuple(test["value"]))
            for name, test in told["lists"].items()
        }
        return Suite(
            pack=told["pack"], edition=told["edition"], subject=told["subject"],
            as_of=datetime.fromisoformat(told["as_of"]), expectations=document["expectations"],
            rules=tuple(told["rules"]), left_out=dict(told["left_out"]), fields=tuple(told["fields"]), lists=lists,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as wrong_form:
        raise PolicyError(f"{where}: its meta is not what keyatlas writes: {wrong_form!r}") from wrong_form


def _wrong(document: Any) -> Iterator[str]:
    if not isinstance(document, Mapping) or not isinstance(document.get("expectations"), list):
        yield "it is no suite"
        return
    if not isinstance(document.get("meta"), Mapping) or "keyatlas" not in document["meta"]:
        yield "its meta does not say what it is about"
    for number, asked in enumerate(document["expectations"]):
        yield from (f"expectation {number}: {why}" for why in _wrong_expectation(asked))


def _wrong_expectation(asked: Any) -> Iterator[str]:
    kwargs = asked.get("kwargs") if isinstance(asked, Mapping) else None
    if not isinstance(kwargs, Mapping) or asked.get("type") not in _TYPES or not isinstance(asked.get("meta"), Mapping):
        yield "it is of no kind that an exported suite has"
        return
    if odd := (asked.keys() - _KEYS) | (kwargs.keys() - _TYPES[asked["type"]]):
        yield f"it has {', '.join(sorted(map(str, odd)))}"
    if "row_condition" in kwargs:
        yield from refusals(kwargs["row_condition"])
    # great-expectations would evaluate {"$PARAMETER": …}.
    if kwargs.get("column", UID) != UID or not all(type(kwargs.get(name, 0)) is int for name in ("value", "min_value")):
        yield "it asks for something else than an exported suite does"


def refusals(condition: Any, *, depth: int = 0) -> Iterator[str]:
    """Why a row condition may not be run; nothing if it may."""
    if isinstance(condition, str):
        yield "a condition that is text would be run as a program"
        return
    if not isinstance(condition, Mapping) or depth > 2:
        yield "a condition of a form that an exported suite does not have"
        return
    kind = condition.get("type")
    if kind in ("and", "or"):
        members = condition.get("conditions")
        if set(condition) != {"type", "conditions"} or not isinstance(members, list) or not 0 < len(members) <= MOST:
            yield "a condition of a form that an exported suite does not have"
            return
        for member in members:
            yield from refusals(member, depth=depth + 1)
    elif kind in ("nullity", "comparison"):
        yield from _refused_leaf(condition, kind)
    else:
        yield "a condition of a kind that may be program text"


def _refused_leaf(condition: Mapping[str, Any], kind: str) -> Iterator[str]:
    keys = {"nullity": {"type", "column", "is_null"}, "comparison": {"type", "column", "operator", "parameter"}}[kind]
    column = condition.get("column")
    name = column.get("name") if isinstance(column, Mapping) and set(column) == {"name"} else None
    if set(condition) != keys or not isinstance(name, str) or not COLUMN.fullmatch(name) or iskeyword(name):
        yield "a condition on a column whose name could be read as program text"
    elif kind == "comparison":
        op, value = condition["operator"], condition["parameter"]
        values = value if isinstance(value, list) and op in ("IN", "NOT_IN") else [value]
        if (
            op not in _OPERATORS
            or not all(map(_is_plain, values))
            or (op in ("IN", "NOT_IN")) != isinstance(value, list)
        ):
            yield f"{name} is compared with a word that could be read as program text"
    elif not isinstance(condition["is_null"], bool):
        yield "a condition of a form that an exported suite does not have"


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return type(value) is int or (type(value) is float and abs(value) < float("inf"))
