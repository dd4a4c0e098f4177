"""A block of key material as it stands in source code, brought into the form that its parser knows.

Refuses to: parse.

>>> block_of(b'-----BEGIN X-----\\\\n" +\\n  "abc+\\\\n" +\\n  "+def\\\\n-----END X-----')
b'-----BEGIN X-----\\n\\nabc+\\n\\n+def\\n-----END X-----'
"""

from __future__ import annotations

import re
from typing import Final

# Quotes, commas and comment marks around the lines. A plus sign is base64 too: it goes only where it joins strings.
_AROUND: Final = b" \t\r\"'`,;>|#*\\().&"
_JOINED: Final = re.compile(rb"^\s*\+\s*(?=[\"'`])|(?<=[\"'`])\s*\+\s*$")
_LINE_END: Final = re.compile(rb"\r?\n|\\\\?r\\\\?n|\\\\?n|(?<=-----)[ \t]+(?=\S)|(?<=\S)[ \t]+(?=-----END)")


def block_of(value: bytes) -> bytes:
    """The lines of a PEM block without what the language around them added."""
    if not value.startswith(b"-----"):
        return value
    lines = _LINE_END.split(value)
    # In a patch each added line begins with a plus sign.
    if len(lines) > 2 and all(line.startswith(b"+") for line in lines[1:]):
        lines = [lines[0], *(line[1:] for line in lines[1:])]
    return b"\n".join(_JOINED.sub(b"", line).strip(_AROUND) for line in lines)
