"""What happened, in order: every exchange of every client that shares a journal.

Owns: the record, append-only and safe from any thread, and its tables. Must not know how anything is
sent. Credentials have been replaced before an exchange arrives here; what is personal is replaced here,
before anything keeps it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from workbench.exceptions import BadInput
from workbench.records import as_json, from_json
from workbench.rules import json
from workbench.rules.exchange import Exchange
from workbench.rules.message import SAFE_METHODS
from workbench.rules.place import is_live
from workbench.rules.redaction import PERSONAL, Redaction
from workbench.rules.verdict import Verdict

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

    from workbench.exports import Diagram, Timeline

_CURRENT: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED, Verdict.NOT_MODIFIED})
_UNCHANGED: Final = frozenset({Verdict.UNGUARDED, Verdict.REFUSED, Verdict.UNSUPPORTED, Verdict.STALE, Verdict.FAILED})


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


class Journal:
    """Exchanges in the order in which they ended; ``seq`` counts from 1.

    ``redact`` says what is blanked before an exchange is kept, in every table and export alike, the same value always
    by the same placeholder: element paths (``["Patient.name", "NHS numbers"]``), ``True`` for personal elements,
    ``False`` for nothing. Without it personal elements are blanked in what comes from another machine. What a client
    gives back is never blanked, because it is what is edited and sent.
    """

    def __init__(self, *, redact: bool | Iterable[str] | Redaction | None = None) -> None:
        self._exchanges: list[Exchange] = []
        self._current: dict[str, str | None] = {}
        self._before_after: list[tuple[str | None, str | None]] = []
        self._watchers: list[Callable[[], object]] = []
        self._turn = threading.Lock()
        self._only_live = redact is None
        self._redaction = _redaction(redact)

    def append(self, exchange: Exchange) -> int:
        """Record an exchange, redacted; its ``seq``. Takes the same time however long the journal is."""
        with self._turn:
            if not self._only_live or is_live(exchange.request.url):
                exchange = self._redaction.exchange(exchange)
            self._exchanges.append(exchange)
            self._before_after.append(self._move(exchange))
            seq = len(self._exchanges)
        for told in tuple(self._watchers):
            try:
                told()
            except Exception:  # noqa: BLE001  # the exchange has happened; whoever watches must not undo that
                _log.exception("a watcher of the journal failed")
        return seq

    def watch(self, told: Callable[[], object]) -> Callable[[], None]:
        """Call ``told()`` after each append, in the thread that appends; give back what ends that."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told) if told in self._watchers else None

    def _move(self, exchange: Exchange) -> tuple[str | None, str | None]:
        """The ETag before and after; and remember the one after."""
        name, verdict = exchange.target, exchange.verdict
        if not exchange.logical_id:
            return None, None
        before = self._current.get(name)
        after: str | None = before
        if verdict in _CURRENT:
            after = str(exchange.etag) if exchange.etag else None
        elif verdict is Verdict.STALE and exchange.if_match == before:
            after = None  # what we took for current is not, and nobody said what is
        elif verdict in (Verdict.UNKNOWN, Verdict.FAILED) and exchange.request.method in SAFE_METHODS:
            pass  # a read changes nothing, answered or not
        elif verdict not in _UNCHANGED or (verdict is Verdict.FAILED and exchange.response is not None):
            after = None
        self._current[name] = after
        return before, after

    def __len__(self) -> int:
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._exchanges[: len(self)])

    def __getitem__(self, index: int) -> Exchange:
        return self._exchanges[index]

    def rows(self, start: int = 0) -> list[Transition]:
        """The transitions as plain rows, from the exchange at ``start`` (counted from 0) on."""
        with self._turn:
            exchanges, moves = self._exchanges[start:], self._before_after[start:]
        numbered = enumerate(zip(exchanges, moves, strict=True), start + 1)
        return [_row(seq, exchange, *move) for seq, (exchange, move) in numbered]

    def transitions(self) -> pd.DataFrame:
        """How each ETag moved: one row an exchange, in order.

        Columns: ``seq`` (from 1), ``time`` (UTC), ``client``, ``interaction``, ``resource`` (``Type/id``),
        ``if_match`` as sent, ``status``, ``etag_before`` and ``etag_after`` as far as this journal knows,
        ``verdict``, ``spine_code`` and ``diagnostics`` of the OperationOutcome, ``ms``.
        """
        import pandas as pd

        frame = pd.DataFrame(self.rows(), columns=list(Transition._fields))
        texts = ["client", "interaction", "resource", "if_match", "etag_before", "etag_after"]
        texts += ["verdict", "spine_code", "diagnostics"]
        kinds = {"seq": "int64", "status": "Int64", "ms": "Float64"} | dict.fromkeys(texts, "str")
        return frame.astype(kinds).assign(time=pd.to_datetime(frame["time"], utc=True).dt.as_unit("us"))

    def conflicts(self) -> pd.DataFrame:
        """The transitions whose version was stale: the updates that the lock stopped."""
        frame = self.transitions()
        return frame[frame["verdict"] == Verdict.STALE.value].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Every exchange as it was: method, URL, status, verdict, sizes in bytes, and the bodies as text."""
        import pandas as pd

        return pd.DataFrame([_whole_row(seq, exchange) for seq, exchange in enumerate(self, 1)], columns=_WHOLE)

    def save(self, path: str | Path) -> None:
        """Write the journal as JSON Lines, an exchange a line; ``load`` reads it back the same."""
        with Path(path).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(as_json(exchange)) + "\n" for exchange in self)

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Read a saved journal; raises ``BadInput`` that names the line that cannot be read."""
        journal = cls(redact=False)  # exactly what was saved
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    journal.append(from_json(json.parse(line)))
                except (BadInput, AttributeError, KeyError, TypeError, ValueError):
                    raise BadInput(f"Line {number} of {path} is not an exchange that save() wrote.") from None
        return journal

    def diagram(self, *, start: int | None = None, last: int = 30, resource: str | None = None) -> Diagram:
        """A sequence diagram of the last ``last`` exchanges, in the order in which they ended.

        With ``start`` it begins at the exchange of that number and shows at most ``last``; with ``resource``
        (``Type/id``) it shows only what was about that one. What it leaves out, it says.
        """
        from workbench import exports

        return exports.diagram(tuple(self), start=start, last=last, resource=resource)

    def timeline(self, *, resource: str | None = None, last: int = 200) -> Timeline:
        """How the ETag moved, and who did what to which version: a lane a client, a mark an exchange."""
        from workbench import exports

        with self._turn:
            exchanges, moves = tuple(self._exchanges), tuple(self._before_after)
        return exports.timeline(exchanges, moves, last=last, resource=resource)

    def to_har(self) -> dict[str, Any]:
        """Every exchange as an HTTP Archive (HAR 1.2), as browsers and proxies read it."""
        from workbench import exports

        return exports.har(self)

    def to_csv(self, path: str | Path) -> None:
        """Write the transitions as CSV for a spreadsheet.

        A text that a spreadsheet would run as a formula gets an apostrophe in front; ``save()`` changes nothing.
        """
        from workbench import exports

        exports.write_csv(path, Transition._fields, self.rows())

    def export(self, path: str | Path) -> None:
        """Write the journal as the suffix says: ``.har``, ``.csv``, ``.jsonl``, or ``.svg`` for the diagram.

        Raises ``BadInput`` for any other suffix.
        """
        match Path(path).suffix.lower():
            case ".har":
                Path(path).write_text(json.dumps(self.to_har(), indent=2), encoding="utf-8")
            case ".csv":
                self.to_csv(path)
            case ".jsonl":
                self.save(path)
            case ".svg":
                Path(path).write_text(self.diagram().svg, encoding="utf-8")
            case _:
                raise BadInput(f"{path} does not say what to write; end its name in .har, .csv, .jsonl or .svg.")

    def __repr__(self) -> str:
        return f"<Journal of {len(self)} exchanges>"


