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
"""A finding to draw under the text: offsets in UTF-16 code units (see `utf16_offset`)."""


def utf16_offset(text: str, offset: int) -> int:
    """Convert an offset in a Python string to the browser's count of UTF-16 code units.

    Python counts code points; JavaScript counts anything beyond the basic plane
    (an emoji, some Chinese characters) as two.
    """
    if text.isascii():
        return offset
    return offset + sum(character > "\uffff" for character in text[:offset])


def _presentable(text: str) -> str:
    """Make a text one that the browser, the wire and UTF-8 can all carry unchanged.

    The editor ends every line with a bare newline, so that offsets mean the same on
    both sides. A lone surrogate has no UTF-8 form: it becomes a question mark, which
    leaves every offset as it was.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode("utf-8")


def _document_as_sent(_document: dict[str, Any], editor: JsonEditor) -> dict[str, Any]:
    """Send the text as it is now, not as Python last set it.

    The trait changes only when Python replaces the text, but a page that opens
    later (a reload, a second window) reads it too and must get what was typed since.
    The page of a private editor asks for it.
    """
    return {"text": "", "revision": -1, "edit": ""} if editor.private else editor._named_text()


def _diagnostics_as_sent(diagnostics: dict[str, Any], editor: JsonEditor) -> dict[str, Any]:
    return _NO_DIAGNOSTICS if editor.private else diagnostics


_NO_DIAGNOSTICS: Final[dict[str, Any]] = {"revision": -1, "edit": "", "items": []}


class JsonEditor(anywidget.AnyWidget):
    """An editor for one JSON text.

    `value` is the text as the kernel knows it: observe it to follow the typing,
    assign it to replace the text in every view. It is deliberately not a synced
    trait. ipywidgets may hold a synced trait back while a button's click overtakes
    it, and it would send each keystroke back to the page that typed it. Typed text
    comes in a message of its own, which keeps its place in front of the click.

    A text is named by `revision` (how often Python replaced it) and `edit` (which
    browser message brought it, empty if none did). What is typed into a text that
    Python has since replaced carries an older revision and is dropped.

    A `private` editor sends its text in messages only, so that it is not part of
    the widget's state, which a notebook can be saved with.
    """

    _esm = _STATIC / "editor.js"
    _css = _STATIC / "editor.css"

    value = traitlets.Unicode()
    document = traitlets.Dict().tag(sync=True, to_json=_document_as_sent)
    label = traitlets.Unicode("JSON text").tag(sync=True)
    height = traitlets.Unicode("26rem").tag(sync=True)
    read_only = traitlets.Bool(default_value=False).tag(sync=True)
    private = traitlets.Bool(default_value=False).tag(sync=True)
    _diagnostics: traitlets.Dict[str, Any] = traitlets.Dict({"revision": 0, "edit": "", "items": []}).tag(
        sync=True, to_json=_diagnostics_as_sent
    )

    def __init__(self, value: str = "", **kwargs: Any) -> None:
        """Open an editor on `value`; keywords set the traits of the same name."""
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
        """The findings last assigned; the browser draws them if they fit its text.

        They are stamped with the text that `value` holds when they are assigned, so
        a page whose user has typed on does not draw them in a wrong place.
        """
        items: list[Diagnostic] = self._diagnostics["items"]
        return list(items)

    @diagnostics.setter
    def diagnostics(self, items: Sequence[Diagnostic]) -> None:
        self._diagnostics = {**self._name(), "items": [dict(item) for item in items]}
        if self.private:
            self._send_diagnostics()

    def on_submit(self, callback: Callable[[JsonEditor], object]) -> None:
        """Call `callback(editor)` on Ctrl-Enter (Cmd-Enter), with `value` up to date."""
        self._submit_callbacks.append(callback)

    def _name(self) -> dict[str, Any]:
        return {"revision": self._revision, "edit": self._edit}

    def _named_text(self) -> dict[str, Any]:
        return {"text": self.value, **self._name()}

    @traitlets.validate("value")
    def _clean_value(self, proposal: dict[str, Any]) -> str:
        return _presentable(proposal["value"])

    @traitlets.observe("value")
    def _value_changed(self, _change: object) -> None:
        # This runs before anybody else's observer, and takes the mark away, so that
        # an observer which assigns `value` in turn counts as Python, as it should.
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
        self.send({"kind": "text", **self._named_text()})

    def _send_diagnostics(self) -> None:
        self.send({"kind": "diagnostics", **self._diagnostics})

    def _take(self, text: str, edit: str) -> None:
        """Accept a typed text, and let other pages know that there is one to fetch."""
        self._edit = edit
        self.send({"kind": "edited", **self._name()})
        self._comes_from_browser = True
        try:
            self.value = text
        finally:
            self._comes_from_browser = False  # an equal text fires no observer
