"""Races: what must hold in every race, and each strategy against a rival that always updates first.

Nothing here depends on who happens to win: a race is judged by its totals and by the chain of its versions, and a
strategy by a turn in which the rival's updates come at a known moment.
"""

from __future__ import annotations

import http.server
import math
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from racekit import expect_sound

from workbench import (
    BadInput,
    Client,
    Connection,
    Endpoint,
    Exchange,
    Journal,
    Verdict,
    WriteNotAllowed,
    connect,
    race,
    sweep,
)
from workbench.exchange.message import Request
from workbench.races.race import Task, _run_tasks, run_task, take_turn
from workbench.races.results import Counts, Turn, marks_in
from workbench.races.schedule import new_list
from workbench.races.strategy import BLIND, GIVE_UP, MERGE, RELOAD, STRATEGIES, Plan, Strategy


@pytest.mark.parametrize("entries", [None, 5, "x", {"item": {}}, [None, {"item": 5}]], ids=repr)
def test_entries_that_are_not_objects_hold_no_marks(entries: object) -> None:
    assert marks_in({"resourceType": "List", "entry": entries}, "tag") == []


@pytest.mark.parametrize("strategy", ["give-up", "reload", "merge"])
@pytest.mark.parametrize("resources", [1, 3])
def test_with_the_lock_no_accepted_update_is_lost(spine: Endpoint, strategy: str, resources: int) -> None:
    run = race(spine, clients=4, updates=5, strategy=strategy, resources=resources, progress=False)
    assert run.complete
    assert run.counts.ended == 20
    expect_sound(run)
    assert len(run.final) == resources
    assert run.journal is not spine.journal


def test_one_client_alone_is_never_stale(spine: Endpoint) -> None:
    run = race(spine, clients=1, updates=6, progress=False)
    assert (run.accepted, run.conflicts, run.retries) == (6, 0, 0)
    (final,) = run.final.values()
    assert marks_in(final.resource, run.plan.tag) == [f"client-1/{number}" for number in range(1, 7)]
    expect_sound(run)


def test_without_a_lock_what_is_lost_is_what_is_no_longer_there() -> None:
    with Endpoint.in_process(policy="UNPROTECTED") as endpoint:
        run = race(endpoint, clients=4, updates=5, strategy="blind", progress=False)
    (final,) = run.final.values()
    there = marks_in(final.resource, run.plan.tag)
    assert run.accepted == 20
    assert run.survivors == len(there)
    assert set(run.lost) | set(there) == {turn.mark for turn in run.turns}
    assert not set(run.lost) & set(there)
    forks = run.accepted - run.frame[run.frame["interaction"] == "update"]["base"].nunique()
    assert bool(run.proof.violations) == (forks > 0)
    assert run.proof.sound or {loss.client for loss in run.proof.losses} <= set(run.clients)


def test_a_spine_rejects_blind_updates(spine: Endpoint) -> None:
    run = race(spine, clients=2, updates=3, strategy="blind", progress=False)
    assert (run.accepted, run.counts.other, run.retries) == (0, 6, 0)
    assert {turn.verdict for turn in run.turns} == {Verdict.UNGUARDED}
    assert math.isnan(run.conflicts_per_success)


def test_a_race_on_an_existing_list_keeps_its_entries(spine: Endpoint) -> None:
    carol = spine.client("carol", journal=Journal())
    target = new_list(carol)
    first = race(carol, clients=2, updates=2, resources=[target], progress=False)
    again = race(carol, clients=2, updates=2, resources=[target], progress=False)
    assert first.plan.tag != again.plan.tag
    (final,) = again.final.values()
    assert final.resource["entry"][0]["item"]["display"] == "Uses a wheelchair"
    assert sorted(marks_in(final.resource, first.plan.tag)) == sorted(marks_in(final.resource, again.plan.tag))
    expect_sound(again)


# --- the strategies, each beside a rival ---


class Rival(threading.Event):
    """A client that updates the List each time the other one waits, up to a number of times."""

    def __init__(self, client: Client, target: tuple[str, str], times: int = 100) -> None:
        super().__init__()
        self.client, self.target, self.times, self.waits = client, target, times, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        """Note how long the other client would wait, and update the List."""
        self.waits.append(timeout or 0.0)
        if self.times:
            self.times -= 1
            draft = self.client.read(*self.target).resource
            draft["entry"].append({"item": {"reference": f"Condition/rival-{self.times}"}})
            self.client.update(draft).raise_for_verdict(Verdict.UPDATED)
        return False


