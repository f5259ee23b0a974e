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
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import ipywidgets as widgets

from workbench.client.client import Client
from workbench.client.threads import HAS_THREADS
from workbench.client.unanswered import Resolution
from workbench.endpoint.request import TYPES
from workbench.errors import MalformedJSON, WorkbenchError, WriteNotAllowed
from workbench.exchange.message import Exchange
from workbench.exchange.text import request_text
from workbench.fhir import json
from workbench.fhir.merge import Merge
from workbench.journal.journal import Transition
from workbench.widgets import html
from workbench.widgets.draft import PREFERENCES, Draft, Guard
from workbench.widgets.editor import Diagnostic, JsonEditor, utf16_offset
from workbench.widgets.export import Export
from workbench.widgets.merge import MergeView
from workbench.widgets.private import Widgets
from workbench.widgets.table import Column, LiveTable, Row

MINUTES: Final = 10
"""How long the write switch stays on."""

_COLUMNS: Final[list[Column]] = [
    {"key": "seq", "title": "seq", "align": "right", "width": 48},
    {"key": "time", "title": "time", "width": 80},
    {"key": "client", "title": "client", "width": 72},
    {"key": "interaction", "title": "interaction", "width": 102},
    {"key": "resource", "title": "resource", "width": 118, "mono": True},
    {"key": "if_match", "title": "If-Match", "width": 150, "mono": True},
    {"key": "status", "title": "status", "align": "right", "width": 68},
    {"key": "etag_before", "title": "ETag before", "width": 150, "mono": True},
    {"key": "etag_after", "title": "ETag after", "width": 150, "mono": True},
    {"key": "verdict", "title": "verdict", "width": 96},
    {"key": "spine_code", "title": "Spine code", "width": 225},
    {"key": "diagnostics", "title": "diagnostics", "width": 420},
    {"key": "ms", "title": "ms", "align": "right", "width": 75},
]
_SEQUENCE_TAB: Final = 1
_TONES: Final = {verdict.value: tone for verdict, tone in html.TONES.items()}
_STALE: Final = "This resource changed after you loaded it. Your text is kept. Reload, compare, and send again."
_UNANSWERED: Final = "Your update got no answer, so it may or may not have been carried out. Your text is kept."
_BY_HAND: Final = "You have edited the merged text. It is sent as it is; the choices above no longer change it."

_T = TypeVar("_T")


def run_later(seconds: float, action: Callable[[], object]) -> None:
    """Run the action after this many seconds, in a thread that does not keep the kernel alive.

    Without threads, the event loop runs it. In Pyodide there is always one.
    """
    if not HAS_THREADS:
        asyncio.get_running_loop().call_later(seconds, action)
        return
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


class WriteSwitch(widgets.HBox):
    """A switch that allows writing to one live host. It is off at first, and switches off after ``MINUTES``.

    The connection's ``allow_writes`` is needed as well. Where the switch is not ``needed``, it is not shown.
    """

    def __init__(
        self,
        host: str,
        *,
        needed: bool,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], object]], object] = run_later,
    ) -> None:
        self.host, self.needed = host, needed
        self._clock, self._later = clock, later
        self._until = float("-inf")
        self.switch = widgets.ToggleButton(
            value=False,
            description=f"Write to {host}",
            icon="lock",
            button_style="danger",
            tooltip=f"Nothing is written to {host} unless this is on",
            layout={"width": "auto"},
        )
        self._state = widgets.HTML()
        super().__init__([self.switch, self._state], layout={"display": "" if needed else "none"})
        self.add_class("swb-bar")
        self.switch.observe(self._switched, "value")
        self._show()

    def check(self) -> None:
        """Raise ``WriteNotAllowed`` if the switch is needed and off. The clock decides, even if it still looks on."""
        if self.needed and not (self.switch.value and self._clock() < self._until):
            self.switch.value = False
            raise WriteNotAllowed(
                f'Writing is switched off, so nothing was sent. Switch on "Write to {self.host}" first.'
            )

    def _switched(self, change: dict[str, Any]) -> None:
        self._until = float("-inf")
        if change["new"]:
            self._until = self._clock() + MINUTES * 60
            self._later(MINUTES * 60, self._time_is_up)
        self._show()

    def _time_is_up(self) -> None:
        if self._clock() >= self._until:  # false if it was switched off and on again since
            self.switch.value = False

    def _show(self) -> None:
        on = self.switch.value
        self.switch.icon = "unlock" if on else "lock"
        self._state.value = html.muted(
            f"on: PUTs reach {self.host}; switches off after {MINUTES} minutes" if on else "off: nothing is written"
        )


