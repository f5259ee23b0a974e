"""Hostile requests: each gets an OperationOutcome, changes nothing, and delays no other client.

``test_contract_malformed`` has the malformed bodies in well-formed HTTP. Here are the transport's limits, and the
header fields that a server must not believe.
"""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from loadkit import Writer
from spinekit import FHIR_JSON, LIMIT, Held, Service, assert_refused, outcome_issues, raw_exchange, raw_request

from workbench import Endpoint
from workbench.endpoint.process import ServerProcess
from workbench.endpoint.settings import Serving, Settings

LIST = "744eec7d-8951-4722-ad74-dc34e86d4e1a"
WAIT = 30.0


@pytest.fixture
def mine(over_socket: Service) -> Held:
    return over_socket.create()


@contextmanager
def connected(base_url: str) -> Iterator[socket.socket]:
    url = urlsplit(base_url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=WAIT) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    chunks = []
    while chunk := connection.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def put(held: Held, *lines: str, body: bytes = b"") -> bytes:
    return raw_request(
        "PUT", f"/STU3/{held.path}", f"If-Match: {held.etag}", f"Content-Type: {FHIR_JSON}", *lines, body=body
    )


def unchanged(endpoint: Service, held: Held) -> bool:
    return endpoint.get(held.path).headers["ETag"] == held.etag


