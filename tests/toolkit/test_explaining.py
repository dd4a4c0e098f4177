"""The page on one key, from a real inventory: whole, escaped, and about that key alone."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime

import pytest

import toolkit as tk
from toolkit.errors import ConfigError
from toolkit.model import Access, Gap, Relation, Usage
from toolkit.tables import Builder, Inventory, to_frame
from toolkit.terms import AccessFunction, AccessVia, GapScope, GapStatus, PrincipalKind, RelationKind

AS_OF = datetime(2026, 11, 27, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def shop(tmp_path):
    """A key with a certificate that openssl made, and another key that has nothing to do with it."""
    place = tmp_path / "shop"
    place.mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "30", "-subj", f"/CN={HOSTILE}"]
    subprocess.run([*made, "-keyout", place / "key.pem", "-out", place / "cert.pem"], check=True, capture_output=True)
    subprocess.run(["openssl", "genrsa", "-out", place / "other.pem", "3072"], check=True, capture_output=True)
    return place


def weak(inv):
    """The uid of the key that the certificate is on."""
    return inv.certificates["key_uid"].iloc[0]


def test_a_page_says_all_that_is_known_of_its_key_and_nothing_of_others(shop):
    """Places, certificate, verdicts, reasons and repairs, each in its section."""
    inv = tk.collect("keyfiles", paths=[str(shop)], show_progress=False)

    page = tk.explain(inv, weak(inv), as_of=AS_OF)

    assert page.title.startswith("RSA 1024, private key")
    assert "needs action" not in page.says
    assert {"key.pem#pem=1", "cert.pem#pem=1"} == {
        name.rpartition("/")[2] for name in page.frames["Where it lies"]["locator"]
    }
    assert len(page.frames["Certificates on it"]) == 1
    assert "FAIL" in set(page.frames["What the standards say of it"]["verdict"])
    assert "RSA-1024 is too weak" in str(page)
    assert page.frames["What to do first"]["before"].iloc[0] > page.frames["What to do first"]["after"].iloc[0]
    assert "other.pem" not in str(page) + page._repr_html_()


def test_a_page_folds_to_the_window_and_stays_whole_in_a_pipe(shop):
    """At 80 columns nothing but a name that is longer than a line goes further, and no word is lost."""
    inv = tk.collect("keyfiles", paths=[str(shop)], show_progress=False)
    page = tk.explain(inv, weak(inv), as_of=AS_OF)
    told, whole = page.text(80).split("\n"), str(page).split("\n")

    assert [] == [line for line in told if len(line) > 80 and len(line.split()) > 1]
    assert page.says in whole
    assert page.says not in told
    assert set(page.says.split()) <= set(" ".join(told).split())
    reasons = page.frames["Reasons of its risk"]["reason"]
    assert {f"  {reason}" for reason in reasons} <= set(whole)
    assert any(line.startswith("    ") and line.strip() in " ".join(reasons) for line in told)


def test_a_name_is_text_on_the_page(shop):
    """Whoever made the certificate chose its subject."""
    inv = tk.collect("keyfiles", paths=[str(shop)], show_progress=False)
    html = tk.explain(inv, weak(inv), as_of=AS_OF)._repr_html_()
    assert HOSTILE not in html
    assert "&lt;img src=x" in html


def test_who_may_use_it_what_hangs_on_it_and_what_is_missing_are_told(shop):
    """What a keeper's collector adds stands on the page too."""
    inv = tk.collect("keyfiles", paths=[str(shop)], show_progress=False)
    uid, locator = weak(inv), inv.keys.set_index("key_uid").loc[weak(inv), "locator"].iloc[0]
    where = {"collector": "c", "target": "t:", "locator": locator}
    rows = {
        "access": Access(subject_uid=uid, **where, principal="arn:x:alice", principal_kind=PrincipalKind.USER,
                         function=AccessFunction.USE, via=AccessVia.GRANT, conditions=("only=on-mondays",)),
        "relations": Relation(subject_uid=uid, **where, kind=RelationKind.PROTECTS, object="arn:x:bucket"),
        "usages": Usage(key_uid=uid, **where, principal="arn:x:bob", operation="Sign", occurred_at=AS_OF),
        "gaps": Gap(**where, scope=GapScope.FIELD, status=GapStatus.DENIED, reason="refused", field="owner"),
    }  # fmt: skip
    tables = {name: inv.table(name) for name in Inventory.__slots__ if name != "runs"}
    told = str(
        tk.explain(Inventory(**{**tables, **{n: to_frame(n, [row]) for n, row in rows.items()}}), uid, as_of=AS_OF)
    )
    assert [] == [word for word in ("alice", "only=on-mondays", "bucket", "bob", "owner") if word not in told]


def test_the_history_is_what_the_runs_saw_change(shop, tmp_path):
    """A key that became readable by others between two runs, and nothing of the other key."""
    (shop / "key.pem").chmod(0o600)
    tk.collect("keyfiles", paths=[str(shop)], into=tmp_path / "w", show_progress=False)
    (shop / "key.pem").chmod(0o644)
    inv = tk.collect("keyfiles", paths=[str(shop)], into=tmp_path / "w", show_progress=False)

    frames = tk.explain(inv, weak(inv), as_of=AS_OF, workspace=tmp_path / "w").frames

    changed = frames["What changed from run to run"]
    assert ["changed"] == list(changed["change"])
    assert "is_exposed" in changed["fields"].iloc[0]


def test_a_uid_may_be_cut_if_that_tells_it_from_others(shop):
    """People copy eight digits; a cut that fits several, or none, is told."""
    inv = tk.collect("keyfiles", paths=[str(shop)], show_progress=False)
    uid = weak(inv)
    assert tk.explain(inv, uid[:20], as_of=AS_OF).title == tk.explain(inv, uid, as_of=AS_OF).title
    with pytest.raises(ConfigError, match="2 keys' uids begin"):
        tk.explain(inv, "spki:", as_of=AS_OF)
    with pytest.raises(ConfigError, match="no key's uid begins"):
        tk.explain(inv, "nothing", as_of=AS_OF)
    with pytest.raises(ConfigError):
        tk.explain(Inventory.of(Builder()), uid, as_of=AS_OF)
