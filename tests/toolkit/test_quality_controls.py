"""Control validation: great-expectations counts what our engine judges, and no success of its is a pass by itself."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import toolkit as tk
from toolkit import correlation, policies, registry
from toolkit.conditions import FIELDS, Columns, frame_of, leaves
from toolkit.conditions._columns import _DTYPES
from toolkit.policies import judge
from toolkit.quality import controls, logic, suites
from toolkit.quality.engine import Engine
from toolkit.quality.frames import plain
from toolkit.terms import Verdict

AS_OF = datetime(2026, 11, 27, tzinfo=UTC)
TICK = timedelta(microseconds=1)
PACKS = [policies.load(entry.path) for entry in registry.entries("policies").values()]
RULES = [rule for pack in PACKS for rule in pack.rules if not rule.attestation]


@pytest.fixture(scope="module")
def engine():
    """great-expectations, loaded once; nothing may reach for the network from then on."""

    def refuse(*given: object) -> None:
        raise AssertionError("the network was used")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield from _engine()


def _engine():
    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A real inventory: good and bad keys and certificates in files, and this machine's trust store."""
    home = tmp_path_factory.mktemp("estate")
    for name, words in {"short": ("rsa:1024", "-sha1", "900"), "good": ("rsa:3072", "-sha256", "40")}.items():
        kind, digest, days = words
        subprocess.run(
            ["openssl", "req", "-x509", "-nodes", "-newkey", kind, digest, "-days", days, "-subj", f"/CN={name}.example",
             "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=home, check=True, capture_output=True,
        )  # fmt: skip
    (home / "short.key").chmod(0o644)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / "id"], check=True)
    return tk.collect("keyfiles", paths=[home, "/etc/ssl/certs"], show_progress=False)


def values(rules):
    """For each subject and field, the values at which rules change their mind, one step beside them, and unknown."""
    found = {subject: {field: [None] for field in fields} for subject, fields in FIELDS.items()}
    for rule in rules:
        for test in (*leaves(rule.applies), *leaves(rule.require)):
            found[rule.subject][test.field] += beside(FIELDS[rule.subject][test.field], test)
    return found


def beside(kind, test):
    words = test.value if isinstance(test.value, tuple) else () if test.value is None else (test.value,)
    if kind == "text":
        return [*words, *(str(word).upper() for word in words), "something else"]
    if kind == "number":
        return [number + step for number in words for step in (-1, 0, 1)]
    if kind == "flag":
        return [True, False]
    if kind == "time":
        edges = [
            word if isinstance(word, datetime) else AS_OF + sign * timedelta(days=float(word))
            for word in words
            for sign in (-1, 1)
        ]
        return [edge + step for edge in edges for step in (-TICK, timedelta(0), TICK)] + [AS_OF, AS_OF - TICK]
    out = [[f"not:{word}"] for word in words] + [["not:*"]] if kind == "scopes" else []
    return [[], *([word] for word in words), list(words), ["something else"], *out]


def synthetic(count, seed=7):
    """Rows of every subject at the edges of every rule, a third of all values unknown."""
    pick, known = random.Random(seed), values(RULES)
    frames = {}
    for subject in FIELDS:
        rows = [
            {field: pick.choice(of) if pick.random() < 0.67 else None for field, of in known[subject].items()}
            | {"subject_uid": f"made:{number}"} for number in range(count)
        ]  # fmt: skip
        frames[subject] = frame_of(subject, rows)
    return frames


def together(one, other):
    """Both frames of each subject as one."""
    return {
        subject: pd.DataFrame({
            field: pd.concat([frame[subject][field].astype(_DTYPES[kind]) for frame in (one, other)], ignore_index=True)
            for field, kind in fields.items()
        })
        for subject, fields in FIELDS.items()
    }  # fmt: skip


@pytest.fixture(scope="module")
def subjects(collected):
    """What was collected, and 300 rows of each subject at the edges of the rules."""
    return together(correlation.subjects(collected), synthetic(300))


