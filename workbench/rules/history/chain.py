"""The versions of one resource in order: each made by one write from the version before it.

Where every link is known there is one chain. It falls into pieces where a link is unknown: a blind write names no
version, and a write without an answer has no version. ``arrangements`` gives every order of up to seven pieces;
``groups`` splits more of them where their times leave no choice. What the order means for correctness is ``check``'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from workbench.rules.history.events import ALWAYS, NEVER, Deed, Moment, Track, Version, Write

MOST_PIECES: Final = 7
"""Pieces that are tried in every order."""


@dataclass(eq=False)
class Chain:
    """Versions in order. ``writes[i]`` made ``versions[i]``; ``None`` where no accepted write is known to have."""

    versions: list[Version] = field(default_factory=list)
    writes: list[Write | None] = field(default_factory=list)
    optional: bool = False
    """Whether only writes without an answer name it, so that it may never have existed."""

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
        """Pieces sorted by this are in an order that their times allow, if there is one (Gibbons and Korach, 1997)."""
        return (2 if self.is_deleted else 1, self.begun.time + self.lasted.time)


def pieces_of(track: Track) -> tuple[list[Chain], list[Write]]:
    """The chains that the known links make, and a circle of writes if there is one.

    A blind write begins a piece: another version may have come between what its client saw and what it made.
    """
    found: list[Chain] = []
    placed = 0
    for version in track.versions.values():
        write = version.made_by
        if write is None or write.base is None or write.blind:
            found.append(_follow(track, version))
            placed += len(found[-1].versions)
    circle = [] if placed == len(track.versions) else _circle(track, found)
    return sorted(_deleted_once(found), key=lambda piece: piece.middle), circle


def _follow(track: Track, root: Version) -> Chain:
    piece = Chain()
    piece.add(root, root.made_by)
    while (following := piece.end.replaced_by) is not None:
        piece.add(track.version(following.version or ""), following)
    return piece


def _deleted_once(found: list[Chain]) -> list[Chain]:
    """Leave out the blind deletions of what was deleted already: they change nothing."""
    deletions = [piece for piece in found if piece.is_deleted]
    bare = [piece for piece in deletions if len(piece.versions) == 1]
    spare = bare[1:] if len(bare) == len(deletions) else bare
    return [piece for piece in found if piece not in spare] if spare else found


def _circle(track: Track, found: list[Chain]) -> list[Write]:
    placed = {version.id for piece in found for version in piece.versions}
    start = next(version for version in track.versions.values() if version.id not in placed)
    circle: list[Write] = []
    write = start.replaced_by
    while write is not None and (not circle or write is not circle[0]):
        circle.append(write)
        write = track.version(write.version or "").replaced_by
    return circle


class Makers:
    """The writes whose version is unknown, any of which may have made a version that nobody else made."""

    def __init__(self, track: Track) -> None:
        self.by_base: defaultdict[str, list[Write]] = defaultdict(list)
        """By the version that they named: accepted ones first, then the earliest first."""
        for write in sorted(track.loose, key=lambda write: (not write.accepted, write.start)):
            if write.base is not None and not write.blind:
                self.by_base[write.base].append(write)
        self.blind = sorted((write for write in track.loose if write.blind), key=lambda write: write.start)
        """Those that named none, the earliest first."""
        self.optional = [Chain([Version(base)], [None], True) for base in self.by_base if base not in track.versions]
        """The versions that only they name, each a piece of its own."""

    def accepted_after(self, end: str) -> Write | None:
        """The accepted write that replaced this version, if its answer names no version."""
        return next((write for write in self.by_base.get(end, ()) if write.accepted), None)

    def after(self, end: str, until: int, spent: Sequence[Write], *, deletes: bool = False) -> Iterator[Write]:
        """Those that can have replaced version ``end`` by a time: the best that named it, then the best blind one.

        What a later one can explain, an earlier one can. ``deletes`` asks for deletes, otherwise for updates.
        """
        for writes in (self.by_base.get(end, ()), self.blind):
            for write in writes:
                if write.accepted and writes is not self.blind:
                    if write.start <= until and not deletes:
                        yield write
                    return
                if write.start <= until and (write.deed is Deed.DELETE) is deletes and write not in spent:
                    yield write
                    break


class Placed(NamedTuple):
    """A piece in its place, and the write of unknown version that made its first version, if one did."""

    piece: Chain
    maker: Write | None


Arrangement = tuple[Placed, ...]


def arrangements(
    placed: Arrangement, waiting: Sequence[Chain], makers: Makers, spent: Sequence[Write], lasted: int = NEVER
) -> Iterator[Arrangement]:
    """Every order in which the waiting pieces can follow those that are placed, by their links and their times."""
    if all(piece.optional for piece in waiting):
        yield placed
    for piece in waiting:
        others = [other for other in waiting if other is not piece]
        in_time = piece.begun.time >= lasted and all(other.begun.time >= piece.lasted.time for other in others)
        for maker in _makers_of(placed, piece, others, makers, spent) if in_time else ():
            more = spent if maker is None else (*spent, maker)
            after = max(lasted, piece.lasted.time)
            yield from arrangements((*placed, Placed(piece, maker)), others, makers, more, after)


def _makers_of(
    placed: Arrangement, piece: Chain, others: Sequence[Chain], makers: Makers, spent: Sequence[Write]
) -> Iterator[Write | None]:
    """What can have made the first version of a piece in this place. Nothing where the piece cannot stand here."""
    if not placed:
        if piece.is_created or not any(other.is_created for other in others):
            yield None
        return
    last = placed[-1].piece
    if last.is_deleted or piece.is_created:
        return
    if piece.is_orphan:
        yield from makers.after(last.end.id, piece.begun.time, spent)
    elif makers.accepted_after(last.end.id) is None:
        yield None


def groups(pieces: Sequence[Chain]) -> Iterator[list[Chain]]:
    """Split sorted pieces wherever each one before must come before each one after."""
    earliest = [ALWAYS] * (len(pieces) + 1)
    for number in range(len(pieces) - 1, -1, -1):
        earliest[number] = min(earliest[number + 1], pieces[number].lasted.time)
    group: list[Chain] = []
    latest = NEVER
    for number, piece in enumerate(pieces):
        if group and latest < earliest[number]:
            yield group
            group = []
        group.append(piece)
        latest = max(latest, piece.begun.time)
    yield group


def joined(track: Track, arrangement: Arrangement, makers: Makers) -> Chain:
    """One chain of an arrangement, with the versions nobody saw that a refusal before a blind write tells of."""
    whole = Chain()
    spent = [placed.maker for placed in arrangement if placed.maker]
    for piece, maker in arrangement:
        root = maker or piece.writes[0]
        if root is not None and root.blind:
            if not whole.versions:
                whole.add(Version(" unseen, before"), None)
            elif (unseen := _unseen_before(track, whole, root, makers, spent)) is not None:
                whole.add(Version(f" unseen, by {unseen.seq}"), unseen)
                spent.append(unseen)
        whole.add(piece.versions[0], root)
        whole.versions += piece.versions[1:]
        whole.writes += piece.writes[1:]
    return whole


def _unseen_before(track: Track, whole: Chain, root: Write, makers: Makers, spent: Sequence[Write]) -> Write | None:
    """The write that replaced the end of the chain before the blind write ``root`` did, if a refusal needs one."""
    version, write = whole.end, whole.writes[-1]
    there = min(version.seen_by.time, write.end if write else ALWAYS)
    refused = [refusal.end for refusal in track.refusals.get(version.id, ()) if refusal.start > there]
    if not refused or min(refused) >= root.start:
        return None
    return next(makers.after(version.id, min(refused), spent), None)


def extended(chain: Chain, write: Write) -> Chain:
    """The chain with a last version that nobody saw."""
    version = Version(f" unseen, by {write.seq}")
    return Chain([*chain.versions, version], [*chain.writes, write])
