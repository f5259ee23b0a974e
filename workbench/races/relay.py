"""How the clients of a race are spread: over threads, over processes, over any executor there is.

Owns: handing out legs, putting the exchanges that come back into one journal in the order in which they ended,
counting as it goes, and stopping. Must not know what a turn does.

Threads share the journal. Everywhere else a leg is short, so that a race can be watched and stopped; the clients
of one group stay together, each leg beginning where the one before it ended.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event, Lock, current_thread, main_thread
from types import FrameType
from typing import Any, Final, NamedTuple

from workbench.client.threads import DaemonThreads
from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.journal.journal import Journal
from workbench.races.racer import Leg, Turn, run_here, run_leg, stop_with

LEG: Final = 10
"""Updates of one client that are run elsewhere before anything comes back."""

_LOOK_SECONDS: Final = 0.1


class Counts(NamedTuple):
    """How far a race is: updates ended, and what became of them; ``retries`` counts further tries."""

    ended: int = 0
    accepted: int = 0
    gave_up: int = 0
    unknown: int = 0
    other: int = 0
    retries: int = 0
    stale: int = 0


class Tally:
    """Every turn that has ended, counted as it comes; safe from any thread."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._counts = Counts()
        self._turn = Lock()

    def add(self, turn: Turn) -> None:
        """Count one more."""
        with self._turn:
            self.turns.append(turn)
            self._counts = _with(self._counts, turn)

    @property
    def counts(self) -> Counts:
        """The counts as they stand."""
        return self._counts


def _with(counts: Counts, turn: Turn) -> Counts:
    kind = _KINDS.get(turn.verdict, "other")
    # Every try but an accepted one, or one whose end is not known, was stale; the last is what its verdict says.
    stale = max(turn.tries - 1, 0) + (turn.verdict is Verdict.STALE)
    return counts._replace(
        ended=counts.ended + 1,
        retries=counts.retries + max(turn.tries - 1, 0),
        stale=counts.stale + stale,
        **{kind: getattr(counts, kind) + 1},
    )


_KINDS: Final = {Verdict.UPDATED: "accepted", Verdict.STALE: "gave_up", Verdict.UNKNOWN: "unknown"}

Look = Callable[[Counts], object]


@dataclass(frozen=True, slots=True)
class Field:
    """Who races, what each is told, and how many updates each makes."""

    leg: Leg
    """All clients and all updates: what the legs are cut from."""
    workers: int

    def groups(self) -> list[Leg]:
        """The clients dealt out to the workers, each group a leg that is the whole race."""
        names = self.leg.clients
        return [replace(self.leg, clients=names[each :: self.workers]) for each in range(min(self.workers, len(names)))]


def run(field: Field, executor: str | Executor, journal: Journal, stop: Event, look: Look) -> Tally:
    """Run the race and give back its turns; the journal fills on the way, and ``look`` sees the counts.

    ``stop`` ends it early: what was done stays. Raises what a worker raised, after all
    others have ended, and ``BadInput`` for an executor that is none.
    """
    tally = Tally()
    with contextlib.ExitStack() as opened:
        if executor == "threads":
            shared = partial(run_here, journal=journal, stop=stop, told=tally.add)
            thread = opened.enter_context(DaemonThreads(1, "race"))
            lanes = _Lanes(thread, shared, stop, lambda _leg, _made: None)
            lanes.begin([field.leg])
        else:
            if executor == "processes":
                executor = opened.enter_context(_processes(field.workers, stop))
            if not isinstance(executor, Executor):
                raise BadInput(f'executor={executor!r} cannot run a race; give "threads", "processes" or an Executor.')
            back = _Back(tally, _Weaver(journal, field.leg.clients), field.leg.last)
            opened.callback(back.weaver.ended, field.leg.clients)
            lanes = _Lanes(executor, run_leg, stop, back)
            lanes.begin(field.groups(), LEG)
        lanes.finish(lambda: look(tally.counts))
    return tally


