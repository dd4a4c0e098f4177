"""From the bytes of a log file to the text of each event in it, a piece at a time.

CloudTrail writes one line, `{"Records":[{"eventVersion":…},…]}`; lines of JSON, arrays and the answers of LookupEvents
are taken too. Events are cut apart without being parsed, which is what makes passing over the others cheap; a cut is
made only where the braces outside strings close, so that an object inside an event is never taken for one.
Refuses to: unpack more than a limit, hold more than an event and a piece, or guess what a torn file would have said.

>>> log = b'{"Records":[{"eventVersion":"1","a":{"eventVersion":"}"}},{"eventVersion":"2"}]}'
>>> [event["eventVersion"] for event in events([log], lambda text: True)]
['1', '2']
"""

from __future__ import annotations

import json
import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from toolkit.terms import GapStatus

PIECE: Final = 1 << 20
LARGEST: Final = 4 << 20
"""Bytes of the largest event that is read; CloudTrail's own limit is 256 kB, or 1 MB with enriched data."""
_MARK: Final = b'{"eventVersion":'
_HEAD: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"(?:Records|Events)"\s*:\s*)?\[?\s*')
_DIGEST: Final = re.compile(rb'\s*\{\s*"(?:awsAccountId|digestStartTime|digestS3Bucket)"')
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in b'{}[]"')
_BETWEEN: Final = re.compile(r"[\s,]*")
_OVER: Final = re.compile(r'\s*\]?\s*(?:,\s*"NextToken"\s*:\s*"[^"]*"\s*)?\}?\s*')

Event = dict[str, Any]


class Torn(Exception):
    """The file cannot be read further: why, and what kind of Gap that is."""

    def __init__(self, reason: str, status: GapStatus = GapStatus.MALFORMED) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


def unpacked(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[bytes]:
    """The pieces of a file, decompressed if they are gzip (by their first bytes, whatever the name says).

    Raises:
        Torn: the stream breaks off or is no gzip further on, or holds more than `max_bytes`.
    """
    total, source = 0, iter(pieces)
    first = next(source, b"")
    plain = _gunzipped(first, source) if first[:2] == b"\x1f\x8b" else _chain(first, source)
    for piece in plain:
        total += len(piece)
        if total > max_bytes:
            raise Torn(f"unpacks to more than is read of one file ({max_bytes:,} bytes)", GapStatus.NOT_ASKED)
        yield piece


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _gunzipped(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    inflater, waiting = zlib.decompressobj(31), first
    try:
        while True:
            out = inflater.decompress(waiting, PIECE)
            if out:
                yield out
            waiting = inflater.unconsumed_tail
            if inflater.eof:
                # A gzip file may have several members (RFC 1952 2.2); zeros after the last are padding.
                waiting = inflater.unused_data.lstrip(b"\0") or next(rest, b"")
                if not waiting:
                    return
                inflater = zlib.decompressobj(31)
            elif not waiting:
                waiting = next(rest, b"")
                if not waiting and not out:
                    raise Torn("the gzip stream breaks off")
    except zlib.error:
        raise Torn("is no gzip stream") from None


def events(pieces: Iterable[bytes], is_wanted: Callable[[bytes], bool]) -> Iterator[Event]:
    """Each event whose text is wanted, in order; nothing for a digest file.

    Raises:
        Torn: what is there is not events, or one is larger than `LARGEST`; those before it have been given.
    """
    source = iter(pieces)
    head = b""
    while len(head) < 4096 and (piece := next(source, b"")):
        head += piece
    if _DIGEST.match(head) or not head.strip():
        return
    start = _HEAD.match(head)
    assert start is not None  # every part of the pattern may be empty
    body = _chain(head[start.end() :], source)
    if not head.startswith(_MARK, start.end()):
        yield from _decoded(body)
        return
    bad = 0
    for text in _cut(body):
        if is_wanted(text):
            try:
                event = json.loads(text)
            except (ValueError, RecursionError):
                bad += 1
            else:
                yield event
    if bad:
        raise Torn(f"{bad:,} events are no JSON")


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut at the mark that events begin with, where no brace is open.

    The mark stands in no string: its quotes would be escaped there.
    """
    buffer = b""
    for piece in pieces:
        buffer += piece
        *whole, rest = buffer.split(_MARK)
        done, open_part = _joined(whole[1:])
        yield from done
        buffer = open_part + _MARK + rest
        if len(buffer) > LARGEST:
            raise Torn(f"an event is larger than {LARGEST:,} bytes")
    done, open_part = _joined(buffer.split(_MARK)[1:])
    yield from done
    if open_part:
        last = _closed(open_part)
        if last is None:
            raise Torn("breaks off inside an event")
        yield last


def _joined(parts: list[bytes]) -> tuple[list[bytes], bytes]:
    """The events that the parts make, and the text of one that is not closed."""
    done: list[bytes] = []
    text, depth = b"", 0
    for part in parts:
        body = _MARK + part
        depth += _depth(body)
        text = text + body if text else body
        if depth == 0:
            done.append(text.rstrip(b", \t\r\n"))
            text = b""
        elif len(text) > LARGEST:
            raise Torn(f"an event is larger than {LARGEST:,} bytes")
    return done, text


def _closed(last: bytes) -> bytes | None:
    """The last event without the brackets that end the file; None if it does not end."""
    tail = last.rstrip()
    for ending in (b"}", b"]"):
        tail = tail.removesuffix(ending).rstrip()
        if _depth(tail) == 0:
            return tail
    return None


def _depth(text: bytes) -> int:
    """Brackets opened less brackets closed, outside strings."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = text.translate(None, _OTHERS).replace(b'""', b"")
    # The first string that holds a bracket leaves its quote behind, so that no bracket of a string is counted.
    outside = b"".join(text.split(b'"')[::2]) if b'"' in marks else marks
    return outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")


def _decoded(pieces: Iterator[bytes]) -> Iterator[Event]:
    """Any other way to write events: JSON texts behind each other, with commas, line ends or nothing between them."""
    decode, parse, text = getincrementaldecoder("utf-8")().decode, json.JSONDecoder().raw_decode, ""
    try:
        for piece in pieces:
            text += decode(piece)
            at = 0
            while True:
                at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
                try:
                    value, at = parse(text, at)
                except ValueError:
                    break
                yield from _unwrapped(value)
            text = text[at:]
            if len(text) > LARGEST:
                raise Torn(f"an event is larger than {LARGEST:,} bytes, or this is no log of events")
    except (UnicodeDecodeError, RecursionError):
        raise Torn("is no log of events") from None
    if not _OVER.fullmatch(text):
        raise Torn("breaks off inside an event, or is no log of events")


def _unwrapped(value: Any) -> Iterator[Event]:
    """The event in what LookupEvents (`CloudTrailEvent`) or CloudTrail Lake (`eventJson`) put around it."""
    if not isinstance(value, dict):
        raise Torn("is JSON, but no log of events")
    if isinstance(value.get("Records"), list):
        for inner in value["Records"]:
            yield from _unwrapped(inner)
        return
    inside = value.get("CloudTrailEvent", value.get("eventJson"))
    if not isinstance(inside, str):
        yield value
        return
    try:
        yield from _unwrapped(json.loads(inside))
    except (ValueError, RecursionError):
        raise Torn("wraps an event that is no JSON") from None
