"""No misjudged outcome: updates that meet faults, rivals in between, and every resolution held against the store.

Who wrote what is noted at the store itself, by the one statement that changes a version. The order of events is drawn
from a seed. Alice and Bob share a journal; Carol writes, too, and no journal that Alice has knows of her. Texts are
few, so that the same one is often sent by two. Requests are also held back on the way, and arrive when all is over.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from workbench import Client, Connection, Endpoint, Exchange, Journal, Landing, Resolution, history
from workbench.exchange.verdict import left_open
from workbench.fhir import json

SOAK = 10_000
PER_STORY = 8
TITLES = ("a", "b", "c")
NEVER_SEEN_BY_ALICE = "carol"


@dataclass
class Swap:
    """A version that the store took: which, in place of which, what text, and by which sending."""

    version: str
    expected: str
    title: str
    sending: int


@dataclass
class Wire(BaseAdapter):
    """What stands between the clients and the endpoint: it numbers each sending, and can hold one back."""

    endpoint: Endpoint
    number: int = 0
    now: int = 0
    hold: bool = False
    held: list[tuple[int, requests.PreparedRequest]] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest, *_given: object, **_named: object) -> requests.Response:
        """Pass it on under its own number, or keep it."""
        self.number += 1
        if self.hold and request.method == "PUT":
            self.hold = False
            self.held.append((self.number, request))
            raise requests.ConnectionError("held back")
        return self._deliver(self.number, request)

    def _deliver(self, number: int, request: requests.PreparedRequest) -> requests.Response:
        self.now = number
        answer: requests.Response = self.endpoint._serving.send(request)  # type: ignore[attr-defined]
        return answer

    def arrive(self) -> None:
        """Let everything that was held back arrive, the latest first."""
        while self.held:
            number, request = self.held.pop()
            try:
                self._deliver(number, request)
            except requests.ConnectionError:
                continue  # its answer met a fault; no client waits for it any more

    def close(self) -> None:
        """Nothing to close."""


class Story:
    """Some updates of one new resource, and any events in between."""

    def __init__(self, endpoint: Endpoint, wire: Wire, swaps: list[Swap], chance: random.Random, timed: bool) -> None:
        self.endpoint, self.wire, self.swaps, self.chance = endpoint, wire, swaps, chance
        self.journal, self.outside = Journal(), Journal()
        self.clients = {
            name: Client(
                endpoint.base_url,
                name=name,
                journal=self.outside if name == NEVER_SEEN_BY_ALICE else self.journal,
                connection=Connection(adapter=wire, allow_writes=True),
                clock=endpoint._clock,
                timed=timed,
            )
            for name in ("alice", "bob", NEVER_SEEN_BY_ALICE)
        }
        endpoint.set_faults()
        made = self.clients["alice"].create({"resourceType": "List", "status": "current", "mode": "working"})
        self.name = made.logical_id
        self.swaps.clear()
        self.tries: list[tuple[int, Exchange]] = []
        self.resolved: list[tuple[int, Exchange, Resolution]] = []
        self.counts: Counter[str] = Counter()

    def faults(self, *kinds: str) -> None:
        """Maybe let the next update meet one of these."""
        self.endpoint.set_faults(*([f"{self.chance.choice(kinds)}:update:times=1"] if kinds else []))

    def write(self, who: str, *, locked: bool = True) -> None:
        """Read, change the title, send; now and then from a version read long ago."""
        client = self.clients[who]
        if self.chance.random() < 0.8 or client.last_seen("List", self.name) is None:
            client.read("List", self.name)
        draft = {"resourceType": "List", "id": self.name, "status": "current", "mode": "working"}
        draft["title"] = self.chance.choice(TITLES)
        put = client.update(draft, **({} if locked else {"if_match": None}))
        self.tries.append((self.wire.number, put))

    def rivals(self) -> None:
        """Bob and Carol do something, or nothing; their lines break, too."""
        while self.chance.random() < 0.3:
            self.faults(*(["drop-request", "drop-answer"] if self.chance.random() < 0.2 else []))
            self.write(self.chance.choice(["bob", NEVER_SEEN_BY_ALICE]), locked=self.chance.random() < 0.9)

    def run(self) -> None:
        """All of it, and the judgement of all of it."""
        for _ in range(PER_STORY):
            self.rivals()
            self.faults("drop-request", "drop-answer", "cut-body", "refuse")
            self.wire.hold = self.chance.random() < 0.2
            self.write("alice", locked=self.chance.random() < 0.9)
            self.wire.hold = False
            self.rivals()
            if self.chance.random() < 0.3:
                self.resend()
            if self.chance.random() < 0.1:
                self.wire.arrive()
            self.resolve()
        self.endpoint.set_faults()
        self.wire.arrive()
        self.resolve()
        self.in_the_end()

    def resend(self) -> None:
        """Alice sends her last update again, as it was."""
        last = [put for _, put in self.tries if put.client == "alice"][-1]
        self.faults(*(["drop-request", "drop-answer"] if self.chance.random() < 0.5 else []))
        again = self.clients["alice"].update(last.request.body, if_match=last.if_match)
        self.tries.append((self.wire.number, again))

    def resolve(self) -> None:
        """Find out about some of what Alice does not know, and judge what is said at once."""
        self.endpoint.set_faults(*(["drop-answer:read:times=1"] if self.chance.random() < 0.1 else []))
        mine = [(sending, put) for sending, put in self.tries if put.client == "alice"]
        for sending, put in reversed(mine):
            if left_open(put) and (put is mine[-1][1] or self.chance.random() < 0.15):
                found = self.clients["alice"].resolve(put)
                self.judge(sending, put, found)
                self.resolved.append((sending, put, found))

    def landed(self, sending: int) -> bool:
        return any(swap.sending == sending for swap in self.swaps)

    def judge(self, sending: int, put: Exchange, found: Resolution) -> None:
        """Hold one resolution against the truth as it is now."""
        self.counts[found.outcome.value] += 1
        done = self.landed(sending)
        if found.outcome in (Landing.NOT_SO_FAR, Landing.DID_NOT_LAND):
            assert not done, found
        elif found.outcome is Landing.LANDED and not done:
            self.same_text(put, found)

    def same_text(self, put: Exchange, found: Resolution) -> None:
        """*Landed* says that what was sent was stored: by this sending, by the same sent again, or by an outsider.

        The outsider's text is word for word the same, in a version later than the one that was named.
        """
        senders = dict(self.tries)
        title = json.parse(put.request.body)["title"]
        stored = [senders[swap.sending] for swap in self.swaps if swap.title == title]
        again = [each for each in stored if (each.client, each.if_match) == ("alice", put.if_match)]
        outsiders = [each for each in stored if each.client == NEVER_SEEN_BY_ALICE]
        assert again or outsiders, found
        self.counts["landed, by the same sent again" if again else "landed, as an outsider's"] += 1

    def in_the_end(self) -> None:
        """What was said not to have landed for good has not, also not late; and the endpoint was sound."""
        for sending, _, found in self.resolved:
            if found.outcome is Landing.DID_NOT_LAND:
                assert not self.landed(sending), found
            elif found.outcome is Landing.NOT_SO_FAR and self.landed(sending):
                self.counts["landed after it had not so far"] += 1


def noted(endpoint: Endpoint, wire: Wire) -> list[Swap]:
    """Every version that the store takes from now on, in order."""
    taken: list[Swap] = []
    store: Any = endpoint._serving._application._store  # type: ignore[attr-defined]
    swap = store.swap

    def watched(kind: str, logical_id: str, expected: str, new: Any) -> bool:
        done: bool = swap(kind, logical_id, expected, new)
        if done:
            taken.append(Swap(new.version_id, expected, json.parse(new.body)["title"], wire.now))
        return done

    store.swap = watched
    return taken


def stories(policy: str, updates: int, *, timed: bool) -> Counter[str]:
    """So many updates of Alice's, in stories of a few, each with the proof at its end."""
    counts: Counter[str] = Counter()
    clock = None if timed else "2018-05-25T16:10:00Z"
    with Endpoint.in_process(policy=policy, seed=1, clock=clock) as endpoint:
        wire = Wire(endpoint)
        taken, chance = noted(endpoint, wire), random.Random(f"{policy} {timed}")
        for _ in range(updates // PER_STORY):
            story = Story(endpoint, wire, taken, chance, timed)
            story.run()
            counts += story.counts
            exchanges = sorted([*story.journal, *story.outside], key=lambda each: each.sent_at)
            proof = history(exchanges, in_turn=True).check()
            counts["unsound" if proof.violations else "sound"] += 1
    return counts


def check(policy: str, counts: Counter[str]) -> None:
    print(policy, dict(counts))
    assert all(counts[outcome.value] > 0 for outcome in (Landing.LANDED, Landing.NOT_SO_FAR, Landing.CANNOT_BE_KNOWN))
    if policy in ("SPINE", "R4"):
        assert counts["unsound"] == 0
    if policy == "UNPROTECTED":
        assert counts["unsound"] > 0, "the proof can tell"
    assert (counts["did not land"] > 0) is (policy != "UNPROTECTED")
    assert counts["landed after it had not so far"] > 0, "the hazard that so far is there for"
    assert counts["landed, as an outsider's"] > 0, "the one thing that a text cannot tell"


RUNS = [
    # policy, Alice's updates, whether exchanges say how long they took
    ("SPINE", 400, True),
    ("SPINE", 200, False),
    ("R4", 100, True),
    ("OPTIONAL", 200, True),
    ("UNPROTECTED", 100, True),
]


@pytest.mark.parametrize(("policy", "updates", "timed"), RUNS)
def test_no_misjudged_outcome(policy: str, updates: int, timed: bool) -> None:
    check(policy, stories(policy, updates, timed=timed))


def alone(updates: int) -> Counter[str]:
    """So many updates of the only writer, each with its own text; each outcome is what happened."""
    counts: Counter[str] = Counter()
    faults = [f"{kind}:update:share=0.3" for kind in ("drop-request", "drop-answer", "refuse", "cut-body")]
    with Endpoint.in_process(seed=2) as endpoint:
        taken = noted(endpoint, Wire(endpoint))
        for number in range(updates):
            if number % 50 == 0:
                endpoint.set_faults()
                alice = endpoint.client("alice", journal=Journal())
                draft = alice.create({"resourceType": "List", "status": "current", "mode": "working"})
                name = draft.logical_id
                endpoint.set_faults(*faults)
            content = {"resourceType": "List", "id": name, "status": "current", "mode": "working"}
            before = len(taken)
            put = alice.update(content | {"title": str(number)})
            if left_open(put):
                found = alice.resolve(put).outcome
                assert found is (Landing.LANDED if len(taken) > before else Landing.NOT_SO_FAR)
                counts[found.value] += 1
            if number % 50 == 49:
                assert history(alice.journal).check().sound
    return counts


@pytest.mark.parametrize("updates", [300, pytest.param(SOAK, marks=pytest.mark.soak)])
def test_the_only_writer_is_always_gets_an_outcome(updates: int) -> None:
    counts = alone(updates)
    assert counts["landed"] > updates / 10
    assert counts["not landed so far"] > updates / 10


@pytest.mark.soak
@pytest.mark.parametrize("timed", [True, False], ids=["timed", "in a lesson"])
@pytest.mark.parametrize("policy", ["SPINE", "R4", "OPTIONAL", "UNPROTECTED"])
def test_no_misjudged_outcome_in_ten_thousand(policy: str, timed: bool) -> None:
    check(policy, stories(policy, SOAK, timed=timed))
