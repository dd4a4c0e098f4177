"""The tokens that keep keys: what each is, the state it is in, and which rules it breaks itself.

Refuses to: take a token's claim of FIPS 140 for a proof, or an unread flag for a good one.
"""

from __future__ import annotations

from typing import Any, Final

import pandas as pd

from toolkit.narrative.display import (
    NOTHING,
    Safe,
    Sections,
    Table,
    chip,
    is_unknown,
    lines,
    place,
    quiet,
    spaced,
    strong,
    text,
    word,
)
from toolkit.narrative.inventory import in_several_places
from toolkit.narrative.verdicts import verdict_lines
from toolkit.narrative.words import how_many, records
from toolkit.tables import Inventory
from toolkit.terms import Verdict

_HARD: Final = (Verdict.FAIL.value, Verdict.WARN.value)
_MOST: Final = 8
# PKCS#11 v3.1, 3.2, CK_TOKEN_INFO: what a person has to act on, and how soon.
_ALARMS: Final = {
    "CKF_ERROR_STATE": "error state",
    "CKF_USER_PIN_LOCKED": "user PIN locked",
    "CKF_SO_PIN_LOCKED": "SO PIN locked",
    "CKF_USER_PIN_FINAL_TRY": "user PIN: one try left",
    "CKF_SO_PIN_FINAL_TRY": "SO PIN: one try left",
}
_WARNINGS: Final = {
    "CKF_USER_PIN_COUNT_LOW": "user PIN: wrong tries",
    "CKF_SO_PIN_COUNT_LOW": "SO PIN: wrong tries",
    "CKF_USER_PIN_TO_BE_CHANGED": "user PIN to be changed",
    "CKF_SO_PIN_TO_BE_CHANGED": "SO PIN to be changed",
}


def keepers(inv: Inventory, keys: pd.DataFrame, findings: pd.DataFrame, *, top: int = 15) -> Sections:
    """The tokens, if there are any, then the keys that more than one kind of source holds."""
    several = in_several_places(keys, top=top)
    return Sections((several,) if inv.tokens.empty else (tokens(inv, findings, top=top), several))


def tokens(inv: Inventory, findings: pd.DataFrame, *, top: int = 15) -> Table:
    """One row a token, those that break most first; `findings` as `tk.assess` has them."""
    own = findings[findings["subject"] == "token"]
    hard = own[own["verdict"].isin(_HARD)]
    once = inv.tokens.drop_duplicates("token_uid")
    fails = hard["subject_uid"][hard["verdict"] == "FAIL"].value_counts()
    ranked = once.assign(
        _fails=once["token_uid"].map(fails).fillna(0),
        _breaks=once["token_uid"].map(hard["subject_uid"].value_counts()).fillna(0),
    ).sort_values(["_fails", "_breaks", "label", "locator"], ascending=[False, False, True, True])
    rows = tuple(_row(row, inv, own, hard) for row in records(ranked.head(top)))
    columns = ("Token", "Module", "FIPS 140", "State", "Keys", "Rules that it breaks itself")
    return Table("Tokens and HSMs", _sentence(once, hard, top), columns, rows, frozenset({"Keys"}))


def _row(row: Any, inv: Inventory, own: pd.DataFrame, hard: pd.DataFrame) -> tuple[Safe, ...]:
    # One token may be shown by several modules (a proxy and the maker's own): each is a way in.
    seen_as = inv.tokens[inv.tokens["token_uid"] == row.token_uid]
    readings = _readings(inv, seen_as)
    return (
        _which(row),
        lines([*_versions(row), *(place(module, most=44) for module in seen_as["module"].drop_duplicates())]),
        _fips(row),
        lines(_state(row, readings)),
        _keys(row.keys, readings),
        lines(
            [
                verdict_lines(hard[hard["subject_uid"] == row.token_uid], most=_MOST),
                _rest(own[own["subject_uid"] == row.token_uid]),
            ]
        ),
    )


