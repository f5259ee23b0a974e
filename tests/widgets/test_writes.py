"""The switch and the picker: a live endpoint is written to only while its name is switched on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import Client, Connection, Endpoint, EndpointPicker, Workbench, WriteNotAllowed
from workbench.widgets.draft import Guard
from workbench.widgets.writes import MINUTES, WriteSwitch

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"


class Hands:
    """A clock that is moved by hand, and what is to be done later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.planned: list[tuple[float, Callable[[], object]]] = []

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        self.planned.append((self.now + seconds, action))

    def go(self, seconds: float) -> None:
        self.now += seconds
        due = [each for each in self.planned if each[0] <= self.now]
        self.planned = [each for each in self.planned if each[0] > self.now]
        for _, action in due:
            action()


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def switch(hands: Hands) -> WriteSwitch:
    return WriteSwitch("spine.example:8443", needed=True, clock=lambda: hands.now, later=hands.later)


def test_it_is_off_at_first_names_the_host_and_says_for_how_long(switch: WriteSwitch) -> None:
    assert (switch.switch.value, switch.switch.description) == (False, "Write to spine.example:8443")
    with pytest.raises(WriteNotAllowed, match=r"switched off, so nothing was sent.*Write to spine\.example:8443"):
        switch.check()
    switch.switch.value = True
    switch.check()
    assert f"switches off after {MINUTES} minutes" in switch._state.value


def test_it_switches_itself_off(switch: WriteSwitch, hands: Hands) -> None:
    switch.switch.value = True
    hands.go(MINUTES * 60 - 1)
    switch.check()
    hands.go(1)
    assert switch.switch.value is False


def test_the_clock_decides_even_if_nothing_turned_it_off(switch: WriteSwitch, hands: Hands) -> None:
    switch.switch.value = True
    hands.now += MINUTES * 60
    with pytest.raises(WriteNotAllowed):
        switch.check()
    assert switch.switch.value is False


def test_switched_on_again_it_has_its_whole_time(switch: WriteSwitch, hands: Hands) -> None:
    switch.switch.value = True
    hands.go(300)
    switch.switch.value = False
    switch.switch.value = True
    hands.go(MINUTES * 60 - 300)
    switch.check()
    hands.go(300)
    assert switch.switch.value is False


@pytest.fixture
def reached(spine: Endpoint) -> Callable[..., Workbench]:
    """A workbench on an endpoint that counts as live: it is asked through a proxy."""
    proxy = spine.base_url.removesuffix("/STU3")

    def bench(**settings: Any) -> Workbench:
        connection = Connection(proxy=proxy, **settings)
        return Workbench(Client(spine.base_url, connection=connection), "List", LIST)

    return bench


def test_both_halves_are_needed(reached: Callable[..., Workbench]) -> None:
    bench = reached(allow_writes=True)
    assert bench.writes.layout.display == ""
    assert bench.load() is not None
    bench.guard.value = Guard.NONE
    assert bench.send() is None
    assert "Write to 127.0.0.1:" in bench._notice.value
    assert [each.interaction for each in bench.client.journal] == ["read"]
    bench.writes.switch.value = True
    sent = bench.send()
    assert sent is not None
    assert sent.status == 412, "it was sent: without If-Match"
    assert reached(allow_writes=True).writes.switch.value is False, "off in another"
    reader = reached()
    reader.load()
    reader.writes.switch.value = True  # not shown, and no help
    assert (reader.send(), reader.writes.layout.display) == (None, "none")
    assert "allow_writes=True" in reader._notice.value


def test_an_endpoint_on_this_machine_needs_none(spine: Endpoint) -> None:
    bench = Workbench(spine.client(), "List", LIST)
    bench.load()
    bench.guard.value = Guard.NONE
    sent = bench.send()
    assert (sent is not None, bench.writes.layout.display) == (True, "none")
    bench.close()


# --- the picker ---


def written(folder: Path, text: str) -> Path:
    path = folder / "profiles.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_picker_tries_and_opens(spine: Endpoint, tmp_path: Path) -> None:
    text = f'[here]\nbase_url = "{spine.base_url}"\n[gone]\nbase_url = "http://nosuch.invalid/STU3"\n'
    picker = EndpointPicker(written(tmp_path, text + '[wrong]\nbase_url = "http://h/STU3"\ntoken = "planted-token"\n'))
    assert picker.profile.options == ("here", "gone", "wrong")
    trial = picker.test()
    assert trial is not None
    assert trial.ok
    assert "It works" in picker._notice.value
    bench = picker.open_bench()
    assert bench is not None
    assert bench.load("List", LIST) is not None
    picker.profile.value = "gone"
    assert picker._notice.value == "", "what was said was about another"
    trial = picker.test()
    assert trial is not None
    assert "Failed at: DNS." in picker._notice.value
    picker.profile.value = "wrong"
    assert (picker.test(), picker.open_bench()) == (None, None)
    assert "in clear text" in picker._notice.value
    assert "planted" not in json.dumps([str(each.get_state()) for each in (picker._notice, picker.profile)])


def test_a_picker_without_profiles_says_where_they_go(tmp_path: Path) -> None:
    picker = EndpointPicker(tmp_path / "profiles.toml")
    assert "There are no profiles yet" in picker._notice.value
    assert (picker.open_button.disabled, picker.test_button.disabled) == (True, True)


def test_a_secret_that_cannot_be_had_is_said(spine: Endpoint, tmp_path: Path) -> None:
    text = f'[here]\nbase_url = "{spine.base_url}"\ntoken = "env:NO_SUCH_VARIABLE"\n'
    picker = EndpointPicker(written(tmp_path, text))
    assert picker.test() is None
    assert "NO_SUCH_VARIABLE" in picker._notice.value


def test_opening_again_closes_the_workbench_that_was_open(spine: Endpoint, tmp_path: Path) -> None:
    picker = EndpointPicker(written(tmp_path, f'[here]\nbase_url = "{spine.base_url}"\n'))
    first = picker.open_bench()
    assert first is not None
    second = picker.open_bench()
    assert first.comm is None, "a closed widget has no connection to a page"
    assert picker._place.children == (second,)
    assert repr(picker) == "EndpointPicker()"


def test_a_file_of_profiles_that_cannot_be_read_is_shown(tmp_path: Path) -> None:
    picker = EndpointPicker(written(tmp_path, "[here"))
    assert "swb-notice" in picker._notice.value
    assert picker.profile.options == ()
    assert picker.open_button.disabled
