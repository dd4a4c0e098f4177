"""The questions about a user: one a kind of credential, and one for each access key's last use and each SSH key.

Nothing is skipped by the credential report: it may be four hours old, and a key made since would be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from collectors._aws.place import Place, attempt, whole
from collectors._aws.troubles import Trouble

Fact = dict[str, Any]
Answers = list[Fact] | Trouble

_LISTS: Final = {
    "access_keys": ("ListAccessKeys", "AccessKeyMetadata"),
    "mfa_devices": ("ListMFADevices", "MFADevices"),
    "ssh_keys": ("ListSSHPublicKeys", "SSHPublicKeys"),
    "certificates": ("ListSigningCertificates", "Certificates"),
    "service_credentials": ("ListServiceSpecificCredentials", "ServiceSpecificCredentials"),
    "tags": ("ListUserTags", "Tags"),
}


@dataclass(slots=True)
class Seen:
    """One user: the list's entry, and each answer or the trouble in its place."""

    user: Fact
    login: Fact | Trouble | None = None
    lists: dict[str, Answers] = field(default_factory=dict)
    last_use: dict[str, Fact | Trouble] = field(default_factory=dict)
    bodies: dict[str, str | Trouble] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        """Whether the user was deleted between the list and the questions."""
        return bool(self.lists) and all(isinstance(one, Trouble) and one.is_gone for one in self.lists.values())

    def of(self, name: str) -> list[Fact]:
        """A list, as far as it was told."""
        found = self.lists.get(name)
        return found if isinstance(found, list) else []


def users(place: Place) -> Any:
    """The account's users, page by page."""
    return place.pages("iam", "ListUsers", "Users", {"MaxItems": 1000}, keep=whole, region=place.home)


def virtual_devices(place: Place) -> list[Fact]:
    """All virtual MFA devices: the root user's, and those that nobody has, stand in no other list."""
    return list(_pages(place, "ListVirtualMFADevices", "VirtualMFADevices", {"MaxItems": 1000}, keep=_device))


def _device(told: Fact) -> Fact:
    # Not the seed and not its picture, should an answer ever hold them.
    return {"SerialNumber": told["SerialNumber"], "EnableDate": told.get("EnableDate"),
            "UserArn": (told.get("User") or {}).get("Arn")}  # fmt: skip


def about(place: Place, user: Fact) -> Seen:
    """Everything that is asked about a user."""
    seen, asked = Seen(user), {"UserName": user["UserName"]}
    for name, (operation, items) in _LISTS.items():
        seen.lists[name] = attempt(_listed, place, operation, items, asked)
    if seen.is_gone:
        return seen
    login = attempt(place.ask, "iam", "GetLoginProfile", asked, keep=_login, region=place.home)
    # NoSuchEntity: the user has no password.
    seen.login = None if isinstance(login, Trouble) and login.is_gone else login
    for one in seen.of("access_keys"):
        key = {"AccessKeyId": one["AccessKeyId"]}
        seen.last_use[one["AccessKeyId"]] = attempt(
            place.ask, "iam", "GetAccessKeyLastUsed", key, keep=_used, region=place.home
        )
    for one in seen.of("ssh_keys"):
        key = {**asked, "SSHPublicKeyId": one["SSHPublicKeyId"], "Encoding": "SSH"}
        seen.bodies[one["SSHPublicKeyId"]] = attempt(
            place.ask, "iam", "GetSSHPublicKey", key, keep=_body, region=place.home
        )
    return seen


def _listed(place: Place, operation: str, items: str, asked: Fact) -> list[Fact]:
    return list(_pages(place, operation, items, asked, keep=whole))


def _pages(place: Place, operation: str, items: str, asked: Fact, *, keep: Callable[[Any], Any]) -> Any:
    return place.pages("iam", operation, items, asked, keep=keep, region=place.home)


def _login(answer: Fact) -> Any:
    return answer["LoginProfile"]


def _used(answer: Fact) -> Any:
    return answer.get("AccessKeyLastUsed") or {}


def _body(answer: Fact) -> Any:
    return str(answer["SSHPublicKey"]["SSHPublicKeyBody"])
