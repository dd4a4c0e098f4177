"""Runs a notebook with papermill in a kernel of this very interpreter.

The kernel is reached by sockets in a private folder, not by TCP, where every user of the machine could knock. It is
this interpreter, whatever kernels are installed. It gets the few variables it needs, so that no token of ours lies in
its environment, and stands in an empty folder, so that nothing lying about is imported. IPython keeps no history.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from traitlets import Dict, Unicode
from traitlets.config import Config

# What a kernel needs to find Python, its packages, caches and the user's language; credentials are in none of them.
_PASSED: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME",
    "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "SOURCE_DATE_EPOCH", "SYSTEMROOT",
)  # fmt: skip


class PrivateKernel(AsyncKernelManager):
    """This interpreter as a kernel, with an environment and a folder of its own."""

    folder = Unicode().tag(config=True)
    environment = Dict().tag(config=True)

    @property
    def kernel_spec(self) -> KernelSpec:
        """Not looked up: an installed kernel of that name may be another Python, without keyatlas."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="keyatlas", language="python")

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # the base is both kinds at once
        """Start it there."""
        await super().start_kernel(**{**options, "env": dict(self.environment), "cwd": self.folder})


@dataclass(frozen=True, slots=True)
class Ran:
    """A notebook as it ran, as an object and as the text to keep, and why it failed if it did."""

    notebook: Any
    text: str
    failure: str | None


def run(notebook: Path, private: Path, parameters: Mapping[str, object], *, digest: str, execution_timeout: int) -> Ran:
    """Run a notebook; a failure is told, not raised, for the notebook is worth keeping."""
    with _without_slow_import():
        import papermill
        from papermill.exceptions import PapermillExecutionError

    executed = private / "executed.ipynb"
    failure: str | None = None
    try:
        papermill.execute_notebook(
            notebook,
            executed,
            dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            execution_timeout=execution_timeout,
            kernel_manager_class=PrivateKernel,
            config=_config(private, digest),
        )
    except PapermillExecutionError as broken:
        # The error's own text shows the cell's source and values; its name and cell are enough here.
        failure = f"cell {_cell(executed, broken.cell_index)} failed with {broken.ename}"
    except CellTimeoutError:
        failure = f"a cell took longer than {execution_timeout} s"
    except DeadKernelError:
        failure = "the kernel died"
    text = executed.read_text(encoding="utf-8") if executed.exists() else notebook.read_text(encoding="utf-8")
    return Ran(
        notebook=nbformat.reads(  # type: ignore[no-untyped-call]
            text, as_version=4
        ),
        text=text,
        failure=failure,
    )


def _cell(executed: Path, index: int) -> str:
    cells = nbformat.read(executed, as_version=4).cells  # type: ignore[no-untyped-call]
    # papermill puts a note before a failed cell, which shifts its index by one.
    broken = [cell for cell in cells if any(o.output_type == "error" for o in cell.get("outputs", []))]
    return str(broken[0].get("id", index)) if broken else str(index)


def _config(private: Path, digest: str) -> Config:
    empty, home = private / "empty", private / "ipython"
    for folder in (empty, home):
        folder.mkdir(mode=0o700)
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment |= {"IPYTHONDIR": str(home), "PYTHONHASHSEED": "0", "KEYATLAS_NOTEBOOK_SHA256": digest}
    return Config(
        {
            "PrivateKernel": {"folder": str(empty), "environment": environment},
            "KernelManager": {
                "transport": "ipc",
                "ip": str(private / "socket"),
                "connection_file": str(private / "kernel.json"),
            },
        }
    )


@contextmanager
def _without_slow_import() -> Iterator[None]:
    """Keep jsonschema from its optional IRI grammar, which takes a second to build and which no notebook needs."""
    slow = "rfc3987_syntax"
    if slow in sys.modules:
        yield
        return
    sys.modules[slow] = None  # type: ignore[assignment]  # Python's own way to say that a module is not there
    try:
        yield
    finally:
        sys.modules.pop(slow, None)
