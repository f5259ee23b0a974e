"""Play a schedule: which client reads, edits and puts in which order, and which updates are lost.

A schedule is a list of ``(client, step)``, or the same in words: ``"alice reads, bob reads, alice puts, bob puts"``.
Each step ends before the next one begins. So a schedule gives the same result every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from workbench.client.client import Client
from workbench.errors import BadInput, needs
from workbench.exchange.message import Exchange
from workbench.exchange.text import reason
from workbench.exchange.verdict import TONES, Verdict
from workbench.fhir import markup
from workbench.fhir.resource import without_version
from workbench.history.check import Proof, history
from workbench.history.losses import Loss

if TYPE_CHECKING:
    import pandas as pd

    from workbench.endpoint.endpoint import Endpoint

STEPS: Final = ("reads", "edits", "puts")

NEEDS: Final = {
    "alice": "Needs a hearing loop",
    "bob": "Needs information in easy read",
    "carol": "Needs a double appointment",
}
"""The entry that each practitioner adds to the patient's reasonable adjustments."""

ClientStep = tuple[str, str]
ClientEdit = Callable[[dict[str, Any], str], dict[str, Any]]


def read_schedule(
    schedule: str | Iterable[ClientStep], clients: Sequence[str] = tuple(NEEDS)
) -> tuple[ClientStep, ...]:
    """Return a schedule as steps. Raises ``BadInput`` that names the first unknown client or step.

    >>> read_schedule("alice reads, alice puts")
    (('alice', 'reads'), ('alice', 'puts'))
    """
    if isinstance(schedule, str):
        parts = [part.strip().partition(" ") for part in schedule.replace("\n", ",").split(",") if part.strip()]
        schedule = [(client, step.strip()) for client, _, step in parts]
    steps = tuple((client, step) for client, step in schedule)
    for number, (client, step) in enumerate(steps, 1):
        if client not in clients:
            raise BadInput(f"Step {number} names {client!r}; the clients are {', '.join(clients)}.")
        if step not in STEPS:
            raise BadInput(f"Step {number} says that {client} {step!r}; a client {', '.join(STEPS)}.")
    return steps


def adds_need(resource: dict[str, Any], client: str) -> dict[str, Any]:
    """Return the List with the entry of this practitioner, unless it has it already."""
    need = NEEDS.get(client, f"Added by {client}")
    entries = resource.get("entry", [])
    if any(entry.get("item", {}).get("display") == need for entry in entries):
        return resource
    return {**resource, "entry": [*entries, {"item": {"reference": f"Condition/of-{client}", "display": need}}]}


@dataclass(slots=True)
class Participant:
    """One client in a schedule: its last read, its draft, and its last put."""

    client: Client
    target: tuple[str, str]
    edit: ClientEdit = adds_need
    read: Exchange | None = None
    draft: dict[str, Any] | None = None
    put: Exchange | None = None

    def take(self, step: str) -> Exchange | None:
        """Take one step and return its exchange; ``None`` for an edit. Raises ``BadInput`` for a put before a read."""
        if step == "reads":
            self.read, self.draft, self.put = self.client.read(*self.target), None, None
            return self.read
        if self.read is None or not isinstance(self.read.resource, dict):
            who = self.client.name.capitalize()
            raise BadInput(f"{who} {step} before having read {'/'.join(self.target)}. Let {who} read first.")
        if step == "edits" or self.draft is None:
            self.draft = self.edit(without_version(self.read.resource), self.client.name)
        if step == "edits":
            return None
        self.put = self.client.update(self.draft, if_match=self.read.etag)
        return self.put

    def allows(self, step: str) -> bool:
        """Whether the step can be taken now."""
        return step == "reads" or self.read is not None


