"""Asking a credential's own service whether it still takes it: only when told to, one request a second.

The table of endpoints says which rule's values are shown to which address, and what its answers mean. The values go
nowhere else: no redirect is followed, and nothing of a request or an answer is kept.
Refuses to: ask over plain HTTP, but for this machine itself; ask twice for one value in a run.

>>> endpoints_of('[[endpoints]]\\nrule = "a"\\nurl = "https://api.test/me"\\nalive = [200]\\ndead = [401]\\n')["a"].url
'https://api.test/me'
"""

from __future__ import annotations

import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from toolkit.errors import ConfigError
from toolkit.terms import Liveness

STANDARD: Final = "standard"
"""Stands for the table that ships with keyatlas."""
_SECONDS: Final = 10.0
_BETWEEN: Final = 1.0
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where values of a rule are shown, and what the answers mean."""

    rule: str
    url: str
    alive: tuple[int, ...]
    dead: tuple[int, ...]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


def endpoints_of(text: str) -> dict[str, Endpoint]:
    """The endpoints of a table, by rule; `{secret}` in a URL or a header stands for the value.

    Raises:
        ConfigError: the table is not one, or would send values over plain HTTP.
    """
    try:
        tables: list[dict[str, Any]] = tomllib.loads(text)["endpoints"]
        found = [Endpoint(**{**t, "alive": tuple(t["alive"]), "dead": tuple(t["dead"])}) for t in tables]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as failure:
        raise ConfigError("not a table of endpoints", advice="see toolkit/liveness.toml for its form") from failure
    for endpoint in found:
        place = urlsplit(endpoint.url)
        if place.scheme != "https" and not (place.scheme == "http" and place.hostname in _LOCAL):
            raise ConfigError(f"{endpoint.rule}: values are shown over https only", advice="correct the endpoint's url")
    return {endpoint.rule: endpoint for endpoint in found}


def load(name: str) -> dict[str, Endpoint]:
    """The standard table, or that of a file."""
    if name == STANDARD:
        return endpoints_of((resources.files("toolkit") / "liveness.toml").read_text("utf-8"))
    try:
        return endpoints_of(Path(name).expanduser().read_text("utf-8"))
    except OSError as failure:
        raise ConfigError(f"{name}: {failure.strerror}", advice="name a table of endpoints, or `standard`") from failure


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take the value elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Asker:
    """Asks for each value once, and not faster than a second apart."""

    def __init__(self, endpoints: Mapping[str, Endpoint], *, between: float = _BETWEEN) -> None:
        self.endpoints = endpoints
        self._between = between
        self._next = 0.0
        self._told: dict[str, tuple[str, str]] = {}
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, rule: str, uid: str, value: bytes) -> tuple[str, str]:
        """Liveness and time of the answer (ISO 8601)."""
        if uid not in self._told:
            time.sleep(max(0.0, self._next - time.monotonic()))
            said = self._asked(self.endpoints[rule], value)
            self._next = time.monotonic() + self._between
            self._told[uid] = said.value, datetime.now(UTC).isoformat()
        return self._told[uid]

    def _asked(self, endpoint: Endpoint, value: bytes) -> Liveness:
        text = value.decode("utf-8", "replace")
        headers = {name: said.replace("{secret}", text) for name, said in endpoint.headers.items()}
        url = endpoint.url.replace("{secret}", quote(text, safe=""))
        try:
            request = urllib.request.Request(url, method=endpoint.method, headers={"User-Agent": "keyatlas", **headers})  # noqa: S310  # the scheme was checked
            with self._opener.open(request, timeout=_SECONDS) as answer:
                status = answer.status
        except urllib.error.HTTPError as refusal:
            status = refusal.code
            refusal.close()
        except (OSError, ValueError):
            return Liveness.UNKNOWN
        if status in endpoint.alive:
            return Liveness.ALIVE
        return Liveness.DEAD if status in endpoint.dead else Liveness.UNKNOWN
