"""An organisation's own key management policy as code: one file that judges keys and says who may do what to them.

`house.toml` in a workspace, or any file given. It states classes of keys, and for each what its keys must be and who
may make, rotate, revoke and destroy them. `toolkit.policies` makes rules of it, so that `assess` judges by it beside
the standards; `permits` answers the lifecycle engine. `keyatlas house example` prints a whole file to start from.

    [house]
    organisation, title, edition, url       # texts
    status                                  # in-force | draft | example; only what is in force fails
    exception_days                          # the longest an exception may run; 365
    exception_approvers                     # roles that may approve one

    [roles]
    key-custodian = ["ana", "bo"]           # people; `[]`: whoever asks `permits` says who has it (a directory's group)

    [[freezes]]                             # days on which some verbs rest
    from, to, verbs, why

    [[classes]]                             # the first that matches a key is its class
    id, clause                              # needed; the clause is that of your own document
    says, severity                          # severity: of all its rules, in place of each one's own
    match = { keeper = "pkcs11", label = "pay-*" }      # all must match; a list means any; `*`, `?`, `[a-z]`
    when = [{ field = "copies", op = ">", value = 1 }]  # besides, in the language of `toolkit.conditions`
    algorithms = [{ algorithm = "RSA", least_bits = 3072 }, { algorithm = "EC", parameter = ["secp384r1"] }]
    strength_bits                           # of the key and all that wrap it
    protection = "token"                    # at least: none | passphrase | token | hardware
    is = ["sensitive"]                      # flags of a key that must be so, or not so
    is_not = ["extractable", "is_exposed"]
    stores, regions, origins, functions     # lists of what is allowed
    owners = ["payments", "core-*"]         # the key's owner is one of these
    custodians = { least = 2, names = ["ana", "bo"], attester = "CISO" }      # acknowledged by attestation
    originator_days, recipient_days         # cryptoperiod, from the first use or the last rotation

    [classes.may.destroy]                   # a verb of terms.Verb; one that is not there is for nobody
    roles                                   # who may
    approvals, approvers                    # how many people of which roles must agree; never the requester
    states                                  # in which states; of destroy: deactivated, compromised
    wait_days, unused_days                  # since the request; since the last use
    windows = [{ days = "mon-fri", from = 08:00:00, to = 18:00:00 }]          # UTC

    [[exceptions]]                          # to one rule (`class/rule`), for some keys, until a day
    id, rule, reason, owner, approver, granted, until
    keys = ["spki:12ab*"]                   # uids; or `match` and `when`, as of a class
    days                                    # of a cryptoperiod: how long instead

    [[examples]]                            # run whenever the file is read
    says, key, as_of
    class, breaks, cannot_tell, excepted    # what is judged of it; its class may be "none", or "unknown"
    ask = { verb, by, roles, approved_by, requested_at }                      # and what is said to a request
    decision, earliest

`match` knows keeper, tag (`name=value`), usage, scope, subject_uid, label, locator, owner, application, environment,
data_class, account, region, manager, purpose, key_type, algorithm, protection and origin. Keys without a secret half
(others' public keys) are in no class. An exception leaves the finding a FAIL, with `excepted` beside it; one that is
over, or was granted for too long, is a finding itself, and it holds no longer than `exception_days`.

Refuses to: allow what the file does not, take a key for one of a class when a field that tells is not known, or load a
file with an unknown name, a contradiction, or an example that it does not keep.

>>> from datetime import UTC, datetime
>>> house = load(EXAMPLE)
>>> key = {"holds_secret": True, "held_by": ["pkcs11"], "label": "pay-2026", "state": "active"}
>>> told = permits(house, "destroy", key, by="ana", as_of=datetime(2026, 11, 2, 9, tzinfo=UTC))
>>> told.outcome.value, [check.about.value for check in told.against]
('refused', ['state', 'wait', 'approvals'])
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Final

from toolkit.errors import ConfigError
from toolkit.house._examples import check, facts_of, judged
from toolkit.house._form import Demand, Exemption, House, KeyClass, Kind, Permit
from toolkit.house._parse import parse, spell
from toolkit.house._permits import ASKED, About, Approval, Check, Decision, Facts, Outcome, permits

__all__ = [
    "ASKED", "EXAMPLE", "FILE", "About", "Approval", "Check", "Decision", "Demand", "Exemption", "Facts", "House",
    "KeyClass", "Kind", "Outcome", "Permit", "check", "facts_of", "find", "governing", "judged", "load", "loads",
    "parse", "permits", "spell",
]  # fmt: skip

FILE: Final = "house.toml"
"""The name of a workspace's own policy."""
EXAMPLE: Final = Path(__file__).parent.parent / "policies" / FILE
"""The policy of an organisation that there is not, to start from."""


def find(given: str | Path | None = None, workspace: str | Path | None = None) -> Path | None:
    """The policy to go by: the file that is given, else the workspace's own, if it has one.

    Raises:
        ConfigError: a file is given and is not there.
    """
    if given is not None:
        if not Path(given).is_file():
            raise ConfigError(f"there is no policy {given}", advice=f"make one: keyatlas house example > {FILE}")
        return Path(given)
    place = None if workspace is None else Path(workspace) / FILE
    return place if place is not None and place.is_file() else None


def governing(given: str | Path | None = None, workspace: str | Path | None = None) -> House:
    """The policy that `find` finds, read.

    Raises:
        ConfigError: there is none, or it is not of the form.
    """
    found = find(given, workspace)
    if found is None:
        raise ConfigError(
            f"there is no {FILE} in {workspace}", advice=f"keyatlas house example > {Path(workspace or '.') / FILE}"
        )
    return load(found)


def load(path: Path) -> House:
    """The policy in a file, validated, its examples run.

    Raises:
        ConfigError: it cannot be read, is not of the form, contradicts itself, or breaks one of its own examples.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"cannot read the policy {path}: {wrong}", advice="check its path and rights") from wrong
    return loads(text, where=path.name)


@lru_cache(maxsize=16)
def loads(text: str, *, where: str = FILE) -> House:
    """The policy that a text says; the same text is checked once a process.

    Raises:
        ConfigError: as of `load`.
    """
    try:
        house = parse(tomllib.loads(text), where=where)
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"{where} is no TOML: {wrong}", advice="correct that line") from wrong
    check(house, where=where)
    return house