def _redaction(redact: bool | Iterable[str] | Redaction | None) -> Redaction:
    if isinstance(redact, Redaction):
        return redact
    if isinstance(redact, str):
        raise BadInput(f"redact= takes a list of paths, so write [{redact!r}].")
    paths = (PERSONAL if redact else ()) if isinstance(redact, bool) else redact
    return Redaction(PERSONAL if paths is None else paths)


def _row(seq: int, exchange: Exchange, before: str | None, after: str | None) -> Transition:
    found = None if exchange.ok else exchange.outcome
    return Transition(
        seq=seq,
        time=exchange.sent_at,
        client=exchange.client,
        interaction=exchange.interaction,
        resource=exchange.target if exchange.resource_type else "",
        if_match=exchange.if_match,
        status=exchange.status,
        etag_before=before,
        etag_after=after,
        verdict=exchange.verdict.value,
        spine_code=found.spine_code if found else "",
        diagnostics=found.diagnostics if found else exchange.failure,
        ms=None if exchange.elapsed is None else round(exchange.elapsed * 1000, 3),
    )


_WHOLE: Final = [
    *("seq", "time", "client", "interaction", "method", "url", "status", "verdict", "ms"),
    *("sent_bytes", "received_bytes", "sent", "received", "failure"),
]


def _whole_row(seq: int, exchange: Exchange) -> tuple[Any, ...]:
    sent, received = exchange.request.body, exchange.response.body if exchange.response else b""
    return (
        *(seq, exchange.sent_at, exchange.client, exchange.interaction, exchange.request.method, exchange.request.url),
        *(exchange.status, exchange.verdict.value, None if exchange.elapsed is None else exchange.elapsed * 1000),
        *(len(sent), len(received), _text(sent), _text(received), exchange.failure),
    )


def _text(body: bytes) -> str:
    return body.decode("utf-8", errors="backslashreplace")
