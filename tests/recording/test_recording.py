"""Cassettes: recorded against a real endpoint, replayed byte for byte without one, compared when run live again."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from workbench import BadInput, Client, Connection, Endpoint, Journal, NotRecorded, Recording, Verdict, WriteNotAllowed
from workbench import record as wb_record
from workbench.recording.logical import BASE_URL

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
NUMBER = "9990000018"
TOKEN = "planted-secret-0f1e2d3c"


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "lesson.json"


@pytest.fixture
def endpoint() -> Iterator[Callable[..., Endpoint]]:
    """Start real endpoints on ports of their own, each with its own ids and times."""
    running: list[Endpoint] = []

    def start(**settings: Any) -> Endpoint:
        running.append(Endpoint.start(**settings))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def story(session: Recording) -> str:
    """Everything a notebook could show of a session."""
    alice, bob = session.client("alice"), session.client("bob")
    read, _ = alice.read("List", LIST), bob.read("List", LIST)
    draft = read.resource
    draft["title"] = "Reviewed"
    shown = [read, alice.update(draft, prefer="representation"), bob.update(draft), bob.update(draft, if_match=None)]
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": f"for {NUMBER}"},
            "subject": {"reference": f"Patient/{NUMBER}", "display": "Ann O'Example"}}  # fmt: skip
    made = alice.create(flag, prefer="representation")
    again = alice.read("Flag", made.logical_id, if_none_match=made.etag)
    changed = made.resource | {"status": "inactive"}
    shown += [made, again, bob.search("Flag", _lastUpdated="ge2018"), bob.search("Flag", family="O'Example")]
    shown += [alice.update(changed), alice.delete("Flag", made.logical_id), alice.read("Flag", made.logical_id)]
    shown += [alice.send("PUT", f"List/{LIST}", headers={"If-Match": 'W/"v1"'}, body="{"), alice.capabilities()]
    journal = session.journal
    texts = [f"{each.as_http()}\n{each.as_curl()}\n{each.explain()}\n{each!r}" for each in [*shown, *journal]]
    tables = [
        journal.transitions().to_csv(),
        journal.to_frame().to_csv(),
        journal.diagram().svg,
        json.dumps(journal.to_har()),
    ]
    return "\n".join([*texts, *tables, repr(session.end())])


@pytest.mark.parametrize("redact", [True, False])
def test_a_recording_replays_byte_for_byte_with_the_endpoint_stopped(
    tape: Path, endpoint: Callable[..., Endpoint], redact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spine = endpoint()
    recorded = story(wb_record(tape, spine, mode="record", redact=redact))
    spine.stop()
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a replay opened a connection"))
    assert story(wb_record(tape, lambda: pytest.fail("a replay asked for its endpoint"))) == recorded
    assert recorded.endswith("14 exchanges, each answered as recorded.")


def test_another_endpoint_with_other_ids_and_dates_shows_no_drift(
    tape: Path, endpoint: Callable[..., Endpoint]
) -> None:
    recorded = story(wb_record(tape, endpoint(seed=1), mode="record", redact=True))
    other = endpoint(seed=2, clock="2020-01-01T00:00:00Z")
    assert story(wb_record(tape, other, mode="live")) == recorded


def test_two_recordings_of_the_same_are_the_same_file(tmp_path: Path, endpoint: Callable[..., Endpoint]) -> None:
    for name in ("one", "two"):
        story(wb_record(tmp_path / name, endpoint(), mode="record", redact=True))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_policy_is_drift_and_is_shown_as_a_table(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    story(wb_record(tape, endpoint(), mode="record"))
    session = wb_record(tape, endpoint(policy="R4"), mode="live")
    story(session)
    frame = session.drift().frame
    assert list(frame.columns) == ["seq", "client", "request", "what", "then", "now"]
    statuses = frame[frame["what"] == "status"]
    found = statuses[["seq", "then", "now"]].to_numpy().tolist()
    assert found == [[4, "409", "412"], [5, "412", "400"]]
    assert "differences:\n" in repr(session.drift())
    assert session.drift()


def test_missing_and_additional_requests_are_drift(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    spine = endpoint()
    with wb_record(tape, spine, mode="record") as session:
        session.client("alice").read("List", LIST)
        session.client("bob").read("List", LIST)
    session = wb_record(tape, spine, mode="live")
    session.client("alice").read("List", LIST)
    session.client("alice").capabilities()
    found = [(each.client, each.request, each.then, each.now) for each in session.end().differences]
    assert found == [("alice", "GET metadata", "not asked", "asked"), ("bob", f"GET List/{LIST}", "asked", "not asked")]
    replay = wb_record(tape)
    replay.client("alice").read("List", LIST)
    assert len(replay.end().differences) == 1


def test_the_endpoint_gets_original_values_and_the_cassette_no_personal_data(
    tape: Path, endpoint: Callable[..., Endpoint]
) -> None:
    spine = endpoint()
    before = spine.client(journal=Journal()).read("List", LIST).resource
    with wb_record(tape, spine, mode="record", redact=True) as session:
        client = session.client()
        draft = client.read("List", LIST).resource
        assert draft["subject"]["identifier"]["value"] == "redacted-1"
        draft["title"] = "Reviewed"
        assert client.update(draft).verdict is Verdict.UPDATED
    after = spine.client(journal=Journal()).read("List", LIST).resource
    assert after | {"meta": None} == before | {"meta": None, "title": "Reviewed"}
    assert NUMBER not in tape.read_text(encoding="utf-8")


def test_planted_secrets_are_not_in_the_cassette_nor_shown(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    spine = endpoint()
    connection = Connection(headers={"Authorization": f"Bearer {TOKEN}", "X-Of-Ours": TOKEN, "Cookie": f"a={TOKEN}"})
    session = wb_record(tape, Client(spine.base_url, connection=connection), mode="record")
    client = session.client()
    client.read("List", LIST)
    client.send("GET", f"List/{LIST}?access_token={TOKEN}", headers={"X-Another": TOKEN, "Authorization": TOKEN})
    assert session.end().exchanges == 2
    kept = tape.read_text(encoding="utf-8")
    assert TOKEN not in kept
    assert spine.base_url.split("/")[2] not in kept
    assert TOKEN not in repr(session) + repr(session.__dict__)


def test_the_endpoint_gets_the_connection_s_headers(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    spine = endpoint(strict=True)
    with wb_record(tape, spine.base_url, mode="record") as session:
        assert session.client().read("List", LIST).status == 400
    with wb_record(
        tape, Client(spine.base_url, connection=Connection(headers={"fromASID": "200000000115"})), mode="live"
    ) as live:
        assert "fromASID" not in str(live.client().read("List", LIST).resource)
    assert live.drift()


def test_a_request_that_the_cassette_does_not_hold_is_one_sentence(
    tape: Path, endpoint: Callable[..., Endpoint]
) -> None:
    with wb_record(tape, endpoint(), mode="record") as session:
        session.client("alice").read("List", LIST)
    replay = wb_record(tape)
    with pytest.raises(NotRecorded, match=r"does not hold GET metadata as request 1 of alice, but GET List/744"):
        replay.client("alice").capabilities()
    assert replay.client("alice").read("List", LIST).status == 200
    with pytest.raises(NotRecorded, match=r"as request 2 of alice, but nothing; restart the kernel") as error:
        replay.client("alice").read("List", LIST)
    assert "\n" not in str(error.value)
    with pytest.raises(NotRecorded, match="but nothing"):
        replay.client("carol").read("List", LIST)
    other = wb_record(tape).client("alice")
    with pytest.raises(NotRecorded, match="the same with other header fields or another body"):
        other.read("List", LIST, if_none_match='W/"v1"')


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "cannot be read"),
        ("[]", "is not a cassette of format 1"),
        ('{"cassette": 2}', "is not a cassette of format 1"),
        ('{"cassette": 1, "redacted": []}', "has no list of exchanges"),
        ('{"cassette": 1, "redacted": [], "exchanges": [{"client": "a"}]}', "Exchange 1 of the cassette"),
        (
            '{"cassette": 1, "redacted": [], "exchanges": [{"client": "a", "request": {"method": "GET", "path": "x"}, '
            '"answer": {"status": "200"}}]}',
            "Exchange 1 of the cassette",
        ),
        ('{"cassette": 1, "redacted": ["Patient"], "exchanges": []}', "is not an element path"),
    ],
)
def test_a_damaged_cassette_is_rejected(tape: Path, content: str, words: str) -> None:
    tape.parent.mkdir()
    tape.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=words):
        wb_record(tape)


def test_a_session_that_cannot_start_says_why(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"There is no cassette .*record one by WORKBENCH_CASSETTE=record"):
        wb_record(tape, "http://127.0.0.1:9/STU3")
    monkeypatch.setenv("WORKBENCH_CASSETTE", "recrod")
    with pytest.raises(BadInput, match="'recrod' is not a mode"):
        wb_record(tape)
    monkeypatch.setenv("WORKBENCH_CASSETTE", "record")
    with pytest.raises(BadInput, match="say with which endpoint"):
        wb_record(tape)
    with pytest.raises(BadInput, match="takes a list of paths"):
        wb_record(tape, "http://127.0.0.1:9/STU3", redact="Patient.name")


def test_no_answer_replays_as_no_answer(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    spine = endpoint(faults=["cut-body:read:times=1", "drop-answer:update:times=1"])

    def outcomes(session: Recording) -> list[tuple[object, ...]]:
        client = session.client()
        update = {"resourceType": "List", "id": LIST, "status": "current", "mode": "working"}
        done = [client.read("List", LIST), client.update(update, if_match='W/"25777f7d-27bc"')]
        if session.mode == "record":
            spine.stop()
        done.append(client.read("List", LIST))
        session.end()
        return [(each.status, each.verdict, each.failure, each.sent) for each in done]

    recorded = outcomes(wb_record(tape, spine.base_url, mode="record"))
    assert [verdict for _, verdict, *_ in recorded][1:] == [Verdict.UNKNOWN, Verdict.FAILED]
    assert recorded[0][2] == "The answer's body broke off."
    assert "recorded.invalid" in str(recorded[2][2])
    assert outcomes(wb_record(tape)) == recorded


def test_a_write_to_a_remote_host_needs_the_connection_s_permission(tape: Path) -> None:
    session = wb_record(tape, "https://int.spine.invalid.example/STU3", mode="record")
    with pytest.raises(WriteNotAllowed, match=r"int\.spine\.invalid\.example is not this machine"):
        session.client().update({"resourceType": "List", "id": "1"}, if_match=None)
    assert not session.client().is_local


def test_a_remote_endpoint_is_redacted_by_default(tape: Path) -> None:
    wb_record(tape, "https://int.spine.example/STU3", mode="record").end()
    assert "NHS numbers" in json.loads(tape.read_text())["redacted"]
    wb_record(tape, "http://127.0.0.1:9/STU3", mode="record").end()
    assert json.loads(tape.read_text())["redacted"] == []


def test_an_interrupted_session_is_not_recorded(tape: Path) -> None:
    with pytest.raises(RuntimeError), wb_record(tape, "http://127.0.0.1:9/STU3", mode="record"):
        raise RuntimeError
    assert not tape.exists()


def test_decimals_are_kept_digit_for_digit(tape: Path) -> None:
    tape.parent.mkdir()
    answer = (
        '{"status": 200, "headers": {"Content-Type": "application/fhir+json"}, "body": {"value": 1.10, "other": 1e2}}'
    )
    entry = f'{{"client": "a", "request": {{"method": "GET", "path": "Observation/1"}}, "answer": {answer}}}'
    tape.write_text(f'{{"cassette": 1, "redacted": [], "exchanges": [{entry}]}}', encoding="utf-8")
    with pytest.raises(NotRecorded, match="other header fields"):
        wb_record(tape).client("a").read("Observation", "1")
    entry = entry.replace(
        '"path": "Observation/1"', '"path": "Observation/1", "headers": {"Accept": "application/fhir+json"}'
    )
    tape.write_text(f'{{"cassette": 1, "redacted": [], "exchanges": [{entry}]}}', encoding="utf-8")
    read = wb_record(tape).client("a").read("Observation", "1")
    assert read.response is not None
    assert read.response.body == b'{"value":1.10,"other":1e2}'
    assert read.request.url == f"{BASE_URL}/Observation/1"


class PatientAdapter(BaseAdapter):
    """An endpoint with one patient, whose id is the NHS number, as the Personal Demographics Service has them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[requests.PreparedRequest] = []
        self.version = 7

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        self.seen.append(request)
        self.version += request.method == "PUT"
        patient = {"resourceType": "Patient", "id": NUMBER, "meta": {"versionId": f"{self.version}"}}
        body = json.dumps(patient | {"name": [{"family": "O'Example"}]}).encode()
        headers = {"ETag": f'W/"{self.version}"', "Content-Type": "application/fhir+json"}
        response = requests.Response()
        response.status_code, response.url, response.request = 200, str(request.url), request
        response.raw = HTTPResponse(io.BytesIO(body), headers=headers, status=200, preload_content=False)
        return response

    def close(self) -> None:
        """Nothing is open."""


