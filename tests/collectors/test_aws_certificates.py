"""ACM, Private CA and IAM's server certificates: joined with the same certificate elsewhere, and what AWS knows of each."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime

import pytest
from simulators.aws_breadth import ACCOUNT, REGION, model

from collectors._aws.corridor import CallForbidden
from collectors.aws_certificates import AwsCertificates, _acm
from collectors.keyfiles import Keyfiles
from toolkit.model import Access, Certificate, Gap, Key, Relation
from toolkit.terms import GapScope, GapStatus, KeyState, KeyType, Protection
from toolkit.testing import CollectorContract

WHEN = datetime(2026, 10, 1, tzinfo=UTC)


def collector(**more) -> AwsCertificates:
    """One region, and nothing is taken up."""
    return AwsCertificates(regions=(REGION,), **{"resume_minutes": 0, **more})


def read(found) -> list:
    """All rows of all targets."""
    return [row for target in found.targets() for row in found.collect(target)]


def only(rows, kind):
    """The rows of a kind."""
    return [row for row in rows if isinstance(row, kind)]


@pytest.fixture
def estate(moto, self_signed, tmp_path):
    """A certificate of openssl's imported into ACM and IAM, one that waits for its validation, and two authorities."""
    key = self_signed("shop")
    moto.pem, private = key.with_suffix(".crt").read_text(), key.read_text()
    acm, pca = moto.client("acm"), moto.client("acm-pca")
    tags = [{"Key": "Owner", "Value": "payments"}]
    moto.imported = acm.import_certificate(Certificate=moto.pem, PrivateKey=private, Tags=tags)["CertificateArn"]
    moto.waiting = acm.request_certificate(DomainName="example.org", ValidationMethod="DNS")["CertificateArn"]
    moto.client("iam").upload_server_certificate(
        ServerCertificateName="old", CertificateBody=moto.pem, PrivateKey=private, Tags=tags
    )
    subject = {"KeyAlgorithm": "RSA_2048", "SigningAlgorithm": "SHA256WITHRSA", "Subject": {"CommonName": "Own CA"}}
    made = pca.create_certificate_authority(
        CertificateAuthorityConfiguration=subject, CertificateAuthorityType="ROOT", Tags=tags
    )
    moto.authority = made["CertificateAuthorityArn"]
    moto.calls.clear()
    return moto


class TestAwsCertificates(CollectorContract):
    """The contract, over moto."""

    @pytest.fixture(autouse=True)
    def _made(self, estate):
        """Something to read."""

    def collector(self, tmp_path):
        """One region of one account."""
        return collector()


def test_a_certificate_is_the_one_that_keyfiles_sees(estate, tmp_path):
    """Same certificate, same key, in ACM, in IAM and in a file: so one key is one key."""
    (file,) = only(read(Keyfiles(paths=(str(tmp_path / "shop.crt"),))), Certificate)

    rows = read(collector())

    same = [row for row in only(rows, Certificate) if row.certificate_uid == file.certificate_uid]
    assert {estate.imported, f"arn:aws:iam::{ACCOUNT}:server-certificate/old"} == {row.locator for row in same}
    assert {file.key_uid} == {row.key_uid for row in same}
    keys = [row for row in only(rows, Key) if row.key_uid == file.key_uid]
    assert {KeyType.PUBLIC_KEY} == {row.key_type for row in keys}
    assert {row.locator for row in same} == {row.locator for row in keys}
    # moto keeps no tags of a server certificate.
    assert "payments" in {row.owner for row in same}


def test_a_certificate_that_was_not_issued_is_listed(estate):
    """By its keeper's name, with how its names are validated; that there is no certificate yet is said."""
    rows = read(collector())
    (waiting,) = [row for row in only(rows, Certificate) if row.locator == estate.waiting]

    assert ("example.org", "PENDING_VALIDATION", "DNS", ("example.org",)) == (
        waiting.label, waiting.native_state, waiting.validation, waiting.names,
    )  # fmt: skip
    gaps = [(gap.field, gap.status) for gap in only(rows, Gap) if gap.locator == estate.waiting]
    assert ("certificate_uid", GapStatus.NOT_APPLICABLE) in gaps


