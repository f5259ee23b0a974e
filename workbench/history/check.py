"""Check a history: could a correct endpoint have given these answers? If not, which updates were lost?

``events`` reads the exchanges. ``chain`` puts the versions in order and compares the order with the clock. This module
decides, puts each violation into a sentence, and names the elements that were lost.
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
from workbench.fhir import json, markup
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
    LooseWrites,
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
"""Versions that are visited while orders are tried."""

_MOST_OVERWRITTEN: Final = 200
"""Blind writes that are compared with what they overwrote."""

_MOST_COMPARED: Final = 500
"""Pairs of writes that are compared element by element. A race without a lock has far more, all of one kind."""

_LONGEST_CIRCLE: Final = 50


class Flaw(enum.Enum):
    """What no correct endpoint does. Tables show the value."""

    FORK = "one version replaced twice"
    """Two writes named the same version and both were accepted: one of them was lost."""
    OVERWRITTEN = "overwritten without being seen"
    """A write without a lock replaced a version that its client had not seen."""
    DUPLICATE = "an ETag used twice"
    CIRCLE = "versions that follow each other in a circle"
    CREATED_TWICE = "created twice"
    UNWRITTEN = "a version that no write made"
    REFUSED_YET_DONE = "refused and yet carried out"
    LANDED_AND_NOT = "an unanswered write that took effect and did not"
    """A write without an answer took effect according to one exchange, and did not according to another."""
    STALE_READ = "an old version after a newer one"
    FUTURE = "a version before it was written"
    WRONGLY_STALE = "the current version refused as stale"
    VANISHED = "not found, though not deleted"
    REVIVED = "there again after a delete"


_LOST: Final = frozenset({Flaw.FORK, Flaw.OVERWRITTEN})
"""The flaws by which an update is lost."""

_OF_ORDER: Final = frozenset(
    {Flaw.UNWRITTEN, Flaw.LANDED_AND_NOT, Flaw.STALE_READ, Flaw.FUTURE, Flaw.WRONGLY_STALE, Flaw.VANISHED, Flaw.REVIVED}
)
"""The flaws that depend on the order of versions."""

_MOST_SHRUNK: Final = 64
"""The largest number of exchanges that is reduced to a witness by leaving out one after the other."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One flaw of one resource in a sentence, with the numbers of the exchanges that show it, ascending."""

    flaw: Flaw
    resource: str
    exchanges: tuple[int, ...]
    words: str

    def __str__(self) -> str:
        return self.words


# --- the question and its answer ---


@runtime_checkable
class Exchanges(Protocol):
    """A sequence of exchanges: a journal, a list or a tuple."""

    def __getitem__(self, index: int, /) -> Exchange: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Exchange]: ...


