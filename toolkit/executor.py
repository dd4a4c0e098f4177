"""Work spread over a `concurrent.futures.Executor`: local threads unless another is given.

Refuses to: retry, order or collect results. It keeps the pool fed and hands each future over as it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@contextmanager
def pool(executor: Executor | None, parallel: int) -> Iterator[Executor]:
    """The given executor, left open; or threads of our own, closed at the end."""
    if executor is not None:
        yield executor
        return
    threads = ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="keyatlas")
    try:
        yield threads
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def completed(
    executor: Executor, do: Callable[[Task], Result], tasks: Iterable[Task], *, ahead: int
) -> Iterator[tuple[Task, Future[Result]]]:
    """Each task with its future as soon as that is done; no more than `ahead` are handed out at a time.

    `tasks` is drawn lazily, so a source that names a million of them costs no memory.
    """
    left = iter(tasks)
    running = {executor.submit(do, task): task for task in islice(left, ahead)}
    while running:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield running.pop(future), future
        for task in islice(left, ahead - len(running)):
            running[executor.submit(do, task)] = task