def test_use_renewal_transparency_and_revocation_are_told(estate):
    """What moto does not make, by AWS's own shape."""
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/1"
    validation = [{"DomainName": "example.org", "ValidationMethod": "DNS", "ValidationStatus": "SUCCESS",
                   "ResourceRecord": {"Name": "n", "Type": "CNAME", "Value": "v"}}]  # fmt: skip
    told = {
        "CertificateArn": estate.imported, "DomainName": "example.org", "Status": "REVOKED", "Type": "AMAZON_ISSUED",
        "RevokedAt": WHEN, "RevocationReason": "KEY_COMPROMISE", "InUseBy": [balancer], "Serial": "0a:0b",
        "RenewalEligibility": "ELIGIBLE", "DomainValidationOptions": validation,
        "RenewalSummary": {"RenewalStatus": "FAILED", "DomainValidationOptions": validation, "UpdatedAt": WHEN},
        "Options": {"CertificateTransparencyLoggingPreference": "ENABLED", "Export": "DISABLED"},
    }  # fmt: skip
    estate.answer("acm", "DescribeCertificate", {"Certificate": told})

    rows = [row for row in read(collector()) if row.locator == estate.imported]

    (certificate,), (serves,) = only(rows, Certificate), only(rows, Relation)
    assert ("DNS", True, "FAILED", True, WHEN) == (
        certificate.validation, certificate.has_renewal, certificate.renewal_state, certificate.has_transparency,
        certificate.revoked_at,
    )  # fmt: skip
    assert (certificate.certificate_uid, balancer, "elasticloadbalancing") == (
        serves.subject_uid, serves.object, serves.object_kind,
    )  # fmt: skip
    assert "KEY_COMPROMISE" == json.loads(certificate.detail)["RevocationReason"]


def test_all_key_types_and_origins_are_asked_for():
    """ACM's list shows RSA_1024 and RSA_2048 only, unless asked for each; the values are all that botocore knows."""
    shapes = model("acm")

    assert set(shapes.shape_for("KeyAlgorithm").enum) == set(_acm.KEY_TYPES)
    assert set(shapes.shape_for("CertificateKeyPairOrigin").enum) == set(_acm.ORIGINS)


def test_an_authority_is_a_key_and_who_may_issue_with_it(estate):
    """Of one without a certificate the request tells the key; hardware by its standard; ACM by its permission."""
    permission = {"Principal": "acm.amazonaws.com", "Actions": ["IssueCertificate", "GetCertificate"],
                  "CreatedAt": WHEN, "SourceAccount": ACCOUNT}  # fmt: skip
    estate.answer("acm-pca", "ListPermissions", {"Permissions": [permission]})

    rows = read(collector())
    (key,) = [row for row in only(rows, Key) if row.locator == estate.authority]

    assert (KeyType.PRIVATE_KEY, "RSA", 2048, Protection.HARDWARE, KeyState.PRE_ACTIVATION, "payments") == (
        key.key_type, key.algorithm, key.size_bits, key.protection, key.state, key.owner,
    )  # fmt: skip
    assert key.key_uid.startswith("spki:")
    (access,) = [row for row in only(rows, Access) if row.subject_uid == key.key_uid]
    assert ("acm.amazonaws.com", WHEN) == (access.principal, access.granted_at)


def test_an_authority_with_a_certificate_joins_by_its_key(estate):
    """The certificate that AWS gives out is the authority's, and its key the private key's uid."""
    told = estate.client("acm-pca").list_certificate_authorities()["CertificateAuthorities"][0]
    estate.answer("acm-pca", "ListCertificateAuthorities", {"CertificateAuthorities": [{**told, "Status": "ACTIVE"}]})
    estate.answer("acm-pca", "GetCertificateAuthorityCertificate", {"Certificate": estate.pem})

    rows = [row for row in read(collector()) if row.locator == estate.authority]

    (key,), (certificate,) = only(rows, Key), only(rows, Certificate)
    assert (KeyState.ACTIVE, "ACTIVE") == (key.state, certificate.native_state)
    assert certificate.key_uid == key.key_uid


