"""Run a notebook and render it as one HTML file that needs nothing else: no script, no font, no request.

The notebook runs in a kernel of this very interpreter, reached by a private socket, with an environment that holds no
credential and a folder of its own to stand in. The report counts as made only if the notebook's last cell showed its
evidence; what a notebook's metadata says of itself is no proof. Files are for their owner only, and there whole or
not at all.

Refuses to: pass a parameter that the notebook does not have or of another type, keep a report of a failed run, or
let markup that was found in an inventory into the page.

    report(Path("notebooks/risk_assessment.ipynb"), out=Path("reports"), parameters={"workspace": ".keyatlas"}).html
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolkit.errors import ReportError

__all__ = ["PROOF", "Report", "report"]

PROOF: Final = "application/vnd.keyatlas.evidence+json"
"""What the last cell of a whole run has shown, as `toolkit.narrative.evidence` does."""


@dataclass(frozen=True, slots=True)
class Report:
    """The rendered report, and the notebook as it ran."""

    html: Path
    notebook: Path


def report(
    notebook: Path, *, out: Path, parameters: Mapping[str, object] | None = None, execution_timeout: int = 900
) -> Report:
    """Run a notebook and render it into a folder, in place of an older report of its name.

    `execution_timeout` is in seconds, for one cell. A failed notebook is kept as `<name>.failed.ipynb`.

    Raises:
        ConfigError: a parameter that the notebook does not have, or of another type.
        ReportError: a cell failed, the kernel died, the notebook did not reach its end, or `out` cannot be written.
    """
    from toolkit.reporting import kernel, page
    from toolkit.reporting.parameters import checked

    try:
        source = notebook.read_bytes()
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as refused:
        raise ReportError(f"cannot make a report of {notebook.name} in {out}: {refused.strerror}") from refused
    given = checked(source.decode(), parameters or {})
    digest = hashlib.sha256(source).hexdigest()
    # The exporter takes as long to import as the kernel to start, so both at once.
    with tempfile.TemporaryDirectory(prefix="keyatlas-") as private, ThreadPoolExecutor(1) as beside:
        exporter = beside.submit(page.exporter)
        ran = kernel.run(notebook, Path(private), given, digest=digest, execution_timeout=execution_timeout)
        kept = out / f"{notebook.stem}.failed.ipynb"
        failure = ran.failure or _unfinished(ran.notebook)
        if failure is not None:
            _write(kept, ran.text)
            raise ReportError(f"{notebook.name}: {failure}", advice=f"open {kept} to see what it got to")
        html = page.render(exporter.result(), ran.notebook)
    made = Report(html=out / f"{notebook.stem}.html", notebook=out / f"{notebook.stem}.ipynb")
    _write(made.notebook, ran.text)
    _write(made.html, html)
    kept.unlink(missing_ok=True)
    return made


def _unfinished(ran: object) -> str | None:
    """Why an executed notebook is no whole run, or None. papermill calls interrupted cells completed."""
    cells = [cell for cell in ran.cells if cell.cell_type == "code"]  # type: ignore[attr-defined]  # a NotebookNode
    for cell in cells:
        if cell.source.strip() and cell.execution_count is None:
            return f"cell {cell.get('id', '?')} never ran"
    if not cells or not any(PROOF in output.get("data", {}) for output in cells[-1].outputs):
        return "its last cell showed no evidence (tk.narrative.evidence)"
    return None


def _write(path: Path, content: str) -> None:
    """Put a private file in the place of an older one in one move."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".tmp-{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        Path(draft).replace(path)
    except OSError as failure:
        Path(draft).unlink(missing_ok=True)
        raise ReportError(
            f"cannot write {path}: {failure.strerror}", advice="check its space and permissions"
        ) from failure