BODIES = {
    "nested 100,000 deep": (b'{"resourceType":"List","id":"ID","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", {413}),
    "objects 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {413}),
    "a name twice": (b'{"resourceType":"List","id":"ID","id":"ID","status":"current","mode":"working"}', {400}),
    "a lone surrogate": (
        b'{"resourceType":"List","id":"ID","status":"current","mode":"working","title":"\\ud800"}',
        {400},
    ),
    "NUL, written out": (
        b'{"resourceType":"List","id":"ID","status":"current","mode":"working","title":"a\x00"}',
        {400},
    ),
    "invalid UTF-8": (b'{"resourceType":"List","id":"ID","status":"current","mode":"working","title":"\xff"}', {400}),
    "UTF-16": ('{"resourceType":"List"}'.encode("utf-16"), {400}),
    "a number of 100,000 digits": (b'{"resourceType":"List","id":"ID","status":' + b"1" * 100_000 + b"}", {400, 422}),
    "a huge exponent": (b'{"resourceType":"List","id":"ID","status":1e999999999}', {400, 422}),
    "100,000 names": (
        b'{"resourceType":"List","id":"ID","status":"current","mode":"working",'
        + b",".join(b'"x%d":1' % number for number in range(100_000))
        + b"}",
        {413},
    ),
}


@pytest.mark.parametrize(("body", "statuses"), BODIES.values(), ids=BODIES)
def test_a_body_that_would_break_a_parser(over_socket: Service, mine: Held, body: bytes, statuses: set[int]) -> None:
    answer = over_socket.put(mine.path, body.replace(b"ID", mine.logical_id.encode()), mine.etag)
    assert answer.status_code in statuses
    outcome_issues(answer.content)
    assert unchanged(over_socket, mine)


def test_an_escaped_nul_is_text_that_json_allows(over_socket: Service, mine: Held) -> None:
    answer = over_socket.put(mine.path, mine.body(title="a\x00b"), mine.etag)
    assert answer.status_code in (200, 422)
    assert answer.status_code == 422 or over_socket.get(mine.path).json()["title"] == "a\x00b"


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_30_megabytes_are_refused_before_they_are_read(over_socket: Service, mine: Held, chunked: bool) -> None:
    size, piece = 30 * 1024 * 1024, b" " * 65536
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    with connected(over_socket.base_url) as connection:
        connection.sendall(put(mine, framing))
        sent = 0
        answer = http.client.HTTPResponse(connection, method="PUT")
        connection.setblocking(True)
        while sent < LIMIT + 2 * len(piece):
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
            sent += len(piece)
        answer.begin()  # with most of the body still to come
        body = answer.read()
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    outcome_issues(body)
    assert unchanged(over_socket, mine)


def test_a_client_that_sends_it_all_still_reads_the_answer(over_socket: Service, mine: Held) -> None:
    answer = over_socket.put(mine.path, b" " * (30 * 1024 * 1024), mine.etag)
    assert_refused(answer, 413, "too-long", "BAD_REQUEST")


HEADS = {
    "a header line of 64 KB": (raw_request("GET", "/STU3/metadata", "X: " + "a" * 65536), 431),
    "many header lines": (raw_request("GET", "/STU3/metadata", *(f"X-{n}: {n}" for n in range(10_000))), 431),
    "a header line without an end": (b"GET /STU3/metadata HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 300_000, 431),
    "a header name without an end": (b"GET /STU3/metadata HTTP/1.1\r\nHost: x\r\n" + b"a" * 300_000, 431),
    "a request line without an end": (b"GET /STU3/" + b"a" * 300_000, 414),
    "If-Match of 60 KB": (
        raw_request("PUT", "/STU3/List/x", "If-Match: " + "a" * 60_000, f"Content-Type: {FHIR_JSON}"),
        412,
    ),
    "two lengths": (raw_request("PUT", "/STU3/List/x", "Content-Length: 1", "Content-Length: 2"), 400),
    "a length and chunks": (
        raw_request("PUT", "/STU3/List/x", "Content-Length: 5", "Transfer-Encoding: chunked", body=b""),
        400,
    ),
    "chunks and a length": (
        raw_request("PUT", "/STU3/List/x", "Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
        400,
    ),
    "an unknown transfer coding": (
        raw_request("PUT", "/STU3/List/x", "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
        400,
    ),
    "a length with a sign": (raw_request("PUT", "/STU3/List/x", "Content-Length: +5") + b"{}   ", 400),
    "a length in hex": (raw_request("PUT", "/STU3/List/x", "Content-Length: 0x5") + b"{}   ", 400),
    "a space before the colon": (raw_request("GET", "/STU3/metadata", "Transfer-Encoding : chunked"), 400),
    "a folded header": (raw_request("GET", "/STU3/metadata", "X: a\r\n b"), 400),
    "a bare line feed": (b"GET /STU3/metadata HTTP/1.1\nHost: x\n\n", 400),
    "NUL in a header": (raw_request("GET", "/STU3/metadata", "X: a\x00b"), 400),
    "no Host": (b"GET /STU3/metadata HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "two Hosts": (raw_request("GET", "/STU3/metadata", "Host: evil.example"), 400),
    "an invalid method": (b"SPINE /STU3/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
    "HTTP/2 in plain text": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, 400),
}


@pytest.mark.promise("ERR-1")
@pytest.mark.parametrize(("message", "status"), HEADS.values(), ids=HEADS)
def test_a_head_that_no_client_sends(over_socket: Service, message: bytes, status: int) -> None:
    answer = raw_exchange(over_socket.base_url, message)
    assert answer.status == status
    outcome_issues(answer.body)


def test_a_request_hidden_in_another_is_not_answered(over_socket: Service, mine: Held) -> None:
    """Smuggling: a front end that goes by the length would pass the hidden DELETE on as another client's."""
    hidden = f"DELETE /STU3/{mine.path} HTTP/1.1\r\nHost: x\r\nIf-Match: {mine.etag}\r\n\r\n".encode()
    head = f"PUT /STU3/{mine.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {5 + len(hidden)}\r\n"
    with connected(over_socket.base_url) as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden)
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert unchanged(over_socket, mine)


IDS = [
    "..",
    "%2e%2e",
    "..%2fFlag",
    "a%2fb",
    "%2fetc%2fpasswd",
    "a%00",
    "%",
    "%zz",
    "' OR 1=1 --",
    "a;b",
    "a" * 65,
    "ü",
    "*",
]


@pytest.mark.parametrize("logical_id", IDS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_id_that_leads_elsewhere(over_socket: Service, method: str, logical_id: str) -> None:
    target = "/STU3/List/" + quote(logical_id, safe="%./;*'")
    body = json.dumps({"resourceType": "List", "id": logical_id, "status": "current", "mode": "working"}).encode()
    answer = raw_exchange(
        over_socket.base_url,
        raw_request(method, target, 'If-Match: W/"25777f7d-27bc"', f"Content-Type: {FHIR_JSON}", body=body),
        method=method,
    )
    assert answer.status in (400, 404, 405, 501)
    outcome_issues(answer.body)


SQL = ["' OR '1'='1", "1; DROP TABLE resource; --", "\\'; SELECT 1; --", "x' UNION SELECT * FROM setting --", "%' --"]


@pytest.mark.parametrize("text", SQL)
def test_sql_wherever_text_can_be(over_socket: Service, mine: Held, text: str) -> None:
    escaped = quote(text)
    for query in ("_id", "_lastUpdated", "_count", "_sort", "_page", "_format", escaped):
        answer = over_socket.get(f"List?{query}={escaped}")
        assert answer.status_code in (400, 406)
        assert answer.json()["resourceType"] == "OperationOutcome"  # it quotes what was sent, and that was SQL
    assert over_socket.get(f"List/{escaped}").status_code == 400
    assert over_socket.get(f"{escaped}/x").status_code == 501
    assert over_socket.put(mine.path, mine.body(), f'W/"{text}"').status_code in (409, 412)
    stored = over_socket.put(mine.path, mine.body(title=text), mine.etag)
    assert stored.status_code == 200
    assert over_socket.get(mine.path).json()["title"] == text


@pytest.mark.parametrize("target", ["http://evil.example/STU3/List", "https://evil.example:1/STU3/List"])
def test_an_absolute_target_does_not_change_the_location(over_socket: Service, target: str) -> None:
    body = b'{"resourceType":"List","status":"current","mode":"working"}'
    answer = raw_exchange(
        over_socket.base_url, raw_request("POST", target, f"Content-Type: {FHIR_JSON}", body=body), method="POST"
    )
    assert answer.status == 201
    assert answer.headers["Location"].startswith(f"{over_socket.base_url}/List/")


@pytest.mark.parametrize("lie", ["Forwarded: host=evil.example;proto=https", "X-Forwarded-Host: evil.example"])
def test_a_forwarded_host_is_ignored(over_socket: Service, lie: str) -> None:
    body = b'{"resourceType":"List","status":"current","mode":"working"}'
    message = raw_request("POST", "/STU3/List", lie, f"Content-Type: {FHIR_JSON}", body=body)
    answer = raw_exchange(over_socket.base_url, message, method="POST")
    assert answer.headers["Location"].startswith(f"{over_socket.base_url}/List/")


def test_the_base_url_is_the_one_given() -> None:
    server = ServerProcess(Settings(), Serving(base_url="https://spine.example/STU3"))
    try:
        assert server.base_url == "https://spine.example/STU3"
    finally:
        server.stop()


def test_a_thousand_idle_connections_delay_no_client(spine: Endpoint) -> None:
    with ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(connected(spine.base_url))
            if number % 2:
                connection.sendall(b"GET /STU3/metadata HTTP/1.1\r\nX: ")  # slow-loris: begun, and never ended
        with closing(Writer(spine.base_url, LIST)) as writer:
            assert writer.read() == "25777f7d-27bc"


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_what_is_refused() -> None:
    server = ServerProcess(Settings(), Serving())
    try:
        before = 0
        for turn in range(6):
            for message, _ in HEADS.values():
                raw_exchange(server.base_url, message)
            for body, _ in BODIES.values():
                raw_exchange(server.base_url, raw_request("PUT", "/STU3/List/x", 'If-Match: W/"a"', body=body))
            if turn == 1:
                before = memory(server.pid)  # once everything has been met, and every cache is warm
        assert memory(server.pid) < before + 16 * 1024 * 1024
    finally:
        server.stop()


def memory(pid: int) -> int:
    """Bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
