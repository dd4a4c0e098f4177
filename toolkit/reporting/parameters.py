"""A notebook's parameters, as its own parameters cell types them.

papermill passes what it does not know with a line in its log, and "false" as a text that is true; both are refused.

>>> import nbformat
>>> cell = nbformat.v4.new_code_cell("top: int = 15  # rows", metadata={"tags": ["parameters"]})
>>> text = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
>>> checked(text, {"top": 3})
{'top': 3}
>>> checked(text, {"tops": 3})
Traceback (most recent call last):
toolkit.errors.ConfigError: the notebook has no parameter tops. Next: use one of: top (int)
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolkit.errors import ConfigError, ReportError

_TYPES: Final[dict[str, tuple[type, ...]]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}


def checked(notebook: str, given: Mapping[str, object]) -> dict[str, object]:
    """The parameters to pass. One that is called `workspace` is made absolute, for the kernel stands elsewhere.

    Raises:
        ConfigError: one is unknown or of another type; all of them are named.
        ReportError: the text is no notebook, or its parameters cell is not of the form `name: type = value`.
    """
    known = declared(notebook)
    told = ", ".join(f"{name} ({kind})" for name, (kind, _) in known.items())
    passed = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}
    if unknown := sorted(passed.keys() - known.keys()):
        raise ConfigError(f"the notebook has no parameter {', '.join(unknown)}", advice=f"use one of: {told}")
    wrong = [name for name, value in passed.items() if not _fits(value, known[name][0])]
    if wrong:
        said = ", ".join(f"{name} is {type(passed[name]).__name__}" for name in wrong)
        raise ConfigError(f"parameters of another type: {said}", advice=f"they are typed: {told}")
    if "workspace" in known:
        passed["workspace"] = str(Path(str(passed.get("workspace", known["workspace"][1]))).resolve())
    return passed


def _fits(value: object, kind: str) -> bool:
    # True is an int to Python, not to a person.
    return isinstance(value, _TYPES[kind]) and (kind == "bool" or not isinstance(value, bool))


def declared(notebook: str) -> dict[str, tuple[str, object]]:
    """Name -> type and default of each parameter; read, never run."""
    try:
        cells = json.loads(notebook)["cells"]
        tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
        body = ast.parse("".join(tagged[0]["source"])).body if tagged else []
        return dict(_parameter(statement) for statement in body)
    except (ValueError, KeyError, TypeError, SyntaxError) as wrong:
        raise ReportError(
            "the notebook, or its parameters cell, is not readable", advice="write each as: name: str = value"
        ) from wrong


def _parameter(statement: ast.stmt) -> tuple[str, tuple[str, object]]:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id=kind), value=ast.expr() as value):
            if kind in _TYPES:
                return name, (kind, ast.literal_eval(value))
    raise ValueError("no typed parameter")
