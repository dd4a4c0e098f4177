"""IAM credentials: age, last use, second factor, and keys that join with what lies elsewhere."""

from __future__ import annotations

import pickle
import random
import string
from datetime import UTC, datetime

import pytest
from simulators.aws_breadth import ACCOUNT

from collectors._aws.corridor import CallForbidden
from collectors.aws_iam import AwsIam, _root
from collectors.code import Code
from collectors.keyfiles import Keyfiles
from toolkit.identity import access_key_uid
from toolkit.model import Certificate, Credential, Gap, Key, Secret
from toolkit.terms import CredentialKind, GapScope, GapStatus, KeyState
from toolkit.testing import CollectorContract

WHEN = datetime(2026, 10, 1, tzinfo=UTC)
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
REPORT = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,"
    "access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,"
    "cert_2_last_rotated\n"
    f"<root_account>,{ROOT},2020-01-01T00:00:00+00:00,not_supported,2026-10-01T00:00:00+00:00,not_supported,"
    "not_supported,false,true,2021-01-01T00:00:00+00:00,2026-10-01T00:00:00+00:00,eu-west-1,s3,false,N/A,N/A,N/A,N/A,"
    "false,N/A,false,N/A\n"
)


def collector(**more) -> AwsIam:
    """Nothing is taken up."""
    return AwsIam(**{"resume_minutes": 0, **more})


def read(found) -> list:
    """All rows of all targets."""
    return [row for target in found.targets() for row in found.collect(target)]


def only(rows, kind):
    """The rows of a kind."""
    return [row for row in rows if isinstance(row, kind)]


def of(rows, kind: CredentialKind, holder: str = ALICE):
    """The credentials of a kind that somebody holds."""
    return [row for row in only(rows, Credential) if row.kind is kind and row.holder == holder]


@pytest.fixture
def estate(moto, self_signed, tool, tmp_path):
    """A user with one of everything, and one with nothing."""
    iam = moto.client("iam")
    iam.create_user(UserName="alice", Tags=[{"Key": "team", "Value": "payments"}]), iam.create_user(UserName="bob")
    moto.key = iam.create_access_key(UserName="alice")["AccessKey"]["AccessKeyId"]
    iam.update_access_key(UserName="alice", AccessKeyId=moto.key, Status="Inactive")
    iam.create_login_profile(UserName="alice", Password="Aa1!" + "x" * 20)
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(
        UserName="alice", SerialNumber=device, AuthenticationCode1="123456", AuthenticationCode2="654321"
    )
    moto.spare = iam.create_virtual_mfa_device(VirtualMFADeviceName="spare")["VirtualMFADevice"]["SerialNumber"]
    tool("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "id_rsa")
    body = (tmp_path / "id_rsa.pub").read_text()
    moto.ssh = iam.upload_ssh_public_key(UserName="alice", SSHPublicKeyBody=body)["SSHPublicKey"]["SSHPublicKeyId"]
    moto.pem = self_signed("signing").with_suffix(".crt").read_text()
    iam.upload_signing_certificate(UserName="alice", CertificateBody=moto.pem)
    # moto's report leaves the root user out.
    report = {"Content": REPORT.encode(), "ReportFormat": "text/csv", "GeneratedTime": WHEN}
    moto.answer("iam", "GetCredentialReport", report)
    moto.calls.clear()
    return moto


class TestAwsIam(CollectorContract):
    """The contract, over moto."""

    @pytest.fixture(autouse=True)
    def _made(self, estate):
        """Something to read."""

    def collector(self, tmp_path):
        """One account."""
        return collector()


def test_an_access_key_is_told_with_age_state_and_last_use(estate):
    """By its id, which alone makes its uid; what moto cannot make, its use, by AWS's own shape."""
    used = {"LastUsedDate": WHEN, "ServiceName": "s3", "Region": "eu-west-1"}
    estate.answer("iam", "GetAccessKeyLastUsed", {"UserName": "alice", "AccessKeyLastUsed": used})

    (key,) = of(read(collector()), CredentialKind.ACCESS_KEY)

    assert (access_key_uid(estate.key), estate.key, False, "Inactive", True, "payments") == (
        key.credential_uid, key.label, key.is_active, key.native_state, key.has_mfa, key.owner,
    )  # fmt: skip
    assert (WHEN, "s3") == (key.last_used_at, key.last_used_service)
    assert key.created_at is not None


def test_a_key_that_lies_in_code_is_joined_with_what_iam_says_of_it(estate, tmp_path):
    """The id in the file is that of the credential, so its holder, age and last use are one join away."""
    secret = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=40))
    (tmp_path / "settings.py").write_text(f"aws_access_key_id = '{estate.key}'\naws_secret_access_key = '{secret}'\n")
    code = Code(paths=(str(tmp_path),))
    (key,) = of(read(collector()), CredentialKind.ACCESS_KEY)

    found = [row for target in code.targets() for row in code.collect(target) if isinstance(row, Secret)]

    assert key.credential_uid in {row.credential_uid for row in found}


