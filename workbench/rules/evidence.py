"""What a journal tells about one write that was not answered: which versions were whose, and when they were there.

Owns: reading the exchanges of everybody who shares the journal into what bears on that write. Must not know what
follows from it: that is ``resolution``. Nothing is taken on trust: that the endpoint keeps to its lock counts as
known only where it has refused a stale version and never let one be replaced twice (UPD-6, UPD-13).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from workbench.exceptions import MalformedETag, MalformedJSON
from workbench.rules import json
from workbench.rules.compare import ABSENT
from workbench.rules.etag import ETag
from workbench.rules.exchange import Exchange
from workbench.rules.resource import version_of, without_version
from workbench.rules.verdict import Verdict, left_open

_ACCEPTED = frozenset({Verdict.UPDATED, Verdict.CREATED, Verdict.DELETED})


class _When(enum.Enum):
    """How an exchange lies to the unanswered write: over before it began, begun after it, or neither for certain."""

    BEFORE = enum.auto()
    AFTER = enum.auto()
    UNCLEAR = enum.auto()


@dataclass(slots=True)
class Evidence:
    """What is known around one unanswered write, version by version."""

    write: Exchange
    named: str | None
    """The version in its ``If-Match``."""
    content: Any
    """What it sent, less what the server writes; ``ABSENT`` where it sent no whole resource, or that is not kept."""
    before: set[str] = field(default_factory=set)
    """The versions that were there before it was sent."""
    unclear: set[str] = field(default_factory=set)
    """The versions of which that cannot be told."""
    made: dict[str, Exchange] = field(default_factory=dict)
    """By version: the accepted write that made it."""
    replaced: dict[str, list[Exchange]] = field(default_factory=dict)
    """By version: the accepted writes that named it, and so replaced it."""
    deletes: list[Exchange] = field(default_factory=list)
    """The accepted deletes."""
    stored_as: dict[str, Exchange] = field(default_factory=dict)
    """By version: a read begun after the write was sent that shows exactly what it sent."""
    same: list[Exchange] = field(default_factory=list)
    """The other writes of what is or may be the same content; each may have made a version that nobody was told."""
    refused: bool = False
    """Whether the endpoint has refused a stale version."""

    @property
    def keeps_lock(self) -> bool:
        """Whether this endpoint is known to look at ``If-Match``: it refused one, and none was accepted twice."""
        return self.refused and all(len(writes) == 1 for writes in self.replaced.values())

    @property
    def taker(self) -> Exchange | None:
        """An accepted write that replaced the version which this one names too."""
        return next(iter(self.replaced.get(self.named or "", [])), None)

    @property
    def others(self) -> list[Exchange]:
        """The writes of the same content that are not this very request, sent again, and may have landed."""
        others = [exchange for exchange in self.same if not self._is_again(exchange)]
        if not self.keeps_lock:
            return others
        return [exchange for exchange in others if named_version(exchange.if_match) not in self.replaced]

    @property
    def times(self) -> int:
        """How often this very request was sent, as far as nobody was told what came of it."""
        return 1 + sum(map(self._is_again, self.same))

    def _is_again(self, exchange: Exchange) -> bool:
        return (exchange.client, exchange.if_match) == (self.write.client, self.write.if_match)

    def sent_is(self, resource: Any) -> bool:
        """Whether a resource is what was sent, digit for digit, but for what the server writes itself."""
        return self.content is not ABSENT and json.same(self.content, own_part(resource))

    def add(self, exchange: Exchange) -> None:
        """Take in another exchange about the same resource."""
        shown = shown_version(exchange) if exchange.ok else None
        if exchange.verdict in _ACCEPTED:
            self._accept(exchange, shown)
        elif left_open(exchange) and self._sends_the_same(exchange):
            self.same.append(exchange)
        if shown is None:
            return
        when = _when(exchange, self.write)
        if when is _When.BEFORE:
            self.before.add(shown)
        elif when is _When.UNCLEAR:
            self.unclear.add(shown)
        elif exchange.verdict is Verdict.READ and shown != self.named and self.sent_is(exchange.resource):
            self.stored_as.setdefault(shown, exchange)

    def _accept(self, exchange: Exchange, shown: str | None) -> None:
        base = named_version(exchange.if_match)
        if exchange.verdict is Verdict.DELETED:
            self.deletes.append(exchange)
        elif shown is None:
            if self._sends_the_same(exchange):
                self.same.append(exchange)
        elif shown != base:  # a server that makes no new version of unchanged content has replaced nothing
            self.made[shown] = exchange
        if base is not None and shown != base:
            self.replaced.setdefault(base, []).append(exchange)

    def _sends_the_same(self, exchange: Exchange) -> bool:
        if exchange.request.method != self.write.request.method:
            return False
        if exchange.request.dropped or self.write.request.dropped:
            return True  # a body that is no longer kept may have been any
        return exchange.request.body == self.write.request.body or self.sent_is(sent_content(exchange))


def gather(write: Exchange, journal: Iterable[Exchange]) -> Evidence:
    """All that a journal tells about this write. One pass; bodies are read only where they are of its resource."""
    evidence = Evidence(write, named_version(write.if_match), sent_content(write))
    place = _place(write)
    base = place.removesuffix(write.target)
    for exchange in journal:
        if exchange.verdict is Verdict.STALE and exchange.request.url.startswith(base):
            evidence.refused = True
        if _place(exchange) == place and not _is_it(exchange, write):
            evidence.add(exchange)
    return evidence


def named_version(if_match: str | None) -> str | None:
    """The version id in an ``If-Match``; ``None`` where it names no single one."""
    try:
        return ETag.parse(if_match).version_id if if_match is not None else None
    except MalformedETag:
        return None


def shown_version(exchange: Exchange) -> str | None:
    """The version id that an answer names, by its ETag or in its body."""
    return exchange.etag.version_id if exchange.etag else version_of(exchange.resource)


def sent_content(write: Exchange) -> Any:
    """What a PUT asked to have stored, less what the server writes itself; ``ABSENT`` for any other request."""
    if write.request.method != "PUT":
        return ABSENT
    try:
        return own_part(json.parse(write.request.body))
    except MalformedJSON:
        return ABSENT


def own_part(resource: Any) -> Any:
    """A resource without its version; an empty ``meta`` is none."""
    if not isinstance(resource, dict):
        return ABSENT
    kept = without_version(resource)
    return {name: value for name, value in kept.items() if name != "meta" or value != {}}


def _is_it(exchange: Exchange, write: Exchange) -> bool:
    """Whether this is the write itself; what a journal keeps of it may be less than what was sent."""
    one, other = (
        (each.client, each.sent_at, each.request.method, each.if_match, each.verdict) for each in (exchange, write)
    )
    return one == other


def _place(exchange: Exchange) -> str:
    return exchange.request.url.partition("?")[0]


def _when(exchange: Exchange, write: Exchange) -> _When:
    if exchange.sent_at > write.sent_at:
        return _When.AFTER
    if exchange.elapsed is not None:
        over = exchange.sent_at + timedelta(seconds=exchange.elapsed) < write.sent_at
    else:  # a client sends its next request after its last was answered; of others that is not known
        over = exchange.client == write.client and exchange.sent_at < write.sent_at
    return _When.BEFORE if over else _When.UNCLEAR
