"""The presentation: the story of the lost update for a room, one step at a time, in large type.

Five chapters in order: the problem, without the lock, with the lock, resolving the conflict, a race.
→ or space takes the next step and ← takes one back; P fills the screen.

    Presentation()
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import ipywidgets as widgets

from workbench.clock import LESSON_START
from workbench.endpoint.endpoint import Endpoint
from workbench.errors import WorkbenchError
from workbench.fhir import json
from workbench.fhir.resource import without_version
from workbench.races.schedule import ClientStep, Play, adds_need, read_schedule
from workbench.widgets import html
from workbench.widgets.editor import JsonEditor
from workbench.widgets.frame import Frame
from workbench.widgets.race import RaceBench
from workbench.widgets.stage import Stage, scene

PEOPLE: Final = ("alice", "bob")
STORY: Final = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
_DRAFTS: Final = "alice reads, bob reads, alice edits, bob edits"


class Chapter(NamedTuple):
    """One part of the story: the steps taken before it opens, and the steps that the presenter takes."""

    title: str
    heading: str
    policy: str
    before: str
    steps: str


CHAPTERS: Final = (
    Chapter("1 The problem", "Two people change the same record", "UNPROTECTED", "", _DRAFTS),
    Chapter(
        "2 Without the lock",
        "Without the lock, the second update replaces the first",
        "UNPROTECTED",
        _DRAFTS,
        "alice puts, bob puts, alice reads",
    ),
    Chapter(
        "3 With the lock",
        "With the lock, the server rejects the second update",
        "SPINE",
        _DRAFTS,
        "alice puts, bob puts",
    ),
    Chapter(
        "4 Resolving it",
        "Bob reads again, edits, and sends again",
        "SPINE",
        f"{_DRAFTS}, alice puts, bob puts",
        "bob reads, bob edits, bob puts, alice reads",
    ),
    Chapter("5 A race", "Many clients at once, with the lock and without it", "SPINE", "", ""),
)


class Presentation(widgets.VBox):
    """The five chapters. ``next``, ``back`` and ``turn_to`` do what the keys and the buttons do.

    With ``live`` on, Alice and Bob are two editors, and each one reads and sends when a person presses the button.
    ``play`` is the play of the chapter; ``on_leave`` says what ends the presentation where it is part of a bench.
    """

    def __init__(self, on_leave: Callable[[], object] | None = None) -> None:
        self._leave = on_leave
        self.chapter = 0
        self.play: Play | None = None
        self._refreshing = False
        self.stage = Stage(has_keys=True, navigation=True)
        self.live = widgets.Checkbox(description="Alice and Bob edit live", indent=False, layout={"width": "auto"})
        self.editors = {who: JsonEditor(label=f"{who.capitalize()}'s List", height="15rem") for who in PEOPLE}
        self.buttons = {
            (who, step): widgets.Button(description=f"{who.capitalize()} {step}", layout={"width": "auto"})
            for who in PEOPLE
            for step in ("reads", "puts")
        }
        self._notice = widgets.HTML()
        self._desks = widgets.GridBox(
            [
                widgets.VBox([widgets.HBox([self.buttons[who, "reads"], self.buttons[who, "puts"]]), self.editors[who]])
                for who in PEOPLE
            ],
            layout={"grid_template_columns": "minmax(0, 1fr) minmax(0, 1fr)", "grid_gap": "16px"},
        )
        self.race = RaceBench()
        self.race.thinking.value = 5  # milliseconds, so that clients overlap also on a fast machine
        frame = Frame()
        super().__init__([frame, self.stage, self._notice, self.race, self._desks, self.live])
        for name in ("swb", "swb-present"):
            self.add_class(name)
        self._wire()
        self.turn_to(0)

    def turn_to(self, chapter: int) -> None:
        """Open a chapter, counted from 0, at its beginning."""
        self.chapter = min(max(chapter, 0), len(CHAPTERS) - 1)
        self._begin(0)

    def next(self) -> None:
        """Take the next step; after the last one, open the next chapter."""
        taken = self._taken()
        if self.live.value and not self._is_race:
            return  # the people at the editors decide what is next
        if taken < len(self._steps()):
            who, step = self._steps()[taken]
            self._take(who, step)
        elif self.chapter < len(CHAPTERS) - 1:
            self.turn_to(self.chapter + 1)

    def back(self) -> None:
        """Go one step back; from the beginning of a chapter, to the end of the one before."""
        taken = self._taken()
        if self.live.value or not taken:
            if self.chapter:
                self.chapter -= 1
                self._begin(len(self._steps()))
        else:
            self._begin(taken - 1)

    def __repr__(self) -> str:
        return "Presentation()"

    @property
    def _is_race(self) -> bool:
        return self.chapter == len(CHAPTERS) - 1

    def _steps(self) -> tuple[ClientStep, ...]:
        return read_schedule(CHAPTERS[self.chapter].steps, PEOPLE)

    def _before(self) -> tuple[ClientStep, ...]:
        return read_schedule("" if self.live.value else CHAPTERS[self.chapter].before, PEOPLE)

    def _taken(self) -> int:
        """Return how many steps of this chapter have been taken."""
        return len(self.play.steps) - len(self._before()) if self.play else 0

    def _begin(self, steps: int) -> None:
        """Start the chapter again, and take its first ``steps`` steps. The endpoint behaves the same every time."""
        self._notice.value = ""
        if self.play is not None:
            self.play.endpoint.stop()
        endpoint = Endpoint.in_process(clock=LESSON_START, seed=2, policy=CHAPTERS[self.chapter].policy)
        self.play = Play(endpoint, STORY)
        if not self.live.value:
            for who, step in (*self._before(), *self._steps()[:steps]):
                self.play.take(who, step)
        self._show()

    def _take(self, who: str, step: str) -> None:
        assert self.play is not None
        try:
            self.play.take(who, step)
        except WorkbenchError as error:
            self._notice.value = html.notice(str(error))
        else:
            self._notice.value = ""
        self._show()

    def _wire(self) -> None:
        self.stage.on_action(self._act)
        self.live.observe(lambda _: self._begin(0), "value")
        for (who, step), button in self.buttons.items():
            button.on_click(lambda _, who=who, step=step: self._take(who, step))
        for who, editor in self.editors.items():
            editor.observe(partial(self._edited, who), "value")

    def _act(self, kind: str, index: int) -> None:
        match kind:
            case "next":
                self.next()
            case "back":
                self.back()
            case "chapter":
                self.turn_to(index)
            case "leave" if self._leave is not None:
                self._leave()

    def _edited(self, who: str, _change: object) -> None:
        """Take what was typed as the person's draft. Text that is not JSON cannot be sent."""
        participant = self.play.participants.get(who) if self.play else None
        if self._refreshing or participant is None:
            return
        button = self.buttons[who, "puts"]
        try:
            draft = json.parse(self.editors[who].value)
        except WorkbenchError as error:
            button.disabled = True
            self._notice.value = html.notice(f"{who.capitalize()}'s text is not JSON. {error}")
            return
        button.disabled, self._notice.value = False, ""
        if isinstance(draft, dict):
            participant.draft = draft
            self._show_stage()

    def _show(self) -> None:
        self.race.layout.display = "" if self._is_race else "none"
        self.live.layout.display = "none" if self._is_race else ""
        self._desks.layout.display = "grid" if self.live.value and not self._is_race else "none"
        self._show_stage()
        if self.live.value:
            self._show_drafts()

    def _show_drafts(self) -> None:
        assert self.play is not None
        self._refreshing = True
        for who, editor in self.editors.items():
            participant = self.play.participants.get(who)
            read = participant.read.resource if participant and participant.read else None
            self.buttons[who, "puts"].disabled = read is None
            if participant and isinstance(read, dict):
                participant.draft = participant.draft or adds_need(without_version(read), who)
            editor.value = json.dumps(participant.draft, indent=2) if participant and participant.draft else ""
        self._refreshing = False
        self._show_stage()

    def _show_stage(self) -> None:
        assert self.play is not None
        chapter, taken = CHAPTERS[self.chapter], self._taken()
        last = self._is_race
        navigation: dict[str, Any] = {
            "titles": [each.title for each in CHAPTERS],
            "chapter": self.chapter,
            "first": self.chapter == 0 and not taken,
            "last": last,
        }
        shown: dict[str, Any] = {"title": chapter.heading, "caption": "", "wire": "", "tone": "neutral"}
        if not last:
            server = "Server, no lock" if chapter.policy == "UNPROTECTED" else "Server, with the lock"
            schedule = () if self.live.value else (*self._before(), *self._steps())
            shown = scene(self.play, chapter.heading, server, PEOPLE, schedule) | {"live": self.live.value}
        self.stage.shown = {"scene": shown, "navigation": navigation}
