"""The presentation without a browser: its chapters, its keys, and the live editors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from workbench import Presentation
from workbench.widgets.present import CHAPTERS


@pytest.fixture
def shown() -> Iterator[Presentation]:
    made = Presentation()
    yield made
    assert made.play is not None
    made.play.endpoint.stop()


def scene(shown: Presentation) -> dict[str, Any]:
    found: dict[str, Any] = shown.stage.shown["scene"]
    return found


def send(shown: Presentation, kind: str, **more: object) -> None:
    """What a key or a button in the page does."""
    shown.stage._handle_custom_msg({"kind": kind, **more}, [])


def test_the_story_from_its_first_step_to_bobs_second_try(shown: Presentation) -> None:
    captions = []
    while shown.chapter < 4:
        send(shown, "next")
        captions.append(scene(shown)["caption"])
    sent = [caption for caption in captions if "If-Match" in caption]
    assert sent == [
        "Alice sends If-Match: v1. The server has v1. 200 OK: v2 is stored.",
        "Bob sends If-Match: v1. The server has v2. 200 OK: v3 replaces v2, which Bob has not read.",
        "Alice sends If-Match: v1. The server has v1. 200 OK: v2 is stored.",
        "Bob sends If-Match: v1. The server has v2. 409 Conflict: nothing is stored.",
        "Bob sends If-Match: v1. The server has v2. 409 Conflict: nothing is stored.",
        "Bob sends If-Match: v2. The server has v2. 200 OK: v3 is stored.",
    ]
    assert shown.race.layout.display == ""


def test_back_takes_one_step_back_also_over_a_chapter(shown: Presentation) -> None:
    send(shown, "chapter", index=1)
    send(shown, "next")
    first = scene(shown)
    send(shown, "next")
    send(shown, "back")
    assert scene(shown) == first
    send(shown, "back")
    send(shown, "back")
    assert shown.chapter == 0
    assert scene(shown)["steps"][-1] == {"text": "Bob edits", "state": "current"}


def test_the_ends_of_the_story(shown: Presentation) -> None:
    send(shown, "back")
    assert (shown.chapter, shown.stage.shown["navigation"]["first"]) == (0, True)
    send(shown, "chapter", index=99)
    assert (shown.chapter, shown.stage.shown["navigation"]["last"]) == (len(CHAPTERS) - 1, True)
    send(shown, "next")
    send(shown, "leave")  # this presentation is not part of a bench
    assert shown.chapter == len(CHAPTERS) - 1


def test_two_people_edit_live(shown: Presentation) -> None:
    send(shown, "chapter", index=2)
    shown.live.value = True
    assert [button.disabled for button in shown.buttons.values()] == [False, True, False, True]
    for who in ("alice", "bob"):
        shown.buttons[who, "reads"].click()
        shown.editors[who].value = shown.editors[who].value.replace("Uses a wheelchair", f"What {who} wrote")
    shown.buttons["alice", "puts"].click()
    assert scene(shown)["server"]["entries"][0] == "What alice wrote"
    shown.buttons["bob", "puts"].click()
    assert "409 Conflict: nothing is stored." in scene(shown)["caption"]
    assert "What bob wrote" in shown.editors["bob"].value, "a 409 keeps Bob's text"
    send(shown, "next")
    assert shown.play is not None
    assert len(shown.play.steps) == 4, "no step of the schedule is taken while people edit"


def test_live_text_that_is_not_json_cannot_be_sent(shown: Presentation) -> None:
    shown.live.value = True
    shown.buttons["alice", "reads"].click()
    shown.editors["alice"].value += "}"
    assert shown.buttons["alice", "puts"].disabled
    assert "text is not JSON" in shown._notice.value
    shown.editors["alice"].value = shown.editors["alice"].value[:-1]
    assert not shown.buttons["alice", "puts"].disabled
