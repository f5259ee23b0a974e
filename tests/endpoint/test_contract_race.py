"""UPD-13: of N clients that send the same ``If-Match`` at once, exactly one gets 200 and each of the others 409.

Threads and processes, over the socket and in process, in memory and on a file, and two servers on one file. The
last word is the resource's own: what a read shows is what the winner sent, and no version came twice.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from racers import WAIT, open_at_once, race_in_the_store, race_over_http
from spinekit import Held, Service, a_list, plain_session

from workbench import Endpoint
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings
from workbench.endpoint.store import Store, Stored

THREADS = 16
PROCESSES = 4
ROUNDS = 100

Round = list[tuple[int, str | None]]


def race(services: list[Service], held: Held, rounds: int) -> list[Round]:
    """Every round, one PUT from every service with the same ETag; what each got, and the winner's ETag."""
    played: list[Round] = []
    now: list[tuple[int, str | None]] = [(0, None)] * len(services)
    current = [held.etag]

    def settle() -> None:
        played.append(list(now))
        winners = [etag for status, etag in now if status == 200]
        current[0] = winners[0] if winners and winners[0] else current[0]

    start, end = Barrier(len(services)), Barrier(len(services), settle)

    def run(number: int) -> None:
        for turn in range(rounds):
            start.wait(WAIT)
            answer = services[number].put(held.path, held.body(title=f"{turn} by {number}"), current[0])
            now[number] = (answer.status_code, answer.headers.get("ETag"))
            end.wait(WAIT)

    with ThreadPoolExecutor(len(services)) as pool:
        list(pool.map(run, range(len(services))))
    return played


def assert_one_winner_a_round(played: list[Round], racers: int) -> None:
    for turn in played:
        assert sorted(status for status, _ in turn) == [200] + [409] * (racers - 1)
    etags = [etag for turn in played for status, etag in turn if status == 200]
    assert len(set(etags)) == len(played)


@pytest.fixture
def on_a_file(tmp_path: Path) -> Iterator[Service]:
    """In process, on a file: here requests really run at the same time, each thread with its own connection."""
    application = build_application(Settings(db=str(tmp_path / "spine.db")), BASE_URL)
    with plain_session(InProcessAdapter(application)) as session:
        yield Service(BASE_URL, session)


@pytest.mark.promise("UPD-13")
@pytest.mark.parametrize(("place", "rounds"), [("over_socket", ROUNDS), ("in_process", 30), ("on_a_file", 30)])
def test_threads(place: str, rounds: int, request: pytest.FixtureRequest) -> None:
    service: Service = request.getfixturevalue(place)
    held = service.create()
    with ExitStack() as sessions:
        adapter = None if place == "over_socket" else service.session.get_adapter(BASE_URL)
        services = [Service(service.base_url, sessions.enter_context(plain_session(adapter))) for _ in range(THREADS)]
        played = race(services, held, rounds)
    assert len(played) == rounds
    assert_one_winner_a_round(played, THREADS)
    winner = next(number for number, (status, _) in enumerate(played[-1]) if status == 200)
    read = service.get(held.path)
    assert read.json()["title"] == f"{rounds - 1} by {winner}"
    assert read.headers["ETag"] == played[-1][winner][1]


@pytest.mark.promise("UPD-13")
def test_two_servers_on_one_database(tmp_path: Path) -> None:
    db = str(tmp_path / "spine.db")
    with Endpoint.start(db=db) as one, Endpoint.start(db=db) as two, ExitStack() as sessions:
        services = [Service(endpoint.base_url, sessions.enter_context(plain_session())) for endpoint in (one, two) * 2]
        played = race(services, services[0].create(), 25)
    assert_one_winner_a_round(played, 4)


def in_processes(target: Callable[..., None], *arguments: object) -> list[Any]:
    """Run ``target`` in separate processes, all with one barrier and one queue; what each put into the queue."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=target, args=(barrier, results, *arguments)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    try:
        return [results.get(timeout=WAIT) for _ in processes]
    finally:
        for process in processes:
            process.join(WAIT)
        results.close()


@pytest.mark.promise("UPD-13")
def test_processes(over_socket: Service) -> None:
    held = over_socket.create()
    results = in_processes(race_over_http, over_socket.base_url, held.path, ROUNDS)
    played = [list(turn) for turn in zip(*results, strict=True)]
    assert len(played) == ROUNDS
    assert_one_winner_a_round(played, PROCESSES)
    assert over_socket.get(held.path).headers["ETag"] in {etag for status, etag in played[-1] if status == 200}


@pytest.mark.promise("UPD-13")
def test_processes_at_the_store_itself(tmp_path: Path) -> None:
    path = tmp_path / "spine.db"
    store = Store(str(path))
    store.insert("List", "x", Stored(store.versions.first("List/x"), "2018-05-25T16:09:50.000+00:00", b"{}"))
    results = in_processes(race_in_the_store, path, ROUNDS)
    assert [sum(turn) for turn in zip(*results, strict=True)] == [1] * ROUNDS
    last = store.read("List", "x")
    store.close()
    assert last is not None
    assert last.body == b"%d" % (ROUNDS - 1)


def test_processes_that_open_a_new_database_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(10)]
    results = in_processes(open_at_once, paths)
    for first_versions in zip(*results, strict=True):
        assert set(first_versions) == {first_versions[0]}
        assert not first_versions[0].startswith(("EndpointError", "Operational", "Integrity"))


@pytest.mark.promise("UPD-13", "DL-2")
def test_an_update_and_a_delete_at_once(endpoint: Service) -> None:
    """Either wins, never both: the loser of a delete gets 404, the loser of an update 409."""
    start = Barrier(2)

    def go(method: str, held: Held) -> int:
        with plain_session() as session:
            service = Service(endpoint.base_url, session if endpoint.base_url != BASE_URL else endpoint.session)
            start.wait(WAIT)
            if method == "PUT":
                return service.put(held.path, held.body(title="x"), held.etag).status_code
            return service.delete(held.path, held.etag).status_code

    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            held = endpoint.create(a_list(title="contested"))
            update, delete = pool.map(go, ["PUT", "DELETE"], [held, held])
            assert (update, delete) in {(200, 409), (404, 204)}
            assert endpoint.get(held.path).status_code == (200 if update == 200 else 404)
