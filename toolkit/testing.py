"""The contract that every collector keeps, as checks that third parties run too.

    class TestMine(CollectorContract):
        def collector(self, tmp_path):
            return Mine(paths=(str(tmp_path),))

Refuses to: know anything of a particular source.
"""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from toolkit.model import Key, Row, Target
from toolkit.protocols import Collector
from toolkit.tables import RUN_TABLES, Builder, Inventory


class CollectorContract:
    """Give it a collector over a small real source, as `collector(tmp_path)`; pytest runs the rest."""

    def collector(self, tmp_path: Path) -> Collector:
        """The collector under test, over a source that holds at least one key or secret."""
        raise NotImplementedError

    def read(self, tmp_path: Path) -> tuple[list[Target], list[Any]]:
        """Its targets and all their rows."""
        collector = self.collector(tmp_path)
        targets = list(collector.targets())
        return targets, [row for target in targets for row in collector.collect(target)]

    def test_it_says_its_name_what_it_reads_and_how_many_at_once(self, tmp_path: Path) -> None:
        """The class is complete: the registry, the permissions command and the runner rely on it."""
        collector = self.collector(tmp_path)
        assert isinstance(collector, Collector)
        assert type(collector).__name__ == "".join(part.capitalize() for part in collector.name.split("_"))
        assert type(collector).__module__.split(".")[-1] == collector.name
        assert collector.reads
        assert collector.parallel >= 1

    def test_targets_are_distinct_stable_and_picklable(self, tmp_path: Path) -> None:
        """A target is a value: it travels to a worker, and two listings name the same ones."""
        collector = self.collector(tmp_path)
        targets = list(collector.targets())
        assert targets
        assert len(targets) == len({t.locator for t in targets})
        assert targets == list(copy.copy(collector).targets())
        assert targets == pickle.loads(pickle.dumps(targets))  # noqa: S301  # our own bytes
        assert {t.collector for t in targets} == {collector.name}

    def test_rows_name_their_collector_and_target(self, tmp_path: Path) -> None:
        """What a row says of itself is what joins it with its reading."""
        targets, rows = self.read(tmp_path)
        known = {(t.collector, t.locator) for t in targets}
        assert rows
        assert all(isinstance(row, Row) for row in rows)
        assert {(row.collector, row.target) for row in rows} <= known

    def test_no_two_sightings_have_one_place(self, tmp_path: Path) -> None:
        """A place and a key type name one sighting; otherwise comparing two runs would mix them up."""
        _, rows = self.read(tmp_path)
        places = Counter((row.locator, row.key_type) for row in rows if isinstance(row, Key))
        assert [] == [place for place, count in places.items() if count > 1]

    def test_reading_twice_gives_the_same_rows(self, tmp_path: Path) -> None:
        """Collecting is idempotent: a worker that died is simply asked again."""
        assert sorted(map(repr, self.read(tmp_path)[1])) == sorted(map(repr, self.read(tmp_path)[1]))

    def test_unknown_is_none_and_times_are_utc(self, tmp_path: Path) -> None:
        """No empty strings, no naive times."""
        _, rows = self.read(tmp_path)
        for row in rows:
            values = {name: getattr(row, name) for name in row.__slots__}
            assert [] == [name for name, value in values.items() if value == ""]
            times = [value for value in values.values() if isinstance(value, datetime)]
            assert all(time.utcoffset() == timedelta(0) for time in times)

    def test_rows_fit_the_tables(self, tmp_path: Path) -> None:
        """Every row goes into its table without loss of type."""
        _, rows = self.read(tmp_path)
        builder = Builder()
        for row in rows:
            builder.add(row)
        inv = Inventory.of(builder)
        assert len(rows) == sum(len(inv.table(name)) for name in RUN_TABLES if name != "readings")
