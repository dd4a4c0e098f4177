"""Keys and certificates in files: the trust store, SSH folders, and any folder given.

Refuses to: write, run anything, ask for a passphrase, follow a link that leads round, block on a pipe, or read a file
of gigabytes whole.

>>> from toolkit.model import Target
>>> next(Keyfiles(paths=("/etc/ssl/certs",)).targets()).locator
'file:///etc/ssl/certs/'
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from collectors._material import is_material, is_promising, rows
from toolkit.errors import SourceBroken, SourceDenied
from toolkit.model import Certificate, Gap, Key, Row, Target
from toolkit.terms import GapScope, GapStatus, KeyType

# Debian, Red Hat and SUSE, FreeBSD, macOS with Homebrew; the last two are servers' and people's own.
_TRUST_STORES: Final = (
    "/etc/ssl/certs",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/usr/local/share/ca-certificates",
    "/opt/homebrew/etc/ca-certificates",
)
_DEFAULTS: Final = (*_TRUST_STORES, "/etc/ssl/private", "/etc/ssh", "~/.ssh")
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.r?\d+$")
_HEAD: Final = 64 * 1024
_HELD: Final = (KeyType.PRIVATE_KEY, KeyType.SECRET_KEY, KeyType.UNKNOWN)


class Keyfiles:
    """Certificates and keys in folders: PEM, DER, PKCS#7, PKCS#8, PKCS#12, JKS, OpenSSH, PuTTY.

    Args:
        paths: folders and files to read; without any, the system's trust store, /etc/ssh, /etc/ssl/private, ~/.ssh.
        max_bytes: a larger file is not read; one that looks like key material is then a Gap.
    """

    name: ClassVar[str] = "keyfiles"
    reads: ClassVar[tuple[str, ...]] = ("file:read",)
    parallel: ClassVar[int] = 2

    def __init__(self, *, paths: tuple[str, ...] = (), max_bytes: int = 8 * 2**20) -> None:
        self._paths, self._max_bytes = paths, max_bytes

    def targets(self) -> Iterator[Target]:
        """One a folder or file; the default places that are not there are left out."""
        given = self._paths or tuple(path for path in _DEFAULTS if Path(path).expanduser().is_dir())
        # A path given twice, or through a link, is one place; one inside another is a target of its own.
        for path in dict.fromkeys(Path(os.path.realpath(Path(path).expanduser())) for path in given):
            yield Target(collector=self.name, locator=_uri(path, is_dir=path.is_dir()), options=(("path", str(path)),))

    def collect(self, target: Target) -> Iterator[Row]:
        """Walk the target; each file once, however many links lead to it."""
        root = Path(dict(target.options)["path"])
        if not root.exists():
            raise SourceBroken(f"{root} is not there", advice="give a path that exists")
        yield from _Walk(target, self._max_bytes).of(root)


class _Walk:
    """One walk over one target: remembers the files and folders it has been to."""

    def __init__(self, target: Target, max_bytes: int) -> None:
        self._target, self._max_bytes = target, max_bytes
        self._been: set[tuple[int, int]] = set()

    def of(self, path: Path) -> Iterator[Row]:
        """A file's rows, or those of all files below a folder."""
        try:
            # Following links is wanted: trust stores are made of them. Where one leads is checked by its inode.
            facts = path.stat()
        except FileNotFoundError:
            yield self._gap(path, GapStatus.MALFORMED, "a link that leads nowhere")
            return
        except OSError as failure:
            yield self._refused(path, failure)
            return
        identity = (facts.st_dev, facts.st_ino)
        if identity in self._been:
            if stat.S_ISDIR(facts.st_mode):
                yield self._gap(path, GapStatus.NOT_APPLICABLE, "a link to a folder that was read already")
            return
        self._been.add(identity)
        if stat.S_ISDIR(facts.st_mode):
            yield from self._folder(path)
        elif stat.S_ISREG(facts.st_mode):
            yield from self._file(path, facts)

    def _folder(self, path: Path) -> Iterator[Row]:
        try:
            with os.scandir(path) as entries:
                # Real files before links, named links before OpenSSL's hash links: a place is known by its best name.
                found = sorted((e.is_symlink() + bool(_HASHED.match(e.name)), e.name) for e in entries)
        except OSError as failure:
            yield self._refused(path, failure)
            return
        for _, name in found:
            yield from self.of(path / name)

    def _file(self, path: Path, facts: os.stat_result) -> Iterator[Row]:
        try:
            data = _read(path, facts.st_size, self._max_bytes)
        except OSError as failure:
            yield self._refused(path, failure)
            return
        if len(data) < facts.st_size and facts.st_size > self._max_bytes:
            if is_promising(path.name) or is_material(data):
                reason = f"{facts.st_size:,} bytes are more than is read of one file ({self._max_bytes:,})"
                yield self._gap(path, GapStatus.NOT_ASKED, reason, advice="keyatlas collect keyfiles --max-bytes …")
            return
        if not (is_promising(path.name) or is_material(data)):
            return
        for row in rows(data, collector="keyfiles", target=self._target.locator, locator=_uri(path), name=path.name):
            yield self._completed(row, path, facts)

    def _completed(self, row: Key | Certificate | Gap, path: Path, facts: os.stat_result) -> Row:
        if isinstance(row, Certificate):
            return replace(row, is_trust_anchor=any(path.is_relative_to(store) for store in _TRUST_STORES))
        if isinstance(row, Gap):
            return row
        mode = stat.S_IMODE(facts.st_mode)
        more: dict[str, Any] = {"file_mode": f"{mode:04o}", "owner": _user(facts.st_uid)}
        more["modified_at"] = datetime.fromtimestamp(facts.st_mtime, UTC)
        if row.key_type in _HELD:
            more["is_exposed"] = bool(mode & 0o077 & 0o044)
        return replace(row, **more)

    def _refused(self, path: Path, failure: OSError) -> Gap:
        denied = isinstance(failure, PermissionError)
        status = GapStatus.DENIED if denied else GapStatus.ERROR
        advice = "read it as its owner or as root" if denied else ""
        return self._gap(path, status, os.strerror(failure.errno or 0), advice=advice, code=failure.errno)

    def _gap(self, path: Path, status: GapStatus, reason: str, *, advice: str = "", code: int | None = None) -> Gap:
        return Gap(
            collector="keyfiles",
            target=self._target.locator,
            locator=_uri(path),
            scope=GapScope.OBJECT,
            status=status,
            reason=reason,
            code=None if code is None else errno_name(code),
            permission="file:read" if status is GapStatus.DENIED else None,
            advice=advice or None,
        )


def errno_name(code: int) -> str:
    """The symbol of an error number: EACCES."""
    import errno

    return errno.errorcode.get(code, str(code))


def _read(path: Path, size: int, max_bytes: int) -> bytes:
    """The file, or its head if it is larger than `max_bytes`. Never blocks: it may have become a pipe meanwhile."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SourceDenied(f"{path} is no file any more")
        with os.fdopen(handle, "rb", closefd=False) as stream:
            return stream.read(_HEAD if size > max_bytes else max_bytes)
    finally:
        os.close(handle)


def _uri(path: Path, *, is_dir: bool = False) -> str:
    return path.as_uri() + ("/" if is_dir and path != Path("/") else "")


@cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
