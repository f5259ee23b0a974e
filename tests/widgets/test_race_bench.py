"""The race bench without a browser: what its buttons do, what it counts, and what it says of the end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from workbench import Endpoint, RaceBench
from workbench.history.check import Proof
from workbench.races.results import Counts
from workbench.widgets.race import _results


def small(bench: RaceBench, **chosen: object) -> RaceBench:
    for name, value in {"clients": 2, "updates": 3, **chosen}.items():
        getattr(bench, name).value = value
    return bench


async def finished(bench: RaceBench) -> None:
    """Wait for the race that was started."""
    assert bench._watching is not None
    await bench._watching


def test_a_race_with_what_is_chosen() -> None:
    bench = small(RaceBench(), strategy="merge")
    assert "No race has been run yet" in bench._progress.value
    race = bench.run()
    assert race is bench.race is not None
    assert race.plan.strategy.name == "merge"
    assert race.accepted == race.survivors == 6
    assert 'aria-valuenow="6"' in bench._progress.value
    assert "6 of 6 updates ended" in bench._progress.value
    assert "Nothing was lost: 6 updates were accepted" in bench._verdict.value
    assert "The proof. Consistent: " in bench._verdict.value
    assert "<svg" in bench._chart.value


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
    assert "stopped early" in bench._verdict.value


def test_an_endpoint_of_ones_own_keeps_its_policy(spine: Endpoint) -> None:
    bench = RaceBench(spine)
    assert (bench.policy.value, bench.policy.disabled) == ("SPINE", True)
    bench = small(bench, strategy="blind")
    race = bench.run()
    assert race is not None
    assert race.counts.other == 6
    assert "6 updates were refused" in bench._verdict.value
    assert bench.policy.disabled


def test_without_a_lock_the_verdict_is_what_the_race_shows() -> None:
    bench = small(RaceBench(), clients=4, policy="UNPROTECTED", strategy="blind")
    race = bench.run()
    assert race is not None
    assert ("accepted and then overwritten" in bench._verdict.value) == bool(race.lost)
    assert ("The proof. Consistent" in bench._verdict.value) == race.proof.sound


def test_an_undecided_proof_is_a_warning() -> None:
    race = small(RaceBench()).run()
    assert race is not None
    vars(race)["proof"] = Proof(2, 1, (), {}, (), undecided=("List/1",))
    text, tone = _results(race)[-1]
    assert (text.split(":")[0], tone) == ("The proof. Undecided", "warn")


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
    assert "This endpoint is no longer running" in bench._verdict.value
    assert not bench.start_button.disabled


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unexpected_error_is_shown() -> None:
    with Endpoint.in_process() as endpoint:
        bench = small(RaceBench(endpoint))
        bench._endpoint = object()  # type: ignore[assignment]  # anything that is no endpoint
        assert bench.run() is None
        assert "The race stopped because of an unexpected error" in bench._verdict.value


def test_an_update_without_an_answer_is_counted(spine: Endpoint) -> None:
    spine.set_faults("drop-answer:update:times=1")
    bench = small(RaceBench(spine), clients=1)
    race = bench.run()
    assert race is not None
    assert race.counts.unknown == 1
    assert "1 update was not answered" in bench._verdict.value


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"readable": False}, "it is unknown what was lost"),
        (
            {"lost": ("a", "b", "c", "d", "e", "f", "g")},
            "7 updates were accepted and then overwritten: a, b, c, d, e, f, …",
        ),
        ({"counts": Counts(gave_up=2)}, "2 updates were given up as stale"),
    ],
)
def test_every_result_is_a_sentence(changed: dict[str, object], sentence: str) -> None:
    bench = small(RaceBench(), clients=1, updates=1)
    race = bench.run()
    assert race is not None
    names = ("complete", "readable", "lost", "accepted", "counts", "proof")
    race_like = SimpleNamespace(**{name: getattr(race, name) for name in names} | changed)
    assert sentence in " ".join(text for text, _ in _results(race_like))  # type: ignore[arg-type]
