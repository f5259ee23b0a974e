"""An update without an answer: found out about, and sent again, over a socket, in process, and by kill -9."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from requests.adapters import BaseAdapter
from stranger import answers, hangs_up, stranger

from workbench import BadInput, Client, Connection, Endpoint, Journal, Landing, Resolution, Retry, Verdict, history
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings
from workbench.errors import WorkbenchError

BODY = b'{"resourceType": "List", "id": "1", "status": "current", "mode": "working"}'
LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
FIRST = 'W/"25777f7d-27bc"'

LANDED, SO_FAR, DID_NOT, CANNOT = (
    Landing.LANDED,
    Landing.NOT_SO_FAR,
    Landing.DID_NOT_LAND,
    Landing.CANNOT_BE_KNOWN,
)


@pytest.fixture(scope="module", params=["socket", "in process"])
def faulty(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """One endpoint a way; each test switches its faults, and off again."""
    with Endpoint.start(seed=1) if request.param == "socket" else Endpoint.in_process(seed=1) as endpoint:
        yield endpoint


class Case:
    """Alice and Bob with a journal in common, at an endpoint whose List is as it was at first."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint, self.journal = endpoint, Journal()
        endpoint.set_faults()
        endpoint.reset()
        self.alice, self.bob = (endpoint.client(name, journal=self.journal) for name in ("alice", "bob"))
        self.draft = self.alice.read("List", LIST).resource | {"title": "Mine"}

    def lost(self, fault: str = "drop-answer:update:times=1"):  # type: ignore[no-untyped-def]
        """Alice's update, which meets a fault."""
        self.endpoint.set_faults(fault)
        return self.alice.update(self.draft, prefer="representation")

    def theirs(self, title: str = "Bob's") -> str:
        """Bob's update of the current version; the version it makes."""
        read = self.bob.read("List", LIST)
        put = self.bob.update(read.resource | {"title": title}).raise_for_verdict()
        return str(put.etag)

    def proof(self):  # type: ignore[no-untyped-def]
        return history(self.journal).check()


@pytest.fixture
def case(faulty: Endpoint) -> Iterator[Case]:
    yield Case(faulty)
    faulty.set_faults()


