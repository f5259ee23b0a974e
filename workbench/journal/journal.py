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
from typing import IO, TYPE_CHECKING, Any, Final

from workbench.errors import BadInput
from workbench.exchange.hosts import is_live
from workbench.exchange.message import SAFE_METHODS, Exchange, Request, Response, size_of
from workbench.exchange.verdict import Verdict
from workbench.fhir import json
from workbench.fhir.etag import ETag
from workbench.journal.export import check_writable, open_private, write_private
from workbench.journal.records import MOST_BYTES, Move, Row, Told, Transition, frame, from_line, row, told
from workbench.journal.redaction import PERSONAL, Redaction
from workbench.journal.store import InFile, InMemory, Rule, Shelf, is_database

_log = logging.getLogger(__name__)

if TYPE_CHECKING:
    import pandas as pd

    from workbench.journal.diagram import Diagram, Timeline

__all__ = ["KEEP_BODIES", "Journal", "Transition"]

KEEP_BODIES: Final = 256 * 2**20
"""Bytes of bodies that a journal keeps; of what comes after that it keeps the digests only."""

_FORMAT: Final = 2
"""What the first line of a saved journal calls its format."""

_MOST_PLACEHOLDERS: Final = 10**12
"""No journal has as many; a number that a file gives is believed up to here."""

_BATCH: Final = 500
_CURRENT: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED, Verdict.NOT_MODIFIED})
_UNCHANGED: Final = frozenset({Verdict.UNGUARDED, Verdict.REFUSED, Verdict.UNSUPPORTED, Verdict.STALE, Verdict.FAILED})


