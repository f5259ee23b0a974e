"""One resource from its pieces to a verdict.

Owns: the order of the steps, what nobody can have written, what became of unanswered writes, and which blind write
overwrote what.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from workbench.rules.history import finding
from workbench.rules.history.chain import Chain, flaws_of_form, pieces
from workbench.rules.history.finding import Finding, Flaw, Who
from workbench.rules.history.losses import Contents, overwrites, vanished
from workbench.rules.history.makers import Makers
from workbench.rules.history.moves import Deed, Track, Version, Write
from workbench.rules.history.order import Clash, Undecided, in_order
from workbench.rules.history.windows import check_times

_MOST_COMPARED: Final = 200
"""Blind writes that are compared with what they overwrote before it is left at that."""


@dataclass(slots=True)
class Result:
    """What was found about one resource. ``order`` has its versions as they came, as far as is known."""

    findings: list[Finding] = field(default_factory=list)
    landed: dict[int, bool | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    order: list[tuple[str, Write | None]] = field(default_factory=list)


def check_track(track: Track, contents: Contents, who: Who) -> Result:
    """Decide one resource."""
    result = Result(list(flaws_of_form(track, contents, who)))
    if track.unread:
        result.notes.append(f"{track.unread:,} reads of {track.name} do not say which version they show.")
    parts, circle = ([], []) if result.findings else pieces(track)
    if circle:
        result.findings.append(finding.circle(track.name, circle, who))
    makers = Makers.of(track, contents)
    whole = None
    if not result.findings and parts:
        whole = _whole(track, parts, makers, result, who)
    if whole is not None and (found := check_times(track, whole, makers, who)):
        result.findings.append(found)
    result.order = _order(track) if whole is None else _order_of(whole)
    if whole is not None:
        result.findings += _overwritten(track, result, contents, who)
        if not result.findings:
            result.landed = _fates(track, whole, makers)
    return result


def _whole(track: Track, parts: list[Chain], makers: Makers, result: Result, who: Who) -> Chain | None:
    """All pieces as one chain; or what shows that there is none."""
    first = next((piece for piece in parts if piece.created), None)
    earliest = makers.earliest({piece.end.id for piece in parts})
    orphans = [piece for piece in parts if piece.nobodys and not _can_be_made(piece, earliest)]
    if first is None and orphans:
        first = min(orphans, key=_middle)
    if wrong := [piece for piece in orphans if piece is not first]:
        result.findings += [_nobodys(track, piece, parts, first, makers, who) for piece in wrong]
        return None
    try:
        whole = in_order(track, parts, makers, first)
    except Undecided:
        result.notes.append(
            f"Too many writes to {track.name} went without an answer at once to decide in which order they landed; "
            "what was told about them is not contradictory as far as was looked."
        )
        return None
    if isinstance(whole, Chain):
        return whole
    result.findings.append(_clash(track, whole, makers, who) if whole else _too_many(track, parts, first, makers, who))
    return None


def _middle(piece: Chain) -> int:
    begun, lasted = piece.zone()
    return begun[0] + lasted[0]


def _can_be_made(piece: Chain, earliest: list[tuple[int, str]]) -> bool:
    """Whether an unanswered update can have begun this piece, if it stands after another."""
    until = piece.zone()[0][0]
    return any(start <= until and base != piece.end.id for start, base in earliest)


def _shown(version: Version) -> int:
    """An exchange that names this version: one that was shown it, else the write that replaced it."""
    return version.seen_by[1] or (version.replaced_by.seq if version.replaced_by else 0)


def _nobodys(track: Track, piece: Chain, parts: list[Chain], first: Chain | None, makers: Makers, who: Who) -> Finding:
    root = piece.versions[0]
    shown, text = _shown(root), makers.contents.read(root.read_in)
    for seq in track.unchanged:
        if text is not None and makers.contents.same(makers.contents.sent(seq), text):
            return finding.refused_yet_done(track.name, root.id, root.read_in, seq, who)
    own = {version.id for version in piece.versions}
    for base in makers.by_base.keys() - own:
        known = track.versions.get(base)
        for write in makers.by_base[base] if known and known.replaced_by else ():
            sent = makers.contents.sent(write.seq)
            if write.deed is not Deed.DELETE and makers.contents.same(sent, text) is not False:
                assert known is not None
                assert known.replaced_by is not None
                return finding.both(track.name, root.id, shown, write, known.replaced_by, who)
    others = [part for part in ([first] if first else parts) if part is not piece]
    return finding.nobodys(track.name, root.id, shown, _beside(others), who)


def _beside(others: list[Chain]) -> tuple[int, str]:
    """An exchange that shows that there was another version."""
    for piece in others:
        for version, write in zip(piece.versions, piece.writes, strict=True):
            if seq := (write.seq if write else _shown(version)):
                return seq, version.id
    return 0, ""


def _clash(track: Track, clash: Clash, makers: Makers, who: Who) -> Finding:
    old, new = clash.before.end, clash.after.versions[0]
    began = makers.for_piece(old.id, clash.after, clash.after.zone()[0][0]) if clash.after.nobodys else None
    if began is not None:
        return finding.landed_then_gone(track.name, began, old.id, clash.exchanges, who)
    words = (
        f"version {old.id} of {track.name} was still shown after version {new.id.strip()} had come, "
        f"as {' and '.join(map(who, sorted(clash.exchanges)))} show."
    )
    flaw = Flaw.REVIVED if clash.after.deleted and len(clash.after.versions) == 1 else Flaw.STALE_READ
    return finding.finding(flaw, track.name, clash.exchanges, words)


def _too_many(track: Track, parts: list[Chain], first: Chain | None, makers: Makers, who: Who) -> Finding:
    roots = [piece.versions[0] for piece in parts if piece.nobodys]
    wrote = [write.seq for writes in (*makers.by_base.values(), makers.blind) for write in writes]
    shown = [_shown(root) for root in roots] + ([_beside([first])[0]] if first else [])
    versions = ", ".join(f"{root.id} (shown to {who(_shown(root))})" for root in roots)
    words = f"the versions {versions} of {track.name} cannot all come from the unanswered "
    words += f"writes of {', '.join(map(who, wrote))}, and nobody else wrote them"
    words += f" after that of {who(shown[-1])}." if first else "."
    return finding.finding(Flaw.NOBODYS, track.name, (*shown, *wrote), words)


def _overwritten(track: Track, result: Result, contents: Contents, who: Who) -> Iterator[Finding]:
    """The blind writes by which something vanished, or may have where bodies are missing."""
    if not any(write and write.blind for _, write in result.order):
        return
    for earlier, later in islice(overwrites(result.order), _MOST_COMPARED):
        gone = vanished(track, earlier, later, contents)
        if gone or gone is None:
            yield finding.overwritten(track.name, earlier, later, who)


def _fates(track: Track, whole: Chain, makers: Makers) -> dict[int, bool | None]:
    """What became of each write that was not answered."""
    fates: dict[int, bool | None] = {}
    known = {version.id for version in whole.versions[:-1]}
    for write in track.loose:
        if write.accepted:
            continue
        if write.seq in makers.used:
            fates[write.seq] = True if write.seq in makers.sure else None
        elif write.blind or write.base is None or write.base == whole.end.id:
            fates[write.seq] = None
        else:
            # Its version was replaced by another, or it never was one.
            rivals = (other.seq for other in makers.by_base.get(write.base, ()))
            used = any(seq in makers.used and seq not in makers.sure for seq in rivals)
            fates[write.seq] = None if used and write.base in known else False
    return fates


def _order_of(whole: Chain) -> list[tuple[str, Write | None]]:
    made = zip(whole.versions, whole.writes, strict=True)
    return [(version.id, write if write and write.accepted else None) for version, write in made]


def _order(track: Track) -> list[tuple[str, Write | None]]:
    """The accepted writes as they can have taken effect where they form no chain: by their times and their bases."""
    depths: dict[str, int] = {}
    middles: dict[int, int] = {}
    for write in track.writes:
        version = track.version(write.version or "")
        depths[version.id] = depths.get(write.base or "", 0) + 1
        begun, lasted = min(write.end, version.seen_by[0]), max(write.start, version.seen_until[0])
        middles[write.seq] = begun + lasted
    writes = sorted(track.writes, key=lambda write: (middles[write.seq], depths[write.version or ""]))
    return [(write.version or "", write) for write in writes]
