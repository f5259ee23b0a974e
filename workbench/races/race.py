"""Run a race: several clients update the same resources at once.

    race = wb.race(spine, clients=8, updates=25, strategy="reload")
    race.accepted, race.conflicts_per_success, race.survivors

Each client has its own thread and makes its updates one after the other: read, edit, put, and after a conflict what
its strategy says. The threads run in this process and share its journal, or they run in other processes.

In the second case the clients are divided into groups. A ``Task`` is a few updates of one group, as plain values, and
``run_task`` runs it anywhere and returns its exchanges. They are appended to the journal at the end of the race.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import multiprocessing
import random
import signal
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from workbench.client.client import LAST_READ, Client
from workbench.client.connection import Connection
from workbench.client.threads import HAS_THREADS, DaemonThreads, as_ended
from workbench.errors import BadInput, needs
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.journal.journal import Journal
from workbench.races.results import MARKS, Counts, Race, Sweep, Turn, mark
from workbench.races.schedule import new_list
from workbench.races.strategy import Plan, Resource, Strategy, TypeAndId, strategy_named

if TYPE_CHECKING:
    from workbench.endpoint.endpoint import Endpoint

REFEREE: Final = "referee"
"""The name of the client that creates the resources of a race and reads them at its end."""

TASK_UPDATES: Final = 10
"""Updates of each client in one task. A race outside this process is counted and stopped between tasks."""

GRACE_SECONDS: Final = 0.6
"""How long an exchange may continue after the race is stopped."""

_ONE_AFTER_THE_OTHER: Final = (
    "This Python cannot start threads or processes, so the clients run one after the other and meet no conflict; "
    "play() and play_all() interleave their steps."
)

_LOOK_SECONDS: Final = 0.1
_MOST_CLIENTS: Final = 1000

Watch = Callable[[Counts], object]


def race(
    where: Endpoint | Client | str,
    *,
    clients: int = 8,
    updates: int = 25,
    strategy: str | Strategy = "reload",
    resources: int | Iterable[TypeAndId] = 1,
    thinking: float = 0.0,
    tries: int | None = None,
    seed: int | str = 0,
    executor: str | Executor = "threads",
    workers: int | None = None,
    skew: float = 0.0,
    journal: Journal | None = None,
    stop: Event | None = None,
    watch: Watch | None = None,
    progress: bool | None = None,
) -> Race:
    """Let ``clients`` make ``updates`` updates each, all at once, and return the result.

    ``where`` is an endpoint, a client or a base URL. The connection of a client is used: its profile, token,
    certificate and permission to write.

    ``strategy`` says what a client does after a conflict; ``STRATEGIES`` has the names. ``tries`` limits how often one
    update is sent. ``resources`` is the number of Lists to create, or the Lists to use, as ``(type, id)``.
    ``thinking`` is the mean duration of an edit in seconds. ``seed`` fixes which List each update is for, and every
    wait.

    ``executor`` is ``"threads"``, ``"processes"`` or any ``concurrent.futures.Executor``. Outside of threads the
    clients are divided into ``workers`` groups (default: one client each), and each group runs one task at a time.
    ``skew`` is the largest difference between the clocks of different machines, in seconds; the proof allows for it.
    Where Python cannot start threads (Pyodide), ``"threads"`` and ``"processes"`` run one client after the other,
    with a warning.

    ``stop`` (an event) or Ctrl-C ends the race early, and what was sent is kept. ``watch`` is called with the
    ``Counts`` several times a second. ``progress`` shows a bar; by default in a notebook or a terminal.

    Raises ``BadInput`` for options that make no race, ``WriteNotAllowed`` where the client may not write, and
    whatever a worker raised.
    """
    chosen = strategy_named(strategy, tries)
    _check_numbers(clients, updates, thinking, skew, workers)
    if not HAS_THREADS and executor in ("threads", "processes"):
        warnings.warn(_ONE_AFTER_THE_OTHER, RuntimeWarning, stacklevel=2)
        executor = "threads"
    journal = Journal() if journal is None else journal
    stop = Event() if stop is None else stop
    referee = _referee(where, journal)
    _check_executor(executor, referee)
    referee.connection.guard("PUT", referee.base_url)
    before = len(journal)
    lists, tag = _lists(referee, resources)
    plan = Plan(lists, chosen, tag, seed, thinking)
    names = tuple(f"client-{number:0{len(str(clients))}}" for number in range(1, clients + 1))
    whole = Task(referee.base_url, referee.connection, plan, names, 1, updates)
    turns: list[Turn] = []
    started = time.perf_counter()

    with _ctrl_c_sets(stop):
        with _progress_bar(clients * updates, progress, watch) as show:
            counts = Counts()

            def look() -> None:
                nonlocal counts
                counts = counts.add(turns[counts.ended :])
                show(counts)

            if executor == "threads":
                _run_clients(whole, journal, stop, turns, look)
            else:
                count = min(workers or clients, clients)
                groups = [replace(whole, clients=names[number::count]) for number in range(count)]
                if isinstance(executor, Executor):
                    _run_tasks(executor, groups, journal, stop, turns, look)
                else:
                    _run_in_processes(groups, journal, stop, turns, look)
        seconds = time.perf_counter() - started
        final = _last_reads(referee, lists, stop)

    referee.close()
    ended = tuple(turns)
    counts = Counts().add(ended)
    return Race(plan, names, updates, journal, before, ended, counts, seconds, final, skew)


def sweep(
    where: Endpoint | Client | str,
    *,
    clients: Iterable[int] = (1, 2, 4, 8),
    strategies: Iterable[str | Strategy] = ("give-up", "reload", "merge"),
    stop: Event | None = None,
    progress: bool | None = None,
    **options: Any,
) -> Sweep:
    """Run one race for every number of clients and every strategy, each on Lists of its own.

    The other ``options`` are those of ``race``. ``stop`` ends the sweep early, and the races that ran are kept.
    """
    stop = Event() if stop is None else stop
    chosen = [strategy_named(each) for each in strategies]
    rounds = [(count, each) for count in clients for each in chosen]
    races: list[Race] = []
    with _progress_bar(len(rounds), progress, None, "races") as show:
        for count, each in rounds:
            one = race(where, clients=count, strategy=each, stop=stop, progress=False, **options)
            races.append(one)
            show(Counts(ended=len(races)))
            if stop.is_set():
                break
    return Sweep(tuple(races))


def _check_numbers(clients: int, updates: int, thinking: float, skew: float, workers: int | None) -> None:
    if not 1 <= clients <= _MOST_CLIENTS:
        raise BadInput(f"clients={clients}: a race has 1 to {_MOST_CLIENTS} clients.")
    if updates < 1 or (workers is not None and workers < 1):
        raise BadInput("updates= and workers= count from 1.")
    if not (math.isfinite(thinking) and thinking >= 0):
        raise BadInput(f"thinking={thinking}: give the seconds of an edit, 0 or more.")
    if not (math.isfinite(skew) and skew >= 0):
        raise BadInput(f"skew={skew}: give the seconds by which clocks differ, 0 or more.")


def _check_executor(executor: str | Executor, referee: Client) -> None:
    if executor == "threads":
        return
    if referee.connection.adapter is not None:
        raise BadInput("An endpoint in this process can be raced by threads only. Use Endpoint.start().")
    if executor != "processes" and not isinstance(executor, Executor):
        raise BadInput(f'executor={executor!r} cannot run a race. Give "threads", "processes" or an Executor.')


def _referee(where: Endpoint | Client | str, journal: Journal) -> Client:
    """Return a client that uses the real clock, even where the endpoint's own clients use a lesson's clock."""
    if isinstance(where, str):
        return Client(where, name=REFEREE, journal=journal)
    found = where if isinstance(where, Client) else where.client(REFEREE)
    return Client(found.base_url, name=REFEREE, journal=journal, connection=found.connection, embedded=found.embedded)


def _lists(referee: Client, resources: int | Iterable[TypeAndId]) -> tuple[tuple[TypeAndId, ...], str]:
    """Return the Lists of a race, and a tag that no earlier race on them had."""
    if isinstance(resources, int):
        targets = tuple(new_list(referee) for _ in range(resources))
    else:
        targets = tuple((kind, logical_id) for kind, logical_id in resources)
    if not targets:
        raise BadInput("A race needs at least one resource. Give a number, or Lists as (type, id).")
    for kind, logical_id in targets:
        if kind != "List":
            raise BadInput(f"A race adds entries to Lists. {kind}/{logical_id} is not a List; give Lists only.")
    reads = [referee.read(*target).raise_for_verdict(Verdict.READ) for target in targets]
    versions = " ".join(f"{read.target} {read.etag}" for read in reads)
    return targets, hashlib.blake2s(versions.encode(), digest_size=4).hexdigest()


def _last_reads(referee: Client, targets: Iterable[TypeAndId], stop: Event) -> dict[str, Exchange]:
    """Read each resource at the end. After a stop, a read without a response is aborted."""
    final: dict[str, Exchange] = {}

    def read() -> None:
        for target in targets:
            final["/".join(target)] = referee.read(*target)

    with DaemonThreads(1, "race, last reads") as thread:
        reading = thread.submit(read)
        for _ in as_ended([reading], stop=stop):
            pass
        _finish([reading], [referee])
    if reading.done():
        reading.result()
    return dict(final)


@contextmanager
def _progress_bar(total: int, progress: bool | None, watch: Watch | None, unit: str = "updates") -> Iterator[Watch]:
    """Show a bar in a notebook or a terminal, and pass the counts to ``watch``."""
    with needs("races"):
        from tqdm.auto import tqdm

    if not HAS_THREADS:
        tqdm.monitor_interval = 0  # its monitor is a thread
    only_in_a_terminal = None  # what tqdm takes it to mean
    by_default = False if "notebook" in tqdm.__mro__[1].__module__ else only_in_a_terminal
    disable = by_default if progress is None else not progress
    with tqdm(total=total, unit=f" {unit}", disable=disable) as bar:

        def show(counts: Counts) -> None:
            if counts.ended > bar.n:
                bar.update(counts.ended - bar.n)
            if watch is not None:
                watch(counts)

        yield show


@contextmanager
def _ctrl_c_sets(stop: Event) -> Iterator[None]:
    """Let the first Ctrl-C set ``stop``. A second one raises ``KeyboardInterrupt`` as usual."""
    before = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or not callable(before):
        yield  # only the main thread receives signals
        return

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    signal.signal(signal.SIGINT, set_stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# --- one client ---


def take_turn(client: Client, number: int, plan: Plan, stop: Event) -> Turn:
    """Make one update: read, edit, put; after a conflict again, as the strategy says."""
    chance = random.Random(f"{plan.seed} {client.name} {number}")  # noqa: S311  # repeatable by design
    target = chance.choice(plan.resources)
    strategy = plan.strategy
    started = time.perf_counter()

    def pause(seconds: float) -> None:
        if seconds > 0:
            stop.wait(seconds)

    def edit(resource: Resource) -> Resource:
        return marked(resource, plan.tag, client.name, number)

    def think_and_edit(resource: Resource) -> Resource:
        pause(plan.thinking * chance.uniform(0.5, 1.5))
        return edit(resource)

    read, exchanges, tries = client.read(*target), 1, 0
    verdict, base = read.verdict, _readable(read)
    draft = None if base is None else think_and_edit(base)
    while base is not None and draft is not None and not stop.is_set():
        put = client.update(draft, if_match=LAST_READ if strategy.guarded else None)
        verdict, exchanges, tries = put.verdict, exchanges + 1, tries + 1
        if verdict is not Verdict.STALE or strategy.remake is None or tries >= strategy.tries:
            break
        pause(strategy.wait(tries, chance))
        if stop.is_set():
            break
        read, exchanges = client.read(*target), exchanges + 1
        theirs = _readable(read)
        if theirs is None:
            break
        draft = strategy.remake(base, draft, theirs, think_and_edit if strategy.edits_again else edit)
        base = theirs
    seconds = time.perf_counter() - started
    return Turn(client.name, number, "/".join(target), verdict, tries, exchanges, seconds)


def _readable(read: Exchange) -> Resource | None:
    """Return the resource of a read; ``None`` if there is none to which an entry can be added."""
    found = read.resource if read.verdict is Verdict.READ else None
    return found if isinstance(found, dict) and isinstance(found.get("entry", []), list) else None


def marked(resource: Resource, tag: str, client: str, number: int) -> Resource:
    """Return the resource with one more entry, which names the client and the number of its update."""
    item = {
        "reference": f"Condition/{tag}.{client}.{number}",
        "identifier": {"system": MARKS + tag, "value": mark(client, number)},
        "display": f"Update {number} of {client}",
    }
    return {**resource, "entry": [*resource.get("entry", []), {"item": item}]}


# --- the clients together: in threads, or in tasks for an executor ---


@dataclass(frozen=True, slots=True)
class Task:
    """The updates ``first`` to ``last`` of some clients, as plain values that can be pickled."""

    base_url: str
    connection: Connection
    plan: Plan
    clients: tuple[str, ...]
    first: int
    last: int


def run_task(task: Task) -> tuple[list[Exchange], list[Turn]]:
    """Run a task in any process and return its exchanges and its updates, in the order in which they ended."""
    journal, turns = Journal(redact=False), list[Turn]()
    _run_clients(task, journal, _stop_of_this_process or Event(), turns)
    return list(journal), turns


_stop_of_this_process: Event | None = None


def _start_process(stop: Any) -> None:
    """Prepare a worker process: the process that started it handles Ctrl-C and sets ``stop``."""
    global _stop_of_this_process  # an executor passes nothing else to its processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop_of_this_process = stop


def _run_clients(
    task: Task,
    journal: Journal,
    stop: Event,
    turns: list[Turn],
    look: Callable[[], object] = lambda: None,
) -> None:
    """Run a task in this process, each client in its own thread. Every update that ends is appended to ``turns``.

    ``stop`` ends it after the exchanges under way. An exchange that takes longer than ``GRACE_SECONDS`` is aborted
    and recorded as unanswered.
    """
    clients = [Client(task.base_url, name=name, journal=journal, connection=task.connection) for name in task.clients]

    def run(client: Client) -> None:
        try:
            for number in range(task.first, task.last + 1):
                if stop.is_set():
                    return
                turns.append(take_turn(client, number, task.plan, stop))
        finally:
            client.close()

    with DaemonThreads(len(clients), "race") as threads:
        runs = [threads.submit(run, client) for client in clients]
        running = set(runs)
        while running and not stop.is_set():
            ended, running = wait(running, _LOOK_SECONDS, FIRST_COMPLETED)
            if any(each.exception() for each in ended):
                stop.set()
            look()
        _finish(runs, clients)
    look()
    for each in runs:
        if each.done():
            each.result()


def _finish(runs: Collection[Future[Any]], clients: Iterable[Client]) -> None:
    """Wait ``GRACE_SECONDS`` for these to end, abort what is still under way, and wait once more."""
    for _ in as_ended(runs, GRACE_SECONDS):
        pass
    if all(run.done() for run in runs):
        return
    for client in clients:
        client.abort()
    for _ in as_ended(runs, GRACE_SECONDS):
        pass


def _run_in_processes(
    groups: Sequence[Task], journal: Journal, stop: Event, turns: list[Turn], look: Callable[[], object]
) -> None:
    """Run the groups in new processes. They are spawned, because a fork would copy locks that threads hold."""
    context = multiprocessing.get_context("spawn")
    shared_stop = context.Event()

    def look_and_stop() -> None:
        if stop.is_set():
            shared_stop.set()
        look()

    with ProcessPoolExecutor(
        len(groups), mp_context=context, initializer=_start_process, initargs=(shared_stop,)
    ) as executor:
        try:
            _run_tasks(executor, groups, journal, stop, turns, look_and_stop)
        finally:
            shared_stop.set()


def _run_tasks(
    executor: Executor,
    groups: Sequence[Task],
    journal: Journal,
    stop: Event,
    turns: list[Turn],
    look: Callable[[], object],
) -> None:
    """Run the groups through an executor, each ``TASK_UPDATES`` updates of every client at a time.

    All exchanges are appended to the journal at the end, in the order in which they ended. After an error no further
    task is sent; the error is raised when the tasks under way have ended.
    """
    exchanges: list[list[Exchange]] = [[] for _ in groups]
    running: dict[Future[tuple[list[Exchange], list[Turn]]], tuple[int, Task]] = {}
    errors: list[BaseException] = []

    def submit(number: int, first: int) -> None:
        task = replace(groups[number], first=first, last=min(first + TASK_UPDATES - 1, groups[number].last))
        try:
            running[executor.submit(run_task, task)] = number, task
        except RuntimeError as error:  # the executor is shut down or broken
            errors.append(error)
            stop.set()

    try:
        for number, group in enumerate(groups):
            submit(number, group.first)
        while running:
            ended, _ = wait(running, _LOOK_SECONDS, FIRST_COMPLETED)
            for future in ended:
                number, task = running.pop(future)
                error = (
                    CancelledError("A task of the race was cancelled.") if future.cancelled() else future.exception()
                )
                if error is not None:
                    errors.append(error)
                    stop.set()
                    continue
                brought, done = future.result()
                exchanges[number] += brought
                turns += done
                if task.last < groups[number].last and not stop.is_set():
                    submit(number, task.last + 1)
            look()
    finally:
        # The order within a group stays, even if the clock of its machine was set back.
        for exchange in heapq.merge(*exchanges, key=_ended_at):
            journal.append(exchange)
    if errors:
        raise errors[0]


def _ended_at(exchange: Exchange) -> datetime:
    return exchange.sent_at + timedelta(seconds=exchange.elapsed or 0.0)
