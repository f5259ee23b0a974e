"""The kernel's half of the editor: what it accepts, what it sends, what it says of itself."""

from collections.abc import Callable
from typing import Any

import pytest

from workbench.widgets.editor import JsonEditor, utf16_offset


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Callable[[JsonEditor], list[dict[str, Any]]]:
    """Record what a widget sends to the browser from now on."""

    def record(editor: JsonEditor) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        monkeypatch.setattr(editor.comm, "send", lambda data, **_: messages.append(data))
        return messages

    return record


def browser_says(editor: JsonEditor, **content: object) -> None:
    editor._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def state(editor: JsonEditor, name: str) -> Any:
    """What a page that opens now would read."""
    return editor.get_state(name)[name]


def test_typed_text_becomes_the_value_and_is_observed() -> None:
    editor = JsonEditor("{}")
    seen: list[str] = []
    editor.observe(lambda change: seen.append(change.new), "value")
    browser_says(editor, kind="text", text='{"a": 1}', revision=1, edit="p-1")
    assert editor.value == '{"a": 1}'
    assert seen == ['{"a": 1}']


def test_typed_text_is_not_sent_back(sent: Any) -> None:
    editor = JsonEditor("{}")
    messages = sent(editor)
    browser_says(editor, kind="text", text="[1]", revision=1, edit="p-1")
    assert [message["content"] for message in messages] == [{"kind": "edited", "revision": 1, "edit": "p-1"}]


def test_a_page_that_opens_later_reads_the_typed_text() -> None:
    editor = JsonEditor("{}")
    browser_says(editor, kind="text", text="[1]", revision=1, edit="p-1")
    assert state(editor, "document") == {"text": "[1]", "revision": 1, "edit": "p-1"}


def test_a_page_that_is_behind_can_ask_for_the_text(sent: Any) -> None:
    editor = JsonEditor("{}")
    browser_says(editor, kind="text", text="[1]", revision=1, edit="p-1")
    messages = sent(editor)
    browser_says(editor, kind="want")
    assert messages == [{"method": "custom", "content": {"kind": "text", "text": "[1]", "revision": 1, "edit": "p-1"}}]


def test_assigning_sends_the_document_under_a_new_revision(sent: Any) -> None:
    editor = JsonEditor("{}")
    messages = sent(editor)
    editor.value = "[2]"
    assert [message["state"] for message in messages] == [{"document": {"text": "[2]", "revision": 2, "edit": ""}}]


def test_text_typed_into_a_replaced_document_is_dropped() -> None:
    editor = JsonEditor("{}")
    editor.value = "[2]"
    browser_says(editor, kind="text", text="late", revision=1, edit="p-1")
    assert editor.value == "[2]"


def test_an_observer_that_rewrites_typed_text_counts_as_python() -> None:
    editor = JsonEditor("{}")
    editor.observe(lambda change: editor.set_trait("value", change.new.strip()), "value")
    browser_says(editor, kind="text", text=" [3] ", revision=1, edit="p-1")
    assert state(editor, "document") == {"text": "[3]", "revision": 2, "edit": ""}


def test_the_same_text_twice_leaves_the_next_assignment_in_order() -> None:
    editor = JsonEditor("{}")
    browser_says(editor, kind="text", text="{}", revision=1, edit="p-1")
    editor.value = "[4]"
    assert state(editor, "document") == {"text": "[4]", "revision": 2, "edit": ""}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "text"},
        {"kind": "text", "text": 1, "revision": 1, "edit": "p-1"},
        {"kind": "text", "text": "x", "revision": "1", "edit": "p-1"},
        {"kind": "unheard of"},
    ],
)
def test_a_malformed_message_changes_nothing(content: dict[str, object]) -> None:
    editor = JsonEditor("{}")
    browser_says(editor, **content)
    assert state(editor, "document") == {"text": "{}", "revision": 1, "edit": ""}


def test_submit_calls_back_with_the_editor() -> None:
    editor = JsonEditor("{}")
    texts: list[str] = []
    editor.on_submit(lambda submitted: texts.append(submitted.value))
    browser_says(editor, kind="text", text="[5]", revision=1, edit="p-1")
    browser_says(editor, kind="submit")
    assert texts == ["[5]"]


def test_diagnostics_are_stamped_with_the_text_they_are_about() -> None:
    editor = JsonEditor("{}")
    browser_says(editor, kind="text", text="[x]", revision=1, edit="p-7")
    finding = {"from": 1, "to": 2, "severity": "error", "message": "not JSON"}
    editor.diagnostics = [finding]  # type: ignore[list-item]
    assert state(editor, "_diagnostics") == {"revision": 1, "edit": "p-7", "items": [finding]}
    assert editor.diagnostics == [finding]


def test_equal_diagnostics_are_sent_again_for_another_text(sent: Any) -> None:
    editor = JsonEditor("{}")
    finding = {"from": 1, "to": 2, "severity": "error", "message": "not JSON"}
    editor.diagnostics = [finding]  # type: ignore[list-item]
    browser_says(editor, kind="text", text="[x]", revision=1, edit="p-1")
    messages = sent(editor)
    editor.diagnostics = [finding]  # type: ignore[list-item]
    assert [message["state"]["_diagnostics"]["edit"] for message in messages] == ["p-1"]


@pytest.mark.parametrize(
    ("text", "offset", "expected"),
    [
        ("", 0, 0),
        ("abc", 2, 2),
        ("naïve", 5, 5),
        ("😀b", 0, 0),
        ("😀b", 1, 2),
        ("a😀𠀀b", 3, 5),
    ],
)
def test_offsets_are_counted_as_the_browser_counts(text: str, offset: int, expected: int) -> None:
    assert utf16_offset(text, offset) == expected
    assert utf16_offset(text, offset) == len(text[:offset].encode("utf-16-le")) // 2


def test_line_ends_are_the_editors_so_that_offsets_agree() -> None:
    assert JsonEditor("a\r\nb\rc\n").value == "a\nb\nc\n"


def test_a_lone_surrogate_is_replaced_without_moving_anything() -> None:
    assert JsonEditor("a\ud800b").value == "a?b"


def test_the_text_is_not_among_the_synced_traits() -> None:
    assert "value" not in JsonEditor("{}").keys


def test_it_says_how_long_the_text_is_and_not_what_it_says() -> None:
    editor = JsonEditor('{"secret": "token"}')
    assert repr(editor) == "JsonEditor(19 characters)"
    assert editor._repr_mimebundle_()[0]["text/plain"] == repr(editor)  # type: ignore[index]
