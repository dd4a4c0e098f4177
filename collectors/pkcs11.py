"""Keys and certificates on PKCS#11 tokens: what each is, whose material can leave, what it may be used for.

A module is loaded in a child process only, so one that hangs or crashes is a Gap. Sessions are read-only. A PIN comes
by handle (`env:NAME`, `file:PATH`) and is tried once per token, never when the token says that few tries are left.

Refuses to: change a token, read a key's value, or try a PIN twice.

>>> Pkcs11(pin="1234")
Traceback (most recent call last):
    ...
toolkit.errors.ConfigError: the PIN is given by its value. Next: give a handle: env:NAME or file:PATH
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import quote

from asn1crypto.core import ObjectIdentifier, OctetString
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from collectors._material import rows as material_rows
from toolkit.errors import ConfigError, SourceBroken, SourceUnreachable
from toolkit.identity import PublicFacts, keeper_uid, public_facts
from toolkit.model import Gap, Key, Row, Target
from toolkit.terms import GapScope, GapStatus, KeyFunction, KeyType, Origin, Protection

# Where distributions put the modules of Debian's and Red Hat's packages: SoftHSM2, OpenSC, YubiHSM, TPM2, CloudHSM.
_WELL_KNOWN: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/yubihsm_pkcs11.so",
    "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so",
    "/opt/cloudhsm/lib/libcloudhsm_pkcs11.so",
)
# Software that sets CKF_HW_SLOT or is known not to be hardware, by manufacturer.
_SOFTWARE: Final = ("softhsm", "mozilla", "opencryptoki")
_SECONDS: Final = 120
_SPENT: Final = {"login": "refused", "why": "the PIN was tried before in this run"}
_CLASSES: Final = {
    "PRIVATE_KEY": (KeyType.PRIVATE_KEY, "private"),
    "PUBLIC_KEY": (KeyType.PUBLIC_KEY, "public"),
    "SECRET_KEY": (KeyType.SECRET_KEY, "secret-key"),
}
_FUNCTIONS: Final = tuple(function.name for function in KeyFunction)
# PKCS#11 v3.1 key types to canonical algorithm, parameter and size in bits.
_SYMMETRIC: Final[dict[str, tuple[str, str | None, int | None]]] = {
    "AES": ("AES", None, None),
    "DES3": ("TDEA", "3TDEA", 168),
    "DES2": ("TDEA", "2TDEA", 112),
    "DES": ("DES", None, 56),
    "GENERIC_SECRET": ("generic-secret", None, None),
    "CHACHA20": ("ChaCha20", None, 256),
}
_ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "RSA": ("RSA",), "DSA": ("DSA",), "DH": ("DH",), "X9_42_DH": ("DH",), "EC": ("EC",),
    "EC_EDWARDS": ("Ed25519", "Ed448"), "EC_MONTGOMERY": ("X25519", "X448"),
}  # fmt: skip
_RAW_CURVES: Final[dict[int, Any]] = {32: ed25519.Ed25519PublicKey, 57: ed448.Ed448PublicKey}
_RAW_MONTGOMERY: Final[dict[int, Any]] = {32: x25519.X25519PublicKey, 56: x448.X448PublicKey}


class Pkcs11:
    """Tokens of any PKCS#11 module: SoftHSM, OpenSC, YubiHSM, TPM2, CloudHSM and the well-known paths of others.

    `modules` are paths of shared libraries; `pin` is a handle, `env:NAME` or `file:PATH`. Without a PIN only public
    objects are seen, and a Gap says so.
    """

    name: ClassVar[str] = "pkcs11"
    reads: ClassVar[tuple[str, ...]] = (
        "pkcs11:C_GetSlotList", "pkcs11:C_GetTokenInfo", "pkcs11:C_OpenSession (read-only)",
        "pkcs11:C_Login (CKU_USER)", "pkcs11:C_FindObjects", "pkcs11:C_GetAttributeValue",
    )  # fmt: skip
    parallel: ClassVar[int] = 2

    def __init__(self, *, modules: tuple[str, ...] = (), pin: str | None = None) -> None:
        if pin is not None and not pin.startswith(("env:", "file:")):
            raise ConfigError("the PIN is given by its value", advice="give a handle: env:NAME or file:PATH")
        self._modules, self._pin = tuple(map(str, modules)), pin
        self._refused: set[str] = set()

    def targets(self) -> Iterator[Target]:
        """One a token; two modules that show the same token name it once. A module that fails is a target too."""
        if importlib.util.find_spec("pkcs11") is None:
            raise ConfigError("the pkcs11 collector needs python-pkcs11", advice="pip install 'keyatlas[pkcs11]'")
        seen: set[str] = set()
        for module in self._modules or [path for path in _WELL_KNOWN if Path(path).exists()]:
            try:
                facts = _ask({"ask": "tokens", "module": module})
            except (SourceBroken, SourceUnreachable):
                facts = [{"failed": "module"}]
            is_silent = module in self._modules and not any("token" in fact for fact in facts)
            if is_silent or any("failed" in fact for fact in facts):
                # Named here, told when it is read: a listing that failed, even at one slot, is not an empty one.
                yield Target(
                    collector=self.name, locator=f"pkcs11:?module-path={quote(module)}", options=(("module", module),)
                )
            for token in (fact["token"] for fact in facts if "token" in fact):
                locator = _token_uri(token)
                if locator not in seen:
                    seen.add(locator)
                    yield self._target(module, token, locator)

    def _target(self, module: str, token: dict[str, Any], locator: str) -> Target:
        options = (("module", module), ("label", token["label"]), ("serial", token["serial"]))
        return Target(collector=self.name, locator=locator, label=token["label"] or None, options=options)

    def collect(self, target: Target) -> Iterator[Row]:
        """The token's keys and certificates; what it refused, or was not asked, is a Gap."""
        options = dict(target.options)
        if "serial" not in options:
            yield from _Token(target, _ask({"ask": "tokens", **options})).rows()
            raise SourceUnreachable(
                f"{options['module']} listed no token", advice="check its configuration, collect again"
            )
        request = {"ask": "objects", **options}
        if self._pin is not None and target.locator not in self._refused:
            request["pin"] = _resolve(self._pin)
        try:
            facts = _ask(request)
        except (SourceBroken, SourceUnreachable):
            # Whether the PIN reached the token before the child ended is unknown: it counts as tried.
            self._refused.add(target.locator)
            raise
        if target.locator in self._refused:
            facts = [_SPENT if fact.get("login") == "not-asked" else fact for fact in facts]
        if any(fact.get("login") == "refused" for fact in facts):
            self._refused.add(target.locator)
        yield from _Token(target, facts).rows()


