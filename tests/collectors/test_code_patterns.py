"""The token formats: each finds what its vendor documents, and leaves what only looks like it."""

from __future__ import annotations

from random import Random

import pytest

from collectors.code._confirm import MARGIN
from collectors.code._examples import example
from collectors.code._rules import rules
from collectors.code._scan import Scanner
from collectors.code._stream import BlobStream, Joined
from toolkit.identity import Fingerprinter

RULES = {rule.id: rule for rule in rules()}


def found_in(text: str) -> list[tuple[str, str, float]]:
    """Rule, preview and confidence of every finding in a file of this text."""
    data = text.encode()
    stream = BlobStream(Joined([b"a blob %d\n" % len(data), data, b"\n"]).readinto, chunk=4096, margin=MARGIN)
    scanner = Scanner(Fingerprinter(bytes(32)), lambda _hit, _value: None)
    return [(hit.rule.id, hit.preview, hit.confidence) for hit in scanner.hits(stream)]


@pytest.mark.parametrize("name", RULES)
def test_a_generated_token_is_found(name):
    """Every format is found in the places where people leave it."""
    for seed, frame in enumerate(['token = "{}"\n', "export X={}\n", "  key: {}", '{{"a":"{}"}}\n', "b\\n{}\\nc"]):
        token = example(RULES[name].example, Random(seed))
        assert name in {rule for rule, _, _ in found_in(frame.replace("{{", "{").replace("}}", "}").replace("{}", token))}, frame  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_what_only_looks_like_a_token_is_not_found(name):
    """Counter-examples of the pattern file stay silent: placeholders, wrong lengths, wrong checksums."""
    assert RULES[name].counter_examples
    for template in RULES[name].counter_examples:
        text = f"value = {example(template, Random(5))}\n"
        assert name not in {rule for rule, _, _ in found_in(text)}, template


@pytest.mark.parametrize("name", RULES)
def test_a_preview_shows_the_public_prefix_only(name):
    """What is shown is the same for every token of the vendor."""
    rule = RULES[name]
    previews = {shown for seed in range(4) for at, shown, _ in found_in(f" {example(rule.example, Random(seed))} ") if at == name}  # fmt: skip
    assert 1 == len({shown.split("…")[0] for shown in previews}), previews


def test_there_are_rules_with_documents_and_distinct_names():
    """Each rule says who documents it."""
    assert len(RULES) == len(rules()) >= 50
    assert [] == [rule.id for rule in rules() if not rule.documented.startswith("https://") or not rule.gives]


def test_a_checksum_that_fits_is_nearly_certain():
    """GitHub's checksum leaves one in four thousand million to chance."""
    token = example("ghp_{base62:30}{crc32}", Random(1))

    assert [("github-personal-access-token", "ghp_… (40 characters)", 0.99)] == found_in(token)