def test_a_patient_whose_id_is_the_nhs_number_is_followed_by_a_placeholder(tape: Path) -> None:
    adapter = PatientAdapter()
    connection = Connection(adapter=adapter, allow_writes=True)
    with wb_record(tape, Client("https://pds.example/FHIR", connection=connection), mode="record") as session:
        client = session.client()
        read = client.read("Patient", NUMBER)
        assert read.resource["id"] == "redacted-1"
        assert client.update(read.resource | {"active": True}, if_match=read.etag).status == 200
        assert str(client.read("Patient", "redacted-1").etag) == 'W/"v2"'
    first, put, again = adapter.seen
    assert {each.url for each in adapter.seen} == {f"https://pds.example/FHIR/Patient/{NUMBER}"}
    assert put.headers["If-Match"] == 'W/"7"'
    assert json.loads(put.body or "")["name"] == [{"family": "O'Example"}]
    kept = tape.read_text(encoding="utf-8")
    assert not [secret for secret in (NUMBER, "O'Example", "pds.example") if secret in kept]
    assert (first.method, again.method) == ("GET", "GET")
    replay = wb_record(tape).client()
    assert replay.read("Patient", NUMBER).resource == read.resource


# --- the journal ---


def test_a_journal_redacts_exchanges_with_a_remote_host() -> None:
    with Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=1) as spine:
        embedded = spine.client("alice")
        found = embedded.read("List", LIST)
        assert embedded.journal[0] is found
        adapter = embedded.connection.adapter
        live = Client("https://int.spine.example/STU3", connection=Connection(adapter=adapter))
        read = live.read("List", LIST)
        assert read.resource["subject"]["identifier"]["value"] == NUMBER
        assert live.journal[0].resource["subject"]["identifier"]["value"] == "redacted-1"
        assert NUMBER not in live.journal.to_frame().to_csv() + json.dumps(live.journal.to_har())
        assert live.journal[0].etag == read.etag