@dataclass(frozen=True)
class Proof:
    """The result of a check: consistent, undecided, or not consistent and why.

    ``violations`` are sorted: the one that the fewest exchanges show comes first. ``landed`` says for each write
    without an answer, by its number, whether it took effect; ``None`` where that is unknown. ``notes`` are sentences
    about what could not be decided. ``undecided`` names the resources concerned.
    """

    exchanges: int
    resources: int
    violations: tuple[Violation, ...]
    landed: Mapping[int, bool | None]
    notes: tuple[str, ...]
    undecided: tuple[str, ...] = ()
    _losses: Iterable[Loss] = field(default=(), repr=False, compare=False)

    @property
    def sound(self) -> bool:
        """Whether no violation was found: a correct endpoint could have given these answers."""
        return not self.violations

    @property
    def witness(self) -> tuple[int, ...]:
        """The numbers of the smallest set of exchanges that shows a flaw; empty where there is none."""
        return self.violations[0].exchanges if self.violations else ()

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """Each client's first accepted update that was overwritten by a client that had not seen it."""
        return tuple(self._losses)

    def explain(self) -> str:
        """Return one paragraph: the verdict, the evidence, what was lost and what is unknown."""
        about = f"{self.exchanges:,} answers about {self.resources:,} resource{'' if self.resources == 1 else 's'}"
        if self.violations:
            more = len(self.violations) - 1
            sentences = [f"Inconsistent: no correct endpoint gives these {about}.", self.violations[0].words]
            sentences += (
                [f"There are {more:,} more violations."] if more > 1 else ["There is one more violation."] * more
            )
            sentences += [f"Lost: {'; '.join(map(str, self.losses))}."] if self.losses else []
        elif self.undecided:
            sentences = [f"Undecided: a correct endpoint may have given these {about}."]
        else:
            sentences = [f"Consistent: a correct endpoint could have given all {about}."]
        return printable(" ".join([*sentences, *self.notes]))

    def __str__(self) -> str:
        return self.explain()

    def _repr_html_(self) -> str:
        """Return the explanation; below it each violation, and each update that was lost."""
        tone = "bad" if self.violations else "warn" if self.undecided else "good"
        found: list[object] = [self.explain()]
        if self.violations:
            rows = [(each.flaw.value, ", ".join(map(str, each.exchanges)), each.words) for each in self.violations]
            found.append(markup.folded("Violations", markup.table(("flaw", "exchanges", "what they show"), rows)))
        if self.losses:
            lost = [(loss.client, loss.written, loss.overwritten, str(loss)) for loss in self.losses]
            found.append(markup.table(("lost update of", "made by exchange", "overwritten by", "elements"), lost))
        return markup.block(tone, *found)

    def __repr__(self) -> str:
        if self.violations:
            return f"<Proof: inconsistent: {self.violations[0].flaw.value} {self.witness}>"
        return f"<Proof: {'undecided' if self.undecided else 'consistent'}>"


class History:
    """The exchanges of all clients, ready to be checked."""

    def __init__(self, exchanges: Exchanges, *, in_turn: bool, skew: float) -> None:
        self._exchanges = exchanges
        self._in_turn, self._skew = in_turn, round(skew * 1_000_000)

    def check(self, resource: str | None = None) -> Proof:
        """Check all resources, or one (``Type/id``)."""
        count = len(self._exchanges)
        tracks = read_tracks(lambda: islice(self._exchanges, count), in_turn=self._in_turn, skew=self._skew)
        about = count
        if resource is not None:
            tracks = [track for track in tracks if track.name == resource]
            about = sum(exchange.target == resource for exchange in islice(self._exchanges, count))
        contents = Contents(self._exchanges)
        results = [_Check(track, contents, self._who).run() for track in tracks]
        violations = sorted((each for result in results for each in result.violations), key=_size)
        violations[:1] = [self._by_itself(violation) for violation in violations[:1]]
        landed = {seq: fate for result in results for seq, fate in result.landed.items()}
        lost = [result for result in results if any(violation.flaw in _LOST for violation in result.violations)]
        return Proof(
            about,
            len(tracks),
            tuple(sorted(violations, key=_size)),
            MappingProxyType(landed),
            (*self._open(landed), *(note for result in results for note in result.notes)),
            tuple(result.track.name for result in results if not result.decided),
            _Losses(lost, contents),
        )

    def _who(self, seq: int) -> str:
        return f"{self._exchanges[seq - 1].client} ({seq:,})"

    def _by_itself(self, violation: Violation) -> Violation:
        """Return the violation with a witness that shows it without other exchanges, where its resource has few.

        Where writes without an answer leave the order of versions open, the first order that was tried may contradict
        fewer exchanges than are needed to exclude every order.
        """
        if violation.flaw not in _OF_ORDER or self._is_possible(violation.exchanges, violation.resource) is False:
            return violation
        every = [seq for seq, exchange in enumerate(self._exchanges, 1) if exchange.target == violation.resource]
        if len(every) > _MOST_SHRUNK:
            return violation
        for seq in tuple(every):
            rest = [each for each in every if each != seq]
            if not self._is_possible_source(seq, rest) and not self._is_possible(rest, violation.resource):
                every = rest
        words = f"no order of the versions of {violation.resource} explains all of the exchanges "
        return _violation(violation.flaw, violation.resource, every, f"{words}{' and '.join(map(self._who, every))}.")

    def _is_possible_source(self, seq: int, others: Sequence[int]) -> bool:
        """Whether one of the others shows or names the version of this write, so that it must be kept."""
        event = read_event(self._exchanges[seq - 1])
        known = [read_event(self._exchanges[each - 1]) for each in others]
        said = event.version if event.said is Said.ACCEPTED else event.named if event.said is Said.OPEN else None
        return said is not None and any(said in (each.version, each.named) for each in known)

    def _is_possible(self, numbers: Sequence[int], resource: str) -> bool:
        some = [self._exchanges[seq - 1] for seq in numbers]
        tracks = read_tracks(lambda: some, in_turn=self._in_turn, skew=self._skew)
        results = [_Check(track, Contents(some), str).run() for track in tracks if track.name == resource]
        return all(not result.violations for result in results)

    def _open(self, landed: Mapping[int, bool | None]) -> Iterator[str]:
        unknown = sorted(seq for seq, fate in landed.items() if fate is None)
        if unknown:
            names = ", ".join(map(self._who, unknown[:5]))
            more = f" and {len(unknown) - 5:,} more" if len(unknown) > 5 else ""
            yield f"It is unknown whether the unanswered write{'s' * (len(unknown) > 1)} of {names}{more} took effect."


