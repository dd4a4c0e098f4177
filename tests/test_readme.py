"""The README says what is true: its tables are made from the code. `python tests/test_readme.py` makes them anew."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import toolkit as tk
from toolkit import cli, policies, registry

README = Path(__file__).resolve().parent.parent / "README.md"


def _first(text: str | None) -> str:
    return " ".join((text or "").strip().split("\n\n")[0].split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def tables() -> dict[str, str]:
    """Each generated part of the README by its name."""
    packs = [policies.load(entry.path) for entry in registry.entries("policies").values()]
    verbs = [(name, getattr(tk, name)) for name in tk.__all__]
    return {
        "collectors": _table(("collector", "reads"), [(f"`{n}`", said) for n, said in tk.collectors().items()]),
        "packs": _table(
            ("policy pack", "document", "status", "rules"),
            [(f"`{p.name}`", f"{p.issuer}: {p.title}, {p.edition}", str(p.status), str(len(p.rules))) for p in packs],
        ),
        "verbs": _table(
            ("verb", "what it gives"),
            [(f"`tk.{name}{_signature(verb)}`", _first(verb.__doc__)) for name, verb in verbs],
        ),
        "commands": _table(
            ("command", "what it does"),
            [(f"`keyatlas {name}`", _first(command.help)) for name, command in sorted(cli.main.commands.items())],
        ),
    }


def _signature(verb) -> str:
    names = [("*" if p.kind is p.VAR_POSITIONAL else "") + p.name for p in inspect.signature(verb).parameters.values()
             if p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD]  # fmt: skip
    return f"({', '.join(names)})"


def rendered(text: str) -> str:
    """The README with its generated parts made anew."""
    for name, table in tables().items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL)
    return text


def test_the_tables_of_the_readme_are_those_of_the_code():
    """Run `python tests/test_readme.py` when this fails."""
    assert rendered(README.read_text()) == README.read_text()


def test_the_files_that_the_readme_names_are_there():
    """No dead link."""
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text())
    assert [] == [link for link in links if not (README.parent / link).exists()]


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
