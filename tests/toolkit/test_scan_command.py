"""`keyatlas scan` as people, hooks and CI run it: real processes, real repositories, exit codes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from collectors.code._examples import example
from toolkit import scanning
from toolkit.errors import ConfigError

KEYATLAS = Path(sys.executable).with_name("keyatlas")
HOOKS = Path(__file__).resolve().parents[2] / ".pre-commit-hooks.yaml"
ALLOW = 'keyatlas:allow until=2099-01-01 reason="replay test"'
OURS = """[[rules]]\nid = "acme"\ntitle = "Acme key"\ngives = "everything"\nregex = 'acme_([0-9a-z]{24})'
documented = "https://acme.example/keys"\nseverity = "moderate"\n"""
GITLEAKS = """[[rules]]\nid = "acme"\ndescription = "Acme key"\nregex = 'acme_([0-9a-z]{24})'\nsecretGroup = 1\nentropy = 3.5
keywords = ["acme_"]\ntags = ["vendor"]\n[rules.allowlist]\nstopwords = ["sandbox"]\n"""
ACME = [example("{lownum:24}", Random(seed)) for seed in range(4)]


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """One cache folder for all tests of the session: the automaton takes seconds to build."""
    return written(tmp_path_factory.getbasetemp() / "cache" / "README", "shared").parent


@pytest.fixture
def run(cache, tmp_path):
    """Runs a program in a folder, with a home of its own and no git settings of whoever runs the tests."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    env |= {f"GIT_{role}_{part}": "ann" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache), "GIT_CONFIG_NOSYSTEM": "1"}

    def run(*words: object, cwd: Path = tmp_path, **more: str) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run([*map(str, words)], cwd=cwd, env={**env, **more}, capture_output=True, text=True)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    return run


@pytest.fixture
def scans(run):
    """Runs several `keyatlas scan` at once."""

    def scans(*calls: list[object], **more: Path) -> list[subprocess.CompletedProcess[str]]:
        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(lambda words: run(KEYATLAS, "scan", *words, **more), calls))

    return scans


@pytest.fixture
def scan(scans):
    """Runs one."""
    return lambda *words, **more: scans(words, **more)[0]


class Repo:
    """A real repository; `commit(a__py=text)` commits `a.py`."""

    def __init__(self, root: Path, run) -> None:
        self.root, self._run = root, run
        root.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: object) -> str:
        ran = self._run("git", *words, cwd=self.root)
        assert 0 == ran.returncode, ran.stderr
        return ran.stdout.strip()

    def stage(self, **files: str) -> None:
        for name, text in files.items():
            written(self.root / name.replace("__", "."), text)
        self.git("add", "-A")

    def commit(self, **files: str) -> None:
        self.stage(**files)
        self.git("commit", "-q", "-m", "change")


@pytest.fixture
def repo(run, tmp_path):
    return Repo(tmp_path / "repo", run)


