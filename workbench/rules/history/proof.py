"""Whether an endpoint can have been correct, decided from what its clients were told.

Owns: the question and its answer. How it is decided: ``moves`` reads the exchanges, ``chain`` and ``order`` make
one chain of each resource's versions, ``windows`` holds it against the clock, ``losses`` names what was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Final

from workbench.exceptions import BadInput
from workbench.rules.exchange import Exchange
from workbench.rules.history import pieced
from workbench.rules.history.finding import LOST, Finding
from workbench.rules.history.losses import Contents, Exchanges, Loss, losses
from workbench.rules.history.moves import Track, Write, read_tracks
from workbench.rules.printable import printable


@dataclass(frozen=True)
class Proof:
    """Sound, or not and why.

    ``findings`` are the flaws, the one that the fewest exchanges show first. ``landed`` says of each write that
    was not answered, by its number, whether it took effect: ``None`` where that is not known. ``notes`` are
    sentences about what could not be decided.
    """

    exchanges: int
    resources: int
    findings: tuple[Finding, ...]
    landed: Mapping[int, bool | None]
    notes: tuple[str, ...]
    _losses: Iterable[Loss] = field(default=(), repr=False, compare=False)

    @property
    def sound(self) -> bool:
        """Whether the endpoint can have been correct."""
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
        if self.sound:
            sentences = [f"Sound: the endpoint can have been correct in these {held}."]
        else:
            more = len(self.findings) - 1
            sentences = [f"Unsound, in {held}.", self.findings[0].words]
            sentences += [f"There are {more:,} more findings."] if more > 1 else ["There is one more finding."] * more
            sentences += [f"Lost: {'; '.join(map(str, self.losses))}."] if self.losses else []
        return printable(" ".join([*sentences, *self.notes]))

    def __str__(self) -> str:
        return self.explain()

    def __repr__(self) -> str:
        verdict = "sound" if self.sound else f"unsound: {self.findings[0].flaw.value} {self.witness}"
        return f"<Proof: {verdict}>"


_MOST_LISTED: Final = 5


class History:
    """Exchanges of however many clients, as evidence."""

    def __init__(self, exchanges: Exchanges, *, in_turn: bool, skew: float) -> None:
        self._exchanges = exchanges
        self._in_turn, self._skew = in_turn, round(skew * 1_000_000)

    def check(self, resource: str | None = None) -> Proof:
        """Decide it, for all resources or for one (``Type/id``)."""
        count = len(self._exchanges)
        tracks = read_tracks(lambda: islice(self._exchanges, count), in_turn=self._in_turn, skew=self._skew)
        if resource is not None:
            tracks = [track for track in tracks if track.name == resource]
        contents = Contents(self._exchanges)
        found = [pieced.check_track(track, contents, self._who) for track in tracks]
        findings = sorted((each for result in found for each in result.findings), key=_size)
        landed = {seq: fate for result in found for seq, fate in result.landed.items()}
        lost = [
            (track, result)
            for track, result in zip(tracks, found, strict=True)
            if any(each.flaw in LOST for each in result.findings)
        ]
        notes = (*self._open(landed), *(note for result in found for note in result.notes))
        about = (
            count
            if resource is None
            else sum(exchange.target == resource for exchange in islice(self._exchanges, count))
        )
        return Proof(about, len(tracks), tuple(findings), MappingProxyType(landed), notes, _Lost(lost, contents))

    def _who(self, seq: int) -> str:
        return f"{self._exchanges[seq - 1].client} ({seq:,})"

    def _open(self, landed: Mapping[int, bool | None]) -> Iterator[str]:
        unknown = sorted(seq for seq, fate in landed.items() if fate is None)
        if unknown:
            names = ", ".join(map(self._who, unknown[:_MOST_LISTED]))
            more = f" and {len(unknown) - _MOST_LISTED:,} more" if len(unknown) > _MOST_LISTED else ""
            yield f"It is not known whether the unanswered write{'s' * (len(unknown) > 1)} of {names}{more} landed."


def _size(found: Finding) -> tuple[int, tuple[int, ...]]:
    return len(found.exchanges), found.exchanges


@dataclass(frozen=True)
class _Lost:
    """The losses, worked out when somebody asks: comparing bodies takes longer than the proof."""

    tracks: list[tuple[Track, pieced.Result]]
    contents: Contents

    def __iter__(self) -> Iterator[Loss]:
        for track, result in self.tracks:
            yield from losses(track, result.order, self.contents)


def history(exchanges: Exchanges | Iterable[Exchange], *, in_turn: bool = False, skew: float = 0.0) -> History:
    """A journal, or exchanges in the order in which they ended, to be checked: ``history(journal).check()``.

    The proof asks whether a correct endpoint can have given these answers. Accepted updates form one chain, each
    replacing the version that its ``If-Match`` names; none is replaced twice, no ETag comes twice, every read shows
    a version that was current at some moment of that read, a refused write changed nothing, a write that was not
    answered is in the chain or is not. A write without ``If-Match`` counts as made from the version its client had
    last seen; where it overwrites another that took effect in between, and something vanished, an update was lost.

    The exchanges must be those of everybody who wrote: a version that nobody here wrote is a flaw, but for the one
    that was there first. Searches are not looked at. Nothing is decided by the text of a resource where versions
    decide it.

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


__all__ = ["History", "Proof", "Write", "history"]
