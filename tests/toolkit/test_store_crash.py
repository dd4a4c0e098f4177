"""A writer that is killed at any moment leaves the state before or the whole new run, and the next write works."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.store import Workspace

# Every step that changes the disk is counted, and just before the n-th the process kills itself: what is after one
# step is before the next. SQLite is met at its statements and commits here, and inside its system calls below.
WRITER = '''
import gc, json, os, shutil, signal, sys
from datetime import UTC, datetime
from pathlib import Path

import alembic.command, sqlalchemy
import toolkit.store.database
from toolkit.errors import StoreError
from toolkit.model import Key, Reading
from toolkit.store import Workspace
from toolkit.tables import Builder
from toolkit.terms import KeyType, ReadingStatus

def write(path, uids, target="file:///a"):
    builder = Builder()
    for uid in uids:
        builder.add(Key(key_uid=uid, collector="c", target=target, locator=uid, key_type=KeyType.UNKNOWN))
    builder.add(Reading(collector="c", target=target, status=ReadingStatus.READ, rows=len(uids), gaps=0, seconds=0.0,
                        started_at=datetime.now(UTC), run_id="r"))
    return Workspace(path).write_run(builder)

def state(path):
    try:
        return sorted(Workspace(path).load().keys["key_uid"])
    except StoreError as failure:
        if not failure.message.startswith("no workspace"):
            raise
        return []

def die_at(last):
    left = [last]
    def step():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def counted(name):
        real = getattr(os, name)
        def stepped(*given, **named):
            step()
            return real(*given, **named)
        return stepped
    for name in ("open", "write", "fsync", "mkdir", "rename", "unlink", "rmdir"):
        setattr(os, name, counted(name))
    for event in ("before_cursor_execute", "after_cursor_execute", "commit", "rollback"):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, event, lambda *_: step())

def in_child(do, *given):
    """Run it in a fork; its answer, or None if it was killed."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = json.dumps(do(*given)).encode()
            posix_write(into, answer)
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        said = answer.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    assert status == 0, status
    return json.loads(said)

posix_write = os.write

def doomed(path, last):
    die_at(last)
    write(path, ["new1", "new2"])
    return "written"

def recover(path):
    """What is there after the kill, then after a write that follows, and what is left lying about."""
    seen = state(path)
    write(path, ["next"])
    return seen, state(path), [p.name for p in path.rglob("*") if p.name.startswith(".tmp-")]
'''
EVERY_STEP = """
gc.freeze()
root, before, each = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
if before:
    in_child(lambda: write(root / "before", before) and None)
for last in range(1, 1000, each):
    path = root / str(last)
    if before:
        shutil.copytree(root / "before", path)
    survived = in_child(doomed, path, last) == "written"
    print(json.dumps([survived, *in_child(recover, path)]), flush=True)
    if survived:
        break
"""


def run(code: str, *given: str, **named) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITER + code, *given], capture_output=True, text=True, check=True, **named
    )


@pytest.mark.parametrize("each", [8, pytest.param(1, marks=pytest.mark.slow)], ids=["some steps", "all steps"])
@pytest.mark.parametrize("before", [[], ["old"]], ids=["fresh", "used"])
def test_a_writer_killed_at_any_step_leaves_nothing_half(tmp_path: Path, before: list[str], each: int) -> None:
    """SIGKILL before and after every step that touches the disk, from the first folder to the last commit."""
    done = run(EVERY_STEP, str(tmp_path), json.dumps(before), str(each))

    trials = [json.loads(line) for line in done.stdout.splitlines()]
    seen = [tuple(state) for _, state, _, _ in trials]
    assert {tuple(before), ("new1", "new2")} == set(seen)
    assert sorted(seen, key=seen.index) == sorted(seen, key=lambda state: state != tuple(before))
    assert all(after == ["next"] and rest == [] for _, _, after, rest in trials)
    assert [False] * (len(trials) - 1) + [True] == [survived for survived, *_ in trials]
    assert 30 // each < len(trials)


def test_a_run_that_was_renamed_but_not_registered_is_registered_by_the_next_reader(tmp_path: Path) -> None:
    """Between rename and registration the run is whole; reading takes it over."""
    run("""
import toolkit.store.database as database
database.Database.register = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
in_child(lambda: write(Path(sys.argv[1]), ["1"]) and None)
""", str(tmp_path / "w"))  # fmt: skip

    assert ["1"] == list(Workspace(tmp_path / "w").load().keys["key_uid"])
    assert [False] == [told.is_missing for told in Workspace(tmp_path / "w").runs()]


def test_processes_that_write_a_fresh_workspace_at_once_all_end_whole(tmp_path: Path) -> None:
    """Folder, pepper, migrations and runs are raced for by six processes; all runs stand, under one pepper."""
    done = run("""
path, children = Path(sys.argv[1]), []
gate_out, gate_in = os.pipe()
for number in range(6):
    child = os.fork()
    if child == 0:
        os.read(gate_out, 1)
        told = Workspace(path).fingerprinter().uid(b"x")
        write(path, [str(number)], target=f"file:///{number}")
        print(told, flush=True)
        os._exit(0)
    children.append(child)
os.write(gate_in, b"go" * 3)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
""", str(tmp_path / "w"))  # fmt: skip

    workspace = Workspace(tmp_path / "w")
    assert ["0", "1", "2", "3", "4", "5"] == sorted(workspace.load().keys["key_uid"])
    assert {workspace.fingerprinter().uid(b"x")} == set(done.stdout.split())


@pytest.fixture
def live_draft(tmp_path: Path) -> Iterator[Path]:
    """An unfinished folder whose writer lives."""
    draft = tmp_path / "w" / "runs" / ".tmp-20261123T203000.123456Z-8f3a2c-1"
    Workspace(tmp_path / "w").fingerprinter()
    draft.mkdir(mode=0o700)
    handle = os.open(draft, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield draft
    os.close(handle)


def test_a_live_writer_is_not_swept_away(live_draft: Path) -> None:
    """Another's unfinished run is left alone, and is never read, while its writer lives; a dead one's goes."""
    dead = live_draft.with_name(".tmp-20261123T203000.123456Z-8f3a2d-1")
    dead.mkdir()

    run("write(Path(sys.argv[1]), ['1'])", str(live_draft.parent.parent))

    assert (True, False) == (live_draft.exists(), dead.exists())
    assert ["1"] == list(Workspace(live_draft.parent.parent).load().keys["key_uid"])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/strace").exists(), reason="needs strace")
@pytest.mark.parametrize("syscall", ["pwrite64", "fdatasync", "unlink"])
def test_a_writer_killed_inside_a_system_call_leaves_nothing_half(tmp_path: Path, syscall: str) -> None:
    """The kernel itself kills at each of the calls that SQLite makes while it registers the run."""
    path = tmp_path / "w"
    run("write(Path(sys.argv[1]), ['0'])", str(path))
    code = WRITER + "write(Path(sys.argv[1]), [sys.argv[2]])"
    for nth in range(1, 40):
        kill = f"inject={syscall}:signal=KILL:when={nth}"
        traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={syscall}", "-e", kill]
        done = subprocess.run([*traced, sys.executable, "-B", "-c", code, str(path), str(nth)], stderr=subprocess.PIPE)
        # SQLite is asked only once the run is renamed, so it is whole; each next trial is the write that must work.
        assert [str(nth)] == list(Workspace(path).load().keys["key_uid"])
        if done.returncode == 0:
            break
        assert -signal.SIGKILL == done.returncode, done.stderr

    assert nth > 1
