"""Policy documents, read into values: versions 2008-10-17 and 2012-10-17, of identities and of resources.

Pure. A document that is not of the grammar is a `Malformed`, which says where and what, never more of the text than the
name of an element: the caller makes it a Gap. Operators nobody knows are kept; they make answers unknown.

Equal texts are one object: the keys of an account mostly share their policy, and what is computed of a document is
kept with it.

Source: IAM user guide, "Grammar of the IAM JSON policy language" (an element twice is an error) and "IAM JSON policy
elements: Principal"; KMS developer guide, "Key policies in AWS KMS: overview" (a statement without Resource has no
effect).

>>> told = parse('{"Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}}')
>>> told.statements[0].actions
('kms:Decrypt',)
>>> parse('{"Statement": {"Effect": "Maybe"}}')
Malformed(reason='Effect is neither Allow nor Deny', where='Statement[0]')
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

VERSIONS: Final = ("2008-10-17", "2012-10-17")
_ELEMENTS: Final = frozenset({"Version", "Id", "Statement"})
_BLOCKS: Final = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_KINDS: Final = ("AWS", "Service", "Federated", "CanonicalUser")
# IAM's and KMS's own limits are a tenth of this (IAM user guide, "IAM and AWS STS quotas").
_LONGEST: Final = 400_000
_KEPT: Final = 50_000


@dataclass(frozen=True, slots=True)
class Malformed:
    """What is not a policy document, and where. It stands in a document's place and makes answers unknown."""

    reason: str
    where: str = "document"


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator, one key, the values; the words are the document's own."""

    operator: str
    key: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.operator} {self.key}={','.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Principals:
    """Who a statement names, by kind. `is_everyone` is `"*"`, and `{"AWS": "*"}`, which is the same."""

    is_everyone: bool = False
    aws: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()
    canonical: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = (*self.aws, *self.services, *self.federated, *self.canonical)
        return "*" if self.is_everyone else ",".join(named)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One statement. `actions` are those that are *not* meant where `is_not_action`; so with resources, principals."""

    index: int
    sid: str | None
    allows: bool
    actions: tuple[str, ...]
    is_not_action: bool
    resources: tuple[str, ...]
    is_not_resource: bool
    principals: Principals | None
    is_not_principal: bool
    conditions: tuple[Condition, ...]
    has_variables: bool

    @property
    def name(self) -> str:
        """Its Sid, or its place in the document."""
        return self.sid or f"Statement[{self.index}]"


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A policy. Two of one text are one object, so comparing is comparing identities."""

    version: str
    statements: tuple[Statement, ...]
    digest: str


Policy = Document | Malformed

_interned: dict[bytes, Policy] = {}


def parse(text: str | bytes | Mapping[str, Any]) -> Policy:
    """The document of a text (JSON, or JSON in URL encoding, as IAM sends it) or of what was already decoded."""
    if isinstance(text, Mapping):
        try:
            text = json.dumps(text)
        except (TypeError, ValueError, RecursionError):
            return Malformed("not JSON")
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(text).digest()
    found = _interned.get(digest)
    if found is None:
        if len(_interned) >= _KEPT:
            _interned.clear()
        # Two threads may parse one text at once; both must go on with one object.
        found = _interned.setdefault(digest, _read(text, digest.hex()))
    return found


class _WrongError(Exception):
    def __init__(self, reason: str, where: str = "document") -> None:
        super().__init__(reason)
        self.told = Malformed(reason, where)


def _read(data: bytes, digest: str) -> Policy:
    if len(data) > _LONGEST:
        return Malformed("longer than any policy may be")
    try:
        text = data.decode()
        text = unquote(text, errors="strict") if text.lstrip()[:3].upper() == "%7B" else text
        told = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
        return _document(told, digest)
    except _WrongError as wrong:
        return wrong.told
    except UnicodeDecodeError:
        return Malformed("not UTF-8")
    except RecursionError:
        return Malformed("nested too deeply")
    except ValueError as failure:
        line = getattr(failure, "lineno", None)
        return Malformed("not JSON", f"line {line}" if line else "document")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) != len(pairs):
        raise _WrongError("an element stands there twice")
    return told


