"""Check a history: could a correct endpoint have given these answers, and what was lost if not.

``events`` reads the exchanges, ``chain`` puts the versions in order; this module holds the order against the clock,
puts each flaw into a sentence, and names the elements that vanished.

Each version began at one moment, and each answer is a condition on these moments. An answer that shows a version
says: it began before the answer ended, and the next one began after the request started. A refusal of a version (a
409 for its ``If-Match``) says: it began after the request started, *or* the next one began before the answer ended.
So every condition is a bound, or of the form "if the next version began late, this one began late". Such conditions
have a smallest solution: one pass from the front and one from the back find it, or find the contradiction.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, islice, pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from workbench.exceptions import BadInput
from workbench.rules import json
from workbench.rules.compare import ABSENT
from workbench.rules.exchange import Exchange
from workbench.rules.history.chain import (
    MOST_PIECES,
    Arrangement,
    Chain,
    Makers,
    Placed,
    arrangements,
    extended,
    groups,
    joined,
    pieces_of,
)
from workbench.rules.history.events import (
    ALWAYS,
    NEVER,
    Answer,
    Deed,
    Moment,
    Said,
    Track,
    Version,
    Write,
    read_event,
    read_tracks,
)
from workbench.rules.merge import Decision, Kind, merge
from workbench.rules.resource import identity, without_version

_MOST_ORDERS: Final = 5040
"""Orders that are tried: all of seven pieces."""

_MOST_STEPS: Final = 2_000_000
"""Versions that are looked at while orders are tried."""

_MOST_OVERWRITTEN: Final = 200
"""Blind writes that are compared with what they overwrote."""

_MOST_COMPARED: Final = 500
"""Pairs of writes that are compared element by element; a race without a lock has far more, and all are alike."""

_LONGEST_CIRCLE: Final = 50


class Flaw(enum.Enum):
    """What no correct endpoint does. The value is the words that a table shows."""

    FORK = "one version replaced twice"
    """Two writes named the same version and both were accepted: one of them was lost."""
    OVERWRITTEN = "written over unseen"
    """A write without a lock replaced a version that its client had not seen."""
    DUPLICATE = "an ETag used twice"
    CIRCLE = "versions that follow each other in a circle"
    CREATED_TWICE = "created twice"
    NOBODYS = "a version nobody wrote"
    REFUSED_YET_DONE = "refused and yet carried out"
    BOTH = "landed and did not land"
    """A write that was not answered took effect, and also did not."""
    STALE_READ = "an old version after a newer one"
    FUTURE = "a version before it was written"
    WRONGLY_STALE = "the current version refused as stale"
    VANISHED = "not found though nobody deleted it"
    REVIVED = "deleted and there again"


_LOST: Final = frozenset({Flaw.FORK, Flaw.OVERWRITTEN})
"""The flaws by which an update is lost."""


_OF_ORDER: Final = frozenset(
    {Flaw.NOBODYS, Flaw.BOTH, Flaw.STALE_READ, Flaw.FUTURE, Flaw.WRONGLY_STALE, Flaw.VANISHED, Flaw.REVIVED}
)
"""The flaws that depend on the order of versions."""

_MOST_SHRUNK: Final = 64
"""Exchanges of which the few that show a flaw are looked for by leaving out one after the other."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw: of which resource, shown by which exchanges (their numbers, ascending), in a sentence."""

    flaw: Flaw
    resource: str
    exchanges: tuple[int, ...]
    words: str

    def __str__(self) -> str:
        return self.words


# --- the question and its answer ---


@runtime_checkable
class Exchanges(Protocol):
    """A journal, a list: whatever holds exchanges by number."""

    def __getitem__(self, index: int, /) -> Exchange: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Exchange]: ...


@dataclass(frozen=True)
class Proof:
    """Sound, or not and why.

    ``findings`` are the flaws, the one that the fewest exchanges show first. ``landed`` says of each write that
    was not answered, by its number, whether it took effect: ``None`` where that is not known. ``notes`` are
    sentences about what could not be decided; ``undecided`` names the resources of which that is so.
    """

    exchanges: int
    resources: int
    findings: tuple[Finding, ...]
    landed: Mapping[int, bool | None]
    notes: tuple[str, ...]
    undecided: tuple[str, ...] = ()
    _losses: Iterable[Loss] = field(default=(), repr=False, compare=False)

    @property
    def sound(self) -> bool:
        """Whether the endpoint can have been correct, as far as that is decided."""
        return not self.findings

    @property
    def witness(self) -> tuple[int, ...]:
        """The numbers of the smallest set of exchanges that shows a flaw; none where it is sound."""
        return self.findings[0].exchanges if self.findings else ()

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """What was accepted and then overwritten by somebody who had not seen it: each client's first loss."""
        return tuple(self._losses)

    def explain(self) -> str:
        """One paragraph for a person: the verdict, what shows it, what was lost, what is not known."""
        held = f"{self.exchanges:,} exchanges about {self.resources:,} resource{'' if self.resources == 1 else 's'}"
        if self.findings:
            more = len(self.findings) - 1
            sentences = [f"Unsound, in {held}.", self.findings[0].words]
            sentences += [f"There are {more:,} more findings."] if more > 1 else ["There is one more finding."] * more
            sentences += [f"Lost: {'; '.join(map(str, self.losses))}."] if self.losses else []
        elif self.undecided:
            sentences = [f"Undecided, in {held}."]
        else:
            sentences = [f"Sound: the endpoint can have been correct in these {held}."]
        return " ".join([*sentences, *self.notes])

    def __str__(self) -> str:
        return self.explain()

    def __repr__(self) -> str:
        verdict = "undecided" if self.undecided else "sound"
        return f"<Proof: {f'unsound: {self.findings[0].flaw.value} {self.witness}' if self.findings else verdict}>"


