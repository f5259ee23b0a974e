"""An acknowledged update survives ``kill -9``, of the endpoint or of one of its workers, at any moment.

Each client is the only writer of its resource, so what may be stored after the kill is the version last
acknowledged, or the one in flight: a PUT that was stored and never answered.
"""

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from loadkit import Count, Writer, create, run

from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings
from workbench.endpoint.store import Store

CLIENTS = 8
ROUNDS = [pytest.param(2, id="2 kills"), pytest.param(20, id="20 kills", marks=pytest.mark.soak)]


def workers_of(server: ServerProcess) -> list[int]:
    """The process ids of an endpoint's workers."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except OSError:
            continue  # it has just ended
        if int(fields["PPid"]) == server.pid:
            found.append(int(status.parent.name))
    return sorted(found)


def kill_the_endpoint(server: ServerProcess, _chance: random.Random) -> None:
    server.kill()


def kill_everything(server: ServerProcess, _chance: random.Random) -> None:
    for pid in [*workers_of(server), server.pid]:
        os.kill(pid, signal.SIGKILL)
    server.kill()


def kill_one_worker(server: ServerProcess, chance: random.Random) -> None:
    os.kill(chance.choice(workers_of(server)), signal.SIGKILL)


KILLS: list[tuple[str, int, Callable[[ServerProcess, random.Random], None]]] = [
    ("one process", 1, kill_the_endpoint),
    ("a worker of three", 3, kill_one_worker),
    ("all of three workers", 3, kill_everything),
]


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize(("workers", "kill"), [row[1:] for row in KILLS], ids=[row[0] for row in KILLS])
def test_what_was_acknowledged_is_there(
    shared_db: str, rounds: int, workers: int, kill: Callable[[ServerProcess, random.Random], None]
) -> None:
    chance = random.Random(rounds + workers)
    serve = partial(ServerProcess, Settings(db=shared_db), Serving(workers=workers))
    server = serve()
    acknowledged = unanswered = 0
    try:
        ids = [create(server.base_url) for _ in range(CLIENTS)]
        for _ in range(rounds):
            writers = [Writer(server.base_url, logical_id) for logical_id in ids]
            push_until(writers, chance.randint(20, 200), partial(kill, server, chance))
            if not server.running:
                server = serve()
            acknowledged += sum(len(writer.accepted) for writer in writers)
            unanswered += assert_all_there(shared_db, writers)
            assert not any(status >= 500 for writer in writers for status in writer.statuses)
    finally:
        server.stop()
    assert acknowledged >= 10 * rounds
    print(f"{rounds} kills: {acknowledged} updates acknowledged, 0 lost; {unanswered} stored and never acknowledged")


def push_until(writers: list[Writer], enough: int, kill: Callable[[], None]) -> None:
    """Have them all write, and kill once so many requests have been answered."""
    count, stop = Count(), threading.Event()
    threads = run(writers, stop, most=100_000, told=count)
    try:
        count.wait_for(enough)
        kill()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def assert_all_there(db: str, writers: list[Writer]) -> int:
    """Check that every acknowledged version is stored; return how many stored ones were not acknowledged."""
    unanswered = 0
    with closing(Store(db)) as store:
        for writer in writers:
            if not writer.accepted:
                continue
            for (_, one), (base, _) in zip(writer.accepted, writer.accepted[1:], strict=False):
                assert base == one
            stored = store.read("List", writer.logical_id)
            assert stored is not None
            last = writer.accepted[-1][1]
            unacknowledged = store.versions.after(f"List/{writer.logical_id}", last)
            assert stored.version_id in (last, unacknowledged)
            unanswered += stored.version_id == unacknowledged
    return unanswered
