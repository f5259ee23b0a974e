"""The proof on what threads really did: at the embedded endpoint, without its lock, and at a store that checks first.

Nothing sleeps. Barriers let all clients begin at once, and hold the mutant store between its check and its write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from workbench import Client, Connection, Endpoint, Journal, Verdict, history
from workbench.clock import wall_clock
from workbench.endpoint.application import Application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.policy import SPINE
from workbench.endpoint.store import MEMORY, Store, Stored
from workbench.history.violations import Flaw

A_LIST = {"resourceType": "List", "status": "current", "mode": "working", "title": "Adjustments"}
WAIT = 60.0


def adds(resource: dict[str, Any], what: str) -> dict[str, Any]:
    entry = {"item": {"reference": f"Condition/{what}"}}
    return {**resource, "entry": [*resource.get("entry", []), entry]}


def all_at_once(works: Sequence[Callable[[], None]]) -> None:
    """Run each in a thread of its own; raises what any of them raised."""
    raised: list[BaseException] = []
    line = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            line.wait(WAIT)
            work()
        except BaseException as error:  # noqa: BLE001  # the test is to see it
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


def reader_and_writer(client: Client, logical_id: str, updates: int, *, lock: bool) -> Callable[[], None]:
    def work() -> None:
        for number in range(updates):
            read = client.read("List", logical_id)
            options: dict[str, Any] = {} if lock else {"if_match": None}
            client.update(adds(read.resource, f"{client.name}-{number}"), **options)

    return work


def test_threads_at_a_spine_give_a_consistent_history(spine: Endpoint) -> None:
    journal = Journal()
    # The shared endpoint's own clients have a lesson's clock; these have the wall's.
    clients = [Client(spine.base_url, name=f"client {number}", journal=journal) for number in range(6)]
    ids = [clients[0].create(A_LIST).logical_id for _ in range(2)]
    all_at_once([reader_and_writer(client, ids[n % 2], 12, lock=True) for n, client in enumerate(clients)])
    proof = history(journal).check()
    assert proof.sound, proof.explain()
    assert (proof.exchanges, proof.resources) == (6 * 24 + 2, 2)


def test_threads_in_process_give_a_consistent_history() -> None:
    with Endpoint.in_process() as timed, Endpoint.in_process(clock="2018-05-25T16:10:00Z") as untimed:
        for endpoint in (timed, untimed):
            logical_id = endpoint.client("first").create(A_LIST).logical_id
            works = [reader_and_writer(endpoint.client(name), logical_id, 15, lock=True) for name in "abcd"]
            all_at_once(works)
            proof = history(endpoint.journal).check()
            assert proof.sound, proof.explain()
            assert {each.verdict for each in endpoint.journal} <= {
                *(Verdict.CREATED, Verdict.READ, Verdict.UPDATED, Verdict.STALE)
            }


@pytest.mark.parametrize("lock", [True, False], ids=["If-Match sent", "no If-Match"])
def test_the_check_finds_a_missing_lock(lock: bool) -> None:
    """Two read, then both write: whichever comes second, the other's entry is gone, and the proof names it."""
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        logical_id = endpoint.client("first").create(A_LIST).logical_id
        have_read = threading.Barrier(2)

        def work(client: Client) -> Callable[[], None]:
            def run() -> None:
                read = client.read("List", logical_id)
                have_read.wait(WAIT)
                client.update(adds(read.resource, client.name), if_match=read.etag if lock else None)

            return run

        all_at_once([work(endpoint.client(name)) for name in ("alice", "bob")])
        stored = endpoint.client("last").read("List", logical_id).resource
    proof = history(endpoint.journal).check()
    assert proof.violations[0].flaw is (Flaw.FORK if lock else Flaw.OVERWRITTEN)
    assert all(endpoint.journal[seq - 1].verdict is Verdict.UPDATED for seq in proof.witness)
    (kept,) = (entry["item"]["reference"] for entry in stored["entry"])
    (loss,) = proof.losses
    assert {f"Condition/{loss.client}", kept} == {"Condition/alice", "Condition/bob"}
    assert [element.mine["item"]["reference"] for element in loss.elements] == [f"Condition/{loss.client}"]


class ChecksThenActs(Store):
    """A store with the bug that this project is about: it looks first, and writes what it has decided afterwards."""

    def __init__(self) -> None:
        super().__init__(MEMORY, seed="mutant")
        self.looked: threading.Barrier | None = None

    def swap(self, resource_type: str, logical_id: str, expected: str, new: Stored) -> bool:
        found = self.read(resource_type, logical_id)
        if found is None or found.version_id != expected:
            return False
        if self.looked is not None:
            self.looked.wait(WAIT)
        super().swap(resource_type, logical_id, expected, new)
        return True


@pytest.fixture
def mutant() -> Iterator[tuple[ChecksThenActs, Callable[[str], Client], Journal]]:
    store, journal = ChecksThenActs(), Journal()
    ids = iter(f"list-{number}" for number in range(100))
    application = Application(
        store,
        base_url=BASE_URL,
        policy=SPINE,
        clock=wall_clock,
        new_id=lambda: next(ids),
        new_outcome_id=lambda: "outcome",
    )
    connection = Connection(adapter=InProcessAdapter(application), allow_writes=True)
    yield store, lambda name: Client(BASE_URL, name=name, journal=journal, connection=connection), journal
    application.close()


def test_the_check_finds_a_store_that_compares_before_it_locks(
    mutant: tuple[ChecksThenActs, Callable[[str], Client], Journal],
) -> None:
    store, client, journal = mutant
    logical_id = client("first").create(A_LIST).logical_id
    alice, bob = client("alice"), client("bob")
    drafts = [(each, adds(each.read("List", logical_id).resource, each.name)) for each in (alice, bob)]
    assert history(journal).check().sound, "one after the other it looks right"

    store.looked = threading.Barrier(2)
    all_at_once([lambda each=each, draft=draft: each.update(draft) for each, draft in drafts])
    proof = history(journal).check()
    assert (proof.violations[0].flaw, len(proof.witness)) == (Flaw.FORK, 2)
    assert {journal[seq - 1].client for seq in proof.witness} == {"alice", "bob"}
    assert [loss.client in ("alice", "bob") for loss in proof.losses] == [True]
