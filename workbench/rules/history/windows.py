"""Real time: whether the versions of a chain can have followed one another when everything was seen.

Owns: the windows. Each version began at one moment. That moment lies after the start of the write that made it and
after the start of every request that was still shown the version before; and before the end of that write and of
every request that was already shown this one. Moments that fit exist if no version must begin later than it, or any
version after it, may begin (knossos and porcupine search for them; along a chain one pass finds them).

A *stale* says that its version was not current at some moment of that request, a *not found* that there was no
resource: either before, which is ruled out where somebody had seen it by then, or after.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, NamedTuple

from workbench.rules.history.chain import Chain
from workbench.rules.history.finding import Finding, Flaw, Who, finding
from workbench.rules.history.makers import Makers
from workbench.rules.history.moves import ALWAYS, NEVER, Deed, Track, Version, Write


class Bound(NamedTuple):
    """A moment before or after which a version began, the exchange that says so, and in what capacity."""

    time: int
    seq: int
    why: str
    seen: int = 0
    """Where it is a refusal: the exchange by which the version was there before."""


_WRITE: Final = "write"
_SHOWN: Final = "shown"
_STALE: Final = "stale"
_ABSENT: Final = "absent"


def check_times(track: Track, chain: Chain, makers: Makers, who: Who) -> Finding | None:
    """The smallest contradiction in time, if there is one. May add a last version that nobody saw."""
    _make_room(track, chain, makers)
    upper = _upper(chain)
    latest = _latest(upper)
    if found := _account_for_absences(track, chain, makers, upper, latest, who):
        return found
    if found := _account_for_refusals(track, chain, makers, upper, latest, who):
        return found
    against = _contradiction(chain, _lower(chain), upper)
    return _told(track, against, who) if against else None


def _upper(chain: Chain) -> list[Bound]:
    bounds = []
    for version, write in zip(chain.versions, chain.writes, strict=True):
        bound = Bound(ALWAYS, 0, _WRITE) if write is None else Bound(write.end, write.seq, _WRITE)
        seen = version.seen_by
        bounds.append(Bound(*seen, _SHOWN) if seen[0] < bound.time else bound)
    return bounds


def _lower(chain: Chain) -> list[Bound]:
    bounds = []
    until = (NEVER, 0)
    for version, write in zip(chain.versions, chain.writes, strict=True):
        bound = Bound(NEVER, 0, _WRITE) if write is None else Bound(write.start, write.seq, _WRITE)
        bounds.append(Bound(*until, _SHOWN) if until[0] > bound.time else bound)
        until = version.seen_until
    return bounds


def _latest(upper: list[Bound]) -> list[Bound]:
    """By version: the bound that counts, its own or that of a later version."""
    latest = list(upper)
    for number in range(len(latest) - 2, -1, -1):
        if latest[number + 1].time < latest[number].time:
            latest[number] = latest[number + 1]
    return latest


def _make_room(track: Track, chain: Chain, makers: Makers) -> None:
    """Before a blind write there may have been a version that nobody saw, where a *stale* tells of one."""
    latest = _latest(_upper(chain)) if track.refusals else []
    for number in range(len(latest) - 2, -1, -1):
        following, version = chain.writes[number + 1], chain.versions[number]
        refused = [each[0] for each in track.refusals.get(version.id, ()) if each[1] > latest[number].time]
        if following is None or not following.blind or min(refused, default=ALWAYS) >= following.start:
            continue
        for write in makers.after(version.id, min(refused), deed=Deed.UPDATE)[:1]:
            makers.take(write)
            chain.versions.insert(number + 1, Version(f" unseen, by {write.seq}"))
            chain.writes.insert(number + 1, write)


def _account_for_absences(
    track: Track, chain: Chain, makers: Makers, upper: list[Bound], latest: list[Bound], who: Who
) -> Finding | None:
    """Each *not found* comes before the creation or after the deletion; a flaw where there was none."""
    made, first = latest[0], chain.writes[0]
    appeared = track.origin <= made.time if first is None else first.deed is Deed.CREATE
    after = [absence for absence in track.absences if not appeared or absence[1] > made.time]
    if not after:
        return None
    end, start, seq = min(after)
    before = made.seq if start > made.time else 0
    if not chain.deleted and not _unseen(chain, makers, upper, end, Deed.DELETE):
        shown = made.seq or _first_named(chain)
        words = _absent_words(before).format(name=track.name, early=who(seq), seen=who(shown), late=who(shown))
        return finding(Flaw.VANISHED if before else Flaw.NOBODYS, track.name, (shown, seq), words)
    if end < upper[-1].time:
        upper[-1] = Bound(end, seq, _ABSENT, before)
    return None


def _first_named(chain: Chain) -> int:
    return next((write.seq for write in chain.writes if write is not None), 0)


def _absent_words(before: int) -> str:
    return _WORDS[Flaw.VANISHED] if before else _WORDS[Flaw.NOBODYS]


def _account_for_refusals(
    track: Track, chain: Chain, makers: Makers, upper: list[Bound], latest: list[Bound], who: Who
) -> Finding | None:
    """Each *stale* for a version that had been seen comes after its successor; a flaw where there is none."""
    if not track.refusals:
        return None
    for number, seen in enumerate(latest):
        version = chain.versions[number]
        after = [refusal for refusal in track.refusals.get(version.id, ()) if refusal[1] > seen.time]
        if not after:
            continue
        end, _, seq = min(after)
        if number + 1 == len(chain.versions) and not _unseen(chain, makers, upper, end, None):
            words = (
                f"{who(seq)} named version {version.id} of {track.name} and was refused as stale, though it was "
                f"current all the time: {who(seen.seq)} shows it, and nobody replaced it."
            )
            return finding(Flaw.WRONGLY_STALE, track.name, (seen.seq, seq), words)
        if end < upper[number + 1].time:
            upper[number + 1] = Bound(end, seq, _STALE, seen.seq)
    return None


def _unseen(chain: Chain, makers: Makers, upper: list[Bound], until: int, deed: Deed | None) -> bool:
    """Add a last version that nobody saw, by a write without an answer that had begun by then; whether there is one."""
    fit = makers.after(chain.end.id, until, deed=deed)
    way = fit[:1]
    if not fit and deed is Deed.DELETE:
        # By way of an update that nobody here saw: the delete then names a version that nobody here was told.
        named = [write for write in makers.unheard if write.deed is deed and write.start <= until]
        way = [*makers.after(chain.end.id, until, deed=Deed.UPDATE)[:1], *named[:1]]
        way = way if len(way) == 2 else []
    elif len(fit) == 1:
        makers.sure.add(fit[0].seq)
    for write in way:
        makers.take(write)
        chain.add(Version(f" unseen, by {write.seq}"), write)
        upper.append(Bound(write.end, write.seq, _WRITE))
    return bool(way)


@dataclass(frozen=True, slots=True)
class _Contradiction:
    """Version ``first`` began after ``late``, and version ``last``, the same or a later one, before ``early``."""

    chain: Chain
    first: int
    last: int
    late: Bound
    early: Bound

    @property
    def links(self) -> list[Write]:
        """The writes that make the later version follow the one before the earlier."""
        return [write for write in self.chain.writes[self.first : self.last + 1] if write is not None]

    @property
    def exchanges(self) -> set[int]:
        """Those that show it."""
        shown = {self.late.seq, self.early.seq, self.early.seen} - {0}
        begins = self.first == 0 and self.chain.created and self.late.why == _WRITE
        if begins or (self.early.why == _ABSENT and not self.early.seen):
            return shown  # before a creation there was nothing, so no link is needed
        return shown | {write.seq for write in self.links}


def _contradiction(chain: Chain, lower: list[Bound], upper: list[Bound]) -> _Contradiction | None:
    """Of each version that began too early the nearest one that began too late; of these what the fewest show."""
    best: _Contradiction | None = None
    late: list[int] = []  # versions whose lower bounds fall, the nearest last
    falling: list[int] = []  # the same bounds, negated, so that they rise
    for number, bound in enumerate(lower):
        while late and lower[late[-1]].time <= bound.time:
            late.pop()
            falling.pop()
        late.append(number)
        falling.append(-bound.time)
        if -falling[0] <= upper[number].time:
            continue
        nearest = late[bisect_left(falling, -upper[number].time) - 1]
        if best is None or number - nearest <= len(best.exchanges):
            found = _simplest(chain, lower, upper, nearest, number)
            best = found if best is None or len(found.exchanges) < len(best.exchanges) else best
    return best


def _simplest(chain: Chain, lower: list[Bound], upper: list[Bound], first: int, last: int) -> _Contradiction:
    """By the writes' own times where those suffice: they are needed anyway."""
    late, early = lower[first], upper[last]
    begins, ends = chain.writes[first], chain.writes[last]
    if begins is not None and begins.start > early.time:
        late = Bound(begins.start, begins.seq, _WRITE)
    if ends is not None and ends.end < late.time:
        early = Bound(ends.end, ends.seq, _WRITE)
    return _Contradiction(chain, first, last, late, early)


