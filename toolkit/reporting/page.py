"""Renders an executed notebook with our own template: outputs only, sanitised, one file, nothing loaded from anywhere.

Three walls stand before hostile names: the notebook escapes them, a sanitiser lets only plain tags through, and the
page's own policy (CSP `default-src 'none'`) allows no script, no request and no style but the one whose hash it names.
Figures are images, inside which a browser runs nothing.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

_TEMPLATES: Final = Path(__file__).resolve().parent.parent / "templates"
_TAGS: Final = [
    "br", "code", "div", "em", "h1", "h2", "h3", "li", "ol", "p", "pre", "span", "strong", "table", "tbody", "td", "th",
    "thead", "tr", "ul", "wbr",
]  # fmt: skip
_ATTRIBUTES: Final = {"*": ["class", "title"], "th": ["scope"]}


def exporter() -> Any:
    """nbconvert's HTML exporter with our template."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors.sanitize import SanitizeHTML
    from traitlets.config import Config

    config = Config(
        {
            "HTMLExporter": {
                "extra_template_basedirs": [str(_TEMPLATES)],
                "template_name": "report",
                "exclude_input": True,
                "exclude_anchor_links": True,
                "exclude_input_prompt": True,
                "exclude_output_prompt": True,
            },
        }
    )
    made = HTMLExporter(config=config)  # type: ignore[no-untyped-call]
    # Its preprocessor cleans Markdown before it is rendered; the template has this clean what comes out.
    sanitiser: Any = SanitizeHTML
    made.environment.filters["plain"] = sanitiser(tags=_TAGS, attributes=_ATTRIBUTES, strip=True).sanitize_html_tags
    made.environment.filters["in_address"] = _in_address
    return made


def _in_address(svg: str) -> str:
    """A drawing as the rest of a data: address (RFC 2397): text, which is a quarter shorter than base64."""
    # Single quotes stand for themselves in an address, double quotes would take three characters each.
    return quote(svg if "'" in svg else svg.replace('"', "'"), safe=" !$'()*+,-./:;=?@[]^_{|}~")


def render(exporter: Any, notebook: Any) -> str:
    """The page, as text."""
    style = (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    facts = {
        "style": style,
        "style_hash": f"sha256-{digest}",
        "title": _title(notebook),
        "version": version("keyatlas"),
    }
    body, _ = exporter.from_notebook_node(notebook, resources={"keyatlas": facts})
    return str(body)


def _title(notebook: Any) -> str:
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return str(cell.source.splitlines()[0].removeprefix("# "))
    return "Report"
