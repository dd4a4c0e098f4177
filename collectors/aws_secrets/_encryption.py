"""Which key encrypts a secret: named by id, ARN or alias, told as the uid that `aws_kms` gives that key."""

from __future__ import annotations

from collectors._aws.names import key_arn, key_uid
from collectors._aws.place import Place, attempt
from collectors._aws.troubles import Trouble
from toolkit.terms import GapStatus

_ELSEWHERE = "its key is named by an alias that is not of this account and region, or points at no key"


class Encryption:
    """The keys of one place by the names that services give them; aliases are listed when the first is met."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._aliases: dict[str, str] | Trouble | None = None

    def uid(self, name: str) -> str | Trouble:
        """The uid of the key that is named so."""
        place, aliases = self._place, {}
        if "alias/" in name:
            found = self._listed()
            if isinstance(found, Trouble):
                return found
            aliases = found
        arn = key_arn(name, place.partition, place.region, place.account, aliases)
        return Trouble(GapStatus.ERROR, _ELSEWHERE) if arn is None else key_uid(arn)

    def _listed(self) -> dict[str, str] | Trouble:
        if self._aliases is None:
            self._aliases = attempt(_aliases, self._place)
        return self._aliases


def _aliases(place: Place) -> dict[str, str]:
    pages = place.pages("kms", "ListAliases", "Aliases", {"Limit": 100}, keep=_named)
    return {name: key for name, key in pages if key}


def _named(listed: dict[str, str]) -> list[str | None]:
    return [listed["AliasName"], listed.get("TargetKeyId")]
