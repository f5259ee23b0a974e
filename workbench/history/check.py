"""Check a history: could a correct endpoint have given these answers, and what was lost if not?

``events`` reads the exchanges; ``chain`` puts the versions of a resource in order and holds the order against time.
This module decides, puts each flaw into a sentence, and names the elements that vanished.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.fhir import json
from workbench.fhir.diff import ABSENT
from workbench.fhir.merge import Decision, Kind, merge
from workbench.fhir.printable import printable
from workbench.fhir.resource import identity, without_version
from workbench.history.chain import (
    MOST_OPTIONAL,
    MOST_PIECES,
    Arrangement,
    Chain,
    Contradiction,
    Makers,
    Placed,
    arrangements,
    extended,
    find_contradiction,
    joined,
    pieces_of,
)
from workbench.history.events import ALWAYS, NEVER, Deed, Said, Track, Version, Write, read_event, read_tracks

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
        about = f"{self.exchanges:,} answers about {self.resources:,} resource{'' if self.resources == 1 else 's'}"
        if self.findings:
            more = len(self.findings) - 1
            sentences = [f"Inconsistent: no correct endpoint gives these {about}.", self.findings[0].words]
            sentences += [f"There are {more:,} more findings."] if more > 1 else ["There is one more finding."] * more
            sentences += [f"Lost: {'; '.join(map(str, self.losses))}."] if self.losses else []
        elif self.undecided:
            sentences = [f"Undecided: a correct endpoint may have given these {about}."]
        else:
            sentences = [f"Consistent: a correct endpoint could have given all {about}."]
        return printable(" ".join([*sentences, *self.notes]))

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
        findings = sorted((each for result in results for each in result.findings), key=_size)
        findings[:1] = [self._by_itself(finding) for finding in findings[:1]]
        landed = {seq: fate for result in results for seq, fate in result.landed.items()}
        lost = [result for result in results if any(finding.flaw in _LOST for finding in result.findings)]
        return Proof(
            about,
            len(tracks),
            tuple(sorted(findings, key=_size)),
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
        words = f"no order of the versions of {finding.resource} explains all of the exchanges "
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
            yield f"It is unknown whether the unanswered write{'s' * (len(unknown) > 1)} of {names}{more} took effect."


def _size(finding: Finding) -> tuple[int, tuple[int, ...]]:
    return len(finding.exchanges), finding.exchanges


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


class _Try(NamedTuple):
    """One order of the pieces: its chain, the contradiction in it, what it says of writes without an answer."""

    chain: Chain
    contradiction: Contradiction | None
    fates: Fates


class _Check:
    """The check of one resource, and what it found."""

    def __init__(self, track: Track, contents: Contents, who: Who) -> None:
        self.track, self.name, self.contents, self.who = track, track.name, contents, who
        self.makers = Makers(track)
        self.findings: list[Finding] = []
        self.landed: Fates = {}
        self.notes: list[str] = []
        self.order: Order = ()
        self.decided = True

    def run(self) -> _Check:
        """Decide it."""
        if self.track.unread:
            self.notes.append(f"{self.track.unread:,} reads of {self.name} do not say which version they show.")
        self._find_forks()
        self._find_false_echoes()
        pieces, circle = ([], []) if self.findings else pieces_of(self.track)
        if circle:
            self._find_circle(circle)
        whole = self._decide(pieces) if pieces and not self.findings else None
        self.order = _order_by_time(self.track) if whole is None else _order_of(whole)
        if whole is not None:
            self._find_overwritten()
        unanswered = [] if self.findings else [write.seq for write in self.track.loose if not write.accepted]
        self.landed = {seq: self.landed.get(seq) for seq in unanswered}
        return self

    def _find(self, flaw: Flaw, exchanges: Iterable[int], words: str) -> None:
        self.findings.append(_finding(flaw, self.name, exchanges, words))

    # --- flaws whatever the time ---

    def _find_forks(self) -> None:
        """Two accepted writes with one base, or with one version, or that both created the resource."""
        forked = {pair for rivals in self.track.rivals.values() for pair in pairwise(rivals)}
        for one, other in forked:
            self._find_fork(one, other)
        for one, other in self.track.doubles:
            if (one, other) not in forked and not one.deed is other.deed is Deed.CREATE:
                both = f"{self.who(one.seq)} and {self.who(other.seq)}"
                words = f"{both} both got version {one.version} for what they stored."
                self._find(Flaw.DUPLICATE, (one.seq, other.seq), words)
        for one, other in pairwise(write for write in self.track.writes if write.deed is Deed.CREATE):
            words = f"{self.who(one.seq)} and {self.who(other.seq)} both got 201 Created for {self.name}."
            self._find(Flaw.CREATED_TWICE, (one.seq, other.seq), words)
        for base, writes in self.makers.by_base.items():
            known = self.track.versions.get(base)
            taker = known.replaced_by if known else None
            accepted = [write for write in (taker, *writes) if write is not None and write.accepted]
            for one, other in pairwise(accepted):
                self._find_fork(one, other)

    def _find_fork(self, one: Write, other: Write) -> None:
        """Two accepted writes replaced one version; or one of them deleted it, and the other came back."""
        first, second = sorted((one, other), key=lambda write: write.seq)
        gone, back = (one, other) if one.deed is Deed.DELETE else (other, one)
        if gone.deed is Deed.DELETE and back.deed is not Deed.DELETE and back.start > gone.end:
            words = f"{self.who(gone.seq)} deleted {self.name}. After that {self.who(back.seq)}'s update was accepted."
            self._find(Flaw.REVIVED, (gone.seq, back.seq), words)
            return
        words = (
            f"{self.who(first.seq)} and {self.who(second.seq)} both replaced version {first.base} of {self.name}, "
            "and both were accepted. The later one overwrote the other without having seen it."
        )
        self._find(Flaw.FORK, (first.seq, second.seq), words)

    def _find_false_echoes(self) -> None:
        """Updates answered with the version they replaced, as some servers do, but only where nothing changed."""
        for write in self.track.echoes:
            version = self.track.version(write.version or "")
            if self.contents.same(self.contents.sent(write.seq), self.contents.held(version)) is False:
                before = version.made_by.seq if version.made_by else version.read_in
                words = (
                    f"{self.who(write.seq)} stored other content than {self.who(before)} shows of version {version.id} "
                    f"of {self.name}, and got the same version."
                )
                self._find(Flaw.DUPLICATE, (before, write.seq), words)

    def _find_circle(self, writes: list[Write]) -> None:
        """Writes each of which replaced the version of the one before, and the first that of the last."""
        for size in range(2, min(len(writes), _LONGEST_CIRCLE) + 1):
            for begin in range(len(writes)):
                run = [writes[(begin + step) % len(writes)] for step in range(size)]
                if run[0].start > run[-1].end:
                    words = (
                        f"{self.who(run[-1].seq)} had ended with version {run[-1].version} of {self.name} before "
                        f"{self.who(run[0].seq)}, which stored an earlier one, {run[0].version}, had begun."
                    )
                    seqs = [write.seq for write in run]
                    self._find(Flaw.FUTURE, seqs, words + self._linked_by(seqs, words))
                    return
        names = " → ".join(str(write.base) for write in writes[:_LONGEST_CIRCLE])
        words = (
            f"The versions {names} of {self.name} form a circle: each replaced the one before, and the first the last."
        )
        seqs = [write.seq for write in writes]
        self._find(Flaw.CIRCLE, seqs, words + self._linked_by(seqs[:_LONGEST_CIRCLE], words))

    def _linked_by(self, exchanges: Iterable[int], words: str) -> str:
        """The exchanges that show the order, where the words do not name them."""
        between = [self.who(seq) for seq in sorted(exchanges) if self.who(seq).lower() not in words.lower()]
        return f" The order of the versions follows from {' and '.join(between)}." if between else ""

    # --- the order of the pieces ---

    def _decide(self, pieces: list[Chain]) -> Chain | None:
        """Find the order of the versions, or what shows that there is none, or that it cannot be decided."""
        unmade = self._unmade(pieces)
        first = next((piece for piece in pieces if piece.is_created), unmade[0] if unmade else None)
        for piece in unmade:
            if piece is not first:
                self._find_nobodys(piece, [first] if first else [each for each in pieces if each is not piece])
        if first is not None:
            pieces = [first, *(piece for piece in pieces if piece is not first)]
        if self.findings or self._find_clash(pieces, first):
            return None
        few = len(pieces) <= MOST_PIECES and len(pieces) + len(self.makers.optional) <= MOST_OPTIONAL
        every = self._likely_order(pieces)
        if few:
            every = arrangements((), [*pieces, *self.makers.optional], self.makers, frozenset())
        most = max(10, min(_MOST_ORDERS, _MOST_STEPS // len(self.track.versions)))
        tries = [self._try(each) for each in islice(every, most)]
        possible = [each for each in tries if each.contradiction is None]
        if possible:
            self.landed |= _common([each.fates for each in possible]) if few else {}
            return possible[0].chain
        takers = [self.makers.accepted_after(piece.end.id) for piece in pieces]
        parts = [extended(piece, taker) if taker else piece for piece, taker in zip(pieces, takers, strict=True)]
        alone = (find_contradiction(self.track, part, alone=True) for part in parts)
        found = next((each for each in alone if each is not None), None)
        if found is None and (not few or self.makers.blind or len(tries) == most):
            self.decided = False
            self.notes.append(
                f"Too many writes to {self.name} got no answer, so their order is unknown. "
                "The check found no contradiction, but did not try every order."
            )
        elif found is not None or tries:
            self._find_contradiction(found or tries[0].contradiction)
        else:
            words = f"the unanswered writes cannot have made all the versions of {self.name} that nobody else wrote."
            self._find(Flaw.NOBODYS, (), words)
        return tries[0].chain if tries else None

    def _unmade(self, pieces: list[Chain]) -> list[Chain]:
        """The pieces whose first version no write can have made. One of them was there first."""
        ends = {piece.end.id for piece in (*pieces, *self.makers.optional)}
        updates = [write for write in self.track.loose if write.deed is not Deed.DELETE]
        starts: dict[str | None, int] = {}
        for write in updates:
            base = None if write.blind else write.base
            if base is None or base in ends:
                starts[base] = min(write.start, starts.get(base, ALWAYS))
        earliest = sorted((start, base) for base, start in starts.items() if base is not None)[:2]
        blind = starts.get(None, ALWAYS)

        def can_be_made(piece: Chain) -> bool:
            named = (start for start, base in earliest if base != piece.end.id)
            return min([blind, *named]) <= piece.begun.time

        return [piece for piece in pieces if piece.is_orphan and not can_be_made(piece)]

    def _likely_order(self, pieces: list[Chain]) -> Iterator[Arrangement]:
        """One order of many pieces, if it can be found: next comes the earliest piece that fits."""
        placed: list[Placed] = []
        makers, waiting, lasted = Makers(self.track), list(pieces), NEVER
        while waiting:
            fits = list(self._fitting(tuple(placed[-1:]), waiting[:MOST_PIECES], makers, lasted))
            if not fits:
                return
            chosen = next((each for each in fits if each.piece.end.id in makers.by_base), fits[0])
            placed.append(chosen)
            waiting.remove(chosen.piece)
            lasted = max(lasted, chosen.piece.lasted.time)
            if chosen.maker is not None and chosen.maker.blind:
                makers.blind.remove(chosen.maker)
        yield tuple(placed)
        for piece in makers.optional[:_MOST_ENDS]:  # a delete may have named a version that nobody saw
            for each in arrangements(tuple(placed[-1:]), [piece], makers, frozenset(), lasted):
                yield (*placed[:-1], *each)

    def _fitting(self, before: Arrangement, waiting: list[Chain], makers: Makers, lasted: int) -> Iterator[Placed]:
        """The pieces that can come next."""
        for piece in waiting:
            others = [other for other in waiting if other is not piece]
            if all(other.begun.time >= piece.lasted.time for other in others):
                for each in arrangements(before, [piece], makers, frozenset(), lasted):
                    chain = joined(self.track, each, makers)
                    if find_contradiction(self.track, chain, alone=True) is None:
                        yield each[-1]

    def _try(self, arrangement: Arrangement) -> _Try:
        """Hold one order of the pieces against the clock."""
        known = self.track.versions
        fates: Fates = {w.seq: None if w.blind or w.base not in known else False for w in self.track.loose}
        for before, (piece, maker) in pairwise(arrangement):
            if maker is not None:
                fates |= self._fates_of_makers(before.piece.end.id, piece)
        return self._try_end(joined(self.track, arrangement, self.makers), fates)

    def _fates_of_makers(self, end: str, piece: Chain) -> Fates:
        """Which of the writes that can have made the first version of a piece did; the content may tell."""
        until, contents = piece.begun.time, self.contents
        able = [write for write in (*self.makers.by_base.get(end, ()), *self.makers.blind) if write.start <= until]
        able = [write for write in able if write.deed is not Deed.DELETE]
        if len(able) == 1:
            return {able[0].seq: True}
        read = contents.read(piece.versions[0].read_in)
        same = [contents.same(contents.sent(write.seq), read) for write in able]
        if same.count(True) == 1 and None not in same:
            return {able[same.index(True)].seq: True}
        return {write.seq: None for write in able}

    def _try_end(self, chain: Chain, fates: Fates) -> _Try:
        """Let a write of unknown version replace the last version, where one must have."""
        track, last = self.track, chain.end.id
        accepted = self.makers.accepted_after(last)
        if accepted is not None:
            chain = extended(chain, accepted)
        contradiction = find_contradiction(track, chain)
        if chain.is_deleted or accepted is not None:
            return _Try(chain, contradiction, fates)
        named = self.makers.by_base.get(last, [])
        fates |= dict.fromkeys(write.seq for write in named)
        if contradiction is None or not (last in track.refusals or track.absences):
            return _Try(chain, contradiction, fates)
        used = set(chain.writes)
        blind = [write for write in self.makers.blind if write not in used]
        likely = [*named, *blind[:1], *[write for write in blind if write.deed is Deed.DELETE][:1]][:_MOST_ENDS]
        fitting = [write for write in likely if find_contradiction(track, extended(chain, write)) is None]
        if not fitting:
            return _Try(chain, contradiction, fates)
        if len(likely) < _MOST_ENDS:
            fates |= {write.seq: None if write in fitting else False for write in named}
            fates |= {write.seq: True for write in fitting if len(fitting) == 1 and len(blind) <= write.blind}
        return _Try(extended(chain, fitting[0]), None, fates)

    # --- flaws in the order ---

    def _find_nobodys(self, piece: Chain, others: list[Chain]) -> None:
        """Nobody made the first version of this piece; ``others`` show that there was another version."""
        contents, who, root = self.contents, self.who, piece.versions[0]
        shown, text = _names(root), contents.read(root.read_in)
        for seq in self.track.unchanged if text is not None else ():
            if contents.same(contents.sent(seq), text):
                words = (
                    f"the endpoint refused {who(seq)}'s write. Yet {who(root.read_in)} read version {root.id} of "
                    f"{self.name}, which holds what that write sent."
                )
                self._find(Flaw.REFUSED_YET_DONE, (seq, root.read_in), words)
                return
        for write in self.track.loose:
            known = self.track.versions.get(write.base or "")
            taker = known.replaced_by if known and known not in piece.versions and not write.blind else None
            sent = contents.sent(write.seq) if taker and write.deed is not Deed.DELETE else None
            if taker is not None and write.deed is not Deed.DELETE and contents.same(sent, text) is not False:
                words = (
                    f"only {who(write.seq)}'s unanswered write can have made version {root.id} of {self.name}, which "
                    f"{who(shown)} shows. It named version {write.base}, but {who(taker.seq)} replaced that version."
                )
                self._find(Flaw.BOTH, (shown, write.seq, taker.seq), words)
                return
        made = ((v, w) for other in others for v, w in zip(other.versions, other.writes, strict=True))
        seq, was = next(((w.seq if w else _names(v), v.id) for v, w in made if w or _names(v)), (0, ""))
        beside = f" {who(seq)} shows another version, {was}." if seq else ""
        words = f"{who(shown)} shows version {root.id} of {self.name}, and no exchange wrote it.{beside}"
        self._find(Flaw.NOBODYS, (shown, seq), words)

    def _find_clash(self, pieces: list[Chain], first: Chain | None) -> bool:
        """Two pieces of which neither can come before the other: one still lasted when a later one had begun."""
        longest = pieces[0]
        for piece in pieces[1:]:
            if longest.lasted.time > piece.begun.time:
                break
            longest = max(longest, piece, key=lambda each: each.lasted.time)
        else:
            return False
        shown = {longest.lasted.seq, piece.begun.seq}
        if longest is not first and not piece.is_deleted:  # nor the other way round
            shown |= {longest.begun.seq, piece.lasted.seq}
        old, new = longest.end.id, piece.versions[0].id.strip()
        by = " and ".join(map(self.who, sorted(shown)))
        maker = next(self.makers.after(old, piece.begun.time, frozenset()), None) if piece.is_orphan else None
        if maker is not None:
            words = f"{self.who(maker.seq)}'s unanswered write took effect in {self.name}. After that, version {old}, "
            words += f"which it had replaced, was current again, as {by} show."
            self._find(Flaw.BOTH, (*shown, maker.seq), words)
            return True
        flaw = Flaw.REVIVED if piece.is_deleted and len(piece.versions) == 1 else Flaw.STALE_READ
        words = f"version {old} of {self.name} was current after version {new} had replaced it, as {by} show."
        self._find(flaw, shown, words)
        return True

    def _find_overwritten(self) -> None:
        """The blind writes by which something vanished, or may have where bodies are missing."""
        if not any(write and write.blind for _, write in self.order):
            return
        for earlier, later in islice(_overwrites(self.order), _MOST_OVERWRITTEN):
            if _vanished(self.track, earlier, later, self.contents) == ():
                continue
            had = f"had last seen version {later.base}" if later.base else "had seen no version"
            words = (
                f"{self.who(later.seq)} {had} of {self.name} and updated it without If-Match. That overwrote version "
                f"{earlier.version}, which {self.who(earlier.seq)} had stored in the meantime."
            )
            self._find(Flaw.OVERWRITTEN, (earlier.seq, later.seq), words)

    def _find_contradiction(self, found: Contradiction | None) -> None:
        """A contradiction in time, in words."""
        assert found is not None
        flaw = _flaw_in_time(found)
        words = self._contrary_refusals(found) if len(found.refusals) > 1 else ""
        if not words:
            unreplaced = found.refusals and found.late is None
            refused, links = found.refusals[0].seq if found.refusals else 0, found.links
            words = (_UNREPLACED if unreplaced else _WORDS[flaw]).format(
                name=self.name,
                late=self.who(found.late.seq) if found.late else "",
                by=self.who(found.by.seq) if found.by.seq else "",
                denied=self.who(refused or (found.absence.seq if found.absence else found.by.seq)),
                old=found.chain.versions[max(found.first - 1, 0)].id,
                new=found.chain.versions[found.early].id.strip(),
                deleted=self.who(links[-1].seq) if links else "",
                unanswered=", ".join(self.who(link.seq) for link in links if not link.accepted),
                which="stored it" if found.first == found.early else "stored an earlier one",
            )
        self._find(flaw, found.exchanges, words + self._linked_by(found.exchanges, words))

    def _contrary_refusals(self, found: Contradiction) -> str:
        """Why several refusals cannot all be right: from the last one to the first."""
        names = [version.id.strip() for version in found.chain.versions]
        words = f"conflicts reported for {self.name} contradict each other."
        because = "nothing replaced it"
        if found.late is not None:
            because = f"{self.who(found.late.seq)} shows that it was replaced only after that"
        for number in range(len(found.refusals) - 1, -1, -1):
            version, refused = names[found.early + number], self.who(found.refusals[number].seq)
            words += f" {refused} named version {version} and got a conflict, and {because}."
            words += f" So version {version} began only after that request was sent."
            because = "that version was still current when the request ended"
        shown = f" {self.who(found.by.seq)} shows that" if found.by.seq else ""
        return f"{words} But{shown} version {names[found.early]} was there before."


_MOST_ENDS: Final = 50
"""Writes that are tried as the last one, which replaced the last version that anybody saw."""

_UNREPLACED: Final = (
    "{denied} named version {new} of {name} and got a conflict, although that version was current all the time: "
    "{by} shows it, and no write replaced it."
)

_WORDS: Final = {
    Flaw.WRONGLY_STALE: "{denied} named version {new} of {name} and got a conflict, although that version was current "
    "all the time: {by} shows it before, and {late} shows that it was replaced only afterwards.",
    Flaw.VANISHED: "{denied} did not find {name}, although {by} shows that it existed before, and nothing had deleted "
    "it by then.",
    Flaw.NOBODYS: "{denied} did not find {name}, which {by} shows, and no exchange created it or deleted it.",
    Flaw.REVIVED: "{deleted} deleted {name}. {late} began after that and still found it.",
    Flaw.BOTH: "{unanswered}'s unanswered write took effect in {name}, as {by} shows. {late} began after that and "
    "still found version {old}, which it had replaced.",
    Flaw.STALE_READ: "{late} found version {old} of {name}, although {by} had ended before that with a later "
    "version, {new}.",
    Flaw.FUTURE: "{by} had ended with version {new} of {name} before {late}, which {which}, had begun.",
}


def _finding(flaw: Flaw, resource: str, exchanges: Iterable[int], words: str) -> Finding:
    """A finding, its exchanges in order and each once; the first letter of its sentence a capital."""
    seqs = tuple(sorted({seq for seq in exchanges if seq}))
    return Finding(flaw, resource, seqs, words[:1].upper() + words[1:])


def _flaw_in_time(found: Contradiction) -> Flaw:
    """Which flaw a contradiction in time is."""
    if found.refusals:
        return Flaw.WRONGLY_STALE
    if found.absence is not None:
        return Flaw.VANISHED if found.by.time > NEVER else Flaw.NOBODYS
    write = found.chain.writes[found.first]
    if write is not None and found.late is not None and write.seq == found.late.seq:
        return Flaw.FUTURE
    if found.chain.is_deleted and found.early == len(found.chain.versions) - 1:
        return Flaw.REVIVED
    return Flaw.STALE_READ if all(link.accepted for link in found.links) else Flaw.BOTH


def _common(fates: Sequence[Fates]) -> Fates:
    """What is so in every order."""
    return {seq: fate if all(each[seq] is fate for each in fates) else None for seq, fate in fates[0].items()}


def _names(version: Version) -> int:
    """An exchange that names this version: one that was shown it, else the write that replaced it."""
    return version.seen_by.seq or (version.replaced_by.seq if version.replaced_by else 0)


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

    results: list[_Check]
    contents: Contents

    def __iter__(self) -> Iterator[Loss]:
        for result in self.results:
            yield from _losses(result.track, result.order, self.contents)