class History:
    """Exchanges of however many clients, as evidence."""

    def __init__(self, exchanges: Exchanges, *, in_turn: bool, skew: float) -> None:
        self._exchanges = exchanges
        self._in_turn, self._skew = in_turn, round(skew * 1_000_000)

    def check(self, resource: str | None = None) -> Proof:
        """Decide it, for all resources or for one (``Type/id``)."""
        count = len(self._exchanges)
        tracks = read_tracks(lambda: islice(self._exchanges, count), in_turn=self._in_turn, skew=self._skew)
        about = count
        if resource is not None:
            tracks = [track for track in tracks if track.name == resource]
            about = sum(exchange.target == resource for exchange in islice(self._exchanges, count))
        contents = Contents(self._exchanges)
        results = [_Check(track, contents, self._who).run() for track in tracks]
        findings = [self._by_itself(finding) for result in results for finding in result.findings]
        landed = {seq: fate for result in results for seq, fate in result.landed.items()}
        lost = [result for result in results if any(finding.flaw in _LOST for finding in result.findings)]
        return Proof(
            about,
            len(tracks),
            tuple(sorted(findings, key=lambda finding: (len(finding.exchanges), finding.exchanges))),
            MappingProxyType(landed),
            (*self._open(landed), *(note for result in results for note in result.notes)),
            tuple(result.track.name for result in results if not result.decided),
            _Losses(lost, contents),
        )

    def _who(self, seq: int) -> str:
        return f"{self._exchanges[seq - 1].client} ({seq:,})"

    def _by_itself(self, finding: Finding) -> Finding:
        """The finding with a witness that shows it by itself, where its resource has few exchanges.

        Where writes without an answer leave the order of versions open, more exchanges can be needed than the first
        order that was tried contradicts.
        """
        if finding.flaw not in _OF_ORDER or self._is_possible(finding.exchanges, finding.resource) is False:
            return finding
        every = [seq for seq, exchange in enumerate(self._exchanges, 1) if exchange.target == finding.resource]
        if len(every) > _MOST_SHRUNK:
            return finding
        for seq in tuple(every):
            rest = [each for each in every if each != seq]
            if not self._is_maker(seq, rest) and not self._is_possible(rest, finding.resource):
                every = rest
        words = f"no order of the versions of {finding.resource} explains the answers to "
        return _finding(finding.flaw, finding.resource, every, f"{words}{' and '.join(map(self._who, every))}.")

    def _is_maker(self, seq: int, others: Sequence[int]) -> bool:
        """Whether without this exchange one of the others could show a version that seems to come from nobody."""
        event = read_event(self._exchanges[seq - 1])
        known = [read_event(self._exchanges[each - 1]) for each in others]
        said = event.version if event.said is Said.ACCEPTED else event.named if event.said is Said.OPEN else None
        return said is not None and any(said in (each.version, each.named) for each in known)

    def _is_possible(self, numbers: Sequence[int], resource: str) -> bool:
        some = [self._exchanges[seq - 1] for seq in numbers]
        tracks = read_tracks(lambda: some, in_turn=self._in_turn, skew=self._skew)
        results = [_Check(track, Contents(some), str).run() for track in tracks if track.name == resource]
        return all(not result.findings for result in results)

    def _open(self, landed: Mapping[int, bool | None]) -> Iterator[str]:
        unknown = sorted(seq for seq, fate in landed.items() if fate is None)
        if unknown:
            names = ", ".join(map(self._who, unknown[:5]))
            more = f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else ""
            yield f"It is not known whether the unanswered write{'s' * (len(unknown) > 1)} of {names}{more} landed."


def history(exchanges: Exchanges | Iterable[Exchange], *, in_turn: bool = False, skew: float = 0.0) -> History:
    """A journal, or exchanges in the order in which they ended, to be checked: ``history(journal).check()``.

    The proof asks whether a correct endpoint can have given these answers. Accepted updates form one chain, each
    replacing the version that its ``If-Match`` names; none is replaced twice, no ETag comes twice, every read shows
    a version that was current at some moment of that read, a refused write changed nothing and named a version that
    was not current at some moment of that request, a write that was not answered is in the chain or is not. A write
    without ``If-Match`` counts as made from the version its client had last seen; where it overwrites another that
    took effect in between, and something vanished, an update was lost.

    The exchanges must be those of everybody who wrote: a version that nobody here wrote is a flaw, but for the one
    that was there first. Searches are not looked at. Nothing is decided by the text of a resource where versions
    decide it.

    Where writes that were not answered leave open in which order more than seven runs of versions came, one order is
    looked for by their times; if that one does not fit, the resource is *undecided*, and the proof says so. It is
    also undecided where only an unanswered write without ``If-Match`` could explain what was seen.

    Which exchange ended before another began comes from ``sent_at`` and ``elapsed``; ``skew`` is by how many
    seconds the clocks of different machines may disagree. Where an exchange has no ``elapsed`` (a lesson's clock),
    only the order in which they ended is known, and that a client sends its next request after its last answer: it
    can then not be decided that one client was shown an old version after *another* had been told of a newer one,
    and each client needs a name of its own. With ``in_turn`` each exchange ended before the next began, as in a
    schedule, and all is decided by their order.

    >>> history([]).check()
    <Proof: sound>
    """
    if skew < 0:
        raise BadInput("skew= is by how many seconds clocks may disagree, so it cannot be negative.")
    held = exchanges if isinstance(exchanges, Exchanges) else tuple(exchanges)
    return History(held, in_turn=in_turn, skew=skew)


# --- one resource ---

Who = Callable[[int], str]
"""Names the client of an exchange, with its number: ``alice (3)``."""

Order = Sequence[tuple[str, Write | None]]
"""Versions in the order in which they came, each with the accepted write that made it, if one did."""

