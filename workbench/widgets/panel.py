"""The panel: which controls the workbench has, what each is called, and where it stands.

No behaviour: that is ``Workbench``'s, built on this. Every control is an attribute and has a label.
"""

from __future__ import annotations

from typing import Final

import ipywidgets as widgets

from workbench.endpoint.request import TYPES
from workbench.widgets import html as markup
from workbench.widgets.draft import PREFERENCES, Guard
from workbench.widgets.editor import JsonEditor
from workbench.widgets.export import Export
from workbench.widgets.merge import Resolver
from workbench.widgets.private import Widgets
from workbench.widgets.table import Column, LiveTable

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


SEQUENCE_TAB: Final = 1
"""Which of the tabs shows the sequence diagram."""


class Panel(widgets.VBox):
    """The controls of the workbench, laid out; they do nothing yet."""

    def __init__(self, *above: widgets.Widget, private: bool = False) -> None:
        """``above``: what stands between the first bar and the version held. ``private``: a saved notebook holds none
        of the content.
        """
        self._widgets = Widgets(private=private)
        self._make_controls()
        self._make_output()
        super().__init__(self._layout(above))
        self.add_class("swb")

    def _make_controls(self) -> None:
        narrow = {"description_width": "initial"}
        self.resource_type = widgets.Combobox(
            options=TYPES, description="Type", layout={"width": "170px"}, style=narrow
        )
        self.logical_id = self._widgets.text(
            description="Id", placeholder="id of the resource", layout={"width": "350px"}, style=narrow
        )
        self.search_button = widgets.Button(description="Search", tooltip="List the resources of this type")
        self.load_button = widgets.Button(
            description="Load", button_style="primary", tooltip="Read this resource into the editor"
        )
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
        self.send_button = widgets.Button(
            description="Send PUT", button_style="primary", tooltip="Send the request above (Ctrl-Enter in the editor)"
        )
        self.compare_button = widgets.Button(
            description="Reload and compare", button_style="warning", tooltip="Read again, and merge with your text"
        )
        self.find_out_button = widgets.Button(
            description="Find out", button_style="warning", tooltip="Read the resource and compare; nothing is written"
        )
        self.rebuild_button = widgets.Button(
            description="Rebuild from the choices", tooltip="Replace the text by what the choices come to"
        )
        self.resolver = Resolver(self._widgets)
        asking = (self.compare_button, self.find_out_button, self.rebuild_button)
        for button in (self.search_button, self.load_button, self.send_button, *asking):
            button.layout.width = "auto"

    def _make_output(self) -> None:
        html = self._widgets.html
        self._badge, self._chip, self._notice = widgets.HTML(), html(), html()
        self._stale = widgets.HBox([widgets.HTML(markup.stale_banner()), self.compare_button])
        self._unanswered = widgets.HBox([widgets.HTML(markup.unanswered_banner()), self.find_out_button])
        self._by_hand = widgets.HBox([widgets.HTML(markup.by_hand_banner()), self.rebuild_button])
        self._changes, self._request, self._answer = html(), html(), html()
        self._raw = html(markup.message("Choose a row of the transitions to see its request and answer."))
        self.table = LiveTable(_COLUMNS, label="Transitions", empty="No exchange yet: load a resource.", height="17rem")
        self._sequence = html()
        self.exporter = Export()
        self._discard = widgets.Button(description="Load and discard my changes", button_style="warning")
        self._keep = widgets.Button(description="Keep editing")
        for button in (self._discard, self._keep):
            button.layout.width = "auto"
        self._question = widgets.HBox([self._discard, self._keep], layout={"display": "none"})

    def _layout(self, above: tuple[widgets.Widget, ...]) -> list[widgets.Widget]:
        where = [self._badge, self.resource_type, self.logical_id, self.load_button, self.search_button, self.found]
        bar, chip = widgets.HBox(where), widgets.HBox([self._chip])
        changed = widgets.HTML(markup.heading("Changed since loading"))
        changed.add_class("swb-spaced")
        edit = _card("Resource", self.editor, changed, self._changes)
        choice = widgets.HBox([self.guard, widgets.VBox([self.older, self.typed, self.prefer])])
        send = _card("Request", choice, self._request, widgets.HBox([self.send_button]), self._answer)
        for box in (bar, chip, choice, self._unanswered, self._stale, self._by_hand):
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
        self.tabs = widgets.Tab(
            [self.table, self._sequence, self._raw, self.exporter], titles=["Transitions", "Sequence", "HTTP", "Export"]
        )
        style = widgets.HTML(markup.style(), layout={"display": "none"})
        asked = [self._notice, self._question, self._unanswered, self._stale, self.resolver, self._by_hand]
        return [style, bar, *above, chip, *asked, columns, self.tabs]


def _card(title: str, *children: widgets.Widget) -> widgets.VBox:
    card = widgets.VBox([widgets.HTML(markup.heading(title)), *children])
    card.add_class("swb-card")
    return card