def test_a_key_that_was_never_used_has_no_use(estate):
    """IAM writes N/A, which is no service."""
    (key,) = of(read(collector()), CredentialKind.ACCESS_KEY)

    assert (None, None) == (key.last_used_at, key.last_used_service)


def test_password_and_second_factor_are_told(estate):
    """Who has none has no row; a device that nobody has is told as not active."""
    rows = read(collector())

    (password,), (device,) = of(rows, CredentialKind.PASSWORD), of(rows, CredentialKind.MFA_DEVICE)
    assert (True, True) == (password.has_mfa, password.is_active)
    assert device.label.startswith("arn:")
    assert [estate.spare] == [row.label for row in of(rows, CredentialKind.MFA_DEVICE, None)]
    assert [] == of(rows, CredentialKind.PASSWORD, f"arn:aws:iam::{ACCOUNT}:user/bob")


def test_public_keys_join_with_the_files_that_hold_them(estate, tmp_path):
    """The SSH key's private half and the signing certificate lie in files: one key, one uid."""
    files = read(Keyfiles(paths=(str(tmp_path / "id_rsa"), str(tmp_path / "signing.crt"))))

    rows = read(collector())

    (ssh,), (signing,) = of(rows, CredentialKind.SSH_PUBLIC_KEY), of(rows, CredentialKind.SIGNING_CERTIFICATE)
    assert {row.key_uid for row in only(files, Key)} == {ssh.key_uid, signing.key_uid}
    assert {ssh.key_uid, signing.key_uid} == {row.key_uid for row in only(rows, Key)}
    (certificate,) = only(rows, Certificate)
    assert certificate.not_after == signing.expires_at
    assert {KeyState.ACTIVE} == {row.state for row in only(rows, Key)}


def test_service_credentials_are_told(estate):
    """moto has none: by AWS's own shape."""
    one = {"UserName": "alice", "Status": "Active", "ServiceName": "bedrock.amazonaws.com", "CreateDate": WHEN,
           "ServiceSpecificCredentialId": "ACCA" + "X" * 16, "ExpirationDate": WHEN}  # fmt: skip
    estate.answer(
        "iam", "ListServiceSpecificCredentials",
        lambda asked: {"ServiceSpecificCredentials": [one] if asked["UserName"] == "alice" else []},
    )  # fmt: skip

    (credential,) = of(read(collector()), CredentialKind.SERVICE_CREDENTIAL)

    assert (WHEN, WHEN, True) == (credential.created_at, credential.expires_at, credential.is_active)


def test_the_root_user_is_told_by_summary_and_report(estate):
    """A root key, when it was used, and that there is no second factor; moto's summary has none of it."""
    summary = {"AccountMFAEnabled": 0, "AccountAccessKeysPresent": 1, "AccountPasswordPresent": 1, "Users": 2}
    estate.answer("iam", "GetAccountSummary", {"SummaryMap": summary})

    rows = read(collector())

    (key,), (password,) = of(rows, CredentialKind.ACCESS_KEY, ROOT), of(rows, CredentialKind.PASSWORD, ROOT)
    assert (True, False, WHEN, "s3", None) == (
        key.is_active, key.has_mfa, key.last_used_at, key.last_used_service, key.label,
    )  # fmt: skip
    assert (True, False, WHEN) == (password.is_active, password.has_mfa, password.last_used_at)


def test_the_report_can_be_left_out(estate):
    """Nothing is generated then; the summary still tells of a root key, and what is not known is a gap."""
    estate.answer("iam", "GetAccountSummary", {"SummaryMap": {"AccountMFAEnabled": 1, "AccountAccessKeysPresent": 1}})

    rows = read(collector(report=False))

    assert "iam:GenerateCredentialReport" not in estate.calls
    (key,) = of(rows, CredentialKind.ACCESS_KEY, ROOT)
    assert (None, True) == (key.last_used_at, key.has_mfa)
    assert [GapStatus.NOT_ASKED] == [gap.status for gap in only(rows, Gap) if gap.locator == ROOT]


