"""The merge view without a browser: its rows, its choices, and what happens after it is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from workbench import BadInput, Merge, Side, merge
from workbench.widgets.merge import MergeView
from workbench.widgets.private import Widgets

BASE: dict[str, Any] = {"resourceType": "List", "id": "1", "title": "base", "status": "current"}
MINE = BASE | {"title": "mine", "status": "retired"}
THEIRS = BASE | {"title": "theirs", "mode": "working"}


@pytest.fixture
def view() -> MergeView:
    made = MergeView(Widgets(private=False))
    made.show(merge(BASE, MINE, THEIRS))
    return made


def test_the_conflict_comes_first_and_is_open(view: MergeView) -> None:
    assert (view.rows[0].decision.path, view.rows[0].choice.value) == ("title", None)
    assert view.merge is not None
    assert len(view.merge.conflicts) == 1
    assert "1 open conflict" in view.children[1].value


@pytest.mark.parametrize(
    ("choice", "title"),
    [("mine", "mine"), (Side.THEIRS, "theirs"), ("another title", "another title"), (5, 5), (None, None)],
)
def test_a_choice_decides_and_is_reported(view: MergeView, choice: Any, title: object) -> None:
    reported: list[Merge] = []
    view.on_change(reported.append)
    view.choose("title", choice)
    assert reported[-1] is view.merge
    assert reported[-1].draft().get("title") == title
    assert "no open conflict. You decided 1 conflict." in view.children[1].value


def test_a_typed_value_that_is_not_json_leaves_the_conflict_open(view: MergeView) -> None:
    view.choose("title", "good")
    view.rows[0].text.value = "no quotation marks"
    assert view.merge is not None
    assert len(view.merge.conflicts) == 1
    assert "a string needs quotation marks" in view.rows[0].children[2].value
    view.rows[0].choice.value = "theirs"
    assert view.rows[0].children[2].value == ""


def test_a_path_without_a_decision_is_refused(view: MergeView) -> None:
    with pytest.raises(BadInput, match="There is no decision at 'code'"):
        view.choose("code", "mine")


def test_a_large_merge_shows_only_its_first_rows() -> None:
    names = [f"element{number:02d}" for number in range(45)]
    view = MergeView(Widgets(private=False))
    view.show(merge(BASE, BASE | dict.fromkeys(names, "mine"), BASE | dict.fromkeys(names, "theirs")))
    assert len(view.rows) == 40
    assert "and 5 more" in view.children[-1].value


def test_a_choice_that_arrives_after_hiding_changes_nothing(view: MergeView) -> None:
    row = view.rows[0]
    view.hide()
    row.choice.value = "mine"
    assert (view.merge, view.rows, view.layout.display) == (None, [], "none")
