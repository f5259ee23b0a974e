"""What an overwritten update had put there, and what of it is gone.

Owns: the text of each version as far as the history still holds it, and the comparison that names the elements
that vanished. Which write overwrote which is ``chain``'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from workbench.exceptions import BadInput
from workbench.rules import json
from workbench.rules.compare import ABSENT
from workbench.rules.exchange import Exchange
from workbench.rules.history.moves import Deed, Track, Version, Write
from workbench.rules.merge import Decision, Kind, merge
from workbench.rules.resource import identity, without_version

_MOST_COMPARED: Final = 500
"""Pairs of writes that are compared element by element; a race without a lock has far more, and all are alike."""


@runtime_checkable
class Exchanges(Protocol):
    """A journal, a list: whatever holds exchanges by number."""

    def __getitem__(self, index: int, /) -> Exchange: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Exchange]: ...


@dataclass(frozen=True, slots=True)
class Loss:
    """Accepted and then overwritten by somebody who had not seen it: whose, and which elements.

    ``written`` and ``overwritten`` are the numbers of the two exchanges. ``elements`` is empty where the
    history no longer holds the bodies that would tell.
    """

    client: str
    elements: tuple[Decision, ...]
    written: int = 0
    overwritten: int = 0

    def __str__(self) -> str:
        if not self.elements:
            return f"{self.client}'s update ({self.written:,}); the bodies that would name its elements are not kept"
        return f"{self.client}'s {', '.join(decision.path for decision in self.elements)}"


class Contents:
    """The resource as each write sent it and each version held it; ``None`` where the history does not say."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    def sent(self, seq: int) -> dict[str, Any] | None:
        """What a write asked to have stored, without a version."""
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
        """What a read brought, without its version."""
        return _of(self._exchanges[seq - 1], self._exchanges[seq - 1].resource) if seq else None

    def held(self, version: Version) -> dict[str, Any] | None:
        """What a version holds: as it was sent, else as somebody read it."""
        sent = self.sent(version.made_by.seq) if version.made_by else None
        return self.read(version.read_in) if sent is None else sent

    def same(self, one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool | None:
        """Whether two resources say the same; ``None`` where one of them is not known."""
        return None if one is None or other is None else json.same(one, other)


def _of(exchange: Exchange, resource: Any) -> dict[str, Any] | None:
    try:
        about = identity(resource)
    except BadInput:
        return None
    return without_version(resource) if about == (exchange.resource_type, exchange.logical_id) else None


Overwrite = tuple[Write, Write]
"""An accepted write, and the one that replaced what it had stored without having seen it."""


Order = Sequence[tuple[str, Write | None]]
"""Versions in the order in which they came, each with the accepted write that made it, if one did."""


def overwrites(order: Order) -> Iterator[Overwrite]:
    """Whose accepted write was overwritten unseen by whose."""
    place = {version: number for number, (version, _) in enumerate(order)}
    for number, (_, write) in enumerate(order):
        if write is None:
            continue
        seen = place.get(write.base, -1) if write.base is not None else -1
        for _, earlier in order[seen + 1 : number]:
            if earlier is not None and earlier.client != write.client and earlier.deed is not Deed.DELETE:
                yield earlier, write


def losses(track: Track, order: Order, contents: Contents) -> Iterator[Loss]:
    """Each client's first loss, in order; nothing for an update of which every element is still there."""
    told: set[str] = set()
    unknown: dict[str, Loss] = {}
    for compared, (earlier, later) in enumerate(overwrites(order)):
        if compared == _MOST_COMPARED:
            break
        if earlier.client in told:
            continue
        gone = vanished(track, earlier, later, contents)
        if gone is None:
            unknown.setdefault(earlier.client, Loss(earlier.client, (), earlier.seq, later.seq))
        elif gone:
            told.add(earlier.client)
            yield Loss(earlier.client, gone, earlier.seq, later.seq)
    yield from (loss for client, loss in unknown.items() if client not in told)


def vanished(track: Track, earlier: Write, later: Write, contents: Contents) -> tuple[Decision, ...] | None:
    """What ``earlier`` changed, ``later`` had not seen, and is no longer there; ``None`` where bodies are missing."""
    base, draft = _base(track, earlier, contents), contents.sent(earlier.seq)
    if base is None or draft is None:
        return None
    seen = base if later.base is None else contents.held(track.version(later.base))
    stored = base if later.deed is Deed.DELETE else contents.sent(later.seq)
    if seen is None or stored is None:
        return None
    unseen = {_sense(decision) for decision in _missing(base, draft, seen)}
    # By the places they had in the draft: beside what is stored now they would be counted differently.
    own = {_sense(decision): decision for decision in _missing(base, draft, base)}
    gone = (decision for decision in _missing(base, draft, stored) if _sense(decision) in unseen)
    return tuple(own.get(_sense(decision), decision) for decision in gone)


def _base(track: Track, write: Write, contents: Contents) -> dict[str, Any] | None:
    if write.deed is Deed.CREATE:
        kind, _, logical_id = track.name.partition("/")
        return {"resourceType": kind, "id": logical_id}
    return contents.held(track.version(write.base)) if write.base is not None else None


def _missing(base: dict[str, Any], draft: dict[str, Any], stored: dict[str, Any]) -> list[Decision]:
    """The changes from ``base`` to ``draft`` that are not in ``stored``."""
    return [each for each in merge(base, draft, stored).decisions if each.kind in (Kind.ONLY_MINE, Kind.CONFLICT)]


def _sense(decision: Decision) -> tuple[str, str]:
    """What a change says wherever it stands: its path without indices, and its value."""
    value = "" if decision.mine is ABSENT else json.dumps(decision.mine)
    return re.sub(r"\[\d+\]", "", decision.path), value
