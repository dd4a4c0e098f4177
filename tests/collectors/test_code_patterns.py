"""The token formats and the stream they are looked for in: what is documented is found, wherever it was cut."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from random import Random

import pytest
import rstr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.code._book import book
from collectors.code._confirm import MARGIN
from collectors.code._examples import example
from collectors.code._rules import Rule, standard
from collectors.code._rules import read as rules_of
from collectors.code._scan import Scanner
from collectors.code._stream import BlobStream, Joined
from toolkit.identity import Fingerprinter

PEPPER = Fingerprinter(b"p" * 32)
HOUSE = Path(__file__).resolve().parents[2]
RULES = {rule.id: rule for rule in standard()}
SECRET_WORDS = ("_key", "_token", "_secret")


def made(rule: Rule, seed: int) -> str:
    """A value that never was: of the rule's template, or a random string of its regex, beside what it must stand by."""
    random = Random(seed)
    value = example(rule.example, random) if rule.example else rstr.Rstr(random).xeger(rule.regex)
    if not rule.near or rule.nearby().search(value.encode()):
        return value
    return f"{rule.near[0].replace(' ', '_')}{random.choice(SECRET_WORDS)}={value}"


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def found_in(text: str) -> list[tuple[str, str, float]]:
    """Rule, preview and confidence of every finding in a file of this text."""
    data = text.encode()
    stream = BlobStream(Joined([b"a blob %d\n" % len(data), data, b"\n"]).readinto, chunk=4096, margin=MARGIN)
    return [(hit.rule, hit.preview, hit.confidence) for hit in scanner().hits(stream)]


def scanner() -> Scanner:
    """One over the standard rules."""
    return Scanner(book(), PEPPER, lambda _uid, _value: ())


FRAMES = ['token = "{}"\n', "export X={}\n", "  key: {}\n", '{{"a":"{}"}}\n', "b\\n{}\\nc"]
FAMILIES = sorted({file.name for file in (HOUSE / "toolkit" / "patterns").glob("*.toml")})


def family(name: str) -> list[Rule]:
    """The rules of one file."""
    return list(rules_of(name, (HOUSE / "toolkit" / "patterns" / name).read_text("utf-8")))


@pytest.mark.parametrize("name", FAMILIES)
def test_what_has_the_form_of_a_token_is_found(name):
    """In the places where people leave it, a random value of each format is found, by its rule or a surer one."""
    missed = []
    for rule in family(name):
        if rule.id == "key-file":
            continue
        texts = []
        for seed in range(6):
            frame, value = FRAMES[seed % len(FRAMES)], made(rule, seed)
            texts.append(f"{value}\n" if rule.near or not rule.bounded else frame.replace("{{", "{").replace("}}", "}").replace("{}", value))  # fmt: skip
        # Chance makes a value now and then like a word or a sequence; a format of few characters more often.
        if sum(not found_in(text) for text in texts) > 2:
            missed.append(rule.id)

    assert [] == missed


def test_in_plain_text_a_value_right_behind_the_name_of_its_service_is_found_and_no_other():
    """`service value` is how people paste tokens; the same value further on in a sentence is anything."""
    near = [rule for rule in standard() if rule.near and rule.bounded and rule.is_secret][::9]
    made = [(rule.near[0].replace(" ", ""), rstr.Rstr(Random(n)).xeger(rule.regex)) for n, rule in enumerate(near)]
    says = re.compile("key|token|secret|pass|auth|cred")
    values = [(name, value) for name, value in made if not says.search(name) and not found_in(f"the thing {value}\n")]

    beside = sum(bool(found_in(f"{name} {value}\n")) for name, value in values)
    further = sum(bool(found_in(f"ask {name} people about the thing {value}\n")) for name, value in values)

    assert len(values) > 100
    assert beside > 0.9 * len(values)
    assert further < 0.02 * len(values)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_only_looks_like_a_token_is_not_found(name):
    """Counter-examples of the pattern file stay silent: placeholders, wrong lengths, wrong checksums."""
    struck = []
    for rule in family(name):
        texts = [f"value = {example(template, Random(5))}\n" for template in rule.counter_examples]
        struck += [(rule.id, text) for text in texts if rule.id in {found for found, _, _ in found_in(text)}]

    assert [] == struck


