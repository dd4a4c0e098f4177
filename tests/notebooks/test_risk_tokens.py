"""What the risk report says of tokens, and how it marks clauses that nobody may take as checked and in force."""

from __future__ import annotations

import html
import json
import re
import subprocess
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

import toolkit as tk
from toolkit import narrative, softhsm
from toolkit.cli import main
from toolkit.model import Reading, Token
from toolkit.tables import Builder, Inventory

AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
SET_UP = ("CKF_TOKEN_INITIALIZED", "CKF_USER_PIN_INITIALIZED")


def inventory(*tokens: dict[str, object], status: str = "read") -> Inventory:
    """Tokens with nothing but what is told of each."""
    builder = Builder()
    for number, told in enumerate(tokens):
        target = f"pkcs11:token={number}"
        builder.add(Token(token_uid=f"keeper:{number}", collector="pkcs11", target=target, locator=target, **told))
        times = {"seconds": 0.1, "started_at": AS_OF, "run_id": "r"}
        builder.add(Reading(collector="pkcs11", target=target, status=status, rows=1, gaps=0, **times))
    return Inventory.of(builder)


def table(inv: Inventory, *packs: str, **more: int) -> narrative.Table:
    """The table of its tokens, judged by the packs."""
    return narrative.tokens(inv, tk.assess(inv, *packs, as_of=AS_OF), **more)


def cell(told: narrative.Table, column: str, row: int = 0) -> str:
    """A cell as it is read: no tags."""
    return html.unescape(re.sub("<[^>]*>", " ", told.rows[row][told.columns.index(column)]))


def test_without_a_token_the_report_has_no_section_on_tokens():
    """Reports of who has no HSM do not grow."""
    inv = inventory()
    shown = narrative.keepers(inv, tk.keys(inv), tk.assess(inv, as_of=AS_OF))
    assert ["One key, several sources"] == [part.title for part in shown.tables]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (SET_UP, "no PIN warning"),
        ((*SET_UP, "CKF_USER_PIN_LOCKED"), "user PIN locked"),
        ((*SET_UP, "CKF_SO_PIN_FINAL_TRY"), "SO PIN: one try left"),
        ((*SET_UP, "CKF_USER_PIN_COUNT_LOW"), "user PIN: wrong tries"),
        ((*SET_UP, "CKF_ERROR_STATE"), "error state"),
        (("CKF_TOKEN_INITIALIZED",), "no user PIN set"),
        (None, "PINs unknown"),
    ],
)
def test_the_state_of_a_pin_is_told_in_words(flags, says):
    """Locked, nearly locked, never set; and what was not told is unknown, not in order."""
    told = cell(table(inventory({"flags": flags, "needs_login": True})), "State")
    assert says in " ".join(told.split())
    assert ("no PIN warning" in told) == (says == "no PIN warning")


def test_login_and_write_protection_are_told():
    """A token that asks for no login is an alarm; one of which that is unknown is not fine."""
    told = table(
        inventory({"needs_login": False, "is_write_protected": True, "label": "a"}, {"needs_login": None, "label": "b"})
    )
    assert "no login" in cell(told, "State", 0)
    assert "write protected" in cell(told, "State", 0)
    assert "login unknown" in " ".join(cell(told, "State", 1).split())


def test_a_token_that_was_not_read_whole_has_its_keys_or_more():
    """What a refused login hides is not counted as none."""
    part, whole = (table(inventory({"keys": 0}, status=status)) for status in ("partial", "read"))
    assert ["0", "or", "more"] == cell(part, "Keys").split()
    assert ["0"] == cell(whole, "Keys").split()
    assert "not read whole" in cell(part, "State")
    assert "unknown" in cell(table(inventory({})), "Keys")


def test_each_token_has_the_rules_it_breaks_and_the_worst_comes_first():
    """The rule stands with the token that broke it; an empty cell would look like a pass, so it says what passed."""
    good = {"label": "a-good", "keys": 1, "needs_login": True, "is_fips": True, "mechanisms": ("CKM_AES_GCM",)}
    bad = {"label": "open", "keys": 1, "needs_login": False, "is_fips": False, "mechanisms": ("CKM_DES_CBC",)}
    flags = {"flags": SET_UP}
    told = table(inventory({**good, **flags}, {**bad, **flags}, {"label": "empty", "keys": 0}), "pkcs11_custody")

    rules = {cell(told, "Token", row).split()[0]: cell(told, told.columns[-1], row) for row in range(3)}
    assert "open" == next(iter(rules))
    assert {"asks-for-login", "no-forbidden-mechanism"} <= set(re.findall(r"pkcs11_custody: (\S+)", rules["open"]))
    assert "FAIL" in rules["open"]
    assert re.fullmatch(r" *\d passed *", rules["a-good"])
    assert "no rule was applied to it" in rules["empty"]
    assert told.says.startswith("3 tokens with 2 key objects that could be seen. 1 breaks a rule on tokens, 1 of them")


