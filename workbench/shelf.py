"""Where a journal keeps its exchanges: in memory, or in a file that outlives the process.

Owns: the two shelves and the file's schema. Every append to a file is a transaction of its own, so that what has
been appended is there after the process is killed. Must not know what an exchange means. A shelf is used by one
thread at a time; the journal sees to that.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, Protocol

from workbench.exceptions import BadInput, WorkbenchError
from workbench.records import COLUMNS, Told, as_row, from_row
from workbench.rules.exchange import Exchange
from workbench.transitions import Columns, Move, Transition, values

SQLITE: Final = b"SQLite format 3\x00"
"""How a file of SQLite begins."""


class Shelf(Protocol):
    """Exchanges by place, counted from 0, each with its transition."""

    batch: int
    """How many exchanges to ask for at once."""

    def __len__(self) -> int: ...
    def append(self, exchange: Exchange, move: Move, said: Told) -> None:
        """Keep one more."""

    def exchanges(self, start: int, stop: int) -> list[Exchange]:
        """Those from ``start`` up to ``stop``."""

    def told(self, start: int, stop: int) -> list[Told]:
        """What the answers of those said."""

    def rows(self, start: int) -> list[Transition]:
        """The transitions from ``start`` on."""

    def columns(self) -> Columns:
        """All transitions, column by column."""

    def moves(self) -> list[Move]:
        """The ETags before and after each."""

    def close(self) -> None:
        """Let go of what it uses."""


class InMemory:
    """The shelf of a journal without a path."""

    batch = 1 << 62  # all at once: they are there already

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._columns = Columns()

    def __len__(self) -> int:
        return len(self._exchanges)

    def append(self, exchange: Exchange, move: Move, said: Told) -> None:
        """Keep one more."""
        self._columns.append(values(exchange, move, said))
        self._exchanges.append(exchange)

    def exchanges(self, start: int, stop: int) -> list[Exchange]:
        """Those from ``start`` up to ``stop``."""
        return self._exchanges[start:stop]

    def told(self, start: int, stop: int) -> list[Told]:
        """What their answers said."""
        found = self._columns
        return list(map(Told, found.spine_code[start:stop], found.diagnostics[start:stop]))

    def rows(self, start: int) -> list[Transition]:
        """The transitions from ``start`` on."""
        return self._columns.since(start).rows(start + 1)

    def columns(self) -> Columns:
        """All transitions, column by column."""
        return self._columns.since(0)

    def moves(self) -> list[Move]:
        """The ETags before and after each."""
        return list(zip(self._columns.etag_before, self._columns.etag_after, strict=True))

    def close(self) -> None:
        """There is nothing to let go of."""


_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS exchange (
    seq INTEGER PRIMARY KEY, if_match, etag_before, etag_after, spine_code, diagnostics, {", ".join(COLUMNS)}
)
"""
_VALUES: Final = ", ".join("?" * (len(COLUMNS) + 6))
_INSERT: Final = f"INSERT INTO exchange VALUES ({_VALUES})"  # noqa: S608  # question marks, no values
_SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM exchange WHERE seq > ? AND seq <= ? ORDER BY seq"  # noqa: S608
_RESOURCE: Final = (
    "CASE WHEN resource_type = '' THEN '' WHEN logical_id = '' THEN resource_type "
    "ELSE resource_type || '/' || logical_id END"
)
_FOLDED: Final = 1000
_FOLDS: Final = "CREATE TABLE IF NOT EXISTS transitions (last INTEGER PRIMARY KEY, rows, words, numbers)"
"""Of every thousand exchanges their transitions, packed: to read them, no page with a body on it is turned."""
_UNFOLDED: Final = (
    f"SELECT time, client, interaction, {_RESOURCE}, if_match, ifnull(status, -1), etag_before, etag_after, "  # noqa: S608
    "verdict, spine_code, diagnostics, ifnull(round(elapsed * 1000, 3), -1.0) FROM exchange WHERE seq > ? ORDER BY seq"
)
_CURRENT: Final = (
    f"SELECT {_RESOURCE}, etag_after FROM exchange WHERE seq IN "  # noqa: S608
    "(SELECT max(seq) FROM exchange WHERE logical_id != '' GROUP BY resource_type, logical_id)"
)
_KEPT: Final = "SELECT total(length(request_body) + ifnull(length(response_body), 0)) FROM exchange"
_DROPPED: Final = "SELECT count(*) FROM exchange WHERE request_dropped IS NOT NULL OR response_dropped IS NOT NULL"


