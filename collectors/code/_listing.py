"""All blobs of a repository, each behind the one that it is stored as a change of: from its packs, or told by git.

Refuses to: read a blob.
"""

from __future__ import annotations

from typing import Final

from collectors.code._git import Git, Layout
from collectors.code._packs import Damaged, loose, packs
from collectors.code._sources import KINDS

_LIST: Final = ("cat-file", "--batch-all-objects", "--unordered", "--buffer", KINDS)


def listed(git: Git, layout: Layout) -> tuple[list[bytes], list[bytes], bool]:
    """Ids of all blobs, ids of objects that are not readable, and whether all could be listed.

    A blob stands behind the one that it is stored as a change of.
    """
    try:
        return _in_packs(git, layout)
    except (Damaged, OSError):
        return _told_by_git(git)


def _in_packs(git: Git, layout: Layout) -> tuple[list[bytes], list[bytes], bool]:
    objects = layout.objects
    if not objects:
        raise Damaged("nobody but git can tell where its objects are")
    found = [*packs(objects, layout.width)]
    names = [name for pack in found for name in pack.families()]
    unreadable = [name for pack in found for name in pack.circular()]
    unsure = dict.fromkeys([*loose(objects), *(name for pack in found for name in pack.untold())])
    if len(found) < 2 and not unsure:
        return names, unreadable, True
    blobs = dict.fromkeys(names)
    unreadable = [name for name in unreadable if name not in blobs]
    asked = [name for name in unsure if name not in blobs]
    if not asked:
        return [*blobs], unreadable, True
    told = b"".join(git.tokens("cat-file", KINDS, "--buffer", stdin=b"\n".join(asked) + b"\n")).splitlines()
    blobs.update((line[5:], None) for line in told if line.startswith(b"blob "))
    return [*blobs], [*unreadable, *(line.split()[0] for line in told if line.endswith(b" missing"))], True


def _told_by_git(git: Git) -> tuple[list[bytes], list[bytes], bool]:
    blobs: list[bytes] = []
    missing: list[bytes] = []
    with git.running(*_LIST) as process:
        assert process.stdout is not None
        rest = b""
        while chunk := git.read(process.stdout):
            *lines, rest = (rest + chunk).split(b"\n")
            blobs += [line[5:] for line in lines if line.startswith(b"blob ")]
            missing += [line.split()[0] for line in lines if line.endswith(b" missing")]
        return blobs, missing, process.wait() == 0
