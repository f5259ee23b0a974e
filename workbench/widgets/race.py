"""The race bench: start a race, watch its counts, stop it, and read its result.

    bench = RaceBench()
    bench.strategy.value = "merge"
    bench.run()
    bench.race.survivors

A race runs in a thread of its own, so the notebook stays usable. The bench shows its counts several times a second.
*Race both* runs the same race with the lock and without it, and shows the two side by side.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import ipywidgets as widgets

from workbench.endpoint.endpoint import Endpoint
from workbench.endpoint.policy import POLICIES
from workbench.errors import BadInput, WorkbenchError
from workbench.journal.diagram import Picture
from workbench.races.race import race
from workbench.races.results import Counts, Race
from workbench.races.strategy import STRATEGIES
from workbench.widgets import html
from workbench.widgets.frame import Frame

REFRESH_SECONDS: Final = 0.2
"""Time between two updates of the counts shown."""

_MOST_NAMES: Final = 6
_FITTING: Final = {"description_width": "initial"}

ABOUT: Final = {
    "give-up": "After a 409 the client gives up its update.",
    "reload": "After a 409 the client reads again, makes its change again (which takes as long as before), and sends.",
    "merge": "After a 409 the client reads again and merges, unless another client changed the same element.",
    "blind": "The clients send no If-Match. Spine rejects that with 412; without a lock, the last write wins.",
}
"""What each strategy does when its version is stale."""


@dataclass(slots=True)
class Lane:
    """One race of the bench: its policy, its counts while it runs, and its result."""

    policy: str
    endpoint: Endpoint | None
    planned: int
    counts: Counts = field(default_factory=Counts)
    race: Race | None = None
    verdict: tuple[str, str] = ("", "neutral")
    details: tuple[str, ...] = ()
    chart: Picture | None = None
    error: str = ""

    def run(self, **settings: Any) -> None:
        """Run the race, and keep its result or why there is none."""
        given: AbstractContextManager[Endpoint] | None = nullcontext(self.endpoint) if self.endpoint else None
        try:
            with given or Endpoint.start(policy=self.policy) as endpoint:
                finished = race(endpoint, **settings, watch=self._count, progress=False)
            self.verdict, self.details = verdict(finished), details(finished)
            self.chart = finished.tries_chart() if finished.turns else None
            self.race = finished
        except WorkbenchError as error:
            self.error = str(error)

    def _count(self, counts: Counts) -> None:
        self.counts = counts


class RaceBench(widgets.VBox):
    """Several clients that update one List at the same time.

    Without an ``endpoint``, each race starts an embedded one with the policy selected. ``race`` is the last race, and
    after *Race both* the one with the lock; ``races`` has both. ``start``, ``start_both`` and ``stop`` do what the
    buttons do. ``run`` and ``run_both`` wait for the end.
    """

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self._lanes: list[Lane] = []
        self._stop: threading.Event | None = None
        self._watching: asyncio.Task[None] | None = None
        self._make_controls()
        super().__init__(self._layout())
        self.add_class("swb")
        self._set_racing(racing=False)
        self._show()

    @property
    def race(self) -> Race | None:
        """The last race; ``None`` before one has ended."""
        return self._lanes[0].race if self._lanes else None

    @property
    def races(self) -> tuple[Race | None, ...]:
        """The last races: one, or both with the lock first."""
        return tuple(lane.race for lane in self._lanes)

    def start(self) -> None:
        """Start a race with the settings selected. While a race runs, this does nothing."""
        self._start([self.policy.value])

    def start_both(self) -> None:
        """Start the same race twice: with the lock, then without it. While a race runs, this does nothing."""
        self._start(self._both())

    def stop(self) -> None:
        """End the race that runs; the updates made so far stay."""
        if self._stop is not None:
            self._stop.set()

    def run(self) -> Race | None:
        """Run a race and wait for its end; return ``None`` after an error, which the bench shows."""
        self._run([self.policy.value])
        return self.race

    def run_both(self) -> tuple[Race | None, ...]:
        """Run the same race with the lock, then without it, and wait for the end."""
        self._run(self._both())
        return self.races

    def __repr__(self) -> str:
        return "RaceBench()"

    def _both(self) -> list[str]:
        return [self._endpoint.policy if self._endpoint else "SPINE", "UNPROTECTED"]

    def _start(self, policies: Sequence[str]) -> None:
        if self._stop is None and self._start_thread(policies):
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _run(self, policies: Sequence[str]) -> None:
        if self._start_thread(policies):
            self._thread.join()
            self._end()

    def _start_thread(self, policies: Sequence[str]) -> bool:
        """Start the races, one after the other, in a thread. Return false if a number is out of range."""
        self._lanes = []
        try:
            numbers = [self._number(control) for control in self._ranges]
        except BadInput as error:
            self._problem.value = html.notice(str(error))
            self._show()
            return False
        clients, updates, thinking = numbers
        self._stop = threading.Event()
        self._lanes = [
            Lane(policy, self._endpoint if number == 0 else None, clients * updates)
            for number, policy in enumerate(policies)
        ]
        settings = {
            "clients": clients,
            "updates": updates,
            "strategy": self.strategy.value,
            "thinking": thinking / 1000,
            "stop": self._stop,
        }
        self._thread = threading.Thread(target=self._run_lanes, args=(settings,))
        self._set_racing(racing=True)
        self._thread.start()
        return True

    def _run_lanes(self, settings: dict[str, Any]) -> None:
        for lane in self._lanes:
            lane.run(**settings)

    def _number(self, control: widgets.IntText) -> int:
        """Return a number as typed. Raises ``BadInput`` if it is out of range; it is never changed."""
        least, most = self._ranges[control]
        number: int = control.value
        if not least <= number <= most:
            raise BadInput(f"{control.description}: {number:,} is out of range. Give {least:,} to {most:,}.")
        return number

    async def _watch(self) -> None:
        while self._thread.is_alive():
            self._show()
            await asyncio.sleep(REFRESH_SECONDS)
        self._end()

    def _end(self) -> None:
        for lane in self._lanes:
            if lane.race is None and not lane.error:
                lane.error = "The race stopped because of an unexpected error. See the log of the kernel."
        self._stop = self._watching = None
        self._set_racing(racing=False)
        self._show()

    def _make_controls(self) -> None:
        self.clients = _number("Clients", 8)
        self.updates = _number("Updates of each", 20)
        self.thinking = _number("An edit takes (ms)", 0)
        self._ranges = {self.clients: (1, 64), self.updates: (1, 1000), self.thinking: (0, 5000)}
        self.strategy = widgets.Dropdown(
            options=[(strategy.title, name) for name, strategy in STRATEGIES.items()],
            value="reload",
            description="When stale",
            layout={"width": "auto"},
            style=_FITTING,
        )
        policies = [self._endpoint.policy] if self._endpoint else sorted(POLICIES, key=lambda name: name != "SPINE")
        self.policy = widgets.Dropdown(options=policies, description="Policy", layout={"width": "auto"}, style=_FITTING)
        self.start_button = _button("Start", "play", "primary", "Start the race")
        self.both_button = _button("Race both", "columns", "", "The same race with the lock and without it")
        self.stop_button = _button("Stop", "stop", "", "Stop the race; its updates so far stay")
        self._about, self._problem = widgets.HTML(), widgets.HTML()
        self._about.add_class("swb-about")
        self._cards = (widgets.HTML(), widgets.HTML())
        self.start_button.on_click(lambda _: self.start())
        self.both_button.on_click(lambda _: self.start_both())
        self.stop_button.on_click(lambda _: self.stop())
        for control in (self.strategy, self.policy):
            control.observe(lambda _: self._show_about(), "value")
        for control in self._ranges:
            control.observe(lambda _: self._check_numbers(), "value")

    def _layout(self) -> list[widgets.Widget]:
        frame = Frame()
        clients = widgets.HBox([self.clients, self.updates, self.thinking])
        settings = widgets.HBox([self.strategy, self.policy, self.start_button, self.both_button, self.stop_button])
        for bar in (clients, settings):
            bar.add_class("swb-bar")
        for card in self._cards:
            card.add_class("swb-card")
        self._columns = widgets.GridBox(self._cards, layout={"grid_gap": "10px"})
        self._columns.add_class("swb-columns")
        return [frame, clients, settings, self._about, self._problem, self._columns]

    def _set_racing(self, *, racing: bool) -> None:
        for control in (*self._ranges, self.strategy, self.start_button, self.both_button):
            control.disabled = racing
        self.policy.disabled = racing or self._endpoint is not None
        self.stop_button.disabled = not racing

    def _check_numbers(self) -> None:
        """Show which number is out of range, as soon as it is typed."""
        try:
            for control in self._ranges:
                self._number(control)
        except BadInput as error:
            self._problem.value = html.notice(str(error))
        else:
            self._problem.value = ""

    def _show_about(self) -> None:
        policy = POLICIES[self.policy.value].in_words()
        self._about.value = html.muted(f"{ABOUT[self.strategy.value]} Policy {self.policy.value}: {policy}")

    def _show(self) -> None:
        self._show_about()
        racing = self._stop is not None
        columns = max(len(self._lanes), 1)
        self._columns.layout.grid_template_columns = " ".join(["minmax(0, 1fr)"] * columns)
        for number, card in enumerate(self._cards):
            card.layout.display = "" if number < columns else "none"
            card.value = self._card(self._lanes[number], racing=racing) if number < len(self._lanes) else ""
        if not self._lanes:
            self._cards[0].value = html.race_card("The race")

    def _card(self, lane: Lane, *, racing: bool) -> str:
        title = "The race"
        if len(self._lanes) > 1:
            title = "Without the lock" if lane.policy == "UNPROTECTED" else "With the lock"
        lost = len(lane.race.lost) if lane.race and lane.race.readable else None
        return html.race_card(
            title,
            counts=lane.counts._asdict() | {"lost": lost},
            planned=lane.planned,
            racing=racing and lane.race is None and not lane.error,
            verdict=(lane.error, "bad") if lane.error else lane.verdict,
            details=lane.details,
            chart=lane.chart,
        )


def _number(description: str, value: int) -> widgets.IntText:
    return widgets.IntText(value=value, description=description, layout={"width": "auto"}, style=_FITTING)


def _button(description: str, icon: str, style: str, tooltip: str) -> widgets.Button:
    layout = {"width": "auto"}
    return widgets.Button(description=description, icon=icon, button_style=style, tooltip=tooltip, layout=layout)


def verdict(race: Race) -> tuple[str, str]:
    """Return what a race shows in one sentence, and its tone."""
    if not race.readable:
        return "The List could not be read at the end, so it is unknown what was lost.", "warn"
    if race.lost:
        lost = f"{len(race.lost):,} of {race.accepted:,} accepted updates"
        return f"Lost: {lost} got 200 and were then overwritten.", "bad"
    if race.proof.verdict == "inconsistent":
        return "Nothing was lost, but no correct endpoint gives these answers: see the proof.", "bad"
    if race.proof.verdict == "undecided":
        return "Nothing was lost, but the proof is undecided about the answers.", "warn"
    if race.accepted:
        return f"Nothing was lost: the List has every one of the {race.accepted:,} accepted updates.", "good"
    return "No update was accepted, so nothing could be lost.", "warn"


def details(race: Race) -> tuple[str, ...]:
    """Return the other results of a race as sentences; the last one is the proof."""
    counts, found = race.counts, []
    if not race.complete:
        found.append("The race was stopped early. The results are about the updates made.")
    if race.lost:
        names = ", ".join(race.lost[:_MOST_NAMES]) + (", …" if len(race.lost) > _MOST_NAMES else "")
        found.append(f"Overwritten: {names}.")
    if counts.gave_up:
        found.append(f"{_updates(counts.gave_up)} given up as stale: not stored, and their clients know.")
    if counts.unknown:
        found.append(f"{_updates(counts.unknown)} not answered: each may or may not have been carried out.")
    if counts.other:
        found.append(f"{_updates(counts.other)} refused, not sent, or stopped before being sent.")
    return (*found, f"The proof. {race.proof.explain()}")


def _updates(number: int) -> str:
    return "1 update was" if number == 1 else f"{number} updates were"