Meet = Callable[..., tuple[Turn, Rival, list[str]]]


@pytest.fixture
def meet() -> Iterator[Meet]:
    """One turn of one client against the rival; the turn, the rival, and the marks that stand afterwards."""
    opened: list[Endpoint] = []

    def met(strategy: Strategy, *, times: int, policy: str = "SPINE", thinking: float = 1.0) -> Any:
        opened.append(endpoint := Endpoint.in_process(policy=policy))
        target = new_list(endpoint.client("maker"))
        rival = Rival(endpoint.client("rival"), target, times)
        turn = take_turn(endpoint.client("alice"), 1, Plan((target,), strategy, "tag", thinking=thinking), rival)
        return turn, rival, marks_in(endpoint.client("onlooker").read(*target).resource, "tag")

    yield met
    for each in opened:
        each.stop()


def without_waiting(strategy: Strategy) -> Strategy:
    """So that the rival is met only while the client thinks."""
    return replace(strategy, first_wait=0.0)


def test_give_up_gives_up(meet: Meet) -> None:
    turn, _, marks = meet(GIVE_UP, times=1)
    assert (turn.verdict, turn.tries, turn.exchanges, marks) == (Verdict.STALE, 1, 2, [])


def test_reload_edits_again_and_can_lose_every_try(meet: Meet) -> None:
    turn, rival, marks = meet(without_waiting(RELOAD), times=100)
    assert (turn.verdict, turn.tries, turn.exchanges, marks) == (Verdict.STALE, 10, 20, [])
    assert len(rival.waits) == 10, "one edit for each try"


def test_merge_does_not_edit_again_and_loses_one_try(meet: Meet) -> None:
    turn, rival, marks = meet(without_waiting(MERGE), times=100)
    assert (turn.verdict, turn.tries, turn.exchanges, marks) == (Verdict.UPDATED, 2, 4, ["alice/1"])
    assert len(rival.waits) == 1


@pytest.mark.parametrize(("strategy", "met", "tries"), [(RELOAD, 3, 4), (MERGE, 1, 2)], ids=["reload", "merge"])
def test_after_the_rival_stops_the_update_is_accepted_and_keeps_theirs(
    meet: Meet, strategy: Strategy, met: int, tries: int
) -> None:
    turn, rival, marks = meet(without_waiting(strategy), times=3)
    assert (turn.verdict, turn.tries, marks) == (Verdict.UPDATED, tries, ["alice/1"])
    entries = rival.client.read(*rival.target).resource["entry"]
    written = [entry["item"]["reference"] for entry in entries[1:-1]]
    assert written == ["Condition/rival-2", "Condition/rival-1", "Condition/rival-0"][:met]


def test_blind_overwrites_the_rival(meet: Meet) -> None:
    turn, rival, marks = meet(BLIND, times=1, policy="UNPROTECTED")
    assert (turn.verdict, marks) == (Verdict.UPDATED, ["alice/1"])
    assert "rival" not in str(rival.client.read(*rival.target).resource)


def test_waits_are_seeded_and_bounded(meet: Meet) -> None:
    (_, one, _), (_, two, _) = (meet(RELOAD, times=100) for _ in range(2))
    assert one.waits == two.waits
    assert len(set(one.waits)) == len(one.waits) == 19
    assert all(0.5 <= thought <= 1.5 for thought in one.waits[::2])
    bounds = [min(RELOAD.longest_wait, RELOAD.first_wait * 2**tried) for tried in range(1, 10)]
    assert all(0 <= waited <= bound for waited, bound in zip(one.waits[1::2], bounds, strict=True))


def test_a_merge_with_conflicts_is_not_sent() -> None:
    base, mine, theirs = ({"resourceType": "List", "id": "1", "title": title} for title in "bmt")
    assert MERGE.remake is not None
    assert MERGE.remake(base, mine, theirs, dict) is None