def _no_constant(_: str) -> Any:
    raise _WrongError("not JSON")


def _document(told: Any, digest: str) -> Document:
    if not isinstance(told, dict):
        raise _WrongError("not an object")
    if told.keys() - _ELEMENTS:
        raise _WrongError("an element that is not of the grammar")
    version = told.get("Version", VERSIONS[0])
    if version not in VERSIONS:
        raise _WrongError("a Version that is not of the grammar")
    if "Statement" not in told:
        raise _WrongError("no Statement")
    blocks = told["Statement"]
    blocks = blocks if isinstance(blocks, list) else [blocks]
    return Document(version, tuple(_statement(block, n, version) for n, block in enumerate(blocks)), digest)


def _statement(block: Any, index: int, version: str) -> Statement:
    where = f"Statement[{index}]"
    if not isinstance(block, dict):
        raise _WrongError("not an object", where)
    if block.keys() - _BLOCKS:
        raise _WrongError("an element that is not of the grammar", where)
    if block.get("Effect") not in {"Allow", "Deny"}:
        raise _WrongError("Effect is neither Allow nor Deny", where)
    sid = block.get("Sid")
    if sid is not None and not isinstance(sid, str):
        raise _WrongError("Sid is not a text", where)
    actions, is_not_action = _pair(block, "Action", where)
    if actions is None:
        raise _WrongError("neither Action nor NotAction", where)
    resources, is_not_resource = _pair(block, "Resource", where)
    principals, is_not_principal = _principals(block, where)
    conditions = _conditions(block.get("Condition", {}), where)
    words = [*(resources or ()), *(value for condition in conditions for value in condition.values)]
    return Statement(
        index=index,
        sid=sid or None,
        allows=block["Effect"] == "Allow",
        actions=actions,
        is_not_action=is_not_action,
        resources=resources or (),
        is_not_resource=is_not_resource,
        principals=principals,
        is_not_principal=is_not_principal,
        conditions=conditions,
        has_variables=version != VERSIONS[0] and any("${" in word for word in words),
    )


def _pair(block: dict[str, Any], name: str, where: str) -> tuple[tuple[str, ...] | None, bool]:
    given = [word for word in (name, f"Not{name}") if word in block]
    if len(given) == 2:
        raise _WrongError(f"{name} and Not{name} at once", where)
    if not given:
        return None, False
    return _texts(block[given[0]], f"{where}.{given[0]}"), given[0] != name


def _texts(told: Any, where: str) -> tuple[str, ...]:
    words = told if isinstance(told, list) else [told]
    if not all(isinstance(word, str) for word in words):
        raise _WrongError("neither a text nor a list of texts", where)
    return tuple(words)


def _principals(block: dict[str, Any], where: str) -> tuple[Principals | None, bool]:
    given = [word for word in ("Principal", "NotPrincipal") if word in block]
    if len(given) == 2:
        raise _WrongError("Principal and NotPrincipal at once", where)
    if not given:
        return None, False
    told, where = block[given[0]], f"{where}.{given[0]}"
    if told == "*":
        return Principals(is_everyone=True), given[0] != "Principal"
    if not isinstance(told, dict) or told.keys() - set(_KINDS):
        raise _WrongError("a principal that is not of the grammar", where)
    aws, services, federated, canonical = (_texts(told.get(kind, []), where) for kind in _KINDS)
    everyone = "*" in aws
    return Principals(everyone, () if everyone else aws, services, federated, canonical), given[0] != "Principal"


def _conditions(told: Any, where: str) -> tuple[Condition, ...]:
    where = f"{where}.Condition"
    if not isinstance(told, dict):
        raise _WrongError("not an object", where)
    found = []
    for operator, tests in told.items():
        if not isinstance(tests, dict):
            raise _WrongError("not an object", where)
        found += [Condition(operator, key, tuple(_values(values, where))) for key, values in tests.items()]
    return tuple(found)


def _values(told: Any, where: str) -> Iterable[str]:
    for value in told if isinstance(told, list) else [told]:
        if isinstance(value, bool):
            yield "true" if value else "false"
        elif isinstance(value, str | int | float):
            yield str(value)
        else:
            raise _WrongError("a value that is no text, number or boolean", where)