def _which(row: Any) -> Safe:
    label = text(None) if is_unknown(row.label) else strong(row.label)
    kind = "kind unknown" if is_unknown(row.is_hardware) else "hardware" if row.is_hardware else "software"
    names = [str(name) for name in (row.manufacturer, row.model) if not is_unknown(name)]
    # PKCS#11 gives a serial number sixteen characters.
    serial = text(None) if is_unknown(row.serial_number) else word(row.serial_number)
    return lines([label, quiet(", ".join([kind, *names]), most=70), spaced([quiet("serial"), serial])])


def _versions(row: Any) -> list[Safe]:
    told = {"firmware": row.firmware_version, "library": row.module_version, "PKCS#11": row.cryptoki_version}
    return [text(f"{name} {version}", most=30) for name, version in told.items() if not is_unknown(version)]


def _fips(row: Any) -> Safe:
    said = text(None) if is_unknown(row.is_fips) else word("claimed" if row.is_fips else "no")
    return lines([said, NOTHING if is_unknown(row.fips_reason) else quiet(row.fips_reason, most=80)])


def _readings(inv: Inventory, seen_as: pd.DataFrame) -> set[str]:
    return set(inv.readings.loc[inv.readings["target"].isin(seen_as["target"]), "status"].astype(str))


def _state(row: Any, readings: set[str]) -> list[Safe]:
    """The state of login, PINs and writing; what was not told is unknown, and so is no comfort."""
    if is_unknown(row.needs_login):
        login = spaced([text("login"), text(None)])
    else:
        login = word("login required") if row.needs_login else chip("no login", kind="alarm")
    flags = None if is_unknown(row.flags) else set(row.flags)
    told = [login, *(_pins(flags) if flags is not None else [spaced([text("PINs"), text(None)])])]
    told += [word("write protected")] if not is_unknown(row.is_write_protected) and row.is_write_protected else []
    return [*told, *([chip("not read whole", kind="warning")] if readings - {"read"} else [])]


def _pins(flags: set[str]) -> list[Safe]:
    bad = [chip(says, kind="alarm") for flag, says in _ALARMS.items() if flag in flags]
    bad += [chip(says, kind="warning") for flag, says in _WARNINGS.items() if flag in flags]
    if "CKF_TOKEN_INITIALIZED" not in flags:
        bad.append(chip("not initialised", kind="warning"))
    if "CKF_USER_PIN_INITIALIZED" not in flags:
        bad.append(chip("no user PIN set", kind="warning"))
    return bad or [word("no PIN warning")]


def _keys(keys: object, readings: set[str]) -> Safe:
    """How many keys; of a token that was not read whole there may be more."""
    if is_unknown(keys):
        return text(None)
    return lines([text(f"{keys:,}"), quiet("or more") if readings - {"read"} else NOTHING])


def _rest(own: pd.DataFrame) -> Safe:
    """What else was asked of it, so that an empty cell is never taken for a pass."""
    if own.empty:
        return quiet("no rule was applied to it")
    names = {Verdict.INDETERMINATE: "cannot tell", Verdict.ATTESTATION_REQUIRED: "to attest", Verdict.PASS: "passed"}
    counts = own["verdict"].astype(str).value_counts()
    told = [f"{counts[verdict.value]:,} {name}" for verdict, name in names.items() if counts.get(verdict.value, 0)]
    return quiet("; ".join(told)) if told else NOTHING


def _sentence(once: pd.DataFrame, hard: pd.DataFrame, top: int) -> str:
    claimed = int(once["is_fips"].fillna(False).sum())
    broken, failing = (frame["subject_uid"].nunique() for frame in (hard, hard[hard["verdict"] == "FAIL"]))
    more = f" The first {top:,} are shown." if len(once) > top else ""
    return (
        f"{how_many(len(once), 'token')} with {how_many(int(once['keys'].sum()), 'key object')} that could be seen. "
        f"{broken:,} {'breaks' if broken == 1 else 'break'} a rule on tokens, {failing:,} of them by a FAIL; "
        f"{claimed:,} {'claims' if claimed == 1 else 'claim'} to be a FIPS 140 module, which only the CMVP list "
        f"proves. What the keys on a token break is counted with those keys.{more}"
    )
