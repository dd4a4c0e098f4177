"""Objects in frames, over the pipe between this program and a child of its own.

Refuses to: be used where the child runs code that is not ours, as a PKCS#11 module is (pickle runs what it is given).
"""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any, Final

_SIZE: Final = struct.Struct(">q")


def send(pipe: IO[bytes], thing: object) -> None:
    """One object in a frame."""
    content = pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    pipe.write(_SIZE.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """One object out of a frame that this program wrote; EOFError at the end."""
    head = pipe.read(_SIZE.size)
    if len(head) < _SIZE.size:
        raise EOFError
    size = _SIZE.unpack(head)[0]
    content = pipe.read(size)
    if len(content) < size:
        raise EOFError
    return pickle.loads(content)  # noqa: S301  # both ends of the pipe are ours