@pytest.mark.parametrize("name", FAMILIES)
def test_a_placeholder_in_the_form_of_a_token_is_not_found(name):
    """Whatever stands for a token and says so is left alone."""
    struck = []
    for rule in family(name):
        value = made(rule, 1)
        if not rule.bounded or rule.checks or not 32 < len(value) < 200:
            continue
        for stand_in in ("x", "0", "*"):
            blank = f"{value[:-24]}{stand_in * 24}\n"
            struck += [rule.id] if rule.id in {found for found, _, _ in found_in(blank)} else []

    assert [] == struck


@pytest.mark.parametrize("name", FAMILIES)
def test_a_preview_shows_the_public_prefix_only(name):
    """What is shown is the same for every token of the vendor."""
    telling = []
    for rule in family(name):
        texts = [f" {made(rule, seed)} " for seed in range(4 if rule.shown else 0)]
        previews = {shown for text in texts for found, shown, _ in found_in(text) if found == rule.id}
        telling += [rule.id] if len({shown.split("…")[0] for shown in previews}) > 1 else []

    assert [] == telling


def test_there_are_rules_with_documents_and_distinct_names():
    """Each rule says who documents it, and what the thief gets."""
    assert len(RULES) == len(standard()) >= 500
    assert [] == [rule.id for rule in standard() if not rule.documented.startswith("https://") or not rule.gives]


def test_a_checksum_that_fits_is_nearly_certain():
    """GitHub's checksum leaves one in four thousand million to chance."""
    token = example("ghp_{base62:30}{crc32}", Random(1))

    assert [("github-personal-access-token", "ghp_… (40 characters)", 0.99)] == found_in(token)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    chunk=st.integers(64, 200_000),
    before=st.lists(st.integers(0, 300_000), min_size=1, max_size=4),
    step=st.integers(1, 70_000),
)
def test_where_the_stream_is_cut_changes_nothing(chunk, before, step):
    """Any chunk size gives the same findings, each once, at the same places."""
    blobs = []
    for number, size in enumerate(before):
        parts = [b"line\n" * (size // 5), token(number).encode(), b"\n" * step, token(99).encode(), b" "]
        blobs.append(b"".join(parts))
    frames = [b"%d blob %d\n%b\n" % (n, len(b), b) for n, b in enumerate(blobs)]
    want = {
        (b"%d" % n, blob.find(text), blob.count(b"\n", 0, blob.find(text)) + 1)
        for n, blob in enumerate(blobs)
        for text in (token(n).encode(), token(99).encode())
    }

    def parts():
        data, at = b"".join(frames), 0
        while at < len(data):
            yield data[at : at + step]
            at += step

    stream = BlobStream(Joined(parts()).readinto, chunk=chunk, margin=MARGIN)
    hits = [(h.name, h.offset, h.line) for h in scanner().hits(stream)]

    assert len(hits) == len(set(hits))
    assert want == set(hits)
    assert len(blobs) == stream.finished


def test_our_own_tree_gives_no_finding():
    """Patterns, tests and examples hold no secret: they are made when they run."""
    names = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=HOUSE, capture_output=True).stdout
    data = [(name, HOUSE / os.fsdecode(name)) for name in names.split(b"\0") if name]
    texts = [(name, path.read_bytes()) for name, path in data if path.is_file() and not path.is_symlink()]
    stream = BlobStream(
        Joined(b"%d blob %d\n%b\n" % (n, len(t), t) for n, (_, t) in enumerate(texts)).readinto, margin=MARGIN
    )

    hits = [hit for hit in scanner().hits(stream) if RULES[hit.rule].is_secret and hit.confidence >= 0.5]

    assert [] == [(texts[int(hit.name)][0], hit.line, hit.rule) for hit in hits]
