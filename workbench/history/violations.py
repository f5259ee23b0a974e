"""The flaws that no correct endpoint has: find those that single writes show, and put each into a sentence.

``check`` decides whether a history has an order. ``Violations`` says what is wrong where it has none.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final

from workbench.history.chain import Chain, Contradiction, LooseWrites
from workbench.history.events import NEVER, Deed, Track, Version, Write
from workbench.history.losses import Contents, Order, overwrites, vanished

_MOST_OVERWRITTEN: Final = 200
"""Blind writes that are compared with what they overwrote."""

_LONGEST_CIRCLE: Final = 50

Who = Callable[[int], str]
"""Returns the client of an exchange, with its number: ``alice (3)``."""


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


LOST: Final = frozenset({Flaw.FORK, Flaw.OVERWRITTEN})
"""The flaws by which an update is lost."""

OF_ORDER: Final = frozenset(
    {Flaw.UNWRITTEN, Flaw.LANDED_AND_NOT, Flaw.STALE_READ, Flaw.FUTURE, Flaw.WRONGLY_STALE, Flaw.VANISHED, Flaw.REVIVED}
)
"""The flaws that depend on the order of versions."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One flaw of one resource in a sentence, with the numbers of the exchanges that show it, ascending."""

    flaw: Flaw
    resource: str
    exchanges: tuple[int, ...]
    words: str

    def __str__(self) -> str:
        return self.words


