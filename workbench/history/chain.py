"""Put the versions of one resource in order: each made by one write from the version before it.

Where every link between versions is known there is one chain. It breaks into pieces where a link is unknown: a blind
write (one without ``If-Match``) names no version, and a write without an answer shows no version. ``arrangements``
yields the orders of the pieces that the links allow. ``find_contradiction`` compares one order with the clock.

Each version began at one moment, and each answer is a condition on these moments.

* An answer that shows a version: it began before the answer ended, and the next one began after the request started.
* A refusal of a version (409 for its ``If-Match``): it began after the request started, *or* the next one began before
  the answer ended.

So a condition is a bound, or it has the form "if the next version began late, this one began late". Such conditions
have a smallest solution. One pass forward and one pass back find it, or find the contradiction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

from workbench.history.events import ALWAYS, NEVER, Deed, Interval, Moment, Track, Version, Write

MOST_PIECES: Final = 7
"""Pieces that are tried in every order."""

MOST_OPTIONAL: Final = 10
"""Pieces that are tried in every order, with those that may never have existed."""

_MOST_TRACED: Final = 100
"""Contradictions among refusals that are compared to find the smallest."""


@dataclass(eq=False)
class Chain:
    """Versions in order. ``writes[i]`` is the accepted write that made ``versions[i]``; ``None`` if unknown."""

    versions: list[Version] = field(default_factory=list)
    writes: list[Write | None] = field(default_factory=list)
    optional: bool = False
    """Whether only writes without an answer name it. It may never have existed."""

    def add(self, version: Version, write: Write | None) -> None:
        """Add a version at the end."""
        self.versions.append(version)
        self.writes.append(write)

    @property
    def end(self) -> Version:
        """The last version."""
        return self.versions[-1]

    @property
    def is_orphan(self) -> bool:
        """Whether no accepted write is known to have made its first version."""
        return self.writes[0] is None

    @property
    def is_created(self) -> bool:
        """Whether it begins with the creation of the resource."""
        first = self.writes[0]
        return first is not None and first.deed is Deed.CREATE

    @property
    def is_deleted(self) -> bool:
        """Whether it ends with the deletion of the resource."""
        last = self.writes[-1]
        return last is not None and last.deed is Deed.DELETE

    @cached_property
    def begun(self) -> Moment:
        """The time by which its first version began, and an exchange that shows it."""
        begun = min(version.seen_by for version in self.versions)
        return min([begun, *(Moment(write.end, write.seq) for write in self.writes if write)])

    @cached_property
    def lasted(self) -> Moment:
        """The time until which the version before its last one lasted at least, and an exchange that shows it."""
        lasted = max(version.seen_until for version in self.versions)
        return max([lasted, *(Moment(write.start, write.seq) for write in self.writes if write)])

    @property
    def middle(self) -> tuple[int, int]:
        """The sort key that gives an order which the times allow, if there is one (Gibbons and Korach, 1997)."""
        return (2 if self.is_deleted else 1, self.begun.time + self.lasted.time)


def pieces_of(track: Track) -> tuple[list[Chain], list[Write]]:
    """Return the pieces that the known links make, and a circle of writes if there is one.

    A blind write begins a piece: another version may lie between what its client saw and what it made.
    """
    found: list[Chain] = []
    for version in track.versions.values():
        write = version.made_by
        if write is None or write.base is None or write.blind:
            piece = Chain([version], [write])
            while (following := piece.end.replaced_by) is not None:
                piece.add(track.version(following.version or ""), following)
            found.append(piece)

    circle: list[Write] = []
    if sum(len(piece.versions) for piece in found) < len(track.versions):
        placed = {version.id for piece in found for version in piece.versions}
        write = next(version for version in track.versions.values() if version.id not in placed).replaced_by
        while write is not None and write not in circle[:1]:
            circle.append(write)
            write = track.version(write.version or "").replaced_by
    return sorted(_deleted_once(found), key=lambda piece: piece.middle), circle


def _deleted_once(found: list[Chain]) -> list[Chain]:
    """Drop the blind deletions of a resource that was already deleted. They change nothing."""
    deletions = [piece for piece in found if piece.is_deleted]
    bare = [piece for piece in deletions if len(piece.versions) == 1]
    spare = bare[1:] if len(bare) == len(deletions) else bare
    return [piece for piece in found if piece not in spare] if spare else found


class LooseWrites:
    """The writes whose version is unknown. Each may have made a version that no other write made."""

    def __init__(self, track: Track) -> None:
        self.by_base: defaultdict[str, list[Write]] = defaultdict(list)
        """By the version that they named: accepted ones first, then the earliest first."""
        for write in sorted(track.loose, key=lambda write: (not write.accepted, write.start)):
            if write.base is not None and not write.blind:
                self.by_base[write.base].append(write)
        self.blind = sorted((write for write in track.loose if write.blind), key=lambda write: write.start)
        """Those that named none, the earliest first."""
        self.optional = [Chain([Version(base)], [None], True) for base in self.by_base if base not in track.versions]
        """The versions that only they name, each as a piece."""
        self.may_delete_unseen = bool(track.absences) and any(
            write.deed is Deed.DELETE for piece in self.optional for write in self.by_base[piece.end.id]
        )
        """Whether one of them may have deleted such a version, while an answer says that the resource is gone."""

    def accepted_after(self, end: str) -> Write | None:
        """Return the accepted write that replaced this version, if its answer names no version."""
        return next((write for write in self.by_base.get(end, ()) if write.accepted), None)

    def after(self, end: str, until: int, spent: AbstractSet[Write]) -> Iterator[Write]:
        """Yield the updates that can have replaced version ``end`` by a time: the first that named it, the first blind.

        An earlier write explains all that a later one can.
        """
        for writes in (self.by_base.get(end, ()), self.blind):
            for write in writes:
                if write.accepted and writes is not self.blind:
                    if write.start <= until:
                        yield write
                    return
                if write.start <= until and write.deed is not Deed.DELETE and write not in spent:
                    yield write
                    break


class Placed(NamedTuple):
    """A piece, and the write of unknown version that made its first version and so links it to the piece before."""

    piece: Chain
    link: Write | None


Arrangement = tuple[Placed, ...]


def arrangements(
    placed: Arrangement, waiting: Sequence[Chain], loose: LooseWrites, spent: AbstractSet[Write], lasted: int = NEVER
) -> Iterator[Arrangement]:
    """Yield every order in which the waiting pieces can follow the placed ones, by their links and their times."""
    if all(piece.optional for piece in waiting):
        yield placed
        if not loose.may_delete_unseen:
            return
    for piece in waiting:
        if piece.begun.time < lasted:
            continue
        others = [other for other in waiting if other is not piece]
        for link in _links_to(placed, piece, others, loose, spent):
            after = max(lasted, piece.lasted.time, link.start if link else NEVER)
            if all(other.begun.time >= after for other in others):
                more = spent if link is None else {*spent, link}
                yield from arrangements((*placed, Placed(piece, link)), others, loose, more, after)


def _links_to(
    placed: Arrangement, piece: Chain, others: Sequence[Chain], loose: LooseWrites, spent: AbstractSet[Write]
) -> Iterator[Write | None]:
    """Yield what can have made the first version of a piece here. Yield nothing where the piece cannot come next."""
    if not placed:
        if piece.is_created or not any(other.is_created for other in others):
            yield None
        return
    last = placed[-1].piece
    if last.is_deleted or piece.is_created:
        return
    if piece.is_orphan:
        yield from loose.after(last.end.id, piece.begun.time, spent)
    elif loose.accepted_after(last.end.id) is None:
        yield None


def joined(track: Track, arrangement: Arrangement, loose: LooseWrites) -> Chain:
    """Join the pieces of an arrangement. A refusal may require an unseen version before a blind write; add it."""
    whole = Chain()
    spent = {placed.link for placed in arrangement if placed.link}
    for piece, link in arrangement:
        root = link or piece.writes[0]
        if root is not None and root.blind:
            if not whole.versions:
                whole.add(Version(" unseen, before"), None)
            elif (unseen := _unseen_before(track, whole, root, loose, spent)) is not None:
                whole.add(Version(f" unseen, by {unseen.seq}"), unseen)
                spent.add(unseen)
        whole.add(piece.versions[0], root)
        whole.versions += piece.versions[1:]
        whole.writes += piece.writes[1:]
    return whole


def _unseen_before(
    track: Track, whole: Chain, root: Write, loose: LooseWrites, spent: AbstractSet[Write]
) -> Write | None:
    """Return the write that replaced the end of the chain before the blind write ``root``, if a refusal needs one."""
    version, write = whole.end, whole.writes[-1]
    there = min(version.seen_by.time, write.end if write else ALWAYS)
    refused = [refusal.end for refusal in track.refusals.get(version.id, ()) if refusal.start > there]
    if not refused or min(refused) >= root.start:
        return None
    return next(loose.after(version.id, min(refused), spent), None)


def extended(chain: Chain, write: Write) -> Chain:
    """Return the chain with a last version that no exchange shows."""
    version = Version(f" unseen, by {write.seq}")
    return Chain([*chain.versions, version], [*chain.writes, write])


# --- real time ---


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Answers that no moments at which the versions of a chain began can explain.

    Version ``early`` began ``by`` a moment, which an exchange shows. Other exchanges show that it began later:

    * version ``first``, the same or one before it, began after ``late``; or
    * an ``absence``: it did not exist then, and was deleted only after ``late``, or never; or
    * ``refusals`` of this version and of the ones after it, one of each, and the version after these began after
      ``late``, or there is none.
    """

    chain: Chain
    early: int
    by: Moment
    late: Moment | None = None
    first: int = 0
    absence: Interval | None = None
    refusals: tuple[Interval, ...] = ()

    @property
    def links(self) -> list[Write]:
        """The writes that show that the versions concerned follow one another."""
        first, last = self.first, self.early
        if self.absence is not None:
            return []
        if self.refusals:
            first, last = self.early + 1, self.early + len(self.refusals)
        return [write for write in self.chain.writes[first : last + 1] if write is not None]

    @property
    def exchanges(self) -> set[int]:
        """The exchanges that show it."""
        links, root = self.links, self.chain.versions[0].id
        shown = {refusal.seq for refusal in self.refusals} | {
            moment.seq for moment in (self.late, self.absence) if moment
        }
        if self.by.time > NEVER or not any(link.base == root and not link.blind for link in links):
            shown.add(self.by.seq)
        creation = self.chain.writes[0] if self.chain.is_created and self.first == 0 else None
        if creation is None or self.refusals or self.late is None or self.late.seq != creation.seq:
            shown |= {link.seq for link in links}  # otherwise no link is needed: before the creation there was nothing
        return shown - {0}


