"""A token's own row: what it is, what it says of its PINs, and whether it claims to be a FIPS 140 module.

Refuses to: take a claim for a proof. A certificate number is not in PKCS#11; the CMVP list has it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any, Final

from toolkit.identity import keeper_uid
from toolkit.model import Target, Token

# Software that sets CKF_HW_SLOT or is known not to be hardware, by manufacturer or model: SoftHSM, Mozilla NSS,
# opencryptoki ("IBM SoftTok"), the TPM simulators ("SW   TPM"), p11-kit, GNOME, Kryoptic.
_SOFTWARE: Final = re.compile(r"\bsoft|mozilla|\bnss\b|opencryptoki|\bsw +tpm|p11-kit|gnome|kryoptic")
# Software of which no validated build exists (from knowledge).
_UNVALIDATED: Final = re.compile(r"softhsm|p11-kit|\bsw +tpm")
_CLAIM: Final = re.compile(r"(?<!non-)(?<!non )(?<!not )fips")


def is_hardware(token: dict[str, Any]) -> bool:
    """Whether the token is a device."""
    return bool(token.get("is_hardware")) and not _SOFTWARE.search(_maker(token))


def _maker(token: dict[str, Any]) -> str:
    return f"{token.get('manufacturer')} {token.get('model')}".lower()


def _fips(token: dict[str, Any], others: Counter[str]) -> tuple[bool | None, str | None]:
    """What the maker's words claim; a label is its owner's word, save where the maker gives it (NSS)."""
    if _UNVALIDATED.search(_maker(token)):
        return False, "no validated build of this software is known"
    if others["CKO_VALIDATION"]:
        return True, "it holds a validation object (PKCS#11 v3.2)"
    names = ("slot_description", "model", "library") + (("label",) if "mozilla" in _maker(token) else ())
    for name in names:
        if _CLAIM.search(str(token.get(name)).lower()):
            return True, f"its {name.replace('_', ' ')} says FIPS"
    return None, None


def token_row(
    target: Target, token: dict[str, Any], keys: int | None, certificates: int, others: Counter[str]
) -> Token:
    """The row of a token, with what was seen on it."""
    flags = token["flags"]
    is_fips, why = _fips(token, others)
    rest = {name: count for name, count in sorted(others.items()) if name != "CKO_DATA"}
    return Token(
        token_uid=keeper_uid(target.locator),
        collector="pkcs11",
        target=target.locator,
        locator=target.locator,
        label=token["label"] or None,
        manufacturer=token["manufacturer"] or None,
        model=token["model"] or None,
        serial_number=token["serial"] or None,
        hardware_version=token["hardware"],
        firmware_version=token["firmware"],
        slot=token["slot"],
        slot_description=token["slot_description"] or None,
        module=dict(target.options).get("module"),
        module_description=token.get("library") or None,
        module_version=token.get("library_version"),
        cryptoki_version=token.get("cryptoki_version"),
        is_hardware=is_hardware(token),
        is_fips=is_fips,
        fips_reason=why,
        needs_login="CKF_LOGIN_REQUIRED" in flags,
        is_write_protected="CKF_WRITE_PROTECTED" in flags,
        flags=tuple(flags),
        sessions=token.get("sessions"),
        max_sessions=token.get("max_sessions"),
        mechanisms=tuple(token["mechanisms"]) if "mechanisms" in token else None,
        keys=keys,
        certificates=certificates,
        data_objects=others["CKO_DATA"],
        detail=json.dumps(rest, separators=(",", ":")) if rest else None,
    )
