"""The transitions of a journal: how each exchange moved its resource's ETag, as rows and as a table.

Owns: the columns, their order and their types. A journal keeps a ``Row`` of plain values beside each exchange, so that
the table of a million of them takes no walk over the exchanges.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.errors import BadInput
from workbench.exchange.message import Exchange
from workbench.exchange.verdict import Verdict
from workbench.journal.records import EPOCH, Told, is_recordable, microseconds

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


class Row(NamedTuple):
    """A transition as it is kept: the same columns, the time in microseconds since 1970."""

    seq: int
    time: int
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

    def transition(self) -> Transition:
        """The row as it is shown."""
        return Transition(*self._replace(time=EPOCH + timedelta(microseconds=self.time)))  # type: ignore[arg-type]


Move = tuple[str | None, str | None]
"""The ETag before and after an exchange."""

_NUMBERS: Final[dict[str, set[type]]] = {
    "seq": {int},
    "time": {int},
    "status": {int, type(None)},
    "ms": {float, type(None)},
}
_OPTIONAL: Final = ("if_match", "etag_before", "etag_after")
_TYPES: Final[list[set[type]]] = [
    _NUMBERS.get(name) or ({str, type(None)} if name in _OPTIONAL else {str}) for name in Row._fields
]
_VERDICTS: Final = {verdict.value for verdict in Verdict}


def row(seq: int, exchange: Exchange, move: Move, said: Told) -> Row:
    """The row of one exchange."""
    return Row(
        seq=seq,
        time=microseconds(exchange.sent_at),
        client=exchange.client,
        interaction=exchange.interaction,
        resource=exchange.target if exchange.resource_type else "",
        if_match=exchange.if_match,
        status=exchange.status,
        etag_before=move[0],
        etag_after=move[1],
        verdict=exchange.verdict.value,
        spine_code=said.spine_code,
        diagnostics=said.diagnostics,
        ms=None if exchange.elapsed is None else round(exchange.elapsed * 1000, 3),
    )


def check_rows(first: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Raise ``BadInput`` unless these are rows of a journal, numbered from ``first`` on."""
    columns = list(zip(*rows, strict=True))
    for name, types, values in zip(Row._fields, _TYPES, columns, strict=True):
        if not set(map(type, values)) <= types:
            raise BadInput(f"its column {name} holds what a journal does not write")
    seq, time, verdict = (columns[Row._fields.index(name)] for name in ("seq", "time", "verdict"))
    if seq != tuple(range(first, first + len(rows))):
        raise BadInput("its exchanges are not numbered one after another")
    if not (is_recordable(min(time)) and is_recordable(max(time))):
        raise BadInput("its column time holds what a journal does not write")
    if not set(verdict) <= _VERDICTS:
        raise BadInput("its column verdict holds what a journal does not write")


def frame(batches: Iterable[Sequence[tuple[Any, ...]]]) -> pd.DataFrame:
    """A table of rows that come in batches: texts, nullable numbers, and times in UTC to the microsecond."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {name: [] for name in Row._fields} | {"seq": array("q"), "time": array("q")}
    same: dict[str | None, str | None] = {}  # a word that recurs is kept once
    for batch in batches:
        for name, values in zip(Row._fields, zip(*batch, strict=True), strict=False):
            columns[name].extend(values if name in _NUMBERS else map(same.setdefault, values, values))
    time = np.array(columns["time"], dtype="int64").view("datetime64[us]")
    found: dict[str, Any] = {name: pd.array(columns[name], dtype="str") for name in Row._fields if name not in _NUMBERS}
    found["seq"] = np.array(columns["seq"], dtype="int64")
    found["time"] = pd.DatetimeIndex(time).tz_localize("UTC")
    found["status"] = pd.array(columns["status"], dtype="Int64")
    found["ms"] = pd.array(columns["ms"], dtype="Float64")
    return pd.DataFrame({name: found[name] for name in Row._fields})
