"""Read what each exchange says about the versions of its resource, and collect it for each resource.

The proof (``check``) and ``Client.resolve`` (``client.unanswered``) both read exchanges with ``read_event``. A
``Track`` collects the events of one resource. This module does not decide whether a history is correct.

A write that got an answer took effect once, between its start and its end. A write without an answer took effect at
any time after its start, or never. Times are whole microseconds of the clients' clocks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from math import ceil
from typing import Final, NamedTuple

from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict, changes_nothing, left_open
from workbench.fhir.etag import VERSION_ID, ETag
from workbench.fhir.resource import version_of

NEVER: Final = -(1 << 62)
"""A time before every other."""

ALWAYS: Final = 1 << 62
"""A time after every other."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Said(enum.Enum):
    """The kinds of evidence that an exchange gives about its resource."""

    SHOWN = "shown"
    """The answer shows the current version."""
    ACCEPTED = "accepted"
    """The endpoint carried out a write."""
    OPEN = "open"
    """A write may have been carried out; no answer says so."""
    STALE = "stale"
    """The version that the request named was not the current one."""
    ABSENT = "absent"
    """The resource did not exist."""
    REFUSED = "refused"
    """A write was refused for another reason; nothing changed."""
    NOTHING = "nothing"


class Deed(enum.Enum):
    """What a write does. Sentences use the value."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Event(NamedTuple):
    """What one exchange says about the versions of its resource.

    ``named`` is the version id in its ``If-Match``; ``None`` where that names no single version. ``version`` is the
    version id that the answer shows or that an accepted write made; ``None`` where the answer names none.
    """

    said: Said
    deed: Deed
    named: str | None
    version: str | None


_SAID: Final = {
    Verdict.READ: Said.SHOWN,
    Verdict.NOT_MODIFIED: Said.SHOWN,
    Verdict.CREATED: Said.ACCEPTED,
    Verdict.UPDATED: Said.ACCEPTED,
    Verdict.DELETED: Said.ACCEPTED,
    Verdict.NOT_FOUND: Said.ABSENT,
    Verdict.STALE: Said.STALE,
    Verdict.UNGUARDED: Said.REFUSED,
    Verdict.REFUSED: Said.REFUSED,
    Verdict.UNSUPPORTED: Said.REFUSED,
}


def read_event(exchange: Exchange) -> Event:
    """Return what an exchange says about the versions of its resource."""
    said, method = _SAID.get(exchange.verdict), exchange.request.method
    if said is Said.SHOWN:
        return Event(said, Deed.UPDATE, None, _shown(exchange)) if method in ("GET", "HEAD") else _NO_EVENT
    if said is None:
        said = Said.OPEN if left_open(exchange) else Said.NOTHING
    if said is Said.STALE and exchange.status == 412 and _has_other_condition(exchange):
        said = Said.REFUSED  # the other condition may be the one that failed (RFC 9110, 13.2.2)
    deed = Deed.UPDATE
    if method == "DELETE":
        deed = Deed.DELETE
    elif exchange.verdict is Verdict.CREATED:
        deed = Deed.CREATE
    version = _shown(exchange) if said is Said.ACCEPTED and deed is not Deed.DELETE else None
    return Event(said, deed, named_version(exchange.if_match), version)


def _has_other_condition(exchange: Exchange) -> bool:
    return any(name in exchange.request.headers for name in ("If-None-Match", "If-Unmodified-Since"))


_NO_EVENT: Final = Event(Said.NOTHING, Deed.UPDATE, None, None)


@lru_cache(maxsize=4096)
def named_version(if_match: str | None) -> str | None:
    """Return the version id in an ``If-Match``: in a weak tag, a strong tag, or bare, as some servers take it."""
    bare = if_match if if_match is not None and VERSION_ID.fullmatch(if_match) else None
    return _version_id(if_match) or bare


def _shown(exchange: Exchange) -> str | None:
    """Return the version id that a response shows: in its ETag, in its body, or in the ``If-None-Match`` (304)."""
    response = exchange.response
    tag = _version_id(response.headers.get("ETag")) if response else None
    if tag is None and response and (etag := exchange.etag):  # NHS Immunisation's E-Tag
        tag = etag.version_id
    if tag is None and exchange.verdict is Verdict.NOT_MODIFIED:
        return _version_id(exchange.request.headers.get("If-None-Match"))
    if tag is None and response and response.body:
        return version_of(exchange.resource)
    return tag


@lru_cache(maxsize=4096)
def _version_id(tag: str | None) -> str | None:
    found = ETag.read(tag)
    return found.version_id if found else None


# --- the events of one resource ---


class Moment(NamedTuple):
    """A time, and the number of the exchange that shows it; 0 where none does."""

    time: int
    seq: int


NOT_SEEN: Final = Moment(ALWAYS, 0)
NOT_KEPT: Final = Moment(NEVER, 0)


class Interval(NamedTuple):
    """The end, the start and the number of an exchange. Sorting puts the earliest end first."""

    end: int
    start: int
    seq: int


@dataclass(slots=True, eq=False)
class Write:
    """A write that was accepted, or whose outcome is unknown.

    ``base`` is the version that it replaced: the one in its ``If-Match``. Without one the write is ``blind``, and
    ``base`` is the version that its client had last seen. ``version`` is ``None`` where no answer names it.
    """

    seq: int
    client: str
    deed: Deed
    start: int
    end: int
    base: str | None
    version: str | None
    blind: bool
    accepted: bool


@dataclass(slots=True, eq=False)
class Version:
    """One version of a resource: the writes that made and replaced it, and when exchanges show it."""

    id: str
    made_by: Write | None = None
    replaced_by: Write | None = None
    seen_by: Moment = NOT_SEEN
    """The earliest end of an answer that shows it: the version began by then."""
    seen_until: Moment = NOT_KEPT
    """The latest start of a request whose answer shows it: the version lasted until then."""
    read_in: int = 0
    """The number of a read that returned its content; 0 where none did."""

    def see(self, seq: int, start: int, end: int) -> None:
        """Note an exchange that shows this version."""
        if end < self.seen_by[0]:
            self.seen_by = Moment(end, seq)
        if start > self.seen_until[0]:
            self.seen_until = Moment(start, seq)


@dataclass(slots=True, eq=False)
class Track:
    """The events of one resource, in the order of the history."""

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    """The accepted writes whose version is known."""
    loose: list[Write] = field(default_factory=list)
    """The writes whose version is unknown: without an answer, or accepted without an ETag."""
    rivals: dict[str, list[Write]] = field(default_factory=dict)
    """By version: the accepted writes that named it, where there is more than one."""
    doubles: list[tuple[Write, Write]] = field(default_factory=list)
    """Pairs of accepted writes whose answers name the same version."""
    echoes: list[Write] = field(default_factory=list)
    """Updates whose answer names the version that they replaced."""
    refusals: dict[str, list[Interval]] = field(default_factory=dict)
    """By version: the requests that were refused because it was not the current one."""
    absences: list[Interval] = field(default_factory=list)
    """The requests that got *not found*."""
    unchanged: list[int] = field(default_factory=list)
    """The numbers of the writes that were refused."""
    origin: int = ALWAYS
    """From when on a create without an answer may have made the resource."""
    unread: int = 0
    """How many reads do not say which version they show."""
    last_seen: dict[str, str] = field(default_factory=dict)

    def version(self, version_id: str) -> Version:
        """Return the version with that id; add it if it is new."""
        found = self.versions.get(version_id)
        if found is None:
            found = self.versions[version_id] = Version(version_id)
        return found

    def note(self, seq: int, exchange: Exchange, start: int, end: int) -> None:
        """Add one exchange about this resource."""
        event = read_event(exchange)
        said = event.said
        if said is Said.SHOWN:
            self._show(seq, exchange, event.version, start, end)
        elif said is Said.STALE or said is Said.ABSENT or said is Said.REFUSED:
            if said is Said.ABSENT:
                self.absences.append(Interval(end, start, seq))
            elif event.named is not None and said is Said.STALE:
                self.refusals.setdefault(event.named, []).append(Interval(end, start, seq))
            if not changes_nothing(exchange.request.method, exchange.request.url):
                self.unchanged.append(seq)
        elif said is Said.ACCEPTED:
            self._accept(self._write(seq, exchange.client, event, start, end))
        elif said is Said.OPEN and exchange.request.method != "POST":  # a POST to a resource is an operation
            self.loose.append(self._write(seq, exchange.client, event, start, ALWAYS))

    def _show(self, seq: int, exchange: Exchange, shown: str | None, start: int, end: int) -> None:
        if shown is None:
            self.unread += 1
            return
        version = self.version(shown)
        version.see(seq, start, end)
        if version.read_in == 0 and exchange.verdict is Verdict.READ and exchange.request.method == "GET":
            version.read_in = seq if exchange.response and exchange.response.body else 0
        self.last_seen[exchange.client] = shown

    def _write(self, seq: int, client: str, event: Event, start: int, end: int) -> Write:
        deed, version, accepted = event.deed, event.version, event.said is Said.ACCEPTED
        if accepted and deed is Deed.DELETE:
            version = f" deleted by {seq}"
        if deed is Deed.CREATE:
            return Write(seq, client, deed, start, end, None, version, blind=False, accepted=accepted)
        base = self.last_seen.get(client) if event.named is None else event.named
        return Write(seq, client, deed, start, end, base, version, blind=event.named is None, accepted=accepted)

    def _accept(self, write: Write) -> None:
        if write.version is None:
            self.loose.append(write)
            if write.base is not None and not write.blind:
                self.version(write.base)
        elif write.base == write.version:
            self.echoes.append(write)
            self.version(write.version).see(write.seq, write.start, write.end)
        else:
            self._link(write, self.version(write.version))
        if write.version is None or write.deed is Deed.DELETE:
            self.last_seen.pop(write.client, None)
        else:
            self.last_seen[write.client] = write.version

    def _link(self, write: Write, made: Version) -> None:
        self.writes.append(write)
        if made.made_by is None:
            made.made_by = write
        else:
            self.doubles.append((made.made_by, write))
        if (
            write.base is not None and not write.blind
        ):  # another version may lie between what a blind write saw and what it made
            base = self.version(write.base)
            if base.replaced_by is None:
                base.replaced_by = write
            else:
                self.rivals.setdefault(base.id, [base.replaced_by]).append(write)


# --- all resources ---


def read_tracks(exchanges: Callable[[], Iterable[Exchange]], *, in_turn: bool, skew: int) -> list[Track]:
    """Return the events of each resource, in the order in which the history first names them.

    Times come from the clock where every exchange has an ``elapsed``. Otherwise they come from the order in which the
    exchanges ended. ``skew`` is in microseconds.
    """
    if not in_turn:
        try:
            return _tracks(
                exchanges(), partial(_by_clock, skew + 1)
            )  # + 1, because ``sent_at`` is cut off to whole microseconds
        except _NotTimed:
            pass
    return _tracks(exchanges(), partial(_by_order, None if in_turn else {}))


def _tracks(exchanges: Iterable[Exchange], span: Callable[[int, Exchange], tuple[int, int]]) -> list[Track]:
    tracks: dict[tuple[str, str, str], Track] = {}
    by_url: dict[tuple[str, str, str], Track] = {}
    origins: dict[tuple[str, str], int] = {}
    for seq, exchange in enumerate(exchanges, 1):
        kind, logical_id = exchange.resource_type, exchange.logical_id
        if not kind:
            continue
        if not logical_id:
            if exchange.interaction == "create" and left_open(exchange):
                base = _base_of(exchange)
                origins[base, kind] = min(span(seq, exchange)[0], origins.get((base, kind), ALWAYS))
            continue
        about = (exchange.request.url, kind, logical_id)
        track = by_url.get(about)
        if track is None:
            resource = (_base_of(exchange), kind, logical_id)
            track = by_url[about] = tracks.setdefault(resource, Track(f"{kind}/{logical_id}"))
        start, end = span(seq, exchange)
        track.note(seq, exchange, start, end)
    for (base, kind, _), track in tracks.items():
        track.origin = origins.get((base, kind), ALWAYS)
    return list(tracks.values())


class _NotTimed(Exception):
    """An exchange has no ``elapsed``."""


def _by_clock(skew: int, _: int, exchange: Exchange) -> tuple[int, int]:
    if exchange.elapsed is None:
        raise _NotTimed
    since = exchange.sent_at - _EPOCH
    start = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # faster than a division
    return start, start + ceil(exchange.elapsed * 1_000_000) + skew


def _by_order(ends: dict[str, int] | None, seq: int, exchange: Exchange) -> tuple[int, int]:
    """Return times by which each client sends a request after its last response; ``ends=None``: all in turn."""
    if ends is None:
        return 2 * seq - 1, 2 * seq
    start = ends.get(exchange.client, NEVER) + 1
    ends[exchange.client] = 2 * seq
    return start, 2 * seq


def _base_of(exchange: Exchange) -> str:
    """Return the base URL: the part before the type, or before the type and id of the request."""
    url, kind = exchange.request.url, f"/{exchange.resource_type}"
    if exchange.interaction == "create" and exchange.request.method == "POST":
        return url.partition("?")[0].rstrip("/").removesuffix(kind)
    return url.rpartition(f"{kind}/{exchange.logical_id}" if exchange.logical_id else kind)[0]
