"""What is stored, and the one statement that changes it.

A version changes in a single ``UPDATE`` that names the version expected; whether it was current, stale,
deleted or never there follows from its row count. There is no earlier read to race against, whichever
thread or process runs it. SQLAlchemy Core underneath; SQLite, a file or in memory.

Must not know HTTP. Version ids come from ``versions``; times and bodies are handed in.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import StaticPool

from workbench.endpoint.versions import VersionIds
from workbench.exceptions import EndpointError
from workbench.rules.search import Query

SCHEMA_VERSION: Final = 1
MEMORY: Final = ":memory:"

_BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process's write before SQLite says that it is locked."""

_schema = sa.MetaData()
_resource = sa.Table(
    "resource",
    _schema,
    sa.Column("type", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("version_id", sa.String, nullable=False),
    sa.Column("last_updated", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary),
    sa.Index("by_last_updated", "type", "last_updated"),
)
"""A row a resource. A deleted one keeps its row, without a body, so that its id never comes back (UPD-11)."""

_setting = sa.Table(
    "setting",
    _schema,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

_mine = sa.and_(_resource.c.type == sa.bindparam("of_type"), _resource.c.id == sa.bindparam("of_id"))
_read = sa.select(_resource.c.version_id, _resource.c.last_updated, _resource.c.body).where(_mine)
_swap = (
    sa.update(_resource)
    .where(_mine, _resource.c.version_id == sa.bindparam("expected"), _resource.c.body.is_not(None))
    .values(
        version_id=sa.bindparam("to_version"), last_updated=sa.bindparam("to_updated"), body=sa.bindparam("to_body")
    )
)
"""The compare-and-swap. Nothing else ever changes a row."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it stands: its version id, its date as a FHIR instant, its JSON. No body: deleted."""

    version_id: str
    last_updated: str
    body: bytes | None


class Store:
    """The resources of one endpoint. Safe to use from any thread, and from any process that opens the same file."""

    def __init__(self, path: str = MEMORY, *, seed: str | None = None) -> None:
        """Open or create the database at ``path``; raises ``EndpointError`` for one that cannot be used.

        ``seed`` fixes the version ids of a database that is created here; an existing one keeps its own.
        """
        self._engine = _memory_engine() if path == MEMORY else _file_engine(path)
        self._turn: AbstractContextManager[Any] = threading.Lock() if path == MEMORY else nullcontext()
        try:
            self.versions = VersionIds(self._prepare(path, seed))
        except sa.exc.DatabaseError as error:
            self.close()
            raise EndpointError(f"The database {path} cannot be used: {error.orig}.") from None
        except EndpointError:
            self.close()
            raise

    def read(self, resource_type: str, logical_id: str) -> Stored | None:
        """What is stored under this id, deleted or not; ``None`` if the id was never assigned."""
        with self._connection() as connection:
            row = connection.execute(_read, {"of_type": resource_type, "of_id": logical_id}).one_or_none()
        return Stored(*row) if row else None

    def insert(self, resource_type: str, logical_id: str, new: Stored) -> bool:
        """Store a resource under an id that was never assigned; ``False`` if it was."""
        values = {"type": resource_type, "id": logical_id, "version_id": new.version_id}
        statement = insert(_resource).values(**values, last_updated=new.last_updated, body=new.body)
        with self._connection() as connection:
            return connection.execute(statement.on_conflict_do_nothing()).rowcount == 1

    def swap(self, resource_type: str, logical_id: str, expected: str, new: Stored) -> bool:
        """Replace version ``expected`` by ``new`` (no body: delete it); ``False`` if it was not the current one."""
        values = {"of_type": resource_type, "of_id": logical_id, "expected": expected}
        values |= {"to_version": new.version_id, "to_updated": new.last_updated}
        with self._connection() as connection:
            return connection.execute(_swap, values | {"to_body": new.body}).rowcount == 1

    def search(self, resource_type: str, query: Query) -> tuple[int, Sequence[tuple[str, Stored]]]:
        """How many resources match, and those asked for, the last updated first, as ``(id, stored)``."""
        table = _resource.c
        matches = [table.type == resource_type, table.body.is_not(None)]
        matches += [table.id.in_(ids) for ids in query.ids]
        matches += [_compare(low, high, table.last_updated) for low, high in query.spans]
        columns = sa.select(table.id, table.version_id, table.last_updated, table.body).where(*matches)
        with self._connection() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(_resource).where(*matches)).scalar_one()
            rows = connection.execute(columns.order_by(table.last_updated.desc(), table.id).limit(query.count)).all()
        return total, [(row[0], Stored(*row[1:])) for row in rows]

    def close(self) -> None:
        """Let go of the database; what is stored stays."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        with self._turn, self._engine.connect() as connection:
            yield connection

    def _prepare(self, path: str, seed: str | None) -> bytes:
        """Create the tables where there are none; give back the key of the version ids.

        Nothing is written to a database that is not one of ours. Of several processes that open a new one
        at once, the first makes it while the others wait, and find it done.
        """
        with self._connection() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            columns = {name: _columns(connection, name) for name in sa.inspect(connection).get_table_names()}
            if columns and any(columns.get(table.name) != set(table.columns.keys()) for table in (_resource, _setting)):
                raise EndpointError(f"The database {path} belongs to something else; choose another file.")
            if not columns:
                _create(connection, _new_key(seed))
            connection.exec_driver_sql("COMMIT")
            settings = {row.name: row.value for row in connection.execute(sa.select(_setting))}
            key = _key_of(path, settings)
            if path != MEMORY:
                # Readers and the one writer then go on side by side. The file keeps it, whoever switches it.
                with contextlib.suppress(sa.exc.OperationalError):
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return key


def _create(connection: sa.Connection, key: bytes) -> None:
    """Make the tables of a new database, and the settings it will keep."""
    for table in _schema.sorted_tables:
        connection.execute(sa.schema.CreateTable(table))
        for index in table.indexes:
            connection.execute(sa.schema.CreateIndex(index))
    settings = {"schema_version": str(SCHEMA_VERSION), "version_key": key.hex()}
    connection.execute(sa.insert(_setting), [{"name": name, "value": value} for name, value in settings.items()])


def _key_of(path: str, settings: dict[str, str]) -> bytes:
    """The key of the version ids, if these are settings this version can work with."""
    try:
        version, key = int(settings["schema_version"]), bytes.fromhex(settings["version_key"])
    except (KeyError, ValueError):
        raise EndpointError(f"The database {path} has lost its settings; choose another file.") from None
    if version > SCHEMA_VERSION:
        raise EndpointError(f"The database {path} was written by a newer spine-workbench; update this one.")
    return key


def _columns(connection: sa.Connection, table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(connection).get_columns(table)}


def _new_key(seed: str | None) -> bytes:
    return secrets.token_bytes(16) if seed is None else hashlib.blake2b(seed.encode(), digest_size=16).digest()


def _compare(low: str | None, high: str | None, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """``low <= column < high``; instants are text of fixed width, so text order is time order."""
    after = column >= low if low is not None else sa.true()
    return sa.and_(after, column < high if high is not None else sa.true())


def _memory_engine() -> sa.Engine:
    return sa.create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}, isolation_level="AUTOCOMMIT"
    )


def _file_engine(path: str) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(Path(path)))
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"timeout": _BUSY_SECONDS})

    @sa.event.listens_for(engine, "connect")
    def _tune(connection: Any, _record: object) -> None:
        # With WAL, NORMAL loses nothing that was acknowledged when a process is killed.
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
