"""Many clients, several processes: exactly one success a version, and nothing but 200 and 409.

The short form runs with the other tests; ``make soak`` goes on for a minute each, and prints the figures.
"""

import threading

import pytest
from loadkit import Writer, chain, create, percentile, run

from workbench import Endpoint

CLIENTS = 32
WORKERS = 4
LONG = pytest.param(60.0, id="60 s", marks=pytest.mark.soak)
SHORT = pytest.param(0.0, id="short")
FEW = 12
"""Requests a client in the short form."""


def go(writers: list[Writer], seconds: float) -> None:
    """Have them all write at once, for so long or for a few requests each."""
    stop = threading.Event()
    threads = run(writers, stop, most=FEW if not seconds else 10**9)
    if seconds:
        stop.wait(seconds)
        stop.set()
    for thread in threads:
        thread.join()
    assert not any(writer.broken for writer in writers)


def say(name: str, writers: list[Writer]) -> None:
    seconds = [taken for writer in writers for taken in writer.seconds]
    won, asked = sum(len(writer.accepted) for writer in writers), len(seconds)
    slow = f"p99 {percentile(seconds, 0.99)} ms, longest {percentile(seconds, 1)} ms"
    print(f"{name}: {asked} requests, {won} updates accepted, {slow}")


@pytest.mark.promise("UPD-13")
@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_one_resource(shared_db: str, seconds: float) -> None:
    with Endpoint.start(db=shared_db, workers=WORKERS) as spine:
        logical_id = create(spine.base_url)
        observer = Writer(spine.base_url, logical_id)
        first = observer.read()
        writers = [Writer(spine.base_url, logical_id) for _ in range(CLIENTS)]
        go(writers, seconds)
        accepted = [pair for writer in writers for pair in writer.accepted]
        assert chain(accepted, first, observer.read()) == len(accepted) > 0
        observer.connection.close()
    assert {status for writer in writers for status in writer.statuses} <= {200, 409}
    say("one resource", writers)


@pytest.mark.promise("UPD-13")
@pytest.mark.parametrize("seconds", [SHORT, LONG])
def test_a_resource_each(shared_db: str, seconds: float) -> None:
    with Endpoint.start(db=shared_db, workers=WORKERS) as spine:
        writers = [Writer(spine.base_url, create(spine.base_url)) for _ in range(CLIENTS)]
        go(writers, seconds)
    for writer in writers:
        assert set(writer.statuses) == {200}
        accepted = writer.accepted
        assert chain(accepted, accepted[0][0], accepted[-1][1]) == len(accepted) == len(writer.seconds) - 1
    say("a resource each", writers)
