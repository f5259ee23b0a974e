"""What a history's exchanges say of each resource: who made which version, who was shown it, and when.

Owns: reading exchanges into versions, writes and looks, and the span of time in which each must have taken
effect. Must not know what makes a history sound: that is ``chain`` and ``windows``.

A write that was answered took effect once between its start and its end; one that was not answered may have
taken effect at any time after its start, or never. Times are whole microseconds of the clients' clocks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Final

from workbench.exceptions import MalformedETag
from workbench.rules.etag import VERSION_ID, ETag
from workbench.rules.exchange import Exchange
from workbench.rules.message import SAFE_METHODS
from workbench.rules.resource import version_of
from workbench.rules.verdict import Verdict

NEVER: Final = -(1 << 62)
"""Before everything."""

ALWAYS: Final = 1 << 62
"""After everything: when a write that was not answered may still take effect."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Moment = tuple[int, int]
"""A time, and the number of the exchange that gives it."""

Span = tuple[int, int]


class Deed(enum.Enum):
    """What a write does. The value is the word a sentence uses."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(slots=True, eq=False)
class Write:
    """A write that was accepted, or one whose outcome nobody was told.

    ``base`` is the version it replaced: the one its ``If-Match`` names, or where it sent none (``blind``) the
    one its client had last seen; ``None`` where there is neither. ``version`` is ``None`` where no answer said.
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
    """One version of a resource: by whom it was made, who named it and was accepted, and when it was seen."""

    id: str
    made_by: Write | None = None
    replaced_by: Write | None = None
    seen_by: Moment = (ALWAYS, 0)
    """When it must have been there at the latest: the earliest end of an answer that shows it."""
    seen_until: Moment = (NEVER, 0)
    """When it must still have been there: the latest start of a request that was shown it."""
    read_in: int = 0
    """The number of a read that brought its text; 0 where none did."""


@dataclass(slots=True, eq=False)
class Track:
    """Everything that happened to one resource, in the order of the history."""

    name: str
    versions: dict[str, Version] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    """The accepted writes whose version was told."""
    loose: list[Write] = field(default_factory=list)
    """The writes whose version nobody was told: not answered, or answered without an ETag."""
    rivals: dict[str, list[Write]] = field(default_factory=dict)
    """By version: the accepted writes that named it, where there is more than one."""
    doubles: list[tuple[Write, Write]] = field(default_factory=list)
    """Two accepted writes that were answered with one version."""
    echoes: list[Write] = field(default_factory=list)
    """Updates that were answered with the very version they replaced."""
    refusals: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    """By version: end, start and number of each request that was told this is not the current version."""
    absences: list[tuple[int, int, int]] = field(default_factory=list)
    """End, start and number of each request that was told there is no such resource."""
    unchanged: list[int] = field(default_factory=list)
    """The writes that were refused."""
    origin: int = ALWAYS
    """From when on a create that was not answered may have made the resource."""
    unread: int = 0
    """Reads whose answer does not say which version it shows."""
    last_seen: dict[str, str] = field(default_factory=dict)

    def version(self, version_id: str) -> Version:
        """The version of that id, new or known."""
        found = self.versions.get(version_id)
        if found is None:
            found = self.versions[version_id] = Version(version_id)
        return found

    def note(self, seq: int, exchange: Exchange, start: int, end: int) -> None:
        """Take in one exchange about this resource."""
        verdict, safe = exchange.verdict, exchange.request.method in SAFE_METHODS
        if verdict in _SHOWS:
            if exchange.request.method in ("GET", "HEAD"):
                self._show(seq, exchange, start, end)
        elif verdict in _ACCEPTED:
            self._accept(seq, exchange, start, end)
        elif verdict is Verdict.NOT_FOUND:
            self.absences.append((end, start, seq))
        elif _left_open(exchange):
            if exchange.request.method != "POST":  # a POST to a resource is an operation, of which nothing is known
                self.loose.append(self._write(seq, exchange, start, ALWAYS, None, accepted=False))
        elif verdict is Verdict.STALE and (named := _named(exchange.if_match)) is not None:
            self.refusals.setdefault(named, []).append((end, start, seq))
        if not safe and verdict in _REFUSED:
            self.unchanged.append(seq)

    def _show(self, seq: int, exchange: Exchange, start: int, end: int) -> None:
        shown = _shown(exchange)
        if shown is None:
            self.unread += 1
            return
        version = self.version(shown)
        _see(version, seq, start, end)
        if version.read_in == 0 and exchange.verdict is Verdict.READ and _body_of(exchange):
            version.read_in = seq
        self.last_seen[exchange.client] = shown

    def _accept(self, seq: int, exchange: Exchange, start: int, end: int) -> None:
        version_id = f" deleted by {seq}" if exchange.verdict is Verdict.DELETED else _shown(exchange)
        write = self._write(seq, exchange, start, end, version_id, accepted=True)
        if write.base is not None and write.base == version_id:
            self.echoes.append(write)
            _see(self.version(version_id), seq, start, end)
        elif version_id is None:
            self.loose.append(write)
        else:
            self._link(write, self.version(version_id))
        if version_id is None or write.deed is Deed.DELETE:
            self.last_seen.pop(exchange.client, None)
        else:
            self.last_seen[exchange.client] = version_id

    def _write(
        self, seq: int, exchange: Exchange, start: int, end: int, version: str | None, *, accepted: bool
    ) -> Write:
        named = _named(exchange.if_match)
        deed = Deed.UPDATE
        if exchange.request.method == "DELETE":
            deed = Deed.DELETE
        elif exchange.verdict is Verdict.CREATED:
            deed, named = Deed.CREATE, ""
        base = self.last_seen.get(exchange.client) if named is None else named or None
        return Write(seq, exchange.client, deed, start, end, base, version, named is None, accepted)

    def _link(self, write: Write, made: Version) -> None:
        self.writes.append(write)
        if made.made_by is None:
            made.made_by = write
        else:
            self.doubles.append((made.made_by, write))
        if write.base is not None and not write.blind:  # where none is named, another may have come between
            base = self.version(write.base)
            if base.replaced_by is None:
                base.replaced_by = write
            else:
                self.rivals.setdefault(base.id, [base.replaced_by]).append(write)


