"""The child's beginning: `start()` in a fresh Python, by `-c`, which starts faster than `-m`.

A module may take long to begin (SoftHSM2 reads all its objects), and so does importing python-pkcs11: both are done
side by side, the module in the main thread, as all of its calls are.

python-pkcs11 imports its helpers for building keys and certificates, and with them the whole of asn1crypto: more than
half of what a child's start takes, for what a reader never calls. In this process they are empty.

Refuses to: leave a core dump, which would hold the PIN.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from importlib import import_module
from threading import Thread
from types import ModuleType
from typing import Final

from collectors._pkcs11.beginning import Failed, begin

_UNUSED: Final = ("dh", "dsa", "ec", "rsa", "x509")


def start() -> None:
    """Begin the module that the first request names, then answer requests."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What a module prints must not be taken for an answer: facts go out on a private copy of standard output.
    pipe = os.dup(1)
    os.dup2(2, 1)
    for name in _UNUSED:
        sys.modules[f"pkcs11.util.{name}"] = ModuleType(f"pkcs11.util.{name}")
    other = Thread(target=import_module, args=("collectors._pkcs11.worker",))
    other.start()
    first = sys.stdin.readline()
    request = json.loads(first)
    begun: bool | Failed = False
    try:
        begun = begin(request["module"], request.get("parameters"))
    except Failed as failure:
        begun = failure
    except (OSError, AttributeError):
        # It is no module: python-pkcs11 will say so.
        pass
    other.join()
    from collectors._pkcs11.worker import main

    main(first, pipe, begun)
