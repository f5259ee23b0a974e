"""The writes whose version nobody was told, and what each of them can explain.

Owns: which of them can have stored what is there though nobody is known to have written it; each can do so once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from workbench.rules.history.chain import Chain
from workbench.rules.history.losses import Contents
from workbench.rules.history.moves import ALWAYS, Deed, Track, Write
from workbench.rules.json import dumps

_ENOUGH: Final = 3
"""Blind writes that are offered at once: what one that began later can explain, an earlier one can."""


@dataclass(eq=False)
class Makers:
    """The unanswered writes of a resource. ``used`` are those that explain something, by number."""

    contents: Contents
    by_base: dict[str, list[Write]]
    unheard: list[Write]
    """Those that name a version which no exchange here shows."""
    blind: list[Write]
    """Those that name none, the earliest first."""
    used: set[int] = field(default_factory=set)
    sure: set[int] = field(default_factory=set)
    """Those of which it is certain that they landed if they are used: nobody else can have, or the text says so."""
    _spent: int = 0
    """How many of the first blind ones are used."""
    _texts: dict[int, str | None] = field(default_factory=dict)

    @classmethod
    def of(cls, track: Track, contents: Contents) -> Makers:
        """The writes of a resource whose version nobody was told, by the version they named."""
        by_base: defaultdict[str, list[Write]] = defaultdict(list)
        blind = []
        for write in track.loose:
            if write.blind:
                blind.append(write)
            elif write.base is not None:
                by_base[write.base].append(write)
        unheard = [write for base, writes in by_base.items() if base not in track.versions for write in writes]
        return cls(contents, dict(by_base), unheard, sorted(blind, key=lambda write: write.start))

    def start_again(self) -> None:
        """Forget what was used."""
        self.used.clear()
        self.sure.clear()
        self._spent = 0

    def take(self, write: Write) -> None:
        """Use a write."""
        self.used.add(write.seq)
        while self._spent < len(self.blind) and self.blind[self._spent].seq in self.used:
            self._spent += 1

    def give_back(self, write: Write) -> None:
        """Use it no longer."""
        self.used.discard(write.seq)
        if write.blind:
            self._spent = min(self._spent, self._places[write.seq])

    def after(self, end: str, until: int = ALWAYS, *, deed: Deed | None = None) -> list[Write]:
        """Those not used yet that can have followed version ``end`` by the time ``until``, the likeliest first."""
        named = (write for write in self.by_base.get(end, ()) if self._fits(write, until, deed))
        return [*sorted(named, key=lambda write: (not write.accepted, write.start)), *self._free(until, deed)]

    def _fits(self, write: Write, until: int, deed: Deed | None) -> bool:
        return write.seq not in self.used and write.start <= until and (deed is None or write.deed is deed)

    def _free(self, until: int, deed: Deed | None) -> Iterator[Write]:
        found = 0
        for number in range(self._spent, len(self.blind)):
            write = self.blind[number]
            if write.start > until or found == _ENOUGH:
                return
            if self._fits(write, until, deed):
                found += 1
                yield write

    def earliest(self, ends: set[str]) -> list[tuple[int, str]]:
        """When the first updates began that can have made a version after one of these ends: two of different ends.

        An update that named none can have come after any end, and stands with an empty one.
        """
        found = [(write.start, "") for write in self.blind if write.deed is not Deed.DELETE]
        for base, writes in self.by_base.items():
            if base in ends:
                found += [(write.start, base) for write in writes if write.deed is not Deed.DELETE]
        first = min(found, default=None)
        second = min((each for each in found if first and each[1] != first[1]), default=None)
        return [each for each in (first, second) if each is not None]

    def for_piece(self, end: str, piece: Chain, until: int) -> Write | None:
        """The write that began a piece nobody is known to have begun, if there can be one by then."""
        fit = self.after(end, until, deed=Deed.UPDATE)
        if len(fit) == 1:
            self.sure.add(fit[0].seq)
        elif fit and (text := self._text(0, piece.versions[0].read_in)) is not None:
            for write in [*fit, *self._blind_texts.get(text, [])]:
                if self._fits(write, until, Deed.UPDATE) and self._text(write.seq, 0) == text:
                    self.sure.add(write.seq)
                    return write
        return fit[0] if fit else None

    @cached_property
    def _places(self) -> dict[int, int]:
        return {write.seq: number for number, write in enumerate(self.blind)}

    @cached_property
    def _blind_texts(self) -> dict[str, list[Write]]:
        found: defaultdict[str, list[Write]] = defaultdict(list)
        for write in self.blind:
            if (text := self._text(write.seq, 0)) is not None:
                found[text].append(write)
        return dict(found)

    def _text(self, sent: int, read: int) -> str | None:
        key = sent or -read
        if key not in self._texts:
            resource = self.contents.sent(sent) if sent else self.contents.read(read)
            self._texts[key] = None if resource is None else dumps(resource)
        return self._texts[key]