@dataclass(slots=True)
class Play:
    """A schedule that is being played: the steps taken, and the resource as it is stored."""

    endpoint: Endpoint
    target: tuple[str, str]
    edit: ClientEdit = adds_need
    participants: dict[str, Participant] = field(default_factory=dict)
    taken: list[tuple[ClientStep, Exchange | None]] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    _proof: tuple[int, Proof] | None = None

    def take(self, client: str, step: str) -> Exchange | None:
        """Take one more step and return its exchange; ``None`` for an edit."""
        participant = self.participants.get(client)
        if participant is None:
            participant = Participant(self.endpoint.client(client), self.target, self.edit)
        exchange = participant.take(step)
        self.participants[client] = participant
        self.taken.append(((client, step), exchange))
        if exchange is not None and exchange.verdict is Verdict.UPDATED and participant.draft is not None:
            self.stored = participant.draft
        return exchange

    @property
    def proof(self) -> Proof:
        """The check of all exchanges about this resource: could a correct endpoint have given these answers?"""
        journal = self.endpoint.journal
        if self._proof is None or self._proof[0] != len(journal):
            self._proof = (len(journal), history(journal, in_turn=True).check("/".join(self.target)))
        return self._proof[1]

    @property
    def losses(self) -> list[Loss]:
        """The updates that were accepted and then overwritten by a client that had not seen them."""
        return list(self.proof.losses)

    @property
    def steps(self) -> tuple[ClientStep, ...]:
        """The steps taken."""
        return tuple(step for step, _ in self.taken)

    @property
    def statuses(self) -> tuple[int | None, ...]:
        """The status of each put, in order."""
        return tuple(exchange.status for (_, step), exchange in self.taken if step == "puts" and exchange is not None)

    @property
    def versions(self) -> dict[str, str]:
        """A short name for each version that the steps have shown, by its ETag: ``v1``, then ``v2`` and so on."""
        etags = [str(exchange.etag) for _, exchange in self.taken if exchange and exchange.ok and exchange.etag]
        return {etag: f"v{number}" for number, etag in enumerate(dict.fromkeys(etags), 1)}

    def caption(self, number: int) -> str:
        """Say what one step did, counted from 1: what was sent, which version the server had, what it answered.

        >>> from workbench import Endpoint
        >>> played = play("alice reads, bob reads, alice puts, bob puts", Endpoint.in_process())
        >>> played.caption(4)
        'Bob sends If-Match: v1. The server has v2. 409 Conflict: nothing is stored.'
        """
        (client, step), exchange = self.taken[number - 1]
        names, who = self.versions, client.capitalize()
        earlier = [made for _, made in self.taken[: number - 1] if made and made.ok and made.etag]
        if exchange is None:
            base = next(made for made in reversed(earlier) if made.client == client)
            return f"{who} edits a copy of {names[str(base.etag)]}. Nothing is sent."

        answer = "no answer" if exchange.status is None else f"{exchange.status} {reason(exchange.status)}"
        if step == "reads":
            return f"{who} reads. {answer}: {who} has {names.get(str(exchange.etag), 'no version')}."
        sent = names.get(str(exchange.if_match), "a version that no step has shown")
        current = names[str(earlier[-1].etag)] if earlier else "a version that no step has shown"
        result = "nothing is stored."
        if exchange.verdict is Verdict.UPDATED:
            result = f"{names[str(exchange.etag)]} is stored."
            if self.overwrites(number):
                result = f"{names[str(exchange.etag)]} replaces {current}, which {who} has not read."
        return f"{who} sends If-Match: {sent}. The server has {current}. {answer}: {result}"

    def overwrites(self, number: int) -> bool:
        """Whether a step, counted from 1, was accepted although its client had not read the version it replaced."""
        exchange = self.taken[number - 1][1]
        earlier = [made for _, made in self.taken[: number - 1] if made and made.ok and made.etag]
        if exchange is None or exchange.verdict is not Verdict.UPDATED or not earlier:
            return False
        return str(exchange.if_match) != str(earlier[-1].etag)

    def _repr_html_(self) -> str:
        """Return one row per step, and whose update was lost."""
        rows = []
        for number, ((client, step), exchange) in enumerate(self.taken, 1):
            verdict = markup.chip(exchange.verdict.value, TONES[exchange.verdict]) if exchange else ""
            rows.append((number, f"{client} {step}", self.caption(number), verdict))
        table = markup.table(("step", "who does what", "what happened", "verdict"), rows)
        lost = " and ".join(f"{loss.client.capitalize()}'s" for loss in self.losses)
        summary = f"{lost} update was accepted and then overwritten." if lost else "No accepted update is lost."
        return markup.block("bad" if lost else "good", table, summary)

    def to_frame(self) -> pd.DataFrame:
        """One row per step: client, step, status, ETag and verdict."""
        with needs("tables"):
            import pandas as pd

        rows = [
            {
                "step": number,
                "client": client,
                "does": step,
                "status": exchange and exchange.status,
                "etag": exchange and str(exchange.etag or ""),
                "verdict": exchange.verdict.value if exchange else None,
            }
            for number, ((client, step), exchange) in enumerate(self.taken, 1)
        ]
        frame = pd.DataFrame(rows, columns=["step", "client", "does", "status", "etag", "verdict"])
        return frame.astype({"status": "Int64"})


