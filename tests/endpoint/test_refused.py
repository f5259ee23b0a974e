"""A refused request changes nothing, however it is refused; the complete requests before it are answered (UPD-17)."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from spinekit import FHIR_JSON, Held, Service, outcome_issues

from workbench.endpoint.process import listen
from workbench.endpoint.protocol import SpineProtocol
from workbench.endpoint.server import Server
from workbench.endpoint.settings import Serving, Settings

pytestmark = pytest.mark.promise("UPD-17")

WAIT = 30.0
GET = b"GET /STU3/metadata HTTP/1.1\r\nHost: localhost\r\n"


def request(method: str, path: str, *lines: str, body: bytes) -> bytes:
    """A whole request on a connection that stays open."""
    head = [f"{method} /STU3/{path} HTTP/1.1", "Host: localhost", f"Content-Type: {FHIR_JSON}", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def update(held: Held, title: str) -> bytes:
    body = f'{{"resourceType":"List","id":"{held.logical_id}","status":"current","mode":"working","title":"{title}"}}'
    return request("PUT", held.path, f"If-Match: {held.etag}", body=body.encode())


CREATE = request("POST", "List", body=b'{"resourceType":"List","status":"current","mode":"working"}')


def answers(base_url: str, message: bytes) -> list[tuple[int, bytes]]:
    """The status and the body of each answer, in order, until the server ends the connection."""
    url = urlsplit(base_url)
    received = b""
    with closing(socket.create_connection((url.hostname or "", url.port or 0), timeout=WAIT)) as connection:
        connection.sendall(message)
        while chunk := connection.recv(65536):
            received += chunk
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length
        found.append((int(head.split()[1]), rest[: int(length[1])]))
        received = rest[int(length[1]) :]
    return found


def assert_answered_then_refused(found: list[tuple[int, bytes]], answered: list[int], refused: int) -> None:
    assert [status for status, _ in found] == [*answered, refused]
    (issue,) = outcome_issues(found[-1][1])
    assert issue["code"] == ("structure" if refused == 400 else "processing")


@pytest.fixture
def mine(over_socket: Service) -> Held:
    return over_socket.create()


STRAY = {
    "a brace": (b"}", 400),
    "an invalid request line": (b"HELLO\r\n\r\n", 400),
    "an invalid header field": (GET + b"a b: c\r\n\r\n", 400),
    "a head of 70 KB": (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "a head of 300 KB without an end": (GET + b"X: " + b"a" * 300_000, 431),
    "a request line of 300 KB": (b"GET /" + b"a" * 300_000, 414),
    "two lengths": (b"PUT /STU3/List/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "an invalid chunk": (b"PUT /STU3/List/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
}


@pytest.mark.parametrize(("stray", "status"), STRAY.values(), ids=STRAY)
def test_stray_bytes_after_an_update(over_socket: Service, mine: Held, stray: bytes, status: int) -> None:
    found = answers(over_socket.base_url, update(mine, "first") + stray)
    assert_answered_then_refused(found, [200], status)
    assert over_socket.get(mine.path).json()["title"] == "first"


@pytest.mark.parametrize(("stray", "status"), STRAY.values(), ids=STRAY)
def test_stray_bytes_after_several_requests(over_socket: Service, mine: Held, stray: bytes, status: int) -> None:
    reads = (GET + b"\r\n") * 3
    found = answers(over_socket.base_url, CREATE + reads + update(mine, "first") + CREATE + stray)
    assert_answered_then_refused(found, [201, 200, 200, 200, 200, 201], status)


def test_stray_bytes_after_a_large_update(over_socket: Service, mine: Held) -> None:
    """A thread handles a large body; the refusal waits for its response."""
    found = answers(over_socket.base_url, update(mine, "a" * 200_000) + b"}")
    assert_answered_then_refused(found, [200], 400)


BEFORE = {
    "nothing": (b"", []),
    "a read": (GET + b"\r\n", [200]),
    "a create and a read": (CREATE + GET + b"\r\n", [201, 200]),
}


def chunked(held: Held, *lines: str) -> tuple[bytes, bytes]:
    """An update up to its body, which comes in chunks; and the first chunk, which holds all of it."""
    head, _, body = update(held, "in chunks").partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.startswith((b"Content-Length", b"If-Match"))]
    fields = [*kept, *(line.encode() for line in lines), b"Transfer-Encoding: chunked", b"", b""]
    return b"\r\n".join(fields), b"%x\r\n%s\r\n" % (len(body), body)


@pytest.mark.parametrize(("before", "answered"), BEFORE.values(), ids=BEFORE)
def test_an_update_with_a_broken_body(over_socket: Service, mine: Held, before: bytes, answered: list[int]) -> None:
    head, chunk = chunked(mine, f"If-Match: {mine.etag}")
    found = answers(over_socket.base_url, before + head + chunk + b"not a chunk\r\n")
    assert_answered_then_refused(found, answered, 400)
    assert over_socket.get(mine.path).headers["ETag"] == mine.etag


def test_thousands_of_requests_in_one_go(over_socket: Service) -> None:
    """Each is answered once, in order."""
    ask = b"GET /STU3/List/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    found = answers(over_socket.base_url, ask * 3_000 + b"}")
    assert [status for status, _ in found] == [404] * 3_000 + [400]


def test_a_trailer_is_not_a_header(over_socket: Service, mine: Held) -> None:
    """A trailer may not hold the condition of an update (RFC 9110, section 6.5.1)."""
    head, chunk = chunked(mine, "Connection: close")
    found = answers(over_socket.base_url, head + chunk + f"0\r\nIf-Match: {mine.etag}\r\n\r\n".encode())
    assert [status for status, _ in found] == [412]


LONG = {
    "chunk extensions": b"1;" + b"a" * 6_000_000,
    "chunks of one byte": b"1\r\n \r\n" * 1_000_000,
    "chunks with extensions": (b"1;" + b"a" * 1000 + b"\r\n \r\n") * 6_000,
    "trailers": b"0\r\n" + b"X: a\r\n" * 1_000_000,
}


@pytest.mark.parametrize("framing", LONG.values(), ids=LONG)
def test_the_framing_of_a_body_is_limited_too(over_socket: Service, mine: Held, framing: bytes) -> None:
    head, _ = chunked(mine, f"If-Match: {mine.etag}")
    found = answers_while_sending(over_socket.base_url, head + framing)
    assert found.split()[1] in (b"413", b"431")
    assert over_socket.get(mine.path).headers["ETag"] == mine.etag


def answers_while_sending(base_url: str, message: bytes) -> bytes:
    """The response to a client that sends until the server closes the connection."""
    url = urlsplit(base_url)
    with closing(socket.create_connection((url.hostname or "", url.port or 0), timeout=WAIT)) as connection:

        def send() -> None:
            try:
                connection.sendall(message)
            except OSError:
                return  # the server has closed the connection

        sending = threading.Thread(target=send)
        sending.start()
        received = connection.recv(65536)
        connection.shutdown(socket.SHUT_RDWR)
        sending.join(WAIT)
        return received


@contextmanager
def in_this_process(monkeypatch: pytest.MonkeyPatch, *faults: str, seconds: float = 0.2) -> Iterator[str]:
    """A server in this process that waits 0.2 s: the tests cannot wait a minute."""
    monkeypatch.setattr(SpineProtocol, "seconds", seconds)
    serving = Serving()
    with listen(serving) as listening:
        base_url = serving.url_at(listening.getsockname()[1])
        server = Server(Settings(faults=faults), serving, base_url)
        running = threading.Thread(target=server.run, args=(listening,))
        running.start()
        try:
            yield base_url
        finally:
            server.stop()
            running.join(WAIT)


def test_a_request_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with in_this_process(monkeypatch) as base_url:
        assert_answered_then_refused(answers(base_url, CREATE[:-1]), [], 408)
        assert answers(base_url, b"") == []  # no request, so no response


@pytest.mark.parametrize("half", [GET, CREATE[:-1]], ids=["half a head", "half a body"])
def test_a_timeout_waits_for_the_response_before_it(monkeypatch: pytest.MonkeyPatch, half: bytes) -> None:
    with in_this_process(monkeypatch, "latency:create:seconds=0.6") as base_url:
        assert_answered_then_refused(answers(base_url, CREATE + half), [201], 408)


def test_a_request_that_was_sent_is_not_called_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the endpoint, behind a slow request."""
    late = CREATE[:-1] + b" " * 40_000 + b"}"
    late = late.replace(b"Content-Length: 59", b"Content-Length: %d" % (59 + 40_000))
    with in_this_process(monkeypatch, "latency:create:times=1:seconds=0.6") as base_url:
        found = answers(base_url, CREATE + late + b"}")
    assert_answered_then_refused(found, [201, 201], 400)


