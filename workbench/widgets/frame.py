"""The frame of a workbench: what needs the browser, and is the same whatever the widget shows.

It keeps the notebook's keys out, moves the focus, announces, keeps the unsent text in the browser, and says when
the kernel has stopped. It is an invisible child of the widget that it serves. The widget has the class ``swb``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_HERE = Path(__file__).parent


class Frame(anywidget.AnyWidget):
    """Serves the widget that it is a child of; it also brings the style sheet of all widgets.

    Texts travel in messages, which are not saved with a notebook.
    """

    _esm = _HERE / "static" / "frame.js"
    _css = _HERE / "workbench.css"

    opens = traitlets.Bool(default_value=False).tag(sync=True)
    """Whether a page scrolls to the widget when it first shows it."""
    opened = traitlets.Bool(default_value=False).tag(sync=True)

    def __init__(self, *, opens: bool = False) -> None:
        self._origin: dict[str, Any] | None = None
        self._restore: Callable[[str, str, str | None], object] = lambda _text, _base, _etag: None
        self._discard: Callable[[], object] = lambda: None
        super().__init__(opens=opens)
        self.on_msg(self._receive)

    def say(self, text: str, *, urgent: bool = False) -> None:
        """Announce a text to screen readers; an urgent one interrupts what they are reading."""
        self.send({"kind": "say", "text": text, "urgent": urgent})

    def focus(self, area: str, *, if_lost: bool = False) -> None:
        """Move the keyboard focus to the first control in the area with the class ``swb-area-<area>``.

        Nothing happens while the user works elsewhere on the page. With ``if_lost`` nothing happens while another
        control of the widget has the focus.
        """
        self.send({"kind": "focus", "area": area, "ifLost": if_lost})

    def reveal(self, area: str) -> None:
        """Scroll the area into view without moving the focus; as with ``focus``, not while the user is elsewhere."""
        self.send({"kind": "reveal", "area": area})

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard of the user who pressed a button just now."""
        self.send({"kind": "copy", "text": text})

    def keep_draft(self, *, key: str, host: str, live: bool, base: str, etag: str | None) -> None:
        """Keep the editor's text in the browser while it differs from ``base``, the text at version ``etag``.

        The text of a ``live`` endpoint is kept only if the user ticks a box.
        """
        self._origin = {"kind": "began", "key": key, "host": host, "live": live, "base": base, "etag": etag}
        self.send(self._origin)

    def forget_draft(self) -> None:
        """Remove the text kept in the browser, because the user discards it."""
        self.send({"kind": "forget"})

    def on_draft(self, restore: Callable[[str, str, str | None], object], discard: Callable[[], object]) -> None:
        """Call ``restore(text, base, etag)`` when a page has a kept text, and ``discard()`` to undo that."""
        self._restore, self._discard = restore, discard

    def __repr__(self) -> str:
        return "Frame()"

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        match content:
            case {"kind": "want"} if self._origin is not None:
                self.send(self._origin)
            case {"kind": "restore", "text": str(text), "base": str(base), "etag": str() | None as etag}:
                self._restore(text, base, etag)
            case {"kind": "discard"}:
                self._discard()
