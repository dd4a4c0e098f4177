"""What is hidden under an encoding or in an enclosure: base64, hex and URL encoding, UTF-16/32, gzip, archives, PDF.

A marker is an expression for the automaton. Long base64 is everywhere in code, so it is not decoded wherever it lies:
what is looked for is the encoded form of words that credentials come with, at each of base64's three alignments.
Refuses to: unpack more than its budget allows, write anything to disk, or run what it unpacks.

>>> Encoded.BASE64.decoded(b"cGFzc3dvcmQ6IGh1bnRlcjI=", 0)
b'password: hunter2'
"""

from __future__ import annotations

import base64
import binascii
import bz2
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote_to_bytes

from collectors.code import _pdf

MEMBER: Final = 64 << 20
"""No enclosure is read that has more bytes than this, and no member beyond it."""
_TOTAL: Final = 256 << 20
_MEMBERS: Final = 20_000
DEPTH: Final = 4
"""How many enclosures and encodings may lie in each other."""
_RUN_LIMIT: Final = 1 << 17

# Words that credentials come with; what they are encoded to is looked for.
_WORDS: Final = (
    b"-----BEGIN ", b"AKIA", b"ghp_", b"gho_", b"ghs_", b"github_pat_", b"glpat-", b"xoxb-", b"xoxp-", b"sk_live_",
    b"sk-ant-", b"sk-proj-", b"AIzaSy", b"npm_", b"postgres", b"mysql://", b"mongodb", b"redis://", b"amqp://",
    b"password", b"PASSWORD", b"Password", b"secret", b"SECRET", b"token\"", b"TOKEN=", b"_token", b"api_key",
    b"API_KEY", b"apiKey", b"apikey", b"private_key", b"access_key", b"ACCESS_KEY", b"AccountKey=", b"AGE-SECRET-KEY",
    b"eyJhbGciOi", b"hvs.", b"dop_v1_", b"pypi-",
)  # fmt: skip
_HEX_WORDS: Final = (b"-----BEGIN ", b"password", b"secret", b"AKIA", b"ghp_", b"api_key", b"private_key", b"://")


class TooMuch(Exception):  # it says the fact
    """The enclosure holds more than the budget, or is nested too deeply."""


class Unreadable(Exception):  # it says the fact
    """The enclosure is damaged, sealed or of a kind that is not read."""