class Workbench(widgets.VBox):
    """The workbench of one client. Its table shows every exchange of the client's journal, also of other clients.

    ``resource_type``, ``logical_id``, ``editor``, ``guard``, ``older``, ``typed`` and ``prefer`` are the controls.
    ``load``, ``search`` and ``send`` do what the buttons do, and return the exchange. Sending to a live endpoint
    needs ``writes.switch`` as well as the connection's ``allow_writes``. On a live endpoint the content is not
    part of the widget's state, so a notebook that is saved with widget state does not contain it.
    """

    def __init__(self, client: Client, resource_type: str = "List", logical_id: str = "") -> None:
        """Open a workbench with ``resource_type`` and ``logical_id`` in its fields; nothing is sent yet."""
        self.client = client
        self.draft = Draft(client)
        self._merged_text = ""
        self._table_lock = threading.Lock()
        host = urlsplit(client.base_url).netloc
        # Where the connection forbids writing, the switch could allow nothing, so it is not shown.
        self.writes = WriteSwitch(host, needed=not client.is_local and client.connection.allow_writes)
        self._widgets = Widgets(private=not client.is_local)
        self._make_controls()
        self._make_output()
        super().__init__(self._layout())
        self.add_class("swb")
        self._badge.value = html.badge(local=client.is_local, embedded=client.embedded, host=host)
        self.resource_type.value, self.logical_id.value = resource_type, logical_id
        self._wire()
        self._show_version()
        self._refresh()
        self._show_new_rows()

    def load(self, resource_type: str | None = None, logical_id: str | None = None) -> Exchange | None:
        """Read a resource into the editor; without arguments, the one named in the fields.

        Returns ``None`` if nothing was sent; the notice says why. If the read fails, the editor keeps its text.
        """
        if resource_type is not None:
            self.resource_type.value = resource_type
        if logical_id is not None:
            self.logical_id.value = logical_id
        self._ask_to_discard(ask=False)
        exchange = self._try(lambda: self.draft.load(self.resource_type.value, self.logical_id.value))
        if exchange is not None:
            if self.draft.loaded is exchange:
                self.merge_view.hide()
                self.guard.value = Guard.LOADED
                self.editor.value = self.draft.text
            self._show(exchange)
        return exchange

    def search(self) -> Exchange | None:
        """Search for resources of the type in the field, and list them under *Found*."""
        exchange = self._try(lambda: self.client.search(self.resource_type.value.strip()))
        if exchange is None:
            return None
        found = [(_title(each), each["id"]) for each in _found(exchange) if isinstance(each.get("id"), str)]
        self.found.options = [(f"{len(found)} found: pick one", ""), *found]
        self.found.layout.display = "" if found else "none"
        self._show(exchange)
        return exchange

    def send(self) -> Exchange | None:
        """PUT the text of the editor with the headers chosen; return ``None`` if nothing was sent."""
        self.send_button.disabled = True
        exchange = self._try(self._put)
        if exchange is not None:
            if exchange.ok:
                self.merge_view.hide()
            self._show(exchange)
        self._refresh()
        return exchange

    def compare(self) -> Merge | None:
        """Read the resource again, merge it with the text, and put the merged text into the editor.

        Returns ``None`` if the resource could not be read; the editor then keeps its text.
        """
        compared = self._try(lambda: self.draft.compare(self.editor.value))
        if compared is None:
            return None
        exchange, merge = compared
        self.guard.value = Guard.LOADED
        if merge is not None:
            self.merge_view.show(merge)
            self._show_merged(merge)
        self._show(exchange)
        return merge

    def find_out(self) -> Resolution | None:
        """Read the resource to decide whether the unanswered update was carried out; the notice shows the result.

        Writes nothing. Returns ``None`` if no update is unanswered.
        """
        update = self.draft.unanswered
        found = self._try(self.draft.find_out)
        if found is None or update is None:
            return None
        if found.read is not None:
            self._show(found.read)
        if found.landed:
            self.merge_view.hide()
            self._refresh()
        self._notice.value = html.resolution(found, locked=update.if_match is not None)
        return found

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
        self.resource_type = widgets.Combobox(
            options=TYPES, description="Type", layout={"width": "170px"}, style=narrow
        )
        self.logical_id = self._widgets.text(
            description="Id", placeholder="id of the resource", layout={"width": "350px"}, style=narrow
        )
        self.load_button = _button("Load", "primary", "Read this resource into the editor")
        self.search_button = _button("Search", "", "List the resources of this type")
        self.found = self._widgets.dropdown(
            layout={"width": "350px", "display": "none"}, style=narrow, description="Found"
        )
        self.editor = JsonEditor(label="JSON of the resource", height="24rem", private=self._widgets.private)
        self.guard = widgets.RadioButtons(
            options=[(guard.value, guard) for guard in Guard], description="If-Match", layout={"width": "max-content"}
        )
        self.older = widgets.Dropdown(description="Older", layout={"width": "300px", "display": "none"})
        self.typed = widgets.Text(
            description="Value", placeholder='W/"…"', layout={"width": "300px", "display": "none"}
        )
        self.prefer = widgets.Dropdown(options=PREFERENCES, description="Prefer", layout={"width": "300px"})
        self.send_button = _button("Send PUT", "primary", "Send the request above (Ctrl-Enter in the editor)")
        self.compare_button = _button("Reload and compare", "warning", "Read the resource again and merge your text")
        self.find_out_button = _button("Find out", "warning", "Read the resource and compare; nothing is written")
        self.rebuild_button = _button("Rebuild from the choices", "", "Replace the text with the merge as chosen above")
        self._discard_button = _button("Load and discard my changes", "warning", "")
        self._keep_button = _button("Keep editing", "", "")

    def _make_output(self) -> None:
        new_html = self._widgets.html
        self._badge, self._chip, self._notice = widgets.HTML(), new_html(), new_html()
        self._changes, self._request, self._answer = new_html(), new_html(), new_html()
        self._question = widgets.HBox([self._discard_button, self._keep_button], layout={"display": "none"})
        self._stale = widgets.HBox([widgets.HTML(html.notice(_STALE, "bad")), self.compare_button])
        self._unanswered = widgets.HBox([widgets.HTML(html.notice(_UNANSWERED, "bad")), self.find_out_button])
        self._by_hand = widgets.HBox([widgets.HTML(html.notice(_BY_HAND)), self.rebuild_button])
        self.merge_view = MergeView()
        self.table = LiveTable(_COLUMNS, label="Transitions", empty="No exchange yet: load a resource.", height="17rem")
        self._sequence = new_html()
        self._raw = new_html(html.message("Click a row of Transitions to see its request and its response."))
        self.exporter = Export()

    def _layout(self) -> list[widgets.Widget]:
        style = widgets.HTML(html.style(), layout={"display": "none"})
        where = widgets.HBox(
            [self._badge, self.resource_type, self.logical_id, self.load_button, self.search_button, self.found]
        )
        version = widgets.HBox([self._chip])
        choices = widgets.HBox([self.guard, widgets.VBox([self.older, self.typed, self.prefer])])
        for bar in (where, version, choices, self._unanswered, self._stale, self._by_hand):
            bar.add_class("swb-bar")

        changes_heading = widgets.HTML(html.heading("Changed since loading"))
        changes_heading.add_class("swb-spaced")
        self._changes.add_class("swb-scroll")
        edit = _card("Resource", self.editor, changes_heading, self._changes)
        send = _card("Request", choices, self._request, widgets.HBox([self.send_button]), self._answer)
        edit.layout.grid_area, send.layout.grid_area = "edit", "send"
        columns = widgets.GridBox(
            [edit, send],
            layout={
                "grid_template_columns": "minmax(0, 1fr) minmax(0, 1fr)",
                "grid_template_areas": '"edit send"',
                "grid_gap": "10px",
            },
        )
        columns.add_class("swb-columns")
        self.tabs = widgets.Tab(
            [self.table, self._sequence, self._raw, self.exporter], titles=["Transitions", "Sequence", "HTTP", "Export"]
        )
        notices = [self._notice, self._question, self._unanswered, self._stale, self.merge_view, self._by_hand]
        return [style, where, self.writes, version, *notices, columns, self.tabs]

    def _wire(self) -> None:
        self.load_button.on_click(lambda _: self._load_or_ask())
        self.search_button.on_click(lambda _: self.search())
        self.send_button.on_click(lambda _: self.send())
        self.compare_button.on_click(lambda _: self.compare())
        self.find_out_button.on_click(lambda _: self.find_out())
        self.rebuild_button.on_click(lambda _: self._rebuild())
        self._discard_button.on_click(lambda _: self.load())
        self._keep_button.on_click(lambda _: self._ask_to_discard(ask=False))
        self.merge_view.on_change(self._show_merged)
        self.editor.on_submit(lambda _: None if self.send_button.disabled else self.send())
        self.found.observe(self._picked, "value")
        for control in (self.editor, self.guard, self.older, self.typed, self.prefer):
            control.observe(lambda _: self._refresh(), "value")
        self.table.on_select(lambda index: self._show_messages(self.client.journal[index]))
        self.tabs.observe(lambda _: self._show_sequence(), "selected_index")
        self.exporter.journal = lambda: self.client.journal
        self._stop_watching = self.client.journal.watch(self._show_new_rows)

    # What the buttons do

    def _try(self, action: Callable[[], _T]) -> _T | None:
        """Run the action; show an error that the user can correct as a notice, and return ``None``."""
        try:
            result = action()
        except WorkbenchError as error:
            self._notice.value = html.notice(str(error))
            return None
        self._notice.value = ""
        return result

    def _put(self) -> Exchange:
        self.writes.check()
        self.merge_view.check(self.editor.value)
        return self.draft.send(self.editor.value, self._if_match(), self.prefer.value)

    def _load_or_ask(self) -> None:
        if self.draft.has_changes(self.editor.value):
            self._ask_to_discard(ask=True)
        else:
            self.load()

    def _ask_to_discard(self, *, ask: bool) -> None:
        self._question.layout.display = "" if ask else "none"
        text = "The editor has changes that were not sent. Loading replaces them." if ask else ""
        self._notice.value = html.notice(text)

    def _picked(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self.logical_id.value = change["new"]

    def _rebuild(self) -> None:
        if self.merge_view.merge is not None:
            self._show_merged(self.merge_view.merge)

    def _if_match(self) -> str | None:
        return self.draft.if_match(self.guard.value, older=self.older.value, typed=self.typed.value)

    # What is shown

    def _refresh(self) -> None:
        """Update everything that depends on the text and the choices: diagnostics, changes, request, buttons."""
        self.older.layout.display = "" if self.guard.value is Guard.OLDER else "none"
        self.typed.layout.display = "" if self.guard.value is Guard.TYPED else "none"
        text = self.editor.value
        diagnostics: list[Diagnostic] = []
        try:
            resource = self.draft.resource(text)
            self._changes.value = html.changes(self.draft.changes(resource))
            diagnostics = [
                {
                    "from": utf16_offset(text, start),
                    "to": utf16_offset(text, end),
                    "severity": "warning",
                    "message": f"Undecided: choose mine or theirs for {path} above, or write its value here.",
                }
                for path, start, end in self.merge_view.undecided(text)
            ]
            self.merge_view.check(text)
            request = self.draft.preview(resource, self._if_match(), self.prefer.value)
        except WorkbenchError as error:
            if isinstance(error, MalformedJSON):
                diagnostics = [_diagnostic(text, error)]
                self._changes.value = html.notice("The changes cannot be listed: the text is not JSON.", "neutral")
            if text.strip():
                self._request.value = html.notice(f"This cannot be sent: {error}")
            else:
                self._request.value = html.notice("Load a resource to see the request.", "neutral")
            self.send_button.disabled = True
        else:
            self._request.value = html.message(request_text(request))
            self.send_button.disabled = False
        self.editor.diagnostics = diagnostics  # assigned even if equal: the assignment marks the text they belong to
        self._refresh_merge()

    def _refresh_merge(self) -> None:
        """Update the banners and the merge view. A merge with open conflicts cannot be sent."""
        merge = self.merge_view.merge
        by_hand = merge is not None and self.editor.value != self._merged_text
        self._unanswered.layout.display = "" if self.draft.unanswered is not None else "none"
        self._stale.layout.display = "" if self.draft.stale else "none"
        self._by_hand.layout.display = "" if by_hand else "none"
        self.merge_view.freeze(frozen=by_hand)
        self.send_button.description = "Send PUT" if merge is None else "Send merged"
        if merge is not None and merge.conflicts and not by_hand:
            self.send_button.disabled = True

    def _show_merged(self, merge: Merge) -> None:
        """Put the merged text into the editor; *undo* brings the earlier text back."""
        self._merged_text = json.dumps(merge.draft(), indent=2)
        self.editor.value = self._merged_text
        self._refresh()

    def _show(self, exchange: Exchange) -> None:
        """Show the client's last exchange: its answer, its messages, and the version of the draft."""
        # Another client may have added an exchange since, so this is not always the journal's last row.
        row = self.client.journal.rows(self.client.last_seq - 1)[0]
        self._answer.value = html.answer(exchange, row.etag_before, row.etag_after)
        self._show_messages(exchange)
        self._show_version()
        self._show_sequence()
        older = self.draft.older_etags()
        if older != list(self.older.options):
            chosen = self.older.value
            self.older.options = older
            self.older.value = chosen if chosen in older else next(iter(older), None)
        self._refresh()

    def _show_version(self) -> None:
        draft = self.draft
        self._chip.value = html.version_chip(draft.name, draft.etag, draft.last_modified, stale=draft.stale)

    def _show_messages(self, exchange: Exchange) -> None:
        self._raw.value = html.message(exchange.as_http())

    def _show_sequence(self) -> None:
        """Draw the sequence diagram, but only while its tab is open."""
        if self.tabs.selected_index == _SEQUENCE_TAB:
            self._sequence.value = html.picture(self.client.journal.diagram())

    def _show_new_rows(self) -> None:
        with self._table_lock:  # any thread may append to the journal
            self.table.append([_row(row) for row in self.client.journal.rows(len(self.table))])


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
