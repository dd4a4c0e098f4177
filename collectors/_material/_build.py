"""Rows from parsed keys and certificates: the one place that fills their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from collectors._material._public import public_of_spki
from toolkit.errors import SourceBroken
from toolkit.identity import observed_spki_sha256, place_uid, public_facts
from toolkit.model import Certificate, Gap, Key
from toolkit.terms import GapScope, GapStatus, KeyType, Protection

T = TypeVar("T")
Rows = Iterator[Key | Certificate | Gap]
# What cryptography raises on certificates and keys that are not what they claim to be.
MALFORMED = (
    ValueError, TypeError, OverflowError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes lie; an object in them has a fragment of its own."""

    collector: str
    target: str
    locator: str

    def at(self, fragment: str) -> Place:
        """The place of one object in the file: `#pem=2`, `#line=3`, `#alias=name`."""
        joint = "&" if "#" in self.locator else "#"
        return Place(self.collector, self.target, f"{self.locator}{joint}{quote(fragment, safe='=')}")

    def gap(
        self, reason: str, *, status: GapStatus = GapStatus.MALFORMED, field: str | None = None, advice: str = ""
    ) -> Gap:
        """What could not be read here, in words of ours: a library's message may quote the material."""
        scope = GapScope.OBJECT if field is None else GapScope.FIELD
        return Gap(
            collector=self.collector,
            target=self.target,
            locator=self.locator,
            scope=scope,
            status=status,
            reason=reason,
            field=field,
            advice=advice or None,
        )

    def key(
        self, key_type: KeyType, form: str, public: PublicKeyTypes | None, *, spki: bytes | None = None, **more: Any
    ) -> Key:
        """A key row; without a public half it is known by its place only.

        Raises:
            SourceBroken: the public key is of an unknown kind.
        """
        uid: dict[str, Any] = {"key_uid": place_uid(self.locator)}
        if public is not None:
            facts = public_facts(public)
            observed = spki or public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            uid = {
                "key_uid": facts.key_uid,
                "algorithm": facts.algorithm,
                "parameter": facts.parameter,
                "size_bits": facts.size_bits,
                "spki_sha256": observed_spki_sha256(observed),
            }
        where = {"collector": self.collector, "target": self.target, "locator": self.locator}
        return Key(**{**where, **uid, "key_type": key_type, "format": form, **more})

    def private(self, form: str, public: PublicKeyTypes | None, *, sealed: bool, **more: Any) -> Key:
        """A private key, in clear or sealed by a passphrase."""
        protection = Protection.PASSPHRASE if sealed else Protection.NONE
        seal = {"protected": sealed, "protection": protection, "extractable": True}
        return self.key(KeyType.PRIVATE_KEY, form, public, **{**seal, **more})


