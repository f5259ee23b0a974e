"""The transitions of a journal as columns, and as the table that notebooks show.

Owns: the columns, their order and their types. They are kept column by column while exchanges arrive, so that the
table of a million of them takes no walk over the exchanges.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.records import EPOCH, Told, microseconds
from workbench.rules import json
from workbench.rules.exchange import Exchange

if TYPE_CHECKING:
    import pandas as pd


class Transition(NamedTuple):
    """One row of ``transitions()``: an exchange, and the resource's ETag before and after it.

    Before and after are as far as this journal knows: ``None`` where it cannot know.
    """

    seq: int
    time: datetime
    client: str
    interaction: str
    resource: str
    if_match: str | None
    status: int | None
    etag_before: str | None
    etag_after: str | None
    verdict: str
    spine_code: str
    diagnostics: str
    ms: float | None


Move = tuple[str | None, str | None]
"""The ETag before and after an exchange."""

_NO_STATUS: Final = -1
_NO_DURATION: Final = -1.0

Values = tuple[int, str, str, str, str | None, int, str | None, str | None, str, str, str, float]
"""A transition without its number: its time in microseconds, no status and no duration as -1."""


def values(exchange: Exchange, move: Move, said: Told) -> Values:
    """The transition of one exchange."""
    elapsed = exchange.elapsed
    return (
        *(microseconds(exchange.sent_at), exchange.client, exchange.interaction),
        exchange.target if exchange.resource_type else "",
        exchange.if_match,
        _NO_STATUS if exchange.response is None else exchange.response.status,
        *move,
        exchange.verdict.value,
        *said,
        _NO_DURATION if elapsed is None else round(elapsed * 1000, 3),
    )


@dataclass(slots=True)
class Columns:
    """Transitions column by column, in the order of ``Transition``, all but ``seq``."""

    time: Any = field(default_factory=lambda: array("q"))
    client: list[str] = field(default_factory=list)
    interaction: list[str] = field(default_factory=list)
    resource: list[str] = field(default_factory=list)
    if_match: list[str | None] = field(default_factory=list)
    status: Any = field(default_factory=lambda: array("i"))
    etag_before: list[str | None] = field(default_factory=list)
    etag_after: list[str | None] = field(default_factory=list)
    verdict: list[str] = field(default_factory=list)
    spine_code: list[str] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    ms: Any = field(default_factory=lambda: array("d"))
    _names: dict[str, str] = field(default_factory=dict)

    def append(self, row: Values) -> None:
        """One transition more."""
        time, client, interaction, resource, if_match, status, before, after, verdict, code, text, ms = row
        self.time.append(time)
        self.client.append(client)
        self.interaction.append(interaction)
        self.resource.append(self._names.setdefault(resource, resource))
        self.if_match.append(if_match)
        self.status.append(status)
        self.etag_before.append(before)
        self.etag_after.append(after)
        self.verdict.append(verdict)
        self.spine_code.append(code)
        self.diagnostics.append(text)
        self.ms.append(ms)

    def __len__(self) -> int:
        return len(self.time)

    def extend(self, other: Columns) -> None:
        """All of the other's after these."""
        for name in _NAMES:
            getattr(self, name).extend(getattr(other, name))

    def pack(self) -> tuple[str, bytes]:
        """As text and bytes for a file: the different words of each text column, and numbers; 65,535 at most."""
        words = [list(dict.fromkeys(getattr(self, name))) for name in _TEXTS]
        parts = [self.time.tobytes(), self.status.tobytes(), self.ms.tobytes()]
        for name, known in zip(_TEXTS, words, strict=True):
            place = {word: number for number, word in enumerate(known)}
            parts.append(array("H", map(place.__getitem__, getattr(self, name))).tobytes())
        return json.dumps(words), b"".join(parts)

    def unpack(self, count: int, words: str, numbers: bytes) -> None:
        """Add what was packed: ``count`` of them."""
        end = 0
        for name in ("time", "status", "ms"):
            column = getattr(self, name)
            begin, end = end, end + count * column.itemsize
            column.frombytes(numbers[begin:end])
        for name, known in zip(_TEXTS, json.parse(words), strict=True):
            codes = array("H")
            begin, end = end, end + count * codes.itemsize
            codes.frombytes(numbers[begin:end])
            getattr(self, name).extend(map(known.__getitem__, codes))

    def since(self, start: int) -> Columns:
        """A copy of those from ``start`` (counted from 0) on."""
        return Columns(*(getattr(self, name)[start:] for name in _NAMES))

    def rows(self, first: int) -> list[Transition]:
        """As rows; ``first`` is the number of the first."""
        found = zip(*(getattr(self, name) for name in _NAMES), strict=True)
        return [as_transition(seq, row) for seq, row in enumerate(found, first)]

    def frame(self) -> pd.DataFrame:
        """As a table: texts, nullable numbers, and times in UTC to the microsecond."""
        import numpy as np
        import pandas as pd

        status, ms = np.array(self.status, dtype="int64"), np.array(self.ms, dtype="float64")
        time = pd.DatetimeIndex(np.array(self.time, dtype="int64").view("datetime64[us]")).tz_localize("UTC")
        found: dict[str, Any] = {name: pd.array(getattr(self, name), dtype="str") for name in _TEXTS}
        found |= {"seq": np.arange(1, len(self.time) + 1, dtype="int64"), "time": time}
        found["status"] = pd.arrays.IntegerArray(status, status == _NO_STATUS)
        found["ms"] = pd.arrays.FloatingArray(ms, ms == _NO_DURATION)
        return pd.DataFrame({name: found[name] for name in Transition._fields})


_NAMES: Final = Transition._fields[1:]
_TEXTS: Final = tuple(name for name in _NAMES if name not in ("time", "status", "ms"))


def as_transition(seq: int, row: tuple[Any, ...]) -> Transition:
    """A row of the columns as a transition."""
    time, client, interaction, resource, if_match, status, before, after, verdict, code, text, ms = row
    return Transition(
        seq=seq,
        time=EPOCH + timedelta(microseconds=time),
        client=client,
        interaction=interaction,
        resource=resource,
        if_match=if_match,
        status=None if status == _NO_STATUS else status,
        etag_before=before,
        etag_after=after,
        verdict=verdict,
        spine_code=code,
        diagnostics=text,
        ms=None if ms == _NO_DURATION else ms,
    )
