"""Probes of the lock: a stale, a missing and a malformed ``If-Match``, and clients that update at once.

Promises UPD-6, UPD-7, UPD-8, UPD-13 and UPD-15.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from workbench.client.client import Client
from workbench.client.threads import HAS_THREADS
from workbench.conformance.probe import UNUSED_ETAG, Chapter, Deviation, HeldResource, ProbeRun
from workbench.conformance.responses import current_etag, etag_value, same_except_meta, summary
from workbench.conformance.under_check import Untestable, send
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.history.check import history

chapter: Final = Chapter()

_STALE: Final = "409; body, ETag and Last-Modified stay as they are"
_REFUSED: Final = "412; body, ETag and Last-Modified stay as they are"
_REPEATS: Final = 7
_OLDER: Final = 5
_FAR_FUTURE: Final = "Fri, 31 Dec 2100 23:59:59 GMT"

_WRITERS: Final = 4
_TURNS: Final = 6

CLIENTS: Final = 8
ROUNDS: Final = 3
RACING_CLIENT: Final = "check, racing client"
"""The name of the clients that update at once, and of their threads; a number follows."""

_BARRIER_SECONDS: Final = 30.0
"""The barrier breaks after this time, in case one client gets no connection."""


# --- UPD-6: a version that is not the current one ---


@chapter.probe("UPD-6", _STALE)
def stale_previous(run: ProbeRun) -> None:
    """The version before the last update: another client was faster."""
    held, stale = run.resource_and_stale_etag()
    run.expect_refused(run.put(held, if_match=stale), held, 409)


@chapter.probe("UPD-6", _STALE)
def stale_made_up(run: ProbeRun) -> None:
    """A version that never existed."""
    held = run.resource()
    run.expect_refused(run.put(held, if_match=UNUSED_ETAG), held, 409)


@chapter.probe("UPD-6", _STALE)
def stale_near_miss(run: ProbeRun) -> None:
    """The current version id cut short, made longer, and in capitals: ids are compared exactly."""
    held = run.resource()
    current = held.version_id
    if not current:
        raise Untestable("The endpoint shows no version id to come close to.")
    near = {current[:-1], f"{current}0", f"0{current}", current.upper()} - {current, ""}
    for version in sorted(near):
        run.expect_refused(run.put(held, if_match=f'W/"{version}"'), held, 409)


@chapter.probe("UPD-6", _STALE)
def stale_same_content(run: ProbeRun) -> None:
    """A stale version, with the content that is stored already."""
    held, stale = run.resource_and_stale_etag()
    run.expect_refused(run.put(held, without_version(held.read.resource), if_match=stale), held, 409)


@chapter.probe("UPD-6", _STALE)
def stale_body_version(run: ProbeRun) -> None:
    """A stale If-Match, with the current version in the body: If-Match alone decides."""
    held, stale = run.resource_and_stale_etag()
    content = run.changed(held)
    content["meta"] = content.get("meta", {}) | {"versionId": held.version_id}
    run.expect_refused(run.put(held, content, if_match=stale), held, 409)


@chapter.probe("UPD-6", f"409, {_REPEATS} times out of {_REPEATS}; nothing changes")
def stale_again_and_again(run: ProbeRun) -> None:
    """The same stale version several times."""
    held, stale = run.resource_and_stale_etag()
    for _ in range(_REPEATS):
        run.expect_refused(run.put(held, if_match=stale), held, 409)


@chapter.probe("UPD-6", _STALE)
def stale_foreign(run: ProbeRun) -> None:
    """The current version of another resource."""
    other, held = run.created(), run.created()
    if etag_value(other.etag) == etag_value(held.etag):
        other = run.updated(other)
    if etag_value(other.etag) == etag_value(held.etag):
        raise Untestable("Two resources of this endpoint have the same version id.")
    run.expect_refused(run.put(held, if_match=other.etag), held, 409)


@chapter.probe("UPD-6", f"409 for each of the {_OLDER} versions before; nothing changes")
def stale_every_older(run: ProbeRun) -> None:
    """Every version that the resource has had, the oldest first."""
    *older, current = run.versions(_OLDER)
    for held in older:
        if etag_value(held.etag) == current.version_id:
            raise Untestable("An update did not change the version.")
        run.expect_refused(run.put(current, if_match=held.etag), current, 409)


_WAYS: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("", {"Prefer": "return=minimal"}),
    ("", {"Prefer": "return=representation"}),
    ("", {"Prefer": "return=OperationOutcome"}),
    ("", {"Content-Type": "application/json"}),
    ("", {"Content-Type": "application/json+fhir"}),
    ("", {"Accept": "application/json"}),
    ("", {"If-Unmodified-Since": _FAR_FUTURE}),
    ("", {"If-None-Match": UNUSED_ETAG}),
    ("?_format=json", {}),
)
"""Ways to send an update: a query and header fields. None of them may switch the lock off."""


@chapter.probe("UPD-6", f"409 for each of {len(_WAYS) + 1} ways to send it; nothing changes")
def stale_however_sent(run: ProbeRun) -> None:
    """A stale version with other header fields, with _format, and with the body in chunks."""
    held, stale = run.resource_and_stale_etag()
    for query, fields in _WAYS:
        headers = {"If-Match": stale, **fields}
        run.expect_refused(run.send("PUT", held.path + query, headers=headers, body=run.changed(held)), held, 409)
    chunked = run.send("PUT", held.path, headers={"If-Match": stale}, body=run.changed(held), chunked=True)
    run.expect_refused(chunked, held, 409)


# --- UPD-15: If-None-Match: * ---


@chapter.probe("UPD-15", _REFUSED)
def if_none_match_star(run: ProbeRun) -> None:
    """If-None-Match: * with the current If-Match, and with a stale one (RFC 9110, section 13.1.2)."""
    held, stale = run.resource_and_stale_etag()
    for if_match in (held.etag, stale):
        run.expect_refused(run.put(held, if_match=if_match, if_none_match="*"), held, 412)


# --- UPD-7: no version ---


@chapter.probe("UPD-7", _REFUSED)
def missing(run: ProbeRun) -> None:
    """An update without If-Match."""
    held = run.resource()
    run.expect_refused(run.put(held, if_match=None), held, 412)


@chapter.probe("UPD-7", _REFUSED)
def missing_with_other_conditions(run: ProbeRun) -> None:
    """Another condition instead of If-Match."""
    held = run.resource()
    unmodified_since = run.put(held, if_match=None, if_unmodified_since=_FAR_FUTURE)
    run.expect_refused(unmodified_since, held, 412)
    run.expect_refused(run.put(held, if_match=None, if_none_match=UNUSED_ETAG), held, 412)


# --- UPD-8: the current version in another form than W/"<version id>" ---


def _expect_malformed(run: ProbeRun, *, pattern: str) -> None:
    held = run.resource()
    if not held.version_id:
        raise Untestable("The endpoint shows no version id to write in another form.")
    run.expect_refused(run.put(held, if_match=pattern.format(held.version_id)), held, 412)


for _form, _pattern, _tries in (
    ("bare", "{}", "The version id alone."),
    ("strong", '"{}"', "A strong entity tag."),
    ("unquoted", "W/{}", "A weak entity tag without quotation marks."),
    ("small-letter", 'w/"{}"', "A small w; the W is a capital (RFC 9110, section 8.8.3)."),
    ("list", 'W/"{}", ' + UNUSED_ETAG, "A list that contains the current version."),
    ("star", "*", "A star, which means any version."),
    ("empty", "", "An If-Match without a value."),
):
    chapter.row("UPD-8", f"malformed-{_form}", _REFUSED, _tries, _expect_malformed, pattern=_pattern)


# --- UPD-13: several clients at once ---


@chapter.probe(
    "UPD-13",
    f"of {CLIENTS} clients one is answered 200 and the others 409, in each of {ROUNDS} rounds; "
    "what is stored is what that one sent",
    alone=True,
)
def race(run: ProbeRun) -> None:
    """All clients read, wait for one another, and send their update at the same moment."""
    held = run.resource()
    clients = [run.client.sibling(f"{RACING_CLIENT} {number}", journal=run.journal) for number in range(CLIENTS)]
    try:
        for number in range(ROUNDS):
            for client in clients:
                run.endpoint.check_not_stopped()
                client.send("GET", held.path)  # opens the connection before the start
            held = _round(run, held, clients, number * CLIENTS)
    finally:
        for client in clients:
            client.close()


def _round(run: ProbeRun, held: HeldResource, clients: list[Client], first: int) -> HeldResource:
    responses = _update_at_once(run, held, clients, first)
    statuses = sorted(response.status or 0 for response in responses)
    counts = ", ".join(f"{statuses.count(status)} × {status or 'no answer'}" for status in dict.fromkeys(statuses))
    winners = [response for response in responses if response.status == 200]
    observed = f"{counts}: {len(winners)} updates of the same version were accepted"
    run.expect(len(winners) < 2, observed, "several won")
    run.expect(len(winners) == 1, f"{counts}: no update was accepted", "no winner")

    for response in responses:
        if response.status not in (200, 409):
            raise Deviation(f"{counts} ({summary(response)})", str(response.status))

    after = run.read(held.path)
    stored = etag_value(str(winners[0].etag)) if winners[0].etag else after.version_id
    observed = f"{counts}, but the accepted version is not stored"
    run.expect(stored == after.version_id, observed, "winner not stored")
    sent = json.parse(winners[0].request.body)
    observed = f"{counts}, and what is stored is not what the accepted update sent"
    run.expect(same_except_meta(after.content, sent), observed, "another content stored")
    return HeldResource(held.path, after.read, held.content)


def _update_at_once(run: ProbeRun, held: HeldResource, clients: list[Client], first: int) -> list[Exchange]:
    """Have every client send an update at the same moment, each with another content; return the exchanges."""
    start = threading.Barrier(len(clients))
    exchanges: list[Exchange] = []

    def update(number: int, client: Client) -> None:
        body = json.dumps(held.changed(first + number))
        start.wait(_BARRIER_SECONDS)
        with run.endpoint.in_flight("PUT", held.path):
            exchanges.append(send(client, "PUT", held.path, headers={"If-Match": held.etag}, body=body))

    _run_at_once(update, clients)
    return exchanges


def _run_at_once(act: Callable[[int, Client], None], clients: list[Client]) -> None:
    """Call ``act(number, client)`` for each client, each in a thread of its own.

    Raises ``Untestable`` if this Python cannot start threads.
    """
    if not HAS_THREADS:
        raise Untestable("This Python cannot start threads, so it cannot send several requests at once.")
    threads = [
        threading.Thread(target=act, args=(number, client), name=client.name, daemon=True)
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@chapter.probe("UPD-13", "consistent: a correct endpoint could have given all answers of this check", alone=True)
def history_of_the_check(run: ProbeRun) -> None:
    """Several clients read and update one resource in their own time; then the whole journal of the check is proved."""
    held = run.resource()
    clients = [run.another_client(f"{RACING_CLIENT} {number}") for number in range(_WRITERS)]
    together = threading.Barrier(_WRITERS)

    def work(number: int, client: Client) -> None:
        for step in range(_TURNS):
            read = client.send("GET", held.path)
            if step % 2:
                together.wait(_BARRIER_SECONDS)  # so that clients hold the same version on a fast endpoint too
            body = json.dumps(held.changed(number * _TURNS + step))
            with run.endpoint.in_flight("PUT", held.path):
                send(client, "PUT", held.path, headers={"If-Match": current_etag(read)}, body=body)

    run.endpoint.check_not_stopped()
    _run_at_once(work, clients)
    exchanges = run.endpoint.recorded(run.journal)
    proof = history(exchanges).check()
    if proof.undecided:
        raise Untestable(proof.explain())
    if proof.violations:
        witness = tuple(exchanges[number - 1] for number in proof.witness)
        alone = history(witness).check()  # so that its sentence counts the exchanges as the evidence does
        first = (alone.violations or proof.violations)[0]
        raise Deviation(f"{first.resource}: {first.words}", first.flaw.value, evidence=witness)
