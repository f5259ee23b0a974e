"""The exercises of notebooks 05 to 08: the check is solved by the answer in the notebook, and names what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench as wb

FLAG = ("Flag", "3f6a1c9e-7b24-4c0d-9d15-2e8b60f7a4c1")


@pytest.fixture(scope="module")
def running() -> Iterator[wb.Endpoint]:
    with wb.Endpoint.in_process() as endpoint:
        yield endpoint


def missing(exercise: str, work: object) -> str:
    return wb.lesson.check(exercise, work).missing


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"strategy": "merge", "tries": 30}, ""),
        ({"strategy": "reload", "clients": 2}, "four clients"),
        ({"strategy": "reload", "thinking": 0.0}, "a thinking time"),
        ({"strategy": "blind"}, "updates with If-Match"),
        ({"strategy": "give-up"}, "a strategy that sends again"),
        ({"strategy": "reload", "tries": 1}, "more tries"),
    ],
)
def test_05_asks_for_a_race_that_loses_no_work(running: wb.Endpoint, settings: dict[str, object], says: str) -> None:
    options = {"clients": 4, "updates": 2, "thinking": 0.05, "seed": 1, "progress": False} | settings
    found = missing("05", wb.race(running, **options))  # type: ignore[arg-type]
    assert found.startswith(says)
    assert bool(found) == bool(says)


def test_06_asks_for_a_read_and_then_the_same_update_with_the_same_version() -> None:
    with wb.Endpoint.start() as spine:
        you = spine.client("you")
        steps = [missing("06", spine.journal)]
        spine.set_faults("drop-answer:update:times=1")
        draft = you.read(*FLAG).resource | {"status": "inactive"}
        put = you.update(draft)
        for act in (
            lambda: you.resolve(put),
            lambda: you.update(draft, if_match=you.read(*FLAG).etag),
            lambda: you.update(draft, if_match=put.if_match),
        ):
            steps.append(missing("06", spine.journal))
            act()
    assert [step.split(",")[0] for step in steps] == [
        "the update without an answer; run the cell above",
        "a read that shows whether it was stored",
        "the same update once more",
        "the If-Match of the first attempt; give if_match=put.if_match",
    ]
    assert wb.lesson.check("06", spine.journal).solved


def test_07_asks_for_the_profile_of_the_server() -> None:
    with wb.Endpoint.in_process(policy="R4") as other:
        reports = [wb.check(other.client(), profile=profile) for profile in (None, "hapi", "r4")]
    assert [missing("07", report)[:11] for report in reports] == ["the profile", "the profile", ""]


def test_08_asks_for_each_setting_of_the_profile(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    text, steps = "[gateway]\n", []
    for line in (
        'base_url = "https://gateway.example/fhir/STU3"',
        "allow_writes = true",
        'token = "env:TEST_TOKEN"',
        "rate_limit = 2",
    ):
        text += f"{line}\n"
        file.write_text(text, encoding="utf-8")
        steps.append(missing("08", wb.read_profile("gateway", file)))
    assert [step.split(",")[0] for step in steps] == [
        "the permission to write",
        "the token by reference",
        "the limit of two requests a second",
        "",
    ]
