"""The embedded Spine as a notebook holds it: started, used by name, stopped.

Owns: what a clock and a seed fix, in its own process and without one; the life of an endpoint from
``start`` to long after ``stop``; what survives in a file; and that all its clients share one journal. What it
answers is the contract tests' business.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from workbench import LESSON_START, BadInput, Client, Endpoint, EndpointError, Verdict
from workbench.journal.journal import Transition

Start = Callable[..., Endpoint]
STARTS: list[Start] = [Endpoint.start, Endpoint.in_process]
LOGICAL_ID = "744eec7d-8951-4722-ad74-dc34e86d4e1a"

each_way = pytest.mark.parametrize("start", STARTS, ids=["start", "in process"])


def a_lesson(endpoint: Endpoint) -> list[Transition]:
    """A bit of everything, and the rows it leaves."""
    alice, bob = endpoint.client("alice"), endpoint.client("bob")
    draft = alice.read("List", LOGICAL_ID).resource
    bob.read("List", LOGICAL_ID)
    alice.update(draft | {"title": "first"})
    bob.update(draft | {"title": "second"})
    made = bob.create({"resourceType": "List", "status": "current", "mode": "working"})
    bob.update({"resourceType": "List", "id": made.logical_id, "status": "retired", "mode": "working"})
    bob.update(draft, if_match=None)
    bob.delete("List", made.logical_id)
    alice.search("Flag")
    return endpoint.journal.rows()


def test_the_same_clock_and_seed_give_the_same_rows_in_either_way() -> None:
    lessons = []
    for start in (*STARTS, Endpoint.in_process):
        with start(clock=LESSON_START, seed=7) as endpoint:
            lessons.append(a_lesson(endpoint))
    first = lessons[0]
    assert lessons == [first] * 3
    assert [row.status for row in first] == [200, 200, 200, 409, 201, 200, 412, 204, 200]
    assert {row.ms for row in first} == {None}
    assert [row.time for row in first] == [
        datetime(2018, 5, 25, 16, 10, tzinfo=UTC) + timedelta(seconds=n) for n in range(9)
    ]
    assert len({row.etag_after for row in first} - {None}) == 4


def test_another_seed_gives_other_versions_and_ids() -> None:
    with Endpoint.in_process(clock=LESSON_START, seed=7) as one, Endpoint.in_process(clock=LESSON_START, seed=8) as two:
        ours, theirs = a_lesson(one), a_lesson(two)
    # The stories come at the version that the guide gives them; all that follows is the seed's.
    assert ours[0] == theirs[0]
    assert ours[2].etag_after != theirs[2].etag_after
    assert ours[4].resource != theirs[4].resource


@pytest.mark.parametrize("seed", [-1, "-x", ""])
def test_any_seed_will_do_and_means_the_same_in_either_way(seed: int | str) -> None:
    versions = []
    for start in STARTS:
        with start(clock=LESSON_START, seed=seed) as endpoint:
            client = endpoint.client()
            draft = client.read("List", LOGICAL_ID).resource
            versions.append(client.update(draft).etag)
    assert versions[0] == versions[1] is not None


def test_without_a_clock_the_time_is_the_walls_and_is_taken() -> None:
    before = datetime.now(UTC)
    with Endpoint.in_process() as endpoint:
        exchange = endpoint.client().read("List", LOGICAL_ID)
    assert before <= exchange.sent_at <= datetime.now(UTC)
    assert exchange.elapsed is not None


@pytest.mark.parametrize(
    "clock",
    [
        LESSON_START,
        datetime(2018, 5, 25, 16, 10, tzinfo=UTC),
        datetime(2018, 5, 25, 17, 10, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=["text", "datetime", "another zone"],
)
def test_a_clock_may_be_written_in_several_ways(clock: Any) -> None:
    with Endpoint.in_process(clock=clock) as endpoint:
        exchange = endpoint.client().read("List", LOGICAL_ID)
    assert exchange.sent_at == datetime(2018, 5, 25, 16, 10, tzinfo=UTC)
    assert exchange.response is not None
    assert exchange.response.headers["Date"] == "Fri, 25 May 2018 16:10:00 GMT"


@each_way
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "NOPE"}, "There is no policy 'NOPE'; there are NHS_GATEWAY, OPTIONAL, R4, SPINE, UNPROTECTED."),
        ({"policy": ""}, "There is no policy ''"),
        ({"policy": "spine"}, "There is no policy 'spine'"),
        ({"clock": "yesterday"}, "The clock cannot start at 'yesterday'"),
        ({"clock": ""}, "The clock cannot start at ''"),
        ({"clock": "2018-05-25T16:10:00"}, "has no time zone"),
        ({"clock": datetime(2018, 5, 25)}, "has no time zone"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_refused_before_anything_starts(start: Start, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        start(**settings)


@each_way
def test_a_database_that_cannot_be_used_is_said_in_words(start: Start, tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match=r"absent/spine\.db cannot be used") as refused:
        start(db=str(tmp_path / "absent" / "spine.db"))
    assert "\n" not in str(refused.value)
    gc.collect()  # what a failed start leaves open would be heard of here: warnings are errors


@each_way
def test_it_is_a_context_that_ends_it(start: Start) -> None:
    with start() as endpoint:
        before = endpoint.client("alice")
        assert before.read("List", LOGICAL_ID).verdict is Verdict.READ
    with pytest.raises(EndpointError, match="no longer running; start another"):
        endpoint.client()


@each_way
def test_it_ends_when_the_work_in_it_fails(start: Start) -> None:
    with pytest.raises(ZeroDivisionError), start() as endpoint:
        1 / 0  # noqa: B018
    with pytest.raises(EndpointError):
        endpoint.client()


@each_way
def test_it_may_be_stopped_twice_and_its_journal_stays(start: Start) -> None:
    endpoint = start()
    endpoint.client().read("List", LOGICAL_ID)
    endpoint.stop()
    endpoint.stop()
    assert [row.verdict for row in endpoint.journal.rows()] == ["read"]


def test_what_an_old_client_sends_after_the_end_was_never_sent() -> None:
    with Endpoint.start() as endpoint:
        client = endpoint.client()
        draft = client.read("List", LOGICAL_ID).resource
    late = client.update(draft)
    assert (late.verdict, late.sent) == (Verdict.FAILED, False)
    assert "Nothing listens" in late.failure


def test_a_stopped_endpoint_leaves_nothing_open() -> None:
    endpoint = Endpoint.start()
    endpoint.client().read("List", LOGICAL_ID)
    endpoint.stop()
    del endpoint
    gc.collect()  # an unclosed file or process is a warning, and warnings are errors


@pytest.mark.parametrize("again", STARTS, ids=["start", "in process"])
@pytest.mark.parametrize("first", STARTS, ids=["start", "in process"])
def test_what_is_kept_in_a_file_is_there_the_next_time(first: Start, again: Start, tmp_path: Path) -> None:
    db = str(tmp_path / "spine.db")
    with first(db=db) as endpoint:
        client = endpoint.client()
        draft = client.read("List", LOGICAL_ID).resource
        kept = client.update(draft | {"title": "kept"})
        made = client.create({"resourceType": "List", "status": "current", "mode": "working"})
        client.delete("List", made.logical_id)
    with again(db=db) as endpoint:
        client = endpoint.client()
        read = client.read("List", LOGICAL_ID)
        assert (read.etag, read.resource["title"]) == (kept.etag, "kept")
        assert client.read("List", made.logical_id).status == 404, "what was deleted stays deleted"
        assert client.update(draft).verdict is Verdict.UPDATED
        assert len(endpoint.journal) == 3, "the journal is the session's, not the file's"


def test_what_is_kept_in_memory_is_gone() -> None:
    for _ in range(2):
        with Endpoint.in_process() as endpoint:
            client = endpoint.client()
            draft = client.read("List", LOGICAL_ID).resource
            assert draft["title"] == "Reasonable adjustments"
            client.update(draft | {"title": "changed"}).raise_for_verdict()


def test_two_endpoints_know_nothing_of_each_other() -> None:
    with Endpoint.in_process() as one, Endpoint.in_process() as two:
        client = one.client()
        client.update(client.read("List", LOGICAL_ID).resource).raise_for_verdict()
        assert len(two.journal) == 0
        assert str(two.client().read("List", LOGICAL_ID).etag) == 'W/"25777f7d-27bc"'


@each_way
def test_its_clients_share_its_journal_and_nothing_else(start: Start) -> None:
    with start() as endpoint:
        alice, bob = endpoint.client("alice"), endpoint.client("bob")
        alice.read("List", LOGICAL_ID)
        bob.capabilities()
        assert alice.journal is bob.journal is endpoint.journal
        assert [exchange.client for exchange in endpoint.journal] == ["alice", "bob"]
        assert bob.last_seen("List", LOGICAL_ID) is None
        assert alice.embedded
        assert alice.is_local
        assert alice.base_url == endpoint.base_url


@each_way
def test_an_outsider_needs_only_the_base_url(start: Start) -> None:
    """This holds for a real port; without a socket only its own clients can reach the endpoint."""
    with start() as endpoint:
        outsider = Client(endpoint.base_url).read("List", LOGICAL_ID)
    assert outsider.verdict is (Verdict.READ if start == Endpoint.start else Verdict.FAILED)
    assert outsider.request.url.startswith(endpoint.base_url)


@pytest.mark.parametrize(
    ("start", "policy"),
    [
        (Endpoint.in_process, "SPINE"),
        (Endpoint.in_process, "NHS_GATEWAY"),
        (Endpoint.in_process, "UNPROTECTED"),
        (Endpoint.start, "UNPROTECTED"),
    ],
    ids=["SPINE", "NHS_GATEWAY", "UNPROTECTED", "UNPROTECTED, start"],
)
def test_the_policy_decides_about_the_lock(start: Start, policy: str) -> None:
    with start(policy=policy) as endpoint:
        client = endpoint.client()
        draft = client.read("List", LOGICAL_ID).resource
        wanted = {"SPINE": 412, "NHS_GATEWAY": 400, "UNPROTECTED": 200}[policy]
        assert client.update(draft, if_match=None).status == wanted
        assert endpoint.policy == policy


def test_its_repr_is_the_same_in_every_run() -> None:
    with Endpoint.in_process() as one, Endpoint.in_process() as two:
        assert repr(one) == repr(two) == "<Endpoint: embedded Spine, policy SPINE>"
        assert repr(one.client("alice")) == "<Client alice>"
