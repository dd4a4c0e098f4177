"""What a key protects: the volumes, buckets, databases, queues and secrets that name it; what its destruction loses.

Each service's things are listed once and grouped by key; asking per key which things it protects would cost as many
calls as there are keys. Where the key stands in an answer is data: `protects.toml`. A service that may not be asked is
a Gap: then what a key protects is not all known.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jmespath

from collectors._aws.names import key_arn, key_uid
from collectors._aws.permissions import permission
from collectors._aws.place import Place, attempt
from collectors._aws.troubles import Trouble
from toolkit.model import Relation, Row
from toolkit.terms import GapStatus, RelationKind

_FIELD: Final = "protects"
_NOT_HERE: Final = "{thing} names a key that is not of this account and region, or an alias that was not listed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One service's list, and where the key stands in it."""

    service: str
    operation: str
    items: str
    kind: str
    name: str = "{thing}"
    params: Mapping[str, Any] = field(default_factory=dict)
    each: str | None = None
    parameter: str = ""
    each_params: Mapping[str, Any] = field(default_factory=dict)
    found: str = ""
    is_url: bool = False

    @property
    def actions(self) -> tuple[str, ...]:
        """The permissions that it takes."""
        operations = filter(None, (self.operation, self.each))
        return tuple(permission(self.service, operation) for operation in operations)


@cache
def calls() -> tuple[Call, ...]:
    """All of them, from the table."""
    told = tomllib.loads(files("collectors.aws_kms").joinpath("protects.toml").read_text())["calls"]
    renamed = {"with": "params", "each_with": "each_params"}
    return tuple(Call(**{renamed.get(name, name): value for name, value in one.items()}) for one in told)


PROTECTS_READS: Final = tuple(dict.fromkeys(action for call in calls() for action in call.actions))

# A thing, and the keys it names.
Named = list[Any]


def protected(place: Place, aliases: Mapping[str, str]) -> Iterator[Row]:
    """One Relation a thing and key; `aliases` are the ids of the place's keys by alias."""
    asked: list[tuple[Call, Future[list[Named | Trouble] | Trouble]]] = []
    for call in calls():
        offered = place.known_regions(place.partition, call.service)
        if not offered or place.region in offered:
            asked.append((call, place.fast(attempt, _listed, place, call)))
    for call, future in asked:
        found = future.result()
        if isinstance(found, Trouble):
            yield found.gap(place.target, locator=place.target.locator, field=_FIELD)
        else:
            yield from _relations(place, call, _completed(place, call, found), aliases)


def _listed(place: Place, call: Call) -> list[Named]:
    """Pairs; or, where a second call tells, what it is to be asked with."""
    params = {name: _filled(value, place) for name, value in call.params.items()}
    return list(place.pages(call.service, call.operation, call.items, params, keep=_projected))


def _projected(item: Any) -> Any:
    """What `items` chose, and nothing more of the answer, is what a killed run keeps."""
    return item


def _filled(value: Any, place: Place) -> Any:
    return value.format(region=place.region) if isinstance(value, str) else value


def _completed(place: Place, call: Call, found: list[Any]) -> Iterator[tuple[str, list[str] | Trouble]]:
    """Each thing's ARN, and its keys or why they are not known."""
    if call.each is None:
        for thing, *keys in found:
            yield _arn(place, call, thing), [key for key in keys if key]
        return
    futures = [(thing, place.fast(attempt, _asked, place, call, thing)) for thing in found]
    for thing, future in futures:
        told = future.result()
        if isinstance(told, Trouble) and told.is_gone:
            # Not encrypted by a key, or gone since it was listed: either way nothing to lose.
            continue
        yield _arn(place, call, thing), told


def _asked(place: Place, call: Call, thing: str) -> list[str]:
    chosen = jmespath.compile(call.found)

    def keys(answer: Any) -> list[str]:
        found = chosen.search(answer)
        return [key for key in (found if isinstance(found, list) else [found]) if key]

    params = {call.parameter: thing, **call.each_params}
    found: list[str] = place.ask(call.service, str(call.each), params, keep=keys)
    return found


def _arn(place: Place, call: Call, thing: str) -> str:
    word = thing.rpartition("/")[2] if call.is_url else thing
    if word.startswith("arn:"):
        return word
    return call.name.format(
        partition=place.partition, region=place.region, account=place.account, thing=word.removeprefix("/")
    )


def _relations(
    place: Place, call: Call, things: Iterator[tuple[str, list[str] | Trouble]], aliases: Mapping[str, str]
) -> Iterator[Row]:
    for thing, keys in things:
        if isinstance(keys, Trouble):
            yield keys.gap(place.target, locator=thing, field=_FIELD)
            continue
        named = {name: key_arn(name, place.partition, place.region, place.account, aliases) for name in keys}
        for arn in dict.fromkeys(filter(None, named.values())):
            yield Relation(
                subject_uid=key_uid(arn), collector=place.target.collector, target=place.target.locator, locator=arn,
                kind=RelationKind.PROTECTS, object=thing, object_kind=call.kind, account=place.account,
                region=place.region,
            )  # fmt: skip
        if None in named.values():
            told = Trouble(GapStatus.ERROR, _NOT_HERE.format(thing=call.kind))
            yield told.gap(place.target, locator=thing, field=_FIELD)
