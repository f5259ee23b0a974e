"""The conflict bench: Alice and Bob change one record, with the lock and without it, side by side.

Each step is a button and is taken on both sides at once: at a Spine, and at an endpoint that never looks
at ``If-Match``. What is stored stands under each, and an entry that was lost is named there.

    bench = ConflictBench()
    bench.play("alice reads, bob reads, alice puts, bob puts")
    bench.unlocked.losses
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

import ipywidgets as widgets

from workbench.clock import LESSON_START
from workbench.endpoint.endpoint import Endpoint
from workbench.errors import WorkbenchError
from workbench.exchange.verdict import Verdict
from workbench.journal.journal import Journal
from workbench.races.schedule import STEPS, Participant, Play, Step, new_story, read_schedule
from workbench.widgets import html as markup
from workbench.widgets.html import Person, Stage

PEOPLE: Final = ("alice", "bob")
STORY: Final = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")

SCHEDULES: Final = {
    "Both read, then both put": (
        "alice reads, bob reads, alice edits, bob edits, alice puts, bob puts",
        "Both hold the same version when they send.",
    ),
    "One after the other": (
        "alice reads, alice edits, alice puts, bob reads, bob edits, bob puts",
        "Bob reads what Alice has stored before he edits.",
    ),
    "Both put, then Bob reads again": (
        "alice reads, bob reads, alice edits, bob edits, alice puts, bob puts, bob reads, bob edits, bob puts",
        "Bob does what a 409 asks of him.",
    ),
}
"""Ready-made schedules: what each is called, its steps, and what it shows."""

PACE: Final = 1.2
"""Seconds between two steps when a schedule is played for people to watch."""


class ConflictBench(widgets.VBox):
    """Two practitioners, one record, twice.

    Without an ``endpoint`` it brings two of its own, the same in every run. With one, each restart makes a
    List there to work on. ``locked`` and ``unlocked`` are the two plays; ``take``, ``play`` and ``restart``
    do what the buttons do.
    """

    def __init__(self, endpoint: Endpoint | None = None) -> None:
        self._endpoint = endpoint
        self._playing: asyncio.Task[None] | None = None
        self.buttons = {(who, step): _step_button(who, step) for who in PEOPLE for step in STEPS}
        self.schedule = widgets.Dropdown(options=list(SCHEDULES), description="Schedule", layout={"width": "330px"})
        self.play_button = widgets.Button(
            description="Play", icon="play", button_style="primary", tooltip="Play the schedule"
        )
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True, tooltip="Stop playing")
        self.restart_button = widgets.Button(description="Restart", icon="refresh", tooltip="Begin the story again")
        for button in (self.play_button, self.stop_button, self.restart_button):
            button.layout.width = "auto"
        self._about, self._notice = widgets.HTML(), widgets.HTML()
        self._with, self._without = widgets.HTML(), widgets.HTML()
        self._with_sequence, self._without_sequence = widgets.HTML(), widgets.HTML()
        super().__init__(self._layout())
        self.add_class("swb")
        self._wire()
        self.restart()

    def restart(self) -> None:
        """Begin the story again, at endpoints (or on a List) of its own; what is being played stops."""
        self.stop()
        self._begin()

    def _begin(self) -> None:
        self.locked = self._new_play("SPINE")
        self.unlocked = self._new_play("UNPROTECTED")
        self._notice.value = ""
        self._show()

    def take(self, who: str, step: str) -> None:
        """One step, on both sides; a step out of order becomes one sentence."""
        try:
            ((who, step),) = read_schedule([(who, step)], PEOPLE)
            for play in (self.locked, self.unlocked):
                play.take(who, step)
        except WorkbenchError as error:
            self._notice.value = markup.notice(str(error))
        else:
            self._notice.value = ""
        self._show()

    def play(self, schedule: str | Iterable[Step] | None = None) -> None:
        """Restart and take every step of a schedule at once; by default the one chosen. Raises ``BadInput``."""
        steps = self._steps(schedule)
        self.restart()
        for who, step in steps:
            self.take(who, step)

    async def watch(self, schedule: str | Iterable[Step] | None = None, pace: float = PACE) -> None:
        """The same, with ``pace`` seconds after each step, for people to follow."""
        steps = self._steps(schedule)
        self._begin()
        self._set_playing(playing=True)
        try:
            for who, step in steps:
                self.take(who, step)
                await asyncio.sleep(pace)
        finally:
            # One that was stopped may end after another has begun.
            if self._playing in (None, asyncio.current_task()):
                self._set_playing(playing=False)

    def stop(self) -> None:
        """Stop a schedule that is being played; what has happened stays."""
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    def __repr__(self) -> str:
        return "ConflictBench(alice, bob)"

    def _new_play(self, policy: str) -> Play:
        if self._endpoint is not None and policy == "SPINE":
            return Play(self._endpoint, new_story(self._endpoint))
        return Play(Endpoint.in_process(clock=LESSON_START, seed=2, policy=policy), STORY)

    def _steps(self, schedule: str | Iterable[Step] | None) -> tuple[Step, ...]:
        return read_schedule(SCHEDULES[self.schedule.value][0] if schedule is None else schedule, PEOPLE)

    def _layout(self) -> list[widgets.Widget]:
        controls = widgets.HBox([self.schedule, self.play_button, self.stop_button, self.restart_button, self._about])
        columns = [_person_box(who, [self.buttons[who, step] for step in STEPS]) for who in PEOPLE]
        people, stages = widgets.GridBox(columns), widgets.GridBox([self._with, self._without])
        for box in (people, stages):
            box.layout.grid_template_columns = "minmax(0, 1fr) minmax(0, 1fr)"
            box.layout.grid_gap = "10px"
            box.add_class("swb-columns")
        for stage in (self._with, self._without):
            stage.add_class("swb-card")
        controls.add_class("swb-bar")
        style = widgets.HTML(markup.style(), layout={"display": "none"})
        sequences = widgets.GridBox([self._with_sequence, self._without_sequence])
        sequences.layout.grid_template_columns = "minmax(0, 1fr) minmax(0, 1fr)"
        sequences.layout.grid_gap = "10px"
        sequences.add_class("swb-columns")
        sequences.layout.display = "none"
        # A button, not an accordion: that one cannot be reached by keyboard.
        self.show_sequences = widgets.ToggleButton(
            description="What was sent, and what came back", icon="exchange", tooltip="Show the sequence diagrams"
        )
        self.show_sequences.layout.width = "auto"
        self.show_sequences.observe(lambda shown: _display(sequences, shown=shown["new"]), "value")
        story = widgets.HTML(markup.story())
        return [style, story, controls, people, self._notice, stages, self.show_sequences, sequences]

    def _wire(self) -> None:
        for (who, step), button in self.buttons.items():
            button.on_click(lambda _, who=who, step=step: self.take(who, step))
        self.play_button.on_click(lambda _: self._start_playing())
        self.stop_button.on_click(lambda _: self.stop())
        self.restart_button.on_click(lambda _: self.restart())
        self.schedule.observe(lambda _: self._show_schedule(), "value")
        self._show_schedule()

    def _start_playing(self) -> None:
        if self._playing is not None:
            return  # a second click on Play, sent before the button was seen to be off
        self._playing = asyncio.get_running_loop().create_task(self.watch())

    def _set_playing(self, *, playing: bool) -> None:
        self.play_button.disabled, self.stop_button.disabled = playing, not playing
        for button in self.buttons.values():
            button.disabled = playing
        if not playing:
            self._playing = None
            self._show()

    def _show_schedule(self) -> None:
        self._about.value = markup.muted(SCHEDULES[self.schedule.value][1])

    def _show(self) -> None:
        if self._playing is None:
            for (who, step), button in self.buttons.items():
                participant = self.locked.participants.get(who)
                button.disabled = step != "reads" and (participant is None or not participant.allows(step))
        resource = "/".join(self.locked.target)
        drawn = markup.picture(self.locked.endpoint.journal.diagram(resource=resource))
        self._with_sequence.value = markup.heading("With the lock") + drawn
        resource = "/".join(self.unlocked.target)
        drawn = markup.picture(self.unlocked.endpoint.journal.diagram(resource=resource))
        self._without_sequence.value = markup.heading("Without a lock") + drawn
        self._with.value = markup.stage(_stage(self.locked, "With the lock: a Spine endpoint"))
        self._without.value = markup.stage(_stage(self.unlocked, "Without a lock: If-Match is never looked at"))


def _display(box: widgets.Box, *, shown: bool) -> None:
    box.layout.display = "grid" if shown else "none"


def _step_button(who: str, step: str) -> widgets.Button:
    button = widgets.Button(description=f"{who.capitalize()} {step}", tooltip=f"{who.capitalize()} {step} the List")
    button.layout.width = "auto"
    return button


def _person_box(who: str, buttons: list[widgets.Button]) -> widgets.HBox:
    box = widgets.HBox([widgets.HTML(markup.heading(who.capitalize())), *buttons])
    box.add_class("swb-bar")
    return box


def _stage(play: Play, title: str) -> Stage:
    stored = play.endpoint.client("onlooker", journal=Journal()).read(*play.target)
    entries = _entries(stored.resource)
    elements = [(_said(element.mine), loss.client) for loss in play.losses for element in loss.elements]
    lost = {said: whose for said, whose in elements if said and said not in entries}
    people = tuple(_person(who, play.participants.get(who)) for who in PEOPLE)
    return Stage(title, people, entries, str(stored.etag or ""), lost, _verdict(play, lost))


def _person(who: str, participant: Participant | None) -> Person:
    if participant is None or participant.read is None:
        return Person(who)
    accepted = participant.put is not None and participant.put.verdict is Verdict.UPDATED
    held = participant.put if accepted and participant.put else participant.read
    etag = str(held.etag or "")
    answer = None if participant.put is None else f"{participant.put.status} {participant.put.verdict.value}"
    tone = "neutral" if participant.put is None else markup.TONES[participant.put.verdict]
    seen = _entries(participant.read.resource)
    return Person(who, etag, seen if participant.draft is None else _entries(participant.draft), seen, answer, tone)


def _entries(resource: Any) -> tuple[str, ...]:
    entries = resource.get("entry", []) if isinstance(resource, dict) else []
    return tuple(_said(entry) for entry in entries)


def _said(entry: Any) -> str:
    item = entry.get("item", {}) if isinstance(entry, dict) else {}
    return str(item.get("display", ""))


def _verdict(play: Play, lost: Mapping[str, str]) -> tuple[str, str]:
    """What happened here, in a sentence, and its tone."""
    if lost:
        whose = " and ".join(f"{client.capitalize()}'s" for client in dict.fromkeys(lost.values()))
        return f"{whose} entry is lost. Everybody was told 200, so nobody knows.", "bad"
    if 409 in play.statuses:
        last = play.statuses[-1]
        told = "Whoever was late was told so (409), and nothing was lost."
        return (told if last == 409 else "After the 409 the record was read again, and both entries are there."), "good"
    if play.statuses:
        return "Nobody was overtaken, so nothing was lost.", "neutral"
    return "Nothing has been sent yet.", "neutral"