def test_an_update_without_an_answer_is_never_sent_again() -> None:
    puts: list[str] = []

    class Spine(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b'{"resourceType":"List","id":"1"}'
            self.send_response(200)
            for name, value in (("ETag", 'W/"1"'), ("Content-Type", "application/fhir+json")):
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self) -> None:
            puts.append(self.path)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Spine) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            where = f"http://127.0.0.1:{server.server_address[1]}/STU3"
            run = race(where, clients=2, updates=3, resources=[("List", "1")], progress=False)
        finally:
            server.shutdown()
    assert len(puts) == run.counts.unknown == 6
    assert (run.retries, run.survivors) == (0, 0)
    assert "6 without an answer" in str(run)


def test_a_stored_but_unanswered_update_is_neither_lost_nor_accepted() -> None:
    with Endpoint.in_process(faults=["drop-answer:update:times=5"]) as endpoint:
        run = race(endpoint, clients=3, updates=8, progress=False)
    assert run.counts.unknown == 5
    assert run.proof.sound, run.proof.explain()
    assert (run.survivors, run.lost) == (run.accepted, ())
    possible = {turn.mark for turn in run.turns if turn.verdict in (Verdict.UPDATED, Verdict.UNKNOWN)}
    assert run.marks_left <= possible


# --- stopping ---


def test_a_stopped_race_keeps_its_updates(spine: Endpoint) -> None:
    stop, seen = threading.Event(), list[Counts]()

    def watch(counts: Counts) -> None:
        seen.append(counts)
        if counts.ended:
            stop.set()

    run = race(spine, clients=2, updates=100_000, stop=stop, watch=watch, progress=False)
    assert not run.complete
    assert run.counts.ended >= seen[0].ended
    assert "stopped early" in str(run)
    expect_sound(run)


def test_ctrl_c_stops_a_race_and_its_handler_is_restored(spine: Endpoint) -> None:
    before = signal.getsignal(signal.SIGINT)
    pressed: list[int] = []

    def watch(_: Counts) -> None:
        if not pressed:
            pressed.append(1)
            signal.raise_signal(signal.SIGINT)

    run = race(spine, clients=2, updates=100_000, watch=watch, progress=False)
    assert not run.complete
    assert signal.getsignal(signal.SIGINT) is before
    expect_sound(run)


def test_a_second_ctrl_c_raises_keyboard_interrupt(spine: Endpoint) -> None:
    def watch(_: Counts) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        race(spine, clients=1, updates=50, watch=watch, progress=False)


def test_a_race_stopped_before_its_start_sends_no_update(spine: Endpoint) -> None:
    stop = threading.Event()
    stop.set()
    run = race(spine, clients=2, updates=3, stop=stop, progress=False)
    assert (run.turns, run.counts.ended, run.accepted, run.survivors) == ((), 0, 0, 0)
    assert run.frame.empty
    assert run.latency.empty
    assert run.row["updates"] == 0
    with pytest.raises(BadInput, match="There is nothing to draw"):
        run.tries_chart()


# --- executors ---


def test_processes_run_the_same_race(spine: Endpoint) -> None:
    run = race(spine, clients=3, updates=12, executor="processes", workers=2, strategy="merge", progress=False)
    assert run.complete
    assert run.accepted + run.counts.gave_up == 36
    expect_sound(run)
    for client in run.clients:
        sent = [each.sent_at for each in run.journal if each.client == client]
        assert sent == sorted(sent)


def test_a_given_executor_runs_tasks_and_stays_open(spine: Endpoint) -> None:
    with ThreadPoolExecutor(2) as pool:
        run = race(spine, clients=3, updates=12, executor=pool, progress=False)
        assert pool.submit(int).result() == 0
    assert run.complete
    expect_sound(run)


def test_after_a_stop_no_further_task_is_sent(spine: Endpoint) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        watch = lambda counts: stop.set() if counts.ended else None  # noqa: E731
        run = race(spine, clients=2, updates=10_000, executor=pool, stop=stop, watch=watch, progress=False)
    assert not run.complete
    assert 10 <= run.counts.ended <= 40
    expect_sound(run)


def breaks(*_: object) -> None:
    raise BadInput("No more of this.")


def test_an_error_in_a_worker_ends_the_race() -> None:
    with Endpoint.in_process() as endpoint:
        target = new_list(endpoint.client("maker"))
        rival = Rival(endpoint.client("rival"), target)
        broken = Strategy("broken", "broken", remake=breaks, first_wait=0.0)
        with pytest.raises(BadInput, match="No more of this"):
            take_turn(endpoint.client("alice"), 1, Plan((target,), broken, "tag", thinking=1.0), rival)
        with pytest.raises(ZeroDivisionError):
            race(endpoint, clients=3, updates=5, strategy=replace(MERGE, guarded=Broken()), progress=False)


