"""A finding: what is wrong with a history, the exchanges that show it, and a sentence for a person.

Owns: the kinds of flaw and their words. Must not know how a flaw is found.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from workbench.rules.history.moves import Deed, Write


class Flaw(enum.Enum):
    """What no correct endpoint does. The value is the words a table shows."""

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


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw: of which resource, shown by which exchanges (their numbers, ascending), in a sentence."""

    flaw: Flaw
    resource: str
    exchanges: tuple[int, ...]
    words: str

    def __str__(self) -> str:
        return self.words


Who = Callable[[int], str]
"""Says who an exchange was, with its number: ``alice (3)``."""

LOST: Final = frozenset({Flaw.FORK, Flaw.OVERWRITTEN})
"""The flaws by which an update is lost."""


_LONGEST_CIRCLE: Final = 50


def finding(flaw: Flaw, resource: str, exchanges: Iterable[int], words: str) -> Finding:
    """A finding, its exchanges in order and each once; the first letter of its sentence a capital."""
    seqs = tuple(sorted({seq for seq in exchanges if seq}))
    return Finding(flaw, resource, seqs, words[:1].upper() + words[1:])


def fork(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """Two accepted writes that replaced one version."""
    first, second = sorted((one, other), key=lambda write: write.seq)
    deletes = Deed.DELETE in (one.deed, other.deed)
    gone, back = (one, other) if one.deed is Deed.DELETE else (other, one)
    if deletes and back.deed is not Deed.DELETE and back.start > gone.end:
        words = f"{who(gone.seq)} deleted {resource}, and after that the update of {who(back.seq)} was accepted."
        return finding(Flaw.REVIVED, resource, (gone.seq, back.seq), words)
    words = (
        f"{who(first.seq)} and {who(second.seq)} both replaced version {first.base} of {resource}, and both were "
        f"accepted: whichever came second wrote over the other unseen."
    )
    return finding(Flaw.FORK, resource, (first.seq, second.seq), words)


def overwritten(resource: str, earlier: Write, later: Write, who: Who) -> Finding:
    """A blind write over a version that its client had not seen."""
    had = f"had last seen version {later.base}" if later.base else "had seen no version"
    words = (
        f"{who(later.seq)} {had} of {resource} and wrote without If-Match, over version {earlier.version}, "
        f"which {who(earlier.seq)} had stored meanwhile."
    )
    return finding(Flaw.OVERWRITTEN, resource, (earlier.seq, later.seq), words)


def duplicate(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """Two accepted writes answered with one version."""
    if one.deed is other.deed is Deed.CREATE:
        return created_twice(resource, one, other, who)
    words = f"{who(one.seq)} and {who(other.seq)} were both told that what they stored is version {one.version}."
    return finding(Flaw.DUPLICATE, resource, (one.seq, other.seq), words)


def created_twice(resource: str, one: Write, other: Write, who: Who) -> Finding:
    """One id given to two creates."""
    words = f"{who(one.seq)} and {who(other.seq)} were both told that they created {resource}."
    return finding(Flaw.CREATED_TWICE, resource, (one.seq, other.seq), words)


def circle(resource: str, writes: Sequence[Write], who: Who) -> Finding:
    """Writes each of which replaced the version of the one before, and the first that of the last."""
    count = min(len(writes), _LONGEST_CIRCLE)
    for size in range(2, count + 1):
        for begin in range(len(writes)):
            run = [writes[(begin + step) % len(writes)] for step in range(size)]
            if run[0].start > run[-1].end:
                words = (
                    f"{who(run[-1].seq)} had ended with version {run[-1].version} of {resource} before "
                    f"{who(run[0].seq)}, which stored one before it, {run[0].version}, had begun."
                )
                between = " and ".join(who(write.seq) for write in run[1:-1])
                words += f" That the one follows the other is known by {between}." if between else ""
                return finding(Flaw.FUTURE, resource, (write.seq for write in run), words)
    names = " → ".join(str(write.base) for write in writes[:_LONGEST_CIRCLE])
    words = f"The versions {names} of {resource} each follow the one before, and the first follows the last."
    return finding(Flaw.CIRCLE, resource, (write.seq for write in writes), words)


def nobodys(resource: str, version: str, shown: int, other: tuple[int, str], who: Who) -> Finding:
    """A version that no write of the history can have made; ``other`` shows that there was another one."""
    seq, was = other
    beside = f" ({who(seq)} shows that it was {was} at another time)" if seq else ""
    words = f"{who(shown)} was shown version {version} of {resource}, and nobody here wrote it{beside}."
    return finding(Flaw.NOBODYS, resource, (shown, seq), words)


def refused_yet_done(resource: str, version: str, shown: int, refused: int, who: Who) -> Finding:
    """A version that holds what a refused write sent."""
    words = (
        f"the write of {who(refused)} was refused, and yet {who(shown)} was shown version {version} of {resource}, "
        f"which is what it sent."
    )
    return finding(Flaw.REFUSED_YET_DONE, resource, (refused, shown), words)


def landed_then_gone(resource: str, unanswered: Write, old: str, shown: Sequence[int], who: Who) -> Finding:
    """What an unanswered write stored was seen, and after that the version before it."""
    words = (
        f"the unanswered write of {who(unanswered.seq)} had landed in {resource}, and after that version {old}, "
        f"which it had replaced, was there again, as {' and '.join(map(who, sorted(shown)))} show."
    )
    return finding(Flaw.BOTH, resource, (*shown, unanswered.seq), words)


def both(resource: str, version: str, shown: int, unanswered: Write, other: Write, who: Who) -> Finding:
    """A version only an unanswered write can have made, although what it would have replaced went to another."""
    words = (
        f"version {version} of {resource}, shown to {who(shown)}, can only come from the unanswered write of "
        f"{who(unanswered.seq)}, which named version {unanswered.base}; but that one was replaced by {who(other.seq)}."
    )
    return finding(Flaw.BOTH, resource, (shown, unanswered.seq, other.seq), words)
