"""A race: several clients update the same resources at once, in whatever order chance gives.

    race = wb.race(spine, clients=8, updates=25, strategy="reload")
    race.accepted, race.conflicts_per_success, race.survivors

Owns: making the resources that are raced for, starting and ending the race, and reading what is left. How clients
are spread is ``relay``'s, what each does is ``racer``'s, what came of it is ``Race``'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from workbench.client.client import Client
from workbench.client.threads import DaemonThreads, as_ended
from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.journal.journal import Journal
from workbench.races import relay
from workbench.races.racer import Leg, Plan, Target, finish, tag_of
from workbench.races.relay import Counts, Field, Look, ctrl_c_sets
from workbench.races.results import Race, Sweep
from workbench.races.schedule import new_list
from workbench.races.strategy import Strategy, strategy_named

if TYPE_CHECKING:
    from workbench.endpoint.endpoint import Endpoint

REFEREE: Final = "referee"
"""The client that makes the resources of a race, and reads what is left of it."""

_MOST_CLIENTS: Final = 1000


def race(
    where: Endpoint | Client | str,
    *,
    clients: int = 8,
    updates: int = 25,
    strategy: str | Strategy = "reload",
    resources: int | Iterable[Target] = 1,
    thinking: float = 0.0,
    tries: int | None = None,
    seed: int | str = 0,
    executor: str | Executor = "threads",
    workers: int | None = None,
    skew: float = 0.0,
    journal: Journal | None = None,
    stop: Event | None = None,
    watch: Look | None = None,
    progress: bool | None = None,
) -> Race:
    """Let ``clients`` each make ``updates`` updates, all at once, and give back what happened.

    ``where``: an endpoint, a client of one (whose connection is used), or a base URL. ``strategy``: what a
    client does about a stale update, by name (``STRATEGIES``), and ``tries`` how often it sends one at most.
    ``resources``: how many Lists are made for the race, or which to use, as ``(type, id)``. ``thinking``:
    seconds that an edit takes, on average. ``seed`` fixes who updates which, and every wait.

    ``executor``: ``"threads"``, ``"processes"``, or any ``concurrent.futures.Executor``; outside of threads the
    clients are dealt out to ``workers`` groups (by default one each), and a group is one task at a time. ``skew``:
    by how many seconds the clocks of different machines may disagree, which the proof must allow for.

    ``stop`` (an event) or Ctrl-C ends it early and leaves what was done. ``watch`` is called with the
    ``Counts`` several times a second. ``progress``: a bar; by default where somebody can see it.

    Raises ``BadInput`` for what cannot be raced, ``WriteNotAllowed`` as a client does, and what a worker raised.
    """
    chosen = strategy_named(strategy, tries)
    _check(clients, updates, thinking, skew, workers)
    journal, stop = Journal() if journal is None else journal, Event() if stop is None else stop
    referee = _referee(where, journal)
    if executor != "threads" and referee.connection.adapter is not None:
        raise BadInput("An endpoint in this process can be raced by threads only; start one with Endpoint.start().")
    referee.connection.guard("PUT", referee.base_url)
    first = len(journal)
    targets, tag = _targets(referee, resources)
    plan = Plan(targets, chosen, tag, seed, thinking)
    whole = Leg(referee.base_url, referee.connection, plan, _names(clients), 1, updates)
    started = time.perf_counter()
    with ctrl_c_sets(stop):
        with _shown(clients * updates, progress, watch) as look:
            tally = relay.run(Field(whole, workers or clients), executor, journal, stop, look)
        seconds = time.perf_counter() - started
        final = _last_reads(referee, targets, stop)
    referee.close()
    return Race(plan, whole.clients, updates, journal, first, tuple(tally.turns), tally.counts, seconds, final, skew)


def sweep(
    where: Endpoint | Client | str,
    *,
    clients: Iterable[int] = (1, 2, 4, 8),
    strategies: Iterable[str | Strategy] = ("give-up", "reload", "merge"),
    stop: Event | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Sweep:
    """A race for every number of clients and every strategy, each on resources of its own.

    Other ``options`` are those of ``race``. Stopped, it keeps the races that were run.
    """
    stop = Event() if stop is None else stop
    chosen = [strategy_named(each) for each in strategies]
    rounds = [(count, each) for count in clients for each in chosen]
    races: list[Race] = []
    with _shown(len(rounds), progress, None, "races") as look:
        for number, (count, each) in enumerate(rounds, 1):
            races.append(race(where, clients=count, strategy=each, stop=stop, progress=False, **options))
            look(Counts(ended=number))
            if stop.is_set():
                break
    return Sweep(tuple(races))


def _check(clients: int, updates: int, thinking: float, skew: float, workers: int | None) -> None:
    if not 1 <= clients <= _MOST_CLIENTS:
        raise BadInput(f"clients={clients}: a race has 1 to {_MOST_CLIENTS} clients.")
    if updates < 1 or (workers is not None and workers < 1):
        raise BadInput("updates= and workers= count from 1.")
    if not (math.isfinite(thinking) and thinking >= 0):
        raise BadInput(f"thinking={thinking}: an edit takes some seconds, or none.")
    if not (math.isfinite(skew) and skew >= 0):
        raise BadInput(f"skew={skew}: clocks disagree by some seconds, or none.")


def _names(clients: int) -> tuple[str, ...]:
    return tuple(f"client-{number:0{len(str(clients))}}" for number in range(1, clients + 1))


def _referee(where: Endpoint | Client | str, journal: Journal) -> Client:
    """A client that keeps the wall's time and times what it does, whatever the endpoint's own clients do."""
    if isinstance(where, str):
        return Client(where, name=REFEREE, journal=journal)
    found = where if isinstance(where, Client) else where.client(REFEREE)
    return Client(found.base_url, name=REFEREE, journal=journal, connection=found.connection, embedded=found.embedded)


def _targets(referee: Client, resources: int | Iterable[Target]) -> tuple[tuple[Target, ...], str]:
    """What is raced for, and a tag that no earlier race on it had: its first version is part of it."""
    if isinstance(resources, int):
        if resources < 1:
            raise BadInput(f"resources={resources}: a race is about one resource at least.")
        targets = tuple(new_list(referee) for _ in range(resources))
    else:
        targets = tuple((kind, logical_id) for kind, logical_id in resources)
    if not targets:
        raise BadInput("A race is about one resource at least; give one as (type, id).")
    for kind, logical_id in targets:
        if kind != "List":
            raise BadInput(f"A race adds entries, so it needs Lists; {kind}/{logical_id} is none.")
    reads = [referee.read(*target).raise_for_verdict(Verdict.READ) for target in targets]
    return targets, tag_of(" ".join(f"{read.target} {read.etag}" for read in reads))


def _last_reads(referee: Client, targets: Iterable[Target], stop: Event) -> dict[str, Exchange]:
    """What is left in each resource. In a race that was stopped, an endpoint that does not answer is not waited for."""
    final: dict[str, Exchange] = {}

    def read() -> None:
        for target in targets:
            final["/".join(target)] = referee.read(*target)

    with DaemonThreads(1, "race, last reads") as thread:
        reading = thread.submit(read)
        for _ in as_ended([reading], stop=stop):
            pass
        finish([reading], [referee])
    if reading.done():
        reading.result()
    return dict(final)


@contextmanager
def _shown(total: int, progress: bool | None, watch: Look | None, unit: str = "updates") -> Iterator[Look]:
    """A bar in the notebook or the terminal, if there is anybody to see it, and the watcher beside it."""
    from tqdm.auto import tqdm

    # ``None`` is tqdm's own word for: only where it is a terminal. A notebook is none, and can show it all the same.
    hidden = (None if "notebook" not in tqdm.__mro__[1].__module__ else False) if progress is None else not progress
    with tqdm(total=total, unit=f" {unit}", disable=hidden) as bar:

        def look(counts: Counts) -> None:
            if counts.ended > bar.n:
                bar.update(counts.ended - bar.n)
            if watch is not None:
                watch(counts)

        yield look
