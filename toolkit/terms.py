"""The closed vocabularies, each spelled as its standard spells it.

Nothing here depends on anything; a value that no source defines does not belong here.

>>> KeyState.ACTIVE.value, KeyType.PRIVATE_KEY.value
('active', 'private-key')
"""

from __future__ import annotations

from enum import StrEnum


class KeyState(StrEnum):
    """SP 800-57 part 1 r5, section 7; the CycloneDX 1.7 enum has exactly these (the r6 draft drops *deactivated*)."""

    PRE_ACTIVATION = "pre-activation"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


class KeyType(StrEnum):
    """CycloneDX 1.7 `relatedCryptoMaterialProperties.type`, the values that are keys."""

    PRIVATE_KEY = "private-key"
    PUBLIC_KEY = "public-key"
    SECRET_KEY = "secret-key"
    UNKNOWN = "key"
    """A key whose kind its container does not tell while sealed."""


class KeyFunction(StrEnum):
    """What a key may be used for: PKCS#11 v3.1 CKA_SIGN … CKA_DERIVE; KMIP 2.1 Cryptographic Usage Mask."""

    SIGN = "sign"
    VERIFY = "verify"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    WRAP = "wrap"
    UNWRAP = "unwrap"
    DERIVE = "derive"


class KeyPurpose(StrEnum):
    """Key types by use, SP 800-57 part 1 r5, 5.1.1: those that a keeper's usage attributes can tell apart."""

    PRIVATE_SIGNATURE = "private signature key"
    PUBLIC_VERIFICATION = "public signature-verification key"
    AUTHENTICATION = "symmetric authentication key"
    DATA_ENCRYPTION = "symmetric data-encryption key"
    KEY_WRAPPING = "symmetric key-wrapping key"
    KEY_DERIVATION = "symmetric master/key-derivation key"
    PRIVATE_TRANSPORT = "private key-transport key"
    PUBLIC_TRANSPORT = "public key-transport key"
    PRIVATE_AGREEMENT = "private static key-agreement key"
    PUBLIC_AGREEMENT = "public static key-agreement key"


class Protection(StrEnum):
    """What stands between the material and a thief, strongest last.

    The order is ours; SP 800-57 part 1, 6.1 and 6.2 name the means.
    """

    NONE = "none"
    """In clear: whoever can read the place has the key."""
    PASSPHRASE = "passphrase"
    """Encrypted under a passphrase (PKCS#8, OpenSSH, PKCS#12, JKS)."""
    TOKEN = "token"
    """Held by a software token that keeps it behind a PIN."""
    HARDWARE = "hardware"
    """Held by a hardware module (PKCS#11 CKF_HW_SLOT)."""


class Origin(StrEnum):
    """Where the material came into being: PKCS#11 CKA_LOCAL; AWS KMS Origin."""

    GENERATED = "generated"
    IMPORTED = "imported"


class KeyManager(StrEnum):
    """Who decides over a key at a provider: AWS KMS `KeyManager`, in words that fit other providers too."""

    CUSTOMER = "customer"
    PROVIDER = "provider"


class CredentialKind(StrEnum):
    """What a keeper of credentials keeps; each in its keeper's own word (AWS IAM, Secrets Manager, Systems Manager)."""

    SECRET = "secret"
    PARAMETER = "parameter"
    PASSWORD = "password"
    ACCESS_KEY = "access-key"
    SSH_PUBLIC_KEY = "ssh-public-key"
    SIGNING_CERTIFICATE = "signing-certificate"
    SERVICE_CREDENTIAL = "service-credential"
    MFA_DEVICE = "mfa-device"


class AccessFunction(StrEnum):
    """What a principal may do with a key, in the groups that separation of duties keeps apart (SP 800-53 r5 AC-5)."""

    USE = "use"
    READ = "read"
    ADMINISTER = "administer"
    GRANT = "grant"
    DELETE = "delete"


class AccessVia(StrEnum):
    """What gives a principal its access."""

    RESOURCE_POLICY = "resource-policy"
    """The key's own policy, or a secret's."""
    IDENTITY_POLICY = "identity-policy"
    GRANT = "grant"
    OWNERSHIP = "ownership"


class PrincipalKind(StrEnum):
    """Who a principal is (AWS IAM user guide, principal element)."""

    USER = "user"
    ROLE = "role"
    GROUP = "group"
    ACCOUNT = "account"
    SERVICE = "service"
    FEDERATED = "federated"
    PUBLIC = "public"
    DELETED = "deleted"
    UNKNOWN = "unknown"


class RelationKind(StrEnum):
    """How a key or credential bears on another thing."""

    PROTECTS = "protects"
    """The other is encrypted under it: what its destruction would lose."""
    SERVES = "serves"
    """The other presents or uses it: a load balancer its certificate."""
    REPLICATES = "replicates"
    """The other holds the same material elsewhere."""


class Severity(StrEnum):
    """How much a finding matters, least first (SP 800-30 r1, table H-3 words)."""

    VERY_LOW = "very-low"
    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    VERY_HIGH = "very-high"


class Verdict(StrEnum):
    """What a rule says of a subject, close to XCCDF 1.2's result values; unknown is never a pass."""

    PASS = "PASS"
    FAIL = "FAIL"
    WARN = "WARN"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    INDETERMINATE = "INDETERMINATE"
    ATTESTATION_REQUIRED = "ATTESTATION_REQUIRED"


