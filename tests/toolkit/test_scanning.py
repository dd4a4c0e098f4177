"""A scan as data, as text and as SARIF; baselines that end."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path
from random import Random

import pytest

from collectors.code._examples import example
from toolkit import scanning
from toolkit.errors import ConfigError
from toolkit.scanning import sarif, shown

UNTIL = date(2099, 1, 1)
PRESENT = {"history": False}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One cache folder for all tests of the session: the automaton takes seconds to build."""
    return written(tmp_path_factory.getbasetemp() / "cache" / "README", "shared").parent


@pytest.fixture(autouse=True)
def _cached(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def git(root: Path, *words: str, given: str = "") -> str:
    """What real git says."""
    root.mkdir(exist_ok=True)
    who = ("-c", "user.name=\x1b[31mann\x1b]0;x\x07", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, input=given.encode()).stdout.decode()  # fmt: skip


def scan(*paths: Path, **options) -> scanning.Scan:
    return scanning.scan(tuple(map(str, paths)), {**PRESENT, **options})


def accepted(root: Path, file: Path, **options) -> str:
    """The text of a baseline written of all that is there."""
    scanning.write_baseline((str(root),), {**PRESENT, **options}, file, reason="known; revoked", until=UNTIL)
    return file.read_text()


def text_of(told: scanning.Scan) -> list[str]:
    return [line for line, _ in shown.lines(told, show_suppressed=True)]


def test_findings_are_sorted_by_severity_confidence_and_place(tmp_path):
    """What matters most stands first, and the same folder gives the same order."""
    written(tmp_path / "z.py", f"a = '{token(1)}'\n\nb = '{token(2)}'\n")
    written(tmp_path / "b.py", f"api_token = '{example('{base62:32}', Random(3))}'\n")
    written(tmp_path / "a.py", f"T = '{token(4)}'\n")

    told = scan(tmp_path)

    places = [(row.severity.value, row.path, row.line) for row in told.findings]
    expected = [("very-high", "a.py", 1), ("very-high", "z.py", 1), ("very-high", "z.py", 3), ("high", "b.py", 1)]
    assert expected == places
    assert ("very-high", True) == (told.worst().value, told.is_whole)


def test_what_is_suppressed_is_told_apart(tmp_path):
    """Nobody's wish makes a finding vanish: it is told with its reason and date, and is no finding."""
    written(tmp_path / "a.py", f"T = '{token(1)}'  # keyatlas:allow until=2099-01-01 reason=\"replay test\"\n")
    written(tmp_path / "b.py", f"T = '{token(2)}'\n")

    told = scan(tmp_path)

    assert ["b.py"] == [row.path for row in told.findings]
    assert [("a.py", "replay test", UNTIL)] == [(r.path, r.suppression, r.suppressed_until.date()) for r in told.suppressed]  # fmt: skip
    assert "1 finding, 1 passed over by suppression" == shown.summary(told)
    assert any("until 2099-01-01 (replay test)" in line for line in text_of(told))
    assert not any("replay test" in line for line, _ in shown.lines(told, show_suppressed=False))


def test_a_repository_inside_makes_the_scan_less_than_whole(tmp_path):
    """It is not read, and the scan says so."""
    git(tmp_path / "inner", "init", "-q")

    told = scan(tmp_path, history=True)

    assert (False, ["another repository lies here"]) == (told.is_whole, [gap.reason for gap in told.gaps])
    assert "nothing found, 1 thing not seen" == shown.summary(told)


def test_the_home_of_a_stranger_is_wrong_usage():
    """`~nobody` is a path that is not there, not a traceback."""
    with pytest.raises(ConfigError):
        scanning.scan(("~nobody-of-this-name",), PRESENT)


def test_a_target_that_fails_is_told_beside_the_findings_of_another(tmp_path):
    """What could not be read is a gap, whatever else was found."""
    git(tmp_path / "a\nb", "init", "-q")
    written(tmp_path / "ok" / "a.py", token(1))

    told = scan(tmp_path / "a\nb", tmp_path / "ok")

    assert (1, False) == (len(told.findings), told.is_whole)


@pytest.mark.parametrize("options", [{"staged": True}, {"since": "no-such-branch"}])
def test_what_only_a_repository_has_is_refused_for_a_plain_folder(tmp_path, options):
    """`--since` a misspelt branch of a misspelt folder must not be a clean scan."""
    with pytest.raises(ConfigError):
        scan(tmp_path, **options)


def test_a_second_place_of_the_same_value_needs_a_comment_of_its_own(tmp_path):
    """A suppression stands beside each of the present places, or it does not hold."""
    comment = '# keyatlas:allow until=2099-01-01 reason="replay test"'
    written(tmp_path / "a.py", f"T = '{token(1)}'  {comment}\n\n\nU = '{token(1)}'\n")

    assert [4] == [row.line for row in scan(tmp_path).findings]


def test_a_baseline_written_and_applied_leaves_no_finding(tmp_path):
    """What is accepted is passed over, with the reason and the date that were given."""
    written(tmp_path / "src" / "a.py", f"T = '{token(1)}'\nU = '{token(2)}'\n")
    accepted(tmp_path / "src", tmp_path / "b.toml")

    told = scan(tmp_path / "src", baseline=str(tmp_path / "b.toml"))

    assert [] == told.findings
    assert {("known; revoked", UNTIL)} == {(row.suppression, row.suppressed_until.date()) for row in told.suppressed}


def test_a_baseline_holds_no_value_and_no_plain_digest(tmp_path):
    """Rule, path and twenty salted bits; another writing has another salt."""
    written(tmp_path / "src" / "a.py", token(1))
    texts = [accepted(tmp_path / "src", tmp_path / "b.toml") for _ in range(2)]

    assert not any(token(1)[8:] in text for text in texts)
    assert [5, 5] == [len(re.search(r'check = "([0-9a-f]+)"', text)[1]) for text in texts]
    assert 2 == len({re.search(r'salt = "(\w+)"', text)[1] for text in texts})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("until = 2099-01-01", "until = 2020-01-01", "its suppression ended on 2020-01-01"),
        ('reason = "known; revoked"\n', "", "its suppression gives no reason"),
        ('reason = "known; revoked"', 'reason = ""', "its suppression gives no reason"),
        ("until = 2099-01-01", "", "its suppression gives no date (until=YYYY-MM-DD)"),
    ],
)
def test_an_entry_that_ended_or_lacks_its_reason_is_told_and_suppresses_nothing(tmp_path, old, new, said):
    """Nothing is accepted for ever, nor without a reason."""
    written(tmp_path / "src" / "a.py", token(1))
    text = accepted(tmp_path / "src", tmp_path / "b.toml")
    (tmp_path / "b.toml").write_text(text.replace(old, new))

    told = scan(tmp_path / "src", baseline=str(tmp_path / "b.toml"))

    assert (1, 0) == (len(told.findings), len(told.suppressed))
    assert said in told.findings[0].reasons
    assert any(said in line for line in text_of(told))


