"""The quantum readiness report, end to end over the workspace whose names were written by an enemy."""

from __future__ import annotations

import ast

import nbformat

from toolkit import registry, reporting

NOTEBOOK = registry.entry("notebooks", "quantum_readiness").path


def test_the_report_names_mandates_and_lets_no_markup_through(workspace, tmp_path):
    """It renders whole: each mandate with its mark, each figure with its description, hostile names as text."""
    given = {"workspace": str(workspace), "as_of": "2026-11-01"}
    page = reporting.report(NOTEBOOK, out=tmp_path, parameters=given).html.read_text()
    assert [] == [word for word in ("cnsa-2-0", "NIST IR 8547", "second hand", "Keys to move") if word not in page]
    assert [] == [harm for harm in ("<script", "<img src=x", "<svg", 'src="http') if harm in page]
    assert page.count("<figure") == 2


def test_a_certain_year_makes_it_plain_mosca(workspace, tmp_path):
    """`arrives` is a step: what must hold beyond it falls for certain."""
    given = {"workspace": str(workspace), "as_of": "2026-11-01", "arrives": 2027}
    page = reporting.report(NOTEBOOK, out=tmp_path, parameters=given).html.read_text()
    assert "100%" in page


def test_the_notebook_keeps_the_rules_of_the_house():
    """Few short cells, no def, no import but toolkit, no outputs, parameters typed and explained."""
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    nodes = [node for cell in code for node in ast.walk(ast.parse(cell.source))]
    assert len(cells) <= 15
    assert max(len(cell.source.splitlines()) for cell in cells) <= 12
    assert {"toolkit"} == {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    assert not [node for node in nodes if isinstance(node, ast.FunctionDef | ast.ImportFrom)]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert all(": " in line and "# " in line for line in code[0].source.splitlines())
