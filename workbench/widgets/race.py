"""The race bench: a race with a button to start it and one to stop it, its counts as they grow, and its verdict.

    bench = RaceBench()
    bench.strategy.value = "merge"
    bench.run()
    bench.race.survivors

Owns: what is chosen and what is shown. The race runs in a thread of its own, so the notebook stays usable; the
bench looks at its counts several times a second.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import ipywidgets as widgets

from workbench.endpoint.endpoint import Endpoint
from workbench.endpoint.policy import POLICIES
from workbench.errors import WorkbenchError
from workbench.journal.diagram import Picture
from workbench.races.race import race
from workbench.races.relay import Counts
from workbench.races.results import Race
from workbench.races.strategy import STRATEGIES
from workbench.widgets import html as markup

PACE: Final = 0.2
"""Seconds between two looks at a race that is under way."""

_MOST_NAMES: Final = 6
_WIDE: Final = {"description_width": "initial"}

ABOUT: Final = {
    "give-up": "Whoever is stale is told so, and leaves it at that.",
    "reload": "Whoever is stale reads again, makes the change again, which takes as long as before, and sends that.",
    "merge": "Whoever is stale reads again and merges; only where nobody else changed the same element.",
    "blind": "Nobody sends If-Match. A Spine refuses that (412); without a lock the last writer wins.",
}


class RaceBench(widgets.VBox):
    """Several clients at one List, as often as you like.

    Without an ``endpoint`` each race gets an embedded one of its own, with the policy chosen. ``race`` is the
    last race that was run; ``start``, ``stop`` and ``run`` do what the buttons do, ``run`` waiting for the end.
    """

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self.race: Race | None = None
        self._counts, self._error, self._all = Counts(), "", 0
        self._tries: Picture | None = None
        self._verdicts: list[tuple[str, str]] = []
        self._stop: threading.Event | None = None
        self._watching: asyncio.Task[None] | None = None
        self._make_controls()
        super().__init__(self._layout())
        self.add_class("swb")
        self._show_strategy()
        self._show()

    def start(self) -> None:
        """Start a race with what is chosen; while one is under way this does nothing."""
        if self._stop is None:
            self._begin()
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """End the race that is under way; what was done stays."""
        if self._stop is not None:
            self._stop.set()

    def run(self) -> Race | None:
        """Run a race and wait for it; ``None`` if it could not be run, which is then said in the bench."""
        self._begin().join()
        self._end()
        return self.race

    def __repr__(self) -> str:
        return "RaceBench()"

    def _begin(self) -> threading.Thread:
        self.race, self._tries, self._counts, self._error = None, None, Counts(), ""
        self._stop = threading.Event()
        self._all = self.clients.value * self.updates.value
        chosen = (self.clients.value, self.updates.value, self.strategy.value, self.thinking.value / 1000)
        runner = self._runner = threading.Thread(target=self._race, args=(*chosen, self.policy.value, self._stop))
        self._set_racing(racing=True)
        runner.start()
        return runner

    def _race(
        self, clients: int, updates: int, strategy: str, thinking: float, policy: str, stop: threading.Event
    ) -> None:
        kept: AbstractContextManager[Endpoint] | None = nullcontext(self._endpoint) if self._endpoint else None
        try:
            with kept or Endpoint.start(policy=policy) as endpoint:
                done = race(
                    endpoint,
                    clients=clients,
                    updates=updates,
                    strategy=strategy,
                    thinking=thinking,
                    stop=stop,
                    watch=self._heard,
                    progress=False,
                )
            self._verdicts = _verdict(done)  # here, because a proof may take its time
            self._tries = done.tries_chart() if done.turns else None
            self.race = done
        except WorkbenchError as error:
            self._error = str(error)

    def _heard(self, counts: Counts) -> None:
        self._counts = counts

    async def _watch(self) -> None:
        while self._runner.is_alive():
            self._show()
            await asyncio.sleep(PACE)
        self._end()

    def _end(self) -> None:
        if self.race is None and not self._error:
            self._error = "The race broke off; what went wrong stands in the kernel's log."
        self._stop = self._watching = None
        self._set_racing(racing=False)
        self._show()

    def _make_controls(self) -> None:
        counted = {"layout": {"width": "190px"}, "style": _WIDE}
        self.clients = widgets.BoundedIntText(value=8, min=1, max=64, description="Clients", **counted)
        self.updates = widgets.BoundedIntText(value=20, min=1, max=1000, description="Updates of each", **counted)
        self.thinking = widgets.BoundedIntText(value=0, min=0, max=5000, description="An edit takes (ms)", **counted)
        titles = [(row.title, name) for name, row in STRATEGIES.items()]
        self.strategy = widgets.Dropdown(
            options=titles, value="reload", description="When stale", layout={"width": "260px"}, style=_WIDE
        )
        policies = [self._endpoint.policy] if self._endpoint else sorted(POLICIES, key=lambda name: name != "SPINE")
        self.policy = widgets.Dropdown(
            options=policies, description="Policy", disabled=self._endpoint is not None, layout={"width": "210px"}
        )
        self.policy.style.description_width = "initial"
        self.start_button = widgets.Button(
            description="Start", icon="play", button_style="primary", tooltip="Start the race"
        )
        self.stop_button = widgets.Button(description="Stop", icon="stop", tooltip="Stop the race; what was done stays")
        self._about, self._progress, self._verdict = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._chart = widgets.HTML()
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        self.strategy.observe(lambda _: self._show_strategy(), "value")
        self._inputs = (self.clients, self.updates, self.thinking, self.strategy)

    def _layout(self) -> list[widgets.Widget]:
        self._set_racing(racing=False)
        for button in (self.start_button, self.stop_button):
            button.layout.width = "auto"
        who = widgets.HBox([self.clients, self.updates, self.thinking])
        how = widgets.HBox([self.strategy, self.policy, self.start_button, self.stop_button])
        for bar in (who, how):
            bar.add_class("swb-bar")
        card = widgets.VBox([widgets.HTML(markup.heading("The race")), self._progress, self._verdict, self._chart])
        card.add_class("swb-card")
        return [widgets.HTML(markup.style(), layout={"display": "none"}), who, how, self._about, card]

    def _set_racing(self, *, racing: bool) -> None:
        for control in (*self._inputs, self.start_button):
            control.disabled = racing
        self.policy.disabled = racing or self._endpoint is not None
        self.stop_button.disabled = not racing

    def _show_strategy(self) -> None:
        self._about.value = markup.muted(ABOUT[self.strategy.value])

    def _show(self) -> None:
        self._progress.value = markup.race_counts(self._counts._asdict(), self._all, racing=self._stop is not None)
        told = [(self._error, "bad")] if self._error else self._verdicts if self.race else []
        self._verdict.value = "".join(markup.notice(text, tone) for text, tone in told)
        self._chart.value = markup.picture(self._tries) if self.race and self._tries else ""


def _verdict(race: Race) -> list[tuple[str, str]]:
    """What became of it, in sentences with their tones."""
    counts = race.counts
    told = [] if race.complete else [("The race was stopped early; this is about what was done.", "neutral")]
    if not race.readable:
        told.append(("The List could not be read at the end, so what was lost cannot be said.", "warn"))
    elif race.lost:
        names = ", ".join(race.lost[:_MOST_NAMES]) + (", …" if len(race.lost) > _MOST_NAMES else "")
        lost = f"{_updates(len(race.lost))} accepted and then overwritten: {names}. Everybody was told 200."
        told.append((lost, "bad"))
    elif race.accepted:
        told.append((f"Nothing was lost: {_updates(race.accepted)} accepted, and every one is still there.", "good"))
    if counts.gave_up:
        gave_up = f"{_updates(counts.gave_up)} given up as stale: not stored, and whoever sent them knows."
        told.append((gave_up, "warn"))
    if counts.unknown:
        told.append((f"{_updates(counts.unknown)} never answered: each may have been carried out or not.", "bad"))
    if counts.other:
        told.append((f"{_updates(counts.other)} refused, not sent, or stopped before it was sent.", "warn"))
    return [*told, (f"The proof. {race.proof.explain()}", "good" if race.proof.sound else "bad")]


def _updates(number: int) -> str:
    return "1 update was" if number == 1 else f"{number} updates were"
