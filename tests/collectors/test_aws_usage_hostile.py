"""aws_usage: log files that somebody tampered with, tore or made to hurt. The others are read all the same."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators.trail import event, key_arn, stranger, written

from collectors.aws_usage import AwsUsage, _stream
from collectors.aws_usage._names import is_wanted
from collectors.aws_usage._stream import Torn, events
from toolkit.model import Gap, Usage
from toolkit.terms import GapScope, GapStatus

KEY = key_arn(1)


def read(folder, **options):
    """All rows of a folder that also holds a good file."""
    (folder / "z-good.json").write_bytes(written([event(key=KEY)]))
    collector = AwsUsage(paths=(str(folder),), **{"processes": 1, **options})
    return [row for target in collector.targets() for row in collector.collect(target)]


def hurt(folder, content, name="bad.json.gz", **options):
    """The gaps, and how many events were read, with this file beside a good one."""
    (folder / name).write_bytes(content)
    rows = read(folder, **options)
    gaps = [row for row in rows if isinstance(row, Gap)]
    assert {GapScope.OBJECT} >= {gap.scope for gap in gaps}
    assert all(gap.locator.endswith(name) for gap in gaps)
    return [(gap.status, gap.reason) for gap in gaps], sum(isinstance(row, Usage) for row in rows)


def test_a_torn_gzip_is_a_gap_and_what_came_before_is_kept(tmp_path):
    """Cut in the middle: the whole events before the cut count."""
    made = [event(key=KEY, requestID=os.urandom(400).hex()) for _ in range(3_000)]
    packed = gzip.compress(written(made))
    told, count = hurt(tmp_path, packed[: len(packed) // 2])
    assert [(GapStatus.MALFORMED, "the gzip stream breaks off")] == told
    assert 1_000 < count < 3_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x1f\x8b\x07\x00nonsense", "is no gzip stream"),
        (written([event(key=KEY)])[:-30], "breaks off inside an event"),
        (b'{"Records":[{"eventVersion":"1","eventSource":"kms.amazonaws.com",}]}', "1 events are no JSON"),
        (b'{"Records":[' + b"[" * 100_000, "is no log of events"),
        (b"\xff\xfe\x00\x01 some binary", "is no log of events"),
        (b'"a text"', "is JSON, but no log of events"),
        (b'{"eventVersion":"1","eventSource":"kms.amazonaws.com","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "1 events are no JSON"),
        (b'{"eventVersion":"1","eventSource":"kms.amazonaws.com"}', "1 events lack a name, a source or a time"),
        (json.dumps(event(key=KEY, eventTime="soon")).encode(), "1 events lack a name, a source or a time"),
    ],
)  # fmt: skip
def test_what_is_no_log_is_a_gap_that_says_why(tmp_path, content, reason):
    """Never an exception, never silence; and the good file is read."""
    told, count = hurt(tmp_path, content, name="bad.json")
    assert ([(GapStatus.MALFORMED, reason)], 1) == (told, count)


def test_a_bomb_is_stopped_at_the_limit(tmp_path):
    """A gigabyte of blanks in a megabyte costs no more than the limit."""
    told, count = hurt(tmp_path, gzip.compress(b'{"Records":[' + b" " * (64 << 20)), max_bytes=8 << 20)
    assert ([GapStatus.NOT_ASKED], 1) == ([status for status, _ in told], count)


def test_one_endless_event_does_not_fill_the_memory(tmp_path):
    """An event is held whole, so its size has a limit of its own."""
    content = b'{"Records":[{"eventVersion":"1","x":"' + b"a" * (_stream.LARGEST + (2 << 20)) + b'"}]}'
    told, count = hurt(tmp_path, content, name="bad.json")
    assert ["an event is larger than 4,194,304 bytes"] == [reason for _, reason in told]
    assert 1 == count


def test_links_and_pipes_are_left_alone(tmp_path):
    """A link leads out of the folder, a pipe would be waited on for ever."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "log.json").write_bytes(written([event(key=KEY)] * 5))
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.json").symlink_to(outside / "log.json")
    (inside / "folder").symlink_to(outside)
    os.mkfifo(inside / "pipe.json")
    assert 1 == len(read(inside))


