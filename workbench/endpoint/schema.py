"""The tables of a database of ours: made where there are none, brought up to date where they are older.

Owns: the tables, the schema's version, and the steps from each version to the next. A database that is
somebody else's, or of a newer version, is left as it is. Of several processes that open a database at
once, one does the work while the others wait and find it done.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa

from workbench.errors import EndpointError

SCHEMA_VERSION: Final = 2

# PostgreSQL would sort by the language of whoever installed it; instants and cursors are compared byte by byte.
_Text = sa.String().with_variant(sa.String(collation="C"), "postgresql")

_schema = sa.MetaData()
RESOURCE: Final = sa.Table(
    "resource",
    _schema,
    sa.Column("type", _Text, primary_key=True),
    sa.Column("id", _Text, primary_key=True),
    sa.Column("version_id", _Text, nullable=False),
    sa.Column("last_updated", _Text, nullable=False),
    sa.Column("body", sa.LargeBinary),
)
"""A row a resource. A deleted one keeps its row, without a body, so that its id never comes back (UPD-11)."""

_PAGES: Final = sa.Index("resource_pages", RESOURCE.c.type, RESOURCE.c.last_updated.desc(), RESOURCE.c.id)
"""The order of a search, so that a page begins where the one before it ended, however many there are."""

_SETTING: Final = sa.Table(
    "setting", _schema, sa.Column("name", _Text, primary_key=True), sa.Column("value", _Text, nullable=False)
)

_ALONE: Final = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": ("BEGIN", "SELECT pg_advisory_xact_lock(hashtext('spine-workbench'))"),
}
"""What begins a transaction that no other process of ours is in at the same time."""


def prepare(connection: sa.Connection, name: str, *, shared: bool, seed: str | None) -> bytes:
    """Make or update the tables; give back the key of the version ids.

    ``name`` is what the user calls the database. In a ``shared`` one, tables that are not ours are nobody's
    business here; a file that holds any is not ours. ``seed`` fixes the key of a database that is made now.
    Raises ``EndpointError`` for one that cannot be used, and has then changed nothing.
    """
    for statement in _ALONE[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    tables = set(sa.inspect(connection).get_table_names())
    tables = tables & set(_schema.tables) if shared else tables
    if not tables:
        _create(connection, _new_key(seed))
    elif RESOURCE.name not in tables or not _is_ours(connection, _SETTING):
        raise _somebody_else_s(name)
    settings = {row.name: row.value for row in connection.execute(sa.select(_SETTING))}
    version, key = _understood(name, settings)
    for step in range(version, SCHEMA_VERSION):
        _UPGRADES[step](connection)
    if version < SCHEMA_VERSION:
        now = sa.update(_SETTING).where(_SETTING.c.name == "schema_version").values(value=str(SCHEMA_VERSION))
        connection.execute(now)
    if not _is_ours(connection, RESOURCE):
        raise _somebody_else_s(name)
    connection.exec_driver_sql("COMMIT")
    return key


def _is_ours(connection: sa.Connection, table: sa.Table) -> bool:
    if not sa.inspect(connection).has_table(table.name):
        return False
    columns = sa.inspect(connection).get_columns(table.name)
    return {column["name"] for column in columns} == set(table.columns.keys())


def _somebody_else_s(name: str) -> EndpointError:
    return EndpointError(f"The database {name} belongs to something else; choose another.")


def _create(connection: sa.Connection, key: bytes) -> None:
    """Make the tables of a new database, and the settings it will keep."""
    for table in _schema.sorted_tables:
        connection.execute(sa.schema.CreateTable(table))
        for index in table.indexes:
            connection.execute(sa.schema.CreateIndex(index))
    settings = {"schema_version": str(SCHEMA_VERSION), "version_key": key.hex()}
    connection.execute(sa.insert(_SETTING), [{"name": name, "value": value} for name, value in settings.items()])


def _understood(name: str, settings: Mapping[str, str]) -> tuple[int, bytes]:
    """The schema's version and the key of the version ids, if this version can work with them."""
    try:
        version, key = int(settings["schema_version"]), bytes.fromhex(settings["version_key"])
    except (KeyError, ValueError):
        raise EndpointError(f"The database {name} has lost its settings; choose another.") from None
    if version > SCHEMA_VERSION:
        raise EndpointError(f"The database {name} was written by a newer spine-workbench; update this one.")
    if version < 1:
        raise EndpointError(f"The database {name} has lost its settings; choose another.")
    return version, key


def _order_of_pages(connection: sa.Connection) -> None:
    """1 to 2: the index that searched by date now also holds a search's whole order."""
    connection.exec_driver_sql("DROP INDEX by_last_updated")
    connection.execute(sa.schema.CreateIndex(_PAGES))


_UPGRADES: Final[Mapping[int, Callable[[sa.Connection], None]]] = {1: _order_of_pages}
"""From each version to the next; all of them run in the one transaction that ``prepare`` opens."""


def _new_key(seed: str | None) -> bytes:
    return secrets.token_bytes(16) if seed is None else hashlib.blake2b(seed.encode(), digest_size=16).digest()
