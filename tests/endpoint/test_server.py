"""``python -m workbench serve`` for real: what it prints, what it keeps, how it ends, and how it refuses to start."""

import http.client
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from threading import Barrier
from urllib.parse import urlsplit

import psutil
import pytest
from spinekit import NOBODY, Service, a_list, plain_session

from workbench import Endpoint, EndpointError
from workbench.cli import main
from workbench.endpoint.application import build_application
from workbench.endpoint.in_process import BASE_URL, InProcessAdapter
from workbench.endpoint.settings import Settings

FIRST_LINE = re.compile(r"Spine endpoint at (http://127\.0\.0\.1:([1-9]\d*)/STU3)\n")
STORY = "/STU3/List/744eec7d-8951-4722-ad74-dc34e86d4e1a"
WAIT = 30.0


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server started by its command, and its base URL; killed at the end if it is still there."""
    command = [sys.executable, "-m", "workbench", "serve", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = FIRST_LINE.fullmatch(line)
            assert found, f"{line!r} {process.stderr and process.stderr.read()}"
            yield process, found[1]
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], how: signal.Signals) -> tuple[int, str, str]:
    """Send a signal; the exit code, and all that was printed after the first line."""
    process.send_signal(how)
    out, err = process.communicate(timeout=WAIT)
    return process.returncode, out, err


def in_process(settings: Settings) -> Service:
    """The same application, without a process."""
    return Service(BASE_URL, plain_session(InProcessAdapter(build_application(settings, BASE_URL))))


def port_of(base_url: str) -> int:
    port = urlsplit(base_url).port
    assert port
    return port


@contextmanager
def idle_connection(base_url: str) -> Iterator[socket.socket]:
    """An accepted connection without a request: it ends when the server does."""
    with connection_to(base_url) as connection:
        connection.request("GET", "/STU3/metadata")
        connection.getresponse().read()
        assert connection.sock is not None
        yield connection.sock


def connection_to(base_url: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", port_of(base_url), timeout=WAIT))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_it_prints_its_base_url_and_ends_cleanly(how: signal.Signals) -> None:
    with serving("--log-format", "none") as (process, base_url), connection_to(base_url) as connection:
        connection.request("GET", STORY)
        assert connection.getresponse().read()
        # The connection is still open: an idle client must not hold up the end.
        assert ended(process, how) == (0, "", "")


def test_it_ends_when_standard_input_closes() -> None:
    endpoint = Endpoint.start()
    with idle_connection(endpoint.base_url) as connection:
        endpoint.stop()
        assert connection.recv(1) == b""
    endpoint.stop()
    with pytest.raises(EndpointError, match="no longer running"):
        endpoint.client()


PARENT = """
import signal
from workbench import Endpoint
endpoint = Endpoint.start()
print(endpoint.base_url, flush=True)
signal.pause()
"""


def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        base_url = parent.stdout.readline().strip()
        with idle_connection(base_url) as connection:
            parent.kill()
            assert parent.wait(WAIT) == -signal.SIGKILL
            assert connection.recv(1) == b""  # the server lets go of its connections last
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(base_url)), timeout=WAIT)


def test_a_file_keeps_its_resources_however_the_server_ends(tmp_path: Path) -> None:
    db = str(tmp_path / "spine.db")
    with serving("--db", db) as (process, base_url), plain_session() as session:
        endpoint = Service(base_url, session)
        held, gone = endpoint.create(a_list(title="kept")), endpoint.gone()
        before = endpoint.state(held.path)
        assert ended(process, signal.SIGTERM)[0] == 0
    with serving("--db", db) as (process, base_url), plain_session() as session:
        endpoint = Service(base_url, session)
        assert endpoint.state(held.path) == before
        assert endpoint.get(gone.path).status_code == 404
        etag = endpoint.put(held.path, held.body(title="acknowledged"), held.etag).headers["ETag"]
        process.kill()
        process.wait(WAIT)
    with serving("--db", db) as (_, base_url), plain_session() as session:
        endpoint = Service(base_url, session)
        read = endpoint.get(held.path)
        assert (read.json()["title"], read.headers["ETag"]) == ("acknowledged", etag)
        assert endpoint.put(held.path, held.body(title="again"), held.etag).status_code == 409
        assert endpoint.put(held.path, held.body(title="again"), etag).status_code == 200


def test_two_requests_on_one_connection(spine: Endpoint) -> None:
    with connection_to(spine.base_url) as connection:
        connection.connect()
        opened = connection.sock
        for path, status in ((STORY, 200), (f"/STU3/List/{NOBODY}", 404), ("/STU3/Patient/1", 501), (STORY, 200)):
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, connection.sock is opened) == (status, True)


def test_an_answer_does_not_wait_for_an_acknowledgement(spine: Endpoint) -> None:
    """With Nagle's algorithm on, head and body go out 40 ms apart."""
    with connection_to(spine.base_url) as connection:
        taken = []
        for _ in range(40):
            started = time.perf_counter()
            connection.request("GET", STORY)
            connection.getresponse().read()
            taken.append(time.perf_counter() - started)
    assert statistics.median(taken) < 0.035