def test_many_tokens_are_cut_and_the_sentence_says_so():
    """A thousand tokens do not fill the report."""
    told = table(inventory(*({"label": f"t{number}"} for number in range(20))), top=15)
    assert 15 == len(told.rows)
    assert told.says.endswith("The first 15 are shown.")


def test_one_token_behind_two_modules_is_one_row_with_both():
    """A proxy's module and the maker's own are two ways to one token."""
    builder = Builder()
    for module in ("/usr/lib/p11-kit.so", "/usr/lib/maker.so"):
        builder.add(
            Token(token_uid="keeper:1", collector="pkcs11", target=module, locator="pkcs11:token=a", module=module)
        )
    told = table(Inventory.of(builder))
    assert 1 == len(told.rows)
    assert {"/usr/lib/p11-kit.so", "/usr/lib/maker.so"} <= set(cell(told, "Module").replace("/ ", "/").split())


@pytest.mark.parametrize("pack", ["nist_sp800_131a_r3", "anssi", "pkcs11_custody"])
def test_report_and_command_mark_the_same_rules_with_the_same_words(workspace, pack):
    """What `keyatlas assess` calls draft, second hand or unverified is called so in the report's tables."""
    inv = tk.load(workspace)
    findings = tk.assess(inv, pack, as_of=AS_OF)
    command = ["assess", pack, "-w", str(workspace), "--as-of", "2026-11-01", "--fail-on", "never"]
    told = CliRunner().invoke(main, command).output
    rows = json.loads(CliRunner().invoke(main, [*command, "--json"]).output)
    broken = [row for row in rows if row["FAIL"] or row["WARN"]]

    _, rules = narrative.standards(findings).tables
    shown = {
        re.match("[^<]*", row[1])[0]: re.findall("chip (draft|secondhand|unverified)", row[1]) for row in rules.rows
    }
    words = {"S": ["secondhand"], "K": ["unverified"], "P": []}

    assert broken
    assert {row["rule"]: ["draft"] * row["is_draft"] + words[row["mark"]] for row in broken} == shown
    assert all(word.replace("secondhand", "second hand") in told for said in shown.values() for word in said)


def test_the_worst_keys_show_the_standing_of_each_verdict(workspace):
    """Nobody reads FAIL without reading beside it that no one checked the clause."""
    inv = tk.load(workspace)
    findings = tk.assess(inv, "pkcs11_custody", "nist_sp800_131a_r3", as_of=AS_OF)
    page = narrative.worst(tk.keys(inv), tk.score(inv, as_of=AS_OF), findings)._repr_html_()
    marks = findings.drop_duplicates("rule").set_index("rule")[["mark", "is_draft"]].astype(object)
    shown = re.findall(
        r"(?:pkcs11_custody|nist_sp800_131a_r3): ([\w-]+)((?: <span class=\"chip [^>]*>[^<]*</span>)*)", page
    )

    assert shown
    for rule, chips in shown:
        assert [*narrative.words.standing(*marks.loc[rule])] == re.findall(">([^<]+)<", chips)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """Two SoftHSM tokens of one name and a key file, collected and reported by the command."""
    if softhsm.find() is None:
        pytest.skip("SoftHSM2 is not installed")
    home = tmp_path_factory.mktemp("tokens")
    (home / "files").mkdir()
    subprocess.run(["openssl", "genrsa", "-out", home / "files/a.pem", "1024"], check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("one", "two"):
            token = softhsm.make_token(home / name)
            patch.setenv("SOFTHSM2_CONF", str(token.configuration))
            run("collect", "pkcs11", "--module", str(token.module), "--pin", token.pin, "-w", str(home / "w"))
    run("collect", "keyfiles", "--path", str(home / "files"), "-w", str(home / "w"))
    run("report", "-w", str(home / "w"), "-o", str(home / "out"), "-p", "as_of=2030-01-01")
    return home


def run(*words: str) -> None:
    """The command; it must do its work."""
    ran = CliRunner().invoke(main, list(words))
    assert 0 == ran.exit_code, ran.output


@pytest.mark.hsm
def test_real_tokens_are_in_the_report_each_with_what_it_is(tokens):
    """Both by serial number, with module, version, claim, state and rules; and a bar each in the figure."""
    page = (tokens / "out/risk_assessment.html").read_text()
    section = page[page.index("<h2>Tokens and HSMs</h2>") :].split("<h2>")[1]
    serials = list(tk.load(tokens / "w").tokens["serial_number"])

    assert 2 == len(set(serials))
    assert all(serial in section for serial in serials)
    for word in (
        "keyatlas-demo",
        "SoftHSM v2",
        "libsofthsm2.so",
        "no validated build",
        "login required",
        "fips-validated",
    ):
        assert 2 == section.count(word), word
    assert "keyatlas-d.." + serials[0][-6:] in page
    assert "keyatlas-d.." + serials[1][-6:] in page
    assert not [name for name in ("one", "two") if (tokens / name / "user.pin").read_text() in page]
