"""A JSON editor for notebooks: CodeMirror 6 in the browser, one string in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypedDict

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"

Diagnostic = TypedDict(
    "Diagnostic",
    {
        "from": int,
        "to": int,
        "severity": Literal["error", "warning", "info"],
        "message": str,
    },
)
"""A problem to mark in the text; offsets are in UTF-16 code units (see `utf16_offset`)."""


def utf16_offset(text: str, offset: int) -> int:
    """Convert an offset in a Python string to the browser's count of UTF-16 code units.

    Python counts code points. JavaScript counts a character beyond the basic plane (an emoji, some Chinese
    characters) as two.
    """
    if text.isascii():
        return offset
    return offset + sum(character > "\uffff" for character in text[:offset])


def _presentable(text: str) -> str:
    """Return the text with characters that the browser and UTF-8 can carry unchanged.

    Every line ends with a bare newline, so that offsets are the same on both sides. A lone surrogate has no UTF-8
    form, so it becomes a question mark, which keeps every offset.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode("utf-8")


def _document_as_sent(_document: dict[str, Any], editor: JsonEditor) -> dict[str, Any]:
    """Return the current text, not the text that Python set last.

    The trait changes only when Python replaces the text. A page that opens later (a reload, a second window) also
    reads the trait, and must get what was typed since. The page of a private editor asks for the text instead.
    """
    return {"text": "", "revision": -1, "edit": ""} if editor.private else editor._identified_text()


def _diagnostics_as_sent(diagnostics: dict[str, Any], editor: JsonEditor) -> dict[str, Any]:
    return _NO_DIAGNOSTICS if editor.private else diagnostics


_NO_DIAGNOSTICS: Final[dict[str, Any]] = {"revision": -1, "edit": "", "items": []}


class JsonEditor(anywidget.AnyWidget):
    """An editor for one JSON text.

    `value` is the text in the kernel: observe it to follow the typing, assign it to replace the text in every view.
    It is not a synced trait, for two reasons. ipywidgets may delay a synced trait, so that a click on a button
    arrives first. It would also send each keystroke back to the page that typed it. Typed text comes in a message
    of its own, which arrives before the click.

    `revision` and `edit` identify a text. `revision` counts how often Python replaced it; `edit` names the browser
    message that brought it, and is empty for a text from Python. Text that was typed into an older revision is
    dropped.

    A `private` editor sends its text only in messages. So the text is not part of the widget's state, which can be
    saved with a notebook.
    """

    _esm = _STATIC / "editor.js"
    _css = _STATIC / "editor.css"

    value = traitlets.Unicode()
    document = traitlets.Dict().tag(sync=True, to_json=_document_as_sent)
    label = traitlets.Unicode("JSON text").tag(sync=True)
    height = traitlets.Unicode("26rem").tag(sync=True)
    read_only = traitlets.Bool(default_value=False).tag(sync=True)
    language = traitlets.Enum(["json", "http"], default_value="json").tag(sync=True)
    private = traitlets.Bool(default_value=False).tag(sync=True)
    _diagnostics: traitlets.Dict[str, Any] = traitlets.Dict({"revision": 0, "edit": "", "items": []}).tag(
        sync=True, to_json=_diagnostics_as_sent
    )

    def __init__(self, value: str = "", **kwargs: Any) -> None:
        """Create an editor with the text `value`; keywords set the traits of the same name."""
        self._revision = 0
        self._edit = ""
        self._comes_from_browser = False
        self._submit_callbacks: list[Callable[[JsonEditor], object]] = []
        super().__init__(value=value, **kwargs)
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"JsonEditor({len(self.value)} characters)"

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The problems last assigned.

        They belong to the text in `value` at the time of the assignment. A page whose user has typed more since
        does not draw them.
        """
        items: list[Diagnostic] = self._diagnostics["items"]
        return list(items)

    @diagnostics.setter
    def diagnostics(self, items: Sequence[Diagnostic]) -> None:
        self._diagnostics = {**self._text_id(), "items": [dict(item) for item in items]}
        if self.private:
            self._send_diagnostics()

    def on_submit(self, callback: Callable[[JsonEditor], object]) -> None:
        """Call `callback(editor)` on Ctrl-Enter (Cmd-Enter), with `value` up to date."""
        self._submit_callbacks.append(callback)

    def _text_id(self) -> dict[str, Any]:
        return {"revision": self._revision, "edit": self._edit}

    def _identified_text(self) -> dict[str, Any]:
        return {"text": self.value, **self._text_id()}

    @traitlets.validate("value")
    def _clean_value(self, proposal: dict[str, Any]) -> str:
        return _presentable(proposal["value"])

    @traitlets.observe("value")
    def _value_changed(self, _change: object) -> None:
        # This observer runs first and clears the flag, so that an assignment of `value` by a later observer
        # counts as one from Python.
        if self._comes_from_browser:
            self._comes_from_browser = False
            return
        self._revision += 1
        self._edit = ""
        if self.private:
            self._send_text()
        else:
            self.document = {"text": self.value, "revision": self._revision}

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "text", "text": str(text), "revision": int(revision), "edit": str(edit)}:
                if revision == self._revision:
                    self._take(text, edit)
            case {"kind": "want"}:
                self._send_text()
                if self.private:
                    self._send_diagnostics()
            case {"kind": "submit"}:
                for callback in self._submit_callbacks:
                    callback(self)

    def _send_text(self) -> None:
        self.send({"kind": "text", **self._identified_text()})

    def _send_diagnostics(self) -> None:
        self.send({"kind": "diagnostics", **self._diagnostics})

    def _take(self, text: str, edit: str) -> None:
        """Accept a typed text, and notify other pages, which then fetch it."""
        self._edit = edit
        self.send({"kind": "edited", **self._text_id()})
        self._comes_from_browser = True
        try:
            self.value = text
        finally:
            self._comes_from_browser = False  # an equal text calls no observer
