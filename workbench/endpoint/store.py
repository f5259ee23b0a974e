"""What is stored, and the one statement that changes it.

A version changes in a single ``UPDATE`` that names the version expected; whether it was current, stale,
deleted or never there follows from its row count. There is no earlier read to race against, whichever
thread, process or machine runs it. SQLAlchemy Core underneath: SQLite, in memory or a file, or PostgreSQL.

Must not know HTTP. Version ids come from ``versions``; times and bodies are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from workbench.endpoint import schema
from workbench.endpoint.database import keep_readers_going, no_use, open_database
from workbench.endpoint.schema import RESOURCE
from workbench.endpoint.search import PAGE_BYTES, Query
from workbench.endpoint.settings import MEMORY
from workbench.endpoint.versions import VersionIds
from workbench.errors import EndpointError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_row = RESOURCE.c

_mine = sa.and_(_row.type == sa.bindparam("of_type"), _row.id == sa.bindparam("of_id"))
_read = sa.select(_row.version_id, _row.last_updated, _row.body).where(_mine)
_swap = (
    sa.update(RESOURCE)
    .where(_mine, _row.version_id == sa.bindparam("expected"), _row.body.is_not(None))
    .values(
        version_id=sa.bindparam("to_version"), last_updated=sa.bindparam("to_updated"), body=sa.bindparam("to_body")
    )
)
"""The compare-and-swap. Nothing else ever changes a row."""


def _insert_of(dialect: str) -> Callable[..., sqlite.Insert | postgresql.Insert]:
    """The INSERT that knows ON CONFLICT. A dialect takes a while to load, so only the one that is spoken is."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as into_postgresql

        return into_postgresql
    from sqlalchemy.dialects.sqlite import insert as into_sqlite

    return into_sqlite


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it stands: its version id, its date as a FHIR instant, its JSON. No body: deleted."""

    version_id: str
    last_updated: str
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a search: how many match in all, those on it as ``(id, stored)``, and whether others follow."""

    total: int
    found: Sequence[tuple[str, Stored]]
    more: bool


class Store:
    """The resources of one endpoint. Safe to use from any thread, and from any process that opens the same file."""

    def __init__(self, address: str = MEMORY, *, seed: str | None = None, synchronous: str = "NORMAL") -> None:
        """Open or create the database at ``address``; raises ``EndpointError`` for one that cannot be used.

        ``seed`` fixes the version ids of a database that is created here; an existing one keeps its own.
        """
        self._database = database = open_database(address, synchronous=synchronous)
        self._insert = _insert_of(database.engine.dialect.name)
        try:
            with self._connection() as connection:
                key = schema.prepare(connection, database.name, shared=database.shared, seed=seed)
                keep_readers_going(connection)
        except sa.exc.DBAPIError as error:
            self.close()
            raise no_use(database, error) from None
        except EndpointError:
            self.close()
            raise
        self.versions = VersionIds(key)

    def read(self, resource_type: str, logical_id: str) -> Stored | None:
        """What is stored under this id, deleted or not; ``None`` if the id was never assigned."""
        with self._connection() as connection:
            row = connection.execute(_read, {"of_type": resource_type, "of_id": logical_id}).one_or_none()
        return Stored(*row) if row else None

    def insert(self, resource_type: str, logical_id: str, new: Stored) -> bool:
        """Store a resource under an id that was never assigned; ``False`` if it was."""
        statement = self._insert(RESOURCE).values(_values(resource_type, logical_id, new))
        with self._connection() as connection:
            return connection.execute(statement.on_conflict_do_nothing().returning(_row.id)).first() is not None

    def swap(self, resource_type: str, logical_id: str, expected: str, new: Stored) -> bool:
        """Replace version ``expected`` by ``new`` (no body: delete it); ``False`` if it was not the current one."""
        values = {"of_type": resource_type, "of_id": logical_id, "expected": expected}
        values |= {"to_version": new.version_id, "to_updated": new.last_updated}
        with self._connection() as connection:
            return connection.execute(_swap, values | {"to_body": new.body}).rowcount == 1

    def search(self, resource_type: str, query: Query) -> Page:
        """The page asked for, in the order of ``last_updated``: newest first unless the query says otherwise.

        Of one moment, the ids decide; so the order is the same for every page, and every endpoint. A page ends
        at ``PAGE_BYTES``, and the database does not read the bodies that follow.
        """
        matches = [_row.type == resource_type, _row.body.is_not(None)]
        if query.ids is not None:
            matches.append(_row.id.in_(query.ids))
        matches.append(_within(*query.span))
        keys = sa.select(_row.id, _row.last_updated, sa.func.length(_row.body).label("size")).where(*matches)
        if query.after:
            keys = keys.where(_follows(*query.after, query.oldest_first))
        first = keys.order_by(*_order(_row, query.oldest_first)).limit(query.count + 1).subquery()
        before = sa.func.sum(first.c.size).over(order_by=_order(first.c, query.oldest_first), rows=(None, -1))
        sized = sa.select(first.c.id, before.label("before"), sa.func.count().over().label("of_keys")).subquery()
        page = (
            sa.select(_row.id, _row.version_id, _row.last_updated, _row.body, sized.c.of_keys)
            .join(sized, sized.c.id == _row.id)
            .where(_row.type == resource_type, sa.func.coalesce(sized.c.before, 0) < PAGE_BYTES)
            .order_by(*_order(_row, query.oldest_first))
            .limit(query.count)
        )
        with self._connection() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(RESOURCE).where(*matches)).scalar_one()
            rows = connection.execute(page).all()
        found = [(row.id, Stored(row.version_id, row.last_updated, row.body)) for row in rows]
        return Page(total, found, more=bool(rows) and rows[0].of_keys > len(rows))

    def reset(self, resources: Iterable[tuple[str, str, Stored]]) -> None:
        """Forget everything and store these, ``(type, id, stored)``, in one step: nobody sees it half done."""
        values = [_values(*resource) for resource in resources]
        with self._connection() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.execute(sa.delete(RESOURCE))
            connection.execute(sa.insert(RESOURCE), values)
            connection.exec_driver_sql("COMMIT")

    def ping(self) -> None:
        """Ask the database for nothing; raises its error if it does not answer."""
        with self._connection() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Let go of the database; what is stored stays."""
        self._database.close()

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        with self._database.turn, self._database.engine.connect() as connection:
            yield connection


def _values(resource_type: str, logical_id: str, stored: Stored) -> dict[str, str | bytes | None]:
    named = {"type": resource_type, "id": logical_id, "version_id": stored.version_id}
    return named | {"last_updated": stored.last_updated, "body": stored.body}


def _within(low: str | None, high: str | None) -> sa.ColumnElement[bool]:
    """``low <= last_updated < high``; instants are text of fixed width, so text order is time order."""
    after = _row.last_updated >= low if low is not None else sa.true()
    return sa.and_(after, _row.last_updated < high if high is not None else sa.true())


def _order(columns: Any, oldest_first: bool) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    if oldest_first:
        return columns.last_updated, columns.id.desc()
    return columns.last_updated.desc(), columns.id


def _follows(last_updated: str, logical_id: str, oldest_first: bool) -> sa.ColumnElement[bool]:
    """Whether a row stands behind this one in the order of the search."""
    if oldest_first:
        further, same = _row.last_updated > last_updated, _row.id < logical_id
    else:
        further, same = _row.last_updated < last_updated, _row.id > logical_id
    return sa.or_(further, sa.and_(_row.last_updated == last_updated, same))
