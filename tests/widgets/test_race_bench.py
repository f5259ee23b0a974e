"""The race bench without a browser: what its buttons do, what it counts, and what it says of the end."""

from __future__ import annotations

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import Endpoint, RaceBench
from workbench.history.check import Proof
from workbench.races.results import Counts
from workbench.widgets.race import details, verdict


def small(bench: RaceBench, **chosen: object) -> RaceBench:
    for name, value in {"clients": 2, "updates": 3, **chosen}.items():
        getattr(bench, name).value = value
    return bench


def card(bench: RaceBench, number: int = 0) -> str:
    """What the bench shows of one race."""
    return str(bench._cards[number].value)


async def finished(bench: RaceBench) -> None:
    """Wait for the race that was started."""
    assert bench._watching is not None
    await bench._watching


def test_a_race_with_what_is_chosen() -> None:
    bench = small(RaceBench(), strategy="merge")
    assert "No race has been run yet" in card(bench)
    race = bench.run()
    assert race is bench.race is not None
    assert race.plan.strategy.name == "merge"
    assert race.accepted == race.survivors == 6
    assert 'aria-valuenow="6"' in card(bench)
    assert "6 of 6 updates ended" in card(bench)
    assert "Nothing was lost: the List has every one of the 6 accepted updates." in card(bench)
    assert "The proof. Consistent: " in card(bench)
    assert "<svg" in card(bench)


def test_start_runs_it_in_the_background_and_a_second_click_starts_nothing(spine: Endpoint) -> None:
    bench = small(RaceBench(spine))

    async def story() -> None:
        bench.start_button.click()
        first = bench._watching
        bench.start_button.click()
        assert bench._watching is first
        assert bench.start_button.disabled
        assert bench.clients.disabled
        assert not bench.stop_button.disabled
        await finished(bench)

    asyncio.run(story())
    assert bench.race is not None
    assert bench.race.complete
    assert not bench.start_button.disabled
    assert bench.stop_button.disabled


def test_stop_stops_and_keeps_what_was_done(spine: Endpoint) -> None:
    bench = small(RaceBench(spine), updates=1000)

    async def story() -> None:
        bench.start()
        bench.stop_button.click()
        await finished(bench)

    asyncio.run(story())
    assert bench.race is not None
    assert not bench.race.complete
    assert bench.race.survivors == bench.race.accepted
    assert "stopped early" in card(bench)


def test_an_endpoint_of_ones_own_keeps_its_policy(spine: Endpoint) -> None:
    bench = RaceBench(spine)
    assert (bench.policy.value, bench.policy.disabled) == ("SPINE", True)
    bench = small(bench, strategy="blind")
    race = bench.run()
    assert race is not None
    assert race.counts.other == 6
    assert "6 updates were refused" in card(bench)
    assert bench.policy.disabled


def test_without_a_lock_the_verdict_is_what_the_race_shows() -> None:
    bench = small(RaceBench(), clients=4, policy="UNPROTECTED", strategy="blind")
    race = bench.run()
    assert race is not None
    assert ("got 200 and were then overwritten" in card(bench)) == bool(race.lost)
    assert ("The proof. Consistent" in card(bench)) == race.proof.sound


def test_an_undecided_proof_is_a_warning() -> None:
    race = small(RaceBench()).run()
    assert race is not None
    vars(race)["proof"] = Proof(2, 1, (), {}, (), undecided=("List/1",))
    assert verdict(race)[1] == "warn"
    assert details(race)[-1].startswith("The proof. Undecided")


def test_every_strategy_is_explained() -> None:
    bench = RaceBench()
    seen = set()
    for _, name in bench.strategy.options:
        bench.strategy.value = name
        seen.add(bench._about.value)
    assert len(seen) == 4


