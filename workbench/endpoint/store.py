"""Storing resources: the tables, the compare-and-swap, and the version ids. Knows no HTTP.

A single ``UPDATE`` that names the expected version changes a resource. Its row count says whether that version was
current, so no read before it can race, whichever thread, process or machine runs it.

SQLAlchemy Core runs the statements on SQLite, in memory or in a file, or on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from workbench.endpoint.request import PAGE_BYTES, Query
from workbench.endpoint.search import NO_KEYS, Keys
from workbench.endpoint.settings import MEMORY, SYNCHRONOUS
from workbench.errors import BadInput, EndpointError, needs


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored resource: its version id, its date as a FHIR instant, and its JSON; no body means deleted.

    A search by content finds it by its ``keys``. They are written with it, and are not read back.
    """

    version_id: str
    last_updated: str
    body: bytes | None
    keys: Keys = NO_KEYS


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a search: how many resources match, those on it as ``(id, stored)``, and whether more follow."""

    total: int
    found: Sequence[tuple[str, Stored]]
    more: bool


# --- version ids ---

VERSION_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}")
"""The format of the endpoint's own version ids, as in the guide's examples (VER-1)."""

_HALF_BITS: Final = 24
_HALF_MASK: Final = (1 << _HALF_BITS) - 1
_ALL_MASK: Final = (1 << 2 * _HALF_BITS) - 1
_ROUNDS: Final = 4


class VersionIds:
    """The version ids of one endpoint: opaque, not in order, and never repeated (UPD-3, VER-1).

    A version id has 48 bits. Random ids would collide within a million updates of one resource, about once in
    six hundred resources, and a repeated id would accept a stale update. So the next id is a keyed permutation of a
    counter that is read back from the present id. An id repeats after 2⁴⁸ updates, and no counter is stored.

    The permutation is a four-round Feistel network over two 24-bit halves (Luby and Rackoff) with keyed BLAKE2
    rounds. It hides the order of versions; it protects no secret. The same key gives the same ids.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def first(self, resource: str) -> str:
        """Return the version id of a new resource (``Type/id``)."""
        start = hashlib.blake2b(resource.encode(), key=self._key, digest_size=6).digest()
        return _format_version_id(int.from_bytes(start, "big"))

    def after(self, resource: str, version_id: str) -> str:
        """Return the version id after this one; raise ``ValueError`` if it does not have the format."""
        if VERSION_ID.fullmatch(version_id) is None:
            raise ValueError(f"{version_id!r} is not a version id of this endpoint.")
        count = self._decrypt(resource, int(version_id.replace("-", ""), 16))
        return _format_version_id(self._encrypt(resource, (count + 1) & _ALL_MASK))

    def _encrypt(self, resource: str, number: int) -> int:
        left, right = number >> _HALF_BITS, number & _HALF_MASK
        for step in range(_ROUNDS):
            left, right = right, left ^ self._round(resource, step, right)
        return left << _HALF_BITS | right

    def _decrypt(self, resource: str, number: int) -> int:
        left, right = number >> _HALF_BITS, number & _HALF_MASK
        for step in reversed(range(_ROUNDS)):
            left, right = right ^ self._round(resource, step, left), left
        return left << _HALF_BITS | right

    def _round(self, resource: str, step: int, half: int) -> int:
        text = f"{resource}|{step}|{half}".encode()
        return int.from_bytes(hashlib.blake2b(text, key=self._key, digest_size=3).digest(), "big")


def _format_version_id(number: int) -> str:
    text = f"{number:012x}"
    return f"{text[:8]}-{text[8:]}"


# --- tables ---

SCHEMA_VERSION: Final = 3

# PostgreSQL would sort by its locale; instants and ids are compared byte by byte.
_Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")

_schema = sa.MetaData()
_resource: Final = sa.Table(
    "resource",
    _schema,
    sa.Column("type", _Text, primary_key=True),
    sa.Column("id", _Text, primary_key=True),
    sa.Column("version_id", _Text, nullable=False),
    sa.Column("last_updated", _Text, nullable=False),
    sa.Column("subject_key", _Text),
    sa.Column("value_keys", _Text, nullable=False),
    sa.Column("body", sa.LargeBinary),
)
"""One row for each resource. A deleted one keeps its row without a body, so its id is never reused (UPD-11).

The keys are in the row, so one statement still changes a resource together with what a search finds it by.
"""

_row = _resource.c

sa.Index("resource_pages", _row.type, _row.last_updated.desc(), _row.id)
"""The order of a search, so that a page is found without reading those before it."""