def test_a_response_that_is_not_read_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    large = b'{"resourceType":"List","status":"current","mode":"working","title":"%s"}' % (b"a" * 5_000_000)
    with in_this_process(monkeypatch) as base_url, closing(socket.socket()) as connection:
        connection.settimeout(WAIT)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((urlsplit(base_url).hostname, urlsplit(base_url).port))
        connection.sendall(request("POST", "List", "Prefer: return=representation", body=large))
        connection.recv(1, socket.MSG_PEEK)
        # Another client is as slow, and begins later; when its time is over, so is that of the first.
        assert [status for status, _ in answers(base_url, GET)] == [408]
        received = 0
        while chunk := connection.recv(65536):
            received += len(chunk)
    assert 0 < received < len(large)


def test_a_stop_sends_no_response_that_could_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service stops while a request takes too long. It may be stored, so the endpoint sends no response."""
    monkeypatch.setattr("workbench.endpoint.server.STOP_SECONDS", 0.1)
    with closing(socket.socket()) as connection:
        connection.settimeout(WAIT)
        with in_this_process(monkeypatch, "latency:create:seconds=60") as base_url:
            connection.connect((urlsplit(base_url).hostname, urlsplit(base_url).port))
            connection.sendall(GET + b"\r\n" + CREATE)
            received = connection.recv(65536)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                received += chunk
    assert re.findall(rb"HTTP/1.1 \d+", received) == [b"HTTP/1.1 200"]


UPGRADE = ("Connection: upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


@pytest.mark.parametrize("size", [0, 200_000], ids=["small", "large"])
@pytest.mark.parametrize("framed", ["with its length", "in chunks"])
def test_an_upgrade_is_ignored(over_socket: Service, mine: Held, framed: str, size: int) -> None:
    """A server may ignore an upgrade (RFC 9110, 7.8). The body behind it is the request's, and so is its lock."""
    fields = (f"If-Match: {mine.etag}", *UPGRADE)
    if framed == "in chunks":
        head, chunk = chunked(mine, *fields)
        message = head + chunk + b"0\r\n\r\n"
    else:
        head, _, body = update(mine, "in chunks" + "s" * size).partition(b"\r\n\r\n")
        message = "\r\n".join([head.decode(), *UPGRADE, "", ""]).encode() + body
    found = answers(over_socket.base_url, message + GET + b"Upgrade: h2c\r\nConnection: upgrade, close\r\n\r\n" + b"}")
    assert [status for status, _ in found] == [200, 200]
    assert over_socket.get(mine.path).json()["title"].startswith("in chunks")


def test_an_upgrade_to_a_tunnel_is_refused(over_socket: Service) -> None:
    message = b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert_answered_then_refused(answers(over_socket.base_url, message), [], 400)


def test_large_bodies_share_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-sent bodies fill it; then a large one is refused for now, and an everyday one is not."""
    monkeypatch.setattr("workbench.endpoint.asgi.BUFFER_LIMIT", 2_000_000)
    half = request("POST", "List", body=b" " * 4_000_000)[:1_500_000]
    large = request("POST", "List", "Connection: close", body=CREATE.partition(b"\r\n\r\n")[2] + b" " * 400_000)
    with in_this_process(monkeypatch, seconds=WAIT) as base_url:
        address = urlsplit(base_url).hostname, urlsplit(base_url).port
        with closing(socket.create_connection(address, timeout=WAIT)) as first:
            first.sendall(half)
            with closing(socket.create_connection(address, timeout=WAIT)) as second:
                second.sendall(half)
                refused = second.recv(65536)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 10\r\n" in refused
            outcome_issues(refused.partition(b"\r\n\r\n")[2])
            assert [status for status, _ in answers(base_url, CREATE + b"}")] == [201, 400]
        assert [status for status, _ in answers(base_url, large)] == [201]
