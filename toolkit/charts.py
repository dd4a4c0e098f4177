"""The figures of the reports: each says its finding in a sentence, and in words what can be seen in it.

Colours are Okabe and Ito's, which people with a colour vision deficiency tell apart; every bar also carries its count.
A figure is one SVG that follows a light or dark page and draws its text as outlines, so that it looks the same
wherever it is opened. matplotlib is loaded when the first figure is drawn.

Refuses to: draw a name as it was found. A name is data: it is cut, written in ASCII, and never read as mathematics.

>>> import pandas as pd
>>> scores = pd.DataFrame({"subject": ["key"], "band": ["high"], "likelihood": [0.5], "impact": [0.9]})
>>> risk_bands(scores).says
'1 of 1 is of high or very high risk.'
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from toolkit.terms import KeyType, Protection, Severity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from toolkit.tables import Inventory

_VERMILLION, _ORANGE, _YELLOW, _SKY, _BLUE, _GREEN, _GREY = (
    "#d55e00", "#e69f00", "#f0e442", "#56b4e9", "#0072b2", "#009e73", "#999999",
)  # fmt: skip
# Stand-ins that become CSS variables in the SVG: matplotlib cannot write one itself.
_INK, _QUIET, _LINE = "#010101", "#020202", "#030303"
_STYLE: Final = (
    "<style>:root{--ink:#1f2328;--quiet:#59636e;--line:#d1d9e0}@media (prefers-color-scheme:dark)"
    "{:root{--ink:#f0f6fc;--quiet:#9198a1;--line:#3d444d}}</style>"
)
_BANDS: Final = [str(band.value) for band in reversed(Severity)]
_BAND_COLOURS: Final = dict(zip(_BANDS, (_VERMILLION, _ORANGE, _YELLOW, _SKY, _GREY), strict=True))
_STRENGTHS: Final = {
    "below 112 bits": _VERMILLION,
    "112 to 127 bits": _ORANGE,
    "128 bits or more": _BLUE,
    "quantum-resistant": _GREEN,
    "unknown": _GREY,
}
_PROTECTIONS: Final = {
    Protection.NONE.value: _VERMILLION,
    Protection.PASSPHRASE.value: _ORANGE,
    Protection.TOKEN.value: _SKY,
    Protection.HARDWARE.value: _BLUE,
    "unknown": _GREY,
}
_HELD: Final = [KeyType.PRIVATE_KEY.value, KeyType.SECRET_KEY.value, KeyType.UNKNOWN.value]
_MOST: Final = 9
# One bar alone would fill the figure.
_FEWEST: Final = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its title, its finding in a sentence, and what can be seen in it for those who cannot see it."""

    title: str
    says: str
    alt: str
    svg: str

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        told = {"alt": self.alt, "says": self.says, "needs_background": "light"}
        return {"image/svg+xml": self.svg, "text/plain": f"{self.title}. {self.says}"}, {"image/svg+xml": told}


def risk_bands(scores: pd.DataFrame) -> Figure:
    """How many keys and secrets are of which risk, as `tk.score` has it."""
    bands = scores["band"].astype(str)
    counts = pd.DataFrame(
        {
            "keys": (bands[scores["subject"] == "key"]).value_counts(),
            "hard-coded secrets": (bands[scores["subject"] != "key"]).value_counts(),
        }
    )
    counts = counts.reindex(_BANDS).fillna(0).astype(int)
    high = int(counts.loc[["very-high", "high"]].to_numpy().sum())
    says = f"{high:,} of {len(scores):,} {'is' if high == 1 else 'are'} of high or very high risk."
    counts.index = pd.Index([_words(band) for band in _BANDS])
    return _bars(
        "Keys and secrets by risk",
        counts,
        {"keys": _BLUE, "hard-coded secrets": _ORANGE},
        says=says,
        unit="keys and secrets",
    )


def risk_matrix(scores: pd.DataFrame) -> Figure:
    """How likely and how bad: counts in the 5 × 5 table of SP 800-30, coloured by the level of risk."""
    from toolkit import risk

    levels = [level.value for level in Severity]
    edges = [*risk.model().least, 101]
    likelihood, impact = (
        # Rounded as the band was, or a count would stand beside its field.
        pd.cut((scores[name].astype(float) * 100).round(9), edges, right=False, labels=levels).astype(str)
        for name in ("likelihood", "impact")
    )
    counts = pd.crosstab(likelihood, impact).reindex(index=_BANDS, columns=levels, fill_value=0)
    says = _matrix_sentence(counts)
    title = "Likelihood × impact (NIST SP 800-30)"
    with _drawing(title) as axes:
        for row, name in enumerate(_BANDS):
            for column, other in enumerate(levels):
                colour = _BAND_COLOURS[risk.model().matrix[4 - row][column].value]
                _field(axes, (row, column), int(counts[other][name]), colour)
        axes.set(xlim=(0, 5), ylim=(5, 0), xlabel="impact", ylabel="likelihood")
        axes.set_xticks([0.5 + n for n in range(5)], [_words(level) for level in levels])
        axes.set_yticks([0.5 + n for n in range(5)], [_words(level) for level in _BANDS])
        return _drawn(
            axes, title, says, "Table of likelihood by impact. " + _cells(counts.rename(index=_words, columns=_words))
        )