sa.Index("resource_subjects", _row.type, _row.subject_key, _row.last_updated.desc(), _row.id)
"""The same for one subject, so that a search by patient does not read the resources of others."""

_setting: Final = sa.Table(
    "setting", _schema, sa.Column("name", _Text, primary_key=True), sa.Column("value", _Text, nullable=False)
)

_this_resource = sa.and_(_row.type == sa.bindparam("of_type"), _row.id == sa.bindparam("of_id"))
_read = sa.select(_row.version_id, _row.last_updated, _row.body).where(_this_resource)
_swap = (
    sa.update(_resource)
    .where(_this_resource, _row.version_id == sa.bindparam("expected"), _row.body.is_not(None))
    .values(
        version_id=sa.bindparam("to_version"),
        last_updated=sa.bindparam("to_updated"),
        subject_key=sa.bindparam("to_subject"),
        value_keys=sa.bindparam("to_values"),
        body=sa.bindparam("to_body"),
    )
)
"""The compare-and-swap. No other statement changes a row."""


class Store:
    """The resources of one endpoint. Threads may share a store, and processes may share its database."""

    def __init__(self, address: str = MEMORY, *, seed: str | None = None, synchronous: str = "NORMAL") -> None:
        """Open or create the database at ``address``: ``:memory:``, a SQLite file, or ``postgresql://…``.

        ``seed`` fixes the version ids of a database that is created here; an existing one keeps its own.
        ``synchronous`` is for a SQLite file. Raises ``BadInput`` for an address that cannot be read, and
        ``EndpointError`` for a database that cannot be used.
        """
        self._name, self._engine = _open(address, synchronous)
        # A database in memory is one connection, which one thread uses at a time.
        self._lock = threading.Lock() if address == MEMORY else contextlib.nullcontext()
        weakref.finalize(self, self._engine.dispose)
        try:
            with self._connection() as connection:
                key = _prepare(connection, self._name, seed)
                if self._engine.dialect.name == "sqlite":
                    # Readers and the writer no longer block each other; the file keeps this mode. SQLite refuses
                    # while another process opens the file, and then that process sets the mode.
                    with contextlib.suppress(sa.exc.OperationalError):
                        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except sa.exc.DBAPIError as error:
            self.close()
            # The driver's message alone: the statement's parameters may be personal, the address secret.
            reason = " ".join(str(error.orig).split())
            raise EndpointError(f"The database {self._name} cannot be used: {reason}.") from None
        except EndpointError:
            self.close()
            raise
        self.versions = VersionIds(key)
        self._read = _Statement(_read, self._engine.dialect)
        self._swap = _Statement(_swap, self._engine.dialect)

    def read(self, resource_type: str, logical_id: str) -> Stored | None:
        """Return what is stored under this id, deleted or not; ``None`` if the id was never assigned."""
        with self._cursor() as cursor:
            self._read.run(cursor, {"of_type": resource_type, "of_id": logical_id})
            row = cursor.fetchone()
        return Stored(*row) if row else None

    def insert(self, resource_type: str, logical_id: str, new: Stored) -> bool:
        """Store a resource under a new id; return ``False`` if the id was ever assigned."""
        with self._connection() as connection:
            try:
                connection.execute(sa.insert(_resource), _values(resource_type, logical_id, new))
            except sa.exc.IntegrityError:
                return False
        return True

    def swap(self, resource_type: str, logical_id: str, expected: str, new: Stored) -> bool:
        """Replace version ``expected`` by ``new`` (no body: delete it); return ``False`` if it was not current."""
        parameters = {
            "of_type": resource_type,
            "of_id": logical_id,
            "expected": expected,
            "to_version": new.version_id,
            "to_updated": new.last_updated,
            "to_subject": new.keys.subject,
            "to_values": new.keys.values,
            "to_body": new.body,
        }
        with self._cursor() as cursor:
            self._swap.run(cursor, parameters)
            return bool(cursor.rowcount == 1)

    def search(self, resource_type: str, query: Query) -> Page:
        """Return the page asked for, in the order of ``last_updated``: newest first unless the query says otherwise.

        Ids order the resources of one instant, so every page and every endpoint have the same order. A page ends
        at ``PAGE_BYTES``, and the database does not read the bodies after it.
        """
        matches = [_row.type == resource_type, _row.body.is_not(None)]
        if query.ids is not None:
            matches.append(_row.id.in_(query.ids))
        # Instants are text of fixed width, so text order is time order.
        since, before = query.span
        if since is not None:
            matches.append(_row.last_updated >= since)
        if before is not None:
            matches.append(_row.last_updated < before)
        for criterion in query.criteria:
            if criterion.subjects is not None:
                matches.append(_row.subject_key.in_(criterion.subjects))
            # All keys have the same length and a space between, so none is found across two.
            matches.append(sa.or_(*(_row.value_keys.contains(key) for key in criterion.values)))

        keys = sa.select(_row.id, _row.last_updated, sa.func.length(_row.body).label("size")).where(*matches)
        if query.after:
            keys = keys.where(_follows(*query.after, query.oldest_first))
        first = keys.order_by(*_order(_row, query.oldest_first)).limit(query.count + 1).subquery()
        bytes_before = sa.func.sum(first.c.size).over(order_by=_order(first.c, query.oldest_first), rows=(None, -1))
        sized = sa.select(
            first.c.id, bytes_before.label("bytes_before"), sa.func.count().over().label("of_keys")
        ).subquery()
        page = (
            sa.select(_row.id, _row.version_id, _row.last_updated, _row.body, sized.c.of_keys)
            .join(sized, sized.c.id == _row.id)
            .where(_row.type == resource_type, sa.func.coalesce(sized.c.bytes_before, 0) < PAGE_BYTES)
            .order_by(*_order(_row, query.oldest_first))
            .limit(query.count)
        )
        count = sa.select(sa.func.count()).select_from(_resource).where(*matches)

        with self._connection() as connection:
            total = connection.execute(count).scalar_one()
            rows = connection.execute(page).all()
        found = [(row.id, Stored(row.version_id, row.last_updated, row.body)) for row in rows]
        return Page(total, found, more=bool(rows) and rows[0].of_keys > len(rows))

    def reset(self, resources: Iterable[tuple[str, str, Stored]]) -> None:
        """Replace everything by these, ``(type, id, stored)``, in one transaction."""
        values = [_values(*resource) for resource in resources]
        with self._connection() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.execute(sa.delete(_resource))
            connection.execute(sa.insert(_resource), values)
            connection.exec_driver_sql("COMMIT")

    def ping(self) -> None:
        """Raise the database's error if it does not respond."""
        with self._connection() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Close the connections. A store that is garbage-collected closes them too."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        with self._lock, self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Yield the driver's own cursor, on a connection of the same pool."""
        with self._lock:
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                try:
                    yield cursor
                finally:
                    cursor.close()
            except self._engine.dialect.loaded_dbapi.Error as error:
                # As SQLAlchemy does: where one connection is lost, such as by a restart of the database, all are.
                if self._engine.dialect.is_disconnect(error, connection.driver_connection, None):
                    connection.invalidate(error)
                    self._engine.dispose()
                raise
            finally:
                connection.close()