@contextlib.contextmanager
def ctrl_c_sets(stop: Event) -> Iterator[None]:
    """Let the first Ctrl-C end the race in good order; a second one is what it always is."""
    before = signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or not callable(before):
        yield  # Ctrl-C does not come here
        return

    def ask(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stop.set()

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _processes(workers: int, stop: Event) -> Iterator[ProcessPoolExecutor]:
    """Processes that begin anew (a fork would copy locks that threads hold), and stop when this one does."""
    fresh = multiprocessing.get_context("spawn")
    theirs = fresh.Event()
    over = Event()

    def pass_on() -> None:
        while not over.is_set():
            if stop.wait(_LOOK_SECONDS):
                theirs.set()
                return

    begin = partial(_begin, theirs)
    with ProcessPoolExecutor(workers, mp_context=fresh, initializer=begin) as executor:
        threading.Thread(target=pass_on, daemon=True).start()
        try:
            yield executor
        finally:
            over.set()


def _begin(stop: Any) -> None:
    """Leave Ctrl-C to the process that started this one, and let it stop what this one runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop_with(stop)


Made = tuple[list[Exchange], list[Turn]]


@dataclass(frozen=True, slots=True)
class _Back:
    """Takes in what a leg brought back from elsewhere; ``last`` is the number of everybody's last update."""

    tally: Tally
    weaver: _Weaver
    last: int

    def __call__(self, leg: Leg, made: Made) -> None:
        exchanges, turns = made
        for turn in turns:
            self.tally.add(turn)
        self.weaver.add(exchanges)
        if leg.last == self.last:
            self.weaver.ended(leg.clients)


class _Lanes:
    """Legs on their way through an executor; where one ends, the next of the same clients begins."""

    def __init__(
        self, executor: Executor, work: Callable[[Leg], Any], stop: Event, came_back: Callable[[Leg, Any], object]
    ) -> None:
        self._executor, self._work, self._stop, self._came_back = executor, work, stop, came_back
        self._under_way: dict[Future[Any], Leg] = {}
        self._last, self._step = 0, 0
        self._error: BaseException | None = None

    def begin(self, whole: Iterable[Leg], step: int | None = None) -> None:
        """Send every group on its first leg, of at most ``step`` updates a client."""
        for leg in whole:
            self._last, self._step = leg.last, step or leg.last
            self._send(leg, leg.first)

    def finish(self, look: Callable[[], object]) -> None:
        """Wait for all of it, looking now and then."""
        while self._under_way:
            ended, _ = wait(self._under_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in ended:
                self._take(self._under_way.pop(future), future)
            look()
        if self._error is not None:
            raise self._error

    def _send(self, leg: Leg, first: int) -> None:
        leg = replace(leg, first=first, last=min(first + self._step - 1, self._last))
        try:
            self._under_way[self._executor.submit(self._work, leg)] = leg
        except RuntimeError as error:  # an executor that is shut down or broken
            self._fail(error)

    def _take(self, leg: Leg, future: Future[Any]) -> None:
        error = CancelledError("A part of the race was cancelled.") if future.cancelled() else future.exception()
        if error is not None:
            self._fail(error)
            return
        self._came_back(leg, future.result())
        if leg.last < self._last and not self._stop.is_set():
            self._send(leg, leg.last + 1)

    def _fail(self, error: BaseException) -> None:
        """Keep the first error, and send nobody any further; whoever is under way is waited for."""
        self._error = self._error or error
        self._stop.set()


class _Weaver:
    """Puts exchanges that come back client by client into one journal, in the order in which they ended.

    What every client has passed is let go at once, so that only a leg or so of each is held. A client's own
    exchanges keep their order, whatever its clock says.
    """

    def __init__(self, journal: Journal, clients: Sequence[str]) -> None:
        self._journal = journal
        self._passed = dict.fromkeys(clients, datetime.min.replace(tzinfo=UTC))
        self._waiting: list[tuple[datetime, int, Exchange]] = []
        self._numbers = itertools.count()

    def add(self, exchanges: Iterable[Exchange]) -> None:
        """Take what a leg brought, each client's exchanges in their order."""
        for exchange in exchanges:
            ended = exchange.sent_at + timedelta(seconds=exchange.elapsed or 0.0)
            ended = self._passed[exchange.client] = max(ended, self._passed[exchange.client])
            heapq.heappush(self._waiting, (ended, next(self._numbers), exchange))
        self._let_go(min(self._passed.values()))

    def ended(self, clients: Iterable[str]) -> None:
        """These clients send nothing more, so nobody needs to wait for them."""
        for client in clients:
            self._passed[client] = _NEVER
        self._let_go(min(self._passed.values()))

    def _let_go(self, until: datetime) -> None:
        while self._waiting and self._waiting[0][0] <= until:
            self._journal.append(heapq.heappop(self._waiting)[2])


_NEVER: Final = datetime.max.replace(tzinfo=UTC)
