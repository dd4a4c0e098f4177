"""One key, many places: sightings folded into the subjects that rules and risk are about.

Of several copies the weakest counts: a key in an HSM that also lies in a git history is a key in a git history.
Age goes by key, not by certificate: re-issuing on the same key extends the key's life (SP 800-57 part 1 r6 draft, 6.1).

Refuses to: join on anything but `key_uid`. A label, a subject key identifier or a file name is no identity. What a
keeper records of a key's use is joined by the keeper's own name of it (`usages`), which is one.
"""

from __future__ import annotations

import pandas as pd

from toolkit import scopes
from toolkit.algorithms import canonical
from toolkit.correlation import _others
from toolkit.correlation._access import with_access
from toolkit.correlation._keys import RANK, keys_of
from toolkit.correlation._numbers import STRING
from toolkit.tables import Inventory

__all__ = ["STRING", "places", "subjects", "unknown_algorithms", "usages"]


def places(inv: Inventory, key_uid: str) -> pd.DataFrame:
    """Every place one key was seen at: the rows of `inv.keys` with this uid, weakest protection first.

    Raises:
        KeyError: no sighting has this uid.
    """
    found = inv.keys[inv.keys["key_uid"] == key_uid]
    if found.empty:
        raise KeyError(key_uid)
    order = found["key_type"].astype(STRING).map(RANK)
    columns = ["locator", "collector", "key_type", "format", "protection", "is_exposed", "is_current", "label", "owner"]
    return found.assign(_rank=order).sort_values(["_rank", "protection", "locator"])[columns].reset_index(drop=True)


def subjects(inv: Inventory, mapping: scopes.Scopes = scopes.NOTHING) -> dict[str, pd.DataFrame]:
    """The frames that rules judge: a row per uid of each subject, and one for the inventory as a whole."""
    keys = keys_of(inv)
    credentials = _others.credentials(inv.credentials, keys)
    frames = {
        "key": keys,
        "certificate": _others.certificates(inv, keys),
        "token": _others.tokens(inv.tokens),
        "credential": with_access(inv, credentials, pd.Index(credentials["subject_uid"], dtype=STRING)),
        "secret": _others.secrets(inv.secrets),
        "inventory": _others.inventory(inv, keys),
    }
    return {name: frame.assign(scopes=scopes.tell(name, frame, mapping)) for name, frame in frames.items()}


def usages(inv: Inventory) -> pd.DataFrame:
    """The uses, each with the uid of the key or credential that was seen at its locator.

    Who records uses knows a key by its keeper's name only. A key with a public half has another uid where it was read,
    and an alias or a secret's bare name is known to the list of them only; what was not read keeps the uid it has.
    """
    known = {**_by_name(inv.credentials, "credential_uid"), **_by_name(inv.keys, "key_uid")}
    names = inv.usages["locator"]
    found = names.map({name: known[name] for name in names.dropna().unique() if name in known})
    return inv.usages.assign(key_uid=found.astype(STRING).fillna(inv.usages["key_uid"]))


def _by_name(rows: pd.DataFrame, uid: str) -> dict[str, str]:
    """By locator; and by what else the keeper, in that place, calls the same thing."""
    rows = rows[rows["locator"].str.startswith("arn:").fillna(False)]
    known: dict[str, str] = {}
    if "aliases" in rows:
        named = rows[rows["aliases"].notna()]
        for locator, name, aliases in zip(named["locator"], named[uid], named["aliases"], strict=True):
            place = locator.rpartition(":")[0]
            known |= {alias if alias.startswith("arn:") else f"{place}:{alias}": name for alias in aliases}
    else:
        # The keeper of secrets puts a hyphen and six characters behind a secret's name.
        known |= {
            where[:-7]: name for where, name in zip(rows["locator"], rows[uid], strict=True) if ":secret:" in where
        }
    return known | dict(zip(rows["locator"], rows[uid], strict=True))


def unknown_algorithms(inv: Inventory) -> pd.DataFrame:
    """Names that keys bear and `toolkit.algorithms` does not know, most frequent first; no name is no row."""
    named = inv.keys[inv.keys["algorithm"].notna()].drop_duplicates(["key_uid", "algorithm", "parameter"])
    odd = named[~named["algorithm"].map(lambda name: canonical(name) is not None).astype(bool)]
    counts = odd.groupby(["algorithm", "parameter"], dropna=False, observed=True)
    told = counts.agg(keys=("key_uid", "nunique"), locator=("locator", "min")).reset_index()
    return told.sort_values(["keys", "algorithm"], ascending=[False, True], ignore_index=True)
