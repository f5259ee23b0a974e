"""The HTTP messages of one exchange beside each other: readable or as sent, to search, to copy and to send again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import ipywidgets as widgets

from workbench.exchange.message import Exchange
from workbench.exchange.text import as_curl, as_python, request_text, response_text
from workbench.fhir.printable import printable
from workbench.widgets.editor import JsonEditor
from workbench.widgets.frame import Frame

READABLE: Final = "readable"
AS_SENT: Final = "as sent"


class Messages(widgets.VBox):
    """Two read-only editors, so a long message is shown whole and can be searched (Ctrl-F).

    ``exchange`` is what is shown. ``send_again`` is called with it by the button of that name.
    """

    def __init__(self, frame: Frame, send_again: Callable[[Exchange], object], *, private: bool) -> None:
        self.exchange: Exchange | None = None
        self._frame = frame
        self.form = widgets.ToggleButtons(options=[READABLE, AS_SENT], description="Bodies", layout={"width": "auto"})
        self.form.style.button_width = "max-content"
        self.form.style.description_width = "max-content"
        self.copy_button = _button("Copy", "Copy both messages")
        self.curl_button = _button("Copy as curl", "Copy a curl command that sends this request")
        self.python_button = _button("Copy as Python", "Copy Python code that sends this request")
        self.again_button = _button("Send again", "Send the same request once more")
        self.request = JsonEditor(label="Request", height="20rem", language="http", read_only=True, private=private)
        self.response = JsonEditor(label="Response", height="20rem", language="http", read_only=True, private=private)
        bar = widgets.HBox([self.form, self.copy_button, self.curl_button, self.python_button, self.again_button])
        bar.add_class("swb-bar")
        self._pair = widgets.GridBox()  # empty until it is drawn, so that a page opens with fewer editors
        self._pair.add_class("swb-columns")
        super().__init__([bar, self._pair])
        self.form.observe(lambda _: self.draw(), "value")
        self.copy_button.on_click(lambda _: self._copy(Exchange.as_http))
        self.curl_button.on_click(lambda _: self._copy(as_curl))
        self.python_button.on_click(lambda _: self._copy(as_python))
        self.again_button.on_click(lambda _: send_again(self.exchange) if self.exchange else None)
        self._enable()

    def draw(self) -> None:
        """Show the messages of ``exchange``."""
        self._enable()
        self._pair.children = (self.request, self.response)
        exchange = self.exchange
        if exchange is None:
            self.request.value, self.response.value = "Choose a row of Transitions.", ""
            return
        indent = 2 if self.form.value == READABLE else None
        self.request.value = request_text(exchange.request, indent=indent)
        if exchange.response is None:
            self.response.value = f"(no answer: {printable(exchange.failure)})"
        else:
            self.response.value = response_text(exchange.response, indent=indent)

    def _enable(self) -> None:
        for button in (self.copy_button, self.curl_button, self.python_button, self.again_button):
            button.disabled = self.exchange is None

    def _copy(self, form: Callable[[Exchange], str]) -> None:
        if self.exchange is not None:
            self._frame.copy(form(self.exchange))
            self._frame.say("Copied.")


def _button(description: str, tooltip: str) -> widgets.Button:
    return widgets.Button(description=description, tooltip=tooltip, layout={"width": "auto"})
