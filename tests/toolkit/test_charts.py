"""Figures: right counts, a sentence, a description, and no name drawn as it was found."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from toolkit import charts
from toolkit.model import Key, Token
from toolkit.tables import Builder, Inventory
from toolkit.terms import KeyType, Protection

HOSTILE = ("$\\frac{", "<script>alert(1)</script>", "_hidden", "鍵\u202e", "-->")


@pytest.fixture
def scores():
    return pd.DataFrame(
        {
            "subject": ["key", "key", "secret"],
            "band": pd.Categorical(["very-high", "low", "high"]),
            "likelihood": [0.97, 0.05, 0.85],
            "impact": [0.96, 0.5, 0.80],
        }
    )


@pytest.fixture
def keys():
    return pd.DataFrame(
        {
            "algorithm": pd.array(["RSA", "RSA", "ML-DSA", *HOSTILE, None], dtype="string[pyarrow]"),
            "security_strength_bits": pd.array([80, 112, 192, *[None] * 6], dtype="Int64"),
            "quantum": pd.array(["broken", "broken", "resistant", *[None] * 6], dtype="string[pyarrow]"),
        }
    )


def inventory(*held):
    builder = Builder()
    for number, (collector, protection) in enumerate(held):
        place = {"collector": collector, "target": "t:", "locator": f"file:///{number}"}
        builder.add(Key(key_uid=f"spki:{number}", key_type=KeyType.PRIVATE_KEY, protection=protection, **place))
    return Inventory.of(builder)


def test_bands_count_keys_and_secrets(scores):
    """The sentence counts what is of high or very high risk, and the description every bar."""
    figure = charts.risk_bands(scores)

    assert figure.says == "2 of 3 are of high or very high risk."
    assert "very high, keys: 1" in figure.alt
    assert "high, hard-coded secrets: 1" in figure.alt


def test_the_matrix_puts_each_into_its_field_of_sp_800_30(scores):
    """80 of 100 is high already (tables G-2 and H-2), and 5 is low."""
    figure = charts.risk_matrix(scores)

    assert "very high, very high: 1; high, high: 1; low, moderate: 1." in figure.alt
    assert figure.says.startswith("2 are both likely")


def test_strengths_tell_weak_from_resistant_and_unknown(keys):
    """What has no known strength is unknown, neither weak nor fine."""
    figure = charts.strengths(keys)

    assert "RSA, below 112 bits: 1; RSA, 112 to 127 bits: 1" in figure.alt
    assert "ML-DSA, quantum-resistant: 1" in figure.alt
    assert "unknown, unknown: 1" in figure.alt
    assert figure.says.startswith("1 of 9 keys is below 112 bits")


def test_custody_counts_places_in_clear():
    """Only places of private and secret halves count."""
    figure = charts.custody(inventory(("code", Protection.NONE), ("pkcs11", Protection.TOKEN), ("keyfiles", None)))

    assert figure.says.startswith("In 1 of 3 places the key lies in clear")
    assert "keyfiles, unknown: 1" in figure.alt


def test_nothing_at_all_is_drawn_too(scores, keys):
    """An empty inventory gives empty figures, not an error."""
    made = [
        charts.risk_bands(scores[:0]), charts.risk_matrix(scores[:0]), charts.strengths(keys[:0]),
        charts.custody(inventory()),
    ]  # fmt: skip

    assert [ET.fromstring(figure.svg).tag.rpartition("}")[2] for figure in made] == ["svg"] * 4


def test_hostile_names_are_neither_markup_nor_mathematics(keys):
    """A label is drawn as plain outlines: the SVG has no script, no handler, no address to load from."""
    root = ET.fromstring(charts.strengths(keys).svg)

    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    links = {value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")}
    assert not tags & {"script", "image", "foreignObject", "a"}
    assert all(link.startswith("#") for link in links)


def test_the_same_figure_is_the_same_bytes_and_follows_the_page(scores):
    """No date and no random ids; text takes its colour from the page's scheme."""
    one, two = charts.risk_bands(scores).svg, charts.risk_bands(scores).svg

    assert one == two
    assert "prefers-color-scheme:dark" in one
    assert not re.search("#01010[1]|#02020[2]|#03030[3]", one)


def test_a_figure_shows_itself_with_its_description(scores):
    """What a notebook keeps of a figure carries its alt text and its sentence."""
    figure = charts.risk_bands(scores)

    data, told = figure._repr_mimebundle_()

    assert figure.svg == data["image/svg+xml"]
    assert (figure.alt, figure.says) == (told["image/svg+xml"]["alt"], told["image/svg+xml"]["says"])


