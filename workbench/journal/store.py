"""Where a journal keeps its exchanges: in memory, or in an SQLite file that outlives the process.

Each append to a file is one transaction, so a killed process loses nothing that was appended. A file may come from an
unknown source, so everything in it is checked before use. A store is used by one thread at a time; the journal has the
lock.
"""

from __future__ import annotations

import secrets
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import BadInput, WorkbenchError
from workbench.exchange.message import Exchange, kept_bytes
from workbench.fhir import json
from workbench.journal.export import create_private
from workbench.journal.records import OutcomeText, Transition, as_line, check_stored, from_line, to_frame
from workbench.journal.redaction import RedactionRule

if TYPE_CHECKING:
    import pandas as pd

_BATCH: Final = 1000


class MemoryStore:
    """The store of a journal without a path: exchanges by position, counted from 0, each with its transition."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._transitions: list[Transition] = []

    def __len__(self) -> int:
        return len(self._exchanges)

    def append(self, exchange: Exchange, transition: Transition, _placeholders: object) -> None:
        """Keep one more exchange; the redaction itself remembers the placeholders."""
        self._transitions.append(transition)
        self._exchanges.append(exchange)

    def exchanges(self, start: int, stop: int) -> list[Exchange]:
        """Return the exchanges from ``start`` up to, not including, ``stop``."""
        return self._exchanges[start:stop]

    def lines(self, start: int, stop: int) -> list[str]:
        """Return the same exchanges as lines of JSON."""
        pairs = zip(self._exchanges[start:stop], self._transitions[start:stop], strict=True)
        return [as_line(exchange, OutcomeText(row.spine_code, row.diagnostics)) for exchange, row in pairs]

    def transitions(self, start: int, stop: int | None = None) -> list[Transition]:
        """Return the transitions from ``start`` on, or up to, not including, ``stop``."""
        return self._transitions[start:stop]

    def about(self, resource: str) -> list[int]:
        """Return the numbers, from 1, of the exchanges about a resource."""
        return [row.seq for row in self._transitions if row.resource == resource]

    def frame(self) -> pd.DataFrame:
        """Return all transitions as a table."""
        batches = range(0, len(self._transitions), _BATCH)
        return to_frame(self._transitions[first : first + _BATCH] for first in batches)

    def close(self) -> None:
        """Do nothing: there is no file."""


_FORMAT: Final = 3
"""``PRAGMA user_version`` of a journal's file."""

_ROW: Final = ", ".join(Transition._fields)
_TABLES: Final = {
    "exchange": "CREATE TABLE exchange (seq INTEGER PRIMARY KEY, time INTEGER, client TEXT, interaction TEXT, "
    "resource TEXT, if_match TEXT, status INTEGER, etag_before TEXT, etag_after TEXT, verdict TEXT, spine_code TEXT, "
    "diagnostics TEXT, ms REAL, kept INTEGER, line TEXT)",
    "placeholder": "CREATE TABLE placeholder (number INTEGER PRIMARY KEY, digest BLOB)",
    "redaction": "CREATE TABLE redaction (rule TEXT, key BLOB)",
}
"""``exchange`` has the columns of a transition, then ``kept`` and ``line``. ``line`` is the exchange as JSON, and last
because it is long. ``kept`` is the size of its bodies in bytes, or NULL if it has digests instead. ``Redaction.resume``
needs ``key`` and ``placeholder``."""

_INSERT: Final = f"INSERT INTO exchange VALUES ({', '.join('?' * (len(Transition._fields) + 2))})"  # noqa: S608
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SMALLEST: Final = 512
"""The smallest database in bytes; SQLite would overwrite a file of one byte."""

_SCHEMA_STEPS: Final = 10
"""Thousands of SQLite instructions that reading the schema may take; three tables take a few hundred instructions."""


