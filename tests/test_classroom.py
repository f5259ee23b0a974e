"""The classroom: what phones and the presenter see, what cannot be written, the limits, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tlskit
from classroomkit import CODE, PRESENTER, Room, running_room

from workbench.classroom import LONGEST_ENTRY, LONGEST_NAME, Classroom, ClassroomApp, Refused, hold, is_private
from workbench.cli import main
from workbench.endpoint.settings import Serving

WAIT = 30.0


@pytest.fixture(scope="module")
def _room() -> Iterator[Room]:
    with running_room() as running:
        yield running


@pytest.fixture
def room(_room: Room) -> Iterator[Room]:
    """The module's room, with a new List and the lock on."""
    presenter = _room.presenter()
    assert presenter.post("/api/restart")["http"] == presenter.post("/api/lock", locked=True)["http"] == 200
    yield _room
    _room.hang_up()


class Time:
    """A clock that moves when a test moves it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
def classroom(at: Time) -> Iterator[Classroom]:
    made = Classroom(code=CODE, presenter=PRESENTER, most_people=3, clock=at)
    yield made
    made.close()


# --- what everybody sees ---


def test_of_two_phones_with_the_same_version_the_second_is_refused(room: Room) -> None:
    alice, bob, presenter = room.phone("Alice"), room.phone("Bob"), room.presenter()
    held = bob.post("/api/load")["etag"]

    added = alice.post("/api/add", text="Tea")
    assert added["status"] == 200
    assert added["entries"] == [f"Tea ({added['name']})"]
    assert f"with If-Match {held}, was accepted; the List is now version {added['etag']}" in added["sentence"]

    stale = bob.post("/api/add", text="Coffee")
    assert (stale["status"], stale["etag"], stale["entries"]) == (409, held, [])
    assert f"409 Conflict: you sent If-Match {held}, but the List changed" in stale["sentence"]
    assert f"If-Match: {held}" in stale["request"]

    assert bob.post("/api/load")["etag"] == added["etag"]
    assert bob.post("/api/add", text="Coffee")["status"] == 200
    seen = presenter.overview()
    assert (seen["accepted"], seen["refused"], seen["lost"]) == (2, 1, [])
    assert len(seen["entries"]) == 2


def test_without_if_match_it_is_412_and_the_sentence_names_the_version_held(room: Room) -> None:
    phone = room.phone("Carol")
    answer = phone.post("/api/add", text="Tea", ifMatch=False)
    assert answer["status"] == 412
    assert f"412 Precondition Failed: you hold version {answer['etag']}, but sent no If-Match" in answer["sentence"]
    assert "If-Match:" not in answer["request"]
    assert room.presenter().overview()["entries"] == []


@pytest.mark.parametrize("if_match", [True, False])
def test_without_the_lock_the_stale_update_is_accepted_and_the_lost_entry_is_named(room: Room, if_match: bool) -> None:
    dave, erin, presenter = room.phone("Dave"), room.phone("Erin"), room.presenter()
    presenter.post("/api/lock", locked=False)
    tea = dave.post("/api/add", text="Tea")
    assert erin.post("/api/add", text="Coffee", ifMatch=if_match)["status"] == 200

    seen = presenter.overview()
    assert (seen["accepted"], seen["refused"], seen["locked"]) == (2, 0, False)
    assert seen["lost"] == tea["entries"]

    presenter.post("/api/lock", locked=True)
    assert dave.post("/api/add", text="Tea")["status"] == 409


def test_the_presenter_sees_who_holds_which_version(room: Room) -> None:
    first, second, presenter = room.phone("Frank"), room.phone("Grace"), room.presenter()
    old = second.post("/api/load")
    new = first.post("/api/add", text="Tea")
    people = {person["name"]: person for person in presenter.overview()["people"]}
    assert people[new["name"]] == {"name": new["name"], "etag": presenter.overview()["etag"]}
    assert people[old["name"]] == {"name": old["name"], "etag": old["etag"]}


def test_a_new_list_starts_at_zero_and_phones_load_it_first(room: Room) -> None:
    phone, presenter = room.phone("Heidi"), room.presenter()
    phone.post("/api/add", text="Tea")
    presenter.post("/api/restart")
    answer = phone.post("/api/add", text="Tea")
    assert (answer["http"], answer["sentence"]) == (
        409,
        "The presenter started a new List. Reload it, then send your entry.",
    )
    assert presenter.overview()["accepted"] == 0
    assert phone.post("/api/load")["entries"] == []
    assert phone.post("/api/add", text="Tea")["status"] == 200


def test_an_entry_that_comes_back_is_no_longer_lost(room: Room) -> None:
    ivan, judy, presenter = room.phone("Ivan"), room.phone("Judy"), room.presenter()
    presenter.post("/api/lock", locked=False)
    ivan.post("/api/add", text="Tea")
    judy.post("/api/add", text="Coffee")
    assert len(presenter.overview()["lost"]) == 1
    ivan.post("/api/add", text="Water")  # from a version with the tea, without the coffee
    assert [text.partition(" ")[0] for text in presenter.overview()["lost"]] == ["Coffee"]


def test_two_people_of_one_name_are_told_apart(classroom: Classroom) -> None:
    tokens = [classroom.join("Ann", CODE, "127.0.0.1") for _ in range(2)]
    assert [classroom.person(token).name for token in tokens] == ["Ann", "Ann 2"]


# --- what cannot be done ---


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/STU3/List", "/STU3/Flag/x", "/api/overview/", "/../cli.py", "/classroom.html"])
def test_nothing_else_is_served_or_written(room: Room, method: str, path: str) -> None:
    caller = room.presenter()
    response = caller.send(method, path, b"{}", Content_Type="application/json")
    assert (response.status, json.loads(response.read())) == (404, {"sentence": "There is nothing here."})


def test_a_phone_cannot_name_a_version_or_send_a_resource(room: Room) -> None:
    phone, other = room.phone("Mallory"), room.phone("Niaj")
    other.post("/api/add", text="Tea")
    forged = phone.post("/api/add", text="x", etag=other.post("/api/load")["etag"], resource={}, entry=[])
    assert forged["status"] == 409
    assert len(room.presenter().overview()["entries"]) == 1


@pytest.mark.parametrize("path", ["/api/load", "/api/add", "/api/lock", "/api/restart"])
@pytest.mark.parametrize("token", ["", "guess", "é"])
def test_nothing_without_the_right_token(room: Room, path: str, token: str) -> None:
    assert room.caller(token).post(path, text="Tea", locked=False)["http"] == 401
    assert room.presenter().overview()["locked"]


def test_a_phone_is_not_the_presenter_nor_the_presenter_a_phone(room: Room) -> None:
    assert room.phone("Olivia").post("/api/lock", locked=False)["http"] == 401
    assert room.presenter().post("/api/add", text="Tea")["http"] == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Content_Type": "text/plain"}, 415),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
    ],
    ids=str,
)
def test_a_request_of_another_site_is_refused(room: Room, headers: dict[str, str], status: int) -> None:
    fields = {"Content_Type": "application/json"} | headers
    response = room.presenter().send("POST", "/api/lock", b'{"locked":true}', **fields)
    response.read()
    assert response.status == status


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 4000], ids=repr)
def test_what_is_not_a_json_object_is_refused(room: Room, body: bytes) -> None:
    response = room.presenter().send("POST", "/api/lock", body, Content_Type="application/json")
    assert (response.status, json.loads(response.read())["sentence"]) == (400, "The request is not a JSON object.")


def test_a_body_over_the_limit_is_refused(room: Room) -> None:
    response = room.presenter().send("POST", "/api/lock", b" " * 100_000, Content_Type="application/json")
    assert (response.status, response.getheader("Connection")) == (413, "close")


@pytest.mark.parametrize("text", ["", " \n", "x" * (LONGEST_ENTRY + 1), "\x1b[31m", "\u202e", "\ud800", 7, None, ["x"]])
def test_an_entry_that_cannot_be_used(room: Room, text: object) -> None:
    phone = room.phone("Peggy")
    assert phone.post("/api/add", text=text)["http"] == 400
    assert room.presenter().overview()["entries"] == []


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1), "\x00", None])
def test_a_name_that_cannot_be_used(room: Room, name: object) -> None:
    assert room.caller().post("/api/join", code=CODE, name=name)["http"] == 400


def test_the_page_may_load_only_its_own_script_and_style(room: Room) -> None:
    for path in ("/", "/classroom.js", "/classroom.css"):
        response = room.caller().send("GET", path)
        content = response.read()
        assert response.status == 200
        assert "default-src 'none'; script-src 'self'" in str(response.getheader("Content-Security-Policy"))
        assert PRESENTER.encode() not in content
        assert b"innerHTML" not in content


# --- limits ---


def test_the_code_is_read_in_any_case_and_wrong_ones_are_limited(classroom: Classroom, at: Time) -> None:
    classroom.join("Ann", f" {CODE[:3].lower()}-{CODE[3:]} ", "192.168.1.7")
    for guess in ["", "ABC235", None, 7, CODE + "2", "é", *("WRONG" for _ in range(4))]:
        with pytest.raises(Refused, match="403"):
            classroom.join("Eve", guess, "192.168.1.66")
    with pytest.raises(Refused, match="429"):
        classroom.join("Eve", CODE, "192.168.1.66")  # the right one would tell Eve that she found it
    classroom.join("Ben", CODE, "192.168.1.7")

    at.now += 10
    classroom.join("Eve", CODE, "192.168.1.66")


def test_an_ipv6_network_shares_its_wrong_codes(classroom: Classroom) -> None:
    for number in range(10):
        with pytest.raises(Refused, match="403"):
            classroom.join("Eve", "WRONG", f"fd00::{number + 1:x}")
    with pytest.raises(Refused, match="429"):
        classroom.join("Eve", "WRONG", "fd00::99")


def test_ipv4_addresses_on_an_ipv6_socket_do_not_share_their_wrong_codes(classroom: Classroom) -> None:
    for _ in range(10):
        with pytest.raises(Refused, match="403"):
            classroom.join("Eve", "WRONG", "::ffff:192.168.1.66")
    with pytest.raises(Refused, match="429"):
        classroom.join("Eve", CODE, "192.168.1.66")
    classroom.join("Ann", CODE, "::ffff:192.168.1.7")


def test_a_full_classroom(classroom: Classroom) -> None:
    for name in ("Ann", "Ben", "Cleo"):
        classroom.join(name, CODE, "127.0.0.1")
    with pytest.raises(Refused, match="The classroom is full"):
        classroom.join("Dan", CODE, "127.0.0.1")


def test_a_phone_that_sends_too_fast_waits(classroom: Classroom, at: Time) -> None:
    token = classroom.join("Ann", CODE, "127.0.0.1")
    for _ in range(20):
        classroom.person(token)
    with pytest.raises(Refused, match="429"):
        classroom.person(token)
    at.now += 1
    assert classroom.person(token).name == "Ann"


def test_a_full_list(classroom: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.classroom.MOST_ENTRIES", 2)
    person = classroom.person(classroom.join("Ann", CODE, "127.0.0.1"))
    classroom.load(person)
    for _ in range(2):
        classroom.add(person, "Tea", with_if_match=True)
    with pytest.raises(Refused, match="The List is full"):
        classroom.add(person, "Tea", with_if_match=True)


@pytest.mark.parametrize("private_only", [True, False])
def test_plain_http_is_for_private_networks_only(classroom: Classroom, private_only: bool) -> None:
    app = ClassroomApp(classroom, base_url="http://192.0.2.1/", private_only=private_only)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"method": "GET", "path": "/", "headers": [(b"host", b"localhost")], "client": ("8.8.8.8", 1)}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == (403 if private_only else 200)


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("192.168.1.7", True),
        ("fe80::1%eth0", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("8.8.8.8", False),
        ("2606:4700::1", False),
        ("::ffff:8.8.8.8", False),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) == private


# --- how it starts and ends ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is open to other machines: give --tls-cert and --tls-key, or --insecure"),
        (["--host", "0.0.0.0", "--tls-cert", "a.pem"], "TLS needs both a certificate and its key"),
        (["--tls-cert", "a.pem", "--tls-key", "a.key"], "The certificate, its key or the CA cannot be used"),
        (["--minutes", "0"], "give --minutes a number above 0"),
        (["--minutes", "nan"], "give --minutes a number above 0"),
        (["--people", "100000"], "give --people such a number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_be_used(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    try:
        assert main(["classroom", *arguments]) == 2
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
    out, err = capsys.readouterr()
    assert sentence in err
    assert (out, err.count("\n")) == ("", 1)


def test_it_ends_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    hold(Serving(), minutes=0.005, people=3)
    assert time.monotonic() - began < WAIT
    presenter, phones, ends, counts = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Presenter: http://127\.0\.0\.1:\d+/#presenter=[\w-]{32}", presenter)
    assert re.fullmatch(r"Phones:    http://127\.0\.0\.1:\d+/ with the code [A-Z2-9]{6}", phones)
    assert ends == "It ends after 0.005 minutes, or with Ctrl-C."
    assert counts == "The classroom has ended: 0 accepted, 0 refused, 0 lost."


def test_over_tls_until_ctrl_c(tmp_path: Path) -> None:
    certificates = tlskit.make(tmp_path)
    certificate, key = certificates.server
    command = [sys.executable, "-m", "workbench", "classroom", "--tls-cert", certificate, "--tls-key", key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            presenter, phones = process.stdout.readline(), process.stdout.readline()
            url = phones.split()[1]
            assert presenter.startswith(f"Presenter: {url}#presenter=")
            assert url.startswith("https://127.0.0.1:")
            trust = ssl.create_default_context(cafile=certificates.ca)
            with urllib.request.urlopen(url, context=trust, timeout=WAIT) as response:
                assert b"<!doctype html>" in response.read()
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(WAIT) == 0
        finally:
            process.kill()
    assert rest.endswith("The classroom has ended: 0 accepted, 0 refused, 0 lost.\n")


# --- 200 phones at once ---

PHONES = 200


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "unlocked"])
def test_200_phones_at_once(locked: bool) -> None:
    barrier = threading.Barrier(PHONES)
    seconds: list[float] = []

    def one(number: int) -> int:
        phone = room.phone(f"Phone {number}")
        barrier.wait(WAIT)
        began = time.perf_counter()
        status: int = phone.post("/api/add", text=f"Entry {number}")["status"]
        seconds.append(time.perf_counter() - began)
        return status

    with running_room(PHONES) as room, ThreadPoolExecutor(PHONES) as pool:
        presenter = room.presenter()
        presenter.post("/api/lock", locked=locked)
        statuses = list(pool.map(one, range(PHONES)))
        seen = presenter.overview()

    print(f"median {statistics.median(seconds):.3f} s, slowest {max(seconds):.3f} s")
    assert len(seen["people"]) == PHONES
    if locked:  # all hold the first version
        assert sorted(statuses) == [200] + [409] * (PHONES - 1)
        assert (seen["accepted"], seen["refused"], seen["lost"]) == (1, PHONES - 1, [])
    else:
        assert statuses == [200] * PHONES
        assert (seen["accepted"], seen["refused"], len(seen["lost"])) == (PHONES, 0, PHONES - 1)
        assert not set(seen["lost"]) & set(seen["entries"])