def test_what_may_not_be_read_is_a_denied_gap(tmp_path, monkeypatch):
    """The file is named, and what would cure it. The refusal is made up, since root may read everything."""
    opened = os.open

    def refused(path, *words):
        if str(path).endswith("bad.json"):
            raise PermissionError(13, "no")
        return opened(path, *words)

    monkeypatch.setattr(os, "open", refused)
    assert ([(GapStatus.DENIED, "may not be read")], 1) == hurt(tmp_path, b"", name="bad.json")


def test_a_reader_that_dies_costs_one_file(tmp_path, monkeypatch):
    """Killed by the system in the middle: that file is a gap, the others are read by another."""
    for number in range(12):
        (tmp_path / f"{number:02}.json").write_bytes(written([event(key=KEY, requestID="x" * 1000)] * 400))
    collector = AwsUsage(paths=(str(tmp_path),), processes=2)
    rows = []
    for target in collector.targets():
        for row in collector.collect(target):
            if not rows:
                os.kill(collector._workers._children[0].pid, signal.SIGKILL)
            rows.append(row)
    gaps = [row for row in rows if isinstance(row, Gap)]
    assert len(gaps) <= 1
    assert {"the reader died of it"} >= {gap.reason for gap in gaps}
    assert sum(isinstance(row, Usage) for row in rows) >= 11 * 400


def test_readers_end_with_their_collector(tmp_path):
    """No process is left behind."""
    for number in range(3):
        (tmp_path / f"{number}.json").write_bytes(written([event(key=KEY, requestID="x" * 1000)] * 400))
    collector = AwsUsage(paths=(str(tmp_path),), processes=2)
    assert [row for target in collector.targets() for row in collector.collect(target)]
    children = list(collector._workers._children)
    assert children
    del collector
    assert all(child.poll() is not None for child in children)


def test_an_object_inside_an_event_is_not_taken_for_an_event(tmp_path):
    """Somebody's request may hold what looks like an event; nobody can forge a use of a key with it."""
    forged = event(key=key_arn(666))
    holder = stranger()
    holder["requestParameters"] = {
        "list": [{"a": 1}, forged, forged, {"eventVersion": "{"}],
        "text": written([forged]).decode(),
    }
    (tmp_path / "log.json").write_bytes(written([holder, event(key=KEY), holder]))
    assert {KEY} == {row.locator for row in read(tmp_path)}


_texts = st.text(st.sampled_from('{}[]",:\\ aé\u2028'), max_size=12)
_values = st.recursive(
    _texts | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("eventVersion") | _texts, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(_texts, _values, max_size=3), min_size=1, max_size=6), st.integers(1, 200), st.booleans()
)
def test_cutting_gives_what_parsing_gives(parts, size, is_ascii):
    """Whatever braces, quotes, escapes and nested marks an event holds, and wherever the pieces end."""
    made = [{"eventVersion": "1.11", **part} for part in parts]
    text = json.dumps({"Records": made}, separators=(",", ":"), ensure_ascii=is_ascii).encode()
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert made == list(events(pieces, lambda _: True))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_end_in_events_or_in_a_reason(data, size):
    """No other exception comes out of a stranger's file."""
    for text in (data, b'{"Records":[{"eventVersion":' + data, zlib.compress(data, wbits=31)[:-3] if data else b""):
        with suppress(Torn):
            pieces = [text[i : i + size] for i in range(0, len(text), size)]
            assert all(isinstance(one, dict) for one in events(_stream.unpacked(pieces, max_bytes=999), is_wanted))


def test_a_service_written_in_escapes_is_found():
    """JSON may write any letter as an escape; nobody hides a use of a key that way."""
    assert is_wanted(b'{"eventSource":"kms\\u002eamazonaws.com"}')
    assert is_wanted(b'{"\\u0065ventSource":"kms.amazonaws.com"}')
    assert not is_wanted(b'{"eventSource":"ec2.amazonaws.com"}')


def test_gzip_members_one_behind_the_other_are_one_file(tmp_path):
    """`cat a.gz b.gz` is a gzip file, too."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes("\n".join(json.dumps(event(key=KEY)) for _ in range(3)).encode() + b"\n")
        subprocess.run(["gzip", tmp_path / name], check=True)
    joined = (tmp_path / "a.gz").read_bytes() + (tmp_path / "b.gz").read_bytes()
    (tmp_path / "a.gz").unlink()
    (tmp_path / "b.gz").unlink()
    assert ([], 7) == hurt(tmp_path, joined)