def find_contradiction(track: Track, chain: Chain, *, alone: bool = False) -> Contradiction | None:
    """Return the contradiction that the fewest exchanges show. ``alone``: the chain is only a part of the history."""
    found = _Moments(track, chain, alone=alone).contradiction()
    if found is not None and not alone and chain.is_orphan and track.origin < ALWAYS:
        return _Moments(track, chain, appeared=True).contradiction() and found
    return found


class _Moments:
    """The moments at which the versions of a chain began: each from ``lower`` to ``upper``.

    ``appeared`` says whether a create without an answer made the first version; otherwise it was there before.
    """

    def __init__(self, track: Track, chain: Chain, *, alone: bool = False, appeared: bool = False) -> None:
        self.track, self.chain, self.alone = track, chain, alone
        self.was_there = chain.is_orphan and not appeared and not alone
        self.lower: list[Moment] = []
        self.upper: list[Moment] = []
        lasted = Moment(track.origin if appeared else NEVER, 0)
        for version, write in zip(chain.versions, chain.writes, strict=True):
            lower, upper = lasted, version.seen_by
            if write is not None and write.start > lower.time:
                lower = Moment(write.start, write.seq)
            if write is not None and write.end <= upper.time:
                upper = Moment(write.end, write.seq)
            self.lower.append(lower)
            self.upper.append(upper)
            lasted = version.seen_until

    def contradiction(self) -> Contradiction | None:
        """See ``find_contradiction``."""
        found = self._of_bounds()
        if found is None and self.track.absences and not self.alone:
            found = self._of_absences()
        if found is None and self.track.refusals:
            found = self._of_refusals()
        return found

    def _of_bounds(self) -> Contradiction | None:
        """Find a version that began before itself, or before a version that precedes it."""
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
                found = Contradiction(self.chain, early, self._by(early, late.time), late, first)
                best = found if best is None or len(found.exchanges) < len(best.exchanges) else best
        return best

    def _late(self, number: int, than: int) -> Moment:
        """Return why a version began later than that: its own write if possible, as the order needs that anyway."""
        write = self.chain.writes[number]
        return Moment(write.start, write.seq) if write is not None and write.start > than else self.lower[number]

    def _by(self, number: int, than: int) -> Moment:
        """Return why a version began earlier than that: its own write if possible."""
        write = self.chain.writes[number]
        return Moment(write.end, write.seq) if write is not None and write.end < than else self.upper[number]

    def _of_absences(self) -> Contradiction | None:
        """Find a *not found* that comes neither before the creation nor after the deletion."""
        deleted = max(self.lower) if self.chain.is_deleted else None
        before = [absence for absence in self.track.absences if deleted is None or absence.end < deleted.time]
        by = min(self.upper)
        seen = [absence for absence in before if absence.start > by.time]
        if seen or (before and self.was_there):
            absence = min(seen or before)
            own = self._late(-1, absence.end)
            late = own if deleted and own.time > absence.end else deleted
            early = by if seen else Moment(NEVER, by.seq or min(write.seq for write in self.chain.writes if write))
            return Contradiction(self.chain, self.upper.index(by), early, late, absence=absence)
        if before:
            created = max(Moment(absence.start, absence.seq) for absence in before)
            self.lower[0] = max(self.lower[0], created)
        return None

    def _of_refusals(self) -> Contradiction | None:
        """Raise each moment as the refusals require, from the last version to the first.

        A refusal raises a moment to its own start, which lies before the moment of the next version. So no later
        moment has to be raised again.
        """
        versions = self.chain.versions
        moments = list(accumulate((lower.time for lower in self.lower), max))
        against = []
        following = NEVER if self.alone else ALWAYS
        for number in range(len(versions) - 1, -1, -1):
            for refusal in self.track.refusals.get(versions[number].id, ()):
                if refusal.end < following and refusal.start > moments[number]:
                    moments[number] = refusal.start
            following = moments[number]
            if following > (NEVER if self.was_there and number == 0 else self.upper[number].time):
                against.append(number)
        found = [self._trace(number, moments) for number in against[-_MOST_TRACED:]]
        return min(found, key=lambda each: len(each.exchanges), default=None)

    def _trace(self, early: int, moments: list[int]) -> Contradiction:
        """Return the refusals that raise a moment too far, each because of the next one, and what raised the last."""
        by = self.upper[early]
        if by.time >= moments[early]:
            version = self.chain.versions[early]
            by = Moment(NEVER, version.seen_by.seq or (version.replaced_by.seq if version.replaced_by else 0))
        refusals: list[Interval] = []
        limit, late = by.time, None
        for number, following in enumerate([*moments[early + 1 :], ALWAYS], early):
            if self.lower[number].time > limit:
                late = self._late(number, limit)
                break
            answers = self.track.refusals[self.chain.versions[number].id]
            refusals.append(min(each for each in answers if each.end < following and each.start > limit))
            limit = refusals[-1].end
        by = self._by(early, refusals[0].start) if by.time > NEVER else by
        return Contradiction(self.chain, early, by, late, refusals=tuple(refusals))
