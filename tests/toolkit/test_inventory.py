"""The runner: one bad target is a Gap, and the rest goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor

from toolkit import inventory
from toolkit.errors import SourceBroken, SourceDenied
from toolkit.model import Key, Target
from toolkit.tables import Inventory
from toolkit.terms import KeyType


class Rows:
    """A collector over numbers: target n gives n keys, and does what `fate` says of it on the way."""

    name, reads, parallel = "rows", ("nothing",), 3

    def __init__(self, sizes=(1, 2, 3), fate=None):
        self.sizes, self.fate = sizes, fate or {}

    def targets(self):
        """One target a size."""
        for index, size in enumerate(self.sizes):
            yield Target(collector="rows", locator=f"rows:{index}", options=(("size", str(size)),))

    def collect(self, target):
        """The keys, then the fate."""
        for number in range(int(dict(target.options)["size"])):
            place = f"{target.locator}#{number}"
            yield Key(key_uid=place, collector="rows", target=target.locator, locator=place, key_type=KeyType.UNKNOWN)
        if target.locator in self.fate:
            raise self.fate[target.locator]


def read(collector, **more) -> Inventory:
    """Run it and take the tables."""
    return Inventory.of(inventory.collect([collector], run_id="r", show_progress=False, **more))


def test_every_target_is_read_and_has_a_reading():
    """The summary accounts for all targets."""
    inv = read(Rows())
    assert 6 == len(inv.keys)
    assert ["read"] * 3 == list(inv.readings["status"])
    assert {1, 2, 3} == set(inv.readings["rows"])


def test_a_target_that_fails_is_a_gap_and_the_rest_goes_on():
    """What was read before the failure is kept, and the reading says so."""
    inv = read(Rows(fate={"rows:1": SourceDenied("no entry", advice="ask")}))
    assert 6 == len(inv.keys)
    gap = inv.gaps.iloc[0]
    assert ("rows:1", "target", "denied", "no entry", "ask") == (
        gap["locator"], gap["scope"], gap["status"], gap["reason"], gap["advice"],
    )  # fmt: skip
    assert {"rows:0": "read", "rows:1": "partial", "rows:2": "read"} == dict(
        zip(inv.readings["target"], inv.readings["status"], strict=True)
    )


def test_an_unexpected_exception_is_a_gap_that_does_not_quote_it():
    """A stranger's exception text may hold what it choked on."""
    inv = read(Rows(fate={"rows:0": ValueError("canary-secret-value")}))
    assert ["ValueError"] == list(inv.gaps["code"])
    assert "canary" not in inv.gaps.to_json()
    assert "test_inventory.py" in inv.gaps["reason"].iloc[0]


def test_targets_that_cannot_be_named_are_a_gap():
    """An empty listing and a failed listing are not the same thing."""

    class Nameless(Rows):
        def targets(self):
            yield from Rows.targets(self)
            raise SourceBroken("the listing broke off")

    inv = read(Nameless())
    assert 6 == len(inv.keys)
    assert ["the listing broke off"] == list(inv.gaps["reason"])
    assert "failed" in list(inv.readings["status"])


def test_a_million_targets_are_not_held_at_once():
    """Targets are drawn as workers become free."""
    drawn = []

    class Many(Rows):
        def targets(self):
            for target in Rows.targets(self):
                drawn.append(target)
                yield target

        def collect(self, target):
            assert len(drawn) <= 2 * self.parallel + len(done) + self.parallel
            done.append(target)
            return iter(())

    done: list[Target] = []
    inv = read(Many(sizes=(0,) * 200))
    assert 200 == len(inv.readings)
    assert [] == list(inv.gaps["reason"])


def test_any_executor_of_the_standard_shape_will_do():
    """A process pool gives the same rows, and a failure over there is the same Gap."""
    collector = Rows(fate={"rows:1": SourceDenied("no entry", advice="ask")})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        far = read(collector, executor=processes)
    assert set(read(collector).keys["locator"]) == set(far.keys["locator"])
    assert ["no entry"] == list(far.gaps["reason"])


def test_a_worker_that_dies_is_a_gap():
    """A pool whose process was killed loses the target, and says so."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        inv = read(Deadly(sizes=(1,)), executor=processes)
    assert ["BrokenProcessPool"] == list(inv.gaps["code"])
    assert ["failed"] == list(inv.readings["status"])


class Deadly(Rows):
    """Takes its process with it."""

    def collect(self, target):
        """Never returns."""
        os.kill(os.getpid(), signal.SIGKILL)
        yield


INTERRUPTED = """
    import signal, sys, time
    # A shell starts background jobs with SIGINT ignored, and children inherit that: CI must not hang on it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import toolkit.inventory as inventory
    from toolkit.model import Key, Target
    from toolkit.tables import Inventory
    from toolkit.terms import KeyType

    class Slow:
        name, reads, parallel = "slow", ("nothing",), 2
        def targets(self):
            for n in range(6):
                yield Target(collector="slow", locator=f"slow:{n}")
        def collect(self, target):
            n = int(target.locator[-1])
            for i in range(2 if n == 0 else 10_000):
                yield Key(key_uid="k", collector="slow", target=target.locator, locator=f"{target.locator}#{i}",
                          key_type=KeyType.UNKNOWN)
                time.sleep(0 if n == 0 else 0.05)
                if n == 1 and i == 3:
                    print("now", flush=True)

    inv = Inventory.of(inventory.collect([Slow()], run_id="r", show_progress=False))
    print(dict(zip(inv.readings["target"], inv.readings["status"].astype(str))), len(inv.keys), len(inv.gaps))
"""


def test_ctrl_c_keeps_what_is_whole_and_says_what_is_not():
    """A real SIGINT to a real process: the whole target stays, the five others are gaps, and it ends at once."""
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(INTERRUPTED)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert "now\n" == child.stdout.readline()
    child.send_signal(signal.SIGINT)
    clock = time.monotonic()
    told = child.stdout.read()
    assert 0 == child.wait(timeout=10)
    assert time.monotonic() - clock < 5
    assert "'slow:0': 'read'" in told
    assert 5 == told.count("'interrupted'")
    assert told.strip().endswith("2 5")


def test_a_summary_ends_the_run_where_nobody_watches_a_bar(capsys):
    """Plain lines off a terminal: one a target, and what it all came to; nothing on standard output."""
    inventory.collect([Rows(fate={"rows:1": SourceDenied("no entry")})], run_id="r")
    told = capsys.readouterr()
    assert "" == told.out
    lines = told.err.splitlines()
    assert 4 == len(lines)
    assert lines[-1].startswith("3 targets, 7 rows, 1 gaps, ")