class FileStore:
    """The store of a journal with a path: an SQLite database with one row for each exchange."""

    def __init__(self, path: Path) -> None:
        """Open or create the file, and lock it until ``close``.

        Raises ``BadInput`` if it cannot be opened, if another journal has it open, and if it is no journal.
        """
        self.path = path
        self.current: dict[str, str | None] = {}
        """The ETag of each resource after its last exchange."""
        self.clients: dict[str, None] = {}
        """The names of the clients, in the order of their first exchange."""
        self.body_bytes = self.without_bodies = 0
        """The size of the bodies in bytes, and the number of exchanges that have digests instead."""
        self._count = 0
        for each in (path, Path(f"{path}-wal"), Path(f"{path}-journal")):
            if each.is_symlink():
                raise BadInput(f"{each} is a symbolic link, which is never written through; choose another file.")
        if not path.exists():
            create_private(path)
        elif not path.is_file():
            raise BadInput(f"{path} is not a file; choose another file.")
        elif 0 < path.stat().st_size < _SMALLEST:
            raise BadInput(f"{path} holds something else than a journal; choose another file.")
        # An absolute path, because SQLite treats some relative ones (":memory:") specially.
        self._connection = sqlite3.connect(path.absolute(), timeout=0, isolation_level=None, check_same_thread=False)
        self._closing = weakref.finalize(self, self._connection.close)  # also without a call of close()
        self._insert = self._connection.cursor().execute  # one cursor for all appends
        try:
            self._open()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            self.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY:
                raise BadInput(f"{path} is in use by another journal; close that one or choose another file.") from None
            raise BadInput(f"{path} cannot keep a journal: {error}. Choose another file.") from None
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        execute = self._connection.execute
        steps = count()
        self._connection.set_progress_handler(lambda: next(steps) > _SCHEMA_STEPS, 1000)
        execute("PRAGMA trusted_schema = OFF")
        execute("PRAGMA locking_mode = EXCLUSIVE")
        found = {(kind, name, sql) for kind, name, sql in execute("SELECT type, name, sql FROM sqlite_master")}
        ((written,),) = execute("PRAGMA user_version")
        self._connection.set_progress_handler(None, 0)
        if found:
            self._check_schema(found, written)
        # With WAL and NORMAL, a killed process loses no commit, and a power cut does not corrupt the file.
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute("PRAGMA wal_autocheckpoint = 10000")
        execute("BEGIN EXCLUSIVE")  # in exclusive mode, the lock stays until the file is closed
        if not found:
            for table in _TABLES.values():
                execute(table)
            execute(f"PRAGMA user_version = {_FORMAT}")
        execute("COMMIT")
        self._read_all()

    def _check_schema(self, found: set[tuple[str, str, str]], written: int) -> None:
        if ("table", "exchange") in {(kind, name) for kind, name, _ in found} and written != _FORMAT:
            raise BadInput(f"{self.path} was written by another version of spine-workbench; choose another file.")
        if found != {("table", name, sql) for name, sql in _TABLES.items()}:
            raise BadInput(f"{self.path} holds something else than a journal; choose another file.")

    def _read_all(self) -> None:
        """Check every row, and compute the state from which appending continues."""
        cursor = self._connection.execute(f"SELECT {_ROW}, kept FROM exchange ORDER BY seq")  # noqa: S608
        while rows := cursor.fetchmany(_BATCH):
            columns = dict(zip((*Transition._fields, "kept"), zip(*rows, strict=True), strict=True))
            try:
                check_stored(self._count + 1, columns)
            except BadInput as error:
                raise BadInput(f"{self.path} is not a journal: {error}; choose another file.") from None
            self._count += len(rows)
            self.body_bytes += sum(size or 0 for size in columns["kept"])
            self.without_bodies += columns["kept"].count(None)
            self.current.update(zip(columns["resource"], columns["etag_after"], strict=True))
            self.clients |= dict.fromkeys(columns["client"])

    def __len__(self) -> int:
        return self._count

    def append(self, exchange: Exchange, transition: Transition, placeholders: Sequence[tuple[int, bytes]]) -> None:
        """Write one more exchange, and the new placeholders in it; it is in the file when this returns."""
        kept = kept_bytes(exchange) if exchange.is_whole else None
        line = as_line(exchange, OutcomeText(transition.spine_code, transition.diagnostics))
        row = (*transition.as_stored(), kept, line)
        try:
            if placeholders:
                with self._connection:  # commits, or rolls back
                    self._connection.execute("BEGIN")
                    self._connection.executemany("INSERT INTO placeholder VALUES (?, ?)", placeholders)
                    self._connection.execute(_INSERT, row)
            else:
                self._insert(_INSERT, row)  # a single statement is a transaction of its own
        except sqlite3.Error as error:
            raise WorkbenchError(f"The exchange took place, but {self.path} could not record it: {error}.") from None
        self._count += 1

    def exchanges(self, start: int, stop: int) -> list[Exchange]:
        """Return the exchanges from ``start`` up to ``stop``; raises ``BadInput`` for one that no journal wrote."""
        query = "SELECT seq, line FROM exchange WHERE seq > ? AND seq <= ? ORDER BY seq"
        exchanges = []
        with self._reading():
            for seq, line in self._connection.execute(query, (start, stop)):
                try:
                    exchanges.append(from_line(line)[0])
                except (BadInput, AttributeError, TypeError):
                    raise BadInput(f"Exchange {seq} of {self.path} is not one that a journal wrote.") from None
        return exchanges

    def lines(self, start: int, stop: int) -> list[str]:
        """Return the same exchanges as lines of JSON."""
        query = "SELECT line FROM exchange WHERE seq > ? AND seq <= ? ORDER BY seq"
        with self._reading():
            return [line for (line,) in self._connection.execute(query, (start, stop))]

    def transitions(self, start: int, stop: int | None = None) -> list[Transition]:
        """Return the transitions from ``start`` on, or up to ``stop``."""
        return [Transition.from_stored(row) for batch in self._rows(start, stop) for row in batch]

    def about(self, resource: str) -> list[int]:
        """Return the numbers, from 1, of the exchanges about a resource."""
        query = "SELECT seq FROM exchange WHERE resource = ? ORDER BY seq"
        with self._reading():
            return [seq for (seq,) in self._connection.execute(query, (resource,))]

    def frame(self) -> pd.DataFrame:
        """Return all transitions as a table."""
        return to_frame(self._rows(0))

    def _rows(self, start: int, stop: int | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows from ``start`` on, or up to ``stop``, in batches."""
        query = f"SELECT {_ROW} FROM exchange WHERE seq > ? AND seq <= ? ORDER BY seq"  # noqa: S608
        with self._reading():
            cursor = self._connection.execute(query, (start, self._count if stop is None else stop))
            while rows := cursor.fetchmany(_BATCH):
                yield rows

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise BadInput(f"{self.path} cannot be used: {error}.") from None

    def rule(self) -> RedactionRule | None:
        """Return what the journal in this file redacts; ``None`` in a new file."""
        with self._reading():
            found = self._connection.execute("SELECT rule FROM redaction").fetchone()
        try:
            return None if found is None else RedactionRule.from_json(json.parse(found[0]))
        except (BadInput, AttributeError, TypeError):
            raise BadInput(f"{self.path} does not say what it redacts; choose another file.") from None

    def set_rule(self, rule: RedactionRule) -> None:
        """Write what the journal redacts from now on."""
        text = json.dumps(rule.as_json())
        with self._reading():
            if self._connection.execute("UPDATE redaction SET rule = ?", (text,)).rowcount == 0:
                self._connection.execute("INSERT INTO redaction VALUES (?, ?)", (text, secrets.token_bytes(32)))

    def placeholders(self) -> tuple[bytes, dict[bytes, int]]:
        """Return the key of this file, and the number of each placeholder by its digest."""
        with self._reading():
            (key,) = self._connection.execute("SELECT key FROM redaction").fetchone()
            numbers = dict(self._connection.execute("SELECT digest, number FROM placeholder").fetchall())
        if not isinstance(key, bytes) or len(key) != 32 or not all(isinstance(digest, bytes) for digest in numbers):
            raise BadInput(f"{self.path} does not say what its placeholders stand for; choose another file.")
        return key, numbers

    def close(self) -> None:
        """Close the file and release its lock."""
        self._closing()


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database, locked or not.

    SQLite opens it, because closing the file here would release the lock of a journal in this process (POSIX, *fcntl*).
    """
    if path.stat().st_size < _SMALLEST:
        return False
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        return error.sqlite_errorcode != sqlite3.SQLITE_NOTADB
    finally:
        connection.close()
    return True
