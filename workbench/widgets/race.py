"""The race bench: start a race, watch its counts, stop it, and read its result.

    bench = RaceBench()
    bench.strategy.value = "merge"
    bench.run()
    bench.race.survivors

The race runs in a thread of its own, so the notebook stays usable. The bench shows its counts several times a second.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import ipywidgets as widgets

from workbench.endpoint.endpoint import Endpoint
from workbench.endpoint.policy import POLICIES
from workbench.errors import WorkbenchError
from workbench.journal.diagram import Picture
from workbench.races.race import race
from workbench.races.results import Counts, Race
from workbench.races.strategy import STRATEGIES
from workbench.widgets import html
from workbench.widgets.frame import Frame

REFRESH_SECONDS: Final = 0.2
"""Time between two updates of the counts shown."""

_MOST_NAMES: Final = 6
_WIDE: Final = {"description_width": "initial"}

ABOUT: Final = {
    "give-up": "After a 409 the client gives up its update.",
    "reload": "After a 409 the client reads again, makes its change again (which takes as long as before), and sends.",
    "merge": "After a 409 the client reads again and merges, unless another client changed the same element.",
    "blind": "The clients send no If-Match. Spine rejects that with 412; without a lock, the last write wins.",
}
"""What each strategy does when its version is stale."""


class RaceBench(widgets.VBox):
    """Several clients that update one List at the same time.

    Without an ``endpoint``, each race starts an embedded one with the policy selected. ``race`` is the last race.
    ``start``, ``stop`` and ``run`` do what the buttons do; ``run`` waits for the end.
    """

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self.race: Race | None = None
        self._counts, self._error, self._planned = Counts(), "", 0
        self._chart_picture: Picture | None = None
        self._results: list[tuple[str, str]] = []
        self._stop: threading.Event | None = None
        self._watching: asyncio.Task[None] | None = None
        self._make_controls()
        super().__init__(self._layout())
        self.add_class("swb")
        self._set_racing(racing=False)
        self._show_strategy()
        self._show()

    def start(self) -> None:
        """Start a race with the settings selected. While a race runs, this does nothing."""
        if self._stop is None:
            self._start_thread()
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """End the race that runs; the updates made so far stay."""
        if self._stop is not None:
            self._stop.set()

    def run(self) -> Race | None:
        """Run a race and wait for its end; return ``None`` after an error, which the bench shows."""
        self._start_thread().join()
        self._end()
        return self.race

    def __repr__(self) -> str:
        return "RaceBench()"

    def _start_thread(self) -> threading.Thread:
        self.race, self._chart_picture, self._counts, self._error = None, None, Counts(), ""
        self._stop = threading.Event()
        self._planned = self.clients.value * self.updates.value
        settings = {
            "clients": self.clients.value,
            "updates": self.updates.value,
            "strategy": self.strategy.value,
            "thinking": self.thinking.value / 1000,
            "stop": self._stop,
        }
        self._thread = threading.Thread(target=self._race, args=(self.policy.value, settings))
        self._set_racing(racing=True)
        self._thread.start()
        return self._thread

    def _race(self, policy: str, settings: dict[str, Any]) -> None:
        given: AbstractContextManager[Endpoint] | None = nullcontext(self._endpoint) if self._endpoint else None
        try:
            with given or Endpoint.start(policy=policy) as endpoint:
                finished = race(endpoint, **settings, watch=self._count, progress=False)
            self._results = _results(finished)  # in this thread, because checking the history can take long
            self._chart_picture = finished.tries_chart() if finished.turns else None
            self.race = finished
        except WorkbenchError as error:
            self._error = str(error)

    def _count(self, counts: Counts) -> None:
        self._counts = counts

    async def _watch(self) -> None:
        while self._thread.is_alive():
            self._show()
            await asyncio.sleep(REFRESH_SECONDS)
        self._end()

    def _end(self) -> None:
        if self.race is None and not self._error:
            self._error = "The race stopped because of an unexpected error. See the log of the kernel."
        self._stop = self._watching = None
        self._set_racing(racing=False)
        self._show()

    def _make_controls(self) -> None:
        counted = {"layout": {"width": "190px"}, "style": _WIDE}
        self.clients = widgets.BoundedIntText(value=8, min=1, max=64, description="Clients", **counted)
        self.updates = widgets.BoundedIntText(value=20, min=1, max=1000, description="Updates of each", **counted)
        self.thinking = widgets.BoundedIntText(value=0, min=0, max=5000, description="An edit takes (ms)", **counted)
        self.strategy = widgets.Dropdown(
            options=[(strategy.title, name) for name, strategy in STRATEGIES.items()],
            value="reload",
            description="When stale",
            layout={"width": "260px"},
            style=_WIDE,
        )
        policies = [self._endpoint.policy] if self._endpoint else sorted(POLICIES, key=lambda name: name != "SPINE")
        self.policy = widgets.Dropdown(options=policies, description="Policy", layout={"width": "210px"}, style=_WIDE)
        self.start_button = widgets.Button(
            description="Start", icon="play", button_style="primary", tooltip="Start the race", layout={"width": "auto"}
        )
        self.stop_button = widgets.Button(
            description="Stop", icon="stop", tooltip="Stop the race; its updates so far stay", layout={"width": "auto"}
        )
        self._about, self._progress, self._verdict = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._chart = widgets.HTML()
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        self.strategy.observe(lambda _: self._show_strategy(), "value")

    def _layout(self) -> list[widgets.Widget]:
        frame = Frame()
        clients = widgets.HBox([self.clients, self.updates, self.thinking])
        settings = widgets.HBox([self.strategy, self.policy, self.start_button, self.stop_button])
        for bar in (clients, settings):
            bar.add_class("swb-bar")
        card = widgets.VBox([widgets.HTML(html.heading("The race")), self._progress, self._verdict, self._chart])
        card.add_class("swb-card")
        return [frame, clients, settings, self._about, card]

    def _set_racing(self, *, racing: bool) -> None:
        for control in (self.clients, self.updates, self.thinking, self.strategy, self.start_button):
            control.disabled = racing
        self.policy.disabled = racing or self._endpoint is not None
        self.stop_button.disabled = not racing

    def _show_strategy(self) -> None:
        self._about.value = html.muted(ABOUT[self.strategy.value])

    def _show(self) -> None:
        racing = self._stop is not None
        self._progress.value = html.race_counts(self._counts._asdict(), self._planned, racing=racing)
        results = [(self._error, "bad")] if self._error else self._results if self.race else []
        self._verdict.value = "".join(html.notice(text, tone) for text, tone in results)
        self._chart.value = html.picture(self._chart_picture) if self.race and self._chart_picture else ""


def _results(race: Race) -> list[tuple[str, str]]:
    """Return the results of a race as sentences, each with its tone."""
    counts = race.counts
    results = []
    if not race.complete:
        results.append(("The race was stopped early. The results are about the updates made.", "neutral"))
    if not race.readable:
        results.append(("The List could not be read at the end, so it is unknown what was lost.", "warn"))
    elif race.lost:
        names = ", ".join(race.lost[:_MOST_NAMES]) + (", …" if len(race.lost) > _MOST_NAMES else "")
        lost = f"{_updates(len(race.lost))} accepted and then overwritten: {names}. Each of them got 200."
        results.append((lost, "bad"))
    elif race.accepted:
        results.append((f"Nothing was lost: {_updates(race.accepted)} accepted and can be found in the List.", "good"))
    if counts.gave_up:
        results.append((f"{_updates(counts.gave_up)} given up as stale: not stored, and their clients know.", "warn"))
    if counts.unknown:
        results.append((f"{_updates(counts.unknown)} not answered: each may or may not have been carried out.", "bad"))
    if counts.other:
        results.append((f"{_updates(counts.other)} refused, not sent, or stopped before being sent.", "warn"))
    results.append((f"The proof. {race.proof.explain()}", "good" if race.proof.sound else "bad"))
    return results


def _updates(number: int) -> str:
    return "1 update was" if number == 1 else f"{number} updates were"
