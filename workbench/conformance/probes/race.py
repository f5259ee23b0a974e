"""The probe of a real race: many clients, one version, one moment (UPD-13)."""

from __future__ import annotations

import threading
from typing import Final

from workbench.client.client import Client
from workbench.conformance.answers import tag_value, told
from workbench.conformance.probe import Deviation, probe
from workbench.conformance.trial import Held, Trial
from workbench.exchange.message import Exchange
from workbench.fhir import json

CLIENTS: Final = 8
ROUNDS: Final = 3
_WAIT_SECONDS: Final = 30.0
"""After which a barrier breaks: a client that got no connection must not hold the others."""

RACER: Final = "check, racer"
"""How the racing clients and their threads are named; a number follows."""


@probe(
    "UPD-13",
    "race",
    f"of {CLIENTS} clients one is answered 200 and the others 409, in each of {ROUNDS} rounds; the one's version stays",
    alone=True,
)
def race(trial: Trial) -> None:
    """All read, wait for one another, and send their update at the same moment."""
    held = trial.resource()
    clients = [trial.client.sibling(f"{RACER} {number}", journal=trial.journal) for number in range(CLIENTS)]
    try:
        for client in clients:
            trial.site.check_not_stopped()
            client.send("GET", held.path)  # so that each has its connection before the start
        for number in range(ROUNDS):
            trial.site.check_not_stopped()
            held = _round(trial, held, clients, number * CLIENTS)
    finally:
        for client in clients:
            client.close()


def _round(trial: Trial, held: Held, clients: list[Client], first: int) -> Held:
    answers = _all_at_once(trial, held, clients, first)
    statuses = sorted(answer.status or 0 for answer in answers)
    shown = ", ".join(f"{statuses.count(status)} × {status or 'no answer'}" for status in dict.fromkeys(statuses))
    winners = [answer for answer in answers if answer.status == 200]
    trial.expect(len(winners) < 2, f"{shown}: {len(winners)} were told that their update was accepted", "several won")
    trial.expect(len(winners) == 1, f"{shown}: nobody's update was accepted", "nobody won")
    lost = {answer.status for answer in answers} - {200}
    if lost != {409}:
        others = next(answer for answer in answers if answer.status in lost - {409})
        raise Deviation(f"{shown} ({told(others)})", str(others.status))
    after = trial.look(held.path)
    named = tag_value(str(winners[0].etag) if winners[0].etag else None)
    trial.expect(
        not named or named == after.version_id, f"{shown}, but the one's version is not stored", "the winner lost"
    )
    return Held(held.path, after.read, held.content)


def _all_at_once(trial: Trial, held: Held, clients: list[Client], first: int) -> list[Exchange]:
    """Each client's answer to the update that all send at once, each with content that nobody sent before."""
    start = threading.Barrier(len(clients))
    answers: list[Exchange] = []

    def run(number: int, client: Client) -> None:
        body = json.dumps(held.with_changes(first + number))
        start.wait(_WAIT_SECONDS)
        with trial.site.under_way("PUT", held.path):
            answers.append(client.send("PUT", held.path, headers={"If-Match": held.tag}, body=body))

    threads = [
        threading.Thread(target=run, args=(number, client), name=client.name, daemon=True)
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
