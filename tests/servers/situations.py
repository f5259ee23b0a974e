"""What each server is asked: one request a situation, sent by the package's own client, each about a Flag of its own.

Owns: the requests, and how an answer is written down. Must not know any server.
"""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from workbench import Client, Exchange, Verdict

FLAG = {
    "resourceType": "Flag",
    "status": "active",
    "code": {"text": "Hard of hearing"},
    "subject": {"display": "A patient who does not exist"},
}

SAYING_WHERE = ("ETag", "Last-Modified", "Location", "Content-Location")
"""The header fields that may say which version is stored now, since when, and where."""

NOBODY = "7f1c9a52-never-assigned"


class Answer(NamedTuple):
    """What came back, what the client makes of it, and what had become of the resource."""

    status: int
    verdict: Verdict
    became: str
    """Of the resource: *unchanged*, *changed* (its version is new), *gone*, *absent* (as it was) or *appeared*."""
    body: str
    """*empty*, the type of resource, or an OperationOutcome's severity and issue type."""

    def __str__(self) -> str:
        return f"{self.status} {self.verdict.value}, {self.became}, {self.body}"


class Subject(NamedTuple):
    """A Flag that was updated once, so that it has an older and a current version, and an edit of it."""

    client: Client
    logical_id: str
    older: str
    current: str
    edited: dict[str, Any]

    def put(self, if_match: str | None, *, prefer: str | None = None) -> Exchange:
        """Send the edit."""
        return self.client.update(self.edited, if_match=if_match, prefer=prefer)

    def send(self, method: str, body: str) -> Exchange:
        """Send this very text, with the current version."""
        headers = {"If-Match": self.current, "Content-Type": "application/fhir+json"}
        return self.client.send(method, f"Flag/{self.logical_id}", headers=headers, body=body)


def subject(client: Client) -> Subject:
    """A Flag of its own for one situation."""
    made = client.create(FLAG)
    assert made.verdict is Verdict.CREATED, made.explain()
    first = client.read("Flag", made.logical_id)
    again = {**first.resource, "code": {"text": "Hard of hearing in the left ear"}}
    assert client.update(again, if_match=str(first.etag)).verdict is Verdict.UPDATED
    read = client.read("Flag", made.logical_id)
    edited = {**read.resource, "code": {"text": "Hard of hearing in both ears"}}
    return Subject(client, made.logical_id, str(first.etag), str(read.etag), edited)


def _opaque(etag: str) -> str:
    return etag.removeprefix('W/"').removesuffix('"')


def _unknown(subject: Subject, if_match: str | None) -> Exchange:
    return subject.client.update({**FLAG, "id": NOBODY + str(if_match is None)}, if_match=if_match)


def _unchanged(subject: Subject) -> Exchange:
    return subject.client.update(
        subject.client.read("Flag", subject.logical_id).resource, if_match=subject.current, prefer=None
    )


def _deleted(subject: Subject, if_match: str | None) -> Exchange:
    gone = subject.client.delete("Flag", subject.logical_id, if_match=subject.current)
    assert gone.verdict is Verdict.DELETED, gone.explain()
    return subject.put(if_match)


def _delete(subject: Subject, if_match: str | None) -> Exchange:
    return subject.client.delete("Flag", subject.logical_id, if_match=if_match)


SITUATIONS: dict[str, Callable[[Subject], Exchange]] = {
    "the current version": lambda it: it.put(it.current),
    "no If-Match": lambda it: it.put(None),
    "an older version": lambda it: it.put(it.older),
    "a version that never was": lambda it: it.put('W/"987654"'),
    "a version of another kind": lambda it: it.put('W/"no-version-of-yours"'),
    "bare, current": lambda it: it.put(_opaque(it.current)),
    "bare, older": lambda it: it.put(_opaque(it.older)),
    "strong, current": lambda it: it.put(f'"{_opaque(it.current)}"'),
    "strong, older": lambda it: it.put(f'"{_opaque(it.older)}"'),
    "a list with the current": lambda it: it.put(f"{it.older}, {it.current}"),
    "a list of others": lambda it: it.put(f'{it.older}, W/"987654"'),
    "any version (*)": lambda it: it.put("*"),
    "no tag at all": lambda it: it.put("latest please"),
    "unchanged content": _unchanged,
    "Prefer: minimal": lambda it: it.put(it.current, prefer="minimal"),
    "Prefer: representation": lambda it: it.put(it.current, prefer="representation"),
    "Prefer: OperationOutcome": lambda it: it.put(it.current, prefer="OperationOutcome"),
    "Prefer: another": lambda it: it.put(it.current, prefer="return=everything"),
    "older, Prefer: representation": lambda it: it.put(it.older, prefer="representation"),
    "an id never assigned, If-Match": lambda it: _unknown(it, 'W/"1"'),
    "an id never assigned, no If-Match": lambda it: _unknown(it, None),
    "deleted, its last version": lambda it: _deleted(it, it.current),
    "deleted, no If-Match": lambda it: _deleted(it, None),
    "another id in the body": lambda it: it.send("PUT", '{"resourceType": "Flag", "id": "another"}'),
    "no id in the body": lambda it: it.send("PUT", '{"resourceType": "Flag", "status": "active"}'),
    "half a body": lambda it: it.send("PUT", '{"resourceType": '),
    "DELETE, the current version": lambda it: _delete(it, it.current),
    "DELETE, an older version": lambda it: _delete(it, it.older),
    "DELETE, no If-Match": lambda it: _delete(it, None),
    "GET, an id never assigned": lambda it: it.client.read("Flag", NOBODY),
    "GET, If-None-Match current": lambda it: it.client.read("Flag", it.logical_id, if_none_match=it.current),
}


def answer_to(situation: str, client: Client) -> Answer:
    """Ask, and look what became of it."""
    asked_about = subject(client)
    exchange = SITUATIONS[situation](asked_about)
    assert exchange.status is not None, exchange.explain()
    after = client.read("Flag", exchange.logical_id)
    return Answer(exchange.status, exchange.verdict, _became(asked_about, exchange, after), _body(exchange))


def _became(subject: Subject, exchange: Exchange, after: Exchange) -> str:
    there = after.status == 200
    if exchange.logical_id != subject.logical_id:
        return "appeared" if there else "absent"
    if not there:
        return "gone"
    return "unchanged" if str(after.etag) == subject.current else "changed"


def _body(exchange: Exchange) -> str:
    outcome = exchange.outcome
    if outcome is not None:
        return f"{outcome.issues[0].severity} {outcome.issues[0].code}"
    if isinstance(exchange.resource, dict):
        return str(exchange.resource["resourceType"])
    assert exchange.response
    return "text" if exchange.response.body else "empty"


def carried(client: Client) -> tuple[str, ...]:
    """Which of ``SAYING_WHERE`` an accepted update carries."""
    it = subject(client)
    answer = it.put(it.current).response
    assert answer
    return tuple(name for name in SAYING_WHERE if name in answer.headers)


def race(base_url: str, racers: int = 8) -> dict[Verdict, int]:
    """What becomes of so many clients that send one current version at once."""
    it = subject(Client(base_url))
    together = threading.Barrier(racers)
    verdicts: list[Verdict] = []

    def run(number: int) -> None:
        client = Client(base_url, name=f"racer {number}")
        edit = {**it.edited, "code": {"text": f"Edited by racer {number}"}}
        together.wait(30)
        verdicts.append(client.update(edit, if_match=it.current).verdict)
        client.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(racers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(Counter(verdicts))
