"""Key material in bytes: everything that the contents of one file hold, as rows, and never the material itself.

Reads X.509 certificates, PKCS#7 bundles, PKCS#10 requests, PKCS#1, PKCS#8, SEC1 and DSA private keys, SubjectPublicKeyInfo,
OpenSSH keys, certificates, authorized_keys and known_hosts, SSH2 and PuTTY keys, PKCS#12, JKS and JCEKS, OpenPGP and
age keys. What is sealed is named by what its container tells in clear; no passphrase is ever asked for or tried but
the empty one, which seals nothing.

Each object has a place of its own, the file's locator and a fragment: `#pem=2` (the second PEM block), `#line=7`,
`#der`, `#alias=www&cert=1`, `#bag=1.2`, `#ppk`, `#pgp=1`; a locator that has a fragment already is continued with `&`.
A certificate is two rows at one place: the Certificate, and the public Key that it binds.

Refuses to: open files, guess passphrases, raise on hostile bytes (they become a Gap), or say anything of bytes that
do not look like keys.

>>> list(rows(b"just a text", collector="keyfiles", target="file:///etc", locator="file:///etc/motd"))
[]
"""

from __future__ import annotations

from collectors._material._place import Place, Rows
from collectors._material._reading import is_named_like_a_key, looks_like_key_material, read

__all__ = ["is_named_like_a_key", "looks_like_key_material", "rows"]


def rows(data: bytes, *, collector: str, target: str, locator: str, name: str = "") -> Rows:
    """Everything that the bytes of one file hold.

    `data` may as well be one PEM block that was cut out of something larger: its rows lie at `#pem=1`. `name` is the
    file's name, a hint only (authorized_keys, known_hosts, *.p12): a file that is named like a key and holds none that
    can be read is a Gap, any other is nothing.
    """
    yield from read(data, Place(collector, target, locator), name)
