"""Find out what became of a write without an answer, from a later read and the journal.

``history.events`` reads each exchange, here as in the check of the history. ``Evidence`` collects what bears on
the write. An outcome is never a guess:

* A write may arrive after the read. So a read of the old version means *not landed so far*.
  Sending it again with the same ``If-Match`` is safe: one version is replaced once (contract UPD-13).
* A server does not say who wrote a version. So *landed* means that the stored content is what was sent.
  Where another client stored, or may have stored, the same content, the author cannot be known.
* If another write with the same ``If-Match`` was accepted, this one was not, provided that the endpoint
  keeps to its lock. That is known only where the endpoint refused a stale version and no version was replaced
  twice (UPD-6).

A journal may redact what it keeps. The write and the read must be redacted by the same journal
(``Journal.redacted``), because they are compared with its exchanges.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.message import SAFE_METHODS, Exchange
from workbench.exchange.verdict import Verdict, left_open
from workbench.fhir import json, markup
from workbench.fhir.diff import ABSENT
from workbench.fhir.printable import printable
from workbench.fhir.resource import without_version
from workbench.history.events import Deed, Event, Said, named_version, read_event


class Landing(enum.Enum):
    """What became of a write without an answer. The value is for people."""

    LANDED = "landed"
    """The endpoint stored what was sent."""
    NOT_SO_FAR = "not landed so far"
    """The earlier version is still the current one; the write may yet arrive."""
    DID_NOT_LAND = "did not land"
    """Another write replaced the version it named, and the endpoint keeps to its lock."""
    CANNOT_BE_KNOWN = "cannot be known"
    """Neither the read nor the journal shows it."""

    def __repr__(self) -> str:
        return f"Landing.{self.name}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of a write without an answer.

    ``because`` says in one sentence why that is known. ``read`` is the read that showed it, or
    ``None`` where there was nothing to read.
    """

    outcome: Landing
    because: str
    read: Exchange | None

    @property
    def landed(self) -> bool:
        """Whether the endpoint is known to have stored what was sent."""
        return self.outcome is Landing.LANDED

    @property
    def settled(self) -> bool:
        """Whether the outcome is final: it landed, or it never will."""
        return self.outcome in (Landing.LANDED, Landing.DID_NOT_LAND)

    def __str__(self) -> str:
        return printable(f"{self.outcome.value}: {self.because}")

    def _repr_html_(self) -> str:
        tone = "good" if self.landed else "neutral" if self.settled else "warn"
        return markup.block(tone, markup.chip(self.outcome.value, tone), self.because)


def check_open(write: Exchange) -> None:
    """Raise ``BadInput`` for an exchange that is no write, was never sent, or was answered."""
    what = f"The {write.interaction} of {write.target}"
    if write.request.method in SAFE_METHODS:
        raise BadInput(f"{what} changes nothing, so there is nothing to find out; send it again.")
    if not write.sent:
        raise BadInput(f"{what} was never sent, so it did not land; send it again.")
    if not left_open(write):
        raise BadInput(f"{what} was answered {write.status} ({write.verdict.value}); there is nothing to find out.")


def unreadable(write: Exchange) -> Resolution | None:
    """Return the resolution of a write that no read can show, such as a create; else ``None``."""
    if _BLANKED.search(write.logical_id):
        because = "the journal has replaced the id; resolve the exchange that the client returned."
        return Resolution(Landing.CANNOT_BE_KNOWN, because, None)
    if write.logical_id:
        return None
    because = f"this {write.interaction} is not about one resource that could be read; look for what it was to do."
    if write.interaction == "create":
        because = (
            f"the endpoint chooses the id of a new {write.resource_type}, and the answer with it was lost: "
            "search for what you sent before you send it again, or it may be there twice."
        )
    return Resolution(Landing.CANNOT_BE_KNOWN, because, None)


_BLANKED: Final = re.compile(r"\bredacted-[0-9]+\b")
"""What a journal writes in place of a personal id."""


