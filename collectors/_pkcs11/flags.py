"""The boolean attributes, which a child sends as one word: what both ends know of each other.

It needs no python-pkcs11, which the parent has no use for.
"""

from __future__ import annotations

from typing import Final

# A letter each: 1, 0, and - where it is not given.
FLAGS: Final = (
    "PRIVATE", "TRUSTED", "SENSITIVE", "ENCRYPT", "DECRYPT", "WRAP", "UNWRAP", "SIGN", "SIGN_RECOVER", "VERIFY",
    "VERIFY_RECOVER", "DERIVE", "EXTRACTABLE", "LOCAL", "NEVER_EXTRACTABLE", "ALWAYS_SENSITIVE", "MODIFIABLE",
    "COPYABLE", "DESTROYABLE", "ALWAYS_AUTHENTICATE", "WRAP_WITH_TRUSTED", "ENCAPSULATE", "DECAPSULATE",
)  # fmt: skip