def paths(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """The paths of the findings of a `--json` run."""
    return sorted(row["path"] for row in json.loads(ran.stdout)["findings"])


def test_nothing_found_is_0_and_a_finding_is_1_unless_told_otherwise(scan, scans, tmp_path):
    """A job fails on what it was told to fail on."""
    written(tmp_path / "clean" / "a.py", "x = 1\n")
    written(tmp_path / "src" / "a.py", f"T = '{token(1)}'\n")

    clean = scan("clean")
    found, never = scans(["src"], ["src", "--fail-on", "never"])

    assert [0, 1, 0] == [clean.returncode, found.returncode, never.returncode]
    assert ("", "nothing found\n", "1 finding\n") == (clean.stdout, clean.stderr, found.stderr)
    assert found.stdout == never.stdout != ""


def test_wrong_usage_is_2_and_the_message_says_what_is_right(scans, tmp_path):
    """No traceback, nothing on standard output, nothing written."""
    written(tmp_path / "broken.toml", OURS.replace("severity", "severty"))

    lines = ["nowhere", "--no-such-option", "--baseline=nowhere.toml", "--patterns=broken.toml"]
    lines += ["--write-baseline=b.toml --reason=x", "--write-baseline=b.toml --until=2099-01-01"]
    lines += ["--write-baseline=b.toml --reason=x --until=2000-01-01", "--staged --history", "--history --since=main"]

    told = scans(*map(str.split, lines))

    assert [(2, "", True)] * 9 == [(ran.returncode, ran.stdout, len(ran.stderr) > 20) for ran in told]
    assert not (tmp_path / "b.toml").exists()


def test_incomplete_coverage_is_3_where_strict(scan, repo, tmp_path):
    """A repository inside is not read, or an archive cannot be opened; a finding matters more than a gap."""
    assert 3 == scan("--history", "--strict", ".").returncode
    written(tmp_path / "b" / "a.zip", "PK\x03\x04" + 200 * "\0")
    assert 3 == scan("--strict", "b").returncode
    written(tmp_path / "a.py", token(1))
    assert 1 == scan("--history", "--strict", ".").returncode


def test_json_and_sarif_are_one_document_each(scans, tmp_path):
    """Machines read the same results as people: path, line, rule."""
    written(tmp_path / "a.py", f"\nT = '{token(1)}'\n")

    told, log = scans([".", "--json"], [".", "--sarif"])

    (finding,), (run,) = json.loads(told.stdout)["findings"], json.loads(log.stdout)["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert ("a.py", 2, 6) == (finding["path"], finding["line"], finding["column"])
    assert ("a.py", 2, 6) == (place["artifactLocation"]["uri"], place["region"]["startLine"], place["region"]["startColumn"])  # fmt: skip


def test_help_takes_less_than_four_tenths_of_a_second_of_cpu(run):
    """People ask for help often."""

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    codes = [run(KEYATLAS, "scan", "--help").returncode for _ in range(3)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert [0, 0, 0] == codes
    assert (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime) < 3 * 0.4


def test_an_inline_comment_needs_its_date_and_holds_from_the_line_above(scan, tmp_path):
    """Beside it or above it; without a date, or after it, the finding stands and says why."""
    written(tmp_path / "beside.py", f"T = '{token(1)}'  # {ALLOW}\n")
    written(tmp_path / "above.py", f"# {ALLOW}\nT = '{token(2)}'\n")
    written(tmp_path / "dateless.py", f"T = '{token(3)}'  # keyatlas:allow reason=\"replay test\"\n")
    written(tmp_path / "ended.py", f"T = '{token(4)}'  # {ALLOW.replace('2099', '2020')}\n")
    written(tmp_path / "before.py", f"T = 1  # {ALLOW}\nT = '{token(5)}'\n")

    ran = scan(".", "--json")

    told = json.loads(ran.stdout)
    said = {row["path"]: row["reasons"][-1] for row in told["findings"]}
    assert {"above.py", "beside.py"} == {row["path"] for row in told["suppressed"]}
    assert ["before.py", "dateless.py", "ended.py"] == sorted(said)
    assert "its suppression gives no date (until=YYYY-MM-DD)" == said["dateless.py"]
    assert "its suppression ended on 2020-01-01" == said["ended.py"]


def test_staged_reads_the_index_and_nothing_else(scan, repo):
    """Not the files as they lie there, not what was committed before; in the first commit ever, too."""
    repo.stage(a__py=token(1), b__py="x\n")
    written(repo.root / "b.py", token(2))

    assert ["a.py"] == paths(scan("--staged", "--json", cwd=repo.root))
    repo.git("commit", "-qm", "1")
    assert 0 == scan("--staged", cwd=repo.root).returncode


def test_staged_runs_nothing_that_a_hostile_config_names(scan, repo, tmp_path):
    """fsmonitor, filters, text conversion: no program of the repository starts, and the secret is found."""
    payload = written(tmp_path / "payload", f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    payload.chmod(0o755)
    repo.stage(a__py=f"T = '{token(1)}'\n", __gitattributes="* filter=x diff=x\n")
    with (repo.root / ".git" / "config").open("a") as file:
        file.write(f"[core]\n\tfsmonitor = {payload}\n\thooksPath = {tmp_path}\n[diff]\n\texternal = {payload}\n")
        file.write(f'[filter "x"]\n\tclean = {payload}\n[diff "x"]\n\ttextconv = {payload}\n\tcommand = {payload}\n')

    ran = scan("--staged", "--json", cwd=repo.root)

    assert (["a.py"], False) == (paths(ran), (tmp_path / "ran").exists())


def test_since_reads_what_head_has_and_the_revision_has_not(repo, scans):
    """A branch, an annotated tag, or a step back; a misspelt branch in CI must not be a clean scan."""
    repo.commit(old__py=token(1))
    repo.git("tag", "-a", "v1", "-m", "v1")
    repo.git("checkout", "-q", "-b", "work")
    repo.commit(new__py=token(2))

    *told, misspelt, hostile = scans(
        *(["--json", f"--since={name}"] for name in ("main", "v1", "HEAD~1", "mian", "--output=x")), cwd=repo.root
    )

    assert [["new.py"]] * 3 == [*map(paths, told)]
    assert [(2, "")] * 2 == [(ran.returncode, ran.stdout) for ran in (misspelt, hostile)]


def test_since_takes_any_name_that_git_gives_a_branch(scan, repo):
    """Names with signs are common: dependabot's, and those with the number of an issue."""
    repo.commit(a__py="x\n")
    repo.git("branch", "fix/#12+é@x")

    assert 0 == scan("--since", "fix/#12+é@x", cwd=repo.root).returncode


@pytest.mark.parametrize("words", [["--staged"], ["--history"]])
def test_in_a_sub_folder_the_repository_around_it_is_read_or_the_scan_refused(scan, repo, words):
    """It does not read less in silence."""
    repo.commit(x="x\n")
    repo.stage(**{"sub/x": "x\n", "t.py": token(1)})

    assert scan(*words, cwd=repo.root / "sub").returncode in (1, 2)


def test_history_reads_a_work_tree_and_a_bare_repository(scans, repo, tmp_path):
    """What was removed is still there, and is told with the commit that brought it."""
    repo.commit(gone__py=token(1), here__py=token(2))
    first = repo.git("rev-parse", "HEAD")
    repo.commit(gone__py="x\n")
    repo.git("clone", "-q", "--bare", repo.root, tmp_path / "bare.git")

    lines = ["--json --history repo", "--json --history bare.git", "--json repo"]
    tree, bare, now = scans(*map(str.split, lines))

    assert [["gone.py", "here.py"]] * 2 + [["here.py"]] == [*map(paths, (tree, bare, now))]
    commits = [{row["first_commit"] for row in json.loads(ran.stdout)["findings"]} for ran in (tree, bare)]
    assert [{first}] * 2 == commits


@pytest.fixture
def hooked(repo):
    """A repository with the hook that `.pre-commit-hooks.yaml` describes."""
    (entry,) = re.findall(r"^ *entry: (.*)$", HOOKS.read_text(), re.MULTILINE)
    repo.commit(a__py="x\n", b__py="x\n")
    written(repo.root / ".git/hooks/pre-commit", f"#!/bin/sh\nexec {KEYATLAS.parent}/{entry}\n").chmod(0o755)
    return repo


def test_the_hook_refuses_a_commit_with_a_secret_and_allows_the_next(hooked, run):
    """The secret never gets into the history."""
    hooked.stage(a__py=f"T = '{token(1)}'\n")
    refused = run("git", "commit", "-qm", "leak", cwd=hooked.root)
    hooked.stage(a__py="T = None\n")
    allowed = run("git", "commit", "-qm", "mended", cwd=hooked.root)

    assert (1, 0) == (refused.returncode, allowed.returncode)
    assert "a.py:1:6" in refused.stdout + refused.stderr
    assert ["mended", "change"] == hooked.git("log", "--format=%s").splitlines()


@pytest.mark.parametrize("words", [["-a"], ["a.py"]])
def test_the_hook_sees_what_commit_stages_itself(hooked, run, words):
    """`git commit -a` and `git commit FILE` put what they commit into an index of their own (GIT_INDEX_FILE)."""
    written(hooked.root / "a.py", f"T = '{token(1)}'\n")

    assert 1 == run("git", "commit", "-qm", "leak", *words, cwd=hooked.root).returncode


def test_the_hook_works_in_a_linked_worktree(hooked, run, tmp_path):
    """Its index and HEAD are its own."""
    hooked.git("worktree", "add", "-q", tmp_path / "linked")
    written(tmp_path / "linked" / "a.py", f"T = '{token(1)}'\n")
    run("git", "add", "-A", cwd=tmp_path / "linked")

    assert 1 == run("git", "commit", "-qm", "leak", cwd=tmp_path / "linked").returncode


def test_rules_of_our_form_find_what_they_describe(scan, tmp_path):
    """With the rule's own severity, beside the standard rules."""
    written(tmp_path / "src" / "a.py", f"K = 'acme_{ACME[0]}'\nT = '{token(1)}'\n")
    written(tmp_path / "acme.toml", OURS)

    ran = scan("src", "--json", "--patterns", "acme.toml")

    rows = json.loads(ran.stdout)["findings"]
    assert [("very-high", 2), ("moderate", 1)] == [(row["severity"], row["line"]) for row in rows]


def test_rules_of_gitleaks_form_keep_their_group_entropy_and_stopwords(scan, tmp_path):
    """What has no counterpart here is told, not passed over in silence."""
    written(tmp_path / "src" / "found.py", f"K = 'acme_{ACME[0]}'\n")
    written(tmp_path / "src" / "stopped.py", f"K = 'acme_sandbox{ACME[1][:17]}'\n")
    written(tmp_path / "src" / "flat.py", "K = 'acme_" + "ab12" * 6 + "'\n")
    written(tmp_path / "gitleaks.toml", GITLEAKS)

    ran = scan("src", "--json", "--patterns", "gitleaks.toml")

    told = json.loads(ran.stdout)
    assert [("found.py", 11, 35)] == [(row["path"], row["column"], row["end_column"]) for row in told["findings"]]
    assert ["gitleaks.toml: rule acme: `tags` has no counterpart"] == [gap["reason"] for gap in told["gaps"]]


WRONG = [
    (OURS.replace("acme_(", r"acme_\pL?(") + "candidate = 'acme_([0-9a-z]{24})'\n", "re.error at the first candidate"),
    (OURS + "checks = ['no-such-check']\n", "KeyError at the first candidate"),
    (OURS + "refused = ['(']\n", "re.error at the first candidate"),
    (OURS + "near = 3\n", "TypeError in planned()"),
    (OURS.replace('"acme"', "5"), "AttributeError in the weighing"),
    ("rules = 3\n", "TypeError in read()"),
    ("[rules]\nid = 'a'\n", "AttributeError in _rule()"),
    (GITLEAKS.replace("3.5", "'high'"), "ValueError of float()"),
    (GITLEAKS.replace('stopwords = ["sandbox"]', 'regexes = ["("]'), "re.error at the first candidate"),
]
TOLD = ["[[rules]\n", OURS.replace("mod", "im"), OURS + "colour = 'red'\n", OURS.replace("[0-9a-z]{24}", "[0-9a-z")]


@pytest.mark.parametrize("text", [*TOLD, *(text for text, _ in WRONG)])
def test_a_broken_file_of_rules_is_refused(tmp_path, cache, monkeypatch, text):
    """Whatever is wrong with it is wrong usage, not a traceback with the exit code of a finding."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    written(tmp_path / "src" / "a", f"acme_{ACME[0]}\n")
    written(tmp_path / "rules.toml", text)

    with pytest.raises(ConfigError):
        scanning.scan((str(tmp_path / "src"),), {"history": False, "patterns": (str(tmp_path / "rules.toml"),)})


@pytest.fixture
def logged(run, tmp_path):
    """Runs `keyatlas scan --history --json`, and tells the findings and what each `cat-file --batch` was asked for."""
    log = tmp_path / "log"
    real = f'{shutil.which("git")} "$@"'
    case = f'*" cat-file --batch "*) echo started >> {log}; tee -a {log} | {real} ;;'
    fake = written(tmp_path / "bin" / "git", f'#!/bin/sh\ncase " $* " in\n{case}\n*) exec {real} ;;\nesac\n')
    fake.chmod(0o755)

    def logged(root: Path, *words: str) -> tuple[list[str], list[str]]:
        log.write_text("")
        ran = run(KEYATLAS, "scan", "--history", "--json", *words, root, PATH=f"{fake.parent}:{os.environ['PATH']}")
        told = json.loads(ran.stdout)["findings"]
        return sorted(json.dumps(row, sort_keys=True) for row in told), log.read_text().split()

    return logged


def test_a_second_run_reads_only_what_is_new_and_tells_the_same(repo, logged, tmp_path):
    """Nothing new: no git is started to give blobs. A new commit: its blobs only. Other rules, or no cache: all."""
    repo.commit(a__py=f"T = '{token(1)}'\n", b__py="x\n")
    written(tmp_path / "acme.toml", OURS)
    old = [repo.git("hash-object", name) for name in ("a.py", "b.py")]

    first, asked = logged(repo.root)
    again, nothing = logged(repo.root)
    repo.commit(b__py=f"T = '{token(2)}'\n", c__py=f"K = 'acme_{ACME[0]}'\n")
    new = [repo.git("hash-object", name) for name in ("b.py", "c.py")]
    more, asked_new = logged(repo.root)
    ours, asked_all = logged(repo.root, "--patterns", str(tmp_path / "acme.toml"))
    bare, asked_again = logged(repo.root, "--no-cache")

    assert ({"started", *old}, [], {"started", *new}) == (set(asked), nothing, set(asked_new))
    assert {"started", *old, *new} == set(asked_all) == set(asked_again)
    assert (first, more) == (again, bare)
    assert (1, 2, 3) == (len(first), len(more), len(ours))


def test_a_secret_purged_from_the_history_is_told_no_more(repo, logged):
    """Rewriting the history and pruning is how one mends it; the cache must not say otherwise."""
    repo.commit(a__py=f"T = '{token(1)}'\n")
    before, _ = logged(repo.root)
    written(repo.root / "a.py", "T = None\n")
    repo.git("commit", "-qam", "1", "--amend")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")

    assert (1, []) == (len(before), logged(repo.root)[0])
