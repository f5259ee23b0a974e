"""Check a history: could a correct endpoint have given these answers? If not, which updates were lost?

``events`` reads the exchanges. ``chain`` puts the versions in order and compares the order with the clock. This module
decides. ``violations`` puts each violation into a sentence, and ``losses`` names the elements that were lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Final, NamedTuple

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.fhir import markup
from workbench.fhir.printable import printable
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
from workbench.history.events import ALWAYS, NEVER, Deed, Said, Track, read_event, read_tracks
from workbench.history.losses import Contents, Exchanges, Loss, Order, find_losses
from workbench.history.violations import LOST, OF_ORDER, Violation, Violations, Who, build_violation

_MOST_ORDERS: Final = 5040
"""Orders that are tried: all of seven pieces."""

_MOST_STEPS: Final = 2_000_000
"""Versions that are visited while orders are tried."""

_MOST_ENDS: Final = 50
"""The largest number of writes that are tried as the one that replaced the last known version."""

_MOST_SHRUNK: Final = 64
"""The largest number of exchanges that is reduced to a witness by leaving out one after the other."""


# --- the question and its answer ---


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
    _find_losses: Callable[[], Iterable[Loss]] = field(default=tuple, repr=False, compare=False)
    """Called only on request, because comparing bodies takes longer than the check."""

    @property
    def verdict(self) -> str:
        """The result in one word: ``consistent``, ``undecided`` or ``inconsistent``."""
        return "inconsistent" if self.violations else "undecided" if self.undecided else "consistent"

    @property
    def sound(self) -> bool:
        """Whether a correct endpoint could have given these answers; false also where that is undecided."""
        return self.verdict == "consistent"

    @property
    def witness(self) -> tuple[int, ...]:
        """The numbers of the smallest set of exchanges that shows a flaw; empty where there is none."""
        return self.violations[0].exchanges if self.violations else ()

    @cached_property
    def losses(self) -> tuple[Loss, ...]:
        """Each client's first accepted update that was overwritten by a client that had not seen it."""
        return tuple(self._find_losses())

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
        tone = {"consistent": "good", "undecided": "warn", "inconsistent": "bad"}[self.verdict]
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
        return f"<Proof: {self.verdict}>"


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
        lost = [result for result in results if any(violation.flaw in LOST for violation in result.violations)]
        return Proof(
            about,
            len(tracks),
            tuple(sorted(violations, key=_size)),
            MappingProxyType(landed),
            (*self._open(landed), *(note for result in results for note in result.notes)),
            tuple(result.track.name for result in results if not result.decided),
            lambda: (loss for result in lost for loss in find_losses(result.track, result.order, contents)),
        )

    def _who(self, seq: int) -> str:
        return f"{self._exchanges[seq - 1].client} ({seq:,})"

    def _by_itself(self, violation: Violation) -> Violation:
        """Return the violation with a witness that shows it without other exchanges, where its resource has few.

        Where writes without an answer leave the order of versions open, the first order that was tried may contradict
        fewer exchanges than are needed to exclude every order.
        """
        if violation.flaw not in OF_ORDER or self._is_possible(violation.exchanges, violation.resource) is False:
            return violation
        every = [seq for seq, exchange in enumerate(self._exchanges, 1) if exchange.target == violation.resource]
        if len(every) > _MOST_SHRUNK:
            return violation
        for seq in tuple(every):
            rest = [each for each in every if each != seq]
            if not self._is_possible_source(seq, rest) and not self._is_possible(rest, violation.resource):
                every = rest
        names = " and ".join(map(self._who, every))
        words = f"no order of the versions of {violation.resource} explains all of the exchanges {names}."
        return build_violation(violation.flaw, violation.resource, every, words)

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
        self.track, self.name, self.contents = track, track.name, contents
        self.loose = LooseWrites(track)
        self.report = Violations(track, self.loose, contents, who)
        self.violations = self.report.found
        self.landed: Fates = {}
        self.notes: list[str] = []
        self.order: Order = ()
        self.decided = True

    def run(self) -> _Check:
        """Run the check."""
        if self.track.unread:
            self.notes.append(f"{self.track.unread:,} reads of {self.name} do not say which version they show.")
        self.report.find_forks()
        self.report.find_false_echoes()
        pieces, circle = ([], []) if self.violations else pieces_of(self.track)
        if circle:
            self.report.find_circle(circle)
        whole = self._decide(pieces) if pieces and not self.violations else None
        self.order = _order_by_time(self.track) if whole is None else _order_of(whole)
        if whole is not None:
            self.report.find_overwritten(self.order)
        unanswered = [] if self.violations else [write.seq for write in self.track.loose if not write.accepted]
        self.landed = {seq: self.landed.get(seq) for seq in unanswered}
        return self

    # --- the order of the pieces ---

    def _decide(self, pieces: list[Chain]) -> Chain | None:
        """Find the order of the versions, or report why there is none, or that it is undecided."""
        unmade = self._unmade(pieces)
        first = next((piece for piece in pieces if piece.is_created), unmade[0] if unmade else None)
        for piece in unmade:
            if piece is not first:
                self.report.find_unwritten(piece, [first] if first else [each for each in pieces if each is not piece])
        if first is not None:
            pieces = [first, *(piece for piece in pieces if piece is not first)]
        if self.violations or self.report.find_clash(pieces, first):
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
        elif contradiction := found or (tries[0].contradiction if tries else None):
            self.report.add_contradiction(contradiction)
        else:
            self.report.add_unwritten()
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
        """Yield one order of many pieces, if there is one. The earliest piece that can follow comes next."""
        placed: list[Placed] = []
        loose, waiting, lasted = LooseWrites(self.track), list(pieces), NEVER
        while waiting:
            orders = (arrangements(tuple(placed[-1:]), [each], loose, frozenset(), lasted) for each in waiting)
            chosen = next((each[-1] for order in islice(orders, MOST_PIECES) for each in order), None)
            if chosen is None:
                return
            placed.append(chosen)
            waiting.remove(chosen.piece)
            lasted = max(lasted, chosen.piece.lasted.time)
            if chosen.link is not None and chosen.link.blind:
                loose.blind.remove(chosen.link)
        yield tuple(placed)
        for piece in loose.optional[:_MOST_ENDS]:  # a delete may have named a version that no exchange shows
            for each in arrangements(tuple(placed[-1:]), [piece], loose, frozenset(), lasted):
                yield (*placed[:-1], *each)

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


def _common(fates: Sequence[Fates]) -> Fates:
    """Return the fates that are the same in every order."""
    return {seq: fate if all(each[seq] is fate for each in fates) else None for seq, fate in fates[0].items()}


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
