"""The switch that allows writing to a live host for some minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import ipywidgets as widgets

from workbench.errors import WriteNotAllowed
from workbench.widgets import html

MINUTES: Final = 10
"""How long the write switch stays on."""


def run_later(seconds: float, action: Callable[[], object]) -> None:
    """Run the action after this many seconds, in a thread that does not keep the kernel alive."""
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
