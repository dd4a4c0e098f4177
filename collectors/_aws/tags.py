"""Whose it is and what it serves, from tags: which tag means what is the organisation's choice, not AWS's.

>>> told = Tagging(("owner=Squad",)).facts({"squad": "payments", "Env": "prod"})
>>> told["owner"], told["environment"], told["tags"]
('payments', 'prod', ('Env=prod', 'squad=payments'))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from collectors._aws.place import Place
from toolkit.errors import ConfigError

_USUAL: Final[dict[str, tuple[str, ...]]] = {
    "owner": ("owner", "team", "custodian", "business-owner", "technical-owner", "contact"),
    "application": ("application", "app", "service", "system", "project", "application-id"),
    "environment": ("environment", "env", "stage"),
    "data_class": ("data-class", "data-classification", "classification", "confidentiality", "sensitivity"),
}


class Tagging:
    """Which tags mean what. `names` are pairs `owner=Squad`, before a field's usual names; case is no matter."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._names = {field: list(usual) for field, usual in _USUAL.items()}
        for place, pair in enumerate(names):
            field, equals, name = pair.partition("=")
            if not equals or field not in self._names or not name:
                advice = f"write FIELD=TAG, FIELD one of {', '.join(_USUAL)}"
                raise ConfigError("a tag's meaning is not given as it must be", advice=advice)
            self._names[field].insert(place, name)

    def facts(self, tags: Mapping[str, str]) -> dict[str, Any]:
        """The row's fields that tags tell; an empty value tells nothing."""
        folded = {_folded(name): value for name, value in tags.items() if value}
        told: dict[str, Any] = {
            field: next((folded[_folded(name)] for name in names if _folded(name) in folded), None)
            for field, names in self._names.items()
        }
        return told | {"tags": tuple(sorted(f"{name}={value}" for name, value in tags.items()))}


def tags_by_arn(place: Place, kind: str) -> dict[str, dict[str, str]]:
    """Tags of all resources of a kind (`ssm:parameter`) by ARN. What was never tagged is not in the list: has none."""
    asked = {"ResourceTypeFilters": [kind], "ResourcesPerPage": 100}
    found = place.pages("resourcegroupstaggingapi", "GetResources", "ResourceTagMappingList", asked, keep=_whole)
    return {one["ResourceARN"]: plain(one.get("Tags")) for one in found}


def _whole(listed: Any) -> Any:
    return listed


def plain(told: Any) -> dict[str, str]:
    """The pairs of a service's list of tags."""
    return {tag["Key"]: tag.get("Value", "") for tag in told or ()}


def _folded(name: str) -> str:
    return name.rpartition(":")[2].casefold().replace("_", "-").replace(" ", "-")
