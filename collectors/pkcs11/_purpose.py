"""What a key is for and which state it is in, with the reason: SP 800-57 part 1 r5, from PKCS#11's attributes.

Refuses to: believe a date against the usage attributes. PKCS#11 does not enforce CKA_START_DATE and CKA_END_DATE
(v3.1, 4.7): a key past its end that may still sign is active.

>>> purpose(KeyType.PRIVATE_KEY, (KeyFunction.SIGN,))[0].value
'private signature key'
>>> purpose(KeyType.PRIVATE_KEY, (KeyFunction.SIGN, KeyFunction.DECRYPT))[0] is None
True
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Final

from toolkit.terms import KeyFunction, KeyPurpose, KeyState, KeyType

Functions = tuple[KeyFunction, ...] | None
# A KEM's two halves count as wrapping and unwrapping: both carry a key to somebody (SP 800-57 r6 draft, 5.1).
USAGE: Final[dict[str, KeyFunction]] = {
    "SIGN": KeyFunction.SIGN, "SIGN_RECOVER": KeyFunction.SIGN, "VERIFY": KeyFunction.VERIFY,
    "VERIFY_RECOVER": KeyFunction.VERIFY, "ENCRYPT": KeyFunction.ENCRYPT, "DECRYPT": KeyFunction.DECRYPT,
    "WRAP": KeyFunction.WRAP, "ENCAPSULATE": KeyFunction.WRAP, "UNWRAP": KeyFunction.UNWRAP,
    "DECAPSULATE": KeyFunction.UNWRAP, "DERIVE": KeyFunction.DERIVE,
}  # fmt: skip
_PURPOSES: Final[dict[KeyType, dict[KeyFunction, KeyPurpose]]] = {
    KeyType.PRIVATE_KEY: {
        KeyFunction.SIGN: KeyPurpose.PRIVATE_SIGNATURE,
        KeyFunction.DECRYPT: KeyPurpose.PRIVATE_TRANSPORT,
        KeyFunction.UNWRAP: KeyPurpose.PRIVATE_TRANSPORT,
        KeyFunction.DERIVE: KeyPurpose.PRIVATE_AGREEMENT,
    },
    KeyType.PUBLIC_KEY: {
        KeyFunction.VERIFY: KeyPurpose.PUBLIC_VERIFICATION,
        KeyFunction.ENCRYPT: KeyPurpose.PUBLIC_TRANSPORT,
        KeyFunction.WRAP: KeyPurpose.PUBLIC_TRANSPORT,
        KeyFunction.DERIVE: KeyPurpose.PUBLIC_AGREEMENT,
    },
    KeyType.SECRET_KEY: {
        KeyFunction.SIGN: KeyPurpose.AUTHENTICATION,
        KeyFunction.VERIFY: KeyPurpose.AUTHENTICATION,
        KeyFunction.ENCRYPT: KeyPurpose.DATA_ENCRYPTION,
        KeyFunction.DECRYPT: KeyPurpose.DATA_ENCRYPTION,
        KeyFunction.WRAP: KeyPurpose.KEY_WRAPPING,
        KeyFunction.UNWRAP: KeyPurpose.KEY_WRAPPING,
        KeyFunction.DERIVE: KeyPurpose.KEY_DERIVATION,
    },
}
# What a deactivated symmetric key may still do (7.4): process what was protected before.
_PROCESSING: Final = {KeyFunction.VERIFY, KeyFunction.DECRYPT, KeyFunction.UNWRAP}


@cache
def purpose(key_type: KeyType, functions: Functions) -> tuple[KeyPurpose | None, str]:
    """The key type of 5.1.1, and why; None where the usage attributes span several, or tell none."""
    if functions is None:
        return None, "purpose: the module gives no usage attribute"
    known = _PURPOSES.get(key_type, {})
    told = dict.fromkeys(known[function] for function in functions if function in known)
    if len(told) == 1:
        return next(iter(told)), f"purpose: its usage attributes are {', '.join(functions)}"
    if told:
        return None, f"purpose: its usage attributes span {', '.join(told)}"
    return None, "purpose: no usage attribute is set"


def state(
    key_type: KeyType, functions: Functions, starts: datetime | None, ends: datetime | None, *, now: datetime
) -> tuple[KeyState | None, str]:
    """The state of section 7, and why."""
    if starts is not None and starts > now:
        return KeyState.PRE_ACTIVATION, "state: CKA_START_DATE has not come"
    if functions is None:
        return None, "state: the module gives no usage attribute"
    if key_type is KeyType.PUBLIC_KEY:
        return None, "state: a public half has that of its private half"
    if not functions:
        return None, "state: no usage attribute is set, so it is suspended or deactivated"
    if key_type is KeyType.SECRET_KEY and set(functions) <= _PROCESSING:
        return KeyState.DEACTIVATED, "state: it may process what was protected, and protect nothing more"
    late = ", and CKA_END_DATE, which has passed, stops nothing" if ends is not None and ends < now else ""
    return KeyState.ACTIVE, f"state: its usage attributes let it be used{late}"
