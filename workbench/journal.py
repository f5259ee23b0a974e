"""What happened, in order: every exchange of every client that shares a journal.

Owns: the record, append-only and safe from any thread, and its tables. Must not know how anything is
sent, nor where exchanges are kept (``shelf``). Credentials have been replaced before an exchange arrives here;
what is personal is replaced here, before anything keeps it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.exceptions import BadInput, MalformedETag
from workbench.records import Told, as_line, from_line, told
from workbench.rules import json
from workbench.rules.etag import ETag
from workbench.rules.exchange import Exchange
from workbench.rules.message import SAFE_METHODS, Request, Response, size_of
from workbench.rules.place import is_live
from workbench.rules.redaction import PERSONAL, Redaction
from workbench.rules.verdict import Verdict
from workbench.shelf import SQLITE, InFile, InMemory, Shelf
from workbench.transitions import Move, Transition

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

    from workbench.exports import Diagram, Timeline

__all__ = ["KEEP_BODIES", "Journal", "Transition"]

KEEP_BODIES: Final = 256 * 2**20
"""Bytes of bodies that a journal keeps; of what comes after that it keeps the digests only."""

_CURRENT: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED, Verdict.NOT_MODIFIED})
_UNCHANGED: Final = frozenset({Verdict.UNGUARDED, Verdict.REFUSED, Verdict.UNSUPPORTED, Verdict.STALE, Verdict.FAILED})


class Journal:
    """Exchanges in the order in which they ended; ``seq`` counts from 1.

    With a ``path`` they are kept in that file and not in memory: a million take no more of it than a few, and what
    has been appended is there after the process is killed. A file that is there is gone on with. ``keep_bodies`` is
    how many bytes of bodies are kept; of later ones their size and SHA-256 are, and tables, verdicts and proofs go on.

    ``redact`` says what is blanked before an exchange is kept, in every table and export alike, the same value always
    by the same placeholder: element paths (``["Patient.name", "NHS numbers"]``), ``True`` for personal elements,
    ``False`` for nothing. Without it personal elements are blanked in what comes from another machine. What a client
    gives back is never blanked, because it is what is edited and sent.

    Raises ``BadInput`` for a file that cannot keep a journal.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        keep_bodies: int = KEEP_BODIES,
        redact: bool | Iterable[str] | Redaction | None = None,
    ) -> None:
        self._current: dict[str, str | None] = {}
        self._room, self._lean = keep_bodies, 0
        self._shelf: Shelf = InMemory() if path is None else self._open(Path(path))
        self._watchers: list[Callable[[], object]] = []
        self._turn = threading.Lock()
        self._only_live = redact is None
        self._redaction = _redaction(redact)

    def _open(self, path: Path) -> InFile:
        shelf = InFile(path)
        self._current = shelf.current()
        kept, self._lean = shelf.kept()
        self._room -= kept
        return shelf

    def append(self, exchange: Exchange) -> int:
        """Record an exchange, redacted; its ``seq``. Takes the same time however long the journal is."""
        exchange = self.redacted(exchange)
        return self._append(exchange, told(exchange))

    def redacted(self, exchange: Exchange) -> Exchange:
        """The exchange as this journal keeps it. Compare with what a journal holds only what it has redacted."""
        if self._only_live and not is_live(exchange.request.url):
            return exchange
        with self._turn:  # one value, one placeholder, whoever comes first
            return self._redaction.exchange(exchange)

    def _append(self, exchange: Exchange, said: Told) -> int:
        with self._turn:
            kept = self._fitting(exchange)
            self._shelf.append(kept, self._move(exchange), said)
            seq = len(self._shelf)
        for watcher in tuple(self._watchers):
            try:
                watcher()
            except Exception:  # noqa: BLE001  # the exchange has happened; whoever watches must not undo that
                _log.exception("a watcher of the journal failed")
        return seq

    def _fitting(self, exchange: Exchange) -> Exchange:
        """The exchange as there is room for it: whole, or with digests of its bodies."""
        size = len(exchange.request.body) + (len(exchange.response.body) if exchange.response else 0)
        if size <= self._room:
            self._room -= size
            self._lean += not exchange.is_whole
            return exchange
        self._room = 0  # from here on none is kept, so that it can be said where they end
        self._lean += 1
        return exchange.without_bodies()

    def close(self) -> None:
        """Let go of the file, if there is one; what it holds stays."""
        with self._turn:
            self._shelf.close()

    def watch(self, told: Callable[[], object]) -> Callable[[], None]:
        """Call ``told()`` after each append, in the thread that appends; give back what ends that."""
        self._watchers.append(told)
        return lambda: self._watchers.remove(told) if told in self._watchers else None

    def _move(self, exchange: Exchange) -> Move:
        """The ETag before and after; and remember the one after."""
        name, verdict = exchange.target, exchange.verdict
        if not exchange.logical_id:
            return None, None
        before = self._current.get(name)
        after: str | None = before
        if verdict in _CURRENT:
            after = _etag(exchange.response.headers.get("ETag")) if exchange.response else None
        elif verdict is Verdict.STALE and exchange.if_match == before:
            after = None  # what we took for current is not, and nobody said what is
        elif verdict in (Verdict.UNKNOWN, Verdict.FAILED) and exchange.request.method in SAFE_METHODS:
            pass  # a read changes nothing, answered or not
        elif verdict not in _UNCHANGED or (verdict is Verdict.FAILED and exchange.response is not None):
            after = None
        self._current[name] = after
        return before, after

    def __len__(self) -> int:
        return len(self._shelf)

    def __iter__(self) -> Iterator[Exchange]:
        stop = len(self)
        for start in range(0, stop, self._shelf.batch):
            with self._turn:
                batch = self._shelf.exchanges(start, min(start + self._shelf.batch, stop))
            yield from batch

    def __getitem__(self, index: int) -> Exchange:
        with self._turn:
            place = index if index >= 0 else len(self._shelf) + index
            if not 0 <= place < len(self._shelf):
                raise IndexError(f"There is no exchange {index}; the journal has {len(self._shelf)}.")
            return self._shelf.exchanges(place, place + 1)[0]

    def rows(self, start: int = 0) -> list[Transition]:
        """The transitions as plain rows, from the exchange at ``start`` (counted from 0) on."""
        with self._turn:
            return self._shelf.rows(start)

    def transitions(self) -> pd.DataFrame:
        """How each ETag moved: one row an exchange, in order.

        Columns: ``seq`` (from 1), ``time`` (UTC), ``client``, ``interaction``, ``resource`` (``Type/id``),
        ``if_match`` as sent, ``status``, ``etag_before`` and ``etag_after`` as far as this journal knows,
        ``verdict``, ``spine_code`` and ``diagnostics`` of the OperationOutcome, ``ms``.
        """
        with self._turn:
            columns = self._shelf.columns()
        return columns.frame()

    def conflicts(self) -> pd.DataFrame:
        """The transitions whose version was stale: the updates that the lock stopped."""
        frame = self.transitions()
        return frame[frame["verdict"] == Verdict.STALE.value].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Every exchange as it was: method, URL, status, verdict, sizes in bytes, and the bodies as text.

        A body that is no longer kept has its size, and no text (not even an empty one).
        """
        import pandas as pd

        return pd.DataFrame([_whole_row(seq, exchange) for seq, exchange in enumerate(self, 1)], columns=_WHOLE)

    def save(self, path: str | Path) -> None:
        """Write the journal as JSON Lines, an exchange a line; ``load`` reads it back the same."""
        if isinstance(self._shelf, InFile) and Path(path).resolve() == self._shelf.path.resolve():
            raise BadInput(f"{path} is where this journal is kept already; save it under another name.")
        with Path(path).open("w", encoding="utf-8") as file:
            for place, exchange in enumerate(self):
                # What an answer said is read off its body, unless that is no longer there.
                with self._turn:
                    said = Told("", "") if exchange.is_whole else self._shelf.told(place, place + 1)[0]
                file.write(as_line(exchange, said) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Read a saved journal, or open the file of one that has a path and go on with it.

        Raises ``BadInput`` that names the line that cannot be read.
        """
        with Path(path).open("rb") as file:
            if file.read(len(SQLITE)) == SQLITE:
                return cls(path)
            file.seek(0)
            journal = cls(redact=False)  # exactly what was saved
            for number, line in enumerate(file, 1):
                try:
                    journal._append(*from_line(line))
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

        exchanges = tuple(self)
        with self._turn:
            moves = self._shelf.moves()
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
        lean = f", of {self._lean} without their bodies" if self._lean else ""
        return f"<Journal of {len(self)} exchanges{lean}>"


