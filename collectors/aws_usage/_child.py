"""The process that reads log files for another: given `Setup`, then lists of files; it answers with their batches."""

from __future__ import annotations

import sys

from collectors._frames import receive, send
from collectors.aws_usage._reader import batches


def _work() -> None:
    given, out = sys.stdin.buffer, sys.stdout.buffer
    # What is printed by mistake must not fall among the frames.
    sys.stdout = sys.stderr
    try:
        setup = receive(given)
        while True:
            for file in receive(given):
                for batch in batches(file, setup):
                    send(out, batch)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    _work()
