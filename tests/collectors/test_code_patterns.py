"""The token formats and the stream they are looked for in: what is documented is found, wherever it was cut."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.code._confirm import MARGIN
from collectors.code._examples import example
from collectors.code._rules import rules
from collectors.code._scan import Scanner
from collectors.code._stream import BlobStream, Joined
from toolkit.identity import Fingerprinter

PEPPER = Fingerprinter(b"p" * 32)
HOUSE = Path(__file__).resolve().parents[2]
RULES = {rule.id: rule for rule in rules()}


def token(seed: int) -> str:
    """A GitHub token that never was."""
    return example("ghp_{base62:30}{crc32}", Random(seed))


def found_in(text: str) -> list[tuple[str, str, float]]:
    """Rule, preview and confidence of every finding in a file of this text."""
    data = text.encode()
    stream = BlobStream(Joined([b"a blob %d\n" % len(data), data, b"\n"]).readinto, chunk=4096, margin=MARGIN)
    scanner = Scanner(PEPPER, lambda _hit, _value: None)
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
    hits = [(h.name, h.offset, h.line) for h in Scanner(PEPPER, lambda _h, _v: None).hits(stream)]

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

    hits = list(Scanner(PEPPER, lambda _h, _v: None).hits(stream))

    assert [] == [(texts[int(h.name)][0], h.line, h.rule.id) for h in hits if h.rule.is_secret]
