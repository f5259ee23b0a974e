"""The workbench: load a resource, edit its JSON, see the request, send it, read what became of it.

Owns the wiring. The controls and their places are ``Panel``'s, what is loaded and would be sent is ``Desk``'s,
HTML is ``markup``'s.
Every control is an attribute, so that a notebook or a test drives it as a person would:

    bench = Workbench(client)
    bench.load("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    bench.editor.value = bench.editor.value.replace("adjustments", "adjustments, reviewed")
    bench.send()
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from workbench.client.client import Client
from workbench.client.unanswered import Resolution
from workbench.errors import MalformedJSON, WorkbenchError
from workbench.exchange.message import Exchange
from workbench.exchange.text import request_text
from workbench.fhir import json
from workbench.fhir.merge import Merge
from workbench.journal.journal import Transition
from workbench.widgets import html as markup
from workbench.widgets.draft import Desk, Guard
from workbench.widgets.editor import Diagnostic, utf16_offset
from workbench.widgets.panel import SEQUENCE_TAB, Panel
from workbench.widgets.table import Row
from workbench.widgets.writes import WriteSwitch

_TONES: Final = {verdict.value: tone for verdict, tone in markup.TONES.items()}


class Workbench(Panel):
    """The workbench on one client. It shows what every client of the same journal does, too.

    ``resource_type``, ``logical_id``, ``editor``, ``guard``, ``older``, ``typed``, ``prefer`` are the
    controls; ``load``, ``search`` and ``send`` do what the buttons do, and return the exchange. Sending to a live
    endpoint needs ``writes.switch`` besides its connection's ``allow_writes``. On a live endpoint none of the content
    is part of the widget's state, so a notebook saved with the state of its widgets does not hold it.
    """

    def __init__(self, client: Client, resource_type: str = "List", logical_id: str = "") -> None:
        """Open a workbench; ``resource_type`` and ``logical_id`` are typed into its fields, and nothing is sent yet."""
        self.client = client
        self.desk = Desk(client)
        self._merged = ""
        self._tabulating = threading.Lock()
        host = urlsplit(client.base_url).netloc
        # Where the connection forbids writing, a switch would promise what it cannot keep.
        self.writes = WriteSwitch(host, needed=not client.is_local and client.connection.allow_writes)
        super().__init__(self.writes, private=not client.is_local)
        self._badge.value = markup.badge(local=client.is_local, embedded=client.embedded, host=host)
        self.resource_type.value, self.logical_id.value = resource_type, logical_id
        self._wire()
        self._show_version()
        self._refresh()
        self._show_new_rows()

    def load(self, resource_type: str | None = None, logical_id: str | None = None) -> Exchange | None:
        """Read a resource and put it into the editor; without arguments the one typed in the fields.

        ``None`` where nothing could be sent; the notice says why. What is in the editor stays unless the
        resource was read.
        """
        if resource_type is not None:
            self.resource_type.value = resource_type
        if logical_id is not None:
            self.logical_id.value = logical_id
        self._ask_before_loading(ask=False)
        exchange = self._try(lambda: self.desk.load(self.resource_type.value, self.logical_id.value))
        if exchange is not None:
            if self.desk.loaded is exchange:
                self.resolver.hide()
                self.guard.value = Guard.LOADED
                self.editor.value = self.desk.text
            self._show(exchange)
        return exchange

    def search(self) -> Exchange | None:
        """Search the type typed, and offer what is found to pick from."""
        exchange = self._try(lambda: self.client.search(self.resource_type.value.strip()))
        if exchange is None:
            return None
        found = [(_summary(each), each["id"]) for each in _found(exchange) if isinstance(each.get("id"), str)]
        self.found.options = [(f"{len(found)} found: pick one", ""), *found]
        self.found.layout.display = "" if found else "none"
        self._show(exchange)
        return exchange

    def send(self) -> Exchange | None:
        """PUT what is in the editor, as the request says; ``None`` where nothing could be sent."""
        self.send_button.disabled = True
        exchange = self._try(self._put)
        if exchange is not None:
            if exchange.ok:
                self.resolver.hide()
            self._show(exchange)
        self._refresh()
        return exchange

    def compare(self) -> Merge | None:
        """Read again and compare with what is in the editor; the merged text takes its place there.

        ``None`` where that could not be done; the editor then keeps its text.
        """
        found: list[Merge | None] = [None]

        def reload() -> Exchange:
            exchange, found[0] = self.desk.compare(self.editor.value)
            return exchange

        exchange = self._try(reload)
        if exchange is not None:
            self.guard.value = Guard.LOADED
            if found[0] is not None:
                self.resolver.show(found[0])
                self._show_merged(found[0])
            self._show(exchange)
        return found[0]

    def find_out(self) -> Resolution | None:
        """Find out what became of the update that was not answered; the notice says it. Nothing is written.

        ``None`` where there is no such update.
        """
        found: list[Resolution] = []
        sent = self.desk.unanswered

        def ask() -> Exchange | None:
            found.append(self.desk.find_out())
            return found[0].read

        read = self._try(ask)
        if read is not None:
            self._show(read)
        if not found:
            return None
        if found[0].landed:
            self.resolver.hide()
            self._refresh()
        self._notice.value = markup.resolution(found[0], locked=sent is not None and sent.if_match is not None)
        return found[0]

    def export(self) -> None:
        """Write the journal to the file named, as its ending says; the outcome stands below the button."""
        self.exporter.write()

    def close(self) -> None:
        """Stop following the journal, and remove the widget from the page."""
        self._stop_watching()
        super().close()

    def __repr__(self) -> str:
        return f"Workbench({self.client.name})"

    def _wire(self) -> None:
        self.load_button.on_click(lambda _: self._load_if_agreed())
        self.search_button.on_click(lambda _: self.search())
        self.send_button.on_click(lambda _: self.send())
        self.compare_button.on_click(lambda _: self.compare())
        self.find_out_button.on_click(lambda _: self.find_out())
        self.rebuild_button.on_click(lambda _: self._rebuild())
        self.resolver.on_change(self._show_merged)
        self._discard.on_click(lambda _: self.load())
        self._keep.on_click(lambda _: self._ask_before_loading(ask=False))
        self.editor.on_submit(lambda _: None if self.send_button.disabled else self.send())
        self.found.observe(self._picked, "value")
        for control in (self.editor, self.guard, self.older, self.typed, self.prefer):
            control.observe(lambda _: self._refresh(), "value")
        self.table.on_select(lambda index: self._show_raw(self.client.journal[index]))
        self.tabs.observe(lambda _: self._show_sequence(), "selected_index")
        self.exporter.journal = lambda: self.client.journal
        self._stop_watching = self.client.journal.watch(self._show_new_rows)

    def _put(self) -> Exchange:
        self.writes.check()
        return self.desk.send(self.editor.value, self._if_match(), self.prefer.value)

    def _show_merged(self, merge: Merge) -> None:
        """The merged text, live in the editor; what was there before can be had back by undoing."""
        self._merged = json.dumps(merge.draft(), indent=2)
        self.editor.value = self._merged
        self._refresh()

    def _rebuild(self) -> None:
        if self.resolver.merge is not None:
            self._show_merged(self.resolver.merge)

    def _try(self, action: Callable[[], Exchange | None]) -> Exchange | None:
        """Do it; an error the user can mend becomes the notice, never a traceback."""
        try:
            exchange = action()
        except WorkbenchError as error:
            self._notice.value = markup.notice(str(error))
            return None
        self._notice.value = ""
        return exchange

    def _load_if_agreed(self) -> None:
        edited = self.editor.value not in ("", self.desk.text)
        try:
            edited = edited and bool(self.desk.changes(self.desk.resource(self.editor.value)))
        except WorkbenchError:
            edited = True  # what cannot be read may still be somebody's work
        if edited:
            self._ask_before_loading(ask=True)
        else:
            self.load()

    def _ask_before_loading(self, *, ask: bool) -> None:
        self._question.layout.display = "" if ask else "none"
        text = "The editor holds changes that were not sent; loading replaces them." if ask else ""
        self._notice.value = markup.notice(text)

    def _picked(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self.logical_id.value = change["new"]

    def _if_match(self) -> str | None:
        return self.desk.if_match(self.guard.value, older=self.older.value, typed=self.typed.value)

    def _refresh(self) -> None:
        """Everything that follows from the text and the choices: diagnostics, changes, the request, Send."""
        self.older.layout.display = "" if self.guard.value is Guard.OLDER else "none"
        self.typed.layout.display = "" if self.guard.value is Guard.TYPED else "none"
        found: list[Diagnostic] = []
        try:
            resource = self.desk.resource(self.editor.value)
            self._changes.value = markup.changes(self.desk.changes(resource))
            request = self.desk.preview(resource, self._if_match(), self.prefer.value)
        except WorkbenchError as error:
            found = [_diagnostic(self.editor.value, error)] if isinstance(error, MalformedJSON) else []
            if found:
                self._changes.value = markup.notice(
                    "What changed can be listed once the text is JSON again.", "neutral"
                )
            empty = "" if self.editor.value.strip() else "Load a resource to see the request."
            self._request.value = markup.notice(
                empty or f"This cannot be sent: {error}", "neutral" if empty else "warn"
            )
            self.send_button.disabled = True
        else:
            self._request.value = markup.message(request_text(request))
            self.send_button.disabled = False
        self.editor.diagnostics = found  # assigned even if the same: it is stamped with the text it belongs to
        self._refresh_merge()

    def _refresh_merge(self) -> None:
        """What is said of a conflict: that there is one, what is left to decide, or that the text went its own way."""
        merge = self.resolver.merge
        by_hand = merge is not None and self.editor.value != self._merged
        self._unanswered.layout.display = "" if self.desk.unanswered is not None else "none"
        self._stale.layout.display = "" if self.desk.stale else "none"
        self._by_hand.layout.display = "" if by_hand else "none"
        self.resolver.freeze(frozen=by_hand)
        self.send_button.description = "Send PUT" if merge is None else "Send merged"
        if merge is not None and merge.conflicts and not by_hand:
            self.send_button.disabled = True

    def _show(self, exchange: Exchange) -> None:
        """The exchange that just took place: its answer, its messages, the version now held."""
        # Another client may have been recorded since, so not simply the journal's last.
        row = self.client.journal.rows(self.client.last_seq - 1)[0]
        self._answer.value = markup.answer(exchange, row.etag_before, row.etag_after)
        self._show_raw(exchange)
        self._show_version()
        self._show_sequence()
        older = self.desk.older_etags()
        if older != list(self.older.options):
            chosen = self.older.value
            self.older.options = older
            self.older.value = chosen if chosen in older else next(iter(older), None)
        self._refresh()

    def _show_version(self) -> None:
        name = "/".join(self.desk.name) if self.desk.name else ""
        self._chip.value = markup.version_chip(name, self.desk.etag, self.desk.last_modified, stale=self.desk.stale)

    def _show_raw(self, exchange: Exchange) -> None:
        self._raw.value = markup.message(exchange.as_http())

    def _show_sequence(self) -> None:
        """Draw the diagram, but only while somebody looks at it."""
        if self.tabs.selected_index == SEQUENCE_TAB:
            self._sequence.value = markup.picture(self.client.journal.diagram())

    def _show_new_rows(self) -> None:
        with self._tabulating:  # journals are appended to from any thread
            self.table.append([_row(row) for row in self.client.journal.rows(len(self.table))])


def _found(exchange: Exchange) -> list[dict[str, Any]]:
    """The resources of the type asked for in a searchset; other servers put outcomes and nulls among them."""
    bundle = exchange.resource
    entries = bundle.get("entry") if exchange.ok and isinstance(bundle, dict) else None
    listed = entries if isinstance(entries, list) else []
    resources = [entry.get("resource") for entry in listed if isinstance(entry, dict)]
    return [each for each in resources if isinstance(each, dict) and each.get("resourceType") == exchange.resource_type]


def _row(transition: Transition) -> Row:
    row = transition._asdict() | {"time": transition.time.strftime("%H:%M:%S"), "_tone": _TONES[transition.verdict]}
    return {name: value for name, value in row.items() if value is not None}


def _diagnostic(text: str, error: MalformedJSON) -> Diagnostic:
    start = utf16_offset(text, error.position)
    end = utf16_offset(text, min(error.position + 1, len(text)))
    return {"from": start, "to": max(end, start), "severity": "error", "message": str(error)}


def _summary(resource: dict[str, Any]) -> str:
    """A line to recognise a resource by: its title or code, and its id."""
    code = resource.get("code")
    texts = (resource.get("title"), code.get("text") if isinstance(code, dict) else None, resource.get("reason"))
    title = next((text for text in texts if isinstance(text, str)), resource.get("resourceType", ""))
    return f"{title} ({resource.get('id', '')})"
