"""The child's beginning: `python -m collectors._pkcs11`.

python-pkcs11 imports its helpers for building keys and certificates, and with them the whole of asn1crypto: more than
half of what a child's start takes, for what a reader never calls. In this process they are empty.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_UNUSED: Final = ("dh", "dsa", "ec", "rsa", "x509")

if __name__ == "__main__":
    for name in _UNUSED:
        sys.modules[f"pkcs11.util.{name}"] = ModuleType(f"pkcs11.util.{name}")
    from collectors._pkcs11.worker import main

    main()
