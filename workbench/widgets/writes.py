"""The switch without which the workbench writes to no live endpoint.

It names the host, is off in every fresh kernel, and turns itself off again. The connection's ``allow_writes`` is the
other half: neither is enough alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import ipywidgets as widgets

from workbench.errors import WriteNotAllowed
from workbench.widgets import html as markup

MINUTES: Final = 10
"""How long the switch stays on."""

Later = Callable[[float, Callable[[], object]], object]
"""Has something done after so many seconds."""


def in_a_while(seconds: float, action: Callable[[], object]) -> None:
    """Do it after so many seconds, in a thread that keeps no kernel alive."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


class WriteSwitch(widgets.HBox):
    """``Write to HOST``: a switch where one is ``needed``, nothing to see where not."""

    def __init__(
        self, host: str, *, needed: bool, clock: Callable[[], float] = time.monotonic, later: Later = in_a_while
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
        self.switch.observe(lambda change: self._switched(on=change["new"]), "value")
        self._say()

    def check(self) -> None:
        """Raise ``WriteNotAllowed`` while the switch is needed and off. Goes by the clock, not by what is drawn."""
        if self.needed and not (self.switch.value and self._clock() < self._until):
            self.switch.value = False
            raise WriteNotAllowed(
                f"Writing is switched off, so nothing was sent; switch on Write to {self.host} first."
            )

    def _switched(self, *, on: bool) -> None:
        if on:
            self._until = self._clock() + MINUTES * 60
            self._later(MINUTES * 60, self._end)
        else:
            self._until = float("-inf")
        self._say()

    def _end(self) -> None:
        # It may have been switched off and on again since: then another end is to come.
        if self._clock() >= self._until:
            self.switch.value = False

    def _say(self) -> None:
        on = self.switch.value
        self.switch.icon = "unlock" if on else "lock"
        words = (
            f"on: PUTs reach {self.host}; turns itself off after {MINUTES} minutes" if on else "off: nothing is written"
        )
        self._state.value = markup.muted(words)
