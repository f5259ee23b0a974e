"""One suite for every store: in memory, on a file, on PostgreSQL; and what sharing one adds, or it must refuse."""

import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from workbench.endpoint.application import build_application
from workbench.endpoint.request import Query
from workbench.endpoint.settings import Settings
from workbench.endpoint.store import MEMORY, SCHEMA_VERSION, Page, Store, Stored
from workbench.errors import BadInput, EndpointError
from workbench.exchange.message import Headers, Request

AT = "2018-05-25T16:09:50.000+00:00"


def first(text: bytes = b"{}", version: str = "1", at: str = AT) -> Stored:
    return Stored(version, at, text)


@pytest.fixture(params=["memory", "file", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    addresses = {"memory": lambda: MEMORY, "file": lambda: str(tmp_path / "spine.db")}
    address = addresses.get(request.param) or request.getfixturevalue("new_database")
    with closing(Store(address())) as opened:
        yield opened


def test_what_is_inserted_is_read(store: Store) -> None:
    body = '{"title":"Zoë \U0001f9d1","valueDecimal":1.10}\x00'.encode()
    assert store.insert("List", "x", first(body))
    assert store.read("List", "x") == first(body)


def test_nothing_is_there_before(store: Store) -> None:
    assert store.read("List", "x") is None
    assert store.search("List", Query()) == Page(0, [], more=False)


@pytest.mark.parametrize("logical_id", ["x", "X", "'; DROP TABLE resource; --", "%", "_", "a" * 64])
def test_an_id_is_taken_once(store: Store, logical_id: str) -> None:
    assert store.insert("List", logical_id, first())
    assert not store.insert("List", logical_id, first(b"other"))
    assert store.read("List", logical_id) == first()
    assert store.read("Flag", logical_id) is None
    assert store.insert("Flag", logical_id, first(b"another"))


def test_ids_are_told_apart_by_their_case(store: Store) -> None:
    assert store.insert("List", "x", first(b"small"))
    assert store.insert("List", "X", first(b"large"))
    assert store.read("List", "x") == first(b"small")


def test_a_swap_replaces_the_version_expected(store: Store) -> None:
    store.insert("List", "x", first())
    new = first(b"new", "2", "2018-05-25T16:09:51.000+00:00")
    assert store.swap("List", "x", "1", new)
    assert store.read("List", "x") == new


@pytest.mark.parametrize("expected", ["2", "", "1 ", "%", "1' OR '1'='1"])
def test_a_swap_replaces_no_other_version(store: Store, expected: str) -> None:
    store.insert("List", "x", first())
    assert not store.swap("List", "x", expected, first(b"new", "3"))
    assert store.read("List", "x") == first()


@pytest.mark.parametrize(("kind", "logical_id"), [("List", "y"), ("Flag", "x")])
def test_a_swap_touches_one_resource_only(store: Store, kind: str, logical_id: str) -> None:
    store.insert("List", "x", first())
    assert not store.swap(kind, logical_id, "1", first(b"new", "2"))
    assert store.read(kind, logical_id) is None
    assert store.read("List", "x") == first()


def test_a_deleted_resource_keeps_its_place(store: Store) -> None:
    store.insert("List", "x", first())
    gone = Stored("2", AT, None)
    assert store.swap("List", "x", "1", gone)
    assert store.read("List", "x") == gone
    assert not store.insert("List", "x", first())
    assert not store.swap("List", "x", "2", first(b"back", "3"))
    assert not store.swap("List", "x", "1", first(b"back", "3"))
    assert store.search("List", Query()) == Page(0, [], more=False)
    assert store.read("List", "x") == gone


def test_an_empty_body_is_a_body(store: Store) -> None:
    store.insert("List", "x", first(b""))
    assert store.search("List", Query()).total == 1
    assert store.swap("List", "x", "1", first(b"", "2"))


def day(number: int) -> str:
    return f"2018-05-{number:02}T00:00:00.000+00:00"


SEARCHES = [
    (Query(), 4, "dcba"),
    (Query(count=2), 4, "dc"),
    (Query(count=0), 4, ""),
    (Query(count=100), 4, "dcba"),
    (Query(ids=frozenset("ab")), 2, "ba"),
    (Query(ids=frozenset("b")), 1, "b"),
    (Query(ids=frozenset("z")), 0, ""),
    (Query(span=(day(2), None)), 3, "dcb"),
    (Query(span=(None, day(2))), 1, "a"),
    (Query(span=(day(2), day(3))), 1, "b"),
    (Query(span=(day(2), day(4))), 2, "cb"),
    (Query(oldest_first=True), 4, "abcd"),
    (Query(after=(day(3), "c")), 4, "ba"),
    (Query(after=(day(3), "b")), 4, "cba"),
    (Query(after=(day(3), "d"), count=1), 4, "b"),
    (Query(after=(day(2), "b"), oldest_first=True), 4, "cd"),
    (Query(ids=frozenset("abc"), span=(day(2), None), count=1), 2, "c"),
]


@pytest.mark.parametrize(("query", "total", "ids"), SEARCHES)
def test_a_search(store: Store, query: Query, total: int, ids: str) -> None:
    for number, logical_id in enumerate("abcd", 1):
        store.insert("List", logical_id, first(logical_id.encode(), "1", day(number)))
    store.insert("Flag", "f", first())
    store.insert("List", "gone", first())
    store.swap("List", "gone", "1", Stored("2", day(9), None))
    found = store.search("List", query)
    assert (found.total, "".join(logical_id for logical_id, _ in found.found)) == (total, ids)
    assert all(stored.body == logical_id.encode() for logical_id, stored in found.found)


def test_of_the_same_moment_the_ids_decide(store: Store) -> None:
    for logical_id in "cab":
        store.insert("List", logical_id, first())
    assert [logical_id for logical_id, _ in store.search("List", Query()).found] == ["a", "b", "c"]


def test_the_pages_of_a_search_are_the_whole_of_it(store: Store) -> None:
    for number in range(25):
        store.insert("List", f"id-{number:02}", first(b"{}", "1", day(1 + number // 4)))
    for oldest_first in (False, True):
        whole = [key for key, _ in store.search("List", Query(oldest_first=oldest_first)).found]
        paged, query = [], Query(count=4, oldest_first=oldest_first)
        more = True
        while more:
            page = store.search("List", query)
            paged += [key for key, _ in page.found]
            last_id, last = page.found[-1]
            query.after, more = (last.last_updated, last_id), page.more
        assert paged == whole
        assert len(whole) == 25


def test_a_reset_leaves_what_it_is_given_and_nothing_else(store: Store) -> None:
    store.insert("List", "x", first())
    store.insert("Flag", "f", first())
    store.swap("Flag", "f", "1", Stored("2", AT, None))
    store.reset([("Flag", "f", first(b"again"))])
    assert store.read("List", "x") is None
    assert store.read("Flag", "f") == first(b"again")


def test_a_store_that_is_there_answers_a_ping(store: Store) -> None:
    store.ping()


def test_what_is_stored_is_kept(shared_db: str) -> None:
    with closing(Store(shared_db, seed="1")) as one:
        one.insert("List", "x", first())
        one.insert("List", "gone", first())
        one.swap("List", "gone", "1", Stored("2", AT, None))
        key = one.versions.first("List/x")
    with closing(Store(shared_db, seed="another")) as two:
        assert two.read("List", "x") == first()
        assert two.read("List", "gone") == Stored("2", AT, None)
        assert two.versions.first("List/x") == key


def test_two_stores_on_one_database_see_the_same(shared_db: str) -> None:
    with closing(Store(shared_db)) as one, closing(Store(shared_db)) as two:
        one.insert("List", "x", first())
        assert two.swap("List", "x", "1", first(b"two", "2"))
        assert not one.swap("List", "x", "1", first(b"one", "2"))
        assert one.read("List", "x") == first(b"two", "2")
        assert one.versions.first("List/x") == two.versions.first("List/x")


@contextmanager
def plainly(address: str) -> Iterator[sa.Connection]:
    """The database without a store."""
    url = address.replace("postgresql:", "postgresql+psycopg:") if "://" in address else f"sqlite:///{address}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(("version", "words"), [(1, "an older spine-workbench"), (99, "a newer spine-workbench")])
def test_a_database_of_another_schema_version_is_refused_and_unchanged(
    shared_db: str, version: int, words: str
) -> None:
    Store(shared_db).close()
    with plainly(shared_db) as connection:
        connection.exec_driver_sql(f"UPDATE setting SET value = '{version}' WHERE name = 'schema_version'")
        connection.exec_driver_sql("ALTER TABLE resource ADD COLUMN something_else INTEGER")
    for _ in range(2):
        with pytest.raises(EndpointError, match=rf"{words} \(schema version {version}, not {SCHEMA_VERSION}\)"):
            Store(shared_db)
    with plainly(shared_db) as connection:
        assert len(sa.inspect(connection).get_columns("resource")) == 8


def test_a_table_with_other_columns_is_not_ours(shared_db: str) -> None:
    Store(shared_db).close()
    with plainly(shared_db) as connection:
        connection.exec_driver_sql("ALTER TABLE resource ADD COLUMN something_else INTEGER")
    with pytest.raises(EndpointError, match="belongs to something else"):
        Store(shared_db)


def test_a_server_s_other_tables_are_nobody_s_business(new_database: Callable[[], str]) -> None:
    address = new_database()
    with plainly(address) as connection:
        connection.exec_driver_sql("CREATE TABLE bookmark (url TEXT)")
    with closing(Store(address)) as store:
        assert store.insert("List", "x", first())
    with plainly(address) as connection:
        connection.exec_driver_sql("DROP TABLE setting")
        connection.exec_driver_sql("CREATE TABLE setting (b TEXT)")
    with pytest.raises(EndpointError, match="belongs to something else"):
        Store(address)


UNUSABLE = {
    "postgresql://tester:hunter2@127.0.0.1:1/spine": "postgresql://tester:***@127.0.0.1:1/spine cannot be used",
    "postgresql+psycopg://127.0.0.1:1/spine": "cannot be used",
    "mysql://root:hunter2@127.0.0.1/spine": "cannot be read",
    "postgresql://[": "cannot be used",
    "postgresql://a:hunter2@h:port/x": "cannot be read",
    "postgresql://tester@127.0.0.1:1/spine?password=hunter2": "postgresql://tester@127.0.0.1:1/spine cannot be used",
    "postgresql://127.0.0.1:1/spine?user=tester&password=hunter2&sslmode=disable": "127.0.0.1:1/spine cannot be used",
    "hunter2://127.0.0.1/spine": "cannot be read",
    "u:hunter2@host": "cannot be read",
    "u:hunter2@host/spine": "cannot be read",
    "u:hunter2@host/spine.db": "cannot be read",
    "//u:hunter2@host/spine": "cannot be read",
    "postgresql:u:hunter2@host/spine": "cannot be read",
    "postgresql:/u:hunter2@host/spine": "cannot be read",
    "postgresql:hunter2": "cannot be read",
    "host=127.0.0.1 user=u password=hunter2": "cannot be read",
    "spine?password=hunter2": "cannot be read",
    "hunter2@": "cannot be read",
}


@pytest.mark.parametrize(("address", "words"), UNUSABLE.items(), ids=UNUSABLE)
def test_an_address_that_cannot_be_used(
    address: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # nothing may appear there
    with pytest.raises((EndpointError, BadInput)) as caught:
        Store(address)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "what?.db", "zoë.db", "#.db", "a@b:c=d.db"])
def test_a_file_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    for address in (str(tmp_path / name), f"./{name}"):
        with closing(Store(address)) as store:
            assert store.insert("List", address.replace("/", "-"), first())
    assert (tmp_path / name).exists()


def test_a_failed_statement_does_not_show_its_parameters(shared_db: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are people's records; the log of a service is read by others."""
    application = build_application(Settings(db=shared_db), "http://127.0.0.1:1/STU3")
    with plainly(shared_db) as connection:
        connection.exec_driver_sql("DROP TABLE resource")
    body = b'{"resourceType":"List","status":"current","mode":"working","title":"Mrs Smith of 999 000 0000"}'
    answer = application.answer(Request("POST", "/STU3/List", Headers([("Content-Type", "application/json")]), body))
    application.close()
    assert answer.status == 500
    assert "INSERT INTO resource" in caplog.text
    assert "Smith" not in caplog.text
    assert "hunter2" not in repr(Settings(db="postgresql://u:hunter2@h/d"))


def test_the_stories_are_told_once(tmp_path: Path) -> None:
    path = str(tmp_path / "spine.db")
    story = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    build_application(Settings(db=path), "http://127.0.0.1:1/STU3")
    with closing(Store(path)) as store:
        found = store.read(*story)
        assert found is not None
        assert found.version_id == "25777f7d-27bc"
        assert store.swap(*story, "25777f7d-27bc", first(b"changed", "2"))
    build_application(Settings(db=path), "http://127.0.0.1:1/STU3")
    with closing(Store(path)) as store:
        assert store.read(*story) == first(b"changed", "2")


def unreadable_settings(path: Path) -> None:
    Store(str(path)).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE setting SET value = 'two' WHERE name = 'schema_version'")


def of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE bookmark (url)")


def with_our_table_names(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("CREATE TABLE resource (a); CREATE TABLE setting (b)")


def no_database(path: Path) -> None:
    path.write_text("Dear diary, " * 100)


def a_folder(path: Path) -> None:
    path.mkdir()


UNUSABLE = [unreadable_settings, of_something_else, with_our_table_names, no_database, a_folder]


@pytest.mark.parametrize("spoil", UNUSABLE, ids=lambda spoil: spoil.__name__.replace("_", " "))
def test_a_file_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "spine.db"
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(EndpointError) as caught:
        Store(str(path))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="cannot be used"):
        Store(str(tmp_path / "missing" / "spine.db"))


def test_one_lost_connection_makes_the_pool_connect_anew(new_database: Callable[[], str]) -> None:
    """A restart of PostgreSQL ends all connections: one statement fails, and not one for each connection."""
    address = new_database()
    with closing(Store(address)) as store:
        store.insert("List", "x", first())
        with store._cursor(), store._cursor(), store._cursor():
            pass  # three connections are now in the pool
        engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        with engine.connect() as other:
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            other.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        engine.dispose()
        with pytest.raises(psycopg.OperationalError):
            store.swap("List", "x", "1", first(b"new", "2"))
        assert store.swap("List", "x", "1", first(b"new", "2"))
        with store._cursor(), store._cursor() as second:
            second.execute("SELECT 1")