class Encoded(Enum):
    """A way to write bytes as text inside other text."""

    BASE64 = "base64"
    HEX = "hex"
    URL = "URL"

    def decoded(self, run: bytes, aligned: int) -> bytes:
        """The bytes of a run; `aligned` is the place of a character that begins a group of four, or a pair."""
        if self is Encoded.URL:
            return unquote_to_bytes(run)
        if self is Encoded.HEX:
            even = run[aligned % 2 :]
            return bytes.fromhex(even[: len(even) // 2 * 2].decode())
        plain = run[aligned % 4 :].translate(_TO_STANDARD, b"\r\n\t \\=")
        return base64.b64decode(plain[: len(plain) // 4 * 4] + _padded(plain[len(plain) // 4 * 4 :]))


_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_ALPHABETS: Final = {
    Encoded.BASE64: b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-\r\n\t \\",
    Encoded.HEX: b"0123456789abcdefABCDEF",
    Encoded.URL: bytes(set(range(33, 256)) - set(b"\"'<>`")),
}
_OUTSIDE: Final = {kind: bytes(0 if c in alphabet else 1 for c in range(256)) for kind, alphabet in _ALPHABETS.items()}
_SPACE: Final = re.compile(rb"[\s\\]+")
_LINE: Final = 20
"""Characters that a line of wrapped base64 has at least."""


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


class Enclosure(Enum):
    """A kind of file that holds other files, or text in another form."""

    ZIP = "zip"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    TAR = "tar"
    PDF = "pdf"
    KEYS = "key file"
    UTF16 = "UTF-16"
    UTF16BE = "UTF-16BE"
    UTF32 = "UTF-32"
    UTF32BE = "UTF-32BE"


_ASCII16: Final = r"(?:[\x09\x0a\x0d\x20-\x7e]\x00)"
_BEGINNINGS: Final = {
    Enclosure.ZIP: r"PK\x03\x04",
    Enclosure.GZIP: r"\x1f\x8b\x08",
    Enclosure.BZIP2: r"BZh[1-9]1AY&SY",
    Enclosure.XZ: r"\xfd7zXZ\x00",
    Enclosure.TAR: r"(?s:.){257}ustar",
    Enclosure.PDF: r"%PDF-",
    # JKS and JCEKS; PKCS#12, PKCS#8, PKCS#1 and SEC 1 in DER: a sequence that begins with a small version number.
    Enclosure.KEYS: (
        r"(?:\xfe\xed\xfe\xed|\xce\xce\xce\xce|"
        r"0(?:\x82(?s:..)|\x81(?s:.)|[\x20-\x7f])\x02\x01[\x00\x01\x03][\x02\x040])"
    ),
    Enclosure.UTF32: r"(?:\xff\xfe\x00\x00|(?:[\x09\x0a\x0d\x20-\x7e]\x00\x00\x00){4})",
    Enclosure.UTF32BE: r"(?:\x00\x00\xfe\xff|(?:\x00\x00\x00[\x09\x0a\x0d\x20-\x7e]){4})",
    Enclosure.UTF16: rf"(?:\xff\xfe[^\x00]\x00|{_ASCII16}{{8}})",
    Enclosure.UTF16BE: r"(?:\xfe\xff\x00|(?:\x00[\x09\x0a\x0d\x20-\x7e]){8})",
}
_SNIFF: Final = {kind: re.compile(form.encode()) for kind, form in _BEGINNINGS.items()}


@dataclass(frozen=True, slots=True)
class Marker:
    """An expression that says: here begins or lies something of this kind."""

    expression: str
    kind: Encoded | Enclosure
    trim: int = 0
    """Characters between the begin of an aligned group and that of the match."""
    length: int = 0


def _base64_markers() -> Iterator[Marker]:
    for word in _WORDS:
        for shift in range(3):
            text = base64.b64encode(bytes(shift) + word)
            trim = (0, 2, 3)[shift]
            whole = (shift + len(word)) * 8 // 6
            form = text[trim:whole].decode()
            if len(form) >= 5:
                yield Marker(re.escape(form), Encoded.BASE64, trim, len(form))


def _markers() -> Iterator[Marker]:
    # The stream shows each blob behind its frame, so a blob's beginning is a place that an expression can name.
    for kind, form in _BEGINNINGS.items():
        yield Marker(rf"\ blob\ [0-9]{{1,15}}\n{form}", kind)
    yield from _base64_markers()
    for word in _HEX_WORDS:
        yield Marker(f"(?i:{word.hex()})", Encoded.HEX, 0, 2 * len(word))
    names = r"(?i:passw(?:or)?d|secret|token|api_?key|BEGIN|://[^\s/\"']{1,64})"
    yield Marker(names + r"[^\s\"'<>]{0,40}%(?i:3d|3a|40|20|22|2b)", Encoded.URL)


MARKERS: Final = tuple(_markers())


def sniffed(data: bytes) -> Enclosure | None:
    """The kind of enclosure that begins so, if any."""
    return next((kind for kind, form in _SNIFF.items() if form.match(data)), None)


def run_around(marker: Marker, window: bytes, end: int) -> tuple[int, bytes] | None:
    """Where the encoded run that covers the match's end begins in the window, and what it decodes to."""
    assert isinstance(marker.kind, Encoded)
    outside = window.translate(_OUTSIDE[marker.kind])
    start = outside.rfind(1, 0, end - marker.length) + 1
    stop = outside.find(1, end)
    stop = min(len(window) if stop < 0 else stop, start + _RUN_LIMIT)
    if marker.kind is Encoded.BASE64:
        start, stop = _wrapped(window, start, stop, end - marker.length)
    run = window[start:stop]
    before = window[start : end - marker.length]
    # Line ends inside a run are no part of its groups.
    aligned = len(before) - sum(before.count(c) for c in b"\r\n\t \\") - marker.trim
    try:
        return start, marker.kind.decoded(run, aligned)
    except (binascii.Error, ValueError):
        return None


def _wrapped(window: bytes, start: int, stop: int, at: int) -> tuple[int, int]:
    """The lines around `at` that are base64 from end to end: a short word beside them is not part of the run."""
    while (space := _last_space(window, start, at)) is not None and at - space[1] < _RUN_LIMIT:
        before = window.rfind(b"\n", start, space[0]) + 1 or start
        if len(window[before : space[0]].strip()) < _LINE:
            start = space[1]
            break
        at = before if before > start else start
        if at == start:
            break
    end = stop
    position = at
    for found in _SPACE.finditer(window, position, stop):
        following = _SPACE.search(window, found.end(), stop)
        if (following.start() if following else stop) - found.end() < _LINE and following is not None:
            end = found.start()
            break
    return start, end


def _last_space(window: bytes, start: int, stop: int) -> tuple[int, int] | None:
    found = [*_SPACE.finditer(window, max(start, stop - 512), stop)]
    return found[-1].span() if found else None


class Budget:
    """What one enclosure may still give, all that lies in it included."""

    def __init__(self) -> None:
        self._bytes, self._members = _TOTAL, _MEMBERS

    def take(self, size: int) -> None:
        """Count a member; raises TooMuch when the budget is used up."""
        self._bytes -= size
        self._members -= 1
        if self._bytes < 0 or self._members < 0:
            raise TooMuch


def members(kind: Enclosure, data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    """Name and content of each member; text in another encoding is one member without a name, in UTF-8.

    Raises:
        TooMuch: the budget is used up; what came before it was within.
        Unreadable: the enclosure is damaged or sealed.
    """
    try:
        yield from _READERS[kind](data, budget)
    except (TooMuch, Unreadable):
        raise
    except _LIBRARY_ERRORS as failure:
        raise Unreadable(f"the {kind.value} is damaged") from failure


_LIBRARY_ERRORS: Final = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError,
    NotImplementedError, KeyError, IndexError, OverflowError, UnicodeError, MemoryError,
)  # fmt: skip


def _zip(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    sealed = False
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                sealed = True
                continue
            with archive.open(info) as file:
                content = file.read(MEMBER + 1)
            yield info.filename, _counted(content, budget)
    if sealed:
        raise Unreadable("members of the zip are sealed under a password")


def _tar(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for info in archive:
            file = archive.extractfile(info) if info.isreg() else None
            if file is not None:
                yield info.name, _counted(file.read(MEMBER + 1), budget)


def _counted(content: bytes, budget: Budget) -> bytes:
    if len(content) > MEMBER:
        raise TooMuch
    budget.take(len(content))
    return content


def _inflated(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    out, rest = b"", data
    while rest[:2] == b"\x1f\x8b":
        machine = zlib.decompressobj(wbits=31)
        out += machine.decompress(rest, MEMBER + 1 - len(out))
        if machine.unconsumed_tail:
            raise TooMuch
        if not machine.eof:
            break
        rest = machine.unused_data
    yield "", _counted(out, budget)


def _decompressed(make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> Callable[..., Iterator[tuple[str, bytes]]]:  # noqa: E501  # fmt: skip
    def read(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
        yield "", _counted(make().decompress(data, MEMBER + 1), budget)

    return read


def _text(encoding: str) -> Callable[..., Iterator[tuple[str, bytes]]]:
    def read(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
        yield "", _counted(data.decode(encoding, "replace").encode("utf-8", "replace"), budget)

    return read


def _pages(data: bytes, budget: Budget) -> Iterator[tuple[str, bytes]]:
    text = _pdf.text(data)
    if text is None:
        raise Unreadable("the PDF cannot be read, or takes too long")
    yield "", _counted(text, budget)


_READERS: Final[dict[Enclosure, Callable[..., Iterator[tuple[str, bytes]]]]] = {
    Enclosure.ZIP: _zip,
    Enclosure.TAR: _tar,
    Enclosure.GZIP: _inflated,
    Enclosure.BZIP2: _decompressed(bz2.BZ2Decompressor),
    Enclosure.XZ: _decompressed(lambda: lzma.LZMADecompressor(memlimit=256 << 20)),
    Enclosure.PDF: _pages,
    Enclosure.UTF16: _text("utf-16-le"),
    Enclosure.UTF16BE: _text("utf-16-be"),
    Enclosure.UTF32: _text("utf-32-le"),
    Enclosure.UTF32BE: _text("utf-32-be"),
}