class Liveness(StrEnum):
    """Whether a credential's service still takes it."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """It was asked and gave no clear answer."""


class GapStatus(StrEnum):
    """Why something could not be seen."""

    DENIED = "denied"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    """It was read and is not what it claims to be: a certificate that does not parse."""
    ERROR = "error"
    NOT_ASKED = "not-asked"
    """We chose not to look: too large, a link that leads round, a PIN that was not given."""
    NOT_APPLICABLE = "not-applicable"
    INTERRUPTED = "interrupted"


class GapScope(StrEnum):
    """How much of the picture a Gap takes away."""

    TARGET = "target"
    OBJECT = "object"
    FIELD = "field"


class ReadingStatus(StrEnum):
    """How the reading of one target ended. Only `read` allows to say that a key is gone."""

    READ = "read"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class TrustMark(StrEnum):
    """How a fact of a policy pack was checked."""

    PRIMARY = "P"
    SECONDARY = "S"
    KNOWLEDGE = "K"


class Binding(StrEnum):
    """What gives a policy pack its force. A guideline never FAILs."""

    STATUTE = "statute"
    ORDER = "order"
    AGENCY = "agency"
    CERTIFICATION = "certification"
    CONTRACT = "contract"
    HOUSE = "house"
    GUIDELINE = "guideline"


class PackStatus(StrEnum):
    """Whether a pack's document is in force."""

    IN_FORCE = "in-force"
    DRAFT = "draft"
    WITHDRAWN = "withdrawn"
    EXAMPLE = "example"
    """It shows the form; it judges only when it is asked for by name."""


class Scope(StrEnum):
    """What a standard may be limited to; told by tags, columns and mapping files, never guessed.

    Words are ours; each names who or what the documents bind (facts: CNSSP-15, OMB M-26-15, PCI DSS, HIPAA, GDPR …).
    """

    PUBLIC_TRUST = "public-trust"
    """Certificates that chain to a publicly trusted root (CA/B Forum)."""
    CODE_SIGNING = "code-signing"
    FEDERAL = "federal"
    """Information systems of the U.S. executive branch (FISMA)."""
    HIGH_VALUE = "high-value-asset"
    """Federal high value assets and FIPS 199 high systems (EO 14412, OMB M-26-15)."""
    NSS = "nss"
    """National security systems (CNSSP-15)."""
    CARDHOLDER_DATA = "cardholder-data"
    EPHI = "ephi"
    """Electronic protected health information (45 CFR 164)."""
    PERSONAL_DATA = "personal-data"
    FINANCIAL_ENTITY = "financial-entity"
    """Entities under DORA, Regulation (EU) 2022/2554, article 2."""
    CRITICAL_FUNCTION = "critical-function"
    """What supports critical or important functions (DORA)."""
    ESSENTIAL_ENTITY = "essential-entity"
    """Essential and important entities under NIS2 to which Implementing Regulation (EU) 2024/2690 applies."""
    ISMS = "isms"
    """Inside the boundary of an ISO/IEC 27001 management system."""
    TRUST_SERVICES = "trust-services"
    """Inside the description of a SOC 2 system."""
    PRODUCTION = "production"


class Verb(StrEnum):
    """What repairs a finding: the moves of a key's life (SP 800-57 part 1 r5, 7 and 8) and what surrounds it."""

    GENERATE = "generate"
    IMPORT = "import"
    DISTRIBUTE = "distribute"
    ACTIVATE = "activate"
    SUSPEND = "suspend"
    RESUME = "resume"
    DEACTIVATE = "deactivate"
    ROTATE = "rotate"
    """New material under the same name."""
    RENEW = "renew"
    """A new certificate for the same name."""
    REVOKE = "revoke"
    ARCHIVE = "archive"
    BACK_UP = "back-up"
    RECOVER = "recover"
    DESTROY = "destroy"
    CANCEL = "cancel"
    """Take back a destruction that is scheduled."""
    RE_ENCRYPT = "re-encrypt"
    MIGRATE = "migrate"
    """To another algorithm, or to a stronger keeper."""
    RESTRICT = "restrict"
    """Take access or functions away."""
    CONFIGURE = "configure"
    """Change a setting of the keeper: rotation, logging, expiry."""
    REGISTER = "register"
    """Say who owns it, what it is for, what it protects."""
    ATTEST = "attest"
    INVESTIGATE = "investigate"


class Topic(StrEnum):
    """What a rule is about, so that packs that disagree on one subject can be shown side by side."""

    ALGORITHM = "algorithm"
    QUANTUM = "quantum"
    CRYPTOPERIOD = "cryptoperiod"
    ROTATION = "rotation"
    VALIDITY = "validity"
    CUSTODY = "custody"
    EXPOSURE = "exposure"
    ACCESS = "access"
    STATE = "state"
    USE = "use"
    DESTRUCTION = "destruction"
    RESILIENCE = "resilience"
    RECORDS = "records"
    """Owners, purposes, classes: what must be known of a key."""
    GOVERNANCE = "governance"


class AttestationKind(StrEnum):
    """What a person attests to; SP 800-53 r5's control families ask for each (K)."""

    POLICY_REVIEW = "policy-review"
    TRAINING = "training"
    KEY_CEREMONY = "key-ceremony"
    CUSTODIAN_ACKNOWLEDGEMENT = "custodian-acknowledgement"
    RESTORE_DRILL = "restore-drill"
    PENETRATION_TEST = "penetration-test"
    TABLETOP_EXERCISE = "tabletop-exercise"
    OTHER = "other"
