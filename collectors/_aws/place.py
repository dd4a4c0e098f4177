"""An account in a region, open for reading: one question, all pages of a list, many questions at once.

Every question is answered, or raises `CallFailed`, whose `trouble` makes a Gap; nothing else comes out of botocore.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from collectors._aws import troubles
from collectors._aws.corridor import CallForbidden
from collectors._aws.journal import Journal, key_of
from collectors._aws.troubles import CallFailed
from toolkit.model import Target

if TYPE_CHECKING:
    from collectors._aws.sessions import Account

Answer = dict[str, Any]
Keep = Callable[[Any], Any]
Result = TypeVar("Result")

_SLOW_LANE: Final = 8
# A service that pages in circles is not followed for ever.
_MOST_PAGES: Final = 100_000


class Stopped(Exception):
    """The target is not read any more; what was still to be asked is not."""


def whole(answer: Any) -> Any:
    """Keep all of an answer. Only for answers that can hold no secret."""
    return answer


class Place:
    """What a collector's `rows` are read through. `lanes` are the threads shared by all places."""

    def __init__(self, target: Target, account: Account, *, lanes: Executor, journal: Journal | None) -> None:
        options = dict(target.options)
        self.target, self.account, self.region = target, options["account"], options["region"]
        self.partition = options["partition"]
        self._account, self._fast, self._journal = account, lanes, journal
        self._slow: ThreadPoolExecutor | None = None
        self._stop = threading.Event()

    def ask(
        self, service: str, operation: str, params: Mapping[str, Any] | None = None, *,
        keep: Keep | None = None, region: str | None = None,
    ) -> Any:  # fmt: skip
        """The answer to one question, as `keep` shapes it; with `keep`, an answer of the killed run before is taken.

        Raises:
            CallFailed: with the trouble.
        """
        question = None
        if keep is not None and self._journal is not None:
            question = key_of(service, operation, params, region)
            known = self._journal.get(question)
            if known is not None:
                return known
        answer: Any = self._called(service, operation, params or {}, region or self.region)
        if keep is not None:
            answer = keep(answer)
        if question is not None and self._journal is not None:
            self._journal.put(question, answer)
        return answer

    def _called(self, service: str, operation: str, params: Mapping[str, Any], region: str) -> Answer:
        if self._stop.is_set():
            raise Stopped
        try:
            if not self._account.knows(service, operation, account=self.account, region=region):
                raise CallFailed(troubles.not_known(service, operation))
            answer: Answer = self._account.ask(service, operation, params, account=self.account, region=region)
        except self._account.failures as failure:
            # `from None`: a service's own words may hold what was signed.
            raise CallFailed(troubles.of(service, operation, failure)) from None
        answer.pop("ResponseMetadata", None)
        return answer

    def pages(
        self, service: str, operation: str, items: str, params: Mapping[str, Any] | None = None, *,
        keep: Keep | None = None, region: str | None = None,
    ) -> Iterator[Any]:  # fmt: skip
        """Every item of a list, page by page; `items` is a JMESPath. What came before a failure has been yielded.

        `keep` shapes an item and makes it part of what a killed run need not ask again.
        """
        import jmespath

        paging = self._account.paging(service, operation)
        chosen, following = jmespath.compile(items), dict(params or {})

        def kept(answer: Answer) -> Answer:
            token = _next(paging, answer)
            found = chosen.search(answer) or []
            return {"items": [keep(item) for item in found] if keep else found, "token": token}

        for _ in range(_MOST_PAGES):
            if keep is None:
                page = kept(self.ask(service, operation, following, region=region))
            else:
                page = self.ask(service, operation, following, keep=kept, region=region)
            yield from page["items"]
            if page["token"] is None or paging is None:
                return
            given = {**following, **page["token"]}
            if given == following:
                return
            following = given

    @property
    def home(self) -> str:
        """A region to ask what is asked of no region in particular."""
        return self._account.home(f"arn:{self.partition}:")

    def known_regions(self, partition: str, service: str) -> list[str]:
        """The regions that botocore's own data knows a service in."""
        return self._account.known_regions(partition, service)

    def fast(self, do: Callable[..., Result], *words: Any) -> Future[Result]:
        """Ask on one of the threads that all places share."""
        return self._fast.submit(self._unless_stopped, do, *words)

    def slow(self, do: Callable[..., Result], *words: Any) -> Future[Result]:
        """Ask on a lane of this place's own, for what has a small quota: it must not hold up the rest."""
        if self._slow is None:
            self._slow = ThreadPoolExecutor(_SLOW_LANE, thread_name_prefix="keyatlas-slow")
        return self._slow.submit(self._unless_stopped, do, *words)

    def _unless_stopped(self, do: Callable[..., Result], *words: Any) -> Result:
        if self._stop.is_set():
            raise Stopped
        return do(*words)

    def close(self) -> None:
        """Ask nothing more: what is still waiting ends at once."""
        self._stop.set()
        if self._slow is not None:
            self._slow.shutdown(wait=True, cancel_futures=True)
        if self._journal is not None:
            self._journal.close()


def attempt(ask: Callable[..., Result], *words: Any, **more: Any) -> Result | troubles.Trouble:
    """The answer, or the trouble as a value."""
    try:
        return ask(*words, **more)
    except CallFailed as failure:
        return failure.trouble


def _next(paging: Mapping[str, Any] | None, answer: Answer) -> dict[str, Any] | None:
    """The parameters that ask for the page after this one."""
    if paging is None:
        return None
    import jmespath

    more = paging.get("more_results")
    if more is not None and not jmespath.search(more, answer):
        return None
    inputs, outputs = _many(paging["input_token"]), _many(paging["output_token"])
    found = {name: jmespath.search(path, answer) for name, path in zip(inputs, outputs, strict=True)}
    found = {name: value for name, value in found.items() if value not in (None, "")}
    return found or None


def _many(told: str | list[str]) -> list[str]:
    return told if isinstance(told, list) else [told]


__all__ = ["Answer", "CallFailed", "CallForbidden", "Place", "Stopped", "attempt", "whole"]
