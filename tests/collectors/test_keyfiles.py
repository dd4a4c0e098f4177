"""keyfiles: real folders, hostile ones too."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from collectors.keyfiles import Keyfiles
from toolkit.model import Certificate, Gap, Key
from toolkit.terms import GapStatus, KeyType, Protection
from toolkit.testing import CollectorContract


def read(*paths, **options):
    """All rows below the paths."""
    collector = Keyfiles(paths=tuple(map(str, paths)), **options)
    return [row for target in collector.targets() for row in collector.collect(target)]


def gaps(rows):
    """File name and status of each Gap."""
    return sorted((row.locator.split("/")[-1].split("#")[0], row.status) for row in rows if isinstance(row, Gap))


class TestContract(CollectorContract):
    """The contract of every collector, over a folder with a key, a link to it and a file of zeros."""

    def collector(self, tmp_path):
        """A small real folder."""
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id"], check=False, input=b"n")
        if not (tmp_path / "link.pub").is_symlink():
            (tmp_path / "link.pub").symlink_to("id.pub")
        (tmp_path / "zeros.pem").write_bytes(bytes(1000))
        return Keyfiles(paths=(str(tmp_path),))


def test_the_default_places_hold_the_trust_store_of_this_machine():
    """With no path given there is something real to see, and each certificate is a trust anchor."""
    certificates = [row for row in read() if isinstance(row, Certificate) and "/certs/" in row.locator]
    assert len(certificates) > 50
    assert {True} == {row.is_trust_anchor for row in certificates}


def test_the_file_tells_who_may_read_it_and_whose_it_is(tmp_path, self_signed):
    """A private key that others can read is exposed; a public one never is."""
    path = self_signed("a")
    path.chmod(0o644)
    facts = {row.key_type: (row.file_mode, row.is_exposed) for row in read(tmp_path) if isinstance(row, Key)}
    assert ("0644", True) == facts[KeyType.PRIVATE_KEY]
    assert None is facts[KeyType.PUBLIC_KEY][1]
    path.chmod(0o600)
    assert [False] == [r.is_exposed for r in read(path) if isinstance(r, Key)]


def test_links_give_one_place_and_loops_end(tmp_path, self_signed):
    """A link to a file is not a second copy, and a folder that contains itself is walked once."""
    self_signed("a")
    (tmp_path / "again.key").symlink_to("a.key")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.pem").symlink_to("nowhere")
    rows = read(tmp_path)
    assert 1 == sum(isinstance(row, Key) and row.key_type is KeyType.PRIVATE_KEY for row in rows)
    assert [("dangling.pem", GapStatus.MALFORMED), ("loop", GapStatus.NOT_APPLICABLE)] == gaps(rows)


def test_a_path_that_leads_to_itself_is_a_gap(tmp_path):
    """A link that cannot be resolved (ELOOP) is told with its error."""
    (tmp_path / "ring.pem").symlink_to("ring.pem")
    rows = read(tmp_path)
    assert [("ring.pem", GapStatus.ERROR)] == gaps(rows)
    assert "ELOOP" == rows[0].code


def test_bad_files_are_gaps_and_not_silence(tmp_path):
    """A corrupt certificate, zeros, an empty file and a key that breaks off."""
    (tmp_path / "corrupt.crt").write_text("-----BEGIN CERT" + "IFICATE-----\nMIIB\n-----END CERT" + "IFICATE-----\n")
    (tmp_path / "zeros.key").write_bytes(bytes(4096))
    (tmp_path / "empty.pem").touch()
    (tmp_path / "half.pem").write_text("-----BEGIN PRIV" + "ATE KEY-----\nMIIB")
    (tmp_path / "notes.txt").write_text("no key here")
    names = ["corrupt.crt", "empty.pem", "half.pem", "zeros.key"]
    assert [(name, GapStatus.MALFORMED) for name in names] == gaps(read(tmp_path))


def test_a_file_of_two_gigabytes_is_told_and_not_read(tmp_path):
    """Sparse, named like a key: the answer comes at once and is not silence."""
    for name in ("huge.pem", "huge.bin"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(2 * 2**30)
    clock = time.monotonic()
    assert [("huge.pem", GapStatus.NOT_ASKED)] == gaps(read(tmp_path))
    assert time.monotonic() - clock < 2


def test_a_pipe_does_not_block(tmp_path):
    """Only regular files are opened."""
    os.mkfifo(tmp_path / "pipe.pem")
    assert [] == read(tmp_path)


def test_what_may_not_be_read_is_denied(tmp_path, self_signed):
    """As a user without rights: an unreadable folder and file are Gaps with advice, and the rest is read."""
    self_signed("a")
    locked = tmp_path / "locked"
    locked.mkdir()
    (tmp_path / "secret.pem").write_text("x")
    for path, mode in ((tmp_path / "a.key", 0o644), (tmp_path / "secret.pem", 0), (locked, 0)):
        path.chmod(mode)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    code = """
import os, sys
from collectors.keyfiles import Keyfiles
if os.getuid() == 0: os.setgid(65534); os.setuid(65534)
c = Keyfiles(paths=(sys.argv[1],))
for t in c.targets():
    for r in c.collect(t): print(type(r).__name__, r.locator.split("/")[-1], getattr(r, "status", ""), getattr(r, "code", ""))
"""
    import collectors

    house = os.path.dirname(os.path.dirname(collectors.__file__))  # noqa: PTH120
    env = {"PYTHONPATH": house, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=env)
    assert "Gap locked denied EACCES" in ran.stdout, ran.stderr
    assert "Gap secret.pem denied EACCES" in ran.stdout
    assert "Key a.key" in ran.stdout


def test_a_path_that_is_not_there_is_said(tmp_path):
    """A typing error in a path is no clean result."""
    import toolkit as tk

    inv = tk.collect("keyfiles", paths=[tmp_path / "nope"], show_progress=False)
    assert ["failed"] == list(inv.readings["status"])
    assert "not there" in inv.gaps["reason"].iloc[0]


def test_nothing_secret_surfaces(tmp_path, tool, self_signed):
    """Neither a passphrase nor a line of a private key is in any row."""
    key = self_signed("clear").read_text().splitlines()[1]
    tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "canary-phrase", "-f", "sealed")
    told = repr(read(tmp_path))
    assert "canary" not in told
    assert key[:24] not in told
    assert str(Protection.PASSPHRASE) in told
