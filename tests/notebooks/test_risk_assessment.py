"""The risk assessment from end to end, over a workspace in which every name was written by an enemy."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from toolkit import registry, reporting
from toolkit.narrative.display import Sections, Table
from toolkit.narrative.evidence import MIME
from toolkit.store import Workspace
from toolkit.tables import Builder

NOTEBOOK = registry.entry("notebooks", "risk_assessment").path
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(workspace, tmp_path_factory):
    """One report, shared: it takes seconds."""
    out = tmp_path_factory.mktemp("reports")
    return reporting.report(NOTEBOOK, out=out, parameters={"workspace": str(workspace), "as_of": "2026-11-01"})


@pytest.fixture(scope="module")
def evidence(report):
    outputs = nbformat.read(report.notebook, as_version=4).cells[-1].outputs
    return outputs[0].data[MIME]


def test_the_notebook_keeps_the_rules_of_the_house():
    """Few short cells, no def, no import but toolkit and pandas, no outputs, parameters typed and explained."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    trees = [node for cell in code for node in ast.walk(ast.parse(cell.source))]
    imported = {name.name for node in trees if isinstance(node, ast.Import) for name in node.names}

    assert len(cells) <= 15
    assert max(len(cell.source.splitlines()) for cell in cells) <= 12
    assert imported <= {"toolkit", "pandas"}
    assert not [node for node in trees if isinstance(node, ast.FunctionDef | ast.ImportFrom)]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(": " in line and "# " in line for line in code[0].source.splitlines())


def test_hostile_names_are_text_on_the_page(report):
    """Every name is there to read, and none of them is markup; what cannot be seen is spelled out."""
    page = report.html.read_text()

    for harmful in (
        "<script",
        "<img src=x",
        "<svg",
        'javascript:alert(1)"',
        'href="http',
        'src="http',
        "\u202e",
        "\x1b",
    ):
        assert harmful not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "\\u202egnp.exe\\x1b[31m" in page
    assert "{{ 7*7 }}" in page
    assert 5 == page[page.index("<h2>Tokens and HSMs") :].split("</table>")[0].count("<tr>")


def test_the_evidence_names_what_the_report_rests_on(report, evidence, workspace):
    """Run and digest, the packs with editions, the time, the versions, the notebook's own bytes."""
    [run] = (workspace / "runs").iterdir()

    assert [run.name] == list(evidence["runs"])
    assert evidence["as_of"] == "2026-11-01T00:00:00+00:00"
    assert all(pack["edition"] and len(pack["sha256"]) == 64 for pack in evidence["packs"])
    assert evidence["versions"]["keyatlas"]
    assert len(evidence["notebook_sha256"]) == 64
    assert evidence["runs"][run.name] in report.html.read_text()


def test_each_table_is_followed_by_a_sentence(report):
    """No table is left to speak for itself."""
    page = report.html.read_text()

    assert page.count("<table>") >= 6
    assert page.count("</table>") == page.count('</table></div><p class="says">')


def test_the_summary_counts_what_is_there(report):
    """The manager's figures are the inventory's."""
    page = report.html.read_text()

    assert "<strong>60</strong> <span>keys</span>" in page
    assert "of 12 targets not read whole" in page
    assert "Not read whole: &lt;img src=x onerror=alert(1)&gt; 3" in page


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(report, workspace, tmp_path):
    """A second run over the same workspace, as of the same time, is the same page."""
    again = reporting.report(NOTEBOOK, out=tmp_path, parameters={"workspace": str(workspace), "as_of": "2026-11-01"})

    assert report.html.read_bytes() == again.html.read_bytes()


@pytest.mark.slow
def test_plain_papermill_runs_it_from_anywhere(workspace, tmp_path):
    """papermill's own command, from another folder, with a number where a date was meant."""
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), "out.ipynb", "--no-progress-bar"]
    parameters = ["-p", "workspace", str(workspace), "-p", "as_of", "20261101", "-p", "packs", "nist_sp800_57"]

    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}

    ran = subprocess.run([*command, *parameters], cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr[-2000:]
    told = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0].data[MIME]
    assert [pack["name"] for pack in told["packs"]] == ["nist_sp800_57"]
    assert told["notebook_sha256"] is None


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing")
        pytest.skip("needs chromium at /usr/bin/chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_nothing_leaves_the_page_and_nothing_runs(report, browser, scheme):
    """One request, for the file itself; no console message, no dialog; every picture has its words."""
    page = browser.new_page(color_scheme=scheme)
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))

    page.goto(report.html.as_uri(), wait_until="networkidle")

    pictures = page.evaluate("[...document.images].map(i => [i.alt.length > 40, i.naturalWidth > 0])")
    assert [report.html.as_uri()] == [url for url in asked if not url.startswith("data:")]
    assert said == []
    assert pictures == [[True, True]] * 5
    assert page.evaluate("[...document.querySelectorAll('svg:not([aria-label]), script, iframe')].map(String)") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()


@pytest.mark.browser
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs pdftotext: apt-get install poppler-utils")
def test_the_printed_report_counts_its_pages(report, browser, tmp_path):
    """An auditor's paper copy says which page of how many."""
    page = browser.new_page()
    page.goto(report.html.as_uri())

    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True, tagged=True)

    told = subprocess.run(["pdftotext", tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True)
    assert "page 1 of " in told.stdout
    page.close()


def test_an_empty_workspace_is_a_report_too(tmp_path, monkeypatch):
    """Nothing found is said in words, in every cell; no figure and no table fails for want of rows."""
    Workspace(tmp_path / "empty").write_run(Builder(), collectors=["keyfiles"])
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    names: dict[str, object] = {}
    exec(cells[0], names)
    names |= {"workspace": str(tmp_path / "empty"), "as_of": "2027-01-01"}
    exec("\n".join(cells[1].splitlines()[:-1]), names)

    shown = [eval(source.splitlines()[-1], names) for source in cells[1:]]

    assert "0 keys" in repr(shown[0])
    # What only a person can answer is asked of an empty estate too.
    parts = [part for made in shown for part in (made.tables if isinstance(made, Sections) else [made])]
    tables = {made.title for made in parts if isinstance(made, Table) and made.rows}
    assert tables <= {"What the standards say"}