class _Statement:
    """A statement in the text of one database's driver, which runs it without SQLAlchemy; that takes half the time."""

    def __init__(self, statement: sa.Select[Any] | sa.Update, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names: Sequence[str] | None = compiled.positiontup

    def run(self, cursor: Any, parameters: Mapping[str, Any]) -> None:
        """Execute it, with the parameters by position or by name as the driver takes them."""
        cursor.execute(self._text, [parameters[name] for name in self._names] if self._names else parameters)


def _values(resource_type: str, logical_id: str, stored: Stored) -> dict[str, str | bytes | None]:
    return {
        "type": resource_type,
        "id": logical_id,
        "version_id": stored.version_id,
        "last_updated": stored.last_updated,
        "subject_key": stored.keys.subject,
        "value_keys": stored.keys.values,
        "body": stored.body,
    }


def _order(columns: Any, oldest_first: bool) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    if oldest_first:
        return columns.last_updated, columns.id.desc()
    return columns.last_updated.desc(), columns.id


def _follows(last_updated: str, logical_id: str, oldest_first: bool) -> sa.ColumnElement[bool]:
    """Whether a row comes after this entry in the order of the search."""
    if oldest_first:
        further, same = _row.last_updated > last_updated, _row.id < logical_id
    else:
        further, same = _row.last_updated < last_updated, _row.id > logical_id
    return sa.or_(further, sa.and_(_row.last_updated == last_updated, same))


# --- opening a database ---

_BUSY_SECONDS: Final = 5.0
"""How long a statement waits for another process's write before it fails as locked."""

_DRIVERS: Final = ("postgresql", "postgres", "postgresql+psycopg")

_FILE: Final = re.compile(r"(?!//)[^:@=?/\\]*(?:[/\\].*)?", re.DOTALL)
"""A file's path. A first part with ``:``, ``@``, ``=`` or ``?`` may be an address with a password; ``./`` allows it."""

_UNREADABLE: Final = (
    "The database's address cannot be read; give a file, with ./ before an unusual name, "
    "or postgresql://user@host/name."
)
"""Does not show the address, which may hold a password."""

_BEGIN_EXCLUSIVE: Final = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": ("BEGIN", "SELECT pg_advisory_xact_lock(hashtext('spine-workbench'))"),
}
"""The statements that begin a transaction which only one endpoint process can be in."""


