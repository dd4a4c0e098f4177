"""SSH keys: public key lines, authorized_keys, known_hosts, certificates, OpenSSH and PuTTY private keys.

A sealed OpenSSH or PuTTY key shows its public half in clear, so it is known without its passphrase.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from collectors._material._build import Place, Rows
from collectors._material._public import public_of_ssh, ssh_blob, ssh_fields
from toolkit.model import Certificate
from toolkit.terms import KeyType, Protection

_MAGIC: Final = b"openssh-key-v1\0"
LINE: Final = re.compile(
    rb"(?:^|(?<=\s))((?:sk-)?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3})(?:-cert-v01)?(?:@openssh\.com)?)"
    rb"[ \t]+([A-Za-z0-9+/]{40,}={0,2})[ \t]*([^\r\n]*)"
)
RFC4716: Final = re.compile(rb"---- BEGIN SSH2 PUBLIC KEY ----\r?\n(.*?)\r?\n---- END SSH2 PUBLIC KEY ----", re.DOTALL)


def line_rows(place: Place, data: bytes, name: str) -> Rows:
    """Public key lines of any SSH file, each at its line."""
    known_hosts = "known_hosts" in name
    form = "known_hosts" if known_hosts else "authorized_keys" if "authorized_keys" in name else "OpenSSH public key"
    for number, line in enumerate(data.split(b"\n"), 1):
        found = LINE.search(line) if not line.lstrip().startswith(b"#") else None
        if found:
            hosts = line[: found.start()].split()
            label = hosts[-1] if known_hosts and hosts else found[3]
            words = label.decode(errors="replace").strip() or None
            yield from _line(place.at(f"line={number}"), found, form, words, _marker(hosts))


def _marker(hosts: list[bytes]) -> str | None:
    return hosts[0].decode() if hosts and hosts[0] in (b"@revoked", b"@cert-authority") else None


def _line(place: Place, found: re.Match[bytes], form: str, label: str | None, marker: str | None) -> Rows:
    blob = ssh_blob(found[2])
    if blob is not None and b"-cert-v01" in found[1]:
        yield from _certificate(place, b" ".join(found.group(1, 2)), blob, label)
        return
    public = public_of_ssh(blob) if blob else None
    if public is None:
        yield place.gap("a public key line that does not parse (RFC 4253, section 6.6)")
        return
    yield place.key(KeyType.PUBLIC_KEY, form, public, label=label, native_state=marker)


def _certificate(place: Place, line: bytes, blob: bytes, label: str | None) -> Rows:
    try:
        identity = load_ssh_public_identity(line)
        if not isinstance(identity, SSHCertificate):
            raise TypeError
        key = place.key(KeyType.PUBLIC_KEY, "OpenSSH certificate", identity.public_key(), label=label)
        yield key
        yield _certificate_row(place, identity, blob, key.key_uid, label)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        yield place.gap("an OpenSSH certificate that does not parse (PROTOCOL.certkeys)")


def _certificate_row(
    place: Place, identity: SSHCertificate, blob: bytes, key_uid: str, label: str | None
) -> Certificate:
    return Certificate(
        certificate_uid="sha256:" + sha256(blob).hexdigest(),
        key_uid=key_uid,
        collector=place.collector,
        target=place.target,
        locator=place.locator,
        label=label,
        format="OpenSSH certificate",
        subject=identity.key_id.decode(errors="replace") or None,
        serial_number=f"{identity.serial:x}",
        not_before=_time(identity.valid_after),
        not_after=_time(identity.valid_before),
        is_ca=False,
        names=tuple(name.decode(errors="replace") for name in identity.valid_principals) or None,
    )


def _time(seconds: int) -> datetime | None:
    """None for 0 and for 2^64-1, which say "always" and "forever", and for what no calendar holds."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 253_402_300_800 else None


def openssh_private_rows(place: Place, body: bytes) -> Rows:
    """An OpenSSH private key (PROTOCOL.key), known by the public half that it shows in clear."""
    try:
        if not body.startswith(_MAGIC):
            raise ValueError
        rest = body[len(_MAGIC) :]
        cipher, at = _string(rest, 0)
        _, at = _string(rest, at)
        _, at = _string(rest, at)
        count = int.from_bytes(rest[at : at + 4], "big")
        blobs, at = [], at + 4
        for _ in range(min(count, 16)):
            blob, at = _string(rest, at)
            blobs.append(blob)
        if not blobs:
            raise ValueError
    except ValueError:
        yield place.gap("an OpenSSH private key that does not parse (PROTOCOL.key)")
        return
    for number, blob in enumerate(blobs, 1):
        here = place if len(blobs) == 1 else place.at(f"key={number}")
        yield from _private(here, "OpenSSH private key", blob, sealed=cipher != b"none")


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    size = int.from_bytes(data[at : at + 4], "big")
    if len(data) < at + 4 or at + 4 + size > len(data):
        raise ValueError("runs past the end")
    return data[at + 4 : at + 4 + size], at + 4 + size


def _private(place: Place, form: str, blob: bytes, *, sealed: bool, label: str | None = None) -> Rows:
    public = public_of_ssh(blob)
    if public is None:
        yield place.gap("a private key whose public half does not parse")
    elif ssh_fields(blob)[0].startswith(b"sk-"):
        # FIDO: the file holds a handle; the key is in the authenticator (PROTOCOL.u2f).
        seal: dict[str, Any] = {"protected": True, "protection": Protection.HARDWARE, "extractable": False}
        yield place.key(KeyType.PRIVATE_KEY, f"{form} (FIDO)", public, label=label, **seal)
    else:
        yield place.private(form, public, sealed=sealed, label=label)


def rfc4716_rows(place: Place, data: bytes) -> Rows:
    """Public keys in the SSH2 form (RFC 4716)."""
    for number, found in enumerate(RFC4716.finditer(data), 1):
        here = place.at(f"ssh2={number}")
        # Headers have a colon, and go on after a backslash (RFC 4716 3.3).
        body = re.sub(rb"(?m)^[A-Za-z0-9-]+:(?:.*\\\r?\n)*.*$", b"", found[1])
        blob = ssh_blob(b"".join(body.split()))
        public = public_of_ssh(blob) if blob else None
        if public is None:
            yield here.gap("an SSH2 public key that does not parse (RFC 4716)")
        else:
            yield here.key(KeyType.PUBLIC_KEY, "SSH2 public key", public)


def putty_rows(place: Place, data: bytes) -> Rows:
    """A PuTTY private key (.ppk, versions 2 and 3)."""
    lines = data.decode(errors="replace").replace("\r\n", "\n").split("\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    start = next((i for i, line in enumerate(lines) if line.startswith("Public-Lines: ")), None)
    try:
        count = int(headers["Public-Lines"]) if start is not None else 0
        blob = ssh_blob("".join(lines[(start or 0) + 1 : (start or 0) + 1 + count]).encode())
    except (ValueError, KeyError):
        blob = None
    if not blob:
        yield place.at("ppk").gap("a PuTTY key file that does not parse")
        return
    label = headers.get("Comment") or None
    sealed = headers.get("Encryption") != "none"
    yield from _private(place.at("ppk"), "PuTTY private key", blob, sealed=sealed, label=label)
