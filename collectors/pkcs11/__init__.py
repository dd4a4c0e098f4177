"""PKCS#11 tokens: what each holds, how well it is kept, how far it may be trusted.

A module is loaded in a child process only, one a module, so one that hangs, crashes or corrupts costs itself and is a
Gap. Sessions are read-only. A PIN comes by handle (`env:NAME`, `file:PATH`, or `protected` for a token with a keypad),
and is tried once per token, never when the token says that few tries are left.

Refuses to: change a token, read a key's value, or try a PIN twice.

>>> Pkcs11(pin="1234")
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: the PIN is given by its value. Next: give a handle: env:NAME, file:PATH or protected
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

from collectors.pkcs11._child import Child, Fact
from collectors.pkcs11._rows import TokenRows
from toolkit.errors import ConfigError, SourceBroken, SourceError, SourceUnreachable
from toolkit.model import Row, Target

# Where distributions put the modules of Debian's and Red Hat's packages: SoftHSM2, OpenSC, YubiHSM, TPM2, CloudHSM.
_WELL_KNOWN: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1",
    "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
)
_SPENT: Final = {"login": "refused", "why": "the PIN was tried before in this run"}
_PROTECTED: Final = "protected"
# Somebody has to walk to the keypad.
_AT_THE_KEYPAD: Final = 180


class Pkcs11:
    """Tokens of any PKCS#11 module: SoftHSM, OpenSC, YubiHSM, TPM2, CloudHSM and the well-known paths of others.

    Without a PIN only public objects are seen, and a Gap says so.

    Args:
        modules: paths of shared libraries; without any, those at well-known paths.
        pin: the handle of a PIN: env:NAME, file:PATH, or protected for a keypad. It is tried once a token.
        pins: handles for tokens by label, LABEL=env:NAME; they come before `pin`.
        parameters: texts that a module wants at its start, `/usr/lib/…/libsoftokn3.so=configdir='sql:…'`.
        silence_seconds: a module that says nothing for so long is given up, once a run.
    """

    name: ClassVar[str] = "pkcs11"
    reads: ClassVar[tuple[str, ...]] = (
        "pkcs11:C_GetSlotList", "pkcs11:C_GetTokenInfo", "pkcs11:C_GetMechanismList",
        "pkcs11:C_OpenSession (read-only)", "pkcs11:C_Login (CKU_USER)", "pkcs11:C_FindObjects",
        "pkcs11:C_GetAttributeValue",
    )  # fmt: skip
    # Children wait for their tokens, not for a core.
    parallel: ClassVar[int] = 4

    def __init__(
        self,
        *,
        modules: tuple[str, ...] = (),
        pin: str | None = None,
        pins: tuple[str, ...] = (),
        parameters: tuple[str, ...] = (),
        silence_seconds: int = 30,
    ) -> None:
        self._pins = dict(_named(pair, "a PIN is given without its token", "LABEL=env:NAME") for pair in pins)
        told = "parameters are given without their module"
        self._parameters = dict(_named(pair, told, "MODULE=TEXT", first=True) for pair in parameters)
        for handle in filter(None, [pin, *self._pins.values()]):
            if handle != _PROTECTED and not handle.startswith(("env:", "file:")):
                advice = "give a handle: env:NAME, file:PATH or protected"
                raise ConfigError("the PIN is given by its value", advice=advice)
        self._modules, self._pin, self._silence = tuple(map(str, modules)), pin, silence_seconds
        self._tried: dict[str, object] = {}
        self._idle: dict[str, Child] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A process does not travel; a worker elsewhere starts its own."""
        return {**self.__dict__, "_idle": {}}

    def targets(self) -> Iterator[Target]:
        """One a token; two modules that show the same token name it once. A module that fails is a target too."""
        if importlib.util.find_spec("pkcs11") is None:
            raise ConfigError("the pkcs11 collector needs python-pkcs11", advice="pip install 'keyatlas[pkcs11]'")
        modules = dict.fromkeys(self._modules or [path for path in _WELL_KNOWN if Path(path).exists()])
        # All are started before the first is waited for: several that hang cost the silence of one.
        asked = {module: self._child(module, {"ask": "tokens"}, self._silence) for module in modules}
        seen: set[str] = set()
        for module, child in asked.items():
            tokens, failure = _listed(child)
            if failure is None:
                self._idle[module] = child
            if failure is not None or (module in self._modules and not tokens):
                # Named here, told when it is read: a listing that failed, even at one slot, is not an empty one.
                yield _failed_module(module, failure)
            for locator, token in _told_apart(tokens):
                if locator not in seen:
                    seen.add(locator)
                    names = ("label", "serial", "slot") if ";slot-id=" in locator else ("label", "serial")
                    options = (("module", module), *((name, token[name]) for name in names))
                    label = token["label"] or None
                    yield Target(collector=self.name, locator=locator, label=label, options=options)

    def _child(self, module: str, request: Fact, silence: float) -> Child:
        hidden = {handle[4:] for handle in (self._pin, *self._pins.values()) if handle and handle.startswith("env:")}
        return Child(module, request, silence=silence, parameters=self._parameters.get(module), hidden=hidden)

    def collect(self, target: Target) -> Iterator[Row]:
        """The token, its keys and certificates; what it refused, or was not asked, is a Gap."""
        options = dict(target.options)
        if "serial" not in options:
            kind = SourceUnreachable if options.get("kind") == "unreachable" else SourceBroken
            raise kind(options["reason"], advice=options["advice"])
        request: Fact = {"ask": "objects", **{name: options.get(name) for name in ("label", "serial", "slot")}}
        handle = self._pins.get(options["label"], self._pin)
        spent = False
        if handle is not None:
            given = {"is_protected": True} if handle == _PROTECTED else {"pin": _resolve(handle)}
            # Until the login is known to have gone well it counts as tried, whatever becomes of the child; of two
            # slots that show one name, one tries.
            spent = self._tried.setdefault(_tried_as(target), request) is not request
            request |= {} if spent else given
        yield from TokenRows(target).rows(self._facts(target, options["module"], request, spent))

    def _facts(self, target: Target, module: str, request: Fact, spent: bool) -> Iterator[Fact]:
        patience = max(self._silence, _AT_THE_KEYPAD) if request.get("is_protected") else self._silence
        child = self._idle.pop(module, None)
        if child is None:
            child = self._child(module, request, patience)
        else:
            child.ask(request, silence=patience)
        try:
            for fact in child.answers():
                if fact.get("login") in ("made", "not-needed"):
                    self._tried.pop(_tried_as(target), None)
                yield _SPENT if spent and fact.get("login") == "not-asked" else fact
        except BaseException:
            child.end()
            raise
        # It has loaded its module, and is logged out: the module's next token need not wait for another.
        self._idle.setdefault(module, child)