def test_what_is_left_of_the_risk_falls_in_the_order_of_the_repairs():
    """A step a repair, from all of it; half of it is told when it is reached."""
    best = pd.DataFrame({"risk_taken": [60.0, 20.0], "hours": [2.0, 10.0], "risk_per_hour": [30.0, 2.0]})
    drawn = charts.worth(best, pd.DataFrame({"score": [80.0, 20.0]}))
    assert (
        "2 repairs would take away 80 % of the risk in 12 hours of work; half of it is gone after 2.0 hours."
        == drawn.says
    )
    assert "from 100 % to 20 %" in drawn.alt


def test_figures_of_nothing_are_drawn_and_say_so():
    """No repair, no vulnerable key, no run."""
    none = pd.DataFrame({name: pd.Series([], dtype=float) for name in ("risk_taken", "hours", "risk_per_hour")})
    keys = pd.DataFrame({name: pd.Series([], dtype="datetime64[s]") for name in ("until", "may_be_until")})
    runs = pd.DataFrame({name: [] for name in ("at", "broken", "weakened", "resistant", "unknown")})
    drawn = charts.worth(none, pd.DataFrame({"score": []})), charts.deadlines(keys), charts.burn_down(runs)
    assert all("<svg" in figure.svg for figure in drawn)
    assert "There is no run yet." == drawn[2].says


def kept(*tokens, others=()):
    """A private key on each token (label and serial number), and one of each other collector."""
    builder = Builder()
    for number, (label, serial) in enumerate(tokens):
        place = {"collector": "pkcs11", "target": f"pkcs11:{number}", "locator": f"pkcs11:{number}"}
        builder.add(Token(token_uid=f"keeper:{number}", label=label, serial_number=serial, **place))
        builder.add(Key(key_uid=f"spki:t{number}", key_type=KeyType.PRIVATE_KEY, protection=Protection.TOKEN, **place))
    for name in others:
        place = {"collector": name, "target": "t:", "locator": f"file:///{name}"}
        builder.add(Key(key_uid=f"spki:{name}", key_type=KeyType.PRIVATE_KEY, protection=Protection.NONE, **place))
    return Inventory.of(builder)


def test_each_token_has_a_bar_and_twins_are_told_apart():
    """By name; two of one name by the end of their serial number."""
    alt = charts.custody(kept(("pay", "1"), ("twin", "aa0001"), ("twin", "aa0002"), (None, None))).alt

    for name in ("token pay", "token twin..aa0001", "token twin..aa0002", "token without a label"):
        assert f"{name}, token: 1" in alt
    assert "pkcs11," not in alt


def test_many_tokens_do_not_hide_a_file_in_clear():
    """What does not fit are tokens; the bar that has to be seen stays."""
    alt = charts.custody(kept(*((f"t{n:02}", str(n)) for n in range(40)), others=("keyfiles", "code"))).alt

    assert "keyfiles, none: 1" in alt
    assert "code, none: 1" in alt
    assert "other tokens, token: 34" in alt


def test_a_hostile_label_of_a_token_is_drawn_as_ascii():
    """Control characters are spelled out: in XML they would break the drawing, in a terminal its description."""
    figure = charts.custody(kept(("\x1b[31m-->\n", "1"), ("<script>", "2")))

    ET.fromstring(figure.svg)
    assert "\\x1b[31m-->\\x0a" in figure.alt
    assert "<script>" not in figure.svg


def test_a_figure_carries_no_dead_weight_and_its_letters_keep_their_size(keys):
    """Comments and digits below a hundredth of a point go; a scale is left as it is, or titles would shrink."""
    svg = charts.strengths(keys).svg

    assert "<!--" not in svg
    assert "\n" not in svg
    paths = re.findall(r' d="([^"]+)"', svg)
    assert paths
    assert not [path for path in paths if re.search(r"\.\d{3}", path)]
    assert "scale(0.105 -0.105)" in svg
    names = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    assert {a or b for a, b in names} <= set(re.findall(r' id="([^"]+)"', svg))


def test_one_bar_alone_does_not_fill_its_figure():
    """A bar is as thick as it would be among three: it ends in the upper half of its figure."""
    svg = charts.custody(kept(("pay", "1"))).svg

    # The legend's patch has the same colour, but is not clipped by the axes.
    bar = re.search(rf'<path d="([^"]+)" clip-path="[^"]+" style="fill:{charts._SKY}"', svg)
    assert bar
    assert max(float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", bar[1])) < 245 / 2