def resolve(write: Exchange, read: Exchange, journal: Iterable[Exchange]) -> Resolution:
    """Return what became of ``write``, from a ``read`` that began after it had ended, and the journal.

    The journal may hold other exchanges, in any order. The more clients share it, the more can be known.
    """
    check_open(write)
    evidence = gather(write, (exchange for exchange in journal if exchange != read))
    if taken := _taken(evidence):
        outcome, because = Landing.DID_NOT_LAND, taken
    elif read.verdict not in (Verdict.READ, Verdict.NOT_FOUND):
        because = "the read that was to show it brought no resource either, so it cannot be known yet; ask again."
        outcome = Landing.CANNOT_BE_KNOWN
    elif read.verdict is Verdict.NOT_FOUND:
        outcome, because = _gone(evidence)
    else:
        outcome, because = _there(evidence, read)
    return Resolution(outcome, because, read)


def holds(write: Exchange, read: Exchange) -> bool:
    """Return whether a read shows exactly what a write sent, except for what the server writes itself."""
    return read.verdict is Verdict.READ and json.same(sent_content(write), own_part(read.resource))


Judgement = tuple[Landing, str]
"""An outcome and the sentence why it is known."""


def _taken(evidence: Evidence) -> str:
    """Return why the write did not land: another write replaced the version it named. Else empty."""
    taker = evidence.taker
    if taker is None or not evidence.keeps_lock:
        return ""
    whose = f"{taker.client}'s {taker.interaction}"
    if taker.client == evidence.write.client:
        whose = f"another {taker.interaction} of {taker.client}'s"
    return (
        f"{whose} named version {evidence.named} too and was accepted, and this endpoint keeps to its lock: "
        "of all that name one version it accepts one."
    )


def _gone(evidence: Evidence) -> Judgement:
    """Judge a read that found no such resource."""
    write = evidence.write
    if write.request.method != "DELETE":
        return _seen_stored(evidence) or (
            Landing.CANNOT_BE_KNOWN,
            f"there is no {write.target} now: somebody has deleted it, and the endpoint keeps no history.",
        )
    if evidence.deletes:
        gone = f"it is gone, but it was {evidence.deletes[0].client}'s delete that was accepted"
        if evidence.keeps_lock and evidence.named is not None:
            return Landing.DID_NOT_LAND, f"{gone}, and this endpoint keeps to its lock."
        return Landing.CANNOT_BE_KNOWN, f"{gone}; whether this one was too is not known."
    if others := evidence.others:
        by = others[0].client
        return Landing.CANNOT_BE_KNOWN, f"it is gone, but {by} tried to delete it too and was not answered either."
    if evidence.named is None and not evidence.before:
        return Landing.CANNOT_BE_KNOWN, f"there is no {write.target}, but whether there ever was one is not known."
    return Landing.LANDED, "it is gone, as was asked."


def _there(evidence: Evidence, read: Exchange) -> Judgement:
    """Judge a read that returned the resource."""
    version = read_event(read).version
    if version is None:
        return Landing.CANNOT_BE_KNOWN, "the endpoint does not say which version it has."
    same = evidence.sent_is(read.resource)
    if version == evidence.named or version in evidence.before:
        return _still(evidence, version, same=same)
    if same and version not in evidence.made:
        return _is_there(evidence, version)
    return _seen_stored(evidence) or (Landing.CANNOT_BE_KNOWN, _moved_on(evidence, version, same=same))


def _still(evidence: Evidence, version: str, *, same: bool) -> Judgement:
    """Judge a read that shows a version from before the write."""
    if same:
        return Landing.CANNOT_BE_KNOWN, (
            f"version {version}, which was there before, already held exactly what was sent, so it makes no difference."
        )
    over = "" if evidence.named else ", and as it names no version it would then be carried out whatever is there"
    return Landing.NOT_SO_FAR, (
        f"version {version}, which was there before, is still the current one; "
        f"the {evidence.write.interaction} may yet arrive{over}."
    )