def test_the_same_token_at_a_new_path_is_found_in_spite_of_the_baseline(tmp_path):
    """A baseline accepts places, not values; another value at an accepted place is found too."""
    written(tmp_path / "src" / "a.py", token(1))
    written(tmp_path / "src" / "b.py", token(2))
    accepted(tmp_path / "src", tmp_path / "b.toml")
    written(tmp_path / "src" / "new.py", token(1))
    written(tmp_path / "src" / "b.py", token(3))

    told = scan(tmp_path / "src", baseline=str(tmp_path / "b.toml"))

    assert [("a.py", "new.py"), ("b.py",)] == [row.paths for row in told.findings]


def test_a_new_path_behind_the_two_hundredth_is_found_too(tmp_path):
    """The list of paths that is told has an end; the acceptance must not reach beyond it."""
    for number in range(200):
        written(tmp_path / "src" / f"{number:03}.py", token(1))
    accepted(tmp_path / "src", tmp_path / "b.toml")
    written(tmp_path / "src" / "new.py", token(1))

    assert 1 == len(scan(tmp_path / "src", baseline=str(tmp_path / "b.toml")).findings)


@pytest.mark.parametrize("name", ["é 'x' \"y\" \t\n\x7f😀.py"])
def test_a_baseline_takes_any_file_name(tmp_path, name):
    """Names are bytes that strangers choose."""
    written(tmp_path / "src" / name, token(1))
    accepted(tmp_path / "src", tmp_path / "b.toml")

    assert [] == scan(tmp_path / "src", baseline=str(tmp_path / "b.toml")).findings


def test_a_finding_without_a_path_can_be_accepted_too(tmp_path):
    """A dangling blob of the object store has no name, and is found in every run."""
    git(tmp_path / "repo", "init", "-q")
    git(tmp_path / "repo", "hash-object", "-w", "--stdin", given=token(1))
    accepted(tmp_path / "repo", tmp_path / "b.toml", history=True)

    assert [] == scan(tmp_path / "repo", baseline=str(tmp_path / "b.toml"), history=True).findings


@pytest.mark.parametrize("text", ["accepted = 3", 'salt = "zz"', "=", 'salt = "00"\n[[accepted]]\nrule = "x"\n'])
def test_a_file_that_is_no_baseline_is_refused(tmp_path, text):
    """A broken baseline is wrong usage, not an empty one."""
    written(tmp_path / "b.toml", text)

    with pytest.raises(ConfigError, match="not a baseline"):
        scan(tmp_path, baseline=str(tmp_path / "b.toml"))