class _Token:
    """The answers of one token, made rows."""

    def __init__(self, target: Target, facts: list[dict[str, Any]]) -> None:
        self._target = target
        self._facts = facts
        self._token: dict[str, Any] = next((fact["token"] for fact in facts if "token" in fact), {})
        self._objects = [fact["object"] for fact in facts if "object" in fact]
        self._publics = self._public_keys()
        self._places: Counter[str] = Counter()

    def rows(self) -> Iterator[Row]:
        """Gaps first, then every object; last, what ended the reading."""
        for fact in self._facts:
            yield from self._gaps(fact)
        for found in self._objects:
            if found["CLASS"] == "CERTIFICATE":
                yield from self._certificate(found)
            else:
                yield self._key(found)
        for fact in self._facts:
            if "failed" in fact:
                raise SourceBroken(f"the module answered: {fact['failed']}", advice="check the module and its token")

    def _gaps(self, fact: dict[str, Any]) -> Iterator[Gap]:
        if fact.get("login") == "not-asked":
            reason = "no PIN was given: private objects are not seen"
            yield self._gap(GapScope.OBJECT, GapStatus.NOT_ASKED, reason, advice="give --pin env:NAME or file:PATH")
        elif fact.get("login") == "refused":
            yield self._gap(GapScope.OBJECT, GapStatus.DENIED, f"{fact['why']}: private objects are not seen",
                            advice="check the PIN before the next run; it was tried once at the most")  # fmt: skip
        elif "refused" in fact:
            name = f"CKA_{fact['refused']}"
            yield self._gap(GapScope.FIELD, GapStatus.DENIED, f"the module refuses {name}", field=name)

    def _gap(
        self, scope: GapScope, status: GapStatus, reason: str, *, field: str | None = None, advice: str | None = None
    ) -> Gap:
        where = {"collector": "pkcs11", "target": self._target.locator, "locator": self._target.locator}
        return Gap(**where, scope=scope, status=status, reason=reason, field=field, advice=advice)

    def _public_keys(self) -> dict[tuple[str, str], PublicFacts]:
        """By CKA_ID and algorithm: what public objects and certificates say of the private ones beside them."""
        known: dict[tuple[str, str], dict[str, PublicFacts]] = {}
        for found in self._objects:
            facts = _facts(_certified(found) if found["CLASS"] == "CERTIFICATE" else _public_of(found))
            if facts is not None and found["ID"]:
                known.setdefault((found["ID"], facts.algorithm), {})[facts.key_uid] = facts
        # CKA_ID need not be unique: where two keys claim one, a private key has no identity from it.
        return {place: next(iter(facts.values())) for place, facts in known.items() if len(facts) == 1}

    def _locator(self, found: dict[str, Any], kind: str) -> str:
        parts = [f"id={''.join(f'%{byte:02X}' for byte in bytes.fromhex(found['ID'] or ''))}"] if found["ID"] else []
        parts += [f"object={quote(found['LABEL'])}"] if found["LABEL"] else []
        locator = ";".join([self._target.locator, *parts, f"type={kind}"])
        self._places[locator] += 1
        # Two objects may share id and label; the token lists them in a stable order.
        return locator if self._places[locator] == 1 else f"{locator}#{self._places[locator]}"

    def _key(self, found: dict[str, Any]) -> Key:
        key_type, kind = _CLASSES[found["CLASS"]]
        locator = self._locator(found, kind)
        row = Key(
            **_identity(found, self._publics, locator),
            collector="pkcs11",
            target=self._target.locator,
            locator=locator,
            key_type=key_type,
            label=found["LABEL"] or None,
            format="PKCS#11 object",
            functions=_functions(found),
            origin={True: Origin.GENERATED, False: Origin.IMPORTED, None: None}[found.get("LOCAL")],
            activated_at=_day(found.get("START_DATE")),
            expires_at=_day(found.get("END_DATE")),
            detail=self._detail(found),
        )
        if key_type is KeyType.PUBLIC_KEY:
            return row
        return replace(
            row,
            protected=True,
            protection=Protection.HARDWARE if self._is_hardware() else Protection.TOKEN,
            is_exposed=False,  # who reads it has the PIN; that it may leave is another question
            extractable=found.get("EXTRACTABLE"),
            sensitive=found.get("SENSITIVE"),
        )

    def _is_hardware(self) -> bool:
        maker = str(self._token.get("manufacturer", "")).lower()
        return bool(self._token.get("is_hardware")) and not any(name in maker for name in _SOFTWARE)

    def _detail(self, found: dict[str, Any]) -> str:
        names = ("ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "WRAP_WITH_TRUSTED", "TRUSTED", "MODIFIABLE", "PRIVATE",
                 "KEY_GEN_MECHANISM")  # fmt: skip
        facts = {name.lower(): found[name] for name in names if found.get(name) is not None}
        token = {name: self._token.get(name) for name in ("manufacturer", "model", "firmware")}
        return json.dumps({**facts, "token": token}, sort_keys=True, separators=(",", ":"))

    def _certificate(self, found: dict[str, Any]) -> Iterator[Row]:
        der = bytes.fromhex(found.get("VALUE") or "")
        where = {"collector": "pkcs11", "target": self._target.locator, "locator": self._locator(found, "cert")}
        for row in material_rows(der, **where, name="object.der"):
            yield row if isinstance(row, Gap) else replace(row, label=found["LABEL"] or None)


