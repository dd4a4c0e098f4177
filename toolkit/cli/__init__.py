"""The verbs on the command line. No logic lives here: each command calls the verb of its name and shows what it gave.

Results go to standard output, everything else to standard error. With `--json` the result is one JSON document.

Exit codes: 0 clean · 1 findings at or above --fail-on, or a run quarantined · 2 wrong usage · 3 incomplete coverage
(with --strict) · 4 it failed, and the message says what to do · 130 stopped by Ctrl-C, what was whole is kept.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import shown
from toolkit.cli.attest import attest
from toolkit.cli.house import house as house_commands
from toolkit.cli.options import CODES, FAILED, FOUND, INCOMPLETE, SEVERITIES, STOPPED, TIMES, Command
from toolkit.cli.options import as_json as json_option
from toolkit.cli.options import as_of as as_of_option
from toolkit.cli.options import fail_on as fail_on_option
from toolkit.cli.options import workspace as workspace_option
from toolkit.cli.validate import tell_quarantine, validate
from toolkit.cli.weigh import explain, priorities, readiness, score, what_if

if TYPE_CHECKING:
    from collections.abc import Collection

    from toolkit.tables import Inventory


@click.group(epilog=CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="keyatlas")
def main() -> None:
    """Find every cryptographic key, say which break which standard and how much it matters, and prove it."""


class _Collectors(click.Group):
    """One subcommand a collector, made from its constructor's signature when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        from toolkit import registry

        return list(registry.entries("collectors"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        from toolkit import config, registry

        if cmd_name not in registry.entries("collectors"):
            return None
        cls = registry.collector_class(cmd_name)
        known = config.options_of(cls)
        options = [_option(option, known) for option in known.values()]
        shared = [_strict_option(), _workspace_option(), _json_option()]
        says = (inspect.getdoc(cls) or "").partition("\nArgs:\n")[0]
        return click.Command(cmd_name, params=[*options, *shared], callback=_collecting(cmd_name), help=says)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The default would import every collector for its short help.
        with formatter.section("Collectors"):
            formatter.write_text(", ".join(self.list_commands(ctx)))


def _option(option: Any, known: Collection[str]) -> click.Option:
    flag = "--" + option.name.replace("_", "-")
    if option.is_many:
        # One of several is named in the singular, unless that is an option of its own (pin, pins).
        named = flag if option.name.removesuffix("s") in known else flag.removesuffix("s")
        return click.Option([named, option.name], multiple=True, help=option.says)
    if option.type is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=option.default, show_default=True, help=option.says)
    kind = option.type if option.type in (int, float) else str
    is_told = option.default not in (None, "")
    return click.Option([flag], default=option.default, type=kind, show_default=is_told, help=option.says)


def _strict_option() -> click.Option:
    return click.Option(["--strict"], is_flag=True, help="Exit with 3 if anything could not be seen.")


def _workspace_option() -> click.Option:
    said = "The folder that runs are kept in."
    return click.Option(["-w", "--workspace"], default=".keyatlas", show_default=True, help=said)


def _json_option() -> click.Option:
    return click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document.")


def _collecting(name: str) -> Command:
    def collect(workspace: str, as_json: bool, strict: bool, **options: Any) -> None:
        import toolkit as tk

        given = {key: value for key, value in options.items() if value not in (None, ())}
        inv = tk.collect(name, into=workspace, **given)
        shown.collected(inv, workspace, as_json)
        if (inv.readings["status"] == "interrupted").any():
            click.echo("Stopped: targets read to their end are kept, the others are gaps.", err=True)
            sys.exit(STOPPED)
        if tell_quarantine(workspace, inv.runs):
            sys.exit(FOUND)
        _exit_for(inv, strict)

    return collect


@main.command(cls=_Collectors, name="collect", epilog=CODES)
def collect() -> None:
    """Read a source into the workspace. Nothing is ever changed at the source."""


@main.command()
@json_option
def collectors(as_json: bool) -> None:
    """List the collectors there are."""
    import toolkit as tk

    told = tk.collectors()
    click.echo(json.dumps(told, indent=2) if as_json else shown.lines(told))


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--as", "form", type=click.Choice(["iam", "cloudformation", "terraform"]), help="Print a policy of AWS.")
@json_option
def permissions(names: tuple[str, ...], form: str | None, as_json: bool) -> None:
    """Say what collectors must be allowed to do, and nothing more."""
    import toolkit as tk

    needed = list(dict.fromkeys(read for name in names for read in tk.permissions(name)))
    if form is not None:
        from toolkit import leastprivilege

        click.echo(leastprivilege.document(needed, form=form))
        return
    told = {"collector": names[0]} if len(names) == 1 else {"collectors": names}
    click.echo(json.dumps({**told, "reads": needed}) if as_json else "\n".join(needed))


@main.command(epilog=CODES)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--history", is_flag=True, help="Read every blob that a repository ever held.")
@click.option("--staged", is_flag=True, help="Read only what is staged to be committed (for pre-commit).")
@click.option("--since", default="", metavar="REV", help="Read only what HEAD has and REV has not (for CI).")
@click.option("--gitignore", is_flag=True, help="Leave out what .gitignore names.")
@click.option("--patterns", multiple=True, metavar="FILE", help="Rules of your own, in our form or gitleaks'.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1), default=0.5, show_default=True, metavar="0..1",
    help="Show findings that are at least this sure.",
)  # fmt: skip
@click.option("--baseline", default="", metavar="FILE", help="Findings that are accepted for now.")
@click.option("--write-baseline", default="", metavar="FILE", help="Accept all findings: needs --reason and --until.")
@click.option("--reason", default="", help="Why the findings of --write-baseline are accepted.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", default=None, help="When that ends.")
@click.option("--check-liveness", default="", metavar="FILE", help="Ask the services in this table of endpoints.")
@click.option("--cache/--no-cache", default=True, help="Keep what was read of a history, to read only what is new.")
@click.option("--processes", default=0, help="How many read at once; 0 is as many as there are cores.")
@fail_on_option("very-low")
@click.option("--strict", is_flag=True, help="Exit with 3 if anything could not be seen.")
@click.option("--show-suppressed", is_flag=True, help="Show what is passed over, too.")
@click.option("--sarif", "form", flag_value="sarif", help="Print SARIF 2.1.0.")
@click.option("--json", "form", flag_value="json", help="Print one JSON document.")
def scan(paths: tuple[str, ...], write_baseline: str, reason: str, until: Any, fail_on: str, strict: bool, show_suppressed: bool, form: str | None, **options: Any) -> None:  # noqa: E501  # fmt: skip
    """Find hard-coded secrets in folders, or in whole histories. Values are never shown."""
    from pathlib import Path

    from toolkit import scanning

    if sum(map(bool, (options["staged"], options["history"], options["since"]))) > 1:
        raise click.UsageError("--staged, --history and --since are three ways to choose what is read: give one")
    if write_baseline:
        if until is None:
            raise click.UsageError("--write-baseline needs --until YYYY-MM-DD: nothing is accepted for ever")
        told = scanning.write_baseline(paths, options, Path(write_baseline), reason=reason, until=until.date())
        click.echo(f"{write_baseline}: {len(told.findings):,} findings accepted until {until:%Y-%m-%d}", err=True)
        return
    told = scanning.scan(paths, options)
    shown.scan(told, form, show_suppressed=show_suppressed)
    worst = told.worst()
    if worst is not None and fail_on != "never" and SEVERITIES.index(worst.value) >= SEVERITIES.index(fail_on):
        sys.exit(FOUND)
    if strict and not told.is_whole:
        sys.exit(INCOMPLETE)


@main.command()
@workspace_option
@json_option
@click.option("--strict", is_flag=True, help="Exit with 3 if anything could not be seen.")
def coverage(workspace: str, as_json: bool, strict: bool) -> None:
    """Show what could not be seen, and why."""
    import toolkit as tk

    inv = tk.load(workspace)
    shown.covered(tk.coverage(inv), inv.gaps, as_json)
    _exit_for(inv, strict)


@main.command()
@click.argument("old", type=TIMES, metavar="OLD")
@click.argument("new", type=TIMES, required=False, metavar="[NEW]")
@workspace_option
@json_option
def compare(old: Any, new: Any, workspace: str, as_json: bool) -> None:
    """Show what changed between two dates or times, OLD and NEW. NEW is now, if not given: 2026-11-30T14:00Z."""
    import toolkit as tk

    before, after = tk.load(workspace, as_of=old), tk.load(workspace, as_of=new)
    shown.table(tk.compare(before, after), as_json, nothing="Nothing changed.")


@main.command()
@click.argument("packs", nargs=-1)
@workspace_option
@json_option
@as_of_option
@fail_on_option("high")
@click.option("--strict", is_flag=True, help="Exit with 3 if anything could not be seen.")
@click.option("--all", "show_all", is_flag=True, help="Show every verdict, not the counts by rule.")
@click.option(
    "--scopes", default=None, metavar="FILE", help="What is in scope of what; the workspace's scopes.toml if not given."
)
@click.option("--house", default=None, metavar="FILE", help="Your own policy; the workspace's house.toml if not given.")
def assess(packs: tuple[str, ...], workspace: str, as_json: bool, as_of: Any, fail_on: str, strict: bool, show_all: bool, scopes: str | None, house: str | None) -> None:  # noqa: E501  # fmt: skip
    """Judge the inventory by PACKS, or all policy packs in force.

    What is broken by a recorded exception stays a FAIL, is told, and does not count for --fail-on.
    """
    import toolkit as tk

    inv = tk.load(workspace, as_of=as_of)
    findings = tk.assess(inv, *packs, as_of=as_of, scopes=scopes, house=house, workspace=workspace)
    shown.judged(findings if show_all else tk.summary(findings), as_json)
    excepted = findings["excepted"].notna()
    if excepted.any():
        click.echo(f"{int(excepted.sum()):,} findings are excepted, and do not count for --fail-on.", err=True)
    failed = (findings["verdict"] == "FAIL") & ~excepted
    if fail_on != "never" and bool((failed & (findings["severity"] >= fail_on)).any()):
        sys.exit(FOUND)
    _exit_for(inv, strict)


@main.command()
@click.option("--since", type=TIMES, default=None, help="What is before it is the past to learn from.")
@click.option("--planned", multiple=True, metavar="UID=OPERATION", help="A change that was planned, and is not told.")
@workspace_option
@json_option
@fail_on_option("high")
def anomalies(since: Any, planned: tuple[str, ...], workspace: str, as_json: bool, fail_on: str) -> None:
    """Show uses of keys that are out of habit, with reasons. Habits are learnt from what was before --since."""
    import toolkit as tk

    plans = [(name, str(operation)) for name, operation in map(_pair, planned)]
    found = tk.anomalies(tk.load(workspace), since=since, planned=plans)
    shown.table(found if as_json else found[["kind", "severity", "at", "locator", "principal", "reasons"]], as_json,
                nothing="Nothing is out of habit, as far as uses of keys were collected.")  # fmt: skip
    if fail_on != "never" and bool((found["severity"] >= fail_on).any()):
        sys.exit(FOUND)


@main.command()
@click.argument("name", default="risk_assessment")
@workspace_option
@json_option
@click.option("-o", "--out", default="reports", show_default=True, help="The folder the report is written to.")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A notebook parameter.")
def report(name: str, workspace: str, as_json: bool, out: str, parameters: tuple[str, ...]) -> None:
    """Run a notebook over the workspace, as one HTML file."""
    import toolkit as tk

    path = tk.report(name, workspace=workspace, out=out, parameters=dict(_pair(text) for text in parameters))
    click.echo(json.dumps({"report": str(path)}) if as_json else str(path))


@main.command()
@click.argument("form", type=click.Choice(["csv", "jsonl", "parquet"]))
@click.argument("folder")
@workspace_option
@json_option
def export(form: str, folder: str, workspace: str, as_json: bool) -> None:
    """Write the tables to FOLDER in another form."""
    import toolkit as tk

    path = tk.export(tk.load(workspace), form, folder)
    click.echo(json.dumps({"folder": str(path)}) if as_json else str(path))


@main.command()
@workspace_option
@json_option
@click.option("-o", "--out", default="reports", show_default=True, help="The folder the report is written to.")
def demo(workspace: str, out: str, as_json: bool) -> None:
    """Inventory this machine and report on it."""
    import toolkit as tk

    inv, path = tk.demo(workspace, out=out)
    told = {"keys": len(tk.keys(inv)), "places": len(inv.keys), "gaps": len(inv.gaps), "report": str(path)}
    if as_json:
        click.echo(json.dumps(told))
        return
    shown.collected(inv, workspace, as_json=False)
    shown.worst(tk.score(inv).head(8))
    # After `make demo` the command lies in .venv, where no shell looks.
    command = "keyatlas" if shutil.which("keyatlas") else sys.argv[0]
    click.echo(f"\nThe report: {path}\nOne key, whole: {command} explain UID\nAll tables: {command} export csv FOLDER")


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _exit_for(inv: Inventory, strict: bool) -> None:
    if strict and not (inv.readings["status"] == "read").all():
        click.echo("Coverage is incomplete: see `keyatlas coverage`.", err=True)
        sys.exit(INCOMPLETE)


for _command in (attest, explain, house_commands, priorities, readiness, score, validate, what_if):
    main.add_command(_command)


def run() -> None:
    """The `keyatlas` command: errors become a line that says what to do, never a traceback."""
    from toolkit.errors import ConfigError, KeyatlasError, RegistryError

    try:
        main(standalone_mode=True)
    except (ConfigError, RegistryError) as wrong:
        click.echo(f"keyatlas: {wrong}", err=True)
        sys.exit(2)
    except KeyatlasError as failure:
        click.echo(f"keyatlas: {failure}", err=True)
        sys.exit(FAILED)
    except OSError as failure:
        # Every reading turns its own into errors of ours, so it is the output that could not be written.
        with suppress(OSError):
            click.echo(f"keyatlas: the output could not be written: {failure.strerror or 'unknown'}", err=True)
        os._exit(FAILED)