_SHOWS: Final = frozenset({Verdict.READ, Verdict.NOT_MODIFIED})
_ACCEPTED: Final = frozenset({Verdict.UPDATED, Verdict.CREATED, Verdict.DELETED})
_REFUSED: Final = frozenset({Verdict.STALE, Verdict.UNGUARDED, Verdict.REFUSED, Verdict.UNSUPPORTED, Verdict.NOT_FOUND})


def read_tracks(exchanges: Callable[[], Iterable[Exchange]], *, in_turn: bool, skew: int) -> list[Track]:
    """What happened to each resource, in the order in which the history first names them.

    By the clock where every exchange says how long it took, else by the order in which they ended.
    """
    if not in_turn:
        try:
            return _tracks(exchanges(), lambda _, exchange: _by_clock(exchange, skew))
        except _NotTimed:
            pass
    ends: dict[str, int] = {}
    return _tracks(exchanges(), lambda seq, exchange: _by_order(seq, None if in_turn else ends, exchange.client))


def _tracks(exchanges: Iterable[Exchange], span: Callable[[int, Exchange], Span]) -> list[Track]:
    tracks: dict[tuple[str, str, str], Track] = {}
    origins: dict[tuple[str, str], int] = {}
    for seq, exchange in enumerate(exchanges, 1):
        kind, logical_id = exchange.resource_type, exchange.logical_id
        if not kind:
            continue
        start, end = span(seq, exchange)
        if logical_id:
            place = (_base_of(exchange), kind, logical_id)
            track = tracks.get(place)
            if track is None:
                track = tracks[place] = Track(f"{kind}/{logical_id}")
            track.note(seq, exchange, start, end)
        elif exchange.interaction == "create" and _left_open(exchange):
            origins.setdefault((_base_of(exchange), kind), start)
    for (base, kind, _), track in tracks.items():
        track.origin = origins.get((base, kind), ALWAYS)
    return list(tracks.values())


class _NotTimed(Exception):
    """An exchange does not say how long it took."""


def _by_clock(exchange: Exchange, skew: int) -> Span:
    if exchange.elapsed is None:
        raise _NotTimed
    start = (exchange.sent_at - _EPOCH) // _MICROSECOND
    return start, start + ceil(exchange.elapsed * 1_000_000) + 1 + skew  # the clock has cut off a part of a microsecond


def _by_order(seq: int, ends: dict[str, int] | None, client: str) -> Span:
    """A client sends its next request after its last was answered; more is not known, unless all went in turn."""
    if ends is None:
        return 2 * seq - 1, 2 * seq
    start = ends.get(client, NEVER) + 1
    ends[client] = 2 * seq
    return start, 2 * seq


def _body_of(exchange: Exchange) -> bytes:
    return exchange.response.body if exchange.response and exchange.request.method == "GET" else b""


def _see(version: Version, seq: int, start: int, end: int) -> None:
    if end < version.seen_by[0]:
        version.seen_by = (end, seq)
    if start > version.seen_until[0]:
        version.seen_until = (start, seq)


def _left_open(exchange: Exchange) -> bool:
    """Whether it is a write that may have been carried out although no answer says so."""
    if exchange.request.method in SAFE_METHODS:
        return False
    # A server's own error may come before the write or after it.
    return exchange.verdict is Verdict.UNKNOWN or (exchange.verdict is Verdict.FAILED and exchange.response is not None)


def _base_of(exchange: Exchange) -> str:
    """The base URL: what stands before the type, and the id if it was asked for."""
    url, kind = exchange.request.url, f"/{exchange.resource_type}"
    if exchange.interaction == "create" and exchange.request.method == "POST":
        return url.partition("?")[0].rstrip("/").removesuffix(kind)
    return url.rpartition(f"{kind}/{exchange.logical_id}" if exchange.logical_id else kind)[0]


def _shown(exchange: Exchange) -> str | None:
    """The version id an answer names: by its ETag, else in its body, or as the one that is still held (304)."""
    response = exchange.response
    tag = _version_id(response.headers.get("ETag")) if response else None
    if tag is None and exchange.verdict is Verdict.NOT_MODIFIED:
        return _version_id(exchange.request.headers.get("If-None-Match"))
    if tag is None and response and response.body:
        return version_of(exchange.resource)
    return tag


def _named(if_match: str | None) -> str | None:
    """The version an ``If-Match`` names, leniently: some servers take a strong tag or a bare version id."""
    if if_match is None:
        return None
    bare = if_match if VERSION_ID.fullmatch(if_match) else None
    return _version_id(if_match) or bare


@lru_cache(maxsize=4096)
def _version_id(tag: str | None) -> str | None:
    try:
        return ETag.parse(tag).version_id if tag is not None else None
    except MalformedETag:
        return None
