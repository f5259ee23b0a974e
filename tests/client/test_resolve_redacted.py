"""``Client.resolve`` compares like with like: what a journal redacts never changes what is found out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from workbench import Client, Connection, Endpoint, Journal, Landing, Verdict

NHS_NUMBER = "9990000018"
LANDED, SO_FAR, DID_NOT, CANNOT = (
    Landing.LANDED,
    Landing.NOT_SO_FAR,
    Landing.DID_NOT_LAND,
    Landing.CANNOT_BE_KNOWN,
)


class Renamed(HTTPAdapter):
    """The embedded endpoint, with another id for one of its resources on the wire."""

    def __init__(self, endpoint: Endpoint, real: str, shown: str) -> None:
        super().__init__()
        self._onward: Any = endpoint._serving
        self._real, self._shown = real, shown
        self.breaks = False

    def send(self, request: requests.PreparedRequest, *_given: object, **_named: object) -> requests.Response:
        """Pass the request on and the answer back; Ctrl-C ends a read where ``breaks`` says so."""
        if self.breaks and request.method == "GET":
            raise KeyboardInterrupt
        request = request.copy()
        request.url = str(request.url).replace(self._shown, self._real)
        if request.body is not None:
            body = request.body.encode() if isinstance(request.body, str) else request.body
            request.body = body.replace(self._shown.encode(), self._real.encode())
            request.headers["Content-Length"] = str(len(request.body))
        answer: requests.Response = self._onward.send(request)
        content = answer.content.replace(self._real.encode(), self._shown.encode())
        answer.headers.pop("Content-Encoding", None)
        answer.headers["Content-Length"] = str(len(content))
        renamed = HTTPResponse(
            BytesIO(content), dict(answer.headers), answer.status_code, preload_content=False, decode_content=False
        )
        return self.build_response(request, renamed)

    def close(self) -> None:
        """Nothing to close."""


class Scene:
    """Alice and Bob, whose common journal redacts or does not, and a List about a person."""

    def __init__(self, endpoint: Endpoint, journal: Journal, logical_id: str) -> None:
        self.endpoint, self.journal = endpoint, journal
        endpoint.set_faults()
        content = {"resourceType": "List", "status": "current", "mode": "working"}
        real = endpoint.client("first", journal=Journal()).create(content).logical_id
        self.name = logical_id or real
        self.wire = Renamed(endpoint, real, self.name)
        connection = Connection(adapter=self.wire, allow_writes=True)
        self.alice, self.bob = (
            Client(endpoint.base_url, name=name, journal=journal, connection=connection, clock=endpoint._clock)
            for name in ("alice", "bob")
        )
        subject = {"reference": f"Patient/{NHS_NUMBER}", "display": "Ann Example"}
        self.draft = self.alice.read("List", self.name).resource | {"subject": subject, "title": f"of {NHS_NUMBER}"}
        self.version = self.alice.last_seen("List", self.name)

    def lost(self, who: Client, fault: str) -> Any:
        """An update of the draft that meets a fault."""
        self.endpoint.set_faults(f"{fault}:update:times=1")
        put = who.update(self.draft, if_match=self.version)
        assert put.verdict is Verdict.UNKNOWN
        self.endpoint.set_faults()
        return put


def landed(scene: Scene) -> Any:
    return scene.lost(scene.alice, "drop-answer")


def lost_on_the_way(scene: Scene) -> Any:
    return scene.lost(scene.alice, "drop-request")


def landed_and_replaced(scene: Scene) -> Any:
    put = landed(scene)
    read = scene.bob.read("List", scene.name)
    scene.bob.update(read.resource | {"title": "Bob's"}).raise_for_verdict()
    return put


def bob_sent_the_same(scene: Scene) -> Any:
    put = lost_on_the_way(scene)
    scene.lost(scene.bob, "drop-answer")
    return put


def bob_wrote_the_same(scene: Scene) -> Any:
    put = lost_on_the_way(scene)
    scene.bob.update(scene.draft, if_match=scene.version).raise_for_verdict()
    return put


def bob_wrote_the_same_and_the_lock_is_known(scene: Scene) -> Any:
    put = bob_wrote_the_same(scene)
    assert scene.bob.update(scene.draft, if_match=scene.version).verdict is Verdict.STALE
    return put


STORIES: dict[Callable[[Scene], Any], Landing] = {
    landed: LANDED,
    lost_on_the_way: SO_FAR,
    landed_and_replaced: LANDED,
    bob_sent_the_same: CANNOT,
    bob_wrote_the_same: CANNOT,
    bob_wrote_the_same_and_the_lock_is_known: DID_NOT,
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with Endpoint.in_process(seed=1) as started:
        yield started


@pytest.mark.parametrize("in_file", [False, True], ids=["in memory", "in a file"])
@pytest.mark.parametrize("redact", [False, True], ids=["clear", "redacted"])
@pytest.mark.parametrize("logical_id", ["", NHS_NUMBER], ids=["", "an NHS number in the URL"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_what_is_redacted_changes_no_outcome(
    endpoint: Endpoint, story: Callable[[Scene], Any], logical_id: str, redact: bool, in_file: bool, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.db" if in_file else None, redact=redact)
    scene = Scene(endpoint, journal, logical_id)
    put = story(scene)
    found = scene.alice.resolve(put)
    assert found.outcome is STORIES[story], found
    assert found.read is not None
    assert found.read.logical_id == scene.name, "what a client gives back is never redacted"
    as_sent = scene.draft["subject"]["display"] == found.read.resource.get("subject", {}).get("display")
    assert as_sent is (story is not lost_on_the_way)
    assert (scene.alice.last_seen("List", scene.name) == str(found.read.etag)) is (
        found.read.resource.get("title") == scene.draft["title"] or story is lost_on_the_way
    )
    journal.close()


def test_an_exchange_whose_id_the_journal_replaced_is_not_looked_up(endpoint: Endpoint) -> None:
    scene = Scene(endpoint, Journal(redact=True), NHS_NUMBER)
    endpoint.set_faults("drop-request:delete:times=1")
    scene.alice.delete("List", NHS_NUMBER)
    kept = scene.journal[-1]
    assert "redacted" in kept.logical_id
    found = scene.alice.resolve(kept)
    assert (found.outcome, found.read) == (CANNOT, None)
    assert "resolve the exchange that the client returned" in found.because


def test_a_read_that_raises_forgets_no_version(endpoint: Endpoint) -> None:
    scene = Scene(endpoint, Journal(), "")
    put = lost_on_the_way(scene)
    scene.wire.breaks = True
    with pytest.raises(KeyboardInterrupt):
        scene.alice.resolve(put)
    assert scene.alice.last_seen("List", scene.name) == scene.version
