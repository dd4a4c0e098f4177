"""The automata: all places of a text at which a rule's candidate ends.

Refuses to: know what a rule is; an expression is a number.
"""

from __future__ import annotations

import hyperscan

from collectors.code._book import Book, runs
from collectors.code._runs import Gathered, regions

Candidates = list[tuple[int, int]]
"""End of the match and number of its expression."""


class Engine:
    """Scans texts; not shared between threads (hyperscan's scratch is not)."""

    def __init__(self, book: Book) -> None:
        self._everywhere, self._around = (_Automaton(database) for database in book.databases)
        self._runs = _Automaton(runs())

    def candidates(self, text: bytes) -> Candidates:
        """All of them, by their end, each once."""
        found: Candidates = []
        self._everywhere.scan(text, found)
        fired: Candidates = []
        self._runs.scan(text, fired)
        if fired:
            gathered = Gathered(text, regions(text, [place for place, _ in fired]))
            matches: Candidates = []
            self._around.scan(gathered.text, matches)
            found += [(gathered.place(end), number) for end, number in matches]
        return sorted(set(found))


class _Automaton:
    """A database with the scratch it needs."""

    def __init__(self, database: hyperscan.Database) -> None:
        self._database = database
        self._scratch = hyperscan.Scratch(database)

    def scan(self, text: bytes, found: Candidates) -> None:
        """Adds every match."""
        add = found.append

        def note(expression: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add((end, expression))

        self._database.scan(text, match_event_handler=note, scratch=self._scratch)