def _redaction(redact: bool | Iterable[str] | Redaction | None) -> Redaction:
    if isinstance(redact, Redaction):
        return redact
    if isinstance(redact, str):
        raise BadInput(f"redact= takes a list of paths, so write [{redact!r}].")
    paths = (PERSONAL if redact else ()) if isinstance(redact, bool) else redact
    return Redaction(PERSONAL if paths is None else paths)


@lru_cache(maxsize=1024)
def _etag(value: str | None) -> str | None:
    """An ETag as it is written, ``None`` for what is none; every version is met several times."""
    try:
        return str(ETag.parse(value)) if value is not None else None
    except MalformedETag:
        return None


_WHOLE: Final = [
    *("seq", "time", "client", "interaction", "method", "url", "status", "verdict", "ms"),
    *("sent_bytes", "received_bytes", "sent", "received", "failure"),
]


def _whole_row(seq: int, exchange: Exchange) -> tuple[Any, ...]:
    sent, received = exchange.request, exchange.response
    return (
        *(
            seq,
            exchange.sent_at.astimezone(UTC),
            exchange.client,
            exchange.interaction,
            exchange.request.method,
            exchange.request.url,
        ),
        *(exchange.status, exchange.verdict.value, None if exchange.elapsed is None else exchange.elapsed * 1000),
        *(size_of(sent), size_of(received) if received else 0),
        *(_text(sent), _text(received) if received else "", exchange.failure),
    )


def _text(message: Request | Response) -> str | None:
    return None if message.dropped else message.body.decode("utf-8", errors="backslashreplace")