# All packs take great-expectations a minute (it copies each condition some forty times):
# `python tests/benchmarks/controls_million.py --agreement` runs all of them through it.
WHOLE = ("nist_sp800_131a", "pkcs11_custody", "key_access", "resilience", "owasp")


@pytest.fixture(scope="module")
def told(subjects, engine):
    """Every rule of packs that ask about every subject, counted over all of it."""
    return controls.validate(subjects, [pack for pack in PACKS if pack.name in WHOLE], as_of=AS_OF)


def test_what_great_expectations_counts_is_what_our_engine_judges(told):
    """Verdict by verdict, and for those that break a rule row by row."""
    asked = told[told["agrees"].notna()]
    assert [] == list(controls.disagreements(told))
    assert 70 < len(asked)
    assert asked["agrees"].all()
    assert set(FIELDS) == set(asked["subject"])


def test_the_estate_decides_enough_to_prove_anything(told, collected):
    """Rules are met, broken and undecided by the dozen, and the inventory is a real one."""
    for count in ("met", "broken", "undecided", "not_applicable"):
        assert 40 < (told[count] > 0).sum(), count
    assert {"FAIL", "WARN", "ATTESTATION_REQUIRED"} <= set(told["verdict"])
    assert 100 < len(collected.certificates)


def test_every_rule_is_told_and_what_is_not_counted_says_why(told):
    """None is dropped silently, in any pack."""
    assert sum(len(pack.rules) for pack in PACKS if pack.name in WHOLE) == len(told)
    left_out = told[told["agrees"].isna()]
    assert left_out["note"].notna().all()
    assert not left_out["verdict"].eq("PASS").any()
    made = [suite for pack in PACKS for suite in suites.export(pack, as_of=AS_OF)]
    assert sum(len(pack.rules) for pack in PACKS) == sum(len(suite.rules) + len(suite.left_out) for suite in made)
    reasons = {(suite.pack == "house", why) for suite in made for why in suite.left_out.values()}
    everybodys = {"only a person can answer it", "it is not in force on that day"}
    assert everybodys == {why for is_house, why in reasons if not is_house}
    # A house tells its classes by patterns, and what is not known from what is not so; no standard does.
    houses = {"it compares with a pattern", "it tells what is not known from what is not so"}
    assert {why for is_house, why in reasons if is_house} <= everybodys | houses


