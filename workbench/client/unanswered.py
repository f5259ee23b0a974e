"""Find out what became of a write without an answer, from a later read and the journal.

``history.events`` reads each exchange, here as in the check of the history. ``_Evidence`` collects what shows
something about the write. An outcome is never a guess:

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
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from workbench.errors import BadInput, MalformedJSON
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict, changes_nothing, left_open, whose
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
    if changes_nothing(write.request.method, write.request.url):
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


def holds(write: Exchange, read: Exchange) -> bool:
    """Return whether a read shows exactly what a write sent, except for what the server writes itself."""
    return read.verdict is Verdict.READ and json.same(_sent_content(write), _own_part(read.resource))


Judgement = tuple[Landing, str]
"""An outcome and the sentence why it is known."""


def resolve(write: Exchange, read: Exchange, journal: Iterable[Exchange]) -> Resolution:
    """Return what became of ``write``, from a ``read`` that began after it had ended, and the journal.

    The journal may hold other exchanges, in any order. The more clients share it, the more can be known.
    """
    check_open(write)
    evidence = _Evidence(write, (exchange for exchange in journal if exchange != read))
    taker = evidence.taker
    if taker and evidence.keeps_lock:
        other = f"{whose(taker.client)} {taker.interaction}"
        if taker.client == write.client:
            other = f"another {taker.interaction} of {taker.client}"
        outcome, because = (
            Landing.DID_NOT_LAND,
            (
                f"{other} named version {evidence.named} too and was accepted, and this endpoint keeps to its lock: "
                "of all that name one version it accepts one."
            ),
        )
    elif read.verdict is Verdict.READ:
        outcome, because = _judge_shown(evidence, read)
    elif read.verdict is Verdict.NOT_FOUND:
        outcome, because = _judge_absent(evidence)
    else:
        outcome = Landing.CANNOT_BE_KNOWN
        because = "the read that was to show it brought no resource either, so it cannot be known yet; ask again."
    return Resolution(outcome, because, read)


def _judge_absent(evidence: _Evidence) -> Judgement:
    """Judge a read that found no such resource."""
    write = evidence.write
    if write.request.method != "DELETE":
        gone = f"there is no {write.target} now: it was deleted, and the endpoint keeps no history."
        return _judge_earlier_reads(evidence) or (Landing.CANNOT_BE_KNOWN, gone)
    if evidence.deletes:
        gone = f"it is gone, but it was {whose(evidence.deletes[0].client)} delete that was accepted"
        if evidence.keeps_lock and evidence.named is not None:
            return Landing.DID_NOT_LAND, f"{gone}, and this endpoint keeps to its lock."
        return Landing.CANNOT_BE_KNOWN, f"{gone}; whether this one was too is not known."
    if others := evidence.others:
        by = others[0].client
        return Landing.CANNOT_BE_KNOWN, f"it is gone, but {by} tried to delete it too and was not answered either."
    if evidence.knows_nothing_before:
        return Landing.CANNOT_BE_KNOWN, f"there is no {write.target}, but whether there ever was one is not known."
    return Landing.LANDED, "it is gone, as was asked."


def _judge_shown(evidence: _Evidence, read: Exchange) -> Judgement:
    """Judge a read that returned the resource."""
    version = read_event(read).version
    if version is None:
        return Landing.CANNOT_BE_KNOWN, "the endpoint does not say which version it has."
    same = evidence.is_sent(read.resource)
    if version == evidence.named or version in evidence.before:
        there = f"version {version}, which was there before,"
        if same:
            already = f"{there} already held exactly what was sent, so it makes no difference."
            return Landing.CANNOT_BE_KNOWN, already
        blind = "" if evidence.named else ", and as it names no version it would then overwrite any version"
        return Landing.NOT_SO_FAR, (
            f"{there} is still the current one; the {evidence.write.interaction} may yet arrive{blind}."
        )
    if not same or version in evidence.made:
        return _judge_earlier_reads(evidence) or (Landing.CANNOT_BE_KNOWN, _why_open(evidence, version, same=same))
    there = f"version {version}, the current one, holds exactly what was sent"
    if version in evidence.unclear:
        return Landing.CANNOT_BE_KNOWN, f"{there}, but it may have been there before."
    if evidence.knows_nothing_before:
        return Landing.CANNOT_BE_KNOWN, f"{there}, but what was there before is not known, so it may have been that."
    return _judge_author(evidence, there)


def _judge_earlier_reads(evidence: _Evidence) -> Judgement | None:
    """Judge an earlier read that showed what was sent, in a version replaced since; else ``None``."""
    for version, reader in evidence.stored_as.items():
        if version not in evidence.before | evidence.unclear | evidence.made.keys():
            held = "which held exactly what was sent and has been replaced since"
            return _judge_author(evidence, f"{reader.client} was shown version {version}, {held}")
    return None


def _judge_author(evidence: _Evidence, there: str) -> Judgement:
    """Judge a version of unknown author that holds what was sent."""
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
    times = 1 + len(evidence.same)
    sent = f"; it was sent {times} times in all" if times > 1 else ""
    return Landing.LANDED, f"{there}{sent} (the same content sent by another client would look no different)."


def _why_open(evidence: _Evidence, version: str, *, same: bool) -> str:
    """Return why a new version with other content, or of another author, proves nothing."""
    maker = evidence.made.get(version)
    there = f"version {version}, which {maker.client} wrote," if maker else f"version {version}"
    if same:
        return f"{there} holds exactly what was sent, and what was there just before it is not known."
    if taker := evidence.taker:
        return (
            f"{taker.client} replaced version {evidence.named} as well; this one did not land if the endpoint keeps "
            "to its lock, but it has not been seen to refuse a stale version."
        )
    if evidence.write.request.dropped:
        return f"{there} is there now, and what was sent is no longer kept, so nothing can be compared."
    if evidence.content is ABSENT:
        return f"{there} is there now, and this {evidence.write.interaction} says nothing to compare."
    return (
        f"{there} is there now and holds something else: "
        "another client has written since, and the endpoint keeps no history."
    )


# --- the evidence in the journal ---


class _Evidence:
    """What a journal shows about one write without an answer. It parses only bodies of the same resource."""

    def __init__(self, write: Exchange, journal: Iterable[Exchange]) -> None:
        self.write = write
        self.named = named_version(write.if_match)
        self.content = _sent_content(write)

        refused, events = False, []
        url = _url(write)
        base = url.removesuffix(write.target)
        for exchange in journal:
            refused |= exchange.verdict is Verdict.STALE and exchange.request.url.startswith(base)
            if _url(exchange) == url and not self._is_write(exchange):
                events.append((exchange, read_event(exchange)))
        accepted = [(exchange, event) for exchange, event in events if event.said is Said.ACCEPTED]

        self.deletes = [exchange for exchange, event in accepted if event.deed is Deed.DELETE]
        # A server may make no new version of unchanged content: then version and named are equal.
        self.made = {
            event.version: exchange for exchange, event in accepted if event.version not in (None, event.named)
        }
        """By version: the accepted write that made it."""

        replaced: dict[str, list[Exchange]] = {}
        for exchange, event in accepted:
            if event.named is not None and event.version != event.named:
                replaced.setdefault(event.named, []).append(exchange)
        self.keeps_lock = refused and all(len(writes) == 1 for writes in replaced.values())
        """Whether the endpoint is known to check ``If-Match``: it refused one, and accepted none twice."""
        self.taker = next(iter(replaced.get(self.named or "", [])), None)
        """An accepted write that named the same version, and so replaced it."""

        unknown = [exchange for exchange, event in events if event.said is Said.OPEN or _made_unknown_version(event)]
        same = [exchange for exchange in unknown if self._sends_the_same(exchange)]
        sender = (write.client, write.if_match)
        self.same = [exchange for exchange in same if (exchange.client, exchange.if_match) == sender]
        """Repetitions of this write that may have been carried out."""
        self.others = [
            exchange
            for exchange in same
            if (exchange.client, exchange.if_match) != sender
            and not (self.keeps_lock and named_version(exchange.if_match) in replaced)
        ]
        """Other writes of what is, or may be, the same content, that may have been carried out."""

        self.before: set[str] = set()
        """Versions that were current before the write was sent."""
        self.unclear: set[str] = set()
        """Versions that were current before or after it was sent."""
        self.stored_as: dict[str, Exchange] = {}
        """By version: a read that began after the write was sent and shows what it sent."""
        for exchange, event in events:
            if event.version is None:
                continue
            if exchange.sent_at <= write.sent_at:
                (self.before if _ended_before(exchange, write) else self.unclear).add(event.version)
            elif exchange.verdict is Verdict.READ and event.version != self.named and self.is_sent(exchange.resource):
                self.stored_as.setdefault(event.version, exchange)

    @property
    def knows_nothing_before(self) -> bool:
        """Whether no version is known from before the write."""
        return self.named is None and not self.before

    def is_sent(self, resource: Any) -> bool:
        """Return whether a resource is exactly what was sent, except for what the server writes itself."""
        return self.content is not ABSENT and json.same(self.content, _own_part(resource))

    def _is_write(self, exchange: Exchange) -> bool:
        """Return whether this is the write itself; the journal may keep less of it than was sent."""

        def key(each: Exchange) -> tuple[object, ...]:
            return each.client, each.sent_at, each.request.method, each.if_match, each.verdict

        return key(exchange) == key(self.write)

    def _sends_the_same(self, exchange: Exchange) -> bool:
        one, other = exchange.request, self.write.request
        if one.method != other.method:
            return False
        # A body that is no longer kept may have been the same.
        return bool(one.dropped or other.dropped) or one.body == other.body or self.is_sent(_sent_content(exchange))


def _made_unknown_version(event: Event) -> bool:
    return event.said is Said.ACCEPTED and event.version is None and event.deed is not Deed.DELETE


def _sent_content(write: Exchange) -> Any:
    """Return what a PUT sent, without what the server writes itself; ``ABSENT`` for another request."""
    if write.request.method != "PUT":
        return ABSENT
    try:
        return _own_part(json.parse(write.request.body))
    except MalformedJSON:
        return ABSENT


def _own_part(resource: Any) -> Any:
    """Return a resource without its version, and without an empty ``meta``."""
    if not isinstance(resource, dict):
        return ABSENT
    kept = without_version(resource)
    return {name: value for name, value in kept.items() if name != "meta" or value != {}}


def _url(exchange: Exchange) -> str:
    return exchange.request.url.partition("?")[0]


def _ended_before(exchange: Exchange, write: Exchange) -> bool:
    """Return whether an exchange that did not begin later surely ended before the write began."""
    if exchange.elapsed is not None:
        return exchange.sent_at + timedelta(seconds=exchange.elapsed) < write.sent_at
    # A client sends one request after the other; of two clients the order is unknown.
    return exchange.client == write.client and exchange.sent_at < write.sent_at
