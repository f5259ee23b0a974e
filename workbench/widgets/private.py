"""Widgets whose content is not part of their state, so a saved notebook does not contain it.

JupyterLab and nbconvert can save the state of every widget with a notebook. On a live endpoint that state would
contain a person's record. These widgets send their content to the page in messages, which are not saved. They look
and behave like the ``ipywidgets`` of the same name. ``Widgets`` makes either kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets
import traitlets

_STATIC: Final = Path(__file__).parent / "static"


class _Private(anywidget.AnyWidget):
    """Send ``_content`` to a page that asks for it, and to every page when it changes."""

    _esm = _STATIC / "private.js"

    shape = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    continuous_update = traitlets.Bool(default_value=True).tag(sync=True)
    disabled = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._comes_from_browser = False
        super().__init__(**traits)
        self.on_msg(self._receive)

    def _content(self) -> dict[str, Any]:
        raise NotImplementedError

    def _send_content(self, _change: object = None) -> None:
        """Send the content; but not a value from the page, whose user may have typed more since."""
        if self._comes_from_browser:
            self._comes_from_browser = False  # a value that another observer assigns now is sent
            return
        self.send({"kind": "content", **self._content()})

    def _receive(self, _widget: object, message: dict[str, object], _buffers: object) -> None:
        match message:
            case {"kind": "want"}:
                self._send_content()
            case {"kind": "value" | "index" as kind}:
                self._comes_from_browser = True
                try:
                    self._take(message.get(kind))
                finally:
                    self._comes_from_browser = False  # an equal value calls no observer

    def _take(self, chosen: object) -> None:
        """Accept what the user typed or selected; ignore a message that does not fit."""


class PrivateHTML(_Private):
    """HTML that is shown but not saved."""

    value = traitlets.Unicode()

    def __init__(self, value: str = "", **traits: Any) -> None:
        super().__init__(value=value, shape="html", **traits)
        self.observe(self._send_content, "value")

    def _content(self) -> dict[str, Any]:
        return {"html": self.value}


class PrivateText(_Private):
    """A line of text that is not saved."""

    value = traitlets.Unicode()

    def __init__(self, value: str = "", **traits: Any) -> None:
        super().__init__(value=value, shape="text", **traits)
        self.observe(self._send_content, "value")

    def _content(self) -> dict[str, Any]:
        return {"value": self.value}

    def _take(self, chosen: object) -> None:
        if isinstance(chosen, str):
            self.value = chosen


class PrivateDropdown(_Private):
    """A choice whose options are not saved. ``options`` are pairs of label and value."""

    options: traitlets.List[tuple[str, Any]] = traitlets.List()
    value = traitlets.Any(allow_none=True)

    def __init__(self, options: Iterable[tuple[str, Any]] = (), **traits: Any) -> None:
        super().__init__(options=list(options), shape="dropdown", **traits)
        self.observe(self._choose_first, "options")
        self.observe(self._send_content, "value")

    def _choose_first(self, _change: object) -> None:
        with self.hold_trait_notifications():
            self.value = self.options[0][1] if self.options else None
        self._send_content()

    def _content(self) -> dict[str, Any]:
        values = [value for _, value in self.options]
        index = values.index(self.value) if self.value in values else -1
        return {"labels": [label for label, _ in self.options], "index": index}

    def _take(self, chosen: object) -> None:
        if isinstance(chosen, int) and 0 <= chosen < len(self.options):
            self.value = self.options[chosen][1]


class Widgets:
    """Make the widgets for content: private ones, or those of ``ipywidgets`` if the content may be saved."""

    def __init__(self, *, private: bool) -> None:
        self.private = private

    def html(self, value: str = "", **traits: Any) -> ipywidgets.HTML | PrivateHTML:
        """Return a widget that shows HTML."""
        return PrivateHTML(value, **traits) if self.private else ipywidgets.HTML(value, **traits)

    def text(
        self, value: str = "", *, style: dict[str, str] | None = None, **traits: Any
    ) -> ipywidgets.Text | PrivateText:
        """Return a widget for a line of text. ``style`` is only for ``ipywidgets``; a private label fits its text."""
        if self.private:
            return PrivateText(value, **traits)
        return ipywidgets.Text(value=value, style=style or {}, **traits)

    def dropdown(self, *, style: dict[str, str] | None = None, **traits: Any) -> ipywidgets.Dropdown | PrivateDropdown:
        """Return a widget to choose one of several; ``style`` as for ``text``."""
        if self.private:
            return PrivateDropdown(**traits)
        return ipywidgets.Dropdown(style=style or {}, **traits)