def _told(track: Track, found: _Contradiction, who: Who) -> Finding:
    """In words: which of the flaws it is."""
    late, early, links, chain = found.late, found.early, found.links, found.chain
    unanswered = next((write for write in links if not write.accepted), None)
    ends = chain.deleted and found.last == len(chain.versions) - 1
    flaw = _flaw(late, early, ends=ends, unanswered=unanswered is not None)
    words = (_absent_words(early.seen) if early.why == _ABSENT else _WORDS[flaw]).format(
        name=track.name,
        late=who(late.seq),
        early=who(early.seq),
        seen=who(early.seen) if early.seen else "",
        old=chain.versions[max(found.first - 1, 0)].id,
        new=chain.versions[found.last].id.strip(),
        held=chain.versions[max(found.last - 1, 0)].id,
        deleted=who(links[-1].seq) if links else "",
        unanswered=who(unanswered.seq) if unanswered else "",
        which="stored it" if found.first == found.last else "stored one before it",
    )
    between = [who(write.seq) for write in links if f"({write.seq:,})" not in words and write.seq in found.exchanges]
    words += f" That the one follows the other is known by {' and '.join(between)}." if between else ""
    return finding(flaw, track.name, found.exchanges, words)


def _flaw(late: Bound, early: Bound, *, ends: bool, unanswered: bool) -> Flaw:
    if early.why == _STALE:
        return Flaw.WRONGLY_STALE
    if early.why == _ABSENT:
        return Flaw.VANISHED if early.seen else Flaw.NOBODYS
    if late.why == _WRITE:
        return Flaw.FUTURE
    if ends:
        return Flaw.REVIVED
    return Flaw.BOTH if unanswered else Flaw.STALE_READ


_WORDS: Final = {
    Flaw.WRONGLY_STALE: "{early} named version {held} of {name} and was refused as stale, though it was current all "
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