def _open(address: str, synchronous: str) -> tuple[str, sa.Engine]:
    """Return the database's name without a password, and its engine; connects to nothing yet."""
    if synchronous not in SYNCHRONOUS:
        raise BadInput(f"Synchronous can be {' or '.join(SYNCHRONOUS)}, not {synchronous!r}.")
    if address == MEMORY:
        return address, _engine("sqlite://", {"check_same_thread": False}, poolclass=StaticPool)
    if _FILE.fullmatch(address.removeprefix(Path(address).drive)):
        engine = _engine(sa.URL.create("sqlite", database=str(Path(address))), {"timeout": _BUSY_SECONDS})

        @sa.event.listens_for(engine, "connect")
        def _set_synchronous(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA synchronous={synchronous}")

        return address, engine

    try:
        url = sa.make_url(address)
    except (sa.exc.ArgumentError, ValueError):
        raise BadInput(_UNREADABLE) from None
    if url.drivername not in _DRIVERS:
        raise BadInput(_UNREADABLE)
    with needs("postgres"):
        import psycopg  # noqa: F401  # SQLAlchemy would import it, and say less
    # The time limits keep one stuck statement from blocking the endpoint.
    options = f"-c lock_timeout={int(_BUSY_SECONDS * 1000)} -c statement_timeout=15000 -c timezone=UTC"
    engine = _engine(
        url.set(drivername="postgresql+psycopg"),
        {"connect_timeout": 10, "options": options, "application_name": "spine-workbench"},
    )
    # The name leaves out the query, which may hold a password.
    return url.set(query={}).render_as_string(hide_password=True), engine


def _engine(url: str | sa.URL, connect_args: dict[str, Any], **options: Any) -> sa.Engine:
    """Return an engine without transactions around statements, whose errors hide their parameters."""
    return sa.create_engine(
        url, isolation_level="AUTOCOMMIT", hide_parameters=True, connect_args=connect_args, **options
    )


def _prepare(connection: sa.Connection, name: str, seed: str | None) -> bytes:
    """Create the tables, or check those that exist; return the key of the version ids.

    Of several processes that open a database at once, one creates the tables while the others wait. A PostgreSQL
    database may have other tables; a SQLite file may not. Raises ``EndpointError``, and changes nothing, if the
    database is not an endpoint's or has another schema version.
    """
    for statement in _BEGIN_EXCLUSIVE[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    tables = set(sa.inspect(connection).get_table_names())
    if connection.dialect.name == "postgresql":
        tables &= set(_schema.tables)
    if not tables:
        _create_tables(connection, seed)
    elif _resource.name not in tables or not _has_columns_of(connection, _setting):
        raise _foreign(name)

    settings = {row.name: row.value for row in connection.execute(sa.select(_setting))}
    try:
        version, key = int(settings["schema_version"]), bytes.fromhex(settings["version_key"])
    except (KeyError, ValueError):
        raise EndpointError(f"The database {name} has lost its settings; choose another.") from None
    if version != SCHEMA_VERSION:
        age = "a newer" if version > SCHEMA_VERSION else "an older"
        raise EndpointError(
            f"The database {name} was written by {age} spine-workbench "
            f"(schema version {version}, not {SCHEMA_VERSION}); choose another."
        )
    if not _has_columns_of(connection, _resource):
        raise _foreign(name)
    connection.exec_driver_sql("COMMIT")
    return key


def _create_tables(connection: sa.Connection, seed: str | None) -> None:
    for table in _schema.sorted_tables:
        connection.execute(sa.schema.CreateTable(table))
        for index in table.indexes:
            connection.execute(sa.schema.CreateIndex(index))
    key = secrets.token_bytes(16) if seed is None else hashlib.blake2b(seed.encode(), digest_size=16).digest()
    settings = {"schema_version": str(SCHEMA_VERSION), "version_key": key.hex()}
    connection.execute(sa.insert(_setting), [{"name": name, "value": value} for name, value in settings.items()])


def _has_columns_of(connection: sa.Connection, table: sa.Table) -> bool:
    if not sa.inspect(connection).has_table(table.name):
        return False
    columns = sa.inspect(connection).get_columns(table.name)
    return {column["name"] for column in columns} == set(table.columns.keys())


def _foreign(name: str) -> EndpointError:
    return EndpointError(f"The database {name} belongs to something else; choose another.")