def _functions(found: dict[str, Any]) -> tuple[KeyFunction, ...] | None:
    if all(found.get(name) is None for name in _FUNCTIONS):
        return None
    return tuple(KeyFunction[name] for name in _FUNCTIONS if found.get(name))


def _identity(found: dict[str, Any], publics: dict[tuple[str, str], PublicFacts], locator: str) -> dict[str, Any]:
    kind = _kind(found.get("KEY_TYPE"))
    if found["CLASS"] == "SECRET_KEY":
        # SHA_1_HMAC, SHA256_HMAC …: one algorithm, the hash is in the mechanism.
        name, parameter, size_bits = _SYMMETRIC.get(kind or "", (kind, None, None))
        name = "HMAC" if kind and kind.endswith("_HMAC") else name
        size_bits = size_bits or (8 * found["VALUE_LEN"] if found.get("VALUE_LEN") else None)
        return {"key_uid": keeper_uid(locator), "algorithm": name, "parameter": parameter, "size_bits": size_bits}
    names = _ALGORITHMS.get(kind or "", ())
    beside = (publics.get((found["ID"] or "", name)) for name in names)
    facts = _facts(_public_of(found)) or next(filter(None, beside), None)
    if facts is not None:
        return {name: getattr(facts, name) for name in ("key_uid", "algorithm", "parameter", "size_bits")}
    # Without its public half an Edwards or Montgomery key does not tell which of two it is: PKCS#11's word stays.
    algorithm = names[0] if len(names) == 1 else kind
    size = int(found["MODULUS"], 16).bit_length() if found.get("MODULUS") else None
    curve = _curve(found) if kind == "EC" else None
    return {
        "key_uid": keeper_uid(locator),
        "algorithm": algorithm,
        "parameter": curve.name if curve else None,
        "size_bits": curve.key_size if curve else size,
    }


