"""Where resources are kept: opening SQLite, in memory or a file, or a PostgreSQL server, by its address.

Owns: what an address means, how each kind of database is tuned, and which of its errors a user can act on.
Nothing here knows the tables.
"""

from __future__ import annotations

import contextlib
import re
import threading
import weakref
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from workbench.endpoint.settings import MEMORY, SYNCHRONOUS
from workbench.errors import BadInput, EndpointError

_BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process's write before the database says that it is locked."""

_SERVERS: Final = ("postgresql", "postgres", "postgresql+psycopg")

_FILE: Final = re.compile(r"(?!//)[^:@=?/\\]*(?:[/\\].*)?", re.DOTALL)
"""A file's path. What has one of ``:@=?`` in its first step may be an address with a password; ./ begins a path."""

_UNREADABLE: Final = (
    "The database's address cannot be read; give a file, with ./ before an unusual name, "
    "or postgresql://user@host/name."
)
"""Without the address: it may hold a password."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Database:
    """An opened database: its engine, its name without a password, and whose turn it is to use it.

    Its connections are closed when it is let go of, if nobody has closed it before.
    """

    name: str
    engine: sa.Engine
    shared: bool = False
    """Whether other programs may have tables of their own in it."""

    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    """A database in memory is one connection, for one thread at a time."""

    def __post_init__(self) -> None:
        weakref.finalize(self, self.engine.dispose)

    def close(self) -> None:
        """Let go of it; what is stored stays."""
        self.engine.dispose()


def open_database(address: str, *, synchronous: str = "NORMAL") -> Database:
    """Open ``:memory:``, a file of SQLite's or ``postgresql://…``; raises ``BadInput`` for another address.

    Nothing is connected yet. ``synchronous`` is for a file.
    """
    if synchronous not in SYNCHRONOUS:
        raise BadInput(f"Synchronous can be {' or '.join(SYNCHRONOUS)}, not {synchronous!r}.")
    if address == MEMORY:
        return Database(address, _memory(), turn=threading.Lock())
    if _FILE.fullmatch(address.removeprefix(Path(address).drive)):
        return Database(address, _file(address, synchronous))
    return _server(address)


def no_use(database: Database, error: sa.exc.DBAPIError) -> EndpointError:
    """A database's own complaint as one sentence, without the statement and without a password."""
    return EndpointError(f"The database {database.name} cannot be used: {' '.join(str(error.orig).split())}.")


def _memory() -> sa.Engine:
    return sa.create_engine(
        "sqlite://",
        poolclass=StaticPool,
        connect_args={"check_same_thread": False},
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )


def _file(path: str, synchronous: str) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(Path(path)))
    engine = sa.create_engine(
        url, isolation_level="AUTOCOMMIT", connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def _tune(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA synchronous={synchronous}")

    return engine


def keep_readers_going(connection: sa.Connection) -> None:
    """In a file of SQLite's, let readers and the one writer go on side by side; the file remembers it."""
    if connection.dialect.name == "sqlite":
        # Refused while another process is just opening the file: then that one switches it.
        with contextlib.suppress(sa.exc.OperationalError):
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _server(address: str) -> Database:
    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        raise BadInput(_UNREADABLE) from None
    if url.drivername not in _SERVERS:
        raise BadInput(_UNREADABLE)
    # A statement that waits for ever would hold the whole endpoint: better an error that is said.
    options = f"-c lock_timeout={int(_BUSY_SECONDS * 1000)} -c statement_timeout=15000 -c timezone=UTC"
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",  # each statement by itself, at READ COMMITTED
        hide_parameters=True,  # they are people's records
        connect_args={"connect_timeout": 10, "options": options, "application_name": "spine-workbench"},
    )
    # Of a server, only what names it: a password may also stand in the query.
    return Database(url.set(query={}).render_as_string(hide_password=True), engine, shared=True)
