"""A simulator in a process of its own: `python -m simulators.kms`, in `tests/`; see `process.KmsProcess`.

Prints its URL, then answers one JSON line on its output for each JSON line on its input: {"do": name, "with": {…}}.
"""

from __future__ import annotations

import json
import sys

from simulators.kms.control import Control
from simulators.kms.simulator import KmsSimulator


def main() -> None:
    """Serve until the input ends."""
    with KmsSimulator() as aws:
        control = Control(aws)
        print(aws.url, flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(getattr(control, asked["do"])(**asked["with"])), flush=True)


main()