def test_the_aws_command_line_says_the_same(estate):
    """What it lists is what we list."""
    listed = estate.command("acm", "list-certificates", "--includes", f"keyTypes={','.join(_acm.KEY_TYPES)}")

    told = [row.locator for row in only(read(collector()), Certificate) if ":acm:" in row.locator]

    assert {one["CertificateArn"] for one in listed["CertificateSummaryList"]} == {
        one.partition("#")[0] for one in told
    }


def test_the_calls_made_are_those_declared(estate):
    """Neither fewer nor more: two questions a certificate, and none for one that was not issued."""
    told = estate.client("acm-pca").list_certificate_authorities()["CertificateAuthorities"][0]
    both = [told, {**told, "Arn": f"{told['Arn'][:-1]}0", "Status": "ACTIVE"}]
    estate.answer("acm-pca", "ListCertificateAuthorities", {"CertificateAuthorities": both})
    estate.answer("acm-pca", "ListTags", {"Tags": [{"Key": "env", "Value": "prod"}]})
    estate.answer("acm-pca", "GetCertificateAuthorityCertificate", {"Certificate": estate.pem})
    estate.answer("ec2", "DescribeRegions", {"Regions": [{"RegionName": REGION, "OptInStatus": "opted-in"}]})
    dev = estate.organised()

    rows = read(AwsCertificates(organization=True, roles=("Audit",), resume_minutes=0))

    assert set(AwsCertificates.reads) == estate.actions
    assert {ACCOUNT, dev} == {row.target.split("/")[2] for row in rows}
    assert (2, 1) == (estate.calls["acm:DescribeCertificate"], estate.calls["acm:GetCertificate"])


def test_a_certificate_is_asked_for_once_while_its_serial_number_stays(estate):
    """It never changes; what ACM knows of it does."""
    read(collector()), read(collector())

    assert (4, 1) == (estate.calls["acm:DescribeCertificate"], estate.calls["acm:GetCertificate"])


@pytest.mark.parametrize(
    ("service", "operation", "field"),
    [("acm", "DescribeCertificate", "validation"), ("acm", "GetCertificate", "certificate_uid"),
     ("iam", "GetServerCertificate", "certificate_uid"), ("acm-pca", "GetCertificateAuthorityCsr", "spki_sha256"),
     ("acm-pca", "GetPolicy", "access_flags"), ("acm-pca", "ListTags", "tags")],
)  # fmt: skip
def test_a_refused_question_is_a_gap_of_its_field(estate, service, operation, field):
    """Nothing is lost that was listed, and the permission is named."""
    estate.refuse(service, operation)

    rows = read(collector())

    places = {row.locator for row in [*only(rows, Certificate), *only(rows, Key)]}
    assert {
        estate.imported,
        estate.waiting,
        estate.authority,
        f"arn:aws:iam::{ACCOUNT}:server-certificate/old",
    } <= places
    gaps = [gap for gap in only(rows, Gap) if gap.field == field and gap.status is GapStatus.DENIED]
    assert {f"{service}:{operation}"} == {gap.permission for gap in gaps}


def test_a_refused_list_is_a_gap_of_its_target_and_the_others_are_read(estate):
    """What ACM refuses hides nothing of IAM's or Private CA's."""
    estate.refuse("acm", "ListCertificates")

    rows = read(collector())

    assert [f"aws://{ACCOUNT}/{REGION}/acm"] == [gap.target for gap in only(rows, Gap) if gap.scope is GapScope.TARGET]
    assert {estate.authority} <= {row.locator for row in only(rows, Key)}


@pytest.mark.parametrize(
    ("service", "operation"),
    [("acm", "ExportCertificate"), ("acm", "DeleteCertificate"), ("acm-pca", "IssueCertificate"),
     ("acm-pca", "DeleteCertificateAuthority"), ("iam", "DeleteServerCertificate")],
)  # fmt: skip
def test_no_private_key_can_be_asked_for(estate, service, operation):
    """The corridor refuses before anything is sent."""
    found = pickle.loads(pickle.dumps(collector()))
    (target, *_) = found.targets()

    def ask(place):
        place.ask(service, operation, {})
        yield

    with pytest.raises(CallForbidden):
        list(found._services.read(target, {"acm": ask}))

    assert f"{service}:{operation}" not in estate.calls