def strengths(keys: pd.DataFrame) -> Figure:
    """Keys by algorithm, split by security strength, as `tk.keys` has them."""
    bits = keys["security_strength_bits"].astype("Float64").astype(float)
    strength = pd.cut(bits, [0, 112, 128, 1e9], right=False, labels=list(_STRENGTHS)[:3]).astype(object)
    strength = strength.where(bits.notna(), "unknown").where(
        keys["quantum"].ne("resistant").fillna(True), "quantum-resistant"
    )
    counts = _table(_names(keys["algorithm"]), strength, list(_STRENGTHS))
    weak, quantum = int(counts["below 112 bits"].sum()), int(keys["quantum"].eq("broken").sum())
    says = (
        f"{weak:,} of {len(keys):,} keys {'is' if weak == 1 else 'are'} below 112 bits of strength, less than NIST "
        f"lets protect anything (SP 800-131A); {quantum:,} would fall to a quantum computer."
    )
    return _bars("Keys by algorithm and security strength", counts, _STRENGTHS, says=says, unit="keys")


def custody(inv: Inventory) -> Figure:
    """Where private and secret halves lie, and what stands between them and a thief."""
    held = inv.keys[inv.keys["key_type"].isin(_HELD)]
    protection = held["protection"].astype(object).where(held["protection"].notna(), "unknown")
    counts = _table(_names(_keepers(held, inv.tokens)), protection, list(_PROTECTIONS))
    bare, places = int(counts["none"].sum()), len(held)
    says = f"In {bare:,} of {places:,} places the key lies in clear: whoever can read the place has it."
    title = "Where private and secret keys lie, by what seals them"
    return _bars(title, counts, _PROTECTIONS, says=says, unit="places")


def worth(best: pd.DataFrame, scores: pd.DataFrame) -> Figure:
    """How fast the risk falls with work, if the repairs of `tk.priorities` are done in their order."""
    total = float(scores["score"].sum())
    order = best.sort_values("risk_per_hour", ascending=False, kind="stable")
    hours = [0.0, *order["hours"].cumsum().astype(float)]
    left = [100.0, *(100 * (1 - order["risk_taken"].cumsum() / total)).astype(float)] if total else [0.0]
    half = next((hour for hour, share in zip(hours, left, strict=False) if share <= 50), None)
    says = (
        f"{len(order):,} repairs would take away {100 - left[-1]:.0f} % of the risk in {hours[-1]:,.0f} hours of work"
        + (f"; half of it is gone after {half:,.1f} hours." if half else ".")
    )
    title = "What is left of the risk, best repairs first"
    with _drawing(title) as axes:
        axes.step(hours[: len(left)], left, where="post", color=_BLUE, linewidth=1.8)
        axes.fill_between(hours[: len(left)], left, step="post", color=_BLUE, alpha=0.15, linewidth=0)
        axes.set(xlabel="hours of work (a calibration)", ylabel="risk left, %", ylim=(0, 105), xlim=(0, None))
        axes.grid(axis="both", linewidth=0.6)
        alt = f"Falling step line from 100 % to {left[-1]:.0f} % over {hours[-1]:,.0f} hours."
        return _drawn(axes, title, says, alt)


_BOUND: Final = {"bound": _VERMILLION, "may be bound": _ORANGE, "no date": _GREY}


def deadlines(keys: pd.DataFrame) -> Figure:
    """When keys that a quantum computer breaks must have moved, as `tk.quantum_readiness` has it."""
    first = keys[["until", "may_be_until"]].min(axis=1)
    is_sure = keys["until"].notna() & (keys["until"] == first)
    how = pd.Series("may be bound", index=keys.index).mask(is_sure, "bound").mask(first.isna(), "no date")
    year = first.dt.year.astype("Int64").astype("string").fillna("no date")
    counts = pd.crosstab(year, how).reindex(columns=list(_BOUND), fill_value=0).sort_index()
    soon = next((name for name in counts.index if name != "no date"), None)
    told = (
        f"{int(counts.loc[soon].sum()):,} by the end of {soon}, the earliest date" if soon else "no date is set for any"
    )
    says = f"{len(keys):,} keys would fall to a quantum computer and have to move: {told}."
    return _bars("Keys to move to post-quantum algorithms, by year", counts, _BOUND, says=says, unit="keys")


