"""The workbench widget: load a resource, edit its JSON, see the request, send it, and read the result.

``Draft`` holds the state, ``html`` makes the HTML; this module has the controls, their layout and their wiring.
Every control is an attribute, so a notebook or a test can use it as a person does:

    bench = Workbench(client)
    bench.load("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    bench.editor.value = bench.editor.value.replace("adjustments", "adjustments, reviewed")
    bench.send()
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

import ipywidgets as widgets

from workbench.client.client import Client
from workbench.client.threads import HAS_THREADS
from workbench.client.unanswered import Resolution
from workbench.endpoint.request import TYPES
from workbench.errors import BadInput, MalformedJSON, WorkbenchError
from workbench.exchange.message import Exchange
from workbench.exchange.text import request_text
from workbench.exchange.verdict import TONES, Verdict
from workbench.fhir import json
from workbench.fhir.merge import Kind, Merge
from workbench.journal.journal import Transition
from workbench.journal.redaction import PLACEHOLDER
from workbench.widgets import html
from workbench.widgets.draft import PREFERENCES, Draft, Guard, Method, Outgoing
from workbench.widgets.editor import Diagnostic, JsonEditor, utf16_offset
from workbench.widgets.export import Export
from workbench.widgets.frame import Frame
from workbench.widgets.headers import Headers
from workbench.widgets.merge import MergeView
from workbench.widgets.messages import Messages
from workbench.widgets.private import PrivateText, Widgets
from workbench.widgets.table import Column, LiveTable, Row
from workbench.widgets.writes import WriteSwitch

_COLUMNS: Final[list[Column]] = [
    {"key": "seq", "title": "seq", "align": "right", "width": 56},
    {"key": "client", "title": "client", "width": 84},
    {"key": "interaction", "title": "interaction", "width": 104},
    {"key": "if_match", "title": "If-Match", "width": 152, "mono": True},
    {"key": "etag_after", "title": "ETag after", "width": 152, "mono": True},
    {"key": "status", "title": "status", "align": "right", "width": 72},
    {"key": "verdict", "title": "verdict", "width": 108},
    {"key": "resource", "title": "resource", "width": 160, "mono": True, "short": True, "more": True},
    {"key": "time", "title": "time", "width": 80, "more": True},
    {"key": "etag_before", "title": "ETag before", "width": 152, "mono": True, "more": True},
    {"key": "spine_code", "title": "Spine code", "width": 225, "more": True},
    {"key": "diagnostics", "title": "diagnostics", "width": 420, "more": True},
    {"key": "ms", "title": "ms", "align": "right", "width": 75, "more": True},
]
_SEQUENCE_TAB: Final = 1
_MESSAGES_TAB: Final = 2
_METHODS: Final = {"PUT: update": Method.UPDATE, "POST: create": Method.CREATE, "DELETE": Method.DELETE}
_TONES: Final = {verdict.value: tone for verdict, tone in TONES.items()}
_STALE: Final = "This resource changed after you loaded it. Your text is kept. Reload, compare, and send again."
_NOT_CURRENT: Final = "The version that you loaded is the current one. Send that version as If-Match."
_UNANSWERED: Final = "Your update got no answer, so it may or may not have been carried out. Your text is kept."
_BY_HAND: Final = "You have edited the merged text. It is sent as it is; the choices above no longer change it."

_LONGEST_DRAFT: Final = 2_000_000
"""Characters of the longest text that the browser is asked to keep. It keeps about five million for a whole site."""

_STORY: Final = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
"""The resource that every embedded endpoint starts with."""

_T = TypeVar("_T")


class Workbench(widgets.VBox):
    """The workbench of one client. Its table shows every exchange of the client's journal, also of other clients.

    ``resource_type``, ``logical_id``, ``editor``, ``guard``, ``older``, ``typed`` and ``prefer`` are the controls.
    ``load``, ``search`` and ``send`` do what the buttons do, and return the exchange when the answer is there. The
    buttons send from another thread, so that the kernel is free meanwhile, and ``cancel`` ends the wait. Sending to a
    live endpoint needs ``writes.switch`` as well as the connection's ``allow_writes``. On a live endpoint the content
    is not part of the widget's state, so a notebook that is saved with widget state does not contain it.
    """

    def __init__(self, client: Client, resource_type: str = "List", logical_id: str = "") -> None:
        """Open a workbench with ``resource_type`` and ``logical_id`` in its fields.

        On the embedded endpoint it opens loaded: with this resource or, without an id, with the story's List.
        To any other endpoint nothing is sent yet.
        """
        self.client = client
        self.draft = Draft(client)
        self._merged_text = self._request_text = ""
        self._edited = False
        self._sent: Exchange | None = None  # the last update, until another resource is loaded
        self._task: asyncio.Task[None] | None = None
        self._table_lock = threading.Lock()
        self._host = urlsplit(client.base_url).netloc
        # Where the connection forbids writing, the switch could allow nothing, so it is not shown.
        self.writes = WriteSwitch(self._host, needed=not client.is_local and client.connection.allow_writes)
        self._widgets = Widgets(private=not client.is_local)
        self._make_controls()
        self._make_output()
        super().__init__(self._layout())
        self.add_class("swb")
        self._badge.value = html.badge(local=client.is_local, embedded=client.embedded, host=self._host)
        if client.embedded and not logical_id and resource_type == _STORY[0]:
            logical_id = _STORY[1]
        self.resource_type.value, self.logical_id.value = resource_type, logical_id
        self._wire()
        self._show_new_rows()
        self._refresh()
        if client.embedded and logical_id:
            self.load()

    def load(self, resource_type: str | None = None, logical_id: str | None = None) -> Exchange | None:
        """Read a resource into the editor; without arguments, the one named in the fields.

        Returns ``None`` if nothing was sent; the notice says why. If the read fails, the editor keeps its text.
        """
        if resource_type is not None:
            self.resource_type.value = resource_type
        if logical_id is not None:
            self.logical_id.value = logical_id
        return self._do(self._load_request())

    def search(self) -> Exchange | None:
        """Search for resources of the type in the field, and list them under *Found*."""
        return self._do(self._search_request())

    def send(self) -> Exchange | None:
        """PUT the text of the editor with the headers chosen; return ``None`` if nothing was sent."""
        return self._do(self._send_request())

    def compare(self) -> Merge | None:
        """Read the resource again, merge it with the text, and put the merged text into the editor.

        Returns ``None`` if the resource could not be read; the editor then keeps its text.
        """
        compared = self._do(self._compare_request())
        return compared[1] if compared else None

    def find_out(self) -> Resolution | None:
        """Read the resource to decide whether the unanswered update was carried out; the notice shows the result.

        Writes nothing. Returns ``None`` if no update is unanswered.
        """
        return self._do(self._find_out_request())

    def cancel(self) -> None:
        """End the request that a button has sent. An update that is cancelled may have been carried out."""
        self.client.cancel()

    def let_colleague_change_it(self) -> Exchange | None:
        """Let another client of the embedded endpoint change the resource that is loaded, for a real conflict."""
        return self._do(self._colleague_request())

    def export(self) -> None:
        """Write the journal to the file named in the Export tab; the outcome appears below the buttons."""
        self.exporter.write()

    def close(self) -> None:
        """Stop watching the journal, and remove the widget from the page."""
        self._stop_watching()
        super().close()

    def __repr__(self) -> str:
        return f"Workbench({self.client.name})"

    # Controls and layout

    def _make_controls(self) -> None:
        narrow = {"description_width": "initial"}
        self.frame = Frame(opens=True)
        self.resource_type = widgets.Combobox(
            options=TYPES, description="Type", layout={"width": "150px"}, style=narrow
        )
        # Its text travels in a message, and so before the click on Load that follows it; see editor.JsonEditor.
        self.logical_id = PrivateText(description="Id", placeholder="id of the resource", layout={"width": "310px"})
        self.load_button = _button("Load", "", "Read this resource into the editor")
        self.search_button = _button("Search", "", "List the resources of this type")
        self.found = self._widgets.dropdown(
            layout={"width": "350px", "display": "none"}, style=narrow, description="Found"
        )
        self.colleague_button = _button(
            "Let a colleague change it", "", "Another client changes this resource now, so your version is out of date"
        )
        self.newer_button = _button("Compare with it", "warning", "Read the new version and merge your text")
        self.editor = JsonEditor(label="JSON of the resource", height="24rem", private=self._widgets.private)
        self.guard = widgets.RadioButtons(
            options=[(guard.value, guard) for guard in Guard], description="If-Match", layout={"width": "max-content"}
        )
        self.older = widgets.Dropdown(description="Older", layout={"width": "240px"}, style=narrow)
        self.history_button = _button(
            "List the versions", "", "Read the history of the resource, if the endpoint has it"
        )
        self.typed = widgets.Text(description="Value", placeholder='W/"…"', layout={"width": "240px"}, style=narrow)
        self.prefer = widgets.Dropdown(
            options=PREFERENCES, description="Prefer", layout={"width": "240px"}, style=narrow
        )
        self.method = widgets.Dropdown(
            options=list(_METHODS.items()), description="Method", layout={"width": "240px"}, style=narrow
        )
        self.headers = Headers()
        self.request_button = widgets.ToggleButton(
            description="Show the request", tooltip="The request exactly as it is sent", layout={"width": "auto"}
        )
        self.whole_button = _button(
            "Show all of the request", "", "The request with its whole body, to search (Ctrl-F)"
        )
        self.send_button = _button("Send PUT", "primary", "Send the request (Ctrl-Enter in the editor)")
        self.cancel_button = _button("Cancel", "warning", "Do not wait for the answer")
        self.compare_button = _button("Reload and compare", "warning", "Read the resource again and merge your text")
        self.use_current_button = _button("Use the current version", "warning", "Send the loaded version as If-Match")
        self.find_out_button = _button("Find out", "warning", "Read the resource and compare; nothing is written")
        self.rebuild_button = _button("Rebuild from the choices", "", "Replace the text with the merge as chosen above")
        self._discard_button = _button("Load and discard my changes", "warning", "")
        self._keep_button = _button("Keep editing", "", "")

    def _make_output(self) -> None:
        new_html = self._widgets.html
        self._badge, self._chip, self._notice = widgets.HTML(), new_html(), new_html()
        self._steps, self._line = widgets.HTML(), new_html()
        self._changes, self._request, self._answer, self._advice = new_html(), new_html(), new_html(), new_html()
        self._question = widgets.HBox([self._discard_button, self._keep_button])
        self._by_hand = widgets.HBox([widgets.HTML(html.notice(_BY_HAND)), self.rebuild_button])
        self.merge_view = MergeView()
        empty = "No exchange yet: load a resource."
        self.table = LiveTable(_COLUMNS, label="Transitions", empty=empty, height="17rem", tools=True)
        self._sequence = new_html()
        self._whole_request = JsonEditor(
            label="Whole request", height="20rem", language="http", read_only=True, private=self._widgets.private
        )
        self._whole_place = widgets.VBox()  # empty until it is asked for, so that a page opens with fewer editors
        self.messages = Messages(self.frame, self._send_again, private=self._widgets.private)
        self.exporter = Export()

    def _layout(self) -> list[widgets.Widget]:
        where = widgets.HBox(
            [self._badge, self.resource_type, self.logical_id, self.load_button, self.search_button, self.found]
        )
        version = widgets.HBox([self._steps, self._chip, self.newer_button, self.colleague_button])
        choices = widgets.HBox(
            [
                self.guard,
                widgets.VBox([self.method, self.prefer, self.older, self.history_button, self.typed]),
            ]
        )
        actions = widgets.HBox([self.compare_button, self.use_current_button, self.find_out_button])
        send_bar = widgets.HBox([self.send_button, self.cancel_button, self._line])
        where.add_class("swb-enter-loads")
        self.load_button.add_class("swb-area-load")
        for bar in (where, version, choices, actions, send_bar, self._question, self._by_hand):
            bar.add_class("swb-bar")
        send_bar.add_class("swb-send")
        self.send_button.add_class("swb-area-send")
        actions.add_class("swb-area-actions")
        self._question.add_class("swb-area-question")
        self.editor.add_class("swb-area-editor")
        self._request.add_class("swb-area-request")
        self.request_button.add_class("swb-request-fold")
        request = widgets.VBox([self.request_button, self._request, self.whole_button, self._whole_place])
        self.merge_view.add_class("swb-area-merge")

        changes_heading = widgets.HTML(html.heading("Changed since loading"))
        changes_heading.add_class("swb-spaced")
        self._changes.add_class("swb-scroll")
        edit = _card("Resource", self.editor, changes_heading, self._changes)
        edit.add_class("swb-edit")
        answer = widgets.VBox([self._answer, self._advice, actions])
        answer.add_class("swb-area-answer")
        send = _card("Request", choices, self.headers, answer, request)
        columns = widgets.GridBox([edit, send])
        columns.add_class("swb-columns")
        self.tabs = widgets.Tab(
            [self.table, self._sequence, self.messages, self.exporter],
            titles=["Transitions", "Sequence", "HTTP", "Export"],
        )
        notices = [self._notice, self._question, self.merge_view, self._by_hand]
        return [self.frame, where, self.writes, version, *notices, columns, send_bar, self.tabs]

    def _wire(self) -> None:
        for button, request in (
            (self.search_button, self._search_request),
            (self.send_button, self._send_request),
            (self.compare_button, self._compare_request),
            (self.newer_button, self._compare_request),
            (self.find_out_button, self._find_out_request),
            (self._discard_button, self._load_request),
            (self.colleague_button, self._colleague_request),
            (self.history_button, self._history_request),
        ):
            button.on_click(lambda _, request=request: self._begin(request()))
        self.load_button.on_click(lambda _: self._load_or_ask())
        self.cancel_button.on_click(lambda _: self.cancel())
        self.use_current_button.on_click(lambda _: self._use_current())
        self.rebuild_button.on_click(lambda _: self._rebuild())
        self._keep_button.on_click(lambda _: self._keep_editing())
        self.merge_view.on_change(self._show_merged)
        self.editor.on_submit(lambda _: None if self.send_button.disabled else self._begin(self._send_request()))
        self.found.observe(self._picked, "value")
        for control in (self.editor, self.guard, self.older, self.typed, self.method, self.prefer):
            control.observe(lambda _: self._refresh(), "value")
        self.headers.on_change(self._refresh)
        self.request_button.observe(lambda change: self._fold_request(folded=not change["new"]), "value")
        self.whole_button.on_click(lambda _: self._show_whole_request())
        self.table.on_select(self._choose_row)
        self.tabs.observe(lambda _: self._show_tab(), "selected_index")
        self.exporter.journal = lambda: self.client.journal
        self.frame.on_draft(self._restore_draft, self._discard_draft)
        self._ask_to_discard(ask=False)
        _show_if(self.cancel_button, False)
        self._stop_watching = self.client.journal.watch(self._show_new_rows)

    # Requests: each is what it does, the function that sends it, and the function that shows the result.

    def _load_request(self) -> _Request[Exchange]:
        resource_type, logical_id = self.resource_type.value, self.logical_id.value
        return _Request("Loading", lambda: self.draft.load(resource_type, logical_id), self._loaded, replaces_text=True)

    def _loaded(self, exchange: Exchange) -> None:
        self._ask_to_discard(ask=False)
        if self.draft.loaded is exchange:
            self._sent = None
            if self.draft.text != self.editor.value:
                self.frame.forget_draft()
            self.merge_view.hide()
            self.guard.value = Guard.LOADED
            self.editor.value = self.draft.text
        self._show(exchange)

    def _search_request(self) -> _Request[Exchange]:
        resource_type = self.resource_type.value.strip()
        return _Request("Searching", lambda: self.client.search(resource_type), self._searched)

    def _searched(self, exchange: Exchange) -> None:
        found = [(_title(each), each["id"]) for each in _found(exchange) if isinstance(each.get("id"), str)]
        self.found.options = found
        _show_if(self.found, bool(found))
        self._show(exchange)

    def _send_request(self) -> _Request[Exchange]:
        text = self.editor.value

        def send() -> Exchange:
            self.writes.check()
            return self.draft.send(self._outgoing(text))

        return _Request("Sending", send, self._was_sent)

    def _send_again(self, exchange: Exchange) -> None:
        """Send a request of the journal once more. The connection adds its own fields again."""
        request, base = exchange.request, f"{self.client.base_url}/"

        def send() -> Exchange:
            if not request.url.startswith(base) or request.dropped:
                raise BadInput("This request cannot be sent again: it went to another endpoint, or its body is gone.")
            if PLACEHOLDER.search(request_text(request)):
                raise BadInput("This request cannot be sent again: the journal holds placeholders for personal data.")
            if request.method != "GET":
                self.writes.check()
            headers = {name: value for name in _SENT_AGAIN if (value := request.headers.get(name)) is not None}
            return self.client.send(request.method, request.url.removeprefix(base), headers=headers, body=request.body)

        self._begin(_Request("Sending", send, self._show))

    def _was_sent(self, exchange: Exchange) -> None:
        self._sent = exchange
        if exchange.verdict is Verdict.CREATED and exchange.interaction == "create":
            self.logical_id.value = exchange.logical_id
        if exchange.ok:
            self.merge_view.hide()
        self._show(exchange)
        self.frame.focus("send" if exchange.ok else "actions", if_lost=exchange.ok)
        self.frame.reveal("answer")

    def _compare_request(self) -> _Request[tuple[Exchange, Merge | None]]:
        text = self.editor.value
        return _Request("Comparing", lambda: self.draft.compare(text), self._compared, replaces_text=True)

    def _compared(self, compared: tuple[Exchange, Merge | None]) -> None:
        exchange, merge = compared
        self.guard.value = Guard.LOADED
        if merge is not None:
            self._sent = None
            self.merge_view.show(merge)
            self._show_merged(merge)
        self._show(exchange)
        self.frame.focus("merge" if merge is not None and merge.conflicts else "send")

    def _find_out_request(self) -> _Request[Resolution]:
        update = self.draft.unanswered
        locked = update is not None and update.if_match is not None
        return _Request("Finding out", self.draft.find_out, lambda found: self._found_out(found, locked=locked))

    def _found_out(self, found: Resolution, *, locked: bool) -> None:
        if found.read is not None:
            self._show(found.read)
        if found.landed:
            self.merge_view.hide()
            self._refresh()
        self._notice.value = html.resolution(found, locked=locked)
        self.frame.focus("actions" if self.draft.stale else "send")

    def _colleague_request(self) -> _Request[Exchange]:
        def change() -> Exchange:
            if self.draft.name is None:
                raise BadInput("No resource is loaded, so there is nothing that a colleague could change.")
            name = "alice" if self.client.name == "bob" else "bob"
            with closing(self.client.sibling(name, journal=self.client.journal)) as colleague:
                read = colleague.read(*self.draft.name).raise_for_verdict()
                return colleague.update(_changed(read.resource, name))

        return _Request("A colleague changes it", change, lambda _exchange: self._refresh())

    def _history_request(self) -> _Request[Exchange]:
        def read() -> Exchange:
            if self.draft.name is None:
                raise BadInput("No resource is loaded, so there are no versions to list. Load one.")
            return self.client.send("GET", "/".join((*self.draft.name, "_history")), interaction="history-instance")

        return _Request("Reading the history", read, self._history_read)

    def _history_read(self, exchange: Exchange) -> None:
        if exchange.ok:
            self.draft.learn_history(exchange.resource)
        self._show(exchange)

    # What the buttons do

    def _do(self, request: _Request[_T]) -> _T | None:
        """Send the request, show its result, and return it; ``None`` if there is none, and the notice says why."""
        if self._task is not None:
            self._notice.value = html.notice("A request is under way. Wait for its answer, or cancel it.")
            return None
        result = self._try(request.send)
        if result is not None:
            request.show(result)
        self._refresh()
        return result

    def _begin(self, request: _Request[_T]) -> None:
        """Send the request from another thread. Without an event loop, which a script lacks, wait for the answer."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._do(request)
            return
        if self._task is None:
            self._task = loop.create_task(self._run(request))

    async def _run(self, request: _Request[_T]) -> None:
        self._set_under_way(request.doing)
        self.editor.read_only = request.replaces_text  # what is typed meanwhile would be lost
        try:
            result = await asyncio.to_thread(self._try, request.send) if HAS_THREADS else self._try(request.send)
        finally:
            self._task = None
            self.editor.read_only = False
            self._set_under_way(None)
        if result is not None:
            request.show(result)
        self._refresh()

    def _set_under_way(self, doing: str | None) -> None:
        """Show that a request is under way: a line with *Cancel*, the old answer dimmed, other buttons disabled."""
        for button in (
            self.load_button,
            self.search_button,
            self.colleague_button,
            self.compare_button,
            self.newer_button,
            self.use_current_button,
            self.find_out_button,
            self._discard_button,
            self.history_button,
        ):
            button.disabled = doing is not None
        _show_if(self.cancel_button, doing is not None)
        _show_if(self.send_button, doing is None)
        if doing is None:
            self.remove_class("swb-sending")
        else:
            self.add_class("swb-sending")
            self._line.value = html.under_way(doing)
            self.frame.say(doing)

    def _try(self, action: Callable[[], _T]) -> _T | None:
        """Run the action; show an error that the user can correct as a notice, and return ``None``."""
        try:
            result = action()
        except WorkbenchError as error:
            self._notice.value = html.notice(str(error))
            return None
        self._notice.value = ""
        return result

    def _load_or_ask(self) -> None:
        if self.draft.has_changes(self.editor.value):
            self._ask_to_discard(ask=True)
            self.frame.focus("question")
        else:
            self._begin(self._load_request())

    def _keep_editing(self) -> None:
        self._ask_to_discard(ask=False)
        self.frame.focus("editor")

    def _ask_to_discard(self, *, ask: bool) -> None:
        _show_if(self._question, ask)
        text = "The editor has changes that were not sent. Loading replaces them." if ask else ""
        self._notice.value = html.notice(text)

    def _use_current(self) -> None:
        self.guard.value = Guard.LOADED
        self.frame.focus("send")

    def _picked(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self.logical_id.value = change["new"]

    def _rebuild(self) -> None:
        if self.merge_view.merge is not None:
            self._show_merged(self.merge_view.merge)

    def _restore_draft(self, text: str, base: str, etag: str | None) -> None:
        """Put back a text that the browser kept, with the version that it began with."""

        def restore() -> bool:
            self.draft.restore(base, etag)
            return True

        if self._try(restore):
            self.editor.value = text
            self._keep_draft()
            self._refresh()

    def _discard_draft(self) -> None:
        self._begin(self._load_request())

    def _outgoing(self, text: str) -> Outgoing:
        """Return the request that the controls describe; raise ``BadInput`` if there is none."""
        self.merge_view.check(text)
        method = self.method.value
        if_match = None
        if method is not Method.CREATE:
            if_match = self.draft.if_match(self.guard.value, older=self.older.value, typed=self.typed.value)
        resource = self.draft.resource(text, method)
        return self.draft.request(method, resource, if_match, self.prefer.value, self.headers.fields())

    # What is shown

    def _refresh(self) -> None:
        """Update everything that depends on the text and the choices: diagnostics, changes, request, buttons."""
        _show_if(self.older, self.guard.value is Guard.OLDER)
        _show_if(self.typed, self.guard.value is Guard.TYPED)
        _show_if(self.history_button, self.guard.value is Guard.OLDER and not self.client.embedded)
        text = self.editor.value
        diagnostics: list[Diagnostic] = []
        edited, sendable = bool(text.strip()), False  # text that cannot be parsed may be work
        try:
            resource = self.draft.resource(text, self.method.value)
            changes = self.draft.changes(resource)
            self._changes.value = html.changes(changes)
            edited = bool(changes)
            diagnostics = [
                {
                    "from": utf16_offset(text, start),
                    "to": utf16_offset(text, end),
                    "severity": "warning",
                    "message": f"Undecided: choose mine or theirs for {path} above, or write its value here.",
                }
                for path, start, end in self.merge_view.undecided(text)
            ]
            outgoing = self._outgoing(text)
            request = self.draft.preview(outgoing)
        except WorkbenchError as error:
            if not text.strip():
                self._changes.value = ""
                self._request.value = line = html.muted("Load a resource to see the request.")
            else:
                if isinstance(error, MalformedJSON):
                    diagnostics = [_diagnostic(text, error)]
                    self._changes.value = html.notice("The changes cannot be listed: the text is not JSON.", "neutral")
                self._request.value = html.notice(f"This cannot be sent: {error}")
                line = html.muted("The request cannot be sent yet.")
        else:
            sendable = True
            self._request_text = request_text(request)
            self._request.value = html.message(self._request_text, "Request as it is sent")
            lockable = self.method.value is not Method.CREATE
            if_match = request.headers.get("If-Match")
            line = html.what_is_sent(request.method, outgoing.path, if_match, lockable=lockable)
        self._edited = edited
        self._whole_place.children = ()  # it would show an earlier request
        _show_if(self.whole_button, sendable and html.is_cut(self._request_text))
        self.editor.diagnostics = diagnostics  # assigned even if equal: the assignment marks the text they belong to
        self._steps.value = html.steps(
            loaded=self.draft.name is not None, edited=edited, sent=self._sent is not None and self._sent.ok
        )
        self.send_button.disabled = not sendable
        line = self._refresh_merge() or line
        if self._task is None:  # or it says what is under way
            self._line.value = line
        self._show_version()

    def _fold_request(self, *, folded: bool) -> None:
        """Fold the request or show it. Only a narrow page folds it; see the style sheet."""
        (self._request.remove_class if folded else self._request.add_class)("swb-unfolded")
        self.request_button.description = "Show the request" if folded else "Hide the request"

    def _show_whole_request(self) -> None:
        """Show the request with its whole body, until the next change."""
        self._whole_request.value = self._request_text
        self._whole_place.children = (self._whole_request,)
        _show_if(self.whole_button, False)

    def _refresh_merge(self) -> str:
        """Update the merge view. Return how many conflicts are decided while that keeps the merge from being sent."""
        merge = self.merge_view.merge
        by_hand = merge is not None and self.editor.value != self._merged_text
        _show_if(self._by_hand, by_hand)
        self.merge_view.freeze(frozen=by_hand)
        self.send_button.description = f"Send {self.method.value.value}" if merge is None else "Send merged"
        if merge is not None and merge.conflicts and not by_hand:
            self.send_button.disabled = True
            conflicts = sum(decision.kind is Kind.CONFLICT for decision in merge.decisions)
            decided = conflicts - len(merge.conflicts)
            return html.muted(f"{decided} of {conflicts} decided. Decide the others to send.")
        return ""

    def _show_advice(self) -> None:
        """Offer the next action in the answer's card."""
        draft, sent = self.draft, self._sent
        refused = sent is not None and sent.verdict in (Verdict.STALE, Verdict.UNGUARDED)
        late = draft.stale or (refused and draft.newer_etag is not None)
        not_current = refused and not late and draft.etag is not None and self.guard.value is not Guard.LOADED
        _show_if(self.compare_button, late)
        _show_if(self.use_current_button, not_current)
        _show_if(self.find_out_button, draft.unanswered is not None)
        _show_if(self.newer_button, draft.newer_etag is not None and not late)
        answer_says_so = sent is not None and sent.verdict is Verdict.STALE
        advice = (
            _UNANSWERED if draft.unanswered
            else _STALE if late and not answer_says_so
            else _NOT_CURRENT if not_current
            else ""
        )  # fmt: skip
        self._advice.value = html.notice(advice, "warn")

    def _show_merged(self, merge: Merge) -> None:
        """Put the merged text into the editor; *undo* brings the earlier text back."""
        self._merged_text = json.dumps(merge.draft(), indent=2)
        self.editor.value = self._merged_text
        self._refresh()

    def _show(self, exchange: Exchange) -> None:
        """Show the client's last exchange: its answer, its messages, and the version of the draft."""
        # Another client may have added an exchange since, so this is not always the journal's last row.
        row = self.client.journal.rows(self.client.last_seq - 1)[0]
        late = exchange.verdict is Verdict.STALE
        changed_by = self.draft.changed_by(exchange.if_match) if late else ""
        self._answer.value = html.answer(exchange, row.etag_before, row.etag_after, changed_by)
        self.frame.say(html.spoken(exchange, changed_by), urgent=not exchange.ok)
        self.messages.exchange = exchange
        self._show_tab()
        older = self.draft.older_etags()
        if older != list(self.older.options):
            chosen = self.older.value
            self.older.options = older
            self.older.value = chosen if chosen in older else next(iter(older), None)
        self._refresh()
        self._keep_draft()

    def _keep_draft(self) -> None:
        """Tell the page which text and version the draft began with, so that it can keep what is typed."""
        draft = self.draft
        base = draft.text if self._edited else self.editor.value  # which may be laid out differently
        if draft.name is not None and len(base) <= _LONGEST_DRAFT:
            where = "embedded" if self.client.embedded else self.client.base_url
            key = ":".join(("swb-draft", where, self.client.name, *draft.name))
            self.frame.keep_draft(key=key, host=self._host, live=not self.client.is_local, base=base, etag=draft.etag)

    def _show_version(self) -> None:
        draft = self.draft
        newer = draft.stale or draft.newer_etag is not None
        self._chip.value = html.version_chip(draft.name, draft.etag, draft.last_modified, newer=newer)
        _show_if(self.colleague_button, self.client.embedded and draft.name is not None)
        self._show_advice()

    def _choose_row(self, index: int) -> None:
        """Show the HTTP messages of the row that was chosen."""
        self.messages.exchange = self.client.journal[index]
        self.tabs.selected_index = _MESSAGES_TAB
        self._show_tab()

    def _show_tab(self) -> None:
        """Draw the sequence diagram or the messages, but only while their tab is open."""
        if self.tabs.selected_index == _SEQUENCE_TAB:
            self._sequence.value = html.picture(self.client.journal.diagram())
        elif self.tabs.selected_index == _MESSAGES_TAB:
            self.messages.draw()

    def _show_new_rows(self) -> None:
        with self._table_lock:  # any thread may append to the journal
            rows = self.client.journal.rows(len(self.table))
            self.draft.learn(rows)
            self.table.append([_row(row) for row in rows])
        self._show_version()


@dataclass(frozen=True, slots=True)
class _Request(Generic[_T]):
    """A request of a button: what it does, how it is sent, and how its result is shown."""

    doing: str
    send: Callable[[], _T]
    show: Callable[[_T], object]
    replaces_text: bool = False


_SENT_AGAIN: Final = ("If-Match", "If-None-Match", "If-Modified-Since", "Prefer", "Content-Type")
"""The fields of a request that is sent again. The connection adds the others, with new ids and times."""


def _show_if(widget: widgets.Widget, shown: bool) -> None:
    widget.layout.display = None if shown else "none"


def _changed(resource: Any, name: str) -> dict[str, Any]:
    """Return the resource as a colleague would change it: with a remark in its title, or in a text like it."""
    remark = f" (checked by {name.capitalize()})"
    changed: dict[str, Any] = json.parse(json.dumps(resource))
    holders = [(changed, "title"), (changed.get("code"), "text"), (changed, "reason"), (changed, "description")]
    for holder, element in holders:
        if isinstance(holder, dict) and isinstance(holder.get(element), str):
            holder[element] = holder[element].replace(remark, "") + ("" if remark in holder[element] else remark)
            return changed
    raise BadInput("This resource has no title, code.text, reason or description that a colleague could change.")


def _button(description: str, style: str, tooltip: str) -> widgets.Button:
    layout = {"width": "auto"}
    return widgets.Button(description=description, button_style=style, tooltip=tooltip or None, layout=layout)


def _card(title: str, *children: widgets.Widget) -> widgets.VBox:
    card = widgets.VBox([widgets.HTML(html.heading(title)), *children])
    card.add_class("swb-card")
    return card


def _found(exchange: Exchange) -> list[dict[str, Any]]:
    """Return the resources of a searchset that have the type searched for; skip outcomes, nulls and the like."""
    bundle = exchange.resource
    entries = bundle.get("entry") if exchange.ok and isinstance(bundle, dict) else None
    if not isinstance(entries, list):
        return []
    resources = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return [each for each in resources if isinstance(each, dict) and each.get("resourceType") == exchange.resource_type]


def _title(resource: dict[str, Any]) -> str:
    """Return a label for a resource: its title, code or reason, and its id."""
    code = resource.get("code")
    texts = (resource.get("title"), code.get("text") if isinstance(code, dict) else None, resource.get("reason"))
    title = next((text for text in texts if isinstance(text, str)), resource.get("resourceType", ""))
    return f"{title} ({resource.get('id', '')})"


def _row(transition: Transition) -> Row:
    row = transition._asdict() | {"time": transition.time.strftime("%H:%M:%S"), "_tone": _TONES[transition.verdict]}
    return {name: value for name, value in row.items() if value is not None}


def _diagnostic(text: str, error: MalformedJSON) -> Diagnostic:
    start = utf16_offset(text, error.position)
    end = utf16_offset(text, min(error.position + 1, len(text)))
    return {"from": start, "to": max(end, start), "severity": "error", "message": str(error)}
