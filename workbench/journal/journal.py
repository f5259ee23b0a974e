"""The journal: every exchange of its clients, in order, with its tables.

A journal only grows, and any thread may append. Credentials are replaced before an exchange comes here; ``append``
replaces personal data before anything keeps the exchange.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from workbench.errors import BadInput, needs
from workbench.exchange.hosts import is_live
from workbench.exchange.message import Exchange, Response, kept_bytes, size_of
from workbench.exchange.text import decode
from workbench.exchange.verdict import TONES, Verdict, left_open
from workbench.fhir import json, markup
from workbench.fhir.etag import ETag
from workbench.journal import export as files
from workbench.journal.records import OutcomeText, Transition, from_line, outcome_text, to_transition
from workbench.journal.redaction import Redaction, RedactionRule, redacted_paths
from workbench.journal.store import FileStore, MemoryStore, is_database

if TYPE_CHECKING:
    import pandas as pd

    from workbench.journal.diagram import Diagram, Part
    from workbench.journal.timeline import Timeline

_log = logging.getLogger(__name__)

__all__ = ["KEEP_BODIES", "Journal", "Transition"]

KEEP_BODIES: Final = 256 * 2**20
"""Bytes of bodies that a journal keeps by default; of later bodies it keeps size and SHA-256."""

_BATCH: Final = 500
_SHOWN: Final = 20
_KNOWN_AFTER: Final = frozenset({Verdict.READ, Verdict.UPDATED, Verdict.CREATED, Verdict.NOT_MODIFIED})


class Journal:
    """Exchanges in the order in which they ended; ``seq`` counts from 1.

    Without a ``path`` the exchanges are in memory. With a ``path`` they are in that file: memory use does not grow, and
    a killed process loses nothing that was appended. An existing file is continued. Only one journal at a time can
    have a file open.

    ``keep_bodies`` is how many bytes of bodies are kept. Of later bodies the journal keeps size and SHA-256; tables,
    verdicts and consistency checks still work.

    ``redact`` names what is replaced by placeholders before an exchange is kept. Equal values get equal placeholders.

    * A list of element paths (``["Patient.name", "NHS numbers"]``) replaces those.
    * ``True`` replaces personal elements, ``False`` nothing.
    * ``None`` continues an existing file as it was. A new journal replaces personal elements of remote endpoints.

    What a client returns is never redacted, because it is edited and sent.

    Raises ``BadInput`` for a file that is no journal, and for one that another journal has open.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        keep_bodies: int = KEEP_BODIES,
        redact: bool | Iterable[str] | Redaction | None = None,
    ) -> None:
        # A Redaction that is given has made the placeholders in what is appended; other ones are foreign text.
        self._has_own_placeholders = isinstance(redact, Redaction)
        self._redaction = redact if isinstance(redact, Redaction) else Redaction(redacted_paths(redact, live=True))
        self._only_live = redact is None
        self._current: dict[str, str | None] = {}
        self._clients: dict[str, None] = {}  # their names, in the order of their first exchange
        self._body_budget = keep_bodies
        self._without_bodies = 0
        self._store: MemoryStore | FileStore = (
            MemoryStore() if path is None else self._open(Path(path), is_new_rule=redact is not None)
        )
        self._watchers: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def _open(self, path: Path, *, is_new_rule: bool) -> FileStore:
        store = FileStore(path)
        try:
            rule = store.rule()
            if rule is not None and not is_new_rule:
                self._redaction, self._only_live = Redaction(rule.paths), not rule.everywhere
            store.set_rule(self._rule())
            self._redaction.resume(*store.placeholders())
        except BaseException:
            store.close()
            raise
        self._current = store.current
        self._clients = store.clients
        self._body_budget -= store.body_bytes
        self._without_bodies = store.without_bodies
        return store

    def _rule(self) -> RedactionRule:
        return RedactionRule(self._redaction.paths, everywhere=not self._only_live)

    def append(self, exchange: Exchange, *, live: bool = False) -> int:
        """Record an exchange, redacted, and return its ``seq``; the time it takes does not grow with the journal.

        ``live`` says that the endpoint is remote even if its URL is not, as behind a proxy on ``localhost``.
        """
        with self._lock:
            exchange = self._redacted(exchange, live=live)
            seq = self._append(exchange, outcome_text(exchange))
        for watcher in tuple(self._watchers):
            try:
                watcher()
            except Exception:  # noqa: BLE001  # the exchange took place; a failing watcher must not hide that
                _log.exception("a watcher of the journal failed")
        return seq

    def redacted(self, exchange: Exchange, *, live: bool = False) -> Exchange:
        """Return the exchange as ``append`` would keep it; nothing is recorded."""
        with self._lock:
            return self._redacted(exchange, live=live)

    def _redacted(self, exchange: Exchange, *, live: bool) -> Exchange:
        if self._only_live and not live and not is_live(exchange.request.url):
            return exchange
        return self._redaction.exchange(exchange, foreign=not self._has_own_placeholders)

    def _append(self, exchange: Exchange, outcome: OutcomeText) -> int:
        kept = self._within_budget(exchange)
        seq = len(self._store) + 1
        before, after = self._etags(exchange)
        self._store.append(kept, to_transition(seq, exchange, before, after, outcome), self._redaction.unkept)
        self._redaction.unkept.clear()
        self._clients[exchange.client] = None
        return seq

    def _within_budget(self, exchange: Exchange) -> Exchange:
        """Return the exchange with its bodies, or with their digests once the budget is used up."""
        size = kept_bytes(exchange)
        if size <= self._body_budget:
            self._body_budget -= size
            self._without_bodies += not exchange.is_whole
            return exchange
        self._body_budget = 0  # no later body is kept either: the bodies end at one number
        self._without_bodies += 1
        return exchange.without_bodies()

    def _etags(self, exchange: Exchange) -> tuple[str | None, str | None]:
        """Return the resource's ETag before and after the exchange, and remember the one after."""
        name, verdict = exchange.target, exchange.verdict
        if not exchange.logical_id:
            return None, None
        before = self._current.get(name)
        after = before
        if verdict in _KNOWN_AFTER:
            after = str(exchange.etag) if exchange.etag else None
        elif left_open(exchange) or verdict in (Verdict.DELETED, Verdict.NOT_FOUND):
            after = None
        elif verdict is Verdict.STALE and str(ETag.read_bare(exchange.if_match) or exchange.if_match) == before:
            after = None  # the version we took for current is stale, and the current one is unknown
        self._current[name] = after
        return before, after

    def close(self) -> None:
        """Close the file, if there is one; its content stays."""
        with self._lock:
            self._store.close()

    def watch(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call ``callback()`` after each append, in the thread that appends; return a function that ends this."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback) if callback in self._watchers else None

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[Exchange]:
        stop = len(self)
        for start in range(0, stop, _BATCH):
            with self._lock:
                batch = self._store.exchanges(start, min(start + _BATCH, stop))
            yield from batch

    def __getitem__(self, index: int) -> Exchange:
        with self._lock:
            position = index if index >= 0 else len(self._store) + index
            if not 0 <= position < len(self._store):
                raise IndexError(f"There is no exchange {index}; the journal has {len(self._store)}.")
            return self._store.exchanges(position, position + 1)[0]

    def rows(self, start: int = 0) -> list[Transition]:
        """Return the transitions as plain rows, from the exchange at ``start`` (counted from 0) on."""
        with self._lock:
            return self._store.transitions(start)

    def transitions(self) -> pd.DataFrame:
        """Return how each exchange changed its resource's ETag: one row an exchange, in order.

        Columns: ``seq`` (from 1), ``time`` (UTC), ``client``, ``interaction``, ``resource`` (``Type/id``),
        ``if_match`` as sent, ``status``, ``etag_before`` and ``etag_after`` as far as this journal knows,
        ``verdict``, ``spine_code`` and ``diagnostics`` of the OperationOutcome, ``ms``.
        """
        with self._lock:
            return self._store.frame()

    def conflicts(self) -> pd.DataFrame:
        """Return the transitions of the updates that were rejected because their version was stale."""
        frame = self.transitions()
        return frame[frame["verdict"] == Verdict.STALE.value].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return every exchange as a table: method, URL, status, verdict, sizes in bytes, and bodies as text.

        A body that is no longer kept has a size and no text (``None``).
        """
        with needs("tables"):
            import pandas as pd

        exchanges = list(self)
        requests = [exchange.request for exchange in exchanges]
        responses = [exchange.response or Response(0) for exchange in exchanges]
        return pd.DataFrame(
            {
                "seq": range(1, len(exchanges) + 1),
                "time": [exchange.sent_at.astimezone(UTC) for exchange in exchanges],
                "client": [exchange.client for exchange in exchanges],
                "interaction": [exchange.interaction for exchange in exchanges],
                "method": [request.method for request in requests],
                "url": [request.url for request in requests],
                "status": [exchange.status for exchange in exchanges],
                "verdict": [exchange.verdict.value for exchange in exchanges],
                "ms": [None if each.elapsed is None else each.elapsed * 1000 for each in exchanges],
                "sent_bytes": [size_of(request) for request in requests],
                "received_bytes": [size_of(response) for response in responses],
                "sent": [None if request.dropped else decode(request.body) for request in requests],
                "received": [None if response.dropped else decode(response.body) for response in responses],
                "failure": [exchange.failure for exchange in exchanges],
            }
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the journal as JSON Lines: first what it redacts, then one exchange a line. ``load`` reads it back.

        Raises ``BadInput`` if the file exists, unless ``overwrite``.
        """
        if isinstance(self._store, FileStore) and Path(path).resolve() == self._store.path.resolve():
            raise BadInput(f"{path} is where this journal is kept already; save it under another name.")
        with files.open_private(path, overwrite=overwrite) as file:
            with self._lock:
                stop = len(self._store)
                header = files.to_header(self._rule(), self._redaction.highest)
            file.write(header)
            for start in range(0, stop, _BATCH):
                with self._lock:
                    lines = self._store.lines(start, min(start + _BATCH, stop))
                file.writelines(f"{line}\n" for line in lines)

    @classmethod
    def load(cls, path: str | Path) -> Journal:
        """Read a saved journal, or open a journal's own file, and continue it with the same redaction.

        Raises ``BadInput`` with the number of the line that cannot be read.
        """
        path = Path(path)
        if not path.is_file():
            raise BadInput(f"There is no journal {path}.")
        if is_database(path):
            return cls(path)

        lines = files.read_lines(path)
        rule, highest = files.from_header(next(lines, b""), path)
        journal = cls(redact=rule.paths)
        journal._only_live = not rule.everywhere
        journal._redaction.highest = highest
        for number, line in enumerate(lines, 2):
            if b"redacted-" in line:  # lines may have been added by hand
                journal._redaction.reserve(line.decode(errors="replace"))
            try:
                journal._append(*from_line(line))
            except BadInput:
                raise BadInput(f"Line {number} of {path} is not an exchange that save() wrote.") from None
        return journal

    def diagram(
        self,
        *,
        start: int | None = None,
        last: int = 30,
        resource: str | None = None,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> Diagram:
        """Return a sequence diagram of the last ``last`` exchanges, in the order in which they ended.

        With ``start`` it begins at the exchange of that number and shows at most ``last``. With ``resource``
        (``Type/id``) it shows only the exchanges about that resource. Its first line says what it leaves out.
        ``names`` has short names of ETags, such as ``{'W/"1a2b"': "v1"}``, which are written before them.
        Raises ``BadInput`` if ``start`` or ``last`` is less than 1.
        """
        from workbench.journal.diagram import draw_sequence

        with self._lock:
            part = self._part(start, last, resource)
        return draw_sequence(part, names)

    def _part(self, start: int | None, last: int, resource: str | None) -> Part:
        """Read the exchanges that a picture shows, and no others."""
        from workbench.journal.diagram import Part, select

        total = len(self._store)
        numbers = range(1, total + 1) if resource is None else self._store.about(resource)
        shown = [(number, self._store.exchanges(number - 1, number)[0]) for number in select(numbers, start, last)]
        return Part(shown, tuple(self._clients), total, len(numbers), resource)

    def timeline(self, *, resource: str | None = None, last: int = 200) -> Timeline:
        """Return a picture of the last ``last`` exchanges by client, with the versions of their resources above.

        With ``resource`` (``Type/id``) it shows only the exchanges about that resource.
        Raises ``BadInput`` if ``last`` is less than 1.
        """
        from workbench.journal.timeline import draw_timeline

        with self._lock:
            part = self._part(None, last, resource)
            rows = [self._store.transitions(number - 1, number)[0] for number, _ in part.shown]
        return draw_timeline(part, [(row.etag_before, row.etag_after) for row in rows])

    def to_har(self) -> dict[str, Any]:
        """Return every exchange as an HTTP Archive (HAR 1.2), which browsers and proxies read."""
        return files.to_har(self)

    def to_csv(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the transitions as CSV for a spreadsheet.

        A text that a spreadsheet would run as a formula gets an apostrophe in front; ``save()`` changes nothing.
        Raises ``BadInput`` if the file exists, unless ``overwrite``.
        """
        files.write_csv(path, Transition._fields, self.rows(), overwrite=overwrite)

    def export(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the journal in the format of the suffix: ``.har``, ``.csv``, ``.jsonl``, or ``.svg`` for the diagram.

        The file is readable by its owner only. Raises ``BadInput`` for any other suffix, and if the file exists,
        unless ``overwrite``.
        """
        files.check_writable(Path(path), overwrite=overwrite)  # before the work is done
        match Path(path).suffix.lower():
            case ".har":
                files.write_private(path, json.dumps(self.to_har(), indent=2), overwrite=overwrite)
            case ".csv":
                self.to_csv(path, overwrite=overwrite)
            case ".jsonl":
                self.save(path, overwrite=overwrite)
            case ".svg":
                files.write_private(path, self.diagram().svg, overwrite=overwrite)
            case _:
                raise BadInput(f"{path} does not say what to write; end its name in .har, .csv, .jsonl or .svg.")

    def _repr_html_(self) -> str:
        """Return the last exchanges as a table, the newest first."""
        rows = [
            (
                row.seq,
                row.client,
                row.interaction,
                markup.code(row.resource),
                markup.code(row.if_match or ""),
                row.status or "no answer",
                markup.chip(row.verdict, TONES[Verdict(row.verdict)]),
                markup.code(row.etag_after or ""),
            )
            for row in reversed(self.rows(max(0, len(self) - _SHOWN)))
        ]
        head = ("seq", "client", "interaction", "resource", "If-Match", "status", "verdict", "ETag after")
        part = f", the last {_SHOWN}" if len(self) > _SHOWN else ""
        return markup.block("neutral", f"Journal of {len(self):,} exchanges{part}", markup.table(head, rows))

    def __repr__(self) -> str:
        missing = f", of {self._without_bodies} without their bodies" if self._without_bodies else ""
        return f"<Journal of {len(self)} exchanges{missing}>"