class Violations:
    """The violations of one resource: each ``find_`` method adds those that it finds, with a sentence for each."""

    def __init__(self, track: Track, loose: LooseWrites, contents: Contents, who: Who) -> None:
        self.track, self.name, self.loose, self.contents, self.who = track, track.name, loose, contents, who
        self.found: list[Violation] = []

    def _add(self, flaw: Flaw, exchanges: Iterable[int], words: str) -> None:
        self.found.append(build_violation(flaw, self.name, exchanges, words))

    def find_forks(self) -> None:
        """Find two accepted writes with the same base or the same version, and two creates."""
        forked = {pair for rivals in self.track.rivals.values() for pair in pairwise(rivals)}
        for one, other in forked:
            self._find_fork(one, other)
        for one, other in self.track.doubles:
            if (one, other) not in forked and not one.deed is other.deed is Deed.CREATE:
                both = f"{self.who(one.seq)} and {self.who(other.seq)}"
                words = f"{both} both got version {one.version} for what they stored."
                self._add(Flaw.DUPLICATE, (one.seq, other.seq), words)
        for one, other in pairwise(write for write in self.track.writes if write.deed is Deed.CREATE):
            words = f"{self.who(one.seq)} and {self.who(other.seq)} both got 201 Created for {self.name}."
            self._add(Flaw.CREATED_TWICE, (one.seq, other.seq), words)
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
            words = (
                f"{self.who(gone.seq)} deleted {self.name}. After that the update of {self.who(back.seq)} was accepted."
            )
            self._add(Flaw.REVIVED, (gone.seq, back.seq), words)
            return
        words = (
            f"{self.who(first.seq)} and {self.who(second.seq)} both replaced version {first.base} of {self.name}, "
            "and both were accepted. The later one overwrote the other without having seen it."
        )
        self._add(Flaw.FORK, (first.seq, second.seq), words)

    def find_false_echoes(self) -> None:
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
                self._add(Flaw.DUPLICATE, (before, write.seq), words)

    def find_circle(self, writes: list[Write]) -> None:
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
                    self._add(Flaw.FUTURE, seqs, words + self._linked_by(seqs, words))
                    return
        names = " → ".join(str(write.base) for write in writes[:_LONGEST_CIRCLE])
        words = (
            f"The versions {names} of {self.name} form a circle: each replaced the one before, and the first the last."
        )
        seqs = [write.seq for write in writes]
        self._add(Flaw.CIRCLE, seqs, words + self._linked_by(seqs[:_LONGEST_CIRCLE], words))

    def _linked_by(self, exchanges: Iterable[int], words: str) -> str:
        """Return a sentence with the exchanges that show the order, if the words do not name them."""
        between = [self.who(seq) for seq in sorted(exchanges) if self.who(seq).lower() not in words.lower()]
        return f" The order of the versions follows from {' and '.join(between)}." if between else ""

    def find_unwritten(self, piece: Chain, others: list[Chain]) -> None:
        """Report that no write made the first version of this piece. ``others`` show that another version was first."""
        contents, who, root = self.contents, self.who, piece.versions[0]
        shown, text = _names(root), contents.read(root.read_in)
        for seq in self.track.unchanged if text is not None else ():
            if contents.same(contents.sent(seq), text):
                words = (
                    f"the endpoint refused the write of {who(seq)}. Yet {who(root.read_in)} read version {root.id} of "
                    f"{self.name}, which holds what that write sent."
                )
                self._add(Flaw.REFUSED_YET_DONE, (seq, root.read_in), words)
                return
        for write in self.track.loose:
            known = self.track.versions.get(write.base or "")
            taker = known.replaced_by if known and known not in piece.versions and not write.blind else None
            sent = contents.sent(write.seq) if taker and write.deed is not Deed.DELETE else None
            if taker is not None and write.deed is not Deed.DELETE and contents.same(sent, text) is not False:
                words = (
                    f"only the unanswered write of {who(write.seq)} can have made version {root.id} of {self.name}, "
                    f"which {who(shown)} shows. It named version {write.base}, but {who(taker.seq)} replaced "
                    "that version."
                )
                self._add(Flaw.LANDED_AND_NOT, (shown, write.seq, taker.seq), words)
                return
        made = ((v, w) for other in others for v, w in zip(other.versions, other.writes, strict=True))
        seq, was = next(((w.seq if w else _names(v), v.id) for v, w in made if w or _names(v)), (0, ""))
        beside = f" {who(seq)} shows another version, {was}." if seq else ""
        words = f"{who(shown)} shows version {root.id} of {self.name}, and no exchange wrote it.{beside}"
        self._add(Flaw.UNWRITTEN, (shown, seq), words)

    def add_unwritten(self) -> None:
        """Report versions that no write made, where no single version of them can be named."""
        words = f"the unanswered writes cannot have made all the versions of {self.name} that no other write made."
        self._add(Flaw.UNWRITTEN, (), words)

    def find_clash(self, pieces: list[Chain], first: Chain | None) -> bool:
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
            words = f"the unanswered write of {self.who(link.seq)} took effect in {self.name}. After that, "
            words += f"version {old}, which it had replaced, was current again, as {by} show."
            self._add(Flaw.LANDED_AND_NOT, (*shown, link.seq), words)
            return True
        flaw = Flaw.REVIVED if piece.is_deleted and len(piece.versions) == 1 else Flaw.STALE_READ
        words = f"version {old} of {self.name} was current after version {new} had replaced it, as {by} show."
        self._add(flaw, shown, words)
        return True

    def find_overwritten(self, order: Order) -> None:
        """Report the blind writes by which elements were lost, or may have been where bodies are missing."""
        if not any(write and write.blind for _, write in order):
            return
        for earlier, later in islice(overwrites(order), _MOST_OVERWRITTEN):
            if vanished(self.track, earlier, later, self.contents) == ():
                continue
            had = f"had last seen version {later.base}" if later.base else "had seen no version"
            words = (
                f"{self.who(later.seq)} {had} of {self.name} and updated it without If-Match. That overwrote version "
                f"{earlier.version}, which {self.who(earlier.seq)} had stored in the meantime."
            )
            self._add(Flaw.OVERWRITTEN, (earlier.seq, later.seq), words)

    def add_contradiction(self, found: Contradiction) -> None:
        """Report a contradiction in time."""
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
        self._add(flaw, found.exchanges, words + self._linked_by(found.exchanges, words))

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
    Flaw.LANDED_AND_NOT: "the unanswered write of {unanswered} took effect in {name}, as {by} shows. {late} began "
    "after that and still found version {old}, which it had replaced.",
    Flaw.STALE_READ: "{late} found version {old} of {name}, although {by} had ended before that with a later "
    "version, {new}.",
    Flaw.FUTURE: "{by} had ended with version {new} of {name} before {late}, which {which}, had begun.",
}


def build_violation(flaw: Flaw, resource: str, exchanges: Iterable[int], words: str) -> Violation:
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


def _names(version: Version) -> int:
    """Return an exchange that names this version: one that shows it, else the write that replaced it."""
    return version.seen_by.seq or (version.replaced_by.seq if version.replaced_by else 0)
