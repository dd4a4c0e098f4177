"""Several services read by one collector: each has targets of its own, so what one refuses hides nothing of another's.

services = Services("aws_secrets", {"secretsmanager": False, "ssm": False}, reads=…, scope=…)
services.targets(); services.read(target, {"secretsmanager": self._secrets, "ssm": self._parameters})
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from collectors._aws.estate import Estate
from collectors._aws.journal import Journal
from collectors._aws.place import Place
from collectors._aws.scope import Scope
from toolkit.model import Row, Target

Rows = Callable[[Place], Iterator[Row]]


class Services:
    """One estate a service. `services` are botocore's names; true where a service knows no regions."""

    def __init__(self, collector: str, services: Mapping[str, bool], *, reads: tuple[str, ...], scope: Scope) -> None:
        self._is_global = dict(services)
        self._estates = {name: Estate(collector, name, reads=reads, scope=scope) for name in services}

    def targets(self) -> Iterator[Target]:
        """Account by account and region by region, a service after the other."""
        for name, estate in self._estates.items():
            yield from estate.targets(is_global=self._is_global[name])

    def read(self, target: Target, rows: Mapping[str, Rows]) -> Iterator[Row]:
        """A target's service is the last part of its locator."""
        name = target.locator.rpartition("/")[2]
        yield from self._estates[name].read(target, rows[name])

    def facts(self, service: str, place: Place) -> Journal:
        """What never changes, kept between runs."""
        return self._estates[service].facts(place)


def is_offered(place: Place, service: str) -> bool:
    """Whether a service is in a place's region, by botocore's own data; one that it does not know is asked."""
    known = place.known_regions(place.partition, service)
    return not known or place.region in known