def _size(violation: Violation) -> tuple[int, tuple[int, ...]]:
    return len(violation.exchanges), violation.exchanges


def history(exchanges: Exchanges | Iterable[Exchange], *, in_turn: bool = False, skew: float = 0.0) -> History:
    """Prepare exchanges for a check: ``history(journal).check()``. They come in the order in which they ended.

    The check decides whether the exchanges are linearizable: a correct endpoint could have given these answers.

    * Accepted updates form one chain. Each replaces the version that its ``If-Match`` names. No version is replaced
      twice, and no ETag is used twice.
    * A read shows a version that was current at some moment of that read.
    * A refused write changed nothing. If it was refused as stale, the version that it named was not current at some
      moment of that request.
    * A write without an answer took effect once, at any time after it was sent, or never.
    * A write without ``If-Match`` counts as made from the version that its client had last seen. If it overwrites an
      update in between and elements are lost, that is a violation.

    The exchanges must include every write to these resources. A version that none of them made is a violation, except
    for the first one. Searches are ignored. The content of resources decides only what versions leave open.

    Unanswered writes and writes without ``If-Match`` leave the order of versions open. Up to seven pieces of the chain
    are tried in every order. Of more pieces one order is tried, by their times. If that order does not fit, the
    resource is *undecided*, and the proof says so. It is also undecided where only an unanswered write without
    ``If-Match`` could explain what was seen.

    ``sent_at`` and ``elapsed`` tell which exchange ended before another began. ``skew`` is the largest difference
    between the clocks of different machines, in seconds. Where an exchange has no ``elapsed``, only the order in which
    the exchanges ended is known. Then a stale read after *another* client's newer read cannot be detected, and every
    client needs its own name. With ``in_turn`` each exchange ended before the next one began, as in a schedule.

    Raises ``BadInput`` for a negative ``skew``.

    >>> history([]).check()
    <Proof: consistent>
    """
    if skew < 0:
        raise BadInput(f"skew={skew}: give the seconds by which clocks differ, 0 or more.")
    held = exchanges if isinstance(exchanges, Exchanges) else tuple(exchanges)
    return History(held, in_turn=in_turn, skew=skew)


# --- one resource ---

Who = Callable[[int], str]
"""Returns the client of an exchange, with its number: ``alice (3)``."""