def test_a_report_that_is_never_ready_is_a_gap(estate, monkeypatch):
    """It is asked for some times, and then told."""
    monkeypatch.setattr(_root.time, "sleep", lambda _: None)
    estate.answer("iam", "GenerateCredentialReport", {"State": "INPROGRESS"})

    rows = read(collector())

    assert ["last_used_at"] == [gap.field for gap in only(rows, Gap) if gap.locator == ROOT]
    assert "iam:GetCredentialReport" not in estate.calls


def test_the_aws_command_line_says_the_same(estate):
    """What it lists of a user is what we tell."""
    listed = estate.command("iam", "list-access-keys", "--user-name", "alice")["AccessKeyMetadata"]

    (key,) = of(read(collector()), CredentialKind.ACCESS_KEY)

    assert [(one["AccessKeyId"], one["Status"]) for one in listed] == [(key.label, key.native_state)]


def test_the_calls_made_are_those_declared_in_all_accounts(estate):
    """Neither fewer nor more: seven questions a user, one a key; other accounts by the role in each."""
    dev = estate.organised()
    estate.client("iam", account=dev).create_user(UserName="theirs")
    estate.client("iam", account=dev).create_access_key(UserName="theirs")

    rows = read(collector(organization=True, roles=("Audit",)))

    assert set(AwsIam.reads) == estate.actions
    assert of(rows, CredentialKind.ACCESS_KEY, f"arn:aws:iam::{dev}:user/theirs")
    users = 3
    for one in ("ListAccessKeys", "ListMFADevices", "ListSSHPublicKeys", "ListSigningCertificates",
                "ListServiceSpecificCredentials", "ListUserTags", "GetLoginProfile"):  # fmt: skip
        assert users == estate.calls[f"iam:{one}"]
    assert (2, 1) == (estate.calls["iam:GetAccessKeyLastUsed"], estate.calls["iam:GetSSHPublicKey"])


@pytest.mark.parametrize(
    ("operation", "field"),
    [("ListAccessKeys", "access_keys"), ("ListMFADevices", "has_mfa"), ("GetAccessKeyLastUsed", "last_used_at"),
     ("GetLoginProfile", "password"), ("GetSSHPublicKey", "key_uid"), ("ListUserTags", "tags"),
     ("GenerateCredentialReport", "last_used_at"), ("GetAccountSummary", "root"),
     ("ListVirtualMFADevices", "virtual_mfa_devices")],
)  # fmt: skip
def test_a_refused_question_is_a_gap_of_its_field(estate, operation, field):
    """The rest of the user is told, and the permission is named."""
    estate.refuse("iam", operation, code="AccessDenied")

    rows = read(collector())

    gaps = {(gap.field, gap.permission) for gap in only(rows, Gap) if gap.status is GapStatus.DENIED}
    assert {(field, f"iam:{operation}")} == gaps
    assert {row.key_uid for row in of(rows, CredentialKind.SIGNING_CERTIFICATE)} != set()
    if operation == "ListMFADevices":
        assert {None} == {row.has_mfa for row in of(rows, CredentialKind.PASSWORD)}


def test_a_refused_list_is_a_gap_of_the_target(estate):
    """What is known of the root user is told all the same."""
    estate.refuse("iam", "ListUsers", code="AccessDenied")

    rows = read(collector())

    assert ["iam:ListUsers"] == [gap.permission for gap in only(rows, Gap) if gap.scope is GapScope.TARGET]
    assert of(rows, CredentialKind.ACCESS_KEY, ROOT)


@pytest.mark.parametrize("operation", ["CreateAccessKey", "UpdateAccessKey", "DeleteLoginProfile", "EnableMFADevice"])
def test_nothing_can_be_changed(estate, operation):
    """The corridor refuses before anything is sent."""
    found = pickle.loads(pickle.dumps(collector()))
    (target,) = found.targets()

    def ask(place):
        place.ask("iam", operation, {}, region=place.home)
        yield

    with pytest.raises(CallForbidden):
        list(found._estate.read(target, ask))

    assert f"iam:{operation}" not in estate.calls