def test_a_chunked_request_body(spine: Endpoint) -> None:
    pieces = iter([b'{"resourceType":"List",', b'"status":"current",', b'"mode":"working"}'])
    with connection_to(spine.base_url) as connection:
        headers = {"Content-Type": "application/fhir+json", "Transfer-Encoding": "chunked"}
        connection.request("POST", "/STU3/List", body=pieces, headers=headers, encode_chunked=True)
        assert connection.getresponse().status == 201


def test_a_hundred_connections_at_once(spine: Endpoint) -> None:
    together = Barrier(100)

    def ask(_: int) -> tuple[int, str | None]:
        with connection_to(spine.base_url) as connection:
            connection.connect()
            together.wait(WAIT)
            connection.request("GET", STORY)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers["ETag"]

    with ThreadPoolExecutor(100) as pool:
        assert set(pool.map(ask, range(100))) == {(200, 'W/"25777f7d-27bc"')}


def test_a_silent_client_delays_no_other(spine: Endpoint) -> None:
    with socket.create_connection(("127.0.0.1", port_of(spine.base_url))) as silent:
        silent.sendall(b"PUT /STU3/List/x HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
        with connection_to(spine.base_url) as connection:
            connection.request("GET", STORY)
            assert connection.getresponse().status == 200


def lesson(endpoint: Service) -> list[tuple[int, str | None, str | None, str | None, bytes]]:
    """A few steps, and all that their answers say."""
    made = endpoint.create()
    answers = [endpoint.put(made.path, made.body(title=title), made.etag) for title in ("a", "b")]
    answers += [endpoint.get(made.path), endpoint.get("List/744eec7d-8951-4722-ad74-dc34e86d4e1a")]
    answers += [endpoint.delete(made.path, answers[0].headers["ETag"])]
    names = ("ETag", "Last-Modified", "Date")
    return [(a.status_code, *(a.headers.get(name) for name in names), a.content) for a in answers]


def test_the_same_clock_and_seed_give_the_same_answers() -> None:
    clock, seed = "2018-05-25T16:10:00Z", "7"
    with serving("--clock", clock, "--seed", seed) as (_, base_url), plain_session() as session:
        over_socket = lesson(Service(base_url, session))
    assert over_socket == lesson(in_process(Settings(clock=clock, seed=seed)))
    assert [status for status, *_ in over_socket] == [200, 409, 200, 200, 204]
    assert over_socket[0][3] == "Fri, 25 May 2018 16:10:01 GMT"


@pytest.mark.parametrize(("seeds", "alike"), [((1, 1), True), ((1, 2), False), ((None, None), False)])
def test_a_seed_fixes_ids_and_versions(seeds: tuple[int | None, int | None], alike: bool) -> None:
    made = []
    for seed in seeds:
        with Endpoint.in_process(clock="2018-05-25T16:10:00Z", seed=seed) as endpoint:
            created = endpoint.client().create(a_list())
            made.append((created.logical_id, str(created.etag)))
    assert (made[0][0] == made[1][0]) is alike
    assert (made[0][1] == made[1][1]) is alike


def test_without_a_lock_the_last_writer_wins() -> None:
    endpoint = in_process(Settings(policy="UNPROTECTED"))
    held = endpoint.create()
    for if_match in (held.etag, held.etag, None, "*", 'W/"00000000-0000"'):
        assert endpoint.put(held.path, held.body(title=str(if_match)), if_match).status_code == 200
        assert endpoint.get(held.path).json()["title"] == str(if_match)
    stated = endpoint.get("metadata").json()["rest"][0]["resource"]
    assert {listed["versioning"] for listed in stated} == {"versioned"}
    assert endpoint.delete(held.path, None).status_code == 204
    assert endpoint.put(held.path, held.body(), None).status_code == 404
    assert endpoint.put(f"List/{NOBODY}", a_list(id=NOBODY), None).status_code == 405


def test_without_a_clock_it_uses_the_system_s() -> None:
    endpoint = in_process(Settings())
    before = time.time()
    held = endpoint.create()
    after = time.time()
    updated = datetime.fromisoformat(endpoint.get(held.path).json()["meta"]["lastUpdated"])
    assert before - 0.001 <= updated.timestamp() <= after


def a_text_file(folder: Path) -> str:
    path = folder / "diary.txt"
    path.write_text("Dear diary, " * 100)
    return str(path)


REFUSED = {
    "an unusable file": (["--db", "{file}"], "file is not a database"),
    "a clock that is none": (["--clock", "teatime"], "teatime"),
    "a clock before the calendar": (["--clock", "0001-01-01T00:00:00+05:00"], "0001-01-01"),
    "a clock at the end of the calendar": (["--clock", "9999-12-31T23:59:59Z"], "9999-12-31"),
    "an unknown policy": (["--policy", "LENIENT"], "LENIENT"),
    "a busy port": (["--port", "{port}"], "{port}"),
}
REFUSED_TOO = {
    "a folder": (["--db", "{folder}"], "{folder}"),
    "a folder that is not there": (["--db", "{folder}/none/spine.db"], "unable to open"),
    "a clock without a zone": (["--clock", "2018-05-25T16:10:00"], "time zone"),
    "a port that is none": (["--port", "70000"], "70000"),
    "a port below none": (["--port", "-1"], "-1"),
    "a host that is none": (["--host", "nowhere.invalid", "--insecure"], "nowhere.invalid"),
}
"""The same in this process: a server costs a second to start."""


def assert_one_sentence(code: int, out: str, err: str, names: str) -> None:
    assert (code, out) == (2, "")
    assert err.startswith("spine-workbench: ")
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    assert names in err


@pytest.fixture
def words(spine: Endpoint, tmp_path: Path) -> dict[str, str]:
    return {"file": a_text_file(tmp_path), "folder": str(tmp_path), "port": str(port_of(spine.base_url))}


@pytest.mark.parametrize(("arguments", "names"), REFUSED.values(), ids=REFUSED.keys())
def test_what_it_cannot_start_with(words: dict[str, str], arguments: list[str], names: str) -> None:
    command = [sys.executable, "-m", "workbench", "serve", "--stop-with-stdin"]
    ran = subprocess.run(
        [*command, *(argument.format(**words) for argument in arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )
    assert_one_sentence(ran.returncode, ran.stdout, ran.stderr, names.format(**words))


@pytest.fixture
def our_own_signals() -> Iterator[None]:
    """The command installs its handlers of SIGTERM and SIGHUP; the fixture restores this process's."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("our_own_signals")
@pytest.mark.parametrize(("arguments", "names"), REFUSED_TOO.values(), ids=REFUSED_TOO.keys())
def test_what_else_it_cannot_start_with(
    words: dict[str, str], arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["serve", "--stop-with-stdin", *(argument.format(**words) for argument in arguments)])
    assert_one_sentence(code, *capsys.readouterr(), names.format(**words))


@pytest.mark.parametrize("arguments", [["--port", "http"], ["--port", "1.5"], ["--ports", "1"], ["extra"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_with:
        main(["serve", *arguments])
    assert ended_with.value.code == 2
    assert "usage: spine-workbench" in capsys.readouterr().err


def test_the_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended_with:
        main(["serve", "--help"])
    assert ended_with.value.code == 0
    assert "Example: spine-workbench serve" in capsys.readouterr().out


def test_start_says_why_it_could_not(tmp_path: Path) -> None:
    with pytest.raises(EndpointError, match="file is not a database"):
        Endpoint.start(db=a_text_file(tmp_path))


def test_the_environment_s_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch, spine: Endpoint) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert spine.client().capabilities().status == 200


def children_of(pid: int) -> set[int]:
    """Return the process ids of its children."""
    return {child.pid for child in psutil.Process(pid).children()}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM on Windows ends a process at once")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_a_signal_ends_what_was_started(tmp_path: Path, how: signal.Signals) -> None:
    with serving("--db", str(tmp_path / "spine.db"), "--workers", "2", "--log-format", "none") as (process, base_url):
        started = children_of(process.pid)
        assert len(started) == 2
        with connection_to(base_url) as connection:
            connection.request("GET", STORY)
            assert connection.getresponse().read()
            assert ended(process, how) == (0, "", "")
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(base_url)), timeout=WAIT)


def test_a_signal_right_after_the_first_line() -> None:
    for _ in range(5):
        with serving("--log-format", "none") as (process, _):
            assert ended(process, signal.SIGTERM) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM on Windows ends a process at once")
def test_a_signal_while_it_starts_ends_what_was_started(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workbench", "serve", "--db", str(tmp_path / "spine.db"), "--workers", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (started := children_of(process.pid)):
            assert process.poll() is None
        assert ended(process, signal.SIGTERM) == (0, "", "")
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
