"""What widgets show on a live endpoint is in no state that a notebook could be saved with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import pytest
from privatekit import BENCH, PLANTED

from workbench import EndpointPicker
from workbench.widgets.editor import JsonEditor
from workbench.widgets.private import PrivateDropdown, PrivateHTML, PrivateText

Sent = Callable[[ipywidgets.Widget], list[dict[str, Any]]]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Record the content that a widget sends to the browser from now on."""

    def record(widget: ipywidgets.Widget) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        monkeypatch.setattr(widget.comm, "send", lambda data, **_: messages.append(data.get("content", data)))
        return messages

    return record


def browser_says(widget: ipywidgets.Widget, **content: object) -> None:
    widget._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture(scope="module")
def scene() -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(BENCH, names)  # the same text is a notebook's cell elsewhere
    yield names
    names["spine"].stop()


def states(widget: ipywidgets.Widget) -> dict[str, str]:
    """The state of every widget in this one, by its type and number, as a page or a file is given it."""
    found: dict[str, ipywidgets.Widget] = {}
    waiting = [widget]
    while waiting:
        each = waiting.pop()
        if each.model_id in found:
            continue
        found[each.model_id] = each
        for value in (getattr(each, name) for name in each.keys):
            parts = value if isinstance(value, list | tuple) else [value]
            waiting += [part for part in parts if isinstance(part, ipywidgets.Widget)]
    assert len(found) > 10
    return {
        f"{type(each).__name__} {number}": json.dumps(each.get_state(), default=str)
        for number, each in enumerate(found.values())
    }


def with_the_name(widget: ipywidgets.Widget) -> list[str]:
    return [name for name, state in states(widget).items() if PLANTED in state]


def test_a_live_bench_shows_it_and_its_state_does_not_hold_it(scene: dict[str, Any]) -> None:
    bench = scene["show_everything"](scene["LIVE"])
    html = (bench._changes, bench._request, bench._answer, bench._sequence)
    shown = (*html, bench.messages.request)
    assert PLANTED in str([getattr(each, "value", "") for each in shown])
    assert PLANTED in bench.editor.value
    assert PLANTED in str(bench.merge_view.merge)
    assert PLANTED in bench.found.options[0][0]
    assert with_the_name(bench) == []
    assert bench.logical_id.value not in states(bench), "an id can be somebody's number"
    table = scene["checked"](scene["LIVE"])
    assert PLANTED in table._evidence.value
    assert with_the_name(table) == []


def test_on_this_machine_the_state_holds_it(scene: dict[str, Any]) -> None:
    bench = scene["show_everything"](scene["spine"].client("me"))
    assert {name.split()[0] for name in with_the_name(bench)} == {"Dropdown", "HTML", "JsonEditor"}


def test_what_a_trial_says_is_in_no_state() -> None:
    picker = EndpointPicker()
    picker._show_notice(PLANTED)
    assert with_the_name(picker) == []


def test_html_is_sent_to_whoever_asks_and_when_it_changes(sent: Sent) -> None:
    widget = PrivateHTML("<p>one</p>")
    messages = sent(widget)
    browser_says(widget, kind="want")
    widget.value = "<p>two</p>"
    assert messages == [{"kind": "content", "html": "<p>one</p>"}, {"kind": "content", "html": "<p>two</p>"}]


def test_typed_text_is_not_sent_back_but_what_an_observer_makes_of_it_is(sent: Sent) -> None:
    widget = PrivateText("a")
    messages = sent(widget)
    browser_says(widget, kind="value", value="b")
    assert (widget.value, messages) == ("b", [])
    browser_says(widget, kind="value", value="b")
    widget.observe(lambda _: setattr(widget, "value", "mine"), "value")
    browser_says(widget, kind="value", value="c")
    assert (widget.value, messages) == ("mine", [{"kind": "content", "value": "mine"}])


def test_a_choice_is_made_by_its_place(sent: Sent) -> None:
    widget = PrivateDropdown()
    messages = sent(widget)
    widget.options = [("pick one", ""), ("One", "1"), ("Two", "2")]
    assert widget.value == ""
    assert messages[-1] == {"kind": "content", "labels": ["pick one", "One", "Two"], "index": 0}
    browser_says(widget, kind="index", index=2)
    assert widget.value == "2"
    widget.value = "1"
    assert messages[-1]["index"] == 1


@pytest.mark.parametrize(
    "message", [{"kind": "index", "index": 9}, {"kind": "index", "index": None}, {"kind": "value"}, {"kind": "?"}, {}]
)
@pytest.mark.parametrize("kind", [PrivateText, PrivateDropdown, PrivateHTML])
def test_what_a_page_does_not_say_changes_nothing(kind: type[Any], message: dict[str, Any]) -> None:
    widget = kind()
    before = widget.value
    browser_says(widget, **message)
    assert widget.value == before


def test_a_private_editor_sends_its_text_in_messages(sent: Sent) -> None:
    editor = JsonEditor("{}", private=True)
    messages = sent(editor)
    browser_says(editor, kind="want")
    editor.value = '{"a": 1'
    editor.diagnostics = [{"from": 0, "to": 1, "severity": "error", "message": PLANTED}]
    found = [message for message in messages if message.get("kind")]
    assert [message["kind"] for message in found] == ["text", "diagnostics", "text", "diagnostics"]
    assert (found[2]["text"], found[2]["revision"], found[3]["revision"]) == ('{"a": 1', 2, 2)
    assert PLANTED not in json.dumps([message for message in messages if not message.get("kind")])
    assert editor.get_state("document")["document"] == {"text": "", "revision": -1, "edit": ""}
    assert editor.diagnostics[0]["message"] == PLANTED
