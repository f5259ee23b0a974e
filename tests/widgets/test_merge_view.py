"""The merge view without a browser: what it sends to the page, its choices, and what happens after it is hidden."""

from __future__ import annotations

from typing import Any

import pytest

from workbench import BadInput, Client, Endpoint, Merge, Side, Workbench, merge
from workbench.fhir import json
from workbench.widgets.merge import MOST_ROWS, MergeView

BASE: dict[str, Any] = {"resourceType": "List", "id": "1", "title": "the base title", "status": "current"}
MINE = BASE | {"title": "the base title of mine", "status": "retired"}
THEIRS = BASE | {"title": "the other title", "mode": "working"}


class Page:
    """A page that shows the view: what it was sent, and what it sends."""

    def __init__(self, view: MergeView) -> None:
        self.view, self.sent = view, list[dict[str, Any]]()
        view.send = self._receive  # type: ignore[method-assign]

    def _receive(self, content: dict[str, Any], buffers: object = None) -> None:
        self.sent.append(content)

    def says(self, **message: object) -> None:
        self.view._handle_custom_msg(message, [])

    def last(self, kind: str) -> dict[str, Any]:
        return next(message for message in reversed(self.sent) if message["kind"] == kind)


@pytest.fixture
def page() -> Page:
    page = Page(MergeView())
    page.view.show(merge(BASE, MINE, THEIRS))
    return page


def test_the_conflict_is_open_and_what_one_side_changed_is_folded(page: Page) -> None:
    shown = page.last("show")
    assert [(row["path"], row["kind"]) for row in shown["rows"]] == [("title", "conflict")]
    assert [fold["title"] for fold in shown["folds"]] == ["1 only theirs, taken", "1 only mine, kept"]
    state = page.last("state")
    assert (state["choices"], state["progress"]) == ({"0": {}}, "0 of 1 decided")
    assert state["summary"][0].startswith("1 open conflict, ")


def test_a_fold_is_sent_when_it_is_opened(page: Page) -> None:
    page.says(kind="unfold", name="only theirs")
    (row,) = page.last("fold")["rows"]
    assert row["path"] == "mode"
    assert page.last("state")["choices"][str(row["index"])] == {"choice": "theirs"}


def test_values_are_compared_word_by_word(page: Page) -> None:
    (row,) = page.last("show")["rows"]
    assert row["values"] == {
        "base": [("same", '"the base title"')],
        "mine": [("same", '"the base title'), ("added", " of mine"), ("same", '"')],
        "theirs": [("same", '"the '), ("removed", "base"), ("added", "other"), ("same", ' title"')],
    }


@pytest.mark.parametrize(
    ("choice", "title"),
    [("mine", MINE["title"]), (Side.THEIRS, THEIRS["title"]), ("another title", "another title"), (5, 5), (None, None)],
)
def test_a_choice_decides_and_is_reported(page: Page, choice: Any, title: object) -> None:
    reported: list[Merge] = []
    page.view.on_change(reported.append)
    page.view.choose("title", choice)
    assert reported[-1] is page.view.merge
    assert reported[-1].apply().get("title") == title
    assert "no open conflict. You decided 1 conflict." in page.last("state")["summary"][0]
    assert page.last("state")["progress"] == "1 of 1 decided"


def test_edit_decides_only_once_something_was_edited(page: Page) -> None:
    assert page.view.merge is not None
    page.says(kind="choose", index=0, choice="edit")
    assert len(page.view.merge.conflicts) == 1
    state = page.last("state")["choices"]["0"]
    assert (state["choice"], state["text"]) == ("edit", '"the base title of mine"')
    assert "Change the value to decide" in state["problem"]
    page.says(kind="choose", index=0, choice="edit", text="no quotation marks")
    assert "a string needs quotation marks" in page.last("state")["choices"]["0"]["problem"]
    assert len(page.view.merge.conflicts) == 1
    page.says(kind="choose", index=0, choice="edit", text='"both"')
    assert page.view.merge.apply()["title"] == "both"


@pytest.mark.parametrize("side", ["mine", "theirs"])
def test_all_conflicts_for_one_side_leave_the_rest_alone(page: Page, side: str) -> None:
    page.says(kind="all", side=side)
    assert page.view.merge is not None
    merged = page.view.merge.apply()
    assert merged["title"] == {"mine": MINE, "theirs": THEIRS}[side]["title"]
    assert (merged["status"], merged["mode"]) == ("retired", "working")