def _kind(key_type: str | int | None) -> str | None:
    """PKCS#11's name of a key type; its number where python-pkcs11 knows no name."""
    return f"CKK_0x{key_type:08X}" if isinstance(key_type, int) else key_type


def _facts(public: PublicKeyTypes | None) -> PublicFacts | None:
    try:
        return None if public is None else public_facts(public)
    except SourceBroken:
        return None


def _curve(found: dict[str, Any]) -> ec.EllipticCurve | None:
    try:
        oid = ObjectIdentifier.load(bytes.fromhex(found["EC_PARAMS"])).dotted
        return ec.get_curve_for_oid(x509.ObjectIdentifier(oid))()
    except (ValueError, TypeError, KeyError, LookupError):
        return None


def _public_of(found: dict[str, Any]) -> PublicKeyTypes | None:
    """The public key of a public object, or of a private RSA object that shows modulus and exponent."""
    try:
        if found.get("KEY_TYPE") == "RSA" and found.get("MODULUS") and found.get("PUBLIC_EXPONENT"):
            return rsa.RSAPublicNumbers(int(found["PUBLIC_EXPONENT"], 16), int(found["MODULUS"], 16)).public_key()
        if not found.get("EC_POINT"):
            return None
        raw = bytes.fromhex(found["EC_POINT"])
        point = _unwrapped(raw)
        if found["KEY_TYPE"] == "EC_EDWARDS":
            return _RAW_CURVES[len(point)].from_public_bytes(point)  # type: ignore[no-any-return]
        if found["KEY_TYPE"] == "EC_MONTGOMERY":
            return _RAW_MONTGOMERY[len(point)].from_public_bytes(point)  # type: ignore[no-any-return]
        curve = _curve(found)
        return None if curve is None else ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    except (ValueError, TypeError, KeyError, LookupError, UnsupportedAlgorithm):
        return None


def _unwrapped(raw: bytes) -> bytes:
    """v2.40 asks for the point inside an OCTET STRING; some modules give it bare, and a bare one starts alike."""
    try:
        inside = bytes(OctetString.load(raw, strict=True).native)
    except (ValueError, TypeError):
        return raw
    # One bare point in 256 parses as an OCTET STRING; what is inside is then no point.
    return inside if inside[:1] in (b"\x02", b"\x03", b"\x04") or len(inside) in (32, 56, 57) else raw


def _certified(found: dict[str, Any]) -> PublicKeyTypes | None:
    try:
        certificate = x509.load_der_x509_certificate(bytes.fromhex(found.get("VALUE") or ""))
        return certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _day(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def _token_uri(token: dict[str, Any]) -> str:
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


def _ask(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The child's answers.

    Raises:
        SourceBroken: the module crashed, or could not be loaded.
        SourceUnreachable: it did not answer in time.
    """
    module = request["module"]
    # -P: the folder of this file must not come first on the path, where `pkcs11` would be this module.
    command = [sys.executable, "-P", "-m", "collectors._pkcs11_worker"]
    house = str(Path(__file__).resolve().parent.parent)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [house, os.environ.get("PYTHONPATH")]))}
    try:
        ran = subprocess.run(
            command, input=json.dumps(request) + "\n", capture_output=True, text=True, timeout=_SECONDS, env=env
        )
    except subprocess.TimeoutExpired:
        # Raised anew: the exception of the library carries the request, and that the PIN.
        raise SourceUnreachable(f"{module} did not answer in {_SECONDS} s", advice="check the device") from None
    lines = ran.stdout.splitlines()
    # Before any line is parsed: a crash may have cut the last one short.
    if ran.returncode != 0 or not lines or lines[-1] != '{"end": true}':
        how = f"signal {-ran.returncode}" if ran.returncode < 0 else f"exit code {ran.returncode}"
        raise SourceBroken(f"{module} took its process down ({how})", advice="check that it is a PKCS#11 module")
    answers: list[dict[str, Any]] = [json.loads(line) for line in lines]
    failures = [fact for fact in answers if "failed" in fact]
    if failures and not any("token" in fact for fact in answers):
        raise SourceBroken(f"{module}: {failures[0]['failed']}", advice="check that it is a PKCS#11 module")
    return answers