Order = Sequence[tuple[str, Write | None]]
"""Version ids in order, each with the accepted write that made it, if one did."""

Fates = dict[int, bool | None]
"""Whether each write without an answer took effect, by its number."""


class _Try(NamedTuple):
    """One order of the pieces: its chain, its contradiction, and the fates of the writes without an answer."""

    chain: Chain
    contradiction: Contradiction | None
    fates: Fates


class _Check:
    """The check of one resource and its results."""

    def __init__(self, track: Track, contents: Contents, who: Who) -> None:
        self.track, self.name, self.contents, self.who = track, track.name, contents, who
        self.loose = LooseWrites(track)
        self.violations: list[Violation] = []
        self.landed: Fates = {}
        self.notes: list[str] = []
        self.order: Order = ()
        self.decided = True

    def run(self) -> _Check:
        """Run the check."""
        if self.track.unread:
            self.notes.append(f"{self.track.unread:,} reads of {self.name} do not say which version they show.")
        self._find_forks()
        self._find_false_echoes()
        pieces, circle = ([], []) if self.violations else pieces_of(self.track)
        if circle:
            self._find_circle(circle)
        whole = self._decide(pieces) if pieces and not self.violations else None
        self.order = _order_by_time(self.track) if whole is None else _order_of(whole)
        if whole is not None:
            self._find_overwritten()
        unanswered = [] if self.violations else [write.seq for write in self.track.loose if not write.accepted]
        self.landed = {seq: self.landed.get(seq) for seq in unanswered}
        return self

    def _report(self, flaw: Flaw, exchanges: Iterable[int], words: str) -> None:
        self.violations.append(_violation(flaw, self.name, exchanges, words))

    # --- flaws that do not depend on time ---

    def _find_forks(self) -> None:
        """Find two accepted writes with the same base or the same version, and two creates."""
        forked = {pair for rivals in self.track.rivals.values() for pair in pairwise(rivals)}
        for one, other in forked:
            self._find_fork(one, other)
        for one, other in self.track.doubles:
            if (one, other) not in forked and not one.deed is other.deed is Deed.CREATE:
                both = f"{self.who(one.seq)} and {self.who(other.seq)}"
                words = f"{both} both got version {one.version} for what they stored."
                self._report(Flaw.DUPLICATE, (one.seq, other.seq), words)
        for one, other in pairwise(write for write in self.track.writes if write.deed is Deed.CREATE):
            words = f"{self.who(one.seq)} and {self.who(other.seq)} both got 201 Created for {self.name}."
            self._report(Flaw.CREATED_TWICE, (one.seq, other.seq), words)
        for base, writes in self.loose.by_base.items():
            known = self.track.versions.get(base)
            taker = known.replaced_by if known else None
            accepted = [write for write in (taker, *writes) if write is not None and write.accepted]
            for one, other in pairwise(accepted):
                self._find_fork(one, other)

    def _find_fork(self, one: Write, other: Write) -> None:
        """Report two accepted writes that replaced one version, or an update after a delete."""
        first, second = sorted((one, other), key=lambda write: write.seq)
        gone, back = (one, other) if one.deed is Deed.DELETE else (other, one)
        if gone.deed is Deed.DELETE and back.deed is not Deed.DELETE and back.start > gone.end:
            words = f"{self.who(gone.seq)} deleted {self.name}. After that {self.who(back.seq)}'s update was accepted."
            self._report(Flaw.REVIVED, (gone.seq, back.seq), words)
            return
        words = (
            f"{self.who(first.seq)} and {self.who(second.seq)} both replaced version {first.base} of {self.name}, "
            "and both were accepted. The later one overwrote the other without having seen it."
        )
        self._report(Flaw.FORK, (first.seq, second.seq), words)

    def _find_false_echoes(self) -> None:
        """Find updates that got the version they replaced, although the content changed.

        Some servers keep the version where the content is unchanged.
        """
        for write in self.track.echoes:
            version = self.track.version(write.version or "")
            if self.contents.same(self.contents.sent(write.seq), self.contents.held(version)) is False:
                before = version.made_by.seq if version.made_by else version.read_in
                words = (
                    f"{self.who(write.seq)} stored other content than {self.who(before)} shows of version {version.id} "
                    f"of {self.name}, and got the same version."
                )
                self._report(Flaw.DUPLICATE, (before, write.seq), words)

    def _find_circle(self, writes: list[Write]) -> None:
        """Report writes of which each replaced the version of the one before, and the first that of the last."""
        for size in range(2, min(len(writes), _LONGEST_CIRCLE) + 1):
            for begin in range(len(writes)):
                run = [writes[(begin + step) % len(writes)] for step in range(size)]
                if run[0].start > run[-1].end:
                    words = (
                        f"{self.who(run[-1].seq)} had ended with version {run[-1].version} of {self.name} before "
                        f"{self.who(run[0].seq)}, which stored an earlier one, {run[0].version}, had begun."
                    )
                    seqs = [write.seq for write in run]
                    self._report(Flaw.FUTURE, seqs, words + self._linked_by(seqs, words))
                    return
        names = " → ".join(str(write.base) for write in writes[:_LONGEST_CIRCLE])
        words = (
            f"The versions {names} of {self.name} form a circle: each replaced the one before, and the first the last."
        )
        seqs = [write.seq for write in writes]
        self._report(Flaw.CIRCLE, seqs, words + self._linked_by(seqs[:_LONGEST_CIRCLE], words))

    def _linked_by(self, exchanges: Iterable[int], words: str) -> str:
        """Return a sentence with the exchanges that show the order, if the words do not name them."""
        between = [self.who(seq) for seq in sorted(exchanges) if self.who(seq).lower() not in words.lower()]
        return f" The order of the versions follows from {' and '.join(between)}." if between else ""

    # --- the order of the pieces ---

    def _decide(self, pieces: list[Chain]) -> Chain | None:
        """Find the order of the versions, or report why there is none, or that it is undecided."""
        unmade = self._unmade(pieces)
        first = next((piece for piece in pieces if piece.is_created), unmade[0] if unmade else None)
        for piece in unmade:
            if piece is not first:
                self._find_unwritten(piece, [first] if first else [each for each in pieces if each is not piece])
        if first is not None:
            pieces = [first, *(piece for piece in pieces if piece is not first)]
        if self.violations or self._find_clash(pieces, first):
            return None
        few = len(pieces) <= MOST_PIECES and len(pieces) + len(self.loose.optional) <= MOST_OPTIONAL
        every = self._likely_order(pieces)
        if few:
            every = arrangements((), [*pieces, *self.loose.optional], self.loose, frozenset())
        most = max(10, min(_MOST_ORDERS, _MOST_STEPS // len(self.track.versions)))
        tries = [self._try(each) for each in islice(every, most)]
        possible = [each for each in tries if each.contradiction is None]
        if possible:
            self.landed |= _common([each.fates for each in possible]) if few else {}
            return possible[0].chain
        takers = [self.loose.accepted_after(piece.end.id) for piece in pieces]
        parts = [extended(piece, taker) if taker else piece for piece, taker in zip(pieces, takers, strict=True)]
        alone = (find_contradiction(self.track, part, alone=True) for part in parts)
        found = next((each for each in alone if each is not None), None)
        if found is None and (not few or self.loose.blind or len(tries) == most):
            self.decided = False
            self.notes.append(
                f"Too many writes to {self.name} got no answer, so their order is unknown. "
                "The check found no contradiction, but did not try every order."
            )
        elif found is not None or tries:
            self._find_contradiction(found or tries[0].contradiction)
        else:
            words = f"the unanswered writes cannot have made all the versions of {self.name} that no other write made."
            self._report(Flaw.UNWRITTEN, (), words)
        return tries[0].chain if tries else None

    def _unmade(self, pieces: list[Chain]) -> list[Chain]:
        """Return the pieces whose first version no write can have made. One of them was there first."""
        ends = {piece.end.id for piece in (*pieces, *self.loose.optional)}
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
        """Yield one order of many pieces, if there is one. The earliest piece that fits comes next."""
        placed: list[Placed] = []
        loose, waiting, lasted = LooseWrites(self.track), list(pieces), NEVER
        while waiting:
            fits = list(self._fitting(tuple(placed[-1:]), waiting[:MOST_PIECES], loose, lasted))
            if not fits:
                return
            chosen = next((each for each in fits if each.piece.end.id in loose.by_base), fits[0])
            placed.append(chosen)
            waiting.remove(chosen.piece)
            lasted = max(lasted, chosen.piece.lasted.time)
            if chosen.link is not None and chosen.link.blind:
                loose.blind.remove(chosen.link)
        yield tuple(placed)
        for piece in loose.optional[:_MOST_ENDS]:  # a delete may have named a version that no exchange shows
            for each in arrangements(tuple(placed[-1:]), [piece], loose, frozenset(), lasted):
                yield (*placed[:-1], *each)

    def _fitting(self, before: Arrangement, waiting: list[Chain], loose: LooseWrites, lasted: int) -> Iterator[Placed]:
        """Yield the pieces that can come next."""
        for piece in waiting:
            others = [other for other in waiting if other is not piece]
            if all(other.begun.time >= piece.lasted.time for other in others):
                for each in arrangements(before, [piece], loose, frozenset(), lasted):
                    chain = joined(self.track, each, loose)
                    if find_contradiction(self.track, chain, alone=True) is None:
                        yield each[-1]

    def _try(self, arrangement: Arrangement) -> _Try:
        """Compare one order of the pieces with the clock."""
        known = self.track.versions
        fates: Fates = {w.seq: None if w.blind or w.base not in known else False for w in self.track.loose}
        for before, (piece, link) in pairwise(arrangement):
            if link is not None:
                fates |= self._fates_of_candidates(before.piece.end.id, piece)
        return self._try_end(joined(self.track, arrangement, self.loose), fates)

    def _fates_of_candidates(self, end: str, piece: Chain) -> Fates:
        """Return which of the candidates made the first version of a piece. The content may decide it."""
        until, contents = piece.begun.time, self.contents
        able = [write for write in (*self.loose.by_base.get(end, ()), *self.loose.blind) if write.start <= until]
        able = [write for write in able if write.deed is not Deed.DELETE]
        if len(able) == 1:
            return {able[0].seq: True}
        read = contents.read(piece.versions[0].read_in)
        same = [contents.same(contents.sent(write.seq), read) for write in able]
        if same.count(True) == 1 and None not in same:
            return {able[same.index(True)].seq: True}
        return {write.seq: None for write in able}

    def _try_end(self, chain: Chain, fates: Fates) -> _Try:
        """Let a write of unknown version replace the last version where the answers require it."""
        track, last = self.track, chain.end.id
        accepted = self.loose.accepted_after(last)
        if accepted is not None:
            chain = extended(chain, accepted)
        contradiction = find_contradiction(track, chain)
        if chain.is_deleted or accepted is not None:
            return _Try(chain, contradiction, fates)
        named = self.loose.by_base.get(last, [])
        fates |= dict.fromkeys(write.seq for write in named)
        if contradiction is None or not (last in track.refusals or track.absences):
            return _Try(chain, contradiction, fates)
        used = set(chain.writes)
        blind = [write for write in self.loose.blind if write not in used]
        likely = [*named, *blind[:1], *[write for write in blind if write.deed is Deed.DELETE][:1]][:_MOST_ENDS]
        fitting = [write for write in likely if find_contradiction(track, extended(chain, write)) is None]
        if not fitting:
            return _Try(chain, contradiction, fates)
        if len(likely) < _MOST_ENDS:
            fates |= {write.seq: None if write in fitting else False for write in named}
            fates |= {write.seq: True for write in fitting if len(fitting) == 1 and len(blind) <= write.blind}
        return _Try(extended(chain, fitting[0]), None, fates)

    # --- flaws in the order ---

    def _find_unwritten(self, piece: Chain, others: list[Chain]) -> None:
        """Report that no write made the first version of this piece. ``others`` show that another version was first."""
        contents, who, root = self.contents, self.who, piece.versions[0]
        shown, text = _names(root), contents.read(root.read_in)
        for seq in self.track.unchanged if text is not None else ():
            if contents.same(contents.sent(seq), text):
                words = (
                    f"the endpoint refused {who(seq)}'s write. Yet {who(root.read_in)} read version {root.id} of "
                    f"{self.name}, which holds what that write sent."
                )
                self._report(Flaw.REFUSED_YET_DONE, (seq, root.read_in), words)
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
                self._report(Flaw.LANDED_AND_NOT, (shown, write.seq, taker.seq), words)
                return
        made = ((v, w) for other in others for v, w in zip(other.versions, other.writes, strict=True))
        seq, was = next(((w.seq if w else _names(v), v.id) for v, w in made if w or _names(v)), (0, ""))
        beside = f" {who(seq)} shows another version, {was}." if seq else ""
        words = f"{who(shown)} shows version {root.id} of {self.name}, and no exchange wrote it.{beside}"
        self._report(Flaw.UNWRITTEN, (shown, seq), words)

    def _find_clash(self, pieces: list[Chain], first: Chain | None) -> bool:
        """Report two pieces of which neither can come first: one still lasted after the other had begun."""
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
        link = next(self.loose.after(old, piece.begun.time, frozenset()), None) if piece.is_orphan else None
        if link is not None:
            words = f"{self.who(link.seq)}'s unanswered write took effect in {self.name}. After that, version {old}, "
            words += f"which it had replaced, was current again, as {by} show."
            self._report(Flaw.LANDED_AND_NOT, (*shown, link.seq), words)
            return True
        flaw = Flaw.REVIVED if piece.is_deleted and len(piece.versions) == 1 else Flaw.STALE_READ
        words = f"version {old} of {self.name} was current after version {new} had replaced it, as {by} show."
        self._report(flaw, shown, words)
        return True

    def _find_overwritten(self) -> None:
        """Report the blind writes by which elements were lost, or may have been where bodies are missing."""
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
            self._report(Flaw.OVERWRITTEN, (earlier.seq, later.seq), words)

    def _find_contradiction(self, found: Contradiction | None) -> None:
        """Report a contradiction in time."""
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
        self._report(flaw, found.exchanges, words + self._linked_by(found.exchanges, words))

    def _contrary_refusals(self, found: Contradiction) -> str:
        """Return why several refusals cannot all be right, from the last one to the first."""
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
"""The largest number of writes that are tried as the one that replaced the last known version."""

_UNREPLACED: Final = (
    "{denied} named version {new} of {name} and got a conflict, although that version was current all the time: "
    "{by} shows it, and no write replaced it."
)

_WORDS: Final = {
    Flaw.WRONGLY_STALE: "{denied} named version {new} of {name} and got a conflict, although that version was current "
    "all the time: {by} shows it before, and {late} shows that it was replaced only afterwards.",
    Flaw.VANISHED: "{denied} did not find {name}, although {by} shows that it existed before, and nothing had deleted "
    "it by then.",
    Flaw.UNWRITTEN: "{denied} did not find {name}, which {by} shows, and no exchange created it or deleted it.",
    Flaw.REVIVED: "{deleted} deleted {name}. {late} began after that and still found it.",
    Flaw.LANDED_AND_NOT: "{unanswered}'s unanswered write took effect in {name}, as {by} shows. {late} began after "
    "that and still found version {old}, which it had replaced.",
    Flaw.STALE_READ: "{late} found version {old} of {name}, although {by} had ended before that with a later "
    "version, {new}.",
    Flaw.FUTURE: "{by} had ended with version {new} of {name} before {late}, which {which}, had begun.",
}


def _violation(flaw: Flaw, resource: str, exchanges: Iterable[int], words: str) -> Violation:
    """Return a violation with its exchanges in order, each once, and a capital at the start of its sentence."""
    seqs = tuple(sorted({seq for seq in exchanges if seq}))
    return Violation(flaw, resource, seqs, words[:1].upper() + words[1:])


def _flaw_in_time(found: Contradiction) -> Flaw:
    """Return the flaw that a contradiction in time shows."""
    if found.refusals:
        return Flaw.WRONGLY_STALE
    if found.absence is not None:
        return Flaw.VANISHED if found.by.time > NEVER else Flaw.UNWRITTEN
    write = found.chain.writes[found.first]
    if write is not None and found.late is not None and write.seq == found.late.seq:
        return Flaw.FUTURE
    if found.chain.is_deleted and found.early == len(found.chain.versions) - 1:
        return Flaw.REVIVED
    return Flaw.STALE_READ if all(link.accepted for link in found.links) else Flaw.LANDED_AND_NOT


def _common(fates: Sequence[Fates]) -> Fates:
    """Return the fates that are the same in every order."""
    return {seq: fate if all(each[seq] is fate for each in fates) else None for seq, fate in fates[0].items()}


def _names(version: Version) -> int:
    """Return an exchange that names this version: one that shows it, else the write that replaced it."""
    return version.seen_by.seq or (version.replaced_by.seq if version.replaced_by else 0)


def _order_of(whole: Chain) -> Order:
    made = zip(whole.versions, whole.writes, strict=True)
    return [(version.id, write if write and write.accepted else None) for version, write in made]


def _order_by_time(track: Track) -> Order:
    """Return the accepted writes in a likely order where they form no chain: by their times and their bases."""
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
            return f"{self.client}'s update ({self.written:,}); the bodies that would name its elements are not kept"
        return f"{self.client}'s {', '.join(decision.path for decision in self.elements)}"


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


def _overwrites(order: Order) -> Iterator[tuple[Write, Write]]:
    """Yield pairs of accepted writes: the earlier one, and the one that overwrote it without having seen it."""
    position = {version: number for number, (version, _) in enumerate(order)}
    for number, (_, write) in enumerate(order):
        if write is None:
            continue
        seen = position.get(write.base, -1) if write.base is not None else -1
        for _, earlier in order[seen + 1 : number]:
            if earlier is not None and earlier.client != write.client and earlier.deed is not Deed.DELETE:
                yield earlier, write


def _losses(track: Track, order: Order, contents: Contents) -> Iterator[Loss]:
    """Yield each client's first loss, in order. An update whose elements were all kept is skipped."""
    reported: set[str] = set()
    unknown: dict[str, Loss] = {}
    for compared, (earlier, later) in enumerate(_overwrites(order)):
        if compared == _MOST_COMPARED:
            break
        if earlier.client in reported:
            continue
        gone = _vanished(track, earlier, later, contents)
        if gone is None:
            unknown.setdefault(earlier.client, Loss(earlier.client, (), earlier.seq, later.seq))
        elif gone:
            reported.add(earlier.client)
            yield Loss(earlier.client, gone, earlier.seq, later.seq)
    yield from (loss for client, loss in unknown.items() if client not in reported)


def _vanished(track: Track, earlier: Write, later: Write, contents: Contents) -> tuple[Decision, ...] | None:
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


@dataclass(frozen=True)
class _Losses:
    """The losses, computed only on request, because comparing bodies takes longer than the proof."""

    results: list[_Check]
    contents: Contents

    def __iter__(self) -> Iterator[Loss]:
        for result in self.results:
            yield from _losses(result.track, result.order, self.contents)
