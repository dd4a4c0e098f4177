"""The evidence of a control validation as one HTML file that loads nothing from anywhere.

Refuses to: show what was not escaped, or a script, an image or a font; its policy (CSP) forbids them too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pandas as pd

_STYLE: Final = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, Arial, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; font-size: 13px }
small { color: GrayText }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #8886 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
.FAIL, .differs { font-weight: 700; color: #d55e00 }
.WARN { color: #b07000 }
"""
_NUMBERS: Final = ("rows", "met", "broken", "undecided", "not_applicable")
_COLUMNS: Final = ("rule", "subject", "severity", "verdict", *_NUMBERS, "agrees", "note")
_AGREES: Final = {True: "yes", False: "NO"}


def page(told: pd.DataFrame, *, as_of: datetime, made: Iterable[Path]) -> str:
    """The page: what was counted of each control, pack by pack, and the suites that it can be counted again with."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    differ = int(told["agrees"].eq(False).fillna(False).sum())
    makers = " and ".join(f"{name} {escape(version(name))}" for name in ("great-expectations", "keyatlas"))
    counted = int(told["agrees"].notna().sum())
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Control validation</title>',
        f"<style>{_STYLE}</style>",
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<h1>Control validation as of {escape(as_of.isoformat(timespec='seconds'))}</h1>",
        f"<p>Counted by {makers}, each by itself: {counted} controls by both; on {differ} they differ.",
        "A control passes only if some subjects meet it, none breaks it, and none is undecided.</p>",
    ]
    for pack, rows in told.groupby("pack", sort=False, observed=True):
        parts += [f"<h2>{escape(str(pack))}</h2><p>{escape(_summary(rows))}</p>", _table(rows)]
    files = "".join(f"<li><code>{escape(path.name)}</code> {_sha256(path)}</li>" for path in made)
    parts.append(f"<h2>Suites and the tables they were asked of, with their SHA-256</h2><ul>{files}</ul></html>")
    return "\n".join(parts)


def _summary(rows: pd.DataFrame) -> str:
    counts = rows["verdict"].value_counts()
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)


def _table(rows: pd.DataFrame) -> str:
    head = "".join(f'<th scope="col">{name.replace("_", " ")}</th>' for name in _COLUMNS)
    body = "".join(
        f"<tr>{_rule(row['rule'], row['clause'])}{''.join(_cell(name, row[name]) for name in _COLUMNS[1:])}</tr>"
        for _, row in rows.iterrows()
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _rule(rule: str, clause: str) -> str:
    return f"<td>{escape(rule)}<br><small>{escape(clause)}</small></td>"


def _cell(name: str, value: Any) -> str:
    told = "" if pd.isna(value) else value
    if name in _NUMBERS:
        return f'<td class="n">{"" if told == "" else f"{int(told):,}"}</td>'
    if name == "agrees":
        said = "" if told == "" else _AGREES[bool(told)]
        return f'<td class="{"differs" if said == "NO" else ""}">{said}</td>'
    kind = f' class="{escape(str(told))}"' if name == "verdict" else ""
    return f"<td{kind}>{escape(str(told))}</td>"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
