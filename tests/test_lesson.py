"""The checks of the exercises: each names the step that is missing, and the folded answers solve them.

Also what the first five notebooks promise: ten minutes, a few ideas, and rules marked with their source.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from workbench import lesson

ROOT = Path(__file__).parents[1]
FLAG = ("Flag", "3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1")
LIST = ("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")


def start(policy: str = "SPINE") -> wb.Endpoint:
    return wb.Endpoint.in_process(policy=policy, clock=wb.LESSON_START, seed=0)


# --- each step in turn ---


def test_an_exercise_that_does_not_exist_is_named() -> None:
    with pytest.raises(wb.BadInput, match=r"no exercise '99'; choose one of 00, 01"):
        lesson.check("99", [])


def test_a_check_is_shown_as_one_sentence() -> None:
    unsolved, solved = lesson.Check("00", "a read"), lesson.Check("00", "")
    assert (repr(unsolved), unsolved.solved) == ("Still missing: a read.", False)
    assert (repr(solved), solved.solved) == ("Solved.", True)


def test_00_asks_for_a_read_then_an_update_then_the_status() -> None:
    spine = start()
    you = spine.client("you")

    def missing() -> str:
        return lesson.check("00", spine.journal).missing

    assert missing().startswith("a read of the Flag")
    spine.client("alice").read(*FLAG)
    assert missing().startswith("a read of the Flag"), "another client's exchanges do not count"

    read = you.read(*FLAG)
    assert missing().startswith("an update of the Flag")
    you.update(read.resource | {"status": "inactive"})
    assert missing().startswith('the status "active"')
    you.update(read.resource, if_match=read.etag)
    assert missing().startswith("the current version; your last update got 409")
    you.update(read.resource, if_match=None)
    assert missing().startswith("a usable If-Match; your last update got 412")
    you.update(read.resource | {"status": "paused"})
    assert missing().startswith("an accepted update; your last one got 422, because Flag.status")
    you.send("PUT", "/".join(FLAG), headers={"If-Match": you.last_seen(*FLAG)}, body="{")
    assert missing().startswith("an accepted update; your last one got 4")
    you.update(read.resource)
    assert missing() == ""


def test_an_update_without_an_answer_is_named_as_such() -> None:
    spine = start()
    you = spine.client("you")
    read = you.read(*FLAG)
    spine.set_faults("drop-answer:update:times=1")
    you.update(read.resource)
    assert "your last one got no answer, because" in lesson.check("00", spine.journal).missing


def test_01_asks_for_the_capability_statement_before_the_update() -> None:
    spine = start()
    you = spine.client("you")
    flag = you.read(*FLAG).resource | {"status": "inactive"}
    you.search("Flag", patient="9990000018")
    you.update(flag, prefer="representation")

    steps = []
    for act in (
        you.capabilities,
        lambda: you.search("Flag", patient="9990000018"),
        lambda: you.update(flag | {"meta": {"versionId": "mine"}}, keep_meta=True),
        lambda: you.update(flag | {"status": "active"}),
        lambda: you.update(flag),
        lambda: you.update(flag, prefer="representation"),
    ):
        steps.append(lesson.check("01", spine.journal).missing)
        act()
    assert [step.split(",")[0] for step in steps] == [
        "the CapabilityStatement",
        "a search for the Flag",
        "an update of the Flag that you found",
        "an update without meta.versionId in its body",
        'the status "inactive" in the Flag that you sent',
        'the stored Flag in the answer; send your update with prefer="representation"',
    ]
    assert lesson.check("01", spine.journal).solved


@pytest.mark.parametrize(
    ("schedule", "missing"),
    [
        ("alice reads, alice puts", "a put by alice and a put by bob"),
        ("alice reads, alice puts, bob reads, bob puts", "a lost update"),
        ("alice reads, bob reads, alice puts, bob puts", "the loss of bob's update; this schedule loses the update"),
        ("alice reads, bob reads, bob puts, alice puts", ""),
        ("carol reads, bob reads, alice reads, alice puts, bob puts, carol puts", ""),
    ],
)
def test_02_asks_for_the_loss_of_bobs_update(schedule: str, missing: str) -> None:
    found = lesson.check("02", wb.play(schedule, start("UNPROTECTED"))).missing
    assert found.startswith(missing)
    assert bool(found) == bool(missing)


def test_03_asks_for_both_entries_and_bobs_title() -> None:
    spine = start()
    you, bob = spine.client("you"), spine.client("bob")

    def with_entry(resource: dict[str, Any], need: str, **changed: str) -> dict[str, Any]:
        return resource | {"entry": [*resource["entry"], {"item": {"display": need}}]} | changed

    def missing() -> str:
        return lesson.check("03", spine.journal).missing

    assert missing() == "the 409 after Bob's update; run the cell above"
    read = you.read(*LIST)
    mine = with_entry(read.resource, "Needs a quiet room", title="Mine")
    bob.read(*LIST)
    bob.update(with_entry(read.resource, "Comes with a carer", title="Bob's"))
    you.update(mine)
    assert missing().startswith("a new read of the List after the 409")

    fresh = you.read(*LIST).resource
    assert missing().startswith("an update with the merged List")
    you.update(mine, if_match=read.etag)
    assert missing().startswith("the current version")
    you.update(mine)
    assert missing() == "Bob's entry Comes with a carer"
    you.update(fresh)
    assert missing() == "your entry Needs a quiet room"
    you.update(with_entry(fresh, "Needs a quiet room", title="Mine"))
    assert missing().startswith("Bob's title")
    you.update(with_entry(fresh, "Needs a quiet room"))
    assert missing() == ""


def test_04_asks_for_one_error_after_the_other() -> None:
    spine = start()
    you = spine.client("you")

    def missing() -> str:
        return lesson.check("04", spine.journal).missing

    flag = you.read(*FLAG).resource
    assert missing() == "the 412; run the cell above"
    you.update(flag | {"status": "paused"}, if_match=None)
    assert missing().startswith("an update with the right If-Match and the same draft")
    you.update(flag | {"status": "paused"})
    assert missing().startswith("an accepted update; your last one got 422")
    you.update(flag)
    assert missing().startswith("the confirmation in the answer")
    you.update(flag, prefer="OperationOutcome")
    assert missing() == ""


# --- the notebooks ---


def cells(number: str, kind: str) -> list[str]:
    (path,) = (ROOT / "notebooks").glob(f"{number}-*.ipynb")
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


each_exercise = pytest.mark.parametrize("number", lesson.EXERCISES)


@each_exercise
def test_the_folded_answer_solves_the_exercise(number: str) -> None:
    """The notebook's code runs as it stands and the check finds something missing; with the answer, nothing."""
    (answer,) = re.findall(r"<details>.*?```python\n(.*?)```.*?</details>", cells(number, "markdown")[-1], re.DOTALL)
    scope: dict[str, Any] = {}
    checks = []
    try:
        for code in cells(number, "code"):
            if not code.startswith("wb.lesson.check("):
                exec(compile(ast.parse(code), f"notebook {number}", "exec"), scope)
                continue
            checks.append(eval(code, scope))
            exec(compile(ast.parse(answer), f"answer {number}", "exec"), scope)
            checks.append(eval(code, scope))
    finally:
        for endpoint in [value for value in scope.values() if isinstance(value, wb.Endpoint)]:
            endpoint.stop()
    assert [(each.exercise, each.solved) for each in checks] == [(number, False), (number, True)]


