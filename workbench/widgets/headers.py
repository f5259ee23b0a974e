"""Rows for further request headers: a name, a value, and a button that removes the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ipywidgets as widgets

from workbench.errors import BadInput
from workbench.widgets.private import PrivateText


class Headers(widgets.VBox):
    """The further headers of a request. ``fields()`` returns them, and ``fill`` replaces them.

    Their texts are never part of the widget's state, as somebody may type a credential.
    """

    def __init__(self) -> None:
        self._rows: list[_Row] = []
        self._on_change: Callable[[], object] = lambda: None
        self.add_button = widgets.Button(description="Add a header", layout={"width": "auto"})
        super().__init__([self.add_button])
        self.add_button.on_click(lambda _: self.add())

    def add(self, name: str = "", value: str = "") -> None:
        """Add a row at the end."""
        row = _Row(name, value)
        row.remove_button.on_click(lambda _: self._remove(row))
        for field in (row.name, row.content):
            field.observe(lambda _: self._on_change(), "value")
        self._show([*self._rows, row])
        self._on_change()

    def fill(self, fields: Mapping[str, str]) -> None:
        """Replace all rows by these fields."""
        self._show([])
        for name, value in fields.items():
            self.add(name, value)
        self._on_change()

    def fields(self) -> dict[str, str]:
        """Return the fields; raise ``BadInput`` for a value without a name, and for a name that is there twice.

        An empty row counts as no header.
        """
        fields: dict[str, str] = {}
        for row in self._rows:
            name, value = row.name.value.strip(), row.content.value.strip()
            if not name and not value:
                continue
            if not name:
                raise BadInput(f"The header with the value {value!r} has no name. Type one.")
            if name.lower() in map(str.lower, fields):
                raise BadInput(f"The header {name} is there twice. Remove one.")
            fields[name] = value
        return fields

    def on_change(self, callback: Callable[[], object]) -> None:
        """Call ``callback()`` whenever a row is changed, added or removed."""
        self._on_change = callback

    def __repr__(self) -> str:
        return "Headers()"

    def _remove(self, row: _Row) -> None:
        self._show([each for each in self._rows if each is not row])
        self._on_change()

    def _show(self, rows: list[_Row]) -> None:
        self._rows = rows
        self.children = (*rows, self.add_button)


class _Row(widgets.HBox):
    def __init__(self, name: str, value: str) -> None:
        self.name = PrivateText(name, description="Header", placeholder="name", layout={"width": "160px"})
        self.content = PrivateText(value, description="Value", placeholder="value", layout={"width": "180px"})
        self.remove_button = widgets.Button(
            description="Remove", tooltip="Remove this header", layout={"width": "auto"}
        )
        super().__init__([self.name, self.content, self.remove_button])
        self.add_class("swb-bar")
