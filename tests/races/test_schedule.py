"""Schedules: read from words, played step by step, every order of them, and what each loses."""

from __future__ import annotations

import pytest

from workbench import BadInput, Endpoint, interleavings, play, play_all
from workbench.races.schedule import read_schedule

LOST_UPDATE = "alice reads, bob reads, alice puts, bob puts"


def needs(played: object) -> list[str]:
    return [entry["item"]["display"] for entry in played.stored["entry"]]  # type: ignore[attr-defined]


@pytest.fixture(params=["SPINE", "UNPROTECTED"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_with_the_lock_the_second_is_refused_and_nothing_is_lost() -> None:
    with Endpoint.in_process() as endpoint:
        played = play(LOST_UPDATE, endpoint)
    assert played.statuses == (200, 409)
    assert played.losses == []
    assert needs(played) == ["Uses a wheelchair", "Needs a hearing loop"]


def test_without_the_lock_the_first_is_lost_and_named() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        played = play(LOST_UPDATE, endpoint)
    assert played.statuses == (200, 200)
    ((loss),) = played.losses
    assert loss.client == "alice"
    assert [element.mine["item"]["display"] for element in loss.elements] == ["Needs a hearing loop"]
    assert needs(played) == ["Uses a wheelchair", "Needs information in easy read"]


def test_a_client_that_read_the_last_version_overwrites_nothing(policy: str) -> None:
    with Endpoint.in_process(policy=policy) as endpoint:
        played = play("alice reads, alice puts, bob reads, bob puts", endpoint)
    assert (played.statuses, played.losses) == ((200, 200), [])


@pytest.mark.parametrize(("clients", "orders", "lost"), [(("alice", "bob"), 6, 4), (("alice", "bob", "carol"), 90, 84)])
def test_every_interleaving(clients: tuple[str, ...], orders: int, lost: int) -> None:
    assert len(set(interleavings(clients))) == orders
    with Endpoint.in_process() as spine, Endpoint.in_process(policy="UNPROTECTED") as unprotected:
        assert sum(play_all(spine, clients)["lost"] != "") == 0
        assert sum(play_all(unprotected, clients)["lost"] != "") == lost


def test_the_same_schedule_is_the_same_every_time() -> None:
    def frame() -> str:
        with Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=1) as endpoint:
            return str(play(LOST_UPDATE, endpoint).to_frame().to_csv())

    assert frame() == frame()


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("dave reads", "Step 1 names 'dave'; the clients are alice, bob, carol."),
        ("alice reads, alice eats", "Step 2 says that alice 'eats'; a client reads, edits, puts."),
        ([("alice", "")], "Step 1 says that alice ''"),
    ],
)
def test_an_unknown_step_is_rejected_before_anything_is_sent(schedule: str, words: str) -> None:
    with Endpoint.in_process() as endpoint:
        with pytest.raises(BadInput) as refused:
            play(schedule, endpoint)
        assert words in str(refused.value)
        assert len(endpoint.journal) == 0


@pytest.mark.parametrize("step", ["edits", "puts"])
def test_a_step_out_of_order_is_rejected(step: str) -> None:
    with Endpoint.in_process() as endpoint, pytest.raises(BadInput, match=f"Alice {step} before having read List/"):
        play(f"alice {step}", endpoint)


def test_a_schedule_may_be_words_or_data() -> None:
    steps = (("alice", "reads"), ("alice", "puts"))
    assert read_schedule("alice reads,\n alice puts,") == read_schedule(steps) == steps