def test_an_undecided_place_is_marked_and_cannot_be_sent(page: Page) -> None:
    assert page.view.merge is not None
    text = json.dumps(page.view.merge.draft(), indent=2)
    assert THEIRS["title"] not in text
    ((path, start, end),) = page.view.undecided(text)
    assert (path, text[start:end]) == ("title", '"⟪undecided: title⟫"')
    with pytest.raises(BadInput, match="1 place is undecided: title"):
        page.view.check(text)
    page.view.check(text.replace("⟪undecided: title⟫", "by hand"))
    page.view.choose("title", "mine")
    with pytest.raises(BadInput, match="undecided"):
        page.view.check(text)  # undone in the editor


def test_marks_that_change_the_direction_of_writing_are_visible() -> None:
    page = Page(MergeView())
    page.view.show(merge(BASE, BASE | {"title": "a\u202egnp"}, BASE | {"title": "b\u2066"}))
    shown = str(page.last("show"))
    assert "\\\\u202egnp" in shown
    assert "\u202e" not in shown


def test_a_value_that_was_rewritten_is_not_taken_apart() -> None:
    page = Page(MergeView())
    page.view.show(merge(BASE, MINE, BASE | {"title": "Nothing that it said before"}))
    (row,) = page.last("show")["rows"]
    assert row["values"]["theirs"] == [("added", '"Nothing that it said before"')]


def test_a_path_without_a_decision_is_refused(page: Page) -> None:
    with pytest.raises(BadInput, match="There is no decision at 'code'"):
        page.view.choose("code", "mine")


def test_a_large_merge_shows_only_its_first_rows() -> None:
    names = [f"element{number:03d}" for number in range(MOST_ROWS + 5)]
    page = Page(MergeView())
    page.view.show(merge(BASE, BASE | dict.fromkeys(names, "mine"), BASE | dict.fromkeys(names, "theirs")))
    assert len(page.last("show")["rows"]) == MOST_ROWS
    assert page.last("show")["more"].startswith("… and 5 more")


def test_a_page_that_opens_later_is_sent_everything(page: Page) -> None:
    page.view.choose("title", "mine")
    page.sent.clear()
    page.says(kind="want")
    assert [message["kind"] for message in page.sent] == ["show", "state"]
    assert page.last("state")["choices"]["0"] == {"choice": "mine"}


def test_a_message_that_does_not_fit_changes_nothing(page: Page) -> None:
    before = page.view.merge
    for message in ({"index": 99, "choice": "mine"}, {"index": 0, "choice": "both"}, {"index": "0", "choice": "mine"}):
        page.says(kind="choose", **message)
    page.view.freeze(frozen=True)
    page.says(kind="choose", index=0, choice="mine")
    assert page.view.merge is before


def test_a_choice_that_arrives_after_hiding_changes_nothing(page: Page) -> None:
    page.view.hide()
    page.says(kind="choose", index=0, choice="mine")
    page.says(kind="all", side="mine")
    assert (page.view.merge, page.view.layout.display) == (None, "none")
    assert page.last("show")["rows"] == []


def test_no_value_is_part_of_the_state(page: Page) -> None:
    assert MINE["title"] not in str(page.view.get_state())


def test_the_workbench_marks_undecided_places_and_refuses_to_send_them(spine: Endpoint) -> None:
    alice: Client = spine.client("alice")
    bench, bob = Workbench(alice), spine.client("bob")
    bench.load("List", "744eec7d-8951-4722-ad74-dc34e86d4e1a")
    bob.update(bob.read(*bench.draft.name).resource | {"title": "Bob's"}).raise_for_verdict()  # type: ignore[misc]
    bench.editor.value = json.dumps(json.parse(bench.editor.value) | {"title": "Alice's"}, indent=2)
    bench.send()
    bench.compare()
    (mark,) = bench.editor.diagnostics
    assert mark["message"].startswith("Undecided: choose mine or theirs for title")
    bench.editor.value = bench.editor.value.replace("current", "retired")
    assert bench.send_button.disabled, "an edit elsewhere decides nothing"
    assert bench.send() is None
    assert "1 place is undecided: title" in str(bench._notice.value)
    bench.editor.value = bench.editor.value.replace("⟪undecided: title⟫", "Both")
    assert bench.editor.diagnostics == []
    put = bench.send()
    assert put is not None
    assert put.status == 200


def test_an_undecided_place_of_an_earlier_merge_is_not_sent_either() -> None:
    """A draft that the browser kept is put back without its merge, and may have been edited since."""
    with pytest.raises(BadInput, match="1 place is undecided: title"):
        MergeView().check('{"title": "⟪undecided: title⟫, reviewed"}')
