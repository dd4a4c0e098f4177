"""Key specs: what each may be used for, from which origins it may come, and the algorithms it offers.

Sources: API_CreateKey (KeySpec, KeyUsage, Origin) and the developer guide's key spec reference. The enum values are
botocore's own; a test compares this table with the service model, so that a new spec is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass

SIGN, CRYPT, MAC, AGREE, CAPSULE = (
    "SIGN_VERIFY", "ENCRYPT_DECRYPT", "GENERATE_VERIFY_MAC", "KEY_AGREEMENT", "ENCAPSULATE_DECAPSULATE",
)  # fmt: skip
RSA_SIGNING = tuple(f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512))
MEMBER_OF_USAGE = {
    CRYPT: "EncryptionAlgorithms", SIGN: "SigningAlgorithms", MAC: "MacAlgorithms",
    AGREE: "KeyAgreementAlgorithms", CAPSULE: "EncapsulationAlgorithms",
}  # fmt: skip
# CustomerMasterKeySpec, the older member, never learnt the specs that came after SM2 (its enum says so).
ONLY_NEW_MEMBER = ("ML_DSA", "ML_KEM", "ECC_NIST_EDWARDS25519")


@dataclass(frozen=True, slots=True)
class Spec:
    """One KeySpec: `algorithms` by usage; the first usage is the default where AWS has one."""

    name: str
    algorithms: dict[str, tuple[str, ...]]
    default_usage: str | None = None
    imports: bool = True

    @property
    def is_symmetric(self) -> bool:
        """SYMMETRIC_DEFAULT: what rotates, has key material ids and lives in custom key stores."""
        return self.name == "SYMMETRIC_DEFAULT"

    @property
    def is_pair(self) -> bool:
        """Has a public half."""
        return not self.is_symmetric and not self.name.startswith("HMAC_")


def _ecc(name: str, bits: int, *, agrees: bool = True) -> Spec:
    algorithms = {SIGN: (f"ECDSA_SHA_{bits}",)} | ({AGREE: ("ECDH",)} if agrees else {})
    return Spec(name, algorithms)


def _specs() -> list[Spec]:
    oaep = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
    return [
        Spec("SYMMETRIC_DEFAULT", {CRYPT: ("SYMMETRIC_DEFAULT",)}, CRYPT),
        *(Spec(f"RSA_{size}", {CRYPT: oaep, SIGN: RSA_SIGNING}) for size in (2048, 3072, 4096)),
        _ecc("ECC_NIST_P256", 256),
        _ecc("ECC_NIST_P384", 384),
        _ecc("ECC_NIST_P521", 512),
        _ecc("ECC_SECG_P256K1", 256, agrees=False),
        Spec("ECC_NIST_EDWARDS25519", {SIGN: ("ED25519_SHA_512", "ED25519_PH_SHA_512")}),
        Spec("SM2", {CRYPT: ("SM2PKE",), SIGN: ("SM2DSA",), AGREE: ("ECDH",)}),
        *(Spec(f"HMAC_{bits}", {MAC: (f"HMAC_SHA_{bits}",)}) for bits in (224, 256, 384, 512)),
        *(Spec(f"ML_DSA_{level}", {SIGN: ("ML_DSA_SHAKE_256",)}) for level in (44, 65, 87)),
        *(Spec(f"ML_KEM_{level}", {CAPSULE: ("ML_KEM",)}) for level in (512, 768, 1024)),
    ]


SPECS: dict[str, Spec] = {spec.name: spec for spec in _specs()}
