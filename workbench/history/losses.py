"""Find what was lost: the elements of an accepted update that a later one overwrote unseen.

A loss needs four bodies: what the update was made from, what it sent, what the later client had seen, and what that
client stored. Where the history does not hold them, the elements are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import whose
from workbench.fhir import json
from workbench.fhir.diff import ABSENT
from workbench.fhir.merge import Decision, Kind, merge
from workbench.fhir.resource import identity, without_version
from workbench.history.events import Deed, Track, Version, Write

_MOST_COMPARED: Final = 500
"""Pairs of writes that are compared element by element. A race without a lock has far more, all of one kind."""

Order = Sequence[tuple[str, Write | None]]
"""Version ids in order, each with the accepted write that made it, if one did."""


@runtime_checkable
class Exchanges(Protocol):
    """A sequence of exchanges: a journal, a list or a tuple."""

    def __getitem__(self, index: int, /) -> Exchange: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Exchange]: ...


@dataclass(frozen=True, slots=True)
class Loss:
    """An accepted update that was overwritten by a client that had not seen it.

    ``client`` made the update. ``elements`` are the changes that were lost; empty where the history no longer holds the
    bodies. ``written`` and ``overwritten`` are the numbers of the two exchanges.
    """

    client: str
    elements: tuple[Decision, ...]
    written: int = 0
    overwritten: int = 0

    def __str__(self) -> str:
        if not self.elements:
            return (
                f"{whose(self.client)} update ({self.written:,}); the bodies that would name its elements are not kept"
            )
        return f"{whose(self.client)} {', '.join(decision.path for decision in self.elements)}"


class Contents:
    """The content that each write sent and each version held; ``None`` where the history does not show it."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    def sent(self, seq: int) -> dict[str, Any] | None:
        """Return the resource that a write sent, without its version."""
        exchange = self._exchanges[seq - 1]
        if exchange.request.method not in ("PUT", "POST") or not exchange.request.body:
            return None
        try:
            resource = json.parse(exchange.request.body)
        except BadInput:
            return None
        if isinstance(resource, dict) and exchange.request.method == "POST":
            resource = {"resourceType": exchange.resource_type, "id": exchange.logical_id} | resource
        return _of(exchange, resource)

    def read(self, seq: int) -> dict[str, Any] | None:
        """Return the resource that a read returned, without its version."""
        return _of(self._exchanges[seq - 1], self._exchanges[seq - 1].resource) if seq else None

    def held(self, version: Version) -> dict[str, Any] | None:
        """Return the content of a version: as it was sent, else as it was read."""
        sent = self.sent(version.made_by.seq) if version.made_by else None
        return self.read(version.read_in) if sent is None else sent

    def same(self, one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool | None:
        """Whether two resources are equal; ``None`` where one of them is unknown."""
        return None if one is None or other is None else json.same(one, other)


def _of(exchange: Exchange, resource: Any) -> dict[str, Any] | None:
    try:
        about = identity(resource)
    except BadInput:
        return None
    return without_version(resource) if about == (exchange.resource_type, exchange.logical_id) else None


def overwrites(order: Order) -> Iterator[tuple[Write, Write]]:
    """Yield pairs of accepted writes: the earlier one, and the one that overwrote it without having seen it."""
    position = {version: number for number, (version, _) in enumerate(order)}
    for number, (_, write) in enumerate(order):
        if write is None:
            continue
        seen = position.get(write.base, -1) if write.base is not None else -1
        for _, earlier in order[seen + 1 : number]:
            if earlier is not None and earlier.client != write.client and earlier.deed is not Deed.DELETE:
                yield earlier, write


def find_losses(track: Track, order: Order, contents: Contents) -> Iterator[Loss]:
    """Yield each client's first loss, in order. An update whose elements were all kept is skipped."""
    reported: set[str] = set()
    unknown: dict[str, Loss] = {}
    for compared, (earlier, later) in enumerate(overwrites(order)):
        if compared == _MOST_COMPARED:
            break
        if earlier.client in reported:
            continue
        gone = vanished(track, earlier, later, contents)
        if gone is None:
            unknown.setdefault(earlier.client, Loss(earlier.client, (), earlier.seq, later.seq))
        elif gone:
            reported.add(earlier.client)
            yield Loss(earlier.client, gone, earlier.seq, later.seq)
    yield from (loss for client, loss in unknown.items() if client not in reported)


def vanished(track: Track, earlier: Write, later: Write, contents: Contents) -> tuple[Decision, ...] | None:
    """Return the changes of ``earlier`` that ``later`` had not seen and removed; ``None`` where bodies are missing."""
    base, draft = _base(track, earlier, contents), contents.sent(earlier.seq)
    if base is None or draft is None:
        return None
    seen = base if later.base is None else contents.held(track.version(later.base))
    stored = base if later.deed is Deed.DELETE else contents.sent(later.seq)
    if seen is None or stored is None:
        return None
    unseen = {_sense(decision) for decision in _missing(base, draft, seen)}
    # Paths have the indices of the draft. Compared with what is stored now, the indices would differ.
    own = {_sense(decision): decision for decision in _missing(base, draft, base)}
    gone = (decision for decision in _missing(base, draft, stored) if _sense(decision) in unseen)
    return tuple(own.get(_sense(decision), decision) for decision in gone)


def _base(track: Track, write: Write, contents: Contents) -> dict[str, Any] | None:
    if write.deed is Deed.CREATE:
        kind, _, logical_id = track.name.partition("/")
        return {"resourceType": kind, "id": logical_id}
    return contents.held(track.version(write.base)) if write.base is not None else None


def _missing(base: dict[str, Any], draft: dict[str, Any], stored: dict[str, Any]) -> list[Decision]:
    """Return the changes from ``base`` to ``draft`` that are not in ``stored``."""
    return [each for each in merge(base, draft, stored).decisions if each.kind in (Kind.ONLY_MINE, Kind.CONFLICT)]


def _sense(decision: Decision) -> tuple[str, str]:
    """Return a key for a change that does not depend on its position: its path without indices, and its value."""
    value = "" if decision.mine is ABSENT else json.dumps(decision.mine)
    return re.sub(r"\[\d+\]", "", decision.path), value