def _is_there(evidence: Evidence, version: str) -> Judgement:
    """Judge a read that shows what was sent, in a version of unknown author."""
    there = f"version {version}, the current one, holds exactly what was sent"
    if version in evidence.unclear:
        return Landing.CANNOT_BE_KNOWN, f"{there}, but it may have been there before."
    if evidence.named is None and not evidence.before:
        return Landing.CANNOT_BE_KNOWN, f"{there}, but what was there before is not known, so it may have been that."
    return _unless_anothers(evidence, there)


def _seen_stored(evidence: Evidence) -> Judgement | None:
    """Judge an earlier read that showed what was sent, in a version replaced since; else ``None``."""
    free = (v for v in evidence.stored_as if v not in evidence.made | dict.fromkeys(evidence.before | evidence.unclear))
    version = next(free, None)
    if version is None:
        return None
    reader = evidence.stored_as[version].client
    return _unless_anothers(
        evidence, f"{reader} was shown version {version}, which held exactly what was sent and has been replaced since"
    )


def _unless_anothers(evidence: Evidence, there: str) -> Judgement:
    if others := evidence.others:
        return Landing.CANNOT_BE_KNOWN, (
            f"{there}, but {others[0].client} sent the very same with {others[0].if_match or 'no If-Match'} and got "
            "no answer either: its author is unknown."
        )
    if taker := evidence.taker:
        return Landing.CANNOT_BE_KNOWN, (
            f"{there}, but it was {taker.client} whose {taker.interaction} of version {evidence.named} was accepted: "
            "who wrote this is not known."
        )
    sent = f"; it was sent {evidence.times} times in all" if evidence.times > 1 else ""
    return Landing.LANDED, f"{there}{sent} (the very same sent by somebody else would look no different)."


def _moved_on(evidence: Evidence, version: str, *, same: bool) -> str:
    """Return why a new version with other content proves nothing."""
    maker = evidence.made.get(version)
    by = f", which {maker.client} wrote," if maker else ""
    if same:
        return f"version {version}{by} holds exactly what was sent, and what was there just before it is not known."
    if taker := evidence.taker:
        return (
            f"{taker.client} replaced version {evidence.named} as well; this one did not land if the endpoint keeps "
            "to its lock, but it has not been seen to refuse anybody."
        )
    if evidence.write.request.dropped:
        return f"version {version}{by} is there now, and what was sent is no longer kept, so nothing can be compared."
    if evidence.content is ABSENT:
        return f"version {version}{by} is there now, and this {evidence.write.interaction} says nothing to compare."
    return (
        f"version {version}{by} is there now and holds something else: somebody has written since, "
        "and the endpoint keeps no history."
    )


# --- the evidence in the journal ---


class _When(enum.Enum):
    """When an exchange took place: it ended before the write began, it began after it, or neither is certain."""

    BEFORE = enum.auto()
    AFTER = enum.auto()
    UNCLEAR = enum.auto()


