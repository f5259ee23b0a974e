"""An object without references is closed: applications, their databases, child processes."""

import gc
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import Endpoint
from workbench.endpoint.application import Application, build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings
from workbench.widgets.conflict import ConflictBench

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def connections() -> list[sqlite3.Connection]:
    """Every open connection of this process."""
    gc.collect()
    found = []
    for connection in (thing for thing in gc.get_objects() if isinstance(thing, sqlite3.Connection)):
        try:
            assert connection.total_changes >= 0
        except sqlite3.ProgrammingError:
            continue  # closed
        found.append(connection)
    return found


def an_endpoint(db: str) -> object:
    spine = Endpoint.in_process(db=db)
    return spine, spine.client().read("List", LIST)


def an_application(db: str) -> object:
    application = build_application(Settings(db=db), BASE_URL)
    return application, application.health()


def an_adapter(db: str) -> object:
    return InProcessAdapter(build_application(Settings(db=db), BASE_URL))


@pytest.mark.parametrize("make", [an_endpoint, an_application, an_adapter], ids=lambda make: make.__name__)
@pytest.mark.parametrize("memory", [True, False], ids=["memory", "file"])
def test_a_database_is_closed(make: Callable[[str], object], memory: bool, tmp_path: Path) -> None:
    before = connections()
    held = make(":memory:" if memory else str(tmp_path / "spine.db"))
    opened = [connection for connection in connections() if connection not in before]
    assert opened
    del held
    still_open = connections()
    assert not [connection for connection in opened if connection in still_open]


def test_a_client_keeps_its_endpoint() -> None:
    alice = Endpoint.in_process().client("alice")
    gc.collect()
    assert alice.read("List", LIST).status == 200


def test_a_bench_that_is_restarted_leaves_nothing_behind() -> None:
    def applications() -> int:
        gc.collect()
        return sum(isinstance(thing, Application) for thing in gc.get_objects())

    bench = ConflictBench()
    before, opened = applications(), connections()
    for _ in range(3):
        bench.take("alice", "reads")
        bench.restart()
    assert applications() == before
    still_open = connections()
    assert [connection in still_open for connection in opened].count(False) == 2


def test_a_started_endpoint_ends() -> None:
    spine = Endpoint.start()
    pid = spine._serving.pid  # type: ignore[attr-defined]
    assert spine.client().read("List", LIST).status == 200
    del spine
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