FAULTS = {
    # fault: what resolve says; None: there was an answer
    "latency:update:seconds=0.001": None,
    "refuse:update": SO_FAR,
    "drop-request:update": SO_FAR,
    "drop-answer:update": LANDED,
    "slow-body:update:seconds=0.001": None,
    "cut-body:update": None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_the_endpoint(case: Case, fault: str) -> None:
    put = case.lost(fault)
    expected = FAULTS[fault]
    if expected is None:
        with pytest.raises(BadInput, match="was answered 200"):
            case.alice.resolve(put)
        return
    found = case.alice.resolve(put)
    assert found.outcome is expected
    assert found.read is case.journal[-1]
    case.endpoint.set_faults()
    there = case.bob.read("List", LIST)
    assert (there.resource["title"] == "Mine") == (expected is LANDED)
    assert case.proof().sound


def test_a_body_cut_where_there_is_none_to_cut(case: Case) -> None:
    case.endpoint.set_faults("cut-body:update")
    put = case.alice.update(case.draft)
    assert put.verdict is Verdict.UNKNOWN
    assert case.alice.resolve(put).outcome is LANDED


@pytest.mark.parametrize("fault", ["drop-request", "drop-answer", "cut-body", "refuse"])
def test_the_read_meets_a_fault_too(case: Case, fault: str) -> None:
    put = case.lost()
    case.endpoint.set_faults(f"{fault}:read:times=1")
    found = case.alice.resolve(put)
    assert (found.outcome, "ask again" in found.because) == (CANNOT, True)
    assert case.alice.resolve(put).outcome is LANDED


def test_nothing_is_written_to_find_out(case: Case) -> None:
    put = case.lost("drop-request:update:times=1")
    seen = len(case.journal)
    case.alice.resolve(put)
    assert [each.request.method for each in case.journal][seen:] == ["GET"]


def test_what_bob_wrote_is_not_taken_for_seen(case: Case) -> None:
    """An update that follows names the version alice had, so that it cannot write over what she has not looked at."""
    put = case.lost("drop-request:update:times=1")
    case.theirs()
    assert case.alice.resolve(put).outcome is CANNOT
    assert case.alice.last_seen("List", LIST) == FIRST
    assert case.alice.update(case.draft).verdict is Verdict.STALE
    found = case.alice.resolve(put)
    assert (found.outcome, "bob's update named version" in found.because) == (DID_NOT, True)
    assert case.proof().sound


def test_what_landed_is_seen_and_can_be_gone_on_from(case: Case) -> None:
    put = case.lost()
    found = case.alice.resolve(put)
    assert found.read is not None
    assert case.alice.last_seen("List", LIST) == str(found.read.etag) != FIRST
    assert case.alice.update(case.draft | {"title": "Mine again"}).verdict is Verdict.UPDATED
    assert case.alice.resolve(put).outcome is LANDED, "the read that found it out is in the journal"


def test_a_client_that_never_read_it_has_not_seen_it_now(case: Case) -> None:
    put = case.lost("drop-request:update:times=1")
    dan = case.endpoint.client("dan", journal=case.journal)
    assert dan.resolve(put).outcome is SO_FAR
    assert dan.last_seen("List", LIST) is None


def test_a_read_that_cannot_be_sent_forgets_nothing() -> None:
    """The token has gone in the meantime: what was held must still be held, and nothing new is."""
    token = ["token-number-1"]

    def given() -> str:
        if not token:
            raise BadInput("There is no token.")
        return token[0]

    hears = [answers(200, BODY, 'ETag: W/"a"'), hangs_up, answers(200, BODY, 'ETag: W/"b"')]
    with stranger(*hears) as server:
        client = Client(server.url, connection=Connection(token=given))
        client.read("List", "1")
        lost = client.update(json.loads(BODY))
        token.clear()
        with pytest.raises(BadInput, match="no token"):
            client.resolve(lost)
        assert client.last_seen("List", "1") == 'W/"a"'
        token.append("token-number-2")
        client.resolve(lost)
        assert client.last_seen("List", "1") == 'W/"b"', "it holds what was sent, so it counts as seen"


def test_a_judgement_that_fails_forgets_nothing_and_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Resolution:
        raise MemoryError

    hears = [answers(200, BODY, 'ETag: W/"a"'), hangs_up, answers(200, BODY, 'ETag: W/"b"')]
    with stranger(*hears) as server:
        client = Client(server.url)
        client.read("List", "1")
        lost = client.update(json.loads(BODY))
        monkeypatch.setattr("workbench.client.client.unanswered.resolve", fails)
        with pytest.raises(MemoryError):
            client.resolve(lost)
        assert client.last_seen("List", "1") == 'W/"a"'


def test_landed_and_replaced_by_a_client_that_had_read_it(case: Case) -> None:
    put = case.lost()
    case.theirs()
    found = case.alice.resolve(put)
    assert (found.outcome, "bob was shown version" in found.because) == (LANDED, True)
    assert case.alice.last_seen("List", LIST) == FIRST


def test_bob_sends_word_for_word_the_same(case: Case) -> None:
    put = case.lost("drop-request:update:times=1")
    case.bob.update(case.draft, if_match=FIRST).raise_for_verdict()
    assert case.alice.resolve(put).outcome is CANNOT
    case.alice.update(case.draft, if_match=FIRST)
    assert case.alice.resolve(put).outcome is DID_NOT


def test_a_delete_and_a_create(case: Case) -> None:
    content = {name: value for name, value in case.draft.items() if name not in ("id", "meta")}
    case.endpoint.set_faults("drop-answer:create:times=1")
    create = case.alice.create(content)
    assert create.verdict is Verdict.UNKNOWN
    assert case.alice.resolve(create).outcome is CANNOT
    name = case.alice.create(content).logical_id
    for fault, expected in (("drop-request", SO_FAR), ("drop-answer", LANDED)):
        case.endpoint.set_faults(f"{fault}:delete:times=1")
        delete = case.alice.delete("List", name)
        assert (delete.verdict, case.alice.resolve(delete).outcome) == (Verdict.UNKNOWN, expected)
    assert case.alice.last_seen("List", name) is None


def test_another_endpoints_exchange_is_refused(case: Case) -> None:
    put = case.lost()
    with Endpoint.in_process() as other:
        stranger = Client("http://other.invalid/STU3", connection=Connection(adapter=other._serving))  # type: ignore[arg-type]
        with pytest.raises(BadInput, match="another endpoint"):
            stranger.resolve(put)


class Held(BaseAdapter):
    """Takes requests on to an endpoint, but holds one back: its sender gets no answer, and it arrives later."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._onward, self.hold, self.held = endpoint._serving, False, list[requests.PreparedRequest]()

    def send(self, request: requests.PreparedRequest, *_given: object, **_named: object) -> requests.Response:
        """Pass it on, or keep it."""
        if self.hold and request.method == "PUT":
            self.hold = False
            self.held.append(request)
            raise requests.ConnectionError("held back")
        return self._onward.send(request)  # type: ignore[attr-defined,no-any-return]

    def arrive(self) -> int:
        """Let the request arrive now; return the status, which no client gets."""
        return int(self._onward.send(self.held.pop()).status_code)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Nothing to close."""


def test_it_arrives_after_the_read_and_sending_again_settles_it(spine_in_process: Endpoint) -> None:
    wire = Held(spine_in_process)
    alice = Client(spine_in_process.base_url, name="alice", connection=Connection(adapter=wire, allow_writes=True))
    draft = alice.read("List", LIST).resource | {"title": "Mine"}
    wire.hold = True
    put = alice.update(draft)
    assert alice.resolve(put).outcome is SO_FAR, "so far is all that a read can say"
    assert wire.arrive() == 200
    again = alice.update(draft)
    assert again.verdict is Verdict.STALE, "the same If-Match: it cannot be written twice"
    assert alice.resolve(put).outcome is LANDED
    wire.hold = True
    draft["title"] = "Mine, once more"
    put = alice.update(draft)
    assert alice.update(draft).verdict is Verdict.UPDATED
    assert wire.arrive() == 409, "the other way round: the one that comes late is refused"
    assert alice.resolve(put).outcome is DID_NOT
    assert history(alice.journal).check().sound


# --- kill -9 ---


class Killed:
    """An endpoint on a file, killed and started again at the same address."""

    def __init__(self, path: Path) -> None:
        self._settings = Settings(db=str(path), seed="1")
        self.server = ServerProcess(self._settings, Serving())
        self.journal = Journal()
        self.alice = Client(self.server.base_url, name="alice", journal=self.journal)
        self.draft = self.alice.read("List", LIST).resource | {"title": "Mine"}

    def again(self) -> None:
        port = int(self.server.base_url.rsplit(":", 1)[1].split("/")[0])
        self.server = ServerProcess(self._settings, Serving(port=port))

    def put_and_kill(self, when: Callable[[], object]):  # type: ignore[no-untyped-def]
        """Send the update in another thread, kill once ``when`` has come back, and give the exchange."""
        done = []
        sender = threading.Thread(target=lambda: done.append(self.alice.update(self.draft, prefer="representation")))
        sender.start()
        when()
        self.server.kill()
        sender.join()
        return done[0]

    def await_stored(self) -> None:
        """Wait until a read shows what was sent."""
        observer = Client(self.server.base_url, name="observer", journal=self.journal)
        while observer.read("List", LIST).resource["title"] != "Mine":
            pass


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    started = Killed(tmp_path / "spine.db")
    yield started
    started.server.stop()


KILLS: dict[str, tuple[str, bool, Landing]] = {
    # when: the fault that holds it there, whether to wait until it is stored, what became of it
    "before it is stored": ("latency:update:seconds=600", False, SO_FAR),
    "in the middle of its answer": ("slow-body:update:seconds=600", True, LANDED),
}


@pytest.mark.parametrize("when", KILLS)
def test_killed_while_it_is_carried_out(killed: Killed, when: str) -> None:
    fault, stored, expected = KILLS[when]
    killed.server.run_command("faults", [fault])
    put = killed.put_and_kill(killed.await_stored if stored else lambda: None)
    killed.again()
    if put.verdict is Verdict.UPDATED:  # the head of the answer had come
        assert (when, put.failure != "") == ("in the middle of its answer", True)
    elif put.sent:
        assert killed.alice.resolve(put).outcome is expected
    there = killed.alice.read("List", LIST)
    assert (there.resource["title"] == "Mine") is (expected is LANDED)
    assert history(killed.journal).check().sound


@pytest.mark.parametrize(
    ("fault", "expected"), [("drop-request", SO_FAR), ("drop-answer", LANDED), ("cut-body", LANDED)]
)
def test_killed_after_the_line_was_cut(killed: Killed, fault: str, expected: Landing) -> None:
    killed.server.run_command("faults", [f"{fault}:update"])
    put = killed.alice.update(killed.draft)
    killed.server.kill()
    assert put.verdict is Verdict.UNKNOWN
    found = killed.alice.resolve(put)
    assert (found.outcome, "yet" in found.because) == (CANNOT, True), "the endpoint is not running"
    killed.again()
    assert killed.alice.resolve(put).outcome is expected
    again = killed.alice.update(killed.draft, if_match=FIRST)
    assert again.verdict is (Verdict.STALE if expected is LANDED else Verdict.UPDATED)
    assert history(killed.journal).check().sound


# --- sent again ---


class Sleeper:
    """Replace sleep: remembers how long, and does what was asked meanwhile."""

    def __init__(self, *meanwhile: Callable[[], object]) -> None:
        self.slept: list[float] = []
        self._meanwhile = list(meanwhile)

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self._meanwhile:
            self._meanwhile.pop(0)()


def test_no_retry_by_default(case: Case) -> None:
    seen = len(case.journal)
    put = case.lost("drop-request:update:times=1")
    assert (put.verdict, len(case.journal) - seen) == (Verdict.UNKNOWN, 1)


def test_the_request_was_lost_and_is_sent_again(case: Case) -> None:
    case.endpoint.set_faults("drop-request:update:times=2")
    seen, sleep = len(case.journal), Sleeper()
    put = case.alice.update(case.draft, retry=Retry(pause=1, sleep=sleep))
    assert (put.verdict, sleep.slept) == (Verdict.UPDATED, [1, 2])
    attempts = list(case.journal)[seen:]
    assert [each.verdict for each in attempts] == [Verdict.UNKNOWN, Verdict.UNKNOWN, Verdict.UPDATED]
    assert {each.if_match for each in attempts} == {FIRST}
    assert len({each.request for each in attempts}) == 1
    assert (list(put.attempts), put.resolution, put.stopped) == (attempts, None, "")
    assert put.exchange == attempts[-1]
    assert put.explain().startswith(attempts[-1].explain())
    assert put.explain().endswith("The update was sent 3 times with the same If-Match.")
    assert repr(put).startswith("<Retried: 3 attempts, last <alice: update List/")
    assert case.proof().sound


def test_the_answer_was_lost_and_the_409_to_the_second_attempt_is_explained(case: Case) -> None:
    case.endpoint.set_faults("drop-answer:update:times=1")
    put = case.alice.update(case.draft, retry=Retry(sleep=Sleeper()))
    assert (put.exchange.status, put.verdict) == (409, Verdict.STALE)
    assert put.resolution is not None
    assert put.resolution.outcome is LANDED
    assert put.explain().startswith("An earlier attempt had no answer. Outcome: landed, because version ")
    assert f"So alice's update of List/{LIST} is done; the last attempt was answered 409." in put.explain()
    assert "is not its current version" not in put.explain()
    assert ", earlier attempt: landed>" in repr(put)
    assert case.alice.last_seen("List", LIST) != FIRST
    assert case.proof().sound


def test_another_client_updated_before_the_second_attempt(case: Case) -> None:
    case.endpoint.set_faults("drop-request:update:times=1")
    put = case.alice.update(case.draft, retry=Retry(sleep=Sleeper(case.theirs)))
    assert put.verdict is Verdict.STALE
    assert put.resolution is not None
    assert put.resolution.outcome is DID_NOT
    assert "is not its current version" in put.explain()
    assert "did not land, because bob's update named version" in put.explain()
    assert case.alice.last_seen("List", LIST) == FIRST


def test_an_answer_is_never_sent_again(case: Case) -> None:
    stale = case.theirs()
    seen, sleep = len(case.journal), Sleeper()
    retry = Retry(sleep=sleep)
    verdicts = [
        case.alice.update(case.draft, if_match=FIRST, retry=retry).verdict,
        case.alice.update(case.draft | {"mode": "nonsense"}, if_match=stale, retry=retry).verdict,
        case.alice.update(case.draft | {"id": "never-assigned"}, if_match=stale, retry=retry).verdict,
    ]
    assert verdicts == [Verdict.STALE, Verdict.REFUSED, Verdict.REFUSED]
    assert (len(case.journal) - seen, sleep.slept) == (3, [])


def test_retry_after_is_kept(case: Case) -> None:
    case.endpoint.set_faults("refuse:update:times=2:seconds=7")
    sleep = Sleeper()
    put = case.alice.update(case.draft, retry=Retry(longest_wait=7, sleep=sleep))
    assert (put.verdict, sleep.slept) == (Verdict.UPDATED, [7, 7])


def test_a_503_that_asks_for_too_long_is_not(case: Case) -> None:
    case.endpoint.set_faults("refuse:update:seconds=8")
    sleep = Sleeper()
    put = case.alice.update(case.draft, retry=Retry(longest_wait=7, sleep=sleep))
    assert (put.exchange.status, sleep.slept) == (503, [])
    assert "asks to wait 8 s. That is longer than longest_wait (7 s)" in put.explain()


def test_the_attempts_end(case: Case) -> None:
    case.endpoint.set_faults("drop-answer:update")
    sleep = Sleeper()
    put = case.alice.update(case.draft, retry=Retry(times=4, pause=2, longest_wait=5, sleep=sleep))
    assert (put.verdict, sleep.slept) == (Verdict.UNKNOWN, [2, 4, 5, 5])
    assert case.alice.resolve(put.exchange).outcome is LANDED
    case.endpoint.set_faults("drop-request:update")
    sleep = Sleeper()
    put = case.alice.update(case.draft, retry=Retry(times=4, pause=2, longest_wait=5, sleep=sleep))
    assert (put.verdict, sleep.slept) == (Verdict.UNKNOWN, [2, 4, 5, 5])
    assert "sent again 4 times, as often as allowed" in put.explain()
    assert case.alice.update(case.draft, retry=Retry(times=0, sleep=sleep)).verdict is Verdict.UNKNOWN


def test_the_endpoint_is_killed_between_two_attempts(killed: Killed) -> None:
    """A last attempt that was never sent must not make one forget the first, which was."""
    killed.server.run_command("faults", ["drop-answer:update"])
    put = killed.alice.update(killed.draft, retry=Retry(times=2, sleep=Sleeper(killed.server.kill)))
    assert (put.verdict, put.exchange.sent) == (Verdict.FAILED, False)
    assert put.resolution is not None
    assert put.resolution.outcome is CANNOT
    assert "cannot be known" in repr(put)
    killed.again()
    assert killed.alice.resolve(put.attempts[0]).outcome is LANDED


def test_the_endpoint_comes_back_between_two_attempts(killed: Killed) -> None:
    killed.server.kill()
    sleep = Sleeper(lambda: None, killed.again)
    put = killed.alice.update(killed.draft, retry=Retry(sleep=sleep))
    assert (put.verdict, len(sleep.slept)) == (Verdict.UPDATED, 2)


@pytest.mark.parametrize("if_match", [None, "*", "25777f7d-27bc", 'W/"a", W/"b"', ""])
def test_without_a_lock_it_is_refused(case: Case, if_match: str | None) -> None:
    seen = len(case.journal)
    with pytest.raises(BadInput, match="names one version"):
        case.alice.update(case.draft, if_match=if_match, retry=Retry())
    assert len(case.journal) == seen


@pytest.mark.parametrize(
    "wrong", [{"times": -1}, {"pause": -1}, {"longest_wait": float("inf")}, {"pause": float("nan")}]
)
def test_a_policy_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(WorkbenchError, match="times and seconds of 0 or more"):
        Retry(**wrong)  # type: ignore[arg-type]


def test_a_resolution_is_a_plain_record() -> None:
    made = Resolution(LANDED, "it is there.", None)
    assert str(made) == "landed: it is there."
    with pytest.raises(AttributeError):
        made.because = "no"  # type: ignore[misc]