def play(
    schedule: str | Iterable[ClientStep],
    endpoint: Endpoint,
    *,
    target: tuple[str, str] | None = None,
    edit: ClientEdit = adds_need,
    clients: Sequence[str] = tuple(NEEDS),
) -> Play:
    """Play a schedule at an endpoint, on ``target`` (type and id) or on a new List.

    Raises ``BadInput`` for an unknown client or step before anything is sent, and for a put before a read.
    """
    steps = read_schedule(schedule, clients)
    played = Play(endpoint, target or new_story(endpoint), edit)
    for client, step in steps:
        played.take(client, step)
    return played


def new_story(endpoint: Endpoint) -> tuple[str, str]:
    """Create a List of reasonable adjustments for one play, and return its type and id."""
    return new_list(endpoint.client("story"))


def new_list(client: Client) -> tuple[str, str]:
    """Create a List of reasonable adjustments, and return its type and id."""
    made = client.create(
        {
            "resourceType": "List",
            "status": "current",
            "mode": "working",
            "title": "Reasonable adjustments",
            "subject": {"reference": "https://demographics.spineservices.nhs.uk/STU3/Patient/9990000018"},
            "entry": [{"item": {"reference": "Condition/of-the-patient", "display": "Uses a wheelchair"}}],
        }
    )
    made.raise_for_verdict(Verdict.CREATED)
    return made.resource_type, made.logical_id


def interleavings(
    clients: Sequence[str] = ("alice", "bob"), steps: Sequence[str] = ("reads", "puts")
) -> Iterator[tuple[ClientStep, ...]]:
    """Yield every order in which the clients can take their steps: 6 for two clients, 90 for three.

    >>> sum(1 for _ in interleavings(["alice", "bob"])), sum(1 for _ in interleavings(["alice", "bob", "carol"]))
    (6, 90)
    """

    def orders(left: dict[str, tuple[str, ...]]) -> Iterator[tuple[ClientStep, ...]]:
        if not any(left.values()):
            yield ()
        for client, steps_left in left.items():
            if steps_left:
                for rest in orders({**left, client: steps_left[1:]}):
                    yield ((client, steps_left[0]), *rest)

    yield from orders({client: tuple(steps) for client in clients})


def play_all(endpoint: Endpoint, clients: Sequence[str] = ("alice", "bob")) -> pd.DataFrame:
    """Play every interleaving of the clients on a new List. One row each: its statuses, and whose update was lost."""
    with needs("tables"):
        import pandas as pd

    rows = []
    for schedule in interleavings(clients):
        played = play(schedule, endpoint, clients=clients)
        words = ", ".join(f"{client} {step}" for client, step in schedule)
        rows.append((words, " ".join(map(str, played.statuses)), ", ".join(loss.client for loss in played.losses)))
    return pd.DataFrame(rows, columns=["schedule", "statuses", "lost"])
