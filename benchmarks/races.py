"""What the client side of a race costs beside a bare pool of threads that sends the same requests.

The race is run *blind* at an endpoint that takes updates without a version, so that the very same bytes can be sent
again and are accepted again. Each thread of the bare pool has a ``requests.Session`` of its own, as a client has.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

import workbench as wb

CLIENTS, UPDATES, ROUNDS = 8, 25, 9

Sent = list[tuple[str, str, dict[str, str], bytes]]


def main() -> None:
    with wb.Endpoint.start(policy="OPTIONAL") as spine:
        recorded = _recorded(spine)
        contestants: dict[str, Callable[[], float]] = {
            "bare pool of requests.Session": partial(_bare, recorded, lean=False),
            "the same, trust_env off": partial(_bare, recorded, lean=True),
            "wb.race": partial(_race, spine),
        }
        for contestant in contestants.values():
            contestant()
        times: dict[str, list[float]] = {name: [] for name in contestants}
        order = list(contestants)
        for turn in range(ROUNDS):
            random.Random(turn).shuffle(order)
            for name in order:
                times[name].append(contestants[name]())
    bare = times["bare pool of requests.Session"]
    print(f"A race of {CLIENTS} clients, {UPDATES} updates each, as a ratio to a bare pool (target: at most 1.3):")
    for name, found in times.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(found, bare, strict=True))
        print(f"  {ratio:5.2f}  {name}")
    print(f"  {CLIENTS * UPDATES * 2 / statistics.median(times['wb.race']):,.0f} exchanges a second in the race")


def _race(spine: wb.Endpoint) -> float:
    run = wb.race(spine, clients=CLIENTS, updates=UPDATES, strategy="blind", progress=False)
    assert run.accepted == CLIENTS * UPDATES
    return run.seconds


def _recorded(spine: wb.Endpoint) -> list[Sent]:
    """What each client of a race sent, in its order."""
    run = wb.race(spine, clients=CLIENTS, updates=UPDATES, strategy="blind", progress=False)
    asked = [(each.client, each.request) for each in run.journal]
    return [
        [(sent.method, sent.url, dict(sent.headers.items()), sent.body) for who, sent in asked if who == client]
        for client in run.clients
    ]


def _bare(recorded: Sequence[Sent], *, lean: bool) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(len(recorded)) as pool:
        sent = list(pool.map(partial(_send, lean=lean), recorded))
    seconds = time.perf_counter() - started
    assert sum(sent) == CLIENTS * UPDATES * 2
    return seconds


def _send(requests_to_send: Sent, *, lean: bool) -> int:
    accepted = 0
    with requests.Session() as session:
        session.trust_env = not lean
        for method, url, headers, body in requests_to_send:
            accepted += session.request(method, url, headers=headers, data=body or None).status_code == 200
    return accepted


if __name__ == "__main__":
    main()