def test_a_journal_redacts_by_the_paths_it_is_given(tmp_path: Path) -> None:
    with Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=1) as spine:
        journal = Journal(redact=["List.title"])
        client = spine.client(journal=journal)
        draft = client.read("List", LIST).resource
        client.update(draft)
        assert journal[0].resource["title"] == "redacted-1"
        assert b"redacted-1" in journal[1].request.body
        assert NUMBER in str(journal[0].resource)
        assert list(journal.transitions()["verdict"]) == ["read", "updated"]
        journal.save(tmp_path / "j.jsonl")
        assert list(Journal.load(tmp_path / "j.jsonl")) == list(journal)
    with pytest.raises(BadInput, match="takes a list of paths"):
        Journal(redact="List.title")


# --- cleaning up ---


def use(session: Recording) -> None:
    """Create one resource, and update another one."""
    alice = session.client("alice")
    alice.create({"resourceType": "List", "status": "current", "mode": "working"})
    read = alice.read("List", LIST)
    alice.update(read.resource | {"title": "Changed by a session"})


def stop_in_the_middle(session: Recording) -> None:
    use(session)
    raise ZeroDivisionError


def assert_as_before(running: Endpoint, before: dict[str, Any]) -> None:
    onlooker = running.client("onlooker", journal=Journal())
    now = onlooker.read("List", LIST).resource
    assert {k: v for k, v in now.items() if k != "meta"} == {k: v for k, v in before.items() if k != "meta"}
    assert onlooker.search("List").resource["total"] == 1


