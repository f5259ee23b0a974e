"""Probes of time: reads are never older than an accepted write, and dates are those of the endpoint's clock.

Promises UPD-1, UPD-2, RD-1 and DL-1.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from workbench.client.client import Client
from workbench.conformance.probe import Chapter, Deviation, ProbeRun
from workbench.conformance.responses import (
    etag_value,
    header,
    json_object,
    same_except_meta,
    summary,
    version_id,
)
from workbench.exchange.message import Exchange, http_date
from workbench.fhir.resource import without_version

chapter: Final = Chapter()

_UPDATES: Final = 12
_READS: Final = 3
_SECOND_CONNECTION: Final = "check, second connection"

STORING_SECONDS: Final = 60
"""The longest time between storing a version (Last-Modified) and answering (Date)."""

CLOCK_SECONDS: Final = 300
"""The largest difference between the clocks of the endpoint and of the check: a Spine token lasts as long."""


def _connections(run: ProbeRun) -> tuple[Client, Client]:
    return run.another_client(_SECOND_CONNECTION), run.client


@chapter.probe("UPD-1", f"{_UPDATES} updates, each 200; each read from two connections shows what was just sent")
def every_update_is_stored(run: ProbeRun) -> None:
    """Many updates in a row, each read at once: none is lost, and none comes late."""
    held, clients = run.resource(), _connections(run)
    for number in range(1, _UPDATES + 1):
        sent = run.changed(held)
        run.expect_status(run.put(held, sent, if_match=held.etag), 200)
        for client in clients:
            read = run.send("GET", held.path, client=client)
            run.expect_status(read, 200)
            stored = without_version(json_object(read.resource))
            observed = f"update {number} was answered 200, and a read by {client.name} shows another content"
            run.expect(same_except_meta(stored, sent), observed, "200, not stored")
        held = run.read(held.path)


@chapter.probe("RD-1", "after an accepted update every read shows its version, from two connections in turn")
def reads_are_never_older(run: ProbeRun) -> None:
    """Updates, each read several times at once from two connections."""
    held, clients = run.resource(), _connections(run)
    for _ in range(_UPDATES):
        response = run.put(held, if_match=held.etag)
        run.expect_status(response, 200)
        made, reads = etag_value(header(response, "ETag")), []
        for client in clients * _READS:
            read = run.send("GET", held.path, client=client)
            reads.append(etag_value(header(read, "ETag")) or version_id(read))
        made = made or reads[0]
        stale = [version for version in reads if version != made]
        observed = f"{len(stale)} of {len(reads)} reads after the update to {made} show {', '.join(stale[:1])}"
        run.expect(not stale, observed, "older read")
        held = run.read(held.path)


@chapter.probe("RD-1", "an update of one resource leaves another as it is: body, ETag and Last-Modified")
def others_stay(run: ProbeRun) -> None:
    """Two resources, updated in turn."""
    first, second = run.created(), run.created()
    for _ in range(_READS):
        first = run.updated(first)
        run.expect(run.read(second.path).state == second.state, "the other resource changed", "other changed")
        first, second = second, first


@chapter.probe(
    "UPD-2",
    f"Date within {STORING_SECONDS} s of the Last-Modified just made, and {CLOCK_SECONDS} s of the check's clock",
)
def date_is_the_clock(run: ProbeRun) -> None:
    """The Date of updates and of reads: the moment of the answer."""
    response, held, _ = run.accepted_update()
    stored = http_date(header(response, "Last-Modified"))
    if stored is not None:
        _expect_near(run, response, stored, STORING_SECONDS, "its own Last-Modified")
    for exchange in (response, held.read, run.read(held.path).read):
        if exchange.elapsed is not None:  # without it the check runs on the clock of a lesson
            _expect_near(run, exchange, exchange.sent_at, CLOCK_SECONDS, "the clock of this check")


def _expect_near(run: ProbeRun, exchange: Exchange, moment: datetime, seconds: int, other: str) -> None:
    date = http_date(header(exchange, "Date"))
    if date is None:
        raise Deviation(f"the answer to {exchange.request.method} has no Date that is an HTTP date", "no Date")
    apart = abs(date - moment)
    observed = f"the Date of the {summary(exchange)} to {exchange.request.method} is {apart} from {other}"
    run.expect(apart <= timedelta(seconds=seconds + 1), observed, "another clock")


@chapter.probe("DL-1", "reads answer 404 for good, from two connections, whatever else is created and updated")
def deleted_stays_deleted(run: ProbeRun) -> None:
    """Reads of a deleted resource while others are created, updated and searched."""
    gone, clients = run.deleted(), _connections(run)
    other = run.created()
    for _ in range(_READS):
        other = run.updated(other)
        run.get(f"{gone.resource_type}?_id={gone.logical_id}")
        for client in clients:
            read = run.send("GET", gone.path, client=client)
            run.expect(read.status in (404, 410), f"{summary(read)} to a read of what was deleted", "revived")
