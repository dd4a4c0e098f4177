"""Collect, and say what was and was not seen.

The only place that catches every exception: whatever a collector does wrong becomes a Gap, and the rest goes on.

Refuses to: say that a key is gone where its target was not read whole, or to keep half of an interrupted target.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from toolkit.errors import SourceDenied, SourceError, SourceUnreachable
from toolkit.executor import completed, pool
from toolkit.model import Gap, Reading, Target
from toolkit.progress import Watcher, summarise, watching
from toolkit.protocols import Collector
from toolkit.tables import Builder
from toolkit.terms import GapScope, GapStatus, ReadingStatus

_STATUS: Final[dict[type[SourceError], GapStatus]] = {
    SourceDenied: GapStatus.DENIED,
    SourceUnreachable: GapStatus.UNREACHABLE,
}
# A gap of these kinds hides no key: one field is unknown, or there was nothing to see.
_HARMLESS: Final = (GapStatus.NOT_APPLICABLE,)


def collect(
    collectors: Sequence[Collector], *, run_id: str, executor: Executor | None = None, show_progress: bool = True
) -> Builder:
    """Read all targets of the collectors, several at a time.

    A target that fails, or a collector that cannot even name its targets, is a Gap. Ctrl-C stops: targets read to
    their end are kept, the others are Gaps with status `interrupted`; a second Ctrl-C is raised.
    """
    clock, gathered = time.perf_counter(), Builder()
    for collector in collectors:
        with watching(collector.name, shown=show_progress) as watcher:
            if not _collect_one(collector, gathered, run_id, executor, watcher):
                break
    if show_progress:
        readings = gathered.arrow("readings").select(["rows", "gaps"]).to_pydict()
        summarise(len(readings["rows"]), sum(readings["rows"]), sum(readings["gaps"]), time.perf_counter() - clock)
    return gathered


def _collect_one(
    collector: Collector, gathered: Builder, run_id: str, executor: Executor | None, watcher: Watcher
) -> bool:
    """Gather one collector's targets; False if the user stopped it."""
    stop = threading.Event()
    targets = _Targets(collector, run_id)
    with pool(executor, collector.parallel) as workers:
        # An executor that was given may run elsewhere, where our flag cannot be seen; its targets run to their end.
        reader = _Reader(collector, run_id, stop.is_set if executor is None else _never)
        work = completed(workers, reader, targets, ahead=2 * collector.parallel)
        open_targets: dict[Target, None] = targets.handed_out
        try:
            for target, future in work:
                open_targets.pop(target, None)
                _keep(gathered, _result(target, future, run_id), watcher)
        except KeyboardInterrupt:
            stop.set()
            for target in [*open_targets, *targets]:
                _keep(gathered, _interrupted(target, run_id), watcher)
    for refused in targets.failures:
        _keep(gathered, refused, watcher)
    return not stop.is_set()


def _never() -> bool:
    return False


class _Targets:
    """A collector's targets, remembering which were handed out and whether naming them failed."""

    def __init__(self, collector: Collector, run_id: str) -> None:
        self.handed_out: dict[Target, None] = {}
        self.failures: list[tuple[Reading, Builder]] = []
        self._source = self._named(collector, run_id)

    def __iter__(self) -> Iterator[Target]:
        return self._source

    def _named(self, collector: Collector, run_id: str) -> Iterator[Target]:
        try:
            for target in collector.targets():
                self.handed_out[target] = None
                yield target
        except Exception as failure:  # noqa: BLE001  # the runner's promise: a failure is a Gap
            nowhere = Target(collector=collector.name, locator=f"{collector.name}:", label="naming the targets")
            self.failures.append(_failed(nowhere, failure, run_id))


class _Reader:
    """Reads one target into a builder of its own, so that half a target can be thrown away."""

    def __init__(self, collector: Collector, run_id: str, is_stopped: Callable[[], bool]) -> None:
        self._collector, self._run_id, self._is_stopped = collector, run_id, is_stopped

    def __call__(self, target: Target) -> tuple[Reading, Builder]:
        clock, started_at = time.perf_counter(), datetime.now(UTC)
        builder = Builder()
        status, rows, gaps = ReadingStatus.READ, 0, 0
        try:
            for row in self._collector.collect(target):
                if self._is_stopped():
                    return _interrupted(target, self._run_id)
                builder.add(row)
                rows += 1
                if isinstance(row, Gap):
                    gaps += 1
                    if row.scope is not GapScope.FIELD and row.status not in _HARMLESS:
                        status = ReadingStatus.PARTIAL
        except Exception as failure:  # noqa: BLE001  # the runner's promise: a failure is a Gap
            builder.add(_gap(target, failure))
            rows, gaps = rows + 1, gaps + 1
            status = ReadingStatus.PARTIAL if rows > 1 else ReadingStatus.FAILED
        seconds = time.perf_counter() - clock
        return _reading(target, self._run_id, status, rows, gaps, seconds, started_at), builder


def _reading(
    target: Target, run_id: str, status: ReadingStatus, rows: int, gaps: int, seconds: float, started_at: datetime
) -> Reading:
    return Reading(
        collector=target.collector,
        target=target.locator,
        label=target.label,
        status=status,
        rows=rows,
        gaps=gaps,
        seconds=seconds,
        started_at=started_at,
        run_id=run_id,
    )


def _keep(gathered: Builder, result: tuple[Reading, Builder], watcher: Watcher) -> None:
    reading, builder = result
    gathered.extend(builder)
    gathered.add(reading)
    watcher(reading)


def _result(target: Target, future: Future[tuple[Reading, Builder]], run_id: str) -> tuple[Reading, Builder]:
    failure = future.exception()
    # A worker that died (a cluster's, a process pool's) leaves its exception in the future.
    return future.result() if failure is None else _failed(target, failure, run_id)


def _failed(target: Target, failure: BaseException, run_id: str) -> tuple[Reading, Builder]:
    builder = Builder()
    builder.add(_gap(target, failure))
    return _reading(target, run_id, ReadingStatus.FAILED, 1, 1, 0.0, datetime.now(UTC)), builder


def _interrupted(target: Target, run_id: str) -> tuple[Reading, Builder]:
    builder = Builder()
    builder.add(
        Gap(
            collector=target.collector,
            target=target.locator,
            locator=target.locator,
            scope=GapScope.TARGET,
            status=GapStatus.INTERRUPTED,
            reason="stopped by the user before it was read whole",
            advice="collect again",
        )
    )
    return _reading(target, run_id, ReadingStatus.INTERRUPTED, 1, 1, 0.0, datetime.now(UTC)), builder


def _gap(target: Target, failure: BaseException) -> Gap:
    known = isinstance(failure, SourceError)
    return Gap(
        collector=target.collector,
        target=target.locator,
        locator=target.locator,
        scope=GapScope.TARGET,
        status=_STATUS.get(type(failure), GapStatus.ERROR) if isinstance(failure, SourceError) else GapStatus.ERROR,
        # A stranger's exception text may quote what it choked on, so only its kind and place are told.
        reason=failure.message if isinstance(failure, SourceError) else f"failed unexpectedly at {_place(failure)}",
        code=None if known else type(failure).__name__,
        advice=(failure.advice or None)
        if isinstance(failure, SourceError)
        else "report this as a bug of the collector",
    )


def _place(failure: BaseException) -> str:
    frames = traceback.extract_tb(failure.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"