def before_of(running: Endpoint) -> dict[str, Any]:
    resource: dict[str, Any] = running.client("onlooker", journal=Journal()).read("List", LIST).resource
    return resource


@pytest.mark.parametrize("ending", ["end", "with", "error"])
def test_a_session_puts_back_what_it_changed_however_it_ends(
    tape: Path, endpoint: Callable[..., Endpoint], ending: str
) -> None:
    running = endpoint()
    before = before_of(running)
    session = wb_record(tape, running, mode="record", clean_up=True)
    if ending == "end":
        use(session)
        assert not session.end()
    elif ending == "with":
        with session:
            use(session)
    else:
        with pytest.raises(ZeroDivisionError), session:
            stop_in_the_middle(session)
    assert_as_before(running, before)
    assert [each.interaction for each in session.journal] == ["create", "read", "update"], "no part of the session"


def test_a_program_that_stops_before_its_end_cleans_up_too(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    running = endpoint()
    before = before_of(running)
    program = f"""if True:
        import workbench as wb
        alice = wb.record({str(tape)!r}, {running.base_url!r}, mode="record", clean_up=True).client("alice")
        alice.create({{"resourceType": "List", "status": "current", "mode": "working"}})
        read = alice.read("List", {LIST!r})
        assert alice.update(read.resource | {{"title": "Changed"}}).ok
        raise SystemExit("a test failed")
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "a test failed\n")
    assert_as_before(running, before)


def test_what_cannot_be_put_back_is_a_difference(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    running = endpoint()
    session = wb_record(tape, running, mode="record", clean_up=True)
    use(session)
    running.set_faults("refuse:delete:seconds=1")
    drift = session.end()
    (difference,) = drift.differences
    assert (difference.client, difference.then) == ("clean-up", "put back")
    assert re.match(r"List/[0-9a-f-]{36} was created and could not be put back: .*503", difference.now)


def test_without_clean_up_everything_stays(tape: Path, endpoint: Callable[..., Endpoint]) -> None:
    running = endpoint()
    session = wb_record(tape, running, mode="record")
    use(session)
    session.end()
    assert running.client().search("List").resource["total"] == 2
