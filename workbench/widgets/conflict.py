"""The conflict bench: Alice and Bob change one record, with the lock and without it, side by side.

Each step is a button, and is taken on both sides: at a Spine endpoint, and at one that ignores ``If-Match``.
Each side shows who has which version, what is stored, and every entry that was lost.

    bench = ConflictBench()
    bench.play("alice reads, bob reads, alice puts, bob puts")
    bench.unlocked.losses
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import ipywidgets as widgets

from workbench.clock import LESSON_START
from workbench.endpoint.endpoint import Endpoint
from workbench.errors import WorkbenchError
from workbench.races.schedule import STEPS, ClientStep, Play, new_story, read_schedule
from workbench.widgets import html
from workbench.widgets.frame import Frame
from workbench.widgets.present import Presentation
from workbench.widgets.stage import Stage, scene

PEOPLE: Final = ("alice", "bob")
STORY: Final = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")

SCHEDULES: Final = {
    "Both put, then Bob tries again": (
        "alice reads, bob reads, alice edits, bob edits, alice puts, bob puts, bob reads, bob edits, bob puts",
        "Both send the same version. After a 409, Bob reads, edits and sends again.",
    ),
    "Both read, then both put": (
        "alice reads, bob reads, alice edits, bob edits, alice puts, bob puts",
        "Both have the same version when they send.",
    ),
    "One after the other": (
        "alice reads, alice edits, alice puts, bob reads, bob edits, bob puts",
        "Bob reads what Alice has stored before he edits.",
    ),
}
"""Ready-made schedules: the name, the steps, and what the schedule shows."""

STEP_SECONDS: Final = 1.2
"""Time between two steps when *Play* shows a schedule."""


class ConflictBench(widgets.VBox):
    """Two clients and one List, with the lock and without it.

    Without an ``endpoint`` the bench starts two of its own, which behave the same in every run. With one, each
    restart creates a List there. ``locked`` and ``unlocked`` are the two sides; ``take``, ``step``, ``play``,
    ``restart`` and ``present`` do what the buttons do. With the focus in the bench, → and space take the next step
    of the schedule, and P presents.
    """

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self._playing: asyncio.Task[None] | None = None
        self._make_controls()
        self.presentation: Presentation | None = None
        self._children = self._layout()
        super().__init__(self._children)
        self.add_class("swb")
        self._wire()
        self.restart()

    def restart(self) -> None:
        """Stop the schedule, and start again with new endpoints (or a new List at the endpoint given)."""
        self.stop()
        self._start_again()

    def take(self, who: str, step: str) -> None:
        """Take one step on both sides; show an error if the step cannot be taken yet."""
        try:
            ((who, step),) = read_schedule([(who, step)], PEOPLE)
            for play in (self.locked, self.unlocked):
                play.take(who, step)
        except WorkbenchError as error:
            self._notice.value = html.notice(str(error))
        else:
            self._notice.value = ""
        self._show()

    def play(self, schedule: str | Iterable[ClientStep] | None = None) -> None:
        """Restart and take every step of a schedule at once; by default, of the one selected.

        Raises ``BadInput`` for an unknown client or step.
        """
        steps = self._steps(schedule)
        self.restart()
        for who, step in steps:
            self.take(who, step)

    async def watch(self, schedule: str | Iterable[ClientStep] | None = None, seconds: float = STEP_SECONDS) -> None:
        """Do the same as ``play``, and wait this many seconds after each step."""
        steps = self._steps(schedule)
        self._start_again()
        self._set_playing(playing=True)
        try:
            for who, step in steps:
                self.take(who, step)
                await asyncio.sleep(seconds)
        finally:
            # A task that was stopped may end after the next one has started.
            if self._playing in (None, asyncio.current_task()):
                self._set_playing(playing=False)

    def step(self) -> None:
        """Take the next step of the schedule selected; after its last step this does nothing."""
        for who, step in self._steps(None)[len(self.locked.steps) :][:1]:
            self.take(who, step)

    def present(self, *, on: bool = True) -> None:
        """Show the presentation in place of the bench: large type, one step at a time. ``on=False`` ends it."""
        self.stop()
        self.presentation = Presentation(on_leave=lambda: self.present(on=False)) if on else None
        self.children = [self.presentation] if self.presentation else self._children

    def stop(self) -> None:
        """Stop the schedule that is playing; the steps taken so far stay."""
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    def __repr__(self) -> str:
        return "ConflictBench(alice, bob)"

    def _start_again(self) -> None:
        self.locked = self._new_play("SPINE")
        self.unlocked = self._new_play("UNPROTECTED")
        self._notice.value = ""
        self._show()

    def _new_play(self, policy: str) -> Play:
        if self._endpoint is not None and policy == "SPINE":
            return Play(self._endpoint, new_story(self._endpoint))
        return Play(Endpoint.in_process(clock=LESSON_START, seed=2, policy=policy), STORY)

    def _steps(self, schedule: str | Iterable[ClientStep] | None) -> tuple[ClientStep, ...]:
        return read_schedule(SCHEDULES[self.schedule.value][0] if schedule is None else schedule, PEOPLE)

    def _make_controls(self) -> None:
        self.buttons = {
            (who, step): widgets.Button(
                description=f"{who.capitalize()} {step}", tooltip=f"{who.capitalize()} {step} the List"
            )
            for who in PEOPLE
            for step in STEPS
        }
        self.schedule = widgets.Dropdown(options=list(SCHEDULES), description="Schedule", layout={"width": "330px"})
        self.play_button = widgets.Button(
            description="Play", icon="play", button_style="primary", tooltip="Play the schedule"
        )
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Stop playing")
        self.step_button = widgets.Button(description="Step", icon="step-forward", tooltip="Take the next step (→)")
        self.restart_button = widgets.Button(description="Restart", icon="refresh", tooltip="Start the story again")
        self.present_button = widgets.Button(
            description="Present", icon="television", tooltip="Large type, one step at a time (P)"
        )
        # A toggle button and not an accordion, which cannot be reached by keyboard.
        self.show_sequences = widgets.ToggleButton(
            description="Requests and responses", icon="exchange", tooltip="Show the sequence diagrams"
        )
        buttons = (
            self.step_button,
            self.play_button,
            self.stop_button,
            self.restart_button,
            self.present_button,
            self.show_sequences,
        )
        for button in (*self.buttons.values(), *buttons):
            button.layout.width = "auto"
        self._about, self._notice = widgets.HTML(), widgets.HTML()
        self.stages = (Stage(has_keys=True), Stage())
        self._with_sequence, self._without_sequence = widgets.HTML(), widgets.HTML()

    def _layout(self) -> list[widgets.Widget]:
        frame = Frame()
        story = widgets.HTML(html.story())
        controls = widgets.HBox(
            [
                self.schedule,
                self.step_button,
                self.play_button,
                self.stop_button,
                self.restart_button,
                self.present_button,
                self._about,
            ]
        )
        people = [
            widgets.HBox([widgets.HTML(html.heading(who.capitalize())), *(self.buttons[who, step] for step in STEPS)])
            for who in PEOPLE
        ]
        for bar in (controls, *people):
            bar.add_class("swb-bar")
        for stage in self.stages:
            stage.add_class("swb-card")
        sides = _two_columns(*self.stages)
        self._sequences = _two_columns(self._with_sequence, self._without_sequence)
        self._sequences.layout.display = "none"
        return [
            frame,
            story,
            controls,
            _two_columns(*people),
            self._notice,
            sides,
            self.show_sequences,
            self._sequences,
        ]

    def _wire(self) -> None:
        for (who, step), button in self.buttons.items():
            button.on_click(lambda _, who=who, step=step: self.take(who, step))
        self.play_button.on_click(lambda _: self._start_playing())
        self.stop_button.on_click(lambda _: self.stop())
        self.step_button.on_click(lambda _: self.step())
        self.restart_button.on_click(lambda _: self.restart())
        self.present_button.on_click(lambda _: self.present())
        self.stages[0].on_action(self._act)
        self.schedule.observe(lambda _: self._show(), "value")
        self.show_sequences.observe(self._toggle_sequences, "value")

    def _act(self, kind: str, _index: int) -> None:
        if kind == "next" and self._playing is None:
            self.step()
        elif kind == "present":
            self.present()

    def _start_playing(self) -> None:
        if self._playing is not None:
            return  # a second click on Play, sent before the browser showed it as disabled
        self._playing = asyncio.get_running_loop().create_task(self.watch())

    def _set_playing(self, *, playing: bool) -> None:
        self.play_button.disabled, self.stop_button.disabled = playing, not playing
        for button in self.buttons.values():
            button.disabled = playing
        if not playing:
            self._playing = None
            self._show()

    def _toggle_sequences(self, change: dict[str, Any]) -> None:
        self._sequences.layout.display = "grid" if change["new"] else "none"

    def _show(self) -> None:
        self._about.value = html.muted(SCHEDULES[self.schedule.value][1])
        if self._playing is None:
            for (who, step), button in self.buttons.items():
                participant = self.locked.participants.get(who)
                button.disabled = step != "reads" and (participant is None or not participant.allows(step))
        self._with_sequence.value = html.heading("With the lock") + _sequence(self.locked)
        self._without_sequence.value = html.heading("Without a lock") + _sequence(self.unlocked)
        schedule = self._steps(None)
        sides = (
            (self.locked, "With the lock: a Spine endpoint"),
            (self.unlocked, "Without a lock: the endpoint ignores If-Match"),
        )
        for stage, (play, title) in zip(self.stages, sides, strict=True):
            stage.shown = {"scene": scene(play, title, "Server", PEOPLE, schedule)}


def _two_columns(*children: widgets.Widget) -> widgets.GridBox:
    box = widgets.GridBox(children)
    box.layout.grid_template_columns = "minmax(0, 1fr) minmax(0, 1fr)"
    box.layout.grid_gap = "10px"
    box.add_class("swb-columns")
    return box


def _sequence(play: Play) -> str:
    return html.picture(play.endpoint.journal.diagram(resource="/".join(play.target), names=play.versions))