class Journal:
    """Exchanges in the order in which they ended; ``seq`` counts from 1.

    With a ``path`` they are kept in that file and not in memory: a million take no more of it than a few, and what
    has been appended is there after the process is killed. An existing file is gone on with, by one journal at a time.
    ``keep_bodies`` is how many bytes of bodies are kept; of later ones their size and SHA-256 are, and tables,
    verdicts and proofs go on.

    ``redact`` says what is blanked before an exchange is kept, in every table and export alike, the same value always
    by the same placeholder: element paths (``["Patient.name", "NHS numbers"]``), ``True`` for personal elements,
    ``False`` for nothing. Without it an existing file goes on as it was, and a new journal blanks personal elements in
    what comes from another machine. What a client gives back is never blanked, because it is what is edited and sent.

    Raises ``BadInput`` for a file that cannot keep a journal, and for one that another journal is using.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        keep_bodies: int = KEEP_BODIES,
        redact: bool | Iterable[str] | Redaction | None = None,
    ) -> None:
        self._ours = isinstance(redact, Redaction)  # then what looks like its placeholders is
        self._redaction = redact if isinstance(redact, Redaction) else Redaction(_paths(redact))
        self._only_live = redact is None
        self._current: dict[str, str | None] = {}
        self._room, self._lean = keep_bodies, 0
        self._shelf: Shelf = InMemory() if path is None else self._open(Path(path), given=redact is not None)
        self._watchers: list[Callable[[], object]] = []
        self._turn = threading.Lock()

    def _open(self, path: Path, *, given: bool) -> InFile:
        shelf = InFile(path)
        try:
            rule = shelf.rule()
            if rule is not None and not given:
                self._redaction, self._only_live = Redaction(rule.paths), not rule.everywhere
            shelf.redact(self._rule())
            self._redaction.resume(*shelf.placeholders())
        except BaseException:
            shelf.close()
            raise
        self._current = shelf.current
        self._room -= shelf.kept
        self._lean = shelf.lean
        return shelf

    def _rule(self) -> Rule:
        return Rule(self._redaction.paths, everywhere=not self._only_live)

    def append(self, exchange: Exchange, *, live: bool = False) -> int:
        """Record an exchange, redacted; its ``seq``. Takes the same time however long the journal is.

        ``live``: it comes from another machine, even if its URL does not say so (a proxy's ``localhost``).
        """
        with self._turn:  # one value, one placeholder, whoever comes first
            exchange = self._redacted(exchange, live=live)
            seq = self._append(exchange, told(exchange))
        for watcher in tuple(self._watchers):
            try:
                watcher()
            except Exception:  # noqa: BLE001  # the exchange has happened; whoever watches must not undo that
                _log.exception("a watcher of the journal failed")
        return seq

    def redacted(self, exchange: Exchange, *, live: bool = False) -> Exchange:
        """The exchange as ``append`` would keep it; nothing is recorded."""
        with self._turn:
            return self._redacted(exchange, live=live)

    def _redacted(self, exchange: Exchange, *, live: bool) -> Exchange:
        if self._only_live and not live and not _is_live(exchange.request.url):
            return exchange
        return self._redaction.exchange(exchange, foreign=not self._ours)

    def _append(self, exchange: Exchange, said: Told) -> int:
        kept = self._fitting(exchange)
        seq = len(self._shelf) + 1
        self._shelf.append(kept, row(seq, exchange, self._move(exchange), said), self._redaction.unkept)
        self._redaction.unkept.clear()
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
        for start in range(0, stop, _BATCH):
            with self._turn:
                batch = self._shelf.exchanges(start, min(start + _BATCH, stop))
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
            return [Row._make(each).transition() for batch in self._shelf.rows(start) for each in batch]

    def transitions(self) -> pd.DataFrame:
        """How each ETag moved: one row an exchange, in order.

        Columns: ``seq`` (from 1), ``time`` (UTC), ``client``, ``interaction``, ``resource`` (``Type/id``),
        ``if_match`` as sent, ``status``, ``etag_before`` and ``etag_after`` as far as this journal knows,
        ``verdict``, ``spine_code`` and ``diagnostics`` of the OperationOutcome, ``ms``.
        """
        with self._turn:
            return frame(self._shelf.rows(0))

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

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the journal as JSON Lines: what it redacts, then an exchange a line; ``load`` reads it back the same.

        Raises ``BadInput`` where there is a file already, unless ``overwrite``.
        """
        if isinstance(self._shelf, InFile) and Path(path).resolve() == self._shelf.path.resolve():
            raise BadInput(f"{path} is where this journal is kept already; save it under another name.")
        with open_private(path, overwrite=overwrite) as file:
            with self._turn:
                stop = len(self._shelf)
                first = {"journal": _FORMAT, "redaction": self._rule().as_json(), "last": self._redaction.highest}
            file.write(json.dumps(first) + "\n")
            for start in range(0, stop, _BATCH):
                with self._turn:
                    lines = self._shelf.lines(start, min(start + _BATCH, stop))
                file.writelines(f"{line}\n" for line in lines)

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Read a saved journal, or open the file of one that has a path; go on with it, redacting as it did.

        Raises ``BadInput`` that names the line that cannot be read.
        """
        path = Path(path)
        if not path.is_file():
            raise BadInput(f"There is no journal {path}.")
        if is_database(path):
            return cls(path)
        with path.open("rb") as file:
            lines = _lines(file, path)
            rule, last = _first(next(lines, b""), path)
            journal = cls(redact=rule.paths)
            journal._only_live = not rule.everywhere
            journal._redaction.reserve(f"redacted-{last}")
            for number, line in enumerate(lines, 2):
                if b"redacted-" in line:  # lines may have been added by hand
                    journal._redaction.reserve(line.decode(errors="replace"))
                try:
                    journal._append(*from_line(line))  # exactly what was saved
                except BadInput:
                    raise BadInput(f"Line {number} of {path} is not an exchange that save() wrote.") from None
        return journal

    def diagram(self, *, start: int | None = None, last: int = 30, resource: str | None = None) -> Diagram:
        """A sequence diagram of the last ``last`` exchanges, in the order in which they ended.

        With ``start`` it begins at the exchange of that number and shows at most ``last``; with ``resource``
        (``Type/id``) it shows only what was about that one. What it leaves out, it says.
        """
        from workbench.journal import diagram as diagrams

        return diagrams.draw_sequence(tuple(self), start=start, last=last, resource=resource)

    def timeline(self, *, resource: str | None = None, last: int = 200) -> Timeline:
        """How the ETag moved, and who did what to which version: a lane a client, a mark an exchange."""
        from workbench.journal import diagram as diagrams

        moves = [(each.etag_before, each.etag_after) for each in self.rows()]
        return diagrams.draw_timeline(tuple(self)[: len(moves)], moves, last=last, resource=resource)

    def to_har(self) -> dict[str, Any]:
        """Every exchange as an HTTP Archive (HAR 1.2), as browsers and proxies read it."""
        from workbench.journal import export as exports

        return exports.har(self)

    def to_csv(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the transitions as CSV for a spreadsheet.

        A text that a spreadsheet would run as a formula gets an apostrophe in front; ``save()`` changes nothing.
        Raises ``BadInput`` where there is a file already, unless ``overwrite``.
        """
        from workbench.journal import export as exports

        exports.write_csv(path, Transition._fields, self.rows(), overwrite=overwrite)

    def export(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the journal as the suffix says: ``.har``, ``.csv``, ``.jsonl``, or ``.svg`` for the diagram.

        The file is readable by its owner only. Raises ``BadInput`` for any other suffix, and where there is a file
        already, unless ``overwrite``.
        """
        check_writable(Path(path), overwrite=overwrite)  # before the work, rather than after it
        match Path(path).suffix.lower():
            case ".har":
                write_private(path, json.dumps(self.to_har(), indent=2), overwrite=overwrite)
            case ".csv":
                self.to_csv(path, overwrite=overwrite)
            case ".jsonl":
                self.save(path, overwrite=overwrite)
            case ".svg":
                write_private(path, self.diagram().svg, overwrite=overwrite)
            case _:
                raise BadInput(f"{path} does not say what to write; end its name in .har, .csv, .jsonl or .svg.")

    def __repr__(self) -> str:
        lean = f", of {self._lean} without their bodies" if self._lean else ""
        return f"<Journal of {len(self)} exchanges{lean}>"


def _paths(redact: bool | Iterable[str] | None) -> Iterable[str]:
    if isinstance(redact, str):
        raise BadInput(f"redact= takes a list of paths, so write [{redact!r}].")
    if redact is None or isinstance(redact, bool):
        return () if redact is False else PERSONAL
    return redact


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The lines of a file, none longer than can be held."""
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            raise BadInput(f"Line {number} of {path} is longer than {MOST_BYTES // 2**20} MiB.")
        yield line


def _first(line: bytes, path: Path) -> tuple[Rule, int]:
    """What the first line of a saved journal says: what it redacts, and the number of its last placeholder."""
    try:
        found = json.parse(line)
        written, last = found["journal"], found["last"]
        rule = Rule.from_json(found["redaction"])
    except (BadInput, KeyError, TypeError):
        raise BadInput(f"Line 1 of {path} does not begin a journal that save() wrote.") from None
    if written != _FORMAT:
        raise BadInput(f"{path} was saved by another version of spine-workbench.")
    if type(last) is not int or not 0 <= last < _MOST_PLACEHOLDERS:
        raise BadInput(f"Line 1 of {path} does not begin a journal that save() wrote.")
    return rule, last


_is_live = lru_cache(maxsize=1024)(is_live)
"""The same URLs come again and again."""


@lru_cache(maxsize=1024)
def _etag(value: str | None) -> str | None:
    """An ETag as it is written, ``None`` for what is none; every version is met several times."""
    tag = ETag.read(value)
    return str(tag) if tag else None


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