def certificate_rows(place: Place, der: bytes, *, label: str | None = None, form: str = "X.509 certificate") -> Rows:
    """A certificate and the public key in it; what is malformed inside is a field's gap."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except MALFORMED:
        yield place.gap("not a certificate that parses (RFC 5280)")
        return
    gaps: list[Gap] = []

    def field(name: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (*MALFORMED, KeyError, x509.ExtensionNotFound) as failure:
            if not isinstance(failure, x509.ExtensionNotFound):
                gaps.append(place.gap(f"{name} of the certificate does not parse", field=name))
            return None

    spki = field("key_uid", lambda: _spki(der))
    public = public_of_spki(spki) if spki else None
    key = _public_row(place, form, public, spki, label)
    if isinstance(key, Gap):
        gaps.append(key)
        key = place.key(KeyType.PUBLIC_KEY, form, None, label=label)
    yield key
    yield _certificate_row(place, certificate, der, key.key_uid, label, form, field)
    yield from gaps


def _public_row(
    place: Place, form: str, public: PublicKeyTypes | None, spki: bytes | None, label: str | None
) -> Key | Gap:
    if public is None:
        return place.gap("its public key is not one that can be used (point not on the curve, or unknown kind)")
    try:
        return place.key(KeyType.PUBLIC_KEY, form, public, spki=spki, label=label)
    except SourceBroken as unknown:
        return place.gap(unknown.message, field="algorithm")


def _certificate_row(
    place: Place,
    certificate: x509.Certificate,
    der: bytes,
    key_uid: str,
    label: str | None,
    form: str,
    field: Callable[[str, Callable[[], Any]], Any],
) -> Certificate:
    from hashlib import sha256

    subject = field("subject", lambda: certificate.subject.rfc4514_string() or None)
    issuer = field("issuer", lambda: certificate.issuer.rfc4514_string() or None)
    extension = certificate.extensions.get_extension_for_oid if field("extensions", lambda: certificate.extensions) else None  # noqa: E501  # fmt: skip

    def ext(name: str, oid: x509.ObjectIdentifier, read: Callable[[Any], Any]) -> Any:
        return field(name, lambda: read(extension(oid).value)) if extension else None

    return Certificate(
        certificate_uid="sha256:" + sha256(der).hexdigest(),
        key_uid=key_uid,
        collector=place.collector,
        target=place.target,
        locator=place.locator,
        label=label,
        format=form,
        subject=subject,
        issuer=issuer,
        serial_number=field("serial_number", lambda: f"{certificate.serial_number:x}"),
        not_before=field("not_before", lambda: certificate.not_valid_before_utc),
        not_after=field("not_after", lambda: certificate.not_valid_after_utc),
        signature_algorithm=field("signature_algorithm", lambda: _signature_name(certificate)),
        signature_hash=field("signature_hash", lambda: _hash_name(certificate)),
        is_ca=ext("is_ca", ExtensionOID.BASIC_CONSTRAINTS, lambda value: bool(value.ca)) or False,
        is_self_signed=None if subject is None else subject == issuer,
        names=ext("names", ExtensionOID.SUBJECT_ALTERNATIVE_NAME, _names),
        key_usage=ext("key_usage", ExtensionOID.KEY_USAGE, _key_usage),
        extended_key_usage=ext("extended_key_usage", ExtensionOID.EXTENDED_KEY_USAGE, _extended_usage),
        subject_key_id=ext("subject_key_id", ExtensionOID.SUBJECT_KEY_IDENTIFIER, lambda value: value.digest.hex()),
        authority_key_id=ext(
            "authority_key_id",
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
            lambda value: value.key_identifier.hex() if value.key_identifier else None,
        ),
    )


def _spki(der: bytes) -> bytes:
    info: bytes = asn1_x509.Certificate.load(der)["tbs_certificate"]["subject_public_key_info"].dump()
    return info


_SIGNATURES = {
    oid.dotted_string: name
    for name, oid in vars(SignatureAlgorithmOID).items()
    if isinstance(oid, x509.ObjectIdentifier)
}


def _signature_name(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid.dotted_string
    return _SIGNATURES.get(oid, oid)


def _hash_name(certificate: x509.Certificate) -> str | None:
    algorithm = certificate.signature_hash_algorithm
    return None if algorithm is None else algorithm.name.upper()


def _names(value: x509.SubjectAlternativeName) -> tuple[str, ...] | None:
    told = []
    for name in value:
        kept = name.value
        told.append(kept.rfc4514_string() if isinstance(kept, x509.Name) else str(kept))
    return tuple(told) or None


def _key_usage(value: x509.KeyUsage) -> tuple[str, ...] | None:
    usages = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
              "key_cert_sign", "crl_sign")  # fmt: skip
    return tuple(usage for usage in usages if getattr(value, usage)) or None


def _extended_usage(value: x509.ExtendedKeyUsage) -> tuple[str, ...] | None:
    return tuple(getattr(oid, "_name", None) or oid.dotted_string for oid in value) or None
