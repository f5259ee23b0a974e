"""The pieces of a chain in an order in which they can have followed each other.

Owns: which piece comes after which, and by which unanswered write where nobody is known to have begun it. Two
pieces can follow each other if the first need not last longer than the second can wait to begin; where every two
can, in one order or the other, all can, and by the middle of their times they stand in such an order (Gibbons and
Korach, *Testing shared memories*, 1997, for registers whose values are written once). The unanswered writes narrow
this down further, so the search goes back where it was wrong; with one piece, as nearly always, there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import ge
from typing import Final

from workbench.rules.history.chain import Chain
from workbench.rules.history.makers import Makers
from workbench.rules.history.moves import ALWAYS, NEVER, Moment, Track, Write

_NEXT: Final = 8
"""How many pieces are tried as the next one, the earliest first."""

_MOST_TRIES: Final = 20_000
"""Tries beyond one a piece after which the search gives up and says that it cannot be decided."""


class Undecided(Exception):
    """Too many unanswered writes at once to say in which order they took effect, if they did."""


@dataclass(frozen=True, slots=True, eq=False)
class Clash:
    """Two pieces of which neither can come before the other; ``exchanges`` are those that show it."""

    before: Chain
    after: Chain
    exchanges: tuple[int, ...]


def in_order(track: Track, pieces: list[Chain], makers: Makers, first: Chain | None) -> Chain | Clash | None:
    """One chain of all the pieces, beginning with ``first`` if that is known; ``None`` if their links allow none.

    An order that time allows if there is one, else one that the links alone allow. Raises ``Undecided`` where
    the search was given up.
    """
    if len(pieces) == 1:
        return pieces[0]
    zones = [(piece.zone(), piece) for piece in pieces]
    zones.sort(key=lambda pair: (_rank(pair[1], first), pair[0][0][0] + pair[0][1][0]))
    if clash := _clash(zones, first):
        return clash
    until = [piece.replaced_until(track) for _, piece in zones]
    followed = [piece.starts for _, piece in zones[1:]] + [ALWAYS]
    if all(piece is first or not piece.nobodys for piece in pieces) and all(map(ge, until, followed)):
        return _joined([(piece, None) for _, piece in zones])
    for timed in (True, False):
        makers.start_again()
        found = _Search(zones, until, makers, first, timed=timed).run()
        if found is not None:
            return _joined(found)
    return None


def _rank(piece: Chain, first: Chain | None) -> int:
    return 0 if piece is first else 2 if piece.deleted else 1


Zone = tuple[Moment, Moment]


def _clash(zones: list[tuple[Zone, Chain]], first: Chain | None) -> Clash | None:
    """In the order of their middles: a piece that was still there after a later one had begun."""
    (_, lasted), longest = zones[0]
    for (begun, until), piece in zones[1:]:
        if lasted[0] > begun[0]:
            shown = {lasted[1], begun[1]}
            if longest is not first and not piece.deleted:  # nor the other way round
                shown |= {longest.zone()[0][1], until[1]}
            return Clash(longest, piece, tuple(shown))
        if until[0] > lasted[0]:
            lasted, longest = until, piece
    return None


Step = tuple[int, Write | None]
"""A piece by its place in the order of time, and the unanswered write that began it, if one did."""


class _Search:
    def __init__(
        self, zones: list[tuple[Zone, Chain]], until: list[int], makers: Makers, first: Chain | None, *, timed: bool
    ) -> None:
        self._until = until
        self._pieces = [piece for _, piece in zones]
        self._zones = [(begun[0], lasted[0]) for (begun, lasted), _ in zones]
        self._makers, self._first, self._timed = makers, first, timed
        self._path: list[Step] = []
        self._lasted = [NEVER]
        self._placed = [False] * len(zones)
        self._first_free = 0
        self._cut = False

    def run(self) -> list[tuple[Chain, Write | None]] | None:
        tries = 0
        stack = [self._starts()]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                self._undo()
                continue
            tries += 1
            if tries > _MOST_TRIES + len(self._pieces):
                raise Undecided
            self._do(step)
            if len(self._path) == len(self._pieces):
                return [(self._pieces[number], write) for number, write in self._path]
            stack.append(self._nexts())
        if self._cut:
            raise Undecided
        return None

    def _do(self, step: Step) -> None:
        number, write = step
        self._path.append(step)
        self._placed[number] = True
        if write is not None:
            self._makers.take(write)
        self._lasted.append(max(self._lasted[-1], self._zones[number][1]))
        while self._first_free < len(self._placed) and self._placed[self._first_free]:
            self._first_free += 1

    def _undo(self) -> None:
        if self._path:
            number, write = self._path.pop()
            self._placed[number] = False
            if write is not None:
                self._makers.give_back(write)
            self._lasted.pop()
            self._first_free = min(self._first_free, number)

    def _starts(self) -> Iterator[Step]:
        """What can stand first: what must, else what nobody wrote, else what a blind write made."""
        if self._first is not None:
            yield 0, None
            return
        fit = sorted(range(len(self._pieces)), key=lambda number: (not self._pieces[number].nobodys, number))
        self._cut |= len(fit) > _NEXT
        for number in fit[:_NEXT]:
            yield number, None

    def _nexts(self) -> Iterator[Step]:
        number = self._path[-1][0]
        last, until = self._pieces[number], self._until[number]
        waiting = len(self._pieces) - len(self._path)
        if last.deleted:
            return
        idle = []
        candidates = list(self._candidates())
        for number in candidates:
            piece = self._pieces[number]
            write = self._maker(last.end.id, number) if piece.nobodys else None
            if piece.nobodys and write is None:
                continue
            spent = write.seq if write else 0
            if self._timed and not (
                self._in_time(number, candidates)
                and self._replaced(last, until, piece.starts, spent)
                and (waiting > 1 or self._replaced(piece, self._until[number], ALWAYS, spent))
            ):
                continue
            # What nothing is known to follow is tried last, for it may have to come last.
            if waiting == 1 or piece.end.id in self._makers.by_base:
                yield number, write
            else:
                idle.append((number, write))
        yield from idle

    def _maker(self, end: str, number: int) -> Write | None:
        until = self._zones[number][0] if self._timed else ALWAYS
        return self._makers.for_piece(end, self._pieces[number], until)

    def _in_time(self, number: int, waiting: list[int]) -> bool:
        """Whether it can come now: what came before need not last longer, nor it longer than the others can wait."""
        begun, lasted = self._zones[number]
        return begun >= self._lasted[-1] and all(
            self._zones[other][0] >= lasted for other in waiting if other != number
        )

    def _replaced(self, piece: Chain, until: int, starts: int, spent: int) -> bool:
        """Whether a piece is replaced in time by what begins then, or by what nobody saw."""
        return starts <= until or any(write.seq != spent for write in self._makers.after(piece.end.id, until))

    def _candidates(self) -> Iterator[int]:
        met = 0
        for number in range(self._first_free, len(self._pieces)):
            if not self._placed[number]:
                if met == _NEXT:
                    self._cut = True
                    return
                met += 1
                yield number


def _joined(found: list[tuple[Chain, Write | None]]) -> Chain:
    whole = Chain()
    for piece, began in found:
        for number, (version, write) in enumerate(zip(piece.versions, piece.writes, strict=True)):
            whole.add(version, began if number == 0 and began is not None else write)
    return whole