def test_each_rule_of_each_pack_gives_each_row_the_verdict_that_we_give(subjects, engine):
    """The conditions as great-expectations' own engine reads them, verdict by verdict, drafts and all."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.row_conditions import deserialize_row_condition

    clause = PandasExecutionEngine().condition_to_filter_clause
    count = 0
    for pack in PACKS:
        rules = {rule.id: rule for rule in pack.rules}
        for suite in suites.export(pack, as_of=AS_OF):
            frame = subjects[suite.subject]
            shown = plain(frame, suite.subject, suite.fields, suite.lists)
            columns = Columns(suite.subject, frame, as_of=AS_OF)
            verdicts = {name: np.full(len(frame), "INDETERMINATE", object) for name in suite.rules}
            for asked in suite.expectations[2:]:
                meta, where = asked["meta"], asked["kwargs"].get("row_condition")
                rows = shown.index if where is None else shown.query(clause(deserialize_row_condition(where))).index
                for name in meta.get("rules", [meta.get("rule")]):
                    said = {"met": "PASS", "broken": rules[name].otherwise.value}.get(meta["asks"], "NOT_APPLICABLE")
                    assert (verdicts[name][rows] == "INDETERMINATE").all(), (pack.name, name)
                    verdicts[name][rows] = said
            for name, verdict in verdicts.items():
                ours = np.array([member.value for member in Verdict], object)[judge(rules[name], columns).verdicts]
                assert ours.tolist() == verdict.tolist(), (pack.name, name)
                count += len(ours)
    assert 100_000 < count


def one_rule(**changes):
    """A pack of one rule: RSA keys that hold a secret have 2048 bits or more."""
    pack = policies.load(registry.entry("policies", "nist_sp800_131a").path)
    rule = next(rule for rule in pack.rules if rule.id == "rsa-size")
    return policies.Pack(**{
        **{name: getattr(pack, name) for name in ("name", "title", "issuer", "edition", "status", "binding", "url", "scope")},
        "rules": (rule,), **changes,
    })  # fmt: skip


def keys(*rows):
    return frame_of("key", [{"subject_uid": f"u:{n}", **row} for n, row in enumerate(rows)])


RSA = {"algorithm": "RSA", "holds_secret": True}


def verdict_of(engine, frame, suite=None):
    suite = suite or suites.export(one_rule(), as_of=AS_OF)[0]
    counts, rows, note = controls.count(engine, suite, frame)["rsa-size"]
    return controls.verdict(counts, Verdict.FAIL), counts, rows.tolist(), note


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (keys(), "NOT_APPLICABLE"),
        (keys({"algorithm": "AES", "holds_secret": True}), "NOT_APPLICABLE"),
        (keys(RSA), "INDETERMINATE"),
        (keys({}), "INDETERMINATE"),
        (keys({**RSA, "size_bits": 4096}, RSA), "INDETERMINATE"),
        (keys({**RSA, "size_bits": 4096}), "PASS"),
        (keys({**RSA, "size_bits": 1024}, {}), "FAIL"),
        (keys({**RSA, "size_bits": 4096}).drop(columns="size_bits"), "INDETERMINATE"),
        (keys({**RSA, "size_bits": 4096}).drop(columns="subject_uid"), "INDETERMINATE"),
        (keys({**RSA, "size_bits": 4096, "subject_uid": None}), "INDETERMINATE"),
        (keys().drop(columns=["size_bits", "algorithm"]), "INDETERMINATE"),
    ],
    ids=["no row", "none it applies to", "unknown size", "all unknown", "one unknown", "met", "broken", "no column",
         "no uid column", "unknown uid", "no row and no column"],
)  # fmt: skip
def test_a_vacuous_success_is_never_a_pass(engine, frame, expected):
    """great-expectations says success of nearly all of these."""
    assert expected == verdict_of(engine, frame)[0].value


def test_the_rows_that_break_a_rule_are_all_listed(engine):
    """Of values great-expectations lists 200 at most, whatever it is asked."""
    frame = keys(*({**RSA, "size_bits": 1024 if n % 2 else 4096} for n in range(900)))
    _, counts, rows, _ = verdict_of(engine, frame)
    assert (450, list(range(1, 900, 2))) == (counts.broken, rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    rows=st.lists(st.fixed_dictionaries({
        "algorithm": st.sampled_from(["RSA", "rsa", "AES", None]), "holds_secret": st.sampled_from([True, False, None]),
        "size_bits": st.sampled_from([None, 1024, 2047, 2048, 4096]),
    }), max_size=6),
    without=st.sets(st.sampled_from(["algorithm", "holds_secret", "size_bits"]), max_size=1),
)  # fmt: skip
def test_a_pass_needs_a_row_that_meets_it_and_none_that_could_break_it(engine, rows, without):
    """Whatever is empty, unknown or missing."""
    verdict, counts, _, _ = verdict_of(engine, keys(*rows).drop(columns=list(without)))
    rsa = [row for row in rows if str(row["algorithm"]).lower() in ("rsa", "none") and row["holds_secret"] is not False]
    sure = [row for row in rsa if row["algorithm"] and row["holds_secret"] and (row["size_bits"] or 0) >= 2048]
    if verdict is Verdict.PASS:
        assert not without
        assert counts.met
        assert sure == rsa
    if without:
        assert verdict is Verdict.INDETERMINATE


@given(
    counts=st.builds(
        controls.Counts, **{n: st.none() | st.integers(0, 4) for n in ("rows", "met", "broken", "not_applicable")}
    )
)
def test_counts_that_do_not_add_up_never_pass(counts):
    """A count that is missing, or rows that are left over, or too many, leave a control undecided."""
    told = controls.verdict(counts, Verdict.FAIL)
    if told is Verdict.PASS:
        assert (counts.broken, counts.undecided) == (0, 0)
        assert counts.met
    if counts.broken:
        assert told is Verdict.FAIL


def test_a_suite_is_run_again_by_great_expectations_alone(tmp_path, engine):
    """What is kept is a suite of its own form, with the table it was asked of; ours is not needed to read it."""
    import great_expectations as gx

    frame = keys({**RSA, "size_bits": 4096}, {**RSA, "size_bits": 1024}, {**RSA, "size_bits": 512})
    page = controls.write(
        controls.validate({"key": frame}, [one_rule()], as_of=AS_OF),
        {"key": frame},
        [one_rule()],
        tmp_path / "out",
        as_of=AS_OF,
    )

    suite = gx.ExpectationSuite(**json.loads((page.parent / "nist_sp800_131a.key.json").read_text()))
    source = gx.get_context(mode="ephemeral").data_sources.add_pandas("run").add_dataframe_asset("subjects")
    batch = source.add_batch_definition_whole_dataframe("all").get_batch(
        {"dataframe": pd.read_parquet(page.parent / "nist_sp800_131a.key.parquet")}
    )
    results = {r.expectation_config.meta["asks"]: r for r in batch.validate(suite).results}

    assert {"rows": True, "uids": True, "met": True, "broken": False, "not-applicable": True} == {
        asks: result.success for asks, result in results.items()
    }
    assert 2 == results["broken"].result["observed_value"]
    assert {0o600} == {path.stat().st_mode & 0o777 for path in page.parent.iterdir()}


def test_a_suite_that_was_kept_says_the_same_when_it_is_loaded(tmp_path, engine):
    """JSON there and back, over another frame too."""
    suite = suites.export(one_rule(), as_of=AS_OF)[0]
    path = tmp_path / "suite.json"
    path.write_text(json.dumps(suite.document()))
    again = suites.load(path)
    assert suite == again
    assert "FAIL" == verdict_of(engine, keys({**RSA, "size_bits": 1024}), again)[0].value


def test_a_word_of_a_pack_that_could_be_read_as_a_program_leaves_its_rule_out():
    """It is told with the reason, and is no pass."""
    from dataclasses import replace

    from toolkit.conditions import parse

    rule = one_rule().rules[0]
    odd = replace(rule, id="odd", require=parse({"field": "owner", "op": "==", "value": "x' or @pd.io"}, subject="key"))
    pack = one_rule(rules=(rule, odd))
    (suite,) = suites.export(pack, as_of=AS_OF)
    assert ("rsa-size",) == suite.rules
    assert "program text" in suite.left_out["odd"]
    assert {"INDETERMINATE"} == {controls._left_out(pack, odd, why)["verdict"] for why in suite.left_out.values()}


def test_what_takes_too_many_comparisons_is_left_out():
    """great-expectations takes a hundred."""
    from toolkit.conditions import parse

    many = parse({"any": [{"field": "size_bits", "op": ">=", "value": n} for n in range(101)]}, subject="key")
    with pytest.raises(logic.Inexpressible, match="more than 100"):
        logic.true_of(many, "key")


def test_the_page_shows_hostile_names_as_text_and_loads_nothing(engine):
    """It is evidence: one file, no script, no request."""
    from toolkit.quality.page import page

    frame = keys({**RSA, "size_bits": 1024})
    told = controls.validate({"key": frame}, [one_rule()], as_of=AS_OF)
    text = page(told.assign(note="<img src=x onerror=alert(1)>"), as_of=AS_OF, made=[])
    assert "<img" not in text
    assert "&lt;img" in text
    assert "default-src 'none'" in text
    assert not any(word in text for word in ("http://", "https://", "<script", "@import", "url("))


def test_great_expectations_has_no_telemetry_and_is_loaded_in_one_place(engine):
    """Its analytics are off, nothing that could send them is loaded, and no other module imports it."""
    assert "false" == os.environ["GX_ANALYTICS_ENABLED"]
    assert not engine._context.variables.analytics_enabled
    assert not {name.split(".")[0] for name in sys.modules} & {"posthog", "segment", "analytics", "mixpanel"}
    sources = [
        path
        for path in Path(tk.__file__).parent.rglob("*.py")
        if 'import_module("great_expectations' in path.read_text()
    ]
    assert ["engine.py"] == [path.name for path in sources]
