"""The kernel's half of the table: which rows it sends, under which numbers."""

import json
import threading
from typing import Any

import pytest

from workbench.widgets.table import Cell, Column, LiveTable

COLUMNS: list[Column] = [{"key": "status", "title": "Status", "align": "right"}, {"key": "url", "title": "URL"}]


class Recorded:
    """A table, and what it has sent to the browser."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.table = LiveTable(COLUMNS)
        self.messages: list[dict[str, Any]] = []
        monkeypatch.setattr(self.table.comm, "send", lambda data, **_: self.messages.append(data["content"]))

    def browser_says(self, **content: object) -> None:
        data = {"method": "custom", "content": content}
        self.table._handle_msg({"content": {"data": data}, "buffers": []})

    def spans(self) -> list[tuple[int, int, int]]:
        """Say of each message: generation, first row, number of rows."""
        spans = [(each["generation"], each["start"], len(each["rows"])) for each in self.messages]
        self.messages.clear()
        return spans


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


def rows(count: int) -> list[dict[str, int]]:
    return [{"status": number} for number in range(count)]


def test_only_what_is_new_is_sent(recorded: Recorded) -> None:
    recorded.table.append(rows(3))
    recorded.table.append([{"status": 412, "url": "/Flag/1"}])
    assert recorded.messages[-1] == {
        "kind": "rows",
        "generation": 0,
        "start": 3,
        "rows": [{"status": 412, "url": "/Flag/1"}],
    }


def test_many_rows_go_in_chunks(recorded: Recorded) -> None:
    recorded.browser_says(kind="want", generation=0, start=0)
    recorded.messages.clear()
    recorded.table.append(rows(2500))
    assert recorded.spans() == [(0, 0, 1000), (0, 1000, 1000), (0, 2000, 500)]


def test_many_rows_are_sent_once_when_the_first_page_asks(recorded: Recorded) -> None:
    recorded.table.append(rows(2500))
    recorded.table.append(rows(10))
    assert recorded.spans() == [(0, 2500, 10)], "few rows are sent at once, so that a listening page shows them"
    recorded.browser_says(kind="want", generation=0, start=0)
    assert recorded.spans() == [(0, 0, 1000), (0, 1000, 1000), (0, 2000, 510)]


def test_a_page_gets_what_it_lacks(recorded: Recorded) -> None:
    recorded.table.append(rows(1200))
    recorded.messages.clear()
    recorded.browser_says(kind="want", generation=0, start=0)
    assert recorded.spans() == [(0, 0, 1000), (0, 1000, 200)]
    recorded.browser_says(kind="want", generation=0, start=1150)
    assert recorded.spans() == [(0, 1150, 50)]


def test_a_page_of_an_older_generation_gets_everything(recorded: Recorded) -> None:
    recorded.table.append(rows(10))
    recorded.table.replace(rows(4))
    recorded.messages.clear()
    recorded.browser_says(kind="want", generation=0, start=10)
    assert recorded.spans() == [(1, 0, 4)]


def test_replacing_begins_a_generation_even_with_nothing(recorded: Recorded) -> None:
    recorded.table.append(rows(2))
    recorded.messages.clear()
    recorded.table.replace([])
    assert recorded.spans() == [(1, 0, 0)]
    assert len(recorded.table) == 0


def test_it_holds_what_it_was_given_for_reading_only() -> None:
    table = LiveTable(COLUMNS)
    given: dict[str, Cell] = {"status": 200, "_key": "a", "body": "kept, not shown"}
    table.append([given])
    given["status"] = 500
    (row,) = table.rows
    assert dict(row) == {"status": 200, "_key": "a", "body": "kept, not shown"}
    with pytest.raises(TypeError):
        row["status"] = 1  # type: ignore[index]


def test_only_columns_and_tone_reach_the_browser(recorded: Recorded) -> None:
    recorded.table.append([{"status": 200, "url": None, "_tone": "good", "_key": "a", "authorization": "Bearer x"}])
    assert recorded.messages[-1]["rows"] == [{"status": 200, "_tone": "good"}]


@pytest.mark.parametrize(
    ("cell", "sent"),
    [
        ("<b>", "<b>"),
        ("a\ud800", "a?"),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (2**53 - 1, 2**53 - 1),
        (2**53, "9007199254740992"),
        (True, "True"),
    ],
)
def test_each_cell_is_sent_in_a_form_that_shows_as_it_is(recorded: Recorded, cell: Any, sent: Any) -> None:
    recorded.table.append([{"status": cell}])
    (row,) = recorded.messages[-1]["rows"]
    assert row == {"status": sent}
    json.dumps(row, allow_nan=False, ensure_ascii=False).encode()


def test_a_cell_of_another_kind_is_refused_before_anything_changes(recorded: Recorded) -> None:
    with pytest.raises(TypeError, match="not dict"):
        recorded.table.append([{"status": 200}, {"status": {}}])  # type: ignore[dict-item]
    assert len(recorded.table) == 0
    assert recorded.messages == []


def test_a_chosen_row_calls_back_with_its_place(recorded: Recorded) -> None:
    chosen: list[int] = []
    recorded.table.on_select(chosen.append)
    recorded.table.append(rows(5))
    recorded.browser_says(kind="select", generation=0, index=3)
    assert chosen == [3]


@pytest.mark.parametrize("content", [{"generation": 0, "index": 5}, {"generation": 1, "index": 0}, {"index": "0"}])
def test_a_choice_of_a_row_that_is_not_there_is_dropped(recorded: Recorded, content: dict[str, object]) -> None:
    chosen: list[int] = []
    recorded.table.on_select(chosen.append)
    recorded.table.append(rows(5))
    recorded.browser_says(kind="select", **content)
    assert chosen == []


def test_rows_from_several_threads_keep_their_numbers(recorded: Recorded) -> None:
    def work() -> None:
        for _ in range(50):
            recorded.table.append(rows(1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [message["start"] for message in recorded.messages] == list(range(200))


def test_the_rows_are_not_among_the_synced_traits() -> None:
    table = LiveTable(COLUMNS)
    table.append([{"url": "only-by-message"}])
    assert "only-by-message" not in json.dumps({key: str(value) for key, value in table.get_state().items()})


def test_an_empty_table_is_still_true() -> None:
    assert LiveTable(COLUMNS)


def test_it_says_how_many_rows_it_has() -> None:
    table = LiveTable(COLUMNS)
    table.append(rows(2))
    assert repr(table) == "LiveTable(2 rows)"
    assert table._repr_mimebundle_()[0]["text/plain"] == repr(table)  # type: ignore[index]
