"""Faults: how they are written, when they strike, and what a client makes of each, over a socket and in process."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import BadInput, Client, Endpoint, Verdict
from workbench.endpoint.faults import INTERACTIONS, KINDS, Fault, Faults

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
FIRST = "25777f7d-27bc"

WRITTEN = {
    "latency": Fault("latency"),
    "latency:read": Fault("latency", "read"),
    "drop-answer:update:times=1": Fault("drop-answer", "update", times=1),
    "refuse:share=0.25:seconds=3": Fault("refuse", share=0.25, seconds=3),
    "cut-body:seconds=0:times=0:any:share=0": Fault("cut-body", "any", 0, 0, 0),
}


@pytest.mark.parametrize(("text", "fault"), WRITTEN.items())
def test_how_a_fault_is_written(text: str, fault: Fault) -> None:
    assert Fault.read(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "drop",
            "Latency",
            "latency:",
            "latency:writes",
            "latency:read:update",
            "latency:share",
            "latency:share=",
        ),
        *("latency:share=2", "latency:share=-1", "latency:share=nan", "latency:times=-1", "latency:times=1.5"),
        *("latency:seconds=-1", "latency:seconds=inf", "latency:speed=1", "latency:read=1"),
    ],
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(BadInput, match="fault"):
        Fault.read(text)
    with pytest.raises(BadInput, match="fault"):
        Endpoint.in_process(faults=[text])


@given(st.text())
def test_any_text_is_a_fault_or_bad_input(text: str) -> None:
    try:
        fault = Fault.read(text)
    except BadInput:
        return
    assert fault.kind in KINDS


def test_the_first_that_fits_strikes_as_often_as_it_may() -> None:
    faults = Faults(["refuse:update:times=2", "latency:update", "cut-body:read:times=1"])
    kinds = [found.kind if (found := faults.next_for(name)) else "" for name in ("update",) * 4 + ("read",) * 2]
    assert kinds == ["refuse", "refuse", "latency", "latency", "cut-body", ""]
    assert faults.next_for(None) is None


def test_a_share_is_the_same_share_every_time() -> None:
    runs = []
    for seed in ("1", "1", "2"):
        faults = Faults(["refuse:share=0.3"], seed=seed)
        runs.append([faults.next_for("read") is not None for _ in range(1000)])
    assert runs[0] == runs[1] != runs[2]
    assert 230 < sum(runs[0]) < 370


Start = Callable[..., Endpoint]


@pytest.fixture(scope="module", params=["socket", "in process"])
def faulty(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """One endpoint a way; each test switches its faults, and off again."""
    with Endpoint.start(seed=1) if request.param == "socket" else Endpoint.in_process(seed=1) as endpoint:
        yield endpoint


@pytest.fixture
def alice(faulty: Endpoint) -> Iterator[Client]:
    faulty.set_faults()
    faulty.reset()
    client = faulty.client("alice")
    client.read("List", LIST)
    yield client
    faulty.set_faults()


def stored(faulty: Endpoint) -> tuple[str, str]:
    """The version and the title that are there."""
    faulty.set_faults()
    read = faulty.client("observer").read("List", LIST)
    assert read.etag is not None
    return read.etag.version_id, read.resource["title"]


UPDATES = {
    # fault: status, verdict, whether the update was carried out
    "": (200, Verdict.UPDATED, True),
    "latency:seconds=0.01": (200, Verdict.UPDATED, True),
    "refuse": (503, Verdict.UNKNOWN, False),
    "drop-request": (None, Verdict.UNKNOWN, False),
    "drop-answer": (None, Verdict.UNKNOWN, True),
    "slow-body:seconds=0.01": (200, Verdict.UPDATED, True),
    "cut-body": (None, Verdict.UNKNOWN, True),
    "drop-answer:read": (200, Verdict.UPDATED, True),
}


@pytest.mark.parametrize("fault", UPDATES)
def test_an_update_meets_a_fault(faulty: Endpoint, alice: Client, fault: str) -> None:
    status, verdict, done = UPDATES[fault]
    draft = faulty.journal[-1].resource
    faulty.set_faults(*filter(None, [fault]))
    put = alice.update(draft | {"title": "Written"})
    assert (put.status, put.verdict, put.sent) == (status, verdict, True)
    version, title = stored(faulty)
    assert ((version != FIRST), title == "Written") == (done, done)


def test_a_body_that_breaks_off(faulty: Endpoint, alice: Client) -> None:
    draft = faulty.journal[-1].resource
    faulty.set_faults("cut-body:update")
    put = alice.update(draft | {"title": "Written"}, prefer="representation")
    assert put.verdict in (Verdict.UPDATED, Verdict.UNKNOWN)
    assert put.failure
    assert put.resource is None
    assert stored(faulty)[1] == "Written"
    faulty.set_faults("cut-body:read")
    read = alice.read("List", LIST)
    assert (read.verdict, read.resource) == (Verdict.FAILED, None)
    assert read.failure


def test_a_refusal_says_when_to_come_back(faulty: Endpoint, alice: Client) -> None:
    faulty.set_faults("refuse:seconds=7")
    read = alice.read("List", LIST)
    assert read.response is not None
    assert (read.status, read.response.headers.get("Retry-After")) == (503, "7")
    assert read.outcome is not None
    assert read.outcome.issues[0].code == "transient"


def test_faults_are_switched_while_it_runs(faulty: Endpoint, alice: Client) -> None:
    statuses = []
    for faults in (["refuse"], [], ["refuse:read:times=1"]):
        faulty.set_faults(*faults)
        statuses += [alice.read("List", LIST).status for _ in range(2)]
    assert statuses == [503, 503, 200, 200, 503, 200]


def test_every_kind_and_interaction_is_tested() -> None:
    assert {text.partition(":")[0] for text in UPDATES} == {"", *KINDS}
    assert "search-type" in INTERACTIONS


def test_a_reset_returns_to_the_stories(faulty: Endpoint, alice: Client) -> None:
    draft = faulty.journal[-1].resource
    alice.update(draft | {"title": "Written"})
    made = alice.create({"resourceType": "List", "status": "current", "mode": "working"})
    assert alice.read("List", made.logical_id).status == 200
    before = len(faulty.journal)
    faulty.reset()
    assert alice.read("List", made.logical_id).status == 404
    assert stored(faulty) == (FIRST, draft["title"])
    assert len(faulty.journal) == before + 2
