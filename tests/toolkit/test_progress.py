"""What a person sees meanwhile: only in a terminal, only if it takes long, and never on standard output."""

from __future__ import annotations

import os
import pty
import select
import sys

from toolkit import progress


def test_a_terminal_is_told_how_far_a_long_reading_is(monkeypatch):
    """A scan of minutes that says nothing looks like one that hangs; a folder's name is text, not markup."""
    master, slave = pty.openpty()
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.counting("[red]box") as told:
            told(3, 10)
            shown = ""
            while "3 of 10" not in shown and select.select([master], [], [], 30)[0]:
                shown += os.read(master, 1 << 16).decode()
    os.close(master)

    assert "3 of 10 objects read" in shown
    assert "[red]box" in shown


def test_what_is_done_at_once_and_what_goes_into_a_pipe_shows_nothing(capfd):
    """Scripts read standard error too."""
    with progress.counting("folder") as told:
        told(1, 1)

    assert ("", "") == capfd.readouterr()
