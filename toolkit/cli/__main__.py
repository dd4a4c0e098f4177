"""`python -m toolkit.cli` is the `keyatlas` command."""

from toolkit.cli import run

run()