class Broken:
    """An object whose truth value raises an error."""

    def __bool__(self) -> bool:
        raise ZeroDivisionError


def test_an_executor_that_is_shut_down_ends_the_race(spine: Endpoint) -> None:
    pool = ThreadPoolExecutor(2)
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        race(spine, clients=2, updates=2, executor=pool, progress=False)


def test_a_task_and_its_result_can_be_pickled(spine: Endpoint) -> None:
    target = new_list(spine.client("first", journal=Journal()))
    task = Task(spine.base_url, Connection(), Plan((target,), RELOAD, "tag"), ("alice", "bob"), 1, 2)
    assert pickle.loads(pickle.dumps(task)) == task
    exchanges, turns = pickle.loads(pickle.dumps(run_task(task)))
    assert Counter(turn.client for turn in turns) == {"alice": 2, "bob": 2}
    assert len(exchanges) == sum(turn.exchanges for turn in turns)
    assert all(isinstance(each.verdict, Verdict) for each in exchanges)


def test_a_race_uses_the_connection_of_a_profile(spine: Endpoint, tmp_path: Path) -> None:
    profiles = tmp_path / "profiles.toml"
    lines = ["[mine]", f'base_url = "{spine.base_url}"', "[mine.headers]", 'X-Team = "text:records"']
    profiles.write_text("\n".join(lines))
    client = connect("mine", profiles=profiles)
    run = race(client, clients=2, updates=2, progress=False)
    assert {each.request.headers["X-Team"] for each in run.journal} == {"***"}, "sent, and not shown"
    expect_sound(run)


def test_a_pickled_connection_keeps_its_credentials_and_hides_them(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("")
    made = Connection(headers={"Authorization": "secret"}, allow_writes=True, verify=str(tmp_path / "ca.pem"))
    there = pickle.loads(pickle.dumps(made))
    assert there == made
    assert there.headers["Authorization"] == "secret"
    assert "secret" not in repr(there)
    with Endpoint.in_process() as endpoint, pytest.raises(BadInput, match="cannot be reached from another"):
        pickle.dumps(endpoint.client().connection)


def ended(client: str, second: float) -> Exchange:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    request = Request("GET", "http://127.0.0.1/STU3/List/1")
    return Exchange(client, "read", "List", "1", request, None, start + timedelta(seconds=second), elapsed=0.5)


class Prepared(Executor):
    """Returns these exchanges, one list for each task, instead of running anything."""

    def __init__(self, *brought: list[Exchange]) -> None:
        self.brought = list(brought)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result((self.brought.pop(0), []))
        return future


def test_exchanges_of_tasks_are_appended_in_the_order_in_which_they_ended() -> None:
    journal = Journal()
    plan = Plan((("List", "1"),), RELOAD, "tag")
    groups = [Task("http://127.0.0.1/STU3", Connection(), plan, (name,), 1, 1) for name in ("alice", "bob")]
    set_back = [ended("bob", 2), ended("bob", 3), ended("bob", 2.5)]
    executor = Prepared([ended("alice", 1), ended("alice", 4)], set_back)
    _run_tasks(executor, groups, journal, threading.Event(), [], lambda: None)
    assert [(each.client, each.sent_at.second) for each in journal] == [
        ("alice", 1),
        ("bob", 2),
        ("bob", 3),
        ("bob", 2),
        ("alice", 4),
    ], "and bob's clock, which was set back, does not change the order of his exchanges"


@pytest.mark.parametrize("error", [ZeroDivisionError("in a worker"), None], ids=["raised", "cancelled"])
def test_a_task_that_fails_ends_the_race_and_the_others_are_kept(error: Exception | None) -> None:
    class Failing(Prepared):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if self.brought:
                return super().submit(fn, *args, **kwargs)
            future: Future[Any] = Future()
            if error is None:
                future.cancel()
                future.set_running_or_notify_cancel()
            else:
                future.set_exception(error)
            return future

    journal, stop = Journal(), threading.Event()
    plan = Plan((("List", "1"),), RELOAD, "tag")
    groups = [Task("http://127.0.0.1/STU3", Connection(), plan, (name,), 1, 1) for name in ("alice", "bob")]
    with pytest.raises(type(error) if error else CancelledError):
        _run_tasks(Failing([ended("alice", 1)]), groups, journal, stop, [], lambda: None)
    assert stop.is_set()
    assert [each.client for each in journal] == ["alice"]


# --- what cannot be raced ---


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clients": 0}, "a race has 1 to 1000 clients"),
        ({"clients": 1001}, "a race has 1 to 1000 clients"),
        ({"updates": 0}, "count from 1"),
        ({"workers": 0}, "count from 1"),
        ({"thinking": -1}, "give the seconds of an edit, 0 or more"),
        ({"thinking": math.nan}, "give the seconds of an edit, 0 or more"),
        ({"skew": -1}, "give the seconds by which clocks differ, 0 or more"),
        ({"strategy": "luck"}, "Use one of give-up, reload, merge, blind"),
        ({"tries": 0}, "sent at least once"),
        ({"resources": 0}, "needs at least one resource"),
        ({"resources": []}, "needs at least one resource"),
        ({"resources": [("Flag", "1")]}, "Flag/1 is not a List"),
        ({"executor": "magic"}, "can be raced by threads only"),
    ],
    ids=str,
)
def test_bad_options_of_a_race_are_rejected(options: dict[str, Any], words: str) -> None:
    with Endpoint.in_process() as endpoint, pytest.raises(BadInput, match=words):
        race(endpoint, progress=False, **options)


