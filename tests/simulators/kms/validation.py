"""Parameters checked as the service checks them: botocore's own model of the inputs, plus what only the text says.

The model's bounds are looser than the service's in a few places (PendingWindowInDays is 1..365 there, 7..30 in the
documentation), so `TIGHTER` holds the documented ones.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import botocore.model
import botocore.session
from simulators.kms.errors import ServiceError, invalid

TIGHTER: dict[tuple[str, str], dict[str, int]] = {
    ("ScheduleKeyDeletion", "PendingWindowInDays"): {"min": 7, "max": 30},
    ("ListAliases", "Limit"): {"max": 100},
    ("ListGrants", "Limit"): {"max": 100},
    ("ListRetirableGrants", "Limit"): {"max": 100},
    ("ListResourceTags", "Limit"): {"max": 50},
}
KINDS = {"string": str, "boolean": bool, "integer": int, "long": int, "list": list, "map": dict, "structure": dict,
         "blob": str}  # fmt: skip


@functools.cache
def service(name: str = "kms") -> botocore.model.ServiceModel:
    """botocore's model of a service; read once, as that takes a while."""
    return botocore.session.get_session().get_service_model(name)


@functools.cache
def shape_of(operation: str, name: str = "kms") -> botocore.model.Shape | None:
    """The input shape of an operation."""
    return service(name).operation_model(operation).input_shape


def check(operation: str, params: dict[str, Any]) -> None:
    """Refuse parameters that the service would refuse.

    Raises:
        ServiceError: ValidationException with the first thing wrong, or SerializationException for a wrong type.
    """
    shape = shape_of(operation)
    for name in shape.required_members:
        if params.get(name) is None:
            raise invalid("Member must not be null", at=name, value=None)
    for name, value in params.items():
        member = shape.members.get(name)
        if member is not None:
            bounds = member.metadata | TIGHTER.get((operation, name), {})
            _check(member, value, name, bounds)


def _check(shape: botocore.model.Shape, value: Any, at: str, bounds: dict[str, Any]) -> None:
    kind = KINDS.get(shape.type_name)
    if kind is not None and not isinstance(value, kind):
        raise ServiceError("SerializationException", f"{at} is no {shape.type_name}")
    if shape.type_name == "string":
        _check_string(shape, value, at, bounds)
    elif shape.type_name in ("integer", "long"):
        _check_range(value, at, value, bounds, "value")
    elif shape.type_name == "list":
        _check_range(len(value), at, value, bounds, "length")
        for number, item in enumerate(value, 1):
            _check(shape.member, item, f"{at}.{number}.member", shape.member.metadata)
    elif shape.type_name == "structure":
        for name in shape.required_members:
            if value.get(name) is None:
                raise invalid("Member must not be null", at=f"{at}.{name}", value=None)
        for name, item in value.items():
            if name in shape.members:
                _check(shape.members[name], item, f"{at}.{name}", shape.members[name].metadata)


def _check_string(shape: botocore.model.Shape, value: str, at: str, bounds: dict[str, Any]) -> None:
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        raise invalid(f"Member must satisfy enum value set: [{', '.join(enum)}]", at=at, value=value)
    _check_range(len(value), at, value, bounds, "length")
    pattern = bounds.get("pattern")
    if pattern and not _pattern(pattern).fullmatch(value):
        raise invalid(f"Member must satisfy regular expression pattern: {pattern}", at=at, value=value)


def _check_range(size: int, at: str, value: object, bounds: dict[str, Any], what: str) -> None:
    if size < bounds.get("min", size):
        raise invalid(f"Member must have {what} greater than or equal to {bounds['min']}", at=at, value=value)
    if size > bounds.get("max", size):
        raise invalid(f"Member must have {what} less than or equal to {bounds['max']}", at=at, value=value)


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