@pytest.mark.parametrize("until", ['"2099-01-01"', "2099-01-01T00:00:00Z", "5"])
def test_a_date_of_another_form_is_taken_or_refused(tmp_path, until):
    """Who edits a baseline by hand and quotes the date is told, not shown a traceback."""
    written(tmp_path / "src" / "a.py", token(1))
    text = accepted(tmp_path / "src", tmp_path / "b.toml")
    (tmp_path / "b.toml").write_text(text.replace("until = 2099-01-01", f"until = {until}"))

    with suppress(ConfigError):
        told = scan(tmp_path / "src", baseline=str(tmp_path / "b.toml"))
        assert 1 == len(told.findings) + len(told.suppressed)


@pytest.mark.parametrize("place", ["nowhere/b.toml", "."])
def test_a_baseline_that_cannot_be_written_is_an_error_with_advice(tmp_path, place):
    """Exit code 1 would say that something was found."""
    with pytest.raises(ConfigError):
        scanning.write_baseline((str(tmp_path),), PRESENT, tmp_path / place, reason="x", until=UNTIL)


@pytest.fixture
def hostile(tmp_path):
    """A repository whose names, author and subject would steer a terminal."""
    root = tmp_path / "repo"
    git(root, "init", "-q")
    written(root / "\x1b[2J\x1b]0;owned\x07\u202ex\n.py", f"T = '{token(1)}'\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "\x1b[8mhidden\x9b31m")
    written(root / "new\x1b[31m.py", f"T = '{token(2)}'  # keyatlas:allow until=2099-01-01 reason=\"\x1b[8mx\"\n")
    git(root / "inner\x1b[31m", "init", "-q")
    return root


def test_no_name_of_a_stranger_steers_the_terminal(hostile):
    """Escape sequences, line ends and writing directions of names, authors and reasons are shown as text."""
    lines = text_of(scan(hostile, history=True))

    assert [] == [line for line in lines if not line.isprintable()]
    assert all(any(word in line for line in lines) for word in (r"\x1b[2J", "hidden"))


@pytest.mark.parametrize("form", ["text", "sarif"])
def test_no_name_inside_an_archive_steers_who_reads_of_it(tmp_path, form):
    """Names of members come from strangers too, and stand among the reasons."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("\x1b[31m\x1b]0;owned\x07[x](https://evil.example).py", f"T = '{token(1)}'\n" * 3)
    told = scan(tmp_path)

    shown_text = text_of(told) if form == "text" else [sarif.document(told)["runs"][0]["results"][0]["message"]["text"]]

    assert 1 == len(told.findings)
    assert [] == [line for line in shown_text if not line.isprintable()]
    assert form == "text" or not re.search(r"(?<!\\)\[[^\]]*\]\(", shown_text[0])


def test_data_and_text_show_no_value(hostile):
    """What leaves is a fingerprint, a preview and a place."""
    told = scan(hostile, history=True)

    shown_text = "\n".join([json.dumps(shown.document(told)), json.dumps(sarif.document(told)), *text_of(told)])

    assert (1, 1) == (len(told.findings), len(told.suppressed))
    assert [] == [seed for seed in (1, 2) if token(seed)[4:] in shown_text]


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path):
    """Text and SARIF say which of the folders on the command line holds the file."""
    for name in ("one", "two"):
        written(tmp_path / name / "a.py", f"T = '{token(1)}'\n")
    told = scan(tmp_path / "one", tmp_path / "two")

    places = [result["locations"] for result in sarif.document(told)["runs"][0]["results"]]

    assert 2 == len({line for line in text_of(told) if "a.py" in line})
    assert places[0] != places[1]


def thing(*required: str, **properties: object) -> dict:
    """An object that may have nothing but these properties (`additionalProperties: false` all through the schema)."""
    return {"type": "object", "required": [*required], "properties": properties, "additionalProperties": False}


TEXT = {"type": "string", "minLength": 1}
MESSAGE = thing("text", text=TEXT)  # 3.11; 3.12
LEVEL = {"enum": ["none", "note", "warning", "error"]}  # 3.27.10
NUMBER = {"type": "integer", "minimum": 1}  # 3.30.5 to 3.30.8
BAG = {"type": "object", "properties": {"tags": {"type": "array", "items": TEXT, "uniqueItems": True}}}  # 3.8
URI = {"type": "string", "pattern": r"^(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2})+$"}  # RFC 3986, 2
# A relative reference has no colon in its first segment (RFC 3986, 4.2): it would be a scheme.
PLACE = {**URI, "not": {"pattern": r"^(?!git:|file:)[^/]*:"}}
RULE = thing("id", id=TEXT, name=TEXT, shortDescription=MESSAGE, fullDescription=MESSAGE, helpUri={**URI, "pattern": "^https?://[^ ]+$"},
             defaultConfiguration=thing(level=LEVEL), properties=BAG)  # fmt: skip  # 3.49
REGION = thing("startLine", startLine=NUMBER, startColumn=NUMBER, endLine=NUMBER, endColumn=NUMBER)  # 3.30
PHYSICAL = thing("artifactLocation", artifactLocation=thing("uri", uri=PLACE, uriBaseId=TEXT), region=REGION)  # 3.29
SUPPRESSION = thing("kind", kind={"enum": ["inSource", "external"]}, justification=TEXT,
                    status={"enum": ["accepted", "underReview", "rejected"]})  # fmt: skip  # 3.35
RESULT = thing(
    "message", "ruleId", "locations", ruleId=TEXT, ruleIndex={"type": "integer", "minimum": 0}, level=LEVEL, message=MESSAGE, properties=BAG,
    locations={"type": "array", "minItems": 1, "items": thing("physicalLocation", physicalLocation=PHYSICAL)},
    rank={"type": "number", "minimum": 0, "maximum": 100}, suppressions={"type": "array", "items": SUPPRESSION},
    partialFingerprints={"type": "object"},
)  # fmt: skip  # 3.27
INVOCATION = thing("executionSuccessful", executionSuccessful={"type": "boolean"}, toolExecutionNotifications={
    "type": "array", "items": thing("message", message=MESSAGE, level=LEVEL)})  # fmt: skip  # 3.20; 3.58
DRIVER = thing("name", name=TEXT, version=TEXT, semanticVersion=TEXT, informationUri=URI,
               rules={"type": "array", "uniqueItems": True, "items": RULE})  # fmt: skip  # 3.19
RUN = thing("tool", tool=thing("driver", driver=DRIVER), columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            results={"type": "array", "items": RESULT}, invocations={"type": "array", "items": INVOCATION},
            originalUriBaseIds={"type": "object"})  # fmt: skip  # 3.14
LOG = thing("version", "runs", **{"$schema": URI}, version={"const": "2.1.0"}, runs={"type": "array", "items": RUN})


def complaints(log: dict) -> list[str]:
    """Everything in a log that the standard forbids."""
    jsonschema = pytest.importorskip("jsonschema")
    found = [f"{fault.json_path}: {fault.message}" for fault in jsonschema.Draft7Validator(LOG).iter_errors(log)]
    for run in log["runs"]:
        ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        found += [f"rule {name} is there twice" for name in ids if ids.count(name) > 1]  # 3.49.3
        found += [f"no rule {r['ruleId']}" for r in run["results"] if r["ruleId"] not in ids]
        for region in (r["locations"][0]["physicalLocation"]["region"] for r in run["results"]):
            if "endLine" not in region and region.get("endColumn", 1 << 30) < region.get("startColumn", 1):  # 3.30.8
                found.append(f"{region} ends before it begins")
    return found


def test_sarif_of_all_kinds_of_findings_keeps_the_standard(hostile, tmp_path):
    """Odd names, dangling blobs, key material, suppressions and gaps included."""
    git(hostile, "hash-object", "-w", "--stdin", given=token(3))
    written(tmp_path / "more" / "a b%20#?.py", f"T = '{token(4)}'\nU = '{example('{jwt}', Random(5))}'\n")
    written(tmp_path / "more" / "key.json", example("{jwk}", Random(6)))
    log = sarif.document(scan(hostile, tmp_path / "more", history=True))

    assert [] == complaints(json.loads(json.dumps(log)))
    assert [] == complaints(sarif.document(scanning.Scan()))
    assert 6 == len(log["runs"][0]["results"])
    assert 1 == len([r for r in log["runs"][0]["results"] if "suppressions" in r])
    assert log["runs"][0]["invocations"][0]["toolExecutionNotifications"]


@pytest.mark.parametrize("name", ["a:b.py", "javascript:x.py"])
def test_a_colon_in_a_name_is_no_scheme(tmp_path, name):
    """Code hosts make links of what stands there."""
    written(tmp_path / name, token(1))

    assert [] == complaints(sarif.document(scan(tmp_path)))


def test_columns_count_in_the_units_that_are_announced(tmp_path):
    """An editor marks the token, not what stands beside it."""
    line = f"é😀 = '{token(1)}'"
    written(tmp_path / "a.py", line + "\n")

    (run,) = sarif.document(scan(tmp_path))["runs"]

    before = line[: line.index(token(1))]
    units = len(before.encode("utf-16-le")) // 2 if run["columnKind"] == "utf16CodeUnits" else len(before)
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (units + 1, units + 1 + len(token(1))) == (region["startColumn"], region["endColumn"])