def test_an_unknown_executor_is_rejected(spine: Endpoint) -> None:
    with pytest.raises(BadInput, match='Give "threads", "processes" or an Executor'):
        race(spine, executor="magic", progress=False)


def test_a_race_at_a_remote_host_needs_permission_to_write() -> None:
    journal = Journal()
    client = Client("http://192.0.2.1/STU3")
    with pytest.raises(WriteNotAllowed):
        race(client, journal=journal, resources=[("List", "1")], progress=False)
    assert len(journal) == 0


# --- figures ---


def test_the_frame_numbers_updates_and_tries(spine: Endpoint) -> None:
    run = race(spine, clients=3, updates=4, progress=False)
    tries = run.frame.groupby(["client", "update"])["attempt"].max()
    puts = run.frame[run.frame["interaction"] == "update"].groupby(["client", "update"]).size()
    for turn in run.turns:
        assert puts[turn.client, turn.number] == turn.tries == tries[turn.client, turn.number]
    update = run.frame[run.frame["interaction"] == "update"]
    assert (update["base"] == update["if_match"]).all()


def test_the_latency_counts_every_exchange_once(spine: Endpoint) -> None:
    run = race(spine, clients=2, updates=4, progress=False)
    counts = run.latency["count"]
    assert counts["whole update"] == 8
    assert counts.drop("whole update").sum() == len(run.frame)
    assert (run.latency["p50"] <= run.latency["p95"]).all()


def test_a_sweep_is_a_race_for_each_strategy_and_number_of_clients(spine: Endpoint) -> None:
    found = sweep(spine, clients=(1, 2), strategies=("give-up", MERGE), updates=2, progress=False)
    assert list(found.frame["clients"]) == [1, 1, 2, 2]
    assert list(found.frame["strategy"]) == ["give up", "merge and retry"] * 2
    assert [len(each.clients) for each in found.fullest] == [2, 2]
    for each in found.races:
        expect_sound(each)
    assert len({tuple(each.final) for each in found.races}) == 4, "each on a List of its own"


def test_a_sweep_that_is_stopped_keeps_its_races(spine: Endpoint) -> None:
    stop = threading.Event()
    found = sweep(spine, clients=(1, 2, 3), updates=2, stop=stop, watch=lambda _: stop.set(), progress=False)
    assert len(found.races) == 1


def test_progress_is_a_bar_that_ends_where_the_race_does(spine: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    race(spine, clients=2, updates=3, progress=True)
    assert "6/6" in capsys.readouterr().err
    race(spine, clients=2, updates=3)
    assert capsys.readouterr().err == "", "no bar outside a notebook or terminal"


def test_names_and_titles_of_strategies_are_distinct() -> None:
    assert len({row.title for row in STRATEGIES.values()}) == len(STRATEGIES)
    assert all(name == row.name and pickle.loads(pickle.dumps(row)) == row for name, row in STRATEGIES.items())