Fates = dict[int, bool | None]
"""By its number: whether a write without an answer took effect."""


@dataclass(slots=True)
class _Result:
    """What the check of one resource found."""

    track: Track
    findings: list[Finding] = field(default_factory=list)
    landed: Fates = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    order: Order = ()
    decided: bool = True


class _Try(NamedTuple):
    """One order of the pieces: its chain, the first contradiction in it, what it says of unanswered writes."""

    chain: Chain
    contradiction: Contradiction | None
    fates: Fates


class _Check:
    """The check of one resource."""

    def __init__(self, track: Track, contents: Contents, who: Who) -> None:
        self.track, self.contents, self.who = track, contents, who
        self.makers = Makers(track)
        self.result = _Result(track)

    def run(self) -> _Result:
        """Decide it."""
        track, result = self.track, self.result
        result.findings = [*_flaws_of_form(track, self.contents, self.who)]
        if track.unread:
            result.notes.append(f"{track.unread:,} reads of {track.name} do not say which version they show.")
        pieces, circle = ([], []) if result.findings else pieces_of(track)
        if circle:
            result.findings.append(_circle(track.name, circle, self.who))
        whole = self._decide(pieces) if pieces and not result.findings else None
        result.order = _order_by_time(track) if whole is None else _order_of(whole)
        if whole is not None:
            result.findings += self._overwritten()
        fates = {} if result.findings else dict.fromkeys(write.seq for write in track.loose if not write.accepted)
        result.landed = {seq: result.landed.get(seq) for seq in fates}
        return result

    # --- the order of the pieces ---

    def _decide(self, pieces: list[Chain]) -> Chain | None:
        """Find the order of the versions, or what shows that there is none, or that it cannot be decided."""
        track, result = self.track, self.result
        earliest = self._earliest(pieces)
        unmade = [
            piece
            for piece in pieces
            if piece.is_orphan
            and not any(start <= piece.begun.time and base != piece.end.id for start, base in earliest)
        ]
        first = next((piece for piece in pieces if piece.is_created), unmade[0] if unmade else None)
        if wrong := [piece for piece in unmade if piece is not first]:
            result.findings += [self._nobodys(piece, pieces, first) for piece in wrong]
            return None
        if first is not None:
            pieces = [first, *(piece for piece in pieces if piece is not first)]
        if clash := self._clash(pieces, first):
            result.findings.append(clash)
            return None
        few = len(pieces) + len(self.makers.optional) <= MOST_PIECES
        tries = self._every_order(pieces) if few else self._order_by_groups(pieces)
        possible = [each for each in tries if each.contradiction is None]
        if possible:
            result.landed = _common([each.fates for each in possible])
            return possible[0].chain
        alone = (find_contradiction(track, piece, alone=True) for piece in pieces)
        found = next((each for each in alone if each is not None), None)
        if found is None and (not few or self.makers.blind or len(tries) == self._most_orders()):
            result.decided = False
            result.notes.append(_UNDECIDED.format(name=track.name))
            return tries[0].chain if tries else None
        if found is None and tries:
            found = tries[0].contradiction
        words = f"unanswered writes cannot have made all the versions of {track.name} that nobody else wrote."
        missing = _finding(Flaw.NOBODYS, track.name, (), words)
        result.findings.append(missing if found is None else _sentence(track, found, self.who))
        return tries[0].chain if tries else None

    def _most_orders(self) -> int:
        return max(10, min(_MOST_ORDERS, _MOST_STEPS // len(self.track.versions)))

    def _every_order(self, pieces: list[Chain]) -> list[_Try]:
        every = arrangements((), [*pieces, *self.makers.optional], self.makers, ())
        return [self._try(each) for each in islice(every, self._most_orders())]

    def _order_by_groups(self, pieces: list[Chain]) -> list[_Try]:
        """One order of many pieces, or none: each next run of them in the first order that fits there."""
        placed: list[Placed] = []
        spent: list[Write] = []
        unsure: set[str] = set()
        lasted, was_unsure = NEVER, False
        for group in groups(pieces):
            waiting = group
            while waiting:
                size = len(waiting) if len(waiting) <= MOST_PIECES else 1
                fits = self._fitting(tuple(placed[-1:]), waiting, size, spent, lasted)
                if not fits:
                    return []
                chosen = next((each for each in fits if self._leads_on(each)), fits[0])
                if len(fits) > 1 or size < len(waiting) or was_unsure:
                    unsure.update(piece.end.id for piece in group)
                was_unsure = len(fits) > 1
                placed += chosen
                spent += [maker for _, maker in chosen if maker is not None]
                lasted = max(lasted, *(piece.lasted.time for piece, _ in chosen))
                waiting = [piece for piece in waiting if all(piece is not each.piece for each in chosen)]
        found = self._try(tuple(placed))
        return [
            found._replace(fates=found.fates | {w.seq: None for e in unsure for w in self.makers.by_base.get(e, ())})
        ]

    def _fitting(
        self, before: Arrangement, waiting: list[Chain], size: int, spent: Sequence[Write], lasted: int
    ) -> list[Arrangement]:
        """The orders of the waiting pieces that fit after the one before; of many, of the next one alone."""
        runs = [waiting] if size == len(waiting) else [[piece] for piece in waiting[:MOST_PIECES]]
        found = []
        for run in runs:
            rest = [piece for piece in waiting[: MOST_PIECES + 1] if piece not in run]
            every = arrangements(before, run, self.makers, spent, lasted)
            for each in islice(every, self._most_orders()):
                in_time = all(piece.begun.time >= each[-1].piece.lasted.time for piece in rest)
                chain = joined(self.track, each, self.makers)
                if in_time and find_contradiction(self.track, chain, alone=True) is None:
                    found.append(each[len(before) :])
        return found

    def _leads_on(self, arrangement: Arrangement) -> bool:
        """Whether a write is known that can have replaced the end of this order."""
        return arrangement[-1].piece.end.id in self.makers.by_base

    def _try(self, arrangement: Arrangement) -> _Try:
        """Hold one order of the pieces against the clock."""
        chain = joined(self.track, arrangement, self.makers)
        fates: Fates = {write.seq: None if write.blind else False for write in self.track.loose}
        for before, (piece, maker) in pairwise(arrangement):
            if maker is not None:
                fates |= self._fates_of_makers(before.piece.end.id, piece)
        contradiction, end = self._try_end(chain, fates)
        return _Try(end, contradiction, fates)

    def _fates_of_makers(self, end: str, piece: Chain) -> Fates:
        """Which of the writes that can have made the first version of a piece did; the content may tell."""
        until, root = piece.begun.time, piece.versions[0]
        able = [write for write in (*self.makers.by_base.get(end, ()), *self.makers.blind) if write.start <= until]
        able = [write for write in able if write.deed is not Deed.DELETE]
        if len(able) == 1:
            return {able[0].seq: True}
        same = [
            (write, self.contents.same(self.contents.sent(write.seq), self.contents.read(root.read_in)))
            for write in able
        ]
        sure = [write for write, is_same in same if is_same]
        if len(sure) == 1 and all(is_same is not None for _, is_same in same):
            return {sure[0].seq: True}
        return {write.seq: None for write in able}

    def _try_end(self, chain: Chain, fates: Fates) -> tuple[Contradiction | None, Chain]:
        """Let a write of unknown version replace the last version, where one must have."""
        track, last = self.track, chain.end.id
        accepted = self.makers.accepted_after(last)
        if accepted is not None:
            chain = extended(chain, accepted)
        contradiction = find_contradiction(track, chain)
        if chain.is_deleted or accepted is not None:
            return contradiction, chain
        named = self.makers.by_base.get(last, [])
        fates |= dict.fromkeys(write.seq for write in named)
        if contradiction is None or not (last in track.refusals or track.absences):
            return contradiction, chain
        used = [write for write in chain.writes if write is not None]
        blind = [write for write in self.makers.blind if write not in used]
        likely = [*named, *blind[:1], *[write for write in blind if write.deed is Deed.DELETE][:1]][:_MOST_ENDS]
        fitting = [write for write in likely if find_contradiction(track, extended(chain, write)) is None]
        if not fitting:
            return contradiction, chain
        if len(likely) < _MOST_ENDS:
            fates |= {write.seq: None if write in fitting else False for write in named}
            fates |= {write.seq: True for write in fitting if len(fitting) == 1 and len(blind) <= write.blind}
        return None, extended(chain, fitting[0])

    # --- flaws in the order ---

    def _earliest(self, pieces: list[Chain]) -> list[tuple[int, str]]:
        """The start and the base of the earliest update that can have made a piece, and of one with another base."""
        ends = {piece.end.id for piece in pieces} | {piece.end.id for piece in self.makers.optional}
        updates = [write for write in self.track.loose if write.deed is not Deed.DELETE]
        found = sorted((write.start, "") for write in updates if write.blind)
        found += sorted((write.start, write.base) for write in updates if not write.blind and write.base in ends)
        first = min(found, default=None)
        return [each for each in (first, min((x for x in found if first and x[1] != first[1]), default=None)) if each]

    def _nobodys(self, piece: Chain, pieces: list[Chain], first: Chain | None) -> Finding:
        """Nobody made the first version of this piece."""
        track, makers, contents = self.track, self.makers, self.contents
        root = piece.versions[0]
        shown, text = _names(root), contents.read(root.read_in)
        for seq in track.unchanged:
            if text is not None and contents.same(contents.sent(seq), text):
                return _refused_yet_done(track.name, root.id, root.read_in, seq, self.who)
        own = {version.id for version in piece.versions}
        for base, writes in makers.by_base.items():
            known = track.versions.get(base)
            taker = known.replaced_by if known and base not in own else None
            for write in writes if taker else ():
                if write.deed is not Deed.DELETE and contents.same(contents.sent(write.seq), text) is not False:
                    assert taker is not None
                    return _both(track.name, root.id, shown, write, taker, self.who)
        others = [first] if first else [each for each in pieces if each is not piece]
        return _nobodys(track.name, root.id, shown, _beside(others), self.who)

    def _clash(self, pieces: list[Chain], first: Chain | None) -> Finding | None:
        """Two pieces of which neither can come before the other: one still lasted when a later one had begun."""
        longest = pieces[0]
        for piece in pieces[1:]:
            if longest.lasted.time > piece.begun.time:
                shown = {longest.lasted.seq, piece.begun.seq}
                if longest is not first and not piece.is_deleted:  # nor the other way round
                    shown |= {longest.begun.seq, piece.lasted.seq}
                return self._clashing(longest, piece, tuple(shown))
            if piece.lasted.time > longest.lasted.time:
                longest = piece
        return None

    def _clashing(self, before: Chain, after: Chain, shown: tuple[int, ...]) -> Finding:
        name, old, new = self.track.name, before.end, after.versions[0]
        began = next(self.makers.after(old.id, after.begun.time, ()), None) if after.is_orphan else None
        if began is not None:
            return _landed_then_gone(name, began, old.id, shown, self.who)
        words = (
            f"version {old.id} of {name} was still shown after version {new.id.strip()} had come, "
            f"as {' and '.join(map(self.who, sorted(shown)))} show."
        )
        flaw = Flaw.REVIVED if after.is_deleted and len(after.versions) == 1 else Flaw.STALE_READ
        return _finding(flaw, name, shown, words)

    def _overwritten(self) -> Iterator[Finding]:
        """The blind writes by which something vanished, or may have where bodies are missing."""
        order = self.result.order
        if not any(write and write.blind for _, write in order):
            return
        for earlier, later in islice(_overwrites(order), _MOST_OVERWRITTEN):
            gone = _vanished(self.track, earlier, later, self.contents)
            if gone or gone is None:
                yield _overwritten(self.track.name, earlier, later, self.who)


_MOST_ENDS: Final = 50
"""Writes that are tried as the last one, which replaced the last version that anybody saw."""

_UNDECIDED: Final = (
    "Too many writes to {name} went without an answer at once to decide in which order they landed; "
    "what was told about them is not contradictory as far as was looked."
)


def _common(fates: Sequence[Fates]) -> Fates:
    """What is so in every order."""
    return {seq: fate if all(each[seq] is fate for each in fates) else None for seq, fate in fates[0].items()}


def _names(version: Version) -> int:
    """An exchange that names this version: one that was shown it, else the write that replaced it."""
    return version.seen_by.seq or (version.replaced_by.seq if version.replaced_by else 0)


def _beside(others: list[Chain]) -> tuple[int, str]:
    """An exchange that shows that there was another version."""
    for piece in others:
        for version, write in zip(piece.versions, piece.writes, strict=True):
            if seq := (write.seq if write else _names(version)):
                return seq, version.id
    return 0, ""


def _order_of(whole: Chain) -> Order:
    made = zip(whole.versions, whole.writes, strict=True)
    return [(version.id, write if write and write.accepted else None) for version, write in made]


def _order_by_time(track: Track) -> Order:
    """The accepted writes as they can have taken effect where they form no chain: by their times and their bases."""
    depths: dict[str, int] = {}
    middles: dict[int, int] = {}
    for write in track.writes:
        version = track.version(write.version or "")
        depths[version.id] = depths.get(write.base or "", 0) + 1
        begun, lasted = min(write.end, version.seen_by.time), max(write.start, version.seen_until.time)
        middles[write.seq] = begun + lasted
    writes = sorted(track.writes, key=lambda write: (middles[write.seq], depths[write.version or ""]))
    return [(write.version or "", write) for write in writes]


# --- real time ---


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Answers that no moments fit at which the versions of a chain began.

    Version ``early`` had begun by the moment ``by``. That it had not follows from what comes after: from the
    ``refusals`` of this version and of those after it, one each; and from version ``last`` having begun after ``late``.
    """

    chain: Chain
    early: int
    by: Moment
    refusals: tuple[Answer, ...] = ()
    late: Moment | None = None
    """``None``: nothing replaced the last refused version."""
    first: int = 0
    """The version to which ``late`` belongs: ``last`` or one before."""
    absence: Answer | None = None

    @property
    def last(self) -> int:
        """The version that began too late."""
        return self.early + len(self.refusals)

    @property
    def exchanges(self) -> set[int]:
        """The exchanges that show it."""
        links, write = self.links, self.chain.writes[self.first]
        shown = {refusal.seq for refusal in self.refusals} | {self.late.seq if self.late else 0}
        shown |= {self.absence.seq if self.absence else 0}
        if self.by.time > NEVER or not any(link.base == self.chain.versions[0].id for link in links if not link.blind):
            shown.add(self.by.seq)
        begins = (
            self.first == 0 and self.chain.is_created and write is not None and self.late == (write.start, write.seq)
        )
        if not self.refusals and (begins or self.absence):
            return shown - {0}  # before the creation there was nothing, so no link is needed
        return (shown | {link.seq for link in links}) - {0}

    @property
    def links(self) -> list[Write]:
        """The writes that put the versions concerned in this order."""
        begin = min(self.first, self.early + 1) if self.refusals else self.first
        if self.late is None:
            begin = self.early + 1
        return [write for write in self.chain.writes[begin : self.last + 1] if write is not None]


def find_contradiction(track: Track, chain: Chain, *, alone: bool = False) -> Contradiction | None:
    """The contradiction in time that the fewest exchanges show, if there is one. ``alone``: it is a part of a chain."""
    found = _Times(track, chain, alone=alone, appeared=False).contradiction()
    if found is not None and not alone and chain.is_orphan and track.origin < ALWAYS:
        return _Times(track, chain, alone=False, appeared=True).contradiction() and found
    return found


class _Times:
    """The moments at which the versions of a chain began.

    ``appeared`` says whether a create without an answer made the first version; otherwise it was there before.
    """

    def __init__(self, track: Track, chain: Chain, *, alone: bool, appeared: bool) -> None:
        self.track, self.chain, self.alone = track, chain, alone
        self.lower: list[Moment] = []
        """Each version began at this moment or later."""
        self.upper: list[Moment] = []
        """Each version began at this moment or earlier."""
        lasted = Moment(track.origin, 0) if appeared else Moment(NEVER, 0)
        for version, write in zip(chain.versions, chain.writes, strict=True):
            lower, upper = lasted, version.seen_by
            if write is not None:
                lower = max(lower, Moment(write.start, write.seq)) if write.start > lower.time else lower
                upper = Moment(write.end, write.seq) if write.end <= upper.time else upper
            self.lower.append(lower)
            self.upper.append(upper)
            lasted = version.seen_until
        self.was_there = chain.is_orphan and not appeared and not alone
        self.absence: Answer | None = None
        self.gone: Moment | None = None

    def contradiction(self) -> Contradiction | None:
        """See ``find_contradiction``."""
        found = self._of_bounds()
        if found is None and self.track.absences and not self.alone:
            found = self._of_absences()
        if found is None and self.track.refusals:
            found = self._of_refusals()
        return found

    def _of_bounds(self) -> Contradiction | None:
        """A version began before another one that precedes it, or before itself."""
        best: Contradiction | None = None
        latest = NEVER
        for early, (lower, upper) in enumerate(zip(self.lower, self.upper, strict=True)):
            latest = max(latest, lower.time)
            if latest <= upper.time:
                continue
            first = early
            while self.lower[first].time <= upper.time and (best is None or early - first <= len(best.exchanges)):
                first -= 1
            if self.lower[first].time > upper.time:
                late = self._late(first, upper.time)
                found = Contradiction(self.chain, early, self._by(early, late.time), late=late, first=first)
                best = found if best is None or len(found.exchanges) < len(best.exchanges) else best
        return best

    def _late(self, number: int, than: int) -> Moment:
        """Why a version began later than that: its own write if that will do, for the order needs it anyway."""
        write = self.chain.writes[number]
        return Moment(write.start, write.seq) if write is not None and write.start > than else self.lower[number]

    def _by(self, number: int, than: int) -> Moment:
        """Why a version began earlier than that: its own write if that will do."""
        write = self.chain.writes[number]
        return Moment(write.end, write.seq) if write is not None and write.end < than else self.upper[number]

    def _of_absences(self) -> Contradiction | None:
        """Each *not found* comes before the creation, unless it can come after the deletion."""
        gone = max(self.lower) if self.chain.is_deleted else Moment(ALWAYS, 0)
        before = [absence for absence in self.track.absences if absence.end < gone.time]
        if not before:
            return None
        by = min(self.upper)
        seen = [absence for absence in before if absence.start > by.time]
        self.absence = min(seen or before, key=lambda absence: absence if seen or self.was_there else -absence.start)
        self.gone = self._late(len(self.lower) - 1, self.absence.end) if gone.seq else None
        if self.gone is not None and self.gone.time <= self.absence.end:
            self.gone = gone
        if seen or self.was_there:
            shown = by if seen else Moment(NEVER, by.seq or self._first_named())
            return Contradiction(self.chain, self.upper.index(by), shown, late=self.gone, absence=self.absence)
        self.lower[0] = max(self.lower[0], Moment(self.absence.start, self.absence.seq))
        return None

    def _first_named(self) -> int:
        return next((write.seq for write in self.chain.writes if write is not None), 0)

    def _of_refusals(self) -> Contradiction | None:
        """Raise each moment as the refusals demand, from the last version to the first.

        A refusal raises a moment to its own start, which lies before the moment of the next version. So no later
        moment has to be raised again.
        """
        versions, refusals = self.chain.versions, self.track.refusals
        self.bounds = list(accumulate((lower.time for lower in self.lower), max))
        self.moments = list(self.bounds)
        against = []
        following = NEVER if self.alone else ALWAYS
        for number in range(len(versions) - 1, -1, -1):
            moment = self.moments[number]
            for refusal in refusals.get(versions[number].id, ()):
                if refusal.end < following and refusal.start > moment:
                    moment = refusal.start
            self.moments[number] = following = moment
            if moment > (NEVER if self.was_there and number == 0 else self.upper[number].time):
                against.append(number)
        found = [self._trace(number) for number in against[-_MOST_TRACED:]]
        return min(found, key=lambda each: len(each.exchanges), default=None)

    def _trace(self, early: int) -> Contradiction:
        """The refusals, and what lies behind them, that make a version begin later than it did."""
        by = self.upper[early]
        if by.time >= self.moments[early]:
            by = Moment(NEVER, _names(self.chain.versions[early]))
        found: list[Answer] = []
        limit = by.time
        for number in range(early, len(self.moments)):
            if self.bounds[number] > limit:
                first = number
                while self.lower[first].time <= limit:
                    first -= 1
                by = by if by.time == NEVER else self._by(early, found[0].start)
                late = self._late(first, limit)
                absence = self.absence if first == 0 and self.absence and late.seq == self.absence.seq else None
                return Contradiction(self.chain, early, by, tuple(found), late, first, absence)
            following = self.moments[number + 1] if number + 1 < len(self.moments) else ALWAYS
            answers = self.track.refusals[self.chain.versions[number].id]
            found.append(min(each for each in answers if each.end < following and each.start > limit))
            limit = found[-1].end
        return Contradiction(self.chain, early, by, tuple(found))


_MOST_TRACED: Final = 100
"""Versions of which it is traced why they began too early."""


# --- in words ---


def _finding(flaw: Flaw, resource: str, exchanges: Iterable[int], words: str) -> Finding:
    """A finding, its exchanges in order and each once; the first letter of its sentence a capital."""
    seqs = tuple(sorted({seq for seq in exchanges if seq}))
    return Finding(flaw, resource, seqs, words[:1].upper() + words[1:])


def _sentence(track: Track, found: Contradiction, who: Who) -> Finding:
    """A contradiction in time in words: which of the flaws it is."""
    if len(found.refusals) > 1 or (found.refusals and found.absence):
        return _finding(Flaw.WRONGLY_STALE, track.name, found.exchanges, _contrary_refusals(track, found, who))
    chain, links = found.chain, found.links
    unanswered = next((write for write in links if not write.accepted), None)
    flaw = _flaw(found, unanswered)
    words = (_UNREPLACED if found.refusals and found.late is None else _WORDS[flaw]).format(
        name=track.name,
        late=who(found.late.seq if found.late and found.absence is None else found.by.seq),
        early=who(found.absence.seq if found.absence else found.refusals[0].seq if found.refusals else found.by.seq),
        seen=who(found.by.seq) if found.by.seq else "",
        old=chain.versions[max(found.first - 1, 0)].id,
        new=chain.versions[found.early].id.strip(),
        deleted=who(links[-1].seq) if links else "",
        unanswered=who(unanswered.seq) if unanswered else "",
        which="stored it" if found.first == found.last else "stored one before it",
    )
    return _finding(flaw, track.name, found.exchanges, words + _linked_by(found, words, who))


def _flaw(found: Contradiction, unanswered: Write | None) -> Flaw:
    if found.refusals:
        return Flaw.WRONGLY_STALE
    if found.absence is not None:
        return Flaw.VANISHED if found.by.time > NEVER else Flaw.NOBODYS
    assert found.late is not None
    write = found.chain.writes[found.first]
    if write is not None and write.seq == found.late.seq:
        return Flaw.FUTURE
    if found.chain.is_deleted and found.last == len(found.chain.versions) - 1:
        return Flaw.REVIVED
    return Flaw.BOTH if unanswered else Flaw.STALE_READ


def _linked_by(found: Contradiction, words: str, who: Who) -> str:
    """The exchanges that show the order, where the words do not name them."""
    between = [seq for seq in sorted(found.exchanges) if f"({seq:,})" not in words]
    return f" That the one follows the other is known by {' and '.join(map(who, between))}." if between else ""


def _contrary_refusals(track: Track, found: Contradiction, who: Who) -> str:
    """Why several refusals cannot all be right: from the last one to the first."""
    versions = [version.id.strip() for version in found.chain.versions]
    number = found.last - 1
    because = "nothing replaced it"
    if found.absence is not None:
        because = f"{who(found.absence.seq)} was told that there was no {track.name} yet"
    elif found.late is not None:
        because = f"{who(found.late.seq)} shows that it was replaced only after that"
    words = f"refusals of {track.name} contradict each other."
    for refusal in reversed(found.refusals):
        words += f" {who(refusal.seq).capitalize()} was refused version {versions[number]} as stale, and {because}:"
        words += " so that version began only after the request was sent."
        because = f"version {versions[number]} replaced it too late to explain that"
        number -= 1
    seen = f" {who(found.by.seq)} shows that" if found.by.seq else ""
    words += f" But{seen} version {versions[found.early]} was there before."
    return words + _linked_by(found, words, who)


_UNREPLACED: Final = (
    "{early} named version {new} of {name} and was refused as stale, though it was current all the time: "
    "{seen} shows it, and nobody replaced it."
)

_WORDS: Final = {
    Flaw.WRONGLY_STALE: "{early} named version {new} of {name} and was refused as stale, though it was current all "
    "the time: {seen} shows it before, and {late} shows that it was not replaced until after.",
    Flaw.VANISHED: "{early} was told that there is no {name}, which {seen} had shown to be there, and nobody had "
    "deleted it by then.",
    Flaw.NOBODYS: "{early} was told that there is no {name}, which {late} shows to be there, and nobody here had "
    "created it or deleted it meanwhile.",
    Flaw.REVIVED: "{name} was deleted by {deleted}, and {late}, who began after that, was shown it again.",
    Flaw.BOTH: "the unanswered write of {unanswered} had landed in {name}, as {early} shows, and {late}, who began "
    "after that, was shown version {old}, which it had replaced.",
    Flaw.STALE_READ: "{late} was shown version {old} of {name}, though {early} had ended before that with a later "
    "one, {new}.",
    Flaw.FUTURE: "{early} had ended with version {new} of {name} before {late}, which {which}, had begun.",
}


def _fork(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """Two accepted writes that replaced one version."""
    first, second = sorted((one, other), key=lambda write: write.seq)
    deletes = Deed.DELETE in (one.deed, other.deed)
    gone, back = (one, other) if one.deed is Deed.DELETE else (other, one)
    if deletes and back.deed is not Deed.DELETE and back.start > gone.end:
        words = f"{who(gone.seq)} deleted {resource}, and after that the update of {who(back.seq)} was accepted."
        return _finding(Flaw.REVIVED, resource, (gone.seq, back.seq), words)
    words = (
        f"{who(first.seq)} and {who(second.seq)} both replaced version {first.base} of {resource}, and both were "
        f"accepted: whichever came second wrote over the other unseen."
    )
    return _finding(Flaw.FORK, resource, (first.seq, second.seq), words)


def _overwritten(resource: str, earlier: Write, later: Write, who: Who) -> Finding:
    """A blind write over a version that its client had not seen."""
    had = f"had last seen version {later.base}" if later.base else "had seen no version"
    words = (
        f"{who(later.seq)} {had} of {resource} and wrote without If-Match, over version {earlier.version}, "
        f"which {who(earlier.seq)} had stored meanwhile."
    )
    return _finding(Flaw.OVERWRITTEN, resource, (earlier.seq, later.seq), words)


def _duplicate(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """Two accepted writes answered with one version."""
    if one.deed is other.deed is Deed.CREATE:
        return _created_twice(resource, one, other, who)
    words = f"{who(one.seq)} and {who(other.seq)} were both told that what they stored is version {one.version}."
    return _finding(Flaw.DUPLICATE, resource, (one.seq, other.seq), words)


def _created_twice(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """One id given to two creates."""
    words = f"{who(one.seq)} and {who(other.seq)} were both told that they created {resource}."
    return _finding(Flaw.CREATED_TWICE, resource, (one.seq, other.seq), words)


def _circle(resource: str, writes: Sequence[Write], who: Who) -> Finding:
    """Writes each of which replaced the version of the one before, and the first that of the last."""
    count = min(len(writes), _LONGEST_CIRCLE)
    for size in range(2, count + 1):
        for begin in range(len(writes)):
            run = [writes[(begin + step) % len(writes)] for step in range(size)]
            if run[0].start > run[-1].end:
                words = (
                    f"{who(run[-1].seq)} had ended with version {run[-1].version} of {resource} before "
                    f"{who(run[0].seq)}, which stored one before it, {run[0].version}, had begun."
                )
                between = " and ".join(who(write.seq) for write in run[1:-1])
                words += f" That the one follows the other is known by {between}." if between else ""
                return _finding(Flaw.FUTURE, resource, (write.seq for write in run), words)
    names = " → ".join(str(write.base) for write in writes[:_LONGEST_CIRCLE])
    words = f"The versions {names} of {resource} each follow the one before, and the first follows the last."
    return _finding(Flaw.CIRCLE, resource, (write.seq for write in writes), words)


def _nobodys(resource: str, version: str, shown: int, other: tuple[int, str], who: Who) -> Finding:
    """A version that no write of the history can have made; ``other`` shows that there was another one."""
    seq, was = other
    beside = f" ({who(seq)} shows that it was {was} at another time)" if seq else ""
    words = f"{who(shown)} was shown version {version} of {resource}, and nobody here wrote it{beside}."
    return _finding(Flaw.NOBODYS, resource, (shown, seq), words)


def _refused_yet_done(resource: str, version: str, shown: int, refused: int, who: Who) -> Finding:
    """A version that holds what a refused write sent."""
    words = (
        f"the write of {who(refused)} was refused, and yet {who(shown)} was shown version {version} of {resource}, "
        f"which is what it sent."
    )
    return _finding(Flaw.REFUSED_YET_DONE, resource, (refused, shown), words)


def _landed_then_gone(resource: str, unanswered: Write, old: str, shown: Sequence[int], who: Who) -> Finding:
    """What an unanswered write stored was seen, and after that the version before it."""
    words = (
        f"the unanswered write of {who(unanswered.seq)} had landed in {resource}, and after that version {old}, "
        f"which it had replaced, was there again, as {' and '.join(map(who, sorted(shown)))} show."
    )
    return _finding(Flaw.BOTH, resource, (*shown, unanswered.seq), words)


def _both(resource: str, version: str, shown: int, unanswered: Write, other: Write, who: Who) -> Finding:
    """A version only an unanswered write can have made, although what it would have replaced went to another."""
    words = (
        f"version {version} of {resource}, shown to {who(shown)}, can only come from the unanswered write of "
        f"{who(unanswered.seq)}, which named version {unanswered.base}; but that one was replaced by {who(other.seq)}."
    )
    return _finding(Flaw.BOTH, resource, (shown, unanswered.seq, other.seq), words)


# --- flaws whatever the time ---


def _flaws_of_form(track: Track, contents: Contents, who: Who) -> Iterator[Finding]:
    """What is wrong whatever the time. What blind writes overwrote is seen later."""
    forked: set[tuple[int, int]] = set()
    for rivals in track.rivals.values():
        for one, other in pairwise(rivals):
            forked.add((one.seq, other.seq))
            yield _fork(track.name, one, other, who)
    for one, other in track.doubles:
        if (one.seq, other.seq) not in forked:
            yield _duplicate(track.name, one, other, who)
    creates = [write for write in track.writes if write.deed is Deed.CREATE]
    doubled = {other.seq for _, other in track.doubles}
    for one, other in pairwise(creates):
        if other.seq not in doubled:
            yield _created_twice(track.name, one, other, who)
    first: dict[str, Write] = {}
    for write in track.loose:  # accepted, but the answer names no version
        if write.accepted and not write.blind and write.base is not None:
            known = track.versions.get(write.base)
            rival = (known.replaced_by if known else None) or first.setdefault(write.base, write)
            if rival is not write:
                yield _fork(track.name, rival, write, who)
    yield from _false_echoes(track, contents, who)


def _false_echoes(track: Track, contents: Contents, who: Who) -> Iterator[Finding]:
    """Updates answered with the version they replaced, as some servers do, but only where nothing changed."""
    for write in track.echoes:
        version = track.version(write.version or "")
        if contents.same(contents.sent(write.seq), contents.held(version)) is False:
            before = version.made_by.seq if version.made_by else version.read_in
            words = (
                f"{who(write.seq)} was accepted with another text than {who(before)} shows of version {version.id} "
                f"of {track.name}, and was told that the version is still the same."
            )
            yield _finding(Flaw.DUPLICATE, track.name, (before, write.seq), words)


# --- what was lost ---


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


def _overwrites(order: Order) -> Iterator[tuple[Write, Write]]:
    """Whose accepted write was overwritten unseen by whose."""
    place = {version: number for number, (version, _) in enumerate(order)}
    for number, (_, write) in enumerate(order):
        if write is None:
            continue
        seen = place.get(write.base, -1) if write.base is not None else -1
        for _, earlier in order[seen + 1 : number]:
            if earlier is not None and earlier.client != write.client and earlier.deed is not Deed.DELETE:
                yield earlier, write


def _losses(track: Track, order: Order, contents: Contents) -> Iterator[Loss]:
    """Each client's first loss, in order; nothing for an update of which every element is still there."""
    told: set[str] = set()
    unknown: dict[str, Loss] = {}
    for compared, (earlier, later) in enumerate(_overwrites(order)):
        if compared == _MOST_COMPARED:
            break
        if earlier.client in told:
            continue
        gone = _vanished(track, earlier, later, contents)
        if gone is None:
            unknown.setdefault(earlier.client, Loss(earlier.client, (), earlier.seq, later.seq))
        elif gone:
            told.add(earlier.client)
            yield Loss(earlier.client, gone, earlier.seq, later.seq)
    yield from (loss for client, loss in unknown.items() if client not in told)


def _vanished(track: Track, earlier: Write, later: Write, contents: Contents) -> tuple[Decision, ...] | None:
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


@dataclass(frozen=True)
class _Losses:
    """The losses, worked out when somebody asks: comparing bodies takes longer than the proof."""

    results: list[_Result]
    contents: Contents

    def __iter__(self) -> Iterator[Loss]:
        for result in self.results:
            yield from _losses(result.track, result.order, self.contents)
