"""The versions of one resource as a chain: each made by one write from the one before it.

Owns: what is wrong with the chain whatever the time (a version replaced twice, an ETag used twice, a version
nobody wrote), and the pieces that a chain falls into where a link is not known: a write without a lock names no
base, and of a write that was not answered nobody knows the version. How pieces are put in order is ``order``'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from workbench.rules.history import finding
from workbench.rules.history.finding import Finding, Flaw, Who
from workbench.rules.history.losses import Contents
from workbench.rules.history.moves import ALWAYS, NEVER, Deed, Moment, Track, Version, Write


@dataclass(slots=True, eq=False)
class Chain:
    """Versions in order; ``writes[i]`` made ``versions[i]``, ``None`` where it was there before the history."""

    versions: list[Version] = field(default_factory=list)
    writes: list[Write | None] = field(default_factory=list)

    def add(self, version: Version, write: Write | None) -> None:
        """One version more at the end."""
        self.versions.append(version)
        self.writes.append(write)

    @property
    def end(self) -> Version:
        """The last version."""
        return self.versions[-1]

    @property
    def nobodys(self) -> bool:
        """Whether no accepted write is known to have made its first version."""
        return self.writes[0] is None

    @property
    def created(self) -> bool:
        """Whether it begins with the resource's creation."""
        first = self.writes[0]
        return first is not None and first.deed is Deed.CREATE

    @property
    def deleted(self) -> bool:
        """Whether it ends with the resource's deletion."""
        last = self.writes[-1]
        return last is not None and last.deed is Deed.DELETE

    def replaced_until(self, track: Track) -> int:
        """When its last version must have been replaced at the latest, because somebody was told it is stale."""
        version, write = self.end, self.writes[-1]
        there = min(version.seen_by[0], write.end if write else ALWAYS)
        return min((each[0] for each in track.refusals.get(version.id, ()) if each[1] > there), default=ALWAYS)

    @property
    def starts(self) -> int:
        """When the write began that made its first version, if that is known."""
        return self.writes[0].start if self.writes[0] else NEVER

    def zone(self) -> tuple[Moment, Moment]:
        """When it must have begun at the latest, and until when it must have lasted at least; and who says so."""
        begun, lasted = (ALWAYS, 0), (NEVER, 0)
        for version, write in zip(self.versions, self.writes, strict=True):
            if write is not None:
                begun, lasted = min(begun, (write.end, write.seq)), max(lasted, (write.start, write.seq))
            begun, lasted = min(begun, version.seen_by), max(lasted, version.seen_until)
        return begun, lasted


def flaws_of_form(track: Track, contents: Contents, who: Who) -> Iterator[Finding]:
    """What is wrong whatever the time. What blind writes overwrote is seen later."""
    forked: set[tuple[int, int]] = set()
    for rivals in track.rivals.values():
        for one, other in pairwise(rivals):
            forked.add((one.seq, other.seq))
            yield finding.fork(track.name, one, other, who)
    for one, other in track.doubles:
        if (one.seq, other.seq) not in forked:
            yield finding.duplicate(track.name, one, other, who)
    creates = [write for write in track.writes if write.deed is Deed.CREATE]
    doubled = {other.seq for _, other in track.doubles}
    for one, other in pairwise(creates):
        if other.seq not in doubled:
            yield finding.created_twice(track.name, one, other, who)
    yield from _untold_forks(track, who)
    yield from _false_echoes(track, contents, who)


def _untold_forks(track: Track, who: Who) -> Iterator[Finding]:
    """Forks by writes that were accepted without being told their version."""
    first: dict[str, Write] = {}
    for write in track.loose:
        if write.accepted and not write.blind and write.base is not None:
            known = track.versions.get(write.base)
            other = (known.replaced_by if known else None) or first.setdefault(write.base, write)
            if other is not write:
                yield finding.fork(track.name, other, write, who)


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
            yield finding.finding(Flaw.DUPLICATE, track.name, (before, write.seq), words)


def pieces(track: Track) -> tuple[list[Chain], list[Write]]:
    """The chains that the known links make, and a circle if there is one.

    A blind write begins a piece of its own: whatever its client had seen, another may have come between.
    """
    found: list[Chain] = []
    placed = 0
    for version in track.versions.values():
        write = version.made_by
        if write is None or write.base is None or write.blind:
            found.append(_follow(track, version))
            placed += len(found[-1].versions)
    return _deleted_once(found), [] if placed == len(track.versions) else _circle(track, found)


def _deleted_once(found: list[Chain]) -> list[Chain]:
    """Without the blind deletions of what was deleted already, which change nothing."""
    deletions = [piece for piece in found if piece.deleted]
    bare = [piece for piece in deletions if len(piece.versions) == 1]
    spare = bare[1:] if len(bare) == len(deletions) else bare
    return [piece for piece in found if piece not in spare] if spare else found


def _follow(track: Track, root: Version) -> Chain:
    piece = Chain()
    piece.add(root, root.made_by)
    while (following := piece.end.replaced_by) is not None:
        piece.add(track.version(following.version or ""), following)
    return piece


def _circle(track: Track, found: list[Chain]) -> list[Write]:
    placed = {version.id for piece in found for version in piece.versions}
    start = next(version for version in track.versions.values() if version.id not in placed)
    circle: list[Write] = []
    write = start.replaced_by
    while write is not None and (not circle or write is not circle[0]):
        circle.append(write)
        write = track.version(write.version or "").replaced_by
    return circle
