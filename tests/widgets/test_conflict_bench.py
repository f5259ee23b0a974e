"""The conflict bench without a browser: what its buttons do, and what each side shows afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from workbench import BadInput, ConflictBench, Endpoint


@pytest.fixture
def bench() -> Iterator[ConflictBench]:
    made = ConflictBench()
    yield made
    for play in (made.locked, made.unlocked):
        play.endpoint.stop()


def press(bench: ConflictBench, *steps: str) -> None:
    for step in steps:
        who, does = step.split()
        bench.buttons[who, does].click()


def scenes(bench: ConflictBench) -> list[dict[str, Any]]:
    return [stage.shown["scene"] for stage in bench.stages]


STORY = ("alice reads", "bob reads", "alice edits", "bob edits", "alice puts", "bob puts")


def test_the_story_by_its_buttons(bench: ConflictBench) -> None:
    press(bench, *STORY)
    assert (bench.locked.statuses, bench.unlocked.statuses) == ((200, 409), (200, 200))
    locked, unlocked = scenes(bench)
    assert "nothing was lost" in locked["outcome"][0]
    assert "Alice's entry is lost" in unlocked["outcome"][0]
    assert unlocked["server"]["lost"] == [{"text": "Needs a hearing loop", "whose": "Alice"}]


def test_the_caption_says_what_was_sent_and_the_small_print_has_the_etag(bench: ConflictBench) -> None:
    press(bench, *STORY)
    locked, unlocked = scenes(bench)
    assert locked["caption"] == "Bob sends If-Match: v1. The server has v2. 409 Conflict: nothing is stored."
    assert 'If-Match: W/"' in locked["wire"]
    assert "v3 replaces v2, which Bob has not read" in unlocked["caption"]
    assert locked["server"]["version"]["name"] == "v2"
    assert [person["acts"] for person in locked["people"]] == [False, True]


def test_the_step_button_and_the_key_follow_the_schedule(bench: ConflictBench) -> None:
    bench.step_button.click()
    bench.stages[0]._handle_custom_msg({"kind": "next"}, [])
    assert bench.locked.steps == (("alice", "reads"), ("bob", "reads"))
    states = [step["state"] for step in scenes(bench)[0]["steps"]]
    assert states == ["done", "current", *["next"] * 7]
    for _ in range(9):
        bench.step()
    assert bench.locked.statuses == (200, 409, 200)
    assert "both entries are there" in scenes(bench)[0]["outcome"][0]


def test_presenting_takes_the_place_of_the_bench(bench: ConflictBench) -> None:
    bench.stages[0]._handle_custom_msg({"kind": "present"}, [])
    assert bench.presentation is not None
    assert bench.children == (bench.presentation,)
    bench.presentation.stage._handle_custom_msg({"kind": "leave"}, [])
    assert bench.presentation is None
    assert len(bench.children) > 1


def test_what_cannot_be_done_yet_cannot_be_pressed(bench: ConflictBench) -> None:
    assert [step for step, button in bench.buttons.items() if not button.disabled] == [
        ("alice", "reads"),
        ("bob", "reads"),
    ]
    press(bench, "alice reads")
    assert not bench.buttons["alice", "puts"].disabled
    assert bench.buttons["bob", "puts"].disabled


def test_restart_gives_the_same_story_again(bench: ConflictBench) -> None:
    press(bench, *STORY)
    first = (scenes(bench), bench.locked.endpoint.journal.rows())
    bench.restart_button.click()
    assert "Nothing has been sent yet" in scenes(bench)[0]["outcome"][0]
    press(bench, *STORY)
    assert (scenes(bench), bench.locked.endpoint.journal.rows()) == first


def test_after_a_409_reading_again_keeps_both(bench: ConflictBench) -> None:
    bench.play("alice reads, bob reads, alice puts, bob puts, bob reads, bob edits, bob puts")
    assert bench.locked.statuses == (200, 409, 200)
    assert "both entries are there" in scenes(bench)[0]["outcome"][0]


def test_a_step_out_of_order_is_one_sentence_and_an_unknown_schedule_is_refused(bench: ConflictBench) -> None:
    bench.take("alice", "puts")
    assert "Alice puts before having read" in bench._notice.value
    with pytest.raises(BadInput, match="names 'dave'"):
        bench.play("dave reads")


def test_an_endpoint_of_ones_own_gets_a_list_of_its_own() -> None:
    with Endpoint.in_process() as endpoint:
        bench = ConflictBench(endpoint)
        bench.play()
        assert bench.locked.statuses == (200, 409, 200)
        assert bench.locked.target[1] != "744eec7d-8951-4722-ad74-dc34e86d4e1a"


def test_a_second_click_on_play_starts_nothing_and_stop_stops(bench: ConflictBench) -> None:
    async def story() -> None:
        bench.play_button.click()
        first = bench._playing
        assert first is not None
        bench.play_button.click()
        assert bench._playing is first
        await asyncio.sleep(0)  # the first step is taken, and the task waits
        assert bench.play_button.disabled
        bench.stop_button.click()
        await asyncio.gather(first, return_exceptions=True)

    asyncio.run(story())
    assert bench.locked.steps == (("alice", "reads"),)
    assert not bench.play_button.disabled


def test_the_diagrams_are_shown_on_request(bench: ConflictBench) -> None:
    press(bench, *STORY)
    assert "With the lock" in bench._with_sequence.value
    bench.show_sequences.value = True
    assert bench.children[-1].layout.display == "grid"
    bench.show_sequences.value = False
    assert bench.children[-1].layout.display == "none"
