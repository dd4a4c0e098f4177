"""What AWS calls a key, and which key that is.

Services name the same key by id, ARN, alias or alias ARN; what is joined must be made one first. A multi-Region key
has one id and one material in all its Regions (KMS developer guide, "Multi-Region keys in AWS KMS"), so its uid leaves
the Region out.

>>> key_uid("arn:aws:kms:eu-west-1:111122223333:key/mrk-1") == key_uid("arn:aws:kms:us-east-1:111122223333:key/mrk-1")
True
>>> key_arn("alias/app", "aws", "eu-west-1", "111122223333", {"alias/app": "1234abcd"})
'arn:aws:kms:eu-west-1:111122223333:key/1234abcd'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from toolkit.identity import keeper_uid

_PARTS: Final = 6


def key_uid(arn: str) -> str:
    """The uid of a KMS key that has no public half, or whose public half could not be read."""
    parts = arn.split(":", _PARTS - 1)
    if len(parts) == _PARTS and parts[5].startswith("key/mrk-"):
        parts[3] = ""
    return keeper_uid(":".join(parts))


def account_of(arn: str) -> str:
    """The account that an ARN names."""
    parts = arn.split(":", _PARTS - 1)
    return parts[4] if len(parts) == _PARTS else ""


def key_arn(name: str, partition: str, region: str, account: str, aliases: Mapping[str, str]) -> str | None:
    """The ARN of the key that a service names by id, ARN, alias or alias ARN, in a place whose aliases are known.

    None where it is an alias that the place does not have: another account's, or one that points at nothing yet.
    """
    name = name.strip()
    if name.startswith("arn:"):
        parts = name.split(":", _PARTS - 1)
        if len(parts) < _PARTS or parts[2] != "kms":
            return None
        if parts[5].startswith("key/"):
            return name
        partition, region, word = parts[1], parts[3], parts[5]
        if parts[4] != account:
            return None
    else:
        word = name
    if word.startswith("alias/"):
        target = aliases.get(word)
        return f"arn:{partition}:kms:{region}:{account}:key/{target}" if target else None
    return f"arn:{partition}:kms:{region}:{account}:key/{word.removeprefix('key/')}" if word else None