_MOVED: Final = {"broken": _VERMILLION, "unknown": _GREY, "weakened": _SKY, "resistant": _GREEN}


def burn_down(runs: pd.DataFrame) -> Figure:
    """How many keys that a quantum computer breaks were held at each run, as `tk.burn_down` has it."""
    title = "Keys held, run by run, by what a quantum computer does to them"
    says = "There is no run yet."
    if len(runs):
        first, last = runs.iloc[0], runs.iloc[-1]
        says = (
            f"{int(last['broken']):,} of {int(last[list(_MOVED)].sum()):,} keys held would fall to a quantum computer"
            f" at the last of {len(runs):,} runs; at the first they were {int(first['broken']):,}."
        )
    with _drawing(title) as axes:
        at = [f"{moment:%Y-%m-%d}" for moment in runs["at"]]
        base = pd.Series(0, index=range(len(runs)))
        for name in [name for name in _MOVED if runs[name].any()]:
            axes.bar(range(len(runs)), runs[name], bottom=base, color=_MOVED[name], label=name, width=0.7)
            base = base + runs[name].reset_index(drop=True)
        shown = range(0, len(runs), max(1, len(runs) // 6))
        axes.set_xticks(list(shown), [at[number] for number in shown])
        axes.set(ylabel="keys", ylim=(0, max(1, *base, 1) * 1.1))
        axes.locator_params(axis="y", integer=True)
        if base.any():
            axes.figure.legend(loc="outside lower left", ncols=4)
        return _drawn(axes, title, says, "Stacked bars. " + _cells(runs.set_index(pd.Index(at))[list(_MOVED)]))


def _keepers(held: pd.DataFrame, tokens: pd.DataFrame) -> pd.Series[Any]:
    """Who keeps each key: its token by name, or its collector. Tokens never crowd out a collector's bar."""
    known = tokens.drop_duplicates("target").set_index("target")
    label = known["label"].astype(object).fillna("without a label").astype(str)
    # Twins by name are told apart by the end of their serial number, as the table of tokens has it.
    serial = known["serial_number"].astype(object).fillna("?").astype(str).str[-6:]
    name = "token " + label.where(~label.duplicated(keep=False), label.str[:10] + ".." + serial)
    token = held["target"].astype(object).map(name).astype(object)
    others = held.loc[token.isna(), "collector"].nunique()
    often = token.value_counts().index
    room = max(1, _MOST - others)
    if len(often) > room:
        token = token.where(token.isna() | token.isin(often[: room - 1]), "other tokens")
    return token.fillna(held["collector"].astype(object))


def _names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Names short and plain enough to draw; the rarest folded into one."""
    found = column.astype(object).where(column.notna(), "unknown").astype(str)
    often = list(found.value_counts().index[:_MOST])
    ascii_ = {name: name.encode("ascii", "backslashreplace").decode() for name in often}
    # Control characters are ASCII too, and have no place in a drawing (XML 1.0, 2.2).
    drawn = {name: "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in s)[:24] for name, s in ascii_.items()}
    return found.map(drawn).fillna("all others")


def _table(rows: pd.Series[Any], columns: pd.Series[Any], order: list[str]) -> pd.DataFrame:
    counts = pd.crosstab(rows, columns.astype(str)).reindex(columns=order, fill_value=0)
    ranked = counts.assign(_rest=counts.index == "all others", _sum=-counts.sum(axis=1)).sort_values(["_rest", "_sum"])
    return ranked[order]


def _words(level: str) -> str:
    return level.replace("-", " ")


def _matrix_sentence(counts: pd.DataFrame) -> str:
    worst = int(counts.loc[["very-high", "high"], ["high", "very-high"]].to_numpy().sum())
    if not worst:
        return "Nothing is both likely (80 % or more) and of high impact."
    return f"{worst:,} {'is' if worst == 1 else 'are'} both likely (80 % or more) and of high impact: the upper right."


def _cells(counts: pd.DataFrame) -> str:
    stacked = [
        (str(row), str(column), int(counts.loc[row, column])) for row in counts.index for column in counts.columns
    ]
    told = [f"{row}, {column}: {count:,}" for row, column, count in stacked if count]
    return "; ".join(told) + "." if told else "It is empty."


def _field(axes: Axes, where: tuple[int, int], count: int, colour: str) -> None:
    from matplotlib.patches import Rectangle

    row, column = where
    # Empty fields are pale: the eye should go to where there is something.
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, alpha=1 if count else 0.22, linewidth=0))
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor="none", edgecolor=_LINE, linewidth=0.8))
    if count:
        ink = "#ffffff" if colour == _VERMILLION else "#111111"
        axes.text(column + 0.5, row + 0.5, f"{count:,}", ha="center", va="center", color=ink, weight="bold")


def _bars(title: str, counts: pd.DataFrame, colours: dict[str, str], *, says: str, unit: str) -> Figure:
    """Horizontal bars, one a row, split by column; each bar ends in its total."""
    with _drawing(title) as axes:
        left = pd.Series(0, index=counts.index)
        for name in [name for name in counts.columns if counts[name].any()]:
            axes.barh(range(len(counts)), counts[name], left=left, color=colours[name], label=name, height=0.62)
            left = left + counts[name]
        for row, total in enumerate(left):
            axes.annotate(f"{total:,}", (total, row), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(counts)), [str(name) for name in counts.index])
        axes.set(xlabel=unit, xlim=(0, max(1, *left, 1) * 1.12), ylim=(max(len(counts), _FEWEST) - 0.4, -0.6))
        axes.locator_params(axis="x", integer=True, nbins=6)
        axes.grid(axis="x", linewidth=0.6)
        if left.any():
            axes.figure.legend(loc="outside lower left", ncols=5)
        return _drawn(axes, title, says, f"Bar chart of {unit}. {_cells(counts)}")


@contextmanager
def _drawing(title: str) -> Iterator[Axes]:
    """An empty pair of axes in the reports' style; what is drawn on it inside has that style too."""
    # Figure itself, not pyplot: nothing global, no window system, a third of the import.
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    with rc_context(_rc()):
        figure = Canvas(figsize=(5.8, 3.4), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left")
        axes = figure.add_subplot()
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)
        yield axes


def _rc() -> dict[Any, Any]:
    return {
        "font.family": "DejaVu Sans", "font.size": 9, "text.parse_math": False, "svg.fonttype": "path",
        "svg.hashsalt": "keyatlas", "text.color": _INK, "axes.labelcolor": _QUIET, "xtick.color": _QUIET,
        "ytick.labelcolor": _INK, "axes.edgecolor": _LINE, "axes.facecolor": "none", "figure.facecolor": "none",
        "savefig.facecolor": "none", "figure.titlesize": 10.5, "figure.titleweight": "bold", "axes.labelsize": 8.5,
        "axes.axisbelow": True, "grid.color": _LINE, "legend.labelcolor": _INK, "legend.fontsize": 8.5,
        "legend.frameon": False, "legend.handlelength": 0.9, "legend.handleheight": 0.9, "legend.borderpad": 0,
        "legend.columnspacing": 1.1, "legend.handletextpad": 0.4,
    }  # fmt: skip


def _drawn(axes: Any, title: str, says: str, alt: str) -> Figure:
    sink = io.StringIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables beside the figure have it whole.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # No date, so that the same figures are the same bytes.
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        axes.figure.savefig(sink, format="svg", metadata=nothing)
    return Figure(title=title, says=says, alt=f"{title}. {alt} {says}", svg=_themed(sink.getvalue()))


def _themed(svg: str) -> str:
    svg = _slim(svg[svg.index("<svg") :])
    for stand_in, name in ((_INK, "ink"), (_QUIET, "quiet"), (_LINE, "line")):
        svg = svg.replace(stand_in, f"var(--{name})")
    head, _, body = svg.partition(">")
    return f"{head}>{_STYLE}{body}"


def _slim(svg: str) -> str:
    """The same drawing in two thirds of the bytes: no comments, no names nobody asks for, hundredths of a point."""
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s+", " ", svg).replace("> <", "><")
    # What is referred to (glyphs, clips) has a name without an underscore.
    svg = re.sub(r'<g id="[^"]*_[^"]*"', "<g", svg)
    svg = re.sub(r'scale\([^)]*\)|(?<=[ (,"])-?\d+\.\d{3,}(?=[ ,)"])', _hundredths, svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r" ?([A-Za-z]) ?", r"\1", path[0]), svg)
    before = ""
    while before != svg:
        before, svg = svg, re.sub(r"<g>((?:(?!</?g\b).)*)</g>", r"\1", svg.replace("<g/>", ""))
    return svg.replace(": ", ":").replace("; ", ";")


def _hundredths(number: re.Match[str]) -> str:
    # A scale multiplies: rounded, it would make letters of another size.
    return number[0] if number[0].startswith("scale") else f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