@each_exercise
def test_it_takes_ten_minutes_and_names_its_ideas(number: str) -> None:
    opening = cells(number, "markdown")[0]
    assert "**Time:** ten minutes" in opening
    assert 3 <= len(re.findall(r"^\* ", opening, re.MULTILINE)) <= 6


@each_exercise
def test_it_is_small(number: str) -> None:
    (path,) = (ROOT / "notebooks").glob(f"{number}-*.ipynb")
    assert path.stat().st_size < 150_000


MARKS = {
    "guide": {"S", "C", "R", "D", "V", "E", "G"},
    "FHIR": {"F"},
    "RFC": {"H", "9111", "7240"},
    "our choice": {"W"},
}
"""The mark that a notebook gives to a rule, and the sources in the contract that allow it."""

SOURCES = {promise.id: set(promise.sources) for promise in wb.PROMISES}


@pytest.mark.parametrize("number", ["01", "04"])
def test_every_rule_is_marked_with_one_of_its_sources(number: str) -> None:
    text = "\n".join(cells(number, "markdown"))
    named = re.findall(r"\*\*([A-Z]+-\d+)\*\*", text)
    marked = re.findall(r"\*\*([A-Z]+-\d+)\*\*, \*([^*]+)\*", text)
    assert len(named) >= 8
    assert named == [rule for rule, _ in marked]
    assert [(rule, mark) for rule, mark in marked if not MARKS[mark] & SOURCES[rule]] == []


def test_the_glossary_explains_every_verdict() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    assert [verdict for verdict in wb.Verdict if f"| *{verdict.value}* |" not in page] == []
