"""The workbench: load a resource, edit its JSON, see the request, send it, read what became of it.

Owns the layout and the wiring. What is loaded and what would be sent is ``Desk``'s; HTML is ``markup``'s.
Every control is an attribute, so that a notebook or a test drives it as a person would:

    bench = Workbench(client)
    bench.load("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    bench.editor.value = bench.editor.value.replace("adjustments", "adjustments, reviewed")
    bench.send()
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import ipywidgets as widgets

from workbench.client import Client
from workbench.endpoint.capability import TYPES
from workbench.exceptions import MalformedJSON, WorkbenchError
from workbench.journal import Transition
from workbench.rules.exchange import Exchange
from workbench.rules.verdict import Verdict
from workbench.rules.wire import request_text
from workbench.ui import markup
from workbench.ui.desk import PREFERENCES, Desk, Guard
from workbench.ui.editor import Diagnostic, JsonEditor, utf16_offset
from workbench.ui.table import Column, LiveTable, Row

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
_TONES: Final = {verdict.value: tone for verdict, tone in markup.TONES.items()}


class Workbench(widgets.VBox):
    """The workbench on one client. It shows what every client of the same journal does, too.

    ``resource_type``, ``logical_id``, ``editor``, ``guard``, ``older``, ``typed``, ``prefer`` are the
    controls; ``load``, ``search`` and ``send`` do what the buttons do, and return the exchange.
    """

    def __init__(self, client: Client, resource_type: str = "List", logical_id: str = "") -> None:
        """Open a workbench; ``resource_type`` and ``logical_id`` are typed into its fields, and nothing is sent yet."""
        self.client = client
        self.desk = Desk(client)
        self._make_controls()
        self.resource_type.value, self.logical_id.value = resource_type, logical_id
        self._make_output()
        super().__init__(self._layout())
        self.add_class("swb")
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
        exchange = self._try(lambda: self.desk.load(self.resource_type.value, self.logical_id.value))
        self._ask_before_loading(ask=False)
        if exchange is not None:
            if exchange.verdict is Verdict.READ:
                self.guard.value = Guard.LOADED
                self.editor.value = self.desk.text
            self._show(exchange)
        return exchange

    def search(self) -> Exchange | None:
        """Search the type typed, and offer what is found to pick from."""
        exchange = self._try(lambda: self.client.search(self.resource_type.value.strip()))
        if exchange is None:
            return None
        bundle = exchange.resource
        entries = bundle.get("entry", []) if exchange.ok and isinstance(bundle, dict) else []
        found = [(_summary(entry["resource"]), entry["resource"]["id"]) for entry in entries]
        self.found.options = [(f"{len(found)} found: pick one", ""), *found]
        self.found.layout.display = "" if found else "none"
        self._show(exchange)
        return exchange

    def send(self) -> Exchange | None:
        """PUT what is in the editor, as the request says; ``None`` where nothing could be sent."""
        self.send_button.disabled = True
        exchange = self._try(
            lambda: self.desk.send(self.editor.value, self._if_match(), self.prefer.value),
        )
        if exchange is not None:
            self._show(exchange)
        self._refresh()
        return exchange

    def close(self) -> None:
        """Stop following the journal, and remove the widget from the page."""
        self._stop_watching()
        super().close()

    def __repr__(self) -> str:
        return f"Workbench({self.client.name})"

    def _make_controls(self) -> None:
        narrow = {"description_width": "initial"}
        self.resource_type = widgets.Combobox(
            options=TYPES, description="Type", layout={"width": "170px"}, style=narrow
        )
        self.logical_id = widgets.Text(
            description="Id", placeholder="id of the resource", layout={"width": "350px"}, style=narrow
        )
        self.search_button = widgets.Button(description="Search", tooltip="List the resources of this type")
        self.load_button = widgets.Button(
            description="Load", button_style="primary", tooltip="Read this resource into the editor"
        )
        self.found = widgets.Dropdown(layout={"width": "350px", "display": "none"}, style=narrow, description="Found")
        self.editor = JsonEditor(label="JSON of the resource", height="24rem")
        self.guard = widgets.RadioButtons(
            options=[(guard.value, guard) for guard in Guard], description="If-Match", layout={"width": "max-content"}
        )
        self.older = widgets.Dropdown(description="Older", layout={"width": "300px", "display": "none"})
        self.typed = widgets.Text(
            description="Value", placeholder='W/"…"', layout={"width": "300px", "display": "none"}
        )
        self.prefer = widgets.Dropdown(options=PREFERENCES, description="Prefer", layout={"width": "300px"})
        self.send_button = widgets.Button(
            description="Send PUT", button_style="primary", tooltip="Send the request above (Ctrl-Enter in the editor)"
        )
        for button in (self.search_button, self.load_button, self.send_button):
            button.layout.width = "auto"

    def _make_output(self) -> None:
        self._badge, self._chip, self._notice = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._changes, self._request, self._answer = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._raw = widgets.HTML(markup.message("Choose a row of the transitions to see its request and answer."))
        self.table = LiveTable(_COLUMNS, label="Transitions", empty="No exchange yet: load a resource.", height="17rem")
        self._discard = widgets.Button(description="Load and discard my changes", button_style="warning")
        self._keep = widgets.Button(description="Keep editing")
        for button in (self._discard, self._keep):
            button.layout.width = "auto"
        self._question = widgets.HBox([self._discard, self._keep], layout={"display": "none"})
        host = urlsplit(self.client.base_url).netloc
        self._badge.value = markup.badge(local=self.client.is_local, embedded=self.client.embedded, host=host)

    def _layout(self) -> list[widgets.Widget]:
        where = [self._badge, self.resource_type, self.logical_id, self.load_button, self.search_button, self.found]
        bar, chip = widgets.HBox(where), widgets.HBox([self._chip])
        changed = widgets.HTML(markup.heading("Changed since loading"))
        changed.add_class("swb-spaced")
        edit = _card("Resource", self.editor, changed, self._changes)
        choice = widgets.HBox([self.guard, widgets.VBox([self.older, self.typed, self.prefer])])
        send = _card("Request", choice, self._request, widgets.HBox([self.send_button]), self._answer)
        for box in (bar, chip, choice):
            box.add_class("swb-bar")
        self._changes.add_class("swb-scroll")
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
        tabs = widgets.Tab([self.table, self._raw], titles=["Transitions", "HTTP"])
        style = widgets.HTML(markup.style(), layout={"display": "none"})
        return [style, bar, chip, self._notice, self._question, columns, tabs]

    def _wire(self) -> None:
        self.load_button.on_click(lambda _: self._load_if_agreed())
        self.search_button.on_click(lambda _: self.search())
        self.send_button.on_click(lambda _: self.send())
        self._discard.on_click(lambda _: self.load())
        self._keep.on_click(lambda _: self._ask_before_loading(ask=False))
        self.editor.on_submit(lambda _: None if self.send_button.disabled else self.send())
        self.found.observe(self._picked, "value")
        for control in (self.editor, self.guard, self.older, self.typed, self.prefer):
            control.observe(lambda _: self._refresh(), "value")
        self.table.on_select(lambda index: self._show_raw(self.client.journal[index]))
        self._stop_watching = self.client.journal.watch(self._show_new_rows)

    def _try(self, action: Any) -> Exchange | None:
        """Do it; an error the user can mend becomes the notice, never a traceback."""
        try:
            exchange: Exchange = action()
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
        if ask:
            self._notice.value = markup.notice("The editor holds changes that were not sent; loading replaces them.")

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
        if self.editor.diagnostics != found:
            self.editor.diagnostics = found

    def _show(self, exchange: Exchange) -> None:
        """The exchange that just took place: its answer, its messages, the version now held."""
        seq = len(self.client.journal)
        row = self.client.journal.rows(seq - 1)[0]
        self._answer.value = markup.answer(exchange, row.etag_before, row.etag_after)
        self._show_raw(exchange)
        self._show_version()
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

    def _show_new_rows(self) -> None:
        self.table.append([_row(row) for row in self.client.journal.rows(len(self.table))])


def _card(title: str, *children: widgets.Widget) -> widgets.VBox:
    card = widgets.VBox([widgets.HTML(markup.heading(title)), *children])
    card.add_class("swb-card")
    return card


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
