"""Running and rendering: a report is of a whole run, private, and holds nothing that runs or loads."""

from __future__ import annotations

import asyncio
import json
import os
from urllib.parse import unquote

import nbformat
import pytest

from toolkit import narrative, reporting
from toolkit.errors import ConfigError, ReportError
from toolkit.narrative.display import chip, place, text
from toolkit.reporting import page
from toolkit.reporting.parameters import checked

PARAMETERS = 'workspace: str = "here"  # a folder\nis_draft: bool = False\ntop: int = 3\nshare: float = 0.5'
SHOW = f"from IPython.display import display\ndisplay({{'{reporting.PROOF}': told, 'text/plain': ''}}, raw=True)"


@pytest.fixture
def notebook(tmp_path):
    def make(*cells):
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title\n\n[x](javascript:alert(1))")])
        made.cells.append(nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
        made.cells += [nbformat.v4.new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(cells)]
        path = tmp_path / "trial.ipynb"
        path.write_text(nbformat.writes(made))
        return path

    return make


def mode(path):
    return path.stat().st_mode & 0o777


HOSTILE_OUTPUT = """
from IPython.display import HTML, SVG, Javascript, Markdown, display
for made in (HTML("<p onclick=alert(1)>kept</p><script>alert(1)</script><style>*{}</style><img src=x>"),
             SVG("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"), Javascript("alert(1)"),
             Markdown("<script>alert(1)</script>"), "<script>alert(1)</script>"):
    display(made)
print("<script>alert(1)</script>")
"""
FACTS = (
    "import os, sys\ntold = {'names': sorted(os.environ), 'cwd': os.listdir('.'), 'python': sys.executable, 'top': top}"
)


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    """One run of a hostile notebook, its environment full of credentials."""
    home, out = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("reports")
    path = home / "trial.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# A title\n\n[x](javascript:alert(1)) ![i](https://evil.example/i.png)")]
    cells.append(nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    cells += [nbformat.v4.new_code_cell(source) for source in (HOSTILE_OUTPUT, FACTS + "\n" + SHOW)]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
        patch.setenv("KEYATLAS_PIN", "canary")
        made = reporting.report(path, out=out, parameters={"top": 7})
    return home, made


def test_a_report_is_two_private_files_and_nothing_else(trial):
    """The page and the notebook as it ran; no draft and no failed run beside them."""
    _, made = trial

    assert {made.html, made.notebook} == set(made.html.parent.iterdir())
    assert (mode(made.html), mode(made.notebook)) == (0o600, 0o600)


def test_the_kernel_gets_no_credential_no_clutter_and_leaves_no_history(trial):
    """It is this Python, with the few variables it needs, in an empty folder; the home stays as it was."""
    home, made = trial
    outputs = nbformat.read(made.notebook, as_version=4).cells[-1].outputs
    told = next(output.data[reporting.PROOF] for output in outputs if reporting.PROOF in output.data)

    assert not {"AWS_SECRET_ACCESS_KEY", "KEYATLAS_PIN"} & set(told["names"])
    assert told["cwd"] == []
    assert os.path.realpath(os.sys.executable) == os.path.realpath(told["python"])
    assert told["top"] == 7
    assert not (home / ".ipython").exists()
    assert not list(home.rglob("kernel-*.json"))


def test_what_a_notebook_shows_is_stripped_of_what_could_run_or_load(trial):
    """Scripts, handlers, styles and addresses are gone from outputs and Markdown; the text stays."""
    page = trial[1].html.read_text()

    for harmful in ("<script", "onclick", "<img src=x", "javascript:", "evil.example", "<svg", "<iframe"):
        assert harmful not in page
    assert "<p>kept</p>" in page
    assert "default-src 'none'" in page
    assert page.count("<style>") == 1


def test_a_failed_notebook_is_kept_and_its_values_stay_out_of_the_message(notebook, tmp_path):
    """The error names cell and error type; the notebook lies beside where the report would be, which is not made."""
    canary = "canary-" + "x" * 8
    path = notebook(f"raise ValueError('{canary}')", "told = {}\n" + SHOW)

    with pytest.raises(ReportError) as refused:
        reporting.report(path, out=tmp_path / "out")

    [kept] = (tmp_path / "out").iterdir()
    assert (kept.name, mode(kept)) == ("trial.failed.ipynb", 0o600)
    assert json.loads(kept.read_text())["nbformat"] == 4
    assert "cell cell-0 failed with ValueError" in str(refused.value)
    assert canary not in str(refused.value)


def test_a_dead_kernel_is_a_report_error(notebook, tmp_path):
    """A kernel that dies, as of too little memory, is said to have died."""
    with pytest.raises(ReportError, match="the kernel died"):
        reporting.report(notebook("import os; os._exit(9)"), out=tmp_path / "out")


def test_a_cell_that_takes_too_long_is_a_report_error(notebook, tmp_path):
    """A limit given in seconds ends the run."""
    with pytest.raises(ReportError, match="longer than 1 s"):
        reporting.report(notebook("import time; time.sleep(30)"), out=tmp_path / "out", execution_timeout=1)


def test_a_notebook_without_evidence_at_its_end_is_unfinished(notebook, tmp_path):
    """That all cells are called completed is no proof; the last cell has to show what it rests on."""
    with pytest.raises(ReportError, match="no evidence"):
        reporting.report(notebook("1 + 1"), out=tmp_path / "out")

    assert [file.name for file in (tmp_path / "out").iterdir()] == ["trial.failed.ipynb"]


@pytest.mark.parametrize(
    ("name", "value"), [("is_draft", "false"), ("is_draft", 1), ("top", True), ("top", "3"), ("workspace", 20260102)]
)
def test_a_parameter_of_another_type_is_refused(notebook, name, value):
    """No "false" that is true, no date that became a number."""
    with pytest.raises(ConfigError, match=name):
        checked(notebook().read_text(), {name: value})


def test_an_unknown_parameter_names_those_there_are(notebook, tmp_path):
    """A typing error does not quietly give a report of something else; nothing is run."""
    with pytest.raises(ConfigError, match=r"wrokspace.*workspace \(str\), is_draft"):
        reporting.report(notebook("1"), out=tmp_path / "out", parameters={"wrokspace": "x"})


def test_a_workspace_is_the_callers_not_the_kernels(notebook, tmp_path, monkeypatch):
    """A relative folder means what it means to who calls."""
    monkeypatch.chdir(tmp_path)

    assert str(tmp_path / "here") == checked(notebook().read_text(), {})["workspace"]
    assert checked(notebook().read_text(), {"share": 2})["share"] == 2


@pytest.mark.parametrize("broken", ["no json", "{}", '{"cells": 1}'])
def test_what_is_no_notebook_is_a_report_error(tmp_path, broken):
    """A file of another kind is told as such."""
    path = tmp_path / "x.ipynb"
    path.write_text(broken)

    with pytest.raises(ReportError, match="not readable"):
        reporting.report(path, out=tmp_path / "out")


def test_cells_are_escaped_cut_and_visible():
    """Markup, invisible characters and length cannot hide what a cell says."""
    assert text("<img>\u202e") == "&lt;img&gt;\\u202e"
    assert 'title="' + "a" * 200 in text("a" * 200)
    assert text(None) == '<span class="unknown">unknown</span>'
    assert 'class="chip xonx"' in chip('x" on=x')
    assert "<wbr>" not in place("file:///" + "</b>/" * 40).partition('">')[0]


def test_an_object_on_a_token_is_named_by_token_and_label():
    """In people's words, escaped and visible like all; its whole URI is in `title`. Without a label its id tells it."""
    uri = "pkcs11:token=%3Cb%3E%E2%80%AE;serial=1;manufacturer=M;model=V;id=%01%FF;object=tls;type=private"
    assert f'title="{uri}"' in place(uri)
    assert ">token &lt;b&gt;\\u202e, private tls<" in place(uri)
    assert ">token t, secret-key id=%01%FF<" in place("pkcs11:token=t;serial=1;id=%01%FF;type=secret-key")
    assert ">token t<" in place("pkcs11:token=t;serial=1")
    assert "title" not in place("file:///etc/a.pem")


@pytest.mark.parametrize("given", ["2026-11-01", 20261101, "2026-11-01T00:00:00Z", "2026-11-01T02:00:00+02:00"])
def test_a_moment_is_utc_however_it_was_written(given):
    """papermill's command line makes a number of a date without hyphens."""
    assert narrative.moment(given).isoformat() == "2026-11-01T00:00:00+00:00"


def test_no_moment_means_now_or_the_build_time(monkeypatch):
    """SOURCE_DATE_EPOCH stands in for the clock; what is no time is refused."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")

    assert narrative.moment("").isoformat() == "1970-01-02T00:00:00+00:00"
    with pytest.raises(ConfigError, match="no ISO date"):
        narrative.moment("yesterday")


def test_the_proof_of_a_whole_run_is_what_the_narrative_shows():
    """Two modules of one floor do not import each other; this holds their one word together."""
    assert narrative.evidence.__globals__["MIME"] == reporting.PROOF


def test_a_report_can_be_made_where_an_event_loop_runs(notebook, tmp_path):
    """JupyterLab runs one; `tk.report` is called there most."""

    async def in_jupyter():
        return reporting.report(notebook("told = {}\n" + SHOW), out=tmp_path / "out")

    assert asyncio.run(in_jupyter()).html.exists()


@pytest.mark.parametrize("svg", ['<svg a="#1">50 %</svg>', "<svg a='1' b=\"2 &amp; 'x'\"/>", "<svg>\u9375</svg>"])
def test_a_figure_is_whole_in_its_address_and_cannot_leave_it(svg):
    """What is decoded is the drawing, but for the kind of its quotes; nothing in it ends the attribute or the tag."""
    told = page._in_address(svg)

    assert unquote(told).replace('"', "'") == svg.replace('"', "'")
    assert not set(told) & set('"<>#&')
