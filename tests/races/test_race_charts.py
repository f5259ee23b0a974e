"""The charts of races: sound SVG that is fit to be put into a page, and words that say the same."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from workbench import Endpoint, Race, race, sweep
from workbench.journal.diagram import Picture
from workbench.races.results import Sweep

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def races() -> Sweep:
    with Endpoint.in_process() as endpoint:
        return sweep(endpoint, clients=(1, 3), strategies=("give-up", "reload"), updates=3, progress=False)


@pytest.fixture(scope="module")
def one(races: Sweep) -> Race:
    return races.races[-1]


CHARTS: dict[str, Callable[[Sweep], Picture]] = {
    "success": lambda races: races.success_chart(),
    "tries": lambda races: races.tries_chart(),
    "latency": lambda races: races.latency_chart(),
    "tries of one": lambda races: races.races[-1].tries_chart(),
    "latency of one": lambda races: races.races[-1].latency_chart(),
    "chain": lambda races: races.races[-1].chain_chart(),
}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_an_svg_without_styles_or_scripts(races: Sweep, name: str) -> None:
    chart = CHARTS[name](races)
    assert chart.svg.startswith('<svg xmlns="http://www.w3.org/2000/svg" role="img" style=')
    root = ElementTree.fromstring(chart.svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not tags & {"style", "script", "metadata", "foreignObject", "image", "a"}
    said = [root.findtext(f"{SVG}{tag}") or "" for tag in ("title", "desc")]
    assert "\n".join(said) == str(chart)
    assert {"image/svg+xml", "text/plain"} == chart._repr_mimebundle_().keys()
    words = ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]
    assert len([word for word in words if word]) >= 5, "labels are text, not outlines"


@pytest.mark.parametrize("name", CHARTS)
def test_the_same_race_is_drawn_the_same(races: Sweep, name: str) -> None:
    assert CHARTS[name](races).svg == CHARTS[name](races).svg


def test_a_chart_names_every_strategy_and_every_client(races: Sweep, one: Race) -> None:
    assert "give up" in races.success_chart().svg
    assert "reload and retry" in races.success_chart().svg
    assert all(f">{client}</text>" in one.chain_chart().svg.replace("\n", "") for client in one.clients)


def test_the_text_of_a_chart_has_its_numbers(one: Race) -> None:
    accepted = sum(turn.tries == 1 for turn in one.turns if turn.verdict.value == "updated")
    assert f"sent 1: {accepted} accepted" in str(one.tries_chart())
    assert f"p50 {one.row['p50']:.1f} ms" in str(one.latency_chart())
    assert f"{one.accepted} versions made, {one.conflicts} tries not accepted, 0 forks" in str(one.chain_chart())


def test_a_chain_can_be_drawn_from_its_end(one: Race) -> None:
    assert "1 versions made, 0 tries" in str(one.chain_chart(last=1)) or "0 versions made" in str(
        one.chain_chart(last=1)
    )


def test_forks_are_drawn() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        run = race(endpoint, clients=3, updates=4, strategy="blind", progress=False)
    forks = run.accepted - run.frame[run.frame["interaction"] == "update"]["base"].nunique()
    assert f"{run.accepted} versions made, 0 tries not accepted, {forks} forks" in str(run.chain_chart())