@dataclass(slots=True)
class Evidence:
    """What a journal shows about one write without an answer, by version."""

    write: Exchange
    named: str | None
    """The version in its ``If-Match``."""
    content: Any
    """What it sent, without what the server writes; ``ABSENT`` for no resource, or one no longer kept."""
    before: set[str] = field(default_factory=set)
    """Versions that were current before it was sent."""
    unclear: set[str] = field(default_factory=set)
    """Versions whose order is unknown."""
    made: dict[str, Exchange] = field(default_factory=dict)
    """By version: the accepted write that made it."""
    replaced: dict[str, list[Exchange]] = field(default_factory=dict)
    """By version: the accepted writes that named it, and so replaced it."""
    deletes: list[Exchange] = field(default_factory=list)
    """The accepted deletes."""
    stored_as: dict[str, Exchange] = field(default_factory=dict)
    """By version: a read that began after the write was sent and shows what it sent."""
    same: list[Exchange] = field(default_factory=list)
    """Other writes of what is, or may be, the same content; each may have made an unknown version."""
    refused: bool = False
    """Whether the endpoint has refused a stale version."""

    @property
    def keeps_lock(self) -> bool:
        """Whether the endpoint is known to check ``If-Match``: it refused one, and accepted none twice."""
        return self.refused and all(len(writes) == 1 for writes in self.replaced.values())

    @property
    def taker(self) -> Exchange | None:
        """An accepted write that named the same version, and so replaced it."""
        return next(iter(self.replaced.get(self.named or "", [])), None)

    @property
    def others(self) -> list[Exchange]:
        """Writes of the same content that may have landed, except for repetitions of this one."""
        others = [exchange for exchange in self.same if not self._is_again(exchange)]
        if not self.keeps_lock:
            return others
        return [exchange for exchange in others if named_version(exchange.if_match) not in self.replaced]

    @property
    def times(self) -> int:
        """How often this request was sent without an answer."""
        return 1 + sum(map(self._is_again, self.same))

    def _is_again(self, exchange: Exchange) -> bool:
        return (exchange.client, exchange.if_match) == (self.write.client, self.write.if_match)

    def sent_is(self, resource: Any) -> bool:
        """Return whether a resource is exactly what was sent, except for what the server writes itself."""
        return self.content is not ABSENT and json.same(self.content, own_part(resource))

    def add(self, exchange: Exchange, event: Event) -> None:
        """Add another exchange about the same resource."""
        shown = event.version
        if event.said is Said.ACCEPTED:
            self._accept(exchange, event)
        elif event.said is Said.OPEN and self._sends_the_same(exchange):
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

    def _accept(self, exchange: Exchange, event: Event) -> None:
        if event.deed is Deed.DELETE:
            self.deletes.append(exchange)
        elif event.version is None:
            if self._sends_the_same(exchange):
                self.same.append(exchange)
        elif event.version != event.named:  # a server may make no new version of unchanged content
            self.made[event.version] = exchange
        if event.named is not None and event.version != event.named:
            self.replaced.setdefault(event.named, []).append(exchange)

    def _sends_the_same(self, exchange: Exchange) -> bool:
        if exchange.request.method != self.write.request.method:
            return False
        if exchange.request.dropped or self.write.request.dropped:
            return True  # a body that is no longer kept may have been the same
        return exchange.request.body == self.write.request.body or self.sent_is(sent_content(exchange))


def gather(write: Exchange, journal: Iterable[Exchange]) -> Evidence:
    """Return the evidence about this write, in one pass. It parses only bodies of the same resource."""
    evidence = Evidence(write, named_version(write.if_match), sent_content(write))
    url = _url(write)
    base = url.removesuffix(write.target)
    for exchange in journal:
        if exchange.verdict is Verdict.STALE and exchange.request.url.startswith(base):
            evidence.refused = True
        if _url(exchange) == url and not _is_it(exchange, write):
            evidence.add(exchange, read_event(exchange))
    return evidence


def sent_content(write: Exchange) -> Any:
    """Return what a PUT sent, without what the server writes itself; ``ABSENT`` for another request."""
    if write.request.method != "PUT":
        return ABSENT
    try:
        return own_part(json.parse(write.request.body))
    except MalformedJSON:
        return ABSENT


def own_part(resource: Any) -> Any:
    """Return a resource without its version, and without an empty ``meta``."""
    if not isinstance(resource, dict):
        return ABSENT
    kept = without_version(resource)
    return {name: value for name, value in kept.items() if name != "meta" or value != {}}


def _is_it(exchange: Exchange, write: Exchange) -> bool:
    """Return whether this is the write itself, of which the journal may keep less than was sent."""

    def key(each: Exchange) -> tuple[object, ...]:
        return each.client, each.sent_at, each.request.method, each.if_match, each.verdict

    return key(exchange) == key(write)


def _url(exchange: Exchange) -> str:
    return exchange.request.url.partition("?")[0]


def _when(exchange: Exchange, write: Exchange) -> _When:
    if exchange.sent_at > write.sent_at:
        return _When.AFTER
    if exchange.elapsed is not None:
        over = exchange.sent_at + timedelta(seconds=exchange.elapsed) < write.sent_at
    else:  # a client sends one request after the other; of two clients the order is unknown
        over = exchange.client == write.client and exchange.sent_at < write.sent_at
    return _When.BEFORE if over else _When.UNCLEAR
