"""Every answer held against botocore's model of the service: no member it does not know, every enum one of its own.

Stricter than a client, which drops what it does not know: `problems` walks the answer itself, and then lets botocore's
own parser read it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any

import botocore.model
import botocore.parsers
from simulators.kms import cbor
from simulators.kms.validation import service

# Errors that any operation may have, which the models of the services do not list.
COMMON = {
    "AccessDeniedException", "ExpiredTokenException", "InternalFailure", "MissingAuthenticationTokenException",
    "NotAuthorizedException", "SerializationException", "ServiceUnavailable", "ThrottlingException",
    "UnknownOperationException", "UnrecognizedClientException", "ValidationException",
}  # fmt: skip
MODELS = {"tagging": "resourcegroupstaggingapi"}
# The members' texts in the model are bounds of what may be sent; a listing may have more pages than one.
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "integer": (int,), "long": (int,), "timestamp": (int, float), "list": (list,),
    "map": (dict,), "structure": (dict,), "blob": (str, bytes),
}  # fmt: skip


def problems(name: str, operation: str, status: int, body: bytes, kind: str) -> list[str]:
    """What is wrong with an answer; nothing when it is as the model has it."""
    try:
        model = service(MODELS.get(name, name)).operation_model(operation)
    except botocore.model.OperationNotFoundError:
        return []
    where = f"{name}:{operation}"
    parsed = _parsed(model, status, body, kind)
    if status != 200:
        code = parsed.get("Error", {}).get("Code")
        known = COMMON | {shape.name for shape in model.error_shapes}
        is_query = kind == "text/xml"  # there the models list no errors worth the name
        return (
            [] if code in known or (is_query and code) else [f"{where} answers {code}, which its model does not know"]
        )
    if kind == "text/xml":
        return [] if len(parsed) > 1 else [f"{where} cannot be parsed"]
    value = cbor.loads(body) if kind == "application/cbor" else json.loads(body or b"{}")
    if model.output_shape is None:
        return [f"{where} has no output, and answers {value}"] if value else []
    return list(_walk(model.output_shape, value, where))


def _parsed(model: botocore.model.OperationModel, status: int, body: bytes, kind: str) -> dict[str, Any]:
    protocol = {"text/xml": model.service_model.metadata["protocol"], "application/cbor": "smithy-rpc-v2-cbor"}
    parser = botocore.parsers.create_parser(protocol.get(kind, "json"))
    headers = {"content-type": kind}
    return parser.parse({"headers": headers, "body": body, "status_code": status, "context": {}}, model.output_shape)


def _walk(shape: botocore.model.Shape, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, TYPES[shape.type_name]) or (shape.type_name != "boolean" and isinstance(value, bool)):
        yield f"{where} is {value!r}, and should be a {shape.type_name}"
        return
    if shape.type_name == "structure":
        yield from (f"{where}.{name} is not in the model" for name in set(value) - set(shape.members))
        yield from (f"{where}.{name} is required" for name in shape.required_members if name not in value)
        for name in set(value) & set(shape.members):
            yield from _walk(shape.members[name], value[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from _walk(shape.member, item, f"{where}[]")
    elif shape.type_name == "map":
        for item in value.values():
            yield from _walk(shape.value, item, f"{where}{{}}")
    else:
        yield from _scalar(shape, value, where)


def _scalar(shape: botocore.model.Shape, value: Any, where: str) -> Iterator[str]:
    bounds = shape.metadata
    size = len(_decoded(value)) if shape.type_name == "blob" else len(value) if isinstance(value, str) else value
    if not bounds.get("min", size) <= size <= bounds.get("max", size):
        yield f"{where} is {value!r}, out of {bounds}"
    if getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{where} is {value!r}, none of {shape.enum}"
    if "pattern" in bounds and isinstance(value, str) and not re.search(bounds["pattern"], value):
        yield f"{where} is {value!r}, and should match {bounds['pattern']}"


def _decoded(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""