def _named(pair: str, wrong: str, form: str, *, first: bool = False) -> tuple[str, str]:
    name, equals, value = pair.partition("=") if first else pair.rpartition("=")
    if not equals:
        raise ConfigError(wrong, advice=f"write {form}")
    return name, value


def _listed(child: Child) -> tuple[list[Fact], SourceError | None]:
    """The tokens a module shows, and what was wrong, if anything was."""
    tokens: list[Fact] = []
    try:
        for fact in child.answers():
            if "failed" in fact:
                raise SourceBroken(f"{child.module}: {fact['failed']}", advice="check that it is a PKCS#11 module")
            tokens.append(fact["token"])
    except SourceError as failure:
        child.end()
        return tokens, failure
    return tokens, None


def _failed_module(module: str, failure: SourceError | None) -> Target:
    reason, advice = f"{module} listed no token", "check its configuration, collect again"
    if failure is not None:
        reason, advice = failure.message, failure.advice
    kind = "broken" if isinstance(failure, SourceBroken) else "unreachable"
    options = (("module", module), ("kind", kind), ("reason", reason), ("advice", advice))
    return Target(collector=Pkcs11.name, locator=f"pkcs11:?module-path={quote(module)}", options=options)


def _told_apart(tokens: list[Fact]) -> Iterator[tuple[str, Fact]]:
    """Each token's locator; where two slots of a module show one name, all but the first bear their slot's number."""
    seen: set[str] = set()
    for token in tokens:
        locator = _token_uri(token)
        yield f"{locator};slot-id={token['slot']}" if locator in seen else locator, token
        seen.add(locator)


def _tried_as(target: Target) -> str:
    return target.locator.partition(";slot-id=")[0]


def _token_uri(token: Fact) -> str:
    """RFC 7512, 2.3."""
    names = (("token", "label"), ("serial", "serial"), ("manufacturer", "manufacturer"), ("model", "model"))
    return "pkcs11:" + ";".join(f"{name}={quote(token[key].strip())}" for name, key in names if token[key].strip())


def _resolve(handle: str) -> str:
    scheme, _, rest = handle.partition(":")
    if scheme == "env":
        if rest not in os.environ:
            raise ConfigError(f"the PIN's environment variable {rest} is not set", advice=f"export {rest}=…")
        return os.environ[rest]
    try:
        return Path(rest).read_text().strip()
    except (OSError, UnicodeDecodeError):
        # `from None`: a decoding error carries the bytes it met.
        raise ConfigError(f"the PIN's file cannot be read: {rest}", advice="check its path and rights") from None