class InFile:
    """The shelf of a journal with a path: an SQLite database of one table, ``exchange``."""

    batch = 500

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises ``BadInput`` where that cannot be, or where it holds something else."""
        self.path = path
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare()
        except sqlite3.Error as error:
            raise BadInput(f"{path} cannot keep a journal: {error}. Choose another file.") from None

    def _prepare(self) -> None:
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - {"exchange", "transitions"}:
            self._connection.close()
            raise BadInput(f"{self.path} holds something else than a journal; choose another file.")
        # A killed process loses nothing that was committed, synchronous or not; a power cut not the whole file.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 10000")
        self._connection.execute(_SCHEMA)
        self._connection.execute(_FOLDS)
        (self._count,) = self._connection.execute("SELECT ifnull(max(seq), 0) FROM exchange").fetchone()
        (folded,) = self._connection.execute("SELECT ifnull(max(last), 0) FROM transitions").fetchone()
        self._recent = Columns()
        for row in self._connection.execute(_UNFOLDED, (folded,)):
            self._recent.append(row)

    def __len__(self) -> int:
        return int(self._count)

    def append(self, exchange: Exchange, move: Move, said: Told) -> None:
        """Keep one more; it is in the file when this returns."""
        row = (self._count + 1, exchange.if_match, *move, *said, *as_row(exchange))
        try:
            self._connection.execute(_INSERT, row)
        except sqlite3.Error as error:
            raise WorkbenchError(f"The exchange took place, but {self.path} could not record it: {error}.") from None
        self._count += 1
        self._recent.append(values(exchange, move, said))
        if len(self._recent) >= _FOLDED:
            packed = (self._count, len(self._recent), *self._recent.pack())
            self._connection.execute("INSERT INTO transitions VALUES (?, ?, ?, ?)", packed)
            self._recent = Columns()

    def exchanges(self, start: int, stop: int) -> list[Exchange]:
        """Those from ``start`` up to ``stop``."""
        return [from_row(row) for row in self._connection.execute(_SELECT, (start, stop))]

    def told(self, start: int, stop: int) -> list[Told]:
        """What their answers said."""
        wanted = "SELECT spine_code, diagnostics FROM exchange WHERE seq > ? AND seq <= ? ORDER BY seq"
        return [Told(*row) for row in self._connection.execute(wanted, (start, stop))]

    def rows(self, start: int) -> list[Transition]:
        """The transitions from ``start`` on."""
        return self._columns(start).rows(start + 1)

    def columns(self) -> Columns:
        """All transitions, column by column."""
        return self._columns(0)

    def _columns(self, start: int) -> Columns:
        found, first = Columns(), self._count - len(self._recent)
        packed = "SELECT last, rows, words, numbers FROM transitions WHERE last > ? ORDER BY last"
        for last, count, words, numbers in self._connection.execute(packed, (start,)):
            first = min(first, last - count)
            found.unpack(count, words, numbers)
        found.extend(self._recent)
        return found.since(start - first) if start > first else found

    def moves(self) -> list[Move]:
        """The ETags before and after each."""
        columns = self.columns()
        return list(zip(columns.etag_before, columns.etag_after, strict=True))

    def current(self) -> dict[str, str | None]:
        """By resource: the ETag after its last exchange."""
        return dict(self._connection.execute(_CURRENT).fetchall())

    def kept(self) -> tuple[int, int]:
        """How many bytes of bodies are kept, and of how many exchanges they are not."""
        (kept,), (dropped,) = (self._connection.execute(asked).fetchone() for asked in (_KEPT, _DROPPED))
        return int(kept), dropped

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