def test_an_endpoint_that_has_ended_is_said_in_a_sentence() -> None:
    endpoint = Endpoint.in_process()
    endpoint.stop()
    bench = small(RaceBench(endpoint))
    assert bench.run() is None
    assert "This endpoint is no longer running" in card(bench)
    assert not bench.start_button.disabled


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unexpected_error_is_shown() -> None:
    with Endpoint.in_process() as endpoint:
        bench = small(RaceBench(endpoint))
        bench._endpoint = object()  # type: ignore[assignment]  # anything that is no endpoint
        assert bench.run() is None
        assert "The race stopped because of an unexpected error" in card(bench)


def test_an_update_without_an_answer_is_counted(spine: Endpoint) -> None:
    spine.set_faults("drop-answer:update:times=1")
    bench = small(RaceBench(spine), clients=1)
    race = bench.run()
    assert race is not None
    assert race.counts.unknown == 1
    assert "1 update was not answered" in card(bench)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"readable": False}, "it is unknown what was lost"),
        ({"lost": ("a", "b", "c", "d", "e", "f", "g"), "accepted": 9}, "Lost: 7 of 9 accepted updates got 200"),
        ({"lost": ("a", "b", "c", "d", "e", "f", "g")}, "Overwritten: a, b, c, d, e, f, …."),
        ({"accepted": 0}, "No update was accepted"),
        ({"counts": Counts(gave_up=2)}, "2 updates were given up as stale"),
    ],
)
def test_every_result_is_a_sentence(changed: dict[str, object], sentence: str) -> None:
    bench = small(RaceBench(), clients=1, updates=1)
    race = bench.run()
    assert race is not None
    names = ("complete", "readable", "lost", "accepted", "counts", "proof")
    race_like: Any = SimpleNamespace(**{name: getattr(race, name) for name in names} | changed)
    assert sentence in " ".join((verdict(race_like)[0], *details(race_like)))


def test_both_side_by_side_and_what_was_lost_in_red() -> None:
    bench = small(RaceBench(), clients=4, updates=5, thinking=5)
    locked, unlocked = bench.run_both()
    assert locked is not None
    assert unlocked is not None
    assert locked.lost == ()
    assert unlocked.lost, "four clients who think for 5 ms overwrite one another"
    assert "With the lock" in card(bench)
    assert "Without the lock" in card(bench, 1)
    assert '<div class="swb-count-lost"><dt>lost</dt><dd>0</dd>' in card(bench)
    assert f'<div class="swb-count-lost swb-some"><dt>lost</dt><dd>{len(unlocked.lost)}</dd>' in card(bench, 1)
    assert f"{len(unlocked.lost)} accepted, then overwritten" in unlocked.tries_chart().text
    assert bench._cards[1].layout.display == ""
    bench.run()
    assert bench._cards[1].layout.display == "none"


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"clients": 100}, "Clients: 100 is out of range. Give 1 to 64."),
        ({"clients": 0}, "Clients: 0 is out of range. Give 1 to 64."),
        ({"updates": 5000}, "Updates of each: 5,000 is out of range. Give 1 to 1,000."),
        ({"thinking": -1}, "An edit takes (ms): -1 is out of range. Give 0 to 5,000."),
    ],
)
def test_a_number_out_of_range_is_refused_and_kept(chosen: dict[str, int], sentence: str) -> None:
    bench = small(RaceBench(), **chosen)
    ((name, number),) = chosen.items()
    assert sentence in bench._problem.value
    assert bench.run() is None
    assert getattr(bench, name).value == number
    assert not bench.start_button.disabled
    small(bench, clients=1, updates=1, thinking=0)
    assert bench._problem.value == ""


def test_every_policy_is_explained() -> None:
    bench = RaceBench()
    for name in bench.policy.options:
        bench.policy.value = name
        assert f"Policy {name}: Update and delete: a missing If-Match" in bench._about.value


def test_the_chart_has_whole_numbers_only() -> None:
    bench = small(RaceBench(), clients=1, updates=1)
    bench.run()
    labels = re.findall(r">([0-9.]+)</text>", card(bench))
    assert labels
    assert all("." not in label for label in labels)
