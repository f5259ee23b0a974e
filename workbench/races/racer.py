"""What one client of a race does: read, edit, put, and go on by its strategy; turn after turn.

Owns: a turn (one update, however often it was sent), and a leg: some turns of some clients, as plain values, so
that any process on any machine can run it and give back what happened. Must not know how many others race.

An update adds an entry that names its client and its number, so that it can be recognised afterwards.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Any, Final, NamedTuple

from workbench.client.client import LAST_READ, Client
from workbench.client.connection import Connection
from workbench.client.threads import DaemonThreads, as_ended
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.journal.journal import Journal
from workbench.races.strategy import Resource, Strategy

Target = tuple[str, str]

MARKS: Final = "urn:spine-workbench:race:"
"""Begins the ``identifier.system`` of every entry that a race adds; the race's tag follows."""

GRACE_SECONDS: Final = 0.6
"""How long an exchange may go on once the race is stopped."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What every client of a race is told. ``thinking``: seconds that an edit takes, on average."""

    targets: tuple[Target, ...]
    strategy: Strategy
    tag: str
    seed: int | str = 0
    thinking: float = 0.0


class Turn(NamedTuple):
    """One update of one client: what became of it, how often it was sent, and how many exchanges it took."""

    client: str
    number: int
    target: str
    verdict: Verdict
    tries: int
    exchanges: int
    seconds: float

    @property
    def mark(self) -> str:
        """What its entry says, if it is there."""
        return mark(self.client, self.number)


@dataclass(frozen=True, slots=True)
class Leg:
    """Some turns of some clients: the updates numbered ``first`` to ``last``, both included."""

    base_url: str
    connection: Connection
    plan: Plan
    clients: tuple[str, ...]
    first: int
    last: int


def mark(client: str, number: int) -> str:
    """How an update is named: ``client-03/17``."""
    return f"{client}/{number}"


def tag_of(name: str) -> str:
    """A short name for a race, so that two races on one List can be told apart."""
    return hashlib.blake2s(name.encode(), digest_size=4).hexdigest()


def marked(resource: Resource, plan: Plan, client: str, number: int) -> Resource:
    """The resource with this update's entry at the end of its ``entry``."""
    item = {
        "reference": f"Condition/{plan.tag}.{client}.{number}",
        "identifier": {"system": MARKS + plan.tag, "value": mark(client, number)},
        "display": f"Update {number} of {client}",
    }
    return {**resource, "entry": [*resource.get("entry", []), {"item": item}]}


def marks_in(resource: Any, tag: str) -> list[str]:
    """The marks of the race ``tag`` that a resource holds, in order."""
    entries = _member(resource, "entry")
    named = [_member(_member(entry, "item"), "identifier") for entry in entries]
    return [str(_member(each, "value")) for each in named if _member(each, "system") == MARKS + tag]


def _member(value: Any, name: str) -> Any:
    """A member of an object; nothing where there is none, for a resource may be anybody's."""
    return value.get(name, ()) if isinstance(value, dict) else ()


_process_stop: Event | None = None


def stop_with(stop: Event) -> None:
    """Let every leg that this process runs end once ``stop`` is set."""
    global _process_stop  # an executor gives its processes nothing else to share
    _process_stop = stop


def run_leg(leg: Leg) -> tuple[list[Exchange], list[Turn]]:
    """Run a leg wherever this is: plain values in, what happened out. Only a stop is shared, if there is one."""
    journal, turns = Journal(redact=False), list[Turn]()
    run_here(leg, journal, _process_stop or Event(), turns.append)
    return list(journal), turns


def run_here(leg: Leg, journal: Journal, stop: Event, told: Callable[[Turn], object]) -> None:
    """Run a leg in this process, each of its clients in a thread, into a journal that others may share.

    ``told`` hears of each turn, in the thread of its client. ``stop`` ends it after the exchanges in flight. One
    that is not over after ``GRACE_SECONDS`` is aborted, and so recorded as not answered.
    """
    clients = [Client(leg.base_url, name=name, journal=journal, connection=leg.connection) for name in leg.clients]
    with DaemonThreads(len(clients), "race") as threads:
        runs = [threads.submit(_run_client, leg, client, stop, told) for client in clients]
        for run in as_ended(runs, stop=stop):
            if run.exception() is not None:
                stop.set()
        finish(runs, clients)
    for run in runs:
        if run.done():
            run.result()


def finish(runs: Collection[Future[Any]], clients: Iterable[Client]) -> None:
    """Wait a moment for these to end; then abort what their clients have under way, and wait once more."""
    for _ in as_ended(runs, GRACE_SECONDS):
        pass
    if all(run.done() for run in runs):
        return
    for client in clients:
        client.abort()
    for _ in as_ended(runs, GRACE_SECONDS):
        pass


def _run_client(leg: Leg, client: Client, stop: Event, told: Callable[[Turn], object]) -> None:
    try:
        for number in range(leg.first, leg.last + 1):
            if stop.is_set():
                return
            told(take_turn(client, number, leg.plan, stop))
    finally:
        client.close()


def take_turn(client: Client, number: int, plan: Plan, stop: Event) -> Turn:
    """One update: read, edit, put; and while it is stale and the strategy knows how, again."""
    chance = random.Random(f"{plan.seed} {client.name} {number}")  # noqa: S311  # the same every time is what a seed is for
    target = chance.choice(plan.targets)
    edit = partial(marked, plan=plan, client=client.name, number=number)
    started, strategy = time.perf_counter(), plan.strategy
    read, exchanges, tries = client.read(*target), 1, 0
    verdict, base = read.verdict, _readable(read)
    draft = None if base is None else _thought(base, edit, plan, chance, stop)
    while draft is not None and not stop.is_set():
        put = client.update(draft, if_match=LAST_READ if strategy.guarded else None)
        verdict, exchanges, tries = put.verdict, exchanges + 1, tries + 1
        if verdict is not Verdict.STALE or strategy.remake is None or tries >= strategy.tries:
            break
        _pause(strategy.wait(tries, chance), stop)
        if stop.is_set():
            break
        read, exchanges = client.read(*target), exchanges + 1
        theirs = _readable(read)
        if theirs is None or base is None:
            break
        again = partial(_thought, edit=edit, plan=plan, chance=chance, stop=stop) if strategy.edits_again else edit
        base, draft = theirs, strategy.remake(base, draft, theirs, again)
    return Turn(client.name, number, "/".join(target), verdict, tries, exchanges, time.perf_counter() - started)


def _readable(read: Exchange) -> Resource | None:
    found = read.resource if read.verdict is Verdict.READ else None
    return found if isinstance(found, dict) else None


def _thought(
    resource: Resource, edit: Callable[[Resource], Resource], plan: Plan, chance: random.Random, stop: Event
) -> Resource:
    """The edit, and the time it takes."""
    _pause(plan.thinking * chance.uniform(0.5, 1.5), stop)
    return edit(resource)


def _pause(seconds: float, stop: Event) -> None:
    if seconds > 0:
        stop.wait(seconds)
